"""``compression="zstd"``: smaller entries, read with and without the setting; nothing else is different."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace

import pytest
import xxhash
import zstandard

from blockcache.memory import Memory
from blockcache.model import Blob, Key, Manifest, Provenance

PROGRAM = """\
import numpy as np
from blockcache import cached_block
class Row:
    def __init__(self, k):
        self.number, self.name, self.above = k, f"row {k}", None
with cached_block("work") as block:
    print("made")
    rows = [Row(k) for k in range(SIZE)]
    for one, other in zip(rows, rows[1:]):
        other.above = one
    facts = {"first": rows[0], "few": np.arange(50.0), "large": np.arange(200_000)}
facts["few"][3] = -1
facts["large"][-1] = 7
print(len(rows), rows[-1].name, rows[5].above is rows[4], facts["first"] is rows[0], type(rows[0]) is Row)
print(facts["few"].sum(), facts["large"].sum(), sum(row.number for row in rows))
"""
ZSTD = {"BLOCKCACHE_COMPRESSION": "zstd"}


@pytest.fixture
def program(project):
    project.write(main=PROGRAM.replace("SIZE", "3000"))
    return project


def files(project, family="blobs"):
    found = [p for p in (project.folder / ".blockcache" / family).rglob("*") if p.is_file()]
    return {str(p) if family == "entries" else p.name: p for p in found}


def rows(project):
    """Digest, size and coding of the blobs of the one entry."""
    (manifest,) = (p for p in files(project, "entries").values())
    return json.loads(manifest.read_bytes())["blobs"]


def test_an_entry_is_smaller_and_gives_the_same(program):
    """With the setting and without it, from any place that sets it; the array beside is as it was."""
    plain = program.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    program.run()
    before = rows(program)
    program.run(env=ZSTD | {"BLOCKCACHE_MODE": "refresh"})
    pack, large = rows(program)
    assert pack[2] == "zstd" and pack[1] < before[0][1] / 2 and large == before[1] and large[2] == ""
    assert files(program)[pack[0]].stat().st_size == pack[1]
    for setting in ({}, ZSTD):
        warm = program.run(env=setting)
        assert warm.outcomes == ["hit"] and warm.stdout == plain
        assert warm.events[0]["size_bytes"] == pack[1] + large[1]
    path = program.folder / "pyproject.toml"
    path.write_text(path.read_text() + '\n[tool.blockcache]\ncompression = "zstd"\nstore = "other"\n')
    assert program.run().outcomes == ["miss"]
    (other,) = (program.folder / "other" / "entries").rglob("*.json")
    assert json.loads(other.read_bytes())["blobs"] == [pack, large]


def test_the_setting_is_for_saving_only(program):
    """What is there answers and stays; a refresh makes it what the setting says, and the same blob each time."""
    program.run()
    assert program.run(env=ZSTD).outcomes == ["hit"] and rows(program)[0][2] == ""
    program.run(env=ZSTD | {"BLOCKCACHE_MODE": "refresh"})
    first = rows(program)
    inode = files(program)[first[0][0]].stat().st_ino
    program.run(env=ZSTD | {"BLOCKCACHE_MODE": "refresh"})
    assert rows(program) == first and files(program)[first[0][0]].stat().st_ino == inode
    program.run(env={"BLOCKCACHE_MODE": "refresh"})
    assert rows(program)[0][2] == "" and program.run(env=ZSTD).outcomes == ["hit"]


def test_two_blocks_with_equal_results_have_one_pack(project):
    """Equal streams are equal frames."""
    body = "    rows = [{'id': k, 'name': f'row {k}'} for k in range(5000)]\n"
    project.write(main=f"from blockcache import cached_block\nwith cached_block('a'):\n{body}print(len(rows))\n")
    project.run(env=ZSTD)
    project.write(
        main=f"from blockcache import cached_block\nstep = 1\nwith cached_block('b'):\n    step\n{body}print(len(rows))\n"
    )
    assert project.run(env=ZSTD).outcomes == ["miss"]
    packs = [json.loads(p.read_bytes())["blobs"] for p in files(project, "entries").values()]
    assert len(packs) == 2 and packs[0] == packs[1] and packs[0][0][2] == "zstd"


def test_arrays_are_left_to_be_mapped(project):
    """A pack that is more regions than stream, and columns of texts, are stored as they are."""
    project.write(
        main="import numpy as np\nfrom blockcache import cached_block\nwith cached_block('a'):\n"
        "    arrays = [np.zeros(4000 + k) for k in range(100)]\n    names = np.array([f'n{k}' for k in range(50_000)], object)\n"
        "print(len(arrays), names[-1])\n"
    )
    project.run(env=ZSTD)
    assert {row[2] for row in rows(project)} == {""}


@pytest.fixture
def without(tmp_path):
    """Settings of a machine where zstandard cannot be imported."""
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "zstandard.py").write_text("raise ImportError('not there')\n")
    return {"PYTHONPATH": str(tmp_path / "lacking")}


def test_without_zstandard_nothing_is_compressed_and_one_warning_says_so(project, without):
    """Two blocks, one warning with the way out; the results are kept as ever."""
    project.write(
        main=PROGRAM.replace("SIZE", "3000") + "with cached_block('more'):\n    more = list(range(100_000))\n"
    )
    cold = project.run(env=ZSTD | without)
    assert cold.outcomes == ["miss", "miss"] and all(event["saved"] for event in cold.events)
    assert cold.stderr.count("CacheWarning") == 1 and "pip install 'blockcache[zstd]'" in cold.stderr
    warm = project.run(env=ZSTD | without)
    assert warm.outcomes == ["hit", "hit"] and "CacheWarning" not in warm.stderr and warm.stdout == cold.stdout


def test_without_zstandard_a_compressed_entry_is_a_miss_that_says_what_to_install(program, without):
    """One line, no warning; the run's own entry takes its place. `status` foresees it."""
    cold = program.run(env=ZSTD)
    found = program.run(env=without | {"BLOCKCACHE_MODE": "readonly"})
    assert found.outcomes == ["miss"] and found.stdout == cold.stdout and "CacheWarning" not in found.stderr
    assert found.stderr.count("pip install 'blockcache[zstd]'") == 1 == len(found.stderr.splitlines())
    program.write(asks="from blockcache.cli import main\nmain(['status', 'main.py'])\n")
    told = program.run("asks.py", env=without, check=False).stdout
    assert "zstandard" in told and "zstandard" not in program.run("asks.py", check=False).stdout
    program.run(env=without)
    assert rows(program)[0][2] == "" and program.run(env=ZSTD).outcomes == ["hit"]


