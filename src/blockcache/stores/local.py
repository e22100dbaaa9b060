"""A store in a directory.

Layout::

    <store>/CACHEDIR.TAG  .gitignore        written once, so that backups and git leave the store alone
    <store>/.tmp/<random>                   files being written
    <store>/blobs/ab/abcdef...              mode 0444
    <store>/entries/ab/abcdef.../<id>.json
    <store>/names/<quoted name>/<digest>

A file appears under its final name by one rename or link, complete. Whatever is killed
half-way leaves a file in ``.tmp`` and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import xxhash

from blockcache.errors import StoreError
from blockcache.stores import Buffer

#: From this size up a file is mapped: below, reading it costs less than the mapping's page faults.
_MAP_BYTES = 64 << 10

#: Families whose second part is spread over folders by its first two characters.
_SHARDED = ("blobs", "entries")

_REFUSED_PARTS = frozenset(("", ".", ".."))

_STALE_S = 24 * 3600
_MAX_PARTS = 1024  # IOV_MAX on Linux
_RETRIES = 100
_BATCH_BYTES = 1 << 20
_COPY_BYTES = 1 << 30
#: Other file systems, a system or a file system that has no such copy.
_CANNOT_COPY = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
#: A file system without hard links, or one that gives them up to a few.
_CANNOT_LINK = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK)

#: The marks of a sealed blob are modification times in this second, which no write can leave behind.
_SEAL_S = 1_000_000_000
#: The mark of ``seal``. Like all marks a multiple of 100 ns, which is as fine as some file systems are;
#: where times are coarser no mark survives and nothing counts as sealed.
_DURABLE_NS = _SEAL_S * 10**9 + 999_999_900

_PRIVATE = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
_MAP_FIXED = 0x10

_Result = TypeVar("_Result")

_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This directory is a cache made by blockcache; it can be deleted at any time.
# Backup programs may leave it out, see https://bford.info/cachedir/
"""

_WAYS_OUT = {
    errno.EACCES: "Give yourself the permission, or choose another store.",
    errno.EPERM: "Give yourself the permission, or choose another store.",
    errno.EROFS: "The file system is read-only: choose another store, or mode='readonly'.",
    errno.ENOSPC: "Free some space, or choose a store on another disk.",
    errno.EDQUOT: "Free some space, or choose a store on another disk.",
    errno.EFBIG: "The file system or your limits do not allow a file of this size: choose another store.",
    errno.ENAMETOOLONG: "Choose a shorter name, or a store nearer to the root.",
    errno.ENOTDIR: "A file is in the place of a folder: move it away, or choose another store.",
    errno.EEXIST: "A file is in the place of a folder: move it away, or choose another store.",
    errno.EISDIR: "A folder is in the place of a file: move it away, or choose another store.",
    errno.ENOTEMPTY: "A folder is in the place of a file: move it away, or choose another store.",
    errno.EMFILE: "The process has too many open files: close some, or raise `ulimit -n`.",
}


