"""Real programs, run plain, cold and warm: `python tests/mutation/faithful.py --scripts 120 --jobs 2`.

Example scripts of public packages are cut into blocks as a user would put them, and each is run in fresh interpreters: twice
plain (a block is nothing; what differs between these two is not compared), once with an empty store, once with the store that
this left. Compared at the end of each: variables by value and by what is the same object, standard output and error, exit
status, pixels of open figures, state of the process, the next random draws, files. A difference between warm and plain is
UNFAITHFUL; so is one between cold and plain.

Takes those of `sources.PACKAGES` and `sources.MORE_PACKAGES` that are installed; their source distributions are fetched by pip
once and kept in `--cache`. `--folder NAME=PATH` adds the scripts of a folder.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import inspect
import pickle
import platform
import random
import re
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cells
import sources
from forks import Forks
from runs import HERE, Difference, Mask, Ran, Scene, differences, environment

MOST_PASSAGES = 30
SEEDS = (1, 2)
"""Two hash seeds: an entry of one process must hit in another."""


# Scripts that are known to differ, or blocks that cannot hit, and why: nothing that blockcache could do about it.
EXCEPTIONS = {
    "simpy/": "the state of a simulation is in generators, which cannot be saved",
    "pyparsing/cuneiform_python": "a block that calls exec has no key: what it reads cannot be known",
}


def goes_by_addresses(text: str) -> bool:
    """Whether a script makes a set of new objects: their order is that of their addresses, which two plain runs may share."""
    sets = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Set)]
    return any(isinstance(element, ast.Call) for node in sets for element in node.elts)


def exception(script: str) -> str:
    """Why a script's blocks need not hit; empty where they must."""
    return next((why for start, why in EXCEPTIONS.items() if script.startswith(start)), "")


@dataclass
class Result:
    """What one script came to."""

    script: str
    skipped: str = ""
    notes: list[str] = field(default_factory=list)
    blocks: int = 0
    spared: int = 0
    """Blocks that were not reached warm, because one around them hit; they are not counted as blocks."""
    saved: int = 0
    hits: int = 0
    cpu_s: float = 0.0
    refused: list[str] = field(default_factory=list)
    unsaved: dict[str, str] = field(default_factory=dict)
    """Blocks that did not hit, and why."""
    cold: list[Difference] = field(default_factory=list)
    warm: list[Difference] = field(default_factory=list)
    died: str = ""

    @property
    def faithful(self) -> bool:
        return not (self.cold or self.warm or self.died)

    def text(self) -> str:
        """All of it, for the report."""
        lines = [f"## {self.script}: {self.skipped or ('faithful' if self.faithful else 'UNFAITHFUL')}"]
        lines += [f"{self.blocks} blocks, {self.saved} saved, {self.hits} hit warm; {'; '.join(self.notes)}", self.died]
        lines += [f"- {name}: {why}" for name, why in self.unsaved.items()]
        for run, found in (("cold", self.cold), ("warm", self.warm)):
            lines += [f"{run} differs: {one}\n```diff\n{one.text}\n```" for one in found[:8]]
        return "\n".join(lines) + "\n"


class Crew:
    """Servers of forks: for each package and hash seed one, started when it is needed and shared by all workers."""

    def __init__(self, modules: dict[str, set[str]]) -> None:
        self.modules = modules
        self.open: dict[tuple[str, int], Forks] = {}
        self.lock = threading.Lock()

    def server(self, package: str, seed: int) -> Forks:
        with self.lock:
            if (package, seed) not in self.open:
                self.open[package, seed] = Forks(self.modules[package], environment(seed))
            return self.open[package, seed]

    def close(self) -> None:
        for server in self.open.values():
            server.close()


