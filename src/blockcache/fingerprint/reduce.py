"""What stands for a value in its fingerprint: canonical reductions, the same in every process."""

from __future__ import annotations

import copyreg
import functools
import sys
import types
from collections.abc import Callable
from typing import Any

from blockcache.fingerprint import modules
from blockcache.fingerprint.registry import As, Refused, Rule, rule_for
from blockcache.fingerprint.standard import standard_rule

Label = Callable[[object], str | None]
#: As returned by ``__reduce_ex__``: a global name, or a tuple of up to six parts.
Reduction = str | tuple[Any, ...]

MOST_MET = _MOST_KEPT = 10_000  # a list of a million numpy numbers must not be held as many times over
_NOBODY = object()
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def stands_for(*_content: object) -> None:
    """Mark content that stands for a value: the callable of every canonical reduction, never called."""


def global_generator(owner: object) -> str:
    """The module whose functions are the methods of the generator ``owner``; "" of any other object."""
    for module, attribute in (("random", "_inst"), ("numpy.random.mtrand", "_rand")):
        if owner is getattr(sys.modules.get(module), attribute, _NOBODY):
            return module.removesuffix(".mtrand")
    return ""


class Reducer:
    """Reductions of the values met while one fingerprint is taken.

    Parameters
    ----------
    label
        Text for definitions (functions, classes, modules), or None for those that a
        reference by module and qualified name is enough for.
    ignored
        Types whose instances count by their type only.

    Attributes
    ----------
    content_of
        The digest of an attribute that its object leaves out when it is pickled, None where it has none; None where
        such attributes do not count.
    met
        Where a list: the objects that were reduced, up to :data:`MOST_MET`, and what stands for each.
    """

    def __init__(self, label: Label | None, ignored: tuple[type, ...] = ()) -> None:
        self.label = label
        self.ignored = ignored
        self.content_of: Callable[[object], str | None] | None = None
        self.met: list[tuple[object, Reduction]] | None = None
        self._rules: dict[type, Callable[[Any], Reduction]] = {}
        # Keyed by identity, which holds while the object is kept beside it.
        self._names: dict[int, tuple[object, tuple[str, ...]]] = {}
        self._contents: dict[int, tuple[object, Reduction]] = {}

    def reduce(self, value: object) -> Reduction:
        """The canonical reduction of ``value``.

        Raises
        ------
        Refused
            When it has no content that can be fingerprinted.
        """
        if value is stands_for:
            return "stands_for"
        kind = type(value)
        rule = self._rules.get(kind)
        if rule is None:
            rule = self._rules[kind] = self._choose(kind)
        reduced = rule(value)
        if self.met is not None and len(self.met) < MOST_MET:
            self.met.append((value, reduced))
        return reduced

    def _choose(self, kind: type) -> Callable[[Any], Reduction]:
        if issubclass(kind, self.ignored):
            return lambda value: (stands_for, ("ignored", kind.__qualname__))
        if issubclass(kind, type) or kind in _DEFINITIONS or kind.__name__ == "cython_function_or_method":
            return self._reference
        if kind is types.BuiltinFunctionType:
            return self._builtin
        if kind is types.MethodType:
            return self._method
        if kind is functools._lru_cache_wrapper:
            return self._lru_cache
        if getattr(kind, "__fingerprint__", None) is not None:
            return lambda value: (stands_for, (self.name_of(kind), value.__fingerprint__()))
        rule = rule_for(kind)
        if rule is not None:
            return self._by_library(kind, rule)
        rule = standard_rule(kind)
        if rule is not None:
            return lambda value: (stands_for, (self.name_of(kind), rule(value)))
        module = sys.modules.get(kind.__module__)
        if module is not None and modules.is_library(module):
            return self._said_reduction if hasattr(kind, "__setstate__") else self._own_reduction
        return self._whole_reduction if self.content_of is not None and _says_itself(kind) else self._own_reduction

    def _whole_reduction(self, value: object) -> Reduction:
        """Of the program's class that says itself what is pickled: code reads what that leaves out all the same."""
        reduced = self._own_reduction(value)
        state = reduced[2] if len(reduced) > 2 else None
        said: dict[str, object] = {}
        for part in state if type(state) is tuple else (state,):
            if type(part) is dict:
                said.update(part)
        assert self.content_of is not None
        found = {
            name: content
            for name, held in sorted(_attributes(value).items())
            if said.get(name, _NOBODY) is not held and (content := self.content_of(held)) is not None
        }
        if not found:
            return reduced
        return (*reduced[:2], ("left out", found, *(state if type(state) is tuple else (state,))), *reduced[3:])

    def _said_reduction(self, value: object) -> Reduction:
        """Of a library's class that puts its state back itself: in which order the attributes are then is chance."""
        reduced = self._own_reduction(value)
        if len(reduced) > 2 and type(reduced[2]) is dict and set(map(type, reduced[2])) == {str}:
            return (*reduced[:2], dict(sorted(reduced[2].items())), *reduced[3:])
        return reduced

    def _by_library(self, kind: type, rule: Rule) -> Callable[[Any], Reduction]:
        def reduce(value: object) -> Reduction:
            known = self._contents.get(id(value))
            if known is not None:
                return known[1]
            content = rule(value)
            if not isinstance(content, As):
                content = As(kind, content)
            reduced = stands_for, (self.name_of(content.kind), content.content)
            if len(self._contents) < _MOST_KEPT:
                # A second look (a second pass, another reference) must not digest a large array again.
                self._contents[id(value)] = (value, reduced)
            return reduced

        return reduce

    def _builtin(self, value: types.BuiltinFunctionType) -> Reduction:
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return self._reference(value)
        return stands_for, ("builtin method", owner, value.__name__)

    def _method(self, value: types.MethodType) -> Reduction:
        # The state of a global generator counts when the body draws, see generators.py.
        owner = global_generator(value.__self__) or value.__self__
        return stands_for, (self.name_of(types.MethodType), (value.__func__, owner))

    def _lru_cache(self, value: Any) -> Reduction:
        wrapped = value.__wrapped__
        if isinstance(wrapped, types.FunctionType):
            try:
                wrapped = self.name_of(wrapped)
            except Refused:
                # A decorated function of a module: its name gives the wrapper, not the function.
                wrapped = self.name_of(value)
        return stands_for, ("lru_cache", wrapped, value.cache_parameters())

    def _reference(self, value: Any) -> Reduction:
        return stands_for, self.name_of(value)

    def name_of(self, definition: Any) -> tuple[str, ...]:
        """What a function, class or module is known by."""
        known = self._names.get(id(definition))
        if known is None:
            text = self.label(definition) if self.label is not None else None
            name = ("label", text) if text is not None else ("reference", *_address(definition))
            known = self._names[id(definition)] = (definition, name)
        return known[1]

    def _own_reduction(self, value: object) -> Reduction:
        # Libraries register exceptions to carry tracebacks along (tblib, below dask), which are no content.
        register = None if isinstance(value, BaseException) else copyreg.dispatch_table.get(type(value))
        reduced: Any = register(value) if register is not None else value.__reduce_ex__(5)
        if isinstance(reduced, str):
            # A singleton, or something that is known by its name only.
            return stands_for, ("name", self.name_of(type(value)), *_named(value, reduced))
        _refuse_own_address(value, reduced)
        if len(reduced) == 3 and type(reduced[2]) is dict and not reduced[2]:
            reduced = reduced[:2]  # an exception whose attributes somebody has merely looked at
        if isinstance(value, BaseException) and value.__cause__ is not None:
            reduced = (*reduced[:2], (reduced[2] if len(reduced) > 2 else None, value.__cause__))
        make, args, *state = reduced
        if getattr(make, "__name__", None) == "__newobj__":
            return stands_for, (self.name_of(args[0]), *args[1:]), *state
        return tuple(reduced)


