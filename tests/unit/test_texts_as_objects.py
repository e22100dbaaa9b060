"""Arrays and columns of texts as Python objects: saved as Arrow saves texts, and the same objects in the same places."""

from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd
import pytest

from blockcache.codec import decode, encode
from blockcache.fingerprint.modules import is_library
from blockcache.types import numpy_texts

SIZE = 3000


def round_trip(value, forms):
    encoded = encode({"x": value}, label=lambda _: None, module_globals={}, is_library=is_library, forms=forms)
    back = decode(b"".join(encoded.stream), encoded.buffers, resolve=str, module_globals={})["x"]
    return back, sum(map(len, encoded.stream))


def _objects(items):
    array = np.empty(len(items), object)
    array[:] = items
    return array


_KINDS = [f"text {i}" for i in range(7)]
_HOLES = [None, np.nan, math.nan, float("nan"), pd.NA, pd.NaT, True, 3, 2**70, "", "é", "\U0001f40d"]
ARRAYS = {
    "all different": _objects([f"number {i}é" for i in range(SIZE)]),
    "few": _objects([_KINDS[i * i % 7] for i in range(SIZE)]),
    "equal but not the same": _objects(["".join(["a", str(i % 5)]) for i in range(SIZE)]),
    "holes": _objects([(_HOLES + _KINDS)[i * i % 19] for i in range(SIZE)]),
    "different with holes": _objects([None if i % 9 == 5 else f"x{i}" for i in range(SIZE)]),
    "columns": np.asfortranarray(_objects([_KINDS[i % 7] for i in range(SIZE)]).reshape(3, -1)),
    "rows": _objects([_KINDS[i % 7] for i in range(SIZE)]).reshape(3, -1),
    "a reversed view": _objects([f"x{i}" for i in range(SIZE)])[::-1],
    "a part": _objects([f"x{i}" for i in range(9 * SIZE)])[::9],
    "surrogates": _objects([f"x{i}\ud800" for i in range(SIZE)]),
    "mixed": _objects(["x", [1], {}, 5.5, b"b"] * (SIZE // 5)),
    "subclass": _objects(["x"] * SIZE + [np.str_("y")]),
}


@pytest.mark.parametrize("forms", ["typed", "pickle"])
@pytest.mark.parametrize("arrow", [True, False])
@pytest.mark.parametrize("name", ARRAYS)
def test_the_same_objects_stand_in_the_same_places(name, arrow, forms, monkeypatch):
    """Equal and of the same type, the same object where it was the same object, and nowhere else; memory laid out alike."""
    if not arrow:
        monkeypatch.setattr(numpy_texts, "_has_arrow", lambda: False)
        monkeypatch.delitem(sys.modules, "pandas")
    array = ARRAYS[name]
    back, _ = round_trip(array, forms)
    assert (back.shape, back.dtype, back.flags.writeable) == (array.shape, object, True)
    assert back.flags.f_contiguous == array.flags.f_contiguous or not array.flags.forc
    seen: dict[int, object] = {}
    for was, now in zip(array.ravel().tolist(), back.ravel().tolist(), strict=True):
        assert type(was) is type(now)
        alone = any(was is one for one in (None, pd.NA, pd.NaT, np.nan))
        assert was is now if alone else was == now or was != was
        if type(was) is str and len(was) > 1:
            assert seen.setdefault(id(was), now) is now
    assert len(set(map(id, seen.values()))) == len(seen)


@pytest.mark.parametrize("forms", ["typed", "pickle"])
def test_a_column_of_objects_leaves_the_stream_small(forms):
    """Its texts are in buffers; the frame, its index and a column that says so are as they were."""
    frame = pd.DataFrame(
        {
            "o": ARRAYS["holes"],
            "p": pd.array([*_KINDS, pd.NA] * (SIZE // 8), pd.StringDtype("python")),
        },
        index=pd.Index(ARRAYS["all different"], dtype=object),
    )
    back, size = round_trip(frame, forms)
    pd.testing.assert_frame_equal(back, frame)
    assert back.dtypes.tolist() == frame.dtypes.tolist() and size < 10_000


@pytest.mark.parametrize("arrow", [True, False])
def test_offsets_that_lead_outside_are_refused(arrow, monkeypatch):
    if not arrow:
        monkeypatch.setattr(numpy_texts, "_has_arrow", lambda: False)
    for offsets in ([0, 5, 9], [0, 5, 2], [-4, 0, 1], [1, 2, 3], []):
        with pytest.raises(ValueError):
            numpy_texts.make_objects_of_texts((2,), "C", np.array(offsets, np.int64), b"12345", None, [])
