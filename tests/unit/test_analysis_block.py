"""From a running `with` statement to its Block, and what is refused with its line."""

from __future__ import annotations

import itertools
import sys
import textwrap

import pytest

from blockcache.analysis import Block, analyse
from blockcache.errors import BlockError
from blockcache.frames.locate import locate

_numbers = itertools.count()


def blocks(source: str) -> list[Block]:
    """Run a program in which every `with cached_block(...)` is located and analysed when it is entered, then runs its body."""
    text, found = textwrap.dedent(source).lstrip("\n"), []

    class cached_block:
        hit = False

        def __init__(self, *args: object) -> None:
            pass

        def __enter__(self) -> cached_block:
            frame = sys._getframe(1)
            located = locate(frame, text)
            assert located is not None
            found.append(analyse(located, frame.f_code))
            return self

        def __exit__(self, *exc: object) -> bool:
            return False

    code = compile(text, f"<program {next(_numbers)}>", "exec", dont_inherit=True)
    exec(code, {"cached_block": cached_block, "__name__": "program"})
    return found


def block(source: str) -> Block:
    (only,) = blocks(source)
    return only


REFUSED = {
    "return": ("def f():\n  with cached_block():\n    if 1:\n      return 1\nf()", 4),
    "break": ("for i in [1]:\n  with cached_block():\n    break", 3),
    "continue": ("for i in [1]:\n  with cached_block():\n    x = 1\n    continue", 4),
    "break in the else clause of an inner loop": (
        "while 1:\n  with cached_block():\n    for j in []: pass\n    else:\n      break",
        5,
    ),
    "break in a match": ("while 1:\n  with cached_block():\n    match 1:\n      case 1: break", 4),
    "break in a try": ("while 1:\n  with cached_block():\n    try: pass\n    finally:\n      break", 5),
    "yield": ("def f():\n  with cached_block():\n    x = yield 1\nlist(f())", 3),
    "yield from": ("def f():\n  with cached_block():\n    x = 1\n    yield from []\nlist(f())", 4),
    "yield in a default": ("def f():\n  with cached_block():\n    def g(a=(yield 1)): pass\nlist(f())", 3),
    "yield in a decorator": ("def f():\n  with cached_block():\n    @(yield 1)\n    def g(): pass\nlist(f())", 3),
    "yield in a base class": ("def f():\n  with cached_block():\n    class A((yield)): pass\nlist(f())", 3),
    "yield in the default of a lambda": (
        "def f():\n  with cached_block():\n    g = lambda a=(yield 1): a\nlist(f())",
        3,
    ),
    "yield in a later item": ("def f():\n  with cached_block(), (yield 1): pass\nlist(f())", 2),
    "yield in an async generator": (
        "async def f():\n  with cached_block():\n    yield 1\nasync def g():\n  async for _ in f(): pass\ntry: g().send(None)\nexcept StopIteration: pass",
        3,
    ),
    "import *": ("with cached_block():\n  from math import *", 2),
    "deleting a parameter": ("def f(x):\n  with cached_block():\n    del x\nf(1)", 3),
    "deleting an earlier local": ("def f():\n  x = 1\n  with cached_block():\n    y = 1\n    if y: del x\nf()", 5),
    "deleting one of several": ("def f():\n  x = z = 1\n  with cached_block():\n    del (z, [x])\nf()", 4),
    "name of an except clause that is bound before": (
        "def f():\n  e = 1\n  with cached_block():\n    try: pass\n    except E as e: pass\nf()",
        5,
    ),
    "inside the handler whose name it deletes": (
        "def f():\n  try: 1/0\n  except ZeroDivisionError as e:\n    with cached_block():\n      try: pass\n      except E as e: pass\nf()",
        6,
    ),
    "left over from an earlier round": (
        "def f():\n  for i in [1]:\n    with cached_block():\n      t = i\n      if t > 5: del t\nf()",
        5,
    ),
    "bound in one branch before": ("def f(c):\n  if c: t = 1\n  with cached_block():\n    t = 2\n    del t\nf(0)", 5),
    "deleted then bound in one branch": ("def f(t):\n  with cached_block():\n    del t\n    if f: t = 1\nf(0)", 3),
    "deleting the block's own name": ("def f():\n  with cached_block() as b:\n    del b\nf()", 3),
    "deleting in a nested function": (
        "def f():\n  x = 1\n  with cached_block():\n    def g():\n      nonlocal x\n      del x\nf()",
        6,
    ),
    "deleting a private name": ("class C:\n  def f(self, __x):\n    with cached_block():\n      del __x\nC().f(1)", 4),
    "nonlocal in a class body": (
        "def f():\n  x = 1\n  class C:\n    nonlocal x\n    with cached_block():\n      x = 2\nf()",
        6,
    ),
    "nonlocal of a method of a class body": (
        "def f():\n  x = 1\n  class C:\n    with cached_block():\n      def g(self):\n        nonlocal x\n        x = 2\nf()",
        7,
    ),
    "variable of the function around a class body": (
        "def f():\n  x = 1\n  class C:\n    with cached_block():\n      y = x\nf()",
        5,
    ),
    "super in a method made in a class body": (
        "class C:\n  with cached_block():\n    def g(self): return super().g()",
        3,
    ),
    "__class__ in a method made in a class body": (
        "class C:\n  with cached_block():\n    def g(self): return __class__",
        3,
    ),
    "field of a class body": ("class C:\n  with cached_block():\n    x: int = 1", 3),
    "method that reads a global of the name of a class variable": (
        "class C:\n  x = 1\n  with cached_block():\n    def g(self): return x",
        4,
    ),
    "global of the name of a local": (
        "def f():\n  x = 1\n  with cached_block():\n    def g():\n      global x\n      return x\nf()",
        6,
    ),
    "class variable of the name of a local": (
        "def f():\n  x = 1\n  with cached_block():\n    class C:\n      x = x\nx = 1\nf()",
        5,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_skip_cannot_honour_is_refused_with_its_line(name: str) -> None:
    """The error names file, line and a way out, and comes before the body has run."""
    source, line = REFUSED[name]
    with pytest.raises(BlockError) as caught:
        blocks(source)
    assert caught.value.line == line
    assert caught.value.file.startswith("<program")
    assert caught.value.way_out


ALLOWED = {
    "loops of its own": "with cached_block():\n  for i in [1, 2]:\n    if i: continue\n    break\n  while 1: break",
    "return in a function": "with cached_block():\n  def f():\n    for i in []: return 1\n    yield 2\n  g = lambda: (yield)",
    "temporary of a function": "def f():\n  with cached_block():\n    t = 1\n    y = t\n    del t\n  return y\nf()",
    "temporary of two blocks": "def f():\n  with cached_block():\n    t = 1; del t\n  with cached_block():\n    t = 2; del t\nf()",
    "temporary in a loop": "def f():\n  for i in [1, 2]:\n    with cached_block():\n      t = i\n      del t\nf()",
    "temporary deleted elsewhere": "def f():\n  t = 1\n  del t\n  with cached_block():\n    t = 1; del t\nf()",
    "temporary bound afterwards": "def f():\n  with cached_block():\n    t = 1; del t\n  t = 2\nf()",
    "deleted and bound again": "def f(t):\n  with cached_block():\n    del t\n    t = 1\nf(0)",
    "name of an except clause": "def f():\n  try: 1/0\n  except ZeroDivisionError as e: pass\n  with cached_block():\n    try: 1/0\n    except ZeroDivisionError as e: pass\nf()",
    "name of a later item": "def f():\n  with cached_block(), open(__file__ if 0 else '/dev/null') as g:\n    del g\nf()",
    "deleting a module's name": "x = 1\nwith cached_block():\n  del x",
    "deleting a declared global": "x = 1\ndef f():\n  global x\n  with cached_block():\n    del x\nf()",
    "deleting a class variable": "class C:\n  x = 1\n  with cached_block():\n    del x",
    "nonlocal in a function": "def f():\n  x = 1\n  def g():\n    nonlocal x\n    with cached_block(): x = 2\n  g()\n  return x\nassert f() == 2",
    "super in a method": "class A:\n  def g(self): return 1\nclass C(A):\n  def g(self):\n    with cached_block(): x = super().g()\n    return x\nC().g()",
    "class in a function": "def f():\n  x = 1\n  with cached_block():\n    class C:\n      y = x\n      def m(self): return super().__init__()\nf()",
    "fields of a class made in the block": "with cached_block():\n  class C:\n    x: int = 1",
    "await": "import asyncio\nasync def f():\n  with cached_block():\n    await asyncio.sleep(0)\n    x = [i async for i in g()]\n    async with h(): pass\n"
    "async def g():\n  yield 1\nimport contextlib\nh = contextlib.asynccontextmanager(g)\nasyncio.run(f())",
    "dynamic code": "with cached_block():\n  exec('x = 1')",
    "global of the name of a local of another function": "def f():\n  with cached_block():\n    def g():\n      global x\n      x = 1\n    g()\nf()",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_skip_can_honour_is_allowed(name: str) -> None:
    """Ordinary code is not refused."""
    assert blocks(ALLOWED[name])


def test_a_block_tells_what_it_is() -> None:
    """Reads, bindings, imports, lines and text of one ordinary block."""
    found = block(
        """
        limit = 2
        with cached_block("features") as b:
            import math as m
            rows = [m.sqrt(r) for r in range(limit)]
            if rows: best = rows[0]
            del rows
        """
    )
    assert found.reads == {"limit": ((),), "range": ((),)}
    assert found.writes == {"m", "rows", "best"}
    assert found.definite == {"m"}
    assert found.deletes == {"rows"}
    assert [(r.name, r.module, r.attribute, r.level) for r in found.imports] == [("m", "math", None, 0)]
    assert (found.line, found.end_line, found.dynamic, found.reads_doc) == (2, 6, (), False)
    assert found.source.startswith('with cached_block("features") as b:\n') and found.source.endswith("    del rows")


def test_the_header_and_the_place_of_a_block_are_not_part_of_it() -> None:
    """A block that is renamed, moved, or bound to another name keeps its digest."""
    found = blocks(
        """
        with cached_block("one"): x = 1
        with cached_block("two", 3) as b:
            x = 1  # the same
        def f():
            if 1:
                with cached_block(): x = 1
        class C:
            with cached_block(): x = 1
        f()
        """
    )
    assert len(found) == 4 and len({b.digest for b in found}) == 1


def test_later_items_belong_to_the_body() -> None:
    """An item after the block is the same as a `with` statement inside it; one before it is upstream."""
    one, two, three, four = blocks(
        """
        import io
        with cached_block(), io.StringIO() as f: x = f.read()
        with cached_block():
            with io.StringIO() as f: x = f.read()
        with io.StringIO() as f, cached_block(): x = f.read()
        with io.BytesIO() as f, cached_block(): x = f.read()
        """
    )
    assert one.digest == two.digest != three.digest == four.digest
    assert one.reads.keys() == {"io"} and three.reads.keys() == {"f"}
    assert one.writes == {"f", "x"} and three.writes == {"x"}


def test_private_names_depend_on_the_class() -> None:
    """`self.__x` is another attribute in another class, so a block that uses it is another block."""
    found = blocks(
        """
        class A:
            __x = 1
            def f(self):
                with cached_block(): y = self.__x
        class C(A):
            _C__x = 2
            def f(self):
                with cached_block(): y = self.__x
        A().f(), C().f()
        """
    )
    assert found[0].digest != found[1].digest
    assert found[0].reads == {"self": (("_A__x",),)} and found[1].reads == {"self": (("_C__x",),)}


def test_string_annotations_change_fields() -> None:
    """The future import changes what a class body's annotations are."""
    body = "with cached_block():\n  class C:\n    x: int"
    plain, strings = block(body), block("from __future__ import annotations\n" + body)
    assert plain.digest != strings.digest
    assert plain.reads.keys() == {"int"} and not strings.reads


def test_very_long_expressions_are_analysed() -> None:
    """Generated code with thousands of operands or many `elif` is no deeper than the machine allows."""
    terms = " + ".join(["a"] * 900)
    chain = "".join(f"    elif a == {i}: x = {i}\n" for i in range(90))
    found = block(f"a = 1\nwith cached_block():\n    y = {terms}\n    if a: x = 0\n{chain}")
    assert found.reads == {"a": ((),)} and found.writes == {"x", "y"}
