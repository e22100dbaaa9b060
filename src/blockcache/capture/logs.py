"""On request: records that a body logs, kept as records, so that the handlers of a hit get them too."""

from __future__ import annotations

import logging
import threading
from typing import Any

from blockcache.capture.recording import LOG_RECORD, Event, Recording
from blockcache.capture.streams import unheard

_PLAIN = (str, int, float, bool, type(None))

_lock = threading.RLock()
_listeners: tuple[Recording, ...] = ()
_original: Any = None
#: Attributes that every record has; what else one has was given as ``extra``.
_OWN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


def listen(recording: Recording) -> None:
    """Tell ``recording`` from now on what is logged."""
    global _listeners, _original
    with _lock:
        if not _listeners:
            _original = logging.Logger.handle
            logging.Logger.handle = _handle  # type: ignore[method-assign,assignment]
        _listeners = (*_listeners, recording)


def leave(recording: Recording) -> None:
    """No longer."""
    global _listeners
    with _lock:
        was = _listeners
        _listeners = tuple(other for other in was if other is not recording)
        if was and not _listeners and logging.Logger.handle is _handle:
            logging.Logger.handle = _original  # type: ignore[method-assign]


def _handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    hearing = [recording for recording in _listeners if recording.owns()]
    if not hearing or logger.name.partition(".")[0] == "blockcache":
        _original(logger, record)
        return
    event = _event(record)
    with unheard():  # what handlers print is not output then
        _original(logger, record)
    for recording in hearing:
        recording.add(event)


def _event(record: logging.LogRecord) -> Event:
    error = record.exc_text
    if record.exc_info and not error:
        error = logging.Formatter().formatException(record.exc_info)
    extra = {k: v for k, v in vars(record).items() if k not in _OWN and isinstance(v, _PLAIN)}
    place = (record.pathname, record.lineno, record.funcName)
    return LOG_RECORD, record.name, record.levelno, record.getMessage(), error, place, extra


def log(event: Event) -> None:
    """Log it again."""
    _, name, level, message, error, (file, line, function), extra = event
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        record = logger.makeRecord(name, level, file, line, message, (), None, function, extra)
        record.exc_text = error
        logger.handle(record)
