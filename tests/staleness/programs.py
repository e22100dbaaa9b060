"""Corners in a short notation: tiny programs, one edit between two processes each.

Notation: ``=== kind | name`` starts a program; what follows is ``main.py`` (it imports ``cached_block`` and prints
``r``); ``--- file`` starts another file. ``«old→new»`` is the edit. ``a.py@b.py`` is a symlink, ``a.zip!b.py`` lies in
a zip, ``a.pyc`` is compiled and has no source.

Kinds: ``miss``: the edit tells, the first run is saved, the second prints what a plain run prints. ``runs``: likewise, but
not being saved at all is accepted. ``hit``: the edit is cosmetic and the second run hits. ``effect``: no edit; the second
run prints what the first printed, by whatever means.
"""

from __future__ import annotations

import py_compile
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

EDIT = re.compile("«(.*?)→(.*?)»", re.DOTALL)


def parameters(programs: str, failing: Mapping[str, str]) -> Iterator[object]:
    """One parameter (kind, text) a program; those that fail now (name -> what is wrong) are expected to."""
    seen = set()
    for part in re.split(r"^=== ", programs, flags=re.MULTILINE)[1:]:
        head, _, text = part.partition("\n")
        kind, _, name = head.partition(" | ")
        assert name not in seen and kind in ("miss", "runs", "hit", "effect"), head
        seen.add(name)
        marks = [pytest.mark.xfail(strict=True, reason=failing[name])] if name in failing else []
        yield pytest.param(kind, text, id=name, marks=marks)
    assert seen.issuperset(failing)


def files(text: str, side: int) -> dict[str, str]:
    """The files of a program before (1) or after (2) its edit."""
    found = {}
    for part in re.split(r"^--- ", "--- main.py\n" + EDIT.sub(lambda m: m[side], text), flags=re.MULTILINE)[1:]:
        name, _, found[name] = part.partition("\n")
    found["main.py"] = "from blockcache import cached_block\n" + found["main.py"]
    if "print(" not in found["main.py"]:
        found["main.py"] += "print(r)\n"
    return found


def put(project, found: dict[str, str]) -> None:
    zips: dict[str, dict[str, str]] = {}
    for name, text in found.items():
        path = project.folder / name
        if "!" in name:
            archive, _, inner = name.partition("!")
            zips.setdefault(archive, {})[inner] = text
        elif "@" in name:
            link, _, target = name.partition("@")
            (project.folder / link).unlink(missing_ok=True)
            (project.folder / link).symlink_to(target)
        elif name.endswith(".pyc"):
            source = project.folder.parent / "source.py"
            source.write_text(text)
            py_compile.compile(str(source), str(path), dfile=f"{path.stem}.py", doraise=True)
        else:
            project.write_files({name: text})
    for archive, inside in zips.items():
        with zipfile.ZipFile(project.folder / archive, "w") as file:
            for inner, text in inside.items():
                file.writestr(inner, text)


def stand_in(folder: Path) -> Path:
    """A stand-in for blockcache that does nothing, in ``folder``: a program runs as it would without it."""
    (folder / "blockcache.py").write_text(
        "import contextlib\ndef cached_block(*args, **options):\n    return contextlib.nullcontext()\n"
    )
    return folder


def check(project, plain_path: Path, kind: str, text: str) -> None:
    """What is printed after an edit is what a plain run prints; a telling edit misses, a cosmetic one hits."""
    put(project, files(text, 1))
    first = project.run()
    if kind == "effect":
        second = project.run()
        assert second.stdout == first.stdout == project.plain(plain_path), second.stderr
        return
    put(project, files(text, 2))
    second = project.run()
    expected = project.plain(plain_path)
    assert (first.stdout == expected) is (kind == "hit"), "the program itself: only a cosmetic edit prints the same"
    assert second.stdout == expected, second.stderr
    if kind != "runs":
        assert first.events[0]["saved"], first.stderr
    if kind == "hit":
        assert set(second.outcomes) == {"hit"}, second.stderr
    elif kind == "miss":
        assert "miss" in second.outcomes, second.stderr
