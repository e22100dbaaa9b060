"""What is told of a passage: one event, one warning where there is trouble, who made an entry and when."""

from __future__ import annotations

import contextlib
import time
import warnings

from blockcache import capture, cells, report, settings
from blockcache.errors import CacheError, CacheWarning, CodecError, FingerprintError, StoreError
from blockcache.events import BlockFinished, Outcome, emit
from blockcache.loading import NOT_GIVEN
from blockcache.model import Manifest, Miss, Provenance
from blockcache.passage import Passage

#: How multiprocessing calls the main module in a process that it has started.
_WORKER_MAIN = "__mp_main__"

_warned: set[tuple[str, str]] = set()


def trouble(run: Passage, error: Exception) -> None:
    """One warning instead of an error; the setting ``strict`` raises it."""
    if run.settings.strict and not run.is_automatic:
        raise error
    run.set_aside.clear()
    run.obstacle = _obstacle(error)
    run.result = Miss("")
    if isinstance(error, FingerprintError):
        run.problem = f"{error.path or 'an input'} cannot be fingerprinted: {error}"
    elif isinstance(error, CacheError):
        run.problem = str(error)
    else:
        run.problem = f"{type(error).__name__}: {error}"
    warn(run, run.problem)


def _obstacle(error: Exception) -> str:
    """Why nothing is saved, as one of a few clauses to count by."""
    if isinstance(error, FingerprintError):
        return "no key"
    if isinstance(error, CodecError):
        return "value not saved" if error.refused else "not repeatable"
    return "store" if isinstance(error, StoreError) else "other trouble"


def warn(run: Passage, problem: str) -> None:
    """Say it once."""
    if (run.name, problem) not in _warned and not run.is_automatic:
        _warned.add((run.name, problem))
        # Under `-W error` a warning must not cost the program its result: the line says it, and the log;
        # who wants an error sets `strict`.
        with contextlib.suppress(CacheWarning):
            warnings.warn_explicit(f"{run.noun} {run.name!r}: {problem}", CacheWarning, run.block.file, run.line)


def finish(
    run: Passage,
    outcome: Outcome,
    *,
    manifest: Manifest | None = None,
    load_s: float | None = None,
    save_s: float | None = None,
    differing: tuple[str, ...] = (),
    lacking: tuple[str, ...] = (),
) -> None:
    """The passage is over: make its event and emit it."""
    miss = run.result if isinstance(run.result, Miss) else Miss("")
    known = miss.nearest.untracked if miss.nearest is not None else ()
    saved = outcome == "miss" and manifest is not None
    found = outcome != "miss" and manifest is not None
    run.manifest = manifest
    event = BlockFinished(
        name=run.name,
        outcome=outcome,
        file=run.place.file,
        line=run.line,
        host=run.place.host,
        took_s=time.perf_counter() - run.started,
        key=run.built.key.digest if run.built is not None else "",
        reason=report.why(miss),
        differences=miss.differences,
        cause=miss.counted_as,
        obstacle="" if saved or outcome != "miss" else _why_not_saved(run),
        key_s=run.key_s,
        body_s=run.body_s,
        saved_s=manifest.provenance.duration_s if found and outcome == "hit" and manifest is not None else None,
        load_s=load_s,
        save_s=save_s if saved else None,
        size_bytes=manifest.size_bytes if manifest is not None else None,
        made_at=manifest.provenance.made_at if found and manifest is not None else None,
        saved=saved,
        problem=run.problem,
        untracked=tuple(c for c in manifest.untracked if c not in known and not _has_warned_of(run, c))
        if saved and manifest is not None
        else (),
        differing=differing,
        waited=run.waited,
        waited_s=run.waited_s,
        lacking=lacking,
        notes=tuple(run.notes),
        # A worker that runs the main module again hits what its parent has: one line about that is enough.
        quiet=run.settings.quiet
        or (outcome == "hit" and run.namespace.globals.get("__name__") == _WORKER_MAIN)
        or _is_old_news(run),
        log_path=settings.log_path(run.settings),
        counted_in=run.store_path if run.settings.mode not in ("readonly", "frozen") else None,
    )
    run.event = run.told(event)
    with capture.unheard():  # a block around this one does not say it again
        emit(run.event)


def _why_not_saved(run: Passage) -> str:
    return run.obstacle or (NOT_GIVEN if run.missed else "other trouble" if run.problem else "")


def _is_old_news(run: Passage) -> bool:
    """Whether the trouble is that of a cell that nobody named, which has told it before."""
    cell = run.cell
    return (
        cell is not None
        and cell.min_s is not None
        and run.problem != ""
        and not cells.is_news(cell.digest, run.problem)
    )


def _has_warned_of(run: Passage, clause: str) -> bool:
    return clause.startswith("writes ") and not run.is_automatic


def provenance(run: Passage) -> Provenance:
    """Who makes this entry, when, where, and how long the body took."""
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
        duration_s=run.body_s or 0.0,
        host=run.place.host,
        file=run.place.file,
        line=run.line,
        python=platform.python_version(),
        blockcache=__version__,
        machine=platform.node(),
        user=user,
    )
