"""What is at a URL, by what its server says of it; nothing is downloaded. The only room that knows fsspec."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import xxhash

from blockcache import files
from blockcache.errors import FingerprintError
from blockcache.model import Input
from blockcache.report import size

_WAY_OUT = "Or declare a function that tells whether it changed"
_USER = re.compile(r"//[^/@\s]*@")
#: Statuses that say that nothing is there, and not that the server is in trouble.
_GONE = (404, 410)
#: What tells versions apart where there is no ETag, under the names that file systems have for it,
#: in small letters without hyphens and underscores.
_TELLING = frozenset(
    {
        *(
            "contentmd5",
            "digest",
            "md5",
            "md5hash",
            "crc32c",
            "checksum",
            "sha",
            "sha256",
            "contenthash",
            "blobid",
            "hex",
        ),
        *("versionid", "generation", "mtime", "lastmodified", "modified", "modify", "updated", "created"),
    }
)


def look(url: str) -> Input:
    """The input that stands for what is at ``url`` now.

    A file counts by its ETag where it has one, else by checksum, times and size, whichever its server tells; a
    directory or glob of a store that can list by the relative names in it and the same of each. ``"absent"`` where
    nothing is. The query counts too, but neither it nor a password is in the name.

    Raises
    ------
    FingerprintError
        When fsspec or the store's library is missing, the server cannot be reached or tells nothing that would
        change with the content.
    """
    name = _shown(url)
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise FingerprintError(
            f"{name} is declared as an input, and looking at URLs needs fsspec: pip install 'blockcache[remote]'. "
            f"{_WAY_OUT}",
            path=name,
        ) from error
    try:
        # "zip://a.csv::s3://b/c.zip", "simplecache::https://...": only what stands last can change by itself.
        last = url.rpartition("::")[2]
        fs, path = url_to_fs(last)
        fs.invalidate_cache()  # listings that fsspec keeps for the life of the process, those of folders below too
        rows = dict(_rows(fs, path, may_list=not last.startswith(("http:", "https:"))))
    except ImportError as error:
        raise FingerprintError(
            f"{name} cannot be looked at, a library is missing: {error}. Install it. {_WAY_OUT}", path=name
        ) from error
    except FingerprintError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {_without_secrets(str(error))}"
        raise FingerprintError(
            f"{name} cannot be looked at: {why}. Check that it can be reached from here, and that "
            f"what its scheme needs is installed (pip install 'blockcache[remote]' for http). {_WAY_OUT}",
            path=name,
        ) from error
    if not rows:
        return Input("file", name, files.ABSENT, "does not exist")
    hasher = xxhash.xxh3_128()
    # An ETag tells versions of one resource apart, and "?id=1" is another resource than "?id=2".
    for text in (url.partition("?")[2], *(part for row in sorted(rows) for part in (row, rows[row][0]))):
        hasher.update(b"%d:%b" % (len(data := text.encode(errors="surrogateescape")), data))
    sizes = [length for _, length in rows.values()]
    total = size(sum(length for length in sizes if length is not None)) if None not in sizes else ""
    if rows.keys() == {""}:
        return Input("file", name, hasher.hexdigest(), total)
    count = f"{len(rows)} file{'' if len(rows) == 1 else 's'}"
    return Input("file", name, hasher.hexdigest(), f"{count}, {total}" if total else count)


def _rows(fs: Any, path: str, *, may_list: bool) -> Iterator[tuple[str, tuple[str, int | None]]]:
    """Relative name ("" for ``path`` itself), version and size of each file; none where nothing is."""
    try:
        found = {path: fs.info(path)}
        root = path
    except FileNotFoundError as error:
        # The file system for http says "not found" for whatever goes wrong, with what it was as the cause.
        cause = error.__cause__
        if (
            cause is not None
            and getattr(cause, "status", None) not in _GONE
            and not isinstance(cause, FileNotFoundError)
        ):
            raise cause from None
        if not may_list or not files.has_wildcard(path):
            return
        found = fs.glob(path, detail=True)
        segments = path.split("/")
        root = "/".join(segments[: next(i for i, s in enumerate(segments) if files.has_wildcard(s))])
    for place, info in found.items():
        if info.get("type") != "directory":
            yield place.removeprefix(root).lstrip("/"), _version(place, info)
            continue
        for inner, details in fs.find(place, detail=True).items():
            yield inner.removeprefix(root).lstrip("/"), _version(inner, details)


def _version(place: str, info: Mapping[str, Any]) -> tuple[str, int | None]:
    told = {
        name.lower().replace("-", "").replace("_", ""): said for name, said in info.items() if said not in (None, "")
    }
    length = told.get("size") if isinstance(told.get("size"), int) else None
    if "etag" in told:
        return f"etag {told['etag']}", length
    facts = sorted(_TELLING & told.keys())
    if not facts:
        shown = _shown(place)
        raise FingerprintError(
            f"{shown} cannot be an input by itself: its server tells neither ETag nor checksum nor time of change, "
            "so a new version would not be seen. Declare a function that tells whether it changed",
            path=shown,
        )
    return "; ".join(f"{fact} {told[fact]}" for fact in (*facts, "size") if fact in told), length


def _shown(url: str) -> str:
    """``url`` as it can be stored and shown."""
    # Other schemes than http have no query: a "?" is a wildcard there.
    return _without_secrets(url) if url.rpartition("::")[2].startswith(("http:", "https:")) else _USER.sub("//", url)


def _without_secrets(text: str) -> str:
    """``text`` without the parts of URLs that may be secret: user and password, and queries, which hold signatures."""
    return re.sub(r"\?[^\s'\"]+", "?…", _USER.sub("//", text))
