"""Stores keep bytes under names and know nothing else.

Names are relative paths of ``/``-separated parts. Three families are in use
(see FORMAT.md): ``blobs/<digest>``, ``entries/<key digest>/<entry id>.json``
and ``names/<quoted block name>/<key digest>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

Buffer = bytes | bytearray | memoryview


@runtime_checkable
class Store(Protocol):
    """A place that keeps bytes under names.

    Every method may raise :class:`blockcache.errors.StoreError`; an absent name is not an error.
    """

    @property
    def url(self) -> str:
        """Where the store is, for messages."""
        ...

    def get(self, name: str) -> memoryview | None:
        """The bytes under ``name``, or None when there are none.

        The memory is the caller's own: writable, and writing to it never changes the store.
        A local store maps large files copy-on-write instead of reading them.
        """
        ...

    def put(self, name: str, parts: Iterable[Buffer]) -> None:
        """Keep the concatenation of ``parts`` under ``name``, atomically: all of it or nothing."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there are bytes under ``name``."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Every name that starts with the folder ``prefix`` (``""`` for all), in no order."""
        ...

    def delete(self, name: str) -> bool:
        """Forget ``name``; True when there was something. Memory handed out by ``get`` stays valid."""
        ...

    def sealed(self, name: str) -> bool:
        """Whether the bytes under ``name`` are untouched since ``put`` or ``seal``, as far as can be known for free.

        False is always a right answer; it costs the caller a digest of the bytes.
        """
        ...

    def seal(self, name: str) -> None:
        """The caller has verified the bytes under ``name``: let ``sealed`` say so."""
        ...
