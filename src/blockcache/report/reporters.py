"""What prints, logs and records events."""

from __future__ import annotations

import io
import os
import sys

from blockcache.errors import CacheWarning
from blockcache.events import BlockFinished, subscribe
from blockcache.report.words import cause, line


def install() -> None:
    """Subscribe the three reporters to events; calling it again changes nothing."""
    for reporter in (print_line, log_record, append_json):
        subscribe(reporter)


def print_line(event: BlockFinished) -> None:
    """One line on standard error, unless the block is quiet."""
    if not event.quiet:
        print_text(line(event))


def print_text(text: str) -> None:
    """A line on standard error; where that is impossible, nowhere."""
    stream = sys.stderr  # looked up now: notebooks and tests replace it
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if encoding.lower().replace("-", "") != "utf8":
        text = text.replace("·", "-").replace("µs", "us").encode(encoding, "replace").decode(encoding)
    try:
        file = getattr(getattr(stream, "buffer", None), "raw", None)
        if isinstance(file, io.FileIO):
            # A closed descriptor would leave the line in the buffer, and the end of the program fails to flush that.
            os.fstat(file.fileno())
        stream.write(text + "\n")  # one write: lines of threads and processes stay whole
        stream.flush()
    except (OSError, ValueError):  # a closed pipe or stream; there is nowhere left to say so
        pass


def log_record(event: BlockFinished) -> None:
    """Records of the logger ``blockcache``: the line, trouble in full, and each difference.

    All are DEBUG: the line and the warning have said it, and a program that prints its own INFO shall not see it twice.
    """
    if "logging" not in sys.modules:  # nobody can have asked for records, and the import would cost more than a hit
        return
    import logging  # waits where another thread is importing it

    logger = logging.getLogger("blockcache")
    if not logger.handlers:  # as libraries do: nothing is printed that nobody asked for
        logger.addHandler(logging.NullHandler())
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s", line(event))
        if event.problem:
            logger.debug("%s: %s", event.name, event.problem)
        for difference in event.differences:
            logger.debug("%s: %s", event.name, cause(difference))


def append_json(event: BlockFinished) -> None:
    """One line of JSON at the end of the file that the setting ``log`` names."""
    if event.log_path is None:
        return
    import json

    record = {name: getattr(event, name) for name in event.__slots__ if name not in ("quiet", "log_path", "counted_in")}
    record["differences"] = [[d.kind, d.name, cause(d)] for d in event.differences]
    text = json.dumps(record) + "\n"
    try:
        # One write in append mode: lines of several processes do not mix.
        handle = os.open(event.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
    except OSError as error:
        import warnings

        warnings.warn(f"the log {event.log_path} cannot be written: {error}", CacheWarning, stacklevel=1)
