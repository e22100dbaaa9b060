"""What a program may do to a value that lies in a store's map, compared with the same done to a value that never did.

Whatever it does, other copies of the entry and the store's bytes stay as they are.
"""

from __future__ import annotations

import array
import copy
import multiprocessing
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import xxhash

from blockcache import untouched
from blockcache.codec import decode, encode, lay_out, open_pack
from blockcache.errors import FingerprintError
from blockcache.fingerprint.modules import is_library
from blockcache.fingerprint.values import fingerprint
from blockcache.stores.local import LocalStore

N = 150_000


def numbers():
    return np.arange(N) * 1.5


def read_only():
    values = numbers()
    values.flags.writeable = False
    return values


ARRAYS = """
v[0] = 5
v += 1
v.fill(3)
v.sort()
v[...] = v[::-1].copy()
v.shape = (-1,)
v.setflags(write=True); v[0] = 1
v.setflags(write=False); v.setflags(write=True); v[0] = 1
v.byteswap(inplace=True)
v.partition(5)
v.flat[:5] = 9
v.T[0] = 4
np.put(v, [1, 2], 7)
np.copyto(v, 1)
np.random.default_rng(0).shuffle(v)
memoryview(v).cast("B")[3] = 1
v.dtype = "u1"
v.__setstate__(v.__reduce__()[2])
r = v.view(); r[0] = 2
r = v.ravel(); r[0] = 8
r = np.asarray(v); r[0] = 2
r = copy.copy(v); r[0] = 9
r = copy.deepcopy(v); r[0] = 9
r = pickle.loads(pickle.dumps(v)); r[0] = 9
b = []; s = pickle.dumps(v, 5, buffer_callback=b.append); r = pickle.loads(s, buffers=b); r[0] = 9
r = memoryview(v).readonly, v.flags.writeable, v.flags.c_contiguous, v.flags.f_contiguous, v.flags.aligned
r = np.shares_memory(v, v[5:]), type(v.data), v.strides
"""
FRAMES = """
v.iloc[0] = 5
v.loc[0] = 7
v.iloc[0, 0] = 5
v.at[0, "a"] = 11
v["a"].iloc[0] = 5
v["b"] = 1
v["new"] = 2
v.drop(columns="a", inplace=True)
v.fillna(0, inplace=True)
v += 1
v.values[0] = 9
v.to_numpy(copy=False)[0] = 1
v.array[0] = 1
r = np.asarray(v).flags.writeable, v.to_numpy().flags.writeable
r = v.array._ndarray.flags.writeable
r = v.copy(); r.iloc[0] = 3
r = v.copy(deep=False); r.iloc[0] = 3
r = v[:]; r.iloc[0] = 3
r = v.reset_index(); r.iloc[0] = 4
r = copy.deepcopy(v); r.iloc[0] = 4
r = pickle.loads(pickle.dumps(v)); r.iloc[0] = 1
"""
POLARS = """
v[0] = 5
v[0, "a"] = 5
v.scatter(0, 9)
v.sort(in_place=True)
v.extend(v.clone())
v.append(v.clone())
v.rechunk(in_place=True)
v.shrink_to_fit(in_place=True)
v.set_sorted()
v.drop_in_place("a")
v.columns = ["q", "w"]
v.replace_column(0, v.get_columns()[1])
r = v.to_numpy(); r[0] = 1
r = v.to_numpy(writable=True); r[0] = 1
r = v.n_chunks(), v.flags
r = v.clone(); r[0] = 3
r = pickle.loads(pickle.dumps(v))
"""
ARROW = """
np.asarray(v)[0] = 1
v.to_numpy()[0] = 1
np.frombuffer(v, "u1")[0] = 1
memoryview(v)[0:1] = b"x"
np.frombuffer(v.buffers()[1], "u1")[0] = 1
memoryview(v.buffers()[1])[0:1] = b"x"
np.frombuffer(v.column(0).chunks[0].buffers()[1], "u1")[0] = 1
r = v.to_pandas(); r.iloc[0] = 1
r = v.to_pandas(split_blocks=True); r["a"].values[0] = 2
r = pl.from_arrow(v); r[0] = 4
r = v.is_mutable
r = v.buffers()[1].is_mutable
r = v.column(0).chunks[0].buffers()[1].is_mutable
r = v.slice(1).to_numpy().flags.writeable
r = pickle.loads(pickle.dumps(v))
"""
BYTES = """
v[0] = 1
v += b"x"
v.extend(b"x")
v.append(1.0)
v.clear()
v.pop()
v.byteswap()
v.frombytes(b"12345678")
del v[:10]
memoryview(v)[0:1] = b"x"
r = hash(v)
r = type(v)
"""
OTHERS = """
v[0][0] = 5
v["base"][10] = 5
v["view"][0] = 5
r = v[0] is v[1]
v[0] = 5
v[0] = np.ma.masked
v.mask[0] = True
v.data[0] = 5
v.data[:] = 0
v.harden_mask()
v.shrink_mask()
v.unshare_mask()
v.a[0] = 5
v["a"][0] = 4
v *= 2
v.data *= 2
v.sort_indices()
v.eliminate_zeros()
v.sum_duplicates()
v.setdiag(1)
v.data.sort()
v.resize((10, 10))
"""

