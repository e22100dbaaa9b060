"""Files that a reader in C opens without a word are told by the kernel, and only those that the body itself opens."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.recordings import record

from blockcache.discovered import Recorded, Recorder, changed, kernel

pytestmark = pytest.mark.skipif(not kernel.tells(os.getcwd()), reason="the kernel does not tell which files are opened")

LIBC = ctypes.CDLL(None)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with data that is older than any body."""
    project = tmp_path / "project"
    (project / "data/parts").mkdir(parents=True)
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for name in ("data/a.bin", "data/b.bin", "data/parts/c.bin"):
        Path(name).write_text(name)
    return project


def in_c(*parts: str, flags: int = os.O_RDONLY, data: bytes = b"") -> None:
    """Open, and write, a file as code in C does; the name is put together here, so that no call is given it."""
    descriptor = LIBC.open(os.fsencode(os.path.join(*parts)), flags, 0o644)
    assert descriptor >= 0
    if data:
        LIBC.write(descriptor, data, len(data))
    LIBC.close(descriptor)


def names(recorded: Recorded) -> list[str]:
    """Names of inputs, but for absolute ones in the project, which stand beside relative ones."""
    return [i.name for i in recorded.inputs if not i.name.startswith(os.getcwd())]


def elsewhere(code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-S", "-c", code, *arguments], check=True)


# -- what is read ------------------------------------------------------------------------------


def test_what_code_in_c_opens_is_an_input_by_every_name_that_it_may_have_had(folder: Path) -> None:
    recorded = record(lambda: in_c("data", "a.bin"))
    assert [i.name for i in recorded.inputs] == [str(folder / "data/a.bin"), "data/a.bin"]
    assert not recorded.conflicts and not recorded.written
    Path("data/a.bin").write_text("edited")
    assert {d.name for d in changed(recorded.inputs, recorded.stats)} == {str(folder / "data/a.bin"), "data/a.bin"}


def test_folders_below_and_threads_count() -> None:
    def body() -> None:
        thread = threading.Thread(target=in_c, args=("data", "parts", "c.bin"))
        thread.start()
        thread.join()

    assert names(record(body)) == ["data/parts/c.bin"]


def test_a_file_beside_one_that_is_named_while_the_body_runs_is_seen(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("x.txt", "x.dbf"):
        (other / name).write_text(name)

    def body() -> None:
        open(os.path.join("..", "oth" + "er", "x.txt")).close()
        in_c("..", "oth" + "er", "x.dbf")

    assert {Path(name).name for name in names(record(body))} == {"x.txt", "x.dbf"}


@pytest.mark.parametrize("mention", ["/", "/x.bin", "/none/x.bin"])
def test_folders_that_texts_name_are_listened_to(tmp_path: Path, mention: str) -> None:
    other = tmp_path / "other"
    (other / "below").mkdir(parents=True)
    (other / "below/x.bin").write_text("x")
    (other / "none").mkdir()
    recorded = record(lambda: in_c(str(tmp_path), "other", "below", "x.bin"), texts=([{"k": f"{other}{mention}"}],))
    assert names(recorded) == ([] if "none" in mention else [str(other / "below/x.bin")])


def test_a_symlink_that_is_put_elsewhere_tells(tmp_path: Path) -> None:
    far = tmp_path / "far"
    (far / "old").mkdir(parents=True)
    (far / "new").mkdir()
    for name in ("old/x.bin", "new/x.bin", "old.bin", "new.bin"):
        (far / name).write_text(name)
    Path("data/file.bin").symlink_to(far / "old.bin")
    Path("data/folder").symlink_to(far / "old")

    recorded = record(lambda: in_c("data", "file.bin"))
    Path("data/file.bin").unlink()
    Path("data/file.bin").symlink_to(far / "new.bin")
    assert "data/file.bin" in [d.name for d in changed(recorded.inputs, recorded.stats)]

    recorded = record(lambda: in_c("data", "folder", "x.bin"))
    Path("data/folder").unlink()
    Path("data/folder").symlink_to(far / "new")
    assert "data/folder/x.bin" in [d.name for d in changed(recorded.inputs, recorded.stats)]


def test_what_a_watcher_has_named_keeps_its_name() -> None:
    def body() -> None:
        open("data/" + "a.bin").close()
        os.close(os.open("data/" + "b.bin", os.O_RDONLY))

    assert [i.name for i in record(body).inputs] == ["data/a.bin", "data/b.bin"]


# -- what is not -------------------------------------------------------------------------------


def test_what_others_open_is_no_input() -> None:
    def body() -> None:
        elsewhere("open('da' 'ta/a.bin').close()")
        child = os.fork()
        if not child:
            in_c("data", "b.bin")
            os._exit(0)
        os.waitpid(child, 0)

    recorded = record(body)
    assert recorded.inputs == () and not recorded.conflicts


def test_a_copy_of_the_process_takes_no_news_away() -> None:
    def body() -> None:
        in_c("data", "a.bin")
        child = os.fork()
        if not child:
            record(lambda: in_c("data", "b.bin"))
            os._exit(0)
        os.waitpid(child, 0)

    assert names(record(body)) == ["data/a.bin"]


def test_what_was_opened_before_or_is_opened_after_is_no_input() -> None:
    in_c("data", "a.bin")
    assert record(lambda: None).inputs == ()
    recorder = Recorder()
    recorder.start()
    recorded = recorder.stop()
    in_c("data", "b.bin")
    assert recorded.inputs == ()


def test_modules_and_what_is_ignored_are_no_inputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("opened_module.py").write_text("")
    Path("store").mkdir()
    Path("store/entry").write_text("")
    monkeypatch.syspath_prepend(str(folder))

    def body() -> None:
        import opened_module  # noqa: F401

        in_c("store", "entry")

    assert record(body, ignore=[str(folder / "store")]).inputs == ()


@pytest.mark.parametrize("flags", [os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_RDWR | os.O_CREAT])
def test_what_the_body_writes_is_written_and_no_input(flags: int) -> None:
    def body() -> None:
        in_c("data", "out.bin", flags=flags, data=b"made")
        in_c("data", "out.bin")

    for _ in range(2):  # the second time it is there
        recorded = record(body)
        assert recorded.inputs == () and recorded.written == ("data/out.bin",) and not recorded.conflicts


def test_a_file_that_is_put_in_place_is_written() -> None:
    def body() -> None:
        in_c("data", "draft", flags=os.O_WRONLY | os.O_CREAT, data=b"made")
        assert LIBC.rename(b"data/draft", b"data/out.bin") == 0
        in_c("data", "out.bin")

    recorded = record(body)
    assert recorded.inputs == () and recorded.written == ("data/out.bin",) and not recorded.conflicts


def test_a_file_that_was_opened_to_write_and_is_as_it_was_is_read() -> None:
    recorded = record(lambda: in_c("data", "a.bin", flags=os.O_RDWR))
    assert names(recorded) == ["data/a.bin"] and not recorded.written


def test_a_file_that_was_opened_before_and_is_written_now_is_no_affair_of_the_body(folder: Path) -> None:
    with open("log.txt", "w") as log:

        def body() -> None:
            os.write(log.fileno(), b"line")

        recorded = record(body)
    assert recorded.inputs == () and recorded.written == ()


# -- what changes meanwhile ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "open(name, 'w').write('new')",
        "open('x', 'w').write('new'); os.utime('x', (1, 1)); os.replace('x', name)",
        "file = open(name, 'r+b'); m = mmap.mmap(file.fileno(), 0); m[0:1] = b'X'",
        "os.unlink(name)",
    ],
)
def test_a_file_that_changes_after_it_was_read_is_a_conflict(change: str) -> None:
    def body() -> None:
        in_c("data", "a.bin")
        elsewhere(f"import mmap, os; name = 'da' 'ta/a.bin'; {change}")

    assert record(body).conflicts == ("data/a.bin was read, and changed while the block ran",)


