"""Plain facts, causes and the one line, in words; pure functions of events and model nouns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from blockcache.events import BlockFinished
from blockcache.model import Difference, Input, Miss

SEPARATOR = " · "
NOTE_WIDTH = 60
#: What files say of a path where nothing is.
_ABSENT = "absent"

#: Kinds that are called otherwise in a sentence.
_NOUNS = {"env": "environment variable", "extra": "declared value"}


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
    return first_of([cause(d) for d in differences[:1]], len(differences))


def first_of(clauses: Sequence[str], count: int | None = None) -> str:
    """The first clause, and how many more there are; empty without any."""
    number = len(clauses) if count is None else count
    if not clauses:
        return ""
    return f"{clauses[0]} (+{number - 1} more)" if number > 1 else clauses[0]


def cause(difference: Difference) -> str:
    """One difference in words: ``function clean (pipeline.py:12) changed``."""
    now, was = difference.now, difference.was
    there = now or was
    if there is None:
        return ""
    if there.kind == "code":
        return "the block's code changed"
    if was is None:
        return f"new input: {subject(there)}"
    if now is None:
        return f"no longer used: {subject(there)}"
    name, changed = one_line(now.name, NOTE_WIDTH), change(now, was)
    match now.kind:
        case "file" if now.digest == _ABSENT:
            return f"file {name} is gone"
        case "file" if was.digest == _ABSENT:
            return f"file {name} is there now"
        case "file" | "env" if changed:
            return f"{_NOUNS.get(now.kind, now.kind)} {name} changed ({changed})"
        case "state":
            return f"state of {name} before the block changed" + (f": {changed}" if changed else "")
        case "value" | "extra" if changed:
            return f"{one_line(f'{_NOUNS.get(now.kind, now.kind)} {now.name}', NOTE_WIDTH)} changed: {changed}"
        case "distribution" | "python" | "version" if changed:
            return f"{name} {changed}"
        case _:
            return f"{subject(now)} changed"


def subject(item: Input) -> str:
    """An input as it stands in a sentence."""
    name = one_line(item.name, NOTE_WIDTH)
    note = one_line(item.note, NOTE_WIDTH)
    match item.kind:
        case "definition":
            what, _, place = item.note.partition(" ")
            return f"{what or 'definition'} {_short(name, place)}" + (f" ({one_line(place)})" if place else "")
        case "distribution" | "python":
            return f"{name} {version(item)}".rstrip()
        case "version":
            return f"version {one_line(item.digest, NOTE_WIDTH)}"
        case "path":
            place = note.rpartition("made at ")[2]
            return f"statements that made {name}" + (f" ({place})" if place else "")
        case "state":
            return f"state of {name}"
        case _:
            return f"{_NOUNS.get(item.kind, item.kind)} {name}" + (f" ({note})" if note else "")


def version(item: Input) -> str:
    """The version of a distribution or of Python, without what stands for its files; empty where it cannot be told."""
    # The note has all of it, where the digest is only the part that counts.
    text = item.note.partition(",")[0] if item.kind == "distribution" and item.note else item.digest
    return "" if _is_opaque(text) else one_line(text.partition("#")[0], NOTE_WIDTH)


def _short(label: str, place: str) -> str:
    """A definition's label without the module that its place names already: ``pipeline.clean`` is ``clean``."""
    stem = basename(place.partition(":")[0]).removesuffix(".py")
    before, found, after = label.rpartition(f"{stem}.")
    return after if stem and found and (not before or before.endswith(".")) else label


def basename(path: str) -> str:
    """The last part of a path of any system."""
    return path.replace("\\", "/").rpartition("/")[2]


def change(now: Input, was: Input) -> str:
    """``was -> now``, or empty when the two cannot be told apart in words."""
    match now.kind:
        case "distribution" | "python":
            before, after = version(was), version(now)
        case "version":
            before, after = was.digest, now.digest
        case "value" | "file" | "env" | "state" | "extra":
            before, after = was.note, now.note
        case _:
            return ""
    told = bool(before and after) and before != after
    return f"{one_line(before, NOTE_WIDTH)} -> {one_line(after, NOTE_WIDTH)}" if told else ""


def _is_opaque(digest: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", digest) is not None


# ---- the line ----


def line(event: BlockFinished) -> str:
    """The one line that a block prints."""
    if event.calls is not None:
        hits, saved_s, runs, took_s = event.calls
        counted = (("hit", hits, "saved", saved_s), ("run", runs, "took", took_s))
        facts = [
            f"{n:,} {what}{'s' * (n > 1)}" + (f" {did} {duration(time_s)}" if time_s else "")
            for what, n, did, time_s in counted
            if n
        ]
        return one_line(event.name, NOTE_WIDTH) + f"  {hits + runs:,} calls  " + SEPARATOR.join(facts)
    return one_line(event.name, NOTE_WIDTH) + f"  {event.outcome:<4}  " + SEPARATOR.join(told(event))


def told(event: BlockFinished) -> list[str]:
    """What a line says after the outcome, each fact on its own; trouble comes last."""
    match event.outcome:
        case "hit":
            return _hit_facts(event)
        case "miss":
            return _miss_facts(event)
        case _:
            return _compared_facts(event)


def _hit_facts(event: BlockFinished) -> list[str]:
    facts = [] if event.saved_s is None else [f"saved {duration(event.saved_s)}"]
    spent = duration(event.took_s if event.load_s is None else event.load_s)
    facts.append(f"in {spent}" if event.size_bytes is None else f"{size(event.size_bytes)} in {spent}")
    if event.made_at:
        facts.append(f"made {age(event.made_at)}")
    if event.lacking:
        facts.append(f"not restored: {one_line(', '.join(event.lacking), NOTE_WIDTH)}")
    if event.waited:
        facts.append(event.waited)
    return facts + _notes(event) + _trouble(event, "trouble")


def _miss_facts(event: BlockFinished) -> list[str]:
    facts = [one_line(event.reason)] if event.reason else []
    if event.waited:
        facts.append(event.waited)
    facts.append(f"took {duration(event.took_s)}")
    if event.saved:
        saved = "saved" if event.size_bytes is None else f"saved {size(event.size_bytes)}"
        # Saving is part of what the block took: name its share where somebody may wonder.
        if event.save_s is not None and event.save_s > max(0.1, 0.1 * event.took_s):
            saved += f" in {duration(event.save_s)}"
        facts.append(saved)
    if event.untracked:
        facts.append(f"not tracked: {one_line(', '.join(event.untracked), 2 * NOTE_WIDTH)}")
    if not event.saved and not event.problem:
        facts.append("not saved")
    return facts + _notes(event) + _trouble(event, "trouble" if event.saved else "not saved")


def _compared_facts(event: BlockFinished) -> list[str]:
    what = one_line(first_of(event.differing), 3 * NOTE_WIDTH) or "the same as saved"
    facts = [what, f"took {duration(event.took_s)}"]
    if event.made_at:
        facts.append(f"entry made {age(event.made_at)}")
    return facts + ([] if event.differing else _trouble(event, "trouble"))


def _notes(event: BlockFinished) -> list[str]:
    return [one_line(note, 2 * NOTE_WIDTH) for note in event.notes]


def _trouble(event: BlockFinished, word: str) -> list[str]:
    return [f"{word}: {one_line(event.problem, 2 * NOTE_WIDTH)}"] if event.problem else []
