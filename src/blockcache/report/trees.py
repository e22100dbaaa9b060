"""What a result depends on, as a tree of text: inputs by kind, what differs from another run, diffs of code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from blockcache.model import Hit, Input, Lookup, Manifest, Miss, compare
from blockcache.report.words import NOTE_WIDTH, age, change, duration, one_line, version, why

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
_DIFF_INDENT = " " * 8
_LONGEST_DIFF = 60

Mark = Literal["", "changed", "new", "gone"]
_SIGNS = {"": " ", "changed": "~", "new": "+", "gone": "-"}
#: What a line of a tree is, for fronts that colour it.
Style = Literal["", "heading", "changed", "new", "gone", "file", "hunk", "added", "removed"]
_DIFF_STYLES: Mapping[str, Style] = {"---": "file", "+++": "file", "@@ ": "hunk"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one run of a block.

    Attributes
    ----------
    inputs
        The key.
    discovered
        Inputs that were seen while the body ran.
    untracked
        What the body did that cannot be checked again, in clauses.
    texts
        Source texts, under ``"<kind> <name>"``.
    """

    inputs: Sequence[Input] = ()
    discovered: Sequence[Input] = ()
    untracked: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest, texts: Mapping[str, str] | None = None) -> Facts:
        """Those of an entry."""
        return cls(manifest.key.inputs, manifest.discovered, manifest.untracked, texts or {})


@dataclass(frozen=True, slots=True)
class Row:
    """One input in a tree: its place, how it differs, and the diff of its text where there is one."""

    heading: str
    mark: Mark
    name: str
    note: str
    diff: tuple[str, ...] = ()


def explain(
    name: str,
    now: Iterable[Input],
    lookup: Lookup | None,
    *,
    discovered: Sequence[Input] = (),
    untracked: Sequence[str] = (),
    texts: Mapping[str, str] | None = None,
    was_texts: Mapping[str, str] | None = None,
) -> str:
    """What a block's result depends on, and what is different from the nearest entry.

    Parameters
    ----------
    name
        The block's name.
    now
        The inputs of its key.
    lookup
        What the lookup found; None when there was none.
    discovered, untracked
        What was seen while the body ran; on a hit, what the entry says of that.
    texts, was_texts
        Source texts behind the inputs now and behind those of the nearest entry, for diffs.
    """
    head = one_line(name)
    was: Facts | None = None
    if isinstance(lookup, Hit):
        origin = lookup.manifest.provenance
        head += f": hit, made {age(origin.made_at)} in {duration(origin.duration_s)}"
    elif isinstance(lookup, Miss):
        head += f": miss, {one_line(why(lookup))}" if why(lookup) else ": miss"
        if lookup.nearest is not None:
            was = Facts.of(lookup.nearest, was_texts)
            head += f"\ncompared with the entry made {age(lookup.nearest.provenance.made_at)}"
            if not discovered and lookup.same_key:
                discovered = _as_they_are(lookup)
    facts = Facts(tuple(now), discovered, untracked, texts or {})
    return f"{head}\n\n{tree(facts, was)}"


def _as_they_are(miss: Miss) -> tuple[Input, ...]:
    """The discovered inputs of the nearest entry as the lookup found them."""
    assert miss.nearest is not None
    now = {(d.kind, d.name): d.now for d in miss.differences}
    found = (now.get((i.kind, i.name), i) for i in miss.nearest.discovered)
    return tuple(i for i in found if i is not None)


def tree(now: Facts, was: Facts | None = None) -> str:
    """What a run depends on, one input a line; with ``was``, ``~`` marks what changed, ``+`` new, ``-`` gone."""
    return "\n".join(text for _, text in tree_lines(now, was))


def tree_lines(now: Facts, was: Facts | None = None) -> Iterator[tuple[Style, str]]:
    """The lines of a tree, with what each is."""
    for heading, group in groupby(rows(now, was), key=lambda row: row.heading):
        yield "heading", heading
        listed = list(group)
        width = min(max(len(row.name) for row in listed), 40)
        for row in listed:
            yield row.mark, f"  {_SIGNS[row.mark]} {row.name:<{width}}  {row.note}".rstrip()
            for line in row.diff:
                yield diff_style(line), _DIFF_INDENT + line


def diff_style(line: str) -> Style:
    """What a line of a unified diff is."""
    found = _DIFF_STYLES.get(line[:3])
    return found or ("added" if line.startswith("+") else "removed" if line.startswith("-") else "")


