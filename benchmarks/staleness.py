"""Forty-odd edits, three caches: who serves a stale value? `python benchmarks/staleness.py` (about three minutes).

Each row is a small program and one edit of it, in three forms: a blockcache block, a function under joblib.Memory and a
block of marimo's persistent_cache in a notebook run as a script. It runs twice unedited, then once edited, each time in
a fresh process, and what it prints is compared with the same program without a cache.

"ok": a telling edit gave the new value, or a cosmetic one did not run the body again. "STALE": the old value was served.
"needless": the body ran although nothing had changed. "no hit": the unedited program did not hit in its second run, so
that its right values prove nothing. "crash": the run ended with an error that the plain program does not have.

In joblib's form the values named in `given` are the function's arguments; all else is global, as in the other forms.
"""

# ruff: noqa: E501 - one edit is one line of the table

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

RAN = "os.write(2, b'<ran>')"
"""Marks a run of the body on the bare file descriptor, which no cache replays."""


@dataclass
class Row:
    """One program and one edit of it."""

    what: str
    upstream: str
    body: str
    old: str
    new: str
    telling: bool = True
    where: str = "upstream"
    """What the edit changes: `upstream`, `body`, the name of a file, `env`, or `path`: names of files."""
    files: dict[str, str] = field(default_factory=dict)
    given: str = ""
    also: tuple[str, str, str] = ("", "", "")
    """A second change of the same edit: where, old, new."""
    together: bool = False
    """Whether the upstream stands in the block's own cell, in marimo."""

    def edited(self) -> Row:
        """The row after its edit."""
        made = Row(**{**self.__dict__, "files": dict(self.files)})
        for where, old, new in ((self.where, self.old, self.new), self.also):
            if where in ("upstream", "body"):
                text = getattr(made, where)
                assert old in text, (self.what, old)
                setattr(made, where, text.replace(old, new, 1))
            elif where == "path":
                made.files = {name.replace(old, new): text for name, text in made.files.items()}
            elif where:
                assert old in made.files[where], (self.what, old)
                made.files[where] = made.files[where].replace(old, new, 1)
        return made


HELPERS = {"helpers.py": "def outer(x):\n    return inner(x) + 1\n\ndef inner(x):\n    return x * 2\n"}
LIBRARY = {
    "site-packages/fakelib/__init__.py": "def f(x):\n    return x + 1\n",
    "site-packages/fakelib-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: fakelib\nVersion: {version}\n",
    "site-packages/fakelib-1.0.dist-info/RECORD": "fakelib/__init__.py,,\n",
}
DECORATED = """\
def times(n):
    def wrap(f):
        def inner(x):
            return f(x) * n
        return inner
    return wrap

@times(2)
def f(x):
    return x + 1
"""
BOX = """\
class Base:
    bonus = 1

class Box(Base):
    size = 5

    def get(self, x):
        return self.grown(x) + self.bonus

    def grown(self, x):
        return x * self.size
"""
TRY = """\
def f(text):
    try:
        n = int(text)
        n = 10 // n
    except ZeroDivisionError:
        n = -1
    return n

def safe(text):
    try:
        return f(text)
    except Exception:
        return None
"""
CLOSURE = "def make(n):\n    def add(x):\n        return x + n\n    return add\n\nadd = make(4)"
FRAME = "import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': [3, 4]})"
ARRAY = "import numpy as np\na = np.arange(6).reshape(2, 3)"
LOCAL = "def f(x):\n    y = x + 1\n    return y"
LIST_BOTH = "result = [type(x).__name__, str(x)]"


def cosmetic(what: str, upstream: str, body: str, old: str, new: str, **more: object) -> Row:
    """A row whose edit cannot matter."""
    return Row(what, upstream, body, old, new, telling=False, **more)  # type: ignore[arg-type]


