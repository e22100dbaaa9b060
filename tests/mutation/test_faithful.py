"""A few real programs, run plain, cold and warm: examples in the docstrings of installed libraries; nothing is downloaded."""

from __future__ import annotations

import ast
import random
import re
from types import SimpleNamespace

import cells
import faithful
import pytest
import sources
from runs import Mask, Ran, Scene, differences

SCRIPTS = "shortest_path,scipy.integrate.quad,LinearRegression,DataFrame.insert,numpy.put"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    work = tmp_path_factory.mktemp("faithful")
    return faithful.run(faithful.options_from(["--packages", "docs", "--only", SCRIPTS, "--work", str(work)]))[0]


def test_real_programs_are_the_same_plain_cold_and_warm(results):
    assert len(results) == 5
    assert {r.script: r.skipped for r in results if r.skipped} == {}
    assert "\n".join(r.text() for r in results if not r.faithful) == ""


def test_their_blocks_hit(results):
    assert sum(r.blocks for r in results) >= 8
    assert {r.script: r.unsaved for r in results if r.unsaved} == {}


WATCHED = """
import random, numpy as np
random.seed(1)
a = np.arange(6.0)
b = a
c = [a]
print("text")
open("file.txt", "w").write("content")
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Ran:
    return run(tmp_path_factory.mktemp("watched"), WATCHED)


def run(folder, text: str) -> Ran:
    ran = Scene(folder, {"main.py": text}).run("plain", 1, 20.0)
    assert ran is not None
    return ran


@pytest.mark.parametrize(
    ("line", "change", "what"),
    [
        ("b = a", "b = a.copy()", "identity a and b"),
        ("c = [a]", "c = [a[:]]", "identity a and c"),
        ("a = np.arange(6.0)", "a = np.arange(6.0); a[2] = -0.0", "variable a"),
        ('print("text")', 'print("texts")', "stdout"),
        ('print("text")', 'print("text"); import sys; print("!", file=sys.stderr)', "stderr"),
        ('print("text")', 'print("text"); random.random()', "draws random"),
        ('print("text")', 'print("text"); import os; os.environ["NEW"] = "1"', "state os.environ"),
        ('"content"', '"contents"', "file file.txt"),
        ('print("text")', 'print("text"); raise SystemExit(3)', "status"),
    ],
)
def test_what_differs_is_seen(watched, tmp_path, line, change, what):
    assert line in WATCHED
    found = [str(d) for d in differences(watched, run(tmp_path, WATCHED.replace(line, change)), Mask())]
    assert what in found, found


def test_pixels_of_figures_are_compared(tmp_path_factory):
    drawn = "import matplotlib.pyplot as plt\nplt.plot([1, 2, {}])\n"
    one, two, same = (run(tmp_path_factory.mktemp("figure"), drawn.format(n)) for n in (3, 4, 3))
    assert [str(d) for d in differences(one, two, Mask()) if d.part == "figure"] == ["figure 1"]
    assert [d for d in differences(one, same, Mask()) if d.part == "figure"] == []


def test_what_is_not_the_same_in_two_plain_runs_is_left_out(tmp_path):
    text = "import time\nprint('took', time.time_ns())\nwhen = time.time_ns()\nfixed = 1\n"
    one, two, three = (run(tmp_path, text) for _ in range(3))
    mask = Mask.of(one, two)
    assert mask.clauses() == ["numbers of stdout", "variable when"]
    assert differences(one, three, mask) == []
    other = run(tmp_path, text.replace("'took'", "'spent'").replace("fixed = 1", "fixed = 2"))
    assert [str(d) for d in differences(one, other, mask)] == ["stdout", "variable fixed"]


def test_a_script_is_cut_the_same_way_each_time_and_runs_the_same_statements():
    made = 0
    for script in sources.documented():
        one, two = (cells.make(script.name, script.text, 1, False, {}, set()) for _ in range(2))
        assert one == two
        if one and not re.search(r"_in_loop|'f\d", one["main.py"]) and len(one) == 1:
            tree = ast.parse(one["main.py"]).body[1:]
            flat = [n for s in tree for n in (s.body if isinstance(s, ast.With) else [s])]
            assert ast.unparse(ast.Module(flat, [])) == ast.unparse(ast.parse(script.text)), script.name
            made += 1
    assert made > 20


def test_a_block_in_the_body_of_one_that_hits_is_not_counted():
    """It was entered cold, before the end of the one around it; one that is missing for another reason counts."""
    cold = SimpleNamespace(events=[{"name": n} for n in ("inner", "outer", "later")])
    warm = SimpleNamespace(events=[{"name": "outer", "outcome": "hit"}])
    assert faithful.Script._spared(cold, warm) == {"inner"}
    missed = SimpleNamespace(events=[{"name": "outer", "outcome": "miss"}])
    assert faithful.Script._spared(cold, missed) == set()


def test_a_definition_in_a_module_of_its_own_is_imported_before_it_is_used():
    text = "a = 1\nimport math\ndef f(x):\n    return math.sqrt(x)\nb = f(a)\nimport os\nc = f(b)\nprint(os.sep)\nd = 2\ne = 3\n"
    made = [cells.split(ast.parse(text).body, random.Random(seed), "helpers") for seed in range(8)]
    moved = [ast.unparse(ast.Module(left, [])) for left, there in made if there]
    assert moved and all(t.index("from helpers import f") < t.index("b = f(a)") for t in moved), moved


def test_a_script_that_goes_by_addresses_is_not_fit():
    assert faithful.goes_by_addresses("for x in {A(), B()}:\n    print(x)\n")
    assert not faithful.goes_by_addresses("for x in [A(), B()]:\n    print({x, 1}, {1: A()}, {f(y) for y in z})\n")


def test_generators_are_seeded_before_anything_can_draw():
    text = "import numpy as np\nx = np.random.rand(3)\nimport os\ny = f(x)\nprint(os.sep, y)\n"
    main = cells.make("x", text, 1, True, {}, set())["main.py"]
    assert main.index("_numpy.random.seed(7)") < main.index("np.random.rand(3)")


def test_nobody_puts_imports_or_showing_into_a_block():
    rng = random.Random(1)
    for text in ("import numpy as np", "from a import b", "plt.show()", "sys.exit(0)", "matplotlib.use('Agg')"):
        assert cells.stays_outside(ast.parse(text).body[0], rng), text
    assert not cells.stays_outside(ast.parse("model.fit(X)").body[0], rng)


def test_a_figure_is_drawn_in_one_block():
    text = "a = f(1)\nb = f(2)\nfig, ax = plt.subplots()\nc = f(a)\nax.plot(b)\nd = f(3)\nplt.show()\nax.plot(d)\ne = f(4)\n"
    assert cells.figures(ast.parse(text).body) == [0, 0, 2, 0, 2, 0, 2, 2, 0]
    for seed in range(8):
        made = cells.make("x", text, seed, False, {}, set())
        blocks = [ast.unparse(n) for n in ast.parse(made["main.py"]).body if isinstance(n, ast.With)]
        with_ax = [b for b in blocks if "ax" in b]
        assert len(with_ax) == 1 and "plot(b)" in with_ax[0] and "plot(d)" not in with_ax[0], blocks
