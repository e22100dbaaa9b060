"""Which libraries code may change: what its touches end in, through the program's own functions."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from blockcache.fingerprint import modules
from blockcache.fingerprint.patched import is_local, is_local_code
from blockcache.fingerprint.touches import CALL, IMPORT, ITEM, LOCAL, Touch, touches
from blockcache.generators import seeded

#: Libraries whose calls set nothing that a result depends on, or nothing that is not an input by a probe of its own.
_QUIET = frozenset(
    {
        "IPython",
        "argparse",
        "asyncio",
        "atexit",
        "blockcache",
        "concurrent",
        "decimal",
        "dotenv",
        "faulthandler",
        "gc",
        "io",
        "locale",
        "logging",
        "marimo",
        "multiprocessing",
        "os",
        "pathlib",
        "pprint",
        "random",
        "rich",
        "shutil",
        "signal",
        "site",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "timeit",
        "tqdm",
        "traceback",
        "tracemalloc",
        "types",
        "typing",
        "warnings",
    }
)
#: Assignments that are inputs by themselves, or none.
_QUIET_PLACES = (
    "matplotlib.rcParams",
    "matplotlib.pyplot.rcParams",
    "os.environ",
    "pandas.options",
    "sys.argv",
    "sys.displayhook",
    "sys.dont_write_bytecode",
    "sys.excepthook",
    "sys.path",
    "sys.stderr",
    "sys.stdin",
    "sys.stdout",
)
#: Beginnings of the names of functions that write, show, check or draw: their effect is not on later results.
_HARMLESS = (
    "assert",
    "basic",
    "catch",
    "check",
    "close",
    "copy",
    "debug",
    "describe",
    "display",
    "download",
    "dump",
    "err",
    "exit",
    "info",
    "log",
    "make",
    "plot",
    "print",
    "pprint",
    "read",
    "remove",
    "save",
    "seed",
    "show",
    "sleep",
    "tic",
    "to_",
    "toc",
    "warn",
    "write",
)
#: Stands for every library: code in a text may change any.
ANYTHING = "*"
#: Functions that have a probe.
_PROBED = frozenset(
    {
        "config_context",
        "errstate",
        "localcontext",
        "manual_seed",
        "option_context",
        "printoptions",
        "reset_option",
        "set_config",
        "set_default_dtype",
        "set_option",
        "set_printoptions",
        "set_state",
        "seterr",
    }
)
#: Libraries of functions without a state of their own: a call whose result is dropped (a notebook shows it) counts
#: only when its name says that it sets something.
_PURE = frozenset(
    {
        "base64",
        "calendar",
        "collections",
        "copy",
        "csv",
        "datetime",
        "functools",
        "hashlib",
        "html",
        "itertools",
        "json",
        "math",
        "networkx",
        "numpy",
        "operator",
        "pandas",
        "pickle",
        "polars",
        "pyarrow",
        "re",
        "scipy",
        "sklearn",
        "sqlite3",
        "statistics",
        "statsmodels",
        "string",
        "textwrap",
        "torch",
    }
)
_PROBED_IN = frozenset({"matplotlib", "numpy", "pandas", "scipy", "sklearn", "torch"})
#: Beginnings of the names of functions that set something, although their result is kept.
_SETTING = ("set", "register", "enable", "disable", "use", "config", "patch", "install", "activate", "add_", "override")
_DEEPEST = 12
_MISSING = object()


def top_of(dotted: str) -> str:
    """Top-level name of a library; C modules count as the module that they serve."""
    top = dotted.partition(".")[0].lstrip("_")
    return "os" if top in ("posix", "posixpath", "nt", "ntpath") else top


class Judged(NamedTuple):
    """The libraries that some code may change, the first way to one of them as text, what seeds generators."""

    tops: frozenset[str]
    label: str
    seeds: frozenset[str]


def judge(found: Iterable[Touch], namespace: Mapping[str, object]) -> Judged:
    """Follow touches from the names of a namespace to the libraries that they may change."""
    follower = _Judge()
    tops: set[str] = set()
    label = ""
    for touch in found:
        follower.found = set()
        follower.touch(touch, namespace, 0)
        if follower.found and not label:
            label = ".".join(part for part in touch.chain if part not in (CALL, ITEM, "?")).removeprefix(IMPORT)
            label += " =" if touch.how == "sets" else "()"
        tops |= follower.found
    return Judged(frozenset(tops), label, frozenset(follower.seeds))


class Held(NamedTuple):
    """An object that a library's module holds, by another name."""

    library: str


