"""Declared inputs: what may be declared, what it is called, and what makes it another."""

from __future__ import annotations

import functools
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from blockcache import files, inputs
from blockcache.errors import CacheError, FingerprintError, SettingError
from blockcache.fingerprint.values import fingerprint
from blockcache.inputs import check, env, file, parse_ttl, value


def look(*declared, folder=".", sets=None, sets_folder="/", memo=None):
    """What the declared inputs are now."""
    return inputs.evaluate(
        check(declared),
        folder=str(folder),
        sets=sets or {},
        sets_folder=str(sets_folder),
        fingerprint=lambda x, name: fingerprint(x, name=name),
        memo=memo,
    )


def names(found):
    return [(i.kind, i.name) for i in found]


# ---- what may be declared ----


def numbers():
    yield 1


async def later():
    return 1


WRONG = [
    (7, r"inputs\[1\] is 7 \(int\); write value\(\.\.\.\) around it"),
    (None, r"inputs\[1\] is None \(NoneType\); write value"),
    ({"a": 1}, r"inputs\[1\] is a dict; write value"),
    (["b.csv"], r"inputs\[1\] is a list; list its members one by one"),
    ({b"x"}, r"inputs\[1\] is a set; list its members"),
    (b"b.csv", r"inputs\[1\] is b'b.csv' \(bytes\); write a path of bytes as os.fsdecode"),
    ("", r"inputs\[1\] is '', which is no path"),
    ("  ", r"inputs\[1\] is '  ', which is no path"),
    ("a\0b", "which is no path"),
    ("\ud800", "which is no path"),
    ("@", r"inputs\[1\] is '@', a set without a name"),
    ("env:HOME", r"inputs\[1\] is 'env:HOME'; write env\('HOME'\)"),
    (dict, r"inputs\[1\] is the class dict; write value"),
    (numbers, "an async function or generator; give a plain function"),
    (later, "an async function or generator"),
    (functools.partial(later), "an async function or generator"),
    (Path("s3://bucket/key"), "a path object loses a slash of a URL"),
]


@pytest.mark.parametrize(("entry", "message"), WRONG, ids=[repr(e)[:20] for e, _ in WRONG])
def test_a_wrong_entry_is_told_when_the_block_is_made(entry, message):
    """With its position, what it is and what is allowed, before anything is looked at."""
    with pytest.raises(CacheError, match=message):
        check(["a.csv", entry])


@pytest.mark.parametrize("whole", [7, None, {"a.csv": 1}, b"a.csv", 1.5])
def test_what_is_no_list_is_told(whole):
    """A mapping's keys and the numbers of bytes are not what anybody means."""
    with pytest.raises(CacheError, match="inputs= is .*it takes a list. Allowed are paths, globs"):
        check(whole)


def test_one_entry_needs_no_list(tmp_path):
    """A path, a function or a declaration by itself is a list of one."""
    for one in ("a.csv", tmp_path, env("HOME"), len.__self__.__name__.upper, file("x")):
        assert len(check(one)) == 1
    assert check(()) == ()
    assert len(check(f"{i}.csv" for i in range(3))) == 3


@pytest.mark.parametrize("name", ["", 7, None, "A=B", "A\0", "\ud800"])
def test_a_variable_that_cannot_be(name):
    """env() takes what the system could have."""
    with pytest.raises(CacheError, match=r"env\(\) takes the name of an environment variable"):
        env(name)


def test_other_constructors_are_as_strict():
    """file() and value() say what they take."""
    for wrong in (7, None, b"x", ""):
        with pytest.raises(CacheError, match=r"file\(\) is"):
            file(wrong)
    for wrong in (7, ""):
        with pytest.raises(CacheError, match=r"value\(\) takes text as the name"):
            value(1, wrong)


# ---- files ----


def test_a_file_by_content(tmp_path):
    """Named as it was written, its size as a note; touched or moved it is the same."""
    (tmp_path / "a.csv").write_bytes(b"x" * 1_200_000)
    (before,) = look("a.csv", folder=tmp_path)
    assert before[:2] == ("file", "a.csv")
    assert before.note == "1.2 MB"
    os.utime(tmp_path / "a.csv", (1, 1))
    shutil.copytree(tmp_path, tmp_path / "moved")
    assert look(Path("a.csv"), folder=tmp_path) == look(file("a.csv"), folder=tmp_path / "moved") == [before]
    (tmp_path / "a.csv").write_bytes(b"y" * 1_200_000)
    assert look("a.csv", folder=tmp_path) != [before]


