"""What all tests share: a folder of the user's that goes with the session, the share of a Python, a project."""

from __future__ import annotations

import compileall
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import pytest

import blockcache
from projects import Project

#: What depends on the interpreter itself and takes a moment: `make test-all` runs these on each Python, and shares out all
#: others, most of which are many small programs or start servers.
EVERYWHERE = (
    "tests/formats/",
    "tests/unit/test_entry_point",
    "tests/unit/test_events",
    "tests/unit/test_namespace",
    "tests/unit/test_opened",
    "tests/unit/test_settings",
    "tests/unit/test_typed",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``TESTS_SHARE=k/n``, of those that need not run everywhere only what falls to the k-th of n runs.

    With ``TESTS_PERCENT`` only so much of that.
    """
    share = os.environ.get("TESTS_SHARE")
    if not share:
        return
    number, of = map(int, share.split("/"))
    percent = int(os.environ.get("TESTS_PERCENT", "100"))
    kept, left = [], []
    for item in items:
        lot = zlib.crc32(item.nodeid.encode())
        is_ours = lot % of == number % of and (lot >> 16) % 100 < percent
        (kept if is_ours or item.nodeid.startswith(EVERYWHERE) else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def pytest_sessionstart() -> None:
    """Compile blockcache once: the programs must not write bytecode, which would hide edits within a second."""
    compileall.compile_dir(Path(blockcache.__file__).parent, quiet=1)
    # Nothing of what tests leave behind belongs into the user's own folder, or outlives the session.
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="blockcache-tests-")


def pytest_sessionfinish() -> None:
    """Remove what the session's programs left in the folder that stands for the user's."""
    shutil.rmtree(os.environ.pop("XDG_CACHE_HOME"), ignore_errors=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)
