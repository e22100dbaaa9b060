"""The `with` statement that a frame enters is found in whatever form its code was compiled, or not at all."""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

SRC = str(Path(__file__).parents[2] / "src")

#: `B(n)` notes under n the line, item and scopes that it was found at, and the text of its first body statement.
PROBE = """
import ast, linecache, sys
from blockcache.frames.locate import locate
found = {}
class B:
    def __init__(self, number):
        self.number = number
    def __enter__(self):
        frame = sys._getframe(1)
        text = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals)) or None
        at = locate(frame, text)
        found.setdefault(self.number, at and (at.item, [s.name for s in at.scopes], ast.unparse(at.node.body[0]), dict(at.renames)))
        return self
    def __exit__(self, *exc):
        return False
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "probe.py").write_text(PROBE)
    return tmp_path


def run(folder: Path, *args: str) -> dict[int, tuple[int, list[str], str, dict[str, str]] | None]:
    """Run Python in `folder`; the program prints `probe.found` as its last line."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([SRC, str(folder)]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *args], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


SHAPES = """
import os
from probe import B, found
with B(1): one = 1
with B(2), B(3) as q: two = 2
with (B(4),
      B(5), B(6)):
    with B(7):
        seven = 1
for i in range(2):
    try:
        with B(8):
            if i: continue
            z = [k for k in range(3)]
    finally:
        with B(9), \\
             B(10): nine = 9
def f():
    a = 1
    with B(11) as c:
        g = lambda: a
        if a: return g
class C:
    with B(12):
        d = 1
    def m(self):
        with B(13): self.__x = 1
    if 1:
        async def h(self):
            async for i in gen():
                with B(14): await other()
            with B(15):
                w = [i async for i in gen()]
async def gen():
    yield 1
async def other(): pass
def outer():
    v = 1
    def inner():
        with B(16):
            u = v
            try: u = 1
            except E as e: pass
            else: u = 3
            finally: u = 2
    inner()
    @(lambda fn: fn)
    def decorated():
        with B(17): return v
    decorated()
    global declared
    def declared():
        with B(18): pass
    declared()
f(); C().m(); outer()
import asyncio
asyncio.run(C().h())
with B(19):
    asyncio.iscoroutine(os.path.join("a", "b")); print("", end="")
import os
"""
EXPECTED = {
    1: (0, [], "one = 1", {}),
    2: (0, [], "two = 2", {}),
    3: (1, [], "two = 2", {}),
    4: (0, [], "with B(7):\n    seven = 1", {}),
    5: (1, [], "with B(7):\n    seven = 1", {}),
    6: (2, [], "with B(7):\n    seven = 1", {}),
    7: (0, [], "seven = 1", {}),
    8: (0, [], "if i:\n    continue", {}),
    9: (0, [], "nine = 9", {}),
    10: (1, [], "nine = 9", {}),
    11: (0, ["f"], "g = lambda: a", {}),
    12: (0, ["C"], "d = 1", {}),
    13: (0, ["C", "m"], "self.__x = 1", {}),
    14: (0, ["C", "h"], "await other()", {}),
    15: (0, ["C", "h"], "w = [i async for i in gen()]", {}),
    16: (0, ["outer", "inner"], "u = v", {}),
    17: (0, ["outer", "decorated"], "return v", {}),
    18: (0, ["declared"], "pass", {}),
    19: (0, [], "asyncio.iscoroutine(os.path.join('a', 'b'))", {}),
}


@pytest.mark.parametrize("options", [[], ["-X", "no_debug_ranges"], ["-O"], ["-OO"]], ids=" ".join)
def test_every_shape_is_found_in_a_script(folder: Path, options: list[str]) -> None:
    """In a file, each item of each `with` is found with its scopes, with and without column positions."""
    (folder / "shapes.py").write_text(SHAPES + "print(found)\n")
    assert run(folder, *options, "shapes.py") == EXPECTED


def test_every_shape_is_found_in_an_imported_module_and_from_its_pyc(folder: Path) -> None:
    """Also when the code was loaded from a cached .pyc beside the source."""
    (folder / "shapes.py").write_text(SHAPES)
    program = "import py_compile; py_compile.compile('shapes.py'); import shapes, probe; print(probe.found)"
    assert run(folder, "-c", program) == EXPECTED


def test_every_shape_is_found_in_a_zip(folder: Path) -> None:
    """linecache asks the loader of a zip import for the text."""
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.writestr("shapes.py", SHAPES)
    assert (
        run(folder, "-c", "import sys; sys.path.insert(0, 'app.zip'); import shapes, probe; print(probe.found)")
        == EXPECTED
    )


