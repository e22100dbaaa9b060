"""Random edits of a program that may change what it does.

An edit replaces one piece of one file, so that it reads as a small diff. Whether a semantic edit is telling is not
decided here: the plain runs before and after it say so.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from wrapping import Program, is_doc


@dataclass
class Edit:
    """One edit: the kind, the file, and its new content; or the new environment."""

    kind: str
    file: str
    content: str | bytes = ""
    env: dict[str, str] | None = None


Change = tuple[str, ast.AST, str]
"""Kind, the node to replace, its new source."""

ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
COMPARE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
METHODS = {
    "min": "max",
    "max": "min",
    "sin": "cos",
    "cos": "sin",
    "lower": "upper",
    "upper": "lower",
    "mean": "sum",
    "sum": "max",
    "append": "extend",
    "strip": "lstrip",
    "keys": "values",
    "exp": "sqrt",
    "ones": "zeros",
    "zeros": "ones",
    "startswith": "endswith",
    "std": "var",
    "sort": "reverse",
    "floor": "ceil",
}


def replace(text: str, node: ast.AST, new: str) -> str:
    """The text with one node's source replaced."""
    lines = text.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    first = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
    last = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
    raw = text.encode()
    return (raw[:first] + new.encode() + raw[last:]).decode()


def copy_with(node: ast.AST, **fields: object) -> str:
    """Source of a node with some fields changed, in parentheses where it is an expression of several parts."""
    made = type(node)(**{**{f: getattr(node, f, None) for f in node._fields}, **fields})
    text = ast.unparse(ast.fix_missing_locations(ast.copy_location(made, node)))
    return f"({text})" if isinstance(node, ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.UnaryOp) else text


def _constant(node: ast.Constant, rng: random.Random) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", node, repr(not value)
    elif isinstance(value, int):
        yield "constant", node, repr(value + rng.choice([1, 2, 10]))
        yield "same print", node, rng.choice([f"{value}.0", f"'{value}'"] + (["True"] if value == 1 else []))
    elif isinstance(value, float):
        yield "constant", node, repr(value * rng.choice([1.5, 2.0, 0.5]) + 0.25)
        yield "last digit", node, repr(value * (1 + 2**-50))
    elif isinstance(value, str) and value:
        yield "string", node, repr(rng.choice([value + "x", value[:-1], value.swapcase(), value[::-1]]))
    elif isinstance(value, bytes):
        yield "string", node, repr(value + b"x")


def _call(node: ast.Call, rng: random.Random, functions: list[str]) -> Iterator[Change]:
    if len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        i, j = sorted(rng.sample(range(len(node.args)), 2))
        args = list(node.args)
        args[i], args[j] = args[j], args[i]
        yield "swap arguments", node, copy_with(node, args=args)
    if node.keywords:
        k = rng.randrange(len(node.keywords))
        yield "drop a keyword", node, copy_with(node, keywords=node.keywords[:k] + node.keywords[k + 1 :])
    if isinstance(node.func, ast.Name) and node.func.id == "range" and len(node.args) == 1:
        yield "off by one", node, copy_with(node, args=[ast.BinOp(node.args[0], ast.Sub(), ast.Constant(1))])
    if isinstance(node.func, ast.Name) and node.func.id in functions:
        others = [f for f in functions if f != node.func.id]
        if others:
            yield "other function", node.func, rng.choice(others)
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield "other method", node.func, copy_with(node.func, attr=METHODS[node.func.attr])


def _expression(node: ast.AST, rng: random.Random) -> Iterator[Change]:
    if isinstance(node, ast.BinOp):
        if type(node.op) in ARITHMETIC:
            yield "operator", node, copy_with(node, op=ARITHMETIC[type(node.op)]())
        yield "swap operands", node, copy_with(node, left=node.right, right=node.left)
    elif isinstance(node, ast.Compare):
        yield "comparison", node, copy_with(node, ops=[COMPARE[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        yield "and/or", node, copy_with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.IfExp):
        yield "negate", node, copy_with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.If):
        yield "negate", node.test, f"(not ({ast.unparse(node.test)}))"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield "drop a sign", node, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Dict) and len(node.keys) >= 2 and None not in node.keys:
        yield (
            "order of a dict",
            node,
            copy_with(node, keys=node.keys[1:] + node.keys[:1], values=node.values[1:] + node.values[:1]),
        )
    elif isinstance(node, ast.List | ast.Tuple) and len(node.elts) >= 2 and isinstance(node.ctx, ast.Load):
        yield "order of a list", node, f"({copy_with(node, elts=node.elts[::-1])})"
        yield "drop an element", node, f"({copy_with(node, elts=node.elts[:-1])})"
    elif isinstance(node, ast.Slice) and isinstance(node.upper, ast.Constant) and isinstance(node.upper.value, int):
        yield "off by one", node.upper, str(node.upper.value + 1)


