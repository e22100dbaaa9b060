"""Random values in both ways of storing them."""

from __future__ import annotations

import random

import pytest
import typed_values

from blockcache.codec import decode, encode, is_typed
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
