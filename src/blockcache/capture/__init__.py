"""What a body says: recorded while it is said, and said again on a hit.

Everything is heard where it goes out (streams, warnings, displays), in the order in which it does, and only when the
body, or a thread or task that it has started, says it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple

from blockcache.capture import streams, warned
from blockcache.capture.recording import Event, Recording
from blockcache.capture.streams import unheard

__all__ = ["OUTPUT", "Capture", "Captured", "refused", "replay", "unheard"]

#: The name of the output among what an entry keeps.
OUTPUT = ".output"


class Captured(NamedTuple):
    """What a body said.

    Attributes
    ----------
    events
        In order, as plain values; see :func:`replay`.
    clauses
        The same for people: ``stdout 120 B``.
    untracked
        What was said and cannot be said again, one clause each.
    problems
        Why a hit could not say it again; such a run is not saved.
    """

    events: tuple[Event, ...] = ()
    clauses: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Capture:
    """Records what one body says, between :meth:`start` and :meth:`stop`.

    Parameters
    ----------
    frame, line
        The body's frame, and the line of its ``with`` statement.
    limit_bytes
        What is said beyond is not kept.
    """

    def __init__(self, frame: FrameType, line: int, *, limit_bytes: int) -> None:
        self._recording = Recording(frame, line, limit_bytes)
        self._limit_bytes = limit_bytes
        self._streams = (sys.stdout, sys.stderr)

    def start(self) -> None:
        """Begin to listen."""
        self._recording.begin()
        try:
            streams.listen(self._recording)
            warned.listen(self._recording)
        except BaseException:
            self._leave()
            raise

    def stop(self) -> Captured:
        """End it."""
        recording = self._recording
        self._leave()
        problems = list(recording.problems)
        for name, before in zip(("stdout", "stderr"), self._streams, strict=True):
            if getattr(sys, name) is not before:
                problems.append(f"it replaces sys.{name}, which a hit could not repeat")
        events = tuple(recording.events())
        clauses = list(_clauses(events))
        if recording.cut:
            clauses.append(f"cut at {self._limit_bytes:,} bytes")
            recording.clauses[f"prints more than {self._limit_bytes:,} bytes, and the rest is not kept"] = None
        return Captured(events, tuple(clauses), tuple(recording.clauses), tuple(problems))

    def _leave(self) -> None:
        warned.leave(self._recording)
        streams.leave(self._recording)
        self._recording.end()


def _clauses(events: Sequence[Event]) -> list[str]:
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}
    for event in events:
        if len(event) == 2:
            channel = event[0].partition(" ")[0].strip("_")
            said = event[1]
            length = len(said) if isinstance(said, bytes) else len(said.encode(errors="replace"))
            sizes[channel] = sizes.get(channel, 0) + length
        else:
            counts[event[0]] = counts.get(event[0], 0) + 1
    return [f"{channel} {size} B" for channel, size in sizes.items()] + [
        f"{count} {channel}{'s' if count > 1 else ''}" for channel, count in counts.items()
    ]


def refused(events: Sequence[Event]) -> str:
    """Why what a body said cannot be said again here, in one clause; empty when it can."""
    for event in events:
        if event[0] == warned.CHANNEL and (clause := warned.refused(event)):
            return clause
    return ""


def replay(events: Sequence[Event], frame: FrameType, line: int) -> None:
    """Say again what a body said.

    Each event is ``(channel, text or bytes)`` for what was written to a stream, and ``(kind, ...)`` otherwise.
    Trouble with one of them is passed over: the body is skipped already.

    Parameters
    ----------
    events
        As :class:`Captured` has them.
    frame, line
        The frame that the block stands in now, and the line of its ``with`` statement.
    """
    for event in events:
        try:
            if event[0] == warned.CHANNEL:
                warned.show(event, frame, line)
            else:
                streams.write(event)
        except Exception:
            import logging

            logging.getLogger("blockcache").exception("output of a block could not be repeated")
