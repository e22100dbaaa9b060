"""What a body reads from outside is recorded, whoever reads it, and checked against the present."""

from __future__ import annotations

import glob
import multiprocessing
import os
import pickle
import shelve
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import duckdb
import fsspec
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.unit.recordings import record

from blockcache.discovered import Recorded, Recorder, absorb, changed

HAS_CALLS = sys.version_info >= (3, 12)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with data in it, outside the folder for temporary files as the recorder knows it."""
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    for name in ("a.txt", "b.txt"):
        (project / "data" / name).write_text(name)
    return project


def names(recorded: Recorded, kind: str = "file") -> list[str]:
    return [i.name for i in recorded.inputs if i.kind == kind]


def differing(recorded: Recorded) -> list[str]:
    return [d.name for d in changed(recorded.inputs, recorded.stats)]


def suffix(name: str) -> str:
    """Puts a name together while the body runs, so that it is no constant of the program."""
    return f"data/{name}"


def is_missing(call: Callable[[str], object], name: str) -> bool:
    try:
        call(name)
    except FileNotFoundError:
        return True
    return False


# -- readers -----------------------------------------------------------------------------------


@pytest.fixture
def tables(folder: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]})
    frame.to_csv("data/x.csv", index=False)
    frame.to_json("data/x.json", orient="records", lines=True)
    frame.to_feather("data/x.feather")
    frame.to_orc("data/x.orc")
    frame.to_parquet("data/x.parquet")
    frame.to_parquet("data/y.parquet")
    Path("hive/k=1").mkdir(parents=True)
    frame.to_parquet("hive/k=1/x.parquet")
    np.save("data/x.npy", np.arange(3))
    np.arange(3).tofile("data/x.bin")
    Image.new("L", (2, 2)).save("data/x.png")
    with h5py.File("data/x.h5", "w") as file:
        file["a"] = [1]
    with sqlite3.connect("data/x.db") as connection:
        connection.execute("create table t (a)")
    connection.close()
    with duckdb.connect("data/x.duckdb") as base:
        base.execute("create table t as select 1 a")


READERS: dict[str, tuple[Callable[[], object], list[str]]] = {
    "open": (lambda: open(suffix("a.txt")).close(), ["data/a.txt"]),
    "Path.read_text": (lambda: Path(suffix("a.txt")).read_text(), ["data/a.txt"]),
    "np.load": (lambda: np.load(suffix("x.npy")), ["data/x.npy"]),
    "np.memmap": (lambda: np.memmap(suffix("x.bin"), mode="r"), ["data/x.bin"]),
    "np.fromfile": (lambda: np.fromfile(suffix("x.bin")), ["data/x.bin"]),
    "PIL": (lambda: Image.open(suffix("x.png")).load(), ["data/x.png"]),
    "pd.read_csv": (lambda: pd.read_csv(suffix("x.csv")), ["data/x.csv"]),
    "pd.read_csv by pyarrow": (lambda: pd.read_csv(suffix("x.csv"), engine="pyarrow"), ["data/x.csv"]),
    "pd.read_parquet": (lambda: pd.read_parquet(Path("data") / f"{'x'}.parquet"), ["data/x.parquet"]),
    "pd.read_parquet by fastparquet": (
        lambda: pd.read_parquet(suffix("x.parquet"), engine="fastparquet"),
        ["data/x.parquet"],
    ),
    "pd.read_feather": (lambda: pd.read_feather(suffix("x.feather")), ["data/x.feather"]),
    "pd.read_orc": (lambda: pd.read_orc(suffix("x.orc")), ["data/x.orc"]),
    "pq.read_table": (lambda: pq.read_table(suffix("x.parquet")), ["data/x.parquet"]),
    "pq.ParquetFile": (lambda: pq.ParquetFile(suffix("x.parquet")).read(), ["data/x.parquet"]),
    "pq.read_schema": (lambda: pq.read_schema(suffix("x.parquet")), ["data/x.parquet"]),
    "pa.csv": (lambda: pyarrow.csv.read_csv(suffix("x.csv")), ["data/x.csv"]),
    "pa.feather": (lambda: pyarrow.feather.read_table(suffix("x.feather")), ["data/x.feather"]),
    "pa.orc": (lambda: pyarrow.orc.read_table(suffix("x.orc")), ["data/x.orc"]),
    "pa.memory_map": (lambda: pa.memory_map(suffix("x.feather")).read(), ["data/x.feather"]),
    "pa.dataset": (
        lambda: pyarrow.dataset.dataset("hi" + "ve", partitioning="hive").to_table(),
        ["hive/** (glob)", "hive/k=1/x.parquet"],
    ),
    "pl.read_parquet": (lambda: pl.read_parquet(suffix("x.parquet")), ["data/x.parquet"]),
    "pl.read_parquet of a list": (
        lambda: pl.read_parquet([Path(suffix("x.parquet")), suffix("y.parquet")]),
        ["data/x.parquet", "data/y.parquet"],
    ),
    "pl.scan_parquet of a glob": (
        lambda: pl.scan_parquet(suffix("*.parquet")).collect(),
        ["data/*.parquet (glob)", "data/x.parquet", "data/y.parquet"],
    ),
    "pl.read_csv": (lambda: pl.read_csv(suffix("x.csv")), ["data/x.csv"]),
    "pl.scan_csv": (lambda: pl.scan_csv(source=suffix("x.csv")).collect(), ["data/x.csv"]),
    "pl.scan_ndjson": (lambda: pl.scan_ndjson(suffix("x.json")).collect(), ["data/x.json"]),
    "pl.read_ipc": (lambda: pl.read_ipc(suffix("x.feather")), ["data/x.feather"]),
    "duckdb.sql": (lambda: duckdb.sql(f"select * from '{suffix('x.csv')}'").fetchall(), ["data/x.csv"]),
    "duckdb.read_csv": (lambda: duckdb.read_csv(suffix("x.csv")).fetchall(), ["data/x.csv"]),
    "duckdb connection": (
        lambda: duckdb.connect().execute(f"select * from read_parquet('{suffix('*.parquet')}')").fetchall(),
        ["data/*.parquet (glob)", "data/x.parquet", "data/y.parquet"],
    ),
    "duckdb parameter": (
        lambda: duckdb.connect().execute("select * from read_csv(?)", [suffix("x.csv")]).fetchall(),
        ["data/x.csv"],
    ),
    "duckdb database": (
        lambda: duckdb.connect(suffix("x.duckdb"), read_only=True).execute("select * from t").fetchall(),
        ["data/x.duckdb"],
    ),
    "h5py": (lambda: h5py.File(str(Path("data", "x" + ".h5")))["a"][:], ["data/x.h5"]),
    "sqlite": (
        lambda: sqlite3.connect(suffix("x.db")).execute("select * from t").fetchall(),
        ["data/x.db", "data/x.db-wal"],
    ),
    "sqlite of a URI": (
        lambda: sqlite3.connect(f"file:{suffix('x.db')}?mode=ro", uri=True).close(),
        ["data/x.db", "data/x.db-wal"],
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_file_is_found_whoever_reads_it(reader: str, tables: None) -> None:
    body, expected = READERS[reader]
    recorded = record(body)
    assert names(recorded) == expected
    assert not recorded.conflicts and not recorded.written
    assert differing(recorded) == []
    last = expected[0] if len(expected) == 2 and expected[1].endswith("-wal") else expected[-1]
    with open(last, "ab") as file:
        file.write(b"more")
    assert differing(recorded) == [last]


def test_what_a_helper_in_another_module_reads_is_found(folder: Path, tables: None, tmp_path: Path) -> None:
    (tmp_path / "helper_of_discovered.py").write_text(
        "import polars as pl, h5py\nfrom pathlib import Path\nDATA = Path('data')\n"
        "def load(name):\n    return pl.read_parquet(DATA / f'{name}.parquet'), h5py.File(DATA / f'{name}.h5')['a'][:]\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:

        def body() -> None:
            from helper_of_discovered import load

            load("x")

        assert names(record(body)) == ["data/x.h5", "data/x.parquet"]
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("helper_of_discovered", None)


def test_a_library_imported_by_the_body_is_watched_from_then_on(tables: None) -> None:
    program = (
        "from blockcache.discovered import Recorder\n"
        "def body(ending):\n"
        "    import polars, h5py, pandas\n"
        "    polars.read_parquet(f'data/x.{ending}')\n"
        "    h5py.File('data/x.h' + str(5))['a'][:]\n"
        "    pandas.read_parquet(f'data/y.{ending}')\n"
        "recorder = Recorder()\nrecorder.start()\nbody('parquet')\n"
        "print([i.name for i in recorder.stop().inputs if i.kind == 'file'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['data/x.h5', 'data/x.parquet', 'data/y.parquet']"


def test_an_unknown_reader_in_c_is_found_by_what_it_is_given(folder: Path) -> None:
    netcdf = pytest.importorskip("netCDF4")
    netcdf.Dataset("data/x.nc", "w").close()
    name = "x"

    def body() -> None:
        netcdf.Dataset(f"data/{name}.nc").close()

    # Without calls the name must be a constant, an upstream value, or a folder and a name that both are.
    options = {} if HAS_CALLS else {"texts": (["x.nc", Path("data")],)}
    assert names(record(body, **options)) == ["data/x.nc"]


def test_constants_of_functions_may_name_files(folder: Path) -> None:
    class Reader:
        def open(self, name: str) -> None: ...

    assert names(record(lambda: Reader().open("data/a.txt"))) == ["data/a.txt"]
    assert names(record(lambda: None, constants=["data/b.txt"])) == ["data/b.txt"]


def test_upstream_texts_count_only_where_calls_cannot_be_watched(folder: Path) -> None:
    recorded = record(lambda: None, texts=({"train": "data/a.txt"},))
    assert names(recorded) == ([] if HAS_CALLS else ["data/a.txt"])


@pytest.mark.skipif(not HAS_CALLS, reason="calls are watched from 3.12 on")
def test_without_a_free_tool_the_texts_stand_in(folder: Path) -> None:
    monitoring = sys.monitoring  # type: ignore[attr-defined]
    taken = [i for i in range(6) if monitoring.get_tool(i) is None]
    for i in taken:
        monitoring.use_tool_id(i, "another tool")
    try:
        assert names(record(lambda: None, texts=("data/a.txt",))) == ["data/a.txt"]
    finally:
        for i in taken:
            monitoring.free_tool_id(i)


@pytest.mark.skipif(not HAS_CALLS, reason="calls are watched from 3.12 on")
def test_another_tool_sees_what_it_would_see(folder: Path) -> None:
    monitoring = sys.monitoring  # type: ignore[attr-defined]
    seen: list[str] = []

    def body() -> None:
        suffix("a.txt")

    tool = next(i for i in range(6) if monitoring.get_tool(i) is None)
    monitoring.use_tool_id(tool, "another tool")
    try:
        event = monitoring.events.PY_START
        monitoring.register_callback(tool, event, lambda code, offset: seen.append(code.co_name))
        monitoring.set_events(tool, event)
        record(body)
        suffix("b.txt")
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    assert seen.count("body") == 1 and seen.count("suffix") == 2


def test_files_behind_upstream_values_are_found(folder: Path, tables: None) -> None:
    with open("data/a.txt") as text, h5py.File("data/x.h5") as array, sqlite3.connect("data/x.db") as base:
        inside = {Path(name).name for name in names(record(lambda: text.read(), texts=(text, array, base)))}
    base.close()
    assert inside == {"a.txt", "x.h5", "x.db"}


def test_many_files_are_recorded(folder: Path) -> None:
    Path("many").mkdir()
    for i in range(2_000):
        Path("many", str(i)).write_text(str(i))

    def body() -> None:
        for i in range(2_000):
            with open(f"many/{i}") as file:
                file.read()

    recorded = record(body)
    assert len(recorded.inputs) == 2_000
    Path("many/77").write_text("changed")
    assert differing(recorded) == ["many/77"]


def test_very_many_texts_leave_nothing_behind(folder: Path) -> None:
    def body() -> None:
        for i in range(100_000):
            suffix(f"{i}.csv")

    recorder = Recorder(codes=(body.__code__,))
    recorder.start()
    body()
    assert sum(len(value) for value in vars(recorder).values() if isinstance(value, (dict, set))) < 100
    assert recorder.stop().inputs == ()


# -- names -------------------------------------------------------------------------------------


def test_a_moved_project_is_the_same_and_another_folder_is_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = record(lambda: open("data/a.txt").close())
    shutil.copytree(folder, folder.parent / "copy")
    monkeypatch.chdir(folder.parent / "copy")
    assert differing(recorded) == []
    Path("data/a.txt").write_text("other")
    assert differing(recorded) == ["data/a.txt"]
    monkeypatch.chdir(folder.parent)
    assert [d.now.digest for d in changed(recorded.inputs, recorded.stats) if d.now] == ["absent"]


def test_a_copy_that_finds_its_files_from_its_own_folder_misses_when_they_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = record(lambda: open(Path.cwd() / "data" / "a.txt").close())
    shutil.copytree(folder, folder.parent / "copy")
    monkeypatch.chdir(folder.parent / "copy")
    Path("data/a.txt").write_text("other")
    assert "data/a.txt" in differing(recorded)
    Path("data/a.txt").write_text("a.txt")
    assert differing(recorded) == []
    (folder / "data/a.txt").write_text("other")  # an absolute name that is written out in the program
    assert differing(recorded) == [str(folder / "data/a.txt")]


@pytest.mark.skipif(not HAS_CALLS, reason="the relative name is seen in the call")
def test_a_name_that_a_library_makes_absolute_is_relative(folder: Path) -> None:
    assert names(record(lambda: fsspec.open(suffix("a.txt"), "rb").open().close())) == ["data/a.txt"]


def test_a_name_after_chdir_is_relative_to_where_the_body_began(folder: Path) -> None:
    def body() -> None:
        os.chdir("data")
        open("a.txt").close()
        os.chdir("..")

    assert names(record(body)) == ["data/a.txt"]


# -- what is not an input --------------------------------------------------------------------------


def test_what_belongs_to_the_system_and_to_installed_packages_does_not_count(folder: Path) -> None:
    def body() -> None:
        open("/etc/hostname" if os.path.exists("/etc/hostname") else "/etc/passwd").close()
        open("/proc/self/status").close()
        open(os.path.join(os.path.dirname(np.__file__), "version.py")).close()
        import email.mime.audio  # noqa: F401

    assert record(body).inputs == ()


def test_a_file_that_the_body_has_written_is_not_an_input(folder: Path) -> None:
    def body() -> None:
        Path("out.txt").write_text("made")
        Path("out.txt").read_text()
        if not os.path.exists("out.csv"):
            pl.DataFrame({"a": [1]}).write_csv(suffix("out.csv"))
        pl.read_csv(suffix("out.csv"))

    for _ in range(2):  # the second time it overwrites them
        recorded = record(body)
        assert "out.txt" not in names(recorded) and "data/out.csv" not in names(recorded)
        assert recorded.written == ("data/out.csv", "out.txt")
        assert not recorded.conflicts


@pytest.mark.parametrize(
    "write",
    [
        lambda name: pd.DataFrame({"a": [1]}).to_parquet(name),
        lambda name: pq.write_table(pa.table({"a": [1]}), name),
        lambda name: pl.DataFrame({"a": [1]}).write_parquet(name),
        lambda name: pl.LazyFrame({"a": [1]}).sink_parquet(name),
        lambda name: duckdb.sql(f"copy (select 1 a) to '{name}'"),
        lambda name: h5py.File(name, "w").close(),
        lambda name: np.save(name, np.arange(3)),
        lambda name: subprocess.run(f"echo 1 > {name}", shell=True),
    ],
)
def test_a_writer_is_told_from_a_reader(write: Callable[[str], object]) -> None:
    for _ in range(2):
        recorded = record(lambda: write(suffix("out.npy")))
        assert recorded.written == ("data/out.npy",)
        assert names(recorded) == [] and not recorded.conflicts
        time.sleep(0.02)  # a write of the same bytes shows in the times only


def test_temporary_files_of_the_body_leave_no_trace(folder: Path) -> None:
    def body() -> None:
        with tempfile.TemporaryDirectory() as made:
            Path(made, "x").write_text("x")
            os.listdir(made)
            os.path.exists(os.path.join(made, "y"))
            list(Path(made).glob("*"))
            pl.DataFrame({"a": [1]}).write_csv(os.path.join(made, "z.csv"))
            pl.read_csv(os.path.join(made, "z.csv"))
        with tempfile.NamedTemporaryFile() as file:
            open(file.name).close()
        with tempfile.TemporaryFile() as file:
            file.write(b"x")

    recorded = record(body)
    assert recorded.inputs == () and recorded.written == () and not recorded.conflicts


def test_the_store_and_the_memo_do_not_count(folder: Path) -> None:
    def body() -> None:
        open("store/entry", "w").close()
        open("store/entry").close()
        os.listdir("store")

    Path("store").mkdir()
    recorded = record(body, ignore=(str(folder / "store"),))
    assert recorded.inputs == () and recorded.written == ()


def test_imports_do_not_count_but_sources_read_as_data_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "module_of_discovered.py").write_text("x = 1\n")
    (folder / "plugin.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(folder))

    def imports() -> None:
        import module_of_discovered  # noqa: F401

    def runs() -> None:
        import importlib.util

        spec = importlib.util.spec_from_file_location("plugin", "plugin.py")
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    assert record(imports).inputs == ()
    assert "module_of_discovered.py" in names(record(lambda: open("module_of_discovered.py").close()))
    for _ in range(2):  # from its bytecode the second time
        assert "plugin.py" in names(record(runs))


# -- names looked up, folders ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        lambda name: os.path.exists(name),
        lambda name: os.path.isfile(name),
        lambda name: os.access(name, os.R_OK),
        lambda name: Path(name).exists(),
        lambda name: Path(name).is_file(),
        lambda name: is_missing(open, name),
        lambda name: is_missing(os.stat, name),
    ],
)
def test_a_name_that_was_not_found_is_an_input(look: Callable[[str], object]) -> None:
    recorded = record(lambda: look(suffix("none.txt")))
    assert [(i.name, i.digest) for i in recorded.inputs] == [("data/none.txt", "absent")]
    assert differing(recorded) == []
    Path("data/none.txt").write_text("now")
    assert differing(recorded) == ["data/none.txt"]


def test_a_folder_that_was_looked_for_is_an_input(folder: Path) -> None:
    recorded = record(lambda: (os.path.isdir("data"), Path("folder").is_dir()))
    assert names(recorded) == ["data (exists)", "folder"]
    Path("folder").mkdir()
    assert differing(recorded) == ["folder"]


@pytest.mark.parametrize(
    ("look", "name", "matters"),
    [
        (lambda: os.listdir("data"), "data/ (listing)", True),
        (lambda: [e.name for e in os.scandir("data")], "data/ (listing)", True),
        (lambda: list(Path("data").iterdir()), "data/ (listing)", True),
        (lambda: list(os.walk("data")), "data/ (listing)", True),
        (lambda: glob.glob("data/*.txt"), "data/*.txt (glob)", True),
        (lambda: glob.glob("data/*.csv"), "data/*.csv (glob)", False),
        (lambda: list(Path("data").glob("*.txt")), "data/*.txt (glob)", True),
        (lambda: list(Path().rglob("*.txt")), "**/*.txt (glob)", True),
        (lambda: list(Path("data").rglob("*.csv")), "data/**/*.csv (glob)", False),
        (lambda: os.listdir(), "./ (listing)", False),
    ],
)
def test_names_in_folders_are_inputs(look: Callable[[], object], name: str, matters: bool) -> None:
    recorded = record(look)
    assert [n for n in names(recorded) if not n.endswith("(exists)")] == [name]
    assert differing(recorded) == []
    Path("data/a.txt").write_text("only the names count")
    assert differing(recorded) == []
    Path("data/new.txt").write_text("")
    assert differing(recorded) == ([name] if matters else [])


# -- changes while the body runs ----------------------------------------------------------------------


def test_a_file_that_was_read_and_changed_is_a_conflict(folder: Path) -> None:
    def appends() -> None:
        text = Path("data/a.txt").read_text()
        Path("data/a.txt").write_text(text + "more")

    def rewrites() -> None:
        text = Path("data/b.txt").read_text()
        Path("data/b.txt").write_text(text)

    assert record(appends).conflicts == ("data/a.txt was read, and changed while the block ran",)
    assert record(rewrites).conflicts == ("data/b.txt was read, and changed while the block ran",)


def test_a_database_that_the_body_changes_is_a_conflict(tables: None) -> None:
    def body() -> None:
        with sqlite3.connect("data/x.db") as connection:
            connection.execute("insert into t values (1)")
        connection.close()

    assert record(body).conflicts == ("data/x.db was read, and changed while the block ran",)


def test_a_listed_folder_that_others_change_is_a_conflict(folder: Path) -> None:
    def body() -> None:
        os.listdir("data")
        os.posix_spawnp("touch", ["touch", "data/new"], os.environ)
        while not os.path.exists("data/new"):
            time.sleep(0.01)

    recorded = record(body)
    assert recorded.conflicts or "data/new" in recorded.written


def test_removed_and_renamed_files_are_told(folder: Path) -> None:
    def body() -> None:
        os.remove("data/a.txt")
        os.rename("data/b.txt", "data/c.txt")

    assert record(body).written == ("data/a.txt", "data/b.txt", "data/c.txt")


# -- the environment ----------------------------------------------------------------------------------


def test_variables_that_the_project_reads_are_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_A", "1")
    monkeypatch.setenv("APP_B", "1")

    def body() -> None:
        os.environ["APP_A"]
        os.environ.get("APP_B")
        os.getenv("APP_C")
        "APP_D" in os.environ
        os.path.expandvars("$APP_E/x")
        os.environb.get(b"APP_F")
        os.environ["APP_G"] = "set by the body"
        os.environ["APP_G"]
        tempfile.mkdtemp()

    recorded = record(body)
    monkeypatch.delenv("APP_G")
    assert names(recorded, "env") == ["APP_A", "APP_B", "APP_C", "APP_D", "APP_E", "APP_F"]
    assert recorded.untracked == ("sets the environment variable APP_G",)
    assert differing(recorded) == []
    monkeypatch.setenv("APP_B", "2")
    monkeypatch.setenv("APP_D", "1")
    assert differing(recorded) == ["APP_B", "APP_D"]
    assert all("1" != i.digest for i in recorded.inputs)


def test_reading_the_whole_environment_counts_but_for_what_every_session_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APP_A", "1")
    monkeypatch.setenv("SHLVL", "1")
    recorded = record(lambda: dict(os.environ))
    assert "reads the whole environment" in recorded.untracked
    monkeypatch.setenv("SHLVL", "2")
    assert differing(recorded) == []
    monkeypatch.setenv("APP_A", "2")
    assert differing(recorded) == ["APP_A"]
    monkeypatch.setenv("APP_A", "1")
    monkeypatch.setenv("APP_NEW", "1")
    assert differing(recorded) == ["* (names)"]


# -- what cannot be checked ------------------------------------------------------------------------------


def test_connections_are_told_without_secrets() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]

    def body() -> None:
        for connect in (
            lambda: socket.create_connection(("localhost", port), timeout=1),
            lambda: urllib.request.urlopen(f"http://user:secret@127.0.0.1:{port}/path?token=secret", timeout=1),
        ):
            with pytest.raises(OSError):
                connect()

    assert record(body).untracked == (f"connects to localhost:{port}", f"reads http://127.0.0.1:{port}")


def test_programs_are_told_and_the_files_that_they_are_given_are_inputs(folder: Path) -> None:
    Path("tool.py").write_text("open('data/b.txt').read()")

    def body() -> None:
        subprocess.run([sys.executable, "tool.py", "--in=data/b.txt"], check=True)
        subprocess.run("TOKEN=secret cat data/a.txt > made.txt; echo >>more.txt", shell=True, check=True)
        os.system("true --token secret")

    recorded = record(body)
    assert recorded.untracked == (
        "runs `cat`",
        "runs `echo`",
        f"runs `{os.path.basename(sys.executable)}`",
        "runs `true`",
    )
    assert names(recorded) == ["data/a.txt", "data/b.txt", "tool.py"]
    assert recorded.written == ("made.txt", "more.txt")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_are_told(method: str) -> None:
    def body() -> None:
        process = multiprocessing.get_context(method).Process(target=os.getpid)
        process.start()
        process.join()

    assert "runs worker processes" in record(body).untracked


def test_a_copy_of_the_process_saves_nothing() -> None:
    recorder = Recorder()
    recorder.start()
    child = os.fork()
    if not child:
        open("data/a.txt").close()
        os._exit(0 if recorder.stop().conflicts else 1)
    recorded = recorder.stop()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert recorded.untracked == ("forks",) and not recorded.conflicts


def test_classes_that_unpickling_looks_up_are_told() -> None:
    data = pickle.dumps([Path("x"), shelve.Shelf])
    assert ("shelve", "Shelf") in record(lambda: pickle.loads(data)).classes


# -- being a good guest ----------------------------------------------------------------------------------


def test_nothing_stays_patched() -> None:
    owners = (os, type(os.environ), pq.core.ParquetDataset, h5py.h5f, duckdb, duckdb.DuckDBPyConnection)
    before = [dict(vars(owner)) for owner in owners]
    sets = [set(s) for s in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks)]

    def fails() -> None:
        assert os.stat in os.supports_fd and os.stat is not before[0]["stat"]
        raise KeyError

    with pytest.raises(KeyError):
        record(fails)
    assert [dict(vars(owner)) for owner in owners] == before
    assert [set(s) for s in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks)] == sets
    if HAS_CALLS:
        monitoring = sys.monitoring  # type: ignore[attr-defined]
        assert "blockcache recorder" not in [monitoring.get_tool(i) for i in range(6)]


def test_nested_and_concurrent_recorders_get_all_of_every_thread() -> None:
    outer, inner = Recorder(), Recorder()
    outer.start()
    open(suffix("a.txt")).close()
    inner.start()
    thread = threading.Thread(target=lambda: open(suffix("b.txt")).close())
    thread.start()
    thread.join()
    found = inner.stop()
    os.getenv("APP_X")
    assert names(found) == ["data/b.txt"]
    everything = outer.stop()
    assert names(everything) == ["data/a.txt", "data/b.txt"] and names(everything, "env") == ["APP_X"]


def test_what_a_skipped_block_inside_depends_on_counts_for_the_one_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_A", "1")

    def inside() -> None:
        open(suffix("a.txt")).close()
        os.listdir("data")
        glob.glob("data/*.csv")
        os.path.exists(suffix("none"))
        os.path.isdir("da" + "ta")
        os.getenv("APP_A")

    run = record(inside)
    around = record(lambda: absorb(run.inputs, ["runs `git`"]))
    assert {i[:3] for i in around.inputs} == {i[:3] for i in run.inputs}
    assert around.untracked == ("runs `git`",)


def test_a_second_recorder_sees_calls_again(folder: Path) -> None:
    given: list[object] = []

    class Reader:
        @staticmethod
        def read(name: str) -> None:
            given.append(name)

    def body(name: object) -> None:
        Reader.read(name)  # type: ignore[arg-type]

    for name, expected in ((None, []), ("data/a.txt", ["data/a.txt"]), (1, []), ("data/b.txt", ["data/b.txt"])):
        recorder = Recorder(codes=(body.__code__,), texts=(name,))
        recorder.start()
        body(name)
        assert names(recorder.stop()) == expected


def test_odd_names_trouble_nobody() -> None:
    def body() -> None:
        for name in ("nul\0l", b"\xff\xfe", "line\nbreak", "x" * 5000, "", "~", ":memory:"):
            try:
                os.path.exists(name)
                open(name).close()
            except (OSError, ValueError):
                pass

    recorded = record(body)
    assert not recorded.conflicts
    assert differing(recorded) == []


def test_stats_are_kept_only_where_they_may_be_trusted() -> None:
    os.utime("data/a.txt", (1, 1))
    recorded = record(lambda: open("data/a.txt").close())
    assert recorded.stats == {}  # changed this very moment
    before = Path("data/a.txt").stat()
    Path("data/a.txt").write_text("A.TXT")
    os.utime("data/a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert differing(recorded) == ["data/a.txt"]
