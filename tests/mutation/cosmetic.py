"""Random edits that cannot change what any block computes: comments, formatting, names that nothing else sees, ..."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable

from edits import Edit, replace, sources, text_of
from wrapping import Program, is_doc

# Each takes a file's text and gives it back changed, or None where it finds no place.


def _statement_lines(text: str) -> list[int]:
    """Line numbers at which a statement starts, outside of texts over several lines."""
    return [
        n.lineno for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt) and not getattr(n, "decorator_list", [])
    ]


def _insert(text: str, rng: random.Random, make: Callable[[str], str]) -> str | None:
    at = rng.choice(_statement_lines(text))
    lines = text.splitlines(keepends=True)
    if ";" in lines[at - 1] or re.match(r"\s*(elif|else|except|finally)\b", lines[at - 1]):
        return None
    indent = lines[at - 1][: len(lines[at - 1]) - len(lines[at - 1].lstrip())]
    lines.insert(at - 1, make(indent))
    return "".join(lines)


def comment(text: str, rng: random.Random) -> str | None:
    return _insert(text, rng, lambda indent: f"{indent}# remark {rng.random()}\n")


def blank_lines(text: str, rng: random.Random) -> str | None:
    return _insert(text, rng, lambda indent: "\n" * rng.randint(1, 3))


def docstring(text: str, rng: random.Random) -> str | None:
    if re.search(r"__doc__|inspect|getdoc", text):
        return None
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    if not nodes:
        return None
    node = rng.choice(nodes)
    first = node.body[0]
    if is_doc(first):
        # A body needs a statement: only the text changes.
        return replace(text, first, f'"""Another text {rng.random()}."""')
    if first.lineno == node.lineno:
        return None
    lines = text.splitlines(keepends=True)
    start = min([first.lineno, *[d.lineno for d in getattr(first, "decorator_list", [])]])
    lines.insert(start - 1, " " * first.col_offset + f'"""New text {rng.random()}."""\n')
    return "".join(lines)


def annotation(text: str, rng: random.Random) -> str | None:
    if re.search(r"signature|get_type_hints|__annotations__|inspect|dispatch", text):
        return None
    args = [
        a
        for n in ast.walk(ast.parse(text))
        if isinstance(n, ast.FunctionDef) and not n.decorator_list
        for a in [*n.args.args, *n.args.kwonlyargs]
        if a.annotation is None
    ]
    if not args:
        return None
    node = rng.choice(args)
    return replace(text, node, f"{node.arg}: {rng.choice(['int', 'object', 'list[str]'])}")


def unparsed(text: str, rng: random.Random) -> str | None:
    return ast.unparse(ast.parse(text)) + "\n"


def reformatted(text: str, rng: random.Random) -> str | None:
    """Parentheses round some expressions, spaces round some operators."""
    nodes = [
        n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.BinOp | ast.Compare) and n.lineno == n.end_lineno
    ]
    inside = {id(p) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.JoinedStr) for p in ast.walk(n)}
    formatted = [(n.lineno, n.end_lineno) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.JoinedStr)]
    nodes = [n for n in nodes if id(n) not in inside and not any(a <= n.lineno <= (b or a) for a, b in formatted)]
    if not nodes:
        return None
    node = rng.choice(nodes)
    segment = ast.get_source_segment(text, node)
    return replace(text, node, f"(  # remark\n    {segment}\n    )") if segment else None


def quotes(text: str, rng: random.Random) -> str | None:
    """The other quotes round a text that allows it."""
    nodes = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.search(r"[\\\"'{\n]", node.value):
            segment = ast.get_source_segment(text, node)
            if segment in (f"'{node.value}'", f'"{node.value}"'):
                nodes.append((node, segment))
    if not nodes:
        return None
    node, segment = rng.choice(nodes)
    return replace(text, node, segment.translate({34: "'", 39: '"'}))


def rename_local(text: str, rng: random.Random) -> str | None:
    """Another name for a variable of a function that nothing else can see."""
    if re.search(r"locals\(|eval\(|exec\(|vars\(", text):
        return None
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    rng.shuffle(functions)
    for function in functions:
        inner = [
            n
            for n in ast.walk(function)
            if isinstance(n, ast.FunctionDef | ast.Lambda | ast.ClassDef | ast.comprehension) and n is not function
        ]
        hidden = {g for n in ast.walk(function) if isinstance(n, ast.Global | ast.Nonlocal) for g in n.names}
        if (
            inner
            or "cached_block" in ast.unparse(function)
            or any(isinstance(n, ast.JoinedStr) for n in ast.walk(function))
        ):
            continue
        if any(isinstance(n, ast.Import | ast.ImportFrom | ast.ExceptHandler | ast.Match) for n in ast.walk(function)):
            continue
        parameters = {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}
        uses = [n for n in ast.walk(function) if isinstance(n, ast.Name)]
        names = sorted({n.id for n in uses if isinstance(n.ctx, ast.Store)} - parameters - hidden)
        if not names:
            continue
        name = rng.choice(names)
        for node in sorted((n for n in uses if n.id == name), key=lambda n: (n.lineno, n.col_offset), reverse=True):
            text = replace(text, node, f"{name}_renamed")
        return text
    return None


def new_function(text: str, rng: random.Random) -> str | None:
    tops = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
    if not tops:
        return None
    lines = text.splitlines(keepends=True)
    node = rng.choice(tops)
    start = min([node.lineno, *[d.lineno for d in node.decorator_list]])
    lines.insert(start - 1, f"def added_{rng.randrange(10**6)}(x):\n    return x + {rng.randrange(100)}\n\n")
    return "".join(lines)


def unused_import(text: str, rng: random.Random) -> str | None:
    imports = [n for n in ast.parse(text).body if isinstance(n, ast.Import)]
    if not imports:
        return None
    node = rng.choice(imports)
    lines = text.splitlines(keepends=True)
    lines.insert(
        node.end_lineno or node.lineno, f"import {node.names[0].name.split('.')[0]} as again_{rng.randrange(1000)}\n"
    )
    return "".join(lines)


def unrelated(text: str, rng: random.Random) -> str | None:
    """Another body of the function that nothing calls."""
    nodes = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name.startswith("unrelated")]
    if not nodes:
        return None
    return replace(text, nodes[0].body[-1], f"return [total, {rng.randrange(1000)}]")


def swap_definitions(text: str, rng: random.Random) -> str | None:
    """Two neighbouring plain functions in the other order."""
    body = ast.parse(text).body
    pairs = [
        (a, b)
        for a, b in zip(body, body[1:], strict=False)
        if isinstance(a, ast.FunctionDef)
        and isinstance(b, ast.FunctionDef)
        and not (a.decorator_list or b.decorator_list or a.args.defaults or b.args.defaults)
        and not (a.args.kw_defaults or b.args.kw_defaults)
        and a.name != b.name
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    lines = text.splitlines(keepends=True)
    first, second = lines[a.lineno - 1 : a.end_lineno], lines[b.lineno - 1 : b.end_lineno]
    return "".join(
        [*lines[: a.lineno - 1], *second, *lines[a.end_lineno : b.lineno - 1], *first, *lines[b.end_lineno :]]
    )


def rename_block(text: str, rng: random.Random) -> str | None:
    calls = list(re.finditer(r"cached_block\((?:name=)?(['\"])(\w+)\1", text))
    if not calls:
        return None
    call = rng.choice(calls)
    return text[: call.start(2)] + f"renamed_{call[2]}" + text[call.end(2) :]


def other_print(text: str, rng: random.Random) -> str | None:
    """One more print between the blocks."""
    calls = [
        n
        for n in ast.walk(ast.parse(text))
        if isinstance(n, ast.Expr) and ast.unparse(n).startswith("print('after cell")
    ]
    if not calls:
        return None
    call = rng.choice(calls)
    segment = ast.get_source_segment(text, call)
    return replace(text, call, f"{segment}\n{' ' * call.col_offset}print('more {rng.random()}')")


COSMETIC: dict[str, Callable[[str, random.Random], str | None]] = {
    "comment": comment,
    "blank lines": blank_lines,
    "docstring": docstring,
    "annotation": annotation,
    "ast.unparse": unparsed,
    "parentheses": reformatted,
    "quotes": quotes,
    "rename a local": rename_local,
    "new function": new_function,
    "unused import": unused_import,
    "unrelated function": unrelated,
    "order of functions": swap_definitions,
    "rename a block": rename_block,
    "print outside": other_print,
}


def any_edit(program: Program, rng: random.Random) -> Edit | None:
    """One random edit that cannot change what any block computes."""
    kind = rng.choice(list(COSMETIC))
    file = rng.choice(sources(program))
    text = text_of(program, file)
    made = COSMETIC[kind](text, rng)
    if made is None or made == text:
        return None
    try:
        compile(made, file, "exec")
    except (SyntaxError, ValueError):
        return None
    return Edit(kind, file, made)
