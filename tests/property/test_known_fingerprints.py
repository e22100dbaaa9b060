"""A fingerprint does not depend on whether the digests of its buffers were known."""

from __future__ import annotations

import fingerprint_values
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import xxhash

from blockcache import untouched
from blockcache.codec import decode, encode, lay_out, open_pack
from blockcache.errors import CodecError, FingerprintError
from blockcache.fingerprint import buffers
from blockcache.fingerprint.modules import is_library
from blockcache.fingerprint.values import fingerprint
from blockcache.stores import local
from blockcache.stores.local import LocalStore

N = 300_000
NUMBERS = np.arange(N) * 7 % 1013
TEXTS = [f"text {i % 977}" for i in range(N)]
DATES = pd.date_range("2020-01-01", periods=N, freq="s")
WITH_NULLS = [None if i % 10 == 3 else int(i) for i in NUMBERS]

LARGE = {
    "floats": NUMBERS * 1.5,
    "two dimensions": (NUMBERS * 1.5).reshape(3, -1),
    "Fortran's order": np.asfortranarray((NUMBERS * 1.5).reshape(3, -1)),
    "a view": (NUMBERS * 1.5).reshape(3, -1)[1:],
    "strides": (NUMBERS * 1.5).reshape(3, -1)[:, ::2],
    "read-only": np.frombuffer(bytes(NUMBERS), np.int64),
    "dates": NUMBERS.astype("M8[s]"),
    "complex": NUMBERS + 2j,
    "structured": np.zeros(N, [("a", "i4"), ("b", "f8")]),
    "padded": np.zeros(N, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "fixed text": NUMBERS.astype("U8"),
    "masked": np.ma.masked_less(NUMBERS * 1.5, 3),
    "booleans": np.repeat(NUMBERS > 4, 8),
    "sparse": sp.random(5000, 5000, 0.02, "csr", random_state=1),
    "two names for one": [NUMBERS * 1.5] * 2,
    "a base and its view": (lambda a: {"base": a, "view": a[1000:]})(NUMBERS * 1.5),
    "frame": pd.DataFrame((NUMBERS * 1.5).reshape(-1, 2).repeat(2, 0), columns=["a", "b"]),
    "mixed frame": pd.DataFrame({"a": NUMBERS, "b": NUMBERS * 2.0, "c": DATES, "d": TEXTS}),
    "series with dates": pd.Series(NUMBERS * 1.5, index=DATES),
    "categories": pd.Series(TEXTS, dtype="category"),
    "nullable": pd.Series(WITH_NULLS, dtype="Int64"),
    "Arrow's text in pandas": pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.string())),
    "several indexes": pd.DataFrame({"x": NUMBERS}, index=pd.MultiIndex.from_arrays([NUMBERS, DATES])),
    "table": pa.table({"a": NUMBERS, "b": TEXTS, "c": WITH_NULLS, "d": pa.array(TEXTS).dictionary_encode()}),
    "table in chunks": pa.concat_tables([pa.table({"a": NUMBERS, "b": TEXTS})] * 2),
    "slice of a table": pa.table({"a": NUMBERS, "b": TEXTS}).slice(7, N - 100),
    "booleans of Arrow": pa.array(np.repeat(NUMBERS > 4, 40)),
    "lists of Arrow": pa.array([[int(i), 2] for i in NUMBERS]),
    "buffer": pa.py_buffer(NUMBERS.tobytes()),
    "polars": pl.DataFrame({"a": NUMBERS, "b": TEXTS, "c": WITH_NULLS, "d": DATES.to_numpy()}),
    "polars series": pl.Series(NUMBERS * 1.5),
}


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Restores values out of the maps of a store."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "machine"))
    store = LocalStore(tmp_path / "store")

    def put(parts):
        name = f"blobs/{xxhash.xxh3_128_hexdigest(b''.join(parts))}"
        store.put(name, parts)
        return name

    def keep(values):
        encoded = encode(values, label=lambda _: None, module_globals={}, is_library=is_library)
        layout = lay_out(encoded)
        names = [put(layout.pack_parts), *(put([region]) for region in layout.large)]
        stream, cut = open_pack(store.get(names[0]), [store.get(name) for name in names[1:]])
        return decode(stream, cut, resolve=None, module_globals={})

    yield keep
    buffers._new.clear()
    buffers._parts.cache_clear()


