"""Stores that programs keep small: what a run collects, what a hit notes, and what many processes do to each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from blockcache import catalogue
from blockcache.stores.local import LocalStore

LOOP = """
from blockcache import cached_block
for n in range({n}):
    with cached_block(name=f"step {{n}}"):
        x = bytes([n % 256]) * 300_000
    assert x == bytes([n % 256]) * 300_000
"""


def held(project):
    return sum(kept.size_bytes for kept in LocalStore(project.folder / ".blockcache").survey(""))


def entries(project):
    return catalogue.read(LocalStore(project.folder / ".blockcache")).entries


def test_a_program_that_saves_more_than_the_store_may_hold(project):
    """It is collected while the program runs, the line says so, and the newest entries are there."""
    project.write(main=LOOP.format(n=30))
    ran = project.run(env={"BLOCKCACHE_MAX_SIZE": "3 MB"})
    assert ran.outcomes == ["miss"] * 30 and all(event["saved"] for event in ran.events)
    assert 1_500_000 < held(project) < 4_000_000
    notes = [note for event in ran.events for note in event["notes"]]
    assert notes and "made room: " in notes[0] and notes[0] in ran.stderr
    kept = {entry.manifest.name for entry in entries(project)}
    again = project.run(env={"BLOCKCACHE_MAX_SIZE": "none"})
    assert again.outcomes == ["hit" if f"step {n}" in kept else "miss" for n in range(30)]
    assert (
        again.outcomes[-1] == "hit" and "miss" in again.outcomes
    )  # which ones go, the time tells that their bodies took


def test_what_is_used_stays(project):
    """A hit is a use: of entries that are worth the same, the one that was used since is not the one that goes."""
    project.write(main=LOOP.format(n=6))
    project.run()
    store = LocalStore(project.folder / ".blockcache")
    before = time.time() - 90 * 86_400
    for entry in entries(project):
        os.utime(store._path(entry.path), (before, before))
    project.write(main=LOOP.format(n=2))
    assert project.run().outcomes == ["hit", "hit"]
    project.write(main=LOOP.format(n=1).replace("step {n}", "other").replace("300_000", "300_001"))
    project.run(env={"BLOCKCACHE_MAX_SIZE": "1.2 MB"})
    assert {e.manifest.name for e in entries(project)} == {"step 0", "step 1", "other"}


def test_asking_is_no_use(project):
    """Where nothing may be written (readonly) a hit leaves no trace."""
    project.write(main=LOOP.format(n=1))
    project.run()
    store, (entry,) = LocalStore(project.folder / ".blockcache"), entries(project)
    os.utime(store._path(entry.path), (1e9, 1e9))
    assert project.run(env={"BLOCKCACHE_MODE": "readonly"}).outcomes == ["hit"]
    assert os.stat(store._path(entry.path)).st_mtime == 1e9
    assert project.run().outcomes == ["hit"]
    assert time.time() - os.stat(store._path(entry.path)).st_mtime < 600


def test_what_would_fill_the_store_alone_is_not_saved(project):
    """It would go again at once: one warning with the setting, the program has its result, other entries stay."""
    project.write(main=LOOP.format(n=3))
    project.run()
    project.write(main=LOOP.format(n=1).replace("300_000", "3_000_000"))
    ran = project.run(env={"BLOCKCACHE_MAX_SIZE": "2 MB"})
    assert "more than the store may hold (2.0 MB, BLOCKCACHE_MAX_SIZE): raise the setting max_size" in ran.stderr
    assert [event["saved"] for event in ran.events] == [False] and len(entries(project)) == 3


def test_the_setting_ttl_is_the_ttl_of_every_block(project):
    """No entry older than that is served; the argument of a block is above it."""
    project.write(main=LOOP.format(n=1))
    project.run()
    time.sleep(0.3)
    env = {"BLOCKCACHE_TTL": "0.2s"}
    (event,) = project.run(env=env).events
    assert event["outcome"] == "miss" and "older than its ttl" in event["reason"]
    time.sleep(0.3)
    project.write(main=LOOP.format(n=1).replace('{n}")', '{n}", ttl="1h")'))
    assert project.run(env=env).outcomes == ["hit"]


def test_trouble_in_a_collection_is_one_warning(project):
    """The entry is saved, and the program goes on."""
    project.write(main=LOOP.format(n=9))
    (project.folder / ".blockcache" / ".lock").mkdir(parents=True)
    ran = project.run(env={"BLOCKCACHE_MAX_SIZE": "1 MB"})
    assert ran.outcomes == ["miss"] * 9 and all(event["saved"] for event in ran.events)
    assert "CacheWarning" in ran.stderr and len(entries(project)) == 9


SLOW = """
from blockcache import cached_block

