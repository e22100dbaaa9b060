"""`blockcache status`: what it says of a block is what a run then does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from tests.conftest import Project

from blockcache.cli import main
from blockcache.program import Unreadable
from blockcache.settings import VARIABLES
from blockcache.status import judge

HELPERS = """\
import math

SCALE = 2.0
FLAGS = ["a"]


def inner(x):
    return x * SCALE


def clean(x):
    \"\"\"Doc.\"\"\"
    return inner(x) + len(FLAGS)


def unused(x):
    return x


class Config:
    rate = 0.5

    def get(self):
        return self.rate
"""
MAIN = """\
import sys
from blockcache import cached_block
from helpers import Config, clean

n = 3
mode = "fast"

with cached_block(name="step"):
    y = clean(n)
    label = mode.upper()
    rate = Config().get()
print(y, label, rate)
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def program(project):
    """A program with helpers that has run once, so that its block is saved."""
    project.write(main=MAIN, helpers=HELPERS)
    assert project.run().outcomes == ["miss"]
    return project


def _judged(project, file="main.py"):
    return judge(str(project.folder / file))


EDITS = {
    "nothing": ("main.py", "", ""),
    "the body": ("main.py", "mode.upper()", "mode.lower()"),
    "a comment in the body": ("main.py", "    y = clean(n)", "    # why\n    y = clean( n )"),
    "a number": ("main.py", "n = 3", "n = 4"),
    "the same number": ("main.py", "n = 3", "n = 0x3"),
    "its type": ("main.py", "n = 3", "n = 3.0"),
    "a text": ("main.py", '"fast"', '"slow"'),
    "a computed number": ("main.py", "n = 3", "n = len(sys.argv) + 2"),
    "what follows": ("main.py", "print(y, label, rate)", "print('all', y, label, rate)"),
    "a line before": ("main.py", "n = 3", "other = 1\nn = 3"),
    "the name of the block": ("main.py", '"step"', '"stage"'),
    "a helper": ("helpers.py", "return inner(x) +", "return inner(x) -"),
    "a helper's docstring": ("helpers.py", "Doc.", "Other."),
    "a helper of a helper": ("helpers.py", "x * SCALE", "x / SCALE"),
    "a constant of a module": ("helpers.py", "SCALE = 2.0", "SCALE = 3.0"),
    "a list of a module": ("helpers.py", '["a"]', '["a", "b"]'),
    "a list that is changed": ("main.py", "n = 3", "import helpers\nhelpers.FLAGS.append('b')\nn = 3"),
    "an attribute that is set": ("main.py", "n = 3", "Config.rate = 0.7\nn = 3"),
    "a global that a function sets": ("main.py", "n = 3", "n = 3\ndef f():\n    global n\n    n = 9\nf()"),
    "a name that is bound again": ("main.py", "n = 3", "n = 3\nfor n in range(7):\n    pass"),
    "a function that is replaced": ("main.py", "n = 3", "clean = lambda x: 0\nn = 3"),
    "a class's attribute": ("helpers.py", "rate = 0.5", "rate = 0.6"),
    "a method": ("helpers.py", "return self.rate", "return -self.rate"),
    "an unrelated function": ("helpers.py", "return x\n\n\nclass", "return -x\n\n\nclass"),
    "a helper that is gone": ("helpers.py", "def inner(x)", "inner = lambda x: x * SCALE\n\n\ndef outer(x)"),
    "a version": ("main.py", 'name="step"', 'name="step", version="2"'),
    "a ttl that has passed": ("main.py", 'name="step"', 'name="step", ttl=0.000001'),
    "a declared file": ("main.py", 'name="step"', 'name="step", inputs=["helpers.py"]'),
    # The last, because it saves.
    "the mode": ("main.py", 'name="step"', 'name="step", mode="refresh"'),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The same, for runs that change nothing in the store."""
    folder = tmp_path_factory.mktemp("status") / "project"
    folder.mkdir()
    project = Project(folder)
    project.write(main=MAIN, helpers=HELPERS)
    assert project.run().outcomes == ["miss"]
    return project


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_said_is_what_a_run_does(kept, edit, monkeypatch):
    """Never a hit that misses, never a miss that hits; what only a run knows is a condition."""
    file, old, new = EDITS[edit]
    texts = {"main.py": MAIN, "helpers.py": HELPERS}
    assert old in texts[file]
    kept.write_files(texts | {file: texts[file].replace(old, new, 1)})
    monkeypatch.chdir(kept.folder)
    (judged,) = _judged(kept)
    (event,) = kept.run(env={"BLOCKCACHE_MODE": "readonly"}).events
    if edit == "the mode":  # which the environment does not override
        assert judged.reason == "its mode is refresh: it runs"
    assert judged.verdict in (event["outcome"], "hit if"), judged
    if event["outcome"] == "miss" and judged.differences:
        said = {(d.kind, d.name) for d in judged.differences}
        assert said <= {(kind, name) for kind, name, _ in event["differences"]}


def test_most_of_it_can_be_known(program, monkeypatch):
    """Without a run: constants, helpers of any depth, class attributes, lists that nothing changes or hands on."""
    monkeypatch.chdir(program.folder)
    (judged,) = _judged(program)
    assert (judged.verdict, judged.reason) == ("hit", "")
    path = program.folder / "helpers.py"
    path.write_text(f"{HELPERS}\n\ndef other():\n    FLAGS.append('b')\n")
    (judged,) = _judged(program)
    assert (judged.verdict, judged.reason) == ("hit if", "the value of helpers.FLAGS is as it was")
    path.write_text(path.read_text().replace("x * SCALE", "x / SCALE"))
    (judged,) = _judged(program)
    assert judged.reason == "function inner (helpers.py:7) changed"
    assert [now.count("x / SCALE") - was.count("x / SCALE") for now, was in judged.texts.values()] == [1]


def test_entries_of_other_versions_of_python_and_libraries(program, monkeypatch):
    """What is installed now is compared, as it counts."""
    import blockcache.status as engine

    monkeypatch.setattr(engine, "_PYTHON", "3.99")
    (judged,) = _judged(program)
    assert "python 3." in judged.reason and "-> 3.99" in judged.reason


def test_names_that_are_computed_and_blocks_in_functions(project):
    """An f-string is met by its body; a function's variables are a run's own."""
    project.write(
        main="""\
import blockcache as bc

LABEL = "const"

def work(k):
    with bc.cached_block(f"fold-{k}"):
        out = k * 2
    return out

with bc.cached_block(LABEL):
    z = 1
with bc.cached_block("never", mode="off"):
    pass
"""
    )
    folder, const, never = _judged(project)
    assert (folder.verdict, folder.reason) == ("unknown", "its name is computed, and no entry has this body")
    assert (const.name, const.verdict, const.reason) == ("const", "miss", "not saved yet")
    assert (never.verdict, never.reason) == ("miss", "its mode is off: it runs")
    with (project.folder / "main.py").open("a") as file:
        file.write("work(3)\n")
    project.run()
    folder, const, never = _judged(project)
    assert (folder.name, folder.verdict, folder.reason) == ("fold-3", "hit if", "the value of k is as it was")
    assert const.verdict == "hit"


def test_a_body_that_is_refused_says_why(project):
    """A run would raise, so it cannot be known."""
    project.write(main="from blockcache import cached_block\ndef f():\n    with cached_block('a'):\n        return 1\n")
    (judged,) = _judged(project)
    assert judged.verdict == "unknown" and "return" in judged.reason


def test_files_that_the_body_declares(project, monkeypatch):
    """Their content now is compared, without a run; what a callable would say is a condition."""
    project.write(
        main="""\
from pathlib import Path
from blockcache import cached_block
from blockcache.inputs import env

def count():
    return 3

with cached_block("a", inputs=["data.txt", env("PROBE_SEED")]):
    x = 1
with cached_block("b", inputs=[Path("data.txt"), count]):
    y = 2
"""
    )
    (project.folder / "data.txt").write_text("one")
    project.run(env={"PROBE_SEED": "1"})
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PROBE_SEED", "1")
    a, b = _judged(project)
    assert a.verdict == "hit"
    assert (b.verdict, b.reason) == ("hit if", "the declared value count is as it was")
    (project.folder / "data.txt").write_text("twelve")
    a, b = _judged(project)
    assert a.reason == b.reason == "file data.txt changed (3 B -> 6 B)"
    (project.folder / "data.txt").unlink()
    monkeypatch.setenv("PROBE_SEED", "2")
    a, b = _judged(project)
    assert {(d.kind, d.name) for d in a.differences} == {("file", "data.txt"), ("env", "PROBE_SEED")}
    assert b.reason == "file data.txt is gone"


def test_a_block_that_depends_on_one_that_would_run(project):
    """Its condition is told, and that it will hardly hold."""
    text = "from blockcache import cached_block\nn = 1\nwith cached_block('a'):\n    z = [n]\nwith cached_block('b'):\n    w = z * 2\n"
    project.write(main=text)
    project.run()
    project.write(main=text.replace("n = 1", "n = 2"))
    assert _judged(project)[1].reason == "the value of z is as it was; a makes z and would run"


MARIMO = '''\
import marimo

app = marimo.App()

with app.setup:
    from blockcache import cached_block

    FACTOR = 3


@app.function
def double(x):
    return 2 * x


@app.cell
def _():
    n = 4

    def helper(x):
        text = """
        two
    lines
        """
        return double(x) + len(text)

    return helper, n


@app.cell
def _(helper, n):
    with cached_block(name="step"):
        text = """
        two
          lines
        """
        out = helper(n) + FACTOR + len(text)
    return (out,)


if __name__ == "__main__":
    app.run()
'''


def test_marimo_notebooks(project):
    """Cells, the set-up, functions of the notebook, and texts of several lines, as marimo runs them."""
    pytest.importorskip("marimo")
    project.write(nb=MARIMO)
    # A test's interpreter may have begun before the file was written; then it would not trust the file's text.
    os.utime(project.folder / "nb.py", (1e9, 1e9))
    assert project.run("nb.py").outcomes == ["miss"]
    for old, new, outcome in (
        ("", "", "hit"),
        ("return 2 * x", "return 2*x  # same", "hit"),
        ("len(text)\n    return (out", "len(text)\n    print(1)\n    return (out", "hit"),
        ("return 2 * x", "return 3 * x", "miss"),
        ("FACTOR = 3", "FACTOR = 5", "miss"),
        ("    lines\n", "    line\n", "miss"),
        ("      lines", "     lines", "miss"),
    ):
        assert old in MARIMO
        project.write(nb=MARIMO.replace(old, new, 1))
        (judged,) = _judged(project, "nb.py")
        assert judged.verdict == outcome, (old, judged)
    assert project.run("nb.py").outcomes == ["miss"]


def _notebook(path, *cells):
    rows = [
        {"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None} for cell in cells
    ]
    path.write_text(json.dumps({"cells": rows, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def test_jupyter_notebooks(project):
    """Cells with magic commands are read; an entry of a script with the same body answers for a notebook."""
    setup = "from blockcache import cached_block\nk = 7\ndef f(x):\n    return x + k\n"
    block = "with cached_block('cell'):\n    r = f(2)\n"
    project.write(main=setup + block)
    project.run()
    path = project.folder / "nb.ipynb"
    _notebook(
        path,
        f"%matplotlib inline\n{setup}",
        f"!ls\nfiles = !ls\n{block}",
        "%%time\nwith cached_block('timed'):\n    pass",
    )
    (judged,) = _judged(project, "nb.ipynb")
    assert (judged.verdict, judged.place) == ("hit", "nb.ipynb cell [2]:3")
    _notebook(path, setup.replace("x + k", "x - k"), block.replace("    r", "    !ls\n    r"), block)
    magic, plain = _judged(project, "nb.ipynb")
    assert (magic.verdict, magic.reason) == ("unknown", "its body holds a magic command")
    assert plain.reason == "function f (nb.ipynb cell [1]:3) changed"


@pytest.mark.parametrize(
    ("name", "text"), [("none.py", None), ("bad.py", "def f(:\n"), ("bad.ipynb", "{}"), ("bad2.py", "x = '\udcff'")]
)
def test_a_file_that_cannot_be_read_is_an_error_of_ours(tmp_path, name, text):
    """It names the file and what is wrong with it."""
    if text is not None:
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Unreadable, match=name):
        judge(str(tmp_path / name))


def _command(*arguments, code):
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_the_command_tells_by_its_exit_status(program, monkeypatch):
    """0: all would hit; 1: some would not; 3: cannot be known. And it neither runs nor writes anything."""
    monkeypatch.chdir(program.folder)
    before = sorted(program.folder.rglob("*"))
    text = _command("status", "main.py", code=0)
    assert text.splitlines()[0].split() == ["block", "where", "would", "because"]
    assert text.splitlines()[1].split("  ")[0] == "step"
    path = program.folder / "helpers.py"
    path.write_text(path.read_text().replace("x * SCALE", "x / SCALE"))
    text = _command("status", "main.py", "--diff", code=1)
    assert "-    return x * SCALE" in text and "+    return x / SCALE" in text
    (found,) = json.loads(_command("status", "main.py", "--json", code=1))["blocks"]
    assert found["would"] == "miss" and found["differences"][0]["name"] == "helpers.inner"
    assert "+    return x / SCALE" in found["differences"][0]["diff"]
    (program.folder / "other.py").write_text(
        "from blockcache import cached_block\nwith cached_block(str(1)):\n    q = 1\n"
    )
    _command("status", "other.py", code=3)
    assert _command("status", "helpers.py", code=0) == "no blocks in helpers.py\n"
    (program.folder / "other.py").unlink()
    assert sorted(program.folder.rglob("*")) == before


def test_the_file_is_not_run(project):
    """Neither it nor what it imports."""
    project.write(main="import helpers\nraise SystemExit(9)\n", helpers="raise SystemExit(8)\n")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", "from blockcache.cli import main; main()", "status", "main.py"]
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "no blocks in main.py\n")


def test_a_file_behind_a_connection_is_looked_at(project, monkeypatch):
    """A connection's statements are a condition; the database that it opened can be compared now."""
    project.write(
        main="import sqlite3\nfrom blockcache import cached_block\ncon = sqlite3.connect('my.db')\n"
        "with cached_block('load'):\n    r = con.execute('select count(*) from t').fetchone()\n",
        make="import sqlite3, sys\nc = sqlite3.connect('my.db')\nc.execute('create table if not exists t(x)')\n"
        "c.execute('insert into t values (1)')\nc.commit()\n",
    )
    project.run("make.py")
    project.run()
    monkeypatch.chdir(project.folder)
    (one,) = judge("main.py")
    assert one.verdict == "hit if", one
    project.run("make.py")
    (one,) = judge("main.py")
    assert one.verdict == "miss" and one.differences[0].name.endswith("my.db"), one
    assert project.run().outcomes == ["miss"]
