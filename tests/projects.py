"""Programs in a folder of their own, run in fresh interpreters: what tests of many folders share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nursery import Nurseries

#: One pair for each process that runs tests.
NURSERIES = Nurseries({k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "COV"))})


@dataclass
class Ran:
    """One finished run of a program."""

    code: int
    stdout: str
    stderr: str
    events: list[dict[str, Any]]

    @property
    def outcomes(self) -> list[str]:
        return [event["outcome"] for event in self.events]


class Project:
    """A folder with programs and one store; every run is a fresh interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.parent / "events.jsonl"
        (folder / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")

    def write(self, **files: str) -> None:
        """Write files; ``__`` in a keyword stands for a dot or, doubled, for a folder: use :meth:`write_files` then."""
        self.write_files({f"{name}.py": text for name, text in files.items()})

    def write_files(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(
        self,
        script: str = "main.py",
        *options: str,
        env: dict[str, str] | None = None,
        check: bool = True,
        started: bool = False,
        arguments: Sequence[str] = (),
        stand_in: Path | None = None,
        ending: dict[str, Any] | None = None,
    ) -> Ran:
        """Run a script; ``started`` starts an interpreter for it, as options and ``PYTHONPATH`` do, see ``nursery.py``.

        ``stand_in`` holds a module that passes for blockcache; ``ending`` tells what the program left, see ``Nursery.run``.
        """
        self.log.unlink(missing_ok=True)
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "PYTHON", "COV"))}
        variables |= {"BLOCKCACHE_LOG": str(self.log), "PYTHONDONTWRITEBYTECODE": "1"}
        variables["XDG_CACHE_HOME"] = str(self.folder.parent / "machine")
        if "PYTHONPATH" in os.environ:
            variables["PYTHONPATH"] = os.environ["PYTHONPATH"]
        extra = dict(env or {})
        if "PYTHONPATH" in extra and "PYTHONPATH" in variables:
            extra["PYTHONPATH"] += os.pathsep + variables["PYTHONPATH"]
        variables |= extra
        if options or started or any(name.startswith("PYTHON") for name in env or ()):
            command = [sys.executable, *options, script, *arguments]
            done = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=120)
            code, stdout, stderr = done.returncode, done.stdout, done.stderr
        else:
            paths = [str(stand_in), *filter(None, [variables.pop("PYTHONPATH", "")])] if stand_in else None
            code, stdout, stderr = NURSERIES.run([script, *arguments], str(self.folder), variables, paths, ending)
        return self._ran(script, code, stdout, stderr, check)

    def plain(self, stand_in: Path, arguments: Sequence[str] = (), env: Mapping[str, str] | None = None) -> str:
        """What ``main.py`` prints without a cache: ``stand_in`` holds a module that passes for blockcache."""
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "PYTHON", "COV"))}
        variables |= {"PYTHONDONTWRITEBYTECODE": "1"} | dict(env or {})
        paths = [str(stand_in), *filter(None, [variables.pop("PYTHONPATH", "")])]
        code, stdout, stderr = NURSERIES.run(["main.py", *arguments], str(self.folder), variables, paths)
        return self._ran("main.py", code, stdout, stderr, True).stdout

    def _ran(self, script: str, code: int, stdout: str, stderr: str, check: bool) -> Ran:
        if check and code:
            raise AssertionError(f"{script} failed with {code}\n{stdout}\n{stderr}")
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Ran(code, stdout, stderr, [json.loads(line) for line in lines])
