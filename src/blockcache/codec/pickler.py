"""The pickler of a block's outputs. Imports cloudpickle, so only a save imports this module.

What differs from cloudpickle: upstream definitions are saved by label; functions
of the block's namespace get the live namespace back; definitions of the block's
module are saved by value although they can be imported while they are saved;
code keeps the file and line where it stands; closure cells keep their identity;
a restored class is never merged with one that the process already has; a library's
sentinels are saved by their place; a closed file stays closed, an open one is refused.
"""

from __future__ import annotations

import copyreg
import functools
import io
import operator
import pickle
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import cloudpickle
from cloudpickle import cloudpickle as internals

from blockcache.codec import definitions, rebuild
from blockcache.codec.constants import Constants, Place, state_text
from blockcache.codec.defaults import Default, defaults_of
from blockcache.codec.regions import Collector
from blockcache.codec.registry import reducer_for
from blockcache.codec.upstream import memo_of

Label = Callable[[object], str | None]

_LruCache = type(functools.lru_cache(lambda: None))
_BUFFERED = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)
_MAINS = ("__main__", "__mp_main__")
_BY_ITSELF = operator.methodcaller("__reduce_ex__", 5)

_DISPATCH: dict[type, Callable[[Any], Any]] = dict(cloudpickle.Pickler._dispatch_table)


class _Namespace:
    """Stands for a live namespace in the arguments of a function; None is the block's own."""

    __slots__ = ("module",)

    def __init__(self, module: str | None) -> None:
        self.module = module

    def __reduce__(self) -> tuple[Any, ...]:
        return (rebuild.home_namespace, ()) if self.module is None else (rebuild.module_namespace, (self.module,))


class _Saved:
    """A code object as it was saved, whatever is found in its place."""

    __slots__ = ("code",)

    def __init__(self, code: types.CodeType) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        # Cloudpickle gives all code one file name (from 3.1.3 on): tracebacks and `inspect` need its own.
        make, arguments = internals._code_reduce(self.code)
        return rebuild.make_code, (make, arguments, self.code.co_filename)


class OutputPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles one set of outputs.

    Parameters
    ----------
    write
        Called with each piece of the stream; large ``bytes`` come as they are, uncopied. Text comes
        as a view of the text's own memory, valid as long as the pickler, whose memo holds it.
    collector
        Takes the buffers.
    label
        Text that stands for an upstream function or class, None for anything else.
    module_globals
        The namespace of the block's module.
    is_library
        Whether a module is of an installed library or of the standard library.
    """

    def __init__(
        self,
        write: Callable[[Any], object],
        collector: Collector,
        label: Label,
        module_globals: Mapping[str, object],
        is_library: Callable[[types.ModuleType], bool],
    ) -> None:
        # Read when a pickler is made. Cloudpickle's own is not a dict and costs a Python call for every object.
        self.dispatch_table = {**copyreg.dispatch_table, **_DISPATCH}
        # No reference from here back to the pickler: a cycle would keep the outputs alive until a collection.
        super().__init__(types.SimpleNamespace(write=write), protocol=5, buffer_callback=collector.take)
        if collector.upstream:
            self.memo = memo_of(collector.upstream)
        self._collector = collector
        self._label = label
        self._globals = module_globals
        home = module_globals.get("__name__")
        self._home = home if isinstance(home, str) else None
        self._is_library = is_library
        self._constants = Constants(is_library, self._home)
        self._namespaces: dict[int, object] = {}
        self._handlers: dict[type, Handler | None] = dict(_HANDLERS)
        self._files: dict[str | None, str] | None = None  # files of libraries -> their modules

    def dump(self, obj: Any) -> None:
        """Write an object to the stream."""
        # Pickle's hook for everything but plain numbers, text and containers. It is called a million times for a
        # million objects, so it is a function of its own, which takes a tenth less of a dump than a method.
        handlers = self._handlers

        def reducer_override(obj: Any) -> Any:
            cls = type(obj)
            try:
                handler = handlers[cls]
            except KeyError:
                handler = self._learn(cls)
            return NotImplemented if handler is None else handler(self, obj)

        self.reducer_override = reducer_override
        try:
            super().dump(obj)
        finally:
            del self.reducer_override  # a reference back to here

    def _learn(self, cls: type) -> Handler | None:
        """How instances of a class that is met for the first time are reduced."""
        handler = self._handlers[cls] = _handler_for(cls, self._constants)
        if handler is None:
            # What pickle does anyway; it would meet a KeyError for every object of a class that its table lacks.
            self.dispatch_table.setdefault(cls, _BY_ITSELF)
        return handler

    def shared(self) -> list[Default]:
        """Containers in the stream that are default arguments of libraries' methods."""
        found = list(defaults_of(self._handlers, self._is_library))
        met = self.memo.copy() if found else {}
        known = set(map(id, self._collector.upstream)) if found else set()
        return [d for d in found if id(d.container) in met and id(d.container) not in known]

    # -- definitions -----------------------------------------------------------------------

    def _labelled(self, obj: object) -> Any:
        text = self._label(obj)
        return NotImplemented if text is None else (rebuild.resolve_label, (text,))

    def _reduce_callable(self, obj: Any) -> Any:
        """An object with ``__call__``: upstream ones may be labelled; others are values."""
        reduced = self._labelled(obj)
        if reduced is NotImplemented:
            reduced = self._reduce_named(obj)
        return self._reduce_instance(obj) if reduced is NotImplemented and _needs_care(type(obj)) else reduced

    def _reduce_named(self, obj: Any) -> Any:
        """Something that plain pickle may save by name alone, which in the block's module leads nowhere."""
        if self._home is None or getattr(obj, "__module__", None) != self._home or not _has_own_name(obj):
            return NotImplemented
        if isinstance(obj.__reduce_ex__(5), str):
            raise pickle.PicklingError(f"{type(obj).__name__} {obj.__name__} can only be saved by name, not by value")
        return NotImplemented

    def _reduce_lru_cache(self, obj: Any) -> Any:
        reduced = self._labelled(obj)
        if reduced is not NotImplemented or (obj.__module__ != self._home and _importable(obj)):
            return reduced
        parameters = obj.cache_parameters()
        attributes = {k: v for k, v in obj.__dict__.items() if k not in ("cache_parameters", "__wrapped__")}
        return (
            rebuild.make_lru_cache,
            (parameters["maxsize"], parameters["typed"], obj.__wrapped__),
            attributes,
            None,
            None,
            rebuild.set_attributes,
        )

    def _reduce_new_type(self, obj: typing.NewType) -> Any:
        reduced = self._labelled(obj)
        return definitions.reduce_new_type(obj, self._home) if reduced is NotImplemented else reduced

    def _reduce_function(self, function: types.FunctionType) -> Any:
        reduced = self._labelled(function)
        if reduced is not NotImplemented:
            return reduced
        in_home = function.__globals__ is self._globals or function.__module__ == self._home
        if not in_home and _importable(function):
            return NotImplemented
        namespace, used_globals = self._namespace(function)
        slots = {
            "__defaults__": function.__defaults__,
            "__kwdefaults__": function.__kwdefaults__,
            "__annotations__": function.__annotations__,
            "__qualname__": function.__qualname__,
            "__module__": function.__module__,
            "__doc__": function.__doc__,
        }
        if sys.version_info >= (3, 12):
            slots["__type_params__"] = function.__type_params__
        return (
            rebuild.make_function,
            (function.__code__, namespace, function.__name__, function.__closure__),
            (function.__dict__, slots, used_globals),
            None,
            None,
            rebuild.set_function,
        )

    def _reduce_code(self, code: types.CodeType) -> Any:
        """Code is restored where it stands then: a library's in its module, the program's as what runs there."""
        if code.co_filename.startswith("<"):
            return _Saved(code).__reduce__()
        if self._files is None:
            self._files = {
                module.__file__: name
                for name, module in list(sys.modules.items())
                if getattr(module, "__file__", None) and self._is_library(module)
            }
        module = self._files.get(code.co_filename)
        if module is not None:
            return rebuild.placed_code, (_Saved(code), module)
        return rebuild.program_code, (_Saved(code),)

    def _namespace(self, function: types.FunctionType) -> tuple[object, dict[str, object]]:
        """What stands for the function's globals, and those of them that must be saved along."""
        found = function.__globals__
        known = self._namespaces.get(id(found))
        if known is None:
            name = found.get("__name__")
            module = sys.modules.get(name) if isinstance(name, str) else None
            if found is self._globals:
                known = _Namespace(None)
            elif module is not None and vars(module) is found and name not in _MAINS:
                known = _Namespace(name)
            else:
                # Nothing to find again: functions that shared it share a new one.
                known = {k: found[k] for k in ("__name__", "__package__", "__file__", "__path__") if k in found}
            self._namespaces[id(found)] = known
        if isinstance(known, _Namespace):
            return known, {}
        names = internals._extract_code_globals(function.__code__)
        return known, {k: found[k] for k in names if k in found}

    def _reduce_cell(self, cell: types.CellType) -> Any:
        try:
            contents = cell.cell_contents
        except ValueError:
            return rebuild.make_cell, ()
        # The setter comes after the cell is known, so that a function may find itself in its closure.
        return rebuild.make_cell, (), (contents,), None, None, rebuild.set_cell

    def _reduce_class(self, cls: type) -> Any:
        reduced = self._labelled(cls)
        if reduced is not NotImplemented:
            return reduced
        if cls.__module__ == self._home:
            own = definitions.reduce_class(cls, self._is_library)
            if own is not None:
                return own
            reduced = internals._dynamic_class_reduce(cls)
        else:
            reduced = super().reducer_override(cls)
        if isinstance(reduced, tuple) and reduced[0] in (internals._make_skeleton_class, internals._make_skeleton_enum):
            return definitions.reduce_class(cls, self._is_library) or _as_new_class(cls, reduced)
        return reduced

    # -- values that plain pickle refuses or changes ---------------------------------------

    def _reduce_constant(self, obj: Any, places: Mapping[int, Place], handler: Handler | None) -> Any:
        """An instance of a class whose library keeps instances of it as attributes."""
        place = places.get(id(obj))
        state = None if place is None else state_text(obj)
        if place is not None and state is not None:
            return rebuild.library_constant, (place.module, place.owner, place.name, state)
        return NotImplemented if handler is None else handler(self, obj)

    def _reduce_instance(self, obj: Any) -> Any:
        """Objects whose state plain pickle saves as it is and restores wrongly or not at all."""
        reduced = obj.__reduce_ex__(5)
        if not isinstance(reduced, tuple) or (len(reduced) > 5 and reduced[5] is not None):
            return reduced
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        if isinstance(obj, dict) and getattr(obj, "__dict__", None) is obj:
            return make, arguments, obj, items, pairs, rebuild.set_dictionary
        if type(state) is tuple and type(state[-1]) is dict and (hidden := _hidden_slots(type(obj))):
            state = state[0], {name: value for name, value in state[1].items() if name not in hidden}
        if state is not None:
            return make, arguments, state, items, pairs, rebuild.set_state
        return reduced

    def _reduce_file(self, file: Any) -> Any:
        for name in ("stdin", "stdout", "stderr"):
            if file is getattr(sys, name, None):
                return getattr, (sys, name)
        if not file.closed:
            raise pickle.PicklingError("cannot pickle an open file")
        rest = (vars(file), None, None, rebuild.set_attributes)
        if isinstance(file, io.FileIO):
            return rebuild.make_closed_file, (file.mode, file.closefd), *rest
        if isinstance(file, io.TextIOWrapper):
            _refuse_layer(file.buffer, _BUFFERED)
            newlines = (file.newlines,) if isinstance(file.newlines, str) else file.newlines or ()
            arguments = (file.buffer, file.encoding, file.errors, file.line_buffering, file.write_through, newlines)
            return rebuild.make_closed_text, arguments, *rest
        _refuse_layer(file.raw, (io.FileIO,))
        return rebuild.make_closed_buffer, (type(file).__name__, file.raw), *rest

    def _reduce_memoryview(self, view: memoryview) -> Any:
        if not view.c_contiguous or not view.nbytes:
            raise pickle.PicklingError("cannot pickle a memoryview that is empty or not contiguous")
        buffer = self._collector.out_of_band(view, None)
        return rebuild.make_memoryview, (buffer, view.format, view.shape)

    def _reduce_cached_property(self, obj: Any) -> Any:
        attributes = {k: v for k, v in vars(obj).items() if k not in ("lock", "func")}
        return rebuild.make_cached_property, (obj.func,), attributes, None, None, rebuild.set_attributes

    def _reduce_exception(self, error: BaseException) -> Any:
        return (
            rebuild.make_exception,
            (type(error), error.args),
            vars(error) or None,
            None,
            None,
            rebuild.set_attributes,
        )


