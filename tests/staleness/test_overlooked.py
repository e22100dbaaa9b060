"""Inputs that differ in what is easily overlooked: one edit between two processes. ``programs.py`` tells the notation."""

from __future__ import annotations

import pytest
from programs import check, parameters

#: What fails now: name -> what is wrong. Strict: a program that starts to pass must leave this table.
FAILING: dict[str, str] = {
    "chunks of an upstream arrow column": "stale, documented: chunks do not count, they change no value",
}

PROGRAMS = r"""
=== hit | a file of HDF5 that is opened again by the name of one that is closed
import h5py
with h5py.File("d.h5", "w") as f:
    f["a"] = [1, 2]
with cached_block("b"):
    with h5py.File("d.h5") as f:
        r = f["a"][:].sum()  # «sum→the sum»
print(r)
=== miss | the content of such a file
import h5py
with h5py.File("d.h5", "w") as f:
    f["a"] = [1, «2→3»]
with cached_block("b"):
    with h5py.File("d.h5") as f:
        r = f["a"][:].sum()
print(r)
=== miss | an attribute that __getstate__ leaves out and a method reads
class C:
    def __init__(self, rate):
        self.v, self.rate, self.lines = 1, rate, iter(())
    def __getstate__(self):
        return {"v": self.v}
    def twice(self):
        return self.rate * 2
c = [C(«1→2»)]
with cached_block("b"):
    r = c[0].twice()
print(r)
=== miss | an attribute that __reduce__ leaves out and a helper reads
class C:
    __slots__ = ("rate",)
    def __init__(self, rate=0):
        self.rate = rate
    def __reduce__(self):
        return C, ()
def helper(c):
    return c.rate
c = C(«1→2»)
with cached_block("b"):
    r = helper(c)
print(r)
=== miss | an attribute that copyreg's function leaves out
import copyreg
class C:
    def __init__(self, rate=0):
        self.rate = rate
copyreg.pickle(C, lambda c: (C, ()))
def helper(c):
    return c.rate
c = C(«1→2»)
with cached_block("b"):
    r = helper(c)
print(r)
=== miss | an attribute that the reduction of a class in C leaves out
import datetime, random
class R(random.Random):
    pass
class D(datetime.date):
    pass
c = [R(1), D(2020, 1, 1)]
c[0].k, c[1].tag = «1→2», «3→4»
def helper(c):
    return c[0].k, c[1].tag
with cached_block("b"):
    r = helper(c)
print(r)
=== hit | what an object leaves out and has no content, and who holds whom
import threading
class Node:
    def __init__(self, above):
        self.above, self.below, self.lock = above, [], threading.Lock()
        if above is not None:
            above.below.append(self)
    def __getstate__(self):
        return {"below": self.below}
root = Node(None)
for _ in range(200):
    Node(Node(root))
def count(node):
    return 1 + sum(map(count, node.below))
with cached_block("b"):
    r = count(root)«→  # counted»
print(r)
=== miss | an element's type in nested upstream containers
d = {"k": [(frozenset({«1→True»}), {«0→0.0»: «-0.0→0.0»})]}
with cached_block("b"):
    r = repr(d)
print(r)
=== miss | the order of an upstream dictionary
d = {«"a": 1, "b": 2→"b": 2, "a": 1»}
with cached_block("b"):
    r = list(d)
print(r)
=== miss | a subclass of str upstream
class S(str):
    pass
s = [«S("a")→"a"»]
with cached_block("b"):
    r = type(s[0]).__name__
print(r)
=== miss | bytes and bytearray upstream
s = [«b"a"→bytearray(b"a")»]
with cached_block("b"):
    r = type(s[0]).__name__
print(r)
=== miss | the fold of an upstream time
import datetime
t = datetime.datetime(2020, 10, 25, 2, 30, fold=«0→1»)
with cached_block("b"):
    r = t.fold
print(r)
=== miss | the zone of an upstream time
import datetime, zoneinfo
t = [datetime.datetime(2020, 1, 1, tzinfo=«datetime.timezone.utc→zoneinfo.ZoneInfo("UTC")»)]
with cached_block("b"):
    r = repr(t[0].tzinfo)
print(r)
=== miss | the numpy type of C's name upstream
import numpy as np
t = np.arange(3, dtype=np.«int64→longlong»)
with cached_block("b"):
    r = t.dtype.char
print(r)
=== miss | flags of an upstream array
import numpy as np
t = [np.zeros(3), np.zeros((2, 2))]
t[0].flags.writeable = «True→False»
with cached_block("b"):
    r = t[0].flags.writeable
print(r)
=== miss | order of an upstream array
import numpy as np
t = np.zeros((2, 3), order="«C→F»")
with cached_block("b"):
    r = t.flags.f_contiguous
print(r)
=== miss | shape of an upstream array with no elements
import numpy as np
t = {"x": np.zeros((0, «3→4»))}
with cached_block("b"):
    r = t["x"].shape
print(r)
=== miss | identity of upstream arrays within one container
import numpy as np
a = np.zeros(3)
t = [a, «a→a.copy()»]
with cached_block("b"):
    t2 = [x for x in t]
    r = np.shares_memory(t2[0], t2[1])
print(r)
=== miss | fill value of an upstream masked array
import numpy as np
t = np.ma.array([1, 2], mask=[0, 1], fill_value=«7→8»)
with cached_block("b"):
    r = t.filled()
print(r)
=== miss | hidden data of an upstream masked array
import numpy as np
t = np.ma.array([1, «2→3»], mask=[0, 1])
with cached_block("b"):
    r = t.data.sum()
print(r)
=== miss | attrs of an upstream frame
import pandas as pd
t = pd.DataFrame({"a": [1]}); t.attrs["x"] = [«1→2»]
with cached_block("b"):
    r = t.attrs
print(r)
=== miss | flags of an upstream frame
import pandas as pd
t = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=«True→False»)
with cached_block("b"):
    r = t.flags.allows_duplicate_labels
print(r)
=== miss | freq of an upstream index
import pandas as pd
t = pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2020-01-03"], freq=«None→"D"»)
with cached_block("b"):
    r = t.freq
print(r)
=== miss | order of upstream categories
import pandas as pd
t = pd.DataFrame({"a": pd.Categorical(["x", "y"], categories=[«"x", "y"→"y", "x"»])})
with cached_block("b"):
    r = t.a.cat.categories.tolist()
print(r)
=== miss | unused levels of an upstream index
import pandas as pd
t = pd.MultiIndex.from_product([[1, 2, «3→4»], ["a"]])[:2]
with cached_block("b"):
    r = t.levels[0].tolist()
print(r)
=== miss | names of an upstream index
import pandas as pd
t = pd.DataFrame({"a": [1]}, index=pd.Index([5], name="«x→y»"))
with cached_block("b"):
    r = t.index.name
print(r)
=== miss | value below the mask of an upstream nullable array
import pandas as pd, numpy as np
t = pd.array(np.array([1, 2])) if False else pd.arrays.IntegerArray(np.array([1, «2→3»]), np.array([False, True]))
with cached_block("b"):
    r = int(t._data.sum())
print(r)
=== miss | unit of an upstream series of times
import pandas as pd
t = pd.Series(pd.to_datetime(["2020"])).dt.as_unit("«ns→s»")
with cached_block("b"):
    r = str(t.dtype)
print(r)
=== miss | sorted flag of an upstream polars series
import polars as pl
t = pl.Series([1, 2, 3])
t = t«→.set_sorted()»
with cached_block("b"):
    r = t.flags["SORTED_ASC"]
print(r)
=== miss | categories of an upstream polars enum
import polars as pl
t = pl.DataFrame({"a": ["x"]}, schema={"a": pl.Enum(["x", "«y→z»"])})
with cached_block("b"):
    r = str(t.schema)
print(r)
=== miss | rows of an upstream polars frame that has no columns
import polars as pl
t = pl.DataFrame(height=«2→3»)
with cached_block("b"):
    r = t.height
print(r)
=== miss | metadata of an upstream arrow table
import pyarrow as pa
t = pa.table({"a": [1]}).replace_schema_metadata({"k": "«1→2»"})
with cached_block("b"):
    r = str(t.schema.metadata)
print(r)
=== miss | chunks of an upstream arrow column
import pyarrow as pa
t = pa.chunked_array(«[[1, 2]]→[[1], [2]]»)
with cached_block("b"):
    r = t.num_chunks
print(r)
=== miss | rows of an upstream arrow table that has no columns
import pyarrow as pa
t = pa.table({"a": [1] * «2→3»}).select([])
with cached_block("b"):
    r = t.num_rows
print(r)
=== miss | nanoseconds of an upstream arrow scalar
import pyarrow as pa
t = pa.array([123456789«1→2»]).cast(pa.time64("ns"))[0]
with cached_block("b"):
    r = t.value
print(r)
=== miss | nanoseconds in an upstream arrow map, union and run-end encoded array
import pyarrow as pa, pyarrow.compute as pc
n = pa.array([123456789«1→2»]).cast(pa.time64("ns"))
t = [
    pa.MapArray.from_arrays([0, 1], ["k"], n),
    pc.run_end_encode(n),
    pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [n]),
]
with cached_block("b"):
    r = [t[0].items[0].value, t[1].values[0].value, t[2].field(0)[0].value]
print(r)
=== miss | metadata of an upstream arrow field
import pyarrow as pa
t = pa.field("a", pa.int8(), metadata={"a": "«1→2»"})
with cached_block("b"):
    r = str(t.metadata)
print(r)
=== miss | explicit zeros of an upstream sparse matrix
import scipy.sparse as sp
t = sp.csr_matrix(«([1.0], [0], [0, 1, 1])→([1.0, 0.0], [0, 1], [0, 2, 2])», shape=(2, 2))
with cached_block("b"):
    r = t.nnz
print(r)
=== miss | alpha of the palette of an upstream image
from PIL import Image
t = Image.new("P", (1, 1), 1)
t.putpalette([1, 2, 3, 4, 5, 6, 7, «8→9»], "RGBA")
with cached_block("b"):
    r = t.convert("RGBA").getpixel((0, 0))
print(r)
=== miss | exif of an upstream image
from PIL import Image
t = Image.new("L", (1, 1), 1)
t.getexif()[0x0112] = «6→7»
with cached_block("b"):
    r = t.getexif()[0x0112]
print(r)
=== miss | info of an upstream image
from PIL import Image
t = Image.new("L", (1, 1), 1)
t.info["x"] = «6→7»
with cached_block("b"):
    r = t.info["x"]
print(r)
=== miss | order of nodes of an upstream graph
import networkx as nx
t = nx.Graph(); t.add_nodes_from(«[1, 2]→[2, 1]»)
with cached_block("b"):
    r = list(t)
print(r)
=== miss | keys of an upstream multigraph
import networkx as nx
t = nx.MultiGraph(); t.add_edge(1, 2, key=«0→"0"»); t.graph["a"] = 1
with cached_block("b"):
    r = repr(list(t.edges(keys=True)))
print(r)
=== miss | an upstream range, slice and deque
import collections
t = [range(0, 3, «1→2»), slice(«None→0», 3), collections.deque([1], «2→3»)]
with cached_block("b"):
    r = (t[0].step, t[1].start, t[2].maxlen)
print(r)
=== miss | the factory of an upstream defaultdict
import collections
t = collections.defaultdict(«int→list»)
with cached_block("b"):
    r = repr(t.copy()[1])
print(r)
=== miss | lambdas on one line, of which another is meant
f, g = lambda x=1: x, lambda x=2: x
h = «f→g»
with cached_block("b"):
    r = h()
print(r)
=== miss | one code, another cell
def make(n):
    return lambda: n
h = [make(i) for i in (1, 2)][«0→1»]
with cached_block("b"):
    r = h()
print(r)
=== miss | one code, other keyword defaults
def f(*, k=1):
    return k
f.__kwdefaults__ = {"k": «1→1.0»}
with cached_block("b"):
    r = repr(f())
print(r)
=== miss | an upstream block's function, constants of another type
with cached_block("a"):
    f = lambda: «1→True»
with cached_block("b"):
    r = repr(f())
print(r)
=== miss | zero's sign in an upstream block's function
with cached_block("a"):
    f = lambda: «0.0→-0.0»
with cached_block("b"):
    r = repr(f())
print(r)
=== miss | memory of a map written through ctypes
import ctypes, numpy as np
with cached_block("a"):
    a = np.ones(1 << 19)
ctypes.memset(a.ctypes.data + 8 * 5, «0→64», 8)
with cached_block("b"):
    r = float(a.sum())
print(r)
=== miss | memory of a map written through a memoryview
import numpy as np
with cached_block("a"):
    a = np.ones(1 << 19)
m = memoryview(a).cast("B")
m[-1] = «63→64»
with cached_block("b"):
    r = float(a.sum())
print(r)
=== miss | memory of a frame written through a pointer
import ctypes, numpy as np, pandas as pd
with cached_block("a"):
    a = pd.DataFrame({"x": np.ones(1 << 19), "y": np.zeros(1 << 19)})
with cached_block("c"):
    b = a["x"]
ctypes.c_double.from_address(b.to_numpy().ctypes.data + 80).value = «1→5»
with cached_block("b"):
    r = float(b.sum())
print(r)
=== miss | memory that a polars series has in common with numpy
import ctypes, polars as pl, numpy as np
with cached_block("a"):
    a = pl.Series(np.ones(1 << 19))
ctypes.c_double.from_address(a.to_numpy().ctypes.data + 80).value = «1→5»
with cached_block("b"):
    r = float(a.sum())
print(r)
=== miss | memory of a part of a map, saved again
import numpy as np
with cached_block("a"):
    a = np.arange(1 << 19, dtype="f8")
with cached_block("c"):
    c = a[: 1 << 18].copy()
v = memoryview(c)
v[3] = «1.0→2.0»
with cached_block("d"):
    d = [c[:]]
with cached_block("b"):
    r = float(d[0][:5].sum())
print(r)
=== miss | the text of eval names an upstream variable by a lookup in the caller
import pandas as pd
k = «1→2»
t = pd.DataFrame({"a": [1, 2, 3]})
with cached_block("b"):
    r = len(t.query("a > @k"))
print(r)
=== miss | identity of upstream lists in an object
class C: pass
c = C()
c.x = [1]
c.y = «c.x→[1]»
with cached_block("b"):
    r = c.x is c.y
print(r)
=== miss | identity of upstream objects in an array of objects
import numpy as np
a = np.empty(2, object)
a[0] = [1]
a[1] = «a[0]→[1]»
with cached_block("b"):
    r = a[0] is a[1]
print(r)
=== miss | the letter of a field's dtype
import numpy as np
t = np.zeros(2, [("a", np.«int64→longlong»)])
with cached_block("b"):
    r = t.dtype["a"].char
print(r)
=== hit | which of equal tuples and texts are one
a = (1, "x")
t = [a, «a→tuple([1, "x"])», "ab", «"ab"→"".join("ab")»]
with cached_block("b"):
    r = t
print(r)
=== miss | a name bound by another thread
import threading
n = 0
def go():
    global n
    n = «1→2»
th = threading.Thread(target=go); th.start(); th.join()
with cached_block("b"):
    r = n
print(r)
"""


@pytest.mark.parametrize(("kind", "text"), list(parameters(PROGRAMS, FAILING)))
def test_what_is_easily_overlooked(project, plain_path, kind, text):
    """What is printed after an edit is what a plain run prints."""
    check(project, plain_path, kind, text)
