"""A script, Jupyter notebook or marimo notebook as it stands in its file, without running it.

Its blocks, its definitions by qualified name, and those of its variables that surely have one constant value.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType
from typing import NamedTuple

from blockcache.analysis import Block, analyse
from blockcache.analysis.canonical import canonical_digest
from blockcache.analysis.names import ScopeNode, bindings
from blockcache.deep import with_deep_recursion
from blockcache.errors import BlockError, CacheError
from blockcache.fingerprint.modules import origin_of_file
from blockcache.frames import taken_out

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_DECORATORS = frozenset({"cell", "function", "class_definition"})
#: Lines of a cell that are for IPython, not for Python.
_MAGIC = re.compile(r"\s*(?:[%!?]|[\w.]+\?{1,2}\s*$|[\w, ]+=\s*[%!])")
#: What takes a list, set or dict and leaves it as it is.
_LOOKING_METHODS = frozenset({"copy", "count", "get", "index", "isdisjoint", "items", "keys", "union", "values"})
_LOOKING_FUNCTIONS = frozenset(
    {
        "all",
        "any",
        "dict",
        "enumerate",
        "frozenset",
        "len",
        "list",
        "max",
        "min",
        "print",
        "set",
        "sorted",
        "sum",
        "tuple",
    }
)
_CANNOT_READ = "cannot be read as Python"


class Unreadable(CacheError):
    """The file is none whose blocks can be looked for."""


class Named(NamedTuple):
    """A definition: its source, dedented, and the file and line for people."""

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Found:
    """One ``with cached_block(...)`` statement.

    Attributes
    ----------
    name
        The block's name; None when it is computed.
    call
        The call, for its other arguments.
    place
        For people: ``file:line``.
    page
        Number of the page that it stands on.
    line
        Line on that page.
    in_function
        It stands in a function or class.
    block
        What its body is and reads; None when that cannot be told.
    problem
        Why not.
    """

    name: str | None
    call: ast.Call
    place: str
    page: int
    line: int
    in_function: bool
    block: Block | None
    problem: str = ""


class _Page:
    """Code that is compiled as one piece: a script, or what a notebook runs of one cell."""

    def __init__(self, text: str, label: str, *, notebook: bool = False) -> None:
        self.label = label
        self.lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if notebook else 0
        self.magic: frozenset[int] = frozenset()
        self.problem = ""
        try:
            self.tree = _parsed(text)
        except (SyntaxError, ValueError) as error:
            self.tree, self.problem = ast.Module([], []), f"{_CANNOT_READ}: {error}"

    @classmethod
    def of_cell(cls, text: str, label: str) -> _Page:
        """A cell of Jupyter, where some lines may be for IPython."""
        page = cls(text, label, notebook=True)
        if page.problem:
            magic = frozenset(n for n, line in enumerate(page.lines, 1) if _MAGIC.match(line))
            lines = [re.sub(r"\S.*", "pass", x) if n in magic else x for n, x in enumerate(page.lines, 1)]
            page = cls("\n".join(lines), label, notebook=True)
            page.magic = magic
        return page

    def place(self, line: int) -> str:
        return f"{self.label}:{line}"

    def code(self, scopes: Iterable[ScopeNode]) -> CodeType | None:
        """The code object of the innermost of the scopes; that of the page without any."""
        code: CodeType = compile(self.tree, self.label, "exec", flags=self.flags, dont_inherit=True)
        for scope in scopes:
            first = min((d.lineno for d in scope.decorator_list), default=scope.lineno)
            todo = [code]
            found: CodeType | None = None
            while todo and found is None:
                for const in todo.pop().co_consts:
                    if isinstance(const, CodeType):
                        if const.co_name == scope.name and const.co_firstlineno == first:
                            found = const
                        todo.append(const)
            if found is None:
                return None
            code = found
        return code

    def segment(self, node: ast.stmt) -> str:
        """A statement's lines, decorators of its own included, dedented."""
        first = min((d.lineno for d in getattr(node, "decorator_list", [])), default=node.lineno)
        return textwrap.dedent("\n".join(self.lines[first - 1 : node.end_lineno])) + "\n"


class _Located(NamedTuple):
    node: ast.With | ast.AsyncWith
    item: int
    scopes: tuple[ScopeNode, ...]
    source: str
    renames: Mapping[str, str]


