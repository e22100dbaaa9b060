"""``pickle="never"``: typed forms are saved and loaded, and nothing of a store is unpickled."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import pytest
import xxhash

from blockcache.codec import Encoded, encode, lay_out
from blockcache.fingerprint.modules import is_library
from blockcache.model import Blob, Manifest

#: Makes unpickling impossible: any of it ends the process at once.
HOOK = """\
import os, sys
sys.addaudithook(lambda event, _: os._exit(33) if event == "pickle.find_class" else None)
"""

TYPED = """\
import datetime, random, warnings
import numpy as np, pandas as pd
from blockcache import cached_block
random.seed(3)
seen = []
rows = {"n": 0}
def helper(x):
    return x + 1
with cached_block("work"):
    import json, xml.dom.minidom
    print("loud")
    warnings.warn("careful")
    values = np.arange(5) * helper(1)
    view = values[1:3]
    frame = pd.DataFrame({"s": ["a", None], "d": pd.to_datetime(["2024-01-01", None])})
    facts = {"when": datetime.date(2024, 1, 2), "tags": {"x"}, "again": seen, "f": helper}
    seen.append(1)
    rows["n"] += 1
    draw = random.random()
values[1] = -7
print(view.tolist(), frame.to_dict("list"), facts["again"] is seen, facts["f"] is helper, seen, rows, random.random())
print(json.dumps(facts["tags"], default=sorted), xml.dom.minidom.__name__, facts["when"])
"""


@pytest.fixture
def never(project):
    def run(*arguments, **options):
        return project.run(*arguments, env={"BLOCKCACHE_PICKLE": "never", **options.pop("env", {})}, **options)

    return run


def test_a_hit_unpickles_nothing_and_is_as_ever(project, never):
    """Results, identity with upstream, changes in place, output, imports, draws: with unpickling made impossible."""
    project.write(main=HOOK + TYPED)
    plain = never(env={"BLOCKCACHE_MODE": "off"})
    cold, warm = never(), never()
    assert [r.outcomes for r in (cold, warm)] == [["miss"], ["hit"]]
    assert plain.stdout == cold.stdout == warm.stdout
    assert not re.search(
        rb'"pickle"\]', b"".join(p.read_bytes() for p in (project.folder / ".blockcache").rglob("*.json"))
    )


MIXED = """\
import sys
from blockcache import cached_block
with cached_block("work"):
    class Own: pass
    made = Own()
    text = "kept"
print(text)
if len(sys.argv) > 1:
    print(type(made).__name__)
"""


def test_values_without_a_typed_form_are_left_out_and_named(project, never):
    """As those that cannot be pickled are: a later run hits while nothing after the block reads them."""
    project.write(main=MIXED.split("if len")[0])
    assert never().outcomes == ["miss"]
    assert never().outcomes == ["hit"]
    project.write(main=MIXED)
    never()
    again = never()
    assert again.outcomes == ["miss"] and again.stdout == "kept\n"
    assert "no typed form" in again.events[0]["reason"]


def test_an_entry_that_is_a_pickle_is_a_miss_and_is_saved_again_where_it_can_be(project, never):
    """The line says why; what took its place answers in both settings."""
    project.write(
        main=HOOK
        + "from blockcache import cached_block\nwith cached_block('w'):\n x = [{'i': i} for i in range(3000)]\nprint(x[-1])\n"
    )
    assert project.run().outcomes == ["miss"]
    missed = never()
    assert missed.outcomes == ["miss"] and "pickle is 'never'" in missed.events[0]["reason"]
    assert never().outcomes == ["hit"] and project.run().outcomes == ["hit"]


@pytest.mark.parametrize("labelled", ["pickle", "json"])
def test_a_poisoned_entry_does_nothing(project, never, labelled):
    """Whatever its manifest says of it: not even its first opcode is read. Where pickle is allowed, it strikes."""
    project.write(main="from blockcache import cached_block\nwith cached_block('w'):\n x = 'good'\nprint(x)\n")
    project.run()
    (manifest,) = (project.folder / ".blockcache" / "entries").rglob("*.json")
    struck = project.folder / "struck"
    stream = pickle.dumps({"x": Strike(f"{str(struck)!r}")}, 5)
    pack = b"".join(lay_out(Encoded([stream], [], [], None)).pack_parts)
    digest = xxhash.xxh3_128_hexdigest(pack)
    blob = project.folder / ".blockcache" / "blobs" / digest[:2] / digest
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(pack)
    was = Manifest.from_json(manifest.read_bytes())
    outputs = tuple(replace(output, codec=labelled) for output in was.outputs)
    poisoned = replace(was, outputs=outputs, blobs=(Blob(digest, len(pack)),)).to_json()
    for run, strikes in ((never, False), (project.run, True)):
        manifest.chmod(0o644)
        manifest.write_bytes(poisoned)
        ran = run()
        assert struck.exists() == strikes
        assert strikes or ran.stdout == "good\n"


class Strike:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return eval, (f"open({self.path}, 'w').name",)


def test_encode_without_pickle_imports_no_pickler(project):
    """Neither a save nor a hit of typed values loads cloudpickle."""
    project.write(
        main="import sys\nfrom blockcache import cached_block\nwith cached_block('w'):\n x = {'a': [1, 2.5]}\n"
        "print('cloudpickle' in sys.modules)\n"
    )
    assert [project.run().stdout for _ in range(2)] == ["False\n"] * 2


def test_encoded_values_say_how_they_are_stored():
    encoded = encode({"a": 1}, label=lambda _: None, module_globals={}, is_library=is_library)
    assert encoded.codecs == {"a": "json"}
