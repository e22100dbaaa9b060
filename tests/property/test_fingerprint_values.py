"""Equal values have equal fingerprints in any process; different values have different ones; the rest is refused."""

import collections
import contextvars
import copy
import ctypes
import itertools
import json
import logging
import os
import pickle
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import types
import weakref
from pathlib import Path

import fingerprint_values as table
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockcache.errors import FingerprintError
from blockcache.fingerprint import graph, values
from blockcache.fingerprint.describe import describe
from blockcache.fingerprint.graph import digest_graph
from blockcache.fingerprint.reduce import Reducer
from blockcache.fingerprint.values import fingerprint

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning", "ignore::FutureWarning"
)


@pytest.fixture(scope="module")
def here():
    return {e: fingerprint(table.value(e)) for e in table.EXPRESSIONS}


def elsewhere(*args, seed):
    """What the table's program prints in a process with another hash seed."""
    env = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, table.__file__, *args], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_the_same_object_again(here):
    """A fingerprint does not change the object, nor does it depend on when it is taken."""
    for e in table.EXPRESSIONS:
        value = table.value(e)
        assert fingerprint(value) == fingerprint(value) == here[e], e


def test_all_values_of_the_table_differ(here):
    """No two different values share a fingerprint."""
    assert len(table.EXPRESSIONS) > 350
    by_digest = collections.defaultdict(list)
    for e in table.EXPRESSIONS:
        by_digest[here[e]].append(e)
    assert [same for same in by_digest.values() if len(same) > 1] == []


def test_all_values_differ_as_graphs_too():
    """The graph is as exact as the stream; it is what remains without the pickler's fast mode."""
    by_digest = collections.defaultdict(list)
    for e in table.EXPRESSIONS:
        value = table.value(e)
        found = digest_graph(value, Reducer(None), "value")
        assert found == digest_graph(value, Reducer(None), "value"), e
        by_digest[found].append(e)
    assert [same for same in by_digest.values() if len(same) > 1] == []


def test_other_process_and_hash_seed(here):
    """Nothing of the process shows: no hash, no address, no order of sets."""
    assert elsewhere("print", seed=12345) == here


def test_after_a_round_trip_through_pickle_in_another_process(here, tmp_path):
    """What a pickle brings back has the fingerprint of what went in."""
    file = str(tmp_path / "pickles")
    elsewhere("save", file, seed=7)
    found = elsewhere("load", file, seed=9)
    assert len(found) > 350
    assert found == {e: here[e] for e in found}


def test_without_the_fast_mode(monkeypatch):
    """`Pickler.fast` is deprecated on paper: without it fingerprints still tell values apart."""
    monkeypatch.setattr(graph, "HAS_FAST_MODE", False)
    monkeypatch.setattr(values, "HAS_FAST_MODE", False)
    assert fingerprint([1, {2, 3}, "a" * 10]) == fingerprint([1, {3, 2}, "a" * 5 + "aaaaa"])
    assert fingerprint([1] * 20) != fingerprint([1] * 19 + [True])


