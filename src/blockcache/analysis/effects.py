"""Statements that ran before a block, as pure syntax."""

from __future__ import annotations
import __future__

import ast
from collections.abc import Iterable
from types import CodeType

from blockcache.analysis.names import bindings

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


def compiles_to(text: str, code: CodeType) -> bool:
    """Whether compiling ``text`` gives the code that is loaded, at its top or nested.

    Whoever compiled it may have handed on `from __future__` imports of its own, as :func:`compile` does by default.

    Raises
    ------
    SyntaxError, ValueError
        When it cannot be compiled.
    """
    todo = [compile(text, code.co_filename, "exec", flags=code.co_flags & _FUTURES, dont_inherit=True)]
    while todo:
        found = todo.pop()
        if found == code:
            return True
        todo += [constant for constant in found.co_consts if isinstance(constant, CodeType)]
    return False


def before(body: Iterable[ast.stmt], line: int) -> list[ast.stmt]:
    """Statements that may have run before ``line`` is reached, of compound ones around it the heads.

    Those of a loop around the line count whole: they may have run in an earlier round, see :func:`later`.
    """
    found: list[ast.stmt] = []
    for statement in body:
        last = statement.end_lineno or statement.lineno
        if last < line:
            found.append(statement)
            continue
        if statement.lineno > line:
            break
        found.append(_head(statement))
        parts = [getattr(statement, name, []) for name in ("body", "handlers", "orelse", "finalbody")]
        loop = isinstance(statement, (ast.For, ast.AsyncFor, ast.While))
        if isinstance(statement, ast.Match):
            parts = [case.body for case in statement.cases]
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
        for part in parts:
            statements = [s for p in part for s in (p.body if isinstance(p, ast.ExceptHandler) else [p])]
            found += before(statements, line)
            if loop:
                found += [s for s in statements if s.lineno > line]
        break
    return found


def later(statements: Iterable[ast.stmt], line: int) -> frozenset[int]:
    """Identities of those of :func:`before` that come after ``line``, in a loop: they ran in later rounds only."""
    return frozenset(id(statement) for statement in statements if statement.lineno > line)


def _head(statement: ast.stmt) -> ast.stmt:
    """A compound statement without what is in it; a simple one is no part of what ran before."""
    fields = {name: value for name, value in ast.iter_fields(statement) if name not in ("body", "orelse", "finalbody")}
    empty = [ast.copy_location(ast.Pass(), statement)]
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        return ast.copy_location(type(statement)(**{**fields, "body": empty}), statement)
    if isinstance(statement, (ast.If, ast.While, ast.For, ast.AsyncFor)):
        return ast.copy_location(type(statement)(**{**fields, "body": empty, "orelse": []}), statement)
    return empty[0]


def function_body(tree: ast.Module, code: CodeType) -> list[ast.stmt] | None:
    """The statements of the function that ``code`` was compiled from, by its place in the file."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == code.co_name:
            first = min((d.lineno for d in node.decorator_list), default=node.lineno)
            if first == code.co_firstlineno:
                return node.body
    return None


def compiled(statement: ast.stmt) -> CodeType | None:
    """The code of one statement on its own; of a function's, as a function; None where it needs what is around it."""
    try:
        return compile(ast.Module([statement], []), "<statement>", "exec", dont_inherit=True)
    except SyntaxError:
        pass
    around = ast.parse("async def statement(): pass")
    around.body[0].body = [statement]  # type: ignore[attr-defined]
    try:
        return compile(around, "<statement>", "exec", dont_inherit=True)
    except SyntaxError:
        return None


def changes(statement: ast.stmt) -> set[str]:
    """Names that a statement may bind or whose object it may change in place."""
    found = bindings([statement]).bound
    for node in ast.walk(statement):
        target: ast.expr | None = None
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            target = node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func
        while isinstance(target, (ast.Attribute, ast.Subscript, ast.Call)):
            target = target.func if isinstance(target, ast.Call) else target.value
        if isinstance(target, ast.Name):
            found.add(target.id)
    return found
