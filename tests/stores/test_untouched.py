"""What is known of a map without reading it, whatever happens to its memory and to its file.

`known` is the oracle: what is said to be known must be what the bytes are. Each test adds whether it has to be known, or must not be.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import xxhash

from blockcache import untouched
from blockcache.stores.local import LocalStore

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
PAGE = mmap.PAGESIZE
#: No multiple of a page, so that the last one is not all the file's.
SIZE = (2 << 20) + 12345
MADV_DONTNEED, MADV_MERGEABLE, MADV_PAGEOUT, MADV_COLLAPSE = 4, 12, 21, 25
MREMAP_MAYMOVE, MREMAP_FIXED = 1, 2
MAP_FIXED = 0x10
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
libc.mremap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p)
libc.madvise.argtypes = libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


@pytest.fixture(params=["asked", "listed"])
def both_ways(request, monkeypatch):
    """Kernels before 6.11 list all maps to tell of one; both ways must say the same."""
    if request.param == "listed":
        monkeypatch.setattr(untouched, "_can_ask", lambda: False)
        monkeypatch.setattr(untouched, "_worth", untouched.WORTH_BYTES)
    elif not untouched._can_ask():
        pytest.skip("this kernel cannot be asked for one map")


class Mapped:
    """A blob of random bytes in a store, and an array over its map."""

    def __init__(self, folder, seed=0, size=SIZE):
        self.data = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
        self.digest = xxhash.xxh3_128_hexdigest(self.data)
        self.store = LocalStore(folder)
        self.name = f"blobs/{self.digest}"
        self.store.put(self.name, [memoryview(self.data)])
        self.path = Path(folder) / "blobs" / self.digest[:2] / self.digest
        self.array = np.frombuffer(self.store.get(self.name), np.uint8)
        self.address = self.array.ctypes.data

    def known(self, start=0, stop=None):
        """Whether a part is known; that it is what the bytes are, is checked here for every test."""
        view = self.array[start:stop]
        part = untouched.part_of(view)
        if part is not None:
            assert part[:4] == (self.digest, len(self.array), start, len(view))
            assert np.array_equal(view, self.data[start:stop])
        return part is not None


@pytest.fixture
def blob(tmp_path):
    return Mapped(tmp_path / "store")


@pytest.mark.usefixtures("both_ways")
def test_a_map_is_known_before_and_after_it_is_read(blob):
    """Reading makes no page the process's own."""
    assert blob.known()
    assert np.array_equal(blob.array, blob.data)
    assert blob.known() and blob.known(5) and blob.known(PAGE, -3 * PAGE)


def test_nothing_else_is_known(blob):
    """Memory of any other origin, a copy, small parts, memory in pieces."""
    assert untouched.part_of(blob.data) is None and untouched.part_of(blob.array.copy()) is None
    assert untouched.part_of(blob.array[: untouched.WORTH_BYTES - 1]) is None
    assert untouched.part_of(blob.array[::2]) is None and untouched.part_of(b"") is None


def test_a_read_only_view_is_known_too(blob):
    """Whether the program may write to a view does not matter, only whether the memory was written to."""
    view = blob.array.view()
    view.flags.writeable = False
    assert untouched.part_of(view).digest == blob.digest
    blob.array[7] ^= 1
    assert untouched.part_of(view) is None


# -- writing -----------------------------------------------------------------------------------


def by_item(blob, at):
    blob.array[at] ^= 1


def by_same_value(blob, at):
    blob.array[at] = blob.array[at]


def by_memset(blob, at):
    ctypes.memset(blob.address + at, 7, 1)


def by_cast_view(blob, at):
    memoryview(blob.array).cast("B").cast("c")[at] = b"x"


def by_readinto(blob, at):
    with open("/dev/urandom", "rb", buffering=0) as file:
        file.readinto(memoryview(blob.array)[at : at + 1])


def by_process_memory(blob, at):
    fd = os.open("/proc/self/mem", os.O_RDWR)
    os.pwrite(fd, b"y", blob.address + at)
    os.close(fd)


