"""Values without content: the files behind them, and a cheap probe that shows when one was used up or changed."""

from __future__ import annotations

import itertools
import operator
import os
import sys
import time
import types
from typing import Any, NamedTuple

from blockcache.errors import FingerprintError
from blockcache.fingerprint.registry import rule_in
from blockcache.fingerprint.values import fingerprint

_unknown = itertools.count()
_WITH_LENGTH = frozenset(
    {
        "list_iterator",
        "list_reverseiterator",
        "tuple_iterator",
        "str_ascii_iterator",
        "str_iterator",
        "bytes_iterator",
        "range_iterator",
        "longrange_iterator",
        "dict_keyiterator",
        "dict_valueiterator",
        "dict_itemiterator",
        "set_iterator",
    }
)
#: Parts without content that are looked into, and how much of the processor's time that may take.
_MOST_OPAQUE = 12
_LONGEST_LOOK_S = 1.0
_DEEPEST = 4
_STANDARD_STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__")
#: How a text begins that is never given twice.
NEVER_AGAIN = "unknown "


def files_behind(value: object) -> tuple[str, ...]:
    """Files that an opaque value stands on: those of open files and of sqlite3 connections, also in its attributes."""
    found: dict[str, None] = {}
    _collect(value, found, set(), 0)
    return tuple(path for path in found if os.path.isfile(path))


def _collect(value: Any, found: dict[str, None], seen: set[int], depth: int) -> None:
    if id(value) in seen or depth > _DEEPEST:
        return
    seen.add(id(value))
    sqlite3 = sys.modules.get("sqlite3")
    if sqlite3 is not None and isinstance(value, sqlite3.Connection):
        for path in _databases(value):
            found[path] = None
            if os.path.isfile(path + "-wal") and os.path.getsize(path + "-wal"):
                found[path + "-wal"] = None
    elif sqlite3 is not None and isinstance(value, sqlite3.Cursor):
        _collect(value.connection, found, seen, depth)
    elif _is_file(value):
        name = getattr(value, "name", None)
        if isinstance(name, str) and not getattr(value, "closed", False) and _reads(value):
            found[os.path.abspath(name)] = None
    elif isinstance(value, types.GeneratorType):
        if value.gi_frame is not None:
            _collect(list(value.gi_frame.f_locals.values()), found, seen, depth)
    elif isinstance(value, (list, tuple)):
        for part in value[:100]:
            _collect(part, found, seen, depth + 1)
    elif isinstance(value, dict):
        for part in list(value.values())[:100]:
            _collect(part, found, seen, depth + 1)
    elif type(getattr(value, "__dict__", None)) is dict and not isinstance(value, (type, types.ModuleType)):
        for part in list(vars(value).values()):
            _collect(part, found, seen, depth + 1)


def _databases(connection: Any) -> list[str]:
    # A cursor of its own: the factory and the row factory of the program stay out of it.
    import sqlite3

    try:
        cursor = sqlite3.Cursor(connection)
        cursor.row_factory = None
        return [
            row[2] for row in cursor.execute("PRAGMA database_list").fetchall() if isinstance(row[2], str) and row[2]
        ]
    except sqlite3.Error:  # closed, or made in another thread
        return []


def _is_file(value: object) -> bool:
    io = sys.modules.get("io")
    return io is not None and isinstance(value, io.IOBase)


def _reads(value: Any) -> bool:
    try:
        return bool(value.readable())
    except (ValueError, OSError):
        return False


class _Look(NamedTuple):
    """One look at a value: until when, by the thread's processor time, and the parts without content that it met."""

    until: float
    met: set[int]


def state_of(value: object) -> str | None:
    """A text that is the same only as long as ``value`` was not used up or changed.

    None where there is nothing to look at (a lock-like or foreign object): what C code changes inside is not seen.
    A value that may have been used up without a trace, or with more parts than are worth looking at, never gives the
    same text twice.
    """
    return _state(value, 0, _Look(time.thread_time() + _LONGEST_LOOK_S, set()))


