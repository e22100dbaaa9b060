"""Words for people: durations, sizes, ages, reasons, the line, the tree, the card, the reporters."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from blockcache import report
from blockcache.errors import CacheWarning
from blockcache.events import BlockFinished
from blockcache.model import Difference, Hit, Input, Key, Manifest, Miss, Output, Provenance, compare
from blockcache.report import Facts

NOW_S = 1_800_000_000.0
NASTY = "<script>alert(1)</script>\n\x1b[31m\"'&\u202e\ud800"


def _event(outcome="hit", **facts):
    return BlockFinished(
        **{
            "name": "features",
            "outcome": outcome,
            "file": "/a/pipeline.py",
            "line": 40,
            "host": "script",
            "took_s": 0.004,
            **facts,
        }
    )


def _manifest(*inputs, made_at="2026-01-01T00:00:00+00:00"):
    provenance = Provenance(made_at, 3.0, "script", "/a/pipeline.py", 40, "3.12", "0.1.0", "box", "ada")
    return Manifest("features", Key.of(inputs), (), (), (), provenance)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 µs"), (0, "0 µs"), (180e-6, "180 µs"), (999.4e-6, "999 µs"), (999.6e-6, "1 ms"), (0.004, "4 ms"),
        (0.9994, "999 ms"), (0.9996, "1.0 s"), (1.25, "1.2 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"),
        (192, "3 min 12 s"), (3599.4, "59 min 59 s"), (3599.6, "1 h"), (7500, "2 h 5 min"), (86399, "1 d"), (86400 * 3 + 4 * 3600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations_read_like_a_clock(seconds, text):
    """Two units at most, and never a rounded-up 60 s or 1000 ms."""
    assert report.duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (34_000, "34 kB"), (999_499, "999 kB"), (999_600, "1.0 MB"), (1_234_567_890, "1.2 GB"), (5 * 10**15, "5000 TB")],
)  # fmt: skip
def test_sizes_are_decimal(size_bytes, text):
    """Powers of 1000, and never a rounded-up 1000 kB."""
    assert report.size(size_bytes) == text


@pytest.mark.parametrize(
    ("ago_s", "text"),
    [(-3600, "just now"), (0, "just now"), (59, "just now"), (60, "1 min ago"), (3599, "59 min ago"), (3600, "1 hour ago"), (86399, "23 hours ago"), (2 * 86400, "2 days ago"), (59 * 86400, "59 days ago"), (400 * 86400, "on 2025-12-11")],
)  # fmt: skip
def test_ages(ago_s, text):
    """The largest whole unit; a clock that runs ahead elsewhere is no reason for a negative age."""
    from datetime import UTC, datetime

    made = datetime.fromtimestamp(NOW_S - ago_s, UTC)
    assert report.age(made.isoformat(), NOW_S) == text
    assert report.age(made.replace(tzinfo=None).isoformat(), NOW_S) == text, "a time without a zone is UTC"


def test_an_age_that_cannot_be_read():
    """A manifest of somebody else's making does not break the line."""
    assert report.age("yesterday", NOW_S) == "at an unknown time"


def _input(kind, name, digest, note=""):
    return Input(kind, name, digest, note)


D1, D2 = "1" * 32, "2" * 32


