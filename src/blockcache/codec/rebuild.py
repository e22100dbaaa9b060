"""What a saved stream calls when it is restored.

The names of these functions are in every saved entry: they are part of the
format (FORMAT.md) and are never renamed or given another meaning.
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable
from typing import Any

from blockcache.errors import CodecError


def resolve_label(label: str) -> object:
    """Stands for the live upstream definition of that label; the reader puts its own in place."""
    raise CodecError(f"the live definition of {label!r} is only known to blockcache.codec.decode")


def home_namespace() -> dict[str, object]:
    """Stands for the live globals of the block's module; the reader puts its own in place."""
    raise CodecError("the block's namespace is only known to blockcache.codec.decode")


def module_namespace(name: str) -> dict[str, object]:
    """The live globals of an importable module."""
    return vars(importlib.import_module(name))


def make_function(
    code: types.CodeType, namespace: dict[str, Any], name: str, closure: tuple[types.CellType, ...] | None
) -> types.FunctionType:
    """A function without what may refer back to it, which :func:`set_function` adds."""
    return types.FunctionType(code, namespace, name, None, closure)


def set_function(
    function: types.FunctionType,
    state: tuple[dict[str, object], dict[str, object], dict[str, object]],
) -> None:
    """Add attributes, slots (``__defaults__``, ...) and, in a namespace of its own, the globals it uses."""
    attributes, slots, used_globals = state
    function.__dict__.update(attributes)
    for name, value in slots.items():
        setattr(function, name, value)
    if used_globals:
        function.__globals__.update(used_globals)


def make_cell() -> types.CellType:
    """An empty closure cell."""
    return types.CellType()


def set_cell(cell: types.CellType, state: tuple[object]) -> None:
    """Fill a closure cell with the one item of ``state``."""
    cell.cell_contents = state[0]


def make_lru_cache(maxsize: int | None, typed: bool, function: Callable[..., Any]) -> object:
    """A function behind ``functools.lru_cache``, with an empty cache."""
    return functools.lru_cache(maxsize, typed)(function)


def set_attributes(obj: Any, attributes: dict[str, object]) -> None:
    """Fill the instance dictionary directly."""
    obj.__dict__.update(attributes)


def make_cached_property(function: Callable[[Any], Any]) -> functools.cached_property[Any]:
    """A ``functools.cached_property``, with a lock of its own where it has one (before Python 3.12)."""
    return functools.cached_property(function)


def make_exception(cls: type[BaseException], arguments: tuple[object, ...]) -> BaseException:
    """An exception without its ``__init__``, which may take other arguments than those it passed on."""
    exception = cls.__new__(cls, *arguments)
    exception.args = arguments
    return exception


def make_memoryview(buffer: object, format: str, shape: tuple[int, ...]) -> memoryview:
    """A view of ``buffer`` with the format and shape that it had."""
    return memoryview(buffer).cast("B").cast(format, shape)  # type: ignore[arg-type, call-overload, no-any-return]
