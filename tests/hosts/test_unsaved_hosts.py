"""Names that could not be saved, in notebooks: other cells count, and what a later cell wants is found out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from host_runs import MarimoServer, events_file, execute, kernel
from nbclient.exceptions import CellExecutionError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "machine"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    return folder


def take_events(folder: Path) -> list[dict[str, Any]]:
    path = events_file(folder)
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


def run_notebook(folder: Path, *cells: str, allow: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
    """Events of a fresh kernel that runs the cells, and all text that each cell shows."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with kernel(folder, notebook) as run_cell:
        for index in range(len(cells)):
            try:
                run_cell(index)
            except CellExecutionError:
                if not allow:
                    raise
    shown = []
    for cell in notebook.cells:
        texts = [o.get("text", "") or o.get("evalue", "") or o["data"]["text/plain"] for o in cell.outputs]
        shown.append("\n".join(texts))
    return take_events(folder), shown


START = "import sqlite3\nfrom blockcache import cached_block"
BLOCK = """\
with cached_block(name="b"):
    bad = sqlite3.connect(":memory:")
    _worse = bad.cursor()
    rows = _worse.execute("select 1").fetchall()
"""


def test_a_public_name_that_no_cell_reads(folder: Path) -> None:
    """It hits in a new kernel and in the same one, and the line names what is not there."""
    events, _ = run_notebook(folder, START, BLOCK + "rows", "rows + 1 * rows")
    assert [(e["outcome"], e["problem"]) for e in events] == [("miss", "")]
    events, shown = run_notebook(folder, START, BLOCK + "rows", BLOCK, "rows")
    assert [e["outcome"] for e in events] == ["hit", "hit"]
    assert events[0]["lacking"] == ["bad"] and "not restored: bad" in shown[1]
    assert shown[3] == "[(1,)]"


@pytest.mark.parametrize("reads", ["type(bad).__name__", "_worse.connection is bad", "%timeit -n1 -r1 type(bad)"])
def test_a_later_cell_that_reads_it_is_remembered(folder: Path, reads: str) -> None:
    """In the first session it does; in the next ones the body runs at once, and no cell meets a name that is not there."""
    for _ in range(3):
        events, _ = run_notebook(folder, START, BLOCK, reads)
    assert events[0]["outcome"] == "miss" and "(a cell that ran later)" in events[0]["reason"]


def test_a_cell_that_is_new(folder: Path) -> None:
    """It meets a name that is not there, is told why, and the block's cell run again gives the name."""
    run_notebook(folder, START, BLOCK)
    events, shown = run_notebook(folder, START, BLOCK, "type(bad).__name__", BLOCK, "type(bad).__name__", allow=True)
    assert [e["outcome"] for e in events] == ["hit", "miss"]
    assert "name 'bad' is not defined" in shown[2] and "could not be saved" in shown[2]
    assert "run that block's cell again" in shown[2]
    assert shown[4] == "'Connection'"


def test_the_old_value_does_not_pass_for_the_new(folder: Path) -> None:
    """A value of an earlier cell is gone after a hit, as it is after a run."""
    run_notebook(folder, START, "bad = 5", BLOCK)
    events, shown = run_notebook(folder, START, "bad = 5", BLOCK, "bad", allow=True)
    assert events[0]["outcome"] == "hit" and "not defined" in shown[3]


@pytest.mark.parametrize(
    "cells",
    [
        (BLOCK + "bad.close()",),
        (BLOCK + "type(bad).__name__",),
        (BLOCK + "print(_worse is None)",),
        ("def look():\n    return bad", BLOCK, "look()"),
        ("def look():\n    return bad\n" + BLOCK, "look()"),
        ("%%time\n" + BLOCK + "bad",),
        ("for _ in range(2):\n" + "".join(f"    {line}\n" for line in BLOCK.splitlines()) + "bad",),
    ],
    ids=["statement", "last expression", "private", "function before", "function in the cell", "magic", "loop"],
)
def test_code_that_is_known_to_read_it(folder: Path, cells: tuple[str, ...]) -> None:
    """The rest of the cell, and functions of earlier cells: the body runs, in every session."""
    for _ in range(2):
        events, _ = run_notebook(folder, START, *cells)
        assert {e["outcome"] for e in events} == {"miss"}, events
    assert "is read after the block (" in events[0]["reason"]


def test_cells_as_blocks(folder: Path) -> None:
    """A cell under `%%cached_block` hits, unless its last expression reads the name."""
    body = "%%cached_block b --exclude big\nbad = sqlite3.connect(':memory:')\nbig = [1]\nn = 2\n"
    for outcome in ("miss", "hit"):
        events, _ = run_notebook(folder, START + "\n%load_ext blockcache", body + "n", "n")
        assert [e["outcome"] for e in events] == [outcome], events
    for _ in range(2):
        events, shown = run_notebook(folder, START + "\n%load_ext blockcache", body + "bad")
        assert [e["outcome"] for e in events] == ["miss"] and "Connection" in shown[1]


MARIMO = """\
import marimo

app = marimo.App()


@app.cell
def _():
    import sqlite3

    from blockcache import cached_block

    with cached_block(name="b"):
        bad = sqlite3.connect(":memory:")
        _worse = bad.cursor()
        rows = _worse.execute("select 1").fetchall()
    {last}
    return bad, rows


@app.cell
def _({names}):
    {other}
    return


if __name__ == "__main__":
    app.run()
"""
READS = {
    "nothing": ("rows", "rows", "rows + rows", "hit"),
    "another cell": ("rows", "bad", "type(bad)", "miss"),
    "a function of another cell": ("rows", "bad", "def look():\n        return bad\n    look()", "miss"),
    "its last expression": ("type(bad)", "rows", "rows", "miss"),
    "its last expression, private": ("type(_worse)", "rows", "rows", "miss"),
    "a private name of another cell": ("rows", "rows", "_worse = 1\n    _worse", "hit"),
}


@pytest.mark.parametrize("host", ["script", "edit"])
@pytest.mark.parametrize("which", READS)
def test_marimo_knows_its_readers(folder: Path, host: str, which: str) -> None:
    """Only cells that read the name make the body run; private names are of one cell."""
    last, names, other, outcome = READS[which]
    (folder / "notebook.py").write_text(MARIMO.format(last=last, names=names, other=other))

    def run() -> list[dict[str, Any]]:
        if host == "script":
            execute(folder, "notebook.py")
        else:
            with MarimoServer(folder, "edit") as server:
                server.run_all()
        return take_events(folder)

    assert [e["outcome"] for e in run()] == ["miss"]
    events = run()
    assert [e["outcome"] for e in events] == [outcome], events
