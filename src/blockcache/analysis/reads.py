"""What a block reads from before itself, and what it binds: a flow analysis of its statements.

`reads` covers every read that any execution can make of a name bound before
the block; a name that is surely written first is not a read. The analysis is a
forward "must" analysis of the block's own scope: the state is the set of names
whose earlier binding is surely gone (rebound or deleted), so it only ever grows
along a path, and where paths meet it is their intersection. None is the state
of a point that is never reached.

The body of a function runs later than its definition. Its reads are settled at
the first statement after the definition that could run it, which is any
statement that runs code at all: upstream code may call the function by its
global name.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from blockcache.analysis.facts import Chain, Facts, Frame, ImportRef
from blockcache.analysis.inert import runs_nothing
from blockcache.analysis.names import (
    Bindings,
    Comprehension,
    FunctionNode,
    bindings,
    bound_by_import,
    parameters,
    type_parameters,
)
from blockcache.analysis.vocabulary import (
    DOC_READERS,
    DYNAMIC_ATTRIBUTES,
    DYNAMIC_BARE_CALLS,
    DYNAMIC_NAMES,
    never_swallows,
)

State = set[Any] | None

Route = Literal["frame", "global", "beyond"]


class Late(NamedTuple):
    """A read in a body that runs later; ``route`` is where its scope looks the name up."""

    route: Route
    name: str
    chain: Chain
    line: int


@dataclass(slots=True, eq=False)
class _Scope:
    """A scope inside the block; compared by identity, because states hold (scope, name) pairs of class bodies."""

    kind: Literal["function", "comprehension", "class", "type"]
    names: Bindings


#: The scope of the `__class__` that a class body gives to its functions.
_IMPLICIT = _Scope("function", Bindings())


def reads_and_writes(body: list[ast.stmt], frame: Frame, *, bound: Iterable[str], strings: bool) -> Facts:
    """Analyse a block's statements.

    Parameters
    ----------
    body
        The statements, private names in their compiled form.
    frame
        The scope that they stand in.
    bound
        Names that the header of the block binds.
    strings
        Annotations are not evaluated (``from __future__ import annotations``).
    """
    flow = _Flow(frame, strings)
    flow.state = set(bound)
    flow.suite(body)
    writes = set(flow.facts.writes)
    flow.facts.definite = (writes if flow.state is None else writes & flow.state) - set(flow.facts.deletes)
    return flow.facts


def _meet(*states: State) -> State:
    reached = [s for s in states if s is not None]
    return set.intersection(*reached) if reached else None


class _Flow:
    def __init__(self, frame: Frame, strings: bool) -> None:
        self.frame = frame
        self.strings = strings
        self.facts = Facts()
        self.state: State = set()
        self.scopes: list[_Scope] = []
        self.loops: list[list[State]] = []  # states at the breaks of each open loop
        self.captured: list[Late] | None = None  # reads of the body being looked at, when it runs later
        self.pending: list[Late] = []  # reads of functions defined, but not yet possibly run

    # ------------------------------------------------------------------ names

    def _route(self, name: str) -> Route | _Scope:
        """Where a name used here is looked up: a scope of the block, the frame, the globals, or around the frame."""
        nested = False  # only a class body itself, and type parameters in it, see the names of a class
        for scope in reversed(self.scopes):
            if scope.kind == "class" and nested:
                if name == "__class__":
                    return _IMPLICIT
                continue
            if name in scope.names.globals:
                return "global"
            if name in scope.names.own:
                return scope
            nested = nested or scope.kind != "type" or name in scope.names.nonlocals
        if self.frame.kind == "class" and nested:
            return "beyond"
        return "frame"

    def read(self, name: str, line: int, chain: Chain = ()) -> None:
        """A load of ``name``, followed by attributes."""
        route = self._route(name)
        if isinstance(route, _Scope):
            if route.kind != "class" or self.state is None or (route, name) in self.state:
                return
            # A class body that has not bound its name yet finds the global of that name.
            route = "global"
        if self._takes_dynamic(name):
            self.facts.dynamic.setdefault((name, line))
        if name == "super":
            self._super(line)
        late = Late(route, name, chain, line)
        if self.captured is None:
            self._settle([late])
        elif self.state is not None:
            self.captured.append(late)

    def _takes_dynamic(self, name: str) -> bool:
        return name in DYNAMIC_NAMES and self.state is not None and name not in self.state

    def _super(self, line: int) -> None:
        """``super`` needs the cell of the class around it, and in the frame itself the first parameter."""
        if isinstance(self._route("__class__"), _Scope):
            return
        if self.frame.kind == "class" and self.scopes:
            self.facts.class_cell = self.facts.class_cell or line
        elif self.frame.kind == "function":
            self.read("__class__", line)
            if self.frame.first_parameter:
                self.read(self.frame.first_parameter, line)

    def _settle(self, reads: Iterable[Late]) -> None:
        """Count the reads that may find a binding from before the block."""
        if self.state is None:
            return
        for route, name, chain, line in reads:
            if route == "global" and not self.frame.is_global(name):
                self.facts.past_frame.setdefault(name, line)
            elif route == "beyond":
                self.facts.past_frame.setdefault(name, line)
                if name == "__class__":
                    self.facts.class_cell = self.facts.class_cell or line
            elif name in self.state:
                continue
            self.facts.reads.setdefault(name, set()).add(chain)

    def write(self, name: str, line: int, *, walrus: bool = False) -> None:
        """A binding of ``name`` in the scope that is being looked at."""
        scope = self._binding_scope(walrus)
        if scope is None:
            self._write_frame(name, line)
        elif name in scope.names.globals:
            self.facts.writes.setdefault(name, line)
            if not self.frame.is_global(name):
                self.facts.past_frame.setdefault(name, line)
            elif self.captured is None and self.state is not None:
                self.state.add(name)
        elif name in scope.names.nonlocals:
            route = self._route(name)
            if route == "frame":
                self._write_frame(name, line)
            elif route == "beyond":
                self.facts.outer_writes.setdefault(name, line)
        elif scope.kind == "class" and self.state is not None and name not in scope.names.killed:
            self.state.add((scope, name))

    def _write_frame(self, name: str, line: int) -> None:
        self.facts.writes.setdefault(name, line)
        # In a class body a deleted name uncovers the global of that name.
        if self.state is not None and not (self.frame.kind == "class" and name in self.frame.killed):
            self.state.add(name)

    def _binding_scope(self, walrus: bool) -> _Scope | None:
        for scope in reversed(self.scopes):
            if not (walrus and scope.kind == "comprehension"):
                return scope
        return None

    def delete(self, name: str, line: int) -> None:
        """``del name``, or the end of an ``except ... as name`` clause."""
        scope = self._binding_scope(walrus=False)
        in_frame = scope is None
        if scope is not None:
            in_frame = name in scope.names.globals or (
                name in scope.names.nonlocals and self._route(name) in ("frame", "beyond")
            )
        if not in_frame:
            return
        self.facts.deletes.setdefault(name, line)
        if self.captured is not None or (scope is not None and not self.frame.is_global(name)):
            self.facts.late_deletes.setdefault(name, line)
        elif self.state is not None and self.frame.kind != "class":
            self.state.add(name)

    # ------------------------------------------------------------------ expressions

    def expressions(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            self.expression(node)

    def expression(self, node: ast.AST | None) -> None:
        """Visit an expression, or an assignment target, in the order of its evaluation."""
        if node is None:
            return
        handler = _EXPRESSIONS.get(type(node))
        if handler is not None:
            handler(self, node)
        else:
            self.expressions(ast.iter_child_nodes(node))

    def _name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.write(node.id, node.lineno)
        else:
            self.read(node.id, node.lineno)
            if isinstance(node.ctx, ast.Del):
                self.delete(node.id, node.lineno)
        if node.id in DOC_READERS:
            self.facts.reads_doc = True

    def _attribute(self, node: ast.Attribute) -> None:
        chain: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            chain.append(base.attr)
            base = base.value
        if not DYNAMIC_ATTRIBUTES.isdisjoint(chain):
            self.facts.dynamic.setdefault((next(a for a in chain if a in DYNAMIC_ATTRIBUTES), node.lineno))
        if not DOC_READERS.isdisjoint(chain):
            self.facts.reads_doc = True
        if not isinstance(base, ast.Name):
            self.expression(base)
            return
        chain.reverse()
        # Setting an attribute uses the object that holds it.
        self.read(base.id, node.lineno, tuple(chain if isinstance(node.ctx, ast.Load) else chain[:-1]))

    def _constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node.value in DOC_READERS:
            self.facts.reads_doc = True

    def _call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        bare = name in DYNAMIC_BARE_CALLS and not node.args and not node.keywords
        if bare and not isinstance(self._route(name), _Scope):
            self.facts.dynamic.setdefault((name, node.lineno))
        self.expressions((node.func, *node.args, *node.keywords))

    def _dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            self.expressions((key, value))

    def _either(self, first: Sequence[ast.expr], rest: Sequence[ast.expr]) -> None:
        """``first`` is evaluated, each of ``rest`` only perhaps."""
        self.expressions(first)
        state = self._copy()
        self.expressions(rest)
        self.state = _meet(state, self.state)

    def _bool_op(self, node: ast.BoolOp) -> None:
        self._either(node.values[:1], node.values[1:])

    def _compare(self, node: ast.Compare) -> None:
        self._either([node.left, node.comparators[0]], node.comparators[1:])

    def _if_expression(self, node: ast.IfExp) -> None:
        self.expression(node.test)
        state = self._copy()
        self.expression(node.body)
        then, self.state = self.state, state
        self.expression(node.orelse)
        self.state = _meet(then, self.state)

    def _walrus(self, node: ast.NamedExpr) -> None:
        self.expression(node.value)
        self.write(node.target.id, node.lineno, walrus=True)

    def _lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        self._resume(self._later(_function_scope(node.args, [node.body]), lambda: self.expression(node.body)))

    def _comprehension(self, node: Comprehension) -> None:
        first = node.generators[0]
        self.expression(first.iter)
        elements = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        scope = _Scope("comprehension", bindings(g.target for g in node.generators))

        def run() -> None:
            for number, generator in enumerate(node.generators):
                if number:
                    self.expression(generator.iter)
                self.expression(generator.target)
                self.expressions(generator.ifs)
            self.expressions(elements)

        if isinstance(node, ast.GeneratorExp):
            self._resume(self._later(scope, run))
            return
        state = self._copy()
        self.scopes.append(scope)
        run()
        self.scopes.pop()
        self.state = _meet(state, self.state)

    def _later(self, scope: _Scope, run: Callable[[], None]) -> list[Late]:
        """Look at a body that runs later, and return what it reads from outside itself."""
        saved = self.captured, self.state, self.loops, self.pending
        captured: list[Late] = []
        self.captured, self.state, self.loops, self.pending = captured, set(), [], []
        self.scopes.append(scope)
        run()
        self.scopes.pop()
        self.captured, self.state, self.loops, self.pending = saved
        return captured

    def _resume(self, reads: list[Late], *, waits: bool = False) -> None:
        """Hand on what a later body reads: to the body around it, to the pending ones, or settle it now."""
        if self.captured is not None:
            self.captured.extend(reads)
        elif waits and not self.scopes:
            self.pending.extend(reads)
        else:
            self._settle(reads)

    def _copy(self) -> State:
        return None if self.state is None else set(self.state)

    # ------------------------------------------------------------------ statements

    def suite(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            if self.pending and not runs_nothing(statement):
                self._flush()
            self.statement(statement)
        self._flush()

    def _flush(self) -> None:
        reads, self.pending = self.pending, []
        self._settle(reads)

    def statement(self, node: ast.stmt) -> None:
        handler = _STATEMENTS.get(type(node))
        if handler is not None:
            handler(self, node)
        else:
            self.expressions(ast.iter_child_nodes(node))

    def _assign(self, node: ast.Assign) -> None:
        self.expressions((node.value, *node.targets))

    def _augmented(self, node: ast.AugAssign) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            self.read(target.id, target.lineno)
        else:
            self.expression(target)
            if isinstance(target, ast.Attribute):
                self._attribute(ast.copy_location(ast.Attribute(target.value, target.attr, ast.Load()), target))
        self.expression(node.value)
        if isinstance(target, ast.Name):
            self.write(target.id, target.lineno)

    def _annotated(self, node: ast.AnnAssign) -> None:
        self.expression(node.value)
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.expression(node.target)
        in_function = self.scopes[-1].kind == "function" if self.scopes else self.frame.kind == "function"
        if not in_function and not self.strings:
            self.expression(node.annotation)

    def _if(self, node: ast.If) -> None:
        self.expression(node.test)
        state = self._copy()
        self.suite(node.body)
        then, self.state = self.state, state
        self.suite(node.orelse)
        self.state = _meet(then, self.state)

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        self.expression(node.iter)
        head = self._copy()
        self.expression(node.target)
        breaks = self._loop_body(node.body)
        self.state = head
        self.suite(node.orelse)
        self.state = _meet(self.state, *breaks)

    def _while(self, node: ast.While) -> None:
        self.expression(node.test)
        forever = isinstance(node.test, ast.Constant) and bool(node.test.value)
        head = self._copy()
        breaks = self._loop_body(node.body)
        self.state = None if forever else head
        self.suite(node.orelse)
        self.state = _meet(self.state, *breaks)

    def _loop_body(self, statements: list[ast.stmt]) -> list[State]:
        self.loops.append([])
        self.suite(statements)
        return self.loops.pop()

    def _break(self, node: ast.Break) -> None:
        if self.loops:
            self.loops[-1].append(self._copy())
        self.state = None

    def _leave(self, node: ast.Return | ast.Raise | ast.Continue) -> None:
        self.expressions(ast.iter_child_nodes(node))
        self.state = None

    def _assert(self, node: ast.Assert) -> None:
        before = self._copy()
        self.expression(node.test)
        state = self._copy()
        self.expression(node.msg)
        # With -O the statement is not there, and a walrus in it binds nothing.
        self.state = state if __debug__ else before

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        # The state only grows, so the one before the statement holds at any point inside it.
        before = self._copy()
        self.suite(node.body)
        self.suite(node.orelse)
        ends = [self.state]
        for handler in node.handlers:
            self.state = None if before is None else set(before)
            self.expression(handler.type)
            if handler.name:
                self.write(handler.name, handler.lineno)
            self.suite(handler.body)
            if handler.name:
                self.delete(handler.name, handler.lineno)
            ends.append(self.state)
        after = _meet(*ends)
        self.state = None if before is None else set(before)
        self.suite(node.finalbody)
        if after is not None and self.state is not None:
            self.state |= after
        else:
            self.state = None

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        swallowed: list[State] = []
        for item in node.items:
            self.expression(item.context_expr)
            before = self._copy()
            self.expression(item.optional_vars)
            if never_swallows(item):
                continue
            # Unpacking into a target can raise where the context manager swallows it, a plain name cannot.
            plain = item.optional_vars is None or isinstance(item.optional_vars, ast.Name)
            swallowed.append(self._copy() if plain else before)
        self.suite(node.body)
        self.state = _meet(self.state, *swallowed)

    def _match(self, node: ast.Match) -> None:
        self.expression(node.subject)
        state = self._copy()
        ends: list[State] = []
        for case in node.cases:
            self.state = None if state is None else set(state)
            # Captures are bound after the whole pattern has matched.
            self.expressions(_pattern_reads(case.pattern))
            for name in sorted(bindings([case.pattern]).bound):
                self.write(name, case.pattern.lineno)
            self.expression(case.guard)
            self.suite(case.body)
            ends.append(self.state)
        last = node.cases[-1]
        certain = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
        self.state = _meet(*ends) if certain else _meet(state, *ends)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            name = bound_by_import(alias)
            self.facts.imports.append(ImportRef(name, alias.name, None, 0))
            self.write(name, node.lineno)

    def _import_from(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name in DYNAMIC_ATTRIBUTES:
                self.facts.dynamic.setdefault((alias.name, node.lineno))
            if alias.name in DOC_READERS:
                self.facts.reads_doc = True
            if alias.name != "*":
                name = alias.asname or alias.name
                self.facts.imports.append(ImportRef(name, node.module or "", alias.name, node.level))
                self.write(name, node.lineno)

    # ------------------------------------------------------------------ definitions

    def _defaults(self, arguments: ast.arguments) -> None:
        self.expressions((*arguments.defaults, *arguments.kw_defaults))

    def _function(self, node: FunctionNode) -> None:
        self.expressions(node.decorator_list)
        self._defaults(node.args)
        parametrised = self._type_parameters(node)
        if not self.strings:
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            self.expressions(a.annotation for a in (*arguments, node.args.vararg, node.args.kwarg) if a is not None)
            self.expression(node.returns)
        reads = self._later(_function_scope(node.args, node.body), lambda: self.suite(node.body))
        if parametrised:
            self.scopes.pop()
        self._resume(reads, waits=runs_nothing(node))
        self.write(node.name, node.lineno)

    def _class(self, node: ast.ClassDef) -> None:
        self.expressions(node.decorator_list)
        parametrised = self._type_parameters(node)
        self.expressions((*node.bases, *node.keywords))
        quiet = runs_nothing(node) and self.captured is None and not self.scopes
        loops, self.loops = self.loops, []
        self.scopes.append(_Scope("class", bindings(node.body)))
        if quiet:
            # The methods of such a class can only be called once the class is known.
            self._quiet_class_body(node)
        else:
            self.suite(node.body)
        self.scopes.pop()
        self.loops = loops
        if parametrised:
            self.scopes.pop()
        self.write(node.name, node.lineno)

    def _quiet_class_body(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            if isinstance(statement, FunctionNode):
                self._defaults(statement.args)
                scope = _function_scope(statement.args, statement.body)
                self.pending.extend(self._later(scope, lambda s=statement: self.suite(s.body)))  # type: ignore[misc]
                self.write(statement.name, statement.lineno)
            else:
                self.statement(statement)

    def _type_parameters(self, node: ast.AST) -> bool:
        """Open the scope of a definition's type parameters (PEP 695); bounds are evaluated later, if ever."""
        found = type_parameters(node)
        if not found:
            return False
        names = Bindings(bound={p.name for p in found})  # type: ignore[attr-defined]
        scope = _Scope("type", names)
        bounds = [getattr(p, f, None) for p in found for f in ("bound", "default_value")]
        self._resume(self._later(scope, lambda: self.expressions(bounds)))
        self.scopes.append(scope)
        return True

    def _type_alias(self, node: Any) -> None:
        names = Bindings(bound={p.name for p in type_parameters(node)})  # type: ignore[attr-defined]
        bounds = [getattr(p, f, None) for p in type_parameters(node) for f in ("bound", "default_value")]
        self._resume(self._later(_Scope("type", names), lambda: self.expressions([*bounds, node.value])))
        self.write(node.name.id, node.lineno)


