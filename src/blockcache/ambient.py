"""Ambient state: what a program has set in libraries and in the interpreter, by cheap probes.

A probe is asked only when what a block reaches can depend on it, and says nothing while its state is the default, so
that ordinary programs have no such inputs and no key depends on which libraries happen to be loaded. Nothing is
imported here: what is not loaded has not been set.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import xxhash

from blockcache.model import Input

_States = Iterator[tuple[str, object]]

#: Uses that make a text of values; display options count for those only.
_TEXTS = frozenset(
    {
        "builtins.ascii",
        "builtins.format",
        "builtins.print",
        "builtins.repr",
        "builtins.str",
        ".info",
        ".to_html",
        ".to_latex",
        ".to_markdown",
        ".to_string",
        "numpy.array2string",
        "numpy.array_repr",
        "numpy.array_str",
        "pprint.pformat",
    }
)
_LOCAL_TIME = frozenset(
    {
        ".astimezone",
        ".timestamp",
        "datetime.date.fromtimestamp",
        "datetime.date.today",
        "datetime.datetime.fromtimestamp",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "time.asctime",
        "time.altzone",
        "time.ctime",
        "time.daylight",
        "time.localtime",
        "time.mktime",
        "time.strftime",
        "time.timezone",
        "time.tzname",
    }
)
_FOLDER = frozenset({"os.getcwd", "os.getcwdb", "posix.getcwd", "posix.getcwdb", "pathlib.Path.cwd"})
#: Likewise, except that code which starts from ``__file__`` has an absolute path.
_MADE_ABSOLUTE = frozenset(
    {
        ".absolute",
        ".resolve",
        "os.path.abspath",
        "os.path.realpath",
        "os.path.relpath",
        "pathlib.Path.absolute",
        "pathlib.Path.resolve",
        "posixpath.abspath",
        "posixpath.realpath",
        "posixpath.relpath",
    }
)
_COMMAND_LINES = frozenset({"absl", "argparse", "click", "docopt", "fire", "getopt", "hydra", "optparse", "typer"})
#: What code may ask of loggers and of arrays beyond their content.
_ASKED_OF_VALUES = frozenset(
    {
        ".disabled",
        ".getEffectiveLevel",
        ".handlers",
        ".hasHandlers",
        ".isEnabledFor",
        ".level",
        ".setflags",
        ".writeable",
    }
)
#: Functions whose result a program can set, and nothing else decides.
_GETTERS = {
    "csv.field_size_limit": "csv",
    "gc.isenabled": "gc",
    "socket.getdefaulttimeout": "socket",
    "sys.get_int_max_str_digits": "sys",
    "sys.getrecursionlimit": "sys",
    "tempfile.gettempdir": "tempfile",
}
#: The context of a new process, as its ``repr`` without what has been signalled.
_DECIMAL = (28, "ROUND_HALF_EVEN", -999999, 999999, 1, 0, ["DivisionByZero", "InvalidOperation", "Overflow"])
NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
NUMPY_TEXTS = {
    "edgeitems": 3,
    "threshold": 1000,
    "floatmode": "maxprec",
    "precision": 8,
    "suppress": False,
    "linewidth": 75,
    "nanstr": "nan",
    "infstr": "inf",
    "sign": "-",
    "formatter": None,
    "legacy": False,
    "override_repr": None,
}
#: For the representation of estimators, or without an effect on results.
_SKLEARN_SHOWN = frozenset({"display", "print_changed_only", "working_memory"})
_MATPLOTLIB_HOSTS = frozenset({"backend", "backend_fallback", "interactive", "toolbar", "webagg.address"})
_LONGEST_NOTE = 80
#: A command line or an address may hold a password.
_MAY_BE_SECRET = frozenset({"sys.argv", "marimo.cli_args", "marimo.app_meta", "marimo.query_params"})
_STDLIB = frozenset(sys.stdlib_module_names)


def states(uses: Collection[str], values: Callable[[], Mapping[str, object]] = dict) -> list[Input]:
    """State that is not at its default and that something of ``uses`` may depend on.

    Parameters
    ----------
    uses
        Dotted names of what is used of libraries, see :class:`blockcache.fingerprint.reach.Reach`.
    values
        Tells the values that are reached, by name; asked only where more of them than their content may count.
    """
    if not uses:
        return []
    plan = _plan(frozenset(uses))
    found = list(_of_warnings(plan.warns))
    for module, probe in plan.probes:
        found += _probed(module, probe, plan.text)
    for ask in plan.interpreter:
        found += ask()
    if plan.asks_values:
        found += _of_values(values())
    return [_input(name, state) for name, state in dict(found).items()] if found else []


class _Plan(NamedTuple):
    """Which probes some uses need."""

    text: bool
    warns: bool
    asks_values: bool
    probes: tuple[tuple[str, Callable[[Any, bool], _States]], ...]
    interpreter: tuple[Callable[[], _States], ...]


@functools.lru_cache(maxsize=256)
def _plan(uses: frozenset[str]) -> _Plan:
    tops = {use.partition(".")[0] for use in uses}
    probes = [_PROBES[top] for top in sorted(tops & _PROBES.keys())]
    if not tops <= _STDLIB:  # any library may compute with numpy
        probes.append(("numpy", _of_numpy))
    probes.append(("_locale", _of_locale))
    interpreter: list[Callable[[], _States]] = []
    if (
        not _COMMAND_LINES.isdisjoint(tops)
        or not uses.isdisjoint((".parse_args", ".parse_known_args"))
        or any(use.startswith("sys.argv") for use in uses)
    ):
        interpreter.append(lambda: iter([("sys.argv", _arguments())]))
    if any(use.startswith("sys.path") for use in uses):
        interpreter.append(lambda: iter([("sys.path", sys.path)]))
    if not _FOLDER.isdisjoint(uses) or (not _MADE_ABSOLUTE.isdisjoint(uses) and _works_on_paths(uses, tops)):
        interpreter.append(lambda: iter([("working directory", os.getcwd())]))
    if not _LOCAL_TIME.isdisjoint(uses):
        interpreter.append(_of_time_zone)
    if not _GETTERS.keys().isdisjoint(uses):
        interpreter.append(lambda: _of_getters(sorted(uses & _GETTERS.keys())))
    if told_by_marimo := [use for use in uses if use.startswith("marimo.")]:
        interpreter.append(lambda: _of_marimo(told_by_marimo))
    warns = any(use.startswith("warnings.") for use in uses)
    return _Plan(
        text=not _TEXTS.isdisjoint(uses),
        warns=warns,
        asks_values=not _ASKED_OF_VALUES.isdisjoint(uses),
        probes=tuple(dict(probes).items()),
        interpreter=tuple(interpreter),
    )


def _input(name: str, state: object) -> Input:
    text = state if isinstance(state, str) else repr(state)
    digest = xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))
    return Input("state", name, digest, "" if name in _MAY_BE_SECRET else text[:_LONGEST_NOTE])


def _probed(module: str, probe: Callable[[Any, bool], _States], text: bool) -> list[tuple[str, object]]:
    """What a probe finds when its library is loaded; a library of another version may not have the place any more."""
    loaded = sys.modules.get(module)
    if loaded is None:
        return []
    try:
        return list(probe(loaded, text))
    except (AttributeError, KeyError, TypeError, ImportError):
        return []


# -- the interpreter -----------------------------------------------------------------------


def _of_time_zone() -> _States:
    time = sys.modules["time"]
    zone = (os.environ.get("TZ", ""), time.tzname, time.timezone, time.altzone)
    if zone[1:] != (("UTC", "UTC"), 0, 0):
        yield "time zone", zone


def _of_getters(uses: Iterable[str]) -> _States:
    for use in uses:
        yield use, getattr(sys.modules[_GETTERS[use]], use.rpartition(".")[2])()


def _of_locale(locale: Any, text: bool) -> _States:
    if "locale" in sys.modules:  # what has not been imported has not set it
        for category in ("LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MONETARY"):
            value = locale.setlocale(getattr(locale, category))
            if value not in ("C", "POSIX"):
                yield f"locale {category}", value


def _works_on_paths(names: Collection[str], tops: Collection[str]) -> bool:
    return "__file__" not in names and ("pathlib" in tops or any(n.startswith(("os.", "posixpath.")) for n in names))


def _of_marimo(uses: Collection[str]) -> _States:
    if "marimo" in sys.modules:
        found: _States = importlib.import_module("blockcache.types.marimo_").session(uses)
        yield from found


def _arguments() -> list[str]:
    """The program's arguments; those of a notebook's kernel are its host's, and new in every session."""
    if not sys.argv or os.path.basename(sys.argv[0]) in ("ipykernel_launcher.py", "colab_kernel_launcher.py"):
        return []
    return sys.argv[1:]


