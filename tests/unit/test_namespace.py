"""Names of a frame are read and written as the frame's own code would, and reading leaves no trace."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

from blockcache.frames import Namespace

MISSING = object()


def here() -> Namespace:
    return Namespace(sys._getframe(1))


class Thing:
    pass


def in_fresh_namespace(source: str, locals_: object = None) -> dict:
    """Run a program that knows `here`, as a module or with a namespace of its own for locals."""
    namespace = {"here": here, "MISSING": MISSING, "__name__": "program"}
    code = compile(source, "program", "exec")
    exec(code, namespace) if locals_ is None else exec(code, namespace, locals_)
    return namespace


# -- reading ---------------------------------------------------------------------------------


def test_module_names_and_no_builtins() -> None:
    """A module's names are its globals; builtins are not part of them."""
    namespace = in_fresh_namespace("x = 1\nfound = here().get_many(['x', 'nothing', 'len'])\ninside = here().is_module")
    assert namespace["found"] == {"x": 1}
    assert namespace["inside"] is True


def test_function_names() -> None:
    """Parameters, locals, cells, free variables and globals; what is not bound yet is left out."""
    outer = 1

    def f(parameter, *rest, key=3):
        local, cell = 4, 5  # noqa: F841
        names = here()
        _ = lambda: (cell, unbound_cell)  # noqa: E731
        found = names.get_many(
            ["parameter", "rest", "key", "local", "cell", "outer", "Thing", "later", "unbound_cell", "len", "none"]
        )
        later = unbound_cell = outer  # noqa: F841
        return found, names.get("later"), names.get("unbound_cell")

    found, later, cell = f(2, 9)
    assert found == {"parameter": 2, "rest": (9,), "key": 3, "local": 4, "cell": 5, "outer": 1, "Thing": Thing}
    assert (later, cell) == (1, 1)


def test_an_unbound_local_is_not_the_global_of_that_name() -> None:
    """The frame would raise UnboundLocalError, so that there is nothing to read."""
    namespace = in_fresh_namespace("""
x = y = "global"
def f():
    found = here().get_many(["x", "y"])
    x = 1
    return found
found = f()
""")
    assert namespace["found"] == {"y": "global"}


def test_a_comprehension_does_not_hide_a_global() -> None:
    """From 3.12 a comprehension's variable takes a slot of the function, also when the name is a global there."""
    namespace = in_fresh_namespace("""
x = z = "global"
def read():
    _ = [x for x in range(3)]
    return here().get("x"), x
def nested():
    _ = [z for z in range(3)]
    names = here()
    return names.get("z"), names.is_local("z"), (lambda: z)()
def write():
    global x
    _ = [x for x in range(3)]
    here().assign({"x": "written"})
    return x
read, nested, write = read(), nested(), write()
""")
    assert namespace["read"] == ("global", "global")
    assert namespace["nested"] == ("global", False, "global")
    assert namespace["write"] == "written" == namespace["x"]


def test_class_body_names() -> None:
    """The body's own names first, then variables of the functions around it, then globals."""

    def f():
        around, hidden = "function", "function"

        class A:
            hidden = "A"
            own = "A"

            class B:
                own = "B"
                found = here().get_many(["own", "around", "hidden", "Thing", "nothing"])
                local = here().is_local("own"), here().is_local("around"), here().is_local("Thing")
                _ = (around, hidden, Thing)

        return A.B

    assert f().found == {"own": "B", "around": "function", "hidden": "function", "Thing": Thing}
    assert f().local == (True, True, False)


def test_class_body_with_a_mapping_of_its_own() -> None:
    """`__prepare__` may return any mapping; it is asked, and written, as the body does."""

    class Mapping(dict):
        def __missing__(self, name):
            if name == "dreamt":
                return "made up"
            raise KeyError(name)

    class Meta(type):
        @classmethod
        def __prepare__(cls, name, bases):
            return Mapping()

    class C(metaclass=Meta):
        found = here().get_many(["dreamt", "nothing"])
        gone = 1
        here().assign({"given": 7}, deleted=["gone", "never"])

    assert C.found == {"dreamt": "made up"}
    assert C.given == 7 and not hasattr(C, "gone")