NEAR_MISSES = [
    ("[1, 2]", "[1, 2.0]"), ("{'a': [1]}", "{'a': (1,)}"), ("[nan_a := 1.0]", "[1]"), ("[[], []]", "[[[]]]"), ("['a', 'b']", "['ab']"), ("{'a': 1}", "[('a', 1)]"),
    ("[{1, 2}]", "[frozenset({1, 2})]"), ("[{1, '1'}]", "[{1}]"), ("[{1.0}]", "[{1}]"), ("[{True}]", "[{1}]"), ("[{0.0}]", "[{-0.0}]"), ("[{(1, 2), 'x'}]", "[{(2, 1), 'x'}]"),
    ("{1: {2, 3}}", "{1: [2, 3]}"), ("Plain(a={'x'})", "Plain(a=['x'])"), ("Plain(a=Plain())", "Plain(a=OtherPlain())"), ("MyList([1])", "[1]"), ("MyList([1])", "MyList([1.0])"),
    ("functools.partial(double, 1)", "(double, 1)"), ("np.zeros(3)[1:]", "np.zeros(3)"), ("np.zeros((2, 3))", "np.zeros((3, 2))"), ("np.eye(2)[None]", "np.eye(2)"),
    ("[np.zeros(1000), 1]", "[1, np.zeros(1000)]"), ("[np.zeros(600), np.ones(600)]", "[np.zeros(600), np.zeros(600)]"), ("pd.Series(['a', None])", "pd.Series(['a', 'None'])"),
    ("pd.Series(['a', None], dtype=object)", "pd.Series(['a', float('nan')], dtype=object)"), ("pd.DataFrame({'a': [1]}, columns=['a'])", "pd.DataFrame({'a': [1]}, columns=pd.Index(['a'], name='n'))"),
    ("pd.DataFrame({0: [1]})", "pd.DataFrame({'0': [1]})"), ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "pd.DataFrame([[2, 1]], columns=['a', 'a'])"),
    ("np.array([[1, 2], [3, 4]], dtype=object)", "np.array([[1, 3], [2, 4]], dtype=object)"), ("np.array([1], dtype=object)", "np.array([True], dtype=object)"),
    ("cyclic_list(1, 2)", "cyclic_list(2, 1)"), ("cyclic_node(4)", "cyclic_node(5)"), ("[cyclic_list(), cyclic_list(1)]", "[cyclic_list(1), cyclic_list()]"), ("deep(3000, 1)", "deep(3000, 1.0)"),
    ("pa.chunked_array([['ab'], ['c']])", "pa.chunked_array([['a'], ['bc']])"), ("pa.chunked_array([[1, None]])", "pa.chunked_array([[None, 1]])"), ("pl.Series([1, 2])", "pl.Series([1, 2], dtype=pl.Int32)"),
    ("seeded(1, 1)", "seeded(1, 3)"), ("graph(edges=[(1, 2), (2, 3)])", "graph(edges=[(2, 3), (1, 2)])"), ("collections.ChainMap({}, {'a': 1})", "collections.ChainMap({'a': 1}, {})"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), NEAR_MISSES)
def test_near_misses_differ(one, other):
    """A small difference is a difference."""
    assert fingerprint(table.value(one)) != fingerprint(table.value(other))


def memmapped(array):
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, array)
        return np.load(file.name, mmap_mode="r")


def unaligned(array):
    raw = bytearray(array.nbytes + 1)
    result = np.frombuffer(raw, np.uint8, offset=1).view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def padded(fill):
    array = np.frombuffer(bytes([fill]) * 32, table.PADDED).copy()
    array["a"], array["b"] = 1, 2.0
    return array


def fragmented():
    frame = pd.DataFrame({"a": np.arange(3.0)})
    frame["b"] = np.arange(3.0)
    frame["c"] = np.arange(3.0)
    return frame


def under_null(garbage):
    return pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(np.array([5, garbage]))])


def read(value, *attributes):
    for name in attributes:
        getattr(value, name)
    return value


def masked_after(value):
    result = pd.array([value, 2])
    result[0] = pd.NA
    return result


def copied(items):
    return (*items,)


