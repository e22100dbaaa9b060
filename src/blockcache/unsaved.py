"""Names that an entry cannot give back: who may miss them after the block, as the program stands now."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Mapping
from types import CodeType, FrameType

from blockcache import hosts, records
from blockcache.errors import CacheWarning
from blockcache.fingerprint.later import AT_END, Reader, after_block, functions_of, whole
from blockcache.frames import Entry, Namespace
from blockcache.model import Unsaved

#: The reason that stands beside a name of ``exclude=``.
EXCLUDED = "excluded"
#: Errors, as reasons name them, that the same value need not meet again: of a disk, a full memory.
_MAY_PASS = re.compile(
    r"(?:^|: )(?:OSError|PermissionError|FileNotFoundError|MemoryError|\w*ImportError|ModuleNotFoundError): "
)
_MAINS = ("__main__", "__mp_main__")
_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: the code of a function

# By id of the frame, for each of its blocks whose body runs: names that a block inside did not give back.
_lacking: dict[int, list[dict[str, Unsaved]]] = {}


def enter(frame: FrameType, rows: dict[str, Unsaved]) -> None:
    """A body begins: ``rows`` gets the names that blocks inside it do not give back."""
    _lacking.setdefault(id(frame), []).append(rows)


def leave(frame: FrameType, rows: dict[str, Unsaved]) -> None:
    """That body is over."""
    others = [found for found in _lacking.pop(id(frame), []) if found is not rows]
    if others:
        _lacking[id(frame)] = others


def tell_around(frame: FrameType, rows: Mapping[str, Unsaved]) -> None:
    """Tell the bodies around a block which names it did not give back."""
    for around in _lacking.get(id(frame), ()):
        around.update(rows)


def may_pass(reason: str) -> bool:
    """Whether a value that could not be saved for this reason can perhaps be saved another time."""
    return _MAY_PASS.search(reason) is not None


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


def watch(
    block: str, where: tuple[str, str], rows: Mapping[str, Unsaved], namespace: Mapping[str, object], *, lacking: bool
) -> None:
    """In Jupyter, see whether a cell that comes later reads one of the names, and remember it.

    Parameters
    ----------
    block, where
        The block's name; its body's digest and its folder.
    rows
        What was not saved, by the names as they run.
    namespace
        The notebook's.
    lacking
        The names are not bound now, because the body did not run.
    """
    wanted = dict(rows)

    def look(code: CodeType) -> bool:
        for name, row in list(wanted.items()):
            found = whole(code, name)
            if found is not None and found is not AT_END:
                records.save(_record(where, row.name), True)
                if lacking and name not in namespace:
                    _say_lacking(block, row)
            if found is not AT_END:
                del wanted[name]
        return bool(wanted)

    hosts.watch(block, look)


def _say_lacking(block: str, row: Unsaved) -> None:
    why = "it is excluded" if row.reason == EXCLUDED else f"a {row.type} could not be saved ({row.reason})"
    text = f"{row.name} was not given back by block {block!r}: {why}; run that block's cell again, its body will run"
    with contextlib.suppress(CacheWarning):
        warnings.warn_explicit(text, CacheWarning, "later cell", 1)


def seen_later(where: tuple[str, str], name: str) -> bool:
    """Whether a cell that came later has read a name, in any session."""
    return records.load(_record(where, name)) is True


def forget(where: tuple[str, str], name: str) -> None:
    """What was seen does not count any more."""
    if seen_later(where, name):
        records.save(_record(where, name), False)


def _record(where: tuple[str, str], name: str) -> str:
    return records.name_of("read later", where, name)


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
