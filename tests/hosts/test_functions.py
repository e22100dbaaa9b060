"""Cached functions in every host: what one keeps the others hit, and an edited cell counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_runs import HOSTS, MarimoServer, take_outcomes, take_results, write_forms

CELLS = [
    "import json\nimport os\nfrom blockcache import cached_function\nimport helper",
    "SCALE = 3",
    "def inner(x):\n    return helper.double(x) * SCALE",
    "@cached_function\ndef f(x, *, y=1):\n    return [inner(x), y]",
    "class Model:\n    def __init__(self, k):\n        self.k = k\n\n"
    "    @cached_function\n    def predict(self, x):\n        return f(x)[0] * self.k",
    "first = f(1)\nsecond = f(1, y=1)\nthird = Model(2).predict(5)",
    "with open(os.environ['RESULTS'], 'w') as file:\n    json.dump([first, second, third, f.check(1), f.check(9)], file)",
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    (folder / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    write_forms(folder, CELLS)
    return folder


@pytest.mark.parametrize("saver", ["script", "Jupyter", "marimo script", "marimo edit"])
def test_each_host_hits_what_another_kept(place: Path, saver: str) -> None:
    HOSTS[saver](place)
    assert take_outcomes(place) == [("f", "miss"), ("f", "hit"), ("f", "miss"), ("Model.predict", "miss")]
    assert take_results(place) == [[6, 1], [6, 1], 60, True, False]
    for host, run in HOSTS.items():
        if host != saver and host in ("script", "Jupyter", "marimo script", "marimo edit", "marimo export"):
            run(place)
            assert take_outcomes(place) == [("f", "hit"), ("f", "hit"), ("Model.predict", "hit")], host
            assert take_results(place) == [[6, 1], [6, 1], 60, True, False], host


def test_an_edited_cell_runs_what_depends_on_it(place: Path) -> None:
    """In a marimo session: a global, a helper; and back again hits."""
    with MarimoServer(place, "edit") as server:
        server.run_all()
        take_outcomes(place)
        server.run_cells({1: "SCALE = 4"})
        assert [o for _, o in take_outcomes(place)] == ["miss", "hit", "miss", "miss"]
        assert take_results(place)[2] == 80
        server.run_cells({1: "SCALE = 3"})
        assert [o for _, o in take_outcomes(place)] == ["hit", "hit", "hit"]
        assert take_results(place)[2] == 60
