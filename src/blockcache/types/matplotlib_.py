"""matplotlib: figures and all that is drawn on them are refused; their pickles differ from run to run."""

from __future__ import annotations

from typing import Any

from blockcache.fingerprint.registry import Refused


def _artist(value: Any) -> object:
    raise Refused("figures and what is drawn on them differ from run to run")


FINGERPRINT = {"Artist": _artist, "FigureCanvasBase": _artist}

DESCRIBE = {"Figure": lambda value: f"Figure {value.get_size_inches()[0]:g} x {value.get_size_inches()[1]:g} in"}
