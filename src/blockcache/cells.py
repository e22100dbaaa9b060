"""Cells of a notebook as blocks, without a word in them: the engine below the cell-level forms of the hosts.

A cell becomes at most two parts: its statements, and its last expression where the host shows that. Each part is a
block of its own, so that statements are skipped although what the cell shows cannot be saved (a widget), and what a
cell shows stays its own. A part is compiled as the body of a ``with`` statement whose context manager is a constant of
the code: the namespace gets no name, and the positions are those of the cell, so that a traceback shows what a person
wrote.

A part is saved when its body took long enough, and told only when it hit or took as long. One that cannot be a block
runs as it always does.
"""

from __future__ import annotations

import ast
import copy
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import CodeType
from typing import Any

from blockcache.analysis import analyse
from blockcache.analysis.names import bindings
from blockcache.block import cached_block
from blockcache.errors import BlockError
from blockcache.frames import Located, tell

#: What the value of a last expression is bound to while its cell runs.
SHOWN = "__shown__"
#: A comment in a cell that says to leave it alone.
_OPT_OUT = re.compile(r"^[ \t]*#[ \t]*blockcache:[ \t]*off\b", re.MULTILINE)
_MARK = "\0the block"
_COROUTINE = 0x80
_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)
_NEVER_SLOW = (ast.Name, ast.Attribute, ast.Constant, ast.Load)
#: A part that was fast and whose key took longer than this, and than the part, is not worth a key.
_DEAR_KEY_S = 0.05
_LONGEST_NAME = 40


class Cell:
    """One cell, ready to run in its namespace as often as the host likes.

    Attributes
    ----------
    is_async
        It awaits something at its top: run it with :meth:`run_async`.
    frames
        How many frames of ours are between the caller of :meth:`run` or :meth:`run_async` and the cell's own code.
    """

    frames = 1

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = parts
        self.is_async = any(part.plain.co_flags & _COROUTINE for part in parts)

    def run(self, namespace: dict[str, Any]) -> Any:
        """Run the cell, or skip what has been saved of it; the value of its last expression."""
        try:
            for part in self._parts:
                code = part.begin()
                exec(code, namespace)
                part.end()
            return namespace.get(SHOWN)
        finally:
            namespace.pop(SHOWN, None)

    async def run_async(self, namespace: dict[str, Any]) -> Any:
        """The same for a cell that awaits something at its top."""
        try:
            for part in self._parts:
                code = part.begin()
                found = eval(code, namespace)
                if code.co_flags & _COROUTINE:
                    await found
                part.end()
            return namespace.get(SHOWN)
        finally:
            namespace.pop(SHOWN, None)


class _Part:
    """A part of a cell: as it always runs, and as the body of a block where it can be one."""

    def __init__(self, plain: CodeType, wrapped: CodeType | None, block: cached_block | None, min_s: float) -> None:
        self.plain = plain
        self._wrapped = wrapped
        self._block = block
        self._min_s = min_s
        self._is_dear = False
        self._began = 0.0
        self._runs_plainly = True

    def begin(self) -> CodeType:
        """The code to run now."""
        self._began = time.perf_counter()
        self._runs_plainly = self._wrapped is None or self._is_dear
        return self.plain if self._wrapped is None or self._is_dear else self._wrapped

    def end(self) -> None:
        """It ran to its end: is it worth a key the next time?"""
        took_s = time.perf_counter() - self._began
        if self._runs_plainly:
            self._is_dear = self._is_dear and took_s < self._min_s
        elif self._block is not None and not self._block.hit:
            body_s = self._block._body_s
            key_s = took_s - body_s
            self._is_dear = body_s < self._min_s and key_s > max(body_s, _DEAR_KEY_S)


