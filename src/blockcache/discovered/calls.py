"""From Python 3.12 on: the calls that project code makes, for files that readers in C are given.

Functions of the project that start are found, and of each call in them the first argument is looked at: a text or
path that names an existing file counts as read. A call that is given something else is not looked at again, nor is one
that was given many texts and hardly a file: a hot loop runs at native speed.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Iterable
from types import CodeType
from typing import Any

from blockcache.discovered import places, watch

_NAME = "blockcache recorder"
#: After so many texts at one place of a program, of which not one in so many named a file.
_PATIENCE = 300
_RARE = 50
#: Numbers that skips prefer are left to them; 0 to 2 are reserved for debuggers, coverage and profilers.
_TOOL_IDS = (3, 5)
#: Of the standard library, those that open files in C.
_C_READERS = frozenset({"_gdbm", "_dbm", "dbm", "_ssl", "ssl", "shelve"})

if sys.version_info >= (3, 12):
    _monitoring = sys.monitoring
    _EVENTS = _monitoring.events
    _tool: int | None = None
    _watched: set[CodeType] = set()
    # Place of a call -> [texts seen, of which named files].
    _seen: dict[tuple[CodeType, int], list[int]] = {}

    def begin(codes: Iterable[CodeType]) -> bool:
        """Watch the calls of ``codes`` and of all functions of the project that start; whether that is possible."""
        global _tool
        if _tool is None:
            free = next((i for i in _TOOL_IDS if _monitoring.get_tool(i) is None), None)
            if free is None:
                return False
            _monitoring.use_tool_id(free, _NAME)
            _tool = free
            _monitoring.register_callback(free, _EVENTS.PY_START, _on_start)
            _monitoring.register_callback(free, _EVENTS.CALL, _on_call)
            _monitoring.set_events(free, _EVENTS.PY_START)
        _seen.clear()
        # What an earlier recorder has seen enough of, this one has not seen.
        _monitoring.restart_events()
        for code in codes:
            _watch(code)
        return True

    def end() -> None:
        """Watch nothing."""
        global _tool
        if _tool is None:
            return
        _monitoring.set_events(_tool, 0)
        for code in _watched:
            _monitoring.set_local_events(_tool, code, 0)
        for event in (_EVENTS.PY_START, _EVENTS.CALL):
            _monitoring.register_callback(_tool, event, None)
        _monitoring.free_tool_id(_tool)
        _tool = None
        _watched.clear()
        _seen.clear()

    def _watch(code: CodeType) -> None:
        tool = _tool
        if tool is not None and code not in _watched:
            _watched.add(code)
            with contextlib.suppress(ValueError):  # another thread has ended the watch: the program must not notice
                _monitoring.set_local_events(tool, code, _EVENTS.CALL)

    def _on_start(code: CodeType, _offset: int) -> object:
        if places.is_local(code.co_filename):
            _watch(code)
            watch.tell(lambda r: r.ran(code))
        return _monitoring.DISABLE

    def _on_call(code: CodeType, offset: int, function: object, first: object) -> object:
        kind = type(first)
        if kind is not str and kind is not bytes and kind not in (list, tuple) and not hasattr(kind, "__fspath__"):
            return _monitoring.DISABLE
        if not _may_read(function):
            return _monitoring.DISABLE
        values = first
        if kind in (list, tuple):
            values = [value for value in first[:_PATIENCE] if isinstance(value, str) or hasattr(value, "__fspath__")]  # type: ignore[index]
            if not values:
                return _monitoring.DISABLE
        counts = _seen.setdefault((code, offset), [0, 0])
        counts[0] += len(values) if isinstance(values, list) else 1
        found: list[bool] = []
        name = getattr(function, "__name__", "")  # of an object that makes up attributes, it is anything
        writes = type(name) is str and places.is_writing(name)
        watch.tell(lambda r: found.append(r.guess(values, may_write=writes)))
        counts[1] += any(found)
        if counts[0] >= _PATIENCE and counts[1] * _RARE < counts[0]:
            return _monitoring.DISABLE
        return None

    def _may_read(function: Any) -> bool:
        """Whether a function may open a file that no audit event tells of."""
        module, owner = getattr(function, "__module__", None), function
        if not isinstance(module, str):  # a method of a type in C
            owner = getattr(function, "__objclass__", None) or type(getattr(function, "__self__", None))
            module = owner.__module__
        top = module.partition(".")[0]
        if top == "builtins" and isinstance(owner, type):
            # A type in C or Rust that names no module of its own says that it is a builtin.
            return vars(builtins).get(owner.__name__) is not owner
        return top == "__main__" or top not in sys.stdlib_module_names or top in _C_READERS

else:

    def begin(codes: Iterable[CodeType]) -> bool:
        """Calls cannot be watched."""
        return False

    def end() -> None:
        """Nothing is watched."""
