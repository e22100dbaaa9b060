"""What a session of tests leaves, and that its folders go together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
PROBE = """
import os, pathlib
from projects import Project

def test_a_program_remembers_something():
    folder = pathlib.Path(os.environ["XDG_CACHE_HOME"], "blockcache")
    folder.mkdir()
    (folder / "record").write_text("1")
"""


def test_a_session_and_its_workers_leave_no_folders(tmp_path):
    """What stands for the user's folder is removed by each process that made one."""
    (tmp_path / "test_probe.py").write_text(PROBE)
    (tmp_path / "temporary").mkdir()
    environment = os.environ | {
        "TMPDIR": str(tmp_path / "temporary"),
        "PYTHONPATH": str(TESTS),
        "PYTEST_DEBUG_TEMPROOT": str(tmp_path),
    }
    for name in ("TESTS_SHARE", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "-n", "1"]
    done = subprocess.run([*command, "test_probe.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.listdir(tmp_path / "temporary") == []


def test_what_tests_share_has_a_name_of_its_own():
    """Two files named ``conftest.py`` cannot both be imported by that name."""
    wanted = [
        path for path in TESTS.rglob("*.py") if re.search(r"^ *from conftest import", path.read_text("utf-8"), re.M)
    ]
    assert wanted == []
