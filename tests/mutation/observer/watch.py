"""Watches a program of ``faithful.py`` from inside.

In the plain run a stand-in for blockcache is put in place. When the program has ended, and before anything of it is taken down,
what it has left behind is written down.
"""

import json
import os
import resource
import sys
import threading
import time
import types


class Stand:
    """What stands for blockcache in the plain run; it notes which files are written while a block is open."""

    def __init__(self, folder):
        self.folder, self.open, self.writes, self.entered = folder + os.sep, [], {}, {}

    def install(self):
        stand = self

        class cached_block:
            def __init__(self, name, **options):
                self.name = name

            def __enter__(self):
                stand.open.append(self.name)
                stand.entered[self.name] = stand.entered.get(self.name, 0) + 1
                return self

            def __exit__(self, *error):
                stand.open.remove(self.name)
                return False

        cached_block.__module__ = "blockcache"
        module = types.ModuleType("blockcache")
        module.cached_block = cached_block
        sys.modules["blockcache"] = module
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if self.open and event in ("open", "os.remove") and isinstance(arguments[0], (str, bytes, os.PathLike)):
            flags = arguments[2] if event == "open" and isinstance(arguments[2], int) else 0
            if event == "os.remove" or flags & (os.O_WRONLY | os.O_RDWR):
                path = os.path.abspath(os.fsdecode(arguments[0]))
                if path.startswith(self.folder):
                    found = self.writes.setdefault(self.open[-1], [])
                    if path[len(self.folder) :] not in found:
                        found.append(path[len(self.folder) :])


def watch(text):
    spec = json.loads(text)
    before = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(spec["limit_s"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 120))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    # Forks of one process have the same addresses: what depends on them must not pass for steady.
    shift = [bytearray(40 + k % 600) for k in range(20 * os.urandom(1)[0])]
    stand = Stand(spec["folder"])
    if spec["plain"]:
        stand.install()

    def end():
        resource.setrlimit(resource.RLIMIT_CPU, (limit + 100, limit + 120))
        started = time.process_time()
        shift.clear()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        stand.open.append("")  # nothing that the hook could name
        sys.path.insert(0, spec["here"])
        import ends

        sys.path.remove(spec["here"])
        stand.open.clear()
        found = ends.describe(sys.modules["__main__"].__dict__, spec["folder"], spec["ending"])
        found["cpu_s"] = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
        found["end_s"] = time.process_time() - started
        found["entered"] = stand.entered
        found["writes"] = {name: paths for name, paths in stand.writes.items() if name}
        with open(spec["answer"], "w") as file:
            json.dump(found, file)

    # Those of atexit come later, among them matplotlib's, which closes all figures.
    threading._register_atexit(end)
