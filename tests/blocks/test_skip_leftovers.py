"""After a block nothing is traced, whatever happened, and a skip never lands in another frame, thread or statement."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
from skip_harness import cb, left_on

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
monitored = pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")


def fresh(program: str, *arguments: str, timeout_s: float = 100) -> None:
    """Run a program in a fresh interpreter; it must end well."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HERE)])},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def no_tracer():
    """The test's own runner may be traced (coverage); these tests look at the tracer itself."""
    before = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(before)


def test_nothing_stays_traced_right_after_a_block(no_tracer) -> None:
    """In the very frame of the block: after a hit, a miss, and a miss that raises."""

    def inspect_frame() -> list[str]:
        found = []
        frame = sys._getframe()
        for kind in ("hit", "miss", "error"):
            try:
                with cb("x", hit=kind == "hit", y=42) as c:
                    y = 1
                    found.append(left_on(frame.f_code)) if kind != "hit" else 1 / 0
                    if kind == "error":
                        raise KeyError
            except KeyError:
                pass
            assert y == (42 if kind == "hit" else 1)
            assert c.skipped == (kind == "hit")
            found.append(left_on(frame.f_code))
            assert frame.f_trace is None and frame.f_trace_opcodes is False
        return found

    assert inspect_frame() == [""] * 5


def test_nothing_stays_traced_when_exit_itself_fails(no_tracer) -> None:
    """An error while the values are bound reaches the program and leaves nothing on."""

    class Odd(dict):
        def __setitem__(self, name, value):
            if name == "y":
                raise OSError("no room")
            super().__setitem__(name, value)

    code = compile("with cb('x', y=1): y = 2", "odd", "exec")
    with pytest.raises(OSError, match="no room"):
        exec(code, {"cb": cb}, Odd())
    assert left_on(code) == ""


def test_a_debugger_gets_its_tracers_back() -> None:
    """Tracer of the system, tracer of the frame, and its wish for opcodes are the same objects as before."""
    events = []

    def local(frame, event, argument):
        events.append(event)
        return local

    def system(frame, event, argument):
        return local if frame.f_code.co_name == "watched" else None

    def watched():
        frame = sys._getframe()
        with cb("x", y=42):
            y = 1
        assert frame.f_trace is local and frame.f_trace_opcodes is False
        return y

    before = sys.gettrace()
    sys.settrace(system)
    try:
        assert watched() == 42
        assert sys.gettrace() is system
    finally:
        sys.settrace(before)
    assert events.count("return") == 1 and "opcode" not in events


def test_the_exception_of_a_skip_is_not_kept() -> None:
    """Values of the frame die with it, also inside `except`, although the skip was raised there."""

    class Thing:
        pass

    def f():
        thing = Thing()
        try:
            raise KeyError
        except KeyError as error:
            with cb("x", y=42) as c:
                y = 1
            assert error.__context__ is None
        assert c.skip is None and c.namespace is None and y == 42
        return weakref.ref(thing), c

    gc.collect()
    gc.disable()
    try:
        thing, _c = f()
        assert thing() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("held", [False, True], ids=["", "program_holds_locals"])
def test_a_hit_keeps_nothing_alive_past_del(held: bool) -> None:
    """`del` after a hit frees an object at once, and the program's own `locals()` dictionary is as it was."""

    class Thing:
        pass

    def f():
        record = locals() if held else {}
        before = set(record)
        thing = Thing()
        alive = weakref.ref(thing)
        with cb("x", y=42):
            y = 1
        assert y == 42
        del thing
        return alive() is None, set(record) == before

    gc.disable()
    traced = sys.gettrace()
    sys.settrace(None)  # up to 3.12 a Python tracer of the runner would copy the variables itself
    try:
        assert f() == (True, True)
    finally:
        sys.settrace(traced)
        gc.enable()


def test_line_profiler_counts_the_lines_after_a_hit() -> None:
    """A tracer written in C that leaves no mark on frames takes over again after the block."""
    profiler = pytest.importorskip("line_profiler").LineProfiler()

    def f():
        x = 0
        with cb("x", y=42):
            y = 1
        x = 2
        return x, y

    profiler.add_function(f)
    traced = sys.gettrace()
    sys.settrace(None)
    profiler.enable()
    try:
        for _ in range(3):
            f()
    finally:
        profiler.disable()
        sys.settrace(traced)
    (lines,) = profiler.get_stats().timings.values()
    first = f.__code__.co_firstlineno
    assert [(number - first, hits) for number, hits, _ in lines] == [(1, 3), (2, 3), (4, 3), (5, 3)]


