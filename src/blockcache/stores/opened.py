"""Stores that this process has opened, each once."""

from __future__ import annotations

from blockcache.stores import Store
from blockcache.stores.local import LocalStore

_stores: dict[str, Store] = {}


def store_at(path: str) -> Store:
    """The store in a folder."""
    found = _stores.get(path)
    if found is None:
        found = _stores[path] = LocalStore(path)
    return found
