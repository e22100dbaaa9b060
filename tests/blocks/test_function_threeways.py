"""Calls of cached functions: a hit cannot be told from a run. ``threeways.py`` tells the notation.

The functions stand in ``main``, because what the main module's variables hold at the end is compared, and a cached function
is not the plain one.
"""

from __future__ import annotations

import pytest
from threeways import check, parameters

#: What fails now: name -> what is wrong. Strict: a program that starts to pass must leave this table.
FAILING: dict[str, str] = {}

PROGRAMS = r"""
=== results that share
from blockcache import cached_function
def main():
    @cached_function
    def f(n):
        a = [n]
        return {"a": a, "b": a, "t": (a, n)}
    x, y = f(1), f(1)
    x["a"].append(2)
    return x, y, f(2)
r = main()
=== an argument is given back
from blockcache import cached_function
def main():
    @cached_function
    def f(x, y=None):
        return [x, y, x]
    a, b = [1], {"k": [2]}
    return a, b, f(a, b), f(a, b["k"]), f(a)
r = main()
=== arguments that are changed in place
from blockcache import cached_function
def main():
    @cached_function
    def f(items, table):
        items.append(len(items))
        table.setdefault("k", []).extend(items)
        return len(items)
    a, t = [1], {}
    alias = a
    n = f(a, t)
    a2 = [1]
    m = f(a2, {})
    return a, alias, t, n, a2, m
r = main()
=== attributes of the object
from blockcache import cached_function
class Model:
    fitted = 0
    def __init__(self):
        self.w = [0.0]
    @classmethod
    def count(cls):
        cls.fitted += 1
def main():
    @cached_function
    def fit(self, x):
        self.w[0] += x
        self.last = [x]
        return self
    m = Model()
    w = m.w
    return fit(m, 2.0) is m, m, w is m.w, m.last
r = main()
=== a method that fits
from blockcache import cached_function
def main():
    class Model:
        def __init__(self):
            self.w = [0.0]
        @cached_function
        def fit(self, x):
            self.w[0] += x
            self.last = [x]
            return self
    m = Model()
    w = m.w
    same = m.fit(2.0) is m
    return same, m.w, w is m.w, m.last
r = main()
=== globals that are set
from blockcache import cached_function
COUNT = 0
LOG = []
def main():
    @cached_function
    def f(x):
        global COUNT
        COUNT = COUNT + x
        LOG.append(x)
        return COUNT
    return f(1), f(2)
r = main()
=== arrays
# needs: numpy
import numpy as np
from blockcache import cached_function
def main():
    @cached_function
    def f(a):
        a[0] = 7
        return a[1:], np.zeros(3), a
    a = np.arange(5.0)
    v, z, same = f(a)
    v[0] = 9
    z[0] = 1
    return a, v, z, same is a
r = main()
=== draws
import random
from blockcache import cached_function
random.seed(3)
def main():
    @cached_function
    def f(n):
        return [random.random() for _ in range(n)]
    return f(2), f(2), random.random()
r = main()
=== an async function
import asyncio
from blockcache import cached_function
def main():
    @cached_function
    async def f(x):
        await asyncio.sleep(0)
        return [x]
    async def many():
        return await asyncio.gather(f(1), f(2), f(1))
    return asyncio.run(many()), asyncio.run(f(2))
r = main()
=== an exception that is caught
# warm: any
from blockcache import cached_function
def main():
    @cached_function
    def f(x):
        if x:
            raise ValueError(x)
        return [x]
    def tried(x):
        try:
            return f(x)
        except ValueError as error:
            return repr(error)
    return tried(0), tried(1), tried(0)
r = main()
=== functions and classes that are made
from blockcache import cached_function
class P:
    def __init__(self, x):
        self.x = x
def main():
    @cached_function
    def f(n):
        return (lambda x: x + n), P(n), P, [P]
    g, p, cls, classes = f(2)
    return g(1), p, cls is P, classes[0] is P, isinstance(p, P)
r = main()
=== inside a block
from blockcache import cached_block, cached_function
def main():
    @cached_function
    def f(n):
        return [n]
    with cached_block("w"):
        a = f(1)
        b = f(1)
        a.append(3)
    return a, b
r = main()
=== a block inside
from blockcache import cached_block, cached_function
def main():
    @cached_function
    def f(n):
        with cached_block("inner"):
            x = [n]
        return x, x
    return f(1)
r = main()
=== a file that is read
from blockcache import cached_function
def main():
    @cached_function
    def f(name):
        with open(name) as file:
            return file.read()
    first = f("data.txt")
    with open("data.txt", "w") as file:
        file.write("other")
    return first, f("data.txt")
r = main()
--- data.txt
text
=== output
import sys, warnings
from blockcache import cached_function
def main():
    @cached_function
    def f(n):
        print("out", n)
        print("err", n, file=sys.stderr)
        warnings.warn(f"careful {n}")
        return [n]
    for _ in range(2):
        print("before")
        f(1)
        print("after")
    f(2)
main()
=== output of calls inside calls
from blockcache import cached_block, cached_function
def main():
    @cached_function
    def f(n):
        print("f", n)
        return n
    @cached_function
    def g(n):
        print("g", n)
        return f(n) + f(n + 1)
    g(1)
    f(2)
    with cached_block("w"):
        print("block")
        r = g(1) + f(7)
    return r
r = main()
=== output of tasks side by side
import asyncio
from blockcache import cached_function
def main():
    @cached_function
    async def f(n):
        print("begin", n)
        await asyncio.sleep(0.01 * n)
        print("end", n)
        return n
    async def many():
        for n in (1, 2):
            await f(n)
            print("between")
    asyncio.run(many())
main()
=== output of threads
from concurrent.futures import ThreadPoolExecutor
from blockcache import cached_function
def main():
    @cached_function
    def f(n):
        print("thread", n)
        return n
    with ThreadPoolExecutor(1) as pool:
        return list(pool.map(f, range(3)))
r = main()
=== recursion that prints
from blockcache import cached_function
def main():
    @cached_function
    def fact(n):
        print("fact", n)
        return 1 if n < 2 else n * fact(n - 1)
    return fact(4), fact(5)
r = main()
=== a logger
import logging
from blockcache import cached_function
logging.basicConfig(format="%(levelname)s %(message)s")
def main():
    @cached_function
    def f(n):
        logging.getLogger("app").warning("low %d", n)
        return n
    return f(1), f(1)
r = main()
=== a figure that is given back
# needs: matplotlib
# warm: any
from blockcache import cached_function
import matplotlib.pyplot as plt
def main():
    @cached_function
    def plot(n):
        fig, ax = plt.subplots()
        ax.plot(range(n))
        return fig
    plot(3)
main()
=== an output file
import os
from blockcache import cached_function
def main():
    @cached_function(outputs=["made.txt"])
    def f(n):
        with open("made.txt", "w") as file:
            file.write("x" * n)
        return n
    f(3)
    with open("made.txt") as file:
        first = file.read()
    os.remove("made.txt")
    return first, f(3), os.path.getsize("made.txt"), f(2), os.path.getsize("made.txt")
r = main()
=== a result without content
# warm: any
from blockcache import cached_function
def main():
    @cached_function
    def f(n):
        return (i for i in range(n))
    return list(f(3)), list(f(3))
r = main()
=== keyword arguments in the order in which they are given
from blockcache import cached_function
def main():
    @cached_function
    def f(**named):
        return list(named)
    return f(a=1, b=2), f(b=2, a=1)
r = main()
"""


@pytest.mark.parametrize("text", list(parameters(PROGRAMS, FAILING)))
def test_a_call_that_hits_cannot_be_told_from_one_that_runs(project, text):
    check(project, text)
