"""Variables of a running function before Python 3.13.

Up to 3.12 `frame.f_locals` of a function copies every variable into one
dictionary that the frame keeps, and that `locals()` hands to the program. Two
harms follow: objects live on after `del`, and a dictionary that the program
holds changes under its hands. So this module looks at that dictionary where
the frame keeps it, and leaves it as it was found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

# Imported here and not where it is used: Ctrl-C or a fork in the middle of an import does lasting harm.
from ctypes import c_int, c_void_p, py_object, pythonapi
from types import FrameType
from typing import Any

# Offsets in 64-bit CPython: PyFrameObject.f_frame, then _PyInterpreterFrame.f_locals.
_F_FRAME = 24
_F_LOCALS = 40 if sys.version_info >= (3, 12) else 24


class _Snapshot:
    """The dictionary of `locals()` as it is now, to be put back after `frame.f_locals` was read."""

    __slots__ = ("_content", "_frame")

    def __init__(self, frame: FrameType) -> None:
        self._frame = frame
        kept = _kept_locals(frame)
        # One reference of the frame, one of this variable, one of the call: the program does not have it.
        private = kept is None or sys.getrefcount(kept) <= 3
        self._content: dict[str, Any] = {} if private else dict(kept or ())

    def restore(self) -> None:
        """Forget what was copied since; a dictionary that the program holds gets its content back."""
        kept = _kept_locals(self._frame)
        if kept is not None:
            kept.clear()
            kept.update(self._content)


def write_slots(frame: FrameType, values: Mapping[str, object]) -> None:
    """Bind variables of a function."""
    snapshot = _Snapshot(frame)
    try:
        variables = frame.f_locals
        # Only the given names: writing back the others could undo what another thread did to a shared cell.
        variables.clear()
        variables.update(values)
        pythonapi.PyFrame_LocalsToFast(py_object(frame), c_int(0))
    finally:
        snapshot.restore()


def read_slots(frame: FrameType, names: Iterable[str]) -> dict[str, Any]:
    """The values of those variables of a function that are bound."""
    snapshot = _Snapshot(frame)
    try:
        variables = frame.f_locals
        return {name: variables[name] for name in names if name in variables}
    finally:
        snapshot.restore()


def _kept_locals(frame: FrameType) -> dict[str, Any] | None:
    """The dictionary behind `locals()`, without refreshing it; None when the function has none yet."""
    if not _OFFSETS_HOLD:
        return None
    try:
        kept = py_object.from_address(_address_of_locals(frame)).value
    except ValueError:  # a null pointer
        return None
    assert isinstance(kept, dict)
    return kept


def _address_of_locals(frame: FrameType) -> int:
    """Where the frame keeps the pointer to that dictionary."""
    return (c_void_p.from_address(id(frame) + _F_FRAME).value or 0) + _F_LOCALS


def _offsets_hold() -> bool:
    """Whether the offsets are right for this build; without them snapshots are left as they fall."""
    frame = sys._getframe()
    pointer = c_void_p.from_address(_address_of_locals(frame))
    none_yet = pointer.value is None
    variables = frame.f_locals
    found = none_yet and pointer.value == id(variables)
    variables.clear()
    del frame  # a frame that refers to itself keeps its callers alive
    return found


_OFFSETS_HOLD = _offsets_hold()
