"""The language, statement by statement: a hit cannot be told from a run. ``threeways.py`` tells the notation."""

from __future__ import annotations

import pytest
from threeways import check, parameters

#: What fails now: name -> what is wrong. Strict: a program that starts to pass must leave this table.
FAILING: dict[str, str] = {
    "a nan of its own": "pickle does not know that two numbers are one object",
    "functions defined inside that share a cell": "refused: a restored function has a cell of its own, not the frame's",
}

EXPRESSIONS = r"""
=== what a library's module loads when it is asked for
import concurrent.futures
with cached_block("w"):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    r = list(pool.map(abs, [-1]))
    pool.shutdown()
    del pool
print(r)
=== walrus
with cached_block("w"):
    if (n := 3) > 2:
        r = [m := i for i in range(n)]
    while (k := len(r)) < 5:
        r.append(k)
print(n, m, r, k)
=== walrus in a comprehension of a function, and in nested ones
def f(data):
    with cached_block("w"):
        rows = [[last := x + y for x in data] for y in data]
        any((hit := x) > 1 for x in data)
    return rows, last, hit
r = f([1, 2, 3])
print(r)
=== walrus in a default, a slice, a condition
with cached_block("w"):
    def f(a=(d := 4)): return a
    part = list(range(9))[(i := 2):(j := 5)]
    x = (a := 1) if (b := 0) else (c := 2)
    assert (t := True), (never := 1)
print(f(), d, part, i, j, x, b, c, t, "a" in globals(), "never" in globals())
=== comprehensions of every kind, their names stay inside
with cached_block("w"):
    a = [i for i in range(4) if i % 2]
    b = {i: j for i, j in zip("ab", "cd")}
    c = {i for row in [[1, 2], [2]] for i in row}
    d = list(i for i in a)
    e = [[j for j in range(i)] for i in range(3)]
print(a, b, c, d, e, "i" in globals(), "j" in globals())
=== comprehension in a function over a variable of the same name
def f(x):
    with cached_block("w"):
        y = [x for x in range(x)]
        z = {x: (lambda: x) for x in y}
        w = [g() for g in z.values()]
    return x, y, w
r = f(3)
print(r)
=== lambdas with defaults, and late binding
with cached_block("w"):
    fs = [lambda x, i=i: x + i for i in range(3)]
    late = [lambda: n for n in range(3)]
    kw = lambda *a, k=2, **o: (a, k, o)
print([f(1) for f in fs], [f() for f in late], kw(1, z=3))
=== f-strings, nested and with format specifications
w, p, v = 10, 3, 3.14159
with cached_block("w"):
    a = f"{v:{w}.{p}}|{v!r:>{w}}|{w = }|{'x' if v else 'y'}"
    b = f"{f'{v:.{p}f}'}" rf"\d{w}" "plain"
print(a, b)
=== slices, subscripts and attributes as targets of new objects
class P: pass
with cached_block("w"):
    xs = list(range(6))
    xs[1:3] = ["a"]
    xs[-1] = "z"
    del xs[0]
    d = {}
    d["k"], d["l"] = 1, [2]
    p = P()
    p.a = p.b = d
    p.b["m"] = 3
print(xs, d, p.a is p.b, p.a is d)
=== conditional, boolean and chained comparison
x = 5
with cached_block("w"):
    a = 1 < x < 10 != 3
    b = x and [] or "e"
    c = not x if x else None
    d = (x, [x])[x > 3]
print(a, b, c, d)
=== unpacking in displays and calls
def g(*a, **k): return a, sorted(k.items())
base, more = [1, 2], {"k": 1}
with cached_block("w"):
    xs = [*base, 3, *base]
    d = {**more, "j": [2], **{"k": 5}}
    t = *base, 4
    s = {*base, *base}
    r = g(*base, *xs, **d)
print(xs, d, t, s, r)
=== ellipsis, bytes, complex, big integers, None and NotImplemented
with cached_block("w"):
    r = [..., b"\x00\xff", 1 + 2j, 10 ** 60, None, NotImplemented, -0.0, float("inf"), 0x1F, 1_000]
    minus = str(r[6])
print(r, minus, r[0] is ..., r[5] is NotImplemented)
=== matrix multiplication, power, shifts by operators of a class
class M:
    def __init__(self, v): self.v = v
    def __matmul__(self, o): return M(self.v * o.v)
    def __pow__(self, o): return M(self.v ** o)
    def __rshift__(self, o): return M((self.v, o))
    def __imatmul__(self, o): return M("in place")
m = M(3)
with cached_block("w"):
    a = m @ m
    b = m ** 2
    c = m >> 1
    d = M(1)
    d @= m
print(a.v, b.v, c.v, d.v, m.v)
=== await in a body
import asyncio
async def double(x):
    await asyncio.sleep(0)
    return x * 2
async def main():
    with cached_block("w"):
        a = await double(2)
        b = [await double(i) for i in range(3)]
        c = await asyncio.gather(double(5), double(6))
    return a, b, c
r = asyncio.run(main())
print(r)
=== a generator expression that lives on
# warm: miss
with cached_block("w"):
    g = (i for i in range(3))
    r = [next(g)]
print(r, list(g))
=== an iterator that lives on
with cached_block("w"):
    it = iter([1, 2, 3])
    r = next(it)
print(r, list(it))
=== nan is the one nan
import math
with cached_block("w"):
    v = [1.0, math.nan]
    n = math.nan
print(math.nan in v, n is math.nan, v[1] is n)
=== a nan of its own
x = float("nan")
with cached_block("w"):
    y = float("nan")
    z = [y, y, x]
print(z[0] is z[1], y in z, x in z, z[2] is x)
=== strings that are equal and interned
import sys
with cached_block("w"):
    a = "".join(["a", "b"])
    b = {"ab": 1}
    c = sys.intern(a)
print(a, b[a], c == a)
=== star expressions in subscripts and returns
class A:
    def __getitem__(self, k): return k
xs = [1, 2]
with cached_block("w"):
    r = A()[0, *xs]
    s = A()[1:2, ::3]
print(r, s)
=== type(x) and isinstance of what came back
class A: pass
class B(A): pass
with cached_block("w"):
    b = B()
    t = type(b)
    k = [A, B, int]
print(isinstance(b, A), t is B, k[0] is A, k)
"""

