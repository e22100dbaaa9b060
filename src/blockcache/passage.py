"""One passage through a block: what is known between entering and leaving it, and what is done about it."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType, FrameType
from typing import ClassVar

from blockcache import (
    ambient,
    beside,
    cache,
    capture,
    cells,
    changes,
    discovered,
    earlier,
    files,
    generators,
    hosts,
    index,
    inputs,
    key,
    outputs,
    process,
    report,
    settings,
    unsaved,
)
from blockcache.analysis import Block, analyse, annotated_names
from blockcache.codec import running
from blockcache.errors import CacheError, CacheWarning, CodecError, FingerprintError, IntegrityError, SettingError
from blockcache.events import BlockFinished, Outcome, emit
from blockcache.fingerprint import modules
from blockcache.fingerprint.bare import bare_block, left_at_end
from blockcache.frames import Entry, Located, Namespace, Skip, locate
from blockcache.hosts import Place
from blockcache.memory import Memory
from blockcache.model import Hit, Input, Key, Lookup, Manifest, Miss, Provenance, Unsaved
from blockcache.opaque import files_behind
from blockcache.paths import Paths
from blockcache.stores import Store
from blockcache.stores.local import LocalStore
from blockcache.texts import redacted, texts_of

_MISSING = object()
#: Code that may await.
_COROUTINES = 0x80 | 0x200
_WAITS = re.compile(r"\b(?:await|async)\b")
#: Files that one warning names.
_MOST_NAMED = 3
#: How multiprocessing calls the main module in a process that it has started.
_WORKER_MAIN = "__mp_main__"
#: Of the constants and upstream texts that may name files.
_LONGEST_PATH = 4096

# By identity of the code object, which is kept alive: (code, place, block).
_examined: dict[tuple[int, int], tuple[CodeType, Place, Block]] = {}
# Names that a block has bound in a module, by (id of the module's globals, block name): name -> id of the value.
_bound_by: dict[tuple[int, str], dict[str, int]] = {}
# (key, turn) of passages with a value without content that came as a parameter.
_passed: set[tuple[str, int]] = set()
# By id of the frame, for each of its passages whose body runs: names that a block inside did not give back.
_lacking: dict[int, list[dict[str, Unsaved]]] = {}
_stores: dict[str, Store] = {}
_warned: set[tuple[str, str]] = set()


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
    problem
        What went wrong, in one clause.
    skip
        The skip of the body, on a hit.
    lacking
        What a block inside this one did not give back.
    missed
        There is an entry that lacks a name, which is read after the block, and a new one would lack it too.
    produces, staged
        The declared places for output files, if any; on a hit, what will be put into them.
    unusable
        There is an entry, and its values could not be made again.
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
    skip: Skip | None = None
    lacking: dict[str, Unsaved] = field(default_factory=dict)
    missed: bool = False
    unusable: bool = False
    before: Mapping[str, object] = field(default_factory=dict)
    set_aside: dict[str, object] = field(default_factory=dict)
    loaded: frozenset[str] = frozenset()
    began: float = 0.0
    drawn: Mapping[str, str] = field(default_factory=dict)
    stood: Mapping[str, object] = field(default_factory=dict)
    settled: process.Changed = field(default_factory=lambda: process.Changed({}))
    recorder: discovered.Recorder | None = None
    heard: capture.Capture | None = None
    walk: changes.Walk | None = None
    stay: beside.Stay | None = None
    produces: outputs.Declared | None = None
    staged: outputs.Staged | None = None
    manifest: Manifest | None = None
    event: BlockFinished | None = None
    noun: ClassVar[str] = "block"
    #: Whether a value that cannot be saved may be missing from an entry.

    def check_excluded(self) -> None:
        """Raise `CacheError` for a name of ``exclude=`` that the body does not bind."""
        unknown = self.options.excluded.difference(self._as_written(self.block.writes))
        if unknown:
            raise CacheError(f"exclude={min(unknown)!r}: the block binds no {min(unknown)!r}")

    # -- looking up ------------------------------------------------------------------------

    def look_up(self) -> None:
        """Build the key, find its entry and decode it; trouble becomes a miss with one warning."""
        try:
            self._build()
            self._refuse_another()
            self._find()
        except SettingError:  # a set of inputs that is wrong; like any wrong setting, it must not pass for another
            raise
        except Exception as error:
            # Whatever goes wrong in here must not keep the program from its result.
            self.trouble(error)
        if isinstance(self.result, Hit) and any(
            map(self.namespace.is_local, self._as_run(self.result.manifest.deleted))
        ):
            # The compiler counts on a function's variable staying bound: it cannot be unbound from outside.
            self.result = Miss("a variable that the block deletes is bound now")

    def _build(self) -> None:
        names = key.upstream_names(self.block)
        in_module = self.namespace.is_module
        own = _bound_by.get((id(self.namespace.globals), self.name), {}) if in_module else {}
        bound = self.namespace.get_many(names)
        bound |= self.namespace.get_many(key.spoken_names(self.block, bound, self.namespace.names))
        # The body does not read them and an earlier run of this block bound them: as good as unbound,
        # or running a notebook's cell twice would miss. So is what the notebook itself keeps bound (`_`, `Out`).
        self.set_aside = {
            name: value
            for name, value in bound.items()
            if name not in self.block.reads
            and (own.get(name) == id(value) or hosts.keeps(self.namespace.globals, name))
        }
        options = self.options
        self.demands = key.Demands(self._declared(), options.pin, options.ignored, options.ignored_names)
        paths = self._paths()
        ran = functools.cache(functools.partial(_ran, self.frame))
        while True:
            kept = {name: value for name, value in bound.items() if name not in self.set_aside}
            local = frozenset() if in_module else frozenset(name for name in kept if self.namespace.is_local(name))
            self.upstream = key.Upstream(kept, local, self.namespace.globals, ran, paths)
            self.built = key.build(self.block, self.upstream, self.demands)
            read_by_helpers = [i.name for i in self.built.key.inputs if i.kind == "value" and i.name in self.set_aside]
            if not read_by_helpers:
                break
            for name in read_by_helpers:
                del self.set_aside[name]
        if self.settings.redact:
            inputs = redacted(self.built.key.inputs, self.settings.redact)
            self.built = replace(self.built, key=Key(inputs, self.built.key.digest))

    def _paths(self) -> Paths:
        return Paths(self.frame, functools.partial(_locate, self.frame, self.cell))

    def _refuse_another(self) -> None:
        """The statement that passed a value without content ran again: by its code it is the same, and need not be."""
        assert self.built is not None
        if self.built.called:
            passed = (self.built.key.digest, hosts.turn())
            if passed in _passed:
                raise FingerprintError(
                    "the same call has passed a value without content before; make it inside the block, or in "
                    "the function around it",
                    path="a parameter",
                )
            _passed.add(passed)

    def _declared(self) -> tuple[Input, ...]:
        found: list[Input] = []
        if self.options.inputs:
            origin = self.settings.origin["inputs"]
            found = inputs.evaluate(
                self.options.inputs,
                folder=os.getcwd(),
                sets=self.settings.inputs,
                sets_folder=os.path.dirname(origin),
                fingerprint=lambda value, name: key.content(value, name, self.namespace.globals),
                memo=self._memo,
            )
        if self.options.outputs:
            self.produces = outputs.Declared(self.options.outputs, os.getcwd(), self.store_path)
            found.append(self.produces.input)
        if self.options.version is not None:
            found.append(Input("version", "version", self.options.version, self.options.version))
        return tuple(found)

    def _find(self) -> None:
        assert self.built is not None
        if self.settings.mode == "refresh":
            self.result = Miss("refresh")
            return
        try:
            self.result = cache.lookup(
                self._store,
                self.name,
                self.built,
                self.namespace.globals,
                self._upstream_object,
                may_write=self.settings.mode == "on",
                ttl_s=self.options.ttl_s,
                memo=self._memo,
                refuse=self._why_not,
                memory=self._memory,
                share=self._shares,
            )
        except (IntegrityError, CodecError) as error:
            # As good as no entry: the body runs, and saving its result heals the store.
            self.result = Miss(f"the entry could not be used: {error}")
            self.unusable = isinstance(error, CodecError)
        if isinstance(self.result, Hit) and (clause := capture.refused(self.result.kept, self.settings.capture)):
            self.result = Miss(clause, nearest=self.result.manifest, same_key=True)
        shows = self.cell is not None and self.cell.shows
        if shows and isinstance(self.result, Hit) and cells.LAST not in self.result.kept:
            # Saved by a `with` statement, which drops that value.
            why = "the entry has no value of the last expression"
            self.result = Miss(why, nearest=self.result.manifest, same_key=True)
        if isinstance(self.result, Hit) and self.options.validate is not None:
            self._validate(self.result)
        if isinstance(self.result, Hit) and self.block.written:
            names = self._as_run(self.result.values)
            self.result = replace(self.result, values=dict(zip(names, self.result.values.values(), strict=True)))
        if isinstance(self.result, Hit) and self.options.excluded:
            values = {name: v for name, v in self.result.values.items() if not self._is_excluded(name)}
            self.result = replace(self.result, values=values)

    def _why_not(self, manifest: Manifest) -> str:
        """Why an entry cannot answer: something after the block reads a name that it does not give back."""
        given = {row.name: row for row in manifest.unsaved}
        for output in manifest.outputs:
            if output.name in self.options.excluded:
                given[output.name] = Unsaved(output.name, output.type, unsaved.EXCLUDED)
        clauses = {row: self._reader(row) for row in given.values()}
        why = [unsaved.clause(row, who) for row, who in clauses.items() if who]
        # What is not excluded any more can be saved now.
        self.missed = any(who and self._stays(row) for row, who in clauses.items())
        return report.first_of(why)

    def _reader(self, row: Unsaved) -> str:
        """Who may read a name after the block that is not given back; empty when nobody does."""
        (name,) = self._as_run([row.name])
        if self.cell is not None and cells.must_give(self.cell, row.name):
            return "cells that come later"
        vouched = self._is_excluded(name)
        who = unsaved.reader(self.frame, self.entry, name, vouched=vouched)
        if not who and not vouched and self._has_later_cells() and unsaved.seen_later(self._where, row.name):
            who = "a cell that ran later"
        return who

    @property
    def _where(self) -> tuple[str, str]:
        """What tells a notebook's block from others, in any session."""
        return self.block.digest, self.place.folder

    def _has_later_cells(self) -> bool:
        return self.place.host == "ipython" and self.namespace.is_module

    def _watch(self, rows: Iterable[Unsaved], *, lacking: bool) -> None:
        """See whether a later cell reads what is not saved: then the next lookup will know."""
        missing = {name: row for row in rows for name in self._as_run([row.name])}
        if missing and self._has_later_cells():
            unsaved.watch(self.name, self._where, missing, self.namespace.globals, lacking=lacking)

    def _stays(self, row: Unsaved) -> bool:
        """Whether a new entry would not give the name back either."""
        return row.reason != unsaved.EXCLUDED or row.name in self.options.excluded

    def _is_excluded(self, name: str) -> bool:
        return self.block.written.get(name, name) in self.options.excluded

    def _upstream_object(self, way: changes.Address) -> object:
        assert self.built is not None and self.upstream is not None
        if way[0] == "code":
            return running(way[1], self._codes())
        return changes.find(way, self.upstream, self.built)

    def _as_run(self, names: Iterable[str]) -> list[str]:
        """Names as they run of names as they are written: a host may have renamed some, otherwise in each session."""
        renamed = {written: ran for ran, written in self.block.written.items()}
        return [renamed.get(name, name) for name in names]

    def _as_written(self, names: Iterable[str]) -> list[str]:
        return [self.block.written.get(name, name) for name in names]

    def _validate(self, hit: Hit) -> None:
        assert self.options.validate is not None
        try:
            valid = bool(self.options.validate(hit.values))
            why = "validate() refused the entry"
        except Exception as error:
            valid, why = False, f"validate() raised {type(error).__name__}: {error}"
        if not valid:
            self.result = Miss(why, nearest=hit.manifest, same_key=True)

    def ready(self) -> bool:
        """Whether the body can be skipped: output files are staged for a hit; where they cannot be, it is a miss."""
        hit = self.result
        assert isinstance(hit, Hit)
        if self.produces is None:
            return True
        verify = functools.partial(cache.verified, self._store, may_write=self.settings.mode == "on")
        try:
            self.staged = outputs.stage(self.produces, hit.manifest.files, self._store, verify, self._memo)
        except (CacheError, OSError) as error:
            self.result = Miss(f"an output cannot be put back: {error}", nearest=hit.manifest, same_key=True)
        return self.staged is not None

    # -- trouble ---------------------------------------------------------------------------

    def trouble(self, error: Exception) -> None:
        """One warning instead of an error; the setting ``strict`` raises it."""
        if self.settings.strict and not self._is_automatic:
            raise error
        self.set_aside.clear()
        self.result = Miss("")
        if isinstance(error, FingerprintError):
            self.problem = f"{error.path or 'an input'} cannot be fingerprinted: {error}"
        elif isinstance(error, CacheError):
            self.problem = str(error)
        else:
            self.problem = f"{type(error).__name__}: {error}"
        self._warn(self.problem)

    @property
    def _is_automatic(self) -> bool:
        """Whether nobody asked for this block: then its line is enough."""
        return self.cell is not None and self.cell.min_s is not None

    def _warn(self, problem: str) -> None:
        """Say it once."""
        if (self.name, problem) not in _warned and not self._is_automatic:
            _warned.add((self.name, problem))
            # Under `-W error` a warning must not cost the program its result: the line says it, and the log;
            # who wants an error sets `strict`.
            with contextlib.suppress(CacheWarning):
                warnings.warn_explicit(
                    f"{self.noun} {self.name!r}: {problem}", CacheWarning, self.block.file, self.line
                )

    # -- the body runs ---------------------------------------------------------------------

    def begin(self) -> None:
        """The body is about to run: note how things stand, and watch what it reads."""
        self.stay = beside.enter(self, waits=self._waits)
        self.loaded = frozenset(sys.modules)
        _lacking.setdefault(id(self.frame), []).append(self.lacking)
        # Out of sight, so that afterwards it can be told whether this run bound them.
        self.namespace.assign({}, self.set_aside)
        self.before = self.namespace.get_many(self.block.writes | self.block.deletes)
        self.began = time.perf_counter()
        if self.built is None or self.problem or self.missed or self.settings.mode in ("readonly", "frozen"):
            return  # nothing will be saved
        self.drawn = generators.digests()
        self.stood = process.snapshot()
        try:
            assert self.upstream is not None
            self.walk = changes.Walk(self.block, self.upstream, self.built, self.demands.ignored)
            chosen = self.settings
            heard = capture.Capture(self.frame, self.line, limit_bytes=chosen.capture_limit, what=chosen.capture)
            heard.start()
            self.heard = heard
            self.recorder = discovered.Recorder(
                codes=self._codes(),
                texts=self._texts(),
                constants=self.block.texts,
                ignore=(self.store_path,),
                memo=self._memo,
                outputs=self.produces,
            )
            if self.produces is not None:
                self.produces.begin()
            self.recorder.start()
        except Exception as error:
            self.recorder = None
            self.trouble(error)

    def _codes(self) -> list[CodeType]:
        """The program's code that counts: the block's own, and that of the functions that it reaches."""
        assert self.built is not None
        reached = (getattr(found, "__code__", None) for found in self.built.objects.values())
        return [self.frame.f_code, *(code for code in reached if isinstance(code, CodeType))]

    def _texts(self) -> list[object]:
        """Upstream values that may name files."""
        assert self.upstream is not None
        found: list[object] = []
        todo = list(self.upstream.bound.values())
        while todo and len(found) < _LONGEST_PATH:
            value = todo.pop()
            if isinstance(value, (str, bytes, os.PathLike)):
                found.append(value)
            elif behind := files_behind(value):
                found += behind
            elif type(value) in (list, tuple, set, frozenset):
                todo += list(value)[:_LONGEST_PATH]  # type: ignore[call-overload]
            elif type(value) is dict:
                todo += list(value.values())[:_LONGEST_PATH]
        return found

    def end(self, raised: type[BaseException] | None) -> Outcome:
        """The body ran: save what it did, or compare it with what an entry says."""
        if self.stay is not None:
            beside.leave(self.stay, waits=self._waits)
        said = self.heard.stop() if self.heard is not None else capture.Captured()
        others = [found for found in _lacking.pop(id(self.frame), []) if found is not self.lacking]
        if others:
            _lacking[id(self.frame)] = others
        recorded = self.recorder.stop() if self.recorder is not None else None
        ran_s = time.perf_counter() - self.started
        after = self.namespace.get_many(self.block.writes | self.block.deletes)
        self.namespace.assign({name: value for name, value in self.set_aside.items() if name not in after})
        if isinstance(self.result, Hit):
            if raised is None:
                return self._compare(self.result, after)
            self.problem = f"the body raised {raised.__name__}, and did not when the entry was made"
            self._finish("differs", manifest=self.result.manifest, differing=(self.problem,))
            return "differs"
        if self.cell is not None and (
            cells.was_quick(self.cell, self.started, self.began) or (raised is not None and self.cell.min_s is not None)
        ):
            return "miss"  # not worth saving, nor a word
        manifest, save_started = None, time.perf_counter()
        if raised is not None:
            self.problem = f"the body raised {raised.__name__}"
        elif recorded is not None and not self.problem:
            try:
                manifest = self._save(recorded, said, after, ran_s)
                self._name_undeclared(recorded.written)
            except Exception as error:
                result = self.result
                self.trouble(error)
                self.result = result  # why it missed is still true
        self._finish("miss", manifest=manifest, save_s=time.perf_counter() - save_started)
        return "miss"

    def not_skipped(self) -> None:
        """The body ran although there was a hit, because the skip was not delivered."""
        self.discard()
        self.result = Miss("")
        self.problem = self.problem or "the skip was not delivered, so the body ran"
        self._finish("miss")

    def discard(self) -> None:
        """What was staged is not needed: the body runs."""
        if self.staged is not None:
            self.staged.discard()
            self.staged = None

    def _save(
        self, recorded: discovered.Recorded, said: capture.Captured, after: Mapping[str, object], ran_s: float
    ) -> Manifest:
        assert self.built is not None and self.upstream is not None
        if recorded.conflicts:
            raise CodecError(f"{'; '.join(recorded.conflicts)}: a hit could not repeat that")
        assert self.walk is not None
        if self._is_automatic and recorded.written:
            raise CodecError(f"it writes {', '.join(recorded.written[:_MOST_NAMED])}, and nobody has declared that")
        problems = [*said.problems, *(why for why, figure in said.drawn.items() if not self.walk.reaches(figure))]
        if problems:
            raise CodecError("; ".join(problems))
        self.settled = process.changed(self.stood, self.built.uses)
        changed = self._changed(after)
        if said.drawn and not changed:
            raise CodecError("; ".join(said.drawn))
        if not self.block.source and not left_at_end(self.frame, self.entry.offset):
            raise CodecError("the body was left by a return, break or continue, which a hit could not repeat")
        values = {
            name: after[name]
            for name in self.namespace.in_order(after)
            # The same object as before: the body left it alone, or bound what is part of the key anyway.
            if not (self.before.get(name, _MISSING) is after[name] and name in self.upstream.bound)
            and name in self.block.writes
            and after[name] is not self.owner
        }
        self._remember(values)
        excluded = [name for name in values if self._is_excluded(name)]
        left_out = [
            Unsaved(written, cache.type_name(values.pop(name)), unsaved.EXCLUDED)
            for name, written in zip(excluded, self._as_written(excluded), strict=True)
        ]
        inside = {name: row for name, row in self.lacking.items() if name not in after}
        left_out += inside.values()
        made = outputs.made(self.produces, self._memo) if self.produces is not None else None
        states, kept, unseeded = self._moved()
        if self.cell is not None and self.cell.shows:
            kept[cells.LAST] = cells.held(self.cell)
        if changed:
            kept[cache.CHANGES] = [change.made for change in changed]
        annotations = self.namespace.annotations(annotated_names(self.block.source))
        if annotations:
            kept[cache.ANNOTATIONS] = annotations
        if self.settled.made:
            kept[cache.PROCESS] = self.settled.made
        written = self.block.written
        results = cache.Results(
            {written.get(name, name): value for name, value in values.items()},
            tuple(sorted(written.get(name, name) for name in self.before if name not in {*after, *inside})),
            self._submodules(values),
            (*recorded.inputs, *self._unpickled(recorded), *states, *_left(made, recorded)),
            recorded.stats,
            (
                *recorded.untracked,
                *ambient.untracked(self.built.uses),
                *unseeded,
                *(f"writes {file}" for file in recorded.written),
                *said.untracked,
            ),
            kept | said.kept,
            captured=said.clauses,
            changed=tuple(sorted({*(change.display for change in changed), *self.settled.names})),
            unsaved=tuple(left_out),
            needed=self._needed,
        )
        texts = texts_of(
            self.built.key.inputs,
            self.built.objects,
            self.block.source,
            paths=self.built.path_texts,
            patterns=self.settings.redact,
        )
        manifest = cache.save(
            self._store,
            self.name,
            self.built,
            results,
            self._provenance(ran_s),
            self.namespace.globals,
            texts,
            self.settings.redact,
            self.walk,
            [part for change in changed for part in change.contents],
            made=made,
            prove=self._upstream_object if self.unusable else None,
            memory=self._memory,
            share=self._shares,
        )
        self._tell_missed(manifest)
        return manifest

    def _name_undeclared(self, written: Sequence[str]) -> None:
        """Say which files a hit will not write, unless that was said when an earlier entry was made."""
        nearest = self.result.nearest if isinstance(self.result, Miss) else None
        known = nearest.untracked if nearest is not None else ()
        new = [file for file in written if f"writes {file}" not in known]
        if new:
            more = f" and {len(new) - _MOST_NAMED} more" if len(new) > _MOST_NAMED else ""
            named = ", ".join(new[:_MOST_NAMED])
            self._warn(f"it writes {named}{more}, which a hit does not write again; declare what is needed in outputs=")

    def _changed(self, after: Mapping[str, object]) -> list[changes.Change]:
        """What the body changed in place, but for the state of the process.

        Raises
        ------
        CodecError
            When a hit could not repeat it.
        """
        assert self.built is not None and self.upstream is not None and self.walk is not None
        found = [*self.walk.changes(self._bound_by_body), *changes.set_on_imports(self.block, after)]
        names, others = key.changed_by_body(self.block, self.upstream, self.demands, self.built, self.loaded)
        names = [name for name in names if not process.explains(self.settled.explains, name)]
        lost = self.walk.unexplained(names, found) or ([] if found else others)
        if lost:
            raise CodecError(
                f"the body changes {', '.join(sorted(lost))} in place, which a hit could not repeat; "
                "bind the result to a new name"
            )
        if found and self._met_others:
            displays = ", ".join(sorted({change.display for change in found}))
            raise CodecError(f"{displays} changed while other bodies ran: whose change it is cannot be told")
        return found

    @property
    def _waits(self) -> bool:
        """Whether the body may await, and let other tasks run."""
        return bool(self.frame.f_code.co_flags & _COROUTINES) and bool(_WAITS.search(self.block.source))

    @property
    def _met_others(self) -> bool:
        return self.stay is not None and self.stay.met_others

    def _bound_by_body(self, name: str, namespace: Mapping[str, object]) -> bool:
        return (
            namespace is self.namespace.globals
            and (name in self.block.writes or name in self.block.deletes)
            and not self.namespace.is_local(name)
        )

    def _tell_missed(self, manifest: Manifest) -> None:
        """Say which names will be missed on a hit, so that there will be none."""
        if self.settings.mode == "refresh":
            for row in manifest.unsaved:
                unsaved.forget(self._where, row.name)
        self._watch(manifest.unsaved, lacking=False)
        clauses = [unsaved.clause(row, who) for row in manifest.unsaved if (who := self._reader(row))]
        if clauses:
            result = self.result
            self.trouble(CodecError(f"{'; '.join(clauses)}; make it after the block, or the body runs every time"))
            self.result = result  # why it missed is still true

    def _moved(self) -> tuple[list[Input], dict[str, object], list[str]]:
        """Random generators that the body moved: their states before as inputs, those after, and what nobody seeded."""
        assert self.built is not None and self.upstream is not None
        moved = generators.moved(self.drawn)
        if not moved:
            return [], {}, []
        before = earlier.seeds(self.upstream.globals, self.upstream.ran(), self.loaded)
        known = [name for name in moved if name in generators.seeded(before)]
        inputs = [Input("state", name, self.drawn[name]) for name in known if name in self.drawn]
        # What nobody seeded must not be put into a state: later draws would be the same in every run.
        settled = {*known, *generators.seeded(self.built.uses)}
        after = generators.snapshot(name for name in moved if name in settled)
        kept: dict[str, object] = {cache.GENERATORS: after} if after else {}
        if kept and self._met_others:
            raise CodecError("random numbers were drawn while other bodies ran: by whom cannot be told")
        return inputs, kept, [f"draws from {name}, which nobody has seeded" for name in moved if name not in settled]

    def _unpickled(self, recorded: discovered.Recorded) -> list[Input]:
        """Files of the project's modules whose classes the body found by name, in a pickle."""
        found = {}
        for module, _ in recorded.classes:
            file = getattr(sys.modules.get(module), "__file__", None)
            if file and modules.origin_of_file(file) == "local":
                name = os.path.relpath(file)
                found[name] = Input("file", name, files.digest(file, self._memo), f"module {module}, named in a pickle")
        known = {i.name for i in recorded.inputs}
        return [entry for name, entry in found.items() if name not in known]

    def _submodules(self, values: Mapping[str, object]) -> tuple[str, ...]:
        """Modules that ``import a.b`` in the body has loaded: binding ``a`` again does not load them."""
        return tuple(
            sorted(
                {
                    ref.module
                    for ref in self.block.imports
                    if ref.attribute is None and "." in ref.module and ref.name in values and ref.module in sys.modules
                }
            )
        )

    def _compare(self, hit: Hit, after: Mapping[str, object]) -> Outcome:
        """The body ran although there was an entry: is what it did what the entry says?"""
        assert self.upstream is not None
        differing = []
        for name in sorted({*hit.values, *self._as_run(hit.manifest.deleted)}):
            if name not in after:
                if name in hit.values:
                    differing.append(f"{name} is in the entry, and this run did not bind it")
            elif name not in hit.values:
                differing.append(f"{name} was deleted, and this run bound it")
            else:
                clause = key.difference(name, hit.values[name], after[name], self.upstream)
                if clause:
                    differing.append(f"{name} {clause}")
        differing += self._compare_changes(hit)
        if self.produces is not None:
            differing += outputs.differing(self.produces, hit.manifest.files, self._memo)
        outcome: Outcome = "differs" if differing else "verified"
        self._finish(outcome, manifest=hit.manifest, differing=tuple(differing))
        return outcome

    def _compare_changes(self, hit: Hit) -> list[str]:
        """What the body changed in place otherwise than the entry says."""
        assert self.walk is not None and self.upstream is not None
        try:
            now = {changes.target(c.made): c for c in self.walk.changes(self._bound_by_body)}
        except CodecError as error:
            return [str(error)]
        was = {changes.target(made): made for made in hit.kept.get(cache.CHANGES, ())}
        differing = [f"{now[t].display} changed in place, and did not then" for t in now.keys() - was.keys()]
        differing += [f"a {type(was[t][1]).__qualname__} did not change in place" for t in was.keys() - now.keys()]
        for what in now.keys() & was.keys():
            clause = key.difference("what it became", was[what][-1], now[what].made[-1], self.upstream)
            differing += [f"{now[what].display} {clause}"] if clause else []
        return sorted(differing)

    # -- the body is skipped ---------------------------------------------------------------

    def restore(self) -> Mapping[str, object]:
        """Give the program what the entry holds, and tell."""
        hit = self.result
        assert isinstance(hit, Hit)
        values = dict(hit.values)
        self._remember(values)
        bound = values
        if self.entry.as_name is not None:
            bound = {self.entry.as_name: self.owner, **values}  # a body may bind that name to something else
        dropped = [o for o in hit.manifest.outputs if self._as_run([o.name])[0] not in values]
        rows = (*hit.manifest.unsaved, *(Unsaved(o.name, o.type, unsaved.EXCLUDED) for o in dropped))
        lacking = self._as_run(row.name for row in rows)
        # A value from before the block must not pass for the one that the body made.
        gone = [name for name in lacking if not self.namespace.is_variable(name)]
        self.namespace.assign(bound, [*self._as_run(hit.manifest.deleted), *gone])
        # A block around this one depends on what this one would have read.
        declared = (i for i in hit.manifest.key.inputs if i.kind in ("file", "env"))
        paths = self.staged.paths if self.staged is not None else ()
        discovered.absorb((*hit.manifest.discovered, *declared), hit.manifest.untracked, paths)
        if self.staged is not None:
            self._put_back(self.staged)
        changes.apply(hit.kept.get(cache.CHANGES, ()))
        self.namespace.annotate(hit.kept.get(cache.ANNOTATIONS, {}))
        if cache.GENERATORS in hit.kept:
            generators.restore(hit.kept[cache.GENERATORS])
        process.apply(hit.kept.get(cache.PROCESS, {}))
        capture.replay(hit.kept, self.frame, self.line)
        if self.cell is not None and self.cell.shows:
            cells.hold(self.cell.constant, hit.kept[cells.LAST])
        for around in _lacking.get(id(self.frame), ()):
            around.update(zip(lacking, rows, strict=True))
        self._watch(rows, lacking=True)
        public = [row.name for row in rows if not row.name.startswith("_")] if self._has_later_cells() else []
        self._finish("hit", manifest=hit.manifest, load_s=hit.load_s, lacking=tuple(public))
        return values

    def _put_back(self, staged: outputs.Staged) -> None:
        try:
            staged.apply()
        except OSError as error:  # it could be, a moment ago
            self.problem = f"an output could not be put back: {error}"
            self._warn(self.problem)

    # -- both ------------------------------------------------------------------------------

    def _remember(self, values: Mapping[str, object]) -> None:
        """Note what this block has bound in its module, see :meth:`_build`."""
        if self.namespace.is_module:
            own = _bound_by.setdefault((id(self.namespace.globals), self.name), {})
            own.update({name: id(value) for name, value in values.items()})

    def _finish(
        self,
        outcome: Outcome,
        *,
        manifest: Manifest | None = None,
        load_s: float | None = None,
        save_s: float | None = None,
        differing: tuple[str, ...] = (),
        lacking: tuple[str, ...] = (),
    ) -> None:
        miss = self.result if isinstance(self.result, Miss) else Miss("")
        known = miss.nearest.untracked if miss.nearest is not None else ()
        saved = outcome == "miss" and manifest is not None
        found = outcome != "miss" and manifest is not None
        self.manifest = manifest
        event = BlockFinished(
            name=self.name,
            outcome=outcome,
            file=self.place.file,
            line=self.line,
            host=self.place.host,
            took_s=time.perf_counter() - self.started,
            key=self.built.key.digest if self.built is not None else "",
            reason=report.why(miss),
            differences=miss.differences,
            saved_s=manifest.provenance.duration_s if found and outcome == "hit" and manifest is not None else None,
            load_s=load_s,
            save_s=save_s if saved else None,
            size_bytes=manifest.size_bytes if manifest is not None else None,
            made_at=manifest.provenance.made_at if found and manifest is not None else None,
            saved=saved,
            problem=self.problem,
            untracked=tuple(c for c in manifest.untracked if c not in known and not self._has_warned_of(c))
            if saved and manifest is not None
            else (),
            differing=differing,
            lacking=lacking,
            # A worker that runs the main module again hits what its parent has: one line about that is enough.
            quiet=self.settings.quiet
            or (outcome == "hit" and self.namespace.globals.get("__name__") == _WORKER_MAIN)
            or self._is_old_news(),
            log_path=settings.log_path(self.settings),
        )
        self.event = self._told(event)
        with capture.unheard():  # a block around this one does not say it again
            emit(self.event)

    def _told(self, event: BlockFinished) -> BlockFinished:
        """The event as it is to be told."""
        return event

    def _is_old_news(self) -> bool:
        """Whether the trouble is that of a cell that nobody named, which has told it before."""
        cell = self.cell
        return (
            cell is not None
            and cell.min_s is not None
            and self.problem != ""
            and not cells.is_news(cell.digest, self.problem)
        )

    def _has_warned_of(self, clause: str) -> bool:
        return clause.startswith("writes ") and not self._is_automatic

    @property
    def store_path(self) -> str:
        """Where the store is."""
        return settings.store_path(self.settings, self.place.folder)

    @property
    def _memo(self) -> str:
        """Folder for what this machine remembers of files; stores know nothing of it."""
        return os.path.join(settings.local_folder(), "files")

    @property
    def _memory(self) -> Memory | None:
        """Entries that this process holds; blocks keep none, their values belong to the program."""
        return None

    @property
    def _needed(self) -> frozenset[str]:
        """Names without which nothing is worth saving."""
        return frozenset()

    @property
    def _shares(self) -> bool:
        """Whether all hits of this process give the same objects."""
        return False

    @property
    def _store(self) -> Store:
        return store_at(self.store_path)

    def _provenance(self, ran_s: float) -> Provenance:
        import getpass
        import platform
        from datetime import UTC, datetime

        from blockcache import __version__

        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # a container without a password entry
            user = ""
        return Provenance(
            made_at=datetime.now(UTC).isoformat(),
            duration_s=ran_s,
            host=self.place.host,
            file=self.place.file,
            line=self.line,
            python=platform.python_version(),
            blockcache=__version__,
            machine=platform.node(),
            user=user,
        )


