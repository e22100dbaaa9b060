"""Single flight: of all who miss one entry at the same time, one runs the body; the others wait, and look again.

Who runs it holds a lease: a record under ``leases/`` in the store, for other processes, and a place in a table of this
process, for its threads and tasks. FORMAT.md says what the record holds and when it is garbage. A lease is about
time only: whoever runs a body without one, or after losing it, saves the same entry under the same name.

Nobody waits for good:

* for an owner who is gone. On the same machine the system knows; of another machine the waiter sees, by its own clock,
  whether the record is written again every few seconds. Who takes over puts a record beside the old one, under
  the next number, so that one of several wins and nothing that a slow owner does later touches the new lease.
* in a circle. Who waits inside of a body writes that into the record of its lease, and reads what the other one
  waits for. A process that was started by the owner counts as inside of its body.
* for an owner that waits for something else which the waiter holds (a place in a pool, a lock). That cannot be
  seen: but a thread that has not used the processor for minutes may as well be one.
* twice for the same lease: an owner whose run left no entry has shown that waiting for the next one is no use.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import platform
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from blockcache.errors import StoreError
from blockcache.report import duration
from blockcache.stores import Store

if TYPE_CHECKING:
    import asyncio

#: How often an owner writes its record again, and when one on another machine counts as gone.
_BEAT_S = 10.0
_SILENT_S = 90.0
#: A wait that is shorter is not worth a word.
_SPEAK_AFTER_S = 1.0
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.005, 0.5
#: When an owner in this process that uses less than this share of the processor is not waited for any longer.
_IDLE_S = 300.0
_IDLE_SHARE = 0.01

#: What to wait for next: the end of a lease of this process or, without one, time; at most so many seconds.
Step = tuple["Lease | None", float]


class Over:
    """The one who was waited for is done: it is time to look again."""


OVER: Final = Over()


# -- who is who --------------------------------------------------------------------------------


class Owner(NamedTuple):
    """What the record of a lease says.

    Attributes
    ----------
    host, pid
        For people.
    machine
        Where process numbers mean the same: a boot of a machine, a space of process numbers in it; or a host's name.
    process
        When the process started, by the machine's own count; 0 where that is not known.
    thread
        The system's number of the thread.
    name
        The block's name.
    started, written
        When the body began, and the record was written last: seconds since 1970 by the owner's clock.
    waits
        Keys whose leases it waits for.
    """

    host: str
    machine: str
    pid: int
    process: int
    thread: int
    name: str
    started: float
    written: float
    waits: tuple[str, ...]

    @classmethod
    def read(cls, data: memoryview | bytes) -> Owner | None:
        """What a record says; None of one that is not whole."""
        try:
            record = json.loads(bytes(data))
            found = cls(*(record[name] for name in cls._fields))
        except (ValueError, KeyError, TypeError):
            return None
        return found._replace(waits=tuple(map(str, found.waits))) if isinstance(found.pid, int) else None

    def lives(self) -> bool | None:
        """Whether the process is there; None where that cannot be told from here."""
        if self.machine != _machine():
            return None
        status = _status(self.pid)
        if status is not None:
            return status.state not in ("Z", "X") and status.started == self.process
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return None

    def came_after(self, other: Owner | None) -> bool:
        """Whether it is the record of another lease than ``other``."""
        return other is not None and (self.machine, self.pid, self.started) != (other.machine, other.pid, other.started)

    def is_ancestor(self) -> bool:
        """Whether it has started this process, or a process that did."""
        return self.machine == _machine() and self.pid in _ancestors()


class _Status(NamedTuple):
    state: str
    parent: int
    started: int


def _status(pid: int) -> _Status | None:
    """What Linux says of a process; None where it says nothing."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # its name may hold anything
        return _Status(fields[0].decode(), int(fields[1]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


#: What is known of this process; a copy of it has to ask again.
_known: dict[str, Any] = {}


def _machine() -> str:
    found = _known.get("machine")
    if found is None:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                found = f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
        except OSError:
            found = platform.node()
        _known["machine"] = found
    return str(found)


def _ancestors() -> frozenset[int]:
    found = _known.get("ancestors")
    if found is None:
        above, pid = [], os.getppid()
        while pid > 1 and pid not in above:
            above.append(pid)
            status = _status(pid)
            pid = status.parent if status is not None else 0
        found = _known["ancestors"] = frozenset(above)
    return frozenset(found)


def _process() -> tuple[int, int]:
    """The number of this process, and when it started."""
    pid = os.getpid()
    found = _known.get("process")
    if found is None:
        status = _status(pid)
        found = _known["process"] = status.started if status is not None else 0
    return pid, int(found)


def _used_s(thread: int) -> float:
    """Seconds of the processor that a thread of this process has used; 0 where that is not known."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
            return int(file.read().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


# -- leases ------------------------------------------------------------------------------------

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
        pid, started = _process()
        now = time.time()
        waits = tuple(self._waits)
        return Owner(platform.node(), _machine(), pid, started, self.native, self.name, self._started, now, waits)

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
            self.is_over = True
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


def _record_name(what: str, number: int) -> str:
    return f"leases/{what}" if number == 1 else f"leases/{what}.{number}"


def _top(store: Store, what: str) -> tuple[int, bytes | None]:
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
    _known.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


# -- waiting -----------------------------------------------------------------------------------


class Flight:
    """The way of one passage to a lease, or to somebody else's result.

    Parameters
    ----------
    store, name
        The store, and the block's name.
    wait_s
        How long to wait, in all; None: as long as the owner lives.
    blocks
        Whether this thread stands still while it waits, and with it what else runs in it.
    inside
        Leases that this code runs under: those who hold them wait, too.
    say
        Called with what is waited for, when that takes a while.
    usual_s
        How long the body took before; None if that is not known.

    Attributes
    ----------
    waited_s
        How long it has waited.
    whom
        For whom, in words; empty when for nobody.
    in_vain
        Whether it stopped waiting before the other one was done.
    took_over
        Whether it has the lease of an owner that is gone.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        wait_s: float | None,
        blocks: bool,
        inside: Sequence[Lease],
        say: Callable[[str], object],
        usual_s: float | None,
    ) -> None:
        self.waited_s, self.whom = 0.0, ""
        self.in_vain = self.took_over = False
        self._store, self._name, self._wait_s, self._blocks = store, name, wait_s, blocks
        self._inside, self._say, self._usual_s = inside, say, usual_s
        self._waited_for: set[str] = set()
        self._told: set[str] = set()

    def claim(self, what: str) -> Generator[Step, None, Lease | Over | None]:
        """Get the lease of ``what``, or wait until who has it is done.

        Returns
        -------
        Lease, Over or None
            The lease, to be ended; or it is time to look again; or the body is to be run without a lease.
        """
        mine = Lease(self._store, what, self._name)
        with _lock:
            other = _table.setdefault((self._store.url, what), mine)
        if other is not mine:
            mine.is_over = True
            return (yield from self._wait_here(other))
        taken: Lease | Over | None = None
        try:
            taken = yield from self._take(mine)
        except StoreError:  # saving will tell
            pass
        finally:
            if taken is not mine:
                mine.end()
        return taken

    def _take(self, mine: Lease) -> Generator[Step, None, Lease | Over | None]:
        """Get the lease in the store, or wait for the process that has it."""
        if mine.hold(1):
            return mine
        if mine.what in self._waited_for:
            return None
        began, seen, since = time.monotonic(), b"", 0.0
        last: tuple[int, Owner | None] = 0, None
        with self._waiting(mine.what):
            while True:
                number, data = _top(self._store, mine.what)
                owner = Owner.read(data) if data is not None else None
                if data is None or (owner is not None and owner.came_after(last[1]) and number <= last[0]):
                    self._waited_for.add(mine.what)
                    return OVER
                now, last = time.monotonic(), (number, owner)
                if data != seen:
                    seen, since = data, now
                if self._is_gone(mine.what, owner, now - since):
                    if mine.hold(number + 1):
                        self.took_over = True
                        return mine
                elif self._gives_up(owner, now - began, "" if owner is None else f"pid {owner.pid} on {owner.host}"):
                    return None
                yield None, min(max((now - began) / 10, _FIRST_PAUSE_S), _LAST_PAUSE_S)
                self.waited_s += time.monotonic() - now

    def _wait_here(self, other: Lease) -> Generator[Step, None, Over | None]:
        """Wait for another thread or task of this process."""
        is_here = other.thread == threading.get_ident()
        if other.what in self._waited_for or (is_here and self._blocks):
            return None
        began = since = time.monotonic()
        used_s = _used_s(other.native)
        with self._waiting(other.what):
            while not other.is_over:
                now = time.monotonic()
                if self._gives_up(other.owner(), now - began, "another task" if is_here else "another thread"):
                    return None
                if other.number and now - since >= _IDLE_S:
                    before_s, used_s, since = used_s, _used_s(other.native), now
                    if used_s - before_s < _IDLE_SHARE * _IDLE_S:
                        self.in_vain = True
                        return None
                yield other, min(_SPEAK_AFTER_S, _IDLE_S)
                self.waited_s += time.monotonic() - now
        if other.number:
            self._waited_for.add(other.what)
        return OVER

    @contextlib.contextmanager
    def _waiting(self, what: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for lease in self._inside:
                stack.enter_context(lease.waiting(what))
            yield

    def _is_gone(self, of: str, owner: Owner | None, silent_s: float) -> bool:
        """Whether an owner, whose record is as it was for so long, does not run the body any more."""
        lives = owner.lives() if owner is not None else None
        if owner is not None and lives and owner.pid == os.getpid():
            # Not what is held by the path of another name; but what could not be removed, or is from before an `exec`.
            with _lock:
                return sum(what == of for _, what in _table) < 2
        return lives is False or (lives is None and silent_s >= _SILENT_S)

    def _gives_up(self, owner: Owner | None, waited_s: float, whom: str) -> bool:
        """Whether not to wait for an owner any longer; after a while, says that it does."""
        if self._wait_s is not None and self.waited_s >= self._wait_s:
            self.in_vain = True
            return True
        if owner is None:
            return False
        if self._is_circle(owner):
            self.in_vain = True
            return True
        self.whom = whom
        if waited_s >= _SPEAK_AFTER_S and whom not in self._told:
            self._told.add(whom)
            running = f"running for {duration(time.time() - owner.started)}"
            usual = f", usually takes {duration(self._usual_s)}" if self._usual_s is not None else ""
            self._say(f"for {whom} ({running}{usual})")
        return False

    def _is_circle(self, owner: Owner) -> bool:
        """Whether an owner waits, in turn, for a body that this code is inside of."""
        mine = {lease.what for lease in self._inside}
        todo, seen = [owner], set[str]()
        while todo:
            owner = todo.pop()
            if owner.is_ancestor():
                return True
            for what in owner.waits:
                if what in mine:
                    return True
                if what not in seen:
                    seen.add(what)
                    data = _top(self._store, what)[1]
                    found = Owner.read(data) if data is not None else None
                    todo += [found] if found is not None else []
        return False


# -- ways to wait ------------------------------------------------------------------------------


def stand_still(steps: Generator[Step, None, None]) -> None:
    """Take the steps; this thread does nothing else meanwhile."""
    watched: Lease | None = None
    over = threading.Event()
    try:
        for lease, most_s in steps:
            if lease is None:
                time.sleep(most_s)
                continue
            if lease is not watched:
                watched, over = lease, threading.Event()
                lease.when_over(over.set)
            over.wait(most_s)
    finally:
        steps.close()


async def let_others_run(steps: Generator[Step, None, None]) -> None:
    """Take the steps; the event loop of asyncio goes on meanwhile."""
    watched: Lease | None = None
    over: asyncio.Future[None] | None = None
    try:
        for lease, most_s in steps:
            import asyncio  # it is there, where there is something to wait for

            if lease is None:
                await asyncio.sleep(most_s)
                continue
            if lease is not watched or over is None:
                loop = asyncio.get_running_loop()
                watched, over = lease, loop.create_future()
                lease.when_over(partial(loop.call_soon_threadsafe, _settle, over))
            await asyncio.wait([over], timeout=most_s)
    finally:
        steps.close()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