def test_exec_with_linecache_is_found_and_without_is_not(folder: Path) -> None:
    """A text that the host can give is enough; no text, no source."""
    (folder / "shapes.txt").write_text(SHAPES)
    program = """
        import linecache, probe
        text = open("shapes.txt").read()
        if KNOWN: linecache.cache["<cell 1>"] = len(text), None, text.splitlines(True), "<cell 1>"
        exec(compile(text, "<cell 1>", "exec"), {"__name__": "m"})
        print(probe.found)
    """
    program = textwrap.dedent(program)
    assert run(folder, "-c", program.replace("KNOWN", "True")) == EXPECTED
    assert set(run(folder, "-c", program.replace("KNOWN", "False")).values()) == {None}


def test_a_pyc_without_its_source_is_not_found(folder: Path) -> None:
    """Nothing is guessed where there is no text."""
    (folder / "shapes.py").write_text(SHAPES)
    program = """
        import os, py_compile, probe
        py_compile.compile("shapes.py", "only.pyc"); os.remove("shapes.py")
        import only
        print(probe.found)
    """
    assert set(run(folder, "-c", textwrap.dedent(program)).values()) == {None}


BLOCK = """from probe import B
def f():
    x = 2
    with B(1):
        for i in [x]:
            if i: y = [i * 2.0, 'a']
        else:
            z = 3
        try:
            w = -0.0
        except KeyError: w = 1
        else:
            w = (1, True)
    return x
with B(2):
    for i in [1]:
        if i: y = [i * 2.0, 'a']
    else:
        z = 3
v = 1
"""
EDITS = {
    "operator": ("i * 2.0", "i + 2.0"),
    "constant": ("2.0", "3.0"),
    "type of a constant": ("i * 2.0", "i * 200"),
    "text": ("'a'", "'b'"),
    "name": ("y =", "q ="),
    "sign of zero": ("-0.0", "+0.0"),
    "else of the if": ("        else:\n            z", "            else:\n            z"),
    "finally for else": ("        else:\n            w", "        finally:\n            w"),
    "else for finally, same width": (
        "except KeyError: w = 1\n        else:",
        "except KeyError: w = 1\n        finally:",
    ),
    "exception": ("KeyError", "OSError "),
    "equal numbers": ("(1, True)", "(1, 1)   "),
    "line added above": ("def f", "\ndef f"),
    "line added inside": ("    with B(1):", "    with B(1):\n        pass"),
    "line removed": ("            z = 3\n        try", "        try"),
    "global declaration": ("    x = 2", "    global y; x = 2"),
    "loop test": ("for i in [x]", "for i in  x "),
    "file gone": (BLOCK, ""),
    "file is no longer Python": ("def f", "def def"),
}


@pytest.mark.parametrize("edit", EDITS, ids=str)
def test_a_file_edited_after_its_import_is_not_believed(folder: Path, edit: str) -> None:
    """Edited code must not be taken for what runs; only a statement that is the same may still be found."""
    old, new = EDITS[edit]
    assert old in BLOCK
    after = BLOCK.replace(old, new, 1)
    (folder / "edited.py").write_text(BLOCK)
    program = f"""
import linecache, probe
source = open("edited.py").read()
namespace = {{}}
code = compile(source.replace("with B(2)", "while 0: pass\\nwith B(2)") if 0 else source, "edited.py", "exec")
open("edited.py", "w").write({after!r})
linecache.checkcache()
exec(code, namespace); namespace["f"]()
print(probe.found)
"""
    found = run(folder, "-c", program)
    assert found[1] is None, found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return x", "    return x  # comment"),
        ("if i: y", "if i: y   "),
        ("'a'", '"a"'),
        ("x = 2", "x = 3"),
        ("[i * 2.0, 'a']", "[(i * 2.0), 'a']"),
    ],
)
def test_edits_that_leave_the_statement_alone_do_not_hide_it(folder: Path, old: str, new: str) -> None:
    """What is compared is what the statement compiles to, not its spelling or the code around it."""
    (folder / "edited.py").write_text(BLOCK.replace(old, new))
    program = f"""
import probe
namespace = {{}}
exec(compile({BLOCK!r}, "edited.py", "exec"), namespace); namespace["f"]()
print(probe.found)
"""
    assert run(folder, "-c", program)[1] is not None


CELL = "from probe import B, found\nwith B(1):\n    _a = 1; b = [_a for _ in range(2)]\nwith B(2): c = 2\nc"


def test_cells_of_ipython_are_found(folder: Path) -> None:
    """IPython compiles a cell statement by statement, the last expression in single mode, and runs `await` in it."""
    program = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import probe
