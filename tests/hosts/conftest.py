"""A folder with the shared program in every form."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_runs import write_forms
from shared_program import CELLS, HELPER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that holds the shared program as script, Jupyter notebook and marimo notebook."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")
    (folder / "helper.py").write_text(HELPER)
    write_forms(folder, CELLS)
    return folder
