"""What a saved stream calls when it is restored.

The names of these functions are in every saved entry: they are part of the
format (FORMAT.md) and are never renamed or given another meaning.
"""

from __future__ import annotations

import functools
import importlib
import io
import os
import re
import types
from collections.abc import Callable
from typing import Any

from blockcache.codec.constants import state_text
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


def library_constant(module: str, owner: str | None, name: str, state: str) -> object:
    """The attribute ``name`` of an importable module, or of the class ``owner`` in it, when its state is ``state``.

    Raises
    ------
    CodecError
        When it is not there, or is not what it was.
    """
    place = ".".join(filter(None, (module, owner, name)))
    try:
        holder = importlib.import_module(module)
        # As vars, because a descriptor or a module's ``__getattr__`` would answer with something else.
        found = vars(holder if owner is None else vars(holder)[owner])[name]
    except (ImportError, KeyError, TypeError) as error:
        raise CodecError(f"{place} is not there any more") from error
    if state_text(found) != state:
        raise CodecError(f"{place} is not what it was when it was saved")
    return found


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


def set_state(obj: Any, state: Any) -> None:
    """What pickle does with a state, without asking a ``__getattr__`` that needs the state to answer."""
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    if state:
        obj.__dict__.update(state)
    for name, value in (slots or {}).items():
        setattr(obj, name, value)


def set_dictionary(obj: object, attributes: dict[str, object]) -> None:
    """Make ``attributes`` itself the instance dictionary."""
    object.__setattr__(obj, "__dict__", attributes)


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


def make_closed_file(mode: str, closefd: bool) -> io.FileIO:
    """A closed raw file, without a name."""
    handle = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    file = io.FileIO(handle, mode, closefd)
    file.close()
    if not closefd:
        os.close(handle)
    return file


def make_closed_buffer(kind: str, raw: io.FileIO) -> object:
    """A closed ``io.BufferedReader``, ``BufferedWriter`` or ``BufferedRandom`` over a closed raw file."""
    with _Reopened(raw):
        return getattr(io, kind)(raw)


def make_closed_text(
    buffer: Any, encoding: str, errors: str, line_buffering: bool, write_through: bool, newlines: tuple[str, ...]
) -> io.TextIOWrapper:
    """A closed text file over a closed buffer; ``newlines`` are the ends of lines that it had met."""
    # Only the decoder knows those, and it cannot be told: it has to read them.
    with _Reopened(buffer.raw, "x".join((*newlines, "")).encode(encoding) if newlines else b""):
        buffer.__init__(buffer.raw)
        text = io.TextIOWrapper(buffer, encoding, errors, None, line_buffering, write_through)
        if newlines:
            text.seek(0)  # a mode that appends stands at the end
            text.read()
        text.close()
        return text


class _Reopened:
    """A closed raw file open for a while, over nothing or ``content``: what is put on top of it asks it questions."""

    def __init__(self, raw: io.FileIO, content: bytes = b"") -> None:
        self._raw = raw
        self._attributes = dict(vars(raw))
        self._content = content

    def __enter__(self) -> None:
        self._handle = _scratch(self._content) if self._content else os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        vars(self._raw).clear()  # it holds a mark that the file is closed
        # The same object again, so that it stays what other values refer to.
        self._raw.__init__(self._handle, self._raw.mode, self._raw.closefd)  # type: ignore[misc]

    def __exit__(self, *_: object) -> None:
        self._raw.close()
        if not self._raw.closefd:
            os.close(self._handle)
        vars(self._raw).clear()
        vars(self._raw).update(self._attributes)


def _scratch(content: bytes) -> int:
    """The descriptor of a file without a name."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("blockcache")
    else:
        from tempfile import mkstemp

        handle, path = mkstemp()
        os.unlink(path)
    os.write(handle, content)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def match_again(pattern: re.Pattern[Any], method: str, text: Any, start: int, end: int) -> re.Match[Any] | None:
    """What one of a pattern's methods finds in a text."""
    found: re.Match[Any] | None = getattr(pattern, method)(text, start, end)
    return found
