"""What the arguments of a block do to its key and to a hit."""

from __future__ import annotations

import pytest

from blockcache import CacheError, cached_block

BLOCK = "from blockcache import cached_block\n"


def library(project, version: str, needs: str = "", name: str = "fakelib") -> dict[str, str]:
    """An installed library of that version; environment variables that make it importable."""
    site = project.folder / "site-packages"
    for old in site.glob(f"{name}-*"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = f"site-packages/{name}-{version}.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    project.write_files(
        {
            f"site-packages/{name}/__init__.py": f"__version__ = {version!r}\ndef f():\n    return __version__\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}\n",
            f"{info}/RECORD": f"{name}/__init__.py,,\n",
        }
    )
    return {"PYTHONPATH": str(site)}


def outcome(project, env=None):
    ran = project.run(env=env)
    return ran.outcomes[0], ran.events[0]["reason"], ran.stdout.strip()


@pytest.mark.parametrize(
    ("pin", "changes"),
    [
        ("...", {"1.2.3": "hit", "1.2.4": "miss", "1.3.0": "miss", "2.0.0": "miss"}),
        ("'exact'", {"1.2.4": "miss"}),
        ("'minor'", {"1.2.4": "hit", "1.3.0": "miss"}),
        ("'major'", {"1.3.0": "hit", "2.0.0": "miss"}),
        ("None", {"2.0.0": "hit"}),
        ("{'fakelib': 'minor'}", {"1.2.4": "hit", "1.3.0": "miss"}),
        ("{'other': None, '*': 'major'}", {"1.3.0": "hit", "2.0.0": "miss"}),
        ("{'other': None}", {"1.2.4": "miss"}),
    ],
)
def test_pin_says_how_exactly_versions_count(project, pin, changes):
    """Exactly by default, else to the minor or major version, or not at all; explain shows that it is so."""
    text = f"{BLOCK}import fakelib\nwith cached_block('b', pin={pin}) as block:\n    r = fakelib.f()\nprint(block.explain())\n"
    project.write(main=text)
    env = library(project, "1.2.3")
    assert outcome(project, env)[0] == "miss"
    for version, expected in changes.items():
        env = library(project, version)
        got, reason, told = outcome(project, env)
        assert got == expected, (version, reason)
        if expected == "miss":
            assert reason.startswith("fakelib 1.") and version.rpartition(".")[0] in reason, reason
            library(project, "1.2.3")
        elif pin not in ("...", "'exact'"):
            assert "version counts" in told, told


def test_what_a_library_needs_counts_too(project):
    """A new version of a library below the one that the block calls is named, and runs the body again."""
    project.write(main=f"{BLOCK}import fakelib\nwith cached_block('b'):\n    r = fakelib.f()\n")
    library(project, "1.0", name="below", needs="deepest>=1; python_version > '3'")
    library(project, "1.0", name="deepest")
    env = library(project, "1.0", needs="Below (>=0.5)")
    assert outcome(project, env)[0] == "miss"
    assert outcome(project, env)[0] == "hit"
    library(project, "1.1", name="deepest")
    got, reason, _ = outcome(project, env)
    assert got == "miss" and reason == "deepest 1.0 -> 1.1"


def test_ignored_names_and_types_do_not_count(project):
    """By name, by dotted name, by type, and by type inside of a value; explain says that they are ignored."""
    program = BLOCK + (
        "class Bar:\n    def __init__(self, n):\n        self.n = n\nclass Cfg:\n    pass\ncfg = Cfg()\n"
        "verbose, cfg.level, cfg.k, bar, held = {0}, {0}, 2, Bar({0}), [Bar({0}), 1]\n"
        "with cached_block('b', ignore=['verbose', 'cfg.level', Bar]) as block:\n"
        "    r = (verbose, cfg.level, bar, held, cfg.k)[-1]\nprint(r, 'ignored' in block.explain())\n"
    )
    project.write(main=program.format(1))
    assert outcome(project)[0] == "miss"
    project.write(main=program.format(5))
    assert outcome(project) == ("hit", "", "2 True")
    project.write(main=program.format(5).replace(", 2, Bar", ", 3, Bar"))
    assert outcome(project)[0] == "miss"


