"""Where a block begins: the one instruction at which its body can be skipped.

Right after `__enter__` returns, the interpreter executes one instruction that
belongs to the `with` header: it drops the result or stores it in the name
after `as`. It is the only instruction that the compiler puts inside the range
of the `with` for every body. Where a body starts with `try:`, or is only
`pass` or a docstring, the first instruction of the next line lies outside, and
an exception raised there would escape the block.

The same for `async with` once `__aenter__` was awaited, but from 3.12 on that
one comes second: END_SEND, which ends the awaiting, lies outside the range.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from opcode import EXTENDED_ARG, opmap, opname
from types import CodeType, FrameType
from typing import Any, NamedTuple, TypeVar

from blockcache.errors import BlockError

_T = TypeVar("_T")

_BEFORE_WITH = opmap["BEFORE_WITH"]
_BEFORE_ASYNC_WITH = opmap["BEFORE_ASYNC_WITH"]
_SEND = opmap["SEND"]
_CACHE = opmap["CACHE"]
_END_SEND = opmap.get("END_SEND")


class Entry(NamedTuple):
    """The entry point of one block.

    Attributes
    ----------
    offset
        Byte offset of the instruction at which the body can be skipped.
    entered
        Byte offset of the first instruction after `__enter__`, or the awaiting of `__aenter__`; the same as ``offset``
        but for `async with` from 3.12 on.
    as_name
        The name that this instruction stores, as the code object spells it. A
        skip prevents the store, so that whoever skips assigns the name.
    """

    offset: int
    entered: int
    as_name: str | None


def entry_point(frame: FrameType) -> Entry:
    """Find the entry point of the `with` statement whose `__enter__` or `__aenter__` ``frame`` is calling.

    Raises
    ------
    BlockError
        When ``frame`` is not executing the header of a `with` statement, or
        when the target after `as` is not a plain name.
    """
    code = frame.f_code
    instructions = code.co_code
    before = frame.f_lasti
    if before < 0 or instructions[before] not in (_BEFORE_WITH, _BEFORE_ASYNC_WITH):
        user = _outside_contextlib(frame)
        raise BlockError(
            "the block is entered by a call, not by the header of a `with` statement, so its body cannot be skipped",
            file=user.f_code.co_filename,
            line=user.f_lineno or 0,
            way_out="Make it an item of a `with` statement of its own, without ExitStack or a call of `__enter__`.",
        )
    entered = offset = before + 2
    if instructions[before] == _BEFORE_ASYNC_WITH:
        entered = offset = _awaited(instructions, offset)
        if instructions[offset] == _END_SEND:
            offset += 2
    at, argument = offset, instructions[offset + 1]
    while instructions[at] == EXTENDED_ARG:
        at += 2
        argument = argument << 8 | instructions[at + 1]
    name = opname[instructions[at]]
    if name == "POP_TOP":
        return Entry(offset, entered, None)
    stored = _stored_name(code, name, argument)
    if stored is None:
        raise BlockError(
            "the target after `as` is not a plain name",
            file=code.co_filename,
            line=frame.f_lineno or 0,
            way_out="Write `as name`, and assign from that name after the block.",
        )
    return Entry(offset, entered, stored)


def _awaited(instructions: bytes, at: int) -> int:
    """Where the awaiting that begins at ``at`` goes on when it is over."""
    while instructions[at] != _SEND:
        at += 2
    jump = instructions[at + 1]  # a few instructions, whatever the body
    at += 2
    while instructions[at] == _CACHE:
        at += 2
    return at + 2 * jump


class Done(Awaitable[_T]):
    """What `__aenter__` and `__aexit__` return: awaited, it acts and is over; no other task runs before the body.

    Parameters
    ----------
    act
        Called when it is awaited; returns what the awaiting gives.
    """

    __slots__ = ("_act",)

    def __init__(self, act: Callable[[], _T]) -> None:
        self._act = act

    def __await__(self) -> Generator[Any, Any, _T]:
        return self  # type: ignore[return-value]

    def __next__(self) -> None:
        raise StopIteration(self._act())


class Later(Done[_T]):
    """What acts after something else was awaited, and other tasks ran.

    Parameters
    ----------
    first
        What to await first.
    act
        As of :class:`Done`.
    """

    __slots__ = ("_first",)

    def __init__(self, first: Coroutine[Any, Any, None], act: Callable[[], _T]) -> None:
        super().__init__(act)
        self._first = first

    def __next__(self) -> Any:
        return self._go_on(self._first.send, None)

    def send(self, value: object) -> Any:
        """Go on with what the event loop gives."""
        return self._go_on(self._first.send, value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error: the task is cancelled."""
        return self._go_on(self._first.throw, *error)

    def close(self) -> None:
        """Stop waiting."""
        self._first.close()

    def _go_on(self, step: Callable[..., Any], *given: Any) -> Any:
        try:
            return step(*given)
        except StopIteration:
            pass
        raise StopIteration(self._act())


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
