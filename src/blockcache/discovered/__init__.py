"""What a body reads from outside: recorded while it runs, checked at the next lookup.

Four watchers tell every recorder what happens in the process: the audit hook (:mod:`.watch`: files that Python opens,
folders listed, network, subprocesses), wrappers around readers written in C, `os.stat` and `os.environ`
(:mod:`.wrappers`: only while something records), from Python 3.12 on the calls that project code makes
(:mod:`.calls`), and on Linux the kernel (:mod:`.kernel`: files opened in folders that :mod:`.folders` chooses). On
3.11 the texts that may name files stand in for the calls.

A watcher errs towards recording too much: an input too many costs a run, one too few a stale result.
"""

from blockcache.discovered.check import changed
from blockcache.discovered.recorder import Recorded, Recorder
from blockcache.discovered.watch import absorb

__all__ = ["Recorded", "Recorder", "absorb", "changed"]
