"""Saving scikit-learn's Bunch: its own unpickling drops its attributes, and the next block would see another value."""

from __future__ import annotations

import copyreg
from typing import Any

from sklearn.utils import Bunch

from blockcache.codec import rebuild
from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer


def reducer(cls: type) -> Reducer | None:
    """For Bunch and what derives from it without pickling of its own; all else is left to scikit-learn."""
    same = all(
        getattr(cls, name, None) is getattr(Bunch, name) for name in ("__setstate__", "__reduce_ex__", "__reduce__")
    )
    return _reduce_bunch if issubclass(cls, Bunch) and same else None


def _reduce_bunch(bunch: Any, collector: Collector) -> Any:
    make: Any = copyreg.__newobj__  # type: ignore[attr-defined]
    return make, (type(bunch),), vars(bunch) or None, None, iter(bunch.items()), rebuild.set_attributes
