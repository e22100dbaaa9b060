"""Digests of buffers: of what a store has mapped without reading it, and of a part of that once on a machine.

A column of a frame is a part of its block's blob, a small array one of its entry's pack. A part's digest depends on
nothing but the blob's, so it is kept in a record.
"""

from __future__ import annotations

import functools
from typing import Any

import xxhash

from blockcache import records, untouched

_MOST_KEPT = 10_000

# By blob: parts whose digests no record has yet.
_new: dict[str, dict[str, str]] = {}


def digest(buffer: Any) -> bytes:
    """XXH3-128 of the bytes of ``buffer``, 16 bytes; they are not read where it is known."""
    part = untouched.part_of(buffer)
    if part is not None:
        known = part.digest if part.size == part.blob_size else _digest_of_part(part)
        if known:
            return bytes.fromhex(known)
    return xxhash.xxh3_128_digest(buffer)


def settle() -> None:
    """Leave what was found out about parts to later processes."""
    while _new:
        blob, found = _new.popitem()
        parts = _parts(blob)
        parts.update(found)
        if len(parts) <= _MOST_KEPT:
            records.save(_record(blob), parts)


def _digest_of_part(part: untouched.Part) -> str:
    place = f"{part.start}+{part.size}"
    known = _parts(part.digest).get(place) or _new.get(part.digest, {}).get(place, "")
    if not known:
        # Of the file, not of the memory, to which a thread may write by now: the record must be true.
        hasher = xxhash.xxh3_128()
        if untouched.read(part, hasher.update):
            known = _new.setdefault(part.digest, {})[place] = hasher.hexdigest()
    return known


@functools.lru_cache(maxsize=1000)
def _parts(blob: str) -> dict[str, str]:
    """The digests of parts of a blob, by where they are."""
    found = records.load(_record(blob))
    return dict(found) if isinstance(found, dict) else {}


def _record(blob: str) -> str:
    return f"{blob}-parts"
