"""Probes of ambient state, what cannot be tracked, global random generators, and what earlier statements may change."""

from __future__ import annotations

import ast
import decimal
import logging
import os
import pickle
import random
import subprocess
import sys
import types
import warnings

import numpy as np
import numpy.random
import pandas as pd
import pytest

from blockcache import ambient, earlier, generators
from blockcache.analysis.effects import before
from blockcache.fingerprint.reach import Reach
from blockcache.fingerprint.touched import judge
from blockcache.fingerprint.touches import Touch, module_touches, touches
from blockcache.outlines import Source


def state_names(*uses, values=dict):
    return {entry.name for entry in ambient.states(uses, values)}


def told(name, *uses):
    """The digest of one state."""
    return {entry.name: entry.digest for entry in ambient.states(uses)}.get(name)


# -- probes --------------------------------------------------------------------------------


def test_a_state_at_its_default_says_nothing():
    """Whatever is used: an ordinary program has no such inputs."""
    code = """
import argparse, decimal, locale, logging, sys, time, warnings
import numpy, pandas, sklearn, scipy.special, polars
from blockcache import ambient
sys.argv[1:] = []
uses = ["numpy.mean", "pandas.DataFrame", "sklearn.base.clone", "scipy.stats.norm", "polars.DataFrame",
        "decimal.Decimal", "statistics.mean", "builtins.str", "json.dumps"]
print([state.name for state in ambient.states(uses)])
"""
    env = {**os.environ, "TZ": "UTC"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_is_imported_by_a_probe():
    code = """
import sys
from blockcache import ambient, generators
before = set(sys.modules)
ambient.states([f"{top}.x" for top in ambient._PROBES] + ["builtins.str"])
generators.digests()
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_decimal_context_counts_for_decimals_only():
    with decimal.localcontext() as context:
        context.prec = 5
        assert state_names("decimal.Decimal") == state_names("statistics.mean") == {"decimal context"}
        assert not state_names("json.dumps")
        was = told("decimal context", "decimal.Decimal")
        decimal.Decimal(1) / 3  # raises flags, which are no input
        assert told("decimal context", "decimal.Decimal") == was
        context.rounding = decimal.ROUND_UP
        assert told("decimal context", "decimal.Decimal") != was


def test_numpy_error_state_counts_for_every_library_that_may_compute():
    with np.errstate(divide="raise"):
        assert "numpy.errstate" in state_names("numpy.mean") & state_names("somelibrary.f")
        assert not state_names("json.dumps")


def test_options_for_texts_count_where_texts_are_made():
    with np.printoptions(precision=2), pd.option_context("display.precision", 3):
        assert not state_names("numpy.mean", "pandas.DataFrame")
        assert state_names("numpy.mean", "builtins.str") == {"numpy.printoptions"}
        assert "pandas option display.precision" in state_names("pandas.DataFrame", ".to_string")


def test_warnings_that_raise_count_and_ignored_ones_do_not():
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        assert not state_names("json.dumps")
        warnings.simplefilter("error", FutureWarning)
        assert state_names("json.dumps") == {"warnings as errors"}
        assert state_names("warnings.catch_warnings") == {"warnings.filters"}


def test_the_note_of_arguments_does_not_show_them(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["main.py", "--password", "hunter2"])
    (entry,) = (e for e in ambient.states(["argparse.ArgumentParser"]) if e.name == "sys.argv")
    assert "hunter2" not in entry.note + entry.digest


def test_the_working_directory_counts_unless_code_starts_from_its_own_file():
    assert "working directory" in state_names("os.getcwd")
    assert "working directory" in state_names("pathlib.PosixPath", ".resolve")
    assert "working directory" not in state_names("pathlib.PosixPath", ".resolve", "__file__")


def test_a_logger_counts_by_its_level_where_code_asks():
    logger = logging.getLogger("blockcache-test-ambient")
    assert not state_names("logging.INFO", values=lambda: {"log": logger})
    names = state_names("logging.INFO", ".isEnabledFor", values=lambda: {"log": logger})
    assert names == {"logger log"}


def test_what_cannot_be_tracked_is_named():
    clauses = ambient.untracked({"time.time", "uuid.uuid4", "builtins.id", ".default_rng()", "json.dumps"})
    assert clauses == (
        "reads the clock (time.time)",
        "draws from the operating system's random source (uuid.uuid4)",
        "differs in each process (builtins.id)",
        "an unseeded generator (default_rng())",
    )
    assert ambient.untracked({"json.dumps"}) == ()


# -- random generators ---------------------------------------------------------------------


@pytest.fixture
def kept_generators():
    state = generators.snapshot()
    yield
    generators.restore(state)


@pytest.mark.usefixtures("kept_generators")
def test_a_generator_goes_on_as_it_would_have():
    """A snapshot survives pickling, and a gauss draw that waits in the state is part of it."""
    random.gauss(0, 1)
    np.random.standard_normal()
    digests, state = generators.digests(), pickle.loads(pickle.dumps(generators.snapshot()))

    def draws():
        return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn()

    drawn = draws()
    assert set(generators.moved(digests)) == {"random", "numpy"}
    generators.restore(state)
    assert generators.digests() == digests and not generators.moved(digests)
    assert draws() == drawn


@pytest.mark.usefixtures("kept_generators")
def test_another_kind_of_numpy_generator_is_restored():
    original = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(3))
        state = generators.snapshot()
        drawn = np.random.rand()
        np.random.set_bit_generator(np.random.MT19937(3))
        generators.restore(state)
        assert np.random.rand() == drawn
    finally:
        np.random.set_bit_generator(original)


def test_equal_states_have_equal_digests_in_every_process():
    code = (
        "import random, numpy.random as r; random.seed(1); r.seed(1)\n"
        "from blockcache import generators; print(generators.digests())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in "12"
    ]
    assert runs[0] == runs[1]


def test_what_seeds_which_generator():
    assert generators.seeded({"random.seed"}) == {"random"}
    assert generators.seeded({"numpy.random.seed", "json.dumps"}) == {"numpy"}
    assert generators.seeded({"torch.manual_seed"}) == {"torch"}
    assert generators.seeded({"lightning.seed_everything"}) == {"random", "numpy", "torch"}
    assert not generators.seeded({"numpy.random.rand", "random.random", "numpy.random.SeedSequence"})


def ran(text, **names):
    """Statements that ran in a namespace of their own."""
    namespace = {"__name__": "ran", **names}
    exec(compile(text, __file__, "exec"), namespace)
    return earlier.Ran("main.py", lambda: namespace, Source(lambda: tuple(ast.parse(text).body)))


@pytest.mark.usefixtures("kept_generators")
def test_seeds_are_found_through_functions():
    place = ran("import random\ndef setup():\n    random.seed(1)\ndef main():\n    setup()\nmain()\n")
    assert earlier.seeds({}, [place], loaded=()) == {"random.seed"}
    quiet = ran("import random\ndef draw():\n    return random.random()\nx = draw()\n")
    assert not earlier.seeds({}, [quiet], loaded=())


# -- earlier statements --------------------------------------------------------------------


def tops(text, **names):
    namespace = {"__name__": "__main__", **names}
    code = compile(text, __file__, "exec")
    return set(judge(module_touches(code), namespace).tops)


def test_touches_of_code():
    def f(a):
        import csv
        from json import decoder as d

        a.b.c = 1
        a.items[0] = 2
        csv.register_dialect("x")
        d.scanner.py_make_scanner = None
        return len(a)

    assert set(touches(f.__code__)) == {
        Touch("sets", ("local a", "b", "c")),
        Touch("sets", ("local a", "items", "[]")),
        Touch("calls", ("import csv", "register_dialect")),
        Touch("sets", ("import json", "decoder", "scanner", "py_make_scanner")),
        Touch("uses", ("len",)),
        Touch("hands", ("local a",)),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("csv.register_dialect('a')", {"csv"}),
        ("x = csv.register_dialect('a')", {"csv"}),
        ("x = csv.reader([])", set()),
        ("csv.QUOTE_ALL = 3", {"csv"}),
        ("del csv.QUOTE_ALL", {"csv"}),
        ("csv.__dict__['QUOTE_ALL'] = 3", {"csv"}),
        ("setattr(csv, 'QUOTE_ALL', 3)", {"csv"}),
        ("for csv.QUOTE_ALL in [1]: pass", {"csv"}),
        ("csv.QUOTE_ALL += 1", {"csv"}),
        ("[csv.register_dialect(n) for n in 'ab']", {"csv"}),
        ("csv.excel.delimiter = ';'", {"csv"}),
        ("if x:\n    csv.register_dialect('a')", {"csv"}),
        ("with csv.register_dialect('a') as b:\n    pass", {"csv"}),
        ("class A:\n    csv.register_dialect('a')", {"csv"}),
        ("def f():\n    csv.register_dialect('a')", set()),
        ("@csv.register_dialect('a')\ndef f(): pass", {"csv"}),
        ("local()", {"csv"}),
        ("y = local()", {"csv"}),
        ("list(map(local, [1]))", {"csv"}),
        ("f = partial(local)", {"csv"}),
        ("os.environ['A'] = '1'", set()),
        ("sys.path.insert(0, 'x')", set()),
        ("sys.modules['x'] = 1", {"sys"}),
        ("data['a'] = 1", set()),
        ("json.dump(data, file)", set()),
        ("print('a')", set()),
        ("np.corrcoef([1], [2])", set()),
        ("np.set_string_function(None)", {"numpy"}),
    ],
)
def test_which_libraries_a_statement_may_change(text, expected):
    import csv
    import functools
    import json

    def local(*_):
        import csv

        csv.register_dialect("a")

    names = {"csv": csv, "json": json, "os": os, "sys": sys, "np": np, "data": {}, "partial": functools.partial}
    assert tops(text, local=local, **names) == expected


def test_statements_before_a_line():
    text = """\
a = 1
if a:
    b = 2
    for c in x:
        d = 3
        HERE
        e = 4
    f = 5
g = 6
"""
    line = text.splitlines().index("        HERE") + 1
    found = [ast.unparse(s).splitlines()[0] for s in before(ast.parse(text).body, line)]
    assert found == ["a = 1", "if a:", "b = 2", "for c in x:", "d = 3", "pass", "e = 4"]


def test_a_statement_counts_only_for_what_is_reached():
    place = ran("import csv\ndelimiter = ';'\ncsv.register_dialect('blockcache-test', delimiter=delimiter)\n")

    def states(*uses):
        reach = Reach({})
        reach.uses.update(uses)
        return earlier.states(reach, lambda: [place], loaded=())

    assert not states()
    assert not states("builtins.len")
    (entry,) = states("csv.reader")
    assert entry.name == "statement main.py: csv.register_dialect()" and entry.note == "main.py:3"
    assert states("csv.reader") == [entry]


def test_a_rebound_name_of_a_statement_counts_by_what_bound_it():
    text = "import csv\nd = {}\ncsv.register_dialect('blockcache-test', delimiter=d)\nd = None\n"
    digests = set()
    for first in ("';'", "','"):
        reach = Reach({})
        reach.uses.add("csv.reader")
        (entry,) = earlier.states(reach, lambda text=text.format(first): [ran(text)], loaded=())
        digests.add(entry.digest)
    assert len(digests) == 2


def test_many_statements_that_set_one_name_are_looked_at_once_each():
    """What a name holds is asked once for all of them, not for each that each other one comes with."""

    class Counted(Reach):
        asked = 0

        def read(self, *what):
            self.asked += 1
            return super().read(*what)

    lines = [f"csv.register_dialect('blockcache-test', delimiter=d)\nd = chr(ord(d) + {n})\n" for n in range(20)]
    place = ran("import csv\nd = ';'\n" + "".join(lines))
    reach = Counted({})
    reach.uses.add("csv.reader")
    assert len(earlier.states(reach, lambda: [place], loaded=())) == 20
    assert reach.asked <= 3, reach.asked


def test_a_module_put_in_place_by_the_program_is_no_library():
    fake = types.ModuleType("fake")
    assert tops("fake.x = 1", fake=fake) == set()
