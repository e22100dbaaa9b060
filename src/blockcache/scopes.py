"""The scopes that lead to a block: what ran in each before its point, and its names as they are now."""

from __future__ import annotations
import __future__

import ast
import builtins
import os
import time
import types
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from blockcache import hosts
from blockcache.analysis.effects import compiles_to
from blockcache.analysis.facts import Frame
from blockcache.analysis.names import FunctionNode, mangle, scope_bindings
from blockcache.analysis.slices import Slices
from blockcache.analysis.steps import Setting, Step, step_of, steps_before, steps_of
from blockcache.errors import FingerprintError
from blockcache.fingerprint.values import fingerprint
from blockcache.frames import Located
from blockcache.live import Live, is_given

OPTIMIZED = 1  # inspect.CO_OPTIMIZED: the code of a function
MISSING = object()


_REPEATED = (ast.comprehension, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)


class Scope:
    """The steps before a point of one scope, and its names as they are now."""

    def __init__(
        self,
        steps: list[Step],
        namespace: Mapping[str, Any],
        frame: types.FrameType | None,
        call: Step | None = None,
        dropped: tuple[str, ...] = (),
    ) -> None:
        self.dropped = dropped
        self.globals = namespace
        self.frame = frame if frame is not None and frame.f_code.co_flags & OPTIMIZED else None
        self.call = call
        self.locals: dict[str, Any] = dict(self.frame.f_locals) if self.frame is not None else {}
        code = self.frame.f_code if self.frame is not None else None
        self.parameters = frozenset(_parameters(code)) if code else frozenset[str]()
        self.free = frozenset(code.co_freevars) if code else frozenset[str]()
        self.own = frozenset((*code.co_varnames, *code.co_cellvars)) - self.free if code else frozenset[str]()
        self.live = Live(self.value, namespace)
        self.bound = {name for step in [*steps, *([call] if call else [])] for name in step.binds}
        self.slices = Slices([*steps, *([call] if call else [])], self.live.now, self._outside)

    def value(self, name: str) -> object:
        """The value of a name now; a builtin where the module has none."""
        if name in self.locals:
            return self.locals[name]
        if name in self.own or name in self.free or name.startswith(self.dropped):
            return MISSING
        found = self.globals.get(name, MISSING)
        return found if found is not MISSING else vars(builtins).get(name, MISSING)

    def _outside(self, name: str) -> bool:
        if self.frame is not None:
            return name not in self.own or name in self.parameters
        return name not in self.bound and name in self.globals

    def label(self, name: str, home: Mapping[str, object], block: types.FrameType) -> str:
        """What inputs of a name are called."""
        if self.frame is not None and (name in self.locals or name in self.own):
            return f"{name} (local)" if self.frame is block else f"{name} ({self.frame.f_code.co_qualname})"
        return name if self.globals is home else f"{self.globals.get('__name__')}.{name}"


