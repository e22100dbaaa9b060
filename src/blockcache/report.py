"""Words and pictures for people: the one line, the reason, the tree, the notebook card.

Everything here is a pure function of events and model nouns, except the three
reporters at the end, which :func:`install` subscribes to events.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby

from blockcache.errors import CacheWarning
from blockcache.events import BlockFinished, subscribe
from blockcache.model import Difference, Hit, Input, Lookup, Miss, Output, compare

_SEPARATOR = " · "
_NOTE_WIDTH = 60

#: Headings of the kinds of inputs, in the order of a report.
_HEADINGS = {
    "code": "code",
    "definition": "definitions",
    "value": "values",
    "path": "execution paths",
    "file": "files",
    "env": "environment",
    "extra": "declared",
    "version": "version",
    "state": "state",
    "module": "modules",
    "distribution": "distributions",
    "python": "python",
}


# ---- plain facts ----


def duration(duration_s: float) -> str:
    """``180 µs``, ``4 ms``, ``1.2 s``, ``3 min 12 s``, ``2 h 5 min``, ``3 d 4 h``."""
    seconds = max(duration_s, 0.0)
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole, 60, "min", "s")
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return _two(minutes, 60, "h", "min")
    return _two(round(seconds / 3600), 24, "d", "h")


def _two(amount: int, ratio: int, large: str, small: str) -> str:
    head, rest = divmod(amount, ratio)
    return f"{head} {large} {rest} {small}" if rest else f"{head} {large}"


def size(size_bytes: int) -> str:
    """``512 B``, ``34 kB``, ``1.2 GB``: powers of 1000."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.5 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.1f} {unit}" if unit != "B" and amount < 9.95 else f"{amount:.0f} {unit}"


