"""Who holds a lease: what its record says, and whether that process lives."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple


class Owner(NamedTuple):
    """What the record of a lease says.

    Attributes
    ----------
    host, pid
        For people.
    machine
        Where process numbers mean the same: a boot of a machine, a space of process numbers in it; or a host's name.
    process
        When the process started, by the machine's own count; 0 where that is not known.
    thread
        The system's number of the thread.
    name
        The block's name.
    started, written
        When the body began, and the record was written last: seconds since 1970 by the owner's clock.
    waits
        Keys whose leases it waits for.
    """

    host: str
    machine: str
    pid: int
    process: int
    thread: int
    name: str
    started: float
    written: float
    waits: tuple[str, ...]

    @classmethod
    def read(cls, data: memoryview | bytes) -> Owner | None:
        """What a record says; None of one that is not whole."""
        try:
            record = json.loads(bytes(data))
            found = cls(*(record[name] for name in cls._fields))
        except (ValueError, KeyError, TypeError):
            return None
        return found._replace(waits=tuple(map(str, found.waits))) if isinstance(found.pid, int) else None

    def lives(self) -> bool | None:
        """Whether the process is there; None where that cannot be told from here."""
        if self.machine != machine():
            return None
        status = _status(self.pid)
        if status is not None:
            return status.state not in ("Z", "X") and status.started == self.process
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return None

    def came_after(self, other: Owner | None) -> bool:
        """Whether it is the record of another lease than ``other``."""
        return other is not None and (self.machine, self.pid, self.started) != (other.machine, other.pid, other.started)

    def is_ancestor(self) -> bool:
        """Whether it has started this process, or a process that did."""
        return self.machine == machine() and self.pid in _ancestors()


class _Status(NamedTuple):
    state: str
    parent: int
    started: int


def _status(pid: int) -> _Status | None:
    """What Linux says of a process; None where it says nothing."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # its name may hold anything
        return _Status(fields[0].decode(), int(fields[1]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


#: What is known of this process; a copy of it has to ask again.
_known: dict[str, Any] = {}


def machine() -> str:
    """What tells where process numbers mean the same, see :class:`Owner`."""
    found = _known.get("machine")
    if found is None:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                found = f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
        except OSError:
            found = os.uname().nodename
        _known["machine"] = found
    return str(found)


def _ancestors() -> frozenset[int]:
    found = _known.get("ancestors")
    if found is None:
        above, pid = [], os.getppid()
        while pid > 1 and pid not in above:
            above.append(pid)
            status = _status(pid)
            pid = status.parent if status is not None else 0
        found = _known["ancestors"] = frozenset(above)
    return frozenset(found)


def process() -> tuple[int, int]:
    """The number of this process, and when it started."""
    pid = os.getpid()
    found = _known.get("process")
    if found is None:
        status = _status(pid)
        found = _known["process"] = status.started if status is not None else 0
    return pid, int(found)


def used_s(thread: int) -> float:
    """Seconds of the processor that a thread of this process has used; 0 where that is not known."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
            return int(file.read().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _after_fork() -> None:
    _known.clear()


os.register_at_fork(after_in_child=_after_fork)
