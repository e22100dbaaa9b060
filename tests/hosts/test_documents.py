"""Documents whose code is run by other tools: nbconvert, papermill, jupytext and MyST-NB; rendered twice, they hit."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from host_runs import execute, take_outcomes

REPORT = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---

# A report

```{code-cell} ipython3
%load_ext blockcache
%blockcache auto --min-seconds 0.3
import time
from blockcache import cached_block
```

The orders:

```{code-cell} ipython3
%%cached_block orders
import pandas as pd
orders = pd.DataFrame({"day": [1, 1, 2], "price": [10.0, 30.0, 5.5]})
orders.describe()
```

What a day brings:

```{code-cell} ipython3
time.sleep(0.4)
revenue = orders.groupby("day")["price"].sum()
revenue.to_frame()
```

```{code-cell} ipython3
# blockcache: plan
plan = revenue * 2
best = plan.max()
best
```

```{code-cell} ipython3
with cached_block(name="rest"):
    rest = plan.sum() - best
print(f"the rest is {rest}")
```
"""
NAMES = ["orders", "time.sleep(0.4)", "plan", "rest"]
SHOWN = ["80.0", "the rest is 11.0"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    return folder


def write_notebook(path: Path, cells: list[str], tags: tuple[str, ...] = ()) -> None:
    """A notebook; the tags are of its first cell."""
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    found = [nbformat.v4.new_code_cell(cell) for cell in cells]
    found[0].metadata["tags"] = list(tags)
    metadata = {"kernelspec": kernel, "language_info": {"name": "python", "nbconvert_exporter": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=found, metadata=metadata), path)


def outcomes(place: Path) -> list[tuple[str, str]]:
    """Names without what tells automatic ones apart, and outcomes."""
    return [(re.sub(r" \[\w{4}\]$", "", name), outcome) for name, outcome in take_outcomes(place)]


def outputs(path: Path) -> list[object]:
    """What the cells of a notebook show, but for the lines of blocks."""
    cells = nbformat.read(path, as_version=4).cells
    found = [o for cell in cells if cell.cell_type == "code" for o in cell.outputs]
    return [o.get("data") or o.get("text") for o in found if o.get("name") != "stderr"]


def test_a_report_of_myst_nb_rendered_twice(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk hits the second time, and the page is the same, as it is without any cache; an edited chunk runs."""
    pytest.importorskip("myst_nb", reason="the dev extra has myst-nb")
    (place / "index.md").write_text(REPORT)
    (place / "conf.py").write_text(
        "extensions = ['myst_nb']\nproject = 'report'\nhtml_theme = 'basic'\nhtml_last_updated_fmt = None\n"
        "nb_execution_mode = 'force'\nnb_execution_raise_on_error = True\nnb_output_stderr = 'remove'\n"
    )

    def page() -> str:
        execute(place, "-m", "sphinx", "-q", "-E", "-b", "html", ".", "../html")
        text = (place.parent / "html" / "index.html").read_text()
        return text.partition("<body>")[2]

    monkeypatch.setenv("BLOCKCACHE_QUIET", "1")
    cold = page()
    assert all(text in cold for text in SHOWN)
    assert outcomes(place) == [(name, "miss") for name in NAMES]
    assert page() == cold
    assert outcomes(place) == [(name, "hit") for name in NAMES]
    (place / "index.md").write_text(REPORT.replace("revenue * 2", "revenue * 3").replace("A report", "Another"))
    assert "the rest is 16.5" in page()
    assert [outcome for _, outcome in outcomes(place)] == ["hit", "hit", "miss", "miss"]
    (place / "index.md").write_text(
        REPORT.replace("%load_ext blockcache\n", "from blockcache import configure\n", 1)
        .replace("%blockcache auto --min-seconds 0.3", "configure(mode='off')")
        .replace("%%cached_block orders\n", "")
    )
    strip = re.compile(r"<span[^>]*>|</span>|<[^>]*>")
    plain = strip.sub("", page())
    assert [line for line in strip.sub("", cold).splitlines() if "block" not in line] == [
        line for line in plain.splitlines() if "configure" not in line and "block" not in line
    ]


def test_jupytext(place: Path) -> None:
    """The same report, and a script with cells, executed while they are converted to notebooks."""
    jupytext = pytest.importorskip("jupytext", reason="the dev extra has jupytext")
    (place / "report.md").write_text(REPORT)
    text = jupytext.writes(jupytext.reads(REPORT, "md:myst"), "py:percent")
    (place / "report.py").write_text(text)
    shown = []
    for source, outcome in (("report.md", "miss"), ("report.md", "hit"), ("report.py", "hit")):
        execute(place, "-m", "jupytext", "--to", "ipynb", "--execute", "-o", "report.ipynb", source)
        assert outcomes(place) == [(name, outcome) for name in NAMES]
        shown.append(outputs(place / "report.ipynb"))
    assert shown[0] == shown[1] == shown[2]
    assert len(shown[0]) == 4


def test_papermill_and_its_parameters(place: Path) -> None:
    """A parameter is an input of the blocks that it reaches, and of no others."""
    pytest.importorskip("papermill", reason="the dev extra has papermill")
    cells = [
        "n = 1",
        "%load_ext blockcache",
        "%%cached_block without\nbase = list(range(10))\nsum(base)",
        "%%cached_block with_it\nresult = [n * b for b in base]\nsum(result)",
    ]
    write_notebook(place / "report.ipynb", cells, tags=("parameters",))
    found = []
    for n in (2, 2, 3, 2):
        execute(place, "-m", "papermill", "report.ipynb", "out.ipynb", "-p", "n", str(n))
        found.append(([outcome for _, outcome in take_outcomes(place)], outputs(place / "out.ipynb")[-1]))
    assert found == [
        (["miss", "miss"], {"text/plain": "90"}),
        (["hit", "hit"], {"text/plain": "90"}),
        (["hit", "miss"], {"text/plain": "135"}),
        (["hit", "hit"], {"text/plain": "90"}),
    ]


def test_nbconvert(place: Path) -> None:
    """`--execute` twice; and as a script, what was a cell with a magic runs in the terminal's IPython, and hits."""
    pytest.importorskip("nbconvert", reason="the dev extra has papermill, and that has nbconvert")
    cells = [
        "%load_ext blockcache",
        "%%cached_block work\nvalues = [n * n for n in range(5)]\nvalues[-1]",
        "print(sum(values))",
    ]
    write_notebook(place / "report.ipynb", cells)
    shown = []
    for outcome in ("miss", "hit"):
        execute(place, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "out.ipynb", "report.ipynb")
        assert take_outcomes(place) == [("work", outcome)]
        shown.append(outputs(place / "out.ipynb"))
    assert shown[0] == shown[1] == [{"text/plain": "16"}, "30\n"]
    execute(place, "-m", "nbconvert", "--to", "script", "--output", "report", "report.ipynb")
    assert execute(place, "-m", "IPython", "--no-banner", "report.py").stdout.splitlines()[-1] == "30"
    assert take_outcomes(place) == [("work", "hit")]
