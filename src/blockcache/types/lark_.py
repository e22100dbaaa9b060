"""lark: a parser counts by its grammar and options; its tables follow from them, in another order in every process."""

from __future__ import annotations

from typing import Any

from blockcache.inplace import Layer


def _parser(value: Any) -> object:
    terminals = sorted((t.name, repr(t.pattern), t.priority) for t in value.terminals)
    return getattr(value, "source_grammar", None), terminals, sorted(map(repr, value.rules)), value.options.options


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
