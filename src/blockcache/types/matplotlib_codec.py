"""Saving matplotlib figures: decoding one does not put it into pyplot; a hit does, under the figure's own number."""

from __future__ import annotations

import copyreg
from typing import Any

from matplotlib.figure import Figure

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer


def reducer(cls: type) -> Reducer | None:
    """The reducer of a matplotlib class."""
    return _reduce_figure if issubclass(cls, Figure) and cls.__reduce_ex__ is object.__reduce_ex__ else None


def _reduce_figure(figure: Any, collector: Collector) -> Any:
    state = figure.__getstate__()
    state.pop("_restore_to_pylab", None)
    return copyreg.__newobj__, (type(figure),), state  # type: ignore[attr-defined]
