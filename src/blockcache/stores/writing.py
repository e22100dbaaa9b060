"""Writing files that others may read, delete or write at the same moment."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from blockcache.stores import Buffer

_MAX_PARTS = 1024  # IOV_MAX on Linux
_RETRIES = 100
_BATCH_BYTES = 1 << 20
_COPY_BYTES = 1 << 30
#: Other file systems, a system or a file system that has no such copy.
_CANNOT_COPY = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)

_Result = TypeVar("_Result")


def reserve(path: str) -> bool:
    """Make an empty file; whether there was none."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    except FileExistsError:
        return False
    return True


def retry(folder: str, action: Callable[[], _Result]) -> _Result:
    """Run ``action``, making ``folder`` when it is not there, as often as others delete it."""
    for attempt in range(_RETRIES):
        try:
            return action()
        except FileNotFoundError:
            if attempt:
                time.sleep(attempt * 1e-4)  # the others get out of the way
            # A delete may remove a folder above, or this one between makedirs' two looks at it.
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                _make_folder(folder)
    return action()


def _make_folder(path: str) -> None:
    """Make a folder and those above. ``os.makedirs`` believes what is remembered of a server's folders; this asks."""
    try:
        os.mkdir(path)
    except FileNotFoundError:
        _make_folder(os.path.dirname(path))
        os.mkdir(path)
    except FileExistsError:
        pass


def is_locked(path: str) -> bool:
    """Whether a file's writer lives; an :class:`OSError` says that it cannot be told."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def write_all(fd: int, parts: Iterable[Buffer]) -> None:
    """Write without joining, and without keeping what is written."""
    pending: list[memoryview] = []
    size = 0
    for part in parts:
        view = memoryview(part).cast("B")
        pending.append(view)
        size += len(view)
        if size >= _BATCH_BYTES or len(pending) >= _MAX_PARTS:
            write_views(fd, pending)
            pending, size = [], 0
    write_views(fd, pending)


def write_views(fd: int, views: Iterable[memoryview]) -> None:
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


def copy(source: int, target: int) -> None:
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
        write_views(target, [memoryview(chunk)])
