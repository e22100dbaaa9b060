"""State of the process that a body changes and a hit changes likewise: environment, folder, options of libraries.

What is cheap to look at is looked at before the body and after it; the difference is kept and made again. Values are
in the entry's pack only, because the environment has secrets; the manifest has names. Only a hit imports anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from blockcache.ambient import NUMPY_ERRORS, NUMPY_TEXTS, TORCH_TEXTS, flat
from blockcache.errors import CodecError

#: Differences by facet, as plain values.
Made = dict[str, Any]

_UNSET = ("unset",)
_FOLDER = "working directory"
_LISTS = ("sys.path", "sys.argv", "warnings.filters")
_MATPLOTLIB_HOSTS = frozenset({"backend", "backend_fallback", "interactive", "toolbar", "webagg.address"})


class Changed(NamedTuple):
    """What a body changed: how a hit does it again, its names for people, and the names of inputs that it explains."""

    made: Made
    names: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()


class _Facet(NamedTuple):
    """Named settings of one module.

    Attributes
    ----------
    module
        What must be loaded.
    read
        The settings now.
    write
        Changes settings.
    fresh
        The settings when the module has just been imported; None where that cannot be told.
    """

    module: str
    read: Callable[[Any], dict[str, Any]]
    write: Callable[[Any, Mapping[str, Any]], object]
    fresh: Callable[[Any], dict[str, Any]] | None = None


def snapshot() -> dict[str, Any]:
    """How things stand."""
    found: dict[str, Any] = {name: list(_list(name)) for name in _LISTS}
    try:
        found[_FOLDER] = os.getcwd()
    except OSError:  # it was removed
        found[_FOLDER] = ""
    for name, facet in _FACETS.items():
        state = _read(facet)
        if state is not None:
            found[name] = state
    return found


def changed(before: Mapping[str, Any], uses: Collection[str]) -> Changed:
    """What is not as it was.

    Parameters
    ----------
    before
        What :func:`snapshot` found.
    uses
        Dotted names of what the block uses of libraries: a filter of warnings that no code of the project has set came
        with the import of a library, and comes with it again.

    Raises
    ------
    CodecError
        When a hit could not do it again.
    """
    now, made = snapshot(), Made()
    names: list[str] = []
    for name in _LISTS:
        edit = _edit(before[name], now[name])
        if edit is not None and name == "warnings.filters" and not any(use.startswith("warnings.") for use in uses):
            edit = _of_libraries(edit)
        if edit is not None:
            made[name] = edit
            names.append(name)
    if now[_FOLDER] != before[_FOLDER]:
        if not now[_FOLDER]:
            raise CodecError("the body removed the working directory, which a hit could not repeat")
        made[_FOLDER] = _way(before[_FOLDER], now[_FOLDER])
        names.append(_FOLDER)
    for name, facet in _FACETS.items():
        was = before.get(name)
        if was is None:
            was = _fresh(facet)
        difference = _difference(was, now.get(name))
        if difference:
            made[name] = difference
            names += _named(name, difference)
    return Changed(made, tuple(names), tuple(_explained(made)))


def check(made: Made) -> None:
    """Whether all of it can be done.

    Raises
    ------
    CodecError
        When something cannot.
    """
    if _FOLDER in made:
        folder = os.path.join(os.getcwd(), made[_FOLDER])
        if not os.path.isdir(folder) or not os.access(folder, os.X_OK):
            raise CodecError(f"the body changes the working directory to {folder}, which is not there")
    for name in made:
        if name in _FACETS and _FACETS[name].module not in sys.modules:
            try:
                import_module(_FACETS[name].module)
            except Exception as error:
                raise CodecError(f"cannot import {_FACETS[name].module}: {type(error).__name__}: {error}") from error
    if "locale" in made:
        _try_locale(made["locale"])


def apply(made: Made) -> None:
    """Do what the body did."""
    for name in _LISTS:
        if name in made:
            _apply_edit(name, made[name])
    if _FOLDER in made:
        os.chdir(made[_FOLDER])
    for name, difference in made.items():
        if name in _FACETS:
            _FACETS[name].write(sys.modules[_FACETS[name].module], difference)


# -- differences ---------------------------------------------------------------------------


def _difference(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> dict[str, Any]:
    if before is None or now is None:
        return {}
    found = {name: value for name, value in now.items() if not _same(value, before.get(name, _UNSET))}
    return found | {name: _UNSET for name in before if name not in now}


def _same(value: object, other: object) -> bool:
    try:
        return type(value) is type(other) and bool(value == other)
    except Exception:  # whatever `==` of a setting's value does
        return False


def _edit(before: list[Any], now: list[Any]) -> tuple[Any, ...] | None:
    """How a list became another one: taken out, put in front, put behind; or the whole of it."""
    if before == now:
        return None
    size = len(before)
    for start in range(len(now) - size + 1):
        if now[start : start + size] == before:
            return "edit", [], now[:start], now[start + size :]
    for start in range(len(now) + 1):
        rest = now[start:]
        if rest == [item for item in before if item in rest]:
            gone = [item for item in before if item not in rest]
            return "edit", gone, now[:start], []
    return "set", now


def _apply_edit(name: str, edit: tuple[Any, ...]) -> None:
    now = _list(name)
    if edit[0] == "set":
        now[:] = edit[1]
    else:
        _, gone, front, behind = edit
        # Of warnings, a filter that is set again moves to the front.
        gone = [*gone, *front] if name == "warnings.filters" else gone
        now[:] = [*front, *(item for item in now if item not in gone), *behind]
    if name == "warnings.filters":
        sys.modules["warnings"]._filters_mutated()


def _of_libraries(edit: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Filters that libraries set when they were imported, but for those that would import the library again."""
    if edit[0] == "set":
        return None
    front, behind = edit[2:]
    front, behind = ([item for item in part if item[2].__module__ == "builtins"] for part in (front, behind))
    return ("edit", [], front, behind) if front or behind else None


