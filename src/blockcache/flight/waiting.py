"""Waiting for a lease, or for the one who has it; how a thread and how a task wait."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from blockcache.errors import StoreError
from blockcache.flight.leases import Lease, claimed, claims, top
from blockcache.flight.owners import Owner, used_s
from blockcache.report import duration
from blockcache.stores import Store

if TYPE_CHECKING:
    import asyncio

#: When an owner counts as gone who does not write its record again, as it does every ten seconds: on another machine;
#: and where its process is known to live, but may be stopped, or may not have been able to remove the record.
_SILENT_S = 90.0
_STALLED_S = 900.0
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
        other = claimed(mine)
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
                number, data = top(self._store, mine.what)
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
        before_s = used_s(other.native)
        with self._waiting(other.what):
            while not other.is_over:
                now = time.monotonic()
                if self._gives_up(other.owner(), now - began, "another task" if is_here else "another thread"):
                    return None
                if other.number and now - since >= _IDLE_S:
                    after_s, since = used_s(other.native), now
                    if after_s - before_s < _IDLE_SHARE * _IDLE_S:
                        self.in_vain = True
                        return None
                    before_s = after_s
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
            return claims(of) < 2
        return lives is False or silent_s >= (_STALLED_S if lives else _SILENT_S)

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
                    data = top(self._store, what)[1]
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
