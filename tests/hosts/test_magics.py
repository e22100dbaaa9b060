"""`%%cached_block` and `%blockcache auto` in a real kernel: a cell as a block, and every cell that takes long."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from host_runs import events_file, execute, kernel, take_outcomes

LOAD = "%load_ext blockcache\nimport time"
SLOW = "def slow(n):\n    time.sleep(1.1)\n    return n + 1"
AUTO = "%load_ext blockcache\n%blockcache auto --min-seconds 1\nimport time"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    return folder


Run = Callable[[str], nbformat.NotebookNode]


@contextmanager
def fresh_kernel(place: Path) -> Iterator[Run]:
    """A kernel; the function that it gives runs the text of a cell, which may fail, and gives the cell."""
    notebook = nbformat.v4.new_notebook()
    with kernel(place, notebook) as run_cell:

        def run(text: str) -> nbformat.NotebookNode:
            cell = nbformat.v4.new_code_cell(text, metadata={"tags": ["raises-exception"]})
            notebook.cells.append(cell)
            run_cell(len(notebook.cells) - 1)
            return cell

        yield run


def run_all(place: Path, cells: list[str]) -> list[nbformat.NotebookNode]:
    """The cells after they ran in a kernel of their own."""
    with fresh_kernel(place) as run:
        return [run(text) for text in cells]


def shown(cell: nbformat.NotebookNode) -> str:
    """What the cell gave, as text; empty when nothing."""
    return "".join(o.data["text/plain"] for o in cell.outputs if o.output_type == "execute_result")


def said(cell: nbformat.NotebookNode) -> str:
    """What is on standard error."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr")


def failed(cell: nbformat.NotebookNode) -> str:
    """The traceback, without colours and the number of the cell."""
    texts = ("\n".join(o.traceback) for o in cell.outputs if o.output_type == "error")
    return re.sub(r"\x1b\[[0-9;]*m|In\[\d+\]", "", "".join(texts))


def outcomes(place: Path) -> list[str]:
    return [outcome for _, outcome in take_outcomes(place)]


# -- %%cached_block ------------------------------------------------------------------------


SCRIPT = """\
from blockcache import cached_block

def grow(x):
    return x + 1

with cached_block(name="work") as block:
    grown = [grow(n) for n in range(3)]
    {last}
print(block.hit, block.key)
"""


@pytest.mark.parametrize("last", ["grown", "total = sum(grown)", "print(len(grown))"])
def test_a_cell_and_a_with_statement_are_one_block(place: Path, last: str) -> None:
    """A script finds what a cell has saved, and a cell what a script has, under one key."""
    (place / "program.py").write_text(SCRIPT.format(last=last))
    (place / "other.py").write_text(SCRIPT.format(last=last).replace("x + 1", "x + 2"))
    cell = f"%%cached_block work --as block\ngrown = [grow(n) for n in range(3)]\n{last}"
    for function, program in (("x + 1", "program.py"), ("x + 2", "other.py")):
        cells = [LOAD, f"def grow(x):\n    return {function}", cell, "block.hit, block.key"]
        if program == "program.py":
            key = eval(shown(run_all(place, cells)[-1]))[1]
            assert execute(place, program).stdout.split()[-2:] == ["True", key]
        else:
            key = execute(place, program).stdout.split()[-1]
            assert eval(shown(run_all(place, cells)[-1])) == (True, key)


def test_an_entry_without_the_value_of_the_last_expression_is_a_miss(place: Path) -> None:
    """A `with` statement drops that value; the cell saves it, and the script hits what the cell saved."""
    (place / "program.py").write_text(SCRIPT.format(last="sum(grown)"))
    cell = "%%cached_block work\ngrown = [grow(n) for n in range(3)]\nsum(grown)"
    cells = [LOAD, "def grow(x):\n    return x + 1", cell]
    execute(place, "program.py")
    for _ in range(2):
        assert shown(run_all(place, cells)[-1]) == "6"
    execute(place, "program.py")
    assert outcomes(place) == ["miss", "miss", "hit", "hit"]


