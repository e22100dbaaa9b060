"""The program that the tests of this folder run in every host: each shape of block that notebooks have."""

from __future__ import annotations

HELPER = """\
import numpy as np

SCALE = 2.0


class Model:
    def __init__(self, slope):
        self.slope = slope

    def apply(self, values):
        return values * self.slope * SCALE


def wave(n):
    return np.sin(np.arange(n))
"""

CELLS = [
    """\
import json
import os
from pathlib import Path

import helper
import numpy as np
from blockcache import cached_block
from helper import Model, wave""",
    """\
size = 5000


def shift(values, by=1.0):
    return values + by""",
    # a function of the notebook and one of a module; two names that share memory; an expression at the end
    """\
with cached_block(name="signal") as signal_block:
    signal = shift(wave(size))
    view = signal[:10]

signal.mean()""",
    # reads the output of another; an object of a local class
    """\
with cached_block(name="fit") as fit_block:
    model = Model(3.0)
    fitted = model.apply(signal)""",
    # in a function
    """\
def summary(values, factor=2):
    with cached_block(name="summary") as summary_block:
        doubled = values * factor
        result = {"mean": float(doubled.mean()), "top": float(doubled.max())}
    return result, summary_block.hit


summed, summed_hit = summary(fitted)""",
    # one in the other
    """\
with cached_block(name="outer") as outer_block:
    with cached_block(name="inner"):
        base = wave(200) + helper.SCALE
    outer_total = float((base**2).sum())""",
    # two in a cell, which ends with an expression; a comprehension, a lambda made in the block
    """\
with cached_block(name="first") as first_block:
    first = [number * number for number in range(50)]

with cached_block(name="second") as second_block:
    second = sum(first) + len(view)
    tripled = lambda value: value * 3

tripled(second)""",
    """\
blocks = [signal_block, fit_block, outer_block, first_block, second_block]
record = {
    "hits": [*(block.hit for block in blocks), summed_hit],
    "values": [float(signal.sum()), float(fitted.sum()), summed, outer_total, second, tripled(second)],
    "shares memory": bool(np.shares_memory(signal, view)),
    "is the live class": type(model) is Model,
}
Path(os.environ["RESULTS"]).write_text(json.dumps(record))""",
]

#: Blocks in the order in which a first run finishes them; when `outer` hits, `inner` is not met.
NAMES = ["signal", "fit", "summary", "inner", "outer", "first", "second"]
