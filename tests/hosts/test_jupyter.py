"""A real Jupyter kernel: fresh, restarted, with cells run again and edited."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from host_runs import HOSTS, kernel, take_outcomes, take_results
from sharing import check_first_run, check_hits


@pytest.mark.parametrize("other", ["script", "Jupyter", "marimo edit"])
def test_what_jupyter_saved_is_found_by(folder: Path, other: str) -> None:
    """A kernel computes; another host, or a restarted kernel, skips every block and has the same values."""
    first = check_first_run(folder, HOSTS["Jupyter"])
    check_hits(folder, HOSTS[other], first)


def notebook_of(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def test_a_cell_that_runs_again_hits(folder: Path) -> None:
    """In any order, in one kernel, although the names that it binds are bound by then."""
    notebook = nbformat.read(folder / "program.ipynb", as_version=4)
    with kernel(folder, notebook) as run_cell:
        for index in range(len(notebook.cells)):
            run_cell(index)
        first = take_results(folder)
        assert {outcome for _, outcome in take_outcomes(folder)} == {"miss"}
        for index in (2, 6, 5, 4, 3, 3, 2, 7):
            run_cell(index)
    names = ["signal", "first", "second", "outer", "summary", "fit", "fit", "signal"]
    assert take_outcomes(folder) == [(name, "hit") for name in names]
    again = take_results(folder)
    assert all(again["hits"])
    assert again["values"] == first["values"]


EDITED = notebook_of(
    "from blockcache import cached_block",
    "def grow(x):\n    return x + 1",
    "start = 1",
    'with cached_block(name="work"):\n    grown = [grow(start) for _ in range(3)]\n\ngrown',
    # one edit per cell from here on, each followed by the block again
    "# a comment, and the same function\ndef grow(x):\n\n    return (x + 1)",
    "def grow(x):\n    return x + 10",
    "start = 2",
    "def grow(x):\n    return x + 1\n\nstart = 1",
)


def shown(cell: nbformat.NotebookNode) -> str:
    """The cell's last expression as the notebook shows it."""
    return next(output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result")


def test_an_edited_cell_counts_at_once(folder: Path) -> None:
    """A helper or value redefined in another cell makes the block run; changed back, or only reformatted, it hits."""
    notebook = EDITED.copy()
    found = []
    with kernel(folder, notebook) as run_cell:
        for index in range(3):
            run_cell(index)
        for edit in (2, 4, 5, 6, 7):
            run_cell(edit)
            run_cell(3)
            found.append((take_outcomes(folder)[0][1], shown(notebook.cells[3])))
    assert found == [
        ("miss", "[2, 2, 2]"),
        ("hit", "[2, 2, 2]"),
        ("miss", "[11, 11, 11]"),
        ("miss", "[12, 12, 12]"),
        ("hit", "[2, 2, 2]"),
    ]


MAGICS = [
    "from blockcache import cached_block\nimport asyncio",
    '%%time\nwith cached_block(name="timed"):\n    timed = [n for n in range(4)]',
    'print("!")\n%config\nwith cached_block(name="beside a magic"):\n    beside = sum(timed)\n!true',
    'async def later():\n    return 5\n\nwith cached_block(name="awaits"):\n    awaited = await later()\n\nawaited',
    'for number in range(3):\n    with cached_block(name="in a loop"):\n        square = number**2\n    timed.append(square)',
    "timed, beside, awaited",
]


def test_cells_that_are_not_plain_python(folder: Path) -> None:
    """Magics, shell lines, top-level await, a loop: the block runs once and then hits in a new kernel."""
    notebook = notebook_of(*MAGICS)
    names = ["timed", "beside a magic", "awaits", *["in a loop"] * 3]
    for outcome in ("miss", "hit"):
        with kernel(folder, notebook) as run_cell:
            for index in range(len(notebook.cells)):
                run_cell(index)
        assert shown(notebook.cells[-1]) == "([0, 1, 2, 3, 0, 1, 4], 6, 5)"
        assert take_outcomes(folder) == [(name, outcome) for name in names]


def test_a_block_shows_its_card(folder: Path) -> None:
    """As a cell's last expression it is shown as HTML that tells whether it was a hit."""
    notebook = notebook_of(
        "from blockcache import cached_block", 'with cached_block(name="shown") as block:\n    n = 1\n\nblock'
    )
    for outcome in ("miss", "hit"):
        with kernel(folder, notebook) as run_cell:
            run_cell(0)
            run_cell(1)
        html = [output.data["text/html"] for output in notebook.cells[1].outputs if "data" in output]
        assert len(html) == 1
        assert "shown" in html[0] and outcome in html[0]
