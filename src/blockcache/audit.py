"""Read all of a store: which entries are whole, what is lost, and what is wrong taken out of the way.

It runs beside writers and collections: whatever seems to be missing is looked for again before it is called lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import xxhash

from blockcache.catalogue import labels_of
from blockcache.errors import IntegrityError, StoreError
from blockcache.model import SERVED, Manifest, is_of_newer_format
from blockcache.stores import Store

#: The family of names that wrong bytes are moved to.
QUARANTINE = "quarantine"

_ONLY_TEXTS = "only its source texts"
_DIGEST = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Lost:
    """An entry that no hit can use any more, or not all of it.

    Attributes
    ----------
    name
        Its block, as far as that can be told.
    path
        Its manifest in the store.
    made_at
        When it was saved; empty where that cannot be told.
    problem
        Why, in one clause.
    """

    name: str
    path: str
    made_at: str
    problem: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What a store holds.

    Attributes
    ----------
    entries, newer
        How many are whole; how many of a later version's format there are, which are left alone.
    blobs, size_bytes
        How many were read, and their bytes.
    orphans, orphan_bytes
        Those of them that no entry names.
    lost
        Entries that were to be here.
    moved
        Names that are in the quarantine now.
    stuck
        Names that are wrong and could not be moved, with the reason.
    """

    entries: int
    newer: int
    blobs: int
    size_bytes: int
    orphans: int
    orphan_bytes: int
    lost: tuple[Lost, ...]
    moved: tuple[str, ...]
    stuck: tuple[tuple[str, str], ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.moved or self.stuck)


NOTHING = Audit(0, 0, 0, 0, 0, 0, (), (), ())


def audit(store: Store) -> Audit:
    """Read every manifest and every blob; move what is wrong into the quarantine.

    Raises
    ------
    StoreError
        When the store cannot be listed.
    """
    return _Auditor(store).audit()


class _Auditor:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes: dict[str, int] = {}  # of blobs that are what their names say
        self._wrong: dict[str, str] = {}  # blobs that are not, with the reason
        self._moved: list[str] = []
        self._stuck: list[tuple[str, str]] = []

    def audit(self) -> Audit:
        # Before the manifests: a blob that is listed now and that none of them names is not one of a save going on.
        listed = [name.partition("/")[2] for name in self._store.list("blobs")]
        entries = newer = 0
        lost: list[Lost] = []
        named: set[str] = set()
        for path, text in self._manifests():
            manifest, problem = self._read(path, text, named)
            if problem:
                lost.append(self._lose(path, manifest, problem))
            elif manifest is None:
                newer += 1
            else:
                entries += 1
        whole = [digest for digest in listed if not self._judge(digest)]
        orphans = [digest for digest in whole if digest not in named]
        return Audit(
            entries,
            newer,
            len(self._sizes),
            sum(self._sizes.values()),
            len(orphans),
            sum(self._sizes[digest] for digest in orphans),
            tuple(lost),
            tuple(self._moved),
            tuple(self._stuck),
        )

    def _manifests(self) -> Iterator[tuple[str, bytes]]:
        for path in self._store.list("entries"):
            try:
                data = self._store.get(path)
            except StoreError as error:
                self._stuck.append((path, str(error)))
                continue
            if data is not None:  # else somebody removed it this very moment
                yield path, bytes(data)

    def _read(self, path: str, text: bytes, named: set[str]) -> tuple[Manifest | None, str]:
        """A manifest, and what is wrong with its entry; neither for one of a newer format."""
        try:
            manifest = Manifest.from_json(text)
        except IntegrityError as error:
            if is_of_newer_format(text):
                named |= {digest.decode() for digest in _DIGEST.findall(text)}
                return None, ""
            return None, str(error)
        named |= {blob.digest for blob in manifest.all_blobs} | {manifest.texts}
        if path != f"entries/{manifest.key.digest}/{manifest.entry_id}.json" and manifest.format in SERVED:
            return manifest, "it is not in its place"
        for blob in manifest.all_blobs:
            problem = self._judge(blob.digest)
            if not problem and self._sizes[blob.digest] != blob.size_bytes:
                problem = f"blob {blob.digest} is of another size"
            if problem and self._is_still(path, text):
                return manifest, problem
        if manifest.texts and (problem := self._judge(manifest.texts)) and self._is_still(path, text):
            self._drop_texts(path, manifest)
            return manifest, f"{_ONLY_TEXTS}: {problem}"
        return manifest, ""

    def _drop_texts(self, path: str, manifest: Manifest) -> None:
        """Only explanations read the texts: the entry goes on without."""
        try:
            self._store.put(path, [replace(manifest, texts="").to_json()])
        except StoreError as error:
            self._stuck.append((path, str(error)))

    def _is_still(self, path: str, text: bytes) -> bool:
        """Whether a manifest is as it was read: not removed or replaced by somebody else."""
        data = self._store.get(path)
        return data is not None and bytes(data) == text

    def _lose(self, path: str, manifest: Manifest | None, problem: str) -> Lost:
        key = path.split("/")[1]
        names = [manifest.name] if manifest is not None else sorted(labels_of(self._store).get(key, ()))
        if not problem.startswith(_ONLY_TEXTS):
            self._move(path)
        made_at = manifest.provenance.made_at if manifest is not None else ""
        return Lost(", ".join(names) or "?", path, made_at, problem)

    def _judge(self, digest: str) -> str:
        """What is wrong with a blob; empty when nothing is. Each is read once."""
        if digest in self._sizes:
            return ""
        if digest not in self._wrong:
            problem = self._examine(digest)
            if not problem:
                return ""
            self._wrong[digest] = f"blob {digest} {problem}"
        return self._wrong[digest]

    def _examine(self, digest: str) -> str:
        name = f"blobs/{digest}"
        found, size_bytes = xxhash.xxh3_128(), 0
        try:
            parts = self._store.parts(name)
            if parts is None:
                return "is missing"
            for part in parts:
                found.update(part)
                size_bytes += len(part)
        except StoreError as error:
            self._stuck.append((name, str(error)))
            return "cannot be read"
        if found.hexdigest() != digest:
            self._move(name)
            return "is not what was saved"
        self._sizes[digest] = size_bytes
        if not self._store.sealed(name):
            self._store.seal(name)
        return ""

    def _move(self, name: str) -> None:
        try:
            if self._store.move(name, f"{QUARANTINE}/{name}"):
                self._moved.append(name)
        except StoreError as error:
            self._stuck.append((name, str(error)))
