"""Single flight: of all who miss one entry at the same time one runs the body, and nobody waits for good."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from blockcache import statistics
from blockcache.stores.local import LocalStore

TOOLS = """
import os, sys, time

def note(file, text="x"):
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{text}\\n".encode())
    os.close(handle)

def meet(file, count, most_s=20):
    # Whether so many come here before any of them goes on.
    note(file)
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        if os.path.getsize(file) >= 2 * count:
            return True
        time.sleep(0.01)
    return False

def children(count, work):
    pids = []
    for number in range(count):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                work(number)
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        pids.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
"""
HEAD = "from blockcache import cached_block, cached_function\nfrom tools import *\n"


@pytest.fixture
def program(project):
    """A project that has the tools."""
    project.write(tools=TOOLS)
    return project


def lines(project, name):
    path = project.folder / name
    return path.read_text().split() if path.exists() else []


def until(condition, most_s=30):
    end = time.monotonic() + most_s
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


@contextlib.contextmanager
def started(project, *arguments, script="main.py", **env):
    """A process of its own that runs a script, with what it says in files; killed at the end."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("BLOCKCACHE_", "COV"))}
    variables |= {"PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": str(project.folder.parent / "machine"), **env}
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        cwd=project.folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def leases(project):
    folder = project.folder / ".blockcache" / "leases"
    return sorted(os.listdir(folder)) if folder.exists() else []


# -- many at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 64])
def test_of_many_processes_one_runs_the_body(program, count):
    """All have the value, and nothing is left of the lease."""
    program.write(
        main=HEAD
        + f"""
def work(number):
    with cached_block("features"):
        note("ran.txt")
        time.sleep(0.5)
        x = [1, 2, 3]
    note("values.txt", repr(x).replace(" ", ""))
print(set(children({count}, work)))
"""
    )
    ran = program.run()
    assert ran.stdout == "{0}\n" and lines(program, "ran.txt") == ["x"], ran.stderr
    assert lines(program, "values.txt") == ["[1,2,3]"] * count and leases(program) == []
    assert sorted(ran.outcomes) == ["hit"] * (count - 1) + ["miss"]


@pytest.mark.parametrize("count", [2, 64])
def test_of_many_threads_one_calls_the_function(program, count):
    """All have the value, each one of its own."""
    program.write(
        main=HEAD
        + f"""
import threading
@cached_function
def f(x):
    note("ran.txt")
    time.sleep(0.3)
    return [x]
values = []
threads = [threading.Thread(target=lambda: values.append(f(7))) for _ in range({count})]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(values), all(v == [7] for v in values), len({{id(v) for v in values}}))
"""
    )
    ran = program.run()
    assert ran.stdout == f"{count} True {count}\n" and lines(program, "ran.txt") == ["x"], ran.stderr
    assert leases(program) == []


def test_different_keys_run_at_the_same_time(program):
    """In processes and in the threads of each: every body waits until all of them run."""
    program.write(
        main=HEAD
        + """
import threading
@cached_function
def f(x):
    return meet("met.txt", 32)
def work(number):
    values = []
    threads = [threading.Thread(target=lambda i=i: values.append(f(8 * number + i))) for i in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert values == [True] * 8, values
print(set(children(4, work)))
"""
    )
    ran = program.run()
    assert ran.stdout == "{0}\n", ran.stderr


def test_threads_of_many_processes_call_once_for_each_key(program):
    """Whatever the order in which they come."""
    program.write(
        main=HEAD
        + """
import random, threading
@cached_function
def f(x):
    note("ran.txt", x)
    time.sleep(0.1)
    return -x
def work(number):
    def calls(order):
        for x in order:
            assert f(x) == -x
    orders = [random.Random(10 * number + i).sample(range(6), 6) for i in range(4)]
    threads = [threading.Thread(target=calls, args=(order,)) for order in orders]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(set(children(4, work)))
"""
    )
    ran = program.run()
    assert ran.stdout == "{0}\n" and sorted(lines(program, "ran.txt")) == list("012345"), ran.stderr


