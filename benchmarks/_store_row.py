"""One row of `store.py`, in a fresh interpreter: `_store_row.py WHAT KIND SCALE ROUNDS`; prints one line of JSON.

Everyone in turns, in one process, so that a busy machine hits everyone alike.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import pickle
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter as clock
from typing import Any

import diskcache
import joblib

from _store_values import KINDS
from blockcache import cached_block, configure

#: Who took longer than this is not asked again.
SLOW_S = 3.0
#: Quick restores are repeated until so much is spent.
ENOUGH_S, MOST = 0.05, 25

#: Measure -> contender -> seconds.
Took = dict[str, dict[str, list[float]]]


def ask(what: str) -> bytes:
    """Let the parent look at this process's memory, or put the files at a path out of the page cache.

    Were it done in here, blockcache would take it for something that the value depends on.
    """
    os.write(1, what.encode() + b"\n")
    return os.read(0, 64)


# -- the contenders -------------------------------------------------------------------------------


def ours(make: Callable[[float], Any], scale: float) -> tuple[Any, float, bool]:
    """A value, the seconds that its block took without its body, and whether it hit."""
    start = clock()
    with cached_block("value", store="blockcache") as block:
        began = clock()
        value = make(scale)
        gc.collect()  # what making it owes is not the save's
        ended = clock()
    took = clock() - start
    return value, took if block.hit else took - (ended - began), bool(block.hit)


def write(parts: list[memoryview], path: str) -> None:
    with open(path, "wb", buffering=0) as file:
        for part in parts:
            while part:
                part = part[file.write(part) :]


def read(path: str) -> bytearray:
    memory = bytearray(os.path.getsize(path))
    with open(path, "rb", buffering=0) as file:
        view = memoryview(memory)
        while count := file.readinto(view):
            view = view[count:]
    return memory


def map_file(path: str) -> memoryview:
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def pickle_dump(value: Any, path: str) -> None:
    with open(path, "wb") as file:
        pickle.dump(value, file, 5)


def pickle_load(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


def _opened(path: str) -> diskcache.Cache:
    return diskcache.Cache(path, size_limit=1 << 40, eviction_policy="none")


def diskcache_dump(value: Any, path: str) -> None:
    with _opened(path) as cache:
        cache["value"] = value


def diskcache_load(path: str) -> Any:
    with _opened(path) as cache:
        return cache["value"]


#: Who -> how it saves and restores, in a file or folder of its own name.
PEERS: dict[str, tuple[Callable[[Any, str], object], Callable[[str], Any]]] = {
    "pickle 5": (pickle_dump, pickle_load),
    "joblib": (joblib.dump, joblib.load),
    "diskcache": (diskcache_dump, diskcache_load),
}


def remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)


def peers(kind: Any) -> dict[str, tuple[Callable[[Any, str], object], Callable[[str], Any]]]:
    return {"own format": (kind.dump, kind.load), **PEERS} if kind.dump is not None else PEERS


# -- measuring ------------------------------------------------------------------------------------


def save_all(kind: Any, scale: float, rounds: int, took: Took) -> None:
    """Everyone saves the same new value, onto a disk that has nothing left to write; the last of each stays."""
    ours(kind.make, 0.001)  # what is imported once
    seconds = took["save"]
    for round_ in range(rounds):
        remove("blockcache")
        os.sync()
        value, beside, hit = ours(kind.make, scale)
        assert not hit
        seconds["blockcache"].append(beside)
        buffers: list[pickle.PickleBuffer] = []
        stream = pickle.dumps(value, 5, buffer_callback=buffers.append)
        parts = [memoryview(stream), *(buffer.raw() for buffer in buffers)]
        contenders = {"bare": lambda _, path, parts=parts: write(parts, path)}
        for who, save in (contenders | {who: save for who, (save, _) in peers(kind).items()}).items():
            if max(seconds[who], default=0) > SLOW_S:
                continue
            os.sync()
            start = clock()
            save(value, who)
            seconds[who].append(clock() - start)
            if round_ < rounds - 1 and seconds[who][-1] <= SLOW_S:
                remove(who)  # before the disk has it
        del value, parts, contenders, save, buffers, stream


def restore_all(kind: Any, scale: float, rounds: int, took: Took) -> tuple[dict[str, float], list[str]]:
    """Everyone restores, from a warm page cache and from a cold one.

    Returns the share of the pages that stayed warm, and who gives back something else than was saved.
    """

    def ours_again() -> Any:
        value, _, hit = ours(kind.make, scale)
        assert hit
        return value

    everyone = {"blockcache": ("blockcache", ours_again)}
    everyone |= {"mmap": ("bare", lambda: map_file("bare")), "read": ("bare", lambda: read("bare"))}
    everyone |= {who: (who, lambda who=who, load=load: load(who)) for who, (_, load) in peers(kind).items()}
    stayed: dict[str, float] = defaultdict(float)
    small = kind.make(0.001)
    other: list[str] = []
    for who, (_, restore) in everyone.items():
        if max(took["save"][who], default=0) < SLOW_S:
            value = restore()  # what is imported once
            if who not in ("mmap", "read") and not kind.is_like(value, small):
                other.append(who)
            del value
    for _ in range(rounds):
        for who, (_, restore) in everyone.items():
            if max(took["restore"][who], default=0) < SLOW_S:
                timed(kind, took, "restore", who, restore)
                gc.collect()
    for _ in range(rounds):
        for who, (path, restore) in everyone.items():
            if max(took["restore"][who]) < SLOW_S and max(took["cold"][who], default=0) < SLOW_S:
                stayed[who] = max(stayed[who], float(ask(path)))
                timed(kind, took, "cold", who, restore)
                gc.collect()
    return stayed, other


def timed(kind: Any, took: Took, measure: str, who: str, restore: Callable[[], Any]) -> None:
    """Restore and then read to the last byte; more than once from a warm page cache, when that is quick."""
    spent, count = 0.0, 0
    while not count or (measure == "restore" and spent < ENOUGH_S and count < MOST):
        start = clock()
        value = restore()
        restored = clock()
        took[measure][who].append(restored - start)
        if kind.read is not None:
            if who in ("read", "mmap"):
                read_bytes(value)
            else:
                kind.read(value)
            took[f"{measure}, read"][who].append(clock() - start)
        del value
        spent, count = spent + clock() - start, count + 1


def read_bytes(memory: Any) -> object:
    import numpy as np

    return np.frombuffer(memory, "u8", len(memory) // 8).max()


def row(kind: Any, scale: float, rounds: int) -> dict[str, Any]:
    """All measures of one value."""
    took: Took = defaultdict(lambda: defaultdict(list))
    save_all(kind, scale, rounds, took)
    stayed, other = restore_all(kind, scale, rounds, took)
    return {"took": took, "stayed": stayed, "other": other}


# -- memory ---------------------------------------------------------------------------------------


def memory(kind: Any, scale: float) -> None:
    """A miss pauses before the body, after it and after the save; a hit before it and when all is read."""
    ours(kind.make, 0.001)
    gc.collect()
    ask("memory")
    with cached_block("memory", store="memory") as block:
        value = kind.make(scale)
        gc.collect()
        ask("memory")
    if block.hit and kind.read is not None:
        kind.read(value)
    ask("memory")


def main() -> None:
    what, name, scale, rounds = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    configure(quiet=True)
    if what == "memory":
        memory(KINDS[name], scale)
    else:
        print(json.dumps(row(KINDS[name], scale, rounds)))


if __name__ == "__main__":
    main()
