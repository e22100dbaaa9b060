"""Saving pandas objects: plain pickle, but no memory shared between frames.

pandas copies a block on the first write when it knows that another frame uses
it. That record is lost in a pickle, so blocks that share memory with another's come back
as blocks of their own; what they share with arrays, of which pandas keeps no record, they share again.

The dtype of text holds numpy's nan, and every frame has text in its column names:
it is saved by its name, or each object of a frame would be asked whether it is that nan.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from pandas._libs import arrays, internals, interval
from pandas._libs.tslibs import offsets, timedeltas, timestamps
from pandas.core.indexes import base, datetimes
from pandas.core.indexes import interval as intervals
from pandas.core.indexes import timedeltas as durations
from pandas.core.internals import managers

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

_MANAGERS: tuple[type, ...] = (managers.BaseBlockManager,)


def reducer(cls: type) -> Reducer | None:
    """Marks arrays that frames have in common; the pickling itself is left to pandas."""
    if cls is pd.StringDtype:
        return _reduce_text
    if _is_arrow(cls):
        return _reduce_arrow
    return _mark_private if issubclass(cls, _MANAGERS) else None


class _Nan:
    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (np, "nan")


_NAN = _Nan()


def _reduce_text(dtype: Any, _collector: Collector) -> Any:
    return (pd.StringDtype, (dtype.storage, _NAN)) if isinstance(dtype.na_value, float) else NotImplemented


def _is_arrow(cls: type) -> bool:
    """Whether arrays of a class keep their values in Arrow's memory, and are pickled as pandas does it."""
    base = getattr(pd.arrays, "ArrowExtensionArray", None)
    return base is not None and issubclass(cls, base) and cls.__getstate__ is base.__getstate__


def _reduce_arrow(array: Any, _collector: Collector) -> Any:
    """As pandas does it, which would copy an array in one chunk too; several come back as one."""
    chunks = getattr(vars(array).get("_pa_array"), "chunks", [])
    if len(chunks) != 1:
        return NotImplemented
    state = {**vars(array), "_pa_array": chunks[0], "_cache": {}}
    return copyreg.__newobj__, (type(array),), state  # type: ignore[attr-defined]


def _mark_private(manager: Any, collector: Collector) -> Any:
    for block in manager.blocks:
        if block.refs.has_reference():
            for array in _arrays(block.values):
                collector.private[id(array)] = array
    return NotImplemented


def _arrays(values: Any) -> list[Any]:
    """The NumPy arrays that hold a block's values."""
    if isinstance(values, np.ndarray):
        return [values]
    held = [getattr(values, "_ndarray", None), *getattr(values, "__dict__", {}).values()]
    return [array for array in held if isinstance(array, np.ndarray)]


# -- typed trees -------------------------------------------------------------------------------

# pandas says itself what its objects are made of, in the reductions that it pickles. In a tree these stand with classes
# and functions as names out of fixed lists.


def _classes(space: Any, names: Iterable[str]) -> dict[str, type]:
    found = {name: getattr(space, name, None) for name in names}
    return {name: cls for name, cls in found.items() if isinstance(cls, type)}


