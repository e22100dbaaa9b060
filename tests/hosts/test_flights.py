"""The experiment of notebooks/ from end to end, on the real tables: one store, every host."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from host_runs import execute, kernel, take_outcomes

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
BLOCKS = ["load", "join", "features", "train", "evaluate", "importance"]
HITS = [(name, "hit") for name in BLOCKS]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of notebooks/ in a project of its own, after the script's first run; and what that run printed."""
    folder = tmp_path_factory.mktemp("flights") / "project"
    shutil.copytree(NOTEBOOKS, folder, ignore=shutil.ignore_patterns("__*", ".*"))
    (folder / "pyproject.toml").touch()
    printed = execute(folder, "flights_script.py").stdout
    assert take_outcomes(folder) == [(name, "miss") for name in BLOCKS]
    return folder, printed


def test_the_script_prints_the_same_again(computed: tuple[Path, str]) -> None:
    """Its second run skips every block and prints what the first one did; the figure is a matter of its own."""
    folder, printed = computed
    assert execute(folder, "flights_script.py", "--plot", "delays.png").stdout == printed
    assert take_outcomes(folder) == HITS
    assert (folder / "delays.png").read_bytes().startswith(b"\x89PNG")


def test_the_model_is_worth_its_training(computed: tuple[Path, str]) -> None:
    """It knows more than the hour of departure, and not as much as a model that has seen the answer."""
    _, printed = computed
    assert printed.startswith("244,737 flights to learn from, 82,609 to test on.\n")
    auc = {line.rsplit(maxsplit=2)[0].strip(): float(line.split()[-2]) for line in printed.splitlines()[4:6]}
    assert 0.55 < auc["hour of departure alone"] < 0.65 < auc["model"] < 0.8


def test_jupyter_hits(computed: tuple[Path, str]) -> None:
    """Every block of the Jupyter notebook finds what the script saved, and its figure is drawn."""
    folder, _ = computed
    notebook = nbformat.read(folder / "flights.ipynb", as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    with kernel(folder, notebook) as run_cell:
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                run_cell(index)
    assert take_outcomes(folder) == HITS
    drawn = [
        output for cell in notebook.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", ())
    ]
    assert len(drawn) == 1


def test_marimo_hits_as_a_script(computed: tuple[Path, str]) -> None:
    """`python flights.py`."""
    folder, _ = computed
    execute(folder, "flights.py")
    assert take_outcomes(folder) == HITS


def test_marimo_hits_in_its_kernel(computed: tuple[Path, str]) -> None:
    """The kernel that edit, run and export share."""
    folder, _ = computed
    execute(folder, "-m", "marimo", "-q", "export", "html", "flights.py", "-o", "../flights.html", "-f")
    assert sorted(take_outcomes(folder)) == sorted(HITS)
    assert "data:image/png" in (folder.parent / "flights.html").read_text()


def test_the_marimo_notebook_is_as_marimo_writes_it(computed: tuple[Path, str]) -> None:
    """`marimo check` has nothing to say about it."""
    folder, _ = computed
    execute(folder, "-m", "marimo", "check", "--strict", "flights.py")


#: The edits that the notebooks propose, with the blocks that they say run again.
EDITS = {
    "a comment": ("flights_script.py", "    model.fit(", "    # learn\n    model.fit(", []),
    "what late means": ("flights_steps.py", "LATE_MINUTES = 15", "LATE_MINUTES = 30", BLOCKS[2:]),
    "the model": ("flights_script.py", "max_leaf_nodes=15", "max_leaf_nodes=31", BLOCKS[3:]),
    "the figure's colours": ("flights_steps.py", 'color="tab:blue"', 'color="black"', []),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_runs_what_it_changes_and_no_more(computed: tuple[Path, str], edit: str) -> None:
    """What the notebooks' last section promises."""
    folder, printed = computed
    name, old, new, again = EDITS[edit]
    file = folder / name
    before = file.read_text()
    assert old in before
    try:
        file.write_text(before.replace(old, new))
        output = execute(folder, "flights_script.py").stdout
    finally:
        file.write_text(before)
    assert take_outcomes(folder) == [(block, "miss" if block in again else "hit") for block in BLOCKS]
    assert (output == printed) == (not again)
