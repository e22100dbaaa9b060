"""The command ``blockcache``: tables for people, ``--json`` for programs.

Everything is read from the store alone, so it works while no notebook runs,
and from any environment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blockcache import __version__, capacity, catalogue, keeping, report, tables, totals
from blockcache.catalogue import Catalogue, Stored
from blockcache.errors import CacheError
from blockcache.finding import choose, json_option, open_place, open_store
from blockcache.model import Difference, Manifest, OutputFile, compare
from blockcache.settings import VARIABLES, Settings, resolve, store_path

if TYPE_CHECKING:
    from blockcache.status import Judged


class _Group(click.Group):
    """Turns the library's errors into a message and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CacheError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--store", metavar="PATH", type=click.Path(), help="The store; else the one of the current directory.")
@click.version_option(__version__, prog_name="blockcache")
@click.pass_context
def main(ctx: click.Context, store: str | None) -> None:
    """Look into a store of cached blocks, and take entries out of it."""
    ctx.obj = store


# ---- the commands ----


@main.command("ls")
@json_option
@click.pass_obj
def list_entries(store_argument: str | None, as_json: bool) -> None:
    """List every entry, newest first."""
    place, _, found = open_store(store_argument)
    if as_json:
        tables.print_json(
            {
                "store": place,
                "entries": [_facts(e) for e in found.entries],
                "unreadable": [{"path": u.path, "problem": u.problem} for u in found.unreadable],
            }
        )
        return
    if not found.entries:
        click.echo(f"no entries in {place}")
    else:
        columns = [("name", False), ("made", False), ("took", True), ("size", True)]
        columns += [("outputs", True), ("host", False), ("where", False), ("key", False)]
        rows = [_row(e.manifest) for e in found.entries]
        if any(e.pinned for e in found.entries):
            columns.append(("stays", False))
            rows = [(*row, "pinned" if e.pinned else "") for row, e in zip(rows, found.entries, strict=True)]
        tables.print_table(
            columns,
            rows,
            flexible=("name", "where"),
            optional=("key", "host", "outputs"),
        )
    tables.say_unreadable(found.unreadable)


@main.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(store_argument: str | None, name: str, as_json: bool) -> None:
    """Show the newest entry of the block NAME, or of the key that begins with NAME."""
    place, _, found = open_store(store_argument)
    entries = choose(found, name, place)
    if as_json:
        tables.print_json({**_facts(entries[0]), **_contents(entries[0].manifest)})
        return
    tables.print_lines(_described(entries[0]))
    if len(entries) > 1:
        keys = ", ".join(dict.fromkeys(e.manifest.key.digest[:8] for e in entries[1:6]))
        more = " and more" if len(entries) > 6 else ""
        click.echo(
            f"\n{tables.count(len(entries) - 1, 'older entry', 'older entries')}: show one by its key: {keys}{more}"
        )


@main.command()
@click.argument("name")
@json_option
@click.pass_obj
def explain(store_argument: str | None, name: str, as_json: bool) -> None:
    """Say what changed between the newest entry of NAME and the nearest one before it.

    With one entry only: what it depends on.
    """
    place, store, found = open_store(store_argument)
    entries = choose(found, name, place)
    newest = entries[0].manifest
    older = _nearest(found, entries[0])
    now = report.Facts.of(newest, catalogue.read_texts(store, newest) if store is not None else {})
    if older is None:
        if as_json:
            _print_explained(entries[0], now, None, None, ())
            return
        click.echo(
            f"{report.one_line(newest.name)}: the entry made {report.age(newest.provenance.made_at)} depends on\n"
        )
        tables.print_tree(report.tree_lines(now))
        return
    was = report.Facts.of(older.manifest, catalogue.read_texts(store, older.manifest) if store is not None else {})
    differences = _differences(newest, older.manifest)
    if as_json:
        _print_explained(entries[0], now, older, was, differences)
        return
    head = f"{report.one_line(newest.name)}: the entry made {report.age(newest.provenance.made_at)}"
    head += f"\ncompared with the one made {report.age(older.manifest.provenance.made_at)}"
    tables.print_lines(f"{head}: {report.reason(differences)}")
    click.echo()
    tables.print_tree(report.tree_lines(now, was))


