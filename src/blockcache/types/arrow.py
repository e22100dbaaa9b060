"""pyarrow: what stands for tables and arrays. Chunks, offsets and leftovers under nulls do not show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.registry import As, Refused


def _table(value: Any) -> object:
    schema = value.schema
    fields = [(f.name, str(f.type), f.nullable, f.metadata) for f in schema]
    return fields, schema.metadata, value.num_rows, [content(column) for column in value.columns]


def _array(value: Any) -> object:
    return As(pa.Array, (len(value), content(value)))


def _chunked(value: Any) -> object:
    return len(value), content(value)


def _scalar(value: Any) -> object:
    # Python's own objects, of which Arrow's reduction is made, have no nanoseconds.
    return content(pa.repeat(value, 1))


def content(column: Any) -> object:
    """Digests of one array or chunked array of any type."""
    chunks = [c for c in (column.chunks if isinstance(column, pa.ChunkedArray) else [column]) if len(c)]
    return str(column.type), _content(column.type, chunks)


def _content(kind: Any, chunks: list[Any]) -> object:
    if not chunks or pa.types.is_null(kind):
        return sum(map(len, chunks))
    if isinstance(kind, pa.BaseExtensionType):
        return _content(kind.storage_type, [c.storage for c in chunks])
    if pa.types.is_dictionary(kind):
        one = pa.chunked_array(chunks).unify_dictionaries().chunks
        return _content(kind.index_type, [c.indices for c in one]), content(one[0].dictionary)
    if pa.types.is_run_end_encoded(kind):
        return _content(kind.value_type, [_decoded(c) for c in chunks])
    if pa.types.is_union(kind):
        return _union(kind, chunks)
    if pa.types.is_map(kind):
        entry = pa.struct([kind.key_field, kind.item_field])
        return _content(pa.list_(entry), [c.cast(pa.list_(entry)) for c in chunks])
    valid = _validity(chunks)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        kind = pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
        chunks = [c.cast(kind) for c in chunks]
    if _is_text(kind):
        return valid, *_text(kind, chunks)
    if pa.types.is_boolean(kind):
        return valid, _digest_all(pc.fill_null(c, False).cast(pa.uint8()).to_numpy() for c in chunks)
    if pa.types.is_struct(kind):
        fields = zip(*(c.flatten() for c in chunks), strict=True)
        return valid, [_content(f.type, list(parts)) for f, parts in zip(kind, fields, strict=True)]
    if _is_list(kind):
        lengths = _digest_all(pc.fill_null(pc.list_value_length(c), 0).to_numpy() for c in chunks)
        return valid, lengths, _content(kind.value_type, [c.flatten() for c in chunks])
    if _is_fixed(kind):
        return valid, _fixed(kind, chunks)
    raise Refused(f"Arrow data of type {kind}")


def _decoded(array: Any) -> Any:
    places = np.arange(array.offset, array.offset + len(array))
    return array.values.take(pa.array(np.searchsorted(array.run_ends.to_numpy(), places, "right")))


def _union(kind: Any, chunks: list[Any]) -> object:
    """Which field each element is of, and the elements of each field."""
    # Arrow's own attributes begin where the parent of a slice does.
    codes = [_own(c, c.buffers()[1], np.int8) for c in chunks]
    sparse = kind.mode == "sparse"
    places = [np.arange(len(c)) if sparse else _own(c, c.buffers()[2], np.int32) for c in chunks]
    fields = []
    for i, code in enumerate(kind.type_codes):
        taken = [
            chunk.field(i).take(pa.array(at[of == code])) for chunk, at, of in zip(chunks, places, codes, strict=True)
        ]
        fields.append(_content(kind.field(i).type, taken))
    return _digest_all(codes), fields


def _validity(chunks: list[Any]) -> bytes | None:
    if not any(c.null_count for c in chunks):
        return None
    return _digest_all(c.is_valid().cast(pa.uint8()).to_numpy() for c in chunks)


class _Digest:
    """Digest of arrays one after the other; of one alone it may be known without reading it."""

    def __init__(self) -> None:
        self._first: Any = b""
        self._hasher: Any = None

    def update(self, array: Any) -> None:
        raw = np.ascontiguousarray(array).view(np.uint8)
        if not len(raw):
            return
        if self._hasher is None and not len(self._first):
            self._first = raw
            return
        if self._hasher is None:
            self._hasher = xxhash.xxh3_128(self._first)
        self._hasher.update(raw)

    def digest(self) -> bytes:
        found: bytes = self._hasher.digest() if self._hasher is not None else digest(self._first)
        return found


def _digest_all(parts: Iterable[Any]) -> bytes:
    whole = _Digest()
    for part in parts:
        whole.update(part)
    return whole.digest()


def _own(array: Any, buffer: Any, dtype: type) -> Any:
    return np.frombuffer(buffer, dtype)[array.offset : array.offset + len(array)]


def _is_list(kind: Any) -> bool:
    t = pa.types
    views = t.is_list_view(kind) or t.is_large_list_view(kind)
    return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind) or views)


def _is_text(kind: Any) -> bool:
    t = pa.types
    return bool(t.is_string(kind) or t.is_binary(kind) or t.is_large_string(kind) or t.is_large_binary(kind))


def _text(kind: Any, chunks: list[Any]) -> tuple[bytes, bytes]:
    lengths, data = _Digest(), _Digest()
    large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    for chunk in chunks:
        if chunk.null_count:
            chunk = pc.fill_null(chunk, "" if "string" in str(kind) else b"")
        _, offsets_buffer, data_buffer = chunk.buffers()
        width = np.int64 if large else np.int32
        offsets: Any = np.frombuffer(offsets_buffer, width)[chunk.offset : chunk.offset + len(chunk) + 1]
        lengths.update(np.diff(offsets))
        if data_buffer is not None:
            data.update(memoryview(data_buffer)[int(offsets[0]) : int(offsets[-1])])
    return lengths.digest(), data.digest()


def _is_fixed(kind: Any) -> bool:
    try:
        return bool(kind.bit_width % 8 == 0)
    except ValueError:
        return False


def _fixed(kind: Any, chunks: list[Any]) -> bytes:
    whole, width = _Digest(), kind.bit_width // 8
    for chunk in chunks:
        if width == 0:
            continue
        start, stop = chunk.offset, chunk.offset + len(chunk)
        raw: Any = np.frombuffer(chunk.buffers()[1], np.uint8)[start * width : stop * width]
        if chunk.null_count:
            raw = raw.reshape(-1, width).copy()
            raw[~chunk.is_valid().to_numpy(zero_copy_only=False)] = 0
            raw = raw.reshape(-1)
        whole.update(raw)
    return whole.digest()


def _dataset(value: Any) -> object:
    raise Refused("a dataset is not data but files, which may change")


FINGERPRINT = {
    "Table": _table,
    "RecordBatch": _table,
    "ChunkedArray": _chunked,
    "Array": _array,
    "Scalar": _scalar,
    "Buffer": lambda value: As(pa.Buffer, digest(value) if value.size else b""),
    "Dataset": _dataset,
}


def _describe_table(value: Any) -> str:
    return f"{type(value).__name__} {value.num_rows:,} x {value.num_columns:,}"


def _describe_array(value: Any) -> str:
    return f"{type(value).__name__} {value.type} of {len(value):,}"


DESCRIBE = {
    "Table": _describe_table,
    "RecordBatch": _describe_table,
    "ChunkedArray": _describe_array,
    "Array": _describe_array,
}