def slowly(data):
    sum(range(40_000_000))
    return Slow(data)

class Slow:
    def __init__(self, data):
        self.data = data
    def __reduce__(self):
        return slowly, (self.data,)

for n in range({n}):
    with cached_block(name="slow"):
        {first}
        x = Slow(bytes(100_000 + n))
"""


def test_what_loads_slower_than_it_runs_is_not_kept(project):
    """It is seen at a hit and said once; from then on runs are not saved, and entries from before are not loaded."""
    project.write(main=SLOW.format(n=2, first=""))
    assert project.run().outcomes == ["miss"] * 2
    first, second = project.run().events
    assert first["outcome"] == "hit" and "it is not kept any more" in first["notes"][0]
    assert (second["outcome"], second["saved"], second["notes"]) == ("miss", False, [])
    assert "loading takes " in second["reason"] and entries(project) == ()
    first, second = project.run().events
    assert (first["saved"], second["saved"]) == (False, False)
    assert "loading takes " in first["notes"][0] and second["notes"] == []
    assert project.run(env={"BLOCKCACHE_SAVE_ALWAYS": "1"}).events[0]["saved"]
    assert project.run(env={"BLOCKCACHE_SAVE_ALWAYS": "1"}).outcomes == ["hit"] * 2
    assert project.run(env={"BLOCKCACHE_MODE": "frozen"}).outcomes == ["hit"] * 2


def test_what_may_be_wanted_for_more_than_its_time_is_kept(project):
    """Draws that nobody seeded would be others, a pinned entry was asked for: both stay although they load slowly."""
    project.write(main="import random\n" + SLOW.format(n=1, first="y = random.random()"))
    assert [project.run().outcomes for _ in range(3)] == [["miss"], ["hit"], ["hit"]]
    project.write(main=SLOW.format(n=1, first=""))
    project.run()
    (entry,) = (e for e in entries(project) if not e.manifest.untracked)
    catalogue.pin(LocalStore(project.folder / ".blockcache"), entry.path)
    assert [project.run().outcomes for _ in range(2)] == [["hit"], ["hit"]]


RACE = """
import sys, time
from blockcache import cached_function, configure
configure(memory=0, quiet=True, max_size="200 kB" if sys.argv[2] else "none")

@cached_function
def content(number, salt):
    return bytes([number % 5]) * (20_000 + number % 5)

wrong = ran = 0
until, first = time.monotonic() + float(sys.argv[1]), True
while first or time.monotonic() < until:
    salt = int(2 * time.monotonic())  # the same everywhere: all save the same new entries
    for number in range(40):
        ran += 1
        wrong += content(number, salt) != bytes([number % 5]) * (20_000 + number % 5)
    first = False
print(wrong, ran)
"""


def test_many_processes_save_and_collect(project):
    """Entries that share blobs are saved, hit and evicted by all at once: never a wrong value nor a warning, and no entry
    is left that lacks a blob."""
    project.write(main=RACE)
    env = {**os.environ, "XDG_CACHE_HOME": str(project.folder.parent / "machine")}
    seconds = os.environ.get("RACE_SECONDS", "3")
    many = int(os.environ.get("RACE_PROCESSES", "4"))
    command = [sys.executable, "main.py", seconds, "collect"]
    running = [
        subprocess.Popen(
            command, cwd=project.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(many)
    ]
    for process in running:
        stdout, stderr = process.communicate(timeout=300)
        assert (process.returncode, stderr, stdout.split()[:1]) == (0, "", ["0"])
    subprocess.run([sys.executable, "main.py", "0", ""], cwd=project.folder, env=env, check=True)
    store = LocalStore(project.folder / ".blockcache")
    found = catalogue.read(store)
    assert len(found.entries) >= 40 and not found.unreadable
    lacking = [b for e in found.entries for b in e.manifest.blobs if not store.exists(f"blobs/{b.digest}")]
    assert lacking == []
    assert not list(Path(store.url, ".tmp").iterdir())
