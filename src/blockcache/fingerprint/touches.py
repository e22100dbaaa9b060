"""What code may set outside of its own names: assignments into objects, and calls, by the names that lead there.

Found from bytecode, so that functions are judged as they are loaded, and a module without reading its source. Values
are followed on a stack of attribute chains, in a straight line: branches need no care, because every statement
pushes what it uses itself.
"""

from __future__ import annotations

import dis
import opcode
from collections.abc import Sequence
from types import CodeType
from typing import Literal, NamedTuple

from blockcache.fingerprint.code import Step, steps_of

CALL, ITEM = "()", "[]"
#: First part of a chain that starts at a module which the code itself imports, or at a variable of a function.
IMPORT, LOCAL = "import ", "local "


class Touch(NamedTuple):
    """One way in which code may change something.

    Attributes
    ----------
    how
        ``sets`` an attribute or item, ``calls`` for the effect alone, ``uses`` the result of a call, ``hands`` a
        value to a call.
    chain
        The name that it starts from and the attributes that follow, with ``()`` for a call and ``[]`` for an item.
    """

    how: Literal["sets", "calls", "uses", "hands"]
    chain: tuple[str, ...]


_READS = frozenset(
    {
        "LOAD_CLASSDEREF",
        "LOAD_DEREF",
        "LOAD_FROM_DICT_OR_DEREF",
        "LOAD_FROM_DICT_OR_GLOBALS",
        "LOAD_GLOBAL",
        "LOAD_NAME",
    }
)
_BINDS = frozenset({"STORE_DEREF", "STORE_FAST", "STORE_GLOBAL", "STORE_NAME"})
_ENTERS = frozenset({"BEFORE_ASYNC_WITH", "BEFORE_WITH"})
_UNSTACKED = frozenset({"KW_NAMES", "MAKE_CELL", "COPY_FREE_VARS", "PUSH_NULL"})
_TOUCHING = frozenset(
    {
        "CALL",
        "CALL_FUNCTION_EX",
        "CALL_KW",
        "DELETE_ATTR",
        "DELETE_SUBSCR",
        "STORE_ATTR",
        "STORE_SLICE",
        "STORE_SUBSCR",
    }
)
_TELLING = frozenset(opcode.opmap[name] for name in _TOUCHING if name in opcode.opmap)
_FOLLOWED = _TOUCHING | {"IMPORT_FROM", "IMPORT_NAME"}
#: What ends a statement, as far as it matters here.
_ENDS = (
    _BINDS
    | _ENTERS
    | {"DELETE_ATTR", "DELETE_SUBSCR", "POP_TOP", "RETURN_VALUE", "STORE_ATTR", "STORE_SLICE", "STORE_SUBSCR"}
)
_Item = tuple[str, ...] | None


