"""matplotlib: figures have no content, because their pickles differ from run to run; what is drawn on them tells.

What a body draws on a figure from before it is made again in the same figure.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.registry import Refused
from blockcache.inplace import own_state, put_state


def _artist(value: Any) -> object:
    raise Refused("figures and what is drawn on them differ from run to run")


FINGERPRINT = {"Artist": _artist, "FigureCanvasBase": _artist}


def _drawn(value: Any) -> str:
    """What stands on the figure of an artist: statements that ran again have drawn again."""
    figure = getattr(value, "figure", None) or value
    found: list[object] = [type(value).__qualname__]
    for axes in getattr(figure, "axes", ()):
        texts = axes.title.get_text(), axes.xaxis.label.get_text(), axes.yaxis.label.get_text()
        found.append((type(axes).__qualname__, texts, axes.legend_ is not None))
        found += [_child(child) for child in axes._children]
    return repr(found)


def _child(child: Any) -> tuple[object, ...]:
    points = [getattr(child, name, None) for name in ("_xorig", "_yorig", "_offsets", "_A")]
    data = [
        digest(np.ascontiguousarray(p)).hex() for p in points if isinstance(p, np.ndarray) and not p.dtype.hasobject
    ]
    text = getattr(child, "_text", "")
    return type(child).__qualname__, child.get_label(), child.get_visible(), text, data


def _put_figure(figure: Any, contents: tuple[dict[str, object], tuple[str, ...]]) -> None:
    state, names = contents
    own = vars(figure)
    for name in own.keys() - set(names):
        del own[name]
    # It has its canvas and its place in pyplot: its own way would give it others.
    own.update({name: value for name, value in state.items() if name not in ("__mpl_version__", "_restore_to_pylab")})
    figure.stale = True


def _put_artist(artist: Any, contents: tuple[Any, tuple[str, ...]]) -> None:
    callback = artist.stale_callback  # its state leaves out whom it tells
    put_state(artist, contents)
    artist.stale_callback = callback


#: What tells whether a value without content was changed.
PROBE = {"Artist": _drawn, "FigureCanvasBase": _drawn}

IN_PLACE = {"Figure": own_state(_put_figure), "Artist": own_state(_put_artist)}

DESCRIBE = {"Figure": lambda value: f"Figure {value.get_size_inches()[0]:g} x {value.get_size_inches()[1]:g} in"}
