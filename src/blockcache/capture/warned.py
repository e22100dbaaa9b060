"""Warnings that a body shows: kept as warnings, so that filters and recorders have their say on a hit too."""

from __future__ import annotations

import sys
import threading
import warnings
from types import CodeType, FrameType
from typing import Any

from blockcache.capture.recording import Event, Recording
from blockcache.capture.streams import unheard
from blockcache.errors import CacheWarning

CHANNEL = "warning"
_PLAIN = (str, int, float, bool, bytes, type(None))

_lock = threading.RLock()
# Recordings, and who shows warnings where they stand: a body that catches warnings has put something else there.
_listeners: tuple[tuple[Recording, object, object], ...] = ()
_original: Any = None


def listen(recording: Recording) -> None:
    """Tell ``recording`` from now on which warnings are shown."""
    global _listeners, _original
    with _lock:
        if not _listeners:
            _original = warnings._showwarnmsg  # type: ignore[attr-defined]
            warnings._showwarnmsg = _show  # type: ignore[attr-defined]
        _listeners = (*_listeners, (recording, *_shower()))


def leave(recording: Recording) -> None:
    """No longer."""
    global _listeners
    with _lock:
        _listeners = tuple(entry for entry in _listeners if entry[0] is not recording)
        if not _listeners and warnings._showwarnmsg is _show:  # type: ignore[attr-defined]
            warnings._showwarnmsg = _original  # type: ignore[attr-defined]


def _shower() -> tuple[object, object]:
    return warnings.showwarning, warnings._showwarnmsg_impl  # type: ignore[attr-defined]


def _show(message: warnings.WarningMessage) -> None:
    now = _shower()
    hearing = [recording for recording, *then in _listeners if tuple(then) == now and recording.owns()]
    if not hearing:
        _original(message)
        return
    with unheard():  # kept as a warning, its text is not output
        _original(message)
    if issubclass(message.category, CacheWarning):
        return
    for recording in hearing:
        try:
            recording.add(_event(message, recording))
        except ValueError as error:
            recording.problems[str(error)] = None


def _event(message: warnings.WarningMessage, recording: Recording) -> Event:
    """A warning as plain values.

    Raises
    ------
    ValueError
        When it cannot be made again.
    """
    warning, category = message.message, message.category
    text = str(warning)
    args = getattr(warning, "args", (text,))
    if not all(isinstance(arg, _PLAIN) for arg in args):
        args = (text,)
    named = (category.__module__, category.__qualname__)
    try:
        if str(_category(*named)(*args)) != text:
            raise ValueError
    except Exception:
        raise ValueError(f"it warns with a {category.__name__}, which cannot be made again") from None
    return CHANNEL, named, tuple(args), message.filename, message.lineno, *_place(message, recording)


def _place(message: warnings.WarningMessage, recording: Recording) -> tuple[str | None, str | None, int]:
    """Module (empty for the block's own), function (empty for the block's own), and the line counted from its start."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (frame.f_code.co_filename, frame.f_lineno) != (message.filename, message.lineno):
        frame = frame.f_back
    own = recording.frame
    if frame is None or own is None:
        return None, None, 0
    if frame.f_code is own.f_code:
        return "", "", message.lineno - recording.line
    module = "" if frame.f_globals is own.f_globals else frame.f_globals.get("__name__", "")
    code = frame.f_code
    return module, code.co_qualname, message.lineno - code.co_firstlineno


def _category(module: str, name: str) -> type[Warning]:
    import importlib

    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, Warning)):
        raise TypeError(name)
    return found


def refused(event: Event) -> str:
    """Why a warning cannot be shown again, in one clause; empty when it can."""
    try:
        _category(*event[1])(*event[2])
    except Exception:
        return f"the category {event[1][1]} of a warning cannot be found"
    return ""


def show(event: Event, frame: FrameType, line: int) -> None:
    """Warn again, as if it came from where it came from."""
    _, named, args, file, number, module, function, offset = event
    space: dict[str, Any] | None = None
    if module is not None:
        space = getattr(sys.modules.get(module), "__dict__", None) if module else frame.f_globals
    if function == "":
        file, number = frame.f_code.co_filename, line + offset
    elif space is not None and (code := _code(space, function)) is not None:
        file, number = code.co_filename, code.co_firstlineno + offset
    category = _category(*named)
    known: dict[str, Any] = {}
    if space is not None:
        known = {"module": space.get("__name__") or "<string>", "registry": space.setdefault("__warningregistry__", {})}
    warnings.warn_explicit(category(*args), category, file, number, **known)


def _code(space: dict[str, Any], function: str) -> CodeType | None:
    """The code of a function by its qualified name, as far as that can be had."""
    first, *parts = function.split(".")
    found: Any = space.get(first)
    for part in parts:
        found = getattr(found, part, None)
    while found is not None:
        code = getattr(found, "__code__", None)
        if isinstance(code, CodeType) and code.co_qualname == function:
            return code
        found = getattr(found, "__wrapped__", None)
    return None
