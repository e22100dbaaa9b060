"""Room in a store: a collection of what goes.

A collection runs beside writers and readers that know nothing of it. What keeps it safe:

- Blobs are listed before the manifests that may name them, and a blob that nobody names goes only when it was neither
  put nor touched for an hour: a writer puts blobs first and the manifest last, and touches a blob that it finds.
- Whatever goes is looked at immediately before. A manifest that was used, or a blob that was touched, since the
  collection began stays. Before young blobs of an entry go, manifests that were put meanwhile are read.
- A writer looks again, after its manifest, whether its blobs are still there.
- A reader whose entry goes misses; memory that it has mapped stays valid.

What goes wrong all the same costs room, or one more run of a body; never a value.

A collection looks at every name. Of few that takes a moment, within the save that made it due; in a large store a
process of its own does it, so that no save waits for more than a look at a few thousand names.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import xxhash

from blockcache.capacity import max_bytes
from blockcache.errors import StoreError
from blockcache.eviction import LEFT, Entry, Going, Limits, choose
from blockcache.model import FORMAT, SERVED
from blockcache.naming import pinned_path
from blockcache.settings import Settings
from blockcache.stores import Buffer, Kept, Measured, Store, is_measured

#: How long a blob that no entry names may belong to a save that is going on, and what a killed one left stays.
GRACE_S = 3600.0
#: How long other families stay: what `blockcache verify` found wrong, for people to look at; leases, which a living
#: owner renews all the time.
STAY_S = {"quarantine": 7 * 24 * 3600.0, "leases": 24 * 3600.0}
#: Times of files are this coarse.
_TICK_S = 0.05
#: How many names a save looks at: at 60 us each for all that a collection does, a quarter of a second.
_AT_ONCE = 4000
#: Above this many times of what the store may hold a save collects itself, however long that takes.
_BEHIND = 1.25
#: How long a process may take before another one is sent.
_PATIENCE_S = 300.0

_DIGEST = re.compile(rb"[0-9a-f]{32}")


@dataclass(slots=True)
class Stock:
    """What is in a store.

    Attributes
    ----------
    entries
        Those whose manifests can be read.
    blobs
        Of each blob's digest: what it takes up, and seconds since it was put or touched.
    needed
        Digests in manifests of newer formats: blobs that these may need.
    torn
        Names of manifests that no version could read.
    pinned
        Paths of pinned entries.
    leading
        By key, names of the records that lead to it: pointers from block names, and pins.
    keys
        Keys that have a manifest, readable or not.
    passing
        Names that stay for a time only: for how long, and what they take up.
    other_bytes
        What everything takes up but ``entries`` and ``blobs``.
    """

    entries: list[Entry] = field(default_factory=list)
    blobs: dict[str, tuple[int, float]] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)
    pinned: set[str] = field(default_factory=set)
    leading: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    passing: dict[str, tuple[float, int]] = field(default_factory=dict)
    other_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """What all of it takes up."""
        return self.other_bytes + sum(e.size_bytes for e in self.entries) + sum(s for s, _ in self.blobs.values())

    @property
    def nobodys(self) -> set[str]:
        """Blobs that no manifest names."""
        return self.blobs.keys() - self.needed.union(*(e.blobs for e in self.entries))

    def orphans(self) -> dict[str, int]:
        """Those of them that no save can need that is going on, with what they take up."""
        found = ((b, self.blobs[b]) for b in self.nobodys)
        return {b: size for b, (size, idle_s) in found if idle_s >= GRACE_S}


class Collected(NamedTuple):
    """What a collection took out of a store, or would.

    Attributes
    ----------
    going
        Entries.
    orphans, orphan_bytes
        Blobs that no entry named and what is left of interrupted writers: how many blobs, and what all took up.
    freed_bytes, left_bytes
        What everything took up that went, and what is left.
    sent
        Nothing yet: a process of its own is at it.
    """

    going: tuple[Going, ...]
    orphans: int
    orphan_bytes: int
    freed_bytes: int
    left_bytes: int
    sent: bool = False


# -- collections ---------------------------------------------------------------------------


def limits(store: Store, settings: Settings) -> Limits:
    """What the settings hold a store to."""
    return Limits(max_bytes(store, settings), settings.keep, settings.ttl)


def after_save(store: Store, settings: Settings, path: str) -> Collected | None:
    """Collect where the store does hold more than it may; the entry ``path``, which was saved just now, stays.

    Returns what was collected; None where there was nothing to do, or somebody else is at it.

    Raises
    ------
    StoreError
        When the store cannot be read or changed.
    """
    most = max_bytes(store, settings)
    if most is None or not is_measured(store):
        return None
    with store.alone() as alone:
        is_urgent = (store.room().filled_bytes or 0) > _BEHIND * most
        if not alone or (time.monotonic() < _sent.get(store.url, 0.0) and not is_urgent):
            return None
        survey = store.survey("")
        found = list(itertools.islice(survey, _AT_ONCE))
        if len(found) < _AT_ONCE or is_urgent:
            return _collect_full(store, [*found, *survey], limits(store, settings), path)
    # Not in here: the process wants to be alone too.
    if _send(store.url, limits(store, settings), path):
        _sent[store.url] = time.monotonic() + _PATIENCE_S
        return Collected((), 0, 0, 0, 0, sent=True)
    with store.alone() as alone:
        return _collect_full(store, store.survey(""), limits(store, settings), path) if alone else None


def _collect_full(store: Measured, found: Iterable[Kept], wanted: Limits, path: str) -> Collected | None:
    """Collect where the store is too full, as it was found; None when it is not."""
    sweep = _Sweep(store, found)
    # What is wrong is the estimate, often: to look is quick, and to read every manifest is not.
    if wanted.max_bytes is None or sweep.found_bytes <= wanted.max_bytes:
        store.settle(sweep.found_bytes)
        return None
    return sweep.collect(wanted, spared={path})


def collect(store: Store, wanted: Limits, *, dry_run: bool = False) -> Collected:
    """Take out of a store what the limits say, and what nobody needs.

    Raises
    ------
    StoreError
        When the store cannot be read or changed, cannot tell what its names take up, or is being collected by
        somebody else.
    """
    if not is_measured(store):
        raise StoreError(f"the store {store.url} does not tell what its entries take up. Use `blockcache rm`.")
    if dry_run:
        stock = take_stock(store, store.survey(""))
        going, orphans = due(stock, wanted), stock.orphans()
        freed_bytes = sum(g.freed_bytes for g in going) + sum(orphans.values())
        left_bytes = stock.size_bytes - freed_bytes
        return Collected(tuple(going), len(orphans), sum(orphans.values()), freed_bytes, left_bytes)
    with store.alone() as alone:
        if not alone:
            raise StoreError(f"the store {store.url} is being collected by somebody else just now. Try again later.")
        done = _Sweep(store, store.survey("")).collect(wanted)
        tidied = store.tidy(GRACE_S)
    return done._replace(orphan_bytes=done.orphan_bytes + tidied, freed_bytes=done.freed_bytes + tidied)


def due(stock: Stock, wanted: Limits, spared: Collection[str] = ()) -> list[Going]:
    """The entries that go by the limits; blobs that nobody needs go first, and count no more."""
    orphans = stock.orphans()
    return choose(
        stock.entries,
        {b: size for b, (size, _) in stock.blobs.items()},
        wanted,
        spared={*spared, *stock.pinned},
        needed=stock.needed,
        other_bytes=stock.other_bytes + sum(stock.blobs[b][0] for b in stock.nobodys if b not in orphans),
    )


# -- in a process of its own ---------------------------------------------------------------

# By the store's place, the time of this process until which nobody else is sent.
_sent: dict[str, float] = {}

#: The child that is waited for ends at once; its own belongs to nobody, and nobody meets it in `os.wait`.
_APART = """
import os, sys
if os.fork():
    os._exit(0)
