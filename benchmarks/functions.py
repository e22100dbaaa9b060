"""A call that hits, beside the peers: `python benchmarks/functions.py`.

All of it in one process and in turns, in processor time, so that a busy machine hits everyone alike: the best of
many rounds. `functools.cache` and the bare call are floors, not peers: the first looks at neither code nor content,
and forgets when the process ends.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from time import process_time as clock

import joblib
import numpy as np

import blockcache
from blockcache import cached_function

ROUNDS, CALLS = 20, 50
#: Calls that take this long are called less often in a round.
SLOW_S = 1e-3


def helper(x: int) -> int:
    return x + 1


def small(a: int, b: int = 2) -> dict[str, int]:
    return {"result": helper(a) * b}


def of_array(array: np.ndarray) -> float:
    return float(array.sum())


def of_list(n: int) -> list[dict[str, object]]:
    return [{"id": i, "name": f"row {i}"} for i in range(n)]


def of_big(n: int) -> np.ndarray:
    return np.ones(n)


#: What -> the function and its argument.
CASES: dict[str, tuple[Callable[..., object], object]] = {
    "small argument and result": (small, 3),
    "array of 8 MB as argument": (of_array, np.arange(1_000_000.0)),
    "2,000 dictionaries as result": (of_list, 2_000),
    "array of 80 MB as result": (of_big, 10_000_000),
}


def timed(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of one call of each, called in turns."""
    took: dict[str, list[float]] = {}
    for name, call in calls.items():
        call()
        start = clock()
        call()
        took[name] = [clock() - start]
    for _ in range(ROUNDS):
        for name, call in calls.items():
            count = CALLS if min(took[name]) < SLOW_S else 3
            start = clock()
            for _ in range(count):
                call()
            took[name].append((clock() - start) / count)
    return {name: min(seconds[1:]) for name, seconds in took.items()}


def words(seconds: float) -> str:
    for unit, size in (("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory = joblib.Memory(os.path.join(folder, "joblib"), verbose=0)
        blockcache.configure(store=os.path.join(folder, "blockcache"), quiet=True)
        names = ("bare", "functools.cache", "joblib", "memory", "copy=False", "store", "joblib / memory")
        rows = [("call that hits", *names)]
        for what, (function, argument) in CASES.items():
            functions = {
                "bare": function,
                "functools.cache": functools.cache(function),
                "joblib": memory.cache(function),
                "memory": cached_function(function),
                "copy=False": cached_function(function, copy=False),
            }
            if isinstance(argument, np.ndarray):
                del functions["functools.cache"]  # not hashable
            calls = {name: functools.partial(f, argument) for name, f in functions.items()}
            found = timed(calls)
            blockcache.configure(memory=0)
            found |= timed({"store": calls["memory"]})
            blockcache.configure(memory=None)
            texts = {name: words(seconds) for name, seconds in found.items()}
            texts["joblib / memory"] = f"{found['joblib'] / found['memory']:.1f}"
            rows.append((what, *(texts.get(name, "not hashable") for name in names)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    main()
