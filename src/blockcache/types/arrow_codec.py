"""Saving Arrow data: buffers as they lie, slices without the rest of their parents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
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
    if issubclass(cls, pa.Scalar):
        return _reduce_scalar
    if cls in (pa.Table, pa.RecordBatch):
        return _reduce_rows
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


def _reduce_scalar(scalar: Any, _collector: Collector) -> Any:
    # Python's own objects have no nanoseconds, nor two fields of one name.
    try:
        return make_scalar, (pa.repeat(scalar, 1),)
    except pa.ArrowException:
        return NotImplemented


def make_scalar(array: Any) -> Any:
    """The only element of an array."""
    return array[0]


def _reduce_rows(table: Any, _collector: Collector) -> Any:
    if table.num_columns or not table.num_rows:
        return NotImplemented
    return (make_table if type(table) is pa.Table else make_batch), ([], table.schema, table.num_rows)


def bytes_of_texts(texts: Any) -> tuple[Any, Any]:
    """Where each text of an array begins, and the bytes of all of them.

    Raises
    ------
    UnicodeEncodeError
        When a text has a lone surrogate.
    """
    array = pa.array(texts, pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    _, offsets, data = array.buffers()
    return np.frombuffer(offsets, np.int64)[: len(array) + 1], b"" if data is None else data


def texts_of_bytes(offsets: Any, data: Any) -> Any:
    """The texts, as an array of objects of one's own."""
    count = len(offsets) - 1
    array = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))
    array.validate(full=True)
    return array.to_numpy(zero_copy_only=False)


# -- typed trees -------------------------------------------------------------------------------


def typed(cls: type) -> Reducer | None:
    """The reducer of an Arrow class for typed trees; none for those of a program's own extension types."""
    if cls.__module__ != "pyarrow.lib":
        return None
    return next((reducer for base, reducer in _TYPED.items() if issubclass(cls, base)), None)


def _typed_array(array: Any, collector: Collector) -> Any:
    reduced = _reduce_array(array, collector)
    return make_array, (array.__reduce__() if reduced is NotImplemented else reduced)[1]


def make_array(data: tuple[Any, ...]) -> Any:
    """An array over its buffers, whose sizes are checked."""
    array = pa.lib._restore_array(data)
    array.validate()
    return array


def _typed_buffer(buffer: Any, collector: Collector) -> Any:
    reduced = _reduce_buffer(buffer, collector)
    return (pa.py_buffer, (buffer.to_pybytes(),)) if reduced is NotImplemented else reduced


def _typed_type(kind: Any, _collector: Collector) -> Any:
    return _as_message(make_type, pa.schema([pa.field("", kind)]))


def _typed_schema(schema: Any, _collector: Collector) -> Any:
    return _as_message(make_schema, schema)


def _as_message(make: Callable[[bytes], Any], schema: Any) -> Any:
    data = schema.serialize().to_pybytes()
    # An extension type that nobody registered comes back as what it is stored as.
    same = make_schema(data).equals(schema, check_metadata=True)
    return (make, (data,)) if same else NotImplemented


def make_schema(message: bytes) -> Any:
    """A schema, from a message of Arrow's own format."""
    return pa.ipc.read_schema(pa.py_buffer(message))


def make_type(message: bytes) -> Any:
    """The type of a schema's only column."""
    return make_schema(message).field(0).type


def make_table(columns: list[Any], schema: Any, rows: int = 0) -> Any:
    """A table of columns, or of rows only."""
    if rows:
        return pa.Table.from_batches([make_batch([], schema, rows)])
    return pa.Table.from_arrays(columns, schema=schema)


def make_batch(columns: list[Any], schema: Any, rows: int = 0) -> Any:
    """A batch of columns, or of rows only."""
    if rows:
        one = pa.RecordBatch.from_arrays([pa.nulls(rows)], names=["rows"])
        return one.select([]).replace_schema_metadata(schema.metadata)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _typed_columns(make: Callable[..., Any], table: Any) -> Any:
    rows = () if table.num_columns else (table.num_rows,)
    return make, (table.columns, table.schema, *rows)


_TYPED: dict[type, Reducer] = {
    pa.Array: _typed_array,
    pa.ChunkedArray: lambda value, _: (pa.chunked_array, (value.chunks, value.type)),
    pa.Table: lambda value, _: _typed_columns(make_table, value),
    pa.RecordBatch: lambda value, _: _typed_columns(make_batch, value),
    pa.Buffer: _typed_buffer,
    pa.DataType: _typed_type,
    pa.Schema: _typed_schema,
    pa.Scalar: _reduce_scalar,
}

#: What trees may call, by the name after ``pyarrow.``.
MAKERS: dict[str, Callable[..., Any]] = {
    "array": make_array,
    "buffer": pa.py_buffer,
    "type": make_type,
    "schema": make_schema,
    "chunked": pa.chunked_array,
    "table": make_table,
    "batch": make_batch,
    "scalar": make_scalar,
}
