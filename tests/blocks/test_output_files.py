"""Declared output files: after a hit they are what the body would have left, and nothing else was touched."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import blockcache
from blockcache import outputs
from blockcache.errors import CacheError, CodecError
from blockcache.stores.local import LocalStore

_STAND_IN = """
class cached_block:
    def __init__(self, *args, **options): pass
    def __enter__(self): return self
    def __exit__(self, *args): return False
"""
_HEAD = "import os, shutil\nfrom pathlib import Path\nfrom blockcache import cached_block\n"


def tree(folder: Path) -> dict[str, tuple[str, bytes | str, int]]:
    """Everything below a folder but the store: kind, content, permissions."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith((".blockcache", "pyproject.toml", "main.py")):
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            found[name] = ("link", os.readlink(path), 0)
        elif path.is_dir():
            found[name] = ("folder", "", mode)
        else:
            found[name] = ("file", path.read_bytes(), mode)
    return found


def reset(folder: Path) -> None:
    """Leave nothing but the program and the store."""
    for path in folder.iterdir():
        if path.name not in (".blockcache", "pyproject.toml", "main.py"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture
def stand_in(tmp_path):
    folder = tmp_path / "stand-in"
    folder.mkdir()
    (folder / "blockcache.py").write_text(_STAND_IN)
    return folder


@pytest.fixture
def three(project, stand_in):
    """Run a program plain, cold and warm, each in a folder that is as ``before`` leaves it; the cold and the warm run."""

    def run(program, before=lambda folder: None, outcomes=("miss", "hit")):
        project.write(main=_HEAD + program)
        before(project.folder)
        printed = project.plain(stand_in)
        expected = tree(project.folder)
        runs = []
        for outcome in outcomes:
            reset(project.folder)
            before(project.folder)
            ran = project.run()
            assert tree(project.folder) == expected, outcome
            assert ran.stdout == printed
            assert ran.outcomes[-1] == outcome, ran.stderr
            runs.append(ran)
        return runs

    return run


PROGRAMS = {
    "a file": """
with cached_block("b", outputs=["a.txt"]):
    n = Path("a.txt").write_text("hello")
print(n)
""",
    "a file in folders that are not there": """
with cached_block("b", outputs="out/deep/a.txt"):
    os.makedirs("out/deep")
    Path("out/deep/a.txt").write_text("hello")
""",
    "a path object, absolute, inside the folder": """
with cached_block("b", outputs=[Path("a.bin").absolute()]):
    Path("a.bin").write_bytes(bytes(300_000))
""",
    "permissions": """
with cached_block("b", outputs=["run.sh", "secret"]):
    Path("run.sh").write_text("#!/bin/sh")
    os.chmod("run.sh", 0o755)
    os.makedirs("secret")
    Path("secret/key").write_text("k")
    os.chmod("secret/key", 0o400)
    os.chmod("secret", 0o500)
""",
    "a folder with empty folders and links": """
with cached_block("b", outputs=["out"]):
    os.makedirs("out/empty/emptier")
    Path("out/a").write_text("a")
    os.symlink("a", "out/link")
    os.symlink("../elsewhere", "out/leads nowhere")
    os.makedirs("out/deep/deeper")
    Path("out/deep/deeper/b c\\n").write_text("b")
    os.symlink("deep", "out/folder link")
""",
    "a glob": """
with cached_block("b", outputs=["runs/*.ckpt"]):
    os.makedirs("runs", exist_ok=True)
    for i in range(3):
        Path(f"runs/{i}.ckpt").write_text(str(i))
""",
    "a deep glob": """
with cached_block("b", outputs=["runs/**/*.png"]):
    os.makedirs("runs/a/b", exist_ok=True)
    Path("runs/a/b/x.png").write_text("x")
    Path("runs/y.png").write_text("y")
""",
    "a large file": """
with cached_block("b", outputs=["big"]):
    with open("big", "wb") as file:
        for i in range(40):
            file.write(bytes([i]) * 1_000_000)
""",
    "an empty file, and a replaced one": """
with cached_block("b", outputs=["out"]):
    os.makedirs("out", exist_ok=True)
    open("out/empty", "w").close()
    Path("out/draft").write_text("done")
    os.replace("out/draft", "out/done")
""",
    "the folder is changed in the block": """
with cached_block("b", outputs=["out/a"]):
    os.makedirs("out")
    os.chdir("out")
    Path("a").write_text("a")
    os.chdir("..")
""",
    "a program writes it": """
import subprocess
with cached_block("b", outputs=["a"]):
    subprocess.run("echo hello > a", shell=True, check=True)
""",
    "in a loop": """
for i in range(2):
    with cached_block("b", outputs=[f"{i}.txt"]):
        Path(f"{i}.txt").write_text(str(i) * 3)
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hit_leaves_the_files_of_a_run(three, name):
    _, warm = three(PROGRAMS[name])
    assert set(warm.outcomes) == {"hit"}


def _old(folder):
    (folder / "out").mkdir()
    (folder / "out/old").write_text("old")
    (folder / "out/sub").mkdir()
    (folder / "out/sub/older").write_text("older")


BEFORE = {
    "a file is removed": """
with cached_block("b", outputs=["out"]):
    os.remove("out/old")
    Path("out/new").write_text("new")
""",
    "a folder is removed": """
with cached_block("b", outputs=["out"]):
    shutil.rmtree("out/sub")
""",
    "all is removed and made anew": """
with cached_block("b", outputs=["out"]):
    shutil.rmtree("out", ignore_errors=True)
    os.makedirs("out")
    Path("out/new").write_text("new")
""",
    "a file is changed, another left alone": """
with cached_block("b", outputs=["out"]):
    Path("out/old").write_text("changed")
""",
    "a file is read, then written": """
with cached_block("b", outputs=["out/old"]):
    text = Path("out/old").read_text()
    Path("out/old").write_text(text * 2)
print(text)
""",
    "a file is appended to": """
with cached_block("b", outputs=["out/old"]):
    with open("out/old", "a") as file:
        file.write("more")
""",
    "a file is changed in the middle": """
with cached_block("b", outputs=["out/old"]):
    with open("out/old", "r+") as file:
        file.write("X")
""",
    "permissions of what was there": """
with cached_block("b", outputs=["out"]):
    os.chmod("out/old", 0o600)
    os.chmod("out/sub", 0o700)
""",
}


@pytest.mark.parametrize("name", BEFORE)
def test_what_was_there_before(three, name):
    three(BEFORE[name], before=_old)


def test_content_that_the_body_read_before_it_wrote_is_an_input(project):
    project.write(
        main=_HEAD
        + """
Path("n").touch()
with cached_block("b", outputs=["n"]):
    n = int(Path("n").read_text() or 0) + 1
    Path("n").write_text(str(n))
print(n)
"""
    )
    assert [project.run().stdout for _ in range(3)] == ["1\n", "2\n", "3\n"]
    (project.folder / "n").write_text("1")
    ran = project.run()
    assert (ran.stdout, ran.outcomes, (project.folder / "n").read_text()) == ("2\n", ["hit"], "2")


def test_that_an_output_was_not_there_is_an_input_when_the_body_asked(project):
    """The second run goes another way, as it would without a cache; then both are known."""
    project.write(
        main=_HEAD
        + """
with cached_block("b", outputs=["model"]):
    if os.path.exists("model"):
        way = "loaded " + Path("model").read_text()
    else:
        way = "trained"
        Path("model").write_text("m")
print(way)
"""
    )
    runs = [project.run() for _ in range(3)]
    assert [ran.stdout for ran in runs] == ["trained\n", "loaded m\n", "loaded m\n"]
    assert [ran.outcomes for ran in runs] == [["miss"], ["miss"], ["hit"]]
    (project.folder / "model").unlink()
    ran = project.run()
    assert (ran.stdout, ran.outcomes) == ("trained\n", ["hit"])
    assert (project.folder / "model").read_text() == "m"


def test_making_a_folder_where_there_may_be_one_does_not_miss(project):
    project.write(
        main=_HEAD
        + """
with cached_block("b", outputs=["out"]):
    if not os.path.exists("out"):
        os.makedirs("out")
    os.makedirs("out/a/b", exist_ok=True)
    Path("out/c").mkdir(parents=True, exist_ok=True)
    Path("out/x").write_text("x")
"""
    )
    assert [project.run().outcomes for _ in range(2)] == [["miss"], ["hit"]]


def test_a_file_that_is_right_is_not_touched(project):
    project.write(main=_HEAD + 'with cached_block("b", outputs=["a"]):\n    Path("a").write_text("a")\n')
    project.run()
    before = os.stat(project.folder / "a")
    assert project.run().outcomes == ["hit"]
    after = os.stat(project.folder / "a")
    assert (after.st_mtime_ns, after.st_ino, after.st_ctime_ns) == (
        before.st_mtime_ns,
        before.st_ino,
        before.st_ctime_ns,
    )


def test_a_changed_output_is_put_right_and_the_store_is_not_written_through_it(project):
    project.write(main=_HEAD + 'with cached_block("b", outputs=["a"]):\n    Path("a").write_bytes(b"a" * 200_000)\n')
    project.run()
    for _ in range(2):
        with open(project.folder / "a", "r+b") as file:
            file.write(b"b" * 200_000)
        assert project.run().outcomes == ["hit"]
        assert (project.folder / "a").read_bytes() == b"a" * 200_000


def test_what_others_have_in_the_folder_stays(project):
    """Two blocks write into one folder; each gives back its own, and a person's file is nobody's."""
    project.write(
        main=_HEAD
        + """
os.makedirs("figures", exist_ok=True)
with cached_block("one", outputs=["figures"]):
    Path("figures/1").write_text("one")
with cached_block("two", outputs=["figures/*"]):
    Path("figures/2").write_text("two")
"""
    )
    project.run()
    shutil.rmtree(project.folder / "figures")
    (project.folder / "figures").mkdir()
    (project.folder / "figures/mine").write_text("mine")
    assert project.run().outcomes == ["hit", "hit"]
    assert {name: found[1] for name, found in tree(project.folder).items()} == {
        "figures": "",
        "figures/1": b"one",
        "figures/2": b"two",
        "figures/mine": b"mine",
    }
    entries = _manifests(project)
    assert {name: [row[0] for row in m["files"]] for name, m in entries.items()} == {
        "one": ["figures/1"],
        "two": ["figures/2"],
    }


def test_a_place_that_the_body_left_alone_is_an_input(project):
    project.write(
        main=_HEAD
        + """
with cached_block("b", outputs=["report"]):
    n = 1
"""
    )
    (project.folder / "report").write_text("made by make")
    assert [project.run().outcomes for _ in range(2)] == [["miss"], ["hit"]]
    (project.folder / "report").write_text("another")
    assert project.run().outcomes == ["miss"]
    (project.folder / "report").unlink()
    ran = project.run()
    assert ran.outcomes == ["miss"] and "did not make the declared output report" in ran.stderr


@pytest.mark.parametrize("declared", ["a", "out", "*.csv", "out/**"])
def test_a_declared_output_that_is_not_there_keeps_the_run_from_being_saved(project, declared):
    project.write(main=_HEAD + f'with cached_block("b", outputs=[{declared!r}]):\n    n = 1\n')
    for _ in range(2):
        ran = project.run()
        assert ran.outcomes == ["miss"] and not ran.events[0]["saved"]
        assert f"the declared output {declared}" in ran.events[0]["problem"]


def test_an_edited_block_that_finds_its_earlier_output_hits_afterwards(project):
    """The code names the file, and that is no reason to count it: the body does not read it."""
    program = 'with cached_block("b", outputs=["a.txt", "out"]):\n    n = {}\n    os.makedirs("out", exist_ok=True)\n' \
        '    Path("a.txt").write_text(str(n))\n    Path("out", "b.txt").write_text(str(n))\n'  # fmt: skip
    for number in (1, 2):
        project.write(main=_HEAD + program.format(number))
        assert [project.run().outcomes for _ in range(2)] == [["miss"], ["hit"]]
        assert (project.folder / "out/b.txt").read_text() == str(number)


def test_another_declaration_misses(project):
    program = 'with cached_block("b", outputs=[{}]):\n    Path("a").write_text("a")\n    Path("b").write_text("b")\n'
    project.write(main=_HEAD + program.format("'a'"))
    project.run()
    project.write(main=_HEAD + program.format("'a', 'b'"))
    ran = project.run()
    assert ran.outcomes == ["miss"] and "outputs" in ran.events[0]["reason"]


@pytest.mark.parametrize(
    "given", ["", ".", "./", "/", "*", "**", "..", "../..", "a/../b", "/a/../b", b"a", 3, "a\0b", None]
)
def test_what_cannot_be_declared_is_refused_at_once(given):
    with pytest.raises(CacheError, match=r"outputs\[0\] is"):
        blockcache.cached_block("b", outputs=[given])


def test_outputs_takes_a_list_or_one_path():
    assert outputs.check("a//b/./c/") == ("a/b/c",)
    assert outputs.check(Path("../figures")) == ("../figures",)
    with pytest.raises(CacheError, match="takes a list"):
        blockcache.cached_block("b", outputs=3)


def test_a_place_around_the_program_is_refused(project):
    project.write(
        main=_HEAD
        + """
with cached_block("b", outputs=[os.path.dirname(os.getcwd())]):
    Path("a").write_text("a")
"""
    )
    ran = project.run()
    assert not ran.events[0]["saved"] and "where the program itself is" in ran.events[0]["problem"]


def test_a_place_outside_of_the_working_directory(project):
    """`../figures` is where the program says; the notebook is in a folder of its own."""
    (project.folder / "notebooks").mkdir()
    project.write_files(
        {
            "main.py": _HEAD
            + """
os.chdir("notebooks")
with cached_block("b", outputs=["../figures/a.png"]):
    os.makedirs("../figures", exist_ok=True)
    Path("../figures/a.png").write_text("a")
"""
        }
    )
    project.run()
    shutil.rmtree(project.folder / "figures")
    assert project.run().outcomes == ["hit"]
    assert (project.folder / "figures/a.png").read_text() == "a"


def _manifests(project):
    found = {}
    for path in (project.folder / ".blockcache/entries").rglob("*.json"):
        manifest = json.loads(path.read_text())
        found[manifest["name"]] = manifest
    return found


@pytest.mark.parametrize(
    "row", ["../evil", "/tmp/evil", "out/../../evil", "main.py", "outer/x", "", "out//x", "link/x"]
)
def test_an_entry_cannot_write_outside_of_the_declared_places(tmp_path, row):
    """Whoever shares a store may have made its entries."""
    (tmp_path / "out").mkdir()
    (tmp_path / "away").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path / "away")
    declared = outputs.Declared(("out",), str(tmp_path), str(tmp_path / "store"))
    name = f"out/{row}" if row == "link/x" else row
    with pytest.raises(CodecError):
        declared.target(name, "0" * 32)


def test_a_link_in_the_way_is_a_miss(project):
    project.write(main=_HEAD + 'with cached_block("b", outputs=["out"]):\n    os.makedirs("out", exist_ok=True)\n'
                  '    Path("out/a").write_text("a")\n')  # fmt: skip
    project.run()
    (project.folder / "precious").write_text("precious")
    (project.folder / "out/a").unlink()
    (project.folder / "out/a").symlink_to("../precious")
    ran = project.run()
    assert ran.outcomes == ["miss"] and "link is in the place of" in ran.events[0]["reason"]


def test_a_declared_link_is_written_through(project):
    """`data` leads to a larger disk: that is where the file goes, on a hit too."""
    (project.folder.parent / "disk").mkdir()
    (project.folder / "data").symlink_to("../disk")
    (project.folder / "latest").symlink_to("../disk/l")
    project.write(
        main=_HEAD
        + """
with cached_block("b", outputs=["data/a", "data/sub", "latest"]):
    Path("data/a").write_text("a")
    os.makedirs("data/sub")
    Path("data/sub/b").write_text("b")
    Path("latest").write_text("l")
"""
    )
    project.run()
    disk = project.folder.parent / "disk"
    expected = tree(disk)
    shutil.rmtree(disk)
    disk.mkdir()
    ran = project.run()
    assert ran.outcomes == ["hit"], ran.stderr
    assert tree(disk) == expected and (project.folder / "latest").is_symlink()


def test_a_link_that_the_body_makes_at_a_declared_place(three):
    three(
        """
with cached_block("b", outputs=["latest", "runs"]):
    os.makedirs("runs/3", exist_ok=True)
    Path("runs/3/x").write_text("x")
    if os.path.lexists("latest"):
        os.remove("latest")
    os.symlink("runs/3", "latest")
""",
        before=lambda folder: ((folder / "runs/2").mkdir(parents=True), (folder / "latest").symlink_to("runs/2")),
    )


def test_the_store_is_never_an_output(project):
    """Nor is the folder around it, which is there before the body: it has the lease of who runs that."""
    project.write(
        main=_HEAD
        + """
with cached_block("b", outputs=["out"], store="out/cache"):
    os.makedirs("out", exist_ok=True)
    Path("out/a").write_text("a")
"""
    )
    project.run()
    (project.folder / "out/a").unlink()
    assert project.run().outcomes == ["hit"]
    rows = json.loads(next((project.folder / "out/cache/entries").rglob("*.json")).read_text())["files"]
    assert [row[0] for row in rows] == ["out/a"]


def test_an_inner_block_that_hits_has_written_for_the_outer_one(project):
    program = """
with cached_block("outer", outputs=["out"]):
    with cached_block("inner", outputs=["out/a"]):
        os.makedirs("out", exist_ok=True)
        Path("out/a").write_text("a")
    b = {}
    Path("out/b").write_text("b")
"""
    project.write(main=_HEAD + program.format(1))
    project.run()
    project.write(main=_HEAD + program.format(2))
    assert project.run().outcomes == ["hit", "miss"]
    shutil.rmtree(project.folder / "out")
    ran = project.run()
    assert ran.outcomes == ["hit"], ran.stderr
    assert {"out/a", "out/b"} <= tree(project.folder).keys()


# -- trouble -------------------------------------------------------------------------------


_TWO = """
with cached_block("b", outputs=["out"]):
    os.makedirs("out", exist_ok=True)
    Path("out/1").write_bytes(b"1" * 100_000)
    Path("out/2").write_bytes(b"2" * 2_000_000)
print("done")
"""


@pytest.mark.parametrize("damage", ["missing", "wrong", "short"])
def test_without_a_blob_it_is_a_miss_and_nothing_is_half_put_back(project, damage):
    project.write(main=_HEAD + _TWO)
    project.run()
    digest = next(row[1] for row in _manifests(project)["b"]["files"] if row[0] == "out/2")
    blob = project.folder / f".blockcache/blobs/{digest[:2]}/{digest}"
    blob.chmod(0o644)
    if damage == "missing":
        blob.unlink()
    else:
        blob.write_bytes(b"3" * (2_000_000 if damage == "wrong" else 10))
    shutil.rmtree(project.folder / "out")
    ran = project.run(env={"BLOCKCACHE_MODE": "frozen"}, check=False)
    assert ran.code and "cannot be put back" in ran.stderr
    assert not (project.folder / "out").exists()
    assert project.run().outcomes == ["miss"]  # and heals the store
    shutil.rmtree(project.folder / "out")
    assert project.run().outcomes == ["hit"]
    assert (project.folder / "out/2").read_bytes() == b"2" * 2_000_000


_AS_NOBODY = (
    "import os\nos.setgroups([]) if os.geteuid() == 0 else None\nos.setuid(65534) if os.geteuid() == 0 else None\n"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to become another user")
@pytest.mark.parametrize("closed", ["out", "."])
def test_a_place_that_cannot_be_written_is_a_miss(project, closed):
    """Found before the skip: the body runs, and its own error is the program's."""
    project.write(main=_HEAD + _TWO)
    project.run()
    shutil.rmtree(project.folder / "out")
    if closed == "out":
        (project.folder / "out").mkdir(mode=0o755)
    before = tree(project.folder)
    for path in (project.folder, *project.folder.parents):
        if path.stat().st_uid == 0 and path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o755)
    project.write(main=_AS_NOBODY + _HEAD + _TWO)
    ran = project.run(env={"XDG_CACHE_HOME": "/nonexistent", "BLOCKCACHE_LOG": ""}, check=False)
    assert "PermissionError" in ran.stderr and "cannot be put back" in ran.stderr
    assert tree(project.folder) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount")
def test_a_full_disk_is_a_miss(project):
    """Files that do not fit are found out before the skip, and what was written of them is gone again."""
    small = project.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("cannot mount")
    try:
        project.write(main=_HEAD + _TWO.replace('"out', '"small/out'))
        project.run()
        shutil.rmtree(small / "out")
        (small / "ballast").write_bytes(bytes(7_500_000))
        ran = project.run(check=False)
        assert "cannot be put back: [Errno 28]" in ran.stderr and "OSError" in ran.stderr  # the body met it too
        (small / "ballast").unlink()
        shutil.rmtree(small / "out")
        assert project.run().outcomes == ["hit"]
        assert (small / "out/2").stat().st_size == 2_000_000
    finally:
        subprocess.run(["umount", small], check=True)


def test_verify_compares_files(project):
    project.write(
        main=_HEAD
        + """
with cached_block("b", outputs=["a"]):
    Path("a").write_text(os.urandom(8).hex())
"""
    )
    project.run()
    ran = project.run(env={"BLOCKCACHE_MODE": "verify"})
    assert ran.outcomes == ["differs"] and "the output a is not" in ran.events[0]["differing"][0]


# -- what was not declared -----------------------------------------------------------------


def test_a_file_that_was_not_declared_is_named_in_one_warning(project):
    project.write(
        main=_HEAD
        + """
import sys, tempfile
for i in range(2):
    with cached_block("b", outputs=["declared"]):
        Path("declared").write_text("a")
        Path("x.csv").write_text("a")
        Path("gone").write_text("a")
        os.remove("gone")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("t")
        open(os.devnull, "w").write("x")
        os.makedirs("lib/__pycache__", exist_ok=True)
        Path("lib/__pycache__/m.pyc").write_text("c")
"""
    )
    ran = project.run()
    assert ran.stderr.count("CacheWarning") == 1 and "it writes x.csv, which" in ran.stderr
    assert _manifests(project)["b"]["untracked"] == [["writes x.csv"]]
    assert "not tracked" not in ran.stderr
    # Another process with another version of the block: it was said.
    text = (project.folder / "main.py").read_text()
    project.write(main=text.replace('"declared").write_text("a")', '"declared").write_text("b")'))
    ran = project.run()
    assert ran.outcomes == ["miss", "hit"] and "CacheWarning" not in ran.stderr


# -- the command line ----------------------------------------------------------------------


def test_the_command_line_counts_and_lists_files(project):
    project.write(main=_HEAD + _TWO)
    project.run()
    env = {**os.environ, "PYTHONPATH": str(Path(blockcache.__file__).parent.parent)}

    def command(*words):
        done = subprocess.run(
            [sys.executable, "-c", "from blockcache.cli import main; main()", *words],
            cwd=project.folder,
            env=env,
            capture_output=True,
            text=True,
        )
        assert not done.returncode, done.stderr
        return done.stdout

    text = command("show", "b")
    assert "out/1  100 kB, 644" in text and "out/2  2.0 MB, 644" in text
    facts = json.loads(command("show", "b", "--json"))
    assert facts["size_bytes"] > 2_100_000 and [f["path"] for f in facts["files"]] == ["out", "out/1", "out/2"]
    assert json.loads(command("stats", "--json"))["orphans"] == 0
    command("rm", "b")
    assert not list((project.folder / ".blockcache/blobs").rglob("*?"))


# -- any tree ------------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b", "c", ".d", "e f"])
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "mkdir", "remove", "rmtree", "link", "chmod", "rename"]),
        st.lists(_NAMES, min_size=1, max_size=3).map("/".join),
        st.lists(_NAMES, min_size=1, max_size=2).map("/".join),
        st.sampled_from([0o600, 0o644, 0o755]),
    ),
    max_size=12,
)


