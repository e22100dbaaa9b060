"""Settings: what they are, where each comes from, and where the store is.

From strongest to weakest: an argument of the call, :func:`configure`, the
environment (``BLOCKCACHE_MODE`` and so on), ``[tool.blockcache]`` in the
nearest ``pyproject.toml`` upward from the script or notebook, the default.

Found files are remembered for the life of the process: a ``pyproject.toml``
that changes is read again, one that appears nearer by is not.
"""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, get_args

from blockcache.errors import CacheWarning, SettingError

if TYPE_CHECKING:
    from datetime import timedelta

Mode = Literal["on", "off", "refresh", "readonly", "frozen", "verify"]
Pickle = Literal["allowed", "never"]
Compression = Literal["none", "zstd"]

#: The folder of the default store.
STORE_FOLDER = ".blockcache"

_ARGUMENT = "argument"
_CONFIGURE = "configure()"
_DEFAULT = "default"


class _UnreadableError(SettingError):
    """A ``pyproject.toml`` that is there and cannot be read."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force at one place.

    Attributes
    ----------
    store
        The store's directory as it was written, None for the default; see :func:`store_path`.
    mode
        ``on``, ``off`` (as if blockcache were not there), ``refresh`` (run and overwrite),
        ``readonly`` (look up, never save), ``frozen`` (a miss is an error), ``verify`` (run the body
        on a hit too and compare).
    quiet
        No line on standard error.
    strict
        Trouble in the cache is raised instead of warned about.
    log
        A file that gets one line of JSON per block, as it was written; see :func:`log_path`.
    sample
        The share of hits that ``mode="verify"`` runs again, above 0 and at most 1.
    capture
        What is recorded of a body's output beside Python's streams, warnings and displays: ``descriptors``,
        ``logs``; or ``off``, for nothing.
    capture_limit
        Bytes of a body's output that are kept.
    memory
        Bytes of results of cached functions that this process may hold in memory, in front of the store.
    wait
        Seconds to wait, at most, for another run of the same block that is going on; 0: not at all; None: as long
        as it goes on.
    max_size
        Bytes that the store may hold; infinite for no limit, None for the default, a tenth of the disk, see
        :func:`blockcache.room.max_bytes`.
    keep
        How many entries of one name stay in the store, newest first; None for all.
    ttl
        Seconds after which no entry is served, and none stays in the store; None for no such time.
    pickle
        ``allowed``, or ``never``: only values that have a typed form are saved and loaded, and nothing is unpickled.
    compression
        ``none``, or ``zstd``: streams of many small objects are saved in fewer bytes.
    save_always
        Results that take longer to load than to make are kept too.
    redact
        Regular expressions; what they match in source texts and notes is not written to the store.
    inputs
        Named sets of declared inputs, from ``pyproject.toml`` only.
    origin
        Where each setting comes from: ``default``, the path of a ``pyproject.toml``, the name of an
        environment variable, ``configure()`` or ``argument``.
    """

    store: str | None = None
    mode: Mode = "on"
    quiet: bool = False
    strict: bool = False
    log: str | None = None
    sample: float = 1.0
    capture: tuple[str, ...] = ()
    capture_limit: int = 10_000_000
    memory: int = 256_000_000
    wait: float | None = None
    max_size: float | None = None
    keep: int | None = None
    ttl: float | None = None
    pickle: Pickle = "allowed"
    compression: Compression = "none"
    save_always: bool = False
    redact: tuple[str, ...] = ()
    inputs: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)


class Choices(TypedDict, total=False):
    """What :func:`configure` takes; None unsets a setting."""

    store: str | os.PathLike[str] | None
    mode: Mode | None
    quiet: bool | None
    strict: bool | None
    log: str | os.PathLike[str] | None
    sample: float | str | None
    capture: str | Sequence[str] | None
    capture_limit: int | str | None
    memory: int | str | None
    wait: str | float | timedelta | bool | None
    max_size: int | str | None
    keep: int | str | None
    ttl: float | str | timedelta | None
    pickle: Pickle | None
    compression: Compression | None
    save_always: bool | None
    redact: Sequence[str] | None


def _one_of(*words: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError(f"one of {', '.join(words)}")

    return check


def _as_flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def _as_path(value: object) -> str:
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(path, str) and path.strip() and "\0" not in path and "://" not in path:
        return path
    raise ValueError("the path of a local file or directory")


def share(value: object) -> float:
    """A share above 0 and at most 1, from a number or text such as ``5%``; a ValueError says what it can be."""
    wanted = ValueError("a share such as 0.05 or '5%', above 0 and at most 1")
    try:
        text = str(value).strip()
        found = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise wanted from None
    if isinstance(value, bool) or not 0 < found <= 1:
        raise wanted
    return found


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def size_of(value: object) -> int:
    """A number of bytes, from a number or text such as ``256 MB``; a ValueError says what it can be."""
    text = "" if isinstance(value, bool) else str(value).strip().lower()
    number = text.rstrip("bkmgt ")
    unit = text[len(number) :].strip()
    try:
        found = int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        found = -1
    if found < 0:
        raise ValueError("a number of bytes, or text such as '256 MB'; 0 for none")
    return found


# "m" is not there: it is minutes for some and months for others.
_UNITS_S = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}


