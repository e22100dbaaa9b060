"""A store in a directory.

Layout::

    <store>/CACHEDIR.TAG  .gitignore        written once, so that backups and git leave the store alone
    <store>/.tmp/<random>                   files being written, locked by whoever writes
    <store>/.room  .lock                    how much is here, by its length; held by who collects
    <store>/blobs/ab/abcdef...              mode 0444
    <store>/entries/ab/abcdef.../<id>.json
    <store>/names/<quoted name>/<digest>

A file appears under its final name by one rename or link, complete. Whatever is killed
half-way leaves a file in ``.tmp`` and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

import xxhash

from blockcache import mounts, untouched
from blockcache.errors import StoreError
from blockcache.stores import Buffer, Kept, Room, measure
from blockcache.stores.mapping import map_private, read
from blockcache.stores.writing import copy, reserve, retry, write_all

#: From this size up a file is mapped: below, reading it costs less than the mapping's page faults.
_MAP_BYTES = 64 << 10

#: Families whose second part is spread over folders by its first two characters.
_SHARDED = ("blobs", "entries")

_REFUSED_PARTS = frozenset(("", ".", ".."))

_STALE_S = 24 * 3600
#: Digests of small pieces take longer.
_PIECE_BYTES = 8 << 20
#: A file system without hard links, or one that gives them up to a few.
_CANNOT_LINK = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK)

#: A file that was open, and that another machine has deleted or replaced; how often it is looked for again.
_GONE = (errno.ENOENT, errno.ESTALE)
_LOOKS = 3

#: The marks of a sealed blob are modification times in this second, which no write can leave behind.
_SEAL_S = 1_000_000_000
#: The mark of ``seal``. Like all marks a multiple of 100 ns, which is as fine as some file systems are;
#: where times are coarser no mark survives and nothing counts as sealed.
_DURABLE_NS = _SEAL_S * 10**9 + 999_999_900

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

    **Network file systems.** There a file goes away under a live map when another machine deletes it, and what
    this machine knows of a file may be old. So on them, and on all of FUSE, files are read, and no seal is believed:
    every byte is hashed before it is used. What is left to the server is only how soon an entry is seen elsewhere.

    **Seals.** A sealed blob has a modification time of one fixed second, 2001-09-09 01:46:40 UTC, so any later
    write, truncation or interrupted copy shows, because it sets another time. The nanoseconds tell two kinds
    apart. ``put`` leaves the mark of the current boot: the bytes are whole as long as the machine is up,
    but they may never have reached the disk when it goes down. ``seal``, called with verified bytes,
    syncs the file and leaves the mark that counts after any boot and on any machine. The mode of the file
    is not looked at: many file systems have none, and making a file writable does not change it. A bit that
    flips on the disk by itself, or a program that sets times back on purpose, is not seen in a large blob; `blockcache
    verify` finds it. Only blobs are sealed; records are small and are checked when they are parsed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = os.path.abspath(path)
        self._temporary = f"{self._root}/.tmp"
        self._opened = False
        self._shared: bool | None = None  # not known yet
        self._ledger = measure.Ledger(self._root)

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
        for _ in range(_LOOKS):
            try:
                return self._get(name, path)
            except OSError as error:
                if error.errno not in _GONE:
                    raise _failure("read", path, error) from error
        return None

    def _get(self, name: str, path: str) -> memoryview | None:
        fd = _open(path)
        if fd is None:
            return None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            size = status.st_size
            if size < _MAP_BYTES or self._is_shared():
                return read(fd, size)
            try:
                memory = map_private(fd, size)
            except (OSError, ValueError):  # no maps here, or too many, or truncated meanwhile
                return read(fd, size)
            if size >= untouched.WORTH_BYTES and name.startswith("blobs/"):
                untouched.watch(memory, path, name.removeprefix("blobs/"), _is_sealed)
            return memoryview(memory)
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

    def parts(self, name: str) -> Iterator[Buffer] | None:
        """The bytes under ``name`` piece by piece, read and not mapped; None when there are none.

        Raises
        ------
        StoreError
            When there is a file that cannot be read, then or while drawing.
        """
        path = self._path(name)
        fd = _open(path)
        if fd is None:
            return None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return None
        return _pieces(fd, path)

    def export(self, name: str, fd: int) -> bool:
        """Copy the bytes under ``name`` into an open file; the system's own copy shares blocks where it can.

        Raises
        ------
        StoreError
            When there is a file that cannot be read.
        """
        path = self._path(name)
        source = _open(path)
        if source is None:
            return False
        try:
            copy(source, fd)
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
                    yield from _below(shard.path, prefix, whole=self._is_shared())
        else:
            yield from _below(self._path(prefix, folder=True), prefix, whole=self._is_shared())

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

    def move(self, name: str, to: str) -> bool:
        """Keep the bytes under ``name`` under ``to`` instead; False when there are none.

        Raises
        ------
        StoreError
            When the file cannot be moved.
        """
        path, new = self._path(name), self._path(to)
        if not self.exists(name):
            return False
        try:
            retry(os.path.dirname(new), lambda: os.rename(path, new))
        except FileNotFoundError:  # it went away this very moment
            return False
        except OSError as error:
            raise _failure("move", path, error) from error
        return True

    def sealed(self, name: str) -> bool:
        """Whether the blob ``name`` is untouched since ``put`` in this boot, or since ``seal``; see the class.

        Raises
        ------
        StoreError
            When that cannot be told.
        """
        status = self._status(name)
        return status is not None and _is_sealed(status) and not self._is_shared()

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
                if not _is_sealed(os.fstat(fd)):
                    os.fsync(fd)
                    _mark(fd, _DURABLE_NS)
        finally:
            os.close(fd)

    # -- room, see measure.py --------------------------------------------------------------

    def survey(self, prefix: str) -> Iterator[Kept]:
        """What ``list`` lists, with size and age.

        Raises
        ------
        StoreError
            When a folder cannot be read.
        """
        prefix = prefix.rstrip("/")
        if prefix:
            folders = {prefix: f"{self._root}/{prefix}" if prefix in _SHARDED else self._path(prefix, folder=True)}
        else:
            folders = {f.name: f.path for f in _scan(self._root) if f.is_dir() and not f.name.startswith(".")}
        self._ledger.set_clock()
        for family, folder in folders.items():
            try:
                yield from measure.survey(folder, family, self._ledger.now_s, spread=family in _SHARDED)
            except OSError as error:
                raise _failure("list", folder, error) from error

    def newest(self, prefix: str, count: int) -> Sequence[str]:
        """At most ``count`` names right in a folder, the last put or touched first; of very many, some are looked at.

        Raises
        ------
        StoreError
            When the folder cannot be read.
        """
        folder = self._path(prefix, folder=True)
        try:
            return [f"{prefix}/{name}" for name in measure.newest(folder, count)]
        except OSError as error:
            raise _failure("list", folder, error) from error

    def touch(self, name: str) -> None:
        """Note that ``name`` was used, at most once an hour."""
        if not self._ledger.was_touched(name):
            self._ledger.touch(name, self._path(name))

    def discard(self, name: str, idle_s: float) -> bool:
        """Forget ``name`` unless it was put or touched within the last ``idle_s`` seconds.

        Raises
        ------
        StoreError
            When the file cannot be removed.
        """
        return measure.is_idle(self._path(name), self._ledger.now_s, idle_s) and self.delete(name)

    def room(self) -> Room:
        """About how much is here, and what is free on the disk."""
        return self._ledger.room()

    def settle(self, filled_bytes: int) -> None:
        """Note how much is here.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        try:
            self._ledger.settle(filled_bytes)
        except OSError as error:
            raise _failure("write", self._root, error) from error

    def alone(self) -> AbstractContextManager[bool]:
        """Whether nobody else is inside."""
        return self._ledger.alone()

    def tidy(self, idle_s: float) -> int:
        """Remove old files of interrupted writers and empty folders; bytes freed."""
        freed_bytes = 0
        with contextlib.suppress(OSError):
            freed_bytes = measure.sweep(self._temporary, self._ledger.now_s, idle_s)
        for family in _scan(self._root):
            if family.is_dir(follow_symlinks=False) and not family.name.startswith("."):
                measure.remove_empty(family.path)
        return freed_bytes

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

    def _is_shared(self) -> bool:
        """Whether the store is on a file system that other machines change."""
        if self._shared is None:
            self._shared = mounts.is_shared(mounts.kind_of(self._root))
        return self._shared

    # -- writing ---------------------------------------------------------------------------

    def _has_blob(self, path: str, size: int | None) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return False
        if size not in (None, status.st_size) or not _is_sealed(status):
            return False
        try:
            measure.renew(path, status)  # or a collection that is going on may take it for nobody's
        except OSError as error:
            return error.errno != errno.ENOENT  # gone by now; another's file, which cannot be dated, is there
        return True

    def _open(self) -> None:
        """Before this process's first write: mark the directory as a cache, remove what killed writers left."""
        os.makedirs(self._temporary, exist_ok=True)
        for name, content in (("CACHEDIR.TAG", _TAG), (".gitignore", b"*\n")):
            if not os.path.exists(f"{self._root}/{name}"):
                self._write(f"{self._root}/{name}", [memoryview(content)], 0o666, None)
        measure.sweep(self._temporary, time.time(), _STALE_S)
        self._opened = True

    def _write(self, path: str, parts: Iterable[Buffer], mode: int, mark_ns: int | None) -> None:
        with self._draft(parts, mode, mark_ns) as temporary:
            retry(os.path.dirname(path), lambda: os.rename(temporary, path))

    def _write_new(self, path: str, parts: Iterable[Buffer], mode: int, mark_ns: int | None) -> bool:
        folder = os.path.dirname(path)
        with self._draft(parts, mode, mark_ns) as temporary:
            try:
                retry(folder, lambda: os.link(temporary, path))
            except FileExistsError:
                # A server of files that was asked twice, because its first answer was lost, denies what it did.
                is_ours = os.stat(temporary).st_nlink > 1
            except OSError as error:
                if error.errno not in _CANNOT_LINK:
                    raise
                # Whoever makes this one may: then the draft takes its place.
                is_ours = retry(folder, lambda: reserve(path))
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
        fd = retry(self._temporary, lambda: os.open(temporary, flags, mode))
        with contextlib.suppress(OSError):  # no locks here
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            try:
                write_all(fd, parts)
                if mark_ns is not None:
                    _mark(fd, mark_ns)
                size = os.fstat(fd).st_size
            finally:
                os.close(fd)
            yield temporary
            self._ledger.add(size)
        except BaseException:
            with contextlib.suppress(OSError):  # what is left is swept later
                os.unlink(temporary)
            raise


