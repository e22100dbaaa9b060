"""What ran before a point of a program, as a list of steps, and what each step reads, binds and may change.

A step is a statement, whole when it is over. A compound statement that the point lies in is opened: its header is
one step and the statements before the point follow it. A loop around the point comes twice: first whole, for the
iterations that may be over, then opened for the one that is running.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from blockcache.analysis.canonical import without_block_names
from blockcache.analysis.facts import Chain, Frame
from blockcache.analysis.inert import runs_nothing
from blockcache.analysis.names import bindings
from blockcache.analysis.reads import reads_and_writes

_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.GeneratorExp)
#: Builtins that look at their arguments and change nothing; a call whose result is dropped does not count.
_OBSERVERS = frozenset({"print", "len", "repr", "type", "id", "isinstance", "callable", "display"})


@dataclass(frozen=True, slots=True)
class Code:
    """Code that a step makes and that may run later: the names that it looks up, and those that it binds, outside."""

    reads: frozenset[str]
    binds: frozenset[str]
    tells: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Step:
    """Statements that ran one after the other, with what they do to the names of their scope.

    Attributes
    ----------
    nodes
        The statements.
    file
        Where they stand, for people.
    reads
        Names that may be read from before, with their attribute chains.
    binds, definite
        Names that may be bound or deleted; those of them that surely are.
    tells
        Names in a statement that is there for its effect: a call whose result is dropped, a store to an attribute
        or an item, a decorator, the header of a `with`.
    code
        What functions made here do when they run.
    quiet
        It runs no code: nothing can be called or changed by it.
    dynamic
        It uses names that its text does not show.
    again
        It stands for earlier iterations of a loop around the point, as many as there were.
    contained
        It is an earlier run of the block itself, whose results hold nothing of what it used.
    observes
        The function, if all it does is to call a function that only looks at names.
    """

    nodes: list[ast.stmt]
    file: str
    reads: dict[str, tuple[Chain, ...]] = field(default_factory=dict)
    binds: frozenset[str] = frozenset()
    definite: frozenset[str] = frozenset()
    tells: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    code: Code | None = None
    quiet: bool = False
    dynamic: bool = False
    again: bool = False
    contained: bool = False
    observes: str = ""

    @property
    def line(self) -> int:
        """First line."""
        return self.nodes[0].lineno


@dataclass(frozen=True, slots=True)
class Setting:
    """What the statements of one text have in common.

    Attributes
    ----------
    frame
        The scope that they stand in.
    file
        For people.
    strings
        Annotations are not evaluated.
    renames
        Names that the host has renamed: as written, as they run.
    apart
        Whether the value of a name has content of its own, and so shares nothing with one that has none.
    own
        The block's own statement as :func:`ast.dump` writes it: an earlier run of it changed nothing that it used,
        or it would never be saved, and its code is in the key anyway.
    """

    frame: Callable[[], Frame] = lambda: Frame("module")
    file: str = ""
    strings: bool = False
    renames: Callable[[str], str] = str
    apart: Callable[[str], bool] = lambda _name: False
    own: str = ""


def step_of(nodes: Sequence[ast.stmt], setting: Setting, *, certain: bool = True) -> Step:
    """The step of statements that ran; not ``certain``: perhaps not to their end, or not at all."""
    contained = len(nodes) == 1 and _is_own(nodes[0], setting)
    nodes = [without_block_names(node) for node in nodes]
    frame = setting.frame()
    frame.killed = bindings(nodes).killed
    facts = reads_and_writes(list(nodes), frame, bound=(), strings=setting.strings)
    inside = [n for node in nodes for n in ast.walk(node)]
    inner = [n for n in inside if isinstance(n, _LATER)]
    below = [n for node in inner for n in ast.walk(node)]
    declared = {name for n in below if isinstance(n, (ast.Global, ast.Nonlocal)) for name in n.names}
    looked_up = {n.id for n in below if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    quiet = all(map(runs_nothing, nodes))
    reads: Mapping[str, Iterable[Chain]] = facts.reads
    binds = {*facts.writes, *facts.deletes}
    names = (looked_up | declared, declared, _told(below)) if inner else ()
    code = Code(*(frozenset(map(setting.renames, found)) for found in names)) if inner else None
    if quiet and inner:
        # Making a function evaluates its defaults; what its body uses counts where it is called.
        now = {n.id for part in _evaluated(nodes) for n in ast.walk(part) if isinstance(n, ast.Name)}
        reads = {name: chains for name, chains in reads.items() if name in now}
        binds -= declared - bindings(nodes).bound
    dynamic = bool(facts.dynamic) or any(map(_imports_all, inside)) or not frame.own.isdisjoint(facts.past_frame)
    return Step(
        nodes=nodes,
        file=setting.file,
        reads={setting.renames(name): tuple(sorted(chains)) for name, chains in reads.items()},
        binds=frozenset(map(setting.renames, binds)),
        definite=frozenset(map(setting.renames, facts.definite | _deleted(nodes))) if certain else frozenset(),
        tells=frozenset(map(setting.renames, _told(inside))),
        given=frozenset(map(setting.renames, _names_given(inside))),
        code=code,
        quiet=quiet,
        dynamic=dynamic,
        contained=contained,
        observes=_observes(nodes[0]) if len(nodes) == 1 else "",
    )


def _evaluated(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """What quiet statements evaluate: everything but the bodies of functions."""
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo += [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
        elif isinstance(node, ast.Name):
            yield node
        else:
            todo += ast.iter_child_nodes(node)


def _deleted(nodes: Sequence[ast.stmt]) -> set[str]:
    """Names that a plain ``del`` surely unbinds."""
    return {t.id for n in nodes[-1:] if isinstance(n, ast.Delete) for t in n.targets if isinstance(t, ast.Name)}


def _imports_all(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)


def _observes(node: ast.stmt) -> str:
    """The function of a call that only looks at names (``print(x)``), its result dropped; else nothing."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return ""
    call = node.value
    if not isinstance(call.func, ast.Name) or call.func.id not in _OBSERVERS:
        return ""
    plain = all(map(_only_names, _given(call))) and all(keyword.arg is not None for keyword in call.keywords)
    return call.func.id if plain else ""