def test_bodies_of_one_key_that_read_different_things_do_not_wait_for_each_other(program):
    """As the tasks of a job that read their number from the environment: only the first one is waited for."""
    program.write(
        main=HEAD
        + """
def work(number):
    os.environ["TASK"] = str(number)
    with cached_block("task"):
        task = os.environ["TASK"]
        together = task == "0" or meet("met.txt", 5)
    assert together and task == str(number)
assert children(1, work) == [0]
print(set(children(6, work)))
"""
    )
    ran = program.run()
    assert ran.stdout == "{0}\n" and sorted(ran.outcomes) == ["hit"] + ["miss"] * 6, ran.stderr


# -- asyncio -----------------------------------------------------------------------------------


def test_of_many_tasks_one_runs_and_the_event_loop_goes_on(program):
    """An async function, a block with a value that has no content; a plain `with` cannot wait for its own thread.

    The one that runs needs the loop, too: were it held up, nothing would ever end.
    """
    program.write(
        main=HEAD
        + """
import asyncio, sqlite3
@cached_function
async def f(x):
    note("f.txt")
    await asyncio.sleep(0.3)
    return [x]
async def block():
    db = sqlite3.connect("t.db")
    async with cached_block("query"):
        note("block.txt")
        await asyncio.sleep(0.3)
        rows = db.execute("select 42").fetchall()
    return rows
async def plain():
    with cached_block("plain"):
        note("plain.txt")
        await asyncio.sleep(0.1)
        y = 5
    return y
async def main():
    for make in (lambda: f(7), block, plain):
        values = await asyncio.gather(*(make() for _ in range(20)))
        assert all(v == values[0] for v in values)
        print(values[0])
asyncio.run(main())
"""
    )
    ran = program.run()
    assert ran.stdout == "[7]\n[(42,)]\n5\n", ran.stderr
    assert set(program.run().outcomes) == {"hit"}
    assert lines(program, "f.txt") == lines(program, "block.txt") == ["x"] and len(lines(program, "plain.txt")) == 20


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_others_alone(program):
    """Neither the one that runs nor those that wait on."""
    program.write(
        main=HEAD
        + """
import asyncio
async def block():
    async with cached_block("slow"):
        note("ran.txt")
        await asyncio.sleep(0.5)
        y = 5
    return y
async def main():
    tasks = [asyncio.create_task(block()) for _ in range(4)]
    await asyncio.sleep(0.2)
    tasks[2].cancel()
    print([type(v).__name__ for v in await asyncio.gather(*tasks, return_exceptions=True)])
asyncio.run(main())
"""
    )
    ran = program.run()
    assert ran.stdout == "['int', 'int', 'CancelledError', 'int']\n" and lines(program, "ran.txt") == ["x"], ran.stderr


# -- owners that do not finish -----------------------------------------------------------------

SLOW = (
    HEAD
    + """
pause = float(sys.argv[1])
with cached_block("slow", ignore=["pause"]):
    note("ran.txt")
    time.sleep(pause)
    x = 5
note("values.txt", x)
print(x)
"""
)


def test_when_the_owner_is_killed_one_other_takes_over(program):
    """At once, and the rest wait for that one."""
    program.write(
        main=SLOW, others=HEAD + "import runpy\nprint(set(children(4, lambda number: runpy.run_path('main.py'))))"
    )
    with started(program, "60") as owner:
        until(lambda: lines(program, "ran.txt"))
        with started(program, "0.5", script="others.py") as others:
            until(lambda: others.poll() is not None or len(leases(program)) == 1)
            time.sleep(0.5)
            owner.kill()
            output, errors = others.communicate(timeout=60)
    assert output.endswith("{0}\n") and lines(program, "values.txt") == ["5"] * 4, errors
    assert lines(program, "ran.txt") == ["x", "x"], errors
    assert leases(program) == []