def test_exec_with_separate_dictionaries() -> None:
    """Locals first; a `global` declaration sends a write, and a deletion, to the globals."""
    locals_ = {"x": "local"}
    namespace = in_fresh_namespace(
        "global g, h\ng = h = 0\nfound = here().get_many(['x', '__name__'])\n"
        "here().assign({'x': 2, 'g': 3, 'new': 4}, deleted=['h'])\n",
        locals_,
    )
    assert locals_ == {"x": 2, "found": {"x": "local", "__name__": "program"}, "new": 4}
    assert namespace["g"] == 3 and "h" not in namespace


def test_generators_and_coroutines() -> None:
    """Their frames stay the same while they are suspended."""

    def generator():
        names = here()
        x = 1
        yield names.get("x")
        names.assign({"x": 2})
        yield x

    async def coroutine():
        names = here()
        x = 1
        await asyncio.sleep(0)
        names.assign({"x": names.get("x") + 1})
        await asyncio.sleep(0)
        return x

    assert list(generator()) == [1, 2]
    assert asyncio.run(coroutine()) == 2


# -- reading leaves no trace -----------------------------------------------------------------


@pytest.mark.parametrize("held", [False, True], ids=["", "program_holds_locals"])
@pytest.mark.parametrize("how", ["get", "get_many", "is_local", "assign"])
def test_reading_keeps_nothing_alive_past_del(how: str, held: bool) -> None:
    """`del` frees an object at once, also when `locals()` was called before the object was made."""

    def f():
        kept = locals() if held else None
        thing, other = Thing(), 1
        alive = weakref.ref(thing)
        names = here()
        if how == "get":
            assert names.get("other") == 1 and names.get("thing") is thing
        elif how == "get_many":
            assert set(names.get_many(["thing", "other"])) == {"thing", "other"}
        elif how == "is_local":
            assert names.is_local("thing")
        else:
            names.assign({"other": 2})
            assert other == 2
        del thing
        return alive(), kept

    gc.disable()
    try:
        alive, kept = f()
    finally:
        gc.enable()
    assert alive is None
    assert "thing" not in (kept or {})


def test_the_programs_own_locals_dictionary_does_not_change() -> None:
    """A program that took `locals()` for a record of its arguments keeps that record."""

    def f(a, b):
        record = locals()
        record["note"] = "mine"
        a = 10
        names = here()
        assert names.get_many(["a", "b", "record"]) == {"a": 10, "b": 2, "record": record}
        names.assign({"b": 20, "a": 11})
        return a, b, record

    a, b, record = f(1, 2)
    assert (a, b) == (11, 20)
    assert {k: v for k, v in record.items() if k != "record"} == {"a": 1, "b": 2, "note": "mine"}


