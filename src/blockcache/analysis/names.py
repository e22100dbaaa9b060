"""Which names a scope binds, and what private names are called once compiled."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
ScopeNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

_PRIVATE = re.compile(r"(?<!\w)__\w*(?<!__)(?!\w)")


@dataclass(slots=True)
class Bindings:
    """Names that one scope binds itself, nested scopes excluded.

    Attributes
    ----------
    bound
        Names bound or deleted anywhere in the scope, declared ones included.
    globals, nonlocals
        Names that the scope declares.
    killed
        Names that may become unbound again (``del``, the name of an ``except`` clause).
    """

    bound: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)

    @property
    def own(self) -> set[str]:
        """Names whose binding lives in this scope."""
        return self.bound - self.globals - self.nonlocals


def bindings(nodes: Iterable[ast.AST]) -> Bindings:
    """Names that the statements or expressions bind in their own scope."""
    binder = _Binder()
    for node in nodes:
        binder.visit(node)
    return binder.found


def parameters(arguments: ast.arguments) -> set[str]:
    """Names of the parameters of a function."""
    names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    return names | {a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None}


def scope_bindings(node: ScopeNode) -> Bindings:
    """Bindings of the body of a function (parameters included) or class."""
    found = bindings(node.body)
    if not isinstance(node, ast.ClassDef):
        found.bound |= parameters(node.args)
    return found


def type_parameters(node: ast.AST) -> list[ast.AST]:
    """Type parameters of a definition (PEP 695); none before Python 3.12."""
    return getattr(node, "type_params", None) or []


class _Binder(ast.NodeVisitor):
    """Collects the bindings of one scope; enters nested scopes only where they evaluate or bind in this one."""

    def __init__(self) -> None:
        self.found = Bindings()

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.found.bound.add(node.id)
        if isinstance(node.ctx, ast.Del):
            self.found.killed.add(node.id)

    def _function(self, node: FunctionNode) -> None:
        self.found.bound.add(node.name)
        # Decorators, defaults and annotations are evaluated here, and a walrus in them binds here.
        for part in (*node.decorator_list, node.args, node.returns):
            if part is not None:
                self.visit(part)

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.found.bound.add(node.name)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)

    def visit_Global(self, node: ast.Global) -> None:
        self.found.globals.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.found.nonlocals.update(node.names)

    def visit_alias(self, node: ast.alias) -> None:
        if node.name != "*":
            self.found.bound.add(bound_by_import(node))

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.found.bound.add(node.name)
            self.found.killed.add(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self.found.bound.add(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.found.bound.add(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.found.bound.add(node.rest)
        self.generic_visit(node)

    def visit_TypeAlias(self, node: ast.AST) -> None:
        self.found.bound.add(node.name.id)  # type: ignore[attr-defined]

    def _comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        self.found.bound |= walrus_names(node)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension


def bound_by_import(alias: ast.alias) -> str:
    """The name that ``import a.b`` or ``from a import b as c`` binds."""
    return alias.asname or alias.name.partition(".")[0]


def walrus_names(node: ast.AST) -> set[str]:
    """Targets of ``:=`` that leave a comprehension; those of a lambda stay in the lambda."""
    found: set[str] = set()
    todo = [node]
    while todo:
        current = todo.pop()
        if isinstance(current, ast.NamedExpr):
            found.add(current.target.id)
        if isinstance(current, ast.Lambda):
            todo.append(current.args)
        else:
            todo.extend(ast.iter_child_nodes(current))
    return found


# ------------------------------------------------------------------ private names


def has_private_names(text: str) -> bool:
    """Whether source text may hold a name that a class body mangles."""
    return _PRIVATE.search(text) is not None


def mangle(name: str, class_name: str | None) -> str:
    """The compiled form of a private name, ``__x`` in class ``C`` being ``_C__x``."""
    stripped = (class_name or "").lstrip("_")
    if not stripped or not name.startswith("__") or name.endswith("__") or "." in name:
        return name
    return f"_{stripped}{name}"


def mangled(body: list[ast.stmt], class_name: str | None) -> list[ast.stmt]:
    """A copy of the statements in which every private name has its compiled form."""
    body = copy.deepcopy(body)
    mangler = _Mangler(class_name)
    for statement in body:
        mangler.visit(statement)
    return body


class _Mangler(ast.NodeVisitor):
    def __init__(self, class_name: str | None) -> None:
        self.class_name = class_name

    def generic_visit(self, node: ast.AST) -> None:
        for attribute in ("id", "attr", "arg", "name", "rest"):
            value = getattr(node, attribute, None)
            if isinstance(value, str) and not isinstance(node, (ast.keyword, ast.alias)):
                setattr(node, attribute, mangle(value, self.class_name))
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = [mangle(n, self.class_name) for n in node.names]
        super().generic_visit(node)

    def visit_alias(self, node: ast.alias) -> None:
        bound = bound_by_import(node)
        if mangle(bound, self.class_name) != bound:
            node.asname = mangle(bound, self.class_name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        outer, inner = self.class_name, node.name
        node.name = mangle(node.name, outer)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self.class_name = inner
        for part in (*type_parameters(node), *node.body):
            self.visit(part)
        self.class_name = outer


def annotated_names(source: str) -> list[str]:
    """Names that statements, given as text, annotate in the scope in which they stand."""
    try:
        todo: list[ast.AST] = list(ast.parse(source).body)
    except SyntaxError:  # of a host's own
        return []
    found = []
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.simple:
            found.append(node.target.id)
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)) and not isinstance(node, _NEW_SCOPES):
            todo += ast.iter_child_nodes(node)
    return found


_NEW_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
