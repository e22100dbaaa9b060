"""Typed trees: which values need no pickle, what a tree may say, and what is refused by name."""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import pathlib
import pickle
import sys
import uuid
import zoneinfo

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from PIL import Image

from blockcache.codec import decode, encode, is_typed, lay_out, open_pack, pickling
from blockcache.errors import CodecError
from blockcache.fingerprint.modules import is_library
from blockcache.fingerprint.values import fingerprint


def save(values, *, forms="typed", label=lambda _: None, **upstream):
    encoded = encode(values, label=label, module_globals={}, is_library=is_library, forms=forms, **upstream)
    layout = lay_out(encoded)
    return encoded, b"".join(layout.pack_parts), [bytes(region) for region in layout.large]


def load(saved, **live):
    _, pack, large = saved
    stream, buffers = open_pack(memoryview(bytearray(pack)), [memoryview(bytearray(x)) for x in large])
    assert is_typed(stream)
    return decode(stream, buffers, resolve=live.pop("resolve", str), module_globals={}, unpickle=False, **live)


@pytest.fixture(autouse=True)
def without_pickle(monkeypatch):
    """Nothing is unpickled while a test of this file runs."""

    def refuse(*_arguments, **_options):
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(pickling, "read", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)


def _graph():
    graph = nx.MultiDiGraph(name="g")
    graph.add_edge("a", "b", weight=2.5)
    graph.add_edge("a", "b", weight=1)
    graph.add_node((1, 2), data=np.arange(3))
    return graph


def _frame():
    return pd.DataFrame(
        {
            "f": np.arange(6.0),
            "s": ["a", None] * 3,
            "o": pd.Series(["x", None, np.nan, pd.NA, 1, "x"], dtype=object),
            "c": pd.Categorical(["u", "v", "u"] * 2, ordered=True),
            "d": pd.date_range("2024-01-01", periods=6, tz="Europe/Zurich"),
            "t": pd.timedelta_range("1h", periods=6),
            "i": pd.array([1, None] * 3, dtype="Int64"),
            "b": pd.array([True, None] * 3, dtype="boolean"),
            "p": pd.period_range("2024", periods=6, freq="M"),
            "v": pd.cut([1, 2, 3] * 2, 2),
            "a": pd.array([1, 2, None] * 2, dtype=pd.ArrowDtype(pa.int16())),
            "y": pd.array(["a", "b", None] * 2, dtype=pd.StringDtype("python")),
            "z": pd.arrays.SparseArray([0.0, 0, 1] * 2) if pd.__version__ < "0" else np.zeros(6),
        },
        index=pd.MultiIndex.from_product([["k", "l"], [1, 2, 3]], names=["one", None]),
    )


