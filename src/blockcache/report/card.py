"""The card that a finished block shows in a notebook: HTML without scripts or outside resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from blockcache.events import BlockFinished
from blockcache.model import Output
from blockcache.report.trees import Facts, Row, diff_style, rows
from blockcache.report.words import SEPARATOR, basename, one_line, told

# Colours are mixed from the page's own text colour: the card sits well in light and dark themes.
_FAINT = "color-mix(in srgb, currentColor 62%, transparent)"
_EDGE = "color-mix(in srgb, currentColor 18%, transparent)"
_TINT = "color-mix(in srgb, currentColor 4%, transparent)"
_GREEN, _AMBER, _RED = "#2a8f53", "#b8730f", "#d04a4a"
_MARKED = f"color-mix(in srgb, {_AMBER} 70%, currentColor)"
_COLOURS = {"hit": _GREEN, "verified": _GREEN, "miss": _AMBER, "differs": _RED}
_TITLES = {"hit": "Restored", "verified": "Compared", "differs": "Compared"}
#: More distributions that one other needs are told in one row.
_MOST_NEEDED = 3
_DIFF_COLOURS = {
    "": "inherit",
    "added": f"color-mix(in srgb, {_GREEN} 80%, currentColor)",
    "removed": f"color-mix(in srgb, {_RED} 80%, currentColor)",
}


def card_html(
    event: BlockFinished, *, now: Facts | None = None, outputs: Sequence[Output] = (), was: Facts | None = None
) -> str:
    """The card of a finished block.

    Parameters
    ----------
    event
        What happened.
    now
        What the block's result depends on.
    outputs
        The names saved or restored.
    was
        The same of the nearest entry, on a miss that was compared with one.
    """
    colour = _COLOURS[event.outcome]
    badge = (
        f'<span style="background:{colour};color:#fff;border-radius:4px;padding:1px 8px;'
        f'font-weight:600;font-size:12px">{event.outcome}</span>'
    )
    # Trouble and what differs have lines of their own.
    apart = event.differing or ((event.problem,) if event.problem else ())
    facts = told(event)
    if apart:
        facts.pop(0 if event.differing else -1)
    place = f"{basename(event.file)}:{event.line}"
    parts = [
        f'<div style="display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 10px">'
        f'<strong style="font-size:14px">{_escape(event.name)}</strong>{badge}'
        f'<span style="color:{_FAINT}">{_escape(SEPARATOR.join(facts))}</span>'
        f'<span style="color:{_FAINT};margin-left:auto">{_escape(place)}</span></div>'
    ]
    for clause in apart:
        label = "Differs" if event.differing else "Trouble" if event.saved or event.outcome != "miss" else "Not saved"
        parts.append(
            f'<div style="margin-top:6px;border-left:3px solid {_RED};padding-left:8px">'
            f"<strong>{label}:</strong> {_escape(clause)}</div>"
        )
    if outputs:
        title = _TITLES.get(event.outcome) or ("Saved" if event.saved else "Bound")
        listed = [Row("", "", o.name, described(o)) for o in outputs]
        parts.append(f'<div style="margin-top:8px;color:{_FAINT}">{title}</div>{_table(listed)}')
    if now is not None and now.inputs:
        parts.append(_inputs_html(now, was))
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


def _inputs_html(now: Facts, was: Facts | None) -> str:
    listed = list(rows(now, was))
    number = len(now.inputs) + len(now.discovered)
    differing = sum(bool(row.mark) for row in listed if row.heading != "not tracked")
    summary = f"Depends on {number} input{'s' if number != 1 else ''}"
    summary += f", {differing} different from the nearest entry" if differing else ""
    tables = []
    for heading, group in groupby(_folded(listed), key=lambda row: row.heading):
        tables.append(f'<div style="margin-top:6px;color:{_FAINT}">{_escape(heading)}</div>{_table(group)}')
    return (
        f'<details style="margin-top:8px"{" open" if differing else ""}>'
        f'<summary style="cursor:pointer;color:{_FAINT}">{summary}</summary>{"".join(tables)}</details>'
    )


def _folded(listed: Iterable[Row]) -> Iterator[Row]:
    """The rows; distributions that one other needs, and that are as they were, in one row behind the others."""
    for heading, group in groupby(listed, key=lambda row: row.heading):
        needed: dict[str, list[Row]] = {}
        for row in group:
            _, _, by = row.note.partition("(needed by ")
            if by and not row.mark:
                needed.setdefault(by.rstrip(")"), []).append(row)
            else:
                yield row
        for by, some in needed.items():
            if len(some) > _MOST_NEEDED:
                yield Row(heading, "", f"{len(some)} others", f"needed by {by}: {some[0].name} to {some[-1].name}")
            else:
                yield from some


def _table(listed: Iterable[Row]) -> str:
    """Name and note, side by side; what differs stands out, with the diff of its code below it."""
    cells = "padding:1px 14px 1px 0;border:0;text-align:left;vertical-align:top;background:none"
    body = []
    for row in listed:
        stand_out = f";font-weight:600;color:{_MARKED}" if row.mark else ""
        body.append(
            f'<tr style="background:none;color:inherit">'
            f'<td style="{cells};font-family:ui-monospace,monospace{stand_out}">{_escape(row.name)}</td>'
            f'<td style="{cells}{stand_out}">{_escape(row.note)}</td></tr>'
        )
        if row.diff:
            body.append(
                f'<tr style="background:none;color:inherit"><td colspan="2" style="{cells}">{_diff(row.diff)}</td></tr>'
            )
    # Spelled out, because pages without a doctype do not let tables inherit.
    style = "border-collapse:collapse;margin:0;font:inherit;color:inherit;border:0"
    return f'<table style="{style}">{"".join(body)}</table>'


def _diff(lines: Sequence[str]) -> str:
    shown = []
    for line in lines:
        colour = _DIFF_COLOURS.get(diff_style(line), _FAINT)
        shown.append(f'<span style="color:{colour}">{_escaped(line)}</span>')
    style = (
        f"margin:2px 0 6px;padding:4px 8px;border-left:2px solid {_EDGE};background:{_TINT};"
        "font:12px/1.45 ui-monospace,monospace;white-space:pre;overflow-x:auto"
    )
    return f'<pre style="{style}">{"<br>".join(shown)}</pre>'


def _escape(text: str) -> str:
    return _escaped(one_line(text))


def _escaped(text: str) -> str:
    from html import escape  # a table of 2,000 entities that a script never needs

    return escape(text)
