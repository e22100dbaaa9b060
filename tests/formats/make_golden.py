"""Writes the committed entries of the current format, a typed tree, a pickle and a compressed one: `python tests/formats/make_golden.py`.

Run it once when a format number is new, never again for that number: the point of the entry is that later
versions read what this one wrote.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xxhash

from blockcache.codec import Forms, encode
from blockcache.codec.pack import lay_out
from blockcache.compression import Frame
from blockcache.fingerprint.modules import is_library
from blockcache.model import FORMAT, Blob, Input, Key, Manifest, Output, Provenance

HERE = Path(__file__).parent / f"v{FORMAT}"


def values() -> dict[str, object]:
    """What the entry gives back."""
    base = np.arange(3000.0)
    shared = [1, 2.5, "drei", None, True]
    return {
        "base": base,
        "view": base[10:20],
        "big": np.full(200_000, 7, dtype="i8"),
        "shared": shared,
        "holder": {"again": shared, "text": "é\U0001f40d", "raw": b"\0\xff", "set": {1, 2}},
        "when": np.array(["2013-01-01", "NaT"], dtype="M8[ns]"),
    }


def write(folder: Path, forms: Forms, coding: str = "") -> None:
    """One entry."""
    folder.mkdir(exist_ok=True)
    encoded = encode(
        values(), label=lambda obj: None, module_globals={"__name__": "__main__"}, is_library=is_library, forms=forms
    )
    layout = lay_out(encoded)
    blobs = []
    pack = Frame(layout.pack_parts, layout.pack_size) if coding else map(bytes, layout.pack_parts)
    for data in (b"".join(pack), *map(bytes, layout.large)):
        digest = xxhash.xxh3_128_hexdigest(data)
        (folder / f"{digest}.blob").write_bytes(data)
        blobs.append(Blob(digest, len(data), "" if blobs else coding))
    key = Key.of([Input("value", "x", "0" * 32, "3"), Input("distribution", "numpy", "2.1.0", "2.1.0")])
    made = Provenance("2026-11-28T12:00:00+00:00", 1.5, "script", "main.py", 3, "3.12.1", "0.1.0", "here", "me")
    outputs = tuple(Output(name, type(value).__name__, "", encoded.codecs[name]) for name, value in values().items())
    (folder / "entry.json").write_bytes(Manifest("golden", key, outputs, ("gone",), tuple(blobs), made).to_json())


def main() -> None:
    write(HERE, "typed")
    write(HERE.with_name(f"{HERE.name}-pickle"), "pickle")
    write(HERE.with_name(f"{HERE.name}-zstd"), "pickle", "zstd")


if __name__ == "__main__":
    main()
