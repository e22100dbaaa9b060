"""Edits where people make them: cells of a live kernel, notebooks on disk, a marimo page, functions and classes of scripts.

Many scenarios share one kernel or server, as they do in a long session; each is judged by itself and all that fail are listed.

Notation for Jupyter: ``=== name`` starts a scenario. ``--- cell`` runs a cell, ``--- raises`` one that fails on its way,
``--- file NAME`` writes a file, ``--- block`` sets the body of the block, ``--- restart`` goes on in a new kernel.
``--- expect OUTCOME VALUE | NAMED`` runs the block and looks at ``r``, at the outcome and whether the difference that is
told contains ``NAMED``. Outcomes: ``miss``; ``saved``: a miss that is saved; ``hit``; ``any``: right, however it came about.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from programs import EDIT
from test_code_corners import judge, programs

from hosts.host_runs import MarimoServer, events_file, execute, kernel

if TYPE_CHECKING:
    from projects import Project

# -- scripts: blocks in functions, methods and classes --------------------------------------

SCRIPTS = r"""
=== hit | code of the function after the block
def work(x):
    with cached_block("w"):
        r = x * 2
    return r«→ + 0»
print(work(2))
=== miss | an argument's value | x
def work(x):
    with cached_block("w"):
        r = x * 2
    return r
print(work(«2→3»))
=== hit | an argument that the block does not read
def work(x, note=""):
    with cached_block("w"):
        r = x * 2
    return r
print(work(2, note="«one→two»"))
=== miss | one value more in a loop of calls
def work(x):
    with cached_block("w"):
        r = x * 2
    return r
print([work(n) for n in range(«2→3»)])
=== miss | *args and **kwargs
def work(*args, **kwargs):
    with cached_block("w"):
        r = (args, sorted(kwargs.items()))
    return r
print(work(1, 2, k=«3→4»))
=== miss | a default argument of the function around the block
def work(x, k=«1→2»):
    with cached_block("w"):
        r = x * k
    return r
print(work(2))
=== hit | a local value by other code
def work(x):
    y = «x + x→2 * x»
    with cached_block("w"):
        r = y + 1
    return r
print(work(2))
=== miss | a helper defined in the function | helper
def work(x):
    def helper(n):
        return n + «1→2»
    with cached_block("w"):
        r = helper(x)
    return r
print(work(2))
=== miss | a variable of the outer function
def outer(k):
    def work(x):
        with cached_block("w"):
            r = x * k
        return r
    return work
print(outer(«2→3»)(5))
=== miss | nonlocal, set before the call
def outer():
    k = 1
    def set_k():
        nonlocal k
        k = «2→3»
    def work():
        with cached_block("w"):
            r = k * 10
        return r
    set_k()
    return work()
print(outer())
=== miss | a global that the block sets in a function
k = 0
def work():
    global k
    with cached_block("w"):
        k = [n + «1→2» for n in range(3)]
work()
print(k)
=== miss | an attribute of self | n
class Job:
    def __init__(self, n):
        self.n = n
    def run(self):
        with cached_block("w"):
            r = self.n * 2
        return r
print(Job(«1→2»).run())
=== hit | an attribute of self that the block does not read
class Job:
    def __init__(self, n, note):
        self.n = n
        self.note = note
    def run(self):
        with cached_block("w"):
            r = self.n * 2
        return r
print(Job(1, "«one→two»").run())
=== hit | another method of the class, where the block reads one attribute
class Job:
    def __init__(self, n):
        self.n = n
    def run(self):
        with cached_block("w"):
            r = self.n * 2
        return r
    def other(self):
        return «1→2»
print(Job(1).run())
=== miss | a method that the block calls on self | step
class Job:
    def run(self):
        with cached_block("w"):
            r = self.step() * 2
        return r
    def step(self):
        return «1→2»
print(Job().run())
=== miss | a child overrides the method that the block calls on self
class Job:
    def run(self):
        with cached_block("w"):
            r = self.step() * 2
        return r
    def step(self):
        return 1
class Child(Job):
    def step(self):
        return «1→2»
print(Child().run())
=== miss | super() in a block, the base in a module | h.Base
from h import Base
class Job(Base):
    def run(self):
        with cached_block("w"):
            r = super().run() * 2
        return r
print(Job().run())
--- h.py
class Base:
    def run(self):
        return «1→2»
=== miss | a private attribute of self in a block
class Job:
    def __init__(self, n):
        self.__n = n
    def run(self):
        with cached_block("w"):
            r = self.__n * 2
        return r
print(Job(«1→2»).run())
=== miss | a private method of self in a block
class Job:
    def __step(self):
        return «1→2»
    def run(self):
        with cached_block("w"):
            r = self.__step() * 2
        return r
print(Job().run())
=== miss | cls in a class method, called on a child
class Job:
    k = 1
    @classmethod
    def run(cls):
        with cached_block("w"):
            r = cls.k * 2
        return r
class Child(Job):
    k = «2→3»
print(Child.run())
=== miss | type(self) and __class__
class Job:
    k = «1→2»
    def run(self):
        with cached_block("w"):
            r = (type(self).k, __class__.k)
        return r
print(Job().run())
=== miss | a block in a property
class Job:
    n = «1→2»
    @property
    def table(self):
        with cached_block("w"):
            r = [self.n] * 3
        return r
print(Job().table)
=== miss | a block in a class body
k = «1→2»
class Job:
    with cached_block("w"):
        r = k * 2
print(Job.r)
=== miss | a block in a generator, moved on
def work(n):
    for i in range(n):
        with cached_block("w"):
            r = i * «2→3»
        yield r
print(list(work(3)))
=== miss | a block in an async function, a helper awaited in it | load
import asyncio
async def load(x):
    return x + «1→2»
async def work(x):
    with cached_block("w"):
        r = await load(x)
    return r
print(asyncio.run(work(1)))
=== miss | a block in a recursive function
def work(n):
    if n == 0:
        return «1→2»
    below = work(n - 1)
    with cached_block("w"):
        r = n * below
    return r
print(work(4))
=== hit | code around the block: try, loop and another with
import contextlib
def work(x):
    «try:
        with cached_block("w"):
            r = x * 2
    finally:
        pass→for _ in range(1):
        with contextlib.suppress(KeyError):
            with cached_block("w"):
                r = x * 2»
    return r
print(work(2))
=== miss | a decorator changes the argument
def plus(f):
    def inner(x):
        return f(x + «1→2»)
    return inner
@plus
def work(x):
    with cached_block("w"):
        r = x * 2
    return r
print(work(2))
=== hit | a caller in main, the block in a module
from h import work
«→before = 1
»print(work(2))
--- h.py
from blockcache import cached_block
def work(x):
    with cached_block("w"):
        r = x * 2
    return r
=== miss | a helper of the block's module | helper
from h import work
print(work(2))
--- h.py
from blockcache import cached_block
def helper(x):
    return x + «1→2»
def work(x):
    with cached_block("w"):
        r = helper(x)
    return r
=== miss | a connection made in the function
import sqlite3
def work(n):
    con = sqlite3.connect(":memory:")
    con.execute("create table t(n)")
    con.execute("insert into t values (?)", (n,))
    with cached_block("w"):
        r = con.execute("select sum(n) from t").fetchone()[0]
    return r
print(work(«1→2»))
=== hit | a connection made in the function, a comment
import sqlite3
def work(n):
    con = sqlite3.connect(":memory:")
    «→# rows
    »con.execute("create table t(n)")
    con.execute("insert into t values (?)", (n,))
    with cached_block("w"):
        r = con.execute("select sum(n) from t").fetchone()[0]
    return r
print(work(1))
=== runs | a connection in an attribute of self
import sqlite3
class Job:
    def __init__(self, n):
        self.con = sqlite3.connect(":memory:")
        self.con.execute("create table t(n)")
        self.con.execute("insert into t values (?)", (n,))
    def run(self):
        with cached_block("w"):
            r = self.con.execute("select sum(n) from t").fetchone()[0]
        return r
print(Job(«1→2»).run())
=== runs | two callers with a connection each
import sqlite3
def made(n):
    con = sqlite3.connect(":memory:")
    con.execute("create table t(n)")
    con.execute("insert into t values (?)", (n,))
    return con
def total(con):
    with cached_block("w"):
        r = con.execute("select sum(n) from t").fetchone()[0]
    return r
print(total(made(1)), total(made(«2→3»)))
=== runs | connections of a comprehension
import sqlite3
def made(n):
    con = sqlite3.connect(":memory:")
    con.execute("create table t(n)")
    con.execute("insert into t values (?)", (n,))
    return con
