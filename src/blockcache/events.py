"""What happened at a block, as events; everything that prints, logs or counts is a subscriber.

A block emits exactly one event, when it is over: the one line on standard
error says why it missed, how long it took and what was saved, and only the
end knows all of that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from blockcache.model import Difference

Outcome = Literal["hit", "miss", "verified", "differs"]


class Calls(NamedTuple):
    """What the calls of a cached function came to: how many hit, what that saved; how many ran, what they took."""

    hits: int
    saved_s: float
    runs: int
    took_s: float


@dataclass(frozen=True, slots=True)
class BlockFinished:
    """A block is over: its body was skipped, or it ran.

    Attributes
    ----------
    name
        The block's name.
    outcome
        ``hit`` when the body was skipped; ``verified`` or ``differs`` when it ran although there was an entry, to be
        compared with it (``mode="verify"``); else ``miss``.
    file, line, host
        Where the block stands, and in which host it ran.
    took_s
        Wall time from entering the block to leaving it: key, lookup, then the load, or the body and the save.
    key
        Digest of the key; empty when there is none (mode off, trouble before the key).
    reason
        Why it missed, in one clause.
    differences
        Against the nearest entry, likeliest cause first.
    cause
        Why the body ran, as one of a few clauses to count by (``first run``, ``body changed``, ``ttl``); empty where
        there was no lookup.
    obstacle
        On a miss: why nothing was saved, as one of a few clauses to count by; empty where it was, or was not to be.
    key_s
        Time to build the key.
    body_s
        How long the body took, where it ran.
    saved_s
        On a hit: how long the body took in the run that made the entry.
    load_s
        On a hit: time to read, verify and decode the values.
    save_s
        On a miss that was saved: time to encode and write the values.
    size_bytes
        Bytes of the entry that was loaded or saved.
    made_at
        On a hit: when the entry was made (ISO 8601, UTC).
    saved
        On a miss: whether an entry was saved.
    problem
        What went wrong or why nothing was saved, in one clause; empty when all is well.
    untracked
        On a miss: what the body did that no later lookup can check, where an entry before did not say so already.
    differing
        What is not as the entry says, in clauses.
    waited
        How long it waited for another run of the same block, in a clause; empty when it did not.
    waited_s
        The same in seconds; part of ``took_s``.
    notes
        What else is to be said, in clauses: entries that went to make room, a result that is not worth keeping.
    calls
        Of a cached function that is called often: what its calls came to so far, in place of the line.
    lacking
        On a hit in a notebook: names that a later cell may want and that the entry does not give back.
    quiet, log_path, counted_in
        The settings at this block: no line on standard error; file for one line of JSON; the store whose statistics
        count it, None where nothing may be written.
    """

    name: str
    outcome: Outcome
    file: str
    line: int
    host: str
    took_s: float
    key: str = ""
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    cause: str = ""
    obstacle: str = ""
    key_s: float | None = None
    body_s: float | None = None
    saved_s: float | None = None
    load_s: float | None = None
    save_s: float | None = None
    size_bytes: int | None = None
    made_at: str | None = None
    saved: bool = False
    problem: str = ""
    untracked: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    waited: str = ""
    waited_s: float = 0.0
    notes: tuple[str, ...] = ()
    calls: Calls | None = None
    lacking: tuple[str, ...] = ()
    quiet: bool = False
    log_path: str | None = None
    counted_in: str | None = None


Subscriber = Callable[[BlockFinished], None]

# Replaced, never changed in place: emit() in another thread goes on with the tuple it has.
_subscribers: tuple[Subscriber, ...] = ()


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Call ``subscriber`` with every event from now on; the returned function ends that.

    Subscribing a second time changes nothing.
    """
    global _subscribers
    if subscriber not in _subscribers:
        _subscribers = (*_subscribers, subscriber)

    def unsubscribe() -> None:
        global _subscribers
        _subscribers = tuple(s for s in _subscribers if s is not subscriber)

    return unsubscribe


def emit(event: BlockFinished) -> None:
    """Tell every subscriber; a subscriber's error is logged and never reaches the user's program."""
    for subscriber in _subscribers:
        try:
            subscriber(event)
        except Exception:
            with contextlib.suppress(Exception):  # a disk that cannot be read now holds the library of logging too
                import logging

                logging.getLogger("blockcache").exception("a subscriber of blockcache's events failed")
