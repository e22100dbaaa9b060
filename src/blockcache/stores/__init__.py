"""Stores keep bytes under names and know nothing else.

Names are relative paths of two or more parts separated by ``/``. Three families are in use
(see FORMAT.md): ``blobs/<digest>``, ``entries/<key digest>/<entry id>.json``
``names/<quoted block name>/<key digest>`` and ``leases/<key digest>``. A part is any text without ``/`` and NUL that is
not empty, ``.`` or ``..``; what else may be in a part is up to whoever makes the name to quote.

A name below ``blobs/`` stands for its bytes: they are put once and never replaced by others.
Names of the other families may be put again, and the last ``put`` counts.

``tests/stores/conformance.py`` holds every store to what is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

Buffer = bytes | bytearray | memoryview


@runtime_checkable
class Store(Protocol):
    """A place that keeps bytes under names.

    Every method may raise :class:`blockcache.errors.StoreError`, for an impossible name too; an absent
    name is not an error. Threads and processes may use a store at the same time.
    """

    @property
    def url(self) -> str:
        """Where the store is, for messages."""
        ...

    def get(self, name: str) -> memoryview | None:
        """The bytes under ``name``, or None when there are none.

        The memory is the caller's own: writable, writing to it never changes the store, and each call
        gives memory of its own. It stays valid after ``delete`` and ``put``.
        A local store maps large files copy-on-write instead of reading them.
        """
        ...

    def put(self, name: str, parts: Iterable[Buffer]) -> None:
        """Keep the concatenation of ``parts`` under ``name``, atomically: all of it or nothing.

        The parts are read while they are written: they must not change before this returns. Those of an iterator are
        drawn one after the other and not kept, so that what is larger than the memory can be put; what it
        raises is raised, and nothing is kept then. A store may skip a blob that it has.
        """
        ...

    def put_new(self, name: str, parts: Iterable[Buffer]) -> bool:
        """Like ``put``, but only when there is nothing under ``name``; whether it was put.

        Of all who put one new name at the same time, in any process and on any machine, one is told True.
        """
        ...

    def export(self, name: str, fd: int) -> bool:
        """Write the bytes under ``name`` into the open file ``fd``; False when there are none.

        Later writes to that file never reach the store. A local store shares blocks with it where the file system can.
        An :class:`OSError` says that the file cannot be written.
        """
        ...

    def exists(self, name: str) -> bool:
        """Whether there are bytes under ``name``."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Every name below the folder ``prefix`` (``""`` for all), in no order.

        Deleting while listing is allowed; names that come or go meanwhile may be listed or not.
        """
        ...

    def delete(self, name: str) -> bool:
        """Forget ``name``; True when there was something. Memory handed out by ``get`` stays valid."""
        ...

    def sealed(self, name: str) -> bool:
        """Whether the bytes of the blob ``name`` are whole, as far as can be known without reading them.

        True says: complete since ``put`` or verified before ``seal``, and not touched after that. False is
        always a right answer, as it is for names of other families; it costs the caller a digest of the bytes.
        """
        ...

    def seal(self, name: str) -> None:
        """The caller has verified the bytes of the blob ``name``: let ``sealed`` say so from now on.

        A store that cannot remember does nothing, and the next reader verifies again.
        """
        ...
