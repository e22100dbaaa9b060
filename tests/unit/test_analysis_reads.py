"""What a block reads from before itself and what it binds, construct by construct."""

from __future__ import annotations

import ast
import sys

import pytest

from blockcache.analysis.facts import Facts, Frame, ImportRef
from blockcache.analysis.names import bindings, mangled
from blockcache.analysis.reads import reads_and_writes

# name, body, names read, names bound
CASES = [
    ("simple", "y = x + 1", "x", "y"),
    ("augmented", "x += 1", "x", "x"),
    ("augmented after definition", "x = 0\nx += 1", "", "x"),
    ("read then write", "x = x + 1", "x", "x"),
    ("conditional write then read", "if c:\n  x = 1\ny = x", "c x", "x y"),
    ("written in both branches", "if c:\n  x = 1\nelse:\n  x = 2\ny = x", "c", "x y"),
    ("loop may not run", "for i in xs:\n  last = i\ny = last", "xs last", "i last y"),
    ("comprehension", "y = [i*k for i in xs if i > t]", "k xs t", "y"),
    ("comprehension of its own name", "y = [x for x in x]", "x", "y"),
    ("nested comprehension", "y = [a for b in bs for a in b]", "bs", "y"),
    ("walrus", "if (n := len(d)) > 1:\n  y = n", "len d", "n y"),
    ("walrus in a comprehension", "y = [m for q in xs if (m := f(q))]\nz = m", "xs f m", "y m z"),
    ("short-circuit walrus", "c and (w := 1)\ny = w", "c w", "w y"),
    ("lambda", "f = lambda a, b=k: a + b + g", "k g", "f"),
    ("function reads what comes before its call", "def f():\n  return later\nlater = 1\ny = f()", "", "f later y"),
    ("function after definition", "later = 1\ndef f():\n  return later\ny = f()", "", "f later y"),
    ("early call", "def f():\n  return later\ny = f()\nlater = 1", "later", "f later y"),
    ("upstream code may call it", "def f():\n  return later\ny = g()\nlater = 1", "g later", "f later y"),
    ("call in one branch", "def f():\n  return k\nif c:\n  k = 1\n  f()\nf()", "c k", "f k"),
    ("mutual recursion", "def f(n):\n  return g(n)\ndef g(n):\n  return f(n) + h(n)\ny = f(3)", "h", "f g y"),
    ("recursion", "def f(n):\n  return f(n-1)\ny = f(3)", "", "f y"),
    ("global in a function", "def f():\n  global cnt\n  cnt += 1\nf()", "cnt", "f cnt"),
    ("class", "class A(Base):\n  z = z\n  w = z\n  def m(self): return q + w", "Base z q w", "A"),
    ("comprehension in a class", "class A:\n  n = 3\n  l = [n for _ in range(n)]", "range n", "A"),
    (
        "methods find functions defined below",
        "class A:\n  def m(self): return h()\ndef h(): return 1\nA().m()",
        "",
        "A h",
    ),
    (
        "a base class may call a method",
        "class A(B):\n  def m(self): return h()\ndef h(): return 1\nA().m()",
        "B h",
        "A h",
    ),
    ("nested class reads past itself", "class A:\n  x = 1\n  class B:\n    y = x", "x", "A"),
    ("class deletes its name", "class A:\n  x = 1\n  del x\n  y = x", "x", "A"),
    ("try, except as", "try:\n  y = f()\nexcept E as e:\n  y = str(e)\nz = y", "f E str", "y e z"),
    ("name of an except clause after it", "try:\n  y = f()\nexcept E as e:\n  pass\nz = e", "f E e", "y e z"),
    ("read in a handler", "try:\n  a = f()\nexcept E:\n  b = a", "f E a", "a b"),
    ("finally", "try:\n  a = f()\nfinally:\n  b = a", "f a", "a b"),
    ("finally binds", "try:\n  f()\nfinally:\n  a = 1\nb = a", "f", "a b"),
    ("else of a try", "try:\n  f()\nexcept E:\n  a = 1\nelse:\n  a = 2\nb = a", "f E", "a b"),
    ("except star", "try:\n  a = f()\nexcept* E:\n  pass\nb = a", "f E a", "a b"),
    (
        "match",
        "match cmd:\n  case [x, *rest]: y = x\n  case {'k': v, **kw}: y = v\n  case P(a=q): y = q\n"
        "  case C.D: y = 0\n  case _: y = 1\nz = y",
        "cmd P C",
        "x rest v kw q y z",
    ),
    ("match may fail", "match cmd:\n  case 1: y = 1\nz = y", "cmd y", "y z"),
    ("pattern values come before captures", "match c:\n  case [x, x.k]: pass", "c x", "x"),
    ("guard sees captures", "match c:\n  case x if x: pass\n  case _ if x: pass", "c x", "x"),
    ("delete then read: the earlier binding is gone", "x = 1\ndel x\ny = x", "", "x y"),
    ("delete of an upstream name", "del x", "x", ""),
    ("item of an upstream object", "df['a'] = v", "df v", ""),
    ("attribute of an upstream object", "o.a.b = v", "o v", ""),
    ("method call", "lst.append(v)", "lst v", ""),
    ("import as", "import a.b as c\ny = c.z\nimport p.q\nz = p.q.r", "", "c p y z"),
    ("from import", "from a import b, c as d\ny = b + d + c", "c", "b d y"),
    ("annotations are evaluated", "def f(a: T) -> R:\n  v: U = a\n  return v", "T R", "f"),
    ("annotated assignment", "v: U = w", "U w", "v"),
    ("annotation sees the new value", "v: v = w", "w", "v"),
    ("annotation alone binds nothing", "v: U", "U", ""),
    ("annotation alone makes a name local to a function", "def f():\n  x: int\n  return x\nf()", "", "f"),
    ("formatted text", "y = f'{a!r:>{w}} {b=}'", "a w b", "y"),
    ("decorator", "@deco(arg)\ndef f(): pass", "deco arg", "f"),
    ("loop that deletes", "for i in xs:\n  t = 1\n  del t", "xs", "i t"),
    ("endless loop", "while True:\n  a = f()\n  if a: break\ny = a", "f", "a y"),
    ("endless loop left early", "while True:\n  if f(): break\n  a = 1\ny = a", "f a", "a y"),
    ("code after an endless loop", "while True:\n  f()\ny = z", "f", "y"),
    ("test of a loop is evaluated", "while (a := f()):\n  pass\ny = a", "f", "a y"),
    ("open does not swallow", "with open(p) as fh:\n  d = fh.read()\ny = d", "open p", "fh d y"),
    ("suppress does", "with suppress(E):\n  d = f()\ny = d", "suppress E f d", "d y"),
    ("unpacking may fail in a with", "with cm() as (a, b):\n  pass\ny = a", "cm a", "a b y"),
    ("generator expression", "g = (k for _ in xs)\nk = 2\ny = list(g)", "xs k list", "g k y"),
    (
        "nonlocal of a nested function",
        "def f():\n  a = 1\n  def g():\n    nonlocal a\n    a = b\n  g()\n  return a",
        "b",
        "f",
    ),
    ("starred target", "a, *b = xs\nc = b", "xs", "a b c"),
    ("targets from left to right", "x, d[x] = v", "v d", "x"),
    ("for else", "for i in xs:\n  if i: break\nelse:\n  r = 1\ny = r", "xs r", "i r y"),
    ("lambda in a comprehension", "fs = [lambda: i + z for i in xs]", "z xs", "fs"),
    (
        "walrus of a lambda in a comprehension stays there",
        "def f():\n  [lambda: (y := 1) for _ in z]\n  return y\nf()",
        "z y",
        "f",
    ),
    ("walrus in a conditional expression", "y = (a := 1) if c else b\nz = a", "c b a", "a y z"),
    ("dict display evaluates in pairs", "d = {k: y, (y := 1): 0}", "k y", "d y"),
    ("comparison chain", "a < (b := c) < (d := e)\ny = b\nz = d", "a c e d", "b d y z"),
    ("code after raise", "if c:\n  raise E\n  y = z", "c E", "y"),
    ("raise leaves the names of the other branch", "if c:\n  x = 1\nelse:\n  raise E\ny = x", "c E", "x y"),
    ("slices", "y = x[a:b, ::c]", "x a b c", "y"),
    ("async", "async def f():\n  async with a as b:\n    return [await c async for d in e]\nf()", "a c e", "f"),
    ("yield in a function", "def f():\n  x = yield y\n  yield from z\nf()", "y z", "f"),
    ("default and decorator see the outer scope", "x = 1\n@d(x)\ndef f(x=x, *, k=q): return x", "d q", "x f"),
    ("class keyword", "class A(metaclass=M, k=v): pass", "M v", "A"),
    ("conditional function", "if c:\n  def f(): return k\nf()", "c f k", "f"),
    ("global in a class", "class A:\n  global x\n  x = y\nz = x", "y", "A x z"),
    ("del of a tuple", "del a, (b, c)", "a b c", ""),
    ("super reads nothing of a module", "class A(B):\n  def m(self): return super().m()", "B super", "A"),
    ("assert", "assert a, b", "a b", ""),
    ("multiple targets", "x = y[x] = v", "v y", "x"),
]
if sys.version_info >= (3, 12):
    CASES += [
        ("generic function", "def f[T: Bound](x: T, y=d) -> T: return x", "Bound d", "f"),
        ("generic class", "class C[T](Base[T]):\n  x: T\n  def m(self) -> T: return T", "Base", "C"),
        ("type alias", "type A[T] = list[T] | B", "list B", "A"),
        ("type parameters are not names of the block", "def f[T](): pass\ny = T", "T", "f y"),
        (
            "annotations of a generic method see class names",
            "class C:\n  U = int\n  def m[T](self, x: U): pass",
            "int",
            "C",
        ),
    ]
