"""What a skip could not honour: refused before the body starts, on a miss as on a hit."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import NoReturn

from blockcache.analysis.facts import Facts, Frame
from blockcache.errors import BlockError

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_MOVE = "Move it out of the block"


class Refusal:
    """Raises :class:`BlockError` for one file."""

    def __init__(self, file: str) -> None:
        self.file = file

    def at(self, line: int, problem: str, way_out: str) -> NoReturn:
        """Raise for a problem at a line of the file."""
        raise BlockError(problem, file=self.file, line=line, way_out=way_out)


def refuse_control_flow(body: list[ast.stmt], refuse: Refusal) -> None:
    """Refuse statements that leave the block, or suspend it, and `import *`.

    Raises
    ------
    BlockError
        For the first such statement.
    """
    todo: list[tuple[ast.AST, bool]] = [(s, False) for s in reversed(body)]
    while todo:
        node, in_loop = todo.pop()
        _refuse_statement(node, in_loop, refuse)
        inner: list[tuple[ast.AST, bool]]
        if isinstance(node, _LOOPS):
            # `break` in an `else` clause belongs to the loop outside.
            after = {id(n) for n in node.orelse}
            inner = [(n, in_loop if id(n) in after else True) for n in ast.iter_child_nodes(node)]
        elif isinstance(node, _SCOPES):
            # Only decorators, defaults and bases belong to the block itself; `yield` can stand there too.
            parts = [] if isinstance(node, ast.Lambda) else list[ast.AST](node.decorator_list)
            parts += [*node.bases, *node.keywords] if isinstance(node, ast.ClassDef) else [node.args]
            inner = [(n, in_loop) for n in parts]
        else:
            inner = [(n, in_loop) for n in ast.iter_child_nodes(node)]
        todo.extend(reversed(inner))


def _refuse_statement(node: ast.AST, in_loop: bool, refuse: Refusal) -> None:
    match node:
        case ast.Return():
            way_out = "Assign the value in the block and return it after the block"
            refuse.at(node.lineno, "`return` leaves the block", way_out)
        case ast.Break() | ast.Continue() if not in_loop:
            word = type(node).__name__.lower()
            way_out = f"Set a flag in the block and `{word}` after it, or put the loop inside the block"
            refuse.at(node.lineno, f"`{word}` of a loop around the block", way_out)
        case ast.Yield() | ast.YieldFrom():
            way_out = "Collect the values in a list in the block and yield them after it"
            refuse.at(node.lineno, "`yield` inside a block", way_out)
        case ast.ImportFrom() if node.names[0].name == "*":
            way_out = "Name what is imported, or move the import out of the block"
            refuse.at(node.lineno, "`import *` inside a block", way_out)


def refuse_names(
    body: list[ast.stmt],
    facts: Facts,
    frame: Frame,
    unbinds: Callable[[], set[str]],
    refuse: Refusal,
) -> None:
    """Refuse uses of names that a skip cannot repeat or a lookup cannot see.

    ``unbinds`` tells the local variables of the function around the block that may be bound before it
    and deleted after it.

    Raises
    ------
    BlockError
        For the first kind of use found.
    """
    if frame.kind == "module":
        return
    # The same text would mean two variables, and an input has one value per name.
    for name, line in facts.past_frame.items():
        if name in frame.own or name in frame.outer:
            refuse.at(line, f"`{name}` here is not the variable `{name}` around the block", "Rename one of the two")
    if frame.kind == "function":
        _refuse_deletes(facts, frame, unbinds, refuse)
    else:
        _refuse_in_class(body, facts, frame, refuse)


def _refuse_deletes(facts: Facts, frame: Frame, unbinds: Callable[[], set[str]], refuse: Refusal) -> None:
    way_out = "Delete it after the block, or use another name in the block"
    local = {n: line for n, line in facts.deletes.items() if n not in frame.globals}
    for name, line in facts.late_deletes.items():
        if name in local:
            refuse.at(line, f"a nested function deletes the local variable `{name}`", way_out)
    surviving = unbinds() if local else set()
    for name, line in local.items():
        if name in surviving:
            refuse.at(line, f"the block deletes `{name}`, which is bound before it", way_out)


def _refuse_in_class(body: list[ast.stmt], facts: Facts, frame: Frame, refuse: Refusal) -> None:
    way_out = f"{_MOVE}, or the block out of the class"
    for name, line in (facts.writes | facts.deletes | facts.outer_writes).items():
        if name in frame.nonlocals or name in facts.outer_writes:
            refuse.at(line, f"`nonlocal {name}` in a class body", way_out)
    if facts.class_cell is not None:
        refuse.at(facts.class_cell, "a method defined in a block of a class body uses `super` or `__class__`", way_out)
    for name in facts.reads:
        if name in frame.outer and name not in frame.own and name not in frame.globals:
            line = _first_use(body, name)
            refuse.at(line, f"a block in a class body reads `{name}` of the function around the class", way_out)
    for node in _own_statements(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.simple:
            refuse.at(node.lineno, "an annotated name in a block of a class body", way_out)


def _first_use(body: list[ast.stmt], name: str) -> int:
    lines = (n.lineno for s in body for n in ast.walk(s) if isinstance(n, ast.Name) and n.id == name)
    return min(lines, default=body[0].lineno)


def _own_statements(body: list[ast.stmt]) -> list[ast.AST]:
    """Nodes that do not stand in a nested scope."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop(0)
        found.append(node)
        if not isinstance(node, (*_SCOPES, ast.expr)):
            todo.extend(ast.iter_child_nodes(node))
    return found