os.nice(10)
sys.path += sys.argv[3:]
from blockcache.room import collect_apart
collect_apart(*sys.argv[1:3])
"""


def _send(url: str, wanted: Limits, path: str) -> bool:
    """Let a process of its own collect a local store; whether that can be."""
    if not os.path.basename(sys.executable or "").startswith("python") or getattr(sys, "frozen", False):
        return False  # a program that has Python inside
    roots = {os.path.dirname(os.path.dirname(os.path.abspath(file))) for file in (__file__, xxhash.__file__)}
    command = [sys.executable, "-I", "-c", _APART, url, json.dumps([wanted, path]), *roots]
    nothing = subprocess.DEVNULL
    try:
        return not subprocess.call(
            command, stdin=nothing, stdout=nothing, stderr=nothing, cwd="/", start_new_session=True
        )
    except OSError:
        return False


def collect_apart(url: str, what: str) -> None:
    """Be that process."""
    from blockcache.stores.opened import store_at

    wanted, path = json.loads(what)
    store = store_at(url)
    assert is_measured(store)
    for _ in range(100):  # a save may have a look just now
        with store.alone() as alone:
            if alone:
                _collect_full(store, store.survey(""), Limits(*wanted), path)
                return
        time.sleep(0.1)


class _Sweep:
    """One collection: everything that goes is looked at immediately before."""

    def __init__(self, store: Measured, found: Iterable[Kept]) -> None:
        self._store = store
        self._began = time.monotonic()
        self._kept = list(found)
        self._stock = Stock()
        self._gone: set[Entry] = set()
        self._freed_bytes = 0

    @property
    def found_bytes(self) -> int:
        """What was there."""
        return sum(kept.size_bytes for kept in self._kept)

    def collect(self, wanted: Limits, spared: Collection[str] = ()) -> Collected:
        """Take out what the limits say but the ``spared``, and what nobody needs."""
        before = self._store.room().filled_bytes or 0
        self._stock = take_stock(self._store, self._kept)
        # What was put this very moment cannot be told from what is put meanwhile, and stays: others go in its place.
        young = (e.path for e in self._stock.entries if e.idle_s <= _TICK_S)
        going = self._entries(due(self._stock, wanted, {*spared, *young}))
        orphans, orphan_bytes = self._blobs()
        self._records()
        self._passing()
        left_bytes = self.found_bytes - self._freed_bytes
        # What others have put meanwhile may be in what was found, or not.
        meanwhile = max((self._store.room().filled_bytes or 0) - before, 0)
        # Where what is pinned fills the store, the next collection must not be due at once.
        most = math.inf if wanted.max_bytes is None else LEFT * wanted.max_bytes
        self._store.settle(int(min(left_bytes + meanwhile, most)))
        return Collected(tuple(going), orphans, orphan_bytes, self._freed_bytes, left_bytes)

    @property
    def _since_s(self) -> float:
        """Since the collection began: what was put or touched in that time stays."""
        return time.monotonic() - self._began + _TICK_S

    def _entries(self, going: Iterable[Going]) -> list[Going]:
        """Let entries go; those that did."""
        done = []
        for one in going:
            if self._store.discard(one.entry.path, self._since_s):
                done.append(one)
                self._gone.add(one.entry)
                self._freed_bytes += one.entry.size_bytes
            elif not self._store.exists(one.entry.path):
                self._gone.add(one.entry)  # by somebody else; one that is used again stays
        for path in self._stock.torn:
            if self._store.discard(path, GRACE_S):
                self._stock.keys[_key(path)] -= 1
        return done

    def _blobs(self) -> tuple[int, int]:
        """Let blobs go that nobody needs; how many were nobody's before, and what they took up."""
        orphans = [(b, size) for b, size in self._stock.orphans().items() if self._discard(b, GRACE_S)]
        staying = (e.blobs for e in self._stock.entries if e not in self._gone)
        freed = set[str]().union(*(e.blobs for e in self._gone)) & self._stock.blobs.keys()
        freed -= self._stock.needed.union(*staying)
        if any(self._stock.blobs[b][1] < GRACE_S for b in freed):
            freed -= self._named_since()
        for blob in freed:
            self._discard(blob, self._since_s)
        return len(orphans), sum(size for _, size in orphans)

    def _discard(self, blob: str, idle_s: float) -> bool:
        is_gone = self._store.discard(f"blobs/{blob}", idle_s)
        self._freed_bytes += self._stock.blobs[blob][0] * is_gone
        return is_gone

    def _named_since(self) -> set[str]:
        """Blobs that manifests name which were put since the collection began."""
        named: set[str] = set()
        for kept in self._store.survey("entries"):
            if kept.idle_s <= self._since_s and (data := self._store.get(kept.name)) is not None:
                named |= _digests(data)
        return named

    def _records(self) -> None:
        """Let go what leads to keys that have no entry any more."""
        mine = {e.key for e in self._gone}
        for entry in self._gone:
            self._stock.keys[entry.key] -= 1
        for key, names in self._stock.leading.items():
            if not self._stock.keys.get(key):
                for name in names:
                    self._store.discard(name, self._since_s if key in mine else GRACE_S)

    def _passing(self) -> None:
        """Let go what has stayed for as long as it may."""
        for name, (stay_s, size_bytes) in self._stock.passing.items():
            self._freed_bytes += size_bytes * self._store.discard(name, stay_s)


