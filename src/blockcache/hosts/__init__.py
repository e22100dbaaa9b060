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
from collections.abc import Callable
from typing import Any, NamedTuple


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


#: Takes the arguments of a host's function that shows something; gives the event that stands for it.
Describe = Callable[..., tuple[Any, ...]]
#: Library that must be loaded -> the room that knows how its notebooks show things.
_SHOWING = (("marimo", "blockcache.hosts.marimo_output"), ("IPython", "blockcache.hosts.ipython_display"))


def showing() -> list[Any]:
    """Rooms of hosts that run now and can show things.

    Each has ``shown_by()``: triples of an object, the name of its function that shows, and what describes a call;
    ``settled(events)``, those that make the same picture in the end; ``finished(events, problem)``, as values that
    can be kept; ``show_again(event)``, which tells whether it is one of its own.
    """
    rooms = [importlib.import_module(room) for library, room in _SHOWING if library in sys.modules]
    return [room for room in rooms if room.runs()]


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


def watch(block: str, look: Callable[[types.CodeType], bool]) -> None:
    """In Jupyter, call ``look`` with the code of every cell that runs after this one, until it returns False."""
    room = sys.modules.get("blockcache.hosts.ipython")
    if room is not None:
        room.watch(block, look)


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
