"""Save what a body did as an entry."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import xxhash

from blockcache import changes, compression, outputs
from blockcache.codec import Encoded, Forms, decode, encode
from blockcache.codec.pack import Layout, lay_out
from blockcache.errors import CodecError
from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.modules import is_library
from blockcache.fingerprint.values import describe
from blockcache.key import Built
from blockcache.memory import Asked, Memory
from blockcache.model import Blob, Input, Manifest, Output, Provenance, Stat, Unsaved
from blockcache.naming import GENERATORS, entry_name, point
from blockcache.nearest import met
from blockcache.stores import Buffer, Store
from blockcache.texts import redact, redacted

#: A pack is compressed where no more than this share of it are regions, which a restore maps and does not read.
_FEW_REGIONS = 0.1
#: So much is worth the start of threads,
_WORTH_THREADS_BYTES = 64 << 20
#: and more of them at a time do not write faster.
_MOST_WRITERS = 4
#: So much is copied at a time where other threads may write to the values. Less would let them in more often.
_COPIED_BYTES = 16 << 20


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


@dataclass(frozen=True)
class Request:
    """Whose results are to be saved, where, and how.

    Attributes
    ----------
    store, name, built
        The store, and the block's name and key.
    provenance, texts
        Who made the entry; source texts for people.
    module_globals
        The namespace of the block's module.
    walk
        Its upstream objects are saved as the way to them, but for ``contents``.
    made
        The declared output files.
    patterns
        What is said of values for people is stored without what these match, see :func:`blockcache.texts.redact`.
    prove
        Finds upstream objects as :func:`blockcache.loading.lookup` does: values that cannot be made again are left out.
    forms
        As of :func:`blockcache.codec.encode`.
    accept
        Called with the bytes of all blobs before any is written; it may raise.
    memory, share
        As of the lookup.
    compress
        Whether the pack may be compressed.
    """

    store: Store
    name: str
    built: Built
    provenance: Provenance
    texts: Mapping[str, str]
    module_globals: dict[str, object]
    walk: changes.Walk
    contents: Iterable[object] = ()
    made: outputs.Made | None = None
    patterns: Sequence[str] = ()
    prove: Callable[[Any], object] | None = None
    forms: Forms = "either"
    accept: Callable[[int], object] | None = None
    memory: Memory | None = None
    share: bool = False
    compress: bool = False


def save(request: Request, results: Results) -> Manifest:
    """Save a run: blobs first, the manifest last, so that a reader finds all or nothing.

    A value that cannot be saved is left out, and named in the manifest.

    Raises
    ------
    CodecError
        When what is kept beside the values cannot be saved, or the values not together. Nothing is saved then.
    StoreError
        When the store cannot be written.
    """
    store, made = request.store, request.made
    address = Asked(request.walk.address)
    results, encoded = _encode(request, results, address)
    layout = lay_out(encoded)
    others = threading.active_count() > 1
    pieces = [_pack(layout, request.compress, others)]
    if request.accept is not None:
        files = sum(row.size_bytes for row in made.rows) if made is not None else 0
        request.accept(pieces[0].blob.size_bytes + sum(b.nbytes for b in layout.large) + files)
    pieces += _put_large(store, layout.large, others)
    _put(store, pieces[:1], made)
    manifest = _manifest(request, results, encoded, [piece.blob for piece in pieces])
    point(store, request.name, manifest.key)
    store.put(entry_name(manifest.key, manifest.entry_id), [manifest.to_json()])
    if not all(store.exists(f"blobs/{blob.digest}") for blob in manifest.all_blobs):
        _put(store, pieces, made)  # one that was found has gone with an entry that was collected meanwhile
    met(store, request.name, manifest)
    if request.memory is not None:
        request.memory.forget(store.url, manifest.key.digest)
        share = request.share and not address.asked and not manifest.changed
        blobs: list[Sequence[Buffer]] = [layout.pack_parts, *([region] for region in layout.large)]
        request.memory.keep(store.url, manifest, blobs, results.values, results.kept, share=share)
    return manifest


def _encode(request: Request, results: Results, address: Asked) -> tuple[Results, Encoded]:
    """The results in bytes, without what cannot be saved or made again."""
    encode_now = functools.partial(
        encode,
        label=request.built.label,
        module_globals=request.module_globals,
        is_library=is_library,
        upstream=request.walk.objects(),
        address=address,
        contents=request.contents,
        forms=request.forms,
    )
    if request.prove is not None:
        decode_now = functools.partial(
            decode,
            resolve=request.built.objects.__getitem__,
            module_globals=request.module_globals,
            find=request.prove,
        )
        unmakable = _unmakable(results.values, encode_now, decode_now)
        if unmakable.keys() & results.needed:
            raise CodecError("; ".join(unmakable.values()))
        results = _without(results, unmakable)
    try:
        return results, encode_now({**results.values, **results.kept})
    except CodecError as error:
        if not error.refused or not error.refused.keys() <= results.values.keys() - results.needed:
            raise
        results = _without(results, error.refused)
        return results, encode_now({**results.values, **results.kept})


def _manifest(request: Request, results: Results, encoded: Encoded, blobs: Iterable[Blob]) -> Manifest:
    patterns = request.patterns
    return Manifest(
        name=request.name,
        key=request.built.key,
        outputs=tuple(
            Output(name, type_name(value), redact(describe(value, name), patterns), encoded.codecs[name])
            for name, value in results.values.items()
        ),
        deleted=results.deleted,
        blobs=tuple(blobs),
        provenance=request.provenance,
        imports=results.imports,
        discovered=redacted(results.discovered, patterns),
        stats=results.stats,
        untracked=tuple(redact(clause, patterns) for clause in results.untracked),
        generators=tuple(sorted(results.kept.get(GENERATORS, ()))),
        captured=tuple(redact(clause, patterns) for clause in results.captured),
        changed=results.changed,
        files=request.made.rows if request.made is not None else (),
        unsaved=tuple(row._replace(reason=redact(row.reason, patterns)) for row in results.unsaved),
        texts=_put_texts(request.store, request.texts),
    )


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
    store.put(f"blobs/{digest}", [data])
    return digest


class _Piece(NamedTuple):
    """A blob to be put; where ``others`` run, it may be written to since its digest was taken."""

    blob: Blob
    parts: Iterable[Buffer]
    others: bool

    def put(self, store: Store) -> None:
        store.put(f"blobs/{self.blob.digest}", self._as_named() if self.others else self.parts)

    def _as_named(self) -> Iterator[bytes]:
        """Copies of the parts; an error at the end, before they have a name, when they are not what that says."""
        hasher = xxhash.xxh3_128()
        for part in self.parts:
            view = memoryview(part).cast("B")
            for start in range(0, len(view), _COPIED_BYTES):
                copied = bytes(view[start : start + _COPIED_BYTES])
                hasher.update(copied)
                yield copied
        if hasher.hexdigest() != self.blob.digest:
            raise CodecError("a thread changed the values while they were saved")


def _pack(layout: Layout, compress: bool, others: bool) -> _Piece:
    parts, size_bytes = layout.pack_parts, layout.pack_size
    if compress and layout.pack_regions_size <= _FEW_REGIONS * size_bytes:
        frame = compression.squeezed(parts, size_bytes)
        if frame is not None:
            return _Piece(Blob(frame.digest, frame.size_bytes, "zstd"), frame, others)
    hasher = xxhash.xxh3_128()
    for part in parts:
        hasher.update(part)
    return _Piece(Blob(hasher.hexdigest(), size_bytes), parts, others)


def _put(store: Store, pieces: Iterable[_Piece], made: outputs.Made | None) -> None:
    for piece in pieces:
        piece.put(store)
    if made is not None:
        outputs.put(store, made)


def _put_large(store: Store, regions: Sequence[memoryview], others: bool) -> list[_Piece]:
    """Keep regions as blobs of their own: several at a time, while the next is hashed, where there is much to write."""
    pieces = (_Piece(Blob(digest(region).hex(), region.nbytes), [region], others) for region in regions)
    done: list[_Piece] = []
    if len(regions) >= 2 and sum(region.nbytes for region in regions) >= _WORTH_THREADS_BYTES:
        with contextlib.suppress(RuntimeError):  # the interpreter ends, and starts no more threads
            _put_by_threads(store, pieces, done)
            return done
    done += pieces
    _put(store, done, None)
    return done


def _put_by_threads(store: Store, pieces: Iterable[_Piece], done: list[_Piece]) -> None:
    """Note each of the pieces in ``done`` before it is put."""
    # Takes as long to import as a small save does.
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(min(_MOST_WRITERS, os.cpu_count() or 1), "blockcache-save")
    try:
        written = []
        for piece in pieces:
            done.append(piece)
            written.append(pool.submit(piece.put, store))
        for future in written:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def type_name(value: object) -> str:
    """The class of a value, for people."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
