"""The body ran although there was an entry: is what it did what the entry says?"""

from __future__ import annotations

from collections.abc import Mapping

from blockcache import changes, key, naming, outputs, telling
from blockcache.errors import CodecError
from blockcache.events import Outcome
from blockcache.model import Hit
from blockcache.passage import Passage


def compare(run: Passage, hit: Hit, after: Mapping[str, object]) -> Outcome:
    """The body ran although there was an entry: is what it did what the entry says?"""
    assert run.upstream is not None
    differing = []
    for name in sorted({*hit.values, *run.as_run(hit.manifest.deleted)}):
        if name not in after:
            if name in hit.values:
                differing.append(f"{name} is in the entry, and this run did not bind it")
        elif name not in hit.values:
            differing.append(f"{name} was deleted, and this run bound it")
        else:
            clause = key.difference(name, hit.values[name], after[name], run.upstream)
            if clause:
                differing.append(f"{name} {clause}")
    differing += _compare_changes(run, hit)
    if run.produces is not None:
        differing += outputs.differing(run.produces, hit.manifest.files, run.memo)
    outcome: Outcome = "differs" if differing else "verified"
    telling.finish(run, outcome, manifest=hit.manifest, differing=tuple(differing))
    return outcome


def _compare_changes(run: Passage, hit: Hit) -> list[str]:
    """What the body changed in place otherwise than the entry says."""
    assert run.walk is not None and run.upstream is not None
    try:
        now = {changes.target(c.made): c for c in run.walk.changes(run.bound_by_body)}
    except CodecError as error:
        return [str(error)]
    was = {changes.target(made): made for made in hit.kept.get(naming.CHANGES, ())}
    differing = [f"{now[t].display} changed in place, and did not then" for t in now.keys() - was.keys()]
    differing += [f"a {type(was[t][1]).__qualname__} did not change in place" for t in was.keys() - now.keys()]
    for what in now.keys() & was.keys():
        clause = key.difference("what it became", was[what][-1], now[what].made[-1], run.upstream)
        differing += [f"{now[what].display} {clause}"] if clause else []
    return sorted(differing)