STATEMENTS = r"""
=== star targets, nested and swapped
with cached_block("w"):
    a, *b, c = range(5)
    (d, [e, *f]), g = (1, [2, 3, 4]), 5
    a, c = c, a
    [h] = [[7]]
    *i, = "ab"
print(a, b, c, d, e, f, g, h, i)
=== chained assignment shares one object
with cached_block("w"):
    a = b = c = []
    a.append(1)
    x, y = z = [[1], [2]]
b.append(2)
x.append(9)
print(a, b, c, z, a is c)
=== augmented assignment of names made in the block
with cached_block("w"):
    n = 1; n += 2; n <<= 3
    xs = [1]; ys = xs; xs += [2]
    t = (1,); u = t; t += (2,)
    s = {1}; s |= {2}; s -= {1}
print(n, xs, ys, t, u, s)
=== augmented assignment of an upstream number
n = 1
with cached_block("w"):
    n += 41
print(n)
=== augmented assignment of an upstream list is a change in place
xs = [1]
alias = xs
with cached_block("w"):
    xs += [2]
print(xs, alias, xs is alias)
=== annotated assignment in a function
def f():
    with cached_block("w"):
        x: int = 1
        y: "list[int]"
        z: dict[str, int] = {"a": 1}
    return x, z
r = f()
print(r)
=== annotated names at the top of a module
with cached_block("w"):
    x: int = 1
    y: str
print(x, __annotations__)
=== annotated names before and after too
a: int = 0
with cached_block("w"):
    b: float = 1.5
c: str = ""
print(__annotations__, b)
=== assert, pass, docstring only
with cached_block("w"):
    "only a text"
with cached_block("x"):
    pass
with cached_block("y"):
    assert True, "never"
    ...
print("done")
=== names deleted inside
tmp = [1]
with cached_block("w"):
    a = tmp + [2]
    scratch = 5
    del tmp, scratch
print(a, "tmp" in globals(), "scratch" in globals())
=== names deleted and bound again
x = [1]
y = x
with cached_block("w"):
    del x
    x = [2]
print(x, y)
=== elements deleted
with cached_block("w"):
    d = {"a": 1, "b": 2}
    del d["a"]
    xs = [1, 2, 3, 4]
    del xs[::2]
    class A: v = w = 1
    del A.v
print(d, xs, hasattr(A, "v"), A.w)
=== a name bound on some paths only
import sys
flag = False
with cached_block("w"):
    if flag:
        x = 1
    else:
        y = 2
print("x" in globals(), y)
=== if, elif, else over values
for_x = {}
for v in (1, -1, 0):
    with cached_block("w"):
        if v > 0:
            r = "pos"
        elif v < 0:
            r = "neg"
        else:
            r = "zero"
    for_x[v] = r
print(for_x)
=== loops with break, continue and else
with cached_block("w"):
    found = None
    for i in range(10):
        if i == 2: continue
        if i == 5: break
        found = i
    else:
        found = "never"
    for j in []: pass
    else: e = "else"
    while True:
        i += 1
        if i > 8: break
print(found, i, e, "j" in globals())
=== an infinite loop around, left after the block
n = 0
while True:
    with cached_block("w"):
        n = n + 1
    if n > 3:
        break
print(n)
=== match of every kind
import dataclasses
@dataclasses.dataclass
class Point:
    x: int
    y: int
def kind(v):
    with cached_block("w"):
        match v:
            case 0 | 1 as small: r = ("small", small)
            case [a, b, *rest] if rest: r = (a, b, rest)
            case [a, b]: r = ("two", a, b)
            case {"k": k, **others}: r = (k, others)
            case Point(x=0, y=yy): r = ("on y", yy)
            case Point(x, y): r = (x, y)
            case str() as s: r = s.upper()
            case None | True: r = "const"
            case _: r = "other"
    return r
r = [kind(v) for v in (1, [1, 2, 3], (1, 2), {"k": 5, "z": [6]}, Point(0, 3), Point(4, 5), "s", None, 2.5)]
print(r)
=== match binds names of a module that stay
value = {"a": [1, 2]}
with cached_block("w"):
    match value:
        case {"a": [first, *others] as whole, **rest}:
            pass
print(first, others, whole, rest, whole is value["a"])
=== match that fails half way has bound names
value = [1, 2]
with cached_block("w"):
    match value:
        case [a, 3]: r = "no"
        case [b, 2]: r = "yes"
print(r, b)
=== exceptions raised and caught inside
with cached_block("w"):
    try:
        int("x")
    except ValueError as e:
        text = str(e)
    else:
        text = "no"
    finally:
        last = "finally"
print(text, last, "e" in globals())
=== an exception kept
with cached_block("w"):
    try:
        {}["k"]
    except KeyError as e:
        kept = e
print(repr(kept), kept.args)
=== an exception with a cause and a context
with cached_block("w"):
    try:
        try: 1 / 0
        except ZeroDivisionError as e: raise ValueError("q") from e
    except ValueError as e2: v = e2
    try:
        try: 1 / 0
        except ZeroDivisionError: {}["k"]
    except KeyError as e3: w = e3
    try:
        try: 1 / 0
        except ZeroDivisionError: raise TypeError("t") from None
    except TypeError as e4: u = e4
print(type(v.__cause__).__name__, type(w.__context__).__name__, w.__suppress_context__, u.__suppress_context__)
=== an exception with notes and attributes
class Mine(Exception):
    def __init__(self, a, *, code=0):
        super().__init__(a)
        self.code = code
with cached_block("w"):
    try:
        raise Mine("a", code=5)
    except Mine as e:
        e.add_note("a note")
        e.extra = [1]
        kept = e
    group = ExceptionGroup("g", [kept, ValueError(2)])
print(kept.code, kept.__notes__, kept.extra, group.exceptions[0] is kept)
=== except star
with cached_block("w"):
    seen = []
    try:
        raise ExceptionGroup("g", [ValueError(1), TypeError(2), ExceptionGroup("h", [ValueError(3)])])
    except* ValueError as g:
        seen.append(len(g.exceptions))
    except* TypeError as g:
        seen.append(str(g))
print(seen, "g" in globals())
=== raised inside, caught outside
for i in range(2):
    try:
        with cached_block("w"):
            a = 1
            raise ValueError("out")
    except ValueError as e:
        print(e, a, e.__context__)
# warm: unsaved
=== try, except, else and finally around a block
def f():
    try:
        with cached_block("w"):
            x = 1
    except ZeroDivisionError:
        return "no"
    else:
        return "else", x
    finally:
        print("finally")
r = f()
print(r)
=== a block in except and in finally
def f():
    try:
        1 / 0
    except ZeroDivisionError as e:
        with cached_block("x"):
            v = [1]
        import sys
        print(sys.exc_info()[0], e.__context__)
        raise
    finally:
        with cached_block("y"):
            z = 2
        print(v, z)
try:
    f()
except ZeroDivisionError as e:
    print(e, e.__context__)
=== the exception that is being handled, read inside
import sys
try:
    1 / 0
except ZeroDivisionError:
    with cached_block("w"):
        r = 5
    print(sys.exc_info()[1])
=== a nested try with return in finally after a block
def f():
    for i in range(3):
        try:
            with cached_block("w"):
                v = i
            if i == 1:
                return v
        finally:
            print("f", i)
r = f()
print(r)
=== global inside and outside the body
def f():
    global G
    with cached_block("w"):
        global H
        G, H = [10], 11
    return G, H
r = f()
print(r, G, H, r[0] is G)
=== global in a helper that the body calls
count = 0
def bump():
    global count
    count += 1
    return count
with cached_block("w"):
    a = bump()
    b = bump()
print(a, b, count)
=== nonlocal in the body
def f():
    a = [1]
    def inner():
        with cached_block("w"):
            nonlocal a
            a = [2]
        return a
    b = inner()
    return a, a is b
r = f()
print(r)
=== nonlocal in a closure of the frame that the body calls
def f():
    n = 0
    def inc():
        nonlocal n
        n += 1
        return n
    with cached_block("w"):
        x = inc() + inc()
    return x, n, inc()
r = f()
print(r)
=== imports of every form
with cached_block("w"):
    import json, os.path as osp, xml.dom.minidom as dom
    from urllib import parse as up
    from collections import OrderedDict, Counter as C
    import importlib.util
    r = json.dumps([1]), up.quote("a b"), C("aab")["a"]
print(r, osp.join("a", "b"), dom.__name__, OrderedDict.__name__, importlib.util.find_spec is not None)
=== import of an own module with state
with cached_block("w"):
    import h
    r = h.total([1, 2])
print(r, h.total([5]), h.K)
--- h.py
K = [1]
def total(xs): return sum(xs) + K[0]
=== import in a function, and of a package's submodule
def f():
    with cached_block("w"):
        import pkg.sub
        from pkg import other as o
        v = pkg.sub.X + o.Y
    return v, pkg.sub.X, o.Y
r = f()
print(r)
--- pkg/__init__.py
--- pkg/sub.py
X = 1
--- pkg/other.py
Y = 2
=== with items before the block
import io
with io.StringIO("text") as f, cached_block("w") as b:
    r = [1]
print(r, f.closed)
=== with items after the block belong to its body
import contextlib
log = []
@contextlib.contextmanager
def cm(name):
    yield name
with cached_block("w") as b, cm("x") as x, cm("y") as y:
    r = x + y
print(r, x, y)
=== with items before and after, parenthesized
import contextlib
@contextlib.contextmanager
def cm(name):
    yield [name]
with (
    cm("a") as a,
    cached_block("w") as b,
    cm("c") as c,
):
    r = a + c
print(r, a, c)
=== an outer item that swallows exceptions
import contextlib
with contextlib.suppress(ZeroDivisionError), cached_block("w"):
    a = 1
    1 / 0
    b = 2
print(a, "b" in globals())
# warm: unsaved
=== an inner item that swallows exceptions
import contextlib
with cached_block("w"):
    with contextlib.suppress(ZeroDivisionError):
        a = 1
        1 / 0
    b = 2
print(a, b)
=== one line
with cached_block("w"): x = 1; y = [x]
print(x, y)
=== two blocks on one line each in a loop
for i in range(3):
    with cached_block("a"): x = [i]
    with cached_block("b"): y = x * 2
    print(x, y)
=== type aliases and generics
# python: >=3.12
type Up = int
with cached_block("w"):
    type A[T] = list[T]
    def first[T](xs: list[T]) -> T: return xs[0]
    class Box[T]:
        def __init__(self, v: T): self.v = v
    def f(x: A[Up]) -> Up: return 1
    v = Up
print(A, A[int], A.__value__, first([1]), Box[int](2).v, Box.__type_params__, f([1]), v is Up)
=== a type alias of the block is used after it
# python: >=3.12
with cached_block("w"):
    type Pair[K] = tuple[K, K]
    p: Pair[int] = (1, 2)
print(Pair.__name__, Pair.__type_params__, Pair[int].__args__, p)
=== type variables of typing
import typing
with cached_block("w"):
    T = typing.TypeVar("T", bound=int)
    N = typing.NewType("N", int)
    L = list[T]
    O = int | None
    class G(typing.Generic[T]): x = 1
print(T.__bound__, N(3), L[int], O, G[int].x, typing.get_args(L)[0] is T)
"""

