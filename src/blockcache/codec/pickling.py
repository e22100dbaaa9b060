"""Values to bytes and back: one pickle for all outputs of a block, large buffers beside it."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from blockcache.codec.regions import Collector, Slice
from blockcache.codec.registry import refused_text
from blockcache.codec.upstream import preamble
from blockcache.errors import CodecError

Buffer = bytes | bytearray | memoryview


class Encoded(NamedTuple):
    """Outputs as bytes that still lie in the memory of the values themselves.

    Attributes
    ----------
    stream
        The pickle stream in pieces.
    regions
        Memory outside the stream.
    slices
        The buffers of the stream, in order, as parts of the regions.
    owner
        Keeps alive what the memory belongs to.
    """

    stream: Sequence[Buffer]
    regions: Sequence[memoryview]
    slices: Sequence[Slice]
    owner: object

    @property
    def buffers(self) -> list[memoryview]:
        """The buffers as :func:`decode` takes them, in the values' own memory."""
        return [cut(self.regions[s.region], s) for s in self.slices]


#: A float that is no number, as it stands in a stream.
_NAN = b"G\x7f\xf8\0\0\0\0\0\0"
_MOST_SEARCHED_BYTES = 16 << 20


def cut(region: memoryview, place: Slice) -> memoryview:
    """The part of ``region`` that ``place`` names."""
    part = region[place.start : place.start + place.size]
    return part.toreadonly() if place.readonly else part


def encode(
    values: Mapping[str, object],
    *,
    label: Callable[[object], str | None],
    module_globals: Mapping[str, object],
    is_library: Callable[[ModuleType], bool],
    upstream: Sequence[object] = (),
    address: Callable[[int], object] = repr,
    contents: Iterable[object] = (),
) -> Encoded:
    """Pickle all ``values`` together, so that what is shared between them stays shared.

    Parameters
    ----------
    values
        The outputs by name.
    label
        Asked for every function, class and other callable inside ``values``: the text that stands
        for an upstream definition, None for anything else.
    module_globals
        The namespace of the block's module. Functions that run in it get the live one on a restore;
        functions and classes of that module without a label are saved by value.
    is_library
        Whether a module is of an installed library or of the standard library. Objects that such a
        module compares with ``is`` are saved by their place in it.
    upstream
        Objects that a hit has already: they are saved as the way to them. None among them is nobody.
    address
        The way to an upstream object, by its place among them; plain values.
    contents
        What is saved by its elements although its memory is that of an upstream object.

    Raises
    ------
    CodecError
        Naming every variable that cannot be saved, its type and the reason.

    Notes
    -----
    The result borrows the memory of the values: write it out before they change.
    """
    # cloudpickle takes longer to import than most hits take, and only a save needs it.
    from blockcache.codec.pickler import NanPickler, OutputPickler

    outputs = dict(values)
    stream: list[Any] = []
    collector = Collector(outputs, upstream, contents)
    pickler = OutputPickler(stream.append, collector, label, module_globals, is_library)
    try:
        pickler.dump(outputs)
    except Exception as error:
        raise _refusal(
            outputs, error, lambda: Collector(outputs, upstream, contents), label, module_globals, is_library
        ) from error
    if any(_NAN in piece for piece in stream if type(piece) is bytes) and sum(map(len, stream)) < _MOST_SEARCHED_BYTES:
        # Pickle copies every float; a library's own nan is compared with ``is``. Looking at each object is slow.
        stream.clear()
        collector = Collector(outputs, upstream, contents)
        pickler = NanPickler(stream.append, collector, label, module_globals, is_library)
        pickler.dump(outputs)
    regions, slices = collector.regions()
    if upstream:
        stream.insert(0, preamble(stream, len(upstream), address))
    pieces = [piece if isinstance(piece, bytes) else memoryview(piece).cast("B") for piece in stream]
    if why := refused_text(pieces):
        raise CodecError(f"the outputs hold {why}")
    return Encoded(pieces, regions, slices, (pickler, collector))


def _refusal(
    outputs: Mapping[str, object],
    whole: Exception,
    collector: Callable[[], Collector],
    label: Callable[[object], str | None],
    module_globals: Mapping[str, object],
    is_library: Callable[[ModuleType], bool],
) -> CodecError:
    """Try each variable alone, keeping nothing, to name all culprits at once."""
    from blockcache.codec.culprits import culprit
    from blockcache.codec.pickler import OutputPickler

    def trouble(value: object) -> str:
        try:
            OutputPickler(_forget, collector(), label, module_globals, is_library).dump(value)
        except Exception as error:
            return _reason(error) or type(error).__name__
        return ""

    bad: dict[str, str] = {}
    for name, value in outputs.items():
        reason = trouble(value)
        if reason:
            path, reason = culprit(value, reason, trouble)
            bad[name] = f"{name}{path}: {reason}" if path else reason
    if not bad:
        return CodecError(f"cannot save {', '.join(outputs)} together: {_reason(whole)}")
    text = "; ".join(f"{name} ({type(outputs[name]).__qualname__}): {reason}" for name, reason in bad.items())
    return CodecError(f"cannot save {text}", refused=bad)


def _forget(piece: object) -> None:
    pass


def _reason(error: Exception) -> str:
    if isinstance(error.__cause__, RecursionError) or isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    return text if isinstance(error, (TypeError, pickle.PicklingError)) and text else f"{type(error).__name__}: {text}"


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
        self._live: dict[str, Any] = {"resolve_label": resolve, "home_namespace": lambda: module_globals}
        if find is not _nowhere:
            self._live["program_code"] = lambda code: find(("code", code))

    def persistent_load(self, way: bytes | tuple[str, str]) -> Any:
        if isinstance(way, tuple):
            return getattr(importlib.import_module(way[0]), way[1])
        return self._find(pickle.loads(way))

    def find_class(self, module: str, name: str) -> Any:
        if module == "blockcache.codec.rebuild" and name in self._live:
            return self._live[name]
        return super().find_class(module, name)


def _nowhere(way: object) -> object:
    raise CodecError(f"no upstream objects are known, so none is at {way!r}")


def decode(
    stream: Buffer,
    buffers: Sequence[memoryview],
    *,
    resolve: Callable[[str], object],
    module_globals: dict[str, object],
    find: Callable[[Any], object] = _nowhere,
) -> dict[str, object]:
    """The outputs that were encoded, in the memory of ``buffers``.

    Parameters
    ----------
    stream
        The pickle stream as one piece.
    buffers
        One per buffer of the stream; values keep and write to this memory.
    resolve
        The live upstream definition of a label.
    module_globals
        The live namespace of the block's module.
    find
        The live upstream object that a way leads to; for ``("code", code)`` the program's own code that does the same.

    Raises
    ------
    CodecError
        For whatever goes wrong.

    Notes
    -----
    A pickle can run any code: decode only what a trusted store gave.
    """
    try:
        values = _Unpickler(memoryview(stream).cast("B"), buffers, resolve, module_globals, find).load()
    except Exception as error:
        raise CodecError(f"cannot restore the values: {type(error).__name__}: {error}") from error
    if type(values) is not dict:
        raise CodecError(f"cannot restore the values: the stream holds a {type(values).__qualname__}")
    return values
