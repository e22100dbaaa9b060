"""What belongs to marimo's session: its states, what it tells of the session, cells that go, notebooks as modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from host_runs import MarimoServer, events_file, execute, results_file

HEAD = """\
import marimo

app = marimo.App()

with app.setup:
    import json
    import os

    import marimo as mo
    from blockcache import cached_block

    def tell(name, value):
        with open(os.environ["RESULTS"], "a") as file:
            file.write(json.dumps([name, value]) + "\\n")


"""
FOOT = """

if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


def take(folder: Path) -> dict[str, tuple[Any, str]]:
    """By block: the value that was told, and the outcome."""
    told = dict(json.loads(line) for line in results_file(folder).read_text().splitlines())
    events = [json.loads(line) for line in events_file(folder).read_text().splitlines()]
    results_file(folder).unlink()
    events_file(folder).unlink()
    return {event["name"]: (told.get(event["name"]), event["outcome"]) for event in events}


TELLERS = {
    "arguments": 'mo.cli_args().get("n")',
    "address": 'mo.query_params().get("n")',
    "mode": "mo.app_meta().mode",
    "kind": "mo.running_in_notebook()",
    "place": "mo.notebook_dir().name",
    "handed on": "meta.mode",
}


def tellers() -> str:
    cells = "@app.cell\ndef _():\n    meta = mo.app_meta()\n    return (meta,)\n"
    for name, told in TELLERS.items():
        reads, r = "meta" if "meta." in told else "", f"r_{name.replace(' ', '_')}"
        cells += f'\n\n@app.cell\ndef _({reads}):\n    with cached_block(name="{name}"):\n        {r} = [{told}][0]\n'
        cells += f'    tell("{name}", {r})\n    return ({r},)\n'
    return HEAD + cells + FOOT


def test_what_the_session_tells_is_an_input(folder: Path) -> None:
    """Arguments, the address, the mode: a block that asks marimo for one misses when it is another."""
    (folder / "notebook.py").write_text(tellers())

    def script(*arguments: str) -> dict[str, tuple[Any, str]]:
        execute(folder, "notebook.py", *arguments)
        return take(folder)

    def page(mode: str, query: str = "") -> dict[str, tuple[Any, str]]:
        with MarimoServer(folder, mode, query=query) as server:
            server.run_all()
        return take(folder)

    values = {"arguments": None, "address": None, "mode": "script", "kind": False, "place": "project"}
    values["handed on"] = "script"
    assert script() == {name: (value, "miss") for name, value in values.items()}
    assert script() == {name: (value, "hit") for name, value in values.items()}
    assert script("--", "--n", "3") == {
        name: (3, "miss") if name == "arguments" else (value, "hit") for name, value in values.items()
    }
    in_app: dict[str, tuple[Any, str]] = {"arguments": (None, "hit"), "place": ("project", "hit")}
    in_app |= {"address": ("4", "miss"), "mode": ("run", "miss"), "handed on": ("run", "miss"), "kind": (True, "miss")}
    assert page("run", "&n=4") == in_app
    again = page("run", "&n=4")
    assert again["address"] == ("4", "hit") and again["kind"] == (True, "hit")
    # What `app_meta` gives has the request, and so the port, which is another one.
    assert again["mode"][0] == again["handed on"][0] == "run"
    assert page("run", "&n=5")["address"] == ("5", "miss")
    assert page("edit")["mode"] == ("edit", "miss")


STATES = (
    HEAD
    + """\
@app.cell
def _():
    get_n, set_n = mo.state(1)
    return get_n, set_n


@app.cell
def _(get_n):
    with cached_block(name="get"):
        got = get_n() * 10
    tell("get", got)
    return (got,)


@app.cell
def _(got, set_n):
    with cached_block(name="set"):
        done = got + 1
        if got < 20:
            set_n(2)
    tell("set", done)
    return (done,)


@app.cell
def _(done, set_n):
    with cached_block(name="by a helper"):
        (lambda: set_n(2) if done < 5 else None)()
        helped = done + 1
    tell("by a helper", helped)
    return (helped,)


@app.cell
def _():
    with cached_block(name="make"):
        get_m, set_m = mo.state(5)
    return get_m, set_m


@app.cell
def _(get_m):
    with cached_block(name="got made"):
        m = get_m() + 0
    tell("got made", m)
    return (m,)
"""
    + FOOT
)


