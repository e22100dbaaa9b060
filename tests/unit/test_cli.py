"""The command line: a real store, the real command, output for people and for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from blockcache.cli import main
from blockcache.model import Blob, Input, Key, Manifest, Output, Provenance
from blockcache.settings import VARIABLES
from blockcache.stores.local import LocalStore

BLOBS = {"1" * 32: 1000, "2" * 32: 250_000}


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def _save(store, name, threshold, made_at, blobs=BLOBS):
    inputs = [
        Input("code", "", "a" * 32),
        Input("definition", "pipeline.clean", "b" * 32, "function pipeline.py:12"),
        Input("value", "threshold", f"{int(threshold * 10):032x}", str(threshold)),
        Input("distribution", "numpy", "2.1.0"),
        Input("python", "python", "3.12"),
    ]
    for digest, size_bytes in blobs.items():
        store.put(f"blobs/{digest}", [b"\0" * size_bytes])
    outputs = (Output("df", "pandas.core.frame.DataFrame", "DataFrame 10 x 3"), Output("n", "int", "42"))
    provenance = Provenance(made_at, 192.0, "script", "/home/ada/pipeline.py", 40, "3.12", "0.1.0", "box", "ada")
    manifest = Manifest(
        name, Key.of(inputs), outputs, ("tmp",), tuple(Blob(d, s) for d, s in blobs.items()), provenance
    )
    store.put(f"entries/{manifest.key.digest}/x.json", [manifest.to_json()])
    store.put(f"names/{name}/{manifest.key.digest}", [b""])
    return manifest.key.digest


@pytest.fixture
def place(tmp_path):
    """A store with two entries of `features` and one of `train [v2]`."""
    path = str(tmp_path / "store")
    store = LocalStore(path)
    _save(store, "features", 0.5, "2026-01-01T00:00:00+00:00")
    _save(store, "features", 0.7, "2026-01-02T00:00:00+00:00")
    _save(store, "train [v2]", 0.9, "2026-01-03T00:00:00+00:00", {"3" * 32: 5})
    return path


def _run(place, *arguments, code=0, input=None):
    done = CliRunner().invoke(main, ["--store", place, *arguments], input=input)
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def _json(place, *arguments):
    return json.loads(_run(place, *arguments, "--json").stdout)


def test_ls_lists_newest_first(place):
    """One row per entry, whole values when piped, names with brackets as they are."""
    lines = _run(place, "ls").stdout.splitlines()
    assert lines[0].split() == ["name", "made", "took", "size", "outputs", "host", "where", "key"]
    assert [line.split("  ")[0] for line in lines[1:]] == ["train [v2]", "features", "features"]
    assert "3 min 12 s" in lines[2] and "251 kB" in lines[2] and "pipeline.py:40" in lines[2]
    assert not any(line.endswith(" ") or "\x1b" in line for line in lines)
    rows = _json(place, "ls")["entries"]
    assert [r["name"] for r in rows] == ["train [v2]", "features", "features"]
    assert rows[1] | {"key": "", "path": ""} == {
        "name": "features", "also": [], "key": "", "path": "", "pinned": False, "made_at": "2026-01-02T00:00:00+00:00", "duration_s": 192.0,
        "size_bytes": 251_000, "outputs": ["df", "n"], "host": "script", "file": "/home/ada/pipeline.py", "line": 40,
    }  # fmt: skip


def test_show_tells_the_whole_manifest(place):
    """Inputs by kind, outputs with types, provenance, blobs; older entries are pointed to."""
    text = _run(place, "show", "features").stdout
    for part in (
        "in 3 min 12 s",
        "by ada on box",
        "/home/ada/pipeline.py:40",
        "DataFrame 10 x 3",
        "int 42",
        "tmp",
        "deleted",
        "function pipeline.py:12",
        "0.7",
        "numpy",
        "2.1.0",
        "1" * 32,
        "1.0 kB",
        "1 older entry",
    ):
        assert part in text
    facts = _json(place, "show", "features")
    assert facts["provenance"]["user"] == "ada"
    assert {i["kind"] for i in facts["inputs"]} == {"code", "definition", "value", "distribution", "python"}
    assert facts["blobs"] == [{"digest": d, "size_bytes": s, "coding": ""} for d, s in BLOBS.items()]


def test_show_takes_a_key_prefix(place):
    """An entry that is not the newest of its name is reached by its key."""
    oldest = _json(place, "ls")["entries"][-1]
    assert _json(place, "show", oldest["key"][:10])["made_at"] == oldest["made_at"] == "2026-01-01T00:00:00+00:00"


def test_a_renamed_block_is_found_under_its_new_name(place):
    """An entry that was met under another name since answers to both, and counts once."""
    newest = _json(place, "ls")["entries"][1]
    LocalStore(place).put(f"names/fea%2Ftures%20two/{newest['key']}", [b""])
    assert _json(place, "show", "fea/tures two")["key"] == newest["key"]
    assert "also met as fea/tures two" in _run(place, "show", "features").stdout
    assert _json(place, "stats")["names"] == 2
    assert _json(place, "rm", "fea/tures two")["entries"] == 1
    _run(place, "show", "fea/tures two", code=2)


def test_explain_compares_with_the_entry_before(place):
    """What changed is named and marked; without an older entry, what it depends on."""
    text = _run(place, "explain", "features").stdout
    assert "value threshold changed: 0.5 -> 0.7" in text
    assert "  ~ threshold  0.5 -> 0.7" in text
    assert _json(place, "explain", "features")["differences"] == [
        {"kind": "value", "name": "threshold", "change": "value threshold changed: 0.5 -> 0.7"}
    ]
    text = _run(place, "explain", "train [v2]").stdout
    assert "depends on" in text and "threshold  0.9" in text
    assert _json(place, "explain", "train [v2]")["against"] is None


def test_explain_shows_the_diff_of_code_and_takes_the_nearest_entry(project, monkeypatch):
    """A real program: the entry with the fewest differences, the diff in lines of the file, also as data."""
    main = "from blockcache import cached_block\nfrom helpers import f\nn = 1\nwith cached_block('a'):\n    y = f(n)\n"
    project.write(main=main, helpers="def f(x):\n    return x + 1\n")
    project.run()
    project.write(helpers="def f(x):\n    return x + 2\n")
    project.run()
    project.write(main=main.replace("n = 1", "n = 2"), helpers="def f(x):\n    return x - 1\n")
    project.run()
    project.write(helpers="def f(x):\n    return x + 1\n")
    project.run()
    store = str(project.folder / ".blockcache")
    text = _run(store, "explain", "a").stdout
    assert "function f (helpers.py:1) changed\n" in text, "not (+1 more): the nearest differs in one input"
    assert "        @@ -1,2 +1,2 @@\n         def f(x):\n        -    return x - 1\n        +    return x + 1\n" in text
    (difference,) = _json(store, "explain", "a")["differences"]
    assert difference["diff"][-2:] == ["-    return x - 1", "+    return x + 1"]


def test_source_texts_go_with_their_entries(project):
    """They are no unused blobs while an entry names them, and gone after it."""
    project.write(main="from blockcache import cached_block\nwith cached_block('a'):\n    y = 1\n")
    project.run()
    store = str(project.folder / ".blockcache")
    found = _json(store, "stats")
    assert (found["orphans"], found["blobs"]) == (0, 1) and found["text_bytes"] > 0
    assert _json(store, "rm", "a")["blobs"] == 2
    assert list((project.folder / ".blockcache" / "blobs").rglob("*/*")) == []


def test_stats_add_up(place):
    """Each blob counts once, and what sharing spares is told apart."""
    found = _json(place, "stats")
    assert (found["entries"], found["names"], found["size_bytes"], found["shared_bytes"], found["work_s"]) == (
        3,
        2,
        251_005,
        251_000,
        576.0,
    )
    assert [(b["name"], b["entries"], b["size_bytes"]) for b in found["biggest"]] == [
        ("features", 2, 251_000),
        ("train [v2]", 1, 5),
    ]
    text = _run(place, "stats").stdout
    for part in ("3 of 2 blocks", "251 kB in 3 blobs", "9 min 36 s"):
        assert part in text


def test_stats_tell_what_blocks_came_to(project):
    """A row for each name and one for all, reasons by count, a line where the cache costs more than it saves; a reset."""
    project.write(
        main="""
