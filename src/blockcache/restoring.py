"""The body is skipped: give the program what the entry holds."""

from __future__ import annotations

from collections.abc import Mapping

from blockcache import (
    capture,
    cells,
    changes,
    discovered,
    generators,
    naming,
    outputs,
    process,
    telling,
    unsaved,
    upkeep,
    wanted,
)
from blockcache.model import Hit, Unsaved
from blockcache.passage import Passage


def restore(run: Passage) -> Mapping[str, object]:
    """Give the program what the entry holds, and tell."""
    hit = run.result
    assert isinstance(hit, Hit)
    values = dict(hit.values)
    run.remember(values)
    bound = values
    if run.entry.as_name is not None:
        bound = {run.entry.as_name: run.owner, **values}  # a body may bind that name to something else
    dropped = [o for o in hit.manifest.outputs if run.as_run([o.name])[0] not in values]
    rows = (*hit.manifest.unsaved, *(Unsaved(o.name, o.type, unsaved.EXCLUDED) for o in dropped))
    lacking = run.as_run(row.name for row in rows)
    # A value from before the block must not pass for the one that the body made.
    gone = [name for name in lacking if not run.namespace.is_variable(name)]
    run.namespace.assign(bound, [*run.as_run(hit.manifest.deleted), *gone])
    # A block around this one depends on what this one would have read.
    declared = (i for i in hit.manifest.key.inputs if i.kind in ("file", "env"))
    paths = run.staged.paths if run.staged is not None else ()
    discovered.absorb((*hit.manifest.discovered, *declared), hit.manifest.untracked, paths)
    if run.staged is not None:
        _put_back(run, run.staged)
    changes.apply(hit.kept.get(naming.CHANGES, ()))
    run.namespace.annotate(hit.kept.get(naming.ANNOTATIONS, {}))
    if naming.GENERATORS in hit.kept:
        generators.restore(hit.kept[naming.GENERATORS])
    process.apply(hit.kept.get(naming.PROCESS, {}))
    capture.replay(hit.kept, run.frame, run.line)
    if run.cell is not None and run.cell.shows:
        cells.hold(run.cell.constant, hit.kept[cells.LAST])
    unsaved.tell_around(run.frame, dict(zip(lacking, rows, strict=True)))
    wanted.watch(run, rows, lacking=True)
    public = [row.name for row in rows if not row.name.startswith("_")] if run.has_later_cells else []
    upkeep.used(run, hit)
    telling.finish(run, "hit", manifest=hit.manifest, load_s=hit.load_s, lacking=tuple(public))
    return values


def _put_back(run: Passage, staged: outputs.Staged) -> None:
    try:
        staged.apply()
    except OSError as error:  # it could be, a moment ago
        run.problem = f"an output could not be put back: {error}"
        telling.warn(run, run.problem)
