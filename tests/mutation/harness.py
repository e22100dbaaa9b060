"""Random edits of real programs: `python tests/mutation/harness.py --seed 1 --edits 500 --cosmetic 500 --scripts 40 --jobs 2`.

Example scripts of public packages and the programs in `programs/` are cut into blocks and run plain (a block is nothing)
and cached. After each semantic edit the cached run on the warm store must print and bind what the plain run of the
edited program does: any difference is STALE. After each cosmetic edit each block that hit must hit again: any other
outcome is needless.

Takes those of `sources.PACKAGES` that are installed; their source distributions are fetched by pip once and kept in
`--cache`. In the table, "inside" counts the telling edits after which a block that hit before ran again.
"""

from __future__ import annotations

import argparse
import platform
import queue
import random
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sources
import wrapping
from study import HERE, Finding, Server, Study, Tally
from wrapping import Program


class Crew:
    """Workers that each keep the two servers of the package that they are at."""

    def __init__(self, modules: dict[str, list[str]]) -> None:
        self.modules = modules
        self.local = threading.local()
        self.open: queue.SimpleQueue[Server] = queue.SimpleQueue()

    def servers(self, package: str) -> tuple[Server, Server]:
        if getattr(self.local, "package", None) != package:
            for server in getattr(self.local, "pair", ()):
                server.close()
            # Two hash seeds: an entry of one process must hit in another.
            self.local.package, self.local.pair = package, [Server(self.modules[package], seed) for seed in (1, 2)]
            for server in self.local.pair:
                self.open.put(server)
        return tuple(self.local.pair)

    def close(self) -> None:
        while not self.open.empty():
            server = self.open.get()
            if server.process.poll() is None:
                server.close()


def own_programs() -> list[Program]:
    """The programs in `programs/`: a folder each; `env.txt` holds its environment."""
    found = []
    for folder in sorted(p for p in (HERE / "programs").iterdir() if (p / "main.py").exists()):
        files: dict[str, str | bytes] = {}
        env = {}
        for path in sorted(
            p
            for p in folder.rglob("*")
            if p.is_file() and "__pycache__" not in p.parts and ".blockcache" not in p.parts
        ):
            if path.name == "env.txt":
                env = dict(line.split("=", 1) for line in path.read_text().splitlines())
            else:
                files[str(path.relative_to(folder))] = path.read_text()
        data = [name for name in files if not name.endswith(".py")]
        found.append(Program(f"own/{folder.name}", files, env, data))
    return found