def prepare(
    tree: ast.Module,
    source: str,
    file: str,
    *,
    min_s: float,
    make: Callable[[str], cached_block] = cached_block,
    shows: bool = True,
    running: ast.Module | None = None,
    names: Mapping[str, str] | None = None,
    line: int = 0,
    flags: int = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
) -> Cell | None:
    """A cell as one that skips what it did before; None where it should run as it always does.

    Parameters
    ----------
    tree, source
        The cell as it is written. Lines of the tree are those of the source.
    file
        The name of the file that the host compiles the cell under.
    min_s
        Seconds that a part takes at least if it is to be saved.
    make
        Makes the block of a part from its name, with the options that the user gave for all cells.
    shows
        Whether the host shows the value of the last expression.
    running
        The cell as it runs, where the host has renamed names in it.
    names
        Those names: as written, as they run.
    line
        How many lines of the file are above the source.
    flags
        For the compiler.
    """
    if not tree.body or _OPT_OUT.search(source) or _says_itself(tree):
        return None
    if all(isinstance(statement, _DEFINITIONS) for statement in tree.body):
        return None
    running = running or copy.deepcopy(tree)
    last = len(tree.body) - 1 if shows and isinstance(tree.body[-1], ast.Expr) else len(tree.body)

    def part(written: list[ast.stmt], runs: list[ast.stmt], before: list[ast.stmt], title: str) -> _Part:
        for statement in runs:
            ast.increment_lineno(statement, line)
        plain = compile(ast.Module(runs, []), file, "exec", flags=flags, dont_inherit=True)
        node = _around(written)
        lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
        shown = Located(ast.Module([*before, node], []), node, 0, (), "\n".join(lines), names or {}, told=True)
        if all(map(_is_never_slow, written)):
            return _Part(plain, None, None, min_s)
        block = make(title)
        block._options = replace(block._options, at_least_s=min_s)
        try:
            code = compile(ast.Module([_around(runs)], []), file, "exec", flags=flags, dont_inherit=True)
            constants = tuple(block if constant == _MARK else constant for constant in code.co_consts)
            code = code.replace(co_consts=constants)
            analyse(shown, code)
        except (BlockError, SyntaxError):
            return _Part(plain, None, None, min_s)
        tell(code, shown)
        return _Part(plain, code, block, min_s)

    parts = []
    try:
        if last:
            parts.append(part(tree.body[:last], running.body[:last], [], _title(tree.body[:last])))
        if last < len(tree.body):
            parts.append(
                part([_bound(tree.body[last])], [_bound(running.body[last])], tree.body[:last], _text(tree.body[last]))
            )
    except SyntaxError:  # what must stand at the top of a module
        return None
    return Cell(parts)


def _says_itself(tree: ast.Module) -> bool:
    """Whether the cell has blocks of its own: then it says itself what is saved."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                name = item.context_expr.func if isinstance(item.context_expr, ast.Call) else item.context_expr
                if "cached_block" in (getattr(name, "id", ""), getattr(name, "attr", "")):
                    return True
    return False


def _is_never_slow(statement: ast.stmt) -> bool:
    """Whether a statement gives a value that is there already."""
    value = getattr(statement, "value", None)
    return isinstance(value, ast.expr) and all(isinstance(node, _NEVER_SLOW) for node in ast.walk(value))


def _around(statements: list[ast.stmt]) -> ast.With:
    first, last = statements[0], statements[-1]
    decorators = getattr(first, "decorator_list", None) or [first]
    place = {
        "lineno": min(node.lineno for node in decorators),
        "col_offset": 0,
        "end_lineno": last.end_lineno,
        "end_col_offset": last.end_col_offset,
    }
    return ast.With([ast.withitem(ast.Constant(_MARK, **place))], statements, **place)


def _bound(statement: ast.stmt) -> ast.stmt:
    """A last expression whose value is bound instead of dropped."""
    assert isinstance(statement, ast.Expr)
    target = ast.copy_location(ast.Name(SHOWN, ast.Store()), statement)
    return ast.copy_location(ast.Assign([target], statement.value), statement)


def _title(statements: list[ast.stmt]) -> str:
    """What the statements of a cell are called: by the names that they bind."""
    found = dict.fromkeys(
        name
        for statement in statements
        if not isinstance(statement, (ast.Import, ast.ImportFrom))
        for name in sorted(bindings([statement]).bound)
        if not name.startswith("_")
    )
    return _short(f"cell {', '.join(found)}") if found else _text(statements[0])


def _text(statement: ast.stmt) -> str:
    return _short(f"cell {ast.unparse(statement)}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "..."