class Script:
    """One example script and its runs."""

    def __init__(
        self,
        script: sources.Script,
        folder: Path,
        options: argparse.Namespace,
        crew: Callable[[int], Forks | None],
    ) -> None:
        self.script, self.folder, self.options, self.crew = script, folder, options, crew
        self.result = Result(script.name)
        self.without: set[str] = set()
        self.outputs: dict[str, list[str]] = {}
        self.seeded = False

    def scene(self) -> Scene | None:
        """The program as it is cut now."""
        made = cells.make(
            self.script.name, self.script.text, self.options.seed, self.seeded, self.outputs, self.without
        )
        return Scene(self.folder, {**self.script.beside, **made}) if made else None

    def study(self) -> Result:
        """Run it all ways."""
        found = self._steady()
        if found is None:
            return self.result
        plain, mask, seed_of = found
        self.result.notes += [f"not compared: {', '.join(mask.clauses())[:300]}"] if mask else []
        self.result.notes += ["seeded"] if self.seeded else []
        self.result.cpu_s = plain.cpu_s
        limit_s = 5 * plain.cpu_s + 30
        while True:
            scene = self.scene()
            if scene is None:
                return self._skip("nothing that a block can hold")
            scene.forget()
            cold = scene.run("cached", seed_of[0], limit_s, self.crew(seed_of[0]))
            refused = re.search(r"BlockError: .*?block '(\w+)'", cold.said) if cold is not None else None
            if refused is None or refused[1] in self.without:
                break
            # By design: said before the body starts, and nothing is run.
            self.without.add(refused[1])
            self.result.refused.append(cold.error)
        if cold is None:
            self.result.died = "cold: died or took too long"
            return self.result
        self.result.cold = differences(plain, cold, mask)
        warm = scene.run("cached", seed_of[1], limit_s, self.crew(seed_of[1]))
        if warm is None:
            self.result.died = "warm: died or took too long"
            return self.result
        # What cannot be saved and nothing reads afterwards is not there after a hit, and the manifest says so.
        lacking = {("variable", name) for name in scene.unsaved()}
        self.result.warm = [d for d in differences(plain, warm, mask) if (d.part, d.name) not in lacking]
        self._count(cold, warm)
        return self.result

    def _count(self, cold: Ran, warm: Ran) -> None:
        everything = {e["name"] for e in (*cold.events, *warm.events)}
        names = everything - self._spared(cold, warm)
        self.result.blocks, self.result.spared = len(names), len(everything - names)
        for name in sorted(names):
            first = [e for e in cold.events if e["name"] == name]
            second = [e for e in warm.events if e["name"] == name]
            hit = bool(second) and all(e["outcome"] == "hit" for e in second)
            self.result.hits += hit
            self.result.saved += bool(first) and all(e["saved"] or e["outcome"] == "hit" for e in first)
            if not hit:
                whys = [e["problem"] or f"{e['reason']}" for e in second if e["outcome"] != "hit"]
                self.result.unsaved[name] = whys[0] if whys else "not reached"

    @staticmethod
    def _spared(cold: Ran, warm: Ran) -> set[str]:
        """Blocks that were entered cold only, before the end of a block that hits warm: they are in its body."""
        hits = {e["name"] for e in warm.events if e["outcome"] == "hit"}
        reached = {e["name"] for e in warm.events}
        order = [e["name"] for e in cold.events]
        return {n for k, n in enumerate(order) if n not in reached and hits & set(order[k + 1 :])}

    def _steady(self) -> tuple[Ran, Mask, tuple[int, int]] | None:
        """The plain run, what is not the same in two of them, and the hash seeds to use."""
        limit_s = self.options.limit
        text = self.script.text
        if goes_by_addresses(text):
            self._skip("goes by the addresses of objects")
            return None
        # What nobody seeds is another each time, and could not be compared.
        self.seeded = bool(re.search(r"random|sklearn|imblearn", text)) and "seed(" not in text
        scene = self.scene()
        if scene is None:
            self._skip("nothing that a block can hold")
            return None
        one, two = (self._plain(scene, seed, limit_s, 0) for seed in SEEDS)
        if one is None or two is None:
            self._skip(f"takes more than {limit_s:.0f} s, or dies")
            return None
        if one.found["status", ""] != "0":
            self._skip(f"fails by itself: {one.error}")
            return None
        # A function that is called again and again does little each time: nobody would cache that.
        if often := {name for name, times in one.entered.items() if times > MOST_PASSAGES}:
            self.without |= often
            return self._steady()
        self.outputs = one.writes if self.options.outputs else {}
        mask = Mask.of(one, two)
        if any(what[0] != "draws" for what in mask.everything):
            # Some depend on the order of sets: one hash seed for all runs, then.
            third = self._plain(scene, SEEDS[1], limit_s, 1)
            if third is None:
                self._skip("dies now and then")
                return None
            other = Mask.of(two, third)
            if len(other.everything) < len(mask.everything):
                return two, other, (SEEDS[1], SEEDS[1])
        return one, mask, SEEDS

    def _plain(self, scene: Scene, seed: int, limit_s: float, number: int) -> Ran | None:
        """A plain run; from the work folder where it was made already, since nothing of blockcache is in it."""
        state = hashlib.sha256(repr((sorted(scene.files.items()), self.options.fresh)).encode())
        for name in ("ends.py", "runs.py", "observer/watch.py", "../blocks/ending.py"):
            state.update((HERE / name).read_bytes())
        kept = self.folder / f"plain-{state.hexdigest()[:16]}-{seed}-{number}.pickle"
        if kept.exists():
            return pickle.loads(kept.read_bytes())
        ran = scene.run("plain", seed, limit_s, self.crew(seed))
        kept.write_bytes(pickle.dumps(ran))
        return ran

    def _skip(self, why: str) -> Result:
        self.result.skipped = why
        return self.result


