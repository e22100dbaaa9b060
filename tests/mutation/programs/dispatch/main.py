import operator
from functools import singledispatch

import handlers

from blockcache import cached_block

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def unrelated(x):
    total = x + 1
    return [total, 2]


@singledispatch
def show(value):
    return f"<{value}>"


@show.register
def _(value: int):
    return f"int {value + 1}"


@show.register(list)
def _(value):
    return "[" + ",".join(show(v) for v in value) + "]"


def evaluate(node):
    if isinstance(node, tuple):
        op, left, right = node
        return OPERATORS[op](evaluate(left), evaluate(right))
    return node


with cached_block(name="evaluate"):
    value = evaluate(("+", ("*", 2, 3), ("-", 7, 4)))
    shown = show([value, "x", 3])

with cached_block(name="handled"):
    handled = [handlers.handle(kind, 5) for kind in ("up", "down", "none")]
    method = handlers.Tool(2).run(6)

print(value, shown, handled, method)