# The list of filters, its length and its first entry when it was last read, and the entries that raise.
_filters: tuple[object, int, object] = (None, 0, None)
_raising: list[str] = []


_HOSTS = frozenset({"IPython", "ipykernel", "marimo"})


def _of_warnings(warns: bool) -> _States:
    """Filters that turn warnings into errors; all of them where the code itself warns, records or resets."""
    global _filters, _raising
    warnings = sys.modules.get("warnings")
    if warnings is None:
        return
    filters: list[Any] = warnings.filters
    first = filters[0] if filters else None
    if filters is not _filters[0] or len(filters) != _filters[1] or first is not _filters[2]:
        _filters = (filters, len(filters), first)
        # A host's own warnings are no business of a block, and hosts share entries.
        _raising = [_filter(e) for e in filters if e[0] == "error" and e[2].__module__.partition(".")[0] not in _HOSTS]
    if warns:
        yield "warnings.filters", [_filter(entry) for entry in filters if entry[2].__module__ == "builtins"]
    elif _raising:
        yield "warnings as errors", _raising


def _filter(entry: Any) -> str:
    action, message, category, module, line = entry
    texts = [getattr(pattern, "pattern", pattern) for pattern in (message, module)]
    return f"{action} {category.__module__}.{category.__qualname__} {texts} {line}"