def seconds_of(value: object) -> float:
    """A time in seconds, from a number, a timedelta or text such as ``1h 30min``; a ValueError says what it can be."""
    from datetime import timedelta

    seconds = math.nan
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        import re

        part = r"(\d+(?:\.\d+)?)\s*([a-z]+)"
        text = value.strip().lower()
        if re.fullmatch(rf"(?:{part}\s*)+", text):
            seconds = sum(float(number) * _UNITS_S.get(unit, math.nan) for number, unit in re.findall(part, text))
        elif re.fullmatch(r"\d+(?:\.\d+)?", text):
            seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError("seconds above 0, a timedelta, or text such as '90s', '15min', '2h', '1d', '1w'")
    return seconds


def _as_wait(value: object) -> float | None:
    text = value.strip().lower() if isinstance(value, str) else value
    if text is True or text in ("on", "true", "yes"):
        return None
    if text is False or text in ("off", "false", "no", "0", 0):
        return 0.0
    try:
        return seconds_of(value)
    except ValueError as error:
        raise ValueError(f"on, off, {error}") from None


def _as_room(value: object) -> float:
    if value == "none":
        return math.inf
    try:
        found = size_of(value)
    except ValueError:
        found = 0
    if not found:
        raise ValueError("a number of bytes above 0, text such as '20 GB', or 'none' for no limit")
    return found


def _as_count(value: object) -> int:
    text = "" if isinstance(value, bool) else str(value).strip()
    if not text.isdecimal() or not int(text):
        raise ValueError("a whole number above 0")
    return int(text)


def _as_patterns(value: object) -> tuple[str, ...]:
    import re

    patterns = [value] if isinstance(value, str) else value
    if isinstance(patterns, Sequence) and all(isinstance(p, str) for p in patterns):
        try:
            for pattern in patterns:
                re.compile(pattern)
        except re.error as error:
            raise ValueError(f"a list of regular expressions ({error})") from None
        return tuple(patterns)
    raise ValueError("a list of regular expressions")


def _as_capture(value: object) -> tuple[str, ...]:
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if isinstance(words, Sequence) and all(isinstance(word, str) for word in words):
        found = tuple(sorted({*words} - {"on"}))
        if found == ("off",) or {"descriptors", "logs"}.issuperset(found):
            return found
    raise ValueError("on, off, or a list of: descriptors, logs")


def _as_sets(value: object) -> Mapping[str, tuple[str, ...]]:
    wanted = ValueError("a table of lists of paths, globs, URLs, env:NAME and @sets")
    if not isinstance(value, Mapping):
        raise wanted
    for members in value.values():
        if not isinstance(members, list) or not all(isinstance(m, str) for m in members):
            raise wanted
    return MappingProxyType({name: tuple(members) for name, members in value.items()})


_CHECKS: Mapping[str, Callable[[object], Any]] = {
    "store": _as_path,
    "mode": _one_of(*get_args(Mode)),
    "quiet": _as_flag,
    "strict": _as_flag,
    "log": _as_path,
    "sample": share,
    "capture": _as_capture,
    "capture_limit": size_of,
    "memory": size_of,
    "wait": _as_wait,
    "max_size": _as_room,
    "keep": _as_count,
    "ttl": seconds_of,
    "pickle": _one_of(*get_args(Pickle)),
    "compression": _one_of(*get_args(Compression)),
    "save_always": _as_flag,
    "redact": _as_patterns,
    "inputs": _as_sets,
}
#: What only a pyproject.toml can say: it has no environment variable and no place in :func:`configure`.
_FILE_ONLY = frozenset({"inputs"})
#: The environment variable of each setting.
VARIABLES: Mapping[str, str] = {name: f"BLOCKCACHE_{name.upper()}" for name in _CHECKS if name not in _FILE_ONLY}
_FLAG_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}

# What configure() has set, and how many times it has been called. This is replaced, never changed, and the
# dictionaries below change by single stores only: threads need no lock.
_configured: tuple[int, Mapping[str, Any]] = (0, {})
_pyproject_of: dict[str, str | None] = {}
_root_of: dict[str, str] = {}
_warned: set[str] = set()
_tables: dict[str, tuple[tuple[int, int, int], Mapping[str, Any]]] = {}
_ENCODED = frozenset(map(os.environ.encodekey, VARIABLES.values()))
_NONE_SET: tuple[str | None, ...] = (None,) * len(VARIABLES)
_resolved: dict[tuple[object, ...], Settings] = {}


