"""Saving pandas objects: plain pickle, but no memory shared between frames.

pandas copies a block on the first write when it knows that another frame uses
it. That record is lost in a pickle, so blocks that share memory come back
as blocks of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas.core.internals import managers

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

_MANAGERS: tuple[type, ...] = (managers.BaseBlockManager,)


def reducer(cls: type) -> Reducer | None:
    """Marks the arrays of a block manager; the pickling itself is left to pandas."""
    return _mark_private if issubclass(cls, _MANAGERS) else None


def _mark_private(manager: Any, collector: Collector) -> Any:
    for block in manager.blocks:
        for array in _arrays(block.values):
            collector.private[id(array)] = array
    return NotImplemented


def _arrays(values: Any) -> list[Any]:
    """The NumPy arrays that hold a block's values."""
    if isinstance(values, np.ndarray):
        return [values]
    held = [getattr(values, "_ndarray", None), *getattr(values, "__dict__", {}).values()]
    return [array for array in held if isinstance(array, np.ndarray)]
