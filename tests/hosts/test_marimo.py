"""Real marimo: as a script, exported, and served as `marimo edit` and `marimo run` do it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from host_runs import HOSTS, MarimoServer, execute, take_outcomes, take_results
from sharing import check_first_run, check_hits

OTHERS = {
    "marimo script": ("Jupyter", "marimo edit"),
    "marimo export": ("script", "marimo run"),
    "marimo edit": ("script", "Jupyter", "marimo script"),
    "marimo run": ("script", "marimo export"),
}


@pytest.mark.parametrize("first_host", OTHERS)
def test_what_marimo_saved_is_found_by_other_hosts(folder: Path, first_host: str) -> None:
    """Whichever way marimo runs the notebook, the script, Jupyter and marimo's own kernel share its entries."""
    first = check_first_run(folder, HOSTS[first_host])
    for other in OTHERS[first_host]:
        check_hits(folder, HOSTS[other], first)


def test_cells_edited_on_the_page(folder: Path) -> None:
    """A cell that runs again hits; an edited upstream cell makes those blocks run that it changes, and no others."""
    with MarimoServer(folder, "edit") as server:
        server.run_all()
        first = take_results(folder)
        assert {outcome for _, outcome in take_outcomes(folder)} == {"miss"}

        server.run_cells({2: server.codes[2]})
        # marimo runs the cells that depend on it too
        assert take_outcomes(folder) == [(name, "hit") for name in ("signal", "fit", "summary", "first", "second")]
        again = take_results(folder)
        assert again["values"] == first["values"]

        server.run_cells({1: "# a comment\n" + server.codes[1].replace("size = 5000", "size = 5_000")})
        assert {outcome for _, outcome in take_outcomes(folder)} == {"hit"}

        server.run_cells({1: server.codes[1].replace("values + by", "values - by")})
        # `first` reads none of it
        assert take_outcomes(folder) == [
            ("signal", "miss"), ("fit", "miss"), ("summary", "miss"), ("first", "hit"), ("second", "miss"),
        ]  # fmt: skip
        take_results(folder)

        server.run_cells({1: server.codes[1]})
        assert {outcome for _, outcome in take_outcomes(folder)} == {"hit"}
        assert take_results(folder)["values"] == first["values"]


SETUP = """\
import marimo

app = marimo.App()

with app.setup:
    import json
    import os
    from pathlib import Path

    from blockcache import cached_block

    RATE = 3

    with cached_block(name="in setup") as setup_block:
        table = [number * RATE for number in range(5)]


@app.function
def total(values):
    with cached_block(name="in function") as function_block:
        result = sum(values) * RATE
    return result, function_block.hit


@app.class_definition
class Scaled:
    def __init__(self, by):
        self.by = by

    def of(self, values):
        return [value * self.by for value in values]


@app.cell
def _():
    with cached_block(name="uses a class") as class_block:
        scaled = Scaled(2)
        doubled = scaled.of(table)
        _private = 5
    _private
    return class_block, doubled, scaled


@app.cell
def _(class_block, doubled, scaled):
    summed, hit = total(doubled)
    found = {
        "hits": [setup_block.hit, class_block.hit, hit],
        "values": [table, doubled, summed],
        "is the live class": type(scaled) is Scaled,
    }
    Path(os.environ["RESULTS"]).write_text(json.dumps(found))
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.mark.parametrize(
    ("first_host", "second_host"), [("marimo script", "marimo edit"), ("marimo edit", "marimo script")]
)
def test_setup_cells_functions_and_classes(folder: Path, first_host: str, second_host: str) -> None:
    """Blocks in a setup cell and in a reusable function, objects of a class of the notebook, cell-local names."""
    (folder / "notebook.py").write_text(SETUP)
    values = [[0, 3, 6, 9, 12], [0, 6, 12, 18, 24], 180]
    for host, hit in ((first_host, False), (second_host, True), (first_host, True)):
        HOSTS[host](folder)
        assert take_results(folder) == {"hits": [hit] * 3, "values": values, "is the live class": True}
        outcome = "hit" if hit else "miss"
        assert take_outcomes(folder) == [(name, outcome) for name in ("in setup", "uses a class", "in function")]


def test_a_notebook_is_a_module_too(folder: Path) -> None:
    """A function of a notebook that another program imports: its block has its own module, and hits there again."""
    (folder / "notebook.py").write_text(SETUP)
    program = "from notebook import total\nprint(total([1, 2]))"
    assert execute(folder, "-c", program).stdout == "(9, False)\n"
    assert execute(folder, "-c", program).stdout == "(9, True)\n"


CARD = """\
import marimo

app = marimo.App()


@app.cell
def _():
    from blockcache import cached_block

    with cached_block(name="shown") as block:
        n = 1

    block
    return


if __name__ == "__main__":
    app.run()
"""


def test_a_block_shows_its_card(folder: Path) -> None:
    """As a cell's last expression it is shown as HTML that tells whether it was a hit."""
    (folder / "notebook.py").write_text(CARD)
    for outcome in ("miss", "hit"):
        with MarimoServer(folder, "edit") as server:
            server.run_all()
            (output,) = server.outputs.values()
        assert output["mimetype"] == "text/html"
        text = html.unescape(re.sub(r"<[^>]+>", " ", output["data"]))
        assert "shown" in text and outcome in text.split()