def rows(now: Facts, was: Facts | None = None) -> Iterator[Row]:
    """Every input of either run, in the order of a report."""
    yield from _rows(now, was, now.inputs, None if was is None else was.inputs, "")
    yield from _rows(now, was, now.discovered, None if was is None else was.discovered, ", found while the body ran")
    known = now.untracked if was is None else was.untracked
    for clause in now.untracked:
        yield Row("not tracked", "" if clause in known else "new", one_line(clause, 2 * NOTE_WIDTH), "")


def _rows(
    now: Facts, was: Facts | None, new_inputs: Sequence[Input], old_inputs: Sequence[Input] | None, suffix: str
) -> Iterator[Row]:
    here = {(i.kind, i.name): i for i in new_inputs}
    there = {} if old_inputs is None else {(i.kind, i.name): i for i in old_inputs}
    differing = set() if old_inputs is None else {(d.kind, d.name) for d in compare(here.values(), there.values())}
    order = list(_HEADINGS)
    for key in sorted(here.keys() | there.keys(), key=lambda k: (order.index(k[0]) if k[0] in order else 99, k)):
        new, old = here.get(key), there.get(key)
        item = new or old
        if item is None or (key not in differing and new is None):
            continue
        mark: Mark = ""
        note = _note(item)
        lines: tuple[str, ...] = ()
        if key in differing and new is not None and old is not None:
            mark = "changed"
            note = change(new, old) or f"{note}  changed".strip()
            if was is not None:
                lines, same = _difference(new, old, now.texts, was.texts)
                note += ": the same text; its defaults, or what its names stand for, differ" if same else ""
        elif key in differing:
            mark = "gone" if new is None else "new"
            note = f"{note}  {mark}".strip()
        name = "the block's code" if item.kind == "code" else one_line(item.name, NOTE_WIDTH)
        yield Row(_HEADINGS.get(item.kind, item.kind) + suffix, mark, name, note, lines)


def _note(item: Input) -> str:
    if item.kind == "version":
        return one_line(item.digest, NOTE_WIDTH)
    if item.kind not in ("distribution", "python"):
        # The label of a module is one for each use.
        return one_line("; ".join(dict.fromkeys(item.note.split("; "))), NOTE_WIDTH)
    more = item.note.partition(", ")[2]
    return " ".join(filter(None, (version(item), f"({one_line(more, NOTE_WIDTH)})" if more else "")))


def _difference(
    new: Input, old: Input, texts: Mapping[str, str], was_texts: Mapping[str, str]
) -> tuple[tuple[str, ...], bool]:
    """The diff of an input's text, and whether both texts are there and the same."""
    key = f"{new.kind} {new.name}"
    if key not in texts or key not in was_texts:
        return (), False
    places = ("as saved", "now") if new.kind == "code" else (_place(old), _place(new))
    return diff(was_texts[key], texts[key], *places), was_texts[key] == texts[key]


def _place(item: Input) -> str:
    """``file:line`` of a definition; the note of an execution path says as much."""
    return item.note.partition(" ")[2] if item.kind == "definition" else item.note


def diff(was: str, now: str, was_place: str = "", now_place: str = "") -> tuple[str, ...]:
    """Lines of a unified diff of two texts with three lines of context; none where they are the same.

    Where the places are ``file:line``, lines are counted as in the files; they are named when they differ.
    """
    import difflib

    lines = list(difflib.unified_diff(was.splitlines(), now.splitlines(), was_place, now_place, lineterm=""))
    if was_place == now_place:
        del lines[:2]
    first = _line_of(was_place), _line_of(now_place)
    shown = tuple(_plain(_counted(line, *first)) for line in lines[:_LONGEST_DIFF])
    return (*shown, f"... {len(lines) - _LONGEST_DIFF} more lines") if len(lines) > _LONGEST_DIFF else shown


def _line_of(place: str) -> int:
    number = place.rpartition(":")[2]
    return int(number) if number.isdecimal() else 1


def _counted(line: str, was_first: int, now_first: int) -> str:
    """A hunk's heading with line numbers of the files; any other line as it is."""
    hunk = re.fullmatch(r"@@ -(\d+)(.*) \+(\d+)(.*) @@", line)
    if hunk is None:
        return line
    return f"@@ -{int(hunk[1]) + was_first - 1}{hunk[2]} +{int(hunk[3]) + now_first - 1}{hunk[4]} @@"


def _plain(line: str) -> str:
    """A line of code without what could move the cursor of a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line.expandtabs(4).rstrip())