def test_states_work_as_without_blocks(folder: Path) -> None:
    """A getter counts by its value; who may set a state, or makes one, runs each time, so that marimo sees it."""
    (folder / "notebook.py").write_text(STATES)
    for first in (True, False):
        with MarimoServer(folder, "edit") as server:
            server.run_all()
        found = take(folder)
        # It was set, so the cells that read it ran again.
        assert found["get"] == (20, "miss" if first else "hit")
        assert found["set"] == (21, "miss")
        assert found["by a helper"] == (22, "miss")
        assert found["make"][1] == "miss"
        assert found["got made"] == (5, "miss" if first else "hit")


WITHIN = (
    HEAD
    + """\
@app.function
def deeper(x):
    return x + 1


@app.cell
def _():
    @mo.cache
    def double(x):
        return 2 * deeper(x)
    return (double,)


@app.cell
def _(double):
    with cached_block(name="cache"):
        doubled = double(4)
    tell("cache", doubled)
    return (doubled,)


@app.cell
def _():
    with cached_block(name="persistent"):
        with mo.persistent_cache("within"):
            within = deeper(1)
    tell("persistent", within)
    return (within,)


@app.cell
def _():
    with mo.persistent_cache("around"):
        with cached_block(name="inside"):
            inside = deeper(2)
    tell("inside", inside)
    return (inside,)
"""
    + FOOT
)


def test_blocks_beside_the_caches_of_marimo(folder: Path) -> None:
    """A function that marimo caches counts by its code and what it reaches; its block in ours, and ours in its, work."""
    (folder / "notebook.py").write_text(WITHIN)
    execute(folder, "notebook.py")
    assert take(folder) == {"cache": (10, "miss"), "persistent": (2, "miss"), "inside": (3, "miss")}
    execute(folder, "notebook.py")
    found = take(folder)
    assert found["cache"] == (10, "hit") and found["persistent"] == (2, "hit")
    (folder / "notebook.py").write_text(WITHIN.replace("return x + 1", "return x + 5"))
    execute(folder, "notebook.py")
    found = take(folder)
    assert found["cache"] == (18, "miss") and found["persistent"] == (6, "miss")


NAMES = (
    HEAD
    + """\
@app.cell
def _():
    with cached_block(name="deletes"):
        _left = [1]
        gone = _left
        del gone
        kept = sum(_left)
    tell("deletes", [kept, "gone" in globals()])
    return (kept,)


@app.cell
def _(kept):
    with cached_block(name="reads"):
        read = kept + 1
    tell("reads", read)
    return (read,)
"""
    + FOOT
)


def test_names_that_go(folder: Path) -> None:
    """A name that a body deletes stays away; a cell that is deleted takes its names along, and back they come."""
    (folder / "notebook.py").write_text(NAMES)
    with MarimoServer(folder, "edit") as server:
        server.run_all()
        assert take(folder) == {"deletes": ([1, False], "miss"), "reads": (2, "miss")}
        (at,) = [i for i, code in enumerate(server.codes) if 'name="deletes"' in code]
        server.run_cells({at: server.codes[at]})
        assert take(folder) == {"deletes": ([1, False], "hit"), "reads": (2, "hit")}
        with pytest.raises(AssertionError, match="kept"):
            server.run_cells({at: "other = 1"})
        server.run_cells({at: server.codes[at]})
        assert take(folder) == {"deletes": ([1, False], "hit"), "reads": (2, "hit")}


MODULE = (
    HEAD
    + """\
    RATE = 3


@app.function
def rated(x):
    with cached_block(name="in a notebook's function") as block:
        result = x * RATE
    return result, block.hit


@app.cell
def _():
    tell("in a notebook's function", rated(2)[0])
    return
"""
    + FOOT
).replace("\n\n    RATE", "    RATE", 1)


def test_a_notebook_as_a_module(folder: Path) -> None:
    """A function that is imported from a notebook has the block that the notebook has, edits of its setup cell included."""
    (folder / "notebook.py").write_text(MODULE)
    program = "from notebook import rated\nprint(rated(2), rated(3))\n"
    (folder / "program.py").write_text(program)
    assert execute(folder, "program.py").stdout == "(6, False) (9, False)\n"
    assert execute(folder, "program.py").stdout == "(6, True) (9, True)\n"
    (folder / "notebook.py").write_text(MODULE.replace("RATE = 3", "RATE = 4"))
    assert execute(folder, "program.py").stdout == "(8, False) (12, False)\n"