import time
from blockcache import cached_block
with cached_block("worth it"):
    time.sleep(0.5)
def slow():
    time.sleep(0.2)
with cached_block("not [worth] it", inputs=[slow]):
    y = 1
try:
    with cached_block("raises"):
        1 / 0
except ZeroDivisionError:
    pass
"""
    )
    project.run()
    project.run()
    store = str(project.folder / ".blockcache")
    lines = _run(store, "stats").stdout.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("block "))
    cells = {line.split("  ")[0]: line.split() for line in lines[start + 1 : start + 5]}
    assert cells["worth it"][2:6] == ["1", "1", "0", "50%"] and not cells["worth it"][8].startswith("-")
    assert cells["not [worth] it"][3:7] == ["1", "1", "0", "50%"] and "-" in " ".join(cells["not [worth] it"])
    assert cells["raises"][1:5] == ["0", "0", "2", "0%"]
    assert cells["all 3"][2:6] == ["2", "2", "2", "33%"]
    text = "\n".join(lines)
    assert "\nran because\n  first run" in text and "\nnot cacheable\n  body raised        2" in text
    assert [line.split(" cost ")[0] for line in lines if " cost more than it saved " in line] == ["not [worth] it"]
    facts = _json(store, "stats")
    assert (facts["total"]["hits"], facts["total"]["misses"], facts["total"]["uncacheable"]) == (2, 2, 2)
    row = next(b for b in facts["blocks"] if b["name"] == "not [worth] it")
    assert row["net_s"] < 0 < row["key_s"] and row["causes"] == {"first run": 1}
    assert "begin anew" in _run(store, "stats", "--reset").stdout
    assert _json(store, "stats")["blocks"] == [] and _json(store, "stats")["entries"] == 2


def test_rm_deletes_a_name_and_says_what_it_freed(place):
    """Entries of that name go, with blobs that nobody else names; the others stay."""
    assert _run(place, "rm", "features").stdout == "deleted 2 entries and 2 blobs, freed 251 kB\n"
    assert [e["name"] for e in _json(place, "ls")["entries"]] == ["train [v2]"]
    assert _json(place, "rm", "train [v2]") == {"entries": 1, "blobs": 1, "freed_bytes": 5, "pinned": 0}


def test_rm_by_key_takes_one_entry(place):
    """--key alone and --key with a name; shared blobs stay."""
    oldest = _json(place, "ls")["entries"][-1]
    removed = {"entries": 1, "blobs": 0, "freed_bytes": 0, "pinned": 0}
    assert _json(place, "rm", "features", "--key", oldest["key"][:12]) == removed
    assert [e["made_at"][:10] for e in _json(place, "ls")["entries"]] == ["2026-01-03", "2026-01-02"]
    _run(place, "rm", "features", "--key", "ffffffff", code=2)
    left = _json(place, "ls")["entries"]
    _run(place, "rm", "--key", left[0]["key"])
    assert len(_json(place, "ls")["entries"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [["rm"], ["rm", "--key", ""], ["rm", "--key", "1"], ["rm", "x", "--all"], ["rm", "--all", "--key", "1234"]],
)
def test_rm_refuses_what_is_not_clear(place, arguments):
    """Nothing is deleted by a half-said command, nor by a block's name that happens to begin a key."""
    key = _json(place, "ls")["entries"][0]["key"]
    _run(place, *arguments, code=2)
    _run(place, "rm", key, code=2)
    assert len(_json(place, "ls")["entries"]) == 3


