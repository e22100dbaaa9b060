"""Look up, load and save entries: the meaning that a store's bytes have."""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import xxhash

from blockcache import changes, discovered, generators, outputs, process
from blockcache.codec import Encoded, decode, encode
from blockcache.codec.pack import lay_out, open_pack
from blockcache.errors import CodecError, IntegrityError
from blockcache.fingerprint.modules import is_library
from blockcache.fingerprint.values import describe
from blockcache.key import Built
from blockcache.memory import Held, Memory
from blockcache.model import (
    SERVED,
    Blob,
    Difference,
    Hit,
    Input,
    Key,
    Lookup,
    Manifest,
    Miss,
    Output,
    Provenance,
    Stat,
    Unsaved,
    compare,
    entry_id,
)
from blockcache.stores import Buffer, Store
from blockcache.texts import redact, redacted

#: What an entry holds beside the outputs stands under what cannot be a name of a program.
GENERATORS = ".generators"
ANNOTATIONS = ".annotations"
CHANGES = ".changes"
PROCESS = ".process"
#: Up to this size a blob is hashed at every load; the seal of a larger one is believed.
_ALWAYS_HASHED_BYTES = 1 << 20
#: How many earlier entries of a name a miss is compared with, and of how many in the store.
_NEAREST_OF = 8
_MOST_LOOKED_AT = 500
#: What a folder's name may have on most file systems.
_LONGEST_FOLDER_BYTES = 255
_SHORTENED_BYTES = 100


def entry_name(key: Key, entry: str) -> str:
    """The store's name of a manifest; ``entry`` is :func:`blockcache.model.entry_id` of its discovered inputs."""
    return f"entries/{key.digest}/{entry}.json"


def label_name(block_name: str, key: Key) -> str:
    """The store's name of the pointer from a block's name to a key."""
    return f"{label_folder(block_name)}/{key.digest}"


def label_folder(block_name: str) -> str:
    """The folder of a block name's pointers: quoted, and shortened where it is too long, so that any text is a name."""
    from urllib.parse import quote  # costs more to import than a hit takes, and a hit does not need it

    folder = quote(block_name, safe=" ", errors="surrogatepass")
    if folder in (".", ".."):
        folder = folder.replace(".", "%2E")
    if len(folder) > _LONGEST_FOLDER_BYTES:
        # Quoting leaves no "=" behind, so no other name has this folder.
        folder = f"{folder[:_SHORTENED_BYTES]}={xxhash.xxh3_128_hexdigest(_encoded(block_name))}"
    return f"names/{folder}"


def _encoded(block_name: str) -> bytes:
    return block_name.encode("utf-8", "surrogatepass")


def _point(store: Store, block_name: str, key: Key) -> None:
    """Lead from a block's name to a key; a shortened folder does not tell the name, so the pointer does."""
    pointer = label_name(block_name, key)
    store.put(pointer, [_encoded(block_name) if "=" in pointer else b""])