def _list(name: str) -> list[Any]:
    module, _, attribute = name.partition(".")
    found: list[Any] = getattr(sys.modules[module], attribute) if module in sys.modules else []
    return found


def _way(before: str, now: str) -> str:
    """The way to a folder: relative where it stays so in a copy of the project."""
    inside = os.path.join(before, "")
    if now.startswith(inside):
        return now.removeprefix(inside)
    above = before.startswith(os.path.join(now, ""))
    return os.path.relpath(now, before) if above and now != os.sep else now


def _named(facet: str, difference: Mapping[str, Any]) -> Iterator[str]:
    for name in difference:
        if facet == "os.environ":
            yield f"os.environ[{name!r}]"
        elif facet != "decimal context" or name != "flags":  # any division sets one
            yield f"{facet}: {name}"


def _explained(made: Made) -> Iterator[str]:
    """Names of inputs of the kind ``state`` that are as the body left them after a hit; see `ambient`."""
    for facet, difference in made.items():
        if facet == "warnings.filters":
            yield "warnings as errors"
        elif facet == "os.environ" and any(name.startswith("POLARS_FMT") for name in difference):
            yield "polars.Config"
        elif facet == "interpreter":
            yield from difference
        yield facet


def explains(names: Iterable[str], name: str) -> bool:
    """Whether an input changed because of what the body changed in the process."""
    return any(name == known or name.startswith((f"{known} ", f"{known}.")) for known in names)


# -- facets --------------------------------------------------------------------------------


def _read(facet: _Facet) -> dict[str, Any] | None:
    """The settings of a module that is loaded; another version of a library may keep them elsewhere."""
    module = sys.modules.get(facet.module)
    if module is None:
        return None
    try:
        return facet.read(module)
    except (AttributeError, KeyError, TypeError, ValueError, ImportError):
        return None