ROWS = [
    Row("body", "x = 2", "result = x + 1", "x + 1", "x + 2", where="body", given="x"),
    Row("upstream value, global", "x = 2", "result = x + 1", "x = 2", "x = 3"),
    Row("upstream value, argument", "x = 2", "result = x + 1", "x = 2", "x = 3", given="x"),
    Row("helper, same file", LOCAL, "result = f(1)", "x + 1", "x + 2"),
    Row("helper of a helper, same file", "def g(x):\n    return x + 1\n\n" + "def f(x):\n    return g(x)", "result = f(1)", "x + 1", "x + 2"),
    Row("helper, sibling module", "from helpers import outer", "result = outer(1)", "+ 1", "+ 2", where="helpers.py", files=HELPERS),
    Row("helper of a helper, sibling module", "import helpers", "result = helpers.outer(1)", "x * 2", "x * 3", where="helpers.py", files=HELPERS),
    Row(
        "helper through two modules",
        "from helpers import outer",
        "result = outer(1)",
        "x * 5",
        "x * 6",
        where="deeper.py",
        files={"helpers.py": "import deeper\n\ndef outer(x):\n    return deeper.f(x)\n", "deeper.py": "def f(x):\n    return x * 5\n"},
    ),
    Row(
        "helper imported in a function",
        "def f(x):\n    from helpers import outer\n    return outer(x)",
        "result = f(1)",
        "x * 2",
        "x * 3",
        where="helpers.py",
        files=HELPERS,
    ),
    Row(
        "constant of a sibling module",
        "from helpers import f",
        "result = f(1)",
        "LIMIT = 3",
        "LIMIT = 4",
        where="helpers.py",
        files={"helpers.py": "LIMIT = 3\n\ndef f(x):\n    return x + LIMIT\n"},
    ),
    Row("constant that a helper reads", "limit = 3\n\ndef f(x):\n    return x + limit", "result = f(1)", "limit = 3", "limit = 4"),
    Row("default of a parameter", "def f(x, by=1):\n    return x + by", "result = f(1)", "by=1", "by=2"),
    Row("default that is a name", "step = 1\n\ndef f(x, by=step):\n    return x + by", "result = f(1)", "step = 1", "step = 2"),
    Row("value in a closure", CLOSURE, "result = add(1)", "make(4)", "make(5)"),
    Row("code in a closure", CLOSURE, "result = add(1)", "x + n", "x - n"),
    Row("argument of a decorator", DECORATED, "result = f(1)", "@times(2)", "@times(3)"),
    Row("body of a decorator", DECORATED, "result = f(1)", "f(x) * n", "f(x) - n"),
    Row("attribute of a function", "def f(x):\n    return x + f.by\n\nf.by = 1", "result = f(1)", "f.by = 1", "f.by = 2"),
    Row("partial's argument", f"from functools import partial\n\n{LOCAL}\n\ng = partial(f, 1)", "result = g()", "f, 1", "f, 2"),
    Row("function in a table", f"{LOCAL}\n\ntable = {{'f': f}}", "result = table['f'](1)", "x + 1", "x + 2"),
    Row("method", BOX, "result = Box().get(2)", "x * self.size", "x + self.size"),
    Row("class attribute", BOX, "result = Box().get(2)", "size = 5", "size = 6"),
    Row("attribute of a base class", BOX, "result = Box().get(2)", "bonus = 1", "bonus = 2"),
    Row("code from `try` to `else`", TRY, "result = safe('0')", "        n = 10 // n\n    except ZeroDivisionError:\n        n = -1\n", "    except ZeroDivisionError:\n        n = -1\n    else:\n        n = 10 // n\n"),
    Row("swapped parameters", "def f(a, b):\n    return a - b", "result = f(5, 3)", "f(a, b)", "f(b, a)"),
    Row("library version", "import fakelib", "result = fakelib.f(1)", "x + 1", "x + 2", where="site-packages/fakelib/__init__.py", files=LIBRARY, also=("path", "-1.0.", "-1.1.")),
    Row("library version, `from` import", "from fakelib import f", "result = f(1)", "x + 1", "x + 2", where="site-packages/fakelib/__init__.py", files=LIBRARY, also=("path", "-1.0.", "-1.1.")),
    Row("data file read by the body", "from pathlib import Path", "result = Path('data.txt').read_text()", "one", "two", where="data.txt", files={"data.txt": "one"}),
    Row("data file read by a helper", "def f():\n    with open('data.txt') as file:\n        return file.read()", "result = f()", "one", "two", where="data.txt", files={"data.txt": "one"}),
    Row("environment variable", "", "result = os.environ['NAME_X']", "one", "two", where="env", files={"env": "one"}),
    Row("1 or True", "x = 1", LIST_BOTH, "1", "True", given="x"),
    Row("1 or '1'", "x = 1", LIST_BOTH, "1", "'1'", given="x"),
    Row("1 or 1.0", "x = [1]", "result = [type(v).__name__ for v in x]", "1", "1.0", given="x"),
    Row("('ab', 'c') or ('a', 'bc')", "x = ('ab', 'c')", "result = x[0]", "'ab', 'c'", "'a', 'bc'", given="x"),
    Row("order of a dict", "x = {'a': 1, 'b': 2}", "result = list(x)", "'a': 1, 'b': 2", "'b': 2, 'a': 1", given="x"),
    Row("list or tuple", "x = [1, 2]", "result = type(x).__name__", "[1, 2]", "(1, 2)", given="x"),
    Row("array: dtype", ARRAY, "result = str(a.dtype)", "np.arange(6)", "np.arange(6, dtype='i4')", given="a"),
    Row("array: zeros of another dtype", "import numpy as np\na = np.zeros(2)", "result = str(a.dtype)", "zeros(2)", "zeros(2, 'i8')", given="a"),
    Row("array: shape", ARRAY, "result = a.shape", "(2, 3)", "(3, 2)", given="a"),
    Row("array: transposed", "import numpy as np\na = np.eye(2) + np.arange(2)", "result = a.tolist()", "np.arange(2)", "np.arange(2)[:, None]", given="a"),
    Row("array: mask", "import numpy as np\na = np.ma.array([1, 2], mask=[0, 1])", "result = a.sum()", "[0, 1])", "[1, 0])", given="a"),
    Row("frame: name of a column", FRAME, "result = list(df.columns)", "'a'", "'c'", given="df"),
    Row("frame: index", FRAME, "result = list(df.index)", "'b': [3, 4]}", "'b': [3, 4]}, index=[5, 6]", given="df"),
    Row("series: name", "import pandas as pd\ns = pd.Series([1], name='a')", "result = s.name", "'a'", "'b'", given="s"),
    Row("change in place upstream", "x = [1]\nx.append(2)", "result = sum(x)", "append(2)", "append(3)", given="x"),
    Row("value made in the block's own cell", "x = [1]\nx.append(2)", "result = sum(x)", "append(2)", "append(3)", together=True),
    Row("object made in the block's own cell", BOX + "\nbox = Box()\nbox.size = 2", "result = box.get(2)", "box.size = 2", "box.size = 3", together=True),
    Row("state that an earlier call set", "import decimal\ndecimal.getcontext().prec = 5", "result = str(decimal.Decimal(1) / 3)", "prec = 5", "prec = 6"),
    cosmetic("nothing", "x = 2", "result = x + 1", "x", "x", given="x"),
    cosmetic("comment in the body", "x = 2", "y = x\nresult = y + 1", "y = x", "# why\ny = x", where="body", given="x"),
    cosmetic("formatting of the body", "x = 2", "result = x + 1", "x + 1", "(x+1)", where="body", given="x"),
    cosmetic("comment in a helper", LOCAL, "result = f(1)", "    y", "    # why\n    y"),
    cosmetic("docstring of a helper", LOCAL, "result = f(1)", "    y", "    'New text.'\n    y"),
    cosmetic("annotation of a helper", LOCAL, "result = f(1)", "(x)", "(x: int) -> int"),
    cosmetic("formatting of a helper", LOCAL, "result = f(1)", "x + 1", "( x+1 )"),
    cosmetic("local renamed in a helper", LOCAL, "result = f(1)", "y = x + 1\n    return y", "z = x + 1\n    return z"),
    cosmetic("unused function beside a helper", LOCAL + "\n\ndef unused(x):\n    return x + 7", "result = f(1)", "x + 7", "x + 8"),
    cosmetic("unused function of a sibling module", "import helpers", "result = helpers.inner(1)", "+ 1", "+ 9", where="helpers.py", files=HELPERS),
    cosmetic("line above", "x = 2", "result = x + 1", "x = 2", "\n\nunused = 5\nx = 2", given="x"),
    cosmetic("same value, other code", "x = 2", "result = x + 1", "x = 2", "x = 1 + 1", given="x"),
    cosmetic("alias of an import", "import math as m", "result = m.sqrt(4)", "math as m", "math as mm", also=("body", "m.sqrt", "mm.sqrt")),
]  # fmt: skip


