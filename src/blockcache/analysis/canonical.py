"""The canonical form of a block's syntax tree, and its digest.

Left out, because they cannot change what the body computes: positions,
comments, quotes and parentheses (the tree has none), docstrings and other
expression statements that are constants, ``pass`` beside other statements, how
an f-string is split, annotations of local variables and of undecorated
functions. Kept: annotations in class bodies, which are fields (dataclasses),
and annotations that a decorator, a base class or a metaclass is given to see.
Everything is kept when the body looks at docstrings or annotations itself.

The form is the same on every Python that the block can be parsed by.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable

import xxhash

from blockcache.analysis.inert import only_reads
from blockcache.analysis.names import FunctionNode

#: Arguments of a block on which what its body gives does not depend.
_NO_INPUTS = frozenset({"name", "ignore", "pin", "validate", "ttl", "mode", "store"})
_SKIPPED = frozenset({"ctx", "type_comment", "kind", "type_ignores"})
_fields: dict[type[ast.AST], tuple[str, ...]] = {}


def canonical_digest(body: list[ast.stmt], *, keep_all: bool, in_class: bool, context: Iterable[str] = ()) -> str:
    """Digest of the canonical form of a block's statements, 32 hexadecimal digits.

    Parameters
    ----------
    body
        The statements.
    keep_all
        Keep docstrings and annotations everywhere.
    in_class
        The statements stand in a class body, where an annotated name is a field.
    context
        Facts outside the statements that change their meaning.
    """
    form = _Form(keep_all)
    form.suite(body, fields=in_class)
    for fact in context:
        form.text(fact)
    return xxhash.xxh3_128_hexdigest("".join(form.parts).encode("utf-8", "surrogatepass"))


def without_block_names(statement: ast.stmt) -> ast.stmt:
    """A statement without the names of the blocks in it, and their other arguments that are no inputs.

    A block that is bound by `as` keeps them: a later statement may ask it. The statement itself stays as it is.
    """
    if not any(isinstance(node, (ast.With, ast.AsyncWith)) and _named(node) for node in ast.walk(statement)):
        return statement
    statement = copy.deepcopy(statement)
    for node in ast.walk(statement):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for call in _named(node):
                call.args = []
                call.keywords = [k for k in call.keywords if k.arg not in _NO_INPUTS or _does_more(k.value)]
    return statement


def _named(node: ast.With | ast.AsyncWith) -> list[ast.Call]:
    """The calls in the header that make blocks, where leaving out the names leaves out nothing that runs."""
    calls = [item.context_expr for item in node.items if item.optional_vars is None]
    return [c for c in calls if isinstance(c, ast.Call) and _makes_block(c.func) and not any(map(_does_more, c.args))]


def _makes_block(function: ast.expr) -> bool:
    last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return last == "cached_block"


def _does_more(argument: ast.expr) -> bool:
    more = (ast.Starred, ast.Yield, ast.YieldFrom)
    return not only_reads(argument) or any(isinstance(n, more) for n in ast.walk(argument))


class _Form:
    """Writes nodes as text; every text is preceded by its length, so that no two trees share a form."""

    def __init__(self, keep_all: bool) -> None:
        self.parts: list[str] = []
        self.keep_all = keep_all
        self.observed = False  # a decorator or base class sees the functions of this class body

    def text(self, value: str) -> None:
        self.parts.append(f"'{len(value)}:{value}")

    def constant(self, value: object) -> None:
        if isinstance(value, str):
            self.text(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            # hex() has no limit on digits, repr() has.
            self.parts.append(f"<int {value:x}>")
        else:
            self.parts.append(f"<{type(value).__name__} {value!r}>")

    def _literal(self, value: object) -> None:
        """A constant of the program, to be told from the None and the names that a tree holds itself."""
        self.parts.append("(")
        self.constant(value)
        self.parts.append(")")

    def any(self, value: object, fields: bool) -> None:
        if isinstance(value, ast.AST):
            self.node(value, fields)
        elif isinstance(value, list):
            self.parts.append("[")
            for item in value:
                self.any(item, fields)
            self.parts.append("]")
        else:
            self.constant(value)

    def node(self, node: ast.AST, fields: bool) -> None:
        """Write one node; ``fields`` tells that annotated names are fields here."""
        match node:
            case ast.JoinedStr():
                self._joined(node, fields)
            case ast.AnnAssign() if not self._keeps(node, fields):
                if node.value is None:
                    # Without a value it still makes the name local to its function.
                    self.parts.append("(Declare ")
                    self.any(node.target, fields)
                    self.parts.append(")")
                else:
                    self._plain(ast.Assign(targets=[node.target], value=node.value), fields)
            case ast.Constant():
                self._literal(node.value)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node, fields)
            case ast.ClassDef():
                self._class(node)
            case ast.Lambda():
                self.parts.append("(Lambda ")
                self._arguments(node.args, annotations=False, fields=fields)
                self.node(node.body, fields)
                self.parts.append(")")
            case _:
                self._plain(node, fields)

    def _plain(self, node: ast.AST, fields: bool) -> None:
        kind = type(node)
        names = _fields.get(kind)
        if names is None:
            names = _fields[kind] = tuple(f for f in kind._fields if f not in _SKIPPED)
        self.parts.append(f"({kind.__name__}")
        for name in names:
            value = getattr(node, name, None)
            # Fields that a later Python adds are empty in code that an earlier one can parse.
            if value is None or (isinstance(value, list) and not value):
                continue
            if name == "format_spec" and isinstance(value, ast.JoinedStr) and not value.values:
                continue
            self.parts.append(f" {name}=")
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                self.suite(value, fields)
            else:
                self.any(value, fields)
        self.parts.append(")")

    def suite(self, statements: list[ast.stmt], fields: bool, *, docstring: bool = False) -> None:
        """Write statements, without those that do nothing."""
        self.parts.append("[")
        for number, statement in enumerate(statements):
            idle = isinstance(statement, ast.Pass) or (
                isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            )
            if not idle or (docstring and number == 0 and self.keep_all):
                self.node(statement, fields)
        self.parts.append("]")

    def _function(self, node: FunctionNode, fields: bool) -> None:
        self.parts.append(f"({type(node).__name__} ")
        self.text(node.name)
        annotations = self.keep_all or self.observed or bool(node.decorator_list)
        self.any(node.decorator_list, fields)
        self.any(getattr(node, "type_params", []), fields)
        self._arguments(node.args, annotations, fields)
        if node.returns is not None and (annotations or not only_reads(node.returns)):
            self.parts.append(" returns=")
            self.node(node.returns, fields)
        outer, self.observed = self.observed, False
        self.suite(node.body, False, docstring=True)
        self.observed = outer
        self.parts.append(")")

    def _class(self, node: ast.ClassDef) -> None:
        self.parts.append("(ClassDef ")
        self.text(node.name)
        for part in (node.decorator_list, getattr(node, "type_params", []), node.bases, node.keywords):
            self.any(part, fields=False)
        outer, self.observed = self.observed, bool(node.decorator_list or node.bases or node.keywords)
        self.suite(node.body, True, docstring=True)
        self.observed = outer
        self.parts.append(")")

    def _arguments(self, node: ast.arguments, annotations: bool, fields: bool) -> None:
        self.parts.append("(arguments")
        for name in ("posonlyargs", "args", "vararg", "kwonlyargs", "kw_defaults", "kwarg", "defaults"):
            value = getattr(node, name)
            if not value:
                continue
            self.parts.append(f" {name}=[")
            for item in value if isinstance(value, list) else [value]:
                if not isinstance(item, ast.arg):
                    self.any(item, fields)
                    continue
                self.text(item.arg)
                if item.annotation is not None and (annotations or not only_reads(item.annotation)):
                    self.parts.append(":")
                    self.node(item.annotation, fields)
            self.parts.append("]")
        self.parts.append(")")

    def _joined(self, node: ast.JoinedStr, fields: bool) -> None:
        """Adjacent texts of an f-string are one text; without a replacement field it is a plain string."""
        pieces: list[str | ast.AST] = []
        for value in node.values:
            if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
                pieces.append(value)
            elif pieces and isinstance(pieces[-1], str):
                pieces[-1] += value.value
            else:
                pieces.append(value.value)
        if all(isinstance(p, str) for p in pieces):
            self._literal("".join(p for p in pieces if isinstance(p, str)))
            return
        self.parts.append("(JoinedStr")
        for piece in pieces:
            if piece:
                self.any(piece, fields)
        self.parts.append(")")

    def _keeps(self, node: ast.AnnAssign, fields: bool) -> bool:
        return self.keep_all or fields or not only_reads(node.annotation)