def total(con):
    with cached_block("w"):
        r = con.execute("select sum(n) from t").fetchone()[0]
    return r
cons = [made(1), made(«2→3»)]
print([total(con) for con in cons])
=== runs | connections of a loop
import sqlite3
def made(n):
    con = sqlite3.connect(":memory:")
    con.execute("create table t(n)")
    con.execute("insert into t values (?)", (n,))
    return con
def total(con):
    with cached_block("w"):
        r = con.execute("select sum(n) from t").fetchone()[0]
    return r
cons = [made(1), made(«2→3»)]
for con in cons:
    print(total(con))
=== runs | a block that sets an attribute of self
class Job:
    def __init__(self):
        with cached_block("w"):
            self.table = [«1→2»]
print(Job().table)
=== miss | a block in a thread of a pool
from concurrent.futures import ThreadPoolExecutor
def work(x):
    with cached_block("w"):
        r = x * «2→3»
    return r
with ThreadPoolExecutor(2) as pool:
    print(list(pool.map(work, [1, 2])))
=== effect | two functions with the same block and other helpers
def one(x):
    def helper(n):
        return n + 1
    with cached_block("w"):
        r = helper(x)
    return r
def two(x):
    def helper(n):
        return n + 2
    with cached_block("w"):
        r = helper(x)
    return r
print(one(1), two(1))
=== effect | one function with a helper that is bound again between two calls
def helper(n):
    return n + 1
def work(x):
    with cached_block("w"):
        r = helper(x)
    return r
a = work(1)
def helper(n):
    return n + 2
print(a, work(1))
=== effect | one function whose class attribute changes between two calls
class Job:
    k = 1
    def run(self):
        with cached_block("w"):
            r = self.k * 2
        return r
a = Job().run()
Job.k = 5
print(a, Job().run())
=== effect | a file that the program writes again between two calls
def work():
    with cached_block("w"):
        r = open("d.txt").read()
    return r
open("d.txt", "w").write("one")
a = work()
open("d.txt", "w").write("two")
print(a, work())
=== effect | a variable that the program sets between two calls
import os
def work():
    with cached_block("w"):
        r = os.environ.get("LEVEL")
    return r
a = work()
os.environ["LEVEL"] = "2"
print(a, work())
=== effect | a connection that gets a row between two calls
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
def work():
    with cached_block("w"):
        r = con.execute("select count(*) from t").fetchone()[0]
    return r
a = work()
con.execute("insert into t values (1)")
print(a, work())
=== effect | a connection that gets a row in a loop
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)")
seen = []
for n in range(3):
    con.execute("insert into t values (1)")
    with cached_block("w"):
        r = con.execute("select count(*) from t").fetchone()[0]
    seen.append(r)
print(seen)
"""


@pytest.mark.parametrize(("kind", "text", "named"), list(programs(SCRIPTS)))
def test_a_block_in_a_function_or_class(project: Project, plain_path: Path, kind: str, text: str, named: str) -> None:  # noqa: F811
    """The same contract where a block's names are a function's, a method's or a class's."""
    judge(project, plain_path, kind, text, named)


# -- Jupyter: one live kernel ---------------------------------------------------------------

VALUES = r'''
=== a helper's cell is edited and run again, and set back
--- cell
def f(x):
    return x + 1
--- block
r = f(1)
--- expect saved 2
--- cell
def f(x):
    return x + 10
--- expect miss 11 | f
--- cell
def f(x):
    return x + 1
--- expect hit 2
=== a helper's cell is edited on disk and not run again
--- file live.ipynb
{"cells": [{"cell_type": "code", "source": "def f(x):\n    return x + 1"}]}
--- cell
def f(x):
    return x + 1
--- block
r = f(1)
--- expect saved 2
--- file live.ipynb
{"cells": [{"cell_type": "code", "source": "def f(x):\n    return x + 10"}]}
--- expect hit 2
=== a helper's cell gets a comment, a docstring and another helper
--- cell
def f(x):
    return x + 1
--- block
r = f(1)
--- expect saved 2
--- cell
# a comment
def f(x):
    """One more."""
    return (x + 1)

def another(x):
    return f(x)
--- expect hit 2
=== cells in another order
--- cell
def outer(x):
    return inner(x) + 1
--- cell
def inner(x):
    return x * 2
--- block
r = outer(1)
--- expect saved 3
--- cell
def inner(x):
    return x * 2
--- cell
def outer(x):
    return inner(x) + 1
--- expect hit 3
--- cell
def inner(x):
    return x * 3
--- expect miss 4 | inner
=== a cell is run twice
--- cell
x = 1
--- cell
x += 1
--- block
r = x * 10
--- expect saved 20
--- cell
x += 1
--- expect miss 30 | x
=== a cell that appends is run twice
--- cell
xs = []
--- cell
xs.append(len(xs))
--- block
r = list(xs)
--- expect saved [0]
--- cell
xs.append(len(xs))
--- expect miss [0, 1] | xs
=== a function is defined again in a later cell
--- cell
def f():
    return 1
--- block
r = f()
--- expect saved 1
--- cell
def unrelated():
    return 3
def f():
    return 2
--- expect miss 2 | f
=== a function is replaced by a lambda and by a callable object
--- cell
def f():
    return 1
--- block
r = f()
--- expect saved 1
--- cell
f = lambda: 2
--- expect miss 2 | f
--- cell
class F:
    def __call__(self):
        return 3
f = F()
--- expect miss 3 | f
=== a global is bound again
--- cell
k = 1
def f():
    return k
--- block
r = f()
--- expect saved 1
--- cell
k = 2
--- expect miss 2 | k
=== a cell's code changes and its value does not
--- cell
table = {"a": 1, "b": [1, 2]}
--- block
r = table["b"]
--- expect saved [1, 2]
--- cell
table = dict(a=3 - 2, b=list(range(1, 3)))
--- expect hit [1, 2]
=== the block's cell is run again after its results exist
--- cell
n = 3
--- block
total = 0
for i in range(n):
    total += i
r = total
--- expect saved 3
--- expect hit 3
--- cell
r = "something else"
total = 99
--- expect hit 3
--- cell
del total
--- expect hit 3
=== the block's own edit, and back
--- block
r = [n * 2 for n in range(3)]
--- expect saved [0, 2, 4]
--- block
r = [n * 3 for n in range(3)]
--- expect miss [0, 3, 6]
--- block
# as before
r = [ n*2 for n in range(3) ]
--- expect hit [0, 2, 4]
=== a magics cell gives the value
--- cell
%time x = 5
--- block
r = x + 1
--- expect saved 6
--- cell
%time x = 6
--- expect miss 7 | x
=== a helper in a %%capture cell
--- cell
%%capture
def f():
    return 1
--- block
r = f()
--- expect saved 1
--- cell
%%capture
def f():
    return 2
--- expect miss 2 | f
=== a line magic in the body
--- cell
def f():
    return 1
--- block
%time r = f()
--- expect any 1
--- cell
def f():
    return 2
--- expect any 2
=== a shell line gives the value
--- file listed/a.txt
--- cell
found = !ls listed
--- block
r = [name for name in found]
--- expect saved ['a.txt']
--- file listed/b.txt
--- expect hit ['a.txt']
--- cell
found = !ls listed
--- expect miss ['a.txt', 'b.txt'] | found
=== the last output
--- cell
5
--- block
r = _ + 1
--- expect any 6
--- cell
70
--- expect any 71
=== a class is defined again while an old instance lives
--- cell
class A:
    def go(self):
        return 1
a = A()
--- block
r = a.go()
--- expect saved 1
--- cell
class A:
    def go(self):
        return 2
--- expect hit 1
--- cell
a = A()
--- expect miss 2 | go
=== a base class is defined again, the child is not
--- cell
class Base:
    k = 1
--- cell
class Child(Base):
    pass
--- block
r = Child().k
--- expect saved 1
--- cell
class Base:
    k = 2
--- expect hit 1
--- cell
class Child(Base):
    pass
--- expect miss 2 | k
=== a method is replaced in a cell
--- cell
class A:
    def go(self):
        return self.step()
    def step(self):
        return 1
a = A()
--- block
r = a.go()
--- expect saved 1
--- cell
A.step = lambda self: 2
--- expect miss 2 | step
=== one instance's attribute changes
--- cell
class A:
    def __init__(self):
        self.k = 1
    def go(self):
        return self.k
a = A()
--- block
r = a.go()
--- expect saved 1
--- cell
a.k = 2
--- expect miss 2 | a
=== a dataclass's default
--- cell
from dataclasses import dataclass
@dataclass
class P:
    x: int = 1
--- block
r = P().x
--- expect saved 1
--- cell
@dataclass
class P:
    x: int = 2
--- expect miss 2 | P
=== a decorator is edited, its function is run again or not
--- cell
def deco(g):
    def inner(x):
        return g(x) + 1
    return inner
--- cell
@deco
def f(x):
    return x
--- block
r = f(1)
--- expect saved 2
--- cell
def deco(g):
    def inner(x):
        return g(x) + 2
    return inner
--- expect hit 2
--- cell
@deco
def f(x):
    return x
--- expect miss 3
=== a closure made again
--- cell
def make(n):
    def f():
        return n
    return f
f = make(1)
--- block
r = f()
--- expect saved 1
--- cell
f = make(2)
--- expect miss 2
=== a helper kept in a dispatch table, then edited and not put in again
--- cell
def step():
    return 1
table = {"step": step}
--- block
r = table["step"]()
--- expect saved 1
--- cell
def step():
    return 2
--- expect hit 1
--- cell
table["step"] = step
--- expect miss 2
=== a cell that fails half way
--- cell
x = 1
--- block
r = x
--- expect saved 1
--- raises
x = 2
1 / 0
x = 3
--- expect miss 2 | x
=== a helper is deleted, so that a builtin shows through
--- cell
def len(x):
    return 99
--- block
r = len("abc")
--- expect saved 99
--- cell
del len
--- expect miss 3
=== an async helper and top-level await
--- cell
async def f():
    return 1
--- block
r = await f()
--- expect saved 1
--- cell
async def f():
    return 2
--- expect miss 2 | f
=== a lambda's default bound in a loop
--- cell
fs = [lambda i=i: i * 2 for i in range(3)]
--- block
r = fs[2]()
--- expect saved 4
--- cell
fs = [lambda i=i: i * 3 for i in range(3)]
--- expect miss 6
=== a data file is edited between runs, and set back
--- file d.csv
1,2
--- block
r = open("d.csv").read().strip()
--- expect saved '1,2'
--- expect hit '1,2'
--- file d.csv
1,3
--- expect miss '1,3' | d.csv
--- file d.csv
1,2
--- expect hit '1,2'
=== a data file read in another cell
--- file e.csv
1,2
--- cell
text = open("e.csv").read().strip()
--- block
r = text.split(",")
--- expect saved ['1', '2']
--- file e.csv
1,3
--- expect hit ['1', '2']
--- cell
text = open("e.csv").read().strip()
--- expect miss ['1', '3'] | text
=== %env
--- cell
%env LEVEL=1
--- block
r = os.environ["LEVEL"]
--- expect saved '1'
--- cell
%env LEVEL=2
--- expect miss '2' | LEVEL
--- cell
%env LEVEL=1
--- expect hit '1'
=== %env and a helper with getenv
--- cell
from os import getenv
def f():
    return getenv("DEPTH", "none")
--- block
r = f()
--- expect saved 'none'
--- cell
%env DEPTH=2
--- expect miss '2' | DEPTH
=== %cd and a relative name
--- file one/d.txt
one
--- file two/d.txt
two
--- cell
os.chdir("one")
--- block
r = open("d.txt").read().strip()
--- expect saved 'one'
--- cell
os.chdir("../two")
--- expect miss 'two'
--- cell
os.chdir("..")
=== a seed in another cell
--- cell
import random
random.seed(1)
--- block
r = random.randrange(10**6)
--- expect saved 140891
--- cell
random.seed(2)
--- expect miss 905035
--- cell
random.seed(1)
--- expect hit 140891
=== a pandas option in another cell
--- cell
import pandas as pd
frame = pd.DataFrame({"x": [1 / 3]})
pd.set_option("display.precision", 2)
--- block
r = frame.to_string().split()
--- expect saved ['x', '0', '0.33']
--- cell
pd.set_option("display.precision", 3)
--- expect miss ['x', '0', '0.333']
--- cell
pd.reset_option("display.precision")
=== a frame changed in place in another cell
--- cell
import pandas as pd
df = pd.DataFrame({"x": [1, 2]})
--- block
r = int(df["x"].sum())
--- expect saved 3
--- cell
df.loc[0, "x"] = 5
--- expect miss 7 | df
--- cell
df.loc[0, "x"] = 1
--- expect hit 3
=== a generator made in another cell
--- cell
def numbers():
    yield from (1, 2, 3)
g = numbers()
--- block
r = next(g)
--- expect any 1
--- cell
g = numbers()
next(g)
--- expect any 2
=== an unrelated cell in between, and an import
--- cell
n = 4
def f(n):
    return n * 2
--- block
r = f(n)
--- expect saved 8
--- cell
import json, csv
unrelated = [1, 2, 3]
def g(n):
    return n
--- expect hit 8
=== rows put in by a cell that is run twice
--- cell
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)");
--- cell
con.execute("insert into t values (1)");
--- block
r = con.execute("select sum(n) from t").fetchone()[0]
--- expect any 1
--- cell
con.execute("insert into t values (1)");
--- expect any 2
=== rows put in by a cell that was edited
--- cell
import sqlite3
con = sqlite3.connect(":memory:")
con.execute("create table t(n)");
--- cell
con.execute("insert into t values (5)");
--- block
r = con.execute("select sum(n) + 0 from t").fetchone()[0]
--- expect any 5
--- cell
con = sqlite3.connect(":memory:")
con.execute("create table t(n)");
--- cell
con.execute("insert into t values (6)");
--- expect any 6
'''

MODULES = r"""
=== a module is edited and not loaded again, then loaded again
--- file m1.py
def f():
    return 1