def three_ways(value, monkeypatch):
    """Its fingerprint where nothing is known; where blobs are; where their parts are too."""
    with monkeypatch.context() as patch:
        patch.setattr(untouched, "part_of", lambda buffer: None)
        nothing = fingerprint(value)
    blobs = fingerprint(value)
    buffers.settle()
    buffers._parts.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(untouched, "read", lambda part, take: pytest.fail("a part was read again"))
        parts = fingerprint(value)
    return {nothing, blobs, parts}


@pytest.mark.parametrize("name", LARGE)
def test_large_values(name, keep, monkeypatch):
    """A restored value has the fingerprint of the saved one, whatever of it is known; and another one once it is written to."""
    (value,) = keep({"value": LARGE[name]}).values()
    assert three_ways(value, monkeypatch) == {fingerprint(LARGE[name])}


def test_what_is_known(keep, monkeypatch):
    """Of arrays, frames, tables and matrices most is: the values above do show something."""
    found = []
    real = untouched.part_of
    monkeypatch.setattr(untouched, "part_of", lambda buffer: found.append(real(buffer)) or found[-1])
    known = set()
    for name, value in keep(LARGE).items():
        found.clear()
        fingerprint(value)
        known |= {name} if any(found) else set()
    # Gaps, padding, masks, and what polars converts are read.
    assert set(LARGE) - known == {
        *("strides", "padded", "categories", "nullable", "booleans of Arrow", "table in chunks"),
    }


def test_every_value_of_the_table(keep, monkeypatch):
    """The values of the tests of fingerprints, with buffers of a few bytes counting as large ones."""
    monkeypatch.setattr(untouched, "WORTH_BYTES", 16)
    monkeypatch.setattr(untouched, "_worth", 16)
    monkeypatch.setattr(local, "_MAP_BYTES", 1)
    found = set()
    real = untouched.part_of
    monkeypatch.setattr(untouched, "part_of", lambda buffer: found.add(part := real(buffer)) or part)
    for expression in fingerprint_values.EXPRESSIONS:
        if not any(library in expression for library in ("np.", "pd.", "pl.", "pa.", "sp.", "array", "image(", "DF")):
            continue
        value = fingerprint_values.value(expression)
        try:
            expected = fingerprint(value)
            (restored,) = keep({"value": value}).values()
        except (CodecError, FingerprintError):
            continue
        with monkeypatch.context() as patch:
            patch.setattr(untouched, "part_of", lambda buffer: None)
            before = fingerprint(restored)
        assert three_ways(restored, monkeypatch) == {before}, expression
        if expression not in fingerprint_values.NOT_PICKLED:
            assert before == expected, expression
    assert len(found) > 30


def test_a_part_whose_file_changes_is_read(keep, tmp_path, monkeypatch):
    """What is found out about a part is found in a file that is a blob still, or not kept."""
    value = keep({"value": NUMBERS * 1.5})["value"]
    part = value[5:-5]
    (path,) = (p for p in (tmp_path / "store").rglob("*") if p.is_file() and p.stat().st_size > 1 << 20)
    real = untouched.read

    def read(part, take):
        path.chmod(0o644)
        with open(path, "r+b") as file:
            file.seek(80)
            file.write(b"other")
        return real(part, take)

    monkeypatch.setattr(untouched, "read", read)
    assert buffers.digest(part) == xxhash.xxh3_128_digest(part)
    assert not buffers._new and bytes(value[10:11].tobytes()).startswith(b"other")


def test_a_record_that_is_damaged_costs_time_only(keep, tmp_path):
    """A record of parts that is not what was written is not believed."""
    part = keep({"value": NUMBERS * 1.5})["value"][5:-5]
    right = buffers.digest(part)
    buffers.settle()
    (record,) = (tmp_path / "machine").rglob("*-parts")
    text = record.read_text()
    for wrong in (text.replace(right.hex(), "0" * 32), text[:-3], "", text.replace("40+", "48+")):
        record.write_text(wrong)
        buffers._parts.cache_clear()
        assert buffers.digest(part) == right == xxhash.xxh3_128_digest(part)
        buffers._new.clear()
