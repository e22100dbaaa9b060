"""The places that a block declares for its output files, and what stands in them."""

from __future__ import annotations

import fnmatch
import os
import stat as modes
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import xxhash

from blockcache import files
from blockcache.errors import CacheError, CodecError
from blockcache.model import Input, Stat
from blockcache.settings import STORE_FOLDER

#: What a row of the manifest has in the place of a blob's digest: a directory; one that the body emptied first, so that
#: nothing else is in it; what the body removed; a symlink, followed by where it leads.
FOLDER, EMPTIED, ABSENT, LINK = "", "emptied", files.ABSENT, "-> "

#: Ownership apart, and without the bits that lend somebody else's rights.
PERMISSIONS = 0o777

# The builtin: `os.lstat` is watched while a block around this one records.
_lstat = os.lstat
_ALLOWED = "Allowed are paths, globs and directories (text or path objects)"


class Look(NamedTuple):
    """What is at a path, symlinks not followed."""

    kind: str  # file, directory, link, or what else it is
    mode: int
    stat: Stat | None = None
    leads_to: str = ""


def look(path: str) -> Look | None:
    """What is at ``path``; None when nothing is."""
    try:
        found = _lstat(path)
    except (OSError, ValueError):
        return None
    return _look(path, found)


def _look(path: str, found: os.stat_result) -> Look:
    mode = found.st_mode & PERMISSIONS
    if modes.S_ISREG(found.st_mode):
        stat = Stat(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)
        return Look("file", mode, stat)
    if modes.S_ISDIR(found.st_mode):
        return Look("directory", mode)
    if modes.S_ISLNK(found.st_mode):
        return Look("link", 0, leads_to=os.readlink(path))
    return Look("pipe, socket or device", mode)


def check(declared: object) -> tuple[str, ...]:
    """The argument ``outputs=`` of a block, as text.

    Raises
    ------
    CacheError
        When an entry names no place that outputs can have.
    """
    entries: Iterable[object]
    if isinstance(declared, str | os.PathLike):
        entries = (declared,)
    elif isinstance(declared, bytes | Mapping) or not isinstance(declared, Iterable):
        raise CacheError(f"outputs={declared!r}: it takes a list. {_ALLOWED}")
    else:
        entries = declared
    return tuple(_parse(entry, f"outputs[{i}]") for i, entry in enumerate(entries))


def _parse(entry: object, where: str) -> str:
    path = os.fspath(entry) if isinstance(entry, str | os.PathLike) else None
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise CacheError(f"{where} is {entry!r}. {_ALLOWED}")
    path = os.path.expanduser(path)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    inner = parts
    while not path.startswith("/") and inner[:1] == [".."]:
        inner = inner[1:]
    if ".." in inner:
        # Where "a/.." leads depends on what `a` is.
        raise CacheError(f"{where} is {entry!r}: '..' can stand at the beginning of a relative path only")
    if not inner or (inner[0] in ("**", "*") and len(inner) == 1):
        raise CacheError(f"{where} is {entry!r}, where everything is: name the files, or a folder for them")
    return ("/" if path.startswith("/") else "") + "/".join(parts)


class Place(NamedTuple):
    """A declared path, or a declared glob.

    Attributes
    ----------
    text
        What it, or the folder before a glob's first wildcard, is called in rows.
    named
        Where that is, links in the folders above followed.
    base
        The same with a link at its end followed too.
    leads_to
        That link's text when the block began.
    pattern
        The rest of a glob.
    """

    text: str
    named: str
    base: str
    leads_to: str
    pattern: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As it was declared."""
        return "/".join((*((self.text,) if self.text else ()), *self.pattern))

    def parts(self, path: str) -> tuple[str, ...] | None:
        """A path in this place by its parts below the base; None when it is not in it."""
        if path == self.base:
            return None if self.pattern else ()
        if not path.startswith(self.base.rstrip("/") + "/"):
            return None
        parts = tuple(path[len(self.base.rstrip("/")) + 1 :].split("/"))
        return parts if not self.pattern or _matches(parts, self.pattern) else None

    def row(self, parts: Iterable[str]) -> str:
        """What a path in this place is called in rows."""
        return "/".join((*((self.text,) if self.text else ()), *parts))


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a glob finds the path, or a folder that it is in."""
    if not pattern:
        return True
    if not parts:
        return False
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        if not rest:
            return not parts[0].startswith(".")
        if _matches(parts, rest):
            return True
        return not parts[0].startswith(".") and _matches(parts[1:], pattern)
    return _is_named(parts[0], first) and _matches(parts[1:], rest)