def test_directories_and_globs_say_how_much_they_are(tmp_path):
    """Count and size are for people, the digest is of names and contents."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("12")
    (tmp_path / "data" / "b.txt").write_text("345")
    found = look("data", "data/*.csv", "data/**", folder=tmp_path)
    assert [(i.name, i.note) for i in found] == [
        ("data", "2 files, 5 B"),
        ("data/*.csv", "1 file, 2 B"),
        ("data/**", "2 files, 5 B"),
    ]
    shutil.move(tmp_path / "data", tmp_path / "elsewhere" / "data")
    assert look("data", "data/*.csv", "data/**", folder=tmp_path / "elsewhere") == found


def test_nothing_is_an_input_like_any_other(tmp_path):
    """A file that appears, or that a glob finds for the first time, is a change."""
    before = look("a.csv", "*.csv", "no/such/*.csv", folder=tmp_path)
    assert [(i.digest, i.note) for i in before] == [
        ("absent", "does not exist"),
        ("absent", "matches nothing"),
        ("absent", "matches nothing"),
    ]
    (tmp_path / "a.csv").write_text("")
    now = look("a.csv", "*.csv", "no/such/*.csv", folder=tmp_path)
    assert [a.digest != b.digest for a, b in zip(before, now, strict=True)] == [True, True, False]


def test_the_home_folder(tmp_path, monkeypatch):
    """A path that starts with ~ is the file that the body means."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.csv").write_text("x")
    assert [(i.name, i.note) for i in look("~/a.csv", "~/*.csv")] == [("~/a.csv", "1 B"), ("~/*.csv", "1 file, 1 B")]


def test_a_local_url_is_a_file(tmp_path):
    """By content, like every file here."""
    (tmp_path / "a.csv").write_text("x")
    (by_url,) = look(f"file://{tmp_path}/a.csv")
    (by_path,) = look(str(tmp_path / "a.csv"))
    assert by_url.digest == by_path.digest
    (tmp_path / "a.csv").write_text("y")
    assert look(f"file://{tmp_path}/a.csv") != [by_url]


def test_names_that_are_no_text_can_be_stored(tmp_path):
    """A name of any bytes gives a name that can be encoded, and the right content."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")
    with open(path, "w") as target:
        target.write("x")
    (found,) = look(path)
    assert found.name.encode().endswith(rb"\xff.csv")
    assert found.note == "1 B"


def test_unreadable(tmp_path):
    """What the system refuses to read is an error that names it, not another content."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FingerprintError, match="pipe is not a file or directory but a pipe"):
        look("pipe", folder=tmp_path)
    os.symlink("nowhere", tmp_path / "link")
    assert look("link", folder=tmp_path)[0].digest == "absent"


def test_an_unchanged_file_costs_one_stat(tmp_path):
    """Nothing is opened or listed, and no module is imported, when the file is as it was."""
    (tmp_path / "a.csv").write_text("x")
    program = f"""
import os, sys, time
from blockcache import files, inputs
declared = inputs.check(["a.csv"])
def look():
    return inputs.evaluate(declared, folder={str(tmp_path)!r}, sets={{}}, sets_folder="/", fingerprint=None, memo=None)
while not files.trusted(files.stat_of({str(tmp_path / "a.csv")!r}), time.time_ns()):
    time.sleep(0.05)
first, events, loaded, stats, ask = look(), [], set(sys.modules), [], os.stat
os.stat = lambda *a, **k: stats.append(a) or ask(*a, **k)
sys.addaudithook(lambda event, arguments: events.append((event, arguments)))
again = look()
kept = list(events)
assert again == first and kept == [] and len(stats) == 1 and set(sys.modules) == loaded, (kept, stats)
"""
    source = os.path.dirname(os.path.dirname(files.__file__))
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": source})


# ---- the environment, values, callables ----


def test_a_variable_unset_empty_and_set(monkeypatch):
    """Three states that differ, and a note that never has the value."""
    monkeypatch.delenv("BC_TOKEN", raising=False)
    found = look(env("BC_TOKEN"))
    for text in ("", "secret-1", "secret-2", "unset"):
        monkeypatch.setenv("BC_TOKEN", text)
        found += look(env("BC_TOKEN"))
    assert len({i.digest for i in found}) == 5
    assert [i.note for i in found] == ["not set", "empty", "set", "set", "set"]
    assert not any("secret" in part for i in found for part in i)


