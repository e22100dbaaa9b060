"""Definitions as values: as they were left, without running them again.

A class that a run made has told its metaclass, its bases (``__init_subclass__``) and its attributes
(``__set_name__``), and what they did about it is in what they are now. So a restore makes the bare class and
puts its attributes on it: a registry has each class once. Hooks of libraries are another matter: what they keep
is not among the outputs, so they are called again, by cloudpickle's way of making a class.
"""

from __future__ import annotations

import abc
import enum
import gc
import sys
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

from blockcache.codec import rebuild

IsLibrary = Callable[[types.ModuleType], bool]

_HEAP = 1 << 9  # a class made by a class statement
_PLAIN_METACLASSES = (type, abc.ABCMeta, type(typing.Protocol))
_HOOKS_OF_NO_EFFECT = (object, typing.Generic, typing.Protocol)
# Known from the start; the rest is filled in. Setting `__module__` later would drop where the class stands, and
# `typing.Generic`, which is written in C from 3.12 on and always told, asks for its arguments.
_FIRST = ("__module__", "__qualname__", "__firstlineno__", "__static_attributes__", "__slots__", "__orig_bases__")
_NOT_KEPT = ("__slotnames__", "_abc_impl")


def reduce_class(cls: Any, is_library: IsLibrary) -> tuple[Any, ...] | None:
    """How a class of the program is saved; None where a library has a say in how it is made."""
    if issubclass(cls, enum.Enum) or not _is_made_by_program(cls, is_library):
        return None
    attributes = {
        name: value
        for name, value in vars(cls).items()
        if name not in _NOT_KEPT and not (isinstance(value, _SLOTS) and value.__objclass__ is cls)
    }
    slots = attributes.get("__slots__", ())
    if not isinstance(slots, (str, tuple, list, dict)):  # an iterator, used up
        return None
    first = {name: attributes.pop(name) for name in _FIRST if name in attributes} | {"__qualname__": cls.__qualname__}
    registered = None
    if isinstance(cls, abc.ABCMeta):
        registered = [found for ref in abc._get_dump(cls)[0] if (found := ref()) is not None]  # type: ignore[attr-defined]
    return (
        rebuild.make_class,
        (type(cls), cls.__name__, cls.__bases__, first),
        (attributes, registered),
        None,
        None,
        rebuild.set_class,
    )


_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)


def _is_made_by_program(cls: type, is_library: IsLibrary) -> bool:
    kinds: list[Any] = [
        kind for kind in type.mro(type(cls)) if kind not in _PLAIN_METACLASSES and issubclass(kind, type)
    ]
    if any(not int(kind.__flags__) & _HEAP or _of_library(kind, is_library) for kind in kinds):
        return False
    hooks = [base for base in cls.__mro__[1:] if "__init_subclass__" in vars(base) and base not in _HOOKS_OF_NO_EFFECT]
    return not hooks or not all(_of_library(base, is_library) for base in hooks)


def _of_library(cls: type, is_library: IsLibrary) -> bool:
    module = sys.modules.get(cls.__module__)
    return module is not None and is_library(module)


def reduce_method(method: Any, _home: str | None) -> tuple[Any, ...]:
    """A ``classmethod`` or ``staticmethod``."""
    state = (method.__func__, dict(vars(method)))
    return rebuild.make_method, (type(method),), state, None, None, rebuild.set_method


def reduce_type_parameter(parameter: Any, home: str | None) -> Any:
    """A ``TypeVar``, ``ParamSpec`` or ``TypeVarTuple``, of a generic definition or called for."""
    if _is_there(parameter, home):
        return NotImplemented
    options: dict[str, Any] = {}
    if not isinstance(parameter, typing.TypeVarTuple):
        options = {"bound": parameter.__bound__}
        options |= {n: getattr(parameter, f"__{n}__") for n in ("covariant", "contravariant")}
        options["infer_variance"] = getattr(parameter, "__infer_variance__", False)
    options = {name: value for name, value in options.items() if value}
    if sys.version_info >= (3, 13) and parameter.has_default():
        options["default"] = parameter.__default__
    constraints = getattr(parameter, "__constraints__", ())
    arguments = (type(parameter).__name__, parameter.__name__, parameter.__module__, constraints, options)
    return rebuild.make_type_parameter, arguments


