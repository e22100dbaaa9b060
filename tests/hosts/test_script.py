"""A script first: what every other host finds then."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_runs import HOSTS, execute, run_script, take_outcomes, take_results
from sharing import check_first_run, check_hits


@pytest.mark.parametrize("other", ["script", "Jupyter", "marimo script", "marimo export"])
def test_what_a_script_saved_is_found_by(folder: Path, other: str) -> None:
    """A script computes; another host skips every block and has the same values."""
    first = check_first_run(folder, HOSTS["script"])
    check_hits(folder, HOSTS[other], first)


def test_the_way_a_script_is_started_does_not_matter(folder: Path) -> None:
    """By path, from another directory, as a module, with -O or without position ranges: one entry."""
    first = check_first_run(folder, run_script)
    check_hits(folder, lambda _: execute(folder, "-m", "program"), first)
    check_hits(folder, lambda _: execute(folder, "-X", "no_debug_ranges", "program.py"), first)
    check_hits(folder, lambda _: execute(folder, "-c", "import runpy; runpy.run_path('program.py')"), first)


def test_standard_output_is_the_programs_own(folder: Path) -> None:
    """Neither a run nor a hit writes to standard output; each block says one line on standard error."""
    for lines in (7, 6):
        done = execute(folder, "program.py")
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == lines
        assert len(take_outcomes(folder)) == lines
        take_results(folder)
