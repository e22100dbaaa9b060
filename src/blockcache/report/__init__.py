"""Words and pictures for people: the one line, the reason, the tree with its diffs, the notebook card.

Everything here is a pure function of events and model nouns, except the three
reporters, which :func:`install` subscribes to events.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from blockcache.report.reporters import append_json, install, log_record, print_line, print_text
from blockcache.report.words import age, cause, duration, first_of, line, one_line, reason, size, subject, why

if TYPE_CHECKING:
    from blockcache.report.card import card_html, described
    from blockcache.report.trees import Facts, Style, diff, diff_style, explain, tree, tree_lines

__all__ = [
    "Facts",
    "Style",
    "age",
    "append_json",
    "card_html",
    "cause",
    "described",
    "diff",
    "diff_style",
    "duration",
    "explain",
    "first_of",
    "install",
    "line",
    "log_record",
    "one_line",
    "print_line",
    "print_text",
    "reason",
    "size",
    "subject",
    "tree",
    "tree_lines",
    "why",
]

# A hit prints a line; only who asks for a tree or a card waits for them to be imported.
_LATER = {
    **dict.fromkeys(("card_html", "described"), "card"),
    **dict.fromkeys(("Facts", "Style", "diff", "diff_style", "explain", "tree", "tree_lines"), "trees"),
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    return value
