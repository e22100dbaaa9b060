"""scipy: what stands for sparse matrices. What they remember about their own order does not show."""

from __future__ import annotations

from typing import Any

_REMEMBERED = {"_has_sorted_indices", "_has_canonical_format", "has_canonical_format"}


def _sparse(value: Any) -> object:
    return {name: part for name, part in vars(value).items() if name not in _REMEMBERED}


FINGERPRINT = {"_spbase": _sparse, "spmatrix": _sparse}

DESCRIBE = {"_spbase": lambda value: f"{type(value).__name__} {value.dtype} {value.shape}"}
