"""IPython and Jupyter: what is displayed, updated and cleared."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable
from typing import Any

from IPython import get_ipython

from blockcache.hosts import Describe

#: ("display", data by MIME type, metadata, display id or None, whether it updates what is shown under that id)
DISPLAY = "display"
#: ("clear", whether it waits for something to come)
CLEAR = "clear"
_STREAMS = ("stdout", "stderr")
_WIDGET = "application/vnd.jupyter.widget-view+json"
_PLAIN = (str, int, float, bool, type(None))


def runs() -> bool:
    """Whether there is a shell."""
    return get_ipython() is not None


def shown_by() -> list[tuple[Any, str, Describe]]:
    """The functions through which everything is shown."""
    publisher = get_ipython().display_pub
    return [(publisher, "publish", _published), (publisher, "clear_output", _cleared)]


def _published(
    data: dict[str, Any],
    metadata: dict[str, Any] | None = None,
    source: object = None,
    *,
    transient: dict[str, Any] | None = None,
    update: bool = False,
    **options: object,
) -> tuple[Any, ...]:
    kept = {kind: value for kind, value in data.items() if _is_plain(value)}
    about = dict(metadata) if metadata and _is_plain(metadata) else {}
    return DISPLAY, kept, about, (transient or {}).get("display_id"), update


def _cleared(wait: bool = False) -> tuple[Any, ...]:
    return CLEAR, bool(wait)


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (*_PLAIN, bytes))


def settled(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What is to be seen in the end: updates done, what was cleared left out."""
    found: list[tuple[Any, ...]] = []
    shown: dict[str, int] = {}
    for event in events:
        if event[0] == CLEAR:
            found.append(event)
            continue
        if event[0] == DISPLAY:
            _, data, metadata, shown_as, update = event
            if update and shown_as in shown and found[shown[shown_as]][0] == DISPLAY:
                at = shown[shown_as]
                found[at] = (DISPLAY, data, metadata, shown_as, found[at][4])
                continue
            if shown_as is not None:
                shown[shown_as] = len(found)
        found.append(event)
    return _after_clearing(found)


def _after_clearing(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Without what was cleared: a clearing that waits clears when something comes."""
    visible = (DISPLAY, *_STREAMS)
    for at in reversed(range(len(events))):
        kind, *rest = events[at]
        if kind == CLEAR and (not rest[0] or any(event[0] in visible for event in events[at + 1 :])):
            return [event for event in events[:at] if event[0] not in (*visible, CLEAR)] + events[at:]
    return events


def finished(events: list[tuple[Any, ...]], problem: Callable[[str], object]) -> list[tuple[Any, ...]]:
    """Widgets as text."""
    return [event for event in map(_without_widget, events) if event is not None]


def _without_widget(event: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A display whose widget lives in this kernel only as the text that it shows at the end; None when it is closed."""
    if event[0] != DISPLAY or _WIDGET not in event[1]:
        return event
    package = sys.modules.get("ipywidgets.widgets.widget")
    living: dict[str, Any] = getattr(package, "_instances", {})
    widget = living.get(event[1][_WIDGET].get("model_id", ""))
    if widget is None:
        return None
    return (DISPLAY, {"text/plain": _text_of(widget)}, {}, *event[3:])


def _text_of(widget: Any) -> str:
    try:
        return repr(widget)
    except ReferenceError:  # tqdm's, whose bar is collected with the next garbage: what its parts show is still there
        shown = [part.value for part in widget.children if isinstance(getattr(part, "value", None), str)]
        return html.unescape(" ".join(shown))


def show_again(event: tuple[Any, ...]) -> bool:
    """Do to the notebook what the event says, if it is one of these."""
    publisher = get_ipython().display_pub
    if event[0] == CLEAR:
        publisher.clear_output(wait=event[1])
    elif event[0] == DISPLAY:
        _, data, metadata, shown_as, update = event
        transient = {} if shown_as is None else {"display_id": shown_as}
        publisher.publish(data=dict(data), metadata=dict(metadata), transient=transient, update=update)
    else:
        return False
    return True