class NanPickler(OutputPickler):
    """Writes the nan of ``math`` and of ``numpy`` as those very objects."""

    def persistent_id(self, obj: Any) -> tuple[str, str] | None:
        """The place of a nan that is compared with ``is``; None for any other object."""
        if type(obj) is float and obj != obj:
            for module in ("numpy", "math"):
                if obj is getattr(sys.modules.get(module), "nan", None):
                    return module, "nan"
        return None


Handler = Callable[[OutputPickler, Any], Any]


def _of_pickler(reduce: Callable[[Any, str | None], Any]) -> Handler:
    return lambda pickler, obj: reduce(obj, pickler._home)


_HANDLERS: dict[type, Handler | None] = {
    types.FunctionType: OutputPickler._reduce_function,
    types.CodeType: OutputPickler._reduce_code,
    types.CellType: OutputPickler._reduce_cell,
    _LruCache: OutputPickler._reduce_lru_cache,
    typing.NewType: OutputPickler._reduce_new_type,
    **dict.fromkeys((io.TextIOWrapper, *_BUFFERED, io.FileIO), OutputPickler._reduce_file),
    memoryview: OutputPickler._reduce_memoryview,
    functools.cached_property: OutputPickler._reduce_cached_property,
    **{kind: _of_pickler(reduce) for kind, reduce in definitions.REDUCERS.items()},
}


