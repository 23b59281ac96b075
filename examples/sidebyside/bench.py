"""The work of the benchmark, done by CPython: with one of concurrent.futures'
ProcessPoolExecutor, multiprocessing's Pool and joblib, which the argument names.

It prints a line that says what it is, then reads lines of JSON and answers each
with one: {"value": nanoseconds of a call or bytes} or {"error": "..."}. Results are
checked outside of the timing.
"""

import concurrent.futures
import functools
import json
import multiprocessing
import os
import platform
import sys
import time

STEP_SHIFT = 24  # as in work.go
NAP = 0.05  # while a worker sleeps so long, the other ones are to take the other calls


def call(item):
    u = item | 1
    for _ in range(item >> STEP_SHIFT):
        u = (u * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
    return item + 1 if u >= 0 else 0


def call_tuple(x):
    return x[0] + 1, x[1]


def call_dict(x):
    return {"Number": x["Number"] + 1, "Label": x["Label"]}


def weigh(data):
    return int(sum(data[::4096]))


def mirror(data):
    return data


def nap(seconds):
    time.sleep(seconds)
    return os.getpid()


def context():
    """Forked workers where there is fork, whatever this version's default is."""
    forks = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"
    return multiprocessing.get_context("fork" if forks else None)


class Executor:
    """concurrent.futures.ProcessPoolExecutor"""

    nap = NAP

    def __init__(self, workers):
        self.workers = workers
        self.ex = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context())

    def submit(self, items):
        futures = [self.ex.submit(call, x) for x in items]
        return [f.result() for f in futures]

    def one(self, function, x):
        return self.ex.submit(function, x).result()

    def map(self, function, items):
        # The default is chunks of 1. This is the choice of multiprocessing.
        return list(self.ex.map(function, items, chunksize=max(1, len(items) // (4 * self.workers))))

    def meet(self, seconds):
        futures = [self.ex.submit(nap, seconds) for _ in range(self.workers)]
        return [f.result() for f in futures]

    def close(self):
        self.ex.shutdown()


class Pool:
    """multiprocessing.Pool"""

    nap = NAP

    def __init__(self, workers):
        self.workers = workers
        self.pool = context().Pool(workers)

    def submit(self, items):
        pending = [self.pool.apply_async(call, (x,)) for x in items]
        return [p.get() for p in pending]

    def one(self, function, x):
        return self.pool.apply(function, (x,))

    def map(self, function, items):
        return self.pool.map(function, items)

    def meet(self, seconds):
        return self.pool.map(nap, [seconds] * self.workers, chunksize=1)

    def close(self):
        self.pool.close()
        self.pool.join()


class Joblib:
    """joblib.Parallel"""

    nap = 10 * NAP  # its workers start one after another

    def __init__(self, workers):
        import joblib

        self.workers = workers
        self.joblib = joblib

    def parallel(self, function, items):
        delayed = self.joblib.delayed(function)
        return self.joblib.Parallel(n_jobs=self.workers)(delayed(x) for x in items)

    def submit(self, items):
        return self.parallel(call, items)

    def one(self, function, x):
        return self.parallel(function, [x])[0]

    def map(self, function, items):
        return self.parallel(function, items)

    def meet(self, seconds):
        return self.parallel(nap, [seconds] * self.workers)

    def close(self):
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True, kill_workers=True)


KINDS = {"executor": Executor, "pool": Pool, "joblib": Joblib}


class Bench:
    def __init__(self, kind):
        self.kind = KINDS[kind]
        self.pool = None

    def ready(self, workers):
        """The pool of so many workers; one that has another number is closed."""
        if self.pool is not None and self.pool.workers != workers:
            self.close()
        if self.pool is None:
            self.pool = self.kind(workers)
        return self.pool

    def close(self):
        if self.pool is not None:
            self.pool.close()
        self.pool = None

    def submit(self, workers, n, ns):
        pool = self.ready(workers)
        steps = int(ns / 1000 * steps_per_microsecond()) if ns else 0
        items = [steps << STEP_SHIFT | i for i in range(n)]
        return timed(n, lambda: pool.submit(items), [x + 1 for x in items])

    def one(self, workers, n, ns):
        pool = self.ready(workers)
        return timed(n, lambda: [pool.one(call, i) for i in range(n)], list(range(1, n + 1)))

    def map_numbers(self, workers, n, ns):
        items = list(range(n))
        pool = self.ready(workers)
        return timed(n, lambda: pool.map(call, items), list(range(1, n + 1)))

    def map_tuples(self, workers, n, ns):
        items = [(i, f"item {i}") for i in range(n)]
        pool = self.ready(workers)
        return timed(n, lambda: pool.map(call_tuple, items), [(i + 1, s) for i, s in items])

    def map_dicts(self, workers, n, ns):
        items = [{"Number": i, "Label": f"item {i}"} for i in range(n)]
        pool = self.ready(workers)
        return timed(n, lambda: pool.map(call_dict, items), [call_dict(x) for x in items])

    def big_argument(self, workers, n, size):
        return self.big(workers, n, weigh, ones(size), lambda got: got == pages(size))

    def big_both(self, workers, n, size):
        return self.big(workers, n, mirror, ones(size), lambda got: len(got) == size and weigh(got) == pages(size))

    def numpy_argument(self, workers, n, size):
        import numpy

        data = numpy.frombuffer(ones(size), dtype=numpy.uint8)
        return self.big(workers, n, weigh, data, lambda got: got == pages(size))

    def big(self, workers, n, function, data, is_right):
        """n calls after as many that are not counted. No result is kept."""
        pool = self.ready(workers)
        total = 0
        for i in range(2 * n):
            spent, got = spend(lambda: pool.one(function, data))
            check(is_right(got))
            got = None
            total += spent if i >= n else 0
        return total / n

    def start(self, workers, n, ns):
        return sum(self.start_one(workers)[0] for _ in range(n)) / n

    def idle(self, workers, n, ns):
        return self.start_one(workers, lambda pids: sum(map(pss, pids)) / len(pids))[1]

    def start_one(self, workers, look=lambda pids: None):
        seconds = self.kind.nap
        for _ in range(5):
            self.close()

            def meet():
                self.pool = self.kind(workers)
                return self.pool.meet(seconds)

            spent, pids = spend(meet)
            seen = look(pids)
            self.close()
            if len(set(pids)) == workers:
                return spent - seconds * 1e9, seen
            seconds *= 2  # one has made two calls before another was there
        raise ValueError(f"only {len(set(pids))} of {workers} workers have answered")


def ones(n):
    return b"\1" * n


def spend(f):
    begin = time.perf_counter_ns()
    got = f()
    return time.perf_counter_ns() - begin, got


def timed(n, f, want):
    spent, got = spend(f)
    check(got == want)
    return spent / n


def check(is_right):
    if not is_right:
        raise ValueError("the results are wrong")


def pages(size):
    return len(range(0, size, 4096))


@functools.cache
def steps_per_microsecond():
    steps = 10_000
    return steps / (min(spend(lambda: call(steps << STEP_SHIFT))[0] for _ in range(10)) / 1000)


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10


def version(kind):
    text = f"{platform.python_implementation()} {platform.python_version()}"
    if kind == "joblib":
        import joblib

        text += f", joblib {joblib.__version__}"
        try:
            import numpy

            text += f", numpy {numpy.__version__}"
        except ImportError:
            pass
    return text


def main():
    kind = sys.argv[1]
    try:
        print(json.dumps({"version": version(kind)}), flush=True)
    except ImportError as e:
        print(json.dumps({"error": str(e)}), flush=True)
        return
    bench = Bench(kind)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            value = getattr(bench, order["work"])(order["workers"], order["n"], order["arg"])
            answer = {"value": value}
        except Exception as e:
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)
    bench.close()


if __name__ == "__main__":
    main()
