"""Where a block begins: the one instruction at which its body can be skipped.

Right after `__enter__` returns, the interpreter executes one instruction that
belongs to the `with` header: it drops the result or stores it in the name
after `as`. It is the only instruction that the compiler puts inside the range
of the `with` for every body. Where a body starts with `try:`, or is only
`pass` or a docstring, the first instruction of the next line lies outside, and
an exception raised there would escape the block.
"""

from __future__ import annotations

from opcode import EXTENDED_ARG, opmap, opname
from types import CodeType, FrameType
from typing import NamedTuple

from blockcache.errors import BlockError

_BEFORE_WITH = opmap["BEFORE_WITH"]


class Entry(NamedTuple):
    """The entry point of one block.

    Attributes
    ----------
    offset
        Byte offset of the instruction right after `__enter__` returns.
    as_name
        The name that this instruction stores, as the code object spells it. A
        skip prevents the store, so that whoever skips assigns the name.
    """

    offset: int
    as_name: str | None


def entry_point(frame: FrameType) -> Entry:
    """Find the entry point of the `with` statement whose `__enter__` ``frame`` is calling.

    Raises
    ------
    BlockError
        When ``frame`` is not executing the header of a `with` statement, or
        when the target after `as` is not a plain name.
    """
    code = frame.f_code
    instructions = code.co_code
    before = frame.f_lasti
    if before < 0 or instructions[before] != _BEFORE_WITH:
        user = _outside_contextlib(frame)
        raise BlockError(
            "the block is entered by a call, not by the header of a `with` statement, so its body cannot be skipped",
            file=user.f_code.co_filename,
            line=user.f_lineno or 0,
            way_out="Make it an item of a `with` statement of its own, without ExitStack or a call of `__enter__`.",
        )
    offset = before + 2
    at, argument = offset, instructions[offset + 1]
    while instructions[at] == EXTENDED_ARG:
        at += 2
        argument = argument << 8 | instructions[at + 1]
    name = opname[instructions[at]]
    if name == "POP_TOP":
        return Entry(offset, None)
    stored = _stored_name(code, name, argument)
    if stored is None:
        raise BlockError(
            "the target after `as` is not a plain name",
            file=code.co_filename,
            line=frame.f_lineno or 0,
            way_out="Write `as name`, and assign from that name after the block.",
        )
    return Entry(offset, stored)


def variable_name(code: CodeType, index: int) -> str:
    """The name of a fast local, cell or free variable by its slot."""
    name: str = code._varname_from_oparg(index)  # type: ignore[attr-defined]
    return name


def _stored_name(code: CodeType, operation: str, argument: int) -> str | None:
    if operation in ("STORE_NAME", "STORE_GLOBAL"):
        return code.co_names[argument]
    if operation in ("STORE_FAST", "STORE_DEREF"):
        return variable_name(code, argument)
    if operation == "STORE_FAST_LOAD_FAST":  # 3.13, where the body starts on the line of the header
        return variable_name(code, argument >> 4)
    return None


def _outside_contextlib(frame: FrameType) -> FrameType:
    """The line that a user can change when an ExitStack enters the block."""
    while frame.f_globals.get("__name__") == "contextlib" and frame.f_back is not None:
        frame = frame.f_back
    return frame