THREE_WAYS = [
    "%load_ext blockcache\nimport asyncio, math",
    "kept = []\nclass Model:\n    def fit(self, n):\n        self.n = n\n        return self\n    def __repr__(self):\n        return 'fitted'\nmodel = Model()",
    "{a}\nfor n in range(3):\n    number = n * 2\nvalues = [number, math.pi]\nvalues",
    "Out[3] is values, _ is values",
    "{b}\nasync def later():\n    await asyncio.sleep(0)\n    return 7\n\nawaited = await later()\nawaited + 1",
    "_ + 1, Out[5], await later()",
    "{c}\nsum(values);",
    "_",
    "{d}\nmodel.fit(3)\n",
    "Out[9] is model, model.n",
    "{e}\nfrom __future__ import annotations\nx: int = 5\ndel x\nlast = None\nlast",
    "'x' in globals()",
    "{f}\nif len(values) > 1:\n    import string\nmatch values:\n    case [a, *rest]:\n        (b := a)\nstring.digits[:b]",
    "{g}\nkept.append(1)",
    "kept, In[3].splitlines()[-1], sorted(n for n in globals() if 'blockcache' in n)",
]


def test_a_cell_shows_and_leaves_the_same_as_without_the_magic(place: Path) -> None:
    """Its output, what the notebook remembers of it and the names after it: plain, when it runs, when it hits."""
    plain = [text.format(**dict.fromkeys("abcdefg", "# plain")) for text in THREE_WAYS]
    cached = [text.format(**{name: f"%%cached_block {name}" for name in "abcdefg"}) for text in THREE_WAYS]
    expected = [shown(cell) for cell in run_all(place, plain)]
    assert expected[2:4] == ["[4, 3.141592653589793]", "(True, True)"]
    assert expected[9] == "(True, 3)"
    for outcome in ("miss", "hit"):
        cells = run_all(place, cached)
        assert [failed(cell) for cell in cells] == [""] * len(cells)
        assert [shown(cell) for cell in cells] == expected
        assert take_outcomes(place) == [(name, outcome) for name in "abcdefg"]


def test_cells_run_again_and_in_any_order(place: Path) -> None:
    """What the notebook keeps of cells (`_`, `Out`, `In`) is no input; what another cell rebinds is."""
    with fresh_kernel(place) as run:
        run(LOAD)
        run("start = 1")
        cell = "%%cached_block work\ntop = 0\nfor _ in range(3):\n    top = start + _\n[top]"
        assert [shown(run(cell)) for _ in range(2)] == ["[3]"] * 2
        run("'something else'")
        assert shown(run(cell)) == "[3]"
        run("start = 5")
        assert shown(run(cell)) == "[7]"
        run("start = 1")
        assert shown(run("\n" + cell)) == "[3]"
    assert outcomes(place) == ["miss", "hit", "hit", "miss", "hit"]


@pytest.mark.parametrize(
    "body", ["x = 5\n1 / 0", "x = 5\n  1 / 0", "x = (\n", "x = 5\nreturn x", "def f():\n    1 / 0\nf()"]
)
def test_errors_look_as_in_any_cell(place: Path, body: str) -> None:
    """With the numbers of the cell's lines; nothing is saved."""
    with fresh_kernel(place) as run:
        run(LOAD)
        plain, cached = run(f"# first\n{body}"), run(f"%%cached_block bad\n{body}")
        kept = run("x if 'x' in globals() else None")
    assert failed(plain) != ""
    lines = failed(cached).splitlines()
    # Of the context that a traceback shows, the first line is not as it was written.
    assert [line for line in lines if "cached_block" not in line] == [
        line for line in failed(plain).splitlines() if "# first" not in line
    ]
    # IPython compiles the lines of a cell one by one, a block as a whole.
    assert shown(kept) == ("5" if body.startswith("x = 5\n1") or "return" in body else "")
    assert not list((place / ".blockcache").rglob("*.json"))


