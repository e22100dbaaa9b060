"""Collect what a body did, and save it."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from blockcache import (
    ambient,
    capture,
    cells,
    changes,
    compression,
    discovered,
    earlier,
    files,
    generators,
    key,
    naming,
    outputs,
    process,
    saving,
    telling,
    unsaved,
    upkeep,
    wanted,
)
from blockcache.analysis import annotated_names
from blockcache.errors import CodecError
from blockcache.fingerprint import modules
from blockcache.fingerprint.bare import left_at_end
from blockcache.model import Input, Manifest, Miss, Unsaved
from blockcache.passage import Passage
from blockcache.texts import texts_of

_MISSING = object()
#: Files that one warning names.
_MOST_NAMED = 3
# The block that has said that nothing is compressed.
_told: list[str] = []


def save(
    run: Passage, recorded: discovered.Recorded, said: capture.Captured, after: Mapping[str, object]
) -> Manifest | None:
    """Save what the body did; None where that is not worth it.

    Raises
    ------
    CodecError
        When a hit could not repeat it.
    """
    assert run.built is not None and run.walk is not None
    _refuse(run, recorded, said)
    run.settled = process.changed(run.stood, run.built.uses)
    changed = _changed(run, after)
    if said.drawn and not changed:
        raise CodecError("; ".join(said.drawn))
    if not run.block.source and not left_at_end(run.frame, run.entry.offset):
        raise CodecError("the body was left by a return, break or continue, which a hit could not repeat")
    made = outputs.made(run.produces, run.memo) if run.produces is not None else None
    results = _results(run, recorded, said, after, changed, made)
    if upkeep.is_quick(run, matters=bool(results.untracked or made)):
        return None
    texts = texts_of(
        run.built.key.inputs,
        run.built.objects,
        run.block.source,
        paths=run.built.path_texts,
        patterns=run.settings.redact,
    )
    request = saving.Request(
        run.store,
        run.name,
        run.built,
        telling.provenance(run),
        texts,
        run.namespace.globals,
        run.walk,
        contents=[part for change in changed for part in change.contents],
        made=made,
        patterns=run.settings.redact,
        prove=run.upstream_object if run.unusable else None,
        forms="typed" if run.settings.pickle == "never" else "either",
        accept=functools.partial(upkeep.check_size, run),
        memory=run.memory,
        share=run.shares,
        compress=_compresses(run),
    )
    manifest = saving.save(request, results)
    wanted.tell_missed(run, manifest)
    return manifest


def _compresses(run: Passage) -> bool:
    """Whether packs are compressed; where that is wanted and cannot be done, one warning says so."""
    if run.settings.compression == "none" or compression.is_there():
        return run.settings.compression != "none"
    if not _told and not run.is_automatic:
        _told.append(run.name)
        origin = run.settings.origin["compression"]
        telling.warn(run, f"compression is 'zstd' ({origin}), which {compression.WAY_OUT}. Nothing is compressed")
    return False


def _refuse(run: Passage, recorded: discovered.Recorded, said: capture.Captured) -> None:
    """Raise `CodecError` for what was seen while the body ran and a hit could not repeat."""
    assert run.walk is not None
    if recorded.conflicts:
        raise CodecError(f"{'; '.join(recorded.conflicts)}: a hit could not repeat that")
    if run.is_automatic and recorded.written:
        raise CodecError(f"it writes {', '.join(recorded.written[:_MOST_NAMED])}, and nobody has declared that")
    problems = [*said.problems, *(why for why, figure in said.drawn.items() if not run.walk.reaches(figure))]
    if problems:
        raise CodecError("; ".join(problems))


def _results(
    run: Passage,
    recorded: discovered.Recorded,
    said: capture.Captured,
    after: Mapping[str, object],
    changed: Sequence[changes.Change],
    made: outputs.Made | None,
) -> saving.Results:
    """What the body did that a hit gives back."""
    assert run.built is not None
    values = _values(run, after)
    run.remember(values)
    excluded = [name for name in values if run.is_excluded(name)]
    left_out = [
        Unsaved(written, saving.type_name(values.pop(name)), unsaved.EXCLUDED)
        for name, written in zip(excluded, run.as_written(excluded), strict=True)
    ]
    inside = {name: row for name, row in run.lacking.items() if name not in after}
    states, kept, unseeded = _moved(run)
    if run.cell is not None and run.cell.shows:
        kept[cells.LAST] = cells.held(run.cell)
    if changed:
        kept[naming.CHANGES] = [change.made for change in changed]
    annotations = run.namespace.annotations(annotated_names(run.block.source))
    if annotations:
        kept[naming.ANNOTATIONS] = annotations
    if run.settled.made:
        kept[naming.PROCESS] = run.settled.made
    untracked = (
        *recorded.untracked,
        *ambient.untracked(run.built.uses),
        *unseeded,
        *(f"writes {file}" for file in recorded.written),
        *said.untracked,
    )
    return saving.Results(
        values=dict(zip(run.as_written(values), values.values(), strict=True)),
        deleted=tuple(sorted(run.as_written(name for name in run.before if name not in {*after, *inside}))),
        imports=_submodules(run, values),
        discovered=(*recorded.inputs, *_unpickled(run, recorded), *states, *_left(made, recorded)),
        stats=recorded.stats,
        untracked=untracked,
        kept=kept | said.kept,
        captured=said.clauses,
        changed=tuple(sorted({*(change.display for change in changed), *run.settled.names})),
        unsaved=(*left_out, *inside.values()),
        needed=run.needed,
    )


def _values(run: Passage, after: Mapping[str, object]) -> dict[str, object]:
    """What the body bound, by the names as they run."""
    assert run.upstream is not None
    return {
        name: after[name]
        for name in run.namespace.in_order(after)
        # The same object as before: the body left it alone, or bound what is part of the key anyway.
        if not (run.before.get(name, _MISSING) is after[name] and name in run.upstream.bound)
        and name in run.block.writes
        and after[name] is not run.owner
    }


def name_undeclared(run: Passage, written: Sequence[str]) -> None:
    """Say which files a hit will not write, unless that was said when an earlier entry was made."""
    nearest = run.result.nearest if isinstance(run.result, Miss) else None
    known = nearest.untracked if nearest is not None else ()
    new = [file for file in written if f"writes {file}" not in known]
    if new:
        more = f" and {len(new) - _MOST_NAMED} more" if len(new) > _MOST_NAMED else ""
        named = ", ".join(new[:_MOST_NAMED])
        telling.warn(
            run, f"it writes {named}{more}, which a hit does not write again; declare what is needed in outputs="
        )


def _changed(run: Passage, after: Mapping[str, object]) -> list[changes.Change]:
    """What the body changed in place, but for the state of the process.

    Raises
    ------
    CodecError
        When a hit could not repeat it.
    """
    assert run.built is not None and run.upstream is not None and run.walk is not None
    found = [*run.walk.changes(run.bound_by_body), *changes.set_on_imports(run.block, after)]
    ran = functools.partial(earlier.as_before, run.upstream.ran(), run.before, after)
    upstream = replace(run.upstream, ran=ran)
    names, others = key.changed_by_body(run.block, upstream, run.demands, run.built, run.loaded)
    names = [name for name in names if not process.explains(run.settled.explains, name)]
    lost = run.walk.unexplained(names, found) or ([] if found else others)
    if lost:
        raise CodecError(
            f"the body changes {', '.join(sorted(lost))} in place, which a hit could not repeat; "
            "bind the result to a new name"
        )
    if found and run.met_others:
        displays = ", ".join(sorted({change.display for change in found}))
        raise CodecError(f"{displays} changed while other bodies ran: whose change it is cannot be told")
    return found


def _moved(run: Passage) -> tuple[list[Input], dict[str, object], list[str]]:
    """Random generators that the body moved: their states before as inputs, those after, and what nobody seeded."""
    assert run.built is not None and run.upstream is not None
    moved = generators.moved(run.drawn)
    if not moved:
        return [], {}, []
    before = earlier.seeds(run.upstream.globals, run.upstream.ran(), run.loaded)
    known = [name for name in moved if name in generators.seeded(before)]
    inputs = [Input("state", name, run.drawn[name]) for name in known if name in run.drawn]
    # What nobody seeded must not be put into a state: later draws would be the same in every run.
    settled = {*known, *generators.seeded(run.built.uses)}
    after = generators.snapshot(name for name in moved if name in settled)
    kept: dict[str, object] = {naming.GENERATORS: after} if after else {}
    if kept and run.met_others:
        raise CodecError("random numbers were drawn while other bodies ran: by whom cannot be told")
    return inputs, kept, [f"draws from {name}, which nobody has seeded" for name in moved if name not in settled]


def _unpickled(run: Passage, recorded: discovered.Recorded) -> list[Input]:
    """Files of the project's modules whose classes the body found by name, in a pickle."""
    found = {}
    for module, _ in recorded.classes:
        file = getattr(sys.modules.get(module), "__file__", None)
        if file and modules.origin_of_file(file) == "local":
            name = os.path.relpath(file)
            found[name] = Input("file", name, files.digest(file, run.memo), f"module {module}, named in a pickle")
    known = {i.name for i in recorded.inputs}
    return [entry for name, entry in found.items() if name not in known]


def _submodules(run: Passage, values: Mapping[str, object]) -> tuple[str, ...]:
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


def _left(made: outputs.Made | None, recorded: discovered.Recorded) -> list[Input]:
    """Declared outputs that the body left alone, where it did not read them anyway."""
    known = {(i.kind, i.name) for i in recorded.inputs}
    return [left for left in made.left if (left.kind, left.name) not in known] if made is not None else []
