"""``cached_function``: results are kept by arguments and code, and nothing else about a function changes."""

from __future__ import annotations

import hashlib
import os
import textwrap
from pathlib import Path

import pytest

from projects import Project

#: Every call of `say` is a run of a function; `seen` tells the runs since it was last asked.
HEAD = """
import os
from blockcache import cached_function

def say(what):
    with open("ran.txt", "a") as file:
        file.write(what + " ")

def seen(*results):
    runs = open("ran.txt").read().split() if os.path.exists("ran.txt") else []
    if runs:
        os.remove("ran.txt")
    print(*results, runs)
"""


def run(project: Project, body: str, **options: object) -> list[str]:
    """What a program prints, line by line."""
    project.write(main=HEAD + textwrap.dedent(body))
    return project.run(**options).stdout.splitlines()


def both(project: Project, body: str) -> tuple[list[str], list[str]]:
    """A program that is run twice, in fresh interpreters."""
    return run(project, body), run(project, body)


# -- arguments ---------------------------------------------------------------------------------


def test_arguments_count_as_the_function_sees_them(project: Project) -> None:
    """However a call spells its arguments, and with defaults written or not, it is one call."""
    body = """
    @cached_function
    def f(a, /, b=2, *rest, c=3, **more):
        say("f")
        return [a, b, rest, c, more]
    seen(f(1), f(1, 2), f(1, b=2), f(1, c=3), f(1, 2, c=3), f(1, c=3, b=2))
    seen(f(1, 2, 3), f(1, 2, 3, c=3))
    seen(f(1, z=1), f(1, 2, z=1))
    """
    first, second = both(project, body)
    one = "[1, 2, (), 3, {}]"
    assert first == [
        " ".join([one] * 6) + " ['f']",
        "[1, 2, (3,), 3, {}] [1, 2, (3,), 3, {}] ['f']",
        "[1, 2, (), 3, {'z': 1}] [1, 2, (), 3, {'z': 1}] ['f']",
    ]
    assert second == [line.replace("['f']", "[]") for line in first]


def test_arguments_that_are_equal_but_not_the_same_are_other_calls(project: Project) -> None:
    """1, 1.0 and True compare equal; what a function does with them differs."""
    body = """
    @cached_function
    def f(x):
        say("f")
        return repr(x)
    seen(f(1), f(1.0), f(True), f("1"), f((1,)), f([1]))
    seen(f(1), f(1.0), f(True), f("1"), f((1,)), f([1]))
    """
    assert run(project, body) == [
        "1 1.0 True '1' (1,) [1] ['f', 'f', 'f', 'f', 'f', 'f']",
        "1 1.0 True '1' (1,) [1] []",
    ]


def test_unhashable_arguments_count_by_content(project: Project) -> None:
    """Lists, dictionaries, sets and arrays are arguments like any other."""
    pytest.importorskip("numpy")
    body = """
    import numpy as np
    @cached_function
    def f(x, y):
        say("f")
        return float(np.sum(x)) + len(y)
    seen(f(np.arange(4), {"a": [1]}), f(np.arange(4), {"a": [1]}), f(np.arange(4), {"a": [2]}))
    """
    assert run(project, body) == ["7.0 7.0 7.0 ['f', 'f']"]


def test_ignored_arguments_do_not_count(project: Project) -> None:
    """Neither those named nor those of a type that is ignored."""
    body = """
    class Progress:
        def __init__(self, n):
            self.n = n
    @cached_function(ignore=["verbose", Progress])
    def f(x, verbose=False, progress=None):
        say("f")
        return x
    seen(f(1), f(1, verbose=True), f(2, True), f(2))
    seen(f(1, progress=Progress(1)), f(1, progress=Progress(2)))
    """
    assert run(project, body) == ["1 1 2 2 ['f', 'f']", "1 1 ['f']"]


def test_an_argument_without_content_is_said_and_the_function_runs(project: Project) -> None:
    """A generator can be used once: nothing can be known about its result."""
    project.write(
        main=HEAD
        + """
@cached_function
def f(x):
    say("f")
    return list(x)
seen(f(i for i in range(3)), f(i for i in range(3)), f.check(i for i in range(3)))
"""
    )
    for _ in range(2):
        ran = project.run()
        assert ran.stdout == "[0, 1, 2] [0, 1, 2] False ['f', 'f']\n"
        assert "argument that has no content" in ran.stderr
        assert ran.stderr.count("CacheWarning") == 1


