"""Records what one body reads from outside."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType

from blockcache import files, mounts
from blockcache.discovered import check, folders, kernel, places
from blockcache.errors import FingerprintError
from blockcache.model import Input, Stat
from blockcache.outputs import Declared

_MOST_CLASSES = 10_000
#: Beyond, the run is not saved: a manifest of so many lines would cost more than it spares.
_MOST_READS = 200_000
#: So much the clocks of machines that share a file system may differ.
_CLOCKS_APART_NS = 10_000_000_000
#: `inspect.CO_OPTIMIZED`, without importing it.
_IS_FUNCTION = 1


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
        Files that the body created, changed or removed, declared outputs apart.
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
    #: Of a declared output: its content when it was read, which the body may change afterwards.
    digest: str = ""
    #: Whether the body read it or looked whether it is there.
    asked: bool = False
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
    outputs
        The declared places for output files, which are told what happens in them.
    """

    def __init__(
        self,
        *,
        codes: Iterable[CodeType] = (),
        texts: Iterable[object] = (),
        constants: Iterable[object] = (),
        ignore: Iterable[str] = (),
        memo: str | None = None,
        outputs: Declared | None = None,
    ) -> None:
        self.codes = tuple(codes)
        self._texts = tuple(texts)
        self._constants = tuple(constants)
        self._memo = memo
        self._outputs = outputs
        self.ignored = tuple(os.path.join(os.path.abspath(f), "") for f in (*ignore, *((memo,) if memo else ())))
        self.folder = ""
        self._started_ns = 0
        self._reads: dict[str, _Read] = {}
        self._written: dict[str, Stat | None] = {}
        self._made: set[str] = set()
        self._heard: dict[tuple[kernel.Folder, str], kernel.Heard] = {}
        self._produced: set[str] = set()
        self._wrote: set[str] = set()
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

        self.folder = os.getcwd()
        self._started_ns = time.time_ns()
        try:
            has_calls = watch.begin(self)
            self.guess(self._constants)
            for code in self.codes:
                self.ran(code)
            for name in places.files_behind(self._texts):
                self.read(name, opened=True)
            folders.named(places.texts_of(self._texts))
            folders.below(self.folder)
            if not has_calls:
                self.guess(self._texts)
                self.guess(places.pairs((self._texts, self._constants)))
        except BaseException:
            watch.end(self)
            raise

    def stop(self) -> Recorded:
        """End it, and read what was read. Never raises: trouble becomes a conflict."""
        from blockcache.discovered import watch

        watch.end(self)
        try:
            self._take_heard()
            return self._result()
        except Exception as error:
            trouble = f"what it read could not be told ({type(error).__name__}: {error})"
            return Recorded(conflicts=(trouble,))

    # -- what watchers tell ------------------------------------------------------------------

    def read(self, name: str, *, opened: bool, by_library: bool = False, asked: bool = False) -> None:
        """A file is about to be read; or, not ``opened``, ``asked`` for, or something that the body has names it."""
        cwd = os.getcwd()
        path = os.path.join(cwd, name.removeprefix("./"))
        if self._is_own(path):
            return
        known = self._reads.get(path)
        if known is None or (opened and not known.opened):
            if self._ignores(path) or self._is_inside_own(path):
                return
            folders.near(path)
            if (
                path not in self._written or places.stat(path) == self._written[path]
            ):  # else the body reads what it wrote
                found = places.stat(path)
                if found == places.FOLDER:
                    return
                # What was there when the body began is not, though somebody may write it anew meanwhile.
                if known is None and found is not None and self._is_own_temporary(path, found):
                    return
                if known is None:
                    if len(self._reads) >= _MOST_READS:
                        raise ValueError(f"more than {_MOST_READS:,} names of files")
                    now = _Read(path, found, time.time_ns(), opened)
                    if self._output(path) is not None:
                        now.digest = files.digest(path, self._memo)
                    known = self._reads.setdefault(path, now)
                known.opened = known.opened or opened
        if known is not None:
            known.asked = known.asked or asked or opened
            spellings = known.derived if by_library and os.path.isabs(name) else known.names
            spellings.update(self._spellings(name, path, cwd))

    def stated(self, name: str) -> None:
        """Project code asked the file system about a name."""
        cwd = os.getcwd()
        path = os.path.join(cwd, name)
        if places.stat(path) != places.FOLDER:
            self.read(name, opened=False, asked=True)
        elif not self._ignores(os.path.join(path, "")) and not self._is_inside_own(os.path.join(path, "")):
            folders.below(path)
            self._note_names(name.removeprefix("./"), check.EXISTS)

    def write(self, name: str, *, keeps: bool = False) -> None:
        """A file is about to be written, replaced or removed; ``keeps``: what was in it counts for what will be."""
        path = os.path.join(os.getcwd(), name.removeprefix("./"))
        if self._outputs is not None and (output := self._output(path)) is not None:
            if keeps:
                self.read(name, opened=True)
            self._outputs.writes(output)
        if path not in self._written and not self._ignores(path) and not places.is_bytecode(path):
            folders.near(path)
            before = self._written.setdefault(path, places.stat(path))
            if before is None:
                self._made.add(path)

    def remove(self, name: str, *, is_tree: bool = False) -> None:
        """A file, or a folder with all that is in it, is about to be removed."""
        path = os.path.join(os.getcwd(), name.removeprefix("./"))
        if self._outputs is not None:
            if (output := self._output(path)) is not None:
                self._outputs.removes(output)
            if is_tree:
                self._outputs.empties(path)
        self.write(name)

    def produce(self, path: str) -> None:
        """A block inside this one was skipped and has put back an output file."""
        if self._outputs is not None and (output := self._output(path)) is not None:
            self._outputs.produced.add(output)
            self._written.setdefault(path, places.stat(path))
        else:
            self._produced.add(path)

    def _is_own(self, path: str) -> bool:
        """Whether the body has changed what is at a path in a declared place."""
        output = self._output(path)
        return self._outputs is not None and output is not None and self._outputs.is_own(output)

    def _output(self, path: str) -> str | None:
        """Where a path really is, when it is in a declared place."""
        return None if self._outputs is None else self._outputs.at(path)

    def listed(self, name: str, kind: str) -> None:
        """A folder is about to be listed, or a glob to be expanded; ``kind`` is the end of the input's name."""
        base = name if kind == check.LISTING else check.split_glob(name)[0]
        path = os.path.join(os.getcwd(), base, "")
        if self._ignores(path) or self._is_inside_own(path):
            return
        folders.below(path)
        self._note_names(name.removeprefix("./") or os.curdir, kind)

    def given(self, value: object, *, writes: bool = False) -> None:
        """A reader or writer of files was given ``value``: a name, glob, URL, statement of SQL, or a list of these."""
        for text in places.texts_of(value):
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
                elif os.path.isdir(name):
                    self._read_below(name)
                elif exists or is_whole:  # else a text in a statement
                    self.read(name, opened=True)

    def guess(self, values: object, *, may_write: bool = False) -> bool:
        """Whether ``values`` (texts that code has or hands on) name existing files, which then count as read."""
        found = False
        texts = list(places.texts_of(values))
        folders.named(texts)
        for text in texts:
            for name, is_target in places.names_in(text, is_name=False):
                if not is_target and places.is_file(name) and not name.endswith((".py", ".pyc")):
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
        """An environment variable is set or deleted: the body does not read it from outside from now on."""
        self._set.add(name)

    def clause(self, text: str) -> None:
        """Something happens that cannot be checked."""
        self._clauses.setdefault(text)

    def runs(self, words: Sequence[str], folder: str) -> None:
        """A program runs, in ``folder``: files that its arguments name count as read, or written if it changes them."""
        self.clause(f"runs `{os.path.basename(words[0])}`")
        self._attributes.add("write")  # it may write any of them
        for before, word in zip(("", *words), words, strict=False):
            for name in {word, word.partition("=")[2]} - {""}:
                place = os.path.join(folder, name)
                looks_so = "/" in name and "." in name and not name.startswith("-") and len(name.split()) == 1
                is_named = places.is_file(place) or (looks_so and places.url(name) is None)
                if (is_named or before.endswith(">")) and not places.is_program(place):
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

    def absorb(self, found: Input) -> None:
        """A block inside this one was skipped, for which ``found`` was an input."""
        name = found.name
        if found.kind == "env":
            if name == check.ALL_NAMES:
                self.all_variables()
            else:
                self.variable(name, os.environ.get(name))
        elif found.kind == "file":
            for kind in (check.LISTING, check.GLOB, check.EXISTS):
                if name.endswith(kind):
                    self._note_names(name.removesuffix(kind), kind)
                    return
            self.given(name)

    def ran(self, code: CodeType) -> None:
        """Code of the project runs: a function's constants may name files; a module's are those of the whole file."""
        self._note_attributes(code)
        if code.co_flags & _IS_FUNCTION:
            self.guess([c for c in code.co_consts if type(c) in (str, tuple, bytes)])

    def heard(self, found: Mapping[tuple[kernel.Folder, str], kernel.Heard]) -> None:
        """The kernel says what has happened in folders; what it means is known when the body is over."""
        for place, heard in found.items():
            self._heard[place] = self._heard.get(place, kernel.Heard()) | heard

    def trouble(self, error: Exception) -> None:
        """A watcher failed: what it did not see makes the run unfit to be saved."""
        self._troubles.setdefault(f"what it reads could not be watched ({type(error).__name__}: {error})")

    # -- which files and under what name -----------------------------------------------------

    def _ignores(self, path: str) -> bool:
        return path.startswith(self.ignored) or places.is_settled(path)

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
        inside = os.path.join(self.folder, "")
        if not os.path.isabs(name) and cwd == self.folder:
            return {name.removeprefix("./")}
        if path.rstrip("/") == self.folder:
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

    def _note_attributes(self, code: CodeType) -> None:
        self._attributes.update(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._note_attributes(constant)

    # -- the result --------------------------------------------------------------------------

    def _take_heard(self) -> None:
        """What the kernel says that this process has opened, and no watcher has named, is read or written."""
        is_shared = functools.cache(lambda folder: mounts.is_shared(mounts.kind_of(folder.paths[0])))
        for (folder, name), heard in self._heard.items():
            if not heard.ours & (kernel.OPEN | kernel.MADE) or places.is_code(name) or places.is_bookkeeping(name):
                continue
            paths = [*(os.path.join(path, name) for path in folder.paths), *folder.links.get(name, ())]
            known = [path for path in paths if path in self._reads]
            if (known and all(self._reads[path].opened for path in known)) or any(map(self._ignores, paths)):
                continue
            if any(path in self._written and places.stat(path) != self._written[path] for path in paths):
                continue  # a watcher has said that the body writes it
            now = places.stat(paths[0])
            changed_ns = max(now.mtime_ns, now.ctime_ns) if now is not None else sys.maxsize
            is_new = changed_ns >= folder.since_ns
            if not is_new and changed_ns + _CLOCKS_APART_NS >= folder.since_ns:
                is_new = is_shared(folder)  # where another machine keeps the times, its clock may be behind
            is_own = heard.ours & (kernel.MADE | kernel.CHANGED)
            if is_new and not is_own:  # through a memory map, which the kernel does not tell
                is_own = heard.ours & kernel.WRITABLE or places.is_held_for_writing(paths[0])
            if is_own:
                if now is not None and not known:
                    self._wrote.add(paths[0])
            elif known or not (is_new or heard.others & (kernel.MADE | kernel.CHANGED)):
                for path in known or paths:
                    self.read(path, opened=True, by_library=True)
            elif not any(map(self._is_inside_own, paths)):
                shown = paths[0].removeprefix(os.path.join(self.folder, ""))
                self._troubles.setdefault(f"{shown} was read, and changed while the block ran")

    def _result(self) -> Recorded:
        inputs: dict[tuple[str, str], Input] = {}
        stats: dict[str, Stat] = {}
        conflicts = dict(self._troubles)
        written = {path for path, before in list(self._written.items()) if places.stat(path) != before} | self._wrote
        has_writer = any(map(places.is_writing, list(self._attributes)))
        for read in list(self._reads.values()):
            now = places.stat(read.path)
            names = read.names if any(not os.path.isabs(n) for n in read.names) else read.names | read.derived
            if read.digest:
                is_named_only = (
                    not read.asked and (read.path in self._written or has_writer) and self._is_own(read.path)
                )
                # That a folder was not there says less than its name: it is made in any case.
                if not is_named_only and not (read.digest == files.ABSENT and now == places.FOLDER):
                    inputs.update({("file", name): Input("file", name, read.digest) for name in names})
                    trusted = now == read.stat and now is not None and files.trusted(now, read.at_ns)
                    stats.update(dict.fromkeys(names, now) if trusted and now is not None else {})
                continue
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
            if places.stat(read.path) != now:
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
        inside = os.path.join(self.folder, "")
        return Recorded(
            tuple(sorted(inputs.values())),
            stats,
            tuple(sorted(path.removeprefix(inside) for path in self._produced.union(written) if self._is_left(path))),
            tuple(conflicts),
            tuple(sorted(self._clauses)),
            tuple(sorted(self._classes)),
        )

    def _is_left(self, path: str) -> bool:
        """Whether a file that the body made is still there, or what it removed was there before."""
        now = places.stat(path)
        is_left = now != places.FOLDER and (now is not None or self._written.get(path) is not None)
        return is_left and self._output(path) is None and not places.is_nobodys(path, self.folder)


def _names_digest(name: str) -> str:
    try:
        return check.of_names_at(name)
    except FingerprintError:
        return check.UNREADABLE
