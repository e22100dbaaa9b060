"""polars: what stands for frames and series, taken through Arrow without a copy."""

from __future__ import annotations

from typing import Any

import polars as pl

from blockcache.fingerprint.registry import Refused
from blockcache.inplace import FIXED, Layer


def _frame(value: Any) -> object:
    return value.shape, [_series(column) for column in value.get_columns()]


def _series(value: Any) -> object:
    if value.dtype == pl.Object:
        return value.name, "object", value.to_list()
    # The oldest level: text and binary come as plain buffers instead of views.
    content = value.name, repr(value.dtype), value.to_arrow(compat_level=pl.CompatLevel.oldest())
    # What it is told of its order it believes: of a column that is not sorted it then gives another maximum.
    flags = value.flags if len(value) > 1 else {}
    return (*content, *(flag for flag in ("SORTED_ASC", "SORTED_DESC") if flags.get(flag)))


def _lazy(value: Any) -> object:
    raise Refused("a lazy query is not data and may read files: collect it")


FINGERPRINT = {"DataFrame": _frame, "Series": _series, "LazyFrame": _lazy}


def _describe_frame(value: Any) -> str:
    rows, columns = value.shape
    return f"polars DataFrame {rows:,} x {columns:,}"


DESCRIBE = {"DataFrame": _describe_frame, "Series": lambda value: f"polars Series {value.dtype} of {len(value):,}"}


def _put_frame(frame: Any, contents: Any) -> None:
    frame._df = contents._df


def _put_series(series: Any, contents: Any) -> None:
    series._s = contents._s


CHANGING = frozenset({"DataFrame", "Series"})

#: Polars shares columns and copies them on a write, so a clone costs nothing.
IN_PLACE = {
    "DataFrame": Layer("whole", lambda frame: frame.clone(), put=_put_frame),
    "Series": Layer("whole", lambda series: series.clone(), put=_put_series),
    "LazyFrame": FIXED,
    "Expr": FIXED,
}
