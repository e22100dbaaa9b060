"""Saving polars frames and series through Arrow, without copying their columns.

Plain pickle writes them as one compressed copy. :func:`make_frame` and :func:`make_series` are
named in saved entries and are never renamed.
"""

from __future__ import annotations

import importlib.util
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
    return make_frame, (frame.to_arrow(compat_level=pl.CompatLevel.newest()),)


def _reduce_series(series: Any, collector: Collector) -> Any:
    if not _worth_it([series.dtype], series.estimated_size()):
        return NotImplemented
    return make_series, (series.to_frame().to_arrow(compat_level=pl.CompatLevel.newest()),)


def make_frame(table: Any) -> Any:
    """A frame over the memory of an Arrow table."""
    frame: Any = pl.from_arrow(table, rechunk=False)
    frame.columns = table.column_names  # polars would name a column that has no name
    return frame


def make_series(table: Any) -> Any:
    """The only column of an Arrow table as a series over its memory."""
    return make_frame(table).to_series(0)
