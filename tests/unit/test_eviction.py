"""Which entries go: hand-made cases, and properties of random stores."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from blockcache.eviction import LEAST_WORTH, Entry, Limits, choose, worth

HOUR, DAY = 3600.0, 86_400.0


def _entry(path, *, work_s=1.0, idle_s=0.0, age_s=0.0, blobs=(), name="n", size_bytes=0, key=None):
    return Entry(path, name, key or path, age_s, idle_s, work_s, size_bytes, frozenset(blobs))


def _going(entries, sizes, most, **others):
    return [g.entry.path for g in choose(entries, sizes, Limits(max_bytes=most), **others)]


def test_slow_and_small_stays_quick_and_big_goes():
    """Of two entries used at the same time, the one that spares less work for its bytes goes."""
    entries = [_entry("slow small", work_s=100, blobs="a"), _entry("quick big", work_s=1, blobs="b")]
    assert _going(entries, {"a": 10, "b": 1000}, 1005) == ["quick big"]


def test_what_nobody_wants_goes_however_slow_it_was():
    """A day's work that was not used for a year makes room for a minute's work of today of the same size."""
    entries = [_entry("year", work_s=DAY, idle_s=3650 * DAY, blobs="a"), _entry("today", work_s=60, blobs="b")]
    assert _going(entries, {"a": 10, "b": 10}, 15) == ["year"]
    entries = [_entry("week", work_s=DAY, idle_s=7 * DAY, blobs="a"), _entry("today", work_s=60, blobs="b")]
    assert _going(entries, {"a": 10, "b": 10}, 15) == ["today"]


def test_of_the_same_worth_the_one_not_used_for_longest_goes():
    """An hour is no age; otherwise use decides."""
    entries = [_entry(f"{n}", idle_s=n * DAY, blobs=[f"b{n}"]) for n in (3, 1, 2)]
    assert _going(entries, dict.fromkeys(["b1", "b2", "b3"], 10), 25) == ["3"]
    assert worth(1, 10, 0) < 2.1 * worth(1, 10, HOUR)


def test_nothing_goes_below_the_limit_and_a_tenth_is_free_above():
    entries = [_entry(f"{n:03}", idle_s=n, blobs=[f"b{n}"]) for n in range(100)]
    sizes = {f"b{n}": 10 for n in range(100)}
    assert _going(entries, sizes, 1000) == []
    assert len(_going(entries, sizes, 999)) == 11
    assert len(_going(entries, sizes, 999, other_bytes=100)) == 21


def test_a_blob_that_another_needs_frees_nothing():
    """What a pinned entry or an unreadable manifest holds anyway does not count for those that share it."""
    entries = [
        _entry("pinned", work_s=0, blobs="s"),
        _entry("shares", blobs=["s", "a"]),
        _entry("alone", blobs=["b"], work_s=5),
    ]
    sizes = {"s": 1000, "a": 10, "b": 100}
    found = choose(entries, sizes, Limits(max_bytes=1100), spared={"pinned"})
    assert [(g.entry.path, g.freed_bytes) for g in found] == [("alone", 100), ("shares", 10)]
    found = choose(entries[1:], sizes, Limits(max_bytes=1100), needed={"s"})
    assert [(g.entry.path, g.freed_bytes) for g in found] == [("alone", 100), ("shares", 10)]


def test_entries_that_share_go_together():
    """Two quick entries with one big blob go before a slow one, although neither frees it alone."""
    entries = [_entry("a", blobs="s"), _entry("b", blobs="s"), _entry("slow", work_s=50, blobs="x")]
    found = choose(entries, {"s": 1000, "x": 200}, Limits(max_bytes=1000))
    assert [g.entry.path for g in found][2:] == [] and sum(g.freed_bytes for g in found) == 1000


def test_a_blob_of_thousands_is_no_trouble():
    """All entries of a loop share the block's sources."""
    entries = [_entry(f"{n:05}", idle_s=n, blobs=["texts", f"b{n}"]) for n in range(5000)]
    sizes = {"texts": 4096, **{f"b{n}": 4096 for n in range(5000)}}
    assert len(_going(entries, sizes, 4096 * 2500)) == 2751