def test_what_the_body_holds_open_and_changes_through_memory_is_its_own() -> None:
    """As LMDB does with the file of its locks."""
    held: list[Any] = []

    def body() -> None:
        held.append(LIBC.open(os.fsencode(os.path.join("data", "a.bin")), os.O_RDWR))
        held.append(mmap.mmap(held[0], 0))
        time.sleep(0.02)  # so long the file system's clock may stand still
        held[1][0:1] = b"X"

    recorded = record(body)
    held[1].close()
    os.close(held[0])
    assert recorded.written == ("data/a.bin",) and not recorded.conflicts


def test_a_file_that_was_written_just_before_is_no_conflict() -> None:
    for i in range(50):
        Path("data/a.bin").write_text(str(i))
        recorded = record(lambda: in_c("data", "a.bin"))
        assert names(recorded) == ["data/a.bin"] and not recorded.conflicts


# -- being a good guest ----------------------------------------------------------------------------


def _descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def test_two_hundred_recordings_leave_no_descriptor() -> None:
    record(lambda: None)
    before = _descriptors()
    for _ in range(200):
        assert names(record(lambda: in_c("data", "a.bin"))) == ["data/a.bin"]
    assert _descriptors() == before


def test_recorders_inside_and_beside_each_other_get_what_is_theirs() -> None:
    outer, inner = Recorder(), Recorder()
    outer.start()
    in_c("data", "a.bin")
    inner.start()
    in_c("data", "b.bin")
    found = inner.stop()
    in_c("data", "parts", "c.bin")
    assert names(found) == ["data/b.bin"]
    assert names(outer.stop()) == ["data/a.bin", "data/b.bin", "data/parts/c.bin"]