def indent(text: str, columns: int = 4) -> str:
    """Text further right."""
    return "\n".join(" " * columns + line if line else line for line in text.splitlines())


def plain(row: Row) -> str:
    """The program without a cache."""
    return f"import os\n{row.upstream}\n{row.body}\nprint(result)\n"


def ours(row: Row) -> str:
    """The program with a block."""
    body = indent(f"{RAN}\n{row.body}")
    return f'import os\nfrom blockcache import cached_block\n{row.upstream}\nwith cached_block("work"):\n{body}\nprint(result)\n'


def joblib(row: Row) -> str:
    """The program with a function under joblib.Memory."""
    body = indent(f"{RAN}\n{row.body}\nreturn result")
    head = "import os\nimport joblib\nmemory = joblib.Memory('store', verbose=0)\n"
    return f"{head}{row.upstream}\n@memory.cache\ndef work({row.given}):\n{body}\nprint(work({row.given}))\n"


def marimo(row: Row) -> str:
    """The notebook: one cell with the upstream, one with the block."""
    names = ["os", "mo"]
    for node in ast.parse(row.upstream).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names += [a.asname or a.name for a in node.names]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.append(node.targets[0].id)
    names = list(dict.fromkeys(names))
    upstream = "" if row.together else indent(row.upstream)
    known = names[:2] if row.together else names
    above = indent(row.upstream) if row.together else ""
    body = indent(f"{RAN}\n{row.body}", 8)
    return f"""\
import marimo
app = marimo.App()

@app.cell
def _():
    import os
    import marimo as mo
{upstream}
    return ({", ".join(known)},)

@app.cell
def _({", ".join(known)}):
{above}
    with mo.persistent_cache("work"):
{body}
    return (result,)

@app.cell
def _(result):
    print(result)
    return

if __name__ == "__main__":
    app.run()
"""