def _only_names(node: ast.AST) -> bool:
    if isinstance(node, (ast.JoinedStr, ast.FormattedValue)):
        return all(map(_only_names, ast.iter_child_nodes(node)))
    return isinstance(node, (ast.Constant, ast.Name))


def _told(inside: Iterable[ast.AST]) -> set[str]:
    """Names in parts that are there for their effect."""
    parts: list[ast.AST] = []
    for node in inside:
        match node:
            case ast.Expr() if not isinstance(node.value, ast.Constant):
                parts.append(node.value)
            case ast.With() | ast.AsyncWith():
                parts += [item.context_expr for item in node.items]
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                parts += node.decorator_list
                parts += [*node.bases, *node.keywords] if isinstance(node, ast.ClassDef) else []
            case ast.Attribute() | ast.Subscript() if not isinstance(node.ctx, ast.Load):
                parts.append(node)
            case ast.Call() if any(isinstance(n, _LATER) for given in _given(node) for n in ast.walk(given)):
                parts.append(node)  # what is given code may keep it
    return {n.id for part in parts for n in ast.walk(part) if isinstance(n, ast.Name)}


def _given(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _names_given(inside: Iterable[ast.AST]) -> set[str]:
    """Names that are arguments of calls, as they are or in a container."""
    given = [part for n in inside if isinstance(n, ast.Call) for part in _given(n)]
    return {n.id for part in given for n in ast.walk(part) if isinstance(n, ast.Name)}


# ------------------------------------------------------------------ opening compound statements


def steps_of(body: Sequence[ast.stmt], setting: Setting) -> list[Step]:
    """Steps of statements that all ran to their end."""
    return [step_of([node], setting) for node in body]


def steps_before(body: Sequence[ast.stmt], target: ast.stmt, setting: Setting) -> list[Step] | None:
    """Steps that ran before ``target`` began; None when it is not in ``body``.

    Functions and classes are not opened: pass the body of the innermost one.
    """
    done: list[Step] = []
    for node in body:
        if node is target:
            return done
        if any(inner is target for inner in _own_nodes(node)):
            return done + _opened(node, target, setting)
        done.append(step_of([node], setting))
    return None


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below a statement, those of nested functions and classes apart."""
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        if current is node or not isinstance(current, (*_LATER, ast.ClassDef)):
            todo += ast.iter_child_nodes(current)


def _opened(node: ast.stmt, target: ast.stmt, setting: Setting) -> list[Step]:
    def within(suite: Sequence[ast.stmt]) -> list[Step]:
        return steps_before(suite, target, setting) or []

    def holds(suite: Sequence[ast.AST]) -> bool:
        return any(inner is target for s in suite for inner in _own_nodes(s))

    def header(made: ast.stmt, *, certain: bool = True) -> Step:
        return step_of([ast.fix_missing_locations(ast.copy_location(made, node))], setting, certain=certain)

    blank: list[ast.stmt] = [ast.copy_location(ast.Pass(), node)]
    match node:
        case ast.If():
            return [header(ast.Expr(node.test)), *within(node.body if holds(node.body) else node.orelse)]
        case ast.With() | ast.AsyncWith():
            return [header(type(node)(items=node.items, body=blank)), *within(node.body)]
        case ast.For() | ast.AsyncFor() | ast.While():
            before = step_of([_without_own(node, setting)], setting, certain=False)
            if holds(node.orelse):
                return [step_of([node], setting, certain=False), *within(node.orelse)]
            before.again = True
            head: ast.stmt
            if isinstance(node, ast.While):
                head = ast.Expr(node.test)
            else:
                head = ast.Assign(targets=[node.target], value=ast.Call(ast.Name("next", ast.Load()), [node.iter], []))
            return [before, header(head), *within(node.body)]
        case ast.Try() | ast.TryStar():
            if holds(node.body):
                return within(node.body)
            if holds(node.orelse):
                return [*steps_of(node.body, setting), *within(node.orelse)]
            tried = [step_of(node.body, setting, certain=False)]
            for handler in node.handlers:
                if holds([handler]):
                    caught = ast.Name(handler.name, ast.Store()) if handler.name else None
                    binds = ast.Assign(targets=[caught], value=handler.type or ast.Constant(None)) if caught else None
                    return tried + ([header(binds)] if binds else []) + within(handler.body)
            over = [ast.Try(node.body, node.handlers, node.orelse, [])] if node.handlers else node.body
            whole = [ast.fix_missing_locations(ast.copy_location(o, node)) for o in over]
            return [step_of(whole, setting, certain=False), *within(node.finalbody)]
        case ast.Match():
            case_ = next(c for c in node.cases if holds(c.body))
            tests = [ast.match_case(c.pattern, c.guard, blank) for c in node.cases[: node.cases.index(case_) + 1]]
            return [header(ast.Match(node.subject, tests), certain=False), *within(case_.body)]
        case _:
            # A function or class: whoever asks stands in another scope.
            raise ValueError(f"{type(node).__name__} cannot be opened")


def _without_own(loop: ast.stmt, setting: Setting) -> ast.stmt:
    """A loop in which the block itself only binds its results."""
    copied = copy.deepcopy(loop)
    for parent in ast.walk(copied):
        for _, suite in ast.iter_fields(parent):
            if isinstance(suite, list):
                suite[:] = [_result(n) if _is_own(n, setting) else n for n in suite]
    return copied


def _result(block: ast.stmt) -> ast.stmt:
    targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in sorted(bindings([block]).bound)]
    made = ast.Assign(targets=targets, value=ast.Constant(None)) if targets else ast.Pass()
    return ast.fix_missing_locations(ast.copy_location(made, block))


def _is_own(node: ast.stmt, setting: Setting) -> bool:
    if not setting.own or not isinstance(node, (ast.With, ast.AsyncWith)) or ast.dump(node) != setting.own:
        return False
    return all(map(setting.apart, map(setting.renames, bindings([node]).bound)))