def table(results: list[Result], versions: dict[str, str], took_s: float) -> str:
    """The result as text."""
    fit = sorted((r for r in results if not r.skipped), key=lambda r: r.script)
    rows: list[tuple[object, ...]] = [
        (
            "script",
            "blocks",
            "saved",
            "warm hits",
            "cold == plain",
            "warm == plain",
            "first difference, or what is not compared",
        )
    ]
    for r in fit:
        first = r.died or next((f"{run}: {d[0]}" for run, d in (("cold", r.cold), ("warm", r.warm)) if d), "")
        note = first or "; ".join(r.notes)
        rows.append(
            (r.script, r.blocks, r.saved, r.hits, _yes(not r.cold), _yes(not r.warm and not r.died), note[:120])
        )
    blocks, saved, hits = (sum(getattr(r, n) for r in fit) for n in ("blocks", "saved", "hits"))
    rows.append(
        (
            f"{len(fit)} scripts",
            blocks,
            saved,
            hits,
            sum(not r.cold for r in fit),
            sum(not r.warm and not r.died for r in fit),
            "",
        )
    )
    widths = [max(len(str(row[k])) for row in rows) for k in range(6)]
    lines = [
        "  ".join(
            [
                *(str(c).ljust(w) if k == 0 else str(c).rjust(w) for k, (c, w) in enumerate(zip(row, widths))),
                str(row[6]),
            ]
        )
        for row in rows
    ]
    why = Counter(reason(text) for r in fit for text in r.unsaved.values())
    skipped = Counter(re.sub(r"[:'\"].*", "", r.skipped)[:60] for r in results if r.skipped)
    must = [r for r in fit if not exception(r.script)]
    refused = sum(len(r.refused) for r in fit)
    lines += [
        "",
        f"warm hits: {hits} of {blocks} blocks ({hits / max(1, blocks):.1%}); saved {saved}; "
        f"refused before the body, by design, and left out: {refused}",
        f"in the bodies of blocks that hit, so not reached and not counted: {sum(r.spared for r in fit)}",
        f"faithful: {sum(r.faithful for r in fit)} of {len(fit)}",
        f"without the exceptions: {sum(r.hits for r in must)} of {sum(r.blocks for r in must)} blocks "
        f"({sum(r.hits for r in must) / max(1, sum(r.blocks for r in must)):.1%})",
        *[f"exception: {start}*: {why}" for start, why in EXCEPTIONS.items()],
        "blocks that did not hit:",
        *[f"  {n:4}  {text}" for text, n in why.most_common()],
        "not fit: " + ", ".join(f"{k} ({n})" for k, n in skipped.most_common()),
        f"{took_s:.0f} s, Python {platform.python_version()}, " + ", ".join(f"{k} {v}" for k, v in versions.items()),
    ]
    return "\n".join(line.rstrip() for line in lines)


def _yes(so: bool) -> str:
    return "yes" if so else "NO"


