"""How much a store may hold, and whether it seems to hold more."""

from __future__ import annotations

import math

from blockcache.settings import Settings
from blockcache.stores import Store, is_measured

#: The share of the disk that a store may fill by default: of what is free on it and what the store has.
SHARE = 0.1

# By the store's place: the default is that of the moment when a process first needs it.
_defaults: dict[str, int | None] = {}


def max_bytes(store: Store, settings: Settings) -> int | None:
    """How much the store may hold; None for no limit. The default is taken once for a process and a store.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    if settings.max_size is not None:
        return None if settings.max_size == math.inf else int(settings.max_size)
    if not is_measured(store):
        return None
    if store.url not in _defaults:
        filled, free = store.room()
        if filled is None:
            filled = sum(kept.size_bytes for kept in store.survey(""))
        _defaults[store.url] = None if free is None else int(SHARE * (filled + free))
    return _defaults[store.url]


def seems_full(store: Store, settings: Settings) -> bool:
    """Whether the store holds more than it may, as far as is known without looking.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    if not is_measured(store):
        return False
    filled, _ = store.room()
    most = max_bytes(store, settings)
    return most is not None and (filled is None or filled > most)