@pytest.mark.parametrize(
    ("was", "now", "text"),
    [
        (_input("code", "", D1), _input("code", "", D2), "the block's code changed"),
        (_input("definition", "pipeline.clean", D1, "function pipeline.py:9"), _input("definition", "pipeline.clean", D2, "function pipeline.py:12"), "function clean (pipeline.py:12) changed"),
        (_input("definition", "Model", D1, "class model.py:3"), _input("definition", "Model", D2, "class model.py:3"), "class Model (model.py:3) changed"),
        (_input("definition", "pkg.model.Model.fit", D1, "function model.py:7"), _input("definition", "pkg.model.Model.fit", D2, "function model.py:7"), "function Model.fit (model.py:7) changed"),
        (_input("definition", "remodel.f", D1, "function model.py:7"), _input("definition", "remodel.f", D2, "function model.py:7"), "function remodel.f (model.py:7) changed"),
        (_input("definition", "f", D1), _input("definition", "f", D2), "definition f changed"),
        (_input("value", "threshold", D1, "0.5"), _input("value", "threshold", D2, "0.7"), "value threshold changed: 0.5 -> 0.7"),
        (_input("value", "df", D1, "DataFrame 10 x 3"), _input("value", "df", D2, "DataFrame 12 x 3"), "value df changed: DataFrame 10 x 3 -> DataFrame 12 x 3"),
        (_input("value", "df", D1, "DataFrame 10 x 3"), _input("value", "df", D2, "DataFrame 10 x 3"), "value df (DataFrame 10 x 3) changed"),
        (_input("value", "x", D1), _input("value", "x", D2), "value x changed"),
        (_input("distribution", "numpy", "2.1.0"), _input("distribution", "numpy", "2.2.0"), "numpy 2.1.0 -> 2.2.0"),
        (_input("distribution", "mine", D1), _input("distribution", "mine", D2), "mine changed"),
        (_input("python", "python", "3.11"), _input("python", "python", "3.12"), "python 3.11 -> 3.12"),
        (_input("module", "helpers", D1, "helpers.py"), _input("module", "helpers", D2, "helpers.py"), "module helpers (helpers.py) changed"),
        (None, _input("definition", "clean", D1, "function pipeline.py:12"), "new input: function clean (pipeline.py:12)"),
        (_input("value", "x", D1, "3"), None, "no longer used: value x (3)"),
        (None, _input("distribution", "scipy", "1.13"), "new input: scipy 1.13"),
        (_input("value", "mode", D1, "'abc'"), _input("value", "mode", D2, "'abd'"), "value mode changed: 'abc' -> 'abd'"),
        (_input("file", "data/orders.csv", D1, "1.2 MB"), _input("file", "data/orders.csv", D2, "1.3 MB"), "file data/orders.csv changed (1.2 MB -> 1.3 MB)"),
        (_input("file", "a.csv", D1, "1.2 MB"), _input("file", "a.csv", D2, "1.2 MB"), "file a.csv (1.2 MB) changed"),
        (_input("file", "a.csv", D1, "1.2 MB"), _input("file", "a.csv", "absent", "does not exist"), "file a.csv is gone"),
        (_input("file", "a.csv", "absent", "does not exist"), _input("file", "a.csv", D1, "1 kB"), "file a.csv is there now"),
        (_input("env", "SEED", D1, "set"), _input("env", "SEED", D2, "set"), "environment variable SEED (set) changed"),
        (_input("env", "SEED", "unset", "not set"), _input("env", "SEED", D2, "set"), "environment variable SEED changed (not set -> set)"),
        (_input("env", "SEED", D1), _input("env", "SEED", D2), "environment variable SEED changed"),
        (_input("path", "con", D1, "main.py:3, 5"), _input("path", "con", D2, "main.py:3, 5"), "statements that made con (main.py:3, 5) changed"),
        (_input("state", "numpy.random", D1), _input("state", "numpy.random", D2), "state of numpy.random before the block changed"),
        (_input("state", "decimal.prec", "28", "28"), _input("state", "decimal.prec", "9", "9"), "state of decimal.prec before the block changed: 28 -> 9"),
        (_input("version", "version", "'1'"), _input("version", "version", "'2'"), "version '1' -> '2'"),
        (None, _input("version", "version", "'2'"), "new input: version '2'"),
        (_input("extra", "row_count", D1), _input("extra", "row_count", D2), "declared value row_count changed"),
        (_input("distribution", "numpy", "2.1", "2.1.0, only its minor version counts"), _input("distribution", "numpy", "2.2", "2.2.1, only its minor version counts"), "numpy 2.1.0 -> 2.2.1"),
        (_input("distribution", "mine", "1.0#abc", "1.0#abc"), _input("distribution", "mine", "1.0#abd", "1.0#abd"), "mine 1.0 changed"),
    ],
)  # fmt: skip
def test_causes_are_said_in_words(was, now, text):
    """Each kind of difference names what changed, and where it stands when it has a place."""
    kind, name = (now or was).kind, (now or was).name
    assert report.cause(Difference(kind, name, now, was)) == text


