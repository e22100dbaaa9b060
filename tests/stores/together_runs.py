"""Many processes and threads on one store, on the same keys and on different ones."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import traceback
from pathlib import Path

from probe import program_in

from blockcache.stores import opened

SEEDS = 10
PROGRAM = """\
import numpy as np
from blockcache import cached_block

def work(seed, mode):
    with cached_block("work", mode=mode) as block:
        small = {"seed": seed, "text": str(seed) * 300}
        large = np.full(150_000 if seed % 2 else 20_000, seed // 2)
    return block.hit, small, large
"""


def look(work, seed: int, mode: str) -> None:
    """One passage; what is wrong with its values is raised."""
    _, small, large = work(seed, mode)
    assert small == {"seed": seed, "text": str(seed) * 300}, seed
    assert len(large) == (150_000 if seed % 2 else 20_000) and (large == seed // 2).all(), seed


def busy(work, threads: int, rounds: int, rng: random.Random) -> list[str]:
    """Pass through blocks in several threads; what was raised."""
    trouble: list[str] = []

    def one(seeds: list[tuple[int, str]]) -> None:
        try:
            for seed, mode in seeds:
                look(work, seed, mode)
        except BaseException:
            trouble.append(traceback.format_exc())

    jobs = [
        [(rng.randrange(SEEDS), rng.choice(["on", "on", "refresh"])) for _ in range(rounds)] for _ in range(threads)
    ]
    running = [threading.Thread(target=one, args=(job,)) for job in jobs]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return trouble


def main() -> None:
    """Take a folder, how many processes, how many threads in each, and how many rounds of each."""
    folder, processes, threads, rounds = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    program = program_in(folder, PROGRAM)
    children = {}
    for number in range(processes):
        hear, tell = os.pipe()
        child = os.fork()
        if not child:
            os.close(hear)
            opened._stores.clear()
            os.write(tell, json.dumps(busy(program.work, threads, rounds, random.Random(number))).encode()[:60_000])
            os._exit(0)
        os.close(tell)
        children[child] = hear
    problems = []
    for child, hear in children.items():
        with open(hear) as said:
            told = said.read()
        status = os.waitpid(child, 0)[1]
        problems += json.loads(told) if told else [f"a process ended with {status}"]
    for seed in range(SEEDS):
        try:
            look(program.work, seed, "frozen")
        except Exception as error:
            problems.append(f"{seed} at the end: {error}")
    print(json.dumps({"problems": problems[:10], "left over": os.listdir(".blockcache/.tmp")}))
