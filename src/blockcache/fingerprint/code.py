"""Facts about loaded code: a digest of its meaning, and what it reads.

The digest is taken from the bytecode that is loaded, not from source text: it
is what runs, it needs no file (REPL, `exec`, a function restored from an entry
in a restarted kernel), and an edit of a file after its import cannot be
mistaken for it. Bytecode alone would also change with formatting, so it is
first brought into a canonical form: the control-flow graph from the entry,
without line numbers, docstrings, no-ops and jumps, with super-instructions
taken apart and conditional jumps as (true, false) successors. Over the 4,800
functions of the standard library a reformatting through ``ast.unparse``
changes none of the digests on 3.11, 3.12 and 3.13.

The digest is comparable within one minor version of Python, which is itself an input.
"""

from __future__ import annotations

import dis
import functools
import itertools
import opcode
import re
import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import xxhash

Chain = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What is known of a code object, nested code included.

    Attributes
    ----------
    digest
        XXH3-128 of the canonical form, 32 hexadecimal digits.
    globals
        Global names read, each with the attribute chains that follow it; ``()`` is a bare use.
    free
        Free variables read, likewise.
    imports
        Import statements: (module, names or None, level).
    sets
        Global names that are bound or deleted by ``global`` statements.
    spoken
        Words in its texts, where it calls a method that takes names from a text (``query``, ``eval``, ``sql``).
    subclasses
        It asks a class for its subclasses.
    telling
        Attributes that tell of ambient state, with a dot before them, see :data:`TELLING`.
    dynamic
        Names of functions whose reads cannot be known (``exec``, ``globals``, ...).
    reads_doc
        Docstrings or annotations may be read by this code.
    docs
        Digest of the docstrings of this code and of nested code.
    """

    digest: str
    globals: dict[str, tuple[Chain, ...]]
    free: dict[str, tuple[Chain, ...]]
    imports: tuple[tuple[str, tuple[str, ...] | None, int], ...]
    sets: frozenset[str]
    spoken: frozenset[str]
    subclasses: bool
    telling: frozenset[str]
    dynamic: frozenset[str]
    reads_doc: bool
    docs: str


#: Functions that read names which the code does not show.
DYNAMIC = frozenset({"eval", "exec", "globals", "locals", "vars", "__import__", "import_module"})
#: Attributes that lead to names, modules or code which the code does not show.
OPAQUE_ATTRIBUTES = frozenset(
    {
        "__globals__",
        "_getframe",
        "currentframe",
        "exec_module",
        "f_back",
        "f_globals",
        "f_locals",
        "import_module",
        "iter_modules",
        "resolve_name",
        "run_module",
        "run_path",
        "spec_from_file_location",
        "walk_packages",
    }
)
#: Methods and functions that look up names written in a text, in the frame of their caller: of pandas, polars, numpy,
#: numexpr, patsy and statsmodels.
SPEAKERS = frozenset({"bmat", "dmatrices", "dmatrix", "eval", "evaluate", "from_formula", "query", "sql"})
SPEAKERS |= {"gee", "glm", "glmgam", "gls", "glsar", "logit", "mixedlm", "mnlogit", "negativebinomial", "ols"}
SPEAKERS |= {"phreg", "poisson", "probit", "quantreg", "rlm", "wls"}
#: Names whose use says that the names of a function's variables may be looked at.
_CALLER_LOOKS = DYNAMIC | OPAQUE_ATTRIBUTES | SPEAKERS | {"dir", "settrace", "setprofile"}
#: Attributes whose value depends on what earlier statements set, whatever object they are read from: command lines,
#: levels of loggers, options for text.
TELLING = frozenset(
    {
        "absolute",
        "astimezone",
        "decode",
        "disabled",
        "encode",
        "getEffectiveLevel",
        "handlers",
        "hasHandlers",
        "info",
        "isEnabledFor",
        "level",
        "parse_args",
        "parse_known_args",
        "resolve",
        "setflags",
        "strftime",
        "timestamp",
        "to_html",
        "to_latex",
        "to_markdown",
        "to_string",
        "writeable",
    }
)
#: What makes a text of a value in an f-string.
_TEXT_MAKERS = frozenset({"CONVERT_VALUE", "FORMAT_SIMPLE", "FORMAT_VALUE", "FORMAT_WITH_SPEC"})
#: Random generators that are seeded by the operating system when they are made without an argument.
_GENERATORS = (
    "MT19937",
    "PCG64",
    "PCG64DXSM",
    "Philox",
    "RandomState",
    "Random",
    "SFC64",
    "SeedSequence",
    "default_rng",
)
_UNSEEDED = re.compile(rf"\b({'|'.join(_GENERATORS)})\(\s*\)")
_F_STRING = re.compile(r"\b(?:[rR]?[fF]|[fF][rR])['\"]")
_WORD = re.compile(r"[^\W\d]\w*")
_DOC_READERS = frozenset(
    {
        "__annotations__",
        "__doc__",
        "get_annotations",
        "get_type_hints",
        "getdoc",
        "getfullargspec",
        "getsource",
        "signature",
    }
)
_GLOBAL_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_FREE_READS = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
#: Whether a call has a slot for no `self` depends on what else stands in the module (an import of that name).
_DROPPED = frozenset({"NOP", "CACHE", "EXTENDED_ARG", "RESUME", "PRECALL", "PUSH_NULL"})
_PAIRS = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
#: Operation -> (canonical name, whether the jump is taken when the condition holds).
_CONDITIONS = {
    f"POP_JUMP_{way}IF_{test}": (f"POP_JUMP_IF_{canonical}", holds)
    for way in ("", "FORWARD_", "BACKWARD_")
    for test, canonical, holds in [
        ("TRUE", "TRUE", True),
        ("FALSE", "TRUE", False),
        ("NONE", "NONE", True),
        ("NOT_NONE", "NONE", False),
    ]
}
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
GOTO = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE", "JUMP"})
LEAVES = frozenset({"RETURN_VALUE", "RAISE_VARARGS", "RERAISE"})
#: What a class body stores about its own place in the file, or for people only.
_CLASS_TRIVIA = frozenset({"__doc__", "__firstlineno__", "__static_attributes__"})
_CONSTS, _NAMES = frozenset(dis.hasconst), frozenset(dis.hasname)
_LOCALS = frozenset(dis.haslocal) | frozenset(dis.hasfree)
#: Operations whose argument has flags below the index of the name, and how many; LOAD_ATTR took its flag in 3.12.
_SHIFTED_NAMES = {"LOAD_GLOBAL": 1, "LOAD_SUPER_ATTR": 2, "LOAD_ATTR": "LOAD_SUPER_ATTR" in opcode.opmap}


#: Flags that change what a call does: *args, **kwargs, generator, coroutine, iterable coroutine, async generator.
_SHAPE = 0x04 | 0x08 | 0x20 | 0x80 | 0x100 | 0x200


@dataclass(slots=True)
class Step:
    """One instruction with its argument resolved; ``jump`` is the offset that it may jump to, or -1."""

    op: str
    arg: Any
    offset: int
    jump: int = -1


def steps_of(code: types.CodeType) -> list[Step]:
    """The instructions of ``code``, without caches and no-ops, super-instructions taken apart."""
    raw, steps, extended = code.co_code, [], 0
    size, at = len(raw), 0
    while at < size:
        number, arg, start = raw[at], raw[at + 1] | extended, at
        at += 2
        while at < size and raw[at] == 0:  # inline caches
            at += 2
        op = opcode.opname[number]
        if op == "EXTENDED_ARG":
            extended = arg << 8
            continue
        extended = 0
        if op in _DROPPED:
            continue
        if number in _JUMPS:
            target = at - 2 * arg if "BACKWARD" in op else at + 2 * arg
            steps.append(Step(op, None, start, target))
        elif op == "RETURN_CONST":
            steps.append(Step("LOAD_CONST", code.co_consts[arg], start))
            steps.append(Step("RETURN_VALUE", None, start))
        elif op in _PAIRS:
            first, second = _PAIRS[op]
            steps.append(Step(first, code._varname_from_oparg(arg >> 4), start))  # type: ignore[attr-defined]
            steps.append(Step(second, code._varname_from_oparg(arg & 15), start))  # type: ignore[attr-defined]
        elif number in _CONSTS:
            steps.append(Step(op, code.co_consts[arg], start))
        elif number in _NAMES:
            shift = _SHIFTED_NAMES.get(op, 0)
            # On 3.11 a method of a name that the module imports is read like an attribute, of any other in one step.
            steps.append(Step("LOAD_ATTR" if op == "LOAD_METHOD" else op, code.co_names[arg >> shift], start))
        elif number in _LOCALS:
            steps.append(Step(op, code._varname_from_oparg(arg), start))  # type: ignore[attr-defined]
        else:
            steps.append(Step(op, arg, start))
    return steps


def places(code: types.CodeType, steps: list[Step]) -> dict[int, int]:
    """Offset -> index of the step there; an instruction that was left out stands for the next one that was not."""
    found, index = {}, 0
    for at in range(0, len(code.co_code) + 2, 2):
        while index < len(steps) and steps[index].offset < at:
            index += 1
        found[at] = index
    return found


def _without_trivia(steps: list[Step]) -> list[Step]:
    """A class body's steps without its docstring, first line and list of attributes."""
    kept: list[Step] = []
    for step in steps:
        if step.op == "STORE_NAME" and step.arg in _CLASS_TRIVIA and kept and kept[-1].op == "LOAD_CONST":
            kept.pop()
        else:
            kept.append(step)
    return kept