def test_a_value_by_content():
    """Equal values are equal inputs; a value that changed after it was declared counts as it is now."""
    limits = [1, 2]
    declared = value(limits, "limits")
    before = look(declared)
    assert before == look(value([1, 2], name="limits"))
    assert names(before) == [("extra", "limits")]
    limits.append(3)
    assert look(declared) != before


def test_a_value_without_content_is_refused_with_a_way_out():
    """Declared or returned by a function: the message names it and says what to declare."""
    with sqlite3.connect(":memory:") as connection:
        with pytest.raises(FingerprintError, match="database.*Declare something that has content"):
            look(value(connection, "database"))
        with pytest.raises(
            FingerprintError, match=r"the lambda \(line \d+\) in inputs=.*Declare something that has content"
        ):
            look(lambda: connection)


def count_rows():
    return len(rows)


rows = [1, 2, 3]


def test_a_callable_is_called_at_each_lookup(monkeypatch):
    """Its result counts, under the function's name."""
    before = look(count_rows)
    assert names(before) == [("extra", "count_rows")]
    assert look(count_rows) == before
    monkeypatch.setattr(sys.modules[__name__], "rows", [1])
    assert look(count_rows) != before


class Table:
    def __init__(self, count=1):
        self.count = count

    def version(self):
        return self.count

    def __call__(self):
        return self.count


def test_names_of_callables():
    """Lambdas have their line in the note: in the name it would make a miss of any edit above."""
    found = look(lambda: 1, Table().version, functools.partial(functools.partial(pow, 2), 3), Table())
    assert [i.name for i in found] == ["lambda", "Table.version", "pow", "Table"]
    assert found[0].note.startswith("line ")


def test_a_callable_that_raises():
    """The function, the exception and the way out; an interrupt stays one."""

    def broken():
        raise LookupError("no such table")

    with pytest.raises(
        FingerprintError, match=r"broken\(\) in inputs= raised LookupError: no such table. Let it return"
    ) as caught:
        look(broken)
    assert isinstance(caught.value.__cause__, LookupError)

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(stopped)


# ---- names that meet ----


def test_the_same_thing_twice_is_one_input(tmp_path):
    """However it was written down, as long as the name is the same."""
    (tmp_path / "a.csv").write_text("x")
    v, f = value(1), Table().version
    found = look("a.csv", Path("a.csv"), file("a.csv"), env("HOME"), env("HOME"), v, v, f, f, folder=tmp_path)
    assert [i.kind for i in found] == ["file", "env", "extra", "extra"]


def test_different_things_of_one_name_are_numbered():
    """Also beside one that is really called so."""
    found = look(value(1, "n"), value(1, "n"), value(2, "n (2)"), lambda: 1, lambda: 2)
    assert [i.name for i in found] == ["n", "n (2)", "n (2) (2)", "lambda", "lambda (2)"]


def test_equal_contents_do_not_hide_which_one_changed():
    """Of three with one name, x y x and x y y are two states."""
    states = [look(*(value(v, "n") for v in text)) for text in ("xyx", "xyy", "xxy", "yxx")]
    assert len({tuple(sorted(i[:3] for i in found)) for found in states}) == 4


