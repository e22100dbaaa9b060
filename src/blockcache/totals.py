"""The command ``stats``: what is in a store, and what its blocks came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import click

from blockcache import catalogue, report, statistics, tables
from blockcache.catalogue import Catalogue, Usage
from blockcache.counts import Counts
from blockcache.finding import json_option, open_store
from blockcache.stores import Store

#: How many blocks are shown.
_MOST = 20
#: A block that cost more than it saved is worth a word from here on, and from its second run on.
_WORTH_A_WORD_S = 0.1


@click.command()
@click.option("--reset", is_flag=True, help="Count hits, misses and times anew.")
@json_option
@click.pass_obj
def stats(store_argument: str | None, reset: bool, as_json: bool) -> None:
    """Count entries and bytes, hits and misses with their reasons, and the time that was saved, net too."""
    place, store, found = open_store(store_argument)
    if reset:
        if store is not None:
            statistics.reset(store)
        if as_json:
            tables.print_json({"store": place, "reset": True})
        else:
            click.echo(f"statistics of {place} begin anew")
        return
    used = catalogue.usage(store, found) if store is not None else Usage()
    counted = statistics.read(store) if store is not None else {}
    sizes = _sizes(found)
    if as_json:
        _print_json(place, used, found, counted, sizes)
    elif store is None:
        click.echo(f"no entries in {place}")
    else:
        _print_usage(place, used)
        _print_blocks(store, counted, sizes)
        tables.say_unreadable(found.unreadable)


def _sizes(found: Catalogue) -> list[dict[str, Any]]:
    """Blocks by the bytes that their entries need, biggest first."""
    rows = []
    for name in {e.manifest.name for e in found.entries}:
        manifests = [e.manifest for e in found.entries if e.manifest.name == name]
        blobs = {b.digest: b.size_bytes for m in manifests for b in m.all_blobs}
        work_s = sum(m.provenance.duration_s for m in manifests)
        rows.append({"name": name, "entries": len(manifests), "size_bytes": sum(blobs.values()), "work_s": work_s})
    return sorted(rows, key=lambda row: (-row["size_bytes"], row["name"]))


def _total(all_counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for counts in all_counts:
        total.add(counts)
    return total


# ---- for programs ----


def _print_json(
    place: str, used: Usage, found: Catalogue, counted: Mapping[str, Counts], sizes: list[dict[str, Any]]
) -> None:
    blocks = [{"name": name, **_facts(counted[name])} for name in sorted(counted)]
    tables.print_json(
        {
            "store": place,
            **asdict(used),
            "unreadable": len(found.unreadable),
            "biggest": sizes[:10],
            "total": _facts(_total(counted.values())),
            "blocks": blocks,
        }
    )


def _facts(counts: Counts) -> dict[str, Any]:
    return {**counts.facts(), "hit_rate": counts.hit_rate, "net_s": counts.net_s}


# ---- for people ----


def _print_usage(place: str, used: Usage) -> None:
    rows = [
        ("store", place),
        ("entries", f"{used.entries} of {tables.count(used.names, 'block', 'blocks')}"),
        ("on disk", f"{report.size(used.size_bytes)} in {tables.count(used.blobs, 'blob', 'blobs')}"),
        ("shared", f"{report.size(used.shared_bytes)} more if entries did not share blobs"),
        ("sources", f"{report.size(used.text_bytes)} of code, to show what changed"),
        ("work kept", report.duration(used.work_s)),
    ]
    if used.orphans:
        rows.append(("unused", f"{report.size(used.orphan_bytes)} in {tables.count(used.orphans, 'blob', 'blobs')}"))
    tables.print_lines("\n".join(f"{fact:<9}  {text}" for fact, text in rows))


def _print_blocks(store: Store, counted: Mapping[str, Counts], sizes: list[dict[str, Any]]) -> None:
    """A row for each name that has entries or was met, those that matter most first."""
    size_of = {row["name"]: row for row in sizes}
    names = sorted(
        counted.keys() | size_of.keys(),
        key=lambda n: (
            -abs(counted[n].net_s) if n in counted else 0.0,
            -size_of.get(n, {"size_bytes": 0})["size_bytes"],
            n,
        ),
    )
    if not names:
        return
    rows = [_row(name, counted.get(name, Counts()), size_of.get(name)) for name in names[:_MOST]]
    if len(names) > 1:
        everything = {"entries": sum(r["entries"] for r in sizes), "size_bytes": sum(r["size_bytes"] for r in sizes)}
        rows.append(_row(f"all {len(names)}", _total(counted.values()), everything))
    columns = [("block", False), ("hits", True), ("misses", True), ("not cacheable", True), ("hit rate", True)]
    columns += [("saved", True), ("net", True), ("entries", True), ("size", True)]
    click.echo()
    tables.print_table(columns, rows, flexible=("block",), optional=("entries", "not cacheable", "hit rate", "size"))
    total = _total(counted.values())
    _print_reasons("ran because", total.causes)
    _print_reasons("not cacheable", total.obstacles)
    for name in names:
        counts = counted.get(name, Counts())
        if counts.net_s < -_WORTH_A_WORD_S and counts.asked > 1:
            _print_loss(name, counts)


def _row(name: str, counts: Counts, size: Mapping[str, Any] | None) -> tuple[str, ...]:
    rate = counts.hit_rate
    return (
        report.one_line(name),
        f"{counts.hits:,}",
        f"{counts.misses:,}",
        f"{counts.uncacheable:,}",
        "" if rate is None else f"{rate:.0%}",
        report.duration(counts.saved_s) if counts.hits else "",
        _signed(counts.net_s) if rate is not None else "",
        str(size["entries"]) if size is not None else "",
        report.size(size["size_bytes"]) if size is not None else "",
    )


def _signed(time_s: float) -> str:
    return ("-" if time_s < 0 else "") + report.duration(abs(time_s))


def _print_reasons(heading: str, reasons: Counter[str]) -> None:
    if reasons:
        width = max(map(len, reasons))
        lines = [f"{report.one_line(reason):<{width}}  {number:>7,}" for reason, number in reasons.most_common()]
        tables.print_lines("\n".join([f"\n{heading}", *(f"  {line}" for line in lines)]))


def _print_loss(name: str, counts: Counts) -> None:
    spent = f"keys {report.duration(counts.key_s)}, loading {report.duration(counts.load_s)}, "
    spent += f"saving {report.duration(counts.save_s)}"
    saved = report.duration(counts.saved_s) if counts.saved_s else "nothing yet"
    tables.print_lines(f"\n{report.one_line(name)} cost more than it saved so far: {spent}; saved {saved}")
