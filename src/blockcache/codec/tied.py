"""Kinds of the standard library that pickle would save as less than they are."""

from __future__ import annotations

import pickle
import re
from typing import Any

from blockcache.codec import rebuild
from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

#: By module and name: what each of them stands for ends with the process, and pickle saves where that was.
_TIED = {
    ("multiprocessing.managers", "BaseManager"): "a manager's process ends with this one",
    ("multiprocessing.managers", "BaseProxy"): "its value lives in another process",
    ("multiprocessing.shared_memory", "SharedMemory"): "shared memory ends with its processes",
    ("multiprocessing.shared_memory", "ShareableList"): "shared memory ends with its processes",
    ("tempfile", "TemporaryDirectory"): "its directory is removed with it",
}


def reducer(cls: type) -> Reducer | None:
    """The reducer of a class of these modules, None for those that plain pickle may have."""
    if cls is re.Match:
        return _match
    for base in cls.__mro__:
        why = _TIED.get((base.__module__, base.__qualname__))
        if why is not None:
            return _refuser(f"cannot pickle {cls.__qualname__!r} object: {why}")
    return None


def _refuser(why: str) -> Reducer:
    def refuse(_value: Any, _collector: Collector) -> Any:
        raise pickle.PicklingError(why)

    return refuse


def _match(found: re.Match[Any], _collector: Collector) -> Any:
    """What was found is found again, where the same method finds it from the same start."""
    if type(found.string) in (str, bytes):
        for method in ("search", "match", "fullmatch"):
            again = rebuild.match_again(found.re, method, found.string, found.pos, found.endpos)
            if again is not None and (again.regs, again.lastindex) == (found.regs, found.lastindex):
                return rebuild.match_again, (found.re, method, found.string, found.pos, found.endpos)
    return NotImplemented