def _act(root: Path, steps) -> None:
    """Do what can be done of some steps below a folder."""
    for what, name, other, mode in steps:
        path = root / name
        try:
            if any((root / part).is_symlink() for part in Path(name).parents):
                continue
            if what == "write":
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.is_symlink():
                    path.write_bytes(other.encode() * mode)
            elif what == "mkdir":
                path.mkdir(parents=True)
            elif what == "remove":
                path.unlink()
            elif what == "rmtree":
                shutil.rmtree(path)
            elif what == "link":
                path.symlink_to(other)
            elif what == "chmod" and not path.is_symlink():
                path.chmod(mode | (0o100 if path.is_dir() else 0))
            elif what == "rename":
                path.rename(root / other)
        except OSError:
            continue


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=_STEPS, body=_STEPS, damage=st.lists(_NAMES, max_size=3))
def test_any_tree_is_put_back(tmp_path_factory, before, body, damage):
    """From the state that the run found, a hit leaves the very tree that the run left; and so from its own result."""
    root = tmp_path_factory.mktemp("any")
    folder, store = root / "folder", LocalStore(root / "store")
    place = folder / "place"

    def start():
        shutil.rmtree(folder, ignore_errors=True)
        place.mkdir(parents=True)
        _act(place, before)

    start()
    declared = outputs.Declared(("place",), str(folder), store.url)
    declared.begin()
    _act(place, body)
    expected = tree(folder)
    found = outputs.made(declared, None)
    outputs.put(store, found)

    def hit():
        declared = outputs.Declared(("place",), str(folder), store.url)
        outputs.stage(declared, found.rows, store, lambda blob: None, None).apply()

    hit()
    assert tree(folder) == expected
    start()
    try:
        hit()
    except CodecError as error:  # something else is in the place of a file: that is a miss
        assert "in the place of" in str(error)
        return
    assert tree(folder) == expected
    for name in damage:
        path = place / name
        if path.is_file() and not path.is_symlink() and any(row.path == f"place/{name}" for row in found.rows):
            path.write_bytes(b"damaged")
    hit()
    assert tree(folder) == expected