def test_wrong_arguments_raise_what_the_function_raises(project: Project) -> None:
    body = """
    @cached_function
    def f(a, *, b=1):
        return a
    for call in (lambda: f(), lambda: f(1, 2), lambda: f(1, c=2), lambda: f.check()):
        try:
            call()
        except TypeError as error:
            print(error)
    """
    lines = run(project, body)
    assert lines[0] == "f() missing 1 required positional argument: 'a'"
    assert len(lines) == 4


def test_the_example_of_the_readme(project: Project) -> None:
    """What its comments say is so."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    example = next(part.partition("```")[0] for part in text.split("```python\n") if "cached_function" in part)
    lines = [line.partition("#")[0].strip() for line in example.splitlines()]
    shown = [f"print({line})" if line.startswith("summary") else line for line in lines]
    project.write(main="\n".join(s if s != line else raw for s, line, raw in zip(shown, lines, example.splitlines())))
    ran = project.run()
    first, second, third, fourth, entries, last = ran.stdout.splitlines()
    assert first == second == fourth == "{'mean': 2.33, 'count': 3}"
    assert (third, last) == ("False", "False") and entries.count("Manifest(") == 1
    assert ran.outcomes == ["miss", "hit", "miss"]


# -- kinds of functions ------------------------------------------------------------------------

METHODS = """
class A:
    scale = 10
    def __init__(self, k):
        self.k = k
    @cached_function
    def method(self, x):
        say("method")
        return self.k * x * self.scale
    @classmethod
    @cached_function
    def inner(cls, x):
        say("inner")
        return cls.__name__, cls.scale, x
    @cached_function
    @classmethod
    def outer(cls, x):
        say("outer")
        return cls.__name__, cls.scale, x
    @staticmethod
    @cached_function
    def inner_static(x):
        say("inner_static")
        return x
    @cached_function
    @staticmethod
    def outer_static(x):
        say("outer_static")
        return x
    @property
    @cached_function
    def prop(self):
        say("prop")
        return self.k
class B(A):
    scale = 100
"""


def test_methods_count_with_their_object_and_its_class(project: Project) -> None:
    """Equal objects share; another state, another class attribute, an override in a subclass do not."""
    body = """
    a = A(3)
    seen(a.method(2), A(3).method(2), A.method(a, 2), a.method.check(2), A(4).method.check(2))
    seen(A(4).method(2), B(3).method(2))
    a.k = 5
    seen(a.method.check(2), a.method(2))
    A.scale = 11
    seen(a.method.check(2), a.method(2), B(3).method.check(2))
    seen(A(1).inner(1), A.inner(1), B.inner(1), A.outer(1), A(1).outer(1), B.outer(1))
    seen(A.outer.check(1), B(7).outer.check(1), A.outer.check(2))
    seen(A.inner_static(1), A(1).inner_static(1), A.outer_static(1), A(1).outer_static(1), A.outer_static.check(1))
    seen(a.prop, a.prop, A(5).prop)
    """
    first, second = both(project, METHODS + textwrap.dedent(body))
    assert first == [
        "60 60 60 True False ['method']",
        "80 600 ['method', 'method']",
        "False 100 ['method']",
        "False 110 False ['method']",  # B inherits from the class that changed
        "('A', 11, 1) ('A', 11, 1) ('B', 100, 1) ('A', 11, 1) ('A', 11, 1) ('B', 100, 1) ['inner', 'inner', 'outer', 'outer']",
        "True True False []",
        "1 1 1 1 True ['inner_static', 'outer_static']",
        "5 5 5 ['prop']",
    ]
    assert [line.rpartition(" [")[2] for line in second] == ["]"] * 8


def test_a_method_that_is_overridden_is_another_function(project: Project) -> None:
    """What a method calls on its object depends on the object's class."""
    body = """
    class Base:
        def factor(self):
            return 2
        @cached_function
        def f(self, x):
            say("f")
            return x * self.factor()
    class Sub(Base):
        def factor(self):
            return FACTOR
    seen(Base().f(1), Sub().f(1), Sub().f(1))
    """
    assert run(project, textwrap.dedent(body).replace("FACTOR", "3")) == ["2 3 3 ['f', 'f']"]
    assert run(project, textwrap.dedent(body).replace("FACTOR", "4")) == ["2 4 4 ['f']"]


