"""Saving Arrow data: buffers as they lie, slices without the rest of their parents."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

#: A slice is copied before it is saved when its parent's buffers are more than this many times its size.
_WASTE = 2


def reducer(cls: type) -> Reducer | None:
    """The reducer of an Arrow class; tables and chunked arrays are made of these."""
    if issubclass(cls, pa.Array):
        return _reduce_array
    if issubclass(cls, pa.Buffer):
        return _reduce_buffer
    return None


def _reduce_array(array: Any, collector: Collector) -> Any:
    whole_bytes = array.get_total_buffer_size()
    if whole_bytes > _WASTE * array.nbytes and whole_bytes > 1 << 16:
        try:
            # Concatenating two pieces copies what they cover and nothing else.
            return pa.concat_arrays([array, array.slice(0, 0)]).__reduce__()
        except pa.ArrowException:
            return NotImplemented
    return NotImplemented


def _reduce_buffer(buffer: Any, collector: Collector) -> Any:
    if not buffer.is_cpu or not buffer.size:
        return NotImplemented
    # Immutable, so sharing only saves space: tables often hold the same columns.
    return pa.py_buffer, (collector.out_of_band(buffer, buffer.address),)
