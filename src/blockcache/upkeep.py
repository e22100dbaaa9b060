"""What a passage does for the room in its store: notes what is used, makes room after a save, keeps what is worth it.

A result that takes longer to load than to make is not worth keeping. That is believed only when it was seen: a hit
whose values took the processor at least twice as long to decode as the body had taken that made them, and so long
that somebody may notice. Then that entry goes, and on this machine no run of the block is saved that is so much quicker
than loading was. What a body does beside its result (draws that nobody seeded, the network, output files) may be why
somebody wants it kept: such an entry stays, as one that is pinned does, and any under the setting ``save_always``.
"""

from __future__ import annotations

from blockcache import capacity, loading, records, report, telling
from blockcache.errors import StoreError
from blockcache.model import Hit, Manifest, Miss
from blockcache.naming import entry_name, pin_name
from blockcache.passage import Passage
from blockcache.stores import is_measured

#: How many times longer than running loading must take, and how long.
_TIMES = 2.0
_FELT_S = 0.05
#: Nothing below this size takes so long.
_FEW_BYTES = 50_000

# By block: seconds that loading took where it was found to be slower than running, else None.
_loading_s: dict[tuple[str, str, str], float | None] = {}
_told: set[tuple[str, str, str]] = set()


# -- room ----------------------------------------------------------------------------------


def used(run: Passage, hit: Hit) -> None:
    """Note that an entry was used, so that it is not among the first to go; one that loads too slowly goes now."""
    if run.settings.mode != "on":
        return
    run_s = hit.manifest.provenance.duration_s
    if hit.decode_s > max(_TIMES * run_s, _FELT_S) and _may_go(run, hit.manifest):
        _loading_s[_block(run)] = hit.decode_s
        records.save(_record(run), hit.decode_s)
        _told.add(_block(run))
        gone = ": it is not kept any more" if _drop(run, hit.manifest) else ""
        run.notes.append(_slower(run_s, hit.decode_s) + gone)
    elif is_measured(run.store):
        run.store.touch(entry_name(hit.manifest.key, hit.manifest.entry_id))


def check_size(run: Passage, size_bytes: int) -> None:
    """Refuse an entry that would fill the store alone: it would go again at once.

    Raises
    ------
    StoreError
        When it would.
    """
    most = capacity.max_bytes(run.store, run.settings)
    if most is not None and size_bytes > most:
        of = "a tenth of the disk" if run.settings.max_size is None else run.settings.origin["max_size"]
        raise StoreError(
            f"its {report.size(size_bytes)} are more than the store may hold ({report.size(most)}, {of}): "
            "raise the setting max_size"
        )


def make_room(run: Passage, manifest: Manifest) -> None:
    """Take out of the store what it has no room for, now that an entry was saved; trouble is one warning."""
    done = None
    try:
        if isinstance(run.result, Miss) and run.result.crowded:
            _thin_out(run, manifest)
        if capacity.seems_full(run.store, run.settings):
            from blockcache import room  # most saves do without

            done = room.after_save(run.store, run.settings, entry_name(manifest.key, manifest.entry_id))
    except Exception as error:
        result = run.result
        telling.trouble(run, error)
        run.result = result  # why it missed is still true
        return
    if done is not None and done.sent:
        run.notes.append("makes room in the background")
    elif done is not None and done.freed_bytes:
        went = len(done.going)
        entries = f"{went} {'entry' if went == 1 else 'entries'}" if went else "leftovers"
        run.notes.append(f"made room: {entries}, {report.size(done.freed_bytes)}")


def _thin_out(run: Passage, manifest: Manifest) -> None:
    """Of a key's entries that look at different things leave half of what a lookup asks, those that were used last."""
    if not is_measured(run.store):
        return
    idle_s: dict[str, float] = {}
    names: dict[str, list[str]] = {}
    for kept in run.store.survey(f"entries/{manifest.key.digest}"):
        group = loading.group_of(kept.name.rpartition("/")[2])
        names.setdefault(group, []).append(kept.name)
        idle_s[group] = min(kept.idle_s, idle_s.get(group, kept.idle_s))
    for group in sorted(names, key=idle_s.__getitem__)[loading.MOST_GROUPS // 2 :]:
        for name in names[group]:
            if not run.store.exists(pin_name(name)):
                run.store.discard(name, idle_s[group])


# -- what takes longer to load than to make ------------------------------------------------


def why_not(run: Passage, manifest: Manifest) -> str:
    """Why an entry is not loaded: its block runs quicker than it loads, and it goes; empty where it is to be loaded."""
    is_small = manifest.size_bytes < _FEW_BYTES and not manifest.is_coded
    if run.settings.mode != "on" or run.asks_only or is_small:
        return ""
    load_s, run_s = _known(run), manifest.provenance.duration_s
    if load_s is None or load_s <= _TIMES * run_s or not _may_go(run, manifest):
        return ""
    _drop(run, manifest)
    return _slower(run_s, load_s)


def is_quick(run: Passage, *, matters: bool) -> bool:
    """Whether what the body made is not worth saving, which is said once; ``matters``: it did more than compute."""
    if matters or run.settings.save_always or run.settings.mode != "on":
        return False
    load_s = _known(run)
    if load_s is None or run.body_s is None or load_s <= _TIMES * run.body_s:
        return False
    run.obstacle = "slower to load than to run"
    if _block(run) not in _told:
        _told.add(_block(run))
        run.notes.append(_slower(run.body_s, load_s))
    return True


def _may_go(run: Passage, manifest: Manifest) -> bool:
    """Whether nobody can want an entry for anything but the time that it spares."""
    if run.settings.save_always or manifest.untracked or manifest.files:
        return False
    try:
        return not run.store.exists(pin_name(entry_name(manifest.key, manifest.entry_id)))
    except StoreError:  # it may be pinned
        return False


def _drop(run: Passage, manifest: Manifest) -> bool:
    """Whether the entry could be deleted; a store that this user may not write keeps it, which is no trouble."""
    try:
        return run.store.delete(entry_name(manifest.key, manifest.entry_id))
    except StoreError:
        return False


def _known(run: Passage) -> float | None:
    """How long loading takes on this machine, where it was found to be slower than running."""
    block = _block(run)
    if block not in _loading_s:
        found = records.load(_record(run))
        _loading_s[block] = found if isinstance(found, float) else None
    return _loading_s[block]


def _block(run: Passage) -> tuple[str, str, str]:
    """What tells a block from others; all calls have the same digest."""
    return run.block.digest, run.name, run.place.file


def _record(run: Passage) -> str:
    return records.name_of("slower to load", *_block(run))


def _slower(run_s: float, load_s: float) -> str:
    return f"loading takes {report.duration(load_s)} and running {report.duration(run_s)}"
