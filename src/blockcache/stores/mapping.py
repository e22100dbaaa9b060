"""A file's bytes as memory of the caller's own: mapped copy-on-write, or read."""

from __future__ import annotations

import functools
import mmap
import os
import sys
from collections.abc import Callable

_PRIVATE = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
_MAP_FIXED = 0x10


def read(fd: int, size: int) -> memoryview:
    """The first ``size`` bytes of a file, or what there is of them."""
    memory = memoryview(bytearray(size))
    done = 0
    while done < size:
        count = os.readv(fd, [memory[done:]])
        if not count:  # truncated meanwhile
            return memory[:done]
        done += count
    return memory


if sys.version_info >= (3, 13):

    def map_private(fd: int, size: int) -> mmap.mmap:
        """A copy-on-write map of the file that holds no descriptor."""
        return mmap.mmap(fd, size, flags=_PRIVATE, prot=_READ_WRITE, trackfd=False)

else:

    def map_private(fd: int, size: int) -> mmap.mmap:
        """A copy-on-write map of the file that holds no descriptor.

        Python's own map of a file duplicates the descriptor. So it maps nothing, and the file is mapped over
        that; it frees the addresses when the last user lets go, in the right order even in a reference
        cycle, which no finalizer of ours could promise.
        """
        import ctypes  # slow to import, and small entries do without

        owner = mmap.mmap(-1, size, flags=_PRIVATE | mmap.MAP_ANONYMOUS, prot=_READ_WRITE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(owner))
        remap = _system_mmap()
        if remap(address, size, _READ_WRITE, _PRIVATE | _MAP_FIXED, fd, 0) != address:
            error = ctypes.get_errno()
            # The addresses may be free now, and are the owner's to free: take them back.
            remap(address, size, _READ_WRITE, _PRIVATE | _MAP_FIXED | mmap.MAP_ANONYMOUS, -1, 0)
            raise OSError(error, os.strerror(error))
        return owner

    @functools.cache
    def _system_mmap() -> Callable[[int, int, int, int, int, int], int | None]:
        import ctypes

        function = ctypes.CDLL(None, use_errno=True).mmap
        function.restype = ctypes.c_void_p
        numbers = (ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
        function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *numbers)
        return function
