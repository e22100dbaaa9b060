"""Which library's reducers look after a class.

A library gets a file ``blockcache/types/<library>_codec.py``, its room, with up to three names:

- ``reducer(cls)`` returns the reducer of a class for pickle, or None;
- ``typed(cls)`` returns the reducer of exactly this class for typed trees, or None. What such a reducer calls is in
- ``MAKERS``, the functions that a tree of the library may call, by the names that stand in trees.

Distributions offer such rooms for other libraries by an entry point, see :mod:`blockcache.plugins`.

The file is named here by a string and imported on the first value of that library, so a program
that does not use the library never pays for it.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from blockcache import plugins
from blockcache.codec.regions import Buffer, Collector
from blockcache.errors import CodecError

#: Takes a value and the collector of its buffers; returns what ``__reduce_ex__`` may return,
#: or NotImplemented to leave the value to plain pickle.
Reducer = Callable[[Any, Collector], Any]

_ROOMS = {
    "PIL": "blockcache.types.pil_codec",
    "multiprocessing": "blockcache.codec.tied",
    "re": "blockcache.codec.tied",
    "tempfile": "blockcache.codec.tied",
    "lmfit": "blockcache.types.lmfit_codec",
    "marimo": "blockcache.types.marimo_codec",
    "matplotlib": "blockcache.types.matplotlib_codec",
    "networkx": "blockcache.types.networkx_codec",
    "numpy": "blockcache.types.numpy_codec",
    "pandas": "blockcache.types.pandas_codec",
    "polars": "blockcache.types.polars_codec",
    "pyarrow": "blockcache.types.arrow_codec",
    "pyparsing": "blockcache.types.pyparsing_codec",
    "scipy": "blockcache.types.scipy_codec",
    "sklearn": "blockcache.types.sklearn_codec",
    "torch": "blockcache.types.torch_codec",
}

#: Where the standard library's modules have their typed rules.
_STANDARD = "blockcache.codec.standard"
_STANDARD_MODULES = frozenset(
    ("array", "builtins", "collections", "datetime", "decimal", "fractions", "pathlib", "re", "uuid", "zoneinfo")
)

#: What texts among the outputs may not say, where a library is loaded, and why.
_REFUSED_TEXTS = {
    "marimo": (
        re.compile(rb"<marimo-ui-element object-id="),
        "markup of elements of the page, which the next session numbers anew",
    )
}


def refuse_texts(pieces: Collection[Buffer]) -> None:
    """Refuse outputs whose texts, in pieces of a stream, would be wrong when they are restored.

    Raises
    ------
    CodecError
        Saying what they hold.
    """
    for library, (pattern, why) in _REFUSED_TEXTS.items():
        if library in sys.modules and any(pattern.search(piece) for piece in pieces):
            raise CodecError(f"the outputs hold {why}")


def reducer_for(cls: type) -> Reducer | None:
    """The library reducer of ``cls``: the first that one of its bases' libraries names."""
    asked = set()
    for base in cls.__mro__:
        module = base.__module__
        library = module.partition(".")[0] if isinstance(module, str) else ""
        if library not in asked and library in sys.modules:
            asked.add(library)
            found = _ask(library, "reducer", cls)
            if found is not None:
                return found
    return None


def _ask(library: str, function: str, cls: type) -> Reducer | None:
    """What the room of a library says of a class."""
    room = _room(library)
    if not hasattr(room, function):
        return None
    try:
        found: Reducer | None = getattr(room, function)(cls)
    except Exception as error:
        if library in _ROOMS:
            raise
        why = f"{function}({cls.__qualname__}) raised {type(error).__name__}: {error}"
        plugins.broken(plugins.CODECS, library, why)
        return None
    return found


def typed_reducer_for(cls: type) -> tuple[Reducer, str] | None:
    """How a value of exactly this class is reduced for a tree, and the library whose makers that calls."""
    module = cls.__module__
    library = module.partition(".")[0] if isinstance(module, str) else ""
    if library in _STANDARD_MODULES:
        library = "python"
    reducer = _ask(library, "typed", cls)
    return None if reducer is None else (reducer, library)


def maker(tag: str) -> Callable[..., Any]:
    """The function that ``library.name`` stands for in trees.

    Raises
    ------
    CodecError
        When no room has it.
    """
    library, _, name = tag.partition(".")
    found: Callable[..., Any] | None = makers_of(library).get(name)
    if found is None:
        raise CodecError(f"{tag!r} is not known to this version")
    return found


def makers_of(library: str) -> Mapping[str, Callable[..., Any]]:
    """What trees may call of a library, by name."""
    found: Mapping[str, Callable[..., Any]] = getattr(_room(library), "MAKERS", {})
    return found


def _room(library: str) -> Any:
    name = _STANDARD if library == "python" else _ROOMS.get(library)
    if name is None:
        return plugins.room(plugins.CODECS, library)
    return _imported(name)


#: Not what `sys.modules` says: another thread may still be importing that.
_imported = functools.cache(importlib.import_module)
