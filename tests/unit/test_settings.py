"""Settings: precedence, origins, refusals, and where the store is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blockcache import settings
from blockcache.errors import SettingError
from blockcache.settings import VARIABLES, configure, log_path, resolve, store_path


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    yield
    configure(**dict.fromkeys(VARIABLES))


def _pyproject(folder: Path, text: str) -> str:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return str(path)


def test_defaults_say_that_they_are_defaults(tmp_path):
    """Without any setting, every value is the default and its origin says so."""
    found = resolve(str(tmp_path))
    assert (found.store, found.mode, found.quiet, found.strict, found.log) == (None, "on", False, False, None)
    assert set(found.origin) == {*VARIABLES, "inputs"}
    assert set(found.origin.values()) == {"default"}


def test_each_place_overrules_the_weaker_ones(tmp_path, monkeypatch):
    """Argument over configure() over environment over pyproject.toml over default, and back again."""
    anchor = str(tmp_path)
    seen = []

    def see(**arguments):
        found = resolve(anchor, **arguments)
        seen.append((found.mode, found.origin["mode"]))

    see()
    path = _pyproject(tmp_path, '[tool.blockcache]\nmode = "off"\n')
    settings._pyproject_of.clear()
    see()
    monkeypatch.setenv("BLOCKCACHE_MODE", "refresh")
    see()
    configure(mode="readonly")
    see()
    see(mode="frozen")
    see()
    configure(mode=None)
    see()
    monkeypatch.delenv("BLOCKCACHE_MODE")
    see()
    assert seen == [
        ("on", "default"),
        ("off", path),
        ("refresh", "BLOCKCACHE_MODE"),
        ("readonly", "configure()"),
        ("frozen", "argument"),
        ("readonly", "configure()"),
        ("refresh", "BLOCKCACHE_MODE"),
        ("off", path),
    ]


def test_settings_do_not_hide_each_other(tmp_path, monkeypatch):
    """A setting given in a strong place leaves the others to weaker places."""
    path = _pyproject(tmp_path, "[tool.blockcache]\nquiet = true\nstrict = true\n")
    monkeypatch.setenv("BLOCKCACHE_STRICT", "no")
    configure(mode="off")
    found = resolve(str(tmp_path))
    assert (found.mode, found.quiet, found.strict) == ("off", True, False)
    assert (found.origin["quiet"], found.origin["strict"]) == (path, "BLOCKCACHE_STRICT")


def test_configure_keeps_what_it_does_not_name():
    """Two calls add up; None unsets one setting only."""
    configure(mode="off", quiet=True)
    configure(strict=True)
    configure(mode=None)
    found = resolve(os.getcwd())
    assert (found.origin["mode"] == "configure()", found.quiet, found.strict) == (False, True, True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('mode = "readnly"', ["mode", "'readnly'", "on, off, refresh, readonly, frozen"]),
        ("mode = true", ["mode", "True", "on, off"]),
        ('quiet = "yes"', ["quiet", "'yes'", "true or false"]),
        ("strict = 1", ["strict", "true or false"]),
        ("store = 3", ["store", "3", "path"]),
        ('store = ""', ["store", "path"]),
        ('store = "s3://bucket/x"', ["store", "local"]),
        ('sotre = "x"', ["'sotre'", "did you mean 'store'"]),
        ("zzz = 1", ["'zzz'", "store, mode, quiet, strict, log"]),
    ],
)
def test_a_bad_pyproject_names_value_place_and_choice(tmp_path, text, parts):
    """A refusal names the file, the setting, its value, and what is allowed."""
    path = _pyproject(tmp_path, f"[tool.blockcache]\n{text}\n")
    with pytest.raises(SettingError) as caught:
        resolve(str(tmp_path))
    for part in [path, "[tool.blockcache]", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["[tool.blockcache", b"# blockcache \xff", "[tool]\nblockcache = 3\n"])
def test_a_broken_pyproject_is_a_setting_error(tmp_path, text):
    """A file that is no TOML, or where the table is no table, is refused by name."""
    (tmp_path / "pyproject.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingError, match="pyproject.toml"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    ("variable", "value", "parts"),
    [
        ("BLOCKCACHE_MODE", "ON", ["mode", "'ON'", "on, off"]),
        ("BLOCKCACHE_QUIET", "maybe", ["quiet", "'maybe'", "yes", "no"]),
        ("BLOCKCACHE_STORE", "redis://x", ["store", "local"]),
    ],
)
def test_a_bad_variable_is_named(tmp_path, monkeypatch, variable, value, parts):
    """A refusal names the environment variable, its value, and what is allowed."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as caught:
        resolve(str(tmp_path))
    for part in [variable, *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "bad", [{"mode": "nope"}, {"quiet": 1}, {"store": 7}, {"store": b"x"}, {"mdoe": "on"}, {"mode": []}]
)
def test_configure_refuses_and_changes_nothing(bad):
    """A refused call leaves all settings as they were, also those of the same call that are good."""
    configure(mode="off")
    with pytest.raises(SettingError, match=r"configure\(\)"):
        configure(**{"strict": True, **bad})
    found = resolve(os.getcwd())
    assert (found.mode, found.strict) == ("off", False)


@pytest.mark.parametrize("bad", ["nope", [], 3, True])
def test_a_bad_argument_is_a_setting_error(tmp_path, bad):
    """Also one of a type that cannot be looked up anywhere."""
    with pytest.raises(SettingError, match="argument"):
        resolve(str(tmp_path), mode=bad)


