"""What a program's final variables come to, in a form of our own: nothing of blockcache judges itself here."""

from __future__ import annotations

import functools
import hashlib
import types
from typing import Any

LIMIT = 300_000
OPAQUE = (
    "matplotlib.",
    "asteval.",
    "lark.lark.",
    "lark.parsers.",
    "_io.",
    "sqlite3.",
    "threading.",
    "_thread.",
    "logging.",
    "weakref.",
    "_weakref.",
)


def is_handle(value: Any) -> bool:
    """Whether a value belongs to the cache itself: `cached_block`, a block, or what stands for them in the plain run."""
    for kind in (value, type(value)):
        if (
            str(getattr(kind, "__module__", "")).split(".")[0] == "blockcache"
            or getattr(kind, "__name__", "") == "_Plain"
        ):
            return True
    return False


def digest(value: Any, own_files: set[str], loose: bool = False) -> str:
    """Digest of a value; with ``loose``, functions and classes count by name only."""
    return _Digester(own_files, loose).of(value).hex()


class _Digester:
    def __init__(self, own_files: set[str], loose: bool) -> None:
        self.own_files = own_files
        self.loose = loose
        self.done: dict[int, bytes] = {}
        self.alive: list[Any] = []
        self.path: list[int] = []
        self.count = 0

    def of(self, value: Any) -> bytes:
        if type(value) is int and 2**44 < value < 2**48:
            return b"address"  # an id() that some library keeps
        if value is None or type(value) in (bool, int, str, bytes, complex, float):
            return self._mix(type(value).__name__, repr(value).encode())
        if id(value) in self.done:
            return self.done[id(value)]
        if id(value) in self.path:
            return self._mix("cycle", str(len(self.path) - self.path.index(id(value))).encode())
        self.count += 1
        if self.count > LIMIT or len(self.path) > 150:
            return b"much"
        self.path.append(id(value))
        try:
            found = self._parts(value)
        except Exception as problem:
            found = self._mix("raises", type(problem).__name__.encode())
        finally:
            self.path.pop()
        self.done[id(value)] = found
        self.alive.append(value)
        return found

    def _mix(self, kind: str, *parts: bytes) -> bytes:
        state = hashlib.blake2b(kind.encode(), digest_size=16)
        for part in parts:
            state.update(len(part).to_bytes(8, "big") + part)
        return state.digest()

    def _parts(self, value: Any) -> bytes:
        kind = f"{type(value).__qualname__}"
        module = type(value).__module__ or ""
        if isinstance(value, list | tuple):
            state = self.of(vars(value)) if hasattr(value, "__dict__") else b""
            return self._mix(kind, state, *[self.of(v) for v in value])
        if isinstance(value, dict):
            state = self.of(vars(value)) if hasattr(value, "__dict__") else b""
            return self._mix(kind, state, *[self.of(part) for item in value.items() for part in item])
        if isinstance(value, set | frozenset):
            return self._mix(kind, *sorted(self.of(v) for v in value))
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return self._mix(kind, self.of(value.__func__), self.of(value.__self__))
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, functools.partial):
            return self._mix(kind, self.of(value.func), self.of(value.args), self.of(value.keywords))
        if isinstance(value, types.ModuleType | types.BuiltinFunctionType):
            return self._mix(kind, str(getattr(value, "__name__", "")).encode())
        if module.startswith("numpy") and hasattr(value, "dtype") and hasattr(value, "tobytes"):
            mask = self.of(getattr(value, "mask", None)) if kind == "MaskedArray" else b""
            content = self.of(value.tolist()) if value.dtype.hasobject else value.tobytes()
            return self._mix(kind, str(value.dtype).encode(), str(value.shape).encode(), mask, content)
        if module.startswith("pandas") and hasattr(value, "index") and kind in ("DataFrame", "Series"):
            columns = [value] if kind == "Series" else [value.iloc[:, i] for i in range(value.shape[1])]
            parts = [
                self._mix("column", str(c.name).encode(), str(c.dtype).encode(), self.of(c.tolist())) for c in columns
            ]
            return self._mix(kind, self.of(value.index.tolist()), self.of(list(value.index.names)), *parts)
        if module.startswith("sympy"):
            return self._mix(kind, str(value).encode())
        if (module + ".").startswith(OPAQUE) or hasattr(value, "__next__"):
            return self._mix("opaque", kind.encode())
        return self._object(value, kind)

    def _object(self, value: Any, kind: str) -> bytes:
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, str):
            return self._mix(kind, reduced.encode())
        function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        return self._mix(
            kind,
            str(getattr(function, "__qualname__", "")).encode(),
            self.of(arguments),
            self.of(state),
            self.of(list(items)) if items is not None else b"",
            self.of(list(pairs)) if pairs is not None else b"",
        )

    def _function(self, value: types.FunctionType) -> bytes:
        name = value.__qualname__.encode()
        if self.loose or value.__code__.co_filename not in self.own_files:
            return self._mix("function", name)
        return self._mix(
            "function", name, self._code(value.__code__), self.of(value.__defaults__), self.of(value.__kwdefaults__)
        )

    def _code(self, code: types.CodeType) -> bytes:
        constants = code.co_consts
        if constants and isinstance(constants[0], str):
            constants = constants[1:]  # a docstring
        return self._mix("code", code.co_code, self.of(list(code.co_names)), *[self.of(c) for c in constants])

    def _class(self, value: type) -> bytes:
        name = value.__qualname__.encode()
        members = [
            self._mix(key, self.of(member))
            for key, member in sorted(vars(value).items())
            if not self.loose
            and value.__module__ == "__main__"
            and isinstance(member, types.FunctionType | int | str | float | list | tuple | dict)
            and key not in ("__doc__", "__firstlineno__", "__module__", "__slotnames__", "__static_attributes__")
        ]
        return self._mix("class", name, *members)
