"""Runs programs in forks of one interpreter that has the big libraries loaded already: `python child.py MODULE ...`.

One request is one line of JSON on standard input, one answer one line on standard output. The parent of the forks
never imports a program, so each fork is as fresh as a new process, apart from the libraries.
"""

from __future__ import annotations

import _thread
import ast
import atexit
import functools
import importlib
import io
import json
import os
import re
import resource
import signal
import sys
import threading
import time
import types
import warnings
import weakref
from pathlib import Path

from outcome import digest, is_handle

PLAIN = types.ModuleType("blockcache")


class _Plain:
    """What a block is in the plain run: nothing."""

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def __enter__(self) -> _Plain:
        return self

    def __exit__(self, *error: object) -> None:
        return None


PLAIN.cached_block = _Plain  # type: ignore[attr-defined]


def block_lines(path: str) -> list[tuple[int, int]]:
    """First and last line of each block's body in a file."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return [
        (node.body[0].lineno, node.end_lineno or 0)
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and "cached_block" in ast.unparse(node.items[0].context_expr)
    ]


class Outside(io.TextIOBase):
    """Standard output that forgets what is written while a block's body runs."""

    encoding = "utf-8"

    def __init__(self, lines: dict[str, list[tuple[int, int]]]) -> None:
        self.lines = lines
        self.kept: list[str] = []

    def write(self, text: str) -> int:
        frame = sys._getframe(1)
        while frame is not None:
            for first, last in self.lines.get(frame.f_code.co_filename, ()):
                if first <= frame.f_lineno <= last:
                    return len(text)
            frame = frame.f_back  # type: ignore[assignment]
        self.kept.append(text)
        return len(text)


def run_alone(path: str, namespace: dict) -> str | None:
    """Run a program with nothing below it on the stack, as in a process of its own; the error that it ended with."""
    found: list[str] = []

    def failed(problem: object) -> None:
        kind, value = problem.exc_type, problem.exc_value  # type: ignore[attr-defined]
        text = re.sub(r"0x[0-9a-f]+|line \d+|\.py:\d+", "_", str(value))
        found.append(f"{kind.__name__}: {text[:300]}")

    sys.unraisablehook = failed
    with open(path, encoding="utf-8") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    program = functools.partial(exec, code, namespace)
    alive = weakref.ref(program)
    # A thread whose whole stack is the program: callers of ours would be part of what its blocks see.
    _thread.start_new_thread(program, ())
    del program
    while alive() is not None:
        time.sleep(0.002)
    sys.unraisablehook = sys.__unraisablehook__
    return found[0] if found else None


def run_program(request: dict) -> dict:
    """Run one program in this process and say what it printed, raised and bound."""
    folder, mode = request["folder"], request["mode"]
    os.chdir(folder)
    os.environ.update(request["env"])
    sys.dont_write_bytecode = True
    here = str(Path(__file__).parent)
    sys.path[:] = [folder] + [p for p in sys.path if p not in (here, "")]
    path = os.path.join(folder, request["script"])
    sys.argv = [path]
    if mode == "plain":
        sys.modules["blockcache"] = PLAIN
    local = {str(p): block_lines(str(p)) for p in Path(folder).rglob("*.py")}
    sys.stdout = kept = Outside(local)
    warnings.simplefilter("ignore")
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(7)
    if "random" in sys.modules:
        sys.modules["random"].seed(7)
    main = types.ModuleType("__main__")
    main.__file__ = path
    main.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = main
    start = time.process_time()
    error = run_alone(path, main.__dict__)
    spent = time.process_time() - start
    own = set(local) | {path}
    found = {
        name: digest(value, own, request["loose"])
        for name, value in main.__dict__.items()
        if not name.startswith("__") and not isinstance(value, types.ModuleType) and not is_handle(value)
    }
    return {"printed": "".join(kept.kept), "error": error, "names": found, "cpu_s": spent}


def _in_fork(request: dict) -> None:
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)
    if request.get("stderr"):
        os.dup2(os.open(request["stderr"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    limit = int(request["limit_s"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    status = 1
    try:
        answer = run_program(request)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        Path(request["answer"]).write_text(json.dumps(answer))
        status = 0
    finally:
        os._exit(status)


def serve() -> None:
    """Answer requests until standard input ends."""
    for name in sys.argv[1:]:
        try:
            importlib.import_module(name)
        except Exception:
            continue
    for line in sys.stdin:
        request = json.loads(line)
        process = os.fork()
        if process == 0:
            _in_fork(request)
        # The limit is one of processor time, by the kernel; the clock only ends what sleeps.
        end = time.monotonic() + 20 * request["limit_s"] + 60
        while (done := os.waitpid(process, os.WNOHANG))[0] == 0 and time.monotonic() < end:
            time.sleep(0.004)
        if done[0] == 0:
            os.kill(process, signal.SIGKILL)
            done = os.waitpid(process, 0)
        print(json.dumps({"status": done[1]}), flush=True)


if __name__ == "__main__":
    serve()
