"""The `with` statement that a frame is entering, found in its source and checked against the running code.

Finding is up to `executing`. Where it cannot tell (no column positions, a cell
that a host took out of its function), it is by line: a compound statement begins
a logical line, so no two `with` statements start on one line and no other
statement shares the lines of one. The item is told apart by column, or by order
where the columns are missing (``-X no_debug_ranges``).

Checking is by meaning: the statement is compiled again, and the instructions
on its lines (operations, names, constants, jumps, exception handlers) must be
those of the running code. A file that was edited after its import therefore
fails, and what a host does to the rest of a file does not matter: a cell
compiled statement by statement, without its last expression, or out of the
function that holds it in a marimo notebook; asserts rewritten by pytest.
"""

from __future__ import annotations
import __future__

import ast
import dis
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

from blockcache.deep import with_deep_recursion

ScopeNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
WithNode = ast.With | ast.AsyncWith

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag
_CO_OPTIMIZED = 1
_ENTERS = {dis.opmap[n] for n in ("BEFORE_WITH", "BEFORE_ASYNC_WITH")}
#: From 3.13 on the instruction that enters an item has the position of that item, before that of the statement.
_ITEM_POSITIONS = sys.version_info >= (3, 13)
_CACHE, _EXTENDED_ARG = dis.opmap["CACHE"], dis.EXTENDED_ARG
_CONSTS, _NAMES, _JUMPS = frozenset(dis.hasconst), frozenset(dis.hasname), frozenset((*dis.hasjrel, *dis.hasjabs))
_VARIABLES = frozenset((*dis.haslocal, *dis.hasfree))
#: Low bits of the argument beside the index of a name. The lowest tells a method call, see _SAME.
_FLAG_BITS = {"LOAD_GLOBAL": 1, "LOAD_SUPER_ATTR": 2} | ({"LOAD_ATTR": 1} if sys.version_info >= (3, 12) else {})
#: `a.b()` is compiled as a method call unless the whole file imports `a` at its top level. Both mean the
#: same, and hosts compile a cell or a file in pieces.
_SAME = {"LOAD_METHOD": "LOAD_ATTR", "LOAD_FAST_CHECK": "LOAD_FAST"}
_GLOBAL = {"LOAD_GLOBAL": "LOAD_NAME", "STORE_GLOBAL": "STORE_NAME", "DELETE_GLOBAL": "DELETE_NAME"}
# Where the dictionary of annotations is made is a matter of the whole module: on the line of its first statement.
_IGNORED = frozenset({"PUSH_NULL", "EXTENDED_ARG", "SETUP_ANNOTATIONS"})
_PAIRS = frozenset(("LOAD_FAST_LOAD_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST"))
#: marimo renames what starts with one underscore, so that it stays local to its cell.
_CELL_LOCAL = re.compile(r"_cell_[^\W_][\w-]*?(_.*)", re.DOTALL)
#: Results kept; a notebook compiles a new code object each time that a cell runs.
_KEPT = 512


class Located(NamedTuple):
    """A `with` statement that was found and verified.

    Attributes
    ----------
    tree
        The whole source.
    node, item
        The statement, and the number of the item that is being entered.
    scopes
        Functions and classes around the statement in the running code, outermost first.
    source
        Text of the statement, dedented.
    renames
        Names that the host has renamed in the running code: as written, as they run.
    """

    tree: ast.Module
    node: WithNode
    item: int
    scopes: tuple[ScopeNode, ...]
    source: str
    renames: Mapping[str, str]


#: (id of the code object, offset) -> the code object, so that its id stays taken, and the result.
_located: dict[tuple[int, int], tuple[CodeType, Located | None]] = {}


def locate(
    frame: FrameType, source: str | Callable[[], str | None] | None, tree: ast.Module | None = None
) -> Located | None:
    """The `with` statement that ``frame`` is entering; None when it cannot be told for certain.

    Parameters
    ----------
    frame
        The caller, its last instruction being the one that enters the `with`.
    source
        Text that the code was compiled from, as far as the host knows, or a function that
        returns it; it is asked once for a code object.
    tree
        What was compiled, where that is not what the text says.
    """
    code, offset = frame.f_code, frame.f_lasti
    known = _located.get((id(code), offset))
    if known is not None:
        return known[1]
    text = source() if callable(source) else source
    if text is None:
        return None
    try:
        known_as = (tree, None) if tree is not None else _by_executing(frame, text)
        found = with_deep_recursion(lambda: _find(code, offset, text, *known_as))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        found = None
    if len(_located) >= _KEPT:
        _located.clear()
    _located[id(code), offset] = code, found
    return found


