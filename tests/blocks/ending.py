"""What a program has left behind at its end, as a text that two runs of it can be compared by.

:func:`describe` runs inside the program's process, after its last line (see ``nursery.py``), and writes a graph: every value that
the variables of the main module reach, and of the project's own modules, has a line of its own. What is the same object is the
same number (``#4``), so two texts agree where values *and* sharing agree. Sets are sorted by value, and nothing has an address.

Text, numbers and tuples of these have no number: whether two equal ones are one object is the compiler's business; except
``nan``, where it decides whether ``in`` finds it.
"""

from __future__ import annotations

import functools
import math
import os
import re
import sys
import types
import warnings
import weakref
from typing import Any

_ATOMS = (int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented))
_FIRST = {"__name__", "__doc__", "__package__", "__spec__", "__loader__", "__builtins__", "__file__"}
# What a class has by itself, and where it stands.
_OF_CLASSES = {
    *("__dict__", "__weakref__", "__module__", "__qualname__", "__doc__", "_abc_impl", "__firstlineno__"),
    *("__slotnames__", "__static_attributes__", "__annotate__", "__annotations_cache__", "__annotate_func__"),
}
_ADDRESS = re.compile(r"\b0x[0-9a-f]+")


class _Graph:
    def __init__(self, folder: str) -> None:
        self.folder = folder.rstrip(os.sep) + os.sep
        self.numbers: dict[int, int] = {}
        self.kept: list[object] = []  # an address must not be used twice
        self.lines: list[str] = []
        self.arrays: list[tuple[int, Any]] = []

    def text(self, value: Any) -> str:
        """An atom, or the number of its line."""
        kind = type(value)
        if kind in _ATOMS and not (kind is float and math.isnan(value)):
            return repr(value)
        if kind in (tuple, frozenset) and (plain := _plain(value)) is not None:
            return plain
        if any(
            isinstance(m, str) and m.partition(".")[0] == "blockcache"
            for m in (kind.__module__, getattr(value, "__module__", ""), getattr(value, "__name__", ""))
        ):
            return "<blockcache>"
        if kind is types.CodeType:  # the compiler's own, and nobody compares them with `is`
            consts = [self.text(c) for c in value.co_consts if not isinstance(c, str)]
            return f"code {value.co_qualname} {value.co_code.hex()} {value.co_names} {consts}"
        known = self.numbers.get(id(value))
        if known is None:
            known = self.numbers[id(value)] = len(self.lines)
            self.kept.append(value)
            self.lines.append("")
            try:
                self.lines[known] = self._line(value)
            except RecursionError:
                raise
            except Exception as error:
                self.lines[known] = f"{_name(kind)} ? {type(error).__name__}"
        return f"#{known}"

    def _line(self, value: Any) -> str:
        head = _name(type(value))
        match value:
            case weakref.WeakKeyDictionary() | weakref.WeakValueDictionary() | weakref.WeakSet():
                inside = value.items() if hasattr(value, "items") else value
                return f"{head} {sorted(map(self._alone, list(inside)))}"
            case float():
                return "nan" if type(value) is float else f"{head} {self._state(value)}"
            case types.ModuleType():
                own = (getattr(value, "__file__", None) or "").startswith(self.folder)
                space = {n: v for n, v in vars(value).items() if n not in {*_FIRST, "__cached__"}} if own else {}
                return f"module {value.__name__} {self._names(space)}"
            case type():
                return self._class(value)
            case types.FunctionType():
                return self._function(value)
            case types.MethodType():
                return f"method {self.text(value.__func__)} of {self.text(value.__self__)}"
            case types.BuiltinFunctionType():
                return f"builtin {value.__qualname__} of {self.text(value.__self__)}"
            case types.CellType():
                try:
                    return f"cell {self.text(value.cell_contents)}"
                except ValueError:
                    return "cell, empty"
            case types.GeneratorType() | types.CoroutineType() | types.AsyncGeneratorType():
                frame = next(getattr(value, n) for n in ("gi_frame", "cr_frame", "ag_frame") if hasattr(value, n))
                place = f"{frame.f_lasti} {self._names(frame.f_locals)}" if frame is not None else "over"
                return f"{head} {value.__qualname__} at {place}"
            case BaseException():
                links = [self.text(getattr(value, n)) for n in ("args", "__cause__", "__context__")]
                return f"{head} {links} {value.__suppress_context__} {self._names(vars(value))}"
            case list() | tuple():
                return f"{head} [{', '.join([self.text(v) for v in value])}]{self._state(value)}"
            case set() | frozenset():
                return f"{head} {{{', '.join([self.text(v) for v in sorted(value, key=self._alone)])}}}{self._state(value)}"
            case dict():
                if "version" in value and any(type(k) is tuple and len(k) == 3 for k in value):
                    value = {k: v for k, v in value.items() if k != "version"}  # a __warningregistry__ counts filters
                items = ", ".join([f"{self.text(k)}: {self.text(v)}" for k, v in value.items()])
                return f"{head} {{{items}}}{self._state(value)}"
        found = self._of_library(value)
        if found is not None:
            return f"{head} {found}{self._state(value) if type(value).__module__ == '__main__' else ''}"
        if type(value).__reduce_ex__ is not object.__reduce_ex__ or type(value).__reduce__ is not object.__reduce__:
            return f"{head} {self._reduced(value)}"
        if hasattr(value, "__dict__") or _slots(value):
            return f"{head}{self._state(value)}"
        return f"{head} {self._reduced(value)}"

    def _alone(self, value: object) -> str:
        """The value as text that does not depend on what was seen before."""
        graph = _Graph(self.folder)
        return f"{graph.text(value)} {graph.lines}"

    def _names(self, space: Any) -> str:
        return "{" + ", ".join([f"{n}: {self.text(space[n])}" for n in sorted(space)]) + "}"

    def _state(self, value: Any) -> str:
        state = dict(getattr(value, "__dict__", {})) | _slots(value)
        return f" {self._names(state)}" if state else ""

    def _class(self, value: Any) -> str:
        label = f"class {value.__module__}.{value.__qualname__}"
        module = sys.modules.get(value.__module__)
        if value.__module__ != "__main__" and not (getattr(module, "__file__", None) or "").startswith(self.folder):
            return label
        space = {n: v for n, v in vars(value).items() if n not in _OF_CLASSES and not _is_slot(v)}
        return f"{label} {value.__doc__!r} of {self.text(type(value))}{self.text(value.__bases__)} {self._names(space)}"

    def _function(self, value: Any) -> str:
        label = f"function {value.__module__}.{value.__qualname__}"
        if value.__module__ != "__main__" and not value.__code__.co_filename.startswith(self.folder):
            return label
        names = ("__code__", "__defaults__", "__kwdefaults__", "__closure__", "__annotations__", "__dict__")
        shared = self.text(value.__globals__.get("__name__"))
        return f"{label} {value.__doc__!r} in {shared} {[self.text(getattr(value, n, None)) for n in names]}"

    def _reduced(self, value: Any) -> str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reduced = value.__reduce_ex__(4)
        except Exception:  # it cannot be pickled: what it says of itself
            return _ADDRESS.sub("0x", repr(value))
        if isinstance(reduced, str):
            return reduced
        if isinstance(value, functools.partial):  # asking for its attributes makes a place for them
            reduced = (*reduced[:2], (*reduced[2][:3], reduced[2][3] or None))
        parts = [list(p) if i > 2 and p is not None else p for i, p in enumerate(reduced)]
        return f"{[self.text(p) for p in parts]}"

    def _of_library(self, value: Any) -> str | None:
        if type(value).__module__.partition(".")[0] == "matplotlib":
            return ""  # its pixels tell
        np, pd = sys.modules.get("numpy"), sys.modules.get("pandas")
        if np is not None and isinstance(value, np.ndarray):
            return self._array(np, value)
        if pd is not None and isinstance(value, pd.DataFrame):
            columns = [self.text(value.iloc[:, i].array) for i in range(value.shape[1])]
            return f"{self.text(value.columns)} {self.text(value.index)} {columns} {self.text(value.attrs)}"
        if pd is not None and isinstance(value, pd.Series):
            return f"{value.name!r} {self.text(value.index)} {self.text(value.array)} {self.text(value.attrs)}"
        if pd is not None and isinstance(value, (pd.Index, pd.api.extensions.ExtensionArray)):
            inside = getattr(value, "_ndarray", None)
            if inside is not None and int(pd.__version__.partition(".")[0]) >= 3:
                inside = inside.copy()  # written to as if it shared no memory
            inside = self.text(inside) if inside is not None else self.text(list(value))
            return f"{value.dtype} {getattr(value, 'names', '')} {inside}"
        if hasattr(value, "to_arrow") and type(value).__module__.partition(".")[0] == "polars":
            rows = value.to_dict(as_series=False) if hasattr(value, "columns") else value.to_list()
            return f"{getattr(value, 'schema', '') or value.dtype} {self.text(rows)}"
        if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "untyped_storage"):
            return f"{value.requires_grad} {value.dtype} {self.text(value.detach().cpu().numpy())}"
        return None

    def _array(self, np: Any, value: Any) -> str:
        where = []  # among those before: which have the same memory, and how far off
        own = value.__array_interface__["data"][0]
        for number, other in self.arrays:
            if np.may_share_memory(value, other):
                where.append(f"memory of #{number}{own - other.__array_interface__['data'][0]:+}")
        self.arrays.append((self.numbers[id(value)], value))
        content = self.text(value.ravel().tolist()) if value.dtype.hasobject else np.asarray(value).tobytes().hex()
        layout = f"{value.dtype!r} {value.shape} {value.strides} {'' if value.flags.writeable else 'read-only '}"
        return f"{layout}{' '.join(where)} {content}"


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _plain(value: Any) -> str | None:
    """A tuple or frozenset all the way down of atoms, as text."""
    parts = []
    for part in value:
        kind = type(part)
        if kind in (tuple, frozenset):
            inner = _plain(part)
            if inner is None:
                return None
            parts.append(inner)
        elif kind in _ATOMS and not (kind is float and math.isnan(part)):
            parts.append(repr(part))
        else:
            return None
    return f"({', '.join(parts)},)" if type(value) is tuple else f"frozenset {sorted(parts)}"