def configure(**settings: Unpack[Choices]) -> None:
    """Set settings for this process, above the environment and ``pyproject.toml``.

    Parameters
    ----------
    **settings
        ``store``: directory of the store, relative to the current directory as it is now.
        ``mode``: ``"on"``, ``"off"``, ``"refresh"``, ``"readonly"``, ``"frozen"`` or ``"verify"``.
        ``quiet``: no line on standard error. ``strict``: raise trouble in the cache instead of
        warning. ``log``: a file that gets one line of JSON per block. ``sample``: the share of hits that
        ``mode="verify"`` runs again. ``capture``: ``"descriptors"``, ``"logs"``, a list of both, or ``"off"``.
        ``capture_limit``: bytes of a body's output that are kept (``"10 MB"``). ``memory``: bytes of results of cached
        functions that this process may hold (``"256 MB"``). ``wait``: how long at most to wait for another run of the
        same block (``"10min"``), ``"off"``, or ``"on"``: as long as it goes on. ``max_size``: bytes that the store may
        hold (``"20 GB"``, ``"none"``). ``keep``: how many entries of one name stay in it. ``ttl``: how old an entry may
        be (``"30d"``). ``pickle``: ``"never"`` saves and loads typed forms only. ``compression``: ``"zstd"`` saves
        streams of many small objects in fewer bytes. ``save_always``: results that take
        longer to load than to make are kept too. ``redact``: regular expressions of what is not written to the store.
        None unsets a setting; a setting that is not named stays as it is.

    Raises
    ------
    SettingError
        When there is no such setting or it cannot have that value; nothing is changed then.
    """
    global _configured
    changed = dict(_configured[1])
    for name, value in settings.items():
        if name not in VARIABLES:
            raise SettingError(f"{_CONFIGURE}: {_unknown(name)}")
        if value is None:
            changed.pop(name, None)
            continue
        checked = _check(name, value, _CONFIGURE)
        # A later chdir must not move what the program has chosen.
        changed[name] = os.path.abspath(os.path.expanduser(checked)) if name in ("store", "log") else checked
    _configured = (_configured[0] + 1, changed)


def resolve(
    anchor: str,
    *,
    mode: str | None = None,
    store: str | os.PathLike[str] | None = None,
    capture: str | Sequence[str] | None = None,
    max_size: str | None = None,
    keep: str | None = None,
) -> Settings:
    """The settings in force for code in the directory ``anchor``.

    Parameters
    ----------
    anchor
        The directory of the script or notebook.
    mode, store, capture, max_size, keep
        Arguments of the call, above everything else when they are not None.

    Raises
    ------
    SettingError
        When a setting has a value that it cannot have; names the value, the place and the allowed ones.
    """
    given = (("mode", mode), ("store", store), ("capture", capture), ("max_size", max_size), ("keep", keep))
    arguments = {name: _check(name, value, _ARGUMENT) for name, value in given if value is not None}
    pyproject, stamp = _pyproject(anchor)
    environment = _environment()
    version, configured = _configured
    state = (anchor, pyproject, stamp, environment, version, *arguments.items())
    known = _resolved.get(state)
    if known is not None:
        return known
    found: dict[str, Any] = {}
    origin: dict[str, str] = dict.fromkeys(_CHECKS, _DEFAULT)
    if pyproject is not None and stamp is not None:
        for name, value in _table(pyproject, stamp).items():
            found[name], origin[name] = value, pyproject
    for (name, variable), text in zip(VARIABLES.items(), environment, strict=True):
        if text:  # an empty variable is an unset one
            found[name], origin[name] = _from_text(name, text, variable), variable
    for place, chosen in ((_CONFIGURE, configured), (_ARGUMENT, arguments)):
        for name, value in chosen.items():
            found[name], origin[name] = value, place
    settings = Settings(**found, origin=MappingProxyType(origin))
    if len(_resolved) > 1000:  # a program that changes its settings all the time must not grow for ever
        _resolved.clear()
    _resolved[state] = settings
    return settings


def _environment() -> tuple[str | None, ...]:
    """What the variables of all settings hold."""
    # A variable that is not set costs `os.environ.get` two exceptions; what it looks into costs next to nothing.
    held = getattr(os.environ, "_data", None)
    if type(held) is dict and held.keys().isdisjoint(_ENCODED):
        return _NONE_SET
    return tuple(map(os.environ.get, VARIABLES.values()))


