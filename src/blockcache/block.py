"""``cached_block``: run a body once, and give its results back ever after."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from types import EllipsisType, FrameType, TracebackType
from typing import Any, Literal

from blockcache import entering, flight, lookup, report, restoring, running, settings, statistics, turns
from blockcache import inputs as declared
from blockcache import outputs as produced
from blockcache.cells import Cell
from blockcache.errors import CacheError, CacheWarning, FrozenMissError
from blockcache.events import BlockFinished
from blockcache.frames import Done, Later, Namespace, Skip, entry_point
from blockcache.hosts import Place
from blockcache.key import pinning
from blockcache.model import Hit, Lookup, Miss
from blockcache.passage import Options, Passage
from blockcache.stores.opened import store_at

report.install()
statistics.install()

Pin = Literal["exact", "minor", "major"] | None


class cached_block:
    """Run the body of a ``with`` statement once; later skip it and restore what it did.

    >>> with cached_block(name="features") as block:
    ...     df = load("orders.csv")
    ...     X, y = featurize(df)

    The first run executes the body and saves the names that it bound, rebound or deleted. A later
    run, in a script, a Jupyter notebook or a marimo notebook, skips the body and binds the same
    values, as long as nothing that the body depends on has changed: its own code, the values,
    functions, classes and modules that it reaches, the versions of the distributions behind them,
    the files that it opened and the environment variables that it read.

    Parameters
    ----------
    name
        A label for people, the command line and messages; not part of what is compared, so a renamed
        block still hits.
    inputs
        What else the result depends on: paths, globs, directories and URLs (as text or path objects), :func:`file`,
        :func:`env` and :func:`value`, functions that are called at every lookup (a row count, a git commit),
        ``"@name"`` for a set of ``[tool.blockcache.inputs]`` in ``pyproject.toml``.
    outputs
        Files that the body writes and a hit puts back: paths, globs and directories, as text or path objects, relative
        to the working directory. Of a directory or glob, what the body made, changed or removed in it.
    ignore
        Upstream names (``"logger"``, ``"cfg.verbose"``, ``"helpers.DEBUG"``) and types whose values do not count.
    pin
        How exactly versions of distributions count: ``"exact"`` (the default), ``"minor"``, ``"major"``, None for
        not at all; or a mapping from distributions to these, ``"*"`` for the others.
    version
        Text or number that you change to say that entries made before are not wanted any more.
    validate
        Called with the restored values (a mapping by name) before a body is skipped; false, or an error, is a miss.
    ttl
        How old an entry may be: seconds, a timedelta, or text such as ``"90s"``, ``"2h"``, ``"7d"``.
    exclude
        Names that the body binds and that are neither saved nor restored. The body runs while the code shows that
        something after the block reads one; readers that it cannot show (modules that import this one) do not count.
    capture
        ``"descriptors"`` records what C code and other programs write to standard output and error too, ``"logs"``
        keeps records that are logged as records, for the handlers of a hit; a list of both; ``"off"``: no output is
        repeated. Default: the setting.
    mode
        ``"on"`` looks up and saves, ``"off"`` does nothing at all, ``"refresh"`` runs and overwrites,
        ``"readonly"`` looks up and never saves, ``"frozen"`` makes a miss an error, ``"verify"`` runs the body on a
        hit too and compares. Default: the setting.
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
    CacheError
        When an argument is none that it can be; names the argument and what it can be. On entering, when ``exclude``
        names what the body does not bind.
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
        inputs: Iterable[object] = (),
        outputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str] = (),
        ignore: Iterable[str | type] = (),
        pin: Pin | Mapping[str, Pin] | EllipsisType = ...,
        version: str | int | float | None = None,
        validate: Callable[[Mapping[str, object]], object] | None = None,
        ttl: str | float | timedelta | None = None,
        exclude: Iterable[str] = (),
        capture: str | Sequence[str] | None = None,
        mode: Literal["on", "off", "refresh", "readonly", "frozen", "verify"] | None = None,
        store: str | None = None,
    ) -> None:
        if not isinstance(name, str) or not name.strip():
            raise CacheError(f"cached_block needs a name for its entries, not {name!r}: cached_block(name='features')")
        self.name = name
        self.hit: bool | None = None
        self.key = ""
        self.restored: tuple[str, ...] = ()
        self.saved_s = 0.0
        self._options = checked_options(inputs, ignore, pin, version, validate, ttl, exclude, outputs)
        self._mode = mode
        self._store = store
        self._capture = capture
        self.cell: Cell | None = None  # the notebook's cell that it stands around, see cells.py
        self._passage: Passage | None = None
        self._at: str | None = None  # where the store is
        self._event: BlockFinished | None = None
        self._facts: tuple[Any, ...] = ((), None, None)  # inputs, lookup, manifest: what is explained and shown

    # -- entering --------------------------------------------------------------------------

    def __enter__(self) -> cached_block:
        run = self._look_up(sys._getframe(1))
        if run is not None and turns.may_wait(run):
            flight.stand_still(turns.take(run, blocks=True))
        return self._begin(run)

    def __aenter__(self) -> Awaitable[cached_block]:
        # Looked up at once, where the frame still stands at the header; begun when it is awaited, as the last act.
        run = self._look_up(sys._getframe(1))
        if run is not None and turns.may_wait(run):
            return Later(flight.let_others_run(turns.take(run, blocks=False)), partial(self._begin, run))
        return Done(partial(self._begin, run))

    def _look_up(self, frame: FrameType) -> Passage | None:
        """Look up the block that ``frame`` is entering; None in mode off."""
        started = time.perf_counter()
        if self._passage is not None:
            raise CacheError(f"block {self.name!r} is entered again before it was left; make a new cached_block")
        place = entering.place_of(frame)
        chosen = settings.in_force(place.folder, mode=self._mode, store=self._store, capture=self._capture)
        self.hit = False
        if chosen.mode == "off":
            return None
        try:
            entry = entry_point(frame)
            block = entering.examine(frame, entry, place, chosen, self.cell)
        except CacheError:
            raise
        except Exception as error:  # a source or a library that cannot be read this very moment
            self._give_up(chosen, place, frame.f_lineno, error)
            return None
        space = Namespace(frame)
        run = Passage(
            self.name,
            self,
            self._options,
            chosen,
            frame,
            entry,
            place,
            frame.f_lineno,
            started,
            space,
            block,
            self.cell,
        )
        run.check_excluded()
        lookup.look_up(run)
        return run

    def _give_up(self, chosen: settings.Settings, place: Place, line: int, error: Exception) -> None:
        """It cannot be told what the block is: the body runs as in mode off, with one warning."""
        problem = f"block {self.name!r}: {type(error).__name__}: {error}"
        if chosen.mode == "frozen":
            raise FrozenMissError(f"{problem} ({place.file}:{line}); in frozen mode every block must hit") from error
        if chosen.strict:
            raise CacheError(problem) from error
        with contextlib.suppress(CacheWarning):  # under `-W error`
            warnings.warn_explicit(problem, CacheWarning, place.file, line)

    def _begin(self, run: Passage | None) -> cached_block:
        """Skip the body, or let it begin."""
        if run is None:  # mode off
            return self
        self.key = run.built.key.digest if run.built is not None else ""
        chosen = run.settings
        if isinstance(run.result, Hit) and not to_be_verified(chosen) and lookup.ready(run):
            run.skip = Skip(run.frame, run.entry)
            self._passage, self.hit = run, True
            if run.skip.arm():  # the last act: from here on the body is skipped
                return self
            run.result, run.problem, self.hit = Miss(""), "the body could not be skipped: no tool id is free", False
            run.skip = None
            run.discard()
        if chosen.mode == "frozen" and (self.cell is None or self.cell.min_s is None):
            why = run.problem or report.why(run.result) if isinstance(run.result, Miss) else run.problem
            raise FrozenMissError(f"block {self.name!r} ({run.place.file}:{run.line}) missed in frozen mode: {why}")
        self._passage = run
        try:
            running.begin(run)
        except BaseException:
            turns.end(run)
            raise
        return self

    # -- leaving ---------------------------------------------------------------------------

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        run = self._passage
        if run is None:  # mode off
            return False
        skipped = run.skip is not None and run.skip.raised(error)
        try:
            if skipped:
                self.restored = tuple(restoring.restore(run))
                self.saved_s = run.event.saved_s or 0.0 if run.event is not None else 0.0
            elif run.skip is not None:
                self.hit = False
                running.not_skipped(run)
            else:
                running.end(run, kind)
        finally:
            turns.end(run)
            self._passage = None
            self._event, self._at = run.event, run.store_path
            self._facts = (
                run.built.key.inputs if run.built is not None else (),
                _without_values(run.result),
                run.manifest,
            )
            skip, run.skip = run.skip, None
            if skip is not None:
                skip.disarm()  # the last act, see frames/skip.py
        return skipped

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[bool]:
        swallows: list[bool] = []
        done = Done(swallows.pop)  # made before, as leaving ends with its last act
        swallows.append(self.__exit__(kind, error, trace))
        return done

    # -- telling ---------------------------------------------------------------------------

    def explain(self) -> str:
        """What the result depends on, and on a miss what is different from the nearest entry, with diffs of code."""
        inputs, result, manifest = self._facts
        now, was = self._known()
        text = report.explain(
            self.name,
            inputs,
            result,
            discovered=manifest.discovered if manifest is not None else (),
            untracked=manifest.untracked if manifest is not None else (),
            texts=now,
            was_texts=was,
        )
        if self._event is not None and self._event.problem:
            text += f"\n\n{self._event.problem}"
        return text

    def _known(self) -> tuple[dict[str, str], dict[str, str]]:
        """Source texts of this run and of the nearest entry."""
        _, result, manifest = self._facts
        nearest = result.nearest if isinstance(result, Miss) else None
        if self._at is None or (manifest is None and nearest is None):
            return {}, {}
        from blockcache import catalogue  # takes longer to import than most hits take

        store = store_at(self._at)
        return catalogue.read_texts(store, manifest), catalogue.read_texts(store, nearest)

    def _repr_html_(self) -> str:
        if self._event is None:
            return f"<code>{self!r}</code>"
        inputs, result, manifest = self._facts
        texts, was_texts = self._known()
        now = report.Facts(inputs, texts=texts) if manifest is None else report.Facts.of(manifest, texts)
        nearest = result.nearest if isinstance(result, Miss) else None
        was = report.Facts.of(nearest, was_texts) if nearest is not None else None
        outputs = manifest.outputs if manifest is not None else ()
        return report.card_html(self._event, now=now, outputs=outputs, was=was)

    def _mime_(self) -> tuple[str, str]:
        """The same card for marimo."""
        return "text/html", self._repr_html_()

    def __repr__(self) -> str:
        state = "off or not finished" if self._event is None else self._event.outcome
        return f"cached_block({self.name!r}): {state}"

    def __reduce__(self) -> tuple[Any, ...]:
        # A block that stands in the body of another is one of its names: what it says is kept, not the frame.
        state = {k: v for k, v in self.__dict__.items() if k not in ("_passage", "_options")}
        return _finished_block, (self.name, state)