def reduce_type_alias(alias: Any, home: str | None) -> Any:
    """What a ``type`` statement binds; its value is evaluated for that."""
    if _is_there(alias, home):
        return NotImplemented
    return rebuild.make_type_alias, (alias.__module__, alias.__name__, alias.__type_params__, [alias.__value__])


def reduce_new_type(new: typing.NewType, home: str | None) -> Any:
    """A ``typing.NewType``."""
    if _is_there(new, home):
        return NotImplemented
    return rebuild.make_new_type, (new.__name__, new.__supertype__), vars(new), None, None, rebuild.set_attributes


def _is_there(obj: Any, home: str | None) -> bool:
    """Whether a module other than the block's has it under its name."""
    module = sys.modules.get(obj.__module__ or "")
    return module is not None and obj.__module__ not in (*_MAINS, home) and vars(module).get(obj.__name__) is obj


_MAINS = ("__main__", "__mp_main__")


def reduce_reference(reference: Any, _home: str | None) -> Any:
    """A weak reference without a callback."""
    if reference.__callback__ is not None:
        return NotImplemented
    target: object = reference()
    return rebuild.make_reference, () if target is None else (target,)


def reduce_weak_mapping(mapping: Any, _home: str | None) -> tuple[Any, ...]:
    """A ``WeakKeyDictionary`` or ``WeakValueDictionary`` by what is in it."""
    return type(mapping), (), None, None, iter(list(mapping.items()))


def reduce_weak_set(found: weakref.WeakSet[Any], _home: str | None) -> tuple[Any, ...]:
    """A ``WeakSet`` by what is in it."""
    return weakref.WeakSet, (list(found),)


def reduce_proxy(proxy: Any, _home: str | None) -> tuple[Any, ...]:
    """A read-only view of a mapping."""
    (mapping,) = gc.get_referents(proxy)
    return types.MappingProxyType, (mapping,)


def with_links(error: BaseException, reduced: Any) -> Any:
    """How an exception is saved, with the exceptions that it was raised from or beside."""
    links = (error.__cause__, error.__context__, error.__suppress_context__)
    if links == (None, None, False):
        return NotImplemented if reduced is None else reduced
    reduced = error.__reduce_ex__(5) if reduced is None else reduced
    if not isinstance(reduced, tuple) or any(reduced[3:5]):
        return reduced
    make, arguments, state = (*reduced, None)[:3]
    return make, arguments, (state, *links), None, None, rebuild.set_exception


def reduce_descriptor(descriptor: Any, _home: str | None) -> Any:
    """A slot, or what stands for ``__dict__`` in a class: asking the class for that gives something else."""
    owner, name = descriptor.__objclass__, descriptor.__name__
    return (rebuild.attribute_of, (owner, name)) if vars(owner).get(name) is descriptor else NotImplemented


#: For :mod:`blockcache.codec.pickler`: how instances of these are reduced, for a block in the module of a name.
REDUCERS: dict[type, Callable[[Any, str | None], Any]] = {
    classmethod: reduce_method,
    staticmethod: reduce_method,
    **dict.fromkeys((typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple), reduce_type_parameter),
    weakref.ref: reduce_reference,
    weakref.WeakKeyDictionary: reduce_weak_mapping,
    weakref.WeakValueDictionary: reduce_weak_mapping,
    weakref.WeakSet: reduce_weak_set,
    types.MappingProxyType: reduce_proxy,
    **dict.fromkeys((types.MemberDescriptorType, types.GetSetDescriptorType), reduce_descriptor),
}
if sys.version_info >= (3, 12):
    REDUCERS[typing.TypeAliasType] = reduce_type_alias
