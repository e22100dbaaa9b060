"""marimo: what belongs to a page is alive in its session only, so it is not saved."""

from __future__ import annotations

import pickle
from typing import Any

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer


def _element(value: Any, collector: Collector) -> Any:
    raise pickle.PicklingError(
        f"{type(value).__qualname__} is an element of the page; a restored copy would not be one"
    )


def _state(value: Any, collector: Collector) -> Any:
    raise pickle.PicklingError("a state of the page; nothing would run again when a restored copy is set")


def _cached_function(value: Any, collector: Collector) -> Any:
    raise pickle.PicklingError(
        "a function that marimo caches holds the notebook's whole namespace; make it in another cell"
    )


def _markup(value: Any, collector: Collector) -> Any:
    if "object-id=" in value.text:
        raise pickle.PicklingError("markup of elements of the page, which the next session numbers anew")
    return NotImplemented


def reducer(cls: type) -> Reducer | None:
    """The reducer of ``cls``, None for what plain pickle saves well."""
    names = {kind.__qualname__ for kind in cls.__mro__ if kind.__module__.startswith("marimo.")}
    if names & {"State", "SetFunctor"}:
        return _state
    if "_cache_call" in names:
        return _cached_function
    return _element if "UIElement" in names else _markup if "Html" in names else None