def _fresh(facet: _Facet) -> dict[str, Any] | None:
    module = sys.modules.get(facet.module)
    if module is None or facet.fresh is None:
        return None
    try:
        return facet.fresh(module)
    except (AttributeError, KeyError, TypeError, ValueError, ImportError):
        return None


def _write_environ(module: Any, difference: Mapping[str, Any]) -> None:
    for name, value in difference.items():
        if value == _UNSET:
            module.environ.pop(name, None)
        else:
            module.environ[name] = value


def _read_interpreter(module: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (home, get, _, fresh) in _SETTERS.items():
        found[name] = getattr(sys.modules[home], get)() if home in sys.modules else fresh
    return found


def _write_interpreter(module: Any, difference: Mapping[str, Any]) -> None:
    for name, value in difference.items():
        home, _, put, _ = _SETTERS[name]
        if home == "gc":
            put = "enable" if value else "disable"
            getattr(import_module(home), put)()
        else:
            getattr(import_module(home), put)(value)


#: As `ambient` calls them: (module, how to ask, how to set, what it is before the module is imported).
_SETTERS = {
    "sys.getrecursionlimit": ("sys", "getrecursionlimit", "setrecursionlimit", None),
    "sys.get_int_max_str_digits": ("sys", "get_int_max_str_digits", "set_int_max_str_digits", None),
    "gc.isenabled": ("gc", "isenabled", "", True),
    "csv.field_size_limit": ("csv", "field_size_limit", "field_size_limit", 131072),
    "socket.getdefaulttimeout": ("socket", "getdefaulttimeout", "setdefaulttimeout", None),
}


def _context(context: Any) -> dict[str, Any]:
    found = {name: getattr(context, name) for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")}
    for name in ("traps", "flags"):
        found[name] = sorted(signal.__name__ for signal, is_set in getattr(context, name).items() if is_set)
    return found


def _write_decimal(module: Any, difference: Mapping[str, Any]) -> None:
    context = module.getcontext()
    for name, value in difference.items():
        if name in ("traps", "flags"):
            for signal in getattr(context, name):
                getattr(context, name)[signal] = signal.__name__ in value
        else:
            setattr(context, name, value)


def _read_locale(module: Any) -> dict[str, Any]:
    names = ("LC_COLLATE", "LC_CTYPE", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")
    return {name: module.setlocale(getattr(module, name)) for name in names}


def _write_locale(module: Any, difference: Mapping[str, Any]) -> None:
    for name, value in difference.items():
        module.setlocale(getattr(module, name), value)


def _try_locale(difference: Mapping[str, Any]) -> None:
    locale: Any = sys.modules["_locale"]
    before = _read_locale(locale)
    try:
        _write_locale(locale, difference)
    except locale.Error as error:
        raise CodecError(f"the locale cannot be set as the body set it: {error}") from error
    finally:
        _write_locale(locale, before)


def _read_pandas(module: Any) -> dict[str, Any]:
    return dict(flat(module._global_config, ""))


def _write_pandas(module: Any, difference: Mapping[str, Any]) -> None:
    for name, value in difference.items():
        module.set_option(name, value)


def _read_matplotlib(module: Any, source: str = "rcParams") -> dict[str, Any]:
    settings = dict(dict.items(getattr(module, source)))
    return {name: value for name, value in settings.items() if name not in _MATPLOTLIB_HOSTS}


def _write_matplotlib(module: Any, difference: Mapping[str, Any]) -> None:
    module.rcParams.update(difference)


def _read_torch(module: Any) -> dict[str, Any]:
    cudnn = module.backends.cudnn
    return {
        "default dtype": str(module.get_default_dtype()).rpartition(".")[2],
        "default device": str(module.get_default_device()) if hasattr(module, "get_default_device") else "cpu",
        "deterministic": module.are_deterministic_algorithms_enabled(),
        "matmul precision": module.get_float32_matmul_precision(),
        "gradients": module.is_grad_enabled(),
        "threads": module.get_num_threads(),
        "cudnn": (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32),
    }


def _write_torch(module: Any, difference: Mapping[str, Any]) -> None:
    cudnn = module.backends.cudnn
    put: dict[str, Callable[[Any], object]] = {
        "default dtype": lambda value: module.set_default_dtype(getattr(module, value)),
        "default device": module.set_default_device,
        "deterministic": module.use_deterministic_algorithms,
        "matmul precision": module.set_float32_matmul_precision,
        "gradients": module.set_grad_enabled,
        "threads": module.set_num_threads,
    }
    for name, value in difference.items():
        if name == "cudnn":
            cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = value
        else:
            put[name](value)


def _read_torch_texts(module: Any) -> dict[str, Any]:
    options = vars(module._tensor_str.PRINT_OPTS)
    return {name: options[name] for name in TORCH_TEXTS}


_FRESH_TORCH = {
    "default dtype": "float32",
    "default device": "cpu",
    "deterministic": False,
    "matmul precision": "highest",
    "gradients": True,
    "cudnn": (False, False, True),
}


def _read_numpy_errors(module: Any) -> dict[str, Any]:
    return {**module.geterr(), "call": module.geterrcall()}


def _write_numpy_errors(module: Any, difference: Mapping[str, Any]) -> None:
    module.seterr(**{name: value for name, value in difference.items() if name != "call"})
    if "call" in difference:
        module.seterrcall(difference["call"])


def _tell_time_zone(module: Any, _difference: Mapping[str, Any]) -> None:
    module.tzset()


#: Called as the inputs of the kind ``state`` begin that `ambient` finds. The environment is before the time zone.
_FACETS = {
    "os.environ": _Facet("os", lambda os: dict(os.environ), _write_environ),
    "time zone": _Facet("time", lambda time: {"zone": (time.tzname, time.timezone, time.altzone)}, _tell_time_zone),
    "interpreter": _Facet("sys", _read_interpreter, _write_interpreter),
    "decimal context": _Facet(
        "decimal", lambda d: _context(d.getcontext()), _write_decimal, lambda d: _context(d.DefaultContext)
    ),
    "locale": _Facet("_locale", _read_locale, _write_locale),
    "numpy.errstate": _Facet(
        "numpy",
        _read_numpy_errors,
        _write_numpy_errors,
        lambda _: {**NUMPY_ERRORS, "call": None},
    ),
    "numpy.printoptions": _Facet(
        "numpy",
        lambda numpy: dict(numpy.get_printoptions()),
        lambda numpy, difference: numpy.set_printoptions(**difference),
        lambda numpy: {name: NUMPY_TEXTS.get(name, value) for name, value in numpy.get_printoptions().items()},
    ),
    "scipy.special.errstate": _Facet(
        "scipy.special",
        lambda special: dict(special.geterr()),
        lambda special, difference: special.seterr(**difference),
        lambda special: {name: "raise" if name == "memory" else "ignore" for name in special.geterr()},
    ),
    "pandas option": _Facet(
        "pandas._config.config",
        _read_pandas,
        _write_pandas,
        lambda config: {name: option.defval for name, option in config._registered_options.items()},
    ),
    "matplotlib.rcParams": _Facet(
        "matplotlib",
        _read_matplotlib,
        _write_matplotlib,
        lambda matplotlib: _read_matplotlib(matplotlib, "rcParamsOrig"),
    ),
    "sklearn config": _Facet(
        "sklearn._config",
        lambda config: dict(config._get_threadlocal_config()),
        lambda config, difference: config._get_threadlocal_config().update(difference),
        lambda config: dict(config._global_config),
    ),
    "torch settings": _Facet(
        "torch",
        _read_torch,
        _write_torch,
        lambda torch: {**_FRESH_TORCH, "threads": torch.get_num_threads()},
    ),
    "torch.printoptions": _Facet(
        "torch",
        _read_torch_texts,
        lambda torch, difference: torch.set_printoptions(**difference),
        lambda _: dict(TORCH_TEXTS),
    ),
}