def test_the_reason_is_the_likeliest_cause_and_counts_the_rest():
    """The first difference, and how many more."""
    was = [_input("value", "a", D1, "1"), _input("code", "", D1), _input("distribution", "numpy", "1")]
    now = [_input("value", "a", D2, "2"), _input("code", "", D2), _input("distribution", "numpy", "2")]
    assert report.reason(compare(now, was)) == "the block's code changed (+2 more)"
    assert report.reason(compare(now[:1], was[:1])) == "value a changed: 1 -> 2"
    assert report.reason(()) == ""
    assert report.why(Miss("no entry of this name")) == "no entry of this name"
    assert report.why(Miss("", compare(now[:1], was[:1]))) == "value a changed: 1 -> 2"


def test_the_line_of_a_hit():
    """What was spared, the bytes and the time to bring them back, and the age."""
    event = _event(saved_s=192, size_bytes=1_200_000_000, load_s=0.004, made_at="2020-01-01T00:00:00+00:00")
    assert report.line(event) == "features  hit   saved 3 min 12 s · 1.2 GB in 4 ms · made on 2020-01-01"


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"saved": True, "size_bytes": 1_200_000_000}, "features  miss  why · took 3 min 9 s · saved 1.2 GB"),
        ({"saved": True, "size_bytes": 1_200_000_000, "save_s": 60.0}, "features  miss  why · took 3 min 9 s · saved 1.2 GB in 1 min"),
        ({"saved": True, "size_bytes": 10, "problem": "torn"}, "features  miss  why · took 3 min 9 s · saved 10 B · trouble: torn"),
        ({"problem": "disk full"}, "features  miss  why · took 3 min 9 s · not saved: disk full"),
        ({}, "features  miss  why · took 3 min 9 s · not saved"),
        ({"reason": ""}, "features  miss  took 3 min 9 s · not saved"),
    ],
)  # fmt: skip
def test_the_line_of_a_miss(facts, text):
    """Why, how long, and what became of the result."""
    assert report.line(_event("miss", took_s=189, **{"reason": "why", **facts})) == text


@pytest.mark.parametrize(
    ("outcome", "facts", "text"),
    [
        ("miss", {"reason": "first run", "saved": True, "untracked": ("connects to example.org", "reads the clock")}, "features  miss  first run · took 4 ms · saved · not tracked: connects to example.org, reads the clock"),
        ("verified", {"made_at": "2020-01-01T00:00:00+00:00"}, "features  verified  the same as saved · took 4 ms · entry made on 2020-01-01"),
        ("differs", {"differing": ("y differs", "z is gone")}, "features  differs  y differs (+1 more) · took 4 ms"),
        ("differs", {"differing": ("the body raised",), "problem": "the body raised"}, "features  differs  the body raised · took 4 ms"),
    ],
)  # fmt: skip
def test_the_lines_of_other_outcomes(outcome, facts, text):
    """What cannot be tracked is in the line of a miss; a comparison says what differs."""
    assert report.line(_event(outcome, **facts)) == text


@pytest.mark.parametrize("outcome", ["hit", "miss", "verified", "differs"])
def test_a_line_is_one_line_whatever_it_is_told(outcome):
    """No text from outside can break the line, move the cursor or colour the terminal."""
    text = report.line(_event(outcome, name=NASTY, reason=NASTY, problem=NASTY * 20, untracked=(NASTY,) * 9))
    assert text.isprintable()
    assert len(text) < 400
    text.encode()