if sys.version_info >= (3, 13):
    CASES += [("defaults of type parameters", "def f[T = D](): pass", "D", "f")]


def facts(source: str, frame: Frame | None = None, bound: str = "", strings: bool = False) -> Facts:
    body = ast.parse(source).body
    return reads_and_writes(
        body, frame or Frame("module", killed=bindings(body).killed), bound=bound.split(), strings=strings
    )


@pytest.mark.parametrize(("source", "reads", "writes"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_reads_and_writes(source: str, reads: str, writes: str) -> None:
    """Names that may have their earlier value are reads; names that may be bound are writes."""
    found = facts(source)
    assert set(found.reads) == set(reads.split())
    assert set(found.writes) == set(writes.split())


@pytest.mark.parametrize(
    ("source", "name", "chains"),
    [
        ("y = a.b.c", "a", {("b", "c")}),
        ("a.b.c()\nf(a)", "a", {("b", "c"), ()}),
        ("a.b.c = 1", "a", {("b",)}),
        ("a.b = 1", "a", {()}),
        ("a.b += 1", "a", {(), ("b",)}),
        ("del a.b.c", "a", {("b",)}),
        ("a.b[0].c", "a", {("b",)}),
        ("a[0].b", "a", {()}),
        ("def f():\n  return a.b\nf()", "a", {("b",)}),
    ],
)
def test_attribute_chains(source: str, name: str, chains: set[tuple[str, ...]]) -> None:
    """A read tells which attributes follow; setting an attribute uses the object that holds it."""
    assert facts(source).reads[name] == chains


@pytest.mark.parametrize(
    ("source", "definite"),
    [
        ("x = 1", "x"),
        ("if c:\n  x = 1", ""),
        ("for x in y: z = 1", ""),
        ("x = 1\ndel x", ""),
        ("try:\n  x = 1\nexcept E as e:\n  raise", "x"),
        ("with open(p) as f: x = 1", "f x"),
        ("with cm() as f: x = 1", "f"),
        ("def f():\n  global x\n  x = 1\nf()", "f"),
        ("raise E", ""),
        ("while 1: x = 1", "x"),
    ],
)
def test_definite_writes(source: str, definite: str) -> None:
    """A definite write is bound by the body itself whenever the body ends."""
    assert facts(source).definite == set(definite.split())


def test_the_names_of_the_header_are_not_reads() -> None:
    """What the header binds, the body reads from the block."""
    assert set(facts("y = b.hit + c", bound="b").reads) == {"c"}


def test_string_annotations_are_not_reads() -> None:
    """Under the future import no annotation is evaluated."""
    assert not facts("def f(a: T) -> R: pass\nv: U = 1", strings=True).reads


@pytest.mark.parametrize(
    ("source", "dynamic"),
    [
        ("eval('x')", ["eval"]),
        ("e = exec", ["exec"]),
        ("def f():\n  return globals()\nf()", ["globals"]),
        ("vars()", ["vars"]),
        ("vars(x)", []),
        ("m = importlib.import_module(n)", ["import_module"]),
        ("from importlib import import_module as im\nim(n)", ["import_module"]),
        ("sys._getframe().f_locals", ["f_locals", "_getframe"]),
        ("eval = f\neval(1)", []),
        ("def f(eval): return eval(1)", []),
        ("df.eval('a + b')", []),
        ("get_ipython().run_line_magic('run', 'x.py')", ["get_ipython"]),
    ],
)
def test_dynamic_code_is_named(source: str, dynamic: list[str]) -> None:
    """Functions that reach names which the code does not show are noted, their namesakes are not."""
    assert [name for name, _ in facts(source).dynamic] == dynamic


@pytest.mark.parametrize(
    "source",
    ["f.__doc__", "inspect.signature(f)", "getattr(f, '__doc__')", "from typing import get_type_hints", "help(f)"],
)
def test_readers_of_docstrings_are_noticed(source: str) -> None:
    """Where docstrings or annotations may be looked at, they matter."""
    assert facts(source).reads_doc


def test_imports_anywhere_are_listed() -> None:
    """Imports of nested scopes count: what they bring in is used by the block."""
    source = "import a.b\nimport c as d\ndef f():\n  from ..p.q import r as s\n  from . import t"
    assert facts(source).imports == [
        ImportRef("a", "a.b", None, 0),
        ImportRef("d", "c", None, 0),
        ImportRef("s", "p.q", "r", 2),
        ImportRef("t", "", "t", 1),
    ]


def test_a_class_frame_uncovers_globals() -> None:
    """In a class body a deleted name uncovers the global of that name, so it stays a read."""
    frame = Frame("class", own={"x"}, killed={"x"})
    assert "x" in facts("x = 1\ndel x\ny = x", frame).reads


def test_functions_in_a_class_frame_look_past_it() -> None:
    """A method does not see the names of the class that it stands in."""
    found = facts("x = 1\ndef m(self): return x + len(x)", Frame("class", own={"x", "m"}))
    assert set(found.past_frame) == {"x", "len"}


def test_a_global_declaration_in_a_function_frame_looks_past_it() -> None:
    """Inside a function, `global x` of a nested function is another variable than a local `x`."""
    source = "x = 1\ndef g():\n  global x\n  return x\ny = g()"
    assert "x" in facts(source, Frame("function", own={"x", "g", "y"})).past_frame
    assert not facts(source, Frame("function", own={"g", "y"}, globals={"x"})).past_frame
    assert not facts(source).past_frame


def test_a_bare_super_reads_the_instance() -> None:
    """In a method, `super()` reads the class cell and the first parameter, though it names neither."""
    found = facts("super().__init__()", Frame("function", own={"me"}, first_parameter="me"))
    assert {"__class__", "me"} <= found.reads.keys()


@pytest.mark.parametrize(
    ("source", "reads", "writes"),
    [
        ("self.__x = __y", {"self": {()}, "_C__y": {()}}, set()),
        ("z = self.__x.__d__", {"self": {("_C__x", "__d__")}}, {"z"}),
        ("import __m\n__m.f()", {}, {"_C__m"}),
        ("class D:\n  def f(self): return __q", {"_D__q": {()}}, {"D"}),
        ("class __D(__B): pass", {"_C__B": {()}}, {"_C__D"}),
        ("def f(__a): return __a", {}, {"f"}),
        ("for __i in []: pass\nexcept_ = __i", {"_C__i": {()}}, {"_C__i", "except_"}),
    ],
)
def test_private_names_are_mangled(source: str, reads: dict[str, set[tuple[str, ...]]], writes: set[str]) -> None:
    """Private names are read and bound under the names that they have in the running code."""
    found = reads_and_writes(mangled(ast.parse(source).body, "_C"), Frame("module"), bound=(), strings=False)
    assert found.reads == reads
    assert set(found.writes) == writes
