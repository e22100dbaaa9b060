"""The programs of skip_cases.txt: a body never runs on a hit, and the program cannot tell a hit from a run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
FILE = "skip_cases.txt"
NAMES = re.findall(r"^#@ (\w+)$", (HERE / FILE).read_text(), re.MULTILINE)

# What a skip cannot honour, and says so: the line, and what to write instead.
REFUSED = {
    "as_attr": (3, "not a plain name"),
    "as_subscr": (3, "not a plain name"),
    "async_with_exitstack": (4, "without ExitStack"),
    "async_with_attr": (3, "not a plain name"),
    "exitstack": (4, "without ExitStack"),
}

# While one skip is being delivered, Python runs signal handlers without any tracing, so that the block
# of a handler cannot be skipped: its body ("h") runs, as on a miss. The interrupted block is unharmed.
UNDELIVERED = re.compile(r"AssertionError: \(\[\d+\], Counter\(\{'h': \d+\}\)\)")

# Programs that set a tracer or a profiler themselves, or expect that there is none.
OWN_TRACER = {"miss_clean": "expects that nothing traces", "py_tracer_preserved": "ends with sys.settrace(None)"}
OWN_PROFILER = {"profiler_preserved": "ends with sys.setprofile(None)"}


def run(names: list[str], mode: str = "plain", options: tuple[str, ...] = ()) -> list[str]:
    # One path for everything, so that `-S` (a fast start) still finds coverage.
    path = os.pathsep.join([str(SOURCE), *(p for p in sys.path if p.endswith("site-packages"))])
    done = subprocess.run(
        [sys.executable, "-S", *options, str(HERE / "skip_harness.py"), mode, FILE, *names],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": path, "COVERAGE_PROCESS_START": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check(line: str) -> None:
    name, outcome = line.split(" ", 1)
    if name in REFUSED:
        number, way_out = REFUSED[name]
        assert outcome.startswith("refused ")
        assert re.search(rf"{name}(\.py)?:{number}: ", outcome)
        assert way_out in outcome
    elif name == "sig_alarm_during":
        assert outcome == "ok" or UNDELIVERED.search(outcome), line
    else:
        assert outcome == "ok", line


def test_the_file_holds_all_programs() -> None:
    """A program lost from the file would be a property lost."""
    assert len(NAMES) == len(set(NAMES)) == 110


@pytest.mark.parametrize("name", NAMES)
def test_program(name: str) -> None:
    """On its own in a fresh interpreter: it hits, ends well, and leaves nothing traced."""
    (line,) = run([name])
    check(line)


@pytest.mark.parametrize(
    ("mode", "options", "left_out"),
    [
        pytest.param("plain", ("-O",), {}, id="optimised"),
        pytest.param("plain", ("-X", "no_debug_ranges"), {}, id="no_debug_ranges"),
        pytest.param("cprofile", (), OWN_PROFILER, id="cprofile"),
        pytest.param("debugger", (), OWN_TRACER, id="debugger"),
        pytest.param("ctrace", (), OWN_TRACER, id="coverage_ctrace"),
        pytest.param(
            "sysmon",
            (),
            {},
            id="coverage_sysmon",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12"),
        ),
    ],
)
def test_every_program_beside_another_tool(mode: str, options: tuple[str, ...], left_out: dict[str, str]) -> None:
    """All programs in one process give the same outcome when another tool traces, and the tool loses nothing."""
    names = [name for name in NAMES if name not in left_out]
    lines = run(names, mode, options)
    assert [line.split(" ", 1)[0] for line in lines] == names
    for line in lines:
        check(line)