def test_a_file_here_and_one_of_a_set(tmp_path):
    """The same relative path from two folders is two inputs."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text(name)
    found = look("a.csv", "@s", folder=tmp_path / "here", sets={"s": ["a.csv"]}, sets_folder=tmp_path / "there")
    assert names(found) == [("file", "a.csv"), ("file", "a.csv (2)")]
    assert found[0].digest != found[1].digest


# ---- named sets ----


def test_a_set_from_pyproject(tmp_path, monkeypatch):
    """Paths from the folder of pyproject.toml, variables, and other sets, each once."""
    monkeypatch.setenv("BC_REGION", "eu")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("x")
    sets = {"raw": ["data/*.csv"], "all": ["@raw", "env:BC_REGION", "@raw", "config.toml"]}
    found = look("@all", folder="/", sets=sets, sets_folder=tmp_path)
    assert names(found) == [("file", "data/*.csv"), ("env", "BC_REGION"), ("file", "config.toml")]
    (tmp_path / "data" / "a.csv").write_text("y")
    assert look("@all", folder="/", sets=sets, sets_folder=tmp_path)[0] != found[0]


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"date": [], "other": []}, "there is no set @data; did you mean @date"),
        ({"x": []}, "there is no set @data; there are: @x"),
        ({}, "there is no set @data; there are: none"),
        ({"data": ["@b"], "b": ["@c"], "c": ["@b"]}, "a set contains itself: @data -> @b -> @c -> @b"),
        ({"data": ["@data"]}, "a set contains itself: @data -> @data"),
        ({"data": ["@nope"]}, "there is no set @data -> @nope"),
        ({"data": [""]}, "data: '' is '', which is no path"),
        ({"data": ["env:"]}, r"data: env\(\) takes the name"),
    ],
)
def test_sets_that_are_wrong(sets, message):
    """The place, the set, and what may have been meant."""
    with pytest.raises(SettingError, match=r"\[tool.blockcache.inputs\]: .*" + message):
        look("@data", sets=sets)


# ---- URLs ----


class Server:
    """A real HTTP server whose answers the test decides."""

    def __init__(self):
        self.status, self.headers, self.asked = 200, {}, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                outer.asked.append((self.command, self.path))
                self.send_response(outer.status)
                for name, text in outer.headers.items():
                    self.send_header(name, text)
                self.end_headers()

            do_GET = do_HEAD

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/a.csv"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def digest(self, url=None, **headers):
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}
        (found,) = look(url or self.url)
        assert found.kind == "file"
        return found.digest

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server():
    pytest.importorskip("fsspec")
    server = Server()
    yield server
    server.stop()


def test_an_etag_alone_decides(server):
    """A server that touches times without changing the content is no miss; nothing is downloaded."""
    first = server.digest(ETag='"1"', Last_Modified="Mon, 05 Jan 2026 10:00:00 GMT", Content_Length="1200000")
    assert server.digest(ETag='"1"', Last_Modified="Tue, 06 Jan 2026 10:00:00 GMT", Content_Length="1200000") == first
    assert server.digest(ETag='"2"', Last_Modified="Mon, 05 Jan 2026 10:00:00 GMT", Content_Length="1200000") != first
    assert look(server.url)[0].note == "1.2 MB"
    assert {method for method, _ in server.asked} == {"HEAD"}


def test_without_an_etag_times_and_size_decide(server):
    """Each of them."""
    first = server.digest(Last_Modified="Mon, 05 Jan 2026 10:00:00 GMT", Content_Length="5")
    assert server.digest(Last_Modified="Mon, 05 Jan 2026 10:00:00 GMT", Content_Length="5") == first
    assert server.digest(Last_Modified="Tue, 06 Jan 2026 10:00:00 GMT", Content_Length="5") != first
    assert server.digest(Last_Modified="Mon, 05 Jan 2026 10:00:00 GMT", Content_Length="6") != first


def test_a_server_that_tells_nothing_is_refused(server):
    """A size alone stays the same for other content."""
    with pytest.raises(
        FingerprintError, match="tells neither ETag nor checksum nor time of change.*Declare a function"
    ):
        server.digest(Content_Length="5")


def test_not_found_is_absent_and_trouble_is_not(server):
    """404 is a state of the resource; 500, 403 and no answer are states of the world."""
    server.status = 404
    assert look(server.url)[0][2:] == ("absent", "does not exist")
    for status in (403, 500, 503):
        server.status = status
        with pytest.raises(
            FingerprintError, match=rf"a.csv cannot be looked at: .*{status}.*Check that it can be reached"
        ):
            look(server.url)
    server.stop()
    with pytest.raises(
        FingerprintError, match=r"a.csv cannot be looked at.*Declare a function|a.csv cannot be looked at.*declare"
    ):
        look(server.url)


def test_a_query_counts_and_is_not_shown(server):
    """Signatures and passwords do not get into names or messages; another query is another resource."""
    server.headers = {"ETag": '"1"'}
    signed = server.url.replace("//", "//user:hunter2@") + "?signature=hunter2"
    (found,) = look(signed)
    assert found.name == server.url + "?…"
    assert server.digest(server.url + "?id=1", ETag='"1"') != server.digest(server.url + "?id=2", ETag='"1"')
    server.status = 500
    with pytest.raises(FingerprintError) as caught:
        look(signed)
    assert "hunter2" not in str(caught.value) + caught.value.path


def test_a_store_that_lists(tmp_path):
    """Files, directories and globs of a store; also behind a cache, and as they are now, not as once listed."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/bc/data/a.csv", b"12")
    memory.pipe("/bc/data/sub/b.csv", b"345")
    urls = (
        "memory://bc/data/a.csv",
        "memory://bc/data",
        "memory://bc/data/*.csv",
        "memory://bc/nope",
        "memory://bc/n*",
    )
    try:
        before = look(*urls)
        assert [i.note for i in before] == ["2 B", "2 files, 5 B", "1 file, 2 B", "does not exist", "does not exist"]
        assert look(*urls) == before
        memory.pipe("/bc/data/sub/b.csv", b"678")
        now = look(*urls)
        assert [a == b for a, b in zip(before, now, strict=True)] == [True, False, True, True, True]
        cached = look("simplecache::memory://bc/data/a.csv")[0].digest
        memory.pipe("/bc/data/a.csv", b"xy")
        assert look("simplecache::memory://bc/data/a.csv")[0].digest != cached
        assert [a == b for a, b in zip(now, look(*urls), strict=True)] == [False, False, False, True, True]
    finally:
        memory.rm("/bc", recursive=True)