OPTIONS = [
    ("", "first run"),
    ("", "hit"),
    ("--version 2", "version"),
    ("--version 2", "hit"),
    ('--inputs data.csv "other file.csv"', "file data.csv"),
    ('--inputs data.csv "other file.csv"', "hit"),
    ("--inputs {count_rows}", "value count_rows"),
    ("--inputs {env('HOME')}", " miss "),
    ("--ttl 2h", "hit"),
    ("--capture logs descriptors", "not all output"),
    ("--ttl 0s", "ttl"),
    ("--mode refresh", "refresh"),
    ("--mode readonly --version 9", "not saved"),
    ("--ignore start --pin none", "start"),
    ("--validate {lambda values: values['y'] > 100}", "validate() refused"),
    ("--store elsewhere", "first run"),
]


def test_options_are_those_of_cached_block(place: Path) -> None:
    """Each does what the argument of that name does; X in braces is an expression of the notebook."""
    (place / "data.csv").write_text("1\n")
    (place / "other file.csv").write_text("2\n")
    with fresh_kernel(place) as run:
        run(LOAD + "\nfrom blockcache import env\nstart = 1\ndef count_rows():\n    return 3")
        for options, reason in OPTIONS:
            cell = run(f"%%cached_block work {options}\ny = start + 1")
            assert failed(cell) == "" and reason in said(cell), (options, said(cell))
    assert (place / "elsewhere").is_dir()


def test_a_file_that_a_cell_writes_comes_back(place: Path) -> None:
    """Where `--outputs` declares it."""
    with fresh_kernel(place) as run:
        run(LOAD)
        for outcome in ("miss", "hit"):
            cell = run(
                "%%cached_block work --outputs table.txt\nwith open('table.txt', 'w') as stream: stream.write('1')"
            )
            assert f" {outcome} " in said(cell)
            assert (place / "table.txt").read_text() == "1"
            (place / "table.txt").unlink()


WRONG = [
    ("%%cached_block\nx = 1", "NAME"),
    ("%%cached_block a b\nx = 1", "unrecognized arguments: b"),
    ("%%cached_block a --mode sometimes\nx = 1", "invalid choice: 'sometimes'"),
    ("%%cached_block a --ttl soon\nx = 1", "ttl='soon'"),
    ("%%cached_block a --inputs {1\nx = 1", "not closed: {1"),
    ("%%cached_block a --as 1b\nx = 1", "--as 1b"),
    ("%%cached_block a --inputs {undefined}\nx = 1", "undefined"),
    ("%%cached_block a", "code follows"),
    ("%%cached_block a\n\n# nothing\n", "code follows"),
    ("%%cached_block a\nx = 1\n!true", "line 3: what the shell command (`!`) reads and changes is not seen"),
    ("%%cached_block a\nx = 1\ny = !true", "line 3: what the shell command (`!`)"),
    ("%%cached_block a\nx = 1\n%matplotlib inline", "line 3: what `%matplotlib` does is not seen"),
    ("%%cached_block a\n%%time\nx = 1", "line 2: what `%%time` does is not seen"),
    ("%blockcache auto --min-seconds soon\nx = 1", "invalid float value: 'soon'"),
    ("%blockcache auto --min-seconds -1\nx = 1", "0 or more"),
    ("%blockcache nonsense\nx = 1", "No such command 'nonsense'"),
]


def test_what_is_wrong_is_said_before_the_body_runs(place: Path) -> None:
    """In one line that names it."""
    with fresh_kernel(place) as run:
        run(LOAD)
        for text, problem in WRONG:
            cell = run(text)
            assert problem in said(cell) + failed(cell), text
            assert said(cell).count("\n") <= 1
            assert shown(run("'x' in globals()")) == "False", text
    assert not (place / ".blockcache").exists()


def test_magics_around_and_inside(place: Path) -> None:
    """`%%time` and `%%capture` go above; what `%time` runs inside is part of the block, with or without it."""
    cells = [
        LOAD,
        "%%time\n%%cached_block timed\na = [1]\na * 2",
        "%%capture captured\n%%cached_block inner\nb = 2\nprint(b)",
        "%%cached_block inside\n%time c = sum(a)\nc + 1",
        "a, b, c",
        "%%cached_block inside\nc = sum(a)\nc + 1",
    ]
    for outcome in ("miss", "hit"):
        ran = run_all(place, cells)
        assert [shown(ran[1]), *map(shown, ran[3:])] == ["[1, 1]", "2", "([1], 2, 1)", "2"]
        assert outcomes(place) == [*[outcome] * 3, "hit"]


