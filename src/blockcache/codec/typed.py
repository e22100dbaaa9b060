"""Writing typed trees: values that need no pickle, as JSON text beside the same buffers. Only a save imports this.

The kinds are those that :mod:`blockcache.codec.tree` reads. A value of any other kind refuses the whole tree.
"""

from __future__ import annotations

import binascii
import json
import math
import pickle
import sys
import types
from collections.abc import Callable, Mapping, Sized
from typing import Any

from blockcache.codec.regions import Collector
from blockcache.codec.registry import makers_of, refuse_texts, typed_reducer_for
from blockcache.codec.tree import FLOAT

#: Bytes and texts below this stand in the tree.
_INLINE_BYTES = 1024
#: Above this many levels, reading would use up Python's stack.
_DEEPEST = 100
#: What stands in a tree as it is.
_BARE = frozenset((type(None), bool, int, float, str))
#: What a list may hold to stand in the tree as it is; texts too, where they are nowhere else.
_PLAIN = frozenset((type(None), bool, int, float))
#: So many of those cost what a node does.
_PLAIN_ITEMS = 16
_WORD = 1 << 63
#: How an output is stored whose top is one of these; of any other its library says it.
_CODECS: dict[type, str] = {str: "text", bytes: "bytes", bytearray: "bytes", types.ModuleType: "module"}


class Untyped(Exception):
    """There is no typed form; the message says of what and why."""


class _Shared(Exception):
    """A text that stands where nothing can refer to it is met again."""


class _Met:
    """Where an object stands in the tree; ``number`` is how others refer to it, once one does."""

    __slots__ = ("at", "into", "known", "number", "value")

    def __init__(self, value: object, into: Any, at: Any) -> None:
        self.value = value  # keeps it alive, or its id could be another's
        self.into = into
        self.at = at
        self.number = -1
        self.known = False  # the reader has it: it may be referred to


