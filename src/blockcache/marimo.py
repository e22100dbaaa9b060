"""marimo: every slow cell of a notebook as a block, by one call in its setup cell.

>>> with app.setup:
...     from blockcache.marimo import auto
...
...     auto(min_seconds=1)
"""

from __future__ import annotations

import ast
import asyncio
import copy
import os
import re
import sys
import textwrap
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import CodeType, EllipsisType
from typing import Any, Literal

from blockcache import cells
from blockcache.analysis.names import bindings
from blockcache.block import Pin, cached_block
from blockcache.errors import CacheError, CacheWarning

#: A comment in a cell that says to leave it alone.
_OPT_OUT = re.compile(r"^[ \t]*#[ \t]*blockcache:[ \t]*off\b", re.MULTILINE)
_COROUTINE = 0x80
_LONGEST_NAME = 40
#: Statements, and the expression behind them if there is one.
Codes = tuple[CodeType, CodeType | None]


class Cell:
    """A cell whose statements are one block, and its last expression another.

    So the statements are skipped although what the cell shows cannot be saved (a table to select from), and what
    a cell shows stays its own.
    """

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = parts
        self.is_async = any(code.co_flags & _COROUTINE for part in parts for code in part.plain if code is not None)

    def run(self, namespace: dict[str, Any]) -> Any:
        """Run the cell, or skip what has been saved of it; the value of its last expression."""
        value = None
        for part in self._parts:
            body, last = part.begin()
            exec(body, namespace)
            value = eval(last, namespace) if last is not None else None
            part.end()
        return value

    async def run_async(self, namespace: dict[str, Any]) -> Any:
        """The same for a cell that awaits something at its top."""
        value = None
        for part in self._parts:
            value = None
            for code in part.begin():
                if code is not None:
                    value = eval(code, namespace)
                    if code.co_flags & _COROUTINE:
                        value = await value
            part.end()
        return value


class _Part:
    """A part of a cell: as it always runs, and as a block where it can be one."""

    def __init__(self, plain: Codes, wrapped: Codes | None, digest: str, min_s: float) -> None:
        self.plain = plain
        self._wrapped = wrapped
        self._digest = digest
        self._min_s = min_s
        self._began = 0.0

    def begin(self) -> Codes:
        """The code to run now: plain where a key would cost more than it saves."""
        self._began = time.perf_counter()
        if self._wrapped is None or cells.is_known_quick(self._digest, self._min_s):
            return self.plain
        return self._wrapped

    def end(self) -> None:
        """It ran to its end: a part that was quick and is slow now is a block the next time."""
        took_s = time.perf_counter() - self._began
        if took_s >= self._min_s and self._wrapped is not None and cells.is_known_quick(self._digest, self._min_s):
            cells.note_seconds(self._digest, took_s)


@dataclass
class _Chosen:
    """What one notebook has asked for."""

    min_s: float
    options: Mapping[str, Any]
    #: The cell that asked; None where a script did, before its cells ran.
    cell_id: str | None
    #: The cells that were looked at, by their number: (marimo's cell, ours or None).
    cells: dict[str, tuple[object, Cell | None]] = field(default_factory=dict)


#: By the path of the notebook; None for one that has not been saved yet.
_chosen: dict[str | None, _Chosen] = {}


def auto(
    min_seconds: float = 1.0,
    *,
    ignore: Iterable[str | type] = (),
    pin: Pin | Mapping[str, Pin] | EllipsisType = ...,
    version: str | int | float | None = None,
    ttl: str | float | timedelta | None = None,
    mode: Literal["on", "off", "refresh", "readonly", "frozen", "verify"] | None = None,
    store: str | None = None,
) -> None:
    """Cache every cell of this notebook that takes longer than ``min_seconds``; call it in the setup cell.

    A cell is a block like the body of :class:`blockcache.cached_block`: skipped when nothing that it depends on has
    changed, with the same line. Its last expression is a block of its own, so that its statements hit although what it
    shows cannot be saved. Cells that cannot be cached run as always: those that make elements of the page, with blocks
    of their own, of imports only. A comment ``# blockcache: off`` in a cell leaves it alone.

    Parameters
    ----------
    min_seconds
        Seconds that the statements of a cell, or its last expression, take at least if they are to be saved.
    ignore, pin, version, ttl, mode, store
        As in :class:`blockcache.cached_block`, for all cells.

    Raises
    ------
    CacheError
        When an argument is none that it can be.
    """
    if isinstance(min_seconds, bool) or not isinstance(min_seconds, (int, float)) or not min_seconds >= 0:
        raise CacheError(f"min_seconds={min_seconds!r}: it takes a number of seconds")
    options = {"ignore": ignore, "pin": pin, "version": version, "ttl": ttl, "mode": mode, "store": store}
    cached_block("cell", **options)  # type: ignore[arg-type]  # says now what is wrong with them
    try:
        cell_id = _current_cell()
        _install()
    except Exception as error:  # private names of marimo, which may go away
        what = f"this marimo does not let its cells be cached ({type(error).__name__}: {error}); they run as always"
        warnings.warn(what, CacheWarning, stacklevel=2)
        return
    _chosen[_real(sys._getframe(1).f_globals.get("__file__"))] = _Chosen(min_seconds, options, cell_id)


def _real(path: object) -> str | None:
    return os.path.realpath(path) if isinstance(path, str) else None


def _current_cell() -> str | None:
    from marimo._runtime.context.types import safe_get_context

    context = safe_get_context()
    return None if context is None else context.cell_id


