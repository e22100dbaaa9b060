"""The entries that a name had before: what a miss is compared with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from blockcache.errors import IntegrityError
from blockcache.model import Key, Manifest, Miss, compare
from blockcache.naming import label_folder
from blockcache.stores import Store

#: How many earlier entries of a name a miss is compared with, and of how many in the store.
_NEAREST_OF = 8
_MOST_LOOKED_AT = 500
_MOST_NAMES = 1000

# By store and name: the entries that this process saved or found last, newest first; replaced, never changed.
_recent: dict[tuple[str, str], tuple[Manifest, ...]] = {}


def miss(store: Store, block_name: str, key: Key) -> Miss:
    """What tells a key without an entry from the nearest one that its name has."""
    # In a loop, what this process met last: reading all that a name has would cost more at each round.
    entries = _recent.get((store.url, block_name)) or tuple(entries_of(store, block_name, _MOST_LOOKED_AT))
    if not entries:
        return Miss("first run")
    nearest, differences = min(
        ((entry, compare(key.inputs, entry.key.inputs)) for entry in entries[:_NEAREST_OF]),
        key=lambda pair: len(pair[1]),
    )
    return Miss("", differences, nearest)


def met(store: Store, block_name: str, manifest: Manifest) -> None:
    """Note that this process found or saved an entry."""
    if len(_recent) > _MOST_NAMES:
        _recent.clear()
    others = (m for m in _recent.get((store.url, block_name), ()) if m.key.digest != manifest.key.digest)
    _recent[store.url, block_name] = (manifest, *itertools.islice(others, _NEAREST_OF - 1))


def entries_of(store: Store, block_name: str, most: int | None = None) -> Iterator[Manifest]:
    """Readable entries that were saved or met under a block's name, newest first; of ``most`` keys, whichever."""
    found = []
    for pointer in itertools.islice(store.list(label_folder(block_name)), most):
        for name in store.list(f"entries/{pointer.rpartition('/')[2]}"):
            data = store.get(name)
            try:
                if data is not None:
                    found.append(Manifest.from_json(data))
            except IntegrityError:
                continue
    yield from sorted(found, key=lambda manifest: manifest.provenance.made_at, reverse=True)
