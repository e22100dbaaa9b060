"""Reading a store and taking entries out of it."""

from __future__ import annotations

import pytest

from blockcache import catalogue, naming, nearest
from blockcache.model import Blob, Input, Key, Manifest, Output, Provenance
from blockcache.stores.local import LocalStore


def _save(store, name, value, blobs, *, entry="a", made_at="2026-01-01T00:00:00+00:00"):
    """An entry of block ``name`` as a run with the upstream ``value`` saves it; returns its path."""
    key = Key.of([Input("code", "", "0" * 32), Input("value", "x", f"{value:032x}", str(value))])
    for digest, size_bytes in blobs.items():
        store.put(f"blobs/{digest}", [b"\0" * size_bytes])
    provenance = Provenance(made_at, 2.0, "script", "/p/run.py", 7, "3.12", "0.1.0", "box", "ada")
    outputs = (Output("y", "int", str(value)),)
    manifest = Manifest(name, key, outputs, (), tuple(Blob(d, s) for d, s in blobs.items()), provenance)
    path = f"entries/{key.digest}/{entry}.json"
    store.put(path, [manifest.to_json()])
    store.put(f"names/{name}/{key.digest}", [b""])
    return path


B1, B2, B3 = "1" * 32, "2" * 32, "3" * 32


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "store"))


def _names(store, *families):
    return {name for family in families for name in store.list(family)}


def test_entries_come_newest_first_and_bad_manifests_beside_them(store):
    """Torn, foreign and future manifests are listed with their problem, and hide no good one."""
    old = _save(store, "a", 1, {B1: 10}, made_at="2026-01-01T00:00:00+00:00")
    new = _save(store, "b", 2, {B1: 10, B2: 20}, made_at="2026-02-01T00:00:00+00:00")
    bad = {
        "entries/k/torn.json": b'{"format": 1, "na',
        "entries/k/x.json": b"\x80\xff",
        "entries/k/z.json": b'{"format": 99}',
        "entries/k/l.json": b"[]",
    }
    for path, text in bad.items():
        store.put(path, [text])
    found = catalogue.read(store)
    assert [e.path for e in found.entries] == [new, old]
    assert {u.path for u in found.unreadable} == set(bad)
    assert all(u.problem for u in found.unreadable)
    assert found.blobs == {B1: 10, B2: 20}


@pytest.mark.parametrize(
    "old, new",
    [
        (b'"2026-01-01T00:00:00+00:00"', b"5"),
        (b'"duration_s": 2.0', b'"duration_s": "x"'),
        (b'"name": "a"', b'"name": null'),
        (b'10, ""]', b'[], ""]'),
    ],
)
def test_fields_of_wrong_types_make_a_manifest_unreadable(store, old, new):
    """Somebody else's JSON with our keys never gets as far as sorting or printing."""
    path = _save(store, "a", 1, {B1: 10})
    text = bytes(store.get(path))
    assert old in text
    store.put(path, [text.replace(old, new)])
    found = catalogue.read(store)
    assert (found.entries, [u.path for u in found.unreadable]) == ((), [path])


def test_usage_counts_each_blob_once(store):
    """Shared bytes are those that sharing spares; blobs of nobody are told apart."""
    _save(store, "a", 1, {B1: 10, B2: 20})
    _save(store, "b", 2, {B1: 10})
    store.put(f"blobs/{B3}", [b"\0" * 5])
    used = catalogue.usage(store, catalogue.read(store))
    assert (used.entries, used.names, used.blobs, used.size_bytes, used.shared_bytes) == (2, 2, 2, 30, 10)
    assert (used.orphans, used.orphan_bytes, used.work_s) == (1, 5, 4.0)


def test_removing_keeps_what_others_need(store):
    """An entry goes with its name record and its own blobs; shared blobs and other entries stay."""
    gone = _save(store, "a", 1, {B1: 10, B2: 20})
    kept = _save(store, "b", 2, {B1: 10})
    removed = catalogue.remove(store, catalogue.read(store).named("a"))
    assert (removed.entries, removed.blobs, removed.freed_bytes) == (1, 1, 20)
    assert not store.exists(gone)
    assert _names(store, "entries", "blobs") == {kept, f"blobs/{B1}"}
    assert len(_names(store, "names")) == 1


def test_removing_one_of_two_entries_of_a_key_keeps_the_name_record(store):
    """The record of a name goes with the key's last entry only."""
    _save(store, "a", 1, {B1: 10}, entry="a")
    _save(store, "a", 1, {B2: 10}, entry="b")
    first, second = catalogue.read(store).named("a")
    catalogue.remove(store, [first])
    assert len(_names(store, "names")) == 1
    catalogue.remove(store, [second])
    assert _names(store, "names", "entries", "blobs") == set()


