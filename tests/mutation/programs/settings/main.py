import json
import os

import config

from blockcache import cached_block

VERBOSE = False


def unrelated(x):
    total = x + 1
    return [total, 2]


def depth():
    return int(os.environ.get("TREE_DEPTH", "2"))


with cached_block(name="settings"):
    with open("settings.json") as file:
        settings = json.load(file)
    settings["depth"] = depth()
    settings["region"] = os.environ["REGION"].lower()

print("after cell 0")
with cached_block(name="tree"):

    def grow(level, width=config.WIDTH):
        if level == 0:
            return [config.LEAF]
        return [grow(level - 1, width) for _ in range(width)]

    tree = grow(settings["depth"])

with cached_block(name="weights"):
    weights = config.weigh(tree, settings["weights"])
    order = list(settings["weights"])

print(weights, order, settings["region"])
