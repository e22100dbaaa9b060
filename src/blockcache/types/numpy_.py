"""numpy: what stands for arrays, scalars, dtypes and functions."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import xxhash

from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.registry import As, Refused
from blockcache.inplace import FIXED, Layer

_COPIED_AT_ONCE_BYTES = 4 << 20


def _array(value: Any) -> object:
    plain = np.asarray(value)
    order = "F" if plain.flags.f_contiguous and not plain.flags.c_contiguous else "C"
    dtype = plain.dtype
    content: tuple[object, ...] = (_short(dtype) or dtype, plain.shape, order, _data(plain))
    if not plain.flags.writeable and type(value) is not np.memmap:
        content += ("read-only",)
    if type(value) is np.ndarray or type(value) is np.memmap:
        # A memory-mapped array comes back as a plain one, and has the same content.
        return As(np.ndarray, content)
    return content, getattr(value, "__dict__", None) or None


def read_only(array: Any) -> Any:
    """The array for a rule to whose value it does not matter whether its arrays can be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def _data(array: Any) -> object:
    """Content in one order, whatever the strides; no padding, no addresses."""
    dtype = array.dtype
    if dtype.hasobject or dtype.kind == "T":
        return array.ravel().tolist()
    if dtype.names is not None and not _is_packed(dtype):
        # Padding between fields is undefined, so the fields are taken one by one.
        return [_data(array[field]) for field in dtype.names]
    if array.nbytes == 0:
        return b""
    if array.flags.c_contiguous:
        return digest(array.reshape(-1).view(np.uint8))
    if array.flags.f_contiguous:
        return digest(array.T.reshape(-1).view(np.uint8))
    rows = max(1, _COPIED_AT_ONCE_BYTES * len(array) // array.nbytes)
    hasher = xxhash.xxh3_128()
    for start in range(0, len(array), rows):
        hasher.update(np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8))
    return hasher.digest()


def _is_packed(dtype: Any) -> bool:
    if dtype.subdtype is not None:
        return _is_packed(dtype.subdtype[0])
    if dtype.names is None:
        return True
    fields = [dtype.fields[name][0] for name in dtype.names]
    return sum(field.itemsize for field in fields) == dtype.itemsize and all(map(_is_packed, fields))


def _masked(value: Any) -> object:
    # Reading `fill_value` would store the default in the array.
    fill = value._fill_value
    if fill is None:
        fill = np.ma.default_fill_value(value.dtype) if value.dtype.names is None else None
    fill = None if fill is None else np.asarray(fill)
    return value.data, np.ma.getmaskarray(value), fill, value.hardmask


def _scalar(value: Any) -> object:
    if type(value) is np.void and value.dtype.names is None:
        return value.dtype, value.tobytes()
    short = _short(value.dtype)
    return (short, value.tobytes()) if short is not None and short != "|O" else np.asarray(value)


def _short(dtype: Any) -> str | None:
    """The name of a simple dtype, byte order included: it says all and costs nothing."""
    return _text(dtype) if dtype.kind not in "TV" and dtype.metadata is None else None


#: C has two names for one size of numbers, and numpy a type for each: they are equal, and their letters differ.
_TWINS = frozenset(c for c in "iIlLqQ" if np.dtype(np.dtype(c).str).char != c)


def _text(dtype: Any) -> str:
    text: str = dtype.str
    return text if dtype.char not in _TWINS else text + dtype.char


def _dtype(value: Any) -> object:
    extra = dict(value.metadata) if value.metadata else None
    if value.subdtype is not None:
        return As(np.dtype, ("array", *value.subdtype, extra))
    if value.names is not None:
        fields = [(name, *value.fields[name]) for name in value.names]
        return As(np.dtype, (value.type, fields, value.itemsize, value.isalignedstruct, extra))
    return As(np.dtype, (repr(value) if value.kind in "TV" else _text(value), extra))


def _ufunc(value: Any) -> object:
    name = value.__name__
    if getattr(np, name, None) is value:
        return "numpy", name
    special = sys.modules.get("scipy.special")
    if special is not None and getattr(special, name, None) is value:
        return "scipy.special", name
    raise Refused("a ufunc made from a Python function")


def _describe_array(value: Any) -> str:
    return f"{type(value).__name__} {value.dtype} {value.shape}"


FINGERPRINT = {
    "ndarray": _array,
    "MaskedArray": _masked,
    "generic": _scalar,
    "dtype": _dtype,
    "ufunc": _ufunc,
}


def _elements(array: Any) -> Any:
    elements = array.copy() if array.dtype.hasobject else array.view(np.ndarray)
    elements.flags.writeable = array.flags.writeable
    return elements


def _fits(array: Any, contents: Any) -> bool:
    return bool(array.shape == contents.shape and array.dtype == contents.dtype and _can_be_written(array))


def _can_be_written(array: Any) -> bool:
    """Whether an array can be written, or made so, as the body did."""
    if not array.flags.writeable:
        try:
            array.flags.writeable = True
        except ValueError:
            return False
        array.flags.writeable = False
    return True


def _put_elements(array: Any, contents: Any) -> None:
    array.flags.writeable = True
    np.copyto(array, contents)
    array.flags.writeable = contents.flags.writeable


def _put_masked(array: Any, contents: tuple[Any, Any]) -> None:
    array.data[...], array.mask = contents


def _objects(array: Any) -> Iterable[tuple[tuple[str, int], object]]:
    return ((("at", i), item) for i, item in enumerate(array.flat)) if _held(array) is not None else ()


def _held(array: Any) -> list[object] | None:
    return list(array.flat) if array.dtype.hasobject and array.dtype.names is None else None


def _put_legacy(generator: Any, state: Any) -> None:
    generator.set_state(state)


def _put_bits(generator: Any, state: Any) -> None:
    generator.bit_generator.state = state


def _put_state(bits: Any, state: Any) -> None:
    bits.state = state


CHANGING = frozenset({"ndarray"})

IN_PLACE = {
    "ndarray": Layer("elements", _elements, _objects, _held, _put_elements, _fits),
    "MaskedArray": Layer("elements", lambda a: (a.data.view(np.ndarray), np.ma.getmaskarray(a)), put=_put_masked),
    "RandomState": Layer("state", lambda g: g.get_state(legacy=False), put=_put_legacy),
    "Generator": Layer("state", lambda g: g.bit_generator.state, put=_put_bits),
    "BitGenerator": Layer("state", lambda b: b.state, put=_put_state),
    "generic": FIXED,
    "dtype": FIXED,
}

DESCRIBE = {"ndarray": _describe_array, "generic": lambda value: f"{type(value).__name__} {value!s:.40}"}
