"""One passage through a block: what is known between entering and leaving it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, ClassVar

from blockcache import (
    beside,
    capture,
    cells,
    changes,
    discovered,
    entering,
    flight,
    inputs,
    key,
    outputs,
    process,
    settings,
)
from blockcache.analysis import Block
from blockcache.codec import running
from blockcache.errors import CacheError
from blockcache.events import BlockFinished
from blockcache.frames import Entry, Namespace, Skip
from blockcache.hosts import Place
from blockcache.memory import Memory
from blockcache.model import Lookup, Manifest, Miss, Unsaved
from blockcache.paths import Paths
from blockcache.stores import Store
from blockcache.stores.opened import store_at

#: Code that may await.
_COROUTINES = 0x80 | 0x200
_WAITS = re.compile(r"\b(?:await|async)\b")

# Names that a block has bound in a module, by (id of the module's globals, block name): name -> id of the value.
_bound_by: dict[tuple[int, str], dict[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of a block that say what it depends on and when an entry may answer."""

    inputs: Sequence[inputs.Declared] = ()
    pin: Callable[[str], str | None] | None = None
    ignored: tuple[type, ...] = ()
    ignored_names: frozenset[str] = frozenset()
    version: str | None = None
    validate: Callable[[Mapping[str, object]], object] | None = None
    ttl_s: float | None = None
    excluded: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()


