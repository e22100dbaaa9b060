"""What cannot be saved: the rest is, and a hit happens only where nothing after the block misses the name.

Each program is run plain, cold and warm in fresh interpreters and prints what anybody could notice. ``# warm: hit`` says that
the lacking names are dead after the block, ``# warm: miss`` that something reads one: then the body runs, and says why.
"""

from __future__ import annotations

import re

import pytest

HEAD = """\
import sqlite3, threading
from blockcache import cached_block
def made():
    return sqlite3.connect(":memory:")
def tell(x):
    print("none" if x is None else type(x).__name__)
"""

#: In each, the name `bad` cannot be saved.
PROGRAMS = """
=== nothing reads it
# warm: hit
with cached_block("b"):
    bad = made()
    rows = bad.execute("select 1").fetchall()
print(rows)
=== a statement reads it
# warm: miss
with cached_block("b"):
    bad = made()
tell(bad)
=== only one branch reads it
# warm: miss
with cached_block("b"):
    bad = made()
if len("x") == 2:
    tell(bad)
=== bound again first
# warm: hit
with cached_block("b"):
    bad = made()
bad = 1
print(bad)
=== bound again in one branch only
# warm: miss
with cached_block("b"):
    bad = made()
if len("x") == 2:
    bad = None
tell(bad)
=== bound again in both branches
# warm: hit
with cached_block("b"):
    bad = made()
if len("x") == 2:
    bad = None
else:
    bad = 2
tell(bad)
=== a loop variable of a later loop
# warm: hit
with cached_block("b"):
    bad = made()
for bad in range(2):
    print(bad)
=== after a loop that may not run
# warm: miss
with cached_block("b"):
    bad = made()
for bad in ():
    print(bad)
tell(bad)
=== else of a while
# warm: miss
with cached_block("b"):
    bad = made()
n = 0
while n < 2:
    n += 1
    if n == 5:
        bad = 1
        break
else:
    tell(bad)
=== deleted after the block
# warm: miss
with cached_block("b"):
    bad = made()
del bad
print("bad" in dir())
=== augmented assignment
# warm: miss
class Sum:
    def __init__(self): self.lock = threading.Lock()
    def __iadd__(self, other): print("added"); return other
with cached_block("b"):
    bad = Sum()
bad += 1
=== walrus binds it
# warm: hit
with cached_block("b"):
    bad = made()
if (bad := 3) > 2:
    print(bad)
=== walrus that may not be reached
# warm: miss
with cached_block("b"):
    bad = made()
if len("x") == 2 and (bad := 3):
    pass
tell(bad)
=== try binds it, perhaps
# warm: miss
def boom(): raise ValueError
with cached_block("b"):
    bad = made()
try:
    boom()
    bad = 1
except ValueError:
    tell(bad)
=== finally reads it
# warm: miss
try:
    with cached_block("b"):
        bad = made()
finally:
    tell(bad)
=== finally binds it
# warm: hit
try:
    with cached_block("b"):
        bad = made()
finally:
    bad = 1
tell(bad)
=== except around the block reads it, which a hit does not reach
# warm: hit
try:
    with cached_block("b"):
        bad = made()
except ValueError:
    tell(bad)
=== match binds it in every case
# warm: hit
with cached_block("b"):
    bad = made()
match 3:
    case 4 as bad: pass
    case bad: pass
tell(bad)
=== match captures before a guard fails
# warm: miss
with cached_block("b"):
    bad = made()
match 3:
    case [bad]: pass
tell(bad)
=== a function made before the block
# warm: miss
def close():
    tell(bad)
with cached_block("b"):
    bad = made()
close()
=== a function made after the block
# warm: miss
with cached_block("b"):
    bad = made()
def close():
    tell(bad)
close()
=== a function made after it is bound again
# warm: hit
with cached_block("b"):
    bad = made()
bad = 1
def close():
    tell(bad)
close()
=== a function made in the block
# warm: miss
with cached_block("b"):
    bad = made()
    def close():
        tell(bad)
close()
=== a lambda deep inside functions
# warm: miss
with cached_block("b"):
    bad = made()
def f():
    def g():
        return lambda: bad
    return g()
tell(f()())
=== a function with a variable of its own of that name
# warm: hit
def close(bad):
    tell(bad)
with cached_block("b"):
    bad = made()
close(1)
=== an attribute of that name
# warm: hit
class Box: bad = 1
with cached_block("b"):
    bad = made()
print(Box.bad, Box().bad)
=== global in a helper binds it
# warm: miss
def reset():
    global bad
    tell(bad)
    bad = 2
with cached_block("b"):
    bad = made()
reset()
print(bad)
=== global in a helper deletes it
# warm: miss
def reset():
    global bad
    del bad
with cached_block("b"):
    bad = made()
reset()
print("bad" in globals())
=== a class body reads it
# warm: miss
with cached_block("b"):
    bad = made()
class Holder:
    bad = bad
tell(Holder.bad)
=== a method reads it
# warm: miss
class Holder:
    def go(self): tell(bad)
with cached_block("b"):
    bad = made()
Holder().go()
=== a comprehension has a variable of that name
# warm: hit
with cached_block("b"):
    bad = made()
print([bad for bad in range(3)], {bad: 1 for bad in "a"})
=== a comprehension reads it
# warm: miss
with cached_block("b"):
    bad = made()
print([type(bad).__name__ for _ in range(1)])
=== a comprehension before the block read the name
# warm: hit
bad = 3
found = [bad + n for n in range(2)]
with cached_block("b"):
    bad = made()
print(found)
=== a generator from before the block
# warm: miss
bad = 3
later = (bad for _ in range(1))
with cached_block("b"):
    bad = made()
tell(*later)
=== a decorator
# warm: miss
def register(function):
    return lambda: tell(bad)
@register
def job(): pass
with cached_block("b"):
    bad = made()
job()
=== a default argument
# warm: miss
with cached_block("b"):
    bad = made()
def f(x=bad): tell(x)
f()
=== an annotation
# warm: hit
with cached_block("b"):
    bad = made()
x: int = 3
print(x)
=== globals
# warm: miss
with cached_block("b"):
    bad = made()
print("bad" in globals())
=== vars without an argument
# warm: miss
with cached_block("b"):
    bad = made()
print("bad" in vars())
=== vars of something
# warm: hit
class Args: pass
with cached_block("b"):
    bad = made()
    n = 1
print(vars(Args()), n)
=== eval
# warm: miss
with cached_block("b"):
    bad = made()
tell(eval("b" + "ad"))
=== sys.modules
# warm: miss
import sys
with cached_block("b"):
    bad = made()
tell(getattr(sys.modules[__name__], "b" + "ad"))
=== import of the main module
# warm: miss
with cached_block("b"):
    bad = made()
import __main__
tell(__main__.bad)
=== the frame of a caller
# warm: miss
import sys
def look():
    return sys._getframe(1).f_globals["bad"]
with cached_block("b"):
    bad = made()
tell(look())
=== a loop around the block reads it first
# warm: miss
bad = None
for _ in range(2):
    tell(bad)
    with cached_block("b"):
        bad = made()
=== a loop around the block binds it first
# warm: hit
for k in range(2):
    bad = k
    print(bad)
    with cached_block("b"):
        bad = made()
        n = 2
    print(n)
=== the value from before the block does not come back
# warm: hit
bad = 5
with cached_block("b"):
    bad = made()
print("done")
=== at exit
# warm: miss
import atexit
@atexit.register
def bye(): tell(bad)
with cached_block("b"):
    bad = made()
=== a thread
# warm: miss
def work():
    go.wait()
    tell(bad)
go = threading.Event()
thread = threading.Thread(target=work)
thread.start()
with cached_block("b"):
    bad = made()
go.set()
thread.join()
=== in a function
# warm: hit
def main():
    with cached_block("b"):
        bad = made()
        rows = bad.execute("select 2").fetchall()
    return rows
print(main())
=== in a function that returns it
# warm: miss
def main():
    with cached_block("b"):
        bad = made()
    return bad
tell(main())
=== in a function, a closure made before
# warm: miss
def main():
    bad = None
    def look(): return bad
    with cached_block("b"):
        bad = made()
    return look()
tell(main())
=== in a function, a closure made after
# warm: miss
def main():
    with cached_block("b"):
        bad = made()
    return lambda: bad
tell(main()())
=== in a function, locals
# warm: miss
def main():
    with cached_block("b"):
        bad = made()
    return sorted(locals())
print(main())
=== in a function, a comprehension of that name, then a read
# warm: miss
def main():
    with cached_block("b"):
        bad = made()
    n = [bad for bad in range(2)]
    return bad
tell(main())
=== in a function that binds it again
# warm: hit
def main():
    bad = 1
    with cached_block("b"):
        bad = made()
        n = 1
    for bad in range(2):
        n += bad
    return n
print(main())
=== in a function, nonlocal
# warm: miss
def main():
    bad = None
    def inner():
        nonlocal bad
        with cached_block("b"):
            bad = made()
    inner()
    return bad
tell(main())
=== in a function, global
# warm: miss
def main():
    global bad
    with cached_block("b"):
        bad = made()
main()
tell(bad)
=== in a generator
# warm: hit
def numbers():
    with cached_block("b"):
        bad = made()
        n = 4
    yield n
    bad = 1
    yield bad
print(*numbers())
=== in a generator, read after a yield
# warm: miss
def numbers():
    with cached_block("b"):
        bad = made()
    yield 1
    yield type(bad).__name__
print(*numbers())
=== in a coroutine
# warm: hit
import asyncio
async def main():
    with cached_block("b"):
        bad = made()
        n = 3
    await asyncio.sleep(0)
    return n
print(asyncio.run(main()))
=== in a class body
# warm: miss
class Holder:
    with cached_block("b"):
        bad = made()
tell(Holder.bad)
=== in code for exec
# warm: miss
exec('''
with cached_block("b"):
    bad = made()
''')
tell(bad)
=== in an imported module
# warm: miss
import part
tell(part.bad)
--- part.py
import sqlite3
from blockcache import cached_block
with cached_block("b"):
    bad = sqlite3.connect(":memory:")
=== in an imported module, all names taken
# warm: miss
from part import *
tell(bad)
--- part.py
import sqlite3
from blockcache import cached_block
with cached_block("b"):
    bad = sqlite3.connect(":memory:")
=== in an imported module that answers for what it has not
# warm: miss
import part
tell(part.bad)
--- part.py
import sqlite3
from blockcache import cached_block
def __getattr__(name):
    return 5
with cached_block("b"):
    bad = sqlite3.connect(":memory:")
=== in an imported module, a private name
# warm: hit
import part
print(part.n)
--- part.py
import sqlite3
from blockcache import cached_block
with cached_block("b"):
    _bad = sqlite3.connect(":memory:")
    n = 1
=== in a function of an imported module
# warm: hit
import part
print(part.f())
--- part.py
import sqlite3
from blockcache import cached_block
def f():
    with cached_block("b"):
        bad = sqlite3.connect(":memory:")
        n = 1
    return n
=== a container that holds it
# warm: miss
with cached_block("b"):
    bad = made()
    both = [bad, 1]
print(len(both))
=== what is shared by the rest stays shared
# warm: hit
with cached_block("b"):
    one = [1]
    bad = (made(), one)
    two = {"one": one}
one.append(2)
print(two, two["one"] is one)
=== names of a text
# warm: miss
# needs: pandas
import pandas as pd
class Limit(float):
    def __reduce_ex__(self, protocol): raise TypeError("no")
df = pd.DataFrame({"a": [1, 2, 3]})
with cached_block("b"):
    bad = Limit(1.5)
print(len(df.query("a > @bad")))
=== a block within the block
# warm: hit
with cached_block("outer"):
    with cached_block("inner"):
        bad = made()
        n = 1
    m = n + 1
print(n, m)
=== excluded
# warm: hit
with cached_block("b", exclude="big"):
    big = list(range(1000))
    n = sum(big)
print(n)
=== excluded and read
# warm: miss
with cached_block("b", exclude=["big"]):
    big = list(range(1000))
print(sum(big))
=== excluded in an imported module
# warm: hit
import part
print(part.n)
--- part.py
from blockcache import cached_block
with cached_block("b", exclude=["big"]):
    big = list(range(1000))
    n = sum(big)
"""


