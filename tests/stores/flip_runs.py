"""Bits that flip: in every byte of a small entry, and in random bytes of a large one, while nothing heals."""

from __future__ import annotations

import json
import os
import random
import sys
import warnings
from pathlib import Path

import numpy as np
from probe import program_in

from blockcache import configure

PROGRAM = """\
import numpy as np
from blockcache import cached_block

def work(size, rows, mode):
    with cached_block("work", mode=mode) as block:
        small = {"a": [1, 2.5, "three"], "size": size, "rows": [{"k": k} for k in range(rows)]}
        large = np.arange(float(size))
    return block.hit, small, large
"""


def flips(files: list[Path], most: int, rng: random.Random):
    """Where to flip: every place, or ``most`` of them; those of a large file count by its size."""
    places = [(path, at) for path in files if (size := path.stat().st_size) < 10_000 for at in range(size)]
    if any(path.stat().st_size >= 10_000 for path in files):
        sizes = [path.stat().st_size for path in files]
        return [(path, rng.randrange(path.stat().st_size)) for path in rng.choices(files, sizes, k=most)]
    return places if len(places) <= most else rng.sample(places, most)


def main() -> None:
    """Take a folder, the length of the array, of the list, how many flips at most, a seed."""
    folder, size, rows, most, seed = Path(sys.argv[1]), *map(int, sys.argv[2:])
    rng = random.Random(seed)
    program = program_in(folder, PROGRAM)
    configure(compression="zstd" if rows else "none")
    program.work(size, rows, "on")
    assert program.work(size, rows, "readonly")[0]
    families = ("blobs", "entries", "names")
    files = [p for f in families for p in Path(".blockcache", f).rglob("*") if p.is_file() and p.stat().st_size]
    (manifest,) = Path(".blockcache", "entries").rglob("*.json")
    files = [p for p in files if p.name != json.loads(manifest.read_bytes())["texts"]]  # no hit reads those
    expected = np.arange(float(size))
    like = {"a": [1, 2.5, "three"], "size": size, "rows": [{"k": k} for k in range(rows)]}
    problems, hits, flipped = [], 0, 0
    for path, at in flips(files, most, rng):
        status = path.stat()
        os.chmod(path, 0o644)
        bit = 1 << rng.randrange(8)
        with open(path, "r+b", buffering=0) as file:
            was = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([was[0] ^ bit]), at)
            label = f"{path} byte {at} bit {bit}"
            try:
                with warnings.catch_warnings(record=True) as warned:
                    warnings.simplefilter("always")
                    hit, small, large = program.work(size, rows, "readonly")
                if small != like or not np.array_equal(large, expected):
                    problems.append(f"{label}: a wrong value, hit {hit}")
                if len(warned) > 1:
                    problems.append(f"{label}: {[str(w.message) for w in warned]}")
                hits += hit
            except BaseException as error:
                problems.append(f"{label}: {type(error).__name__}: {error}")
            del large
            os.pwrite(file.fileno(), was, at)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        flipped += 1
    assert program.work(size, rows, "frozen")[0], "all is as it was"
    print(json.dumps({"problems": problems[:20], "hits": hits, "flips": flipped}))
