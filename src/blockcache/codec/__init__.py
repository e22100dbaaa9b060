"""Values to bytes and back, and how the bytes of an entry are spread over blobs."""

from __future__ import annotations

from blockcache.codec.codes import running
from blockcache.codec.coding import Encoded, Forms, decode, encode, is_typed
from blockcache.codec.pack import Layout, lay_out, open_pack

__all__ = ["Encoded", "Forms", "Layout", "decode", "encode", "is_typed", "lay_out", "open_pack", "running"]