UNMAKABLE = """\
from blockcache import cached_block
class Ticket:
    def __reduce__(self):
        return int, ("spent",)
rows = [1]
with cached_block("b"):
    ticket = Ticket()
    held = [rows, 1]
    n = 2
print(n, held[0] is rows)
"""


def test_what_can_be_saved_and_not_be_made_again_is_found_out_once(project):
    """The second run finds the entry useless, and leaves out what made it so; the third hits."""
    project.write(main=UNMAKABLE)
    assert [project.run().outcomes for _ in range(4)] == [["miss"], ["miss"], ["hit"], ["hit"]]
    assert project.run().stdout == "2 True\n"


KINDS = {
    "a directory that goes with its object": "import tempfile; bad = tempfile.TemporaryDirectory()",
    "shared memory": "from multiprocessing.shared_memory import SharedMemory; bad = SharedMemory(create=True, size=8)\n"
    "    bad.close(); bad.unlink()",
    "a socket": "import socket; bad = socket.socket()",
    "a cursor": "bad = made().cursor()",
    "a generator": "bad = (i for i in range(3))",
    "a closed generator": "bad = (i for i in range(3)); bad.close()",
    "a coroutine": "import asyncio; bad = asyncio.sleep(0); bad.close()",
    "an open file": "bad = open(__file__)",
    "a lock": "bad = threading.Lock()",
    "a thread": "bad = threading.Thread(target=dict); bad.start(); bad.join()",
    "a pool of processes": "import multiprocessing\n    with multiprocessing.Pool(1) as bad: n = bad.map(abs, [1])",
    "an executor": "from concurrent.futures import ThreadPoolExecutor\n    with ThreadPoolExecutor(1) as bad: pass",
    "a process": "import subprocess; bad = subprocess.Popen(['true']); bad.wait()",
    "a hash": "import hashlib; bad = hashlib.sha256()",
    "a frame": "import types; bad = next(iter([(lambda: 0).__code__])).co_lines()",
    "a handler of logs": "import logging; bad = logging.StreamHandler()",
}