ALIASED = [1, 2, "some text"]
EQUAL = {
    "aliasing of what cannot change": ([(1, "a"), (1, "a")], [copied((1, "a")), copied((1, "a"))]),
    "aliasing of tuples around what can": ([(ALIASED,), (ALIASED,)], [(ALIASED,)] * 2),
    "aliasing in a set": ([{(1, 2), (3, "x")}], [{copied((1, 2)), copied((3, "x"))}]),
    "interning": (["abc", "abc"], ["".join("abc"), "".join(["a", "bc"])]),
    "order of a set": ({f"k{i}" for i in range(50)}, {f"k{i}" for i in reversed(range(50))}),
    "sets of sets": ({frozenset("ab"), frozenset("cd")}, {frozenset("dc"), frozenset("ba")}),
    "dict with a hole": ({"a": 1}, {k: v for k, v in [("x", 0), ("a", 1)] if k == "a"}),
    "aliasing in a cycle": (table.cyclic_list(ALIASED, ALIASED), table.cyclic_list(ALIASED, list(ALIASED))),
    "shared deep parts": (table.diamond(12), copy.deepcopy(table.diamond(12))),
    "view and copy": (np.arange(20.0)[::2], np.arange(20.0)[::2].copy()),
    "large strided view": (np.arange(2e6).reshape(1000, -1)[:, ::2], np.arange(2e6).reshape(1000, -1)[:, ::2].copy()),
    "memory map": (np.arange(3000.0), memmapped(np.arange(3000.0))),
    "unaligned": (np.arange(30.0), unaligned(np.arange(30.0))),
    "base": (np.arange(6.0), np.arange(60.0)[:6]),
    "aliased dtypes": ([table.PADDED] * 2, [table.PADDED, copy.deepcopy(table.PADDED)]),
    "aliased times": ([pd.Timestamp("2020")] * 2, [pd.Timestamp("2020"), pd.Timestamp("2020")]),
    "aliased tables": ([pa.table({"a": [1]})] * 2, [pa.table({"a": [1]}), pa.table({"a": [1]})]),
    "aliased frozen objects": ([table.FrozenPoint(1)] * 2, [table.FrozenPoint(1), table.FrozenPoint(1)]),
    "padding": (padded(0), padded(255)),
    "no mask and an empty mask": (np.ma.array([1, 2]), np.ma.array([1, 2], mask=[0, 0])),
    "fill value asked for": (np.ma.array([1, 2]), read(np.ma.array([1, 2]), "fill_value")),
    "blocks": (fragmented(), pd.DataFrame({c: np.arange(3.0) for c in "abc"})),
    "frame of a matrix": (
        pd.DataFrame(np.arange(6.0).reshape(3, 2)),
        pd.DataFrame({0: [0.0, 2, 4], 1: [1.0, 3, 5]}).set_axis(range(2), axis=1),
    ),
    "index after a look-up": (pd.Index(["a", "b"]), read(pd.Index(["a", "b"]), "is_unique", "is_monotonic_increasing")),
    "frame after a look-up": (pd.DataFrame({"a": [1]}), read(pd.DataFrame({"a": [1]}), "a")),
    "left under a mask": (masked_after(7), masked_after(8)),
    "chunks": (pa.chunked_array([["a", None], ["b"]]), pa.chunked_array([["a"], [None, "b"], []], pa.string())),
    "chunks of booleans": (pa.chunked_array([[True, None, False]]), pa.chunked_array([[True], [None, False]])),
    "chunks of lists": (pa.chunked_array([[[1], None, [2, 3]]]), pa.chunked_array([[[1], None], [[2, 3]]])),
    "chunks of structs": (
        pa.chunked_array([[{"x": 1}, None]]),
        pa.chunked_array([[{"x": 1}], pa.array([None], pa.struct({"x": pa.int64()}))]),
    ),
    "chunks of dictionaries": (
        pa.chunked_array([pa.array(["a", "b"]).dictionary_encode()]),
        pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()]),
    ),
    "offset": (pa.array(["x", "a", None]).slice(1), pa.array(["a", None])),
    "offset of numbers": (pa.array([9, 1, None]).slice(1), pa.array([1, None])),
    "offset of lists": (pa.array([[9], [1, 2]]).slice(1), pa.array([[1, 2]])),
    "offset of structs": (pa.array([{"x": 9}, {"x": 1}]).slice(1), pa.array([{"x": 1}])),
    "left under a null": (under_null(0), under_null(99)),
    "no nulls in the slice": (pa.array([None, 1]).slice(1), pa.array([1])),
    "slice of polars": (pl.DataFrame({"a": ["x", "y", "z"]})[1:], pl.DataFrame({"a": ["y", "z"]})),
    "chunks of polars": (
        pl.concat([pl.Series("a", ["y", "x"]), pl.Series("a", ["y"])], rechunk=False),
        pl.Series("a", ["y", "x", "y"]),
    ),
    "graph after a look-up": (table.graph(), read(table.graph(), "nodes", "edges", "adj", "degree")),
    "sparse after a look-up": (
        table.value("sp.csr_matrix(np.eye(3))"),
        read(table.value("sp.csr_matrix(np.eye(3))"), "has_sorted_indices"),
    ),
    "path after a look-up": (Path("a/b"), read(Path("a", "b"), "parts", "name", "suffix")),
    "logger level": (logging.getLogger("a.b.c"), logging.getLogger("a.b.c")),
    "stand-in": (table.Account("a"), table.Account("a")),
    "lazily made __dict__": (table.Plain(), read(table.Plain(), "__dict__")),
}


