"""The nouns: inputs, keys, manifests, lookups. Frozen, without I/O, JSON in and out.

A key is a list of named inputs and its digest is derived from that list, so
the same comparison that decides a hit also explains a miss.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import xxhash

from blockcache.errors import IntegrityError

#: The number of the on-disk format, see FORMAT.md. Numbers are never reused.
FORMAT = 4
#: Formats whose entries know all that they depend on and give back, so that they may answer.
SERVED = frozenset({3, FORMAT})
#: Formats that can be read; of those that are not served entries can be listed and shown.
_READABLE = SERVED | {1, 2}
#: From this format on a manifest ends with a digest of what stands before.
_CHECKED_FROM = 4
_CHECK = b' "check": '
#: How the bytes of a blob may be coded in the store: as they are, or compressed.
_CODINGS = frozenset({"", "zstd"})

#: Kinds of inputs, the likeliest cause of a miss first.
Kind = Literal[
    "code",  # the body
    "definition",  # a function or class
    "value",  # what a name is bound to, by content
    "path",  # the statements that made a value without content: its execution path
    "file",  # a file, directory, glob or URL: declared, or opened by the body
    "env",  # an environment variable
    "extra",  # a declared value or callable
    "version",  # `version=`
    "state",  # of a library or the interpreter: generators, contexts, options, arguments
    "module",  # a local module
    "distribution",  # an installed distribution, by version
    "python",  # the interpreter's minor version
]
KINDS: tuple[str, ...] = get_args(Kind)


class Input(NamedTuple):
    """One named thing that a block's result depends on.

    Attributes
    ----------
    kind
        What it is, see :data:`Kind`.
    name
        Its name as the block sees it, unique within a kind.
    digest
        What two runs must agree on: a fingerprint, or a short plain fact such as a version.
    note
        For people only (type and shape of a value, ``file:line`` of a function);
        never compared, never a secret.
    """

    kind: Kind
    name: str
    digest: str
    note: str = ""


def _rank(kind: str) -> int:
    """Place of a kind among the causes of a miss; kinds of later versions come last."""
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


class Stat(NamedTuple):
    """What a file system says of a file; where all four are the same, its content is taken to be."""

    size_bytes: int
    mtime_ns: int
    inode: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One input that is not the same in two keys; ``now`` or ``was`` is None when it is only in one."""

    kind: Kind
    name: str
    now: Input | None
    was: Input | None


@dataclass(frozen=True, slots=True)
class Key:
    """A block's static inputs and the digest derived from them.

    Build one with :meth:`of`, which sorts the inputs and derives the digest.
    """

    inputs: tuple[Input, ...]
    digest: str

    @classmethod
    def of(cls, inputs: Iterable[Input]) -> Key:
        """Sort ``inputs`` and derive the digest (XXH3-128, 32 hexadecimal digits)."""
        ordered = tuple(sorted(inputs))  # by kind and name, which are unique together
        # JSON strings are the delimiters: no name or digest can run into the next one.
        text = json.dumps([i[:3] for i in ordered], ensure_ascii=True)
        return cls(ordered, xxhash.xxh3_128_hexdigest(text.encode()))


def compare(now: Iterable[Input], was: Iterable[Input]) -> tuple[Difference, ...]:
    """Differences between two lists of inputs; empty exactly when their keys are equal.

    The order tells the likeliest cause first: code, definitions, values, then versions.
    """
    here = {(i.kind, i.name): i for i in now}
    there = {(i.kind, i.name): i for i in was}
    found = []
    for kind, name in here.keys() | there.keys():
        a, b = here.get((kind, name)), there.get((kind, name))
        if a is None or b is None or a.digest != b.digest:
            found.append(Difference(kind, name, a, b))
    return likeliest_first(found)


