"""Declared inputs: what the user names in ``inputs=``, and what it is at a lookup.

Every declaration becomes an input with a name that people recognise and a digest of what it stands for *now*:
files by content, URLs by what their server says of them, environment variables, values, results of callables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import xxhash

from blockcache import files
from blockcache.errors import CacheError, FingerprintError, SettingError
from blockcache.model import Input
from blockcache.report import size
from blockcache.settings import seconds_of

if TYPE_CHECKING:
    from datetime import timedelta

_ALLOWED = (
    "Allowed are paths, globs, directories and URLs (text or path objects), '@name' for a set of "
    "[tool.blockcache.inputs], file(...), env(...), value(...), and functions without arguments"
)
_UNSET = "unset"
# async def, generators: what a call of them gives has no content.
_SUSPENDED_FLAGS = 0x20 | 0x80 | 0x200


class Declared:
    """One thing that the user declares; made by :func:`file`, :func:`env`, :func:`value` or a bare entry."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class File(Declared):
    """A file, directory or glob."""

    path: str
    #: Read from ``path`` once: a lookup should not have to.
    is_glob: bool = field(init=False)
    place: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_glob", files.has_wildcard(self.path))
        # A path that stays "~/data" would never exist, and never change. A local URL is a file like any other.
        object.__setattr__(self, "place", os.path.expanduser(self.path.removeprefix("file://")))


@dataclass(frozen=True, slots=True)
class Remote(Declared):
    """What is at a URL."""

    url: str


