"""Which entries go when a store is to be smaller: pure functions of what is known of the entries.

**What an entry is worth** is the work that it spares, per byte that its going would free, by the chance that it is
used again soon. Nobody knows that chance; what is known is how long nobody has used it, and whatever has been idle for
a time is about as likely to be idle for that time again: the chance falls as one over the idle time. So the worth is
``seconds of work / (bytes * (idle + an hour))``: slow and small entries stay, quick and big ones go, and any of them
goes in the end if nobody wants it. There is nothing to tune; within an hour, all uses are as good as now.

A blob that several entries name counts for each in equal parts, one that a kept entry needs anyway counts for none.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: Uses within this time are as good as now.
_RECENT_S = 3600.0
#: What is left of the most that a store may hold after a collection: the next one is as far away as a tenth of it.
LEFT = 0.9

LEAST_WORTH = "least work spared for its bytes and age"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What is to be known of an entry.

    Attributes
    ----------
    path
        The name of its manifest.
    name, key
        The block's name, and the digest of the key.
    age_s, idle_s
        Seconds since it was made, and since it was used.
    work_s
        Seconds that it spares.
    size_bytes
        What its manifest takes up.
    blobs
        Digests of all blobs that it needs.
    """

    path: str
    name: str
    key: str
    age_s: float
    idle_s: float
    work_s: float
    size_bytes: int
    blobs: frozenset[str]


class Limits(NamedTuple):
    """What a store is to be held to; None for no such limit.

    Attributes
    ----------
    max_bytes
        What all that it keeps may take up.
    keep
        How many entries of one name, newest first.
    ttl_s, idle_s
        Seconds since an entry was made, and since it was used.
    """

    max_bytes: int | None = None
    keep: int | None = None
    ttl_s: float | None = None
    idle_s: float | None = None


class Going(NamedTuple):
    """An entry that goes, why, and what that frees."""

    entry: Entry
    why: str
    freed_bytes: int


class _Shares:
    """What the going of each entry frees, as they go one after the other."""

    def __init__(self, entries: Iterable[Entry], fixed: Collection[str], sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self.fixed = fixed
        self.holders: dict[str, set[Entry]] = {}
        for entry in entries:
            for blob in entry.blobs:
                self.holders.setdefault(blob, set()).add(entry)

    def of(self, entry: Entry) -> float:
        """An entry's part of the bytes that only entries which may go need."""
        mine = (b for b in entry.blobs if b not in self.fixed)
        return entry.size_bytes + sum(self._sizes.get(b, 0) / len(self.holders[b]) for b in mine)

    def drop(self, entry: Entry) -> tuple[int, set[Entry]]:
        """Let one go: the bytes that this frees, and other entries whose part is larger now."""
        freed_bytes, others = entry.size_bytes, set()
        for blob in entry.blobs:
            left = self.holders[blob]
            left.discard(entry)
            if not left and blob not in self.fixed:
                freed_bytes += self._sizes.get(blob, 0)
            # At every halving, or a blob of thousands would be looked at thousands of times.
            if len(left) & (len(left) - 1) == 0:
                others |= left
        return freed_bytes, others


def choose(
    entries: Collection[Entry],
    sizes: Mapping[str, int],
    limits: Limits,
    *,
    spared: Collection[str] = (),
    needed: Collection[str] = (),
    other_bytes: int = 0,
) -> list[Going]:
    """The entries that go, in order, so that the limits hold as far as they can.

    Parameters
    ----------
    entries
        All of them.
    sizes
        What each blob takes up that is in the store.
    limits
        What is to hold afterwards.
    spared
        Paths of entries that stay whatever the limits say: they are pinned, or were saved just now.
    needed
        Digests of blobs that somebody else needs.
    other_bytes
        What else the store holds, and must.
    """
    staying = [e for e in entries if e.path in spared]
    free = [e for e in entries if e.path not in spared]
    fixed = set(needed).union(*(e.blobs for e in staying))
    shares = _Shares(free, fixed, sizes)
    going: list[Going] = []
    whys = _by_rules(entries, limits)
    for entry in free:
        if entry.path in whys:
            going.append(Going(entry, whys[entry.path], shares.drop(entry)[0]))
    if limits.max_bytes is None:
        return going
    left = [e for e in free if e.path not in whys]
    held = fixed.union(*(e.blobs for e in left))
    total = other_bytes + sum(e.size_bytes for e in (*staying, *left)) + sum(sizes.get(b, 0) for b in held)
    if total > limits.max_bytes:
        going += _least_worth(left, shares, total - int(LEFT * limits.max_bytes))
    return going


def _by_rules(entries: Iterable[Entry], limits: Limits) -> dict[str, str]:
    """Why entries go whatever they are worth, by path."""
    whys: dict[str, str] = {}
    seen: dict[str, int] = {}
    for entry in sorted(entries, key=lambda e: (e.age_s, e.path)):
        newer = seen[entry.name] = seen.get(entry.name, -1) + 1
        if limits.ttl_s is not None and entry.age_s >= limits.ttl_s:
            whys[entry.path] = "older than the ttl"
        elif limits.idle_s is not None and entry.idle_s >= limits.idle_s:
            whys[entry.path] = "not used for so long"
        elif limits.keep is not None and newer >= limits.keep:
            whys[entry.path] = f"{limits.keep} newer of the name"
    return whys


def worth(work_s: float, part_bytes: float, idle_s: float) -> float:
    """What keeping an entry is worth, see the module."""
    return work_s / (max(part_bytes, 1.0) * (idle_s + _RECENT_S))


def _least_worth(entries: Iterable[Entry], shares: _Shares, excess_bytes: int) -> list[Going]:
    """Entries that go until so many bytes are free, least worth first."""
    going: list[Going] = []
    worths: dict[str, float] = {}
    queue: list[tuple[float, float, str, Entry]] = []

    def queued(entry: Entry) -> tuple[float, float, str, Entry]:
        worths[entry.path] = now = worth(entry.work_s, shares.of(entry), entry.idle_s)
        return now, -entry.idle_s, entry.path, entry

    queue = [queued(entry) for entry in entries]
    heapq.heapify(queue)
    while queue and excess_bytes > 0:
        value, _, path, entry = heapq.heappop(queue)
        if worths.get(path) != value:  # it is worth less by now, and stands further ahead
            continue
        del worths[path]
        freed_bytes, others = shares.drop(entry)
        excess_bytes -= freed_bytes
        going.append(Going(entry, LEAST_WORTH, freed_bytes))
        for other in others:
            if other.path in worths:
                heapq.heappush(queue, queued(other))
    return going
