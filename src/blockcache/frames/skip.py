"""Skip the body of a `with` statement.

A skip is an exception raised at the block's entry point (see
:mod:`blockcache.frames.entry`), which the `__exit__` of the block swallows.
Armed only on a hit: a body that runs is never traced.

What raises it depends on the version of Python, chosen at one place below:
`sys.monitoring` from 3.12 on, the tracing of opcodes on 3.11 (on 3.12 that
one crashes with threads, on 3.13 it is unreliable).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from types import CodeType, FrameType
from typing import Any, NamedTuple

from blockcache.frames.entry import Entry


class _SkipBody(BaseException):
    """Leaves a body before its first statement; never leaves the block."""


class Skip:
    """One skip of one body.

    `__enter__` arms it, as its last call; `__exit__` asks whether it was delivered, and disarms it, as
    its last call. An interrupted `arm` disarms itself.

    When the skip cannot be delivered (inside a trace function, or in a signal
    handler that interrupts the delivery of another skip), the body runs as if
    nothing had been armed.

    Parameters
    ----------
    frame
        The frame that executes the `with` statement.
    entry
        Its entry point.
    """

    __slots__ = ("_before", "_entered", "_exception", "_frame", "_offset", "_thread")

    def __init__(self, frame: FrameType, entry: Entry) -> None:
        self._frame: FrameType | None = frame
        self._offset, self._entered = entry.offset, entry.entered
        self._exception: _SkipBody | None = None
        self._thread = threading.get_ident()
        self._before: Any = None

    def arm(self) -> bool:
        """Skip the body as soon as `__enter__` has returned.

        Must be the last call that `__enter__` makes.

        Returns
        -------
        bool
            False when another tool holds every way to do it: the body runs.
        """
        try:
            return self._frame is not None and _arm(self, self._frame)
        except BaseException:
            self.disarm()
            raise

    def raised(self, exception: BaseException | None) -> bool:
        """Whether ``exception``, which `__exit__` was given, is this skip; False once disarmed."""
        if exception is None or self._exception is None:
            return False
        return exception is self._exception or _in_its_place(self, exception)

    def disarm(self) -> None:
        """Leave nothing traced. Must be the last call that `__exit__` makes; a second time does nothing."""
        exception, self._exception = self._exception, None
        if exception is not None:
            # Both refer to frames, and would keep the caller's values alive.
            exception.__traceback__ = exception.__context__ = None
        frame = self._frame
        if frame is not None:
            _disarm(self, frame)
            self._frame = None  # only now: what Ctrl-C interrupts can be done again

    def _deliver(self) -> _SkipBody:
        # A fresh one each time: an exception remembers where it was raised.
        self._exception = _SkipBody()
        return self._exception


if sys.version_info >= (3, 12):
    _monitoring = sys.monitoring
    # LINE too: on 3.12.1 and 3.13.0 an INSTRUCTION event is lost where the LINE callback of a tool
    # with a lower id returns DISABLE, as coverage's does. Hence the high ids first; 0 to 2 are
    # reserved for debuggers, coverage and profilers, which may start later.
    _EVENTS = _monitoring.events.INSTRUCTION | _monitoring.events.LINE
    _TOOL_IDS = (4, 3, 5)
    _TOOL_NAME = "blockcache"

    _tool: int | None = None
    _armed: dict[FrameType, Skip] = {}  # frames compare by identity
    # Events belong to a code object, which other frames share: switching them off for one skip must
    # not fall between another thread's steps of arming. Re-entrant for signal handlers and `__del__`.
    _lock = threading.RLock()

    def _arm(skip: Skip, frame: FrameType) -> bool:
        with _lock:
            tool = _own_tool()
            if tool is None:
                return False
            _forget_unwound(frame)
            _armed[frame] = skip
            _monitoring.set_local_events(tool, frame.f_code, _EVENTS)
        return True

    def _disarm(skip: Skip, frame: FrameType) -> None:
        # Asked without the lock: it is the usual case, and Ctrl-C can break the wait for a lock.
        if _armed.get(frame) is skip:
            with _lock:
                _armed.pop(frame, None)
                _silence(frame.f_code)

    def _own_tool() -> int | None:
        """Our tool id, kept for the life of the process once taken."""
        global _tool
        if _tool is None or _monitoring.get_tool(_tool) != _TOOL_NAME:
            _tool = next((i for i in _TOOL_IDS if _monitoring.get_tool(i) is None), None)
            if _tool is not None:
                for event in (_monitoring.events.INSTRUCTION, _monitoring.events.LINE):
                    _monitoring.register_callback(_tool, event, _on_event)
                _monitoring.use_tool_id(_tool, _TOOL_NAME)  # last: Ctrl-C must not leave it half done
        return _tool

    def _silence(code: CodeType) -> None:
        """Switch off the events of ``code``, unless a skip of another frame needs them."""
        with _lock:
            if any(frame.f_code is code for frame in tuple(_armed)):
                return
            if _tool is not None and _monitoring.get_tool(_tool) == _TOOL_NAME:
                _monitoring.set_local_events(_tool, code, 0)

    def _forget_unwound(running: FrameType) -> None:
        """Forget skips of this thread whose frames have been left, with ``running`` the innermost frame.

        Nothing runs between arming and delivery but a signal handler. A frame that is not among its
        callers was left by a second Ctrl-C while the first one was being handled.
        """
        thread = threading.get_ident()
        waiting = [frame for frame, skip in tuple(_armed.items()) if skip._thread == thread]
        caller: FrameType | None = running if waiting else None
        while caller is not None and waiting:
            waiting = [frame for frame in waiting if frame is not caller]
            caller = caller.f_back
        for frame in waiting:
            _armed.pop(frame, None)
            _silence(frame.f_code)

    def _on_event(code: CodeType, _position: int) -> None:
        frame = sys._getframe(1)
        skip = _armed.get(frame)
        if skip is None:
            # Another thread or another level of recursion in the same code, or events left over by Ctrl-C.
            _forget_unwound(frame)
            _silence(code)
        elif skip._entered <= frame.f_lasti < skip._offset:
            return  # `async with` ends its awaiting, outside the range of the block
        elif frame.f_lasti != skip._offset:
            # Ctrl-C came between arming and the end of `__enter__`.
            skip.disarm()
        else:
            exception = skip._deliver()
            # Before raising: an event at the first instruction of an exception handler is a place where
            # Ctrl-C would make the interpreter lose track of the exception that is being handled.
            _disarm(skip, frame)
            raise exception

    def _in_its_place(skip: Skip, exception: BaseException) -> bool:
        """Whether the interpreter has put ``exception`` in the place of the one that was raised: never from 3.12 on."""
        return False

    def _after_fork() -> None:
        """Forget the skips of threads that the child does not have, and the lock that one may have held."""
        global _lock
        _lock = threading.RLock()
        frames = tuple(_armed)
        _armed.clear()
        for frame in frames:
            _silence(frame.f_code)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)

else:

    class _Before(NamedTuple):
        """The tracers that were active."""

        system: Any
        local: Any
        opcodes: bool

    def _set_trace(function: Any) -> None:
        # Where there is an audit hook, threads can meet in the middle of this, and all but one are turned away.
        while True:
            try:
                return sys.settrace(function)
            except RuntimeError:
                time.sleep(0)

    def _arm(skip: Skip, frame: FrameType) -> bool:
        skip._before = _Before(sys.gettrace(), frame.f_trace, frame.f_trace_opcodes)
        frame.f_trace = partial(_on_trace, skip)
        frame.f_trace_opcodes = True
        # Opcode events need a tracer of the system, set from Python: a tracer written in C does not pass them on.
        _set_trace(skip._before.system or _ignore)
        return True

    def _disarm(skip: Skip, frame: FrameType) -> None:
        before: _Before | None = skip._before
        if before is None:
            return
        frame.f_trace_opcodes = before.opcodes
        if before.local is None:
            del frame.f_trace
        else:
            frame.f_trace = before.local
        # Last: a raising trace function loses both tracers, and a call made after this line would be seen by
        # coverage's tracer, which counts calls and has not seen the ones that are now returning.
        _set_trace(before.system)
        if before.system is not None and before.local is None:
            # A tracer written in C that leaves no mark on frames (line_profiler's) takes over again at a call.
            _ignore(frame, "", None)
        skip._before = None

    def _in_its_place(skip: Skip, exception: BaseException) -> bool:
        """Whether the interpreter has put ``exception`` in the place of the one that the trace function raised.

        It unsets a tracer that raises. Where threads meet in that, one is turned away, and the error of that is
        what reaches the block: from the instruction of the skip itself, with no call below it.
        """
        at = exception.__traceback__
        return (
            type(exception) is RuntimeError
            and at is not None
            and at.tb_next is None
            and at.tb_frame is skip._frame
            and at.tb_lasti == skip._offset
        )

    def _on_trace(skip: Skip, frame: FrameType, event: str, argument: Any) -> Any:
        before: _Before = skip._before
        if event == "opcode" and frame.f_lasti == skip._offset:
            raise skip._deliver()
        # How the awaiting of `__aenter__` ends is an exception to a tracer.
        waiting = event == "line" or (event == "exception" and argument[0] is StopIteration)
        if not waiting:
            # Ctrl-C came before `__enter__` had returned.
            skip.disarm()
        if before.local is None or (event == "opcode" and not before.opcodes):
            return None
        following = before.local(frame, event, argument)
        if not waiting:
            return following
        skip._before = before._replace(local=following or before.local)
        return None

    def _ignore(frame: FrameType, event: str, argument: object) -> None:
        return None
