"""Names that this passage's entry does not give back: who wants them, and what that means for the lookup."""

from __future__ import annotations

from collections.abc import Iterable

from blockcache import cells, report, unsaved, upkeep
from blockcache.errors import CodecError
from blockcache.model import Manifest, Unsaved
from blockcache.passage import Passage
from blockcache.telling import trouble


def why_not(run: Passage, manifest: Manifest) -> str:
    """Why an entry is not to answer: something after the block reads a name that it lacks, or running is quicker."""
    given = {row.name: row for row in manifest.unsaved}
    for output in manifest.outputs:
        if output.name in run.options.excluded:
            given[output.name] = Unsaved(output.name, output.type, unsaved.EXCLUDED)
    clauses = {row: reader(run, row) for row in given.values()}
    why = [unsaved.clause(row, who) for row, who in clauses.items() if who]
    # What is not excluded any more can be saved now.
    run.missed = any(who and _stays(run, row) for row, who in clauses.items())
    return report.first_of(why) or upkeep.why_not(run, manifest)


def tell_missed(run: Passage, manifest: Manifest) -> None:
    """Say which names will be missed on a hit, so that there will be none."""
    if run.settings.mode == "refresh":
        for row in manifest.unsaved:
            unsaved.forget(run.where, row.name)
    watch(run, manifest.unsaved, lacking=False)
    clauses = [unsaved.clause(row, who) for row in manifest.unsaved if (who := reader(run, row))]
    if clauses:
        result = run.result
        trouble(run, CodecError(f"{'; '.join(clauses)}; make it after the block, or the body runs every time"))
        run.result = result  # why it missed is still true


def reader(run: Passage, row: Unsaved) -> str:
    """Who may read a name after the block that is not given back; empty when nobody does."""
    (name,) = run.as_run([row.name])
    if run.cell is not None and cells.must_give(run.cell, row.name):
        return "cells that come later"
    vouched = run.is_excluded(name)
    who = unsaved.reader(run.frame, run.entry, name, vouched=vouched)
    if not who and not vouched and run.has_later_cells and unsaved.seen_later(run.where, row.name):
        who = "a cell that ran later"
    return who


def _stays(run: Passage, row: Unsaved) -> bool:
    """Whether a new entry would not give the name back either."""
    if row.reason == unsaved.EXCLUDED:
        return row.name in run.options.excluded
    return not unsaved.may_pass(row.reason)


def watch(run: Passage, rows: Iterable[Unsaved], *, lacking: bool) -> None:
    """See whether a later cell reads what is not saved: then the next lookup will know."""
    missing = {name: row for row in rows for name in run.as_run([row.name])}
    if missing and run.has_later_cells:
        unsaved.watch(run.name, run.where, missing, run.namespace.globals, lacking=lacking)
