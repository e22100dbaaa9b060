"""marimo: cells of a notebook, in its kernel (edit, run, export) and as a script."""

from __future__ import annotations

import ast
import os
import types
from typing import Any

from blockcache import cells
from blockcache.hosts import Afterwards, Place, Ran


def place(frame: types.FrameType) -> Place | None:
    """The place of a cell's code; None for code that is no cell's."""
    file = frame.f_code.co_filename
    in_kernel = os.path.basename(file).startswith("__marimo__cell_")
    if in_kernel:
        notebook = frame.f_globals.get("__file__")
        if not isinstance(notebook, str):  # a notebook that has not been saved yet
            return Place("marimo", "unsaved notebook", os.getcwd())
        # Lines are counted within the cell there.
        return Place("marimo", f"{notebook} cell", os.path.dirname(os.path.abspath(notebook)))
    if frame.f_code.co_flags & 2 or not _runs_as_script():
        return None
    return Place("marimo", file, os.path.dirname(os.path.abspath(file)))


def _runs_as_script() -> bool:
    """Whether a notebook is being run as a script; marimo's word for it is private, so it may go away."""
    try:
        from marimo._runtime.context import get_context

        get_context()
    except Exception:
        return False
    return True


def _running(text: str, frame: types.FrameType, file: str, prefix: str) -> list[Ran]:
    """The cell that runs. Where it runs as blocks, its last expression is one of its own: the rest ran before it."""
    wrapped = cells.of(frame.f_code)
    if wrapped is None:
        return [Ran(text, file, current=True, prefix=prefix)]
    tree = ast.parse(text)
    alone = len(wrapped.written.body) == 1 and ast.dump(wrapped.written.body[0]) == ast.dump(tree.body[-1])
    before = ast.unparse(ast.Module(tree.body[:-1], [])) if alone else ""
    found = [Ran(before, file, prefix=prefix)] if before else []
    return [*found, Ran(ast.unparse(wrapped.tree), file, current=True, prefix=prefix)]


def executed(frame: types.FrameType) -> list[Ran] | None:
    """The cells that come before the running one, in the order of the notebook's graph; None for other code."""
    if place(frame) is None:
        return None
    try:
        from marimo._runtime.context import get_context
        from marimo._runtime.dataflow import topological_sort

        context = get_context()
        graph: Any = context.graph
        running: Any = context.cell_id or context.execution_context.cell_id
        order = topological_sort(graph, set(graph.cells))
        ancestors = graph.ancestors(running)
        # A cell that this one does not depend on may change what both share, or may not have run.
        ran = [
            Ran(graph.cells[cell].code, f"cell {number}", certain=cell in ancestors, prefix=f"_cell_{cell}")
            for number, cell in enumerate(order[: order.index(running)], 1)
        ]
        return [*ran, *_running(graph.cells[running].code, frame, f"cell {len(ran) + 1}", f"_cell_{running}")]
    except Exception as error:  # private names of marimo, which may go away
        raise LookupError(f"marimo does not tell its cells ({type(error).__name__})") from error


def afterwards(frame: types.FrameType) -> Afterwards | None:
    """The last expression of the running cell, and the other cells of the notebook; None for other code."""
    if place(frame) is None:
        return None
    try:
        from marimo._runtime.context import get_context

        context = get_context()
        all_cells: Any = context.graph.cells
        running: Any = context.cell_id or context.execution_context.cell_id
        last = all_cells[running].last_expr
        others = [
            (f"cell {number}", code)
            for number, (cell, found) in enumerate(all_cells.items(), 1)
            if cell != running
            for code in (found.body, found.last_expr)
            if code is not None
        ]
        wrapped = cells.of(frame.f_code)
        if wrapped is not None and wrapped.min_s is not None:
            # Nobody asked for this block: a cell that is added later must not find a name missing.
            names = "\n".join(sorted(all_cells[running].defs))
            others.append(("a cell that comes later", compile(names, "<cell>", "exec")))
        return Afterwards((), () if last is None else (last,), tuple(others))
    except Exception as error:  # private names of marimo, which may go away
        raise LookupError(f"marimo does not tell its cells ({type(error).__name__})") from error
