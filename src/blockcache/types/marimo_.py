"""marimo: an element of the user interface counts by its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def _element(value: Any) -> object:
    return value.value


FINGERPRINT: Mapping[str, Callable[[Any], object]] = {"UIElement": _element}
DESCRIBE: Mapping[str, Callable[[Any], str]] = {"UIElement": lambda value: type(value).__qualname__}
