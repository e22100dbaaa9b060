"""Corners: tiny programs written to be served something stale, one edit between two processes each.

``programs.py`` tells the notation.
"""

from __future__ import annotations

import pytest
from programs import check, parameters

#: What is known to fail now: name -> what is wrong. Strict: a program that starts to pass must leave this table.
FAILING: dict[str, str] = {
    "inspect.getsource of a helper": "stale: getsource reads comments, the digest has none",
    "cosmetic: unrelated function in a module that is imported in the body": "needless miss: imported modules count whole",
    "cosmetic: import alias in main": "needless miss: the alias of an import counts",
    "docstring of a module that is imported in the body": "stale: the docstring of a module that is imported in the body is dropped",
}

PROGRAMS = r'''
=== miss | a matrix whose text names an upstream array
import numpy as np
A, B = np.eye(2) * «1→5», np.ones((2, 2))
with cached_block("b"):
    r = np.bmat("A, B").sum()
print(r)
=== miss | a helper gives a file that it knows to a reader whose class says it is a builtin
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
save_file({"a": np.full(3, «1.0→2.0»)}, "w.safetensors")
name = "w.safe" + "tensors"
def read():
    with safe_open(name, "np") as file:
        return file.get_tensor("a")
with cached_block("b"):
    r = read().sum()
print(r)
=== miss | a helper in another module gives a default that names a file to such a reader
import numpy as np, h
from safetensors.numpy import save_file
save_file({"a": np.full(3, «1.0→2.0»)}, "w.safetensors")
with cached_block("b"):
    r = h.read().sum()
print(r)
--- h.py
from pathlib import Path
from safetensors import safe_open
def read(folder=[Path("."), Path(".") / ("w.safe" + "tensors")]):
    with safe_open(folder[1], "np") as file:
        return file.get_tensor("a")
=== miss | such a reader gets what an upstream object holds
import numpy as np
from dataclasses import dataclass
from safetensors import safe_open
from safetensors.numpy import save_file
save_file({"a": np.full(3, «1.0→2.0»)}, "w.safetensors")
@dataclass
class Config:
    weights: str
config = Config("w.safe" + "tensors")
with cached_block("b"):
    with safe_open(config.weights, "np") as file:
        r = file.get_tensor("a").sum()
print(r)
=== runs | a global statement in a helper
import h
with cached_block("w"):
    r = h.bump()
--- h.py
n = 0
def bump():
    global n
    n += «1→2»
    return n
=== miss | a helper's module state, changed by an item assignment
import h
h.CONFIG["k"] = «1→2»
with cached_block("w"):
    r = h.f()
--- h.py
CONFIG = {"k": 0}
def f():
    return CONFIG["k"]
=== miss | a helper's module state, changed by a setter
import h
h.set_k(«1→2»)
with cached_block("w"):
    r = h.f()
--- h.py
k = 0
def set_k(v):
    global k
    k = v
def f():
    return k
=== miss | a module attribute assigned from outside
import h
h.k = «1→2»
with cached_block("w"):
    r = h.f()
--- h.py
k = 0
def f():
    return k
=== miss | body of a decorator that uses functools.wraps
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
from d import deco
@deco
def f(x):
    return x
--- d.py
import functools
def deco(g):
    @functools.wraps(g)
    def inner(x):
        return g(x) + «1→2»
    return inner
=== miss | argument of a decorator
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
import functools
def times(n):
    def deco(g):
        @functools.wraps(g)
        def inner(x):
            return g(x) * n
        return inner
    return deco
@times(«3→4»)
def f(x):
    return x
=== miss | a wrapped function below a decorator
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
import functools
def deco(g):
    @functools.wraps(g)
    def inner(*a):
        return g(*a)
    return inner
@deco
@deco
def f(x):
    return x + «1→2»
=== miss | a class used as a decorator
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
class Deco:
    def __init__(self, g):
        self.g = g
    def __call__(self, x):
        return self.g(x) + «1→2»
@Deco
def f(x):
    return x
=== miss | a singledispatch implementation registered in a third module
import reg
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
from functools import singledispatch
@singledispatch
def f(x):
    return "any"
--- reg.py
from h import f
@f.register
def _(x: int):
    return «1→2»
=== miss | a singledispatch registration for another type
from h import f
with cached_block("w"):
    r = f(True)
--- h.py
from functools import singledispatch
@singledispatch
def f(x):
    return "any"
@f.register(«int→str»)
def _(x):
    return "special"
=== miss | singledispatchmethod
from h import A
with cached_block("w"):
    r = A().f(1)
--- h.py
from functools import singledispatchmethod
class A:
    @singledispatchmethod
    def f(self, x):
        return "any"
    @f.register
    def _(self, x: int):
        return «1→2»
=== miss | lru_cache
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
from functools import lru_cache
@lru_cache(maxsize=None)
def f(x):
    return g(x)
def g(x):
    return x + «1→2»
=== miss | keywords of a partial in a module
from h import p
with cached_block("w"):
    r = p()
--- h.py
from functools import partial
def f(k):
    return k
p = partial(f, k=«1→2»)
=== miss | function of a partial held in a dict
from h import table
with cached_block("w"):
    r = table["p"](1)
--- h.py
from functools import partial
def f(k, x):
    return k + x + «1→2»
table = {"p": partial(f, 1)}
=== miss | partialmethod
from h import A
with cached_block("w"):
    r = A().p()
--- h.py
from functools import partialmethod
class A:
    def f(self, k):
        return k
    p = partialmethod(f, «1→2»)
=== runs | cached_property
from h import A
a = A()
with cached_block("w"):
    r = a.p
--- h.py
from functools import cached_property
class A:
    @cached_property
    def p(self):
        return «1→2»
=== miss | keyword-only default
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f(*, k=«1→2»):
    return k
=== miss | default that is computed from a constant
from h import f
with cached_block("w"):
    r = f()
--- h.py
K = «1→2»
def f(k=K + 1):
    return k
=== miss | method of a default argument object
from h import f
with cached_block("w"):
    r = f()
--- h.py
class S:
    def go(self):
        return «1→2»
def f(s=S()):
    return s.go()
=== runs | state of a default argument object
from h import f
f(0)
«→f(0)»
with cached_block("w"):
    r = f(1)
--- h.py
def f(x, seen=[]):
    seen.append(x)
    return list(seen)
=== miss | function attribute
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
def f(x):
    return x * f.k
f.k = «1→2»
=== miss | method of a grandparent in another module
from h import C
with cached_block("w"):
    r = C().go()
--- h.py
from base import B
class C(B):
    pass
--- base.py
class A:
    def go(self):
        return «1→2»
class B(A):
    pass
=== miss | order of the bases
from h import C
with cached_block("w"):
    r = C().go()
--- h.py
class A:
    def go(self):
        return "a"
class B:
    def go(self):
        return "b"
class C(«A, B→B, A»):
    pass
=== miss | super in a mixin
from h import C
with cached_block("w"):
    r = C().go()
--- h.py
class A:
    def go(self):
        return «1→2»
class M:
    def go(self):
        return super().go() * 10
class C(M, A):
    pass
=== miss | __call__ of a metaclass
from h import C
with cached_block("w"):
    r = C()
--- h.py
class Meta(type):
    def __call__(cls):
        return «1→2»
class C(metaclass=Meta):
    pass
=== miss | attribute made by a metaclass
from h import C
with cached_block("w"):
    r = C.k
--- h.py
class Meta(type):
    def __new__(m, n, b, d):
        d["k"] = «1→2»
        return super().__new__(m, n, b, d)
class C(metaclass=Meta):
    pass
=== miss | __init_subclass__ with an argument
from h import C
with cached_block("w"):
    r = C().go()
--- h.py
class A:
    def __init_subclass__(cls, k=0):
        cls.k = k
    def go(self):
        return self.k
class C(A, k=«1→2»):
    pass
=== miss | __init_subclass__ registry that nobody names
import plugin
from h import make
with cached_block("w"):
    r = make("x").go()
--- h.py
class Base:
    known = {}
    def __init_subclass__(cls):
        Base.known[cls.name] = cls
def make(n):
    return Base.known[n]()
--- plugin.py
from h import Base
class X(Base):
    name = "x"
    def go(self):
        return «1→2»
=== miss | __subclasses__ registry
import plugin
from h import run
with cached_block("w"):
    r = run()
--- h.py
class Base:
    pass
def run():
    return [c().go() for c in Base.__subclasses__()]
--- plugin.py
from h import Base
class X(Base):
    def go(self):
        return «1→2»
=== miss | a descriptor in another module
from h import A
with cached_block("w"):
    r = A().p
--- h.py
from d import D
class A:
    p = D()
--- d.py
class D:
    def __get__(self, o, t):
        return «1→2»
=== miss | state of a descriptor
from h import A
with cached_block("w"):
    r = A().p
--- h.py
class D:
    def __init__(self, k):
        self.k = k
    def __get__(self, o, t):
        return self.k
class A:
    p = D(«1→2»)
=== miss | a property's getter
from h import A
a = A()
with cached_block("w"):
    r = a.p
--- h.py
def g():
    return «1→2»
class A:
    @property
    def p(self):
        return g()
=== miss | a property's setter
from h import A
with cached_block("w"):
    a = A()
    a.p = 1
    r = a._p
--- h.py
class A:
    @property
    def p(self):
        return 0
    @p.setter
    def p(self, v):
        self._p = v + «1→2»
=== miss | default_factory of a dataclass field
from h import A
with cached_block("w"):
    r = A().x
--- h.py
from dataclasses import dataclass, field
@dataclass
class A:
    x: list = field(default_factory=lambda: [«1→2»])
=== miss | order of the fields of a dataclass
from h import A
with cached_block("w"):
    r = A(1, 2).x
--- h.py
from dataclasses import dataclass
@dataclass
class A:
    «x: int→y: int»
    «y: int→x: int»
=== miss | an option of the dataclass decorator
from h import A
with cached_block("w"):
    r = A(1) == A(1)
--- h.py
from dataclasses import dataclass
@dataclass«→(eq=False)»
class A:
    x: int
=== miss | a dataclass field that does not compare
from h import A
a = A(«1→2»)
with cached_block("w"):
    r = a.x
--- h.py
from dataclasses import dataclass, field
@dataclass
class A:
    x: int = field(compare=False, repr=False)
=== miss | value of an enum member
from h import E
with cached_block("w"):
    r = E.A.value
--- h.py
from enum import Enum
class E(Enum):
    A = «1→2»
=== miss | auto() of an enum after a new member
from h import E
e = E.A
with cached_block("w"):
    r = e.value
--- h.py
from enum import Enum, auto
class E(Enum):
    «→Z = auto()»
    A = auto()
=== miss | method of an enum member that is upstream
from h import E
e = E.A
with cached_block("w"):
    r = e.go()
--- h.py
from enum import Enum
class E(Enum):
    A = 1
    def go(self):
        return «1→2»
=== miss | fields of a namedtuple
from h import P
p = P(1, 2)
with cached_block("w"):
    r = p.a
--- h.py
from collections import namedtuple
P = namedtuple("P", "«a b→b a»")
=== miss | default of a NamedTuple
from h import P
with cached_block("w"):
    r = P().a
--- h.py
from typing import NamedTuple
class P(NamedTuple):
    a: int = «1→2»
=== miss | value in a slot
from h import A
a = A(«1→2»)
with cached_block("w"):
    r = a.x
--- h.py
class A:
    __slots__ = ("x",)
    def __init__(self, x):
        self.x = x
=== miss | a method replaced from main
import h
h.A.go = lambda self: «1→2»
a = h.A()
with cached_block("w"):
    r = a.go()
--- h.py
class A:
    def go(self):
        return 0
=== miss | a method replaced by a module that is only imported
import h
import patches
with cached_block("w"):
    r = h.A().go()
--- h.py
class A:
    def go(self):
        return 0
--- patches.py
import h
def go(self):
    return «1→2»
h.A.go = go
=== miss | a method replaced on one instance
import h
a = h.A()
a.go = lambda: «1→2»
with cached_block("w"):
    r = a.go()
--- h.py
class A:
    def go(self):
        return 0
=== miss | dispatch table filled by a decorator in a module that is only imported
import plugin
from h import run
with cached_block("w"):
    r = run("x")
--- h.py
TABLE = {}
def register(n):
    def deco(f):
        TABLE[n] = f
        return f
    return deco
def run(n):
    return TABLE[n]()
--- plugin.py
from h import register
@register("x")
def _x():
    return «1→2»
=== miss | dispatch table in a class attribute
from h import A
with cached_block("w"):
    r = A().run("f")
--- h.py
from k import f
class A:
    table = {"f": [f]}
    def run(self, n):
        return self.table[n][0]()
--- k.py
def f():
    return «1→2»
=== miss | order of a list of functions
from h import steps
with cached_block("w"):
    r = 5
    for s in steps:
        r = s(r)
--- h.py
def a(x):
    return x + 1
def b(x):
    return x * 2
steps = [«a, b→b, a»]
=== miss | a callable in an attribute of an upstream object
from types import SimpleNamespace
from h import f
o = SimpleNamespace(cb=f)
with cached_block("w"):
    r = o.cb()
--- h.py
def f():
    return g()
def g():
    return «1→2»
=== miss | state behind a bound method
from h import A
go = A(«1→2»).go
with cached_block("w"):
    r = go()
--- h.py
class A:
    def __init__(self, k):
        self.k = k
    def go(self):
        return self.k
=== miss | an import inside a helper
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    from k import g
    return g()
--- k.py
def g():
    return «1→2»
=== miss | an import inside the body
with cached_block("w"):
    from h import f
    r = f()
--- h.py
from k import g as f
--- k.py
def g():
    return «1→2»
=== miss | a dotted import inside the body
with cached_block("w"):
    import pkg.sub.m
    r = pkg.sub.m.f()
--- pkg/__init__.py
--- pkg/sub/__init__.py
--- pkg/sub/m.py
from ..k import g
def f():
    return g()
--- pkg/k.py
def g():
    return «1→2»
=== miss | a relative import inside a function of a package
from pkg import run
with cached_block("w"):
    r = run()
--- pkg/__init__.py
from .a import run
--- pkg/a.py
def run():
    from . import b
    return b.go()
--- pkg/b.py
def go():
    return «1→2»
=== miss | the __init__ of a package that a body imports a submodule of
with cached_block("w"):
    import pkg.m
    r = pkg.K
--- pkg/__init__.py
K = «1→2»
--- pkg/m.py
=== runs | importlib.import_module with a constant
import importlib
with cached_block("w"):
    r = importlib.import_module("h").f()
--- h.py
def f():
    return «1→2»
=== runs | importlib.import_module with an upstream name in a helper
from load import load
name = "h"
with cached_block("w"):
    r = load(name).f()
--- load.py
from importlib import import_module
def load(n):
    return import_module(n)
--- h.py
def f():
    return «1→2»
=== runs | __import__
with cached_block("w"):
    r = __import__("h").f()
--- h.py
def f():
    return «1→2»
=== miss | star import in a helper module
from h import f
with cached_block("w"):
    r = f()
--- h.py
from k import *
def f():
    return g() + K
--- k.py
K = 10
def g():
    return «1→2»
=== miss | a star import that starts to shadow
from h import f
with cached_block("w"):
    r = f()
--- h.py
from a import *
from b import *
def f():
    return k()
--- a.py
def k():
    return "a"
--- b.py
def «other→k»():
    return "b"
=== miss | __getattr__ of a module
import h
with cached_block("w"):
    r = h.k
--- h.py
def __getattr__(n):
    return n + "«1→2»"
=== miss | __getattr__ of a module, used by a from-import in the body
with cached_block("w"):
    from h import k
    r = k
--- h.py
T = {"k": «1→2»}
def __getattr__(n):
    try:
        return T[n]
    except KeyError:
        raise AttributeError(n) from None
=== miss | a constant computed from others in another module
from h import B
with cached_block("w"):
    r = B
--- h.py
from k import A
B = A * 2
--- k.py
A = «1→2»
=== miss | a constant computed from others, imported in the body
with cached_block("w"):
    from h import B
    r = B
--- h.py
import k
B = k.A * 2
--- k.py
A = «1→2»
=== miss | a top-level statement of a module that is imported in the body
with cached_block("w"):
    import h
    r = h.T["x"]
--- h.py
T = {}
def fill():
    T["x"] = «1→2»
fill()
=== miss | a format spec
from h import f
with cached_block("w"):
    r = f(1.23456)
--- h.py
def f(x):
    return f"{x:.«1→2»f}"
=== miss | a conversion in an f-string
from h import f
with cached_block("w"):
    r = f("x")
--- h.py
def f(x):
    return f"{x«!s→!r»}"
=== miss | True for 1 in a helper's constants
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return («1→True», 2)
=== miss | a negative zero in a tuple
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return («0.0→-0.0», 1)
=== miss | zero and negative zero upstream
x = «0.0→-0.0»
with cached_block("w"):
    r = x
=== miss | text cut elsewhere
x = («"ab", "c"→"a", "bc"»)
with cached_block("w"):
    r = x[0]
=== miss | swapped parameters of a helper
from h import f
with cached_block("w"):
    r = f(1, 2)
--- h.py
def f(«a, b→b, a»):
    return a - b
=== miss | swapped keywords of a call
from h import f
with cached_block("w"):
    r = f()
--- h.py
def g(a, b):
    return a - b
def f():
    return g(«a=1, b=2→b=1, a=2»)
=== miss | code moved from try to else
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    try:
        x = 1
«        1 / 0→»
    except ZeroDivisionError:
        return "caught"
    else:
«        pass→        x = 2»
    return x
=== miss | code moved from try to else in the body
def boom():
    raise KeyError
with cached_block("w"):
    try:
        try:
            r = 1
«            boom()→            pass»
        except KeyError:
            r = "inner"
        else:
«            pass→            boom()»
    except KeyError:
        r = "outer"
=== miss | an operator passed by name
import operator
from h import f
with cached_block("w"):
    r = f(3, 2)
--- h.py
from operator import «add→sub» as op
def f(a, b):
    return op(a, b)
=== miss | a builtin function under an alias
from h import f
with cached_block("w"):
    r = f(1.5)
--- h.py
from math import «floor→ceil» as g
def f(x):
    return g(x)
=== miss | a standard module under an alias
from h import f
with cached_block("w"):
    r = f(4)
--- h.py
import «math→cmath» as m
def f(x):
    return m.sqrt(x)
=== miss | an async helper
import asyncio
from h import f
with cached_block("w"):
    r = asyncio.run(f())
--- h.py
async def g():
    return «1→2»
async def f():
    return await g()
=== miss | a generator helper
from h import f
with cached_block("w"):
    r = list(f())
--- h.py
def g():
    yield «1→2»
def f():
    yield from g()
=== miss | a global read in a nested comprehension
from h import f
with cached_block("w"):
    r = f([1])
--- h.py
k = «1→2»
def f(x):
    return [[(lambda: i * k)() for i in x] for _ in x]
=== miss | a class inside a helper
from h import f
with cached_block("w"):
    r = f()
--- h.py
k = «1→2»
def f():
    class A:
        x = [k]
        def go(self):
            return self.x
    return A().go()
=== miss | two lambdas on one line, swapped
from h import f, g
with cached_block("w"):
    r = f(g(5))
--- h.py
f, g = «lambda x: x + 1, lambda x: x * 2→lambda x: x * 2, lambda x: x + 1»
=== miss | a conditional function definition
from h import f
with cached_block("w"):
    r = f()
--- h.py
FAST = «True→False»
if FAST:
    def f():
        return 1
else:
    def f():
        return 2
=== miss | a fall-back import that becomes possible
from h import f
with cached_block("w"):
    r = f()
--- h.py
try:
    from fast import g
except ImportError:
    def g():
        return "slow"
def f():
    return g()
--- fast.py
«raise ImportError→»
def g():
    return "fast"
=== miss | a builtin that a helper's module starts to shadow
from h import f
with cached_block("w"):
    r = f([1, 2])
--- h.py
«→def sum(x): return -1»
def f(x):
    return sum(x)
=== miss | a builtin that main starts to shadow
«→sum = max»
with cached_block("w"):
    r = sum([1, 2])
=== miss | a name put into builtins
import builtins
builtins.LEVEL = «1→2»
with cached_block("w"):
    r = LEVEL
=== miss | a name put into builtins, read by a helper
import builtins
from h import f
builtins.LEVEL = «1→2»
with cached_block("w"):
    r = f()
--- h.py
def f():
    return LEVEL
=== miss | a function that is rebound
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return 1
g = f
def f():
    return g() + 1
«→del f»
«→f = g»
=== miss | a class made by type()
from h import A
with cached_block("w"):
    r = A().go()
--- h.py
def go(self):
    return «1→2»
A = type("A", (), {"go": go})
=== miss | a class made by make_dataclass
from h import A
with cached_block("w"):
    r = A().x
--- h.py
from dataclasses import make_dataclass
A = make_dataclass("A", [("x", int, «1→2»)])
=== miss | method of an unpickled object
import pickle
import h
o = pickle.loads(pickle.dumps(h.A()))
del h
with cached_block("w"):
    r = o.go()
--- h.py
class A:
    def go(self):
        return «1→2»
=== miss | class of an object that is unpickled in the body
import pickle
raw = b"ch\nA\n)R."
with cached_block("w"):
    r = pickle.loads(raw).go()
--- h.py
class A:
    def go(self):
        return «1→2»
=== miss | pandas query with @
import pandas as pd
df = pd.DataFrame({"a": [1, 2, 3]})
t = «1→2»
with cached_block("w"):
    r = df.query("a > @t")["a"].tolist()
=== miss | pandas eval with @ in a helper
import pandas as pd
from h import f
df = pd.DataFrame({"a": [1, 2, 3]})
with cached_block("w"):
    r = f(df)["b"].tolist()
--- h.py
K = «1→2»
def f(df):
    return df.eval("b = a * @K")
=== miss | a query text that is upstream
import pandas as pd
df = pd.DataFrame({"a": [1, 2, 3]})
t = «1→2»
q = "a > @t"
with cached_block("w"):
    r = df.query(q)["a"].tolist()
=== miss | getattr of a module with a constant
import h
with cached_block("w"):
    r = getattr(h, "f")()
--- h.py
def f():
    return «1→2»
=== miss | getattr of a module with an upstream name
import h
names = ["f"]
with cached_block("w"):
    r = [getattr(h, n)() for n in names]
--- h.py
def f():
    return g()
def g():
    return «1→2»
=== miss | getattr of a module in a helper
from run import run
with cached_block("w"):
    r = run("f")
--- run.py
import h
def run(n):
    return getattr(h, "_" + n)()
--- h.py
def _f():
    return «1→2»
=== miss | attrgetter on a module
from operator import attrgetter
import h
with cached_block("w"):
    r = attrgetter("A.k")(h)
--- h.py
class A:
    k = «1→2»
=== runs | globals() in a helper
from h import run
with cached_block("w"):
    r = run("f")
--- h.py
def run(n):
    return globals()["do_" + n]()
def do_f():
    return «1→2»
=== runs | globals() in the body
def do_f():
    return «1→2»
n = "f"
with cached_block("w"):
    r = globals()["do_" + n]()
=== miss | vars of a module
import h
with cached_block("w"):
    r = vars(h)["f"]()
--- h.py
def f():
    return «1→2»
=== runs | sys.modules
import sys
import h
with cached_block("w"):
    r = sys.modules["h"].f()
--- h.py
def f():
    return «1→2»
=== runs | sys.modules of a helper's own name
from h import run
with cached_block("w"):
    r = run("f")
--- h.py
import sys
def run(n):
    return getattr(sys.modules[__name__], n)()
def f():
    return «1→2»
=== runs | eval in the body
def f():
    return «1→2»
with cached_block("w"):
    r = eval("f()")
=== runs | eval in a helper
from h import run
with cached_block("w"):
    r = run("g() + 1")
--- h.py
def run(s):
    return eval(s)
def g():
    return «1→2»
=== runs | exec in a helper
from h import run
with cached_block("w"):
    r = run("x = g()")
--- h.py
def run(s):
    d = {}
    exec(s, globals(), d)
    return d
def g():
    return «1→2»
=== miss | a local module that shadows the standard library
import calendar
with cached_block("w"):
    r = calendar.f()
--- calendar.py
def f():
    return «1→2»
=== miss | a local module that shadows the standard library, imported in the body
with cached_block("w"):
    import calendar
    r = calendar.f()
--- calendar.py
def f():
    return «1→2»
=== miss | a namespace package
from ns.sub import m
with cached_block("w"):
    r = m.f()
--- ns/sub/m.py
from ns.k import g
def f():
    return g()
--- ns/k.py
def g():
    return «1→2»
=== miss | a namespace package imported in the body
with cached_block("w"):
    from ns.sub import m
    r = m.f()
--- ns/sub/m.py
def f():
    return «1→2»
=== miss | a src layout
import sys
sys.path.insert(0, "src")
import pkg
with cached_block("w"):
    r = pkg.f()
    import pkg.late
    r += pkg.late.f()
--- src/pkg/__init__.py
def f():
    return 1
--- src/pkg/late.py
def f():
    return «1→2»
=== miss | an editable install
import site
site.addsitedir("site-packages")
import edpkg
with cached_block("w"):
    r = edpkg.f()
--- site-packages/__editable__.edpkg.pth
checkout/src
--- site-packages/checkout/src/edpkg/__init__.py
def f():
    return «1→2»
--- site-packages/edpkg-1.0.dist-info/METADATA
Name: edpkg
Version: 1.0
--- site-packages/edpkg-1.0.dist-info/direct_url.json
{"url": "file:///x", "dir_info": {"editable": true}}
--- site-packages/edpkg-1.0.dist-info/RECORD
__editable__.edpkg.pth,,
=== miss | same-named functions of two modules
from «a→b» import f
with cached_block("w"):
    r = f()
--- a.py
k = 1
def f():
    return k
--- b.py
k = 2
def f():
    return k
=== miss | two classes of one name in one module
from h import x
with cached_block("w"):
    r = x.go()
--- h.py
class A:
    def go(self):
        return «1→2»
x = A()
class A:
    def go(self):
        return 0
=== miss | a symlinked module
import h
with cached_block("w"):
    r = h.f()
--- h.py@real/h_v1.py
--- real/h_v1.py
def f():
    return «1→2»
=== miss | a module that is only a pyc
import h
with cached_block("w"):
    r = h.f()
--- h.pyc
def f():
    return «1→2»
=== miss | a module that is only a pyc, imported in the body
with cached_block("w"):
    import h
    r = h.f()
--- h.pyc
def f():
    return «1→2»
=== miss | a module in a zip
import sys
sys.path.insert(0, "lib.zip")
import h
with cached_block("w"):
    r = h.f()
--- lib.zip!h.py
def f():
    return «1→2»
=== miss | a module in a zip, imported in the body
import sys
sys.path.insert(0, "lib.zip")
with cached_block("w"):
    import h
    r = h.f()
--- lib.zip!h.py
def f():
    return «1→2»
=== miss | singledispatch implementation defined beside it, helper of it in another module
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
from functools import singledispatch
from k import g
@singledispatch
def f(x):
    return "any"
@f.register
def f_int(x: int):
    return g()
--- k.py
def g():
    return «1→2»
=== miss | what __getstate__ leaves out
from h import A
a = A(«1→2»)
with cached_block("w"):
    r = a.k
--- h.py
class A:
    def __init__(self, k):
        self.k = k
    def __getstate__(self):
        return {}
    def __setstate__(self, s):
        self.k = 0
=== miss | what __reduce__ leaves out
from h import A
a = A(«1→2»)
with cached_block("w"):
    r = a.k
--- h.py
class A:
    def __init__(self, k=0):
        self.k = k
    def __reduce__(self):
        return (A, ())
=== miss | attribute of a list subclass
from h import L
x = L([1])
x.unit = "«m→s»"
with cached_block("w"):
    r = x.unit
--- h.py
class L(list):
    pass
=== miss | attribute of a float subclass
from h import L
x = L(1.5)
x.unit = "«m→s»"
with cached_block("w"):
    r = x.unit
--- h.py
class L(float):
    pass
=== miss | attribute of a str subclass in a dict key
from h import L
k = L("a")
k.unit = "«m→s»"
d = {k: 1}
with cached_block("w"):
    r = [x.unit for x in d]
--- h.py
class L(str):
    pass
=== miss | __missing__ of a dict subclass
from h import D
d = D()
with cached_block("w"):
    r = d["x"]
--- h.py
class D(dict):
    def __missing__(self, k):
        return «1→2»
=== miss | factory of a defaultdict
from collections import defaultdict
d = defaultdict(«int→str»)
with cached_block("w"):
    r = dict(d), d.default_factory()
=== miss | maxlen of a deque
from collections import deque
d = deque([1, 2], maxlen=«2→3»)
with cached_block("w"):
    r = d.maxlen
=== miss | order of a dict
d = {«"a": 1, "b": 2→"b": 2, "a": 1»}
with cached_block("w"):
    r = list(d)
=== miss | ranges that are equal
x = range(0, «3→4», 2)
x = range(0, «9→10», 3)
with cached_block("w"):
    r = x.stop
=== miss | equal decimals and fractions
from decimal import Decimal
x = Decimal("1.«0→00»")
with cached_block("w"):
    r = str(x)
=== miss | fold of a datetime
from datetime import datetime
x = datetime(2020, 1, 1, fold=«0→1»)
with cached_block("w"):
    r = x.fold
=== miss | equal instants in two zones
from datetime import datetime, timezone, timedelta
x = datetime(2020, 1, 1, «12→13», tzinfo=timezone(timedelta(hours=«0→1»)))
with cached_block("w"):
    r = x.hour
=== miss | name of a timezone
from datetime import timezone, timedelta
x = timezone(timedelta(0), "«A→B»")
with cached_block("w"):
    r = x.tzname(None)
=== miss | flags of a pattern
import re
p = re.compile("a"«→, re.I»)
with cached_block("w"):
    r = bool(p.match("A"))
=== miss | type code of an array
import array
a = array.array("«i→l»", [1])
with cached_block("w"):
    r = a.typecode
=== miss | set and frozenset
x = «set→frozenset»([1])
with cached_block("w"):
    r = type(x).__name__
=== miss | bytes and bytearray
x = «bytes→bytearray»(b"a")
with cached_block("w"):
    r = repr(x)
=== miss | path flavours
from pathlib import «PurePosixPath→PureWindowsPath» as P
x = P("a")
with cached_block("w"):
    r = repr(x)
=== runs | value of a context variable
from contextvars import ContextVar
v = ContextVar("v")
v.set(«1→2»)
with cached_block("w"):
    r = v.get()
=== runs | value of a context variable in a helper
from h import f, v
v.set(«1→2»)
with cached_block("w"):
    r = f()
--- h.py
from contextvars import ContextVar
v = ContextVar("v", default=0)
def f():
    return v.get()
=== runs | thread-local state in a helper
import h
h.T.k = «1→2»
with cached_block("w"):
    r = h.f()
--- h.py
import threading
T = threading.local()
def f():
    return T.k
=== runs | object behind a weak reference
import weakref
from h import A
a = A(«1→2»)
w = weakref.ref(a)
with cached_block("w"):
    r = w().k
--- h.py
class A:
    def __init__(self, k):
        self.k = k
=== runs | an iterator that was advanced
it = iter([1, 2, 3])
«→next(it)»
with cached_block("w"):
    r = next(it)
=== runs | a generator that was advanced
g = (i for i in range(5))
«→next(g)»
with cached_block("w"):
    r = next(g)
=== runs | itertools.count
import itertools
c = itertools.count()
«→next(c)»
with cached_block("w"):
    r = next(c)
=== runs | position in a StringIO
import io
s = io.StringIO("abc")
«→s.read(1)»
with cached_block("w"):
    r = s.read()
=== miss | itemgetter
from operator import itemgetter
g = itemgetter(«0→1»)
with cached_block("w"):
    r = g("ab")
=== miss | methodcaller on a local class
from operator import methodcaller
from h import A
a = A()
g = methodcaller("go", «1→2»)
with cached_block("w"):
    r = g(a)
--- h.py
class A:
    def go(self, k):
        return k
=== runs | a comparison function under cmp_to_key
import functools
from h import cmp
key = functools.cmp_to_key(cmp)
with cached_block("w"):
    r = sorted([1, 3, 2], key=key)
--- h.py
def cmp(a, b):
    return «a - b→b - a»
=== miss | level of a logger
import logging
log = logging.getLogger("x")
log.setLevel(«10→20»)
with cached_block("w"):
    r = log.level
=== runs | state of a connection
import sqlite3
c = sqlite3.connect(":memory:")
c.execute("create table t(a)")
c.execute("insert into t values («1→2»)")
with cached_block("w"):
    r = c.execute("select a from t").fetchall()
=== miss | a closure's cell
from h import make
f = make(«1→2»)
with cached_block("w"):
    r = f()
--- h.py
def make(k):
    def inner():
        return k
    return inner
=== runs | a closure that counts
from h import make
f = make()
f()
«→f()»
with cached_block("w"):
    r = f()
--- h.py
def make():
    n = 0
    def inner():
        nonlocal n
        n += 1
        return n
    return inner
=== miss | a helper's list that was appended to
import h
h.log(1)
«→h.log(2)»
with cached_block("w"):
    r = h.count()
--- h.py
seen = []
def log(x):
    seen.append(x)
def count():
    return len(seen)
=== miss | class attribute changed by an instance count
from h import A
a = A()
«→b = A()»
with cached_block("w"):
    r = A.n
--- h.py
class A:
    n = 0
    def __init__(self):
        A.n += 1
=== miss | __class__ of an object reassigned
from h import A, B
o = A()
«→o.__class__ = B»
with cached_block("w"):
    r = o.go()
--- h.py
class A:
    def go(self):
        return "a"
class B:
    def go(self):
        return "b"
=== miss | an implicit special method: __len__ as truth
from h import A
a = A()
with cached_block("w"):
    r = "yes" if a else "no"
--- h.py
class A:
    def __len__(self):
        return «1→0»
=== miss | an implicit special method: __radd__
from h import A
a = A()
with cached_block("w"):
    r = 1 + a
--- h.py
class A:
    def __radd__(self, o):
        return «1→2»
=== miss | an implicit special method: __format__
from h import A
a = A()
with cached_block("w"):
    r = f"{a:x}"
--- h.py
class A:
    def __format__(self, s):
        return "«1→2»"
=== miss | an implicit special method: __lt__ in sorted
from h import A
a = [A(1), A(2)]
with cached_block("w"):
    r = [x.k for x in sorted(a)]
--- h.py
class A:
    def __init__(self, k):
        self.k = k
    def __lt__(self, o):
        return self.k «<→>» o.k
=== miss | __getattr__ of a class
from h import A
a = A()
with cached_block("w"):
    r = a.x
--- h.py
class A:
    def __getattr__(self, n):
        if n.startswith("__"):
            raise AttributeError(n)
        return «1→2»
=== miss | __getattr__ that forwards to an inner object
from h import Wrap, Inner
a = Wrap(Inner())
with cached_block("w"):
    r = a.go()
--- h.py
class Inner:
    def go(self):
        return «1→2»
class Wrap:
    def __init__(self, o):
        self.o = o
    def __getattr__(self, n):
        return getattr(self.__dict__["o"], n)
=== miss | a context manager of a helper
from h import ctx
with cached_block("w"):
    with ctx() as r:
        pass
--- h.py
from contextlib import contextmanager
@contextmanager
def ctx():
    yield «1→2»
=== miss | __match_args__
from h import A
a = A()
with cached_block("w"):
    match a:
        case A(v):
            r = v
--- h.py
class A:
    __match_args__ = ("«x→y»",)
    x = 1
    y = 2
=== miss | a private name in a method
from h import A
with cached_block("w"):
    r = A().go()
--- h.py
class A:
    __k = «1→2»
    def go(self):
        return self.__k
=== miss | a mangled global
from h import A
with cached_block("w"):
    r = A().go()
--- h.py
_A__k = «1→2»
class A:
    def go(self):
        return __k
=== miss | an annotation that a helper reads
from h import f, g
with cached_block("w"):
    r = f()
--- h.py
def g(x: «int→str»):
    return x
def f():
    return g.__annotations__["x"].__name__
=== miss | type hints of an upstream function
import typing
from h import g
with cached_block("w"):
    r = str(typing.get_type_hints(g))
--- h.py
def g(x: «int→str»):
    return x
=== runs | annotations of a class, read by a base
from h import A
with cached_block("w"):
    r = A().kinds()
--- h.py
class Base:
    def kinds(self):
        return [t.__name__ for t in self.__annotations__.values()]
class A(Base):
    x: «int→str»
=== miss | a docstring that a helper reads
from h import f
with cached_block("w"):
    r = f()
--- h.py
def g():
    """«one→two»"""
def f():
    return g.__doc__
=== miss | the module's docstring
__doc__ = "Usage: «one→two»"
with cached_block("w"):
    r = __doc__
=== miss | the docstring of a helper's module
import h
with cached_block("w"):
    r = h.usage()
--- h.py
"""Usage: «one→two»"""
def usage():
    return __doc__
=== miss | inspect.getsource of a helper
import inspect
from h import f
with cached_block("w"):
    r = inspect.getsource(f)
--- h.py
def f():
    return 1  # «one→two»
=== miss | names of functions as column names
def «mean→average»(x):
    return x
steps = [«mean→average»]
with cached_block("w"):
    r = [s.__name__ for s in steps]
=== miss | a parameter's name, by signature
import inspect
from h import f
with cached_block("w"):
    r = list(inspect.signature(f).parameters)
--- h.py
def f(«a→b»):
    return 1
=== miss | the type name of an upstream object
from h import x
with cached_block("w"):
    r = type(x).__name__
--- h.py
class «A→B»:
    pass
x = «A→B»()
=== runs | numpy: function below a frompyfunc
import numpy as np
from h import f
u = np.frompyfunc(f, 1, 1)
with cached_block("w"):
    r = u(1)
--- h.py
def f(x):
    return x + «1→2»
=== miss | numpy: function below a vectorize
import numpy as np
from h import f
u = np.vectorize(f)
with cached_block("w"):
    r = u([1]).tolist()
--- h.py
def f(x):
    return x + «1→2»
=== miss | numpy: memory order
import numpy as np
a = np.array([[1, 2], [3, 4]], order="«C→F»")
with cached_block("w"):
    r = a.ravel(order="K").tolist()
=== miss | numpy: attribute of a subclass
import numpy as np
from h import Q
a = np.arange(2).view(Q)
a.unit = "«m→s»"
with cached_block("w"):
    r = a.unit
--- h.py
import numpy as np
class Q(np.ndarray):
    pass
=== miss | numpy: hidden data below a mask, and fill value
import numpy as np
a = np.ma.array([1, 2], mask=[1, 0], fill_value=«7→8»)
with cached_block("w"):
    r = a.filled().tolist()
=== miss | numpy: a writable array
import numpy as np
a = np.arange(3)
a.flags.writeable = «True→False»
with cached_block("w"):
    r = a.flags.writeable
=== miss | numpy: metadata of a dtype and names of fields
import numpy as np
a = np.zeros(1, dtype=[("«a→b»", "i4")])
with cached_block("w"):
    r = a.dtype.names
=== miss | numpy: state of a generator
import numpy as np
g = np.random.default_rng(«1→2»)
with cached_block("w"):
    k = np.random.default_rng(1)
    r = g.bit_generator.state["state"]["state"]
=== miss | pandas: attrs
import pandas as pd
df = pd.DataFrame({"a": [1]})
df.attrs["unit"] = "«m→s»"
with cached_block("w"):
    r = df.attrs
=== miss | pandas: names of axes, order of categories, freq
import pandas as pd
df = pd.DataFrame({"a": [1]})
df.columns.name = "«x→y»"
with cached_block("w"):
    r = df.columns.name
=== miss | pandas: order of categories
import pandas as pd
s = pd.Series(pd.Categorical(["a", "b"], categories=«["a", "b"]→["b", "a"]», ordered=True))
with cached_block("w"):
    r = s.max()
=== miss | pandas: freq of an index
import pandas as pd
i = pd.DatetimeIndex(["2020-01-01", "2020-01-02"], freq=«None→"D"»)
with cached_block("w"):
    r = str(i.freq)
=== miss | pandas: an accessor in a module that is only imported
import pandas as pd
import acc
df = pd.DataFrame({"a": [1]})
with cached_block("w"):
    r = df.my.f()
--- acc.py
import pandas as pd
@pd.api.extensions.register_dataframe_accessor("my")
class My:
    def __init__(self, df):
        self.df = df
    def f(self):
        return «1→2»
=== miss | pandas: a function called from a query
import pandas as pd
from h import f
df = pd.DataFrame({"a": [1, 2, 3]})
def g(x):
    return x + «1→2»
with cached_block("w"):
    r = df.query("@g(a) > 3")["a"].tolist()
--- h.py
def f(x):
    return x
=== runs | pandas: a groupby object upstream
import pandas as pd
df = pd.DataFrame({"a": [1, 1], "b": [1, «2→3»]})
g = df.groupby("a")
with cached_block("w"):
    r = g["b"].sum().tolist()
=== miss | pandas: a method by name on a subclass
import pandas as pd
from h import F
df = F({"a": [1]})
with cached_block("w"):
    r = getattr(df, "go")()
--- h.py
import pandas as pd
class F(pd.DataFrame):
    @property
    def _constructor(self):
        return F
    def go(self):
        return «1→2»
=== miss | pandas: metadata of a subclass
import pandas as pd
from h import F
df = F({"a": [1]})
df.unit = "«m→s»"
with cached_block("w"):
    r = df.unit
--- h.py
import pandas as pd
class F(pd.DataFrame):
    _metadata = ["unit"]
    @property
    def _constructor(self):
        return F
=== runs | sklearn: function in a FunctionTransformer of a pipeline
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from h import f
p = make_pipeline(FunctionTransformer(f))
with cached_block("w"):
    r = p.fit_transform([[1]])
--- h.py
def f(x):
    return [[x[0][0] + «1→2»]]
=== miss | a registered abstract base
from abc import ABC
class A(ABC):
    pass
class B:
    pass
«→A.register(B)»
with cached_block("w"):
    r = isinstance(B(), A)
=== miss | json with a default function
import json
from h import enc
with cached_block("w"):
    r = json.dumps({1}, default=enc)
--- h.py
def enc(o):
    return «1→2»
=== miss | a thread's target
import threading
from h import f
out = []
with cached_block("w"):
    out = []
    t = threading.Thread(target=f, args=(out,))
    t.start()
    t.join()
    r = list(out)
    del t
--- h.py
def f(o):
    o.append(«1→2»)
=== miss | a module replaced in sys.modules
import sys
import types
m = types.ModuleType("dyn")
exec("def f():\n    return «1→2»", m.__dict__)
sys.modules["dyn"] = m
import dyn
with cached_block("w"):
    r = dyn.f()
=== miss | a module replaced in sys.modules, imported in the body
import sys
import types
m = types.ModuleType("dyn")
exec("def f():\n    return «1→2»", m.__dict__)
sys.modules["dyn"] = m
with cached_block("w"):
    import dyn
    r = dyn.f()
=== runs | a module that replaces itself by an object
import h
with cached_block("w"):
    r = h.k
--- h.py
import sys
class M:
    @property
    def k(self):
        return «1→2»
sys.modules[__name__] = M()
=== miss | a function patched for the block
from unittest import mock
import h
with mock.patch("h.f", lambda: «1→2»):
    with cached_block("w"):
        r = h.go()
--- h.py
def f():
    return 0
def go():
    return f()
=== miss | code of a function replaced
import h
«→h.f.__code__ = h.g.__code__»
with cached_block("w"):
    r = h.f()
--- h.py
def f():
    return 1
def g():
    return 2
=== miss | defaults of a function replaced
import h
h.f.__defaults__ = («1→2»,)
with cached_block("w"):
    r = h.f()
--- h.py
def f(k=0):
    return k
=== miss | a local package whose submodule is an attribute of an alias
import pkg as p
import pkg.sub.m
with cached_block("w"):
    r = p.sub.m.f()
--- pkg/__init__.py
--- pkg/sub/__init__.py
--- pkg/sub/m.py
def f():
    return «1→2»
=== miss | a re-export through three packages
from pkg import f
with cached_block("w"):
    r = f()
--- pkg/__init__.py
from .a import f as f
--- pkg/a/__init__.py
from ..b import _g as f
--- pkg/b.py
def _g():
    return «1→2»
=== miss | a mutual recursion over modules
import a
with cached_block("w"):
    r = a.f(3)
--- a.py
import b
def f(n):
    return 0 if n == 0 else b.g(n - 1)
--- b.py
import a
def g(n):
    return «1→2» + a.f(n)
=== miss | a block in a function with arguments and closures
def outer(k):
    def go(x):
        with cached_block("w"):
            y = x + k
        return y
    return go
r = outer(«1→2»)(1)
=== miss | a block in a method
class A:
    k = «1→2»
    def go(self):
        with cached_block("w"):
            y = self.k
        return y
r = A().go()
=== miss | a block in a loop
r = []
for i in range(«2→3»):
    with cached_block("w"):
        y = i * i
    r.append(y)
=== miss | super in a block of a method
class A:
    def go(self):
        return «1→2»
class B(A):
    def go(self):
        with cached_block("w"):
            y = super().go()
        return y
r = B().go()
=== miss | a class made in the body with a base from elsewhere
from h import A
with cached_block("w"):
    class B(A):
        pass
    r = B().go()
--- h.py
class A:
    def go(self):
        return «1→2»
=== miss | a function made in a body, called after it
from h import g
with cached_block("w"):
    def f():
        return g()
r = f()
--- h.py
def g():
    return «1→2»
=== miss | a default in a function made in the body
k = «1→2»
with cached_block("w"):
    def f(x=k):
        return x
    r = f()
=== miss | a global read by a function made in an earlier block
k = «1→2»
with cached_block("a"):
    def f():
        return k
with cached_block("w"):
    r = f()
=== miss | a chain of blocks
with cached_block("a"):
    x = «1→2»
with cached_block("b"):
    y = x + 1
r = y
=== miss | a chain of blocks with an instance of a local class
from h import A
with cached_block("a"):
    a = A()
with cached_block("b"):
    r = a.go()
--- h.py
class A:
    def go(self):
        return «1→2»
=== miss | name mangling in a block
class A:
    __k = «1→2»
    def go(self):
        with cached_block("w"):
            y = self.__k
        return y
r = A().go()
=== miss | a walrus and a conditional binding
x = «0→5»
with cached_block("w"):
    if (y := x) > 3:
        z = 1
    else:
        z = 0
r = (y, z)
=== miss | augmented assignment of an upstream name
x = «1→2»
with cached_block("w"):
    x += 1
r = x
=== runs | a helper that reads a global of main through an import
import h
K = «1→2»
with cached_block("w"):
    r = h.f()
--- h.py
def f():
    import __main__
    return __main__.K
=== runs | a frame-inspecting helper
import h
K = «1→2»
with cached_block("w"):
    r = h.f("K")
--- h.py
import sys
def f(n):
    return sys._getframe(1).f_globals[n]
=== runs | text template with the local scope
import h
K = «1→2»
with cached_block("w"):
    r = h.f("{K}")
--- h.py
import inspect
def f(t):
    return t.format_map(inspect.currentframe().f_back.f_globals)
=== miss | a dataclass that inherits fields from another module
from h import B
with cached_block("w"):
    r = B()
print(r)
--- h.py
from dataclasses import dataclass
from k import A
@dataclass
class B(A):
    y: int = 1
--- k.py
from dataclasses import dataclass
@dataclass
class A:
    x: int = «1→2»
=== miss | __set_name__
from h import A
with cached_block("w"):
    r = A.p.k
--- h.py
class D:
    def __set_name__(self, o, n):
        self.k = n + "«1→2»"
class A:
    p = D()
=== miss | __class_getitem__
from h import A
with cached_block("w"):
    r = A[0]
--- h.py
class A:
    def __class_getitem__(cls, i):
        return «1→2»
=== miss | staticmethod and classmethod
from h import A
with cached_block("w"):
    r = A.make()
--- h.py
class A:
    @staticmethod
    def s():
        return «1→2»
    @classmethod
    def make(cls):
        return cls.s()
=== miss | a staticmethod that becomes a function
from h import A
with cached_block("w"):
    r = callable(A.__dict__["f"]) and len(A.f.__get__(1).__class__.__name__)
    r = type(A.__dict__["f"]).__name__
--- h.py
class A:
    «@staticmethod→»
    def f(x):
        return 1
=== miss | functools.reduce over upstream functions
from functools import reduce
from h import fs
with cached_block("w"):
    r = reduce(lambda x, f: f(x), fs, 1)
--- h.py
fs = tuple((lambda k: lambda x: x * 10 + k)(i) for i in («1, 2→2, 1»))
=== miss | late-bound lambdas in a loop
from h import fs
with cached_block("w"):
    r = [f() for f in fs]
--- h.py
fs = [lambda«→ i=i»: i for i in range(3)]
=== miss | an exception class of a helper
from h import f, Base
with cached_block("w"):
    try:
        r = f()
    except Base:
        r = "caught"
    except Exception:
        r = "other"
--- h.py
class Base(Exception):
    pass
class E(«Base→Exception»):
    pass
def f():
    raise E
=== miss | base of an exception
from h import f
with cached_block("w"):
    try:
        r = f()
    except ValueError:
        r = "value"
    except Exception:
        r = "other"
--- h.py
class E(«ValueError→KeyError»):
    pass
def f():
    raise E
=== miss | a type alias and a NewType
from h import T
with cached_block("w"):
    r = T(3.5)
--- h.py
T = «int→float»
=== miss | a generic alias
from h import T
with cached_block("w"):
    r = str(T)
--- h.py
T = dict[str, «int→float»]
=== miss | a union type
from h import T
with cached_block("w"):
    r = isinstance(1.0, T)
--- h.py
T = int | «str→float»
=== miss | argparse namespace
import argparse
args = argparse.Namespace(lr=«1→2»)
with cached_block("w"):
    r = args.lr
=== miss | a config attribute of a class used as a namespace
class Cfg:
    class opt:
        lr = «1→2»
with cached_block("w"):
    r = Cfg.opt.lr
=== miss | configparser
import configparser
c = configparser.ConfigParser()
c.read_string("[a]\nk = «1→2»")
with cached_block("w"):
    r = c["a"]["k"]
=== miss | a mapping proxy and a chain map
from collections import ChainMap
from types import MappingProxyType
d = ChainMap({"a": 1}, MappingProxyType({"b": «1→2»}))
with cached_block("w"):
    r = d["b"]
=== miss | a ctypes structure
import ctypes
x = ctypes.c_int(«1→2»)
with cached_block("w"):
    r = x.value
=== miss | an xml element
import xml.etree.ElementTree as ET
x = ET.fromstring("<a k='«1→2»'/>")
with cached_block("w"):
    r = x.get("k")
=== miss | identity between upstream values
a = [1]
b = «a→[1]»
with cached_block("w"):
    r = a is b
=== miss | identity inside an upstream container
x = [1]
a = [x, «x→[1]»]
with cached_block("w"):
    import copy
    b = copy.deepcopy(a)
    b[0].append(2)
    r = b
=== miss | an attribute of a class that the metaclass computes
from h import A
with cached_block("w"):
    r = A.k
--- h.py
class M(type):
    @property
    def k(cls):
        return «1→2»
class A(metaclass=M):
    pass
=== miss | instance check of a metaclass
from h import A
with cached_block("w"):
    r = isinstance(1, A)
--- h.py
class M(type):
    def __instancecheck__(cls, o):
        return «True→False»
class A(metaclass=M):
    pass
=== runs | a protocol checked at run time
from h import P, A
with cached_block("w"):
    r = isinstance(A(), P)
--- h.py
from typing import Protocol, runtime_checkable
@runtime_checkable
class P(Protocol):
    def «go→run»(self): ...
class A:
    def go(self):
        pass
=== miss | strict zip codes: big and small integers
x = «10**30→10**30 + 1»
with cached_block("w"):
    r = x
=== miss | surrogates and composed characters
x = "«\u00e9→e\u0301»"
with cached_block("w"):
    r = len(x)
=== miss | a sub-function named only in a string format
from h import f
with cached_block("w"):
    r = f()
--- h.py
class A:
    @property
    def v(self):
        return «1→2»
def f():
    return "{0.v}".format(A())
=== miss | a string dispatch on self
from h import A
with cached_block("w"):
    r = A().run("x")
--- h.py
class A:
    def run(self, n):
        return getattr(self, "do_" + n)()
    def do_x(self):
        return «1→2»
=== miss | a visitor with handlers found by name
import ast
from h import V
with cached_block("w"):
    v = V()
    v.visit(ast.parse("a"))
    r = v.out
    del v
--- h.py
import ast
class V(ast.NodeVisitor):
    out = 0
    def visit_Name(self, n):
        self.out = «1→2»
=== miss | a pool's function
from concurrent.futures import ThreadPoolExecutor
from h import f
with cached_block("w"):
    with ThreadPoolExecutor(1) as ex:
        r = list(ex.map(f, [1]))
    del ex
--- h.py
def f(x):
    return x + «1→2»
=== miss | copyreg and __copy__
import copy
from h import A
a = A()
with cached_block("w"):
    r = copy.copy(a).k
--- h.py
class A:
    k = 0
    def __copy__(self):
        b = A()
        b.k = «1→2»
        return b
=== miss | __del__ that matters
from h import A, out
with cached_block("w"):
    a = A()
    r = a.close()
    del a
--- h.py
out = []
class A:
    def close(self):
        return self.__del__()
    def __del__(self):
        return «1→2»
=== hit | cosmetic: a comment, black's commas and other quotes in a helper
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
def f(x):
    return dict(«a=x, b='q'→
        a=x,  # why
        b="q",
    »)
=== hit | cosmetic: order of functions in a module
from h import f
with cached_block("w"):
    r = f()
--- h.py
«def g(): return 1→»
def f():
    return g()
«→def g(): return 1»
=== hit | cosmetic: an unused import in a helper
from h import f
with cached_block("w"):
    r = f()
--- h.py
«→import os»
def f():
    return 1
=== hit | cosmetic: a temporary renamed in a helper
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    «tmp→value» = 1
    return «tmp→value» + 1
=== hit | cosmetic: literals written otherwise
from h import f
with cached_block("w"):
    r = f()
--- h.py
def f():
    return «1000, 16, "ab", (1, 2)→1_000, 0x10, "a" "b", ((1), 2,)»
=== hit | cosmetic: import alias in main
import math«→ as m»
with cached_block("w"):
    r = «math→m».floor(1.5)
=== hit | cosmetic: a docstring in the body
with cached_block("w"):
    «→"""What it does."""»
    x = 1
    r = x
=== hit | cosmetic: quotes and numbers in the body
with cached_block("w"):
    r = («'a', 1000→"a", 1_000»)
=== hit | cosmetic: __all__ and a main guard in a helper's module
from h import f
with cached_block("w"):
    r = f()
--- h.py
«→__all__ = ["f"]»
def f():
    return 1
«→if __name__ == "__main__":
    print(f())»
=== hit | cosmetic: a class docstring and annotation of a method
from h import A
with cached_block("w"):
    r = A().go(1)
--- h.py
class A:
    «→"""An A."""»
    def go(self, x«→: int»)«→ -> int»:
        return x
=== hit | cosmetic: a type-checking import
from h import f
with cached_block("w"):
    r = f()
--- h.py
«→from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import numpy»
def f():
    return 1
=== hit | cosmetic: an unrelated function in main and another order of imports
«import math→import json»
«import json→import math»
«→def other(): pass»
with cached_block("w"):
    r = math.floor(1.5), json.dumps(1)
=== hit | cosmetic: comment in a module that is imported in the body
with cached_block("w"):
    import h
    r = h.f()
--- h.py
«→# a comment»
def f():
    «→"""A docstring."""»
    return 1
=== hit | cosmetic: unrelated function in a module that is imported in the body
with cached_block("w"):
    from h import f
    r = f()
--- h.py
def f():
    return 1
«→def other(): pass»
=== hit | cosmetic: pass, semicolons, parentheses in a helper
from h import f
with cached_block("w"):
    r = f(2)
--- h.py
def f(x):
    «→pass»
    if «(x > 1)→x > 1»:
        return x«→;»
    return not «x in [1]→(x in [1])»
=== hit | cosmetic: postponed annotations
from h import f
with cached_block("w"):
    r = f(2)
--- h.py
«→from __future__ import annotations»
def f(x: int):
    return x
=== hit | cosmetic: a docstring of a dataclass and of a module
from h import A
a = A(1)
with cached_block("w"):
    r = a.x
--- h.py
«→"""The module."""»
from dataclasses import dataclass
@dataclass
class A:
    «→"""The class."""»
    x: int
=== hit | cosmetic: a print after the block, a moved block
x = 1
with cached_block("w"):
    r = x
«→y = 3»
=== hit | cosmetic: an explicit else-branch comment, blank lines and a long line split
x = 1
with cached_block("w"):
    if x:
        r = x + 1 +«  → \
            »2

    else:
«        pass→        # nothing
        pass»
        r = 0
=== hit | cosmetic: annotation of a temporary in the body
with cached_block("w"):
    x«→: int» = 1
    r = x
=== hit | cosmetic: annotation of a temporary in the body of a function
def go():
    with cached_block("w"):
        x«→: int» = 1
    return x
r = go()
=== miss | a standard decorator with wraps: ContextDecorator
from h import f
with cached_block("w"):
    r = f()
--- h.py
from contextlib import ContextDecorator
class ctx(ContextDecorator):
    def __enter__(self):
        return self
    def __exit__(self, *a):
        return False
@ctx()
def f():
    return «1→2»
=== miss | a standard decorator with wraps: a callee of a context manager
from h import ctx
with cached_block("w"):
    with ctx() as r:
        pass
--- h.py
from contextlib import contextmanager
def g():
    return «1→2»
@contextmanager
def ctx():
    yield g()
=== miss | a standard decorator with wraps: asynccontextmanager
import asyncio
from h import go
with cached_block("w"):
    r = asyncio.run(go())
--- h.py
from contextlib import asynccontextmanager
@asynccontextmanager
async def ctx():
    yield «1→2»
async def go():
    async with ctx() as v:
        return v
=== miss | a library's decorator with wraps: np.errstate
from h import f
with cached_block("w"):
    r = f()
--- h.py
import numpy as np
@np.errstate(all="ignore")
def f():
    return «1→2»
=== miss | a repr under recursive_repr
from h import A
with cached_block("w"):
    r = repr(A())
--- h.py
import reprlib
class A:
    @reprlib.recursive_repr()
    def __repr__(self):
        return "«1→2»"
=== runs | a library's wrapper around a function that evaluates text
from h import ctx
with cached_block("w"):
    with ctx() as r:
        pass
--- h.py
from contextlib import contextmanager
k = «1→2»
def _ctx():
    yield eval("k")
ctx = contextmanager(_ctx)
=== miss | a special method that is not a plain function
from h import A
with cached_block("w"):
    r = A()()
--- h.py
class Go:
    def __call__(self):
        return «1→2»
class A:
    __call__ = Go()
=== miss | a cached special method
from h import A
with cached_block("w"):
    r = A()[0]
--- h.py
from functools import lru_cache
class A:
    @lru_cache
    def __getitem__(self, i):
        return «1→2»
=== miss | a special attribute of a class
from h import A
with cached_block("w"):
    r = A().__tablename__
--- h.py
class A:
    __tablename__ = "«a→b»"
=== miss | priority of an array-like
import numpy as np
from h import A
with cached_block("w"):
    r = np.ones(1) * A()
--- h.py
class A:
    __array_ufunc__ = None
    __rmul__ = lambda self, o: «1→2»
=== miss | metadata of a dataclass field
from dataclasses import fields
from h import A
with cached_block("w"):
    r = [f.metadata["unit"] for f in fields(A)]
--- h.py
from dataclasses import dataclass, field
@dataclass
class A:
    x: int = field(default=0, metadata={"unit": "«m→s»"})
=== miss | a class that only an annotation names
from dataclasses import fields
from h import Cfg, build
with cached_block("w"):
    r = build(Cfg)
--- h.py
from dataclasses import dataclass, fields
@dataclass
class Opt:
    lr: int = «1→2»
@dataclass
class Cfg:
    opt: Opt
def build(c):
    return {f.name: f.type().lr for f in fields(c)}
=== runs | an object in an Annotated
from h import A, unit
with cached_block("w"):
    r = unit(A)
--- h.py
from typing import Annotated, get_type_hints
class Unit:
    def __init__(self, u):
        self.u = u
class A:
    x: Annotated[int, Unit("«m→s»")]
def unit(c):
    return get_type_hints(c, include_extras=True)["x"].__metadata__[0].u
=== miss | a parametrised base, read from __orig_bases__
from h import A
with cached_block("w"):
    r = A().kind()
--- h.py
from typing import Generic, TypeVar, get_args
T = TypeVar("T")
class Base(Generic[T]):
    def kind(self):
        return get_args(type(self).__orig_bases__[0])[0].__name__
class A(Base[«int→str»]):
    pass
=== miss | a subclass of property
from h import A
with cached_block("w"):
    r = A().p
--- h.py
class prop(property):
    def __get__(self, o, t=None):
        return super().__get__(o, t) * «10→20»
class A:
    @prop
    def p(self):
        return 1
=== miss | a subclass of classmethod
from h import A
with cached_block("w"):
    r = A.p()
--- h.py
class cm(classmethod):
    def __get__(self, o, t=None):
        return lambda: «1→2»
class A:
    @cm
    def p(cls):
        return 0
=== miss | a module attribute assigned from outside, imported in the body
import h
h.k = «1→2»
with cached_block("w"):
    import h
    r = h.k
--- h.py
k = 0
=== miss | a module attribute assigned from outside, imported in a helper
import cfg
from h import f
cfg.k = «1→2»
with cached_block("w"):
    r = f()
--- cfg.py
k = 0
--- h.py
def f():
    from cfg import k
    return k
=== runs | import_module in a module that is imported in the body
with cached_block("w"):
    from h import f
    r = f()
--- h.py
import importlib
def f():
    return importlib.import_module("k").g()
--- k.py
def g():
    return «1→2»
=== runs | sys.path extended in the body
with cached_block("w"):
    import sys
    sys.path.insert(0, "src")
    import k
    r = k.g()
--- src/k.py
def g():
    return «1→2»
=== runs | sys.path extended in a helper
from h import f
with cached_block("w"):
    r = f()
--- h.py
import sys
def f():
    sys.path.insert(0, "src")
    import k
    return k.g()
--- src/k.py
def g():
    return «1→2»
=== miss | an editable install by an import hook, imported in the body
import importlib.util
import sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "edpkg":
            return importlib.util.spec_from_file_location(name, "checkout/edpkg/__init__.py")
sys.meta_path.append(Finder)
with cached_block("w"):
    import edpkg
    r = edpkg.f()
--- checkout/edpkg/__init__.py
def f():
    return «1→2»
=== miss | an editable install by an import hook
import importlib.util
import sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "edpkg":
            return importlib.util.spec_from_file_location(name, "checkout/edpkg/__init__.py")
sys.meta_path.append(Finder)
import edpkg
with cached_block("w"):
    r = edpkg.f()
--- checkout/edpkg/__init__.py
def f():
    return «1→2»
=== runs | a script loaded by its path in a helper
from h import load
with cached_block("w"):
    r = load("step.py").f()
    load = None
--- h.py
import importlib.util
def load(p):
    spec = importlib.util.spec_from_file_location("step", p)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m
--- step.py
def f():
    return «1→2»
=== runs | runpy in a helper
from h import load
with cached_block("w"):
    r = load("step.py")
--- h.py
import runpy
def load(p):
    return runpy.run_path(p)["k"]
--- step.py
k = «1→2»
=== runs | a function named by text, resolved by a library
import pkgutil
with cached_block("w"):
    r = pkgutil.resolve_name("h:f")()
--- h.py
def f():
    return «1→2»
=== runs | import_module under an alias in a helper
from h import run
with cached_block("w"):
    r = run("k")
--- h.py
from importlib import import_module as load
def run(n):
    return load(n).g()
--- k.py
def g():
    return «1→2»
=== runs | eval under an alias in a helper
from h import run
with cached_block("w"):
    r = run("k")
--- h.py
_eval = eval
k = «1→2»
def run(t):
    return _eval(t)
=== runs | __globals__ of a function in a helper
from h import run
with cached_block("w"):
    r = run("k")
--- h.py
k = «1→2»
def run(n):
    return run.__globals__[n]
=== miss | getattr of a dunder name of a module
import h
with cached_block("w"):
    r = getattr(h, "__version__")
--- h.py
__version__ = "«1→2»"
=== miss | getattr of a module with a __getattr__
import h
with cached_block("w"):
    r = getattr(h, "k")
--- h.py
def __getattr__(n):
    return n + "«1→2»"
=== miss | polars: a query that names a frame of main
import polars as pl
df = pl.DataFrame({"a": [«1→2»]})
with cached_block("w"):
    r = pl.sql("select a from df").collect()["a"].to_list()
=== runs | polars: a function in a lazy plan
import polars as pl
from h import f
q = pl.LazyFrame({"a": [1]}).select(pl.col("a").map_elements(f, return_dtype=pl.Int64))
with cached_block("w"):
    r = q.collect()["a"].to_list()
--- h.py
def f(x):
    return x + «1→2»
=== miss | pandas.eval of a global
import pandas as pd
K = «1→2»
with cached_block("w"):
    r = int(pd.eval("K * 2"))
=== miss | an upstream object and a module of one name
from types import SimpleNamespace
import cfg as c
cfg = SimpleNamespace(lr=0)
with cached_block("w"):
    r = cfg.lr + c.f()
--- cfg.py
lr = «1→2»
def f():
    return lr
=== miss | two scripts run by path, each with a constant of one name
import runpy
f = runpy.run_path("a.py")["f"]
g = runpy.run_path("b.py")["f"]
with cached_block("w"):
    r = f() + g()
--- a.py
K = 1
def f():
    return K
--- b.py
K = «1→2»
def f():
    return K
=== miss | two modules loaded under one name
import importlib.util
def load(p):
    spec = importlib.util.spec_from_file_location("mod", p)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m
a, b = load("a.py"), load("b.py")
with cached_block("w"):
    r = a.K + b.K
--- a.py
K = 1
--- b.py
K = «1→2»
=== miss | two functions made by exec, each with a global of one name
d, e = {}, {}
exec("k = 1\ndef f(): return k", d)
exec("k = «1→2»\ndef f(): return k", e)
f, g = d["f"], e["f"]
with cached_block("w"):
    r = f() + g()
=== miss | a builtin replaced
import builtins
old = builtins.sum
builtins.sum = lambda x: old(x) * «1→2»
with cached_block("w"):
    r = sum([1])
=== miss | factory of a defaultdict, a local function
from collections import defaultdict
from h import f
d = defaultdict(f)
with cached_block("w"):
    r = d.copy()["x"]
--- h.py
def f():
    return «1→2»
=== miss | docstring of a module that is imported in the body
with cached_block("w"):
    import h
    r = h.__doc__
--- h.py
"""«one→two»"""
=== miss | a standard module's constant replaced
import math
math.tau = «1→2»
with cached_block("w"):
    r = math.tau
=== miss | a method put on a library's class
import pandas as pd
from h import go
pd.DataFrame.go = go
df = pd.DataFrame({"a": [1]})
with cached_block("w"):
    r = df.go()
--- h.py
def go(self):
    return «1→2»
=== miss | a functional namedtuple from a factory of a library
from h import P
with cached_block("w"):
    r = P(1, 2).a
--- h.py
from typing import NamedTuple
P = NamedTuple("P", [("«a→b»", int), ("«b→a»", int)])
=== miss | a class that claims another module
from h import A
with cached_block("w"):
    r = A().go()
--- h.py
class A:
    __module__ = "json"
    def go(self):
        return «1→2»
=== miss | an instance of a class that claims another module
import h
a = h.A()
with cached_block("w"):
    r = a.go()
--- h.py
def public(c):
    c.__module__ = "collections"
    return c
@public
class A:
    def go(self):
        return «1→2»
=== miss | a functional enum
from h import E
with cached_block("w"):
    r = E.A.value
--- h.py
from enum import Enum
E = Enum("E", {"A": «1→2»})
=== runs | fields of a ctypes structure
import ctypes
from h import S
with cached_block("w"):
    r = ctypes.sizeof(S)
--- h.py
import ctypes
class S(ctypes.Structure):
    _fields_ = [("a", ctypes.«c_int8→c_int64»)]
=== miss | sklearn: a scorer of a local function
from sklearn.metrics import make_scorer
from h import f
s = make_scorer(f)
with cached_block("w"):
    r = s._score_func(1, 1)
--- h.py
def f(a, b):
    return «1→2»
=== effect | a helper that sets a global of its module
import h
with cached_block("w"):
    h.setup(5)
r = h.k
--- h.py
k = 0
def setup(v):
    global k
    k = v
=== effect | an attribute of a module set in the body
import h
with cached_block("w"):
    h.k = 5
r = h.k
--- h.py
k = 0
=== effect | an attribute of a class set in the body
class A:
    k = 0
with cached_block("w"):
    A.k = 5
r = A.k
=== effect | a class attribute set by a constructor that the body calls
import h
with cached_block("w"):
    a = h.A()
r = h.A.n
--- h.py
class A:
    n = 0
    def __init__(self):
        type(self).n += 1
=== effect | a module imported and set up in the body
with cached_block("w"):
    import h
    h.k = 5
r = h.k
--- h.py
k = 0
=== effect | a module that a body's import sets up by another
with cached_block("w"):
    import setup
import h
r = h.k
--- h.py
k = 0
--- setup.py
import h
h.k = 5
=== effect | a registration in the body by a decorator
from h import register, TABLE
with cached_block("w"):
    @register
    def f():
        return 1
r = sorted(TABLE)
--- h.py
TABLE = {}
def register(f):
    TABLE[f.__name__] = f
    return f
=== effect | a subclass made in the body
from h import Base
with cached_block("w"):
    class X(Base):
        pass
r = len(Base.known), len(Base.__subclasses__())
--- h.py
class Base:
    known = []
    def __init_subclass__(cls):
        Base.known.append(cls.__name__)
=== miss | an upstream object and a module of one name, the object edited
from types import SimpleNamespace
import cfg as c
cfg = SimpleNamespace(lr=«1→2»)
with cached_block("w"):
    r = cfg.lr + c.f()
--- cfg.py
lr = 0
def f():
    return lr
=== effect | setattr of a module in the body
import h
with cached_block("w"):
    setattr(h, "k", 5)
r = h.k
--- h.py
k = 0
=== effect | a helper that sets up another module
import cfg
from h import setup
with cached_block("w"):
    setup()
r = cfg.k
--- cfg.py
k = 0
--- h.py
def setup():
    import cfg
    cfg.k = 5
=== effect | a helper that sets a class attribute
from h import A, setup
with cached_block("w"):
    setup()
r = A.k
--- h.py
class A:
    k = 0
def setup():
    setattr(A, "k", 5)
=== effect | a helper that memoises in a global
import h
with cached_block("w"):
    x = h.get()
r = h._model is not None
--- h.py
_model = None
def get():
    global _model
    if _model is None:
        _model = 5
    return _model
=== miss | attrs: a converter
from h import A
with cached_block("w"):
    r = A(1).x
--- h.py
import attrs
def conv(x):
    return x * «10→20»
@attrs.define
class A:
    x: int = attrs.field(converter=conv)
=== miss | attrs: metadata of a field
import attrs
from h import A
with cached_block("w"):
    r = attrs.fields(A).x.metadata["unit"]
--- h.py
import attrs
@attrs.define
class A:
    x: int = attrs.field(default=0, metadata={"unit": "«m→s»"})
=== miss | a subclass of cached_property
from h import A
with cached_block("w"):
    r = A().p
--- h.py
from functools import cached_property
class cp(cached_property):
    def __get__(self, o, t=None):
        return «1→2»
class A:
    @cp
    def p(self):
        return 0
=== miss | a partial as a static method
from h import A
with cached_block("w"):
    r = A.go()
--- h.py
from functools import partial
def f(k):
    return k + «1→2»
class A:
    go = staticmethod(partial(f, 1))
=== miss | a plugin package that imports what lies in its folder
import plugins
with cached_block("w"):
    r = plugins.ALL["x"]()
--- plugins/__init__.py
import importlib
import pkgutil
ALL = {m.name: importlib.import_module(f"plugins.{m.name}").run for m in pkgutil.iter_modules(__path__)}
--- plugins/x.py
def run():
    return «1→2»
=== runs | a plugin package that imports what lies in its folder, imported in the body
with cached_block("w"):
    import plugins
    r = plugins.ALL["x"]()
--- plugins/__init__.py
import importlib
import pkgutil
ALL = {m.name: importlib.import_module(f"plugins.{m.name}").run for m in pkgutil.iter_modules(__path__)}
--- plugins/x.py
def run():
    return «1→2»
=== miss | a module that appears, imported in the body
with cached_block("w"):
    try:
        import fast as m
    except ImportError:
        import slow as m
    r = m.f()
--- slow.py
def f():
    return "slow"
--- «other→fast».py
def f():
    return "fast"
=== miss | a function that appears beside others, found by dir
import h
with cached_block("w"):
    r = [n for n in dir(h) if n.startswith("do_")]
--- h.py
def do_a(): pass
«→def do_b(): pass»
=== miss | __dict__ of a module
import h
with cached_block("w"):
    r = h.__dict__["f"]()
--- h.py
def f():
    return «1→2»
=== miss | __dict__ of a class, in a loop over its members
from h import A
with cached_block("w"):
    r = [v(None) for n, v in vars(A).items() if n.startswith("do_")]
--- h.py
class A:
    def do_a(self):
        return «1→2»
=== miss | sklearn: a local transformer's base
from sklearn.base import clone
from h import T
t = T(k=2)
with cached_block("w"):
    r = clone(t).transform(1)
--- h.py
from sklearn.base import BaseEstimator, TransformerMixin
class Mixin:
    def transform(self, x):
        return x + self.k + «1→2»
class T(Mixin, TransformerMixin, BaseEstimator):
    def __init__(self, k=1):
        self.k = k
=== miss | joblib: a delayed function
from joblib import Parallel, delayed
from h import f
with cached_block("w"):
    r = Parallel(n_jobs=1)(delayed(f)(i) for i in range(2))
--- h.py
def f(x):
    return x + «1→2»
=== hit | cosmetic: a trailing comma in an import, another line for a decorator's argument
from h import f
with cached_block("w"):
    r = f(1)
--- h.py
from functools import «lru_cache→(
    lru_cache,
)»
@lru_cache(«maxsize=None→
    maxsize=None,
»)
def f(x):
    return x
=== hit | cosmetic: noqa, type comments and a line moved into parentheses in the body
x = 1
with cached_block("w"):  «→# noqa»
    r = «x + 1→(
        x  # type: ignore
        + 1
    )»
=== hit | cosmetic: the block moved into another line of a function with another name
def «go→run»():
    «→# now elsewhere»
    with cached_block("w"):
        y = 1
    return y
r = «go→run»()
=== hit | a connection, a module and a logger that the body does not read
import logging
log = logging.getLogger("«a→b»")
with cached_block("w"):
    log.info("here")
    r = 1
=== hit | a body with an annotated name is saved
with cached_block("w"):  «→# a comment»
    x: int = 1
    r = x
'''


@pytest.mark.parametrize(("kind", "text"), list(parameters(PROGRAMS, FAILING)))
def test_corner(project, plain_path, kind, text):
    """What is printed after an edit is what a plain run prints; a telling edit misses, a cosmetic one hits."""
    check(project, plain_path, kind, text)
