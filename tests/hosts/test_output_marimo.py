"""What a cell shows in real marimo: the same without a cache, cold and warm, each in a fresh kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_runs import MarimoServer, take_outcomes

_OWN = re.compile(r"^\S+  (hit|miss) .*\n", re.MULTILINE)
#: Numbers that marimo gives out anew in each session.
_NUMBERS = re.compile(r"object-id='[^']*'|random-id='[^']*'|cell-[A-Za-z]{4}-\d+|\./@file/\S*")

NOTEBOOK = """\
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    import sys
    import warnings
    from blockcache import cached_block, configure
    configure(mode={mode!r})
    return cached_block, mo, sys, warnings


@app.cell
def _(cached_block, mo, sys, warnings):
{cell}
    return


if __name__ == "__main__":
    app.run()
"""

CELLS = {
    "text": """
with cached_block(name="w"):
    print("out")
    print("err", file=sys.stderr)
    print("again")
"the cell's own"
""",
    "appended": """
mo.output.append("before")
with cached_block(name="w"):
    mo.output.append(mo.md("**bold**"))
    mo.output.append([1, {"a": 2}])
    print("out")
mo.output.append("after")
""",
    "replaced": """
mo.output.append("before")
with cached_block(name="w"):
    mo.output.append("gone")
    for n in range(5):
        mo.output.replace(mo.md(f"step {n}"))
    mo.output.append("more")
    mo.output.replace_at_index(mo.md("first"), 0)
""",
    "cleared": """
mo.output.append("before")
with cached_block(name="w"):
    mo.output.append("gone")
    mo.output.clear()
""",
    "a value that lives in the kernel": """
import pandas as pd
with cached_block(name="w"):
    df = pd.DataFrame({"a": [1, 2]})
    mo.output.append(df)
""",
    "a progress bar": """
with cached_block(name="w"):
    for n in mo.status.progress_bar(range(5), title="steps", show_eta=False, show_rate=False, remove_on_exit=True):
        pass
    mo.output.append("done")
""",
    "a figure": """
import matplotlib.pyplot as plt
with cached_block(name="w"):
    plt.plot([1, 3, 2])
    print(plt.get_fignums())
plt.gca()
""",
    "warnings": """
with cached_block(name="w"):
    warnings.warn_explicit("old", UserWarning, "else.py", 3)
""",
}  # fmt: skip


class Watched(MarimoServer):
    """Keeps what cells print too, as the page does."""

    def _messages(self) -> Iterator[dict[str, Any]]:
        self.printed: dict[str, str] = {}
        for message in super()._messages():
            said = message.get("console") if message["op"] == "cell-op" else None
            if said == []:  # a run begins: what is there is marimo's memory of an earlier session, if that took seconds
                for key in [key for key in self.printed if key.startswith(f"{message['cell_id']} ")]:
                    del self.printed[key]
            for part in [said] if isinstance(said, dict) else said or []:
                key = f"{message['cell_id']} {part['channel']}"
                self.printed[key] = self.printed.get(key, "") + part["data"]
            yield message


def shown(folder: Path, cell: str, mode: str) -> Any:
    text = "".join(f"    {line}\n" for line in cell.strip().splitlines())
    (folder / "notebook.py").write_text(NOTEBOOK.format(mode=mode, cell=text.rstrip("\n")))
    with Watched(folder, "edit") as server:
        server.run_all()
        output = server.outputs[server.cell_ids[1]]
        printed = {key: _OWN.sub("", text) for key, text in server.printed.items()}
        return (
            output["mimetype"],
            _NUMBERS.sub("", str(output["data"])),
            {key.partition(" ")[2]: text for key, text in printed.items() if text},
        )


@pytest.mark.parametrize("name", CELLS)
def test_a_hit_shows_what_a_run_shows(folder: Path, name: str) -> None:
    """The cell's output and its console."""
    plain = shown(folder, CELLS[name], "off")
    take_outcomes(folder)
    for outcome in ("miss", "hit"):
        assert shown(folder, CELLS[name], "on") == plain, outcome
        assert take_outcomes(folder) == [("w", outcome)]