def test_async_functions(project: Project) -> None:
    """They stay async for whoever asks, in turn and side by side, and their refresh can be awaited."""
    body = """
    import asyncio, inspect
    @cached_function
    async def f(x):
        "Doc."
        say(f"f{x}")
        await asyncio.sleep(0.01 * (5 - x))
        return [x]
    @cached_function
    async def outer(x):
        return await f(x) + await f(x + 1)
    async def many():
        return await asyncio.gather(*(f(i) for i in range(4)))
    print(inspect.iscoroutinefunction(f), asyncio.iscoroutinefunction(f), f.__doc__)
    seen(asyncio.run(f(1)), asyncio.run(f(1)), f.check(1), f.check(2))
    seen(asyncio.run(many()))
    seen(asyncio.run(many()), asyncio.run(outer(1)))
    seen(asyncio.run(f.refresh(1)), asyncio.run(f(1)))
    async def fails():
        try:
            await bad(1)
        except ValueError as error:
            return repr(error)
    @cached_function
    async def bad(x):
        say("bad")
        raise ValueError(x)
    seen(asyncio.run(fails()), asyncio.run(fails()), bad.check(1))
    """
    first, second = both(project, body)
    assert first == [
        "True True Doc.",
        "[1] [1] True False ['f1']",
        "[[0], [1], [2], [3]] ['f0', 'f2', 'f3']",
        "[[0], [1], [2], [3]] [1, 2] []",
        "[1] [1] ['f1']",
        "ValueError(1) ValueError(1) False ['bad', 'bad']",
    ]
    assert second[1] == "[1] [1] True True []"
    assert second[2:4] == ["[[0], [1], [2], [3]] []", "[[0], [1], [2], [3]] [1, 2] []"]


def test_what_has_no_result_to_keep_is_refused_where_it_is_decorated(project: Project) -> None:
    """With the place and the way out, before anything is called."""
    body = """
    from blockcache import BlockError, CacheError
    from functools import cached_property, partial
    def rows():
        yield 1
    async def arows():
        yield 1
    class A:
        pass
    for what in (rows, arows, partial(rows), classmethod(rows), property(len), cached_property(len), A):
        try:
            cached_function(what)
        except BlockError as error:
            print(error)
    for options in ({"name": ""}, {"name": 1}, {"ttl": "x"}, {"ignore": [1]}, {"validate": 1}, {"pin": 1}):
        try:
            cached_function(**options)(len)
        except CacheError as error:
            print(type(error).__name__)
    try:
        cached_function("features")
    except CacheError as error:
        print(error)
    """
    lines = run(project, body)
    assert sum("is a generator function" in line and "returns a list" in line for line in lines) == 4
    assert sum("is no function" in line and "@property, then" in line for line in lines) == 2
    assert "A is a class" in lines[6]
    assert lines[7:13] == ["CacheError"] * 6
    assert "name='features'" in lines[13]


def test_a_cached_function_is_still_the_function_for_whoever_looks(project: Project) -> None:
    body = """
    import inspect, pickle
    def plain(a: int, b: str = "x") -> str:
        "Doc."
        return b * a
    plain.mark = 1
    f = cached_function(plain)
    print(f.__name__, f.__qualname__, f.__module__, f.__doc__, f.mark, f.__wrapped__ is plain)
    print(inspect.signature(f), f.__annotations__ == plain.__annotations__, inspect.unwrap(f) is plain, callable(f))
    class A:
        @cached_function
        def m(self, x): "Doc of m."
    print(inspect.signature(A.m), inspect.signature(A().m), A.m.__doc__, inspect.getdoc(A().m), A.m.__qualname__)
    a = A()
    print(a.m == a.m, hash(a.m) == hash(a.m), a.m == A().m)
    """
    assert run(project, body) == [
        "plain plain __main__ Doc. 1 True",
        "(a: int, b: str = 'x') -> str True True True",
        "(self, x) (x) Doc of m. Doc of m. A.m",
        "True True False",
    ]


def test_recursion(project: Project) -> None:
    """A function that calls itself by its cached name keeps every step, and is not deeper for it than for functools."""
    body = """
    @cached_function
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)
    seen(fib(200))
    seen(fib.check(150), fib.check(201), len(fib.entries()))
    """
    first, second = both(project, body)
    assert first == second == ["280571172992510140037611932413038677189525 []", "True False 201 []"]


def test_other_callables(project: Project) -> None:
    """Functions of libraries, builtins, partial functions, lambdas, and what another decorator made."""
    body = """
    import functools, math, statistics
    def timed(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)
        return wrapper
    @cached_function
    @timed
    def f(x):
        say("f")
        return x + 1
    mean = cached_function(statistics.mean)
    power = cached_function(functools.partial(pow, 2), name="power")
    root = cached_function(math.sqrt)
    plus = cached_function(lambda x: x + 1, name="plus")
    for function in (f, mean, power, root, plus):
        argument = [1, 3] if function is mean else 4
        print(function.check(argument), function(argument), function.check(argument), function(argument))
    seen()
    """
    first, second = both(project, body)
    values = ["5", "2", "16", "2.0", "5"]
    assert first == [f"False {v} True {v}" for v in values] + ["['f']"]
    assert second == [f"True {v} True {v}" for v in values] + ["[]"]


