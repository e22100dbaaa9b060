"""networkx: what stands for graphs. Views and conversions that a graph keeps once asked for do not show."""

from __future__ import annotations

from functools import cached_property
from typing import Any


def _graph(value: Any) -> object:
    kind = type(value)
    return {
        name: part
        for name, part in vars(value).items()
        if name != "__networkx_cache__" and not isinstance(getattr(kind, name, None), cached_property)
    }


FINGERPRINT = {"Graph": _graph}

DESCRIBE = {"Graph": lambda value: f"{type(value).__name__} of {len(value):,} nodes"}