def _pieces(fd: int, path: str) -> Iterator[Buffer]:
    try:
        while piece := os.read(fd, _PIECE_BYTES):
            yield piece
    except OSError as error:
        raise _failure("read", path, error) from error
    finally:
        os.close(fd)


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


# -- listing ---------------------------------------------------------------------------------


def _scan(folder: str, *, whole: bool = True) -> Iterator[os.DirEntry[str]]:
    """What is right in a folder; ``whole`` reads all of it first, for a caller that changes it far away."""
    try:
        with os.scandir(folder) as found:
            yield from list(found) if whole else found
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _failure("list", folder, error) from error


def _below(folder: str, prefix: str, *, whole: bool) -> Iterator[str]:
    # As it is drawn: a folder may have millions of names, and a caller be content with a few.
    for entry in _scan(folder, whole=whole):
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{prefix}/{entry.name}", whole=whole)
        else:
            yield f"{prefix}/{entry.name}"


def _open(path: str) -> int | None:
    """The descriptor of a file to read; None where there is none."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _failure("read", path, error) from error


def _failure(action: str, path: str, error: OSError) -> StoreError:
    way_out = _WAYS_OUT.get(error.errno or 0, "Choose another store if this lasts.")
    return StoreError(f"cannot {action} {path}: {error.strerror or error}. {way_out}")