FUNCTIONS = r"""
=== functions defined inside, with everything
k = 2
with cached_block("w"):
    def f(a, /, b=1, *c, d: int = 3, **e) -> str:
        "doc"
        return f"{a}{b}{c}{d}{sorted(e)}{k}"
    f.attribute = [1]
print(f(0), f(1, 2, 3, d=4, z=5), f.__doc__, f.__annotations__, f.__defaults__, f.attribute, f.__module__)
=== a function defined inside sees later globals
with cached_block("w"):
    def f(): return later + 1
later = 5
print(f(), f.__globals__ is globals())
=== functions defined inside that share a cell
def make():
    with cached_block("w"):
        n = 0
        def inc():
            nonlocal n
            n += 1
            return n
        def get(): return n
    return inc, get
inc, get = make()
print(inc(), inc(), get(), inc.__closure__[0] is get.__closure__[0])
=== a closure over a variable of the frame from before the block
def make(n):
    xs = [n]
    with cached_block("w"):
        def f(): return xs + [n]
    xs.append(5)
    return f, f()
f, r = make(1)
print(r, f())
=== closures that see a variable of the frame change are refused
def make():
    with cached_block("w"):
        v = [1]
        fs = [lambda: v]
    v.append(2)
    return fs[0]()
r = make()
print(r)
=== decorators of every kind, inside
import functools
def twice(f):
    @functools.wraps(f)
    def g(*a): return f(f(*a))
    return g
def add(n): return lambda f: (lambda x: f(x) + n)
with cached_block("w"):
    @twice
    @add(10)
    def f(x): return x * 2
    @functools.lru_cache
    def c(x): return [x]
    @functools.cache
    def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print(f(1), c(1) is c(1), fib(20))
=== a memo that is filled inside
import functools
with cached_block("w"):
    @functools.lru_cache(maxsize=None)
    def sq(x): return x * x
    r = [sq(i) for i in range(3)]
print(r, sq(5))
=== partial, methodcaller, operator objects
import functools, operator
def f(a, b=0): return a, b
with cached_block("w"):
    p = functools.partial(f, 1, b=2)
    q = functools.partial(p, b=3)
    g = operator.itemgetter(1, 2)
    m = operator.methodcaller("upper")
print(p(), q(), g([0, 1, 2]), m("x"), p.func is f)
=== singledispatch
import functools
with cached_block("w"):
    @functools.singledispatch
    def s(x): return "any"
    @s.register
    def _(x: int): return "int"
    @s.register(list)
    def on_list(x): return "list"
    v = 1
print(s(1), s("a"), s([]), on_list([]))
=== recursive functions, mutual too
with cached_block("w"):
    def fact(n): return 1 if n < 2 else n * fact(n - 1)
    def even(n): return n == 0 or odd(n - 1)
    def odd(n): return n != 0 and even(n - 1)
    r = fact(5), even(4)
print(r, fact(6), odd(7))
=== recursion through a block
def walk(n):
    with cached_block("w"):
        here = [n, n * n]
    if n:
        return here + walk(n - 1)
    return here
r = walk(4)
print(r)
=== recursion inside a block that reaches the block again
def walk(n):
    with cached_block("w"):
        r = [n] + (walk(n - 1) if n else [])
    return r
r = walk(3)
print(r)
=== mutable defaults of a function that is defined inside
with cached_block("w"):
    def f(x, memo=[]):
        memo.append(x)
        return memo
    a = f(1)
    b = f(2)
print(a is b, b, f(3), a)
=== generator functions around a block
def g(n):
    try:
        with cached_block("a"):
            a = [n]
        got = yield a
        with cached_block("b"):
            b = a + [1]
        yield b, got
    finally:
        print("closed", n)
x, y = g(1), g(2)
print(next(x), next(y), y.send("s"), next(x))
x.close(); y.close()
=== a block around a generator that runs to its end
def g(n):
    for i in range(n):
        yield i
    return "end"
def outer():
    r = yield from g(2)
    with cached_block("w"):
        xs = list(g(3)) + [r]
    yield xs
r = list(outer())
print(r)
=== a generator function defined inside
with cached_block("w"):
    def g(n):
        got = yield n
        yield got
    first = list(g(2))
it = g(5)
print(first, next(it), it.send("a"))
=== throw into a generator that stands in a block's surroundings
def g():
    try:
        with cached_block("a"):
            x = 1
        yield x
    except KeyError as e:
        with cached_block("b"):
            y = 2
        yield (e.args, y)
it = g()
print(next(it), it.throw(KeyError("k")))
=== coroutines, tasks and a timeout around a block
import asyncio
async def work(i):
    with cached_block("w"):
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        v = [i]
    await asyncio.sleep(0)
    return v
async def main():
    async with asyncio.TaskGroup() as tg:
        ts = [tg.create_task(work(i)) for i in range(3)]
    return [t.result() for t in ts]
r = asyncio.run(main())
print(r)
=== async with
import asyncio
async def f(n):
    async with cached_block("w") as b:
        try:
            x = n + 1
            await asyncio.sleep(0)
        finally:
            y = [x]
    return x, y
r = asyncio.run(f(1))
print(r)
=== async with, one line, pass only, with other items
import asyncio, contextlib
@contextlib.asynccontextmanager
async def cm(name):
    await asyncio.sleep(0)
    yield name
    await asyncio.sleep(0)
async def f(n):
    async with cached_block("a"): v = [n]
    async with cached_block("b"): pass
    async with cm("x") as x, cached_block("c") as b, cm("y") as y:
        r = x + y
    return v, r, x, y
r = asyncio.run(f(1))
print(r)
=== async with in a nested function and a closure
import asyncio
def outer():
    total = [0]
    async def inner(n):
        nonlocal total
        async with cached_block("w"):
            total = total + [n]
            def get(): return n
        return get
    g = asyncio.run(inner(3))
    return total, g()
r = outer()
print(r)
=== async with that raises
# warm: unsaved
import asyncio
async def f():
    try:
        async with cached_block("w"):
            x = 1
            await asyncio.sleep(0)
            raise KeyError("k")
    except KeyError as e:
        return x, e.args, e.__context__
r = asyncio.run(f())
print(r)
=== async with, cancelled
# warm: unsaved
import asyncio
async def f():
    async with cached_block("w"):
        x = 1
        await asyncio.sleep(60)
async def main():
    t = asyncio.create_task(f())
    await asyncio.sleep(0.01)
    t.cancel()
    try:
        await t
    except asyncio.CancelledError:
        return "cancelled"
r = asyncio.run(main())
print(r)
=== two tasks in one block
import asyncio
order = []
async def w(k):
    async with cached_block("w"):
        await asyncio.sleep(0)
        y = [k]
    return y
async def main():
    return await asyncio.gather(*[w(i) for i in range(3)], w(1))
r = asyncio.run(main())
print(r)
=== an async generator with a block inside, and one around
import asyncio
async def numbers(n):
    for i in range(n):
        async with cached_block("n"):
            v = [i * 3]
            await asyncio.sleep(0)
        yield v
async def main():
    got = [v async for v in numbers(3)]
    with cached_block("all"):
        again = [i async for i in plain()]
    return got, again
async def plain():
    for i in range(2):
        yield i
r = asyncio.run(main())
print(r)
=== async for and async comprehension inside an async block
import asyncio
async def source(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i
async def main():
    async with cached_block("w"):
        a = [i async for i in source(3) if i]
        b = {i: [i] async for i in source(2)}
        async for last in source(4): pass
        else: e = 1
    return a, b, last, e
r = asyncio.run(main())
print(r)
=== async functions defined inside
import asyncio
with cached_block("w"):
    async def f(x):
        await asyncio.sleep(0)
        return x
    async def g():
        yield 1
async def main(): return await f(5), [i async for i in g()]
r = asyncio.run(main())
print(r)
=== context variables that the body sets in a function
import contextvars
v = contextvars.ContextVar("v", default=0)
def f():
    token = v.set(5)
    try:
        with cached_block("w"):
            x = v.get() + 1
    finally:
        v.reset(token)
    return x, v.get()
r = f()
print(r)
=== threads in a block
import threading
def work(out, i): out[i] = i * i
with cached_block("w"):
    out = {}
    ts = [threading.Thread(target=work, args=(out, i)) for i in range(3)]
    for t in ts: t.start()
    for t in ts: t.join()
    squares = [out[i] for i in range(3)]
    del ts, t
print(squares)
=== a block in each of several threads
import threading
found = {}
def work(i):
    with cached_block("w"):
        v = [i, i * i]
    found[i] = v
ts = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for t in ts: t.start()
for t in ts: t.join()
del ts, t
found = dict(sorted(found.items()))
print(found)
=== a pool of threads inside
from concurrent.futures import ThreadPoolExecutor
def f():
    with cached_block("w"):
        with ThreadPoolExecutor(2) as pool:
            v = list(pool.map(len, ["ab", "c"]))
            futures = [pool.submit(len, "ab")]
            n = futures[0].result()
    return v, n
r = f()
print(r)
"""

