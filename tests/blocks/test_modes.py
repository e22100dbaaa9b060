"""Modes and settings, as a program and its user see them."""

from __future__ import annotations

import pytest

PROGRAM = """\
from blockcache import cached_block
x = {x}
with cached_block("work") as block:
    y = x * 2
print(y, block.hit)
"""


def test_off_is_as_if_it_were_not_there(project):
    """Nothing is looked up, saved or said, and what cannot be cached is not refused."""
    project.write(
        main="from blockcache import cached_block\ndef f():\n    with cached_block('b'):\n        return 1\nprint(f())"
    )
    ran = project.run(env={"BLOCKCACHE_MODE": "off"})
    assert ran.stdout == "1\n" and ran.stderr == "" and ran.events == []
    assert not (project.folder / ".blockcache").exists()


def test_refresh_runs_and_overwrites(project):
    project.write(main=PROGRAM.format(x=1))
    project.run()
    assert project.run(env={"BLOCKCACHE_MODE": "refresh"}).stdout == "2 False\n"
    assert project.run().stdout == "2 True\n"


def test_readonly_looks_up_and_never_saves(project):
    project.write(main=PROGRAM.format(x=1))
    project.run()
    before = sorted(p for p in (project.folder / ".blockcache").rglob("*"))
    assert project.run(env={"BLOCKCACHE_MODE": "readonly"}).stdout == "2 True\n"
    project.write(main=PROGRAM.format(x=2))
    for _ in range(2):
        assert project.run(env={"BLOCKCACHE_MODE": "readonly"}).stdout == "4 False\n"
    assert sorted(p for p in (project.folder / ".blockcache").rglob("*")) == before


def test_frozen_makes_a_miss_an_error_that_says_why(project):
    project.write(main=PROGRAM.format(x=1))
    project.run()
    assert project.run(env={"BLOCKCACHE_MODE": "frozen"}).stdout == "2 True\n"
    project.write(main=PROGRAM.format(x=2))
    ran = project.run(env={"BLOCKCACHE_MODE": "frozen"}, check=False)
    assert ran.code == 1 and ran.stdout == ""
    assert "FrozenMissError" in ran.stderr and "value x changed: 1 -> 2" in ran.stderr


@pytest.mark.parametrize("where", ["argument", "environment", "pyproject"])
def test_a_mode_from_each_place(project, where):
    """The same mode by argument, environment and pyproject.toml."""
    program = PROGRAM.format(x=1)
    env = {}
    if where == "argument":
        program = program.replace('"work"', '"work", mode="frozen"')
    elif where == "environment":
        env["BLOCKCACHE_MODE"] = "frozen"
    else:
        (project.folder / "pyproject.toml").write_text("[tool.blockcache]\nmode = 'frozen'\n")
    project.write(main=program)
    ran = project.run(env=env, check=False)
    assert ran.code == 1 and "FrozenMissError" in ran.stderr and "first run" in ran.stderr


def test_the_line_is_on_standard_error_and_quiet_silences_it(project):
    """Standard output is never touched; `quiet` leaves standard error alone too."""
    project.write(main=PROGRAM.format(x=1))
    loud = project.run()
    assert loud.stdout == "2 False\n"
    assert len(loud.stderr.splitlines()) == 1 and loud.stderr.startswith("work  miss  first run")
    quiet = project.run(env={"BLOCKCACHE_QUIET": "1"})
    assert quiet.stdout == "2 True\n" and quiet.stderr == ""


def test_a_wrong_setting_is_an_error_before_the_body(project):
    project.write(main=PROGRAM.format(x=1))
    ran = project.run(env={"BLOCKCACHE_MODE": "frosen"}, check=False)
    assert ran.code == 1 and "SettingError" in ran.stderr and "frosen" in ran.stderr and "BLOCKCACHE_MODE" in ran.stderr


def test_the_store_stands_beside_the_project(project):
    """The default store is beside pyproject.toml, marked as a cache and ignored by git; settings move it."""
    project.write_files({"sub/deep/main.py": PROGRAM.format(x=1)})
    project.run("sub/deep/main.py")
    store = project.folder / ".blockcache"
    assert (store / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert (store / ".gitignore").read_text() == "*\n"
    moved = project.folder.parent / "elsewhere"
    assert project.run("sub/deep/main.py", env={"BLOCKCACHE_STORE": str(moved)}).outcomes == ["miss"]
    assert (moved / "CACHEDIR.TAG").exists()


def test_explain_and_repr_tell_the_reason(project):
    """`block.explain()` names the difference; the card escapes what it shows."""
    text = PROGRAM.replace(
        "print(y, block.hit)", "print(block.explain())\nprint(block._repr_html_())\nprint(block._mime_()[0])"
    )
    project.write(main=text.format(x=1).replace('"work"', '"<work>"'))
    project.run()
    project.write(main=text.format(x=2).replace('"work"', '"<work>"'))
    said = project.run().stdout
    assert "value x changed: 1 -> 2" in said and "~ x" in said
    assert "&lt;work&gt;" in said and "<strong><work>" not in said and "text/html" in said


def test_strict_raises_trouble(project):
    project.write(main="from blockcache import cached_block\nwith cached_block('b'):\n    y = eval('1')\n")
    ran = project.run(env={"BLOCKCACHE_STRICT": "1"}, check=False)
    assert ran.code == 1 and "FingerprintError" in ran.stderr


@pytest.mark.parametrize("appended, outcome", [("1", "verified"), ("time.time_ns()", "differs")])
def test_verify_compares_what_changed_in_place(project, appended, outcome):
    """A list that grew by something else than the entry says is named; one that grew by the same is not."""
    project.write(
        main=f"import time\nfrom blockcache import cached_block\nrows, same = [], {{}}\n"
        f"with cached_block('b'):\n    rows.append({appended})\n    same['k'] = 1\nprint(len(rows))\n"
    )
    assert project.run().outcomes == ["miss"]
    ran = project.run(env={"BLOCKCACHE_MODE": "verify"})
    assert ran.outcomes == [outcome] and ran.stdout == "1\n"
    said = " ".join(ran.events[0]["differing"])
    assert ("rows" in said) == (outcome == "differs") and "same" not in said


def test_a_body_that_changes_the_folder_does_not_move_the_store(project):
    """A relative store is where the block began; what the run saves there, the next one finds."""
    project.write(
        main="import os\nfrom blockcache import cached_block\nos.makedirs('below', exist_ok=True)\n"
        "with cached_block('moves', store='cache'):\n    os.chdir('below')\n    x = 1\nprint(x, os.getcwd())\n"
    )
    cold, warm = project.run(), project.run()
    assert [cold.outcomes, warm.outcomes] == [["miss"], ["hit"]] and cold.stdout == warm.stdout
    assert (project.folder / "cache" / "entries").is_dir() and not (project.folder / "below" / "cache").exists()
