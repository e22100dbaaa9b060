"""Buffers of one set of outputs: collecting them, and keeping shared memory shared.

Buffers whose memory overlaps (an array and a view of it) become slices of one
*region*, so that writing through one is seen through the other again after a
restore. Equal but separate buffers stay separate. A view with wide gaps between its
elements (a column of an array) is saved with what lies in them where all that is saved
there makes up a good part of it, or where several share little memory; else without.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from blockcache import untouched

Buffer = bytes | bytearray | memoryview

#: Buffers below this stay inside the pickle stream, unless a reducer wants them outside.
IN_BAND_BYTES = 4096


#: A region is saved as a part of a known blob that is up to this many times its size.
_MOST_AROUND = 4

#: Memory is saved with the gaps in it up to this many times what it would be without them,
MOST_GAPS = 4
#: and where several buffers share it, up to this size.
_MOST_SHARED_BYTES = 1 << 20


class Slice(NamedTuple):
    """One buffer of the pickle stream, as a part of a region."""

    region: int
    start: int
    size: int
    readonly: bool


class _Raw(NamedTuple):
    memory: memoryview
    address: int | None
    elements: memoryview | None = None  # of a view with wide gaps: what is saved instead where the gaps are not


class Collector:
    """Takes the buffers of one set of outputs while they are pickled.

    Parameters
    ----------
    values
        The outputs by name, for reducers that look at their surroundings.

    Attributes
    ----------
    private
        Arrays, by ``id``, whose memory must not be shared with others after a restore
        (a library that copies on write keeps its own record of who shares what).
    upstream
        Objects that a hit has already: memory within theirs is theirs.
    contents
        By ``id``: what is saved by its elements although its memory is an upstream object's.
    prepared
        By ``id``: objects with what took long to make of them, for whoever writes the same outputs again.
    """

    def __init__(
        self,
        values: Mapping[str, object],
        upstream: Sequence[object] = (),
        contents: Iterable[object] = (),
        prepared: dict[int, tuple[object, Any]] | None = None,
    ) -> None:
        self.values = values
        self.upstream = upstream
        self.contents = {id(value): value for value in contents}
        self.prepared = {} if prepared is None else prepared
        self.private: dict[int, object] = {}
        self._raws: list[_Raw] = []
        self._chosen: dict[int, tuple[pickle.PickleBuffer, int | None, memoryview | None]] = {}

    def out_of_band(
        self, exporter: object, address: int | None, elements: memoryview | None = None
    ) -> pickle.PickleBuffer:
        """A buffer that stays outside the stream whatever its size.

        ``address`` lets it share a region with buffers that overlap it; with None it is alone. ``elements`` are what
        counts of it, much smaller: they are saved instead unless a good part of the buffer is saved anyway.
        """
        buffer = pickle.PickleBuffer(exporter)  # type: ignore[arg-type]
        self._chosen[id(buffer)] = buffer, address, elements
        return buffer

    def owner(self, low: int, high: int, place: Callable[[Any], tuple[int, int] | None]) -> tuple[Any, int] | None:
        """The upstream object whose memory holds these addresses, and where that begins.

        ``place`` says where an object's memory is, None where it is not to be shared; it is asked once for each.
        """
        known = self.prepared.get(id(place))
        if known is None or known[0] is not self.upstream:
            found = [(*where, value) for value in self.upstream if (where := place(value)) is not None]
            known = self.prepared[id(place)] = self.upstream, found
        return next(((value, first) for first, last, value in known[1] if first <= low and high <= last), None)

    def take(self, buffer: pickle.PickleBuffer) -> bool:
        """The pickler's ``buffer_callback``: True leaves the buffer in the stream."""
        memory = buffer.raw()
        chosen = self._chosen.get(id(buffer))
        if chosen is None and memory.nbytes < IN_BAND_BYTES:
            return True
        self._raws.append(_Raw(memory, chosen[1], chosen[2]) if chosen else _Raw(memory, None))
        return False

    def regions(self) -> tuple[list[memoryview], list[Slice]]:
        """The regions that hold all taken buffers, and each buffer's place in them."""
        raws = self._raws
        for i in _too_wide(raws):
            elements = raws[i].elements
            assert elements is not None
            raws[i] = _Raw(elements, None)
        regions: list[memoryview] = []
        slices: dict[int, Slice] = {}
        for i, raw in enumerate(raws):
            if raw.address is None or not raw.memory.nbytes:
                slices[i] = Slice(len(regions), 0, raw.memory.nbytes, raw.memory.readonly)
                regions.append(raw.memory)
        for group, end in _overlapping(raws):
            _close(raws, group, end, regions, slices)
        moved = {i: found for i, region in enumerate(regions) if (found := _blob_around(region)) is not None}
        regions = [moved[i][0] if i in moved else region for i, region in enumerate(regions)]
        places = (slices[i] for i in range(len(raws)))
        return regions, [p._replace(start=p.start + moved[p.region][1]) if p.region in moved else p for p in places]


def _overlapping(raws: list[_Raw]) -> Iterator[tuple[list[int], int]]:
    """Groups of buffers whose memory overlaps, by address with the longest first, and where each ends."""
    located = sorted(
        (raw.address, -raw.memory.nbytes, i)
        for i, raw in enumerate(raws)
        if raw.address is not None and raw.memory.nbytes
    )
    group: list[int] = []
    end = 0
    for address, negative_size, i in located:
        if group and address >= end:
            yield group, end
            group = []
        end = max(end, address - negative_size) if group else address - negative_size
        group.append(i)
    if group:
        yield group, end


def _too_wide(raws: list[_Raw]) -> list[int]:
    """Buffers of which only the elements are worth saving: those alone, or in a group that is mostly gaps."""
    found = [i for i, raw in enumerate(raws) if raw.elements is not None and raw.address is None]
    if any(raw.elements is not None for raw in raws):
        for group, end in _overlapping(raws):
            start = raws[group[0]].address
            assert start is not None
            apart = sum((raws[i].elements or raws[i].memory).nbytes for i in group)
            most = max(MOST_GAPS * apart, _MOST_SHARED_BYTES if len(group) > 1 else 0)
            if end - start > most:
                found += [i for i in group if raws[i].elements is not None]
    return found


def _blob_around(region: memoryview) -> tuple[memoryview, int] | None:
    """The blob that a region is a good part of, and where in it: it is in the store already, and need not be twice."""
    if region.nbytes < untouched.WORTH_BYTES:
        return None
    found = untouched.whole_of(region)
    # A small part would keep all of the blob in the store.
    return found if found is not None and found[0].nbytes <= _MOST_AROUND * region.nbytes else None


def _close(raws: list[_Raw], group: list[int], end: int, regions: list[memoryview], slices: dict[int, Slice]) -> None:
    """Turn overlapping buffers, sorted by address with the longest first, into one region."""
    first = raws[group[0]]
    low = first.address
    assert low is not None
    for i in group:
        memory, address, _ = raws[i]
        assert address is not None
        slices[i] = Slice(len(regions), address - low, memory.nbytes, memory.readonly)
    if low + first.memory.nbytes == end:
        regions.append(first.memory)
    else:
        import ctypes  # slow to import, and hardly ever needed

        # No single buffer covers the group, but together its members cover every byte of it.
        whole = (ctypes.c_ubyte * (end - low)).from_address(low)
        whole._blockcache_members = [raws[i].memory for i in group]  # type: ignore[attr-defined]  # keeps the memory alive
        regions.append(memoryview(whole).cast("B"))
