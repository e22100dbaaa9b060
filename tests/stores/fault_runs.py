"""A block under faults: each system call on a file fails once, or is the one at which the process is killed.

``main`` prints JSON: how often each call was made, and what was wrong. A child is forked for each call, with the libraries
loaded; a second one sees whether all is well again.
"""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import sys
import traceback
import types
from collections import Counter
from pathlib import Path

import numpy as np  # noqa: F401 - loaded before the forks
import tracer

import blockcache.block  # noqa: F401

PROGRAM = """\
import os
import numpy as np
from blockcache import cached_block
os.getpriority(os.PRIO_PROCESS, 0)  # where the watch begins, see tracer.py
with cached_block("work"):
    small = {"a": [1, 2.5, "three"], "b": np.arange(700)}
    large = np.arange(200_000.0)
os.getpriority(os.PRIO_PROCESS, 0)
assert small["a"] == [1, 2.5, "three"] and small["b"].sum() == 244_650, small
assert large.sum() == 19_999_900_000.0
"""
_WRITES = {"write", "writev", "openat", "mkdir", "rename", "fsync", "close", "ftruncate", "pwrite64", "copy_file_range"}
_PATHS = {"openat", "newfstatat", "mkdir", "rename", "unlink", "rmdir", "getdents64", "utimensat", "readlink", "statx"}


def run(folder: Path) -> None:
    """Be the program, and leave how it ended in files."""
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "machine")
    os.environ["BLOCKCACHE_LOG"] = str(folder / "log")
    error = os.open("err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(error, 2)
    sys.argv = [str(folder / "main.py")]
    sys.path.insert(0, str(folder))
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = sys.argv[0]
    try:
        exec(compile(PROGRAM, sys.argv[0], "exec"), main.__dict__)
    except BaseException:
        (folder / "raised").write_text(traceback.format_exc())


def passage(folder: Path, fault=None, limit: int | None = None) -> tuple[list[str], list[str]]:
    """Fork the program, traced when there is a fault to make; its calls, and what was wrong."""
    child = os.fork()
    if not child:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if fault is not None:
            tracer.begin()
        run(folder)
        os._exit(0)
    if fault is None:
        status, calls = os.waitpid(child, 0)[1], []
    else:
        status, calls = tracer.watch(child, fault)
    wrong = []
    if os.WIFSIGNALED(status):
        wrong.append(f"ended by signal {os.WTERMSIG(status)}")
    raised = folder / "raised"
    if raised.exists():
        wrong.append(raised.read_text())
        raised.unlink()
    said = (folder / "err").read_text().count("CacheWarning:")
    if said > 1:
        wrong.append((folder / "err").read_text())
    return calls, wrong


def outcome(folder: Path) -> str:
    """What the last block was, from the log."""
    log = folder / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return json.loads(lines[-1])["outcome"] if lines else "nothing"


def errors_of(name: str, number: int, every: bool) -> list[int]:
    """Errors that a call can fail with; one of them, in turn, unless all are asked for."""
    found = [errno.EIO]
    found += [errno.ENOSPC] if name in _WRITES else []
    found += [errno.EACCES] if name in _PATHS else []
    return found if every else [found[number % len(found)]]


def prepare(start: Path, trial: Path, *, cold: bool = False) -> None:
    """Make a project, and load what a block needs: later faults are those of the store, not of imports; not when ``cold``."""
    trial.mkdir(parents=True)
    (trial / "main.py").write_text(PROGRAM)
    (trial / "pyproject.toml").write_text("[project]\nname = 'probe'\n")
    shutil.copytree(trial, start)
    if not cold:
        run(trial)
        run(trial)


def begin(start: Path, trial: Path) -> None:
    """The project as it was."""
    shutil.rmtree(trial, ignore_errors=True)
    shutil.copytree(start, trial)


def study(folder: Path, what: str, every: bool) -> dict[str, object]:
    """Fail, or kill at, each call of a ``miss`` or ``hit`` in turn."""
    kind, _, how = what.partition("-")
    killing = how == "killed"
    start, trial = folder / "start", folder / "trial"
    prepare(start, trial, cold=how == "cold")
    if kind == "hit":
        begin(start, trial)
        passage(trial)
        assert outcome(trial) == "miss"
        shutil.rmtree(start)
        trial.rename(start)
    begin(start, trial)
    calls, wrong = passage(trial, lambda number, name: None)
    assert not wrong, wrong
    assert outcome(trial) == kind, outcome(trial)
    problems = []
    for number, name in enumerate(calls):
        for error in [0] if killing else errors_of(name, number, every):
            begin(start, trial)
            label = f"{what} {name} #{number} of {len(calls)}: {errno.errorcode[error] if error else 'killed'}"
            _, wrong = passage(trial, lambda n, _: error if n == number else None)
            if killing:
                wrong = [clause for clause in wrong if clause != "ended by signal 9"]
            _, later = passage(trial)
            wrong += [f"later: {clause}" for clause in later]
            if outcome(trial) != "hit":
                passage(trial)
            if outcome(trial) != "hit":
                wrong.append(f"does not hit again: {(trial / 'err').read_text()}")
            problems += [f"{label}: {clause}" for clause in wrong]
    return {"calls": Counter(calls), "problems": problems}


def study_full(folder: Path, every: bool) -> dict[str, object]:
    """Let no file grow beyond a limit, as if the disk were full at that byte: at many bytes in turn."""
    start, trial = folder / "start", folder / "trial"
    prepare(start, trial)
    begin(start, trial)
    passage(trial)
    sizes = sorted({path.stat().st_size for path in trial.rglob(".blockcache/**/*") if path.is_file()})
    rng = random.Random(1)
    limits = {0, 1, 2, *sizes, *(size - 1 for size in sizes), *(size + 1 for size in sizes)}
    limits |= {rng.randrange(sizes[-1]) for _ in range(500 if every else 10)}
    limits |= {rng.randrange(sizes[-2]) for _ in range(500 if every else 20)}
    problems = []
    for limit in sorted(limits):
        begin(start, trial)
        _, wrong = passage(trial, limit=max(limit, 0))
        _, later = passage(trial)
        wrong += [f"later: {clause}" for clause in later]
        passage(trial)
        if outcome(trial) != "hit":
            wrong.append(f"does not hit again: {(trial / 'err').read_text()}")
        problems += [f"files of {limit} B: {clause}" for clause in wrong]
    return {"calls": {"limits": len(limits)}, "problems": problems}


def main() -> None:
    """Take a folder, ``full``, ``miss``, ``hit``, ``miss-killed`` or ``hit-killed``, and ``once`` or ``every`` (error of a call)."""
    folder, what, every = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "every"
    print(json.dumps(study_full(folder, every) if what == "full" else study(folder, what, every)))