def test_the_tree_marks_what_is_different():
    """Grouped by kind, in a fixed order, with was -> now; unchanged inputs stand there too."""
    was = [
        _input("code", "", D1),
        _input("value", "a", D1, "0.5"),
        _input("value", "gone", D1, "1"),
        _input("python", "python", "3.11"),
        _input("definition", "clean", D1, "function p.py:9"),
    ]
    now = [
        _input("code", "", D1),
        _input("value", "a", D2, "0.7"),
        _input("value", "fresh", D1, "2"),
        _input("python", "python", "3.11"),
        _input("definition", "clean", D2, "function p.py:12"),
    ]
    assert report.tree(Facts(now), Facts(was)).splitlines() == [
        "code",
        "    the block's code",
        "definitions",
        "  ~ clean  function p.py:12  changed",
        "values",
        "  ~ a      0.5 -> 0.7",
        "  + fresh  2  new",
        "  - gone   1  gone",
        "python",
        "    python  3.11",
    ]
    assert not any(line.startswith(("  ~", "  +", "  -")) for line in report.tree(Facts(now)).splitlines())
    assert report.tree(Facts(now), Facts(now)) == report.tree(Facts(now))


def test_the_tree_keeps_kinds_that_it_does_not_know():
    """An entry of a later version still shows all its inputs."""
    assert report.tree(Facts([_input("wheel", "a.whl", D1, "3 kB")])) == "wheel\n    a.whl  3 kB"


def _facts(digest, text, **more):
    return Facts(
        [_input("definition", "p.clean", digest, "function p.py:9")], texts={"definition p.clean": text}, **more
    )


def test_the_tree_shows_how_code_differs():
    """A unified diff with three lines of context, below what changed only, in lines of the file, with no stray control."""
    was = "def clean(x):\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    return x\n"
    assert report.tree(_facts(D2, was.replace("d = 4", "d = '\x1b[31m'")), _facts(D1, was)).splitlines() == [
        "definitions",
        "  ~ p.clean  function p.py:9  changed",
        "        @@ -10,5 +10,5 @@",
        "             a = 1",
        "             b = 2",
        "             c = 3",
        "        -    d = 4",
        "        +    d = '\N{REPLACEMENT CHARACTER}[31m'",
        "             return x",
    ]
    assert "@@" not in report.tree(_facts(D1, was.replace("4", "5")), _facts(D1, was)), "the input is the same"
    assert "the same text" in report.tree(_facts(D2, was), _facts(D1, was))
    long = "".join(f"    x = {n}\n" for n in range(500))
    assert len(report.tree(_facts(D2, long.replace("x", "y")), _facts(D1, long)).splitlines()) < 70


def test_the_tree_shows_what_was_found_and_what_cannot_be_tracked():
    """Under headings of their own; distributions that are not exact say so."""
    pinned = _input("distribution", "numpy", "2.1", "2.1.0, only its minor version counts")
    was = Facts([pinned], [_input("file", "a.csv", D1, "1 kB"), _input("env", "SEED", D1)], ["reads the clock"])
    now = Facts(
        [pinned],
        [_input("file", "a.csv", D2, "2 kB"), _input("env", "SEED", D1)],
        ["reads the clock", "connects to example.org"],
    )
    assert report.tree(now, was).splitlines() == [
        "distributions",
        "    numpy  2.1.0 (only its minor version counts)",
        "files, found while the body ran",
        "  ~ a.csv  1 kB -> 2 kB",
        "environment, found while the body ran",
        "    SEED",
        "not tracked",
        "    reads the clock",
        "  + connects to example.org",
    ]


def test_a_miss_of_the_same_key_shows_what_was_found_as_it_is_now():
    """Before the body has run again, the lookup knows of discovered inputs what they are."""
    csv, key = _input("file", "a.csv", D1, "1 kB"), _input("value", "n", D1, "3")
    old = replace(_manifest(key), discovered=(csv,))
    now = csv._replace(digest=D2, note="2 kB")
    text = report.explain("a", [key], Miss("", (Difference("file", "a.csv", now, csv),), old, same_key=True))
    assert text.startswith("a: miss, file a.csv changed (1 kB -> 2 kB)")
    assert text.endswith("files, found while the body ran\n  ~ a.csv  1 kB -> 2 kB")