def test_sixteen_threads_mix_hits_and_misses_in_one_code_object() -> None:
    """Events belong to the code object, which all threads share: each gets exactly its own skips."""
    wrong = []

    def work(number: int) -> None:
        choose = random.Random(number)
        try:
            for i in range(300):
                hit = choose.random() < 0.5
                with cb("x", hit=hit, y=i) as c:
                    y = -i - 1
                if (y, c.skipped) != ((i, True) if hit else (-i - 1, False)):
                    wrong.append((number, i, hit, y))
        except BaseException as error:
            wrong.append((number, repr(error)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert_silent(work.__code__)


_MEETING = """
import sys, threading, time
from skip_harness import cb

def meet(event, arguments):
    if event == "sys.settrace":
        time.sleep(1e-4)

def work(number):
    try:
        for i in range(300):
            with cb("x", y=i) as c:
                y = -1
            if (y, c.skipped) != (i, True):
                wrong.append((number, i, y))
    except BaseException as error:
        wrong.append((number, repr(error)))

wrong = []
sys.addaudithook(meet)
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert wrong == [] and sys.gettrace() is None, wrong
"""


def test_threads_that_meet_in_setting_tracers() -> None:
    """On 3.11 the interpreter turns away all but one, when it takes a raising tracer away too: bodies are skipped."""
    fresh(_MEETING)


def assert_silent(*codes) -> None:
    left = left_on(*codes)
    assert not left or left.startswith("sys.gettrace()"), left  # the runner itself may be traced


def test_recursion_through_a_missed_body() -> None:
    """Levels of one function hit and miss in turn, each as it was told."""

    def f(level: int):
        if level == 0:
            return []
        hit = level % 3 == 0
        with cb("x", hit=hit, below=["skipped"]):
            below = f(level - 1)
        return [(level, hit), *below]

    assert f(20) == [(20, False), (19, False), (18, True), "skipped"]
    assert_silent(f.__code__)


def test_generators_closed_early() -> None:
    """A generator that is closed or thrown into while it waits in a missed body, or after a hit."""
    log = []

    def numbers(hit: bool):
        try:
            with cb("x", hit=hit, y=42):
                y = 1
                log.append("body")
                yield "inside"
            yield y
        finally:
            log.append("closed")

    for end in ("close", "throw", "drop"):
        for hit in (True, False):
            log.clear()
            generator = numbers(hit)
            assert next(generator) == (42 if hit else "inside")
            if end == "close":
                generator.close()
            elif end == "throw":
                with pytest.raises(ZeroDivisionError):
                    generator.throw(ZeroDivisionError())
            del generator
            gc.collect()
            assert log == (["closed"] if hit else ["body", "closed"])
            assert_silent(numbers.__code__)


def test_tasks_that_wait_and_are_cancelled_inside_a_missed_body() -> None:
    """Tasks share a thread and a code object; a hit never suspends, so that it cannot be mixed up."""
    seen = []

    async def step(i: int) -> None:
        hit = i % 2 == 0
        with cb("x", hit=hit, y=i) as c:
            y = -i
            await asyncio.sleep(0.001 * (i % 5))
        seen.append((i, y, c.skipped))

    async def main() -> None:
        tasks = [asyncio.create_task(step(i)) for i in range(200)]
        await asyncio.sleep(0)
        for task in tasks[1::4]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert {i for i, _, _ in seen} >= set(range(0, 200, 2))
    assert all((y, skipped) == ((i, True) if i % 2 == 0 else (-i, False)) for i, y, skipped in seen)
    assert_silent(step.__code__)


STORM = """
import random, signal, sys, threading
from skip_harness import cb, left_on

wanted, shape, again_s = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
wrong, interrupted, aloud = [], [], False
def ring(number, frame):
    if aloud: raise KeyboardInterrupt
signal.signal(signal.SIGALRM, ring)

def one(i):
    with cb("x", y=i): y = None; wrong.append("body ran on a hit")
    if y != i: wrong.append(("not restored", y))

def nested(i):
    try:
        with cb("a", hit=False):
            with cb("b", y=i) as b: y = None; wrong.append("body ran on a hit")
            if y != i or not b.hit: wrong.append(("not restored", y))
    finally:
        with cb("c", z=i): z = None; wrong.append("body ran on a hit in finally")

def swallowing(i):
    # One frame goes on after the interrupt: a skip left armed would fall on the next missed body.
    for k in range(20):
        hit = (i + k) % 3 == 0
        y = ran = None
        try:
            try:
                with cb("x", hit=hit, y=k):
                    ran = True; y = -1
            except KeyboardInterrupt:
                if hit and ran: wrong.append("body ran on a hit")
                raise
            if ran if hit else not ran: wrong.append(("wrong one skipped", hit, ran))
            if y != (k if hit else -1): wrong.append(("wrong value", hit, y))
        except KeyboardInterrupt:
            interrupted.append(1)

work = {"one": one, "nested": nested, "swallowing": swallowing}[shape]
stop = False
def background():
    k = 0
    while not stop:
        k += 1
        with cb("x", hit=k % 2, y=k): y = -k
        if y != (k if k % 2 else -k): wrong.append(("other thread", k, y))
threads = [threading.Thread(target=background) for _ in range(2 if shape == "nested" else 0)]
[t.start() for t in threads]
choose = random.Random(7)
def drive(before):
    # A function of its own: Python 3.13 leaves the jump that closes a loop out of the range of `try`.
    i = 0
    while len(interrupted) == before:
        i += 1
        work(i)
while len(interrupted) < wanted and not wrong:
    before = len(interrupted)
    try:
        try:
            aloud = True
            # It rings again, because Python swallows an interrupt in some places (a weakref's callback).
            signal.setitimer(signal.ITIMER_REAL, choose.uniform(1e-6, 1.2e-4), again_s)
            drive(before)
        finally:
            aloud = False
    except KeyboardInterrupt:
        interrupted.append(1)
    except BaseException as error:
        wrong.append(repr(error))
    signal.setitimer(signal.ITIMER_REAL, 0)
    if again_s < 0.1:
        # Two interrupts within microseconds may leave something on, until the code runs again.
        work(0)
    left = left_on(work.__code__) if not threads else ""
    if left: wrong.append(left)
stop = True
[t.join() for t in threads]
left = left_on(work.__code__, background.__code__)
if left: wrong.append(left)
assert not wrong, (len(interrupted), wrong[:5])
assert len(interrupted) >= wanted
"""


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("again_s", ["0.3", "0.0005"])
@pytest.mark.parametrize("shape", ["one", "nested", "swallowing"])
def test_two_thousand_interrupts_at_random_instants(shape: str, again_s: str) -> None:
    """Ctrl-C anywhere in a hit: no skip lands elsewhere, no body runs on a hit, nothing stays traced."""
    fresh(STORM, "2000", shape, again_s)


@monitored
def test_without_a_free_tool_id_the_body_runs() -> None:
    """`arm` says False, the body runs untraced; once an id is free again, blocks hit again."""
    fresh("""
import sys
from skip_harness import cb, left_on
mon = sys.monitoring
for tool in (3, 4, 5): mon.use_tool_id(tool, f"other {tool}")
def f():
    with cb("x", y=42) as c: y = 1
    return y, c.armed
assert f() == (1, False)
assert left_on(f.__code__) == ""
mon.free_tool_id(3)
assert f() == (42, True)
assert mon.get_tool(3) == "blockcache"
# The ids that debuggers, coverage and profilers reserve are left to them.
assert [mon.get_tool(tool) for tool in (0, 1, 2)] == [None] * 3
mon.free_tool_id(3); mon.use_tool_id(3, "thief")
assert f() == (1, False)
mon.free_tool_id(4)
assert f() == (42, True) and left_on(f.__code__) == ""
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_skips_although_other_threads_were_arming() -> None:
    """The child neither waits for a lock that another thread held nor keeps that thread's skips."""
    fresh("""
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore")
from skip_harness import cb, left_on
stop = False
def f(i):
    with cb("x", y=i): y = None
    return y
f(0)  # an import that is under way in another thread never ends in a child
def background():
    while not stop: f(1)
threads = [threading.Thread(target=background) for _ in range(3)]
[t.start() for t in threads]
sys.setswitchinterval(1e-6)
failed = []
for i in range(60):
    child = os.fork()
    if not child:
        signal.alarm(10)
        os._exit(0 if f(i) == i and not left_on(f.__code__, background.__code__) else 1)
    if os.waitpid(child, 0)[1]: failed.append(i)
stop = True
[t.join() for t in threads]
assert not failed, failed
""")


def test_a_skip_inside_a_trace_function_is_a_miss() -> None:
    """Python does not trace while it calls a tracer: the body runs, and nothing is left on."""
    outcome = []

    def block():
        with cb("x", y=42) as c:
            y = 1
        return y, c.skipped

    def tracer(frame, event, argument):
        if frame.f_code.co_name == "traced":
            outcome.append(block())

    def traced():
        pass

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        traced()
    finally:
        sys.settrace(before)
    assert outcome == [(1, False)]
    assert_silent(block.__code__)
    assert block() == (42, True)
