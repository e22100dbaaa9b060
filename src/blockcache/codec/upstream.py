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
_SHORT = 1 << 16
_NOBODY = tuple(object() for _ in range(_FIRST))


def memo_of(upstream: Sequence[object]) -> dict[int, tuple[int, object]]:
    """A pickler's memo in which the upstream objects are known; None among them is nobody."""
    known: list[object] = [*_NOBODY, *upstream]
    spare = iter([object() for value in upstream if value is None])
    return {id(v): (i, v) for i, v in enumerate(next(spare) if v is None else v for v in known)}


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
    wanted = re.compile(rb"j(?=(..\0\0))" if _FIRST + size < _SHORT else rb"j(?=(....))", re.DOTALL)
    # Some of what looks like a number is a part of something else; a way too many does no harm.
    used = {int.from_bytes(m[1], "little") for piece in stream if type(piece) is bytes for m in wanted.finditer(piece)}
    # None stands where an object is not asked for, so that the reader counts on from the same number.
    parts = [b"N", b"\x94" * (_FIRST + size), b"0"]
    for number in sorted(used):
        if _FIRST <= number < _FIRST + size:
            way = pickle.dumps(address(number - _FIRST), 5)
            parts += [b"B", struct.pack("<I", len(way)), way, b"Qr", struct.pack("<I", number), b"0"]
    body = b"".join(parts)
    return b"\x80\x05\x95" + struct.pack("<Q", len(body)) + body
