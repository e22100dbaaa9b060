"""Room in a store: how much there may be in it, a collection of what goes, and pins.

A collection runs beside writers and readers that know nothing of it. What keeps it safe:

- Blobs are listed before the manifests that may name them, and a blob that nobody names goes only when it was neither
  put nor touched for an hour: a writer puts blobs first and the manifest last, and touches a blob that it finds.
- Whatever goes is looked at immediately before. A manifest that was used, or a blob that was touched, since the
  collection began stays. Before young blobs of an entry go, manifests that were put meanwhile are read.
- A writer looks again, after its manifest, whether the blobs are there that it found, see ``cache.save``.
- A reader whose entry goes misses; memory that it has mapped stays valid.

Whatever goes wrong here costs room, or one more run of a body; never a value.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from blockcache.errors import StoreError
from blockcache.eviction import Entry, Going, Limits, choose
from blockcache.settings import Settings
from blockcache.stores import Measured, Store, is_measured

#: How long a blob that no entry names may belong to a save that is going on, and what is left of a killed one stays.
GRACE_S = 3600.0
#: Times of files are this coarse.
_TICK_S = 0.05
#: The share of the disk (what is free on it and what the store has) that a store may fill where nobody said otherwise.
SHARE = 0.1
#: After a collection the estimate is at most this share of the limit, so that the next one is not due at once where
#: what is pinned fills the store.
_LEFT = 0.9

_DIGEST = re.compile(rb"[0-9a-f]{32}")


@dataclass(slots=True)
class Stock:
    """What is in a store.

    Attributes
    ----------
    entries
        Those whose manifests can be read.
    blobs
        Digest of each blob: what it takes up, and seconds since it was put or touched.
    needed
        Blobs that a manifest may need which cannot be read: it may be one of a newer format.
    torn
        Names of manifests that no version could read.
    pinned
        Paths of pinned entries.
    pointers
        By key, names of the records that lead to it from block names, and of pins.
    other_bytes
        What the records take up that are no manifests of ``entries``.
    """

    entries: list[Entry] = field(default_factory=list)
    blobs: dict[str, tuple[int, float]] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)
    pinned: set[str] = field(default_factory=set)
    pointers: dict[str, list[str]] = field(default_factory=dict)
    other_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """What all of it takes up."""
        return self.other_bytes + sum(e.size_bytes for e in self.entries) + sum(s for s, _ in self.blobs.values())

    def orphans(self) -> dict[str, int]:
        """Blobs that nobody needs and no save that is going on, with their bytes."""
        named = self.needed.union(*(e.blobs for e in self.entries))
        return {b: size for b, (size, idle_s) in self.blobs.items() if b not in named and idle_s >= GRACE_S}


class Collected(NamedTuple):
    """What a collection took out of a store, or would.

    Attributes
    ----------
    going
        Entries that went.
    orphans
        How many blobs went that no entry named.
    orphan_bytes
        What these and other leftovers took up.
    freed_bytes
        What all of it took up.
    left_bytes
        What is left.
    """

    going: tuple[Going, ...]
    orphans: int
    orphan_bytes: int
    freed_bytes: int
    left_bytes: int


# -- how much there may be -----------------------------------------------------------------

# By the store's place: the default is that of the moment when a process first needs it.
_defaults: dict[str, int | None] = {}


def limits(store: Store, settings: Settings) -> Limits:
    """What the settings hold a store to."""
    return Limits(max_bytes(store, settings), settings.keep, settings.ttl)


def max_bytes(store: Store, settings: Settings) -> int | None:
    """How much the store may hold; None for no limit. The default is taken once for a process and a store."""
    if settings.max_size is not None:
        return None if settings.max_size == math.inf else int(settings.max_size)
    if store.url not in _defaults:
        filled, free = store.room() if is_measured(store) else (None, None)
        if filled is None and free is not None and is_measured(store):
            filled = _filled(store)
        _defaults[store.url] = None if free is None else int(SHARE * ((filled or 0) + free))
    return _defaults[store.url]


def _filled(store: Measured) -> int:
    """What a store holds, by looking; the estimate goes on from there."""
    filled_bytes = sum(kept.size_bytes for kept in store.survey(""))
    store.settle(filled_bytes)
    return filled_bytes


# -- collections ---------------------------------------------------------------------------


def after_save(store: Store, settings: Settings, path: str) -> Collected | None:
    """Collect where the store holds more than it may; the entry ``path``, which was saved just now, stays.

    Returns what was collected; None where there was nothing to do, or somebody else is at it.

    Raises
    ------
    StoreError
        When the store cannot be read or changed.
    """
    if not is_measured(store):
        return None
    filled, _ = store.room()
    most = max_bytes(store, settings)
    if most is None or (filled is not None and filled <= most):
        return None
    with store.alone() as alone:
        if not alone:
            return None
        # Most of what may be wrong is the estimate: to look is quick, where reading every manifest is not.
        if _filled(store) <= most:
            return None
        return _collect(store, limits(store, settings), spared={path})


def collect(store: Store, wanted: Limits, *, dry_run: bool = False) -> Collected:
    """Take out of a store what the limits say, and what nobody needs.

    Raises
    ------
    StoreError
        When the store cannot be read or changed, cannot tell what its names take up, or is being collected by
        somebody else.
    """
    if not is_measured(store):
        raise StoreError(f"the store {store.url} does not tell what its entries take up. Remove entries with `rm`.")
    if dry_run:
        stock = take_stock(store)
        going, orphans = _due(stock, wanted), stock.orphans()
        freed_bytes = sum(g.freed_bytes for g in going) + sum(orphans.values())
        left_bytes = stock.size_bytes - freed_bytes
        return Collected(tuple(going), len(orphans), sum(orphans.values()), freed_bytes, left_bytes)
    with store.alone() as alone:
        if not alone:
            raise StoreError(f"somebody else is collecting {store.url} just now. Try again in a moment.")
        done = _collect(store, wanted, spared=())
        tidied_bytes = store.tidy(GRACE_S)
        return done._replace(
            orphan_bytes=done.orphan_bytes + tidied_bytes, freed_bytes=done.freed_bytes + tidied_bytes
        )


def _collect(store: Measured, wanted: Limits, spared: Collection[str]) -> Collected:
    began = time.monotonic()
    before = store.room().filled_bytes or 0
    stock = take_stock(store)
    found_bytes = stock.size_bytes
    sweep = _Sweep(store, stock, began)
    going = sweep.entries(_due(stock, wanted, spared))
    orphans, orphan_bytes = sweep.blobs()
    sweep.records()
    left_bytes = found_bytes - sweep.freed_bytes
    # What others have put meanwhile may be in what was found, or not.
    meanwhile = (store.room().filled_bytes or 0) - before
    most = math.inf if wanted.max_bytes is None else _LEFT * wanted.max_bytes
    store.settle(int(min(left_bytes + max(meanwhile, 0), most)))
    return Collected(tuple(going), orphans, orphan_bytes, sweep.freed_bytes, left_bytes)


def _due(stock: Stock, wanted: Limits, spared: Collection[str] = ()) -> list[Going]:
    """What the limits say, of what is there but for blobs that nobody needs."""
    named = stock.needed.union(*(e.blobs for e in stock.entries))
    waiting = sum(size for b, (size, idle_s) in stock.blobs.items() if b not in named and idle_s < GRACE_S)
    return choose(
        stock.entries,
        {b: size for b, (size, _) in stock.blobs.items()},
        wanted,
        spared={*spared, *stock.pinned},
        needed=stock.needed,
        other_bytes=stock.other_bytes + waiting,
    )


class _Sweep:
    """One collection: what goes, looked at immediately before."""

    def __init__(self, store: Measured, stock: Stock, began: float) -> None:
        self._store = store
        self._stock = stock
        self._began = began
        self._gone: list[Entry] = []
        self.freed_bytes = 0

    @property
    def _since_s(self) -> float:
        """Since the collection began: what was put or touched in that time stays."""
        return time.monotonic() - self._began + _TICK_S

    def entries(self, going: Iterable[Going]) -> list[Going]:
        """Let entries go; those that did."""
        done = []
        for one in going:
            if self._store.discard(one.entry.path, self._since_s):
                done.append(one)
                self.freed_bytes += one.entry.size_bytes
            elif self._store.exists(one.entry.path):  # somebody uses it, or has made it again
                continue
            self._gone.append(one.entry)
        for path in self._stock.torn:
            self._store.discard(path, GRACE_S)
        return done

    def blobs(self) -> tuple[int, int]:
        """Let blobs go that nobody needs any more; how many were nobody's before, and their bytes."""
        gone = set(self._gone)
        needed = self._stock.needed.union(*(e.blobs for e in self._stock.entries if e not in gone))
        freed = set().union(*(e.blobs for e in gone)) & self._stock.blobs.keys() - needed
        if any(self._stock.blobs[b][1] < GRACE_S for b in freed):
            freed -= self._named_since()
        for blob in freed:
            self._discard(blob, self._since_s)
        orphans = [(b, size) for b, size in self._stock.orphans().items() if self._discard(b, GRACE_S)]
        return len(orphans), sum(size for _, size in orphans)

    def _discard(self, blob: str, idle_s: float) -> bool:
        gone = self._store.discard(f"blobs/{blob}", idle_s)
        self.freed_bytes += self._stock.blobs[blob][0] * gone
        return gone

    def _named_since(self) -> set[str]:
        """Blobs of manifests that were put since the collection began."""
        known = {e.path for e in self._stock.entries}
        named: set[str] = set()
        for kept in self._store.survey("entries"):
            if kept.idle_s <= self._since_s or kept.name not in known:
                named |= _digests(self._store, kept.name)
        return named

    def records(self) -> None:
        """Let go what leads to entries that are there no more."""
        left = {e.key for e in self._stock.entries} - {e.key for e in self._gone}
        left |= {e.key for e in self._stock.entries if e not in set(self._gone)}
        mine = {e.key for e in self._gone}
        for key, names in self._stock.pointers.items():
            if key not in left:
                for name in names:
                    self._store.discard(name, self._since_s if key in mine else GRACE_S)


