"""IPython and Jupyter: ``%load_ext blockcache``, ``%%cached_block NAME``, ``%blockcache auto``."""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import html
import io
import math
import re
import time
from collections.abc import Callable
from typing import Any, NoReturn

from blockcache import cells, settings
from blockcache.block import cached_block
from blockcache.errors import CacheError
from blockcache.events import BlockFinished, emit
from blockcache.hosts import ipython

_FIRST_LINE = re.compile(r"%%cached_block(?P<magic>[ \t].*)?$|#[ \t]*blockcache:(?P<comment>.*)$", re.ASCII)
#: What a first line may say in the place of a name.
_OFF = "off"
#: Texts in quotes and Python expressions in braces are one word, whatever they hold.
_WORD = re.compile(r"""(?:\{(?:[^{}]|\{[^{}]*\})*\}|"[^"]*"|'[^']*'|[^\s"'{}])+""")
_DEFAULT_MIN_S = 1.0


def load(shell: Any) -> None:
    """Make the magics known to a shell; a second time changes nothing."""
    if not any(isinstance(transformer, Cells) for transformer in shell.ast_transformers):
        Cells(shell)


def unload(shell: Any) -> None:
    """Take them away."""
    for transformer in list(shell.ast_transformers):
        if isinstance(transformer, Cells):
            transformer.remove()


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as magics do, in one line."""

    def error(self, message: str) -> NoReturn:
        raise ipython.UsageError(f"{self.prog}: {message}")


def _block_options() -> _Parser:
    parser = _Parser("%%cached_block", add_help=False, allow_abbrev=False, usage="%%%%cached_block NAME [options]")
    parser.add_argument("name", metavar="NAME", help="the block's name, for people")
    add = parser.add_argument
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": [], "metavar": "X"}
    add("--inputs", help="what else the result depends on: paths, globs, URLs, @sets", **several)
    add("--outputs", help="files and directories that the body writes, which a hit puts back", **several)
    add("--ignore", help="upstream names and types whose values do not count", **several)
    add("--exclude", help="names that are neither saved nor restored", **several)
    add("--version", metavar="X", help="text that you change to make the entries before unwanted")
    add("--pin", choices=["exact", "minor", "major", "none"], help="how exactly versions of distributions count")
    add("--validate", metavar="{FUNCTION}", help="called with the restored values; false is a miss")
    add("--capture", help="what is recorded of the body's output", **several)
    add("--ttl", metavar="AGE", help="how old an entry may be: 90s, 2h, 7d")
    modes = ["on", "off", "refresh", "readonly", "frozen", "verify"]
    add("--mode", choices=modes, help="look up and save, or not, or only one of them")
    add("--store", metavar="FOLDER", help="the store's folder")
    add("--as", dest="as_name", metavar="VARIABLE", help="bind the block, which tells .hit and explains itself")
    return parser


_OPTIONS = _block_options()


def _auto_options() -> _Parser:
    parser = _Parser("%blockcache auto", add_help=False, usage="%%blockcache auto [off] [--min-seconds N]")
    parser.add_argument("off", nargs="?", choices=["on", _OFF])
    parser.add_argument("--min-seconds", type=float, default=_DEFAULT_MIN_S)
    return parser


class Cells:
    """Makes blocks of the cells of one shell.

    An input transformer turns the first line of a cell that names its block into a call, so that the others keep their
    numbers; then, as a transformer of syntax trees, it puts them into a `with` statement.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.min_s: float | None = None  # of cells that nobody named; None where these are left alone
        self._pending: str | None = None  # text of a cell that was asked to run and was not compiled yet
        self._watched: tuple[str, str, str] | None = None  # digest and name of the one that runs as it is, and why
        self._started = 0.0
        self._error = ""
        shell.input_transformers_cleanup.append(self.mark)
        shell.ast_transformers.append(self)
        shell.events.register("pre_run_cell", self.begin)
        shell.events.register("post_run_cell", self.end)
        shell.register_magic_function(self.cached_block, "cell", "cached_block")
        shell.register_magic_function(self.blockcache, "line", "blockcache")

    def remove(self) -> None:
        """Leave the shell as it was."""
        self.shell.input_transformers_cleanup.remove(self.mark)
        self.shell.ast_transformers.remove(self)
        self.shell.events.unregister("pre_run_cell", self.begin)
        self.shell.events.unregister("post_run_cell", self.end)
        del self.shell.magics_manager.magics["cell"]["cached_block"]
        del self.shell.magics_manager.magics["line"]["blockcache"]

    # -- the magics ------------------------------------------------------------------------

    def cached_block(self, line: str, cell: str) -> None:
        """Run the cell once, and give its results back ever after."""
        if cell != "...":  # called by name, as notebooks that were converted to scripts do
            self.shell.run_cell(f"%%cached_block {line}\n{cell}").raise_error()
            return
        # The first line of a cell that could not be made a block.
        error, self._error = self._error, ""
        raise ipython.UsageError(error or "%%cached_block is the first line of a cell, and code follows it")

    def blockcache(self, line: str) -> None:
        """Cache every cell that takes long (`auto`), or run the command `blockcache` on this notebook's store.

        %blockcache auto [--min-seconds N]
            From the next cell on, every cell that takes longer than N seconds (default: 1) is cached, under a name of
            its own. A cell whose first line is `# blockcache: off` never is; with the first line
            `# blockcache: NAME [options]` it always is, as under `%%cached_block NAME [options]`.
        %blockcache auto off
            No longer.
        %blockcache ls | show NAME | explain NAME | stats | ...
            What the command of that name prints; `%blockcache --help` lists them.
        """
        words = line.split()
        if words[:1] == ["auto"]:
            chosen = _auto_options().parse_args(words[1:])
            if not (chosen.min_seconds >= 0 and math.isfinite(chosen.min_seconds)):
                raise ipython.UsageError(f"%blockcache auto: --min-seconds {chosen.min_seconds}: seconds, 0 or more")
            self.min_s = None if chosen.off == _OFF else chosen.min_seconds
            return
        if not words:
            every = "off" if self.min_s is None else f"cells that take longer than {self.min_s:g} s are cached"
            print(f"auto: {every}")  # noqa: T201
            return
        from blockcache.cli import main  # and with it the command line's libraries, for who asks for them

        printed = io.StringIO()  # no terminal: nothing is cut
        try:
            with contextlib.redirect_stdout(printed):
                main.main([word for word, _ in _words(line)], prog_name="%blockcache", standalone_mode=False)
        except Exception as error:
            tell = getattr(error, "format_message", None)  # click's own errors
            if tell is None:
                raise
            raise ipython.UsageError(f"%blockcache: {tell()}") from None
        text = printed.getvalue()
        page = f'<pre style="white-space: pre; overflow-x: auto">{html.escape(text)}</pre>'
        self.shell.display_pub.publish({"text/plain": text, "text/html": page})

    # -- from a cell's text to its block ---------------------------------------------------

    def mark(self, lines: list[str]) -> list[str]:
        """Turn a first line that names the cell's block into a call, and leave the others where they are."""
        first = _FIRST_LINE.match(lines[0].rstrip()) if lines else None
        if first is None:
            return lines
        said = (first["magic"] or first["comment"] or "").strip()
        if first["comment"] is not None and said in ("", _OFF):
            return lines
        return [f"get_ipython().run_cell_magic('cached_block', {said!r}, '...')\n", *lines[1:]]

    def begin(self, info: Any) -> None:
        """A cell was asked to run."""
        self._pending, self._watched, self._started = info.raw_cell, None, time.perf_counter()

    def visit(self, tree: ast.AST) -> ast.AST:
        """The syntax tree of a cell, as a block where it shall be one."""
        if not isinstance(tree, ast.Module) or not tree.body:
            return tree
        line = _marked(tree.body[0])
        if line is not None:
            self._pending = None
            try:
                return self._named(tree, line)
            except Exception as error:  # whatever it is; one that is raised here would take this transformer away
                clear = isinstance(error, (ipython.UsageError, CacheError))
                self._error = str(error) if clear else f"%%cached_block: {type(error).__name__}: {error}"
                return ast.Module(tree.body[:1], [])  # raises it, when the cell runs
        if self._pending is None or ipython.hands_on(tree):
            return tree
        text, self._pending = self._pending, None
        if self.min_s is None or self.shell.ast_node_interactivity not in ("last_expr", "last"):
            return tree
        first_line = text.lstrip().partition("\n")[0].rstrip()
        first = _FIRST_LINE.match(first_line)
        if first is not None and (first["comment"] or "").strip() == _OFF:
            return tree
        return self._unnamed(tree, first_line, self.min_s)

    def _named(self, tree: ast.Module, line: str) -> ast.Module:
        words = _words(line)
        chosen = vars(_OPTIONS.parse_args([word for word, _ in words]))
        evaluate = {word: value for word, value in words if value is not None}
        name, as_name = chosen.pop("name"), chosen.pop("as_name") or ""
        if as_name and not as_name.isidentifier():
            raise ipython.UsageError(f"%%cached_block: --as {as_name}: the name of a variable")
        rest = ast.Module(tree.body[1:], [])
        if not any(not isinstance(s, ast.ImportFrom) or s.module != "__future__" for s in rest.body):
            raise ipython.UsageError("%%cached_block is the first line of a cell, and code follows it")
        written, problem = ipython.understood(self.shell, rest)
        if problem:
            above = ", or above the name of the block" if "`%%" in problem else ""
            raise ipython.UsageError(f"%%cached_block: {problem}; move it to another cell{above}")

        def value(text: Any) -> Any:
            if isinstance(text, list):
                return [value(item) for item in text]
            if text not in evaluate:
                return text
            try:
                return self.shell.ev(evaluate[text])
            except Exception as error:
                raise ipython.UsageError(f"%%cached_block: {text}: {type(error).__name__}: {error}") from error

        options = {key: value(text) for key, text in chosen.items() if text not in (None, [])}
        if options.get("pin") == "none":
            options["pin"] = None
        make = functools.partial(cached_block, name, **options)
        make()  # tells now what is wrong with an argument
        return cells.wrap(rest, make, written=written, as_name=as_name, line=1)

    def _unnamed(self, tree: ast.Module, first_line: str, min_s: float) -> ast.Module:
        try:
            return self._automatic(tree, first_line, min_s)
        except Exception as error:  # whatever a strange cell does to us, it runs as it would without us
            self._watched = "", first_line, f"{type(error).__name__}: {error}"
            return tree

    def _automatic(self, tree: ast.Module, first_line: str, min_s: float) -> ast.Module:
        if not cells.is_worth_it(tree):
            return tree
        written, problem = ipython.understood(self.shell, tree)
        if problem and ipython.is_aside(tree):
            return tree
        digest = cells.digest_of(tree)
        if problem:
            self._watched = digest, first_line, problem
            return tree
        name, problem = cells.name_of(tree), cells.cannot(tree)
        if not problem and cells.is_known_quick(digest, min_s):
            problem = f"it took less than {min_s:g} s before; its next run is saved"
        if problem:
            self._watched = digest, name, problem
            return tree
        return cells.wrap(tree, functools.partial(cached_block, name), written=written, min_s=min_s)

    def end(self, result: Any) -> None:
        """A cell has run: where it took long and was no block, say why, once."""
        watched, self._watched, self._pending = self._watched, None, None
        took_s = time.perf_counter() - self._started
        if watched is None or self.min_s is None or took_s < self.min_s or not result.success:
            return
        digest, name, problem = watched
        if digest:
            cells.note_seconds(digest, took_s)
        if not cells.is_news(digest, problem):
            return
        chosen = settings.in_force(".")
        number = result.execution_count
        emit(
            BlockFinished(
                name=name,
                outcome="miss",
                file=f"cell [{number}]",
                line=1,
                host="ipython",
                took_s=took_s,
                problem=problem,
                quiet=chosen.quiet,
                log_path=settings.log_path(chosen),
            )
        )


