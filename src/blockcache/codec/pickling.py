"""One pickle for all outputs of a block: protocol 5, large buffers beside it."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from blockcache.codec import defaults
from blockcache.codec.defaults import Default
from blockcache.codec.regions import Buffer, Collector
from blockcache.codec.registry import refuse_texts
from blockcache.codec.upstream import preamble
from blockcache.errors import CodecError

#: A float that is no number, as it stands in a stream.
_NAN = b"G\x7f\xf8\0\0\0\0\0\0"
_MOST_SEARCHED_BYTES = 16 << 20


def write(
    outputs: dict[str, object],
    new_collector: Callable[[], Collector],
    label: Callable[[object], str | None],
    module_globals: Mapping[str, object],
    is_library: Callable[[ModuleType], bool],
    address: Callable[[int], object],
) -> tuple[list[Buffer], Collector, object]:
    """A pickle of all outputs in pieces, what has its buffers, and what keeps their memory alive.

    Parameters are those of :func:`blockcache.codec.encode`.
    """
    # cloudpickle takes longer to import than most hits take, and only a save needs it.
    from blockcache.codec.pickler import NanPickler, OutputPickler

    shared: Sequence[Default] = ()

    def dump(kind: type[OutputPickler]) -> tuple[list[Any], Collector, OutputPickler]:
        stream: list[Any] = []
        collector = new_collector()
        collector.upstream = [*collector.upstream, *(default.container for default in shared)]
        pickler = kind(stream.append, collector, label, module_globals, is_library)
        pickler.dump(outputs)
        return stream, collector, pickler

    def way(number: int) -> object:
        first = len(collector.upstream) - len(shared)
        return address(number) if number < first else shared[number - first].way

    stream, collector, pickler = dump(OutputPickler)
    if shared := pickler.shared():
        stream, collector, pickler = dump(OutputPickler)
    if any(_NAN in piece for piece in stream if type(piece) is bytes) and sum(map(len, stream)) < _MOST_SEARCHED_BYTES:
        # Pickle copies every float; a library's own nan is compared with ``is``. Looking at each object is slow.
        stream, collector, pickler = dump(NanPickler)
    if collector.upstream:
        stream.insert(0, preamble(stream, len(collector.upstream), way))
    pieces: list[Buffer] = [piece if isinstance(piece, bytes) else memoryview(piece).cast("B") for piece in stream]
    refuse_texts(pieces)
    # A pickler knows every object that it met: as much memory again, and work for each collection of garbage.
    owner = pickler if any(type(piece) is not bytes for piece in stream) else None
    return pieces, collector, (owner, collector)


def trouble(
    value: object,
    new_collector: Callable[[], Collector],
    label: Callable[[object], str | None],
    module_globals: Mapping[str, object],
    is_library: Callable[[ModuleType], bool],
) -> str:
    """Why a value cannot be pickled; empty when it can."""
    from blockcache.codec.culprits import reason_of
    from blockcache.codec.pickler import OutputPickler

    try:
        OutputPickler(_forget, new_collector(), label, module_globals, is_library).dump(value)
    except Exception as error:
        return reason_of(error) or type(error).__name__
    return ""


def _forget(piece: object) -> None:
    pass


class _Reader:
    """A file over memory; unlike BytesIO it copies nothing, the unpickler reads from the memory itself."""

    __slots__ = ("_at", "_memory")

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._at = 0

    def read(self, size: int) -> memoryview:
        at = self._at
        piece = self._memory[at : at + size]
        self._at = at + len(piece)
        return piece

    def readinto(self, target: memoryview) -> int:
        piece = self.read(len(target))
        target[: len(piece)] = piece
        return len(piece)

    def readline(self) -> bytes:
        # Only streams of protocol 0 have lines.
        raise CodecError("not a stream of blockcache")


class _Unpickler(pickle.Unpickler):
    """Puts this call's live definitions and namespace where the stream asks for them."""

    def __init__(
        self,
        stream: memoryview,
        buffers: Sequence[memoryview],
        resolve: Callable[[str], object],
        module_globals: dict[str, object],
        find: Callable[[Any], object],
    ) -> None:
        super().__init__(_Reader(stream), buffers=buffers)  # type: ignore[arg-type]
        self._find = find
        self._live: dict[str, Any] = {
            "resolve_label": resolve,
            "home_namespace": lambda: module_globals,
            "program_code": lambda code: find(("code", code)),
        }

    def persistent_load(self, way: bytes | tuple[str, str]) -> Any:
        if isinstance(way, tuple):
            return getattr(importlib.import_module(way[0]), way[1])
        address = pickle.loads(way)
        return defaults.find(*address[1:]) if address[0] == "default" else self._find(address)

    def find_class(self, module: str, name: str) -> Any:
        if module == "blockcache.codec.rebuild" and name in self._live:
            return self._live[name]
        return super().find_class(module, name)


def read(
    stream: memoryview,
    buffers: Sequence[memoryview],
    resolve: Callable[[str], object],
    module_globals: dict[str, object],
    find: Callable[[Any], object],
) -> Any:
    """What a pickle holds; parameters are those of :func:`blockcache.codec.decode`."""
    return _Unpickler(stream, buffers, resolve, module_globals, find).load()
