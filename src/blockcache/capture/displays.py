"""What a body shows in a notebook: the host's own functions for it are wrapped while the body runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from blockcache import hosts
from blockcache.capture import streams
from blockcache.capture.recording import Event, Recording

_lock = threading.RLock()
# By (id of the owner, name of its function): the owner, what stands there now, what stood there, who listens.
_taps: dict[tuple[int, str], _Tap] = {}


class _Tap:
    """One function of a host that shows something."""

    def __init__(self, owner: Any, name: str, describe: hosts.Describe) -> None:
        self.listeners: tuple[Recording, ...] = ()
        self._owner, self._name = owner, name
        self._had = name in vars(owner)
        self._original = original = getattr(owner, name)

        def show(*args: Any, **kwargs: Any) -> Any:
            with streams.unheard():  # some hosts print what they show
                result = original(*args, **kwargs)
            hearing = [recording for recording in self.listeners if recording.owns()]
            if hearing:
                event = describe(*args, **kwargs)
                for recording in hearing:
                    recording.add(event)
            return result

        self._show = show
        setattr(owner, name, show)

    def close(self) -> None:
        if vars(self._owner).get(self._name) is self._show:
            if self._had:
                setattr(self._owner, self._name, self._original)
            else:
                delattr(self._owner, self._name)


def listen(recording: Recording) -> None:
    """Tell ``recording`` from now on what is shown."""
    with _lock:
        for room in hosts.showing():
            for owner, name, describe in room.shown_by():
                tap = _taps.get((id(owner), name))
                if tap is None:
                    tap = _taps[id(owner), name] = _Tap(owner, name, describe)
                tap.listeners = (*tap.listeners, recording)


def leave(recording: Recording) -> None:
    """No longer."""
    with _lock:
        for key, tap in list(_taps.items()):
            tap.listeners = tuple(other for other in tap.listeners if other is not recording)
            if not tap.listeners:
                tap.close()
                del _taps[key]


def settled(events: list[Event]) -> list[Event]:
    """Events that make the same picture in the end: updates done, what was cleared left out."""
    for room in hosts.showing():
        events = room.settled(events)
    return events


def finished(events: list[Event], problem: Callable[[str], object]) -> list[Event]:
    """Events as values that can be kept; ``problem`` is told, in one clause, of what cannot."""
    for room in hosts.showing():
        events = room.finished(events, problem)
    return events


def show(event: Event) -> None:
    """Show it again, in the host of now."""
    for room in hosts.showing():
        if room.show_again(event):
            return
    if event[0] == "display" and not event[4] and "text/plain" in event[1]:
        # As IPython's display does where there is no notebook.
        streams.write(("stdout", event[1]["text/plain"] + "\n"))
