"""Chains of blocks over large values: a hit reads nothing of what nobody has written to, and is never stale for it."""

from __future__ import annotations

import ctypes
import mmap
import os

import numpy as np
import pytest

MIB = 1 << 20

#: A chain over an array: what is large goes from block to block. Tells what it took in memory.
CHAIN = """\
import numpy as np
from blockcache import cached_block

def peak():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))

open("/proc/self/clear_refs", "w").write("5")
before = peak()
with cached_block("made"):
    made = np.arange({mib} << 17, dtype="f8")
with cached_block("scaled"):
    scaled = made * 2
with cached_block("total"):
    total = float(scaled.sum() - made.sum())
with cached_block("kept"):
    kept = {{"again": scaled, "total": total}}
with cached_block("last"):
    last = len(kept["again"]), kept["total"]
grown = peak() - before
print(last)
with open("grown.txt", "w") as file:
    file.write(str(grown))
"""


def resident_bytes(path):
    """How much of a file is in memory."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as memory:
            view = np.frombuffer(memory, np.uint8)
            pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
            ctypes.CDLL(None).mincore(ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(size), pages)
            del view
            return sum(page & 1 for page in bytes(pages)) * mmap.PAGESIZE


def forget(path):
    """Put a file out of memory."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def large_blobs(project):
    return [p for p in (project.folder / ".blockcache/blobs").rglob("*") if p.is_file() and p.stat().st_size > MIB]


def test_a_chain_hits_without_reading_its_array(project):
    """Five blocks over an array that is not in memory: neither the page cache nor the process holds it afterwards."""
    project.write(main=CHAIN.format(mib=48))
    expected = project.run().stdout
    blobs = large_blobs(project)
    assert len(blobs) == 2
    for path in blobs:
        forget(path)
    if any(map(resident_bytes, blobs)):
        pytest.skip("this file system keeps files in memory")
    ran = project.run()
    assert ran.outcomes == ["hit"] * 5 and ran.stdout == expected
    assert sum(map(resident_bytes, blobs)) < MIB
    assert int((project.folder / "grown.txt").read_text()) < 16 * MIB


FRAME = """\
import numpy as np, pandas as pd
from blockcache import cached_block
with cached_block("made"):
    frame = pd.DataFrame(np.random.default_rng(1).random((1 << 20, 6)), columns=list("abcdef"))
with cached_block("last"):
    last = float(frame["c"].iloc[-1])
print(last)
"""


def test_the_columns_of_a_frame_are_read_once_on_a_machine(project):
    """They are parts of one blob: the first hit finds their digests out, later ones know them in any process."""
    project.write(main=FRAME)
    project.run()
    (path,) = large_blobs(project)
    assert project.run().outcomes == ["hit", "hit"]
    forget(path)
    if resident_bytes(path):
        pytest.skip("this file system keeps files in memory")
    assert project.run().outcomes == ["hit", "hit"]
    assert resident_bytes(path) < MIB


INSIDE = """\
import numpy as np
from blockcache import cached_block
with cached_block("outer"):
    with cached_block("inner"):
        made = np.arange(6 << 20, dtype="f8")
    other = 1
print(len(made), other)
"""


def test_a_restored_array_that_is_saved_again_is_neither_read_nor_written(project):
    """It is the blob that there is: the same file, which is not in memory afterwards."""
    project.write(main=INSIDE)
    project.run()
    (path,) = large_blobs(project)
    inode = path.stat().st_ino
    project.write(main=INSIDE.replace("other = 1", "other = 2"))
    forget(path)
    if resident_bytes(path):
        pytest.skip("this file system keeps files in memory")
    ran = project.run()
    assert ran.outcomes == ["hit", "miss"], ran.stderr
    assert large_blobs(project) == [path] and path.stat().st_ino == inode
    assert resident_bytes(path) < MIB
    assert project.run().outcomes == ["hit"]


#: How a program may change a restored array before the next block reads it.
WRITES = {
    "nothing": "",
    "an item": "made[70_000] = -1",
    "an item twice": "made[70_000] = -1; made[70_000] = 70_000",
    "in place": "made += 0",
    "sorted": "made[::-1].sort()",
    "a view": "made.reshape(2, -1)[1, 5] = 3",
    "another type": "made.view('u1')[9] = 1",
    "memoryview": "memoryview(made).cast('B')[77] = 200",
    "another name": "other = made[5:]; other[0] = 9",
}

WRITING = """\
with cached_block("made"):
    made = np.arange(400_000, dtype="f8")
{write}
with cached_block("total"):
    total = [float(made.sum()), made[:10].tolist(), float(made[70_000])]
print(total)
"""
IMPORTS = "import numpy as np\nfrom blockcache import cached_block\n"


def test_writes_between_two_blocks_are_inputs(project):
    """What the program does to a restored array counts as it does without a cache."""
    project.write(main=IMPORTS + WRITING.format(write=""))
    project.run()
    project.write(main=IMPORTS + "".join(WRITING.format(write=write) for write in WRITES.values()))
    expected = project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    assert len(set(expected.splitlines())) == len(WRITES) - 2  # two of them change nothing in the end
    first, second = project.run(), project.run()
    assert first.stdout == second.stdout == expected
    assert "hit" in first.outcomes and "miss" in first.outcomes
    assert set(second.outcomes) == {"hit"}


CHANGING = """\
with cached_block("made"):
    made = np.arange(400_000, dtype="f8")
for turn in range(3):
    with cached_block("changed"):
        {change}
    print(float(made.sum()), made[:3].tolist())
"""


def test_bodies_that_change_a_restored_array(project):
    """Before the body its digest is known, afterwards its pages tell that it was written: hits end as runs do."""
    changes = ["made += 1", "made[turn] = 5", "made[0] = made[0]", "made[::-1].sort()"]
    project.write(main=IMPORTS + "".join(CHANGING.format(change=change) for change in changes))
    expected = project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    for _ in range(3):
        ran = project.run()
        assert ran.stdout == expected, ran.stderr
    assert set(ran.outcomes) == {"hit"}


def test_a_blob_that_was_damaged_below_a_map(project):
    """Bytes that somebody writes into the store show through a map: the next block sees them as they are, and misses."""
    code = """
import glob, os, sys
if len(sys.argv) > 1:
    (path,) = [p for p in glob.glob(".blockcache/blobs/*/*") if os.path.getsize(p) > 1 << 20]
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(np.float64(-3).tobytes())
"""
    project.write(main=IMPORTS + WRITING.format(write=code))
    project.run()
    ran = project.run(arguments=["damage"])
    assert ran.outcomes == ["hit", "miss"] and "-3.0" in ran.stdout
    healed = project.run()
    assert healed.outcomes == ["miss", "hit"] and "-3.0" not in healed.stdout