def test_what_a_killed_owner_leaves_is_no_hindrance(program):
    """Neither for a hit nor for a miss, and the next run of the key removes it."""
    program.write(main=SLOW)
    with started(program, "60") as owner:
        until(lambda: lines(program, "ran.txt"))
        owner.kill()
        owner.wait()
    assert len(leases(program)) == 1
    ran = program.run(arguments=["0"])
    assert ran.stdout == "5\n" and ran.outcomes == ["miss"] and "waits" not in ran.stderr and leases(program) == []


@pytest.mark.parametrize("outcome", ["raises", "lock"])
def test_an_owner_that_leaves_no_entry_is_waited_for_once(program, outcome):
    """It raises, or makes what cannot be saved: the others run, and not one after the other."""
    program.write(
        main=HEAD
        + f"""
def work(number):
    try:
        with cached_block("slow"):
            if not note("ran.txt") and os.path.getsize("ran.txt") > 2:
                meet("met.txt", 3)
            time.sleep(0.5)
            import _thread
            x = _thread.allocate_lock()
            if {outcome == "raises"}:
                raise ValueError
        x
    except ValueError:
        pass
print(set(children(4, work)))
"""
    )
    ran = program.run()
    assert ran.stdout == "{0}\n" and len(lines(program, "ran.txt")) == 4, ran.stderr
    assert len(lines(program, "met.txt")) == 3 and leases(program) == []


def test_who_stands_still_is_waited_for_as_long_as_the_setting_says(program):
    """Then the body runs, and the line says so; the one that stood still ends as it would."""
    program.write(main=SLOW)
    with started(program, "1") as owner:
        until(lambda: lines(program, "ran.txt"))
        os.kill(owner.pid, signal.SIGSTOP)
        ran = program.run(arguments=["0"], env={"BLOCKCACHE_WAIT": "1.2s"})
        assert ran.stdout == "5\n" and ran.outcomes == ["miss"], ran.stderr
        said = ran.stderr.splitlines()
        assert said[0].startswith(f"slow  waits  for pid {owner.pid} on ") and " (running for " in said[0]
        assert f" · stopped waiting for pid {owner.pid} on " in ran.stderr and " after 1." in ran.stderr
        at_once = program.run(arguments=["0"], env={"BLOCKCACHE_WAIT": "off"})
        assert at_once.outcomes == ["hit"] and "wait" not in at_once.stderr
        os.kill(owner.pid, signal.SIGCONT)
        output, errors = owner.communicate(timeout=30)
    assert output == "5\n" and owner.returncode == 0 and leases(program) == [], errors


def test_ctrl_c_ends_a_wait(program):
    """As it would end the body: with KeyboardInterrupt; the one that runs is left alone."""
    program.write(main=SLOW)
    with started(program, "60") as owner:
        until(lambda: lines(program, "ran.txt"))
        with started(program, "0") as other:
            said = other.stderr.readline()
            assert said.startswith(f"slow  waits  for pid {owner.pid} on "), said
            other.send_signal(signal.SIGINT)
            _, errors = other.communicate(timeout=20)
            assert "KeyboardInterrupt" in errors and other.returncode not in (0, None)
        assert owner.poll() is None and len(leases(program)) == 1
    assert lines(program, "ran.txt") == ["x"]


def test_an_owner_on_another_machine_is_gone_when_its_record_is_not_written_again(program):
    """By the waiter's own clock: whatever the record says of the time."""
    program.write(
        main=HEAD
        + """
import json, threading
from blockcache import flight
from blockcache.flight import waiting
from blockcache.stores.local import LocalStore
waiting._SILENT_S = 0.6
def body():
    with cached_block("slow") as block:
        note("ran.txt")
        x = 5
    return block
key = body().key
store = LocalStore(".blockcache")
for path in list(store.list("entries")):
    store.delete(path)
owner = flight.Lease(store, key, "slow").owner()._replace(machine="another", host="far")
def put(written):
    store.put(f"leases/{key}", [json.dumps(owner._replace(written=written)._asdict()).encode()])
put(0.0)
def beat():
    for number in range(15):
        put(float(number))
        time.sleep(0.1)
    print(os.path.getsize("ran.txt"))
thread = threading.Thread(target=beat)
thread.start()
print(body().hit, list(store.list("leases")))
thread.join()
"""
    )
    ran = program.run()
    assert ran.stdout == "2\nFalse []\n" and len(lines(program, "ran.txt")) == 2, ran.stderr
    assert " waits  for pid " in ran.stderr and " on far (running for " in ran.stderr


