"""Objects that can be changed in place: what they hold, whether it changed, putting contents into one that exists."""

from __future__ import annotations

import collections
import copyreg
import functools
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from blockcache.fingerprint import modules
from blockcache.fingerprint.plain import PLAIN
from blockcache.fingerprint.registry import rule_in

#: One step from an object to a part of it, as it stands in an entry.
Step = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """One of the things that an object is: its items, its attributes, its slots.

    Attributes
    ----------
    name
        As it stands in an entry.
    contents
        A shallow copy that can be pickled.
    parts
        The objects in it with the steps that lead to them; empty where a digest tells of the whole.
    held
        All objects in it, in order: it changed when they are not the same objects any more. None where a digest
        tells.
    put
        Puts contents into an object; None where nothing can be put.
    ready
        Whether contents can be put into an object as it is now.
    watched
        Whether it can change at all.
    still
        More objects in it, of which nothing is watched: results may hold them, and nobody changes them.
    digested
        What the digest is of, where the object itself has no content.
    """

    name: str
    contents: Callable[[Any], Any]
    parts: Callable[[Any], Iterable[tuple[Step, object]]] = lambda _: ()
    held: Callable[[Any], list[object] | None] = lambda _: None
    put: Callable[[Any, Any], None] | None = None
    ready: Callable[[Any, Any], bool] = lambda _obj, _contents: True
    watched: bool = True
    still: Callable[[Any], Iterable[tuple[Step, object]]] = lambda _: ()
    digested: Callable[[Any], object] = lambda obj: obj


# -- items of containers -------------------------------------------------------------------


def _numbered(items: Any) -> Iterable[tuple[Step, object]]:
    return ((("at", i), item) for i, item in enumerate(items))


def _mapped(items: Mapping[Any, Any]) -> Iterable[tuple[Step, object]]:
    for i, (key, value) in enumerate(items.items()):
        if type(key) in PLAIN:
            yield ("item", key), value
        else:
            yield ("key", i), key
            yield ("value", i), value


def _pairs(items: Mapping[Any, Any]) -> list[object]:
    return [x for pair in items.items() for x in pair]


def _put_list(obj: Any, contents: list[object]) -> None:
    list.__setitem__(obj, slice(None), contents)


def _put_dict(obj: Any, contents: list[tuple[object, object]]) -> None:
    dict.clear(obj)
    dict.update(obj, contents)


def _put_ordered(obj: Any, contents: list[tuple[object, object]]) -> None:
    collections.OrderedDict.clear(obj)
    for key, value in contents:
        collections.OrderedDict.__setitem__(obj, key, value)


def _put_set(obj: Any, contents: list[object]) -> None:
    set.clear(obj)
    set.update(obj, contents)


def _put_deque(obj: Any, contents: list[object]) -> None:
    deque.clear(obj)
    deque.extend(obj, contents)


def _dict_items(obj: Any) -> list[tuple[object, object]]:
    return list(dict.items(obj))


def _in_order(obj: Any) -> list[object]:
    # The same set lists its elements in the same order as long as it is not changed.
    return list(set.__iter__(obj))


#: By the builtin type that a class is derived from.
_ITEMS: dict[type, Layer] = {
    list: Layer("items", list, _numbered, list, _put_list),
    dict: Layer("items", _dict_items, _mapped, _pairs, _put_dict),
    collections.defaultdict: Layer("items", _dict_items, _mapped, _pairs, _put_dict),
    collections.OrderedDict: Layer("items", lambda o: list(o.items()), _mapped, _pairs, _put_ordered),
    set: Layer("items", _in_order, lambda _: (), _in_order, _put_set),
    deque: Layer("items", list, _numbered, list, _put_deque),
    tuple: Layer("items", tuple, _numbered, watched=False),
}


# -- attributes ----------------------------------------------------------------------------


def _put_attributes(obj: Any, contents: dict[str, object]) -> None:
    own = obj.__dict__
    own.clear()
    own.update(contents)


def _own(obj: Any) -> dict[str, object]:
    found: dict[str, object] = object.__getattribute__(obj, "__dict__")
    return found


def _state(obj: Any) -> tuple[object, tuple[str, ...]]:
    return obj.__getstate__(), tuple(_own(obj))


def put_state(obj: Any, contents: tuple[Any, tuple[str, ...]]) -> None:
    """Put what an object says itself of its state into one that exists."""
    state, names = contents
    own = _own(obj)
    for name in own.keys() - set(names):
        del own[name]
    if hasattr(type(obj), "__setstate__"):
        obj.__setstate__(state)
    else:
        own.update(state[0] if type(state) is tuple else state)


