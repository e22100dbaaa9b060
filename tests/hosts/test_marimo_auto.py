"""``blockcache.marimo.auto``: slow cells of a notebook are skipped without a word in them, in every way to run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_runs import MarimoServer, environment, events_file, execute, results_file

HEAD = """\
import marimo

app = marimo.App()

with app.setup:
    import json
    import os
    import time

    import marimo as mo
    from blockcache.marimo import auto

    auto(min_seconds=0.3)

    def tell(name, value):
        with open(os.environ["RESULTS"], "a") as file:
            file.write(json.dumps([name, value]) + "\\n")


"""
FOOT = """

if __name__ == "__main__":
    app.run()
"""

NOTEBOOK = (
    HEAD
    + """\
@app.function
def scale(x):
    return x * 10


@app.class_definition
class Shift:
    by = 1

    def of(self, x):
        return x + self.by


@app.cell
def _():
    slider = mo.ui.slider(0, 10, value=3)
    slider
    return (slider,)


@app.cell
def _(slider):
    # private names, a function, several statements
    time.sleep(0.5)
    _n = slider.value
    def double(x):
        return 2 * x
    values = [double(_n) for _ in range(3)]
    return double, values


@app.cell
def _(double, values):
    tell("values", [values, double(4)])
    return


@app.cell
def _(values):
    # what it shows cannot be saved, its statements can
    time.sleep(0.5)
    rows = [{"n": scale(v)} for v in values]
    mo.ui.table(rows)
    return (rows,)


@app.cell
def _(rows):
    tell("rows", rows)
    return


@app.cell
async def _(values):
    import asyncio
    await asyncio.sleep(0.5)
    waited = Shift().of(sum(values))
    return (waited,)


@app.cell
def _(waited):
    tell("waited", waited)
    return


@app.cell
def _(values):
    # only an expression
    [time.sleep(0.5), sum(values)]
    return


@app.cell
def _(values):
    # blockcache: off
    time.sleep(0.5)
    left_alone = sum(values)
    tell("left alone", left_alone)
    return (left_alone,)


@app.cell
def _(values):
    fast = sum(values)
    tell("fast", fast)
    return (fast,)


@app.cell
def _(values):
    mo.stop(True, mo.md("stopped"))
    never = 1
    return (never,)
"""
    + FOOT
)

#: The parts that are slow and saved, by what they are called.
SLOW = ("cell double, values", "cell rows", "cell waited", "cell [time.sleep(0.5), sum(values)]")


def told(folder: Path) -> dict[str, Any]:
    path = results_file(folder)
    found = dict(json.loads(line) for line in path.read_text().splitlines())
    path.unlink()
    return found


def events(folder: Path) -> dict[str, str]:
    path = events_file(folder)
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    found = [json.loads(line) for line in lines]
    for event in found:
        assert not event["problem"], event
    return {event["name"]: event["outcome"] for event in found}


def results(n: int) -> dict[str, Any]:
    values = [2 * n] * 3
    return {
        "values": [values, 8],
        "rows": [{"n": 10 * v} for v in values],
        "waited": sum(values) + 1,
        "left alone": sum(values),
        "fast": sum(values),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "notebook.py").write_text(NOTEBOOK)
    return made


def as_script(folder: Path) -> None:
    execute(folder, "notebook.py")


def as_page(folder: Path) -> None:
    with MarimoServer(folder, "edit") as server:
        server.run_all()


def as_app(folder: Path) -> None:
    with MarimoServer(folder, "run") as server:
        server.run_all()


def exported(kind: str) -> Callable[[Path], None]:
    def export(folder: Path) -> None:
        name = f"../notebook.{kind}"
        options = ["--include-outputs"] if kind == "ipynb" else []
        command = [sys.executable, "-m", "marimo", "-q", "export", kind, "notebook.py", "-o", name, "-f", *options]
        done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, timeout=120)
        # What `mo.stop` ends counts as failed there.
        assert (folder / name).exists(), done.stderr

    return export


def test_every_way_to_run_shares_the_cells(folder: Path) -> None:
    """What a script saved is found by the page, the app and the exports, with the same values; fast cells say nothing."""
    as_script(folder)
    assert told(folder) == results(3)
    assert events(folder) == dict.fromkeys(SLOW, "miss")
    for run in (as_script, as_page, as_app, exported("html"), exported("ipynb")):
        run(folder)
        assert told(folder) == results(3), run
        assert events(folder) == dict.fromkeys(SLOW, "hit"), run


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("return x * 10", "return 10 * x + 0", {"cell rows"}),
        ("by = 1", "by = 0 + 1", set()),
        ("return x + self.by", "return self.by + x", {"cell waited"}),
        ("# private names", "# other words for private names", set()),
        ("return 2 * x", "return x + x", {"cell double, values"}),
        ("slider(0, 10", "slider(0, 20", {"cell double, values"}),
    ],
)
def test_an_edit_misses_in_the_cells_that_it_reaches(folder: Path, old: str, new: str, missing: set[str]) -> None:
    """Functions and classes of the notebook count where a cell reaches them; a comment does not."""
    as_script(folder)
    told(folder)
    events(folder)
    assert old in NOTEBOOK
    (folder / "notebook.py").write_text(NOTEBOOK.replace(old, new))
    as_script(folder)
    assert told(folder) == results(3)
    assert {name for name, outcome in events(folder).items() if outcome == "miss"} == missing


def test_a_page_with_cells_that_are_cached(folder: Path) -> None:
    """A slider moves and moves back; cells are edited; without the call nothing is cached any more."""
    with MarimoServer(folder, "edit") as server:
        server.run_all()
        assert told(folder) == results(3)
        assert events(folder) == dict.fromkeys(SLOW, "miss")

        server.set_element("slider", 5)
        assert told(folder) == results(5)
        assert events(folder) == dict.fromkeys(SLOW, "miss")
        server.set_element("slider", 3)
        assert told(folder) == results(3)
        assert events(folder) == dict.fromkeys(SLOW, "hit")

        (at,) = [i for i, code in enumerate(server.codes) if code.startswith("# what it shows")]
        code = server.codes[at]
        server.run_cells({at: code.replace("scale(v)", "scale(v) + 1")})
        assert told(folder) == {"rows": [{"n": 61}] * 3}
        assert events(folder) == {"cell rows": "miss"}
        server.run_cells({at: code})
        assert told(folder) == {"rows": [{"n": 60}] * 3}
        assert events(folder) == {"cell rows": "hit"}
        server.run_cells({at: "# blockcache: off\n" + code})
        assert told(folder) == {"rows": [{"n": 60}] * 3}
        assert events(folder) == {}

        (setup,) = [i for i, code in enumerate(server.codes) if "auto(" in code]
        server.run_cells({setup: server.codes[setup].replace("auto(min_seconds=0.3)", "")})
        assert told(folder) == results(3)
        assert events(folder) == {}


FAILING = (
    HEAD
    + """\