def _constant(value: object) -> str:
    """A constant as text that differs whenever the constants differ (`1`, `1.0` and `True` do)."""
    if isinstance(value, types.CodeType):
        return f"code {facts(value).digest}"
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    return f"{type(value).__name__} {value!r}"


def _handlers(code: types.CodeType, offsets: list[int]) -> dict[int, tuple[int, int, bool]]:
    """Index of a step -> (offset of its exception handler, stack depth, whether the place is pushed)."""
    found: dict[int, tuple[int, int, bool]] = {}
    if not code.co_exceptiontable:
        return found
    for entry in dis._parse_exception_table(code):  # type: ignore[attr-defined]
        for index, offset in enumerate(offsets):
            if entry.start <= offset < entry.end:
                found[index] = (entry.target, entry.depth, entry.lasti)
    return found


def _graph(code: types.CodeType, steps: list[Step]) -> str:
    """The control-flow graph from the entry as text, in an order that does not depend on layout."""
    offsets = [s.offset for s in steps]
    place = places(code, steps)

    def thread(at: int) -> int:
        index, seen = place[at], set()
        while index < len(steps) and steps[index].op in GOTO and index not in seen:
            seen.add(index)
            index = place[steps[index].jump]
        return index

    handlers = {i: (thread(target), depth, lasti) for i, (target, depth, lasti) in _handlers(code, offsets).items()}
    successors: list[tuple[int, ...]] = []
    for i, step in enumerate(steps):
        after = i + 1
        if after < len(steps) and offsets[after] != step.offset:  # not the second half of one instruction
            after = thread(offsets[after])
        if step.op in LEAVES:
            successors.append(())
        elif step.op in _CONDITIONS:
            target = thread(step.jump)
            successors.append((target, after) if _CONDITIONS[step.op][1] else (after, target))
        elif step.jump >= 0:
            successors.append((after, thread(step.jump)))
        else:
            successors.append((after,))
    number: dict[int, int] = {}
    order: list[int] = []
    stack = [thread(0)] if steps else []
    while stack:
        i = stack.pop()
        if i in number or i >= len(steps):
            continue
        number[i] = len(order)
        order.append(i)
        if i in handlers:
            stack.append(handlers[i][0])
        stack.extend(reversed(successors[i]))
    temporary: dict[str, int] | None = {} if _CALLER_LOOKS.isdisjoint(code.co_names) else None
    parameters = code.co_varnames[: _parameters(code)]
    lines = []
    for i in order:
        step = steps[i]
        op = _CONDITIONS[step.op][0] if step.op in _CONDITIONS else step.op
        if step.op in ("LOAD_CONST", "KW_NAMES"):
            arg = _constant(step.arg)
        elif temporary is not None and "_FAST" in step.op and step.arg not in parameters:
            # What a function calls its own variables is nobody else's business.
            arg = str(temporary.setdefault(step.arg, len(temporary)))
        else:
            arg = repr(step.arg)
        nexts = [number.get(s, -1) for s in successors[i]]
        # The common case, falling through to the next number, needs no words.
        where = "" if nexts == [number[i] + 1] else f" {nexts}"
        if i in handlers:
            target, depth, lasti = handlers[i]
            where += f" !{number.get(target, -1)},{depth},{lasti}"
        lines.append(f"{op} {arg}{where}")
    return "\n".join(lines)


