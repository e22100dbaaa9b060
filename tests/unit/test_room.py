"""Collections in a real store: what goes, what stays, and writers that work at the same time."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace

import pytest

from blockcache import capacity, catalogue, room
from blockcache.errors import StoreError
from blockcache.eviction import Limits
from blockcache.model import Blob, Input, Key, Manifest, Output, Provenance
from blockcache.settings import Settings
from blockcache.stores.local import LocalStore

B1, B2, B3 = "1" * 32, "2" * 32, "3" * 32
KB = 1024
DAY = 86_400


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "store"))


@pytest.fixture
def patient(monkeypatch):
    """A grace that a test can wait for."""
    monkeypatch.setattr(room, "GRACE_S", 0.3)


def put(store, name, value, blobs, *, work_s=2.0, idle_s=0.0, texts="", manifest_only=False):
    """An entry as a run saves it; returns its path."""
    key = Key.of([Input("code", "", "0" * 32), Input("value", name, f"{value:032x}", str(value))])
    for digest, size_bytes in {} if manifest_only else blobs.items():
        store.put(f"blobs/{digest}", [b"\0" * size_bytes])
    provenance = Provenance("2026-01-01T00:00:00+00:00", work_s, "script", "/p/run.py", 7, "3.12", "0.1", "box", "ada")
    rows = tuple(Blob(d, s) for d, s in blobs.items())
    manifest = Manifest(name, key, (Output("y", "int", ""),), (), rows, provenance, texts=texts)
    store.put(f"names/{name}/{key.digest}", [b""])
    path = f"entries/{key.digest}/entry.json"
    store.put(path, [manifest.to_json()])
    if idle_s:
        before = time.time() - idle_s
        os.utime(store._path(path), (before, before))
    return path


def names(store, *families):
    return {name for family in families for name in store.list(family)}


def whole(store):
    """Every entry has its blobs."""
    return all(store.exists(f"blobs/{b.digest}") for e in catalogue.read(store).entries for b in e.manifest.blobs)


def later():
    """So that what was put before is older than the coarseness of times."""
    time.sleep(2 * room._TICK_S)


def test_entries_go_with_all_that_is_theirs_alone(store):
    """The one not used for longest goes, its pointer and its blobs with it; a shared blob and its sources stay."""
    gone = put(store, "a", 1, {B1: 50 * KB, B2: 40 * KB}, idle_s=30 * DAY)
    kept = put(store, "b", 2, {B2: 40 * KB, B3: 50 * KB}, texts="f" * 32)
    store.put(f"blobs/{'f' * 32}", [b"{}"])
    later()
    done = room.collect(store, Limits(max_bytes=130 * KB))
    assert [g.entry.path for g in done.going] == [gone] and done.freed_bytes >= 50 * KB
    assert names(store, "entries", "blobs") == {kept, f"blobs/{B2}", f"blobs/{B3}", f"blobs/{'f' * 32}"}
    assert len(names(store, "names")) == 1
    assert done.left_bytes == sum(k.size_bytes for k in store.survey(""))


def test_a_dry_run_says_what_a_run_does_and_does_nothing(store):
    for number in range(6):
        put(store, "a", number, {f"{number:032x}": 10 * KB}, idle_s=number * DAY)
    before = names(store, "")
    later()
    said = room.collect(store, Limits(max_bytes=60 * KB), dry_run=True)
    assert names(store, "") == before and len(said.going) > 1
    done = room.collect(store, Limits(max_bytes=60 * KB))
    assert [(g.entry.path, g.freed_bytes) for g in done.going] == [(g.entry.path, g.freed_bytes) for g in said.going]
    assert (done.freed_bytes, done.left_bytes) == (said.freed_bytes, said.left_bytes)


def test_pinned_entries_stay_and_can_be_let_go(store):
    path = put(store, "a", 1, {B1: 50 * KB}, idle_s=30 * DAY)
    other = put(store, "b", 2, {B2: 50 * KB})
    catalogue.pin(store, path)
    later()
    assert [g.entry.path for g in room.collect(store, Limits(max_bytes=60 * KB, idle_s=DAY)).going] == [other]
    assert [e.pinned for e in catalogue.read(store).entries] == [True]
    assert catalogue.unpin(store, path) and not catalogue.unpin(store, path)
    assert [g.entry.path for g in room.collect(store, Limits(max_bytes=10 * KB)).going] == [path]
    assert names(store, "") == set()


def test_leftovers_go_after_a_while(store, patient, monkeypatch):
    """Blobs that no entry names, pointers and pins that lead nowhere, torn manifests, leases, what was quarantined, files
    of killed writers: not at once, for a save may be going on; then all of them."""
    kept = put(store, "a", 1, {B1: KB})
    store.put(f"blobs/{B2}", [b"x" * 10 * KB])
    store.put(f"names/b/{B2}", [b""])
    store.put(f"entries/{B3}/entry.json", [b"{torn"])
    catalogue.pin(store, f"entries/{B2}/entry.json")
    for family in ("leases", "quarantine"):
        store.put(f"{family}/{B2}", [b""])
        monkeypatch.setitem(room.STAY_S, family, 0.3)
    left = os.path.join(store.url, ".tmp", "killed")
    with open(left, "wb") as file:
        file.write(b"x" * 5 * KB)
    os.makedirs(os.path.join(store.url, "entries", "ab", "empty"))
    everything = names(store, "")
    assert room.collect(store, Limits()).freed_bytes == 0 and names(store, "") == everything
    time.sleep(0.4)
    said = room.collect(store, Limits(), dry_run=True)
    done = room.collect(store, Limits())
    assert (said.orphans, done.orphans) == (1, 1) and done.going == ()
    assert done.orphan_bytes == 12 * KB + 8 * KB and said.orphan_bytes == 12 * KB
    assert (
        names(store, "entries", "blobs", "pins", "leases", "quarantine") == {kept, f"blobs/{B1}"}
        and len(names(store, "names")) == 1
    )
    assert not os.path.exists(left) and not os.path.exists(os.path.join(store.url, "entries", "ab"))


def test_what_a_newer_version_made_keeps_its_blobs(store, patient):
    """Its manifest cannot be judged here, and whatever it may need stays."""
    put(store, "a", 1, {B1: 10 * KB, B2: 20 * KB}, idle_s=DAY)
    new = f"entries/{B3}/entry.json"
    store.put(new, [f'{{"format": 99, "things": {{"deep": ["{B2}"]}}}}'.encode()])
    store.put(f"names/b/{B3}", [b""])
    time.sleep(0.4)
    room.collect(store, Limits(max_bytes=1))
    assert names(store, "") == {new, f"blobs/{B2}", f"names/b/{B3}"}


def test_a_lease_that_nobody_writes_any_more_goes(store, monkeypatch):
    """Whoever holds one writes it again all the time."""
    monkeypatch.setitem(room.STAY_S, "leases", 0.3)
    put(store, "a", 1, {B1: 10 * KB})
    store.put_new(f"leases/{B2}", [b"left"])
    time.sleep(0.4)
    store.put(f"leases/{B3}", [b"held"])
    room.collect(store, Limits(max_bytes=60 * KB))
    assert names(store, "leases") == {f"leases/{B3}"}


# -- beside writers and readers ------------------------------------------------------------


def during(monkeypatch, action):
    """Run ``action`` when a collection knows what is there, and has taken out nothing yet."""
    take_stock = room.take_stock

    def taken(*arguments):
        stock = take_stock(*arguments)
        action()
        return stock

    monkeypatch.setattr(room, "take_stock", taken)


def test_a_blob_that_a_writer_finds_meanwhile_stays(store, monkeypatch):
    """The writer does not write it, because it is there: so it must stay there, whether the manifest stands already or not."""
    put(store, "old", 1, {B1: 50 * KB}, idle_s=30 * DAY)
    later()
    during(monkeypatch, lambda: store.put(f"blobs/{B1}", [b"\0" * 50 * KB]))
    assert len(room.collect(store, Limits(max_bytes=1)).going) == 1
    put(store, "new", 2, {B1: 50 * KB}, manifest_only=True)
    assert whole(store) and len(names(store, "blobs")) == 1


def test_a_blob_of_a_manifest_that_came_meanwhile_stays(store, monkeypatch):
    """The writer found it before the collection began, and was done before the blob's turn."""
    put(store, "old", 1, {B1: 50 * KB}, idle_s=30 * DAY)
    later()
    during(monkeypatch, lambda: put(store, "new", 2, {B1: 50 * KB}, manifest_only=True))
    assert len(room.collect(store, Limits(max_bytes=1)).going) == 1
    assert whole(store) and len(names(store, "entries")) == len(names(store, "names")) == 1


