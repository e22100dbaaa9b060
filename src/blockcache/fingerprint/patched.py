"""What a program put into libraries and into the builtins: definitions and values that are not the library's own.

A version settles what a library's module holds, unless somebody assigned to it. These are the live checks
along what a block reaches; what they cannot see is found from the statements that ran (``earlier``).
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from blockcache.fingerprint import modules

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: others cannot be assigned to
_ABC_META = type(Mapping)
_MOST_HELD = 1000
_CONSTANTS = (bool, int, float, complex, str, bytes, type(None))
_MISSING = object()


def is_local_code(code: types.CodeType) -> bool:
    """Whether code was not written by an installed library or Python."""
    return modules.origin_of_file(code.co_filename) in ("local", "memory")


def _is_own(name: str, value: object) -> bool:
    """Whether ``value`` is what Python itself, ``site`` or a notebook's host binds to ``name``."""
    if isinstance(value, types.BuiltinFunctionType):
        return value.__name__ == name
    if isinstance(value, type):
        return value.__module__ == "builtins" and name in (value.__name__, "EnvironmentError", "IOError")
    if name in ("True", "False", "None", "Ellipsis", "NotImplemented") or (name[:2] == name[-2:] == "__"):
        return True
    return isinstance(value, types.FunctionType) and not is_local_code(value.__code__)


#: Builtins that are Python's own; any other name or value was put there by a program.
OWN_BUILTINS = {name: value for name, value in vars(builtins).items() if _is_own(name, value)}


def foreign_builtin(name: str) -> object:
    """The value that a program put into ``builtins`` under ``name``; :data:`NotImplemented` when there is none."""
    value = vars(builtins).get(name, NotImplemented)
    if value is OWN_BUILTINS.get(name, _MISSING) or value is NotImplemented or _is_own(name, value):
        return NotImplemented
    return NotImplemented if type(value).__module__ == "_sitebuiltins" else value


def is_local(value: object) -> bool:
    """Whether ``value`` is a function, method or class of the program, or wraps one."""
    for _ in range(8):
        if isinstance(value, types.FunctionType):
            if is_local_code(value.__code__):
                return not _is_made_by_library(value)
            value = value.__dict__.get("__wrapped__")
        elif isinstance(value, type):
            module = sys.modules.get(value.__module__)
            return module is not None and modules.origin_of_module(module) == "local"
        elif isinstance(value, (staticmethod, classmethod, types.MethodType)):
            value = value.__func__
        elif isinstance(value, property):
            value = next((f for f in (value.fget, value.fset, value.fdel) if f is not None), None)
        else:
            return False
    return False


def _is_made_by_library(function: types.FunctionType) -> bool:
    """Code without a file (`<string>`: namedtuples, dataclasses, attrs) of a module that is a library's."""
    if modules.origin_of_file(function.__code__.co_filename) == "local":
        return False
    module = sys.modules.get(function.__module__ or "")
    return module is None or modules.origin_of_module(module) != "local"


def identity(value: object) -> str:
    """What the end of an attribute chain into a library is, as text: constants by value, definitions by name."""
    if type(value) in _CONSTANTS:
        return f"={value!r}"
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type)):
        return f" {value.__module__}.{value.__qualname__}"
    return ""


def _held(value: object) -> Iterator[tuple[str, object]]:
    """The program's definitions that an attribute of a library's class is or holds, one level deep."""
    if is_local(value):
        yield "", value
        return
    parts: Any = value if type(value) is dict else getattr(value, "__dict__", None)
    if isinstance(value, (types.FunctionType, type)) or not isinstance(parts, dict) or len(parts) > _MOST_HELD:
        return
    for key, part in parts.items():
        if is_local(part):
            yield f"[{key!r}]" if type(value) is dict else "", part


# By identity of the class: the class, how many attributes it and its bases have, the members found.
_scanned: dict[int, tuple[type, int, tuple[tuple[str, object], ...]]] = {}


def local_members(cls: type) -> tuple[tuple[str, object], ...]:
    """(name, definition) of what the program put on a library's class or on its bases.

    Scanned again when the number of attributes changes.
    """
    if not cls.__flags__ & _HEAP_TYPE:
        return ()
    size = 0
    for base in cls.__mro__:
        if base.__flags__ & _HEAP_TYPE:
            size += len(base.__dict__)
    known = _scanned.get(id(cls))
    if known is not None and known[1] == size:
        return known[2]
    found = tuple(
        (f"{base.__module__}.{base.__qualname__}.{name}{at}", part)
        for base in cls.__mro__
        if base.__flags__ & _HEAP_TYPE
        for name, value in list(base.__dict__.items())
        for at, part in _held(value)
    )
    _scanned[id(cls)] = (cls, size, found)
    return found


def registered(cls: type) -> list[type]:
    """Classes of the program that were registered with an abstract base class, in order of their names."""
    if not isinstance(cls, _ABC_META):
        return []
    import _abc  # type: ignore[import-not-found]  # what ``ABCMeta._dump_registry`` uses

    references = _abc._get_dump(cls)[0]
    found = [kind for reference in references if (kind := reference()) is not None and is_local(kind)]
    return sorted(found, key=lambda kind: (kind.__module__, kind.__qualname__))
