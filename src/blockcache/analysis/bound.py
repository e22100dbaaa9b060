"""Names that may be bound, or may have been deleted, at a point of a function.

Needed only where a body deletes a local variable: a skip cannot delete one, so
it must be known whether the variable can be bound before the block and missing
after it. Both are "may" questions over the same events, with the roles of
binding and deleting exchanged.
"""

from __future__ import annotations

import ast
from typing import Literal

from blockcache.analysis.names import FunctionNode, bindings, parameters, walrus_names
from blockcache.analysis.vocabulary import never_swallows

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def may_be_bound_before(function: FunctionNode, node: ast.With | ast.AsyncWith, item: int) -> set[str]:
    """Local names of ``function`` that may be bound once the given item of ``node`` is entered."""
    flow = _May("bind", stop=node.items[item])
    flow.suite(function.body, frozenset(parameters(function.args)))
    return set(flow.at_stop)


def may_be_deleted_after(body: list[ast.stmt]) -> set[str]:
    """Names that ``body`` may have deleted, and not bound again, when it ends."""
    return set(_May("delete").suite(body, frozenset()))


class _May:
    """Forward analysis; the state is the set of names for which the tracked event may have come last."""

    def __init__(self, track: Literal["bind", "delete"], stop: ast.withitem | None = None) -> None:
        self.track = track
        self.stop = stop
        self.at_stop: frozenset[str] = frozenset()
        self.seen: set[str] = set()  # every name added since the last reset: what an exception may leave behind

    def suite(self, statements: list[ast.stmt], state: frozenset[str]) -> frozenset[str]:
        for statement in statements:
            state = self._statement(statement, state)
        return state

    def _apply(
        self, state: frozenset[str], bound: set[str], deleted: set[str], *, surely: bool = True
    ) -> frozenset[str]:
        added, removed = (bound, deleted) if self.track == "bind" else (deleted, bound)
        self.seen |= added
        return (state - removed if surely else state) | added

    def _interrupted(self, statements: list[ast.stmt], state: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
        """The state after the statements, and the union of all states in between."""
        outer, self.seen = self.seen, set()
        after = self.suite(statements, state)
        between = state | self.seen
        self.seen |= outer
        return after, between

    def _statement(self, node: ast.stmt, state: frozenset[str]) -> frozenset[str]:
        match node:
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    state = self._header(item, state)
                    if item is self.stop:
                        self.at_stop |= state
                after, between = self._interrupted(node.body, state)
                return after if all(map(never_swallows, node.items)) else after | between
            case ast.If():
                state = self._header(node.test, state)
                return self.suite(node.body, state) | self.suite(node.orelse, state)
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(node, state)
            case ast.Try() | ast.TryStar():
                return self._try(node, state)
            case ast.Match():
                state = self._header(node.subject, state)
                after = state
                for case in node.cases:
                    entry = self._apply(state, bindings([case.pattern]).bound, set(), surely=False)
                    if case.guard is not None:
                        entry = self._header(case.guard, entry)
                    after |= self.suite(case.body, entry)
                return after
            case _:
                return self._header(node, state)

    def _header(self, node: ast.AST, state: frozenset[str]) -> frozenset[str]:
        """A part without suites: its plain targets are surely bound, its walrus targets perhaps."""
        found = bindings([node])
        perhaps = set() if isinstance(node, _SCOPES) else walrus_names(node)
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return state
        state = self._apply(state, perhaps, set(), surely=False)
        return self._apply(state, found.bound - found.killed - perhaps, found.killed)

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, state: frozenset[str]) -> frozenset[str]:
        state = self._header(node.test if isinstance(node, ast.While) else node.iter, state)
        between = head = state
        # Transfer functions only add and remove fixed names: the second pass is the fixed point.
        for _ in range(2):
            entry = head if isinstance(node, ast.While) else self._header(node.target, head)
            after, inside = self._interrupted(node.body, entry)
            between |= inside
            head |= between if _leaves_early(node.body) else after
        return head | self.suite(node.orelse, head)

    def _try(self, node: ast.Try | ast.TryStar, state: frozenset[str]) -> frozenset[str]:
        after, between = self._interrupted(node.body, state)
        after, unfinished = self._interrupted(node.orelse, after)
        anywhere = between | unfinished
        for handler in node.handlers:
            name = {handler.name} if handler.name else set()
            inside, partly = self._interrupted(handler.body, self._apply(between, name, set()))
            after |= self._apply(inside, set(), name)
            anywhere |= self._apply(partly, set(), name, surely=False)
        if not node.finalbody:
            return after
        # The second run of the clause, from anywhere, is for a `with` that stands in it.
        self.suite(node.finalbody, anywhere)
        return self.suite(node.finalbody, after | (anywhere if _leaves_early(node.finalbody) else frozenset()))


def _leaves_early(body: list[ast.stmt]) -> bool:
    """Whether a ``break`` or ``continue`` may belong to the loop with this body (or to one inside: no harm)."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Break, ast.Continue)):
            return True
        if not isinstance(node, _SCOPES):
            todo.extend(ast.iter_child_nodes(node))
    return False
