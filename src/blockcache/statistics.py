"""Statistics of a store: what happened at its blocks, counted in every process and kept in the store.

A process counts in memory and now and then puts what it has counted under a name of its own, which nobody else
writes: all of it, in the place of what it put before. What is left by processes that are over is folded into one
record. Each record is of one of these kinds, so nothing is counted twice:

- **open**: its process may write it again, until half a day has gone by since it did; then it begins another.
- **closed**: its process is over, or it is a fold. So is one that nobody has written for a day.

A fold names the records that it took up. It is put before they are deleted, and a reader skips those that are still
there: whoever is killed in between loses nothing and doubles nothing. Two do not fold at the same time.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from blockcache.counts import ByName, Counts, add_all
from blockcache.events import BlockFinished, subscribe
from blockcache.stores import Store, is_measured
from blockcache.stores.opened import store_at

#: The form of a record; one of a newer form is left alone.
FORM = 1
#: How often a process puts what it has counted, and how many events it keeps before it counts them.
_PERIOD_S = 10.0
#: A body that ran has had its files written; then it does so earlier by this.
_EARLIER_S = 9.0
_MOST_EVENTS = 1000
#: Writing takes at most this share of the time, however many names there are.
_SHARE = 0.01
_DAY_S = 24 * 3600.0
#: A process that ends folds when there are this many records, or a multiple.
FOLD_AT = 32
_RETRIES = 5


class _Record(NamedTuple):
    """One record: what it counts, whether its process is over, the names of those that it took up."""

    names: ByName
    closed: bool
    folded: frozenset[str]
    known: bool = True


# -- in a store ----------------------------------------------------------------------------


def read(store: Store) -> ByName:
    """What all processes have put so far.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    for _ in range(_RETRIES):
        found = {name: _load(store, name) for name in store.list("stats")}
        if None not in found.values():  # else a fold took it up meanwhile
            break
    total: ByName = {}
    for record in _apart({name: record for name, record in found.items() if record is not None}).values():
        add_all(total, record.names)
    return total


def reset(store: Store) -> None:
    """Forget what was counted; processes that run go on from nothing.

    Raises
    ------
    StoreError
        When the store cannot be changed.
    """
    for name in list(store.list("stats")):
        store.delete(name)


def fold(store: Store) -> None:
    """Make one record of those whose processes are over.

    Raises
    ------
    StoreError
        When the store cannot be read or changed.
    """
    if not is_measured(store):
        return
    with store.alone() as alone:
        if not alone:
            return
        idle_s = {kept.name: kept.idle_s for kept in store.survey("stats")}
        records = {name: record for name in idle_s if (record := _load(store, name)) is not None}
        done = {n: r for n, r in records.items() if r.known and (r.closed or idle_s[n] > _DAY_S)}
        if len(done) < 2:
            return
        total: ByName = {}
        for record in _apart(done).values():
            add_all(total, record.names)
        _put(store, _new_name(), _Record(total, True, frozenset(done)))
        for name in done:
            store.delete(name)


def _apart(records: dict[str, _Record]) -> dict[str, _Record]:
    """The records that no other one took up."""
    folded = frozenset().union(*(record.folded for record in records.values()))
    return {name: record for name, record in records.items() if name not in folded}


def _load(store: Store, name: str) -> _Record | None:
    """A record; None when it is gone. One that is torn counts nothing, and goes with the next fold."""
    data = store.get(name)
    if data is None:
        return None
    try:
        raw = json.loads(bytes(data))
        if raw["form"] > FORM:
            return _Record({}, False, frozenset(), known=False)
        names = {str(name): Counts.from_json(counts) for name, counts in raw["names"].items()}
        return _Record(names, bool(raw["closed"]), frozenset(map(str, raw["folded"])))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _Record({}, True, frozenset())


def _put(store: Store, name: str, record: _Record) -> None:
    names = {name: counts.to_json() for name, counts in record.names.items()}
    raw = {"form": FORM, "closed": record.closed, "folded": sorted(record.folded), "names": names}
    store.put(name, [json.dumps(raw).encode()])


