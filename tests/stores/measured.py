"""What every store must do that can be kept small. Its test file derives from the class and gives the ``store`` fixture."""

from __future__ import annotations

import threading
import time

import pytest

from blockcache.stores import Measured, is_measured

D1, D2 = "0123456789abcdef0123456789abcdef", "01ffffffffffffffffffffffffffffff"
NAMES = [f"blobs/{D1}", f"entries/{D1}/e.json", f"names/n/{D1}", f"pins/{D1}/e"]


def idle(store, name):
    """How long a name is idle, as the store says; None when it is not there."""
    return {kept.name: kept.idle_s for kept in store.survey("")}.get(name)


class MeasuredConformance:
    """Properties of one store's room."""

    @pytest.fixture
    def store(self) -> Measured:
        raise NotImplementedError

    def test_it_is_a_measured_store(self, store):
        assert isinstance(store, Measured) and is_measured(store)

    def test_a_survey_lists_what_list_lists(self, store):
        """The same names below the same folders, none of the store's own, each with what it takes up."""
        assert list(store.survey("")) == []
        for number, name in enumerate(NAMES):
            store.put(name, [b"x" * 10_000 * number])
        for folder in ("", "blobs", "entries", f"entries/{D1}", "names", "names/n", "pins", "nothing"):
            assert sorted(k.name for k in store.survey(folder)) == sorted(store.list(folder))
        found = {k.name: k for k in store.survey("")}
        for number, name in enumerate(NAMES):
            assert found[name].size_bytes >= 10_000 * number and 0 <= found[name].idle_s < 60

    def test_the_newest_names_are_those_put_last(self, store):
        """The last put comes first, however often it was put before; never more than asked for, none of a folder below."""
        assert store.newest("names/n", 3) == []
        for name in ("a", "b", "c", "d", "a"):
            store.put(f"names/n/{name}", [b"1"])
            time.sleep(0.02)
        store.put("names/n/below/e", [b"1"])
        assert store.newest("names/n", 3) == ["names/n/a", "names/n/d", "names/n/c"]
        assert store.newest("names/n", 9) == ["names/n/a", "names/n/d", "names/n/c", "names/n/b"]
        store.put(f"entries/{D1}/e.json", [b"1"])
        assert store.newest(f"entries/{D1}", 1) == [f"entries/{D1}/e.json"]

    @pytest.mark.parametrize("name", NAMES)
    def test_what_was_put_a_moment_ago_is_not_discarded(self, store, name):
        """Age is since the last put; what is gone, or was never there, is not discarded twice."""
        store.put(name, [b"1"])
        assert store.discard(name, 60) is False and store.exists(name)
        time.sleep(0.15)
        assert store.discard(name, 0.1) is True and not store.exists(name)
        assert store.discard(name, 0) is False

    def test_a_blob_that_is_found_by_a_put_is_young_again(self, store):
        """The writer that does not write it counts on it; its seal stays as it is."""
        name = f"blobs/{D1}"
        store.put(name, [b"same"])
        time.sleep(0.3)
        sealed = store.sealed(name)
        store.put(name, [b"same"])
        assert store.discard(name, 0.25) is False and store.get(name) == b"same" and store.sealed(name) is sealed
        time.sleep(0.3)
        store.put(name, iter([b"same"]))  # of unknown size
        assert store.discard(name, 0.25) is False

    def test_touching_a_blob_makes_it_young(self, store):
        name = f"blobs/{D1}"
        store.put(name, [b"same"])
        time.sleep(0.3)
        sealed = store.sealed(name)
        store.touch(name)
        assert store.discard(name, 0.25) is False and store.sealed(name) is sealed

    def test_touching_what_is_not_there_is_no_error(self, store):
        for name in NAMES:
            store.touch(name)
            assert not store.exists(name)

    def test_the_estimate_follows_what_is_put(self, store):
        """Unknown before somebody has counted; then what was counted and what was put since, by anybody."""
        store.put(f"blobs/{D1}", [b"1" * 1_000_000])
        assert store.room().filled_bytes is None
        store.settle(50_000_000)
        assert 50_000_000 <= store.room().filled_bytes < 50_200_000
        store.put(f"blobs/{D2}", [b"1" * 20_000_000])
        assert 69_900_000 < store.room().filled_bytes < 70_300_000
        for number in range(600):
            store.put(f"entries/{D1}/{number}.json", [b"x" * 9000])
        assert 75_000_000 < store.room().filled_bytes < 90_000_000
        store.settle(0)
        assert store.room().filled_bytes < 200_000
        assert store.room().free_bytes is None or store.room().free_bytes > 0

    def test_threads_add_to_one_estimate(self, store):
        store.put(f"entries/{D1}/e.json", [b""])
        store.settle(0)

        def work(number: int) -> None:
            for i in range(50):
                store.put(f"blobs/{number:016x}{i:016x}", [b"1" * 100_000])
                store.room()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 14_000_000 < store.room().filled_bytes < 30_000_000

    def test_one_is_alone(self, store):
        store.put(f"entries/{D1}/e.json", [b""])
        with store.alone() as first, store.alone() as second:
            assert (first, second) == (True, False)
        with store.alone() as again:
            assert again

    def test_tidying_keeps_every_name(self, store):
        for name in NAMES:
            store.put(name, [b"1"])
        assert store.tidy(0) >= 0
        assert sorted(store.list("")) == sorted(NAMES)