def test_explain_names_the_outcome():
    """A hit says when it was made, a miss why and against what it was compared."""
    inputs = (_input("value", "a", D2, "2"),)
    old = _manifest(_input("value", "a", D1, "1"))
    hit = report.explain("features", inputs, Hit(_manifest(*inputs), {}, 0.1))
    assert hit.startswith("features: hit, made ") and "in 3.0 s" in hit and "\n    a  2" in hit
    miss = report.explain("features", inputs, Miss("", compare(inputs, old.key.inputs), old))
    assert miss.startswith("features: miss, value a changed: 1 -> 2\ncompared with the entry made ")
    assert "  ~ a  1 -> 2" in miss
    first = report.explain("features", inputs, Miss("no entry of this name"))
    assert first == "features: miss, no entry of this name\n\nvalues\n    a  2"
    assert report.explain("features", inputs, None).startswith("features\n")


class _Balanced(HTMLParser):
    """Collects tags and text; fails where a tag is closed that is not open."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], ""

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(tag)
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def _card(event, **parts):
    parser = _Balanced()
    parser.feed(report.card_html(event, **parts))
    parser.close()
    assert parser.open == []
    return parser


def test_the_card_is_inert_whatever_it_is_told():
    """Names, notes and problems of any content stay text: no script, handler, link or image gets in."""
    inputs = [_input(kind, NASTY + kind, D1, NASTY) for kind in ("code", "value", "definition", "distribution", "file")]
    card = _card(
        _event("miss", name=NASTY, reason=NASTY, problem=NASTY, file=NASTY),
        now=Facts(inputs, inputs, [NASTY], {f"definition {NASTY}definition": NASTY}),
        outputs=[Output(NASTY, NASTY, NASTY), Output("x", NASTY, "")],
        was=Facts([i._replace(digest=D2) for i in inputs], texts={f"definition {NASTY}definition": "x"}),
    )
    assert card.tags <= {"div", "span", "strong", "table", "tr", "td", "details", "summary", "pre", "br"}
    assert {name for name, _ in card.attributes} <= {"style", "class", "open", "colspan"}
    assert "url(" not in str(card.attributes)
    assert "<script>alert(1)</script>" in card.text


def test_the_card_shows_what_happened():
    """Outcome, times, size, age, names with their types, and every input; differences make the list open."""
    was = [_input("value", "a", D1, "1")]
    now = [_input("value", "a", D2, "2"), _input("distribution", "numpy", "2.1.0")]
    outputs = [Output("df", "pandas.core.frame.DataFrame", "DataFrame 10 x 3"), Output("n", "int", "42")]
    hit = _card(
        _event(saved_s=192, size_bytes=10**9, load_s=0.004, made_at="2020-01-01T00:00:00+00:00"),
        now=Facts(now),
        outputs=outputs,
    )
    for part in (
        "features",
        "hit",
        "saved 3 min 12 s",
        "1.0 GB in 4 ms",
        "made on 2020-01-01",
        "pipeline.py:40",
        "Restored",
        "df",
        "DataFrame 10 x 3",
        "int 42",
        "Depends on 2 inputs",
        "numpy",
        "2.1.0",
    ):
        assert part in hit.text
    assert "DataFrame DataFrame" not in hit.text
    assert ("open", None) not in hit.attributes
    texts = [{"definition f": "a\n  b\n"}, {"definition f": "a\n  c\n"}]
    f = [_input("definition", "f", D1), _input("definition", "f", D2)]
    diffed = _card(_event("miss"), now=Facts([f[1]], texts=texts[1]), was=Facts([f[0]], texts=texts[0]))
    assert "@@ -1,2 +1,2 @@ a-  b+  c" in diffed.text
    differs = _card(_event("differs", differing=("y differs", "z is gone")))
    assert differs.text.count("y differs") == 1 and "Differs: z is gone" in differs.text
    miss = _card(_event("miss", reason="value a changed: 1 -> 2", problem="disk full"), now=Facts(now), was=Facts(was))
    for part in ("miss", "value a changed: 1 -> 2", "Not saved:", "disk full", "1 -> 2", "2 different"):
        assert part in miss.text
    assert ("open", None) in miss.attributes


def test_the_card_folds_what_others_need():
    """Many distributions that one other needs are one row of the card, except those that changed."""
    needed = [_input("distribution", f"lib{n}", f"1.{n} (needed by marimo)") for n in range(6)]
    was = [needed[0]._replace(digest=D2, note="0.9 (needed by marimo)"), *needed[1:]]
    now = [*needed, _input("distribution", "marimo", "0.25.2")]
    card = _card(_event(), now=Facts(now))
    assert "6 othersneeded by marimo: lib0 to lib5" in card.text and "lib3" not in card.text
    missed = _card(_event("miss"), now=Facts(needed), was=Facts(was))
    assert "5 othersneeded by marimo: lib1 to lib5" in missed.text and "0.9" in missed.text


def test_the_line_goes_to_the_stderr_of_the_moment(monkeypatch, capsys):
    """Exactly one line, on the stream that is standard error now; quiet blocks print nothing; stdout stays empty."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    report.print_line(_event())
    report.print_line(_event(quiet=True))
    assert stream.getvalue() == report.line(_event()) + "\n"
    assert capsys.readouterr().out == ""