#: Name -> (maker, what is done to it).
VALUES = {
    "array": (numbers, ARRAYS),
    "two dimensions": (lambda: numbers().reshape(4, -1).copy(), ARRAYS),
    "Fortran's order": (lambda: np.asfortranarray(numbers().reshape(4, -1)), ARRAYS),
    "read-only array": (read_only, ARRAYS),
    "array over a bytearray": (lambda: np.frombuffer(bytearray(N * 8)), ARRAYS),
    "structured": (lambda: np.zeros(N, [("a", "i4"), ("b", "f8")]), OTHERS),
    "record array": (lambda: np.zeros(N, [("a", "i4"), ("b", "f8")]).view(np.recarray), OTHERS),
    "masked array": (lambda: np.ma.masked_less(numbers(), 9), OTHERS),
    "sparse": (lambda: sp.random(1000, 1000, 0.15, "csr", random_state=np.random.default_rng(1)), OTHERS),
    "one array twice": (lambda: [numbers()] * 2, OTHERS),
    "a base and its view": (lambda: (lambda a: {"base": a, "view": a[10:]})(numbers()), OTHERS),
    "frame": (lambda: pd.DataFrame(numbers().reshape(-1, 3), columns=list("abc")), FRAMES),
    "series": (lambda: pd.Series(numbers()), FRAMES),
    "index": (lambda: pd.Index(numbers()), FRAMES),
    "polars frame": (lambda: pl.DataFrame({"a": np.arange(N), "b": numbers()}), POLARS),
    "polars series": (lambda: pl.Series("s", numbers()), POLARS),
    "table": (lambda: pa.table({"a": np.arange(N), "b": numbers()}), ARROW),
    "Arrow array": (lambda: pa.array(numbers()), ARROW),
    "Arrow buffer": (lambda: pa.py_buffer(bytes(N * 8)), ARROW),
    "bytes": (lambda: bytes(range(256)) * 5000, BYTES),
    "bytearray": (lambda: bytearray(range(256)) * 5000, BYTES),
    "array.array": (lambda: array.array("d", range(N)), BYTES),
}


class Kept:
    """A value in a store; ``load`` gives a copy of it in maps."""

    def __init__(self, folder, value):
        self.store = LocalStore(folder)
        encoded = encode({"v": value}, label=lambda _: None, module_globals={}, is_library=is_library)
        layout = lay_out(encoded)
        self.names = [self.put(layout.pack_parts), *(self.put([region]) for region in layout.large)]

    def put(self, parts):
        name = f"blobs/{xxhash.xxh3_128_hexdigest(b''.join(parts))}"
        self.store.put(name, parts)
        return name

    def load(self):
        stream, buffers = open_pack(self.store.get(self.names[0]), [self.store.get(name) for name in self.names[1:]])
        return decode(stream, buffers, resolve=None, module_globals={})["v"]

    def is_whole(self):
        return all(name[6:] == xxhash.xxh3_128_hexdigest(self.store.get(name)) for name in self.names)


def content(value):
    try:
        return fingerprint(value)
    except FingerprintError:
        return type(value)


def outcome(statement, value):
    """What a statement does to ``v``: the error, or what ``v`` and ``r`` are afterwards."""
    names = {"v": value, "np": np, "pl": pl, "copy": copy, "pickle": pickle}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(statement, names)
        except Exception as error:
            return type(error)
    return content(names["v"]), content(names.get("r"))


@pytest.mark.parametrize("name", VALUES)
def test_whatever_is_done_to_a_restored_value(name, tmp_path):
    """It ends as with a value of the program's own, and no other copy and no byte of the store changes."""
    make, statements = VALUES[name]
    kept = Kept(tmp_path / "store", make())
    expected = fingerprint(make())
    other = kept.load()
    for statement in statements.strip().splitlines():
        assert outcome(statement, kept.load()) == outcome(statement, make()), statement
        assert fingerprint(other) == expected, statement
    assert kept.is_whole() and fingerprint(kept.load()) == expected


def test_what_is_known_to_differ(tmp_path):
    """A restored array does not own its memory: resizing it in place is refused, as it is for any view."""
    value = Kept(tmp_path / "store", numbers()).load()
    assert value.base is not None and not value.flags.owndata
    with pytest.raises(ValueError, match="does not own its data"):
        value.resize(N * 2, refcheck=False)
    assert len(np.resize(value, N * 2)) == N * 2 and fingerprint(value) == fingerprint(numbers())


def write_and_tell(value, pipe):
    value[0] = -1
    pipe.send((float(value[0]), untouched.part_of(value) is None))


def test_a_child_that_writes_changes_nothing_of_its_parents(tmp_path):
    """A map is copied with the process."""
    kept = Kept(tmp_path / "store", numbers())
    value = kept.load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe()
        child = context.Process(target=write_and_tell, args=(value, there))
        child.start()
    assert here.recv() == (-1.0, True)
    child.join()
    assert value[0] == 0 and untouched.part_of(value) is not None and kept.is_whole()
