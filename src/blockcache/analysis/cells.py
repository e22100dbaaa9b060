"""Variables that a function made in the body shares with the functions around the block.

Such a function and the frame hold one cell: either sees what the other binds
later. A restored function has a cell of its own with the same value, which is
the same to everyone unless the variable is bound again after the block.
"""

from __future__ import annotations

import ast
from types import CodeType

from blockcache.analysis.names import ScopeNode, bindings

#: They are run where they stand and do not outlive the block.
_RUN_AT_ONCE = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def shared_and_rebound(scopes: tuple[ScopeNode, ...], node: ast.With | ast.AsyncWith, code: CodeType) -> dict[str, int]:
    """Variables captured in the body of ``node`` that may be bound after it, with the line that captures them.

    Parameters
    ----------
    scopes
        Functions and classes around the statement, outermost first.
    node
        The block's statement.
    code
        The running code that it stands in.
    """
    captured = _captured(node, code)
    if not captured or not scopes:
        return {}
    later = _later(scopes[0], node)
    rebound = bindings(later).bound
    for inner in ast.walk(scopes[0]):
        if isinstance(inner, ast.Nonlocal) and inner not in _own_declarations(scopes):
            rebound.update(inner.names)
    return {name: line for name, line in captured.items() if name in rebound}


def _captured(node: ast.With | ast.AsyncWith, code: CodeType) -> dict[str, int]:
    first, last = node.body[0].lineno, node.end_lineno or node.lineno
    found: dict[str, int] = {}
    for constant in code.co_consts:
        if not isinstance(constant, CodeType) or constant.co_name in _RUN_AT_ONCE:
            continue
        if first <= constant.co_firstlineno <= last:
            for name in constant.co_freevars:
                found.setdefault(name, constant.co_firstlineno)
    return found


def _own_declarations(scopes: tuple[ScopeNode, ...]) -> list[ast.Nonlocal]:
    """``nonlocal`` statements of the scopes around the block, whose bindings are found where they stand."""
    return [s for scope in scopes for s in scope.body if isinstance(s, ast.Nonlocal)]


def _later(root: ast.AST, target: ast.AST) -> list[ast.AST]:
    """What may run once ``target`` is over: what follows it on every level, and the loops around it."""
    for _, value in ast.iter_fields(root):
        children = value if isinstance(value, list) else [value]
        for i, child in enumerate(children):
            if not isinstance(child, ast.AST):
                continue
            if child is target:
                return [*_after(root, children[i + 1 :]), *([root] if isinstance(root, _LOOPS) else [])]
            if any(inner is target for inner in ast.walk(child)):
                found = _later(child, target)
                found += _after(root, children[i + 1 :])
                return [*found, root] if isinstance(root, _LOOPS) else found
    return []


def _after(parent: ast.AST, siblings: list[ast.AST]) -> list[ast.AST]:
    """Statements after a place in a suite, and the other parts of a ``try`` statement."""
    if isinstance(parent, (ast.Try, ast.TryStar)):
        return [*siblings, *parent.handlers, *parent.orelse, *parent.finalbody]
    return siblings
