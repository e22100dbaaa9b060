"""Values to bytes and back, and how the bytes of an entry are spread over blobs."""

from __future__ import annotations

from blockcache.codec.codes import running
from blockcache.codec.pack import Layout, lay_out, open_pack
from blockcache.codec.pickling import Encoded, decode, encode

__all__ = ["Encoded", "Layout", "decode", "encode", "lay_out", "open_pack", "running"]
