"""From an example script to a program with blocks: cells of its top level (or of its main function) in blocks."""

from __future__ import annotations

import ast
import builtins
import random
import symtable
from dataclasses import dataclass, field

PLOTS = {"plt", "pyplot", "pylab", "matplotlib"}
UNRELATED = "def unrelated_{k}(x, y=1):\n    total = x * 2 + y\n    return [total, 'unrelated']\n"
SEEDING = """import random as _random
import sys as _sys

def seed_all(n):
    _random.seed(n)
    if "numpy" in _sys.modules:
        _sys.modules["numpy"].random.seed(n)
"""


@dataclass
class Program:
    """Files by name, the script among them as main.py, and the environment it is run in."""

    name: str
    files: dict[str, str | bytes]
    env: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    """Names of the data files that an edit may touch."""


def roots(node: ast.AST) -> set[str]:
    """All plain names in a piece of code."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def without_plots(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that have nothing to do with figures: drawing is slow and nobody caches it."""
    tainted, kept = set(PLOTS), []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            kept.append(node)
        elif roots(node) & tainted:
            tainted |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        else:
            kept.append(node)
    return kept


def is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in roots(node.test) and not node.orelse


def flatten(body: list[ast.stmt]) -> list[ast.stmt]:
    """The top level, with what stands under `if __name__ == "__main__"` as part of it."""
    found: list[ast.stmt] = []
    for node in body:
        found.extend(node.body if is_main_guard(node) else [node])
    return found


def can_be_in_block(node: ast.stmt) -> bool:
    """Whether a block may hold the statement: no import by star, no jump out, no return."""
    if isinstance(node, ast.ImportFrom) and (node.module == "__future__" or any(a.name == "*" for a in node.names)):
        return False
    if isinstance(node, ast.Return | ast.Global | ast.Nonlocal | ast.Break | ast.Continue):
        return False
    stack: list[ast.AST] = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.Return | ast.Yield | ast.YieldFrom):
            return False
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        stack.extend(ast.iter_child_nodes(part))
    return True


