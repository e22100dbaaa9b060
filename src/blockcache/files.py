"""Files by content, and the memo that spares reading a file again.

A file is read again only when its size, mtime, inode or ctime changed: content that is put back with
the old mtime is told by ctime, a file that is replaced by its inode. A stat is only trusted when it is older
than the clock of any file system is coarse (see :func:`trusted`); this is the rule of git for its index.

What a memo says can only cost time: it is kept apart per machine, carries a checksum, and a record that is torn,
foreign or damaged is ignored.

References
----------
.. [1] "Use of index and Racy Git problem", Documentation/technical/racy-git.txt in git's sources.
"""

from __future__ import annotations

import errno
import os
import stat as modes
import time
from typing import NamedTuple

import xxhash

from blockcache import mounts
from blockcache.errors import FingerprintError
from blockcache.model import Stat
from blockcache.settings import STORE_FOLDER

#: The digest of what does not exist.
ABSENT = "absent"

#: FAT keeps times to 2 s, the coarsest of the file systems in use.
_COARSEST_CLOCK_NS = 2_000_000_000
_WILDCARDS = frozenset("*?[")
_CHUNK_BYTES = 1 << 20
#: Reading a smaller file costs no more than reading its record.
_SMALLEST_ON_DISK_BYTES = 64 << 10
_MOST_KNOWN = 100_000
#: Nothing that open() could give is there; every other trouble (permissions, a broken disk) is raised.
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})

# Absolute path -> what was read and the stat that stands for it. Single stores only: threads need no lock.
_known: dict[str, tuple[Stat, str]] = {}


class Content(NamedTuple):
    """What is at a path: its digest, and how many files of how many bytes that was."""

    digest: str
    files: int
    size_bytes: int


def stat_of(path: str) -> Stat | None:
    """What the file system says of ``path``, symlinks followed; None when nothing is there.

    Raises
    ------
    FingerprintError
        When that cannot be found out (no permission for a folder above it).
    """
    found = _stat(path)
    return None if found is None else _numbers(found)


def trusted(stat: Stat, hashed_at_ns: int) -> bool:
    """Whether ``stat`` stands for the content that was read at ``hashed_at_ns`` or later.

    A write within one tick of the file system's clock leaves no trace in the times. An empty file is never
    trusted: those of ``/proc`` say that they are empty and are not, and reading one costs nothing.
    """
    return stat.size_bytes > 0 and max(stat.mtime_ns, stat.ctime_ns) + _COARSEST_CLOCK_NS <= hashed_at_ns


def has_wildcard(text: str) -> bool:
    """Whether a path is a glob: it has ``*``, ``?`` or ``[``."""
    return not _WILDCARDS.isdisjoint(text)


def digest(path: str, memo: str | None = None) -> str:
    """Digest of the content of a file or directory; ``"absent"`` when nothing is there. See :func:`content`."""
    return content(path, memo).digest


def content(path: str, memo: str | None = None) -> Content:
    """The content at ``path``.

    Parameters
    ----------
    path
        A file: its bytes count, not its name. A directory: the relative names and contents of everything
        in it, hidden files too, but not a store of ours. Symlinks count by what they lead to. A pipe, socket
        or device in a directory counts by its name.
    memo
        A folder that remembers digests of files for later processes on this machine, None for this process only.

    Raises
    ------
    FingerprintError
        When a file or folder cannot be read, or ``path`` is a pipe, socket or device.
    """
    found = _stat(path)
    if found is None:
        return Content(ABSENT, 0, 0)
    if modes.S_ISREG(found.st_mode):
        return Content(_of_file(path, _numbers(found), memo), 1, found.st_size)
    if modes.S_ISDIR(found.st_mode):
        return _of_directory(path, found, memo)
    raise FingerprintError(
        f"{path} is not a file or directory but a {_special(found.st_mode)}, which has no content that stays. "
        "Declare a value or a callable that tells whether it changed",
        path=path,
    )


def matching(folder: str, pattern: str, memo: str | None = None) -> Content:
    """The names and contents of what a glob matches, names relative to the glob's first wildcard.

    Parameters
    ----------
    folder
        Where a relative ``pattern`` starts.
    pattern
        As in :func:`glob.glob` with ``recursive=True``: names that start with a dot must be asked for. A directory
        that matches counts by its content, where everything in it matches too (``**``) by its name.
        A file of exactly this name, brackets and all, counts as well.
    memo
        As in :func:`content`.

    Raises
    ------
    FingerprintError
        As in :func:`content`.
    """
    base, rest = _split(os.path.join(folder, pattern))
    segments = rest.split(os.sep)
    is_deep = segments[-1] in ("**", "") or segments[-2:] == ["**", "*"]
    rows: dict[bytes, str] = {}
    files = size_bytes = 0
    names = _matches(base, rest, hidden=False)
    if os.path.lexists(os.path.join(base, rest)):
        names.add(rest)  # "scan[1].tif" names itself rather than "scan1.tif"
    for name in names:
        path = os.path.join(base, name)
        found = _stat(path)
        key = os.fsencode(name.rstrip(os.sep))
        if found is not None and not modes.S_ISREG(found.st_mode) and not modes.S_ISDIR(found.st_mode):
            rows[key] = _special(found.st_mode)
        elif is_deep and found is not None and modes.S_ISDIR(found.st_mode):
            rows[key] = "directory"
        else:
            inside = content(path, memo)
            rows[key] = inside.digest
            files, size_bytes = files + inside.files, size_bytes + inside.size_bytes
    return Content(f"glob-{_of_rows(rows)}" if rows else ABSENT, files, size_bytes)


