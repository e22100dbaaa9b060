"""Saving pyparsing's results: their own pickling forgets how names were set, and the next assignment would differ."""

from __future__ import annotations

from typing import Any

from pyparsing import ParseResults

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer


def reducer(cls: type) -> Reducer | None:
    """For parse results; all else is left to pyparsing."""
    return _reduce if cls is ParseResults else None


def _reduce(value: Any, collector: Collector) -> Any:
    slots = {name: getattr(value, name) for name in ParseResults.__slots__ if hasattr(value, name)}
    return make_results, (), slots, None, None, set_slots


def make_results() -> Any:
    """Parse results without content."""
    return object.__new__(ParseResults)


def set_slots(value: Any, slots: dict[str, object]) -> None:
    """Fill in what :func:`make_results` made."""
    for name, content in slots.items():
        setattr(value, name, content)
