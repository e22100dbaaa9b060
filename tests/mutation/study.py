"""One program: its runs, plain and cached, its edits, and what came of them."""

from __future__ import annotations

import difflib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cosmetic
import edits
from wrapping import Program

HERE = Path(__file__).parent
MARGIN_S = 2.0
"""Processor seconds that a run may take beyond five times the first plain run."""


@dataclass
class Run:
    """What one run of a program did."""

    printed: str
    error: str | None
    names: dict[str, str]
    cpu_s: float
    outcomes: dict[str, set[str]]
    stderr: str = ""

    def difference(self, other: Run, loose: bool = False) -> str:
        """What differs from another run, as a short text; empty when nothing does."""
        found = []
        if self.error != other.error:
            found.append(f"error {self.error!r}, not {other.error!r}")
        mine, theirs = self._lines(loose), other._lines(loose)
        if mine != theirs:
            found.append(
                "printed " + " / ".join(list(difflib.unified_diff(theirs, mine, "plain", "cached", n=0))[2:8])[:400]
            )
        for name in sorted(self.names.keys() | other.names.keys()):
            if self.names.get(name) != other.names.get(name) and not (loose and name.startswith(("added_", "again_"))):
                found.append(f"variable {name}" + ("" if name in self.names else " missing"))
        return "; ".join(found[:6])

    def _lines(self, loose: bool) -> list[str]:
        return [line for line in self.printed.splitlines() if not (loose and line.startswith(("after cell", "more ")))]


class Server:
    """One interpreter with libraries loaded; every run is a fork of it."""

    def __init__(self, modules: list[str], hash_seed: int) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "PYTHON", "COV"))}
        if "PYTHONPATH" in os.environ:
            env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        env |= {
            "PYTHONHASHSEED": str(hash_seed),
            "MPLBACKEND": "Agg",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE / "child.py"), "blockcache", *modules],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, place: Place, mode: str, env: dict[str, str], limit_s: float, loose: bool = False) -> Run | None:
        """Run the program; None when it died or took too long."""
        assert self.process.stdin and self.process.stdout
        place.answer.unlink(missing_ok=True)
        place.log.unlink(missing_ok=True)
        request = {
            "folder": str(place.project),
            "script": "main.py",
            "mode": mode,
            "env": {**env, "BLOCKCACHE_LOG": str(place.log)},
            "limit_s": limit_s,
            "loose": loose,
            "answer": str(place.answer),
            "stderr": str(place.stderr),
        }
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            raise RuntimeError("the server of forks ended")
        if not place.answer.exists():
            return None
        answer = json.loads(place.answer.read_text())
        outcomes: dict[str, set[str]] = {}
        for line in place.log.read_text().splitlines() if place.log.exists() else ():
            event = json.loads(line)
            outcomes.setdefault(event["name"], set()).add(event["outcome"])
        return Run(**answer, outcomes=outcomes, stderr=place.stderr.read_text(errors="replace")[-2000:])

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