# -- what is there -------------------------------------------------------------------------


def take_stock(store: Measured) -> Stock:
    """What is in a store. It reads every manifest, and nothing else of what the store holds.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    stock = Stock()
    # Blobs first: one that is listed has its manifest by the time that manifests are read, or is young.
    for kept in store.survey("blobs"):
        stock.blobs[kept.name.rpartition("/")[2]] = kept.size_bytes, kept.idle_s
    for family in ("names", "pins"):
        for kept in store.survey(family):
            stock.other_bytes += kept.size_bytes
            key = kept.name.rpartition("/")[2] if family == "names" else kept.name.split("/")[1]
            stock.pointers.setdefault(key, []).append(kept.name)
            if family == "pins":
                stock.pinned.add(pinned_path(kept.name))
    now = datetime.now(UTC)
    for kept in store.survey("entries"):
        data = store.get(kept.name)
        if data is None:
            continue
        try:
            raw = json.loads(bytes(data))
        except (ValueError, RecursionError):
            stock.torn.append(kept.name)
            stock.other_bytes += kept.size_bytes
            continue
        entry = _entry(kept, raw, now)
        if entry is not None:
            stock.entries.append(entry)
        else:
            stock.other_bytes += kept.size_bytes
            stock.needed |= _digests_in(data)
    return stock
