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
import time
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import xxhash

from blockcache import files, hosts, records
from blockcache.analysis.canonical import canonical_digest, without_block_names
from blockcache.analysis.effects import before, changes, compiled, compiles_to, function_body
from blockcache.deep import with_deep_recursion
from blockcache.errors import FingerprintError
from blockcache.fingerprint import imports, modules
from blockcache.fingerprint.code import Chain, facts
from blockcache.fingerprint.patched import is_local_code
from blockcache.fingerprint.reach import Reach
from blockcache.fingerprint.touched import ANYTHING, Held, Judged, Overlay, judge, top_of
from blockcache.fingerprint.touches import IMPORT, Touch, module_touches, touches
from blockcache.model import Input
from blockcache.outlines import Outline, Source, recalled

#: Uses that reach the registry of codecs.
_CODING = frozenset({".decode", ".encode", "builtins.bytes", "builtins.open", "builtins.str"})
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
#: What a figure looks like in each round of a loop is not worth a refusal.
_DRAWING = frozenset({"matplotlib", "seaborn"})
_STDLIB = frozenset(sys.stdlib_module_names)
_MISSING = object()


class Ran(NamedTuple):
    """Statements that ran in one namespace before a block.

    Attributes
    ----------
    where
        For people: the file.
    names
        Tells what their names are bound to.
    source
        The statements.
    """

    where: str
    names: Callable[[], Mapping[str, object]]
    source: Source


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
        told = _Told(reach, place)
        for statement in _mattering(place, reached):
            node = statement.node(place)
            if node is not None and id(node) in place.source.later and not statement.tops <= _DRAWING:
                what = f"{place.where}:{node.lineno} may have changed {', '.join(sorted(statement.tops))}"
                raise FingerprintError(f"{what} in an earlier round of the loop", path=statement.label)
            entry = _input(told, place, statement)
            name, n = entry.name, 1
            while name in found:
                n += 1
                name = f"{entry.name} #{n}"
            found[name] = entry._replace(name=name)
    return list(found.values())


def _mattering(place: Ran, reached: Collection[str]) -> list[_Statement]:
    def judged() -> list[_Statement]:
        return [s for s in _survey(place) if any(_matters(top, reached) for top in s.tops)]

    found = judged()
    if found and place.source.statements is None and place.source.outline is not None:
        place.source.forget()  # edited since, and only now it is read
        _surveyed.pop(id(place.source), None)
        found = judged()
    return found


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
    """A statement, by its number, with the libraries that it may change; None stands for all of its place."""

    number: int | None
    tops: frozenset[str]
    label: str
    seeds: frozenset[str]

    def node(self, place: Ran) -> ast.stmt | None:
        """The statement itself."""
        statements = place.source.statements
        return statements[self.number] if self.number is not None and statements is not None else None


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


def _input(told: _Told, place: Ran, statement: _Statement) -> Input:
    node = statement.node(place)
    if node is None:
        code = place.source.code()
        whole = facts(code).digest if code is not None else "unknown"
        return Input("state", f"statements of {place.where}", _digest([whole]))
    return Input("state", f"statement {place.where}: {statement.label}", told.of(node), f"{place.where}:{node.lineno}")


def _digest(parts: Iterable[str]) -> str:
    return xxhash.xxh3_128_hexdigest("\x1f".join(parts).encode("utf-8", "surrogatepass"))


