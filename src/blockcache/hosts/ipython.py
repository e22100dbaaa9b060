"""IPython and Jupyter: cells of a live kernel."""

from __future__ import annotations

import os
import types

from IPython import get_ipython

from blockcache.hosts import Place


def place(frame: types.FrameType) -> Place | None:
    """The place of a cell's code; None for code of imported files and outside a kernel."""
    shell = get_ipython()
    if shell is None or frame.f_globals is not shell.user_ns:
        return None
    # ipykernel tells the notebook's path to what it starts; a relative one is relative to the server.
    notebook = os.environ.get("JPY_SESSION_NAME", "")
    known = os.path.isabs(notebook) and os.path.exists(notebook)
    folder = os.path.dirname(notebook) if known else os.getcwd()
    cell = f"cell [{shell.execution_count}]"
    return Place("ipython", f"{os.path.basename(notebook)} {cell}" if known else cell, folder)