def test_rm_all_asks(place):
    """--all asks on standard error unless --yes; a no deletes nothing."""
    _run(place, "rm", "--all", input="n\n", code=1)
    assert len(_json(place, "ls")["entries"]) == 3
    assert _json(place, "rm", "--all", "--yes") == {"entries": 3, "blobs": 3, "freed_bytes": 251_005, "pinned": 0}
    assert _run(place, "ls").stdout == f"no entries in {place}\n"


def test_a_name_and_a_key_tell_one_entry(place):
    """NAME@KEY, for `show`, `rm`, `pin`; a block whose name has such an ending is meant first."""
    oldest = _json(place, "ls")["entries"][-1]
    one = f"features@{oldest['key'][:6]}"
    assert _json(place, "show", one)["made_at"] == oldest["made_at"]
    _save(LocalStore(place), one, 0.1, "2026-01-05T00:00:00+00:00")
    assert _json(place, "show", one)["made_at"] == "2026-01-05T00:00:00+00:00"
    assert _json(place, "rm", f"{one}@{_json(place, 'show', one)['key'][:8]}")["entries"] == 1
    assert _json(place, "rm", one)["entries"] == 1
    assert [e["made_at"][:10] for e in _json(place, "ls")["entries"]] == ["2026-01-03", "2026-01-02"]
    for wrong in ("features@ffffffff", "features@", "features@12", "train [v2]@zzzz"):
        _run(place, "rm", wrong, code=2)


