"""One program in a folder, run plain and cached in fresh interpreters, and what two of its runs differ in."""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forks import Forks

HERE = Path(__file__).parent
ENDING = HERE.parent / "blocks" / "ending.py"
KEPT = (".blockcache", "pyproject.toml")
# What blockcache itself says: its warnings, with the line of source below.
OWN = re.compile(r"^.*CacheWarning: .*\n(  .*\n)?", re.MULTILINE)
ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")
# With the blanks around them, by which tables are aligned.
NUMBER = re.compile(r"[ \t]*-?(0x[0-9a-f]+|\d+(\.\d*)?(e[-+]?\d+)?|\b(nan|inf)\b)[ \t]*")
# As it is before libraries are imported for their docstrings: some set variables for their threads.
ENVIRONMENT = dict(os.environ)
PARTS = ("status", "stdout", "stderr", "variable", "identity", "figure", "draws", "state", "file")


def without_numbers(text: str) -> str:
    """A text without its numbers."""
    return NUMBER.sub("#", text)


def environment(hash_seed: int) -> dict[str, str]:
    """Of an interpreter that runs programs."""
    env = {k: v for k, v in ENVIRONMENT.items() if not k.startswith(("BLOCKCACHE_", "PYTHON", "COV", "MPL"))}
    return env | {
        "PYTHONPATH": os.pathsep.join([str(HERE / "observer"), *filter(None, [ENVIRONMENT.get("PYTHONPATH")])]),
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(Path.home() / ".cache" / "blockcache-mutation" / "matplotlib"),
        "SOURCE_DATE_EPOCH": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _start(folder: Path, env: dict[str, str], out: Path, err: Path, limit_s: float) -> int | None:
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "main.py"], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        try:
            return process.wait(20 * limit_s + 60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None


@dataclass
class Ran:
    """What one run came to: texts by part and name, for example ``("variable", "x")``."""

    found: dict[tuple[str, str], str]
    shown: dict[tuple[str, str], str | bytes]
    """For people: variables in full, as compressed text."""
    events: list[dict[str, Any]]
    cpu_s: float
    writes: dict[str, list[str]]
    """In the plain run: files that each block writes."""
    entered: dict[str, int]
    """In the plain run: how often each block was entered."""
    said: str
    """Standard error, with what blockcache said."""

    def text(self, what: tuple[str, str]) -> str | None:
        """One part as it is compared: where an object lies is another place in each process, but for chance."""
        found = self.found.get(what)
        return ADDRESS.sub(" at 0x", found) if found is not None and what[0] in ("stdout", "stderr") else found

    @property
    def error(self) -> str:
        """The exception that the program ended with."""
        return self.said.strip().splitlines()[-1][:200] if self.found["status", ""] != "0" and self.said.strip() else ""


@dataclass
class Difference:
    """One thing that is not as in the plain run."""

    part: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.part} {self.name}".strip()


@dataclass
class Scene:
    """A folder with one program and its store."""

    folder: Path
    files: dict[str, str | bytes]
    project: Path = field(init=False)

    def __post_init__(self) -> None:
        self.project = self.folder / "project"
        self.project.mkdir(parents=True, exist_ok=True)
        (self.project / "pyproject.toml").write_text("[project]\nname = 'probe'\nversion = '0'\n")

    def forget(self) -> None:
        """An empty store, and nothing known from earlier processes."""
        for folder in (self.project / ".blockcache", self.folder / "machine"):
            shutil.rmtree(folder, ignore_errors=True)

    def unsaved(self) -> set[str]:
        """Names that the entries of its store say they lack."""
        manifests = (self.project / ".blockcache" / "entries").rglob("*.json")
        return {row[0] for path in manifests for row in json.loads(path.read_bytes())["unsaved"]}

    def run(self, mode: str, hash_seed: int, limit_s: float, forks: Forks | None = None) -> Ran | None:
        """Run the program on the files as they were at first; None when it died or took too long."""
        for path in self.project.iterdir():
            if path.name not in KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, content in self.files.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        answer, log = self.folder / "answer.json", self.folder / "events.jsonl"
        for path in (answer, log):
            path.unlink(missing_ok=True)
        spec = {
            "plain": mode == "plain",
            "folder": str(self.project),
            "answer": str(answer),
            "limit_s": limit_s,
            "here": str(HERE),
            "ending": str(ENDING),
        }
        env = environment(hash_seed) | {
            "BLOCKCACHE_LOG": str(log),
            "BLOCKCACHE_QUIET": "1",
            "FAITHFUL": json.dumps(spec),
        }
        # The program's own caches stay where they are; blockcache's are the scene's.
        env["XDG_CACHE_HOME"] = str(self.folder / "machine")
        out, err = self.folder / "out", self.folder / "err"
        if forks is not None:
            status = forks.run(str(self.project), env, str(out), str(err), limit_s)
        else:
            status = _start(self.project, env, out, err, limit_s)
        if status is None or not answer.exists():
            return None
        texts = [(self.folder / name).read_text(errors="replace") for name in ("out", "err")]
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return self._ran(json.loads(answer.read_text()), status, texts, events)

    def _ran(self, left: dict[str, Any], status: int, texts: list[str], events: list[dict[str, Any]]) -> Ran:
        found = {("status", ""): str(status), ("stdout", ""): texts[0], ("stderr", ""): OWN.sub("", texts[1])}
        shown: dict[tuple[str, str], str | bytes] = dict(found)
        for name, (digest, packed) in left["names"].items():
            found["variable", name] = digest
            shown["variable", name] = base64.b85decode(packed)
        for part, key in (("identity", "same"), ("figure", "figures"), ("draws", "draws"), ("state", "state")):
            found |= {(part, name): text for name, text in left[key].items()}
        for path in sorted(self.project.rglob("*")):
            inside = path.relative_to(self.project)
            if inside.parts[0] not in (*KEPT, "__pycache__", "main.py"):
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
                found["file", str(inside)] = f"{path.stat().st_mode:o} {content}"
        return Ran(found, found | shown, events, left["cpu_s"], left["writes"], left["entered"], texts[1])