def _function_scope(arguments: ast.arguments, body: Sequence[ast.AST]) -> _Scope:
    names = bindings(body)
    names.bound |= parameters(arguments)
    return _Scope("function", names)


def _pattern_reads(pattern: ast.AST) -> list[ast.AST]:
    """Values and classes that a pattern compares with."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = [pattern]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.expr):
            found.append(node)
        else:
            todo.extend(ast.iter_child_nodes(node))
    return found


_EXPRESSIONS: dict[type[ast.AST], Callable[[_Flow, Any], None]] = {
    ast.Name: _Flow._name,
    ast.Attribute: _Flow._attribute,
    ast.Constant: _Flow._constant,
    ast.Call: _Flow._call,
    ast.Dict: _Flow._dict,
    ast.BoolOp: _Flow._bool_op,
    ast.Compare: _Flow._compare,
    ast.IfExp: _Flow._if_expression,
    ast.NamedExpr: _Flow._walrus,
    ast.Lambda: _Flow._lambda,
    ast.ListComp: _Flow._comprehension,
    ast.SetComp: _Flow._comprehension,
    ast.DictComp: _Flow._comprehension,
    ast.GeneratorExp: _Flow._comprehension,
}

_STATEMENTS: dict[type[ast.AST], Callable[[_Flow, Any], None]] = {
    ast.Assign: _Flow._assign,
    ast.AugAssign: _Flow._augmented,
    ast.AnnAssign: _Flow._annotated,
    ast.If: _Flow._if,
    ast.For: _Flow._for,
    ast.AsyncFor: _Flow._for,
    ast.While: _Flow._while,
    ast.Break: _Flow._break,
    ast.Continue: _Flow._leave,
    ast.Return: _Flow._leave,
    ast.Raise: _Flow._leave,
    ast.Assert: _Flow._assert,
    ast.Try: _Flow._try,
    ast.TryStar: _Flow._try,
    ast.With: _Flow._with,
    ast.AsyncWith: _Flow._with,
    ast.Match: _Flow._match,
    ast.Import: _Flow._import,
    ast.ImportFrom: _Flow._import_from,
    ast.FunctionDef: _Flow._function,
    ast.AsyncFunctionDef: _Flow._function,
    ast.ClassDef: _Flow._class,
}
if hasattr(ast, "TypeAlias"):
    _STATEMENTS[ast.TypeAlias] = _Flow._type_alias