class LocalStore:
    """A store in the directory ``path``, which is made by the first ``put``.

    Notes
    -----
    **Memory.** Files of 64 KiB and more are mapped copy-on-write: nothing is read until it is used, and
    writing to the memory never reaches the file. A map keeps no file descriptor and outlives a
    ``delete``. A file that somebody else truncates under a live map is a crash (SIGBUS), which is why blobs
    are read-only files and are only ever replaced as a whole. Where a file cannot be mapped it is read.

    **Seals.** A sealed blob has a modification time of one fixed second, 2001-09-09 01:46:40 UTC, so any later
    write, truncation or interrupted copy shows, because it sets another time. The nanoseconds tell two kinds
    apart. ``put`` leaves the mark of the current boot: the bytes are whole as long as the machine is up,
    but they may never have reached the disk when it goes down. ``seal``, called with verified bytes,
    syncs the file and leaves the mark that counts after any boot and on any machine. The mode of the file
    is not looked at: many file systems have none, and making a file writable does not change it. A flipped
    bit on the disk, or a program that sets times back on purpose, is not seen. Only blobs are sealed;
    records are small and are checked when they are parsed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = os.path.abspath(path)
        self._temporary = f"{self._root}/.tmp"
        self._opened = False

    @property
    def url(self) -> str:
        """The directory."""
        return self._root

    def get(self, name: str) -> memoryview | None:
        """The bytes under ``name``, or None; see the class for what memory it is.

        Raises
        ------
        StoreError
            When there is a file that cannot be read, or the name is not a relative path of plain parts.
        """
        path = self._path(name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failure("read", path, error) from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            size = status.st_size
            if size < _MAP_BYTES:
                return _read(fd, size)
            try:
                return memoryview(_map(fd, size))
            except (OSError, ValueError):  # no maps here, or too many, or truncated meanwhile
                return _read(fd, size)
        except OSError as error:
            raise _failure("read", path, error) from error
        finally:
            os.close(fd)

    def put(self, name: str, parts: Iterable[Buffer]) -> None:
        """Keep the concatenation of ``parts`` under ``name``, atomically.

        A sealed blob of the same size is left as it is: a blob's name is the digest of its bytes.

        Raises
        ------
        StoreError
            When the file cannot be written; nothing is left behind under ``name``.
        """
        path = self._path(name)
        size = None
        if isinstance(parts, (list, tuple)):
            parts = [memoryview(part).cast("B") for part in parts]
            size = sum(map(len, parts))
        is_blob = name.startswith("blobs/")
        if is_blob and self._has_blob(path, size):
            return
        try:
            if not self._opened:
                self._open()
            self._write(path, parts, 0o444 if is_blob else 0o666, _boot_mark() if is_blob else None)
        except OSError as error:
            raise _failure("write", path, error) from error

    def put_new(self, name: str, parts: Iterable[Buffer]) -> bool:
        """Keep the concatenation of ``parts`` under ``name`` if nothing is there; whether it was.

        Where the file system has no hard links the name is there first, and its bytes a moment later.

        Raises
        ------
        StoreError
            When the file cannot be written; nothing is left behind under ``name``.
        """
        path = self._path(name)
        try:
            if not self._opened:
                self._open()
            is_blob = name.startswith("blobs/")
            return self._write_new(path, parts, 0o444 if is_blob else 0o666, _boot_mark() if is_blob else None)
        except OSError as error:
            raise _failure("write", path, error) from error

    def export(self, name: str, fd: int) -> bool:
        """Copy the bytes under ``name`` into an open file; the system's own copy shares blocks where it can.

        Raises
        ------
        StoreError
            When there is a file that cannot be read.
        """
        path = self._path(name)
        try:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _failure("read", path, error) from error
        try:
            _copy(source, fd)
        finally:
            os.close(source)
        return True

    def exists(self, name: str) -> bool:
        """Whether there are bytes under ``name``.

        Raises
        ------
        StoreError
            When that cannot be told.
        """
        status = self._status(name)
        return status is not None and stat.S_ISREG(status.st_mode)

    def list(self, prefix: str) -> Iterator[str]:
        """Every name below the folder ``prefix`` (``""`` for all), in no order.

        Names that come or go meanwhile may be listed or not.

        Raises
        ------
        StoreError
            When a folder cannot be read.
        """
        prefix = prefix.rstrip("/")
        if not prefix:
            for family in _scan(self._root):
                if family.is_dir(follow_symlinks=False) and not family.name.startswith("."):
                    yield from self.list(family.name)
            return
        if prefix in _SHARDED:
            for shard in _scan(f"{self._root}/{prefix}"):
                if shard.is_dir(follow_symlinks=False):
                    yield from _below(shard.path, prefix)
        else:
            yield from _below(self._path(prefix, folder=True), prefix)

    def delete(self, name: str) -> bool:
        """Forget ``name``; True when there was something. Memory from ``get`` stays valid.

        Raises
        ------
        StoreError
            When the file cannot be removed.
        """
        path = self._path(name)
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        except OSError as error:
            raise _failure("delete", path, error) from error
        # Folders that are empty now; a put that loses its folder here makes it again.
        folder = os.path.dirname(path)
        while os.path.dirname(folder) != self._root and folder != self._root:
            try:
                os.rmdir(folder)
            except OSError:
                break
            folder = os.path.dirname(folder)
        return True

    def sealed(self, name: str) -> bool:
        """Whether the blob ``name`` is untouched since ``put`` in this boot, or since ``seal``; see the class.

        Raises
        ------
        StoreError
            When that cannot be told.
        """
        status = self._status(name)
        return status is not None and _is_sealed(status)

    def seal(self, name: str) -> None:
        """The caller has verified the blob ``name``: let ``sealed`` say so, after any boot.

        Where the file cannot be changed (another owner, a read-only file system) nothing happens: the next
        reader verifies again.

        Raises
        ------
        StoreError
            When ``name`` is not a relative path of plain parts.
        """
        path = self._path(name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            with contextlib.suppress(OSError):
                os.fsync(fd)
                _mark(fd, _DURABLE_NS)
        finally:
            os.close(fd)

    # -- paths -----------------------------------------------------------------------------

    def _path(self, name: str, *, folder: bool = False) -> str:
        parts = name.split("/")
        # A first part with a dot is the store's own; a name right in the root would be no family's.
        if (
            not _REFUSED_PARTS.isdisjoint(parts)
            or parts[0].startswith(".")
            or "\0" in name
            or (len(parts) < 2 and not folder)
        ):
            raise StoreError(f"{name!r} is not a name that the store {self._root} can hold. Quote its parts.")
        if parts[0] in _SHARDED and len(parts) > 1:
            return f"{self._root}/{parts[0]}/{parts[1][:2]}{name[len(parts[0]) :]}"
        return f"{self._root}/{name}"

    def _status(self, name: str) -> os.stat_result | None:
        path = self._path(name)
        try:
            return os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failure("read", path, error) from error

    # -- writing ---------------------------------------------------------------------------

    def _has_blob(self, path: str, size: int | None) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return False
        return size in (None, status.st_size) and _is_sealed(status)

    def _open(self) -> None:
        """Before this process's first write: mark the directory as a cache, remove what killed writers left."""
        os.makedirs(self._temporary, exist_ok=True)
        for name, content in (("CACHEDIR.TAG", _TAG), (".gitignore", b"*\n")):
            if not os.path.exists(f"{self._root}/{name}"):
                self._write(f"{self._root}/{name}", [memoryview(content)], 0o666, None)
        oldest = time.time() - _STALE_S
        with os.scandir(self._temporary) as left:
            for entry in left:
                try:
                    # Not the modification time: a blob about to be renamed bears its seal already.
                    if entry.stat(follow_symlinks=False).st_ctime < oldest:
                        os.unlink(entry.path)
                except OSError:  # gone already, or not ours to remove
                    continue
        self._opened = True

    def _write(self, path: str, parts: Iterable[Buffer], mode: int, mark_ns: int | None) -> None:
        with self._draft(parts, mode, mark_ns) as temporary:
            _retry(os.path.dirname(path), lambda: os.rename(temporary, path))

    def _write_new(self, path: str, parts: Iterable[Buffer], mode: int, mark_ns: int | None) -> bool:
        folder = os.path.dirname(path)
        with self._draft(parts, mode, mark_ns) as temporary:
            try:
                _retry(folder, lambda: os.link(temporary, path))
            except FileExistsError:
                # A server of files that was asked twice, because its first answer was lost, denies what it did.
                is_ours = os.stat(temporary).st_nlink > 1
            except OSError as error:
                if error.errno not in _CANNOT_LINK:
                    raise
                # Whoever makes this one may: then the draft takes its place.
                is_ours = _retry(folder, lambda: _reserve(path))
                if is_ours:
                    os.rename(temporary, path)
                    return True
            else:
                is_ours = True
            os.unlink(temporary)
            return is_ours

    @contextlib.contextmanager
    def _draft(self, parts: Iterable[Buffer], mode: int, mark_ns: int | None) -> Iterator[str]:
        """A complete file that has no name yet; it is removed when giving it one fails."""
        # Random, because process numbers repeat between the machines that share a store.
        temporary = f"{self._temporary}/{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = _retry(self._temporary, lambda: os.open(temporary, flags, mode))
        try:
            try:
                _write_all(fd, parts)
                if mark_ns is not None:
                    _mark(fd, mark_ns)
            finally:
                os.close(fd)
            yield temporary
        except BaseException:
            with contextlib.suppress(OSError):  # what is left is swept later
                os.unlink(temporary)
            raise


