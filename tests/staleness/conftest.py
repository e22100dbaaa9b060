from __future__ import annotations

from pathlib import Path

import pytest
from programs import stand_in


@pytest.fixture(scope="session")
def plain_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in for blockcache that does nothing."""
    return stand_in(tmp_path_factory.mktemp("plain"))
