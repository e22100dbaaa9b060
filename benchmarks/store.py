"""Saving and restoring, beside everyone who does it: `python benchmarks/store.py`.

About ten minutes, 12 GB of memory and 20 GB of disk; `--scale 0.05` for development.

What counts for blockcache is what a user waits for: the whole hit of a block, and the whole miss without its body. A
map is free until it is read, so a restore is told twice: as it comes back, and with every byte read. "cold" begins with
files that are not in the page cache: fsync, fadvise, and mincore tells whether it worked; what stayed stands on stderr.

"bare" has no format at all: it writes the same buffers, maps them (where a restore maps) or reads them. "own format" is
what the library itself offers (`np.save`, Feather, Arrow IPC, `torch.save`), read as its manual says. The values are
those of `_store_values.py`; everyone of `_store_row.py` in turns in one process, marimo's blocks in notebooks of their
own. Ratios are what to compare between machines.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _pages import forget_pages
from _store_values import KINDS, Kind

HERE = Path(__file__).parent
PEERS = ("own format", "pickle 5", "joblib", "marimo", "marimo lazy", "diskcache")
CACHES = ("joblib", "marimo", "marimo lazy")
MEASURES = ("save", "restore", "restore, read", "cold", "cold, read")
#: What two runs of the same thing may differ by.
NOISE = 1.1
MOST_BESIDE = 64 << 20

NOTEBOOK = """
import marimo
app = marimo.App()

@app.cell
def _():
    import json, os, sys
    from collections import defaultdict
    from time import perf_counter as clock
    import marimo as mo
    from marimo._save.loaders.lazy import flush_active_caches as flush
    from _pages import forget_pages
    from _store_values import KINDS
    kind = KINDS[{name!r}]
    make = kind.make
    small = make(0.001)
    phase = os.environ["PHASE"]
    took = defaultdict(list)

    def begin():
        if phase == "cold":
            forget_pages({folder!r})
        if phase == "save":
            os.sync()
        return clock()

    def end(start, ended, hit, value):
        flush()
        done = clock()
        assert hit == (phase != "save"), "no hit"
        took[phase].append(done - (start if hit else ended))
        if hit and kind.read is not None:
            kind.read(value)
            took[phase + ", read"].append(clock() - start)
        if hit and not kind.is_like(value, small):
            took["other"].append(1)

    return begin, clock, end, json, make, mo, took

@app.cell
def _(begin, clock, end, json, make, mo, took):
{blocks}
    print(json.dumps({{measure: seconds[1:] for measure, seconds in took.items()}}))
    return

if __name__ == "__main__":
    app.run()
"""
# marimo's block cannot stand in a loop. The first is for warming up.
NOTEBOOK_BLOCK = """\
    start{k} = begin()
    with mo.persistent_cache("bench{k}", save_path={folder!r}, method={method!r}) as cache{k}:
        value{k} = make({scale})
        ended{k} = clock()
    end(start{k}, ended{k}, cache{k}.hit, value{k})
    del value{k}
