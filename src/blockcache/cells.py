"""Cells as blocks: the statements of a notebook's cell put into a `with cached_block(...)` statement.

It is done on the syntax tree, before the host compiles it, so that the host runs the cell as it always does:
line numbers, top-level await, the last expression. In the header of the `with` statement stands a constant by which the
running code finds its tree here: no file holds the text that runs.

A cell is the same block as the `with` statement that a person would write around it. What its last expression
gives is shown by the host after the block, so it is saved beside the results. A name needs no saving: it is looked up.
"""

from __future__ import annotations

import ast
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Protocol

import xxhash

from blockcache import records
from blockcache.deep import with_deep_recursion
from blockcache.frames import Located, confirmed

#: Under which an entry keeps what a cell's last expression gave.
LAST = ".last expression"
_PREFIX = "blockcache cell "
#: Calls that give nothing to show, as a cell's last expression.
_SHOW_NOTHING = frozenset({"print", "display"})
_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
#: Share of the seconds that make a cell worth saving which its key may cost again and again.
_KEY_SHARE = 0.05
_KEPT = 512


class CellBlock(Protocol):
    """What the `with` statement around a cell enters: a `cached_block`."""

    cell: Cell | None

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that runs as a block.

    Attributes
    ----------
    constant, digest
        What stands in its code; what tells its statements from any others.
    tree
        What runs.
    block, written
        The `with` statement that runs, and as a person would write it.
    make
        Makes the block of one run.
    shows
        What its last expression gives is saved.
    min_s
        Where nobody named the cell: seconds below which a run is not worth saving, nor a word. Else None.
    """

    constant: str
    digest: str
    tree: ast.Module
    block: ast.With
    written: ast.With
    make: Callable[[], CellBlock]
    shows: bool
    min_s: float | None


# By the constant; those that ran last.
_cells: dict[str, Cell] = {}


class _Held(threading.local):
    """What last expressions gave, until the host shows it; marimo runs its apps side by side, in threads."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}


_held = _Held()


# -- before a cell is compiled -------------------------------------------------------------


def wrap(
    tree: ast.Module,
    make: Callable[[], CellBlock],
    *,
    written: Sequence[ast.stmt] | None = None,
    min_s: float | None = None,
    as_name: str = "",
    line: int = 0,
) -> ast.Module:
    """The cell as a block.

    Parameters
    ----------
    tree
        The cell, with at least one statement.
    make
        Makes the ``cached_block`` of one run; it is called when the cell runs.
    written
        The statements as they are to be understood, where the host runs them by other means (magics).
    min_s
        Seconds below which a run is not worth saving, for a cell that nobody named.
    as_name
        The name after ``as``.
    line
        The line of the header; 0 for that of the first statement.
    """
    return with_deep_recursion(lambda: _wrap(tree, make, written, min_s, as_name, line))


def _wrap(
    tree: ast.Module,
    make: Callable[[], CellBlock],
    written: Sequence[ast.stmt] | None,
    min_s: float | None,
    as_name: str,
    line: int,
) -> ast.Module:
    # The compiler wants them first of all.
    futures = [s for s in tree.body if _is_future(s)]
    body = [s for s in tree.body if not _is_future(s)]
    original = [s for s in (written if written is not None else tree.body) if not _is_future(s)]
    digest = digest_of(tree)
    constant = f"{_PREFIX}{digest} {as_name} {line}"
    place = _place(body, line)
    after: list[ast.stmt] = []
    last, shows = body[-1], False
    if isinstance(last, ast.Expr) and not _shows_nothing(last.value):
        if isinstance(last.value, ast.Name):
            after = [last]
        else:
            shows, spot = True, _position(last)
            body = [*body[:-1], ast.Expr(_call("hold", constant, spot, last.value), **spot)]
            after = [ast.Expr(_call("release", constant, spot), **spot)]
    header = {**place, "end_lineno": place["lineno"], "end_col_offset": place["col_offset"] + 1}
    target = ast.Name(as_name, ast.Store(), **header) if as_name else None
    items = [ast.withitem(_call("enter", constant, header), target)]
    block = ast.With(items, body, None, **place)
    running = ast.Module([*futures, block, *after], [])
    if len(_cells) >= _KEPT:
        del _cells[next(iter(_cells))]
    _cells.pop(constant, None)
    as_written = ast.With(items, original, None, **place)
    _cells[constant] = Cell(constant, digest, running, block, as_written, make, shows, min_s)
    return running


def digest_of(tree: ast.Module) -> str:
    """Tells a cell's syntax tree, with its positions, from any other."""
    text = ast.dump(tree, include_attributes=True)
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _shows_nothing(value: ast.expr) -> bool:
    """Whether an expression surely gives None, or a constant: then there is nothing to save."""
    match value:
        case ast.Call(ast.Name(name), keywords=keywords):
            return name in _SHOW_NOTHING and not (name == "display" and keywords)
        case ast.Constant(value=None):
            return True
    return False


def _place(body: list[ast.stmt], line: int) -> dict[str, int]:
    first, last = body[0], body[-1]
    start = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", ()))])
    return {
        "lineno": line or start,
        "col_offset": 0,
        "end_lineno": last.end_lineno or last.lineno,
        "end_col_offset": last.end_col_offset or 1,
    }


def _position(node: ast.stmt) -> dict[str, int]:
    return {
        "lineno": node.lineno,
        "col_offset": node.col_offset,
        "end_lineno": node.end_lineno or node.lineno,
        "end_col_offset": node.end_col_offset or node.col_offset + 1,
    }


