"""``cached_block``: run a body once, and give its results back ever after."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal

from blockcache import cache, hosts, key, report, settings
from blockcache.analysis import Block, analyse
from blockcache.errors import CacheError, CacheWarning, CodecError, FingerprintError, FrozenMissError, IntegrityError
from blockcache.events import BlockFinished, emit
from blockcache.fingerprint.bare import bare_block, left_at_end
from blockcache.frames import Entry, Namespace, Skip, entry_point, locate
from blockcache.hosts import Place
from blockcache.model import Hit, Lookup, Manifest, Miss, Provenance
from blockcache.paths import Paths
from blockcache.stores import Store
from blockcache.stores.local import LocalStore

report.install()

_MISSING = object()


@dataclass(slots=True)
class _Run:
    """One passage through a block: what is known between entering and leaving it."""

    frame: FrameType
    entry: Entry
    place: Place
    settings: settings.Settings
    line: int
    started: float
    namespace: Namespace
    block: Block
    built: key.Built | None = None
    upstream: key.Upstream | None = None
    result: Lookup = field(default_factory=lambda: Miss(""))
    before: Mapping[str, object] = field(default_factory=dict)
    loaded: frozenset[str] = frozenset()
    set_aside: dict[str, object] = field(default_factory=dict)
    skip: Skip | None = None
    problem: str = ""


# By identity of the code object, which is kept alive: (code, place, block).
_examined: dict[tuple[int, int], tuple[CodeType, Place, Block]] = {}
# Names that a block has bound in a module, by (id of the module's globals, block name): name -> id of the value.
_bound_by: dict[tuple[int, str], dict[str, int]] = {}
_stores: dict[str, Store] = {}
_warned: set[tuple[str, str]] = set()


class cached_block:
    """Run the body of a ``with`` statement once; later skip it and restore what it did.

    >>> with cached_block(name="features") as block:
    ...     df = load("orders.csv")
    ...     X, y = featurize(df)

    The first run executes the body and saves the names that it bound, rebound or deleted. A later
    run, in a script, a Jupyter notebook or a marimo notebook, skips the body and binds the same
    values, as long as nothing that the body depends on has changed: its own code, the values,
    functions, classes and modules that it reaches, the versions of the distributions behind them.

    Parameters
    ----------
    name
        A label for people, the command line and messages; not part of what is compared, so a renamed
        block still hits.
    mode
        ``"on"`` looks up and saves, ``"off"`` does nothing at all, ``"refresh"`` runs and overwrites,
        ``"readonly"`` looks up and never saves, ``"frozen"`` makes a miss an error. Default: the setting.
    store
        Directory of the store. Default: the setting, else ``.blockcache`` beside the project.

    Attributes
    ----------
    hit
        Whether the body was skipped; None before the block is entered.
    key
        Digest of the block's key (32 hexadecimal digits), empty when there was none.
    restored
        Names that a hit gave back.
    saved_s
        On a hit: seconds that the body took in the run that made the entry. Else 0.

    Raises
    ------
    BlockError
        On entering, when the body contains what a skip cannot honour (``return``, ``yield``, a
        ``break`` out of the block, ...): before the body starts, on a first run too.
    FrozenMissError
        On entering, under ``mode="frozen"``, when the block misses.
    SettingError
        On entering, when a setting has a value that it cannot have.

    Warns
    -----
    CacheWarning
        Any other trouble. The body runs, and its own result stands.
    """

    def __init__(
        self,
        name: str,
        *,
        mode: Literal["on", "off", "refresh", "readonly", "frozen"] | None = None,
        store: str | None = None,
    ) -> None:
        if not isinstance(name, str) or not name.strip():
            raise CacheError(f"cached_block needs a name for its entries, not {name!r}: cached_block(name='features')")
        self.name = name
        self.hit: bool | None = None
        self.key = ""
        self.restored: tuple[str, ...] = ()
        self.saved_s = 0.0
        self._mode = mode
        self._store = store
        self._run: _Run | None = None
        self._event: BlockFinished | None = None
        self._facts: tuple[Any, ...] = ((), None, ())  # inputs, lookup, outputs: what a card shows

    # -- entering --------------------------------------------------------------------------

    def __enter__(self) -> cached_block:
        started = time.perf_counter()
        frame = sys._getframe(1)
        if self._run is not None:
            raise CacheError(f"block {self.name!r} is entered again before it was left; make a new cached_block")
        known = _examined.get((id(frame.f_code), frame.f_lasti))
        place = known[1] if known is not None else hosts.place(frame)
        chosen = settings.resolve(place.folder, mode=self._mode, store=self._store)
        self.hit = False
        if chosen.mode == "off":
            return self
        entry = entry_point(frame)
        block = known[2] if known is not None else _examine(frame, entry, place)
        run = _Run(frame, entry, place, chosen, frame.f_lineno, started, Namespace(frame), block)
        try:
            self._look_up(run)
        except Exception as error:
            # Whatever goes wrong in here must not keep the program from its result.
            self._trouble(run, error)
        if isinstance(run.result, Hit) and any(map(run.namespace.is_local, run.result.manifest.deleted)):
            # The compiler counts on a function's variable staying bound: it cannot be unbound from outside.
            run.result = Miss("a variable that the block deletes is bound now")
        if isinstance(run.result, Hit):
            run.skip = Skip(frame, entry)
            self._run, self.hit = run, True
            if run.skip.arm():  # the last act: from here on the body is skipped
                return self
            run.result, run.problem, self.hit = Miss(""), "the body could not be skipped: no tool id is free", False
        if chosen.mode == "frozen":
            why = run.problem or report.why(run.result) if isinstance(run.result, Miss) else run.problem
            raise FrozenMissError(f"block {self.name!r} ({place.file}:{run.line}) missed in frozen mode: {why}")
        run.loaded = frozenset(sys.modules)
        # Out of sight, so that afterwards it can be told whether this run bound them.
        run.namespace.assign({}, run.set_aside)
        run.before = run.namespace.get_many(block.writes | block.deletes)
        self._run = run
        return self

    def _look_up(self, run: _Run) -> None:
        """Build the key, and find and decode its entry."""
        names = key.upstream_names(run.block)
        in_module = run.namespace.is_module
        own = _bound_by.get((id(run.namespace.globals), self.name), {}) if in_module else {}
        bound = run.namespace.get_many(names)
        bound |= run.namespace.get_many(key.spoken_names(run.block, bound))
        # The body does not read them and an earlier run of this block bound them: as good as unbound,
        # or running a notebook's cell twice would miss.
        run.set_aside = {
            name: value for name, value in bound.items() if name not in run.block.reads and own.get(name) == id(value)
        }
        paths = Paths(run.frame, locate(run.frame, lambda: hosts.source(run.frame)))
        while True:
            kept = {name: value for name, value in bound.items() if name not in run.set_aside}
            local = frozenset() if in_module else frozenset(name for name in kept if run.namespace.is_local(name))
            run.upstream = key.Upstream(kept, local, run.namespace.globals, paths)
            run.built = key.build(run.block, run.upstream)
            read_by_helpers = [i.name for i in run.built.key.inputs if i.kind == "value" and i.name in run.set_aside]
            if not read_by_helpers:
                break
            for name in read_by_helpers:
                del run.set_aside[name]
        self.key = run.built.key.digest
        if run.settings.mode == "refresh":
            run.result = Miss("refresh")
            return
        may_write = run.settings.mode == "on"
        try:
            run.result = cache.lookup(_store(run), self.name, run.built, run.namespace.globals, may_write=may_write)
        except (IntegrityError, CodecError) as error:
            # As good as no entry: the body runs, and saving its result heals the store.
            run.result = Miss(f"the entry could not be used: {error}")

    def _trouble(self, run: _Run, error: Exception) -> None:
        """One warning instead of an error; the setting ``strict`` raises it."""
        if run.settings.strict:
            raise error
        run.result = Miss("")
        run.set_aside.clear()
        if isinstance(error, FingerprintError):
            run.problem = f"{error.path or 'an input'} cannot be fingerprinted: {error}"
        elif isinstance(error, CacheError):
            run.problem = str(error)
        else:
            run.problem = f"{type(error).__name__}: {error}"
        self._warn(run)

    def _warn(self, run: _Run) -> None:
        if (self.name, run.problem) not in _warned:
            _warned.add((self.name, run.problem))
            # Under `-W error` a warning must not cost the program its result: the line says it, and the log;
            # who wants an error sets `strict`.
            with contextlib.suppress(CacheWarning):
                warnings.warn_explicit(
                    f"block {self.name!r}: {run.problem}", CacheWarning, run.frame.f_code.co_filename, run.line
                )

    # -- leaving ---------------------------------------------------------------------------

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        run = self._run
        if run is None:  # mode off
            return False
        skipped = run.skip is not None and run.skip.raised(error)
        try:
            if skipped:
                self._restore(run)
            else:
                self._keep(run, kind)
        finally:
            self._run = None
            skip, run.skip = run.skip, None
            if skip is not None:
                skip.disarm()  # the last act, see frames/skip.py
        return skipped

    def _restore(self, run: _Run) -> None:
        hit = run.result
        assert isinstance(hit, Hit) and run.built is not None
        values = dict(hit.values)
        self.restored = tuple(values)
        self.saved_s = hit.manifest.provenance.duration_s
        self._remember(run, values)
        if run.entry.as_name is not None:
            values.setdefault(run.entry.as_name, self)  # a body may bind that name to something else
        run.namespace.assign(values, hit.manifest.deleted)
        self._finish(run, "hit", manifest=hit.manifest, load_s=hit.load_s)

    def _keep(self, run: _Run, kind: type[BaseException] | None) -> None:
        """The body ran: save what it did."""
        ran_s = time.perf_counter() - run.started
        after = run.namespace.get_many(run.block.writes | run.block.deletes)
        if not run.skip:
            run.namespace.assign({name: value for name, value in run.set_aside.items() if name not in after})
        manifest = None
        save_started = time.perf_counter()
        if run.skip is not None:
            self.hit, run.result = False, Miss("")
            run.problem = run.problem or "the skip was not delivered, so the body ran"
        elif kind is not None:
            run.problem = f"the body raised {kind.__name__}"
        elif run.built is not None and not run.problem and run.settings.mode not in ("readonly", "frozen"):
            try:
                manifest = self._save(run, after, ran_s)
            except Exception as error:
                self._trouble_saving(run, error)
        self._finish(run, "miss", manifest=manifest, save_s=time.perf_counter() - save_started)

    def _trouble_saving(self, run: _Run, error: Exception) -> None:
        result = run.result
        self._trouble(run, error)
        run.result = result  # why it missed is still true

    def _save(self, run: _Run, after: Mapping[str, object], ran_s: float) -> Manifest:
        assert run.built is not None and run.upstream is not None
        changed = key.changed_by_body(run.block, run.upstream, run.built, run.loaded)
        if changed:
            # A hit would lose the change. Restoring it into the same object is not there yet.
            names = ", ".join(sorted(changed))
            raise CodecError(
                f"the body changes {names} in place, which a hit could not repeat; bind the result to a new name"
            )
        if not run.block.source and not left_at_end(run.frame, run.entry.offset):
            raise CodecError("the body was left by a return, break or continue, which a hit could not repeat")
        values = {
            name: value
            for name, value in after.items()
            # The same object as before: the body left it alone, or bound what is part of the key anyway.
            if not (run.before.get(name, _MISSING) is value and name in run.upstream.bound)
            and name in run.block.writes
            and value is not self
        }
        deleted = tuple(sorted(name for name in run.before if name not in after))
        self._remember(run, values)
        results = cache.Results(values, deleted, _submodules(run, values))
        return cache.save(_store(run), self.name, run.built, results, _provenance(run, ran_s), run.namespace.globals)

    def _remember(self, run: _Run, values: Mapping[str, object]) -> None:
        """Note what this block has bound in its module, see :meth:`_look_up`."""
        if not run.namespace.is_module:
            return
        own = _bound_by.setdefault((id(run.namespace.globals), self.name), {})
        own.update({name: id(value) for name, value in values.items()})

    def _finish(
        self,
        run: _Run,
        outcome: Literal["hit", "miss"],
        *,
        manifest: Manifest | None,
        load_s: float | None = None,
        save_s: float | None = None,
    ) -> None:
        miss = run.result if isinstance(run.result, Miss) else Miss("")
        event = BlockFinished(
            name=self.name,
            outcome=outcome,
            file=run.place.file,
            line=run.line,
            host=run.place.host,
            took_s=time.perf_counter() - run.started,
            key=self.key,
            reason=report.why(miss),
            differences=miss.differences,
            saved_s=self.saved_s if outcome == "hit" else None,
            load_s=load_s,
            save_s=save_s if manifest is not None else None,
            size_bytes=manifest.size_bytes if manifest is not None else None,
            made_at=manifest.provenance.made_at if manifest is not None and outcome == "hit" else None,
            saved=outcome == "miss" and manifest is not None,
            problem=run.problem,
            quiet=run.settings.quiet,
            log_path=settings.log_path(run.settings),
        )
        inputs = run.built.key.inputs if run.built is not None else ()
        self._event = event
        self._facts = (inputs, _without_values(run.result), manifest.outputs if manifest is not None else ())
        emit(event)

    # -- telling ---------------------------------------------------------------------------

    def explain(self) -> str:
        """What the result depends on, and on a miss what is different from the nearest entry."""
        inputs, result, _ = self._facts
        if self._event is not None and self._event.problem:
            return f"{report.explain(self.name, inputs, result)}\n\n{self._event.problem}"
        return report.explain(self.name, inputs, result)

    def _repr_html_(self) -> str:
        if self._event is None:
            return f"<code>{self!r}</code>"
        inputs, result, outputs = self._facts
        was = result.nearest.key.inputs if isinstance(result, Miss) and result.nearest is not None else None
        return report.card_html(self._event, inputs=inputs, outputs=outputs, was=was)

    def _mime_(self) -> tuple[str, str]:
        """The same card for marimo."""
        return "text/html", self._repr_html_()

    def __repr__(self) -> str:
        state = "off or not finished" if self._event is None else self._event.outcome
        return f"cached_block({self.name!r}): {state}"

    def __reduce__(self) -> tuple[Any, ...]:
        # A block that stands in the body of another is one of its names: what it says is kept, not the frame.
        state = {k: v for k, v in self.__dict__.items() if k != "_run"}
        return _finished_block, (self.name, state)


def _finished_block(name: str, state: dict[str, Any]) -> cached_block:
    block = cached_block(name)
    block.__dict__.update(state)
    return block


def _without_values(result: Lookup) -> Lookup:
    """A hit's values belong to the program from now on; the block must not keep them alive."""
    return Hit(result.manifest, {}, result.load_s) if isinstance(result, Hit) else result


def _examine(frame: FrameType, entry: Entry, place: Place) -> Block:
    """The block that ``frame`` is entering, from its source or, where there is none, from its code object."""
    code = frame.f_code
    located = locate(frame, hosts.source(frame))
    block = analyse(located, code) if located is not None else bare_block(code, entry.offset)
    _examined[id(code), frame.f_lasti] = (code, place, block)
    return block


def _store(run: _Run) -> Store:
    path = settings.store_path(run.settings, run.place.folder)
    found = _stores.get(path)
    if found is None:
        found = _stores[path] = LocalStore(path)
    return found


def _submodules(run: _Run, values: Mapping[str, object]) -> tuple[str, ...]:
    """Modules that ``import a.b`` in the body has loaded: binding ``a`` again does not load them."""
    return tuple(
        sorted(
            {
                ref.module
                for ref in run.block.imports
                if ref.attribute is None and "." in ref.module and ref.name in values and ref.module in sys.modules
            }
        )
    )


def _provenance(run: _Run, ran_s: float) -> Provenance:
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
        host=run.place.host,
        file=run.place.file,
        line=run.line,
        python=platform.python_version(),
        blockcache=__version__,
        machine=platform.node(),
        user=user,
    )