def test_rules_say_why():
    """Time to live, time without use, newest of a name; pinned entries stay, and count among the newest."""
    entries = [_entry(f"{n}", age_s=n * DAY, idle_s=(9 - n) * DAY, blobs=[f"b{n}"]) for n in range(5)]
    sizes = {f"b{n}": 10 for n in range(5)}

    def whys(spared=(), **wanted):
        return {g.entry.path: g.why for g in choose(entries, sizes, Limits(**wanted), spared=spared)}

    assert whys(keep=3) == {"3": "3 newer of the name", "4": "3 newer of the name"}
    assert whys(keep=3, spared={"0", "4"}) == {"3": "3 newer of the name"}
    assert whys(ttl_s=3 * DAY) == dict.fromkeys("34", "older than the ttl")
    assert whys(idle_s=8 * DAY) == dict.fromkeys("01", "not used for so long")
    assert whys() == {}
    assert whys(keep=4, max_bytes=20) == {"4": "4 newer of the name", **dict.fromkeys("012", LEAST_WORTH)}


_BLOBS = [f"b{n}" for n in range(8)]
_entries = st.lists(
    st.builds(
        dict,
        work_s=st.floats(0, 1e5),
        idle_s=st.floats(0, 1e7),
        age_s=st.floats(0, 1e7),
        blobs=st.frozensets(st.sampled_from(_BLOBS), min_size=1, max_size=3),
        name=st.sampled_from("xy"),
        size_bytes=st.integers(1, 50),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=400)
@given(
    made=_entries,
    sizes=st.fixed_dictionaries({b: st.integers(0, 500) for b in _BLOBS}),
    pinned=st.sets(st.integers(0, 11)),
    needed=st.frozensets(st.sampled_from(_BLOBS), max_size=2),
    most=st.integers(0, 3000),
    other_bytes=st.integers(0, 300),
    keep=st.none() | st.integers(1, 4),
)
def test_choosing(made, sizes, pinned, needed, most, other_bytes, keep):
    """Whatever is in a store: pinned entries stay; enough goes, where there is enough; no more goes than is needed, the
    last one apart; what is said to be freed is what is freed; without shared blobs the most valuable stay."""
    entries = [_entry(f"{n:02}", **one) for n, one in enumerate(made)]
    spared = {f"{n:02}" for n in pinned}
    found = choose(
        entries, sizes, Limits(max_bytes=most, keep=keep), spared=spared, needed=needed, other_bytes=other_bytes
    )
    paths = [g.entry.path for g in found]
    assert len(set(paths)) == len(paths) and spared.isdisjoint(paths)

    def total(gone):
        left = [e for e in entries if e.path not in gone]
        held = needed.union(*(e.blobs for e in left))
        return other_bytes + sum(e.size_bytes for e in left) + sum(sizes[b] for b in held)

    for number, one in enumerate(found):
        assert one.freed_bytes == total(paths[:number]) - total(paths[: number + 1])
    by_rule = [g for g in found if g.why != LEAST_WORTH]
    after_rules = total([g.entry.path for g in by_rule])
    assert found[: len(by_rule)] == by_rule
    by_worth = paths[len(by_rule) :]
    assert bool(by_worth) <= (after_rules > most)
    if after_rules > most:
        may_go = {e.path for e in entries} - spared
        assert total(paths) <= 0.9 * most or set(paths) == may_go
        if by_worth:
            assert total(paths[:-1]) > int(0.9 * most)
    shared = [b for b in _BLOBS if sum(b in e.blobs for e in entries) + (b in needed) > 1]
    if not shared and by_worth:
        worths = {e.path: worth(e.work_s, e.size_bytes + sum(sizes[b] for b in e.blobs), e.idle_s) for e in entries}
        stay = {e.path for e in entries} - spared - set(paths)
        assert max(worths[p] for p in by_worth) <= min((worths[p] for p in stay), default=float("inf"))
