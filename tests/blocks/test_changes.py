"""What a body changes in place, and results that are upstream objects. ``threeways.py`` tells the notation."""

from __future__ import annotations

import pytest
from threeways import check, parameters

#: What fails now: name -> what is wrong.
FAILING: dict[str, str] = {}

PROGRAMS = r"""
=== a list, and its alias, a container and a closure that hold it
rows = [1]
alias, holder = rows, {"rows": rows}
def count(): return len(rows)
with cached_block("w"):
    rows.append([2])
    rows[0] = "first"
print(rows, alias is rows, holder, count())
=== containers of all kinds
import collections, array
d, s, q, b = {"a": 1}, {1}, collections.deque([1], maxlen=3), bytearray(b"x")
c, dd, od = collections.Counter("ab"), collections.defaultdict(list), collections.OrderedDict(a=1, b=2)
arr = array.array("d", [1.0])
with cached_block("w"):
    d["b"] = d.pop("a"); s |= {2}; q.extend([2, 3, 4]); b += b"yz"
    c.update("aa"); dd["k"].append(1); od.move_to_end("a"); arr.append(2.0)
print(d, s, q, b, c, dd, od, arr)
=== augmented assignment rebinds the very object
rows = [1]
alias = rows
with cached_block("w"):
    rows += [2]
print(alias, alias is rows)
=== a list that holds itself
rows = []
with cached_block("w"):
    rows.append(rows)
print(rows[0] is rows)
=== changed at depth
tree = {"a": [{"b": {"c": [0]}}], ("k", 1): [0]}
leaf = tree["a"][0]["b"]["c"]
with cached_block("w"):
    tree["a"][0]["b"]["c"].append(1)
    tree["k", 1].append(2)
print(tree, leaf)
=== one object under several names
inner = [0]
a, b = {"x": inner}, [inner]
with cached_block("w"):
    b[0].append(1)
print(a, inner)
=== keys that are objects
class K:
    def __init__(self, n): self.n = n
    def __repr__(self): return f"K{self.n}"
k = K(1)
table = {k: [0]}
with cached_block("w"):
    table[k].append(1)
    k.n = 5
print(table, k)
=== an array, its view and its base
# needs: numpy
import numpy as np
a = np.arange(20.0)
v, f = a[2:6], np.asfortranarray(np.ones((3, 4)))
with cached_block("w"):
    a[3] = 100
    f[1] *= 2
print(v, f, f.flags.f_contiguous)
=== views of upstream memory as results
# needs: numpy
import numpy as np
a = np.arange(1000.0).reshape(10, 100)
with cached_block("w"):
    row, back, t, same = a[3], a[::-1], a.T[2:4], a
a[3] = -1
print(row[0], back[6, 0], t[0, 3], same is a)
=== structured, masked and object arrays
# needs: numpy
import numpy as np
st = np.zeros(3, dtype=[("x", "f8"), ("y", "i4")])
m = np.ma.array([1, 2, 3], mask=[0, 1, 0])
o = np.array([[1], None], dtype=object)
first = o[0]
with cached_block("w"):
    st["x"] = 7
    m[1] = 5
    o[0].append(2); o[1] = {"n": first}
print(st, m, o, first)
=== a frame: a column, a cell, an index, attributes
# needs: pandas
import pandas as pd
df = pd.DataFrame({"a": [1.0, 2.0], "s": ["x", "y"]})
alias, s = df, pd.Series([1, 2, 3], name="s")
idx = df.index
with cached_block("w"):
    df["b"] = df["a"] * 2
    df.loc[0, "a"] = 9
    df.index.name = "i"
    df.attrs["from"] = "body"
    df.drop(columns="s", inplace=True)
    s.iloc[0] = 5
    s.name = "t"
print(alias, alias.attrs, idx.name, df.index is idx, s)
=== a frame under a new name
# needs: pandas
import pandas as pd
df = pd.DataFrame({"a": [1]})
with cached_block("w"):
    y = df
    r = {"frame": df, "n": len(df)}
y["b"] = 2
print(list(df), r["frame"] is df)
=== polars in place
# needs: polars
import polars as pl
df = pl.DataFrame({"a": [1, 2]})
alias, s = df, pl.Series("s", [1, 2])
with cached_block("w"):
    df.insert_column(1, pl.Series("b", [3, 4]))
    df[0, "a"] = 10
    s.append(pl.Series("s", [3]))
print(alias, s)
=== an estimator and a pipeline that holds it
# needs: sklearn
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler
from sklearn.pipeline import make_pipeline
model, scaler = LinearRegression(), StandardScaler()
pipe = make_pipeline(scaler, model)
X, y = np.arange(10.0).reshape(-1, 1), np.arange(10.0)
with cached_block("w"):
    fitted = pipe.fit(X, y)
print(model.coef_, scaler.mean_, fitted is pipe, pipe.steps[1][1] is model)
=== a forest
# needs: sklearn
import numpy as np
from sklearn.ensemble import RandomForestClassifier
clf = RandomForestClassifier(5, random_state=0)
X, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
with cached_block("w"):
    clf.fit(X, y)
print(clf.predict(X[:10]), clf.feature_importances_)
=== earlier statements that read what the body binds anew
# needs: matplotlib
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
x = [1, 2]
with cached_block("first"):
    y = x * 2
    fig, ax = plt.subplots()
    plt.plot(y)
    plt.tight_layout()
with cached_block("second"):
    fig, ax = plt.subplots()
    plt.plot(y)
    y = x * 3
    plt.tight_layout()
print(y, ax.get_position().bounds)
=== neighbours, whose trees count the queries
# needs: sklearn
import numpy as np
from sklearn.neighbors import BallTree, KNeighborsClassifier
X, y = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 2
clf, tree = KNeighborsClassifier().fit(X, y), BallTree(X)
with cached_block("w"):
    found = clf.predict(X[:10] + 1), tree.query(X[:5], k=3)
with cached_block("after"):
    more = clf.predict_proba(X[:3])
print(found, more, clf.predict(X[:9]))
del clf, tree  # their counts are not as after a run, as the docs say
=== objects with attributes, slots, both, and frozen ones
from dataclasses import dataclass, field
@dataclass
class D:
    x: int = 0
    l: list = field(default_factory=list)
class S:
    __slots__ = ("a", "b")
class B(S):
    pass
@dataclass(frozen=True)
class F:
    items: list
@dataclass(slots=True)
class DS:
    n: int = 0
d, s, b, f, ds = D(), S(), B(), F([]), DS()
s.a = b.a = 1
with cached_block("w"):
    d.x = 5; d.l.append(d); d.new = 1
    s.b = s.a; del s.a
    b.a = 2; b.c = 3
    f.items.append(1)
    ds.n = 7
print(d.x, d.l[0] is d, d.new, hasattr(s, "a"), s.b, b.a, b.c, f, ds)
=== classes derived from containers
class L(list): pass
class M(dict):
    def __setitem__(self, k, v): super().__setitem__(k, (v, "set"))
class T(tuple): pass
l, m, t = L([1]), M(), T(([],))
l.tag = []
with cached_block("w"):
    l.append(2); l.tag.append("x")
    m["k"] = 1
    t[0].append(3)
print(l, l.tag, m, t)
=== an exception, a namespace, a user's container
import types, collections
e, ns, u = ValueError("x"), types.SimpleNamespace(a=[1]), collections.UserDict(a=1)
with cached_block("w"):
    e.add_note("noted")
    ns.a.append(2); ns.b = ns.a
    u["b"] = 2
print(e.__notes__, ns, u, ns.b is ns.a)
=== attributes that the body deletes
class A: pass
a = A()
a.x, a.y = 1, 2
d = {"k": 1, "l": 2}
with cached_block("w"):
    del a.x
    del d["k"]
print(vars(a), d)
=== generators passed in
# needs: numpy
import random
import numpy as np
r, g, legacy = random.Random(1), np.random.default_rng(2), np.random.RandomState(3)
with cached_block("w"):
    x = [r.random(), g.normal(), legacy.rand()]
print(x, r.random(), g.normal(), legacy.rand())
=== streams in memory
import io
b, t = io.BytesIO(b"abc"), io.StringIO("text")
with cached_block("w"):
    x = b.read(1)
    b.seek(0, 2); b.write(b"d")
    t.read(2)
print(x, b.getvalue(), b.tell(), t.read())
=== a global that a helper binds
count, made = 0, None
def bump():
    global count, made, fresh
    count += 1
    made = [count]
    fresh = made
    return count
with cached_block("w"):
    x = bump()
print(count, made, fresh is made, x)
=== a global that a helper deletes
flag = 1
def drop():
    global flag
    del flag
with cached_block("w"):
    drop()
    x = 1
print("flag" in globals(), x)
=== a memo and a counter in another module
import h
with cached_block("w"):
    x = [h.slow(2), h.slow(2)]
print(x, h.memo, h.calls)
--- h.py
memo, calls = {}, 0
def slow(x):
    global calls
    calls += 1
    if x not in memo: memo[x] = x * 2
    return memo[x]
=== attributes of a module
import h
with cached_block("w"):
    h.level = 5
    h.new = [1]
    x = h.f()
print(h.level, h.new, x, h.f())
--- h.py
level = 1
def f(): return level
=== attributes of a class
class C:
    n, reg = 0, []
    def __init__(self):
        type(self).n += 1
        self.reg.append(self.n)
c0 = C()
with cached_block("w"):
    C(); C()
    C.tag = "set"
    x = C.n
print(C.n, C.reg, C.tag, x)
=== a method put on a class
class C:
    def f(self): return 1
c = C()
with cached_block("w"):
    C.g = lambda self: 2
    x = c.g()
print(c.g(), x)
=== attributes of a function, mutable defaults, cells
def f(x, seen=[]):
    seen.append(x)
    f.calls = getattr(f, "calls", 0) + 1
    return len(seen)
def counter():
    n, log = 0, []
    def inc():
        nonlocal n
        n += 1
        log.append(n)
        return n, log
    return inc
inc = counter()
with cached_block("w"):
    x = f(1), f(2), inc()
print(x, f(3), f.calls, inc())
=== a variable of the function around it
def main():
    n, rows = 0, []
    def add():
        nonlocal n
        n += 1
        rows.append(n)
    with cached_block("w"):
        add(); add()
        x = n
    return n, rows, x
print(main())
=== parameters
def fill(rows, table):
    with cached_block("w"):
        rows.append(1)
        table["k"] = rows
    return rows
mine, t = [0], {}
print(fill(mine, t) is mine, mine, t["k"] is mine)
=== an object's own method with a block in it
class Model:
    def __init__(self): self.steps, self.w = [], 0
    def fit(self, x):
        with cached_block("w"):
            self.w += x
            self.steps.append(self.w)
        return self
m = Model()
print(m.fit(3).w, m.steps, m.fit(4).w, m.steps)
=== two blocks one after the other
rows = []
with cached_block("one"):
    rows.append(1)
with cached_block("two"):
    rows.append(len(rows) + 1)
    y = rows
print(rows, y is rows)
=== what one block made, the next one changes
with cached_block("one"):
    d = {"a": [1]}
    a = d["a"]
with cached_block("two"):
    a.append(2)
    d["b"] = a
print(d, d["b"] is a)
=== a block in a block
# cold: miss miss
rows = []
with cached_block("outer"):
    with cached_block("inner"):
        rows.append(1)
    rows.append(2)
print(rows)
=== a loop of blocks
rows = []
for i in range(3):
    with cached_block("w"):
        rows.append(i * i)
print(rows)
=== a result that holds upstream objects
class M:
    def __init__(self, k): self.k = k
models = [M(1), M(3), M(2)]
with cached_block("w"):
    best = max(models, key=lambda m: m.k)
    ranked = sorted(models, key=lambda m: m.k)
    byk = {m.k: m for m in models}
print(models.index(best), [models.index(m) for m in ranked], byk[3] is best)
=== sentinels and singletons
import h
MISSING = object()
with cached_block("w"):
    x, y, z = MISSING, h.NOTHING, h.find("k")
print(x is MISSING, y is h.NOTHING, z is h.NOTHING)
--- h.py
class _Nothing: pass
NOTHING = _Nothing()
def find(k): return NOTHING
=== bound methods and partials
import functools
rows = []
add, put = rows.append, functools.partial(list.append, rows)
with cached_block("w"):
    add(1); put(2)
    later = rows.append
later(3)
print(rows)
=== what is not changed is not copied
class A: pass
shared = A()
ctx = {"shared": shared, "log": []}
with cached_block("w"):
    ctx["log"].append("x")
    ctx["second"] = shared
print(ctx["shared"] is shared, ctx["second"] is shared, ctx["log"])
=== beside what cannot be saved
import threading
ctx = {"lock": threading.Lock(), "rows": []}
lock = ctx["lock"]
with cached_block("w"):
    with ctx["lock"]:
        ctx["rows"].append(1)
    mine = ctx["lock"]
print(ctx["rows"], mine is lock)
=== a cached property and a memo of an upstream object
import functools
class A:
    def __init__(self): self.n = 0
    @functools.cached_property
    def big(self):
        self.n += 1
        return [self.n]
a = A()
with cached_block("w"):
    v = a.big
print(v, a.big is v, a.n)
=== a graph
# needs: networkx
import networkx as nx
g = nx.Graph([(1, 2)])
with cached_block("w"):
    g.add_edge(2, 3, w=1.5)
    g.nodes[1]["c"] = "red"
    p = nx.shortest_path(g, 1, 3)
print(g.edges(data=True), g.nodes(data=True), p)
=== a sparse matrix
# needs: scipy
import numpy as np, scipy.sparse as sp
m = sp.lil_matrix((3, 3)); c = sp.csr_matrix(np.eye(3))
with cached_block("w"):
    m[0, 1] = 5
    c.data[:] = 7
print(m.toarray(), c.toarray())
=== torch: a step of an optimizer
# needs: torch
import torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
opt = torch.optim.Adam(net.parameters(), lr=0.1)
x = torch.ones(4, 3) * torch.arange(4.0)[:, None]
w = net[0].weight
with cached_block("w"):
    for _ in range(3):
        opt.zero_grad()
        loss = (net(x) ** 2).sum()
        loss.backward()
        opt.step()
    last = float(loss)
    del loss  # a part of a graph is not saved
print(last, w, w is net[0].weight, opt.state[w]["step"], net[1].running_mean, torch.rand(1))
=== views of arrays of objects
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array([[[1], [2]], [[3], [4]], [[5], [6]]], dtype=object)
    grid = np.empty((2, 3), dtype=object)
    row, back, t = grid[1], grid[::-1], grid.T
row[0] = "x"; back[0, 2] = "y"
print(grid, t)
=== an upstream array unlocked and locked, and a result that is locked
# needs: numpy
import numpy as np
a, b = np.zeros(3), np.zeros(3)
a.flags.writeable = False
with cached_block("w"):
    a.flags.writeable = True
    a[0] = 5
    b[1] = 6
    b.flags.writeable = False
with cached_block("w"):
    c = np.arange(4)
    d = c[1:]
    c.flags.writeable = d.flags.writeable = False
print(a.flags.writeable, b.flags.writeable, c.flags.writeable, d.flags.writeable)
c.flags.writeable = d.flags.writeable = True
d[0] = 9
print(a, b, c, d)
=== drawn on figures from before
# needs: matplotlib
import matplotlib.pyplot as plt, numpy as np
fig, axs = plt.subplots(2, 2)
ax = axs[0, 0]
line, = ax.plot([1, 2, 3], [1, 4, 2], label="l")
im = axs[0, 1].imshow(np.eye(4))
with cached_block("w"):
    ax.spines["top"].set_visible(False); ax.spines["left"].set_position(("outward", 10))
    ax.set_yscale("log"); ax.legend(frameon=False); ax.set_title("t", fontsize=20)
with cached_block("w"):
    bars = axs[1, 0].bar([1, 2], [3, 4])
    twin = ax.twinx(); twin.plot([1, 2], [5, 6])
    im.set_clim(0, 0.5); line.set_linestyle("--")
    fig.suptitle("all"); fig.subplots_adjust(hspace=0.9)
with cached_block("w"):
    plt.sca(axs[1, 1]); plt.plot([1, 2, 3]); plt.xlabel("x"); plt.tight_layout()
ax.set_xlim(0, 5); line.set_color("red")
print(bars[0].axes is axs[1, 0], twin.figure is fig, len(fig.axes))
=== enumerations and classes as values
import enum
class E(enum.Enum):
    A, B = 1, 2
state = {"e": E.A, "cls": E}
with cached_block("w"):
    state["e"] = E.B
print(state["e"] is E.B)
=== an upstream object that the body puts away
a, box = [1], {"a": None}
box["a"] = a
with cached_block("w"):
    box["a"] = None
    a = None
print(box, a)
=== swapped
a, b = [1], [2]
x, y = a, b
with cached_block("w"):
    a, b = b, a
    a.append(3)
print(a is y, b is x, a, b)
=== a module that the body imports and sets up
with cached_block("w"):
    import h
    h.k = 5
    x = h.f()
print(h.k, x, h.f())
--- h.py
k = 1
def f(): return k
"""


