"""Commands that take entries out of a store, or let them stay: ``rm``, ``gc``, ``pin``, ``unpin``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from blockcache import catalogue, report, room, tables
from blockcache.catalogue import Catalogue, Removed, Stored
from blockcache.eviction import Going
from blockcache.finding import SHORTEST_KEY, UnknownError, choose, json_option, named, open_place, open_store, unknown
from blockcache.room import Collected
from blockcache.settings import resolve, seconds_of
from blockcache.stores import Store


@click.command()
@click.argument("name", metavar="NAME[@KEY]", required=False)
@click.option("--key", metavar="PREFIX", help="Only entries whose key begins with PREFIX.")
@click.option("--all", "everything", is_flag=True, help="Every entry and every blob of the store.")
@click.option("--pinned", is_flag=True, help="Pinned entries too.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
@json_option
@click.pass_obj
def rm(
    store_argument: str | None,
    name: str | None,
    key: str | None,
    everything: bool,
    pinned: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete the entries of the block NAME, and the blobs that nothing needs any more.

    Pinned entries stay, unless --pinned says otherwise.
    """
    if everything and (name is not None or key is not None):
        raise click.UsageError("--all takes neither NAME nor --key")
    if not everything and name is None and key is None:
        raise click.UsageError("say which entries: NAME, --key PREFIX or --all")
    if key is not None and len(key) < SHORTEST_KEY:
        raise click.UsageError(f"--key needs at least {SHORTEST_KEY} digits")
    place, store, found = open_store(store_argument)
    chosen = found.entries if everything else _chosen(found, name, key, place)
    if everything and not yes and not click.confirm(f"Delete everything in {place}?", err=True):
        raise click.Abort
    staying = [] if pinned else [e for e in chosen if e.pinned]
    removed = _remove(store, [e for e in chosen if e not in staying], everything and not staying)
    if as_json:
        tables.print_json(asdict(removed) | {"pinned": len(staying)})
        return
    entries = tables.count(removed.entries, "entry", "entries")
    blobs = tables.count(removed.blobs, "blob", "blobs")
    click.echo(f"deleted {entries} and {blobs}, freed {report.size(removed.freed_bytes)}")
    if staying:
        what = tables.count(len(staying), "pinned entry stays", "pinned entries stay")
        click.echo(f"{what}: unpin, or say --pinned", err=True)


def _chosen(found: Catalogue, name: str | None, key: str | None, place: str) -> tuple[Stored, ...]:
    chosen = found.entries if key is None else found.with_key(key)
    if name is not None:
        wanted = named(found, name)
        if not wanted:
            raise unknown(found, name, place)
        chosen = tuple(e for e in chosen if e in wanted)
    if not chosen:
        raise UnknownError(f"there is no such entry with a key that begins with {key!r} in {place}")
    return chosen


def _remove(store: Store | None, entries: Sequence[Stored], everything: bool) -> Removed:
    if store is None:
        return Removed(0, 0, 0)
    return catalogue.clear(store) if everything else catalogue.remove(store, entries)


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and delete nothing.")
@click.option("--max-size", metavar="SIZE", help="How much the store may hold, such as 20GB; none for no limit.")
@click.option("--older-than", metavar="AGE", help="Entries that nobody has used for so long, such as 30d.")
@click.option("--keep", metavar="N", help="Of each name, only the N newest entries.")
@json_option
@click.pass_obj
def gc(
    store_argument: str | None,
    dry_run: bool,
    max_size: str | None,
    older_than: str | None,
    keep: str | None,
    as_json: bool,
) -> None:
    """Make room: delete what the limits say, and what no entry needs.

    Limits are the settings max_size, keep and ttl, or the options. Where the store holds more than max_size, entries go
    that spare the least work for their bytes and for the time that nobody has used them. Pinned ones stay.
    """
    try:
        idle_s = None if older_than is None else seconds_of(older_than)
    except ValueError as error:
        raise click.BadParameter(f"{older_than!r}; it takes {error}", param_hint="--older-than") from None
    settings = resolve(str(Path.cwd()), store=store_argument, max_size=max_size, keep=keep)
    place, store = open_place(store_argument)
    if store is None:
        done, most = Collected((), 0, 0, 0, 0), None
    else:
        wanted = room.limits(store, settings)._replace(idle_s=idle_s)
        done, most = room.collect(store, wanted, dry_run=dry_run), wanted.max_bytes
    if as_json:
        tables.print_json(
            {
                "store": place,
                "dry_run": dry_run,
                "going": [_going(one) for one in done.going],
                "orphans": done.orphans,
                "orphan_bytes": done.orphan_bytes,
                "freed_bytes": done.freed_bytes,
                "left_bytes": done.left_bytes,
                "max_bytes": most,
            }
        )
        return
    _print_going(done)
    verb = "would free" if dry_run else "freed"
    of = "" if most is None else f" of at most {report.size(most)}"
    click.echo(f"{verb} {report.size(done.freed_bytes)}; {report.size(done.left_bytes)}{of} stay in {place}")


def _going(one: Going) -> dict[str, object]:
    entry = one.entry
    return {
        "name": entry.name,
        "key": entry.key,
        "path": entry.path,
        "because": one.why,
        "freed_bytes": one.freed_bytes,
        "work_s": entry.work_s,
        "idle_s": entry.idle_s,
    }


def _print_going(done: Collected) -> None:
    """What goes, by name and reason, biggest first."""
    groups: dict[tuple[str, str], list[Going]] = {}
    for one in done.going:
        groups.setdefault((one.entry.name, one.why), []).append(one)
    ordered = sorted(groups.items(), key=lambda group: -sum(one.freed_bytes for one in group[1]))
    rows = [
        (report.one_line(name), str(len(ones)), report.size(sum(one.freed_bytes for one in ones)), why)
        for (name, why), ones in ordered
    ]
    if done.orphan_bytes:
        rows.append(("", "", report.size(done.orphan_bytes), "no entry needs it"))
    if rows:
        columns = [("block", False), ("entries", True), ("frees", True), ("because", False)]
        tables.print_table(columns, rows, flexible=("block", "because"))
        click.echo()


@click.command()
@click.argument("name", metavar="NAME[@KEY]")
@json_option
@click.pass_obj
def pin(store_argument: str | None, name: str, as_json: bool) -> None:
    """Let the newest entry of the block NAME stay, whatever the limits say, until it is unpinned."""
    place, store, found = open_store(store_argument)
    entry = choose(found, name, place)[0]
    assert store is not None  # it has an entry
    catalogue.pin(store, entry.path)
    _say("pinned", [entry], as_json)


@click.command()
@click.argument("name", metavar="NAME[@KEY]")
@json_option
@click.pass_obj
def unpin(store_argument: str | None, name: str, as_json: bool) -> None:
    """Let the pinned entries of the block NAME go as others do."""
    place, store, found = open_store(store_argument)
    entries = [e for e in choose(found, name, place) if e.pinned]
    if not entries or store is None:
        raise UnknownError(f"no entry of {name!r} is pinned in {place}")
    for entry in entries:
        catalogue.unpin(store, entry.path)
    _say("unpinned", entries, as_json)


def _say(verb: str, entries: Sequence[Stored], as_json: bool) -> None:
    if as_json:
        tables.print_json(
            {verb: [{"name": e.manifest.name, "key": e.manifest.key.digest, "path": e.path} for e in entries]}
        )
        return
    for entry in entries:
        made = entry.manifest
        about = f"made {report.age(made.provenance.made_at)}, {report.size(made.size_bytes)}"
        click.echo(f"{verb} {report.one_line(made.name)}@{made.key.digest[:8]} ({about})")