# -- circles -----------------------------------------------------------------------------------


def test_bodies_that_need_each_other_in_two_processes_do_not_wait_in_a_circle(program):
    """Each holds what the other one enters inside of its body."""
    program.write(
        main=HEAD
        + """
@cached_function(ignore=["depth"])
def x(depth):
    return f"x{y(depth - 1)}" if depth and meet("met.txt", 2) else "x"
@cached_function(ignore=["depth"])
def y(depth):
    return f"y{x(depth - 1)}" if depth and meet("met.txt", 2) else "y"
print(set(children(2, lambda number: note("values.txt", (x, y)[number](1)))))
"""
    )
    ran = program.run()
    assert ran.stdout == "{0}\n", ran.stderr
    # One of the two may have got what the other one made inside.
    assert all(value in ("xy", "yx", "xyx", "yxy") for value in lines(program, "values.txt"))


def test_who_waits_inside_a_body_still_waits(program):
    """For one that needs nothing of it: the inner body runs once."""
    program.write(
        main=HEAD
        + """
@cached_function
def load():
    note("ran.txt")
    time.sleep(0.7)
    return 5
def work(number):
    with cached_block("outer"):
        y = load() + number
    assert y == 5 + number
print(set(children(3, work)))
"""
    )
    ran = program.run()
    assert ran.stdout == "{0}\n" and lines(program, "ran.txt") == ["x"], ran.stderr


@pytest.mark.parametrize(
    "way",
    [
        "threading",
        "pool",
        "task",
        "spawn",
        "loky",
        "fork",
    ],
)
def test_what_a_body_starts_does_not_wait_for_it(program, way):
    """Threads, tasks and processes that come to the same block, and that the body waits for."""
    if way == "loky":
        pytest.importorskip("joblib")
    ways = {
        "threading": "t = threading.Thread(target=f, args=(1,)); t.start(); t.join()",
        "pool": "ThreadPoolExecutor(1).submit(f, 1).result()",
        "task": "asyncio.run(asyncio.wait_for(asyncio.to_thread(f, 1), 20))",
        "spawn": "ProcessPoolExecutor(1, mp_context=mp.get_context('spawn')).submit(f, 1).result()",
        "loky": "joblib.Parallel(n_jobs=2)([joblib.delayed(f)(1)] * 2)",
        "fork": "assert children(1, lambda number: f(1)) == [0]",
    }
    program.write(
        steps=HEAD
        + f"""
import asyncio, threading
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
{"import joblib" if way == "loky" else ""}
@cached_function(ignore=["depth"])
def f(depth):
    note("ran.txt", os.getpid())
    if not depth:
        {ways[way]}
        note("leases.txt", len(os.listdir(".blockcache/leases")))
    return 5
""",
        main="from steps import f\nif __name__ == '__main__':\n    print(f(0))\n",
    )
    ran = program.run()
    assert ran.stdout == "5\n" and len(lines(program, "ran.txt")) >= 2, ran.stderr
    assert lines(program, "leases.txt") == ["1"] and leases(program) == []
    assert "Deprecat" not in ran.stderr


