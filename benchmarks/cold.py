"""The first lookup of a fresh process on a warm store: `python benchmarks/cold.py`.

Everything is imported before the clock starts. "without" is the same with an empty folder for what this machine
remembers of sources, so that the sources are parsed and judged again. Ratios are what to compare between machines.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FUNCTION = '''
def f{k}(x, y=1):
    """Text {k}."""
    z = x + y * {k}
    for n in range(3):
        z += n
    if z > 10:
        z -= 1
    return z
'''
#: Ten lines each.
LONG = "".join(FUNCTION.format(k=k) for k in range(300))
HEAD = """
import json
from time import perf_counter as clock
import executing, numpy as np
import blockcache.running
from blockcache import cached_block
"""
TAIL = """
n = 3
start = clock()
with cached_block("cold") as block:
    total = {call}f3(n) + int(np.arange(n).sum())
print(json.dumps(dict(took_s=clock() - start, hit=block.hit)))
"""
SCRIPTS = {
    "small script beside a module of 3,000 lines": HEAD + "import long\n" + TAIL.format(call="long."),
    "own script of 3,000 lines": HEAD + LONG + TAIL.format(call=""),
}
GOAL_S = 3e-3


def run(folder: Path) -> float:
    """Seconds of the lookup in a fresh interpreter."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "PYTHONDONTWRITE"))}
    env |= {"XDG_CACHE_HOME": str(folder / "machine")}
    done = subprocess.run([sys.executable, "main.py"], cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"main.py failed:\n{done.stdout}\n{done.stderr}")
    facts = json.loads(done.stdout.splitlines()[-1])
    return float(facts["took_s"]) if facts["hit"] else 0.0


def measure(script: str, times: int) -> tuple[float, float]:
    """Seconds with what earlier processes remembered, and without; medians, taken in turn."""
    folder = Path(tempfile.mkdtemp(prefix="blockcache-bench-"))
    try:
        (folder / "pyproject.toml").write_text("[project]\nname = 'bench'\nversion = '0'\n")
        (folder / "long.py").write_text(LONG)
        (folder / "main.py").write_text(script)
        for path in folder.glob("*.py"):  # a file that was written just now is not remembered
            os.utime(path, (time.time() - 3600,) * 2)
        time.sleep(2.5)
        run(folder)
        kept, fresh = [], []
        for _ in range(times):
            shutil.rmtree(folder / "machine", ignore_errors=True)
            fresh.append(run(folder))
            kept.append(run(folder))
        assert all(kept) and all(fresh), "a lookup missed"
        return statistics.median(kept), statistics.median(fresh)
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Print the table; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=9, help="processes of each kind")
    options = parser.parse_args()
    lines = [("first lookup in a fresh process", "with index", "goal", "", "without", "x faster")]
    missed = False
    for what, script in SCRIPTS.items():
        kept, fresh = measure(script, options.times)
        met = kept < GOAL_S
        missed |= not met
        goal = f"< {GOAL_S * 1e3:.0f} ms"
        verdict = "met" if met else "MISSED"
        lines.append((what, f"{kept * 1e3:.2f} ms", goal, verdict, f"{fresh * 1e3:.1f} ms", f"{fresh / kept:.1f}"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print(" | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