def _finished_block(name: str, state: dict[str, Any]) -> cached_block:
    block = cached_block(name)
    block.__dict__.update(state)
    return block


def _without_values(result: Lookup) -> Lookup:
    """A hit's values belong to the program from now on; the block must not keep them alive."""
    return Hit(result.manifest, {}, result.load_s) if isinstance(result, Hit) else result


def to_be_verified(chosen: settings.Settings) -> bool:
    """Whether this hit is one of those that run again; by the system's chance, not by the program's generators."""
    return chosen.mode == "verify" and int.from_bytes(os.urandom(4), "big") < chosen.sample * 2**32


_NO_OPTIONS = Options()


def checked_options(
    inputs: Iterable[object],
    ignore: Iterable[str | type],
    pin: Any,
    version: str | float | None,
    validate: Callable[[Mapping[str, object]], object] | None,
    ttl: str | float | timedelta | None,
    exclude: Iterable[str] = (),
    outputs: object = (),
) -> Options:
    """The arguments, checked.

    Raises
    ------
    CacheError
        When one is none that it can be.
    """
    given = (inputs, ignore, pin is not ..., version is not None, validate, ttl is not None, exclude, outputs)
    if not any(given):
        return _NO_OPTIONS
    ignored = [ignore] if isinstance(ignore, (str, type)) else list(ignore)
    for item in ignored:
        if not isinstance(item, (str, type)):
            raise CacheError(f"ignore={item!r}: it takes names of upstream variables and types")
    if version is not None and (isinstance(version, bool) or not isinstance(version, (str, int, float))):
        raise CacheError(f"version={version!r}: it takes text or a number")
    if validate is not None and not callable(validate):
        raise CacheError(f"validate={validate!r}: it takes a function of the restored values")
    excluded = [exclude] if isinstance(exclude, str) else list(exclude)
    for name in excluded:
        if not isinstance(name, str) or not name.isidentifier():
            raise CacheError(f"exclude={name!r}: it takes names of variables that the block binds")
    return Options(
        inputs=declared.check(inputs),
        pin=None if pin is ... else pinning(pin),
        ignored=tuple(item for item in ignored if isinstance(item, type)),
        ignored_names=frozenset(item for item in ignored if isinstance(item, str)),
        version=None if version is None else f"{version!r}",
        validate=validate,
        ttl_s=None if ttl is None else declared.parse_ttl(ttl),
        excluded=frozenset(excluded),
        outputs=produced.check(outputs) if outputs else (),
    )
