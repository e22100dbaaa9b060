"""Rules for types of the standard library whose own pickle is missing, unstable or tells too little."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from blockcache.fingerprint.registry import Refused, Rule


def _added(value: object, owner: str) -> object:
    """Attributes and slots that subclasses add to a type of the module ``owner``."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        if kind.__module__.partition(".")[0] == owner:
            break
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            hidden = slot.startswith("__") and not slot.endswith("__")
            name = f"_{kind.__name__.lstrip('_')}{slot}" if hidden else slot
            if hasattr(value, name):
                found[name] = getattr(value, name)
    found.pop("__dict__", None)
    return found or None


def _set(value: Any) -> object:
    # set.__reduce__ lists the elements in hash order.
    reduction: Any = type(value).__reduce__
    if reduction not in (set.__reduce__, frozenset.__reduce__):
        raise Refused("a set class with a reduction of its own: give it a method __fingerprint__")
    return frozenset(value), _added(value, "builtins")


def _enum(value: Any) -> object:
    return value._name_, value._value_, {n: v for n, v in vars(value).items() if not n.startswith("_")} or None


def _path(value: Any) -> object:
    # A path caches its parts, and its pickle on 3.13 tells how it was put together.
    return str(value), _added(value, "pathlib")


def _pattern(value: Any) -> object:
    return value.pattern, value.flags


def _zone(value: Any) -> object:
    if value.key is None:
        raise Refused("a time zone without a name")
    return value.key


def _type_variable(value: Any) -> object:
    return value.__name__, value.__bound__, value.__constraints__, value.__covariant__, value.__contravariant__


def _memoryview(value: memoryview) -> object:
    return value.format, value.shape, value.tobytes()


def _partial(value: Any) -> object:
    # Asking for its ``__dict__`` would make one.
    return value.func, value.args, value.keywords, value.__reduce__()[2][3] or None


def _cell(value: types.CellType) -> object:
    try:
        return (value.cell_contents,)
    except ValueError:
        return ()


def _bound_to(value: Any) -> object:
    return value.__self__, value.__name__


def _member_of(value: Any) -> object:
    return value.__objclass__, value.__name__


def _context_variable(value: Any) -> object:
    try:
        return value.name, value.get()
    except LookupError:  # neither set nor a default
        return (value.name,)


def _listed(value: Any) -> object:
    return list(value)


def _refuse(reason: str) -> Rule:
    def rule(_value: object) -> object:
        raise Refused(reason)

    return rule


#: ``module.qualname``, the module without what follows its first dot.
RULES: Mapping[str, Rule] = {
    # Each is one object for all syntax trees, and whoever walks them leaves notes on it.
    **dict.fromkeys(
        (f"ast.{n}" for n in ("boolop", "cmpop", "expr_context", "operator", "unaryop")), lambda _value: ()
    ),
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "builtins.memoryview": _memoryview,
    "typing.TypeVar": _type_variable,
    "builtins.mappingproxy": dict,
    "builtins.staticmethod": lambda value: value.__func__,
    "builtins.classmethod": lambda value: value.__func__,
    "builtins.property": lambda value: (value.fget, value.fset, value.fdel, value.__doc__),
    "builtins.method-wrapper": _bound_to,
    "builtins.method_descriptor": _member_of,
    "builtins.wrapper_descriptor": _member_of,
    "builtins.classmethod_descriptor": _member_of,
    "builtins.getset_descriptor": _member_of,
    "builtins.member_descriptor": _member_of,
    "builtins.cell": _cell,
    "builtins.dict_keys": _listed,
    "builtins.dict_values": _listed,
    "builtins.dict_items": _listed,
    "builtins.odict_keys": _listed,
    "builtins.odict_values": _listed,
    "builtins.odict_items": _listed,
    "_contextvars.ContextVar": _context_variable,
    "_thread._local": lambda value: dict(vars(value)),
    "ctypes.CDLL": _refuse("a loaded library"),
    "enum.Enum": _enum,
    "functools.partial": _partial,
    "functools.cached_property": lambda value: (value.func, value.attrname),
    "functools.singledispatchmethod": lambda value: (value.func, dict(value.dispatcher.registry)),
    # A logger is known by its name and does not influence results.
    "logging.Logger": lambda value: value.name,
    "pathlib.PurePath": _path,
    "re.Pattern": _pattern,
    "zoneinfo.ZoneInfo": _zone,
}


def _is_iterator_of_python(kind: type) -> bool:
    return hasattr(kind, "__next__") and kind.__module__ in ("builtins", "itertools")


def standard_rule(kind: type) -> Rule | None:
    """The rule of ``kind``, or of the nearest of its bases that has one."""
    for base in kind.__mro__:
        rule = RULES.get(f"{str(base.__module__).partition('.')[0]}.{base.__qualname__}")
        if rule is not None:
            return rule
        if _is_iterator_of_python(base):
            return _refuse("an iterator is used up by reading it")
    return None
