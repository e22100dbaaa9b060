"""What a body does to upstream objects is done again to others like them: values, aliases, results that are upstream objects.

Two equal graphs of objects are made; random operations change the first in place; what was found is saved, read back
beside the second, and made again there. Then both must be the same graph, shared parts and memory included.
"""

from __future__ import annotations

import collections
import random
import sys
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from blockcache import changes
from blockcache.analysis import Block
from blockcache.codec import decode, encode
from blockcache.fingerprint.modules import is_library
from blockcache.key import Built, Upstream
from blockcache.model import Key


@dataclass
class Data:
    x: object = 0
    items: list = field(default_factory=list)


class Slots:
    __slots__ = ("a", "b")


class Listed(list):
    pass


class Both(dict):
    __slots__ = ("extra",)


def value(rng: random.Random, pool: list[object], depth: int = 0) -> object:
    """A random value, often an object that exists already."""
    if pool and rng.random() < 0.35:
        return rng.choice(pool)
    if depth > 3 or rng.random() < 0.3:
        return rng.choice([None, rng.randrange(1000), 1.5, "text", b"raw", (1, 2)])
    made: object
    kind = rng.choice(
        "list dict set deque data slots array view ordered default listed both tuple bytearray frame series objects".split()
    )
    below = [value(rng, pool, depth + 1) for _ in range(rng.randrange(4))]
    if kind == "list":
        made = below
    elif kind == "dict":
        made = {rng.choice(["a", "b", "c", 1, 2.5, (1, "k")]): v for v in below}
    elif kind == "set":
        made = {rng.randrange(9) for _ in below}
    elif kind == "deque":
        made = collections.deque(below)
    elif kind == "data":
        made = Data(*below[:1])
    elif kind == "slots":
        made = Slots()
        for name, v in zip("ab", below, strict=False):
            setattr(made, name, v)
    elif kind == "array":
        made = np.arange(rng.choice([0, 3, 700]), dtype=rng.choice(["f8", "i4"]))
    elif kind == "view":
        arrays = [a for a in pool if type(a) is np.ndarray and a.dtype != object and a.ndim == 1 and len(a) > 2]
        made = rng.choice(arrays)[1:3] if arrays else np.ones((2, 3))
    elif kind == "ordered":
        made = collections.OrderedDict(a=below)
    elif kind == "default":
        made = collections.defaultdict(list, a=below)
    elif kind == "listed":
        made = Listed(below)
        made.tag = below[:1]
    elif kind == "both":
        made = Both(a=below)
        made.extra = below[:1]
    elif kind == "tuple":
        made = tuple(below)
    elif kind == "bytearray":
        made = bytearray(b"abc")
    elif kind == "frame":
        made = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    elif kind == "series":
        made = pd.Series([1, 2, 3], name="s")
    else:
        made = np.array([*below, None, 1], dtype=object)
    pool.append(made)
    return made


def change(rng: random.Random, objects: list[object], pool: list[object]) -> None:
    """One random operation on one object."""
    it = rng.choice(objects)
    new = value(rng, pool, 2)
    if isinstance(it, list):
        rng.choice([lambda: it.append(new), lambda: it.clear(), lambda: it.insert(0, new), lambda: it.reverse()])()
        if isinstance(it, Listed):
            it.tag = new
    elif isinstance(it, dict):
        rng.choice([lambda: it.update(n=new), lambda: it.pop("a", 0), lambda: it.update({"a": new})])()
        if isinstance(it, Both):
            it.extra = new
        if isinstance(it, collections.OrderedDict) and "a" in it:
            it.move_to_end("a", last=rng.random() < 0.5)
    elif isinstance(it, set):
        it.symmetric_difference_update({rng.randrange(9), 77})
    elif isinstance(it, collections.deque):
        rng.choice([lambda: it.appendleft(new), lambda: it.rotate(1)])()
    elif isinstance(it, Data):
        rng.choice([lambda: setattr(it, "x", new), lambda: it.items.append(new), lambda: setattr(it, "more", new)])()
    elif isinstance(it, Slots):
        setattr(it, rng.choice("ab"), new)
    elif isinstance(it, bytearray):
        it += b"d"
    elif isinstance(it, pd.DataFrame):
        rng.choice(
            [lambda: it.insert(len(it.columns), rng.random(), 5), lambda: it.drop(index=it.index[:1], inplace=True)]
        )()
    elif isinstance(it, pd.Series):
        it.iloc[-1] = rng.randrange(99)
        it.name = rng.choice("st")
    elif isinstance(it, np.ndarray) and len(it):
        if it.dtype == object:
            it[0] = new
        else:
            it[-1] = rng.randrange(99)