def _of_values(values: Mapping[str, Any]) -> _States:
    logging, numpy = sys.modules.get("logging"), sys.modules.get("numpy")
    for name, value in values.items():
        if logging is not None and isinstance(value, (logging.Logger, logging.LoggerAdapter)):
            logger = getattr(value, "logger", value)  # an adapter's
            handlers = [type(handler).__qualname__ for handler in logger.handlers]
            level = logger.level, logger.getEffectiveLevel(), logger.disabled, logger.manager.disable
            yield f"logger {name}", (*level, logger.propagate, handlers)
        elif numpy is not None and isinstance(value, numpy.ndarray) and not value.flags.writeable:
            yield f"{name} read-only", True


# -- libraries -----------------------------------------------------------------------------


def _of_decimal(decimal: Any, text: bool) -> _States:
    c = decimal.getcontext()
    traps = sorted(signal.__name__ for signal, trapped in c.traps.items() if trapped)
    state = (c.prec, c.rounding, c.Emin, c.Emax, c.capitals, c.clamp, traps)
    if state != _DECIMAL:
        yield "decimal context", state


def _of_numpy(numpy: Any, text: bool) -> _States:
    errors = numpy.geterr()
    if errors != NUMPY_ERRORS:
        yield "numpy.errstate", errors
        if "call" in errors.values() or "log" in errors.values():
            yield "numpy.geterrcall", _named(numpy.geterrcall())
    if text:
        options = numpy.get_printoptions()
        if options != NUMPY_TEXTS:
            changed = {k: v for k, v in options.items() if v != NUMPY_TEXTS.get(k, v)}
            yield "numpy.printoptions", {k: _named(v) if callable(v) else v for k, v in changed.items()}


def _of_scipy(special: Any, text: bool) -> _States:
    default = {"memory": "raise"}
    errors = {name: action for name, action in special.geterr().items() if action != default.get(name, "ignore")}
    if errors:
        yield "scipy.special.errstate", errors


_pandas_defaults: dict[str, Any] = {}


#: What marimo's kernel sets by itself; hosts share entries.
_SET_BY_MARIMO = {"display.max_rows": 10, "display.max_columns": 20}


def _of_pandas(config: Any, text: bool) -> _States:
    registered, now = config._registered_options, config._global_config
    if len(_pandas_defaults) != len(registered):
        _pandas_defaults.clear()
        _pandas_defaults.update({name: option.defval for name, option in registered.items()})
    for name, value in flat(now, ""):
        if name in _SET_BY_MARIMO and value == _SET_BY_MARIMO[name] and "marimo" in sys.modules:
            continue
        if _pandas_defaults.get(name, value) != value:
            shown = name.startswith(("display.", "styler.")) and name not in ("display.date_dayfirst",)
            if (text or not shown) and not name.startswith("plotting."):
                yield f"pandas option {name}", _named(value) if callable(value) else value


