"""What kind of file system a folder is on, whether other machines change it, and how a file there stands now."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator

#: Network file systems, and those of a machine that this one is a guest of. Everything in FUSE counts too: most of it
#: is remote, and what is not is only read more slowly.
_SHARED = frozenset(
    (
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "vboxsf",
        "virtiofs",
    )
)

_MOUNTS = "/proc/self/mountinfo"
_ESCAPED = re.compile(rb"\\([0-7]{3})")


#: For `statx`: relative to the working directory; ask the server; the common facts; the size of the answer.
_HERE, _FORCE_SYNC, _BASIC, _ANSWER_BYTES = -100, 0x2000, 0x7FF, 256


def status(path: str) -> os.stat_result:
    """What `os.stat` tells; where other machines may change files, what their server says now.

    Such a file system keeps what it knows of a file for seconds, or as long as the mount says.

    Raises
    ------
    OSError
        As of `os.stat`.
    """
    found: os.stat_result | None = None
    where = path
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(path)
    if found is None:
        where = os.path.dirname(path) or "."  # a folder that has changed says anew what is in it
    device = found.st_dev if found is not None else _device_of(where)
    if device is not None and _is_shared_device(device):
        _ask_server(where)
        found = None
    return found if found is not None else os.stat(path)


def _device_of(folder: str) -> int | None:
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def _ask_server(path: str) -> None:
    """Let the system forget what it remembers of a file; where it cannot, nothing happens."""
    ask = _asker()
    if ask is not None:
        ask(os.fsencode(path))


@functools.cache
def _asker() -> Callable[[bytes], object] | None:
    try:
        import ctypes  # slow to import, and local files do without

        statx = ctypes.CDLL(None).statx
    except (ImportError, OSError, AttributeError):  # not on Linux
        return None
    return lambda path: statx(_HERE, path, _FORCE_SYNC, _BASIC, ctypes.create_string_buffer(_ANSWER_BYTES))


@functools.lru_cache(maxsize=1000)
def _is_shared_device(device: int) -> bool:
    number = b"%d:%d" % (os.major(device), os.minor(device))
    return any(is_shared(kind.decode(errors="replace")) for found, _, kind in _mounts(_MOUNTS) if found == number)


def _mounts(table: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Device, place and type of what is mounted."""
    try:
        with open(table, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        # "36 35 98:0 /root /mnt/point rw,noatime master:1 - ext3 /dev/root rw"; blanks in a path are escaped.
        fields, _, rest = line.partition(b" - ")
        _, _, device, _, point, *_ = fields.split(b" ")
        yield device, _ESCAPED.sub(lambda digits: bytes([int(digits[1], 8)]), point), rest.split(b" ")[0]


def kind_of(folder: str, mounts: str = _MOUNTS) -> str:
    """The type of the file system that a folder is, or would be, on; empty where the system does not say."""
    path = os.fsencode(os.path.realpath(folder)) + b"/"
    longest, found = -1, b""
    for _, place, kind in _mounts(mounts):
        point = place.rstrip(b"/") + b"/"
        if path.startswith(point) and len(point) >= longest:  # of two at one place the later one is on top
            longest, found = len(point), kind
    return found.decode(errors="replace")


def is_shared(kind: str) -> bool:
    """Whether other machines may change, truncate or remove files on such a file system while this one maps them."""
    return kind in _SHARED or kind.startswith("fuse.")
