"""From an example script to a program with blocks as a user would put them: cells that compute, print and draw."""

from __future__ import annotations

import ast
import random
import re

from wrapping import PLOTS, can_be_in_block, flatten, is_doc, roots, split

SEEDS = "import random as _random\n_random.seed(7)\n"
NUMPY_SEEDS = "import numpy as _numpy\n_numpy.random.seed(7)\n"


def stays_outside(node: ast.stmt, rng: random.Random) -> bool:
    """What nobody puts into a block: imports, showing, and mostly definitions."""
    if not can_be_in_block(node) or isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return rng.random() < 0.9
    if isinstance(node, ast.Expr):
        return bool(re.match(r"(\w+\.)*show\(|sys\.exit|exit\(|quit\(|(\w+\.)*use\(", ast.unparse(node)))
    return "__name__" in roots(node) or "sys.exit" in ast.unparse(node)


DRAWING = PLOTS | {"sns", "seaborn"}
OPENS = re.compile(r"\b(figure|subplots|subplot_mosaic|clf|close)\(|\.from_\w+\(|\bplot_\w+\(")


def figures(body: list[ast.stmt]) -> list[int]:
    """For each statement the number of the figure that it draws on; 0 for those that draw on none.

    A block must have the whole of a figure: what it draws on one that was there before cannot be kept apart.
    """
    tainted, found, figure = set(DRAWING), [], 1
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            if roots(node) & tainted and hasattr(node, "name"):
                tainted.add(node.name)
            found.append(0)
        elif roots(node) & tainted or _plots(node):
            tainted |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            figure += bool(OPENS.search(ast.unparse(node)))
            found.append(figure)
        else:
            found.append(0)
    return found


def _plots(node: ast.stmt) -> bool:
    """Whether it asks a frame or the like to draw itself, on the current figure if it is not told of another."""
    return any(isinstance(n, ast.Attribute) and n.attr == "plot" for n in ast.walk(node))


def block(name: str, body: list[ast.stmt], outputs: dict[str, list[str]]) -> ast.stmt:
    """`with cached_block(name):` around statements."""
    declared = f", outputs={sorted(outputs[name])!r}" if name in outputs else ""
    found = ast.parse(f"with cached_block({name!r}{declared}):\n    pass").body[0]
    assert isinstance(found, ast.With)
    found.body = body
    return found


class Cutter:
    """Cuts one script; the same seed cuts it in the same way."""

    def __init__(self, rng: random.Random, outputs: dict[str, list[str]], without: set[str]) -> None:
        self.rng, self.outputs, self.without = rng, outputs, without
        self.number = 0

    def named(self, prefix: str, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block with the next name; the bare statements, if it is one of those that a skip cannot honour."""
        name = f"{prefix}{self.number}"
        self.number += 1
        return body if name in self.without else [block(name, body, self.outputs)]

    def wrap(self, body: list[ast.stmt], prefix: str) -> list[ast.stmt]:
        """Two to five blocks of consecutive statements."""
        outside = [is_doc(n) or stays_outside(n, self.rng) for n in body]
        drawn = figures(body)
        ready = outside.count(False)
        size = max(1, -(-ready // self.rng.randint(2, 5)))
        found: list[ast.stmt] = []
        cell: list[ast.stmt] = []

        def close() -> None:
            if cell:
                # Constants alone are no work; nobody caches them.
                if all(isinstance(n, ast.Assign) and isinstance(n.value, ast.Constant) for n in cell):
                    found.extend(cell)
                else:
                    found.extend(self.named(prefix, list(cell)))
                cell.clear()

        begun: set[int] = set()
        """Figures that an earlier cell, or a statement outside of all cells, has drawn on."""
        mine: set[int] = set()
        for k, (node, out) in enumerate(zip(body, outside, strict=True)):
            if out or drawn[k] in begun:
                close()
                found.append(node)
                begun |= mine | {drawn[k]} - {0}
                mine = set()
            elif self._is_loop(node) and not drawn[k] and self.rng.random() < 0.2:
                close()
                begun |= mine
                mine = set()
                node.body = self.named(prefix + "_in_loop", node.body)  # type: ignore[attr-defined]
                found.append(node)
            else:
                cell.append(node)
                mine |= {drawn[k]} - {0}
                if len(cell) >= size and not mine & set(drawn[k + 1 :]):
                    close()
                    begun |= mine
                    mine = set()
        close()
        return found

    @staticmethod
    def _is_loop(node: ast.stmt) -> bool:
        """A loop whose body can be a block: nothing in it jumps."""
        return isinstance(node, ast.For) and not any(isinstance(n, ast.Break | ast.Continue) for n in ast.walk(node))

    def in_function(self, body: list[ast.stmt]) -> None:
        """Sometimes a block in a function as well: all but its last line, which returns."""
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.name != "main" and not node.decorator_list:
                inner, last = [n for n in node.body[:-1] if not is_doc(n)], node.body[-1]
                fit = len(inner) > 1 and isinstance(last, ast.Return) and all(map(can_be_in_block, inner))
                yields = any(isinstance(n, ast.Yield | ast.YieldFrom | ast.Nonlocal) for n in ast.walk(node))
                if fit and not yields and self.rng.random() < 0.3:
                    node.body = [*node.body[: len(node.body) - 1 - len(inner)], *self.named("f", inner), last]
                    return


def make(
    name: str, text: str, seed: int, seeded: bool, outputs: dict[str, list[str]], without: set[str]
) -> dict[str, str] | None:
    """The files of the program; None when there is nothing to put into a block.

    Parameters
    ----------
    seeded
        Seed the global generators after the imports.
    outputs
        Files that each block writes, to be declared.
    without
        Names of blocks that are not made, because a skip cannot honour their bodies.
    """
    rng = random.Random(f"{name} {seed}")
    body = flatten(ast.parse(text).body)
    future = [n for n in body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    doc = [n for n in body[:1] if is_doc(n)]
    body = [n for n in body if n not in future and n not in doc]
    module = "helpers_" + re.sub(r"\W", "_", name.split("/")[-1])
    there: list[ast.stmt] = []
    if rng.random() < 0.3:
        body, there = split(body, rng, module)
    cutter = Cutter(rng, outputs, without)
    cutter.in_function(body)
    mains = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == "main" and len(n.body) > 3]
    if mains:
        mains[0].body = cutter.wrap(mains[0].body, "m")
    else:
        body = cutter.wrap(body, "b")
    if seeded:
        others = (k for k, n in enumerate(body) if not isinstance(n, ast.Import | ast.ImportFrom))
        first = next(others, len(body))
        seeds = SEEDS + (NUMPY_SEEDS if re.search(r"numpy|sklearn|scipy|imblearn", text) else "")
        body = [*body[:first], *ast.parse(seeds).body, *body[first:]]
    head = ast.parse("from blockcache import cached_block").body
    main = ast.unparse(ast.fix_missing_locations(ast.Module([*doc, *future, *head, *body], [])))
    if "with cached_block" not in main:
        return None
    files = {"main.py": main + "\n"}
    if there:
        files[module + ".py"] = ast.unparse(ast.Module([*future, *there], [])) + "\n"
    return files
