"""Source texts behind the inputs of a key, kept beside an entry so that a later miss can be shown as a diff.

Texts are for people. They are looked for when an entry is saved, never on a hit's way; what cannot be had, or may not
be what runs, is left out, and nothing here raises. What looks like a secret is taken out before a text is stored.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import linecache
import os
import re
import sys
import textwrap
import time
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence

from blockcache.fingerprint.code import facts
from blockcache.fingerprint.modules import origin_of_file
from blockcache.model import Input

#: What a secret becomes.
REDACTED = "[redacted]"

_LONGEST_CHARS = 64 << 10
_LONGEST_IN_ALL_CHARS = 1 << 20
#: Files that were written after this moment may not be what was loaded from them.
_STARTED_S = time.time()
_NAMES = r"(?:passw(?:or)?d|pwd|passphrase|secret|token|credential|api_?key|access_?key|secret_?key|private_?key)"
_WORDS = ("passw", "pwd", "passphrase", "secret", "token", "credential", "api", "access", "private")
#: How many of the expressions below look for these names.
_NAMED = 2
#: What is never stored. The group ``secret`` is what is taken out, without one all of the match.
_SECRETS = (
    # `password = "..."`, `"token": "..."`, `environ["API_KEY"] = "..."`, `get("secret", "...")`
    rf"(?i){_NAMES}\w*[\"']?\]?\s*(?::[^=\n\"']{{0,60}})?(?:==?|:|,)\s*[rbfu]{{0,2}}"
    r"(?P<q>\"\"\"|'''|\"|')(?P<secret>(?s:.{1,4096}?))(?P=q)",
    rf"(?i){_NAMES}=(?P<secret>[^\s\"',;&()\[\]]+)(?=[^\"'\n]*[\"'])",  # within a text: "host=a password=b", "?token=c"
    r"://[^\s/:@\"']*:(?P<secret>[^\s/@\"']+)@",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|hf_|pypi-)[\w-]{16,}",
    r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+",
    r"(?i)\bbearer\s+(?P<secret>(?=\S*\d)[\w.~+/=-]{8,})",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>.+?)-----END",
    # Long constants in base 64 or 16: keys and tokens without a name.
    r"(?P<q>[\"'])(?P<secret>(?=[^\"']*[0-9])(?=[^\"']*[a-z])(?=[^\"']*[A-Z])[\w+/=-]{32,})(?P=q)",
    r"(?P<q>[\"'])(?P<secret>[0-9a-fA-F]{32,})(?P=q)",
)


def texts_of(
    inputs: Iterable[Input],
    objects: Mapping[str, object],
    body: str,
    *,
    paths: Mapping[str, str] | None = None,
    patterns: Sequence[str] = (),
) -> dict[str, str]:
    """The texts behind inputs, under ``"<kind> <name>"``.

    Parameters
    ----------
    inputs
        The key's inputs.
    objects
        The live function or class behind each label.
    body
        The block's statement.
    paths
        The statements behind each execution path, by the input's name.
    patterns
        Further regular expressions of what is not stored, see :func:`redact`.

    Returns
    -------
    dict
        Texts of at most 64 Ki characters each and 1 Mi in all, without what looks like a secret.
        A definition whose source cannot be had, or was edited since it was loaded, is not there.
    """
    found: dict[str, str] = {}
    room = _LONGEST_IN_ALL_CHARS
    for key, text in _texts(inputs, objects, body, paths or {}):
        if not text.strip() or len(text) > min(room, _LONGEST_CHARS):
            continue
        text = redact(text, patterns)
        room -= len(text)
        found[key] = text
    return found


def _texts(
    inputs: Iterable[Input], objects: Mapping[str, object], body: str, paths: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for item in inputs:
        text = ""
        # Whatever strange objects a program has: a text is decoration.
        with contextlib.suppress(Exception):
            if item.kind == "code":
                text = body
            elif item.kind == "definition" and item.name in objects:
                text = source_of(objects[item.name])
            elif item.kind == "path":
                text = paths.get(item.name, "")
        yield f"{item.kind} {item.name}", text


# ---- source ----


def source_of(definition: object) -> str:
    """Source of a live function or class, dedented; empty where it cannot be had or is not what was loaded."""
    if isinstance(definition, types.FunctionType):
        return _of_function(definition.__code__)
    return _of_class(definition) if isinstance(definition, type) else ""


def _of_function(code: types.CodeType) -> str:
    lines = _lines(code.co_filename)
    first = code.co_firstlineno - 1
    if not 0 <= first < len(lines) or not _begins(lines[first], code.co_name):
        return ""
    if _is_edited(code.co_filename) and not _is_loaded(code, "".join(lines)):
        return ""
    return _block(lines, first)


def _of_class(cls: type) -> str:
    codes = [c for c in map(_code, vars(cls).values()) if c is not None and c.co_qualname.startswith(cls.__qualname__)]
    file = codes[0].co_filename if codes else str(getattr(sys.modules.get(cls.__module__), "__file__", None) or "")
    lines = _lines(file)
    edited = _is_edited(file)
    if edited and not codes:  # nothing to compare the file with
        return ""
    text = "".join(lines) if edited else ""
    if edited and not all(_is_loaded(code, text) for code in codes):
        return ""
    first = vars(cls).get("__firstlineno__")  # from Python 3.13 on
    if isinstance(first, int):
        return _block(lines, first - 1) if 0 < first <= len(lines) else ""
    opening = re.compile(rf"\s*class\s+{re.escape(cls.__name__)}\b")
    places = [number for number, line in enumerate(lines) if opening.match(line)]
    if codes:
        places = [number for number in places if number < min(code.co_firstlineno for code in codes)][-1:]
    if len(places) != 1:
        return ""
    place = places[0]
    while place and lines[place - 1].lstrip().startswith("@"):
        place -= 1
    return _block(lines, place)


def _code(member: object) -> types.CodeType | None:
    member = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
    code = getattr(member, "__code__", None)
    return (
        code if isinstance(code, types.CodeType) and origin_of_file(code.co_filename) in ("local", "memory") else None
    )


def _lines(file: str) -> list[str]:
    """Lines of a local file or a notebook's cell; a library's source is of no interest here."""
    if origin_of_file(file) not in ("local", "memory"):
        return []
    linecache.checkcache(file)
    return linecache.getlines(file)


def _begins(line: str, name: str) -> bool:
    text = line.lstrip()
    return text.startswith(("@", "def ", "async ")) or (name == "<lambda>" and "lambda" in text)


def _block(lines: list[str], first: int) -> str:
    return textwrap.dedent("".join(inspect.getblock(lines[first:]))).rstrip() + "\n"


def _is_edited(file: str) -> bool:
    """Whether a file was written since this process began; a notebook's cell never is."""
    try:
        return os.stat(file).st_mtime >= _STARTED_S
    except OSError:
        return False


