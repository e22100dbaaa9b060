"""The bytes of a blob in fewer bytes, and back. The only room that knows zstandard.

A coded blob is one frame of zstd (RFC 8878) that says how large its content is and holds a checksum of it. FORMAT.md
has the bounds that a reader keeps to: a frame says the size first, so nothing is made of one that says too much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import xxhash

from blockcache.errors import CodecError, IntegrityError

Buffer = bytes | bytearray | memoryview

#: What is said where the library is missing.
WAY_OUT = "needs zstandard: pip install 'blockcache[zstd]'"

#: Level 3 takes half as long again, for a tenth less.
_LEVEL = 1
#: What is smaller takes up a few blocks of the disk either way, and to load the library takes as long as the restore.
_WORTH_BYTES = 64 << 10
#: Coded bytes are kept up to this share of the content's: less is not worth the time of every restore.
_WORTH_SHARE = 0.8
#: Of the front, and of the middle.
_SAMPLE_BYTES = 128 << 10
#: A frame up to this size is made once; a larger one is made once for its digest and again to write it.
_FEW_BYTES = 8 << 20
#: A reader takes no more content than so many times the coded bytes, whatever a store says,
_MOST_TIMES = 1000
#: and needs no more memory beside it than every decoder should have.
_MOST_WINDOW_BYTES = 8 << 20
#: The longest head of a frame.
_HEAD_BYTES = 18


def is_there() -> bool:
    """Whether the library is installed."""
    try:
        import zstandard  # noqa: F401
    except ImportError:
        return False
    return True


class Frame:
    """Content as one frame; drawn more than once, it is the same each time, and only a small one is held.

    Attributes
    ----------
    digest, size_bytes
        Of the frame.
    """

    def __init__(self, parts: Sequence[Buffer], content_bytes: int) -> None:
        self._parts, self._content_bytes = parts, content_bytes
        self._pieces: list[bytes] = []
        hasher, self.size_bytes = xxhash.xxh3_128(), 0
        for piece in self._made():
            hasher.update(piece)
            self.size_bytes += len(piece)
            if self.size_bytes <= _FEW_BYTES:
                self._pieces.append(piece)
            else:
                self._pieces.clear()
        self.digest = hasher.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces) if self._pieces else self._made()

    def _made(self) -> Iterator[bytes]:
        import zstandard

        coder = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        # How the content is cut into parts does not show: zstd gathers blocks of its own.
        chunker: Any = coder.chunker(size=self._content_bytes, chunk_size=1 << 20)
        for part in self._parts:
            yield from chunker.compress(part)
        yield from chunker.finish()


def squeezed(parts: Sequence[Buffer], content_bytes: int) -> Frame | None:
    """Content as a frame; None where that is not worth it, which a sample mostly tells, or a reader would refuse it."""
    if content_bytes < _WORTH_BYTES or not _promises(parts, content_bytes):
        return None
    frame = Frame(parts, content_bytes)
    if frame.size_bytes > _WORTH_SHARE * content_bytes or content_bytes > _MOST_TIMES * frame.size_bytes:
        return None
    return frame


def _promises(parts: Sequence[Buffer], content_bytes: int) -> bool:
    import zstandard

    sample = b"".join(piece for start in (0, content_bytes // 2) for piece in _cut(parts, start, _SAMPLE_BYTES))
    return len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample)) <= _WORTH_SHARE * len(sample)


def _cut(parts: Sequence[Buffer], start: int, size: int) -> Iterator[memoryview]:
    """So many bytes from a place on."""
    stop = start + size
    for part in parts:
        if stop <= 0:
            break
        view = memoryview(part).cast("B")
        yield view[max(start, 0) : stop]
        start, stop = start - len(view), stop - len(view)


def content(data: memoryview, coding: str) -> memoryview:
    """What the bytes of a blob stand for, in memory of the caller's own: themselves, where they are not coded.

    Raises
    ------
    IntegrityError
        When they are not a frame that :class:`Frame` makes. Nothing was made then that is larger than they allow.
    CodecError
        When what they stand for does not fit into memory.
    """
    if not coding:
        return data
    import zstandard

    try:
        head = zstandard.get_frame_parameters(data[:_HEAD_BYTES])
        size = head.content_size  # a number that is larger than any where the frame does not say it
        if not head.has_checksum or size > _MOST_TIMES * len(data) or head.window_size > _MOST_WINDOW_BYTES:
            raise IntegrityError("a compressed blob does not say what it holds, or wants more memory than it may")
        memory, done = memoryview(bytearray(size)), 0
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            while done < size and (count := reader.readinto(memory[done:])):
                done += count
            # Only who reads on is told of a checksum that is wrong.
            if done < size or reader.read(1):
                raise IntegrityError(f"a compressed blob does not hold the {size} bytes that it says")
    except zstandard.ZstdError as error:
        raise IntegrityError(f"a compressed blob cannot be read: {error}") from error
    except MemoryError as error:
        raise CodecError(f"there is no memory for the {size} bytes of a compressed blob") from error
    return memory
