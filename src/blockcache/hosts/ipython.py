"""IPython and Jupyter: cells of a live kernel."""

from __future__ import annotations

import ast
import os
import re
import types
from collections.abc import Callable
from typing import Any

from IPython import get_ipython
from IPython.core.error import UsageError

from blockcache import cells
from blockcache.hosts import Afterwards, Place, Ran, source


def place(frame: types.FrameType) -> Place | None:
    """The place of a cell's code; None for code of imported files and outside a kernel."""
    shell = get_ipython()
    if shell is None or frame.f_globals is not shell.user_ns:
        return None
    # ipykernel tells the notebook's path to what it starts; a relative one is relative to the server.
    notebook = os.environ.get("JPY_SESSION_NAME", "")
    known = os.path.isabs(notebook) and os.path.exists(notebook)
    folder = os.path.dirname(notebook) if known else os.getcwd()
    cell = f"cell [{len(shell.history_manager.input_hist_parsed) - 1}]"  # the counter is one ahead in some versions
    return Place("ipython", f"{os.path.basename(notebook)} {cell}" if known else cell, folder)


__all__ = ["UsageError", "executed", "hands_on", "is_aside", "keeps", "place", "plain", "turn", "understood", "watch"]

#: What a kernel binds as it goes: what cells were, and what they gave.
_HISTORY = re.compile(r"_{1,3}|_i{1,3}|_i?\d+|In|Out|_ih|_oh|_dh")


def keeps(namespace: dict[str, object], name: str) -> bool:
    """Whether the kernel binds a name of the notebook as it goes."""
    shell = get_ipython()
    return shell is not None and shell.user_ns is namespace and _HISTORY.fullmatch(name) is not None


#: Magics that run their text as Python in the notebook's namespace.
_RUN_THEIR_CELL = frozenset({"time", "capture", "prun", "cached_block"})
#: Magics that run nothing which a name of the notebook could depend on.
_HARMLESS = frozenset(
    """alias autoreload bash blockcache config colors debug html javascript js latex load_ext ls lsmagic markdown
    matplotlib pip conda mamba uv precision pdb pwd sh svg system unload_ext who whos writefile xmode""".split()  # noqa: SIM905
)


def turn() -> int:
    """How many cells this kernel has run."""
    shell = get_ipython()
    return 0 if shell is None else len(shell.history_manager.input_hist_parsed)


def executed(frame: types.FrameType) -> list[Ran] | None:
    """The cells as they ran, in order; None for code that is no cell's."""
    shell = get_ipython()
    if shell is None or frame.f_globals is not shell.user_ns:
        return None
    texts = list(shell.history_manager.input_hist_parsed)
    current = len(texts) - 1  # the counter is one ahead in some versions
    # Older versions do not keep which cells raised; then any of them may have stopped half-way.
    failed = getattr(shell.history_manager, "exceptions", None)
    running = cells.of(frame.f_code)
    return [
        Ran(
            # A cell that runs as a block is not what its text says.
            ast.unparse(running.written) if number == current and running is not None else plain(shell, text),
            f"cell [{number}]",
            certain=failed is not None and number not in failed,
            current=number == current,
        )
        for number, text in enumerate(texts)
        if number and text.strip()
    ]


def afterwards(frame: types.FrameType) -> Afterwards | None:
    """The rest of the running cell, and the cells that have run in this session; None for code that is no cell's."""
    ran = executed(frame)
    if ran is None:
        return None
    try:
        others = [(cell.file, _compiled(ast.parse(cell.text))) for cell in ran if cell.text != ran[-1].text]
        running, text = cells.of(frame.f_code), source(frame)
        # A cell is compiled statement by statement, and what a magic runs as a whole but for its last expression.
        if running is not None:
            body = running.tree.body
            done = body[: body.index(running.block) + 1]
        elif text is not None:
            body = ast.parse(text).body
            done = [n for n in body if n.lineno <= frame.f_lineno]
        else:
            body = ast.parse(ran[-1].text).body
            done = body[:-1]
        earlier, rest = (_compiled(ast.Module(part, [])) for part in (done, body[len(done) :]))
        return Afterwards((earlier,), (rest,), tuple(others))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise LookupError(f"a cell cannot be parsed ({type(error).__name__})") from error


#: By block: called with the code of each cell that has run, until they have seen enough.
_watchers: dict[str, Callable[[types.CodeType], bool]] = {}


