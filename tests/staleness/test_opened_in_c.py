"""Files that a library in C opens and nobody names: each program runs, its data are edited, and it runs again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from blockcache.discovered import kernel

netcdf = pytest.importorskip("netCDF4")


pytestmark = pytest.mark.skipif(not kernel.tells(os.getcwd()), reason="the kernel does not tell which files are opened")


def scan(folder: Path, value: int) -> None:
    """A netCDF file."""
    (folder / "data").mkdir(exist_ok=True)
    with netcdf.Dataset(folder / "data/7.nc", "w") as made:
        made.createDimension("x", 1)
        made.createVariable("v", "f8", ("x",))[:] = [value]


def linked(folder: Path, value: int) -> None:
    """An HDF5 file whose values stand in another one, by a link and by a virtual dataset."""
    (folder / "data/parts").mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "data/parts/part.h5", "w") as made:
        made["v"] = [float(value)]
    if not (folder / "data/7.nc").exists():
        layout = h5py.VirtualLayout(shape=(1,), dtype="f8")
        layout[:] = h5py.VirtualSource("parts/part.h5", "v", shape=(1,))
        with h5py.File(folder / "data/7.nc", "w") as made:
            made["v"] = h5py.ExternalLink("parts/part.h5", "v")
            made.create_virtual_dataset("w", layout)


# The name is put together while the body runs, and handed on inside an object of the program's own.
NAMED = """
class Name:
    def __init__(self, n): self.n = n
    def __str__(self): return "".join(["da", "ta"]) + f"/{self.n}.nc"
"""
NETCDF = "import netCDF4\ndef get(name): return float(netCDF4.Dataset(str(name))['v'][0])\n"
EXTERNAL = "import h5py\ndef get(name): return float(h5py.File(str(name))['v'][0])\n"
VIRTUAL = "import h5py\ndef get(name): return float(h5py.File(str(name))['w'][0])\n"
BLOCK = """
with cached_block(name="a"):
    r = get(Name(7))
"""
FUNCTION = """
from blockcache import cached_function
@cached_function
def work(n): return get(Name(n))
r = work(7)
"""
NESTED = """
with cached_block(name="a"):
    with cached_block(name="b"):
        q = get(Name(7))
    r = q
"""
INSIDE_READS_ONLY = """
with cached_block(name="a"):
    with cached_block(name="b", mode="readonly"):
        q = get(Name(7))
    r = q
"""
THREAD = """
import threading
with cached_block(name="a"):
    found = []
    t = threading.Thread(target=lambda: found.append(get(Name(7))))
    t.start(); t.join()
    del t
    r = found[0]
"""
READERS = {"netCDF4": (scan, NETCDF), "link": (linked, EXTERNAL), "virtual": (linked, VIRTUAL)}
WAYS = {
    "block": BLOCK,
    "function": FUNCTION,
    "nested": NESTED,
    "inside reads only": INSIDE_READS_ONLY,
    "thread": THREAD,
}


@pytest.mark.parametrize(
    ("reader", "way"), [*((reader, "block") for reader in READERS), *(("netCDF4", way) for way in list(WAYS)[1:])]
)
def test_what_nobody_names_is_read_again_when_it_changes(project, reader: str, way: str) -> None:
    """An unchanged file hits, an edited one is read again."""
    make: Callable[[Path, int], None]
    make, code = READERS[reader]
    project.write(main="from blockcache import cached_block\n" + NAMED + code + WAYS[way] + "print(r)\n")
    make(project.folder, 1)
    assert project.run().stdout == "1.0\n"
    again = project.run()
    assert again.stdout == "1.0\n" and again.outcomes[-1] == "hit", again.stderr
    make(project.folder, 2)
    edited = project.run()
    assert edited.stdout == "2.0\n", edited.stderr


def test_a_hit_inside_tells_the_block_around_it(project) -> None:
    """A file that only a block inside has read, which hits, counts for the block around it."""
    nested = NESTED.replace("r = q", "r = q + VALUE")
    project.write(main="from blockcache import cached_block\nVALUE = 0\n" + NAMED + NETCDF + nested + "print(r)\n")
    scan(project.folder, 1)
    assert project.run().outcomes == ["miss", "miss"]
    project.write(main="from blockcache import cached_block\nVALUE = 10\n" + NAMED + NETCDF + nested + "print(r)\n")
    ran = project.run()
    assert ran.outcomes == ["hit", "miss"] and ran.stdout == "11.0\n", ran.stderr
    scan(project.folder, 2)
    assert project.run().stdout == "12.0\n"
