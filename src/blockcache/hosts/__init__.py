"""Hosts: where a block runs, and what its source and its place are there.

A host is asked only when its library is already imported, and is reached by
name, so a plain script never loads anything for notebooks.
"""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import types
from typing import NamedTuple


class Place(NamedTuple):
    """Where a block stands.

    Attributes
    ----------
    host
        ``script``, ``ipython`` or ``marimo``.
    file
        For people: the file, or the cell.
    folder
        The directory of the script or notebook; settings and the store are looked for from there upward.
    """

    host: str
    file: str
    folder: str


#: Library that must be loaded -> the room that knows its notebooks, the more specific first.
_ROOMS = (("marimo", "blockcache.hosts.marimo_"), ("IPython", "blockcache.hosts.ipython"))


def place(frame: types.FrameType) -> Place:
    """Where the code of ``frame`` stands."""
    for library, room in _ROOMS:
        if library in sys.modules:
            found: Place | None = importlib.import_module(room).place(frame)
            if found is not None:
                return found
    file = frame.f_code.co_filename
    folder = os.path.dirname(os.path.abspath(file)) if os.path.exists(file) else os.getcwd()
    return Place("script", file, folder)


def source(frame: types.FrameType) -> str | None:
    """The text that the code of ``frame`` was compiled from, as far as it can be had."""
    file = frame.f_code.co_filename
    linecache.checkcache(file)  # a file that was edited since another tool read it
    return "".join(linecache.getlines(file, frame.f_globals)) or None