# -- never stale -------------------------------------------------------------------------------

EDITS = {
    "a helper": ("return x + 1", "return x + 2"),
    "a helper of a helper": ("DEEP = 1", "DEEP = 2"),
    "a global": ("FACTOR = 1", "FACTOR = 2"),
    "a default": ("offset=0", "offset=1"),
    "a default of a helper": ("by=1", "by=2"),
    "a closure cell": ("make(3)", "make(4)"),
    "the body": ("say('f')", "say('f'); x = x + 0"),
    "a cached function that it calls": ("return x * 7", "return x * 8"),
    "what that one calls": ("INNER = 1", "INNER = 2"),
    "the version of a cached function that it calls": ("version=1", "version=2"),
}
EDITED = """
import helpers
FACTOR = 1
INNER = 1
def helper(x, by=1):
    return x + 1
def make(n):
    def add(x):
        return x + n
    return add
adder = make(3)
def below(x):
    return x * INNER
@cached_function(version=1)
def inner(x):
    below(x)
    return x * 7
@cached_function
def f(x, offset=0):
    say('f')
    return helper(x) * FACTOR + offset + adder(x) + inner(x) + helpers.deep(x)
print(f(1))
print(f(1))
seen()
"""


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_of_anything_that_a_function_reaches_misses(project: Project, what: str) -> None:
    """It runs once more, and then hits again; a comment does not count."""
    deep = "DEEP = 1\ndef deep(x):\n    return below(x)\ndef below(x):\n    return x * DEEP\n"

    def result(body: str, helpers: str) -> str:
        project.write(helpers=helpers)
        return run(project, body)[-1]

    assert result(EDITED, deep) == "['f']"
    assert result(EDITED, deep) == "[]"
    assert result(EDITED.replace("FACTOR = 1", "# a comment\nFACTOR = 1"), deep + "# another\n") == "[]"
    was, now = EDITS[what]
    assert (EDITED + deep).count(was) == 1
    edited = EDITED.replace(was, now), deep.replace(was, now)
    assert result(*edited) == "['f']"
    assert result(*edited) == "[]"
    assert result(EDITED, deep) == "[]"


def test_what_changes_within_a_process_counts_in_memory_too(project: Project) -> None:
    """A global that is set, a function that is replaced, a file that is written: memory is asked with the same key."""
    body = """
    import helpers
    SCALE = 1
    def inner(x):
        return x
    @cached_function
    def f(x):
        say("f")
        return inner(x) * SCALE * helpers.UNIT + len(open("data.txt").read())
    open("data.txt", "w").write("ab")
    seen(f(1), f(1))
    SCALE = 5
    seen(f(1), f(1))
    def inner(x):
        return x + 1
    seen(f(1), f(1))
    helpers.UNIT = 100
    seen(f(1), f(1))
    open("data.txt", "w").write("abc")
    seen(f(1), f(1))
    SCALE = 1
    open("data.txt", "w").write("ab")
    helpers.UNIT = 1
    def inner(x):
        return x
    seen(f(1), f(1))
    """
    project.write(helpers="UNIT = 1\n")
    assert run(project, body) == [
        "3 3 ['f']",
        "7 7 ['f']",
        "12 12 ['f']",
        "1002 1002 ['f']",
        "1003 1003 ['f']",
        "3 3 []",
    ]


def test_what_a_cached_function_reads_counts_for_the_block_around_it(project: Project) -> None:
    """Also where the function itself hit, from memory or from the store, and its body did not show what it reads."""
    body = """
    from blockcache import cached_block
    def rows():
        say("rows")
        return 7
    @cached_function(inputs=["declared.txt"])
    def f(x):
        say("f")
        return x + open("data.txt").read()
    f("warm ")
    f("warm ")
    with cached_block("outer"):
        say("block")
        y = f("warm ")
    seen(y)
    """
    (project.folder / "data.txt").write_text("1")
    (project.folder / "declared.txt").write_text("1")
    assert run(project, body) == ["warm 1 ['f', 'block']"]
    assert run(project, body) == ["warm 1 []"]
    (project.folder / "data.txt").write_text("2")
    assert run(project, body) == ["warm 2 ['f', 'block']"]
    (project.folder / "declared.txt").write_text("2")
    assert run(project, body) == ["warm 2 ['f', 'block']"]
    assert run(project, body) == ["warm 2 []"]


