"""Entries that this process holds in memory, so that a second call does not read the store."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from blockcache.model import Manifest

#: What an entry takes besides its blobs, about.
_OVERHEAD_BYTES = 4096
#: Entries up to this size are held as bytes.
_FEW_BYTES = 1 << 20


class Held(NamedTuple):
    """One entry in memory.

    Attributes
    ----------
    manifest
        Its record.
    size_bytes
        About what it takes.
    blobs
        What its blobs stand for; None where the store has to give them.
    values, kept
        What it gives back, as live objects that every hit shares; None where every hit decodes its own.
    """

    manifest: Manifest
    size_bytes: int
    blobs: tuple[bytes, ...] | None = None
    values: Mapping[str, object] | None = None
    kept: Mapping[str, Any] = {}

    def copies(self) -> list[memoryview]:
        """The blobs in memory of the caller's own, for values that are decoded from them write to it; or nothing."""
        return [memoryview(bytearray(blob)) for blob in self.blobs or ()]


class Memory:
    """Entries by store and key, those that were used last.

    Parameters
    ----------
    limit_bytes
        How much they may take together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._entries: OrderedDict[tuple[str, str, bool], dict[str, Held]] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()

    def held(self, url: str, digest: str, *, share: bool) -> list[Held]:
        """The entries of one key: those that hits share, where that is asked for, before those as bytes."""
        found: list[Held] = []
        with self._lock:
            for key in ((url, digest, True), (url, digest, False))[not share :]:
                if key in self._entries:
                    self._entries.move_to_end(key)
                    found += self._entries[key].values()
        return found

    def hold(self, url: str, entry: Held, *, share: bool) -> None:
        """Hold an entry, in the place of one that read the same; forget those that were not used for longest."""
        key = url, entry.manifest.key.digest, share
        with self._lock:
            same_key = self._entries.setdefault(key, {})
            self._entries.move_to_end(key)
            before = same_key.pop(entry.manifest.entry_id, None)
            same_key[entry.manifest.entry_id] = entry
            self._size_bytes += entry.size_bytes - (before.size_bytes if before is not None else 0)
            while self._size_bytes > self.limit_bytes and self._entries:
                _, oldest = self._entries.popitem(last=False)
                self._size_bytes -= sum(held.size_bytes for held in oldest.values())

    def keep(
        self,
        url: str,
        manifest: Manifest,
        blobs: Sequence[Sequence[Any]],
        values: Mapping[str, object],
        kept: Mapping[str, Any],
        *,
        share: bool,
    ) -> None:
        """Hold what was found or saved: its objects to share them, else its bytes where they are few.

        ``blobs`` are in pieces, and not compressed: a manifest tells only what is stored.
        """
        size_bytes = sum(memoryview(piece).nbytes for pieces in blobs for piece in pieces)
        if share:
            self.hold(url, Held(manifest, _OVERHEAD_BYTES + size_bytes, None, values, kept), share=True)
        elif size_bytes <= _FEW_BYTES:
            held = Held(manifest, _OVERHEAD_BYTES + size_bytes, tuple(map(b"".join, blobs)))
            self.hold(url, held, share=False)
        else:
            self.hold(url, Held(manifest, _OVERHEAD_BYTES), share=False)

    def forget(self, url: str, digest: str) -> None:
        """Forget the entries of one key: one of them was made again."""
        with self._lock:
            for share in (False, True):
                for held in self._entries.pop((url, digest, share), {}).values():
                    self._size_bytes -= held.size_bytes


class Asked:
    """A function that knows whether it was called: values that hold upstream objects are not shared."""

    __slots__ = ("_function", "asked")

    def __init__(self, function: Callable[[Any], object]) -> None:
        self._function = function
        self.asked = False

    def __call__(self, argument: Any) -> object:
        """Ask."""
        # Code is the same for all.
        self.asked |= type(argument) is int or argument[0] != "code"
        return self._function(argument)
