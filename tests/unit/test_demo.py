"""The engine of `blockcache demo`, on a small script that reports blocks as real ones do."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from blockcache import demo
from blockcache.cli import main

SCRIPT = """
import os, sys
from pathlib import Path
from blockcache import report
from blockcache.events import BlockFinished, emit
from blockcache.settings import log_path, resolve, store_path

report.install()
settings = resolve("/")
assert settings.mode == "on", settings
print("the experiment's own output")
store = Path(store_path(settings, "/"))
outcome = "hit" if store.exists() else "miss"
store.mkdir(exist_ok=True)
for name in ("load", "train"):
    took_s = 2.0 if outcome == "miss" else 0.01
    emit(BlockFinished(name, outcome, __file__, 1, "script", took_s, log_path=log_path(settings)))
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    path = tmp_path / "experiment.py"
    path.write_text(SCRIPT)
    monkeypatch.setattr(demo, "_script", lambda: path)
    monkeypatch.setattr(demo, "_LIBRARIES", ("json",))
    return path


def test_the_second_run_finds_what_the_first_one_saved(script, monkeypatch):
    """Both runs share one fresh store, whatever the reader's own settings are, and the totals add up."""
    monkeypatch.setenv("BLOCKCACHE_MODE", "off")
    monkeypatch.setenv("BLOCKCACHE_STORE", "/nowhere")
    said = []
    for _ in range(2):
        result = demo.run(say=said.append)
        assert [(r.name, r.first, r.second) for r in result.rows] == [
            ("load", "miss", "hit"), ("train", "miss", "hit"), ("all blocks", "", ""), ("whole script", "", ""),
        ]  # fmt: skip
        assert (result.rows[2].first_s, result.rows[2].second_s) == (4.0, 0.02)
        assert result.rows[3].first_s > 0
    assert len(said) == 4


def test_the_command_prints_a_table_or_json(script):
    """Standard output holds the table, or JSON alone; not the experiment's own output."""
    text = CliRunner().invoke(main, ["demo"]).stdout
    lines = text.splitlines()
    assert lines[0].split() == ["block", "first", "run", "second", "run", "ratio"]
    assert lines[1].split() == ["load", "miss", "2.0", "s", "hit", "10", "ms", "200x"]
    assert [line.split("  ")[0] for line in lines[3:]] == ["all blocks", "whole script"]
    found = json.loads(CliRunner().invoke(main, ["demo", "--json"]).stdout)
    assert [b["name"] for b in found["blocks"]] == ["load", "train"]
    assert found["all_blocks"]["second_s"] == 0.02


def test_a_failing_experiment_is_an_error(script):
    """Not a table of what there was until then."""
    script.write_text(SCRIPT + "\nsys.exit(3)\n")
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert "exit code 3" in done.stderr
    assert done.stdout == ""


def test_an_experiment_without_blocks_is_an_error(script):
    """A demo that shows nothing must not look like one that works."""
    script.write_text("")
    with pytest.raises(demo.DemoError, match="no block"):
        demo.run(say=lambda text: None)


def test_missing_libraries_are_named_with_the_way_to_get_them(script, monkeypatch):
    """Before anything runs."""
    monkeypatch.setattr(demo, "_LIBRARIES", ("json", "no_such_library"))
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert 'the demo needs no_such_library: pip install "blockcache[demo]"' in done.stderr
