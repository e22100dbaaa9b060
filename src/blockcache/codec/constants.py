"""Objects that a library compares with ``is``: attributes of its modules, and of the classes there.

Sentinels and the like (``_MISSING = object()``). A copy of one is another object, and the library that looks for it
misbehaves without a word, so they are saved by where they are.
"""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})


class Place(NamedTuple):
    """Where an object is: an attribute of a module, or of the class ``owner`` in it."""

    constant: object
    module: str
    owner: str | None
    name: str


class Constants:
    """Finds the places of objects, for one pickling; a module is searched when the first object of it turns up.

    Parameters
    ----------
    is_library
        Whether a module is of an installed library or of the standard library.
    home
        Name of the block's module, whose objects are the program's own.
    """

    def __init__(self, is_library: Callable[[ModuleType], bool], home: str | None) -> None:
        self._is_library = is_library
        self._home = home
        self._found: dict[str, dict[type, dict[int, Place]]] = {}

    def of(self, cls: type) -> dict[int, Place]:
        """Places of the instances of ``cls`` by their ``id``; empty where none is to be saved by its place.

        A class that defines ``==`` or its own way of pickling has said what its instances are: values, or names.
        """
        if not _by_identity(cls) or not isinstance(cls.__module__, str):
            return {}
        if cls is object:
            # Its module tells nothing. A bare object has nothing but its identity, so it is worth a search everywhere.
            return {
                id(value): Place(value, name, owner, key)
                for name in list(sys.modules)
                for value, owner, key in self._attributes(name)
                if type(value) is object
            }
        found = self._found.get(cls.__module__)
        if found is None:
            found = self._found[cls.__module__] = {}
            for value, owner, key in self._attributes(cls.__module__):
                found.setdefault(type(value), {}).setdefault(id(value), Place(value, cls.__module__, owner, key))
        return found.get(cls, {})

    def _attributes(self, name: str) -> Iterator[tuple[object, str | None, str]]:
        """(value, class or None, attribute) of everything that a library's module and its classes hold."""
        module = sys.modules.get(name)
        # An object that only poses as a module may do anything when it is looked at.
        if not isinstance(module, ModuleType) or name in (self._home, "builtins") or not self._is_library(module):
            return
        attributes = dict(vars(module))
        yield from ((value, None, key) for key, value in attributes.items())
        for owner, cls in attributes.items():
            # Not isinstance: it asks a lazy object for its class, and that may import a library.
            if issubclass(type(cls), type) and vars(cls).get("__module__") == name:
                yield from ((value, owner, key) for key, value in list(vars(cls).items()))


def state_text(constant: object) -> str | None:
    """The class and the state of an object as text; None when the state is more than plain values.

    Lists, dictionaries and other objects in it may have been changed by the program: no text tells that in full.
    """
    cls = type(constant)
    if not _by_identity(cls):
        return None
    try:
        reduced: Any = object.__reduce_ex__(constant, 5)
    except Exception:  # it has a state that Python does not see
        return None
    make, arguments, state, items, pairs = reduced
    if make is not copyreg.__newobj__ or arguments != (cls,) or items is not None or pairs is not None:  # type: ignore[attr-defined]
        return None
    parts = state if type(state) is tuple else (state,)  # attributes, slots
    facts = [fact for part in parts for fact in (part.items() if type(part) is dict else [part])]
    return f"{cls.__qualname__} {facts!r}" if all(map(_is_plain, facts)) else None


def _is_plain(fact: object) -> bool:
    return all(map(_is_plain, fact)) if type(fact) is tuple else type(fact) in PLAIN


def _by_identity(cls: type) -> bool:
    return all(
        getattr(cls, name, None) is getattr(object, name)
        for name in ("__eq__", "__reduce_ex__", "__reduce__", "__getstate__")
    )
