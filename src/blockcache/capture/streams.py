"""Standard output and error, at the level of Python: the stream objects themselves tell what is written to them.

Only the objects' own ``write`` is wrapped, so every reference to them (a logging handler's, one that the program took
before the block) is heard, and nothing that the program can compare changes. A stream that the body puts in their
place is its own business.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from threading import get_ident
from typing import Any

from blockcache.capture.recording import Event, Recording

#: Threads that are saying what is no output of a body, or that is heard another way.
_unheard: dict[int, int] = {}
_lock = threading.RLock()
_taps: dict[int, _Tap] = {}
_GLOBALS = globals()


class unheard:
    """A context in which what this thread writes is nobody's output."""

    def __enter__(self) -> None:
        ident = get_ident()
        _unheard[ident] = _unheard.get(ident, 0) + 1

    def __exit__(self, *exc: object) -> None:
        ident = get_ident()
        _unheard[ident] -= 1
        if not _unheard[ident]:
            del _unheard[ident]


class _Tap:
    """One stream that is listened to."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.listeners: tuple[tuple[Recording, str], ...] = ()
        # Of those who hear it another way: functions that write so that they do not, the outermost first.
        self.asides: tuple[tuple[Recording, Callable[[str], int]], ...] = ()
        self._wrapped: list[tuple[Any, str, Any, bool, Any]] = []

    def open(self) -> None:
        """Wrap; an error when the stream does not let itself be wrapped."""
        stream = self.stream
        plain = getattr(type(stream), "write", None) is io.TextIOWrapper.write and "write" not in vars(stream)
        try:
            self._wrap(stream, "write", _plain_writer if plain else _writer)
            if isinstance(stream, io.TextIOWrapper):
                self._wrap(stream, "flush", _flusher)
                self._wrap(stream.buffer, "write", _bytes_writer)
        except BaseException:
            self.close()
            raise

    def _wrap(self, owner: Any, name: str, make: Callable[[_Tap, Any], Any]) -> None:
        own = getattr(owner, "__dict__", {})
        had, before = name in own, own.get(name)
        wrapper = make(self, getattr(owner, name))
        setattr(owner, name, wrapper)
        self._wrapped.append((owner, name, wrapper, had, before))

    def close(self) -> None:
        """Unwrap, unless somebody has wrapped it again: then what is left passes everything on."""
        while self._wrapped:
            owner, name, wrapper, had, before = self._wrapped.pop()
            if getattr(owner, "__dict__", {}).get(name) is wrapper:
                if had:
                    setattr(owner, name, before)
                else:
                    delattr(owner, name)


def _plain_writer(tap: _Tap, original: Callable[[str], int]) -> Callable[[str], int]:
    def write(text: str, /) -> int:
        if _unheard and get_ident() in _unheard:
            return tap.asides[0][1](text) if tap.asides else original(text)
        count = original(text)
        for recording, channel in tap.listeners:
            recording.say(channel, text)
        return count

    return write


def _writer(tap: _Tap, original: Callable[..., Any]) -> Callable[..., Any]:
    def write(*args: Any, **kwargs: Any) -> Any:
        if get_ident() in _unheard:
            return original(*args, **kwargs)
        with unheard():  # it may hand the text on to another stream that is listened to
            result = original(*args, **kwargs)
        text = args[0] if args else next(iter(kwargs.values()), None)
        if isinstance(text, str):
            for recording, channel in tap.listeners:
                recording.say(channel, text)
        return result

    return write


def _flusher(tap: _Tap, original: Callable[[], None]) -> Callable[[], None]:
    def flush() -> None:
        with unheard():  # bytes that go to the buffer now were heard as text
            original()

    return flush


def _bytes_writer(tap: _Tap, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def write(data: Any, /) -> Any:
        count = original(data)
        if sys._getframe(1).f_globals is not _GLOBALS and get_ident() not in _unheard:
            written = bytes(memoryview(data).cast("B")[: count if isinstance(count, int) else None])
            for recording, channel in tap.listeners:
                recording.say(f"{channel} bytes", written)
        return count

    return write


def standard() -> dict[str, Any]:
    """The standard streams by channel: those that the program uses, and the interpreter's own where they differ."""
    found: dict[str, Any] = {}
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        stream = getattr(sys, name, None)
        if stream is not None and not any(stream is other for other in found.values()):
            found[name] = stream
    return found


def listen(recording: Recording, aside: Callable[[Any], Callable[[str], int] | None]) -> None:
    """Tell ``recording`` from now on what is written to the standard streams.

    ``aside`` gives a function for a stream that is heard another way: it writes so that it is not.
    """
    with _lock:
        for channel, stream in standard().items():
            tap = _taps.get(id(stream))
            if tap is None:
                tap = _Tap(stream)
                try:
                    tap.open()
                except Exception:
                    if not channel.startswith("__"):
                        recording.problems[
                            f"what is written to sys.{channel}, a {type(stream).__name__}, is not heard"
                        ] = None
                    continue
                _taps[id(stream)] = tap
            if (past := aside(stream)) is not None:
                tap.asides = (*tap.asides, (recording, past))
            else:
                tap.listeners = (*tap.listeners, (recording, channel))


def leave(recording: Recording) -> None:
    """No longer."""
    with _lock:
        for ident, tap in list(_taps.items()):
            tap.listeners = tuple(pair for pair in tap.listeners if pair[0] is not recording)
            tap.asides = tuple(pair for pair in tap.asides if pair[0] is not recording)
            if not tap.listeners and not tap.asides:
                tap.close()
                del _taps[ident]


def write(event: Event) -> None:
    """Say it again, on the stream that stands there now; a stream that cannot take it is passed over."""
    channel, _, kind = event[0].partition(" ")
    stream, said = getattr(sys, channel, None), event[1]
    if stream is None:
        return
    try:
        if not kind:
            _write_text(stream, said)
        elif isinstance(stream, io.TextIOBase) and hasattr(stream, "buffer"):
            stream.flush()
            stream.buffer.write(said)
        else:
            _write_text(stream, said.decode(errors="replace"))
    except (OSError, ValueError, AttributeError):  # closed, a broken pipe, or one that takes no bytes
        pass


def _write_text(stream: Any, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeError:  # the run that wrote it had another encoding
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