CLASSES = r"""
=== a class defined inside, with everything
import dataclasses, enum, typing, abc
with cached_block("w"):
    class A(abc.ABC):
        "doc"
        x: int = 1
        __slots__ = ("a", "__dict__")
        def __init__(self, a): self.a = a
        @property
        def p(self): return self.a
        @p.setter
        def p(self, v): self.a = v
        @classmethod
        def c(cls): return cls.__name__
        @staticmethod
        def s(): return "s"
        @abc.abstractmethod
        def m(self): ...
    class B(A):
        def m(self): return super().c(), __class__.__name__
        def __repr__(self): return f"B({self.a})"
    @dataclasses.dataclass(order=True)
    class D:
        x: int
        y: list = dataclasses.field(default_factory=list)
    class E(enum.Enum):
        ONE = 1
        TWO = [2]
    class N(typing.NamedTuple):
        x: int
        y: str = "d"
    b, d, e, n = B(1), D(1), E.ONE, N(2)
b.p = 9
print(b, b.m(), A.s(), A.__doc__, A.__annotations__, D(1) < D(2), d, E(1) is e, E.TWO.value, n, n._replace(x=3))
=== nested classes and their qualified names
with cached_block("w"):
    class A:
        class B:
            class C: v = 1
            def m(self): return type(self).__qualname__
    x = A.B()
    def f():
        class L: pass
        return L
    L = f()
print(A.B.__qualname__, A.B.C.__qualname__, x.m(), L.__qualname__, type(x) is A.B, A.B.m.__qualname__)
=== a registry in __init_subclass__
with cached_block("w"):
    class R:
        reg = []
        def __init_subclass__(cls, **kw):
            R.reg.append((cls.__name__, kw))
    class S(R, key=1): pass
    class T(S): pass
    v = S()
print(R.reg, len(R.__subclasses__()))
=== a registry of a metaclass
with cached_block("w"):
    class M(type):
        reg = []
        def __new__(m, n, b, d, **kw):
            m.reg.append(n)
            return super().__new__(m, n, b, d)
        def __init__(cls, n, b, d, **kw):
            cls.made = len(M.reg)
        def __call__(cls, *a):
            o = super().__call__(*a)
            o.called = True
            return o
    class A(metaclass=M): pass
    class B(A, extra=1): pass
    v = B()
print(M.reg, A.made, B.made, v.called, type(A) is M)
=== a registry upstream that classes of the block enter
# warm: any
class Base:
    reg = {}
    def __init_subclass__(cls): Base.reg[cls.__name__] = cls
with cached_block("w"):
    class A(Base): pass
print(sorted(Base.reg), Base.reg["A"] is A)
=== __set_name__ and descriptors
with cached_block("w"):
    class F:
        calls = []
        def __set_name__(self, owner, name):
            self.name = name
            F.calls.append(name)
        def __get__(self, o, t): return self if o is None else (self.name, o.__dict__.get(self.name))
        def __set__(self, o, v): o.__dict__[self.name] = v
    class A:
        x = F()
        y = F()
    a = A()
    a.x = 5
print(F.calls, a.x, a.y, A.x is A.__dict__["x"])
=== class decorators and class attributes changed later
def mark(cls):
    cls.marked = [cls.__name__]
    return cls
with cached_block("w"):
    @mark
    class A:
        n = 0
        def __init__(self): A.n += 1
    a, b = A(), A()
    A.extra = a
print(A.n, A.marked, A.extra is a, A().n)
=== a block in a class body
xs = [1, 2]
class A:
    a = 1
    with cached_block("w"):
        b = [a] + xs
        def m(self): return self.b
        c = d = {}
    e = b
print(A.b, A().m(), A.c is A.d, A.e is A.b)
=== a block in a method, with super and private names
class B:
    def go(self): return 4
class A(B):
    __k = 2
    def go(self):
        with cached_block("w"):
            y = super().go() + self.__k
            n = __class__.__name__
            def __h(a): return a + 1
            __r = __h(1)
        return y, n, __r, __h(2)
    @property
    def p(self):
        with cached_block("c"):
            q = [self.__k]
        return q
    @classmethod
    def k(cls):
        with cached_block("k"):
            v = cls.__name__ * 2
        return v
    @staticmethod
    def s(x):
        with cached_block("s"):
            v = [x]
        return v
print(A().go(), A().p, A.k(), A.s(1))
=== a class body with a metaclass that prepares its names
class Names(dict):
    def __missing__(self, k):
        if k != "hello": raise KeyError(k)
        return k.upper()
class M(type):
    @classmethod
    def __prepare__(m, n, b): return Names()
    def __new__(m, n, b, d): return super().__new__(m, n, b, dict(d))
class A(metaclass=M):
    with cached_block("w"):
        x = [1]
    y = hello
print(A.x, A.y)
=== instances that refer to each other and to their class
with cached_block("w"):
    class Node:
        all = []
        def __init__(self, v, parent=None):
            self.v, self.parent, self.children = v, parent, []
            if parent: parent.children.append(self)
            Node.all.append(self)
    root = Node(1)
    kid = Node(2, root)
    loop = [root]
    loop.append(loop)
print(kid.parent is root, root.children[0] is kid, Node.all[0] is root, loop[1] is loop)
=== slots, weak references to classes, copies
import copy
class S:
    __slots__ = ("a", "b", "__weakref__")
with cached_block("w"):
    s = S()
    s.a = [1]
    t = copy.copy(s)
    u = copy.deepcopy(s)
print(s.a is t.a, u.a == s.a, u.a is s.a, hasattr(s, "b"))
=== an instance whose class has __getattr__, __setattr__, __getstate__
class G:
    def __init__(self): self.__dict__["d"] = {"a": 1}
    def __getattr__(self, n):
        if n.startswith("__"): raise AttributeError(n)
        return self.d[n]
    def __setattr__(self, n, v): self.d[n] = v
class H:
    def __init__(self): self.a, self.tmp = 1, 2
    def __getstate__(self): return {"a": self.a}
    def __setstate__(self, s): self.__dict__.update(s, tmp=2)
with cached_block("w"):
    g = G(); g.z = 5
    h = H()
print(g.a, g.z, h.a, h.tmp)
=== subclasses of builtins with attributes
class L(list): pass
class D(dict):
    def __missing__(self, k): return k * 2
class I(int): pass
class T(tuple): pass
class S(str): pass
with cached_block("w"):
    l = L([1]); l.a = l
    d = D(a=1); d.own = d
    i = I(5); i.x = "i"
    t = T((1, [2])); t.y = t[1]
    s = S("s"); s.z = [s]
print(l, l.a is l, d["q"], d.own is d, i + 1, i.x, t.y is t[1], s.z[0] is s)
=== enumerations and flags
import enum
class Colour(enum.Enum):
    RED = 1
    ALIAS = 1
class Perm(enum.Flag):
    R = 1
    W = 2
with cached_block("w"):
    c = Colour.ALIAS
    p = Perm.R | Perm.W
    class In(enum.IntEnum):
        A = enum.auto()
        B = enum.auto()
        @property
        def twice(self): return self * 2
    x = {c: In.B}
print(c is Colour.RED, p, In.B.twice, x[Colour.RED] is In.B, list(In))
=== dataclasses with frozen, slots, post init, inheritance, kw only
import dataclasses
with cached_block("w"):
    @dataclasses.dataclass(frozen=True, slots=True)
    class F:
        x: int
        y: tuple = ()
    @dataclasses.dataclass(kw_only=True)
    class P:
        a: int
        b: int = dataclasses.field(init=False)
        def __post_init__(self): self.b = self.a * 2
    @dataclasses.dataclass
    class Q(P):
        c: int = 3
    f, q = F(1, (2,)), Q(a=5)
    g = dataclasses.replace(f, x=9)
try:
    f.x = 2
except dataclasses.FrozenInstanceError: print("frozen")
print(f, q, g, hash(f) == hash(F(1, (2,))), dataclasses.asdict(q), [x.name for x in dataclasses.fields(Q)])
=== protocols, abstract bases registered virtually
import abc, typing, collections.abc
with cached_block("w"):
    @typing.runtime_checkable
    class Has(typing.Protocol):
        def go(self) -> int: ...
    class X:
        def go(self): return 1
    class Sized(abc.ABC): pass
    Sized.register(X)
    class It(collections.abc.Sequence):
        def __len__(self): return 2
        def __getitem__(self, i): return [5, 6][i]
    it = It()
print(isinstance(X(), Has), issubclass(X, Sized), list(it), 6 in it)
=== type() called with three arguments, a class made in a function
with cached_block("w"):
    A = type("A", (), {"x": 1, "m": lambda self: self.x})
    def make(n):
        class K:
            v = n
            def get(self): return n
        return K
    K1, K2 = make(1), make(2)
    k = K2()
print(A().m(), K1.v, k.get(), isinstance(k, K2), K1 is not K2)
=== class cell, super in a nested class and in a comprehension
with cached_block("w"):
    class A:
        def m(self): return [1]
    class B(A):
        def m(self):
            inner = lambda: super(B, self).m()
            return inner() + [x for x in super().m()] + [__class__ is B]
    b = B()
print(b.m())
=== cached properties, filled and not
import functools
class A:
    def __init__(self): self.n = 0
    @functools.cached_property
    def big(self):
        self.n += 1
        return [self.n]
with cached_block("w"):
    a = A()
    b = A()
    v = a.big
print(a.big is v, a.n, b.n, b.big, "big" in a.__dict__)
=== operators of total_ordering, __class_getitem__, __format__
import functools
with cached_block("w"):
    @functools.total_ordering
    class V:
        def __init__(self, v): self.v = v
        def __eq__(self, o): return self.v == o.v
        def __lt__(self, o): return self.v < o.v
        def __class_getitem__(cls, k): return (cls.__name__, k)
        def __format__(self, s): return f"<{self.v}{s}>"
        __hash__ = None
    a, b = V(1), V(2)
print(a < b, b >= a, V[3], f"{a:x}", V.__hash__)
"""