def test_an_entry_that_is_used_or_made_again_meanwhile_stays(store, monkeypatch):
    used = put(store, "used", 1, {B1: 50 * KB}, idle_s=30 * DAY)
    made = put(store, "made", 2, {B2: 50 * KB}, idle_s=30 * DAY)
    put(store, "gone", 3, {B3: 50 * KB}, idle_s=30 * DAY)
    later()

    def use_and_make():
        LocalStore(store.url).touch(used)
        put(store, "made", 2, {B2: 50 * KB})

    during(monkeypatch, use_and_make)
    assert [g.entry.name for g in room.collect(store, Limits(max_bytes=1)).going] == ["gone"]
    assert names(store, "entries", "blobs") == {used, made, f"blobs/{B1}", f"blobs/{B2}"}
    assert len(names(store, "names")) == 2


def test_memory_that_is_mapped_outlives_its_blob(store):
    put(store, "a", 1, {B1: 1000 * KB})
    memory = store.get(f"blobs/{B1}")
    later()
    room.collect(store, Limits(max_bytes=1))
    assert not names(store, "blobs") and bytes(memory) == bytes(1000 * KB)


def test_only_one_collects(store):
    """Another writer goes on, and `gc` says so."""
    path = put(store, "a", 1, {B1: 50 * KB})
    with LocalStore(store.url).alone():
        assert room.after_save(store, Settings(max_size=1), path) is None
        with pytest.raises(StoreError, match="by somebody else"):
            room.collect(store, Limits())


