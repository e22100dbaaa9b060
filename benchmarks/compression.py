"""What `compression = "zstd"` costs and spares: `python benchmarks/compression.py`; `--scale 0.1` for development.

Values of `_store_values.py`, each saved and restored in turns with and without, in one process and processor time.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

from _store_values import KINDS, Kind
from blockcache import cached_block, configure

NAMES = ("dicts", "graph", "objects", "forest")
CHOICES = ("none", "zstd")


def once(kind: Kind, scale: float, store: str) -> tuple[float, bool]:
    """Seconds that a block takes without its body, and whether it hit."""
    began = process_time()
    with cached_block("value", store=store) as block:
        body = process_time()
        value = kind.make(scale)
        gc.collect()  # what making it owes is not the save's
        ended = process_time()
    took = process_time() - began
    del value
    gc.collect()
    return (took, True) if block.hit else (took - (ended - body), False)


def row(kind: Kind, scale: float, rounds: int) -> dict[str, dict[str, Any]]:
    """Choice -> bytes in the store, and the best seconds of a save and of a restore."""
    found: dict[str, dict[str, Any]] = {choice: {"save": [], "restore": []} for choice in CHOICES}
    for number in range(rounds + 1):
        for choice in CHOICES:
            configure(compression=choice)  # type: ignore[arg-type]
            shutil.rmtree(choice, ignore_errors=True)
            os.sync()
            for what in ("save", "restore"):
                took, hit = once(kind, scale, choice)
                assert hit == (what == "restore")
                if number:  # the first is for warming up
                    found[choice][what].append(took)
            found[choice]["size"] = sum(p.stat().st_size for p in Path(choice, "blobs").rglob("*") if p.is_file())
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    os.environ["XDG_CACHE_HOME"] = "cache-home"
    configure(quiet=True, save_always=True)
    print("| what | stored | with zstd | x | save | with zstd | x | restore | with zstd | x |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in NAMES:
            found = row(KINDS[name], chosen.scale, chosen.rounds)
            cells = [KINDS[name].what]
            sizes = [found[choice]["size"] for choice in CHOICES]
            cells += [*(f"{size / 1e6:.1f} MB" for size in sizes), f"{sizes[1] / sizes[0]:.2f}"]
            for what in ("save", "restore"):
                seconds = [min(found[choice][what]) for choice in CHOICES]
                cells += [*(f"{s * 1e3:.3g} ms" for s in seconds), f"{seconds[1] / seconds[0]:.2f}"]
            print(f"| {' | '.join(cells)} |")
        os.chdir("/")


if __name__ == "__main__":
    main()
