"""Writers that are killed at any instant: after each kill a reader finds all of an entry or nothing, and none is lost.

A child is forked with the libraries loaded; it saves, overwrites, looks up and removes the entries of real blocks in a loop
until it is killed. It tells what it has finished, so that the parent knows which entries must be there.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from probe import program_in

from blockcache import catalogue
from blockcache.errors import FrozenMissError
from blockcache.stores import local, measure, opened

SEEDS = 12
PROGRAM = """\
import numpy as np
from blockcache import cached_block

def work(seed, mode):
    with cached_block("work", mode=mode) as block:
        small = {"seed": seed, "text": str(seed) * 300}
        large = np.full(200_000 if seed % 3 == 0 else 20_000 if seed % 3 == 1 else 20, seed // 2)
    return block.hit, small, large
"""


def right(seed: int, small: dict, large: np.ndarray) -> bool:
    """Whether these are the values of a seed; half of the large ones are shared by two seeds."""
    return (
        small == {"seed": seed, "text": str(seed) * 300}
        and (large == seed // 2).all()
        and len(large) in (200_000, 20_000, 20)
    )


def write(work, folder: Path, tell: int, rng: random.Random) -> None:
    """In a child: work until killed, and tell what may be gone (``-3``) and what is there (``+3``)."""
    opened._stores.clear()  # a process of its own would not know that the parent has opened it
    store = local.LocalStore(folder / ".blockcache")
    os.write(tell, b"begun\n")
    while True:
        seed = rng.randrange(SEEDS)
        if rng.random() < 0.3:
            entries = catalogue.read(store).entries
            if entries:
                gone = rng.choice(entries)
                os.write(
                    tell, b"-%d\n" % next(int(i.note) for i in gone.manifest.key.inputs if i.name == "seed (local)")
                )
                catalogue.remove(store, [gone])
        else:
            _, small, large = work(seed, rng.choice(["on", "refresh"]))
            assert right(seed, small, large)
            os.write(tell, b"+%d\n" % seed)


def check(work, there: set[int]) -> list[str]:
    """Look for every entry; what is wrong with what is found, and what is missing."""
    wrong = []
    for seed in range(SEEDS):
        try:
            hit, small, large = work(seed, "frozen" if seed in there else "readonly")
        except FrozenMissError as error:
            wrong.append(f"entry {seed} is lost: {error}")
            continue
        if not right(seed, small, large):
            wrong.append(f"a wrong value of {seed}, hit {hit}")
    return wrong


def main() -> None:
    """Take a folder, how many kills, and a seed."""
    folder, points, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    program = program_in(folder, PROGRAM)
    measure._DEAD_S = 0  # only one writer at a time: what another left is a dead one's
    program.work(0, "on")
    there, problems, most_left, wrote = {0}, [], 0, 0
    for point in range(points):
        hear, tell = os.pipe()
        seed = rng.random()
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            write(program.work, folder, tell, random.Random(seed))
        os.close(tell)
        os.read(hear, 6)
        time.sleep(rng.random() ** 2 * 0.1)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        with open(hear) as said:
            for line in said.read().split():
                (there.add if line[0] == "+" else there.discard)(int(line[1:]))
                wrote += 1
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            problems.append(f"point {point}: the writer ended by itself, {status}")
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            wrong = check(program.work, there)
        problems += [f"point {point}: {clause}" for clause in (*wrong, *(str(w.message) for w in warned))]
        most_left = max(most_left, len(os.listdir(".blockcache/.tmp")))
    print(json.dumps({"problems": problems[:20], "entries told": wrote, "most left over": most_left, "points": points}))
