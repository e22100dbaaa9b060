"""What a passage does for the room in its store: it notes what is used, and makes room after a save."""

from __future__ import annotations

from blockcache import report, telling
from blockcache.errors import StoreError
from blockcache.model import Manifest
from blockcache.naming import entry_name
from blockcache.passage import Passage
from blockcache.stores import is_measured


def used(run: Passage, manifest: Manifest) -> None:
    """Note that an entry was used, so that it is not among the first to go."""
    store = run.store
    if run.settings.mode == "on" and is_measured(store):
        store.touch(entry_name(manifest.key, manifest.entry_id))


def check_size(run: Passage, size_bytes: int) -> None:
    """Refuse an entry that would fill the store alone: it would go again at once.

    Raises
    ------
    StoreError
        When it would.
    """
    from blockcache import room  # only a save needs it

    most = room.max_bytes(run.store, run.settings)
    if most is not None and size_bytes > most:
        of = "a tenth of the disk" if run.settings.max_size is None else run.settings.origin["max_size"]
        raise StoreError(
            f"its {report.size(size_bytes)} are more than the store may hold ({report.size(most)}, {of}): "
            "raise the setting max_size"
        )


def make_room(run: Passage, manifest: Manifest) -> None:
    """Take out of the store what it has no room for, now that an entry was saved; trouble is one warning."""
    from blockcache import room

    try:
        done = room.after_save(run.store, run.settings, entry_name(manifest.key, manifest.entry_id))
    except Exception as error:
        result = run.result
        telling.trouble(run, error)
        run.result = result  # why it missed is still true
        return
    if done is not None and done.freed_bytes:
        went = len(done.going)
        entries = f"{went} {'entry' if went == 1 else 'entries'}" if went else "leftovers"
        run.notes.append(f"made room: {entries}, {report.size(done.freed_bytes)}")