def test_blobs_of_a_manifest_that_we_cannot_read_are_kept(store):
    """A newer version may share the store: its entries keep their blobs."""
    _save(store, "a", 1, {B1: 10, B2: 20})
    store.put("entries/k/new.json", [f'{{"format": 99, "blobs": [["{B2}", 20]]}}'.encode()])
    removed = catalogue.remove(store, catalogue.read(store).entries)
    assert (removed.entries, removed.blobs) == (1, 1)
    assert _names(store, "blobs") == {f"blobs/{B2}"}


def test_removing_twice_is_no_error(store):
    """Somebody else was faster: nothing is counted twice."""
    _save(store, "a", 1, {B1: 10})
    entries = catalogue.read(store).entries
    catalogue.remove(store, entries)
    assert catalogue.remove(store, entries) == catalogue.Removed(0, 0, 0)


def test_clearing_leaves_nothing(store):
    """Readable or not, named or not: everything goes."""
    _save(store, "a", 1, {B1: 10})
    store.put("entries/k/torn.json", [b"{"])
    store.put(f"blobs/{B3}", [b"\0" * 5])
    assert catalogue.clear(store) == catalogue.Removed(2, 2, 15)
    assert _names(store, "names", "entries", "blobs") == set()


NAMES = [
    "a/b",
    ".",
    "..",
    "...",
    ".x",
    "x" * 255,
    "x" * 256,
    "é" * 300,
    "é" * 299 + "e",
    "\udc80 \ud83d",
    "a=b",
    "%41",
    " ",
]


def test_any_text_names_a_folder_and_is_found_again(store):
    """Too long, dots, half characters: the name comes back, also where only the pointer has it (a renamed block)."""
    path = _save(store, "first", 1, {B1: 10}, entry="entry")
    digest = path.split("/")[1]
    folders = {name: naming.label_folder(name) for name in NAMES}
    assert len(set(folders.values())) == len(NAMES)
    key = catalogue.read(store).entries[0].manifest.key
    for name in NAMES:
        assert len(folders[name]) <= len("names/") + 255
        naming.point(store, name, key)
        assert store.exists(naming.label_name(name, key))
    assert [m.key.digest for m in nearest.entries_of(store, NAMES[7])] == [digest]
    assert catalogue.read(store).names == tuple(sorted(["first", *NAMES]))


def test_a_foreign_folder_among_the_names_is_no_error(store):
    path = _save(store, "first", 1, {B1: 10}, entry="entry")
    digest = path.split("/")[1]
    for folder in ("%FF", "x=y"):
        store.put(f"names/{folder}/{digest}", [b"\xff"])
    assert catalogue.read(store).names == ("first",)


class Counted(LocalStore):
    """A store that counts what is read, and cannot be listed."""

    reads = 0

    def get(self, name):
        self.reads += 1
        return super().get(name)

    def list(self, prefix):
        raise AssertionError(f"lists all of {prefix}")


@pytest.mark.parametrize("count", [3, 700])
def test_the_nearest_entry_is_found_with_few_reads(store, monkeypatch, count):
    """However many entries a name has, and however many variants a key: a miss reads a few manifests and lists nothing."""
    for value in range(count):
        path = _save(store, "many", value, {B1: 10})
        if not value % 100:
            for variant in range(count // 10):
                store.put(path.replace("/a.json", f"/b-{variant}.json"), [store.get(path)])
    monkeypatch.setattr(nearest, "_recent", {})
    counted = Counted(store.url)
    key = Key.of([Input("code", "", "0" * 32), Input("value", "x", "f" * 32, "9")])
    result = nearest.miss(counted, "many", key)
    assert [d.name for d in result.differences] == ["x"] and result.nearest is not None
    assert counted.reads <= 8


def test_a_miss_is_compared_with_the_last_entries(store, monkeypatch):
    """Not with whichever the system names first: the entries that were saved last tell what was changed since."""
    for value in range(30):
        _save(store, "many", value, {B1: 10}, made_at=f"2026-01-{value + 1:02}T00:00:00+00:00")
    monkeypatch.setattr(nearest, "_recent", {})
    key = Key.of([Input("code", "", "0" * 32), Input("value", "x", "f" * 32, "9")])
    assert nearest.miss(Counted(store.url), "many", key).nearest.outputs[0].summary == "29"
