"""Random programs in which some names cannot be saved: whoever reads one after the block is known to.

A program runs once as it is. Then the block's names are taken away at its end, as a hit does, and it runs again: where the
analysis says that nobody misses them, it must do the same.

Run as a program for more: ``python tests/property/test_later_fuzz.py 20000 [seed]``.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

from blockcache.fingerprint.later import AT_END, after_block
from blockcache.frames import entry_point

NAMES = ["a", "b", "c"]


class Programs:
    """Writes statements over a few names; all of them end, and few raise."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.in_function = self.random.random() < 0.4
        self.functions: list[str] = []
        self.block_done = False
        self.fresh = 0

    def name(self) -> str:
        return self.random.choice(NAMES)

    def unique(self) -> str:
        self.fresh += 1
        return f"n{self.fresh}"

    def expression(self, depth: int = 0) -> str:
        pick = self.random.randrange(12)
        if pick < 5 or depth > 2:
            return self.name() if pick < 3 else str(pick)
        if pick == 5:
            return f"({self.expression(depth + 1)}, {self.expression(depth + 1)})"
        if pick == 6:
            return f"[{self.expression(depth + 1)} for {self.name()} in range({self.random.randrange(3)})]"
        if pick == 7:
            return f"(lambda {self.name()}=0: {self.expression(depth + 1)})()"
        if pick == 8 and self.functions:
            return f"{self.random.choice(self.functions)}()"
        if pick == 9:
            return f"({self.expression(depth + 1)} if flip() else {self.expression(depth + 1)})"
        if pick == 10:
            return f"({self.name()} := {self.expression(depth + 1)})" if depth == 0 else "flip()"
        return f"(flip() and {self.expression(depth + 1)})"

    def suite(self, depth: int, indent: str, block: bool = False) -> str:
        lines = [self.statement(depth, indent) for _ in range(self.random.randrange(1, 4))]
        if block:
            lines.insert(self.random.randrange(len(lines) + 1), self.block(indent))
        return "".join(lines)

    def block(self, indent: str) -> str:
        bound = self.random.sample(NAMES, self.random.randrange(1, 3))
        inner = "".join(f"{indent}    {name} = Bad({name!r})\n" for name in bound)
        if self.random.random() < 0.2:
            inner += self.function(indent + "    ")
        return f"{indent}with block({bound!r}):\n{inner}"

    def function(self, indent: str) -> str:
        made = self.unique()
        lines = [f"{indent}def {made}():\n"]
        if self.random.random() < 0.3:
            keyword = "nonlocal" if self.in_function else "global"
            name = self.name()
            lines.append(f"{indent}    {keyword} {name}\n")
            if self.random.random() < 0.5:
                lines.append(f"{indent}    {name} = {self.random.randrange(9)}\n")
        lines.append(f"{indent}    return {self.expression(2)}\n")
        self.functions.append(made)
        return "".join(lines)

    def statement(self, depth: int, indent: str, block: bool = False) -> str:
        inner = indent + "    "
        pick = self.random.randrange(8, 16) if block else self.random.randrange(16 if depth < 3 else 8)
        if pick < 3:
            return f"{indent}{self.name()} = {self.expression()}\n"
        if pick < 5:
            return f"{indent}say({self.expression()})\n"
        if pick == 5:
            return f"{indent}{self.name()} += {self.expression()}\n"
        if pick == 6:
            return f"{indent}if flip(): del {self.name()}\n"
        if pick == 7:
            return self.function(indent)
        count = len(self.functions)
        text = self._compound(pick, depth, indent, inner, block)
        if not block:
            del self.functions[count:]  # perhaps they were not made
        return text

    def _compound(self, pick: int, depth: int, indent: str, inner: str, block: bool) -> str:
        def suite(has_block: bool = False) -> str:
            return self.suite(depth + 1, inner, has_block)

        if pick == 8:
            other = suite() if self.random.random() < 0.5 else f"{inner}pass\n"
            return f"{indent}if flip() or {block}:\n{suite(block)}{indent}else:\n{other}"
        if pick in (9, 10):
            end = f"{inner}if flip(): {self.random.choice(['break', 'continue'])}\n" if not block else ""
            after = f"{indent}else:\n{suite()}" if self.random.random() < 0.4 else ""
            times = self.random.randrange(1 if block else 0, 3)
            return f"{indent}for {self.name()} in range({times}):\n{suite(block)}{end}{after}"
        if pick == 11:
            count = self.unique()
            return f"{indent}{count} = 0\n{indent}while {count} < 2:\n{inner}{count} += 1\n{suite(block)}"
        if pick == 12:
            return (
                f"{indent}try:\n{suite(block)}{indent}except (NameError, TypeError) as {self.name()}:\n{suite()}"
                f"{indent}finally:\n{suite()}"
            )
        if pick == 13:
            return f"{indent}try:\n{suite(block)}{indent}finally:\n{suite()}"
        if pick == 14:
            return (
                f"{indent}match {self.expression()}:\n{inner}case 0 | [_]:\n{self.suite(depth + 1, inner + '    ')}"
                f"{inner}case {self.name()}:\n{self.suite(depth + 1, inner + '    ', block)}"
            )
        made = self.unique()
        if block:
            return f"{indent}with quiet():\n{suite(block)}"
        return f"{indent}class {made}:\n{inner}{self.name()} = {self.expression()}\n{indent}say({made}.__dict__.get('a', 0))\n"

    def text(self) -> str:
        """A program with one block."""
        indent = "    " if self.in_function else ""
        start = "".join(f"{indent}{name} = {i}\n" for i, name in enumerate(NAMES))
        before = self.suite(0, indent)
        with_block = self.statement(0, indent, block=True) if self.random.random() < 0.7 else self.block(indent)
        after = self.suite(0, indent) + self.suite(0, indent)
        body = start + before + with_block + after
        return f"def main():\n{body}main()\n" if self.in_function else body


