"""Find the entry of a key, and read, verify and decode it."""

from __future__ import annotations

import functools
import importlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import xxhash

from blockcache import changes, compression, discovered, generators, process
from blockcache.codec import decode, is_typed
from blockcache.codec.pack import open_pack
from blockcache.errors import CodecError, IntegrityError
from blockcache.key import Built
from blockcache.memory import Asked, Held, Memory
from blockcache.model import SERVED, Blob, Difference, Hit, Key, Lookup, Manifest, Miss, entry_id
from blockcache.naming import CHANGES, PROCESS, entry_name, label_name, point
from blockcache.nearest import last, met, miss
from blockcache.stores import Store

#: The cause of a miss, and why nothing new is saved: the program needs a name that an entry cannot give.
NOT_GIVEN = "name not given back"
#: Up to this size a blob is hashed at every load; the seal of a larger one is believed.
_ALWAYS_HASHED_BYTES = 1 << 20
#: Larger manifests are not held.
_FEW_BYTES = 8 << 10
#: How many entries of a key are looked at before all of them are listed.
_MOST_VARIANTS = 64
#: How many groups of a key's entries are looked at: where each run discovers other names, there is no end of them.
MOST_GROUPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is looked up, for whom, and what an entry may do to answer.

    Attributes
    ----------
    store
        Where to look.
    block_name
        The block's label, to find the nearest entry on a miss.
    built
        The key and the live definitions behind it.
    module_globals
        The block's module globals, which become the globals of restored functions.
    find
        The live upstream object that a way leads to, see :mod:`blockcache.changes`.
    may_write
        Whether wrong bytes may be removed and verified ones marked.
    ttl_s
        Seconds after which an entry counts as a miss.
    memo
        Folder that remembers the digests of files that did not change.
    refuse
        Says of an entry that is found why it cannot answer here; empty when it can.
    memory
        Entries that this process holds; what is found is held there.
    share
        Whether all lookups that share give the same objects, not values of their own.
    unpickle
        Whether an entry may answer that is a pickle.
    find_module
        Imports the module of a name that an entry says.
    """

    store: Store
    block_name: str
    built: Built
    module_globals: dict[str, object]
    find: Callable[[Any], object]
    may_write: bool = True
    ttl_s: float | None = None
    memo: str | None = None
    refuse: Callable[[Manifest], str] = lambda _: ""
    memory: Memory | None = None
    share: bool = False
    unpickle: bool = True
    find_module: Callable[[str], object] = importlib.import_module


def lookup(request: Request) -> Lookup:
    """Find the entry of a key, and read, verify and decode all that it gives back.

    Raises
    ------
    IntegrityError
        When there is an entry but its bytes are not those that were saved; the next save heals it.
    CodecError
        When the bytes cannot be turned into values again.
    StoreError
        When the store cannot be read.
    """
    started = time.perf_counter()
    store, memory, key = request.store, request.memory, request.built.key
    held = _held(store, key, request.memo, memory, request.share) if memory is not None else None
    manifest = held.manifest if held is not None else _variant(store, request.block_name, key, request.memo)
    if isinstance(manifest, Miss):
        return manifest
    # One that is to be made in the future is of another clock: how old it is cannot be told.
    if request.ttl_s is not None and not 0 <= _age_s(manifest) < request.ttl_s:
        return Miss("the entry is older than its ttl allows", nearest=manifest, same_key=True, cause="ttl")
    why = request.refuse(manifest)
    if why:
        return Miss(why, nearest=manifest, same_key=True, cause=NOT_GIVEN)
    if held is not None and held.values is not None:
        process.check(held.kept.get(PROCESS, {}))
        return Hit(manifest, held.values, time.perf_counter() - started, held.kept, True)
    return _loaded(request, manifest, held, started)


def _loaded(request: Request, manifest: Manifest, held: Held | None, started: float) -> Lookup:
    """The values of an entry, which this process may hold as bytes."""
    store, memory, key = request.store, request.memory, request.built.key
    blobs, opened_s = held.copies() if held is not None else [], 0.0
    if not blobs:
        if manifest.is_coded and not compression.is_there():
            why = f"its entry is compressed, which {compression.WAY_OUT}"
            return Miss(why, nearest=manifest, same_key=True, cause="zstandard not installed")
        blobs, opened_s = _opened(request, manifest)
    stream, buffers = open_pack(blobs[0], blobs[1:])
    if not request.unpickle and not is_typed(stream):
        return Miss("its entry is a pickle, and pickle is 'never'", nearest=manifest, same_key=True, cause="pickle")
    for module in manifest.imports:
        _import(module, request.find_module)
    upstream = Asked(request.find)
    loaded, began_s = len(sys.modules), time.thread_time() - opened_s
    values = decode(
        stream,
        buffers,
        resolve=request.built.objects.__getitem__,
        module_globals=request.module_globals,
        find=upstream,
        find_module=request.find_module,
        unpickle=request.unpickle,
    )
    decode_s = 0.0 if _has_imported(loaded) else time.thread_time() - began_s
    kept: dict[str, Any] = {name: values.pop(name) for name in list(values) if name.startswith(".")}
    if values.keys() != {output.name for output in manifest.outputs}:
        raise IntegrityError("the entry does not hold the values that it names")
    changes.check(kept.get(CHANGES, ()))
    process.check(kept.get(PROCESS, {}))
    name = request.block_name
    if request.may_write and manifest.name != name and not store.exists(label_name(name, key)):
        point(store, name, key)  # a renamed block is found under its new name too
    if held is None:
        met(store, name, manifest)
    # Not the objects of an entry that changes upstream objects or gives them back: they are those of one lookup.
    share = request.share and not upstream.asked and not manifest.changed
    if memory is not None and (held is None or share):
        memory.keep(store.url, manifest, [[blob] for blob in blobs], values, kept, share=share)
    return Hit(manifest, values, time.perf_counter() - started, kept, held is not None, decode_s)


def _opened(request: Request, manifest: Manifest) -> tuple[list[memoryview], float]:
    """What the blobs of an entry stand for, and the processor's time that it took to decompress them."""
    stored = [verified(request.store, blob, may_write=request.may_write) for blob in manifest.blobs]
    began_s = time.thread_time()
    for at, blob in enumerate(manifest.blobs):
        try:
            stored[at] = compression.content(stored[at], blob.coding)
        except IntegrityError:
            if request.may_write:
                request.store.delete(f"blobs/{blob.digest}")  # it bears a seal, and the next save would leave it
            raise
    return stored, time.thread_time() - began_s


