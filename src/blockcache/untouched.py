"""Maps of files that nobody has written to: what their bytes are is known without reading them.

A store maps a large blob copy-on-write, so a page that the program has written is the process's own and no longer the
file's. Linux tells the two apart (``/proc/self/pagemap``). Where every page of a buffer is the file's, and the file is
still the blob, the buffer's bytes are a part of the blob.

Nothing is believed that was true before: each question is answered by what the kernel and the file system say now.
``docs/known-digests.md`` lists what can happen to such memory, and how each of it shows.
"""

from __future__ import annotations

import bisect
import functools
import math
import mmap
import os
import struct
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

#: From this size up asking costs less than a digest of the bytes.
WORTH_BYTES = 1 << 20
#: The same where the kernel has to list all maps to tell of one, which takes it a millisecond.
_WORTH_A_LIST_BYTES = 16 << 20

#: Read at once where parts are; less costs time when threads are busy.
_PIECE_BYTES = 16 << 20

_PAGE = mmap.PAGESIZE
_ENTRY_BYTES = 8
#: Entries of the page map that are read at once: those of 1 GB.
_AT_ONCE = 1 << 18
#: The upper eight bits of the entry of a file's page: not there yet; or present and of a file, perhaps of nobody else.
#: A page of the process's own lacks the file bit or has that of swap; what else there may be is not understood.
_OF_A_FILE = bytes((0x00, 0xA0, 0xA1))

#: PROCMAP_QUERY of Linux 6.11: its number; its argument (size, flags, address, then start, end, flags, page size,
#: offset, inode, device, sizes of name and build id, their addresses); the flag of a shared map.
_QUERY = 0xC0686611
_ASKED = struct.Struct("<9Q4I2Q")
_SHARED = 0x8
_LONGEST_NAME = 4096


class Part(NamedTuple):
    """Bytes of a blob, as they are in memory.

    Attributes
    ----------
    digest, blob_size
        Of the whole blob.
    start, size
        Which of its bytes.
    path
        Where the blob is.
    stands
        Tells from the file's status whether it still is one.
    """

    digest: str
    blob_size: int
    start: int
    size: int
    path: str
    stands: Callable[[os.stat_result], bool]


class _Map(NamedTuple):
    """A blob in memory."""

    start: int
    size: int
    digest: str
    path: str
    stands: Callable[[os.stat_result], bool]
    hold: weakref.ref[Any]


class _Found(NamedTuple):
    """What the kernel says of the map around an address; its name is the file's path."""

    start: int
    end: int
    is_private: bool
    offset: int
    name: bytes


# By first address, and the addresses in order. A map that is gone leaves by itself; until it has, the kernel tells.
_maps: dict[int, _Map] = {}
_starts: list[int] = []
_lock = threading.RLock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)  # another thread may have held it


def watch(owner: mmap.mmap, path: str, digest: str, stands: Callable[[os.stat_result], bool]) -> None:
    """Know from now on that ``owner`` is a private map of all of the blob ``digest``, the file ``path``.

    ``stands`` tells from the file's status whether its bytes are still those of the blob.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        start, size = _extent(owner)
    except ImportError:  # a Python without ctypes
        return

    def forget(hold: weakref.ref[Any]) -> None:
        with _lock:
            if start in _maps and _maps[start].hold is hold:  # the addresses may be another map's already
                del _maps[start], _starts[bisect.bisect_left(_starts, start)]

    with _lock:
        if start not in _maps:
            bisect.insort(_starts, start)
        _maps[start] = _Map(start, size, digest, path, stands, weakref.ref(owner, forget))


def part_of(buffer: Any) -> Part | None:
    """Which bytes of a blob those of ``buffer`` are; None where that cannot be told without reading them."""
    if not _maps or memoryview(buffer).nbytes < WORTH_BYTES:
        return None
    try:
        start, size = _extent(buffer)
        blob = _around(start, size)
        if blob is None or size < _worth_bytes(blob.path):
            return None
        # In this order: when the first page was looked at all were the file's, and afterwards it was still the blob.
        if _is_mapped(blob) and _is_unwritten(start, size):
            status = os.stat(blob.path)
            if status.st_size == blob.size and blob.stands(status):
                return Part(blob.digest, blob.size, start - blob.start, size, blob.path, blob.stands)
    except (OSError, ImportError, BufferError, ValueError):  # nobody to ask, or no leave to; memory in pieces
        pass
    return None


def whole_of(buffer: Any) -> tuple[memoryview, int] | None:
    """The memory of the blob that ``buffer`` is a part of, and where in it that begins.

    None where all of that memory is not known to be the blob's, or ``buffer`` is all of it.
    """
    part = part_of(buffer)
    if part is None or part.size == part.blob_size:
        return None
    blob = _around(*_extent(buffer))
    owner: Any = blob.hold() if blob is not None else None
    whole = part_of(owner) if owner is not None else None
    if whole is None or (whole.digest, whole.size) != (part.digest, part.blob_size):
        return None
    return memoryview(owner).cast("B"), part.start


def _around(start: int, size: int) -> _Map | None:
    """The map that holds these addresses."""
    with _lock:
        at = bisect.bisect_right(_starts, start) - 1
        found = _maps.get(_starts[at]) if at >= 0 else None
    return found if found is not None and size and start + size <= found.start + found.size else None


def read(part: Part, take: Callable[[memoryview], object]) -> bool:
    """Give ``take`` the bytes of a part, out of its file; whether they were the blob's."""
    memory = memoryview(bytearray(min(_PIECE_BYTES, part.size)))
    try:
        with open(part.path, "rb", buffering=0) as file:
            file.seek(part.start)
            left = part.size
            while left:
                count = file.readinto(memory[: min(left, _PIECE_BYTES)])
                if not count:
                    return False
                take(memory[:count])
                left -= count
            status = os.fstat(file.fileno())
    except OSError:
        return False
    return status.st_size == part.blob_size and part.stands(status)


