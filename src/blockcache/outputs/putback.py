"""Put output files back. All that can fail is done before a body is skipped; what is left are renames.

A file is written whole, under another name beside its place, and renamed into it. Its bytes are shared with the blob
where the file system can share blocks until one side writes (btrfs, XFS); else they are copied. A hard link would be as
quick and is never made: blob and output would be one file, and a program that writes into its output would write into
the store.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from blockcache import files
from blockcache.errors import CodecError
from blockcache.model import Blob, OutputFile
from blockcache.outputs.declared import ABSENT, EMPTIED, LINK, Declared, Look, look
from blockcache.stores import Store


@dataclass(slots=True)
class Staged:
    """Output files that stand beside their places.

    Attributes
    ----------
    paths
        Every path of the entry, those that are as they should be too.
    """

    paths: tuple[str, ...] = ()
    _removals: list[str] = field(default_factory=list)
    _renames: list[tuple[str, str]] = field(default_factory=list)
    _modes: list[tuple[str, int]] = field(default_factory=list)
    _folders: list[str] = field(default_factory=list)

    def apply(self) -> None:
        """Put everything into its place.

        Raises
        ------
        OSError
            When that was made impossible since it was staged; what can be done is done.
        """
        troubles: list[OSError] = []
        for path in self._removals:
            with _noted(troubles):
                _remove(path)
        for draft, path in self._renames:
            with _noted(troubles):
                os.rename(draft, path)
        for path, mode in reversed(self._modes):  # a folder after what is in it: it may be for reading only
            with _noted(troubles):
                os.chmod(path, mode)
        if troubles:
            self._renames = [(draft, path) for draft, path in self._renames if os.path.lexists(draft)]
            self.discard()
            raise troubles[0]

    def discard(self) -> None:
        """Leave everything as it was."""
        for draft, _ in self._renames:
            with contextlib.suppress(OSError):
                os.unlink(draft)
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):  # not empty, so not ours alone any more
                os.rmdir(folder)

    # -- staging ---------------------------------------------------------------------------

    def remove(self, path: str) -> None:
        """Let ``path`` and all below it be removed."""
        _need_writable(os.path.dirname(path))
        if os.path.isdir(path) and not os.path.islink(path):
            for folder, _, names in os.walk(path):
                if names:
                    _need_writable(folder)
        self._removals.append(path)

    def folder(self, path: str) -> bool:
        """Make a folder and those above it; whether it was not there."""
        if os.path.isdir(path):
            return False
        self.folder(os.path.dirname(path))
        os.mkdir(path)
        self._folders.append(path)
        return True

    def mode(self, path: str, mode: int, found: os.stat_result | None) -> None:
        """Let ``path`` have these permissions; ``found`` is what is there now."""
        if found is not None and os.geteuid() not in (0, found.st_uid):
            raise CodecError(f"{path} is another user's")
        self._modes.append((path, mode))

    def draft(self, path: str) -> str:
        """A name beside ``path`` for what will be renamed to it."""
        draft = os.path.join(os.path.dirname(path), f".blockcache-{os.urandom(8).hex()}")
        self._renames.append((draft, path))
        return draft


def stage(
    declared: Declared,
    rows: Iterable[OutputFile],
    store: Store,
    verify: Callable[[Blob], object],
    memo: str | None,
) -> Staged:
    """Write what is missing beside its place.

    Parameters
    ----------
    declared
        The places that the block declares now; nothing is written outside of them, whatever the rows say.
    rows
        The files of the entry.
    store
        Where their bytes are.
    verify
        Raises when a blob is missing or not what was saved.
    memo
        Folder that remembers the digests of files that did not change.

    Raises
    ------
    CacheError, OSError
        When something cannot be put back; everything is as it was then.
    """
    targets = [(row, declared.target(row.path, row.digest)) for row in rows]
    staged = Staged(tuple(path for _, path in targets))
    try:
        _stage_removals(staged, declared, targets)
        for row, path in targets:
            if row.is_file:
                _stage_file(staged, row, path, store, verify, memo)
            elif row.digest.startswith(LINK):
                _stage_link(staged, row, path)
            elif row.digest != ABSENT:
                _stage_folder(staged, row, path)
    except BaseException:
        staged.discard()
        raise
    return staged


def _stage_removals(staged: Staged, declared: Declared, targets: list[tuple[OutputFile, str]]) -> None:
    emptied = [path for row, path in targets if row.digest == EMPTIED]
    kept = {path for row, path in targets if row.digest != ABSENT}
    for path in tuple(kept):  # and the folders that they are in
        while path not in ("", "/") and (path := os.path.dirname(path)) not in kept:
            kept.add(path)
    gone: set[str] = set()
    for row, path in targets:
        if row.digest == ABSENT and os.path.lexists(path):
            gone.add(path)
    if emptied:
        for place in declared.places:
            gone.update(
                path
                for path, _ in declared.walk(place)
                if path not in kept and any(path.startswith(e + "/") for e in emptied)
            )
    for path in sorted(gone):
        if not any(path.startswith(other + "/") for other in gone):
            staged.remove(path)


def _stage_file(
    staged: Staged, row: OutputFile, path: str, store: Store, verify: Callable[[Blob], object], memo: str | None
) -> None:
    found = look(path)
    _need_kind(found, "file", path)
    has_size = found is not None and found.stat is not None and found.stat.size_bytes == row.size_bytes
    if found is not None and has_size and files.digest(path, memo) == row.digest:
        if found.mode != row.mode:
            staged.mode(path, row.mode, os.stat(path))
        return
    verify(Blob(row.digest, row.size_bytes))
    staged.folder(os.path.dirname(path))
    draft = staged.draft(path)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if not store.export(f"blobs/{row.digest}", fd):
            raise CodecError(f"the bytes of {row.path} are gone")
        os.fchmod(fd, row.mode)
    finally:
        os.close(fd)


def _stage_link(staged: Staged, row: OutputFile, path: str) -> None:
    found = look(path)
    _need_kind(found, "link", path)
    leads_to = row.digest.removeprefix(LINK)
    if found is None or found.leads_to != leads_to:
        staged.folder(os.path.dirname(path))
        os.symlink(leads_to, staged.draft(path))


def _stage_folder(staged: Staged, row: OutputFile, path: str) -> None:
    found = look(path)
    _need_kind(found, "directory", path)
    is_new = staged.folder(path)
    if row.mode and (is_new or (found is not None and found.mode != row.mode)):
        staged.mode(path, row.mode, os.stat(path))


def _need_kind(found: Look | None, kind: str, path: str) -> None:
    if found is not None and found.kind != kind:
        raise CodecError(f"a {found.kind} is in the place of the {kind} {path}")


def _need_writable(folder: str) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CodecError(f"the folder {folder} cannot be written")


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil  # what it imports would cost every start of a program

        shutil.rmtree(path)
    else:
        os.unlink(path)


@contextlib.contextmanager
def _noted(troubles: list[OSError]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        troubles.append(error)
