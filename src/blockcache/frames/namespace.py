"""The names of one frame, read and written while the frame is running."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from opcode import EXTENDED_ARG, opmap
from types import CodeType, FrameType
from typing import Any, NamedTuple

from blockcache.frames.entry import variable_name

_MISSING = object()
_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: the code of a function; importing inspect takes 20 ms


class Namespace:
    """The names that the code of one frame sees: locals and cells, then globals.

    Works for modules, functions, class bodies, `exec` with separate
    dictionaries, generators and coroutines. Builtins are not part of it.

    A name may be given as the source spells it or as the code object does:
    `__p` in the body of a class `C` and `_C__p` are the same name.

    It holds the frame: drop it when the block is left, or the frame's values
    live until the garbage collector runs.

    Parameters
    ----------
    frame
        A frame of the current thread that has not finished.
    """

    __slots__ = ("_frame", "_is_function", "globals")

    def __init__(self, frame: FrameType) -> None:
        self._frame = frame
        self._is_function = bool(frame.f_code.co_flags & _OPTIMIZED)
        self.globals: dict[str, Any] = frame.f_globals

    def get(self, name: str, default: object = None) -> Any:
        """The value of one name, or ``default`` when it is not bound."""
        return self.get_many((name,)).get(name, default)

    def get_many(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of those of ``names`` that are bound.

        Reading a function's names does not keep objects alive past their `del`,
        and does not refresh a dictionary that the program got from `locals()`.
        """
        spelled = {name: self.spelling(name) if name.startswith("__") else name for name in names}
        found: dict[str, Any] = {}
        beyond = self._read_locals(spelled, found)
        for name in beyond:
            value = self.globals.get(spelled[name], _MISSING)
            if value is not _MISSING:
                found[name] = value
        return found

    def assign(self, values: Mapping[str, object], deleted: Iterable[str] = ()) -> None:
        """Bind names as the frame's own code would, and unbind ``deleted``.

        Raises
        ------
        ValueError
            When ``deleted`` holds a variable of a function: the compiler relies
            on it staying bound.
        """
        layout = _layout(self._frame.f_code)
        # A class body and `exec` may have any mapping; for a module it is the globals.
        mapping = self.globals if self._is_function else self._frame.f_locals
        slots: dict[str, object] = {}
        for name, value in values.items():
            actual = self.spelling(name)
            if actual in layout.variables:
                slots[actual] = value
            elif actual in layout.declared:
                self.globals[actual] = value
            else:
                mapping[actual] = value
        if slots:
            _write_slots(self._frame, slots)
        for name in deleted:
            actual = self.spelling(name)
            if actual in layout.variables:
                raise ValueError(f"{name!r} is a variable of a function and cannot be unbound from outside")
            with suppress(KeyError):
                del (self.globals if actual in layout.declared else mapping)[actual]

    def names(self) -> set[str]:
        """All names that may be bound, but for those that Python binds by itself."""
        code = self._frame.f_code
        own = (*code.co_varnames, *code.co_cellvars, *code.co_freevars) if self._is_function else self._frame.f_locals
        return {name for name in own if not name.startswith("__")}

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Names as the namespace lists them; those of a function by the alphabet."""
        listed = () if self._is_function else self._frame.f_locals
        place = {name: number for number, name in enumerate(listed)}
        return sorted(names, key=lambda name: (place.get(self.spelling(name), len(place)), name))

    def annotations(self, names: Iterable[str]) -> dict[str, Any]:
        """Annotations of ``names`` in a module; other namespaces have none that could be found again."""
        found = self.globals.get("__annotations__", {}) if self.is_module else {}
        return {name: found[name] for name in names if name in found}

    def annotate(self, annotations: Mapping[str, object]) -> None:
        """Put annotations into those of the module."""
        if annotations:
            self.globals.setdefault("__annotations__", {}).update(annotations)

    def is_local(self, name: str) -> bool:
        """Whether a bound name is found before the globals; False for every name of a module."""
        return name in self.local_among((name,))

    def local_among(self, names: Iterable[str]) -> frozenset[str]:
        """Those of some bound names that are found before the globals; none of a module's."""
        found: dict[str, Any] = {}
        if not self.is_module:
            self._read_locals({name: self.spelling(name) for name in names}, found)
        return frozenset(found)

    def is_variable(self, name: str) -> bool:
        """Whether a name lives in a slot of a function, which nobody outside can unbind."""
        return self.spelling(name) in _layout(self._frame.f_code).variables

    @property
    def is_module(self) -> bool:
        """Whether the names of the frame are the globals themselves."""
        return not self._is_function and self._frame.f_locals is self._frame.f_globals

    def spelling(self, name: str) -> str:
        """How the code object spells ``name``: private names of a class body carry the name of the class."""
        if not name.startswith("__") or name.endswith("__"):
            return name
        owner = _enclosing_class(self._frame.f_code, is_function=self._is_function).lstrip("_")
        return f"_{owner}{name}" if owner else name

    def _read_locals(self, spelled: Mapping[str, str], found: dict[str, Any]) -> Iterable[str]:
        """Fill ``found`` from the innermost scope; the names that are to be looked up in the globals."""
        frame = self._frame
        if self._is_function:
            layout = _layout(frame.f_code)
            slots = {actual for actual in spelled.values() if actual in layout.variables}
            values = _read_slots(frame, slots) if slots else {}
            found.update((name, values[actual]) for name, actual in spelled.items() if actual in values)
            outside = layout.perhaps_global
            return [n for n, a in spelled.items() if n not in found and (a not in layout.variables or a in outside)]
        if not self.is_module:
            for name, actual in spelled.items():
                # A class may have any mapping for a body, see `__prepare__`.
                try:
                    found[name] = frame.f_locals[actual]
                except KeyError:
                    continue
            self._read_free_variables(spelled, found)
        return [name for name in spelled if name not in found]

    def _read_free_variables(self, spelled: Mapping[str, str], found: dict[str, Any]) -> None:
        """Variables of a function around a class body; `f_locals` of a class body does not show them."""
        wanted = {n: a for n, a in spelled.items() if n not in found and a in self._frame.f_code.co_freevars}
        frame: FrameType = self._frame
        while wanted and not frame.f_code.co_flags & _OPTIMIZED:
            around = frame.f_back
            if around is None or not any(const is frame.f_code for const in around.f_code.co_consts):
                return
            frame = around
        values = _read_slots(frame, set(wanted.values())) if wanted else {}
        found.update((name, values[actual]) for name, actual in wanted.items() if actual in values)