def test_a_program_that_closes_everything_loses_nothing_of_its_own() -> None:
    def body() -> None:
        before = set(_descriptors())
        for name in os.listdir("/proc/self/fd"):
            try:
                if "fanotify" in os.readlink(f"/proc/self/fd/{name}"):
                    os.close(int(name))
            except OSError:
                continue
        assert set(_descriptors()) < before
        reading, writing = os.pipe()
        os.write(writing, b"kept")
        pipes.extend((reading, writing))

    pipes: list[int] = []
    record(body)
    assert os.read(pipes[0], 10) == b"kept"
    for descriptor in pipes:
        os.close(descriptor)


def test_more_than_the_kernel_keeps_is_told(folder: Path) -> None:
    most = int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text())
    if most > 20_000:
        pytest.skip("it keeps more than a test should make")
    for i in range(most + 100):
        (folder / str(i)).touch()

    def body() -> None:
        for i in range(most + 100):
            in_c(str(folder), str(i))

    recorded = record(body)
    assert recorded.untracked == ("opens more files at once than the system tells of",) and not recorded.conflicts

    def body_in_python() -> None:
        for i in range(most + 100):
            open(folder / str(i)).close()

    assert record(body_in_python).untracked == ()


DENIED = """
import ctypes, os, struct, sys
number = {"x86_64": 300, "aarch64": 262}[os.uname().machine]
def instruction(code, yes, no, k):
    return struct.pack("HBBI", code, yes, no, k)
rules = instruction(0x20, 0, 0, 0) + instruction(0x15, 0, 1, number) + instruction(0x06, 0, 0, 0x50000 | 1)
rules += instruction(0x06, 0, 0, 0x7FFF0000)
text = ctypes.create_string_buffer(rules)
libc = ctypes.CDLL(None, use_errno=True)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(text)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(77)
"""


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="numbers of system calls")
def test_where_the_kernel_refuses_all_else_is_as_ever(folder: Path) -> None:
    code = """
from blockcache.discovered import Recorder, kernel
try:
    kernel.Listener()
    sys.exit(1)
except PermissionError:
    pass
recorder = Recorder()
recorder.start()
open("data/" + "a.bin").close()
libc.open(b"data/" + b"b.bin", 0)
recorded = recorder.stop()
assert [i.name for i in recorded.inputs] == ["data/a.bin"], recorded
assert not recorded.conflicts and not recorded.untracked
"""
    ran = subprocess.run([sys.executable, "-c", DENIED + code], cwd=folder, capture_output=True, text=True)
    if ran.returncode == 77:
        pytest.skip("no filters of system calls")
    assert ran.returncode == 0, ran.stderr
    said = "the kernel does not tell here"
    code = "from blockcache.cli import main; main(['config'])"
    for prelude, expected in ((DENIED, True), ("", False)):
        ran = subprocess.run([sys.executable, "-c", prelude + code], cwd=folder, capture_output=True, text=True)
        assert (said in ran.stdout) is expected, ran.stderr
