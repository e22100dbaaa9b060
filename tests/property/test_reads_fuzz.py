"""Random programs against a dynamic oracle: no read of an earlier binding, and no binding, goes unseen.

Run as a program for more: ``python tests/property/test_reads_fuzz.py 100000 [seed]``.
"""

from __future__ import annotations

import ast
import builtins
import random
import sys
import textwrap
import types

from blockcache.analysis.facts import Facts, Frame
from blockcache.analysis.names import bindings
from blockcache.analysis.reads import reads_and_writes

UP = list("abcdef")
NEW = list("uvwxyz")
NAMES = frozenset(UP + NEW)
GENERIC = sys.version_info >= (3, 12)


class Value:
    """Survives almost any operation, and decides at random where it is asked to."""

    def __init__(self, k=1):
        self.k = k

    def __call__(self, *args, **kwargs):
        return Value()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Value()

    def __getitem__(self, key):
        return Value()

    def __setitem__(self, key, value):
        pass

    def __delitem__(self, key):
        pass

    def __iter__(self):
        return iter([Value() for _ in range(random.randrange(3))])

    def __bool__(self):
        return random.random() < 0.5

    def __add__(self, other):
        return Value()

    __radd__ = __iadd__ = __or__ = __ror__ = __add__

    def __lt__(self, other):
        return random.random() < 0.5

    def __format__(self, spec):
        return "v"

    def __enter__(self):
        return Value()

    def __exit__(self, *exc):
        return False

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return random.random() < 0.5


class Swallow(Value):
    def __exit__(self, *exc):
        return True


class Namespace(dict):
    """Globals that note which of the earlier bindings are read."""

    def __init__(self, upstream):
        super().__init__(upstream)
        self.upstream = upstream
        self.reads: set[str] = set()

    def __getitem__(self, key):
        value = super().__getitem__(key)
        if key in self.upstream and self.upstream[key] is value:
            self.reads.add(key)
        return value


class Generator:
    """Writes programs that use most of the statements and expressions of the language."""

    def __init__(self, rng: random.Random):
        self.r = rng

    def name(self) -> str:
        return self.r.choice(UP + NEW)

    def expression(self, depth=2) -> str:
        e, n = (lambda: self.expression(depth - 1)), self.name
        forms = [n, n]
        if depth:
            forms += [
                lambda: f"({e()} + {e()})",
                lambda: f"{n()}({e()})",
                lambda: f"{n()}({e()}, *{e()}, k={e()})",
                lambda: f"[{e()} for {n()} in {e()} if {e()}]",
                lambda: f"[{e()} for {n()} in {e()} for {n()} in {e()}]",
                lambda: f"({n()} := {e()})",
                lambda: f"(lambda {n()}, {n()}_={e()}: {e()})",
                lambda: f"(lambda: {e()})()",
                lambda: f"({e()} if {e()} else {e()})",
                lambda: f"({e()} and {e()})",
                lambda: f"({e()} or {e()})",
                lambda: f"({n()} < {e()} < {e()})",
                lambda: f"{n()}.attr.b",
                lambda: f"f'{{{n()}:>{{{n()}}}}}'",
                lambda: f"{{{n()}: {e()} for {n()} in {n()}}}",
                lambda: f"{{{e()}: {e()}, {e()}: {e()}}}",
                lambda: f"list({e()} for {n()} in {n()})",
                lambda: f"{n()}[{e()}]",
                lambda: f"[{e()}, *{n()}]",
                lambda: "run()",
            ]
        return self.r.choice(forms)()

    def suite(self, depth) -> str:
        return textwrap.indent("\n".join(self.statement(depth - 1) for _ in range(self.r.randint(1, 3))), "  ")

    def statement(self, depth=2) -> str:
        r, n = self.r, self.name
        e, b = (lambda d=2: self.expression(d)), (lambda: self.suite(depth))
        forms = [
            lambda: f"{n()} = {e()}",
            lambda: f"{n()} = {e()}",
            lambda: f"{n()} = {n()}",
            lambda: f"{n()} = 1",
            lambda: f"{n()} += {e()}",
            lambda: f"{n()}[{e(1)}] = {e(1)}",
            lambda: f"{n()}.attr += {e(1)}",
            lambda: e(),
            lambda: "run()",
            lambda: f"{n()}, *{n()} = {e()}",
            lambda: f"{n()}, {n()}[{n()}] = {n()}, {n()}",
            lambda: f"{n()}: {n()} = {e(1)}",
            lambda: f"{n()}: {n()}",
            lambda: f"del {n()}",
            lambda: f"{n()} = 1\ndel {n()}",
            lambda: f"import os.path as {n()}",
            lambda: f"assert {e(1)}, {e(1)}",
        ]
        if depth:
            forms += [
                lambda: f"if {e(1)}:\n{b()}\nelse:\n{b()}",
                lambda: f"if {e(1)}:\n{b()}",
                self._for(b),
                lambda: f"while {e(1)}:\n{b()}\n  if Value(): break\n  {n()} = 2\nelse:\n{b()}",
                lambda: f"while True:\n{b()}\n  if Value(): break\n  {n()} = 2",
                lambda: f"try:\n{b()}\n  raise ValueError\nexcept ValueError as {n()}:\n{b()}",
                lambda: f"try:\n{b()}\nexcept {n()}:\n{b()}\nfinally:\n{b()}",
                lambda: f"try:\n{b()}\nexcept Exception:\n{b()}\nelse:\n{b()}",
                lambda: f"try:\n{b()}\nfinally:\n{b()}",
                lambda: f"try:\n{b()}\nexcept* Exception as {n()}:\n{b()}",
                lambda: f"def {n()}({n()}=1, *{n()}_):\n{b()}\n  return {e()}",
                lambda: f"def {n()}({n()}: {n()}, q={e(1)}) -> {n()}:\n{b()}\n  return {e()}",
                lambda: f"def {n()}():\n  return {e()}\n{n()} = 1\n{n()}()",
                lambda: f"@{n()}\ndef {n()}():\n{b()}",
                lambda: (lambda g: f"def {n()}():\n  global {g}\n  {g} = {e(1)}\n  return {g}")(n()),
                lambda: (
                    lambda g: (
                        f"def {n()}():\n  {g} = {e(1)}\n  def g_():\n    nonlocal {g}\n    {g} = {e(1)}\n  return g_()"
                    )
                )(n()),
                lambda: f"class {n()}:\n{b()}\n  def m(self, q=0):\n    return {e()}",
                lambda: f"class {n()}:\n  {n()} = 1\n  def __init__(self):\n    {n()} = {e()}",
                lambda: (lambda g: f"class {n()}({n()}_b):\n  global {g}\n  {g} = {e(1)}\n{b()}")(n()),
                lambda: f"with Value() as {n()}:\n{b()}",
                lambda: f"with Value() as ({n()}, {n()}), Swallow() as {n()}:\n{b()}\n  raise ValueError",
                lambda: f"with Swallow():\n{b()}\n  raise ValueError",
                self._match,
            ]
            if GENERIC:
                forms += [
                    lambda: f"def {n()}[{n()}: {n()}]({n()}: {n()} = {e(1)}):\n{b()}",
                    lambda: f"class {n()}[{n()}]:\n{b()}",
                    lambda: f"type {n()} = {e(1)}\n{n()}.__value__",
                ]
        return r.choice(forms)()

    def _for(self, b):
        n, e, r = self.name, self.expression, self.r
        leave = r.choice(["", "\n  if Value(): break", f"\n  if Value(): continue\n  {n()} = 1"])
        return lambda: f"for {n()} in {e(1)}:\n{b()}{leave}" + r.choice(["", f"\nelse:\n{b()}"])

    def _match(self):
        n, e, r = self.name, self.expression, self.r
        s = lambda: textwrap.indent(self.suite(1), "  ")  # noqa: E731
        last = r.choice([f"  case _:\n{s()}", f"  case {n()}:\n{s()}", ""])
        return (
            f"match {e(1)}:\n  case [{n()}, *{n()}_r]:\n{s()}\n  case Value(k={n()}, j={n()}.k) if {e(1)}:\n{s()}\n"
            f"  case {n()} if Value():\n{s()}\n{last}"
        )