class _Layout(NamedTuple):
    """Which names the code of a frame keeps where."""

    variables: frozenset[str]  # in a slot of the frame; empty for a class body and for `exec`
    declared: frozenset[str]  # `global` names; they win over `variables`
    perhaps_global: frozenset[str]  # names whose slot may belong to an inlined comprehension only


_layouts: dict[int, tuple[weakref.ref[CodeType], _Layout]] = {}


def _layout(code: CodeType) -> _Layout:
    # By identity: hashing a code object reads all of its instructions.
    known = _layouts.get(id(code))
    if known is not None and known[0]() is code:
        return known[1]
    layout = _make_layout(code)
    number = id(code)
    _layouts[number] = (weakref.ref(code, lambda _: _layouts.pop(number, None)), layout)
    return layout


def _make_layout(code: CodeType) -> _Layout:
    written = {code.co_names[i] for op in ("STORE_GLOBAL", "DELETE_GLOBAL") for i in _arguments(code, op)}
    if not code.co_flags & _OPTIMIZED:
        # A comprehension inlined into a class body reads with LOAD_GLOBAL what the class may bind itself.
        return _Layout(frozenset(), frozenset(written), frozenset())
    declared = written | {code.co_names[i >> 1] for i in _arguments(code, "LOAD_GLOBAL")}
    variables = {*code.co_varnames, *code.co_cellvars, *code.co_freevars} - declared
    inlined = {variable_name(code, i) for i in _arguments(code, "LOAD_FAST_AND_CLEAR")} & variables
    return _Layout(frozenset(variables), frozenset(declared), frozenset(inlined & _names_of_nested(code)))


def _arguments(code: CodeType, operation: str) -> Iterator[int]:
    """Arguments of every instruction of one kind; none where this Python does not have it."""
    number = opmap.get(operation)
    if number is None:
        return
    operations, arguments = code.co_code[::2], code.co_code[1::2]
    at = operations.find(number)
    while at >= 0:
        argument, shift, prefix = arguments[at], 8, at - 1
        while prefix >= 0 and operations[prefix] == EXTENDED_ARG:
            argument |= arguments[prefix] << shift
            shift, prefix = shift + 8, prefix - 1
        yield argument
        at = operations.find(number, at + 1)


def _names_of_nested(code: CodeType) -> set[str]:
    names: set[str] = set()
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names.update(const.co_names)
            names |= _names_of_nested(const)
    return names


def _enclosing_class(code: CodeType, *, is_function: bool) -> str:
    """Name of the innermost class around ``code`` (itself included), from its qualified name; empty without one."""
    path = code.co_qualname.split(".")
    if is_function:
        path.pop()
    elif code.co_name == "<module>":
        return ""
    while path and path[-1] == "<locals>":
        del path[-2:]
    return path[-1] if path else ""


if sys.version_info >= (3, 13):

    def _read_slots(frame: FrameType, names: Iterable[str]) -> dict[str, Any]:
        variables = frame.f_locals
        found = {}
        for name in names:
            try:
                found[name] = variables[name]
            except KeyError:
                continue
        return found

    def _write_slots(frame: FrameType, values: Mapping[str, object]) -> None:
        frame.f_locals.update(values)

else:
    from blockcache.frames.snapshot import read_slots as _read_slots
    from blockcache.frames.snapshot import write_slots as _write_slots
