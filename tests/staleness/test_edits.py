"""One edit between two processes: what must run again, what must hit, and which input is named.

The table of edits is that of the peers' measured failures; each row is one small program.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

MAIN = """\
from blockcache import cached_block
from helpers import outer, Model, LIMIT

factor = 3

def local_helper(x):
    return x + 1

with cached_block(name="work") as block:
    data = [local_helper(i) * factor for i in range(4)]
    result = (outer(sum(data)), Model(2).predict(5), LIMIT)

print(result)
"""

HELPERS = """\
from deeper import inner

LIMIT = 10
UNUSED = 1

def outer(x):
    return inner(x) + 100

def unrelated(x):
    return x

class Model:
    scale = 2

    def __init__(self, k):
        self.k = k

    def predict(self, x):
        return x * self.k * self.scale + self._bias()

    def _bias(self):
        return 7
"""

DEEPER = """\
OFFSET = 5

def inner(x):
    return x * 2 + OFFSET
"""


@dataclass
class Edit:
    name: str
    file: str
    old: str
    new: str
    outcome: str
    named: str = ""
    prints: str | None = field(default=None)


PRINTED = "(165, 27, 10)\n"

EDITS = [
    # must hit
    Edit("comment in the body", "main.py", "    data = [", "    # why not\n    data = [", "hit"),
    Edit("formatting of the body", "main.py", "local_helper(i) * factor", "(local_helper( i )*factor)", "hit"),
    Edit("blank lines above", "main.py", "factor = 3", "\n\n\nfactor = 3", "hit"),
    Edit("comment in a helper", "main.py", "    return x + 1", "    # one more\n    return x + 1", "hit"),
    Edit("docstring of a helper", "main.py", "    return x + 1", '    """One more."""\n    return x + 1', "hit"),
    Edit("annotation of a helper", "main.py", "def local_helper(x):", "def local_helper(x: int) -> int:", "hit"),
    Edit("comment in a sibling module", "deeper.py", "    return x * 2", "    # twice\n    return x * 2", "hit"),
    Edit("formatting in a sibling module", "deeper.py", "x * 2 + OFFSET", "(\n        x * 2\n        + OFFSET\n    )", "hit"),
    Edit("unrelated function", "helpers.py", "def unrelated(x):\n    return x", "def unrelated(x):\n    return -x", "hit"),
    Edit("unused constant", "helpers.py", "UNUSED = 1", "UNUSED = 2", "hit"),
    Edit("name of the block", "main.py", 'name="work"', 'name="renamed"', "hit"),
    Edit("as-name of the block", "main.py", "as block:", "as other:", "hit"),
    Edit("code after the block", "main.py", "print(result)", "print(result)\nextra = 1", "hit"),
    # must miss, and name the cause
    Edit("body", "main.py", "sum(data)", "sum(data) + 1", "miss", "the block's code changed", "(167, 27, 10)\n"),
    Edit("upstream value", "main.py", "factor = 3", "factor = 4", "miss", "value factor changed: 3 -> 4", "(185, 27, 10)\n"),
    Edit("type of an upstream value", "main.py", "factor = 3", "factor = 3.0", "miss", "value factor", "(165.0, 27, 10)\n"),
    Edit("helper in the same file", "main.py", "x + 1", "x + 2", "miss", "function local_helper (main.py:6) changed"),
    Edit("helper in a sibling module", "helpers.py", "+ 100", "+ 200", "miss", "function outer (helpers.py:6) changed"),
    Edit("helper's helper", "deeper.py", "x * 2", "x * 3", "miss", "function inner (deeper.py:3) changed"),
    Edit("constant that a helper's helper reads", "deeper.py", "OFFSET = 5", "OFFSET = 6", "miss", "deeper.OFFSET"),
    Edit("imported constant", "helpers.py", "LIMIT = 10", "LIMIT = 11", "miss", "value LIMIT", "(165, 27, 11)\n"),
    Edit("class method", "helpers.py", "x * self.k", "x + self.k", "miss", "Model.predict"),
    Edit("private method that a method calls", "helpers.py", "return 7", "return 8", "miss", "Model._bias"),
    Edit("class attribute", "helpers.py", "scale = 2", "scale = 3", "miss", "Model"),
    Edit("default of a helper", "main.py", "def local_helper(x):", "def local_helper(x, y=0):", "miss", "local_helper"),
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
def test_edit(project, edit):
    """An edit that can matter misses and is named; one that cannot matter hits; what is printed is always right."""
    files = {"main.py": MAIN, "helpers.py": HELPERS, "deeper.py": DEEPER}
    project.write_files(files)
    first = project.run()
    assert first.stdout == PRINTED
    assert first.outcomes == ["miss"] and first.events[0]["saved"], first.stderr
    assert project.run().outcomes == ["hit"]

    assert files[edit.file].count(edit.old) == 1
    project.write_files({edit.file: files[edit.file].replace(edit.old, edit.new)})
    plain = project.run(env={"BLOCKCACHE_MODE": "off"})
    second = project.run()
    assert second.stdout == plain.stdout
    assert second.outcomes == [edit.outcome], second.stderr
    assert edit.named in second.events[0]["reason"], second.events[0]
    if edit.prints is not None:
        assert second.stdout == edit.prints

    project.write_files({edit.file: files[edit.file]})
    back = project.run()
    assert back.outcomes == ["hit"], "going back to the old code hits again"
    assert back.stdout == PRINTED


def test_library_version(project):
    """An upgrade of a distribution that the block reaches misses; another distribution's upgrade hits."""

    def install(name: str, version: str) -> None:
        old = project.folder.parent / "site-packages"
        for stale in old.glob(f"{name}-*.dist-info"):
            for file in stale.iterdir():
                file.unlink()
            stale.rmdir()
        package = {
            f"../site-packages/{name}/__init__.py": f"__version__ = {version!r}\ndef shift(x):\n    return x + 1\n",
            f"../site-packages/{name}-{version}.dist-info/METADATA": f"Name: {name}\nVersion: {version}\n",
            f"../site-packages/{name}-{version}.dist-info/RECORD": f"{name}/__init__.py,,\n",
        }
        project.write_files(package)

    project.write(
        main="import fakelib\nimport otherlib\nfrom blockcache import cached_block\n"
        "with cached_block('work'):\n    result = fakelib.shift(1)\nprint(result, otherlib.shift(1))\n"
    )
    env = {"PYTHONPATH": str(project.folder.parent / "site-packages")}
    install("fakelib", "1.0")
    install("otherlib", "1.0")
    assert project.run(env=env).outcomes == ["miss"]
    assert project.run(env=env).outcomes == ["hit"]
    install("otherlib", "2.0")
    assert project.run(env=env).outcomes == ["hit"]
    install("fakelib", "1.1")
    upgraded = project.run(env=env)
    assert upgraded.outcomes == ["miss"]
    assert upgraded.events[0]["reason"] == "fakelib 1.0 -> 1.1"


