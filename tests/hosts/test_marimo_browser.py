"""marimo's own page in a real browser: a person moves a slider, and blocks miss and hit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import Browser, needs_browser
from host_runs import MarimoServer, events_file

pytestmark = needs_browser

NOTEBOOK = """\
import marimo

app = marimo.App()

with app.setup:
    import time

    import marimo as mo
    from blockcache import cached_block
    from blockcache.marimo import auto

    # What the first text and table of a process have to import takes longer than our cells.
    mo.md(""), mo.ui.table([{"twice": 1}])
    auto(min_seconds=0.4)


@app.cell
def _():
    slider = mo.ui.slider(0, 10, value=3, label="how many")
    slider
    return (slider,)


@app.cell
def _(slider):
    with cached_block(name="squares") as block:
        squares = [n * n for n in range(slider.value)]
    block
    return (squares,)


@app.cell
def _(squares):
    time.sleep(0.6)
    total = sum(squares)
    mo.md(f"the total is **{total}**")
    return (total,)


@app.cell
def _(total):
    mo.ui.table([{"twice": 2 * total}])
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "notebook.py").write_text(NOTEBOOK)
    (made / "pyproject.toml").write_text("[tool.marimo.runtime]\nauto_instantiate = true\n")
    return made


def outcomes(folder: Path, count: int = 2) -> dict[str, str]:
    lines = events_file(folder).read_text().splitlines()
    events_file(folder).unlink()
    found = [json.loads(line) for line in lines]
    assert len(found) == count, found
    assert not any(event["problem"] for event in found), found
    return {event["name"]: event["outcome"] for event in found}


BOTH = ("squares", "cell total")


@pytest.mark.parametrize("mode", ["edit", "run"])
def test_a_slider_on_the_page(folder: Path, mode: str) -> None:
    """Moving the slider makes the blocks miss, moving it back makes them hit; the page shows values, line and card."""
    with MarimoServer(folder, mode, real_page=True) as server, Browser() as page:
        page.open(f"http://{server.address}/")
        page.wait("/the total is 5 /.test(said())")
        page.wait("find('[role=slider]')")
        assert outcomes(folder) == dict.fromkeys(BOTH, "miss")
        page.picture(f"marimo-{mode}-1-opened")

        page.press("[role=slider]", "ArrowRight")
        page.wait("/the total is 14 /.test(said())")
        assert outcomes(folder) == dict.fromkeys(BOTH, "miss")
        page.picture(f"marimo-{mode}-2-moved")

        page.press("[role=slider]", "ArrowLeft")
        page.wait("/the total is 5 /.test(said())")
        assert outcomes(folder) == dict.fromkeys(BOTH, "hit")
        page.picture(f"marimo-{mode}-3-back")
        text = page.text()
        if mode == "edit":  # an app shows no console
            assert "squares hit saved" in text
            assert "cell total hit saved" in text
        assert "Depends on" in text
        page.click("summary")
        page.wait("said().includes('slider at 3')")
        page.picture(f"marimo-{mode}-4-card")