#: What makes an object that can change, and what holds it: under two places it is not two equal ones.
MADE = (
    "[1]",
    "{'a': 1}",
    "{1}",
    "bytearray(b'a')",
    "np.zeros(3)",
    "np.zeros(5000)",
    "pd.DataFrame({'a': [1]})",
    "pl.Series([1])",
    "collections.deque([1])",
    "MyList([1])",
    "Plain(a=1)",
    "Point(1)",
)
HOLDERS = (
    "[x, y]",
    "(x, (1, y))",
    "{'a': x, 'b': [y]}",
    "Plain(a=x, b=y)",
    "Slots(x, y)",
    "MyList([x, y])",
    "MyDict(a=x, b=y)",
    "collections.deque([x, y])",
    "objects(x, y)",
    "pd.DataFrame({'a': pd.Series([x, y], dtype=object)})",
    "FrozenPoint(x, y)",
    "Named(x, y)",
    "[types.SimpleNamespace(x=x), y]",
    "functools.partial(print, x, y)",
)


def objects(*items):
    array = np.empty(len(items), object)
    for i, item in enumerate(items):
        array[i] = item
    return array


@pytest.mark.parametrize("made", MADE)
def test_one_object_under_two_places(made):
    """An object that can change is not two equal ones, wherever the two places are; and that does not change by a copy."""
    for holder in HOLDERS:
        x, y = table.value(made), table.value(made)
        space = {**vars(table), "objects": objects}
        one, two = (eval(holder, space, {"x": x, "y": other}) for other in (x, y))
        assert fingerprint(one) != fingerprint(two), holder
        assert fingerprint(one) == fingerprint(copy.deepcopy(one)), holder
        assert fingerprint(two) == fingerprint(copy.deepcopy(two)), holder


@pytest.mark.parametrize("case", EQUAL)
def test_what_is_equal(case):
    """How a value is laid out, shared or cached inside does not show."""
    one, other = EQUAL[case]
    assert fingerprint(one) == fingerprint(other)


def a_generator():
    yield


async def a_coroutine():
    pass


class OwnAddress:
    def __init__(self):
        self.handle = id(self)


class ReduceFails:
    def __reduce_ex__(self, protocol):
        raise RuntimeError("not today")


class EndlessState:
    def __reduce_ex__(self, protocol):
        return table.Plain, (), {"next": EndlessState()}


def figure():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib.figure import Figure

    return Figure()


def coroutine():
    made = a_coroutine()
    made.close()
    return made


def running_loop():
    import asyncio

    loop = asyncio.new_event_loop()
    loop.close()
    return loop


