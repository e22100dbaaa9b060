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

#: Where tests are many small programs, or start servers: `make test-all` shares them out among the Pythons.
SHARED = (
    "tests/staleness/",
    "tests/hosts/",
    "tests/property/",
    "tests/blocks/",
    "tests/mutation/",
    "tests/stores/test_faults",
)
SHARED_UNITS = (
    "test_discovered",
    "test_status",
    "test_verify",
    "test_ambient",
    "test_codec",
    "test_paths",
    "test_files",
    "test_analysis",
    "test_catalogue",
    "test_cli",
    "test_demo",
    "test_inputs",
    "test_report",
    "test_slices",
    "test_texts",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``TESTS_SHARE=k/n``, of the many only those that fall to the k-th of n runs; the others stay."""
    share = os.environ.get("TESTS_SHARE")
    if not share:
        return
    number, of = map(int, share.split("/"))
    kept, left = [], []
    for item in items:
        many = item.nodeid.startswith((*SHARED, *(f"tests/unit/{name}" for name in SHARED_UNITS)))
        (left if many and zlib.crc32(item.nodeid.encode()) % of != number % of else kept).append(item)
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