def test_version_makes_older_entries_unwanted(project):
    """A changed version misses and is named; going back hits again."""
    program = BLOCK + "with cached_block('b', version={}):\n    r = 1\n"
    seen = []
    for version in ("1", "1", "2", "'1'", "1"):
        project.write(main=program.format(version))
        seen.append(outcome(project)[:2])
    assert [o for o, _ in seen] == ["miss", "hit", "miss", "miss", "hit"]
    assert "1 -> 2" in seen[2][1]


def test_validate_decides_on_restored_values(project):
    """False is a miss, and so is an error; it sees the values before the program does."""
    program = BLOCK + "with cached_block('b', validate=lambda v: {}):\n    r = 5\nprint(r)\n"
    project.write(main=program.format("v['r'] == 5"))
    assert [outcome(project)[0] for _ in range(2)] == ["miss", "hit"]
    project.write(main=program.format("v['r'] > 5"))
    assert outcome(project) == ("miss", "validate() refused the entry", "5")
    project.write(main=program.format("v['nothing']"))
    got, reason, _ = outcome(project)
    assert got == "miss" and reason.startswith("validate() raised KeyError")


def test_ttl_ends_an_entry(project):
    """An entry older than its ttl misses; the next run finds the new one."""
    program = BLOCK + "with cached_block('b', ttl={}):\n    r = 5\n"
    project.write(main=program.format("'1h'"))
    assert [outcome(project)[0] for _ in range(2)] == ["miss", "hit"]
    project.write(main=program.format("1e-6"))
    got, reason, _ = outcome(project)
    assert got == "miss" and "ttl" in reason
    project.write(main=program.format("'1 h'"))
    assert outcome(project)[0] == "hit"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"pin": "patch"}, "pin='patch'"),
        ({"pin": {"numpy": 3}}, "'numpy': 3"),
        ({"ignore": [3]}, "ignore=3"),
        ({"version": [1]}, "version=[1]"),
        ({"version": True}, "version=True"),
        ({"validate": 3}, "validate=3"),
        ({"ttl": "soon"}, "soon"),
        ({"ttl": -1}, "-1"),
        ({"inputs": [3]}, "3"),
    ],
)
def test_a_wrong_argument_is_named_at_once(arguments, part):
    """When the block is made, not when it is entered."""
    with pytest.raises(CacheError) as caught:
        cached_block("b", **arguments)
    assert part in str(caught.value)


VERIFIED = BLOCK + (
    "import pathlib\nclass A:\n    def __init__(self, n):\n        self.n = n\n"
    "with cached_block('b') as block:\n    a = A(3)\n    r = {}\n    def f(x):\n        return x + {}\nprint(r, f(1), block.hit)\n"
)


def test_verify_runs_the_body_and_compares(project):
    """The same results are verified; another result is named, and the program gets what the body computed."""
    verify = {"BLOCKCACHE_MODE": "verify"}
    project.write(main=VERIFIED.format("[1, 2.5]", 1))
    project.run()
    ran = project.run(env=verify)
    assert ran.outcomes == ["verified"] and ran.stdout == "[1, 2.5] 2 False\n" and "verified" in ran.stderr
    project.write(main=VERIFIED.format("id(object())", 1))
    project.run()
    ran = project.run(env=verify)
    event = ran.events[0]
    assert event["outcome"] == "differs" and event["differing"][0].startswith("r "), event
    assert len(event["differing"]) == 1 and "differs" in ran.stderr


def test_verify_saves_what_it_has_not(project):
    """Without an entry, verify is a run like any other."""
    project.write(main=VERIFIED.format("1", 1))
    assert project.run(env={"BLOCKCACHE_MODE": "verify"}).outcomes == ["miss"]
    assert project.run().outcomes == ["hit"]


def test_verify_of_a_sample(project):
    """With a small share, most hits stay hits."""
    project.write(main=BLOCK + "for i in range(40):\n    with cached_block('b'):\n        r = i\n")
    project.run()
    assert set(project.run(env={"BLOCKCACHE_MODE": "verify"}).outcomes) == {"verified"}
    outcomes = project.run(env={"BLOCKCACHE_MODE": "verify", "BLOCKCACHE_SAMPLE": "20%"}).outcomes
    assert {"hit", "verified"} == set(outcomes)
