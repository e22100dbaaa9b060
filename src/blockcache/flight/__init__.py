"""Single flight: of all who miss one entry at the same time, one runs the body; the others wait, and look again.

Who runs it holds a lease: a record under ``leases/`` in the store, for other processes, and a place in a table of this
process, for its threads and tasks. FORMAT.md says what the record holds and when it is garbage. A lease is about
time only: whoever runs a body without one, or after losing it, saves the same entry under the same name.

Nobody waits for good:

* for an owner who is gone. On the same machine the system knows; of another machine the waiter sees, by its own clock,
  whether the record is written again every few seconds. Who takes over puts a record beside the old one, under
  the next number, so that one of several wins and nothing that a slow owner does later touches the new lease.
* in a circle. Who waits inside of a body writes that into the record of its lease, and reads what the other one
  waits for. A process that was started by the owner counts as inside of its body.
* for an owner that waits for something else which the waiter holds (a place in a pool, a lock). That cannot be
  seen: but a thread that has not used the processor for minutes may as well be one.
* twice for the same lease: an owner whose run left no entry has shown that waiting for the next one is no use.
"""

from blockcache.flight.leases import Lease
from blockcache.flight.waiting import Flight, Step, let_others_run, stand_still

__all__ = ["Flight", "Lease", "Step", "let_others_run", "stand_still"]