def _held(store: Store, key: Key, memo: str | None, memory: Memory, share: bool) -> Held | None:
    """What this process holds for a key, if the store still has it and nothing that it read has changed since."""
    for held in memory.held(store.url, key.digest, share=share):
        if not any(_changed(held.manifest, memo)) and store.exists(entry_name(key, held.manifest.entry_id)):
            return held
    return None


def _variant(store: Store, block_name: str, key: Key, memo: str | None) -> Manifest | Miss:
    """The entry of a key whose discovered inputs are now as they were."""
    # Most bodies read nothing from outside: what they have is found at once.
    alone = _manifest(store, key, entry_id(()))
    if alone is not None:
        return alone
    nearest: tuple[tuple[Difference, ...], Manifest] | None = None
    trouble: IntegrityError | None = None
    seen: set[str] = set()
    for entry in _variants(store, f"entries/{key.digest}"):
        # Entries of one group look at the same things: any of them tells which one answers.
        group = group_of(entry)
        if group in seen:
            continue
        if len(seen) >= MOST_GROUPS:
            break
        try:
            any_of_them = _manifest(store, key, entry)
            if any_of_them is None:
                continue
            seen.add(group)
            differences = tuple(_changed(any_of_them, memo))
            if not differences:
                return any_of_them
            now = {(i.kind, i.name): i for i in any_of_them.discovered}
            now.update(((d.kind, d.name), d.now) for d in differences if d.now is not None)
            manifest = _manifest(store, key, entry_id(now.values()))
        except IntegrityError as error:
            trouble = error
            continue
        if manifest is not None:
            return manifest
        if nearest is None or len(differences) < len(nearest[0]):
            nearest = differences, any_of_them
    if nearest is not None:
        return Miss("", *nearest, same_key=True, crowded=len(seen) >= MOST_GROUPS)
    if trouble is not None:
        raise trouble
    return miss(store, block_name, key)


