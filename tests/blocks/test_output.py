"""What a body says is said again on a hit: programs run without a cache, cold and warm, and say the same."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from blockcache.capture.recording import settled
from projects import Project

# What blockcache itself says.
_OWN = re.compile(r"^\S+  (hit|miss|verified|differs) .*\n", re.MULTILINE)
HEAD = "from blockcache import cached_block\n"


def three_ways(project: Project, text: str, **run: Any) -> tuple[Any, Any, Any]:
    """The program without a cache, cold and warm; all three say the same, and the last hits."""
    project.write(main=HEAD + text)
    env = run.pop("env", {})
    plain = project.run(env=env | {"BLOCKCACHE_MODE": "off"}, **run)
    cold, warm = project.run(env=env, **run), project.run(env=env, **run)
    notes = f"{cold.stderr}\n{warm.stderr}"
    assert set(cold.outcomes) == {"miss"} and set(warm.outcomes) == {"hit"}, notes
    for ran in (cold, warm):
        assert _OWN.sub("", ran.stdout) == plain.stdout, notes
        assert _OWN.sub("", ran.stderr) == plain.stderr, notes
    return plain, cold, warm


SAME = {
    "both streams": """
import sys
print("before", end=" ")
with cached_block("w"):
    print("out", 1, sep=", ")
    print("no end", end="")
    print("err", file=sys.stderr)
    sys.stdout.writelines(["x", "y\\n"])
    sys.stderr.write("z\\n")
print("after")
""",
    "a stream that was taken before": """
import sys
out = sys.stdout
with cached_block("w"):
    out.write("held\\n")
    print("print", file=out)
print("after")
""",
    "bytes": """
import sys
with cached_block("w"):
    print("text")
    sys.stdout.flush()
    sys.stdout.buffer.write(b"raw \\xc3\\xa9\\n")
    sys.stdout.flush()
    print("text again", flush=True)
""",
    "no bytes twice": """
import sys
print("pending", end="")
with cached_block("w"):
    print("x" * 20_000)
    sys.stdout.flush()
""",
    "the body redirects": """
import contextlib, io, sys
with cached_block("w"):
    with contextlib.redirect_stdout(io.StringIO()) as inner:
        print("not to be seen")
    with contextlib.redirect_stdout(sys.stderr):
        print("on the other")
    text = inner.getvalue()
    del inner
print(text)
""",
    "the block is redirected": """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as outer:
    with cached_block("w"):
        print("caught")
print(repr(outer.getvalue()))
""",
    "a tee over the stream": """
import sys
class Tee:
    def __init__(self, stream):
        self.stream, self.texts = stream, []
    def write(self, text):
        self.texts.append(text)
        self.stream.write(text)
    def flush(self):
        self.stream.flush()
sys.stdout = tee = Tee(sys.stdout)
with cached_block("w"):
    print("once")
sys.stdout = tee.stream
print("".join(tee.texts))
""",
    "logging": """
import logging
logging.basicConfig(format="%(levelname)s %(message)s", level="INFO")
with cached_block("w"):
    logging.info("said by %s", "a handler")
    logging.debug("not said")
""",
    "threads of the body": """
import threading
from concurrent.futures import ThreadPoolExecutor
with cached_block("w"):
    thread = threading.Thread(target=print, args=("thread",))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(print, "abc"))
    del thread, pool
""",
    "warnings": """
import warnings
def helper():
    warnings.warn("called", stacklevel=2)
    warnings.warn("here", DeprecationWarning)
with cached_block("w"):
    helper()
    helper()
    warnings.warn("own")
""",
    "warnings that are caught around the block": """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    with cached_block("w"):
        warnings.warn("kept", UserWarning)
        warnings.warn_explicit("explicit", RuntimeWarning, "else.py", 7)
print([(w.category.__name__, str(w.message), w.filename.rpartition("/")[2], w.lineno) for w in caught])
""",
    "warnings that the body catches": """
