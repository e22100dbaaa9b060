"""Tables, trees and JSON on standard output: one house style for every command."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO

import click

from blockcache import report
from blockcache.catalogue import Unreadable

#: Columns of a table: heading, and whether it is a number (right-aligned).
Columns = Sequence[tuple[str, bool]]
#: Blanks between columns, and the width that a column of text needs to be of use.
_GAP = 2
_READABLE = 14
#: Colours of the lines of a tree, as rich calls them.
_COLOURS: Mapping[str, str] = {
    "heading": "bold",
    "changed": "yellow",
    "new": "green",
    "gone": "red",
    "file": "dim",
    "hunk": "cyan",
    "added": "green",
    "removed": "red",
}


def count(number: int, one: str, many: str) -> str:
    """``1 entry``, ``2 entries``."""
    return f"{number} {one if number == 1 else many}"


def print_json(value: Mapping[str, Any]) -> None:
    """For programs."""
    click.echo(json.dumps(value, indent=2))


def print_lines(text: str, *, err: bool = False) -> None:
    """Text as it is; on a terminal, lines are cut at its width, because wrapped rows of a tree cannot be read."""
    width = _terminal_width(sys.stderr if err else sys.stdout)
    for line in text.splitlines():
        click.echo(line if width is None else _cut(line, width), err=err)


def print_tree(lines: Iterable[tuple[report.Style, str]]) -> None:
    """The lines of a tree, coloured on a terminal."""
    width = _terminal_width(sys.stdout)
    if width is None:
        for _, text in lines:
            click.echo(text)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width, highlight=False, force_jupyter=False)
    for style, text in lines:
        console.print(Text(_cut(text, width), style=_COLOURS.get(style, "")), no_wrap=True)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."


def _terminal_width(stream: TextIO) -> int | None:
    """The terminal's width; None for pipes and files, where nothing is cut."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def say_unreadable(found: Sequence[Unreadable]) -> None:
    """Name on standard error what is in the store and cannot be read."""
    if found:
        lines = [f"{count(len(found), 'manifest', 'manifests')} cannot be read:"]
        lines += [f"  {one.path}: {report.one_line(one.problem)}" for one in found]
        click.echo(err=True)
        print_lines("\n".join(lines), err=True)


def print_table(
    columns: Columns,
    rows: Sequence[Sequence[str]],
    *,
    flexible: Sequence[str],
    optional: Sequence[str] = (),
) -> None:
    """Print a table; where the terminal is narrow, ``optional`` columns go first, then ``flexible`` ones are cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = _terminal_width(sys.stdout) or 10_000
    widths = _fit(columns, rows, width, flexible, optional)
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, _GAP, 0, 0))
    kept = [place for place, (heading, _) in enumerate(columns) if heading in widths]
    for heading, number in (columns[place] for place in kept):
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(Text(heading), justify=justify, no_wrap=True, overflow="ellipsis", width=widths[heading])
    for row in rows:
        table.add_row(*(Text(row[place], style="bold" if place == 0 else "") for place in kept))
    console = Console(width=width, highlight=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def _fit(
    columns: Columns, rows: Sequence[Sequence[str]], width: int, flexible: Sequence[str], optional: Sequence[str]
) -> dict[str, int]:
    """The width of each column that is kept."""
    from rich.cells import cell_len

    wanted = {
        heading: max(cell_len(text) for text in (heading, *(row[place] for row in rows)))
        for place, (heading, _) in enumerate(columns)
    }
    dropped = list(optional)
    while True:
        room = width - sum(w for h, w in wanted.items() if h not in flexible) - _GAP * (len(wanted) - 1)
        bending = [h for h in flexible if h in wanted]
        if not dropped or room >= min(sum(wanted[h] for h in bending), _READABLE * len(bending)):
            break
        del wanted[dropped.pop(0)]
    for left, heading in zip(range(len(bending), 0, -1), sorted(bending, key=wanted.__getitem__), strict=True):
        # The narrow ones first: what they do not need goes to the wide ones.
        wanted[heading] = max(min(wanted[heading], room // left), 1)
        room -= wanted[heading]
    return wanted