def test_values_that_an_inner_function_declares_count_for_the_outer_one(project: Project) -> None:
    """A row count that the inner function declares is an input of whoever calls it."""
    body = """
    from blockcache import value
    def rows():
        return int(open("/dev/null").read() or os.environ["ROWS"])
    @cached_function(inputs=[rows])
    def inner(x):
        say("inner")
        return x
    @cached_function
    def outer(x):
        say("outer")
        return inner(x)
    seen(outer(1), outer(1))
    """
    assert run(project, body, env={"ROWS": "1"}) == ["1 1 ['outer', 'inner']"]
    assert run(project, body, env={"ROWS": "1"}) == ["1 1 []"]
    assert run(project, body, env={"ROWS": "2"}) == ["1 1 ['outer', 'inner']"]


def test_a_function_that_changes_its_arguments_or_globals_is_never_half_true(project: Project) -> None:
    """Either every call does the same to them, or none hits."""
    body = """
    LOG = []
    class Model:
        def __init__(self):
            self.w = 0
        @cached_function
        def fit(self, x):
            self.w += x
            return self.w
    @cached_function
    def add(items, x):
        items.append(x)
        LOG.append(x)
        return len(items)
    for _ in range(2):
        items = [1]
        print(add(items, 5), items, LOG)
        m = Model()
        print(m.fit(3), m.w)
    """
    first, second = both(project, body)
    assert first == second == ["2 [1, 5] [5]", "3 3", "2 [1, 5] [5, 5]", "3 3"]


def test_what_changes_while_other_calls_run_is_not_kept(project: Project) -> None:
    """Whose change it is cannot be told; alone, the same function is kept, and the others are kept in any case."""
    body = """
    import asyncio, threading
    LOG = []
    @cached_function
    async def f(x):
        say("f")
        LOG.append(x)
        await asyncio.sleep(0.05)
        return x
    @cached_function
    async def other(x):
        say("other")
        await asyncio.sleep(0.02)
        return x
    async def many():
        return await asyncio.gather(f(1), other(1))
    @cached_function
    def g(x):
        say("g")
        LOG.append(x)
        barrier.wait()
        return x
    barrier = threading.Barrier(2)
    seen(asyncio.run(many()))
    LOG.clear()
    seen(f.check(1), other.check(1), asyncio.run(f(1)), LOG)
    LOG.clear()
    seen(f.check(1), asyncio.run(f(1)), LOG)
    """
    assert run(project, body) == ["[1, 1] ['f', 'other']", "False True 1 [1] ['f']", "True 1 [1] []"]
    project.write(main=HEAD + textwrap.dedent(body))
    assert "LOG changed while other bodies ran" in project.run(env={"BLOCKCACHE_MODE": "refresh"}).stderr


def test_a_connection_of_the_module_counts_by_the_statements_that_made_it(project: Project) -> None:
    """As in a block; where the call comes from a library, what made it cannot be known, and the function runs."""
    body = """
    import sqlite3
    from concurrent.futures import ThreadPoolExecutor
    connection = sqlite3.connect("data.db", check_same_thread=False)
    @cached_function
    def rows(query):
        say("rows")
        return connection.execute(query).fetchall()
    def inner():
        return rows("select a from t")
    seen(rows("select a from t"), inner(), list(map(rows, ["select a from t"])))
    with ThreadPoolExecutor(1) as pool:
        seen(list(pool.map(rows, ["select a from t"])))
    """
    import sqlite3

    def fill(value: int) -> None:
        (project.folder / "data.db").unlink(missing_ok=True)
        with sqlite3.connect(project.folder / "data.db") as connection:
            connection.execute("create table t (a int)")
            connection.execute("insert into t values (?)", (value,))
        connection.close()

    fill(1)
    assert run(project, body) == ["[(1,)] [(1,)] [[(1,)]] ['rows']", "[[(1,)]] ['rows']"]
    assert run(project, body) == ["[(1,)] [(1,)] [[(1,)]] []", "[[(1,)]] ['rows']"]
    assert run(project, body.replace("check_same_thread=False", "check_same_thread=0"))[0].endswith("['rows']")
    fill(2)
    assert run(project, body)[0] == "[(2,)] [(2,)] [[(2,)]] ['rows']"


# -- results -----------------------------------------------------------------------------------


def test_each_call_gives_a_result_of_its_own(project: Project) -> None:
    """Changing one does not change the next; arrays that lie in the bytes of an entry as well."""
    pytest.importorskip("numpy")
    body = """
    import numpy as np
    @cached_function
    def f(n):
        say("f")
        return {"list": [1], "array": np.arange(n)}
    for n in (3, 200_000):
        for _ in range(4):
            r = f(n)
            print(r["list"], int(r["array"][0]), r["array"].flags.writeable)
            r["list"].append(2)
            r["array"][0] = 99
    seen()
    """
    first, second = both(project, body)
    assert first == ["[1] 0 True"] * 8 + ["['f', 'f']"]
    assert second == ["[1] 0 True"] * 8 + ["[]"]