UNSTABLE = {
    "generator": a_generator,
    "coroutine": coroutine,
    "list iterator": lambda: iter([1]),
    "set iterator": lambda: iter({1}),
    "dict iterator": lambda: iter({1: 2}),
    "zip": lambda: zip([1], [2], strict=True),
    "map": lambda: map(int, "1"),
    "enumerate": lambda: enumerate("a"),
    "count": itertools.count,
    "chain": lambda: itertools.chain("a"),
    "lock": threading.Lock,
    "rlock": threading.RLock,
    "condition": threading.Condition,
    "thread": threading.Thread,
    "socket": lambda: socket.socket(),
    "file": lambda: open(os.devnull),
    "binary file": lambda: open(os.devnull, "rb"),
    "temporary file": tempfile.NamedTemporaryFile,
    "connection": lambda: sqlite3.connect(":memory:"),
    "cursor": lambda: sqlite3.connect(":memory:").cursor(),
    "frame": lambda: sys._getframe(),
    "code": lambda: a_generator.__code__,
    "weak reference": lambda: weakref.ref(a_generator),
    "weak set": lambda: weakref.WeakSet([a_generator]),
    "pointer": lambda: ctypes.pointer(ctypes.c_int(1)),
    "char pointer": lambda: ctypes.c_char_p(b"a"),
    "loaded library": lambda: ctypes.CDLL(None),
    "context": contextvars.copy_context,
    "loop": running_loop,
    "figure": figure,
    "lambda": lambda: lambda: 1,
    "local class": lambda: type("Local", (), {}),
    "instance of a local class": lambda: type("Local", (), {})(),
    "module made by hand": lambda: types.ModuleType("made_by_hand"),
    "own address": OwnAddress,
    "failing reduction": ReduceFails,
    "ufunc from Python": lambda: np.frompyfunc(int, 1, 1),
    "lazy frame": lambda: pl.LazyFrame({"a": [1]}),
    "log handler": logging.StreamHandler,
    "system random": __import__("random").SystemRandom,
}


@pytest.mark.parametrize("case", UNSTABLE)
def test_refusals_name_the_path(case):
    """What has no content is refused, wherever it sits, and the error says where."""
    held = UNSTABLE[case]()
    value = {"conn": [0, (1, table.Plain(sock=held))]}
    with pytest.raises(FingerprintError) as caught:
        fingerprint(value, name="x")
    assert caught.value.path.startswith("x['conn'][1][1].sock")
    assert str(caught.value).startswith("x['conn'][1][1].sock")
    with pytest.raises(FingerprintError):
        fingerprint(held)
    with pytest.raises(FingerprintError):
        fingerprint(table.cyclic_list(held))


def test_a_refusal_inside_a_set_or_a_key_or_a_slot():
    """The path leads through sets, keys, slots and items of subclasses as well."""
    for value, path in [
        ({1, a_generator()}, "x{...}"),
        ({a_generator(): 1}, "x[generator]"),
        (table.Slots(1, a_generator()), "x.b"),
        (table.MyList([1, a_generator()]), "x[1]"),
        (table.MyDict(k=a_generator()), "x['k']"),
        (np.array([1, a_generator()], dtype=object), "x[1]"),
    ]:
        with pytest.raises(FingerprintError) as caught:
            fingerprint(value, name="x")
        assert caught.value.path == path


def test_an_endless_reduction_is_refused(monkeypatch):
    """An object whose state is always new ends in an error, not in an endless loop."""
    monkeypatch.setattr(graph, "_MOST_OBJECTS", 10_000)
    with pytest.raises(FingerprintError):
        fingerprint(EndlessState())


def test_a_raised_recursion_limit_is_no_danger():
    """A deep value is fingerprinted, not a crash of the interpreter, whatever the recursion limit."""
    program = (
        "import sys; sys.setrecursionlimit(10**7)\n"
        "from blockcache.fingerprint.values import fingerprint\n"
        "value = []\n"
        "for _ in range(60_000): value = [value]\n"
        "print(fingerprint(value))\n"
        "import os; sys.stdout.flush(); os._exit(0)"  # CPython itself may crash when it frees such a value
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, len(done.stdout.strip())) == (0, 32), done.stderr


