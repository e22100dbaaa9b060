"""The store in a directory: what every store must do, and what only files can do wrong."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest
import xxhash
from conformance import StoreConformance, store_machine
from measured import MeasuredConformance
from two_processes import TwoProcesses

from blockcache.errors import StoreError
from blockcache.stores import local, measure
from blockcache.stores.local import LocalStore

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
BIG = 1 << 20


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


class TestLocalStore(StoreConformance, MeasuredConformance):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(tmp_path / "store")


_folders = tempfile.TemporaryDirectory(prefix="blockcache-test-")
TestLocalStoreAgainstADictionary = store_machine(lambda: LocalStore(tempfile.mkdtemp(dir=_folders.name)))
TestTwoProcessesAgainstADictionary = store_machine(lambda: TwoProcesses(tempfile.mkdtemp(dir=_folders.name)))


# -- the directory ---------------------------------------------------------------------------


def test_reading_makes_no_directory(store):
    store.get("blobs/abc"), store.exists("blobs/abc"), list(store.list("")), store.delete("blobs/abc")
    assert not os.path.exists(store.url)


def test_the_layout_is_that_of_the_format(store):
    store.put("blobs/abcdef", [b"1"])
    store.put("entries/abcdef/e.json", [b"2"])
    store.put("names/a%20b/abcdef", [b"3"])
    assert files_below(store.url) == [
        ".gitignore",
        "CACHEDIR.TAG",
        "blobs/ab/abcdef",
        "entries/ab/abcdef/e.json",
        "names/a%20b/abcdef",
    ]


def test_backups_and_git_leave_the_store_alone(store, tmp_path):
    store.put("blobs/abcdef", [b"1"])
    assert Path(store.url, "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    if shutil.which("git"):
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        status = subprocess.run(["git", "status", "--short"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert status.stdout == ""


def test_blobs_are_read_only_files_and_records_are_not(store):
    store.put("blobs/abcdef", [b"1"])
    store.put("names/n/d", [b"1"])
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(os.stat(f"{store.url}/blobs/ab/abcdef").st_mode) == 0o444 & ~mask
    assert stat.S_IMODE(os.stat(f"{store.url}/names/n/d").st_mode) == 0o666 & ~mask


def test_a_store_deleted_meanwhile_is_made_again(store):
    store.put("blobs/abcdef", [b"1"])
    shutil.rmtree(store.url)
    assert store.get("blobs/abcdef") is None
    store.put("blobs/abcdef", [b"1"])
    assert store.get("blobs/abcdef") == b"1"


def test_deleting_removes_folders_that_are_empty(store):
    for name in ("blobs/abcdef", "entries/abcdef/e.json", "names/n/d"):
        store.put(name, [b"1"])
        store.delete(name)
    assert sorted(p.name for p in Path(store.url).rglob("*") if p.is_dir()) == [".tmp", "blobs", "entries", "names"]


def test_what_killed_writers_left_is_swept_and_what_is_being_written_is_not(store, monkeypatch):
    """A writer holds a lock; where there are no locks only a day tells. A young file stays, although a seal looks like an old time."""
    store.put("blobs/abcdef", [b"1"])
    left = Path(store.url, ".tmp", "left")
    left.write_bytes(b"half")
    os.utime(left, ns=(0, local._DURABLE_NS))
    assert sorted(store.list("")) == ["blobs/abcdef"]
    LocalStore(store.url).put("blobs/abcdef2", [b"1"])
    assert left.exists()
    monkeypatch.setattr(measure, "_DEAD_S", -1)

    def parts():
        """A second writer comes while this one writes."""
        yield b"1"
        LocalStore(store.url).put("blobs/abcdef3", [b"1"])
        yield b"2"

    LocalStore(store.url).put("blobs/abcdef4", parts())
    assert store.get("blobs/abcdef4") == b"12" and not left.exists()
    with open(left, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        LocalStore(store.url).put("blobs/abcdef5", [b"1"])
        assert left.exists()
        monkeypatch.setattr(local, "_STALE_S", -1)
        LocalStore(store.url).put("blobs/abcdef6", [b"1"])
    assert os.listdir(f"{store.url}/.tmp") == []


def test_the_store_s_own_files_are_no_names(store):
    store.put("blobs/abcdef", [b"1"])
    for name in (".tmp/x", ".gitignore", "CACHEDIR.TAG"):
        with pytest.raises(StoreError):
            store.delete(name)
    assert sorted(store.list("")) == ["blobs/abcdef"]


def test_a_folder_is_not_bytes(store):
    store.put("entries/abcdef/e.json", [b"1"])
    assert store.get("entries/abcdef") is None
    assert not store.exists("entries/abcdef") and not store.delete("entries/abcdef")


# -- seals --------------------------------------------------------------------------------------


def blob_path(store, name="abcdef"):
    return f"{store.url}/blobs/{name[:2]}/{name}"


def touch_by_writing(path):
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"X")


def touch_by_truncating(path):
    os.chmod(path, 0o644)
    os.truncate(path, 1)


def touch_by_copying(path):
    shutil.copyfile(path, path + "2")
    os.replace(path + "2", path)


@pytest.mark.parametrize("touch", [touch_by_writing, touch_by_truncating, touch_by_copying, os.utime])
def test_a_touched_blob_is_not_sealed_until_it_is_sealed_again(store, touch):
    store.put("blobs/abcdef", [b"12345"])
    assert store.sealed("blobs/abcdef")
    touch(blob_path(store))
    assert not store.sealed("blobs/abcdef")
    store.seal("blobs/abcdef")
    assert store.sealed("blobs/abcdef")


def test_a_seal_of_put_counts_until_the_machine_restarts_and_that_of_seal_for_ever(store, monkeypatch):
    store.put("blobs/abcdef", [b"1"])
    other_boot = local._boot_mark() + 100
    monkeypatch.setattr(local, "_boot_mark", lambda: other_boot)
    assert not store.sealed("blobs/abcdef")
    store.seal("blobs/abcdef")
    monkeypatch.undo()
    assert store.sealed("blobs/abcdef")


def test_where_boots_cannot_be_told_put_leaves_no_seal(store, monkeypatch):
    monkeypatch.setattr(local, "_boot_mark", lambda: None)
    store.put("blobs/abcdef", [b"1"])
    assert not store.sealed("blobs/abcdef")
    store.seal("blobs/abcdef")
    assert store.sealed("blobs/abcdef")


def test_file_times_of_one_second_never_look_like_a_seal():
    for mark in (local._DURABLE_NS, local._boot_mark()):
        assert mark % 10**9 and mark % 100 == 0


def test_a_sealed_blob_is_not_written_again_and_a_touched_one_is_healed(store):
    store.put("blobs/abcdef", [b"12345"])
    inode = os.stat(blob_path(store)).st_ino
    store.put("blobs/abcdef", [b"12345"])
    assert os.stat(blob_path(store)).st_ino == inode
    touch_by_writing(blob_path(store))
    store.put("blobs/abcdef", [b"12345"])
    assert store.get("blobs/abcdef") == b"12345" and store.sealed("blobs/abcdef")


def test_a_blob_of_another_size_is_replaced_even_when_it_looks_sealed(store):
    store.put("blobs/abcdef", [b"123"])
    os.truncate(blob_path(store), 1) if AS_ROOT else (
        os.chmod(blob_path(store), 0o644),
        os.truncate(blob_path(store), 1),
    )
    store.seal("blobs/abcdef")
    store.put("blobs/abcdef", [b"123"])
    assert store.get("blobs/abcdef") == b"123"


# -- maps -----------------------------------------------------------------------------------------


def mapped_kb():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() // 1024


def test_large_files_are_mapped_not_read_and_the_map_goes_with_its_last_user(store):
    store.put("blobs/abcdef", [bytes(BIG)] * 512)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = store.get("blobs/abcdef")
    assert memory[BIG] == 0 and memory.nbytes == 512 * BIG
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    held = mapped_kb()
    part = memory[5:10]
    del memory
    assert held - mapped_kb() < 1024
    del part
    assert held - mapped_kb() >= 512 * 1024


def test_two_thousand_maps_need_no_file_descriptors(store):
    store.put("blobs/abcdef", [bytes(100_000)])
    before = len(os.listdir("/proc/self/fd"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], before + 64), limits[1]))
    try:
        maps = [store.get("blobs/abcdef") for _ in range(2000)]
        for i, memory in enumerate(maps):
            memory[i] = i % 255 + 1
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert all(bytes(m[i : i + 2]) == bytes([i % 255 + 1, 0]) for i, m in enumerate(maps))
    assert store.get("blobs/abcdef") == bytes(100_000)


def test_a_finalizer_in_a_reference_cycle_may_still_use_the_memory(store):
    """The map may only go after everything that can reach it."""
    store.put("blobs/abcdef", [b"\x07" * 100_000])
    seen = []

    class User:
        def __init__(self):
            self.memory = store.get("blobs/abcdef")
            self.me = self

        def __del__(self):
            seen.append(sum(self.memory[:100]))

    User()
    gc.collect()
    assert seen == [700]


@pytest.mark.parametrize("failure", [OSError(errno.ENODEV, "no maps here"), ValueError("truncated")])
def test_a_file_that_cannot_be_mapped_is_read(store, monkeypatch, failure):
    def refuse(fd, size):
        raise failure

    store.put("blobs/abcdef", [b"a" * 100_000])
    monkeypatch.setattr(local, "map_private", refuse)
    memory = store.get("blobs/abcdef")
    memory[0] = 0
    assert bytes(memory[1:]) == b"a" * 99_999 and store.get("blobs/abcdef")[0] == ord("a")


def test_beyond_the_system_s_number_of_maps_files_are_read(store):
    """Only the mapping fails: each fallback is its own memory and nothing is lost."""
    program = f"""
    import resource
    from blockcache.stores.local import LocalStore
    store = LocalStore({store.url!r})
    store.put("blobs/abcdef", [b"a" * 8_000_000])
    store.get("blobs/abcdef")
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 40_000_000,) * 2)
    held = []
    try:
        while True:
            held.append(store.get("blobs/abcdef"))
            assert held[-1][-1] == ord("a")
    except MemoryError:
        print("MemoryError after", len(held))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert done.returncode == 0 and "MemoryError after" in done.stdout, done.stderr[-1000:]


