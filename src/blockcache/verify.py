"""Run a program in the mode ``verify``, and tell from its events which blocks did again what was saved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from blockcache.errors import CacheError, SettingError
from blockcache.report import one_line
from blockcache.settings import share

Result = Literal["verified", "differs", "not compared", "missed", "hit"]
#: The worst first: what a block that ran several times is called.
_WORST: tuple[Result, ...] = ("differs", "not compared", "missed", "verified", "hit")
#: How a clause of an event begins to end when two values could not be compared.
_NOT_COMPARED = " cannot be compared"
_NOTEBOOK = """\
import os, sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
folder = os.path.dirname(os.path.abspath(sys.argv[1]))
NotebookClient(notebook, timeout=None, resources={"metadata": {"path": folder}}).execute()
"""


class VerifyError(CacheError):
    """The program cannot be started."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of one block.

    Attributes
    ----------
    name, place
        Which block.
    result
        The worst of its runs: ``differs``, ``not compared``, ``missed``, ``verified``, ``hit`` (not in the sample).
    runs
        How often it was over.
    clauses
        What differs, what could not be compared, or why it missed.
    """

    name: str
    place: str
    result: Result
    runs: int
    clauses: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The first of the clauses, and how many more there are."""
        from blockcache.report.words import first_of

        return "not in the sample" if self.result == "hit" else first_of(self.clauses)


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that is over: its exit status, and its blocks in the order in which they were first over."""

    exit_status: int
    blocks: tuple[Verified, ...]


def run(script: str, arguments: Sequence[str], *, store: str | None, sample: str | None) -> Ran:
    """Run a script or notebook and compare.

    Parameters
    ----------
    script
        A Python script, a marimo notebook (which is one), or a Jupyter notebook.
    arguments
        Its command line.
    store
        The store; None for what the settings say.
    sample
        The share of hits that run again; None for what the settings say.

    Raises
    ------
    SettingError
        When ``sample`` is no share.
    VerifyError
        When a Jupyter notebook cannot be run, because nbclient is not installed.
    """
    environment = {**os.environ, "BLOCKCACHE_MODE": "verify"}
    if store is not None:
        environment["BLOCKCACHE_STORE"] = os.path.abspath(store)
    if sample is not None:
        try:
            environment["BLOCKCACHE_SAMPLE"] = repr(share(sample))
        except ValueError as error:
            raise SettingError(f"--sample is {sample!r}; it must be {error}") from None
    command = [sys.executable, script, *arguments]
    if script.endswith(".ipynb"):
        _need_nbclient(script)
        command = [sys.executable, "-c", _NOTEBOOK, script]
        environment["JPY_SESSION_NAME"] = os.path.abspath(script)  # as a Jupyter server tells its kernels
    with tempfile.TemporaryDirectory(prefix="blockcache-") as folder:
        environment["BLOCKCACHE_LOG"] = log = os.path.join(folder, "events.jsonl")
        code = subprocess.run(command, env=environment, check=False).returncode
        # A signal's number becomes a shell's exit status for it.
        return Ran(code if code >= 0 else 128 - code, tuple(fold(_events(log))))


def fold(events: Iterable[Mapping[str, Any]]) -> list[Verified]:
    """What became of each block, from the events of a run, as they are logged."""
    blocks: dict[tuple[str, str], list[tuple[Result, list[str]]]] = {}
    for event in events:
        place = f"{os.path.basename(event['file'])}:{event['line']}"
        blocks.setdefault((event["name"], place), []).append(_outcome(event))
    found = []
    for (name, place), outcomes in blocks.items():
        result = min((one for one, _ in outcomes), key=_WORST.index)
        clauses = dict.fromkeys(one_line(c) for one, cs in outcomes if one == result for c in cs)
        found.append(Verified(name, place, result, len(outcomes), tuple(clauses)))
    return found


def _outcome(event: Mapping[str, Any]) -> tuple[Result, list[str]]:
    differing = list(event.get("differing", ()))
    match event["outcome"]:
        case "hit":
            return "hit", []
        case "verified":
            return "verified", []
        case "differs":
            compared = [clause for clause in differing if _NOT_COMPARED not in clause]
            return ("differs", differing) if compared or not differing else ("not compared", differing)
        case _:
            return "missed", [event.get("problem") or event.get("reason") or "no entry"]


def _events(log: str) -> list[dict[str, Any]]:
    try:
        with open(log, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:  # no block was over
        return []


def _need_nbclient(script: str) -> None:
    from importlib.util import find_spec

    if find_spec("nbclient") is None or find_spec("nbformat") is None:
        raise VerifyError(f"{script} is a Jupyter notebook: running it needs nbclient (pip install nbclient ipykernel)")
