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
#: The kind of a record that is logged.
LOG_RECORD = "log record"
#: What another thread says is not the body's.
OF_OTHERS = "prints of threads from before the block"
_MISSING = object()
_NOWHERE: tuple[str, Callable[[Any], object]] = ("", lambda text: None)
#: Where what is beyond the limit goes.
_CUT: tuple[str, Callable[[Any], object]] = ("cut", lambda text: None)


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
    settle
        Takes events, and gives those that make the same picture in the end.
    """

    def __init__(
        self, frame: FrameType, line: int, limit_bytes: int, settle: Callable[[list[Event]], list[Event]]
    ) -> None:
        self.frame: FrameType | None = frame
        self.line = line
        self.problems: dict[str, None] = {}
        self.clauses: dict[str, None] = {}
        self.cut = False
        self._outer: Recording | None = None
        self._limit = limit_bytes
        self._settle = settle
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
                self.clauses[OF_OTHERS] = None
            return
        current = self._current
        if current[0] != channel:
            if current is _CUT:
                return
            current = self._switch(channel)
        current[1](text)
        self._size += len(text)
        if self._size > self._limit:
            self._shrink()

    def add(self, event: Event) -> None:
        """Anything else."""
        if self.cut and (size := _size(event)) > 0 and self._size + size > self._limit:
            return
        self._size += _size(event)
        self._events.append(event)
        self._current = _CUT if self.cut else _NOWHERE
        if self._size > self._limit and not self.cut:
            self._shrink()

    def _switch(self, channel: str) -> tuple[str, Callable[[Any], object]]:
        # A sink takes next to no time and memory for each of a million short writes.
        sink: Any = io.BytesIO() if channel.endswith(" bytes") else io.StringIO()
        self._events.append((channel, sink))
        self._current = (channel, sink.write)
        return self._current

    def _shrink(self) -> None:
        """Let go of what is past (states of progress bars); when that is not enough, of what follows."""
        self._events = self.events()
        self._size = _size(self._events)
        self._current = _NOWHERE
        if 2 * self._size <= self._limit:
            return
        self.cut = True
        self._current = _CUT
        while self._size > self._limit and self._events:
            last = self._events.pop()
            size = _size(last)
            over = self._size - self._limit
            if is_text(last) and size > over:
                self._events.append((last[0], last[1][:-over]))
                size = over
            self._size -= size

    def events(self) -> list[Event]:
        """All that was said, as it is to be seen in the end."""
        found: list[Event] = []
        for event in list(self._events):
            if isinstance(event[1], (io.StringIO, io.BytesIO)):
                event = (event[0], event[1].getvalue())
            if is_text(event):
                if not event[1]:
                    continue
                if isinstance(event[1], str):
                    event = (event[0], settled(event[1]))
            found.append(event)
        return self._settle(found)


def is_text(event: Event) -> bool:
    """Whether an event is text, or bytes, on a stream."""
    return len(event) == 2 and isinstance(event[1], (str, bytes))


def _thread_of(ident: int) -> object:
    return threading._active.get(ident)  # type: ignore[attr-defined]


def _size(said: object) -> int:
    """How much of the limit something takes: its texts and bytes."""
    if isinstance(said, (str, bytes)):
        return len(said)
    if isinstance(said, (io.StringIO, io.BytesIO)):
        return said.tell()
    if isinstance(said, (tuple, list)):
        return sum(map(_size, said))
    if isinstance(said, dict):
        return sum(map(_size, said.values()))
    return int(getattr(said, "size_bytes", 0))


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
    erasing: list[str] = []
    width = -1.0
    for state in reversed(states):
        plain = _COLOURS.sub("", state)
        if len(plain.rstrip(" ")) > width:  # else what comes later covers it
            kept += [*erasing, state]
            erasing.clear()
            width = float("inf") if _ERASES.search(state) else len(plain)
        elif len(plain) > width:  # its blanks cover what was there before
            erasing.append(state)
            width = len(plain)
    if first.rstrip(" "):
        kept += erasing
    return "\r".join([first, *reversed(kept)]) + end