def watch(block: str, look: Callable[[types.CodeType], bool]) -> None:
    """Call ``look`` with the code of every cell after the running one, until it returns False."""
    shell = get_ipython()
    if shell is None:
        return
    if not _watchers:
        shell.events.register("post_run_cell", _after_cell)
    now = turn()
    _watchers[block] = lambda code: turn() == now or look(code)


def _after_cell(_result: object) -> None:
    shell = get_ipython()
    try:
        code = _compiled(ast.parse(plain(shell, shell.history_manager.input_hist_parsed[-1])))
    except (SyntaxError, ValueError, RecursionError):
        return
    for block, look in list(_watchers.items()):
        if not look(code):
            _watchers.pop(block, None)
    if not _watchers:
        shell.events.unregister("post_run_cell", _after_cell)


def _compiled(tree: ast.Module) -> types.CodeType:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: types.CodeType = compile(tree, "<cell>", "exec", flags=flags, dont_inherit=True)
    return code


def plain(shell: Any, text: str) -> str:
    """The text of a cell without the magics that cannot matter; those that run Python give way to what they run."""
    if "get_ipython()." not in text:
        return text
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    body: list[ast.stmt] = []
    for node in tree.body:
        magic = _magic(node)
        if magic is None:
            body.append(node)
        elif magic[0] in _RUN_THEIR_CELL:
            inner = plain(shell, shell.transform_cell(magic[1]))
            body += ast.parse(inner).body
    return ast.unparse(ast.Module(body, [])) if any(map(_magic, tree.body)) else text


def _magic(node: ast.stmt) -> tuple[str, str] | None:
    """(name, text that it runs) of a statement that is a known magic; None of anything else."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return None
    call = node.value
    if not ast.unparse(call.func).startswith("get_ipython().") or not isinstance(call.func, ast.Attribute):
        return None
    texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if call.func.attr in ("system", "getoutput"):
        return "system", ""
    if not texts or len(texts) != len(call.args) or texts[0] not in _RUN_THEIR_CELL | _HARMLESS:
        return None
    return texts[0], texts[-1]


def hands_on(tree: ast.Module) -> bool:
    """Whether a cell is nothing but a magic that runs the rest of it as a cell (`%%time`)."""
    match tree.body:
        case [ast.Expr(ast.Call(ast.Attribute(ast.Call(ast.Name("get_ipython")), "run_cell_magic"), arguments))]:
            return bool(arguments) and isinstance(arguments[0], ast.Constant) and arguments[0].value in _RUN_THEIR_CELL
    return False


def is_aside(tree: ast.Module) -> bool:
    """Whether a cell is nothing but magics that compute nothing (`%pip`, `%matplotlib`, `%blockcache`)."""
    return all((magic := _magic(node)) is not None and magic[0] in _HARMLESS - {"system"} for node in tree.body)


def understood(shell: Any, tree: ast.Module) -> tuple[list[ast.stmt], str]:
    """The statements of a cell, what `%time` runs in its place; and, in one clause, what else is no plain Python."""
    body: list[ast.stmt] = []
    for node in tree.body:
        match node:
            case ast.Expr(
                ast.Call(
                    ast.Attribute(ast.Call(ast.Name("get_ipython")), "run_line_magic"),
                    [ast.Constant("time"), ast.Constant(str(text))],
                )
            ) if text and not text.startswith("-"):
                body += _timed(shell, node, text)
            case _:
                body.append(node)
    for part in (n for s in body for n in ast.walk(s)):
        match part:
            case ast.Call(ast.Attribute(ast.Call(ast.Name("get_ipython")), method)):
                return body, f"line {part.lineno}: {_spoken(part, method)}"
    return body, ""


def _timed(shell: Any, node: ast.stmt, text: str) -> list[ast.stmt]:
    """What `%time` runs, at its place."""
    try:
        inner: list[ast.stmt] = ast.parse(shell.transform_cell(text)).body
    except SyntaxError:  # the magic will say so
        return [node]
    for part in (n for s in inner for n in ast.walk(s) if hasattr(n, "lineno")):
        ast.copy_location(part, node)
    return inner


def _spoken(call: ast.Call, method: str) -> str:
    """Why a call of the shell cannot be part of a block."""
    if method in ("system", "getoutput"):
        return "what the shell command (`!`) reads and changes is not seen"
    first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
    if method in ("run_line_magic", "run_cell_magic") and isinstance(first, str) and first:
        return f"what `%{first}` does is not seen"
    return "what the notebook's shell does is not seen"
