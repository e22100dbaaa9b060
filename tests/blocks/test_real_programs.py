"""What public example scripts have shown (``mutation/faithful.py``): each cause as a small program, run three ways."""

from __future__ import annotations

import pytest
from threeways import check, parameters

PROGRAMS = """
=== code stands where it stands
import inspect, traceback
from dataclasses import dataclass
with cached_block("w"):
    # a comment


    def f(x):
        return 1 / x
    class C:
        def m(self): return f(0)
    g = [lambda: 1, lambda: 1]
    @dataclass
    class D: n: int = 1
print(inspect.getsource(f), inspect.getsource(C.m), [h.__code__.co_firstlineno for h in g])
print(f.__code__.co_filename == __file__, D.__eq__.__code__.co_filename)
try: C().m()
except ZeroDivisionError: traceback.print_exc()
=== code of a helper and of a library
# needs: pyparsing
import inspect, pyparsing, helper
with cached_block("w"):
    add = helper.adder(2)
    wrapped = pyparsing.core._trim_arity(lambda t: t * 2)
print(inspect.getsource(add), add.__code__.co_filename == helper.__file__, add(1))
print(wrapped.__code__.co_filename == pyparsing.core.__file__, wrapped("text", 1, 3))
--- helper.py
def adder(n):

    def add(x): return x + n
    return add
"""
FAILING: dict[str, str] = {}


@pytest.mark.parametrize("text", list(parameters(PROGRAMS, FAILING)))
def test_a_hit_cannot_be_told_from_a_run(project, text):
    """What the script left differed, or its blocks did not hit."""
    check(project, text)