def test_a_poor_stream_is_no_trouble(monkeypatch):
    """An ASCII stream gets plain letters; a closed or missing one gets nothing; none of them raises."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    report.print_line(_event(took_s=2e-4, saved_s=1.0))
    report.print_line(_event(name="größe"))
    assert raw.getvalue().splitlines() == [b"features  hit   saved 1.0 s - in 200 us", b"gr??e  hit   in 4 ms"]
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        report.print_line(_event())


def test_records_of_the_logger(caplog):
    """The line, trouble and each difference, all DEBUG: the line has been printed already."""
    differences = compare(
        [_input("value", "a", D2, "2"), _input("value", "b", D2)],
        [_input("value", "a", D1, "1"), _input("value", "b", D1)],
    )
    with caplog.at_level(logging.DEBUG, "blockcache"):
        report.log_record(_event("miss", problem="disk full", differences=differences))
        report.log_record(_event())
    assert {r.levelname for r in caplog.records} == {"DEBUG"}
    assert [r.getMessage() for r in caplog.records] == [
        report.line(_event("miss", problem="disk full", differences=differences)),
        "features: disk full",
        "features: value a changed: 1 -> 2",
        "features: value b changed",
        report.line(_event()),
    ]


@pytest.mark.parametrize("setup", ["", "logging.basicConfig()", "logging.basicConfig(level=logging.INFO)"])
def test_logging_prints_no_line_a_second_time(setup):
    """Whatever a program has made of logging, short of DEBUG: trouble is in the one line only."""
    program = (
        f"import logging\n{setup}\nfrom blockcache import report\nfrom blockcache.events import BlockFinished, emit\n"
        "report.install(); report.install()\n"
        "emit(BlockFinished('b', 'miss', 'f.py', 1, 'script', 1.0, problem='disk full'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "b  miss  took 1.0 s · not saved: disk full\n"
    assert done.stdout == ""


def test_the_log_gets_one_json_line_per_block(tmp_path):
    """Lines are added, each is JSON by itself, and differences are in words."""
    path = tmp_path / "log.jsonl"
    differences = compare([_input("value", "a", D2, "2")], [_input("value", "a", D1, "1")])
    report.append_json(_event("miss", name=NASTY, differences=differences, log_path=str(path)))
    report.append_json(_event(saved_s=3.0, log_path=str(path)))
    report.append_json(_event())
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["name"], first["outcome"], first["differences"]) == (
        NASTY,
        "miss",
        [["value", "a", "value a changed: 1 -> 2"]],
    )
    assert (second["outcome"], second["saved_s"], second["took_s"]) == ("hit", 3.0, 0.004)


def test_a_log_that_cannot_be_written_is_one_warning(tmp_path):
    """The block goes on; the warning names the file."""
    event = _event(log_path=str(tmp_path / "none" / "log.jsonl"))
    with pytest.warns(CacheWarning, match=r"log\.jsonl cannot be written"):
        report.append_json(event)
