"""Statistics: what a store's blocks came to, over processes that begin, fork, end and are killed as they like."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from blockcache import statistics
from blockcache.counts import Counts
from blockcache.events import BlockFinished
from blockcache.stores.local import LocalStore
from projects import Project

MAIN = """
import os, sys, threading, time
from blockcache import cached_block, cached_function
n = int(sys.argv[1])
with cached_block("one"):
    x = n * 2
with cached_block("two"):
    y = len("abc")
with cached_block("held"):
    lock = threading.Lock()
print(lock)
try:
    with cached_block("raises"):
        1 / 0
except ZeroDivisionError:
    pass
with cached_block("no key"):
    z = eval("1 + 1")
@cached_function
def square(k):
    return k * k
print(sum(square(k) for k in range(5)) + sum(square(k) for k in range(5)))
"""


def _store(project: Project) -> LocalStore:
    return LocalStore(project.folder / ".blockcache")


def _records(project: Project) -> list[str]:
    return list(_store(project).list("stats"))


def _event(name: str = "b", outcome: str = "hit", **facts: object) -> BlockFinished:
    fixed = {"file": "f.py", "line": 1, "host": "script", "took_s": 0.5}
    return BlockFinished(**{"name": name, "outcome": outcome, **fixed, **facts})


def _hits(store: LocalStore, name: str = "b") -> int:
    return statistics.read(store).get(name, Counts()).hits


def _put(store: LocalStore, name: str, hits: int, *, closed: bool = True, folded: tuple[str, ...] = ()) -> None:
    raw = {"form": 1, "closed": closed, "folded": folded, "names": {"b": {"hits": hits}}}
    store.put(f"stats/{name}.json", [json.dumps(raw).encode()])


# -- what is counted -----------------------------------------------------------------------


def test_the_sums_are_those_of_the_events(project: Project) -> None:
    """Over three processes every number, time and reason is the sum of what the log says; calls of functions too."""
    project.write(main=MAIN)
    logged = [event for argument in ("1", "1", "2") for event in project.run(arguments=[argument]).events]
    found = statistics.read(_store(project))
    assert found.keys() == {event["name"] for event in logged}
    for name, counts in found.items():
        events = [event for event in logged if event["name"] == name]
        hits = [e for e in events if e["outcome"] == "hit"]
        ran = [e for e in events if e["outcome"] == "miss"]
        assert (counts.hits, counts.misses + counts.uncacheable) == (len(hits), len(ran))
        assert counts.uncacheable == sum(e["obstacle"] != "" for e in ran)
        assert counts.causes == Counter(e["cause"] for e in ran if e["cause"])
        assert counts.obstacles == Counter(e["obstacle"] for e in ran if e["obstacle"])
        assert counts.loaded_bytes == sum(e["size_bytes"] for e in hits)
        assert counts.saved_s == pytest.approx(sum(e["saved_s"] for e in hits))
        assert counts.key_s == pytest.approx(sum(e["key_s"] or 0 for e in events))
        spent_s = sum(e["took_s"] for e in hits) + sum(e["took_s"] - e["body_s"] for e in ran)
        assert counts.net_s == pytest.approx(counts.saved_s - spent_s)
    assert found["one"].causes == {"first run": 1, "value changed": 1}
    assert found["held"].obstacles == {"name not given back": 2}
    assert found["raises"].obstacles == {"body raised": 3}
    assert found["no key"].obstacles == {"no key": 3} and not found["no key"].causes
    assert (found["square"].hits, found["square"].misses) == (25, 5)


@pytest.mark.parametrize(
    ("edit", "cause"),
    [
        (("k * 2", "k * 3"), "definition changed"),
        (("u = f(1)", "u = f(1) + 0"), "body changed"),
        (('cached_block("b")', 'cached_block("b", version=2)'), "version changed"),
        (('cached_block("b")', 'cached_block("b", ttl=1e-6)'), "ttl"),
        (('cached_block("b")', 'cached_block("b", validate=lambda values: False)'), "validate"),
        (('cached_block("b")', 'cached_block("b", mode="refresh")'), "refresh"),
        (('"r.txt", "w"', '"r.txt", "a"'), "file changed"),
    ],
)
def test_a_miss_is_counted_by_its_reason(project: Project, edit: tuple[str, str], cause: str) -> None:
    """Each kind of difference, and each argument that refuses an entry, has its own reason."""
    program = """
        from blockcache import cached_block
        def f(k):
            return k * 2
        with open("r.txt", "w") as file:
            file.write("text")
        with cached_block("b"):
            u = f(1)
            t = open("r.txt").read()
    """.replace("\n        ", "\n")
    project.write(main=program)
    project.run()
    project.write(main=program.replace(*edit))
    project.run()
    assert statistics.read(_store(project))["b"].causes == {"first run": 1, cause: 1}


def test_a_broken_entry_is_counted_as_one(project: Project) -> None:
    """The blob is gone: the body runs, and the reason is the entry."""
    project.write(main="from blockcache import cached_block\nwith cached_block('b'):\n    x = 1\n")
    project.run()
    store = _store(project)
    for name in list(store.list("blobs")):
        store.delete(name)
    project.run()
    assert statistics.read(store)["b"].causes == {"first run": 1, "entry unusable": 1}


def test_time_saved_is_that_of_the_body(project: Project) -> None:
    """A key that takes longer than the body is not saved by a hit: it is paid again."""
    project.write(
        main="""
        import time
        from blockcache import cached_block
        def slow():
            time.sleep(0.4)
            return 1
        with cached_block("b", inputs=[slow]):
            x = 1
        """.replace("\n        ", "\n")
    )
    first, second = project.run().events + project.run().events
    assert second["outcome"] == "hit"
    assert second["saved_s"] == first["body_s"] < 0.4 <= min(first["key_s"], second["key_s"])
    assert first["body_s"] + first["key_s"] <= first["took_s"]
    assert statistics.read(_store(project))["b"].net_s < -0.4


def test_waiting_for_another_run_is_no_cost_of_the_cache() -> None:
    """Neither of saving nor of loading: without a cache that time would be the body's."""
    counts = Counts()
    counts.count(_event(outcome="miss", took_s=8.0, key_s=1.0, waited_s=4.0, body_s=2.0))
    counts.count(_event(outcome="hit", took_s=8.0, key_s=1.0, waited_s=4.0, saved_s=2.0))
    assert (counts.save_s, counts.load_s, counts.key_s, counts.net_s) == (1.0, 3.0, 2.0, -4.0)