def likeliest_first(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Differences in the order of a report."""
    # A changed input says more than one that came or went with it.
    return tuple(sorted(differences, key=lambda d: (d.now is None or d.was is None, _rank(d.kind), d.name)))


def entry_id(discovered: Iterable[Input]) -> str:
    """``<which>-<what>``: digests of the discovered inputs' names, and of what they were; ``entry`` without any.

    Variants of a key with the same first half look at the same things, so one of them tells which one to read.
    """
    ordered = sorted(discovered)
    if not ordered:
        return "entry"
    which, what = (json.dumps([i[:n] for i in ordered]).encode() for n in (2, 3))
    return f"{xxhash.xxh3_64_hexdigest(which)}-{xxhash.xxh3_128_hexdigest(what)}"


@dataclass(frozen=True, slots=True)
class Blob:
    """Immutable bytes in the store, named by their digest (XXH3-128).

    Attributes
    ----------
    digest, size_bytes
        Of the bytes as they are stored.
    coding
        How they stand for the bytes that are meant; empty when they are those.
    """

    digest: str
    size_bytes: int
    coding: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One name that an entry gives back, described for people; ``codec`` is how its value is stored."""

    name: str
    type: str
    summary: str
    codec: str = "pickle"


class Unsaved(NamedTuple):
    """A name that the body bound and that could not be saved."""

    name: str
    type: str
    reason: str


class OutputFile(NamedTuple):
    """A declared output file as the body left it.

    Attributes
    ----------
    path
        As the program named it: relative to the working directory where it was, with ``/``.
    digest
        Name of the blob with its bytes. Else empty for a directory, ``emptied`` for one that the body emptied first,
        ``absent`` for what it removed, ``-> place`` for a symlink.
    size_bytes, mode
        Its size and permissions; 0 where it has none.
    """

    path: str
    digest: str
    size_bytes: int
    mode: int

    @property
    def is_file(self) -> bool:
        """Whether it is a file, whose bytes are a blob."""
        return self.digest not in ("", "emptied", "absent") and not self.digest.startswith("-> ")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who, when, where, how long; never part of a key."""

    made_at: str  # ISO 8601, UTC
    duration_s: float
    host: str  # script, ipython, marimo
    file: str
    line: int
    python: str
    blockcache: str
    machine: str
    user: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """An entry's readable record.

    Attributes
    ----------
    name
        The block's name when it was saved; a label, not part of the key.
    key
        The key that the entry answers.
    outputs, deleted
        Names that the body bound or rebound, and names that it deleted.
    discovered
        Inputs that were seen while the body ran; the entry answers only while they are the same.
    stats
        What the file system said of discovered files, by input name, where that may be trusted.
    untracked
        What the body did that cannot be checked again, in clauses for people.
    generators
        Global random generators that the body moved; their states afterwards are beside the outputs.
    captured
        Output that the body made and a hit makes again, in clauses for people (``stdout 120 B``).
    changed
        What the body changed in place, by the names of the inputs that it changed.
    files
        Declared output files, put back by a hit.
    unsaved
        Names that the body bound and that could not be saved.
    texts
        Digest of the blob with the source texts behind the inputs, for people; empty when there is none.
    imports
        Submodules that the body imported (``import a.b``), to be imported again on a hit.
    blobs
        The bytes that the entry needs: the pack first, then large buffers in the order
        in which the pack refers to them.
    """

    name: str
    key: Key
    outputs: tuple[Output, ...]
    deleted: tuple[str, ...]
    blobs: tuple[Blob, ...]
    provenance: Provenance
    imports: tuple[str, ...] = ()
    discovered: tuple[Input, ...] = ()
    stats: Mapping[str, Stat] = field(default_factory=dict)
    untracked: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    captured: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    files: tuple[OutputFile, ...] = ()
    unsaved: tuple[Unsaved, ...] = ()
    texts: str = ""
    format: int = FORMAT

    @property
    def entry_id(self) -> str:
        """Name of the entry among the variants of its key: which inputs were discovered, and what they were."""
        return entry_id(self.discovered)

    @property
    def all_blobs(self) -> tuple[Blob, ...]:
        """The blobs that a lookup reads, and those of the output files."""
        return (*self.blobs, *(Blob(f.digest, f.size_bytes) for f in self.files if f.is_file))

    @property
    def size_bytes(self) -> int:
        """Bytes of all blobs, shared ones included."""
        return sum(b.size_bytes for b in self.all_blobs)

    @property
    def is_coded(self) -> bool:
        """Whether some of the bytes that are stored stand for others."""
        return any(blob.coding for blob in self.blobs)

    def to_json(self) -> bytes:
        """The record as it is stored: indented JSON, one input a line, at the end a digest of the bytes before it."""
        head = {
            "format": self.format,
            "name": self.name,
            "provenance": {f: getattr(self.provenance, f) for f in Provenance.__slots__},
            "size_bytes": self.size_bytes,
            "stats": self.stats,
            "texts": self.texts,
        }
        lists: dict[str, list[list[Any]]] = {
            "inputs": [list(i) for i in self.key.inputs],
            "outputs": [[o.name, o.type, o.summary, o.codec] for o in self.outputs],
            "deleted": [[n] for n in self.deleted],
            "imports": [[n] for n in self.imports],
            "discovered": [list(i) for i in self.discovered],
            "untracked": [[clause] for clause in self.untracked],
            "generators": [[n] for n in self.generators],
            "captured": [[clause] for clause in self.captured],
            "changed": [[n] for n in self.changed],
            "files": [list(f) for f in self.files],
            "unsaved": [list(u) for u in self.unsaved],
            "blobs": [[b.digest, b.size_bytes, b.coding] for b in self.blobs],
        }
        parts = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in head.items()]
        parts.append(f' "key": {json.dumps(self.key.digest)}')
        for name, rows in lists.items():
            body = ",\n".join("  " + json.dumps(r) for r in rows)
            parts.append(f' "{name}": [\n{body}\n ]' if rows else f' "{name}": []')
        head_bytes = ("{\n" + ",\n".join(parts) + ",\n").encode()
        return head_bytes + _check(head_bytes)

    @classmethod
    def from_json(cls, data: bytes | bytearray | memoryview, key: Key | None = None) -> Manifest:
        """Read a stored record.

        Parameters
        ----------
        data
            The record.
        key
            The key that the record is expected to answer: where it does, the inputs are taken from here,
            which spares reading a thousand of them on a hit.

        Raises
        ------
        IntegrityError
            When the bytes are not a manifest of a format that this version reads.
        """
        try:
            text = bytes(data)
            raw: Mapping[str, Any] = json.loads(text)
            if raw["format"] not in _READABLE:
                raise IntegrityError(f"manifest of format {raw['format']}, this version reads format {FORMAT}")
            if (raw["format"] >= _CHECKED_FROM or "check" in raw) and not _is_whole(text):
                raise IntegrityError("not a manifest: its bytes are not those that were written")
            if key is None or raw["key"] != key.digest:
                key = Key(_inputs(raw["inputs"]), raw["key"])
            manifest = cls(
                name=raw["name"],
                key=key,
                outputs=tuple(Output(*row) for row in raw["outputs"]),
                deleted=tuple(n for (n,) in raw["deleted"]),
                blobs=tuple(Blob(*row) for row in raw["blobs"]),
                provenance=Provenance(**raw["provenance"]),
                imports=tuple(n for (n,) in raw["imports"]),
                discovered=_inputs(raw.get("discovered", ())),
                stats={name: Stat(*numbers) for name, numbers in raw.get("stats", {}).items()},
                untracked=tuple(clause for (clause,) in raw.get("untracked", ())),
                generators=tuple(n for (n,) in raw.get("generators", ())),
                captured=tuple(clause for (clause,) in raw.get("captured", ())),
                changed=tuple(n for (n,) in raw.get("changed", ())),
                files=tuple(OutputFile(*row) for row in raw.get("files", ())),
                unsaved=tuple(Unsaved(*row) for row in raw.get("unsaved", ())),
                texts=raw.get("texts", ""),
                format=raw["format"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"not a manifest: {type(error).__name__}: {error}") from error
        if not manifest._has_right_types():
            raise IntegrityError("not a manifest: a field is of the wrong type")
        return manifest

    def _has_right_types(self) -> bool:
        made = self.provenance
        texts = [self.name, self.key.digest, made.made_at, made.file, made.host, made.python, made.user]
        texts += [text for o in self.outputs for text in (o.name, o.type, o.summary, o.codec)]
        texts += [*self.deleted, *self.imports, *(blob.digest for blob in self.blobs)]
        texts += [*self.untracked, *self.generators, *self.captured, *self.changed, self.texts]
        texts += [text for row in (*(f[:2] for f in self.files), *self.unsaved) for text in row]
        sizes = [blob.size_bytes for blob in self.blobs] + [n for f in self.files for n in f[2:]]
        return (
            bool(self.blobs)
            and all(type(text) is str for text in texts)
            and all(blob.coding in _CODINGS for blob in self.blobs)
            and all(type(size) is int for size in sizes)
            and type(made.duration_s) in (int, float)
            and type(made.line) is int
        )


def is_of_newer_format(data: bytes | bytearray | memoryview) -> bool:
    """Whether bytes that are no manifest to this version are, whole, a later one's."""
    text = bytes(data)
    try:
        return bool(json.loads(text)["format"] > FORMAT) and _is_whole(text)
    except (ValueError, KeyError, TypeError):
        return False


def _check(head: bytes) -> bytes:
    """The end of a manifest that begins with ``head``: a digest of that."""
    return _CHECK + f'"{xxhash.xxh3_128_hexdigest(head)}"\n}}\n'.encode()


def _is_whole(text: bytes) -> bool:
    head = text.rpartition(_CHECK)[0]
    return text == head + _check(head)


def _inputs(rows: Iterable[Sequence[Any]]) -> tuple[Input, ...]:
    found = tuple(Input(kind, name, digest, note) for kind, name, digest, note in rows)
    if not all(type(text) is str for i in found for text in i):
        raise TypeError("an input is not text")
    return found


@dataclass(frozen=True, slots=True)
class Hit:
    """A lookup that found an entry whose values have been read, verified and decoded.

    ``kept`` is what the entry holds beside the outputs, see :class:`blockcache.saving.Results`; ``in_memory`` says
    that this process held the entry already. ``decode_s`` is the processor's time that turning bytes into values took;
    0 where that was not measured, or something was imported meanwhile.
    """

    manifest: Manifest
    values: Mapping[str, object]
    load_s: float
    kept: Mapping[str, Any] = field(default_factory=dict)
    in_memory: bool = False
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Miss:
    """A lookup that found nothing to give back.

    Attributes
    ----------
    reason
        One clause for people when there is no nearest entry to compare with.
    differences
        Against the nearest entry, likeliest cause first.
    nearest
        The entry compared with.
    same_key
        Whether that entry is of the same key, and differs in discovered inputs only.
    cause
        The reason as one of a few clauses to count by, where there are no differences.
    crowded
        Whether that key has so many entries which look at different things that not all were asked.
    """

    reason: str
    differences: tuple[Difference, ...] = ()
    nearest: Manifest | None = field(default=None, repr=False)
    same_key: bool = False
    cause: str = ""
    crowded: bool = False

    @property
    def counted_as(self) -> str:
        """Why it missed, as one of a few clauses to count by: the likeliest difference by its kind, or the cause."""
        if not self.differences:
            return self.cause
        kind = self.differences[0].kind
        return f"{_CALLED.get(kind, kind)} changed"


#: Kinds of inputs that are called otherwise where misses are counted.
_CALLED = {"code": "body", "env": "environment variable", "extra": "declared value", "path": "execution path"}

Lookup = Hit | Miss
