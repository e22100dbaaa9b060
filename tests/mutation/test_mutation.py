"""A small seeded part of the mutation harness: own programs only, nothing is downloaded."""

from __future__ import annotations

import ast
import random

import cosmetic
import edits
import harness
import pytest

PROGRAMS = "orders,closures,shapes,settings,inner,upstream"


@pytest.fixture(scope="module")
def tallies(tmp_path_factory):
    work = str(tmp_path_factory.mktemp("mutation") / "work")
    arguments = [
        "--seed",
        "5",
        "--scripts",
        "0",
        "--edits",
        "24",
        "--cosmetic",
        "16",
        "--only",
        PROGRAMS,
        "--work",
        work,
    ]
    return harness.run(harness.options_from(arguments))[0]


def found(tallies, verdict: str) -> str:
    return "\n".join(f.text() for t in tallies for f in t.findings if f.verdict.startswith(verdict))


def test_every_program_hits_when_it_is_unedited_and_gives_what_a_run_gives(tallies):
    assert len(tallies) == 6
    assert {t.script: t.skipped for t in tallies if t.skipped} == {}
    assert {t.script: (t.hits, t.blocks) for t in tallies if t.hits < t.blocks} == {}
    assert found(tallies, "BROKEN") == ""


def test_a_telling_edit_never_gives_a_stale_value(tallies):
    assert sum(t.semantic for t in tallies) >= 24
    # Some edits must have reached a block, or nothing was tested.
    assert sum(t.inside for t in tallies) >= 8
    assert found(tallies, "STALE") == ""


def test_a_cosmetic_edit_runs_no_body_again(tallies):
    assert sum(t.cosmetic for t in tallies) >= 16
    assert found(tallies, "needless") == ""


@pytest.mark.parametrize("kind", cosmetic.COSMETIC)
def test_each_kind_of_cosmetic_edit_finds_a_place_and_compiles(kind):
    made = 0
    for program in harness.own_programs():
        for file in edits.sources(program):
            text = program.files[file]
            for seed in range(3):
                edited = cosmetic.COSMETIC[kind](text, random.Random(seed))
                if edited is not None and edited != text:
                    compile(edited, file, "exec")
                    made += 1
    assert made > 0


def test_a_semantic_edit_changes_the_syntax_tree_of_one_file():
    kinds = set()
    for program in harness.own_programs():
        rng = random.Random(program.name)
        for _ in range(40):
            edit = edits.any_edit(program, rng)
            if edit is None or edit.env is not None or not edit.file.endswith(".py"):
                continue
            kinds.add(edit.kind)
            assert ast.dump(ast.parse(edit.content)) != ast.dump(ast.parse(program.files[edit.file]))
    assert len(kinds) >= 20