def _handler_for(cls: type, constants: Constants) -> Handler | None:
    """How instances of ``cls`` are reduced; None leaves them to plain pickle."""
    if issubclass(cls, type):
        return OutputPickler._reduce_class
    if issubclass(cls, BaseException):
        # Plain pickle would call an ``__init__`` in Python with what that passed on to its base.
        plain = cls.__reduce__ is BaseException.__reduce__ and isinstance(cls.__init__, types.FunctionType)
        own = OutputPickler._reduce_exception
        return lambda pickler, error: definitions.with_links(error, own(pickler, error) if plain else None)
    library = reducer_for(cls)
    if library is not None:
        return lambda pickler, obj: library(obj, pickler._collector)
    if cls in _DISPATCH:
        return None
    handler = _handler_of_instances(cls)
    places = {} if cls in copyreg.dispatch_table else constants.of(cls)
    # Without a place to look for, an instance costs nothing more.
    return (lambda pickler, obj: pickler._reduce_constant(obj, places, handler)) if places else handler


def _handler_of_instances(cls: type) -> Handler | None:
    if cls.__module__ == "ast" and not (getattr(cls, "_fields", True) or getattr(cls, "_attributes", True)):
        # An operator or context: one object for all trees, with notes of whoever walks them.
        return lambda pickler, obj: (cls, ())
    if _has(cls, "__call__"):
        return OutputPickler._reduce_callable
    if cls.__module__ == "typing":
        return OutputPickler._reduce_named
    return OutputPickler._reduce_instance if _needs_care(cls) else None


def _needs_care(cls: type) -> bool:
    """Whether instances go through :meth:`OutputPickler._reduce_instance`."""
    if cls in copyreg.dispatch_table:
        return False
    # While it restores, pickle asks the object for ``__setstate__``: a ``__getattr__`` answers before there is a state.
    # A dict may be its own attributes (``self.__dict__ = self``), which only shows on an instance.
    return not _has(cls, "__setstate__") and (
        _has(cls, "__getattr__") or (issubclass(cls, dict) and cls.__dictoffset__ != 0) or bool(_hidden_slots(cls))
    )


def _hidden_slots(cls: type) -> list[str]:
    """Slots behind a derived class's attributes of that name: pickle would make attributes of the instance of them."""
    if any("__getstate__" in vars(base) for base in cls.__mro__[:-1]):
        return []
    names: list[str] = copyreg._slotnames(cls)  # type: ignore[attr-defined]
    found = [next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None) for name in names]
    return [name for name, slot in zip(names, found, strict=True) if not isinstance(slot, types.MemberDescriptorType)]


def _refuse_layer(layer: Any, kinds: tuple[type, ...]) -> None:
    """A file over something else (gzip, a socket) or over a part that is closed in its own way cannot be made again."""
    if type(layer) not in kinds or (isinstance(layer, _BUFFERED) and type(layer.raw) is not io.FileIO):
        raise pickle.PicklingError(f"cannot pickle a closed file over a {type(layer).__name__}")


def _has(cls: type, name: str) -> bool:
    return any(name in vars(base) for base in cls.__mro__)


def _as_new_class(cls: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What cloudpickle makes of a class, corrected in two places."""
    maker, arguments, state, *rest = reduced
    # The tracker would hand out an older class of this process, where a run makes a new one.
    *first, _tracker, extra = arguments
    if maker is internals._make_skeleton_class:
        first[-1] = {**first[-1], "__qualname__": cls.__qualname__}
    # typing.NamedTuple, run again for a restored class, forbids slots and sets its own.
    slots = None if issubclass(cls, tuple) else vars(cls).get("__slots__")
    if maker is internals._make_skeleton_class and isinstance(slots, (str, tuple, list, dict)):
        # Slots only work when they are there from the start; cloudpickle sets them on a class that has none.
        first[-1]["__slots__"] = slots
        attributes = {
            name: value
            for name, value in state[0].items()
            if name != "__slots__" and not isinstance(value, types.MemberDescriptorType)
        }
        state = (attributes, *state[1:])
    return maker, (*first, None, extra), state, *rest


def _has_own_name(obj: object) -> bool:
    return isinstance(getattr(obj, "__name__", None), str)


def _importable(obj: Any) -> bool:
    """Whether importing by module and qualified name leads to ``obj`` in any process."""
    name, path = obj.__module__, obj.__qualname__
    if name in _MAINS or not isinstance(name, str):
        return False
    found: object = sys.modules.get(name)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found is obj
