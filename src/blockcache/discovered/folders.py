"""Which folders the kernel is asked about while something records: those where files may lie that the body opens.

They are the working folder; those of files that a recorder learns of, before they are opened; those that texts name,
themselves or by something in them; and what is below these.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from blockcache.discovered import places
from blockcache.discovered.kernel import Folder, Heard, Listener, functions
from blockcache.settings import STORE_FOLDER

#: Below one folder, and in all: each costs some 20 µs.
_MOST_BELOW = 64
_MOST = 500
#: Names that are looked at in search of folders, a third of a µs each.
_MOST_NAMES = 4_000
_MOST_LINKS = 100
#: What is spent on looking below folders while something records: a server may take its time.
_MOST_S = 0.1
_MOST_TEXTS = 1_000
_MOST_LOOKED = 5_000
_LONGEST_TEXT = 1_000
_ANYBODYS = frozenset({"/tmp/", "/var/tmp/", "/dev/shm/"})
# The builtin: `os.stat` is watched.
_stat = os.stat
#: What holds no data of the program, beside what is hidden.
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages", STORE_FOLDER})
#: A folder with one of these in it is an environment.
_ENVIRONMENTS = frozenset({"pyvenv.cfg", "conda-meta"})
#: FAT keeps times to 2 s.
_COARSEST_CLOCK_NS = 2_000_000_000


class _Looked(NamedTuple):
    """What was found in a folder: how many names, the folders and the symlinks among them."""

    names: int
    folders: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    changed_ns: int = 0


class _Listening:
    """One time of listening, from the first recorder to the last."""

    def __init__(self, listener: Listener, cwd: str) -> None:
        self.listener = listener
        self.cwd = cwd
        self.home = os.path.expanduser("~")
        self.avoided: tuple[str, ...] = ()
        self.known: dict[str, Folder | None] = {}
        self.passed: set[str] = set()
        self.renew()

    def renew(self) -> None:
        """Another recorder begins: folders may have come into being."""
        self.walked: set[str] = set()
        # Folder -> the folders in it, where all of them are known.
        self.inside: dict[str, dict[str, None]] = {}
        self.texts: set[str] = set()
        self.names_left = _MOST_NAMES
        self.links_left = _MOST_LINKS
        self.s_left = _MOST_S

    def add(self, path: str) -> Folder | None:
        if path in self.known:
            return self.known[path]
        folder = None
        if path != "/" and len(self.known) < _MOST and not f"{path}/".startswith(self.avoided):
            folder = self.listener.add(path)
        return self.known.setdefault(path, folder)

    def walk(self, top: str) -> None:
        """Listen to a folder and to those below it, the nearest first."""
        if top in self.walked:
            return
        self.walked.add(top)
        if places.is_settled(f"{top}/"):
            self.known.setdefault(top)
            return
        began = time.perf_counter()
        todo = deque([top])
        met = set()
        for _ in range(1 if self._is_broad(top) else _MOST_BELOW):
            if not todo:
                break
            here = todo.popleft()
            folder = self.add(here)
            if folder is not None and folder not in met and time.perf_counter() - began < self.s_left:
                met.add(folder)  # it may be met again by a symlink
                todo += self.folders_in(here)
        self.s_left -= time.perf_counter() - began

    def folders_in(self, here: str) -> Iterable[str]:
        """The folders in one, which are looked for once."""
        if here in self.inside:
            return self.inside[here]
        found = _looked.get(here)
        changed_ns = _changed_ns(here)
        if found is None or found.changed_ns != changed_ns:
            looked = _look(here, self.names_left)
            if looked is None:
                return []
            self.names_left -= looked.names
            found = looked._replace(changed_ns=changed_ns)
            if self.names_left <= 0:
                return found.folders
            # A folder that changed just now may do so again within one tick of the file system's clock.
            if len(_looked) < _MOST_LOOKED and changed_ns + _COARSEST_CLOCK_NS < time.time_ns():
                _looked[here] = found
        self.inside[here] = dict.fromkeys([*found.folders, *filter(self._leads_to_folder, found.links)])
        return self.inside[here]

    def _leads_to_folder(self, link: str) -> bool:
        """Whether a symlink leads to a folder. The kernel says of a file that it was opened, not by which link."""
        self.links_left -= 1
        if self.links_left < 0:
            return False
        target = os.path.realpath(link)
        found = places.stat(target)
        if found is None:
            return False
        if found == places.FOLDER:
            return not self._is_broad(target)
        folder = self.add(os.path.dirname(target))
        if folder is not None:
            links = folder.links.setdefault(os.path.basename(target), [])
            if link not in links:
                links.append(link)
        return False

    def _is_broad(self, path: str) -> bool:
        """Whether what is below a folder may be anything: the home folder, the working folder and more, anybody's."""
        inside = os.path.join(os.path.normpath(path), "")
        return f"{self.home}/".startswith(inside) or self.cwd.startswith(inside) or inside in _ANYBODYS