--- cell
import m1
--- block
r = m1.f()
--- expect saved 1
--- file m1.py
def f():
    return 2
--- expect hit 1
--- cell
import m1
--- expect hit 1
--- cell
importlib.reload(m1);
--- expect miss 2 | f
=== a from-import stays bound to the old function after a reload
--- file m2.py
def f():
    return 1
--- cell
import m2
from m2 import f
--- block
r = f()
--- expect saved 1
--- file m2.py
def f():
    return 2
--- cell
importlib.reload(m2);
--- expect hit 1
--- cell
from m2 import f
--- expect miss 2 | f
=== an old function reads the new module's globals after a reload
--- file m3.py
K = 1
def f():
    return K
--- cell
import m3
from m3 import f
--- block
r = f()
--- expect saved 1
--- file m3.py
K = 2
def f():
    return K * 100
--- cell
importlib.reload(m3);
--- expect miss 2 | K
=== an inner module is loaded again, the outer one keeps the old helper
--- file inner4.py
def g():
    return 1
--- file outer4.py
from inner4 import g
def f():
    return g()
--- cell
import inner4, outer4
--- block
r = outer4.f()
--- expect saved 1
--- file inner4.py
def g():
    return 2
--- cell
importlib.reload(inner4);
--- expect hit 1
--- cell
importlib.reload(outer4);
--- expect miss 2 | g
=== an instance of a class from before a reload
--- file m5.py
class A:
    def go(self):
        return 1
--- cell
import m5
a = m5.A()
--- block
r = a.go()
--- expect saved 1
--- file m5.py
class A:
    def go(self):
        return 2
--- cell
importlib.reload(m5);
--- expect hit 1
--- cell
a = m5.A()
--- expect miss 2 | go
=== a reload leaves a name that the file has no longer
--- file m6.py
K = 5
def f():
    return globals().get("K", 0)
def g():
    return K
--- cell
import m6
--- block
r = m6.g()
--- expect saved 5
--- file m6.py
def f():
    return globals().get("K", 0)
def g():
    return K
--- cell
importlib.reload(m6);
--- expect hit 5
=== a local module's function is replaced in a cell, and a reload sets it back
--- file m7.py
def g():
    return 1
def f():
    return g()
--- cell
import m7
--- block
r = m7.f()
--- expect saved 1
--- cell
m7.g = lambda: 2
--- expect miss 2 | g
--- cell
importlib.reload(m7);
--- expect hit 1
=== a module's constant is set in a cell
--- file m8.py
K = 1
def f():
    return K
--- cell
import m8
--- block
r = m8.f()
--- expect saved 1
--- cell
m8.K = 2
--- expect miss 2 | K
=== %run of a script, edited
--- file script9.py
def f():
    return 1
k = 10
--- cell
%run script9.py
--- block
r = f() + k
--- expect saved 11
--- file script9.py
def f():
    return 2
