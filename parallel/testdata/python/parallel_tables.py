"""Writes the answers of joblib to joblib.json:

    /usr/bin/python3 parallel_tables.py > ../joblib.json

The calls wait until joblib has dispatched what it dispatches ahead. From then on
it counts on one thread, and what it cuts does not depend on time.
"""

import contextlib
import io
import itertools
import json
import platform
import re
import sys
import threading
import time

import joblib
import joblib._parallel_backends
import joblib.externals.loky
import joblib.logger
import joblib.parallel
from joblib import Parallel, delayed

is_dispatched = threading.Event()
retrieve = Parallel.retrieve


def watched_retrieve(self):
    is_dispatched.set()
    return retrieve(self)


Parallel.retrieve = watched_retrieve


class SequentialBackend(joblib._parallel_backends.SequentialBackend):
    """Makes calls when they are dispatched."""

    def apply_async(self, *args, **options):
        is_dispatched.set()
        return super().apply_async(*args, **options)


joblib._parallel_backends.SequentialBackend = SequentialBackend
joblib.parallel.BACKENDS["sequential"] = SequentialBackend


def run(calls, **options):
    """Parallel(options)(calls), where calls begin when they are dispatched."""
    is_dispatched.clear()
    return Parallel(**options)(calls)


def waiting(i):
    is_dispatched.wait()
    return i


def set_cpus(n):
    def cpu_count(only_physical_cores=False):
        return n

    joblib.parallel.cpu_count = cpu_count
    joblib._parallel_backends.cpu_count = cpu_count


def text(error):
    return f"{type(error).__name__}: {error}"


# The number of jobs.

NUMBERS = [*range(-100, 11), 100]


def effective(n):
    try:
        return joblib.effective_n_jobs(n)
    except ValueError as error:
        return text(error)


def effective_rows():
    for cpus in (1, 2, 4, 8):
        set_cpus(cpus)
        yield [cpus, list(map(effective, NUMBERS))]


# The automatic batch size. A row has how many batches are under way, how long each
# of them takes, the size of each, and what is printed.


class Backend(joblib._parallel_backends.AutoBatchingMixin):
    def __init__(self, parallel):
        super().__init__()
        self.parallel = parallel


def paces():
    """Seconds that batches take."""
    yield [0.0] * 6
    for seconds in (0.0001, 0.001, 0.05, 0.099, 0.1, 0.11, 0.15, 0.19, 0.2, 0.5, 2.0, 2.5, 10.0):
        yield [seconds] * 12
    for per_call in (0.0001, 0.003, 0.02, 0.15, 0.3, 1.5, 5.0):
        yield ("call", per_call, 14)
    yield [0.001] * 8 + [2.5] * 6
    yield [0.01] * 8 + [30.0] * 3 + [0.01] * 6
    yield [0.15, 0.19, 0.1, 0.25, 0.12, 0.05, 0.3, 0.18, 2.2, 2.8, 1.9, 2.4]
    yield [0.0, 0.05, 0.0, 0.05, 0.0, 0.0, 0.05]
    yield [0.199, 0.201, 0.199, 0.15, 0.1, 0.1, 0.1, 4.0, 0.1, 0.1]
    yield [0.02, 7.0, 0.02, 7.0, 0.02, 7.0, 0.02, 7.0]


def sizes(under_way, pace):
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        backend = Backend(Parallel(n_jobs=2, verbose=10))
        durations, sizes = [], []
        for i in range(pace[2] if pace[0] == "call" else len(pace)):
            sizes.append(backend.compute_batch_size())
            durations.append(round(pace[1] * sizes[-1], 9) if pace[0] == "call" else pace[i])
            ended = i + 1 - under_way
            if ended >= 0:
                backend.batch_completed(sizes[ended], durations[ended])
    found = re.findall(r"^\[Parallel\(n_jobs=2\)\]: Batch computation too (fast|slow) \((.*)s\.\) Setting batch_size=(.*)\.$", out.getvalue(), re.M)
    assert len(found) == len(out.getvalue().splitlines())
    return [under_way, durations, sizes, " ".join(",".join(words) for words in found)]