"""


def run(command: list[str], folder: Path, **env: str) -> Any:
    """Run a program in a fresh interpreter; what it says on its last line."""
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment() | env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(arguments: list[str], folder: Path) -> tuple[Any, list[tuple[int, int]]]:
    """Run `_store_row.py`: what it says at its end, and its memory and the most since, whenever it asks."""
    command = [sys.executable, str(HERE / "_store_row.py"), *arguments]
    said, looks = None, []
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                said = json.loads(line)
                continue
            reply = ""
            if line.strip() == "memory":
                status = dict(row.split(":", 1) for row in Path(f"/proc/{child.pid}/status").read_text().splitlines())
                looks.append((int(status["VmRSS"].split()[0]) << 10, int(status["VmHWM"].split()[0]) << 10))
                Path(f"/proc/{child.pid}/clear_refs").write_text("5")
            else:
                reply = str(forget_pages(folder / line.strip()))
            child.stdin.write(f"{reply}\n")
    if child.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return said, looks


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "PYTHONDONTWRITE"))}
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return kept | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "XDG_CACHE_HOME": "cache-home"}


def row(name: str, scale: float, rounds: int, folder: Path) -> tuple[dict[str, dict[str, list[float]]], list[str]]:
    """Measure -> contender -> seconds; and who restores something else than was saved."""
    found, _ = answer(["row", name, str(scale), str(rounds)], folder)
    took: dict[str, dict[str, list[float]]] = found["took"]
    for who, share in found["stayed"].items():
        if share > 0.01:
            print(f"{name}: {share:.0%} of the pages of {who} stayed in the page cache", file=sys.stderr)
    empty(folder)
    for who, method in (("marimo", "pickle"), ("marimo lazy", "lazy")):
        quick = min(took["save"]["joblib"]) < 2
        seconds_of = marimo(name, scale, rounds if quick else 1, method, folder)
        if seconds_of.pop("other", []):
            found["other"].append(who)
        for measure, seconds in seconds_of.items():
            took.setdefault(measure, {})[who] = seconds
        empty(folder)
    return took, found["other"]


def marimo(name: str, scale: float, rounds: int, method: str, folder: Path) -> dict[str, list[float]]:
    """Seconds of marimo's block, by measure; empty where it cannot save or restore the value."""
    blocks = [
        NOTEBOOK_BLOCK.format(k=k, folder="marimo", method=method, scale=scale if k else 0.001)
        for k in range(rounds + 1)
    ]
    (folder / "notebook.py").write_text(NOTEBOOK.format(name=name, folder="marimo", blocks="".join(blocks)))
    found: dict[str, list[float]] = {}
    for phase in ("save", "restore", "cold"):
        try:
            found |= run(["notebook.py"], folder, PHASE=phase)
        except SystemExit as error:
            print(f"{name}: marimo ({method}), {phase}: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
            break
    return found


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


# -- memory ---------------------------------------------------------------------------------------


def memory(name: str, scale: float, folder: Path) -> tuple[int, int, int]:
    """Bytes: the value's own, and what a save and a restore need beside them at most."""
    _, (before, made, saved) = answer(["memory", name, str(scale), "1"], folder)
    own = made[0] - before[0]
    _, (again, restored) = answer(["memory", name, str(scale), "1"], folder)
    empty(folder)
    return own, saved[1] - made[0], restored[1] - again[0] - own


# -- the table ------------------------------------------------------------------------------------


def lines(kind: Kind, took: dict[str, dict[str, list[float]]], other: list[str]) -> Iterator[tuple[str, ...]]:
    """The lines of one value; who restores something else is shown, and is no peer."""
    for measure in MEASURES:
        if measure not in took:
            continue
        s = {who: statistics.median(seconds) for who, seconds in took[measure].items() if seconds}
        ours = s.pop("blockcache")
        bare = s.get("bare") if measure == "save" else s.get("mmap") if kind.read is not None else s.get("read")
        peers = {who: s[who] for who in PEERS if who in s and who not in other}
        best = min(peers, key=lambda who: peers[who])
        goal, met = verdict(kind, measure, ours, bare, peers)
        yield (
            f"{kind.what}: {measure}",
            text(ours),
            text(bare),
            f"{ours / bare:.2f}" if bare else "",
            text(s.get("read") if measure != "save" else None),
            *(text(s.get(who)) + ("*" if who in other and who in s else "") for who in PEERS),
            f"{peers[best] / ours:.1f} x {best}",
            goal,
            "met" if met else "MISSED",
        )


def verdict(kind: Kind, measure: str, ours: float, bare: float | None, peers: dict[str, float]) -> tuple[str, bool]:
    """The goal of a line, and whether it is met."""
    if measure == "save" and kind.read is not None and bare:
        return "<= 1.3 x bare", ours <= 1.3 * bare
    if measure == "restore" and kind.read is not None:
        return "100 x caches", ours * 100 <= min(peers[who] for who in CACHES if who in peers)
    return "best", ours <= NOISE * min(peers.values())


def text(value: float | None) -> str:
    """Three significant figures with a unit."""
    if value is None:
        return ""
    unit, scale = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if value >= s), ("µs", 1e-6))
    return f"{value / scale:.3g} {unit}"


def show(table: list[tuple[str, ...]], markdown: bool) -> None:
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    for n, line in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print(("| " + " | ".join(cells) + " |") if markdown else "  ".join(cells).rstrip())
        if n == 0 and markdown:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def main() -> int:
    """Print the tables; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the values, 1 for those of the table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS), help="which values")
    parser.add_argument("--folder", help="on which disk")
    parser.add_argument("--markdown", action="store_true", help="tables for the documentation")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="blockcache-bench-", dir=options.folder))
    speed = [("what", "blockcache", "bare", "x bare", "bare read", *PEERS, "faster than the best", "goal", "")]
    beside = [("what", "own", "a save needs beside it", "a restore", "goal", "")]
    failed = False
    try:
        for name in options.kinds.split(","):
            if not KINDS[name].is_there:
                print(f"{name}: {KINDS[name].needs} is not installed", file=sys.stderr)
                continue
            try:
                speed += lines(KINDS[name], *row(name, options.scale, options.rounds, folder))
                own, *needed = memory(name, options.scale, folder)
            except SystemExit as error:  # what was measured so far must not be lost
                print(f"{name}: {error}", file=sys.stderr)
                failed = True
                empty(folder)
                continue
            met = "met" if max(needed) <= MOST_BESIDE else "MISSED"
            mib = [f"{size / (1 << 20):.0f} MiB" for size in (own, *needed)]
            beside.append((KINDS[name].what, *mib, "<= 64 MiB", met))
    finally:
        shutil.rmtree(folder)
    show(speed, options.markdown)
    if any("*" in cell for line in speed for cell in line):
        print("\n* restores something else than was saved (another dtype), so it is not counted as a peer.")
    print()
    show(beside, options.markdown)
    return 1 if failed or any(line[-1] == "MISSED" for line in speed + beside) else 0


if __name__ == "__main__":
    raise SystemExit(main())
