"""The execution path of a value that has no content: the statements that made it, and the values that they used.

A connection, a generator or a client counts by the code that made it: the backward slice of the statements before the
block (:mod:`blockcache.analysis.slices`), through the callers of a function, down to values that have content.
"""

from __future__ import annotations

import ast
import builtins
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import xxhash

from blockcache.analysis.canonical import canonical_digest
from blockcache.analysis.facts import Chain
from blockcache.analysis.slices import Slice
from blockcache.analysis.steps import Step
from blockcache.deep import with_deep_recursion
from blockcache.errors import FingerprintError
from blockcache.fingerprint import modules
from blockcache.frames import Located
from blockcache.live import is_given
from blockcache.scopes import MISSING, OPTIMIZED, Scope, finished_module, scope_of

_GENERATORS = 0x20 | 0x80 | 0x200
#: What the interpreter or a notebook binds in a module by itself.
_GIVEN = frozenset({"In", "Out", "_", "display", "exit", "get_ipython", "open", "quit", "mo"})
_MOST_CALLERS = 50


class Read(NamedTuple):
    """A value that the statements of a path used and that is still what it was.

    Attributes
    ----------
    name
        What its inputs are called.
    value
        The value now.
    chains
        How it is used.
    needed
        Nothing else stands for it. Otherwise the statements do, and its content counts besides if it has any.
    """

    name: str
    value: object
    chains: tuple[Chain, ...]
    needed: bool


class Path(NamedTuple):
    """The execution path of one name.

    Attributes
    ----------
    digest
        Of the canonical trees of the statements, in order; 32 hexadecimal digits.
    note
        For people: type and place.
    text
        The statements, for people.
    reads
        Values that they used.
    constants
        Texts in the statements, some of which may name files.
    again
        Line of a loop whose earlier iterations may have changed the value, as often as they ran; 0 without one.
    called
        It came as a parameter: the same call, made again, may bring another value.
    """

    digest: str
    note: str
    text: str
    reads: tuple[Read, ...]
    constants: tuple[str, ...]
    again: int
    called: bool


class Paths:
    """Execution paths of the names of one frame; nothing is parsed before the first is asked for.

    Parameters
    ----------
    frame
        The frame that is entering a block.
    locate
        Finds the block's statement; None where its source is not known.
    """

    def __init__(self, frame: types.FrameType, locate: Callable[[], Located | None]) -> None:
        self._frame = frame
        self._locate = locate
        self._scopes: dict[int, Scope] = {}
        self._paths: dict[tuple[int, str], Path] = {}
        self._kept: list[object] = []

    def of(self, name: str) -> Path:
        """The path of a name of the frame.

        Raises
        ------
        FingerprintError
            When it cannot be known, with what to write instead.
        """
        return self._path(self._block_scope, name, id(self._frame))

    def in_namespace(self, namespace: Mapping[str, object], name: str) -> Path:
        """The path of a global name of the module that has this namespace: the block's own or another local one."""
        if namespace is self._frame.f_globals:
            if not self._in_function:
                return self.of(name)
            return self._path(lambda: self._global_scope(namespace), name, id(namespace))
        module = str(namespace.get("__name__"))
        return self._path(lambda: self._global_scope(namespace), name, id(namespace), f"module {module}")

    # ------------------------------------------------------------------ collecting

    def _path(self, scope: Callable[[], Scope], name: str, number: int, told: str = "") -> Path:
        """The path of a name; ``told`` stands for the state of another module, which the program may have changed."""
        known = self._paths.get((number, name))
        if known is None:
            try:
                known = with_deep_recursion(
                    lambda: _Collected(self).path(scope(), name, told, list(self._callers()) if told else [])
                )
            except (SyntaxError, RecursionError, LookupError) as error:
                raise FingerprintError(f"the code that made it is not known ({error})", path=name) from error
            self._paths[number, name] = known
        return known

    def _callers(self) -> Iterator[Scope]:
        """The block's scope and those of the functions that lead to it, as far as they are the program's."""
        yield self._block_scope()
        frame = self._frame
        while frame.f_code.co_flags & OPTIMIZED:
            above = self.caller(frame)
            yield above
            frame = frame.f_back or frame

    @property
    def _in_function(self) -> bool:
        return bool(self._frame.f_code.co_flags & OPTIMIZED)

    def _block_scope(self) -> Scope:
        known = self._scopes.get(id(self._frame))
        if known is None:
            located = self._locate()
            if located is None:
                raise LookupError("the block has no source")
            known = self._scopes[id(self._frame)] = scope_of(self._frame, located.node, located)
        return known

    def caller(self, frame: types.FrameType) -> Scope:
        """The scope that called ``frame``, up to the statement with the call.

        Raises
        ------
        LookupError
            When the call comes from a library or cannot be found.
        """
        above = frame.f_back
        if above is None or modules.origin_of_file(above.f_code.co_filename) not in ("local", ""):
            raise LookupError("it was called by a library")
        known = self._scopes.get(id(above))
        if known is None:
            known = self._scopes[id(above)] = scope_of(above, None, None)
        return known

    def _global_scope(self, namespace: Mapping[str, object]) -> Scope:
        """The top level of a module, as far as it has run."""
        known = self._scopes.get(id(namespace))
        if known is not None:
            return known
        frame: types.FrameType | None = self._frame
        while frame is not None:
            if frame.f_globals is namespace and frame.f_code.co_name.startswith("<") and frame.f_locals is namespace:
                known = scope_of(frame, None, None)
                break
            frame = frame.f_back
        else:
            known = finished_module(namespace)
        self._scopes[id(namespace)] = known
        return known

    def scope_of_globals(self, namespace: Mapping[str, object]) -> Scope:
        """The scope that a function's global names belong to."""
        return self._global_scope(namespace)

    @property
    def frame(self) -> types.FrameType:
        """The frame that is entering the block."""
        return self._frame

    @property
    def home(self) -> dict[str, object]:
        """Globals of the block's module."""
        return self._frame.f_globals


