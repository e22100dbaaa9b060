"""On request: standard output and error at the level of file descriptors, where C code and other programs write too.

The descriptors lead into pipes while the body runs, and a thread passes on what comes, at once, to where they led
before. A program that asks sees a pipe there, no terminal.
"""

from __future__ import annotations

import contextlib
import io
import os
import selectors
import sys
import threading
from typing import Any

from blockcache.capture.recording import Recording

_DRAINED_WITHIN_S = 10.0


class Descriptors:
    """Standard output and error on their way through pipes."""

    def __init__(self, recording: Recording) -> None:
        self._recording: Recording | None = recording
        self._saved: dict[int, int] = {}
        self._drained = threading.Event()
        self._over = False

    def start(self) -> None:
        """Put the pipes in place."""
        _flush()
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake = os.pipe()
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        for number in (1, 2):
            with contextlib.suppress(OSError):  # it is closed
                saved = os.dup(number)
                reader, writer = os.pipe()
                os.dup2(writer, number)
                os.close(writer)
                self._saved[number] = saved
                self._selector.register(reader, selectors.EVENT_READ, (saved, f"fd{number} bytes"))
        threading.Thread(target=self._pass_on, name="blockcache output", daemon=True).start()

    def stop(self) -> None:
        """Put things back; all that was written until now is recorded then."""
        _flush()
        for number, saved in self._saved.items():
            os.dup2(saved, number)
        self._drain()
        self._recording, self._over = None, True
        os.close(self._wake)

    def _drain(self) -> None:
        """Wait until all that was written is passed on."""
        self._drained.clear()
        os.write(self._wake, b".")
        self._drained.wait(_DRAINED_WITHIN_S)

    def aside(self, stream: Any) -> Any:
        """A function that writes text past the pipe, for a stream that leads into one; else None."""
        try:
            saved = self._saved.get(stream.fileno()) if isinstance(stream, io.TextIOWrapper) else None
        except (OSError, ValueError):
            saved = None
        if saved is None:
            return None

        def write(text: str) -> int:
            stream.flush()
            self._drain()
            _write_all(saved, text.encode(stream.encoding, stream.errors or "strict"))
            return len(text)

        return write

    def _pass_on(self) -> None:
        sources = len(self._saved)
        while sources or not self._over:
            ready = [key for key, _ in self._selector.select()]
            pipes = [key for key in ready if key.data is not None]
            for key in pipes:
                saved, channel = key.data
                data = os.read(key.fd, 1 << 16)
                if not data:  # nobody holds the other end any more
                    self._selector.unregister(key.fd)
                    os.close(key.fd)
                    sources -= 1
                    continue
                with contextlib.suppress(OSError):
                    _write_all(saved, data)
                if (recording := self._recording) is not None:
                    recording.say(channel, data)
            if ready and not pipes:  # nothing is left of what was written until it was woken
                if not os.read(self._wake_reader, 1):
                    self._selector.unregister(self._wake_reader)
                self._drained.set()
        # A program that the body started may have written until here.
        os.close(self._wake_reader)
        self._selector.close()
        for saved in self._saved.values():
            os.close(saved)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


def write(event: tuple[str, bytes]) -> None:
    """Write it again, to the descriptor of now."""
    _flush()
    with contextlib.suppress(OSError):
        _write_all(int(event[0][2]), event[1])