import warnings
with cached_block("w"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("inside")
    texts = [str(w.message) for w in caught]
    del caught
print(texts)
""",
    "a warning that is shown once": """
import warnings
warnings.simplefilter("once")
def helper():
    warnings.warn("only once")
with cached_block("w"):
    helper()
helper()
""",
    "a warning of a class of the program": """
import warnings
class Odd(UserWarning):
    pass
warnings.filterwarnings("ignore", category=UserWarning)
warnings.filterwarnings("always", category=Odd)
with cached_block("w"):
    warnings.warn("odd", Odd)
    warnings.warn("not shown")
""",
    "warnings of logging": """
import logging, warnings
logging.basicConfig(format="%(name)s %(message).40s")
logging.captureWarnings(True)
with cached_block("w"):
    warnings.warn_explicit("logged", UserWarning, "file.py", 3)
""",
    "a block in a block": """
with cached_block("outer"):
    print("first")
    with cached_block("inner"):
        print("second")
    print("third")
""",
    "surrogates": """
import sys
sys.stdout.reconfigure(errors="surrogateescape")
with cached_block("w"):
    print("a\\udcff")
""",
    "an encoding without the letter": """
import sys
sys.stdout.reconfigure(encoding="ascii")
with cached_block("w"):
    try:
        print("\\u20ac")
    except UnicodeEncodeError:
        print("cannot")
""",
    "no standard output": """
import sys
sys.stdout = None
with cached_block("w"):
    print("nowhere")
    print("somewhere", file=sys.stderr)
""",
    "a closed stream": """
import io, sys
out, sys.stdout = sys.stdout, io.StringIO()
sys.stdout.close()
with cached_block("w"):
    print("somewhere", file=sys.stderr)
""",
    "a function": """
def work(n):
    with cached_block("w"):
        print("working on", n)
        m = n + 1
    return m
print(work(1), work(2))
""",
    "another task": """
import asyncio
async def chatter(go):
    await go.wait()
    print("not the block's")
async def main():
    go = asyncio.Event()
    task = asyncio.create_task(chatter(go))
    await asyncio.sleep(0)
    go.set()
    with cached_block("w"):
        await asyncio.sleep(0.01)
    await task
asyncio.run(main())
""",
    "a task of the body": """
import asyncio
async def chatter(n):
    await asyncio.sleep(0.01 * n)
    print("task", n)
async def main():
    with cached_block("w"):
        await asyncio.gather(chatter(1), chatter(2))
asyncio.run(main())
""",
    "random draws": """
import random
import numpy as np
random.seed(1)
np.random.seed(2)
with cached_block("w"):
    print(random.random(), np.random.rand())
print(random.random(), np.random.rand())
""",
    "a context from before": """
import contextvars
context = contextvars.Context()
def say():
    print("in a context")
with cached_block("w", ignore=["context"]):
    context.run(say)
""",
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_hit_says_what_a_run_says(project: Project, name: str) -> None:
    three_ways(project, SAME[name])


@pytest.mark.parametrize("unbuffered", [False, True])
def test_the_order_of_the_streams_is_kept(project: Project, unbuffered: bool) -> None:
    """On one file for both, the lines come in the order of the run."""
    text = """
import sys
sys.stderr = sys.stdout
for n in range(1):
    with cached_block("w"):
        print("1")
        print("2", file=sys.stderr)
        sys.stdout.write("3")
        print("4", file=sys.stderr)
"""
    three_ways(project, text, started=True, env={"PYTHONUNBUFFERED": "1"} if unbuffered else {})


def test_output_of_others_is_not_the_blocks(project: Project) -> None:
    """What a thread from before prints while the body runs is not said again, and is named."""
    project.write(
        main=HEAD
        + """
import threading
go, done = threading.Event(), threading.Event()
def chatter():
    go.wait()
    print("another's")
    done.set()
thread = threading.Thread(target=chatter)
thread.start()
def work():
    go.set()
    done.wait()
    print("own")
with cached_block("w", ignore=["go", "done"]):
    work()
go.set()
thread.join()
"""
    )
    cold, warm = project.run(), project.run()
    assert (cold.stdout, sorted(warm.stdout.split("\n"))) == ("another's\nown\n", ["", "another's", "own"])
    assert "threads from before the block" in cold.stderr
    assert warm.outcomes == ["hit"]


def test_own_lines_are_nobodys_output(project: Project) -> None:
    """A hit of the outer block prints one line, not that of the block inside it; nor does a restored inner hit."""
    text = """
import sys
step = int(sys.argv[1])
with cached_block("outer"):
    x = step
    with cached_block("inner"):
        print("inside")
"""
    project.write(main=HEAD + text)
    project.run(arguments=["1"])
    cold, warm = project.run(arguments=["2"]), project.run(arguments=["2"])
    assert [(e["name"], e["outcome"]) for e in cold.events] == [("inner", "hit"), ("outer", "miss")]
    assert [(e["name"], e["outcome"]) for e in warm.events] == [("outer", "hit")]
    assert (cold.stdout, warm.stdout) == ("inside\n", "inside\n")
    assert warm.stderr.count("\n") == 1


def test_a_body_that_raises_keeps_nothing(project: Project) -> None:
    project.write(main=HEAD + 'with cached_block("w"):\n    print("said")\n    1 / 0\n')
    for _ in range(2):
        ran = project.run(check=False)
        assert (ran.stdout, ran.outcomes, ran.code) == ("said\n", ["miss"], 1)


def test_a_warning_as_an_error_is_never_saved(project: Project) -> None:
    project.write(main=HEAD + 'import warnings\nwith cached_block("w"):\n    warnings.warn("x")\n')
    assert project.run().outcomes == ["miss"]
    for _ in range(2):
        ran = project.run("main.py", "-W", "error", check=False)
        assert (ran.code, ran.outcomes) == (1, ["miss"])
    assert project.run().outcomes == ["hit"]


def test_a_stream_put_in_place_is_not_repeated(project: Project) -> None:
    """A body that leaves another sys.stdout behind is not saved."""
    project.write(main=HEAD + 'import sys\nwith cached_block("w"):\n    sys.stdout = sys.stderr\n')
    for _ in range(2):
        ran = project.run()
        assert ran.outcomes == ["miss"]
        assert "sys.stdout" in ran.events[0]["problem"], ran.events[0]


def test_progress_bars_end_as_they_ended(project: Project) -> None:
    """Of the states that a carriage return wrote over, the last is said again."""
    text = """
import sys
with cached_block("w"):
    for n in range(101):
        print(f"\\r{n:3d}% |{'#' * (n // 10):10}|", end="", file=sys.stderr)
    print(file=sys.stderr)
    print("a\\r\\nb")
"""
    project.write(main=HEAD + text)
    cold, warm = project.run(), project.run()
    assert cold.stderr.count("%") == 101
    assert warm.stderr.startswith("100% |##########|\n") or warm.stderr.startswith("\n100% |##########|\n")
    assert warm.stderr.count("%") == 1


def test_the_stream_is_left_as_it_was(project: Project) -> None:
    text = """
import sys, warnings
before = vars(sys.stdout).copy(), vars(sys.stderr).copy(), warnings._showwarnmsg
with cached_block("w"):
    print("x")
    same = sys.stdout is sys.__stdout__
print(same, before == (vars(sys.stdout), vars(sys.stderr), warnings._showwarnmsg))
"""
    plain, *_ = three_ways(project, text)
    assert plain.stdout == "x\nTrue True\n"


def test_descriptors_on_request(project: Project) -> None:
    """What other programs and C code write is said again, in order, where it is asked for."""
    text = """
import os, subprocess, sys, warnings
print("before")
with cached_block("w", capture="descriptors"):
    print("python", flush=True)
    subprocess.run([sys.executable, "-c", "print('another program')"], check=True)
    os.write(1, b"descriptor\\n")
    os.write(2, b"descriptor of errors\\n")
    print("err", file=sys.stderr, flush=True)
    warnings.warn("kept as a warning")
    print("no end", end="")
print(" after")
"""
    plain, cold, warm = three_ways(project, text, started=True)
    assert "another program" in plain.stdout
    assert not any("another program" in entry for entry in vars(warm))


def test_what_is_asked_for_must_be_there(project: Project) -> None:
    """An entry without descriptors does not answer who asks for them; one with them answers who does not."""
    for capture, outcome in (
        ("[]", "miss"),
        ("'descriptors'", "miss"),
        ("[]", "hit"),
        ("'off'", "hit"),
        ("'logs'", "miss"),
    ):
        project.write(main=HEAD + f'import os\nwith cached_block("w", capture={capture}):\n    print("x")\n')
        ran = project.run()
        assert (capture, ran.outcomes) == (capture, [outcome])
        assert ran.stdout == "x\n"


def test_off_says_nothing(project: Project) -> None:
    project.write(main=HEAD + 'with cached_block("w", capture="off"):\n    print("x")\n')
    assert [project.run().stdout for _ in range(2)] == ["x\n", ""]


def test_log_records_on_request(project: Project) -> None:
    """Handlers of the hit get the records; their text is not said twice."""
    text = """
import logging, sys
class Kept(logging.Handler):
    def emit(self, record):
        print(record.name, record.levelname, record.getMessage(), record.funcName, getattr(record, "job", None))
logging.basicConfig(format="%(levelname)s %(message)s", level="INFO")
logging.getLogger("part").addHandler(Kept())
with cached_block("w", capture=["logs"]):
    logging.getLogger("part").info("done %d%%", 5, extra={"job": 7})
    logging.getLogger("part").debug("hidden")
    print("between")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("other").error("trouble", exc_info=sys.argv[1:] == ["x"])
"""
    plain, *_ = three_ways(project, text)
    assert "part INFO done 5% <module> 7\nbetween\n" in plain.stdout


def test_a_limit_is_said(project: Project) -> None:
    """What is beyond the limit is not kept, and the line and the manifest say so; a progress bar does not count."""
    text = """
import sys
with cached_block("bar"):
    for n in range(2000):
        print(f"\\r{n:5}", end="", file=sys.stderr)
with cached_block("long"):
    for n in range(2000):
        print(n)
    print("end", file=sys.stderr)
"""
    project.write(main=HEAD + text)
    env = {"BLOCKCACHE_CAPTURE_LIMIT": "1 KB"}
    cold, warm = project.run(env=env), project.run(env=env)
    assert cold.stdout.endswith("1999\n")
    assert cold.stdout.startswith(warm.stdout) and 500 < len(warm.stdout) <= 1000
    assert "\r 1999" in warm.stderr.replace("\n", "\r") and "end" not in warm.stderr
    bar, long = cold.events
    assert bar["untracked"] == [] and "1,000 bytes" in long["untracked"][0]


@pytest.mark.parametrize("imported", ["import matplotlib.pyplot as plt", ""])
def test_figures_of_pyplot(project: Project, imported: str) -> None:
    """Numbers, the current figure and axes, identity with names and the pixels are those of a run."""
    text = f"""
import matplotlib
matplotlib.use("Agg")
{imported}
with cached_block("w"):
    import matplotlib.pyplot as plt
    fig, axes = plt.subplots(2, 2)
    axes[0, 0].plot([1, 3, 2], label="$x^2$")
    axes[0, 0].legend()
    axes[1, 0].yaxis.set_major_formatter(lambda value, position: f"<{{value}}>")
    fig.colorbar(axes[1, 1].imshow([[1, 2], [3, 4]]))
    plt.figure(7)
    plt.hist([1, 2, 2])
    plt.figure("named")
    plt.close(7)
    plt.figure(1)
    plt.sca(axes[0, 1])
import hashlib
def pixels(figure):
    figure.canvas.draw()
    return hashlib.sha256(bytes(figure.canvas.buffer_rgba())).hexdigest()
print(plt.get_fignums(), plt.get_figlabels(), plt.gcf() is fig, plt.gca() is axes[0, 1], plt.figure(1) is fig, fig.number)
print([pixels(plt.figure(number)) for number in plt.get_fignums()])
plt.figure(1)
plt.plot([5, 6])
print(plt.figure().number, pixels(fig), fig.stale)
axes[0, 0].set_title("told")
print(fig.stale)
"""
    three_ways(project, text)


def test_drawing_on_a_figure_from_before_is_not_repeated(project: Project) -> None:
    """A body that draws on the current figure, made before it, is not saved, and says which."""
    text = """
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
plt.figure(5)
with cached_block("draws"):
    plt.plot([1, 2])
with cached_block("looks"):
    n = len(plt.get_fignums())
"""
    project.write(main=HEAD + text)
    project.run()
    again = project.run()
    assert again.outcomes == ["miss", "hit"]
    assert "figure 5" in again.events[0]["problem"]


def test_torch_draws_on(project: Project) -> None:
    """After a hit torch draws what it draws after a run."""
    pytest.importorskip("torch")
    text = """
import torch
torch.manual_seed(3)
with cached_block("w"):
    x = torch.randn(3)
print(x, torch.randn(2))
"""
    three_ways(project, text)


def test_tqdm_ends_as_it_ended(project: Project) -> None:
    """One line of a bar that stays, nothing to be seen of one that goes."""
    pytest.importorskip("tqdm")
    text = """
from tqdm import tqdm
with cached_block("w"):
    for n in tqdm(range(50), desc="stays", mininterval=0):
        pass
    for n in tqdm(range(50), desc="goes", mininterval=0, leave=False):
        pass
"""
    project.write(main=HEAD + text)
    project.run()
    warm = project.run()
    assert warm.outcomes == ["hit"]
    assert warm.stderr.count("stays") == 1 and "50/50" in warm.stderr and "goes" not in warm.stderr


def _picture(text: str) -> list[tuple[str, int]]:
    """What a terminal shows of each line, and where its cursor ends."""
    shown = []
    for line in text.split("\n"):
        cells, at = {}, 0
        for character in line:
            at = 0 if character == "\r" else at + 1
            if at:
                cells[at] = character
        shown.append(("".join(cells.get(i, " ") for i in range(1, max(cells, default=0) + 1)).rstrip(), at))
    return shown


def test_what_a_carriage_return_wrote_over_is_left_out_and_nothing_else() -> None:
    """Blanks cover too, a bar that goes ends in them: the picture and the place of the cursor are the same."""
    rng = random.Random(1)
    for _ in range(5000):
        text = "".join(rng.choices("ab  \r\r\n", weights=[4, 4, 3, 3, 3, 3, 1], k=rng.randrange(20)))
        assert _picture(settled(text)) == _picture(text), repr(text)
    assert "goes" not in settled("\rgoes: 48/50 \r" + " " * 11 + "\r")
