"""What a body says: recorded while it is said, and said again on a hit.

Everything is heard where it goes out (streams, warnings, displays), in the order in which it does, and only when the
body, or a thread or task that it has started, says it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import FrameType, MappingProxyType
from typing import Any, NamedTuple

from blockcache.capture import descriptors, displays, streams, warned
from blockcache.capture.recording import LOG_RECORD, OF_OTHERS, Event, Recording, is_text
from blockcache.capture.streams import unheard

__all__ = ["OUTPUT", "Capture", "Captured", "refused", "replay", "unheard"]

#: Names of these among what an entry keeps.
OUTPUT = ".output"
FIGURES = ".figures"
WHAT = ".capture"
# What not every program needs is imported late.
_FIGURES_ROOM = "blockcache.types.pyplot_figures"
_LOGS_ROOM = "blockcache.capture.logs"


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
    figures
        pyplot's figures that the body made, closed or chose; None when it left them alone.
    what
        What was recorded beside the usual.
    problems
        Why a hit could not say it again; such a run is not saved.
    drawn
        Figures from before that the body drew on, by why a hit could not if nothing leads to them.
    """

    events: tuple[Event, ...] = ()
    clauses: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    figures: dict[str, Any] | None = None
    what: tuple[str, ...] = ()
    drawn: Mapping[str, object] = MappingProxyType({})

    @property
    def kept(self) -> dict[str, object]:
        """What an entry keeps."""
        kept = {OUTPUT: self.events, FIGURES: self.figures, WHAT: self.what}
        return {name: value for name, value in kept.items() if value}


class Capture:
    """Records what one body says, between :meth:`start` and :meth:`stop`.

    Parameters
    ----------
    frame, line
        The body's frame, and the line of its ``with`` statement.
    limit_bytes
        What is said beyond is not kept.
    what
        ``descriptors``: what C code and other programs write too. ``logs``: records that are logged, as records.
        ``off``: nothing at all.
    """

    def __init__(self, frame: FrameType, line: int, *, limit_bytes: int, what: Collection[str] = ()) -> None:
        self._recording = Recording(frame, line, limit_bytes, displays.settled)
        self._limit_bytes = limit_bytes
        self._streams = (sys.stdout, sys.stderr)
        self._figures: Any = None
        self._what = what
        self._descriptors: descriptors.Descriptors | None = None

    def start(self) -> None:
        """Begin to listen."""
        if "off" in self._what:
            return
        self._recording.begin()
        try:
            if "descriptors" in self._what:
                self._descriptors = descriptors.Descriptors(self._recording)
                self._descriptors.start()
            streams.listen(self._recording, self._descriptors.aside if self._descriptors else lambda stream: None)
            if "logs" in self._what:
                importlib.import_module(_LOGS_ROOM).listen(self._recording)
            warned.listen(self._recording)
            displays.listen(self._recording)
            self._figures = _watch_figures()
        except BaseException:
            self._leave()
            raise

    def stop(self) -> Captured:
        """End it."""
        if "off" in self._what:
            return Captured(what=("off",))
        recording = self._recording
        self._leave()
        problems = list(recording.problems)
        for name, before in zip(("stdout", "stderr"), self._streams, strict=True):
            if getattr(sys, name) is not before:
                problems.append(f"it replaces sys.{name}, which a hit could not repeat")
        events = recording.events()
        try:
            events = displays.finished(events, problems.append)
        except Exception as error:  # of a library's object that says what it shows
            problems.append(f"what it shows cannot be told ({type(error).__name__}: {error})")
        clauses = list(_clauses(events))
        figures, drawn = None, {}
        if (watch := self._figures or _watch_figures(from_nothing=True)) is not None:
            figures, drawn = watch.result(), watch.drawn()
        if figures is not None:
            clauses.append(f"pyplot's figures {', '.join(map(str, figures['order'])) or 'closed'}")
        if recording.cut:
            clauses.append(f"cut at {self._limit_bytes:,} bytes")
            recording.clauses[f"prints more than {self._limit_bytes:,} bytes, and the rest is not kept"] = None
        said = tuple(events), tuple(clauses), tuple(recording.clauses), tuple(problems)
        return Captured(*said, figures, tuple(self._what), drawn)

    def _leave(self) -> None:
        if self._descriptors is not None:
            self._descriptors.stop()
            self._recording.clauses.pop(OF_OTHERS, None)  # a notebook's thread, which shows what it finds in its pipe
        if self._figures is not None:
            self._figures.stop()
        if (logs := sys.modules.get(_LOGS_ROOM)) is not None:
            logs.leave(self._recording)
        displays.leave(self._recording)
        warned.leave(self._recording)
        streams.leave(self._recording)
        self._recording.end()


def _watch_figures(*, from_nothing: bool = False) -> Any:
    """What looks after pyplot's figures, ``from_nothing`` when there were none; None while there can be none."""
    if "matplotlib._pylab_helpers" not in sys.modules:
        return None
    return importlib.import_module(_FIGURES_ROOM).Watch(from_nothing)


def _clauses(events: Sequence[Event]) -> list[str]:
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}
    for event in events:
        if is_text(event):
            channel = event[0].partition(" ")[0].strip("_")
            said = event[1]
            length = len(said) if isinstance(said, bytes) else len(said.encode(errors="replace"))
            sizes[channel] = sizes.get(channel, 0) + length
        else:
            counts[event[0]] = counts.get(event[0], 0) + 1
    return [f"{channel} {size} B" for channel, size in sizes.items()] + [
        f"{count} {channel}{'s' if count > 1 else ''}" for channel, count in counts.items()
    ]


def refused(kept: Mapping[str, Any], what: Collection[str]) -> str:
    """Why what a body said cannot be said again here, in one clause; empty when it can."""
    recorded = kept.get(WHAT, ())
    if "off" not in what and ("off" in recorded or not set(recorded).issuperset(what)):
        return "the entry has not all output that is asked for"
    for event in kept.get(OUTPUT, ()):
        if event[0] == warned.CHANNEL and (clause := warned.refused(event)):
            return clause
    return ""


def replay(kept: Mapping[str, Any], frame: FrameType, line: int) -> None:
    """Say again what a body said, and draw again what it drew.

    Each event is ``(channel, text or bytes)`` for what was written to a stream, and ``(kind, ...)`` otherwise.
    Trouble with one of them is passed over: the body is skipped already.

    Parameters
    ----------
    kept
        What the entry keeps, as :class:`Captured` has it.
    frame, line
        The frame that the block stands in now, and the line of its ``with`` statement.
    """
    if FIGURES in kept:
        with _passed_over():
            importlib.import_module(_FIGURES_ROOM).restore(kept[FIGURES])
    for event in kept.get(OUTPUT, ()):
        with _passed_over():
            if event[0] == warned.CHANNEL:
                warned.show(event, frame, line)
            elif is_text(event) and event[0].startswith("fd"):
                descriptors.write(event)
            elif is_text(event):
                streams.write(event)
            elif event[0] == LOG_RECORD:
                importlib.import_module(_LOGS_ROOM).log(event)
            else:
                displays.show(event)


@contextlib.contextmanager
def _passed_over() -> Iterator[None]:
    """Trouble here is told to the log: the body is skipped already."""
    try:
        yield
    except Exception:
        import logging

        logging.getLogger("blockcache").exception("output of a block could not be repeated")
