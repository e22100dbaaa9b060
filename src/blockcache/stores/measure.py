"""What a store in a directory knows of its room: sizes, ages, an estimate of what it holds.

**Sizes** are those of the files, in blocks of 4 KiB. **Ages**: a blob's modification time is its seal, so what tells
when it was put or touched is the time of its last change of status, which nothing can set back. A record has its
modification time for that, which a copy of the store keeps. Both are compared with the clock that sets them: on a
network file system that is the server's.

**The estimate** is the *length* of the file ``.room``, in units of 64 KiB. Writers append to it, which is atomic, so
that none waits for another and none is lost; a collection cuts it to what it has counted. Less than a unit is appended
with the probability that it is of one: of many small files the sum is right.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import heapq
import itertools
import os
import stat
import time
from collections.abc import Iterator

from blockcache.stores import Kept, Room
from blockcache.stores.writing import is_locked

#: What a length of one byte of ``.room`` stands for.
UNIT_BYTES = 64 << 10
_BLOCK_BYTES = 4 << 10
#: A use within this time after another one is not noted.
_TOUCH_S = 3600
#: Of how many files in one folder the newest are chosen.
_MOST_DATED = 200
#: A living writer holds a lock, but for the moment before its file gets its name.
_DEAD_S = 60


def taken(size_bytes: int) -> int:
    """What a file of this size takes up."""
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES


class Ledger:
    """The estimate of what the store in the directory ``root`` holds, and its clock."""

    def __init__(self, root: str) -> None:
        self._path = f"{root}/.room"
        self._lock = f"{root}/.lock"
        self._root = root
        self._unsaid_bytes = 0  # threads may lose some of it to each other: it is an estimate
        self._ahead_s = 0.0
        self._touched: dict[str, float] = {}

    def add(self, size_bytes: int) -> None:
        """A file of this size was written."""
        self._unsaid_bytes += taken(size_bytes)

    def room(self) -> Room:
        """The estimate, with what this process has written."""
        units, rest = divmod(self._unsaid_bytes, UNIT_BYTES)
        self._unsaid_bytes = 0
        units += int.from_bytes(os.urandom(4), "big") % UNIT_BYTES < rest
        try:
            if units:
                fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                try:
                    os.write(fd, bytes(units))
                finally:
                    os.close(fd)
            filled = os.stat(self._path).st_size * UNIT_BYTES
        except OSError:
            return Room(None, self._free())
        return Room(filled, self._free())

    def _free(self) -> int | None:
        folder = self._root
        while not os.path.isdir(folder) and os.path.dirname(folder) != folder:  # before the first write
            folder = os.path.dirname(folder)
        try:
            found = os.statvfs(folder)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def settle(self, filled_bytes: int) -> None:
        """Set the estimate."""
        self._unsaid_bytes = 0
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.ftruncate(fd, -(-filled_bytes // UNIT_BYTES))
        finally:
            os.close(fd)

    # -- clock -----------------------------------------------------------------------------

    def set_clock(self) -> None:
        """See what time it is where the files are."""
        with contextlib.suppress(OSError):
            os.utime(self._path)
            self._ahead_s = os.stat(self._path).st_mtime - time.time()

    @property
    def now_s(self) -> float:
        """The present, by the clock that dates the files."""
        return time.time() + self._ahead_s

    def was_touched(self, name: str) -> bool:
        """Whether this process has noted within the last hour that it was used."""
        return time.monotonic() - self._touched.get(name, -_TOUCH_S) < _TOUCH_S

    def touch(self, name: str, path: str) -> None:
        """Note that a record or blob was used, unless anybody has done so within the last hour."""
        if len(self._touched) > 10_000:
            self._touched.clear()
        self._touched[name] = time.monotonic()
        with contextlib.suppress(OSError):  # another's file, a read-only file system, or gone
            if name.startswith("blobs/"):
                renew(path, os.stat(path))
            elif self.now_s - os.stat(path).st_mtime > _TOUCH_S:
                os.utime(path)

    # -- one at a time ---------------------------------------------------------------------

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else is in here; where the file system has no locks nobody is asked."""
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            yield _locked(fd)
        finally:
            os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def renew(path: str, status: os.stat_result) -> None:
    """Date the last change of a blob's status now, and leave its seal as it is."""
    os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))


def survey(folder: str, prefix: str, now_s: float, *, spread: bool = False) -> Iterator[Kept]:
    """Every file below a folder; those that come or go meanwhile may be there or not.

    Raises
    ------
    OSError
        When a folder cannot be read.
    """
    is_blob = prefix.startswith("blobs")
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = f"{prefix}/{entry.name}"
        try:
            if entry.is_dir(follow_symlinks=False):
                # The folders that spread a family are in no name.
                yield from survey(entry.path, prefix if spread else name, now_s)
                continue
            if spread:
                continue
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        dated = status.st_ctime if is_blob else status.st_mtime
        yield Kept(name, taken(status.st_size), max(now_s - dated, 0.0))


def newest(folder: str, count: int) -> list[str]:
    """The records right in a folder that were written last, of the first two hundred that the system names.

    Raises
    ------
    OSError
        When the folder cannot be read.
    """
    dated = []
    try:
        with os.scandir(folder) as found:
            for entry in itertools.islice(found, _MOST_DATED):
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    if entry.is_file(follow_symlinks=False):
                        dated.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for _, name in heapq.nlargest(count, dated)]


def sweep(folder: str, now_s: float, idle_s: float) -> int:
    """Remove the files right in a folder that killed writers left; their bytes.

    Those that nobody has locked or changed for a minute and, where there are no locks, not for ``idle_s``. A file's own
    modification time does not tell: a blob that is about to be renamed bears its seal already.
    """
    freed_bytes = 0
    with os.scandir(folder) as left:
        for entry in left:
            try:
                status = entry.stat(follow_symlinks=False)
                age_s = now_s - status.st_ctime
                if age_s > idle_s or (age_s > _DEAD_S and not is_locked(entry.path)):
                    os.unlink(entry.path)
                    freed_bytes += taken(status.st_size)
            except OSError:  # gone already, not ours to remove, or no locks here
                continue
    return freed_bytes


def remove_empty(folder: str) -> None:
    """Remove folders with nothing in them; a writer that loses its own makes it again."""
    for path, folders, _ in os.walk(folder, topdown=False):
        for name in folders:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(path, name))


def is_idle(path: str, now_s: float, idle_s: float) -> bool:
    """Whether a file is there that was neither put nor touched for so long."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(status.st_mode) and now_s - status.st_ctime >= idle_s