def _look(folder: str, most: int) -> _Looked | None:
    """What there is in a folder, of so many names; None where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            found = list(itertools.islice(entries, max(most, 0)))
            links = [entry.path for entry in found if entry.is_symlink()]
            folders = [entry for entry in found if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return None
    if any(entry.name in _ENVIRONMENTS for entry in found):
        return _Looked(len(found))
    kept = sorted(e.path for e in folders if not e.name.startswith(".") and e.name not in _LEFT_OUT)
    return _Looked(len(found), tuple(kept), tuple(links))


def _changed_ns(folder: str) -> int:
    try:
        return _stat(folder).st_mtime_ns
    except OSError:
        return 0


# Folder -> what was found when it was looked at, for as long as it does not change.
_looked: dict[str, _Looked] = {}
_listener: Listener | None = None
_now: _Listening | None = None


def prepare() -> None:
    """Import what it takes: whoever holds a lock must not, for a thread that imports may wait for it."""
    with contextlib.suppress(OSError):
        functions()


def begin(cwd: str, avoided: Iterable[str]) -> None:
    """Listen in the working folder ``cwd`` but not in what is ``avoided``; where the kernel cannot, nothing happens."""
    global _listener, _now
    if _now is not None:
        _now.renew()
    else:
        if _listener is None or not _listener.is_open:
            try:
                _listener = Listener()
            except OSError:
                return
        _listener.hear()  # what came after the last time
        _now = _Listening(_listener, cwd)
    _now.avoided = (*_now.avoided, *avoided)
    if _now.add(cwd) is not None:
        _now.folders_in(cwd)


def end() -> None:
    """Listen no more."""
    global _now
    listening, _now = _now, None
    if listening is not None:
        listening.listener.clear()


def forget() -> None:
    """Leave a copy of the process without a listener."""
    global _listener, _now
    listener, _listener, _now = _listener, None, None
    if listener is not None:
        listener.close()


def hear() -> tuple[dict[tuple[Folder, str], Heard], bool]:
    """What has happened since the last time, but for what is passed over; and whether that is all."""
    listening = _now
    if listening is None:
        return {}, True
    found, is_whole = listening.listener.hear()
    passed = listening.passed
    return {
        (folder, name): heard
        for (folder, name), heard in found.items()
        if not passed or not any(os.path.join(path, name) in passed for path in folder.paths)
    }, is_whole


def near(path: str) -> None:
    """A file of this absolute name is about to be used: others that belong to it may lie beside it."""
    listening = _now
    if listening is not None:
        folder = os.path.dirname(path)
        if folder not in listening.known:
            listening.walk(folder)


def below(path: str) -> None:
    """Listen to a folder, by an absolute name, and to those below it."""
    listening = _now
    if listening is not None:
        listening.walk(path.rstrip("/"))


def named(texts: Iterable[str]) -> None:
    """Listen to folders that texts name, or name something in."""
    listening = _now
    if listening is None:
        return
    cwd = os.getcwd()
    here = listening.inside.get(cwd)
    for text in texts:
        has_folder = "/" in text
        if not has_folder and here is not None and f"{cwd}/{text}" not in here:
            continue
        if text in listening.texts or len(listening.texts) >= _MOST_TEXTS or len(text) > _LONGEST_TEXT:
            continue
        listening.texts.add(text)
        text = text.removeprefix("file://")
        if not text.strip("./") or "\n" in text or "\0" in text or "://" in text:
            continue
        path = os.path.join(cwd, text).rstrip("/")
        above, name = os.path.split(path)
        if above in listening.inside and not name.startswith("."):
            if path in listening.inside[above]:
                listening.walk(path)
        elif places.stat(path) == places.FOLDER:
            listening.walk(path)
        elif has_folder and above not in listening.known and places.stat(above) == places.FOLDER:
            listening.walk(above)


def pass_over(path: str) -> None:
    """A file is opened, by an absolute name, which is no input: by us, or for what distributions say of themselves."""
    listening = _now
    if listening is not None and listening.known.get(os.path.dirname(path)) is not None:
        listening.passed.add(path)
