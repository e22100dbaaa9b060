from enum import Enum, IntEnum, auto


class State(Enum):
    LOCKED = auto()
    OPEN = auto()
    BROKEN = auto()


class Event(IntEnum):
    PUSH = 1
    COIN = 2
    WAIT = 3


TABLE = {
    (State.LOCKED, Event.COIN): State.OPEN,
    (State.OPEN, Event.PUSH): State.LOCKED,
    (State.OPEN, Event.COIN): State.OPEN,
}


class Machine:
    limit = 6
    __slots__ = ("state", "ticks")

    def __init__(self, start):
        self.state = start
        self.ticks = 0

    def feed(self, event):
        if event == Event.WAIT and self.ticks > self.limit:
            raise ValueError(f"too long in {self.state.name}")
        self.state = TABLE.get((self.state, event), self.state)
        return self.state


def unrelated(x):
    total = x * 2
    return [total, 1]
