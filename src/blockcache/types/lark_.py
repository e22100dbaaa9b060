"""lark: a parser counts by its grammar and options; its tables follow from them, in another order in every process."""

from __future__ import annotations

from typing import Any

from blockcache.inplace import Layer


def _parser(value: Any) -> object:
    terminals = sorted((t.name, repr(t.pattern), t.priority) for t in value.terminals)
    return getattr(value, "source_grammar", None), terminals, sorted(map(repr, value.rules)), value.options.options


FINGERPRINT = {"Lark": _parser}
#: Parsing changes nothing but what the program gave it: a transformer, what stands behind its lexer.
IN_PLACE = {
    "Lark": Layer(
        "options", lambda value: value.options, lambda value: [(("attribute", "options"), value.options)], watched=False
    )
}
DESCRIBE = {"Lark": lambda value: f"Lark of {len(value.rules):,} rules"}