class _Told:
    """What the statements of a place are and read. Each is looked at once, however many others set what it reads."""

    def __init__(self, reach: Reach, place: Ran) -> None:
        self._reach = reach
        self._place = place
        self._own: dict[int, str] = {}
        self._read: dict[tuple[str, tuple[Chain, ...]], str] = {}
        self._behind: dict[str, str] = {}

    def of(self, node: ast.stmt) -> str:
        """Digest of a statement; a name that several statements change counts by those statements as well."""
        behind = [self._setting(name) for name in _known(node)[1]]
        return _digest([self._alone(node), *filter(None, behind)])

    @functools.cached_property
    def _setters(self) -> Mapping[str, list[ast.stmt]]:
        """By name, the statements that change it."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in self._place.source.statements or ():
            for name in _changed(statement):
                found.setdefault(name, []).append(statement)
        return found

    def _setting(self, name: str) -> str:
        """Digest of the statements that change a name or, before them, what those read; "" where its value tells."""
        if name not in self._behind:
            parts: list[str] = []
            names, seen, todo = {name}, set[int](), [name]
            while todo:
                setters = self._setters.get(todo.pop(), [])
                for node in setters if len(setters) > 1 else ():
                    if id(node) not in seen:
                        seen.add(id(node))
                        parts.append(self._alone(node))
                        todo += [read for read in _known(node)[1] if read not in names]
                        names.update(todo)
            self._behind[name] = _digest(parts) if parts else ""
        return self._behind[name]

    def _alone(self, node: ast.stmt) -> str:
        """Digest of a statement and of what its names hold."""
        if id(node) not in self._own:
            digest, reads = _known(node)
            parts = [digest]
            for name, chains in reads.items():
                parts += [name, self._value(name, chains)]
            self._own[id(node)] = _digest(parts)
        return self._own[id(node)]

    def _value(self, name: str, chains: tuple[Chain, ...]) -> str:
        if (name, chains) not in self._read:
            namespace = self._place.names()
            try:
                if name in namespace:
                    found = self._reach.read(name, namespace[name], chains)
                else:
                    found = self._reach.builtin_name(name, name, chains)
            except FingerprintError:
                found = "opaque"
            self._read[name, chains] = found
        return self._read[name, chains]


# By identity of the statement, which is kept.
_statements: dict[int, tuple[ast.stmt, str, Mapping[str, tuple[Chain, ...]]]] = {}
_changes: dict[int, tuple[ast.stmt, set[str]]] = {}


def _known(node: ast.stmt) -> tuple[str, Mapping[str, tuple[Chain, ...]]]:
    """Digest of a statement and the names that it reads."""
    known = _statements.get(id(node))
    if known is None:
        form = without_block_names(node)
        code = compiled(form)
        reads = facts(code).globals if code is not None else {}
        known = _statements[id(node)] = (node, canonical_digest([form], keep_all=False, in_class=False), reads)
    return known[1:]


def _changed(statement: ast.stmt) -> set[str]:
    known = _changes.get(id(statement))
    if known is None:
        known = _changes[id(statement)] = (statement, changes(statement))
    return known[1]


# -- which libraries a statement may change ------------------------------------------------

# By identity of the source of a place, and of the touches of each statement; what is judged is kept.
_surveyed: dict[int, tuple[Source, tuple[_Statement, ...]]] = {}
_judged: dict[int, tuple[tuple[Touch, ...], Judged]] = {}
_KEPT = 1024


def _survey(place: Ran) -> tuple[_Statement, ...]:
    """The statements of one place that may change a library; each is judged once, soon after it ran."""
    known = _surveyed.get(id(place.source))
    if known is None:
        if len(_surveyed) > _KEPT:
            _surveyed.clear()
        known = _surveyed[id(place.source)] = (place.source, tuple(_all_judged(place)))
    return known[1]


def _all_judged(place: Ran) -> Iterator[_Statement]:
    namespace = place.names()
    outline = place.source.outline
    if outline is None:
        code = place.source.code()
        if code is not None:
            whole = judge(touches(code), namespace)
            yield _Statement(None, whole.tops, "", whole.seeds)
        return
    if held := dict(_held(outline.given, namespace)):
        namespace = Overlay(held, namespace)
    for number, touched in outline.touches:
        known = _judged.get(id(touched))
        if known is None:
            known = _judged[id(touched)] = (touched, judge(touched, namespace))
        if known[1].tops or known[1].seeds:
            yield _Statement(number, *known[1])


def _held(given: Iterable[tuple[str, str, str]], namespace: Mapping[str, object]) -> Iterator[tuple[str, Held]]:
    """Those names that are given to such objects."""
    for name, start, rest in given:
        if start.startswith(IMPORT):
            module: object = sys.modules.get(start.removeprefix(IMPORT))
            value = vars(module).get(rest) if isinstance(module, types.ModuleType) else None
        else:
            module, value = namespace.get(start), namespace.get(name)
        if isinstance(module, types.ModuleType) and _is_object(value) and modules.origin_of_module(module) != "local":
            yield name, Held(f"{start.removeprefix(IMPORT) if start.startswith(IMPORT) else module.__name__}.{rest}")


def _is_object(value: object) -> bool:
    """Whether a value has a state of its own that can be set."""
    return value is not None and not isinstance(
        value, (bool, int, float, complex, str, bytes, tuple, type, types.ModuleType, *_FUNCTIONS)
    )


# -- what ran ------------------------------------------------------------------------------


def as_before(places: Iterable[Ran], before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Ran]:
    """Places with their names as they were before a body that bound some of them."""
    bound = {name: value for name, value in after.items() if before.get(name, _MISSING) is not value}
    for place in places:
        yield place._replace(names=functools.partial(_names_before, place.names, before, bound))


def _names_before(
    names: Callable[[], Mapping[str, object]], before: Mapping[str, object], bound: Mapping[str, object]
) -> Mapping[str, object]:
    now = names()
    # Where a name holds something else it is another scope's.
    own = {name for name, value in bound.items() if now.get(name, _MISSING) is value}
    if not own:
        return now
    return {name: value for name, value in now.items() if name not in own} | {n: before[n] for n in own if n in before}


# (id of a code object, offset) -> the code, which is kept, and what ran before that place; None when that is nothing.
_before: dict[tuple[int, int], tuple[types.CodeType, Source | None]] = {}


def callers(frame: types.FrameType) -> tuple[Ran, ...]:
    """What ran before a block in a script or in functions: in its frame and in those that called it."""
    found = []
    at: types.FrameType | None = frame
    while at is not None:
        code = at.f_code
        if at is not frame and at.f_back is None and code.co_filename == "<string>":
            break  # `python -c`: how a worker process was started
        known = _before.get((id(code), at.f_lasti))
        if known is None:
            known = _before[id(code), at.f_lasti] = (code, _source_before(code, at))
        if known[1] is not None:
            found.append(Ran(os.path.basename(code.co_filename), functools.partial(_names_of, at), known[1]))
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
    source = _of_cells(tuple(reversed(dict.fromkeys(reversed(texts)))))
    return (Ran("cells", lambda: frame.f_globals, source),) if source.statements else ()


@functools.lru_cache(maxsize=8)
def _of_cells(texts: tuple[str, ...]) -> Source:
    return Source(lambda: tuple(statement for text in texts for statement in _of_cell(text)))


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


def _source_before(code: types.CodeType, frame: types.FrameType) -> Source | None:
    """What ran before the place of ``frame``; None when that is nothing that counts."""
    if not is_local_code(code):
        return None
    line = frame.f_lineno
    # All that `linecache` asks a module's globals for; the rest must not be kept alive.
    loading: dict[str, Any] = {
        n: frame.f_globals[n] for n in ("__name__", "__loader__", "__spec__") if n in frame.f_globals
    }
    return Source(
        lambda: with_deep_recursion(lambda: _statements_before(code, line, loading)),
        lambda: code,
        lambda: records.name_of("before", records.code_digest(code), line),
        line,
    )


def _statements_before(code: types.CodeType, line: int, file_globals: dict[str, Any]) -> tuple[ast.stmt, ...] | None:
    """The statements before a line, none when no statement can count; None when the source is not that of the code."""
    if not (touches(code) if code.co_flags & 2 else module_touches(code)):
        return ()
    import linecache

    text = "".join(linecache.getlines(code.co_filename, file_globals))
    try:
        if not compiles_to(text, code):
            return None
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    body = function_body(tree, code) if code.co_flags & 2 else tree.body
    return tuple(before(body, line)) if body is not None else None


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
    if not spec.origin or getattr(spec.loader, "get_code", None) is None:
        return None
    namespace, name = vars(module), module.__name__

    def code() -> types.CodeType | None:
        try:
            return imports.code_of(name, spec)
        except FingerprintError:
            return None

    record = _file_record(spec.origin)
    known = recalled(record) if record else None
    if known is None:
        compiled_code = code()
        if compiled_code is None:
            return None
        known = Outline((), ((0, module_touches(compiled_code)),))
        if record:
            records.save(record, known)
    judged = [judge(found, namespace) for _, found in known.touches]
    if not any(found.tops or found.seeds for found in judged):
        return None

    def parsed() -> tuple[ast.stmt, ...] | None:
        source = getattr(spec.loader, "get_source", None)
        try:
            text = source(name) if source is not None else None
            return tuple(with_deep_recursion(lambda: ast.parse(text)).body) if text is not None else None
        except (ImportError, SyntaxError, ValueError, RecursionError):
            return None

    return Ran(os.path.basename(spec.origin), lambda: namespace, Source(parsed, code, lambda: record and f"{record}s"))


def _file_record(path: str) -> str:
    """Name for the record of a file as it is; "" where a change may not show."""
    try:
        stat = files.stat_of(path)
    except FingerprintError:
        return ""
    if stat is None or not files.trusted(stat, time.time_ns()):
        return ""
    return records.name_of("module", path, *stat)