def test_runs_that_are_compared_are_neither_hits_nor_misses(project: Project) -> None:
    """Mode verify: what is the same and what differs are counted apart, and save nothing."""
    project.write(main="from blockcache import cached_block\nimport os\nwith cached_block('b'):\n    x = os.getpid()\n")
    project.run()
    project.run(env={"BLOCKCACHE_MODE": "verify"})
    counts = statistics.read(_store(project))["b"]
    assert (counts.hits, counts.misses, counts.verified, counts.differs, counts.saved_s) == (0, 1, 0, 1, 0.0)


def test_no_hit_touches_the_statistics(project: Project) -> None:
    """Until it is time, and until the end, nothing is opened, listed or renamed for them."""
    project.write(
        main="""
        import sys
        from blockcache import cached_block
        seen = []
        sys.addaudithook(lambda event, args: seen.append(f"{event} {args}") if event.startswith(("o", "s")) else None)
        for _ in range(50):
            with cached_block("b") as block:
                x = 1
        print(block.hit, any("stats" in one for one in seen), any(".blockcache" in one for one in seen))
        """.replace("\n        ", "\n")
    )
    assert project.run().stdout == "True False True\n"
    assert _hits(_store(project)) == 49


# -- processes -----------------------------------------------------------------------------


def test_many_processes_at_once_count_exactly(project: Project) -> None:
    """Thirty processes that end as they like, folding at every second record: nothing is lost or doubled, few are left."""
    project.write(main="from blockcache import cached_block\nwith cached_block('b'):\n    x = 1\n")
    project.run()
    program = """
import os, sys
from blockcache import cached_block, statistics
statistics.FOLD_AT = 2
children = []
for _ in range(10):
    child = os.fork()
    if not child:
        for _ in range(3):
            with cached_block("b"):
                x = 1
        sys.exit()
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""
    project.write(main=program)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BLOCKCACHE_")} | {"BLOCKCACHE_QUIET": "1"}
    command = [sys.executable, "main.py"]
    running = [subprocess.Popen(command, cwd=project.folder, env=environment) for _ in range(3)]
    reads = []
    while any(process.poll() is None for process in running):
        reads.append(_hits(_store(project)))
    assert [process.returncode for process in running] == [0, 0, 0]
    assert _hits(_store(project)) == 90
    assert reads == sorted(reads)
    assert len(_records(project)) < 31
    statistics.fold(_store(project))
    assert len(_records(project)) == 1 and _hits(_store(project)) == 90


def test_a_child_counts_its_own(project: Project) -> None:
    """What happened before a fork is the parent's alone; workers of multiprocessing count; ``os._exit`` loses."""
    project.write(
        main="""
        import multiprocessing, os, sys
        from blockcache import cached_block
        def work(k):
            with cached_block("in a worker"):
                x = "worked"
            return x
        if __name__ == "__main__":
            with cached_block("before"):
                x = 1
            for leave in (sys.exit, os._exit):
                if not (child := os.fork()):
                    with cached_block("in a child"):
                        y = 1
                    leave(0)
                os.waitpid(child, 0)
            for method in ("fork", "spawn"):
                process = multiprocessing.get_context(method).Process(target=work, args=(1,))
                process.start()
                process.join()
        """.replace("\n        ", "\n")
    )
    project.run()
    found = statistics.read(_store(project))
    assert (found["before"].hits, found["before"].misses) == (0, 1)
    assert (found["in a child"].hits, found["in a child"].misses) == (0, 1)
    assert (found["in a worker"].hits, found["in a worker"].misses) == (1, 1)


