"""A passage's body runs: watch it, and then save what it did or compare it with what an entry says."""

from __future__ import annotations

import sys
import time

from blockcache import (
    beside,
    capture,
    cells,
    changes,
    collecting,
    comparing,
    discovered,
    generators,
    mentions,
    process,
    telling,
    unsaved,
    upkeep,
)
from blockcache.events import Outcome
from blockcache.model import Hit, Miss
from blockcache.passage import Passage


def begin(run: Passage) -> None:
    """The body is about to run: note how things stand, and watch what it reads."""
    _watch(run)
    run.began = time.perf_counter()


def _watch(run: Passage) -> None:
    run.stay = beside.enter(run, waits=run.waits)
    run.loaded = frozenset(sys.modules)
    unsaved.enter(run.frame, run.lacking)
    # Out of sight, so that afterwards it can be told whether this run bound them.
    run.namespace.assign({}, run.set_aside)
    run.before = run.namespace.get_many(run.block.writes | run.block.deletes)
    if run.built is None or run.problem or run.missed or run.settings.mode in ("readonly", "frozen"):
        return  # nothing will be saved
    run.drawn = generators.digests()
    run.stood = process.snapshot()
    try:
        assert run.upstream is not None
        run.walk = changes.Walk(run.block, run.upstream, run.built, run.demands.ignored)
        chosen = run.settings
        heard = capture.Capture(run.frame, run.line, limit_bytes=chosen.capture_limit, what=chosen.capture)
        heard.start()
        run.heard = heard
        run.recorder = discovered.Recorder(
            codes=run.codes(),
            texts=mentions.of(
                [*run.upstream.bound.values(), *run.built.objects.values()],
                {name for chains in run.block.reads.values() for chain in chains for name in chain},
            ),
            constants=run.block.texts,
            ignore=(run.store_path,),
            memo=run.memo,
            outputs=run.produces,
        )
        if run.produces is not None:
            run.produces.begin()
        run.recorder.start()
    except Exception as error:
        run.recorder = None
        telling.trouble(run, error)


def end(run: Passage, raised: type[BaseException] | None) -> Outcome:
    """The body ran: save what it did, or compare it with what an entry says."""
    run.body_s = time.perf_counter() - run.began
    if run.stay is not None:
        beside.leave(run.stay, waits=run.waits)
    said = run.heard.stop() if run.heard is not None else capture.Captured()
    unsaved.leave(run.frame, run.lacking)
    recorded = run.recorder.stop() if run.recorder is not None else None
    after = run.namespace.get_many(run.block.writes | run.block.deletes)
    run.namespace.assign({name: value for name, value in run.set_aside.items() if name not in after})
    if isinstance(run.result, Hit):
        if raised is None:
            return comparing.compare(run, run.result, after)
        run.problem = f"the body raised {raised.__name__}, and did not when the entry was made"
        telling.finish(run, "differs", manifest=run.result.manifest, differing=(run.problem,))
        return "differs"
    if run.cell is not None and (
        cells.was_quick(run.cell, run.started, run.began) or (raised is not None and run.cell.min_s is not None)
    ):
        return "miss"  # not worth saving, nor a word
    manifest, save_s, save_started = None, None, time.perf_counter()
    if raised is not None:
        run.problem, run.obstacle = f"the body raised {raised.__name__}", "body raised"
    elif recorded is not None and not run.problem:
        try:
            manifest = collecting.save(run, recorded, said, after)
            save_s = time.perf_counter() - save_started
            collecting.name_undeclared(run, recorded.written)
            if manifest is not None:
                upkeep.make_room(run, manifest)
        except Exception as error:
            result = run.result
            telling.trouble(run, error)
            run.result = result  # why it missed is still true
    telling.finish(run, "miss", manifest=manifest, save_s=save_s)
    return "miss"


def not_skipped(run: Passage) -> None:
    """The body ran although there was a hit, because the skip was not delivered."""
    run.discard()
    run.result = Miss("")
    run.problem = run.problem or "the skip was not delivered, so the body ran"
    telling.finish(run, "miss")