VALUES = {
    "datetime": datetime.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Zurich")),
    "timezone": datetime.timezone(datetime.timedelta(hours=1), "mine"),
    "time": datetime.time(1, 2, 3, 4),
    "decimal": [decimal.Decimal("-0"), decimal.Decimal("1E+5")],
    "path": [pathlib.Path("a/b"), pathlib.PureWindowsPath("c:/d")],
    "uuid": uuid.UUID(int=5),
    "containers": [collections.Counter("aab"), collections.deque([1], 3), collections.OrderedDict(b=1, a=2)],
    "defaultdict": collections.defaultdict(list, a=[1]),
    "numpy scalars": [np.int8(1), np.float32(0.1), np.datetime64("2024", "D"), np.str_("é"), np.bool_(True)],
    "object array": np.array([["a", None], [1.5, np.nan]], dtype=object, order="F"),
    "structured": np.zeros(3, np.dtype({"names": ["a", "b"], "formats": ["<i2", "(2,)f8"], "offsets": [4, 8]})),
    "record": np.rec.array([(1, "x")], dtype=[("a", "i4"), ("b", "U3")]),
    "masked": np.ma.masked_array([1.0, 2.0], mask=[0, 1], fill_value=-9),
    "dates": np.array(["2013-01-01", "NaT"], dtype="M8[us]"),
    "frame": _frame(),
    "series": pd.Series([1, 2], name="n", index=pd.RangeIndex(3, 7, 2)),
    "indexes": [pd.Index(["a"]), pd.date_range("2024", periods=3, freq="ME"), pd.timedelta_range("1h", periods=2)],
    "pandas scalars": [pd.Timestamp(5, tz="UTC"), pd.Timedelta(3), pd.NaT, pd.NA, pd.Period("2024"), pd.Interval(0, 1)],
    "arrow": pa.table({"a": [1, None], "l": [[1], []], "d": pa.array(["x", "y"]).dictionary_encode()}),
    "arrow parts": [pa.array([1.5]), pa.chunked_array([["a"], ["b"]]), pa.scalar(3), pa.schema([("a", pa.int8())])],
    "polars": pl.DataFrame({"c": pl.Series(["u"], dtype=pl.Categorical), "s": [{"x": 1}], "e": [None]}),
    "polars series": pl.Series("n", [decimal.Decimal("1.50")]),
    "sparse": [scipy.sparse.random(9, 9, 0.3, f, random_state=1) for f in ("csr", "csc", "coo", "bsr", "dia", "lil")],
    "sparse array": scipy.sparse.coo_array(np.eye(3)),
    "graph": _graph(),
    "images": [Image.new(mode, (3, 2), 1) for mode in ("L", "RGB", "RGBA", "1", "F", "I;16", "P", "LA", "CMYK")],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_from_a_tree_as_it_was(name):
    """By its fingerprint, which tells types, dtypes, layouts and names apart; else as its library compares it."""
    value = VALUES[name]
    back = load(save({"x": value}))["x"]
    assert type(back) is type(value)
    if name == "images":
        assert [(i.mode, i.size, i.tobytes(), i.getpalette()) for i in back] == [
            (i.mode, i.size, i.tobytes(), i.getpalette()) for i in value
        ]
    elif name == "graph":
        assert nx.utils.graphs_equal(nx.create_empty_copy(back, False), nx.create_empty_copy(value, False)) and list(
            back.edges(data=True)
        ) == list(value.edges(data=True))
        assert list(back.nodes) == list(value.nodes) and back.graph == value.graph
        back.add_edge("b", "c")
        assert "c" in back.succ["b"] and "b" in back.pred["c"]
    elif name.startswith(("arrow", "polars")):
        pairs = zip(back, value, strict=True) if type(value) is list else [(back, value)]
        assert all(b.equals(v) and type(b) is type(v) for b, v in pairs)
    else:
        assert fingerprint(back) == fingerprint(value)


def test_restored_arrays_and_matrices_lie_in_the_buffers():
    """What a store maps is not read before the program reads it."""
    size = 1 << 16
    values = {
        "a": np.arange(size),
        "m": scipy.sparse.csr_matrix(np.eye(300)),
        "f": pd.DataFrame({"x": np.arange(float(size))}),
        "t": pa.table({"x": np.arange(size)}),
        "p": pl.DataFrame({"x": np.arange(1 << 18)}),
    }
    encoded, pack, large = save(values)
    memory = [memoryview(bytearray(pack)), *(memoryview(bytearray(x)) for x in large)]
    stream, buffers = open_pack(memory[0], memory[1:])
    back = decode(stream, buffers, resolve=str, module_globals={}, unpickle=False)
    arrays = [
        back["a"],
        back["m"].data,
        back["f"]["x"].to_numpy(),
        back["t"]["x"].chunk(0).to_numpy(),
        back["p"]["x"].to_numpy(),
    ]
    for array in arrays:
        assert any(np.shares_memory(array, np.frombuffer(whole, "u1")) for whole in memory)


class Own:
    pass


def test_what_has_no_typed_form_is_named_and_the_rest_is_not():
    with pytest.raises(CodecError, match=r"deep.*Own has no typed form") as caught:
        save({"n": 1, "f": len, "deep": {"a": [Own()]}, "e": KeyError("x")})
    assert caught.value.refused.keys() == {"f", "deep", "e"}
    assert caught.value.refused["deep"].startswith("deep['a'][0]: ")


def test_labels_stand_for_live_definitions_and_ways_for_upstream_objects():
    """A view of an upstream array becomes a view of that array again, and a result holds the very object."""
    array, held = np.arange(10.0), {"held": 1}
    values = {
        "v": array[2:4],
        "a": array,
        "h": [held, held],
        "f": test_labels_stand_for_live_definitions_and_ways_for_upstream_objects,
    }
    ways = [(("name", "array"),), (("name", "holder"), ("item", "k"))]
    saved = save(values, label=lambda o: "the test", upstream=[array, held], address=ways.__getitem__)
    live = {ways[0]: np.arange(10.0), ways[1]: {"held": 2}}
    back = load(saved, resolve={"the test": print}.__getitem__, find=live.__getitem__)
    assert back["a"] is live[ways[0]] and back["v"].base is back["a"]
    assert back["h"][0] is back["h"][1] is live[ways[1]] and back["f"] is print
    assert saved[0].codecs == {"v": "numpy", "a": "upstream", "h": "json", "f": "label"}


def test_how_a_value_is_stored_is_told_in_a_word():
    values = {
        "n": 1,
        "s": "x" * 9999,
        "b": b"x",
        "a": np.zeros(3),
        "l": [np.zeros(3), {"t": pa.array([1])}],
        "f": pd.DataFrame({"x": [1]}),
        "m": json,
    }
    assert save(values)[0].codecs == {
        "n": "json",
        "s": "text",
        "b": "bytes",
        "a": "numpy",
        "l": "json+numpy+pyarrow",
        "f": "pandas",
        "m": "module",
    }
    mixed = save({**values, "o": Own()}, forms="either")[0]
    assert set(mixed.codecs.values()) == {"pickle"} and not is_typed(b"".join(mixed.stream))


def test_many_small_parts_are_pickled_unless_they_must_not():
    """A million small dictionaries come back faster from a pickle."""
    values = {"x": [{"i": i} for i in range(2000)]}
    assert save(values, forms="either")[0].codecs == {"x": "pickle"}
    assert load(save(values)) == values


def test_depth_and_tuples_that_hold_themselves_are_left_to_pickle():
    deep = held = []
    for _ in range(200):
        held.append([])
        held = held[0]
    cycle = ([],)
    cycle[0].append(cycle)
    for value in (deep, cycle):
        assert save({"x": value}, forms="either")[0].codecs == {"x": "pickle"}
        with pytest.raises(CodecError):
            save({"x": value})


@pytest.mark.parametrize(
    "node",
    [
        '["os.system","true"]',
        '["python.eval","1"]',
        '["python.type","eval"]',
        '["torch.dtype","hub"]' if "torch" in sys.modules else '["torchvision.x"]',
        '["pandas.called","eval","1"]',
        '["pandas.made","index","eval",{}]',
        '["scipy.sparse","__class__"]',
        '["module","antigravity"]',
        '["numpy.array",["tuple",100],["numpy.dtype","<f8"],["buffer",0]]',
        '["numpy.array",["tuple",1],["numpy.dtype","|O"],["bytes","AAAAAAAAAAA="]]',
        '["numpy.object view",["numpy.objects",["tuple",2],"C"],5,["tuple",1],["tuple",8]]',
        '["is",7]',
        '["buffer",-9]',
        "[]",
        '[["list"]]',
        '{"a":["filled",1]}',
    ],
)
def test_a_tree_calls_only_what_it_may_and_reads_only_what_is_there(node):
    """Whatever a store says: neither code nor imports of its choice, and no memory outside its buffers."""
    before = set(sys.modules)
    with pytest.raises(CodecError):
        decode(
            f'{{"x":{node}}}'.encode(),
            [memoryview(bytearray(8))],
            resolve={}.__getitem__,
            module_globals={},
            unpickle=False,
            find_module={}.__getitem__,
        )
    assert not {"antigravity", "os.system"} & (set(sys.modules) - before)


def test_a_pickle_is_refused_where_none_may_be_read():
    saved = save({"x": 1}, forms="pickle")[0]
    with pytest.raises(CodecError, match="pickle"):
        decode(b"".join(saved.stream), [], resolve=str, module_globals={}, unpickle=False)


def test_a_state_dictionary_of_torch_is_typed_and_its_tensors_lie_in_the_buffers():
    """With its metadata, tensors without elements, views and arrays over the same memory."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    big = torch.zeros(1000)
    values = {
        "state": model.state_dict(),
        "weight": model[0].weight,
        "big": big,
        "view": big[3:5],
        "array": big.numpy(),
        "others": [torch.zeros(0, 3), torch.float16, big.shape, torch.zeros(2, dtype=torch.bool)],
    }
    saved = save(values)
    back = load(saved)
    assert back["state"]._metadata == model.state_dict()._metadata
    assert all(torch.equal(back["state"][name], tensor) for name, tensor in model.state_dict().items())
    assert type(back["weight"]) is torch.nn.Parameter and back["weight"].requires_grad
    back["big"][3] = 7
    assert back["view"][0] == 7 and back["array"][3] == 7
    assert back["others"][0].shape == (0, 3) and back["others"][1:3] == [torch.float16, torch.Size([1000])]
    assert saved[0].codecs["state"] == "json+torch" and saved[0].codecs["big"] == "torch"
