"""Where code comes from: this project, an installed distribution, the standard library.

Local is everything that lies neither in a site directory nor in the standard
library, so an editable install counts as local. The distribution of a piece of
code is found from its file, because ``functools.wraps`` copies ``__module__``.
"""

from __future__ import annotations

import functools
import os
import re
import site
import stat
import sys
import types
from collections.abc import Iterator
from typing import Literal

import xxhash

Origin = Literal["local", "installed", "stdlib", "builtin", "memory"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep


def _folders() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(site folders, folders of the standard library), real paths that end with a separator."""
    # Not from sysconfig: importing it costs more than the rest of a cold key.
    installed = {p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages")}
    installed.update(site.getsitepackages())
    if site.ENABLE_USER_SITE and (user := site.getusersitepackages()):
        installed.add(user)
    return (
        tuple(sorted(os.path.realpath(d) + os.sep for d in installed)),
        (os.path.realpath(os.path.dirname(os.__file__)) + os.sep,),
    )


_INSTALLED, _STDLIB = _folders()
_origins: dict[str, Origin] = {}


#: As it is before a recorder stands in its place.
_lstat = os.lstat
_real_folder = functools.lru_cache(maxsize=4096)(os.path.realpath)


def _real(path: str) -> str:
    """``os.path.realpath`` of a file, which looks once at each folder: hundreds of modules lie in a few."""
    folder, name = os.path.split(path)
    try:
        if not os.path.isabs(path) or stat.S_ISLNK(_lstat(path).st_mode):
            return os.path.realpath(path)
    except (OSError, ValueError):
        return os.path.realpath(path)
    return os.path.join(_real_folder(folder), name)


def origin_of_file(path: str | None) -> Origin:
    """Where the code of a file, or of a code object's file name, comes from."""
    if not path:
        return "builtin"
    known = _origins.get(path)
    if known is None:
        if path.startswith("<"):
            known = "stdlib" if path.startswith("<frozen") else "memory"
        else:
            real = _real(path)
            # The site folders lie inside the standard library's folder, so they are asked first.
            # blockcache itself is never part of a user's project, not even installed editable.
            if real.startswith((*_INSTALLED, _PACKAGE)):
                known = "installed"
            elif real.startswith(_STDLIB):
                known = "stdlib"
            else:
                known = "local"
        _origins[path] = known
    return known


def origin_of_module(module: types.ModuleType) -> Origin:
    """Where a module comes from; ``__main__`` and modules made by hand are local."""
    if module.__name__ == "__main__":
        return "local"
    file = getattr(module, "__file__", None)
    if file:
        origin = origin_of_file(file)
        return "local" if origin == "memory" else origin
    path = getattr(module, "__path__", None)
    if path is not None:  # a namespace package: local if any of its folders is
        origins = {origin_of_file(os.path.join(p, "_")) for p in path}
        return "local" if "local" in origins else next(iter(sorted(origins)), "builtin")
    spec = getattr(module, "__spec__", None)
    return "builtin" if spec is not None else "local"


def is_library(module: types.ModuleType) -> bool:
    """Whether a module is of an installed library, of the standard library or of the interpreter."""
    return origin_of_module(module) != "local"


def top_of_file(path: str) -> str:
    """Top-level import name of a file below a site folder, ``""`` elsewhere."""
    real = os.path.realpath(path)
    for folder in _INSTALLED:
        if real.startswith(folder):
            return real[len(folder) :].split(os.sep)[0].split(".")[0]
    return ""


#: Distributions that are named otherwise than what they provide; a hint where to look first, never believed.
_HINTS = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv_python",
    "dateutil": "python_dateutil",
    "igraph": "python_igraph",
    "skimage": "scikit_image",
    "sklearn": "scikit_learn",
    "yaml": "pyyaml",
}