def test_a_first_line_in_a_comment_names_the_block_too(place: Path) -> None:
    """Under the same key, with the same options; the cell stays plain Python."""
    cells = [
        LOAD,
        "# blockcache: named --version 2\nx = [1]\nx * 2",
        "%%cached_block named --version 2\nx = [1]\nx * 2",
    ]
    assert [shown(cell) for cell in run_all(place, cells)] == ["", "[1, 1]", "[1, 1]"]
    assert take_outcomes(place) == [("named", "miss"), ("named", "hit")]


def test_blocks_inside_a_cell(place: Path) -> None:
    """An inner block is found in its cell, and serves when the outer one misses."""
    outer = (
        "%%cached_block outer\nfrom blockcache import cached_block\nfor n in range(2):\n"
        "    with cached_block(name='inner'):\n        m = n + 1\ntotal = {}"
    )
    run_all(place, [LOAD, outer.format("m")])
    run_all(place, [LOAD, outer.format("m")])
    assert shown(run_all(place, [LOAD, outer.format("m * 2"), "total, m"])[-1]) == "(4, 2)"
    inner = ("inner", "miss"), ("inner", "miss")
    hits = ("inner", "hit"), ("inner", "hit")
    assert take_outcomes(place) == [*inner, ("outer", "miss"), ("outer", "hit"), *hits, ("outer", "miss")]


@pytest.mark.parametrize("first", ["%%cached_block query", "# automatic"])
def test_a_value_without_content_from_another_cell(place: Path, first: str) -> None:
    """A connection counts by the cells that made it, in a cell that is a block as in any other."""
    cells = [
        AUTO + "\nimport sqlite3",
        "con = sqlite3.connect(':memory:')",
        "con.execute('create table t as select 1 as n')",
        f"{first}\nrows = con.execute('select n from t').fetchall()\ntime.sleep(1.1)\nrows[0]",
    ]
    other = [*cells[:2], cells[2].replace("1", "2"), cells[3]]
    assert [shown(run_all(place, these)[-1]) for these in (cells, cells, other)] == ["(1,)", "(1,)", "(2,)"]
    assert outcomes(place) == ["miss", "hit", "miss"]


def test_the_commands_are_there(place: Path) -> None:
    """What they print is not cut; they are no cells that auto would speak of."""
    with fresh_kernel(place) as run:
        run(LOAD)
        assert "auto: off" in run("%blockcache").outputs[0].text
        name = "a name that is longer than the columns of a terminal would be if a notebook had one"
        run(f"%%cached_block '{name}'\nx = 1")
        run("%blockcache auto --min-seconds 0")
        (output,) = run("%blockcache ls").outputs
        assert name in output.data["text/plain"] and name in output.data["text/html"]
        assert "longer than 0 s" in run("%blockcache").outputs[0].text


def test_the_extension_can_be_taken_away(place: Path) -> None:
    """Then cells are cells again; loading it twice does no harm."""
    with fresh_kernel(place) as run:
        run(LOAD)
        run("%reload_ext blockcache\n%load_ext blockcache")
        run("%%cached_block work\nx = 1")
        assert "--ttl AGE" in "".join(
            o.text for o in run("print(get_ipython().find_cell_magic('cached_block').__doc__)").outputs if "text" in o
        )
        run("%blockcache auto --min-seconds 0")
        run("%unload_ext blockcache")
        assert "not found" in said(run("%%cached_block work\nx = 1"))
        run("y = [1] * 2")
    assert take_outcomes(place) == [("work", "miss")]


# -- %blockcache auto ----------------------------------------------------------------------


