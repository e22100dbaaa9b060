"""What results share with each other, with the program's definitions and with libraries, see threeways.py.

Each of these was met in an example script of a public package (``tests/mutation/faithful.py``).
"""

from __future__ import annotations

import pytest
from tests.blocks.threeways import check, parameters

PROGRAMS = '''
=== columns of an array that is no result have their strides and their memory in common
# needs: numpy
import numpy as np
def trace(n, k, dtype):
    table = np.arange(n * k).astype(dtype).reshape(n, k)
    return {f"c{i}": table[:, i] for i in range(k)}
with cached_block("columns"):
    found = trace(35, 5, float)
    few = [column for name, column in trace(2000, 10, "f4").items() if name < "c4"]
    dates = list(trace(40, 6, "M8[s]").values())
    backwards = [column[::-1] for column in trace(9, 7, "c16").values()]
print(np.may_share_memory(found["c0"], found["c1"]), found["c0"].strides, few[0].strides, dates[3][:2], backwards[0].strides)
found["c3"][4] = -1.0
=== a column alone has its strides, whatever it was cut from
# needs: numpy
import numpy as np
def one(n, k, dtype="i8", order="C"):
    return np.arange(n * k).astype(dtype).reshape(n, k, order=order)[:, k // 2]
class Named(np.ndarray): pass
def read_only(array):
    array.flags.writeable = False
    return array
with cached_block("alone"):
    column, texts = one(50, 9), one(20, 30, "U7")
    twice = [column, column[::2]]
    step = np.arange(1000)[::100]
    derived = one(60, 8).view(Named)
    derived.note = "kept"
    fixed = read_only(one(7, 70))
    spread = np.broadcast_to(one(11, 40)[:, None], (11, 3))
    record = np.zeros((6, 9), [("a", "i1"), ("b", "f8")])["b"][:, 4]
    matrix = np.asmatrix(np.eye(9))[:, 2]
for array in (column, texts, step, derived, fixed, spread, record, matrix):
    print(type(array).__name__, array.strides, array.flags.c_contiguous, array.flags.writeable, array.sum() if array.dtype.kind in "if" else "")
column[3] = 7
print(twice[1][:4])
=== arrays without elements have their strides
# needs: numpy
import numpy as np
class Holder:
    def __init__(self, *arrays): self.arrays = arrays
with cached_block("empty"):
    new = np.zeros((0, 8), "u4")
    view = np.ones((4, 8), "u4")[4:]
    holder = Holder(np.empty((3, 0)), np.ones((6, 5), "M8[s]")[::2, 5:], np.zeros((0, 2), [("a", "i2")]))
print(new.strides, view.strides, [array.strides for array in holder.arrays], new.flags.owndata)
=== a small view keeps nothing of a large array
# needs: numpy
import numpy as np
import pathlib
def one():
    return np.zeros((4000, 1000))[:, 7]
with cached_block("small"):
    column = one()
print(column.strides, column.sum())
print(max(p.stat().st_size for p in pathlib.Path(".blockcache").rglob("*")) < 100_000 if pathlib.Path(".blockcache").exists() else True)
=== what functools.wraps has taken from a class or a function is that of the class or function
from dataclasses import dataclass, fields
from functools import update_wrapper, wraps
@dataclass
class Point:
    x: int
    y: list[int]
    def far(self) -> bool: return self.x > 3
def helper(a: int, *, b: str = "") -> float:
    return a + len(b)
class Wrapper:
    def __init__(self, inner): update_wrapper(self, inner)
with cached_block("wraps"):
    of_class, of_method = Wrapper(Point), Wrapper(Point.far)
    @wraps(helper)
    def wrapped(*args, **options): return helper(*args, **options)
print(of_class.__annotations__ is Point.__annotations__, of_class.__dataclass_fields__ is Point.__dataclass_fields__)
print(of_class.__dataclass_params__ is Point.__dataclass_params__, of_class.__init__ is Point.__init__, of_class.far is Point.far)
print(wrapped.__annotations__ is helper.__annotations__, of_method.__annotations__ is Point.far.__annotations__)
Point.__annotations__["z"] = float
helper.__annotations__["c"] = int
=== a body that changes what a class says of its fields
from dataclasses import dataclass
@dataclass
class Point:
    x: int
kept = Point.__annotations__
with cached_block("fields"):
    Point.__dataclass_fields__["x"].metadata = {"unit": "m"}
print(kept, Point.__dataclass_fields__["x"].metadata)
=== a slot that a derived class hides does not become an attribute of the object
class Base:
    __slots__ = ("name", "value")
class Leaf(Base):
    name = "leaf"
    def __init__(self, value): self.value = value
class Deep(Leaf):
    __slots__ = ("more",)
    value = property(lambda self: 3)
    def __init__(self): self.more = [1]
with cached_block("slots"):
    found = [Leaf(1), Leaf([2]), Deep()]
with cached_block("again"):
    values = [leaf.value for leaf in found]
print(vars(found[0]), vars(found[2]), values)
=== the list that a library's objects share because it is a default argument
# needs: lmfit
from lmfit import Model
from lmfit.models import GaussianModel, SplineModel
with cached_block("shared"):
    first = GaussianModel(prefix="p_")
    spline = SplineModel(prefix="b_", xknots=[1, 2, 3, 4])
    whole = first + spline
second, other = GaussianModel(), SplineModel(xknots=[1, 2, 3, 4])
print(first.independent_vars is second.independent_vars, spline.independent_vars is other.independent_vars)
with cached_block("read"):
    names = first.independent_vars
=== what a result holds of an upstream parser is that parser's own
# needs: lark
from lark import Lark
from lark.reconstruct import Reconstructor
grammar = """
start: item*
item: CNAME "=" NUMBER ";"
%import common (CNAME, NUMBER, WS)
%ignore WS
"""
parser = Lark(grammar, parser="lalr", maybe_placeholders=False)
with cached_block("reconstructor"):
    tree = parser.parse("a = 1; b = 2;")
    back = Reconstructor(parser)
    text = back.reconstruct(tree)
known = set(map(id, parser.rules)) | {id(symbol) for rule in parser.rules for symbol in (rule.origin, *rule.expansion)}
print(text, back.parser is parser, all(part.parser.lexer_conf is parser.lexer_conf for part in back._parser_cache.values() if hasattr(part, "parser")))
print(sum(id(symbol) in known for rule in back.rules for symbol in rule.expansion), [t is u for t, u in zip(back.tokens, parser.terminals)])
del parser, tree, back, known
'''


@pytest.mark.parametrize("text", list(parameters(PROGRAMS, {})))
def test_a_hit_cannot_be_told_from_a_run(project, text):
    """Variables, output and all that a program leaves are the same plain, cold and warm."""
    check(project, text)
