"""What every store must do. A store's test file derives from both classes and gives the ``store`` fixture.

Nothing here knows where the bytes are kept.
"""

from __future__ import annotations

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from blockcache.errors import StoreError
from blockcache.stores import Store

D1, D2 = "0123456789abcdef0123456789abcdef", "01ffffffffffffffffffffffffffffff"
SIZES = [0, 1, 4095, 65_535, 65_536, 65_537, 1_000_000]


class StoreConformance:
    """Properties of one store, used by one thread or several."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    def test_it_is_a_store(self, store):
        assert isinstance(store, Store)
        assert isinstance(store.url, str) and store.url

    def test_an_absent_name_is_no_error(self, store):
        for name in (f"blobs/{D1}", f"entries/{D1}/e.json", "names/n/d"):
            assert store.get(name) is None
            assert store.exists(name) is False
            assert store.delete(name) is False
            assert store.sealed(name) is False
            store.seal(name)
        assert (
            list(store.list("")) == [] and list(store.list("entries")) == [] and list(store.list(f"entries/{D1}")) == []
        )

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("family", ["blobs/{}", "entries/{}/e.json", "names/{}/d"])
    def test_bytes_come_back(self, store, size, family):
        data = bytes(i * 7 % 256 for i in range(min(size, 5000))) * (size // 5000 + 1)
        name = family.format(D1)
        store.put(name, [data[:size]])
        back = store.get(name)
        assert back == data[:size] and back.nbytes == size and back.format == "B"
        assert store.exists(name)

    def test_parts_are_joined_in_order_whatever_they_are(self, store):
        import array

        parts = [b"ab", bytearray(b"cd"), b"", memoryview(b"xefx")[1:3], memoryview(array.array("i", [1, 2]))]
        store.put("blobs/x1", iter(parts))
        assert store.get("blobs/x1") == b"abcdef" + array.array("i", [1, 2]).tobytes()
        many = [bytes([i % 256]) * (i % 5) for i in range(5000)]
        store.put("blobs/x2", many)
        assert store.get("blobs/x2") == b"".join(many)

    @pytest.mark.parametrize("size", [10, 1_000_000])
    def test_memory_is_the_caller_s_own(self, store, size):
        store.put("blobs/x1", [bytes(size)])
        first, second = store.get("blobs/x1"), store.get("blobs/x1")
        first[:] = b"\x01" * size
        assert not first.readonly and bytes(second) == bytes(size) and bytes(store.get("blobs/x1")) == bytes(size)

    @pytest.mark.parametrize("size", [10, 1_000_000])
    def test_memory_outlives_deleting_and_replacing(self, store, size):
        for name in ("blobs/x1", "entries/x1/e.json"):
            store.put(name, [b"a" * size])
            memory = store.get(name)
            assert store.delete(name) is True and store.get(name) is None
            store.put(name, [b"b" * size])
            assert bytes(memory) == b"a" * size and store.get(name) == b"b" * size

    def test_a_record_can_be_replaced(self, store):
        for data in (b"one", b"two", b""):
            store.put("entries/x1/e.json", [data])
            assert store.get("entries/x1/e.json") == data

    @pytest.mark.parametrize("name", ["leases/x1", "entries/x1/e.json", "blobs/x1"])
    def test_a_new_name_is_put_once(self, store, name):
        assert store.put_new(name, [b"on", b"e"]) is True and store.get(name) == b"one"
        assert store.put_new(name, iter([b"two"])) is False and store.get(name) == b"one"
        assert store.delete(name) is True
        assert store.put_new(name, [b"three"]) is True and store.get(name) == b"three"
        store.put(name, [b"three"])
        assert store.put_new(name, [b"four"]) is False and store.get(name) == b"three"

    def test_of_many_that_put_a_new_name_one_is_told_so(self, store):
        """And whoever is not finds the bytes of the one who is, whole."""
        won: list[list[int]] = [[] for _ in range(20)]
        trouble: list[object] = []
        start = threading.Barrier(8)

        def work(number: int) -> None:
            try:
                for i in range(20):
                    start.wait(30)
                    if store.put_new(f"leases/{i}", [bytes([number]) * 3000]):
                        won[i].append(number)
                    elif len({*store.get(f"leases/{i}")}) != 1 or len(store.get(f"leases/{i}")) != 3000:
                        trouble.append(i)
            except BaseException as error:
                trouble.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert trouble == [] and [len(numbers) for numbers in won] == [1] * 20
        assert [store.get(f"leases/{i}")[0] for i in range(20)] == [numbers[0] for numbers in won]

    @pytest.mark.parametrize("size", [0, 10, 20_000_000])
    def test_parts_are_the_bytes_and_may_be_put(self, store, size):
        """Piece by piece, so that what is larger than the memory can be read."""
        assert store.parts("blobs/x1") is None
        store.put("blobs/x1", [bytes(size - size // 2), b"\x01" * (size // 2)])
        store.put("entries/x1/e.json", store.parts("blobs/x1"))
        assert store.get("entries/x1/e.json") == store.get("blobs/x1")
        left = store.parts("blobs/x1")
        next(left, None)
        del left  # not drawn to the end

    def test_moving_keeps_the_bytes_and_forgets_the_name(self, store):
        assert store.move("blobs/x1", "quarantine/blobs/x1") is False
        for data in (b"one", b"two"):
            store.put("blobs/x1", [data])
            assert store.move("blobs/x1", "quarantine/blobs/x1") is True
            assert store.get("blobs/x1") is None and store.get("quarantine/blobs/x1") == data
            assert list(store.list("")) == ["quarantine/blobs/x1"]

    def test_putting_a_blob_again_is_fine(self, store):
        store.put("blobs/x1", [b"same"])
        store.put("blobs/x1", [b"same"])
        assert store.get("blobs/x1") == b"same" and list(store.list("blobs")) == ["blobs/x1"]

    def test_list_gives_the_names_below_a_folder(self, store):
        names = {f"blobs/{D1}", f"blobs/{D2}", f"entries/{D1}/a.json", f"entries/{D1}/b.json", f"entries/{D2}/a.json"}
        names |= {"names/my%20block/" + D1, "names/.hidden/" + D1, "names/x/" + D2}
        for name in names:
            store.put(name, [b"1"])
        assert sorted(store.list("")) == sorted(names)
        for folder in ("blobs", "entries", f"entries/{D1}", "names", "names/.hidden", "entries/"):
            assert sorted(store.list(folder)) == sorted(n for n in names if n.startswith(folder.rstrip("/") + "/"))
        assert list(store.list(f"entries/{D1[:8]}")) == [] and list(store.list(f"blobs/{D1}")) == []

    def test_deleting_while_listing_is_fine(self, store):
        for i in range(50):
            store.put(f"blobs/{i:032x}", [b"1"])
        for name in store.list("blobs"):
            store.delete(name)
        assert list(store.list("")) == []

    def test_sealed_is_never_true_for_what_is_not_there(self, store):
        store.put("blobs/x1", [b"1"])
        store.seal("blobs/x1")
        assert store.sealed("blobs/x1") in (True, False)
        store.delete("blobs/x1")
        assert store.sealed("blobs/x1") is False

    @pytest.mark.parametrize(
        "name", ["", "/", "/etc/passwd", "../x", "blobs/../../x", "blobs//x", "blobs/.", "blobs/", "a\0/b"]
    )
    def test_names_that_leave_the_store_are_refused(self, store, name):
        puts = (lambda n: store.put(n, [b""]), lambda n: store.put_new(n, [b""]))
        for use in (store.get, store.exists, store.delete, store.sealed, store.seal, *puts):
            with pytest.raises(StoreError):
                use(name)

    def test_a_name_in_any_script_is_kept_apart(self, store):
        names = ["names/é/x", "names/e/x", "names/日本/x", "names/a b/x", "names/%/x"]
        for name in names:
            store.put(name, [name.encode()])
        assert [bytes(store.get(n)).decode() for n in names] == names and sorted(store.list("")) == sorted(names)

    def test_threads_put_and_delete_the_same_names(self, store):
        trouble: list[object] = []

        def work(number: int) -> None:
            try:
                for i in range(60):
                    name = f"blobs/{i % 3:02x}"
                    store.put(name, [bytes([i % 3]) * 70_000])
                    memory = store.get(name)
                    if memory is not None and bytes(memory) != bytes([i % 3]) * 70_000:
                        trouble.append(name)
                    if (i + number) % 4 == 0:
                        store.delete(name)
            except BaseException as error:
                trouble.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert trouble == []


def store_machine(make_store) -> type:
    """A Hypothesis state machine that compares a fresh ``make_store()`` with a dictionary."""

    digests = st.sampled_from([D1, D2, "ab" * 16])
    records = st.one_of(
        st.builds("entries/{}/{}.json".format, digests, st.sampled_from("ab")),
        st.builds("names/{}/{}".format, st.sampled_from(["n", "a%20b", ".dot", "é"]), digests),
        st.builds("leases/{}".format, digests),
    )
    blobs = st.builds("blobs/{}".format, digests)
    contents = st.one_of(st.binary(max_size=20), st.integers(65_530, 65_540).map(lambda n: b"z" * n))

    class Machine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.store = make_store()
            self.model: dict[str, bytes] = {}
            self.held: list[tuple[memoryview, bytes]] = []

        @rule(name=records, data=contents)
        def put_record(self, name, data):
            self.store.put(name, [data[:3], data[3:]])
            self.model[name] = data

        @rule(name=st.one_of(records, blobs), data=contents)
        def put_new(self, name, data):
            data = name.encode() * 3000 if name.startswith("blobs/") else data
            assert self.store.put_new(name, [data[:3], data[3:]]) is (name not in self.model)
            self.model.setdefault(name, data)

        @rule(name=blobs)
        def put_blob(self, name):
            self.model[name] = name.encode() * 3000
            self.store.put(name, [self.model[name]])

        @rule(name=st.one_of(records, blobs), write=st.booleans())
        def get(self, name, write):
            memory = self.store.get(name)
            assert (None if memory is None else bytes(memory)) == self.model.get(name)
            if memory is not None:
                if write:
                    memory[:] = bytes(len(memory))
                self.held.append((memory, bytes(memory)))

        @rule(name=st.one_of(records, blobs))
        def delete(self, name):
            assert self.store.delete(name) is (self.model.pop(name, None) is not None)

        @rule(name=st.one_of(records, blobs))
        def seal(self, name):
            self.store.seal(name)

        @rule(folder=st.sampled_from(["", "blobs", "entries", f"entries/{D1}", "names/n"]))
        def list(self, folder):
            expected = [n for n in self.model if not folder or n.startswith(folder + "/")]
            assert sorted(self.store.list(folder)) == sorted(expected)

        @invariant()
        def names_agree(self):
            for name in (f"blobs/{D1}", f"entries/{D2}/a.json"):
                assert self.store.exists(name) is (name in self.model)
                assert not self.store.sealed(name) or name in self.model

        @invariant()
        def memory_is_untouched(self):
            assert all(bytes(memory) == data for memory, data in self.held)

    Machine.TestCase.settings = settings(deadline=None, max_examples=40, stateful_step_count=30)
    return Machine.TestCase
