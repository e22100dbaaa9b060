"""Trouble below a whole block: every system call fails once, or is the last; the disk is full at any byte; bits flip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tracer

HERE = Path(__file__).parent
#: The harness must not be among the callers that a block takes for its program.
START = """
import sys
sys.path.insert(0, {folder!r})
space = {{"__name__": "harness", "__file__": {file!r}}}
exec(compile(open({file!r}).read(), "<frozen harness>", "exec"), space)
space["main"]()
"""
LONG = bool(os.environ.get("CRASH_POINTS"))


def harness(file: str, *arguments: object) -> dict:
    """Run ``main`` of a file beside this one in an interpreter of its own; what it prints."""
    start = START.format(folder=str(HERE), file=str(HERE / file))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "COV"))}
    done = subprocess.run(
        [sys.executable, "-c", start, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=4 * 3600 if LONG else 900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.skipif(not tracer.AVAILABLE, reason="ptrace is spoken for Linux on x86-64 only")
@pytest.mark.parametrize(
    "what", ["miss", "hit", "miss-killed", "hit-killed", *(["miss-cold", "hit-cold"] if LONG else [])]
)
def test_every_system_call_fails_once(tmp_path, what):
    """The program keeps its own result, with one warning at most, and the store is well in the next run.

    Or the process is killed at the call: the next run finds all of an entry or nothing. Cold: the imports of a first
    block are among the calls.
    """
    found = harness("fault_runs.py", tmp_path / "runs", what, "every" if LONG else "once")
    assert found["problems"] == []
    kinds = (
        {"openat", "close", "newfstatat", "read", "readv", "mmap"} if "hit" in what else {"writev", "rename", "mkdir"}
    )
    assert kinds <= found["calls"].keys(), "the calls were not seen"


def test_writers_are_killed_at_any_instant(tmp_path):
    """After each kill: every entry that was finished is there, no value is wrong, and leftovers do not pile up."""
    points = int(os.environ.get("CRASH_POINTS") or 150)
    found = harness("crash_runs.py", tmp_path / "runs", points, 1)
    assert found["problems"] == []
    assert found["entries told"] > points // 10 and found["most left over"] <= 3


@pytest.mark.parametrize("processes, threads, rounds", [(2, 1, 20), (4, 8, 4), (64, 1, 2)])
def test_many_at_once_on_the_same_and_on_different_keys(tmp_path, processes, threads, rounds):
    """No value is wrong, no entry is lost, nobody waits for ever, nothing is left over."""
    found = harness("together_runs.py", tmp_path / "runs", processes, threads, rounds)
    assert found == {"problems": [], "left over": []}


def test_the_disk_is_full_at_any_byte(tmp_path):
    """No file may grow beyond a limit: the program keeps its result with one warning, and the next run saves it."""
    found = harness("fault_runs.py", tmp_path / "runs", "full", "every" if LONG else "once")
    assert found["problems"] == [] and found["calls"]["limits"] > 30


def test_a_flipped_bit_in_each_byte_of_a_small_entry(tmp_path):
    """Manifest and pack: the value is right, nothing is raised, and nothing that is wrong is a hit."""
    found = harness("flip_runs.py", tmp_path / "runs", 20, 0, 100_000, 1)
    assert found["problems"] == [] and found["flips"] > 1000 and found["hits"] == 0


def test_flipped_bits_in_a_large_entry(tmp_path):
    """Somebody writes into a large blob: its time tells, and it is hashed before it is used."""
    found = harness("flip_runs.py", tmp_path / "runs", 400_000, 0, 10_000 if LONG else 300, 1)
    assert found["problems"] == [] and found["hits"] == 0


def test_flipped_bits_in_a_compressed_entry(tmp_path):
    """The pack is a frame of zstd, of which no more is believed."""
    found = harness("flip_runs.py", tmp_path / "runs", 20, 50_000, 10_000 if LONG else 300, 1)
    assert found["problems"] == [] and found["hits"] == 0