class Writer:
    """Writes one tree.

    Parameters
    ----------
    collector
        Takes the buffers.
    label
        Text that stands for an upstream function or class, None for anything else.
    address
        The way to an upstream object of the collector, by its place.
    most_nodes
        Above this many, the values are refused.
    loose
        Texts in lists and as keys stand as they are, where no other place has the same object.

    Attributes
    ----------
    codecs
        How each of the values is stored, in a word.
    texts
        What texts say that do not stand in the tree as they are.
    """

    def __init__(
        self,
        collector: Collector,
        label: Callable[[object], str | None],
        address: Callable[[int], object],
        most_nodes: float,
        loose: bool,
    ) -> None:
        self.codecs: dict[str, str] = {}
        self.texts: list[bytes] = []
        self._collector = collector
        self._label = label
        self._address = address
        self._left = most_nodes
        self._loose = loose
        self._met: dict[int, _Met] = {}
        self._texts: dict[int, str] = {}  # by id: texts in lists, to which nothing can refer
        self._key_texts: dict[int, str] = {}  # keys: readers make equal ones one object
        self._upstream = {id(value): i for i, value in enumerate(collector.upstream) if value is not None}
        self._numbers = 0
        self._buffers = 0
        self._depth = 0
        self._used: set[str] = set()
        # A library's own nan is compared with ``is``.
        self._nans = {id(getattr(sys.modules.get(name), "nan", None)): f"{name}.nan" for name in ("math", "numpy")}
        self._rules: dict[type, _Rule | None] = dict(_RULES)

    def write(self, values: Mapping[str, object]) -> bytes:
        """The text of a dictionary of values; the collector has the buffers then."""
        for value in values.values():
            # What shows at the top is found before anything large is put in order.
            if id(value) not in self._upstream and type(value) not in _BARE and self._rule_of(type(value)) is None:
                self._labelled(value)
        root: dict[str, Any] = dict.fromkeys(values)
        for name, value in values.items():
            self._used = set()
            self.put(root, name, value)
            self.codecs[name] = self._codec(value)
        text = json.dumps(root, ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)
        return text.encode()

    def _codec(self, value: object) -> str:
        if id(value) in self._upstream:
            return "upstream"
        rule = typed_reducer_for(type(value)) if type(value) not in _RULES else None
        if rule is not None and rule[1] != "python":
            return rule[1]
        if callable(value):
            return "label"
        return _CODECS.get(type(value)) or "+".join(["json", *sorted(self._used - {"python"})])

    # -- one value -------------------------------------------------------------------------

    def put(self, into: Any, at: Any, value: Any) -> None:
        """Put the node of a value into its place, an item of a list or dictionary."""
        cls = type(value)
        if value is None or cls is bool or (cls is int and -_WORD <= value < _WORD):
            into[at] = value
        elif cls is float:
            into[at] = value if math.isfinite(value) else self._odd_float(value)
        elif cls is str and len(value) < 2 and value.isascii():
            into[at] = value  # there is one object for each of these
        else:
            met = self._met.get(id(value))
            if met is not None:
                into[at] = self._refer(met)
                return
            self._count(1)
            met = self._met[id(value)] = _Met(value, into, at)
            self._node(met, cls)
            met.known = True

    def _count(self, nodes: float) -> None:
        self._left -= nodes
        if self._left < 0:
            raise Untyped("too many parts")

    def _fits(self, items: Sized) -> None:
        """Refuse what is too long whatever it holds, before any of it is looked at."""
        if len(items) / _PLAIN_ITEMS > self._left:
            raise Untyped("too many parts")

    def _refer(self, met: _Met) -> list[Any]:
        if not met.known:
            raise Untyped(f"a {type(met.value).__qualname__} that holds itself has no typed form")
        if met.number < 0:
            met.number = self._numbers
            self._numbers += 1
            met.into[met.at] = ["=", met.number, met.into[met.at]]
        return ["is", met.number]

    def _node(self, met: _Met, cls: type) -> None:
        value = met.value
        number = self._upstream.get(id(value))
        if number is not None:
            node = met.into[met.at] = ["upstream", None]
            self.put(node, 1, self._address(number))
            return
        rule = self._rule_of(cls)
        if rule is None:
            met.into[met.at] = ["label", self._labelled(value)]
            return
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Untyped("nested too deeply for a typed form")
        rule(self, met, value)
        self._depth -= 1

    def _labelled(self, value: Any) -> str:
        text = self._label(value) if callable(value) else None
        if text is None:
            cls = type(value)
            name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
            raise Untyped(f"a {name} has no typed form")
        return text

    def _rule_of(self, cls: type) -> _Rule | None:
        if cls not in self._rules:
            self._rules[cls] = self._rule(cls)
        return self._rules[cls]

    def _rule(self, cls: type) -> _Rule | None:
        found = typed_reducer_for(cls)
        if found is None:
            return None
        reduce, library = found
        tags = {function: f"{library}.{name}" for name, function in makers_of(library).items()}

        def rule(self: Writer, met: _Met, value: Any) -> None:
            reduced = reduce(value, self._collector)
            if reduced is NotImplemented:
                met.into[met.at] = ["label", self._labelled(value)]
                return
            self._used.add(library)
            make, arguments, *state = reduced
            node: list[Any] = [tags[make], *arguments]
            if not state:
                met.into[met.at] = node
            else:
                met.into[met.at] = whole = ["filled", node, tags[state[-1]], None]
            for i, argument in enumerate(arguments, 1):
                self.put(node, i, argument)
            if state:
                met.known = True
                self.put(whole, 3, state[0])

        return rule

    def _odd_float(self, value: float) -> list[str]:
        own = self._nans.get(id(value))
        return [own] if own is not None else ["float", FLOAT.pack(value).hex()]

    # -- kinds of the tree itself ----------------------------------------------------------

    def _int(self, met: _Met, value: int) -> None:
        met.into[met.at] = ["int", f"{value:x}"]

    def _text(self, met: _Met, value: str) -> None:
        if id(value) in self._texts or id(value) in self._key_texts:
            raise _Shared
        plain = _is_unicode(value)
        if plain and len(value) < _INLINE_BYTES:
            met.into[met.at] = value
        else:
            data = value.encode("utf-8", "surrogatepass")
            self.texts.append(data)
            met.into[met.at] = ["text", self._bytes_node(data)]

    def _bytes(self, met: _Met, value: bytes) -> None:
        node = self._bytes_node(value)
        met.into[met.at] = node if node[0] == "bytes" else ["bytes", node]

    def _bytearray(self, met: _Met, value: bytearray) -> None:
        met.into[met.at] = ["bytearray", self._bytes_node(value)]

    def _bytes_node(self, data: bytes | bytearray) -> list[Any]:
        if len(data) < _INLINE_BYTES:
            return ["bytes", binascii.b2a_base64(data, newline=False).decode()]
        return self._take(self._collector.out_of_band(data, None))

    def _buffer(self, met: _Met, value: pickle.PickleBuffer) -> None:
        met.into[met.at] = self._take(value)

    def _take(self, buffer: pickle.PickleBuffer) -> list[Any]:
        if self._collector.take(buffer):
            raise Untyped("a buffer that was not chosen")
        self._buffers += 1
        return ["buffer", self._buffers - 1]

    def _list(self, met: _Met, value: list[Any]) -> None:
        self._fits(value)
        if self._is_plain(value):
            met.into[met.at] = ["plain list", value]
        else:
            self._items(met, "list", value, True)

    def _is_plain(self, items: list[Any]) -> bool:
        kinds = set(map(type, items))
        texts: list[str] = []
        if str in kinds and self._loose:
            texts = items if len(kinds) == 1 else [item for item in items if type(item) is str]
            kinds.discard(str)
        if not kinds <= _PLAIN or (float in kinds and not all(_is_finite(x) for x in items if type(x) is float)):
            return False
        if int in kinds and not all(-_WORD <= x < _WORD for x in items if type(x) is int):
            return False
        self._count(len(items) / _PLAIN_ITEMS)
        return self._alone(texts)

    def _alone(self, texts: list[str]) -> bool:
        """Whether no other place has one of these texts; none may have one later."""
        if texts and (not _is_unicode("".join(texts)) or sum(map(len, texts)) > _INLINE_BYTES * len(texts)):
            return False
        for text in texts:
            if len(text) > 1 or not text.isascii():
                if id(text) in self._met or id(text) in self._texts or id(text) in self._key_texts:
                    raise _Shared
                self._texts[id(text)] = text
        return True

    def _items(self, met: _Met, kind: str, items: Any, may_hold_itself: bool) -> None:
        self._fits(items)
        node: list[Any] = [kind, *items]
        met.into[met.at] = node
        met.known = may_hold_itself
        for i, item in enumerate(items, 1):
            self.put(node, i, item)

    def _tuple(self, met: _Met, value: tuple[Any, ...]) -> None:
        self._items(met, "tuple", value, False)

    def _set(self, met: _Met, value: Any) -> None:
        self._items(met, "set", value, True)

    def _frozenset(self, met: _Met, value: Any) -> None:
        self._items(met, "frozenset", value, False)

    def _dict(self, met: _Met, value: dict[Any, Any]) -> None:
        met.known = True
        self._fits(value)
        if self._loose and {str}.issuperset(map(type, value)) and self._keys(value):
            node: dict[str, Any] = dict.fromkeys(value)
            met.into[met.at] = node
            for key, item in value.items():
                self.put(node, key, item)
        else:
            self._items(met, "dict", [x for pair in value.items() for x in pair], True)

    def _keys(self, keys: Any) -> bool:
        """Whether keys can stand as they are; the same key in another dictionary is the same object when read."""
        if not _is_unicode("".join(keys)):
            return False
        for key in keys:
            if id(key) in self._met or id(key) in self._texts:
                raise _Shared
            self._key_texts[id(key)] = key
        return True

    def _module(self, met: _Met, value: types.ModuleType) -> None:
        name = getattr(value, "__name__", None)
        if type(name) is not str or sys.modules.get(name) is not value:
            raise Untyped("a module that is not imported under its name has no typed form")
        met.into[met.at] = ["module", name]