def test_bindings_that_swap_roles(project):
    """Two helpers that swap their names are not the same program, although all their code is."""
    text = (
        "from blockcache import cached_block\n"
        "def a(x):\n    return x + 1\ndef b(x):\n    return x * 2\n"
        "f, g = a, b\n"
        "with cached_block('work'):\n    result = f(g(10))\nprint(result)\n"
    )
    project.write(main=text)
    assert project.run().stdout == "21\n"
    project.write(main=text.replace("f, g = a, b", "f, g = b, a"))
    swapped = project.run()
    assert swapped.outcomes == ["miss"]
    assert swapped.stdout == "22\n"


def test_names_bound_on_some_paths_only(project):
    """Where a conditional binding does not happen, the value from before the block is the result, so it counts."""
    text = (
        "from blockcache import cached_block\n"
        "flag = {flag}\nx = {x}\n"
        "with cached_block('work'):\n    if flag:\n        x = 'from the block'\n"
        "print(x)\n"
    )
    project.write(main=text.format(flag=False, x=1))
    assert project.run().stdout == "1\n"
    project.write(main=text.format(flag=False, x=2))
    assert project.run().stdout == "2\n"
    project.write(main=text.format(flag=True, x=2))
    assert project.run().stdout == "from the block\n"
    again = project.run()
    assert again.outcomes == ["hit"] and again.stdout == "from the block\n"


def test_file_edited_while_it_runs(project):
    """A file that changes after it was loaded is not believed: the running code counts."""
    text = (
        "import pathlib, sys\nfrom blockcache import cached_block\n"
        "def step(k):\n    with cached_block('work'):\n        y = k + 1\n    return y\n"
        "if len(sys.argv) == 1 and not pathlib.Path('edited').exists():\n"
        "    me = pathlib.Path(__file__)\n"
        "    me.write_text(me.read_text().replace('k + 1', 'k + 1000'))\n"
        "    pathlib.Path('edited').write_text('')\n"
        "print(step(1))\n"
    )
    project.write(main=text)
    assert project.run().stdout == "2\n"
    assert project.run().stdout == "1001\n"


def test_module_edited_after_its_import(project):
    """What is loaded counts: an edit on disk neither changes the key now nor is served for the new file later."""
    project.write(
        helper="def f(x):\n    return x + 1\n",
        main="import pathlib\nimport helper\nfrom blockcache import cached_block\n"
        "pathlib.Path('helper.py').write_text(pathlib.Path('helper.py').read_text().replace('+ 1', '+ 2'))\n"
        "with cached_block('work'):\n    y = helper.f(1)\nprint(y)\n",
    )
    assert project.run().stdout == "2\n"
    second = project.run()
    assert second.stdout == "3\n" and second.outcomes == ["miss"]


def test_import_inside_the_body_of_a_module_edited_after_its_import(project):
    """The old code must not be saved under the new file."""
    project.write(
        helper="def f(x):\n    return x + 1\n",
        main="import pathlib\nimport helper as early\nfrom blockcache import cached_block\n"
        "source = pathlib.Path('helper.py').read_text()\n"
        "if '+ 1' in source:\n    pathlib.Path('helper.py').write_text(source.replace('+ 1', '+ 2'))\n"
        "with cached_block('work'):\n    import helper\n    y = helper.f(1)\nprint(y)\n",
    )
    assert project.run("main.py", "-W", "ignore").stdout == "2\n"
    assert project.run("main.py", "-W", "ignore").stdout == "3\n"