k = 10
--- expect hit 11
--- cell
%run script9.py
--- expect miss 12 | f
=== %%writefile and an import
--- cell
%%writefile m10.py
def f():
    return 1
--- cell
import m10
--- block
r = m10.f()
--- expect saved 1
--- cell
%%writefile m10.py
def f():
    return 2
--- expect hit 1
--- cell
importlib.reload(m10);
--- expect miss 2 | f
=== a module deleted from sys.modules and imported again
--- file m11.py
def f():
    return 1
--- cell
import m11
--- block
r = m11.f()
--- expect saved 1
--- file m11.py
def f():
    return 2
--- cell
del sys.modules["m11"]
--- expect hit 1
--- cell
import m11
--- expect miss 2 | f
=== a module that is imported in the body, edited in between
--- file m12.py
def f():
    return 1
--- block
import m12
r = m12.f()
--- expect saved 1
--- file m12.py
def f():
    return 2
--- expect any 1
--- cell
importlib.reload(sys.modules.get("m12") or importlib.import_module("m12"));
--- expect any 2
=== a patch of an installed library in a cell
--- cell
import statistics
kept = statistics.mean
--- block
r = statistics.mean([1, 2])
--- expect saved 1.5
--- cell
statistics.mean = lambda xs: 99
--- expect miss 99
=== a module's data file is edited, the module is loaded again
--- file table13.json
{"k": 1}
--- file m13.py
import json
TABLE = json.load(open("table13.json"))
def f():
    return TABLE["k"]
--- cell
import m13
--- block
r = m13.f()
--- expect saved 1
--- file table13.json
{"k": 2}
--- expect hit 1
--- cell
importlib.reload(m13);
--- expect miss 2 | TABLE
=== %autoreload 2: a function by the module's name
--- file auto1.py
def g():
    return 1
def f():
    return g()
--- cell
%load_ext autoreload
--- cell
%autoreload 2
import auto1
--- block
r = auto1.f()
--- expect saved 1
--- file auto1.py
def g():
    return 25
def f():
    return g()
--- expect miss 25 | g
--- file auto1.py
# a comment
def g():
    return 25
def f():
    return g()
--- expect hit 25
=== %autoreload 2: a function by from-import
--- file auto2.py
def f():
    return 1
--- cell
from auto2 import f
--- block
r = f()
--- expect saved 1
--- file auto2.py
def f():
    return 22
--- expect miss 22 | f
=== %autoreload 2: a method of a living instance
--- file auto3.py
class A:
    k = 1
    def go(self):
        return self.k
--- cell
from auto3 import A
a = A()
--- block
r = a.go()
--- expect saved 1
--- file auto3.py
class A:
    k = 100
    def go(self):
        return self.k + 5
--- expect miss 105 | go
=== %autoreload 2: a constant read by a helper
--- file auto4.py
K = 1
def f():
    return K
--- cell
from auto4 import f
--- block
r = f()
--- expect saved 1
--- file auto4.py
K = 234
def f():
    return K
--- expect miss 234 | K
"""

RESTARTS = r"""
=== a restart alone
--- cell
def f(x):
    return x + 1
k = {"a": {1, 2}}
--- block
r = f(len(k["a"]))
--- expect saved 3
--- restart
--- cell
k = {"a": {1, 2}}
--- cell
def f(x):
    return x + 1
--- expect hit 3
=== a helper's cell is edited before a restart
--- cell
def f(x):
    return x + 1
--- block
r = f(1)
--- expect saved 2
--- restart
--- cell
def f(x):
    return x + 2
--- expect miss 3 | f
=== a helper's cell gets a comment before a restart
--- cell
def f(x):
    return x * 2
--- block
r = f(1)
--- expect saved 2
--- restart
--- cell
# twice
def f(x):
    return x*2
--- expect hit 2
=== a module is edited in a live kernel, then comes a restart
--- file m1.py
def f():
    return 1
--- cell
import m1
--- block
r = m1.f()
--- expect saved 1
--- file m1.py
def f():
    return 2
--- expect hit 1
--- restart
--- cell
import m1
--- expect miss 2 | f
=== a module is edited before its first run counts, and saved under the old code
--- file m2.py
def f():
    return 1
--- cell
import m2
--- file m2.py
def f():
    return 2
--- block
r = m2.f()
--- expect any 1
--- restart
--- cell
import m2
--- expect any 2
=== an unrelated function of a module is edited before a restart
--- file m3.py
def f():
    return 1
def other():
    return 1
--- cell
import m3
--- block
r = m3.f()
--- expect saved 1
--- file m3.py
def f():
    return 1
def other():
    return 2
--- restart
--- cell
import m3
--- expect hit 1
=== a connection made in another cell
--- cell
import sqlite3
con = sqlite3.connect(":memory:")
--- cell
con.execute("create table t(n)")
con.executemany("insert into t values (?)", [(1,), (2,)]);
--- block
r = con.execute("select sum(n) from t").fetchone()[0]
--- expect saved 3
--- expect hit 3
--- cell
con.execute("select count(*) from t").fetchone()[0] == 2 or 1 / 0;
--- restart
--- cell
import sqlite3
con = sqlite3.connect(":memory:")
--- cell
con.execute("create table t(n)")
con.executemany("insert into t values (?)", [(1,), (2,)]);
--- expect hit 3
--- cell
con.execute("select count(*) from t").fetchone()[0] == 2 or 1 / 0;
=== a connection whose rows are edited before a restart
--- cell
import sqlite3
con2 = sqlite3.connect(":memory:")
--- cell
con2.execute("create table t(n)")
con2.executemany("insert into t values (?)", [(1,), (2,)]);
--- block
r = con2.execute("select sum(n) from t").fetchone()[0]
--- expect saved 3
--- restart
--- cell
import sqlite3
con2 = sqlite3.connect(":memory:")
--- cell
con2.execute("create table t(n)")
con2.executemany("insert into t values (?)", [(1,), (5,)]);
--- expect miss 6 | con2
=== a connection, and an unrelated cell that is new after a restart
--- cell
import sqlite3
con3 = sqlite3.connect(":memory:")
con3.execute("create table t(n)")
con3.execute("insert into t values (7)");
--- block
r = con3.execute("select n from t").fetchone()
--- expect saved (7,)
--- restart
--- cell
a_new_cell = [1, 2]
--- cell
import sqlite3
con3 = sqlite3.connect(":memory:")
con3.execute("create table t(n)")
con3.execute("insert into t values (7)");
--- expect hit (7,)
=== a connection to a file whose rows change
--- cell
import sqlite3
with sqlite3.connect("d.db") as made:
    made.execute("create table t(n)")
    made.execute("insert into t values (1)")
made.close()
--- cell
con4 = sqlite3.connect("d.db")
--- block
r = con4.execute("select sum(n) from t").fetchone()[0]
--- expect saved 1
--- restart
--- cell
import sqlite3
with sqlite3.connect("d.db") as made:
    made.execute("insert into t values (1)")
made.close()
--- cell
con4 = sqlite3.connect("d.db")
--- expect miss 2
=== a connection: the insert is run twice, then once after a restart
--- cell
import sqlite3
con5 = sqlite3.connect(":memory:")
con5.execute("create table t(n)");
--- cell
con5.execute("insert into t values (1)");
--- cell
con5.execute("insert into t values (1)");
--- block
r = con5.execute("select sum(n) from t").fetchone()[0]
--- expect any 2
--- restart
--- cell
import sqlite3
con5 = sqlite3.connect(":memory:")
con5.execute("create table t(n)");
--- cell
con5.execute("insert into t values (1)");
--- expect any 1
=== a figure drawn in another cell
--- cell
import matplotlib
matplotlib.use("agg")
from matplotlib.figure import Figure
ax = Figure().subplots()
ax.plot([1, 2]);
--- block
r = ax.lines[0].get_ydata().tolist()
--- expect any [1, 2]
--- restart
--- cell
import matplotlib
matplotlib.use("agg")
from matplotlib.figure import Figure
ax = Figure().subplots()
ax.plot([1, 3]);
--- expect any [1, 3]
=== a data file and a variable are edited before a restart
--- file d.txt
one
--- cell
%env LEVEL=1
--- block
r = (open("d.txt").read().strip(), os.environ["LEVEL"])
--- expect saved ('one', '1')
--- file d.txt
two
--- restart
--- cell
%env LEVEL=1
--- expect miss ('two', '1') | d.txt
--- cell
%env LEVEL=2
--- expect miss ('two', '2') | LEVEL
=== the block is in another cell, with other code around it
--- cell
k = 3
--- block
r = [k] * 2
--- expect saved [3, 3]
--- restart
--- cell
k = 3
before = 1
--- block
# moved
r = [k] * 2
--- expect hit [3, 3]
=== a cell was run in the first session only
--- cell
def f():
    return 1