def _slots(value: object) -> dict[str, Any]:
    found = {}
    for kind in type(value).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, types.MemberDescriptorType) and "__slots__" in vars(kind) and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def _is_slot(value: object) -> bool:
    return isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType))


def _figures() -> str:
    """Digest of the pixels of each open figure."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return ""
    from hashlib import sha256

    found = []
    for number in pyplot.get_fignums():
        canvas = pyplot.figure(number).canvas
        canvas.draw()
        found.append(f"{number} {canvas.get_width_height()} {sha256(canvas.buffer_rgba()).hexdigest()}")
    return "\n".join([f"current {pyplot.gcf().number if found else None}", *found])


def describe(space: dict[str, Any], cwd: str, seeded: set[str]) -> dict[str, str]:
    """Everything that can be noticed after the last line of a program, by kind."""
    figures = _figures()
    graph = _Graph(cwd)
    variables = {name: graph.text(space[name]) for name in sorted(space) if name not in _FIRST}
    modules = [
        m for _, m in sorted(sys.modules.items()) if (getattr(m, "__file__", None) or "").startswith(graph.folder)
    ]
    for module in modules:
        if vars(module) is not space:
            graph.text(module)
    draws = {}
    if "random" in seeded:
        draws["random"] = repr([sys.modules["random"].random() for _ in range(3)])
    if "numpy" in seeded:
        draws["numpy"] = repr(sys.modules["numpy"].random.random(3).tolist())
    listing = [f"{name} = {text}" for name, text in variables.items()]
    listing += [f"#{number}: {_ADDRESS.sub('0x', line)}" for number, line in enumerate(graph.lines)]
    return {"variables": "\n".join(listing), "figures": figures, "draws": repr(draws)}