def flat(options: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Options of pandas by their whole names."""
    for name, value in options.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _of_matplotlib(matplotlib: Any, text: bool) -> _States:
    now, default = dict(dict.items(matplotlib.rcParams)), dict(dict.items(matplotlib.rcParamsDefault))
    changed = {k: repr(v) for k, v in now.items() if v != default.get(k, v) and k not in _MATPLOTLIB_HOSTS}
    if changed:
        yield "matplotlib.rcParams", sorted(changed.items())


def _of_sklearn(config: Any, text: bool) -> _States:
    now, default = config._get_threadlocal_config(), config._global_config
    changed = {k: v for k, v in now.items() if v != default.get(k) and k not in _SKLEARN_SHOWN}
    if changed:
        yield "sklearn config", sorted(changed.items())


def _of_polars(_polars: Any, text: bool) -> _States:
    if text:
        options = {k: v for k, v in os.environ.items() if k.startswith("POLARS_FMT")}
        if options:
            yield "polars.Config", sorted(options.items())


def _of_torch(torch: Any, text: bool) -> _States:
    state = {
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()) if hasattr(torch, "get_default_device") else "cpu",
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "gradients": torch.is_grad_enabled(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32),
        "autocast": str(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else "",
    }
    changed = {k: v for k, v in state.items() if v != _TORCH[k]}
    if changed:
        yield "torch settings", sorted(changed.items())
    if text:
        options = vars(torch._tensor_str.PRINT_OPTS)
        changed = {k: v for k, v in options.items() if k in TORCH_TEXTS and v != TORCH_TEXTS[k]}
        if changed:
            yield "torch.printoptions", sorted(changed.items())


_TORCH: dict[str, object] = {
    "default dtype": "torch.float32",
    "default device": "cpu",
    "deterministic": False,
    "matmul precision": "highest",
    "gradients": True,
    "cudnn": (False, False, True),
    "autocast": "",
}
#: How torch writes tensors where nobody has said otherwise.
TORCH_TEXTS: dict[str, object] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}


def _of_jax(config: Any, text: bool) -> _States:
    state = (config.jax_enable_x64, config.jax_default_matmul_precision)
    if state != (False, None):
        yield "jax.config", state


#: Top-level name of what is used -> (the module that must be loaded, its probe).
_PROBES: dict[str, tuple[str, Callable[[Any, bool], _States]]] = {
    "decimal": ("decimal", _of_decimal),
    "fractions": ("decimal", _of_decimal),
    "statistics": ("decimal", _of_decimal),
    "jax": ("jax._src.config", lambda module, text: _of_jax(module.config, text)),
    "matplotlib": ("matplotlib", _of_matplotlib),
    "seaborn": ("matplotlib", _of_matplotlib),
    "pandas": ("pandas._config.config", _of_pandas),
    "polars": ("polars", _of_polars),
    "scipy": ("scipy.special", _of_scipy),
    "sklearn": ("sklearn._config", _of_sklearn),
    "torch": ("torch", _of_torch),
}


def _named(function: Any) -> str:
    """A function set by the program, by its name: its code is found where it is handed over."""
    if function is None or isinstance(function, (str, int, float)):
        return repr(function)
    kind = function if isinstance(function, ModuleType) or hasattr(function, "__qualname__") else type(function)
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '?')}"


# -- what cannot be tracked ----------------------------------------------------------------

_CLOCKS = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "pandas.Timestamp.now",
        "pandas.Timestamp.today",
        "pandas.Timestamp.utcnow",
        "time.asctime",
        "time.ctime",
        "time.gmtime",
        "time.localtime",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.process_time",
        "time.process_time_ns",
        "time.strftime",
        "time.thread_time",
        "time.time",
        "time.time_ns",
        "timeit.default_timer",
        "timeit.repeat",
        "timeit.timeit",
    }
)
_UNTRACKED = (
    ("reads the clock", _CLOCKS),
    (
        "draws from the operating system's random source",
        frozenset({"os.getrandom", "os.urandom", "posix.urandom", "random.SystemRandom", "uuid.uuid1", "uuid.uuid4"}),
    ),
    (
        "asks the machine or the process",
        frozenset(
            {
                "getpass.getuser",
                "multiprocessing.cpu_count",
                "os.cpu_count",
                "os.getlogin",
                "os.getpid",
                "os.uname",
                "platform.machine",
                "platform.node",
                "platform.platform",
                "posix.cpu_count",
                "posix.getpid",
                "posix.uname",
                "socket.gethostname",
                "threading.get_ident",
            }
        ),
    ),
    ("differs in each process", frozenset({"builtins.hash", "builtins.id"})),
    ("asks the user", frozenset({"builtins.input", "getpass.getpass"})),
)


def untracked(uses: Collection[str]) -> tuple[str, ...]:
    """What of ``uses`` a key cannot hold, as clauses: ``reads the clock (time.time)``."""
    clauses = []
    for clause, names in _UNTRACKED:
        used = sorted(names.intersection(uses))
        if clause.startswith("draws"):
            used += sorted(use for use in uses if use.startswith("secrets."))
        if used:
            clauses.append(f"{clause} ({', '.join(used)})")
    unseeded = sorted(use[1:] for use in uses if use.endswith("()"))
    if unseeded:
        clauses.append(f"an unseeded generator ({', '.join(unseeded)})")
    return tuple(clauses)
