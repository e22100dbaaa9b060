"""Passages that miss one entry at the same time: one of them runs the body, the others wait and look again."""

from __future__ import annotations

import sys
from collections.abc import Generator

from blockcache import beside, capture, flight, lookup, report, telling
from blockcache.errors import SettingError, StoreError
from blockcache.model import Miss, entry_id
from blockcache.naming import entry_name
from blockcache.passage import Passage


def may_wait(run: Passage) -> bool:
    """Whether the body would run and its result be saved: then somebody else may be doing that now.

    Of a cell that nobody named: once a run of it was saved, for most are quick and leave nothing to wait for.
    """
    return (
        isinstance(run.result, Miss)
        and run.settings.mode == "on"
        and run.built is not None
        and not (run.problem or run.missed or (run.is_automatic and run.result.nearest is None))
    )


def take(run: Passage, *, blocks: bool) -> Generator[flight.Step, None, None]:
    """Get the right to run the body, or wait and look again: afterwards the passage has a hit, or runs.

    Parameters
    ----------
    run
        A passage that misses.
    blocks
        Whether this thread stands still between the steps, and with it what else runs in it.
    """
    assert isinstance(run.result, Miss)
    nearest = run.result.nearest
    way = flight.Flight(
        run.store,
        run.name,
        wait_s=run.settings.wait if _can_wait(run, blocks) else 0.0,
        blocks=blocks,
        inside=[s.what.lease for s in beside.behind() if isinstance(s.what, Passage) and s.what.lease is not None],
        say=lambda text: _say(run, text),
        usual_s=nearest.provenance.duration_s if nearest is not None else None,
    )
    try:
        while may_wait(run):
            what, before_s = _what(run), way.waited_s
            found = yield from way.claim(what)
            run.lease = found if isinstance(found, flight.Lease) else None
            # What the key says may have changed meanwhile: it is built again.
            if way.waited_s > before_s or way.took_over or (run.lease is not None and _may_answer(run)):
                lookup.look_up(run, again=True)
            if found is None or (run.lease is not None and may_wait(run) and _what(run) == what):
                break
            end(run)
    except BaseException as error:
        end(run)
        if not isinstance(error, Exception) or isinstance(error, SettingError) or run.settings.strict:
            raise
        telling.warn(run, f"it does not wait for other runs: {type(error).__name__}: {error}")
    finally:
        run.waited_s = way.waited_s
        if way.whom:
            time_s = report.duration(way.waited_s)
            did = "stopped waiting for {} after {}" if way.in_vain else "waited for {} for {}"
            run.waited = did.format(way.whom, time_s)


def _can_wait(run: Passage, blocks: bool) -> bool:
    """Whether waiting keeps nothing from running that the body would not."""
    if blocks:
        return not run.waits
    asyncio = sys.modules.get("asyncio")  # other event loops have other ways to wait
    return asyncio is not None and asyncio._get_running_loop() is not None


def end(run: Passage) -> None:
    """Nobody has to wait for this passage any longer."""
    lease, run.lease = run.lease, None
    if lease is not None:
        lease.end()


def _what(run: Passage) -> str:
    """What there is one lease for: the key and, where it has entries, the variant that would answer.

    Bodies that read different files or variables have one key, and no reason to wait for each other.
    """
    assert run.built is not None
    variant = _variant(run)
    return f"{run.built.key.digest}-{variant}" if variant else run.built.key.digest


def _variant(run: Passage) -> str:
    miss = run.result
    if not isinstance(miss, Miss) or miss.nearest is None or not miss.same_key:
        return ""
    now = {(i.kind, i.name): i for i in miss.nearest.discovered}
    now.update(((d.kind, d.name), d.now) for d in miss.differences if d.now is not None)
    return entry_id(now.values())


def _may_answer(run: Passage) -> bool:
    """Whether an entry may have come between the look and the lease."""
    assert run.built is not None
    variant = _variant(run)
    try:
        if variant:
            return run.store.exists(entry_name(run.built.key, variant))
        return any(run.store.list(f"entries/{run.built.key.digest}"))
    except StoreError:
        return True  # looking will tell


def _say(run: Passage, text: str) -> None:
    if not run.settings.quiet:
        with capture.unheard():  # a block around this one does not say it again
            report.print_text(f"{run.name}  waits  {text}")