class Program:
    """One file.

    Raises
    ------
    Unreadable
        When there is no such file, or it is not Python.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.folder = os.path.dirname(self.path)
        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
        name = os.path.basename(self.path)
        if name.endswith(".ipynb"):
            self.host = "jupyter"
            self._pages = list(_cells(data, path))
        else:
            text = _decoded(data, path)
            page = _Page(text, name)
            if page.problem:
                raise Unreadable(f"{path} {page.problem}")
            app = _marimo_app(page.tree)
            self.host = "marimo" if app else "script"
            self._pages = list(_marimo_pages(page, app)) if app else [page]

    # -- blocks ----------------------------------------------------------------------------

    def blocks(self) -> Iterator[Found]:
        """Its blocks, in the order of the file."""
        names, modules = self._cached_block_names()
        for number, page in enumerate(self._pages):
            for node, item, scopes in _withs(page.tree):
                call = node.items[item].context_expr
                if isinstance(call, ast.Call) and _is_block(call.func, names, modules):
                    yield self._found(call, number, node, item, scopes)

    def _found(
        self, call: ast.Call, number: int, node: ast.With | ast.AsyncWith, item: int, scopes: tuple[ScopeNode, ...]
    ) -> Found:
        page = self._pages[number]
        block, problem = None, ""
        last = node.end_lineno or node.lineno
        source = textwrap.dedent("\n".join(page.lines[node.lineno - 1 : last]))
        if page.magic.intersection(range(node.lineno, last + 1)):
            problem = "its body holds a magic command"
        else:
            try:
                code = page.code(scopes)
                if code is not None:
                    block = analyse(_Located(node, item, scopes, source, {}), code)
            except BlockError as error:
                problem = str(error)
            except (SyntaxError, ValueError) as error:
                problem = f"{_CANNOT_READ}: {error}"
        if block is None and not problem:
            problem = "its function cannot be found"
        named = argument(call, "name") or (call.args[0] if call.args else None)
        name = self.text(named)
        return Found(name, call, page.place(node.lineno), number, node.lineno, bool(scopes), block, problem)

    def text(self, node: ast.expr | None) -> str | None:
        """The text that an expression surely is: a literal, or a name for one; None for anything else."""
        value = self.constants.get(node.id) if isinstance(node, ast.Name) else literal(node)
        return value if isinstance(value, str) else None

    def _cached_block_names(self) -> tuple[set[str], set[str]]:
        """What ``cached_block`` is called here, and what ``blockcache`` is."""
        names, modules = set(), set()
        for page in self._pages:
            for node in ast.walk(page.tree):
                if isinstance(node, ast.ImportFrom) and node.module == "blockcache" and not node.level:
                    for alias in node.names:
                        if alias.name in ("cached_block", "*"):
                            names.add(alias.asname or "cached_block")
                elif isinstance(node, ast.Import):
                    modules |= {a.asname or a.name for a in node.names if a.name == "blockcache"}
        return names, modules

    # -- names -----------------------------------------------------------------------------

    @cached_property
    def _statements(self) -> list[tuple[_Page, ast.stmt]]:
        return [(page, statement) for page in self._pages for statement in page.tree.body]

    @cached_property
    def _binders(self) -> dict[str, list[ast.stmt]]:
        """The top-level statements that bind each name; a function that declares it global counts too."""
        found: dict[str, list[ast.stmt]] = {}
        for _, statement in self._statements:
            names = set(bindings([statement]).bound)
            names |= {n for inner in ast.walk(statement) if isinstance(inner, ast.Global) for n in inner.names}
            for name in names:
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def constants(self) -> Mapping[str, object]:
        """Names that are bound once, to a literal; lists, sets and dicts may be changed in place afterwards."""
        if any(isinstance(s, ast.ImportFrom) and s.names[0].name == "*" for _, s in self._statements):
            return {}
        found: dict[str, object] = {}
        for name, statements in self._binders.items():
            statement = statements[0]
            if len(statements) > 1 or not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
                continue
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            value = literal(statement.value)
            if len(targets) > 1 or not isinstance(targets[0], ast.Name) or isinstance(value, ast.AST):
                continue
            found[name] = value
        return found

    def binding(self, name: str) -> str | None:
        """What a name is surely bound to by one definition or import, a dotted name; None where it cannot be told."""
        statements = self._binders.get(name, [])
        if len(statements) != 1:
            return None
        match statements[0]:
            case ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found) | ast.ClassDef(name=found):
                return found
            case ast.ImportFrom(module=module, names=aliases, level=0):
                return next((f"{module}.{a.name}" for a in aliases if (a.asname or a.name) == name), None)
            case ast.Import(names=aliases):
                return next((a.name if a.asname else name for a in aliases if (a.asname or a.name) == name), None)
            case _:
                return None

    def is_bound(self, name: str) -> bool:
        """Whether anything at the top level may bind a name."""
        return name in self._binders

    @cached_property
    def set_attributes(self) -> frozenset[str]:
        """Names of attributes that are set or deleted anywhere."""
        nodes = (node for page in self._pages for node in ast.walk(page.tree) if isinstance(node, ast.Attribute))
        return frozenset(node.attr for node in nodes if not isinstance(node.ctx, ast.Load))

    @cached_property
    def perhaps_changed(self) -> frozenset[str]:
        """Names and attributes that are used in a way that may change them in place or hand them on."""
        return frozenset(name for page in self._pages for name in _handled(page.tree))

    def definitions(self, qualname: str) -> list[Named]:
        """The definitions of a qualified name; several where it is defined in branches."""
        found: list[Named] = []
        for page, statement in self._statements:
            _collect(page, [statement], [part for part in qualname.split(".") if part != "<locals>"], found)
        return found


# ---- files ----


def _decoded(data: bytes, path: str) -> str:
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path} {_CANNOT_READ}: {error}") from error


def _cells(data: bytes, path: str) -> Iterator[_Page]:
    try:
        cells = json.loads(data)["cells"]
        for number, cell in enumerate((c for c in cells if c["cell_type"] == "code"), 1):
            source = cell["source"]
            text = source if isinstance(source, str) else "".join(source)
            if not text.lstrip().startswith("%%"):
                yield _Page.of_cell(text, f"{os.path.basename(path)} cell [{number}]")
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{path} is not a notebook: {type(error).__name__}: {error}") from error


def _marimo_app(tree: ast.Module) -> str:
    """What a marimo notebook calls its app; empty in any other file."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Attribute(attr="App"))):
                return name
    return ""


