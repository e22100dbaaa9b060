"""marimo: cells of a notebook, in its kernel (edit, run, export) and as a script."""

from __future__ import annotations

import os
import types

from blockcache.hosts import Place


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
