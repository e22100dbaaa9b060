"""Pillow's images: their pixels, the palette that these stand for, and what else an image knows.

Pillow's own reduction forgets the alpha of a palette and what a program has written to an image's EXIF.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image, ImagePalette

from blockcache.codec.rebuild import set_attributes
from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

#: Said by the arguments of :func:`make_image`; memory of its own is never read-only.
_MADE = frozenset(("_im", "_mode", "_size", "_readonly"))


def reducer(cls: type) -> Reducer | None:
    """The reducer of an image; those of files are classes of their own."""
    return _reduce_image if cls is Image.Image else None


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees."""
    return _typed_palette if cls is ImagePalette.ImagePalette else reducer(cls)


def _reduce_image(image: Any, collector: Collector) -> Any:
    if not all(image.size):
        return NotImplemented
    image.load()  # a palette that is new goes to the pixels
    try:
        mode = image.im.getpalettemode()
        palette = [mode, bytes(image.im.getpalette(mode, mode))]
    except ValueError:
        palette = None
    pixels = collector.out_of_band(image.tobytes(), None)
    state = {name: value for name, value in vars(image).items() if name not in _MADE}
    return make_image, (image.mode, image.size, palette, pixels), state, None, None, set_attributes


def make_image(mode: str, size: tuple[int, int], palette: list[Any] | None, pixels: Any) -> Any:
    """An image of pixels, in memory of its own: Pillow lets nobody write to single pixels of other memory."""
    image: Any = Image.frombytes(mode, size, pixels)
    if palette and palette[1]:
        image.im.putpalette(palette[0], *palette)
    return image


def _typed_palette(palette: Any, _collector: Collector) -> Any:
    return make_palette, (), dict(vars(palette)), None, None, set_attributes


def make_palette() -> Any:
    """A palette of nothing yet."""
    return ImagePalette.ImagePalette()


#: What trees may call, by the name after ``PIL.``.
MAKERS: dict[str, Callable[..., Any]] = {"image": make_image, "palette": make_palette, "attributes": set_attributes}