def lookup(
    store: Store,
    block_name: str,
    built: Built,
    module_globals: dict[str, object],
    find: Callable[[Any], object],
    *,
    may_write: bool = True,
    ttl_s: float | None = None,
    memo: str | None = None,
    refuse: Callable[[Manifest], str] | None = None,
    memory: Memory | None = None,
    share: bool = False,
) -> Lookup:
    """Find the entry of a key, and read, verify and decode all that it gives back.

    Parameters
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
    held = _held(store, built.key, memo, memory, share) if memory is not None else None
    manifest = held.manifest if held is not None else _variant(store, block_name, built.key, memo)
    if isinstance(manifest, Miss):
        return manifest
    if ttl_s is not None and _age_s(manifest) >= ttl_s:
        return Miss("the entry is older than its ttl allows", nearest=manifest, same_key=True)
    why = refuse(manifest) if refuse is not None else ""
    if why:
        return Miss(why, nearest=manifest, same_key=True)
    if held is not None and held.values is not None:
        process.check(held.kept.get(PROCESS, {}))
        return Hit(manifest, held.values, time.perf_counter() - started, held.kept, True)
    blobs = held.copies() if held is not None else []
    blobs = blobs or [verified(store, blob, may_write=may_write) for blob in manifest.blobs]
    for module in manifest.imports:
        _import(module)
    stream, buffers = open_pack(blobs[0], blobs[1:])
    upstream = _Asked(find)
    values = decode(stream, buffers, resolve=built.objects.__getitem__, module_globals=module_globals, find=upstream)
    kept: dict[str, Any] = {name: values.pop(name) for name in list(values) if name.startswith(".")}
    if values.keys() != {output.name for output in manifest.outputs}:
        raise IntegrityError("the entry does not hold the values that it names")
    changes.check(kept.get(CHANGES, ()))
    process.check(kept.get(PROCESS, {}))
    if may_write and manifest.name != block_name and not store.exists(label_name(block_name, built.key)):
        _point(store, block_name, built.key)  # a renamed block is found under its new name too
    if held is None:
        _met(store, block_name, manifest)
    # Not the objects of an entry that changes upstream objects or gives them back: they are those of one lookup.
    share = share and not upstream.asked and not manifest.changed
    if memory is not None and (held is None or share):
        _hold(memory, store, manifest, [[blob] for blob in blobs], values, kept, share)
    return Hit(manifest, values, time.perf_counter() - started, kept, held is not None)


def _held(store: Store, key: Key, memo: str | None, memory: Memory, share: bool) -> Held | None:
    """What this process holds for a key, if the store still has it and nothing that it read has changed since."""
    for held in memory.held(store.url, key.digest, share=share):
        if not any(_changed(held.manifest, memo)) and store.exists(entry_name(key, held.manifest.entry_id)):
            return held
    return None


class _Asked:
    """A function that knows whether it was called."""

    __slots__ = ("_function", "asked")

    def __init__(self, function: Callable[[Any], object]) -> None:
        self._function = function
        self.asked = False

    def __call__(self, argument: Any) -> object:
        # Code is the same for all.
        self.asked |= type(argument) is int or argument[0] != "code"
        return self._function(argument)


def _hold(
    memory: Memory,
    store: Store,
    manifest: Manifest,
    blobs: Iterable[Iterable[Buffer]],
    values: Mapping[str, object],
    kept: Mapping[str, Any],
    share: bool,
) -> None:
    """Let this process hold an entry: its objects to share them, else its bytes where they are few."""
    if share:
        memory.hold(store.url, Held(manifest, None, values, kept), share=True)
    else:
        few = manifest.size_bytes <= _ALWAYS_HASHED_BYTES
        memory.hold(store.url, Held(manifest, tuple(map(b"".join, blobs)) if few else None), share=False)


def _variant(store: Store, block_name: str, key: Key, memo: str | None) -> Manifest | Miss:
    """The entry of a key whose discovered inputs are now as they were."""
    # Most bodies read nothing from outside: what they have is found without listing.
    alone = _manifest(store, key, entry_id(()))
    if alone is not None:
        return alone
    which: dict[str, list[str]] = {}
    for name in store.list(f"entries/{key.digest}"):
        found = name.rpartition("/")[2].removesuffix(".json")
        which.setdefault(found.partition("-")[0], []).append(found)
    nearest: tuple[tuple[Difference, ...], Manifest] | None = None
    trouble: IntegrityError | None = None
    for entries in which.values():
        # Entries of one group look at the same things: any of them tells which one answers.
        try:
            any_of_them = _manifest(store, key, entries[0])
            if any_of_them is None:
                continue
            differences = tuple(_changed(any_of_them, memo))
            if not differences:
                return any_of_them
            now = {(i.kind, i.name): i for i in any_of_them.discovered}
            now.update(((d.kind, d.name), d.now) for d in differences if d.now is not None)
            right = entry_id(now.values())
            manifest = _manifest(store, key, right) if right in entries else None
        except IntegrityError as error:
            trouble = error
            continue
        if manifest is not None:
            return manifest
        if nearest is None or len(differences) < len(nearest[0]):
            nearest = differences, any_of_them
    if nearest is not None:
        return Miss("", *nearest, same_key=True)
    if trouble is not None:
        raise trouble
    return _miss(store, block_name, key)


def _manifest(store: Store, key: Key, entry: str) -> Manifest | None:
    """A manifest that may be served; None when it is gone or of a format that did not record all that counts."""
    data = store.get(entry_name(key, entry))
    if data is None:
        return None
    manifest = Manifest.from_json(data, key)
    if manifest.key.digest != key.digest or (manifest.format in SERVED and manifest.entry_id != entry):
        raise IntegrityError(f"the entry of another key ({manifest.key.digest})")
    return manifest if manifest.format in SERVED else None


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


def _age_s(manifest: Manifest) -> float:
    from datetime import UTC, datetime

    made = datetime.fromisoformat(manifest.provenance.made_at)
    return (datetime.now(UTC) - made).total_seconds()


def _import(module: str) -> None:
    if module not in sys.modules:
        try:
            importlib.import_module(module)
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


def _miss(store: Store, block_name: str, key: Key) -> Miss:
    # In a loop, what this process met last: reading all that a name has would cost more at each round.
    entries = _recent.get((store.url, block_name)) or tuple(entries_of(store, block_name, _MOST_LOOKED_AT))
    if not entries:
        return Miss("first run")
    nearest, differences = min(
        ((entry, compare(key.inputs, entry.key.inputs)) for entry in entries[:_NEAREST_OF]),
        key=lambda pair: len(pair[1]),
    )
    return Miss("", differences, nearest)


# By store and name: the entries that this process saved or found last, newest first; replaced, never changed.
_recent: dict[tuple[str, str], tuple[Manifest, ...]] = {}
_MOST_NAMES = 1000


def _met(store: Store, block_name: str, manifest: Manifest) -> None:
    if len(_recent) > _MOST_NAMES:
        _recent.clear()
    others = (m for m in _recent.get((store.url, block_name), ()) if m.key.digest != manifest.key.digest)
    _recent[store.url, block_name] = (manifest, *itertools.islice(others, _NEAREST_OF - 1))


def entries_of(store: Store, block_name: str, most: int | None = None) -> Iterator[Manifest]:
    """Readable entries that were saved or met under a block's name, newest first; of ``most`` keys, whichever."""
    found = []
    for pointer in itertools.islice(store.list(label_folder(block_name)), most):
        for name in store.list(f"entries/{pointer.rpartition('/')[2]}"):
            data = store.get(name)
            try:
                if data is not None:
                    found.append(Manifest.from_json(data))
            except IntegrityError:
                continue
    yield from sorted(found, key=lambda manifest: manifest.provenance.made_at, reverse=True)


