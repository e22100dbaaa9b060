"""Names that an entry cannot give back: who may miss them after the block, as the program stands now."""

from __future__ import annotations

import os
import sys
from types import FrameType

from blockcache import hosts
from blockcache.fingerprint.later import AT_END, Reader, after_block, functions_of, whole
from blockcache.frames import Entry, Namespace
from blockcache.model import Unsaved

#: The reason that stands beside a name of ``exclude=``.
EXCLUDED = "excluded"
_MAINS = ("__main__", "__mp_main__")
_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: the code of a function


def clause(row: Unsaved, who: str) -> str:
    """Why the body runs, in one clause."""
    if row.reason == EXCLUDED:
        return f"{row.name} is read after the block ({who}) and excluded from it"
    return f"{row.name} ({row.type}) is read after the block ({who}) and could not be saved ({row.reason})"


def reader(frame: FrameType, entry: Entry, name: str, *, vouched: bool = False) -> str:
    """Who may read ``name`` after the block, in words; empty when nobody does.

    Parameters
    ----------
    frame, entry
        Where the block stands.
    name
        As it runs.
    vouched
        Somebody says that nobody reads it whom the code of this program does not show: importers of this module,
        cells that come later.
    """
    code = frame.f_code
    found = after_block(code, entry.offset, name)
    if found is None:
        return ""
    if found is not AT_END:
        return _words(found, os.path.basename(code.co_filename))
    namespace = Namespace(frame)
    if code.co_flags & _OPTIMIZED:
        return "" if namespace.is_variable(name) or vouched else "a global, which any function may read"
    if not namespace.is_module:
        return "" if vouched else "an attribute of the class"
    try:
        after = hosts.afterwards(frame)
    except LookupError as error:
        return str(error)
    if after is not None:
        return _in_cells(after, frame, name)
    if vouched:
        return ""
    around = frame.f_back
    if around is not None and around.f_globals is frame.f_globals:
        return "the code that runs this one"
    if frame.f_globals.get("__name__") not in _MAINS:
        return "" if name.startswith("_") else "modules that import this one"
    if sys.flags.interactive or sys.flags.inspect or os.environ.get("PYTHONINSPECT"):
        return "the prompt after the program"
    return ""


def _in_cells(after: hosts.Afterwards, frame: FrameType, name: str) -> str:
    for label, code in (*(("this cell", code) for code in after.earlier), *after.others):
        found = functions_of(code, name)
        if found is not None:
            return _words(found, label)
    for code in after.rest:
        found = whole(code, name)
        if found is None:
            return ""
        if found is not AT_END:
            return _words(found, "this cell")
    for label, code in after.others:
        found = whole(code, name)
        if found is not None and found is not AT_END:
            return _words(found, label)
    return ""


def _words(found: Reader, place: str) -> str:
    return f"{found.who}, {place}:{found.line}" if found.who else f"{place}:{found.line}"
