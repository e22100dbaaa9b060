"""Fingerprint of a value: equal values have equal fingerprints, in any process.

Content counts, and so do types, the order of dicts, dtypes, names, and which of the objects that can change are
one object; interning and the order of sets do not. The value streams through the C pickler in its mode without a memo,
with canonical reductions, into XXH3-128. Values that this mode cannot hold (cyclic, very deep,
or very large because parts are shared many times) go through :mod:`blockcache.fingerprint.graph`.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

import xxhash

from blockcache.errors import FingerprintError
from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.describe import describe
from blockcache.fingerprint.graph import HAS_FAST_MODE, digest_graph
from blockcache.fingerprint.plain import PLAIN
from blockcache.fingerprint.reduce import MOST_MET, Label, Reducer
from blockcache.fingerprint.sharing import pattern

__all__ = ["Label", "describe", "fingerprint"]

#: Buffers of at least this size are digested on their own, without a copy into the stream.
_LARGE_BUFFER_BYTES = 4096
#: A longer stream may come from parts that are shared many times: the graph visits each once.
_STREAM_LIMIT_BYTES = 64 << 20
#: Strings and bytes beyond this are written on their own; they are long, but nothing blows up.
_LONGEST_COUNTED_BYTES = 128 << 10
#: With a higher limit CPython 3.11 lets the pickler run over the end of the C stack.
_DEEPEST_SAFE_RECURSION = 10_000
#: Attributes that objects leave out when they are pickled count up to this many.
_MOST_LEFT_OUT = 1_000
_EMPTY_SET, _FROZENSET = b"\x8f", b"\x91"


def fingerprint(
    value: object,
    label: Label | None = None,
    *,
    name: str = "value",
    ignored: tuple[type, ...] = (),
    locate: bool = True,
) -> str:
    """Digest of the content of ``value``, 32 hexadecimal digits.

    Parameters
    ----------
    value
        Anything that has content: plain values, containers, arrays, frames, tensors,
        instances of classes. A class may say what stands for its instances with a method
        ``__fingerprint__(self) -> object``.
    label
        Called for every function, class, module and builtin function met inside ``value``;
        its text goes into the fingerprint instead of the object. Where it gives None, a
        definition that can be imported counts by module and qualified name.
    name
        What error messages call ``value``.
    ignored
        Types whose instances count by their type only.
    locate
        Whether an error says which part it is about; finding that walks the whole value again.

    Raises
    ------
    FingerprintError
        When some part has no such content (a connection, a generator, a lock); its
        ``path`` says which part.
    """
    plain = PLAIN.get(type(value))
    if plain is not None:
        return plain(value)
    return _Fingerprinting(label, name, ignored, locate).digest(value).hex()


class _TooLong(Exception):
    """The stream grew past its limit."""


class _Stream:
    """Where the pickler writes: digests what comes and remembers whether it may hold sets."""

    __slots__ = ("hasher", "may_hold_sets", "size_bytes")

    def __init__(self) -> None:
        self.hasher = xxhash.xxh3_128()
        self.may_hold_sets = False
        self.size_bytes = 0

    def write(self, data: Any) -> None:
        self.hasher.update(data)
        if not self.may_hold_sets and type(data) is bytes:
            self.may_hold_sets = _EMPTY_SET in data or _FROZENSET in data
        self.size_bytes += min(len(data), _LONGEST_COUNTED_BYTES)
        if self.size_bytes > _STREAM_LIMIT_BYTES:
            raise _TooLong


class _Pickler(pickle.Pickler):
    """Writes canonical reductions; sets as they come."""

    def __init__(self, stream: _Stream, large: list[bytes], run: _Fingerprinting) -> None:
        def keep(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            if raw.nbytes < _LARGE_BUFFER_BYTES:
                return True
            large.append(digest(raw))
            return False

        super().__init__(stream, 5, buffer_callback=keep)
        self.fast = True
        self.run = run
        # Bound here: a method of this class would cost one more call per object.
        self.reducer_override = run.reducer.reduce  # type: ignore[method-assign]


class _SetPickler(_Pickler):
    """Writes sets in an order of their content."""

    def persistent_id(self, value: object) -> tuple[object, ...] | None:
        if type(value) is set or type(value) is frozenset:
            return (type(value).__name__, *self.run.in_order(value))
        return None


class _Fingerprinting:
    """One fingerprint being taken."""

    def __init__(self, label: Label | None, name: str, ignored: tuple[type, ...], locate: bool) -> None:
        self.reducer = Reducer(label, ignored)
        self.reducer.content_of = self._content_of
        self._left_out: dict[int, tuple[object, str | None]] = {}
        self.name = name
        self.locate = locate

    def digest(self, value: object) -> bytes:
        if not HAS_FAST_MODE or sys.getrecursionlimit() > _DEEPEST_SAFE_RECURSION:
            return digest_graph(value, self.reducer, self.name)
        try:
            return self.whole_digest(value)
        except (_TooLong, RecursionError):
            pass
        except KeyError as error:
            # In great depth this mode mistakes one short-lived object for another, and names an address.
            if not (error.args and type(error.args[0]) is int):
                raise self._refusal(value, error) from error
        except ValueError as error:
            if "fast mode" not in str(error):
                raise self._refusal(value, error) from error
        except Exception as error:
            raise self._refusal(value, error) from error
        return digest_graph(value, self.reducer, self.name)

    def whole_digest(self, value: object) -> bytes:
        """Digest of the content, and of which parts are one object."""
        self.reducer.met = []
        content = self.stream_digest(value)
        met, self.reducer.met = self.reducer.met, None
        shared = pattern(value, met, self.reducer.ignored) if len(met) < MOST_MET else b""
        return digest(content + shared) if shared else content

    def _content_of(self, value: object) -> str | None:
        """The digest of an attribute that its object leaves out; what that leaves out in turn does not count."""
        plain = PLAIN.get(type(value))
        if plain is not None:
            return plain(value)
        known = self._left_out.get(id(value))
        if known is None:
            if len(self._left_out) >= _MOST_LEFT_OUT:
                return None
            alone = _Fingerprinting(self.reducer.label, self.name, self.reducer.ignored, False)
            alone.reducer.content_of = None
            try:
                content = alone.digest(value).hex()
            except FingerprintError:
                content = None  # a lock, a connection: that is why it is left out
            known = self._left_out[id(value)] = value, content
        return known[1]

    def stream_digest(self, value: object) -> bytes:
        stream, large = _Stream(), list[bytes]()
        _Pickler(stream, large, self).dump(value)
        if stream.may_hold_sets:
            if self.reducer.met:
                self.reducer.met.clear()
            stream, large = _Stream(), list[bytes]()
            _SetPickler(stream, large, self).dump(value)
        result = stream.hasher.digest()
        return digest(b"".join((result, *large))) if large else result

    def in_order(self, elements: set[Any] | frozenset[Any]) -> tuple[str, list[Any]]:
        """The elements in an order that does not depend on their hashes."""
        kinds = set(map(type, elements))
        if len(kinds) == 1 and kinds <= _SORTABLE:
            return "sorted", sorted(elements)
        # In which order elements are met is chance: who is who in them does not count.
        met, self.reducer.met = self.reducer.met, None
        plain, digests = PLAIN.get, []
        for element in elements:
            known = plain(type(element))
            digests.append(known(element) if known is not None else self.stream_digest(element).hex())
        self.reducer.met = met
        return "digests", sorted(digests)

    def _refusal(self, value: object, error: Exception) -> FingerprintError:
        """The same error with the path to the part of ``value`` that caused it."""
        if self.locate:
            try:
                digest_graph(value, self.reducer, self.name)
            except FingerprintError as located:
                return located
        # The graph walks every part, so a reason that it does not meet concerns the whole.
        return FingerprintError(f"{self.name} ({type(value).__qualname__}): {error}", path=self.name)


_SORTABLE = {int, str, bytes}