@app.cell
def _():
    _first = 1
    second = _first + 1
    raise ValueError("told by the cell")
    return (second,)
"""
    + FOOT
)


def test_an_error_shows_the_lines_that_a_person_wrote(folder: Path) -> None:
    """A traceback begins in the notebook, at its line, and has no frame of the cache."""
    (folder / "notebook.py").write_text(FAILING)
    done = subprocess.run(
        [sys.executable, "notebook.py"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
    )
    line = FAILING.splitlines().index('    raise ValueError("told by the cell")') + 1
    notebook = folder / "notebook.py"
    assert (
        f'File "{os.path.realpath(notebook)}", line {line}' in done.stderr
        or f'notebook.py", line {line}' in done.stderr
    )
    assert "ValueError: told by the cell" in done.stderr
    assert "blockcache" + os.sep not in done.stderr
    with MarimoServer(folder, "edit") as server, pytest.raises(AssertionError, match="told by the cell"):
        server.run_all()


WITH_BLOCKS = (
    HEAD
    + """\
@app.cell
def _():
    from blockcache import cached_block
    with cached_block(name="own"):
        time.sleep(0.5)
        own = 1
    time.sleep(0.5)
    return (own,)


@app.cell
def _(own):
    from pathlib import Path
    time.sleep(0.5)
    read = Path("data.txt").read_text() + str(own)
    tell("read", read)
    return (read,)


@app.cell
def _():
    time.sleep(0.5)
    get_n, set_n = mo.state(0)
    return get_n, set_n


@app.cell
def _():
    import sqlite3
    time.sleep(0.5)
    _con = sqlite3.connect(":memory:")
    found = _con.execute("select 1").fetchall()
    return (found,)


@app.cell
def _():
    time.sleep(0.5)
    element = mo.ui.slider(0, 3)
    element
    return (element,)


@app.cell
def _(element):
    tell("element", element.value)
    return
"""
    + FOOT
)


def test_cells_with_blocks_files_and_states(folder: Path) -> None:
    """A cell with a block of its own is left to it, a file that it reads counts; states and elements are made anew."""
    (folder / "notebook.py").write_text(WITH_BLOCKS)
    (folder / "data.txt").write_text("one")

    def outcomes() -> dict[str, str]:
        as_page(folder)
        found = [json.loads(line) for line in events_file(folder).read_text().splitlines()]
        events_file(folder).unlink()
        return {event["name"]: event["outcome"] for event in found}

    kept, anew = ("own", "cell read", "cell found"), ("cell get_n, set_n", "cell element")
    first = dict.fromkeys((*kept, *anew), "miss")
    assert outcomes() == first
    assert outcomes() == first | dict.fromkeys(kept, "hit")
    (folder / "data.txt").write_text("two")
    assert outcomes() == first | dict.fromkeys(("own", "cell found"), "hit")
    assert told(folder) == {"read": "two1", "element": 0}


def test_of_two_runs_at_the_same_time_one_runs_a_slow_cell(tmp_path: Path) -> None:
    """A cell of which a run was saved before is waited for; one that was always quick leaves no lease."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    cells = """\
@app.cell
def _():
    number = int(os.environ["NUMBER"]) + 1
    return (number,)


@app.cell
def _(number):
    time.sleep(1)
    twice = number * 2
    return (twice,)
"""
    (tmp_path / "notebook.py").write_text(HEAD + cells + FOOT)

    def start(number: int, log: str) -> subprocess.Popen[bytes]:
        variables = environment(tmp_path) | {"NUMBER": str(number), "BLOCKCACHE_LOG": str(tmp_path / log)}
        return subprocess.Popen([sys.executable, "notebook.py"], cwd=tmp_path, env=variables)

    def outcomes(log: str) -> list[str]:
        return [json.loads(line)["outcome"] for line in (tmp_path / log).read_text().splitlines()]

    assert start(1, "first").wait(60) == 0
    assert outcomes("first") == ["miss"] and not (tmp_path / ".blockcache" / "leases").exists()
    both = [start(2, "one"), start(2, "other")]
    assert [run.wait(60) for run in both] == [0, 0]
    assert sorted([*outcomes("one"), *outcomes("other")]) == ["hit", "miss"]
    assert os.listdir(tmp_path / ".blockcache" / "leases") == []
