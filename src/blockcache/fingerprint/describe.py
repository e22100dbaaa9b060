"""One short text about a value for people: type and size; the content of numbers and of short plain text only.

What may be a secret is not shown: a value under a name that sounds like one is told by its type alone, and text
that reads like one by its length. That is decided by plain searches, because a hit describes values too;
:mod:`blockcache.texts` looks more closely at what is stored.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

from blockcache.fingerprint.registry import Describe, description_for

_LONGEST_NUMBER = 40
_LONGEST_TEXT = 40
#: Longer words with digits in them are keys and tokens more often than not.
_LONGEST_WORD = 20
_SECRET_NAMES = ("password", "passwd", "secret", "token", "credential")
_SECRET_ENDS = ("key", "pwd")
_SECRET_TEXTS = (*_SECRET_NAMES, "api_key", "apikey", "private key", "://", "akia", "bearer ")


def describe(value: object, name: str = "") -> str:
    """Type and size of ``value`` in a few words, at a cost that does not depend on its size.

    Parameters
    ----------
    value
        Anything.
    name
        What it is bound to; under a name like ``password``, ``api_token`` or ``key`` only the type is told.
    """
    kind = type(value)
    if name and _is_secret(name):
        return kind.__qualname__
    plain = _PLAIN.get(kind)
    if plain is not None:
        return plain(value)
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


@functools.lru_cache(maxsize=10_000)
def _is_secret(name: str) -> bool:
    """Whether a name says that its value is not for other eyes; ``cfg.api_key (local)`` counts by ``api_key``."""
    low = name.partition(" ")[0].partition("#")[0].lower()
    return low.endswith(_SECRET_ENDS) or any(word in low for word in _SECRET_NAMES)


def _text(value: Any) -> str:
    """Short plain text as it is; longer text, and what may be a secret, by its length."""
    if len(value) <= _LONGEST_TEXT and value.isprintable():
        low = value.lower()
        if not any(word in low for word in _SECRET_TEXTS) and not any(map(_is_random, value.split())):
            return repr(value)
    return f"str of {len(value):,} characters"


def _is_random(word: str) -> bool:
    """Whether a word looks like a key or token: long, with both letters and digits, and no separators of a path."""
    return (
        len(word) >= _LONGEST_WORD
        and not any(mark in word for mark in "/.,:;")
        and any(map(str.isdigit, word))
        and any(map(str.isalpha, word))
    )


def _sized(word: str, unit: str = "") -> Describe:
    return lambda value: f"{word} of {len(value):,}{unit}"


_PLAIN: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "None",
    bool: str,
    int: _number,
    float: str,
    complex: str,
    str: _text,
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
