"""A project in a folder of its own with one module, for the programs that are run to break things in it."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

from blockcache import configure


def program_in(folder: Path, source: str) -> types.ModuleType:
    """The module ``program``, run in the new folder, which is the working directory from now on."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "machine")
    (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\n")
    program = types.ModuleType("program")
    program.__file__ = str(folder / "program.py")
    Path(program.__file__).write_text(source)
    sys.modules["program"] = program
    exec(compile(source, program.__file__, "exec"), program.__dict__)
    configure(quiet=True)
    return program