class Results(NamedTuple):
    """What a body did that a hit gives back.

    Attributes
    ----------
    values
        Names that it bound or rebound.
    deleted
        Names that it deleted.
    imports
        Submodules that it imported.
    discovered, stats
        What it read from outside, and what the file system says of it.
    untracked
        What it did that cannot be checked.
    kept
        What else a hit gives back, by names that begin with a dot: ``.generators``, the states of the global
        random generators that it moved.
    captured, changed, unsaved
        See :class:`blockcache.model.Manifest`.
    needed
        Names without which nothing is worth saving.
    """

    values: Mapping[str, object]
    deleted: tuple[str, ...]
    imports: tuple[str, ...]
    discovered: tuple[Input, ...]
    stats: Mapping[str, Stat]
    untracked: tuple[str, ...]
    kept: Mapping[str, Any]
    captured: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unsaved: tuple[Unsaved, ...] = ()
    needed: frozenset[str] = frozenset()


def save(
    store: Store,
    block_name: str,
    built: Built,
    results: Results,
    provenance: Provenance,
    module_globals: dict[str, object],
    texts: Mapping[str, str],
    patterns: Sequence[str] = (),
    walk: changes.Walk | None = None,
    contents: Iterable[object] = (),
    prove: Callable[[Any], object] | None = None,
    memory: Memory | None = None,
    share: bool = False,
    made: outputs.Made | None = None,
) -> Manifest:
    """Save a run: blobs first, the manifest last, so that a reader finds all or nothing.

    A value that cannot be saved is left out, and named in the manifest; with ``prove``, which finds upstream objects as
    :func:`lookup` does, so is one that cannot be made again. Upstream objects of ``walk`` are saved as the way to them,
    but for ``contents``. ``made`` has the declared output files.

    What is said of values for people is stored without what ``patterns`` match, see :func:`blockcache.texts.redact`;
    ``memory`` and ``share`` are as of :func:`lookup`.

    Raises
    ------
    CodecError
        When what is kept beside the values cannot be saved, or the values not together. Nothing is saved then.
    StoreError
        When the store cannot be written.
    """
    address = _Asked(walk.address if walk is not None else repr)
    encode_now = functools.partial(
        encode,
        label=built.label,
        module_globals=module_globals,
        is_library=is_library,
        upstream=walk.objects() if walk is not None else (),
        address=address,
        contents=contents,
    )
    if prove is not None:
        decode_now = functools.partial(
            decode, resolve=built.objects.__getitem__, module_globals=module_globals, find=prove
        )
        unmakable = _unmakable(results.values, encode_now, decode_now)
        if unmakable.keys() & results.needed:
            raise CodecError("; ".join(unmakable.values()))
        results = _without(results, unmakable)
    try:
        encoded = encode_now({**results.values, **results.kept})
    except CodecError as error:
        if not error.refused or not error.refused.keys() <= results.values.keys() - results.needed:
            raise
        results = _without(results, error.refused)
        encoded = encode_now({**results.values, **results.kept})
    layout = lay_out(encoded)
    pack_digest = xxhash.xxh3_128()
    for part in layout.pack_parts:
        pack_digest.update(part)
    blobs = [_put(store, pack_digest.hexdigest(), layout.pack_parts, layout.pack_size)]
    for buffer in layout.large:
        blobs.append(_put(store, xxhash.xxh3_128_hexdigest(buffer), [buffer], buffer.nbytes))
    if made is not None:
        outputs.put(store, made)
    manifest = Manifest(
        name=block_name,
        key=built.key,
        outputs=tuple(Output(n, type_name(v), redact(describe(v, n), patterns)) for n, v in results.values.items()),
        deleted=results.deleted,
        blobs=tuple(blobs),
        provenance=provenance,
        imports=results.imports,
        discovered=redacted(results.discovered, patterns),
        stats=results.stats,
        untracked=tuple(redact(clause, patterns) for clause in results.untracked),
        generators=tuple(sorted(results.kept.get(GENERATORS, ()))),
        captured=tuple(redact(clause, patterns) for clause in results.captured),
        changed=results.changed,
        files=made.rows if made is not None else (),
        unsaved=tuple(row._replace(reason=redact(row.reason, patterns)) for row in results.unsaved),
        texts=_put_texts(store, texts),
    )
    _point(store, block_name, built.key)
    store.put(entry_name(built.key, manifest.entry_id), [manifest.to_json()])
    _met(store, block_name, manifest)
    if memory is not None:
        memory.forget(store.url, built.key.digest)
        blobs_in_parts: list[Iterable[Buffer]] = [layout.pack_parts, *([buffer] for buffer in layout.large)]
        share = share and not address.asked and not manifest.changed
        _hold(memory, store, manifest, blobs_in_parts, results.values, results.kept, share)
    return manifest


