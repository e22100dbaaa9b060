"""Modules that code would import when it runs, by their files.

A local module that is not loaded yet counts by the code that its import would
run, with the modules that this imports in turn. One that is loaded counts as it
is loaded, because that is what the import statement will give.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Collection, Iterator
from importlib.machinery import ModuleSpec
from typing import NamedTuple

import xxhash

from blockcache.errors import FingerprintError
from blockcache.fingerprint import modules
from blockcache.fingerprint.code import facts


class Imported(NamedTuple):
    """A module reached by an import statement: a local file, a distribution, or a local module that is loaded."""

    name: str
    digest: str
    note: str
    distribution: tuple[str, str] | None = None
    module: types.ModuleType | None = None
    names: tuple[str, ...] = ()


_codes: dict[str, tuple[tuple[int, int, int], types.CodeType]] = {}
#: What a module's own code may use to import what its text does not name.
_IMPORTERS = frozenset({"import_module", "__import__", "iter_modules", "walk_packages", "exec_module", "run_path"})


#: Top-level names that are not local, with their distribution; None for the standard library.
_foreign: dict[str, tuple[str, str] | None] = {}


def file_digest(path: str) -> str:
    """XXH3-128 of a file's bytes."""
    try:
        with open(path, "rb") as file:
            return xxhash.xxh3_128_hexdigest(file.read())
    except OSError as error:
        raise FingerprintError(f"cannot read {path}: {error.strerror}", path=path) from error


def code_of(name: str, spec: ModuleSpec) -> types.CodeType | None:
    """The code that importing the module would run; None for an extension module."""
    get_code = getattr(spec.loader, "get_code", None)
    if get_code is None or spec.origin is None:
        return None
    try:
        stat = os.stat(spec.origin)
        state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except OSError:  # in a zip, say
        state = None
    known = _codes.get(spec.origin)
    if state is not None and known is not None and known[0] == state:
        return known[1]
    try:
        code: types.CodeType | None = get_code(name)
    except (ImportError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise FingerprintError(f"cannot read the imported module {spec.origin}: {error}", path=name) from error
    if code is not None and state is not None:
        _codes[spec.origin] = (state, code)
    return code


def _find(name: str) -> ModuleSpec | None:
    """The spec of a module as an import would find it, without importing anything."""
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        full = ".".join(parts[:i])
        spec = next((s for finder in sys.meta_path if (s := _ask(finder, full, path)) is not None), None)
        folders = [f for p in path or () if os.path.isdir(f := os.path.join(p, parts[i - 1]))]
        if spec is None and i < len(parts) and folders:
            path = folders  # a namespace package inside another: its spec can only be made once that is imported
            continue
        if spec is None:
            return None
        if i < len(parts):
            if spec.submodule_search_locations is None:
                return None
            # The folders of a namespace package compute themselves, and want their parent imported for that.
            locations = spec.submodule_search_locations
            path = list(getattr(locations, "_path", locations))
    return spec


def _ask(finder: object, name: str, path: list[str] | None) -> ModuleSpec | None:
    find: Callable[[str, list[str] | None], ModuleSpec | None] | None = getattr(finder, "find_spec", None)
    try:
        return find(name, path) if find is not None else None
    except Exception:  # a hook of somebody's: an import would ask the next one only if it answered
        return None


def closure(
    module: str, names: tuple[str, ...], level: int, package: str, loaded: Collection[str] | None = None
) -> Iterator[Imported]:
    """Local modules and distributions that an import statement reaches, through any depth.

    Parameters
    ----------
    module, names, level
        As in ``from <level dots>module import names``.
    package
        The importing module's ``__package__``, for relative imports.
    loaded
        Names of the modules that count as loaded; by default those that are.
    """
    module = _resolved(module, level, package)
    live = _loaded(module, loaded)
    if live is not None:
        # What is loaded counts, not what is in a file that may have been edited since.
        attributes = tuple(n for n in names if n in vars(live) and not _is_submodule(live, n, loaded))
        if attributes or not names:
            yield Imported(module, "", "", module=live, names=attributes)
        todo = [(f"{module}.{name}", True) for name in names if name not in attributes]
    else:
        todo = list(_parts(module, names))
    seen = set()
    while todo:
        name, used = todo.pop(0)  # packages before what is in them
        top = name.partition(".")[0]
        if (name, used) in seen:
            continue
        seen.add((name, used))
        if top in _foreign:
            if (found := _foreign[top]) is not None:
                yield Imported(top, "", "", distribution=found)
            continue
        live = _loaded(name, loaded)
        if live is not None:
            if used:
                yield Imported(name, "", "", module=live)
            continue
        spec = _find(name)
        if spec is None:
            continue  # an attribute of a module rather than a module, or nothing at all
        origin = modules.origin_of_file(spec.origin) if spec.has_location else "local"
        if origin in ("stdlib", "installed"):
            found = (modules.distribution(top) or (top, "unknown")) if origin == "installed" else None
            if found is not None:
                yield Imported(top, "", "", distribution=found)
            if name == top:  # else a package whose parts lie in several places
                _foreign[top] = found
        elif spec.origin not in (None, "built-in", "frozen"):
            assert spec.origin is not None
            code = code_of(name, spec)
            if code is None:
                yield Imported(name, file_digest(spec.origin), os.path.basename(spec.origin))
                continue
            known = facts(code)
            if opaque := known.dynamic & _IMPORTERS:
                what = f"module {name} calls {', '.join(sorted(opaque))}(): what it imports cannot be known"
                raise FingerprintError(what, path=name)
            yield Imported(name, known.digest, os.path.basename(spec.origin))
            own = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
            for inner, inner_names, inner_level in known.imports:
                todo.extend(_parts(_resolved(inner, inner_level, own), inner_names or ()))


def _loaded(name: str, loaded: Collection[str] | None) -> types.ModuleType | None:
    """The local module of that name, if it is loaded."""
    found = sys.modules.get(name) if loaded is None or name in loaded else None
    return found if isinstance(found, types.ModuleType) and modules.origin_of_module(found) == "local" else None


def _is_submodule(module: types.ModuleType, name: str, loaded: Collection[str] | None) -> bool:
    """Whether an attribute is a submodule, which counts as one whether or not it is loaded."""
    full = f"{module.__name__}.{name}"
    return sys.modules.get(full) is vars(module)[name] or (
        loaded is not None and full not in loaded and full in sys.modules
    )


def _resolved(module: str, level: int, package: str) -> str:
    """The absolute name of a module that is imported from ``package``."""
    if not level:
        return module
    base = package.rsplit(".", level - 1)[0] if level > 1 else package
    return f"{base}.{module}" if module else base


def _parts(module: str, names: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Modules that the import may load, and whether it uses them: packages around it are only run."""
    parts = module.split(".")
    for i in range(1, len(parts)):
        yield ".".join(parts[:i]), False
    yield module, True
    for name in names:
        yield f"{module}.{name}", True
