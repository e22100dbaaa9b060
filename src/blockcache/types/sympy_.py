"""sympy: expressions never change; what they keep beside is a cache."""

from __future__ import annotations

from blockcache.inplace import FIXED

IN_PLACE = {"Basic": FIXED}
