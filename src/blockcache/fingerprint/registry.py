"""Rules for the types of libraries, found by name and imported when such an object is met.

A library's file in ``blockcache.types`` offers ``FINGERPRINT``, a mapping from the qualified
name of a type to a rule, and ``DESCRIBE``, a mapping to functions that tell a value's type and
size in a few words. Subclasses are found through their bases. ``CHANGING`` holds the names of types whose objects a
program changes: which of them in a value are one and the same counts too.

Distributions offer such files for other libraries by an entry point, see :mod:`blockcache.plugins`.

Classes of others join in without any registration by offering a method
``__fingerprint__(self) -> object``, which returns something that stands for the whole value:
equal exactly when the value is equal, and itself possible to fingerprint.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from blockcache import plugins
from blockcache.model import Input

#: Returns the value's content as plain values, arrays and other things with a fingerprint.
#: It must hold all that a program can notice about the value, and nothing that varies between processes.
#: The type itself is added by the caller.
Rule = Callable[[Any], object]
Describe = Callable[[Any], str]

#: First part of a type's module name -> the room that has its rules.
LIBRARIES = {
    "PIL": "blockcache.types.pil_",
    "lark": "blockcache.types.lark_",
    "h5py": "blockcache.types.h5py_",
    "lmfit": "blockcache.types.lmfit_",
    "marimo": "blockcache.types.marimo_",
    "matplotlib": "blockcache.types.matplotlib_",
    "networkx": "blockcache.types.networkx_",
    "numpy": "blockcache.types.numpy_",
    "pandas": "blockcache.types.pandas_",
    "polars": "blockcache.types.polars_",
    "pyarrow": "blockcache.types.arrow",
    "scipy": "blockcache.types.scipy_",
    "sklearn": "blockcache.types.sklearn_",
    "sympy": "blockcache.types.sympy_",
    "torch": "blockcache.types.torch_",
    "uncertainties": "blockcache.types.uncertainties_",
}


class Refused(Exception):
    """Raised by a rule: this value has no content that can be fingerprinted; the message says why."""


class Cached:
    """Base of blockcache's own callables that count as the function that they hold."""

    __qualname__: str
    __wrapped__: Callable[..., Any]

    def counts(self) -> Iterable[Input]:
        """What else whoever calls it depends on."""
        raise NotImplementedError


class As:
    """Returned by a rule: the content counts as one of ``kind``, not of the value's own type."""

    __slots__ = ("content", "kind")

    def __init__(self, kind: type, content: object) -> None:
        self.kind = kind
        self.content = content


def rule_for(kind: type) -> Rule | None:
    """The rule of ``kind`` or of the nearest of its bases that has one."""
    found: Rule | None = _find(kind, "FINGERPRINT")
    return found


def description_for(kind: type) -> Describe | None:
    """How to describe a ``kind``, or the nearest of its bases that has a way."""
    found: Describe | None = _find(kind, "DESCRIBE")
    return found


def changing(kind: type) -> bool:
    """Whether the library of ``kind``, or of one of its bases, says that a program changes such objects."""
    return any(base.__qualname__ in _table_of(base, "CHANGING") for base in kind.__mro__)


def rule_in(kind: type, table: str) -> Any:
    """What the library of exactly this class says of it in a table of its room; None where it says nothing."""
    return _table_of(kind, table).get(kind.__qualname__)


def _table_of(kind: type, table: str) -> Any:
    library = str(kind.__module__).partition(".")[0]
    name = LIBRARIES.get(library)
    room = _imported(name) if name is not None else plugins.room(plugins.FINGERPRINTS, library)
    return getattr(room, table, {})


#: Not what `sys.modules` says: another thread may still be importing that.
_imported = functools.cache(import_module)


def _find(kind: type, table: str) -> Any:
    for base in kind.__mro__:
        found = rule_in(base, table)
        if found is not None:
            return found
    return None