@pytest.mark.parametrize(
    ("text", "flag"), [("1", True), ("TRUE", True), ("yes", True), ("0", False), ("off", False), ("", False)]
)
def test_flags_have_words_in_the_environment(tmp_path, monkeypatch, text, flag):
    """The usual words are understood; an empty variable is an unset one."""
    monkeypatch.setenv("BLOCKCACHE_QUIET", text)
    found = resolve(str(tmp_path))
    assert found.quiet is flag
    assert found.origin["quiet"] == ("BLOCKCACHE_QUIET" if text else "default")


def test_the_nearest_pyproject_decides(tmp_path):
    """Only the nearest file upward counts, even when it says nothing of blockcache."""
    _pyproject(tmp_path, '[tool.blockcache]\nmode = "off"\n')
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert resolve(str(deep)).mode == "off"
    near = tmp_path / "c"
    near.mkdir()
    _pyproject(near, "[project]\nname = 'x'\n")
    assert resolve(str(near)).mode == "on"


def test_an_edited_or_removed_pyproject_is_noticed(tmp_path):
    """Settings follow the file while the process runs."""
    path = Path(_pyproject(tmp_path, '[tool.blockcache]\nmode = "off"\n'))
    modes = [resolve(str(tmp_path)).mode]
    path.write_text('[tool.blockcache]\nmode = "readonly"\n')
    modes.append(resolve(str(tmp_path)).mode)
    path.unlink()
    modes.append(resolve(str(tmp_path)).mode)
    assert modes == ["off", "readonly", "on"]


def test_nothing_is_read_twice_when_nothing_changed(tmp_path):
    """The same state gives the very same object; a changed one another."""
    _pyproject(tmp_path, "[tool.blockcache]\nquiet = true\n")
    first = resolve(str(tmp_path), mode="off")
    assert resolve(str(tmp_path), mode="off") is first
    configure(strict=True)
    assert resolve(str(tmp_path), mode="off") is not first


def test_a_store_is_relative_to_where_it_is_written(tmp_path, monkeypatch):
    """pyproject.toml: to its own directory; environment and argument: to the current directory; ~ is the home."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    (project / "notebooks").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    anchor = str(project / "notebooks")

    def where(**arguments):
        return store_path(resolve(anchor, **arguments), anchor)

    _pyproject(project, '[tool.blockcache]\nstore = "../kept"\nlog = "log.jsonl"\n')
    assert where() == str(tmp_path / "kept")
    assert log_path(resolve(anchor)) == str(project / "log.jsonl")
    monkeypatch.setenv("BLOCKCACHE_STORE", "kept")
    assert where() == str(elsewhere / "kept")
    configure(store=Path("mine"))
    monkeypatch.chdir(tmp_path)
    assert where() == str(elsewhere / "mine"), "what configure() was given must not move with a later chdir"
    assert where(store="kept") == str(tmp_path / "kept")
    assert where(store="~/kept") == str(tmp_path / "home" / "kept")
    assert where(store=tmp_path / "p") == str(tmp_path / "p")


def test_the_default_store_stands_beside_the_project(tmp_path):
    """First directory upward with pyproject.toml or .git (folder or file), else the anchor itself."""
    for name, mark in (("a", "pyproject.toml"), ("b", ".git")):
        deep = tmp_path / name / "x" / "y"
        deep.mkdir(parents=True)
        (tmp_path / name / mark).write_text("")
        assert store_path(resolve(str(deep)), str(deep)) == str(tmp_path / name / ".blockcache")
    if not any((d / m).exists() for d in (tmp_path, *tmp_path.parents) for m in ("pyproject.toml", ".git")):
        alone = tmp_path / "alone"
        alone.mkdir()
        assert store_path(resolve(str(alone)), str(alone)) == str(alone / ".blockcache")


def test_relative_anchors_follow_the_current_directory(tmp_path, monkeypatch):
    """A relative anchor is never remembered for another directory."""
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _pyproject(tmp_path / name, f'[tool.blockcache]\nmode = "{"off" if name == "a" else "frozen"}"\n')
        monkeypatch.chdir(tmp_path / name)
        found.append((resolve("").mode, store_path(resolve(""), "")))
    assert found == [(m, str(tmp_path / n / ".blockcache")) for m, n in (("off", "a"), ("frozen", "b"))]


def test_the_newer_settings_say_what_they_can_be(tmp_path):
    """Shares, patterns and named sets are checked where they are set, and the message says what is allowed."""
    for text, part in [
        ("sample = 2", "share such as 0.05"),
        ('redact = ["("]', "regular expressions"),
        ('inputs = {data = "a.csv"}', "table of lists"),
    ]:
        _pyproject(tmp_path, f"[tool.blockcache]\n{text}\n")
        with pytest.raises(SettingError, match=part):
            resolve(str(tmp_path))
    _pyproject(
        tmp_path, '[tool.blockcache]\nsample = "5%"\nredact = "pass.*"\n[tool.blockcache.inputs]\ndata = ["a.csv"]\n'
    )
    found = resolve(str(tmp_path))
    assert (found.sample, found.redact, dict(found.inputs)) == (0.05, ("pass.*",), {"data": ("a.csv",)})
    with pytest.raises(SettingError, match="inputs"):
        configure(inputs={"data": ["a.csv"]})
