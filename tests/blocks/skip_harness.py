"""A context manager made of nothing but the public classes of `blockcache.frames`, and a runner of small programs.

Run as a program, in a fresh interpreter:

    skip_harness.py MODE FILE NAME [NAME ...]

runs the named programs of FILE one after the other while another tool traces (see MODES), and
prints one line for each: `NAME ok`, `NAME refused MESSAGE` or `NAME failed ERROR`.
"""

from __future__ import annotations

import ast
import sys
from functools import partial

from blockcache.errors import BlockError
from blockcache.frames import Done, Namespace, Skip, entry_point


class cb:
    """A block that always hits (or, with hit=False, always misses) and gives back its keyword arguments."""

    def __init__(self, name: str, *, hit: object = True, **values: object) -> None:
        self.name, self.hit, self.values = name, hit, values
        self.namespace = self.entry = self.skip = None
        self.armed = self.skipped = False

    def __enter__(self):
        self.prepare(sys._getframe(1))
        return self.begin()

    def __aenter__(self):
        self.prepare(sys._getframe(1))
        return Done(self.begin)

    def __aexit__(self, kind, exception, trace):
        swallows = []
        done = Done(swallows.pop)
        swallows.append(self.__exit__(kind, exception, trace))
        return done

    def prepare(self, frame):
        self.entry = entry_point(frame)
        self.namespace = Namespace(frame)
        self.skip = Skip(frame, self.entry)

    def begin(self):
        if not self.hit:
            return self
        self.armed = self.skip.arm()
        return self

    def __exit__(self, kind, exception, trace):
        skip, namespace = self.skip, self.namespace
        try:
            self.skip = self.namespace = None
            self.skipped = skip.raised(exception)
            if self.skipped:
                bound = {self.entry.as_name: self} if self.entry.as_name else {}
                namespace.assign({**self.values, **bound})
            return self.skipped
        finally:
            skip.disarm()


def left_on(*codes) -> str:
    """What is still traced in this thread and in these code objects; empty when nothing is."""
    found = []
    if sys.gettrace() is not None:
        found.append(f"sys.gettrace() is {sys.gettrace()!r}")
    if sys.version_info >= (3, 12):
        found += [
            f"tool {tool} watches {code.co_name}"
            for tool in range(6)
            if tool != 1 and sys.monitoring.get_tool(tool) is not None
            for code in codes
            if sys.monitoring.get_local_events(tool, code)
        ]
        from blockcache.frames import skip

        found += [f"armed: {frame}" for frame in skip._armed]
    return "; ".join(found)


def programs(path: str) -> dict[str, str]:
    """The programs of a file, by name: each begins with a line `#@ NAME`."""
    with open(path) as file:
        parts = file.read().split("#@ ")[1:]
    return {name.strip(): text for name, _, text in (part.partition("\n") for part in parts)}


class _KeepAsserts(ast.NodeTransformer):
    """`assert` as a plain statement, so that a program still checks itself under `python -O`."""

    def visit_Assert(self, node):
        message = [node.msg] if node.msg else []
        error = ast.Raise(ast.Call(ast.Name("AssertionError", ast.Load()), message, []))
        return ast.If(ast.UnaryOp(ast.Not(), node.test), [error], [])


def run(name: str, text: str, file: str, *, look_for_leftovers: bool) -> str:
    """Run one program; what became of it, in one line."""
    namespace = {"cb": cb, "B": [], "sys": sys, "__name__": "__main__"}
    tree = ast.parse(text, file)
    if not __debug__:
        tree = ast.fix_missing_locations(_KeepAsserts().visit(tree))
    code = compile(tree, file, "exec")
    try:
        exec(code, namespace)
    except BlockError as error:
        return f"{name} refused {error}"
    except BaseException as error:
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{name} failed {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
    if look_for_leftovers:
        leftovers = left_on(code, *(c for c in code.co_consts if hasattr(c, "co_code")))
        if leftovers:
            return f"{name} failed left on: {leftovers}"
    return f"{name} ok"


def plain(programs, file):
    return [run(name, text, f"{file}:{name}", look_for_leftovers=True) for name, text in programs.items()]


def cprofile(programs, file):
    import cProfile

    profile = cProfile.Profile()
    lines = profile.runcall(plain, programs, file)
    assert sum(entry.callcount for entry in profile.getstats()) > len(programs)
    return lines


def debugger(programs, file):
    """Every line of every frame goes to a Python function, as under pdb."""

    def trace(frame, event, argument):
        return trace

    lines = []
    for name, text in programs.items():
        sys.settrace(trace)
        lines.append(run(name, text, f"{file}:{name}", look_for_leftovers=False))
        if sys.gettrace() is not trace:
            lines[-1] = f"{name} failed: the debugger's tracer was lost"
    sys.settrace(None)
    return lines


def coverage(programs, file, core):
    """The last statement of each program is counted: no skip before it cost coverage its tracer."""
    import tempfile
    from pathlib import Path

    import coverage

    lines = []
    with tempfile.TemporaryDirectory() as folder:
        measure = coverage.Coverage(data_file=None, include=[f"{folder}/*"])
        measure.set_option("run:core", core)
        for name, text in programs.items():
            path = Path(folder, f"{name}.py")
            path.write_text(text)
            measure.start()
            line = run(name, text, str(path), look_for_leftovers=False)
            measure.stop()
            counted = measure.get_data().lines(str(path)) or []
            if line == f"{name} ok" and ast.parse(text).body[-1].lineno not in counted:
                line = f"{name} failed: coverage counted no more than the lines {sorted(counted)}"
            lines.append(line)
    return lines


MODES = {
    "plain": plain,
    "cprofile": cprofile,
    "debugger": debugger,
    "ctrace": partial(coverage, core="ctrace"),
    "sysmon": partial(coverage, core="sysmon"),
}

if __name__ == "__main__":
    mode, file, *names = sys.argv[1:]
    texts = programs(file)
    print("\n".join(MODES[mode]({name: texts[name] for name in names}, file)), flush=True)