def shares(studies: list[Study], total: int) -> list[int]:
    """How many edits each program gets: quick programs more than slow ones, each at least two."""
    weights = [1 / (0.4 + s.tally.cpu_s) for s in studies]
    return [max(2, -int(-total * w // sum(weights))) for w in weights]


def study_all(
    programs: Callable[[str], list[list[Program]]],
    packages: list[str],
    crew: Crew,
    options: argparse.Namespace,
    say: Callable[[Finding], None],
    folder: Path,
) -> list[Tally]:
    """Prepare the programs, then edit those that are fit."""
    studies: list[tuple[str, Study]] = []
    tallies: list[Tally] = []
    lock = threading.Lock()
    share = options.scripts // len(packages) + 3  # of one package; some have few that are fit

    def prepare(package: str, variants: list[Program]) -> None:
        enough = options.scripts <= sum(p != "own" for p, _ in studies)
        if package != "own" and (enough or sum(p == package for p, _ in studies) >= share):
            return
        for number, program in enumerate(variants):
            place = folder / program.name.replace("/", "_") / str(number)
            study = Study(program, place, options.seed, say)
            fit = study.prepare(*crew.servers(package), options.limit)
            if options.verbose:
                print(program.name, number, study.tally.skipped or "fit", file=sys.stderr, flush=True)
            with lock:
                tallies.append(study.tally)
                if fit:
                    studies.append((package, study))
            if fit or not study.tally.skipped.startswith(("BROKEN", "no block")):
                return

    def edit(package: str, study: Study, semantic: int, cosmetic: int) -> None:
        server = crew.servers(package)[1]
        study.semantic(server, semantic)
        study.cosmetic(server, cosmetic)

    with ThreadPoolExecutor(options.jobs) as pool:
        for package in packages:
            list(pool.map(lambda variants, package=package: prepare(package, variants), programs(package)))
        chosen = sorted(studies, key=lambda item: (item[0], item[1].program.name))
        semantic = shares([s for _, s in chosen], options.edits)
        cosmetic = shares([s for _, s in chosen], options.cosmetic)
        list(pool.map(edit, [p for p, _ in chosen], [s for _, s in chosen], semantic, cosmetic))
    return tallies


def table(tallies: list[Tally], options: argparse.Namespace, versions: dict[str, str], took_s: float) -> str:
    """The result as text."""
    fit = [t for t in tallies if not t.skipped]
    lines = [("script", "blocks", "hits", "cpu s", "telling", "inside", "stale", "cosmetic", "needless")]
    for t in sorted(fit, key=lambda t: t.script):
        stale = sum(f.verdict == "STALE" for f in t.findings)
        lines.append(
            (t.script, t.blocks, t.hits, f"{t.cpu_s:.2f}", t.semantic, t.inside, stale, t.cosmetic, t.needless)
        )
    sums = [sum(row[k] for row in lines[1:]) for k in (1, 2, 4, 5, 6, 7, 8)]
    lines.append((f"{len(fit)} programs", *sums[:2], "", *sums[2:]))
    widths = [max(len(str(line[k])) for line in lines) for k in range(9)]
    text = [
        "  ".join(
            str(c).ljust(w) if k == 0 else str(c).rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    kinds = Counter()
    for t in fit:
        kinds += t.kinds
    skipped = Counter(t.skipped.split(":")[0][:60] for t in tallies if t.skipped)
    broken = sum(f.verdict.startswith("BROKEN") for t in tallies for f in t.findings)
    text += [
        "",
        f"share of blocks that hit warm: {sums[1] / max(1, sums[0]):.0%}; "
        f"needless: {sums[6] / max(1, sums[5]):.1%} of {sums[5]} cosmetic edits; stale: {sums[4]} of {sums[2]} telling edits; "
        f"different also on a cold store: {broken}",
        "kinds of telling edits: " + ", ".join(f"{k} {n}" for k, n in kinds.most_common()),
        "not fit: " + ", ".join(f"{k} ({n})" for k, n in skipped.most_common()),
        f"seed {options.seed}, {took_s:.0f} s, Python {platform.python_version()}, "
        + ", ".join(f"{k} {v}" for k, v in versions.items()),
    ]
    return "\n".join(text)


def options_from(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--edits", type=int, default=500, help="telling edits in all")
    parser.add_argument("--cosmetic", type=int, default=500, help="cosmetic edits in all")
    parser.add_argument("--scripts", type=int, default=40, help="example scripts of public packages")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=2.0, help="processor seconds that a plain run may take")
    parser.add_argument("--only", default="", help="programs whose name contains one of these texts (a comma between)")
    parser.add_argument("--report", type=Path, help="file to append each finding to as it is found")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "blockcache-mutation", help="for source distributions"
    )
    parser.add_argument("--work", type=Path, help="folder for the programs, kept; default a temporary one")
    parser.add_argument("--verbose", action="store_true", help="say of each program whether it is fit, and why not")
    return parser.parse_args(arguments)


def wanted(name: str, options: argparse.Namespace) -> bool:
    """Whether `--only` lets a program through."""
    return any(text in name for text in options.only.split(","))


def run(options: argparse.Namespace) -> tuple[list[Tally], str]:
    """Do all of it; the tallies and the table."""
    start = time.monotonic()
    packages = ["own", *(sources.PACKAGES if options.scripts else ())]
    versions: dict[str, str] = {}
    examples: dict[str, list[sources.Script]] = {}
    for package in packages[1:]:
        found = [s for s in sources.scripts(package, options.cache) if wanted(s.name, options)]
        random.Random(f"{options.seed} {package}").shuffle(found)
        examples[package] = found
        versions |= {s.package: s.version for s in found[:1]}
    modules = {"own": ["json", "csv", "numpy"]}
    for package, found in examples.items():
        names = {m for s in found for m in sources.imports(s.text, {n.removesuffix(".py") for n in s.beside})}
        modules[package] = sorted(names)

    def programs(package: str) -> list[list[Program]]:
        if package == "own":
            return [[p] for p in own_programs() if wanted(p.name, options)]
        # Three ways to cut each script: the first that works counts.
        made = [[wrapping.make(s.name, s.text, options.seed, k, s.beside) for k in range(3)] for s in examples[package]]
        return [[p for p in variants if p] for variants in made if any(variants)]

    lock = threading.Lock()

    def say(finding: Finding) -> None:
        with lock:
            if options.report:
                with options.report.open("a") as file:
                    file.write(finding.text() + "\n")
            elif finding.verdict == "STALE":
                print(finding.text(), file=sys.stderr, flush=True)

    folder = options.work or Path(tempfile.mkdtemp(prefix="blockcache-mutation-"))
    crew = Crew(modules)
    try:
        tallies = study_all(programs, packages, crew, options, say, folder)
    finally:
        crew.close()
        if not options.work:
            shutil.rmtree(folder, ignore_errors=True)
    return tallies, table(tallies, options, versions, time.monotonic() - start)


def main() -> int:
    """Print the table; exit 1 when something is stale or more than 2 % is needless."""
    warnings.simplefilter("ignore")  # the scripts' own, of their syntax
    options = options_from()
    tallies, text = run(options)
    print(text)
    stale = sum(f.verdict == "STALE" for t in tallies for f in t.findings)
    return int(stale > 0 or sum(t.needless for t in tallies) > 0.02 * sum(t.cosmetic for t in tallies))


if __name__ == "__main__":
    raise SystemExit(main())