def by_process_memory_although_protected(blob, at):
    first, size = blob.address, -(-SIZE // PAGE) * PAGE
    assert libc.mprotect(first, size, mmap.PROT_READ) == 0
    by_process_memory(blob, at)
    assert libc.mprotect(first, size, mmap.PROT_READ | mmap.PROT_WRITE) == 0


def by_other_process(blob, at):
    code = f"""
        import ctypes
        class V(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
        data = ctypes.create_string_buffer(b"z")
        here, there = V(ctypes.addressof(data), 1), V({blob.address + at}, 1)
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.process_vm_writev({os.getpid()}, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        raise SystemExit(0 if done == 1 else 3)
    """
    if subprocess.run([sys.executable, "-c", textwrap.dedent(code)]).returncode == 3:
        pytest.skip("this system lets no process write to another")


def by_debugger(blob, at):
    """PTRACE_POKEDATA from a child, while this process stands still."""
    code = f"""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        if libc.ptrace(16, {os.getpid()}, None, None): raise SystemExit(3)
        os.waitpid({os.getpid()}, 0x40000000)
        libc.ptrace(5, {os.getpid()}, {blob.address + at // 8 * 8}, 0x1122334455667788)
        libc.ptrace(17, {os.getpid()}, None, None)
    """
    libc.prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, where a child may not
    if subprocess.run([sys.executable, "-c", textwrap.dedent(code)]).returncode == 3:
        pytest.skip("this system lets no process trace its parent")


def by_direct_read(blob, at):
    """The device writes into the page, not the processor."""
    page = at // PAGE * PAGE
    if page + PAGE > SIZE:
        page -= PAGE
    other = blob.path.parent / "other"
    other.write_bytes(os.urandom(PAGE))
    fd = os.open(other, os.O_RDONLY | os.O_DIRECT)
    try:
        assert os.preadv(fd, [memoryview(blob.array)[page : page + PAGE]], 0) == PAGE
    except OSError:
        pytest.skip("this file system has no direct reads")
    finally:
        os.close(fd)


def by_read_in_the_background(blob, at):
    """A read that the kernel does while the program goes on (io_submit), into pages that it holds meanwhile."""
    page = at // PAGE * PAGE
    if page + PAGE > SIZE:
        page -= PAGE
    other = blob.path.parent / "other"
    other.write_bytes(os.urandom(PAGE))
    fd = os.open(other, os.O_RDONLY | os.O_DIRECT)
    context = ctypes.c_ulong(0)
    control = (ctypes.c_uint64 * 8)(0, 0, fd << 32, blob.address + page, PAGE, 0, 0, 0)
    controls = (ctypes.c_void_p * 1)(ctypes.addressof(control))
    events = (ctypes.c_uint64 * 4)()
    setup, destroy, get_events, submit = (206, 207, 208, 209) if os.uname().machine == "x86_64" else (0, 1, 4, 2)
    try:
        if libc.syscall(setup, 1, ctypes.byref(context)) or libc.syscall(submit, context, 1, controls) != 1:
            pytest.skip("this system has no reads in the background")
        assert not blob.known(page, page + (1 << 20)) or page + (1 << 20) > SIZE  # before it is over
        assert libc.syscall(get_events, context, 1, 1, events, None) == 1
    finally:
        libc.syscall(destroy, context)
        os.close(fd)


WAYS = [
    by_item,
    by_same_value,
    by_memset,
    by_cast_view,
    by_readinto,
    by_process_memory,
    by_process_memory_although_protected,
    by_other_process,
    by_debugger,
    by_direct_read,
    by_read_in_the_background,
]


@pytest.mark.parametrize("write", WAYS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("was_read", [False, True], ids=["cold", "read"])
def test_a_byte_that_is_written_by_any_way_shows(blob, write, was_read):
    """A written page makes what holds it unknown, and nothing else."""
    if was_read:
        blob.array.sum()
    at = (1 << 20) + 3 * PAGE + 5
    write(blob, at)
    assert not blob.known() and not blob.known(at // PAGE * PAGE)
    assert blob.known(0, (1 << 20) + PAGE)


@pytest.mark.parametrize("at", [0, PAGE - 1, PAGE, SIZE // 2, SIZE - PAGE, SIZE - 1])
def test_a_byte_anywhere_shows(blob, at):
    """The first and the last byte too."""
    blob.array[at] ^= 0xFF
    assert not blob.known()


def test_a_byte_behind_the_end_is_on_the_last_page(blob):
    """The rest of the last page is the map's, and what is written there makes the page the process's own."""
    ctypes.memset(blob.address + SIZE, 1, 1)
    assert not blob.known() and blob.known(0, -PAGE)


def test_a_thread_that_writes_is_seen_from_its_first_byte_on(blob):
    """Once a write has happened, no question that begins later is answered."""
    begun, stop, wrong = threading.Event(), threading.Event(), []

    def write():
        for at in np.random.default_rng(1).integers(0, SIZE, 3000):
            blob.array[at] ^= 1
            begun.set()
            if stop.is_set():
                break

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait()
    for _ in range(200):
        wrong += [part for part in [untouched.part_of(blob.array)] if part is not None]
    stop.set(), thread.join()
    assert not wrong


# -- what the kernel does with pages ---------------------------------------------------------------


def test_written_pages_that_are_dropped_are_the_files_again(blob):
    """After MADV_DONTNEED the program sees the file's bytes, so they are known."""
    blob.array[:] = 0
    assert not blob.known()
    assert libc.madvise(blob.address, SIZE, MADV_DONTNEED) == 0
    assert blob.known()


def test_pages_that_are_put_out_of_memory(blob):
    """A page of the file is read again; one that was written stays the process's own, in memory or in swap."""
    blob.store.seal(blob.name)  # what is on the disk need not stay in memory
    assert untouched.part_of(blob.array) is not None
    blob.array.sum()
    assert libc.madvise(blob.address, SIZE, MADV_PAGEOUT) == 0
    assert blob.known()
    blob.array[SIZE // 2] ^= 1
    assert libc.madvise(blob.address, SIZE, MADV_PAGEOUT) == 0
    assert not blob.known()
    assert blob.array[SIZE // 2] == blob.data[SIZE // 2] ^ 1 and not blob.known()


def test_pages_that_are_merged(blob):
    """Pages that KSM may merge with equal ones are still the process's own."""
    blob.array[: 64 * PAGE] = 0
    if libc.madvise(blob.address, SIZE, MADV_MERGEABLE):
        pytest.skip("this kernel merges no pages")
    assert not blob.known()


@pytest.fixture
def memory_folder():
    """A folder of a file system in memory."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no file system in memory")
    folder = tempfile.mkdtemp(prefix="blockcache-test-", dir="/dev/shm")
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_pages_that_are_locked(blob):
    """The kernel gives the process all pages of its own at once."""
    assert libc.mlock(ctypes.c_void_p(blob.address), SIZE) == 0
    assert not blob.known()
    assert np.array_equal(blob.array, blob.data)


def test_pages_that_the_kernel_may_write_to_later(blob):
    """Memory that is lent to io_uring is the process's own from then on, whether anything is read into it or not."""
    ring = libc.syscall(425, 4, (ctypes.c_uint32 * 30)())
    place = (ctypes.c_uint64 * 2)(blob.address + (1 << 20), PAGE)
    if ring < 0 or libc.syscall(427, ring, 0, place, 1):
        pytest.skip("no io_uring here")
    assert not blob.known() and blob.known(0, 1 << 20)
    os.close(ring)


def test_huge_pages_of_a_file(memory_folder):
    """In a store in memory the pages of a file may be huge: one byte that is written shows on its page alone."""
    blob = Mapped(memory_folder, size=6 << 20)
    first = -(-blob.address // (2 << 20)) * (2 << 20)
    libc.madvise(first, 2 << 20, MADV_COLLAPSE)  # where the kernel does not, pages stay small
    assert blob.known()
    blob.array.sum()
    assert blob.known()
    blob.array[3 << 20] ^= 1
    assert not blob.known() and blob.known(0, 2 << 20) and blob.known((3 << 20) + PAGE)


def test_pages_that_a_fault_handler_gives(memory_folder):
    """What userfaultfd puts in a page's place is no page of the file."""
    blob = Mapped(memory_folder)
    fd = libc.syscall(323 if os.uname().machine == "x86_64" else 282, os.O_CLOEXEC | os.O_NONBLOCK)
    page = mmap.mmap(-1, PAGE)
    page[:5] = b"other"
    source = ctypes.addressof(ctypes.c_char.from_buffer(page))
    at = blob.address + 8 * PAGE
    try:
        fcntl.ioctl(fd, 0xC018AA3F, bytearray(struct.pack("<QQQ", 0xAA, 0, 0)))  # UFFDIO_API
        fcntl.ioctl(fd, 0xC020AA00, bytearray(struct.pack("<QQQQ", at, PAGE, 1, 0)))  # UFFDIO_REGISTER
        fcntl.ioctl(fd, 0xC028AA03, bytearray(struct.pack("<QQQQq", at, source, PAGE, 0, 0)))  # UFFDIO_COPY
    except OSError as error:
        pytest.skip(f"no such pages here: {error}")
    assert bytes(blob.array[8 * PAGE :][:5]) == b"other" and not blob.known()


# -- other maps at the same addresses -------------------------------------------------------------


def replaced_by_nothing(blob):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED
    assert libc.mmap(blob.address, SIZE, 0, flags, -1, 0) == blob.address


def replaced_by_zeros(blob):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED
    assert libc.mmap(blob.address, SIZE, 3, flags, -1, 0) == blob.address


def replaced_by_zeros_in_one_page(blob):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED
    assert libc.mmap(blob.address + (1 << 20), PAGE, 3, flags, -1, 0) == blob.address + (1 << 20)


def _replaced_by_file(blob, path, flags, offset=0):
    fd = os.open(path, os.O_RDONLY)
    right = mmap.PROT_READ if flags & mmap.MAP_SHARED else 3
    assert libc.mmap(blob.address, SIZE, right, flags | MAP_FIXED, fd, offset) == blob.address
    os.close(fd)


def replaced_by_another_file(blob):
    other = blob.path.parent / "other"
    other.write_bytes(bytes(SIZE))
    _replaced_by_file(blob, other, mmap.MAP_PRIVATE)


def replaced_by_another_blob(blob):
    blob.other = Mapped(blob.store.url, seed=5)
    _replaced_by_file(blob, blob.other.path, mmap.MAP_PRIVATE)


def replaced_by_another_place_in_the_file(blob):
    _replaced_by_file(blob, blob.path, mmap.MAP_PRIVATE, PAGE)


def replaced_by_a_shared_map(blob):
    _replaced_by_file(blob, blob.path, mmap.MAP_SHARED)


def moved_away(blob):
    size = -(-SIZE // PAGE) * PAGE
    place = mmap.mmap(-1, size)
    blob.keep = place
    there = ctypes.addressof(ctypes.c_char.from_buffer(place))
    assert libc.mremap(blob.address, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there
    # What is there now, is known by no name.
    assert untouched.part_of(np.frombuffer(place, np.uint8)) is None
    replaced_by_zeros(blob)


def half_of_it_moved_away(blob):
    """What stays before and after is the file's."""
    size = 8 * PAGE
    place = mmap.mmap(-1, size)
    blob.keep = place
    there = ctypes.addressof(ctypes.c_char.from_buffer(place))
    assert libc.mremap(blob.address + (1 << 20), size, size, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED
    assert libc.mmap(blob.address + (1 << 20), size, 3, flags, -1, 0) == blob.address + (1 << 20)


REPLACED = [
    replaced_by_nothing,
    replaced_by_zeros,
    replaced_by_zeros_in_one_page,
    replaced_by_another_file,
    replaced_by_another_blob,
    replaced_by_another_place_in_the_file,
    replaced_by_a_shared_map,
    moved_away,
    half_of_it_moved_away,
]


@pytest.mark.parametrize("replace", REPLACED, ids=lambda replace: replace.__name__)
@pytest.mark.usefixtures("both_ways")
def test_another_map_at_the_addresses_is_not_known(blob, replace):
    """No page of the new map was written, so the page map alone would tell nothing."""
    assert blob.known()
    replace(blob)
    assert untouched.part_of(blob.array) is None


@pytest.mark.usefixtures("both_ways")
def test_protection_that_changes(blob):
    """Pages that cannot be written any more are another map to the kernel: not known, and never wrong."""
    assert libc.mprotect(blob.address, PAGE, mmap.PROT_READ) == 0
    assert blob.known() in (True, False)
    assert libc.mprotect(blob.address, PAGE, mmap.PROT_READ | mmap.PROT_WRITE) == 0
    assert blob.known()


@pytest.mark.usefixtures("both_ways")
def test_addresses_that_are_used_again(tmp_path):
    """Maps of one size that come and go at one place: each is known as what it is, and none when all are gone."""
    store = tmp_path / "store"
    seen = set()
    for seed in range(6):
        blob = Mapped(store, seed)
        assert blob.known()
        seen.add(blob.address)
        del blob
    assert len(seen) < 6  # or the test shows nothing
    assert not [found for found in untouched._maps.values() if str(store) in found.path]


@pytest.mark.usefixtures("both_ways")
def test_a_map_that_is_gone_and_not_forgotten_yet(tmp_path):
    """Between a map's end and its being forgotten, another may be in its place: the kernel's answer counts."""
    first = Mapped(tmp_path / "store")
    address, stale = first.address, untouched._maps[first.address]
    del first
    second = Mapped(tmp_path / "store", seed=1)
    if second.address != address:
        pytest.skip("the addresses were not used again")
    fresh = untouched._maps[address]
    try:
        untouched._maps[address] = stale
        assert not second.known()
    finally:
        untouched._maps[address] = fresh
    assert second.known()


def test_many_threads_that_map_and_forget(tmp_path):
    """Maps that come and go in threads: what is said is always right."""
    wrong = []

    def work(seed):
        blob = Mapped(tmp_path / "store", seed)
        for _ in range(25):
            blob.array = np.frombuffer(blob.store.get(blob.name), np.uint8)
            found = untouched.part_of(blob.array)
            wrong.extend([seed] if found is None or found.digest != blob.digest else [])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert not wrong


# -- forks ---------------------------------------------------------------------------------------


def in_child(check):
    """What a forked child says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        signal.alarm(60)
        code = 1
        try:
            code = 0 if check() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.usefixtures("both_ways")
def test_a_child_knows_what_it_has_not_written(blob):
    """The child looks at its own pages, not at its parent's."""
    assert in_child(blob.known)

    def write_and_ask():
        blob.array[5] ^= 1
        return not blob.known()

    assert in_child(write_and_ask)
    assert blob.known()


def test_a_child_knows_what_its_parent_has_written_before(blob):
    """Written pages that parent and child share are nobody's file."""
    blob.array[5] ^= 1
    assert in_child(lambda: not blob.known())
    assert not blob.known()


def test_a_child_of_a_thread_that_asks(blob):
    """A fork in the middle of another thread's question leaves no lock behind."""
    with untouched._lock:
        answer = []
        thread = threading.Thread(target=lambda: answer.append(in_child(blob.known)))
        thread.start()
        thread.join(60)
    assert answer == [True]


def test_a_parent_that_writes_after_the_fork(blob):
    """The parent's page becomes its own, the child's stays the file's."""
    to_child, to_parent = os.pipe(), os.pipe()

    def ask():
        os.write(to_parent[1], b"1")
        os.read(to_child[0], 1)
        return blob.known()

    def write():
        os.read(to_parent[0], 1)
        blob.array[5] ^= 1
        os.write(to_child[1], b"1")

    thread = threading.Thread(target=write)
    thread.start()
    assert in_child(ask)
    thread.join()
    assert not blob.known()


# -- the file ------------------------------------------------------------------------------------


def rewritten(blob):
    blob.path.chmod(0o644)
    with open(blob.path, "r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"other")


def rewritten_through_a_map(blob):
    blob.path.chmod(0o644)
    with open(blob.path, "r+b") as file, mmap.mmap(file.fileno(), SIZE) as shared:
        shared[SIZE // 2] ^= 1
        shared.flush()


def grown(blob):
    blob.path.chmod(0o644)
    with open(blob.path, "ab") as file:
        file.write(b"more")


def cut_and_grown_again(blob):
    blob.path.chmod(0o644)
    os.truncate(blob.path, SIZE // 2)
    os.truncate(blob.path, SIZE)


def punched(blob):
    blob.path.chmod(0o644)
    with open(blob.path, "r+b") as file:
        if libc.fallocate(file.fileno(), 3, ctypes.c_long(PAGE), ctypes.c_long(PAGE)):
            pytest.skip("this file system punches no holes")


def touched(blob):
    os.utime(blob.path)


def removed(blob):
    blob.path.unlink()


def replaced_with_equal_bytes(blob):
    blob.path.unlink()
    blob.store.put(blob.name, [memoryview(blob.data)])


def replaced_with_other_bytes(blob):
    draft = blob.path.parent / "draft"
    draft.write_bytes(bytes(SIZE))
    shutil.copystat(blob.path, draft)
    os.replace(draft, blob.path)


def store_moved(blob):
    os.rename(blob.store.url, f"{blob.store.url}-moved")


def store_moved_and_another_made(blob):
    store_moved(blob)
    blob.store.put(blob.name, [memoryview(blob.data)])


CHANGED = [
    rewritten,
    rewritten_through_a_map,
    grown,
    cut_and_grown_again,
    punched,
    touched,
    removed,
    replaced_with_equal_bytes,
    replaced_with_other_bytes,
    store_moved,
    store_moved_and_another_made,
]


@pytest.mark.parametrize("change", CHANGED, ids=lambda change: change.__name__)
@pytest.mark.usefixtures("both_ways")
def test_a_file_that_changes_is_not_known(blob, change):
    """A file under a map shows through where no page was written; one that is not the store's blob any more says nothing."""
    assert blob.known()
    change(blob)
    assert untouched.part_of(blob.array) is None


def test_a_file_that_changes_below_written_pages(blob):
    """Nothing is known when both happen."""
    blob.array[:] = 1
    rewritten(blob)
    assert not blob.known()


@pytest.mark.usefixtures("both_ways")
def test_a_store_behind_a_link_is_known(tmp_path):
    """The kernel names the file without links."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    blob = Mapped(tmp_path / "link" / "store")
    assert blob.known()
    (tmp_path / "link").unlink()
    assert not blob.known()


@pytest.mark.usefixtures("both_ways")
def test_names_that_are_hard_to_list(tmp_path):
    """Spaces, line ends and backslashes in the path: known or not, never wrong; unwritten and asked, known."""
    blob = Mapped(tmp_path / "a b\nc\\d é")
    assert blob.known() == untouched._can_ask()
    blob.array[0] ^= 1
    assert not blob.known()


# -- kernels and containers ------------------------------------------------------------------------

CHILD = """
    import ctypes, fcntl, os, sys, numpy as np
    sys.path.insert(0, {source!r})
    from blockcache import untouched
    from blockcache.stores.local import LocalStore
    store = LocalStore({folder!r})
    array = np.frombuffer(store.get({name!r}), np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
"""


def run_child(blob, code):
    source = str(Path(untouched.__file__).parents[1])
    program = textwrap.dedent(CHILD).format(source=source, folder=blob.store.url, name=blob.name) + textwrap.dedent(
        code
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip("not possible here")
    assert not done.returncode, done.stderr
    return done.stdout.split()


def test_the_two_ways_to_ask_say_the_same(blob):
    """Of every map of this process."""
    if not untouched._can_ask():
        pytest.skip("this kernel cannot be asked for one map")
    with open("/proc/self/maps", "rb") as file:
        starts = [int(line.partition(b"-")[0], 16) for line in file if b"[v" not in line]  # the kernel's own, beyond
    for start in starts:
        asked, listed = untouched._asked(start), untouched._listed(start)
        # Where the list was made some maps have grown or gone.
        assert listed is None or asked.start != start or listed[2:4] == asked[2:4] or listed.end != asked.end
    asked, listed = untouched._asked(blob.address), untouched._listed(blob.address)
    assert asked == listed and asked.name == os.fsencode(blob.path)


def test_a_program_without_rights(blob):
    """A user who sees no frame numbers sees enough; one who may not look at its own pages knows nothing."""
    if not AS_ROOT:
        pytest.skip("this is no user with rights")
    for folder in (blob.path, *blob.path.parents):
        if folder == Path("/"):
            break
        if not folder.stat().st_mode & 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    code = """
        os.setgid(65534), os.setuid(65534)
        libc.prctl(4, 1, 0, 0, 0)  # may be looked at
        print(untouched.part_of(array) is not None)
        libc.prctl(4, 0, 0, 0, 0)  # may not
        print(untouched.part_of(array) is not None)
    """
    assert run_child(blob, code) == ["True", "False"]


def test_a_python_without_ctypes_or_fcntl(blob):
    """Values are restored, and nothing is known."""
    code = """
        print(untouched.part_of(array) is not None)
        sys.modules["ctypes"] = sys.modules["fcntl"] = None
        print(untouched.part_of(array) is not None, store.get({name!r}) is not None)
    """
    if sys.version_info < (3, 13):
        pytest.skip("maps need ctypes themselves")
    assert run_child(blob, code.replace("{name!r}", repr(blob.name))) == ["True", "False", "True"]


def test_a_program_without_proc(blob):
    """Nothing is known, and nothing is raised."""
    code = """
        if os.geteuid() or libc.unshare(0x20000): sys.exit(3)
        libc.mount(b"none", b"/", None, 0x44000, None)
        if libc.mount(b"none", b"/proc", b"tmpfs", 0, None): sys.exit(3)
        print(untouched.part_of(array) is not None)
    """
    assert run_child(blob, code) == ["False"]


@pytest.mark.parametrize("entry", [0, 0xA1 << 56, 0x81 << 56])
def test_a_page_map_that_lies(blob, entry):
    """A system that says the same of every page (as an emulator may) is found out by one page that is written on purpose."""
    code = f"""
        import struct
        if os.geteuid() or libc.unshare(0x20000): sys.exit(3)
        libc.mount(b"none", b"/", None, 0x44000, None)
        start, size = untouched._extent(array)
        with open("/tmp/blockcache-lie-%d" % os.getpid(), "wb") as file:
            file.truncate((1 << 47) // 4096 * 8 if not {entry} else 0)
            path = file.name
        if {entry}:
            # Too large to be written out: a page map of a few maps, in holes.
            with open(path, "r+b") as file:
                for line in open("/proc/self/maps"):
                    first, _, end = line.split()[0].partition("-")
                    if int(first, 16) < 1 << 47:
                        pages = (int(end, 16) - int(first, 16)) // 4096
                        file.seek(int(first, 16) // 4096 * 8)
                        file.write(struct.pack("<Q", {entry}) * pages)
                file.truncate((1 << 47) // 4096 * 8)
        done = libc.mount(path.encode(), b"/proc/%d/pagemap" % os.getpid(), None, 4096, None)
        try:
            if done: sys.exit(3)
            print(untouched.part_of(array) is not None)
        finally:
            os.unlink(path) if done else (libc.umount2(b"/proc/%d/pagemap" % os.getpid(), 2), os.unlink(path))
    """
    assert run_child(blob, code) == ["False"]
