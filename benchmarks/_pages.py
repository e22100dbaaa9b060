"""The page cache: putting files out of it, and looking whether they are."""

from __future__ import annotations

import ctypes
import mmap
import os


def forget_pages(path: str | os.PathLike[str]) -> float:
    """Put all files at or below a path out of the page cache; the share of their pages that stayed."""
    below = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names] or [path]
    stayed = pages = 0
    for file in below:
        fd = os.open(file, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if size := os.fstat(fd).st_size:
            stayed += _resident(fd, size)
            pages += -(-size // mmap.PAGESIZE)
        os.close(fd)
    return stayed / max(pages, 1)


def _resident(fd: int, size: int) -> int:
    """How many pages of a file are in the page cache."""
    flags = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    with mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE) as view:
        first = ctypes.c_char.from_buffer(view)
        failed = ctypes.CDLL(None).mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), flags)
        del first
    return len(flags) if failed else sum(flag & 1 for flag in bytes(flags))