def test_calls_may_share_one_object(project: Project) -> None:
    """With copy=False, as functools.cache does; another function of the same code is not concerned."""
    body = """
    def make(n):
        say("make")
        return [n]
    shared, own = cached_function(make, copy=False), cached_function(make)
    a = shared(1)
    seen(shared(1) is a, own(1) is a, own(1) is own(1), shared(1) is a)
    b = shared.refresh(1)
    seen(shared(1) is b, b is a)
    own(2)
    seen(shared(2) is shared(2), own(2) is shared(2))
    """
    first, second = both(project, body)
    assert first == ["True False False True ['make']", "True False ['make']", "True False ['make']"]
    assert second == ["True False False True []", "True False ['make']", "True False []"]


def test_an_argument_that_is_given_back_is_never_an_earlier_call_s(project: Project) -> None:
    """Where a result holds an argument, calls share nothing, whatever they were told: each has its own argument."""
    body = """
    @cached_function(copy=False)
    def f(items):
        say("f")
        return items, len(items)
    @cached_function(copy=False)
    def g(items):
        say("g")
        items.append(2)
        return len(items)
    for _ in range(3):
        a, b = [1], [1]
        seen(f(a)[0] is a, f(b)[0] is b, g(a), a, g(b), b)
    """
    first, second = both(project, body)
    line = "True True 2 [1, 2] 2 [1, 2] "
    assert first == [line + "['f', 'g']", line + "[]", line + "[]"]
    assert second == [line + "[]"] * 3


def test_what_raises_is_not_kept(project: Project) -> None:
    body = """
    @cached_function
    def f(x):
        say("f")
        if x:
            raise KeyError(x)
    for _ in range(2):
        try:
            f(1)
        except KeyError as error:
            seen(repr(error), f.check(1))
    seen(f(0), f(0), f.check(0))
    """
    assert run(project, body) == ["KeyError(1) False ['f']", "KeyError(1) False ['f']", "None None True ['f']"]


def test_a_result_that_cannot_be_saved_is_said_and_nothing_is_kept(project: Project) -> None:
    """There is no entry without the result: the caller is sure to read it."""
    project.write(
        main=HEAD
        + """
import threading
@cached_function
def f(x):
    say("f")
    return [x, threading.Lock()]
seen(f(1)[0], f(1)[0], f.check(1), f.entries())
"""
    )
    for _ in range(2):
        ran = project.run()
        assert ran.stdout == "1 1 False () ['f', 'f']\n"
        assert "cannot save return (list)" in ran.stderr and ran.stderr.count("CacheWarning") == 1


# -- check, refresh, entries -------------------------------------------------------------------


def _store(project: Project) -> dict[str, tuple[str, int]]:
    """Every file of the store: its content and its time."""
    files = [f for f in (project.folder / ".blockcache").rglob("*") if f.is_file()]
    return {str(f): (hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns) for f in files}


