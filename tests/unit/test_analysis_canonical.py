"""The canonical digest of a body: what changes it, what does not, and that every Python agrees."""

from __future__ import annotations

import ast
import itertools
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from blockcache.analysis.canonical import canonical_digest

DIGESTS = Path(__file__).with_name("canonical_digests.json")


def digest(source: str, *, keep_all: bool = False, in_class: bool = False) -> str:
    return canonical_digest(ast.parse(textwrap.dedent(source)).body, keep_all=keep_all, in_class=in_class)


#: Every two of a group mean different things.
DIFFERENT = {
    "numbers that print alike": ["x = 1", "x = '1'", "x = True", "x = 1.0", "x = b'1'", "x = 1j"],
    "texts side by side": ["f('ab', 'c')", "f('a', 'bc')", "f('abc')", "f('ab' 'c', '')"],
    "sign of zero": ["x = 0.0", "x = -0.0", "x = 0", "x = -0"],
    "big numbers": [f"x = 0x{'f' * 5000}", f"x = 0x{'f' * 4999}e"],
    "try and else": [
        "try:\n  a()\n  b()\nexcept E:\n  pass",
        "try:\n  a()\nexcept E:\n  pass\nelse:\n  b()",
        "try:\n  a()\nexcept E:\n  pass\nfinally:\n  b()",
        "try:\n  a()\nexcept E:\n  b()",
        "try:\n  a()\nexcept* E:\n  b()",
    ],
    "else of a loop": [
        "for i in x:\n  if i: break\nelse: y()",
        "for i in x:\n  if i: break\n  else: y()",
        "for i in x:\n  if i: break\ny()",
    ],
    "order of a dict": ["x = {'a': 1, 'b': 2}", "x = {'b': 2, 'a': 1}"],
    "unpacking": ["x = {**a}", "x = {None: a}", "f(**a)", "f(*a)", "f(a)"],
    "swapped names": ["def f(a, b): return a - b", "def f(b, a): return a - b", "def f(a, b): return b - a"],
    "kinds of parameters": [
        "def f(a, /, b): 1",
        "def f(a, b, /): 1",
        "def f(a, *, b): 1",
        "def f(a, *b): 1",
        "def f(a, **b): 1",
    ],
    "defaults": [
        "def f(a, b=1): 1",
        "def f(a=1, b=1): 1",
        "def f(a, *, b=1): 1",
        "def f(a, *, b): 1",
        "def f(a, *, b=None): 1",
    ],
    "operators": ["x = a < b", "x = a <= b", "x = a is b", "x = a == b", "x = a + b", "x = a - b", "x += a", "x = a"],
    "nesting": ["if a:\n  b()\nc()", "if a:\n  b()\n  c()", "if a: pass\nb()\nc()"],
    "elif": ["if a: x()\nelif b: y()", "if a: x()\nif b: y()"],
    "imports": [
        "import a.b",
        "import a.b as c",
        "from a import b",
        "from .a import b",
        "from ..a import b",
        "from . import a",
    ],
    "formatted text": ["f'{x}'", "f'{x!r}'", "f'{x:>3}'", "f'{x:>{3}}'", "f'{x=}'", "f'{x}a'", "f'a{x}'", "'{x}'", "x"],
    "conversion and format": ["y = f'{x!s}'", "y = f'{x!a}'", "y = f'{x:s}'"],
    "async": [
        "async def f(): return [a async for a in b]",
        "async def f(): return [a for a in b]",
        "def f(): return [a for a in b]",
    ],
    "scopes": ["def f():\n  global x\n  x = 1", "def f():\n  x = 1", "def f():\n  nonlocal_ = 1"],
    "patterns": [
        "match x:\n  case [a, *b]: pass",
        "match x:\n  case [a, b]: pass",
        "match x:\n  case b.c: pass",
        "match x:\n  case {'a': b}: pass",
        "match x:\n  case {'a': b, **c}: pass",
        "match x:\n  case A(a=b): pass",
        "match x:\n  case A(b): pass",
        "match x:\n  case None: pass",
        "match x:\n  case True: pass",
        "match x:\n  case _: pass",
    ],
    "what a decorator sees": [
        "@d\ndef f(a: int): 1",
        "@d\ndef f(a: str): 1",
        "@d\ndef f(a): 1",
        "@d\ndef f(a) -> int: 1",
    ],
    "fields": ["class A:\n  x: int = 1", "class A:\n  x: str = 1", "class A:\n  x = 1", "class A:\n  x: int"],
    "methods that a base class sees": [
        "class A(B):\n  def f(self, a: int): 1",
        "class A(B):\n  def f(self, a: str): 1",
    ],
    "local declaration": ["def f():\n  x: int\n  return x", "def f():\n  return x"],
    "annotations that do something": ["def f(a: g()): 1", "def f(a: h()): 1", "def f(a): 1"],
    "statements that do nothing": ["x", "x()", "x; y", "'x'"],
    "deletes": ["del a, b", "del a[b]", "del a.b", "del (a, b), c"],
    "with items": ["with a, b: c()", "with a as b: c()", "with a:\n  c()"],
    "keywords": ["f(a=1)", "f(b=1)", "f(a)", "f(*a)"],
    "class parts": ["class A(B): pass", "class A(metaclass=B): pass", "@B\nclass A: pass", "class A: pass"],
    "surrogates": ["x = '\\ud800'", "x = '\\ud801'"],
    "ellipsis": ["x = ...", "x = None", "x = Ellipsis", "x = '...'"],
}

