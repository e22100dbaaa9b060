"""Saving NumPy arrays: memory as it lies, views as views.

Plain pickle copies strided views, dates, masked arrays and subclasses into the
stream, and forgets that a view shares memory with its base. The functions that
``make_*`` a value are named in saved entries and are never renamed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from blockcache.codec.regions import MOST_GAPS, Collector
from blockcache.codec.registry import Reducer
from blockcache.types import numpy_texts, torch_memory

# Other kinds (objects, variable-width text) hold pointers.
_PLAIN_KINDS = frozenset("biufcmMSUV")
_POINTER_KINDS = frozenset("OT")

#: A view with wide gaps between its elements gets them back, empty, up to this many bytes.
_MOST_SPREAD_BYTES = 64 << 20


def reducer(cls: type) -> Reducer | None:
    """The reducer of an array class; None for one that pickles itself in its own way."""
    if cls is np.ndarray:
        return _reduce_array
    if cls is np.ma.MaskedArray:
        return _reduce_masked
    if cls in _TWINS:
        return _reduce_twin
    if issubclass(cls, np.void):
        return _reduce_record
    if issubclass(cls, np.ndarray) and all(
        getattr(cls, name) is getattr(np.ndarray, name) for name in ("__reduce__", "__reduce_ex__", "__setstate__")
    ):
        return _reduce_subclass
    return None


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees."""
    if cls is np.ndarray:
        return _typed_array
    if cls is np.ma.MaskedArray:
        return _reduce_masked
    if cls in _SUBCLASSES.values():
        return _typed_subclass
    if issubclass(cls, np.dtype):
        return _typed_dtype
    if issubclass(cls, np.generic) and cls.__module__ == "numpy" and getattr(np, cls.__name__, None) is cls:
        return _typed_record if cls is np.void else _typed_scalar
    return None


#: C has two names for one size of numbers, and numpy a type for each, which are equal; it pickles both as the first.
_TWINS = frozenset(type(np.dtype(c)) for c in "iIlLqQ" if np.dtype(np.dtype(c).str).char != c)


def _twin(dtype: np.dtype[Any]) -> str:
    return dtype.str[0] + dtype.char


def _reduce_twin(dtype: np.dtype[Any], _collector: Collector) -> Any:
    return (make_twin, (_twin(dtype), dict(dtype.metadata))) if dtype.metadata else (np.dtype, (_twin(dtype),))


def make_twin(name: str, metadata: dict[str, object]) -> np.dtype[Any]:
    """A dtype by C's name."""
    made: np.dtype[Any] = np.dtype(name, metadata=metadata)
    return made


#: Arguments of ``numpy.ndarray``; one more tells the size of memory that may not be saved in full.
_NARROW = 5


class _Span:
    """Bytes of an array as they lie in memory, whatever its type and strides."""

    def __init__(self, array: np.ndarray[Any, Any], low: int, high: int) -> None:
        self.array = array
        self.__array_interface__ = {
            "data": (low, not (array.flags.writeable or _is_locked(array))),
            "shape": (high - low,),
            "typestr": "|u1",
            "version": 3,
        }


def _is_locked(array: np.ndarray[Any, Any]) -> bool:
    """Whether a read-only array lies in memory that can be written: whoever has it may unlock it again."""
    owner = array
    while not owner.flags.writeable and not owner.flags.owndata and isinstance(owner.base, np.ndarray):
        owner = owner.base
    can_be_unlocked = bool(owner.flags.writeable or owner.flags.owndata)
    return type(array) is np.ndarray and not array.flags.writeable and can_be_unlocked


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
    """The arguments of :func:`make_array` that make the array again."""
    low, high = _bounds(array)
    address = None if id(array) in collector.private else low
    span = np.asarray(_Span(array, low, high))
    if array.flags.c_contiguous:
        return array.shape, array.dtype, collector.out_of_band(span, address)
    start = array.__array_interface__["data"][0] - low
    if high - low <= MOST_GAPS * array.nbytes:
        return array.shape, array.dtype, collector.out_of_band(span, address), start, array.strides
    elements = array.copy()
    elements.flags.writeable = array.flags.writeable
    found = memoryview(np.asarray(_Span(elements, *_bounds(elements))))
    buffer = collector.out_of_band(span, address, found)
    return array.shape, array.dtype, buffer, start, array.strides, high - low