@main.command()
@click.argument("file", type=click.Path())
@click.option("--diff", "with_diffs", is_flag=True, help="Show how the code that changed differs.")
@json_option
@click.pass_context
def status(ctx: click.Context, file: str, with_diffs: bool, as_json: bool) -> None:
    """Say whether the blocks of FILE (a script or notebook) would hit, without running it.

    What only a run knows is told as a condition. Exits with 0 when all would hit, 1 when some would not,
    3 when that cannot be known for some.
    """
    from blockcache import status as engine

    judged = engine.judge(file, ctx.obj)
    if as_json:
        tables.print_json({"file": str(Path(file).resolve()), "blocks": [_judged(j) for j in judged]})
    elif not judged:
        click.echo(f"no blocks in {file}")
    else:
        columns = [("block", False), ("where", False), ("would", False), ("because", False)]
        rows = [
            (report.one_line(j.name) or "?", report.one_line(j.place), j.verdict, report.one_line(j.reason))
            for j in judged
        ]
        tables.print_table(columns, rows, flexible=("block", "because"), optional=("where",))
        if with_diffs:
            for one in judged:
                _print_diffs(one)
    verdicts = {j.verdict for j in judged}
    ctx.exit(1 if "miss" in verdicts else 3 if "unknown" in verdicts else 0)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("script", required=False, type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--sample", metavar="SHARE", help="With SCRIPT: run only this share of the hits again, such as 5%.")
@json_option
@click.pass_context
def verify(
    ctx: click.Context, script: str | None, arguments: tuple[str, ...], sample: str | None, as_json: bool
) -> None:
    """Without SCRIPT: read all of the store, and move what is wrong out of the way.

    Each block whose entries were lost is named; it runs again at its next use. Exits with 1 when anything was wrong.

    With SCRIPT (or a notebook): run it, its hits too, and compare their results with what was saved.
    Options that are not known here go to the script; -- before ARGS gives it all of them. Exits with 1 when a result
    differs, and with the script's own status when that fails.
    """
    if script is None:
        if sample is not None:
            raise click.UsageError("--sample needs a SCRIPT")
        ctx.exit(_verify_store(ctx.obj, as_json=as_json))
    ctx.exit(_verify_script(script, arguments, ctx.obj, sample, as_json=as_json))


def _verify_store(store_argument: str | None, *, as_json: bool) -> int:
    from blockcache import audit as engine

    place, store = open_place(store_argument)
    done = engine.audit(store) if store is not None else engine.NOTHING
    if as_json:
        tables.print_json({"store": place, "whole": done.is_whole, **asdict(done)})
        return 0 if done.is_whole else 1
    if store is None:
        click.echo(f"no entries in {place}")
        return 0
    if done.lost:
        columns = [("block", False), ("made", False), ("lost because", False)]
        rows = [(report.one_line(x.name), report.age(x.made_at) if x.made_at else "?", x.problem) for x in done.lost]
        tables.print_table(columns, rows, flexible=("block", "lost because"))
        click.echo()
    entries = tables.count(done.entries, "entry", "entries")
    blobs = tables.count(done.blobs, "blob", "blobs")
    click.echo(f"{entries} and {blobs} ({report.size(done.size_bytes)}) in {place} are whole")
    if done.newer:
        click.echo(f"{tables.count(done.newer, 'entry', 'entries')} of a newer format: left alone")
    if done.orphans:
        orphans = tables.count(done.orphans, "blob", "blobs")
        click.echo(f"{orphans} ({report.size(done.orphan_bytes)}) that no entry names: `blockcache gc` removes them")
    if done.moved:
        click.echo(f"{tables.count(len(done.moved), 'file', 'files')} moved to {Path(place, engine.QUARANTINE)}")
    for name, problem in done.stuck:
        click.echo(f"{name} stays where it is: {problem}", err=True)
    return 0 if done.is_whole else 1


def _verify_script(
    script: str, arguments: tuple[str, ...], store_argument: str | None, sample: str | None, *, as_json: bool
) -> int:
    from blockcache import verify as engine

    ran = engine.run(script, arguments, store=store_argument, sample=sample)
    if as_json:
        tables.print_json(
            {
                "script": str(Path(script).resolve()),
                "exit_status": ran.exit_status,
                "blocks": [asdict(block) | {"result": block.result} for block in ran.blocks],
            }
        )
    elif not ran.blocks:
        click.echo("no block ran")
    else:
        columns = [("block", False), ("where", False), ("result", False), ("runs", True), ("because", False)]
        rows = [
            (report.one_line(b.name), report.one_line(b.place), b.result, str(b.runs), report.one_line(b.reason))
            for b in ran.blocks
        ]
        tables.print_table(columns, rows, flexible=("block", "because"), optional=("where", "runs"))
        for block in ran.blocks:
            if len(block.clauses) > 1:
                tables.print_lines(
                    "\n".join([f"\n{report.one_line(block.name)}", *(f"    {c}" for c in block.clauses)])
                )
    if ran.exit_status and not as_json:
        click.echo(f"{script} ended with {ran.exit_status}", err=True)
    return ran.exit_status or (1 if any(b.result == "differs" for b in ran.blocks) else 0)


@main.command()
@json_option
@click.pass_obj
def config(store_argument: str | None, as_json: bool) -> None:
    """Show each setting in the current directory, and where it comes from."""
    from blockcache.discovered import kernel
    from blockcache.mounts import is_shared, kind_of
    from blockcache.stores.local import LocalStore

    settings = resolve(str(Path.cwd()), store=store_argument)
    path = store_path(settings, str(Path.cwd()))
    most = capacity.max_bytes(LocalStore(path), settings)
    kind = kind_of(path)
    names = list(VARIABLES)
    if as_json:
        values = {n: {"value": _plain(getattr(settings, n)), "origin": settings.origin[n]} for n in names}
        tables.print_json({"settings": values, "store_path": path, "file_system": kind, "max_bytes": most})
        return
    rows = [(n, _value(settings, n), settings.origin[n]) for n in names]
    if settings.max_size is None and most is not None:
        of = "default: a tenth of what is free on the disk and what is here"
        rows[names.index("max_size")] = ("max_size", report.size(most), of)
    columns = [("setting", False), ("value", False), ("comes from", False)]
    tables.print_table(columns, rows, flexible=("comes from",))
    note = (
        f" ({kind}, other machines may write: every byte is read and hashed, nothing is mapped)"
        if is_shared(kind)
        else ""
    )
    click.echo(f"\nstore: {path}{note}")
    if not kernel.tells(str(Path.cwd())):
        click.echo("the kernel does not tell here which files a reader in C opens: what no code names, name in inputs=")


@main.command()
@json_option
def demo(as_json: bool) -> None:
    """Run the example experiment twice, and show what the second run spares."""
    from blockcache import demo as engine

    try:
        result = engine.run(say=lambda text: click.echo(text, err=True))
    except engine.DemoError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        tables.print_json(result.to_json())
        return
    rows = [
        (
            row.name,
            f"{row.first} {report.duration(row.first_s)}".lstrip(),
            f"{row.second} {report.duration(row.second_s)}".lstrip(),
            _times(row.first_s, row.second_s),
        )
        for row in result.rows
    ]
    columns = [("block", False), ("first run", True), ("second run", True), ("ratio", True)]
    tables.print_table(columns, rows, flexible=("block",))


for _command in (keeping.rm, keeping.gc, keeping.pin, keeping.unpin, totals.stats):
    main.add_command(_command)


# ---- finding entries ----


def _nearest(found: Catalogue, newest: Stored) -> Stored | None:
    """The entry made before ``newest`` under the same name that differs from it in the fewest inputs."""
    made_at = newest.manifest.provenance.made_at
    # What was only saved again (mode refresh) is no change to explain.
    before = [
        (len(differences), number, entry)
        for number, entry in enumerate(found.named(newest.manifest.name))
        if entry.manifest.provenance.made_at <= made_at
        and (differences := _differences(newest.manifest, entry.manifest))
    ]
    return min(before)[2] if before else None


def _differences(now: Manifest, was: Manifest) -> tuple[Difference, ...]:
    return (*compare(now.key.inputs, was.key.inputs), *compare(now.discovered, was.discovered))


def _print_explained(
    entry: Stored, now: report.Facts, older: Stored | None, was: report.Facts | None, differences: Sequence[Difference]
) -> None:
    def text(facts: report.Facts | None, difference: Difference) -> str:
        return "" if facts is None else facts.texts.get(f"{difference.kind} {difference.name}", "")

    rows = [
        {"kind": d.kind, "name": d.name, "change": report.cause(d), "diff": list(report.diff(before, after))}
        if (before := text(was, d)) and (after := text(now, d))
        else {"kind": d.kind, "name": d.name, "change": report.cause(d)}
        for d in differences
    ]
    facts = _contents(entry.manifest)
    tables.print_json(
        {
            "entry": _facts(entry),
            "against": _facts(older) if older else None,
            "differences": rows,
            **{name: facts[name] for name in ("inputs", "discovered", "untracked")},
        }
    )


# ---- entries in words ----


def _row(manifest: Manifest) -> tuple[str, ...]:
    made = manifest.provenance
    return (
        report.one_line(manifest.name),
        report.age(made.made_at),
        report.duration(made.duration_s),
        report.size(manifest.size_bytes),
        str(len(manifest.outputs)),
        report.one_line(made.host),
        report.one_line(f"{Path(made.file).name}:{made.line}"),
        manifest.key.digest[:8],
    )


def _described(entry: Stored) -> str:
    """An entry in words."""
    manifest = entry.manifest
    made = manifest.provenance
    facts = [
        f"made {report.age(made.made_at)} ({made.made_at}) in {report.duration(made.duration_s)}",
        f"by {made.user} on {made.machine}, {made.host}, python {made.python}, blockcache {made.blockcache}",
        f"at {made.file}:{made.line}",
        f"key {manifest.key.digest}",
    ]
    if entry.pinned:
        facts.append("pinned: it stays whatever the limits of the store say")
    if others := entry.labels - {manifest.name}:
        facts.append(f"also met as {', '.join(sorted(others))}")
    lines = [report.one_line(manifest.name), *(f"  {report.one_line(f)}" for f in facts)]
    lines += ["", "gives back"]
    width = max((len(o.name) for o in manifest.outputs), default=0)
    for output in manifest.outputs:
        lines.append(f"    {output.name:<{width}}  {report.one_line(report.described(output))}".rstrip())
    lines += [f"    {name}  deleted" for name in manifest.deleted]
    lines += [f"    {report.one_line(file.path)}  {_file(file)}" for file in manifest.files]
    if len(lines) == len(facts) + 3:
        lines.append("    nothing")
    lines += ["", "depends on", *(f"  {line}" for line in report.tree(report.Facts.of(manifest)).splitlines())]
    lines += ["", f"blobs, {report.size(manifest.size_bytes)} in all"]
    lines += [f"    {b.digest}  {report.size(b.size_bytes)} {b.coding}".rstrip() for b in manifest.all_blobs]
    return "\n".join(lines)


def _file(file: OutputFile) -> str:
    if file.is_file:
        return f"{report.size(file.size_bytes)}, {file.mode:03o}"
    return {"": "directory", "emptied": "directory, emptied first", "absent": "deleted"}.get(file.digest, file.digest)


def _facts(entry: Stored) -> dict[str, Any]:
    """What ``ls`` knows about an entry, for programs."""
    manifest = entry.manifest
    made = manifest.provenance
    return {
        "name": manifest.name,
        "also": sorted(entry.labels - {manifest.name}),
        "key": manifest.key.digest,
        "path": entry.path,
        "pinned": entry.pinned,
        "made_at": made.made_at,
        "duration_s": made.duration_s,
        "size_bytes": manifest.size_bytes,
        "outputs": [o.name for o in manifest.outputs],
        "host": made.host,
        "file": made.file,
        "line": made.line,
    }


def _contents(manifest: Manifest) -> dict[str, Any]:
    """The rest of a manifest, for programs."""
    return {
        "format": manifest.format,
        "inputs": [i._asdict() for i in manifest.key.inputs],
        "discovered": [i._asdict() for i in manifest.discovered],
        "untracked": list(manifest.untracked),
        "outputs": [asdict(o) for o in manifest.outputs],
        "deleted": list(manifest.deleted),
        "files": [f._asdict() for f in manifest.files],
        "blobs": [asdict(b) for b in manifest.all_blobs],
        "provenance": asdict(manifest.provenance),
    }


def _judged(judged: Judged) -> dict[str, Any]:
    """A verdict, for programs."""
    entry = judged.entry
    texts = judged.texts
    rows: list[dict[str, Any]] = []
    for d in judged.differences:
        now, was = texts.get(f"{d.kind} {d.name}", ("", ""))
        rows.append({"kind": d.kind, "name": d.name, "change": report.cause(d), "diff": list(report.diff(was, now))})
    return {
        "name": judged.name,
        "place": judged.place,
        "would": judged.verdict,
        "because": judged.reason,
        "differences": rows,
        "key": entry.key.digest if entry is not None else None,
        "made_at": entry.provenance.made_at if entry is not None else None,
    }


def _print_diffs(judged: Judged) -> None:
    for difference in judged.differences:
        now, was = judged.texts.get(f"{difference.kind} {difference.name}", ("", ""))
        if was:
            click.echo()
            tables.print_lines(f"{report.one_line(judged.name)}: {report.cause(difference)}")
            tables.print_tree((report.diff_style(line), f"    {line}") for line in report.diff(was, now))


def _value(settings: Settings, name: str) -> str:
    value = _plain(getattr(settings, name))
    if value is None or value == ():
        return "-"
    if isinstance(value, (int, float)) and name in _SHOWN:
        return _SHOWN[name](value)
    return (
        str(value).lower() if isinstance(value, bool) else ", ".join(value) if isinstance(value, tuple) else str(value)
    )


#: How numbers are shown that have a unit.
_SHOWN: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(("capture_limit", "max_size", "memory"), report.size),
    **dict.fromkeys(("ttl", "wait"), report.duration),
}


def _plain(value: object) -> object:
    """A setting's value as it is written; JSON knows no infinity."""
    return "none" if value == math.inf else value


def _times(first_s: float, second_s: float) -> str:
    ratio = first_s / max(second_s, 1e-6)
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.1f}x"