# -- many processes, kills ------------------------------------------------------------------------

WRITER = """
import sys, random, xxhash
from blockcache.stores.local import LocalStore
store, seed, rounds = LocalStore(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
while rounds:
    rounds -= 1
    data = bytes([rng.randrange(8)]) * rng.choice([1, 70_000, 3_000_000])
    name = "blobs/" + xxhash.xxh3_128_hexdigest(data)
    store.put(name, [data[:10], data[10:]])
    store.put(f"entries/{rng.randrange(4):032x}/e.json", [b"<" + bytes([65 + seed % 26]) * rng.randrange(200_000) + b">"])
    got = store.get(name)
    assert got is None or xxhash.xxh3_128_hexdigest(got) == name[6:], "torn"
    if rng.random() < 0.3:
        store.delete(name)
"""


def start_writer(store, seed, rounds):
    return subprocess.Popen([sys.executable, "-c", WRITER, store.url, str(seed), str(rounds)], stderr=subprocess.PIPE)


def assert_nothing_torn(store):
    for name in store.list(""):
        data = bytes(store.get(name))
        if name.startswith("blobs/"):
            assert xxhash.xxh3_128_hexdigest(data) == name[6:]
        else:
            assert data[:1] == b"<" and data[-1:] == b">" and len(set(data[1:-1])) <= 1


