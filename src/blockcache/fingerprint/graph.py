"""Fingerprint of a value as a graph: for what the stream cannot hold, and to say where a value refuses.

Every object is visited once, with a stack of our own, so cycles, sharing and depth are harmless.
Aliasing stays invisible: an object's digest is made of its parts' digests; in a cycle, objects are
told apart by refining their differences until none is left, as when an automaton is minimised.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from blockcache.errors import FingerprintError
from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.plain import PLAIN
from blockcache.fingerprint.reduce import Reducer, stands_for
from blockcache.fingerprint.registry import Refused

#: A reduction that makes new objects for ever would never end.
_MOST_OBJECTS = 5_000_000
#: Refining a long cycle of look-alikes takes the square of its length.
_MOST_STEPS_OF_REFINEMENT = 10_000_000
_PLAIN_SLICE = 100_000
_SMALL_LEAF = 64
#: ``Pickler.fast`` is deprecated on paper; without it everything goes through the graph.
HAS_FAST_MODE = hasattr(pickle.Pickler, "fast")
_LONGEST_KEY = 40
_SETS = (set, frozenset)


class _Parts(NamedTuple):
    """An object taken apart: what it is, its parts, and how to write the way to one of them."""

    kind: bytes
    children: Sequence[object]
    step: Callable[[int], str]
    ordered: bool = True


#: A part of a node: another node's number, or the digest of a plain value.
_Child = int | bytes


class _Nodes:
    """Every object reached from a value, each once."""

    def __init__(self, reducer: Reducer) -> None:
        self.reducer = reducer
        self.kinds: list[bytes] = []
        self.ordered: list[bool] = []
        self.children: list[list[_Child]] = []
        self._numbers: dict[int, int] = {}
        self._leaves: dict[int, tuple[object, bytes]] = {}
        self._kept: list[object] = []  # an identity is only good while its object lives

    def explore(self, root: object, name: str) -> None:
        """Number every object below ``root``, which becomes node 0.

        Raises
        ------
        FingerprintError
            With the path to the part that has no content.
        """
        path: list[tuple[_Parts, Iterator[tuple[int, object]], list[_Child]]] = []
        self._enter(root, path, name)
        while path:
            _, rest, found = path[-1]
            for _, part in rest:
                plain = PLAIN.get(type(part))
                if plain is not None:
                    found.append(plain(part).encode())
                    continue
                number = self._numbers.get(id(part))
                if number is not None:
                    found.append(number)
                    continue
                leaf = self._leaf(part)
                if leaf is not None:
                    found.append(leaf)
                    continue
                found.append(len(self.kinds))
                self._enter(part, path, name)
                break
            else:
                path.pop()

    def _leaf(self, part: object) -> bytes | None:
        """The digest of a container of plain values, which needs no node; None for anything else."""
        kind = type(part)
        if kind is not list and kind is not tuple and kind is not dict:
            return None
        known = self._leaves.get(id(part))
        if known is not None:
            return known[1]
        items: Any = part if kind is not dict else [x for pair in part.items() for x in pair]  # type: ignore[attr-defined]
        if not PLAIN.keys() >= set(map(type, items)):
            return None
        result = digest(kind.__name__.encode() + b"".join(_plain_digests(items)))
        if len(items) > _SMALL_LEAF:
            self._leaves[id(part)] = (part, result)
        return result

    def _enter(self, value: object, path: list[Any], name: str) -> None:
        try:
            if len(self._kept) >= _MOST_OBJECTS:
                raise Refused("more objects than can be followed")
            parts = _take_apart(value, self.reducer)
        except Exception as error:
            where = name + "".join(above.step(len(found) - 1) for above, _, found in path)
            kind = type(value)
            owner = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
            raise FingerprintError(
                f"{where} ({owner}{kind.__qualname__}) has no content to fingerprint: {error}", path=where
            ) from error
        self._numbers[id(value)] = len(self.kinds)
        self._kept.append((value, parts.children))
        self.kinds.append(parts.kind)
        self.ordered.append(parts.ordered)
        found: list[_Child] = []
        self.children.append(found)
        path.append((parts, enumerate(parts.children), found))


def _take_apart(value: Any, reducer: Reducer) -> _Parts:
    kind = type(value)
    if kind is list or kind is tuple:
        return _Parts(kind.__name__.encode(), value, lambda i: f"[{i}]")
    if kind is dict:
        return _dict_parts(b"dict", value)
    if kind in _SETS:
        return _Parts(kind.__name__.encode(), list(value), lambda i: "{...}", ordered=False)
    if kind is bytearray:
        return _Parts(b"bytearray " + digest(value), (), lambda i: "")
    if kind is pickle.PickleBuffer:
        return _Parts(b"buffer " + digest(value.raw()), (), lambda i: "")
    reduced = reducer.reduce(value)
    if isinstance(reduced, str):
        return _Parts(b"name " + reduced.encode(), (), lambda i: "")
    return _reduction_parts(*reduced)


def _plain_digests(items: Sequence[object]) -> Iterator[bytes]:
    for start in range(0, len(items), _PLAIN_SLICE):
        # The length of each slice but the last is known, so slices cannot run into each other.
        yield _stream_digest(list(items[start : start + _PLAIN_SLICE]))


def _stream_digest(items: list[object]) -> bytes:
    if not HAS_FAST_MODE:
        return digest("".join(PLAIN[type(item)](item) for item in items))
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, 5)
    # Without a memo it does not show which strings are the same object.
    pickler.fast = True
    pickler.dump(items)
    return digest(stream.getbuffer())


def _dict_parts(kind: bytes, value: dict[Any, Any], *, attributes: bool = False) -> _Parts:
    keys = list(value)
    flat = [part for pair in value.items() for part in pair]

    def step(i: int) -> str:
        key = keys[i // 2]
        if attributes:
            return f".{key}"
        text = repr(key) if type(key) in PLAIN else type(key).__qualname__
        return f"[{text[:_LONGEST_KEY]}]"

    return _Parts(kind, flat, step)


def _reduction_parts(
    make: Any,
    args: tuple[Any, ...],
    state: Any = None,
    items: Iterable[Any] | None = None,
    pairs: Iterable[Any] | None = None,
    set_state: Any = None,
) -> _Parts:
    """The parts of an object, its attributes as if they were its own items."""
    content = args[1] if make is stands_for and len(args) == 2 and type(args[1]) is tuple else None
    if content is not None:
        # The way to a part should show the value's own items, not how a rule lays them out.
        args = (args[0], *content)
    head: list[object] = list(args) if getattr(make, "__name__", "") == "__newobj__" else [make, *args]
    listed = list(items) if items is not None else []
    mapped = [part for pair in pairs for part in pair] if pairs is not None else []
    slots = None
    if type(state) is tuple and len(state) == 2 and type(state[1]) is dict:
        state, slots = state
    names: list[Any] = []
    attributes: list[object] = []
    others: list[object] = [set_state]
    for part in (state, slots):
        if type(part) is dict:
            names += part
            attributes += [x for pair in part.items() for x in pair]
        else:
            others.append(part)
    counts = (
        len(head),
        len(attributes),
        len(listed),
        len(mapped),
        type(state) is dict,
        slots is not None,
        content is None,
    )
    kind = b"object %d %d %d %d %d %d %d" % counts
    bounds = [len(head), len(head) + len(attributes)]

    def step(i: int) -> str:
        if i < bounds[0]:
            return ""
        if i < bounds[1]:
            return f".{names[(i - bounds[0]) // 2]}"
        i -= bounds[1]
        if i < len(listed):
            return f"[{i}]"
        i -= len(listed)
        if i < len(mapped):
            key = mapped[i - i % 2]
            return f"[{(repr(key) if type(key) in PLAIN else type(key).__qualname__)[:_LONGEST_KEY]}]"
        return ""

    return _Parts(kind, [*head, *attributes, *listed, *mapped, *others], step)


def digest_graph(root: object, reducer: Reducer, name: str) -> bytes:
    """Digest of the value as a graph, 16 bytes.

    Raises
    ------
    FingerprintError
        When a part has no content, or a cycle is too large to compare all of its objects.
    """
    nodes = _Nodes(reducer)
    nodes.explore(root, name)
    digests: list[bytes] = [b""] * len(nodes.kinds)
    for group in _cycles_first(nodes.children):
        if len(group) == 1 and group[0] not in nodes.children[group[0]]:
            digests[group[0]] = _combine(nodes, group[0], digests)
        else:
            _refine(nodes, group, digests, name)
    return digest(b"graph " + digests[0])


def _combine(nodes: _Nodes, number: int, digests: Sequence[bytes]) -> bytes:
    parts = [digests[c] if isinstance(c, int) else c for c in nodes.children[number]]
    if not nodes.ordered[number]:
        parts.sort()
    lengths = b" ".join(b"%d" % len(part) for part in parts)
    return digest(b"\0".join((nodes.kinds[number], lengths, b"".join(parts))))


def _refine(nodes: _Nodes, group: list[int], digests: list[bytes], name: str) -> None:
    """Digests of the nodes of one cycle: equal exactly for nodes that no path can tell apart."""
    steps, classes = 0, 0
    size = sum(len(nodes.children[n]) for n in group) + len(group)
    while True:
        new = [_combine(nodes, n, digests) for n in group]
        was, classes = classes, len(set(new))
        if classes == was:
            break
        for n, value in zip(group, new, strict=True):
            digests[n] = value
        steps += size
        if steps > _MOST_STEPS_OF_REFINEMENT:
            raise FingerprintError(f"{name} holds a cycle of {len(group):,} objects that look alike", path=name)
    # The whole table of the automaton, so that two cycles which differ late do not share a digest.
    table = digest(b"".join(sorted({digests[n] + value for n, value in zip(group, new, strict=True)})))
    for n, value in zip(group, new, strict=True):
        digests[n] = digest(b"cycle " + value + table)


def _cycles_first(children: Sequence[Sequence[_Child]]) -> Iterator[list[int]]:
    """Strongly connected groups of nodes, each after the groups that it refers to (Tarjan 1972)."""
    order: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    path: list[tuple[int, Iterator[_Child]]] = []

    def enter(number: int) -> None:
        order[number] = lowest[number] = len(order)
        open_nodes.append(number)
        is_open.add(number)
        path.append((number, iter(children[number])))

    enter(0)
    while path:
        number, rest = path[-1]
        for child in rest:
            if isinstance(child, bytes):
                continue
            if child not in order:
                enter(child)
                break
            if child in is_open:
                lowest[number] = min(lowest[number], order[child])
        else:
            path.pop()
            if path:
                above = path[-1][0]
                lowest[above] = min(lowest[above], lowest[number])
            if lowest[number] == order[number]:
                group = [open_nodes.pop()]
                while group[-1] != number:
                    group.append(open_nodes.pop())
                is_open.difference_update(group)
                yield group