def _reserve(path: str) -> bool:
    """Make an empty file; whether there was none."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    except FileExistsError:
        return False
    return True


def _retry(folder: str, action: Callable[[], _Result]) -> _Result:
    """Run ``action``, making ``folder`` when it is not there, as often as others delete it."""
    for attempt in range(_RETRIES):
        try:
            return action()
        except FileNotFoundError:
            time.sleep(attempt * 1e-4)  # at first not at all; then the others get out of the way
            # A delete may remove a folder above, or this one between makedirs' two looks at it.
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                os.makedirs(folder, exist_ok=True)
    return action()


def _write_all(fd: int, parts: Iterable[Buffer]) -> None:
    """Write without joining, and without keeping what is written."""
    pending: list[memoryview] = []
    size = 0
    for part in parts:
        view = memoryview(part).cast("B")
        pending.append(view)
        size += len(view)
        if size >= _BATCH_BYTES or len(pending) >= _MAX_PARTS:
            _write_views(fd, pending)
            pending, size = [], 0
    _write_views(fd, pending)


def _write_views(fd: int, views: Iterable[memoryview]) -> None:
    """The system may take less than it was given."""
    pending = [view for view in views if len(view)][::-1]
    while pending:
        written = os.writev(fd, pending[::-1])
        while written:
            first = pending.pop()
            if written < len(first):
                pending.append(first[written:])
                break
            written -= len(first)


def _copy(source: int, target: int) -> None:
    """Copy a file's bytes: within the system where it can, which shares blocks where the file system can."""
    start = 0
    if hasattr(os, "copy_file_range"):
        try:
            while count := os.copy_file_range(source, target, _COPY_BYTES, start, start):
                start += count
        except OSError as error:
            if error.errno not in _CANNOT_COPY or start:
                raise
    # What is left: all of it where the system has no copy, nothing after one.
    os.lseek(source, start, os.SEEK_SET)
    os.lseek(target, start, os.SEEK_SET)
    while chunk := os.read(source, _BATCH_BYTES):
        _write_views(target, [memoryview(chunk)])