def test_what_stands_last_in_a_chain_is_looked_at():
    """A file in an archive counts by the archive, whose members fsspec reads once in a process."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    seen = []
    try:
        for text in ("one", "two"):
            raw = io.BytesIO()
            with zipfile.ZipFile(raw, "w") as archive:
                archive.writestr(zipfile.ZipInfo("a.csv", (2026, 1, 1, 0, 0, 0)), text)
            memory.pipe("/bc/x.zip", raw.getvalue())
            seen += look("zip://a.csv::memory://bc/x.zip")
    finally:
        memory.rm("/bc", recursive=True)
    assert [i.name for i in seen] == ["zip://a.csv::memory://bc/x.zip"] * 2
    assert seen[0].digest != seen[1].digest


def test_listings_that_fsspec_keeps_are_not_believed():
    """File systems of object stores answer from a listing of long ago, also for folders below the declared one."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")

    class Listed(fsspec.AbstractFileSystem):
        """Memory, listed once and kept, as s3fs and its kin do."""

        protocol = "bclisted"

        def ls(self, path, detail=True, **_):
            path = self._strip_protocol(path)
            if path not in self.dircache:
                self.dircache[path] = [{**i, "name": i["name"].lstrip("/")} for i in memory.ls(f"/{path}", detail=True)]
            return self.dircache[path] if detail else [i["name"] for i in self.dircache[path]]

        def invalidate_cache(self, path=None):
            if path is None:
                self.dircache.clear()
            else:
                self.dircache.pop(path, None)

    fsspec.register_implementation("bclisted", Listed, clobber=True)
    urls = ("bclisted://bc/data/sub/b.csv", "bclisted://bc/data", "bclisted://bc/data/*/*.csv")
    try:
        memory.pipe("/bc/data/sub/b.csv", b"1")
        before = look(*urls)
        assert [i.note for i in before] == ["1 B", "1 file, 1 B", "1 file, 1 B"]
        memory.pipe("/bc/data/sub/b.csv", b"2")
        assert not any(a == b for a, b in zip(before, look(*urls), strict=True))
    finally:
        memory.rm("/bc", recursive=True)


def test_urls_need_fsspec_and_say_so(tmp_path):
    """In an installation without it, and for a scheme that it does not know."""
    with pytest.raises(FingerprintError, match="nosuch://x cannot be looked at: .*Protocol not known"):
        look("nosuch://x")
    program = """
import sys
sys.modules["fsspec"] = None
from blockcache import inputs
try:
    inputs.evaluate(["s3://b/k"], folder="/", sets={}, sets_folder="/", fingerprint=None, memo=None)
except inputs.FingerprintError as error:
    print(error)
"""
    source = os.path.dirname(os.path.dirname(files.__file__))
    run = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert (
        "s3://b/k is declared as an input, and looking at URLs needs fsspec: pip install 'blockcache[remote]'"
        in run.stdout
    )


# ---- ttl ----


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        ("90s", 90),
        ("15min", 900),
        ("15 minutes", 900),
        ("2h", 7200),
        ("1.5 h", 5400),
        ("1d", 86400),
        ("1W", 604800),
        ("1h 30min", 5400),
        (timedelta(days=1, seconds=1), 86401),
    ],
)
def test_times_to_live(given, seconds):
    """Seconds, text with units, timedelta."""
    assert parse_ttl(given) == seconds
    assert type(parse_ttl(given)) is float


@pytest.mark.parametrize(
    "given",
    [
        "",
        "h",
        "2 fortnights",
        "5m",
        "-1h",
        "1h-",
        "2h 5",
        0,
        -1,
        True,
        float("nan"),
        float("inf"),
        timedelta(0),
        None,
        [],
        "9" * 400,
    ],
)
def test_times_to_live_that_are_none(given):
    """With what was given and what is allowed."""
    with pytest.raises(CacheError, match="ttl=.*it takes seconds above 0, a timedelta, or text such as"):
        parse_ttl(given)
