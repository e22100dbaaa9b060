"""Values without content: a block that uses a connection, a client, a lock hits by the code that made it."""

from __future__ import annotations

import textwrap

import pytest

from projects import Project

QUERY = """\
import sqlite3
from blockcache import cached_block
from opening import open_it

path = "shop.db"
limit = 10
unrelated = 1
con = open_it(path)
con.execute("create table if not exists t (n)")
con.row_factory = None
print(unrelated)
with cached_block("query") as block:
    rows = con.execute("select n from t order by n").fetchall()
print("rows", rows, con.execute("select 1").fetchone(), block.hit)
"""
OPENING = """\
import sqlite3

def open_it(path):
    # a helper
    con = sqlite3.connect(path)
    con.create_function("twice", 1, lambda n: 2 * n)
    return con
"""
FILL = """\
import sqlite3, sys
con = sqlite3.connect(sys.argv[1])
con.execute("create table if not exists t (n)")
con.execute("insert into t values (?)", (int(sys.argv[2]),))
con.commit()
"""


def fill(project: Project, database: str, number: int) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(project.folder / database)) as con:
        con.execute("create table if not exists t (n)")
        con.execute("insert into t values (?)", (number,))
        con.commit()


@pytest.fixture
def shop(project: Project) -> Project:
    """A project that has run its query once."""
    project.write(main=QUERY, opening=OPENING)
    fill(project, "shop.db", 1)
    assert project.run().outcomes == ["miss"]
    return project


def reason(project: Project) -> str:
    """What the only block of a run says of its miss; nothing when it hits."""
    event = project.run().events[-1]
    assert not event["problem"], event
    return event["reason"] if event["outcome"] == "miss" else ""


def test_a_query_on_a_connection_made_outside_hits(shop: Project) -> None:
    """In a second process, and the connection is the live one."""
    ran = shop.run()
    assert ran.outcomes == ["hit"]
    assert "rows [(1,)] (1,) True" in ran.stdout


@pytest.mark.parametrize(
    ("old", "new", "file", "named"),
    [
        ("exists t (n)", "exists t (n integer)", "main", "con"),
        ("con.row_factory = None", "con.text_factory = bytes", "main", "con"),
        ('path = "shop.db"', 'path = "other.db"', "main", "path"),
        ("2 * n", "3 * n", "opening", "open_it"),
        ("order by n", "order by -n", "main", "code"),
        ('con = open_it(path)', 'con = sqlite3.connect(path)', "main", "con"),
        ("print(unrelated)", "other = con\nother.execute('pragma cache_size = 10')", "main", "con"),
    ],
)  # fmt: skip
def test_an_edit_of_what_made_it_misses(shop: Project, old: str, new: str, file: str, named: str) -> None:
    """And the line names what changed."""
    fill(shop, "other.db", 1)
    text = {"main": QUERY, "opening": OPENING}[file]
    assert old in text
    shop.write(**{file: text.replace(old, new)})
    assert named in reason(shop)


def test_a_changed_table_misses(shop: Project) -> None:
    """The file of the database counts by content."""
    fill(shop, "shop.db", 2)
    assert "shop.db" in reason(shop)
    assert not reason(shop)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("unrelated = 1", "unrelated = 2"),
        ("print(unrelated)", "print('something else', unrelated)"),
        ("limit = 10", "limit = [11]"),
        ("path = ", "# the shop\n\npath   = "),
        ("unrelated = 1", "import json\nunrelated = json.dumps({})"),
    ],
)
def test_an_edit_that_has_nothing_to_do_with_it_hits(shop: Project, old: str, new: str) -> None:
    """Other variables, prints, comments and formatting are not part of the path."""
    shop.write(main=QUERY.replace(old, new), opening=OPENING.replace("# a helper", ""))
    assert not reason(shop)


def program(body: str) -> str:
    return "import sqlite3\nfrom blockcache import cached_block\n" + textwrap.dedent(body)


