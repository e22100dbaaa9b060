"""`blockcache verify`: a program's hits run again, and what differs is told."""

from __future__ import annotations

import json
import os
import sys

import pytest
from click.testing import CliRunner

from blockcache.cli import main
from blockcache.settings import VARIABLES
from blockcache.verify import fold

PROGRAM = """\
import os, sys, time
from blockcache import cached_block

with cached_block("same"):
    x = 1
for i in range(2):
    with cached_block("noisy"):
        y = time.time_ns()
        z = 3
with cached_block("new"):
    n = sys.argv[1:]
sys.exit(int(os.environ.get("PROBE_EXIT", "0")))
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def _run(folder, *arguments, code, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == code, (done.output, done.exception)
    return done


def test_what_differs_is_named_and_is_the_exit_status(project, monkeypatch):
    """Verified, differs (which variables), missed; once per block however often it ran."""
    project.write(main=PROGRAM)
    done = _run(project.folder, "verify", "main.py", code=1, monkeypatch=monkeypatch)
    assert done.stdout.splitlines()[0].split() == ["block", "where", "result", "runs", "because"]
    # The second round of the loop found what the first had saved.
    assert [line.split()[2] for line in done.stdout.splitlines()[1:]] == ["missed", "differs", "missed"]
    done = _run(project.folder, "verify", "main.py", code=1, monkeypatch=monkeypatch)
    rows = {line.split()[0]: line for line in done.stdout.splitlines()[1:4]}
    assert "verified" in rows["same"] and "differs" in rows["noisy"] and "y " in rows["noisy"]
    found = json.loads(_run(project.folder, "verify", "main.py", "--json", code=1, monkeypatch=monkeypatch).stdout)
    assert [(b["name"], b["result"], b["runs"]) for b in found["blocks"]] == [
        ("same", "verified", 1),
        ("noisy", "differs", 2),
        ("new", "verified", 1),
    ]
    assert all(clause.startswith("y ") for clause in found["blocks"][1]["clauses"])


def test_the_script_gets_its_arguments_and_gives_its_status(project, monkeypatch):
    """Options that are not ours, and all after --; its own failure is the exit status."""
    project.write(main="import sys\nprint(sys.argv[1:], file=open('argv', 'w'))\nsys.exit(7)\n")
    for given, got in (
        (["main.py", "--lr", "0.1", "-n", "x"], ["--lr", "0.1", "-n", "x"]),
        (["--sample", "5%", "main.py", "--", "--json"], ["--json"]),
        (["main.py", "a", "--sample", "5%"], ["a"]),
    ):
        done = _run(project.folder, "verify", *given, code=7, monkeypatch=monkeypatch)
        assert "main.py ended with 7" in done.stderr
        assert (project.folder / "argv").read_text() == f"{got}\n"


def test_a_sample_leaves_the_other_hits_alone(project, monkeypatch):
    """Of many hits hardly any runs again at 1 in a billion; a sample that is none is refused before anything runs."""
    project.write(main=PROGRAM)
    project.run()
    done = _run(project.folder, "verify", "main.py", "--sample", "0.0000001%", code=0, monkeypatch=monkeypatch)
    assert done.stdout.count("not in the sample") == 3
    done = _run(project.folder, "verify", "main.py", "--sample", "lots", code=1, monkeypatch=monkeypatch)
    assert "--sample is 'lots'; it must be a share" in done.stderr


def test_the_store_is_that_of_the_option(project, monkeypatch, tmp_path):
    """And the one of the project stays as it was."""
    project.write(main=PROGRAM)
    _run(project.folder, "--store", str(tmp_path / "other"), "verify", "main.py", code=1, monkeypatch=monkeypatch)
    assert (tmp_path / "other" / "entries").is_dir() and not (project.folder / ".blockcache").exists()


def test_a_jupyter_notebook(project, monkeypatch):
    """It runs in a kernel; its own failure is the exit status."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = ["from blockcache import cached_block", "with cached_block('cell'):\n    x = 1"]
    rows = [
        {"cell_type": "code", "id": f"c{n}", "source": c, "metadata": {}, "outputs": [], "execution_count": None}
        for n, c in enumerate(cells)
    ]
    book = {"cells": rows, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (project.folder / "nb.ipynb").write_text(json.dumps(book))
    _run(project.folder, "verify", "nb.ipynb", code=0, monkeypatch=monkeypatch)
    found = json.loads(_run(project.folder, "verify", "nb.ipynb", "--json", code=0, monkeypatch=monkeypatch).stdout)
    assert [(b["name"], b["result"]) for b in found["blocks"]] == [("cell", "verified")]


def test_a_jupyter_notebook_without_nbclient(project, monkeypatch):
    """A clear error, that names what is missing."""
    (project.folder / "nb.ipynb").write_text("{}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = _run(project.folder, "verify", "nb.ipynb", code=1, monkeypatch=monkeypatch)
    assert "needs nbclient" in done.stderr


def _event(outcome, name="a", **more):
    return {"name": name, "file": f"{os.sep}x{os.sep}main.py", "line": 3, "outcome": outcome, **more}


def test_runs_of_a_block_are_one_row_with_the_worst_result():
    """A block in a loop; what could not be compared is not the same as what differs."""
    events = [
        _event("verified"),
        _event("differs", differing=["con cannot be compared: no content"]),
        _event("miss", reason="first run"),
        _event("differs", name="b", differing=["con cannot be compared: no content", "y differs"]),
        _event("hit", name="c"),
    ]
    a, b, c = fold(events)
    assert (a.result, a.runs, a.reason, a.place) == (
        "not compared",
        3,
        "con cannot be compared: no content",
        "main.py:3",
    )
    assert (b.result, b.reason) == ("differs", "con cannot be compared: no content (+1 more)")
    assert (c.result, c.reason) == ("hit", "not in the sample")


def test_python_that_runs_is_the_one_of_the_command(project, monkeypatch):
    """A script runs in the environment that `blockcache` is installed in."""
    project.write(main="import sys\nopen('python', 'w').write(sys.executable)\n")
    assert _run(project.folder, "verify", "main.py", code=0, monkeypatch=monkeypatch).stdout == "no block ran\n"
    assert (project.folder / "python").read_text() == sys.executable