--- cell
f.extra = 5
--- block
r = f() + getattr(f, "extra", 0)
--- expect saved 6
--- restart
--- cell
def f():
    return 1
--- expect miss 1 | f
=== an upstream cell gives another type that prints alike
--- cell
x = 1
--- block
r = type(x).__name__
--- expect saved 'int'
--- restart
--- cell
x = True
--- expect miss 'bool' | x
=== %run of a script that was edited before a restart
--- file script.py
import m9
def f():
    return m9.K
--- file m9.py
K = 1
--- cell
%run script.py
--- block
r = f()
--- expect saved 1
--- file m9.py
K = 2
--- restart
--- cell
%run script.py
--- expect miss 2 | K
"""


@dataclass
class Scenario:
    """Steps of one scenario, each a word with its argument and a text, and what went wrong in it."""

    name: str
    steps: list[tuple[str, str, str]]
    body: str = ""
    wrong: list[str] = field(default_factory=list)


def scenarios(text: str) -> list[Scenario]:
    found = []
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        steps = []
        for step in re.split(r"^--- ", rest, flags=re.MULTILINE)[1:]:
            head, _, body = step.partition("\n")
            word, _, argument = head.partition(" ")
            steps.append((word, argument, body))
        found.append(Scenario(name, steps))
    assert len({scenario.name for scenario in found}) == len(found)
    return found


def take_events(folder: Path) -> list[dict[str, Any]]:
    """What the blocks told since the last call."""
    path = events_file(folder)
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


def verdict(event: dict[str, Any], outcome: str, named: str) -> str:
    """What is wrong with a block's event; empty when nothing is."""
    if outcome == "any":
        return ""
    if event["problem"]:
        return f"never saved: {event['problem']}"
    if outcome == "saved" and not event["saved"]:
        return "never saved"
    if outcome in ("miss", "hit") and event["outcome"] != outcome:
        return f"{'needless ' if outcome == 'hit' else ''}{event['outcome']}, not {outcome} ({event['reason']})"
    if named and not any(named in text for difference in event["differences"] for text in difference):
        return f"{named} not named: {event['differences']}"
    return ""


