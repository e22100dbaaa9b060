"""What a body made of its declared places: as rows of a manifest, and as blobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import xxhash

from blockcache import files
from blockcache.errors import CodecError
from blockcache.model import Input, OutputFile
from blockcache.outputs.declared import ABSENT, EMPTIED, FOLDER, LINK, Declared, Look, Place, look
from blockcache.stores import Store

_CHUNK_BYTES = 1 << 20


class Made(NamedTuple):
    """What the body did in its declared places.

    Attributes
    ----------
    rows
        What it made, changed and removed, folders before what is in them.
    paths
        Where each row's file is.
    left
        Places in which it did nothing: what is there is an input.
    """

    rows: tuple[OutputFile, ...]
    paths: dict[str, str]
    left: tuple[Input, ...]


def made(declared: Declared, memo: str | None) -> Made:
    """What the body did.

    Raises
    ------
    CodecError
        When a declared output is not there, or is nothing that can be kept.
    FingerprintError
        When a file cannot be read.
    """
    rows: dict[str, tuple[str, OutputFile]] = {}
    left: list[Input] = []
    declared.end()
    for place in declared.places:
        found = dict(_of_place(declared, place, memo))
        there = [path for path, (_, is_own) in found.items() if not is_own]
        own = {path: row for path, (row, is_own) in found.items() if is_own and row is not None}
        if not found:
            what = (
                "nothing matches the declared output" if place.pattern else "the body did not make the declared output"
            )
            raise CodecError(f"{what} {place.shown}")
        if not own:
            for path in there if place.pattern else [place.base]:
                name = place.row(place.parts(path) or ())
                left.append(Input("file", name, files.digest(path, memo), "a declared output that the body left alone"))
        for path, row in own.items():
            rows.setdefault(path, (path, row))
    ordered = sorted(rows.values(), key=lambda pair: pair[1].path.split("/"))
    return Made(tuple(row for _, row in ordered), {row.path: path for path, row in ordered}, tuple(left))


def _of_place(
    declared: Declared, place: Place, memo: str | None
) -> Iterator[tuple[str, tuple[OutputFile | None, bool]]]:
    """Each path with its row, and whether it is the body's own."""
    now = look(place.named) if not place.pattern else None
    leads_to = now.leads_to if now is not None else ""
    if not place.pattern and leads_to != place.leads_to:
        if leads_to:
            yield place.named, (OutputFile(place.text, LINK + leads_to, 0, 0), True)
        elif now is None:
            yield place.named, (OutputFile(place.text, ABSENT, 0, 0), True)
        else:
            raise CodecError(f"{place.text} was a symlink, and the body put something else in its place")
        return
    after = dict(declared.walk(place))
    if place.pattern and declared.was_emptied(place.base) and look(place.base) is not None:
        yield place.base, (OutputFile(place.text, EMPTIED, 0, 0), True)
    for path, found in after.items():
        row = place.row(place.parts(path) or ())
        if _is_own(declared, path, found):
            yield path, (_row(declared, path, row, found, memo), True)
        else:
            yield path, (None, False)
    gone = {path for path in (*declared.before, *declared.removed) if path not in after and look(path) is None}
    for path in gone:
        parts = place.parts(path)
        above = look(os.path.dirname(path))
        # What was in a folder that is gone, or something else now, went with it.
        if parts is not None and (not parts or (above is not None and above.kind == "directory")):
            yield path, (OutputFile(place.row(parts), ABSENT, 0, 0), True)


def _is_own(declared: Declared, path: str, found: Look) -> bool:
    was = declared.before.get(path)
    if was != found or path in declared.produced or declared.was_emptied(path):
        return True
    # Written again within one tick of the file system's clock: the times do not tell.
    return path in declared.written and found.stat is not None and not files.trusted(found.stat, declared.began_ns)


def _row(declared: Declared, path: str, row: str, found: Look, memo: str | None) -> OutputFile:
    if found.kind == "directory":
        is_first = path in declared.emptied or any(path == place.base for place in declared.places)
        return OutputFile(row, EMPTIED if is_first and declared.was_emptied(path) else FOLDER, 0, found.mode)
    if found.kind == "link":
        return OutputFile(row, LINK + found.leads_to, 0, 0)
    if found.stat is None:
        raise CodecError(f"the declared output {row} is a {found.kind}, which has no content to keep")
    return OutputFile(row, files.digest(path, memo), found.stat.size_bytes, found.mode)


def put(store: Store, made: Made) -> None:
    """Keep the bytes of every file, without holding one in memory.

    Raises
    ------
    CodecError
        When a file is not what it was a moment ago.
    StoreError
        When the store cannot be written.
    """
    for row in made.rows:
        if row.is_file:
            store.put(f"blobs/{row.digest}", _chunks(made.paths[row.path], row))


def _chunks(path: str, row: OutputFile) -> Iterator[bytes]:
    hasher = xxhash.xxh3_128()
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                hasher.update(chunk)
                yield chunk
    except OSError as error:
        raise CodecError(f"the output {row.path} cannot be read: {error.strerror or error}") from error
    if hasher.hexdigest() != row.digest:  # the store takes all of it or nothing
        raise CodecError(f"the output {row.path} changed while it was saved")


def differing(declared: Declared, rows: Iterable[OutputFile], memo: str | None) -> list[str]:
    """In clauses, which declared files are not as the entry says."""
    clauses = []
    for row in rows:
        found = look(declared.target(row.path, row.digest))
        if row.digest == ABSENT:
            same = found is None
        elif found is None:
            same = False
        elif row.is_file:
            path = declared.target(row.path, row.digest)
            same = found.kind == "file" and found.mode == row.mode and files.digest(path, memo) == row.digest
        else:
            same = found.kind == "link" if row.digest.startswith(LINK) else found.kind == "directory"
        if not same:
            clauses.append(f"the output {row.path} is not the file that was saved")
    return clauses