def confirmed(code: CodeType, node: ast.With) -> dict[str, str] | None:
    """The names that the host has renamed in a `with` statement of a module, if it is what ``code`` runs; else None."""
    return with_deep_recursion(lambda: _verified(code, node, node, nested=False))


@lru_cache(maxsize=8)
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


_ALL_OPERATORS = """a = b
del c
a + b - c * d @ e / f % g ** h << i >> j | k ^ l & m // n, a and b or c, (~a, not a, +a, -a)
a == b != c < d <= e > f >= g is h is not i in j not in k
"""


@lru_cache(maxsize=1)
def _shared_nodes() -> tuple[ast.AST, ...]:
    """Operators and contexts: Python has one object of each, and a note on it would be on every tree of the program."""
    kinds = (ast.boolop, ast.cmpop, ast.expr_context, ast.operator, ast.unaryop)
    return tuple({type(n): n for n in ast.walk(ast.parse(_ALL_OPERATORS)) if isinstance(n, kinds)}.values())


def _by_executing(frame: FrameType, text: str) -> tuple[ast.Module | None, WithNode | None]:
    """The tree and the statement as `executing` finds them; None where it cannot (no columns, a cell taken out)."""
    from executing import Source  # takes longer to import than most hits take

    source = Source.for_frame(frame)
    if source.tree is None or source.text != text:
        return None, None
    node = source.executing(frame).node
    for shared in _shared_nodes():
        vars(shared).pop("parent", None)
    return source.tree, node if isinstance(node, (ast.With, ast.AsyncWith)) else None


def _find(
    code: CodeType, offset: int, text: str, tree: ast.Module | None = None, known: WithNode | None = None
) -> Located | None:
    tree = tree or _parse(text)
    enters = _enters(code)
    line = next((p[0] for at, p in enters if at == offset), None)
    if line is None:
        return None
    for path in _paths(tree.body, line, ()):
        node = path[-1]
        assert isinstance(node, (ast.With, ast.AsyncWith))
        if known is not None and node is not known:
            continue
        item = _item(node, enters, offset, line)
        around = [n for n in path if isinstance(n, _SCOPES)]
        scopes = _running_scopes(code, around)
        if item is None or scopes is None:
            continue
        dropped = len(around) - len(scopes)
        if dropped:
            top = path[path.index(around[dropped - 1]) + 1]
            return _find(code, offset, taken_out(_lines(text), top))
        renames = _verified(code, node, scopes[0] if scopes else path[0], nested=bool(scopes))
        if renames is not None:
            lines = _lines(text)[node.lineno - 1 : node.end_lineno]
            return Located(tree, node, item, scopes, textwrap.dedent("\n".join(lines)), renames)
    return None