def _reduce_array(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    reduced = _reduced(array, collector)
    return _reduce_read_only(array) if reduced is NotImplemented and not array.flags.writeable else reduced


def _reduce_read_only(array: np.ndarray[Any, Any]) -> Any:
    """As numpy pickles it; only that nobody can write to it has to be said."""
    return (*array.__reduce__(), None, None, set_read_only_state)


def set_read_only_state(array: np.ndarray[Any, Any], state: Any) -> None:
    """Fill an array that numpy pickled itself, once and for all."""
    array.__setstate__(state)
    array.flags.writeable = False


def _reduced(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    if not _is_plain(array):
        if array.dtype.kind in _POINTER_KINDS:
            view = _object_view(array, collector)
            if view is not None:
                return view
        if array.dtype == object:
            reduced = numpy_texts.reduce(array, collector)
            return reduced if reduced is not NotImplemented or array.flags.writeable else _typed_read_only(array)
        if array.dtype.kind == "T":
            order = _order(array)
            texts = array.ravel(order).tolist()
            dtype = () if array.dtype == np.dtypes.StringDType() else (array.dtype,)
            return make_texts, (array.shape, texts, order, bool(array.flags.writeable), *dtype)
        if not array.size and array.itemsize and array.dtype.kind in _PLAIN_KINDS and not array.dtype.hasobject:
            if _is_new_and_empty(array):
                return make_array, (array.shape, array.dtype)
            nothing = bytearray() if array.flags.writeable else b""
            return np.ndarray, (array.shape, array.dtype, collector.out_of_band(nothing, None), 0, array.strides)
        return NotImplemented
    if collector.upstream and id(array) not in collector.contents and id(array) not in collector.private:
        low, high = _bounds(array)
        found = collector.owner(low, high, _place)
        if found is not None:
            owner, first = found
            offset = array.__array_interface__["data"][0] - first
            return make_view, (owner, array.shape, array.dtype, offset, array.strides, bool(array.flags.writeable))
    memory = _memory(array, collector)
    if _is_locked(array):
        return make_locked, memory
    return (make_array if len(memory) > _NARROW else np.ndarray), memory


def _is_new_and_empty(array: np.ndarray[Any, Any]) -> bool:
    """Whether it is without elements as numpy makes one; from numpy's own pickle it has other strides."""
    return array.flags.writeable and array.strides == np.empty(array.shape, array.dtype).strides


def _object_view(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    """The reduction of a view of an array of objects that is worth keeping, or an output itself."""
    owner = array.base
    if type(owner) is not np.ndarray or array.dtype != owner.dtype or not owner.flags.c_contiguous:
        return None
    if owner.nbytes > MOST_GAPS * array.nbytes and not any(value is owner for value in collector.values.values()):
        return None
    start = (array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]) // owner.itemsize
    read_only = () if array.flags.writeable else (False,)
    if array.dtype.kind == "O":
        return make_object_view, (owner, start, array.shape, array.strides, *read_only)
    if array.flags.forc:
        return make_text_view, (owner, start, 1, array.shape, _order(array), *read_only)
    step = array.strides[0] // array.itemsize if array.ndim == 1 else 0
    return (make_text_view, (owner, start, step, array.shape, "C", *read_only)) if step else None


def _place(value: Any) -> tuple[int, int] | None:
    """Where the memory of an upstream array, or tensor of torch, is."""
    if isinstance(value, np.ndarray):
        return _bounds(value) if _is_plain(value) and value.flags.forc else None
    return torch_memory.bounds(value)


def make_object_view(
    owner: np.ndarray[Any, Any],
    start: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    writeable: bool = True,
) -> np.ndarray[Any, Any]:
    """A view of an array of objects, which lies within it."""
    reach = [(length - 1) * stride // owner.itemsize for length, stride in zip(shape, strides, strict=True)]
    low, high = start + sum(r for r in reach if r < 0), start + sum(r for r in reach if r > 0)
    if owner.dtype != object or low < 0 or high >= owner.size:
        raise ValueError("a view that does not lie within its array")
    view: np.ndarray[Any, Any] = np.lib.stride_tricks.as_strided(
        owner.reshape(-1)[start:], shape, strides, writeable=writeable
    )
    return view


def make_text_view(
    owner: np.ndarray[Any, Any], start: int, step: int, shape: tuple[int, ...], order: Any, writeable: bool = True
) -> np.ndarray[Any, Any]:
    """A view of every ``step``th text of an array of texts of any length."""
    view: np.ndarray[Any, Any] = owner.reshape(-1)[start::step][: math.prod(shape)].reshape(shape, order=order)
    if not writeable:
        view.flags.writeable = False
    return view


def make_view(
    owner: Any,
    shape: tuple[int, ...],
    dtype: Any,
    offset: int,
    strides: tuple[int, ...],
    writeable: bool,
) -> np.ndarray[Any, Any]:
    """A view of an upstream array, or over an upstream tensor."""
    if isinstance(owner, np.ndarray):
        memory = owner if owner.flags.c_contiguous else owner.T
    else:
        memory = torch_memory.memory_of(owner)
    array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, memory, offset, strides)
    if not writeable:
        array.flags.writeable = False
    return array


def _reduce_subclass(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    if not _is_plain(array):
        return NotImplemented if array.flags.writeable else _reduce_read_only(array)
    attributes = dict(getattr(array, "__dict__", {}))
    if isinstance(array, np.memmap):
        # The mapping of the file is the process's own; the bytes are saved, the file's name stays.
        attributes["_mmap"] = None
    arguments = (type(array), *_memory(array, collector))
    return make_subclass, arguments, attributes or None, None, None, set_attributes


def make_subclass(cls: type[np.ndarray[Any, Any]], *arguments: Any) -> np.ndarray[Any, Any]:
    """An array of a class derived from ``numpy.ndarray``."""
    return _over(cls, *arguments)


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


# -- typed trees -------------------------------------------------------------------------------

#: Classes derived from arrays whose attributes are plain.
_SUBCLASSES: dict[str, type[np.ndarray[Any, Any]]] = {
    "matrix": np.matrix,
    "recarray": np.recarray,
    "memmap": np.memmap,
}


def make_array(shape: tuple[int, ...], dtype: Any, *memory: Any) -> np.ndarray[Any, Any]:
    """An array over a buffer; without one, an array without elements."""
    return _over(np.ndarray, shape, _without_pointers(dtype), *memory) if memory else np.empty(shape, dtype)


def make_locked(*arguments: Any) -> np.ndarray[Any, Any]:
    """A read-only array over memory that can be written."""
    array = make_array(*arguments)
    array.flags.writeable = False
    return array


def _over(
    cls: type[np.ndarray[Any, Any]],
    shape: tuple[int, ...],
    dtype: Any,
    buffer: Any,
    start: int = 0,
    strides: tuple[int, ...] | None = None,
    size: int = 0,
) -> np.ndarray[Any, Any]:
    """An array over a buffer; where that holds the elements alone of ``size`` bytes, over as many of its own."""
    found = memoryview(buffer)
    if size and size != found.nbytes:
        elements: np.ndarray[Any, Any] = np.ndarray(shape, dtype, buffer)
        if size > _MOST_SPREAD_BYTES:
            start, strides = 0, None
        else:
            buffer = np.zeros(size, np.uint8)
            np.ndarray(shape, dtype, buffer, start, strides)[...] = elements
            buffer.flags.writeable = not found.readonly
    return np.ndarray.__new__(cls, shape, dtype, buffer, start, strides)


def _without_pointers(dtype: Any) -> np.dtype[Any]:
    made: np.dtype[Any] = np.dtype(dtype)
    if made.kind not in _PLAIN_KINDS or made.hasobject:
        raise ValueError(f"elements of type {made} do not lie in a buffer")
    return made


def _typed_array(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    if array.dtype == object:
        return _typed_objects(array, collector)
    if not array.size and not array.dtype.hasobject and _is_new_and_empty(array):
        return make_array, (array.shape, array.dtype)
    if array.dtype.kind == "T" and array.dtype != np.dtypes.StringDType():
        return NotImplemented
    reduced = _reduced(array, collector)
    return (make_array, *reduced[1:]) if reduced is not NotImplemented and reduced[0] is np.ndarray else reduced


def _typed_subclass(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    if not _is_plain(array):
        return NotImplemented
    reduced = _reduce_subclass(array, collector)
    (cls, *memory), *rest = reduced[1:]
    arguments = (cls.__name__, *memory)
    return (make_subclass_named, arguments, *rest) if rest[0] else (make_subclass_named, arguments)


def make_subclass_named(name: str, *memory: Any) -> np.ndarray[Any, Any]:
    """An array of one of numpy's own derived classes."""
    shape, dtype, *rest = memory
    return make_subclass(_SUBCLASSES[name], shape, _without_pointers(dtype), *rest)


def _typed_dtype(dtype: np.dtype[Any], _collector: Collector) -> Any:
    if dtype.metadata:
        return NotImplemented
    if dtype.subdtype is not None:
        return make_dtype, (dtype.subdtype[0], dtype.shape)
    if dtype.names is None:
        if type(dtype) in _TWINS:
            return make_dtype, (_twin(dtype),)
        plain = dtype.kind in _PLAIN_KINDS | {"O"} and dtype.isnative | (dtype.byteorder in "<>")
        return (make_dtype, (dtype.str,)) if plain and np.dtype(dtype.str) == dtype else NotImplemented
    if dtype.type not in (np.void, np.record):
        return NotImplemented
    known: Any = dtype.fields
    fields = [known[name] for name in dtype.names]
    titles = [field[2] if len(field) > 2 else None for field in fields]
    layout = {
        "names": list(dtype.names),
        "formats": [field[0] for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        **({"titles": titles} if any(title is not None for title in titles) else {}),
    }
    return make_record_dtype, (layout, dtype.isalignedstruct, dtype.type is np.record)


def make_dtype(*description: Any) -> np.dtype[Any]:
    """A type of elements, from its text, or from an element's type and a shape."""
    made: np.dtype[Any] = np.dtype(description[0] if len(description) == 1 else description)
    return made


def make_record_dtype(layout: dict[str, Any], aligned: bool, record: bool) -> np.dtype[Any]:
    """A type of elements with fields."""
    made: Any = np.dtype(layout, align=aligned)
    return np.dtype((np.record, made)) if record else made  # type: ignore[no-any-return]


def _reduce_record(record: Any, _collector: Collector) -> Any:
    """A row of a structured array lies in the array's memory: who writes to it writes there."""
    base = record.base
    plain = isinstance(base, np.ndarray) and base.flags.c_contiguous and not record.dtype.hasobject
    if not plain or not record.nbytes:
        return NotImplemented
    first = np.frombuffer(record, np.uint8).__array_interface__["data"][0] - _bounds(base)[0]
    row: np.ndarray[Any, Any] = np.ndarray((), record.dtype, base, first)
    row.flags.writeable = bool(base.flags.writeable)
    return make_record, (row,)


def _typed_record(record: Any, collector: Collector) -> Any:
    reduced = _reduce_record(record, collector)
    return _typed_scalar(record, collector) if reduced is NotImplemented else reduced


def make_record(row: np.ndarray[Any, Any]) -> Any:
    """The only element of an array, in its memory."""
    return row[()]


def _typed_scalar(value: Any, _collector: Collector) -> Any:
    if value.dtype.kind not in "biufcmMSU" or value.dtype.metadata:
        return NotImplemented
    return make_scalar, (value.dtype, value.tobytes())


def make_scalar(dtype: Any, data: bytes) -> Any:
    """A number, date or text of numpy's own type."""
    return np.frombuffer(data, dtype)[0] if data else np.zeros((), dtype)[()]


def _typed_objects(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    reduced = _reduced(array, collector)
    if reduced is not NotImplemented:
        return reduced
    order = _order(array)
    return make_objects, (array.shape, order), array.ravel(order).tolist(), None, None, set_objects


def _typed_read_only(array: np.ndarray[Any, Any]) -> Any:
    order = _order(array)
    return make_objects, (array.shape, order), array.ravel(order).tolist(), None, None, set_read_only_objects


def _order(array: np.ndarray[Any, Any]) -> Literal["C", "F"]:
    return "C" if array.flags.c_contiguous or not array.flags.f_contiguous else "F"


def make_objects(shape: tuple[int, ...], order: Any) -> np.ndarray[Any, Any]:
    """An array of nothing yet."""
    return np.empty(shape, object, order)


def set_objects(array: np.ndarray[Any, Any], objects: list[object]) -> None:
    """Fill what :func:`make_objects` made."""
    flat = array.reshape(-1, order="C" if array.flags.c_contiguous else "F")
    for i, value in enumerate(objects):
        flat[i] = value


def set_read_only_objects(array: np.ndarray[Any, Any], objects: list[object]) -> None:
    """Fill it, once and for all."""
    set_objects(array, objects)
    array.flags.writeable = False


def make_texts(
    shape: tuple[int, ...], texts: list[Any], order: Any = "C", writeable: bool = True, dtype: Any = None
) -> np.ndarray[Any, Any]:
    """An array of texts of any length."""
    flat = np.array(texts, np.dtypes.StringDType() if dtype is None else dtype)
    made: np.ndarray[Any, Any] = flat.reshape(shape, order=order)
    made.flags.writeable = writeable
    return made


#: What trees may call, by the name after ``numpy.``.
MAKERS: dict[str, Callable[..., Any]] = {
    "array": make_array,
    "locked": make_locked,
    "view": make_view,
    "object view": make_object_view,
    "text view": make_text_view,
    "masked": make_masked,
    "subclass": make_subclass_named,
    "attributes": set_attributes,
    "dtype": make_dtype,
    "record dtype": make_record_dtype,
    "scalar": make_scalar,
    "record": make_record,
    "objects": make_objects,
    "set objects": set_objects,
    "set read-only objects": set_read_only_objects,
    "texts": make_texts,
    "objects of texts": numpy_texts.make_objects_of_texts,
    "nan": lambda: np.nan,
}
