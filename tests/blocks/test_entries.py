"""Entries that are torn, truncated, foreign or gone: a miss that heals, never a crash, never a wrong value."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

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