assert shell.run_cell({CELL!r}).success
assert shell.run_cell("async def g(): return 1").success
assert shell.run_cell("with B(3):\\n    d = await g()\\n    %time e = 3\\nd").success
assert shell.run_cell("with B(4): e = 4").success
assert shell.run_cell("def f():\\n    with B(5): e = 4\\nf();").success
print()
print(probe.found)
"""
    found = run(folder, "-c", program)
    assert [found[n] and found[n][:3] for n in (1, 2, 4, 5)] == [
        (
            0,
            [],
            "_a = 1",
        ),
        (0, [], "c = 2"),
        (0, [], "e = 4"),
        (0, ["f"], "e = 4"),
    ]
    assert found[3] is not None and found[3][2] == "d = await g()"


MARIMO = '''
import marimo
app = marimo.App()

@app.cell
def _():
    from probe import B, found
    return B, found

@app.cell
def _(B):
    text = """
    not dedented
"""
    with B(1):
        _a = 1; b = [_a for _ in range(2)]
        def g():
            return _a
    if b:
        with B(2): c = """
        x"""
    c
    return b, c

@app.cell
def _(B, c):
    def h():
        with B(3): d = c; _e = 1
        return d
    h()
    return

@app.cell
async def _(B):
    import asyncio
    with B(5):
        await asyncio.sleep(0)
        x5 = 5
    return

@app.function
def top():
    from probe import B
    with B(4): return 1

@app.cell
def _(b, c, found):
    top()
    print(found)
    return

if __name__ == "__main__":
    app.run()
'''


def test_cells_of_a_marimo_notebook_run_as_a_script_are_found(folder: Path) -> None:
    """The bodies of the cell functions are compiled as modules, with the lines of the file and renamed locals."""
    pytest.importorskip("marimo")
    (folder / "notebook.py").write_text(MARIMO)
    found = run(folder, "notebook.py")
    assert found[1] is not None and found[1][:3] == (0, [], "_a = 1")
    assert list(found[1][3]) == ["_a"] and found[1][3]["_a"].startswith("_cell_") and found[1][3]["_a"].endswith("_a")
    assert found[2] is not None and found[2][:2] == (0, [])
    assert found[3] is not None and found[3][:3] == (0, ["h"], "d = c")
    assert found[4] == (0, ["top"], "return 1", {})
    assert found[5] is not None and found[5][:3] == (0, [], "await asyncio.sleep(0)")


def test_cells_of_a_marimo_kernel_are_found(folder: Path) -> None:
    """The kernel compiles a cell without its last expression, and renames names that start with an underscore."""
    pytest.importorskip("marimo")
    program = f"""
from marimo._ast.compiler import compile_cell
import probe
cell = compile_cell({CELL!r}, cell_id="Hbol")
exec(cell.body, {{}})
print(probe.found)
"""
    found = run(folder, "-c", program)
    assert found[1] is not None and found[1][:3] == (0, [], "_a = 1") and found[1][3]["_a"] == "_cell_Hbol_a"
    assert found[2] == (0, [], "c = 2", {})


def test_tests_with_asserts_rewritten_by_pytest_are_found(folder: Path) -> None:
    """Rewritten asserts around a block do not hide it; a block with an assert of its own is not the text any more."""
    (folder / "test_rewritten.py").write_text(
        textwrap.dedent(
            """
            from probe import B, found
            with B(1): x = 1
            assert x == 1
            def test_it():
                assert x
                with B(2):
                    y = [x for _ in range(2)]
                assert y == [1, 1]
                with B(3):
                    assert y
            def test_last():
                with B(4): z = 1
                assert z
                assert len(found) == 4
                open("found.txt", "w").write(repr(found))
            """
        )
    )
    run(
        folder,
        "-c",
        "import pytest; assert not pytest.main(['-q', '-p', 'no:cacheprovider', 'test_rewritten.py']); print({})",
    )
    found = ast.literal_eval((folder / "found.txt").read_text())
    assert found[1] == (0, [], "x = 1", {})
    assert found[2] == (0, ["test_it"], "y = [x for _ in range(2)]", {})
    assert found[3] is None
    assert found[4] == (0, ["test_last"], "z = 1", {})


def test_two_statements_on_one_line_cannot_be_told_apart_only_as_items(folder: Path) -> None:
    """Without columns, items on one line are counted, also where a loop or a `finally` clause enters them again."""
    (folder / "items.py").write_text(
        "from probe import B, found\n"
        "for k in range(2):\n"
        "    try: pass\n"
        "    finally:\n"
        "        with B(1), B(2), B(3): a = k\n"
        "print(found)\n"
    )
    for options in ([], ["-X", "no_debug_ranges"]):
        found = run(folder, *options, "items.py")
        assert [found[n] and found[n][0] for n in (1, 2, 3)] == [0, 1, 2]


def test_expected_numbers_are_complete() -> None:
    """Every probe of the shapes has an expectation."""
    assert list(EXPECTED) == list(itertools.takewhile(lambda n: f"B({n})" in SHAPES, itertools.count(1)))