def analysed(source: str) -> Facts:
    body = ast.parse(source).body
    return reads_and_writes(body, Frame("module", killed=bindings(body).killed), bound=(), strings=False)


def execute(source: str, code: types.CodeType, seed: int) -> tuple[Namespace, dict[str, object], bool]:
    """Run the program on fresh upstream values; `run()` is upstream code that calls the program's functions by name."""
    random.seed(seed)
    upstream: dict[str, object] = {n: Value() for n in UP + random.sample(NEW, 3)}
    namespace = Namespace(upstream)

    def run():
        for value in list(dict.values(namespace)):
            if isinstance(value, types.FunctionType) and value.__code__.co_filename == "<fuzz>" and Value():
                value(*[Value()] * value.__code__.co_argcount)

    dict.update(namespace, __builtins__=builtins, __name__="fuzz", Value=Value, Swallow=Swallow, run=run)
    dict.update(namespace, {f"{n}_b": object for n in NAMES})
    limit, completed = sys.getrecursionlimit(), True
    sys.setrecursionlimit(400)
    try:
        exec(code, namespace)
    except BaseException:
        completed = False
    finally:
        sys.setrecursionlimit(limit)
    return namespace, upstream, completed


def check(programs: int, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    absent = object()
    counts = dict.fromkeys(("programs", "runs", "completed", "read", "reported"), 0)
    while counts["programs"] < programs:
        generator = Generator(rng)
        source = "\n".join(generator.statement(rng.choice([1, 1, 2])) for _ in range(rng.randint(1, 6)))
        try:
            code = compile(source, "<fuzz>", "exec", dont_inherit=True)
        except SyntaxError:
            continue
        counts["programs"] += 1
        facts = analysed(source)
        for repetition in range(3):
            namespace, upstream, completed = execute(source, code, counts["programs"] * 7 + repetition)
            missed = (namespace.reads & NAMES) - facts.reads.keys()
            assert not missed, f"read of {missed} missed in\n{source}"
            changed = {n for n in NAMES if dict.get(namespace, n) is not upstream.get(n)}
            unseen = changed - facts.writes.keys() - facts.deletes.keys()
            assert not unseen, f"binding of {unseen} missed in\n{source}"
            counts["runs"] += 1
            if completed:
                kept = {n for n in facts.definite & NAMES if dict.get(namespace, n, absent) is upstream.get(n, absent)}
                assert not kept - namespace.reads, f"not surely bound: {kept} in\n{source}"
                counts["completed"] += 1
                counts["read"] += len(namespace.reads & NAMES)
                counts["reported"] += len(facts.reads.keys() & upstream.keys())
    return counts


def test_no_read_and_no_binding_of_a_random_program_goes_unseen() -> None:
    """Static reads and writes cover what any execution does, and definite writes always happen."""
    counts = check(1500, seed=1)
    assert counts["completed"] > 500


def test_the_oracle_can_fail() -> None:
    """An analysis that forgets one kind of read is caught: the programs do reach the reads."""
    source = "x = 1 if a else b"
    namespace, _, _ = execute(source, compile(source, "<fuzz>", "exec"), 3)
    assert "a" in namespace.reads and {"a", "b"} <= analysed(source).reads.keys()


if __name__ == "__main__":
    print(sys.version.split()[0], check(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
