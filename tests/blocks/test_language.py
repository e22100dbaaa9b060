"""The language, statement by statement: a hit cannot be told from a run. ``threeways.py`` tells the notation."""

from __future__ import annotations

import pytest
from threeways import check, parameters

#: What fails now: name -> what is wrong. Strict: a program that starts to pass must leave this table.
FAILING: dict[str, str] = {}

PROGRAMS = r"""
=== walrus
with cached_block("w"):
    if (n := 3) > 2:
        r = [m := i for i in range(n)]
print(n, m, r)
=== one object under two names and in two containers
with cached_block("w"):
    a = [1]
    b = a
    c = {"a": a, "t": (a, 2)}
    s = {1.5, 2, "x"}
a.append(2)
print(b, c)
=== a view and its base
# needs: numpy
import numpy as np
with cached_block("w"):
    a = np.arange(10.0)
    v = a[2:5]
v[0] = 100
print(a)
=== draws after the block
import random
random.seed(7)
with cached_block("w"):
    x = random.random()
print(random.random())
=== a figure
# needs: matplotlib
# warm: any
import matplotlib.pyplot as plt
x = [1, 2]
fig, ax = plt.subplots()
with cached_block("w"):
    y = [v * 2 for v in x]
ax.plot(x, y)
=== a frame
# needs: pandas
import pandas as pd
with cached_block("w"):
    df = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])})
    s = df["a"]
print(df)
=== a helper of another file
import h
with cached_block("w"):
    r = h.f([1])
    c = h.C()
print(r)
--- h.py
K = [1]
class C:
    x = 1
def f(v): return v + K
=== an error after the block
with cached_block("w"):
    r = 1
raise ValueError(r)
"""


@pytest.mark.parametrize("text", list(parameters(PROGRAMS, FAILING)))
def test_a_hit_cannot_be_told_from_a_run(project, text):
    check(project, text)