def reason(text: str) -> str:
    """Why a block did not hit, without what is its own."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\([^)]*\)", "_", text)
    return re.sub(r"\d+", "#", text)[:110]


def options_from(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of how the scripts are cut, and which are taken")
    parser.add_argument("--scripts", type=int, default=120, help="how many scripts that are fit")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=4.0, help="processor seconds that a plain run may take")
    parser.add_argument("--only", default="", help="scripts whose name contains one of these texts (a comma between)")
    parser.add_argument(
        "--packages", default="", help="only these (a comma between); `docs` are examples in docstrings"
    )
    parser.add_argument("--folder", action="append", default=[], help="NAME=PATH: the scripts of a folder as well")
    parser.add_argument("--report", type=Path, help="file for what each script came to, in full")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "blockcache-mutation", help="for source distributions"
    )
    parser.add_argument(
        "--work", type=Path, help="folder for the programs, kept, with their plain runs; default a temporary one"
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="start an interpreter for each run, instead of a fork of one with libraries loaded",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="a line on standard error for each script when it is done"
    )
    found = parser.parse_args(arguments)
    module = importlib.import_module("blockcache")
    found.outputs = "outputs" in inspect.signature(module.cached_block).parameters
    return found


def run(options: argparse.Namespace) -> tuple[list[Result], str]:
    """Do all of it; the results and the table."""
    start = time.monotonic()
    versions: dict[str, str] = {}
    waiting: dict[str, list[sources.Script]] = {}
    chosen = options.packages.split(",") if options.packages else [*sources.PACKAGES, *sources.MORE_PACKAGES, "docs"]
    for package in chosen:
        if package == "docs":
            waiting[package] = sources.documented()
            continue
        waiting[package] = sources.scripts(package, options.cache, clocks=True)
        versions |= {s.package: s.version for s in waiting[package][:1]}
    for text in options.folder:
        package, _, path = text.partition("=")
        waiting[package] = sources.in_folder(package, Path(path))
    queue: list[sources.Script] = []
    for package, found in waiting.items():
        found[:] = [s for s in found if any(part in s.name for part in options.only.split(","))]
        random.Random(f"{options.seed} {package}").shuffle(found)
    while any(waiting.values()):  # in turns, so that each package is there
        queue += [found.pop() for found in waiting.values() if found]
    folder = options.work or Path(tempfile.mkdtemp(prefix="blockcache-faithful-"))
    try:
        results = _study_all(queue, folder, options)
    finally:
        if not options.work:
            shutil.rmtree(folder, ignore_errors=True)
    return results, table(results, versions, time.monotonic() - start)


def _study_all(queue: list[sources.Script], folder: Path, options: argparse.Namespace) -> list[Result]:
    results: list[Result] = []
    lock = threading.Lock()
    waiting = iter(queue)
    crew = None if options.fresh else Crew(_modules(queue))

    def work(say: Callable[[Result], None]) -> None:
        while True:
            with lock:
                enough = sum(not r.skipped for r in results) >= options.scripts
                script = None if enough else next(waiting, None)
            if script is None:
                return
            place = folder / re.sub(r"[^\w.-]", "_", script.name)
            place.mkdir(parents=True, exist_ok=True)
            server = (lambda seed, p=script.package: crew.server(p, seed)) if crew else (lambda seed: None)
            say(Script(script, place, options, server).study())

    def say(result: Result) -> None:
        with lock:
            results.append(result)
            if options.verbose:
                state = result.skipped or ("faithful" if result.faithful else "UNFAITHFUL")
                print(f"{result.script}  {result.hits}/{result.blocks}  {state[:100]}", file=sys.stderr, flush=True)
            if options.report:
                with options.report.open("a") as file:
                    file.write(result.text() + "\n")

    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            for done in [pool.submit(work, say) for _ in range(options.jobs)]:
                done.result()
    finally:
        if crew:
            crew.close()
    return results


def _modules(queue: list[sources.Script]) -> dict[str, set[str]]:
    """What the scripts of each package import."""
    found: dict[str, set[str]] = {}
    for script in queue:
        beside = {name.removesuffix(".py") for name in script.beside}
        found.setdefault(script.package, set()).update(sources.imports(script.text, beside))
    return found


def main() -> int:
    """Print the table; exit 1 when a script is not faithful, or less than 99 % of the blocks hit that are no exceptions."""
    warnings.simplefilter("ignore")  # the scripts' own, of their syntax
    results, text = run(options_from())
    print(text)
    fit = [r for r in results if not r.skipped]
    must = [r for r in fit if not exception(r.script)]
    return int(not all(r.faithful for r in fit) or sum(r.hits for r in must) < 0.99 * sum(r.blocks for r in must))


if __name__ == "__main__":
    raise SystemExit(main())