#: name -> (program, edit that must miss, edit that must hit)
KINDS = {
    "parameter": (
        """
        def query(con, least):
            with cached_block("b"):
                rows = con.execute("select ? + n from t", (least,)).fetchall()
            return rows

        def main(number, other):
            con = sqlite3.connect(":memory:")
            con.execute("create table t (n)")
            con.execute("insert into t values (?)", (number,))
            other += 1
            return query(con, 1)

        print(main(5, 7))
        """,
        ("main(5, 7)", "main(6, 7)"),
        ("main(5, 7)", "main(5, 8)"),
    ),
    "loop": (
        """
        total = []
        for name in [":memory:", ""]:
            con = sqlite3.connect(name)
            con.execute("create table t as select 1 as n")
            with cached_block("b"):
                rows = con.execute("select n from t").fetchall()
            total.append(rows)
        print(total)
        """,
        ("select 1 as n", "select 2 as n"),
        ("total.append(rows)", "total.extend(rows)"),
    ),
    "used by earlier iterations": (
        """
        import socket
        ends = socket.socketpair()
        total = []
        for number in range(1, 4):
            with cached_block("b"):
                ends[0].send(bytes([number]))
                y = list(ends[1].recv(1))
            total.append(y)
        print(total)
        """,
        ("bytes([number])", "bytes([number + 1])"),
        ("range(1, 4)", "range(1, 3)"),
    ),
    "changed by earlier iterations": (
        """
        con = sqlite3.connect(":memory:")
        con.execute("create table t (n)")
        for number in range(2):
            with cached_block("b"):
                rows = con.execute("select n from t").fetchall()
            con.execute("insert into t values (?)", (number * 1,))
        print(rows)
        """,
        ("number * 1", "number * 2"),
        ("print(rows)", "print('rows')"),
    ),
    "lock": (
        """
        import threading
        class Guarded:
            def __init__(self, n):
                self.lock, self.n = threading.Lock(), n
            def get(self):
                with self.lock:
                    return self.n
        guarded = Guarded(3)
        x = 1
        with cached_block("b"):
            y = guarded.get()
        print(y)
        """,
        ("Guarded(3)", "Guarded(4)"),
        ("x = 1", "x = 2"),
    ),
    "client": (
        """
        import socket
        class Client:
            def __init__(self, scale):
                self.here, self.there = socket.socketpair()
                self.scale = scale
            def ask(self, n):
                self.here.send(bytes([n]))
                return self.there.recv(1)[0] * self.scale
        client = Client(2)
        x = 1
        with cached_block("b"):
            y = client.ask(20)
        print(y)
        """,
        ("* self.scale", "+ self.scale"),
        ("x = 1", "x = [2]"),
    ),
    "name of an open file": (
        """
        text = open("pyproject.toml")
        x = 1
        with cached_block("b"):
            y = text.name
        print(y)
        """,
        ('open("pyproject.toml")', 'open("main.py")'),
        ("x = 1", "x = 2"),
    ),
    "with around": (
        """
        from contextlib import closing
        with closing(sqlite3.connect(":memory:")) as con:
            con.execute("create table t as select 1 as n")
            if con:
                with cached_block("b"):
                    rows = con.execute("select n from t").fetchall()
        print(rows)
        """,
        ("select 1 as n", "select 2 as n"),
        ("print(rows)", "print('rows')"),
    ),
    "bound by a helper": (
        """
        con = None
        number = 1
        def connect():
            global con
            con = sqlite3.connect(":memory:")
            con.execute(f"create table t as select {number} as n")
        connect()
        x = 1
        with cached_block("b"):
            rows = con.execute("select n from t").fetchall()
        print(rows)
        """,
        ("number = 1", "number = 2"),
        ("x = 1", "x = 2"),
    ),
    "an earlier block": (
        """
        con = sqlite3.connect(":memory:")
        con.execute("create table t (n)")
        with cached_block("first"):
            numbers = [1, 2]
        con.executemany("insert into t values (?)", [(n,) for n in numbers])
        del numbers
        with cached_block("b"):
            rows = con.execute("select n from t").fetchall()
        print(rows)
        """,
        ("[1, 2]", "[1, 3]"),
        ("print(rows)", "print('rows')"),
    ),
    "in a container": (
        """
        con = sqlite3.connect(":memory:")
        tools = {"con": con, "limit": 5}
        con.execute("create table t as select 1 as n")
        def helper():
            return tools["con"].execute("select n from t").fetchall()
        with cached_block("b"):
            rows = helper()
        print(rows)
        """,
        ("select 1 as n", "select 2 as n"),
        ("print(rows)", "print('rows')"),
    ),
    "filled from a value": (
        """
        numbers = [int(line) for line in open("numbers.txt")]
        con = sqlite3.connect(":memory:")
        con.execute("create table t (n)")
        con.executemany("insert into t values (?)", [(n,) for n in numbers])
        with cached_block("b"):
            rows = con.execute("select n from t").fetchall()
        print(rows)
        """,
        ("numbers.txt", "more.txt"),
        ("print(rows)", "print('rows')"),
    ),
    "a decorated function": (
        """
        import functools
        def logged(function):
            @functools.wraps(function)
            def inner(*args):
                return function(*args)
            return inner
        @logged
        def query(con):
            with cached_block("b"):
                rows = con.execute("select n from t").fetchall()
            return rows
        con = sqlite3.connect(":memory:")
        con.execute("create table t as select 1 as n")
        x = 1
        print(query(con))
        """,
        ("select 1 as n", "select 2 as n"),
        ("x = 1", "x = 2"),
    ),
    "environment": (
        """
        import os
        con = sqlite3.connect(":memory:")
        con.execute("create table t as select " + os.environ.get("HOME", "1").replace(os.environ["HOME"], "1") + " as n")
        x = 1
        with cached_block("b"):
            rows = con.execute("select n from t").fetchall()
        print(rows)
        """,
        ('environ["HOME"], "1"', 'environ["HOME"], "2"'),
        ("x = 1", "x = 2"),
    ),
    "a parameter that is also a global": (
        """
        con = sqlite3.connect(":memory:")
        con.execute("create table t (n)")
        def fill(n):
            con.execute("insert into t values (?)", (n,))
        def query(given):
            fill(5)
            with cached_block("b"):
                rows = given.execute("select n from t").fetchall()
            return rows
        x = 1
        print(query(con))
        """,
        ("fill(5)", "fill(6)"),
        ("x = 1", "x = 2"),
    ),
    "a name that meant something else": (
        """
        number = 1
        con = sqlite3.connect(":memory:")
        con.execute(f"create table t as select {number} as n")
        number = 5
        x = 1
        with cached_block("b"):
            rows = con.execute("select n from t").fetchall()
        print(rows)
        """,
        ("number = 1", "number = 2"),
        ("x = 1", "x = 2"),
    ),
    "a helper that was defined again": (
        """
        def make():
            con = sqlite3.connect(":memory:")
            con.execute("create table t as select 1 as n")
            return con
        con = make()
        def make():
            return 5
        x = 1
        with cached_block("b"):
            rows = con.execute("select n from t").fetchall()
        print(rows)
        """,
        ("select 1", "select 2"),
        ("return 5", "return 6"),
    ),
    "a class with shared state": (
        """
        import threading
        class Pool:
            made = []
            def __init__(self, n):
                self.lock = threading.Lock()
                self.made.append(n)
            def total(self):
                return sum(self.made)
        first = Pool(1)
        second = Pool(2)
        x = 1
        with cached_block("b"):
            y = second.total()
        print(y)
        """,
        ("Pool(1)", "Pool(3)"),
        ("x = 1", "x = 2"),
    ),
    "logger": (
        """
        import logging
        log = logging.getLogger("a")
        with cached_block("b"):
            log.info("x")
            y = 1
        print(y)
        """,
        ("y = 1", "y = 2"),
        ("print(y)", "print('y')"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_values_and_places(project: Project, kind: str) -> None:
    """Each hits in a second process, misses when what made it is edited, and not for another edit."""
    text, miss, hit = KINDS[kind]
    source = program(text)
    (project.folder / "numbers.txt").write_text("1\n2\n")
    (project.folder / "more.txt").write_text("1\n3\n")
    project.write(main=source)
    ran = project.run()
    assert not any(event["problem"] for event in ran.events), ran.events
    again = project.run()
    assert set(again.outcomes) == {"hit"} and again.stdout == ran.stdout

    assert source.count(hit[0]) == 1 and source.count(miss[0]) == 1
    project.write(main=source.replace(*hit))
    assert set(project.run().outcomes) == {"hit"}
    project.write(main=source.replace(*miss))
    edited = project.run()
    assert "miss" in edited.outcomes
    assert edited.stdout == project.run(env={"BLOCKCACHE_MODE": "off"}).stdout


#: name -> (program, what the line says)
UNSAVED = {
    "generator": ("numbers = (n for n in range(5))", "y = sum(numbers)", "changes numbers in place"),
    "file": ('text = open("main.py")', "y = text.read()", "changes text in place"),
    "cursor": (
        'rows = sqlite3.connect(":memory:").execute("select 1")',
        "y = rows.fetchall()",
        "changes rows in place",
    ),
    "iterator": ("numbers = iter([1, 2])", "y = next(numbers)", "changes numbers in place"),
    "written": (
        'con = sqlite3.connect(":memory:")\ncon.execute("create table t (n)")',
        'y = con.execute("insert into t values (1)").rowcount',
        "changes con in place",
    ),
    "exec": ('exec("import threading; lock = threading.Event()")', "y = lock.is_set()", "lock"),
}


@pytest.mark.parametrize("kind", UNSAVED)
def test_what_is_used_up_or_cannot_be_known_is_not_saved(project: Project, kind: str) -> None:
    """The body runs every time, its result stands, and the line says why."""
    before, body, said = UNSAVED[kind]
    project.write(main=program(f"{before}\nwith cached_block('b'):\n    {body}\nprint(y)\n"))
    for _ in range(2):
        ran = project.run()
        assert ran.outcomes == ["miss"]
        assert said in ran.events[0]["problem"], ran.events


def test_a_value_that_a_loop_has_changed_is_refused(project: Project) -> None:
    """How often an earlier iteration changed a client is not told by any statement."""
    project.write(
        main=program(
            """
            import socket
            ends = socket.socketpair()
            for number in range(2):
                ends[0].send(b"x")
                with cached_block("b"):
                    y = ends[1].fileno() > 0
            """
        )
    )
    ran = project.run()
    assert ran.outcomes == ["miss", "miss"]
    assert all("earlier iterations of the loop at line 6" in event["problem"] for event in ran.events), ran.events


DATABASE = """\
import sqlite3

LABEL = "x"
con = sqlite3.connect(":memory:")
con.execute("create table t as select 1 as n")
other = 2


def query():
    return con.execute("select n from t").fetchall()
"""


def test_a_connection_of_another_module(project: Project) -> None:
    """Reached through a helper and as an attribute, by the statements of its own module."""
    main = program(
        "import db\nfrom db import query\nwith cached_block('b'):\n    y = query(), db.con.total_changes\nprint(y)"
    )
    project.write(main=main, db=DATABASE)
    assert not project.run().events[0]["problem"]
    assert project.run().outcomes == ["hit"]
    project.write(db=DATABASE.replace("other = 2", "other = 3"))
    assert project.run().outcomes == ["hit"]
    project.write(db=DATABASE.replace("select 1 as n", "select 2 as n"))
    assert "db.con" in reason(project)
    project.write(main=main.replace("with cached", "db.con.execute('insert into t values (7)')\nwith cached"))
    ran = project.run()
    assert ran.outcomes == ["miss"] and "(7,)" in ran.stdout


def test_a_module_that_opens_its_connection_when_told(project: Project) -> None:
    """What the program told it counts, although the connection is a global of the module."""
    project.write(
        db='import sqlite3\ncon = None\ndef start(n):\n    global con\n    con = sqlite3.connect(":memory:")\n'
        '    con.execute(f"create table t as select {n} as n")\ndef query():\n    return con.execute("select n from t").fetchall()\n'
    )
    main = program("import db\ndb.start(1)\nx = 1\nwith cached_block('b'):\n    y = db.query()\nprint(y)")
    project.write(main=main)
    assert not project.run().events[0]["problem"]
    assert project.run().outcomes == ["hit"]
    project.write(main=main.replace("start(1)", "start(2)"))
    ran = project.run()
    assert ran.outcomes == ["miss"] and "(2,)" in ran.stdout


def test_an_edit_while_the_program_runs_is_not_believed(project: Project) -> None:
    """The file says something else than what ran: the body runs, and nothing is saved."""
    project.write(
        main=program(
            """
            con = sqlite3.connect(":memory:")
            from pathlib import Path
            me = Path(__file__)
            me.write_text(me.read_text().replace("memory", "m emory", 1))
            with cached_block("b"):
                y = con.execute("select 1").fetchall()
            """
        )
    )
    assert "edited" in project.run().events[0]["problem"]
