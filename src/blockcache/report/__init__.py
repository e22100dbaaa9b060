"""Words and pictures for people: the one line, the reason, the tree with its diffs, the notebook card.

Everything here is a pure function of events and model nouns, except the three
reporters, which :func:`install` subscribes to events.
"""

from blockcache.report.card import card_html, described
from blockcache.report.reporters import append_json, install, log_record, print_line
from blockcache.report.trees import Facts, Style, diff, diff_style, explain, tree, tree_lines
from blockcache.report.words import age, cause, duration, line, one_line, reason, size, subject, why

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
    "install",
    "line",
    "log_record",
    "one_line",
    "print_line",
    "reason",
    "size",
    "subject",
    "tree",
    "tree_lines",
    "why",
]
