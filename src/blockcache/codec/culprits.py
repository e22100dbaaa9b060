"""Which part of a value keeps it from being saved, for people."""

from __future__ import annotations

import pickle
import types
from collections.abc import Callable, Iterator, Mapping

_MOST_PARTS = 200
_DEEPEST = 6
_LONGEST_KEY = 30


def culprit(value: object, reason: str, trouble: Callable[[object], str]) -> tuple[str, str]:
    """Path to the innermost part of ``value`` that cannot be saved either (``.pool[0]``), and its own reason.

    ``trouble`` tries to save a value and returns why that failed, or nothing.
    """
    path = ""
    for _ in range(_DEEPEST):
        for step, part in _parts(value):
            why = trouble(part)
            if why:
                path, value, reason = path + step, part, why
                break
        else:
            break
    return path, reason


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, (type, types.FunctionType, types.ModuleType)):
        if isinstance(value, types.FunctionType) and value.__closure__:
            for name, cell in zip(value.__code__.co_freevars, value.__closure__, strict=True):
                try:
                    yield f".{name}", cell.cell_contents
                except ValueError:
                    continue
        return
    if isinstance(value, Mapping):
        pairs = ((f"[{repr(key)[:_LONGEST_KEY]}]", part) for key, part in _safely(value.items))
    elif isinstance(value, (list, tuple, set, frozenset)):
        pairs = ((f"[{number}]", part) for number, part in enumerate(value))
    else:
        attributes = getattr(value, "__dict__", None)
        pairs = ((f".{name}", part) for name, part in (attributes.items() if type(attributes) is dict else ()))
    for number, pair in enumerate(pairs):
        if number >= _MOST_PARTS:
            return
        yield pair


def _safely(items: Callable[[], object]) -> list[tuple[object, object]]:
    try:
        return list(items())  # type: ignore[call-overload, no-any-return]
    except Exception:  # a mapping of the program's own
        return []


def reason_of(error: Exception) -> str:
    """What kept a value from being saved, for people."""
    if isinstance(error.__cause__, RecursionError) or isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    known = (TypeError, pickle.PicklingError)
    return text if isinstance(error, known) and text else f"{type(error).__name__}: {text}"