def _is_loaded(code: types.CodeType, text: str) -> bool:
    """Whether ``text`` still compiles to ``code``."""
    return any(facts(other).digest == facts(code).digest for other in _compiled(text).get(code.co_name, ()))


@functools.lru_cache(maxsize=8)
def _compiled(text: str) -> Mapping[str, list[types.CodeType]]:
    found: dict[str, list[types.CodeType]] = {}
    todo = [compile(text, "<edited>", "exec", dont_inherit=True)]
    while todo:
        code = todo.pop()
        # Not by qualified name: marimo takes a cell's functions out of the function that holds them.
        found.setdefault(code.co_name, []).append(code)
        todo += [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return found


# ---- secrets ----


def redact(text: str, patterns: Iterable[str] = ()) -> str:
    """``text`` with ``[redacted]`` in place of what may be a secret.

    Parameters
    ----------
    text
        Any text.
    patterns
        Regular expressions beside those that are always used (passwords and tokens by the names that they are given,
        keys of cloud services, URLs with passwords, long random constants). Where one has a group
        ``(?P<secret>...)``, that is what is replaced, else all that it matches.
    """
    low = text.lower()
    # Without one of these words the expressions that look for names find nothing, and take long for it.
    first = 0 if any(word in low for word in _WORDS) else _NAMED
    for pattern in _expressions(tuple(patterns))[first:]:
        text = pattern.sub(_without, text)
    return text


def redacted(inputs: Iterable[Input], patterns: Iterable[str] = ()) -> tuple[Input, ...]:
    """Inputs with notes that hold no secret; what is compared stays as it is."""
    chosen = tuple(patterns)
    return tuple(item._replace(note=redact(item.note, chosen)) if item.note else item for item in inputs)


@functools.lru_cache(maxsize=8)
def _expressions(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return (*(re.compile(pattern, re.DOTALL) for pattern in _SECRETS), *map(re.compile, patterns))


def _without(match: re.Match[str]) -> str:
    if "secret" not in match.re.groupindex:
        return REDACTED
    start, end = (place - match.start() for place in match.span("secret"))
    return f"{match[0][:start]}{REDACTED}{match[0][end:]}" if end > start else match[0]
