"""Files by content: what changes a digest and what does not, and when a file is read again."""

from __future__ import annotations

import glob
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from blockcache import files
from blockcache.errors import FingerprintError

LARGE = 200_000  # bytes: large enough for a record on disk

_opened: list[str] = []
_is_counting = False


def _hook(event, arguments):
    if _is_counting and event == "open" and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(_hook)


def opens_of(path, call):
    """How many times ``call`` opens ``path``, and what it returns."""
    global _is_counting
    _opened.clear()
    _is_counting = True
    try:
        result = call()
    finally:
        _is_counting = False
    return _opened.count(str(path)), result


def new_process():
    """Forget what only this process knows."""
    files._known.clear()


@pytest.fixture(autouse=True)
def _as_in_a_new_process():
    new_process()


def settle(*paths):
    """Wait until the stats of ``paths`` are old enough to be believed."""
    for path in paths:
        while not files.trusted(files.stat_of(str(path)), time.time_ns()):
            time.sleep(0.05)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A folder of files whose stats can be believed; each test has its own."""
    folder = tmp_path_factory.mktemp("old")
    names = ("twice", "disk", "rewritten", "replaced", "damaged", "blocked", "host", "small")
    for name in names:
        (folder / name).write_bytes(name.encode() * (LARGE // len(name)))
    (folder / "small").write_bytes(b"s" * 100)
    with open(folder / "huge", "wb") as file:
        file.truncate(100_000_000)
    settle(*(folder / name for name in (*names, "huge")))
    return folder


def tree(folder: Path) -> Path:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "a.csv").write_text("a")
    (folder / "sub" / "b.csv").write_text("b")
    (folder / "sub" / "deep" / "c.csv").write_text("c")
    (folder / ".hidden").write_text("h")
    os.symlink("a.csv", folder / "link")
    return folder


# ---- what counts ----


def test_the_content_of_a_file_counts_and_nothing_else(tmp_path):
    """Another mtime, mode or name: the same. Another byte: another."""
    path, other = tmp_path / "a.csv", tmp_path / "other.csv"
    path.write_text("1,2")
    before = files.digest(str(path))
    os.utime(path, (1, 1))
    path.chmod(0o600)
    assert files.digest(str(path)) == before
    shutil.copy(path, other)
    assert files.digest(str(other)) == before
    path.write_text("1,3")
    assert files.digest(str(path)) != before


def test_a_folder_that_moved_is_the_same(tmp_path):
    """Neither the place nor the order in which files were made is in a directory's digest."""
    here = tree(tmp_path / "here")
    there = tmp_path / "far" / "there"
    there.mkdir(parents=True)
    for name in ("link", ".hidden", "a.csv"):
        shutil.copy(here / name, there / name, follow_symlinks=False)
    shutil.copytree(here / "sub", there / "sub")
    assert files.content(str(here)) == files.content(str(there))
    assert files.content(str(here))[1:] == (5, 5)


def _link_elsewhere(folder):
    (folder / "link").unlink()
    os.symlink("sub/b.csv", folder / "link")