# -- after a save --------------------------------------------------------------------------


def test_a_save_collects_when_the_store_is_over_full(store):
    """Not before; then down to nine tenths, and what was saved just now stays although it is worth the least."""
    chosen = Settings(max_size=2400 * KB)
    went = []
    for number in range(40):
        path = put(store, "a", number, {f"{number:032x}": 120 * KB}, work_s=100 - number, idle_s=60 * (number + 1))
        later()
        done = room.after_save(store, chosen, path) if capacity.seems_full(store, chosen) else None
        went += [g.entry.path for g in done.going] if done is not None else []
        assert store.exists(path) and path not in went
    total = sum(k.size_bytes for k in store.survey(""))
    assert 1500 * KB < total < 2800 * KB and len(went) > 15 and whole(store)


def test_the_default_is_a_tenth_of_the_disk(store, monkeypatch):
    """Of what is free and what the store has, taken once in a process; 'none' is no limit."""
    put(store, "a", 1, {B1: 50 * KB})
    filled = sum(k.size_bytes for k in store.survey(""))
    free = store.room().free_bytes
    most = capacity.max_bytes(store, Settings())
    assert abs(most - (free + filled) / 10) < 0.02 * most
    assert capacity.max_bytes(LocalStore(store.url), Settings()) == most
    assert capacity.max_bytes(store, Settings(max_size=math.inf)) is None
    assert capacity.max_bytes(store, Settings(max_size=5)) == 5


def test_a_store_full_of_pins_is_not_collected_at_each_save(store, monkeypatch):
    """What cannot go is looked at again only when a tenth more is there."""
    for number in range(10):
        catalogue.pin(store, put(store, "a", number, {f"{number:032x}": 2000 * KB}))
    calls = []
    take_stock = room.take_stock
    monkeypatch.setattr(room, "take_stock", lambda *arguments: calls.append(1) or take_stock(*arguments))
    chosen = Settings(max_size=10_000 * KB)
    for number in range(20):
        path = put(store, "b", number, {f"{number + 100:032x}": 3 * KB})
        if capacity.seems_full(store, chosen):
            room.after_save(store, chosen, path)
    assert len(calls) == 1
    assert sum(e.pinned for e in catalogue.read(store).entries) == 10


def test_a_store_that_does_not_tell_is_left_alone(store):
    class Plain:
        url = "plain"

    assert room.after_save(Plain(), Settings(max_size=1), "x") is None
    assert not capacity.seems_full(Plain(), Settings(max_size=1))
    assert capacity.max_bytes(Plain(), Settings()) is None
    with pytest.raises(StoreError, match="does not tell"):
        room.collect(Plain(), Limits())


def test_limits_are_those_of_the_settings(store):
    chosen = replace(Settings(), max_size=10, keep=3, ttl=60.0)
    assert room.limits(store, chosen) == Limits(10, 3, 60.0, None)


def test_a_large_store_is_collected_by_a_process_of_its_own(store, monkeypatch):
    """The save looks at some of the names only; what goes and stays is the same, and one that is far too full does not wait."""
    monkeypatch.setattr(room, "_AT_ONCE", 50)
    monkeypatch.setattr(room, "_sent", {})
    entries = [
        put(store, "a", number, {f"{number:032x}": 50 * KB}, work_s=number + 1, idle_s=DAY) for number in range(40)
    ]
    path = put(store, "b", 1, {B1: 50 * KB}, work_s=0.0)
    total = sum(k.size_bytes for k in store.survey(""))
    chosen = Settings(max_size=total - 1)
    store.settle(total)
    looked = []
    survey = LocalStore.survey
    monkeypatch.setattr(LocalStore, "survey", lambda *what: (looked.append(k) or k for k in survey(*what)))
    done = room.after_save(store, chosen, path)
    assert done is not None and done.sent and len(looked) == 50
    until = time.monotonic() + 60
    while (store.room().filled_bytes >= total or not alone(store)) and time.monotonic() < until:
        time.sleep(0.02)
    left = names(store, "entries")
    assert path in left and left - {path} == set(entries[-len(left) + 1 :]) and 30 < len(left) < 40 and whole(store)
    store.settle(total)
    assert room.after_save(store, chosen, path) is None, "one was sent just now"
    store.settle(2 * total)
    assert room.after_save(store, Settings(max_size=total // 2), path).going


def alone(store):
    with store.alone() as found:
        return found
