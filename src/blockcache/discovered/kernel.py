"""What Linux tells of files that are opened in folders: fanotify, which needs no rights since Linux 5.13.

Of each event the kernel says the folder, the name in it, and whether this process did it: of others it says that
they were others.
"""

from __future__ import annotations

import contextlib
import functools
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

_MODIFY, _CLOSE_WRITE, OPEN, _MOVED_TO, _CREATE = 0x2, 0x8, 0x20, 0x80, 0x100
#: Content was changed for sure; the file is another one; it may have been changed, through a memory map.
CHANGED, MADE, WRITABLE = _MODIFY, _CREATE | _MOVED_TO, _CLOSE_WRITE
_ON_CHILD = 0x08000000
_OVERFLOW = 0x4000
_WHAT = CHANGED | MADE | WRITABLE | OPEN | _ON_CHILD

_INIT_FLAGS = 0x1 | 0x2 | 0xC00  # close on exec, do not wait, name the folder and the name in it
_ADD_FOLDER, _REMOVE_ALL = 0x1 | 0x8, 0x80
_USE_ERRNO = 0x8
_HERE, _FOLLOW, _NO_DECODING = -100, 0x400, 0x200
_HANDLE_BYTES = 128
_METADATA = struct.Struct("=IBBHQii")
_INFO = struct.Struct("=BBHI")  # type, padding, length, first half of the file system's number
_HANDLE = struct.Struct("=Ii")
_FOLDER_AND_NAME = 2
_CHUNK_BYTES = 1 << 16


class Folder:
    """A folder that is listened to.

    Attributes
    ----------
    paths
        The absolute names that it was given under.
    since_ns
        When that began.
    links
        By name in it: absolute names of symlinks that lead there.
    """

    __slots__ = ("links", "paths", "since_ns")

    def __init__(self, since_ns: int) -> None:
        self.paths: list[str] = []
        self.since_ns = since_ns
        self.links: dict[str, list[str]] = {}


class Heard(NamedTuple):
    """What happened to one name in a folder, as bits of this module."""

    ours: int = 0
    others: int = 0

    def __or__(self, other: Heard) -> Heard:
        return Heard(self.ours | other.ours, self.others | other.others)