_Rule = Callable[[Writer, _Met, Any], None]
_RULES: dict[type, _Rule | None] = {
    int: Writer._int,
    str: Writer._text,
    bytes: Writer._bytes,
    bytearray: Writer._bytearray,
    pickle.PickleBuffer: Writer._buffer,
    list: Writer._list,
    tuple: Writer._tuple,
    set: Writer._set,
    frozenset: Writer._frozenset,
    dict: Writer._dict,
    types.ModuleType: Writer._module,
}


def _is_finite(number: float) -> bool:
    return math.isfinite(number)


def _is_unicode(text: str) -> bool:
    """Whether it has no lone surrogate, which UTF-8 cannot say."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write(
    values: Mapping[str, object],
    collector: Callable[[], Collector],
    label: Callable[[object], str | None],
    address: Callable[[int], object],
    most_nodes: float = math.inf,
) -> tuple[bytes, Collector, dict[str, str]]:
    """A tree of all values: its text, what has its buffers, and how each value is stored.

    Raises
    ------
    Untyped
        When one of the values has no typed form.
    CodecError
        When a text cannot be restored.
    """
    for loose in (True, False):
        taken = collector()
        writer = Writer(taken, label, address, most_nodes, loose)
        try:
            text = writer.write(values)
            refuse_texts([text, *writer.texts])
            return text, taken, writer.codecs
        except _Shared:
            continue
        except RecursionError:
            raise Untyped("nested too deeply for a typed form") from None
    raise AssertionError("a strict tree has no text that nothing refers to")
