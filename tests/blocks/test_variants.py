"""Entries of one key that differ in what was seen while the body ran."""

from __future__ import annotations

HEAD = "from blockcache import cached_block\n"


def outcomes(project, n=1, env=None):
    return [project.run(env=env).outcomes[0] for _ in range(n)]


def test_each_content_of_a_file_has_its_entry(project):
    """Going back to an earlier content hits again, and the program prints that content's result."""
    project.write(main=HEAD + "with cached_block('b'):\n    r = open('a.txt').read()\nprint(r)\n")
    texts = ["one", "two", "three"]
    for text in texts:
        project.write_files({"a.txt": text})
        ran = project.run()
        assert (ran.outcomes, ran.stdout) == (["miss"], text + "\n")
    for text in (*reversed(texts), *texts):
        project.write_files({"a.txt": text})
        ran = project.run()
        assert (ran.outcomes, ran.stdout) == (["hit"], text + "\n")
    project.write_files({"a.txt": "four"})
    ran = project.run()
    assert ran.outcomes == ["miss"] and ran.events[0]["reason"].startswith("file a.txt changed")


def test_variants_may_look_at_different_things(project):
    """Which file is read may depend on another; each way has its entries."""
    project.write(main=HEAD + "with cached_block('b'):\n    r = open(open('which.txt').read()).read()\nprint(r)\n")
    seen = []
    for which, content in [("a", "1"), ("b", "2"), ("a", "1"), ("b", "2"), ("b", "3"), ("a", "1"), ("b", "2")]:
        project.write_files({"which.txt": which, which: content})
        ran = project.run()
        assert ran.stdout == content + "\n"
        seen += ran.outcomes
    assert seen == ["miss", "miss", "hit", "hit", "miss", "hit", "hit"]


def test_of_many_variants_the_right_one_is_found_without_listing_them(project):
    """A lookup reads as few manifests among 200 variants as among 2, and only a miss lists them all."""
    project.write(
        main=HEAD
        + """
import os
from blockcache import loading
from blockcache.stores.local import LocalStore

reads = []
get, listed = LocalStore.get, LocalStore.list
LocalStore.get = lambda self, name: reads.append(name) or get(self, name)
LocalStore.list = lambda self, name: reads.append("listed " + name) or listed(self, name)

def look(text):
    os.environ["WHICH"] = text
    reads.clear()
    with cached_block("b") as block:
        result = os.environ["WHICH"] * 2
    assert result == text * 2
    entries = [name for name in reads if name.startswith("entries/")]
    return block.hit, len(entries), any(name.startswith("listed entries/") for name in reads)

for k in range(200):
    look(str(k))
print([look(text) for text in ("7", "150", "199", "new")])
"""
    )
    for ran in (project.run(), project.run()):
        *hits, (hit, entries, _) = eval(ran.stdout)
        assert all(hit and count <= 3 and not all_of_them for hit, count, all_of_them in hits), hits
    assert hit and entries <= 3  # saved by the first run


def test_names_that_are_new_each_time_do_not_pile_up(project):
    """A lookup reads a bounded number of manifests, the ways that were used last are found, and a pinned one stays."""
    project.write(
        main=HEAD
        + """
import os
from blockcache import catalogue
from blockcache.stores.local import LocalStore

reads = []
get = LocalStore.get
LocalStore.get = lambda self, name: reads.append(name) or get(self, name)
store = LocalStore(".blockcache")

def look(way):
    os.environ["WHICH"], os.environ[f"NAME_{way}"] = str(way), "1"
    reads.clear()
    with cached_block("b") as block:
        result = os.environ["NAME_" + os.environ["WHICH"]] * 2
    assert result == "11"
    return block.hit, sum(name.startswith("entries/") for name in reads)

look(0)
(pinned,) = store.list("entries")
catalogue.pin(store, pinned)
looks = [look(way) for way in range(1, 150)]
last = [look(way)[0] for way in range(140, 150)]
kept = list(store.list("entries"))
print((looks, last, pinned in kept, len(kept)))
"""
    )
    looks, last, pinned, kept = eval(project.run().stdout)
    assert not any(hit for hit, _ in looks) and max(count for _, count in looks) <= 2 * 64 + 2
    assert last == [True] * 10 and pinned and 32 <= kept <= 66


def test_a_project_in_another_folder_hits(project, tmp_path):
    """Relative names count by what is in them: the same project somewhere else, with the same store, hits."""
    project.write(main=HEAD + "with cached_block('b'):\n    r = open('data/a.txt').read()\nprint(r)\n")
    project.write_files({"data/a.txt": "one"})
    store = {"BLOCKCACHE_STORE": str(tmp_path / "store")}
    assert outcomes(project, env=store) == ["miss"]
    moved = project.folder.rename(tmp_path / "elsewhere")
    project.folder = moved
    assert outcomes(project, env=store) == ["hit"]
    project.write_files({"data/a.txt": "two"})
    assert outcomes(project, env=store) == ["miss"]


def test_seeded_generators_go_on_as_after_a_run(project):
    """Draws after a skipped block are those after a run; another seed runs the body again and is named."""
    program = HEAD + (
        "import random\nrandom.seed({})\nwith cached_block('a'):\n    x = random.random()\n"
        "with cached_block('b'):\n    y = random.random()\nprint(x, y, random.random())\n"
    )
    project.write(main=program.format(1))
    plain = project.run(env={"BLOCKCACHE_MODE": "off"}).stdout
    for expected in (["miss", "miss"], ["hit", "hit"]):
        ran = project.run()
        assert ran.stdout == plain and ran.outcomes == expected, ran.stderr
    project.write(main=program.format(2))
    ran = project.run()
    assert ran.outcomes == ["miss", "miss"] and "random" in ran.events[0]["reason"]
    assert ran.stdout == project.run(env={"BLOCKCACHE_MODE": "off"}).stdout


def test_a_generator_that_nobody_seeded_does_not_keep_a_block_from_hitting(project):
    """Any draw is as good as another, and the first line says so."""
    project.write(main=HEAD + "import random\nwith cached_block('a'):\n    x = random.random()\nprint(x)\n")
    cold, warm = project.run(), project.run()
    assert warm.outcomes == ["hit"] and warm.stdout == cold.stdout
    assert "nobody has seeded" in cold.stderr