@pytest.mark.parametrize("text", list(parameters(PROGRAMS, FAILING)))
def test_a_hit_cannot_be_told_from_a_run(project, text):
    """Upstream objects are as a run leaves them, and are the same objects; every warm block hits."""
    check(project, text)


THREADS = """
import threading, time
from blockcache import cached_block
rows = []
def work(n):
    with cached_block(f"w{n}"):
        time.sleep(0.5)
        rows.append(n)
        time.sleep(0.5)
pair = [threading.Thread(target=work, args=(n,)) for n in range(2)]
[t.start() for t in pair]; [t.join() for t in pair]
print(sorted(rows))
"""
TASKS = """
import asyncio
from blockcache import cached_block
rows = []
async def work(n):
    with cached_block(f"w{n}"):
        await asyncio.sleep(0.05)
        rows.append(n)
        await asyncio.sleep(0.05)
async def main(): await asyncio.gather(work(0), work(1))
asyncio.run(main())
print(sorted(rows))
"""


@pytest.mark.parametrize("text", [THREADS, TASKS], ids=["threads", "tasks"])
def test_what_two_bodies_change_at_the_same_time_is_nobodys(project, text):
    """Each would save what the other did as its own: neither is saved, and both say why."""
    project.write(main=text)
    for _ in range(2):
        ran = project.run()
        assert ran.stdout == "[0, 1]\n" and ran.outcomes == ["miss", "miss"]
        assert all("whose change it is cannot be told" in e["problem"] for e in ran.events), ran.events
