"""Files behind values without content, and the probes that show when one was used."""

from __future__ import annotations

import sqlite3
import threading
import time
import types
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from blockcache.live import Live, is_plain
from blockcache.opaque import files_behind, state_of, tells_changes


def test_files_behind(tmp_path: Path) -> None:
    """Of open files that are read and of databases, also inside objects, generators and cursors."""
    text, database = tmp_path / "a.txt", tmp_path / "a.db"
    text.write_text("1\n2\n")

    class Client:
        def __init__(self, con: sqlite3.Connection) -> None:
            self.con = con

    with closing(sqlite3.connect(database)) as con, text.open() as file, (tmp_path / "new").open("w") as written:
        con.execute("create table t (n)")
        con.commit()
        con.row_factory = lambda cursor, row: "something else"
        for value in (con, con.cursor(), Client(con), {"con": [con]}):
            assert files_behind(value) == (str(database),)
        assert files_behind(file) == files_behind(line for line in file) == (str(text),)
        assert files_behind(written) == ()
    with closing(sqlite3.connect(":memory:")) as con:
        assert files_behind(con) == files_behind(threading.Lock()) == ()


@pytest.mark.parametrize(
    "statement",
    [
        "insert into t values (1)",
        "create table u (n)",
        "drop table t",
        "attach ':memory:' as other",
        "create temp table x (n)",
    ],
)
def test_a_connection_shows_its_changes(statement: str) -> None:
    """Rows, schemas, attached databases and transactions; a query changes nothing."""
    with closing(sqlite3.connect(":memory:")) as con:
        con.execute("create table t (n)")
        before = state_of(con)
        con.execute("select * from t").fetchall()
        assert state_of(con) == before
        con.execute(statement)
        assert state_of(con) != before
        assert tells_changes(con)


def test_what_was_used_up_shows(tmp_path: Path) -> None:
    """Generators, iterators and files that were read are in another state; what cannot be told is never the same."""
    (tmp_path / "a").write_text("1\n2\n")
    numbers, listed = (n for n in range(3)), iter([1, 2, 3])
    with (tmp_path / "a").open() as file, closing(sqlite3.connect(":memory:")) as con:
        for value, use in ((numbers, numbers.__next__), (listed, listed.__next__), (file, file.readline)):
            before = state_of(value)
            assert before == state_of(value)
            use()  # type: ignore[operator]
            assert state_of(value) != before
        assert state_of(numbers) != state_of(numbers)
        rows = con.execute("select 1")
        assert state_of(rows) != state_of(rows)
        fresh = con.cursor()
        assert state_of(fresh) == state_of(fresh)


def test_an_object_shows_its_visible_parts() -> None:
    """A counter beside a lock is seen to change."""

    class Client:
        def __init__(self) -> None:
            self.lock, self.calls = threading.Lock(), 0

    client = Client()
    before = state_of(client)
    assert before == state_of(client)
    client.calls += 1
    assert state_of(client) != before
    client.calls -= 1
    with client.lock:
        assert state_of(client) != before


def test_a_look_is_as_long_on_a_machine_that_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time in which others have the processor does not count, or a value would have a state on an idle machine only."""

    class Part:
        def __init__(self, wait: Callable[[], object]) -> None:
            self.lock, self.wait = threading.Lock(), wait

        def __getstate__(self) -> dict[str, object]:
            self.wait()
            return vars(self)

    def compute() -> None:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass

    def client(wait: Callable[[], object]) -> object:
        return types.SimpleNamespace(first=Part(wait), second=Part(wait), third=Part(wait))

    monkeypatch.setattr("blockcache.opaque._LONGEST_LOOK_S", 0.02)
    asleep, at_work = client(lambda: time.sleep(0.03)), client(compute)
    assert state_of(asleep) == state_of(asleep)
    assert state_of(at_work) != state_of(at_work)


SHARED: list[int] = []


def _stateless(n: int) -> int:
    return n + 1


def _stateful(n: int) -> None:
    SHARED.append(n)


def _calls(n: int) -> None:
    _stateful(n)


def test_what_code_touches() -> None:
    """A function counts with the state that it reaches, through other functions too."""
    live = Live(globals().get, globals())
    assert live.now("_stateless").settled and not live.now("_stateless").touches
    assert "SHARED" in live.now("_stateful").touches
    assert "SHARED" in live.now("_calls").touches
    assert not live.now("SHARED").fixed
    assert live.now("sqlite3").shared == "sqlite3"
    assert is_plain((1, "a", Path("x"))) and not is_plain((1, []))