def _lines(text: str) -> list[str]:
    """Lines as the parser counts them, which a form feed does not end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def taken_out(lines: list[str], top: ast.AST) -> str:
    """The text of a statement, on its own lines, as marimo takes it out of the function that holds it.

    Texts of several lines are dedented with the code, unless one of their lines has less indentation.
    """
    first, last = _first(top), int(top.end_lineno)  # type: ignore[attr-defined]
    indent = len(lines[first - 1]) - len(lines[first - 1].lstrip())
    kept: set[int] = set()
    for node in ast.walk(top):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))):
            inside = range(node.lineno, node.end_lineno or node.lineno)
            if any(lines[i].strip() and lines[i][:indent].strip() for i in inside):
                kept.update(inside)
    taken = (
        line if first - 1 + i in kept or line[:indent].strip() else line[indent:]
        for i, line in enumerate(lines[first - 1 : last])
    )
    return "\n" * (first - 1) + "\n".join(taken)


def _enters(code: CodeType) -> list[tuple[int, tuple[int | None, ...]]]:
    """Offset and position of every instruction that enters a `with`."""
    raw = code.co_code
    return [(2 * i, p) for i, p in enumerate(code.co_positions()) if raw[2 * i] in _ENTERS]


def _paths(statements: list[ast.stmt], line: int, path: tuple[ast.AST, ...]) -> Iterator[tuple[ast.AST, ...]]:
    """Paths to the `with` statements that have an item, or their start, on ``line``."""
    todo: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(s, path) for s in reversed(statements)]
    while todo:
        node, path = todo.pop()
        first, last = getattr(node, "lineno", None), getattr(node, "end_lineno", None)
        if isinstance(node, ast.expr) or (first is not None and last is not None and not _first(node) <= line <= last):
            continue
        path = (*path, node)
        if isinstance(node, (ast.With, ast.AsyncWith)):
            starts = [i.context_expr.lineno for i in node.items] if _ITEM_POSITIONS else [node.lineno]
            if line in starts:
                yield path
        todo.extend((child, path) for child in reversed(list(ast.iter_child_nodes(node))))


def _first(node: ast.AST) -> int:
    decorators = getattr(node, "decorator_list", None)
    return int(min(d.lineno for d in decorators) if decorators else node.lineno)  # type: ignore[attr-defined]


def _item(node: WithNode, enters: list[tuple[int, Any]], offset: int, line: int) -> int | None:
    """Number of the item that the instruction at ``offset`` enters."""
    here = [(at, p) for at, p in enters if p[0] == line]
    if not _ITEM_POSITIONS:
        # A `finally` clause is compiled twice, each copy with all items in order.
        return [at for at, _ in here].index(offset) % len(node.items)
    items = sorted((e.context_expr.col_offset, n) for n, e in enumerate(node.items) if e.context_expr.lineno == line)
    columns = sorted({p[2] for _, p in here if p[2] is not None})
    if len(columns) == len(items):
        column = next(p[2] for at, p in here if at == offset)
        return items[columns.index(column)][1]
    if columns or len(here) % len(items):
        return None
    return items[[at for at, _ in here].index(offset) % len(items)][1]


def _running_scopes(code: CodeType, around: list[ScopeNode]) -> tuple[ScopeNode, ...] | None:
    """Those of the scopes around the statement in its file that are around it in the running code."""
    if not code.co_flags & _CO_OPTIMIZED and code.co_name.startswith("<"):
        return ()
    for start in range(len(around)):
        parts: list[str] = []
        for scope in around[start:]:
            parts += [scope.name] if isinstance(scope, ast.ClassDef) else [scope.name, "<locals>"]
        if isinstance(around[-1], ast.ClassDef) != bool(code.co_flags & _CO_OPTIMIZED) and (
            ".".join(parts).removesuffix(".<locals>") == code.co_qualname
        ):
            return tuple(around[start:])
    return None


# ------------------------------------------------------------------ is it what runs?


def _verified(code: CodeType, node: WithNode, top: ast.AST, *, nested: bool) -> dict[str, str] | None:
    """The renamed names when the statement, compiled again, is what ``code`` runs; None when it is not."""
    first, last = node.lineno, node.end_lineno or node.lineno
    running = _Decoder(first, last)
    wanted = running.decode(code)
    unrenamed, renames = _without_cells(wanted, running.names)
    for body in _modules(top, last, nested):
        flags = (code.co_flags & _FUTURES) | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        module = compile(ast.Module(body, []), code.co_filename, "exec", flags=flags, dont_inherit=True)
        for candidate in _named(module, code.co_qualname) if nested else (module,):
            found = _Decoder(first, last).decode(candidate)
            if found == wanted:
                return {}
            if renames and found == unrenamed:
                return renames
    return None


def _modules(top: Any, last: int, nested: bool) -> Iterator[list[ast.stmt]]:
    yield [top]
    if not nested:
        # Followed by something: the last statement of a module returns where another one goes on.
        position = {"lineno": last + 1, "end_lineno": last + 1, "col_offset": 0, "end_col_offset": 1}
        call = ast.Call(ast.Name("_", ast.Load(), **position), [], [], **position)
        yield [top, ast.Expr(call, **position)]


def _named(code: CodeType, qualname: str) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            if const.co_qualname == qualname:
                yield const
            yield from _named(const, qualname)


def _without_cells(form: Any, names: set[str]) -> tuple[Any, dict[str, str]]:
    """The form with marimo's cell-local names as they are written, and those names."""
    renames = {m[1]: n for n in names if (m := _CELL_LOCAL.fullmatch(n))}
    if not renames:
        return form, {}
    written = {running: name for name, running in renames.items()}

    def rename(part: Any) -> Any:
        if isinstance(part, _Name):
            return _Name(written.get(part, part))
        return tuple(map(rename, part)) if isinstance(part, tuple) else part

    return rename(form), renames


