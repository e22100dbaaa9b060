"""`blockcache verify` without a script: all of a store is read, what is wrong is moved away, what was lost is named."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
import xxhash
from click.testing import CliRunner

from blockcache.audit import audit
from blockcache.cli import main
from blockcache.model import Blob, Input, Key, Manifest, Output, Provenance
from blockcache.naming import entry_name, point
from blockcache.room import STAY_S, collect, limits
from blockcache.settings import Settings
from blockcache.stores.local import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def put_blob(store, data):
    digest = xxhash.xxh3_128_hexdigest(data)
    store.put(f"blobs/{digest}", [data])
    return Blob(digest, len(data))


def save(store, name, *datas, texts=b""):
    """An entry of a block with these blobs; its name in the store."""
    key = Key.of([Input("code", "body", xxhash.xxh3_128_hexdigest(name.encode()))])
    blobs = tuple(put_blob(store, data) for data in datas)
    made = Provenance("2026-01-01T00:00:00+00:00", 2.0, "script", "/p/run.py", 7, "3.12", "0.1.0", "box", "ada")
    digest = put_blob(store, texts).digest if texts else ""
    manifest = Manifest(name, key, (Output("y", "int", ""),), (), blobs, made, texts=digest)
    point(store, name, key)
    path = entry_name(key, manifest.entry_id)
    store.put(path, [manifest.to_json()])
    return path


def file_of(store, data):
    digest = xxhash.xxh3_128_hexdigest(data)
    return Path(store.url, "blobs", digest[:2], digest)


def flip(path, at=0):
    status = os.stat(path)
    os.chmod(path, 0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # a bit that flips by itself sets no time


def test_a_whole_store_is_counted_and_left_as_it_is(store):
    """Shared blobs count once; blobs that no entry names are told apart, and so are entries of a later version."""
    save(store, "a", b"one", b"x" * 3_000_000)
    path = save(store, "b", b"one", texts=b"{}")
    put_blob(store, b"nobody's")
    newer = bytes(store.get(path)).replace(b'"format": 4', b'"format": 999', 1)
    head = newer[: newer.index(b' "check"')]
    needed = put_blob(store, b"of the later version")
    head = head.replace(b'"texts"', b'"needs": "%s",\n "texts"' % needed.digest.encode())
    store.put("entries/ff/entry.json", [head + b' "check": "%s"\n}\n' % xxhash.xxh3_128_hexdigest(head).encode()])
    names = sorted(store.list(""))
    done = audit(store)
    assert done.is_whole and (done.entries, done.newer, done.blobs, done.orphans, done.orphan_bytes) == (2, 1, 5, 1, 8)
    assert sorted(store.list("")) == names


def test_every_kind_of_loss_is_named_and_moved_away(store):
    """A flipped bit that left the seal alone, a missing blob, a torn manifest, one in a wrong place; the others stay whole."""
    save(store, "good", b"good")
    save(store, "flipped", b"f" * 3_000_000)
    save(store, "twin", b"f" * 3_000_000, b"more")
    save(store, "missing", b"m")
    torn = save(store, "torn", b"t")
    moved = save(store, "moved", b"v")
    flip(file_of(store, b"f" * 3_000_000), 1_234_567)
    assert store.sealed(f"blobs/{xxhash.xxh3_128_hexdigest(b'f' * 3_000_000)}"), "nothing but a digest tells"
    file_of(store, b"m").unlink()
    store.put(torn, [bytes(store.get(torn))[:-5]])
    store.move(moved, moved.replace("entry.json", "other.json"))
    done = audit(store)
    why = {lost.name: lost.problem for lost in done.lost}
    assert why.keys() == {"flipped", "twin", "missing", "torn", "moved"}
    assert "not what was saved" in why["flipped"] == why["twin"] and "is missing" in why["missing"]
    assert "not a manifest" in why["torn"] and "place" in why["moved"]
    assert done.entries == 1 and done.stuck == () and len(done.moved) == 6
    assert {f"quarantine/{name}" for name in done.moved} == set(store.list("quarantine"))
    again = audit(store)
    assert again.is_whole and again.entries == 1, "what is wrong is out of the way"


def test_source_texts_are_only_for_people(store):
    """An entry whose texts are wrong goes on without them, and that is said once."""
    save(store, "a", b"value", texts=b'{"code body": "x = 1"}')
    flip(file_of(store, b'{"code body": "x = 1"}'))
    done = audit(store)
    assert [(x.name, x.problem[:26]) for x in done.lost] == [("a", "only its source texts: blo")]
    again = audit(store)
    assert again.is_whole and again.entries == 1


def test_a_wrong_blob_of_nobody_goes_too_and_a_touched_one_is_sealed_again(store):
    """Or a later save would find it, sealed, and leave it as it is."""
    blob = put_blob(store, b"w" * 2_000_000)
    flip(file_of(store, b"w" * 2_000_000))
    touched = save(store, "a", b"q" * 2_000_000)
    os.utime(file_of(store, b"q" * 2_000_000))
    done = audit(store)
    assert done.moved == (f"blobs/{blob.digest}",) and not done.lost and not done.is_whole
    assert store.exists(touched) and store.sealed(f"blobs/{xxhash.xxh3_128_hexdigest(b'q' * 2_000_000)}")


def test_the_quarantine_is_emptied_after_a_week_and_not_before(store, monkeypatch):
    save(store, "a", b"value")
    flip(file_of(store, b"value"))
    audit(store)
    collect(store, limits(store, Settings()))
    assert len(list(store.list("quarantine"))) == 2
    now = type(store._ledger).now_s.fget
    monkeypatch.setattr(type(store._ledger), "now_s", property(lambda self: now(self) + STAY_S["quarantine"] + 5))
    collect(store, limits(store, Settings()))
    assert list(store.list("quarantine")) == []


def test_where_nothing_can_be_moved_it_is_said(capsys):
    """A store of another user: what is wrong is named, and stays."""
    if os.geteuid():
        pytest.skip("another user is needed")
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(f"{folder}/store")
        save(store, "a", b"value", texts=b"texts")
        flip(file_of(store, b"value")), flip(file_of(store, b"texts"))
        subprocess.run(["chmod", "-R", "go+rX,go-w", folder], check=True)
        os.seteuid(65534)
        try:
            done = audit(LocalStore(store.url))
        finally:
            os.seteuid(0)
        assert [x.name for x in done.lost] == ["a"] and done.moved == () and len(done.stuck) == 3
        assert all("Permission denied" in why for _, why in done.stuck) and len(list(store.list("quarantine"))) == 0


def test_the_command_says_it_all(store, monkeypatch, tmp_path):
    """Exit status 1 when something is wrong, the block's name, JSON for programs; a script takes its own form."""
    monkeypatch.chdir(tmp_path)
    path = save(store, "features", b"value")

    def run(*arguments):
        return CliRunner().invoke(main, ["--store", store.url, "verify", *arguments])

    done = run()
    assert done.exit_code == 0 and "1 entry and 1 blob (5 B)" in done.output and "whole" in done.output
    assert json.loads(run("--json").output)["whole"] is True
    flip(Path(store.url, "entries", path.split("/")[1][:2], path.removeprefix("entries/")), 40)
    done = run()
    assert done.exit_code == 1 and "features" in done.output and "quarantine" in done.output
    assert run().exit_code == 0
    assert run("--sample", "5%").exit_code == 2 and run("--store-of-nobody").exit_code == 2
    done = CliRunner().invoke(main, ["--store", str(tmp_path / "none"), "verify"])
    assert done.exit_code == 0 and "no entries" in done.output and not (tmp_path / "none").exists()
