"""What BenchmarkProcess does in worker processes, done by CPython.

It reads lines "work n" and answers each with a number: nanoseconds for one of n
items, or bytes. Two workers, which are forked, live as long as this process
does, except where their start is what is measured.
"""

import functools
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

WORKERS = 2
BIG = bytes(64 << 20)


def one_more(x):
    return x + 1


def one_more_tuple(x):
    return x[0] + 1, x[1]


def one_more_dict(x):
    return {"Number": x["Number"] + 1, "Label": x["Label"]}


def weigh(data):
    return sum(data[::4096])


def mirror(data):
    return data


def meet(fifo, mode):
    """Returns when the other worker, with the other mode, is there too."""
    os.close(os.open(fifo, mode))
    return os.getpid()


def new_executor():
    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("fork"))


@functools.cache
def executor():
    return new_executor()


@functools.cache
def pool():
    return multiprocessing.get_context("fork").Pool(WORKERS)


def timed(n, f):
    """Returns how long each of the n items took that f makes, and what it returned."""
    begin = time.perf_counter_ns()
    got = f()
    return (time.perf_counter_ns() - begin) / n, got


def check(got, want):
    if got != want:
        sys.exit(f"got {got}, want {want}")


def submit(n):
    ex = executor()

    def work():
        futures = [ex.submit(one_more, i) for i in range(n)]
        return [f.result() for f in futures]

    spent, got = timed(n, work)
    check(got[-1], n)
    return spent


def one(n):
    ex = executor()
    spent, got = timed(n, lambda: [ex.submit(one_more, 1).result() for _ in range(n)])
    check(got[-1], 2)
    return spent


def map_numbers(n):
    p, items = pool(), list(range(n))
    spent, got = timed(n, lambda: p.map(one_more, items))
    check(got[-1], n)
    return spent


def map_tuples(n):
    p, items = pool(), [(i, f"item {i}") for i in range(n)]
    spent, got = timed(n, lambda: p.map(one_more_tuple, items))
    check(got[-1][0], n)
    return spent


def map_dicts(n):
    p, items = pool(), [{"Number": i, "Label": f"item {i}"} for i in range(n)]
    spent, got = timed(n, lambda: p.map(one_more_dict, items))
    check(got[-1]["Number"], n)
    return spent


def big_argument(n):
    ex = executor()
    spent, got = timed(n, lambda: [ex.submit(weigh, BIG).result() for _ in range(n)])
    check(got[-1], 0)
    return spent


def big_both(n):
    ex = executor()
    spent, got = timed(n, lambda: [len(ex.submit(mirror, BIG).result()) for _ in range(n)])
    check(got[-1], len(BIG))
    return spent


def both_meet(ex):
    futures = [ex.submit(meet, sys.argv[1], mode) for mode in (os.O_RDONLY, os.O_WRONLY)]
    return [f.result() for f in futures]


def cold(n, first_results, workers):
    def work():
        ex = new_executor()
        return ex, first_results(ex)

    total = 0
    for _ in range(n):
        spent, (ex, pids) = timed(1, work)
        check(len(set(pids)), workers)
        ex.shutdown()
        total += spent
    return total / n


def cold_first(n):
    return cold(n, lambda ex: [ex.submit(os.getpid).result()], 1)


def cold_both(n):
    return cold(n, both_meet, WORKERS)


def idle_memory(n):
    with new_executor() as ex:
        pids = both_meet(ex)
        return sum(map(pss, pids)) / len(pids)


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10


if __name__ == "__main__":
    works = {f.__name__: f for f in (submit, one, map_numbers, map_tuples, map_dicts, big_argument, big_both, cold_first, cold_both, idle_memory)}
    for line in sys.stdin:
        work, n = line.split()
        print(works[work](int(n)), flush=True)
