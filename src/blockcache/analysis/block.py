"""From a located `with` statement to a Block: what its body is, reads and binds."""

from __future__ import annotations
import __future__

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Protocol

from blockcache.analysis.bound import may_be_bound_before, may_be_deleted_after
from blockcache.analysis.canonical import canonical_digest
from blockcache.analysis.cells import shared_and_rebound
from blockcache.analysis.facts import Chain, Frame, ImportRef
from blockcache.analysis.names import (
    ScopeNode,
    bindings,
    has_private_names,
    mangle,
    mangled,
    scope_bindings,
    type_parameters,
)
from blockcache.analysis.reads import reads_and_writes
from blockcache.analysis.refuse import Refusal, refuse_control_flow, refuse_names
from blockcache.deep import with_deep_recursion

_STRING_ANNOTATIONS = __future__.annotations.compiler_flag


class LocatedBlock(Protocol):
    """What :func:`analyse` needs to know of a `with` statement that was found."""

    @property
    def node(self) -> ast.With | ast.AsyncWith:
        """The statement."""

    @property
    def item(self) -> int:
        """Number of the item that is the block."""

    @property
    def scopes(self) -> tuple[ScopeNode, ...]:
        """Functions and classes around the statement, outermost first."""

    @property
    def source(self) -> str:
        """Text of the statement."""

    @property
    def renames(self) -> Mapping[str, str]:
        """Names that the host has renamed in the running code: as written, as they run."""


@dataclass(frozen=True, slots=True)
class Block:
    """The body of one `with cached_block(...)` statement.

    Attributes
    ----------
    digest
        Of the canonical tree of the body, 32 hexadecimal digits. Later items of the `with`
        belong to the body; the header, the ``as`` name and positions do not.
    reads
        Names that may be read from before the block, each with the attribute chains that
        follow it; ``()`` is a bare use.
    writes
        Names that the body may bind in the frame's scope, or in the globals or an enclosing
        function where it declares them so.
    definite
        Those of the writes that are surely bound by the body when it ends.
    deletes
        Names that the body may delete, among them those of ``except ... as name`` clauses.
    imports
        Names bound by import statements anywhere in the body.
    dynamic
        Functions that reach names which the code does not show, with their lines.
    reads_doc
        Docstrings or annotations may be looked at.
    texts
        The text constants in the body, which may name files.
    written
        Names that the host has renamed in the running code: as they run, as they are written.
    file, line, end_line, source
        The whole statement.
    """

    digest: str
    reads: Mapping[str, tuple[Chain, ...]]
    writes: frozenset[str]
    definite: frozenset[str]
    deletes: frozenset[str]
    imports: tuple[ImportRef, ...]
    dynamic: tuple[tuple[str, int], ...]
    reads_doc: bool
    texts: tuple[str, ...]
    written: Mapping[str, str]
    file: str
    line: int
    end_line: int
    source: str


def analyse(located: LocatedBlock, code: CodeType) -> Block:
    """What a block is, reads and binds.

    Parameters
    ----------
    located
        The statement.
    code
        The running code that it stands in.

    Raises
    ------
    BlockError
        When the body holds something that a skip cannot honour.
    """
    return with_deep_recursion(lambda: _analyse(located, code))


def _analyse(located: LocatedBlock, code: CodeType) -> Block:
    node, refuse = located.node, Refusal(code.co_filename)
    written = _body(node, located.item)
    refuse_control_flow(written, refuse)

    class_name = next((s.name for s in reversed(located.scopes) if isinstance(s, ast.ClassDef)), None)
    private = has_private_names(located.source)
    body = mangled(written, class_name) if private else written
    frame = _frame(located, code, class_name)
    frame.killed = bindings(body).killed
    target = node.items[located.item].optional_vars
    header = {mangle(n, class_name) for n in bindings([target] if target else []).bound}
    strings = bool(code.co_flags & _STRING_ANNOTATIONS)
    facts = reads_and_writes(body, frame, bound=header, strings=strings)

    def unbinds() -> set[str]:
        function = located.scopes[-1]
        assert not isinstance(function, ast.ClassDef)
        before = {mangle(n, class_name) for n in may_be_bound_before(function, node, located.item)}
        return before & may_be_deleted_after(body)

    refuse_names(body, facts, frame, unbinds, refuse)
    for name, line in shared_and_rebound(located.scopes, node, code).items():
        problem = f"a function made in the block shares the variable {name!r}, which is bound again after the block"
        refuse.at(line, problem, f"Give it the value as a default argument ({name}={name}), or make it after the block")
    context = []
    if private and class_name:
        context.append(f"private names of {class_name}")
    if strings and any(isinstance(n, (ast.AnnAssign, ast.arguments)) for s in body for n in ast.walk(s)):
        context.append("string annotations")
    if sys.flags.optimize:
        # Without its assert statements a body can complete where it would have raised.
        context.append(f"optimize {sys.flags.optimize}")

    def run(name: str) -> str:
        return located.renames.get(name, name)

    return Block(
        digest=canonical_digest(written, keep_all=facts.reads_doc, in_class=frame.kind == "class", context=context),
        reads={run(name): tuple(sorted(chains)) for name, chains in sorted(facts.reads.items())},
        writes=frozenset(map(run, facts.writes)),
        definite=frozenset(map(run, facts.definite)),
        deletes=frozenset(map(run, facts.deletes)),
        imports=tuple(ref._replace(name=run(ref.name)) for ref in facts.imports),
        dynamic=tuple(facts.dynamic),
        reads_doc=facts.reads_doc,
        texts=_texts(written),
        written={ran: name for name, ran in located.renames.items()},
        file=code.co_filename,
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        source=located.source,
    )


def _texts(body: list[ast.stmt]) -> tuple[str, ...]:
    constants = (n.value for statement in body for n in ast.walk(statement) if isinstance(n, ast.Constant))
    return tuple(sorted({value for value in constants if isinstance(value, str)}))


def _body(node: ast.With | ast.AsyncWith, item: int) -> list[ast.stmt]:
    """The statements of the block; items after its own are a `with` statement around them."""
    later = node.items[item + 1 :]
    return [ast.copy_location(type(node)(items=later, body=node.body), node)] if later else node.body


def _frame(located: LocatedBlock, code: CodeType, class_name: str | None) -> Frame:
    if not located.scopes:
        return Frame("module")
    *around, scope = located.scopes
    frame = Frame("class" if isinstance(scope, ast.ClassDef) else "function")
    found = scope_bindings(scope)
    frame.own = {mangle(n, class_name) for n in found.own}
    frame.globals = {mangle(n, class_name) for n in found.globals}
    frame.nonlocals = {mangle(n, class_name) for n in found.nonlocals}
    for other in around:
        if not isinstance(other, ast.ClassDef):
            frame.outer |= scope_bindings(other).own
        frame.outer |= {p.name for p in type_parameters(other)}  # type: ignore[attr-defined]
    if frame.kind == "function" and code.co_argcount:
        frame.first_parameter = code.co_varnames[0]
    return frame
