"""Values at their edges: a hit cannot be told from a run. ``threeways.py`` tells the notation."""

from __future__ import annotations

import pytest
from threeways import check, parameters

#: What fails now: name -> what is wrong. Strict: a program that starts to pass must leave this table.
FAILING: dict[str, str] = {
    "pandas and who has its index": "which frames share a block is lost: then pandas copies, and makes new indexes, where it would not",
}

PROGRAMS = r"""
=== atoms
import math
with cached_block("w"):
    a = {1: "i", 2.0: "f", None: -0.0, "k": [0.0, -0.0, 1e308, True, 1, 10**30, -(10**30), 2**63, -2**63]}
    b = {True: 1, "1": {1.5: {False}}, (): (1, (True, 1.0, -0.0)), frozenset({1}): "é\ud800", "\ud83d\ude00": "😀\u2028\0"}
    c = [b"", bytearray(), bytearray(b"x" * 2000), b"y" * 2000, memoryview(b"abc").tobytes()]
    d = {"=": ["is", 0], "is": ["=", 0, 1], "label": ["numpy.nan"], "e": ["plain list", [1]]}
    e = [["is", 0], ["numpy.nan"], ["math.nan"], ["float", "00"]]
    f = (e, e, [e], {"x": e})
    g = [float("inf"), -float("inf"), math.nan]
    h = "é" * 3000 + "\udcff"
print(a, b, c, d, e, g, [type(k) for k in a], [type(k) for k in b], f[0] is f[1] is e is f[2][0] is f[3]["x"], h.encode("utf8", "surrogatepass")[:5])
=== subclasses
import enum, collections, decimal, fractions, datetime, zoneinfo
class S(str): pass
class I(int): pass
class F(float): pass
class B(bytes): pass
class L(list): pass
class D(dict): pass
class T(tuple): pass
class E(enum.IntEnum):
    A = 1
class SE(enum.StrEnum):
    A = "a"
P = collections.namedtuple("P", "x y")
with cached_block("w"):
    a = [S("a"), I(1), F(1.0), B(b"b"), L([1]), D(a=1), T((1,)), E.A, SE.A, P(1, 2.0), True]
    b = {S("a"): 1, I(2): 2, E.A: 3}
    c = {"d": collections.OrderedDict(a=1, b=2), "c": collections.Counter("aab"), "dd": collections.defaultdict(list, {"x": [1]}), "q": collections.deque([1], 3), "cm": collections.ChainMap({"a": 1}, {})}
    d = [decimal.Decimal("-0.00"), fractions.Fraction(1, 3), 1j, -0.0j, complex(-0.0, 0.0), ..., NotImplemented, range(0, 10, 3), range(0), slice(1, None, 2)]
    e = [datetime.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc), datetime.time(1, 2, fold=1), datetime.timezone(datetime.timedelta(hours=1), "x")]
print([type(x).__name__ for x in a + d], [type(k).__name__ for k in b], c, e, [x.fold for x in e[:3]], e[1].tzinfo is datetime.timezone.utc)
=== order of dictionaries and sharing across names
with cached_block("w"):
    t = ([1], "a" * 50)
    fs = frozenset([t[1], 5])
    d = {"z": t, "a": t[0], "m": fs}
    del d["a"]
    d["a"] = t[0]
    e = {"z": d, "y": fs, "k": {"z": 1}}
    u = [t, t[0], fs]
    k = t[1]
print(list(d), t is u[0] is d["z"], fs is u[2] is e["y"], u[1] is t[0], k is t[1], e["z"] is d)
=== numpy scalars
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = [np.float32(-0.0), np.float64(1), np.int8(1), np.bool_(True), np.str_("a"), np.bytes_(b"a"), np.datetime64("2020-01-01T00", "h"), np.datetime64("NaT"), np.timedelta64(5, "m"), np.complex64(1), np.float16(1), np.void(b"abc"), np.uint64(2**64 - 1)]
print([(type(x), repr(x), x.dtype) for x in a])
=== numpy scalars of C's names
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = [np.longlong(1), np.ulonglong(2), np.intc(3)]
    b = np.arange(3, dtype=np.longlong)
    c = np.dtype("q")
print([type(x) for x in a], b.dtype.char, c.char)
=== numpy texts that end with NUL
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.str_("a\0")
    b = np.bytes_(b"a\0")
    c = np.array(["a\0b", "x\0"])
    d = np.str_("")
print(repr(a), len(a), repr(b), len(b), c, repr(d), type(d))
=== arrays with no elements
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.empty((0, 3), order="F")
    b = np.empty((3, 0), "M8[s]")
    c = np.array([], [("a", "i4"), ("b", "U3", (2,))])
    d = np.zeros((0,), object)
    e = np.zeros(3, "U0")
    f = np.array(5)
    g = np.array(None)
print(a.strides, a.flags.f_contiguous, b.dtype, c.dtype, d.dtype, e.dtype, f.shape, g.shape)
=== an array with no elements that is read-only
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.empty((0, 3))
    a.flags.writeable = False
print(a.flags.writeable)
=== views of arrays across names
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.arange(24.0).reshape(4, 6)
    b = a[::2, ::-1]
    c = a.T
    d = a[1]
    e = np.broadcast_to(a[0], (3, 6))
    f = a.view("i8")
    g = a[:, 1]
    ro = a.view()
    ro.flags.writeable = False
    h = {"in": [a[2:], b]}
a[1, 1] = -1
d[0] = 7
print(b, c, d, e, f[1], g, ro, h)
=== views of arrays of objects
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array([1, "b", None, [1]] * 4, object)
    b = a[::2]
    c = a[::-1]
    d = a.reshape(4, 4).T
a[0] = "new"
print(b, c, d)
=== a small view of an array of objects
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array([1, "b", None, [1]] * 4, object)
    b = a[:2]
a[0] = "new"
print(b)
=== a small view of an array of objects, in a container
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array([1, "b", None, [1]] * 40, object)
    b = {"x": a[:2], "y": (a[1:3],)}
a[1] = "new"
print(b)
=== an array of objects that is read-only
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array([1, "b", None], object)
    a.flags.writeable = False
print(a.flags.writeable)
=== a read-only array of many texts
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array([f"t{i}" for i in range(2000)], object)
    a.flags.writeable = False
    b = np.array([f"t{i}" for i in range(2000)] + [None, np.nan, True, 1], object).reshape(2, -1, order="F")
print(a.flags.writeable, b.strides, b[1, -4:], b[1,-1] is not True)
=== views of an array of many texts
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array([f"t{i}" for i in range(4000)], object)
    b = a[::2]
    c = a[:1000]
    d = a.reshape(2, 2000)
    e = a[10:30]
a[10] = a[0] = "new"
print(b[:6], c[:11], d[0, :2], e[:2])
=== texts among subclasses, surrogates and NUL
# warm: any
# needs: numpy
import numpy as np
class S(str): pass
with cached_block("w"):
    t = [f"t{i}" for i in range(1500)]
    a = np.array(t + [np.str_("x")], object)
    b = np.array(t + [S("x")], object)
    c = np.array(t + ["\ud800"], object)
    d = np.array(t + ["\0", "", "a\0"], object)
    e = np.array(t + [-0.0, np.float64(1)], object)
    f = np.array(t + [True, 1, 0, False, 10**40], object)
print([type(x) for x in (a[-1], b[-1], e[-1])], ascii(c[-1]), d[-3:], e[-2:], f[-5:])
=== structured arrays
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.zeros(3, [("a", ">i4"), ("b", "f8", (2,)), ("c", "U2")])
    b = np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")], align=True))
    c = np.zeros(2, [(("title", "a"), "i4")])
    d = a["b"]
    e = np.zeros(2, [("o", object), ("i", int)])
    f = a[["a", "c"]]
    g = np.rec.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f4")])
    h = a[0]
    i = np.dtype({"names": ["x"], "formats": ["i4"], "offsets": [8], "itemsize": 32})
    j = np.dtype("f8", metadata={"a": 1})
    k = np.zeros(2, ">f8")
    l = np.dtype((np.void, 5))
h["a"] = 5
d[1] = 9
print(a, b.dtype, b.dtype.isalignedstruct, c.dtype, e, f.dtype, g.x, type(g), g.dtype, i, j.metadata, k.dtype, l)
=== rows of structured arrays
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.zeros(4, [("a", "i4"), ("c", "U2")])
    row, last = a[1], a[1:][2]
    record = np.array([(1, 2.0)], [("x", "i4"), ("y", "f4")]).view(np.recarray)[0]
    alone, objects = np.zeros(1, [("a", "i4")])[0], np.zeros(1, [("o", object), ("i", int)])[0]
    strided = np.zeros((2, 4), [("a", "i4")])[:, ::2][1, 1]
    empty = np.zeros(2, [])[0]
row["a"], last["c"] = 5, "xy"
alone["a"] = 3
print(a, row, last, type(record), record.x, alone, objects, strided, empty)
=== array of texts of any length
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array(["a", "bb\0", ""] * 2, np.dtypes.StringDType()).reshape(2, 3)
    c = np.array(["a", None], np.dtypes.StringDType(na_object=None))
    d = np.array(["a"], np.dtypes.StringDType(coerce=False))
print(a, a.flags.c_contiguous, a.dtype, c, d.dtype)
=== a view of an array of texts of any length
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.array(["a", "bb", ""] * 2, np.dtypes.StringDType())
    b = a[1:]
a[1] = "new"
print(b)
=== array of texts of any length, by columns and read-only
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.asfortranarray(np.array(["a", "bb", ""] * 2, np.dtypes.StringDType()).reshape(2, 3))
    b = np.array(["a"], np.dtypes.StringDType())
    b.flags.writeable = False
print(a.flags.c_contiguous, a.strides, b.flags.writeable)
=== who is who, and what is read-only, along a chain
# warm: hit
# needs: numpy pandas
import numpy as np, pandas as pd, copy, collections
class Node:
    def __init__(self, **attributes): self.__dict__ |= attributes
    def __repr__(self): return f"Node({self.__dict__})"
with cached_block("made"):
    a = np.arange(6.0)
    rows = [[1], [2]]
    shared = {"a": [a, a], "b": [a.copy(), a.copy()], "rows": [rows, rows[0]], "n": Node(x=rows, y=rows, z=[a])}
    locked = np.arange(3)
    locked.flags.writeable = False
    kinds = [locked, locked.copy(), np.broadcast_to(a, (2, 6)), np.arange(9)[::3], np.array([rows, rows, 0], object)]
    kinds[3].flags.writeable = kinds[4].flags.writeable = False
    texts = np.array(["a", "b"], np.dtypes.StringDType())
    texts.flags.writeable = False
    twins = [np.arange(3, dtype=np.longlong), np.ulonglong(3), np.zeros(1, [("a", "q"), ("b", "f8")]), pd.Series(np.arange(3, dtype=np.longlong))]
    frame = pd.DataFrame({"o": [rows, rows, [1]], "n": [1, 2, 3]})
    frames = [frame, frame, frame.copy(), frame["n"].to_numpy()]
plain = [shared["a"][0], a, copy.deepcopy(shared), (kinds, kinds[4])]
with cached_block("around"):
    around = [shared, plain, {"x": a, "y": shared["n"]}, twins, frames, texts]
    q = collections.deque([rows, rows, [rows]])
mixed = (around, q, shared["n"].x, [frames[0], frame])
with cached_block("changed"):
    rows.append([3])
    shared["b"][1] = shared["b"][0]
    locked_now = shared["b"][0]
    locked_now.flags.writeable = False
    q.appendleft(shared["b"])
with cached_block("last"):
    s = [repr(mixed), len(plain), [k.flags.writeable for k in kinds], [t.dtype.char for t in (twins[0], twins[1])], repr(locked_now)]
    u = [around[2]["x"] is a, shared["b"][0] is shared["b"][1], shared["n"].x is rows, a.flags.writeable, locked_now.flags.writeable]
print(s, u, twins[2].dtype[0].char, twins[3].to_numpy().dtype.char, locked_now.flags.writeable, frames[0] is frames[1])
=== masked arrays
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.ma.array([1.0, 2, 3], mask=[0, 1, 0])
    b = a[1:]
    c = np.ma.array([1, 2], fill_value=9)
    d = np.ma.masked
    e = np.ma.array([1, 2, 3], mask=[1, 0, 0], hard_mask=True)
    f = np.ma.array([(1, 2.0)], mask=[(0, 1)], dtype=[("a", int), ("b", float)])
    g = a[1]
a[1] = 5
e[0] = 3
print(a, b, c.mask is np.ma.nomask, c.fill_value, d is np.ma.masked, e, f, f.mask, g is np.ma.masked)
=== masked arrays share masks
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.ma.array([1.0, 2, 3], mask=[0, 1, 0])
print(a.sharedmask)
=== matrices and memory maps
# warm: any
# needs: numpy
import numpy as np
with cached_block("w"):
    m = np.asmatrix(np.array([[1, 2], [3, 4]]))
    n = m.T
    o = np.asarray(m)
m[0, 1] = 9
print(n, type(n), o, type(o))
"""

