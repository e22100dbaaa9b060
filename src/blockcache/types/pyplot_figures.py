"""pyplot's figures: which of them a body made, closed or chose, and doing the same on a hit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from matplotlib._pylab_helpers import Gcf


class Watch:
    """pyplot's figures from before a body until after it; ``from_nothing`` when pyplot was not there before."""

    def __init__(self, from_nothing: bool) -> None:
        managers = {} if from_nothing else Gcf.figs
        self._before = {number: manager.canvas.figure for number, manager in managers.items()}
        self._drawn: dict[int, Any] = {}
        self._callbacks: list[tuple[Any, Callable[..., None], Any]] = []
        for number, figure in self._before.items():
            self._watch(number, figure)

    def _watch(self, number: int, figure: Any) -> None:
        before = figure.stale_callback

        def noticed(artist: Any, stale: bool) -> None:
            self._drawn[number] = figure
            if before is not None:
                before(artist, stale)

        figure.stale_callback = noticed
        self._callbacks.append((figure, noticed, before))

    def stop(self) -> None:
        """Look no longer at what is drawn on figures from before."""
        for figure, noticed, before in self._callbacks:
            if figure.stale_callback is noticed:
                figure.stale_callback = before
        self._callbacks = []

    def drawn(self) -> dict[str, object]:
        """Figures from before that the body drew on, by what is to be said where a hit could not draw on them."""
        return {
            f"it draws on figure {number}, which was there before; make the figure in the block": figure
            for number, figure in self._drawn.items()
            if number in Gcf.figs and Gcf.figs[number].canvas.figure is figure
        }

    def result(self) -> dict[str, Any] | None:
        """What :func:`restore` needs, or None."""
        now = {number: manager.canvas.figure for number, manager in Gcf.figs.items()}
        if list(now.items()) == list(self._before.items()):
            return None
        made = [(number, figure) for number, figure in now.items() if self._before.get(number) is not figure]
        closed = [number for number in self._before if number not in now]
        return {"made": made, "closed": closed, "order": list(now)}


def restore(kept: Mapping[str, Any]) -> None:
    """Close what the body closed, put its figures into pyplot, and choose the figure that was the current one."""
    pyplot: Any = import_module("matplotlib.pyplot")
    for number in (*kept["closed"], *(number for number, _ in kept["made"])):
        pyplot.close(number)
    for number, figure in kept["made"]:
        manager = pyplot._get_backend_mod().new_figure_manager_given_figure(number, figure)
        Gcf._set_new_active_manager(manager)
        _connect(figure)
        figure.stale_callback = pyplot._auto_draw_if_interactive
        pyplot.draw_if_interactive()
    for number in kept["order"]:
        if number in Gcf.figs:
            Gcf.set_active(Gcf.figs[number])


def _connect(figure: Any) -> None:
    """Let all that is drawn on a figure tell it when it changes, which pickles leave out."""
    artist, figures = import_module("matplotlib.artist"), import_module("matplotlib.figure")
    for part in figure.findobj():
        if part is not figure:
            inside = part.axes is not None and part.axes is not part
            part.stale_callback = artist._stale_axes_callback if inside else figures._stale_figure_callback
