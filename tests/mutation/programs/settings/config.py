import os

WIDTH = 2
LEAF = 1
OPTIONS = {"base": 10, "decay": 0.5}
MODE = os.environ.get("WEIGH_MODE", "sum")


def weigh(tree, weights, level=0):
    if not isinstance(tree, list):
        return tree * weights.get("leaf", 1)
    parts = [weigh(part, weights, level + 1) for part in tree]
    value = sum(parts) if MODE == "sum" else max(parts)
    return value * OPTIONS["decay"] + OPTIONS["base"] * (level == 0)


def unrelated(x):
    total = x * 2
    return [total, 1]