def _add(into: dict[str, set[Chain]], name: str, chain: Chain) -> None:
    into.setdefault(name, set()).add(chain)


def _frozen(reads: dict[str, set[Chain]]) -> dict[str, tuple[Chain, ...]]:
    return {name: tuple(sorted(chains)) for name, chains in sorted(reads.items())}


def _reads(steps: list[Step]) -> Iterable[tuple[str, str, Chain]]:
    """(operation, name, attribute chain) of each read of a global or free name."""
    for i, step in enumerate(steps):
        if step.op in _GLOBAL_READS or step.op in _FREE_READS:
            chain = []
            for follower in steps[i + 1 :]:
                if follower.op == "LOAD_ATTR":
                    chain.append(follower.arg)
                elif follower.op != "PUSH_NULL":
                    break
            yield step.op, step.arg, tuple(chain)


def _imports(steps: list[Step]) -> Iterable[tuple[str, tuple[str, ...] | None, int]]:
    for i, step in enumerate(steps):
        if step.op == "IMPORT_NAME":
            level, names = steps[i - 2].arg, steps[i - 1].arg
            yield step.arg, names, level if isinstance(level, int) else 0


def words(constants: Iterable[object]) -> set[str]:
    """What may be names in the texts among ``constants``."""
    return {word for text in constants if isinstance(text, str) for word in _WORD.findall(text)}


