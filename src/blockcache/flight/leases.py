"""Leases of this process, and the thread that keeps them."""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator

from blockcache.errors import StoreError
from blockcache.flight.owners import Owner, machine, process
from blockcache.stores import Store

#: How often an owner writes its record again.
_BEAT_S = 10.0

# By store and key: leases of this process, claimed or about to be. Whoever runs a body keeps its lease: one that is
# forgotten, because Ctrl-C came in between or a generator was left, ends by itself.
_table: weakref.WeakValueDictionary[tuple[str, str], Lease] = weakref.WeakValueDictionary()
_lock = threading.RLock()


class Lease:
    """The right to run a body while others wait.

    Parameters
    ----------
    store
        Where the record is.
    what
        The key, and the variant where it is known.
    name
        The block's name.
    """

    def __init__(self, store: Store, what: str, name: str) -> None:
        self.store, self.what, self.name = store, what, name
        self.thread = threading.get_ident()
        self.native = threading.get_native_id()
        #: The number of its record; 0 of a lease that is not held.
        self.number = 0
        self.is_over = False
        self._waits: list[str] = []
        self._started = time.time()
        self._pid = os.getpid()
        self._wakes: list[Callable[[], object]] = []
        self._writing = threading.RLock()

    def owner(self) -> Owner:
        """What the record says now."""
        pid, started = process()
        now = time.time()
        waits = tuple(self._waits)
        return Owner(os.uname().nodename, machine(), pid, started, self.native, self.name, self._started, now, waits)

    def hold(self, number: int) -> bool:
        """Put the record, if there is none of this number."""
        if not self.store.put_new(_record_name(self.what, number), [self._record()]):
            return False
        self.number = number
        _start_beating()
        return True

    def beat(self) -> None:
        """Write the record again."""
        if self._pid != os.getpid():
            return
        with self._writing:
            if self.number and not self.is_over:
                self.store.put(_record_name(self.what, self.number), [self._record()])

    def _record(self) -> bytes:
        return json.dumps(self.owner()._asdict()).encode()

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Tell others that what runs under this lease waits for another one."""
        self._waits.append(what)
        try:
            with contextlib.suppress(StoreError):
                self.beat()
            yield
        finally:
            self._waits.remove(what)
            with contextlib.suppress(StoreError):
                self.beat()

    def when_over(self, wake: Callable[[], object]) -> None:
        """Call ``wake`` at the end, or now."""
        with self._writing:
            if not self.is_over:
                self._wakes.append(wake)
                return
        wake()

    def end(self) -> None:
        """Let others go on; a second time does nothing."""
        if self._pid != os.getpid():  # a copy of the process: the lease is its parent's
            return
        with self._writing:
            if self.is_over:
                return
            self.is_over = True
        for number in range(1, self.number + 1):  # upward: a record is there as long as one below it
            with contextlib.suppress(StoreError):  # who meets it sees that nobody holds it
                self.store.delete(_record_name(self.what, number))
        with _lock:
            if _table.get((self.store.url, self.what)) is self:
                del _table[self.store.url, self.what]
        for wake in self._wakes:
            with contextlib.suppress(Exception):  # an event loop that is closed
                wake()
        self._wakes.clear()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.end()


def claimed(lease: Lease) -> Lease:
    """Whoever comes first in this process to what ``lease`` is for: it, or the one before it."""
    with _lock:
        return _table.setdefault((lease.store.url, lease.what), lease)


def claims(what: str) -> int:
    """How many leases of this process are for the same, in whatever store."""
    with _lock:
        return sum(of == what for _, of in _table)


def _record_name(what: str, number: int) -> str:
    return f"leases/{what}" if number == 1 else f"leases/{what}.{number}"


def top(store: Store, what: str) -> tuple[int, bytes | None]:
    """The record of the highest number; there is one of each number below."""
    number, found = 0, None
    while (data := store.get(_record_name(what, number + 1))) is not None:
        number, found = number + 1, bytes(data)
    return number, found


# -- beating -----------------------------------------------------------------------------------


class _Heart:
    """A thread that writes records again, until no lease is held.

    One that `threading` does not know: programs join all those that it lists.
    """

    def __init__(self) -> None:
        self._stop, self._stopped = _thread.allocate_lock(), _thread.allocate_lock()
        self._stop.acquire()
        self._stopped.acquire()
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        global _heart
        try:
            while not self._stop.acquire(timeout=_BEAT_S):
                with _lock:
                    held = [lease for lease in _table.values() if lease.number]
                    if not held:
                        if _heart is self:
                            _heart = None
                        return
                for lease in held:
                    with contextlib.suppress(Exception):
                        lease.beat()
                del held
        finally:
            self._stopped.release()

    def stop(self) -> None:
        """End the thread, after what it writes just now."""
        self._stop.release()
        self._stopped.acquire(timeout=_BEAT_S)


_heart: _Heart | None = None
_was_beating = False


def _start_beating() -> None:
    global _heart
    if _heart is None:
        with _lock:
            if _heart is None:
                with contextlib.suppress(RuntimeError):  # no more threads: others may take over too early
                    _heart = _Heart()


def _before_fork() -> None:
    # Python warns of a fork beside threads, and with reason.
    global _heart, _was_beating
    heart, _heart = _heart, None
    _was_beating = heart is not None
    if heart is not None:
        heart.stop()


def _after_fork_in_parent() -> None:
    if _was_beating:
        _start_beating()


def _after_fork_in_child() -> None:
    global _lock, _table
    _lock = threading.RLock()
    _table = weakref.WeakValueDictionary()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