def _install() -> None:
    """Have marimo run cells through us: from the next run on, and in the one that is going on."""
    from marimo._runtime.executor import _EXECUTOR_REGISTRY, Evaluator, resolve_executor

    if _NAME not in _EXECUTOR_REGISTRY.names():
        inner = resolve_executor()
        _EXECUTOR_REGISTRY.register(_NAME, lambda: _Executor(inner))
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        running = frame.f_locals.get("self") if frame.f_code.co_name.startswith("evaluate") else None
        if isinstance(running, Evaluator) and not isinstance(running.executor, _Executor):
            running.executor = _Executor(running.executor)


_NAME = "blockcache"


class _Executor:
    """Runs cells of notebooks that have asked for it as blocks, and all others as the executor inside does."""

    name = _NAME

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def execute_cell(self, cell: Any, glbls: dict[str, Any]) -> Any:
        """Run a cell of a notebook without coroutines; the value of its last expression."""
        found = _found(cell)
        if found is None or found.is_async:
            return self._inner.execute_cell(cell, glbls)
        try:
            return found.run(glbls)
        except BaseException as error:
            raise _as_marimo_raises(error) from error

    async def execute_cell_async(self, cell: Any, glbls: dict[str, Any]) -> Any:
        """Run a cell; the value of its last expression."""
        found = _found(cell)
        if found is None:
            return await self._inner.execute_cell_async(cell, glbls)
        try:
            return await found.run_async(glbls) if found.is_async else found.run(glbls)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            raise _as_marimo_raises(error) from error


def _as_marimo_raises(error: BaseException) -> BaseException:
    from marimo._runtime.exceptions import MarimoRuntimeException
    from marimo._runtime.executor import executor

    executor._strip_frame(error, 2)
    executor._demangle_name_error(error)
    raised: BaseException = MarimoRuntimeException()
    return raised


def _found(cell: Any) -> Cell | None:
    """Our form of a cell of marimo; None for one that runs as always."""
    from marimo._runtime.context.types import safe_get_context

    context = safe_get_context()
    chosen = _chosen.get(_real(context.filename)) if context is not None else None
    if chosen is None or cell.body is None:
        return None
    if cell.cell_id == chosen.cell_id:
        # The cell that asked runs again: if it is to stay, it asks again.
        del _chosen[_real(context.filename if context is not None else None)]
        return None
    known = chosen.cells.get(cell.cell_id)
    if known is None or known[0] is not cell:
        try:
            known = cell, _prepared(cell, chosen)
        except Exception as error:  # private names of marimo, which may go away
            warnings.warn(f"cell {cell.cell_id} cannot be cached: {error}", CacheWarning, stacklevel=1)
            known = cell, None
        chosen.cells[cell.cell_id] = known
    return known[1]


def _prepared(cell: Any, chosen: _Chosen) -> Cell | None:
    from marimo._ast.compiler import ends_with_semicolon

    if _OPT_OUT.search(cell.code):
        return None
    tree = ast.parse(cell.code)
    if cells.cannot(tree) or not cells.is_worth_it(tree):
        return None
    ast.increment_lineno(tree, _lines_above(cell))
    *before, last = tree.body
    shows = isinstance(last, ast.Expr) and not ends_with_semicolon(cell.code)
    statements = before if shows else tree.body
    parts = []
    if statements:
        # A last statement that is an expression shows nothing here.
        parts.append(
            _part([*statements, ast.copy_location(ast.Pass(), statements[-1])], _title(statements), cell, chosen)
        )
    if shows:
        parts.append(_part([last], _short(ast.unparse(last)), cell, chosen))
    return Cell(parts)


def _part(statements: list[ast.stmt], title: str, cell: Any, chosen: _Chosen) -> _Part:
    """Statements of a cell, as a block where one is worth it."""
    from marimo._ast.compiler import ast_compile
    from marimo._ast.visitor import ScopedVisitor

    def compiled(tree: ast.Module) -> Codes:
        tree = copy.deepcopy(tree)
        ScopedVisitor(f"cell_{cell.cell_id}").visit(tree)  # renames what starts with one underscore, in place
        *body, last = tree.body
        shown = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
        module = ast.Module(body if shown else tree.body, [])
        file, flags = cell.body.co_filename, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        return (
            ast_compile(module, file, mode="exec", dont_inherit=True, flags=flags),
            ast_compile(shown, file, mode="eval", dont_inherit=True, flags=flags) if shown else None,
        )

    tree = ast.Module(statements, [])
    if not cells.is_worth_it(tree):
        return _Part(compiled(tree), None, "", chosen.min_s)
    make = partial(cached_block, title, **chosen.options)
    wrapped = cells.wrap(tree, make, min_s=chosen.min_s)
    return _Part(compiled(tree), compiled(wrapped), cells.digest_of(tree), chosen.min_s)


def _title(statements: list[ast.stmt]) -> str:
    """What the statements of a cell are called: by the names that they bind."""
    found = dict.fromkeys(
        name
        for statement in statements
        if not isinstance(statement, (ast.Import, ast.ImportFrom))
        for name in sorted(bindings([statement]).bound)
        if not name.startswith("_")
    )
    return _short(", ".join(found) if found else ast.unparse(statements[0]))


def _short(text: str) -> str:
    return f"cell {textwrap.shorten(text, _LONGEST_NAME, placeholder=' ...')}"


def _lines_above(cell: Any) -> int:
    """How many lines of its file are above a cell; in a kernel a cell is a file of its own."""
    lines = [line for code in (cell.body, cell.last_expr) for *_, line in code.co_lines() if line and line > 1]
    written = [node.lineno for node in ast.walk(cell.mod) if isinstance(node, ast.stmt)]
    in_file = "__marimo__cell_" not in os.path.basename(cell.body.co_filename)
    return min(lines) - min(written) if in_file and lines and written else 0
