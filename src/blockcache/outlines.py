"""What statements that ran may change, kept on disk so that a large source is parsed only when one of them matters."""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from blockcache import records
from blockcache.analysis.effects import compiled, later
from blockcache.analysis.vocabulary import dotted
from blockcache.deep import with_deep_recursion
from blockcache.fingerprint.touches import IMPORT, Touch, module_touches


class Outline(NamedTuple):
    """What statements may change.

    Attributes
    ----------
    given
        Names that they give to parts of modules: (name, module or chain from a name, attribute).
    touches
        Number of a statement, and its touches, for those that have any.
    """

    given: tuple[tuple[str, str, str], ...]
    touches: tuple[tuple[int, tuple[Touch, ...]], ...]


def recalled(name: str) -> Outline | None:
    """The outline that an earlier process left under that name."""
    try:
        given, touched = records.load(name)
        return Outline(
            tuple((str(to), str(start), str(rest)) for to, start, rest in given),
            tuple((int(n), tuple(Touch(how, tuple(chain)) for how, chain in found)) for n, found in touched),
        )
    except (TypeError, ValueError):
        return None


def _outline(statements: tuple[ast.stmt, ...]) -> Outline:
    touched = with_deep_recursion(lambda: [(n, _touches_of(node)) for n, node in enumerate(statements)])
    return Outline(tuple(_given(statements)), tuple((n, found) for n, found in touched if found))


# By identity of the statement, which is kept: cells are part of more and more sources.
_touches: dict[int, tuple[ast.stmt, tuple[Touch, ...]]] = {}


def _touches_of(node: ast.stmt) -> tuple[Touch, ...]:
    known = _touches.get(id(node))
    if known is None:
        plain = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.decorator_list
        code = compiled(node) if not plain else None
        known = _touches[id(node)] = (node, module_touches(code) if code is not None else ())
    return known[1]


def _given(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, str, str]]:
    """Names that statements may give to objects which a library's module holds: tables, configurations."""
    for node in statements:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{IMPORT}{node.module}", alias.name
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            root, _, rest = dotted(node.value).partition(".")
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, root, rest


class Source:
    """The statements that ran in one place, in order, of compound ones around the block the heads.

    What they may change is kept on disk, and they are parsed only when one of them matters.

    Parameters
    ----------
    parse
        Gives them; None when the source is not that of the running code.
    code
        Gives the running code.
    record
        Gives the name of the record on disk; "" without one.
    line
        Where the block stands.
    """

    def __init__(
        self,
        parse: Callable[[], tuple[ast.stmt, ...] | None],
        code: Callable[[], types.CodeType | None] = lambda: None,
        record: Callable[[], str] = str,
        line: int | None = None,
    ) -> None:
        self._parse = parse
        self._record = record
        self._line = line
        self.code = code

    @functools.cached_property
    def statements(self) -> tuple[ast.stmt, ...] | None:
        """The statements; None when the source is not that of the running code."""
        return self._parse()

    @functools.cached_property
    def later(self) -> frozenset[int]:
        """Identities of the statements behind the block in a loop: whether they ran cannot be known."""
        return later(self.statements or (), self._line) if self._line is not None else frozenset()

    @functools.cached_property
    def outline(self) -> Outline | None:
        """What the statements may change; None when they are not known."""
        name = self._record()
        known = recalled(name) if name else None
        if known is None and self.statements is not None:
            known = _outline(self.statements)
            if name:
                records.save(name, known)
        return known

    def forget(self) -> None:
        """Go by the statements alone, because the record is of a source that is no longer there."""
        self.__dict__.pop("outline", None)
        self._record = str
