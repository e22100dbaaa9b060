"""Entries that earlier versions wrote are read as they were meant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xxhash

from blockcache.codec import decode
from blockcache.codec.pack import open_pack
from blockcache.compression import content
from blockcache.errors import IntegrityError
from blockcache.model import SERVED, Key, Manifest

FORMATS = sorted(p for p in Path(__file__).parent.iterdir() if p.is_dir() and p.name.startswith("v"))


@pytest.mark.parametrize("folder", FORMATS, ids=lambda p: p.name)
def test_the_committed_entry_is_read(folder):
    """Manifest, key digest, blobs, pack, values, identity and views, as they were saved."""
    manifest = Manifest.from_json((folder / "entry.json").read_bytes())
    assert manifest.name == "golden" and manifest.deleted == ("gone",)
    assert Key.of(manifest.key.inputs) == manifest.key, "the digest of a key is derived as it was"
    blobs = [memoryview(bytearray((folder / f"{b.digest}.blob").read_bytes())) for b in manifest.blobs]
    for blob, data in zip(manifest.blobs, blobs, strict=True):
        assert (xxhash.xxh3_128_hexdigest(data), len(data)) == (blob.digest, blob.size_bytes)
    assert [blob.coding for blob in manifest.blobs] == ["zstd" if folder.name.endswith("-zstd") else "", ""]
    blobs = [content(data, blob.coding) for blob, data in zip(manifest.blobs, blobs, strict=True)]
    stream, buffers = open_pack(blobs[0], blobs[1:])
    values = decode(stream, buffers, resolve={}.__getitem__, module_globals={})
    assert list(values) == [o.name for o in manifest.outputs]
    assert values["holder"]["again"] is values["shared"] == [1, 2.5, "drei", None, True]
    assert values["holder"]["text"] == "é\U0001f40d" and values["holder"]["raw"] == b"\0\xff"
    values["base"][10] = -1
    assert values["view"][0] == -1 and values["base"][2999] == 2999
    assert values["big"].sum() == 1_400_000
    assert values["when"][0] == np.datetime64("2013-01-01") and np.isnat(values["when"][1])


def test_a_manifest_survives_a_round_trip():
    """Reading what was written gives the same manifest, with odd names too."""
    manifest = Manifest.from_json((FORMATS[-1] / "entry.json").read_bytes())
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_what_a_manifest_of_format_3_lacks_is_filled_in():
    """Its values are pickled and its blobs are as they are, so it may answer; it is written again as it was meant."""
    manifest = Manifest.from_json((Path(__file__).parent / "v3" / "entry.json").read_bytes())
    assert manifest.format in SERVED
    assert {o.codec for o in manifest.outputs} == {"pickle"} and {b.coding for b in manifest.blobs} == {""}
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("row", [["0" * 32, 5, "lz77"], ["0" * 32, 5, 1]])
def test_a_blob_of_a_coding_that_is_not_known_is_not_read(row):
    """A later version may code blobs in ways that this one cannot read: the entry is then no entry."""
    record = json.loads((FORMATS[-1] / "entry.json").read_bytes())
    record["blobs"].append(row)
    with pytest.raises(IntegrityError):
        Manifest.from_json(json.dumps(record).encode())
