"""Entries that are torn, truncated, foreign or gone: a miss that heals, never a crash, never a wrong value."""

from __future__ import annotations

import os
import random
import re
import tempfile
from pathlib import Path

import pytest
import xxhash
from tests.conftest import Project

from blockcache.model import FORMAT

PROGRAM = """\
import numpy as np
from blockcache import cached_block
with cached_block("work"):
    small = {"a": [1, 2.5, "three"], "b": np.arange(700)}
    large = np.arange(400_000.0)
print(small["a"], int(small["b"].sum()), float(large.sum()), large[:3].tolist())
"""


def files(project) -> list[Path]:
    store = project.folder / ".blockcache"
    return sorted(p for family in ("blobs", "entries", "names") for p in (store / family).rglob("*") if p.is_file())


def writable(path: Path) -> Path:
    path.chmod(0o644)
    return path


DAMAGES = {
    "emptied": lambda p: writable(p).write_bytes(b""),
    "truncated": lambda p: os.truncate(writable(p), max(0, p.stat().st_size - 7)),
    "half": lambda p: os.truncate(writable(p), p.stat().st_size // 2),
    "longer": lambda p: writable(p).write_bytes(p.read_bytes() + b"tail"),
    "foreign": lambda p: writable(p).write_bytes(random.Random(1).randbytes(p.stat().st_size)),
    "one bit": lambda p: writable(p).write_bytes(flipped(p.read_bytes(), p.stat().st_size // 3)),
    "gone": lambda p: p.unlink(),
    "a folder": lambda p: (p.unlink(), p.mkdir()),
}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :] if data else b"x"


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_a_miss_and_the_next_save_heals_it(project, damage):
    """Each file of an entry in turn: the result is right, nothing crashes, and the run after it hits again."""
    project.write(main=PROGRAM)
    expected = project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    project.run()
    names = files(project)
    assert len(names) == 5  # the manifest, its pack, the large array, the pointer, source texts
    for path in names:
        DAMAGES[damage](path)
        hurt = project.run("main.py", "-W", "ignore")
        assert hurt.stdout == expected, path
        if damage == "a folder":
            # Ours is the name, not what somebody put in its place: that is left alone, and said.
            path.rmdir()
            project.run()
        healed = project.run()
        assert healed.stdout == expected and healed.outcomes == ["hit"], (path, healed.stderr)


def test_random_flips_of_the_manifest(project):
    """A flipped bit anywhere in the manifest gives the right values or a miss."""
    project.write(main=PROGRAM.replace("400_000", "40"))
    expected = project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    project.run()
    (manifest,) = (p for p in files(project) if p.suffix == ".json")
    good = manifest.read_bytes()
    rng = random.Random(7)
    for _ in range(12):
        manifest.write_bytes(flipped(good, rng.randrange(len(good))))
        ran = project.run("main.py", "-W", "ignore")
        assert ran.stdout == expected
    manifest.write_bytes(good)
    assert project.run().outcomes == ["hit"]


def test_a_store_that_cannot_be_written(project):
    """One warning, and the program's own result; here a file stands where the store should be."""
    project.write(main=PROGRAM)
    (project.folder / ".blockcache").write_text("in the way")
    ran = project.run()
    assert ran.stdout == project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    assert ran.stderr.count("CacheWarning") == 1 and not ran.events[0]["saved"]


def test_an_entry_of_a_newer_format_is_a_miss(project):
    """What a newer version wrote is not guessed at."""
    project.write(main=PROGRAM)
    project.run()
    (manifest,) = (p for p in files(project) if p.suffix == ".json")
    manifest.write_text(manifest.read_text().replace(f'"format": {FORMAT}', '"format": 999', 1))
    ran = project.run()
    assert ran.outcomes == ["miss"] and "format 999" in ran.events[0]["reason"]


BODY = """\
import os, shutil, sys
import numpy as np
from blockcache import cached_block
{before}
with cached_block({name!r}):
    large = np.arange(400_000.0)
    {inside}
print(float(large.sum()))
"""


def warned(ran) -> int:
    return ran.stderr.count("CacheWarning")


@pytest.mark.parametrize("when", ["before", "inside"])
def test_a_store_that_is_deleted_while_the_program_runs(project, when):
    """Just before the block or in its body: the result stands, and it is saved in a store that is made again."""
    delete = 'shutil.rmtree(".blockcache", ignore_errors=True)'
    project.write(main=BODY.format(name="work", before="", inside="pass"))
    project.run()
    parts = {"before": "", "inside": "pass"} | {when: delete}
    project.write(main=BODY.format(name="work", **parts))
    ran = project.run()
    assert (ran.outcomes, ran.stdout) == (["miss"], "79999800000.0\n") and ran.events[0]["saved"]
    assert warned(ran) == ran.stderr.count("it writes .blockcache"), "nothing is wrong with the store"


NOBODY = """\
import os
import numpy as np
from blockcache import cached_block
with cached_block("work"):
    large = np.arange(400_000.0)
with cached_block("loads what a miss needs, which another user may not read"):
    loaded = os.environ["PROBE_NEW"]
os.seteuid(int(os.environ["PROBE_USER"]))
with cached_block("again"):
    again = np.arange(400_000.0)
with cached_block("new"):
    new = sum(range(int(os.environ["PROBE_NEW"])))
os.seteuid(0)
print(float(again.sum()), new)
"""


@pytest.fixture
def open_project():
    """Where another user may look: any session of pytest that starts takes the folder of all temporary ones from others."""
    if os.geteuid():
        pytest.skip("another user is needed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "project")
        path.mkdir()
        for each in (path.parent, path):
            each.chmod(0o755)
        yield Project(path)


@pytest.mark.parametrize("mode, outcome", [(0o755, "hit"), (0o700, "miss")])
def test_a_store_that_this_user_may_not_write_or_not_even_read(open_project, mode, outcome):
    """Entries of a read-only store are served; a miss keeps its result, with one warning."""
    project = open_project
    project.write(main=NOBODY)
    project.run(env={"PROBE_USER": "0", "PROBE_NEW": "10"})
    (project.folder / ".blockcache").chmod(mode)
    ran = project.run(
        env={"PROBE_USER": "65534", "PROBE_NEW": "11", "BLOCKCACHE_LOG": "", "XDG_CACHE_HOME": "/nowhere"}
    )
    assert ran.stdout == "79999800000.0 55\n"
    assert ran.stderr.count("  hit ") == 1 + (outcome == "hit")
    assert warned(ran) == (1 if outcome == "hit" else 2), ran.stderr
    assert ran.stderr.count("Permission denied") >= warned(ran)


SLOW_TO_LOAD = """\
import os
from blockcache import cached_block
class Slow:
    def __init__(self, data):
        self.data = data
    def __reduce__(self):
        return load, (self.data,)
def load(data):
    sum(range(15_000_000))
    return Slow(data)
with cached_block("loads what a miss needs, which another user may not read"):
    loaded = os.environ["PROBE_TIMES"]
os.seteuid(int(os.environ["PROBE_USER"]))
for _ in range(int(os.environ["PROBE_TIMES"])):
    with cached_block("work"):
        slow = Slow(bytes(100_000))
os.seteuid(0)
print(len(slow.data))
"""


def test_what_is_not_worth_keeping_in_a_store_that_this_user_may_not_write(open_project):
    """The hit stands, and from then on the body runs; the entry stays, which is no trouble to anybody."""
    project = open_project
    project.write(main=SLOW_TO_LOAD)
    project.run(env={"PROBE_USER": "0", "PROBE_TIMES": "1"})
    ran = project.run(
        env={"PROBE_USER": "65534", "PROBE_TIMES": "2", "BLOCKCACHE_LOG": "", "XDG_CACHE_HOME": "/nowhere"}
    )
    assert (ran.stdout, warned(ran)) == ("100000\n", 0) and "not kept" not in ran.stderr, ran.stderr
    assert re.findall(r"^work  (hit|miss) .*loading takes ", ran.stderr, re.M) == ["hit", "miss"], ran.stderr
    assert project.run(env={"PROBE_USER": "0", "PROBE_TIMES": "1"}).outcomes[1] == "hit"


@pytest.mark.parametrize("name", ["a/b", "..", "é\U0001f40d\ud800", "x" * 5000, "a\0b", "a\nb"])
def test_a_block_may_have_any_name(project, name):
    """Slashes, dots, surrogates, NUL, more than a file's name can hold."""
    project.write_files(
        {"main.py": BODY.format(name="PLACE", before="", inside="pass").replace("'PLACE'", ascii(name))}
    )
    assert project.run().outcomes == ["miss"]
    ran = project.run()
    assert ran.outcomes == ["hit"] and ran.stdout == "79999800000.0\n"


def test_a_store_whose_path_is_too_long(project):
    """The result stands, with one warning."""
    project.write(main=BODY.format(name="work", before="", inside="pass"))
    ran = project.run(env={"BLOCKCACHE_STORE": "/tmp/" + "/".join(["x" * 200] * 25)})
    assert (ran.stdout, warned(ran)) == ("79999800000.0\n", 1) and "shorter" in ran.stderr


def test_a_clock_that_was_set_back(project):
    """Entries and files of the future: the entry serves, and one that may only be so old does not."""
    project.write(main=BODY.format(name="work", before="", inside="pass"))
    project.run()
    (manifest,) = (project.folder / ".blockcache/entries").rglob("*.json")
    text = manifest.read_text()
    head = re.sub(r'"made_at": "\d+', '"made_at": "2990', text[: text.index(' "check"')])
    manifest.write_text(f'{head} "check": "{xxhash.xxh3_128_hexdigest(head.encode())}"\n}}\n')
    future = 32_000_000_000
    for path in files(project):
        if path.suffix == ".json" or "names" in path.parts:
            os.utime(path, (future, future))
    assert project.run().outcomes == ["hit"]
    project.write(main=BODY.format(name="work", before="", inside="pass").replace("'work'", "'work', ttl='1d'"))
    assert project.run().outcomes == ["miss"]
    assert project.run().outcomes == ["hit"]


def test_a_library_that_cannot_be_read_just_now(project):
    """What the block is cannot be told: the body runs, with one warning; in frozen mode that is an error."""
    project.write(
        main=BODY.format(name="work", before="", inside="pass"), executing="raise OSError(5, 'Input/output error')"
    )
    ran = project.run(started=True)
    assert (ran.stdout, warned(ran)) == ("79999800000.0\n", 1) and "Input/output error" in ran.stderr
    ran = project.run(started=True, env={"BLOCKCACHE_MODE": "frozen"}, check=False)
    assert ran.code == 1 and "FrozenMissError" in ran.stderr
    (project.folder / "executing.py").unlink()
    assert project.run(started=True).outcomes == ["miss"]
    assert project.run(started=True).outcomes == ["hit"]