# -- what is there -------------------------------------------------------------------------


def take_stock(store: Measured, found: Iterable[Kept]) -> Stock:
    """What is in a store of which ``found`` is a survey: every manifest is read, and nothing else.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    stock, manifests = Stock(), []
    for kept in found:
        family, _, rest = kept.name.partition("/")
        if family == "blobs":
            stock.blobs[rest] = kept.size_bytes, kept.idle_s
        elif family == "entries":
            manifests.append(kept)
        else:
            stock.other_bytes += kept.size_bytes
            if family == "names":
                stock.leading.setdefault(rest.rpartition("/")[2], []).append(kept.name)
            elif family == "pins":
                stock.leading.setdefault(rest.partition("/")[0], []).append(kept.name)
                stock.pinned.add(pinned_path(kept.name))
            elif family in STAY_S:
                stock.passing[kept.name] = STAY_S[family], kept.size_bytes
    # Afterwards: a blob that was listed has its manifest by now, or is young.
    now = datetime.now(UTC)
    for kept in manifests:
        _count(stock, kept, store.get(kept.name), now)
    return stock


def _count(stock: Stock, kept: Kept, data: Buffer | None, now: datetime) -> None:
    """Count one manifest."""
    if data is None:  # somebody removed it this very moment
        return
    key = _key(kept.name)
    stock.keys[key] = stock.keys.get(key, 0) + 1
    try:
        raw = json.loads(bytes(data))
    except (ValueError, RecursionError):
        stock.torn.append(kept.name)
        stock.other_bytes += kept.size_bytes
        return
    try:
        stock.entries.append(_entry(kept, key, raw, now))
    except (KeyError, TypeError, ValueError, IndexError):  # of a newer format, or foreign: whoever made it may need it
        stock.needed |= _digests(data)
        stock.other_bytes += kept.size_bytes


def _entry(kept: Kept, key: str, raw: Mapping[str, Any], now: datetime) -> Entry:
    """What is to be known of an entry.

    Raises
    ------
    KeyError, TypeError, ValueError, IndexError
        When the record is not a manifest of a format that this version knows.
    """
    if raw["format"] > FORMAT:
        raise ValueError("of a newer format")
    made = raw["provenance"]
    blobs = {row[0] for row in raw["blobs"]} | {row[1] for row in raw.get("files", ())} | {raw.get("texts", "")}
    if not all(type(text) is str for text in (raw["name"], *blobs)):
        raise TypeError("not text")
    return Entry(
        path=kept.name,
        name=raw["name"],
        key=key,
        age_s=(now - datetime.fromisoformat(made["made_at"])).total_seconds(),
        idle_s=kept.idle_s,
        # What is never served any more spares nothing.
        work_s=max(float(made["duration_s"]), 0.0) if raw["format"] in SERVED else 0.0,
        size_bytes=kept.size_bytes,
        blobs=frozenset(blobs),
    )


def _digests(data: Buffer) -> set[str]:
    """Everything in a record that may be a digest."""
    return {found.decode() for found in _DIGEST.findall(data)}


def _key(path: str) -> str:
    """The key's digest in a manifest's name."""
    return path.split("/")[1]