@pytest.mark.parametrize("read", [False, True], ids=["dead", "read"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_are_never_saved(project, kind, read):
    """They are named; dead they do not matter, read they make the body run."""
    after = "print(type(bad).__name__)" if read else "print(n)"
    project.write(main=f"{HEAD}with cached_block('b'):\n    n = 1\n    {KINDS[kind]}\n{after}\n")
    plain = project.run(env={"BLOCKCACHE_MODE": "off"})
    runs = [project.run(), project.run()]
    assert [run.stdout for run in runs] == [plain.stdout] * 2, runs[1].stderr
    assert [run.outcomes for run in runs] == [["miss"], ["miss" if read else "hit"]], runs[1].stderr
    assert ("bad (" in runs[0].events[0]["problem"]) == read
    assert ("is read after the block" in runs[1].stderr) == read


SAVED = {
    "a match": 'import re; made_here = re.search("(a)(b)?", "xxac"); made_here2 = re.compile("b").match("ab", 1)',
    "a closed file": "made_here = open(__file__); made_here.close()",
    "a module": "import json as made_here",
    "a logger": "import logging; made_here = logging.getLogger('x')",
    "an exception": "try: 1 / 0\n    except ZeroDivisionError as e: made_here = e",
    "a read-only mapping": "import types; made_here = types.MappingProxyType({'a': 1})",
}


@pytest.mark.parametrize("kind", SAVED)
def test_kinds_that_are_saved(project, kind):
    """They are read after the block, and the block hits."""
    after = "print(made_here, getattr(made_here, 'name', 0), getattr(made_here, 'regs', 0))"
    project.write(main=f"{HEAD}with cached_block('b'):\n    {SAVED[kind]}\n{after}\n")
    plain = project.run(env={"BLOCKCACHE_MODE": "off"})
    runs = [project.run(), project.run()]
    assert [run.stdout for run in runs] == [plain.stdout] * 2
    assert runs[1].outcomes == ["hit"], runs[1].stderr


def programs() -> list[object]:
    found = []
    for part in re.split(r"^=== ", PROGRAMS, flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        found.append(pytest.param(text, id=name))
    return found


@pytest.mark.parametrize("text", programs())
def test_plain_cold_warm(project, text):
    """The same output three times, and a hit exactly where it is said."""
    if "# needs: pandas" in text:
        pytest.importorskip("pandas")
    main, *others = re.split(r"^--- ", text, flags=re.MULTILINE)
    project.write_files({"main.py": HEAD + main, **dict(o.split("\n", 1) for o in others)})
    plain = project.run(env={"BLOCKCACHE_MODE": "off"})
    cold, warm = project.run(), project.run()
    assert cold.stdout == plain.stdout and warm.stdout == plain.stdout, cold.stderr + warm.stderr
    assert all(event["saved"] for event in cold.events[:1]), cold.stderr
    wanted = re.search("# warm: (.*)", text)[1]
    assert set(warm.outcomes) == {wanted}, cold.stderr + warm.stderr
    if wanted == "miss":
        event = warm.events[0]
        name = "both" if "both" in text else "bad" if "bad" in text else "big"
        assert re.match(rf"{name} (\(.*?\) )?is read after the block \(", event["reason"]), event
        assert not event["saved"] and not event["problem"], event


NESTED = """
with cached_block("outer"):
    with cached_block("inner"):
        bad = made()
        n = 1
    m = n + 1  # first
print(n, m)
"""


def test_what_an_inner_block_did_not_give_back_the_outer_one_lacks_too(project):
    """The inner entry served the outer body; then a statement after both reads the name."""
    project.write(main=HEAD + NESTED)
    project.run()
    project.write(main=HEAD + NESTED.replace("+ 1  # first", "+ 2  # second"))
    assert [project.run().outcomes for _ in range(2)] == [["hit", "miss"], ["hit"]]
    project.write(main=HEAD + NESTED.replace("+ 1  # first", "+ 2  # second") + "tell(bad)\n")
    ran = project.run()
    assert ran.stdout == "1 3\nConnection\n" and ran.outcomes == ["miss", "miss"], ran.stderr


def test_the_program_as_it_stands_now(project):
    """A statement added after the block, by name or in a helper, makes the body run; taken away again, it hits."""
    body = "with cached_block('b'):\n    bad = made()\n    n = 1\nprint(n)\n"
    helper = "def close():\n    bad.close()\n"
    outcomes = []
    for text in (body, body, body + "bad.close()\n", body, helper + body, body):
        project.write(main=HEAD + text)
        outcomes += project.run().outcomes
    assert outcomes == ["miss", "hit", "miss", "hit", "miss", "hit"]


def test_exclude_takes_names_that_the_block_binds(project):
    """Anything else is an error before the body runs."""
    for wrong, said in (("[3]", "takes names"), ("'a b'", "takes names"), ("['nme']", "binds no 'nme'")):
        project.write(main=f"{HEAD}with cached_block('b', exclude={wrong}):\n    name = 1\n    print('ran')\n")
        ran = project.run(check=False)
        assert ran.code and "exclude=" in ran.stderr and said in ran.stderr and not ran.stdout


def test_an_excluded_name_that_is_wanted_after_all_is_saved(project):
    """Without ``exclude=`` the entry that lacks the name does not answer where it is read, and is made again."""
    text = HEAD + "with cached_block('b'{}):\n    big = [1, 2]\n    n = 2\nprint(n)\n{}"
    outcomes = []
    for options, after in ((", exclude='big'", ""), ("", ""), ("", "print(big)\n"), ("", "print(big)\n")):
        project.write(main=text.format(options, after))
        outcomes += project.run().outcomes
    assert outcomes == ["miss", "hit", "miss", "hit"]
    project.write(main=text.format(", exclude='big'", "print(big)\n"))
    ran = project.run()
    assert ran.outcomes == ["miss"] and ran.stdout == "2\n[1, 2]\n"


def test_a_value_that_could_not_be_saved_for_a_while_is_saved_by_the_next_run(project):
    """A disk that cannot be read, a full memory: an entry without the value is made again, unlike one that would lack it for ever."""
    project.write(
        fragile="""\
import os
class Fragile:
    def __reduce__(self):
        if os.path.exists("broken"):
            raise OSError(5, "Input/output error")
        return Fragile, ()
""",
        main="""\
from fragile import Fragile
from blockcache import cached_block
with cached_block("work"):
    value = Fragile()
print(type(value).__name__)
""",
    )
    (project.folder / "broken").touch()
    for _ in range(2):
        ran = project.run()
        assert ran.outcomes == ["miss"] and "Input/output error" in ran.stderr
    (project.folder / "broken").unlink()
    assert project.run().outcomes == ["miss"]
    ran = project.run()
    assert (ran.outcomes, ran.stdout) == (["hit"], "Fragile\n")