def test_the_first_read_of_a_process_keeps_nothing_alive() -> None:
    """Whatever is set up on first use must not hold the frames of its callers."""
    program = """
import gc, sys, weakref
gc.disable()
from blockcache.frames import Namespace
class Thing: pass
def f():
    thing = Thing()
    names = Namespace(sys._getframe())
    assert names.get("thing") is thing
    names.assign({"x": 1})
    del names  # it holds the frame
    return weakref.ref(thing)
sys.exit(f()() is not None)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# -- writing ---------------------------------------------------------------------------------


def test_function_writes() -> None:
    """Locals, unbound locals, parameters that are cells, `nonlocal` and `global` names."""
    outer = 0

    def f(cell):
        nonlocal outer
        global written_global
        names = here()
        get = lambda: (cell, later_cell)  # noqa: E731
        names.assign({"cell": 1, "local": 2, "outer": 3, "written_global": 4, "later_cell": 5})
        seen = (cell, local, outer, written_global, get())  # noqa: F821
        if False:
            local = later_cell = 0  # noqa: F841
            written_global = 0
        return seen

    assert f(0) == (1, 2, 3, 4, (1, 5))
    assert outer == 3
    assert globals().pop("written_global") == 4


def test_many_variables() -> None:
    """Slots beyond 255 need instructions with longer arguments."""
    names = [f"v{i}" for i in range(600)]
    source = "def f():\n" + "".join(f"    {n} = 0\n" for n in names)
    source += "    here().assign({'v599': 1, 'g300': 2, 'v3': 4})\n"
    source += f"    return v599, v3, g300\n    {' = '.join(f'g{i}' for i in range(400))} = 0\n"
    source = source.replace("def f():\n", "def f():\n    global " + ", ".join(f"g{i}" for i in range(400)) + "\n")
    namespace = in_fresh_namespace(source + "result = f()\n")
    assert namespace["result"] == (1, 4, 2)
    assert namespace["g300"] == 2


def test_other_variables_are_left_alone() -> None:
    """Writing one name does not write back stale values of others, which a thread may have changed."""
    shared, stop, undone = 0, False, []

    def count():
        nonlocal shared
        n = 0
        while not stop:
            n += 1
            shared = n
            for _ in range(10):
                len("")  # calls are where threads take turns
            if shared != n:
                undone.append(n)

    def f():
        names, y = here(), 0
        for i in range(5000):
            names.assign({"y": i})
            assert y == i
        return shared

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=count)
    thread.start()
    try:
        f()
    finally:
        stop = True
        thread.join()
        sys.setswitchinterval(interval)
    assert undone == []


def test_a_variable_of_a_function_cannot_be_deleted() -> None:
    """The compiler leaves out checks for variables that it knows to be bound."""

    def f():
        x = 1
        here().assign({}, deleted=["x"])
        return x

    with pytest.raises(ValueError, match="'x'"):
        f()


def test_deleted_globals_of_a_function_and_a_module() -> None:
    """A name that is gone already is no trouble."""
    namespace = in_fresh_namespace("""
a = b = 1
def f():
    global a
    a = 2
    here().assign({}, deleted=["a"])
f()
here().assign({"c": 3}, deleted=["b", "never"])
""")
    assert "a" not in namespace and "b" not in namespace and namespace["c"] == 3


# -- private names ---------------------------------------------------------------------------


def test_private_names_are_spelled_as_in_the_code_object() -> None:
    """In a class `__p` of the source is `_C__p`: both spellings are read and written."""
    namespace = in_fresh_namespace("""
_C__g = "global"
__plain = "module"
at_module = here().get("__plain")
def free():
    __own = 1
    return here().get("__own"), here().spelling("__own")
class __C:
    __p = 1
    body = here().get("__p"), here().get("_C__p"), here().get("__g")
    def method(self):
        __p, __unset = 2, None
        names = here()
        names.assign({"__unset": 5})
        def inner():
            return here().get("__p"), __p
        return names.get("__p"), __unset, inner(), names.get("__g"), names.get("__name__"), names.get("a__b", "none")
    def twice(self):
        class Local:
            def deep(self): return here().spelling("__x")
        return Local().deep(), (lambda: here().spelling("__x"))()
class ___:
    def method(self): return here().spelling("__x")
c = globals()["__C"]()
result = c.method(); twice = c.twice(); only = ___().method(); body = c.body; free = free()
""")
    assert namespace["at_module"] == "module"
    assert namespace["free"] == (1, "__own")
    assert namespace["body"] == (1, 1, "global")
    assert namespace["result"] == (2, 5, (2, 2), "global", "program", "none")
    assert namespace["twice"] == ("_Local__x", "_C__x")
    assert namespace["only"] == "__x"
