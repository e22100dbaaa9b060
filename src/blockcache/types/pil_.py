"""Pillow: what stands for an image. Its own reduction lacks the alpha of palettes and the EXIF that a program set."""

from __future__ import annotations

from typing import Any


def _image(value: Any) -> object:
    pixels = value.tobytes()  # reads the file, where it is one that was not read yet
    try:
        mode = value.im.getpalettemode()
        palette = mode, bytes(value.im.getpalette(mode, mode))
    except ValueError:
        palette = None
    exif = value._exif
    return value.info, value.mode, value.size, palette, pixels, exif and (dict(exif), exif._ifds)


FINGERPRINT = {"Image": _image}