@dataclass(frozen=True, slots=True)
class Env(Declared):
    """An environment variable."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Value(Declared):
    """A value, by its content at the lookup."""

    value: object
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call(Declared):
    """A function that is called at every lookup; its result counts by content."""

    function: Callable[[], object]
    name: str
    note: str


@dataclass(frozen=True, slots=True)
class Named(Declared):
    """A set of ``[tool.blockcache.inputs]``."""

    name: str


def file(path: str | os.PathLike[str]) -> Declared:
    """Declare a file, directory, glob or URL as an input, by content.

    Parameters
    ----------
    path
        A path or glob, relative to the current directory, as for ``open()``; ``~`` is the home directory. A glob has
        ``*``, ``?`` or ``[``, and ``**`` for any depth; names that start with a dot must be asked for. Or a URL
        (``scheme://``), which counts by its ETag, or else by the checksum, size and times that its server tells.

    Raises
    ------
    CacheError
        When it is not text or a path object, or empty.
    """
    return _file(path, "file()")


def env(name: str) -> Declared:
    """Declare an environment variable as an input; unset and empty differ.

    Raises
    ------
    CacheError
        When there cannot be a variable of this name.
    """
    if not isinstance(name, str) or not name or "=" in name or "\0" in name or not _is_encodable(name):
        raise CacheError(f"env() takes the name of an environment variable, not {_shown(name)}: env('DATA_VERSION')")
    return Env(name)


def value(x: object, name: str | None = None) -> Declared:
    """Declare a value as an input, by its content at the lookup.

    Parameters
    ----------
    x
        Anything that has content: numbers, text, containers, arrays, frames.
    name
        What it is called when it changes; without one, ``value``.

    Raises
    ------
    CacheError
        When ``name`` is not text, or empty.
    """
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise CacheError(f"value() takes text as the name, not {_shown(name)}: value(x, name='threshold')")
    return Value(x, name or "value")


def check(declared: object) -> tuple[Declared, ...]:
    """The argument ``inputs=`` of a block, one declaration each.

    Parameters
    ----------
    declared
        Something that gives declarations in order, or a single one.

    Raises
    ------
    CacheError
        When an entry cannot be one; names its position, what was given and what is allowed.
    """
    if isinstance(declared, str | os.PathLike | Declared) or callable(declared):
        declared = (declared,)
    if isinstance(declared, Mapping | bytes | bytearray):
        raise CacheError(f"inputs= is {_shown(declared)}; it takes a list. {_ALLOWED}")
    try:
        entries = list(declared)  # type: ignore[call-overload]
    except TypeError:
        raise CacheError(f"inputs= is {_shown(declared)}; it takes a list. {_ALLOWED}") from None
    return tuple(_parse(entry, f"inputs[{i}]") for i, entry in enumerate(entries))


def evaluate(
    declared: Sequence[object],
    *,
    folder: str,
    sets: Mapping[str, Sequence[str]],
    sets_folder: str,
    fingerprint: Callable[[object, str], str],
    memo: str | None,
) -> list[Input]:
    """What the declared inputs are now.

    Parameters
    ----------
    declared
        What :func:`check` gave.
    folder
        The directory that bare relative paths start from: the current one, not the script's. The same text in the
        body's own ``open()`` means the file in the current directory, and that is the file the result depends on.
    sets, sets_folder
        The sets of ``[tool.blockcache.inputs]``, and the directory of that ``pyproject.toml``, which their
        paths start from: a set is shared by scripts that are started in different places.
    fingerprint
        Digest of a value's content; the text is what messages call it.
    memo
        The folder of the re-hash memo, see :func:`blockcache.files.content`.

    Returns
    -------
    list of Input
        In order; one that is declared twice is there once, and different ones of the same name are numbered.

    Raises
    ------
    FingerprintError
        When an input cannot be looked at; names it and the way out.
    SettingError
        When a set does not exist, contains itself, or holds what it cannot.
    """
    found: dict[tuple[str, str], Input] = {}
    seen: set[tuple[object, ...]] = set()
    for entry, base in _spread(declared, folder, sets, sets_folder):
        # Equal content is not enough to be one input: of three files a, b, c the contents x, y, x and x, y, y
        # must not look the same.
        if isinstance(entry, File):
            place = os.path.join(base, entry.place)
            identity: tuple[object, ...] = ("file", place)
        elif isinstance(entry, Value):
            identity = ("value", id(entry))
        elif isinstance(entry, Call):
            identity = ("call", id(entry.function))
        else:
            identity = (type(entry), entry)
        if identity in seen:
            continue
        seen.add(identity)
        if isinstance(entry, File):
            one = _of_file(entry, base, place, memo)
        elif isinstance(entry, Env):
            one = _of_env(entry)
        elif isinstance(entry, Value):
            one = Input("extra", entry.name, _content(entry.value, entry.name, fingerprint), "")
        elif isinstance(entry, Call):
            one = _of_call(entry, fingerprint)
        elif isinstance(entry, Remote):
            from blockcache.remote import look

            one = look(entry.url)
        else:
            raise CacheError(f"inputs= holds a {type(entry).__name__}, which cannot be evaluated")
        name, number = one.name, 1
        while (one.kind, name) in found:
            number += 1
            name = f"{one.name} ({number})"
        found[one.kind, name] = one._replace(name=name)
    return list(found.values())


def parse_ttl(text_or_seconds: str | float | timedelta) -> float:
    """How old an entry may be, in seconds, see :func:`blockcache.settings.seconds_of`.

    Raises
    ------
    CacheError
        When it is no such time.
    """
    try:
        return seconds_of(text_or_seconds)
    except ValueError as error:
        raise CacheError(f"ttl={_shown(text_or_seconds)}: it takes {error}") from None


# ---- declarations ----


def _parse(entry: object, where: str) -> Declared:
    if isinstance(entry, Declared):
        return entry
    if isinstance(entry, str):
        if entry.startswith("@"):
            if not entry[1:].strip():
                raise CacheError(f"{where} is {entry!r}, a set without a name. {_ALLOWED}")
            return Named(entry[1:])
        if entry.startswith("env:"):
            # Read as a path it would never exist, and a change of the variable would never be seen.
            raise CacheError(
                f"{where} is {entry!r}; write env({entry[4:]!r}), or file({entry!r}) for a file of that name"
            )
        return _file(entry, where)
    if isinstance(entry, os.PathLike):
        return _file(entry, where)
    if isinstance(entry, type):
        raise CacheError(f"{where} is the class {entry.__qualname__}; write value(...) or a function. {_ALLOWED}")
    if callable(entry):
        return _call(entry, where)
    if isinstance(entry, bytes):
        raise CacheError(f"{where} is {_shown(entry)}; write a path of bytes as os.fsdecode(path). {_ALLOWED}")
    is_collection = isinstance(entry, list | tuple | set | frozenset)
    hint = "list its members one by one" if is_collection else "write value(...) around it"
    raise CacheError(f"{where} is {_shown(entry)}; {hint}. {_ALLOWED}")


def _file(path: object, where: str) -> Declared:
    text = path
    if isinstance(path, os.PathLike):
        try:
            text = os.fspath(path)
        except Exception as error:  # path objects of remote stores refuse to be local paths
            raise CacheError(
                f"{where} is {_shown(path)}, which is no local path; give its URL as text ({error})"
            ) from None
    if not isinstance(text, str):
        raise CacheError(f"{where} is {_shown(text)}; it takes text or a path object")
    if not text.strip() or "\0" in text or not _is_encodable(text):
        raise CacheError(f"{where} is {text!r}, which is no path. {_ALLOWED}")
    if "://" in text and not text.startswith("file://"):
        return Remote(text)
    scheme, _, rest = text.partition(":/")
    if text is not path and rest and len(scheme) > 1 and scheme.isalnum():
        raise CacheError(f"{where} is {_shown(path)}: a path object loses a slash of a URL; give it as text")
    return File(text)


def _call(function: Callable[[], object], where: str) -> Declared:
    inner: object = function
    while hasattr(inner, "func") and not hasattr(inner, "__qualname__"):  # functools.partial
        inner = inner.func
    code = getattr(inner, "__code__", None)
    if code is not None and code.co_flags & _SUSPENDED_FLAGS:
        raise CacheError(f"{where} is {_shown(function)}, an async function or generator; give a plain function")
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    if code is not None and name.rpartition(".")[2] == "<lambda>":
        # The line is for people: in the name it would make a miss of every edit above the lambda.
        return Call(function, "lambda", f"line {code.co_firstlineno}")
    return Call(function, name, "")


def _spread(
    declared: Sequence[object], folder: str, sets: Mapping[str, Sequence[str]], sets_folder: str
) -> Iterator[tuple[Declared, str]]:
    """Each declaration with the folder that its path starts from; sets replaced by what is in them."""
    for i, entry in enumerate(declared):
        one = _parse(entry, f"inputs[{i}]")
        if isinstance(one, Named):
            for member in _members(one.name, sets, ()):
                yield member, sets_folder
        else:
            yield one, folder


def _members(name: str, sets: Mapping[str, Sequence[str]], above: tuple[str, ...]) -> Iterator[Declared]:
    place = "[tool.blockcache.inputs]"
    chain = " -> ".join(f"@{n}" for n in (*above, name))
    if name in above:
        raise SettingError(f"{place}: a set contains itself: {chain}")
    if name not in sets:
        import difflib

        near = difflib.get_close_matches(name, sets, n=3)
        there = ", ".join(f"@{n}" for n in sets) or "none"
        hint = f"did you mean {' or '.join(f'@{n}' for n in near)}?" if near else f"there are: {there}"
        raise SettingError(f"{place}: there is no set {chain}; {hint}")
    for member in sets[name]:
        if member.startswith("@"):
            yield from _members(member[1:], sets, (*above, name))
            continue
        try:
            yield env(member[4:]) if member.startswith("env:") else _file(member, f"{member!r}")
        except CacheError as error:
            raise SettingError(f"{place}: {name}: {error}") from None


# ---- what they are now ----


def _of_file(entry: File, base: str, place: str, memo: str | None) -> Input:
    found = files.matching(base, entry.place, memo) if entry.is_glob else files.content(place, memo)
    if found.digest == files.ABSENT:
        note = "matches nothing" if entry.is_glob else "does not exist"
    elif entry.is_glob or found.digest.startswith("directory-"):
        note = f"{found.files} file{'' if found.files == 1 else 's'}, {size(found.size_bytes)}"
    else:
        note = size(found.size_bytes)
    return Input("file", _printable(entry.path), found.digest, note)


def _of_env(entry: Env) -> Input:
    text = os.environ.get(entry.name)
    if text is None:
        return Input("env", entry.name, _UNSET, "not set")
    return Input("env", entry.name, xxhash.xxh3_128_hexdigest(os.fsencode(text)), "set" if text else "empty")


def _of_call(entry: Call, fingerprint: Callable[[object, str], str]) -> Input:
    called = f"{entry.name}() in inputs=" if not entry.note else f"the {entry.name} ({entry.note}) in inputs="
    try:
        result = entry.function()
    except Exception as error:
        raise FingerprintError(
            f"{called} raised {type(error).__name__}: {error}. "
            "Let it return something that stands for this case, such as None, or take it out",
            path=entry.name,
        ) from error
    return Input("extra", entry.name, _content(result, called, fingerprint), entry.note)


def _content(x: object, name: str, fingerprint: Callable[[object, str], str]) -> str:
    try:
        return fingerprint(x, name)
    except FingerprintError as error:
        raise FingerprintError(
            f"{error}. Declare something that has content and tells whether it changed: a number, text, a row count",
            path=error.path or name,
        ) from error


def _is_encodable(text: str) -> bool:
    """Whether the system can be asked for it."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _printable(name: str) -> str:
    """``name`` as it can be stored and shown; bytes that are no UTF-8 as ``\\xff``."""
    return name if name.isascii() else os.fsencode(name).decode(errors="backslashreplace")


def _shown(given: object) -> str:
    """What was given, short: type, and the value where that is safe to show."""
    kind = type(given).__qualname__
    if isinstance(given, str | int | float | bytes | os.PathLike) or given is None:
        text = repr(given)
        return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"
    return f"a {kind}"