def listing(folder: str, pattern: str | None = None) -> str:
    """Digest of the names in a directory, or of the relative names that a glob finds in it; not of contents.

    Hidden names count in both: some ways to list a directory show them. ``"absent"`` when there is no such directory.

    Raises
    ------
    FingerprintError
        When the directory cannot be listed.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return ABSENT
        raise _unreadable(folder, error) from error
    found = {n for n in names if n != STORE_FOLDER} if pattern is None else _matches(folder, pattern, hidden=True)
    return f"list-{_of_rows({os.fsencode(name): '' for name in found})}"


def _stat(path: str) -> os.stat_result | None:
    try:
        return mounts.status(path)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        raise _unreadable(path, error) from error
    except ValueError:  # a null byte: open() would not find it either
        return None


def _numbers(found: os.stat_result) -> Stat:
    return Stat(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


def _unreadable(path: str, error: OSError) -> FingerprintError:
    return FingerprintError(
        f"{path} cannot be read: {error.strerror or error}. Make it readable, or do not declare it", path=path
    )


def _special(mode: int) -> str:
    if modes.S_ISFIFO(mode):
        return "pipe"
    return "socket" if modes.S_ISSOCK(mode) else "device"


def _of_file(path: str, stat: Stat, memo: str | None) -> str:
    """Digest of a regular file that has ``stat`` now."""
    key = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    known = _known.get(key)
    if known is not None and known[0] == stat:
        return known[1]
    on_disk = memo is not None and stat.size_bytes >= _SMALLEST_ON_DISK_BYTES
    if memo is not None and on_disk:
        remembered = _recall(memo, key, stat)
        if remembered is not None:
            _learn(key, stat, remembered)
            return remembered
    found, lasting = _read(path)
    if lasting is not None:
        _learn(key, lasting, found)
        if memo is not None and on_disk:
            _remember(memo, key, lasting, found)
    return found


def _learn(key: str, stat: Stat, found: str) -> None:
    if len(_known) >= _MOST_KNOWN:  # a program that reads ever new files must not grow for ever
        _known.clear()
    _known[key] = (stat, found)


def _read(path: str) -> tuple[str, Stat | None]:
    """Digest of a file's bytes, and the stat that stands for them where there is one."""
    began_ns = time.time_ns()
    hasher = xxhash.xxh3_128()
    size_bytes = 0
    try:
        # Unbuffered: a chunk goes from the kernel into the hasher with one copy.
        with open(path, "rb", buffering=0) as file:
            before = _numbers(os.fstat(file.fileno()))
            chunk = memoryview(bytearray(min(before.size_bytes + 1, _CHUNK_BYTES)))
            while count := file.readinto(chunk):
                hasher.update(chunk[:count])
                size_bytes += count
            after = _numbers(os.fstat(file.fileno()))
    except OSError as error:
        if error.errno in _NOTHING_THERE:  # it went away this very moment
            return ABSENT, None
        raise _unreadable(path, error) from error
    # Files of /sys say 4096 and are shorter; one that is being written is neither what it was nor what it will be.
    lasts = before == after and size_bytes == before.size_bytes and trusted(before, began_ns)
    return hasher.hexdigest(), before if lasts else None


def _of_directory(path: str, found: os.stat_result, memo: str | None) -> Content:
    rows: dict[bytes, str] = {}
    files = size_bytes = 0
    # A folder, its name relative to the first one, and the folders that lead to it.
    pending: list[tuple[str, str, tuple[tuple[int, int], ...]]] = [(path, "", ((found.st_dev, found.st_ino),))]
    while pending:
        folder, prefix, above = pending.pop()
        try:
            names = os.listdir(folder)
        except OSError as error:
            if error.errno in _NOTHING_THERE:
                names = []
            else:
                raise _unreadable(folder, error) from error
        for name in names:
            if name == STORE_FOLDER:  # what a block saves must not change the block's own input
                continue
            inner, relative = os.path.join(folder, name), prefix + name
            key = os.fsencode(relative)
            entry = _stat(inner)
            if entry is None:  # a symlink that leads nowhere
                rows[key] = ABSENT
            elif modes.S_ISREG(entry.st_mode):
                rows[key] = _of_file(inner, _numbers(entry), memo)
                files, size_bytes = files + 1, size_bytes + entry.st_size
            elif not modes.S_ISDIR(entry.st_mode):
                rows[key] = _special(entry.st_mode)
            elif (entry.st_dev, entry.st_ino) in above:  # a symlink to a folder that it is in
                rows[key] = f"cycle-{len(above) - above.index((entry.st_dev, entry.st_ino))}"
            else:
                rows[key] = "directory"
                pending.append((inner, relative + os.sep, (*above, (entry.st_dev, entry.st_ino))))
    return Content(f"directory-{_of_rows(rows)}", files, size_bytes)