def _marked(node: ast.stmt) -> str | None:
    """What the first line of a cell says about its block; None where it does not."""
    match node:
        case ast.Expr(
            ast.Call(
                ast.Attribute(ast.Call(ast.Name("get_ipython")), "run_cell_magic"),
                [ast.Constant("cached_block"), ast.Constant(str(line)), ast.Constant("...")],
            )
        ):
            return line
    return None


def _words(line: str) -> list[tuple[str, str | None]]:
    """The words of a magic's line, without their quotes, each with the Python expression that it is, in braces."""
    found: list[tuple[str, str | None]] = []
    end = 0
    for match in _WORD.finditer(line):
        if line[end : match.start()].strip():
            break
        end = match.end()
        word = match[0]
        if word.startswith("{") and word.endswith("}"):
            found.append((word, word[1:-1]))
        elif word[0] in "\"'" and word[-1] == word[0] and len(word) > 1:
            found.append((word[1:-1], None))
        else:
            found.append((word, None))
    if line[end:].strip():
        raise ipython.UsageError(f"a quote or a brace is not closed: {line[end:].strip()}")
    return found


def _documented(function: Callable[..., object]) -> None:
    function.__doc__ = f"""{_OPTIONS.format_help()}
The cell is the same block as `with cached_block(name=NAME):` around it, in a script too. Its last expression is
shown as usual, on a hit as well. X in braces is a Python expression: --inputs data/*.csv {{env("SEED")}}.
A first line `# blockcache: NAME [options]` does the same, and leaves the cell plain Python.
"""


_documented(Cells.cached_block)