def test_bits_that_flip_below_a_seal_are_found(project):
    """A large compressed pack is not hashed on a hit; its checksum tells all the same, and the next run heals it."""
    project.write(
        main="import random\nfrom blockcache import cached_block\nrandom.seed(1)\nwith cached_block('work'):\n"
        "    rows = [{'id': k, 'name': f'row {random.randrange(10**6)}'} for k in range(200_000)]\nprint(hash(str(rows)))\n"
    )
    env = ZSTD | {"PYTHONHASHSEED": "0"}
    cold = project.run(env=env)
    ((digest, size, coding),) = rows(project)
    assert coding == "zstd" and size > 1 << 20, "it bears a seal that is believed"
    path, rng = files(project)[digest], random.Random(5)
    good = path.read_bytes()
    for at in (0, 5, 20, size // 2, size - 1, *(rng.randrange(size) for _ in range(3))):
        status = path.stat()
        path.chmod(0o644)
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        hurt = project.run(env=env)
        assert hurt.stdout == cold.stdout and (path.read_bytes() == good or hurt.outcomes == ["hit"]), at
        assert "Traceback" not in hurt.stderr and hurt.stderr.count("CacheWarning") == 0
        healed = project.run(env=env)
        assert healed.outcomes == ["hit"] and healed.stdout == cold.stdout
        path.unlink()
        path.write_bytes(good)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_manifest_with_another_blob_behind_it_is_a_miss(program):
    """A frame of somebody else's with a digest that is right: whatever it holds, the body's result stands."""
    cold = program.run(env=ZSTD)
    (path,) = files(program, "entries").values()
    manifest = Manifest.from_json(path.read_bytes())
    for content in (b"", b"x" * 100_000, bytes(100 << 20)):
        data = zstandard.ZstdCompressor(write_checksum=True).compress(content)
        digest = xxhash.xxh3_128_hexdigest(data)
        blob = program.folder / ".blockcache" / "blobs" / digest[:2] / digest
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(data)
        foreign = replace(manifest, blobs=(Blob(digest, len(data), "zstd"), *manifest.blobs[1:]))
        path.write_bytes(foreign.to_json())
        hurt = program.run(env=ZSTD)
        assert hurt.outcomes == ["miss"] and hurt.stdout == cold.stdout and "CacheWarning" not in hurt.stderr
        assert program.run().outcomes == ["hit"]


FUNCTION = """\
from blockcache import cached_function
@cached_function
def rows(n):
    return [{"id": k, "name": f"row {k}"} for k in range(n)]
for n in (5000, 5000, 100_000, 100_000):
    made = rows(n)
    made.append(0)
    print(len(made), made[-2])
"""


def test_a_function_hits_what_was_compressed_from_memory_too(project):
    """Few bytes are held as they were before they were compressed; many are read from the store."""
    project.write(main=FUNCTION)
    expected = [f"{n + 1} {{'id': {n - 1}, 'name': 'row {n - 1}'}}\n" for n in (5000, 5000, 100_000, 100_000)]
    cold, warm = project.run(env=ZSTD), project.run()
    assert cold.stdout == warm.stdout == "".join(expected)
    assert cold.outcomes == ["miss", "hit"] * 2 and warm.outcomes == ["hit"] * 4


def test_what_a_process_holds_counts_by_what_it_is_not_by_what_is_stored():
    """An entry of few stored bytes and much content is not held as bytes, and as objects within the limit only."""
    made = Provenance("2026-11-28T12:00:00+00:00", 1.5, "script", "main.py", 3, "3.12.1", "0.1.0", "here", "me")
    manifest = Manifest("n", Key.of([]), (), (), (Blob("0" * 32, 100, "zstd"),), made)
    memory = Memory(3 << 20)
    memory.keep("url", manifest, [[bytes(1 << 20), bytes(1 << 20)]], {}, {}, share=False)
    (held,) = memory.held("url", manifest.key.digest, share=False)
    assert held.blobs is None
    memory.keep("url", manifest, [[bytes(2 << 20)]], {}, {}, share=True)
    assert len(memory.held("url", manifest.key.digest, share=True)) == 2
    memory.keep("url", manifest, [[bytes(4 << 20)]], {}, {}, share=True)
    assert memory.held("url", manifest.key.digest, share=True) == []
