"""A call of a cached function as a passage through a block."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import CodeType, FrameType
from typing import Any

import xxhash

from blockcache import beside, settings
from blockcache.analysis import Block
from blockcache.errors import FingerprintError
from blockcache.events import BlockFinished, Calls
from blockcache.fingerprint import modules
from blockcache.frames import Entry, Namespace
from blockcache.hosts import Place
from blockcache.memory import Memory
from blockcache.model import Hit, Manifest
from blockcache.passage import Options, Passage
from blockcache.paths import Path, Paths
from blockcache.scopes import Scope, scope_of

#: What the function is bound to, and what it returned: words of the language, which no argument can be called.
FUNCTION, RESULT = "def", "return"
#: The digest of the code of every call: what runs is the function, an input like any other.
_CALL = xxhash.xxh3_128_hexdigest(b"call of a function")
#: Lines that a function prints one by one; later ones only of bodies that ran this long.
_FIRST_LINES = 3
_SLOW_S = 1.0
#: Nobody has the object that a block is for its body.
_NOBODY = object()

_memory = Memory(0)


class Tally:
    """What the calls of one function came to in this process, and which of them are told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = Calls(0, 0.0, 0, 0.0)
        self._lines = 0

    def count(self, event: BlockFinished, *, in_memory: bool, inside: bool) -> tuple[Calls | None, bool]:
        """Count one call; what all came to where it is time to say so, and whether this one has its own line.

        A call ``inside`` another one of the function is part of that one's time.
        """
        is_hit, alone = event.outcome == "hit", not inside
        with self._lock:
            hits, saved_s, runs, took_s = self._calls
            if is_hit:
                self._calls = Calls(hits + 1, saved_s + (event.saved_s or 0.0) * alone, runs, took_s)
            else:
                self._calls = Calls(hits, saved_s, runs + 1, took_s + event.took_s * alone)
            speaks = not in_memory and (
                self._lines < _FIRST_LINES
                or event.outcome == "differs"
                or (alone and not is_hit and event.took_s >= _SLOW_S)
            )
            self._lines += speaks
            number = str(hits + runs + 1)
            is_round = len(number) > 1 and number.strip("0") == "1"
            return (self._calls if is_round and not speaks else None), speaks


@dataclass(frozen=True, slots=True)
class Site:
    """What all calls of one cached function have in common.

    Attributes
    ----------
    name, options, place, block
        As of a :class:`Passage`.
    home
        Globals of the function's module.
    copy
        Whether each hit gives objects of its own.
    is_async
        Whether other tasks run while it waits.
    tally
        What the calls came to.
    """

    name: str
    options: Options
    place: Place
    block: Block
    home: dict[str, Any]
    copy: bool
    is_async: bool
    tally: Tally


class _Names(Namespace):
    """The names of a call: the function, its arguments, and what it returned."""

    __slots__ = ("values",)

    def __init__(self, values: dict[str, Any], module_globals: dict[str, Any]) -> None:
        self.values = values
        self.globals = module_globals

    def get_many(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of those of ``names`` that are there."""
        return {name: self.values[name] for name in names if name in self.values}

    def assign(self, values: Mapping[str, object], deleted: Iterable[str] = ()) -> None:
        """Bind names."""
        self.values.update(values)

    def names(self) -> set[str]:
        """All of them."""
        return set(self.values)

    def in_order(self, names: Iterable[str]) -> list[str]:
        """The names by the alphabet."""
        return sorted(names)

    def local_among(self, names: Iterable[str]) -> frozenset[str]:
        """The arguments."""
        return frozenset(name for name in names if name in self.values and name != FUNCTION)

    @property
    def is_module(self) -> bool:
        """False: a call has names of its own."""
        return False

    def spelling(self, name: str) -> str:
        """The name itself."""
        return name


class _CallPaths(Paths):
    """Execution paths of what a function reaches; its arguments have none, for any caller may have made them."""

    def of(self, name: str) -> Path:
        """Refuse an argument, see :class:`Paths` for the rest."""
        raise FingerprintError(
            "an argument that has no content: make it inside the function, or name it in ignore= if it does not count",
            path=f"{name} (local)",
        )

    def in_namespace(self, namespace: Mapping[str, object], name: str) -> Path:
        """The path of a global name."""
        if namespace is self.home and not self._in_function:
            return super().of(name)
        return super().in_namespace(namespace, name)

    def _block_scope(self) -> Scope:
        """Where the call stands, up to the statement that makes it."""
        known = self._scopes.get(id(self._frame))
        if known is None:
            if modules.origin_of_file(self._frame.f_code.co_filename) not in ("local", "memory"):
                raise LookupError("the function was called by a library")
            known = self._scopes[id(self._frame)] = scope_of(self._frame, None, None)
        return known


class Call(Passage):
    """One call of a cached function, as a passage through a block whose body is the call."""

    noun = "function"
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, site: Site, frame: FrameType, values: dict[str, Any], chosen: settings.Settings) -> None:
        self.site = site
        super().__init__(
            name=site.name,
            owner=_NOBODY,
            options=site.options,
            settings=chosen,
            frame=frame,
            entry=Entry(0, 0, None),
            place=site.place,
            line=site.block.line,
            started=time.perf_counter(),
            namespace=_Names(values, site.home),
            block=site.block,
        )

    def paths(self) -> Paths:
        """Those of a function: what its frame is executing is not a block."""
        return _CallPaths(self.frame, lambda: None)

    def codes(self) -> list[CodeType]:
        """That of the functions that the call reaches."""
        assert self.built is not None
        reached = (getattr(found, "__code__", None) for found in self.built.objects.values())
        return [code for code in reached if isinstance(code, CodeType)]

    @property
    def needed(self) -> frozenset[str]:
        """What it returns."""
        return self.block.writes

    @property
    def shares(self) -> bool:
        """As ``copy=`` says."""
        return not self.site.copy

    @property
    def memory(self) -> Memory | None:
        """One for all calls of the process."""
        _memory.limit_bytes = self.settings.memory
        return _memory if self.settings.memory else None

    @property
    def waits(self) -> bool:
        """Whether the function is async."""
        return self.site.is_async

    def told(self, event: BlockFinished) -> BlockFinished:
        """With its own line, with what all calls came to, or quietly."""
        in_memory = isinstance(self.result, Hit) and self.result.in_memory and event.outcome == "hit"
        inside = any(isinstance(s.what, Call) and s.what.site is self.site for s in beside.around())
        calls, speaks = self.site.tally.count(event, in_memory=in_memory, inside=inside)
        return replace(event, calls=calls, quiet=event.quiet or not (speaks or calls))


def block_of(name: str, arguments: Iterable[str], file: str, line: int) -> Block:
    """A call as a block: it reads the function and its arguments, and writes one name."""
    return Block(
        digest=_CALL,
        reads=dict.fromkeys((FUNCTION, *arguments), ((),)),
        writes=frozenset({RESULT}),
        definite=frozenset({RESULT}),
        deletes=frozenset(),
        imports=(),
        dynamic=(),
        reads_doc=False,
        texts=(),
        written={},
        file=file,
        line=line,
        end_line=line,
        source=f"call of {name}",
    )


def is_call(manifest: Manifest) -> bool:
    """Whether an entry is of a call."""
    return any(i.kind == "code" and i.digest == _CALL for i in manifest.key.inputs)
