"""lark: a parser counts by its grammar and options; its tables follow from them, in another order in every process.

Rules and terminals count in their order: the way to one of them is its place.
"""

from __future__ import annotations

import re
from typing import Any

from blockcache.inplace import Layer

#: Flags around a part of a terminal, which lark keeps in a set: `(?i:(?s:...))`.
_FLAGS = re.compile(r"(?:\(\?[a-z]:){2,}")


def _parser(value: Any) -> object:
    terminals = [(t.name, _FLAGS.sub(_sorted, repr(t.pattern)), t.priority) for t in value.terminals]
    return getattr(value, "source_grammar", None), terminals, list(map(repr, value.rules)), value.options.options


def _sorted(flags: re.Match[str]) -> str:
    return "(?" + "(?".join(sorted(flags[0].split("(?")[1:]))


FINGERPRINT = {"Lark": _parser}
#: What others take from a parser, such as lark's own reconstructor; its tables are nobody's.
_TAKEN = ("rules", "terminals", "lexer_conf")
#: Parsing changes nothing but what the program gave it: a transformer, what stands behind its lexer. What is compiled
#: or looked up at first use is for speed.
IN_PLACE = {
    "Lark": Layer(
        "options",
        lambda value: value.options,
        lambda value: [(("attribute", "options"), value.options)],
        watched=False,
        still=lambda value: [(("attribute", name), vars(value)[name]) for name in _TAKEN if name in vars(value)],
    )
}
DESCRIBE = {"Lark": lambda value: f"Lark of {len(value.rules):,} rules"}
