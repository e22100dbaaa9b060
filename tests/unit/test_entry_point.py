"""The entry point of a block, or an error that names the line and what to write instead."""

from __future__ import annotations

import contextlib
import dis
import sys
import textwrap

import pytest

from blockcache.errors import BlockError
from blockcache.frames import Entry, entry_point


class probe:
    def __init__(self) -> None:
        self.entry: Entry | None = None

    def __enter__(self):
        self.frame = sys._getframe(1)
        self.entry = entry_point(self.frame)
        found.append((self.frame.f_code, self.entry))
        return self

    def __exit__(self, *_):
        return False


found: list = []

NAMES = "".join(f"v{i} = {i}\n" for i in range(300))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("with probe(): pass", None),
        ("with probe() as p: pass", "p"),
        ("with probe() as p: y = y0 = 1", "p"),
        ("def f(y):\n  with probe() as p: x = y\nf(1)", "p"),
        ("def f(y):\n  with probe() as p:\n    x = y\nf(1)", "p"),
        ("def f():\n  global p\n  with probe() as p: pass\nf()", "p"),
        ("def f():\n  with probe() as p: pass\n  return lambda: p\nf()", "p"),
        ("def f():\n  p = 1\n  def g():\n    nonlocal p\n    with probe() as p: pass\n  g()\nf()", "p"),
        ("class C:\n  with probe() as p: pass", "p"),
        ("class C:\n  def f(self):\n    with probe() as __p: pass\nC().f()", "_C__p"),
        (NAMES + "with probe() as p: pass", "p"),
        ("def f():\n" + textwrap.indent(NAMES, "  ") + "  with probe() as p: pass\nf()", "p"),
        ("with contextlib.nullcontext() as a, probe() as p, contextlib.nullcontext() as c: pass", "p"),
    ],
)
def test_the_name_after_as(source: str, name: str | None) -> None:
    """Whatever kind of store the compiler chose, the name and the place of that one instruction are found."""
    found.clear()
    code = compile(source, "program", "exec")
    exec(code, {"probe": probe, "contextlib": contextlib})
    ((code, entry),) = found
    assert entry.as_name == name
    before, *_ = (i for i in dis.get_instructions(code) if i.offset == entry.offset - 2)
    assert before.opname == "BEFORE_WITH"


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("o = probe()\n\nwith probe() as o.x:\n  pass", 3, "Write `as name`"),
        ("d = {}\nwith probe() as d['k']: pass", 2, "Write `as name`"),
        ("with probe() as (a, b): pass", 1, "Write `as name`"),
        ("with probe() as [a, *b]: pass", 1, "Write `as name`"),
        ("import contextlib\nwith contextlib.ExitStack() as s:\n  s.enter_context(probe())", 3, "without ExitStack"),
        ("p = probe()\np.__enter__()", 2, "without ExitStack"),
        (
            "class P(probe):\n  def __enter__(self):\n    return super().__enter__()\nwith P(): pass",
            3,
            "`with` statement",
        ),
    ],
)
def test_refused(source: str, line: int, says: str) -> None:
    """The error names file, line and way out, and comes before the body."""
    with pytest.raises(BlockError) as caught:
        exec(compile(source, "program.py", "exec"), {"probe": probe})
    assert (caught.value.file, caught.value.line) == ("program.py", line)
    assert says in caught.value.way_out
    assert str(caught.value).startswith(f"program.py:{line}: ")