def _unmakable(
    values: Mapping[str, object], encode_now: Callable[..., Encoded], decode_now: Callable[..., object]
) -> dict[str, str]:
    """Values that can be saved and not be made again, with the reason."""
    found = {}
    for name, value in values.items():
        try:
            encoded = encode_now({name: value})
        except CodecError:
            continue  # it will be found out
        try:
            decode_now(b"".join(encoded.stream), encoded.buffers)
        except CodecError as error:
            found[name] = str(error)
    return found


def _without(results: Results, refused: Mapping[str, str]) -> Results:
    """The results without values that cannot be saved, which are named instead."""
    rows = [Unsaved(name, type_name(results.values[name]), reason) for name, reason in refused.items()]
    values = {name: value for name, value in results.values.items() if name not in refused}
    return results._replace(values=values, unsaved=(*results.unsaved, *rows))


def _put_texts(store: Store, texts: Mapping[str, str]) -> str:
    """Keep source texts for people in a blob of their own, which a hit does not read; its digest."""
    if not texts:
        return ""
    data = json.dumps(texts, indent=1, sort_keys=True).encode()
    digest = xxhash.xxh3_128_hexdigest(data)
    return _put(store, digest, [data], len(data)).digest


def _put(store: Store, digest: str, parts: list[Buffer], size_bytes: int) -> Blob:
    store.put(f"blobs/{digest}", parts)
    return Blob(digest, size_bytes)


def type_name(value: object) -> str:
    """The class of a value, for people."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