class Listener:
    """Hears what happens in folders, in the process that made it.

    Raises
    ------
    OSError
        Where that is not to be had: other systems, old kernels, containers that forbid it.
    """

    def __init__(self) -> None:
        init, self._mark, self._handle = functions()
        self._pid = os.getpid()
        # Handle -> number of the file system -> folder; and that number by mount, for it may be a server that knows it.
        self._folders: dict[bytes, dict[int, Folder]] = {}
        self._systems: dict[int, int] = {}
        self._descriptor = _above_standard(init(_INIT_FLAGS, os.O_RDONLY))
        if not self.is_open:  # without /proc nobody could tell whether the program has closed it
            os.close(self._descriptor)
            raise OSError("no /proc")

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed the descriptor, and perhaps opened something else in its place."""
        with contextlib.suppress(OSError):
            return "fanotify" in os.readlink(f"/proc/self/fd/{self._descriptor}")
        return False

    def add(self, path: str) -> Folder | None:
        """Listen to a folder, by an absolute name; None where the kernel cannot."""
        name = os.fsencode(path)
        try:
            handle, mount = self._handle(name)
            system = self._systems.get(mount)
            if system is None:
                system = self._systems[mount] = os.statvfs(path).f_fsid & 0xFFFFFFFF
            same = self._folders.setdefault(handle, {})
            folder = same.get(system)
            if folder is None:
                now_ns = time.time_ns()
                self._mark(self._descriptor, _ADD_FOLDER, _WHAT, name)
                folder = same.setdefault(system, Folder(now_ns))
        except (OSError, ValueError):
            return None
        if path not in folder.paths:
            folder.paths.append(path)
        return folder

    def hear(self) -> tuple[dict[tuple[Folder, str], Heard], bool]:
        """What has happened since the last time, and whether there was more than the kernel keeps."""
        found: dict[tuple[Folder, str], Heard] = {}
        is_whole = True
        while self.is_open:
            try:
                data = os.read(self._descriptor, _CHUNK_BYTES)
            except OSError:  # nothing more
                break
            offset = 0
            while offset < len(data):
                length, _, _, start, mask, _, pid = _METADATA.unpack_from(data, offset)
                if mask & _OVERFLOW:
                    is_whole = False
                elif (place := self._place(data[offset + start : offset + length])) is not None:
                    now = Heard(ours=mask) if pid == self._pid else Heard(others=mask)
                    found[place] = found.get(place, Heard()) | now
                offset += length
        return found, is_whole

    def clear(self) -> None:
        """Listen to no folder any more. The descriptor stays: closing it would make the program wait for 10 ms."""
        with contextlib.suppress(OSError):
            if self.is_open:
                self._mark(self._descriptor, _REMOVE_ALL, 0, None)
        self._folders.clear()
        self._systems.clear()

    def close(self) -> None:
        """Be done. A copy of the process must: its own doings are not told, and the first one is to read what is."""
        if self.is_open:
            os.close(self._descriptor)

    def _place(self, info: bytes) -> tuple[Folder, str] | None:
        kind, _, _, system = _INFO.unpack_from(info)
        if kind != _FOLDER_AND_NAME:
            return None
        at = _INFO.size + 4
        size, _ = _HANDLE.unpack_from(info, at)
        end = at + _HANDLE.size + size
        same = self._folders.get(info[at:end], {})
        # A volume inside a mount (btrfs) has a number of its own, and handles that nobody else has.
        folder = same.get(system) or (next(iter(same.values())) if len(same) == 1 else None)
        name = info[end : info.index(b"\0", end)]
        return (folder, os.fsdecode(name)) if folder is not None and name != b"." else None


def _above_standard(descriptor: int) -> int:
    """The same under another number where the program has closed a standard stream, into which it may still write."""
    if descriptor > 2:
        return descriptor
    import fcntl

    higher = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return higher


def tells(folder: str) -> bool:
    """Whether the kernel tells of files that are opened in a folder."""
    try:
        listener = Listener()
    except OSError:
        return False
    found = listener.add(folder)
    listener.close()
    return found is not None


@functools.cache
def functions() -> tuple[Callable[..., int], Callable[..., int], Callable[[bytes], tuple[bytes, int]]]:
    """``fanotify_init``, ``fanotify_mark``, and what gives a folder's handle and mount; they raise `OSError`."""
    if sys.platform != "linux":
        raise OSError("no fanotify")
    try:
        import _ctypes  # ctypes around it would take the time of a small block
    except ImportError as error:
        raise OSError("no fanotify") from error

    class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "i"

    class Mask(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "Q"

    class Char(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "c"

    class Buffer(_ctypes.Array):  # type: ignore[type-arg]
        _type_ = Char
        _length_ = _HANDLE.size + _HANDLE_BYTES

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _USE_ERRNO
        _restype_ = Int

    program = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]

    def function(name: str) -> Callable[..., int]:
        call = Function(_ctypes.dlsym(program, name))

        def checked(*arguments: object) -> int:
            result: int = call(*arguments)
            if result < 0:
                number = _ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            return result

        return checked

    init, add, to_handle = map(function, ("fanotify_init", "fanotify_mark", "name_to_handle_at"))

    def mark(descriptor: int, flags: int, mask: int, path: bytes | None) -> int:
        return add(descriptor, flags, Mask(mask), _HERE, path)

    def handle(path: bytes) -> tuple[bytes, int]:
        buffer = bytearray(_HANDLE.size + _HANDLE_BYTES)
        _HANDLE.pack_into(buffer, 0, _HANDLE_BYTES, 0)
        mount = Int()
        arguments = _HERE, path, Buffer.from_buffer(buffer), _ctypes.byref(mount)
        try:
            to_handle(*arguments, _FOLLOW)
        except OSError:
            to_handle(*arguments, _FOLLOW | _NO_DECODING)  # such as overlays, from Linux 6.6 on
        size, _ = _HANDLE.unpack_from(buffer)
        return bytes(buffer[: _HANDLE.size + size]), mount.value

    return init, mark, handle