MORE = r"""
=== pandas
# warm: any
# needs: pandas
import pandas as pd, numpy as np
with cached_block("w"):
    a = pd.DataFrame({"a": [1, 2, 3], "b": pd.Categorical(["x", "y", "x"], categories=["y", "x", "z"], ordered=True)})
    a.attrs["k"] = {"deep": [1]}
    b = a.set_flags(allows_duplicate_labels=False)
    c = pd.Series([1, None, 3], dtype="Int64", name=("t", 1))
    d = pd.date_range("2020", periods=3, freq="D", tz="Europe/Berlin", name="when")
    e = pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["n", None]).remove_unused_levels()
    f = pd.DataFrame(np.eye(4), index=e, columns=pd.Index([1, True, "1", 1.5], name="cols"))
    g = pd.Series(pd.arrays.SparseArray([0, 0, 1]))
    h = pd.Series([pd.Timestamp("2020", tz="UTC"), pd.NaT, None], dtype=object)
    i = pd.interval_range(0, 3, closed="both")
    j = pd.period_range("2020-01", periods=3, freq="Q")
    k = pd.to_timedelta([1, 2], unit="s")
    l = e[:2]
    m = a.iloc[:0]
    n = pd.RangeIndex(5, 0, -2, name="r")
    o = pd.Series(["a", None], dtype="string")
    p = pd.Series(["a", None], dtype="str")
    q = pd.Series([1.5, 2], dtype="float32[pyarrow]") if True else 0
    r = pd.Timestamp("2020-10-25 02:30", tz="Europe/Berlin").replace(fold=1), pd.Timedelta(5, "ns"), pd.Timestamp("2020").as_unit("s"), pd.Period("2020", "Y")
    s = pd.offsets.BusinessDay(3), pd.offsets.MonthEnd(normalize=True)
    t = pd.CategoricalDtype(["b", "a"]), pd.api.types.CategoricalDtype()
print(a.dtypes, a.attrs, b.flags, b.attrs, c, d.freq, d, e, f, g.dtype, h, i, j, k, l, l.levels, m.dtypes, n, o.dtype, p.dtype, q.dtype, r, s, t, [type(x) for x in f.columns], r[0].fold, r[2].unit)
=== pandas arrow dtypes and nested
# warm: any
# needs: pandas pyarrow
import pandas as pd, pyarrow as pa
with cached_block("w"):
    a = pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64())))
    b = pd.Series(pd.array(["a", "b"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))))
    c = pd.DataFrame({"x": pd.array([1, None], dtype="int64[pyarrow]")}).convert_dtypes(dtype_backend="pyarrow")
    d = pd.Series(["a", None, "c"], dtype="string[pyarrow]")[::2]
    e = pd.Series([True, None], dtype="boolean")
print(a, b, c.dtypes, d, d.dtype, e)
=== pandas and who has its index
# warm: any
# needs: pandas
import pandas as pd, numpy as np
with cached_block("w"):
    a = pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc"))
    b = a["a"]
    c = a.iloc[1:3]
    d = a.copy(deep=False)
    i = a.index
    x = a.columns
a.loc[0, "a"] = -1
print(i is a.index, x is a.columns)
=== pandas and what shares its memory
# warm: any
# needs: pandas
import pandas as pd, numpy as np
with cached_block("w"):
    a = pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc"))
    b = a["a"]
    c = a.iloc[1:3]
    d = a.copy(deep=False)
    e = pd.Series([1], index=[5])
    f = pd.Series([2], index=e.index)
a.loc[0, "a"] = -1
d.iloc[1] = 5
print(a, b, c, d, e.index is f.index)
=== a pandas frame's values
# warm: any
# needs: pandas
import pandas as pd, numpy as np
with cached_block("w"):
    a = pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc"))
    v = a.to_numpy()
    w = a["b"].values
a.loc[0, "a"] = -1
print(v, w, v.flags.writeable)
=== arrays and frames that share memory, of which some share it with each other
# warm: hit
# needs: pandas
import pandas as pd, numpy as np
with cached_block("w"):
    a = pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc"))
    b = a["b"]
    v = a.to_numpy()
    z = np.arange(4)
    s = pd.Series(z, copy=False)
    t = pd.Series(z, copy=False)
with cached_block("x"):
    c = pd.DataFrame({"z": pd.Series(z, copy=False)}, copy=False)
a.loc[0, "a"] = -1
s.iloc[1] = 7
print(v, b, z, t, c)
=== an array that a frame was made of
# warm: any
# needs: pandas
import pandas as pd, numpy as np
with cached_block("w"):
    z = np.arange(12.0).reshape(4, 3)
    a = pd.DataFrame(z, copy=False)
    s = pd.Series(z[:, 0], copy=False)
z[0] = 99
print(a, s)
=== polars
# warm: any
# needs: polars
import polars as pl, datetime
with cached_block("w"):
    a = pl.DataFrame({"c": ["a", "b", None], "e": ["x", "y", "x"]}, schema={"c": pl.Categorical, "e": pl.Enum(["y", "x", "z"])})
    b = pl.DataFrame({"s": [{"a": 1, "b": [1, 2]}, None], "l": [[None], []], "arr": [[1, 2], [3, 4]]}, schema_overrides={"arr": pl.Array(pl.Int8, 2)})
    c = pl.Series("", [], dtype=pl.Datetime("ns", "UTC"))
    d = pl.DataFrame()
    e = pl.DataFrame(schema={"a": pl.Decimal(10, 2), "n": pl.Null})
    f = pl.Series("o", [object], dtype=pl.Object)
    g = pl.DataFrame({"d": [datetime.timedelta(1)], "t": [datetime.time(1)], "b": [b"x"]})
    h = pl.Series([-0.0, float("nan"), None])
    i = pl.lit(1) + pl.col("a")
    j = a.lazy().select("c")
print(a, a.schema, b, b.schema, c, d, d.shape, e.schema, f, g, h, i, j.collect())
=== polars flags
# warm: any
# needs: polars
import polars as pl
with cached_block("w"):
    a = pl.Series("a", [3, 2, 1]).sort()
print(a.flags)
=== chunks of a pandas column
import pandas as pd, pyarrow as pa
with cached_block("body"):
    a = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([["a", None], ["b"]])))
    b = pd.concat([a, a.astype("str")], keys=["x", "y"]).astype("str")
    c = pd.Series(range(100_000)).astype("str").iloc[10:20]
    d = pd.Series([], dtype="str")
    e = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([[k] for k in range(100)])))
print([(type(v.array), v.dtype, v.tolist()) for v in (a, b, c, d)], e.tolist(), e.dtype)
=== chunks of a polars frame
# needs: polars
import polars as pl
with cached_block("w"):
    b = pl.concat([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})], rechunk=False)
    c = pl.DataFrame([pl.Series("x", [1, 2, 3]), pl.concat([pl.Series("y", ["a"]), pl.Series("y", ["b", "c"])], rechunk=False)])
    d = c["y"]
print(b.n_chunks(), c.n_chunks("all"), c, d.chunk_lengths())
=== polars sorted in a frame
# warm: any
# needs: polars
import polars as pl
with cached_block("w"):
    a = pl.DataFrame({"a": [3, 2, 1]}).sort("a")
    b = pl.DataFrame({"a": [3, 2, 1]}).sort("a", descending=True)
print(a["a"].flags, b["a"].flags)
=== polars frames without columns
# warm: any
# needs: polars
import polars as pl
with cached_block("w"):
    a = pl.DataFrame({"a": [1, 2]}).select([])
    b = pl.DataFrame({"a": [1, 2]}).drop("a")
print(a.shape, b.shape)
=== pyarrow
# warm: any
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    a = pa.table({"a": pa.chunked_array([[1], [2, None]]), "d": pa.array(["x", "y", "x"]).dictionary_encode()}).replace_schema_metadata({"k": "v"})
    b = pa.array([None, None])
    c = pa.array([[1], None, []])[1:]
    d = pa.schema([pa.field("x", pa.int8(), nullable=False, metadata={"m": "1"})])
    e = pa.chunked_array([], pa.int32())
    f = pa.record_batch({"a": [1, 2]})
    g = pa.array([{"a": 1}, None], pa.struct([pa.field("a", pa.int8(), False)]))
    h = pa.dictionary(pa.int8(), pa.string(), ordered=True)
    i = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))
    j = pa.array([True, None, False])[1:]
    k = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])])
    l = pc.run_end_encode(pa.array([1, 1, 2]))
    m = pa.py_buffer(b"abc")
    n = pa.array(["a" * 30], pa.string_view())
print(a, a.schema.metadata, b.type, c, d.field(0).metadata, d, e.type, e.num_chunks, f, g, g.type, h.ordered, i.type, j, k, l, m.to_pybytes(), n)
=== pyarrow scalars
# warm: any
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    a = [pa.scalar(1, pa.int8()), pa.scalar(None, pa.string()), pa.scalar(1.5, pa.float32()), pa.scalar([1, None], pa.list_(pa.int8())), pa.scalar({"a": 1}), pa.scalar(True), pa.scalar(b"x", pa.binary(1)), pa.scalar("x", pa.large_string())]
print([(x, x.type) for x in a])
=== pyarrow scalars of nanoseconds
# warm: any
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    a = pa.array([1234567891], pa.int64()).cast(pa.timestamp("ns"))[0]
    b = pa.array([1234567891], pa.int64()).cast(pa.duration("ns"))[0]
print(a.value, b.value)
=== pyarrow times of nanoseconds
# warm: any
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    a = pa.array([1234567891], pa.int64()).cast(pa.time64("ns"))[0]
print(a.value)
=== pyarrow dates with milliseconds
# warm: any
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    a = pa.Array.from_buffers(pa.date64(), 1, [None, pa.py_buffer((86400005).to_bytes(8, "little"))])[0]
print(a.value)
=== pyarrow scalars of dictionaries and extensions
# warm: any
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    a = pa.array(["x", "y"]).dictionary_encode()[1]
    b = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))[0]
    c = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8()))[0]
    d = pc.run_end_encode(pa.array([1, 1, 2]))[0]
print(a, a.type, a.dictionary, a.index, b, b.type, c, d, d.type)
=== pyarrow maps, unions and run-end encoded arrays
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    n = pa.array([1234567891, 5, None]).cast(pa.time64("ns"))
    a = pa.MapArray.from_arrays([0, 1, 3], ["k", "l", "m"], n)
    b = pc.run_end_encode(n)[1:]
    c = pa.UnionArray.from_dense(pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [n, pa.array(["a"])])[1:]
    d = pa.chunked_array([a[:1], a[1:]])
with cached_block("next"):
    e = [a, b, c, d]
print(a.items[0].value, a.type, b, c, d.num_chunks, e[1].type)
=== pyarrow structs with one name twice
# warm: any
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    a = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])[0]
print(a.type, a[0], a[1])
=== pyarrow tables without columns
# warm: any
# needs: pyarrow
import pyarrow as pa, pyarrow.compute as pc
with cached_block("w"):
    a = pa.table({"a": [1, 2]}).select([])
    b = pa.record_batch({"a": [1, 2]}).select([])
print(a.num_rows, b.num_rows)
=== sparse
# warm: any
# needs: scipy
import scipy.sparse as sp, numpy as np
with cached_block("w"):
    a = sp.coo_array(([1, 2, 3], ([0, 0, 1], [1, 1, 0])), shape=(2, 3))
    b = sp.csr_matrix(([0.0, 2.0], [1, 0], [0, 2, 2]), shape=(2, 2))
    c = b.copy(); c.sort_indices()
    d = sp.csr_array(([0.0, 2.0], [1, 0], [0, 2, 2]), shape=(2, 2)); d.has_sorted_indices
    e = sp.lil_array(np.eye(2)); f = sp.dok_array((2, 2)); f[0, 1] = 5
    g = sp.dia_array(np.eye(3)); h = sp.bsr_array(np.eye(4), blocksize=(2, 2))
    i = sp.coo_array(np.arange(3))
    j = b.T
b.data[0] = 7
print(a.nnz, a.toarray(), b.has_sorted_indices, b.data, c.has_sorted_indices, c.data, d.has_sorted_indices, e.rows, f, g.offsets, h.blocksize, i.shape, j.data, type(j))
=== images
# needs: PIL
from PIL import Image
with cached_block("w"):
    a = Image.new("RGB", (3, 2), "red"); a.info["dpi"] = (72, 72)
    b = a.quantize(4); b.info["transparency"] = 0
    c = Image.new("I;16", (2, 2), 40000)
    d = Image.new("1", (9, 2), 1); e = Image.new("F", (2, 1), -0.5); f = Image.new("LA", (2, 2), (5, 6)); g = Image.new("I", (2, 2), -5)
    h = Image.new("RGBA", (2, 2), (1, 2, 3, 4)); i = Image.new("HSV", (1, 1), (1, 2, 3)); j = Image.new("I;16B", (1, 1), 300)
    k = Image.new("P", (2, 2), 3); l = Image.new("LAB", (1, 1), (1, 2, 3)); m = Image.new("RGBa", (1, 1), (1, 2, 3, 4))
    n = Image.new("RGBX", (1, 1), (1, 2, 3, 4)); o = Image.new("YCbCr", (1, 1), (1, 2, 3)); p = Image.new("CMYK", (1, 1), (1, 2, 3, 4))
h.putpixel((0, 0), (9, 9, 9, 9))
print([(x.mode, x.size, x.tobytes(), x.info, x.getpalette(), x.format) for x in (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)])
=== an image whose palette has alpha
# needs: PIL
from PIL import Image
with cached_block("w"):
    a = Image.new("P", (2, 2), 1)
    a.putpalette([1, 2, 3, 4, 5, 6, 7, 8], "RGBA")
print(a.palette.mode, a.convert("RGBA").getpixel((0, 0)), a.getpalette("RGBA"))
=== an image with alpha and a palette
# needs: PIL
from PIL import Image
with cached_block("w"):
    a = Image.new("PA", (2, 2), (1, 100))
    a.putpalette([1, 2, 3, 5, 6, 7])
    b = Image.new("RGBA", (2, 2), (1, 2, 3, 4)).quantize(method=2)
print(a.mode, a.getpalette(), a.tobytes(), b.palette.mode, b.convert("RGBA").getpixel((0, 0)))
=== an image's palette and its colours
# needs: PIL
from PIL import Image
with cached_block("w"):
    a = Image.new("P", (2, 2))
    n = a.palette.getcolor((5, 6, 7), a)
    b = Image.new("RGB", (2, 2), "red").convert("P", palette=Image.Palette.ADAPTIVE, colors=3)
print(n, a.palette.colors, a.palette.getcolor((9, 9, 9), a), b.palette.colors, b.palette.mode)
=== an image's exif
# needs: PIL
from PIL import Image
with cached_block("w"):
    a = Image.new("RGB", (2, 2))
    a.getexif()[0x0112] = 6
print(dict(a.getexif()))
=== an image of which somebody asked for exif
# needs: PIL
from PIL import Image
with cached_block("w"):
    a = Image.new("RGB", (2, 2))
    e = a.getexif()
e[0x0112] = 6
print(dict(a.getexif()))
=== pieces of images
# needs: PIL
from PIL import Image
with cached_block("w"):
    a = Image.new("L", (4, 4), 7)
    b = a.crop((0, 0, 2, 2)); c = a.copy(); d = a
a.putpixel((0, 0), 1)
c.load()[0, 0] = 3
print(b.getpixel((0, 0)), c.getpixel((0, 0)), d.getpixel((0, 0)), d is a)
=== graphs
# needs: networkx
import networkx as nx
with cached_block("w"):
    a = nx.MultiDiGraph(name="g", k=[1]); a.add_edge(2, 1, key="x", w=1); a.add_edge(2, 1); a.add_node((1, 2), t=True); a.add_edge(1.5, True)
    b = nx.Graph(); b.add_nodes_from("cab"); b.add_edges_from([("b", "a"), ("c", "b")], w=-0.0); b.adj; b.nodes; b.degree
    c = nx.DiGraph([(1, 2)]); d = c.reverse(copy=False); e = c.subgraph([1]); f = nx.freeze(nx.path_graph(2)); g = b.copy(as_view=True)
    h = b.nodes
    i = b.adj
b["b"]["a"]["w"] = 5
print(list(a.edges(keys=True, data=True)), a.graph, list(b), list(b.edges(data=True)), list(d.edges), list(e), nx.is_frozen(f), b["a"]["b"], list(c.pred[2]), g["a"]["b"], list(h), i["a"])
=== functions alike
def make(n):
    return lambda: n
with cached_block("w"):
    f, g = lambda x=1: x, lambda x=2: x
    h = [make(i) for i in range(3)]
    i = [lambda: 0, lambda: -0.0, lambda: 0.0, lambda: False, lambda: (1, 1.0)]
    def j(x, *, k=[1]): return (x, k)
    m = j
    f.mark = h
print(f(), g(), [x() for x in h], [repr(x()) for x in i], m is j, j(1), f.mark is h, j.__code__.co_firstlineno, j.__code__.co_filename[-7:])
=== classes and numpy in functions
def f(flag):
    with cached_block("w"):
        if flag:
            g = lambda: 1
        else:
            g = lambda: True
        h = g
    return g, h
a, b = f(1), f(0)
print(a[0](), b[0](), a[0] is a[1])
"""


@pytest.mark.parametrize("text", list(parameters(PROGRAMS + MORE, FAILING)))
def test_a_hit_cannot_be_told_from_a_run(project, text):
    check(project, text)
