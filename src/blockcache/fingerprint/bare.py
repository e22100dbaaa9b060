"""A block without source: what its body reads and binds, from the code object alone.

For code given to ``exec`` as a string, a module that ships as ``.pyc`` only, a
file that was edited after it was loaded. The key is on the whole code object,
so any edit of it misses; what a skip cannot honour is only seen when the body
is left, see :func:`left_at_end`.
"""

from __future__ import annotations

import dis
import itertools
from types import CodeType, FrameType

import xxhash

from blockcache.analysis import Block, ImportRef
from blockcache.errors import BlockError
from blockcache.fingerprint.code import DYNAMIC, GOTO, LEAVES, facts, places, steps_of

_VARIABLE_LOADS = ("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_LOADS = (*_VARIABLE_LOADS, "LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_CLOSURE")
_STORES = ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL")


class Body:
    """The steps of one ``with`` body, by index."""

    def __init__(self, code: CodeType, offset: int) -> None:
        self.steps = steps_of(code)
        self.place = places(code, self.steps)
        self.table = list(dis._parse_exception_table(code))  # type: ignore[attr-defined]
        self.start = self.place[offset]
        # The handler of the `with` itself: the innermost range around its first instruction.
        around = max((e for e in self.table if e.start <= offset < e.end), key=lambda e: e.depth)
        self.handler = self.place[around.target]
        self.after = self._after()

    def settle(self, i: int) -> int:
        """Follow jumps."""
        seen: set[int] = set()
        while self.steps[i].op in GOTO and i not in seen:
            seen.add(i)
            i = self.place[self.steps[i].jump]
        return i

    def _after(self) -> int:
        """Index of the first step after the block, where a swallowed exception goes on."""
        i = self.handler
        while not self.steps[i].op.endswith("IF_TRUE"):
            i += 1
        i = self.place[self.steps[i].jump]
        pops = 0
        while pops < 4:
            i = self.settle(i)
            pops += self.steps[i].op in ("POP_TOP", "POP_EXCEPT")
            i += 1
        return self.settle(i)

    def body(self) -> list[int]:
        """Every step that can run between entering and leaving."""
        found: set[int] = set()
        todo = [self.start]
        while todo:
            i = todo.pop()
            if i in found or i in (self.after, self.handler) or i >= len(self.steps):
                continue
            found.add(i)
            step = self.steps[i]
            todo += [self.place[e.target] for e in self.table if e.start <= step.offset < e.end]
            if step.jump >= 0:
                todo.append(self.place[step.jump])
            if step.op not in LEAVES and step.op not in GOTO:
                todo.append(i + 1)
        return sorted(found)


def bare_block(code: CodeType, offset: int) -> Block:
    """The block that begins at byte ``offset`` of ``code``.

    Raises
    ------
    BlockError
        When the body unbinds a variable of a function, which a hit could not repeat.
    """
    body = Body(code, offset)
    line = next(itertools.islice(code.co_positions(), offset // 2, None))[0] or 0
    reads: dict[str, set[tuple[str, ...]]] = {}
    writes: set[str] = set()
    deletes: set[str] = set()
    dynamic: list[tuple[str, int]] = []
    imports: list[ImportRef] = []
    # The step that binds the block itself, where it has a name.
    as_store = body.start if body.steps[body.start].op in _STORES else -1
    for i in body.body():
        step = body.steps[i]
        if step.op in _LOADS:
            reads.setdefault(step.arg, set()).add(())
            if step.arg in DYNAMIC:
                dynamic.append((step.arg, line))
        elif step.op in _STORES and i != as_store:
            writes.add(step.arg)
        elif step.op in ("DELETE_NAME", "DELETE_GLOBAL"):
            deletes.add(step.arg)
        elif step.op in ("DELETE_FAST", "DELETE_DEREF"):
            raise BlockError(
                f"the block deletes {step.arg!r}, a variable of a function",
                file=code.co_filename,
                line=line,
                way_out="Set it to None instead, or delete it after the block.",
            )
        elif step.op == "IMPORT_NAME":
            names, level = body.steps[i - 1].arg, body.steps[i - 2].arg
            top = step.arg.partition(".")[0]
            imports += [ImportRef(name or top, step.arg, name, level) for name in names or (None,)]
        elif isinstance(step.arg, CodeType):
            for name, chains in facts(step.arg).globals.items():
                reads.setdefault(name, set()).update(chains)
    return Block(
        digest=xxhash.xxh3_128_hexdigest(f"code object {facts(code).digest} {body.start}".encode()),
        reads={name: tuple(sorted(chains)) for name, chains in sorted(reads.items())},
        writes=frozenset(writes),
        definite=frozenset(),
        deletes=frozenset(deletes),
        imports=tuple(imports),
        dynamic=tuple(dynamic),
        reads_doc=facts(code).reads_doc,
        texts=tuple(constant for constant in code.co_consts if isinstance(constant, str)),
        written={},
        file=code.co_filename,
        line=line,
        end_line=line,
        source="",
    )


def left_at_end(frame: FrameType, offset: int) -> bool:
    """Whether the body that is being left without an exception goes on right after the block.

    False when it was left by ``return``, ``break`` or ``continue``, which a skip could not honour.
    """
    body = Body(frame.f_code, offset)
    left = body.settle(body.place[frame.f_lasti] + 1)
    if body.steps[left].op == "GET_AWAITABLE":  # then a constant, and SEND
        left = body.settle(body.place[body.steps[left + 2].jump])
        left += body.steps[left].op == "END_SEND"
    left = body.settle(left + 1)  # the result of __exit__ is dropped, then
    there = body.after
    while left != there:
        a, b = body.steps[left], body.steps[there]
        # Where a variable may be unbound, one copy of the code checks it and the other does not.
        if (a.op.removesuffix("_CHECK"), a.arg) != (b.op.removesuffix("_CHECK"), b.arg):
            return False
        if a.op == "RETURN_VALUE":  # two copies of the same end of the function
            return True
        left, there = body.settle(left + 1), body.settle(there + 1)
    return True
