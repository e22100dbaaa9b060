"""Saving lmfit's parameters as they stand: their own pickling computes values that nobody has asked for yet."""

from __future__ import annotations

import copyreg
from typing import Any

from blockcache.codec import rebuild
from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer


def reducer(cls: type) -> Reducer | None:
    """For parameters and sets of them; all else is left to lmfit."""
    names = {base.__qualname__ for base in cls.__mro__ if base.__module__ == "lmfit.parameter"}
    return _reduce_set if "Parameters" in names else _reduce if "Parameter" in names else None


def _reduce(parameter: Any, collector: Collector) -> Any:
    make: Any = copyreg.__newobj__  # type: ignore[attr-defined]
    return make, (type(parameter),), vars(parameter), None, None, rebuild.set_attributes


def _reduce_set(parameters: Any, collector: Collector) -> Any:
    make: Any = copyreg.__newobj__  # type: ignore[attr-defined]
    state = vars(parameters), list(parameters.items())
    return make, (type(parameters),), state, None, None, set_parameters


def set_parameters(parameters: Any, state: tuple[dict[str, object], list[tuple[str, object]]]) -> None:
    """Fill in attributes and items; adding an item in lmfit's way computes its value."""
    attributes, items = state
    parameters.__dict__.update(attributes)
    dict.update(parameters, items)