def _statement(node: ast.AST, text: str) -> Iterator[Change]:
    if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign) and not is_doc(node):  # type: ignore[arg-type]
        yield "delete a statement", node, "pass"
    if isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield "operator", node, copy_with(node, op=ARITHMETIC[type(node.op)]())
    if isinstance(node, ast.Return) and node.value is not None:
        yield "return", node, f"return [{ast.unparse(node.value)}, 1]"
    if isinstance(node, ast.If) and node.orelse and not text.splitlines()[node.lineno - 1].lstrip().startswith("elif"):
        yield "swap branches", node, indented(copy_with(node, body=node.orelse, orelse=node.body), node.col_offset)
    if isinstance(node, ast.Try) and len(node.body) > 1 and node.handlers:
        moved = copy_with(node, body=node.body[:-1], orelse=[node.body[-1], *node.orelse])
        yield "try to else", node, indented(moved, node.col_offset)
    for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
        if isinstance(body, list):
            for first, second in zip(body, body[1:], strict=False):
                if isinstance(first, ast.Assign | ast.Expr | ast.AugAssign) and isinstance(
                    second, ast.Assign | ast.Expr | ast.AugAssign
                ):
                    both = ast.copy_location(ast.Pass(), first)
                    both.end_lineno, both.end_col_offset = second.end_lineno, second.end_col_offset
                    yield (
                        "swap statements",
                        both,
                        indented(ast.unparse(second) + "\n" + ast.unparse(first), first.col_offset),
                    )


def indented(text: str, columns: int) -> str:
    """Source of a statement for a place further right; lines inside of texts would move too, so those are left alone."""
    if '"""' in text or "'''" in text:
        return text if columns == 0 else "pass"
    return text.replace("\n", "\n" + " " * columns)


def _definition(node: ast.AST, rng: random.Random) -> Iterator[Change]:
    if isinstance(node, ast.FunctionDef):
        for value in [*node.args.defaults, *[d for d in node.args.kw_defaults if d is not None]]:
            if isinstance(value, ast.Constant):
                for _, at, new in _constant(value, rng):
                    yield "default", at, new
            else:
                yield "default", value, "None"
        for decorator in node.decorator_list:
            for part in ast.walk(decorator):
                if isinstance(part, ast.Constant):
                    for _, at, new in _constant(part, rng):
                        yield "decorator", at, new
    if isinstance(node, ast.ClassDef):
        for item in node.body:
            if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant):
                for _, at, new in _constant(item.value, rng):
                    yield "class attribute", at, new
        if len([b for b in node.body if isinstance(b, ast.FunctionDef)]) > 1:
            last = [b for b in node.body if isinstance(b, ast.FunctionDef)][-1]
            if not last.decorator_list:
                yield "delete a method", last, "pass"


def changes(text: str, rng: random.Random) -> list[Change]:
    """All semantic changes of one file, one of each kind for each place."""
    tree = ast.parse(text)
    functions = [
        n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and not n.name.startswith("unrelated")
    ]
    found: list[Change] = []
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.FunctionDef) and node.name.startswith("unrelated")
        ):
            continue
        if isinstance(node, ast.JoinedStr):  # no positions of their own before 3.12
            continue
        if isinstance(node, ast.Expr) and (is_doc(node) or ast.unparse(node).startswith("print('after cell")):
            continue
        if isinstance(node, ast.Constant):
            found += _constant(node, rng)
        if isinstance(node, ast.Call):
            found += _call(node, rng, functions)
        found += _expression(node, rng)
        found += _statement(node, text)
        found += _definition(node, rng)
        for part in ast.iter_child_nodes(node):
            if isinstance(node, ast.With) and isinstance(part, ast.withitem) and "cached_block" in ast.unparse(part):
                continue
            if isinstance(node, ast.arg) or (isinstance(node, ast.FunctionDef) and part is node.returns):
                continue
            stack.append(part)
    return found


def text_of(program: Program, file: str) -> str:
    content = program.files[file]
    return content if isinstance(content, str) else content.decode()


def sources(program: Program) -> list[str]:
    return [name for name, content in program.files.items() if name.endswith(".py") and isinstance(content, str)]


def any_edit(program: Program, rng: random.Random) -> Edit | None:
    """One random edit that may change what the program does."""
    chance = rng.random()
    if program.data and chance < 0.08:
        file = rng.choice(program.data)
        raw = program.files[file]
        raw = raw.encode() if isinstance(raw, str) else raw
        digits = [m.start() for m in re.finditer(rb"[0-9]", raw)] or list(range(len(raw)))
        if digits:
            at = rng.choice(digits)
            new = b"7" if raw[at : at + 1] != b"7" else b"3"
            return Edit("data file", file, raw[:at] + new + raw[at + 1 :])
    if program.env and chance < 0.2:
        name = rng.choice(sorted(program.env))
        value = program.env[name]
        return Edit(
            "environment", name, env={**program.env, name: str(int(value) + 1) if value.isdigit() else value + "x"}
        )
    file = rng.choice(sources(program))
    text = text_of(program, file)
    found = changes(text, rng)
    if not found:
        return None
    kind = rng.choice(sorted({c[0] for c in found}))
    _, node, new = rng.choice([c for c in found if c[0] == kind])
    made = replace(text, node, new)
    try:
        compile(made, file, "exec")
    except (SyntaxError, ValueError):
        return None
    return Edit(kind, file, made) if ast.dump(ast.parse(made)) != ast.dump(ast.parse(text)) else None