def _new_name() -> str:
    return f"stats/{os.urandom(8).hex()}.json"


# -- in a process --------------------------------------------------------------------------


class _Counter:
    """What this process counts for one store."""

    def __init__(self, path: str) -> None:
        self.path = path
        # Appending is one step for all threads: a passage takes no lock.
        self.events: deque[BlockFinished] = deque()
        self.due = time.monotonic() + _PERIOD_S
        self._new: ByName = {}
        self._put: ByName = {}
        self._name = ""
        self._put_at = (0.0, 0.0)

    def count(self) -> None:
        """Count the events; whoever calls has the lock."""
        while self.events:
            event = self.events.popleft()
            counts = self._new.get(event.name)
            if counts is None:
                counts = self._new[event.name] = Counts()
            counts.count(event)

    def write(self, *, closed: bool) -> None:
        """Put what was counted, where there is a store that takes it; else it stays for the next time."""
        started = time.monotonic()
        with contextlib.suppress(Exception):  # whatever it is, it is no trouble of the program's
            if self._new or (closed and self._name):
                self._write(closed)
        now = time.monotonic()
        self.due = now + max(_PERIOD_S, (now - started) / _SHARE)

    def _write(self, closed: bool) -> None:
        store = store_at(self.path)
        if next(iter(store.list("entries")), None) is None:
            return  # a store that was deleted, or never made, is not made for this
        # What somebody has deleted, or may take for that of a process that is over, is not written again.
        if not self._name or self._idle_s() > _DAY_S / 2 or not store.exists(self._name):
            self._name, self._put = _new_name(), {}
        total: ByName = {}
        add_all(total, self._put)
        add_all(total, self._new)
        if total:
            _put(store, self._name, _Record(total, closed, frozenset()))
        self._put, self._new, self._put_at = total, {}, (time.time(), time.monotonic())
        if closed:
            self._name = ""
            if sum(1 for _ in store.list("stats")) % FOLD_AT == 0:
                fold(store)

    def _idle_s(self) -> float:
        """Since the last put, by that clock which says more: one may be set, and the other stands still in sleep."""
        return max(time.time() - self._put_at[0], time.monotonic() - self._put_at[1])


_counters: dict[str, _Counter] = {}
_lock = threading.Lock()
_closes_at_exit = False


def install() -> None:
    """Subscribe to events; calling it again changes nothing."""
    subscribe(collect)


def collect(event: BlockFinished) -> None:
    """Note one passage; every few seconds, put what was counted."""
    if event.counted_in is None:
        return
    counter = _counters.get(event.counted_in)
    if counter is None:
        counter = _begin(event.counted_in)
    counter.events.append(event)
    is_due = time.monotonic() >= counter.due - (0.0 if event.outcome == "hit" else _EARLIER_S)
    if (is_due or len(counter.events) >= _MOST_EVENTS) and _lock.acquire(blocking=False):
        try:
            counter.count()
            if is_due:
                counter.write(closed=False)
        finally:
            _lock.release()


def close(paths: Iterable[str] | None = None) -> None:
    """Put what was counted, for these stores or for all; the process is over."""
    if not _lock.acquire(timeout=1.0):
        return
    try:
        for path in list(_counters if paths is None else paths):
            counter = _counters.pop(path, None)
            if counter is not None:
                counter.count()
                counter.write(closed=True)
    finally:
        _lock.release()


def _begin(path: str) -> _Counter:
    global _closes_at_exit
    if not _closes_at_exit:
        _closes_at_exit = True
        atexit.register(close)
        pools = sys.modules.get("multiprocessing.util")
        if pools is not None:
            # A worker process of multiprocessing ends without the exit functions of others.
            pools.Finalize(None, close, exitpriority=0)
    return _counters.setdefault(path, _Counter(path))


def _after_fork() -> None:
    """A child counts what happens in it; what happened before, its parent does."""
    global _lock, _closes_at_exit
    _counters.clear()
    _lock = threading.Lock()
    _closes_at_exit = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
