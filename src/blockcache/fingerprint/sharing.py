"""Which of the objects in a value that can change are one object: a change of one is a change of all.

Only objects that can change count. Whether two equal texts or tuples are one object differs between processes; of
tuples it is what they hold that counts.
"""

from __future__ import annotations

import collections
import gc
import sys
import weakref
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from blockcache.fingerprint import modules
from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.plain import PLAIN
from blockcache.fingerprint.reduce import stands_for
from blockcache.fingerprint.registry import changing, rule_for
from blockcache.fingerprint.standard import standard_rule

#: In a value of more parts it is not looked at: that would take as long as the rest of the fingerprint.
MOST_PARTS = 100_000
_CHANGING = (list, dict, set, bytearray, collections.deque)
_WALKED = frozenset((list, dict, tuple))
_PLAIN = frozenset(PLAIN)


def pattern(value: object, met: Sequence[tuple[object, Any]], ignored: tuple[type, ...] = ()) -> bytes:
    """A digest of who is who; empty where every object is met once.

    Parameters
    ----------
    value
        What the fingerprint is of.
    met
        The objects in it that are no builtin containers, in the order in which they were met, and what stands for each.
    ignored
        Types whose instances do not count.
    """
    level = _roots(value, met, ignored) if met else [value]
    if len(level) == 1 and type(value) not in _WALKED:
        return b""
    return _who_is_who(level, ignored) if _is_any_met_twice(level) else b""


def _roots(value: object, met: Iterable[tuple[object, Any]], ignored: tuple[type, ...]) -> list[object]:
    """Where to look: the value, and what the objects in it hold, each of them once."""
    found = [value]
    known = set[int]()
    for owner, reduced in met:
        kind = _kind(type(owner))
        if kind.changes and not issubclass(type(owner), ignored):
            if id(owner) in known:
                continue
            known.add(id(owner))
        elif kind.closed:
            continue
        found += [part for part in _parts(owner, reduced) if type(part) not in _PLAIN and not _is_flat(part)]
    return found


def _is_flat(part: object) -> bool:
    return type(part) is tuple and _PLAIN.issuperset(map(type, part))


def _is_any_met_twice(level: list[object]) -> bool:
    """Whether any object may be: most values are let go by this quick look."""
    known = set[int]()
    left = MOST_PARTS
    while level:
        noted = [part for part in level if type(part) is not tuple]
        count = len(known) + len(noted)
        known.update(map(id, noted))
        if len(known) < count:
            return True
        walked: list[Any] = [part for part in level if type(part) in _WALKED]
        left -= sum(map(len, walked))
        if left < 0:
            return False
        level = _below(walked)
    return False


def _who_is_who(level: list[object], ignored: tuple[type, ...]) -> bytes:
    numbers: dict[int, int] = {}
    found = array("q")
    left = MOST_PARTS
    while level:
        walked: list[Any] = []
        for part in level:
            if type(part) is tuple:
                walked.append(part)
            elif _kind(type(part)).changes and not issubclass(type(part), ignored):
                new = len(numbers)
                number = numbers.setdefault(id(part), new)
                if number == new and type(part) in _WALKED:
                    walked.append(part)
                found.append(number)
        left -= sum(map(len, walked))
        if left < 0:
            return b""
        level = _below(walked)
    return digest(found) if len(found) > len(numbers) else b""


def _below(walked: list[object]) -> list[object]:
    parts = gc.get_referents(*walked)
    return [] if _PLAIN.issuperset(map(type, parts)) else [part for part in parts if type(part) not in _PLAIN]


def _parts(owner: Any, reduced: Any) -> list[object]:
    """What an object holds; the dictionary of its attributes is no object of its own."""
    if type(reduced) is not tuple:
        return []
    make, arguments, *more = reduced
    if make is not stands_for:
        found = list(arguments)
    else:  # first is what its type is called
        content = arguments[1] if len(arguments) == 2 else arguments[1:]
        found = list(content) if type(content) is tuple else [content]
    if more:
        for attributes in more[0] if type(more[0]) is tuple else (more[0],):
            found += attributes.values() if type(attributes) is dict else (attributes,)
    # The iterators of items are used up.
    if isinstance(owner, dict):
        found += dict.values(owner)
    elif isinstance(owner, (list, collections.deque)):
        base: Any = list if isinstance(owner, list) else collections.deque
        found += base.__iter__(owner)
    return found


class _Kind(NamedTuple):
    """What objects of a class are here.

    Attributes
    ----------
    changes
        They can change, so that it counts which of them are one.
    closed
        What stands for them is made for the fingerprint, and nobody has it who could change it.
    """

    changes: bool
    closed: bool


# By identity: a metaclass may have a hash of its own.
_known: dict[int, tuple[weakref.ref[type], _Kind]] = {}


def _kind(cls: type) -> _Kind:
    known = _known.get(id(cls))
    if known is not None and known[0]() is cls:
        return known[1]
    number = id(cls)
    closed = getattr(cls, "__fingerprint__", None) is not None or rule_for(cls) is not None
    found = _Kind(_changes(cls, closed), closed)
    _known[number] = weakref.ref(cls, lambda _: _known.pop(number, None)), found
    return found


def _changes(cls: type, closed: bool) -> bool:
    if getattr(cls, "__fingerprint__", None) is not None:
        return False
    if issubclass(cls, _CHANGING) or changing(cls):
        return True
    if closed or issubclass(cls, _VALUES) or standard_rule(cls) is not None:
        return False
    frozen = getattr(getattr(cls, "__dataclass_params__", None), "frozen", False)
    module = sys.modules.get(cls.__module__)
    return not frozen and module is not None and modules.origin_of_module(module) == "local"


#: What is derived from these is a value itself.
_VALUES = (int, float, complex, str, bytes, tuple, frozenset, type, BaseException)
