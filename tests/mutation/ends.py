"""What a program has left behind, in parts that two runs can be compared by; runs in the program's own process, at its end."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.util
import itertools
import os
import re
import sys
import types
import warnings
import zlib
from typing import Any

_OURS = ("PYTHONPATH", "PYTHONHASHSEED")
_COMPILED = ("_scanner", "callback")
MOST_LINES = 20_000
"""Objects that are looked at behind one variable."""
SHOWN = 4_000_000
"""Bytes of a variable's text that are kept for a diff."""


def describe(space: dict[str, Any], folder: str, ending_path: str) -> dict[str, Any]:
    """Variables by value, identity between them, figures, state of the process, and the next random draws."""
    state = _state()
    spec = importlib.util.spec_from_file_location("_ending", ending_path)
    assert spec is not None and spec.loader is not None
    ending = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ending)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names, same = _variables(ending, space, folder)
        figures = _figures()
    return {"names": names, "same": same, "figures": figures, "state": state, "draws": _draws()}


def _variables(ending: Any, space: dict[str, Any], folder: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    class Graph(ending._Graph):
        def text(self, value: Any) -> str:
            # Which view of a dict it is cannot be told.
            if type(value) is types.MappingProxyType:
                return f"mappingproxy {self.text(dict(value))}"
            # Which of equal ones it is does not count for what cannot change.
            if type(value) is types.CodeType or (type(value).__module__ or "").partition(".")[0] == "sympy":
                return self._line(value)
            return super().text(value)  # type: ignore[no-any-return]

        def _line(self, value: Any) -> str:
            if len(self.lines) > MOST_LINES:
                raise TooMuch
            kind = type(value)
            module = (kind.__module__ or "").partition(".")[0]
            if module == "sympy":
                return f"{kind.__qualname__} {value}"
            if kind.__module__ in ("_io", "_thread", "threading", "logging", "weakref", "_weakref"):
                return kind.__qualname__  # nothing that has a content of its own
            if kind.__module__ == "lark.lexer" and kind.__qualname__ == "BasicLexer":
                # What it compiles when it first reads a text: without it, the next text takes a moment longer.
                return (
                    f"{kind.__qualname__} {self._names({n: v for n, v in vars(value).items() if n not in _COMPILED})}"
                )
            if kind is functools.partial:
                # Looking at its attributes makes an empty dict of them.
                return f"partial {[self.text(p) for p in (value.func, value.args, value.keywords, vars(value))]}"
            if (
                isinstance(value, dict | list)
                and kind.__reduce__ is not object.__reduce__
                and not kind.__module__.startswith("collections")
            ):
                return f"{kind.__qualname__} {self._reduced(value)}"  # its class says what counts
            return super()._line(value)  # type: ignore[no-any-return]

        def _function(self, value: Any) -> str:
            # Which dict holds its annotations is no matter: a wrapper shares that of what it wraps.
            kept = value.__annotations__
            value.__annotations__ = dict(kept)
            try:
                return super()._function(value)  # type: ignore[no-any-return]
            finally:
                value.__annotations__ = kept

        def _array(self, np: Any, value: Any) -> str:
            # Strides along an axis of one element say nothing.
            kept = super()._array(np, value)
            strides = tuple(s if n > 1 else 0 for n, s in zip(value.shape, value.strides, strict=True))
            return kept.replace(str(value.strides), str(strides), 1)  # type: ignore[no-any-return]

    names: dict[str, list[str]] = {}
    numbers: dict[str, dict[int, int]] = {}
    arrays: list[tuple[str, int, Any]] = []
    alive = []
    for name in sorted(space):
        value = space[name]
        if name in (*ending._FIRST, "__warningregistry__") or isinstance(value, types.ModuleType):
            continue
        graph = Graph(folder)
        try:
            text = graph.text(value)
            lines = [text, *(f"#{n}: {ending._ADDRESS.sub('0x', line)}" for n, line in enumerate(graph.lines))]
            numbers[name] = graph.numbers
        except TooMuch:
            lines = ["too much to look at"]
        except RecursionError:
            lines = ["too deep to look at"]
        whole = "\n".join(lines)
        octets = whole.encode("utf-8", "surrogatepass")
        names[name] = [hashlib.sha256(octets).hexdigest(), base64.b85encode(zlib.compress(octets[:SHOWN], 1)).decode()]
        arrays += [(name, number, array) for number, array in graph.arrays]
        alive.append(graph)
    return names, _same(numbers, arrays)


class TooMuch(RuntimeError):
    """More than is looked at."""


def _same(numbers: dict[str, dict[int, int]], arrays: list[tuple[str, int, Any]]) -> dict[str, str]:
    """For pairs of variables: which of their objects are the same, and which arrays have the same memory."""
    homes: dict[int, list[tuple[str, int]]] = {}
    for name, known in numbers.items():
        for key, number in known.items():
            homes.setdefault(key, []).append((name, number))
    found: dict[str, list[str]] = {}
    for places in homes.values():
        for (a, i), (b, j) in itertools.combinations(places[:20], 2):
            found.setdefault(f"{a} and {b}", []).append(f"#{i} is #{j}")
    spans = []
    for name, number, array in arrays:
        if array.size:
            low, high = sys.modules["numpy"].lib.array_utils.byte_bounds(array)
            spans.append((low, high, name, number))
    spans.sort()
    for k, (low, high, name, number) in enumerate(spans):
        for other in spans[k + 1 : k + 50]:
            if other[0] >= high:
                break
            if other[2] != name:
                (a, i), (b, j) = sorted([(name, number), (other[2], other[3])])
                found.setdefault(f"{a} and {b}", []).append(f"#{i} shares memory with #{j}")
    return {pair: "\n".join(sorted(set(lines)))[:2000] for pair, lines in found.items()}


def _figures() -> dict[str, str]:
    """Digest of the pixels of each open figure, and which is current."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return {}
    found = {}
    numbers = pyplot.get_fignums()
    if numbers:
        found["current"] = str(pyplot.gcf().number)
    for number in numbers:
        canvas = pyplot.figure(number).canvas
        try:
            canvas.draw()
            found[str(number)] = f"{canvas.get_width_height()} {hashlib.sha256(canvas.buffer_rgba()).hexdigest()}"
        except Exception as problem:
            found[str(number)] = f"cannot be drawn: {type(problem).__name__}"
    return found


def _state() -> dict[str, str]:
    """State of the process that the next line could notice."""
    found = {
        "cwd": os.getcwd(),
        "sys.path": repr([p for p in sys.path if p not in os.environ.get("PYTHONPATH", "").split(os.pathsep)]),
        "os.environ": repr(sorted(item for item in os.environ.items() if item[0] not in _OURS)),
        "recursion limit": str(sys.getrecursionlimit()),
        "warning filters": repr([f for f in warnings.filters if "CacheWarning" not in str(f)]),
    }
    if (mpl := sys.modules.get("matplotlib")) is not None:
        found["rcParams"] = re.sub(r"0x[0-9a-f]+", "0x", repr(sorted(dict.items(mpl.rcParams), key=lambda i: i[0])))
    if (np := sys.modules.get("numpy")) is not None:
        found["numpy's options"] = repr((np.get_printoptions(), np.geterr()))
    if (pd := sys.modules.get("pandas")) is not None:
        found["pandas's options"] = repr(pd.get_option("display.max_rows"))
    return found


def _draws() -> dict[str, str]:
    found = {}
    if "random" in sys.modules:
        found["random"] = repr([sys.modules["random"].random() for _ in range(3)])
    if "numpy" in sys.modules:
        found["numpy"] = repr(sys.modules["numpy"].random.random(3).tolist())
    return found
