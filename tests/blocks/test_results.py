"""What a hit gives back: the same program, plain, cold and warm, tells the same story.

Every program prints what a person or the next line could notice; it is run without
a cache, with an empty store and with a full one, each in a fresh interpreter.
"""

from __future__ import annotations

import pytest

PROGRAMS = {
    "bound and rebound": """
x = 1
with cached_block("b"):
    y = x + 1
    x = y * 10
print(x, y)
""",
    "deleted": """
x, keep = 1, 2
with cached_block("b"):
    y = x
    del x
print(y, keep, "x" in globals())
""",
    "one list under two names": """
with cached_block("b"):
    a = [1]
    b = a
    c = {"a": a}
b.append(2)
print(a, c, a is b, c["a"] is b)
""",
    "a view and its base": """
import numpy as np
with cached_block("b"):
    base = np.arange(100_000.0)
    view = base[10:20]
view[0] = -1
print(base[10], view.base is not None)
""",
    "restored arrays are writable and the store does not change": """
import numpy as np
with cached_block("b"):
    a = np.arange(1_000_000.0)
print(a[0])
a[0] = 5
print(a[0])
with cached_block("b"):
    a = np.arange(1_000_000.0)
print(a[0])
""",
    "functions, lambdas and classes": """
k = 10
with cached_block("b"):
    def double(x):
        return 2 * x + k
    triple = lambda x: 3 * double(x)
    class Point:
        unit = k
        def __init__(self, x):
            self.x = x
        def norm(self):
            return abs(self.x) * self.unit
    p = Point(-3)
k = 20
print(double(1), triple(1), p.norm(), type(p) is Point, Point(1).norm(), p.__class__.__name__)
""",
    "a recursive function and one that calls a later one": """
with cached_block("b"):
    def fact(n):
        return 1 if n < 2 else n * fact(n - 1)
    def uses():
        return later() + 1
def later():
    return 41
print(fact(5), uses())
""",
    "modules imported in the body": """
with cached_block("b"):
    import math
    import os.path as osp
    from collections import OrderedDict
    root = math.sqrt(16)
print(root, math.pi, osp.join("a", "b"), OrderedDict(a=1), math is __import__("math"))
""",
    "submodules imported in the body": """
with cached_block("b"):
    import concurrent.futures
    import wsgiref.headers as headers
    import wsgiref.util
print(concurrent.futures.Future.__name__, headers.Headers.__name__, wsgiref.util.FileWrapper.__name__)
""",
    "annotated names, closed files and loop variables": """
with cached_block("b"):
    total: int = 0
    with open(__file__) as f:
        text = f.read()
    for i in range(3):
        total += i
print(total, i, f.closed, len(text) > 0)
""",
    "a block in a loop that binds a name on some passes only": """
for v in [5, 1, 7, 1]:
    with cached_block("b"):
        if v > 3:
            best = v
    print(v, best)
""",
    "instances of upstream classes": """
class Base:
    def __init__(self, v):
        self.v = v
    def __eq__(self, other):
        return self.v == other.v
with cached_block("b"):
    items = [Base(i) for i in range(3)]
    kinds = {Base: 1}
print(all(isinstance(i, Base) for i in items), items == [Base(0), Base(1), Base(2)], kinds[Base])
""",
    "dataclass, namedtuple, enum, set, nested": """
import dataclasses, enum, collections
with cached_block("b"):
    @dataclasses.dataclass
    class D:
        a: int
        b: list = dataclasses.field(default_factory=list)
    N = collections.namedtuple("N", "x y")
    class E(enum.Enum):
        RED = 1
    values = {"d": D(1), "n": N(1, 2), "e": E.RED, "s": {1, 2}, "f": frozenset("ab"), "t": ((1,), None)}
print(sorted(values), values["d"], values["n"].x, values["e"] is E.RED, values["s"], values["t"], D(2).b)
""",
    "empty loop, branch not taken, walrus, star, match": """
with cached_block("b"):
    for i in []:
        never = i
    if (n := 3) > 5:
        big = n
    first, *rest = range(4)
    match rest:
        case [a, *_]:
            pass
print(n, first, rest, a, "never" in globals(), "i" in globals(), "big" in globals())
""",
    "in a function, with closures and nonlocal": """
def outer(n):
    total = 0
    def show():
        return total
    def work():
        nonlocal total
        with cached_block("b"):
            squares = [i * i for i in range(n)]
            total = sum(squares)
        return squares
    return work(), show()
print(outer(4), outer(5))
""",
    "in a class body": """
class C:
    k = 3
    with cached_block("b"):
        table = list(range(k))
    size = len(table)
print(C.table, C.size)
""",
    "a generator and an async function": """
import asyncio
def gen():
    for i in range(2):
        with cached_block("b"):
            y = i * 10
        yield y
async def main():
    with cached_block("c"):
        x = 5
        await asyncio.sleep(0)
        z = x + 1
    return z
print(list(gen()), asyncio.run(main()))
""",
    "the as-name bound again": """
with cached_block("b") as x:
    x = 5
print(x)
""",
    "closures over variables that stay": """
def work(n):
    scale = 3
    with cached_block("b"):
        offset = scale + 1
        f = lambda x: x * n + scale + offset
        def g(y):
            return f(y) + n
    return f(2), g(3)
print(work(2), work(5))
""",
    "nested blocks": """
with cached_block("outer"):
    a = 1
    with cached_block("inner") as inner:
        b = a + 1
    c = b + 1
print(a, b, c, inner.name)
""",
    "two blocks on a line and several items": """
import contextlib
log = []
@contextlib.contextmanager
def noted(name):
    yield name
with cached_block("a"): x = 1
with noted("n") as n, cached_block("b"):
    y = x + len(n)
print(x, y, n)
""",
    "one chain of blocks": """
with cached_block("first"):
    def scale(x):
        return x * 2
    class Model:
        def fit(self, x):
            self.c = scale(x)
            return self
    data = list(range(5))
with cached_block("second"):
    model = Model().fit(sum(data))
    out = scale(model.c)
print(out, model.c, isinstance(model, Model))
""",
    "a block in a loop": """
out = []
for k in range(3):
    with cached_block("step"):
        value = k ** 2
    out.append(value)
print(out)
""",
    "private names in a method": """
class C:
    def __init__(self):
        self.__k = 2
    def run(self, __q=3):
        with cached_block("b"):
            __r = self.__k * __q
        return __r
print(C().run())
""",
    "sentinels of libraries": """
import dataclasses, inspect
try:
    import lark, pyparsing as pp
except ImportError:
    lark = None
with cached_block("b"):
    @dataclasses.dataclass
    class Order:
        a: int
        b: int = 2
    fields = dataclasses.fields(Order)
    grammar = lark and pp.Word(pp.alphas) + pp.Opt(pp.Word(pp.nums))
    parser = lark and lark.Lark('start: "a" NUMBER+\\n%import common.NUMBER', parser="lalr")
    table = parser and parser.parser.parser._parse_table
print([f.default is dataclasses.MISSING for f in fields], fields[0]._field_type is dataclasses._FIELD)
print(dataclasses.replace(Order(1), a=3))
if lark:
    print(grammar.parse_string("ab"))
    from lark.parsers.lalr_analysis import Reduce, Shift
    print(all(action is Shift or action is Reduce for state in table.states.values() for action, _ in state.values()))
    print(parser.parse("a1"))
""",
    "names from exec": """
space = {"cached_block": cached_block}
exec("with cached_block('b'):\\n    y = 2 + 2\\nz = y", space)
print(space["z"])
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_plain_cold_and_warm_agree(project, name):
    """A program prints the same without a cache, when it fills the store and when it hits; and every block hits."""
    project.write(main="from blockcache import cached_block\n" + PROGRAMS[name])
    plain = project.run(env={"BLOCKCACHE_MODE": "off"})
    cold = project.run()
    warm = project.run()
    assert cold.stdout == plain.stdout, cold.stderr
    assert warm.stdout == plain.stdout, warm.stderr
    assert set(warm.outcomes) == {"hit"}, warm.stderr
    assert not any(event["problem"] for event in cold.events + warm.events), cold.stderr


def test_results_that_contain_upstream_functions_follow_the_live_one(project):
    """A saved table of upstream functions gives back the live functions, not copies."""
    project.write(
        main="from blockcache import cached_block\n"
        "def f(x):\n    return x\n"
        "with cached_block('b'):\n    table = {'f': f}\n"
        "print(table['f'] is f)\n"
    )
    assert project.run().stdout == "True\n"
    warm = project.run()
    assert warm.stdout == "True\n" and warm.outcomes == ["hit"]


REFUSED = {
    "return": ("def f():\n    with cached_block('b'):\n        return 1\nf()", "return", 4),
    "break": ("for i in range(2):\n    with cached_block('b'):\n        break", "break", 4),
    "yield": ("def f():\n    with cached_block('b'):\n        yield 1\nlist(f())", "yield", 4),
    "import star": ("with cached_block('b'):\n    from math import *", "import *", 3),
    "a closure whose variable is bound again": (
        "def f():\n    k = 1\n    with cached_block('b'):\n        g = lambda: k\n    k = 2\n    return g()\nf()",
        "'k'",
        5,
    ),
    "a closure in a loop": (
        "def f():\n    for k in range(2):\n        with cached_block('b'):\n            g = lambda: k\nf()",
        "'k'",
        5,
    ),
    "a counter that the body makes": (
        "def f():\n    n = 0\n    with cached_block('b'):\n        def inc():\n            nonlocal n\n"
        "            n += 1\n    inc()\n    return n\nf()",
        "'n'",
        5,
    ),
    "del of a local": ("def f():\n    x = 1\n    with cached_block('b'):\n        del x\nf()", "del", 5),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_the_body_starts(project, name):
    """What a skip cannot honour is an error on the first run, with file, line and a way out; nothing is printed."""
    body, word, line = REFUSED[name]
    project.write(main=f"from blockcache import cached_block\n{body}\nprint('ran')\n")
    ran = project.run(check=False)
    assert ran.code == 1
    assert ran.stdout == ""
    last = ran.stderr.strip().splitlines()[-1]
    assert "BlockError" in last and f"main.py:{line}" in last and word in last


TROUBLE = {
    "unfingerprintable input": (
        "conn = (i for i in range(3))\nwith cached_block('b'):\n    y = list(conn)\nprint(y)",
        "[0, 1, 2]\n",
        "conn",
    ),
    "dynamic code": ("x = 1\nwith cached_block('b'):\n    y = eval('x + 1')\nprint(y)", "2\n", "eval"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_is_one_warning_and_the_result_stands(project, name):
    """Whatever cannot be cached runs every time, is right every time, and is named in one warning."""
    body, printed, named = TROUBLE[name]
    project.write(main=f"from blockcache import cached_block\n{body}\n")
    for _ in range(2):
        ran = project.run()
        assert ran.stdout == printed
        assert ran.outcomes == ["miss"] and not ran.events[0]["saved"]
        assert ran.stderr.count("CacheWarning") == 1
        assert named in ran.events[0]["problem"]


def test_a_body_that_raises_saves_nothing(project):
    """The exception reaches the program as it was, and the next run runs the body again."""
    project.write(
        main="import pathlib\nfrom blockcache import cached_block\n"
        "good = pathlib.Path('good').exists()\n"
        "try:\n    with cached_block('b'):\n        x = 1\n        if not good:\n            raise KeyError('lost')\n"
        "except KeyError as error:\n    print('raised', error)\nelse:\n    print('fine', x)\n"
    )
    for _ in range(2):
        ran = project.run()
        assert ran.stdout == "raised 'lost'\n" and not ran.events[0]["saved"]


@pytest.mark.parametrize("kind", ["return", "no source at all"])
def test_without_source(project, kind):
    """Code without source keys on the code object; a body left by return is never saved, so it never behaves otherwise."""
    end = "return 'early'" if kind == "return" else "pass"
    project.write(
        main="from blockcache import cached_block\n"
        "text = '''\ndef f(k):\n    with cached_block('b'):\n        y = k + 1\n        END\n    return ('late', y)\nout = f(1)\n'''"
        f".replace('END', {end!r})\n"
        "space = {'cached_block': cached_block}\nexec(compile(text, '<made up>', 'exec'), space)\nprint(space['out'])\n"
    )
    first, second = project.run("main.py", "-W", "ignore"), project.run("main.py", "-W", "ignore")
    assert first.stdout == second.stdout
    assert second.outcomes == (["miss"] if kind == "return" else ["hit"])
