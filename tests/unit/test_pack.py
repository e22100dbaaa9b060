"""The pack says exactly where everything is, and a pack that does not is refused."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import textwrap

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from blockcache.codec import Encoded, lay_out, open_pack
from blockcache.codec.pack import LARGE_BYTES, MAGIC
from blockcache.codec.regions import Collector, Slice
from blockcache.errors import CodecError, IntegrityError


def encoded(stream=b"stream", regions=(), slices=None):
    views = [memoryview(r) for r in regions]
    if slices is None:
        slices = [Slice(i, 0, len(r), r.readonly) for i, r in enumerate(views)]
    return Encoded([stream], views, slices, None)


def pack_of(value):
    layout = lay_out(value)
    return b"".join(layout.pack_parts), [memoryview(bytearray(x)) for x in layout.large]


@settings(deadline=None)
@given(
    stream=st.lists(st.binary(max_size=40), max_size=4),
    regions=st.lists(st.binary(max_size=200), max_size=6),
    data=st.data(),
)
def test_what_is_laid_out_is_read_back(stream, regions, data):
    slices = []
    for i, region in enumerate(regions):
        start = data.draw(st.integers(0, len(region)))
        slices.append(Slice(i, start, data.draw(st.integers(0, len(region) - start)), data.draw(st.booleans())))
    slices = data.draw(st.permutations(slices + slices[:2]))
    layout = lay_out(Encoded(stream, [memoryview(r) for r in regions], slices, None))
    pack = bytearray(b"".join(layout.pack_parts))
    assert len(pack) == layout.pack_size
    back, buffers = open_pack(memoryview(pack), layout.large)
    assert bytes(back) == b"".join(stream)
    assert [bytes(b) for b in buffers] == [regions[s.region][s.start : s.start + s.size] for s in slices]
    assert [b.readonly for b in buffers] == [s.readonly for s in slices]


@pytest.mark.parametrize("n", [0, 1, 3, 300, 2000])
def test_an_entry_has_at_most_256_blobs_of_regions_and_large_ones_are_apart(n):
    region = memoryview(bytes(LARGE_BYTES))
    layout = lay_out(encoded(regions=[region] * n + [region[:100]]))
    assert len(layout.large) <= 256
    assert len(layout.large) == (n if n <= 255 else 0)
    assert layout.pack_size == sum(map(len, layout.pack_parts))


def test_regions_are_not_copied_and_lie_aligned():
    regions = [bytearray(b"a" * n) for n in (1, 64, 65, 100)]
    layout = lay_out(encoded(regions=regions))
    for region in regions:
        assert any(isinstance(p, memoryview) and p.obj is region for p in layout.pack_parts)
    at = 0
    for part in layout.pack_parts:
        if isinstance(part, memoryview):
            assert at % 64 == 0
        at += len(part)


def test_a_pack_cut_anywhere_is_refused():
    pack, large = pack_of(encoded(regions=[b"x" * 70, bytes(LARGE_BYTES), b"", b"y" * 5]))
    for size in range(len(pack)):
        with pytest.raises(IntegrityError):
            open_pack(memoryview(pack)[:size], large)
    with pytest.raises(IntegrityError):
        open_pack(memoryview(pack + b"\0"), large)


def test_a_flipped_byte_is_refused_or_leaves_every_buffer_inside_the_pack():
    """The index cannot point outside; flips that it cannot see change the digest."""
    pack, large = pack_of(encoded(regions=[b"x" * 70, bytes(LARGE_BYTES), b"y" * 5]))
    digest = xxhash.xxh3_128_hexdigest(pack)
    refused = 0
    for i in range(len(pack)):
        for flip in (1, 0x80, 0xFF):
            bad = bytearray(pack)
            bad[i] ^= flip
            assert xxhash.xxh3_128_hexdigest(bad) != digest
            try:
                stream, buffers = open_pack(memoryview(bad), large)
            except IntegrityError:
                refused += 1
            else:
                assert len(stream) + sum(map(len, buffers)) <= len(pack) + LARGE_BYTES
    assert refused > 3 * 48 * 0.9


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 3))
def test_arbitrary_bytes_are_refused(data, count):
    large = [memoryview(b"abc")] * count
    for candidate in (data, MAGIC + data, MAGIC + struct.pack("<IIQ", 1, 0, len(data) + 24) + data):
        try:
            open_pack(memoryview(candidate), large)
        except IntegrityError:
            pass


def test_other_large_blobs_than_those_of_the_index_are_refused():
    pack, large = pack_of(encoded(regions=[bytes(LARGE_BYTES), bytes(LARGE_BYTES + 1)]))
    open_pack(memoryview(pack), large)
    for wrong in ([], large[:1], large[::-1], [*large, large[0]]):
        with pytest.raises(IntegrityError):
            open_pack(memoryview(pack), wrong)


def test_another_format_number_is_named():
    pack = bytearray(pack_of(encoded())[0])
    pack[8] = 9
    with pytest.raises(IntegrityError, match="format 9"):
        open_pack(memoryview(pack), [])


def test_flipping_any_byte_of_a_whole_entry_never_crashes_the_process(tmp_path):
    """Without any digest: the worst that a flip in index, stream or data does is an exception."""
    program = f"""
    import resource, sys, warnings
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    warnings.simplefilter("ignore")
    sys.path.insert(0, {os.path.dirname(__file__)!r})
    import numpy as np
    from test_codec import save, load, CodecError, Order
    from blockcache.errors import IntegrityError
    a = np.arange(6.0)
    values = {{"a": a, "v": a[1:3], "d": {{"k": [1, "two", 3.0, None]}}, "o": Order(1, ["x"]), "m": np.zeros(2, "M8[s]")}}
    pack, large = save(values)
    outcomes = [0, 0, 0]
    for i in range(len(pack)):
        for flip in (1, 0x80, 0xFF):
            bad = bytearray(pack)
            bad[i] ^= flip
            try:
                repr(load((bytes(bad), large)))
                outcomes[0] += 1
            except (IntegrityError, CodecError):
                outcomes[1] += 1
            except Exception:  # a value of another type, shown
                outcomes[2] += 1
    print(outcomes)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert eval(done.stdout.splitlines()[-1])[1] > 0


def test_buffers_that_only_touch_are_not_merged():
    memory = bytearray(200)
    collector = Collector({})
    for start, end in ((0, 100), (100, 200)):
        collector.take(collector.out_of_band(memoryview(memory)[start:end], 1000 + start))
    regions, _ = collector.regions()
    assert [len(r) for r in regions] == [100, 100]


def test_the_codec_s_errors_are_the_only_ones():
    with pytest.raises(IntegrityError):
        open_pack(memoryview(b""), [])
    assert not issubclass(IntegrityError, CodecError)
