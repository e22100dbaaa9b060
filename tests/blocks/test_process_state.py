"""What a body changes in the process is so after a hit: environment, paths, folder, filters, options of libraries."""

from __future__ import annotations

import importlib.util
import json

import pytest

_STAND_IN = """
class cached_block:
    def __init__(self, *args, **options): pass
    def __enter__(self): return self
    def __exit__(self, *args): return False
"""
_HEAD = "import os, sys, warnings\nfrom blockcache import cached_block\n"

#: name -> (before the block, the body, what tells after it, a name in the manifest, libraries that it needs)
CASES = {
    "a variable is set": ("", "os.environ['X_A'] = 'secret-1'", "os.environ.get('X_A')", "os.environ['X_A']", ""),
    "one is changed": ("os.environ['X_A'] = '0'", "os.environ['X_A'] = '1'", "os.environ['X_A']", "os.environ['X_A']", ""),
    "one is deleted": ("os.environ['X_A'] = '0'", "del os.environ['X_A']", "'X_A' in os.environ", "os.environ['X_A']", ""),
    "several are set": ("", "os.environ.update(X_B='1', X_C='2')", "os.environ['X_B'], os.getenv('X_C')", "os.environ['X_C']", ""),
    "the time zone": ("import time", "os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()", "time.tzname, time.localtime(0).tm_hour", "time zone: zone", ""),
    "a path in front": ("", "sys.path.insert(0, 'lib')", "sys.path[0], sys.path.count('lib')", "sys.path", ""),
    "a path behind": ("", "sys.path.append('lib')", "sys.path[-1], sys.path.count('lib')", "sys.path", ""),
    "a path in front and behind": ("", "sys.path[:] = ['a', *sys.path, 'b']", "sys.path[0], sys.path[-1], sys.path.count('lib')", "sys.path", ""),
    "a path is taken out": ("sys.path.append('lib')", "sys.path.remove('lib')", "'lib' in sys.path", "sys.path", ""),
    "the list is another one": ("", "sys.path = ['b', *reversed(sys.path)]", "sys.path[0], sys.path.count('lib')", "sys.path", ""),
    "arguments": ("", "sys.argv = ['x', '--y']", "sys.argv", "sys.argv", ""),
    "the folder": ("os.makedirs('sub', exist_ok=True)", "os.chdir('sub')", "os.path.basename(os.getcwd())", "working directory", ""),
    "the folder above": ("os.makedirs('sub', exist_ok=True); os.chdir('sub')", "os.chdir('..')", "os.path.basename(os.getcwd())", "working directory", ""),
    "warnings are ignored": ("", "warnings.simplefilter('ignore')", "warnings.filters[0][0], len(warnings.filters)", "warnings.filters", ""),
    "of a class of its own": ("class W(UserWarning): pass", "warnings.filterwarnings('error', 'm', W)", "warnings.filters[0][2] is W, warnings.filters[0][1].pattern", "warnings.filters", ""),
    "a filter moves to the front": ("warnings.simplefilter('ignore', BytesWarning); warnings.simplefilter('error', FutureWarning)", "warnings.simplefilter('ignore', BytesWarning)", "[f[2].__name__ for f in warnings.filters][:2], len(warnings.filters)", "warnings.filters", ""),
    "filters are reset": ("", "warnings.resetwarnings()", "warnings.filters", "warnings.filters", ""),
    "the recursion limit": ("", "sys.setrecursionlimit(5000)", "sys.getrecursionlimit()", "interpreter: sys.getrecursionlimit", ""),
    "garbage": ("import gc", "gc.disable()", "gc.isenabled()", "interpreter: gc.isenabled", ""),
    "a decimal context": ("import decimal", "decimal.getcontext().prec = 5", "decimal.Decimal(1) / 3, decimal.getcontext()", "decimal context: prec", ""),
    "signals of decimals": ("import decimal", "decimal.Decimal(1) / 3", "decimal.getcontext()", "", ""),
    "the locale": ("import locale", "locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')", "locale.setlocale(locale.LC_NUMERIC)", "locale: LC_NUMERIC", ""),
    "numpy's errors": ("import numpy as np", "np.seterr(all='ignore', under='raise')", "np.geterr()", "numpy.errstate: under", "numpy"),
    "numpy's texts": ("import numpy as np", "np.set_printoptions(precision=2)", "np.array([1.23456])", "numpy.printoptions: precision", "numpy"),
    "numpy's texts, imported inside": ("", "import numpy as np\n    np.set_printoptions(precision=2)", "np.array([1.23456])", "numpy.printoptions: precision", "numpy"),
    "pandas' options": ("import pandas as pd", "pd.set_option('display.max_rows', 4)", "pd.Series(range(9))", "pandas option: display.max_rows", "pandas"),
    "pandas' options, imported inside": ("", "import pandas as pd\n    pd.options.display.precision = 1", "pd.Series([1.234])", "pandas option: display.precision", "pandas"),
    "a formatter": ("import pandas as pd", "pd.set_option('display.float_format', '<{:.1f}>'.format)", "pd.Series([1.234])", "pandas option: display.float_format", "pandas"),
    "matplotlib's": ("import matplotlib", "matplotlib.rcParams['lines.linewidth'] = 7", "matplotlib.rcParams['lines.linewidth']", "matplotlib.rcParams: lines.linewidth", "matplotlib"),
    "scikit-learn's": ("import sklearn", "sklearn.set_config(transform_output='pandas')", "sklearn.get_config()['transform_output']", "sklearn config: transform_output", "sklearn"),
    "torch's": ("import torch", "torch.set_default_dtype(torch.float64)", "torch.ones(1).dtype", "torch settings: default dtype", "torch"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_hit_leaves_the_process_as_a_run(project, tmp_path, name):
    before, body, tells, listed, needs = CASES[name]
    if needs and importlib.util.find_spec(needs) is None:
        pytest.skip(f"needs {needs}")
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in/blockcache.py").write_text(_STAND_IN)
    program = f'{before}\nwith cached_block("b"):\n    {body}\n    done = 1\nprint(repr(({tells})))\n'
    project.write(main=_HEAD + program)
    plain = project.plain(tmp_path / "stand-in")
    cold, warm = project.run(), project.run()
    assert (cold.outcomes, warm.outcomes) == (["miss"], ["hit"]), (cold.stderr, warm.stderr)
    assert (cold.stdout, warm.stdout) == (plain, plain)
    (path,) = (project.folder / ".blockcache/entries").rglob("*.json")
    changed = [row[0] for row in json.loads(path.read_text())["changed"]]
    assert (listed in changed) if listed else not changed
    assert "secret-1" not in path.read_text()


@pytest.mark.parametrize(
    "library", ["numpy", "pandas", "matplotlib.pyplot", "sklearn.linear_model", "decimal", "csv, socket, gc"]
)
def test_importing_a_library_changes_no_setting(project, library):
    """What a library sets when it is imported comes with it; only filters without classes of its own are kept."""
    if importlib.util.find_spec(library.partition(".")[0].partition(",")[0]) is None:
        pytest.skip(f"needs {library}")
    project.write(main=_HEAD + f'with cached_block("b"):\n    import {library}\n    n = 1\n')
    project.run()
    (path,) = (project.folder / ".blockcache/entries").rglob("*.json")
    changed = {row[0] for row in json.loads(path.read_text())["changed"]}
    assert {name for name in changed if not name.startswith("os.environ")} <= {"warnings.filters"}
    assert project.run().outcomes == ["hit"]


def test_a_folder_that_is_gone_is_a_miss(project):
    project.write(
        main=_HEAD
        + """
import tempfile
with cached_block("b"):
    os.chdir(tempfile.mkdtemp())
os.rmdir(os.getcwd())
"""
    )
    project.run()
    ran = project.run()
    assert ran.outcomes == ["miss"] and "working directory" in ran.events[0]["reason"]


def test_what_the_body_puts_back_is_no_change(project):
    project.write(
        main=_HEAD
        + """
with cached_block("b"):
    os.environ["X_A"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
    del os.environ["X_A"]
    n = 1
"""
    )
    project.run()
    (path,) = (project.folder / ".blockcache/entries").rglob("*.json")
    assert json.loads(path.read_text())["changed"] == []
