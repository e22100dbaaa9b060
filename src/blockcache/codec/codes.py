"""Code objects: which code of the running program is the one that was saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import CodeType


def running(saved: CodeType, roots: Iterable[CodeType]) -> CodeType:
    """The code below ``roots`` that does what ``saved`` does, by the same name; ``saved`` itself where there is none.

    A run would have given that very code, with the file and the lines where it stands now.
    """
    bare = _bare(saved)
    found = [code for code in all_of(roots) if code.co_qualname == saved.co_qualname and _bare(code) == bare]
    # Of look-alikes on several lines, the one that stood there.
    return min(found, key=lambda code: abs(code.co_firstlineno - saved.co_firstlineno), default=saved)


def all_of(roots: Iterable[CodeType]) -> Iterator[CodeType]:
    """Code objects and those in them, each once."""
    todo, seen = list(roots), set[int]()
    while todo:
        code = todo.pop()
        if id(code) not in seen:
            seen.add(id(code))
            yield code
            todo += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _bare(code: CodeType) -> CodeType:
    """The code without where it stands."""
    constants = tuple(_bare(c) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_filename="", co_firstlineno=1, co_linetable=b"", co_consts=constants)
