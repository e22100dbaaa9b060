"""marimo: what a cell puts into its output with ``mo.output``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blockcache.hosts import Describe

#: (OUTPUT, name of the function, its index or None, HTML text, the value where HTML does not do)
OUTPUT = "output"
#: What HTML has that is nothing without the kernel that made it.
_LIVE = ("<marimo-ui-element", "./@file/")


class _Shown:
    """What is in the cell's output, until the body is over."""

    def __init__(self, html: Any, value: object) -> None:
        self.html, self.value = html, value
        self.size_bytes = len(getattr(html, "text", ""))


def runs() -> bool:
    """Whether a cell of a notebook runs."""
    return _items() is not None


def _items() -> list[Any] | None:
    """The parts of the running cell's output; marimo's words for them are private, so they may go away."""
    try:
        from marimo._runtime.context import get_context

        items: list[Any] = get_context().execution_context.output._items
    except Exception:
        return None
    return items


def shown_by() -> list[tuple[Any, str, Describe]]:
    """The functions of ``mo.output``."""
    from marimo._runtime import output

    return [
        (output, "append", _appended),
        (output, "replace", _replaced),
        (output, "replace_at_index", _replaced_at),
        (output, "clear", _cleared),
    ]


def _appended(value: object) -> tuple[Any, ...]:
    return _event("append", None, value, -1)


def _replaced(value: object) -> tuple[Any, ...]:
    return _event("replace", None, value, -1) if value is not None else _cleared()


def _replaced_at(value: object, idx: int) -> tuple[Any, ...]:
    return _event("replace_at_index", idx, value, idx)


def _cleared() -> tuple[Any, ...]:
    return OUTPUT, "clear", None, "", None


def _event(function: str, index: int | None, value: object, at: int) -> tuple[Any, ...]:
    return OUTPUT, function, index, _Shown((_items() or [None])[at], value), None


def settled(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What is there in the end: what was replaced is not."""
    fresh = max(
        (n for n, event in enumerate(events) if event[0] == OUTPUT and event[1] in ("replace", "clear")), default=0
    )
    return [event for n, event in enumerate(events) if event[0] != OUTPUT or n >= fresh]


def finished(events: list[tuple[Any, ...]], problem: Callable[[str], object]) -> list[tuple[Any, ...]]:
    """As HTML; a value that needs its kernel as itself."""
    return [
        (*event[:3], *_kept(event[3], problem)) if event[0] == OUTPUT and isinstance(event[3], _Shown) else event
        for event in events
    ]


def _kept(shown: _Shown, problem: Callable[[str], object]) -> tuple[str, object]:
    from marimo import Html

    text = str(getattr(shown.html, "text", ""))
    if not any(mark in text for mark in _LIVE):
        return text, None
    if isinstance(shown.value, Html):
        problem(f"it shows a {type(shown.value).__name__}, which lives in this session only")
        return "", None
    return "", shown.value


def show_again(event: tuple[Any, ...]) -> bool:
    """Put it into the running cell's output, if it is one of these."""
    if event[0] != OUTPUT:
        return False
    from marimo import Html
    from marimo._runtime import output

    _, function, index, text, value = event
    arguments = [] if function == "clear" else [Html(text) if value is None else value]
    getattr(output, function)(*arguments, *([] if index is None else [index]))
    return True