def in_force(
    anchor: str,
    *,
    mode: str | None = None,
    store: str | os.PathLike[str] | None = None,
    capture: str | Sequence[str] | None = None,
) -> Settings:
    """Like :func:`resolve`, for a program that runs: a file that cannot be read is a warning, and mode ``off``.

    What it says is not known then, and the program shall have its own result.

    Raises
    ------
    SettingError
        As :func:`resolve` does; of a file that cannot be read, where the mode is known to be ``frozen``.
    """
    try:
        return resolve(anchor, mode=mode, store=store, capture=capture)
    except _UnreadableError as error:
        if "frozen" in (mode, os.environ.get(VARIABLES["mode"]), _configured[1].get("mode")):
            raise
        if str(error) not in _warned:
            _warned.add(str(error))
            with contextlib.suppress(CacheWarning):  # under `-W error`
                warnings.warn(f"{error}. Bodies run as in mode off", CacheWarning, stacklevel=4)
        return Settings(mode="off")


def store_path(settings: Settings, anchor: str) -> str:
    """The absolute path of the store's directory for code in the directory ``anchor``.

    Without an explicit store: ``.blockcache`` in the first directory upward from ``anchor`` that has
    ``pyproject.toml`` or ``.git``, else in ``anchor`` itself.
    """
    if settings.store is not None:
        return _absolute(settings.store, settings.origin["store"])
    root = _root_of.get(anchor)
    if root is None:
        marks = ("pyproject.toml", ".git")
        here = os.path.abspath(anchor)
        root = next((d for d in _upward(here) if any(os.path.exists(os.path.join(d, m)) for m in marks)), here)
        if os.path.isabs(anchor):
            _root_of[anchor] = root
    return os.path.join(root, STORE_FOLDER)


def local_folder() -> str:
    """Where this machine keeps what only saves it time: digests of unchanged files, what is known of sources.

    Never in a store, which others may read: a source is its owner's business.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "blockcache")


def log_path(settings: Settings) -> str | None:
    """The absolute path of the file that gets one line of JSON per block, or None."""
    return None if settings.log is None else _absolute(settings.log, settings.origin["log"])


def _absolute(path: str, origin: str) -> str:
    path = os.path.expanduser(path)
    if os.path.isabs(origin):  # a pyproject.toml: its paths are relative to it
        path = os.path.join(os.path.dirname(origin), path)
    return os.path.abspath(path)


def _upward(directory: str) -> list[str]:
    found = [directory]
    while (parent := os.path.dirname(found[-1])) != found[-1]:
        found.append(parent)
    return found


def _pyproject(anchor: str) -> tuple[str | None, tuple[int, int, int] | None]:
    """The nearest pyproject.toml and a stamp of its content; a file that went away is looked for again."""
    path = _pyproject_of.get(anchor, "")
    if path is None:
        return None, None
    if path:
        try:
            stat = os.stat(path)
            return path, (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            pass
    candidates = (os.path.join(d, "pyproject.toml") for d in _upward(os.path.abspath(anchor)))
    path = next(filter(os.path.isfile, candidates), None)
    if os.path.isabs(anchor):
        _pyproject_of[anchor] = path
    if path is None:
        return None, None
    try:
        stat = os.stat(path)
    except OSError:  # it went away this very moment
        return None, None
    return path, (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _table(path: str, stamp: tuple[int, int, int]) -> Mapping[str, Any]:
    """The checked ``[tool.blockcache]`` of the file, read again when its stamp is another."""
    known = _tables.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    try:
        with open(path, "rb") as file:
            data = file.read()
        raw: dict[str, Any] = {}
        if b"blockcache" in data:  # else there is nothing for us, and the parser costs more to import than a hit takes
            import tomllib

            raw = tomllib.loads(data.decode())
    except OSError as error:
        raise _UnreadableError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SettingError(f"{path}: cannot be read: {error}") from error
    place = f"{path} [tool.blockcache]"
    tool = raw.get("tool", {})
    table = tool.get("blockcache", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise SettingError(f"{path}: tool.blockcache is {table!r}; it must be a table of settings")
    for name in table:
        if name not in _CHECKS:
            raise SettingError(f"{place}: {_unknown(name)}")
    checked = {name: _check(name, value, place) for name, value in table.items()}
    _tables[path] = (stamp, checked)
    return checked


def _check(name: str, value: object, place: str) -> Any:
    try:
        return _CHECKS[name](value)
    except ValueError as error:
        raise SettingError(f"{place}: {name} is {value!r}; it must be {error}") from None


def _from_text(name: str, text: str, variable: str) -> Any:
    """An environment variable's value; flags have words there."""
    if _CHECKS[name] is not _as_flag:
        return _check(name, text, variable)
    flag = _FLAG_WORDS.get(text.strip().lower())
    if flag is None:
        raise SettingError(f"{variable}: {name} is {text!r}; it must be one of {', '.join(_FLAG_WORDS)}")
    return flag


def _unknown(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, _CHECKS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(_CHECKS)}"
    return f"there is no setting {name!r}; {hint}"
