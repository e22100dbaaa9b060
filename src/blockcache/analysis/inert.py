"""Code that does nothing but bind or read names."""

from __future__ import annotations

import ast

from blockcache.analysis.names import type_parameters


def only_reads(annotation: ast.AST) -> bool:
    """Whether evaluating an annotation can do nothing but read names."""
    return not any(isinstance(n, (ast.Call, ast.NamedExpr, ast.Await)) for n in ast.walk(annotation))


def runs_nothing(node: ast.AST | None) -> bool:
    """Whether a statement or expression only binds names, so that no function can be called by it."""
    match node:
        case None | ast.Pass() | ast.Global() | ast.Nonlocal() | ast.Constant() | ast.Name():
            return True
        case ast.Expr():
            return isinstance(node.value, ast.Constant)
        case ast.Assign():
            return all(isinstance(t, ast.Name) for t in node.targets) and runs_nothing(node.value)
        case ast.Tuple() | ast.List():
            return all(map(runs_nothing, node.elts))
        case ast.Lambda():
            return all(map(runs_nothing, (*node.args.defaults, *node.args.kw_defaults)))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            parts = (*node.decorator_list, *type_parameters(node), *node.args.defaults, *node.args.kw_defaults)
            if node.decorator_list:
                return False
            annotations = [*(n.annotation for n in ast.walk(node.args) if isinstance(n, ast.arg)), node.returns]
            return all(map(runs_nothing, parts)) and all(a is None or only_reads(a) for a in annotations)
        case ast.ClassDef():
            if node.decorator_list or node.bases or node.keywords or type_parameters(node):
                return False
            return all(
                isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Pass, ast.Expr))
                or (isinstance(s, ast.Assign) and isinstance(s.value, ast.Constant))
                for s in node.body
            ) and all(map(runs_nothing, node.body))
        case _:
            return False
