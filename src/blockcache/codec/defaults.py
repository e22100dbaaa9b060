"""Containers that are default arguments of a library's methods, and so shared by all objects that keep them.

``def __init__(self, names=["x"])``: objects made after a hit have the library's list, so those that it gives back
must have that too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from blockcache.codec.constants import PLAIN

_CONTAINERS = (list, dict, set)
_MOST_ITEMS = 100


class Default(NamedTuple):
    """Where such a container is: the argument ``which`` of a method."""

    container: Any
    module: str
    owner: str
    method: str
    which: int | str

    @property
    def way(self) -> tuple[Any, ...]:
        """What :func:`find` takes."""
        return ("default", *self[1:], self.container)


def defaults_of(classes: Iterable[type], is_library: Callable[[ModuleType], bool]) -> Iterator[Default]:
    """The default arguments of methods of libraries' classes and their bases that are containers of plain values."""
    for cls in dict.fromkeys(base for known in classes for base in known.__mro__):
        module = sys.modules.get(cls.__module__)
        if isinstance(module, ModuleType) and cls.__module__ != "builtins" and is_library(module):
            for name, method in list(vars(cls).items()):
                if isinstance(method, FunctionType):
                    for which, value in _values(method):
                        if type(value) in _CONTAINERS and _is_plain(value):
                            yield Default(value, cls.__module__, cls.__qualname__, name, which)


def _values(method: FunctionType) -> Iterable[tuple[int | str, object]]:
    return [*enumerate(method.__defaults__ or ()), *(method.__kwdefaults__ or {}).items()]


def _is_plain(container: Any) -> bool:
    parts = [x for pair in container.items() for x in pair] if type(container) is dict else container
    return len(container) <= _MOST_ITEMS and all(type(part) in PLAIN for part in parts)


def find(module: str, owner: str, method: str, which: int | str, saved: Any) -> object:
    """The library's own container, where it holds what was saved; else that."""
    try:
        found: Any = importlib.import_module(module)
        for part in owner.split("."):
            found = vars(found)[part]
        container = dict(_values(vars(found)[method]))[which]
    except (ImportError, LookupError, TypeError, AttributeError):
        return saved
    return container if type(container) is type(saved) and _text(container) == _text(saved) else saved


def _text(container: Any) -> str:
    # As text, because 1 equals True.
    return repr(sorted(map(repr, container)) if type(container) is set else container)
