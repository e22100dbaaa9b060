"""What the value that a name has now tells about the steps that used it: can it change, what does its code touch?"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from blockcache.analysis.slices import ANYTHING, UNKNOWN, Now
from blockcache.fingerprint import modules
from blockcache.fingerprint.code import DYNAMIC, OPAQUE_ATTRIBUTES, facts

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis)})
#: Plain types of the standard library, looked at only when their module is loaded.
_PLAIN_OF = {
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "pathlib": ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"),
    "re": ("Pattern",),
    "uuid": ("UUID",),
}
_BUILTIN = Now(fixed=True, settled=True, builtin=True)
_FUNCTIONS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
_MISSING = object()
_MOST_DEFINITIONS = 5_000


class Live:
    """Values of one scope as they are when the block begins.

    Parameters
    ----------
    value
        The value of a name; some object that is nobody's when it has none.
    home
        Globals of the scope's module.
    """

    def __init__(self, value: Callable[[str], object], home: Mapping[str, object]) -> None:
        self._value = value
        self._home = home
        self._known: dict[str, Now] = {}
        self._touched: dict[int, tuple[object, frozenset[str], frozenset[str]]] = {}
        self._modules = {id(v) for v in home.values() if isinstance(v, types.ModuleType)}

    def now(self, name: str) -> Now:
        """What is known of the value of ``name``."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._look(self._value(name)) if name.isidentifier() else UNKNOWN
        return known

    def is_settled(self, value: object) -> bool:
        """Whether a fingerprint says all of the value."""
        return self._look(value).settled

    def _look(self, value: object) -> Now:
        if is_plain(value) or is_given(value):
            return _BUILTIN
        if isinstance(value, types.ModuleType):
            if modules.origin_of_module(value) != "local":
                return Now(settled=True, shared=value.__name__.partition(".")[0])
            return self._with_code(value, clean=False)
        if isinstance(value, types.FunctionType):
            origin = modules.origin_of_file(value.__code__.co_filename)
            if origin != "local" and not value.__closure__:
                return Now(settled=True, shared=str(value.__module__).partition(".")[0])
            return self._with_code(value, clean=_is_clean_function(value))
        if isinstance(value, type):
            if _is_of_library(value):
                return Now(settled=True, shared=value.__module__.partition(".")[0])
            return self._with_code(value, clean=all(map(_is_clean_class, value.__mro__)))
        owners = (types.NoneType, types.ModuleType, type)
        if isinstance(value, _FUNCTIONS) and isinstance(getattr(value, "__self__", None), owners):
            owner = getattr(value, "__module__", None) or getattr(value, "__objclass__", type).__module__
            return Now(settled=True, shared=owner.partition(".")[0])
        if isinstance(value, types.MethodType):
            return self._with_code(value.__func__, clean=False)
        return self._with_code(type(value), clean=False) if not _is_of_library(type(value)) else UNKNOWN

    def _with_code(self, definition: object, *, clean: bool) -> Now:
        touches, binds = self._touches(definition)
        return Now(fixed=clean, settled=clean, touches=touches, binds=binds)

    # ------------------------------------------------------------------ what code touches

    def _touches(self, definition: object) -> tuple[frozenset[str], frozenset[str]]:
        """State that code reachable from a definition may use, and the part of it that it may bind."""
        known = self._touched.get(id(definition))
        if known is not None:
            return known[1:]
        touches: set[str] = set()
        binds: set[str] = set()
        seen: dict[int, object] = {}
        todo: list[object] = [definition]
        while todo:
            value = todo.pop()
            if id(value) in seen or len(seen) > _MOST_DEFINITIONS:
                continue
            seen[id(value)] = value
            if isinstance(value, (staticmethod, classmethod, types.MethodType)):
                todo.append(value.__func__)
            elif isinstance(value, property):
                todo += [part for part in (value.fget, value.fset, value.fdel) if part is not None]
            elif isinstance(value, types.FunctionType):
                if modules.origin_of_file(value.__code__.co_filename) == "local" or value.__closure__:
                    todo += self._of_function(value, touches, binds)
            elif isinstance(value, type) and not _is_of_library(value):
                todo += vars(value).values()
                todo += value.__bases__
            elif isinstance(value, types.ModuleType) and modules.origin_of_module(value) == "local":
                touches.add(f"module {value.__name__}")
                todo += [v for v in vars(value).values() if isinstance(v, (type, types.FunctionType))]
            elif getattr(value, "__wrapped__", None) is not None:
                todo.append(value.__wrapped__)  # type: ignore[attr-defined]
        result = frozenset(touches), frozenset(binds)
        self._touched[id(definition)] = (definition, *result)
        return result

    def _of_function(self, function: types.FunctionType, touches: set[str], binds: set[str]) -> list[object]:
        """Note the globals of one function; the definitions to go on with."""
        known = facts(function.__code__)
        namespace = function.__globals__
        at_home = namespace is self._home
        module = str(namespace.get("__name__"))
        if known.dynamic & (DYNAMIC | OPAQUE_ATTRIBUTES) - {"locals", "vars"}:
            touches.add(ANYTHING)
        further: list[object] = []
        for name in known.sets:
            touches.add(name if at_home else f"module {module}")
            if at_home:
                binds.add(name)
        for name in known.globals:
            value = namespace.get(name, _MISSING)
            if value is _MISSING and name in vars(builtins):
                continue
            if at_home:
                touches.add(name)
            if isinstance(value, (types.FunctionType, types.MethodType, type, types.ModuleType)):
                further.append(value)
            elif not at_home and (not is_plain(value) or id(sys.modules.get(module)) in self._modules):
                touches.add(f"module {module}")
                further.append(type(value))
        for cell in function.__closure__ or ():
            try:
                further.append(cell.cell_contents)
            except ValueError:  # not bound yet
                continue
        return [*further, *vars(function).values()]


def is_plain(value: Any) -> bool:
    """Whether a value can never change and has no parts that can."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is tuple or kind is frozenset:
        return len(value) <= 1_000 and all(map(is_plain, value))
    return kind.__qualname__ in _PLAIN_OF.get(kind.__module__.partition(".")[0], ())


def is_given(value: object) -> bool:
    """Whether a value is one of Python's own functions and types, or ours: a block holds nothing of the program."""
    named = getattr(value, "__name__", None)
    if isinstance(named, str) and value is vars(builtins).get(named, _MISSING):
        return True
    owner = value if isinstance(value, (type, types.FunctionType)) else type(value)
    name = value.__name__ if isinstance(value, types.ModuleType) else str(owner.__module__)
    return name.partition(".")[0] == "blockcache"


def _is_of_library(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    return module is not None and kind.__module__ != "__main__" and modules.origin_of_module(module) != "local"


def _is_clean_function(function: types.FunctionType) -> bool:
    """Whether a function holds nothing that can change."""
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return not function.__closure__ and not vars(function) and all(map(is_plain, defaults))


def _is_clean_class(kind: type) -> bool:
    """Whether a class holds nothing but functions: no data that its objects could share."""
    if _is_of_library(kind):
        return True
    for name, member in vars(kind).items():
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        if isinstance(member, types.FunctionType) and _is_clean_function(member):
            continue
        descriptors = (property, types.MemberDescriptorType, types.GetSetDescriptorType)
        if not isinstance(member, descriptors) and not (name.startswith("__") and name.endswith("__")):
            return False
    return type(kind) is type