def test_labels_stand_for_definitions():
    """The text of a label, not the object, is in the fingerprint, also for the class of an instance."""

    class Local:
        pass

    def lam():
        return 1

    def label(version):
        return lambda obj: f"v{version}" if obj in (Local, lam) else None

    for value in (Local, Local(), lam, [lam], {"f": lam}, types.MethodType(lam, 1)):
        assert fingerprint(value, label(1)) == fingerprint(value, label(1))
        assert fingerprint(value, label(1)) != fingerprint(value, label(2))
    assert fingerprint([1, table.double], lambda obj: None) == fingerprint([1, table.double])
    assert fingerprint(table.Plain(a=1), lambda obj: None) != fingerprint(table.Plain(a=1), lambda obj: "Plain, edited")


def test_a_label_sees_every_definition():
    """Functions, classes, modules, builtins, the function of a bound method, the class of an instance."""
    seen = []
    fingerprint(
        [table.double, table.Plain(a=1).method, table.OtherPlain(), json, len, table.cached],
        lambda obj: seen.append(obj),
    )
    for definition in (
        table.double,
        table.Plain,
        table.Plain.method,
        table.OtherPlain,
        json,
        len,
        table.cached.__wrapped__,
    ):
        assert any(obj is definition for obj in seen)


def test_many_long_values_are_not_mistaken_for_sharing():
    """Buffers and long text do not count against the limit of the stream."""
    value = [b"x" * 1_000_000] * 100
    assert fingerprint(value) == fingerprint([bytes([120]) * 1_000_000 for _ in range(100)])


def test_large_values_through_the_graph_ignore_aliasing(monkeypatch):
    """Past the limit of the stream equal values are still equal."""
    monkeypatch.setattr(values, "_STREAM_LIMIT_BYTES", 10_000)
    row = {"a": 1, "b": [1.5, "text"]}
    shared, copied = [row] * 3000, [copy.deepcopy(row) for _ in range(3000)]
    assert fingerprint(shared) == fingerprint(copied)
    copied[-1]["b"][1] = "texT"
    assert fingerprint(shared) != fingerprint(copied)


def test_a_description_tells_type_and_size_only():
    """Cheap, for people, and never the contents of text."""
    assert describe(42) == "42"
    assert describe("secret") == "str of 6 characters"
    assert describe([1] * 1200) == "list of 1,200"
    assert describe(np.zeros((1000, 3))) == "ndarray float64 (1000, 3)"
    assert describe(pd.DataFrame({"a": range(3)})).startswith("DataFrame 3 x 1")
    assert describe(10**5000).startswith("int of")
    for e in table.EXPRESSIONS:
        text = describe(table.value(e))
        assert text and len(text) < 120 and "\n" not in text, e


