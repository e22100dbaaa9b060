"""Values to bytes and back: all outputs of a block in one stream, large buffers beside it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, NamedTuple

from blockcache.codec import tree
from blockcache.codec.regions import Buffer, Collector, Slice
from blockcache.errors import CodecError

#: How values may be stored: typed where all of them can be and that is no slower; or in one way only.
Forms = Literal["either", "typed", "pickle"]

#: Reading a tree takes 0.4 us a node, ten times what a pickle takes: with more nodes than this, values are pickled.
_MOST_NODES = 1000


class Encoded(NamedTuple):
    """Outputs as bytes that still lie in the memory of the values themselves.

    Attributes
    ----------
    stream
        The pickle stream, or the typed tree, in pieces.
    regions
        Memory outside the stream.
    slices
        The buffers of the stream, in order, as parts of the regions.
    owner
        Keeps alive what the memory belongs to.
    codecs
        How each value is stored, in a word.
    """

    stream: Sequence[Buffer]
    regions: Sequence[memoryview]
    slices: Sequence[Slice]
    owner: object
    codecs: Mapping[str, str] = {}

    @property
    def buffers(self) -> list[memoryview]:
        """The buffers as :func:`decode` takes them, in the values' own memory."""
        return [cut(self.regions[s.region], s) for s in self.slices]


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
    forms: Forms = "either",
) -> Encoded:
    """Encode all ``values`` together, so that what is shared between them stays shared.

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
    forms
        ``typed``: values that have no typed form cannot be saved. ``pickle``: nothing is typed.

    Raises
    ------
    CodecError
        Naming every variable that cannot be saved, its type and the reason.

    Notes
    -----
    The result borrows the memory of the values: write it out before they change.
    """
    outputs = dict(values)
    kept = tuple(contents)
    prepared: dict[int, tuple[object, Any]] = {}

    def collector() -> Collector:
        return Collector(outputs, upstream, kept, prepared)

    if forms != "pickle":
        # Imported by a save only.
        from blockcache.codec import typed

        most = math.inf if forms == "typed" else _MOST_NODES
        try:
            text, taken, codecs = typed.write(outputs, collector, label, address, most)
        except typed.Untyped as error:
            if forms == "typed":
                raise _refusal(outputs, error, lambda value: _untyped(value, collector, label, address)) from error
        else:
            return _encoded([text], taken, taken, codecs)
    from blockcache.codec import pickling

    try:
        stream, taken, owner = pickling.write(outputs, collector, label, module_globals, is_library, address)
    except CodecError:
        raise
    except Exception as error:
        context = collector, label, module_globals, is_library
        raise _refusal(outputs, error, lambda value: pickling.trouble(value, *context)) from error
    return _encoded(stream, taken, owner, dict.fromkeys(outputs, "pickle"))


def _encoded(stream: list[Buffer], collector: Collector, owner: object, codecs: dict[str, str]) -> Encoded:
    regions, slices = collector.regions()
    return Encoded(stream, regions, slices, owner, codecs)


def _untyped(
    value: object, collector: Callable[[], Collector], label: Callable[[object], str | None], address: Any
) -> str:
    """Why a value has no typed form; empty when it has one."""
    from blockcache.codec import typed

    try:
        typed.write({"": value}, collector, label, address)
    except typed.Untyped as error:
        return str(error)
    return ""


def _refusal(outputs: Mapping[str, object], whole: Exception, trouble: Callable[[object], str]) -> CodecError:
    """Try each variable alone, keeping nothing, to name all culprits at once."""
    from blockcache.codec.culprits import culprit, reason_of

    bad: dict[str, str] = {}
    for name, value in outputs.items():
        reason = trouble(value)
        if reason:
            path, reason = culprit(value, reason, trouble)
            bad[name] = f"{name}{path}: {reason}" if path else reason
    if not bad:
        return CodecError(f"cannot save {', '.join(outputs)} together: {reason_of(whole)}")
    text = "; ".join(f"{name} ({type(outputs[name]).__qualname__}): {reason}" for name, reason in bad.items())
    return CodecError(f"cannot save {text}", refused=bad)


def is_typed(stream: Buffer) -> bool:
    """Whether a stream is a typed tree, which is read without unpickling anything."""
    return len(stream) > 0 and stream[0] == tree.FIRST


def _nowhere(way: Any) -> object:
    if way[0] == "code":
        return way[1]
    raise CodecError(f"no upstream objects are known, so none is at {way!r}")


def decode(
    stream: Buffer,
    buffers: Sequence[memoryview],
    *,
    resolve: Callable[[str], object],
    module_globals: dict[str, object],
    find: Callable[[Any], object] = _nowhere,
    find_module: Callable[[str], object] = importlib.import_module,
    unpickle: bool = True,
) -> dict[str, object]:
    """The outputs that were encoded, in the memory of ``buffers``.

    Parameters
    ----------
    stream
        The stream as one piece.
    buffers
        One per buffer of the stream; values keep and write to this memory.
    resolve
        The live upstream definition of a label.
    module_globals
        The live namespace of the block's module.
    find
        The live upstream object that a way leads to; for ``("code", code)`` the program's own code that does the same.
    find_module
        The module of a name that a tree says; a pickle imports what it wants.
    unpickle
        Whether a pickle is read. A tree calls and imports nothing but rooms of codecs and their libraries.

    Raises
    ------
    CodecError
        For whatever goes wrong.

    Notes
    -----
    A pickle can run any code: where it is read, decode only what a trusted store gave.
    """
    memory = memoryview(stream).cast("B")
    try:
        if is_typed(memory):
            values = tree.Reader(buffers, resolve, find, find_module).read(memory)
        elif unpickle:
            from blockcache.codec import pickling

            values = pickling.read(memory, buffers, resolve, module_globals, find)
        else:
            raise CodecError("it is a pickle")
    except Exception as error:
        raise CodecError(f"cannot restore the values: {type(error).__name__}: {error}") from error
    if type(values) is not dict:
        raise CodecError(f"cannot restore the values: the stream holds a {type(values).__qualname__}")
    return values
