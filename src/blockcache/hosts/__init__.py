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


class Ran(NamedTuple):
    """A cell that ran in the block's module before the block, or the one that the block stands in.

    Attributes
    ----------
    text
        Its source, plain Python.
    file
        For people.
    certain
        It ran to its end.
    current
        The code of the frame stands in it.
    prefix
        What the host puts before names that begin with one underscore.
    """

    text: str
    file: str
    certain: bool = True
    current: bool = False
    prefix: str = ""


def turn() -> int:
    """How many cells a notebook has run: what runs again in another cell was asked for again; 0 in a script."""
    room = sys.modules.get("blockcache.hosts.ipython")
    return room.turn() if room is not None else 0


def keeps(namespace: dict[str, object], name: str) -> bool:
    """Whether a notebook itself binds a name in this namespace, as it goes: its history of inputs and outputs."""
    room = sys.modules.get("blockcache.hosts.ipython")
    return room is not None and bool(room.keeps(namespace, name))


def executed(frame: types.FrameType) -> list[Ran] | None:
    """The cells that ran before the code of ``frame``, in order, its own last; None where a file is all that runs.

    Raises
    ------
    LookupError
        When the host does not tell.
    """
    for library, room in _ROOMS:
        if library in sys.modules:
            found: list[Ran] | None = importlib.import_module(room).executed(frame)
            if found is not None:
                return found
    return None


class Afterwards(NamedTuple):
    """Code of a notebook that may run after the code of a frame is over.

    Attributes
    ----------
    earlier
        What has run of its cell, where it is not part of the frame's code.
    rest
        What is left of its cell, in order.
    others
        Other cells, with what they are called.
    """

    earlier: tuple[types.CodeType, ...]
    rest: tuple[types.CodeType, ...]
    others: tuple[tuple[str, types.CodeType], ...]


def afterwards(frame: types.FrameType) -> Afterwards | None:
    """What may run after the code of ``frame``; None where a file is all that runs.

    Raises
    ------
    LookupError
        When the host does not tell.
    """
    for library, room in _ROOMS:
        if library in sys.modules:
            found: Afterwards | None = importlib.import_module(room).afterwards(frame)
            if found is not None:
                return found
    return None