FORMS: dict[str, Callable[[Row], str]] = {"blockcache": ours, "joblib.Memory": joblib, "marimo": marimo}


def run(row: Row, form: Callable[[Row], str], folder: Path) -> tuple[str, bool]:
    """Run one form in a fresh process: what it printed (or "crash") and whether the body ran."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "site-packages", ignore_errors=True)
    for name, text in {**row.files, "main.py": form(row), "pyproject.toml": "[project]\nname = 'probe'\n"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{version}", "1.1" if "-1.1." in name else "1.0"))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "PYTHONDONTWRITE"))}
    env["PYTHONPATH"] = os.pathsep.join([str(folder / "site-packages"), *filter(None, [env.get("PYTHONPATH")])])
    # Bytecode would hide an edit within the same second.
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "NAME_X": row.files.get("env", "")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "main.py"], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    printed = done.stdout.strip() if done.returncode == 0 else "crash"
    return printed, "<ran>" in done.stderr


def verdict(row: Row, name: str, before: str, after: str, folder: Path) -> str:
    """What one tool makes of one edit."""
    form, place = FORMS[name], folder / name
    first, _ = run(row, form, place)
    again, ran = run(row, form, place)
    if first != before or again != before:
        return "crash" if "crash" in (first, again) else "wrong"
    hits = not ran
    printed, ran = run(row.edited(), form, place)
    if printed == "crash":
        return "crash"
    if printed != after:
        return "STALE"
    if not hits:
        return "no hit"
    return "needless" if ran and not row.telling else "ok"


def judge(row: Row, number: int, folder: Path) -> dict[str, str]:
    """What each tool makes of one edit; the plain program says what is right."""
    place = folder / str(number)
    before, after = (run(r, plain, place / "plain")[0] for r in (row, row.edited()))
    if (before != after) != row.telling or "crash" in (before, after):
        raise SystemExit(f"{row.what}: the plain program says {before!r}, then {after!r}")
    return {name: verdict(row, name, before, after, place) for name in FORMS}


def main() -> int:
    """Print the table; exit 1 when blockcache serves a stale value."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON per edit instead of the table")
    parser.add_argument("--markdown", action="store_true", help="a table for the documentation")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="edits whose name contains this text")
    options = parser.parse_args()
    rows = [row for row in ROWS if options.only in row.what]
    folder = Path(tempfile.mkdtemp(prefix="blockcache-bench-"))
    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            found = list(pool.map(judge, rows, range(len(rows)), [folder] * len(rows)))
    finally:
        shutil.rmtree(folder)
    ours_stale = any(f["blockcache"] not in ("ok", "needless") for f in found)
    if options.json:
        for row, verdicts in zip(rows, found, strict=True):
            print(json.dumps({"edit": row.what, "telling": row.telling, **verdicts}))
        return int(ours_stale)
    lines = [("edit", "must", *FORMS)]
    lines += [
        (row.what, "run" if row.telling else "hit", *(f[n] for n in FORMS)) for row, f in zip(rows, found, strict=True)
    ]
    for word in ("ok", "STALE", "needless", "no hit", "crash", "wrong"):
        counts = Counter(name for f in found for name in FORMS if f[name] == word)
        if counts:
            lines.append((f"total {word}", "", *(str(counts[name]) for name in FORMS)))
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    for n, line in enumerate(lines):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print(("| " + " | ".join(cells) + " |") if options.markdown else "  ".join(cells).rstrip())
        if n == 0 and options.markdown:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return int(ours_stale)


if __name__ == "__main__":
    raise SystemExit(main())
