"""Names and digests of discovered inputs, and their check against the present."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

import xxhash

from blockcache import files
from blockcache.errors import FingerprintError
from blockcache.model import Difference, Input, Stat

#: Ends of names of inputs that are not the content of a file: the names in a folder, the names that a glob finds,
#: whether there is something.
LISTING, GLOB, EXISTS = " (listing)", " (glob)", " (exists)"
#: The names of all environment variables.
ALL_NAMES = "* (names)"
UNSET = "unset"
UNREADABLE = "unreadable"

#: Variables that differ from session to session and say nothing about the work; they count when read by name.
_VOLATILE = frozenset(
    # fmt: off
    {
        "_",
        "COLUMNS",
        "COLORTERM",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "JPY_PARENT_PID",
        "JPY_SESSION_NAME",
        "LINES",
        "MANAGERPID",
        "OLDPWD",
        "PWD",
        "PYTEST_CURRENT_TEST",
        "SESSION_MANAGER",
        "SHLVL",
        "STY",
        "SYSTEMD_EXEC_PID",
        "TERM",
        "TERM_PROGRAM",
        "TERM_PROGRAM_VERSION",
        "TERM_SESSION_ID",
        "TMUX",
        "TMUX_PANE",
        "WAYLAND_DISPLAY",
        "WINDOWID",
        "XAUTHORITY",
        "XDG_SESSION_ID",
        "XDG_VTNR",
    }
    # fmt: on
)
_VOLATILE_FAMILIES = ("BLOCKCACHE_", "COV_", "GPG_", "ITERM_", "KITTY_", "KONSOLE_", "SSH_", "VSCODE_", "VTE_")


def is_volatile(variable: str) -> bool:
    """Whether an environment variable is left out where the whole environment is read."""
    return variable in _VOLATILE or variable.startswith(_VOLATILE_FAMILIES)


def of_variable(value: str | None) -> str:
    """Digest of the value of an environment variable, None for one that is not set."""
    return UNSET if value is None else xxhash.xxh3_128_hexdigest(value.encode("utf-8", "surrogateescape"))


def of_names(variables: Iterable[str]) -> str:
    """Digest of the names of environment variables."""
    kept = sorted(name for name in variables if not is_volatile(name))
    return xxhash.xxh3_128_hexdigest("\0".join(kept).encode("utf-8", "surrogateescape"))


def of_names_at(name: str) -> str:
    """Digest of what an input named with :data:`LISTING`, :data:`GLOB` or :data:`EXISTS` finds now."""
    if name.endswith(EXISTS):
        place = name.removesuffix(EXISTS)
        return "directory" if os.path.isdir(place) else "file" if os.path.exists(place) else files.ABSENT
    if name.endswith(LISTING):
        return files.listing(name.removesuffix(LISTING))
    pattern = name.removesuffix(GLOB)
    base, _, rest = pattern.rpartition(os.sep)
    while files.has_wildcard(base):
        base, _, first = base.rpartition(os.sep)
        rest = os.path.join(first, rest)
    if not base:
        base = os.sep if pattern.startswith(os.sep) else os.curdir
    return files.listing(base, rest)


def is_content(name: str) -> bool:
    """Whether an input of this name is the content of a file."""
    return not name.endswith((LISTING, GLOB, EXISTS))


def changed(inputs: Iterable[Input], stats: Mapping[str, Stat], memo: str | None = None) -> Iterator[Difference]:
    """Discovered inputs that are not now what they were, found one by one, the cheap ones first.

    Parameters
    ----------
    inputs
        Discovered inputs of the kinds ``file`` and ``env``. Relative names are looked up in the folder of now.
    stats
        By input name: what the file system said when the content was read. A file that has the same is not read again.
    memo
        As in :func:`blockcache.files.content`.

    Yields
    ------
    Difference
        ``now`` is the input as it is now.
    """
    to_read = []
    for was in inputs:
        if was.kind == "env":
            now = of_names(os.environ) if was.name == ALL_NAMES else of_variable(os.environ.get(was.name))
            if now != was.digest:
                yield Difference("env", was.name, was._replace(digest=now), was)
        elif was.kind == "file":
            to_read.append(was)
    for was in to_read:
        now = _digest(was, stats, memo)
        if now != was.digest:
            yield Difference("file", was.name, was._replace(digest=now), was)


def _digest(was: Input, stats: Mapping[str, Stat], memo: str | None) -> str:
    try:
        known = stats.get(was.name)
        if known is not None and files.stat_of(was.name) == known:
            return was.digest
        return files.digest(was.name, memo) if is_content(was.name) else of_names_at(was.name)
    except FingerprintError:
        return UNREADABLE
