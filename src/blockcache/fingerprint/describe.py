"""One short text about a value for people: type and size, never the contents of text."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from blockcache.fingerprint.registry import Describe, description_for

_LONGEST_NUMBER = 40


def describe(value: object) -> str:
    """Type and size of ``value`` in a few words, at a cost that does not depend on its size."""
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain(value)
    kind = type(value)
    try:
        found = description_for(kind)
        return found(value) if found is not None else _by_kind(value, kind)
    except Exception:
        # A description is decoration: an object that fails to tell its size still has a type.
        return kind.__qualname__


def _number(value: Any) -> str:
    # str() of a huge integer takes the square of its length.
    if type(value) is int and value.bit_length() > 120:
        return f"int of {value.bit_length():,} bits"
    return str(value)[:_LONGEST_NUMBER]


def _sized(word: str, unit: str = "") -> Describe:
    return lambda value: f"{word} of {len(value):,}{unit}"


_PLAIN: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "None",
    bool: str,
    int: _number,
    float: str,
    complex: str,
    str: _sized("str", " characters"),
    bytes: _sized("bytes", " bytes"),
    bytearray: _sized("bytearray", " bytes"),
    list: _sized("list"),
    tuple: _sized("tuple"),
    dict: _sized("dict"),
    set: _sized("set"),
    frozenset: _sized("frozenset"),
}


def _by_kind(value: Any, kind: type) -> str:
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return f"function {value.__qualname__}"
    if isinstance(value, type):
        return f"class {value.__qualname__}"
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if isinstance(value, list | tuple | dict | set | frozenset | str | bytes):
        return f"{kind.__qualname__} of {len(value):,}"
    return kind.__qualname__
