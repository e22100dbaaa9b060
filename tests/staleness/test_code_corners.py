"""More corners: tiny programs written chapter by chapter from the language reference and the peers' issue trackers.

The notation is that of ``test_stale_corners.py``, with a few more words. A third field of the title names the input that
the miss must name. Files with a meaning of their own: ``env`` holds environment variables, ``argv`` arguments, one a
line; ``prepare.py`` is run in the project before each of the two runs and makes data files, it is not part of the project.
A file whose text is ``<absent>`` is not there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import files, put

if TYPE_CHECKING:
    from projects import Project, Ran

PROGRAMS = r'''
=== miss | __get__ of a descriptor | h.D
from h import A
with cached_block("w"):
    r = A().x
--- h.py
class D:
    def __get__(self, instance, owner=None):
        return «1→2»
class A:
    x = D()
=== miss | __set_name__ of a descriptor
from h import A
with cached_block("w"):
    r = A().x
--- h.py
class D:
    def __set_name__(self, owner, name):
        self.label = name + "«a→b»"
    def __get__(self, instance, owner=None):
        return self.label
class A:
    x = D()
=== miss | __set__ of a data descriptor in a base of another module | d.Positive
from h import A
with cached_block("w"):
    a = A(-3)
    r = a.x
    del a
--- h.py
from d import Positive
class A:
    x = Positive()
    def __init__(self, x):
        self.x = x
--- d.py
class Positive:
    def __set_name__(self, owner, name):
        self.name = "_" + name
    def __get__(self, instance, owner=None):
        return getattr(instance, self.name)
    def __set__(self, instance, value):
        setattr(instance, self.name, «abs(value)→max(value, 0)»)
=== miss | __init_subclass__ in a base of a module
from h import A
with cached_block("w"):
    r = A.k
--- h.py
from b import Base
class A(Base, k=5):
    pass
--- b.py
class Base:
    def __init_subclass__(cls, k=1, **kw):
        super().__init_subclass__(**kw)
        cls.k = k + «0→1»
=== miss | keyword of a class statement, kept in a closure
from b import Base
class A(Base, k=«5→6»):
    pass
with cached_block("w"):
    r = A().k()
--- b.py
class Base:
    def __init_subclass__(cls, k=1, **kw):
        cls.k = lambda self: k
=== miss | __call__ of a metaclass | h.Meta
from h import A
with cached_block("w"):
    a = A()
    r = a.tag
    del a
--- h.py
class Meta(type):
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.tag = «1→2»
        return made
class A(metaclass=Meta):
    pass
=== miss | __getattr__ of a metaclass | h.Meta
from h import A
with cached_block("w"):
    r = A.anything
--- h.py
class Meta(type):
    def __getattr__(cls, name):
        return name + "«a→b»"
class A(metaclass=Meta):
    pass
=== miss | a name that __prepare__ puts into the class
from h import A
with cached_block("w"):
    r = A().area()
--- h.py
from m import Meta
class A(metaclass=Meta):
    def area(self):
        return self.injected * 2
--- m.py
class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases):
        return {"injected": «1→2»}
=== miss | __len__ and __iter__ of a metaclass | h.Meta
from h import A
with cached_block("w"):
    r = (len(A), list(A))
--- h.py
class Meta(type):
    def __len__(cls):
        return 2
    def __iter__(cls):
        return iter((1, «2→3»))
class A(metaclass=Meta):
    pass
=== miss | __instancecheck__ | h.Meta
from h import Even
with cached_block("w"):
    r = [n for n in range(6) if isinstance(n, Even)]
--- h.py
class Meta(type):
    def __instancecheck__(cls, value):
        return value % 2 == «0→1»
class Even(metaclass=Meta):
    pass
=== miss | __subclasshook__ | h.Sized
from h import Sized
class A:
    def size(self):
        return 1
with cached_block("w"):
    r = issubclass(A, Sized)
--- h.py
from abc import ABC
class Sized(ABC):
    @classmethod
    def __subclasshook__(cls, other):
        return hasattr(other, "«size→length»")
=== miss | __class_getitem__ | h.Box
from h import Box
with cached_block("w"):
    r = Box[int]
--- h.py
class Box:
    def __class_getitem__(cls, item):
        return f"{item.__name__}«!→?»"
=== miss | __mro_entries__ that replaces a base
from h import marker
class A(marker):
    pass
with cached_block("w"):
    r = A().f()
--- h.py
class One:
    def f(self):
        return 1
class Two:
    def f(self):
        return 2
class Marker:
    def __mro_entries__(self, bases):
        return («One→Two»,)
marker = Marker()
=== miss | __getattr__ of an instance forwards to an inner object | inner.Inner.go
from h import Proxy
with cached_block("w"):
    r = Proxy().go()
--- h.py
from inner import Inner
class Proxy:
    def __init__(self):
        self._inner = Inner()
    def __getattr__(self, name):
        return getattr(self._inner, name)
--- inner.py
class Inner:
    def go(self):
        return «1→2»
=== miss | __getattribute__ | h.A
from h import A
with cached_block("w"):
    r = A().x
--- h.py
class A:
    x = 1
    def __getattribute__(self, name):
        return super().__getattribute__(name) + «0→1»
=== miss | __missing__ of a dict subclass made upstream | h.D
from h import D
table = D(a=1)
with cached_block("w"):
    r = [table[k] for k in "ab"]
--- h.py
class D(dict):
    def __missing__(self, key):
        return «0→9»
=== miss | a reflected operator | h.B
from h import A, B
with cached_block("w"):
    r = A() - B()
--- h.py
class A:
    pass
class B:
    def __rsub__(self, other):
        return «1→2»
=== miss | the left operand gives way to the reflected operator
from h import A, B
with cached_block("w"):
    r = A() + B()
--- h.py
class A:
    def __add__(self, other):
        return «NotImplemented→"left"»
class B:
    def __radd__(self, other):
        return "right"
=== miss | a subclass on the right goes first
from h import A, B
with cached_block("w"):
    r = A() + B()
--- h.py
class A:
    def __add__(self, other):
        return "A's"
class B«→(A)»:
    def __radd__(self, other):
        return "B's"
=== miss | an augmented assignment finds __iadd__
from h import Bag
with cached_block("w"):
    bag = Bag([1])
    bag += [2]
    r = list(bag)
    del bag
--- h.py
class Bag(list):
    def __«i→r»add__(self, other):
        self.append("in place")
        return self
=== miss | __eq__ used by in, list.index and remove | h.P
from h import P
with cached_block("w"):
    r = [P(n) in [P(3)] for n in (3, 13)]
--- h.py
class P:
    def __init__(self, n):
        self.n = n
    def __eq__(self, other):
        return self.n«→ % 10» == other.n«→ % 10»
=== miss | __hash__ and __eq__ used by a set comprehension | h.P
from h import P
with cached_block("w"):
    r = len({P(n) for n in range(10)})
--- h.py
class P:
    def __init__(self, n):
        self.n = n
    def __hash__(self):
        return 1
    def __eq__(self, other):
        return self.n % «3→4» == other.n % «3→4»
=== miss | __lt__ from total_ordering used by sorted | h.V
from h import V
with cached_block("w"):
    r = [v.n for v in sorted(map(V, [3, 1, 2]))]
--- h.py
import functools
@functools.total_ordering
class V:
    def __init__(self, n):
        self.n = n
    def __eq__(self, other):
        return self.n == other.n
    def __gt__(self, other):
        return self.n «>→<» other.n
=== miss | truth by __len__ of a mixin | m.Sized
from h import A
with cached_block("w"):
    r = "yes" if A() else "no"
--- h.py
from m import Sized
class A(Sized):
    pass
--- m.py
class Sized:
    def __len__(self):
        return «1→0»
=== miss | iteration by __getitem__ alone | h.Old
from h import Old
with cached_block("w"):
    r = list(Old())
--- h.py
class Old:
    def __getitem__(self, i):
        if i > «2→3»:
            raise IndexError
        return i
=== miss | __reversed__, __contains__ and __index__ | h.A
from h import A
with cached_block("w"):
    a = A()
    r = (list(reversed(a)), 5 in a, [0, 1, 2, 3][a])
    del a
--- h.py
class A:
    def __reversed__(self):
        return iter("ab")
    def __contains__(self, x):
        return True
    def __index__(self):
        return «1→2»
=== miss | __format__ reached by an f-string | h.Money
from h import Money
with cached_block("w"):
    r = f"{Money():>{10}}"
--- h.py
class Money:
    def __format__(self, spec):
        return format("«a→b»", spec)
=== miss | attribute in a format string is a property | h.A
from h import A
with cached_block("w"):
    r = "{0.size} {0.deep[k]}".format(A())
--- h.py
class A:
    deep = {"k": 1}
    @property
    def size(self):
        return «1→2»
=== miss | format string made by a helper names another method
import h
with cached_block("w"):
    r = h.TEMPLATE.format(h.A())
--- h.py
TEMPLATE = "{0.«one→two»}"
class A:
    one = 1
    two = 2
=== miss | __repr__ by !r of a nested dataclass | h.Inner
from h import Outer
with cached_block("w"):
    r = f"{Outer()!r}"
--- h.py
from dataclasses import dataclass, field
class Inner:
    def __repr__(self):
        return "«a→b»"
@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
=== miss | __exit__ that swallows an exception
from h import Quiet
with cached_block("w"):
    r = "start"
    try:
        with Quiet():
            r = "inside"
            raise KeyError
        r = "after"
    except KeyError:
        r = "caught"
--- h.py
class Quiet:
    def __enter__(self):
        pass
    def __exit__(self, *exc):
        return «True→False»
=== miss | a generator behind contextlib.contextmanager, two modules away | d.scale
from h import scaled
with cached_block("w"):
    with scaled() as k:
        r = k
--- h.py
import contextlib
import d
@contextlib.contextmanager
def scaled():
    yield d.scale()
--- d.py
def scale():
    return «1→2»
=== miss | __aenter__ and an async generator | h.Source
import asyncio
from h import read
with cached_block("w"):
    r = asyncio.run(read())
--- h.py
class Source:
    async def __aenter__(self):
        return self
    async def __aexit__(self, *exc):
        pass
    async def __aiter__(self):
        for i in range(«2→3»):
            yield i
async def read():
    async with Source() as s:
        return [x async for x in s]
=== miss | __await__ of an object | h.Later
import asyncio
from h import Later
async def main():
    return await Later()
with cached_block("w"):
    r = asyncio.run(main())
--- h.py
class Later:
    def __await__(self):
        yield from ()
        return «1→2»
=== miss | __deepcopy__ hook | h.A
import copy
from h import A
with cached_block("w"):
    r = copy.deepcopy([A()])[0].n
--- h.py
class A:
    n = 0
    def __deepcopy__(self, memo):
        new = type(self)()
        new.n = «1→2»
        return new
=== miss | __reduce__ used by a pickle made in the body | h.A
import pickle
from h import A
with cached_block("w"):
    r = pickle.loads(pickle.dumps(A(3))).n
--- h.py
class A:
    def __init__(self, n):
        self.n = n
    def __reduce__(self):
        return A, (self.n + «0→1»,)
=== miss | copyreg registers a reducer in another module
import copy
import h, registered
with cached_block("w"):
    r = copy.copy(h.A()).n
--- h.py
class A:
    n = 0
--- registered.py
import copyreg
from h import A
def again(n):
    new = A()
    new.n = n
    return new
copyreg.pickle(A, lambda a: (again, («1→2»,)))
=== miss | __new__ gives an object of another class
from h import A
with cached_block("w"):
    r = A().name()
--- h.py
class One:
    def name(self):
        return "one"
class Two:
    def name(self):
        return "two"
class A:
    def __new__(cls):
        return object.__new__(«One→Two»)
=== miss | __slots__ decide whether an attribute is allowed | h.A
from h import A
with cached_block("w"):
    try:
        a = A()
        a.y = 1
        r = "set"
    except AttributeError:
        r = "refused"
    a = None
--- h.py
class A:
    __slots__ = ("x"«→, "y"»,)
=== miss | __dir__ and vars of an object | h.A
from h import A
with cached_block("w"):
    r = sorted(n for n in dir(A()) if not n.startswith("_"))
--- h.py
class A:
    def __dir__(self):
        return ["a", "«b→c»"]
=== miss | __sizeof__, __bytes__, __complex__, __round__
from h import A
with cached_block("w"):
    r = (bytes(A()), complex(A()), round(A(), 2))
--- h.py
class A:
    def __bytes__(self):
        return b"x"
    def __complex__(self):
        return 1j
    def __round__(self, n):
        return n + «0→1»
=== miss | __matmul__ and __pow__ of a class reached through an alias
import h as tools
M = tools.Matrix
with cached_block("w"):
    r = (M(2) @ M(3), pow(M(2), 3))
--- h.py
class _Matrix:
    def __init__(self, n):
        self.n = n
    def __matmul__(self, other):
        return self.n * other.n
    def __pow__(self, k):
        return self.n ** k + «0→1»
Matrix = _Matrix
=== miss | __post_init__ of an inherited dataclass | b.Base
from h import Child
with cached_block("w"):
    c = Child(2)
    r = c.double
    del c
--- h.py
from dataclasses import dataclass
from b import Base
@dataclass
class Child(Base):
    extra: int = 0
--- b.py
from dataclasses import dataclass
@dataclass
class Base:
    n: int
    def __post_init__(self):
        self.double = self.n * «2→3»
=== miss | default_factory is a function of another module | d.make
from h import Config
with cached_block("w"):
    c = Config()
    r = c.values
    del c
--- h.py
from dataclasses import dataclass, field
from d import make
@dataclass
class Config:
    values: list = field(default_factory=make)
--- d.py
def make():
    return [«1→2»]
=== miss | order of dataclass fields
from h import P
with cached_block("w"):
    p = P(1, 2)
    r = (p.x, p.y)
    del p
--- h.py
from dataclasses import dataclass
@dataclass
class P:
    «x: int
    y: int→y: int
    x: int»
=== miss | eq argument of the dataclass decorator
from h import P
with cached_block("w"):
    r = P(1) == P(1)
--- h.py
from dataclasses import dataclass
@dataclass(eq=«True→False»)
class P:
    x: int
=== miss | compare=False on one field
from h import P
with cached_block("w"):
    r = P(1, 2) == P(1, 3)
--- h.py
from dataclasses import dataclass, field
@dataclass
class P:
    x: int
    y: int = field(compare=«True→False»)
=== miss | metadata of a dataclass field
import dataclasses
from h import P
with cached_block("w"):
    r = [f.metadata["unit"] for f in dataclasses.fields(P)]
--- h.py
from dataclasses import dataclass, field
@dataclass
class P:
    x: int = field(metadata={"unit": "«cm→mm»"})
=== miss | members of an enum change places under auto()
from h import Color
with cached_block("w"):
    r = (Color.RED.value, [c.name for c in Color])
--- h.py
from enum import Enum, auto
class Color(Enum):
    «RED = auto()
    BLUE = auto()→BLUE = auto()
    RED = auto()»
=== miss | _missing_ and a method of an enum | h.Level
from h import Level
with cached_block("w"):
    r = Level("nothing").label()
--- h.py
from enum import StrEnum
class Level(StrEnum):
    LOW = "low"
    HIGH = "high"
    @classmethod
    def _missing_(cls, value):
        return cls.«LOW→HIGH»
    def label(self):
        return self.value.upper()
=== miss | value of an enum member that arrives as an upstream value
from h import Level
level = Level.HIGH
with cached_block("w"):
    r = level.value * 2
--- h.py
from enum import Enum
class Level(Enum):
    HIGH = «1→2»
=== miss | composition of a Flag
from h import Perm
with cached_block("w"):
    r = Perm.ALL.value
--- h.py
from enum import Flag
class Perm(Flag):
    R = 1
    W = 2
    X = 4
    ALL = R | W«→ | X»
=== miss | default of a typing.NamedTuple
from h import P
with cached_block("w"):
    r = tuple(P(1))
--- h.py
from typing import NamedTuple
class P(NamedTuple):
    x: int
    y: int = «0→9»
=== miss | defaults of a collections.namedtuple
from h import P
with cached_block("w"):
    r = tuple(P(1))
--- h.py
from collections import namedtuple
P = namedtuple("P", "x y", defaults=[«0→9»])
=== miss | required keys of a TypedDict read at run time
from h import Row
with cached_block("w"):
    r = sorted(Row.__required_keys__)
--- h.py
from typing import TypedDict
class Row(TypedDict«→, total=False»):
    a: int
=== miss | a runtime_checkable Protocol gains a member
from h import Closes
class A:
    def close(self):
        pass
with cached_block("w"):
    r = isinstance(A(), Closes)
--- h.py
from typing import Protocol, runtime_checkable
@runtime_checkable
class Closes(Protocol):
    def close(self): ...
«→    def flush(self): ...
»
=== miss | Annotated metadata drives a validator
from h import check
with cached_block("w"):
    r = check(50)
--- h.py
from typing import Annotated, get_type_hints
def setting(level: Annotated[int, «100→10»]):
    pass
def check(n):
    limit = get_type_hints(setting, include_extras=True)["level"].__metadata__[0]
    return n <= limit
=== miss | annotations drive a converter in a decorator
from h import add
with cached_block("w"):
    r = add("2", "3")
--- h.py
from d import convert
@convert
def add(a: «int→str», b: «int→str»):
    return a + b
--- d.py
import inspect
def convert(f):
    kinds = [p.annotation for p in inspect.signature(f).parameters.values()]
    def inner(*args):
        return f(*(k(a) for k, a in zip(kinds, args)))
    return inner
=== miss | annotations of a class read by a generic loader
from h import Row
from d import load
with cached_block("w"):
    r = vars(load(Row, {"n": "3"}))
--- h.py
class Row:
    n: «int→float»
--- d.py
def load(cls, raw):
    made = cls()
    for name, kind in cls.__annotations__.items():
        setattr(made, name, kind(raw[name]))
    return made
=== miss | Literal arguments behind a type alias
from h import Mode
from typing import get_args
with cached_block("w"):
    r = get_args(Mode)
--- h.py
from typing import Literal
Mode = Literal["a", "«b→c»"]
=== miss | argument of a generic base read by the base
from h import Ints
with cached_block("w"):
    r = Ints().parse("3")
--- h.py
from g import Parser
class Ints(Parser[«int→float»]):
    pass
--- g.py
from typing import Generic, TypeVar, get_args
T = TypeVar("T")
class Parser(Generic[T]):
    def parse(self, text):
        return get_args(type(self).__orig_bases__[0])[0](text)
=== miss | __match_args__ in a class pattern
from h import P
with cached_block("w"):
    match P():
        case P(a, b):
            r = (a, b)
    del a, b
--- h.py
class P:
    __match_args__ = («"x", "y"→"y", "x"»)
    x = 1
    y = 2
=== miss | a value pattern with a dotted name
import limits
with cached_block("w"):
    match 5:
        case limits.TOP:
            r = "top"
        case _:
            r = "other"
--- limits.py
TOP = «5→6»
=== miss | a guard calls a helper in a mapping pattern | h.ok
from h import ok
with cached_block("w"):
    match {"k": 3, "rest": 1}:
        case {"k": k, **rest} if ok(k):
            r = ("ok", rest)
        case _:
            r = "no"
    k = rest = None
--- h.py
def ok(k):
    return k «>→<» 2
=== miss | base of an exception class decides the clause
from h import Oops, work
with cached_block("w"):
    try:
        work()
    except ValueError:
        r = "value"
    except Exception:
        r = "other"
--- h.py
class Oops(«ValueError→KeyError»):
    pass
def work():
    raise Oops
=== miss | except* sorts by a class of a module
from h import A, B, fail
with cached_block("w"):
    r = []
    try:
        fail()
    except* A:
        r.append("A")
    except* Exception:
        r.append("rest")
--- h.py
class A(Exception):
    pass
class B(«Exception→A»):
    pass
def fail():
    raise ExceptionGroup("g", [B()])
=== miss | __str__ of an exception raised three calls deep | e.Failed
from h import outer
with cached_block("w"):
    try:
        outer()
    except Exception as exc:
        r = str(exc)
--- h.py
from e import Failed
def inner():
    raise Failed(3)
def middle():
    inner()
def outer():
    middle()
--- e.py
class Failed(Exception):
    def __str__(self):
        return f"failed «with→after» {self.args[0]}"
=== miss | finally moved into else in a helper | h.f
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    seen = []
    try:
        try:
            raise KeyError
        except ValueError:
            pass
        «finally→else»:
            seen.append("x")
    except KeyError:
        pass
    return seen
=== miss | lambdas over a loop variable, bound late
fs = [lambda: i for i in range(«3→4»)]
with cached_block("w"):
    r = fs[0]()
=== miss | lambdas over a module's loop variable that is bound again later
fs = []
for i in range(3):
    fs.append(lambda: i)
i = «10→20»
with cached_block("w"):
    r = fs[0]()
=== miss | a closure cell changed by nonlocal before the block
from h import make
get, put = make()
put(«1→2»)
with cached_block("w"):
    r = get()
--- h.py
def make():
    value = 0
    def get():
        return value
    def put(new):
        nonlocal value
        value = new
    return get, put
=== runs | a default list that calls before the block filled
def remember(x, seen=[]):
    seen.append(x)
    return list(seen)
remember(«1→2»)
with cached_block("w"):
    r = remember(5)
=== miss | a default list read by a helper and filled by another module's import
import h, filler
with cached_block("w"):
    r = h.total()
--- h.py
SEEN = [0]
def total(seen=SEEN):
    return sum(seen)
--- filler.py
import h
h.SEEN.append(«1→2»)
=== miss | attribute of a function as storage
def f():
    return f.k
f.k = «1→2»
with cached_block("w"):
    r = f()
=== miss | __defaults__ and __kwdefaults__ assigned
from h import f
f.__kwdefaults__ = {"b": «1→2»}
with cached_block("w"):
    r = f()
--- h.py
def f(*, b=0):
    return b
=== miss | __code__ of a function replaced
from h import f, g
f.__code__ = g.__code__
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 0
def g():
    return «1→2»
=== miss | a module function appears that shadows a builtin | h.len
from h import size
with cached_block("w"):
    r = size("abc")
--- h.py
def size(x):
    return len(x)
«→def len(x):
    return 99
»
=== miss | a global appears in main that shadows a builtin in the body
«→sorted = reversed
»
with cached_block("w"):
    r = list(sorted([2, 3, 1]))
=== miss | two star imports change places
«from one import *
from two import *→from two import *
from one import *»
with cached_block("w"):
    r = f()
--- one.py
def f():
    return 1
--- two.py
def f():
    return 2
=== miss | __all__ takes a name out of a star import
from one import *
from two import *
with cached_block("w"):
    r = f()
--- one.py
def f():
    return 1
--- two.py
__all__ = ["g"«→, "f"»]
def f():
    return 2
def g():
    return 3
=== miss | a star import brings a name that shadows a builtin
from h import *
with cached_block("w"):
    r = max([1, 5, 3])
--- h.py
def other():
    return 1
«→max = min
»
=== miss | global in a function that ran before
import h
h.configure()
with cached_block("w"):
    r = h.read()
--- h.py
k = 0
def configure():
    global k, extra
    k = 1
    extra = «1→2»
def read():
    return k + extra
=== miss | a comprehension in a class body reads the module's name
from h import A
with cached_block("w"):
    r = A.table
--- h.py
n = «2→3»
class A:
    n = 100
    table = [n for _ in range(2)]
=== miss | a conditional expression and walrus in a helper's default
from h import f
with cached_block("w"):
    r = f()
--- h.py
DEBUG = «False→True»
def f(level=(x := 5) if DEBUG else 1):
    return level
=== miss | a generator expression's first iterable is bound early, the rest late
from h import pairs
limit = 2
with cached_block("w"):
    r = list(pairs(limit))
--- h.py
k = 1
def pairs(n):
    return (i * k for i in range(n))
k = «5→6»
=== miss | assert with a side effect in a helper
from h import f
with cached_block("w"):
    r = f()
--- h.py
seen = []
def f():
    x = []
    assert x.append(«1→2») is None
    return x
=== miss | chained comparison split
from h import f
with cached_block("w"):
    r = f(1, 5, 3)
--- h.py
def f(a, b, c):
    return «a < b > c→(a < b) > c»
=== miss | and/or precedence by parentheses
def f(a, b, c):
    return «a or b and c→(a or b) and c»
with cached_block("w"):
    r = f(1, 0, 0)
=== miss | is in place of ==, in a key function
from h import same
with cached_block("w"):
    r = same([1], [1])
--- h.py
def same(a, b):
    return a «==→is» b
=== miss | unpacking star moved
def f(*args):
    «a, *b→*a, b» = args
    return (a, b)
with cached_block("w"):
    r = f(1, 2, 3)
=== miss | positional-only marker decides where a keyword goes
from h import f
with cached_block("w"):
    r = f(1, **{"a": 2}) if True else 0
--- h.py
def f(x, «/→a=None», **kw):
    return kw
=== miss | a keyword argument falls into **kwargs of a deeper call
from h import outer
with cached_block("w"):
    r = outer(1, scale=3)
--- h.py
from d import inner
def outer(x, **kw):
    return inner(x, **kw)
--- d.py
def inner(x, «scale=1→*, scaling=1», **kw):
    return x * «scale→scaling»
=== miss | del of a module name, so that a builtin shows through
from h import size
with cached_block("w"):
    r = size("abc")
--- h.py
def len(x):
    return 99
«→del len
»def size(x):
    return len(x)
=== miss | return in finally wins
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    try:
        return 1
    finally:
        «pass→return 2»
=== miss | else of a loop in a helper's helper | d.g
from h import f
with cached_block("w"):
    r = f()
--- h.py
import d
def f():
    return d.g([1, 2])
--- d.py
def g(xs):
    for x in xs:
        if x > 1:
            «break→continue»
    else:
        return "all"
    return "some"
=== miss | private name mangled in a method | h.A
from h import A
with cached_block("w"):
    r = A().get()
--- h.py
class A:
    def __secret(self):
        return «1→2»
    def get(self):
        return self.__secret()
=== miss | a mangled attribute set from outside
from h import A
A._A__k = «1→2»
with cached_block("w"):
    r = A().get()
--- h.py
class A:
    __k = 0
    def get(self):
        return self.__k
=== miss | a mangled name, and a subclass with the same private name
from h import B
with cached_block("w"):
    r = (B().get(), B().own())
--- h.py
from b import A
class B(A):
    __k = 5
    def own(self):
        return self.__k
--- b.py
class A:
    __k = «1→2»
    def get(self):
        return self.__k
=== miss | a mangled import in a method
from h import A
with cached_block("w"):
    r = A().get()
--- h.py
class A:
    def get(self):
        import __helper as m
        return m.f()
--- _A__helper.py
def f():
    return «1→2»
=== miss | re-export through __init__ from another submodule
from pkg import f
with cached_block("w"):
    r = f()
--- pkg/__init__.py
from .«a→b» import f
--- pkg/a.py
def f():
    return 1
--- pkg/b.py
def f():
    return 2
=== miss | a helper behind three re-exports | core.k
import api
with cached_block("w"):
    r = api.f()
--- api/__init__.py
from .v1 import *
--- api/v1/__init__.py
from ._impl import f
__all__ = ["f"]
--- api/v1/_impl.py
from .._core import core
def f():
    return core.k + 1
--- api/_core/__init__.py
from . import core
--- api/_core/core.py
k = «1→2»
=== miss | relative import of a parent's constant
from pkg.sub.leaf import f
with cached_block("w"):
    r = f()
--- pkg/__init__.py
RATE = «1→2»
--- pkg/sub/__init__.py
--- pkg/sub/leaf.py
from .. import RATE
def f():
    return RATE
=== miss | an attribute of a package covers its submodule
import pkg.tools
with cached_block("w"):
    r = pkg.tools.f()
--- pkg/__init__.py
from . import tools
from . import other
«→tools = other
»
--- pkg/tools.py
def f():
    return 1
--- pkg/other.py
def f():
    return 2
=== miss | except ImportError: a faster module appears
from h import f
with cached_block("w"):
    r = f()
--- h.py
try:
    from fast import f
except ImportError:
    def f():
        return "slow"
--- fast.py
«<absent>→def f():
    return "fast"
»
=== miss | except ImportError inside the helper, at call time
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    try:
        import fast
    except ImportError:
        return "slow"
    return fast.value
--- fast.py
«<absent>→value = "fast"
»
=== miss | a local module appears that covers the standard one, imported by a helper
import h
with cached_block("w"):
    r = h.f()
--- h.py
import colorsys
def f():
    return colorsys.rgb_to_hsv(1, 0, 0)
--- colorsys.py
«<absent>→def rgb_to_hsv(*a):
    return "mine"
»
=== miss | a local module appears that covers the standard one, imported in the body
with cached_block("w"):
    import colorsys
    r = colorsys.rgb_to_hsv(1, 0, 0)
--- colorsys.py
«<absent>→def rgb_to_hsv(*a):
    return "mine"
»
=== miss | a package appears that covers a module
import h
with cached_block("w"):
    r = h.f()
--- h.py
def f():
    return 1
--- h/__init__.py
«<absent>→def f():
    return 2
»
=== miss | __init__ of a former namespace package
import space.part
with cached_block("w"):
    r = space.part.f()
--- space/part.py
def f():
    import space
    return getattr(space, "k", 0)
--- space/__init__.py
«<absent>→k = 1
»
=== miss | two portions of a namespace package | space.two.g
import sys
sys.path[:0] = ["left", "right"]
from space.one import f
with cached_block("w"):
    r = f()
--- left/space/one.py
from space.two import g
def f():
    return g()
--- right/space/two.py
def g():
    return «1→2»
=== miss | order of sys.path
import sys
sys.path.insert(0, "«a→b»")
import thing
with cached_block("w"):
    r = thing.f()
--- a/thing.py
def f():
    return 1
--- b/thing.py
def f():
    return 2
=== miss | order of sys.path, imported in the body
import sys
sys.path.insert(0, "«a→b»")
with cached_block("w"):
    import thing
    r = thing.f()
--- a/thing.py
def f():
    return 1
--- b/thing.py
def f():
    return 2
=== miss | PYTHONPATH decides which module is found
import thing
with cached_block("w"):
    r = thing.f()
--- env
PYTHONPATH=«a→b»
--- a/thing.py
def f():
    return 1
--- b/thing.py
def f():
    return 2
=== miss | import inside a function, through three functions | three
from one import f
with cached_block("w"):
    r = f()
--- one.py
def f():
    from two import g
    return g()
--- two.py
def g():
    import three
    return three.h()
--- three.py
K = «1→2»
def h():
    return K
=== miss | import under an if in a function
from h import f
with cached_block("w"):
    r = f(True)
--- h.py
def f(fast):
    if fast:
        from a import k
    else:
        from b import k
    return k
--- a.py
k = «1→2»
--- b.py
k = 3
=== miss | importlib.import_module with a constant name
from h import f
with cached_block("w"):
    r = f()
--- h.py
import importlib
def f():
    return importlib.import_module("plug").run()
--- plug.py
def run():
    return «1→2»
=== miss | importlib.import_module of a computed name, before the block
import importlib
name = "".join(["pl", "ug"])
plug = importlib.import_module(name)
with cached_block("w"):
    r = plug.run()
--- plug.py
def run():
    return «1→2»
=== runs | importlib.import_module of a computed name, in the body
import importlib
kind = "csv"
with cached_block("w"):
    r = importlib.import_module(f"readers.{kind}_reader").read()
--- readers/__init__.py
--- readers/csv_reader.py
def read():
    return «1→2»
=== runs | every module of a package by pkgutil.iter_modules
from plugins import load
with cached_block("w"):
    r = sorted(load())
--- plugins/__init__.py
import importlib, pkgutil
def load():
    return [importlib.import_module("plugins." + m.name).NAME for m in pkgutil.iter_modules(__path__)]
--- plugins/a.py
NAME = "a"
--- plugins/b.py
«<absent>→NAME = "b"
»
=== miss | module __getattr__ gives a helper | h.anything
import h
with cached_block("w"):
    r = h.anything
--- h.py
def __getattr__(name):
    return name + "«a→b»"
=== miss | module __getattr__ loads a submodule lazily
import lazy
with cached_block("w"):
    r = lazy.part.f()
--- lazy/__init__.py
import importlib
def __getattr__(name):
    return importlib.import_module("." + name, __name__)
--- lazy/part.py
def f():
    return «1→2»
=== miss | module __getattr__ for a deprecated name read by from-import
from h import OLD
with cached_block("w"):
    r = OLD
--- h.py
_renamed = {"OLD": "«NEW→NEWER»"}
NEW, NEWER = [1], [2]
def __getattr__(name):
    if name in _renamed:
        return globals()[_renamed[name]]
    raise AttributeError(name)
=== runs | a class of a module that is set in sys.modules
import h
with cached_block("w"):
    r = h.value
--- h.py
import sys
class Settings:
    value = «1→2»
sys.modules[__name__] = Settings()
=== miss | a module whose __class__ is replaced
import h
with cached_block("w"):
    r = h.value
--- h.py
import sys, types
class Smart(types.ModuleType):
    @property
    def value(self):
        return «1→2»
sys.modules[__name__].__class__ = Smart
=== miss | docstring of a function drives a parser
from h import command
from d import parse
with cached_block("w"):
    r = parse(command)
--- h.py
def command():
    """--level «1→2»"""
--- d.py
def parse(f):
    return f.__doc__.split()
=== miss | docstring of a base's method, inherited by inspect.getdoc
import inspect
from h import B
with cached_block("w"):
    r = inspect.getdoc(B().go)
--- h.py
class A:
    def go(self):
        """«one→two»"""
class B(A):
    def go(self):
        return 1
=== miss | name of a function that is otherwise the same
from h import «f→g» as chosen
with cached_block("w"):
    r = chosen.__name__
--- h.py
def f():
    return 1
def g():
    return 1
=== miss | name of a class that is otherwise the same
from h import make
with cached_block("w"):
    r = type(make()).__name__
--- h.py
class «One→Two»:
    pass
def make():
    return «One→Two»()
=== miss | parameter names read by a dispatcher
from h import handler
from d import call
with cached_block("w"):
    r = call(handler)
--- h.py
def handler(«user, amount→amount, user»):
    return (user, amount)
--- d.py
import inspect
def call(f):
    have = {"user": "u", "amount": 3}
    return [name for name in inspect.signature(f).parameters if name in have]
=== runs | a helper that asks for its own line number
from h import f
with cached_block("w"):
    r = f()
--- h.py
import inspect
«→
»def f():
    return inspect.currentframe().f_lineno
=== miss | vars(module) with a constant key
import h
with cached_block("w"):
    r = vars(h)["k"] + h.__dict__["j"]
--- h.py
k = 1
j = «1→2»
=== runs | globals() of a helper's module
import h
with cached_block("w"):
    r = h.pick("run_a")
--- h.py
def run_a():
    return «1→2»
def pick(name):
    return globals()[name]()
=== runs | eval of a constant text in a helper
import h
with cached_block("w"):
    r = h.f()
--- h.py
k = «1→2»
def f():
    return eval("k + 1")
=== miss | exec at a module's top level defines a helper
import h
with cached_block("w"):
    r = h.made()
--- h.py
for n in ["made"]:
    exec(f"def {n}():\n    return «1→2»\n")
=== miss | getattr with a computed name on a module
import h
kind = "a"
with cached_block("w"):
    r = getattr(h, "f_" + kind)()
--- h.py
def f_a():
    return «1→2»
def f_b():
    return 9
=== miss | getattr with a computed name on an instance
from h import Visitor
node = [1, 2]
with cached_block("w"):
    r = Visitor().visit(node)
--- h.py
class Visitor:
    def visit(self, node):
        return getattr(self, "visit_" + type(node).__name__)(node)
    def visit_list(self, node):
        return [self.visit(n) for n in node]
    def visit_int(self, node):
        return node + «1→2»
=== miss | operator.attrgetter with a dotted path
import operator
from h import A
with cached_block("w"):
    r = operator.attrgetter("inner.size")(A())
--- h.py
class Inner:
    @property
    def size(self):
        return «1→2»
class A:
    inner = Inner()
=== miss | operator.methodcaller in a module's table
from h import A, TABLE
with cached_block("w"):
    r = [call(A()) for call in TABLE]
--- h.py
from operator import methodcaller
class A:
    def one(self):
        return 1
    def two(self):
        return 2
TABLE = [methodcaller("«one→two»")]
=== miss | string names of methods in a table of constants | h.A.two
from h import A, STEPS
with cached_block("w"):
    r = A().run(STEPS)
--- h.py
STEPS = ("one", "two")
class A:
    def run(self, steps):
        return [getattr(self, s)() for s in steps]
    def one(self):
        return 1
    def two(self):
        return «2→3»
=== miss | map, filter and sorted with helpers as values | h.key
from h import key, keep
with cached_block("w"):
    r = sorted(filter(keep, range(6)), key=key)
--- h.py
def key(x):
    return «x→-x»
def keep(x):
    return x % 2
=== miss | functools.reduce over a helper of a helper | d.add
import functools
import h
with cached_block("w"):
    r = functools.reduce(h.combine, [1, 2, 4])
--- h.py
from d import add
def combine(a, b):
    return add(a, b)
--- d.py
def add(a, b):
    return a «+→*» b
=== miss | partial of a partial, keyword | h.f
from functools import partial
from h import f
g = partial(partial(f, 1), c=3)
with cached_block("w"):
    r = g(2)
--- h.py
def f(a, b, c):
    return a + b «+→-» c
=== miss | argument inside a partial of a partial
from functools import partial
from h import f
g = partial(partial(f, «1→2»), c=3)
with cached_block("w"):
    r = g(2)
--- h.py
def f(a, b, c):
    return a + b + c
=== miss | partialmethod | h.A
from h import A
with cached_block("w"):
    r = A().twice()
--- h.py
from functools import partialmethod
class A:
    def times(self, n):
        return 5 * n
    twice = partialmethod(times, «2→3»)
=== miss | cached_property | h.A
from h import A
with cached_block("w"):
    r = A().slow
--- h.py
from functools import cached_property
class A:
    @cached_property
    def slow(self):
        return «1→2»
=== miss | an lru_cache that is warm with the first answer
import h
h.k = «1→2»
h.f()
h.k = 9
with cached_block("w"):
    r = h.f()
--- h.py
from functools import lru_cache
k = 0
@lru_cache
def f():
    return k
=== miss | singledispatch registered in a third module
from h import show
import extra
with cached_block("w"):
    r = show(3)
--- h.py
from functools import singledispatch
@singledispatch
def show(x):
    return "object"
--- extra.py
from h import show
@show.register
def _(x: int):
    return "«int→integer»"
=== miss | a dispatch that becomes more special
from h import show
import extra
with cached_block("w"):
    r = show(True)
--- h.py
from functools import singledispatch
@singledispatch
def show(x):
    return "object"
@show.register
def _(x: int):
    return "int"
--- extra.py
from h import show
@show.register
def _(x: «str→bool»):
    return "special"
=== miss | singledispatchmethod | h.A
from h import A
with cached_block("w"):
    r = A().show(3)
--- h.py
from functools import singledispatchmethod
class A:
    @singledispatchmethod
    def show(self, x):
        return "object"
    @show.register
    def _(self, x: int):
        return "«a→b»"
=== miss | decorator without wraps, two modules away | d.twice
from h import f
with cached_block("w"):
    r = f(2)
--- h.py
from d import twice
@twice
def f(x):
    return x + 1
--- d.py
def twice(g):
    def inner(x):
        return g(g(x))«→ + 1»
    return inner
=== miss | the function below a decorator without wraps | h.f
from h import f
with cached_block("w"):
    r = f(2)
--- h.py
from d import twice
@twice
def f(x):
    return x + «1→2»
--- d.py
def twice(g):
    def inner(x):
        return g(g(x))
    return inner
=== miss | order of two decorators
from d import plus, times
@«plus
@times→times
@plus»
def f(x):
    return x
with cached_block("w"):
    r = f(2)
--- d.py
def plus(g):
    return lambda x: g(x) + 1
def times(g):
    return lambda x: g(x) * 3
=== miss | a decorator taken away
from d import plus
«@plus
→»def f(x):
    return x
with cached_block("w"):
    r = f(2)
--- d.py
import functools
def plus(g):
    @functools.wraps(g)
    def inner(x):
        return g(x) + 1
    return inner
=== miss | a class as a decorator with an argument
from h import f
with cached_block("w"):
    r = f(2)
--- h.py
class add:
    def __init__(self, n):
        self.n = n
    def __call__(self, g):
        self.g = g
        return self.run
    def run(self, x):
        return self.g(x) + self.n
@add(n=«1→2»)
def f(x):
    return x
=== miss | contextlib.ContextDecorator around a helper
from h import f
with cached_block("w"):
    r = f()
--- h.py
import contextlib
level = [0]
class at(contextlib.ContextDecorator):
    def __enter__(self):
        level[0] = «1→2»
    def __exit__(self, *exc):
        level[0] = 0
@at()
def f():
    return level[0]
=== miss | a decorator that reads an attribute set by another decorator
from h import f
with cached_block("w"):
    r = f()
--- h.py
def tag(**kw):
    def apply(g):
        g.tags = kw
        return g
    return apply
def use(g):
    return lambda: g.tags["k"]
@use
@tag(k=«1→2»)
def f():
    pass
=== miss | handlers registered by a decorator in a module imported for effect
import handlers
from registry import dispatch
with cached_block("w"):
    r = dispatch("a")
--- registry.py
TABLE = {}
def handler(name):
    def add(f):
        TABLE[name] = f
        return f
    return add
def dispatch(name):
    return TABLE[name]()
--- handlers.py
from registry import handler
@handler("a")
def run():
    return «1→2»
=== miss | the order in which modules register
import registry
«import one, two→import two, one»
with cached_block("w"):
    r = [f() for f in registry.ALL]
--- registry.py
ALL = []
--- one.py
import registry
registry.ALL.append(lambda: 1)
--- two.py
import registry
registry.ALL.append(lambda: 2)
=== miss | classes collected by __init_subclass__ in a plugin module
import base, plugins
with cached_block("w"):
    r = [c.weight for c in base.Base.known]
--- base.py
class Base:
    known = []
    def __init_subclass__(cls):
        Base.known.append(cls)
--- plugins.py
from base import Base
class One(Base):
    weight = «1→2»
=== miss | __subclasses__ of a base
import base, plugins
with cached_block("w"):
    r = sorted(c.__name__ for c in base.Base.__subclasses__())
--- base.py
class Base:
    pass
--- plugins.py
from base import Base
class One(Base):
    pass
«→class Two(Base):
    pass
»
=== miss | a method chosen from a dict in a class attribute | h.A
from h import A
with cached_block("w"):
    r = A().do("x")
--- h.py
class A:
    def _x(self):
        return «1→2»
    table = {"x": _x}
    def do(self, key):
        return self.table[key](self)
=== miss | a static method in a module's dispatch dict
from h import TABLE
with cached_block("w"):
    r = TABLE["go"](1)
--- h.py
class A:
    @staticmethod
    def go(x):
        return x + «1→2»
TABLE = {"go": A.go}
=== miss | a class method of a grandparent reads the class it is called on
from h import C
with cached_block("w"):
    r = C.make()
--- h.py
from b import A
class B(A):
    factor = «2→3»
class C(B):
    pass
--- b.py
class A:
    factor = 1
    @classmethod
    def make(cls):
        return cls.factor * 10
=== miss | a bound method in a list in a dict, its helper | d.g
from h import A
table = {"steps": [A().go]}
with cached_block("w"):
    r = [s() for s in table["steps"]]
--- h.py
from d import g
class A:
    def go(self):
        return g()
--- d.py
def g():
    return «1→2»
=== miss | a callable in an attribute of an instance
from h import A, f
a = A(f)
with cached_block("w"):
    r = a.run(1)
--- h.py
def f(x):
    return x + «1→2»
class A:
    def __init__(self, step):
        self.step = step
    def run(self, x):
        return self.step(x)
=== miss | a callable instance as a default argument | h.Step
from h import run
with cached_block("w"):
    r = run(1)
--- h.py
class Step:
    def __call__(self, x):
        return x + «1→2»
def run(x, step=Step()):
    return step(x)
=== miss | an attribute on the class of an instance that came from a pickle-like clone
import copy
from h import A
a = copy.copy(A())
with cached_block("w"):
    r = a.k
--- h.py
class A:
    k = «1→2»
=== miss | a class attribute of a great-grandparent in a fourth module
from d import D
with cached_block("w"):
    r = D().f()
--- d.py
from c import C
class D(C):
    def f(self):
        return self.k
--- c.py
from b import B
class C(B):
    pass
--- b.py
from a import A
class B(A):
    pass
--- a.py
class A:
    k = «1→2»
=== miss | order of mixins
from h import A
with cached_block("w"):
    r = A().f()
--- h.py
class M:
    def f(self):
        return "M"
class N:
    def f(self):
        return "N"
class A(«M, N→N, M»):
    pass
=== miss | a chain of super() gains a link in a mixin | m.Log
from h import A
with cached_block("w"):
    r = A().f()
--- h.py
from m import Log, Base
class A(Log, Base):
    def f(self):
        return ["A", *super().f()]
--- m.py
class Base:
    def f(self):
        return ["base"]
class Log(Base):
«→    def f(self):
        return ["log", *super().f()]
»    def other(self):
        return 1
=== miss | super() with explicit arguments skips a class
from h import C
with cached_block("w"):
    r = C().f()
--- h.py
class A:
    def f(self):
        return "A"
class B(A):
    def f(self):
        return "B"
class C(B):
    def f(self):
        return super(«C→B», self).f()
=== miss | a method deleted from a child, so that the parent's shows
from h import B
with cached_block("w"):
    r = B().f()
--- h.py
class A:
    def f(self):
        return "A"
class B(A):
    def f(self):
        return "B"
«→del B.f
»
=== miss | a method assigned to a local class before the block
from h import A
def f(self):
    return «1→2»
A.go = f
with cached_block("w"):
    r = A().go()
--- h.py
class A:
    def go(self):
        return 0
=== miss | a module imported only for its patch of a local class | patch
import h, patch
with cached_block("w"):
    r = h.A().go()
--- h.py
class A:
    def go(self):
        return 0
--- patch.py
import h
h.A.go = lambda self: «1→2»
=== miss | a method of one instance replaced
import types
from h import A
a = A()
a.go = types.MethodType(lambda self: «1→2», a)
with cached_block("w"):
    r = a.go()
--- h.py
class A:
    def go(self):
        return 0
=== miss | a property whose getter is a base's, its setter a helper | b.A
from h import B
with cached_block("w"):
    b = B()
    b.x = 3
    r = b.x
    del b
--- h.py
from b import A
class B(A):
    @A.x.setter
    def x(self, v):
        self._x = v
--- b.py
class A:
    @property
    def x(self):
        return self._x * «1→2»
=== miss | a property made by a factory
from h import A
with cached_block("w"):
    r = A().width
--- h.py
def fixed(n):
    return property(lambda self: n)
class A:
    width = fixed(«1→2»)
=== miss | a class made in a function, with a closure
from h import make
A = make(«1→2»)
with cached_block("w"):
    r = A().go()
--- h.py
def make(n):
    class A:
        def go(self):
            return n
    return A
=== miss | a class decorator that adds a method
from h import A
with cached_block("w"):
    r = A().extra()
--- h.py
from d import add
@add
class A:
    pass
--- d.py
def add(cls):
    cls.extra = lambda self: «1→2»
    return cls
=== miss | an abstract method given by a sibling through the template method | h.A.step
from h import A
with cached_block("w"):
    r = A().run()
--- h.py
from abc import ABC, abstractmethod
class Base(ABC):
    def run(self):
        return self.step() * 2
    @abstractmethod
    def step(self): ...
class A(Base):
    def step(self):
        return «1→2»
=== miss | a default factory of a defaultdict upstream | h.make
from collections import defaultdict
from h import make
table = defaultdict(make)
with cached_block("w"):
    r = table.copy()["new"]
--- h.py
def make():
    return «1→2»
=== miss | a read-only view of a dict that changes
from h import VIEW, _data
_data["k"] = «1→2»
with cached_block("w"):
    r = VIEW["k"]
--- h.py
from types import MappingProxyType
_data = {}
VIEW = MappingProxyType(_data)
=== miss | a ChainMap finds another layer
from collections import ChainMap
import h
settings = ChainMap(h.USER, h.DEFAULTS)
with cached_block("w"):
    r = settings["k"]
--- h.py
USER = {«→"k": 2»}
DEFAULTS = {"k": 1}
=== runs | weakref.WeakValueDictionary of local objects
import weakref
from h import A
a = A()
table = weakref.WeakValueDictionary(k=a)
with cached_block("w"):
    r = table["k"].go()
--- h.py
class A:
    def go(self):
        return «1→2»
=== runs | weakref to an object whose attribute differs
import weakref
from h import A
a = A(«1→2»)
ref = weakref.ref(a)
with cached_block("w"):
    r = ref().n
--- h.py
class A:
    def __init__(self, n):
        self.n = n
=== miss | a context variable set before the block
from h import level, f
level.set(«1→2»)
with cached_block("w"):
    r = f()
--- h.py
from contextvars import ContextVar
level = ContextVar("level", default=0)
def f():
    return level.get()
=== miss | default of a context variable
from h import f
with cached_block("w"):
    r = f()
--- h.py
from contextvars import ContextVar
level = ContextVar("level", default=«1→2»)
def f():
    return level.get()
=== miss | an attribute of threading.local
from h import state, f
state.k = «1→2»
with cached_block("w"):
    r = f()
--- h.py
import threading
state = threading.local()
def f():
    return state.k
=== miss | code that runs in a thread pool | h.work
from concurrent.futures import ThreadPoolExecutor
from h import work
with cached_block("w"):
    with ThreadPoolExecutor(1) as pool:
        r = list(pool.map(work, [1, 2]))
    del pool
--- h.py
def work(x):
    return x + «1→2»
=== miss | code that runs in a forked process pool | d.K
from h import run
with cached_block("w"):
    r = run()
--- h.py
import multiprocessing
from d import work
def run():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.map(work, [1])
--- d.py
K = «1→2»
def work(x):
    return x + K
=== miss | SimpleNamespace tree of callables
from types import SimpleNamespace
from h import f, g
ns = SimpleNamespace(a=SimpleNamespace(run=«f→g»))
with cached_block("w"):
    r = ns.a.run()
--- h.py
def f():
    return 1
def g():
    return 2
=== miss | unittest.mock.patch around the block
from unittest import mock
import h
with mock.patch("h.g", lambda: «1→2»):
    with cached_block("w"):
        r = h.f()
print(r)
--- h.py
def g():
    return 0
def f():
    return g()
=== miss | patch of a local module in a with that has ended
from unittest import mock
import h
with mock.patch.object(h, "g", lambda: 5):
    saved = h.«f→g»()
with cached_block("w"):
    r = (saved, h.f())
--- h.py
def g():
    return 0
def f():
    return g() + 1
=== miss | a local class used as a json encoder | h.Encoder
import json
from h import Encoder, P
with cached_block("w"):
    r = json.dumps(P(), cls=Encoder)
--- h.py
import json
class P:
    pass
class Encoder(json.JSONEncoder):
    def default(self, o):
        return "«a→b»"
=== miss | a str subclass that overrides a method | h.Name
from h import Name
n = Name("abc")
with cached_block("w"):
    r = n.upper()
--- h.py
class Name(str):
    def upper(self):
        return str.upper(self) + "«!→?»"
=== miss | an ndarray subclass with __array_finalize__ | h.Tagged
import numpy as np
from h import Tagged
a = np.arange(3).view(Tagged)
with cached_block("w"):
    r = (a + 1).tag
--- h.py
import numpy as np
class Tagged(np.ndarray):
    def __array_finalize__(self, obj):
        self.tag = «1→2»
=== miss | __array_ufunc__ of a local class
import numpy as np
from h import A
a = A()
with cached_block("w"):
    r = np.add(a, 1)
--- h.py
class A:
    def __array_ufunc__(self, ufunc, method, *inputs, **kw):
        return ufunc.__name__ + "«a→b»"
=== miss | a function given to DataFrame.apply by a method name | h.score
import pandas as pd
from h import score
df = pd.DataFrame({"x": [1, 2]})
with cached_block("w"):
    r = df["x"].apply(score).tolist()
--- h.py
def score(x):
    return x * «2→3»
=== miss | a pandas query that reads a local variable by @
import pandas as pd
df = pd.DataFrame({"x": [1, 2, 3]})
limit = «1→2»
with cached_block("w"):
    r = df.query("x > @limit")["x"].tolist()
=== miss | a subclass of DataFrame with _constructor
import pandas as pd
from h import Frame
f = Frame({"x": [1, 2]})
with cached_block("w"):
    r = f.head(1).label()
--- h.py
import pandas as pd
class Frame(pd.DataFrame):
    @property
    def _constructor(self):
        return Frame
    def label(self):
        return "«a→b»"
=== miss | values that print alike: 1, True and 1.0
from h import V
with cached_block("w"):
    r = repr([V, V + V])
--- h.py
V = «1→1.0»
=== miss | -0.0 in a tuple of a module
from h import V
with cached_block("w"):
    r = str(V)
--- h.py
V = (1, «0.0→-0.0»)
=== miss | quantum of a Decimal
from decimal import Decimal
d = Decimal("1.«0→00»")
with cached_block("w"):
    r = str(d * 2)
=== miss | fold of a datetime
import datetime, zoneinfo
t = datetime.datetime(2024, 10, 27, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=«0→1»)
with cached_block("w"):
    r = str(t.utcoffset())
=== miss | an IntEnum in place of its number
from enum import IntEnum
class N(IntEnum):
    ONE = 1
x = «1→N.ONE»
with cached_block("w"):
    r = type(x).__name__
=== miss | order of unused categories
import pandas as pd
s = pd.Series(pd.Categorical(["a"], categories=«["a", "b"]→["b", "a"]»))
with cached_block("w"):
    r = s.cat.codes.tolist()
=== miss | fill value of a masked array
import numpy as np
m = np.ma.array([1, 2], mask=[0, 1], fill_value=«7→8»)
with cached_block("w"):
    r = m.filled().tolist()
=== miss | maxlen of a deque
from collections import deque
d = deque([1, 2], maxlen=«2→3»)
with cached_block("w"):
    e = d.copy()
    e.append(3)
    r = list(e)
    del e
=== miss | file read by open in a helper's helper | d.txt
from h import f
with cached_block("w"):
    r = f()
--- h.py
from g import read
def f():
    return read("d.txt").strip()
--- g.py
def read(name):
    with open(name) as file:
        return file.read()
--- d.txt
«one→two»
=== miss | file read by pathlib from a path made upstream | d.txt
from pathlib import Path
path = Path(__file__).parent / "data" / "d.txt"
with cached_block("w"):
    r = path.read_text()
--- data/d.txt
«one→two»
=== miss | file of the same size and time | d.txt
with cached_block("w"):
    r = open("d.txt").read()
--- prepare.py
import os
open("d.txt", "w").write("«one→two»")
os.utime("d.txt", (1600000000, 1600000000))
=== miss | file read through os.open and os.read | d.txt
import os
with cached_block("w"):
    fd = os.open("d.txt", os.O_RDONLY)
    r = os.read(fd, 100)
    os.close(fd)
--- d.txt
«one→two»
=== miss | file that grows, read through mmap | d.txt
import mmap
with cached_block("w"):
    with open("d.txt", "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        r = len(m)
    del f, m
--- d.txt
one«→ more»
=== miss | rows by the csv module, in a generator of a helper | rows.csv
from h import rows
with cached_block("w"):
    r = sum(int(row["n"]) for row in rows("rows.csv"))
--- h.py
import csv
def rows(name):
    with open(name, newline="") as f:
        yield from csv.DictReader(f)
--- rows.csv
n
1
«2→3»
=== miss | settings by json, read by a class | settings.json
from h import Settings
with cached_block("w"):
    s = Settings.load()
    r = s.k
    del s
--- h.py
import json
class Settings:
    @classmethod
    def load(cls):
        self = cls()
        with open("settings.json") as f:
            vars(self).update(json.load(f))
        return self
--- settings.json
{"k": «1→2»}
=== miss | settings by tomllib | settings.toml
import tomllib
with cached_block("w"):
    with open("settings.toml", "rb") as f:
        r = tomllib.load(f)["a"]["k"]
    del f
--- settings.toml
[a]
k = «1→2»
=== miss | settings by configparser: the second of two files
import configparser
with cached_block("w"):
    c = configparser.ConfigParser()
    c.read(["a.ini", "b.ini"])
    r = c["s"]["k"]
    del c
--- a.ini
[s]
k = 1
--- b.ini
[s]
k = «1→2»
=== miss | settings by configparser: a second file appears
import configparser
with cached_block("w"):
    c = configparser.ConfigParser()
    c.read(["a.ini", "b.ini"])
    r = c["s"]["k"]
    del c
--- a.ini
[s]
k = 1
--- b.ini
«<absent>→[s]
k = 2
»
=== miss | the first of two files that exists
from h import find
with cached_block("w"):
    r = find()
--- h.py
def find():
    for name in ("local.txt", "default.txt"):
        try:
            return open(name).read()
        except FileNotFoundError:
            continue
--- default.txt
default
--- local.txt
«<absent>→local
»
=== miss | Path.exists of a file that appears
from pathlib import Path
with cached_block("w"):
    r = "yes" if Path("flag").exists() else "no"
--- flag
«<absent>→»
=== miss | os.path.isfile of a file that goes
import os
with cached_block("w"):
    r = os.path.isfile("flag")
--- flag
«→<absent>»
=== miss | size of a file by os.path.getsize
import os
with cached_block("w"):
    r = os.path.getsize("d.txt")
--- d.txt
one«→ more»
=== miss | size of a file by Path.stat in a helper
from h import size
with cached_block("w"):
    r = size("d.txt")
--- h.py
from pathlib import Path
def size(name):
    return Path(name).stat().st_size
--- d.txt
one«→ more»
=== miss | a symlink that points elsewhere
with cached_block("w"):
    r = open("link").read()
--- a.txt
one
--- b.txt
two
--- prepare.py
import os
if os.path.lexists("link"):
    os.unlink("link")
os.symlink("«a→b».txt", "link")
=== miss | a directory behind a symlink
import os
with cached_block("w"):
    r = os.listdir("link")
--- a/x
--- b/y
--- prepare.py
import os
if os.path.lexists("link"):
    os.unlink("link")
os.symlink("«a→b»", "link")
=== miss | member of a zip | z.zip
import zipfile
with cached_block("w"):
    with zipfile.ZipFile("z.zip") as z:
        r = z.read("d.txt")
    del z
--- z.zip!d.txt
«one→two»
=== miss | text in gzip, in a helper | d.gz
from h import f
with cached_block("w"):
    r = f()
--- h.py
import gzip
def f():
    with gzip.open("d.gz", "rt") as file:
        return file.read()
--- prepare.py
import gzip
with gzip.open("d.gz", "wt") as f:
    f.write("«one→two»")
=== miss | array by np.load | a.npy
import numpy as np
with cached_block("w"):
    r = np.load("a.npy").tolist()
--- prepare.py
import numpy as np
np.save("a.npy", np.array([1, «2→3»]))
=== miss | array by np.memmap made upstream
import numpy as np
m = np.memmap("a.bin", dtype="i4", mode="r")
with cached_block("w"):
    r = int(m.sum())
--- prepare.py
import numpy as np
np.array([1, «2→3»], "i4").tofile("a.bin")
=== miss | array by np.fromfile and np.loadtxt
import numpy as np
with cached_block("w"):
    r = (np.fromfile("a.bin", "i4").tolist(), np.loadtxt("a.txt").tolist())
--- prepare.py
import numpy as np
np.array([1, «2→3»], "i4").tofile("a.bin")
open("a.txt", "w").write("1 2")
=== miss | frame by pd.read_csv | d.csv
import pandas as pd
with cached_block("w"):
    r = int(pd.read_csv("d.csv")["n"].sum())
--- d.csv
n
1
«2→3»
=== miss | frame by pd.read_parquet in a helper | d.parquet
from h import load
with cached_block("w"):
    r = load("d")["n"].tolist()
--- h.py
import pandas as pd
def load(name):
    return pd.read_parquet(f"{name}.parquet")
--- prepare.py
import pandas as pd
pd.DataFrame({"n": [1, «2→3»]}).to_parquet("d.parquet")
=== miss | table by pyarrow.parquet | d.parquet
import pyarrow.parquet as pq
with cached_block("w"):
    r = pq.read_table("d.parquet")["n"].to_pylist()
--- prepare.py
import pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({"n": [1, «2→3»]}), "d.parquet")
=== miss | a file joins a pyarrow dataset's folder
import pyarrow.dataset as ds
with cached_block("w"):
    r = sorted(ds.dataset("data").to_table()["n"].to_pylist())
--- prepare.py
import os, pyarrow as pa, pyarrow.parquet as pq
os.makedirs("data", exist_ok=True)
for n in range(«1→2»):
    pq.write_table(pa.table({"n": [n]}), f"data/{n}.parquet")
=== miss | pyarrow through memory_map and OSFile
import pyarrow as pa
with cached_block("w"):
    with pa.memory_map("d.bin") as m, pa.OSFile("e.bin") as o:
        r = (m.read(), o.read())
    del m, o
--- d.bin
one
--- e.bin
«one→two»
=== miss | frame by polars.read_csv | d.csv
import polars as pl
with cached_block("w"):
    r = pl.read_csv("d.csv")["n"].to_list()
--- d.csv
n
1
«2→3»
=== miss | lazy frame of polars made upstream, collected in the body
import polars as pl
lazy = pl.scan_csv("d.csv")
with cached_block("w"):
    r = lazy.select(pl.col("n").sum()).collect().item()
--- d.csv
n
1
«2→3»
=== miss | polars scans a glob: a file joins
import polars as pl
with cached_block("w"):
    r = pl.scan_csv("d*.csv").collect()["n"].sum()
--- d1.csv
n
1
--- d2.csv
«<absent>→n
5
»
=== miss | polars scans parquet by a path joined in a helper
from h import load
with cached_block("w"):
    r = load("d")
--- h.py
import os
import polars as pl
def load(name):
    return pl.scan_parquet(os.path.join("data", name + ".parquet")).collect()["n"].to_list()
--- prepare.py
import os, polars as pl
os.makedirs("data", exist_ok=True)
pl.DataFrame({"n": [1, «2→3»]}).write_parquet("data/d.parquet")
=== miss | rows by sqlite, connected in the body | d.db
import sqlite3
with cached_block("w"):
    con = sqlite3.connect("d.db")
    r = con.execute("select sum(n) from t").fetchone()[0]
    con.close()
    del con
--- prepare.py
import os, sqlite3
if os.path.exists("d.db"):
    os.unlink("d.db")
con = sqlite3.connect("d.db")
con.execute("create table t(n)")
con.execute("insert into t values («1→2»)")
con.commit()
=== miss | rows by sqlite, connected upstream: the file behind it
import sqlite3
con = sqlite3.connect("d.db")
with cached_block("w"):
    r = con.execute("select sum(n) from t").fetchone()[0]
--- prepare.py
import os, sqlite3
if os.path.exists("d.db"):
    os.unlink("d.db")
con = sqlite3.connect("d.db")
con.execute("create table t(n)")
con.execute("insert into t values («1→2»)")
con.commit()
=== runs | rows by sqlite in write-ahead mode, whose main file stays
import sqlite3
with cached_block("w"):
    con = sqlite3.connect("d.db")
    r = con.execute("select sum(n) from t").fetchone()[0]
    con.close()
    del con
--- prepare.py
import os, sqlite3
con = sqlite3.connect("d.db")
con.execute("pragma journal_mode=wal")
con.execute("create table if not exists t(n)")
con.execute("insert into t values («1→2»)")
con.commit()
os._exit(0)
=== miss | frame by pd.read_sql over a connection made in a function
import pandas as pd
from h import connect
with cached_block("w"):
    r = pd.read_sql("select * from t", connect())["n"].tolist()
--- h.py
import sqlite3
def connect():
    return sqlite3.connect("d.db")
--- prepare.py
import os, sqlite3
if os.path.exists("d.db"):
    os.unlink("d.db")
con = sqlite3.connect("d.db")
con.execute("create table t(n)")
con.execute("insert into t values («1→2»)")
con.commit()
=== miss | importlib.resources of a local package | table.txt
from pkg import table
with cached_block("w"):
    r = table()
--- pkg/__init__.py
from importlib import resources
def table():
    return resources.files(__name__).joinpath("table.txt").read_text()
--- pkg/table.txt
«one→two»
=== miss | pkgutil.get_data | table.txt
import pkgutil
with cached_block("w"):
    r = pkgutil.get_data("pkg", "table.txt")
--- pkg/__init__.py
--- pkg/table.txt
«one→two»
=== miss | a data file read at the import of a module | h._TABLE
import h
with cached_block("w"):
    r = h.f("k")
--- h.py
import json, pathlib
_TABLE = json.loads((pathlib.Path(__file__).parent / "table.txt").read_text())
def f(key):
    return _TABLE[key]
--- table.txt
{"k": «1→2»}
=== miss | a data file behind lru_cache, read before the block
from h import table
table()
with cached_block("w"):
    r = table()
--- h.py
from functools import lru_cache
@lru_cache
def table():
    with open("table.txt") as f:
        return f.read()
--- table.txt
«one→two»
=== miss | shelve
import shelve
with cached_block("w"):
    with shelve.open("s", flag="r") as s:
        r = s["k"]
    del s
--- prepare.py
import shelve
with shelve.open("s") as s:
    s["k"] = «1→2»
=== miss | dbm.dumb behind a helper
from h import get
with cached_block("w"):
    r = get("k")
--- h.py
import dbm.dumb
def get(key):
    with dbm.dumb.open("s", "r") as s:
        return s[key]
--- prepare.py
import dbm.dumb
with dbm.dumb.open("s") as s:
    s["k"] = "«one→two»"
=== miss | linecache, tokenize.open and fileinput
import fileinput, linecache, tokenize
with cached_block("w"):
    with tokenize.open("b.txt") as f:
        r = (linecache.getline("a.txt", 1), f.read(), list(fileinput.input("c.txt")))
    del f
--- a.txt
one
--- b.txt
one
--- c.txt
«one→two»
=== miss | a pickle of a local class: the data | p.pickle
import pickle
from h import A
with cached_block("w"):
    r = pickle.load(open("p.pickle", "rb")).n
--- h.py
class A:
    pass
--- prepare.py
import pickle, sys
sys.path.insert(0, ".")
from h import A
a = A()
a.n = «1→2»
pickle.dump(a, open("p.pickle", "wb"))
=== miss | a pickle of a local class: a method of the class
import pickle
with cached_block("w"):
    r = pickle.load(open("p.pickle", "rb")).go()
--- h.py
class A:
    def go(self):
        return «1→2»
--- prepare.py
import pickle, sys
sys.path.insert(0, ".")
from h import A
pickle.dump(A(), open("p.pickle", "wb"))
=== runs | runpy.run_path of a script
import runpy
with cached_block("w"):
    r = runpy.run_path("other.py")["k"]
--- other.py
k = «1→2»
=== runs | exec of a file's text
with cached_block("w"):
    ns = {}
    exec(open("other.txt").read(), ns)
    r = ns["k"]
    del ns
--- other.txt
k = «1→2»
=== miss | a script run by subprocess
import subprocess, sys
with cached_block("w"):
    r = subprocess.run([sys.executable, "job.py"], capture_output=True, text=True).stdout
--- job.py
print(«1→2»)
=== miss | a module imported by a script that subprocess runs
import subprocess, sys
with cached_block("w"):
    r = subprocess.run([sys.executable, "job.py"], capture_output=True, text=True).stdout
--- job.py
import part
print(part.k)
--- part.py
k = «1→2»
=== miss | a data file named in a shell command
import subprocess
with cached_block("w"):
    r = subprocess.check_output("sort d.txt | head -1", shell=True)
--- d.txt
b
«c→a»
=== miss | a data file of a subprocess that runs in another folder
import subprocess
with cached_block("w"):
    r = subprocess.check_output(["cat", "d.txt"], cwd="sub")
--- sub/d.txt
«one→two»
=== miss | a data file as standard input of a subprocess
import subprocess
with cached_block("w"):
    with open("d.txt") as f:
        r = subprocess.check_output(["cat"], stdin=f)
    del f
--- d.txt
«one→two»
=== miss | os.listdir
import os
with cached_block("w"):
    r = sorted(os.listdir("data"))
--- data/a.txt
--- data/b.txt
«<absent>→»
=== miss | glob in a helper, recursive
from h import count
with cached_block("w"):
    r = count()
--- h.py
import glob
def count():
    return len(glob.glob("data/**/*.txt", recursive=True))
--- data/a.txt
--- data/deep/b.txt
«<absent>→»
=== miss | Path.iterdir and rglob, then every file's text
from pathlib import Path
root = Path("data")
with cached_block("w"):
    r = [p.read_text() for p in sorted(root.rglob("*.txt"))]
    p = None
--- data/x/a.txt
one
--- data/y/b.txt
«one→two»
=== miss | os.walk and os.scandir: a file renamed
import os
with cached_block("w"):
    r = sorted(f for _, _, fs in os.walk("data") for f in fs)
--- data/keep
--- data/«a→b».txt
--- prepare.py
import os
for name in ("a", "b"):
    if name != "«a→b»" and os.path.exists(f"data/{name}.txt"):
        os.unlink(f"data/{name}.txt")
=== miss | the newest file of a folder
import glob
with cached_block("w"):
    r = open(max(glob.glob("run*.txt"))).read()
--- run1.txt
one
--- run2.txt
«<absent>→two
»
=== miss | os.chdir before the block and a relative name
import os
os.chdir("«a→b»")
with cached_block("w"):
    r = open("d.txt").read()
--- a/d.txt
one
--- b/d.txt
two
=== miss | os.chdir in a module that is imported
import place
with cached_block("w"):
    r = open("d.txt").read()
--- place.py
import os
os.chdir("«a→b»")
--- a/d.txt
one
--- b/d.txt
two
=== miss | the working directory itself
import os
os.chdir("«a→b»")
with cached_block("w"):
    r = os.path.basename(os.getcwd())
--- a/x
--- b/x
=== runs | a file opened upstream, read in the body
f = open("d.txt")
with cached_block("w"):
    r = f.read()
--- d.txt
«one→two»
=== runs | a csv.reader made upstream
import csv
rows = csv.reader(open("d.csv"))
with cached_block("w"):
    r = sum(int(row[0]) for row in rows)
--- d.csv
1
«2→3»
=== runs | a ZipFile opened upstream
import zipfile
z = zipfile.ZipFile("z.zip")
with cached_block("w"):
    r = z.read("d.txt")
--- z.zip!d.txt
«one→two»
=== runs | an npz opened upstream
import numpy as np
data = np.load("d.npz")
with cached_block("w"):
    r = data["a"].tolist()
--- prepare.py
import numpy as np
np.savez("d.npz", a=np.array([1, «2→3»]))
=== runs | data read once by pandas in chunks
import pandas as pd
chunks = pd.read_csv("d.csv", chunksize=1)
with cached_block("w"):
    r = [int(c["n"].iloc[0]) for c in chunks]
--- d.csv
n
1
«2→3»
=== miss | a path from an environment variable | d
import os
with cached_block("w"):
    r = open(os.environ["DATA"]).read()
--- env
DATA=«a→b».txt
--- a.txt
one
--- b.txt
two
=== miss | os.environ[] | LEVEL
import os
with cached_block("w"):
    r = os.environ["LEVEL"]
--- env
LEVEL=«1→2»
=== miss | os.environ.get in a helper | LEVEL
from h import f
with cached_block("w"):
    r = f()
--- h.py
import os
def f():
    return int(os.environ.get("LEVEL", "0")) + 1
--- env
LEVEL=«1→2»
=== miss | os.environ.get of a variable that appears | LEVEL
import os
with cached_block("w"):
    r = os.environ.get("LEVEL", "none")
--- env
«OTHER→LEVEL»=1
=== miss | in os.environ | LEVEL
import os
with cached_block("w"):
    r = "LEVEL" in os.environ
--- env
«OTHER→LEVEL»=1
=== miss | from os import getenv as an alias | LEVEL
from os import getenv as g
with cached_block("w"):
    r = g("LEVEL")
--- env
LEVEL=«1→2»
=== miss | os.environb | LEVEL
import os
with cached_block("w"):
    r = os.environb[b"LEVEL"]
--- env
LEVEL=«1→2»
=== miss | os.path.expandvars
import os
with cached_block("w"):
    r = os.path.expandvars("$ROOT/x")
--- env
ROOT=/«a→b»
=== miss | os.path.expanduser
import os
with cached_block("w"):
    r = os.path.expanduser("~/x")
--- env
HOME=/«a→b»
=== miss | Path.home in a helper
from h import cache_folder
with cached_block("w"):
    r = str(cache_folder())
--- h.py
from pathlib import Path
def cache_folder():
    return Path.home() / ".cache"
--- env
HOME=/«a→b»
=== miss | a copy of os.environ filtered by prefix
import os
with cached_block("w"):
    r = {k: v for k, v in os.environ.items() if k.startswith("MY_")}
--- env
MY_A=1
MY_B=«1→2»
=== miss | os.environ assigned before the block
import os
os.environ["LEVEL"] = "«1→2»"
with cached_block("w"):
    r = os.getenv("LEVEL")
=== miss | a default argument that was read from the environment
from h import f
with cached_block("w"):
    r = f()
--- h.py
import os
def f(level=os.environ.get("LEVEL")):
    return level
--- env
LEVEL=«1→2»
=== miss | environment of a subprocess
import subprocess
with cached_block("w"):
    r = subprocess.check_output("echo $LEVEL", shell=True)
--- env
LEVEL=«1→2»
=== miss | TMPDIR by tempfile
import tempfile
with cached_block("w"):
    r = tempfile.gettempdir()
--- prepare.py
import os
os.makedirs("a", exist_ok=True)
os.makedirs("b", exist_ok=True)
--- env
TMPDIR=«a→b»
=== miss | TZ by time.localtime
import time
with cached_block("w"):
    r = time.localtime(0).tm_hour
--- env
TZ=«UTC→UTC-3»
=== miss | sys.argv in a helper
from h import mode
with cached_block("w"):
    r = mode()
--- h.py
import sys
def mode():
    return sys.argv[1]
--- argv
«a→b»
=== miss | argparse in the body
import argparse
with cached_block("w"):
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int)
    r = parser.parse_args().n
    del parser
--- argv
--n
«1→2»
=== miss | argparse upstream, the namespace in the body
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int)
args = parser.parse_args()
with cached_block("w"):
    r = args.n * 2
--- argv
--n
«1→2»
=== miss | random.seed before the block
import random
random.seed(«1→2»)
with cached_block("w"):
    r = random.random()
=== miss | random.seed in a helper that runs before the block
import random
from h import setup
setup()
with cached_block("w"):
    r = random.sample(range(100), 3)
--- h.py
import random
def setup():
    random.seed(«1→2»)
=== miss | a draw more before the block
import random
random.seed(1)
for _ in range(«1→2»):
    random.random()
with cached_block("w"):
    r = random.random()
=== runs | draws by names imported from random, in a helper's helper
import random
from h import f
random.seed(«1→2»)
with cached_block("w"):
    r = f()
--- h.py
from g import pick
def f():
    return pick()
--- g.py
from random import choice
def pick():
    return choice(range(1000))
=== miss | np.random.seed and a draw in a helper
import numpy as np
from h import noise
np.random.seed(«1→2»)
with cached_block("w"):
    r = noise(3).tolist()
--- h.py
import numpy as np
def noise(n):
    return np.random.normal(size=n)
=== miss | the numpy generator behind DataFrame.sample
import numpy as np
import pandas as pd
df = pd.DataFrame({"x": range(100)})
np.random.seed(«1→2»)
with cached_block("w"):
    r = df.sample(3)["x"].tolist()
=== miss | the numpy generator behind scipy.stats
import numpy as np
from scipy import stats
np.random.seed(«1→2»)
with cached_block("w"):
    r = float(stats.norm.rvs())
=== runs | default_rng made upstream
import numpy as np
rng = np.random.default_rng(«1→2»)
with cached_block("w"):
    r = float(rng.random())
=== runs | default_rng upstream, moved on by another statement
import numpy as np
rng = np.random.default_rng(1)
rng.random(«1→2»)
with cached_block("w"):
    r = float(rng.random())
=== runs | a random.Random in a module
import h
h.rng.seed(«1→2»)
with cached_block("w"):
    r = h.draw()
--- h.py
import random
rng = random.Random(0)
def draw():
    return rng.random()
=== runs | a child of a SeedSequence
import numpy as np
ss = np.random.SeedSequence(1)
ss.spawn(«1→2»)
with cached_block("w"):
    r = int(ss.spawn(1)[0].generate_state(1)[0])
=== miss | precision of the decimal context
import decimal
decimal.getcontext().prec = «5→6»
with cached_block("w"):
    r = str(decimal.Decimal(1) / 3)
=== miss | rounding of the decimal context, in a localcontext around the block
from decimal import Decimal, localcontext, ROUND_DOWN, ROUND_UP
from h import cents
with localcontext(rounding=ROUND_«DOWN→UP»):
    with cached_block("w"):
        r = str(cents(Decimal("1.005")))
print(r)
--- h.py
from decimal import Decimal
def cents(x):
    return x.quantize(Decimal("0.01"))
=== miss | np.errstate around the block
import numpy as np
x = np.array([0.0])
with np.errstate(divide="«ignore→raise»"):
    with cached_block("w"):
        try:
            r = str(1 / x)
        except FloatingPointError:
            r = "raised"
print(r)
=== miss | np.seterr by a module that is imported
import numpy as np
import setup_numpy
x = np.array([0.0])
with cached_block("w"):
    try:
        r = str(np.log(x))
    except FloatingPointError:
        r = "raised"
--- setup_numpy.py
import numpy as np
np.seterr(divide="«ignore→raise»")
=== miss | np.set_printoptions
import numpy as np
np.set_printoptions(precision=«2→3»)
a = np.array([1 / 3])
with cached_block("w"):
    r = str(a)
=== miss | locale before the block
import locale
locale.setlocale(locale.LC_ALL, "«C→C.UTF-8»")
with cached_block("w"):
    r = locale.setlocale(locale.LC_CTYPE)
=== miss | a pandas option
import pandas as pd
pd.set_option("display.precision", «2→3»)
df = pd.DataFrame({"x": [1 / 3]})
with cached_block("w"):
    r = df.to_string()
=== miss | a pandas option around the block
import pandas as pd
df = pd.DataFrame({"x": range(20)})
with pd.option_context("display.max_rows", «4→6»):
    with cached_block("w"):
        r = repr(df)
print(r)
=== miss | warnings turned into errors
import warnings
warnings.simplefilter("«ignore→error»")
with cached_block("w"):
    try:
        warnings.warn("x")
        r = "went on"
    except UserWarning:
        r = "raised"
=== miss | a csv dialect registered before the block
import csv
csv.register_dialect("mine", delimiter="«,→;»")
with cached_block("w"):
    r = next(csv.reader(["a,b;c"], "mine"))
=== miss | the first day of the week in calendar
import calendar
calendar.setfirstweekday(«0→6»)
with cached_block("w"):
    r = calendar.monthcalendar(2024, 1)[0]
=== miss | a codec error handler registered by an import
import handlers
with cached_block("w"):
    r = "ä".encode("ascii", "mine")
--- handlers.py
import codecs
codecs.register_error("mine", lambda e: ("«?→!»", e.end))
=== miss | a sqlite converter registered before the block
import sqlite3
sqlite3.register_adapter(complex, lambda c: c.«real→imag»)
with cached_block("w"):
    con = sqlite3.connect(":memory:")
    r = con.execute("select ?", (1 + 2j,)).fetchone()[0]
    con.close()
    del con
=== miss | mimetypes.add_type by a local module
import h
import mimetypes
with cached_block("w"):
    r = mimetypes.guess_type("x.mine")[0]
--- h.py
import mimetypes
mimetypes.add_type("«text→image»/mine", ".mine")
=== miss | a monkeypatched function of the standard library
import statistics
statistics.mean = lambda xs: «1→2»
with cached_block("w"):
    r = statistics.mean([3])
=== miss | a monkeypatched function of numpy, by a helper module | np.median
import numpy as np
import patch
with cached_block("w"):
    r = np.median([1, 2, 3])
--- patch.py
import numpy as np
np.median = lambda xs: «1→2»
=== miss | a monkeypatched method of a pandas class
import pandas as pd
pd.DataFrame.score = lambda self: «1→2»
df = pd.DataFrame({"x": [1]})
with cached_block("w"):
    r = df.score()
=== miss | a replaced method of a library that another of its functions calls
import textwrap
textwrap.TextWrapper.wrap = lambda self, text: ["«1→2»"]
with cached_block("w"):
    r = textwrap.fill("a b")
=== miss | sys.modules: a stand-in for a library
import sys, types
fake = types.ModuleType("colorsys")
fake.rgb_to_hsv = lambda *a: «1→2»
sys.modules["colorsys"] = fake
with cached_block("w"):
    import colorsys
    r = colorsys.rgb_to_hsv(1, 0, 0)
=== miss | a recursion limit decides
import sys
sys.setrecursionlimit(«500→5000»)
from h import depth
with cached_block("w"):
    r = depth(1000)
--- h.py
def depth(n):
    try:
        return 0 if n == 0 else 1 + depth(n - 1)
    except RecursionError:
        return -10**6
=== miss | matplotlib's rcParams
import matplotlib
matplotlib.use("agg")
matplotlib.rcParams["lines.linewidth"] = «1→2»
with cached_block("w"):
    from matplotlib.figure import Figure
    r = Figure().subplots().plot([1])[0].get_linewidth()
=== runs | a figure drawn upstream
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot([1, «2→3»])
with cached_block("w"):
    r = ax.lines[0].get_ydata().tolist()
=== miss | rows put into a memory database upstream
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
con.execute("insert into t values (?)", («1→2»,))
with cached_block("w"):
    r = con.execute("select n from t").fetchall()
=== miss | rows put in through an alias of the connection
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
other = [con]
other[0].execute("insert into t values («1→2»)")
with cached_block("w"):
    r = con.execute("select n from t").fetchall()
=== miss | rows put in by a helper that gets the connection
import sqlite3
from h import fill
con = sqlite3.connect(":memory:")
fill(con)
with cached_block("w"):
    r = con.execute("select n from t").fetchall()
--- h.py
def fill(con):
    con.execute("create table t(n)")
    for n in range(«2→3»):
        con.execute("insert into t values (?)", (n,))
=== miss | a connection kept in a module, filled by its function
import db
db.add(«1→2»)
with cached_block("w"):
    r = db.all_rows()
--- db.py
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
def add(n):
    con.execute("insert into t values (?)", (n,))
def all_rows():
    return con.execute("select n from t").fetchall()
=== runs | a connection that comes as a parameter
import sqlite3
def total(con):
    with cached_block("w"):
        r = con.execute("select sum(n) from t").fetchone()[0]
    return r
def main(n):
    con = sqlite3.connect(":memory:")
    con.execute("create table t(n)")
    con.execute("insert into t values (?)", (n,))
    return total(con)
print(main(«1→2»))
=== runs | a generator made upstream
from h import numbers
g = numbers()
with cached_block("w"):
    r = sum(g)
--- h.py
def numbers():
    yield 1
    yield «2→3»
=== runs | an iterator moved on before the block
it = iter([1, 2, 3, 4])
for _ in range(«1→2»):
    next(it)
with cached_block("w"):
    r = next(it)
=== runs | zip of two lists, moved on
pairs = zip([1, 2, 3], "abc")
«pass→next(pairs)»
with cached_block("w"):
    r = list(pairs)
=== runs | a queue filled upstream
import queue
q = queue.Queue()
q.put(«1→2»)
with cached_block("w"):
    r = q.queue[0]
=== runs | a lock that is taken or not
import threading
lock = threading.Lock()
«pass→lock.acquire()»
with cached_block("w"):
    r = lock.locked()
=== runs | a subprocess started upstream
import subprocess
p = subprocess.Popen(["echo", "«one→two»"], stdout=subprocess.PIPE)
with cached_block("w"):
    r = p.communicate()[0]
=== runs | a pipe with bytes in it
import os
a, b = os.pipe()
os.write(b, b"«one→two»")
with cached_block("w"):
    r = os.read(a, 3)
=== runs | an lxml-like tree: ElementTree node whose child is changed
import xml.etree.ElementTree as ET
root = ET.fromstring("<a><b>x</b></a>")
root[0].text = "«y→z»"
with cached_block("w"):
    r = ET.tostring(root)
=== miss | __subclasshook__ of a class that is no ABC's child but has its metaclass
from abc import ABCMeta
class Sized(metaclass=ABCMeta):
    @classmethod
    def __subclasshook__(cls, other):
        return «True→False»
with cached_block("w"):
    r = issubclass(int, Sized)
=== miss | an abstract method loses its mark
from h import A
with cached_block("w"):
    try:
        A()
        r = "made"
    except TypeError:
        r = "abstract"
--- h.py
from abc import ABC, abstractmethod
class A(ABC):
    «@abstractmethod
    →»def f(self):
        return 1
=== miss | __hash__ written beside a dataclass's own members
from h import P
with cached_block("w"):
    r = hash(P(1))
--- h.py
from dataclasses import dataclass
@dataclass
class P:
    x: int
    def __hash__(self):
        return self.x + «1→2»
=== miss | __eq__ written in a dataclass
from h import P
with cached_block("w"):
    r = P(1) == P(2)
--- h.py
from dataclasses import dataclass
@dataclass
class P:
    x: int
    def __eq__(self, other):
        return «False→True»
=== miss | __init__ written in a dataclass
from h import P
with cached_block("w"):
    p = P(1)
    r = p.x
    del p
--- h.py
from dataclasses import dataclass
@dataclass(init=False)
class P:
    x: int
    def __init__(self, x):
        self.x = x + «1→2»
=== miss | __match_args__ written in a dataclass
from h import P
with cached_block("w"):
    match P(1, 2):
        case P(a):
            r = a
    del a
--- h.py
from dataclasses import dataclass
@dataclass
class P:
    x: int
    y: int
    __match_args__ = ("«x→y»",)
=== miss | frozen=True of a dataclass
from h import P
with cached_block("w"):
    p = P(1)
    try:
        p.x = 2
    except AttributeError:
        pass
    r = p.x
    del p
--- h.py
from dataclasses import dataclass
@dataclass(frozen=«False→True»)
class P:
    x: int
=== miss | kw_only and order of a dataclass
from h import P
with cached_block("w"):
    try:
        r = P(1) < P(2)
    except TypeError:
        r = "no order"
--- h.py
from dataclasses import dataclass
@dataclass(order=«True→False»)
class P:
    x: int
=== miss | ClassVar takes a field out
import dataclasses
from h import P
with cached_block("w"):
    r = [f.name for f in dataclasses.fields(P)]
--- h.py
from dataclasses import dataclass
from typing import ClassVar
@dataclass
class P:
    x: int = 1
    y: «int→ClassVar[int]» = 2
=== miss | make_dataclass with a default
from h import P
with cached_block("w"):
    p = P()
    r = p.x
    del p
--- h.py
from dataclasses import make_dataclass
P = make_dataclass("P", [("x", int, «1→2»)])
=== miss | __repr__ and a method of a NamedTuple
from h import N
with cached_block("w"):
    r = (str(N(1)), N(1).double())
--- h.py
from typing import NamedTuple
class N(NamedTuple):
    x: int
    def __repr__(self):
        return "N"
    def double(self):
        return self.x * «2→3»
=== miss | __new__ of a namedtuple's child
from h import N
with cached_block("w"):
    r = tuple(N(1))
--- h.py
from collections import namedtuple
class N(namedtuple("N", "x y")):
    def __new__(cls, x):
        return super().__new__(cls, x, «1→2»)
=== miss | field names of a namedtuple
from h import N
with cached_block("w"):
    r = N(1, 2)._asdict()
--- h.py
from collections import namedtuple
N = namedtuple("N", "x «y→z»")
=== miss | __str__ of an enum in an f-string
from h import E
with cached_block("w"):
    r = f"{E.A} {E.A:>5}"
--- h.py
from enum import Enum
class E(Enum):
    A = 1
    def __str__(self):
        return "«a→b»"
=== miss | _generate_next_value_ of an enum
from h import E
with cached_block("w"):
    r = E.A.value
--- h.py
from enum import Enum, auto
class Base(Enum):
    @staticmethod
    def _generate_next_value_(name, start, count, last):
        return name.«lower→upper»()
class E(Base):
    A = auto()
=== miss | __new__ of an enum adds an attribute
from h import E
with cached_block("w"):
    r = E.A.label
--- h.py
from enum import Enum
class E(Enum):
    A = (1, "«a→b»")
    def __new__(cls, value, label):
        self = object.__new__(cls)
        self._value_ = value
        self.label = label
        return self
=== miss | functional enum
from h import E
with cached_block("w"):
    r = [e.name for e in E]
--- h.py
from enum import Enum
E = Enum("E", "A B«→ C»")
=== miss | an alias in an enum
from h import E
with cached_block("w"):
    r = (E.B.name, len(E))
--- h.py
from enum import Enum
class E(Enum):
    A = 1
    B = «1→2»
=== runs | a default method of a Protocol that is inherited
from h import P
class A(P):
    pass
with cached_block("w"):
    r = A().go()
--- h.py
from typing import Protocol
class P(Protocol):
    def go(self):
        return «1→2»
=== miss | __class_getitem__ over Generic's
from h import Box
with cached_block("w"):
    r = str(Box[int])
--- h.py
from typing import Generic, TypeVar
T = TypeVar("T")
class Box(Generic[T]):
    def __class_getitem__(cls, item):
        return f"«a→b» {item}"
=== miss | bound of a TypeVar read at run time
from h import T
with cached_block("w"):
    r = T.__bound__
--- h.py
from typing import TypeVar
T = TypeVar("T", bound=«int→float»)
=== miss | a NewType's name and a type alias of a union
from h import UserId, Number
with cached_block("w"):
    r = (UserId.__name__, str(Number))
--- h.py
from typing import NewType, Union
UserId = NewType("UserId", int)
Number = Union[int, «float→complex»]
=== miss | members of attrs classes
from h import P
with cached_block("w"):
    p = P(2)
    r = (p.x, p.y)
    del p
--- h.py
import attrs
@attrs.define
class P:
    x: int = attrs.field(converter=lambda v: v * «2→3»)
    y: int = 5
=== miss | __wrapped__ that lies
from h import f
with cached_block("w"):
    r = f()
--- h.py
def g():
    return 0
def f():
    return «1→2»
f.__wrapped__ = g
=== miss | a function with other globals
import types, h
f = types.FunctionType(h.f.__code__, {"k": «1→2»})
with cached_block("w"):
    r = f()
--- h.py
k = 0
def f():
    return k
=== miss | code made by replace()
from h import f
f.__code__ = f.__code__.replace(co_consts=tuple(«1→2» if c == 1 else c for c in f.__code__.co_consts))
with cached_block("w"):
    r = f(0)
--- h.py
def f(x):
    y = 1
    return x + y
=== miss | np.vectorize and np.frompyfunc of a helper
import numpy as np
from h import f
g = np.vectorize(f)
with cached_block("w"):
    r = g([1, 2]).tolist()
--- h.py
def f(x):
    return x * «2→3»
=== miss | operator.itemgetter upstream
from operator import itemgetter
get = itemgetter(«0→1»)
with cached_block("w"):
    r = get([5, 6])
=== miss | a callback for re.sub, a hook for json and a key for groupby
import itertools, json, re
from h import sub, hook, key
with cached_block("w"):
    r = (re.sub("a", sub, "bab"), json.loads("{}", object_hook=hook), [k for k, _ in itertools.groupby("aAb", key)])
--- h.py
def sub(match):
    return "«x→y»"
def hook(d):
    return 1
def key(c):
    return c.upper()
=== miss | a table for str.translate in a module
from h import TABLE
with cached_block("w"):
    r = "abc".translate(TABLE)
--- h.py
TABLE = str.maketrans("ab", "«xy→yx»")
=== miss | a string.Template subclass
from h import T
with cached_block("w"):
    r = T("%a $a").substitute(a=1)
--- h.py
import string
class T(string.Template):
    delimiter = "«%→$»"
    idpattern = "a"
    def substitute(self, **kw):
        return self.safe_substitute(**kw)
=== miss | groupby.agg with a local function and a lambda of a module
import pandas as pd
from h import spread, TABLE
df = pd.DataFrame({"k": [1, 1, 2], "x": [1, 4, 9]})
with cached_block("w"):
    r = df.groupby("k")["x"].agg([spread, TABLE["top"]]).to_numpy().tolist()
--- h.py
def spread(s):
    return s.max() - s.min()
TABLE = {"top": lambda s: s.max() «+→-» 1}
=== miss | a function inside a fitted pipeline
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from h import shift
p = make_pipeline(FunctionTransformer(shift))
x = np.array([[1.0], [2.0]])
with cached_block("w"):
    r = p.transform(x).tolist()
--- h.py
def shift(x):
    return x + «1→2»
=== miss | an estimator of one's own behind cross_val_score
import numpy as np
from sklearn.model_selection import cross_val_score
from h import Mean
x = np.arange(12.0).reshape(6, 2)
y = np.arange(6.0)
with cached_block("w"):
    r = cross_val_score(Mean(), x, y, cv=2, scoring="neg_mean_absolute_error").tolist()
--- h.py
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
class Mean(RegressorMixin, BaseEstimator):
    def fit(self, x, y):
        self.m_ = y.mean() + «0→1»
        return self
    def predict(self, x):
        return np.full(len(x), self.m_)
=== miss | setattr on a module
import h
setattr(h, "k", «1→2»)
with cached_block("w"):
    r = h.f()
--- h.py
k = 0
def f():
    return k
=== miss | vars(module).update
import h
vars(h).update(k=«1→2»)
with cached_block("w"):
    r = h.f()
--- h.py
k = 0
def f():
    return k
=== miss | a module's name deleted, so that its __getattr__ answers
import h
«pass→del h.k»
with cached_block("w"):
    r = h.k
--- h.py
k = 0
def __getattr__(name):
    return "fallback"
=== miss | a nested dict of a module changed from another module
import h, other
with cached_block("w"):
    r = h.f()
--- h.py
CONFIG = {"a": {"b": 1}}
def f():
    return CONFIG["a"]["b"]
--- other.py
from h import CONFIG
CONFIG["a"]["b"] = «1→2»
=== miss | an attribute of a module's singleton
from h import settings, f
settings.level = «1→2»
with cached_block("w"):
    r = f()
--- h.py
class Settings:
    level = 0
settings = Settings()
def f():
    return settings.level
=== miss | a counter kept in a function's attribute
from h import f
for _ in range(«1→2»):
    f()
with cached_block("w"):
    r = f.calls
--- h.py
def f():
    f.calls = getattr(f, "calls", 0) + 1
=== miss | a list in a closure, filled before the block
from h import make
add, total = make()
add(«1→2»)
with cached_block("w"):
    r = total()
--- h.py
def make():
    seen = []
    return seen.append, lambda: sum(seen)
=== miss | globals()[...] and setattr(sys.modules) at a module's top level
import h
with cached_block("w"):
    r = (h.f(), h.j)
--- h.py
import sys
globals()["k"] = «1→2»
setattr(sys.modules[__name__], "j", 5)
def f():
    return k
=== miss | a name left by a loop at a module's top level
import h
with cached_block("w"):
    r = h.f()
--- h.py
for k in range(«3→4»):
    pass
def f():
    return k
=== hit | functions in both branches of an if: the other one
import h
with cached_block("w"):
    r = h.f()
--- h.py
FAST = True
if FAST:
    def f():
        return 1
else:
    def f():
        return «2→3»
=== miss | a function defined twice: the second
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 1
def f():
    return «2→3»
=== hit | a function defined twice: the first
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return «1→5»
def f():
    return 2
=== miss | two lambdas in a line: the used one
from h import g
with cached_block("w"):
    r = g()
--- h.py
f, g = (lambda: 1), (lambda: «2→3»)
=== hit | two lambdas in a line: the other one
from h import f
with cached_block("w"):
    r = f()
--- h.py
f, g = (lambda: 1), (lambda: «2→3»)
=== miss | a lambda chosen by a constant on its line
from h import f
with cached_block("w"):
    r = f()
--- h.py
X = «True→False»
f = (lambda: 1) if X else (lambda: 2)
=== miss | two lambdas in a line that swap
from h import f
with cached_block("w"):
    r = f()
--- h.py
f, g = «(lambda: 1), (lambda: 2)→(lambda: 2), (lambda: 1)»
=== miss | inner functions of one name: the maker
from h import make_«a→b»
f = make_«a→b»()
with cached_block("w"):
    r = f()
--- h.py
def make_a():
    def inner():
        return 1
    return inner
def make_b():
    def inner():
        return 2
    return inner
=== miss | a nested class
from h import A
with cached_block("w"):
    r = A.Inner().go()
--- h.py
class A:
    class Inner:
        def go(self):
            return «1→2»
=== miss | a bytes literal becomes text
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return «b"a"→"a"»
=== miss | !r becomes !s, and a format spec
from h import f
with cached_block("w"):
    r = f("x", 1.5)
--- h.py
def f(a, b):
    return f"{a!«r→s»} {b:.1f}"
=== miss | an expression that prints itself by =
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
def f(x):
    return f"{x«→ »=}"
=== miss | order of keyword arguments
from h import f
with cached_block("w"):
    r = list(f(«a=1, b=2→b=2, a=1»))
--- h.py
def f(**kw):
    return kw
=== miss | order of a dict display in a helper
from h import f
with cached_block("w"):
    r = list(f())
--- h.py
def f():
    return {«"a": 1, "b": 2→"b": 2, "a": 1»}
=== hit | a tuple as index with and without brackets
from h import A
with cached_block("w"):
    r = A()[«1, 2→(1, 2)»]
--- h.py
class A:
    def __getitem__(self, key):
        return key
=== miss | a slice with a step of None or 1
from h import A
with cached_block("w"):
    r = str(A()[1:2«→:1»])
--- h.py
class A:
    def __getitem__(self, key):
        return key
=== miss | += becomes = ... + in a helper with an alias
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    a = b = [1]
    «a += [2]→a = a + [2]»
    return b
=== miss | order of two context managers
from h import f
with cached_block("w"):
    r = f()
--- h.py
import contextlib
seen = []
@contextlib.contextmanager
def note(log, n):
    log.append(n)
    yield
def f():
    log = []
    with «note(log, 1), note(log, 2)→note(log, 2), note(log, 1)»:
        return log
=== miss | order of except clauses
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    try:
        raise KeyError
    except «KeyError:
        return 1
    except LookupError:
        return 2→LookupError:
        return 2
    except KeyError:
        return 1»
=== miss | yield becomes yield from
from h import f
with cached_block("w"):
    r = list(f())
--- h.py
def f():
    yield «→from »[1, 2]
=== miss | a string statement is no docstring where it is the value
from h import A
with cached_block("w"):
    r = A.__doc__
--- h.py
class A:
    «"one"→__doc__ = "two"»
=== miss | docstring of a function that returns nothing else, by __doc__
from h import f
with cached_block("w"):
    r = f.__doc__
--- h.py
def f():
    "«one→two»"
=== miss | a lambda takes a tuple or its parts
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
f = lambda «*→»a: a
=== miss | the walrus binds outside of a comprehension
from h import f
with cached_block("w"):
    r = f([1, 2, 3])
--- h.py
def f(xs):
    last = 0
    [(last «:=→==» x) for x in xs]
    return last
=== miss | a global statement taken away
import h
h.setup()
with cached_block("w"):
    r = h.k
--- h.py
k = 0
def setup():
    «global k→pass»
    k = 5
=== miss | chained assignment with an index that depends on it
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    x = [0, 0]
    «i = x[i] = 1→x[0] = i = 1»
    return x
=== miss | del of an item becomes del of a slice
from h import f
with cached_block("w"):
    r = f([1, 2, 3])
--- h.py
def f(x):
    del x[1«→:»]
    return x
=== miss | starred items in a display
from h import f
with cached_block("w"):
    r = f([1, 2])
--- h.py
def f(x):
    return [0, «→*»x]
=== miss | a star pattern in a match
from h import f
with cached_block("w"):
    r = f([1, 2, 3])
--- h.py
def f(x):
    match x:
        case [a, «*→»b]:
            return (a, b)
        case _:
            return "no"
=== miss | or-patterns and an as-pattern
from h import f
with cached_block("w"):
    r = f(2)
--- h.py
def f(x):
    match x:
        case (1 «→| 2») as y:
            return y
        case _:
            return "no"
=== miss | async with and async for in a helper: the iterator's class
import asyncio
from h import f
with cached_block("w"):
    r = asyncio.run(f())
--- h.py
class Steps:
    def __init__(self):
        self.n = 0
    def __aiter__(self):
        return self
    async def __anext__(self):
        self.n += 1
        if self.n > «2→3»:
            raise StopAsyncIteration
        return self.n
async def f():
    return [n async for n in Steps()]
=== miss | annotations as strings or objects, where a decorator reads them
from h import f
with cached_block("w"):
    r = f.kinds
--- h.py
«→from __future__ import annotations
»def keep(f):
    f.kinds = str(f.__annotations__)
    return f
@keep
def f(x: int):
    return x
=== miss | an encoding cookie changes the text
from h import f
with cached_block("w"):
    r = len(f())
--- h.py
# -*- coding: «utf-8→latin-1» -*-
def f():
    return "ä"
=== miss | __builtins__ of a module replaced
import h
h.__builtins__ = dict(vars(__import__("builtins")), len=lambda x: «1→2»)
exec("def f(x): return len(x)", vars(h))
with cached_block("w"):
    r = h.f("abc")
--- h.py
k = 1
=== miss | an import hook of the project
import hook
import made
with cached_block("w"):
    r = made.f()
--- hook.py
import importlib.abc, importlib.util, sys
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name == "made":
            return importlib.util.spec_from_loader(name, self)
    def exec_module(self, module):
        exec("def f():\n    return «1→2»", vars(module))
sys.meta_path.insert(0, Finder())
=== miss | a module loaded from a path by spec_from_file_location
import importlib.util
spec = importlib.util.spec_from_file_location("plug", "folder/plug.py")
plug = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plug)
with cached_block("w"):
    r = plug.f()
--- folder/plug.py
def f():
    return «1→2»
=== miss | two modules of one name, loaded one after the other
import sys
sys.path.insert(0, "a")
import thing
first = thing
del sys.modules["thing"]
sys.path.insert(0, "b")
import thing
with cached_block("w"):
    r = (first.f(), thing.f())
--- a/thing.py
def f():
    return «1→2»
--- b/thing.py
def f():
    return 5
=== miss | importlib.reload with a changed switch
import importlib, os
import h
os.environ["SWITCH"] = "«1→2»"
importlib.reload(h)
with cached_block("w"):
    r = h.f()
--- h.py
import os
K = os.environ.get("SWITCH", "0")
def f():
    return K
=== miss | a zipped package on sys.path
import sys
sys.path.insert(0, "z.zip")
from zpkg.mod import f
with cached_block("w"):
    r = f()
--- z.zip!zpkg/__init__.py
--- z.zip!zpkg/mod.py
def f():
    return «1→2»
=== miss | an editable install: a .pth file names a folder
import site
site.addsitedir("site")
from lib import f
with cached_block("w"):
    r = f()
--- prepare.py
import os
os.makedirs("site", exist_ok=True)
open("site/x.pth", "w").write(os.path.abspath("src") + "\n")
--- src/lib/__init__.py
from .core import f
--- src/lib/core.py
def f():
    return «1→2»
=== miss | a bound method of a builtin value
up = "«a→b»".upper
with cached_block("w"):
    r = up()
=== miss | the get of a dict, taken beforehand
get = {"k": «1→2»}.get
with cached_block("w"):
    r = get("k")
=== miss | the match of a compiled pattern, taken beforehand
import re
match = re.compile("«a→b»").match
with cached_block("w"):
    r = bool(match("a"))
=== miss | __getnewargs__ of a tuple subclass drops an attribute
from h import T
t = T((1, 2))
t.note = «1→2»
with cached_block("w"):
    r = t.note
--- h.py
class T(tuple):
    def __reduce__(self):
        return T, (tuple(self),)
=== miss | attributes of int, str, list and dict subclasses
from h import I, S, L, D
i, s, l, d = I(1), S("a"), L([1]), D(a=1)
for x in (i, s, l, d):
    x.note = 0
«i→d».note = 5
with cached_block("w"):
    r = [x.note for x in (i, s, l, d)]
--- h.py
class I(int): pass
class S(str): pass
class L(list): pass
class D(dict): pass
=== miss | slots beside a dict of attributes
from h import B
b = B()
b.x = «1→2»
b.y = 1
with cached_block("w"):
    r = b.x + b.y
--- h.py
class A:
    __slots__ = ("x",)
class B(A):
    pass
=== miss | private slots
from h import A
a = A(«1→2»)
with cached_block("w"):
    r = a.get()
--- h.py
class A:
    __slots__ = ("__k",)
    def __init__(self, k):
        self.__k = k
    def get(self):
        return self.__k
=== miss | notes and cause of an exception
e = ValueError("x")
e.add_note("«a→b»")
e.__cause__ = KeyError(1)
with cached_block("w"):
    r = (e.__notes__, repr(e.__cause__))
=== miss | cause of an exception
e = ValueError("x")
e.__cause__ = KeyError(«1→2»)
with cached_block("w"):
    r = repr(e.__cause__)
=== miss | default of a json encoder's instance
import json
from h import f
encoder = json.JSONEncoder(default=f)
with cached_block("w"):
    r = encoder.encode([1j])
--- h.py
def f(o):
    return «1→2»
=== miss | parse_float of a json decoder's instance
import json
from h import f
decoder = json.JSONDecoder(parse_float=f)
with cached_block("w"):
    r = decoder.decode("[1.5]")
--- h.py
def f(text):
    return text + "«a→b»"
=== miss | format of a struct
import struct
s = struct.Struct("«<i→>i»")
with cached_block("w"):
    r = s.pack(1)
=== runs | a decimal context as a value
import decimal
c = decimal.Context(prec=«3→4»)
with cached_block("w"):
    r = str(c.divide(1, 3))
=== miss | position in a BytesIO
import io
b = io.BytesIO(b"abc")
b.seek(«0→1»)
with cached_block("w"):
    r = b.getvalue()[b.tell():]
=== miss | text in a StringIO
import io
b = io.StringIO("«a→b»")
with cached_block("w"):
    r = b.getvalue()
=== runs | an Event that is set or not
import threading
e = threading.Event()
«pass→e.set()»
with cached_block("w"):
    r = e.is_set()
=== runs | value of a semaphore
import threading
s = threading.Semaphore(«1→2»)
with cached_block("w"):
    r = s._value
=== runs | fields of a ctypes structure
import ctypes
from h import S
s = S(«1→2», 3)
with cached_block("w"):
    r = s.x + s.y
--- h.py
import ctypes
class S(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_int)]
=== runs | order of fields of a ctypes structure
import ctypes
from h import S
with cached_block("w"):
    r = bytes(S(x=1, y=2))
--- h.py
import ctypes
class S(ctypes.Structure):
    _fields_ = [("«x→y»", ctypes.c_int), ("«y→x»", ctypes.c_int)]
=== miss | a memoryview's format
m = memoryview(bytes(8)).cast("«i→h»")
with cached_block("w"):
    r = len(m)
=== miss | keys view of a dict
d = {"a": 1}
keys = d.keys()
d["«b→c»"] = 2
with cached_block("w"):
    r = sorted(keys)
=== miss | order of an OrderedDict
from collections import OrderedDict
d = OrderedDict(a=1, b=2)
d.move_to_end("«b→a»")
with cached_block("w"):
    r = list(d)
=== miss | -0.0 in an array, and in a frame
import numpy as np
a = np.array([«0.0→-0.0»])
with cached_block("w"):
    r = str(np.signbit(a))
=== miss | byte order of an array
import numpy as np
a = np.array([1], dtype="«<→>»i4")
with cached_block("w"):
    r = a.tobytes()
=== miss | a numpy scalar in place of a number
import numpy as np
x = «1→np.int64(1)»
with cached_block("w"):
    r = type(x).__name__
=== miss | np.matrix in place of an array
import numpy as np
a = np.«array→asmatrix»([[1, 2], [3, 4]])
with cached_block("w"):
    r = (a * a).tolist()
=== miss | functions in an object array
import numpy as np
from h import f, g
a = np.array([«f→g»], dtype=object)
with cached_block("w"):
    r = a[0]()
--- h.py
def f():
    return 1
def g():
    return 2
=== miss | code of a function in an object array
import numpy as np
from h import f
a = np.array([f, None], dtype=object)
with cached_block("w"):
    r = a[0]()
--- h.py
def f():
    return «1→2»
=== miss | code of a method of objects in a frame's column
import pandas as pd
from h import P
df = pd.DataFrame({"p": [P(), P()]})
with cached_block("w"):
    r = [p.go() for p in df["p"]]
--- h.py
class P:
    def go(self):
        return «1→2»
=== miss | a frequency of an index
import pandas as pd
i = pd.date_range("2024-01-01", periods=3)
«pass→i.freq = None»
with cached_block("w"):
    r = str(i.freq)
=== miss | ordered categories
import pandas as pd
s = pd.Series(pd.Categorical(["a", "b"], ordered=«True→False»))
with cached_block("w"):
    r = s.cat.ordered
=== miss | flags of a frame
import pandas as pd
df = pd.DataFrame({"x": [1]}).set_flags(allows_duplicate_labels=«True→False»)
with cached_block("w"):
    r = df.flags.allows_duplicate_labels
=== miss | unit of timestamps
import pandas as pd
s = pd.Series(pd.to_datetime(["2024-01-01"])).dt.as_unit("«s→ms»")
with cached_block("w"):
    r = str(s.dtype)
=== miss | metadata of an Arrow schema
import pyarrow as pa
t = pa.table({"x": [1]}).replace_schema_metadata({"unit": "«cm→mm»"})
with cached_block("w"):
    r = t.schema.metadata
=== miss | name of a polars series
import polars as pl
s = pl.Series("«a→b»", [1])
with cached_block("w"):
    r = s.name
=== miss | a library's function as a value
import numpy as np
f = np.«mean→median»
with cached_block("w"):
    r = float(f([1, 2, 6]))
=== miss | a library's class as a value
from collections import OrderedDict, Counter
C = «OrderedDict→Counter»
with cached_block("w"):
    r = C.__name__
=== miss | a builtin as a value
f = «max→min»
with cached_block("w"):
    r = f([1, 2])
=== miss | a local function hidden in a library's object
import logging
from h import Upper
handler = logging.Formatter
f = Upper("%(message)s")
with cached_block("w"):
    r = f.format(logging.makeLogRecord({"msg": "a"}))
--- h.py
import logging
class Upper(logging.Formatter):
    def format(self, record):
        return super().format(record) + "«a→b»"
=== miss | a cycle of objects with a difference far in
from h import Node
a, b = Node(), Node()
a.next, b.next = b, a
b.value = «1→2»
a.value = 0
with cached_block("w"):
    r = a.next.next.next.value
--- h.py
class Node:
    pass
=== miss | a deep list
x = «1→2»
for _ in range(3000):
    x = [x]
with cached_block("w"):
    y = x
    while isinstance(y, list):
        y = y[0]
    r = y
=== miss | keys of other types that are equal
d = {«1→True»: "a"}
with cached_block("w"):
    r = repr(d)
=== miss | a set of functions
from h import f, g
s = {f«→, g»}
with cached_block("w"):
    r = sorted(x() for x in s)
--- h.py
def f():
    return 1
def g():
    return 2
=== miss | functions as keys of a dict, code of one
from h import f
table = {f: 1}
with cached_block("w"):
    r = [k() for k in table]
--- h.py
def f():
    return «1→2»
=== miss | classes as keys, a method of one
from h import A
table = {A: "x"}
with cached_block("w"):
    r = [k().go() for k in table]
--- h.py
class A:
    def go(self):
        return «1→2»
=== miss | a module in a dict
import h
table = {"m": h}
with cached_block("w"):
    r = table["m"].f()
--- h.py
def f():
    return «1→2»
=== miss | a module in an attribute, two modules behind it
from types import SimpleNamespace
import h
ns = SimpleNamespace(m=h)
with cached_block("w"):
    r = ns.m.d.f()
--- h.py
import d
--- d.py
def f():
    return «1→2»
=== miss | a class of an upstream object, whose method's helper changes | d.g
from h import A
things = [{"a": (A(),)}]
with cached_block("w"):
    r = things[0]["a"][0].go()
--- h.py
import d
class A:
    def go(self):
        return d.g()
--- d.py
def g():
    return «1→2»
=== miss | a parameter by annotation only names the class
from h import A, f
a = A()
with cached_block("w"):
    r = f(a)
--- h.py
class A:
    def go(self):
        return «1→2»
def f(a: "A"):
    return a.go()
=== hit | a comment in a helper four modules away
from a import f
with cached_block("w"):
    r = f()
--- a.py
from b import f
--- b.py
from c import g
def f():
    return g()
--- c.py
from d import h
def g():
    return h()
--- d.py
def h():
    «→# why
    »return 1
=== hit | a docstring of a class whose method is used
from h import A
with cached_block("w"):
    r = A().go()
--- h.py
class A:
    """«One→Two»."""
    def go(self):
        """«One→Two»."""
        return 1
=== hit | an unrelated function next to a used one
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 1
def other():
    return «1→2»
=== hit | an unrelated function in a module used by attribute
import h
with cached_block("w"):
    r = h.f()
--- h.py
def f():
    return 1
def other():
    return «1→2»
=== hit | an unrelated constant and class in a helper's module
from h import f
with cached_block("w"):
    r = f()
--- h.py
K = 1
OTHER = «1→2»
def f():
    return K
class Unused:
    x = «1→2»
=== hit | an unrelated submodule of a package that is used
from pkg import f
with cached_block("w"):
    r = f()
--- pkg/__init__.py
from .a import f
from .b import g
--- pkg/a.py
def f():
    return 1
--- pkg/b.py
def g():
    return «1→2»
=== hit | a re-export that joins __init__
from pkg import f
with cached_block("w"):
    r = f()
--- pkg/__init__.py
from .a import f
«→from .a import g
»
--- pkg/a.py
def f():
    return 1
def g():
    return 2
=== hit | quotes, parentheses, number formats and a trailing comma
from h import f
with cached_block("w"):
    r = f(«1000, 2→1_000, 2,»)
--- h.py
def f(a, b):
    return [«'x', 255, 1e3→"x", 0xFF, (1000.0),»]
=== hit | two literals written as one
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return («"ab" "cd"→"abcd"»)
=== hit | a raw string of the same text
with cached_block("w"):
    r = «"a\\d"→r"a\d"»
=== hit | a line continuation and semicolons
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    «x = 1 + 2; return x→x = 1 \
        + 2
    return x»
=== hit | code after the block
with cached_block("w"):
    r = 1
unused = [«1→2»]
=== hit | a print before the block, to standard error
import sys
print("«start→begin»", file=sys.stderr)
with cached_block("w"):
    r = 1
=== hit | upstream code that gives the same value
x = «2 + 2→sum([1, 3])»
with cached_block("w"):
    r = x
=== hit | an upstream helper that gives the same value
from h import load
x = load()
with cached_block("w"):
    r = x * 2
--- h.py
def load():
    return «4→2 * 2»
=== hit | an environment variable read upstream to the same number
import os
n = len(os.environ["NAME"])
with cached_block("w"):
    r = n
--- env
NAME=«abc→xyz»
=== hit | order of a set literal upstream
s = {«1, 2, 3→3, 2, 1»}
with cached_block("w"):
    r = sorted(s)
=== hit | annotation of a helper's argument
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
def f(x«→: int»)«→ -> int»:
    return x
=== hit | an import under TYPE_CHECKING
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from «a→b» import T
def f(x: "T"):
    return x
--- a.py
T = int
--- b.py
T = str
=== hit | __all__ grows, and the name is imported by itself
from h import f
with cached_block("w"):
    r = f()
--- h.py
__all__ = ["f"«→, "g"»]
def f():
    return 1
def g():
    return 2
=== hit | code under __main__ in a helper module
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 1
if __name__ == "__main__":
    print(«1→2»)
=== hit | docstring of a module
from h import f
with cached_block("w"):
    r = f()
--- h.py
"""«One→Two»."""
def f():
    return 1
=== hit | a new module beside the others
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 1
--- new.py
«<absent>→x = 1
»
=== hit | an import joins the top of main
import os
«→import json
»with cached_block("w"):
    r = 1
=== hit | an import joins a helper's module
from h import f
with cached_block("w"):
    r = f()
--- h.py
import os
«→import json
»def f():
    return os.sep
=== hit | a data file that is not read
with cached_block("w"):
    r = open("a.txt").read()
--- a.txt
one
--- b.txt
«one→two»
=== hit | a data file written again with the same text
with cached_block("w"):
    r = open("a.txt").read()
--- prepare.py
# «1→2»
import os, time
open("new", "w").write("one")
os.replace("new", "a.txt")
=== hit | a data file touched
import pandas as pd
with cached_block("w"):
    r = pd.read_csv("a.csv")["n"].tolist()
--- a.csv
n
1
--- prepare.py
import os
os.utime("a.csv", («1600000000→1700000000», 1600000000))
=== hit | a file joins a folder, and the pattern does not take it
import glob
with cached_block("w"):
    r = sorted(glob.glob("data/*.txt"))
--- data/a.txt
--- data/b.csv
«<absent>→»
=== hit | an environment variable that is not read
import os
with cached_block("w"):
    r = os.environ.get("LEVEL")
--- env
LEVEL=1
OTHER=«1→2»
=== hit | an argument that is not read
with cached_block("w"):
    r = 1
--- argv
«a→b»
=== hit | a seed before a block that draws nothing
import random
random.seed(«1→2»)
with cached_block("w"):
    r = 1
=== hit | a seed before a block that makes its own generator
import random
import numpy as np
np.random.seed(«1→2»)
with cached_block("w"):
    r = float(np.random.default_rng(3).random())
=== hit | decimal precision before a block without decimals
import decimal
decimal.getcontext().prec = «5→6»
with cached_block("w"):
    r = 1 / 3
=== hit | another working directory, and nothing relative is read
import os
os.chdir("«a→b»")
with cached_block("w"):
    r = sum(range(10))
--- a/x
--- b/x
=== hit | a comment above a connection
import sqlite3
«→# the database
»con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
con.execute("insert into t values (1)")
with cached_block("w"):
    r = con.execute("select n from t").fetchall()
=== hit | an unrelated value between a connection and the block
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
con.execute("insert into t values (1)")
unrelated = «1→2»
with cached_block("w"):
    r = con.execute("select n from t").fetchall()
=== hit | an unrelated entry of a module's constants behind a used one
from h import f
with cached_block("w"):
    r = f()
--- h.py
A = 1
B = «2→3»
C = A + 1
def f():
    return C
=== hit | a lambda in brackets
f = «lambda x: x + 1→(lambda x: (x + 1))»
with cached_block("w"):
    r = f(1)
=== hit | a logger's message in a branch that is never reached is not code, a comment is
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
def f(x):
    if x > 10:
        # «never→seldom»
        raise ValueError
    return x
=== hit | a decorator that is not used
from d import used
@used
def f(x):
    return x
with cached_block("w"):
    r = f(1)
--- d.py
def used(g):
    return g
def unused(g):
    return «g→None»
=== hit | a subclass that nobody asks for
from h import A
with cached_block("w"):
    r = A().go()
--- h.py
class A:
    def go(self):
        return 1
«→class B(A):
    pass
»
=== hit | an unrelated function defined in main between helper and block
def f(x):
    return x
def other(x):
    return x + «1→2»
with cached_block("w"):
    r = f(1)
=== hit | the value of the upstream key order is the same, built differently
from h import f
d = «{"a": 1, "b": 2}→dict(a=1, b=2)»
with cached_block("w"):
    r = f(d)
--- h.py
def f(d):
    return list(d)
=== hit | an equal array made another way
import numpy as np
a = «np.arange(4)→np.array([0, 1, 2, 3])»
with cached_block("w"):
    r = int(a.sum())
=== hit | an equal frame read from another format
import io
import pandas as pd
df = «pd.DataFrame({"x": [1, 2]})→pd.read_csv(io.StringIO("x\n1\n2\n"))»
with cached_block("w"):
    r = int(df["x"].sum())
=== hit | type parameters, a cast and a TypedDict in annotations only
from h import f
with cached_block("w"):
    r = f({"a": 1})
--- h.py
from typing import TypedDict, cast
class Row(TypedDict):
    a: int
«→    b: str
»def f(row: Row) -> int:
    return row["a"]
=== hit | a script that subprocess does not run
import subprocess, sys
with cached_block("w"):
    r = subprocess.run([sys.executable, "job.py"], capture_output=True, text=True).stdout
--- job.py
print(1)
--- other_job.py
print(«1→2»)
=== hit | spaces at the ends of lines, a form feed and a blank line in the body
with cached_block("w"):
    a = 1«→   »
«→

»    r = a«→  »
=== hit | a name of the block's temporary file
with cached_block("w"):
    r = [n for n in range(3)]
    «→# done
»
=== hit | a warning filter before a block that warns not
import warnings
warnings.filterwarnings("«ignore→default»", category=DeprecationWarning)
with cached_block("w"):
    r = 1
=== hit | a member of a zip that is not read is another file's business
with cached_block("w"):
    r = open("a.txt").read()
--- a.txt
one
--- z.zip!d.txt
«one→two»
=== hit | the hash seed
with cached_block("w"):
    r = sorted({"a", "b", "c"})
--- env
PYTHONHASHSEED=«1→2»
=== hit | upstream sets and frozensets under another hash seed
tags = [{"a", "b", "c"}, frozenset({"x", "y"})]
with cached_block("w"):
    r = sorted(tags[0] | tags[1])
--- env
PYTHONHASHSEED=«1→2»
=== hit | another class of a module, reached beside the used one
import h
with cached_block("w"):
    r = h.A().go()
--- h.py
class A:
    def go(self):
        return 1
class B:
    def go(self):
        return «1→2»
=== hit | comments in a metaclass, an enum and a dataclass
from h import A, Color, P
with cached_block("w"):
    r = (A().x, Color.RED.value, P().y)
--- h.py
from dataclasses import dataclass
from enum import Enum
class Meta(type):
    «→# a comment
    »def __call__(cls):
        made = super().__call__()
        made.x = 1
        return made
class A(metaclass=Meta):
    pass
class Color(Enum):
    RED = 1  # «one→eins»
@dataclass
class P:
    y: int = (1«→
    »)
=== hit | docstrings of a property, a dataclass and a NamedTuple
from h import A, P, N
with cached_block("w"):
    r = (A().x, P().y, N().z)
--- h.py
from dataclasses import dataclass
from typing import NamedTuple
class A:
    @property
    def x(self):
        "«one→two»"
        return 1
@dataclass
class P:
    "«one→two»"
    y: int = 1
class N(NamedTuple):
    "«one→two»"
    z: int = 1
=== hit | docstring of a function below functools.wraps
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
import functools
def deco(g):
    @functools.wraps(g)
    def inner(x):
        return g(x) + 1
    return inner
@deco
def f(x):
    "«one→two»"
    return x
=== hit | an annotation in quotes
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
async def later(x: int) -> «int→"int"»:
    return x
def f(x: «int→"int"»):
    import asyncio
    return asyncio.run(later(x))
=== hit | overloads for type checkers
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
from typing import overload
«→@overload
def f(x: int) -> int: ...
@overload
def f(x: str) -> str: ...
»def f(x):
    return x
=== hit | a type variable and an alias join a module
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
«→from typing import TypeVar
T = TypeVar("T")
Pairs = list[tuple[int, T]]
»def f(x):
    return x
=== hit | __version__ of a local module that nobody reads
import h
with cached_block("w"):
    r = h.f()
--- h.py
__version__ = "1.«0→1»"
__author__ = "«a→b»"
def f():
    return 1
=== hit | base of an exception class that is not raised or caught
from h import f
with cached_block("w"):
    r = f()
--- h.py
class Unused(«ValueError→KeyError»):
    pass
def f():
    return 1
=== hit | a helper of an unused function, two modules away
from h import f
with cached_block("w"):
    r = f()
--- h.py
from d import deep, used
def f():
    return used()
def g():
    return deep()
--- d.py
def used():
    return 1
def deep():
    return «1→2»
=== hit | another name in the from-import
from h import f«→, g»
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 1
def g():
    return 2
=== hit | imports in brackets and in another order
«import os
from h import f, g→from h import (
    g,
    f,
)
import os»
with cached_block("w"):
    r = (f(), g(), os.sep)
--- h.py
def f():
    return 1
def g():
    return 2
=== hit | another block name
with cached_block("«w→v»"):
    r = [1, 2]
=== hit | the block under a main guard
«with cached_block("w"):
    r = [n for n in range(3)]→if __name__ == "__main__":
    with cached_block("w"):
        r = [n for n in range(3)]»
=== hit | the block moves below a function
«→def other():
    return 5
»with cached_block("w"):
    r = [n for n in range(3)]
=== hit | a module's other global set from outside
import h
h.OTHER = «1→2»
with cached_block("w"):
    r = h.f()
--- h.py
K = 1
OTHER = 0
def f():
    return K
=== hit | another list of a module filled before the block
import h
h.LOG.append(«1→2»)
with cached_block("w"):
    r = h.f()
--- h.py
LOG = []
DATA = [1]
def f():
    return DATA[0]
=== hit | another function of a library is replaced
import statistics
statistics.median = lambda xs: «1→2»
with cached_block("w"):
    r = sum([1, 2])
=== hit | numpy's seed before a body that draws from random
import random
import numpy as np
random.seed(5)
np.random.seed(«1→2»)
with cached_block("w"):
    r = random.random()
=== hit | the same seed, set by other code
import random
random.seed(«5→2 + 3»)
with cached_block("w"):
    r = random.random()
=== hit | a pandas option before a body without pandas
import pandas as pd
pd.set_option("display.precision", «2→3»)
with cached_block("w"):
    r = 1 / 3
=== hit | np.errstate around a body without numpy
import numpy as np
with np.errstate(divide="«ignore→warn»"):
    with cached_block("w"):
        r = 1 / 3
print(r)
=== hit | a context variable that is not read
from h import level, other, f
other.set(«1→2»)
with cached_block("w"):
    r = f()
--- h.py
from contextvars import ContextVar
level = ContextVar("level", default=0)
other = ContextVar("other", default=0)
def f():
    return 1
=== hit | HOME, PATH, TZ and LANG, and nothing asks for them
with cached_block("w"):
    r = [n * 2 for n in range(3)]
--- env
HOME=/«a→b»
TZ=«UTC→UTC-3»
LANG=«C→C.UTF-8»
EDITOR=«vi→ed»
=== hit | another working directory and a file by its full path
import os
from pathlib import Path
here = Path(__file__).resolve().parent
os.chdir(here / "«a→b»")
with cached_block("w"):
    r = (here / "d.txt").read_text()
--- d.txt
one
--- a/x
--- b/x
=== hit | a file joins the folder of a file that is read
with cached_block("w"):
    r = open("data/a.txt").read()
--- data/a.txt
one
--- data/b.txt
«<absent>→»
=== hit | a parquet file touched
import pandas as pd
with cached_block("w"):
    r = pd.read_parquet("d.parquet")["n"].tolist()
--- prepare.py
import os
import pandas as pd
if not os.path.exists("d.parquet"):
    pd.DataFrame({"n": [1]}).to_parquet("d.parquet")
os.utime("d.parquet", («1600000000→1700000000», 1600000000))
=== hit | a symlink becomes a copy
with cached_block("w"):
    r = open("link.txt").read()
--- a.txt
one
--- prepare.py
import os, shutil
if os.path.lexists("link.txt"):
    os.unlink("link.txt")
«os.symlink→shutil.copy»("a.txt", "link.txt")
=== hit | names of a folder, and a file's text changes
import os
with cached_block("w"):
    r = sorted(os.listdir("data"))
--- data/a.txt
«one→two»
=== hit | a count by glob, and a file's text changes
from pathlib import Path
with cached_block("w"):
    r = len(list(Path("data").glob("*.txt")))
--- data/a.txt
«one→two»
=== hit | spelling of an argument
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int)
n = parser.parse_args().n
with cached_block("w"):
    r = n * 2
--- argv
«--n=3→--n 3»
=== hit | a file that is opened upstream and not read in the body
f = open("d.txt")
head = f.readline()
with cached_block("w"):
    r = head.strip()
--- d.txt
one
«two→three»
=== hit | another connection, filled otherwise
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
con.execute("insert into t values (1)")
other = sqlite3.connect(":memory:")
other.execute("create table t(n)")
other.execute("insert into t values («1→2»)")
with cached_block("w"):
    r = con.execute("select n from t").fetchall()
=== hit | a connection from a helper module, whose other function is edited
from db import connect
con = connect()
with cached_block("w"):
    r = con.execute("select 1 + 1").fetchall()
--- db.py
import sqlite3
def connect():
    return sqlite3.connect(":memory:")
def other():
    return «1→2»
=== hit | a connection to a file that is written again with the same rows
import sqlite3
con = sqlite3.connect("d.db")
with cached_block("w"):
    r = con.execute("select n from t").fetchall()
--- prepare.py
# «1→2»
import os, sqlite3
if os.path.exists("d.db"):
    os.unlink("d.db")
con = sqlite3.connect("d.db")
con.execute("create table t(n)")
con.execute("insert into t values (1)")
con.commit()
=== hit | a generator made upstream that the body leaves alone
g = (n for n in range(«2→3»))
with cached_block("w"):
    r = 1
=== hit | the level of the root logger before a body that logs not
import logging
logging.basicConfig(level=logging.«INFO→WARNING»)
with cached_block("w"):
    r = 1
=== hit | a folder at the end of sys.path
import sys
sys.path.append("«a→b»")
with cached_block("w"):
    r = sum(range(4))
--- a/x
--- b/x
=== hit | a csv dialect that is not asked for
import csv
csv.register_dialect("mine", delimiter="«,→;»")
with cached_block("w"):
    r = [1, 2]
=== hit | README, a test and settings of other tools
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 1
--- README.md
«one→two»
--- test_h.py
assert «1→2»
--- .env
A=«1→2»
=== hit | a class attribute written with another operator order of constants
from h import A
with cached_block("w"):
    r = A.k
--- h.py
class A:
    k = («60 * 60→60*60»)
=== hit | a closure over an equal value made otherwise
def make(n):
    def f():
        return n
    return f
f = make(«2 + 1→3»)
with cached_block("w"):
    r = f()
=== hit | a default argument computed to the same value
from h import f
with cached_block("w"):
    r = f()
--- h.py
BASE = «2→1»
def f(n=BASE «* 2→+ 3»):
    return n
=== hit | a registry gains nothing and a plugin's comment changes
import registry, plugin
with cached_block("w"):
    r = registry.run("a")
--- registry.py
TABLE = {}
def run(name):
    return TABLE[name]()
--- plugin.py
import registry
«→# a comment
»def a():
    "«one→two»"
    return 1
registry.TABLE["a"] = a
=== hit | an instance made by other code with equal content
from h import A
a = «A(1, 2)→A(*[1, 2])»
with cached_block("w"):
    r = a.total()
--- h.py
class A:
    def __init__(self, x, y):
        self.x = x
        self.y = y
    def total(self):
        return self.x + self.y
=== hit | an lru_cache warmed with another argument
from h import f
f(«1→2»)
with cached_block("w"):
    r = f(3)
--- h.py
from functools import lru_cache
@lru_cache
def f(x):
    return x * 2
=== hit | an unrelated argument of a function around the block
def work(x, verbose):
    with cached_block("w"):
        r = x * 2
    return r
print(work(2, verbose=«False→True»))
=== hit | bytecode files appear beside the modules
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 1
--- prepare.py
# «1→2»
import os, py_compile
if «False→True»:
    py_compile.compile("h.py")
=== effect | a body that reads a file and deletes its own scratch file
import os
with cached_block("w"):
    with open("scratch", "w") as f:
        f.write("x")
    with open("scratch") as f:
        r = f.read()
    os.unlink("scratch")
    del f
=== effect | a body that draws from an upstream generator, and a later draw
import numpy as np
rng = np.random.default_rng(1)
with cached_block("w"):
    a = float(rng.random())
r = (a, float(rng.random()))
print(r)
=== effect | a query on an upstream cursor, and the rest of its rows after the block
import sqlite3
con = sqlite3.connect(":memory:")
cur = con.execute("select 1 union select 2 union select 3")
with cached_block("w"):
    a = cur.fetchone()
r = (a, cur.fetchall())
print(r)
=== effect | rows inserted in the body through an upstream connection
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
with cached_block("w"):
    con.execute("insert into t values (1)")
    r = 1
r = (r, con.execute("select n from t").fetchall())
print(r)
=== effect | a generator used up in the body, looked at after it
g = (n for n in range(5))
with cached_block("w"):
    a = next(g)
r = (a, list(g))
print(r)
=== effect | a file read on in the body, and read on after it
f = open("d.txt")
with cached_block("w"):
    a = f.readline()
r = (a, f.read())
print(r)
--- d.txt
one
two
'''

#: What is known to fail now: name -> what is wrong. Strict: a program that starts to pass must leave this table.
FAILING = {
    "importlib.import_module with a constant name": "not saved, honestly: a module by name is refused, computed or not",
    "environment of a subprocess": "stale, documented: what a program that the body starts reads is not seen",
    "a module imported by a script that subprocess runs": "stale, documented: what a program that the body starts reads is not seen",
    "an lru_cache that is warm with the first answer": "stale: what a cache of a function holds does not count",
    "a recursion limit decides": "stale: the recursion limit is no input",
    "__builtins__ of a module replaced": "stale: a namespace of builtins of one's own is not seen",
    "an import hook of the project": "stale: code that an import hook makes of a text without a file",
    "a lock that is taken or not": "stale, documented: locks do not count",
    "a pipe with bytes in it": "stale: what is in a pipe is not seen",
}

ABSENT = "<absent>"


def programs(text: str) -> Iterator[object]:
    """One parameter a program."""
    seen = set()
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, _, text = part.partition("\n")
        kind, name, *named = head.split(" | ")
        assert name not in seen and kind in ("miss", "runs", "hit", "effect") and len(named) < 2, head
        seen.add(name)
        marks = [pytest.mark.xfail(strict=True, reason=FAILING[name])] if name in FAILING else []
        yield pytest.param(kind, text, *(named or [""]), id=name, marks=marks)


class Side:
    """A program before (1) or after (2) its edit, put into a project; it can be run cached and plain."""

    def __init__(self, project: Project, text: str, number: int) -> None:
        self.project = project
        found = files(text, number)
        self.variables = dict(line.split("=", 1) for line in found.pop("env", "").splitlines())
        self.arguments = found.pop("argv", "").split()
        prepare = found.pop("prepare.py", "")
        for name in [name for name, text in found.items() if text.strip() == ABSENT]:
            del found[name]
            (project.folder / name).unlink(missing_ok=True)
        put(project, found)
        if prepare:
            env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
            subprocess.run([sys.executable, "-c", prepare], cwd=project.folder, env=env, check=True)

    def cached(self) -> Ran:
        return self.project.run(env=self.variables, arguments=self.arguments)

    def plain(self, stand_in: Path) -> str:
        """What the program prints when nothing is cached."""
        return self.project.plain(stand_in, self.arguments, self.variables)


def judge(project: Project, stand_in: Path, kind: str, text: str, named: str) -> None:
    """What is printed after an edit is what a plain run prints; a telling edit misses and is named, a cosmetic one hits."""
    side = Side(project, text, 1)
    first = side.cached()
    if kind == "effect":
        second = side.cached()
        assert second.stdout == first.stdout == side.plain(stand_in), second.stderr
        return
    side = Side(project, text, 2)
    second = side.cached()
    expected = side.plain(stand_in)
    assert (first.stdout == expected) is (kind == "hit"), "the program itself: only a cosmetic edit prints the same"
    assert second.stdout == expected, f"stale: {second.stderr}"
    if kind != "runs":
        assert first.events[0]["saved"], f"never saved: {first.stderr}"
    if kind == "hit":
        assert set(second.outcomes) == {"hit"}, f"needless miss: {second.stderr}"
    elif kind == "miss":
        assert "miss" in second.outcomes, second.stderr
    if named:
        told = [text for event in second.events for difference in event["differences"] for text in difference]
        assert any(named in text for text in told), f"not named: {told}"


@pytest.mark.parametrize(("kind", "text", "named"), list(programs(PROGRAMS)))
def test_corner(project: Project, plain_path: Path, kind: str, text: str, named: str) -> None:
    """Small programs, chapter by chapter of the language reference and the peers' issues."""
    judge(project, plain_path, kind, text, named)
