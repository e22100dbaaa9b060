"""Saving NumPy arrays: memory as it lies, views as views.

Plain pickle copies strided views, dates, masked arrays and subclasses into the
stream, and forgets that a view shares memory with its base. The functions that
``make_*`` a value are named in saved entries and are never renamed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

# Other kinds (objects, variable-width text) hold pointers.
_PLAIN_KINDS = frozenset("biufcmMSUV")

#: A strided view is saved with the gaps between its elements, so that it can share memory with
#: others, up to this many times its own size.
_GAPS = 4


def reducer(cls: type) -> Reducer | None:
    """The reducer of an array class; None for one that pickles itself in its own way."""
    if cls is np.ndarray:
        return _reduce_array
    if cls is np.ma.MaskedArray:
        return _reduce_masked
    if issubclass(cls, np.ndarray) and all(
        getattr(cls, name) is getattr(np.ndarray, name) for name in ("__reduce__", "__reduce_ex__", "__setstate__")
    ):
        return _reduce_subclass
    return None


class _Span:
    """Bytes of an array as they lie in memory, whatever its type and strides."""

    def __init__(self, array: np.ndarray[Any, Any], low: int, high: int) -> None:
        self.array = array
        self.__array_interface__ = {
            "data": (low, not array.flags.writeable),
            "shape": (high - low,),
            "typestr": "|u1",
            "version": 3,
        }


def _bounds(array: np.ndarray[Any, Any]) -> tuple[int, int]:
    low = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        return low, low + array.nbytes
    high = low + array.itemsize
    for length, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            low += (length - 1) * stride
        else:
            high += (length - 1) * stride
    return low, high


def _is_plain(array: np.ndarray[Any, Any]) -> bool:
    return bool(array.nbytes) and array.dtype.kind in _PLAIN_KINDS and not array.dtype.hasobject


def _memory(array: np.ndarray[Any, Any], collector: Collector) -> tuple[Any, ...]:
    """The arguments of ``numpy.ndarray`` that make the array again."""
    low, high = _bounds(array)
    if high - low > _GAPS * array.nbytes and not _within_output(low, high, collector):
        array = array.copy(order="K")
        low, high = _bounds(array)
    address = None if id(array) in collector.private else low
    buffer = collector.out_of_band(np.asarray(_Span(array, low, high)), address)
    if array.flags.c_contiguous:
        return array.shape, array.dtype, buffer
    return array.shape, array.dtype, buffer, array.__array_interface__["data"][0] - low, array.strides


def _within_output(low: int, high: int, collector: Collector) -> bool:
    """Whether the memory is saved anyway, as part of an output."""
    for value in collector.values.values():
        if isinstance(value, np.ndarray) and _is_plain(value):
            first, last = _bounds(value)
            if first <= low and high <= last and last - first <= _GAPS * value.nbytes:
                return True
    return False


def _reduce_array(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    if not _is_plain(array):
        owner = array.base
        if type(owner) is np.ndarray and array.dtype == owner.dtype == object and owner.flags.c_contiguous:
            start = (array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]) // owner.itemsize
            if owner.nbytes <= _GAPS * array.nbytes:
                return make_object_view, (owner, start, array.shape, array.strides)
        return NotImplemented
    if collector.upstream and id(array) not in collector.contents and id(array) not in collector.private:
        low, high = _bounds(array)
        owner = _owner(low, high, collector)
        if owner is not None:
            offset = array.__array_interface__["data"][0] - _bounds(owner)[0]
            return make_view, (owner, array.shape, array.dtype, offset, array.strides, bool(array.flags.writeable))
    return np.ndarray, _memory(array, collector)


def _owner(low: int, high: int, collector: Collector) -> np.ndarray[Any, Any] | None:
    """The upstream array whose memory holds these bytes."""
    for value in collector.upstream:
        if isinstance(value, np.ndarray) and _is_plain(value) and value.flags.forc:
            first, last = _bounds(value)
            if first <= low and high <= last:
                return value
    return None


def make_object_view(
    owner: np.ndarray[Any, Any], start: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    """A view of an array of objects."""
    view: np.ndarray[Any, Any] = np.lib.stride_tricks.as_strided(owner.reshape(-1)[start:], shape, strides)
    return view


def make_view(
    owner: np.ndarray[Any, Any],
    shape: tuple[int, ...],
    dtype: Any,
    offset: int,
    strides: tuple[int, ...],
    writeable: bool,
) -> np.ndarray[Any, Any]:
    """A view of an upstream array."""
    memory = owner if owner.flags.c_contiguous else owner.T
    array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, memory, offset, strides)
    if not writeable:
        array.flags.writeable = False
    return array


def _reduce_subclass(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    if not _is_plain(array):
        return NotImplemented
    attributes = dict(getattr(array, "__dict__", {}))
    if isinstance(array, np.memmap):
        # The mapping of the file is the process's own; the bytes are saved, the file's name stays.
        attributes["_mmap"] = None
    arguments = (type(array), *_memory(array, collector))
    return make_subclass, arguments, attributes or None, None, None, set_attributes


def make_subclass(cls: type[np.ndarray[Any, Any]], *arguments: Any) -> np.ndarray[Any, Any]:
    """An array of a class derived from ``numpy.ndarray``."""
    return np.ndarray.__new__(cls, *arguments)


def set_attributes(array: Any, attributes: dict[str, object]) -> None:
    """What an array of a derived class knows beside its elements."""
    array.__dict__.update(attributes)


def _reduce_masked(array: Any, collector: Collector) -> Any:
    return make_masked, (array._data, array._mask, array._fill_value, array._hardmask, dict(array._optinfo))


def make_masked(data: Any, mask: Any, fill_value: Any, hard: bool, info: dict[str, object]) -> Any:
    """A masked array over ``data`` and ``mask``, without copying either."""
    array: Any = np.ma.MaskedArray(data, mask=mask, copy=False, hard_mask=hard)
    array._fill_value = fill_value
    array._optinfo.update(info)
    return array