def _parameters(code: types.CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    return code.co_varnames[:count]


def scope_of(frame: types.FrameType, node: ast.stmt | None, located: Located | None) -> Scope:
    """The scope of a frame, up to ``node`` or, without one, to the statement that it is executing."""
    code = frame.f_code
    if not code.co_flags & OPTIMIZED and frame.f_locals is not frame.f_globals:
        raise LookupError("it is made in a class body; make it inside the block")
    cells = None if code.co_flags & OPTIMIZED else hosts.executed(frame)
    if cells is not None:
        return _cells_scope(frame, cells, node)
    text = hosts.source(frame)
    if text is None:
        raise LookupError(f"{code.co_filename} has no source")
    tree = located.tree if located is not None else ast.parse(text)
    if not compiles_to(text, code):
        raise LookupError(f"{os.path.basename(code.co_filename)} was edited after it was loaded; start again")
    body, setting = _body(tree, frame)
    setting = replace(setting, own=ast.dump(node) if node is not None else "")
    return _until(body, setting, [], frame, node)


def _until(
    body: list[ast.stmt], setting: Setting, before: list[Step], frame: types.FrameType, node: ast.stmt | None
) -> Scope:
    """The steps of a body up to ``node``, or up to and with the call that the frame is making."""
    if node is not None and any(n is node for s in body for n in ast.walk(s)):
        return Scope([*before, *(steps_before(body, node, setting) or ())], frame.f_globals, frame)
    statement = _running(body, frame)
    if statement is None:
        raise LookupError("the statement that calls it cannot be found")
    steps = steps_before(body, statement, setting) or []
    header = _header(statement)
    call = step_of([header, *_which_call(header, frame)], setting, certain=False)
    return Scope([*before, *steps], frame.f_globals, frame, call)


def _which_call(statement: ast.stmt, frame: types.FrameType) -> list[ast.stmt]:
    """A statement that tells which of the calls of ``statement`` the frame is making; none where there is one only.

    Raises
    ------
    LookupError
        When it may be made several times, with other values each time, or cannot be told.
    """
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    if len(calls) < 2 and not any(isinstance(node, _REPEATED) for node in ast.walk(statement)):
        return []
    line, last, column, end = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    place = (line, last, column, end)
    for number, node in enumerate(ast.walk(statement)):
        if isinstance(node, ast.expr) and place == (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset):
            around = (n for n in ast.walk(statement) if isinstance(n, _REPEATED))
            if any(inner is node for n in around for inner in ast.walk(n)):
                raise LookupError("it is called in a comprehension")
            return [ast.copy_location(ast.Expr(ast.Constant(f"call {number}")), statement)]
    raise LookupError("which call of the statement it is cannot be told")


def _header(statement: ast.stmt) -> ast.stmt:
    """What runs of a compound statement before its suites."""
    part: ast.expr | None = None
    match statement:
        case ast.If() | ast.While():
            part = statement.test
        case ast.For() | ast.AsyncFor():
            part = statement.iter
        case ast.Match():
            part = statement.subject
        case ast.With() | ast.AsyncWith():
            blank: list[ast.stmt] = [ast.copy_location(ast.Pass(), statement)]
            return ast.copy_location(type(statement)(items=statement.items, body=blank), statement)
    return statement if part is None else ast.copy_location(ast.Expr(part), statement)


def _running(body: list[ast.stmt], frame: types.FrameType) -> ast.stmt | None:
    """The innermost statement that the frame is executing."""
    positions = list(frame.f_code.co_positions())
    line, _, column, _ = positions[frame.f_lasti // 2] if frame.f_lasti >= 0 else (None,) * 4
    found: ast.stmt | None = None
    todo: list[ast.AST] = list(body)
    candidates = []
    while todo:
        node = todo.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(node, ast.stmt):
            if line is None or not node.lineno <= line <= (node.end_lineno or node.lineno):
                continue
            candidates.append(node)
        if not isinstance(node, ast.expr):
            todo += ast.iter_child_nodes(node)
    for node in candidates:
        starts = (node.lineno, node.col_offset)
        begun = column is None or starts <= (line, column)
        if begun and (found is None or starts >= (found.lineno, found.col_offset)):
            found = node
    return found


def _body(tree: ast.Module, frame: types.FrameType) -> tuple[list[ast.stmt], Setting]:
    """The body that the frame runs and what its statements have in common."""
    code = frame.f_code
    file = os.path.basename(code.co_filename)
    strings = bool(code.co_flags & __future__.annotations.compiler_flag)
    if not code.co_flags & OPTIMIZED:
        return tree.body, Setting(_module_frame, file, strings, apart=partial(_is_apart, frame.f_globals))
    for function, owner in _functions(tree, ""):
        first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
        if function.name != code.co_name or first != code.co_firstlineno:
            continue
        frame_of, spelled = partial(_function_frame, function, owner), partial(mangle, class_name=owner)
        return function.body, Setting(frame_of, file, strings, spelled, partial(_is_apart, dict(frame.f_locals)))
    raise LookupError(f"the source of {code.co_qualname} cannot be found")


def _function_frame(function: FunctionNode, owner: str) -> Frame:
    found = scope_bindings(function)
    own = {mangle(name, owner) for name in found.own}
    return Frame("function", own=own, globals=set(found.globals), nonlocals=set(found.nonlocals))


def _is_apart(namespace: Mapping[str, object], name: str) -> bool:
    """Whether a name has no value yet, or one that has content and so holds nothing of an opaque one."""
    if name not in namespace:
        return True
    try:
        fingerprint(namespace[name])
    except FingerprintError:
        return is_given(namespace[name])
    return True


def _module_frame() -> Frame:
    return Frame("module")


def _functions(node: ast.AST, owner: str) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child, owner
        yield from _functions(child, child.name if isinstance(child, ast.ClassDef) else owner)


def _cells_scope(frame: types.FrameType, cells: list[hosts.Ran], node: ast.stmt | None) -> Scope:
    """The scope of a notebook: its cells in the order in which they ran."""
    steps: list[Step] = []
    # Names of one cell are gone after it in a kernel of marimo, in a script they stay.
    own_prefix = {cell.prefix for cell in cells if cell.current}
    dropped = tuple(cell.prefix + "_" for cell in cells if cell.prefix and cell.prefix not in own_prefix)
    for cell in cells:
        tree = _parsed(cell.text)

        def rename(name: str, prefix: str = cell.prefix) -> str:
            return f"{prefix}{name}" if prefix and name.startswith("_") and not name.startswith("__") else name

        apart = partial(_is_apart, frame.f_globals)
        own = ast.dump(node) if node is not None else ""
        setting = Setting(_module_frame, cell.file, renames=rename, apart=apart, own=own)
        if not cell.current:
            if tree is not None and tree.body:
                steps += steps_of(tree.body, setting) if cell.certain else [step_of(tree.body, setting, certain=False)]
            continue
        if tree is None:
            break
        if node is None:
            return _until(tree.body, setting, steps, frame, None)
        form = ast.dump(node)
        same = [n for n in ast.walk(tree) if type(n) is type(node) and ast.dump(n) == form]
        here = [n for n in same if n.lineno == node.lineno] or same
        if len(here) != 1:
            raise LookupError("the block is not found in its cell")
        before = steps_before(tree.body, here[0], setting) or ()
        return Scope([*steps, *before], frame.f_globals, frame, dropped=dropped)
    raise LookupError("the cell that runs is not known")


_trees: dict[str, ast.Module | None] = {}


def _parsed(text: str) -> ast.Module | None:
    if text not in _trees:
        try:
            _trees[text] = ast.parse(text)
        except SyntaxError:
            _trees[text] = None  # a cell that did not compile did not run
    return _trees[text]


def finished_module(namespace: Mapping[str, object]) -> Scope:
    """The top level of a module that is imported."""
    file = str(namespace.get("__file__") or "")
    name = namespace.get("__name__")
    if not file.endswith(".py") or not os.path.exists(file):
        raise LookupError(f"module {name} has no source")
    stat = os.stat(file)
    # The interpreter takes longer than that to its first line, and the clock of processes is no finer.
    if max(stat.st_mtime_ns, stat.st_ctime_ns) > _started_ns() + 15_000_000:
        raise LookupError(f"{os.path.basename(file)} was edited after this process started; start again")
    with open(file, "rb") as stream:
        tree = ast.parse(stream.read())
    setting = Setting(_module_frame, os.path.basename(file))
    return Scope(steps_of(tree.body, setting), namespace, None)


def _started_ns() -> int:
    """A time before any module of the program was read: where Linux tells, when the process started."""
    try:
        with open("/proc/self/stat", "rb") as stream:
            ticks = int(stream.read().rpartition(b")")[2].split()[19])
        since_boot = ticks / os.sysconf("SC_CLK_TCK")
        return int((time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot) * 1e9)
    except (OSError, AttributeError, ValueError, IndexError):
        return _imported_ns


_imported_ns = time.time_ns()