def test_auto_caches_the_cells_that_take_long(place: Path) -> None:
    """A restarted kernel that runs all cells hits them; the others are not saved, and nothing is said of them."""
    cells = [
        AUTO,
        SLOW,
        "x = [1, 2]",
        "y = slow(x[0])",
        "slow(y) * 2",
        "quick = y + 1\nquick",
        "# blockcache: off\nout = slow(3)",
        "# blockcache: named\nnamed = 3",
        "%%time\ntimed = slow(5)\ntimed",
        "for n in range(2):\n    slow(n)",
        "x, y, quick, out, named, timed, n",
    ]
    for outcome in ("miss", "hit"):
        ran = run_all(place, cells)
        assert [shown(cell) for cell in ran][4:] == ["6", "3", "", "", "6", "", "([1, 2], 2, 3, 4, 3, 6, 1)"]
        assert [number for number, cell in enumerate(ran) if said(cell)] == [3, 4, 7, 8, 9]
        names = [(re.sub(r" \[\w{4}\]$", "", name), found) for name, found in take_outcomes(place)]
        expected = ["y = slow(x[0])", "slow(y) * 2", "named", "timed = slow(5)"]
        assert names[:4] == [(name, outcome) for name in expected]
    assert len(list((place / ".blockcache" / "entries").rglob("*.json"))) == 5


def test_auto_says_once_why_a_cell_that_takes_long_is_not_cached(place: Path) -> None:
    """In one line, and runs it as always; a quick one says nothing, and nothing about what it left alone."""
    troubles = [
        ("!sleep 1.1", "shell command"),
        ("from os.path import *\nslow(1)", "import *"),
        ("%sx sleep 1.1", "%sx"),
    ]
    with fresh_kernel(place) as run:
        run(AUTO)
        run(SLOW)
        for text, reason in troubles:
            first, second = run(text), run(text)
            assert "not saved" in said(first) and reason in said(first), text
            assert said(first).count("\n") == 1
            assert said(second) == "", text
        run("%blockcache auto --min-seconds 20")
        for quick in (
            "!true",
            "from os.path import *",
            "one = (n for n in [1])",
            "1 / 0",
            "con = open('words.txt', 'w')",
        ):
            assert said(run(quick)) == "", quick
        assert "1 / 0" in failed(run("slow(1)\n1 / 0"))
        run("%blockcache auto off")
        assert said(run("slow(7)")) == ""
    assert not (place / ".blockcache" / "entries").exists()
    events_file(place).unlink()


def test_auto_never_leaves_a_hole(place: Path) -> None:
    """What cannot be saved is there in a restarted kernel too: the cell runs; a closed file spoils nothing."""
    cells = [
        AUTO,
        SLOW,
        "items = (n for n in [slow(1)])",
        "with open('pyproject.toml') as stream:\n    length = slow(len(stream.read()))",
        "list(items), length",
    ]
    for outcome in ("miss", "hit"):
        ran = run_all(place, cells)
        assert shown(ran[-1]) == "([2], 40)"
        assert " miss " in said(ran[2]) and "items (generator)" in said(ran[2])
        assert f" {outcome} " in said(ran[3])
    events_file(place).unlink()


COSTLY = """\
import time
class Costly:
    def __reduce__(self):
        time.sleep(0.1)
        with open("asked.txt", "a") as stream:
            stream.write("x")
        return Costly, ()
costly = Costly()"""


def test_auto_asks_a_costly_key_of_a_quick_cell_once(place: Path) -> None:
    """In later kernels too; a cell that has become slow is saved from its next run on."""
    cell = "found = type(costly).__name__\nfor n in range(pauses): time.sleep(0.1)"

    def asked() -> int:
        asked = place / "asked.txt"
        return asked.stat().st_size if asked.exists() else 0

    with fresh_kernel(place) as run:
        for text in (AUTO, COSTLY, "pauses = 0", cell):
            run(text)
        first = asked()
        assert first > 0
        run(cell)
        assert asked() == first
    with fresh_kernel(place) as run:
        for text in (AUTO, COSTLY, "pauses = 0", cell):
            run(text)
        assert asked() == first
        run("pauses = 12")
        assert "its next run is saved" in said(run(cell))
        assert " saved " in said(run(cell))
    events_file(place).unlink()
