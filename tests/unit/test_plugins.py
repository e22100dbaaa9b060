"""The example of docs/codecs.md, installed as a distribution and used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "codecs.md"

PROGRAM = """\
import warnings
warnings.filterwarnings("always", category=Warning, module="nothing")
import numpy as np
from signals import Signal
from blockcache import cached_block
given = [Signal(np.arange(4.0), 8)]
with cached_block("work"):
    made = [Signal(one.samples * 2, one.rate_hz) for one in given]
    made.append(made[0])
    first = made[0]
print(type(made[0]).__name__, made[0].samples.tolist(), made[0].rate_hz, made[0] is made[1])
"""


def _code(name: str) -> str:
    return re.search(rf"```\w+\n# {re.escape(name)}\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Where the library and the distribution with its rules are installed, by pip, from a wheel."""
    folder = tmp_path_factory.mktemp("plugin")
    info = "blockcache_signals-1.0.dist-info"
    points = re.findall(r"\[project\.entry-points\.\"(.*?)\"\]\n(.*?)\n(?:\n|$)", _code("pyproject.toml"), re.DOTALL)
    wheel = folder / "blockcache_signals-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("signals.py", _code("signals.py"))
        file.writestr("blockcache_signals/__init__.py", "")
        for name in ("blockcache_signals/codec.py", "blockcache_signals/fingerprints.py"):
            file.writestr(name, _code(name))
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: blockcache-signals\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(
            f"{info}/entry_points.txt", "".join(f"[{group}]\n{lines}\n" for group, lines in points).replace('"', "")
        )
        file.writestr(f"{info}/RECORD", "")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


def test_the_rules_of_a_distribution_are_used(project, site):
    """A typed entry of the library's values, a key of what counts in them, and words for people; on a hit too."""
    project.write(main=PROGRAM)
    env = {"PYTHONPATH": str(site), "BLOCKCACHE_PICKLE": "never"}
    cold, warm = project.run(env=env), project.run(env=env)
    assert (cold.outcomes, warm.outcomes) == (["miss"], ["hit"])
    assert cold.stdout == warm.stdout == "Signal [0.0, 2.0, 4.0, 6.0] 8 True\n"
    (path,) = (project.folder / ".blockcache" / "entries").rglob("*.json")
    manifest = json.loads(path.read_bytes())
    assert ["made", "list"] == manifest["outputs"][0][:2] and manifest["outputs"][0][3] == "json+numpy+signals"
    assert manifest["outputs"][1] == ["first", "signals.Signal", "Signal 4 samples at 8 Hz", "signals"]
    project.write(main=PROGRAM.replace("np.arange(4.0), 8", "np.arange(4.0), 9"))
    assert project.run(env=env).outcomes == ["miss"]


@pytest.mark.parametrize("code", ["raise RuntimeError('no')", "def typed(cls): return 1 / 0\nreducer = typed", "x ="])
def test_broken_rules_are_one_warning_and_left_out(project, site, tmp_path, code):
    """The program's results stand, and its values are saved as if there were no rules."""
    broken = tmp_path / "broken"
    subprocess.run(["cp", "-r", str(site), str(broken)], check=True)
    (broken / "blockcache_signals" / "codec.py").write_text(code)
    project.write(main=PROGRAM)
    cold, warm = (project.run(env={"PYTHONPATH": str(broken)}) for _ in range(2))
    assert (cold.outcomes, warm.outcomes) == (["miss"], ["hit"]) and cold.stdout == warm.stdout
    assert cold.stderr.count("entry point signals of blockcache.codecs") == 1


def test_nothing_is_looked_for_where_no_such_value_is_met(project):
    """Neither an import nor a hit of values that blockcache knows looks at distributions."""
    project.write(
        main="from blockcache import cached_block, plugins\nimport numpy as np\nx = np.arange(3)\nclass Own: pass\n"
        "with cached_block('w'):\n y = {'a': x + 1, 'o': Own()}\nprint(plugins._found is None)\n"
    )
    runs = [project.run() for _ in range(2)]
    assert [r.outcomes for r in runs] == [["miss"], ["hit"]]
    assert [r.stdout for r in runs] == ["True\n"] * 2