def _of_rows(rows: dict[bytes, str]) -> str:
    """Digest of names and what they stand for, whatever order they were found in."""
    hasher = xxhash.xxh3_128()
    for name in sorted(rows):
        hasher.update(b"%d:%b=%b\n" % (len(name), name, rows[name].encode()))
    return hasher.hexdigest()


def _split(path: str) -> tuple[str, str]:
    """The folder before a path's first wildcard, and the rest."""
    segments = path.split(os.sep)
    first = next((i for i, s in enumerate(segments) if has_wildcard(s)), len(segments) - 1)
    return os.sep.join(segments[:first]) or os.sep, os.sep.join(segments[first:])


def _matches(folder: str, pattern: str, *, hidden: bool) -> set[str]:
    """What :func:`glob.glob` finds, but a symlink to a folder that it is in ends there (glob goes round 40 times)."""
    import fnmatch

    segments = pattern.split(os.sep)
    found: set[str] = set()
    # The part of a name that is known, how many segments it took, and the folders since ``**`` began.
    pending: list[tuple[str, int, tuple[tuple[int, int], ...]]] = [("", 0, ())]
    while pending:
        prefix, index, above = pending.pop()
        segment, is_last = segments[index], index == len(segments) - 1
        if not has_wildcard(segment):
            names = [segment] if os.path.lexists(os.path.join(folder, prefix + segment)) else []
        else:
            shown = hidden or segment.startswith(".")
            names = [n for n in _names(os.path.join(folder, prefix)) if shown or not n.startswith(".")]
        if segment == "**":
            here = _stat(os.path.join(folder, prefix))
            if here is None or (here.st_dev, here.st_ino) in above:
                continue
            above = (*above, (here.st_dev, here.st_ino))
            if not is_last:
                pending.append((prefix, index + 1, ()))
            elif prefix:
                found.add(prefix)
            pending += [(prefix + n + os.sep, index, above) for n in names]
        elif has_wildcard(segment):
            names = [n for n in names if fnmatch.fnmatchcase(n, segment)]
        if is_last:
            found.update(prefix + n for n in names)
        elif segment != "**":
            pending += [(prefix + n + os.sep, index + 1, ()) for n in names]
    return found


def _names(folder: str) -> list[str]:
    """The names in a folder but a store of ours; none where it is not one or is closed to us, as for glob."""
    try:
        return [name for name in os.listdir(folder or os.curdir) if name != STORE_FOLDER]
    except OSError:
        return []


def _record_path(memo: str, key: str) -> str:
    host = os.uname().nodename.replace(os.sep, "_")
    return os.path.join(memo, f"{host}-{xxhash.xxh3_128_hexdigest(os.fsencode(key))}")


def _record(key: str, stat: Stat, found: str) -> bytes:
    """One line each: the path, for people; the stat; the digest; and a checksum of these."""
    body = b"%b\n%b\n%b\n" % (os.fsencode(key), " ".join(map(str, stat)).encode(), found.encode())
    return body + xxhash.xxh3_64_hexdigest(body).encode() + b"\n"


def _recall(memo: str, key: str, stat: Stat) -> str | None:
    """The digest that the memo has for exactly this path and stat."""
    try:
        with open(_record_path(memo, key), "rb") as file:
            data = file.read()
        found = data.split(b"\n")[-3].decode("ascii")
    except (OSError, ValueError, IndexError):
        return None
    # What would be written for this path, stat and digest is all that is believed.
    return found if data == _record(key, stat, found) else None


def _remember(memo: str, key: str, stat: Stat, found: str) -> None:
    import threading

    path = _record_path(memo, key)
    draft = f"{path}.{os.getpid()}.{threading.get_ident()}"
    try:
        os.makedirs(memo, exist_ok=True)
        with open(draft, "wb") as file:
            file.write(_record(key, stat, found))
        os.replace(draft, path)
    except OSError:  # full, read-only, gone: it would only have saved time
        import contextlib

        with contextlib.suppress(OSError):
            os.unlink(draft)