def size_rows():
    for under_way, pace in itertools.product((1, 3), paces()):
        yield sizes(under_way, list(pace))


# The batches into which calls are cut, as "size x count": joblib's own loop.


def cut(n, n_jobs, batch_size, pre_dispatch):
    batches = []
    dispatch = Parallel._dispatch

    def watched(self, batch):
        batches.append(len(batch))
        return dispatch(self, batch)

    Parallel._dispatch = watched
    try:
        got = run(
            (delayed(waiting)(i) for i in range(n)),
            n_jobs=n_jobs,
            backend="threading",
            batch_size=batch_size,
            pre_dispatch=pre_dispatch,
        )
    finally:
        Parallel._dispatch = dispatch
    assert got == list(range(n)) and sum(batches) == n
    return " ".join(f"{size}x{len(list(group))}" for size, group in itertools.groupby(batches))


def cut_rows():
    for n_jobs, batch_size in itertools.product((1, 2, 3, 4), (1, 2, 3, 7, 10, 100)):
        for pre_dispatch in ("2*n_jobs", "all", 1, 3, 10) if n_jobs > 1 else ("2*n_jobs",):
            for n in (0, 1, 5, 17, 64, 250):
                yield [n, n_jobs, batch_size, pre_dispatch, cut(n, n_jobs, batch_size, pre_dispatch)]


# The form of what is printed.

LINES = {
    "begin": "[Parallel(n_jobs=%d)]: Using backend %s with %d concurrent workers.\n",
    "tasks": "[Parallel(n_jobs=%d)]: Done %3d tasks      | elapsed: T\n",
    "of": "[Parallel(n_jobs=%d)]: Done %3d out of %3d | elapsed: T remaining: T\n",
    "end": "[Parallel(n_jobs=%d)]: Done %3d out of %3d | elapsed: T finished\n",
}


SECONDS = [0, 0.04, 0.05, 0.06, 0.1, 0.15, 0.25, 0.949, 0.95, 1, 9.96, 59.94, 59.96, 60, 60.01, 61, 90, 599, 3600, 5999, 60000, 600000, 6000000]


def time_rows():
    for seconds in SECONDS:
        yield [seconds, joblib.logger.short_format_time(seconds)]


# Results and errors: lists of results, and the text of an error.


def late(i, fails, is_late):
    is_dispatched.wait()
    if i in fails:
        time.sleep(0.05 if is_late else 0)
        raise ValueError(f"call {i}")
    return 10 * i


def outcome(backend, n_jobs, n, fails):
    """The first of two that fail is late."""
    calls = (delayed(late)(i, fails, len(fails) > 1 and i == fails[0]) for i in range(n))
    try:
        return run(calls, n_jobs=n_jobs, backend=backend)
    except ValueError as error:
        return str(error)


def outcome_rows():
    set_cpus(4)
    for n_jobs in (0, 1, 2, -1, -2, -100):
        for n in (0, 1, 6):
            for fails in [(), *((i,) for i in range(n))] + ([(2, 5), (0, 1)] if n == 6 else []):
                yield [n_jobs, n, fails, outcome("threading", n_jobs, n, fails)]


def backend_error():
    try:
        Parallel(n_jobs=2, backend="nothing")
    except ValueError as error:
        return text(error)


def main():
    tables = {
        "effective": effective_rows(),
        "sizes": size_rows(),
        "cuts": cut_rows(),
        "times": time_rows(),
        "outcomes": outcome_rows(),
    }
    made_by = {
        "python": platform.python_version(),
        "joblib": joblib.__version__,
        "loky": joblib.externals.loky.__version__,
    }
    print("{" + f'"made_by": {json.dumps(made_by)},')
    print(f'"numbers": {json.dumps(NUMBERS)},')
    print(f'"lines": {json.dumps(LINES)},')
    print(f'"unknown_backend": {json.dumps(backend_error())},')
    for i, (name, rows) in enumerate(tables.items()):
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        print(f'"{name}": [\n{lines}\n]' + ("," if i < len(tables) - 1 else ""))
    print("}")


if __name__ == "__main__":
    main()