#: Of an object whose attributes are all that it is.
ATTRIBUTES = Layer(
    "attributes",
    lambda obj: dict(_own(obj)),
    lambda obj: ((("attribute", name), value) for name, value in list(_own(obj).items())),
    lambda obj: _pairs(_own(obj)),
    _put_attributes,
)


def _of_weak(value: object) -> bool:
    """A dict of weak references, which an object keeps of those that hold it; what is saved of it is another."""
    return type(value) is dict and any(isinstance(part, weakref.ref) for part in value.values())


def _state_parts(obj: Any) -> Iterable[tuple[Step, object]]:
    return ((("attribute", name), value) for name, value in list(_own(obj).items()) if not _of_weak(value))


def _state_held(obj: Any) -> list[object]:
    own: Any = _own(obj)
    return _pairs(own) + [part for value in own.values() if _of_weak(value) for part in _pairs(value)]


def own_state(put: Callable[[Any, Any], None] = put_state) -> Layer:
    """Of a library's class that says itself what is saved of it: raw attributes may mean nothing in another process."""
    return Layer("state", _state, _state_parts, _state_held, put)


_STATE = own_state()


def _slots(cls: type) -> Layer | None:
    members = [
        (f"{k}.{name}", member)
        for k, base in enumerate(cls.__mro__)
        for name, member in vars(base).items()
        if isinstance(member, types.MemberDescriptorType) and member.__objclass__ is base and "__slots__" in vars(base)
    ]
    if not members:
        return None

    def found(obj: Any) -> dict[str, object]:
        values = {}
        for name, member in members:
            try:
                values[name] = member.__get__(obj)
            except AttributeError:
                continue
        return values

    def put(obj: Any, contents: dict[str, object]) -> None:
        for name, member in members:
            if name in contents:
                member.__set__(obj, contents[name])
            elif name in found(obj):
                member.__delete__(obj)

    return Layer(
        "slots",
        found,
        lambda obj: ((("slot", name), value) for name, value in found(obj).items()),
        lambda obj: _pairs(found(obj)),
        put,
    )


# -- objects that a digest tells of --------------------------------------------------------


def _put_bytes(obj: bytearray, contents: bytes) -> None:
    obj[:] = contents


def _stream(obj: Any) -> tuple[Any, int] | None:
    return None if obj.closed else (obj.getvalue(), obj.tell())


def _put_stream(obj: Any, contents: tuple[Any, int] | None) -> None:
    if contents is None:
        obj.close()
        return
    obj.seek(0)
    obj.truncate()
    obj.write(contents[0])
    obj.seek(contents[1])


def _put_array(obj: Any, contents: Any) -> None:
    obj[:] = contents


#: By ``module.qualname``.
_LEAVES: dict[str, Layer] = {
    "builtins.bytearray": Layer("bytes", bytes, put=_put_bytes),
    "array.array": Layer("items", lambda o: o[:], put=_put_array),
    "_io.BytesIO": Layer("stream", _stream, put=_put_stream, ready=lambda o, _: not o.closed),
    "_io.StringIO": Layer("stream", _stream, put=_put_stream, ready=lambda o, _: not o.closed),
    "random.Random": Layer("state", lambda o: o.getstate(), put=lambda o, c: o.setstate(c)),
}


def _put_args(error: BaseException, contents: list[object]) -> None:
    error.args = tuple(contents)


_RAISED = Layer("args", lambda e: list(e.args), held=lambda e: list(e.args), put=_put_args)


# -- which of them a class has ------------------------------------------------------------------

#: Nothing in them changes, or what does is no result.
_FIXED = frozenset(
    {
        *PLAIN,
        range,
        slice,
        type(Ellipsis),
        type(NotImplemented),
        frozenset,
        memoryview,
        type,
        types.FunctionType,
        types.ModuleType,
        types.CodeType,
        types.MappingProxyType,
        types.WrapperDescriptorType,
        types.MethodDescriptorType,
        types.ClassMethodDescriptorType,
        types.GetSetDescriptorType,
        types.MemberDescriptorType,
        types.GenericAlias,
    }
)
_FIXED_MODULES = frozenset({"_decimal", "_thread", "datetime", "decimal", "fractions", "logging", "pathlib", "pyarrow"})
#: One object for all syntax trees of a process: what `executing` notes on it leads anywhere.
_FIXED_BASES = frozenset({"ast.boolop", "ast.cmpop", "ast.expr_context", "ast.operator", "ast.unaryop"})
_FIXED_MODULES |= {"_threading_local", "re", "threading", "typing", "uuid", "weakref", "_weakref", "zoneinfo"}