def _state(value: object, depth: int, look: _Look) -> str | None:
    sqlite3 = sys.modules.get("sqlite3")
    if sqlite3 is not None and isinstance(value, sqlite3.Connection):
        try:
            return _connection_state(value)
        except sqlite3.Error as error:
            return f"{error}"
    if isinstance(value, types.GeneratorType):
        if value.gi_frame is None:
            return "closed"
        return _never_again() if _began(value) else "new"
    if isinstance(value, (types.CoroutineType, types.AsyncGeneratorType)):
        return _never_again()
    if any(value is getattr(sys, name, None) for name in _STANDARD_STREAMS):
        return "standard stream"  # what is written to it is output, and no input of what writes more
    if _is_file(value):
        return _file_state(value)
    if hasattr(type(value), "fetchone") and hasattr(value, "description"):
        # A cursor: how many rows were taken is not told, unless it has none to give.
        taken = getattr(value, "rownumber", None)
        return f"{value.description} {taken}" if value.description is None or taken is not None else _never_again()
    if hasattr(type(value), "__next__"):
        if type(value).__name__ in _WITH_LENGTH:
            return f"{operator.length_hint(value)}"
        return _never_again()
    if hasattr(value, "locked") and callable(value.locked):
        return f"{value.locked()}"
    for base in type(value).__mro__:
        probe = rule_in(base, "PROBE")
        if probe is not None:
            found: str = probe(value)
            return found
    return _state_of_parts(value, depth, look)


def tells_changes(value: object) -> bool:
    """Whether :func:`state_of` shows every change of a value, so that it says how often a loop has changed it."""
    sqlite3 = sys.modules.get("sqlite3")
    return sqlite3 is not None and isinstance(value, sqlite3.Connection)


def _connection_state(connection: Any) -> str:
    import sqlite3

    cursor = sqlite3.Cursor(connection)
    cursor.row_factory = None
    names = [row[1] for row in cursor.execute("PRAGMA database_list").fetchall()]
    schemas = [cursor.execute(f'PRAGMA "{name}".schema_version').fetchone()[0] for name in names]
    factories = [getattr(f, "__qualname__", "") for f in (connection.row_factory, connection.text_factory)]
    return f"{connection.total_changes} {connection.in_transaction} {connection.isolation_level} {schemas} {factories}"


def _state_of_parts(value: Any, depth: int, look: _Look) -> str | None:
    """Content of the attributes or items that have content, and the state of the others."""
    if isinstance(value, (type, types.ModuleType, types.FunctionType)) or depth > _DEEPEST:
        return None
    held: Any = value if isinstance(value, (dict, list, tuple)) else getattr(value, "__dict__", None)
    if isinstance(held, (list, tuple)):
        held = dict(enumerate(held))
    if type(held) is not dict:
        return None
    found = []
    for name, part in held.items():
        try:
            found.append(f"{name}={fingerprint(part, locate=False)}")
        except FingerprintError:
            if id(part) in look.met:  # of two that hold it, one tells
                continue
            look.met.add(id(part))
            # Each attempt at such a part walks all that it holds.
            too_long = len(look.met) > _MOST_OPAQUE or time.thread_time() > look.until
            found.append(f"{name}={_never_again() if too_long else _state(part, depth + 1, look)}")
    return " ".join(found)


def _began(generator: types.GeneratorType[Any, Any, Any]) -> bool:
    # Before its first step a generator stands at its first line and has only its arguments.
    import inspect

    return inspect.getgeneratorstate(generator) != inspect.GEN_CREATED


def _never_again() -> str:
    return f"{NEVER_AGAIN}{next(_unknown)}"


def _file_state(file: Any) -> str:
    if file.closed:
        return "closed"
    try:
        return f"{file.tell()}"
    except (OSError, ValueError):
        return _never_again()  # a pipe, or a text file in the middle of an iteration
