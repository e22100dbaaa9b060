"""Example scripts of public packages, from their source distributions: fetched by pip, kept in a folder of the user's."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tarfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

# Packages whose source distributions hold examples and can be read without a compiler.
PACKAGES = {
    "lmfit": ("examples/*.py",),
    "pyparsing": ("examples/*.py",),
    "lark": ("examples/*.py", "examples/advanced/*.py"),
    "sympy": ("sympy/parsing/autolev/test-examples/*.py", "sympy/parsing/autolev/test-examples/*/*.py"),
    "imbalanced-learn": ("examples/*/*.py",),
    "deap": ("examples/*/*.py",),
}
# More of them for `faithful.py`, whose programs may take longer.
MORE_PACKAGES = {
    "scikit-learn": ("examples/*/*.py",),
    "simpy": ("docs/examples/code/*.py",),
    "mpmath": ("demo/*.py",),
}
# What asks for a network, a terminal or a screen, or forks.
UNFIT = (
    "urlopen",
    "urllib",
    "requests",
    "input(",
    "fetch_",
    "PyQt",
    "turtle",
    "multiprocessing",
    "scoop",
    "time.time",
    "perf_counter",
)
CLOCKS = ("time.time", "perf_counter")


@dataclass
class Script:
    """One example: its text and the small files beside it that it names."""

    package: str
    version: str
    name: str
    text: str
    beside: dict[str, bytes] = field(default_factory=dict)


def unpacked(package: str, version: str, cache: Path) -> Path:
    """Folder of a package's source distribution, fetched by pip the first time."""
    folder = cache / f"{package}-{version}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", package, "--dest", str(cache), f"{package}=={version}"]
        if not (archives := _archives(package, version, cache)):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            archives = _archives(package, version, cache)
        with tarfile.open(archives[0]) as file:
            file.extractall(folder, filter="data")
    return next(p for p in folder.iterdir() if p.is_dir())


def _archives(package: str, version: str, cache: Path) -> list[Path]:
    stem = f"{package}-{version}.tar.gz".replace("-", "_")
    return [p for p in cache.glob("*.tar.gz") if p.name.lower().replace("-", "_") == stem]


def scripts(package: str, cache: Path, clocks: bool = False) -> list[Script]:
    """The examples of a package that can run here, with ``clocks`` also those that measure time; none when it is not installed."""
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return []
    return _read(package, version, unpacked(package, version, cache), (PACKAGES | MORE_PACKAGES)[package], clocks)


def in_folder(package: str, root: Path) -> list[Script]:
    """The scripts of a folder, such as a checkout of a project's examples."""
    return _read(package, "", root, ("**/*.py",), True)


def _read(package: str, version: str, root: Path, patterns: tuple[str, ...], clocks: bool) -> list[Script]:
    found = []
    unfit = [u for u in UNFIT if not (clocks and u in CLOCKS)]
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            text = path.read_text(encoding="utf-8", errors="replace")
            if (
                len(text) > 20_000
                or text.count("\n") < 8
                or path.name == "__init__.py"
                or any(u in text for u in unfit)
            ):
                continue
            try:
                with warnings.catch_warnings(action="ignore"):
                    ast.parse(text)
            except (SyntaxError, ValueError):
                continue
            name = f"{package}/{path.relative_to(root)}".removesuffix(".py").replace("/examples/", "/")
            found.append(Script(package, version, name, text, _beside(path, text)))
    return found


def _beside(path: Path, text: str) -> dict[str, bytes]:
    """Files of the same folder that the script names or imports."""
    found = {}
    for other in path.parent.iterdir():
        if not other.is_file() or other == path or other.stat().st_size > 300_000:
            continue
        named = (
            f"import {other.stem}" in text or f"from {other.stem} " in text
            if other.suffix == ".py"
            else other.name in text
        )
        if named:
            found[other.name] = other.read_bytes()
    return found


def imports(text: str, local: set[str]) -> set[str]:
    """Modules that a script imports, without those in its own folder."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {m for m in found if m.split(".")[0] not in local | {"blockcache", "__future__", "antigravity", "this"}}
