"""Saving and restoring need the value's own size, and little more."""

from __future__ import annotations

import pytest

PROGRAM = """\
import resource, sys
import numpy as np, pandas as pd, pyarrow as pa
from blockcache import cached_block
import blockcache.block
TEXT = pd.ArrowDtype(pa.large_string())

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

with cached_block("warm"):  # loads what saving and restoring need
    warm = np.ones(200_000)
before = peak()
with cached_block("work") as block:
    {body}
{touch}
print(block.hit, peak() - before)
"""
MB = 1 << 20
SIZE = 256 * MB
BODIES = {
    "one array": "value = np.ones(SIZE // 8)",
    "many arrays": "value = [np.full(MB // 8, float(i)) for i in range(SIZE // MB)]",
    "small arrays": "value = [np.full(8 << 10, float(i)) for i in range(SIZE // (64 << 10))]",
    "bytes": "value = b'x' * SIZE",
    "text of pandas": "value = pd.Series(pd.array(['x' * MB], dtype=TEXT).repeat(SIZE // MB))",
}
TOUCHES = {
    "one array": "value += 1",
    "many arrays": "for one in value: one += 1",
    "small arrays": "for one in value: one += 1",
    "bytes": "value.count(b'y')",
    "text of pandas": "[len(text) for text in value]",
}


@pytest.mark.parametrize("what", BODIES)
def test_the_peak_is_the_value_and_64_mb(project, what):
    """256 MB in a fresh process, saved, and then restored and written to.

    ``bytes`` cannot lie in a map: they are copied from one, whose pages are the file's and go when memory is short.
    """
    text = PROGRAM.format(body=BODIES[what], touch=TOUCHES[what])
    project.write(main=text.replace("SIZE", str(SIZE)).replace("MB", str(MB)))
    for hit in ("False", "True"):
        found, more = project.run(started=True).stdout.split()
        mapped = SIZE if what == "bytes" and hit == "True" else 0
        assert found == hit and int(more) <= SIZE + mapped + 64 * MB, f"{int(more) / MB:.0f} MB more"


def test_compressing_a_stream_needs_no_second_one(project):
    """170 MB of texts that compress to a half: saving them takes no more memory than without, but for a few MiB."""
    body = "value = ['%0540x' % rng.getrandbits(2160) for _ in range(300_000)]"
    text = PROGRAM.format(body=body, touch="").replace("import resource, sys", "import random, resource, sys")
    project.write(main=text.replace("before =", "rng = random.Random(1)\nbefore ="))
    more = {}
    for setting in ("none", "zstd"):
        for hit in ("False", "True"):
            env = {"BLOCKCACHE_COMPRESSION": setting, "BLOCKCACHE_STORE": setting}
            found, peak = project.run(started=True, env=env).stdout.split()
            assert found == hit
            more[setting, hit] = int(peak)
    assert 2 * size_of(project, "zstd") < 1.3 * size_of(project, "none")
    for hit in ("False", "True"):
        assert more["zstd", hit] <= more["none", hit] + 32 * MB, more


def size_of(project, store):
    return sum(p.stat().st_size for p in (project.folder / store / "blobs").rglob("*") if p.is_file())