def _marimo_pages(page: _Page, app: str) -> Iterator[_Page]:
    """What marimo runs of each cell: the statements of its function, on their own lines."""
    for statement in page.tree.body:
        decorators = getattr(statement, "decorator_list", [])
        parts = [d.func if isinstance(d, ast.Call) else d for d in decorators]
        kinds = {
            part.attr
            for part in parts
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == app
        }
        body: list[ast.stmt] = []
        if kinds & {"function", "class_definition"} and isinstance(statement, _SCOPES):
            # The notebook's globals have the function itself, without marimo's decorator.
            first, last = statement.lineno, statement.end_lineno
            yield _Page("\n" * (first - 1) + "\n".join(page.lines[first - 1 : last]), page.label, notebook=True)
        elif isinstance(statement, ast.With) or "cell" in kinds:  # `with app.setup:`
            body = getattr(statement, "body", [])
        for inner in body:
            if not isinstance(inner, ast.Return):
                yield _Page(taken_out(page.lines, inner), page.label, notebook=True)


# ---- modules ----


def module_program(label: str, folder: str) -> tuple[Program, str] | None:
    """The local module that a label's first part names, from its file, and the rest of the label."""
    parts = label.split(".")
    for end in range(len(parts) - 1, 0, -1):
        file = module_file(".".join(parts[:end]), folder)
        if file is not None:
            try:
                return Program(file), ".".join(parts[end:])
            except Unreadable:
                return None
    return None


def module_file(name: str, folder: str) -> str | None:
    """The local Python file that an import of ``name`` in a program in ``folder`` would run; nothing is imported."""
    path: list[str] | None = [folder, *sys.path]
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        full = ".".join(parts[:end])
        try:
            spec = PathFinder.find_spec(full, path) or _asked(full, None if end == 1 else path)
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    origin = spec.origin if spec is not None and spec.has_location else None
    return origin if origin and origin.endswith(".py") and origin_of_file(origin) == "local" else None


