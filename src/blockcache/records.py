"""Small records on disk that save later processes time: what is known of sources and of blobs, one file each.

A record that is damaged, of another version or gone costs the time of making it again, and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import json
import marshal
import os
import struct
import sys
from types import CodeType
from typing import Any

import xxhash

from blockcache import settings

_MOST_KEPT = 4000
_HERE = os.path.dirname(__file__)
#: Records are made again when any of the code that makes them is another.
_MAKERS = (
    "analysis",
    "earlier.py",
    "fingerprint/code.py",
    "fingerprint/touches.py",
    "frames/locate.py",
    "index.py",
    "outlines.py",
)


def load(name: str) -> Any:
    """The record of that name as it was saved; None without one."""
    if not name:
        return None
    try:
        with open(os.path.join(_folder(), name), "rb") as file:
            digest, _, data = file.read().partition(b"\n")
        return json.loads(data) if _seal(name, data) == digest else None
    except (OSError, ValueError, RecursionError):
        return None


def save(name: str, record: object) -> None:
    """Leave a record for later processes; where that cannot be, nothing is lost."""
    if not name:
        return
    data = json.dumps(record).encode()
    path = os.path.join(_folder(), name)
    temporary = f"{path}.{os.getpid()}"
    with contextlib.suppress(OSError):
        os.makedirs(_folder(), mode=0o700, exist_ok=True)
        _make_room(_folder())
        with open(temporary, "wb") as file:
            file.write(_seal(name, data) + b"\n" + data)
        os.replace(temporary, path)


def _folder() -> str:
    return os.path.join(settings.local_folder(), "blocks")


def _seal(name: str, data: bytes) -> bytes:
    """Tells a record that is whole and that was saved under this name."""
    return xxhash.xxh3_128_hexdigest(name.encode() + data).encode()


def _make_room(folder: str) -> None:
    """Drop the records that were made longest ago when there are many: each edit of a file leaves some behind."""
    names = os.listdir(folder)
    if len(names) > _MOST_KEPT:
        paths = [os.path.join(folder, name) for name in names]
        for path in sorted(paths, key=lambda p: os.stat(p).st_mtime_ns)[: len(paths) // 2]:
            os.unlink(path)


def name_of(*what: object) -> str:
    """Name for a record of what is shown by these texts and numbers; "", which holds nothing, where none can be."""
    if not _edition():
        return ""
    text = repr((what, sys.version_info[:3], sys.flags.optimize, _edition()))
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


# By identity; the code object is kept so that its id stays its own.
_digests: dict[int, tuple[CodeType, str]] = {}


def code_digest(code: CodeType) -> str:
    """Digest of all that was compiled into a code object, with lines and nested code, but not where its file lies.

    Whoever has the same digest was compiled from the same statements at the same places.
    """
    known = _digests.get(id(code))
    if known is None:
        # Version 0 has no references, which would tell how often an object is used elsewhere.
        data = marshal.dumps(code, 0)
        file = code.co_filename.encode("utf-8", "surrogatepass")
        data = data.replace(struct.pack("<I", len(file)) + file, b"")
        known = _digests[id(code)] = (code, xxhash.xxh3_128_hexdigest(data))
    return known[1]


@functools.cache
def _edition() -> str:
    """Which code makes the records: sizes and times of its files; "" where they cannot be seen (an archive, rights)."""
    found = []
    try:
        for maker in _MAKERS:
            path = os.path.join(_HERE, maker)
            for file in sorted(os.listdir(path)) if not maker.endswith(".py") else [""]:
                stat = os.stat(os.path.join(path, file) if file else path)
                found.append((file, stat.st_size, stat.st_mtime_ns))
    except OSError:
        return ""
    return repr(found)
