"""What is in a store: every entry, the blobs that they name, and taking entries out.

The layout is that of FORMAT.md; bytes go through the store protocol only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from blockcache.errors import IntegrityError, StoreError
from blockcache.model import Manifest
from blockcache.naming import pin_name, pinned_path
from blockcache.stores import Store


@dataclass(frozen=True, slots=True)
class Stored:
    """One readable entry.

    Attributes
    ----------
    path
        The name of its manifest in the store.
    labels
        The block's name when it was saved, and others that it was met under since (a renamed block still hits).
    pinned
        Whether it stays until somebody says otherwise.
    """

    path: str
    manifest: Manifest
    labels: frozenset[str]
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A manifest that cannot be read: torn, foreign, or of another version of the format."""

    path: str
    problem: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All entries of a store, newest first."""

    entries: tuple[Stored, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of blocks that have entries, sorted."""
        return tuple(sorted({label for e in self.entries for label in e.labels}))

    def named(self, name: str) -> tuple[Stored, ...]:
        """Entries of the block ``name``, newest first."""
        return tuple(e for e in self.entries if name in e.labels)

    def with_key(self, prefix: str) -> tuple[Stored, ...]:
        """Entries whose key's digest starts with ``prefix``, newest first."""
        return tuple(e for e in self.entries if e.manifest.key.digest.startswith(prefix.lower()))

    @property
    def blobs(self) -> dict[str, int]:
        """Digest and size in bytes of every blob with values or an output file that a readable entry names."""
        return {b.digest: b.size_bytes for e in self.entries for b in e.manifest.all_blobs}

    @property
    def texts(self) -> frozenset[str]:
        """Digests of the blobs with source texts that readable entries name."""
        return frozenset(e.manifest.texts for e in self.entries if e.manifest.texts)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a store's bytes are used for; each blob counts once.

    Attributes
    ----------
    entries, names
        How many.
    blobs, size_bytes
        Blobs that entries name: how many, and their bytes.
    shared_bytes
        Bytes saved because several entries name the same blob.
    orphans, orphan_bytes
        Blobs that no readable entry names (an interrupted save, an unreadable manifest).
    text_bytes
        Bytes of source texts, which only explanations read.
    work_s
        Time that the bodies of all entries took.
    """

    entries: int = 0
    names: int = 0
    blobs: int = 0
    size_bytes: int = 0
    shared_bytes: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    text_bytes: int = 0
    work_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Removed:
    """What :func:`remove` took out."""

    entries: int
    blobs: int
    freed_bytes: int


def read(store: Store) -> Catalogue:
    """Every entry of ``store``, newest first; a manifest that cannot be read is listed, never an error.

    Raises
    ------
    StoreError
        When the store itself cannot be listed.
    """
    entries, unreadable = [], []
    labels = labels_of(store)
    pinned = {pinned_path(name) for name in store.list("pins")}
    for path in store.list("entries"):
        text = b""
        try:
            data = store.get(path)
            if data is None:  # somebody removed it this very moment
                continue
            text = bytes(data)
            manifest = Manifest.from_json(text)
            known_as = frozenset({manifest.name, *labels.get(manifest.key.digest, ())})
            entries.append(Stored(path, manifest, known_as, path in pinned))
        except (IntegrityError, StoreError) as error:
            unreadable.append(Unreadable(path, str(error), text))
    entries.sort(key=lambda e: (e.manifest.provenance.made_at, e.path), reverse=True)
    unreadable.sort(key=lambda u: u.path)
    return Catalogue(tuple(entries), tuple(unreadable))


def read_texts(store: Store, manifest: Manifest | None) -> dict[str, str]:
    """Source texts behind the inputs of an entry, under ``"<kind> <name>"``; what cannot be read is not there."""
    if manifest is None or not manifest.texts:
        return {}
    try:
        data = store.get(f"blobs/{manifest.texts}")
        raw = {} if data is None else json.loads(bytes(data))
    except (StoreError, ValueError):
        return {}
    texts = raw if isinstance(raw, dict) else {}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def usage(store: Store, catalogue: Catalogue) -> Usage:
    """What the bytes of ``store`` are used for.

    Raises
    ------
    StoreError
        When the store cannot be listed.
    """
    blobs = catalogue.blobs
    total = sum(e.manifest.size_bytes for e in catalogue.entries)
    texts = catalogue.texts
    used = blobs.keys() | texts
    orphans = [path for path in store.list("blobs") if path.rpartition("/")[2] not in used]
    return Usage(
        entries=len(catalogue.entries),
        names=len({e.manifest.name for e in catalogue.entries}),
        blobs=len(blobs),
        size_bytes=sum(blobs.values()),
        shared_bytes=total - sum(blobs.values()),
        orphans=len(orphans),
        orphan_bytes=sum(_size_bytes(store, path) for path in orphans),
        text_bytes=sum(_size_bytes(store, f"blobs/{digest}") for digest in texts),
        work_s=sum(e.manifest.provenance.duration_s for e in catalogue.entries),
    )


def pin(store: Store, path: str) -> None:
    """Let the entry ``path`` stay whatever the limits of the store say, until it is unpinned.

    Raises
    ------
    StoreError
        When the store cannot be changed.
    """
    store.put(pin_name(path), [b""])


def unpin(store: Store, path: str) -> bool:
    """Let the entry ``path`` go as others do; True when it was pinned.

    Raises
    ------
    StoreError
        When the store cannot be changed.
    """
    return store.delete(pin_name(path))


def remove(store: Store, chosen: Iterable[Stored]) -> Removed:
    """Delete entries, then those of their blobs that no other manifest refers to any more.

    Raises
    ------
    StoreError
        When the store cannot be changed.
    """
    chosen = tuple(chosen)
    gone = [e for e in chosen if store.delete(e.path)]
    for entry in chosen:
        unpin(store, entry.path)
    # Read again: what was saved meanwhile keeps its blobs.
    left = read(store)
    keys = {e.manifest.key.digest for e in left.entries} | {_folder(u.path) for u in left.unreadable}
    lost = {e.manifest.key.digest for e in chosen} - keys
    for path in list(store.list("names")):
        if path.rpartition("/")[2] in lost:
            store.delete(path)
    used = left.blobs
    blobs = {b.digest: b.size_bytes for e in chosen for b in e.manifest.all_blobs if b.digest not in used}
    # Their size is not in the manifest.
    for digest in {e.manifest.texts for e in chosen} - left.texts - {""}:
        blobs[digest] = _size_bytes(store, f"blobs/{digest}")
    # A manifest of a newer format is unreadable here and still needs its blobs: it holds their digests as text.
    free = [d for d in blobs if not any(d.encode() in u.text for u in left.unreadable)]
    deleted = [d for d in free if store.delete(f"blobs/{d}")]
    return Removed(len(gone), len(deleted), sum(blobs[d] for d in deleted))


def clear(store: Store) -> Removed:
    """Delete every entry, readable or not, pinned or not, and everything else that the store keeps.

    Raises
    ------
    StoreError
        When the store cannot be changed.
    """
    # Manifests first: at no moment does an entry stand there without its blobs.
    entries = sum(map(store.delete, list(store.list("entries"))))
    freed_bytes = blobs = 0
    for path in list(store.list("blobs")):
        size_bytes = _size_bytes(store, path)
        if store.delete(path):
            blobs, freed_bytes = blobs + 1, freed_bytes + size_bytes
    for path in list(store.list("")):
        store.delete(path)
    return Removed(entries, blobs, freed_bytes)


def labels_of(store: Store) -> dict[str, list[str]]:
    """The names that each key's digest was saved or met under."""
    found: dict[str, list[str]] = {}
    for path in store.list("names"):
        folder, _, digest = path.rpartition("/")
        name = _name(store, folder.rpartition("/")[2], path)
        if name is not None:
            found.setdefault(digest, []).append(name)
    return found


def _name(store: Store, folder: str, path: str) -> str | None:
    """The block name that a pointer stands for; None when it cannot be told."""
    try:
        if "=" not in folder:
            return unquote(folder, errors="surrogatepass")
        data = store.get(path)  # a shortened name
        return None if data is None else str(data, "utf-8", "surrogatepass")
    except (StoreError, UnicodeDecodeError):
        return None


def _folder(path: str) -> str:
    return path.split("/")[-2] if path.count("/") else ""


def _size_bytes(store: Store, path: str) -> int:
    data = store.get(path)  # a local store maps it; the bytes are not read
    return 0 if data is None else data.nbytes
