"""Modules that code would import when it runs, by their files.

An import inside a body or a function may or may not have happened at lookup
time, and must not change the key by that. So such modules count by the code
in their files, never by the state of ``sys.modules``. Where a module is
already loaded, what is loaded must be what is in the file: a file edited after
its import would otherwise be believed.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import types
from collections.abc import Iterator
from typing import NamedTuple

import xxhash

from blockcache.errors import FingerprintError
from blockcache.fingerprint import modules
from blockcache.fingerprint.code import facts


class Imported(NamedTuple):
    """A module reached by an import statement: a local file, or a distribution."""

    name: str
    digest: str
    note: str
    distribution: tuple[str, str] | None = None


_compiled: dict[str, tuple[tuple[int, int, int], types.CodeType]] = {}


def file_digest(path: str) -> str:
    """XXH3-128 of a file's bytes."""
    try:
        with open(path, "rb") as file:
            return xxhash.xxh3_128_hexdigest(file.read())
    except OSError as error:
        raise FingerprintError(f"cannot read {path}: {error.strerror}", path=path) from error


def _code_of(path: str) -> types.CodeType:
    """The module code of a source file, compiled once per state of the file."""
    try:
        stat = os.stat(path)
        state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = _compiled.get(path)
        if known is None or known[0] != state:
            with open(path, "rb") as file:
                code = compile(file.read(), path, "exec", dont_inherit=True)
            known = _compiled[path] = (state, code)
    except (OSError, SyntaxError, ValueError) as error:
        raise FingerprintError(f"cannot read the imported module {path}: {error}", path=path) from error
    return known[1]


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    """The spec of a module, without importing anything."""
    path = None
    spec = None
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:i]), path)
        if spec is None:
            return None
        if i < len(parts):
            if spec.submodule_search_locations is None:
                return None
            path = list(spec.submodule_search_locations)
    return spec


def _functions(code: types.CodeType, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(qualified name, digest) of every function and class body in a code object."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant.co_qualname, facts(constant).digest
            yield from _functions(constant)


def _require_loaded_as_in_file(name: str, code: types.CodeType, path: str) -> None:
    module = sys.modules.get(name)
    if module is None:
        return
    in_file = set(_functions(code))
    names = {qualified for qualified, _ in in_file}
    for value in vars(module).values():
        function = getattr(value, "__func__", value)
        if not isinstance(function, types.FunctionType) or function.__code__.co_filename != path:
            continue
        qualified = function.__code__.co_qualname
        if (qualified, facts(function.__code__).digest) not in in_file and function.__module__ == name:
            state = "differs from" if qualified in names else "is no longer in"
            raise FingerprintError(
                f"function {name}.{qualified} {state} {os.path.basename(path)}, which was edited after its import: "
                "reload the module or restart",
                path=name,
            )


def closure(module: str, names: tuple[str, ...], level: int, package: str) -> Iterator[Imported]:
    """Local modules and distributions that an import statement reaches, through any depth.

    Parameters
    ----------
    module, names, level
        As in ``from <level dots>module import names``.
    package
        The importing module's ``__package__``, for relative imports.
    """
    todo = list(_absolute(module, names, level, package))
    seen = set()
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if name in seen:
            continue
        seen.add(name)
        if top in sys.stdlib_module_names:
            continue
        spec = _find(name)
        if spec is None:
            continue  # an attribute of a module rather than a module, or nothing at all
        origin = modules.origin_of_file(spec.origin) if spec.origin else "local"
        if origin == "installed":
            yield Imported(name, "", "", modules.distribution(top) or (top, "unknown"))
        elif origin == "local" and spec.origin:
            if not spec.origin.endswith(".py"):
                yield Imported(name, file_digest(spec.origin), os.path.basename(spec.origin))
                continue
            code = _code_of(spec.origin)
            _require_loaded_as_in_file(name, code, spec.origin)
            known = facts(code)
            yield Imported(name, known.digest, os.path.basename(spec.origin))
            own = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
            for inner, inner_names, inner_level in known.imports:
                todo.extend(_absolute(inner, inner_names or (), inner_level, own))


def _absolute(module: str, names: tuple[str, ...], level: int, package: str) -> Iterator[str]:
    """Absolute module names that the statement may import, parents first."""
    if level:
        base = package.rsplit(".", level - 1)[0] if level > 1 else package
        module = f"{base}.{module}" if module else base
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        yield ".".join(parts[:i])
    for name in names:
        yield f"{module}.{name}"
