"""Stores keep bytes under names and know nothing else.

Names are relative paths of two or more parts separated by ``/``. These families are in use (see FORMAT.md):
``blobs/<digest>``, ``entries/<key digest>/<entry id>.json``, ``names/<quoted block name>/<key digest>``,
``pins/<key digest>/<entry id>``, ``leases/<key digest>``, ``stats/<random>.json``, and ``quarantine/`` before a name of
another one. A part is any text without ``/`` and NUL that is not empty, ``.`` or ``..``; what else may be in a part is
up to whoever makes the name to quote.

A name below ``blobs/`` stands for its bytes: they are put once and never replaced by others.
Names of the other families may be put again, and the last ``put`` counts.

``tests/stores/conformance.py`` holds every store to what is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeGuard, runtime_checkable

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
        raises is raised, and nothing is kept then. A store may skip a blob that it has, and touches it then.
        """
        ...

    def put_new(self, name: str, parts: Iterable[Buffer]) -> bool:
        """Like ``put``, but only when there is nothing under ``name``; whether it was put.

        Of all who put one new name at the same time, in any process and on any machine, one is told True.
        """
        ...

    def parts(self, name: str) -> Iterator[Buffer] | None:
        """The bytes under ``name`` piece by piece, each good until the next one is drawn; None when there are none.

        Nothing is mapped: what cannot be read is a :class:`blockcache.errors.StoreError` while drawing.
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

    def move(self, name: str, to: str) -> bool:
        """Keep the bytes under ``name`` under ``to`` instead, whatever was there; False when there are none."""
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


class Kept(NamedTuple):
    """A name that a store keeps.

    Attributes
    ----------
    size_bytes
        What it takes up.
    idle_s
        Seconds since it was put or touched, by the store's own clock.
    """

    name: str
    size_bytes: int
    idle_s: float


class Room(NamedTuple):
    """How full a store is.

    Attributes
    ----------
    filled_bytes
        About how much it holds, without looking; None when nobody has looked yet.
    free_bytes
        How much more would go in; None where that has no bounds.
    """

    filled_bytes: int | None
    free_bytes: int | None


@runtime_checkable
class Measured(Store, Protocol):
    """A store that can be kept small: it tells what its names take up and when they were last used.

    A store that cannot tell is just a :class:`Store`: nothing is ever evicted from it.
    ``tests/stores/measured.py`` holds every such store to what is written here.
    """

    def survey(self, prefix: str) -> Iterator[Kept]:
        """What :meth:`Store.list` lists, with size and age."""
        ...

    def newest(self, prefix: str, count: int) -> Sequence[str]:
        """At most ``count`` names right in the folder ``prefix``, the last put or touched first.

        Of a folder with very many it looks at some: the cost has a bound.
        """
        ...

    def touch(self, name: str) -> None:
        """``name`` was used just now: noted at most once an hour, and only where it can be."""
        ...

    def discard(self, name: str, idle_s: float) -> bool:
        """Forget ``name`` unless it was put or touched within the last ``idle_s`` seconds; True when that was done.

        The look comes immediately before: a blob that a writer finds in its place, and touches, stays.
        """
        ...

    def room(self) -> Room:
        """How full the store is: an estimate from the last :meth:`settle` and what anybody has put since."""
        ...

    def settle(self, filled_bytes: int) -> None:
        """Somebody has counted: the estimate goes on from here."""
        ...

    def alone(self) -> AbstractContextManager[bool]:
        """Whether nobody else, in any process, is inside this; it ends with the process."""
        ...

    def tidy(self, idle_s: float) -> int:
        """Remove what interrupted writers left at least ``idle_s`` seconds ago and what no name needs; bytes freed."""
        ...


def is_measured(store: Store) -> TypeGuard[Measured]:
    """Whether a store is a :class:`Measured` one; quicker than ``isinstance``."""
    return hasattr(store, "survey")
