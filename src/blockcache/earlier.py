"""Earlier statements: what ran before a block and set something in a library that the block reaches.

The live checks of :mod:`blockcache.fingerprint.patched` see what stands where the block looks. What a statement set
deeper (a registry, an option of a library without a probe, a function that a library calls inside) is known by the
statement: those before the block in its own file and in its callers', and the top-level statements of the local
modules that are loaded. One counts by its code and by what it reads, when it may change a library that is reached.
"""

from __future__ import annotations

import ast
import functools
import os
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import xxhash

from blockcache.analysis.canonical import canonical_digest
from blockcache.analysis.effects import before, changes, compiled, function_body, later
from blockcache.analysis.vocabulary import dotted
from blockcache.deep import with_deep_recursion
from blockcache.errors import FingerprintError
from blockcache.fingerprint import imports, modules
from blockcache.fingerprint.code import Chain, facts
from blockcache.fingerprint.patched import is_local_code
from blockcache.fingerprint.reach import Reach
from blockcache.fingerprint.touched import ANYTHING, Held, Overlay, judge, top_of
from blockcache.fingerprint.touches import module_touches, touches
from blockcache.model import Input

#: Uses that reach the registry of codecs.
_CODING = frozenset({".decode", ".encode", "builtins.bytes", "builtins.open", "builtins.str"})
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
#: What a figure looks like in each round of a loop is not worth a refusal.
_DRAWING = frozenset({"matplotlib", "seaborn"})
_STDLIB = frozenset(sys.stdlib_module_names)


class Ran(NamedTuple):
    """Statements that ran in one namespace before a block, in order.

    Attributes
    ----------
    where
        For people: the file.
    names
        Tells what their names are bound to.
    statements
        The statements, of compound ones around the block the heads; None when the source is not that of the
        running code.
    code
        The running code.
    later
        Identities of the statements that stand behind the block in a loop: whether they ran cannot be known.
    """

    where: str
    names: Callable[[], Mapping[str, object]]
    statements: tuple[ast.stmt, ...] | None
    code: types.CodeType | None = None
    later: frozenset[int] = frozenset()


def states(reach: Reach, ran: Callable[[], Iterable[Ran]], loaded: Collection[str] | None = None) -> list[Input]:
    """Earlier statements that may have changed a library which ``reach`` has met, as inputs.

    Parameters
    ----------
    reach
        What the block reaches; what the statements read is added to it.
    ran
        Tells the statements of the block's own namespace and of its callers'; asked only where they can matter.
    loaded
        Names of the modules that count as loaded; by default those that are.

    Raises
    ------
    FingerprintError
        When a statement behind the block, in a loop around it, may change what the block reaches.
    """
    reached = _reached(frozenset(reach.uses))
    if not reached:
        return []
    found: dict[str, Input] = {}
    for place in (*ran(), *_local_modules(reach.home, loaded)):
        for statement in _survey(place):
            if any(_matters(top, reached) for top in statement.tops):
                node = statement.node
                if node is not None and id(node) in place.later and not statement.tops <= _DRAWING:
                    what = f"{place.where}:{node.lineno} may have changed {', '.join(sorted(statement.tops))}"
                    raise FingerprintError(f"{what} in an earlier round of the loop", path=statement.label)
                entry = _input(reach, place, statement)
                name, n = entry.name, 1
                while name in found:
                    n += 1
                    name = f"{entry.name} #{n}"
                found[name] = entry._replace(name=name)
    return list(found.values())


@functools.lru_cache(maxsize=256)
def _reached(uses: frozenset[str]) -> frozenset[str]:
    """Top-level names of the libraries that are used."""
    tops = {top_of(use) for use in uses} - {"builtins", ""}
    return frozenset(tops if uses.isdisjoint(_CODING) else tops | {"codecs"})


def seeds(home: Mapping[str, object], ran: Iterable[Ran], loaded: Collection[str] | None = None) -> frozenset[str]:
    """Dotted names of the functions called by earlier statements, or below them, that may seed a random generator.

    Parameters
    ----------
    home
        The block's module globals.
    ran, loaded
        As in :func:`states`.
    """
    places = (*ran, *_local_modules(home, loaded))
    return frozenset(name for place in places for statement in _survey(place) for name in statement.seeds)


class _Statement(NamedTuple):
    """A statement with the libraries that it may change; ``node`` None stands for all of its place."""

    node: ast.stmt | None
    tops: frozenset[str]
    label: str
    seeds: frozenset[str]


def _matters(top: str, reached: Collection[str]) -> bool:
    """Whether a change of the library ``top`` can matter to what is reached: it is, or what is reached uses it."""
    return (
        top in (ANYTHING, *reached) or top in _STDLIB or any(_imports(by, top) for by in reached if by not in _STDLIB)
    )