def test_a_killed_process_loses_its_last_seconds_only(project: Project) -> None:
    """What it has put stays, is read while it runs, and is folded when nobody has written it for a day."""
    project.write(
        main="""
        import os, time
        from blockcache import cached_block, statistics
        statistics._PERIOD_S, statistics._SHARE = 0.0, 1e9
        for k in range(10):
            with cached_block("b"):
                x = 1
        statistics._counters[os.path.abspath(".blockcache")].due = time.monotonic() + 100
        for _ in range(5):
            with cached_block("b"):
                x = 1
        print("ready", flush=True)
        time.sleep(60)
        """.replace("\n        ", "\n")
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BLOCKCACHE_")}
    with subprocess.Popen(
        [sys.executable, "main.py"], cwd=project.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        store = _store(project)
        running = statistics.read(store)["b"]
        process.send_signal(signal.SIGKILL)
    assert 5 <= running.hits <= 9 and running.misses == 1
    _put(store, "other", 2)
    _put(store, "another", 3)
    statistics.fold(store)
    assert len(_records(project)) == 2 and _hits(store) == running.hits + 5
    (name,) = (name for name in _records(project) if not statistics._load(store, name).closed)
    old = time.time() - 2 * 24 * 3600
    os.utime(project.folder / ".blockcache" / name, (old, old))
    statistics.fold(store)
    assert len(_records(project)) == 1 and _hits(store) == running.hits + 5


def test_who_is_killed_while_folding_loses_and_doubles_nothing(tmp_path) -> None:
    """At each deletion: the sum is the same, and the next fold finishes it."""
    for moment in range(4):
        store = LocalStore(tmp_path / str(moment))
        for number in range(4):
            _put(store, f"r{number}", 10**number)
        program = (
            "import os, sys\nfrom blockcache import statistics\nfrom blockcache.stores.local import LocalStore\n"
            "class Store(LocalStore):\n    def delete(self, name):\n        global left\n        left -= 1\n"
            "        if left < 0: os.kill(os.getpid(), 9)\n        return super().delete(name)\n"
            f"left = {moment}\nstatistics.fold(Store({str(tmp_path / str(moment))!r}))\n"
        )
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
        assert len(list(store.list("stats"))) == 5 - moment
        assert _hits(store) == 1111
        _put(store, "later", 2222)
        statistics.fold(store)
        assert len(list(store.list("stats"))) == 1
        assert _hits(store) == 3333


# -- stores --------------------------------------------------------------------------------


def test_a_torn_record_is_skipped(tmp_path) -> None:
    """It counts nothing and goes with the next fold; one of a newer form stays, for those who know it."""
    store = LocalStore(tmp_path)
    _put(store, "good", 7)
    store.put("stats/torn.json", [b'{"form": 1, "closed": true, "names": {"b": {"hi'])
    store.put("stats/empty.json", [b""])
    store.put("stats/foreign.json", [b'{"form": 1, "closed": true, "folded": [], "names": {"b": [3]}}'])
    store.put("stats/newer.json", [b'{"form": 2, "other": true}'])
    assert _hits(store) == 7
    statistics.fold(store)
    assert len(list(store.list("stats"))) == 2 and store.exists("stats/newer.json")
    assert _hits(store) == 7


@pytest.mark.parametrize("mode", ["readonly", "frozen"])
def test_who_may_not_write_counts_nothing(project: Project, mode: str) -> None:
    """The store is as it was."""
    project.write(main="from blockcache import cached_block\nwith cached_block('b'):\n    x = 1\n")
    project.run()
    before = _records(project)
    assert project.run(env={"BLOCKCACHE_MODE": mode}).outcomes == ["hit"]
    assert _records(project) == before


def test_a_store_that_takes_no_records_is_no_trouble(project: Project) -> None:
    """A file is where their folder would be: no word, no warning, the blocks hit."""
    project.write(main="from blockcache import cached_block\nwith cached_block('b'):\n    x = 1\n")
    project.run()
    store = _store(project)
    statistics.reset(store)
    folder = project.folder / ".blockcache" / "stats"
    if folder.exists():
        folder.rmdir()
    folder.touch()
    ran = project.run("main.py", "-Werror")
    assert ran.outcomes == ["hit"] and len(ran.stderr.splitlines()) == 1


def test_a_store_that_was_deleted_is_not_made_for_them(project: Project) -> None:
    """The program removes it before it ends: it is gone."""
    project.write(
        main="""
        import shutil
        from blockcache import cached_block
        with cached_block("b"):
            x = 1
        shutil.rmtree(".blockcache")
        """.replace("\n        ", "\n")
    )
    project.run()
    assert not (project.folder / ".blockcache").exists()


def test_a_reset_counts_for_processes_that_run(project: Project) -> None:
    """They go on from nothing; what they had put before does not come back."""
    project.write(
        main="""
        import os
        from blockcache import cached_block, statistics
        from blockcache.stores.opened import store_at
        statistics._PERIOD_S, statistics._SHARE = 0.0, 1e9
        for k in range(10):
            if k == 7:
                statistics.reset(store_at(os.path.abspath(".blockcache")))
            with cached_block("b"):
                x = 1
        """.replace("\n        ", "\n")
    )
    project.run()
    counts = statistics.read(_store(project))["b"]
    assert (counts.hits, counts.misses) == (3, 0)


def test_a_long_run_puts_one_record(project: Project) -> None:
    """However often it writes, it is one record, until half a day has passed in silence: then another may be another's."""
    project.write(
        main="""
        import os, time
        from blockcache import cached_block, statistics
        statistics._PERIOD_S, statistics._SHARE = 0.0, 1e9
        def hit():
            with cached_block("b"):
                x = 1
        for _ in range(20):
            hit()
        print(len(os.listdir(".blockcache/stats")))
        (counter,) = statistics._counters.values()
        counter._put_at = time.time() - 13 * 3600, time.monotonic()
        hit()
        print(len(os.listdir(".blockcache/stats")))
        """.replace("\n        ", "\n")
    )
    assert project.run().stdout == "1\n2\n"
    assert _hits(_store(project)) == 20
