"""What it means that hosts share entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from host_runs import take_outcomes, take_results
from shared_program import NAMES


def check_first_run(folder: Path, host: Callable[[Path], object]) -> dict[str, Any]:
    """Every block runs; what the program found."""
    host(folder)
    assert take_outcomes(folder) == [(name, "miss") for name in NAMES]
    results = take_results(folder)
    assert not any(results["hits"])
    assert results["shares memory"] and results["is the live class"]
    return results


def check_hits(folder: Path, host: Callable[[Path], object], first: dict[str, Any]) -> None:
    """Every block hits and the program finds the same as in the first run."""
    host(folder)
    assert take_outcomes(folder) == [(name, "hit") for name in NAMES if name != "inner"]
    results = take_results(folder)
    assert all(results["hits"])
    assert results | {"hits": first["hits"]} == first