@dataclass
class Mask:
    """What is not the same in two plain runs, and therefore is not compared."""

    left_out: set[tuple[str, str]] = field(default_factory=set)
    lines: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    numbers: set[tuple[str, str]] = field(default_factory=set)
    """Streams of which numbers are not compared, as times are printed."""

    @classmethod
    def of(cls, one: Ran, two: Ran) -> Mask:
        mask = cls()
        for what in one.found.keys() | two.found.keys():
            a, b = one.text(what), two.text(what)
            if a == b:
                continue
            if what[0] in ("stdout", "stderr") and a is not None and b is not None:
                if without_numbers(a) == without_numbers(b):
                    mask.numbers.add(what)
                    continue
                first, second = a.splitlines(), b.splitlines()
                if len(first) == len(second):
                    mask.lines[what] = {k for k, (x, y) in enumerate(zip(first, second, strict=True)) if x != y}
                    continue
            mask.left_out.add(what)
        if any(part == "draws" for part, _ in mask.left_out):
            # Lines that differ hold numbers that nobody has seeded: in others they may be the same by chance.
            mask.numbers |= mask.lines.keys()
        return mask

    @property
    def everything(self) -> set[tuple[str, str]]:
        """All that is not compared, or not in full."""
        return self.left_out | self.lines.keys() | self.numbers

    def __bool__(self) -> bool:
        return bool(self.everything)

    def clauses(self) -> list[str]:
        """What is not compared, for people."""
        found = [f"numbers of {what[0]}" for what in sorted(self.numbers)]
        found += [f"{len(lines)} lines of {what[0]}" for what, lines in sorted(self.lines.items())]
        return found + [" ".join(what).strip() for what in sorted(self.left_out)]

    def apply(self, what: tuple[str, str], text: str) -> str:
        """The text without what is not compared."""
        if what in self.lines:
            text = "\n".join("" if k in self.lines[what] else line for k, line in enumerate(text.splitlines()))
        return without_numbers(text) if what in self.numbers else text

    def hides(self, what: tuple[str, str]) -> bool:
        """Whether a thing is not compared at all: an identity counts only between variables that are compared."""
        if what[0] == "identity":
            return what in self.left_out or any(("variable", n) in self.left_out for n in what[1].split(" and "))
        return what in self.left_out


def differences(plain: Ran, cached: Ran, mask: Mask) -> list[Difference]:
    """What a cached run left otherwise than the plain one, the most telling first."""
    found = []
    for what in sorted(plain.found.keys() | cached.found.keys(), key=lambda w: (PARTS.index(w[0]), w[1])):
        a, b = plain.text(what), cached.text(what)
        if a == b or mask.hides(what):
            continue
        if a is not None and b is not None and mask.apply(what, a) == mask.apply(what, b):
            continue
        was, now = (mask.apply(what, _text(run.shown.get(what, ""))) for run in (plain, cached))
        text = _first_difference(was, now)
        if a is None or b is None:
            text = f"missing in {'plain' if a is None else 'cached'}\n{text}"
        found.append(Difference(*what, text))
    return found


def _text(shown: str | bytes) -> str:
    return shown if isinstance(shown, str) else zlib.decompress(shown).decode("utf-8", "replace")


def _first_difference(was: str, now: str) -> str:
    """A diff of a few lines, from the first that differ on."""
    one, two = was.splitlines(), now.splitlines()
    same = next((k for k, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    one, two = ([line[:2000] for line in lines[max(0, same - 1) : same + 40]] for lines in (one, two))
    first = [lines[bool(same)] if len(lines) > bool(same) else "" for lines in (one, two)]
    at = next((k for k, (a, b) in enumerate(zip(*first, strict=False)) if a != b), 0)
    cut = max(0, at - 100)  # of long lines, the part that differs
    lines = difflib.unified_diff(one, two, "plain", "cached", n=1, lineterm="")
    return "\n".join(line[:1] + line[1:][cut if len(line) > 300 else 0 :][:300] for line in list(lines)[2:24])
