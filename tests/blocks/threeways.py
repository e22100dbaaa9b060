"""Small programs run three ways, each in a fresh interpreter: plain, cold and warm. A hit cannot be told from a run.

**plain** has a stand-in for blockcache that does nothing, **cold** starts with an empty store, **warm** is the second run on that
store; each finds the folder as the program's files leave it. At the end these are the same in all three: the variables of the
main module and of the project's own modules, by value and by what is the same object (``ending.py``); standard output; standard
error without blockcache's own lines; the exit status; open figures' pixels; what ``random`` and numpy draw next, where the program
seeds them; the files in the folder.

Notation (like ``staleness/programs.py``)::

    === name of a program
    # warm: hit
    with cached_block("w"):
        x = helper.f()
    --- helper.py
    def f(): ...

Comments at the top of a program say what must be so:

``# warm: hit``
    The default: in the warm run every block hits, and there is one. One word stands for all blocks, several
    (``# warm: hit miss hit``) for the events in order. ``miss``: not one hits. ``unsaved``: not one hits, and the cold run saved
    none of them, and said why. ``any``: as it likes; what the program leaves is compared all the same.
``# cold: miss hit``
    Likewise for the cold run; not looked at otherwise.
``# python: >=3.12``
    Skipped on others.
``# needs: numpy``
    Modules without which it is skipped.
``# argv: a b``
    Arguments of the command line.

``from blockcache import cached_block`` is put first, unless the program imports blockcache itself.

Use::

    @pytest.mark.parametrize("text", list(parameters(PROGRAMS, FAILING)))
    def test_a_hit_cannot_be_told_from_a_run(project, text): check(project, text)

``FAILING`` maps names of programs to what is wrong now; strict: a program that starts to pass must leave it. A reason that begins
with ``<3.12: `` (or any other comparison) counts on such Pythons only.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

_STAND_IN = '''
class _Block:
    """Does nothing; passes for blockcache."""
    def __init__(self, *args, **options): pass
    def __enter__(self): return self
    def __exit__(self, *args): return False
    async def __aenter__(self): return self
    async def __aexit__(self, *args): return False
    def __getattr__(self, name): raise AttributeError(name)

def __getattr__(name):
    if name.startswith("__"): raise AttributeError(name)
    if name.endswith(("Error", "Warning")): return type(name, (Exception,), {})
    return _Block

def cached_function(*args, **options):
    return args[0] if args and callable(args[0]) else lambda function: function
'''

_DIRECTIVE = re.compile(r"^# (warm|cold|python|needs|argv): (.*)$", re.MULTILINE)
_COMPARISON = re.compile(r"(<|>=|==)(\d+)\.(\d+)")
# What blockcache itself says: its one line, and its warnings with the source line below.
_OWN_LINE = re.compile(r"^\S.*?  (hit|miss|verified|differs)\b.*\n|^.*CacheWarning: .*\n(  .*\n)?", re.MULTILINE)
_SEEDS = {"random": re.compile(r"(?<![\w.])random\.seed\("), "numpy": re.compile(r"(?:np|numpy)\.random\.seed\(")}
_ENDING = str(Path(__file__).with_name("ending.py"))


def parameters(programs: str, failing: Mapping[str, str]) -> Iterator[Any]:
    """One parameter (the text) a program; those that fail now (name -> what is wrong) are expected to."""
    seen = set()
    for part in re.split(r"^=== ", programs, flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        assert name not in seen, name
        seen.add(name)
        reason = failing.get(name, "")
        which, _, rest = reason.partition(": ")
        if _COMPARISON.fullmatch(which):
            reason = rest if _holds(which) else ""
        marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
        yield pytest.param(text, id=name, marks=marks)
    assert seen.issuperset(failing), set(failing) - seen


def check(project: Any, text: str) -> None:
    """Run it three ways, and compare."""
    said = dict(_DIRECTIVE.findall(text.partition("\n--- ")[0]))
    if not all(map(_holds, said.get("python", "").split())):
        pytest.skip(f"Python {said['python']}")
    for name in said.get("needs", "").split():
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"no {name}")
    plain_path = project.folder.parent / "plain"
    plain_path.mkdir()
    (plain_path / "blockcache.py").write_text(_STAND_IN)
    argv = said.get("argv", "").split()
    plain, expected = _run(project, text, argv, plain_path)
    cold, first = _run(project, text, argv)
    warm, second = _run(project, text, argv)
    notes = f"--- cold\n{cold.stderr}--- warm\n{warm.stderr}"
    assert not plain.events and cold.events, f"plain\n{plain.stderr}{notes}"
    for run, found in (("cold", first), ("warm", second)):
        for kind, wanted in expected.items():
            assert found[kind] == wanted, f"{kind}, plain and {run}:\n{_difference(wanted, found[kind])}\n{notes}"
    _check_outcomes(said.get("cold", "any").split(), cold, notes)
    _check_outcomes(said.get("warm", "hit").split(), warm, notes)
    if said.get("warm") == "unsaved":
        assert not any(event["saved"] for event in cold.events), notes
        assert all(event["problem"] for event in cold.events), notes


def _difference(plain: str, cached: str) -> str:
    return "\n".join(difflib.unified_diff(plain.splitlines(), cached.splitlines(), lineterm="", n=0))


def _check_outcomes(wanted: list[str], ran: Any, notes: str) -> None:
    if len(wanted) > 1:
        assert ran.outcomes == wanted, notes
    elif wanted != ["any"]:
        assert set(ran.outcomes) == {"miss" if wanted == ["unsaved"] else wanted[0]}, f"{ran.outcomes}\n{notes}"


def files(text: str) -> dict[str, str]:
    """The files of a program."""
    found = {}
    for part in re.split(r"^--- ", "--- main.py\n" + text, flags=re.MULTILINE)[1:]:
        name, _, found[name] = part.partition("\n")
    if not re.search(r"^\s*(from|import) blockcache", found["main.py"], re.MULTILINE):
        found["main.py"] = "from blockcache import cached_block\n" + found["main.py"]
    return found


def _run(project: Any, text: str, argv: list[str], plain_path: Path | None = None) -> tuple[Any, dict[str, str]]:
    folder, found = project.folder, files(text)
    for path in folder.iterdir():  # all but the store
        if path.name not in (".blockcache", "pyproject.toml"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    project.write_files(found)
    ending = folder.parent / "ending.json"
    ending.unlink(missing_ok=True)
    seeded = [name for name, pattern in _SEEDS.items() if any(pattern.search(file) for file in found.values())]
    ran = project.run(
        env={"MPLBACKEND": "Agg", "SOURCE_DATE_EPOCH": "0"},
        check=False,
        arguments=argv,
        stand_in=plain_path,
        ending={"script": _ENDING, "to": str(ending), "seeded": seeded},
    )
    assert ending.exists(), f"no ending: {ran.code}\n{ran.stdout}\n{ran.stderr}"
    left: dict[str, str] = json.loads(ending.read_text())
    left |= {"status": str(ran.code), "stdout": ran.stdout, "stderr": _OWN_LINE.sub("", ran.stderr)}
    left["files"] = "\n".join(
        f"{path.relative_to(folder)} {path.lstat().st_mode:o} {path.read_bytes()[:9999] if path.is_file() else ''}"
        for path in sorted(folder.rglob("*"))
        if not {".blockcache", "__pycache__", ".matplotlib"}.intersection(path.relative_to(folder).parts)
    )
    return ran, left


def _holds(comparison: str) -> bool:
    sign, major, minor = _COMPARISON.fullmatch(comparison).groups()  # type: ignore[union-attr]
    now, then = sys.version_info[:2], (int(major), int(minor))
    return {"<": now < then, ">=": now >= then, "==": now == then}[sign]