class _Collected:
    """One path being collected through the scopes."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.parts: dict[tuple[int, int], Step] = {}
        self.reads: dict[str, Read] = {}
        self.seen: set[tuple[int, str]] = set()
        self.scopes: list[Scope] = []
        self.name = ""
        self.again = 0
        self.called = False

    def path(self, scope: Scope, name: str, told: str, tellers: list[Scope]) -> Path:
        """The path of ``name``, a name of ``scope``, and of what the tellers did to the state called ``told``."""
        self.name = name
        kind = type(scope.value(name))
        self.collect(scope, [name])
        for teller in tellers:
            self.collect(teller, [told])
        steps = [self.parts[place] for place in sorted(self.parts)]
        digests = [canonical_digest(step.nodes, keep_all=False, in_class=False) for step in steps]
        places: dict[str, list[str]] = {}
        for step in steps:
            places.setdefault(step.file, []).append(str(step.line))
        where = "; ".join(f"{file}:{', '.join(dict.fromkeys(lines))}" for file, lines in places.items())
        made = f" made at {where}" if where else ""
        nodes = [node for step in steps for node in step.nodes]
        constants = [c.value for n in nodes for c in ast.walk(n) if isinstance(c, ast.Constant)]
        return Path(
            digest=xxhash.xxh3_128_hexdigest(" ".join(digests).encode()),
            note=f"{kind.__module__}.{kind.__qualname__}{made}",
            text="\n".join(map(ast.unparse, nodes)),
            reads=tuple(self.reads[label] for label in sorted(self.reads)),
            constants=tuple(sorted({text for text in constants if isinstance(text, str)})),
            again=self.again,
            called=self.called,
        )

    def collect(self, scope: Scope, names: Iterable[str]) -> None:
        """Add what the names depend on, in this scope and in those that gave it its values."""
        place = self._place(scope)
        wanted = [name for name in names if (id(scope), name) not in self.seen]
        self.seen.update((id(scope), name) for name in wanted)
        if not wanted:
            return
        found = scope.slices.of(wanted, whole=scope.slices.dynamic)
        self.again = self.again or found.again
        for step in found.steps:
            self.parts[place, scope.slices.steps.index(step)] = step
        self._add_reads(scope, found)
        for name in sorted(found.before):
            self._before(scope, name)

    def _add_reads(self, scope: Scope, found: Slice) -> None:
        for name, chains in found.reads.items():
            value = scope.value(name)
            if value is MISSING or not name.isidentifier() or is_given(value):
                continue
            label = scope.label(name, self.paths.home, self.paths.frame)
            self.reads[label] = Read(label, value, chains, scope.live.is_settled(value) or _is_definition(value))
        for step in found.steps:
            for node in step.nodes:
                for inner in ast.walk(node):
                    if isinstance(inner, (ast.Import, ast.ImportFrom)):
                        self._add_import(scope, inner, found.lost)
                    self._add_surroundings(inner, node)

    def _add_surroundings(self, node: ast.AST, statement: ast.AST) -> None:
        """Arguments of the program and variables of the environment that a statement asks for itself."""
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name == "argv":
            self.reads["sys.argv"] = Read("sys.argv", tuple(sys.argv[1:]), ((),), needed=True)
        elif name in ("environ", "getenv"):
            texts = {c.value for c in ast.walk(statement) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
            for text in texts:
                self.reads[f"env {text}"] = Read(f"env {text}", os.environ.get(text), ((),), needed=True)

    def _add_import(self, scope: Scope, node: ast.Import | ast.ImportFrom, lost: frozenset[str]) -> None:
        """What an import gave, where the name that it was bound to means something else by now."""
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            if bound not in lost and scope.value(bound) is not MISSING:
                continue
            if isinstance(node, ast.Import):
                module, attribute = alias.name, ""
            else:
                package = str(scope.globals.get("__package__") or "")
                above = package.rsplit(".", node.level - 1)[0] + "." if node.level and package else ""
                module, attribute = above + (node.module or ""), alias.name
            value: object = sys.modules.get(module.rstrip("."))
            if value is not None and attribute and attribute != "*":
                value = getattr(value, attribute, sys.modules.get(f"{module}.{attribute}"))
            if value is not None:
                label = f"{module}.{attribute}".strip(".")
                self.reads.setdefault(label, Read(label, value, ((),), needed=True))

    def _before(self, scope: Scope, name: str) -> None:
        """Where the value came from that a name had before all steps of its scope."""
        if not name.isidentifier():
            return  # state of a library or of another module
        if scope.frame is None:
            value = scope.globals.get(name, MISSING)
            strange = value is not MISSING and name not in scope.bound and not name.startswith("__")
            if strange and name not in _GIVEN and not scope.live.is_settled(value):
                self._refuse(f"nothing shows where {name!r} was bound", "make it in a statement before the block")
            return
        if name in scope.parameters:
            self.called = True
            try:
                caller = self.paths.caller(scope.frame)
            except LookupError as error:
                self._refuse(f"it depends on the parameter {name!r}, and {error}", "make it inside the block")
            assert caller.call is not None
            index = len(caller.slices.steps) - 1
            self.parts[self._place(caller), index] = caller.call
            used = [n for n in caller.slices.reads_of(index) if not caller.live.now(n).settled]
            self.collect(caller, used)
            reads = {n: caller.call.reads.get(n, ((),)) for n in caller.slices.reads_of(index)}
            self._add_reads(caller, Slice((caller.call,), reads, frozenset(), frozenset()))
        elif name in scope.free:
            self._refuse(f"it depends on {name!r}, a variable of a function around this one", "pass it as a parameter")
        elif name not in scope.own and name not in vars(builtins):
            if scope.frame.f_code.co_flags & _GENERATORS and not scope.live.is_settled(scope.value(name)):
                self._refuse(f"{name!r} may have changed while this function waited", "make it inside the block")
            self.collect(self.paths.scope_of_globals(scope.globals), [name])

    def _place(self, scope: Scope) -> int:
        if scope not in self.scopes:
            self.scopes.append(scope)
            if len(self.scopes) > _MOST_CALLERS:
                self._refuse("too many callers lie between its making and the block", "make it inside the block")
        return self.scopes.index(scope)

    def _refuse(self, why: str, way_out: str) -> None:
        raise FingerprintError(f"the code that made it cannot be followed: {why}; {way_out}", path=self.name)


def _is_definition(value: object) -> bool:
    return isinstance(value, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType))
