"""Random values in both ways of storing them."""

from __future__ import annotations

import random

import pytest
import typed_values

from blockcache.codec import decode, encode, is_typed, lay_out, open_pack
from blockcache.compression import Frame, content
from blockcache.fingerprint.modules import is_library


@pytest.mark.parametrize("forms", ["typed", "pickle"])
def test_random_values_come_back_the_same_with_all_identities_among_them(forms):
    """Numbers to the bit, order of dictionaries, cycles, shared parts, a library's own nan; nothing else is shared."""
    for seed in range(600):
        rng, pool = random.Random(seed), []
        values = {f"v{i}": typed_values.value(rng, pool) for i in range(3)}
        encoded = encode(values, label=lambda _: None, module_globals={}, is_library=is_library, forms=forms)
        stream = b"".join(encoded.stream)
        assert is_typed(stream) == (forms == "typed")
        buffers = [memoryview(bytearray(buffer)) for buffer in encoded.buffers]
        back = decode(stream, buffers, resolve=str, module_globals={}, unpickle=forms == "pickle")
        assert not typed_values.difference([*values.values()], [*back.values()], {}, {}), seed


@pytest.mark.parametrize("forms", ["typed", "pickle"])
def test_random_values_come_back_the_same_from_a_compressed_pack(forms):
    """Whatever is in a pack, regions among them, which lie in memory that can be written to."""
    for seed in range(200):
        rng, pool = random.Random(seed), []
        values = {f"v{i}": typed_values.value(rng, pool) for i in range(3)}
        layout = lay_out(encode(values, label=lambda _: None, module_globals={}, is_library=is_library, forms=forms))
        text = b"".join(Frame(layout.pack_parts, layout.pack_size))
        pack = content(memoryview(text), "zstd")
        assert pack == b"".join(layout.pack_parts)
        stream, buffers = open_pack(pack, [memoryview(bytearray(region)) for region in layout.large])
        back = decode(stream, buffers, resolve=str, module_globals={}, unpickle=forms == "pickle")
        assert not typed_values.difference([*values.values()], [*back.values()], {}, {}), seed
