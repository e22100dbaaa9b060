"""The entries that a name had before: what a miss is compared with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from blockcache.errors import IntegrityError
from blockcache.model import Key, Manifest, Miss, compare
from blockcache.naming import label_folder
from blockcache.stores import Store, is_measured

#: How many earlier entries of a name a miss is compared with.
_NEAREST_OF = 8
_MOST_NAMES = 1000

# By store and name: the entries that this process saved or found last, newest first; replaced, never changed.
_recent: dict[tuple[str, str], tuple[Manifest, ...]] = {}


def miss(store: Store, block_name: str, key: Key) -> Miss:
    """What tells a key without an entry from the nearest one that its name has."""
    # In a loop, what this process met last: reading all that a name has would cost more at each round.
    entries = _recent.get((store.url, block_name)) or _newest(store, block_name)
    if not entries:
        return Miss("first run", cause="first run")
    nearest, differences = min(
        ((entry, compare(key.inputs, entry.key.inputs)) for entry in entries),
        key=lambda pair: len(pair[1]),
    )
    return Miss("", differences, nearest)


def met(store: Store, block_name: str, manifest: Manifest) -> None:
    """Note that this process found or saved an entry."""
    if len(_recent) > _MOST_NAMES:
        _recent.clear()
    others = (m for m in _recent.get((store.url, block_name), ()) if m.key.digest != manifest.key.digest)
    _recent[store.url, block_name] = (manifest, *itertools.islice(others, _NEAREST_OF - 1))


def _newest(store: Store, block_name: str) -> tuple[Manifest, ...]:
    """The last entries of a name, one for each key: a name with a million entries costs no more than one with ten."""
    keys = last(store, label_folder(block_name), _NEAREST_OF)
    # The entries of one key have the same inputs: any of them will do.
    return tuple(_by_age(store, (name for key in keys for name in last(store, _entries(key), 1))))


def last(store: Store, folder: str, count: int) -> Sequence[str]:
    """A few names below a folder, the last put first where the store can tell."""
    return store.newest(folder, count) if is_measured(store) else list(itertools.islice(store.list(folder), count))


def entries_of(store: Store, block_name: str) -> Iterator[Manifest]:
    """Readable entries that were saved or met under a block's name, newest first."""
    keys = store.list(label_folder(block_name))
    yield from _by_age(store, (name for key in keys for name in store.list(_entries(key))))


def _entries(pointer: str) -> str:
    """The folder of the entries of the key that a pointer leads to."""
    return f"entries/{pointer.rpartition('/')[2]}"


def _by_age(store: Store, names: Iterable[str]) -> list[Manifest]:
    """Those of the entries that can be read, newest first."""
    found = []
    for name in names:
        data = store.get(name)
        try:
            if data is not None:
                found.append(Manifest.from_json(data))
        except IntegrityError:
            continue
    return sorted(found, key=lambda manifest: manifest.provenance.made_at, reverse=True)