class _Follower:
    """Follows one code object."""

    def __init__(self) -> None:
        self.found: dict[Touch, None] = {}
        self.stack: list[_Item] = []
        self.names: dict[str, _Item] = {}

    def pop(self, count: int) -> list[_Item]:
        """The topmost items, unknown ones for those that this way of reading has missed."""
        kept = max(len(self.stack) - count, 0)
        popped = self.stack[kept:]
        del self.stack[kept:]
        return [None] * (count - len(popped)) + popped

    def touch(self, how: Literal["sets", "calls", "uses", "hands"], chain: _Item) -> None:
        if chain is not None:
            self.found[Touch(how, chain)] = None

    def follow(self, steps: Sequence[Step]) -> None:
        start = 0
        for end, last in enumerate(steps):
            if last.op in _ENDS:
                # Most statements of a module define a function: they are passed over.
                if any(steps[i].op in _FOLLOWED for i in range(start, end)) or last.op in _FOLLOWED:
                    for i in range(start, end + 1):
                        self.step(steps[i], steps[i + 1].op if i < end else "")
                start = end + 1

    def step(self, step: Step, following: str) -> None:
        op, stack = step.op, self.stack
        if op in _READS:
            stack.append(self.names.get(step.arg, (step.arg,)))
        elif op in ("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_AND_CLEAR"):
            stack.append(self.names.get(step.arg, (LOCAL + step.arg,)))
        elif op in _BINDS:
            (value,) = self.pop(1)
            # Other names lead to what they are bound to when they are looked up.
            if value and value[0].startswith(IMPORT):
                self.names[step.arg] = value
            else:
                self.names.pop(step.arg, None)
        elif op == "LOAD_ATTR":
            (owner,) = self.pop(1)
            stack.append(owner and (*owner, step.arg))
        elif op in ("STORE_ATTR", "DELETE_ATTR"):
            owner = self.pop(1)[0]
            self.pop(op == "STORE_ATTR")
            self.touch("sets", owner and (*owner, step.arg))
        elif op in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"):
            owner = self.pop(3 if op == "STORE_SLICE" else 2)[0]
            self.pop(op != "DELETE_SUBSCR")
            self.touch("sets", owner and (*owner, ITEM))
        elif op == "BINARY_SUBSCR":
            owner = self.pop(2)[0]
            stack.append(owner and (*owner, ITEM))
        elif op in ("CALL", "CALL_KW", "CALL_FUNCTION_EX"):
            more = int(op == "CALL_KW")
            handed = self.pop(1 + (step.arg & 1) if op == "CALL_FUNCTION_EX" else step.arg + more)
            callee = self.pop(1)[0]
            if op == "CALL" and not handed and callee is None and stack and stack[-1]:
                # A decorator: what it is called with lies where the callee of a call without arguments does.
                self.touch("uses", self.pop(1)[0])
                stack.append(None)
            else:
                self.call(callee, handed, following)
        elif op == "IMPORT_NAME":
            self.pop(2)
            stack.append((IMPORT + step.arg,))
        elif op == "IMPORT_FROM":
            owner = stack[-1] if stack else None
            stack.append(owner and (*owner, step.arg))
        elif op in _ENTERS:
            self.pop(1)
            stack += [None, None]
        elif op == "LOAD_SUPER_ATTR":
            self.pop(3)
            stack.append(None)
        elif op == "COPY":
            stack.append(stack[-step.arg] if step.arg <= len(stack) else None)
        elif op == "SWAP":
            if step.arg <= len(stack):
                stack[-1], stack[-step.arg] = stack[-step.arg], stack[-1]
        elif op == "LOAD_CONST":
            stack.append(None)
        elif op not in _UNSTACKED:
            self.other(step)

    def other(self, step: Step) -> None:
        number = opcode.opmap[step.op]
        arg = (step.arg if isinstance(step.arg, int) else 0) if number >= dis.HAVE_ARGUMENT else None
        effect = dis.stack_effect(number, arg, jump=False)
        if effect < 0:
            self.pop(-effect)
        # What it leaves on top may be the same object (a chain through `await`), or not.
        self.stack += [None] * max(effect, 0)

    def call(self, callee: _Item, handed: list[_Item], following: str) -> None:
        if callee in (("setattr",), ("delattr",)) and handed and handed[0]:
            self.touch("sets", (*handed[0], "?"))
        dropped = following == "POP_TOP" or following in _ENTERS
        self.touch("calls" if dropped else "uses", callee)
        for value in handed:
            self.touch("hands", value)
        if callee == ("vars",) and handed and handed[0]:
            self.stack.append((*handed[0], "__dict__"))
        else:
            self.stack.append(callee and (*callee, CALL))


def touches(code: CodeType) -> tuple[Touch, ...]:
    """What ``code`` may change; nested functions count, because it may call them."""
    found: dict[Touch, None] = {}
    todo = [code]
    while todo:
        current = todo.pop()
        if not _TELLING.isdisjoint(current.co_code[::2]):
            follower = _Follower()
            follower.follow(steps_of(current))
            found.update(follower.found)
        todo += [constant for constant in current.co_consts if isinstance(constant, CodeType)]
    return tuple(found)


def module_touches(code: CodeType) -> tuple[Touch, ...]:
    """What running a module's own statements may change; bodies of classes run, those of functions do not."""
    found: dict[Touch, None] = {}
    todo = [code]
    while todo:
        current = todo.pop()
        if not _TELLING.isdisjoint(current.co_code[::2]):
            follower = _Follower()
            follower.follow(steps_of(current))
            found.update(follower.found)
        # CO_NEWLOCALS: the body of a function. Those without a name (a comprehension, a lambda) may run at once.
        nested = [c for c in current.co_consts if isinstance(c, CodeType)]
        todo += [c for c in nested if not c.co_flags & 2 or c.co_name.startswith("<")]
    return tuple(found)
