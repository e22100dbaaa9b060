"""Processes that import the main module again, or get its functions: their blocks hit what the parent has saved."""

from __future__ import annotations

import pytest

HEAD = """
from blockcache import cached_block

def count():
    with open("ran.txt", "a") as file:
        file.write("x")
"""

#: Name -> (library that must be there, program); each body calls count() when it runs.
PROGRAMS = {
    "spawned pool below a block": (
        "multiprocessing",
        """
import multiprocessing as mp
with cached_block("table"):
    table = {i: i * i for i in range(10)}
    count()
def work(i):
    return table[i]
if __name__ == "__main__":
    with mp.get_context("spawn").Pool(2) as pool:
        print(pool.map(work, range(6)))
""",
    ),
    "spawned pool inside a block": (
        "multiprocessing",
        """
import multiprocessing as mp
def work(i):
    return i * i
def squares():
    with mp.get_context("spawn").Pool(2) as pool:
        return pool.map(work, range(6))
if __name__ == "__main__":
    with cached_block("squares"):
        r = squares()
        count()
    print(r)
""",
    ),
    "spawned pool inside a block below a block": (
        "concurrent.futures",
        """
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor
with cached_block("table"):
    table = {i: i * i for i in range(10)}
    count()
def work(i):
    return table[i]
def squares():
    with ProcessPoolExecutor(2, mp_context=mp.get_context("spawn")) as pool:
        return list(pool.map(work, range(6)))
if __name__ == "__main__":
    with cached_block("squares"):
        r = squares()
        count()
    print(r)
""",
    ),
    "loky": (
        "joblib",
        """
from joblib import Parallel, delayed
with cached_block("table"):
    table = {i: i * i for i in range(10)}
    count()
def work(i):
    return table[i]
if __name__ == "__main__":
    with cached_block("squares"):
        r = Parallel(n_jobs=2)(delayed(work)(i) for i in range(6))
        count()
    print(r)
""",
    ),
    "dask": (
        "distributed",
        """
with cached_block("table"):
    table = {i: i * i for i in range(10)}
    count()
def work(i):
    return table[i]
if __name__ == "__main__":
    from dask.distributed import Client, LocalCluster
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            print(client.gather(client.map(work, range(6))))
""",
    ),
    "a job of submitit": (
        "submitit",
        """
import submitit
def job(n):
    with cached_block("job"):
        r = n * 2
        count()
    return r
if __name__ == "__main__":
    executor = submitit.AutoExecutor(folder="jobs", cluster="local")
    print(executor.submit(job, 21).result())
""",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_workers_behave_as_without_a_cache(project, name):
    """The same output as without a cache; each body runs once, and never again in a worker or a second run."""
    library, text = PROGRAMS[name]
    pytest.importorskip(library)
    project.write(main=HEAD + text)
    plain = project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    (project.folder / "ran.txt").unlink()
    cold = project.run()
    assert cold.stdout == plain
    bodies = text.count("with cached_block(")
    assert (project.folder / "ran.txt").read_text() == "x" * bodies, cold.stderr
    warm = project.run()
    assert warm.stdout == plain and set(warm.outcomes) == {"hit"}, warm.stderr
    assert (project.folder / "ran.txt").read_text() == "x" * bodies
    told = [line for line in warm.stderr.splitlines() if "  hit   " in line]
    in_a_log_file = name == "a job of submitit"
    assert len(told) == (0 if in_a_log_file else bodies), "one line a block, none from workers that import main again"


def test_a_block_that_starts_processes_without_a_guard_fails_as_it_would(project):
    """Without `if __name__ == "__main__"`, a spawned worker starts workers in turn: Python's error, not a hang."""
    project.write(
        main=HEAD
        + """
import multiprocessing as mp
def work(i):
    return i * i
with cached_block("squares"):
    with mp.get_context("spawn").Pool(1) as pool:
        r = pool.apply_async(work, (3,)).get(timeout=10)
"""
    )
    ran = project.run(check=False)
    assert ran.code != 0 and "__name__ == '__main__'" in ran.stderr