class Place:
    """The folder of one program: its files, its store, and a copy of the store as it is before every edit."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.project, self.warm = folder / "project", folder / "warm"
        self.answer, self.log, self.stderr = folder / "answer.json", folder / "events.jsonl", folder / "stderr.txt"
        self.program = program
        self.project.mkdir(parents=True)
        self.write("pyproject.toml", "[project]\nname = 'probe'\nversion = '0'\n")
        for name, content in program.files.items():
            self.write(name, content)

    @property
    def store(self) -> Path:
        return self.project / ".blockcache"

    def write(self, name: str, content: str | bytes) -> None:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def keep(self) -> None:
        """Remember the store as it is."""
        shutil.rmtree(self.warm, ignore_errors=True)
        if self.store.exists():
            shutil.copytree(self.store, self.warm, symlinks=True)

    def cold(self) -> None:
        shutil.rmtree(self.store, ignore_errors=True)

    def back(self) -> None:
        """The files and the store as before the edits; and nothing that a program wrote."""
        self.cold()
        if self.warm.exists():
            shutil.copytree(self.warm, self.store, symlinks=True)
        for name, content in self.program.files.items():
            self.write(name, content)


@dataclass
class Finding:
    """One thing that went wrong."""

    verdict: str
    script: str
    edit: str
    what: str
    diff: str
    outcomes: str

    def text(self) -> str:
        return (
            f"## {self.verdict}: {self.script}, {self.edit}\n{self.what}\n{self.outcomes}\n```diff\n{self.diff}\n```\n"
        )


@dataclass
class Tally:
    """What one program came to."""

    script: str
    skipped: str = ""
    blocks: int = 0
    hits: int = 0
    cpu_s: float = 0.0
    semantic: int = 0
    quiet: int = 0
    inside: int = 0
    cosmetic: int = 0
    needless: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)


class Study:
    """One program, its servers and its findings."""

    def __init__(self, program: Program, folder: Path, seed: int, say: Callable[[Finding], None]) -> None:
        self.program, self.say = program, say
        self.place = Place(folder, program)
        self.random = random.Random(f"{seed} {program.name}")
        self.tally = Tally(program.name)

    def prepare(self, one: Server, two: Server, limit_s: float) -> bool:
        """Run the program unedited, plain and cached; whether edits make sense."""
        env = self.program.env
        plain, again = (s.run(self.place, "plain", env, limit_s) for s in (one, two))
        if plain is None or again is None:
            return self._skip(f"takes more than {limit_s:.0f} s, or dies")
        if plain.error:
            return self._skip(plain.error)
        self.place.back()
        if plain.difference(again):
            # Some depend on the order of sets: one hash seed for all runs, then.
            one, plain = two, again
        steady = two.run(self.place, "plain", env, limit_s)
        self.place.back()
        if steady is None or steady.difference(again):
            return self._skip(f"two plain runs differ: {steady.difference(again) if steady else 'died'}")
        self.limit_s = 5 * plain.cpu_s + MARGIN_S
        self.plain, self.loose = plain, two.run(self.place, "plain", env, limit_s, loose=True)
        self.place.cold()
        cold = one.run(self.place, "cached", env, self.limit_s)
        self.place.keep()
        self.place.back()
        warm = two.run(self.place, "cached", env, self.limit_s)
        self.place.back()
        for verdict, run in (("BROKEN cold", cold), ("BROKEN warm", warm)):
            what = run.difference(plain) if run else "died or took too long"
            if run is None or what:
                self._find(verdict, None, f"{what}\n{run.stderr if run else ''}", run)
                return self._skip(f"{verdict}: {what[:80]}")
        assert warm is not None
        self.tally.blocks, self.tally.cpu_s = len(warm.outcomes), plain.cpu_s
        self.hits = {name for name, found in warm.outcomes.items() if found == {"hit"}}
        self.tally.hits = len(self.hits)
        return bool(self.hits) or self._skip("no block hits")

    def _skip(self, why: str) -> bool:
        self.tally.skipped = why
        return False

    def _find(self, verdict: str, edit: edits.Edit | None, what: str, run: Run | None) -> None:
        diff = ""
        if edit is not None and edit.env is not None:
            diff = f"-{edit.file}={self.program.env[edit.file]}\n+{edit.file}={edit.env[edit.file]}"
        elif edit is not None:
            was, now = (
                c if isinstance(c, str) else c.decode(errors="replace")
                for c in (self.program.files[edit.file], edit.content)
            )
            diff = "".join(difflib.unified_diff(was.splitlines(True), now.splitlines(True), edit.file, edit.file, n=3))
        outcomes = ", ".join(f"{n}: {'/'.join(sorted(o))}" for n, o in run.outcomes.items()) if run else ""
        finding = Finding(verdict, self.program.name, edit.kind if edit else "unedited", what, diff, outcomes)
        self.tally.findings.append(finding)
        self.say(finding)

    def _apply(self, edit: edits.Edit) -> dict[str, str]:
        if edit.env is not None:
            return edit.env
        self.place.write(edit.file, edit.content)
        return self.program.env

    def semantic(self, server: Server, wanted: int) -> None:
        """Apply telling edits until ``wanted`` were compared."""
        for _ in range(6 * wanted):
            if self.tally.semantic >= wanted:
                return
            edit = edits.any_edit(self.program, self.random)
            if edit is None:
                continue
            env = self._apply(edit)
            plain = server.run(self.place, "plain", env, self.limit_s)
            if plain is None or not plain.difference(self.plain):
                self.tally.quiet += 1
                self.place.back()
                continue
            self._compare(server, edit, plain, env)
            self.place.back()

    def _compare(self, server: Server, edit: edits.Edit, plain: Run, env: dict[str, str]) -> None:
        again = random.Random(f"{self.tally.semantic} {self.program.name}").random() < 0.2
        cached = server.run(self.place, "cached", env, 2 * self.limit_s)
        verdict, what = "", cached.difference(plain) if cached else "died or took too long"
        if not what and again:
            # What the edited run saved must be right too, and what was saved before must not have suffered.
            cached = server.run(self.place, "cached", env, 2 * self.limit_s)
            verdict, what = "second run: ", cached.difference(plain) if cached else "died or took too long"
            if not what and edit.env is None:
                self.place.write(edit.file, self.program.files[edit.file])
                cached = server.run(self.place, "cached", self.program.env, 2 * self.limit_s)
                verdict, what = (
                    "edit taken back: ",
                    cached.difference(self.plain) if cached else "died or took too long",
                )
                plain = self.plain if what else plain
                env = self._apply(edit) if not what else env
        if what:
            runs = [server.run(self.place, "plain", env, self.limit_s) for _ in range(2)] if not verdict else []
            if any(run is None or run.difference(plain) for run in runs):
                return  # the edit made the program unsteady
            self.place.cold()
            fresh = server.run(self.place, "cached", env, 2 * self.limit_s)
            broken = fresh is None or fresh.difference(plain)
            self._find("BROKEN cold" if broken else "STALE", edit, verdict + what, cached)
        self.tally.semantic += 1
        self.tally.kinds[edit.kind] += 1
        if cached and any(cached.outcomes.get(name) != {"hit"} for name in self.hits):
            self.tally.inside += 1

    def cosmetic(self, server: Server, wanted: int) -> None:
        """Apply cosmetic edits until ``wanted`` were looked at."""
        for _ in range(10 * wanted):
            if self.tally.cosmetic >= wanted:
                return
            edit = cosmetic.any_edit(self.program, self.random)
            if edit is None:
                continue
            env = self._apply(edit)
            cached = server.run(self.place, "cached", env, 2 * self.limit_s, loose=True)
            what = cached.difference(self.loose, loose=True) if cached and self.loose else "died or took too long"
            if what:
                plain = server.run(self.place, "plain", env, self.limit_s, loose=True)
                if plain is None or (self.loose and plain.difference(self.loose, loose=True)):
                    self.place.back()
                    continue  # not cosmetic for this program, which looks at its own text
                self._find("STALE", edit, what, cached)
            self.tally.cosmetic += 1
            renamed = {n.removeprefix("renamed_"): o for n, o in (cached.outcomes if cached else {}).items()}
            missed = {name for name in self.hits if renamed.get(name) != {"hit"}}
            if missed:
                self.tally.needless += 1
                self._find("needless", edit, f"{', '.join(sorted(missed))}\n{cached.stderr if cached else ''}", cached)
            self.place.back()
