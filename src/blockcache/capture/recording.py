"""What one body says, in order, and whether something that is said is its own."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Any

#: One thing that was said: its channel, then what :func:`blockcache.capture.replay` needs to say it again.
Event = tuple[Any, ...]

#: The innermost recording of the running task or thread; contexts that are made in a body inherit it.
_inside: ContextVar[Recording | None] = ContextVar("blockcache_recording", default=None)
_MISSING = object()
_NOWHERE: tuple[str, Callable[[Any], object]] = ("", lambda text: None)


class Recording:
    """What is said on behalf of one body.

    Parameters
    ----------
    frame
        The body's frame.
    line
        The line of its ``with`` statement.
    limit_bytes
        What is said beyond this size is not kept.
    """

    def __init__(self, frame: FrameType, line: int, limit_bytes: int) -> None:
        self.frame: FrameType | None = frame
        self.line = line
        self.problems: dict[str, None] = {}
        self.clauses: dict[str, None] = {}
        self.cut = False
        self._outer: Recording | None = None
        self._limit = limit_bytes
        self._size = 0
        self._events: list[Event] = []
        self._current = _NOWHERE
        self._thread = threading.get_ident()
        self._foreign: dict[int, object] = {}

    def begin(self) -> None:
        """The body starts; threads that run now are none of its own."""
        self._foreign = {ident: _thread_of(ident) for ident in sys._current_frames()}
        self._outer = _inside.get()
        _inside.set(self)

    def end(self) -> None:
        """The body is over."""
        if _inside.get() is self:
            _inside.set(self._outer)
        self.frame = None
        self._foreign = {}

    # -- whose it is -----------------------------------------------------------------------

    def owns(self) -> bool:
        """Whether what happens now, in this thread and task, happens on behalf of the body."""
        inside = _inside.get()
        while inside is not None:
            if inside is self:
                return self.frame is not None
            inside = inside._outer
        ident = threading.get_ident()
        if ident == self._thread:
            # Another task while the body awaits; or code that the body runs in a context from before.
            above: FrameType | None = sys._getframe(1)
            while above is not None:
                if above is self.frame:
                    return True
                above = above.f_back
            return False
        return self._foreign.get(ident, _MISSING) is not _thread_of(ident) and self.frame is not None

    # -- what is said ----------------------------------------------------------------------

    def say(self, channel: str, text: Any) -> None:
        """Text, or bytes, on a stream."""
        if _inside.get() is not self and not self.owns():
            if threading.get_ident() != self._thread:
                self.clauses["prints of threads from before the block"] = None
            return
        current = self._current
        if current[0] != channel or isinstance(text, bytes) != channel.endswith(" bytes"):
            current = self._switch(channel)
        current[1](text)
        self._size += len(text)
        if self._size > self._limit and not self.cut:
            self._shrink()

    def add(self, *event: Any, size_bytes: int = 0) -> None:
        """Anything else."""
        if self.cut and size_bytes:
            return
        self._size += size_bytes
        self._events.append(event)
        self._current = _NOWHERE
        if self._size > self._limit and not self.cut:
            self._shrink()

    def drop(self, which: Callable[[Event], bool]) -> None:
        """Forget what was said, where ``which`` says so."""
        self._events = [event for event in self._events if not which(event)]
        self._current = _NOWHERE

    def _switch(self, channel: str) -> tuple[str, Callable[[Any], object]]:
        if self.cut:
            return _NOWHERE
        # A sink takes next to no time and memory for each of a million short writes.
        sink: Any = io.BytesIO() if channel.endswith(" bytes") else io.StringIO()
        self._events.append((channel, sink))
        self._current = (channel, sink.write)
        return self._current

    def _shrink(self) -> None:
        """Let go of states of progress bars that are past; when that is not enough, of what follows."""
        self._events = self.events()
        self._size = sum(_size(event) for event in self._events)
        self._current = _NOWHERE
        if 2 * self._size > self._limit:
            self.cut = True
            over = self._size - self._limit
            while over > 0 and self._events:
                last = self._events.pop()
                if len(last) == 2 and len(last[1]) > over:
                    self._events.append((last[0], last[1][:-over]))
                over -= _size(last)

    def events(self) -> list[Event]:
        """All that was said, text settled."""
        found: list[Event] = []
        for event in list(self._events):
            if len(event) == 2 and isinstance(event[1], (io.StringIO, io.BytesIO)):
                text: Any = event[1].getvalue()
                event = (event[0], settled(text) if isinstance(text, str) else text)
                if not text:
                    continue
            found.append(event)
        return found


def _thread_of(ident: int) -> object:
    return threading._active.get(ident)  # type: ignore[attr-defined]


def _size(event: Event) -> int:
    """How much of the limit an event takes."""
    if len(event) != 2:
        return 0
    return len(event[1].getvalue() if isinstance(event[1], (io.StringIO, io.BytesIO)) else event[1])


#: Colours take no room; an erased line covers whatever stood there.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ERASES = re.compile(r"\x1b\[[0-2]?K")


def settled(text: str) -> str:
    """``text`` without what a terminal does not show any more, because a carriage return wrote over it.

    Text that moves the cursor in other ways stays as it is: said again at once, it ends in the same picture.
    """
    if "\r" not in text or "\x1b" in _ERASES.sub("", _COLOURS.sub("", text)) or "\b" in text:
        return text
    lines = text.split("\n")
    return "\n".join(_settled_line(line) if "\r" in line else line for line in lines)


def _settled_line(line: str) -> str:
    end = "\r" if line.endswith("\r") else ""
    first, *states = line.removesuffix("\r").split("\r")
    kept: list[str] = []
    width = -1.0
    for state in reversed(states):
        if len(_COLOURS.sub("", state)) > width:  # else what comes later covers it
            kept.append(state)
            width = float("inf") if _ERASES.search(state) else len(_COLOURS.sub("", state))
    return "\r".join([first, *reversed(kept)]) + end