class _Distributions:
    """Versions by top-level import name, from the metadata folders on ``sys.path``.

    ``importlib.metadata.packages_distributions`` answers the same question in 100 to 370 ms;
    most names are found here by listing the site folders once.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, str] | None] = {}
        self._folders: dict[str, str] = {}
        self._required: dict[str, tuple[tuple[str, str], ...]] = {}

    def of(self, top: str) -> tuple[str, str] | None:
        """(distribution name, version) that provides the top-level import ``top``; None when none does."""
        if top not in self._found:
            folder = self._folder(top)
            if folder is None:
                return None  # not kept: it may be installed while the process lives
            self._found[top] = _named(folder)
        return self._found[top]

    def required(self, name: str) -> tuple[tuple[str, str], ...]:
        """(distribution, version) of what ``name`` needs to run and is installed, through any depth."""
        if name not in self._required:
            found: dict[str, str] = {}
            todo = [normal_name(name)]
            while todo:
                for needed in _requirements(self._all().get(todo.pop(), "")):
                    folder = self._all().get(needed)
                    if folder is not None and needed not in found and needed != normal_name(name):
                        found[needed] = folder
                        todo.append(needed)
            self._required[name] = tuple(sorted(map(_named, found.values())))
        return self._required[name]

    def version(self, name: str) -> str | None:
        """The version of the distribution ``name``; None when it is not installed."""
        folder = self._all().get(normal_name(name))
        return None if folder is None else _named(folder)[1]

    def _all(self) -> dict[str, str]:
        """Metadata folders by normal name."""
        if not self._folders:
            for name, folder in _metadata_folders():
                self._folders.setdefault(normal_name(name), folder)
        return self._folders

    def _folder(self, top: str) -> str | None:
        for name in (top, _HINTS.get(top, top)):
            hinted = self._all().get(normal_name(name))
            if hinted is not None and _provides(hinted, top):
                return hinted
        return next((f for f in self._all().values() if _provides(f, top)), None)


def _named(folder: str) -> tuple[str, str]:
    """(distribution, version) of a metadata folder, with a digest of its files where the version does not say."""
    name, _, version = os.path.basename(folder).rpartition(".")[0].partition("-")
    version = version.split("-")[0]
    return name, version + _content(folder, version)


def _requirements(folder: str) -> Iterator[str]:
    """Normal names of the distributions that a metadata folder asks for, but not for its extras."""
    for file in ("METADATA", "PKG-INFO"):
        try:
            with open(os.path.join(folder, file), encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if line == "\n":  # the description follows
                        return
                    if line.startswith("Requires-Dist:") and "extra ==" not in line:
                        match = re.match(r"[\w.-]+", line.partition(":")[2].strip())
                        if match is not None:
                            yield normal_name(match[0])
        except OSError:
            continue


def _content(folder: str, version: str) -> str:
    """A digest of the file list where the version does not settle the content (VCS, local builds)."""
    direct = os.path.exists(os.path.join(folder, "direct_url.json"))
    if not direct and "+" not in version and "dev" not in version:
        return ""
    try:
        with open(os.path.join(folder, "RECORD"), "rb") as file:
            return "#" + xxhash.xxh3_64_hexdigest(file.read())
    except OSError:
        return ""


def normal_name(name: str) -> str:
    """One spelling of a distribution's name: ``Scikit-Learn`` and ``scikit_learn`` are the same."""
    return name.lower().replace("-", "_").replace(".", "_")


def _metadata_folders() -> Iterator[tuple[str, str]]:
    """(distribution name, folder), first on ``sys.path`` first, as imports go."""
    seen = set()
    for entry in sys.path:
        folder = os.path.realpath(entry)
        if folder in seen or folder + os.sep not in _INSTALLED:
            continue
        seen.add(folder)
        try:
            names = sorted(os.listdir(folder), reverse=True)
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                yield name.split("-")[0], os.path.join(folder, name)


def _provides(folder: str, top: str) -> bool:
    """Whether the distribution of a metadata folder has files under the import name ``top``."""
    try:
        with open(os.path.join(folder, "RECORD"), "rb") as file:
            listed = b"\n" + file.read()
    except OSError:
        try:
            with open(os.path.join(folder, "top_level.txt"), encoding="utf-8") as names:
                return top in names.read().split()
        except OSError:
            return False
    name = top.encode()
    return any(b"\n" + name + end in listed for end in (b"/", b".py,", b".so,", b".abi3.so,", b".cpython-"))


_distributions = _Distributions()


def installed(name: str) -> str | None:
    """The exact version of the distribution ``name``; None when it is not installed."""
    return _distributions.version(name)


def counted(version: str, level: str | None) -> str:
    """What of a version counts when it is pinned to ``exact``, ``minor``, ``major`` or None."""
    if level == "exact":
        return version
    parts = version.partition("#")[0].split(".")
    return "any" if level is None else ".".join(parts[: 1 if level == "major" else 2])


def required(name: str) -> tuple[tuple[str, str], ...]:
    """(distribution, exact version) of everything that the distribution ``name`` needs to run, through any depth."""
    return _distributions.required(name)


def distribution(top: str) -> tuple[str, str] | None:
    """(distribution name, exact version) of the top-level import name ``top``.

    None for the standard library, for built-ins and for what has no metadata.
    """
    if top in sys.stdlib_module_names or top == "builtins":
        return None
    found = _distributions.of(top)
    if found is not None:
        return found
    module = sys.modules.get(top)
    version = getattr(module, "__version__", None)
    return (top, version) if isinstance(version, str) else None