def test_a_thread_that_is_needed_by_the_one_that_it_waits_for_goes_on_in_the_end(program):
    """The owner wants the only thread of a pool, and that one waits for the owner: nobody can see that."""
    program.write(
        main=HEAD
        + """
from concurrent.futures import ThreadPoolExecutor
from blockcache.flight import waiting
waiting._IDLE_S = 0.5
pool = ThreadPoolExecutor(1)
pool.submit(len, "").result()
def f():
    with cached_block("slow"):
        note("ran.txt")
        if os.path.getsize("ran.txt") == 2:
            other = pool.submit(f_in_pool)
            time.sleep(0.2)
            n = pool.submit(len, "abc").result()
        else:
            n = 3
    return n
def f_in_pool():
    return f()
print(f())
"""
    )
    ran = program.run()
    assert ran.stdout == "3\n" and len(lines(program, "ran.txt")) == 2, ran.stderr


# -- what is right -----------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [signal.SIGKILL, signal.SIGINT])
def test_an_input_that_changes_during_the_wait_is_seen(program, ends):
    """Whoever goes on after waiting runs with what is there now, and saves it as that."""
    program.write(
        main=HEAD
        + """
pause = float(sys.argv[1])
with cached_block("slow", inputs=["data.txt"], ignore=["pause"]):
    note("ran.txt")
    time.sleep(pause)
    x = open("data.txt").read()
print(x)
"""
    )
    (program.folder / "data.txt").write_text("old")
    with started(program, "60") as owner:
        until(lambda: lines(program, "ran.txt"))
        with started(program, "0") as other:
            said = other.stderr.readline()
            assert said.startswith("slow  waits  "), said
            (program.folder / "data.txt").write_text("new")
            owner.send_signal(ends)
            output, errors = other.communicate(timeout=30)
    assert output == "new\n", errors
    again = program.run(arguments=["0"])
    assert again.stdout == "new\n" and again.outcomes == ["hit"]
    (program.folder / "data.txt").write_text("old")
    last = program.run(arguments=["0"])
    assert last.stdout == "old\n" and last.outcomes == ["miss"], last.stderr


def test_waiting_is_no_part_of_what_the_body_took(program):
    """Nor is it of what a later hit saves, nor of what the cache took; the log has it."""
    program.write(main=SLOW)
    with started(program, "60") as owner:
        until(lambda: lines(program, "ran.txt"))
        ran = program.run(arguments=["0"], env={"BLOCKCACHE_WAIT": "2s"})
    (event,) = ran.events
    assert event["took_s"] >= 2 and event["waited"].startswith(f"stopped waiting for pid {owner.pid} on ")
    counts = statistics.read(LocalStore(program.folder / ".blockcache"))["slow"]
    assert 0 < counts.save_s <= event["took_s"] - event["waited_s"] - event["body_s"] and event["waited_s"] >= 2
    (hit,) = program.run(arguments=["0"]).events
    assert hit["outcome"] == "hit" and hit["saved_s"] < 1 and hit["waited"] == ""


def test_where_no_lease_can_be_had_the_body_runs(program):
    """And its result is saved; nothing is said of it."""
    program.write(main=SLOW)
    (program.folder / ".blockcache").mkdir()
    (program.folder / ".blockcache" / "leases").write_text("a file in the place of the folder")
    ran = program.run(arguments=["0"])
    assert ran.stdout == "5\n" and ran.outcomes == ["miss"] and ran.events[0]["problem"] == "", ran.stderr
    assert program.run(arguments=["0"]).outcomes == ["hit"]


@pytest.mark.parametrize("mode", ["readonly", "refresh", "verify", "off"])
def test_who_does_not_save_for_others_does_not_wait(program, mode):
    """Nor is it waited for."""
    program.write(main=SLOW)
    with started(program, "60") as owner:
        until(lambda: lines(program, "ran.txt"))
        assert (
            json.loads((program.folder / ".blockcache" / "leases" / leases(program)[0]).read_text())["pid"] == owner.pid
        )
        ran = program.run(arguments=["0"], env={"BLOCKCACHE_MODE": mode})
        assert ran.stdout == "5\n" and "wait" not in ran.stderr and len(leases(program)) == 1
