"""The block that a frame is entering: where it stands, its statement, and what ran before it."""

from __future__ import annotations

from types import CodeType, FrameType

from blockcache import cells, earlier, hosts, index
from blockcache.analysis import Block, analyse
from blockcache.fingerprint.bare import bare_block
from blockcache.frames import Entry, Located, locate
from blockcache.hosts import Place
from blockcache.settings import Settings

# By identity of the code object, which is kept alive: (code, place, block).
_examined: dict[tuple[int, int], tuple[CodeType, Place, Block]] = {}


def place_of(frame: FrameType) -> Place:
    """Where the code of ``frame`` stands; asked once for a block."""
    known = _examined.get((id(frame.f_code), frame.f_lasti))
    return known[1] if known is not None else hosts.place(frame)


def examine(frame: FrameType, entry: Entry, place: Place, chosen: Settings, cell: cells.Cell | None = None) -> Block:
    """The block that ``frame`` is entering, from its source or, where there is none, from its code object.

    Raises
    ------
    BlockError
        When the body holds something that a skip cannot honour.
    """
    code, offset = frame.f_code, frame.f_lasti
    known = _examined.get((id(code), offset))
    if known is not None:
        return known[2]
    block = index.recall(code, offset)
    if block is None:
        statement = located(frame, cell)
        block = analyse(statement, code) if statement is not None else bare_block(code, entry.offset)
        if statement is not None and chosen.mode not in ("readonly", "frozen"):
            index.remember(code, offset, block)
    _examined[id(code), offset] = (code, place, block)
    return block


def located(frame: FrameType, cell: cells.Cell | None) -> Located | None:
    """The statement that ``frame`` is entering: the one around a whole cell, or one that a person has written."""
    if cell is not None:
        return cells.located(cell, frame, hosts.source(frame))
    around = cells.of(frame.f_code)
    return locate(frame, lambda: hosts.source(frame), around.tree if around is not None else None)


def ran(frame: FrameType) -> tuple[earlier.Ran, ...]:
    """The statements that ran before the one that ``frame`` stands at, in callers and in cells."""
    return (*earlier.callers(frame), *earlier.cells(frame))