# -- what the kernel says -----------------------------------------------------------------------


def _is_mapped(blob: _Map) -> bool:
    """Whether a blob's addresses are a private map of the file that is at its path, of all of it and nothing else."""
    found = _map_at(blob.start)
    if found is None or not found.is_private or found.offset or found.start != blob.start:
        return False
    if found.end != blob.start + -(-blob.size // _PAGE) * _PAGE:
        return False
    # The kernel adds something to the name of a file that is at its path no more.
    return found.name == os.fsencode(blob.path) or found.name == os.fsencode(os.path.realpath(blob.path))


def _is_unwritten(start: int, size: int) -> bool:
    """Whether every page of these addresses is a file's."""
    first, end = start // _PAGE, -(-(start + size) // _PAGE)
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for page in range(first, end, _AT_ONCE):
            wanted = min(_AT_ONCE, end - page) * _ENTRY_BYTES
            entries = os.pread(fd, wanted, page * _ENTRY_BYTES)
            if len(entries) != wanted or entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES].translate(None, _OF_A_FILE):
                return False
    finally:
        os.close(fd)
    return True


def _map_at(address: int) -> _Found | None:
    """The map around an address."""
    try:
        return _asked(address) if _can_ask() else _listed(address)
    except FileNotFoundError:  # none
        return None


def _asked(address: int) -> _Found:
    import ctypes
    import fcntl

    name = ctypes.create_string_buffer(_LONGEST_NAME)
    asked = bytearray(_ASKED.pack(_ASKED.size, 0, address, *[0] * 8, len(name), 0, ctypes.addressof(name), 0))
    fd = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _QUERY, asked)
    finally:
        os.close(fd)
    _, _, _, start, end, flags, _, offset, *_ = _ASKED.unpack(asked)
    return _Found(start, end, not flags & _SHARED, offset, name.value)


def _listed(address: int) -> _Found | None:
    """The same from the list of all maps; None without one that begins there."""
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            if line.startswith(b"%08x-" % address):
                place, rights, offset, _device, _inode, *name = line.rstrip(b"\n").split(None, 5)
                end = int(place.partition(b"-")[2], 16)
                return _Found(address, end, rights.endswith(b"p"), int(offset, 16), name[0] if name else b"")
    return None


@functools.cache
def _can_ask() -> bool:
    """Whether the kernel tells of one map without listing all."""
    try:
        _asked(_extent(b"any address that is mapped")[0])
    except OSError:
        return False
    return True


def _worth_bytes(path: str) -> float:
    """From which size up asking costs less than reading; never, where the kernel does not answer as it should."""
    global _worth
    if _worth is None:
        _worth = (WORTH_BYTES if _can_ask() else _WORTH_A_LIST_BYTES) if _answers(path) else math.inf
    return _worth


_worth: float | None = None


def _answers(path: str) -> bool:
    """Whether reading and writing pages of a map show as they should: tried once, on a map of the file ``path``."""
    with open(path, "rb") as file:
        trial = mmap.mmap(file.fileno(), 3 * _PAGE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    trial.madvise(mmap.MADV_RANDOM)  # read no more than these
    start, size = _extent(trial)
    trial[_PAGE] = trial[_PAGE]  # a page that is written, with what is in it; the next is left alone
    read = trial[0]
    found = _map_at(start)
    right = (
        found is not None
        and found.start == start
        and found.is_private
        and _is_unwritten(start, _PAGE)
        and not _is_unwritten(start + _PAGE, _PAGE)
        and _is_unwritten(start + 2 * _PAGE, _PAGE)
        and not _is_unwritten(start, size)
    )
    trial.close()
    return right and read is not None


# -- where a buffer is --------------------------------------------------------------------------


def _extent(buffer: Any) -> tuple[int, int]:
    """First address and size of contiguous memory."""
    import ctypes  # slow to import, and whoever has large arrays has imported it

    view = _view_type()()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(view), 0)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return view.buf or 0, view.len


@functools.cache
def _view_type() -> Any:
    """Python's ``Py_buffer``."""
    import ctypes

    class View(ctypes.Structure):
        _fields_ = [
            ("buf", ctypes.c_void_p),
            ("obj", ctypes.c_void_p),
            ("len", ctypes.c_ssize_t),
            ("itemsize", ctypes.c_ssize_t),
            ("readonly", ctypes.c_int),
            ("ndim", ctypes.c_int),
            ("format", ctypes.c_char_p),
            *((name, ctypes.c_void_p) for name in ("shape", "strides", "suboffsets", "internal")),
        ]

    return View