class Bad:
    """What cannot be saved; it shows where it is used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Bad {self.name}"

    def __iadd__(self, other: object) -> Bad:
        return Bad(f"{self.name}+")

    __add__ = __radd__ = __iadd__

    def __bool__(self) -> bool:
        return True


class Run:
    """One run: what it says, and, where names are taken away, who was asked about them."""

    def __init__(self, text: str, seed: int, *, take: bool) -> None:
        self.said: list[str] = []
        self.coins = random.Random(seed)
        self.take = take
        self.refused = False
        space: dict[str, Any] = {
            "__name__": "__main__",
            "Bad": Bad,
            "say": lambda value: self.said.append(repr(value)),
            "flip": lambda: self.coins.random() < 0.5,
            "block": self.block,
            "quiet": Quiet,
        }
        code: CodeType = compile(text, "<program>", "exec")
        try:
            exec(code, space)
        except Exception as error:
            self.said.append(f"{type(error).__name__}: {error}")

    def block(self, names: list[str]) -> Block:
        return Block(self, names)


class Quiet:
    """Swallows what its body raises."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        return kind is not None and issubclass(kind, (NameError, TypeError))


class Block:
    """Stands for a block; at its end the names are gone that nobody is said to miss."""

    def __init__(self, run: Run, names: list[str]) -> None:
        self.run = run
        self.names = names

    def __enter__(self) -> None:
        frame = sys._getframe(1)
        offset = entry_point(frame).offset
        local = bool(frame.f_code.co_flags & 1)
        self.gone = [n for n in self.names if after_block(frame.f_code, offset, n) in (AT_END, None)]
        self.run.refused |= len(self.gone) < len(self.names)
        self.frame = frame
        self.local = local

    def __exit__(self, *_error: object) -> None:
        if not self.run.take:
            return
        for name in self.gone:
            if self.local:
                # A variable of a function stays bound, to what it was: nobody looks.
                _set_local(self.frame, name, LACKING)
            else:
                self.frame.f_globals.pop(name, None)


class _Lacking:
    def __repr__(self) -> str:
        return "lacking"

    def __bool__(self) -> bool:
        raise AssertionError("a name that is lacking was read")

    __add__ = __radd__ = __iadd__ = __iter__ = __bool__  # type: ignore[assignment]


LACKING = _Lacking()


def _set_local(frame: Any, name: str, value: object) -> None:
    from blockcache.frames import Namespace

    Namespace(frame).assign({name: value})


def programs(count: int, seed: int) -> Iterator[tuple[int, str]]:
    for number in range(seed, seed + count):
        yield number, Programs(number).text()


def check(count: int, seed: int = 0) -> tuple[int, int]:
    """(programs that could do without their names, those that could not)."""
    without = needed = 0
    for number, text in programs(count, seed):
        for coins in range(3):
            as_it_is = Run(text, coins, take=False)
            taken = Run(text, coins, take=True)
            assert taken.said == as_it_is.said, (
                f"program {number}, coins {coins}\n{text}\n{as_it_is.said}\n{taken.said}"
            )
        without += not taken.refused
        needed += taken.refused
    return without, needed


def test_nobody_misses_what_is_taken_away() -> None:
    """And it is not that every name is said to be missed."""
    without, needed = check(250)
    assert without > 30 and needed > 30, (without, needed)


if __name__ == "__main__":
    print(check(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