# -- properties over nested containers --------------------------------------------------------

ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.binary(max_size=5)
)
HASHABLE = st.recursive(
    ATOMS, lambda x: st.lists(x, max_size=3).map(tuple) | st.frozensets(x, max_size=3), max_leaves=6
)
NESTED = st.recursive(
    HASHABLE,
    lambda x: (
        st.lists(x, max_size=4)
        | st.lists(x, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, x, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | x.map(lambda v: table.Plain(a=v))
        | st.lists(st.floats(allow_nan=False), max_size=3).map(np.array)
    ),
    max_leaves=15,
)


def exact(value):
    """A text that is the same for equal values only, by plain recursion."""
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        return f"{kind}[{','.join(map(exact, value))}]"
    if isinstance(value, (set, frozenset)):
        return f"{kind}{{{','.join(sorted(map(exact, value)))}}}"
    if isinstance(value, dict):
        return f"{kind}<{','.join(exact(k) + ':' + exact(v) for k, v in value.items())}>"
    if isinstance(value, table.Plain):
        return f"Plain({exact(vars(value))})"
    if isinstance(value, np.ndarray):
        return f"array({value.dtype}{exact(value.tolist())})"
    return f"{kind} {value!r}"


def remade(value):
    """An equal value that shares no container with ``value``; sets filled in another order."""
    kind = type(value)
    if kind in (list, tuple):
        return kind([remade(v) for v in value])
    if kind in (set, frozenset):
        return kind(remade(v) for v in sorted(value, key=exact, reverse=True))
    if kind is dict:
        return {remade(k): remade(v) for k, v in value.items()}
    if kind is table.Plain:
        return table.Plain(**remade(vars(value)))
    if kind is str:
        return "".join(list(value))
    return pickle.loads(pickle.dumps(value, protocol=5))


@settings(deadline=None, max_examples=300)
@given(NESTED)
def test_equal_values_built_differently(value):
    """The same content gives the same fingerprint, however it was put together."""
    assert fingerprint(value) == fingerprint(remade(value))
    again = remade(value)
    assert fingerprint([value, value]) == fingerprint([again, again])


@settings(deadline=None, max_examples=500)
@given(NESTED, NESTED)
def test_fingerprints_are_equal_exactly_when_contents_are(one, other):
    """Two values agree in the stream and as graphs exactly when a plain description agrees."""
    same = exact(one) == exact(other)
    assert (fingerprint(one) == fingerprint(other)) == same
    graphs = [digest_graph(v, Reducer(None), "value") for v in (one, other)]
    assert (graphs[0] == graphs[1]) == same


# -- torch, where it is installed -------------------------------------------------------------


def test_torch():
    """Tensors by content, dtype, shape and gradient; modules through their tensors."""
    torch = pytest.importorskip("torch")
    x = torch.arange(6.0)
    different = [
        x, x.double(), x.reshape(2, 3), x.reshape(3, 2), x + 1, x.clone().requires_grad_(), torch.nn.Parameter(x), x.numpy(), torch.float32, torch.device("cpu"),
        torch.zeros(0), torch.eye(3), torch.eye(3).to_sparse(), torch.eye(3).to_sparse_csr(), torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.complex64), torch.Size([1]),
        torch.Generator().manual_seed(1), torch.Generator().manual_seed(2),
    ]  # fmt: skip
    digests = [fingerprint(v) for v in different]
    assert len(set(digests)) == len(different)
    assert digests[:9] == [fingerprint(pickle.loads(pickle.dumps(v, protocol=5))) for v in different[:9]]
    assert fingerprint(torch.eye(4).T[:2]) == fingerprint(torch.eye(4)[:, :2].T.contiguous())

    def model(seed):
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout(0.5))

    assert fingerprint(model(1)) == fingerprint(model(1)) == fingerprint(pickle.loads(pickle.dumps(model(1))))
    assert fingerprint(model(1)) != fingerprint(model(2))
    assert fingerprint(model(1)) != fingerprint(model(1).eval())
    optimiser = torch.optim.Adam(model(1).parameters())
    assert fingerprint(optimiser) == fingerprint(torch.optim.Adam(model(1).parameters()))


def test_a_parser_of_lark_counts_by_rules_and_terminals_in_order_but_not_by_the_order_of_flags():
    """lark keeps flags around a part of a terminal in a set, and so nests them otherwise in another process."""
    lark = pytest.importorskip("lark")
    parser, other = (lark.Lark("start: A+ B\nA: /[ab]c/is /d/\nB: /x/") for _ in range(2))
    before = fingerprint(parser)
    pattern = next(t.pattern for t in other.terminals if t.name == "A")
    was = pattern.value
    pattern.value = was.replace("(?i:(?s:", "(?s:(?i:") if "(?i:(?s:" in was else was.replace("(?s:(?i:", "(?i:(?s:")
    assert pattern.value != was and fingerprint(other) == before
    other.terminals.reverse()
    assert fingerprint(other) != before
