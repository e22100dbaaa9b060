"""Rules of other distributions for the types of libraries: entry points, found when a value of such a library is met.

A distribution says ``library = "module"`` in an entry point group; the library is the first part of the name of the
module that a type is of. What the module offers, the group says: ``blockcache.codecs`` that of
:mod:`blockcache.codec.registry`, ``blockcache.fingerprints`` that of :mod:`blockcache.fingerprint.registry`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

from blockcache import settings
from blockcache.errors import CacheWarning

CODECS = "blockcache.codecs"
FINGERPRINTS = "blockcache.fingerprints"

#: Modules by group and library; None where no distribution has one, or the one that has is broken.
_rooms: dict[tuple[str, str], ModuleType | None] = {}
#: Names of modules by group and library, once they were looked for.
_found: dict[tuple[str, str], str] | None = None


def room(group: str, library: str) -> ModuleType | None:
    """The module that a distribution offers for a library; where it cannot be imported, one warning and None."""
    key = group, library
    if key not in _rooms:
        name = None if library in _NOBODYS else _entry_points().get(key)
        try:
            _rooms[key] = None if name is None else import_module(name)
        except Exception as error:
            broken(group, library, f"{name} cannot be imported ({type(error).__name__}: {error})")
    return _rooms[key]


_NOBODYS = sys.stdlib_module_names | {"", "__main__", "__mp_main__", "blockcache"}


def broken(group: str, library: str, why: str) -> None:
    """Say once that a distribution's rules are of no use, and do without them from then on."""
    _rooms[group, library] = None
    with contextlib.suppress(CacheWarning):
        warnings.warn(f"entry point {library} of {group}: {why}; it is left out", CacheWarning, stacklevel=2)


def _entry_points() -> dict[tuple[str, str], str]:
    """All of them; reading those of all distributions takes long, so what is in a directory is remembered."""
    global _found
    if _found is None:
        known = _remembered()
        seen: dict[str, list[Any]] = {}
        for place in sys.path:
            with contextlib.suppress(OSError):
                path = os.path.abspath(place)
                stamp = os.stat(path).st_mtime_ns
                before = known.get(path)
                seen[path] = before if before is not None and before[0] == stamp else [stamp, list(_in_directory(path))]
        if any(known.get(path) != found for path, found in seen.items()):
            _remember({**known, **seen})
        found = [tuple(row) for _, rows in seen.values() for row in rows]
        # The first on the path is the one that would be imported.
        _found = {(group, library): name for group, library, name in reversed(found)}
    return _found


def _in_directory(path: str) -> Any:
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries if entry.name.endswith((".dist-info", ".egg-info")))
    for name in names:
        try:
            with open(os.path.join(path, name, "entry_points.txt"), encoding="utf-8") as file:
                text = file.read()
        except (OSError, ValueError):
            continue
        group = ""
        for line in text.splitlines() if "blockcache." in text else ():
            if line.startswith("["):
                group = line.strip().strip("[]")
            elif group in (CODECS, FINGERPRINTS) and "=" in line:
                library, _, module = line.partition("=")
                yield [group, library.strip(), module.strip()]


def _record() -> str:
    return os.path.join(settings.local_folder(), "plugins.json")


def _remembered() -> dict[str, Any]:
    try:
        with open(_record(), encoding="utf-8") as file:
            known = json.load(file)
        rows = [row for _, rows in known.values() for row in rows]
        return known if all(len(row) == 3 and all(type(text) is str for text in row) for row in rows) else {}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(known: dict[str, Any]) -> None:
    temporary = f"{_record()}.{os.getpid()}"
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(temporary), mode=0o700, exist_ok=True)
        kept = dict(list(known.items())[-_MOST_PLACES:])
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.replace(temporary, _record())


_MOST_PLACES = 200