def test_a_pinned_entry_is_marked_and_stays(place):
    """The newest of a name is pinned; `ls` and `show` say so, `rm` leaves it unless told otherwise."""
    assert "stays" not in _run(place, "ls").stdout
    done = _run(place, "pin", "features")
    newest, oldest = _json(place, "ls")["entries"][1:]
    assert done.stdout.startswith(f"pinned features@{newest['key'][:8]} (made on 2026-01-02, 251 kB)")
    assert (newest["pinned"], oldest["pinned"]) == (True, False)
    assert [line.split()[-1] for line in _run(place, "ls").stdout.splitlines()][2] == "pinned"
    assert "pinned: it stays" in _run(place, "show", "features").stdout
    done = _run(place, "rm", "features")
    assert done.stdout.startswith("deleted 1 entry") and "1 pinned entry stays" in done.stderr
    assert _json(place, "rm", "--all", "--yes") | {"blobs": 0, "freed_bytes": 0} == {
        "entries": 1, "blobs": 0, "freed_bytes": 0, "pinned": 1,
    }  # fmt: skip
    assert _json(place, "unpin", "features")["unpinned"][0]["key"] == newest["key"]
    _run(place, "unpin", "features", code=2)
    _run(place, "pin", f"features@{newest['key'][:4]}")
    assert _json(place, "rm", "features", "--pinned")["entries"] == 1
    assert list(LocalStore(place).list("")) == []


def test_gc_says_what_goes_and_why(place):
    """By name, with bytes; a dry run changes nothing, limits come from options and settings."""
    time.sleep(0.2)
    text = _run(place, "gc", "--dry-run", "--keep", "1").stdout
    assert "1 newer of the name" in text and "would free" in text and "features" in text
    assert len(_json(place, "ls")["entries"]) == 3
    done = _json(place, "gc", "--keep", "1")
    assert [(g["name"], g["because"]) for g in done["going"]] == [("features", "1 newer of the name")]
    assert done["freed_bytes"] > 0 and done["max_bytes"] > 10**6 and not done["dry_run"]
    done = _json(place, "gc", "--max-size", "20 kB")
    assert [g["name"] for g in done["going"]] == ["features"] and done["left_bytes"] <= 20_000
    assert "nobody" not in _run(place, "gc", "--older-than", "1d").stdout
    assert [e["name"] for e in _json(place, "ls")["entries"]] == ["train [v2]"]
    for wrong in (["--older-than", "soon"], ["--max-size", "much"], ["--keep", "0"]):
        assert wrong[1] in _run(place, "gc", *wrong, code=2 if "soon" in wrong else 1).stderr
    assert "stay in" in _run(f"{place}-none", "gc").stdout


@pytest.mark.parametrize("command", ["show", "explain", "rm", "pin", "unpin"])
def test_an_unknown_name_exits_with_2_and_names_close_ones(place, command):
    """The message says which store was read and which names are near."""
    done = _run(place, command, "featurs", code=2)
    assert "no block 'featurs'" in done.stderr and "did you mean 'features'?" in done.stderr and place in done.stderr
    assert done.stdout == ""


def test_looking_never_makes_a_store(tmp_path):
    """Where there is no store yet, commands say so and leave the disk as it was."""
    for arguments, code in (
        (["ls"], 0),
        (["stats"], 0),
        (["rm", "--all", "--yes"], 0),
        (["show", "x"], 2),
        (["rm", "x"], 2),
    ):
        _run(str(tmp_path / "none"), *arguments, code=code)
    assert _json(str(tmp_path / "none"), "ls")["entries"] == []
    assert _json(str(tmp_path / "none"), "stats")["size_bytes"] == 0
    assert list(tmp_path.iterdir()) == []


