"""Saves that are large enough for threads: several blobs are written at a time."""

from __future__ import annotations

import pytest

PROGRAM = """\
import numpy as np
from blockcache import cached_block
{before}
with cached_block("large"):
    arrays = [np.full(3_500_000 + k, k, "f8") for k in range(4)]
    same = arrays[2].copy()
print([(len(a), a.sum()) for a in [*arrays, same]])
"""


def blobs(project):
    return {p.name: p.stat().st_size for p in (project.folder / ".blockcache" / "blobs").rglob("*") if p.is_file()}


def test_blobs_that_threads_write_are_those_that_one_writes(project):
    project.write(main=PROGRAM.format(before=""))
    cold, warm = project.run(), project.run()
    assert [cold.outcomes, warm.outcomes] == [["miss"], ["hit"]] and cold.stdout == warm.stdout
    found = blobs(project)
    assert sorted(size for size in found.values() if size > 1 << 20) == [28_000_000 + 8 * k for k in range(4)]
    project.run(env={"BLOCKCACHE_STORE": "other"})
    project.write(main=PROGRAM.format(before="import blockcache.saving as s; s._MOST_WRITERS = 1"))
    project.run(env={"BLOCKCACHE_STORE": "other", "BLOCKCACHE_MODE": "refresh"})
    others = {p.name: p.stat().st_size for p in (project.folder / "other" / "blobs").rglob("*") if p.is_file()}
    assert found.items() <= others.items()


@pytest.mark.parametrize("limit", [20_000_000, 28_000_008])
def test_a_disk_that_takes_no_more_leaves_the_program_its_result(project, limit):
    """None of the blobs fits, or some do; either way no entry, nothing half written, and one warning."""
    before = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    project.write(main=PROGRAM.format(before=before))
    ran = project.run()
    assert ran.code == 0 and ran.stdout == project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    assert ran.stderr.count("CacheWarning") == 1 and "File too large" in ran.stderr
    store = project.folder / ".blockcache"
    assert not list((store / "entries").rglob("*.json")) and not list((store / ".tmp").glob("*"))


def test_where_no_thread_can_start_one_after_the_other_is_written(project):
    """A block in a function that runs when the interpreter ends."""
    program = PROGRAM.format(before="").replace("\n", "\n    ").replace("import", "    import", 1)
    project.write(main=f"import atexit\n@atexit.register\ndef last():\n{program}")
    cold, warm = project.run(), project.run()
    assert [cold.outcomes, warm.outcomes] == [["miss"], ["hit"]] and cold.stdout == warm.stdout
    assert "Traceback" not in cold.stderr
