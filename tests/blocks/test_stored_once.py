"""The same bytes are stored once, within an entry and among entries."""

from __future__ import annotations

import sys

import pytest

FIRST = """\
import numpy as np, pandas as pd
from blockcache import cached_block
with cached_block("first"):
    x = np.arange(1_000_000.0)
    same = np.arange(1_000_000.0)
    df = pd.DataFrame(np.arange(1_200_000.0).reshape(300_000, 4), columns=list("abcd"))
"""
SECOND = """\
with cached_block("second"):
    view = x[100_000:]
    copy = x.copy()
    train, few = df.iloc[:240_000], df.iloc[280_000:]
print(view[0], copy[7], train["c"].sum(), few["d"].sum(), len(train), same[9])
df.loc[5, "c"] = x[100_000] = same[9] = -1
train.loc[6, "c"] = -2
print(view[0], copy[7], df.loc[5:6, "c"].tolist(), train.loc[5:6, "c"].tolist(), same[9], x[9])
"""


def large(project) -> int:
    blobs = (project.folder / ".blockcache" / "blobs").rglob("*")
    return sum(p.is_file() and p.stat().st_size > 1 << 20 for p in blobs)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="nothing is known of memory elsewhere")
def test_what_is_in_the_store_is_not_stored_again(project):
    """Equal arrays, a copy, a view, and most of a frame that came back from the store; each is its own again."""
    project.write(main=FIRST)
    project.run()
    assert large(project) == 2, "two arrays are equal, the frame is another blob"
    project.write(main=FIRST + SECOND)
    cold, warm = project.run(), project.run()
    assert [r.outcomes for r in (cold, warm)] == [["hit", "miss"], ["hit", "hit"]]
    assert cold.stdout == warm.stdout == project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    assert large(project) == 2, "what is less than a quarter of a blob stands in the pack: it would keep all of it"


def test_a_part_of_a_blob_that_was_written_to_is_saved_as_it_is(project):
    """Whatever else is in the blob's memory now."""
    project.write(main=FIRST)
    project.run()
    for where in (5, 299_999):
        project.write(main=f"{FIRST}df.loc[{where}, 'c'] = -1\n{SECOND}")
        plain = project.run(env={"BLOCKCACHE_MODE": "off"})
        runs = [project.run() for _ in range(2)]
        assert [r.outcomes for r in runs] == [["hit", "miss"], ["hit", "hit"]]
        assert plain.stdout == runs[0].stdout == runs[1].stdout