def graph(roots: object) -> list[object]:
    """A text of everything below ``roots`` with numbers for shared objects and memory."""
    numbers: dict[int, int] = {}
    memory: list[tuple[int, int, int]] = []
    found: list[object] = []

    def walk(it: object) -> None:
        if it is None or isinstance(it, (int, float, str, bytes)):
            found.append(repr(it))
            return
        if id(it) in numbers:
            found.append(f"#{numbers[id(it)]}")
            return
        if not (type(it) is tuple and not it):
            numbers[id(it)] = len(numbers)
        found.append(type(it).__name__)
        if isinstance(it, dict):
            for k, v in it.items():
                found.append(repr(k))
                walk(v)
        elif isinstance(it, (list, tuple, collections.deque)):
            found.append(len(it))
            for v in it:
                walk(v)
        elif isinstance(it, (set, bytearray)):
            found.append(sorted(it))
        elif isinstance(it, np.ndarray):
            found.append((it.shape, str(it.dtype)))
            if it.dtype == object:
                for v in it.flat:
                    walk(v)
            else:
                found.append(it.tolist())
                low = it.__array_interface__["data"][0]
                same = next((n for first, last, n in memory if first <= low < last and it.nbytes), None)
                found.append(f"memory {same if same is not None else 'new'}")
                if same is None and it.nbytes:
                    memory.append((low, low + it.nbytes, len(memory)))
        elif isinstance(it, (pd.DataFrame, pd.Series)):
            found.append(it.to_json())
            found.append(getattr(it, "name", None))
        for name, v in (
            sorted(getattr(it, "__dict__", {}).items()) if not isinstance(it, (pd.DataFrame, pd.Series)) else ()
        ):
            found.append(name)
            walk(v)
        for name in getattr(type(it), "__slots__", ()):
            if hasattr(it, name):
                found.append(name)
                walk(getattr(it, name))

    walk(roots)
    return found


def _block() -> Block:
    nothing: frozenset[str] = frozenset()
    return Block("", {}, nothing, nothing, nothing, (), (), False, (), {}, "", 0, 0, "")


def once(seed: int) -> None:
    """One program, saved from one world and made again in another."""
    worlds = []
    for _ in range(2):
        rng = random.Random(seed)
        pool: list[object] = []
        bound = {f"n{i}": value(rng, pool) for i in range(4)}
        worlds.append(
            (
                rng,
                pool,
                Upstream(bound, frozenset(), {}),
                Built(Key.of([]), {}, lambda _: None, frozenset()),
            )
        )
    rng, pool, upstream, built = worlds[0]
    below = [v for v in pool if _within(v, upstream.bound)]
    walk = changes.Walk(_block(), upstream, built)
    reached = list(below)  # a body can put only what it reaches, and what it makes, into others
    for _ in range(rng.randrange(1, 6)):
        if below:
            change(rng, below, reached)
    result = [rng.choice(below) if below and rng.random() < 0.7 else 1, {"r": rng.choice(below) if below else 0}]
    found = list(walk.changes(lambda name, namespace: False))
    saved = {"result": result, ".changes": [c.made for c in found]}
    encoded = encode(
        saved,
        label=built.label,
        module_globals={"__name__": __name__},
        is_library=is_library,
        upstream=walk.objects(),
        address=walk.address,
        contents=[part for c in found for part in c.contents],
    )
    stream = b"".join(bytes(piece) for piece in encoded.stream)
    buffers = [memoryview(bytearray(b)) for b in encoded.buffers]
    _, _, other, built_there = worlds[1]
    back = decode(
        stream,
        buffers,
        resolve={}.__getitem__,
        module_globals=vars(sys.modules[__name__]),
        find=lambda way: changes.find(way, other, built_there),
    )
    changes.check(back[".changes"])
    changes.apply(back[".changes"])
    expected = graph([upstream.bound, result])
    got = graph([other.bound, back["result"]])
    assert got == expected, seed


def _within(it: object, bound: dict[str, object]) -> bool:
    return any(changes._leads(root, {id(it)}) for root in bound.values())


@pytest.mark.parametrize("start", range(0, 300, 50))
def test_changes_are_made_again(start):
    """Fifty programs: what was done to one world is done to the other."""
    for seed in range(start, start + 50):
        once(seed)


if __name__ == "__main__":
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        once(number)
