"""Which bodies run at the same time: what one of them changes cannot be told from what another does."""

from __future__ import annotations

import dis
import os
import sys
import threading
import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from types import CodeType, FrameType

_BINDS = ("STORE_NAME", "STORE_GLOBAL")


class Stay:
    """One body that runs, and ``what`` runs it; ``met_others`` when another, not around it or in it, ran meanwhile."""

    __slots__ = ("met_others", "what")

    def __init__(self, what: object) -> None:
        self.what = what
        self.met_others = False


_inside: ContextVar[tuple[Stay, ...]] = ContextVar("blockcache_inside", default=())
_running: set[Stay] = set()
_started_in: weakref.WeakKeyDictionary[threading.Thread, tuple[Stay, ...]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def enter(what: object, *, waits: bool) -> Stay:
    """A body begins; ``waits`` when it may await, so that other tasks run in between."""
    stay, around = Stay(what), _inside.get()
    with _lock:
        for other in _running.difference(around):
            other.met_others = stay.met_others = True
        _running.add(stay)
    stay.met_others |= waits and _has_other_tasks()
    _inside.set((*around, stay))
    return stay


def leave(stay: Stay, *, waits: bool) -> None:
    """A body is over."""
    _inside.set(tuple(other for other in _inside.get() if other is not stay))
    with _lock:
        _running.discard(stay)
    stay.met_others |= waits and _has_other_tasks()
    stay.what = None  # a cycle would keep the body's values alive


def around() -> tuple[Stay, ...]:
    """The bodies that this code runs in, outermost first."""
    return _inside.get()


def started(thread: threading.Thread) -> None:
    """A thread is started by what runs here."""
    bodies = behind()
    if bodies:
        _started_in[thread] = bodies


def behind() -> tuple[Stay, ...]:
    """The bodies that this code runs in, and those in which its thread was started."""
    # Not `current_thread`: of a thread that it does not know it makes one that is listed ever after.
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]
    return (*_started_in.get(thread, ()), *_inside.get()) if thread is not None else _inside.get()


def _has_other_tasks() -> bool:
    """Whether something else may run while this task waits; what is no task of asyncio is not known."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is None or len(asyncio.all_tasks()) > 1
    except RuntimeError:  # another event loop
        return True


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _running.clear()


os.register_at_fork(after_in_child=_after_fork)


def bound_by_threads(namespace: Mapping[str, object]) -> set[str]:
    """Names of a module that other threads may have bound just now: what the code that they are in binds there."""
    own, found, seen = threading.get_ident(), set[str](), set[CodeType]()
    for thread, innermost in sys._current_frames().items():
        frame: FrameType | None = innermost if thread != own else None
        while frame is not None:
            if frame.f_globals is namespace:
                seen.add(frame.f_code)
            frame = frame.f_back
    for code in seen:
        found.update(step.argval for step in dis.get_instructions(code) if step.opname in _BINDS)
    return found