@functools.lru_cache(maxsize=1024)
def _imports(by: str, top: str) -> bool:
    """Whether the loaded modules of the library ``by`` refer to ``top``."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, types.ModuleType) and (name == by or name.startswith(f"{by}.")):
            for value in list(vars(module).values()):
                of = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
                if isinstance(of, str) and top_of(of) == top:
                    return True
    return False


def _input(reach: Reach, place: Ran, statement: _Statement) -> Input:
    parts: list[str] = []
    if statement.node is None:
        parts.append(facts(place.code).digest if place.code is not None else "unknown")
        return Input("state", f"statements of {place.where}", _digest(parts))
    _describe(reach, place, statement.node, parts, {id(statement.node)})
    line = getattr(statement.node, "lineno", 0)
    return Input("state", f"statement {place.where}: {statement.label}", _digest(parts), f"{place.where}:{line}")


def _digest(parts: Iterable[str]) -> str:
    return xxhash.xxh3_128_hexdigest("\x1f".join(parts).encode("utf-8", "surrogatepass"))


def _describe(reach: Reach, place: Ran, node: ast.stmt, parts: list[str], seen: set[int]) -> None:
    """What a statement is and reads. A name that other statements change too counts by those statements as well."""
    digest, reads = _known(node)
    parts.append(digest)
    namespace = place.names()
    for name, chains in reads.items():
        parts.append(name)
        try:
            if name in namespace:
                parts.append(reach.read(name, namespace[name], chains))
            else:
                parts.append(reach.builtin_name(name, name, chains))
        except FingerprintError:
            parts.append("opaque")
        others = [s for s in place.statements or () if id(s) not in seen and name in _changed(s)]
        if len(others) > (name not in _changed(node)):
            seen.update(map(id, others))
            for other in others:
                _describe(reach, place, other, parts, seen)


# By identity of the statement, which is kept.
_statements: dict[int, tuple[ast.stmt, str, Mapping[str, tuple[Chain, ...]]]] = {}
_changes: dict[int, tuple[ast.stmt, set[str]]] = {}


def _known(node: ast.stmt) -> tuple[str, Mapping[str, tuple[Chain, ...]]]:
    """Digest of a statement and the names that it reads."""
    known = _statements.get(id(node))
    if known is None:
        code = compiled(node)
        reads = facts(code).globals if code is not None else {}
        known = _statements[id(node)] = (node, canonical_digest([node], keep_all=False, in_class=False), reads)
    return known[1:]


def _changed(statement: ast.stmt) -> set[str]:
    known = _changes.get(id(statement))
    if known is None:
        known = _changes[id(statement)] = (statement, changes(statement))
    return known[1]


# -- which libraries a statement may change ------------------------------------------------

# By identity of the statements of a place, or of its code, and of each statement; what is judged is kept.
_surveyed: dict[int, tuple[object, tuple[_Statement, ...]]] = {}
_judged: dict[int, tuple[ast.stmt, _Statement | None]] = {}
_KEPT = 1024


def _survey(place: Ran) -> tuple[_Statement, ...]:
    """The statements of one place that may change a library; each is judged once, soon after it ran."""
    subject = place.statements if place.statements is not None else place.code
    known = _surveyed.get(id(subject))
    if known is None:
        if len(_surveyed) > _KEPT:
            _surveyed.clear()
        known = _surveyed[id(subject)] = (subject, tuple(with_deep_recursion(lambda: list(_all_judged(place)))))
    return known[1]


def _all_judged(place: Ran) -> Iterator[_Statement]:
    namespace = place.names()
    if place.statements is None:
        assert place.code is not None
        whole = judge(touches(place.code), namespace)
        yield _Statement(None, whole.tops, "", whole.seeds)
        return
    if held := dict(_held(place.statements, namespace)):
        namespace = Overlay(held, namespace)
    for node in place.statements:
        known = _judged.get(id(node))
        if known is None:
            known = _judged[id(node)] = (node, _judge_one(node, namespace))
        if known[1] is not None:
            yield known[1]


def _held(statements: Iterable[ast.stmt], namespace: Mapping[str, object]) -> Iterator[tuple[str, Held]]:
    """Names that statements give to objects which a library's module holds: tables, configurations."""
    for node in statements:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            module = sys.modules.get(node.module)
            if isinstance(module, types.ModuleType) and modules.origin_of_module(module) != "local":
                for alias in node.names:
                    if _is_object(vars(module).get(alias.name)):
                        yield alias.asname or alias.name, Held(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            chain = dotted(node.value)
            root = namespace.get(chain.partition(".")[0])
            if isinstance(root, types.ModuleType) and modules.origin_of_module(root) != "local":
                for target in node.targets:
                    if isinstance(target, ast.Name) and _is_object(namespace.get(target.id)):
                        yield target.id, Held(f"{root.__name__}.{chain.partition('.')[2]}")


def _is_object(value: object) -> bool:
    """Whether a value has a state of its own that can be set."""
    return value is not None and not isinstance(
        value, (bool, int, float, complex, str, bytes, tuple, type, types.ModuleType, *_FUNCTIONS)
    )


def _judge_one(node: ast.stmt, namespace: Mapping[str, object]) -> _Statement | None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.decorator_list:
        return None
    code = compiled(node)
    found = judge(module_touches(code), namespace) if code is not None else None
    return _Statement(node, *found) if found is not None and (found.tops or found.seeds) else None


# -- what ran ------------------------------------------------------------------------------

# (id of a code object, offset) -> the code, which is kept, the statements that ran before that place, and those of
# them that stand behind it in a loop.
_before: dict[tuple[int, int], tuple[types.CodeType, tuple[ast.stmt, ...] | None, frozenset[int]]] = {}


def callers(frame: types.FrameType) -> tuple[Ran, ...]:
    """What ran before a block in a script or in functions: in its frame and in those that called it."""
    found = []
    at: types.FrameType | None = frame
    while at is not None:
        code = at.f_code
        known = _before.get((id(code), at.f_lasti))
        if known is None:
            statements = _statements_before(code, at)
            behind = later(statements or (), at.f_lineno)
            known = _before[id(code), at.f_lasti] = (code, statements, behind)
        if known[1] != ():
            names = functools.partial(_names_of, at)
            found.append(Ran(os.path.basename(code.co_filename), names, known[1], code, known[2]))
        at = at.f_back
    return tuple(found)


def cells(frame: types.FrameType) -> tuple[Ran, ...]:
    """What ran in the cells of a notebook before the one that the block stands in."""
    try:
        ran = hosts.executed(frame) or ()
    except LookupError:  # the host does not tell
        return ()
    texts = [cell.text for cell in ran if not cell.current]
    # A cell that ran again sets once more what it has set.
    statements = _of_cells(tuple(reversed(dict.fromkeys(reversed(texts)))))
    return (Ran("cells", lambda: frame.f_globals, statements),) if statements else ()


@functools.lru_cache(maxsize=8)
def _of_cells(texts: tuple[str, ...]) -> tuple[ast.stmt, ...]:
    return tuple(statement for text in texts for statement in _of_cell(text))


@functools.lru_cache(maxsize=1024)
def _of_cell(text: str) -> tuple[ast.stmt, ...]:
    try:
        return tuple(with_deep_recursion(lambda: ast.parse(text)).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()


def _names_of(frame: types.FrameType) -> Mapping[str, object]:
    if frame.f_code.co_flags & 1:  # CO_OPTIMIZED: a function
        return Overlay(frame.f_locals, frame.f_globals)
    return frame.f_globals if frame.f_locals is frame.f_globals else Overlay(frame.f_locals, frame.f_globals)


def _statements_before(code: types.CodeType, frame: types.FrameType) -> tuple[ast.stmt, ...] | None:
    """What ran before the place of ``frame``; None when the source is not that of the code."""
    if not is_local_code(code) or not (touches(code) if code.co_flags & 2 else module_touches(code)):
        return ()
    import linecache

    text = "".join(linecache.getlines(code.co_filename, frame.f_globals))
    try:
        tree = ast.parse(text)
        whole = compile(text, code.co_filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    if not any(found == code for found in _nested(whole)):
        return None
    body = function_body(tree, code) if code.co_flags & 2 else tree.body
    return tuple(before(body, frame.f_lineno)) if body is not None else None


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


class _Loaded:
    """The local modules that are loaded, with the statements of those that may change a library."""

    def __init__(self) -> None:
        self._state: tuple[int, str] = (0, "")
        self._modules: dict[str, types.ModuleType] = {}
        self._ran: dict[int, tuple[types.ModuleType, object, Ran | None]] = {}

    def modules(self) -> Mapping[str, types.ModuleType]:
        state = (len(sys.modules), next(reversed(sys.modules)))
        if state != self._state:
            self._state = state
            self._modules = {
                name: module
                for name, module in list(sys.modules.items())
                if isinstance(module, types.ModuleType)
                and name not in ("__main__", "__mp_main__")
                and getattr(module, "__spec__", None) is not None
                and modules.origin_of_module(module) == "local"
            }
        return self._modules

    def ran(self, module: types.ModuleType) -> Ran | None:
        """What importing the module ran; looked at once for each time that it is loaded."""
        known = self._ran.get(id(module))
        if known is None or known[1] is not module.__spec__:
            known = self._ran[id(module)] = (module, module.__spec__, _ran_by_import(module))
        return known[2]


_loaded = _Loaded()


def _local_modules(home: Mapping[str, object], loaded: Collection[str] | None) -> Iterator[Ran]:
    for name, module in _loaded.modules().items():
        if (loaded is None or name in loaded) and vars(module) is not home:
            found = _loaded.ran(module)
            if found is not None:
                yield found


def _ran_by_import(module: types.ModuleType) -> Ran | None:
    spec = module.__spec__
    assert spec is not None
    try:
        code = imports.code_of(module.__name__, spec)
    except FingerprintError:
        return None
    if code is None:
        return None
    namespace = vars(module)
    judged = judge(module_touches(code), namespace)
    if not (judged.tops or judged.seeds):
        return None
    where = os.path.basename(code.co_filename)
    source = getattr(spec.loader, "get_source", None)
    try:
        text = source(module.__name__) if source is not None else None
        tree = ast.parse(text) if text is not None else None
    except (ImportError, SyntaxError, ValueError, RecursionError):
        tree = None
    return Ran(where, lambda: namespace, tuple(tree.body) if tree is not None else None, code)
