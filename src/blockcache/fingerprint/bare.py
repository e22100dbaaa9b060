"""A block without source: what its body reads and binds, from the code object alone.

For code given to ``exec`` as a string, a module that ships as ``.pyc`` only, a
file that was edited after it was loaded. The key is on the whole code object,
so any edit of it misses; what a skip cannot honour is only seen when the body
is left, see :func:`left_at_end`.
"""

from __future__ import annotations

import dis
from types import CodeType, FrameType

import xxhash

from blockcache.analysis import Block, ImportRef
from blockcache.errors import BlockError
from blockcache.fingerprint.code import DYNAMIC, facts

_GOTO = ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "NOP", "CACHE", "EXTENDED_ARG")
_RETURNS = ("RETURN_VALUE", "RETURN_CONST")
_LEAVES = (*_RETURNS, "RAISE_VARARGS", "RERAISE")


class _Body:
    """The instructions of one ``with`` body, by index."""

    def __init__(self, code: CodeType, offset: int) -> None:
        self.steps = list(dis.get_instructions(code))
        self.place = {step.offset: i for i, step in enumerate(self.steps)}
        self.table = list(dis._parse_exception_table(code))  # type: ignore[attr-defined]
        self.start = self.place[offset]
        self.handler = self._handler(offset)
        self.after = self._after()

    def _handler(self, offset: int) -> int:
        """Index of the handler of the ``with`` itself: the range around its first instruction."""
        entry = max((e for e in self.table if e.start <= offset < e.end), key=lambda e: e.depth)
        return self.place[entry.target]

    def settle(self, i: int) -> int:
        """Follow jumps and no-ops."""
        seen: set[int] = set()
        while self.steps[i].opname in _GOTO and i not in seen:
            seen.add(i)
            jumps = self.steps[i].opname.startswith("JUMP")
            i = self.place[self.steps[i].argval] if jumps else i + 1
        return i

    def _after(self) -> int:
        """Index of the first instruction after the block, where a swallowed exception goes on."""
        i = self.handler
        while not self.steps[i].opname.endswith("IF_TRUE"):
            i += 1
        i = self.place[self.steps[i].argval]
        pops = 0
        while pops < 4:
            i = self.settle(i)
            pops += self.steps[i].opname in ("POP_TOP", "POP_EXCEPT")
            i += 1
        return self.settle(i)

    def body(self) -> list[int]:
        """Every instruction that can run between entering and leaving."""
        found: set[int] = set()
        todo = [self.start]
        while todo:
            i = todo.pop()
            if i in found or i in (self.after, self.handler) or i >= len(self.steps):
                continue
            found.add(i)
            step = self.steps[i]
            todo += [self.place[e.target] for e in self.table if e.start <= step.offset < e.end]
            if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
                todo.append(self.place[step.argval])
            if step.opname not in _LEAVES and not (step.opname in _GOTO and step.opname.startswith("JUMP")):
                todo.append(i + 1)
        return sorted(found)


def bare_block(code: CodeType, offset: int) -> Block:
    """The block that begins at byte ``offset`` of ``code``.

    Raises
    ------
    BlockError
        When the body unbinds a variable of a function, which a hit could not repeat.
    """
    body = _Body(code, offset)
    place = body.steps[body.start].positions
    line = (place.lineno if place else None) or 0
    reads: dict[str, set[tuple[str, ...]]] = {}
    writes: set[str] = set()
    deletes: set[str] = set()
    dynamic: list[tuple[str, int]] = []
    imports: list[ImportRef] = []
    as_store = body.settle(body.start)  # binds the block itself
    for i in body.body():
        step = body.steps[i]
        names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if i == as_store and step.opname.startswith("STORE_"):
            reads.update({name: {()} for name in names[1:]})  # 3.13 joins it with the first load of the body
            continue
        if step.opname.startswith("LOAD_") and isinstance(step.argval, (str, tuple)) and _names_variable(step):
            for name in names:
                reads.setdefault(name, set()).add(())
                if name in DYNAMIC:
                    dynamic.append((name, line))
        elif step.opname.startswith("STORE_") and _names_variable(step):
            writes.update(names)
        elif step.opname == "DELETE_NAME" or step.opname == "DELETE_GLOBAL":
            deletes.add(step.argval)
        elif step.opname in ("DELETE_FAST", "DELETE_DEREF"):
            raise BlockError(
                f"the block deletes {step.argval!r}, a variable of a function",
                file=code.co_filename,
                line=line,
                way_out="Set it to None instead, or delete it after the block.",
            )
        elif step.opname == "IMPORT_NAME":
            names_of, level = body.steps[i - 1].argval, body.steps[i - 2].argval
            imports += [ImportRef("", step.argval, name, level) for name in names_of or (None,)]
        elif hasattr(step.argval, "co_code"):
            for name, chains in facts(step.argval).globals.items():
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
        file=code.co_filename,
        line=line,
        end_line=line,
        source="",
    )


def _names_variable(step: dis.Instruction) -> bool:
    kinds = (dis.haslocal, dis.hasfree)
    if any(step.opcode in kind for kind in kinds):
        return True
    return step.opname in ("LOAD_NAME", "LOAD_GLOBAL", "STORE_NAME", "STORE_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")


def left_at_end(frame: FrameType, offset: int) -> bool:
    """Whether the body that is being left without an exception goes on right after the block.

    False when it was left by ``return``, ``break`` or ``continue``, which a skip could not honour.
    """
    body = _Body(frame.f_code, offset)
    i = body.place[frame.f_lasti] + 1
    while body.steps[i].opname == "CACHE":
        i += 1
    left = body.settle(body.settle(i) + 1)  # the result of __exit__ is dropped, then
    there = body.after
    while left != there:
        a, b = body.steps[left], body.steps[there]
        if (a.opname, a.argval) != (b.opname, b.argval):
            return False
        if a.opname in _RETURNS:  # two copies of the same end of the function
            return True
        left, there = body.settle(left + 1), body.settle(there + 1)
    return True