def _asked(name: str, path: list[str] | None) -> ModuleSpec | None:
    """What finders of editable installs say."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is not None and finder is not PathFinder:
            found: ModuleSpec | None = find(name, path)
            if found is not None:
                return found
    return None


# ---- trees ----


def _parsed(text: str) -> ast.Module:
    return with_deep_recursion(lambda: ast.parse(text))


def _withs(tree: ast.Module) -> Iterator[tuple[ast.With | ast.AsyncWith, int, tuple[ScopeNode, ...]]]:
    """Every item of every ``with`` statement, with the functions and classes around it."""
    todo: list[tuple[ast.AST, tuple[ScopeNode, ...]]] = [(tree, ())]
    while todo:
        node, scopes = todo.pop()
        if isinstance(node, (ast.With, ast.AsyncWith)):
            yield from ((node, item, scopes) for item in range(len(node.items)))
        inner = (*scopes, node) if isinstance(node, _SCOPES) else scopes
        todo += [(child, inner) for child in reversed(list(ast.iter_child_nodes(node)))]


def _is_block(function: ast.expr, names: set[str], modules: set[str]) -> bool:
    match function:
        case ast.Name(id=name):
            return name in names
        case ast.Attribute(value=ast.Name(id=module), attr="cached_block"):
            return module in modules
        case _:
            return False


def argument(call: ast.Call, name: str) -> ast.expr | None:
    """A keyword argument of a call."""
    return next((k.value for k in call.keywords if k.arg == name), None)


def literal(node: ast.expr | None) -> object:
    """The value of a literal; an ``ast.AST`` for anything else, None for nothing."""
    if node is None:
        return None
    try:
        value: object = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return node
    return value


def _handled(tree: ast.Module) -> Iterator[str]:
    """Names of variables and attributes that are not only looked at."""
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, (ast.Name, ast.Attribute)) and not _only_looks(node, name, child):
                    yield child.id if isinstance(child, ast.Name) else child.attr


def _only_looks(node: ast.AST, part: str, child: ast.Name | ast.Attribute) -> bool:
    """Whether the statement or expression around a name leaves what it is bound to as it is."""
    match node:
        case ast.Subscript():
            return part == "slice" or isinstance(node.ctx, ast.Load)
        case ast.Assign() | ast.AnnAssign():
            return part != "value" and isinstance(child, ast.Name)  # bound here; set on an object
        case ast.Attribute():
            return node.attr in _LOOKING_METHODS
        case ast.Call():
            return part == "func" or (isinstance(node.func, ast.Name) and node.func.id in _LOOKING_FUNCTIONS)
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            return part == "iter"
        case ast.Starred() | ast.Compare() | ast.BinOp() | ast.BoolOp() | ast.UnaryOp() | ast.FormattedValue():
            return True
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            return part == "test"
        case _:
            return False


def is_fixed(value: object) -> bool:
    """Whether a value cannot change, nor anything in it."""
    if isinstance(value, tuple):
        return all(map(is_fixed, value))
    return value is None or type(value) in (bool, int, float, complex, str, bytes)


def _collect(page: _Page, statements: list[ast.stmt], parts: list[str], found: list[Named]) -> None:
    """The definitions of a qualified name in some statements, in branches and loops too."""
    todo: list[ast.AST] = list(reversed(statements))
    while todo:
        node = todo.pop()
        if not isinstance(node, _SCOPES):
            todo += [child for child in reversed(list(ast.iter_child_nodes(node))) if not isinstance(child, ast.expr)]
        elif node.name == parts[0]:
            if len(parts) > 1:
                _collect(page, node.body, parts[1:], found)
            else:
                found.append(Named(page.segment(node), page.place(node.lineno)))


def meaning(text: str, apart: Collection[str] = ()) -> str | None:
    """Digest of a definition's text in its canonical form; None when it cannot be parsed.

    ``apart`` are members of a class that are compared on their own.
    """
    for candidate in (text, f"if 1:\n{text}"):  # a method with a text of less indentation stays indented
        try:
            tree = _parsed(candidate)
        except (SyntaxError, ValueError):
            continue
        first = tree.body[0] if tree.body else None
        if isinstance(first, ast.ClassDef):
            for member in first.body:
                _empty(member, apart)
        # The `if` around it, where there is one, is around both texts that are compared.
        return canonical_digest(tree.body, keep_all=False, in_class=False)
    return None


def _empty(member: ast.stmt, apart: Collection[str]) -> None:
    """Leave only the name of a member of a class, and its decorators, where it is one of those."""
    match member:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in apart:
            member.args = ast.arguments([], [], None, [], [], None, [])
            member.body, member.returns = [ast.Pass()], None
        case ast.ClassDef(name=name) if name in apart:
            member.body, member.bases, member.keywords = [ast.Pass()], [], []
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if (
            member.value is not None and name in apart
        ):
            member.value = ast.Constant(None)
        case _:
            pass
