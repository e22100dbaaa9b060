"""What a saved stream calls when it is restored.

The names of these functions are in every saved entry: they are part of the
format (FORMAT.md) and are never renamed or given another meaning.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import importlib
import io
import os
import re
import threading
import types
import typing
import weakref
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


def make_code(make: Callable[..., types.CodeType], arguments: tuple[Any, ...], file: str) -> types.CodeType:
    """A code object, with the name of the file that it was compiled from."""
    return make(*arguments).replace(co_filename=file)


def program_code(code: types.CodeType) -> types.CodeType:
    """Stands for the program's own code that does the same now; the reader puts it in place."""
    return code


def placed_code(code: types.CodeType, module: str) -> types.CodeType:
    """Code of a library, in the file that its module has here."""
    return code.replace(co_filename=getattr(importlib.import_module(module), "__file__", None) or code.co_filename)


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


_unheard = threading.local()
_hooks_lock = threading.RLock()


def make_class(metaclass: Any, name: str, bases: tuple[Any, ...], first: dict[str, Any]) -> type:
    """A bare class, of which neither its metaclass nor its bases are told."""
    told = {b for base in bases for b in base.__mro__ if isinstance(vars(b).get("__init_subclass__"), classmethod)}
    with _hooks_lock if told else contextlib.nullcontext():
        hooks = {base: vars(base)["__init_subclass__"] for base in told}
        _unheard.on = True
        try:
            for base, hook in hooks.items():
                type.__setattr__(base, "__init_subclass__", _but_for_this_thread(hook))
            bare: type = type.__new__(metaclass, name, bases, dict(first))
            return bare
        finally:
            for base, hook in hooks.items():
                type.__setattr__(base, "__init_subclass__", hook)
            _unheard.on = False


def _but_for_this_thread(hook: Any) -> Any:
    def init_subclass(cls: type, /, **options: object) -> None:
        if not getattr(_unheard, "on", False):
            hook.__get__(None, cls)(**options)

    return classmethod(init_subclass)


def set_class(cls: Any, state: tuple[dict[str, Any], list[type] | None]) -> None:
    """Fill in a class; what it had registered as its subclasses is registered again."""
    attributes, registered = state
    if registered is not None:
        import _abc  # type: ignore[import-not-found]

        _abc._abc_init(cls)
    for name, value in attributes.items():
        type.__setattr__(cls, name, value)
        if type(value) is property:
            value.__set_name__(cls, name)  # type: ignore[attr-defined]  # for its messages
    for other in registered or ():
        abc.ABCMeta.register(cls, other)


def attribute_of(cls: type, name: str) -> object:
    """What a class itself has under a name."""
    return vars(cls)[name]


def make_method(kind: Any) -> Any:
    """A ``classmethod`` or ``staticmethod`` of nothing yet."""
    return kind.__new__(kind)


def set_method(method: Any, state: tuple[Any, dict[str, Any]]) -> None:
    """Fill in what :func:`make_method` made: the function, and attributes."""
    function, attributes = state
    method.__init__(function)
    vars(method).clear()
    vars(method).update(attributes)


def make_type_parameter(
    kind: str, name: str, module: str | None, constraints: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """A ``TypeVar``, ``ParamSpec`` or ``TypeVarTuple``."""
    made = getattr(typing, kind)(name, *constraints, **options)
    if module != made.__module__:
        made.__module__ = module
    return made


def make_type_alias(module: str, name: str, parameters: tuple[Any, ...], value: list[Any]) -> Any:
    """What ``type name = ...`` binds in a module."""
    space: dict[str, Any] = {"__name__": module, "value": value, "parameters": parameters, "typing": typing}
    if parameters:
        return eval(f"typing.TypeAliasType({name!r}, value[0], type_params=parameters)", space)
    exec(f"type {name} = value[0]", space)  # evaluated later: it may be about itself
    return space[name]


def make_new_type(name: str, supertype: Any) -> Any:
    """A ``typing.NewType``."""
    return typing.NewType(name, supertype)


def make_reference(target: Any = None) -> weakref.ref[Any]:
    """A weak reference; without a target, a dead one."""
    return weakref.ref(set() if target is None else target)


def set_exception(error: BaseException, state: tuple[Any, BaseException | None, BaseException | None, bool]) -> None:
    """Fill in an exception's own state, and what it was raised from or beside."""
    own, cause, context, suppressed = state
    if own is not None:
        error.__setstate__(own)
    error.__cause__, error.__context__, error.__suppress_context__ = cause, context, suppressed


def match_again(pattern: re.Pattern[Any], method: str, text: Any, start: int, end: int) -> re.Match[Any] | None:
    """What one of a pattern's methods finds in a text."""
    found: re.Match[Any] | None = getattr(pattern, method)(text, start, end)
    return found
