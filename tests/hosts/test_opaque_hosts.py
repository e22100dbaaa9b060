"""A connection made in one cell and queried in another: in Jupyter and in marimo."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from host_runs import HOSTS, MarimoServer, kernel, take_outcomes

CELLS = [
    "import sqlite3\nfrom blockcache import cached_block",
    "unrelated = 1",
    'con = sqlite3.connect(":memory:")',
    "con.execute('create table t as select 1 as n')",
    "with cached_block(name='query'):\n    rows = con.execute('select n from t').fetchall()",
    "rows",
]


def notebook_of(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    return folder


def ran(place: Path, cells: list[str], order: list[int] | None = None, *, errors: tuple[int, ...] = ()) -> list[str]:
    """Outcomes in a new kernel in which the cells are run in an order, each failing where it is said to."""
    notebook = notebook_of(*cells)
    for index in errors:
        notebook.cells[index].metadata["tags"] = ["raises-exception"]
    with kernel(place, notebook) as run_cell:
        for index in order or range(len(cells)):
            run_cell(index)
    return [outcome for _, outcome in take_outcomes(place)]


def test_a_restarted_kernel_hits(place: Path) -> None:
    """By the cells that ran; an edited cell that made the connection misses, any other hits."""
    assert ran(place, CELLS) == ["miss"]
    assert ran(place, CELLS) == ["hit"]
    assert ran(place, ["!true\n%ls\n" + CELLS[0], "unrelated = 2\nprint(unrelated)", *CELLS[2:]]) == ["hit"]
    assert ran(place, CELLS[:2] + ["%%time\n" + CELLS[2], *CELLS[3:]]) == ["hit"]
    assert ran(place, [*CELLS[:3], CELLS[3].replace("1", "2"), *CELLS[4:]]) == ["miss"]


def test_cells_count_as_they_ran(place: Path) -> None:
    """A cell that ran twice counts twice, unless it starts afresh; the order in which they ran counts, not the notebook's."""
    assert ran(place, CELLS) == ["miss"]
    assert ran(place, CELLS, [0, 2, 2, 3, 4]) == ["hit"]
    assert ran(place, CELLS, [0, 2, 3, 4, 4]) == ["hit", "hit"]
    again = [*CELLS[:4], "con.execute('insert into t values (7)')", CELLS[4]]
    assert ran(place, again, [0, 1, 2, 3, 5, 4, 5, 4, 5]) == ["hit", "miss", "miss"]
    assert ran(place, again, [0, 1, 2, 3, 4, 4, 5]) == ["hit"]


def test_a_cell_that_failed_half_way_is_not_certain(place: Path) -> None:
    """What it did before it failed counts."""
    failing = "con.execute('insert into t values (3)')\n1 / 0\ncon = None"
    cells = [*CELLS[:4], failing, CELLS[4]]
    assert ran(place, cells, errors=(4,)) == ["miss"]
    assert ran(place, cells, errors=(4,)) == ["hit"]
    assert ran(place, [*CELLS[:4], failing.replace("3", "4"), CELLS[4]], errors=(4,)) == ["miss"]


NOTEBOOK = """\
import marimo

app = marimo.App()


@app.cell
def _():
    import sqlite3
    from blockcache import cached_block
    return cached_block, sqlite3


@app.cell
def _():
    unrelated = 1
    return


@app.cell
def _(sqlite3):
    _path = ":memory:"
    con = sqlite3.connect(_path)
    con.execute("create table t as select 1 as n")
    return (con,)


@app.cell
def _(cached_block, con):
    _limit = 5
    with cached_block(name="query"):
        rows = con.execute("select n from t").fetchmany(_limit)
    return (rows,)


if __name__ == "__main__":
    app.run()
"""


@pytest.mark.parametrize("first", ["marimo script", "marimo edit"])
def test_marimo(place: Path, first: str) -> None:
    """By the cells before it in the notebook's graph; the modes of marimo share the entry."""
    (place / "notebook.py").write_text(NOTEBOOK)
    outcome = [("query", "miss")]
    for host in (first, "marimo script", "marimo edit"):
        HOSTS[host](place)
        assert take_outcomes(place) == outcome
        outcome = [("query", "hit")]
    (place / "notebook.py").write_text(NOTEBOOK.replace("unrelated = 1", "unrelated = 2"))
    HOSTS[first](place)
    assert take_outcomes(place) == outcome
    (place / "notebook.py").write_text(NOTEBOOK.replace("select 1 as n", "select 2 as n"))
    HOSTS[first](place)
    assert take_outcomes(place) == [("query", "miss")]


def test_an_edited_cell_of_marimo(place: Path) -> None:
    """In the kernel, the cell that makes the connection counts as it is now."""
    (place / "notebook.py").write_text(NOTEBOOK)
    with MarimoServer(place, "edit") as server:
        server.run_all()
        assert take_outcomes(place) == [("query", "miss")]
        server.run_cells({2: server.codes[2]})
        assert take_outcomes(place) == [("query", "hit")]
        server.run_cells({2: server.codes[2].replace("select 1", "select 3")})
        assert take_outcomes(place) == [("query", "miss")]
