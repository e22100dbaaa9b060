"""Typed trees of Pillow's images: their pixels, shared with the buffer where Pillow can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

#: Modes whose pixels Pillow can leave where they are; the first write to such an image copies them.
_SHARED = frozenset(("L", "RGBX", "RGBA", "CMYK"))
_OWN = frozenset(vars(Image.new("P", (1, 1))))


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees; images of files are classes of their own."""
    return _typed_image if cls is Image.Image else None


def _typed_image(image: Any, collector: Collector) -> Any:
    if not all(image.size) or not _OWN.issuperset(vars(image)):
        return NotImplemented
    pixels = collector.out_of_band(image.tobytes(), None)
    return make_image, (image.mode, image.size, image.getpalette(), pixels), image.info, None, None, set_info


def make_image(mode: str, size: tuple[int, int], palette: list[int] | None, pixels: Any) -> Any:
    """An image over its pixels."""
    if mode in _SHARED and not palette:
        return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)
    image = Image.frombytes(mode, size, pixels)
    if palette:
        image.putpalette(palette)
    return image


def set_info(image: Any, info: dict[Any, Any]) -> None:
    """What an image knows beside its pixels."""
    image.info = info


#: What trees may call, by the name after ``PIL.``.
MAKERS: dict[str, Callable[..., Any]] = {"image": make_image, "info": set_info}
