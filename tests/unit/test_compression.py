"""Blobs in fewer bytes: the same content back, whatever else is there is refused, and nothing large is made of it."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from blockcache import compression
from blockcache.compression import Frame, content, squeezed
from blockcache.errors import CodecError, IntegrityError

ROWS = b"".join(b"%d: row number %d;" % (k, k * 7919 % 1000) for k in range(20_000))


def coded(data: bytes) -> bytes:
    return b"".join(Frame([data], len(data)))


def opened(data: bytes) -> bytes:
    return bytes(content(memoryview(data), "zstd"))


@settings(deadline=None)
@given(st.binary(max_size=5000), st.integers(1, 60), st.lists(st.integers(0, 300_000), max_size=6))
def test_content_comes_back_and_how_it_is_cut_does_not_show(seed, times, cuts):
    """Any parts: the frame is that of one part, so that equal packs are one blob; digest and size are its own."""
    data = seed * times
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = [memoryview(data)[a:b] for a, b in zip(places, places[1:])]
    frame = Frame(parts, len(data))
    text = b"".join(frame)
    assert text == coded(data) == b"".join(frame)
    assert (frame.digest, frame.size_bytes) == (compression.xxhash.xxh3_128_hexdigest(text), len(text))
    if len(data) <= 1000 * len(text):
        assert opened(text) == data


def test_a_large_frame_is_made_again_the_same_and_not_held():
    """Of 40 MB that compress to 20 the frame keeps nothing, in parts of any size."""
    data = random.Random(1).randbytes(40 << 20).translate(bytes(k % 16 for k in range(256)))
    frame = Frame([data[:100], memoryview(data)[100:]], len(data))
    assert frame.size_bytes > compression._FEW_BYTES and not frame._pieces
    text = b"".join(frame)
    assert compression.xxhash.xxh3_128_hexdigest(text) == frame.digest and opened(text) == data


def test_what_is_read_is_memory_of_the_callers_own():
    """It can be written to, and the coded bytes stay as they are."""
    text = coded(ROWS)
    memory = content(memoryview(text), "zstd")
    memory[:3] = b"new"
    assert not memory.readonly and opened(text) == ROWS
    assert content(memoryview(text), "") == text, "what is not coded is itself"


def test_what_is_not_worth_it_is_left_alone():
    """Small content; what does not compress, as a whole or as its sample tells; what a reader would refuse."""
    noise = random.Random(2).randbytes(2 << 20)
    assert squeezed([ROWS], len(ROWS)) is not None
    assert squeezed([ROWS[: (64 << 10) - 1]], (64 << 10) - 1) is None
    assert squeezed([noise], len(noise)) is None
    assert squeezed([ROWS, noise], len(ROWS) + len(noise)) is None, "the middle is noise"
    for tail in (300_000, 3_000_000):
        mostly = [ROWS[:140_000], noise[:tail], ROWS[:140_000], noise[:tail]]
        frame = squeezed(mostly, sum(map(len, mostly)))
        assert frame is None or frame.size_bytes <= 0.8 * sum(map(len, mostly))
    assert squeezed([bytes(64 << 20)], 64 << 20) is None, "more than 1,000 times smaller"


def head(size: int, *, checksum: bool = True, window_log: int = 0) -> bytes:
    """The head of a frame that says a size of content, and a window of its own where that is not the content's."""
    descriptor = 0b1100_0000 | checksum << 2 | (0 if window_log else 1 << 5)
    window = bytes([window_log - 10 << 3]) if window_log else b""
    return (0xFD2FB528).to_bytes(4, "little") + bytes([descriptor]) + window + size.to_bytes(8, "little")


def zeros(count: int) -> bytes:
    """Blocks of 128 KiB of zeros, four bytes each, of which the last ends the frame."""
    return b"".join(((128 << 10) << 3 | 1 << 1 | (k == count - 1)).to_bytes(3, "little") + b"\0" for k in range(count))


HOSTILE = {
    "no frame": b"no frame at all, only some text",
    "nothing": b"",
    "no size": zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(ROWS),
    "no checksum": zstandard.ZstdCompressor(write_checksum=False).compress(ROWS),
    "a head alone": head(1 << 16, window_log=20),
    "a size of 2**62": head(1 << 62, window_log=20) + zeros(1000) + b"abcd",
    "a gigabyte of zeros": head(1 << 30, window_log=20) + zeros(1 << 13) + b"abcd",
    "more than it says": head(1 << 17, window_log=20) + zeros(4000) + b"abcd",
    "less than it says": head(1 << 19, window_log=20) + zeros(3) + b"abcd" + bytes(1000),
    "a window of 1 GiB": head(1 << 17, window_log=30) + zeros(1) + b"abcd" + bytes(1000),
    "a window of 32 MiB, well made": zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(1, window_log=25, write_checksum=True)
    ).compress(ROWS * 40),
    "another one behind it": coded(ROWS[:1000]) + coded(ROWS),
    "one that is skipped": b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + coded(ROWS),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_foreign_frames_are_refused_before_anything_large_is_made(what):
    """In a process that may take 100 MB more: never an error but the one."""
    program = f"""
    import resource, sys
    sys.path[:0] = {sys.path!r}
    from blockcache.compression import content
    from blockcache.errors import IntegrityError
    import zstandard
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (100 << 20),) * 2)
    try:
        print(len(content(memoryview(sys.stdin.buffer.read()), "zstd")))
    except IntegrityError as error:
        print("refused", error)
    """
    text = "\n".join(line[4:] for line in program.splitlines())
    done = subprocess.run([sys.executable, "-c", text], input=HOSTILE[what], capture_output=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"refused"), done.stdout


def test_a_torn_frame_and_any_flipped_bit_are_refused():
    """Every length, every byte: refused, or the content is what it was (without the checksum; a bit that nothing reads)."""
    text = coded(ROWS[:3000])
    harmless = 0
    for length in range(len(text) - 4):
        with pytest.raises(IntegrityError):
            opened(text[:length])
    for at in range(len(text)):
        for flip in (1, 0x80, 0xFF):
            bad = bytearray(text)
            bad[at] ^= flip
            try:
                assert opened(bytes(bad)) == ROWS[:3000], at
                harmless += 1
            except IntegrityError:
                pass
    assert harmless < 10


def test_what_needs_more_memory_than_there_is_is_refused():
    """A large frame that is well made, in a process that has no room for it: the frame is not what is wrong."""
    text = coded(random.Random(3).randbytes(1 << 20) * 200)
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + (64 << 20), limits[1]))
    try:
        with pytest.raises(CodecError):
            opened(text)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