def _call(function: str, constant: str, place: dict[str, int], *more: ast.expr) -> ast.Call:
    """A call of one of the functions below that no name of the notebook can get in the way of."""

    def text(value: object) -> ast.expr:
        return ast.Constant(value, **place)  # type: ignore[arg-type]

    loader = ast.Name("__import__", ast.Load(), **place)
    keywords = [ast.keyword("fromlist", ast.List([text("cells")], ast.Load(), **place), **place)]
    room = ast.Call(loader, [text("blockcache.cells")], keywords, **place)
    return ast.Call(ast.Attribute(room, function, ast.Load(), **place), [text(constant), *more], [], **place)


# -- while it runs -------------------------------------------------------------------------


def enter(constant: str) -> CellBlock:
    """The block of this run of a cell; stands in the header of its `with` statement."""
    cell = _cells[constant]
    _held.values.pop(constant, None)
    block = cell.make()
    block.cell = cell
    return block


def hold(constant: str, value: object) -> None:
    """Keep what the last expression gave until it is shown, and saved."""
    _held.values[constant] = value


def held(cell: Cell) -> object:
    """What the last expression gave."""
    return _held.values.get(cell.constant)


def release(constant: str) -> object:
    """What the last expression gave, for the host to show."""
    return _held.values.pop(constant, None)


def of(code: CodeType) -> Cell | None:
    """The cell that a code object was compiled from, if it runs as a block."""
    for constant in code.co_consts:
        if type(constant) is str and constant.startswith(_PREFIX):
            return _cells.get(constant)
    return None


def located(cell: Cell, frame: FrameType, text: str | None) -> Located | None:
    """The block of a cell as a person would write it, if the cell is what the frame runs."""
    renames = confirmed(frame.f_code, cell.block)
    if renames is None:
        return None
    statements = cell.written.body
    lines = (text or "").split("\n")[statements[0].lineno - 1 : statements[-1].end_lineno]
    body = "\n".join(lines) or ast.unparse(ast.Module(statements, []))
    source = "with cached_block(...):\n" + textwrap.indent(body, "    ")
    return Located(cell.tree, cell.written, 0, (), source, renames)


# -- which cells are worth it --------------------------------------------------------------


def is_worth_it(tree: ast.Module) -> bool:
    """Whether a cell does anything that a block of its own could save, and has not blocks itself."""
    if all(map(_is_trivial, tree.body)):
        return False
    return not any(
        _named(item.context_expr) == "cached_block"
        for node in ast.walk(tree)
        if isinstance(node, (ast.With, ast.AsyncWith))
        for item in node.items
    )


def _is_trivial(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.Expr(value):
            return value is None or isinstance(value, (ast.Constant, ast.Name, ast.Attribute))
    return isinstance(node, _DEFINITIONS)


def _named(node: ast.expr) -> str:
    match node:
        case ast.Call(ast.Name(name)) | ast.Call(ast.Attribute(attr=name)):
            return name
    return ""


def cannot(tree: ast.Module) -> str:
    """Why a cell's statements cannot be a block, in one clause; empty when they can."""
    for node in _outside_functions(tree):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            return f"line {node.lineno}: `import *`"
        if isinstance(node, ast.Global):
            return f"line {node.lineno}: `global` outside a function"
    return ""


def _outside_functions(tree: ast.Module) -> Iterator[ast.AST]:
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop(0)
        yield node
        if not isinstance(node, _SCOPES):
            todo += ast.iter_child_nodes(node)


def name_of(tree: ast.Module) -> str:
    """A name for a cell that has none: its first statement that computes, and what tells it from others."""
    computing = [s for s in tree.body if not _is_trivial(s)] or tree.body
    text = ast.unparse(computing[0]).partition("\n")[0]
    return f"{textwrap.shorten(text, 40, placeholder=' ...')} [{digest_of(tree)[:4]}]"


def is_known_quick(digest: str, min_s: float) -> bool:
    """Whether a cell ran quicker than that before, with a key that cost more than it was worth."""
    record = records.load(_record(digest))
    return isinstance(record, float) and record < min_s


def was_quick(cell: Cell, entered: float, began: float) -> bool:
    """Whether a run that nobody asked to be saved is not worth it; a costly key for that is remembered."""
    if cell.min_s is None:
        return False
    ran_s = time.perf_counter() - began
    if ran_s < cell.min_s and began - entered > _KEY_SHARE * cell.min_s:
        note_seconds(cell.digest, ran_s)
    return ran_s < cell.min_s


def must_give(cell: Cell, name: str) -> bool:
    """Whether a hit must give back a name, whoever reads it: nobody asked for a block, so nobody expects a hole.

    What is closed by then (`with open(...) as stream`) and names with an underscore are no loss.
    """
    if cell.min_s is None or name.startswith("_"):
        return False
    handles = (
        item.optional_vars
        for node in ast.walk(cell.written)
        if isinstance(node, (ast.With, ast.AsyncWith))
        for item in node.items
    )
    return not any(isinstance(handle, ast.Name) and handle.id == name for handle in handles)


def note_seconds(digest: str, ran_s: float) -> None:
    """Remember how long a cell ran."""
    records.save(_record(digest), ran_s)


def is_news(digest: str, problem: str) -> bool:
    """Whether a cell that nobody named has not told this trouble before; once is enough."""
    known = (digest, problem) in _said
    _said.add((digest, problem))
    return not known


# (digest of a cell, problem)
_said: set[tuple[str, str]] = set()


def _record(digest: str) -> str:
    return records.name_of("quick", digest)