NESTING = r"""
=== nested blocks: all hit, the inner is skipped with the outer
# warm: hit
with cached_block("outer"):
    a = 1
    with cached_block("inner"):
        b = [a + 1]
    c = b + [3]
print(a, b, c)
=== an inner block's name and object
with cached_block("outer") as o:
    with cached_block("inner"):
        b = [2]
    c = b
print(b is c)
=== three blocks deep in a function
def f(n):
    with cached_block("a"):
        x = [n]
        with cached_block("b"):
            y = x + [1]
            with cached_block("c"):
                z = y + [2]
        t = x, y, z
    return t, x is t[0]
r = f(0)
print(r)
=== a block in a loop: one entry per key
r = []
for i in [1, 2, 1, 3, 2]:
    with cached_block("w"):
        v = [i]
    r.append(v)
print(r, r[0] is r[2])
=== a block in a loop that depends on the pass before
total = 0
for i in range(4):
    with cached_block("w"):
        total = total + i
    print(total)
=== a block in a nested loop with enumerate and zip
out = {}
for n, (a, b) in enumerate(zip("xy", [[1], [2]])):
    for c in b:
        with cached_block("w"):
            v = f"{n}{a}{c}"
        out[n, c] = v
print(out)
=== the same name twice, other bodies
with cached_block("w"):
    a = 1
with cached_block("w"):
    b = 2
print(a, b)
=== the same body twice, another name
with cached_block("v"):
    a = [1]
x = a
with cached_block("w"):
    a = [1]
print(a is x, a, x)
=== a chain of blocks that share an object
with cached_block("a"):
    base = [1, 2]
with cached_block("b"):
    pair = (base, base)
with cached_block("c"):
    top = {"p": pair, "b": base}
base.append(3)
print(pair[0] is base, top["p"] is pair, top["b"] is base, top)
=== a block that makes the function of another block
with cached_block("a"):
    def f(x): return [x]
    K = 2
with cached_block("b"):
    r = f(K)
print(r, f(1))
=== a block in a comprehension's function
def f(i):
    with cached_block("w"):
        v = [i]
    return v
r = [f(i) for i in range(3)]
s = {i: f(i) for i in range(2)}
print(r, s)
=== a block in a lambda's helper, map, sorted key
def key(x):
    with cached_block("w"):
        k = -x
    return k
r = sorted([1, 3, 2], key=key)
s = list(map(lambda v: key(v) + 1, r))
print(r, s)
=== a block in a callback from C
import functools
def add(a, b):
    with cached_block("w"):
        c = a + b
    return c
r = functools.reduce(add, [1, 2, 3])
print(r)
=== a block in dunder methods
class V:
    def __init__(self, v):
        with cached_block("init"):
            w = v * 2
        self.w = w
    def __add__(self, o):
        with cached_block("add"):
            s = [self.w, o.w]
        return s
    def __len__(self):
        with cached_block("len"):
            n = 3
        return n
    def __getattr__(self, name):
        with cached_block("attr"):
            v = name + "!"
        return v
    def __enter__(self):
        with cached_block("enter"):
            v = [1]
        return v
    def __exit__(self, *e):
        with cached_block("exit"):
            v = 1
        return False
with V(1) as got: pass
r = V(1) + V(2), len(V(1)), V(1).zip, got
print(r)
=== a block in a finalizer
class D:
    def __del__(self):
        with cached_block("w"):
            v = 5
        print("gone", v)
d = D()
del d
print("after")
=== a block in a decorator and in a context manager
import contextlib
def deco(f):
    with cached_block("d"):
        n = 3
    def g(x): return f(x) * n
    return g
@contextlib.contextmanager
def cm():
    with cached_block("c"):
        v = [1]
    yield v
    with cached_block("e"):
        w = 2
    print("left", w)
@deco
def f(x): return x
with cm() as v:
    r = f(2)
print(r, v)
=== exec'd code with its own names
space = {"cached_block": cached_block}
exec("with cached_block('w'):\n    x = [1]\n    def f(): return x\nr = f() is x", space)
r = space["x"], space["r"]
del space
print(r)
=== exec'd code with locals of its own
g, l = {"cached_block": cached_block}, {}
exec("k = 1\nwith cached_block('w'):\n    x = [k]", g, l)
r = l["x"]
del g, l
print(r)
=== a signal handler with a block
import os, signal
seen = []
def handler(n, f):
    with cached_block("h"):
        v = [1]
    seen.append(v)
signal.signal(signal.SIGUSR1, handler)
os.kill(os.getpid(), signal.SIGUSR1)
with cached_block("w"):
    x = 1
print(seen, x)
=== tracing and profiling go on around a block
import sys
calls = []
def tracer(frame, event, arg):
    if event == "call" and frame.f_code.co_name in ("f", "g"): calls.append(frame.f_code.co_name)
    return None
def f(): return 1
def g(): return 2
sys.settrace(tracer)
f()
with cached_block("w"):
    x = 1
g()
sys.settrace(None)
print(calls, x)
=== a profiler around a block
import cProfile
p = cProfile.Profile()
p.enable()
with cached_block("w"):
    x = [1]
p.disable()
del p
print(x)
=== __main__ guard and functions called from it
def main(argv):
    with cached_block("w"):
        n = len(argv)
    return n
if __name__ == "__main__":
    r = main([1, 2])
    print(r)
=== a module with a block, imported and reloaded
import importlib
import m
r = m.x, m.f()
importlib.reload(m)
print(r, m.x)
--- m.py
from blockcache import cached_block
with cached_block("m"):
    x = [1]
    def f(): return x
=== code with tabs, continuation lines and unusual layout
if True:
	with cached_block(
		"w"
	) as b \
	:
		x = [1,
 2]; y = \
			x
		# a comment
print(x is y)
=== unicode names, and names that normalize
with cached_block("w"):
    größe = 1
    ﬁn = [2]
    def ñ(): return größe
print(größe, fin, ñ())
=== names that shadow builtins and the block's own
with cached_block("w") as w:
    list = [1]
    print_ = str
    id = len(list)
    w = 5
print(list, id, w)
=== the same variable before, inside, after
x = [0]
y = x
with cached_block("w"):
    x = x + [1]
x = x + [2]
print(x, y)
=== a block that only reads
x = [1]
with cached_block("w"):
    x[0]
print(x)
=== results that contain upstream objects
up = {"k": [1]}
def f(): return up
with cached_block("w"):
    y = up
    z = [up, up["k"]]
    g = f
    t = (f, up)
print(y is up, z[0] is up, z[1] is up["k"], g is f, t[1] is up)
=== upstream elements in new containers
rows = [[1], [2], [3]]
with cached_block("w"):
    some = [r for r in rows if r[0] > 1]
    by = {r[0]: r for r in rows}
rows[1].append("later")
print(some, by, some[0] is rows[1])
=== printing inside
x = 3
with cached_block("w"):
    print("in", x)
    y = x + 1
    print("twice", end="\n")
print("out", y)
=== changed in place inside a function
def f():
    xs, d = [1], {}
    alias = xs
    with cached_block("w"):
        xs.append(2)
        d["k"] = xs
    return xs, d, alias is xs, d["k"] is xs
r = f()
print(r)
=== leftovers that cannot be pickled
import hashlib, os, re
with cached_block("w"):
    m = re.search("a", "cat"); h = hashlib.sha256(b"x")
    v = m.start(), h.hexdigest()[:4]
m = h = None
print(v)
=== a frame of names with leading underscores and dunder names
with cached_block("w"):
    _private = [1]
    __double = [2]
    __version__ = "1.0"
    __all__ = ["x"]
print(_private, __double, __version__, __all__)
=== star-args of the surrounding function
def f(*args, a=1, **kw):
    with cached_block("w"):
        r = [args, a, kw]
        args = ()
        kw["new"] = a
    return r, args, kw
r = f(1, 2, z=3)
print(r)
=== parameters rebound in the block
def f(a, b=[]):
    with cached_block("w"):
        a, b = [b], a
    return a, b
r = f(1), f(2, 3)
print(r)
=== cell variables of arguments
def f(a):
    def g(): return a
    with cached_block("w"):
        a = [a]
    return g(), g() is a
r = f(1)
print(r)
=== deeply nested data
with cached_block("w"):
    v = None
    for i in range(200): v = [v, i]
depth, x = 0, v
while x: x, depth = x[0], depth + 1
print(depth)
del v, x
=== locals and vars in a function around a block
def f():
    a = 1
    with cached_block("w"):
        b = [2]
    return sorted(locals()), sorted(vars())
r = f()
print(r)
=== globals listed after a block
with cached_block("w"):
    zz = 1
    aa = 2
print([n for n in globals() if n in ("zz", "aa")])
=== the debug flag and the annotations future
from __future__ import annotations
from blockcache import cached_block
with cached_block("w"):
    def f(x: Undefined) -> "also": return x
    class A:
        y: NotThere = 1
    debug = __debug__
print(f.__annotations__, A.__annotations__, debug)
"""

PROGRAMS = EXPRESSIONS + STATEMENTS + FUNCTIONS + CLASSES + NESTING


@pytest.mark.parametrize("text", list(parameters(PROGRAMS, FAILING)))
def test_a_hit_cannot_be_told_from_a_run(project, text):
    check(project, text)
