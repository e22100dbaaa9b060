"""Arrays whose objects are texts, as Arrow has texts: their bytes in one buffer, and where each begins.

Pickle writes such objects one by one and keeps a table of all of them, which takes longer than anything else in a
frame. Here each object is written once; which of them an element is, say numbers. Within an array the same object
stays the same object. :func:`make_objects_of_texts` is named in saved entries and is never renamed.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np

from blockcache.codec.regions import Collector

#: Below this many elements it saves nothing.
_FEWEST = 1024
#: How many objects there may be that are no texts.
_MOST_OTHERS = 64
_OTHERS = frozenset(("NoneType", "bool", "int", "float", "NAType", "NaTType"))


def reduce(array: np.ndarray[Any, Any], collector: Collector) -> Any:
    """The array's reduction; NotImplemented where its objects are not nearly all texts."""
    if array.size < _FEWEST or not array.flags.forc:
        return NotImplemented
    if id(array) not in collector.prepared:
        collector.prepared[id(array)] = array, _parts(array)
    parts = collector.prepared[id(array)][1]
    if parts is None:
        return NotImplemented
    shape, order, offsets, data, numbers, others = parts
    read_only = () if array.flags.writeable else (False,)
    return make_objects_of_texts, (
        *(shape, order, offsets, collector.out_of_band(data, None), numbers, others),
        *read_only,
    )


def _parts(array: np.ndarray[Any, Any]) -> tuple[Any, ...] | None:
    order: Any = "C" if array.flags.c_contiguous else "F"
    flat = array.reshape(-1, order=order)
    if not any(type(value) is str for value in flat[:_MOST_OTHERS]):
        return None
    first, numbers = _distinct(flat)
    distinct = flat if numbers is None else flat[first]
    others: list[object] = []
    if set(map(type, distinct)) != {str}:
        is_text = np.fromiter((type(value) is str for value in distinct), bool, len(distinct))
        others = distinct[~is_text].tolist()
        if len(others) > _MOST_OTHERS or any(type(x).__name__ not in _OTHERS for x in others):
            return None
        numbers, distinct = _texts_first(numbers, is_text), distinct[is_text]
    try:
        offsets, data = _to_bytes(distinct)
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return array.shape, order, offsets, data, numbers, others


def _distinct(flat: np.ndarray[Any, Any]) -> tuple[Any, np.ndarray[Any, Any] | None]:
    """Where each object stands first, and the number of each element's; None where all are different objects."""
    ids = np.asarray(_Pointers(flat))
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        numbers, found = pandas.factorize(ids)
        if len(found) == len(flat):
            return None, None
        first: Any = np.empty(len(found), np.intp)
        first[numbers[::-1]] = np.arange(len(flat) - 1, -1, -1)
    else:
        found, first, numbers = np.unique(ids, return_index=True, return_inverse=True)
        if len(found) == len(flat):
            return None, None
    return first, numbers.astype(np.min_scalar_type(len(found)))


class _Pointers:
    """The addresses that an array of objects is made of."""

    def __init__(self, flat: np.ndarray[Any, Any]) -> None:
        self.flat = flat
        address = flat.__array_interface__["data"][0]
        self.__array_interface__ = {
            "data": (address, True),
            "shape": flat.shape,
            "typestr": np.dtype(np.intp).str,
            "version": 3,
        }


def _texts_first(numbers: np.ndarray[Any, Any] | None, is_text: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers by which the texts come before what is none."""
    place: Any = np.empty(len(is_text), np.min_scalar_type(len(is_text)))
    place[is_text] = np.arange(is_text.sum())
    place[~is_text] = np.arange(is_text.sum(), len(is_text))
    placed: np.ndarray[Any, Any] = place if numbers is None else place[numbers]
    return placed


def _to_bytes(texts: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], Any]:
    if _has_arrow():
        from blockcache.types.arrow_codec import bytes_of_texts

        return bytes_of_texts(texts)
    pieces = [text.encode() for text in texts]
    offsets: Any = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)), out=offsets[1:])
    return offsets, b"".join(pieces)


def _has_arrow() -> bool:
    return "pyarrow" in sys.modules or importlib.util.find_spec("pyarrow") is not None


def make_objects_of_texts(
    shape: tuple[int, ...],
    order: Any,
    offsets: Any,
    data: Any,
    numbers: Any,
    others: list[object],
    writeable: bool = True,
) -> Any:
    """An array of texts, and of ``others``."""
    if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] > memoryview(data).nbytes or (np.diff(offsets) < 0).any():
        raise ValueError("texts that do not lie in their buffer")
    if _has_arrow():
        from blockcache.types.arrow_codec import texts_of_bytes

        texts = texts_of_bytes(offsets, data)
    else:
        view = memoryview(data)
        texts = np.empty(len(offsets) - 1, object)
        texts[:] = [str(view[a:b], "utf-8") for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    if others:
        beside: Any = np.empty(len(others), object)
        beside[:] = others
        texts = np.concatenate([texts, beside])
    if numbers is not None:
        texts = texts[numbers]
    made = texts.reshape(shape, order=order)
    made.flags.writeable = writeable
    return made