class _Instance(NamedTuple):
    """An object of a class that is made on the way."""

    kind: type


class _Judge:
    """Follows touches through local functions to the libraries that they end in."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.seeds: set[str] = set()
        self._seen: set[int] = set()

    def touch(self, touch: Touch, namespace: Mapping[str, object], depth: int) -> None:
        root, rest = _root(touch.chain, namespace)
        if touch.chain in (("exec",), ("eval",)) and touch.how != "hands":
            self.found.add(ANYTHING)
        if root is _MISSING:
            self._seeds(touch, "", touch.chain[-1])
            return
        if touch.how == "sets":
            self._sets(root, rest)
            return
        owner, value = _walk(root, rest)
        library = _library_of(value if owner is None else owner) or _library_of(value)
        if _is_program(value):
            if touch.how != "hands" or not isinstance(value, type):
                self._runs(value, depth)
            return
        self._seeds(touch, library, touch.chain[-1] if rest else getattr(value, "__name__", ""))
        if touch.how == "hands":
            return
        if _library_of(root) and owner is not None and _is_value(owner):
            # An object that a library's module holds: a table, a configuration.
            if touch.how == "calls" and not rest[-1].startswith(_HARMLESS) and top_of(_library_of(root)) not in _QUIET:
                self._sets(root, rest)
        elif library and not _is_value(root):
            self._calls(touch, library, rest[-1] if rest else getattr(value, "__name__", ""))

    def _sets(self, root: object, rest: tuple[str, ...]) -> None:
        value: object = root
        for i, part in enumerate(rest):
            library = _library_of(value)
            if library:
                place = ".".join((library, *rest[i:]))
                if not place.startswith(_QUIET_PLACES):
                    self.found.add(top_of(library))
                return
            value = _part(value, part)
        return

    def _seeds(self, touch: Touch, library: str, verb: str) -> None:
        if touch.how in ("calls", "uses") and seeded((f"{library}.{verb}",)):
            self.seeds.add(f"{library}.{verb}")

    def _calls(self, touch: Touch, library: str, verb: str) -> None:
        top = top_of(library)
        verb = verb.lstrip("_")
        if top in _QUIET or top == "builtins" or (verb in _PROBED and top in _PROBED_IN):
            return
        if verb.startswith(_SETTING) or (touch.how == "calls" and top not in _PURE and not verb.startswith(_HARMLESS)):
            self.found.add(top)

    def _runs(self, value: Any, depth: int) -> None:
        """A call of the program's own function, method or class."""
        if id(value) in self._seen or depth > _DEEPEST:
            return
        self._seen.add(id(value))
        first: object = _MISSING
        if isinstance(value, (functools.partial, functools.partialmethod)):
            self._runs(value.func, depth + 1)
            return
        if isinstance(value, types.MethodType):
            first, value = value.__self__, value.__func__
        while not isinstance(value, (types.FunctionType, type)) or (
            isinstance(value, types.FunctionType) and not is_local_code(value.__code__)
        ):
            value = getattr(value, "__wrapped__", None)
            if value is None:
                return
        if isinstance(value, type):
            for name in ("__init__", "__new__", "__post_init__"):
                method = _part(value, name)
                if isinstance(method, types.FunctionType) and is_local_code(method.__code__):
                    self._function(method, _Instance(value), depth)
        else:
            self._function(value, first, depth)

    def _function(self, function: types.FunctionType, first: object, depth: int) -> None:
        code = function.__code__
        namespace: dict[str, object] = {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                namespace[name] = cell.cell_contents
            except ValueError:  # not bound yet
                continue
        if first is not _MISSING and code.co_argcount:
            namespace[LOCAL + code.co_varnames[0]] = first
        overlay = Overlay(namespace, function.__globals__)
        for touch in _touches_of(code):
            self.touch(touch, overlay, depth + 1)


class Overlay(dict[str, Any]):
    """Names of a function over those of its module."""

    def __init__(self, own: Mapping[str, object], outer: Mapping[str, object]) -> None:
        super().__init__(own)
        self.outer = outer

    def __missing__(self, name: str) -> object:
        return self.outer[name]


_touched: dict[int, tuple[types.CodeType, tuple[Touch, ...]]] = {}


def _touches_of(code: types.CodeType) -> tuple[Touch, ...]:
    known = _touched.get(id(code))
    if known is None:
        known = _touched[id(code)] = (code, touches(code))
    return known[1]


def _root(chain: tuple[str, ...], namespace: Mapping[str, object]) -> tuple[object, tuple[str, ...]]:
    """What a chain starts from, and its rest."""
    name, rest = chain[0], chain[1:]
    if name.startswith(IMPORT):
        full = name.removeprefix(IMPORT)
        module = sys.modules.get(full.partition(".")[0] if rest and rest[0] not in _attributes(full) else full)
        return (module if module is not None else _MISSING), rest
    try:
        return namespace[name], rest
    except KeyError:
        return _MISSING, rest


def _attributes(module: str) -> Mapping[str, object]:
    return vars(sys.modules[module]) if module in sys.modules else {}


def _walk(root: object, rest: tuple[str, ...]) -> tuple[object, object]:
    """(the owner of the last attribute, the value there), as far as the way is known."""
    owner, value = None, root
    for part in rest:
        owner, value = value, _part(value, part)
        if value is _MISSING:
            break
    return owner, value


def _part(value: object, name: str) -> object:
    """One step of a chain, without running any code of the object's."""
    if value is _MISSING:
        return _MISSING
    if name == CALL:
        return _Instance(value) if isinstance(value, type) else _MISSING
    if isinstance(value, Held):
        return value
    if name == ITEM:
        return _MISSING
    kind = value.kind if isinstance(value, _Instance) else value if isinstance(value, type) else type(value)
    own = getattr(value, "__dict__", None) if not isinstance(value, (type, _Instance)) else None
    if isinstance(own, dict) and name in own:
        return own[name]
    for base in kind.__mro__:
        if name in base.__dict__:
            found = base.__dict__[name]
            if isinstance(found, (staticmethod, classmethod)):
                found = found.__func__
            if isinstance(found, types.FunctionType) and not isinstance(value, type):
                return types.MethodType(found, value)
            return found
    return _MISSING


def _is_program(value: object) -> bool:
    """Whether a call of ``value`` runs the program's code."""
    if isinstance(value, (functools.partial, functools.partialmethod)):
        return _is_program(value.func)
    return value is not _MISSING and is_local(value)


def _is_value(root: object) -> bool:
    """Whether a chain starts from an object of a library's class: what its methods change is its content."""
    return not isinstance(
        root, (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType)
    ) and not is_local(type(root))


def _library_of(value: object) -> str:
    """The library that a module, class, function or method belongs to; "" for what is the program's."""
    if isinstance(value, types.ModuleType):
        return value.__name__ if modules.origin_of_module(value) != "local" else ""
    if isinstance(value, Held):
        return value.library
    if isinstance(value, types.MethodType):
        value = value.__func__
    if isinstance(value, _Instance):
        value = value.kind
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)) and not is_local(value):
        name = value.__module__ or ""
        module = sys.modules.get(name)
        return name if module is None or modules.origin_of_module(module) != "local" else ""
    return ""
