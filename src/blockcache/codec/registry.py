"""Which library's reducers look after a class.

A library gets a file ``blockcache/types/<library>_codec.py`` with one function,
``reducer(cls)``, that returns the reducer of a class or None. The file is named
here by a string and imported on the first value of that library, so a program
that does not use the library never pays for it.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

from blockcache.codec.regions import Collector

#: Takes a value and the collector of its buffers; returns what ``__reduce_ex__`` may return,
#: or NotImplemented to leave the value to plain pickle.
Reducer = Callable[[Any, Collector], Any]

_ROOMS = {
    "multiprocessing": "blockcache.codec.tied",
    "re": "blockcache.codec.tied",
    "tempfile": "blockcache.codec.tied",
    "lmfit": "blockcache.types.lmfit_codec",
    "marimo": "blockcache.types.marimo_codec",
    "matplotlib": "blockcache.types.matplotlib_codec",
    "numpy": "blockcache.types.numpy_codec",
    "pandas": "blockcache.types.pandas_codec",
    "polars": "blockcache.types.polars_codec",
    "pyarrow": "blockcache.types.arrow_codec",
    "pyparsing": "blockcache.types.pyparsing_codec",
    "sklearn": "blockcache.types.sklearn_codec",
    "torch": "blockcache.types.torch_codec",
}

#: What texts among the outputs may not say, where a library is loaded, and why.
_REFUSED_TEXTS = {
    "marimo": (
        re.compile(rb"<marimo-ui-element object-id="),
        "markup of elements of the page, which the next session numbers anew",
    )
}


def refused_text(stream: Iterable[bytes | memoryview]) -> str:
    """What a pickle stream says that would be wrong when it is restored; empty when there is nothing."""
    for library, (pattern, why) in _REFUSED_TEXTS.items():
        if library in sys.modules and any(pattern.search(piece) for piece in stream):
            return why
    return ""


def reducer_for(cls: type) -> Reducer | None:
    """The library reducer of ``cls``: the first that one of its bases' libraries names."""
    asked = set()
    for base in cls.__mro__:
        module = base.__module__
        library = module.partition(".")[0] if isinstance(module, str) else ""
        if library in _ROOMS and library not in asked and library in sys.modules:
            asked.add(library)
            found: Reducer | None = importlib.import_module(_ROOMS[library]).reducer(cls)
            if found is not None:
                return found
    return None
