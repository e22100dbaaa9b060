"""Saves that are large enough for threads: several blobs are written at a time."""

from __future__ import annotations

import pytest
import xxhash

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


def test_what_a_thread_changes_while_it_is_saved_is_not_kept_under_the_name_of_what_it_was(project):
    """A blob that is not what its name says would be served to every block with those values."""
    project.write(
        main="""\
import threading
import numpy as np
from blockcache import cached_block
done = False
def write(array):
    while not done:
        for i in range(0, len(array), 4096):
            array[i] += 1.0
with cached_block("torn"):
    arrays = [np.zeros(2_000_000) for _ in range(6)]
    small = np.zeros(5000)
    for array in (arrays[3], small):
        threading.Thread(target=write, args=(array,), daemon=True).start()
done = True
""",
        after="""\
import numpy as np
from blockcache import cached_block
with cached_block("clean"):
    zeros, few = np.zeros(2_000_000), np.zeros(5000)
print(zeros.sum(), few.sum())
""",
    )
    torn = project.run()
    assert torn.code == 0 and not torn.events[0]["saved"]
    assert "a thread changed the values while they were saved" in torn.stderr
    assert [project.run("after.py").stdout for _ in range(2)] == ["0.0 0.0\n"] * 2
    for path in (project.folder / ".blockcache" / "blobs").rglob("*"):
        assert not path.is_file() or xxhash.xxh3_128_hexdigest(path.read_bytes()) == path.name