def test_many_processes_write_and_delete_the_same_names(store):
    writers = [start_writer(store, seed, 60) for seed in range(6)]
    for writer in writers:
        assert writer.wait(timeout=120) == 0, writer.stderr.read().decode()[-1500:]
        writer.stderr.close()
    assert_nothing_torn(store)
    assert os.listdir(f"{store.url}/.tmp") == []


def test_a_put_survives_deletes_that_keep_removing_its_folder(store):
    trouble = []

    def work():
        try:
            for _ in range(800):
                store.put("entries/abcdef/e.json", [b"1"])
                store.delete("entries/abcdef/e.json")
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []


def test_a_killed_writer_leaves_no_torn_file(store):
    rng = random.Random(1)
    for seed in range(30):
        writer = start_writer(store, seed, -1)
        deadline = time.monotonic() + 60
        while not os.path.exists(f"{store.url}/entries") and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.1 + rng.random() * 0.1)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        writer.stderr.close()
    assert_nothing_torn(store)
    assert list(store.list("blobs")) or list(store.list("entries"))


# -- trouble ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_nobody():
    """Root may write anywhere."""
    if AS_ROOT:
        os.seteuid(65534)
    try:
        yield
    finally:
        if AS_ROOT:
            os.seteuid(0)


@pytest.fixture
def public_folder():
    """A folder that another user can reach; pytest's own are private."""
    folder = tempfile.mkdtemp(prefix="blockcache-test-")
    os.chmod(folder, 0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


def test_a_read_only_directory_can_be_read_and_says_so_when_written(public_folder):
    store = LocalStore(f"{public_folder}/store")
    store.put("blobs/abcdef", [b"1"])
    store.put("blobs/abcdef00", [b"a" * 100_000])
    touch_by_writing(blob_path(store))
    for folder, _, _ in os.walk(store.url):
        os.chmod(folder, 0o555)
    store.get("blobs/abcdef00")  # imports what it needs
    reader = LocalStore(store.url)
    with as_nobody():
        assert reader.get("blobs/abcdef") == b"X" and len(reader.get("blobs/abcdef00")) == 100_000
        assert sorted(reader.list("")) == ["blobs/abcdef", "blobs/abcdef00"]
        assert reader.sealed("blobs/abcdef00") and not reader.sealed("blobs/abcdef")
        reader.put("blobs/abcdef00", [b"a" * 100_000])  # there already
        if AS_ROOT:
            reader.seal("blobs/abcdef")
            assert not reader.sealed("blobs/abcdef")
        for use in (lambda: reader.put("blobs/other", [b"1"]), lambda: reader.delete("blobs/abcdef")):
            with pytest.raises(StoreError, match=r"Permission denied.*another store"):
                use()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if not AS_ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder]).returncode:
        pytest.skip("cannot mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_an_error_with_a_way_out_and_leaves_nothing(small_disk):
    store = LocalStore(small_disk / "store")
    store.put("blobs/abcdef", [b"1"])
    with pytest.raises(StoreError, match=r"No space left.*Free some space"):
        store.put("blobs/other", [bytes(BIG)] * 8)
    assert list(store.list("")) == ["blobs/abcdef"] and os.listdir(f"{store.url}/.tmp") == []
    store.put("blobs/small", [b"2"])
    assert store.get("blobs/small") == b"2"


def test_a_file_larger_than_the_limits_allow_is_an_error(store):
    program = f"""
    import resource, signal
    from blockcache.errors import StoreError
    from blockcache.stores.local import LocalStore
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    store = LocalStore({store.url!r})
    try:
        store.put("blobs/abcdef", [bytes(1 << 19)] * 5)
    except StoreError as error:
        print(error, list(store.list("")))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert "File too large" in done.stdout and done.stdout.endswith("[]\n"), done.stderr


def test_too_long_a_name_is_a_store_error_everywhere(store):
    store.put("names/n/d", [b"1"])
    name = "names/" + "x" * 300 + "/d"
    for use in (store.get, store.exists, store.sealed, store.delete, lambda n: store.put(n, [b""])):
        with pytest.raises(StoreError, match="shorter name"):
            use(name)


def test_a_file_in_the_place_of_the_store_is_an_error_with_a_way_out(tmp_path):
    (tmp_path / "store").write_text("mine")
    store = LocalStore(tmp_path / "store")
    assert store.get("blobs/abcdef") is None and list(store.list("")) == []
    with pytest.raises(StoreError, match="in the place of a folder"):
        store.put("blobs/abcdef", [b"1"])
    assert (tmp_path / "store").read_text() == "mine"


def test_parts_that_fail_halfway_leave_nothing(store):
    def parts():
        yield b"1"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put("blobs/abcdef", parts())
    assert store.get("blobs/abcdef") is None


# -- new names -------------------------------------------------------------------------------


def test_without_hard_links_a_new_name_is_put_once_too(store, monkeypatch):
    """As on FAT, and on some file systems of servers."""

    def link(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    for name in ("leases/abc", "names/n/d"):
        assert store.put_new(name, [b"one"]) is True and store.put_new(name, [b"two"]) is False
        assert store.get(name) == b"one" and store.delete(name) is True
    assert files_below(f"{store.url}/.tmp") == []


def test_a_link_whose_answer_was_lost_is_ours(store, monkeypatch):
    """A server of files that is asked again, because its first answer did not arrive, says that the name is taken."""
    really = os.link

    def link(source, target):
        really(source, target)
        really(source, target)

    monkeypatch.setattr(os, "link", link)
    assert store.put_new("leases/abc", [b"one"]) is True and store.put_new("leases/abc", [b"two"]) is False
    assert store.get("leases/abc") == b"one" and files_below(f"{store.url}/.tmp") == []
