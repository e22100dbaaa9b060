"""Values that are objects which a hit has already: in the stream they are the way to them.

Pickle writes an object that it has met before as a number. So a pickler that is told of the upstream objects
beforehand writes only their numbers, at no cost for any other object; and a stream that begins by putting those
objects where the numbers say is read by any unpickler, which asks ``persistent_load`` for each of them.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable, Iterable, Sequence

#: Numbers below are written in another form, which is hard to find in a stream.
_FIRST = 256
_NOBODY = tuple(object() for _ in range(_FIRST))
#: How many numbers differ in the lowest of their four bytes only.
_STEP = 256


def memo_of(upstream: Sequence[object]) -> dict[int, tuple[int, object]]:
    """A pickler's memo in which the upstream objects are known; None among them is nobody."""
    known: list[object] = [*_NOBODY, *upstream]
    known += [None] * (_end(len(upstream)) - len(known))
    spare = iter([object() for value in known if value is None])
    return {id(v): (i, v) for i, v in enumerate(next(spare) if v is None else v for v in known)}


def _end(size: int) -> int:
    """The first number that is not of one of ``size`` upstream objects: none of its step is, so upper bytes tell."""
    return _FIRST + size + -size % _STEP


def preamble(stream: Iterable[bytes | memoryview], size: int, address: Callable[[int], object]) -> bytes:
    """What goes before a stream that was written with a memo of ``size`` upstream objects.

    Parameters
    ----------
    stream
        The stream in pieces, as it was written.
    size
        How many upstream objects the pickler knew.
    address
        The way to the one of a number, as plain values.
    """
    end = _end(size)
    wanted = _numbers_below(end)
    # Some of what looks like a number is a part of something else; a way too many does no harm.
    found: set[bytes] = set()
    for piece in stream:
        if type(piece) is bytes:
            found.update(wanted.findall(piece))
    used = {int.from_bytes(number, "little") for number in found}
    # None stands where an object is not asked for, so that the reader counts on from the same number.
    parts = [b"N", b"\x94" * end, b"0"]
    for number in sorted(used):
        if _FIRST <= number < _FIRST + size:
            way = pickle.dumps(address(number - _FIRST), 5)
            parts += [b"B", struct.pack("<I", len(way)), way, b"Qr", struct.pack("<I", number), b"0"]
    body = b"".join(parts)
    return b"\x80\x05\x95" + struct.pack("<Q", len(body)) + body


def _numbers_below(end: int) -> re.Pattern[bytes]:
    """Finds the numbers below ``end`` and few others: keys that a million dicts share are numbers too."""
    if end <= _FIRST + _STEP:
        # They end in what no other number ends in: that is looked for first, the rest before it.
        return re.compile(re.escape(struct.pack("<I", _FIRST)[1:]) + b"(?<=j(....))", re.DOTALL)
    digits = struct.pack("<I", end)
    ranges = [
        b"." * place + b"[\\x00-\\x%02x]" % (digits[place] - 1) + re.escape(digits[place + 1 :])
        for place in reversed(range(len(digits)))
        if digits[place]
    ]
    return re.compile(b"j(?=(" + b"|".join(ranges) + b"))", re.DOTALL)
