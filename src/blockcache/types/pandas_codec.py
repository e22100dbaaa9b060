"""Saving pandas objects: plain pickle, but no memory shared between frames.

pandas copies a block on the first write when it knows that another frame uses
it. That record is lost in a pickle, so blocks that share memory come back
as blocks of their own.

The dtype of text holds numpy's nan, and every frame has text in its column names:
it is saved by its name, or each object of a frame would be asked whether it is that nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.core.internals import managers

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

_MANAGERS: tuple[type, ...] = (managers.BaseBlockManager,)


def reducer(cls: type) -> Reducer | None:
    """Marks the arrays of a block manager; the pickling itself is left to pandas."""
    if cls is pd.StringDtype:
        return _reduce_text
    return _mark_private if issubclass(cls, _MANAGERS) else None


class _Nan:
    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (np, "nan")


_NAN = _Nan()


def _reduce_text(dtype: Any, _collector: Collector) -> Any:
    return (pd.StringDtype, (dtype.storage, _NAN)) if isinstance(dtype.na_value, float) else NotImplemented


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