_CLASSES: dict[str, type] = {
    **_classes(
        pd,
        (
            *("DataFrame", "Series", "Index", "RangeIndex", "MultiIndex", "CategoricalIndex", "IntervalIndex"),
            *("DatetimeIndex", "PeriodIndex", "TimedeltaIndex", "Categorical", "Period", "Interval"),
            *("CategoricalDtype", "DatetimeTZDtype", "PeriodDtype", "IntervalDtype", "StringDtype", "SparseDtype"),
            *("ArrowDtype", "BooleanDtype", "Float32Dtype", "Float64Dtype"),
            *(f"{sign}Int{bits}Dtype" for sign in ("", "U") for bits in (8, 16, 32, 64)),
        ),
    ),
    **_classes(
        pd.arrays,
        (
            *("ArrowExtensionArray", "ArrowStringArray", "BooleanArray", "DatetimeArray", "FloatingArray"),
            *("IntegerArray", "IntervalArray", "NumpyExtensionArray", "PeriodArray", "SparseArray", "StringArray"),
            "TimedeltaArray",
        ),
    ),
    **_classes(managers, ("BlockManager", "SingleBlockManager")),
    **{
        name: cls
        for name, cls in vars(offsets).items()
        if isinstance(cls, type) and issubclass(cls, offsets.BaseOffset)
    },
}
_NAMES = {cls: name for name, cls in _CLASSES.items()}
#: Functions that pandas' reductions call with a class first.
_FUNCTIONS: dict[str, Any] = {
    "index": base._new_Index,
    "datetime index": datetimes._new_DatetimeIndex,
    "timedelta index": getattr(durations, "_new_TimedeltaIndex", None),
    "interval index": intervals._new_IntervalIndex,
    "backed": arrays.__dict__["__pyx_unpickle_NDArrayBacked"],
    "interval array": interval.__dict__["__pyx_unpickle_IntervalMixin"],
}
_NA = {"NA": pd.NA, "NaT": pd.NaT}


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees."""
    if cls in _NAMES:
        return _typed_manager if issubclass(cls, _MANAGERS) else _typed
    if issubclass(cls, internals.Block) and cls.__module__ == "pandas.core.internals.blocks":
        return _typed_block
    if cls in (pd.Timestamp, pd.Timedelta):
        return _typed_time
    return _typed_na if cls in (type(pd.NA), type(pd.NaT)) else None


def _typed(value: Any, collector: Collector) -> Any:
    reduced = _reduce_arrow(value, collector) if _is_arrow(type(value)) else NotImplemented
    make, arguments, state = (*(value.__reduce_ex__(5) if reduced is NotImplemented else reduced), None)[:3]
    if make in (copyreg.__newobj__, copyreg._reconstructor):  # type: ignore[attr-defined]
        made: tuple[Any, ...] = make_bare, (_NAMES[arguments[0]],)
    elif make in _NAMES:
        made = make_called, (_NAMES[make], *arguments)
    else:
        function = next((name for name, function in _FUNCTIONS.items() if function is make), None)
        if function is None or arguments[0] not in _NAMES:
            return NotImplemented
        made = make_by_function, (function, _NAMES[arguments[0]], *arguments[1:])
    if state is None:
        return made
    if type(state) is dict and "_cache" in state:
        state = {**state, "_cache": {}}
    return (*made, state, None, None, set_state)


def make_bare(name: str) -> Any:
    """An object of a class, of nothing yet."""
    cls: Any = _CLASSES[name]
    return cls.__new__(cls)


def make_called(name: str, *arguments: Any) -> Any:
    """What a class makes of its arguments."""
    return _CLASSES[name](*arguments)


def make_by_function(function: str, name: str, *arguments: Any) -> Any:
    """What one of pandas' functions makes for a class."""
    return _FUNCTIONS[function](_CLASSES[name], *arguments)


def set_state(value: Any, state: Any) -> None:
    """What pickle does with a state."""
    put = getattr(value, "__setstate__", None)
    if put is not None:
        put(state)
    else:
        value.__dict__.update(state)


def _typed_manager(manager: Any, collector: Collector) -> Any:
    _mark_private(manager, collector)
    return make_manager, (_NAMES[type(manager)], list(manager.blocks), list(manager.axes))


def make_manager(name: str, blocks: list[Any], axes: list[Any]) -> Any:
    """What holds a frame's or series' blocks."""
    if name == "SingleBlockManager":
        return managers.SingleBlockManager(blocks[0], axes[0])
    return managers.BlockManager(tuple(blocks), axes)


def _typed_block(block: Any, _collector: Collector) -> Any:
    return internals._unpickle_block, block.__reduce__()[1]


def _typed_time(value: Any, _collector: Collector) -> Any:
    make, arguments = value.__reduce__()[:2]
    return (
        (make, arguments)
        if make in (timestamps._unpickle_timestamp, timedeltas._timedelta_unpickle)
        else NotImplemented
    )


def _typed_na(value: Any, _collector: Collector) -> Any:
    return make_na, ("NaT" if value is pd.NaT else "NA",)


def make_na(name: str) -> Any:
    """One of pandas' objects for what is missing."""
    return _NA[name]


#: What trees may call, by the name after ``pandas.``.
MAKERS: dict[str, Callable[..., Any]] = {
    "bare": make_bare,
    "called": make_called,
    "made": make_by_function,
    "state": set_state,
    "manager": make_manager,
    "block": internals._unpickle_block,
    "timestamp": timestamps._unpickle_timestamp,
    "timedelta": timedeltas._timedelta_unpickle,
    "missing": make_na,
}