def _says_itself(kind: type) -> bool:
    """Whether objects of a class are pickled in another way than by all their attributes and slots."""
    ways = ("__reduce_ex__", "__reduce__", "__getstate__")
    own = any(getattr(kind, name) is not getattr(object, name) for name in ways)
    return (own or kind in copyreg.dispatch_table) and not issubclass(kind, BaseException)


def _attributes(value: Any) -> dict[str, object]:
    try:
        found = dict(object.__getattribute__(value, "__dict__"))
    except (AttributeError, TypeError):
        found = {}
    for name in copyreg._slotnames(type(value)):  # type: ignore[attr-defined]
        try:
            found[name] = object.__getattribute__(value, name)
        except AttributeError:
            continue
    return found


_DEFINITIONS = (types.FunctionType, types.ModuleType)


def _address(value: Any) -> tuple[str, ...]:
    """Module and qualified name, when importing them gives ``value`` again in any process."""
    if isinstance(value, types.ModuleType):
        if sys.modules.get(value.__name__) is not value or value.__name__ == "__main__":
            raise Refused(f"module {value.__name__} that cannot be imported by its name")
        return ("module", value.__name__)
    if isinstance(value, type) and not value.__flags__ & _HEAP_TYPE:
        # Types written in C cannot differ under one name; many of builtins are not bound to theirs.
        return (value.__module__, value.__qualname__)
    return _named(value, value.__qualname__)


def _named(value: Any, name: str) -> tuple[str, ...]:
    owner = getattr(value, "__module__", None)
    if owner is None:
        owner = getattr(getattr(value, "__self__", None), "__name__", None) or type(value).__module__
    found: Any = sys.modules.get(owner)
    if owner != "__main__":
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is value:
            return (owner, name)
    raise Refused(f"{owner}.{name} cannot be imported by its name")


def _refuse_own_address(value: object, reduced: tuple[Any, ...]) -> None:
    """An address differs in every process, so what embeds its own would never be equal again."""
    address = id(value)
    state = reduced[2] if len(reduced) > 2 else None
    for parts in (reduced[1], state.values() if type(state) is dict else ()):
        for part in parts:
            if type(part) is int:
                if part == address:
                    raise Refused("its reduction holds its own address")
            elif type(part) is str and "0x" in part and f"{address:x}" in part:
                raise Refused("its reduction holds its own address")