class _Name(str):
    """A name, to be told from a constant text."""

    __slots__ = ()


class _Decoder:
    """Instructions on some lines, and nested code whole, without positions; comparable between compilations."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self.names: set[str] = set()

    def decode(self, code: CodeType) -> tuple[Any, ...]:
        """The form of the instructions on the lines."""
        return self._form(code, [p[0] is not None and self.first <= p[0] <= self.last for p in code.co_positions()])

    def _form(self, code: CodeType, wanted: list[bool]) -> tuple[Any, ...]:
        top = not code.co_flags & _CO_OPTIMIZED and code.co_name.startswith("<")
        steps: list[tuple[str, Any]] = []
        jumps: list[tuple[int, int]] = []
        place: dict[int, int] = {}  # offset -> number of the step
        raw, extended, start = code.co_code, 0, 0
        for at in range(0, len(raw), 2):
            op, arg = raw[at], raw[at + 1] | extended
            if op == _CACHE:
                continue
            if not extended:
                start = at
            extended = arg << 8 if op == _EXTENDED_ARG else 0
            if not wanted[at // 2]:
                continue
            place[start] = place[at] = len(steps)
            name = _SAME.get(dis.opname[op], dis.opname[op])
            if name in _IGNORED:
                continue
            if op in _JUMPS:
                jumps.append((len(steps), _target(raw, at, name, arg)))
                steps.append((name, None))
            else:
                # Where any function of a file declares a name global, its top level is compiled as if it did too.
                same = _GLOBAL.get(name, name) if top else name
                steps.append((same, self._argument(code, op, name, arg)))
        for number, target in jumps:
            steps[number] = steps[number][0], place.get(target, -1)
        return (*steps, *self._handlers(code, place))

    def _argument(self, code: CodeType, op: int, name: str, arg: int) -> Any:
        if op in _CONSTS:
            return self._constant(code.co_consts[arg])
        if op in _NAMES:
            bits = _FLAG_BITS.get(name, 0)
            return self._name(code.co_names[arg >> bits]), (arg & ((1 << bits) - 1)) >> 1
        if name in _PAIRS:
            return self._variable(code, arg >> 4), self._variable(code, arg & 15)
        return self._variable(code, arg) if op in _VARIABLES else arg

    def _variable(self, code: CodeType, arg: int) -> _Name:
        return self._name(code._varname_from_oparg(arg))  # type: ignore[attr-defined]

    def _name(self, name: str) -> _Name:
        self.names.add(name)
        return _Name(name)

    def _constant(self, value: object) -> Any:
        """What tells 0.0 from -0.0 and 1 from True."""
        if isinstance(value, CodeType):
            head = (
                _Name(value.co_name),
                value.co_argcount,
                value.co_posonlyargcount,
                value.co_kwonlyargcount,
                value.co_flags,
                tuple(map(_Name, value.co_varnames)),
                tuple(map(_Name, value.co_freevars)),
            )
            return head, self._form(value, [True] * (len(value.co_code) // 2))
        if isinstance(value, tuple):
            return "tuple", tuple(map(self._constant, value))
        if isinstance(value, frozenset):
            return "frozenset", frozenset(map(self._constant, value))
        return type(value).__name__, repr(value) if isinstance(value, (float, complex)) else value

    def _handlers(self, code: CodeType, place: dict[int, int]) -> Iterator[tuple[Any, ...]]:
        """Exception handlers of the steps: without them `else` and `finally` could be mistaken for one another."""
        offsets = sorted(place)
        for entry in dis._parse_exception_table(code):  # type: ignore[attr-defined]
            covered = [place[o] for o in offsets if entry.start <= o < entry.end]
            if covered:
                yield covered[0], covered[-1], place.get(entry.target, -1), entry.depth, entry.lasti


def _target(raw: bytes, at: int, name: str, arg: int) -> int:
    """Offset that a jump goes to; it counts from behind the inline caches."""
    following = at + 2
    while following < len(raw) and raw[following] == _CACHE:
        following += 2
    return following - 2 * arg if "BACKWARD" in name else following + 2 * arg