# -- seals -----------------------------------------------------------------------------------


@functools.cache
def _boot_mark() -> int | None:
    """The modification time, in ns, that stands for this boot of this machine; None where boots cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read()
    except OSError:
        return None
    return _SEAL_S * 10**9 + 100 + xxhash.xxh3_64_intdigest(boot) % 9_999_998 * 100


def _mark(fd: int, mtime_ns: int) -> None:
    os.utime(fd, ns=(time.time_ns(), mtime_ns))


def _is_sealed(status: os.stat_result) -> bool:
    return status.st_mtime_ns == _DURABLE_NS or status.st_mtime_ns == _boot_mark()


# -- reading ---------------------------------------------------------------------------------


def _read(fd: int, size: int) -> memoryview:
    memory = memoryview(bytearray(size))
    done = 0
    while done < size:
        count = os.readv(fd, [memory[done:]])
        if not count:  # truncated meanwhile
            return memory[:done]
        done += count
    return memory


if sys.version_info >= (3, 13):

    def _map(fd: int, size: int) -> mmap.mmap:
        """A copy-on-write map of the file that holds no descriptor."""
        return mmap.mmap(fd, size, flags=_PRIVATE, prot=_READ_WRITE, trackfd=False)

else:

    def _map(fd: int, size: int) -> mmap.mmap:
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


# -- listing ---------------------------------------------------------------------------------


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _failure("list", folder, error) from error


def _below(folder: str, prefix: str) -> Iterator[str]:
    for entry in _scan(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{prefix}/{entry.name}")
        else:
            yield f"{prefix}/{entry.name}"


def _failure(action: str, path: str, error: OSError) -> StoreError:
    way_out = _WAYS_OUT.get(error.errno or 0, "Choose another store if this lasts.")
    return StoreError(f"cannot {action} {path}: {error.strerror or error}. {way_out}")