@functools.lru_cache(maxsize=256)
def telling(source: str) -> frozenset[str]:
    """Like :attr:`CodeFacts.telling`, of the text of a block."""
    found = {f".{word}" for word in set(_WORD.findall(source)) & TELLING}
    found |= {f".{name}()" for name in _UNSEEDED.findall(source)}
    if _F_STRING.search(source):
        found.add("builtins.format")
    return frozenset(found | ({"__file__"} if "__file__" in source else set()))


def _docstring(code: types.CodeType) -> str:
    first = code.co_consts[0] if code.co_consts else None
    return first if isinstance(first, str) else ""


def _parameters(code: types.CodeType) -> int:
    """How many of the first local names are parameters."""
    return code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)


def _examine(code: types.CodeType) -> CodeFacts:
    steps = steps_of(code)
    is_function = bool(code.co_flags & 2)  # CO_NEWLOCALS: neither a module nor a class body
    if not is_function:
        steps = _without_trivia(steps)
    reads: dict[str, set[Chain]] = {}
    free: dict[str, set[Chain]] = {}
    imports = set(_imports(steps))
    used: set[str] = set()
    dynamic: set[str] = set()
    for op, name, chain in _reads(steps):
        _add(reads if op in _GLOBAL_READS else free, name, chain)
        used.update((name, *chain))
        if op in _GLOBAL_READS and name in DYNAMIC:
            dynamic.add(name)
        if name == "sys" and chain[:1] == ("modules",):
            dynamic.add("sys.modules")
    used.update(code.co_names)
    dynamic |= used & OPAQUE_ATTRIBUTES
    sets = {step.arg for step in steps if step.op in ("STORE_GLOBAL", "DELETE_GLOBAL")}
    spoken = words(code.co_consts) if not used.isdisjoint(SPEAKERS) else set()
    subclasses = "__subclasses__" in used
    telling = {f".{name}" for name in used & TELLING}
    telling |= {name for name in ("__file__",) if name in used}
    for step, following in itertools.pairwise(s for s in steps if s.op != "PUSH_NULL"):
        if step.op in _TEXT_MAKERS:
            telling.add("builtins.format")
        elif step.arg in _GENERATORS and following.op == "CALL" and not following.arg and step.op != "LOAD_CONST":
            telling.add(f".{step.arg}()")
    reads_doc = not used.isdisjoint(_DOC_READERS)
    docs = [_docstring(code)]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            nested = facts(constant)
            for name, chains in nested.globals.items():
                for chain in chains:
                    _add(reads, name, chain)
            for name, chains in nested.free.items():
                for chain in chains:
                    _add(free, name, chain)
            imports |= set(nested.imports)
            dynamic |= nested.dynamic
            sets |= nested.sets
            spoken |= nested.spoken
            subclasses |= nested.subclasses
            telling |= nested.telling
            reads_doc |= nested.reads_doc
            docs.append(nested.docs)
        elif isinstance(constant, str):
            reads_doc |= constant in _DOC_READERS
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _SHAPE)
    head = (code.co_name, *counts, code.co_varnames[: _parameters(code)])
    own_free = {name: chains for name, chains in free.items() if name in code.co_freevars}
    return CodeFacts(
        digest=xxhash.xxh3_128_hexdigest(f"{head!r}\n{_graph(code, steps)}".encode("utf-8", "surrogatepass")),
        globals=_frozen(reads),
        free=_frozen(own_free),
        imports=tuple(sorted(imports, key=repr)),
        sets=frozenset(sets),
        spoken=frozenset(spoken),
        subclasses=subclasses,
        telling=frozenset(telling),
        dynamic=frozenset(dynamic),
        reads_doc=reads_doc,
        docs=xxhash.xxh3_128_hexdigest("\0".join(docs).encode("utf-8", "surrogatepass")),
    )


# By identity, and the code object is kept so that its id stays its own: hashing a
# code object would cost as much as the rest of a warm key.
_known: dict[int, tuple[types.CodeType, CodeFacts]] = {}


def facts(code: types.CodeType) -> CodeFacts:
    """What is known of ``code``; examined once per code object."""
    entry = _known.get(id(code))
    if entry is None:
        entry = _known[id(code)] = (code, _examine(code))
    return entry[1]