class Session:
    """A live kernel in which scenarios run, one after the other."""

    def __init__(self, folder: Path, notebook: Any, run_cell: Callable[[int], Any]) -> None:
        self.folder = folder
        self.notebook = notebook
        self.run_cell = run_cell
        self.cell("import importlib, os, sys\nfrom blockcache import cached_block")

    def cell(self, source: str, **metadata: Any) -> Any:
        """Run a new cell at the end of the notebook."""
        cell = nbformat.v4.new_code_cell(source, metadata=metadata)
        self.notebook.cells.append(cell)
        self.run_cell(len(self.notebook.cells) - 1)
        return cell

    def go(self, scenario: Scenario, steps: list[tuple[str, str, str]]) -> None:
        for number, (word, argument, text) in enumerate(steps):
            try:
                self.step(scenario, word, argument, text)
            except Exception as error:
                scenario.wrong.append(f"step {number} ({word} {argument}) failed: {str(error)[-500:]}")
                return

    def step(self, scenario: Scenario, word: str, argument: str, text: str) -> None:
        if word == "file":
            path = self.folder / argument
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif word == "block":
            scenario.body = text
        elif word == "cell":
            self.cell(text)
        elif word == "raises":
            self.cell(text, tags=["raises-exception"])
        elif word == "expect":
            outcome, _, value = argument.partition(" ")
            value, _, named = value.partition(" | ")
            self.expect(scenario, outcome, value, named)
        else:
            raise AssertionError(word)

    def expect(self, scenario: Scenario, outcome: str, value: str, named: str) -> None:
        take_events(self.folder)
        # the name of the scenario in the body: no other one's entry fits
        body = textwrap.indent(f"scenario = {scenario.name!r}\n{scenario.body}", "    ")
        cell = self.cell(f"with cached_block(name={scenario.name!r}):\n{body}\nr")
        shown = next(output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result")
        (event,) = take_events(self.folder)
        told = f"{outcome} {value}: "
        if shown != value:
            scenario.wrong.append(f"{told}{'stale' if event['outcome'] == 'hit' else 'wrong'}: {shown}")
        elif wrong := verdict(event, outcome, named):
            scenario.wrong.append(told + wrong)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    return folder


def check(found: list[Scenario]) -> None:
    wrong = {scenario.name: scenario.wrong for scenario in found if scenario.wrong}
    assert not wrong, f"{len(wrong)} of {len(found)}:\n" + json.dumps(wrong, indent=1, ensure_ascii=False)


@pytest.mark.parametrize("text", [VALUES, MODULES], ids=["cells", "modules"])
def test_a_long_session_in_jupyter(folder: Path, text: str) -> None:
    """In a live kernel what is loaded counts: nothing stale, and no body runs again without a reason."""
    found = scenarios(text)
    notebook = nbformat.v4.new_notebook()
    with kernel(folder, notebook) as run_cell:
        session = Session(folder, notebook, run_cell)
        for scenario in found:
            session.go(scenario, scenario.steps)
    check(found)


def test_a_restarted_kernel(folder: Path) -> None:
    """What was saved before a restart is found after it, unless something that counts was edited in between."""
    found = scenarios(RESTARTS)
    for second in (False, True):
        notebook = nbformat.v4.new_notebook()
        with kernel(folder, notebook) as run_cell:
            session = Session(folder, notebook, run_cell)
            for scenario in found:
                at = [word for word, _, _ in scenario.steps].index("restart")
                session.go(scenario, scenario.steps[at + 1 :] if second else scenario.steps[:at])
    check(found)


# -- marimo: the file, run as a script, exported and opened ---------------------------------

TOLD = """\
import json
import os


def tell(name, value):
    with open(os.environ["RESULTS"], "a") as file:
        file.write(json.dumps([name, value]) + "\\n")
"""

TOOLS = """\
def f():
    return «1→2»


def g():
    return 1


def other():
    return «1→2»
"""

NOTEBOOK = """\
import marimo

app = marimo.App()

with app.setup:
    import os
    import sqlite3

    import marimo as mo
    import tools
    from blockcache import cached_block
    from told import tell

    RATE = «3→4»
    UNUSED = «1→2»
    TABLE = «{"a": 1, "b": 2}→dict(a=1, b=2)»


@app.function
def total(values):
    return sum(values) * «1→2»


@app.function
def quiet(values):
    «→# a comment
    »return sum(values)


@app.function
def outer(x):
    return inner(x) + RATE


@app.function
def inner(x):
    return x


@app.function
def through(x):
    return deep(x)


@app.function
def deep(x):
    return x «+→-» 1


@app.function
def blocked(x):
    with cached_block(name="in a function"):
        result = x * 2 + len("in a function")
    return result


@app.class_definition
class Scaled:
    by = «2→3»

    def of(self, x):
        return x * self.by


@app.class_definition
class Plain:
    def of(self, x):
        return x


@app.class_definition
class Child(Plain):
    def of(self, x):
        return super().of(x) + «0→1»


@app.cell
def _():
    def helper(x):
        return x + «1→2»

    return (helper,)


@app.cell
def _():
    «→# one more
    »def commented(x):
        return x + 1

    return (commented,)


@app.cell
def _():
    k = «1→2»
    return (k,)


@app.cell
def _():
    same = «2 + 2→sum([1, 3])»
    return (same,)


@app.cell
def _():
    _a = «2→3»
    y = _a * 10
    return (y,)


@app.cell
def _():
    _p = «1→2»
    _p
    return


@app.cell
def _():
    slider = mo.ui.slider(0, 10, value=«3→4»)
    slider
    return (slider,)


@app.cell
def _():
    labelled = mo.ui.slider(0, 10, value=3, label="«one→two»")
    labelled
    return (labelled,)


@app.cell
def _():
    con = sqlite3.connect(":memory:")
    con.execute("create table t(n)")
    con.execute("insert into t values (1)")
    return (con,)


@app.cell
def _():
    con2 = sqlite3.connect(":memory:")
    con2.execute("create table t(n)")
    con2.execute("insert into t values («1→2»)")
    return (con2,)


@app.cell
def _():
    con3 = sqlite3.connect(":memory:")
    con3.execute("create table t(n)")
    return (con3,)


@app.cell
def _(con3):
    con3.execute("insert into t values («1→2»)")
    return


@app.cell
def _():
    con4 = sqlite3.connect(":memory:")
    «→# a comment
    »con4.execute("create table t(n)")
    con4.execute("insert into t values (1)")
    return (con4,)


@app.cell«→(disabled=True)»
def _():
    not_needed = 5
    return


@app.cell«→(hide_code=True)»
def «_→named»():
    moved = [1, 2]
    return (moved,)

«
@app.cell
def _():
    late = 7
    return (late,)

→»
@app.cell
def _():
    get_state, set_state = mo.state(«1→2»)
    return (get_state,)


BLOCKS«
→

@app.cell
def _():
    late = 7
    return (late,)

»
if __name__ == "__main__":
    app.run()
"""

#: name of the block -> expression in it, what it reads from other cells, value before and after, outcome, what is named
BLOCKS: dict[str, tuple[str, str, Any, Any, str, str]] = {
    "a constant of the setup cell": ("RATE * 2", "", 6, 8, "miss", "RATE"),
    "a dict of the setup cell written otherwise": ("list(TABLE)", "", ["a", "b"], ["a", "b"], "hit", ""),
    "a reusable function": ("total([1, 2])", "", 3, 6, "miss", "total"),
    "a comment in a reusable function": ("quiet([1, 2])", "", 3, 3, "hit", ""),
    "a reusable function reads the setup cell": ("outer(1)", "", 4, 5, "miss", "RATE"),
    "a reusable function calls another": ("through(5)", "", 6, 4, "miss", "deep"),
    "a class": ("Scaled().of(5)", "", 10, 15, "miss", "Scaled"),
    "a class beside an edited one": ("Plain().of(5)", "", 5, 5, "hit", ""),
    "a child of a class": ("Child().of(5)", "", 5, 6, "miss", "Child"),
    "a function of another cell": ("helper(1)", "helper", 2, 3, "miss", "helper"),
    "a comment in another cell's function": ("commented(1)", "commented", 2, 2, "hit", ""),
    "a value of another cell": ("k * 7", "k", 7, 14, "miss", "k"),
    "other code, same value": ("same", "same", 4, 4, "hit", ""),
    "a private name behind a value": ("y", "y", 20, 30, "miss", "y"),
    "a private name of the same cell": ("_own * 3", "", 3, 6, "miss", "_own"),
    "a private name of the same spelling in another cell": ("_p * 3", "", 15, 15, "hit", ""),
    "a function of a module": ("tools.f()", "", 1, 2, "miss", "f"),
    "a function beside an edited one": ("tools.g()", "", 1, 1, "hit", ""),
    "a data file": ('open("d.txt").read()', "", "one", "two", "miss", "d.txt"),
    "an environment variable": ('os.environ["LEVEL"]', "", "1", "2", "miss", "LEVEL"),
    "another environment variable": ('os.environ["SAME"]', "", "1", "1", "hit", ""),
    "a UI element's value": ("slider.value", "slider", 3, 4, "miss", "slider"),
    "a UI element's label": ("labelled.value", "labelled", 3, 3, "miss", "labelled"),
    "a state": ("get_state()", "get_state", 1, 2, "miss", "state"),
    "a connection": ('con.execute("select sum(n) from t").fetchone()[0]', "con", 1, 1, "hit", ""),
    "a connection whose cell was edited": ('con2.execute("select n from t").fetchone()[0]', "con2", 1, 2, "miss", "con2"),
    "a connection that a sibling fills": ('con3.execute("select n from t").fetchone()[0]', "con3", 1, 2, "miss", "con3"),
    "a connection whose cell got a comment": ('con4.execute("select n from t").fetchone()', "con4", [1], [1], "hit", ""),
    "an unrelated cell is disabled": ("6", "", 6, 6, "hit", ""),
    "the upstream cell is named and hidden": ("sum(moved)", "moved", 3, 3, "hit", ""),
    "the upstream cell moved to the end": ("late", "late", 7, 7, "hit", ""),
    "in a function": ("", "", 15, 17, "miss", "x"),
}  # fmt: skip


def block_cell(name: str, expression: str, reads: str) -> str:
    if name == "in a function":
        return f"@app.cell\ndef _():\n    tell({name!r}, blocked(«1→2»))\n    return\n"
    before = {"_own * 3": "    _own = «1→2»\n", "_p * 3": "    _p = 5\n"}.get(expression, "")
    r = f"r{list(BLOCKS).index(name)}"
    return (
        f"@app.cell\ndef _({reads}):\n{before}    with cached_block(name={name!r}):\n"
        f"        {r} = [{name!r}, {expression}][1]\n    tell({name!r}, {r})\n    return ({r},)\n"
    )


def write_side(folder: Path, number: int) -> None:
    """The notebook, its module and its data file before (1) or after (2) the edits."""
    cells = "\n\n".join(block_cell(name, told[0], told[1]) for name, told in BLOCKS.items())
    texts = {"notebook.py": NOTEBOOK.replace("BLOCKS", cells), "tools.py": TOOLS, "told.py": TOLD, "d.txt": "«one→two»"}
    for name, text in texts.items():
        (folder / name).write_text(EDIT.sub(lambda match: match[number], text))


def values_told(folder: Path) -> dict[str, Any]:
    path = folder.parent / "results.json"
    lines = path.read_text().splitlines()
    path.unlink()
    return dict(json.loads(line) for line in lines)


def edit_page(folder: Path) -> None:
    with MarimoServer(folder, "edit") as server:
        server.run_all()


def run_app(folder: Path) -> None:
    with MarimoServer(folder, "run") as server:
        server.run_all()


def test_a_marimo_notebook_edited_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty edits at once between two runs as a script; the export, the page and the old file then find everything."""
    monkeypatch.setenv("SAME", "1")
    wrong: dict[str, list[str]] = {}

    def run(title: str, number: int, host: Callable[[], object], outcomes: Callable[[str], tuple[str, str]]) -> None:
        monkeypatch.setenv("LEVEL", str(number))
        host()
        events = {event["name"]: event for event in take_events(folder)}
        values = values_told(folder)
        for name, told in BLOCKS.items():
            value, event = told[1 + number], events.get(name)
            if event is None:
                why = "did not run"
            elif values.get(name) != value:
                why = f"{'stale' if event['outcome'] == 'hit' else 'wrong'}: {values.get(name)!r}, not {value!r}"
            else:
                why = verdict(event, *outcomes(name))
            if why:
                wrong.setdefault(name, []).append(f"{title}: {why}")

    write_side(folder, 1)
    run("first run", 1, lambda: execute(folder, "notebook.py"), lambda name: ("saved", ""))
    write_side(folder, 2)
    run("edited", 2, lambda: execute(folder, "notebook.py"), lambda name: BLOCKS[name][4:])
    export = ("-m", "marimo", "-q", "export", "html", "notebook.py", "-o", "../notebook.html", "-f")
    run("exported", 2, lambda: execute(folder, *export), lambda name: ("hit", ""))
    run("on the page", 2, lambda: edit_page(folder), lambda name: ("hit", ""))
    write_side(folder, 1)
    run("set back", 1, lambda: execute(folder, "notebook.py"), lambda name: ("hit", ""))
    assert not wrong, f"{len(wrong)} of {len(BLOCKS)}:\n" + json.dumps(wrong, indent=1)


#: what an element is made with, before and after -> what a block reads of it, what it reads before and after
ELEMENTS: dict[str, tuple[str, Any, Any]] = {
    "mo.ui.slider(«0→1», 10, value=5)": ("e.start", 0, 1),
    "mo.ui.slider(0, «10→11», value=5)": ("e.stop", 10, 11),
    "mo.ui.slider(0, 10, step=«1→5», value=5)": ("e.step", 1, 5),
    "mo.ui.slider(steps=[1, 5, «10→20»], value=5)": ("e.steps", [1, 5, 10], [1, 5, 20]),
    "mo.ui.range_slider(0, «10→11», value=[1, 2])": ("e.stop", 10, 11),
    "mo.ui.number(0, «10→11», value=5)": ("e.stop", 10, 11),
    'mo.ui.dropdown({"a": 1, "b": «2→3»}, value="a")': ('e.options["b"]', 2, 3),
    'mo.ui.dropdown({"a": 1, "b": 1}, value="«a→b»")': ("e.selected_key", "a", "b"),
    'mo.ui.radio(["a", "«b→c»"], value="a")': ("list(e.options)", ["a", "b"], ["a", "c"]),
    'mo.ui.multiselect(["a", "«b→c»"])': ("list(e.options)", ["a", "b"], ["a", "c"]),
    'mo.ui.text(placeholder="«one→two»")': ('"one" in e.text', True, False),
    'mo.ui.text_area(label="«one→two»")': ('"one" in e.text', True, False),
    'mo.ui.code_editor("x", language="«python→sql»")': ('"python" in e.text', True, False),
    'mo.ui.date(value="2026-01-02", start="«2026→2025»-01-01")': ("e.start.year", 2026, 2025),
    'mo.ui.run_button(tooltip="«one→two»")': ('"one" in e.text', True, False),
    'mo.ui.button(value=1, kind="«neutral→danger»")': ('"neutral" in e.text', True, False),
    "mo.ui.checkbox(disabled=«True→False»)": ('"disabled=\'true" in e.text', True, False),
    "mo.ui.array([mo.ui.slider(0, «3→4»)])": ("e[0].stop", 3, 4),
    'mo.ui.dictionary({"q": mo.ui.slider(0, «3→4»)})': ('e["q"].stop', 3, 4),
    'mo.md("{q} «one→two»").batch(q=mo.ui.slider(0, 3))': ('"one" in e.text', True, False),
    'mo.md("{q}").batch(q=mo.ui.slider(0, «3→4»))': ('e["q"].stop', 3, 4),
    "mo.ui.slider(0, «3→4»).form()": ("e.element.stop", 3, 4),
    'mo.ui.slider(0, 3).form(submit_button_label="«one→two»")': ('"one" in e.text', True, False),
    'mo.ui.tabs({"a": mo.md("x"), "b": mo.ui.slider(0, «3→4»)})': ("'3' in e.text.split('stop=')[1][:3]", True, False),
    'mo.ui.table([{"n": 1}, {"n": «2→3»}])': ('e.data[1]["n"]', 2, 3),
    'mo.ui.table(pd.DataFrame({"n": [1, «2→3»]}))': ('int(e.data["n"].sum())', 3, 4),
    'mo.ui.data_editor([{"n": «2→3»}])': ('e.data[0]["n"]', 2, 3),
    "mo.ui.file_browser(selection_mode=«'file'→'directory'»)": ("'directory' in e.text", False, True),
}

ELEMENT_NOTEBOOK = """\
import marimo

app = marimo.App()

with app.setup:
    import marimo as mo
    import pandas as pd
    from blockcache import cached_block
    from told import tell
CELLS

@app.cell
def _():
    «→private = mo.ui.slider(0, 1)  # one element more, so that the others get other identities
    »_e = mo.ui.slider(0, «3→4»)
    with cached_block(name="in its own cell"):
        own = _e.stop + 0
    tell("in its own cell", own)
    return


if __name__ == "__main__":
    app.run()
"""


def write_elements(folder: Path, number: int, extra: str = "") -> None:
    cells = ""
    for index, (made, (reads, *_)) in enumerate(ELEMENTS.items()):
        block = f'    with cached_block(name="{index}"):\n        r{index} = (lambda e: {reads})(e{index})\n'
        cells += f"\n\n@app.cell\ndef _():\n{extra}    e{index} = {made}\n    e{index}\n    return (e{index},)\n"
        cells += f'\n\n@app.cell\ndef _(e{index}):\n{block}    tell("{index}", r{index})\n    return (r{index},)\n'
    text = ELEMENT_NOTEBOOK.replace("CELLS", cells)
    (folder / "notebook.py").write_text(EDIT.sub(lambda match: match[number], text))


def test_marimo_elements_by_what_they_are_made_with(folder: Path) -> None:
    """A block that reads an element's range, options, texts or data misses when they change, not when it is made again."""
    (folder / "told.py").write_text(TOLD)
    wrong: dict[str, list[str]] = {}

    def run(title: str, number: int, host: Callable[[], object], outcome: str) -> None:
        host()
        events = {event["name"]: event for event in take_events(folder)}
        values = values_told(folder)
        wanted = {str(index): told[number] for index, told in enumerate(ELEMENTS.values())}
        for name, value in (wanted | {"in its own cell": (3, 4)[number - 1]}).items():
            made = list(ELEMENTS)[int(name)] if name.isdigit() else name
            if name not in events:
                wrong.setdefault(made, []).append(f"{title}: did not run")
            elif values.get(name) != value:
                served = "stale" if events[name]["outcome"] == "hit" else "wrong"
                wrong.setdefault(made, []).append(f"{title}: {served}: {values.get(name)!r}, not {value!r}")
            elif why := verdict(events[name], outcome, ""):
                wrong.setdefault(made, []).append(f"{title}: {why}")

    def script() -> None:
        execute(folder, "notebook.py")

    export = ("-m", "marimo", "-q", "export", "html", "notebook.py", "-o", "../notebook.html", "-f")
    write_elements(folder, 1)
    run("first run", 1, script, "saved")
    run("made again", 1, script, "hit")
    write_elements(folder, 2)
    run("edited", 2, script, "miss")
    run("exported", 2, lambda: execute(folder, *export), "hit")
    run("on the page", 2, lambda: edit_page(folder), "hit")
    write_elements(folder, 1, extra="    _other = mo.ui.slider(0, 1)\n")
    run("set back, with other identities", 1, lambda: edit_page(folder), "hit")
    run("as an app", 1, lambda: run_app(folder), "hit")
    assert not wrong, f"{len(wrong)} of {len(ELEMENTS) + 1}:\n" + json.dumps(wrong, indent=1)


SHOWN = """\
import marimo

app = marimo.App()

with app.setup:
    import marimo as mo
    from blockcache import cached_block


@app.cell
def _():
    slider = mo.ui.slider(0, 3)
    shown = mo.vstack([mo.md("text"), slider])
    plain = mo.md("text")
    return (slider, shown, plain)


@app.cell
def _(slider):
    with cached_block(name="element"):
        made = mo.ui.slider(0, slider.stop)
    return (made,)


@app.cell
def _(shown):
    with cached_block(name="markup"):
        page = mo.vstack([shown, shown])
    return (page,)


@app.cell
def _(slider):
    with cached_block(name="text"):
        text = f"{slider} and more"
    return (text,)


@app.cell
def _(plain):
    with cached_block(name="plain"):
        both = mo.vstack([plain, plain])
    return (both,)


@app.cell
def _(made, page, text):
    mo.vstack([made, page, mo.Html(text)])
    return


if __name__ == "__main__":
    app.run()
"""


def test_what_shows_marimo_elements_is_not_saved(folder: Path) -> None:
    """An element or markup of one would be restored with numbers of another session; other markup is saved."""
    (folder / "notebook.py").write_text(SHOWN)
    for outcome in ("saved", "hit"):
        edit_page(folder)
        events = {event["name"]: event for event in take_events(folder)}
        assert not verdict(events.pop("plain"), outcome, "")
        assert {name: event["outcome"] for name, event in events.items()} == dict.fromkeys(
            ("element", "markup", "text"), "miss"
        )
        told = {name: event["problem"] + event["reason"] for name, event in events.items()}
        assert "made" in told["element"] and "of the page" in told["markup"] and "of the page" in told["text"], told


PRIVATE = """\
import marimo

app = marimo.App()

with app.setup:
    from blockcache import cached_block
    from told import tell
«→

@app.cell
def _():
    new = 1
    return
»

@app.cell
def _():
    _k = 2
    with cached_block(name="private"):
        _r = [n * FACTOR for n in range(3)]
    tell("private", _r)
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.mark.parametrize("factor", ["2", "_k"], ids=["bound", "bound and read"])
def test_a_private_name_when_a_cell_joins_above(folder: Path, factor: str) -> None:
    """A cell's number is part of no key, and of no name that a hit binds."""
    (folder / "told.py").write_text(TOLD)
    for number, outcome in ((1, "miss"), (2, "hit")):
        text = EDIT.sub(lambda match: match[number], PRIVATE)
        (folder / "notebook.py").write_text(text.replace("FACTOR", factor))
        execute(folder, "notebook.py")
        assert values_told(folder) == {"private": [0, 2, 4]}
        assert [event["outcome"] for event in take_events(folder)] == [outcome]


# -- marimo: a page that stays open ---------------------------------------------------------

PAGE = """\
import marimo

app = marimo.App()

with app.setup:
    import os
    import sqlite3

    import marimo as mo
    import page_tools
    from blockcache import cached_block
    from told import tell

    RATE = 3


@app.function
def reusable(x):
    return x + 1


@app.cell
def _():
    # the helper
    def helper(x):
        return x + 1

    return (helper,)


@app.cell
def _():
    # the value
    _a = 2
    k = _a * 10
    return (k,)


@app.cell
def _():
    # the slider
    slider = mo.ui.slider(0, 10, value=3)
    slider
    return (slider,)


@app.cell
def _():
    # the connection
    con = sqlite3.connect(":memory:")
    con.execute("create table t(n)")
    con.execute("insert into t values (1)")
    return (con,)


@app.cell
def _():
    # the other cell
    not_needed = 1
    return


@app.cell
def _(helper):
    with cached_block(name="helper"):
        r1 = [helper(1), "helper"][0]
    tell("helper", r1)
    return (r1,)


@app.cell
def _(k):
    with cached_block(name="value"):
        r2 = [k, "value"][0]
    tell("value", r2)
    return (r2,)


@app.cell
def _(slider):
    with cached_block(name="slider"):
        r3 = [slider.value, "slider"][0]
    tell("slider", r3)
    return (r3,)


@app.cell
def _(con):
    with cached_block(name="connection"):
        r4 = con.execute("select sum(n) from t").fetchone()[0]
    tell("connection", r4)
    return (r4,)


@app.cell
def _():
    with cached_block(name="module"):
        r5 = [page_tools.f(), "module"][0]
    tell("module", r5)
    return (r5,)


@app.cell
def _():
    with cached_block(name="file"):
        r6 = open("d.txt").read()
    tell("file", r6)
    return (r6,)


@app.cell
def _():
    with cached_block(name="reusable"):
        r7 = reusable(1)
    tell("reusable", r7)
    return (r7,)


@app.cell
def _():
    with cached_block(name="setup"):
        r8 = [RATE, "setup"][0]
    tell("setup", r8)
    return (r8,)


@app.cell
def _(r1, r2):
    with cached_block(name="downstream"):
        r9 = r1 + r2
    tell("downstream", r9)
    return (r9,)


if __name__ == "__main__":
    app.run()
"""


class Page:
    """A page on which cells are edited; each edit says which blocks run, how they come out and what they give."""

    def __init__(self, folder: Path, server: MarimoServer) -> None:
        self.folder = folder
        self.server = server
        self.wrong: dict[str, list[str]] = {}
        self.edits = 0

    def find(self, part: str) -> int:
        (index,) = [index for index, code in enumerate(self.server.codes) if part in code]
        return index

    def edit(self, title: str, part: str, old: str, new: str, **expected: tuple[str, Any, str]) -> None:
        """Change the cell that has ``part`` in it and run it as the page does; blocks after it run by themselves."""
        index = self.find(part)
        assert old in self.server.codes[index]
        self.server.codes[index] = self.server.codes[index].replace(old, new)
        self.judge(title, lambda: self.server.run_cells({index: self.server.codes[index]}), expected)

    def again(self, title: str, part: str, **expected: tuple[str, Any, str]) -> None:
        self.edit(title, part, "", "", **expected)

    def judge(self, title: str, act: Callable[[], object], expected: dict[str, tuple[str, Any, str]]) -> None:
        self.edits += 1
        wrong = self.wrong.setdefault(title, [])
        try:
            act()
            events = {event["name"]: event for event in take_events(self.folder)}
            values = values_told(self.folder) if events else {}
        except Exception as error:
            wrong.append(f"failed: {str(error)[-500:]}")
            return
        if set(events) != set(expected):
            wrong.append(f"ran {sorted(events)}, not {sorted(expected)}")
        for name in events.keys() & expected.keys():
            outcome, value, named = expected[name]
            if values.get(name) != value:
                served = "stale" if events[name]["outcome"] == "hit" else "wrong"
                wrong.append(f"{name}: {served}: {values.get(name)!r}, not {value!r}")
            elif why := verdict(events[name], outcome, named):
                wrong.append(f"{name}: {why}")


def test_a_marimo_page_that_stays_open(folder: Path) -> None:
    """Edits on a page: only what changed runs again, and going back finds the first results."""
    (folder / "told.py").write_text(TOLD)
    (folder / "notebook.py").write_text(PAGE)
    (folder / "page_tools.py").write_text("def f():\n    return 1\n")
    (folder / "d.txt").write_text("one")
    with MarimoServer(folder, "edit") as server:
        page = Page(folder, server)
        first = {
            "helper": 2, "value": 20, "slider": 3, "connection": 1, "module": 1,
            "file": "one", "reusable": 2, "setup": 3, "downstream": 22,
        }  # fmt: skip
        page.judge("opened", server.run_all, {name: ("saved", value, "") for name, value in first.items()})

        back = {"helper": ("hit", 2, ""), "downstream": ("hit", 22, "")}
        page.edit("a helper", "# the helper", "x + 1", "x + 2",
                  helper=("miss", 3, "helper"), downstream=("miss", 23, "r1"))  # fmt: skip
        page.edit("a helper set back", "# the helper", "x + 2", "x + 1", **back)
        page.edit("a helper's comment", "# the helper", "    return", "    # why\n    return", **back)
        page.again("a helper's cell again", "# the helper", **back)
        page.edit("a helper otherwise, same result", "# the helper", "x + 1", "1 + x",
                  helper=("miss", 2, "helper"), downstream=("hit", 22, ""))  # fmt: skip

        page.edit("a private name behind a value", "# the value", "_a = 2", "_a = 3",
                  value=("miss", 30, "k"), downstream=("miss", 32, "r2"))  # fmt: skip
        page.edit("a value by other code", "# the value", "_a * 10", "10 + _a + 17",
                  value=("hit", 30, ""), downstream=("hit", 32, ""))  # fmt: skip
        page.edit("a value set back", "# the value", "_a = 3\nk = 10 + _a + 17", "_a = 2\nk = _a * 10",
                  value=("hit", 20, ""), downstream=("hit", 22, ""))  # fmt: skip

        page.again("a block's cell again", 'name="downstream"', downstream=("hit", 22, ""))
        page.edit("a block's body", 'name="downstream"', "r1 + r2", "r1 - r2", downstream=("miss", -18, ""))
        page.edit("a block's body set back", 'name="downstream"', "r1 - r2", "(r1 + r2)", downstream=("hit", 22, ""))
        page.edit("a cell that nobody reads", "# the other cell", "1", "2")

        page.edit("a reusable function", "def reusable", "x + 1", "x + 5", reusable=("miss", 6, "reusable"))
        page.edit("a reusable function set back", "def reusable", "x + 5", "x + 1", reusable=("hit", 2, ""))

        page.again("a connection's cell again", "# the connection", connection=("hit", 1, ""))
        page.edit("a connection's rows", "# the connection", "(1)", "(2)", connection=("miss", 2, "con"))
        page.edit("a connection's rows set back", "# the connection", "(2)", "(1)", connection=("hit", 1, ""))

        (folder / "d.txt").write_text("two")
        page.again("a data file", 'name="file"', file=("miss", "two", "d.txt"))
        (folder / "d.txt").write_text("one")
        page.again("a data file set back", 'name="file"', file=("hit", "one", ""))

        (folder / "page_tools.py").write_text("def f():\n    return 2\n")
        page.again("a module that is not loaded again", 'name="module"', module=("hit", 1, ""))

        page.again("the slider's cell again", "# the slider", slider=("hit", 3, ""))
        text = json.dumps(server.outputs[server.cell_ids[page.find("# the slider")]])
        element = re.search(r"object-id=\W*([\w-]+)", text)[1]

        def move(value: int) -> None:
            server._post("/api/kernel/set_ui_element_value", {"objectIds": [element], "values": [value]})
            for _ in server._messages():
                pass

        page.judge("a slider moves", lambda: move(7), {"slider": ("miss", 7, "slider")})
        page.judge("a slider moves back", lambda: move(3), {"slider": ("hit", 3, "")})
    assert page.edits >= 20
    execute(folder, "notebook.py")  # a new process loads the edited module, all the rest is found
    outcomes = {event["name"]: event for event in take_events(folder)}
    values = values_told(folder)
    for name, value in (first | {"module": 2}).items():
        named = ("miss", "f") if name == "module" else ("hit", "")
        if values[name] != value or (why := verdict(outcomes[name], *named)):
            page.wrong.setdefault("as a script", []).append(f"{name}: {values[name]!r} {why}")
    wrong = {title: texts for title, texts in page.wrong.items() if texts}
    assert not wrong, f"{len(wrong)} of {page.edits}:\n" + json.dumps(wrong, indent=1)
