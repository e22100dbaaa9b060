"""What is kept of sources on disk saves time and does nothing else."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
import xxhash

import blockcache

HELPERS = """
import sqlite3
sqlite3.register_adapter(complex, repr)
def helper(x):
    return x + 1
"""
MAIN = """
import sqlite3
import helpers
from blockcache import cached_block
def unused():
    return 0
sqlite3.register_converter("point", {})
with cached_block("a"):
    total = helpers.helper(2) + len(sqlite3.sqlite_version)
print(total)
"""


@pytest.fixture
def warm(project):
    """A program that has run, so that its records are on disk."""
    write(project)
    time.sleep(2.1)  # a file is remembered only when it was written longer ago than the clock is coarse
    assert project.run().outcomes == ["miss"]
    assert len(records(project)) == 4  # the block, its script, its module, the statements of that
    return project


def write(project, converter: str = "bytes") -> None:
    project.write(main=MAIN.format(converter), helpers=HELPERS)


def records(project) -> list[Path]:
    return sorted((project.folder.parent / "machine" / "blockcache" / "blocks").iterdir())


def sealed(name: str, data: bytes) -> bytes:
    return xxhash.xxh3_128_hexdigest(name.encode() + data).encode() + b"\n" + data


def empty(path: Path) -> None:
    path.write_bytes(b"")


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def not_json(path: Path) -> None:
    path.write_bytes(sealed(path.name, b"[[["))


def another_shape(path: Path) -> None:
    path.write_bytes(sealed(path.name, json.dumps({"reads": [1], "digest": None}).encode()))


def a_number(path: Path) -> None:
    path.write_bytes(sealed(path.name, b"7"))


def another_pair(path: Path) -> None:
    path.write_bytes(sealed(path.name, b"[[[1]], [[0, [[3, 4]]]]]"))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (empty, shortened, flipped, not_json, another_shape, a_number, another_pair, Path.unlink, a_folder)


def test_a_damaged_record_changes_nothing(warm) -> None:
    """The block hits without a warning, and still misses after an edit that matters."""
    for damage in DAMAGES:
        for path in records(warm):
            damage(path)
        ran = warm.run()
        assert ran.outcomes == ["hit"], damage
        assert "Warning" not in ran.stderr, damage
    write(warm, "str")
    assert warm.run().outcomes == ["miss"]


def test_a_record_of_something_else_is_not_believed(warm) -> None:
    """Each record holds what belongs to the next."""
    paths = records(warm)
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)
    assert warm.run().outcomes == ["hit"]
    write(warm, "str")
    assert warm.run().outcomes == ["miss"]


def test_with_and_without_records_the_key_is_the_same(warm) -> None:
    """Whatever an earlier process left."""
    with_records = warm.run()
    for path in records(warm):
        path.unlink()
    without = warm.run()
    assert with_records.outcomes == without.outcomes == ["hit"]
    assert with_records.events[0]["key"] == without.events[0]["key"]


def test_an_earlier_block_may_be_renamed(project) -> None:
    """Its name is no part of what it set."""
    text = """
import sqlite3
from blockcache import cached_block
with cached_block(name="first", ttl="1 d"):
    sqlite3.register_converter("point", bytes)
with cached_block(name="second"):
    n = len(sqlite3.sqlite_version)
"""
    project.write(main=text)
    project.run()
    project.write(main=text.replace('"first"', '"other"').replace("1 d", "2 d"))
    assert project.run().outcomes[1] == "hit"
    project.write(main=text.replace("bytes", "str"))
    assert project.run().outcomes[1] == "miss"


def test_a_script_that_inherits_futures_is_known_by_its_statements(project) -> None:
    """Whoever ran it by `exec` compiled it with `from __future__` imports of its own."""
    runner = """
from __future__ import annotations
with open("script.py") as file:
    exec(compile(file.read(), "script.py", "exec"), {"__name__": "__main__", "__file__": "script.py"})
"""
    text = """
import sqlite3
from blockcache import cached_block
sqlite3.register_converter("point", bytes)
with cached_block("a"):
    n = len(sqlite3.sqlite_version)
"""
    project.write(main=runner, script=text)
    project.run()
    project.write(script="import json as unused\n" + text)
    assert project.run().outcomes == ["hit"]
    project.write(script=text.replace("bytes", "str"))
    assert project.run().outcomes == ["miss"]


_FROM_ELSEWHERE = """
import codecs, getpass, importlib, os, pkgutil  # the standard library may be out of reach too
import blockcache
for room in pkgutil.walk_packages(blockcache.__path__, "blockcache."):
    if not room.name.startswith(("blockcache.types.", "blockcache.hosts.", "blockcache.frames.s", "blockcache._demo", "blockcache.m")):
        importlib.import_module(room.name)
codecs.lookup("ascii")
{}
with blockcache.cached_block("a"):
    total = sum(range(10))
print(total)
"""
_CLOSED = {
    "nobody may look into it": "os.chmod(os.path.dirname(blockcache.__file__), 0o700); os.seteuid(65534)",
    "it is gone": "os.rename(os.path.dirname(blockcache.__file__), 'away')",
}


@pytest.mark.parametrize("how", _CLOSED)
def test_nothing_is_remembered_where_nobody_sees_who_made_it(project, how) -> None:
    """blockcache's own folder cannot be read any more when the block begins: it hits all the same, without a word."""
    if "seteuid" in _CLOSED[how] and os.geteuid():
        pytest.skip("needs the right to become another user")
    for folder in project.folder.parents:
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    for folder in (project.folder, project.folder.parent):
        folder.chmod(0o777)
    project.write(main=_FROM_ELSEWHERE.format(_CLOSED[how]))
    code = Path(blockcache.__file__).parent
    outcomes = []
    for _ in range(2):
        shutil.copytree(code, project.folder / "own" / "blockcache", ignore=shutil.ignore_patterns("__pycache__"))
        ran = project.run(env={"PYTHONPATH": str(project.folder / "own")})
        shutil.rmtree(project.folder / "own")
        shutil.rmtree(project.folder / "away", ignore_errors=True)
        assert ran.stdout == "45\n" and "Warning" not in ran.stderr, ran.stderr
        outcomes += ran.outcomes
    assert outcomes == ["miss", "hit"]
    assert not (project.folder.parent / "machine" / "blockcache" / "blocks").exists()
