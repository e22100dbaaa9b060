"""pandas: what stands for frames, series, indexes and their arrays.

The layout in blocks does not show, nor which arrays below can be written: that is for pandas to know, which hands out
views that cannot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from blockcache.inplace import FIXED, Layer
from blockcache.types.numpy_ import read_only


def _frame(value: Any) -> object:
    columns = [_column(series.array) for _, series in value.items()]
    return value.columns, value.index, columns, *_extras(value)


def _series(value: Any) -> object:
    return value.name, value.index, _column(value.array), *_extras(value)


def _extras(value: Any) -> tuple[object, ...]:
    own = [(name, getattr(value, name, None)) for name in value._metadata if name not in ("name", "_name")]
    return value.attrs or None, value.flags.allows_duplicate_labels, own


def _column(array: Any) -> object:
    # The wrapper of a plain numpy array says nothing more than the array.
    return read_only(array.to_numpy()) if type(array).__name__ == "NumpyExtensionArray" else array


def _index(value: Any) -> object:
    return value.name, _column(value.array), getattr(value, "freqstr", None)


def _range_index(value: Any) -> object:
    return value.name, value.start, value.stop, value.step


def _multi_index(value: Any) -> object:
    return list(value.names), list(value.levels), list(map(read_only, value.codes))


def _categorical(value: Any) -> object:
    return read_only(value.codes), value.categories, value.ordered


def _dates(value: Any) -> object:
    # The time zone of a datetime dtype is part of its name.
    return str(value.dtype), read_only(value._ndarray), getattr(value, "freqstr", None)


def _strings(value: Any) -> object:
    return repr(value.dtype), read_only(value._ndarray)


def _masked(value: Any) -> object:
    data = value._data
    if value._mask.any():
        # What lies under a mask is left over from earlier computations.
        data = data.copy()
        data[value._mask] = 0
    return read_only(data), read_only(value._mask)


def _arrow_backed(value: Any) -> object:
    return repr(value.dtype), value._pa_array


def _intervals(value: Any) -> object:
    return value.left, value.right, value.closed


def _sparse(value: Any) -> object:
    values, places = value.sp_values, value.sp_index
    return value.dtype, value.shape, read_only(values), read_only(places.indices), type(places).__name__


def _numpy_backed(value: Any) -> object:
    return read_only(value.to_numpy())


def _categorical_dtype(value: Any) -> object:
    return value.categories, value.ordered


def _timestamp(value: Any) -> object:
    # `value` is in nanoseconds and can overflow for other units; the text is exact.
    return value.isoformat(), value.unit, value.tzinfo, getattr(value, "fold", 0)


def _timedelta(value: Any) -> object:
    return value.isoformat(), value.unit, value.asm8


FINGERPRINT = {
    "DataFrame": _frame,
    "Series": _series,
    "Index": _index,
    "RangeIndex": _range_index,
    "MultiIndex": _multi_index,
    "Categorical": _categorical,
    "CategoricalDtype": _categorical_dtype,
    "DatetimeArray": _dates,
    "TimedeltaArray": _dates,
    "PeriodArray": _dates,
    "IntervalArray": _intervals,
    "StringArray": _strings,
    "ObjectStringArray": _strings,
    "BaseMaskedArray": _masked,
    "ArrowExtensionArray": _arrow_backed,
    "ArrowStringArray": _arrow_backed,
    "SparseArray": _sparse,
    "NumpyExtensionArray": _numpy_backed,
    "Timestamp": _timestamp,
    "Timedelta": _timedelta,
}


def _describe_frame(value: Any) -> str:
    rows, columns = value.shape
    return f"{type(value).__name__} {rows:,} x {columns:,}"


def _describe_series(value: Any) -> str:
    return f"{type(value).__name__} {value.dtype} of {len(value):,}"


DESCRIBE = {
    "DataFrame": _describe_frame,
    "Series": _describe_series,
    "Index": _describe_series,
    "MultiIndex": lambda value: f"MultiIndex of {len(value):,}",
}


def _whole(value: Any) -> tuple[Any, list[Any]]:
    return value.copy(deep=False), list(value._mgr.axes)


def _axes(value: Any) -> Iterable[tuple[tuple[str, str], object]]:
    names = ("index", "columns") if value.ndim > 1 else ("index",)
    return ((("attribute of", name), getattr(value, name)) for name in names)


def _put_whole(value: Any, contents: tuple[Any, list[Any]]) -> None:
    copy, axes = contents
    value._update_inplace(copy)
    value._mgr.axes = axes  # the very objects, which pandas would copy
    value.attrs = copy.attrs
    value.flags.allows_duplicate_labels = copy.flags.allows_duplicate_labels
    for name in value._metadata:
        object.__setattr__(value, name, getattr(copy, name, None))


def _put_names(index: Any, names: list[object]) -> None:
    index.names = names


#: Another object over the same memory is what is saved of a frame: it is not the frame that the entry refers to.
_WHOLE = Layer("whole", _whole, _axes, put=_put_whole)

CHANGING = frozenset({"DataFrame", "Series"})

IN_PLACE = {
    "DataFrame": _WHOLE,
    "Series": _WHOLE,
    "Index": Layer("names", lambda index: list(index.names), put=_put_names),
    "MultiIndex": Layer("names", lambda index: list(index.names), put=_put_names),
    "Timestamp": FIXED,
    "Timedelta": FIXED,
}
