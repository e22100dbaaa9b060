"""What events come to: how many hits and misses, for what reasons, and what that saved and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blockcache.events import BlockFinished

_NUMBERS = ("hits", "misses", "uncacheable", "verified", "differs", "loaded_bytes", "saved_bytes")
_TIMES = ("saved_s", "key_s", "load_s", "save_s")
_REASONS = ("causes", "obstacles")


@dataclass(slots=True)
class Counts:
    """What the passages through one block, or the calls of one function, came to.

    Attributes
    ----------
    hits
        Bodies that were skipped.
    misses
        Bodies that ran and could be saved.
    uncacheable
        Bodies that ran, and nothing could be saved.
    verified, differs
        Bodies that ran although there was an entry, to be compared with it.
    saved_s
        What the bodies of the hits took in the runs that made their entries.
    key_s, load_s, save_s
        What the cache took: to build the keys; besides, of hits and comparisons; besides, of the other runs. Waiting
        for another run is none of it: the body would have taken that time.
    loaded_bytes, saved_bytes
        Of the entries that hits read and runs saved.
    causes, obstacles
        Why bodies ran, and why nothing was saved: how often.
    """

    hits: int = 0
    misses: int = 0
    uncacheable: int = 0
    verified: int = 0
    differs: int = 0
    loaded_bytes: int = 0
    saved_bytes: int = 0
    saved_s: float = 0.0
    key_s: float = 0.0
    load_s: float = 0.0
    save_s: float = 0.0
    causes: Counter[str] = field(default_factory=Counter)
    obstacles: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        """How often there was something to hit."""
        return self.hits + self.misses + self.uncacheable

    @property
    def hit_rate(self) -> float | None:
        """The share of hits; None where there was nothing to hit."""
        return self.hits / self.asked if self.asked else None

    @property
    def net_s(self) -> float:
        """Time saved, less all that the cache took."""
        return self.saved_s - self.key_s - self.load_s - self.save_s

    def count(self, event: BlockFinished) -> None:
        """Add one passage."""
        key_s = event.key_s or 0.0
        self.key_s += key_s
        if event.outcome == "hit":
            self.hits += 1
            self.saved_s += event.saved_s or 0.0
            self.load_s += max(0.0, event.took_s - key_s - event.waited_s)
            self.loaded_bytes += event.size_bytes or 0
            return
        # What is neither key, waiting nor body; where nobody knows how long the body took, nothing.
        rest_s = 0.0 if event.body_s is None else max(0.0, event.took_s - key_s - event.waited_s - event.body_s)
        if event.outcome == "miss":
            self.save_s += rest_s
            self.saved_bytes += event.size_bytes or 0
            self._count_miss(event.cause, event.obstacle)
        else:
            self.load_s += rest_s
            self.verified += event.outcome == "verified"
            self.differs += event.outcome == "differs"

    def _count_miss(self, cause: str, obstacle: str) -> None:
        if cause:
            self.causes[cause] += 1
        if obstacle:
            self.uncacheable += 1
            self.obstacles[obstacle] += 1
        else:
            self.misses += 1

    def add(self, other: Counts) -> None:
        """Add what others counted."""
        for name in (*_NUMBERS, *_TIMES):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.causes.update(other.causes)
        self.obstacles.update(other.obstacles)

    def facts(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        plain = {name: getattr(self, name) for name in (*_NUMBERS, *_TIMES)}
        return {**plain, **{name: dict(getattr(self, name)) for name in _REASONS}}

    def to_json(self) -> dict[str, Any]:
        """What is not zero, for :meth:`from_json`."""
        return {name: value for name, value in self.facts().items() if value}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Counts:
        """The counts that :meth:`to_json` told.

        Raises
        ------
        ValueError, TypeError, AttributeError
            When it is something else.
        """
        numbers = {name: int(raw.get(name, 0)) for name in _NUMBERS}
        times = {name: float(raw.get(name, 0.0)) for name in _TIMES}
        reasons = {name: Counter({str(k): int(n) for k, n in raw.get(name, {}).items()}) for name in _REASONS}
        return cls(**numbers, **times, **reasons)  # type: ignore[arg-type]


#: By the name of a block or function.
ByName = dict[str, Counts]


def add_all(to: ByName, more: Mapping[str, Counts]) -> None:
    """Add what others counted, name by name."""
    for name, counts in more.items():
        to.setdefault(name, Counts()).add(counts)
