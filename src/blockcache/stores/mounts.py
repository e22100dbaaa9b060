"""What kind of file system a folder is on, and whether other machines change it."""

from __future__ import annotations

import os
import re

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


def kind_of(folder: str, mounts: str = _MOUNTS) -> str:
    """The type of the file system that a folder is, or would be, on; empty where the system does not say."""
    path = os.fsencode(os.path.realpath(folder)) + b"/"
    try:
        with open(mounts, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    longest, found = -1, b""
    for line in lines:
        # "36 35 98:0 /root /mnt/point rw,noatime master:1 - ext3 /dev/root rw"; blanks in a path are escaped.
        fields, _, rest = line.partition(b" - ")
        point = _ESCAPED.sub(lambda digits: bytes([int(digits[1], 8)]), fields.split(b" ")[4]).rstrip(b"/") + b"/"
        if path.startswith(point) and len(point) >= longest:  # of two at one place the later one is on top
            longest, found = len(point), rest.split(b" ")[0]
    return found.decode(errors="replace")


def is_shared(kind: str) -> bool:
    """Whether other machines may change, truncate or remove files on such a file system while this one maps them."""
    return kind in _SHARED or kind.startswith("fuse.")