def test_check_changes_nothing(project: Project) -> None:
    """Neither the store, nor what is printed, nor an entry that is damaged; and it is right."""
    body = """
    @cached_function
    def f(x):
        say("f")
        return [x] * 100
    if os.environ.get("CALL"):
        f(1)
    else:
        seen(f.check(1), f.check(2), f.check(x=1), f.check(print))
    """
    run(project, body, env={"CALL": "1"})
    os.remove(project.folder / "ran.txt")
    before = _store(project)
    project.write(main=HEAD + textwrap.dedent(body))
    ran = project.run()
    assert ran.stdout == "True False True False []\n"
    assert (ran.stderr, ran.events) == ("", [])
    assert _store(project) == before
    for blob in (project.folder / ".blockcache" / "blobs").rglob("*"):
        if blob.is_file():
            blob.chmod(0o644)
            data = bytearray(blob.read_bytes())
            data[len(data) // 2] ^= 1
            blob.write_bytes(data)
    damaged = _store(project)
    assert project.run().stdout == "False False False False []\n"
    assert _store(project) == damaged


def test_refresh_runs_and_overwrites(project: Project) -> None:
    """Later calls, in this process and in others, give the new result; other arguments keep theirs."""
    body = """
    @cached_function
    def f(x):
        say("f")
        return os.stat("ran.txt").st_size
    seen(f(1), f(2), f.refresh(1), f(1), f(2))
    """
    first, second = both(project, body)
    assert first == ["2 4 6 6 4 ['f', 'f', 'f']"]
    assert second[0].startswith("6 4 2 2 4")


def test_entries_are_those_of_the_function(project: Project) -> None:
    body = """
    from blockcache import cached_block
    with cached_block("f"):
        y = 1
    @cached_function
    def f(x, y="a"):
        return x
    f(1); f(2); f(2, y="b")
    for entry in f.entries():
        print(entry.name, [i.note for i in entry.key.inputs if "(local)" in i.name], entry.provenance.duration_s >= 0)
    print(cached_function(len).entries())
    """
    assert run(project, body) == [
        "f ['2', \"'b'\"] True",
        "f ['2', \"'a'\"] True",
        "f ['1', \"'a'\"] True",
        "()",
    ]


def test_an_entry_that_was_removed_from_the_store_is_not_served_from_memory(project: Project) -> None:
    body = """
    import shutil
    @cached_function
    def f(x):
        say("f")
        return x
    f(1), f(1)
    shutil.rmtree(".blockcache")
    seen(f.check(1), f(1), f(1))
    """
    assert run(project, body) == ["False 1 1 ['f', 'f']"]


# -- options and settings ----------------------------------------------------------------------


def test_modes(project: Project) -> None:
    """Off calls, readonly does not save, frozen raises, verify runs, and refresh() respects what may not be written."""
    body = """
    from blockcache import FrozenMissError
    @cached_function
    def f(x):
        say("f")
        return x
    try:
        print(f(1), f.check(1), f.refresh(1))
    except FrozenMissError as error:
        print("frozen")
    seen()
    """
    assert run(project, body, env={"BLOCKCACHE_MODE": "off"}) == ["1 False 1", "['f', 'f']"]
    assert run(project, body, env={"BLOCKCACHE_MODE": "readonly"}) == ["1 False 1", "['f', 'f']"]
    assert run(project, body, env={"BLOCKCACHE_MODE": "frozen"}) == ["frozen", "[]"]
    assert run(project, body) == ["1 True 1", "['f', 'f']"]
    assert run(project, body, env={"BLOCKCACHE_MODE": "verify"}) == ["1 True 1", "['f', 'f']"]
    assert run(project, body, env={"BLOCKCACHE_MODE": "refresh"}) == ["1 False 1", "['f', 'f']"]
    assert run(project, body, env={"BLOCKCACHE_MODE": "frozen"}) == ["1 True 1", "['f']"]


def test_options_of_a_block_hold(project: Project) -> None:
    """version, ttl, validate, store, name."""
    body = """
    import time
    @cached_function(version=os.environ.get("V", 1), name="steps", store="elsewhere", ttl="1h")
    def f(x):
        say("f")
        return x
    @cached_function(ttl=0.001)
    def old(x):
        say("old")
        return x
    @cached_function(validate=lambda result: result["ok"])
    def checked(x):
        say("checked")
        return {"ok": x}
    seen(f(1), f(1), f.name, len(f.entries()), os.path.isdir("elsewhere"))
    old(1); time.sleep(0.01)
    seen(old(1), checked(True), checked(True), checked(False), checked(False))
    """
    assert run(project, body) == [
        "1 1 steps 1 True ['f']",
        "1 {'ok': True} {'ok': True} {'ok': False} {'ok': False} ['old', 'old', 'checked', 'checked', 'checked']",
    ]
    assert run(project, body, env={"V": "2"})[0] == "1 1 steps 2 True ['f']"


def test_memory_is_bounded_and_can_be_turned_off(project: Project) -> None:
    """What is forgotten is read from the store again; nothing runs twice."""
    body = """
    from blockcache.call import _memory
    @cached_function
    def f(x):
        say("f")
        return bytes(10_000)
    for x in range(20):
        f(x)
    for x in range(20):
        f(x)
    print(_memory._size_bytes <= 100_000, len(_memory._entries) // 5)
    seen()
    """
    assert run(project, body, env={"BLOCKCACHE_MEMORY": "100 kB"})[0] == "True 1"
    assert run(project, body, env={"BLOCKCACHE_MEMORY": "0"}) == ["True 0", "[]"]
    project.write(main=HEAD + textwrap.dedent(body))
    ran = project.run(env={"BLOCKCACHE_MEMORY": "plenty"}, check=False)
    assert "SettingError" in ran.stderr and "'256 MB'" in ran.stderr


def test_a_loop_of_calls_says_little(project: Project) -> None:
    """The first three lines, then one at each power of ten; events are told one by one to a log."""
    body = """
    @cached_function
    def f(x):
        return x
    for x in range(150):
        f(x)
    """
    project.write(main=HEAD + textwrap.dedent(body))
    for outcome, counted in (("miss", "runs"), ("hit", "hits")):
        ran = project.run()
        lines = ran.stderr.splitlines()
        assert [line.split()[1] for line in lines] == [outcome] * 3 + ["10", "100"]
        assert f"100 {counted}" in lines[4]
        assert ran.outcomes == [outcome] * 150


# -- processes and threads ---------------------------------------------------------------------


def test_threads(project: Project) -> None:
    """Many threads call many arguments; every result is right, and later ones hit."""
    body = """
    from concurrent.futures import ThreadPoolExecutor
    @cached_function
    def f(x):
        return [x, x * x]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(f, [i % 10 for i in range(200)]))
    print(results == [[i % 10, (i % 10) ** 2] for i in range(200)], len(f.entries()), all(f.check(i) for i in range(10)))
    """
    assert run(project, body) == ["True 10 True"]


WORKERS = {
    "spawn": "import multiprocessing as mp\n    with mp.get_context('spawn').Pool(2) as pool:\n        r = pool.map(f, range(4))",
    "fork": "import multiprocessing as mp\n    with mp.get_context('fork').Pool(2) as pool:\n        r = pool.map(f, range(4))",
    "loky": "import joblib\n    r = joblib.Parallel(2)(joblib.delayed(f)(i) for i in range(4))",
    "dask": "import distributed\n    with distributed.LocalCluster(n_workers=1, processes=True, dashboard_address=None) as c, distributed.Client(c) as k:\n        r = k.gather(k.map(f, range(4)))",
}


@pytest.mark.parametrize("kind", WORKERS)
def test_worker_processes_share_the_entries(project: Project, kind: str) -> None:
    """A function of the main module goes to workers, which save what the parent and later runs hit."""
    if kind in ("loky", "dask"):
        pytest.importorskip({"loky": "joblib", "dask": "distributed"}[kind])
    body = f"""
BASE = 10
def helper(x):
    return x + BASE
@cached_function
def f(x):
    say("f")
    return helper(x)
if __name__ == "__main__":
    {WORKERS[kind]}
    seen(r)
    seen([f(i) for i in range(4)])
"""
    project.write(main=HEAD + body)
    first = project.run(started=True).stdout.splitlines()
    assert first == ["[10, 11, 12, 13] ['f', 'f', 'f', 'f']", "[10, 11, 12, 13] []"]
    assert project.run(started=True).stdout.splitlines()[0] == "[10, 11, 12, 13] []"


def test_pickling(project: Project) -> None:
    """By name where it has one, by value with cloudpickle where a worker would not find the name."""
    body = """
    import pickle, cloudpickle, helpers
    @cached_function
    def f(x):
        return x + 1
    class A:
        def __init__(self): self.k = 2
        @cached_function
        def m(self, x): return self.k * x
    print(pickle.loads(pickle.dumps(f)) is f, pickle.loads(pickle.dumps(helpers.g)) is helpers.g)
    print(cloudpickle.loads(cloudpickle.dumps(helpers.g)) is helpers.g, pickle.loads(pickle.dumps(A().m))(4))
    def make(n):
        @cached_function(ignore=["verbose"])
        def inner(x, verbose=False): return x + n
        return inner
    copied = cloudpickle.loads(cloudpickle.dumps(make(5)))
    print(copied(1), copied.check(1, verbose=True), make(5).check(1), make(6).check(1))
    try:
        pickle.dumps(make(5))
    except Exception as error:
        print(type(error).__name__)
    """
    project.write(helpers="from blockcache import cached_function\n@cached_function\ndef g(x):\n    return x\n")
    lines = run(project, body)
    assert lines[:3] == ["True True", "True 8", "6 True True False"]
    assert lines[3] in ("AttributeError", "PicklingError")


def test_a_miss_costs_the_same_for_two_entries_and_for_two_thousand(project: Project) -> None:
    """What it is compared with is not all that the function has: a loop of calls would cost its square."""
    body = """
    import blockcache.model as model
    read = []
    from_json = model.Manifest.from_json.__func__
    model.Manifest.from_json = classmethod(lambda cls, *a: read.append(1) or from_json(cls, *a))
    @cached_function
    def f(x):
        return x
    start = int(os.environ["START"])
    for x in range(start, start + 60):
        f(x)
    print(len(read))
    """
    assert run(project, body, env={"START": "0"}) == ["0"]
    assert run(project, body, env={"START": "100"}) == ["8"]
    assert run(project, body, env={"START": "200"}) == ["8"]
