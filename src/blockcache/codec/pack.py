"""The pack: one blob with the pickle stream, its small regions and the index of all of them.

Grammar (numbers are little-endian)::

    pack    := header region* slice* stream (padding region-bytes)*
    header  := magic format:u32 reserved:u32 pack-size:u64 regions:u64 slices:u64 stream-size:u64     (48 bytes)
    magic   := "BLKPACK" 0x0A                                                                       (8 bytes)
    region  := position:u64 size:u64                                                                (16 bytes)
    slice   := region:u64 start:u64 size:u64 readonly:u64                                           (32 bytes)
    padding := up to 63 zero bytes

``position`` counts from the start of the pack and is a multiple of 64; 0 says
that the region is a blob of its own, the next in the entry's list of blobs. Small
regions follow the stream in the order of the index. A slice is one buffer of the
stream, in the order in which the stream takes them. The pack ends with the last
small region, or with the stream when there is none.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from blockcache.codec.coding import Encoded, cut
from blockcache.codec.regions import Buffer, Slice
from blockcache.errors import IntegrityError

MAGIC = b"BLKPACK\n"
FORMAT = 1

#: A region is a blob of its own from this size up, or from 1/256 of all regions' bytes when that is more,
#: so that an entry never has more than 256 of them.
LARGE_BYTES = 1 << 20
LARGE_SHARE = 256

ALIGNMENT = 64

_HEADER = struct.Struct("<8sIIQQQQ")
_REGION = struct.Struct("<QQ")
_SLICE = struct.Struct("<QQQQ")
_ZEROS = bytes(ALIGNMENT)


class Layout(NamedTuple):
    """How encoded values are spread over blobs.

    Attributes
    ----------
    pack_parts
        The pack in pieces, in the memory of the values themselves.
    pack_size, pack_regions_size
        Bytes of the pack; how many of them are those of regions.
    large
        Regions that become blobs of their own, in the order in which the pack refers to them.
        Two of them may hold equal bytes and so have one blob; each is opened on its own.
    """

    pack_parts: list[Buffer]
    pack_size: int
    pack_regions_size: int
    large: list[memoryview]


def lay_out(encoded: Encoded) -> Layout:
    """Decide what goes into the pack and what becomes a blob of its own."""
    stream, regions, slices = encoded.stream, encoded.regions, encoded.slices
    threshold = max(LARGE_BYTES, -(-sum(r.nbytes for r in regions) // LARGE_SHARE))
    stream_size = sum(len(piece) for piece in stream)
    end = tail_at = _HEADER.size + len(regions) * _REGION.size + len(slices) * _SLICE.size + stream_size
    index = [b""]
    tail: list[Buffer] = []
    large = []
    for region in regions:
        if region.nbytes >= threshold:
            large.append(region)
            index.append(_REGION.pack(0, region.nbytes))
            continue
        padding = -end % ALIGNMENT
        tail += (_ZEROS[:padding], region)
        index.append(_REGION.pack(end + padding, region.nbytes))
        end += padding + region.nbytes
    index += [_SLICE.pack(*place) for place in slices]
    index[0] = _HEADER.pack(MAGIC, FORMAT, 0, end, len(regions), len(slices), stream_size)
    return Layout([b"".join(index), *stream, *tail], end, end - tail_at, large)


def open_pack(pack: memoryview, large: Sequence[memoryview]) -> tuple[memoryview, list[memoryview]]:
    """The stream and its buffers, as :func:`blockcache.codec.decode` takes them; nothing is copied.

    Parameters
    ----------
    pack
        The bytes of the pack.
    large
        The bytes of the regions that are blobs of their own, in order, each with memory of its own.

    Raises
    ------
    IntegrityError
        When the index does not fit the bytes.
    """
    pack = pack.cast("B")
    if len(pack) < _HEADER.size:
        raise IntegrityError(f"a pack of {len(pack)} bytes is shorter than its header")
    magic, number, reserved, size, n_regions, n_slices, stream_size = _HEADER.unpack_from(pack)
    if magic != MAGIC:
        raise IntegrityError("not a pack of blockcache")
    if number != FORMAT or reserved:
        raise IntegrityError(f"a pack of format {number}, this version reads format {FORMAT}")
    slices_at = _HEADER.size + n_regions * _REGION.size
    stream_at = slices_at + n_slices * _SLICE.size
    end = stream_at + stream_size
    if size != len(pack) or end > size:
        raise IntegrityError(f"a pack of {len(pack)} bytes where its header says {size}")
    regions = []
    unused = list(reversed(large))
    for position, length in _REGION.iter_unpack(pack[_HEADER.size : slices_at]):
        if not position:
            region = unused.pop().cast("B") if unused else None
            if region is None or len(region) != length:
                raise IntegrityError("the blobs beside the pack are not those of its index")
        else:
            # The only place that it can have, so that no two regions overlap.
            if position != end + -end % ALIGNMENT or position + length > size:
                raise IntegrityError("the pack's index points outside the pack")
            end = position + length
            region = pack[position:end]
        regions.append(region)
    if unused or end != size:
        raise IntegrityError("the pack's index does not account for all bytes")
    buffers = []
    for which, start, length, readonly in _SLICE.iter_unpack(pack[slices_at:stream_at]):
        if which >= n_regions or start + length > len(regions[which]) or readonly > 1:
            raise IntegrityError("the pack's index points outside a region")
        buffers.append(cut(regions[which], Slice(which, start, length, bool(readonly))))
    return pack[stream_at : stream_at + stream_size], buffers
