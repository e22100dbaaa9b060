"""File systems that other machines change: found by their mount, read instead of mapped, and never believed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest
from click.testing import CliRunner

from blockcache import mounts
from blockcache.cli import main
from blockcache.mounts import is_shared, kind_of
from blockcache.stores import local
from blockcache.stores.local import LocalStore

MOUNTS = b"""\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /home rw,relatime shared:2 master:3 - nfs4 server:/home rw,vers=4.2
23 22 8:2 / /home/ada/local\\040disk rw - xfs /dev/sdb rw
24 21 0:31 / /mnt/data rw - cifs //server/data rw
25 24 0:32 / /mnt/data rw - tmpfs none rw
26 21 0:33 / /mnt/ssh rw,nosuid - fuse.sshfs ada@server: rw
27 21 0:34 / /mnt/caf\xc3\xa9 rw - 9p share rw
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "mountinfo").write_bytes(MOUNTS)
    return str(tmp_path / "mountinfo")


@pytest.mark.parametrize(
    "folder, kind",
    [
        ("/srv/x", "ext4"),
        ("/homework", "ext4"),
        ("/home/ada/project/.blockcache", "nfs4"),
        ("/home/ada/local disk/.blockcache", "xfs"),
        ("/home/ada/local", "nfs4"),
        ("/mnt/data/x", "tmpfs"),
        ("/mnt/ssh", "fuse.sshfs"),
        ("/mnt/café/x", "9p"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(table, folder, kind):
    """The longest mount point above counts, the later of two at one place; odd names too."""
    assert kind_of(folder, table) == kind


def test_without_a_table_nothing_is_known(tmp_path):
    assert kind_of("/", str(tmp_path / "none")) == "" and not is_shared("")


def test_network_file_systems_are_told_from_disks():
    assert all(map(is_shared, ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.rclone", "lustre", "virtiofs")))
    assert not any(map(is_shared, ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "apfs")))


@pytest.fixture
def fuse_folder(tmp_path, request):
    """A real FUSE file system over a folder, which remembers files for a minute or as told; where bindfs is installed."""
    seconds = getattr(request, "param", 60)
    below, above = tmp_path / "below", tmp_path / "above"
    below.mkdir(), above.mkdir()
    mount = ["bindfs", "-o", f"attr_timeout={seconds},entry_timeout={seconds}", below, above]
    if shutil.which("bindfs") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no bindfs, or no FUSE")
    yield below, above
    subprocess.run(["fusermount", "-u", "-z", above], check=False)


def test_a_real_network_like_mount_is_read_and_hashed(fuse_folder):
    """A file that another machine truncates or deletes is no crash; what it changes behind this one's back is not believed."""
    below, above = fuse_folder
    store = LocalStore(above / "store")
    data = os.urandom(3 << 20)
    store.put("blobs/abcdef", [data])
    memory = store.get("blobs/abcdef")
    assert not store.sealed("blobs/abcdef")
    store.seal("blobs/abcdef")
    assert not store.sealed("blobs/abcdef")
    os.truncate(below / "store/blobs/ab/abcdef", 5)  # under a map: SIGBUS
    assert bytes(memory) == data
    local = LocalStore(below / "store")
    local.put("blobs/abcdef", [data])
    assert local.sealed("blobs/abcdef") and bytes(store.get("blobs/abcdef")) == data


def test_folders_that_another_machine_has_removed_are_made_again(fuse_folder):
    """Also those above, which this machine remembers."""
    below, above = fuse_folder
    store = LocalStore(f"{above}/store")
    for name in (f"entries/{'ab' * 16}/entry.json", "names/a/b", f"blobs/{'cd' * 16}"):
        store.put(name, [b"1"])
        assert bytes(store.get(name)) == b"1"
        shutil.rmtree(f"{below}/store/{name.partition('/')[0]}")
        store.put(name, [b"2"])
        assert bytes(store.get(name)) == b"2"


@pytest.mark.parametrize("fuse_folder", [0], indirect=True)
def test_a_file_that_another_machine_removes_while_it_is_read(fuse_folder, monkeypatch):
    """What was open is gone on such a mount, which is no trouble; one that was replaced is read, as it was or is."""
    below, above = fuse_folder
    store, elsewhere = LocalStore(above / "store"), LocalStore(below / "store")
    opened, changes = local._open, []

    def open_and_change(path):
        fd = opened(path)
        if changes:
            changes.pop()()
        return fd

    monkeypatch.setattr(local, "_open", open_and_change)
    elsewhere.put("names/a/b", [b"1"])
    changes.append(lambda: elsewhere.put("names/a/b", [b"2"]))
    assert bytes(store.get("names/a/b")) in (b"1", b"2")
    changes.append(lambda: elsewhere.delete("names/a/b"))
    assert store.get("names/a/b") is None


def test_config_tells_what_kind_of_file_system_the_store_is_on(fuse_folder):
    """Once, where a person looks; not at every run."""
    below, above = fuse_folder

    def config(place, *options):
        return CliRunner().invoke(main, ["--store", str(place / "store"), "config", *options]).output

    assert "every byte is read and hashed" in config(above) and "hashed" not in config(below)
    assert json.loads(config(above, "--json"))["file_system"].startswith("fuse")


def test_a_block_on_such_a_mount_hits(fuse_folder, project):
    """Saved and given back through it, without a warning."""
    _, above = fuse_folder
    project.write(
        main="""\
import numpy as np
from blockcache import cached_block
with cached_block("work"):
    large = np.arange(400_000.0)
print(large.sum())
"""
    )
    for outcome in ("miss", "hit", "hit"):
        ran = project.run(env={"BLOCKCACHE_STORE": str(above / "store")})
        assert ran.outcomes == [outcome] and "Warning" not in ran.stderr and ran.stdout == "79999800000.0\n"


def test_a_file_that_another_machine_changed_is_an_edit(fuse_folder, project):
    """Although the system remembers how it stood: declared or read by the body, changed, gone or new."""
    below, above = fuse_folder
    for name in ("read.txt", "declared.txt"):
        (below / name).write_text("one")
    time.sleep(2.2)  # a younger file is read again in any case
    project.write(
        main=f"""\
import os, pathlib, sys
from blockcache import cached_block
above, below = pathlib.Path({str(above)!r}), pathlib.Path({str(below)!r})
def work():
    with cached_block("work", inputs=[str(above / "declared.txt")]) as block:
        text = (above / "read.txt").read_text() + (above / "declared.txt").read_text()
        more = (above / "new.txt").exists()
    print(block.hit, text, more)
work(), work()
for name, content in (("read.txt", "two!"), ("declared.txt", "three"), ("new.txt", "")):
    before = os.path.exists(above / name) and os.stat(above / name).st_size
    (below / name).write_text(content)
    if before: assert os.stat(above / name).st_size == before, "this mount forgets"
    work()
"""
    )
    ran = project.run()
    assert ran.stdout.splitlines() == [
        "False oneone False",
        "True oneone False",
        "False two!one False",
        "False two!three False",
        "False two!three True",
    ], ran.stderr


def test_a_mount_is_looked_up_once(tmp_path, monkeypatch):
    """The table is read for the first large file of a store, not for each."""
    store = LocalStore(tmp_path / "store")
    store.put("blobs/abcdef", [bytes(100_000)])
    store.get("blobs/abcdef")
    monkeypatch.setattr(mounts, "kind_of", lambda folder: "nfs4")
    store.get("blobs/abcdef")
    assert store.sealed("blobs/abcdef")
