"""What a cell shows in a real Jupyter kernel: the same without a cache, cold and warm, each in a fresh kernel."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from host_runs import kernel, take_outcomes

_OWN = re.compile(r"^\S+  (hit|miss) .*\n", re.MULTILINE)

CELLS = {
    "text and displays in order": """
import sys
from IPython.display import HTML, Latex, display
with cached_block(name="w"):
    print("first")
    display(HTML("<b>bold</b>"))
    print("second", file=sys.stderr)
    display(Latex("$x$"), 5, {"text/plain": "raw", "text/html": "<i>raw</i>"}, raw=False)
    print("third")
    display({"text/plain": "p", "application/json": {"a": [1, None]}}, raw=True, metadata={"m": {"n": 1}})
"done"
""",
    "updates": """
from IPython.display import HTML, display, update_display
with cached_block(name="w"):
    handle = display("waiting", display_id="here")
    for n in range(5):
        handle.update(n)
    print("and more")
handle.update("after the block")
""",
    "an update of what was shown before": """
from IPython.display import display, update_display
display("before", display_id="there")
with cached_block(name="w"):
    update_display("inside", display_id="there")
""",
    "cleared": """
from IPython.display import clear_output, display
print("before the block")
with cached_block(name="w"):
    for n in range(3):
        print("step", n)
        clear_output(wait=True)
    print("last")
""",
    "cleared at the end": """
from IPython.display import clear_output, display
with cached_block(name="w"):
    print("gone")
    clear_output()
print("after")
""",
    "captured around": """
from IPython.utils.capture import capture_output
with capture_output() as caught:
    with cached_block(name="w"):
        print("out")
        display("shown")
print(caught.stdout, [o.data for o in caught.outputs])
""",
    "captured by the body": """
from IPython.utils.capture import capture_output
with cached_block(name="w"):
    with capture_output() as caught:
        print("out")
        display("shown")
    text = caught.stdout
    del caught
print(text)
""",
    "a frame": """
import pandas as pd
with cached_block(name="w"):
    df = pd.DataFrame({"a": [1, 2]})
    display(df)
    display(df.style.set_uuid("x").format("{:.1f}")) if False else None
df
""",
    "plt.show": """
%matplotlib inline
import matplotlib.pyplot as plt
with cached_block(name="w"):
    plt.plot([1, 3, 2])
    print("showing")
    plt.show()
    print("shown", plt.get_fignums())
print(plt.get_fignums())
""",
    "figures at the end of the cell": """
%matplotlib inline
import matplotlib.pyplot as plt
with cached_block(name="w"):
    fig, ax = plt.subplots()
    ax.bar([1, 2], [3, 4])
    plt.figure()
    plt.plot([2, 1])
ax.set_title("after")
print(plt.get_fignums(), plt.figure(1) is fig)
""",
    "a figure that is displayed": """
import matplotlib.pyplot as plt
with cached_block(name="w"):
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    display(fig)
    plt.close(fig)
""",
    "warnings": """
import warnings
def old():
    warnings.warn("old", DeprecationWarning, stacklevel=2)
with cached_block(name="w"):
    print("before it")
    old()
    warnings.warn("own")
""",
    "warnings of plot libraries": """
import logging
logging.getLogger("x").addHandler(logging.StreamHandler())
with cached_block(name="w"):
    logging.getLogger("x").warning("handled %d", 1)
""",
    "threads": """
import threading
with cached_block(name="w"):
    thread = threading.Thread(target=lambda: print("thread"))
    thread.start()
    thread.join()
    del thread
""",
    "await": """
import asyncio
with cached_block(name="w"):
    await asyncio.sleep(0.01)
    print("awaited")
    await asyncio.sleep(0.01)
    display("shown")
""",
}  # fmt: skip


def outputs(folder: Path, cell: str, off: bool = False) -> list[dict[str, Any]]:
    first = "from blockcache import cached_block, configure" + ("\nconfigure(mode='off')" if off else "")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (first, cell.strip())])
    with kernel(folder, notebook) as run_cell:
        run_cell(0)
        run_cell(1)
    found: list[dict[str, Any]] = []
    for output in notebook.cells[1].outputs:
        output = dict(output)
        if output["output_type"] == "stream":
            # The names of cells' files have the number of the kernel's process.
            output["text"] = re.sub(r"ipykernel_\d+", "ipykernel", _OWN.sub("", output["text"]))
            if not output["text"]:
                continue
            # The kernel sends each stream on its own, after a while: their order between displays is chance.
            beside = [other for other in found[-2:] if other["output_type"] == "stream"]
            if found and found[-1] not in beside:
                beside = []
            if same := [other for other in beside if other["name"] == output["name"]]:
                same[0]["text"] += output["text"]
                continue
            if beside and output["name"] == "stdout":
                found.insert(-1, output)
                continue
        found.append(output)
    return found


@pytest.mark.parametrize("name", CELLS)
def test_a_hit_shows_what_a_run_shows(folder: Path, name: str) -> None:
    """Streams, MIME bundles, metadata and their order."""
    plain = outputs(folder, CELLS[name], off=True)
    take_outcomes(folder)
    for outcome in ("miss", "hit"):
        assert outputs(folder, CELLS[name]) == plain, outcome
        assert take_outcomes(folder) == [("w", outcome)]


@pytest.mark.skipif(importlib.util.find_spec("ipywidgets") is None, reason="no ipywidgets")
@pytest.mark.parametrize("collect", ["", "import gc; gc.collect()"], ids=["held", "collected"])
def test_a_widget_is_shown_as_it_ended(folder: Path, collect: str) -> None:
    """A bar of tqdm.notebook lives in its kernel only: a hit shows its last state as text, also when nobody holds the bar."""
    pytest.importorskip("tqdm")
    cell = f"""
from tqdm.notebook import tqdm
with cached_block(name="w"):
    for n in tqdm(range(20), desc="steps"):
        pass
    for n in tqdm(range(20), desc="closed", leave=False):
        pass
    {collect}
"""
    outputs(folder, cell)
    warm = outputs(folder, cell)
    assert [outcome for _, outcome in take_outcomes(folder)] == ["miss", "hit"]
    texts = [output["data"]["text/plain"] for output in warm]
    assert len(texts) == 1 and "steps" in texts[0] and "20/20" in texts[0], warm