def _may_lead(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a glob may find something below a folder."""
    for part, wanted in zip(parts, pattern, strict=False):
        if wanted == "**":
            return True
        if not _is_named(part, wanted):
            return False
    return True


def _is_named(name: str, wanted: str) -> bool:
    # Names with a dot must be asked for; "scan[1].tif" names itself as well.
    hidden = name.startswith(".") and not wanted.startswith(".")
    return name == wanted or (not hidden and fnmatch.fnmatchcase(name, wanted))


class Declared:
    """The declared places of one passage through a block, and what happens in them.

    Parameters
    ----------
    texts
        What :func:`check` gave.
    folder
        The working directory, where relative places start.
    store
        Directory of the store, which is no output wherever it is.
    """

    def __init__(self, texts: Iterable[str], folder: str, store: str) -> None:
        self._store = os.path.realpath(store)
        self.places = tuple(self._place(text, folder) for text in texts)
        self.before: dict[str, Look] = {}
        self.began_ns = 0
        #: Paths that were opened for writing or replaced; removed; folders removed with what was in them; paths that a
        #: block inside this one has put back.
        self.written: set[str] = set()
        self.removed: set[str] = set()
        self.emptied: set[str] = set()
        self.produced: set[str] = set()

    def _place(self, text: str, folder: str) -> Place:
        if text == folder or os.path.join(folder, "").startswith(text + "/"):
            raise CacheError(f"outputs= has {text}, where the program itself is: name the files, or a folder for them")
        text = text.removeprefix(folder.rstrip("/") + "/")
        segments = text.split("/")
        first = next((i for i, s in enumerate(segments) if files.has_wildcard(s)), len(segments))
        pattern = tuple(segments[first:])
        text = "/".join(segments[:first])
        path = os.path.normpath(os.path.join(folder, text))
        named = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)) if text else folder
        base = os.path.realpath(path)
        if f"{base}/".startswith(f"{self._store}/"):
            raise CacheError(f"outputs= has {text}, which is in the store: choose another place")
        found = look(named)
        return Place(text, named, base, found.leads_to if found is not None else "", pattern)

    @property
    def input(self) -> Input:
        """The declaration itself is part of a key: an entry that was made with another one has other files."""
        shown = ", ".join(place.shown for place in self.places)
        digest = xxhash.xxh3_128_hexdigest("\0".join(place.shown for place in self.places).encode())
        return Input("extra", "outputs", digest, shown)

    # -- which paths -----------------------------------------------------------------------

    def at(self, path: str) -> str | None:
        """Where an absolute path really is, when that is in a declared place; else None."""
        folder, name = os.path.split(os.path.normpath(path))
        real = os.path.join(os.path.realpath(folder), name)
        for place in self.places:
            if real == place.named and not place.pattern:
                return place.base
            if place.parts(real) is not None:
                return None if self._avoids(real) else real
        return None

    def _avoids(self, path: str) -> bool:
        return f"/{STORE_FOLDER}/" in f"{path}/" or f"{path}/".startswith(f"{self._store}/")

    def target(self, row: str, content: str) -> str:
        """The path that a row of a manifest stands for.

        Raises
        ------
        CodecError
            When it is in no declared place.
        """
        for place in self.places:
            if row == place.text and (not place.pattern or content == EMPTIED):
                return place.named if content == ABSENT or content.startswith(LINK) else place.base
            inside = row[len(place.text) + 1 :] if place.text else row
            if place.text and not row.startswith(place.text + "/"):
                continue
            parts = tuple(inside.split("/"))
            if {"", ".", ".."}.isdisjoint(parts) and (not place.pattern or _matches(parts, place.pattern)):
                path = os.path.join(place.base, *parts)
                if not self._avoids(path):
                    _no_links(place.base, parts[:-1])
                    return path
        raise CodecError(f"the entry has the file {row}, which is in no declared place")

    # -- what is there ---------------------------------------------------------------------

    def begin(self) -> None:
        """The body is about to run."""
        self.began_ns = time.time_ns()
        self.before = {path: found for place in self.places for path, found in self.walk(place)}

    def walk(self, place: Place) -> Iterator[tuple[str, Look]]:
        """Everything in a declared place, folders before what is in them; links are not followed."""
        found = look(place.base)
        if found is None:
            return
        if not place.pattern:
            yield place.base, found
        if found.kind == "directory":
            yield from self._below(place, place.base, ())

    def _below(self, place: Place, folder: str, above: tuple[str, ...]) -> Iterator[tuple[str, Look]]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        for entry in found:
            parts = (*above, entry.name)
            if self._avoids(entry.path):
                continue
            try:
                seen = _look(entry.path, entry.stat(follow_symlinks=False))
            except OSError:  # gone this very moment
                continue
            if not place.pattern or _matches(parts, place.pattern):
                yield entry.path, seen
            elif not _may_lead(parts, place.pattern):
                continue
            if seen.kind == "directory":
                yield from self._below(place, entry.path, parts)

    # -- what the recorder tells -----------------------------------------------------------

    def is_own(self, path: str) -> bool:
        """Whether the body has changed what was at a path of a declared place."""
        return look(path) != self.before.get(path) or path in self.produced

    def writes(self, path: str) -> None:
        """A file of a declared place is about to be written or replaced."""
        self.written.add(path)

    def removes(self, path: str) -> None:
        """A file or folder of a declared place is about to be removed, whether it is there or not."""
        if path in self.before or look(path) is None:  # else the body made it, and nobody will miss it
            self.removed.add(path)

    def empties(self, path: str) -> None:
        """A folder is removed with everything in it; it may be above a declared place."""
        folder, name = os.path.split(os.path.normpath(path))
        self.emptied.add(os.path.join(os.path.realpath(folder), name))

    def end(self) -> None:
        """The body is over: a folder was emptied when nothing that was in it is left."""
        left = [path for path, found in self.before.items() if found.kind != "directory" and look(path) == found]
        self.emptied = {e for e in self.emptied if not any(path.startswith(e + "/") for path in left)}

    def was_emptied(self, path: str) -> bool:
        """Whether a path is, or lies in, a folder that the body emptied."""
        return any(path == e or path.startswith(e + "/") for e in self.emptied)


def _no_links(base: str, parts: Iterable[str]) -> None:
    """Below a declared place nothing is followed: a link could lead out of it."""
    path = base
    for part in parts:
        path = os.path.join(path, part)
        found = look(path)
        if found is not None and found.kind != "directory":
            raise CodecError(f"a {found.kind} is in the place of the folder {path}")