def age(made_at: str, now_s: float | None = None) -> str:
    """How long ago an ISO 8601 time is: ``just now``, ``2 days ago``, a date after two months.

    ``now_s`` is the present as seconds since the epoch.
    """
    from datetime import UTC, datetime

    try:
        made = datetime.fromisoformat(made_at)
    except ValueError:
        return "at an unknown time"
    if made.tzinfo is None:
        made = made.replace(tzinfo=UTC)
    now = datetime.now(UTC) if now_s is None else datetime.fromtimestamp(now_s, UTC)
    seconds = (now - made).total_seconds()
    if seconds < 60:
        return "just now"
    for unit, length, limit in (("min", 60, 60), ("hour", 3600, 24), ("day", 86400, 60)):
        count = int(seconds // length)
        if count < limit:
            return f"{count} {unit}{'s' if count > 1 and unit != 'min' else ''} ago"
    return f"on {made.date().isoformat()}"


def one_line(text: str, width: int | None = None) -> str:
    """``text`` on one line without control characters, cut at ``width`` characters."""
    flat = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return flat if width is None or len(flat) <= width else flat[: width - 3].rstrip() + "..."


# ---- why ----


def why(miss: Miss) -> str:
    """Why a lookup missed, in one clause."""
    return reason(miss.differences) if miss.differences else miss.reason


def reason(differences: Sequence[Difference]) -> str:
    """The likeliest cause in words, and how many more there are; empty without differences."""
    if not differences:
        return ""
    first = cause(differences[0])
    return f"{first} (+{len(differences) - 1} more)" if len(differences) > 1 else first


def cause(difference: Difference) -> str:
    """One difference in words: ``function clean (pipeline.py:12) changed``."""
    now, was = difference.now, difference.was
    there = now or was
    if there is None:
        return ""
    if there.kind == "code":
        return "the block's code changed"
    subject = _subject(there)
    if was is None:
        return f"new input: {subject}"
    if now is None:
        return f"no longer used: {subject}"
    change = _change(now, was)
    if now.kind == "value":
        name = one_line(f"value {now.name}", _NOTE_WIDTH)
        return f"{name} changed: {change}" if change else f"{subject} changed"
    return f"{one_line(now.name, _NOTE_WIDTH)} {change}" if change else f"{subject} changed"


def _subject(item: Input) -> str:
    """An input as it stands in a sentence."""
    name = one_line(item.name, _NOTE_WIDTH)
    if item.kind == "definition":
        what, _, place = item.note.partition(" ")
        return f"{what or 'definition'} {_short(name, place)}" + (f" ({one_line(place)})" if place else "")
    if item.kind in ("distribution", "python"):
        return name if _opaque(item.digest) else f"{name} {one_line(item.digest, _NOTE_WIDTH)}"
    return f"{item.kind} {name}" + (f" ({one_line(item.note, _NOTE_WIDTH)})" if item.note else "")


def _short(label: str, place: str) -> str:
    """A definition's label without the module that its place names already: ``pipeline.clean`` is ``clean``."""
    stem = _basename(place.partition(":")[0]).removesuffix(".py")
    before, found, after = label.rpartition(f"{stem}.")
    return after if stem and found and (not before or before.endswith(".")) else label


def _basename(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _change(now: Input, was: Input) -> str:
    """``was -> now``, or empty when the two cannot be told apart in words."""
    if now.kind in ("distribution", "python"):
        before, after = was.digest, now.digest
        if _opaque(before) or _opaque(after):
            return ""
    elif now.kind == "value":
        before, after = was.note, now.note
    else:
        return ""
    return f"{one_line(before, _NOTE_WIDTH)} -> {one_line(after, _NOTE_WIDTH)}" if before and before != after else ""


def _opaque(digest: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", digest) is not None


# ---- the line ----


def line(event: BlockFinished) -> str:
    """The one line that a block prints."""
    facts = _hit_facts(event) if event.outcome == "hit" else _miss_facts(event)
    return one_line(event.name, _NOTE_WIDTH) + f"  {event.outcome:<4}  " + _SEPARATOR.join(facts)


def _hit_facts(event: BlockFinished) -> list[str]:
    facts = [] if event.saved_s is None else [f"saved {duration(event.saved_s)}"]
    spent = duration(event.took_s if event.load_s is None else event.load_s)
    facts.append(f"in {spent}" if event.size_bytes is None else f"{size(event.size_bytes)} in {spent}")
    if event.made_at:
        facts.append(f"made {age(event.made_at)}")
    if event.problem:
        facts.append(f"trouble: {one_line(event.problem, 2 * _NOTE_WIDTH)}")
    return facts


def _miss_facts(event: BlockFinished) -> list[str]:
    facts = [one_line(event.reason)] if event.reason else []
    facts.append(f"took {duration(event.took_s)}")
    if event.saved:
        saved = "saved" if event.size_bytes is None else f"saved {size(event.size_bytes)}"
        # Saving is part of what the block took: name its share where somebody may wonder.
        if event.save_s is not None and event.save_s > max(0.1, 0.1 * event.took_s):
            saved += f" in {duration(event.save_s)}"
        facts.append(saved)
    if event.problem:
        facts.append(f"{'trouble' if event.saved else 'not saved'}: {one_line(event.problem, 2 * _NOTE_WIDTH)}")
    elif not event.saved:
        facts.append("not saved")
    return facts


# ---- the tree ----


def explain(name: str, now: Iterable[Input], lookup: Lookup | None) -> str:
    """What a block's result depends on, and what is different from the nearest entry.

    Parameters
    ----------
    name
        The block's name.
    now
        The inputs of its key.
    lookup
        What the lookup found; None when there was none.
    """
    head = one_line(name)
    was: Iterable[Input] | None = None
    if isinstance(lookup, Hit):
        origin = lookup.manifest.provenance
        head += f": hit, made {age(origin.made_at)} in {duration(origin.duration_s)}"
    elif isinstance(lookup, Miss):
        head += f": miss, {one_line(why(lookup))}" if why(lookup) else ": miss"
        if lookup.nearest is not None:
            was = lookup.nearest.key.inputs
            head += f"\ncompared with the entry made {age(lookup.nearest.provenance.made_at)}"
    return f"{head}\n\n{tree(now, was)}"


def tree(now: Iterable[Input], was: Iterable[Input] | None = None) -> str:
    """Inputs by kind, one a line; with ``was``, differences are marked: ``~`` changed, ``+`` new, ``-`` gone."""
    lines = []
    for heading, rows in groupby(_rows(now, was), key=lambda row: row[0]):
        lines.append(heading)
        block = [(mark, name, note) for _, mark, name, note in rows]
        width = min(max(len(name) for _, name, _ in block), 40)
        lines += [f"  {mark} {name:<{width}}  {note}".rstrip() for mark, name, note in block]
    return "\n".join(lines)


def _rows(now: Iterable[Input], was: Iterable[Input] | None) -> list[tuple[str, str, str, str]]:
    """(heading, mark, name, note) of every input of either list, in the order of a report."""
    here = {(i.kind, i.name): i for i in now}
    there = {} if was is None else {(i.kind, i.name): i for i in was}
    changed = set() if was is None else {(d.kind, d.name) for d in compare(here.values(), there.values())}
    order = list(_HEADINGS)
    rows = []
    for key in sorted(here.keys() | there.keys(), key=lambda k: (order.index(k[0]) if k[0] in order else 99, k)):
        new, old = here.get(key), there.get(key)
        item = new or old
        if item is None:
            continue
        mark, note = " ", _note(item)
        if key in changed and new is not None and old is not None:
            mark = "~"
            note = _change(new, old) or f"{note}  changed".strip()
        elif key in changed:
            mark, word = ("-", "gone") if new is None else ("+", "new")
            note = f"{note}  {word}".strip()
        name = "the block's code" if item.kind == "code" else one_line(item.name, _NOTE_WIDTH)
        rows.append((_HEADINGS.get(item.kind, item.kind), mark, name, note))
    return rows


def _note(item: Input) -> str:
    if item.kind in ("distribution", "python") and not _opaque(item.digest):
        return one_line(item.digest, _NOTE_WIDTH)
    return one_line(item.note, _NOTE_WIDTH)


# ---- the card ----

# Colours are mixed from the page's own text colour: the card sits well in light and dark themes.
_FAINT = "color-mix(in srgb, currentColor 62%, transparent)"
_EDGE = "color-mix(in srgb, currentColor 18%, transparent)"
_TINT = "color-mix(in srgb, currentColor 4%, transparent)"
_GREEN, _AMBER, _RED = "#2a8f53", "#b8730f", "#d04a4a"
_MARKED = f"color-mix(in srgb, {_AMBER} 70%, currentColor)"


def card_html(
    event: BlockFinished,
    *,
    inputs: Sequence[Input] = (),
    outputs: Sequence[Output] = (),
    was: Sequence[Input] | None = None,
) -> str:
    """The card that a finished block shows in a notebook: HTML without scripts or outside resources.

    Parameters
    ----------
    event
        What happened.
    inputs
        The inputs of the block's key.
    outputs
        The names saved or restored.
    was
        The inputs of the nearest entry, on a miss that was compared with one.
    """
    colour = _GREEN if event.outcome == "hit" else _AMBER
    badge = (
        f'<span style="background:{colour};color:#fff;border-radius:4px;padding:1px 8px;'
        f'font-weight:600;font-size:12px">{event.outcome}</span>'
    )
    facts = _hit_facts(event) if event.outcome == "hit" else _miss_facts(event)
    if event.problem:
        facts.pop()
    place = f"{_basename(event.file)}:{event.line}"
    parts = [
        f'<div style="display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 10px">'
        f'<strong style="font-size:14px">{_escape(event.name)}</strong>{badge}'
        f'<span style="color:{_FAINT}">{_escape(_SEPARATOR.join(facts))}</span>'
        f'<span style="color:{_FAINT};margin-left:auto">{_escape(place)}</span></div>'
    ]
    if event.problem:
        label = "Trouble" if event.saved or event.outcome == "hit" else "Not saved"
        parts.append(
            f'<div style="margin-top:6px;border-left:3px solid {_RED};padding-left:8px">'
            f"<strong>{label}:</strong> {_escape(event.problem)}</div>"
        )
    if outputs:
        title = "Restored" if event.outcome == "hit" else "Saved" if event.saved else "Bound"
        rows = [(o.name, described(o)) for o in outputs]
        parts.append(f'<div style="margin-top:8px;color:{_FAINT}">{title}</div>{_table(rows)}')
    if inputs:
        parts.append(_inputs_html(inputs, was))
    return (
        f'<div class="blockcache-card" style="font:13px/1.5 system-ui,sans-serif;border:1px solid {_EDGE};'
        f"border-left:4px solid {colour};border-radius:6px;background:{_TINT};padding:8px 12px;margin:4px 0;"
        f'max-width:860px;box-sizing:border-box;overflow-x:auto">{"".join(parts)}</div>'
    )


def described(output: Output) -> str:
    """An output's summary; with its type in front when the summary does not begin with it."""
    short = output.type.rpartition(".")[2]
    if not output.summary:
        return output.type
    return output.summary if output.summary.startswith(short) else f"{short} {output.summary}"


def _inputs_html(inputs: Sequence[Input], was: Sequence[Input] | None) -> str:
    rows = _rows(inputs, was)
    counted = f"{len(inputs)} input{'s' if len(inputs) != 1 else ''}"
    differing = sum(mark != " " for _, mark, _, _ in rows)
    summary = f"Depends on {counted}" + (f", {differing} different from the nearest entry" if differing else "")
    tables = []
    for heading, group in groupby(rows, key=lambda row: row[0]):
        marked = [(name, note, mark != " ") for _, mark, name, note in group]
        tables.append(f'<div style="margin-top:6px;color:{_FAINT}">{_escape(heading)}</div>{_table(marked)}')
    return (
        f'<details style="margin-top:8px"{" open" if differing else ""}>'
        f'<summary style="cursor:pointer;color:{_FAINT}">{summary}</summary>{"".join(tables)}</details>'
    )


def _table(rows: Iterable[tuple[str, str] | tuple[str, str, bool]]) -> str:
    """Name and note, side by side; rows marked True stand out."""
    cells = "padding:1px 14px 1px 0;border:0;text-align:left;vertical-align:top;background:none"
    body = []
    for name, note, *marked in rows:
        stand_out = f";font-weight:600;color:{_MARKED}" if marked and marked[0] else ""
        body.append(
            f'<tr style="background:none;color:inherit">'
            f'<td style="{cells};font-family:ui-monospace,monospace{stand_out}">{_escape(name)}</td>'
            f'<td style="{cells}{stand_out}">{_escape(note)}</td></tr>'
        )
    # Spelled out, because pages without a doctype do not let tables inherit.
    style = "border-collapse:collapse;margin:0;font:inherit;color:inherit;border:0"
    return f'<table style="{style}">{"".join(body)}</table>'


def _escape(text: str) -> str:
    from html import escape  # a table of 2,000 entities that a script never needs

    return escape(one_line(text))


# ---- reporters ----


def install() -> None:
    """Subscribe the three reporters to events; calling it again changes nothing."""
    for reporter in (print_line, log_record, append_json):
        subscribe(reporter)


def print_line(event: BlockFinished) -> None:
    """One line on standard error, unless the block is quiet."""
    stream = sys.stderr  # looked up now: notebooks and tests replace it
    if event.quiet or stream is None:
        return
    text = line(event)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if encoding.lower().replace("-", "") != "utf8":
        text = text.replace("·", "-").replace("µs", "us").encode(encoding, "replace").decode(encoding)
    try:
        stream.write(text + "\n")  # one write: lines of threads and processes stay whole
        stream.flush()
    except (OSError, ValueError):  # a closed pipe or stream; there is nowhere left to say so
        pass


def log_record(event: BlockFinished) -> None:
    """Records of the logger ``blockcache``: the line, trouble in full, and each difference.

    All are DEBUG: the line and the warning have said it, and a program that prints its own INFO shall not see it twice.
    """
    logging = sys.modules.get("logging")
    if logging is None:  # nobody can have asked for records, and the import would cost more than a hit
        return
    logger = logging.getLogger("blockcache")
    if not logger.handlers:  # as libraries do: nothing is printed that nobody asked for
        logger.addHandler(logging.NullHandler())
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s", line(event))
        if event.problem:
            logger.debug("%s: %s", event.name, event.problem)
        for difference in event.differences:
            logger.debug("%s: %s", event.name, cause(difference))


def append_json(event: BlockFinished) -> None:
    """One line of JSON at the end of the file that the setting ``log`` names."""
    if event.log_path is None:
        return
    import json

    record = {name: getattr(event, name) for name in event.__slots__ if name not in ("quiet", "log_path")}
    record["differences"] = [[d.kind, d.name, cause(d)] for d in event.differences]
    text = json.dumps(record) + "\n"
    try:
        # One write in append mode: lines of several processes do not mix.
        handle = os.open(event.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
    except OSError as error:
        import warnings

        warnings.warn(f"the log {event.log_path} cannot be written: {error}", CacheWarning, stacklevel=1)
