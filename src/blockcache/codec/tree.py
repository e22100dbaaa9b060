"""Reading typed trees: values as JSON text, made of a fixed list of kinds. Nothing here unpickles or imports by a name.

Grammar (FORMAT.md has the kinds)::

    node  := null | true | false | number | text          the value itself
           | {text: node, ...}                            a dict whose keys are texts
           | [kind, ...]                                  anything else

A kind with a dot is a maker of a library's room: ``["numpy.array", shape, dtype, buffer]``.
"""

from __future__ import annotations

import binascii
import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

from blockcache.codec.registry import maker

#: What a stream begins with that is a tree; a pickle never does.
FIRST = b"{"[0]
#: Bits of a float, as they stand in a tree where JSON has no text for it.
FLOAT = struct.Struct(">d")


class Reader:
    """Makes the values of one tree.

    Parameters
    ----------
    buffers
        One per buffer that the tree names by number; values keep and write to this memory.
    resolve
        The live upstream definition of a label.
    find
        The live upstream object that a way leads to.
    find_module
        The module of a name.
    """

    def __init__(
        self,
        buffers: Sequence[memoryview],
        resolve: Callable[[str], object],
        find: Callable[[Any], object],
        find_module: Callable[[str], object],
    ) -> None:
        self._buffers = buffers
        self._resolve = resolve
        self._find = find
        self._find_module = find_module
        self._known: dict[int, object] = {}

    def read(self, stream: memoryview) -> Any:
        """The values of a stream."""
        return self.value(json.loads(bytes(stream)))

    def value(self, node: Any, number: int = -1) -> Any:
        """The value of one node; where others refer to it, it is known by ``number`` from then on."""
        kind = type(node)
        if kind is list:
            read = _KINDS.get(node[0])
            return self._made(node, number) if read is None else read(self, node, number)
        if kind is dict:
            if number < 0 and not {list, dict}.intersection(map(type, node.values())):
                return node
            made: dict[str, object] = {}
            self._known[number] = made
            made.update((key, self.value(below)) for key, below in node.items())
            return made
        return node

    def _values(self, node: list[Any]) -> Any:
        return map(self.value, node[1:])

    def _made(self, node: list[Any], number: int) -> object:
        return maker(node[0])(*self._values(node))

    def _filled(self, node: list[Any], number: int) -> object:
        """What a maker makes, and a second one fills: so it may hold itself."""
        _, first, second, state = node
        made = self._known[number] = self.value(first)
        maker(second)(made, self.value(state))
        return made

    def _list(self, node: list[Any], number: int) -> list[object]:
        made: list[object] = []
        self._known[number] = made
        made.extend(self._values(node))
        return made

    def _plain_list(self, node: list[Any], number: int) -> list[object]:
        made: list[object] = node[1]
        return made

    def _dict(self, node: list[Any], number: int) -> dict[object, object]:
        made: dict[object, object] = {}
        self._known[number] = made
        values = self._values(node)
        made.update(zip(values, values, strict=True))
        return made

    def _set(self, node: list[Any], number: int) -> set[object]:
        made: set[object] = set()
        self._known[number] = made
        made.update(self._values(node))
        return made

    def _shared(self, node: list[Any], _number: int) -> object:
        _, number, below = node
        made = self._known[number] = self.value(below, number)
        return made

    def _module(self, node: list[Any], number: int) -> object:
        return self._find_module(node[1])

    def _way(self, node: list[Any], number: int) -> object:
        return self._find(self.value(node[1]))

    def _bytes(self, node: list[Any], number: int) -> bytes:
        held = node[1]
        return binascii.a2b_base64(held) if type(held) is str else bytes(self.value(held))


_KINDS: dict[str, Callable[[Reader, list[Any], int], object]] = {
    "list": Reader._list,
    "plain list": Reader._plain_list,
    "tuple": lambda r, node, number: tuple(r._values(node)),
    "dict": Reader._dict,
    "set": Reader._set,
    "frozenset": lambda r, node, number: frozenset(r._values(node)),
    "int": lambda r, node, number: int(node[1], 16),
    "float": lambda r, node, number: FLOAT.unpack(bytes.fromhex(node[1]))[0],
    "math.nan": lambda r, node, number: math.nan,
    "text": lambda r, node, number: str(r.value(node[1]), "utf-8", "surrogatepass"),
    "bytes": Reader._bytes,
    "bytearray": lambda r, node, number: bytearray(r.value(node[1])),
    "buffer": lambda r, node, number: r._buffers[node[1]],
    "=": Reader._shared,
    "is": lambda r, node, number: r._known[node[1]],
    "filled": Reader._filled,
    "label": lambda r, node, number: r._resolve(node[1]),
    "upstream": Reader._way,
    "module": Reader._module,
}