_bound_method = Layer(
    "owner", lambda o: o.__self__, lambda o: [(("attribute of", "__self__"), o.__self__)], watched=False
)
_partial = Layer(
    "call",
    lambda o: (o.func, o.args, o.keywords),
    lambda o: [(("attribute of", name), getattr(o, name)) for name in ("func", "args", "keywords")],
    watched=False,
)


# By identity: a metaclass may have a hash of its own.
_known: dict[int, tuple[weakref.ref[type], tuple[Layer, ...]]] = {}


def layers_of(cls: type) -> tuple[Layer, ...]:
    """What objects of a class are made of; empty where nothing in them changes or can be watched."""
    known = _known.get(id(cls))
    if known is not None and known[0]() is cls:
        return known[1]
    number, layers = id(cls), _layers_of(cls)
    _known[number] = weakref.ref(cls, lambda _: _known.pop(number, None)), layers
    return layers


def _layers_of(cls: type) -> tuple[Layer, ...]:
    if cls in _FIXED or issubclass(cls, (type, types.ModuleType)) or hasattr(cls, "_member_map_"):
        return ()  # the last are members of an enumeration
    if cls in (types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType):
        return (_bound_method,)
    if issubclass(cls, functools.partial):
        return (_partial,)
    for base in cls.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        if name in _FIXED_BASES:
            return ()
        found = _LEAVES.get(name)
        if found is None:
            found = rule_in(base, "IN_PLACE")
        if found is not None:
            # What a derived class adds is its attributes.
            own = base is not cls and cls.__dictoffset__ and not base.__dictoffset__
            return (found, ATTRIBUTES) if own else (found,)
    if issubclass(cls, BaseException):
        return _RAISED, ATTRIBUTES
    module = cls.__module__.partition(".")[0] if isinstance(cls.__module__, str) else ""
    if module in _FIXED_MODULES:
        return ()
    payload = next((base for base in cls.__mro__ if base in _ITEMS or base is object), object)
    if not _is_made_of(cls, payload):
        return (DIGEST, ATTRIBUTES) if cls.__dictoffset__ and _python_made(cls) else (DIGEST,)
    layers = [_ITEMS[payload]] if payload is not object else []
    if cls.__dictoffset__ and cls not in _ITEMS:
        layers.append(_STATE if _has_own_state(cls) else ATTRIBUTES)
    slots = _slots(cls)
    if slots is not None:
        layers.append(slots)
    return tuple(layers)


#: For rules of libraries: objects that never change.
FIXED = Layer("nothing", lambda _: None, watched=False)
#: An object of a kind that is not known: a digest tells whether it changed, and nothing can be put into it.
DIGEST = Layer("content", lambda obj: obj)

_INLINE_DICT = 1 << 4  # Py_TPFLAGS_MANAGED_DICT
_POINTER = 8


def _is_made_of(cls: type, payload: type) -> bool:
    """Whether objects of ``cls`` are a ``payload`` with attributes and slots, and nothing in C beside."""
    size = payload.__basicsize__
    if cls.__dictoffset__ and not payload.__dictoffset__ and not cls.__flags__ & _INLINE_DICT:
        size += _POINTER
    if cls.__weakrefoffset__ > 0 and not payload.__weakrefoffset__:
        size += _POINTER
    slots: list[str] = copyreg._slotnames(cls)  # type: ignore[attr-defined]
    return cls.__basicsize__ <= size + _POINTER * len(slots) and cls.__itemsize__ == payload.__itemsize__


def _has_own_state(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    return (
        getattr(cls, "__getstate__", None) is not getattr(object, "__getstate__", None)
        and module is not None
        and modules.origin_of_module(module) != "local"
    )


def _python_made(cls: type) -> bool:
    return bool(cls.__flags__ & (1 << 9))  # Py_TPFLAGS_HEAPTYPE


def part(obj: Any, step: Step) -> object:
    """The part that a step leads to.

    Raises
    ------
    LookupError, AttributeError, TypeError
        When there is no such part.
    """
    kind, what = step
    if kind == "at":
        return obj[what] if isinstance(obj, (list, tuple, deque)) else obj.flat[what]
    if kind == "item":
        return dict.__getitem__(obj, what)
    if kind == "key":
        return next(islice(dict.keys(obj), what, None))
    if kind == "value":
        return next(islice(dict.values(obj), what, None))
    if kind == "attribute":
        return _own(obj)[what]
    if kind == "slot":
        number, _, name = what.partition(".")
        return vars(type(obj).__mro__[int(number)])[name].__get__(obj)
    if kind == "attribute of":
        return getattr(obj, what)
    raise LookupError(step)
