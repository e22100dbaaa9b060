"""Typed trees of scipy's sparse matrices and arrays: their own attributes, the arrays without copying."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.sparse

from blockcache.codec.rebuild import set_attributes
from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

_CLASSES: dict[str, type] = {
    f"{form}_{kind}": getattr(scipy.sparse, f"{form}_{kind}")
    for form in ("bsr", "coo", "csc", "csr", "dia", "lil")
    for kind in ("array", "matrix")
}
_NAMES = {cls: name for name, cls in _CLASSES.items()}


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees."""
    return _typed_sparse if cls in _NAMES else None


def _typed_sparse(value: Any, _collector: Collector) -> Any:
    return make_sparse, (_NAMES[type(value)],), dict(vars(value)), None, None, set_attributes


def make_sparse(name: str) -> Any:
    """A sparse matrix or array of a format, of nothing yet."""
    cls: Any = _CLASSES[name]
    return cls.__new__(cls)


#: What trees may call, by the name after ``scipy.``.
MAKERS: dict[str, Callable[..., Any]] = {"sparse": make_sparse, "attributes": set_attributes}
