"""The error tree.

Only :class:`BlockError` and :class:`FrozenMissError` reach the user's program.
Every other kind is caught at the block, becomes one :class:`CacheWarning`, and
the body's own result stands (the setting ``strict`` raises them all).
"""

from __future__ import annotations

from collections.abc import Mapping


class CacheError(Exception):
    """Base of every error that blockcache raises."""


class BlockError(CacheError):
    """The block is written in a way that a skip cannot honour.

    Raised before the body starts, on a first run as on a later one, so that a
    program never behaves differently the second time.

    Parameters
    ----------
    problem
        What cannot be honoured, in one clause.
    file, line
        Where it is written.
    way_out
        What to write instead.
    """

    def __init__(self, problem: str, *, file: str, line: int, way_out: str) -> None:
        super().__init__(f"{file}:{line}: {problem}. {way_out}")
        self.problem = problem
        self.file = file
        self.line = line
        self.way_out = way_out


class FingerprintError(CacheError):
    """A value has no content that can be fingerprinted (a connection, a generator, a lock)."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class CodecError(CacheError):
    """A value cannot be turned into bytes, or bytes cannot be turned back into it."""

    def __init__(self, message: str, *, refused: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        #: Variables that cannot be saved, each on its own account, with the reason.
        self.refused = dict(refused or {})


class StoreError(CacheError):
    """The store cannot be read or written (permissions, full disk, a name it cannot hold)."""


class IntegrityError(CacheError):
    """Bytes in the store are not the bytes that were saved (torn, truncated, foreign)."""


class SettingError(CacheError):
    """A setting has a value that it cannot have; the message names where the value comes from."""


class FrozenMissError(CacheError):
    """A block missed under ``mode="frozen"``, where every block must hit."""


class CacheWarning(UserWarning):
    """Trouble in the cache; the program's own result is not affected."""