def _variants(store: Store, folder: str) -> Iterator[str]:
    """Ids of entries, the last ones first: of very many, a listing of all takes longer than everything else."""
    few = last(store, folder, _MOST_VARIANTS)
    yield from map(_entry_in, few)
    if len(few) == _MOST_VARIANTS:
        yield from map(_entry_in, store.list(folder))


def group_of(entry: str) -> str:
    """What entries of one key have in common that look at the same things."""
    return entry.partition("-")[0]


def _entry_in(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")


def _manifest(store: Store, key: Key, entry: str) -> Manifest | None:
    """A manifest that may be served; None when it is gone or of a format that did not record all that counts."""
    data = store.get(entry_name(key, entry))
    if data is None:
        return None
    manifest = _of_few(bytes(data)) if len(data) <= _FEW_BYTES else Manifest.from_json(data, key)
    if manifest.key.digest != key.digest or (manifest.format in SERVED and manifest.entry_id != entry):
        raise IntegrityError(f"the entry of another key ({manifest.key.digest})")
    return manifest if manifest.format in SERVED else None


@functools.lru_cache(maxsize=256)
def _of_few(data: bytes) -> Manifest:
    """What a small manifest says: in a loop it is read again and again."""
    return Manifest.from_json(data)


def _changed(manifest: Manifest, memo: str | None) -> Iterator[Difference]:
    """Discovered inputs that are not what they were."""
    states = [i for i in manifest.discovered if i.kind == "state"]
    if states:
        now = generators.digests()
        for was in states:
            digest = now.get(was.name, "not loaded")
            if digest != was.digest:
                yield Difference(was.kind, was.name, was._replace(digest=digest), was)
    if len(states) != len(manifest.discovered):
        yield from discovered.changed((i for i in manifest.discovered if i.kind != "state"), manifest.stats, memo)


def _has_imported(loaded: int) -> bool:
    """Whether a library was imported since so many modules were loaded; those that are always there do not count."""
    new = itertools.islice(reversed(sys.modules), max(len(sys.modules) - loaded, 0))
    roots = {name.partition(".")[0] for name in new} - {"blockcache"}
    return not roots <= sys.stdlib_module_names


def _age_s(manifest: Manifest) -> float:
    from datetime import UTC, datetime

    made = datetime.fromisoformat(manifest.provenance.made_at)
    return (datetime.now(UTC) - made).total_seconds()


def _import(module: str, find_module: Callable[[str], object]) -> None:
    if module not in sys.modules:
        try:
            find_module(module)
        except Exception as error:
            raise CodecError(f"cannot import {module}: {type(error).__name__}: {error}") from error


def verified(store: Store, blob: Blob, *, may_write: bool) -> memoryview:
    """A blob's bytes, known to be those that were saved."""
    name = f"blobs/{blob.digest}"
    data = store.get(name)
    if data is None:
        raise IntegrityError(f"blob {blob.digest} is missing")
    if len(data) == blob.size_bytes:
        if blob.size_bytes > _ALWAYS_HASHED_BYTES and store.sealed(name):
            return data
        if xxhash.xxh3_128_hexdigest(data) == blob.digest:
            if may_write and not store.sealed(name):
                store.seal(name)
            return data
    if may_write:
        store.delete(name)  # or the next save would find it and leave it as it is
    raise IntegrityError(f"blob {blob.digest} is not what was saved")