def is_effect(node: ast.stmt) -> bool:
    """A statement that is there only for what it does to something else."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and "print" not in roots(node.value.func)


def wrap(body: list[ast.stmt], rng: random.Random, settled: bool, prefix: str = "b") -> list[ast.stmt]:
    """Put two to five runs of consecutive statements into blocks; imports and definitions mostly stay outside.

    With ``settled``, statements that only have an effect stay outside too, and generators are seeded after each block.
    """
    wanted = rng.randint(2, 5)
    inside = [
        can_be_in_block(n)
        and not (isinstance(n, ast.Import | ast.ImportFrom) and rng.random() < 0.9)
        and not (isinstance(n, ast.FunctionDef | ast.ClassDef) and rng.random() < 0.85)
        and not (settled and is_effect(n))
        for n in body
    ]
    ready = [k for k, yes in enumerate(inside) if yes]
    if not ready:
        return body
    size = max(1, -(-len(ready) // wanted))
    found: list[ast.stmt] = []
    cell: list[ast.stmt] = []
    number = 0

    def close() -> None:
        nonlocal number
        if cell and any(not isinstance(n, ast.Expr) or not isinstance(n.value, ast.Constant) for n in cell):
            if number < 5 and rng.random() < 0.85:
                block = ast.parse(f"with cached_block(name='{prefix}{number}'):\n    pass").body[0]
                assert isinstance(block, ast.With)
                block.body = list(cell)
                found.append(block)
                if settled:
                    found.extend(ast.parse(f"seed_all({number})").body)
                number += 1
            else:
                found.extend(cell)
            if rng.random() < 0.4:
                found.append(ast.parse(f"print('after cell {number}')").body[0])
        else:
            found.extend(cell)
        cell.clear()

    for node, yes in zip(body, inside, strict=True):
        if not yes:
            close()
            found.append(node)
            continue
        cell.append(node)
        if len(cell) >= size:
            close()
    close()
    return found


def global_names(node: ast.stmt) -> set[str]:
    """Names that a definition looks up in its module."""
    found: set[str] = set()

    def visit(table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            if symbol.is_global() or (table.get_type() == "module" and symbol.is_referenced()):
                found.add(symbol.get_name())
        for child in table.get_children():
            visit(child)

    visit(symtable.symtable(ast.unparse(node), "definition", "exec"))
    return found - set(dir(builtins))


def split(body: list[ast.stmt], rng: random.Random, module: str) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Move some definitions to a sibling module: what is left, and the module's statements."""
    imports = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom) and can_be_in_block(n)]
    imported = {(a.asname or a.name).split(".")[0] for n in imports for a in n.names}
    bound = [
        n.id for node in body for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)
    ]
    constants = {
        n.targets[0].id: n
        for n in body
        if isinstance(n, ast.Assign)
        and isinstance(n.targets[0], ast.Name)
        and isinstance(n.value, ast.Constant)
        and bound.count(n.targets[0].id) == 1
    }
    movable: dict[str, ast.stmt] = dict(constants)
    candidates = {n.name: n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    declared = {g for n in ast.walk(ast.Module(body, [])) if isinstance(n, ast.Global) for g in n.names}
    changed = True
    while changed:
        changed = False
        for name, node in candidates.items():
            needs = global_names(node) - imported - {name}
            if name not in movable and bound.count(name) == 0 and needs <= set(movable) and not needs & declared:
                movable[name] = node
                changed = True
    chosen = {name for name in movable if name in candidates and rng.random() < 0.6}
    todo = list(chosen)
    while todo:
        for need in global_names(movable[todo.pop()]) & set(movable) - chosen:
            chosen.add(need)
            todo.append(need)
    if not chosen & set(candidates):
        return body, []
    moved = {id(movable[name]) for name in chosen}
    there = [*imports, *[n for n in body if id(n) in moved]]
    line = ast.parse(f"from {module} import {', '.join(sorted(chosen))}").body[0]
    place = max((k + 1 for k, n in enumerate(body) if n in imports and k < len(body) // 2), default=0)
    # The import must come before the first use; imports at the top end at `place`.
    first = min(
        (k for k, n in enumerate(body) if not isinstance(n, ast.Import | ast.ImportFrom) and not is_doc(n)), default=0
    )
    place = min(place, first) if first else place
    used = [k for k, n in enumerate(body) if id(n) not in moved and roots(n) & chosen]
    place = min(place, *used) if used else place
    left = [*body[:place], line, *body[place:]]
    return [n for n in left if id(n) not in moved], there


def is_doc(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def with_main_inside(body: list[ast.stmt], rng: random.Random, settled: bool) -> list[ast.stmt]:
    """Blocks in the function `main`, where the top level only calls it."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "main" and len(node.body) > 3:
            node.body = wrap(node.body, rng, settled, "m")
    return body


def make(name: str, text: str, seed: int, variant: int, data: dict[str, bytes]) -> Program | None:
    """Make the program with blocks of an example script; None when there is nothing to wrap.

    Variants after the first avoid what a hit does not give back yet: effects, and the state of random generators.
    """
    rng = random.Random(f"{name} {seed} {variant}")
    settled = variant > 0
    body = flatten(ast.parse(text).body)
    future = [n for n in body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    doc = [n for n in body[:1] if is_doc(n)]
    body = [n for n in body if n not in future and n not in doc]
    if rng.random() < 0.85:
        body = without_plots(body)
    module = "helpers_" + "".join(c if c.isalnum() else "_" for c in name.split("/")[-1])
    body, there = split(body, rng, module)
    inside = any(isinstance(n, ast.FunctionDef) and n.name == "main" and len(n.body) > 3 for n in body)
    body = with_main_inside(body, rng, settled) if inside else wrap(body, rng, settled)
    head = ast.parse("from blockcache import cached_block").body
    lines = [*doc, *future, *head, *body]
    main = ast.unparse(ast.fix_missing_locations(ast.Module(lines, [])))
    if "with cached_block" not in main:
        return None
    start = "from blockcache import cached_block\n"
    main = main.replace(start, start + (SEEDING if "seed_all(" in main else "") + UNRELATED.format(k=0), 1)
    files: dict[str, str | bytes] = {"main.py": main + "\n"}
    if there:
        files[module + ".py"] = ast.unparse(ast.Module([*future, *there], [])) + "\n" + UNRELATED.format(k=1)
    used = {n: content for n, content in data.items() if n.split("/")[-1] in text}
    files.update(data)
    return Program(name, files, {}, sorted(used))
