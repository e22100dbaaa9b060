"""Records what one body reads from outside."""

from __future__ import annotations

import os
import stat as modes
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType

from blockcache import files
from blockcache.discovered import check, places
from blockcache.errors import FingerprintError
from blockcache.model import Input, Stat

# The builtin: `os.stat` itself is watched.
_os_stat = os.stat
#: Of names that code gives as constants and upstream values, and of pairs of a folder and a name among them.
_MOST_TEXTS = 100_000
_MOST_PAIRS = 2_000
_MOST_CLASSES = 10_000
#: Beyond, the run is not saved: a manifest of so many lines would cost more than it spares.
_MOST_READS = 200_000
#: `inspect.CO_OPTIMIZED`, without importing it.
_IS_FUNCTION = 1
_FOLDER = Stat(-1, -1, -1, -1)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a body read from outside.

    Attributes
    ----------
    inputs
        Files by content (relative names as they were given, to be looked up in the folder of then), the names in
        folders, what globs find, whether something exists; environment variables.
    stats
        By input name: what the file system said when the content was read, only where that may be trusted.
    written
        Files that the body created, changed or removed.
    conflicts
        Why the run cannot be saved: files that were read and changed while it ran.
    untracked
        What cannot be checked, one clause each.
    classes
        (module, name) of classes and functions that unpickling looked up.
    """

    inputs: tuple[Input, ...] = ()
    stats: Mapping[str, Stat] = field(default_factory=dict)
    written: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    classes: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Read:
    """One file that was read, or may have been."""

    path: str
    stat: Stat | None
    at_ns: int
    opened: bool
    names: set[str] = field(default_factory=set)
    #: Absolute names that a library asked for, which may have made them from relative ones.
    derived: set[str] = field(default_factory=set)


class Recorder:
    """Records what happens in the process between :meth:`start` and :meth:`stop`, whatever thread does it.

    Parameters
    ----------
    codes
        Code objects whose calls are watched: of the frame that holds the body, of functions that it reaches.
    texts
        Upstream values that may name files, or that hold one open (files, sqlite and HDF5 connections).
    constants
        Texts in the body itself that may name files.
    ignore
        Folders whose files never count: the store.
    memo
        As in :func:`blockcache.files.content`.
    """

    def __init__(
        self,
        *,
        codes: Iterable[CodeType] = (),
        texts: Iterable[object] = (),
        constants: Iterable[object] = (),
        ignore: Iterable[str] = (),
        memo: str | None = None,
    ) -> None:
        self.codes = tuple(codes)
        self._texts = tuple(texts)
        self._constants = tuple(constants)
        self._memo = memo
        self._ignored = tuple(os.path.join(os.path.abspath(f), "") for f in (*ignore, *((memo,) if memo else ())))
        self._cwd = ""
        self._started_ns = 0
        self._reads: dict[str, _Read] = {}
        self._written: dict[str, Stat | None] = {}
        self._made: set[str] = set()
        self._names: dict[str, str] = {}
        self._variables: dict[str, str | None] = {}
        self._set: set[str] = set()
        self._all_variables: str | None = None
        self._clauses: dict[str, None] = {}
        self._resolved: set[str] = set()
        self._classes: dict[tuple[str, str], None] = {}
        self._attributes: set[str] = set()
        self._troubles: dict[str, None] = {}

    # -- from start to stop ----------------------------------------------------------------

    def start(self) -> None:
        """Begin to record."""
        from blockcache.discovered import watch

        self._cwd = os.getcwd()
        self._started_ns = time.time_ns()
        try:
            has_calls = watch.begin(self)
            self.guess(self._constants)
            for code in self.codes:
                self.ran(code)
            for value in self._texts:
                self._behind(value)
            if not has_calls:
                self.guess(self._texts)
                self._pairs()
        except BaseException:
            watch.end(self)
            raise

    def stop(self) -> Recorded:
        """End it, and read what was read. Never raises: trouble becomes a conflict."""
        from blockcache.discovered import watch

        watch.end(self)
        try:
            return self._result()
        except Exception as error:
            trouble = f"what it read could not be told ({type(error).__name__}: {error})"
            return Recorded(conflicts=(trouble,))

    # -- what watchers tell ------------------------------------------------------------------

    def read(self, name: str, *, opened: bool, by_library: bool = False) -> None:
        """A file is about to be read; or, not ``opened``, something that the body has names it."""
        cwd = os.getcwd()
        path = os.path.join(cwd, name.removeprefix("./"))
        known = self._reads.get(path)
        if known is None or (opened and not known.opened):
            if self._ignores(path) or self._is_inside_own(path):
                return
            if path not in self._written or _stat(path) == self._written[path]:  # else the body reads what it wrote
                found = _stat(path)
                if found == _FOLDER:
                    if opened:
                        self._read_below(name)
                    return
                if found is not None and self._is_own_temporary(path, found):
                    return
                if known is None:
                    if len(self._reads) >= _MOST_READS:
                        raise ValueError(f"more than {_MOST_READS:,} names of files")
                    known = self._reads.setdefault(path, _Read(path, found, time.time_ns(), opened))
                known.opened = known.opened or opened
        if known is not None:
            spellings = known.derived if by_library and os.path.isabs(name) else known.names
            spellings.update(self._spellings(name, path, cwd))

    def stated(self, name: str) -> None:
        """Project code asked the file system about a name."""
        cwd = os.getcwd()
        path = os.path.join(cwd, name)
        if _stat(path) != _FOLDER:
            self.read(name, opened=False)
        elif not self._ignores(os.path.join(path, "")) and not self._is_inside_own(os.path.join(path, "")):
            self._note_names(name.removeprefix("./"), check.EXISTS)

    def write(self, name: str) -> None:
        """A file is about to be written, replaced or removed."""
        path = os.path.join(os.getcwd(), name.removeprefix("./"))
        if path not in self._written and not self._ignores(path) and not places.is_bytecode(path):
            before = self._written.setdefault(path, _stat(path))
            if before is None:
                self._made.add(path)

    def listed(self, name: str, kind: str) -> None:
        """A folder is about to be listed, or a glob to be expanded; ``kind`` is the end of the input's name."""
        path = os.path.join(os.getcwd(), name, "")
        if (kind == check.LISTING and self._ignores(path)) or self._is_inside_own(path):
            return
        self._note_names(name.removeprefix("./") or os.curdir, kind)

    def given(self, value: object, *, writes: bool = False) -> None:
        """A reader or writer of files was given ``value``: a name, glob, URL, statement of SQL, or a list of these."""
        for text in _texts_of(value):
            where = places.url(text)
            if where is not None:
                self.clause(f"reads {where}")
                continue
            for name, is_target in places.names_in(text, is_name=True):
                exists = os.path.lexists(name)
                is_whole = name == text.removeprefix("file://")
                if name.startswith(":"):  # ":memory:"
                    continue
                if writes or is_target:
                    if is_target or is_whole:
                        self.write(name)
                elif files.has_wildcard(name) and not exists:
                    if "/" in name or "." in name:
                        self._read_glob(name)
                elif exists or is_whole:  # else a text in a statement
                    self.read(name, opened=True)

    def guess(self, values: object, *, may_write: bool = False) -> bool:
        """Whether ``values`` (texts that code has or hands on) name existing files, which then count as read."""
        found = False
        for text in _texts_of(values):
            for name, is_target in places.names_in(text, is_name=False):
                if not is_target and _is_file(name) and not name.endswith((".py", ".pyc")):
                    self.read(name, opened=False)
                    found = True
                if is_target or may_write:
                    self.write(name)
        return found

    def variable(self, name: str, value: str | None) -> None:
        """The project reads an environment variable."""
        if name not in self._set and not (self._all_variables is not None and check.is_volatile(name)):
            self._variables.setdefault(name, value)

    def all_variables(self) -> None:
        """The project reads the whole environment."""
        if self._all_variables is None:
            self._all_variables = check.of_names(name for name in os.environ if name not in self._set)
        self.clause("reads the whole environment")

    def variable_set(self, name: str) -> None:
        """An environment variable is set or deleted."""
        self._set.add(name)
        self.clause(f"sets the environment variable {name}")

    def clause(self, text: str) -> None:
        """Something happens that cannot be checked."""
        self._clauses.setdefault(text)

    def runs(self, words: Sequence[str], folder: str) -> None:
        """A program runs, in ``folder``: files that its arguments name count as read, or written if it changes them."""
        self.clause(f"runs `{os.path.basename(words[0])}`")
        self._attributes.add("write")  # it may write any of them
        for word in words:
            for name in {word, word.partition("=")[2], word.lstrip("<>")}:
                place = os.path.join(folder, name)
                may_be = "/" in name and "." in name and not name.startswith("-") and len(name.split()) == 1
                if name and not _is_program(place) and (_is_file(place) or (may_be and places.url(name) is None)):
                    self.read(place, opened=False)

    def resolves(self, port: str) -> None:
        """A host name is looked up, to connect to this port."""
        self._resolved.add(port)

    def connects(self, host: str, port: str, *, is_address: bool) -> None:
        """A connection is made; to an address that a name was looked up for, the clause has the name."""
        if not (is_address and port in self._resolved):
            self.clause(f"connects to {host}:{port}" if port else f"connects to {host}")

    def found_class(self, module: str, name: str) -> None:
        """Unpickling looked up a class or function."""
        if len(self._classes) < _MOST_CLASSES:
            self._classes.setdefault((module, name))

    def ran(self, code: CodeType) -> None:
        """Code of the project runs: a function's constants may name files; a module's are those of the whole file."""
        self._note_attributes(code)
        if code.co_flags & _IS_FUNCTION:
            self.guess([c for c in code.co_consts if type(c) in (str, tuple, bytes)])

    def trouble(self, error: Exception) -> None:
        """A watcher failed: what it did not see makes the run unfit to be saved."""
        self._troubles.setdefault(f"what it reads could not be watched ({type(error).__name__}: {error})")

    # -- which files and under what name -----------------------------------------------------

    def _ignores(self, path: str) -> bool:
        return path.startswith(self._ignored) or places.is_settled(path)

    def _is_inside_own(self, path: str) -> bool:
        """Whether a path lies in a folder that the body made; a folder's own path ends with a separator."""
        while self._made and len(path) > 1:
            path = os.path.dirname(path)
            if path in self._made:
                return True
        return False

    def _is_own_temporary(self, path: str, found: Stat) -> bool:
        return found.ctime_ns >= self._started_ns and places.is_temporary(path)

    def _spellings(self, name: str, path: str, cwd: str) -> set[str]:
        """The names by which a file counts.

        A relative name counts as it was given. An absolute one inside the current folder may come from the folder
        (``Path.cwd()``, `os.path.abspath`) or be written out in a file: in a copy of the project, the first
        is another file, the second is not. So both names count, unless the absolute one was asked for by a library
        and project code gave a relative one.
        """
        inside = os.path.join(self._cwd, "")
        if not os.path.isabs(name) and cwd == self._cwd:
            return {name.removeprefix("./")}
        if path.rstrip("/") == self._cwd:
            return {os.curdir, path} if os.path.isabs(name) else {os.curdir}
        if not path.startswith(inside):
            return {path}
        relative = path.removeprefix(inside)
        return {relative, path} if os.path.isabs(name) else {relative}

    def _note_names(self, name: str, kind: str) -> None:
        cwd = os.getcwd()
        path = os.path.join(cwd, name)
        for spelling in self._spellings(name, path, cwd):
            if kind == check.LISTING:
                spelling = os.path.join(spelling, "")
            if spelling + kind not in self._names:
                # At the time of asking: what the body adds to the folder itself is not what it found.
                self._names.setdefault(spelling + kind, _names_digest(spelling + kind))

    def _read_below(self, folder: str) -> None:
        self.listed(os.path.join(folder, "**"), check.GLOB)
        for here, _, names in os.walk(folder, followlinks=True):
            for name in names:
                self.read(os.path.join(here, name), opened=True)

    def _read_glob(self, pattern: str) -> None:
        import glob

        self.listed(pattern, check.GLOB)
        for name in glob.glob(pattern, recursive=True):
            self.read(name, opened=True)

    # -- where calls cannot be watched ---------------------------------------------------------

    def _behind(self, value: object) -> None:
        """The file behind an upstream value that has one open."""
        name = getattr(value, "name", None) if hasattr(value, "readable") and hasattr(value, "fileno") else None
        if isinstance(name, str) and not name.startswith("<"):
            self.read(name, opened=True)
        sqlite3 = sys.modules.get("sqlite3")
        if sqlite3 is not None and isinstance(value, sqlite3.Connection):
            cursor = sqlite3.Cursor(value)  # the class itself: the connection's own factories may return anything
            cursor.row_factory = None
            for _, _, file in cursor.execute("PRAGMA database_list").fetchall():
                if file:
                    self.read(file, opened=True)
        h5py = sys.modules.get("h5py")
        if h5py is not None and isinstance(value, h5py.HLObject) and value:
            self.read(value.file.filename, opened=True)

    def _pairs(self) -> None:
        """Names in folders, of the folders and names among the texts."""
        texts = [
            t for t in _texts_of((self._texts, self._constants)) if len(t) < 1_000 and "\n" not in t and "\0" not in t
        ]
        folders = [t for t in texts if os.path.isdir(t)]
        names = [t for t in texts if "." in t and not os.path.isabs(t)]
        pairs = ((folder, name) for folder in folders for name in names)
        for (folder, name), _ in zip(pairs, range(_MOST_PAIRS), strict=False):
            self.guess(os.path.join(folder, name))

    def _note_attributes(self, code: CodeType) -> None:
        self._attributes.update(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._note_attributes(constant)

    # -- the result --------------------------------------------------------------------------

    def _result(self) -> Recorded:
        inputs: dict[tuple[str, str], Input] = {}
        stats: dict[str, Stat] = {}
        conflicts = dict(self._troubles)
        written = {path for path, before in self._written.items() if _stat(path) != before}
        has_writer = any(map(places.is_writing, self._attributes))
        for read in list(self._reads.values()):
            now = _stat(read.path)
            names = read.names if any(not os.path.isabs(n) for n in read.names) else read.names | read.derived
            if read.stat is None and now is not None:
                written.add(read.path)  # it came into being while the body ran
                continue
            # Written within a tick of the file system's clock after it was read: the times would not tell.
            is_racy = read.path in self._written and read.stat is not None and not files.trusted(read.stat, read.at_ns)
            if now != read.stat or (read.opened and is_racy):
                # Nobody saw that it was opened: a writer in C, where there is one, is likelier than a reader.
                if read.opened or not (read.path in self._written or has_writer):
                    conflicts[f"{min(names)} was read, and changed while the block ran"] = None
                else:
                    written.add(read.path)
                continue
            began_ns = time.time_ns()
            try:
                digest = files.digest(read.path, self._memo)
            except FingerprintError:
                self.clause(f"reads {min(names)}, which cannot be read again")
                continue
            if _stat(read.path) != now:
                conflicts[f"{min(names)} was read, and changed while the block ran"] = None
            for name in names:
                inputs["file", name] = Input("file", name, digest)
                if now is not None and files.trusted(now, began_ns):
                    stats[name] = now
        for name, digest in list(self._names.items()):
            if not written and _names_digest(name) != digest:
                conflicts[f"{name} was looked at, and changed while the block ran"] = None
            inputs["file", name] = Input("file", name, digest)
        for name, value in list(self._variables.items()):
            inputs["env", name] = Input("env", name, check.of_variable(value))
        if self._all_variables is not None:
            inputs["env", check.ALL_NAMES] = Input("env", check.ALL_NAMES, self._all_variables)
        inside = os.path.join(self._cwd, "")
        return Recorded(
            tuple(sorted(inputs.values())),
            stats,
            tuple(sorted(path.removeprefix(inside) for path in written if self._is_left(path))),
            tuple(conflicts),
            tuple(sorted(self._clauses)),
            tuple(sorted(self._classes)),
        )

    def _is_left(self, path: str) -> bool:
        """Whether a file that the body made is still there, or one that it removed was there before."""
        now = _stat(path)
        return now != _FOLDER and (now is not None or self._written.get(path) not in (None, _FOLDER))


def _stat(path: str) -> Stat | None:
    """What is at a path, :data:`_FOLDER` for a folder."""
    try:
        found = _os_stat(path)
    except (OSError, ValueError):
        return None
    if modes.S_ISDIR(found.st_mode):
        return _FOLDER
    return Stat(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


def _is_file(name: str) -> bool:
    return _stat(name) not in (None, _FOLDER)


def _is_program(path: str) -> bool:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.path.dirname(path) in folders


def _names_digest(name: str) -> str:
    try:
        return check.of_names_at(name)
    except FingerprintError:
        return check.UNREADABLE


def _texts_of(value: object) -> Iterator[str]:
    """Texts and paths in a value and in the plain containers that it consists of."""
    todo, count = [value], 0
    while todo and count < _MOST_TEXTS:
        count += 1
        item = todo.pop()
        if isinstance(item, (str, bytes)) or hasattr(type(item), "__fspath__"):
            try:
                yield os.fsdecode(item)  # type: ignore[arg-type]
            except (TypeError, UnicodeError):
                continue
        elif isinstance(item, (list, tuple, set, frozenset)):
            todo += item
        elif isinstance(item, dict):
            todo += item.values()