EDITS = {
    "renamed": lambda d: (d / "a.csv").rename(d / "z.csv"),
    "renamed below": lambda d: (d / "sub" / "b.csv").rename(d / "sub" / "y.csv"),
    "added": lambda d: (d / "new").write_text(""),
    "folder added": lambda d: (d / "empty").mkdir(),
    "emptied": lambda d: (d / "sub" / "deep" / "c.csv").write_text(""),
    "removed": lambda d: (d / ".hidden").unlink(),
    "link changed": _link_elsewhere,
    "link broken": lambda d: ((d / "link").unlink(), os.symlink("nowhere", d / "link")),
    "swapped": lambda d: ((d / "a.csv").write_text("b"), (d / "sub" / "b.csv").write_text("a")),
    "file became folder": lambda d: ((d / ".hidden").unlink(), (d / ".hidden").mkdir()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_every_change_in_a_directory_counts(tmp_path, edit):
    """Names, contents and links, at any depth."""
    folder = tree(tmp_path / "data")
    before = files.digest(str(folder))
    EDITS[edit](folder)
    assert files.digest(str(folder)) != before


def test_names_cannot_run_into_contents(tmp_path):
    """Directories whose names and contents concatenate to the same text differ."""
    for name, inner, text in (("x", "ab", "c"), ("y", "a", "bc")):
        (tmp_path / name).mkdir()
        (tmp_path / name / inner).write_text(text)
    assert files.digest(str(tmp_path / "x")) != files.digest(str(tmp_path / "y"))


def test_links_that_go_round_end(tmp_path):
    """A link to a folder that it is in is no endless directory, and the directory can still move."""
    digests = []
    for name in ("one", "two"):
        folder = tree(tmp_path / name)
        os.symlink("..", folder / "sub" / "up")
        os.symlink(".", folder / "sub" / "here")
        os.symlink("here", folder / "sub" / "again")
        digests.append(
            (files.digest(str(folder)), files.matching(str(folder), "**"), files.listing(str(folder), "**/*"))
        )
    assert digests[0] == digests[1]


def test_what_a_store_of_ours_holds_is_not_in_a_directory(tmp_path):
    """A block that declares the folder its store is in can hit."""
    folder = tree(tmp_path / "data")

    def look():
        return [
            files.digest(str(folder)),
            files.matching(str(folder), "**"),
            files.listing(str(folder)),
            files.listing(str(folder), "**/*"),
        ]

    before = look()
    (folder / ".blockcache" / "sub").mkdir(parents=True)
    (folder / ".blockcache" / "sub" / "blob").write_text("x")
    assert look() == before


@pytest.mark.parametrize("name", ["nothing", "dangling", "loop", "a_file/below", "null\0byte", "n" * 300])
def test_nothing_there(tmp_path, name):
    """What open() would not find is absent, whatever the reason."""
    (tmp_path / "a_file").write_text("x")
    os.symlink("nowhere", tmp_path / "dangling")
    os.symlink("loop", tmp_path / "loop")
    path = str(tmp_path / name)
    assert files.digest(path) == "absent"
    assert files.stat_of(path) is None


def test_a_directory_in_a_files_place_is_another_input(tmp_path):
    """File, empty directory and nothing are three things."""
    path = tmp_path / "data"
    seen = {files.digest(str(path))}
    path.write_text("")
    seen.add(files.digest(str(path)))
    path.unlink()
    path.mkdir()
    seen.add(files.digest(str(path)))
    assert len(seen) == 3


def test_what_cannot_be_read_is_named(tmp_path):
    """A file whose bytes the system refuses is an error with its path, never a digest."""
    with pytest.raises(FingerprintError, match="/proc/self/mem cannot be read: .*Make it readable") as caught:
        files.digest("/proc/self/mem")
    assert caught.value.path == "/proc/self/mem"


def test_a_pipe_is_not_waited_for(tmp_path):
    """Declared itself it is refused; in a directory its name counts."""
    folder = tree(tmp_path / "data")
    before = files.digest(str(folder))
    os.mkfifo(folder / "pipe")
    with pytest.raises(FingerprintError, match="is not a file or directory but a pipe"):
        files.digest(str(folder / "pipe"))
    assert files.digest(str(folder)) != before
    assert files.matching(str(folder), "*").files == files.matching(str(folder), "*[!e]").files


def test_names_that_are_no_text(tmp_path):
    """Names of any bytes can be declared and told apart."""
    raw = os.fsencode(tmp_path)
    for name in (b"\xff.csv", b"\xfe.csv"):
        with open(raw + b"/" + name, "wb") as file:
            file.write(b"x")
    path = os.fsdecode(raw + b"/\xff.csv")
    assert files.digest(path) == files.digest(os.fsdecode(raw + b"/\xfe.csv")) != "absent"
    both, found, names = (
        files.digest(str(tmp_path)),
        files.matching(str(tmp_path), "*.csv"),
        files.listing(str(tmp_path)),
    )
    assert found.files == 2
    os.rename(raw + b"/\xff.csv", raw + b"/\xfd.csv")
    assert files.digest(str(tmp_path)) != both
    assert files.matching(str(tmp_path), "*.csv") != found
    assert files.listing(str(tmp_path)) != names


def test_the_order_in_which_a_system_lists_does_not_count():
    """File systems list in any order, and in another one after a copy."""
    rows = {b"b": "1", b"a": "2", b"\xff": "3"}
    assert files._of_rows(rows) == files._of_rows(dict(reversed(rows.items())))
    assert files._of_rows(rows) != files._of_rows({**rows, b"a": "1", b"b": "2"})


# ---- globs and listings ----


def test_globs_find_what_glob_finds(tmp_path):
    """Every pattern matches the names that the standard library's glob matches, which the body would use."""
    folder = tree(tmp_path / "data")
    (folder / "[1].csv").write_text("1")
    (folder / "sub" / ".secret").mkdir()
    (folder / "sub" / ".secret" / "d.csv").write_text("d")
    patterns = (
        "*",
        "*.csv",
        "**",
        "**/*",
        "**/*.csv",
        "sub/**",
        "sub/**/*.csv",
        "s*/*",
        "*/",
        ".*",
        "sub/.*/*",
        "**/.*",
    )
    patterns += ("[[]1].csv", "?.csv", "nope/*", "*/deep/*", "**/deep/**", "sub/../*.csv", "**/**/c.csv", "[!a]*")
    for hidden in (False, True):
        for pattern in patterns:
            theirs = glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=hidden)
            ours = files._matches(str(folder), pattern, hidden=hidden)
            assert {n.rstrip("/") for n in ours} == {n.rstrip("/") for n in theirs}, pattern


def test_a_glob_counts_by_relative_names_and_contents(tmp_path):
    """Absolute or relative, here or elsewhere: the same. A file that matches and is new, gone or other: another."""
    here, there = tree(tmp_path / "here"), tree(tmp_path / "there")
    found = files.matching(str(here), "sub/**/*.csv")
    assert found == files.matching("/", f"{there}/sub/**/*.csv")
    assert found[1:] == (2, 2)
    (here / "a.csv").write_text("not matched")
    assert files.matching(str(here), "sub/**/*.csv") == found
    (here / "sub" / "deep" / "c.csv").write_text("C")
    assert files.matching(str(here), "sub/**/*.csv") != found
    (there / "sub" / "d.csv").write_text("")
    assert files.matching(str(there), "sub/**/*.csv") != found


def test_a_directory_that_a_glob_matches_counts_by_content(tmp_path):
    """The body gets the directory's name from its glob and reads what is in it."""
    folder = tree(tmp_path / "data")
    before = files.matching(str(folder), "s*")
    (folder / "sub" / "deep" / "c.csv").write_text("C")
    assert files.matching(str(folder), "s*") != before


def test_brackets_in_a_files_own_name(tmp_path):
    """A path that is no glob but looks like one is still watched."""
    (tmp_path / "scan[1].tif").write_text("1")
    before = files.matching(str(tmp_path), "scan[1].tif")
    assert before.files == 1
    (tmp_path / "scan[1].tif").write_text("2")
    assert files.matching(str(tmp_path), "scan[1].tif") != before


def test_a_glob_that_matches_nothing_is_absent(tmp_path):
    """Whether its folder is there or not."""
    assert files.matching(str(tmp_path), "*.csv") == files.matching(str(tmp_path), "nope/*") == ("absent", 0, 0)


def test_a_listing_is_of_names(tmp_path):
    """Contents do not count, names do, hidden ones too; no folder is absent."""
    folder = tree(tmp_path / "data")
    plain, deep = files.listing(str(folder)), files.listing(str(folder), "**/*.csv")
    (folder / "a.csv").write_text("other")
    assert (files.listing(str(folder)), files.listing(str(folder), "**/*.csv")) == (plain, deep)
    (folder / "sub" / "new.csv").write_text("")
    assert files.listing(str(folder)) == plain
    assert files.listing(str(folder), "**/*.csv") != deep
    (folder / ".new").write_text("")
    assert files.listing(str(folder)) != plain
    assert files.listing(str(folder / "nope")) == files.listing(str(folder / "a.csv")) == "absent"


# ---- when a file is read again ----


def test_what_is_too_new_is_not_believed():
    """Two seconds, the coarsest clock; an empty file may be one of /proc, which is not empty."""
    now = 10_000_000_000
    assert files.trusted(files.Stat(1, now - 2_000_000_000, 7, now - 2_000_000_000), now)
    assert not files.trusted(files.Stat(1, now - 1_999_999_999, 7, 0), now)
    assert not files.trusted(files.Stat(1, 0, 7, now - 1_999_999_999), now)
    assert not files.trusted(files.Stat(1, now + 5, 7, 0), now)
    assert not files.trusted(files.Stat(0, 0, 7, 0), now)


def test_a_file_written_twice_within_one_mtime_is_read_again(tmp_path):
    """Size and mtime are the same and there was no time for the clock to move."""
    path, memo = tmp_path / "a.bin", str(tmp_path / "memo")
    seen = []
    for letter in b"abcdef":
        path.write_bytes(bytes([letter]) * LARGE)
        os.utime(path, ns=(10**18, 10**18))
        seen.append(files.digest(str(path), memo))
    assert len(set(seen)) == 6


def test_a_large_file_is_read_once(old, tmp_path):
    """Not again by this process, and not by the next one that has the memo."""
    path, memo = old / "huge", str(tmp_path / "memo")
    count, first = opens_of(path, lambda: files.digest(str(path), memo))
    assert count == 1
    assert opens_of(path, lambda: files.digest(str(path), memo)) == (0, first)
    new_process()
    assert opens_of(path, lambda: files.digest(str(path), memo)) == (0, first)
    new_process()
    assert opens_of(path, lambda: files.digest(str(path))) == (1, first)


def test_a_small_file_has_no_record_on_disk(old, tmp_path):
    """Reading it costs no more than reading the record; a large one has one that tells its machine."""
    memo = tmp_path / "memo"
    files.digest(str(old / "small"), str(memo))
    assert not memo.exists()
    files.digest(str(old / "disk"), str(memo))
    (record,) = memo.iterdir()
    assert record.name.startswith(os.uname().nodename)


def test_a_rewrite_with_the_old_mtime_is_seen(old, tmp_path):
    """Size, mtime and inode are those of before: ctime tells."""
    path, memo = old / "rewritten", str(tmp_path / "memo")
    before, stat = files.digest(str(path), memo), path.stat()
    with open(path, "r+b") as file:
        file.write(b"R")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    changed = files.digest(str(path), memo)
    new_process()
    assert files.digest(str(path), memo) == changed != before


def test_a_file_that_was_swapped_is_seen(old, tmp_path):
    """Another file of the same size and mtime under the old name."""
    path, memo = old / "replaced", str(tmp_path / "memo")
    before, stat = files.digest(str(path), memo), path.stat()
    other = old / "other"
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(other, path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    changed = files.digest(str(path), memo)
    new_process()
    assert files.digest(str(path), memo) == changed != before


def _flip_a_digit_of_the_digest(data: bytes) -> bytes:
    lines = data.split(b"\n")
    lines[-3] = (b"0" if lines[-3][:1] != b"0" else b"1") + lines[-3][1:]
    return b"\n".join(lines)


DAMAGES = {
    "flipped": _flip_a_digit_of_the_digest,
    "cut": lambda data: data[:-20],
    "cut to the digest": lambda data: b"\n".join(data.split(b"\n")[-3:]),
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "longer": lambda data: data + data,
    "noise": lambda data: bytes(b ^ 0xA5 for b in data),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_ignored(old, tmp_path, damage):
    """The file is read and the record is made anew."""
    path, memo = old / "damaged", tmp_path / "memo"
    right = files.digest(str(path), str(memo))
    new_process()
    files.digest(str(path), str(memo))
    (record,) = memo.iterdir()
    intact = record.read_bytes()
    record.write_bytes(DAMAGES[damage](intact))
    new_process()
    assert opens_of(path, lambda: files.digest(str(path), str(memo))) == (1, right)
    assert record.read_bytes() == intact


def test_a_record_of_another_file_is_ignored(old, tmp_path):
    """A record that was copied under a wrong name says nothing."""
    memo = tmp_path / "memo"
    files.digest(str(old / "host"), str(memo))
    (record,) = memo.iterdir()
    files.digest(str(old / "disk"), str(tmp_path / "second"))
    new_process()
    files.digest(str(old / "disk"), str(tmp_path / "second"))
    (foreign,) = (tmp_path / "second").iterdir()
    record.write_bytes(foreign.read_bytes())
    new_process()
    assert files.digest(str(old / "host"), str(memo)) == files.digest(str(old / "host"))


def test_a_memo_that_cannot_be_written_costs_time_only(old, tmp_path):
    """A file in the folder's place; a folder in the record's place."""
    path = old / "blocked"
    right = files.digest(str(path))
    (tmp_path / "memo").write_text("in the way")
    new_process()
    assert files.digest(str(path), str(tmp_path / "memo")) == right
    record = files._record_path(str(tmp_path / "other"), str(path))
    os.makedirs(record)
    new_process()
    assert files.digest(str(path), str(tmp_path / "other")) == right
    assert os.listdir(tmp_path / "other") == [os.path.basename(record)]


def test_files_of_the_kernel_are_always_read():
    """/proc says 0 bytes, /sys more than there are: neither is remembered."""
    for path in ("/proc/self/stat", "/sys/kernel/mm/transparent_hugepage/enabled"):
        if os.path.exists(path):
            files.digest(path)
            assert opens_of(path, lambda: files.digest(path))[0] == 1