def _left(made: outputs.Made | None, recorded: discovered.Recorded) -> list[Input]:
    """Declared outputs that the body left alone, where it did not read them anyway."""
    known = {(i.kind, i.name) for i in recorded.inputs}
    return [left for left in made.left if (left.kind, left.name) not in known] if made is not None else []


def store_at(path: str) -> Store:
    """The store in a folder; opened once."""
    found = _stores.get(path)
    if found is None:
        found = _stores[path] = LocalStore(path)
    return found


def _ran(frame: FrameType) -> tuple[earlier.Ran, ...]:
    return (*earlier.callers(frame), *earlier.cells(frame))


def _locate(frame: FrameType, cell: cells.Cell | None) -> Located | None:
    """The statement that ``frame`` is entering: the one around a whole cell, or one that a person has written."""
    if cell is not None:
        return cells.located(cell, frame, hosts.source(frame))
    around = cells.of(frame.f_code)
    return locate(frame, lambda: hosts.source(frame), around.tree if around is not None else None)


def place_of(frame: FrameType) -> Place:
    """Where the code of ``frame`` stands; asked once for a block."""
    known = _examined.get((id(frame.f_code), frame.f_lasti))
    return known[1] if known is not None else hosts.place(frame)


def examine(
    frame: FrameType, entry: Entry, place: Place, chosen: settings.Settings, cell: cells.Cell | None = None
) -> Block:
    """The block that ``frame`` is entering, from its source or, where there is none, from its code object.

    Raises
    ------
    BlockError
        When the body holds something that a skip cannot honour.
    """
    code, offset = frame.f_code, frame.f_lasti
    known = _examined.get((id(code), offset))
    if known is not None:
        return known[2]
    block = index.recall(code, offset)
    if block is None:
        located = _locate(frame, cell)
        block = analyse(located, code) if located is not None else bare_block(code, entry.offset)
        if located is not None and chosen.mode not in ("readonly", "frozen"):
            index.remember(code, offset, block)
    _examined[id(code), offset] = (code, place, block)
    return block