#: All of a group mean the same.
SAME = {
    "comments and layout": [
        "x = [1, 2]",
        "x  =  [1,\n  2]  # two",
        "# before\nx = [1, 2,]",
        "(x) = [1, 2]",
        "x = ([1, (2)])",
    ],
    "quotes": ["x = 'a\"b'", 'x = "a\\"b"', 'x = """a"b"""', "x = 'a' '\"b'", "x = u'a\"b'", "x = r'a\"b'"],
    "numbers": ["x = 1000", "x = 1_000", "x = 0x3e8"],
    "docstring of a function": [
        "def f(): return 1",
        "def f():\n  'doc'\n  return 1",
        "def f():\n  '''other'''\n  return 1",
    ],
    "docstring of a class": ["class A:\n  x = 1", "class A:\n  'doc'\n  x = 1"],
    "bodies that do nothing": ["def f(): pass", "def f(): ...", "def f(): 'doc'", "def f():\n  pass\n  pass"],
    "texts that stand alone": ["x = 1", "'note'\nx = 1", "x = 1\npass", "x = 1\n..."],
    "annotations of undecorated functions": [
        "def f(a, *b, c=1, **d): return a",
        "def f(a: int, *b: T, c: 'x' = 1, **d: y.z) -> list[int]: return a",
    ],
    "annotations of variables": ["x = 1", "x: int = 1", "x: list[int] | None = 1"],
    "annotations of local variables": ["def f():\n  x = 1", "def f():\n  x: int = 1"],
    "annotations of attributes": ["self.x = 1", "self.x: int = 1"],
    "pieces of a formatted text": [
        "y = f'a{x}b'",
        "y = 'a' f'{x}' 'b'",
        "y = f'a' f'{x}b'",
        'y = f"a{x}b"',
        "y = f'''a{ x }b'''",
    ],
    "empty format": ["y = f'{x}'", "y = f'{x:}'"],
    "formatted text without a field": ["y = 'a{b'", "y = f'a{{b'"],
    "elif": ["if a: x()\nelif b: y()", "if a: x()\nelse:\n  if b: y()"],
    "positions": ["\n\n\nx = 1", "x = 1"],
    "semicolons": ["x = 1; y = 2", "x = 1\ny = 2"],
    "methods without decorator or base": [
        "class A:\n  def f(self, a: int): return a",
        "class A:\n  def f(self, a): return a",
    ],
    "parentheses": ["x = a, b", "x = (a, b)", "x = (\n  a,\n  b,\n)"],
    "type comments": ["x = []", "x = []  # type: list[int]"],
}


@pytest.mark.parametrize("group", DIFFERENT)
def test_edits_that_change_the_meaning_change_the_digest(group: str) -> None:
    """No two of these bodies share a digest."""
    for a, b in itertools.combinations(DIFFERENT[group], 2):
        assert digest(a) != digest(b), (a, b)


@pytest.mark.parametrize("group", SAME)
def test_edits_that_cannot_matter_do_not(group: str) -> None:
    """All of these bodies share a digest."""
    assert len({digest(s) for s in SAME[group]}) == 1


@pytest.mark.parametrize(
    "group", ["docstring of a function", "annotations of undecorated functions", "annotations of variables"]
)
def test_everything_counts_where_docstrings_are_read(group: str) -> None:
    """A body that looks at docstrings or annotations depends on them."""
    assert len({digest(s, keep_all=True) for s in SAME[group]}) == len(SAME[group])


def test_annotations_of_a_class_body_are_fields() -> None:
    """A block that stands in a class body makes fields, too."""
    assert digest("x: int = 1", in_class=True) != digest("x: str = 1", in_class=True)


def test_context_is_part_of_the_digest() -> None:
    """Facts outside the statements that change their meaning change the digest."""
    body = ast.parse("x = 1").body
    forms = [[], ["a"], ["a", "b"], ["ab"]]
    assert len({canonical_digest(body, keep_all=False, in_class=False, context=c) for c in forms}) == 4


def table() -> dict[str, str]:
    """Digests of every body of this file that all supported Pythons can parse."""
    return {source: digest(source) for group in (*DIFFERENT.values(), *SAME.values()) for source in group}


def test_every_python_gives_the_committed_digests() -> None:
    """The same body has the same digest on every Python, and keeps it from release to release.

    When the form changes on purpose: ``python tests/unit/test_analysis_canonical.py`` writes the table,
    and CHANGELOG.md says under Keys that every entry is lost.
    """
    assert table() == json.loads(DIGESTS.read_text())


def test_the_digest_does_not_depend_on_the_process() -> None:
    """Nothing in the form comes from hashing or from addresses."""
    program = f"import sys; sys.path.insert(0, {str(DIGESTS.parent)!r}); import test_analysis_canonical as t; print(t.digest('x = {{1, 2}}'))"
    run = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for seed in "12"
    ]
    assert run[0].stdout == run[1].stdout == digest("x = {1, 2}") + "\n"


if __name__ == "__main__":
    DIGESTS.write_text(json.dumps(table(), indent=1, sort_keys=True) + "\n")
