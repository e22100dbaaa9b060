"""Interpreters that have libraries loaded already, and fork for each program: much quicker than starting one each time."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

# The program must not find this file among its callers, so its code passes for the interpreter's own.
_START = """
space = {{"__name__": "forks", "__file__": {0!r}}}
exec(compile(open({0!r}).read(), "<frozen forks>", "exec"), space)
space["serve"]({1!r})
"""


class Forks:
    """One such interpreter, which runs one program at a time."""

    def __init__(self, modules: Iterable[str], environment: dict[str, str]) -> None:
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _START.format(__file__, sorted(modules))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def run(self, folder: str, env: dict[str, str], out: str, err: str, limit_s: float) -> int | None:
        """Exit status of ``main.py`` in ``folder``; None when it took too long."""
        assert self.process.stdin is not None and self.process.stdout is not None
        job = {"folder": folder, "env": env, "out": out, "err": err, "limit_s": limit_s}
        with self.lock:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the server of forks ended")
        return json.loads(answer)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


def serve(modules: list[str]) -> None:
    """Fork a child for each line of standard input; answer with its exit status."""
    import signal
    import time
    import warnings

    path = [entry for entry in sys.path if entry]
    for name in ["executing", "blockcache.block", *modules]:
        try:
            importlib.import_module(name)
        except Exception:
            continue
    mine = [name for name in sys.modules if name.partition(".")[0] == "blockcache"]
    warnings.resetwarnings()
    # As an interpreter starts, see Python/_warnings.c.
    for kind in (ResourceWarning, ImportWarning, PendingDeprecationWarning, DeprecationWarning):
        warnings.simplefilter("ignore", kind)
    warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")
    for line in sys.stdin.buffer:
        job = json.loads(line)
        child = os.fork()
        if not child:
            _become(job, path, mine)
            return
        end = time.monotonic() + 20 * job["limit_s"] + 60
        done = 0
        while not done and time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.005)
        if not done:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.write(1, json.dumps(os.waitstatus_to_exitcode(status) if done else None).encode() + b"\n")


def _become(job: dict[str, Any], path: list[str], mine: list[str]) -> None:
    import builtins

    import __main__

    for number, name in ((1, job["out"]), (2, job["err"])):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["env"])
    script = os.path.join(job["folder"], "main.py")
    sys.argv = ["main.py"]
    sys.path[:] = [job["folder"], *path]
    sys.dont_write_bytecode = True
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # what all children have inherited
    with open(os.path.join(path_of_observer(path), "watch.py")) as watcher:
        space: dict[str, Any] = {"__name__": "watch"}
        exec(compile(watcher.read(), "<frozen watch>", "exec"), space)
    spec = os.environ.pop("FAITHFUL")
    if json.loads(spec)["plain"]:
        for name in mine:
            del sys.modules[name]
    space["watch"](spec)
    with open(script, "rb") as program:
        code = compile(program.read(), script, "exec", dont_inherit=True)
    space = __main__.__dict__
    space.clear()
    names = {"__doc__": None, "__package__": None, "__spec__": None, "__loader__": None, "__builtins__": builtins}
    space.update(names, __name__="__main__", __file__=script)
    exec(code, space)


def path_of_observer(path: list[str]) -> str:
    """The folder that has the watcher."""
    return next(entry for entry in path if os.path.exists(os.path.join(entry, "watch.py")))