@dataclass(slots=True)
class Passage:
    """One passage through a block.

    Attributes
    ----------
    name, owner, options, settings
        What the block is called, the object behind its ``as``, what its arguments say, and the settings in force.
    frame, entry, place, line
        Where it stands.
    block
        What its body is and reads.
    cell
        The notebook's cell that is the body, if it is a whole one.
    built, upstream, demands
        The key, what it was built from, and what the arguments say about it; None before there is one.
    result
        What the lookup found.
    problem, obstacle
        What went wrong, in one clause; why nothing is saved, as one of a few clauses to count by.
    skip
        The skip of the body, on a hit.
    lacking
        What a block inside this one did not give back.
    missed
        There is an entry that lacks a name, which is read after the block, and a new one would lack it too.
    notes
        What else is to be said, in clauses.
    produces, staged
        The declared places for output files, if any; on a hit, what will be put into them.
    unusable
        There is an entry, and its values could not be made again.
    asks_only
        Nobody is going to run the body: nothing may be noted.
    before, set_aside, loaded, drawn, stood
        How things stood when the body began: what it binds, names put out of sight, modules, random generators, the
        state of the process.
    key_s, began, body_s
        How long the key took, when the body began, how long it took.
    recorder, heard, walk, stay
        What watches it: what it reads, what it says, what it changes, what runs beside it.
    settled
        What it changed in the process.
    lease, waited, waited_s
        The right to run the body while others wait; for whom it waited itself and how long, in words; the seconds.
    manifest, event
        The entry that was read or made, and what was told.
    """

    name: str
    owner: object
    options: Options
    settings: settings.Settings
    frame: FrameType
    entry: Entry
    place: Place
    line: int
    started: float
    namespace: Namespace
    block: Block
    cell: cells.Cell | None = None
    built: key.Built | None = None
    upstream: key.Upstream | None = None
    demands: key.Demands = field(default_factory=key.Demands)
    result: Lookup = field(default_factory=lambda: Miss(""))
    problem: str = ""
    obstacle: str = ""
    skip: Skip | None = None
    lacking: dict[str, Unsaved] = field(default_factory=dict)
    missed: bool = False
    notes: list[str] = field(default_factory=list)
    unusable: bool = False
    asks_only: bool = False
    before: Mapping[str, object] = field(default_factory=dict)
    set_aside: dict[str, object] = field(default_factory=dict)
    loaded: frozenset[str] = frozenset()
    key_s: float | None = None
    began: float = 0.0
    body_s: float | None = None
    drawn: Mapping[str, str] = field(default_factory=dict)
    stood: Mapping[str, object] = field(default_factory=dict)
    settled: process.Changed = field(default_factory=lambda: process.Changed({}))
    recorder: discovered.Recorder | None = None
    heard: capture.Capture | None = None
    walk: changes.Walk | None = None
    stay: beside.Stay | None = None
    produces: outputs.Declared | None = None
    staged: outputs.Staged | None = None
    lease: flight.Lease | None = None
    waited: str = ""
    waited_s: float = 0.0
    manifest: Manifest | None = None
    event: BlockFinished | None = None
    _store_path: str = ""
    _memo: str = ""
    noun: ClassVar[str] = "block"

    def check_excluded(self) -> None:
        """Raise `CacheError` for a name of ``exclude=`` that the body does not bind."""
        unknown = self.options.excluded.difference(self.as_written(self.block.writes))
        if unknown:
            raise CacheError(f"exclude={min(unknown)!r}: the block binds no {min(unknown)!r}")

    def discard(self) -> None:
        """What was staged is not needed: the body runs."""
        if self.staged is not None:
            self.staged.discard()
            self.staged = None

    def bound_before(self) -> Mapping[str, int]:
        """What earlier runs of this block have bound in its module: names and identities of the values."""
        return _bound_by.get((id(self.namespace.globals), self.name), {}) if self.namespace.is_module else {}

    def remember(self, values: Mapping[str, object]) -> None:
        """Note what this block has bound in its module."""
        if self.namespace.is_module:
            own = _bound_by.setdefault((id(self.namespace.globals), self.name), {})
            own.update({name: id(value) for name, value in values.items()})

    def as_run(self, names: Iterable[str]) -> list[str]:
        """Names as they run of names as they are written: a host may have renamed some, otherwise in each session."""
        renamed = {written: ran for ran, written in self.block.written.items()}
        return [renamed.get(name, name) for name in names]

    def as_written(self, names: Iterable[str]) -> list[str]:
        """The other way round."""
        return [self.block.written.get(name, name) for name in names]

    def is_excluded(self, name: str) -> bool:
        """Whether ``exclude=`` has a name, as it runs."""
        return self.block.written.get(name, name) in self.options.excluded

    def upstream_object(self, way: tuple[Any, ...]) -> object:
        """The live upstream object that a way leads to, or the program's own code that does what some does."""
        assert self.built is not None and self.upstream is not None
        if way[0] == "code":
            return running(way[1], self.codes())
        return changes.find(way, self.upstream, self.built)

    def bound_by_body(self, name: str, namespace: Mapping[str, object]) -> bool:
        """Whether a name of a module is one that the body itself binds or deletes."""
        return (
            namespace is self.namespace.globals
            and (name in self.block.writes or name in self.block.deletes)
            and not self.namespace.is_local(name)
        )

    def paths(self) -> Paths:
        """The execution paths of the values that the block reads."""
        return Paths(self.frame, functools.partial(entering.located, self.frame, self.cell))

    def codes(self) -> list[CodeType]:
        """The program's code that counts: the block's own, and that of the functions that it reaches."""
        assert self.built is not None
        reached = (getattr(found, "__code__", None) for found in self.built.objects.values())
        return [self.frame.f_code, *(code for code in reached if isinstance(code, CodeType))]

    def told(self, event: BlockFinished) -> BlockFinished:
        """The event as it is to be told."""
        return event

    @property
    def is_automatic(self) -> bool:
        """Whether nobody asked for this block: then its line is enough."""
        return self.cell is not None and self.cell.min_s is not None

    @property
    def where(self) -> tuple[str, str]:
        """What tells a notebook's block from others, in any session."""
        return self.block.digest, self.place.folder

    @property
    def has_later_cells(self) -> bool:
        """Whether cells that nobody has written yet may read what the block binds."""
        return self.place.host == "ipython" and self.namespace.is_module

    @property
    def waits(self) -> bool:
        """Whether the body may await, and let other tasks run."""
        return bool(self.frame.f_code.co_flags & _COROUTINES) and bool(_WAITS.search(self.block.source))

    @property
    def met_others(self) -> bool:
        """Whether other bodies ran at the same time."""
        return self.stay is not None and self.stay.met_others

    @property
    def store_path(self) -> str:
        """Where the store is; a body that changes the working folder does not move it."""
        if not self._store_path:
            self._store_path = settings.store_path(self.settings, self.place.folder)
        return self._store_path

    @property
    def memo(self) -> str:
        """Folder for what this machine remembers of files; stores know nothing of it."""
        if not self._memo:
            self._memo = os.path.join(settings.local_folder(), "files")
        return self._memo

    @property
    def memory(self) -> Memory | None:
        """Entries that this process holds; blocks keep none, their values belong to the program."""
        return None

    @property
    def needed(self) -> frozenset[str]:
        """Names without which nothing is worth saving."""
        return frozenset()

    @property
    def shares(self) -> bool:
        """Whether all hits of this process give the same objects."""
        return False

    @property
    def store(self) -> Store:
        """The store itself."""
        return store_at(self.store_path)
