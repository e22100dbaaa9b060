"""Texts that may name files, among the values that a block reaches: readers in C do not tell what they open."""

from __future__ import annotations

import copyreg
import itertools
import os
import sys
from collections.abc import Collection, Iterable
from types import FunctionType, ModuleType
from typing import Any

from blockcache.codec.codes import all_of
from blockcache.fingerprint import modules
from blockcache.opaque import files_behind

#: So many texts are taken, out of so many values that are looked into.
_MOST_TEXTS = 4096
_MOST_PARTS = 5000
_SEQUENCES = (list, tuple, set, frozenset)
_NUMBERS = (int, float, bool, type(None))


def of(values: Iterable[object], names: Collection[str]) -> list[object]:
    """Texts and paths in values, in objects of the program's own classes, and in what functions use beside arguments.

    Of modules only what ``names`` are bound to.
    """
    found: list[object] = []
    seen: dict[int, object] = {}
    todo = [part for value in values for part in _spread(value, names)]
    while todo and len(found) < _MOST_TEXTS and len(seen) < _MOST_PARTS:
        value = todo.pop()
        if isinstance(value, (str, bytes, os.PathLike)):
            found.append(value)
        elif type(value) not in _NUMBERS and id(value) not in seen:
            seen[id(value)] = value
            if not _is_its_parts(type(value)):
                found += files_behind(value)
            todo += itertools.islice(_parts(value), _MOST_PARTS)
    return found


def _is_its_parts(kind: type) -> bool:
    """Whether there is no file behind such a value but behind what it holds, which is looked at for itself."""
    return kind in (*_SEQUENCES, dict, FunctionType) or all(_is_local(base.__module__) for base in kind.__mro__[:-1])


def _parts(value: Any) -> Iterable[Any]:
    kind = type(value)
    if kind in _SEQUENCES:
        return value  # type: ignore[no-any-return]
    if kind is dict:
        return value.values()  # type: ignore[no-any-return]
    if kind is FunctionType:
        is_ours = modules.origin_of_file(value.__code__.co_filename) in ("local", "memory")
        return [*vars(value).values(), *(_given(value) if is_ours else ())]
    cls = value if isinstance(value, type) else kind
    if not _is_local(cls.__module__):
        return ()  # what a library's object holds is its own affair, and may lead anywhere
    if cls is value:
        return list(vars(value).values())
    slots = [getattr(value, name) for name in copyreg._slotnames(kind) if hasattr(value, name)]  # type: ignore[attr-defined]
    held = getattr(value, "__dict__", None) if kind.__dictoffset__ else None
    return [*slots, *held.values()] if type(held) is dict else slots


def _given(function: FunctionType) -> list[object]:
    """Defaults, closure and globals."""
    found: list[object] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # empty
            continue
    names = {name for code in all_of([function.__code__]) for name in code.co_names}
    for name in names & function.__globals__.keys():
        found += _spread(function.__globals__[name], names)
    return found


def _spread(value: object, names: Collection[str]) -> list[object]:
    if not isinstance(value, ModuleType):
        return [value]
    return [] if modules.is_library(value) else [vars(value)[name] for name in names if name in vars(value)]


def _is_local(name: object) -> bool:
    module = sys.modules.get(name) if isinstance(name, str) else None
    return not isinstance(module, ModuleType) or not modules.is_library(module)
