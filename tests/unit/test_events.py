"""Events: everybody hears everything once, and nobody can break a block."""

from __future__ import annotations

import logging

import pytest

from blockcache import events
from blockcache.events import BlockFinished, emit, subscribe


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setattr(events, "_subscribers", ())


def _event(outcome="hit", **facts):
    return BlockFinished(
        **{"name": "b", "outcome": outcome, "file": "f.py", "line": 1, "host": "script", "took_s": 0.5, **facts}
    )


def test_every_subscriber_hears_each_event_once():
    """In the order of subscription; a second subscription of the same one changes nothing."""
    heard = []
    first, second = (lambda e: heard.append((1, e))), (lambda e: heard.append((2, e)))
    for subscriber in (first, second, first):
        subscribe(subscriber)
    event = _event()
    emit(event)
    assert heard == [(1, event), (2, event)]


def test_unsubscribing_ends_it_also_in_the_middle():
    """A subscriber may take itself out while it is being told; the others still hear the event."""
    heard = []

    def once(event):
        heard.append("once")
        end()

    end = subscribe(once)
    subscribe(lambda event: heard.append("other"))
    emit(_event())
    emit(_event())
    end()
    assert heard == ["once", "other", "other"]


def test_a_failing_subscriber_is_logged_and_harms_nobody(caplog):
    """The user's program never sees it, and later subscribers still hear the event."""
    heard = []
    subscribe(lambda event: 1 / 0)
    subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "blockcache"):
        emit(_event())
    assert len(heard) == 1
    assert "ZeroDivisionError" in caplog.text