def test_manifests_that_cannot_be_read_are_counted_and_named(place):
    """On standard error, after the rest; programs get them as data."""
    LocalStore(place).put("entries/k/torn.json", [b'{"format": 1'])
    done = _run(place, "ls")
    assert "1 manifest cannot be read" in done.stderr and "entries/k/torn.json" in done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert [u["path"] for u in _json(place, "ls")["unreadable"]] == ["entries/k/torn.json"]
    assert _json(place, "stats")["unreadable"] == 1


def test_config_says_where_each_value_comes_from(tmp_path, monkeypatch):
    """Default, pyproject.toml, environment and the option, each by name; and the store's path."""
    (tmp_path / "pyproject.toml").write_text("[tool.blockcache]\nquiet = true\n")
    monkeypatch.setenv("BLOCKCACHE_MODE", "readonly")
    done = CliRunner().invoke(main, ["config", "--json"])
    found = json.loads(done.stdout)
    assert found["settings"]["quiet"] == {"value": True, "origin": str(tmp_path / "pyproject.toml")}
    assert found["settings"]["mode"] == {"value": "readonly", "origin": "BLOCKCACHE_MODE"}
    assert found["settings"]["strict"] == {"value": False, "origin": "default"}
    assert found["store_path"] == str(tmp_path / ".blockcache")
    assert found["settings"]["max_size"] == {"value": None, "origin": "default"} and found["max_bytes"] > 10**6
    text = _run("elsewhere", "config").stdout
    assert f"store: {tmp_path / 'elsewhere'}" in text
    assert "argument" in text and "BLOCKCACHE_MODE" in text
    assert "default: a tenth of what is free" in text
    monkeypatch.setenv("BLOCKCACHE_MAX_SIZE", "none")
    found = json.loads(CliRunner().invoke(main, ["config", "--json"]).stdout)
    assert (found["settings"]["max_size"]["value"], found["max_bytes"]) == ("none", None)


def test_a_bad_setting_is_a_message_not_a_traceback(tmp_path, monkeypatch):
    """The error names the variable and the allowed values."""
    monkeypatch.setenv("BLOCKCACHE_MODE", "sideways")
    done = CliRunner().invoke(main, ["ls"])
    assert done.exit_code == 1
    assert "BLOCKCACHE_MODE" in done.stderr and "'sideways'" in done.stderr and "frozen" in done.stderr


def _on_a_terminal(columns, *arguments, code=0):
    """What a terminal of that width shows, read from a real pseudo-terminal."""
    import pty

    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color"}
    program = [sys.executable, "-c", "from blockcache.cli import main; main()", *arguments]
    process = subprocess.Popen(program, stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    shown = b""
    try:
        while chunk := os.read(parent, 65536):
            shown += chunk
    except OSError:  # Linux reports the end of a terminal as an error
        pass
    os.close(parent)
    assert process.wait() == code, shown.decode()
    return shown.decode()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_tables_fit_the_terminal(place, columns, tmp_path):
    """No line is wider than the terminal, so no row wraps; the flexible columns give way."""
    import re

    store = LocalStore(place)
    _save(
        store,
        "a name that is much longer than anybody would wish for a block of theirs",
        0.1,
        "2026-01-04T00:00:00+00:00",
    )
    script = tmp_path / "long_name_of_a_script.py"
    script.write_text("from blockcache import cached_block\nwith cached_block('features'):\n    x = 1\n")
    for arguments in (
        ["ls"],
        ["stats"],
        ["show", "features"],
        ["explain", "features"],
        ["config"],
        ["status", str(script)],
    ):
        lines = re.sub(
            r"\x1b\[[0-9;]*m", "", _on_a_terminal(columns, "--store", place, *arguments, code=arguments[0] == "status")
        ).splitlines()
        if arguments == ["ls"]:
            assert len(lines) == 5
            assert "251 kB" in lines[1]
        too_wide = [line for line in lines if len(line) > columns and place not in line]
        assert too_wide == []


def test_the_command_imports_neither_hosts_nor_libraries():
    """Listing a store costs no science: only click, and rich when a table is printed."""
    program = (
        "import sys, blockcache.cli\n"
        "heavy = {'rich', 'numpy', 'pandas', 'polars', 'pyarrow', 'torch', 'IPython', 'marimo', 'cloudpickle', 'executing'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
