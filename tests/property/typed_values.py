"""Random values that have a typed form, and whether two of them are the same to a program."""

from __future__ import annotations

import datetime
import decimal
import math
import random
import struct

import numpy as np

_FLOATS = (0.0, -0.0, 0.1, 1e300, math.nan, np.nan, float("nan"), math.inf, -math.inf)
_TEXTS = ("", "a", "é", "ab", "name", "x" * 2000, "\ud800", "\ud83d\ude00", "\U0001f600")
_OTHERS = (1j, range(3), slice(1, None), datetime.date(2020, 1, 1), decimal.Decimal("1.0"), ..., int)


def value(rng: random.Random, pool: list, depth: int = 0):
    """A value; some of them are, or hold, values of the pool, or themselves."""
    if pool and rng.random() < 0.25:
        return rng.choice(pool)
    kind = rng.randrange(18 if depth < 4 else 9)
    size = range(rng.randrange(4))
    if kind == 0:
        made = None
    elif kind == 1:
        made = rng.choice([0, -1, 2**63, -(2**63), 2**63 - 1, 10**30, True])
    elif kind == 2:
        made = rng.choice(_FLOATS)
    elif kind == 3:
        made = rng.choice(_TEXTS)
    elif kind == 4:
        made = "".join(rng.choices("abcé", k=rng.randrange(5)))
    elif kind == 5:
        made = rng.choice([b"", b"a", b"abc" * 3, bytes(5000), bytearray(b"xy")])
    elif kind == 6:
        made = rng.choice(_OTHERS)
    elif kind == 7:
        made = np.arange(float(rng.randrange(4)))
    elif kind == 8:
        made = np.float64(1.5)
    elif kind <= 11:
        made = [value(rng, pool, depth + 1) for _ in size]
    elif kind == 12:
        made = tuple(value(rng, pool, depth + 1) for _ in size)
    elif kind == 13:
        made = [f"abc{rng.randrange(5)}" for _ in size]
    else:
        keys = [key for key in (value(rng, pool, 9) for _ in size) if _hashable(key)]
        made = {key: value(rng, pool, depth + 1) for key in keys} if kind < 17 else set(keys)
    if rng.random() < 0.3:
        pool.append(made)
    if type(made) is list and rng.random() < 0.1:
        made.append(made)
    if type(made) is dict and rng.random() < 0.1:
        made["me"] = made
    return made


def _hashable(key) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def difference(a, b, seen: dict, origin: dict) -> str:
    """What tells ``b``, which was made of ``a``, from it; empty when nothing does, identity within them included."""
    if type(a) is not type(b):
        return f"{type(a)} became {type(b)}"
    alone = isinstance(a, (int, float, type(None), type(...), type)) or (
        isinstance(a, (str, bytes, tuple)) and len(a) < 2
    )
    if not alone:
        if id(a) in seen:
            return "" if seen[id(a)] is b else f"{a!r:.60} is another object"
        # Texts that are equal may be one object; nothing else may.
        if not isinstance(a, str) and origin.get(id(b), a) is not a:
            return f"{a!r:.60} is the same object as another"
        seen[id(a)], origin[id(b)] = b, a
    if isinstance(a, float):
        same = struct.pack("d", a) == struct.pack("d", b)
        return "" if same and all((a is n) == (b is n) for n in (math.nan, np.nan)) else f"{a} became {b}"
    if isinstance(a, (list, tuple)):
        return _of_items(a, b, seen, origin)
    if isinstance(a, dict):
        return _of_items([x for p in a.items() for x in p], [x for p in b.items() for x in p], seen, origin)
    if isinstance(a, set):
        return "" if sorted(map(repr, a)) == sorted(map(repr, b)) else f"{a!r:.60} became {b!r:.60}"
    same = a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b
    return "" if same else f"{a!r:.60} became {b!r:.60}"


def _of_items(a, b, seen: dict, origin: dict) -> str:
    if len(a) != len(b):
        return f"{len(a)} items became {len(b)}"
    return next(filter(None, (difference(x, y, seen, origin) for x, y in zip(a, b, strict=True))), "")
