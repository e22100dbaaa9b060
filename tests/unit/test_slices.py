"""Slices: which statements before a point the value of a name depends on."""

from __future__ import annotations

import ast
import textwrap

import pytest

from blockcache.analysis.facts import Frame
from blockcache.analysis.slices import UNKNOWN, Now, Slice, Slices
from blockcache.analysis.steps import Setting, steps_before

PLAIN = Now(fixed=True, settled=True, builtin=True)
LIBRARY = Now(settled=True, shared="lib")


def sliced(source: str, name: str = "v", **known: Now) -> Slice:
    """The slice of a name at the statement `here`."""
    tree = ast.parse(textwrap.dedent(source))
    here = next(n for n in ast.walk(tree) if isinstance(n, ast.Expr) and ast.unparse(n) == "here")
    steps = steps_before(tree.body, here, Setting())
    assert steps is not None
    known = {"connect": PLAIN, "print": PLAIN, "range": PLAIN, "next": PLAIN} | known
    return Slices(steps, lambda n: known.get(n, UNKNOWN), lambda n: n == "given").of([name])


def kept(source: str, name: str = "v", **known: Now) -> str:
    """The statements of the slice on one line."""
    return "; ".join(ast.unparse(n).replace("\n", " ") for s in sliced(source, name, **known).steps for n in s.nodes)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("w = connect()\nv = connect()\nhere", "v = connect()"),
        ("v = connect(1)\nv = connect(2)\nhere", "v = connect(2)"),
        ("v = connect()\nv.do()\nhere", "v = connect(); v.do()"),
        ("v = connect()\nw = v\nw.do()\nhere", "v = connect(); w = v; w.do()"),
        ("v = connect()\nprint(v)\nhere", "v = connect()"),
        ("v = connect()\nprint(*v)\nhere", "v = connect(); print(*v)"),
        ("v = connect()\nx = [v]\nx[0].do()\nhere", "v = connect(); x = [v]; x[0].do()"),
        ("v, w = connect()\nw.do()\nhere", "v, w = connect(); w.do()"),
        ("if a:\n  v = 1\nhere", "if a:     v = 1"),
        ("v = 0\nif a:\n  v = 1\nhere", "v = 0; if a:     v = 1"),
        ("v = connect()\nv += 1\nhere", "v = connect(); v += 1"),
        ("v = connect()\ndel v\nv = 2\nhere", "v = 2"),
        ("v = connect()\ndef f():\n  v.do()\nf()\nhere", "v = connect(); def f():     v.do(); f()"),
        ("v = connect()\ndef f():\n  v.do()\nhere", "v = connect()"),
        ("def f():\n  global v\n  v = 1\nf()\nhere", "def f():     global v     v = 1; f()"),
        ("v = connect()\nf = lambda: v.do()\ng = f\ng()\nhere", "v = connect(); f = lambda: v.do(); g = f; g()"),
        ("v = connect()\nx = (v.do(n) for n in range(2))\nnext(x)\nhere",
         "v = connect(); x = (v.do(n) for n in range(2)); next(x)"),
        ("with connect() as v:\n  v.do()\n  here\n  v.late()", "with connect() as v:     pass; v.do()"),
        ("try:\n  v = connect()\n  here\nfinally:\n  v = 2", "v = connect()"),
        ("v = connect()\nwith cached_block('a'):\n  v.do()\nhere", "v = connect(); with cached_block():     v.do()"),
    ],
)  # fmt: skip
def test_what_belongs_to_a_slice(source: str, expected: str) -> None:
    """Bindings, aliases, changes by methods, by functions and by generators; nothing that cannot matter."""
    assert kept(source) == expected


def test_a_settled_value_stands_for_its_statements() -> None:
    """As long as the name still has the value that the statement read."""
    assert kept("p = make()\nv = connect(p)\nhere", p=PLAIN) == "v = connect(p)"
    assert "p" in sliced("p = make()\nv = connect(p)\nhere", p=PLAIN).reads
    assert kept("p = make()\nv = connect(p)\np = 2\nhere", p=PLAIN) == "p = make(); v = connect(p)"
    assert sliced("p = make()\nv = connect(p)\np = 2\nhere", p=PLAIN).lost == {"p", "make"} - {"make"}


def test_a_value_that_hidden_code_may_bind_is_never_settled() -> None:
    """A function with `global p` may have run since, whoever called it."""
    source = "p = make()\ndef f():\n  global p\n  p = 2\nv = connect(p)\nhere"
    assert kept(source, p=PLAIN).startswith("p = make()")


def test_uses_of_a_library_are_apart_unless_they_are_there_for_their_effect() -> None:
    """A call whose result is dropped, or a store, is for its effect on the library."""
    assert kept("import lib\nw = lib.a(x)\nv = lib.b()\nhere", lib=LIBRARY) == "v = lib.b()"
    assert kept("import lib\nlib.seed(1)\nv = lib.b()\nhere", lib=LIBRARY) == "lib.seed(1); v = lib.b()"
    assert kept("import lib\nlib.option = 1\nv = lib.b()\nhere", lib=LIBRARY) == "lib.option = 1; v = lib.b()"


def test_earlier_iterations_of_a_loop() -> None:
    """A value made in the iteration does not depend on earlier ones, one from before the loop does."""
    own = sliced("for p in ps:\n  v = connect(p)\n  here\n  v.do()", p=PLAIN)
    assert not own.again and [ast.unparse(s.nodes[0]) for s in own.steps] == ["v = connect(p)"]
    assert sliced("v = connect()\nfor p in ps:\n  here\n  v.do()").again == 2
    assert not sliced("v = connect()\nfor p in ps:\n  here\n  p.do()").again


def test_dynamic_code_takes_everything() -> None:
    """What `exec` does, the text does not show."""
    tree = ast.parse("exec(text)\nw = 1\nhere")
    steps = steps_before(tree.body, tree.body[-1], Setting())
    assert steps is not None
    slices = Slices(steps, lambda n: UNKNOWN, lambda n: False)
    assert slices.dynamic and len(slices.of(["v"], whole=slices.dynamic).steps) == 2


def test_values_from_outside_may_share_parts() -> None:
    """Two variables that a function is given may be one object."""
    tree = ast.parse("a.do()\nc = 1\nhere")
    steps = steps_before(tree.body, tree.body[-1], Setting(lambda: Frame("function", own={"a", "b", "c"})))
    assert steps is not None
    slices = Slices(steps, lambda n: UNKNOWN, lambda n: n in ("a", "b"))
    assert [ast.unparse(s.nodes[0]) for s in slices.of(["b"]).steps] == ["a.do()"]
