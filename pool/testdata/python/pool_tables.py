"""Writes the answers of CPython's multiprocessing pools to pool.json:

    /usr/bin/python3 pool_tables.py > ../pool.json

Each call is made on multiprocessing.Pool (fork) and on
multiprocessing.pool.ThreadPool, two workers each. One row has the answer of both;
the script stops if they differ.
"""

import itertools
import json
import multiprocessing
import multiprocessing.pool
import os
import platform
import re
import signal
import sys
import time

WORKERS = 2
LATE = 0.06  # so late that all the others are there
LATER = 0.12


def work(item):
    """Returns ten times the number of an item, or fails with it, some time later."""
    number, fails, delay = item
    if fails:
        time.sleep(delay)
        raise ValueError(f"item {number}")
    return 10 * number


def pools():
    yield multiprocessing.get_context("fork").Pool
    yield multiprocessing.pool.ThreadPool


def text(error):
    message = re.sub(" object at 0x[0-9a-f]+", "", str(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


# What came of a call is a list of numbers and of the texts of errors. That of map
# is one text if it fails.


def of_map(call):
    try:
        return call()
    except ValueError as error:
        return str(error)


def of_imap(iterator):
    """Goes on after an error for as long as the iterator does."""
    outcomes = []
    while True:
        try:
            outcomes.append(next(iterator))
        except StopIteration:
            return outcomes
        except ValueError as error:
            outcomes.append(str(error))


def items(n, fails):
    """The first of two that fail arrives after the second."""
    first = fails[0] if len(fails) > 1 else None
    return [(i, i in fails, LATER if i == first else LATE) for i in range(n)]


def outcomes(pool, n, chunk, fails):
    options = {} if chunk is None else {"chunksize": chunk}
    data = items(n, fails)
    return [
        of_map(lambda: pool.map(work, data, **options)),
        of_map(lambda: pool.map_async(work, data, **options).get()),
        of_imap(iter(pool.imap(work, data, **options))),
        sorted(of_imap(iter(pool.imap_unordered(work, data, **options))), key=rank),
    ]


def rank(outcome):
    return (isinstance(outcome, str), outcome)


def cases():
    for n in (0, 1, 2, 5, 8, 20):
        failing = [()]
        if n <= 8:
            failing += [(i,) for i in range(n)]
        failing += {2: [(0, 1)], 5: [(1, 3)], 8: [(0, 7), (2, 3)], 20: [(4, 17)]}.get(n, [])
        sizes = [None] + sorted({1, 2, 3, 50} | ({n} if n else set()))
        yield from itertools.product([n], sizes, failing)


def outcome_rows():
    open_pools = [make(WORKERS) for make in pools()]
    for n, chunk, fails in cases():
        answers = [outcomes(pool, n, chunk, fails) for pool in open_pools]
        if answers[0] != answers[1]:
            sys.exit(f"n={n} chunk={chunk} fails={fails}: {answers}")
        yield [n, chunk, fails, *answers[0]]
    for pool in open_pools:
        pool.terminate()


def chunk_rows():
    """The sizes of chunks that map chooses, for each number of workers."""
    numbers = [*range(51), 100, 1000, 1001, 12345]
    sizes = []
    split = multiprocessing.pool.Pool._get_tasks

    def watched(func, iterable, size):
        sizes.append(size)
        return split(func, iterable, size)

    multiprocessing.pool.Pool._get_tasks = staticmethod(watched)
    yield numbers
    for workers in (1, 2, 3, 4, 8):
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            sizes.clear()
            for n in numbers:
                pool.map(abs, range(n))
            yield [workers, sizes[:]]
    multiprocessing.pool.Pool._get_tasks = staticmethod(split)


# What is asked about a pool. None is returned by what waits for nothing and
# returns nothing.

ITEMS = [(i, False, 0) for i in range(3)]


def apply_fails(pool):
    return pool.apply(work, ((7, True, 0),))


def closed(call):
    def ask(pool):
        pool.close()
        return call(pool)

    return ask


def terminated(call):
    def ask(pool):
        pool.terminate()
        return call(pool)

    return ask


def late_result(pool):
    slow = pool.apply_async(time.sleep, (0.3,))
    try:
        slow.get(0.01)
    except multiprocessing.TimeoutError as error:
        return [text(error), slow.get()]


def lost(pool):
    slow = pool.apply_async(time.sleep, (0.2,))
    pool.terminate()
    return slow.get(1)


def pulled(pool):
    count = 0

    def source():
        nonlocal count
        for i in range(1000):
            count += 1
            yield (i, False, 0)

    pool.imap(work, source())
    time.sleep(0.5)
    return count


CALLS = {
    "apply": lambda pool: pool.apply(work, (ITEMS[1],)),
    "apply_async": lambda pool: pool.apply_async(work, (ITEMS[1],)).get(5),
    "map": lambda pool: pool.map(work, ITEMS),
    "map_async": lambda pool: pool.map_async(work, ITEMS).get(5),
    "imap": lambda pool: list(pool.imap(work, ITEMS)),
    "imap_unordered": lambda pool: sorted(pool.imap_unordered(work, ITEMS)),
}

BEHAVIOURS = (
    CALLS
    | {"apply of a function that fails": apply_fails}
    | {f"{name} after close": closed(call) for name, call in CALLS.items()}
    | {f"{name} after terminate": terminated(call) for name, call in CALLS.items()}
    | {
        "map with chunksize 0": lambda pool: pool.map_async(work, ITEMS, chunksize=0).get(5),
        "map with chunksize -1": lambda pool: pool.map_async(work, ITEMS, chunksize=-1).get(5),
        "imap with chunksize 0": lambda pool: list(pool.imap(work, ITEMS, chunksize=0)),
        "imap with chunksize -1": lambda pool: list(pool.imap(work, ITEMS, chunksize=-1)),
        "imap_unordered with chunksize 0": lambda pool: list(pool.imap_unordered(work, ITEMS, chunksize=0)),
        "imap_unordered with chunksize -1": lambda pool: list(pool.imap_unordered(work, ITEMS, chunksize=-1)),
        "map_async of nothing is ready": lambda pool: pool.map_async(work, []).ready(),
        "close twice": lambda pool: [pool.close(), pool.close()],
        "terminate twice": lambda pool: [pool.terminate(), pool.terminate()],
        "terminate after close": lambda pool: [pool.close(), pool.terminate()],
        "join before close": lambda pool: pool.join(),
        "join after close": closed(lambda pool: pool.join()),
        "get with a timeout, get again": late_result,
        "successful before it is ready": lambda pool: pool.apply_async(time.sleep, (0.3,)).successful(),
        "get, after a second, of a call that was terminated": lost,
        "items of 1,000 that imap pulls by itself": pulled,
    }
)


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def answer(ask):
    try:
        return ask()
    except Exception as error:
        return text(error)


def behaviour_rows():
    for name, ask in BEHAVIOURS.items():
        answers = []
        for make in pools():
            pool = make(WORKERS)
            answers.append(answer(lambda: ask(pool)))
            pool.terminate()
        if answers[0] != answers[1]:
            sys.exit(f"{name}: {answers}")
        yield [name, answers[0]]
    for n in (0, -1):
        answers = [answer(lambda: make(n)) for make in pools()]
        if answers[0] != answers[1]:
            sys.exit(f"{n} workers: {answers}")
        yield [f"a pool of {n}", answers[0]]
    pool = multiprocessing.get_context("fork").Pool(WORKERS)
    yield [
        "get, after a second, of a call whose worker was killed",
        answer(lambda: pool.apply_async(die, (0,)).get(1)),
    ]
    pool.terminate()


def table(name, rows, last=False):
    rows = [json.dumps(row, separators=(",", ":")) for row in rows]
    print(f'"{name}":[\n' + ",\n".join(rows) + ("\n]" if last else "\n],"))


def main():
    made = {
        "implementation": platform.python_implementation(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "start_method": "fork",
    }
    print("{")
    print(f'"made_by":{json.dumps(made)},')
    table("chunks", chunk_rows())
    table("outcomes", outcome_rows())
    table("behaviours", behaviour_rows(), last=True)
    print("}")


if __name__ == "__main__":
    main()
