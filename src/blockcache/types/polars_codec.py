"""Saving polars frames and series through Arrow, without copying their columns.

Plain pickle writes them as one compressed copy. :func:`make_frame` and :func:`make_series` are
named in saved entries and are never renamed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import polars as pl

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

#: Below this the import of pyarrow would cost more than it saves.
_LARGE_BYTES = 1 << 20

# Categories, decimals, extension and Python objects change on their way through Arrow.
_SAFE: tuple[Any, ...] = (
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64),
    *(pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Datetime, pl.Duration, pl.Time),
)


def reducer(cls: type) -> Reducer | None:
    """The reducer of a polars class."""
    if cls is pl.DataFrame:
        return _reduce_frame
    return _reduce_series if cls is pl.Series else None


def _worth_it(columns: list[Any], size_bytes: float) -> bool:
    return (
        size_bytes >= _LARGE_BYTES
        and all(_is_safe(dtype) for dtype in columns)
        and importlib.util.find_spec("pyarrow") is not None
    )


def _is_safe(dtype: Any) -> bool:
    if isinstance(dtype, pl.List):
        return _is_safe(dtype.inner)
    return dtype.base_type() in _SAFE


def _reduce_frame(frame: Any, collector: Collector) -> Any:
    if not _worth_it(frame.dtypes, frame.estimated_size()):
        return NotImplemented
    return make_frame, (frame.to_arrow(compat_level=pl.CompatLevel.newest()), _sorted(frame))


def _reduce_series(series: Any, collector: Collector) -> Any:
    if not _worth_it([series.dtype], series.estimated_size()):
        return NotImplemented
    frame = series.to_frame()
    return make_series, (frame.to_arrow(compat_level=pl.CompatLevel.newest()), _sorted(frame))


def _sorted(frame: Any) -> list[list[Any]]:
    """Which columns polars knows to be sorted, and whether in descending order."""
    flags = [column.flags for column in frame.get_columns()]
    return [[i, f["SORTED_DESC"]] for i, f in enumerate(flags) if f["SORTED_ASC"] or f["SORTED_DESC"]]


def _set_sorted(frame: Any, order: Sequence[Sequence[Any]]) -> Any:
    for i, descending in order:
        frame.replace_column(i, frame.to_series(i).set_sorted(descending=descending))
    return frame


def make_frame(table: Any, order: Sequence[Sequence[Any]] = ()) -> Any:
    """A frame over the memory of an Arrow table."""
    frame: Any = pl.from_arrow(table, rechunk=False)
    frame.columns = table.column_names  # polars would name a column that has no name
    return _set_sorted(frame, order)


def make_series(table: Any, order: Sequence[Sequence[Any]] = ()) -> Any:
    """The only column of an Arrow table as a series over its memory."""
    return make_frame(table, order).to_series(0)


# -- typed trees -------------------------------------------------------------------------------


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees."""
    return _typed_frame if cls is pl.DataFrame else _typed_series if cls is pl.Series else None


def _typed_frame(frame: Any, collector: Collector) -> Any:
    reduced = _reduce_frame(frame, collector)
    if reduced is not NotImplemented:
        return reduced
    if any(_holds_objects(dtype) for dtype in frame.dtypes):
        return NotImplemented
    data = frame.write_ipc(None, compat_level=pl.CompatLevel.newest()).getvalue()
    same = pl.read_ipc(data, n_rows=0).schema == frame.schema
    if not same:
        return NotImplemented
    chunked = [[i, column.chunk_lengths()] for i, column in enumerate(frame.get_columns()) if column.n_chunks() > 1]
    return read_frame, (collector.out_of_band(data, None), _sorted(frame), *([chunked] if chunked else ()))


def _typed_series(series: Any, collector: Collector) -> Any:
    reduced = _typed_frame(series.to_frame(), collector)
    if reduced is NotImplemented:
        return NotImplemented
    make, arguments = reduced
    return (make_series if make is make_frame else read_series), arguments


def _holds_objects(dtype: Any) -> bool:
    inner = [field.dtype for field in dtype.fields] if isinstance(dtype, pl.Struct) else [getattr(dtype, "inner", None)]
    return bool(dtype.base_type() is pl.Object) or any(_holds_objects(part) for part in inner if part is not None)


def read_frame(data: Any, order: Sequence[Sequence[Any]] = (), chunked: Sequence[Sequence[Any]] = ()) -> Any:
    """A frame from polars' own Arrow file, which it copies; the file has one chunk."""
    frame = pl.read_ipc(bytes(data))
    for i, lengths in chunked:
        column, starts = frame.to_series(i), accumulate(lengths, initial=0)
        frame.replace_column(
            i, pl.concat([column.slice(*part) for part in zip(starts, lengths, strict=False)], rechunk=False)
        )
    return _set_sorted(frame, order)


def read_series(data: Any, *more: Sequence[Sequence[Any]]) -> Any:
    """The only column of such a file."""
    return read_frame(data, *more).to_series(0)


#: What trees may call, by the name after ``polars.``.
MAKERS: dict[str, Callable[..., Any]] = {
    "frame": make_frame,
    "series": make_series,
    "read frame": read_frame,
    "read series": read_series,
}
