"""Fresh interpreters without the time that starting one takes: a process that has imported blockcache, and forks.

A child runs a script as ``python script`` would: a ``__main__`` of its own, the folder of the script first on the path, its own
environment and directory. What it does not have is a hash seed of its own, so :class:`Nurseries` keeps two processes and takes
turns. Options of the interpreter, and ``PYTHONPATH``, need a real start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

#: A program must not find this file among its callers, so its code passes for the interpreter's own.
_START = """
space = {{"__name__": "nursery", "__file__": {0!r}}}
exec(compile(open({0!r}).read(), "<frozen nursery>", "exec"), space)
space["serve"]()
"""


class Nursery:
    """One process that forks."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START.format(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def run(
        self, argv: list[str], cwd: str, env: dict[str, str], path: list[str], ending: dict[str, Any] | None
    ) -> tuple[int, str, str]:
        """Exit status, output and errors of a script and its arguments; ``path`` stands before all other modules.

        ``ending`` names a ``script`` whose ``describe`` runs after the program's last line, and the file ``to`` write to.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            job = {"argv": argv, "cwd": cwd, "env": env, "path": path, "folder": folder, "ending": ending}
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            texts = []
            for name in ("out", "err"):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace", newline=None) as file:
                    texts.append(file.read())
            return code, texts[0], texts[1]


class Nurseries:
    """Two of them, of different hash seeds, that take turns."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._all: list[Nursery] = []
        self._next = 0

    def run(
        self,
        argv: list[str],
        cwd: str,
        env: dict[str, str],
        path: list[str] | None = None,
        ending: dict[str, Any] | None = None,
    ) -> tuple[int, str, str]:
        """Like :meth:`Nursery.run`."""
        if not self._all:
            self._all = [Nursery(self._environment | {"PYTHONHASHSEED": seed}) for seed in ("1", "2")]
        self._next = 1 - self._next
        return self._all[self._next].run(argv, cwd, env, path or [], ending)


def serve() -> None:
    """Fork a child for each job that stands on a line of standard input; write its exit status."""
    path = [entry for entry in sys.path if entry]
    # What nearly every program needs.
    import executing  # noqa: F401

    import blockcache.block

    del blockcache
    for line in sys.stdin.buffer:
        job = json.loads(line)
        child = os.fork()
        if not child:
            _become(job, path)
            return
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(1, f"{code}\n".encode())


def _become(job: dict[str, Any], path: list[str]) -> None:
    import builtins
    import time

    import __main__

    for number, name in ((1, "out"), (2, "err")):
        file = os.open(os.path.join(job["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.reconfigure(line_buffering=False)  # type: ignore[union-attr]
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    time.tzset()
    script = os.path.abspath(job["argv"][0])
    sys.argv = job["argv"]
    sys.path[:] = [os.path.dirname(script), *job["path"], *path]
    sys.dont_write_bytecode = bool(job["env"].get("PYTHONDONTWRITEBYTECODE"))
    if job["path"]:  # with something else of that name
        for name in [name for name in sys.modules if name.partition(".")[0] == "blockcache"]:
            del sys.modules[name]
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    space = __main__.__dict__
    space.clear()
    names = {"__doc__": None, "__package__": None, "__spec__": None, "__loader__": None, "__builtins__": builtins}
    space.update(names, __name__="__main__", __file__=script)
    if job["ending"] is None:
        exec(code, space)
        return
    try:
        exec(code, space)
    finally:
        _describe(job["ending"], space, job["cwd"])


def _describe(ending: dict[str, Any], space: dict[str, Any], cwd: str) -> None:
    with open(ending["script"], encoding="utf-8") as file:
        code = compile(file.read(), ending["script"], "exec", dont_inherit=True)
    tools: dict[str, Any] = {"__name__": "ending"}
    sys.stdout.flush()
    sys.stderr.flush()
    exec(code, tools)
    found = json.dumps(tools["describe"](dict(space), cwd, set(ending["seeded"])))
    with open(ending["to"], "w", encoding="utf-8") as file:
        file.write(found)
