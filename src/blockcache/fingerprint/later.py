"""Who may read a name once a block is over: asked of the code that is loaded, along its control-flow graph.

A hit that cannot give a name back is only a hit while nobody misses the name. Where in doubt somebody does.
"""

from __future__ import annotations

import dis
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from blockcache.fingerprint.bare import Body
from blockcache.fingerprint.code import GOTO, LEAVES, SPEAKERS, Step, places, steps_of

#: They run where they are made and do not outlive it.
_RUN_AT_ONCE = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})
_GLOBAL_READS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_NAME", "DELETE_GLOBAL"})
_GLOBAL_STORES = frozenset({"STORE_NAME", "STORE_GLOBAL"})
_LOCAL_STORES = frozenset({"STORE_FAST", "STORE_DEREF"})
_LOCAL_READS = {dis.opname[number] for number in (*dis.haslocal, *dis.hasfree)} - _LOCAL_STORES - {"MAKE_CELL"}
#: Functions that lead from code to the names of its module; those that do when they are called without an argument.
_DYNAMIC = frozenset({"eval", "exec", "globals", "breakpoint"})
_DYNAMIC_HERE = _DYNAMIC | {"locals"}
_DYNAMIC_BARE = frozenset({"vars", "dir"})
_DYNAMIC_ATTRIBUTES = frozenset(
    """_getframe currentframe dump_module dump_session embed f_globals f_locals getmodule __globals__ interact set_trace
    user_ns""".split()  # noqa: SIM905
)
#: What takes names of variables in a text.
_TAKES_TEXTS = SPEAKERS | {"get_ipython"}
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Reader:
    """Code that may read a name.

    Attributes
    ----------
    who
        The function that does; empty for the statements themselves.
    line
        Where.
    """

    who: str
    line: int


#: The name may still be wanted when the code is over.
AT_END = Reader("", 0)


def after_block(code: CodeType, offset: int, name: str) -> Reader | None:
    """Who may read ``name`` after the block whose entry point is at ``offset`` of ``code``, before it is bound again.

    :data:`AT_END` where nobody in ``code`` does and its end may be reached; None where it surely is bound before.
    """
    body = _body(code, offset)
    scope = _Scope.of(code, name)
    if scope.shared:
        return Reader("the function around this one", code.co_firstlineno)
    early = _made_before(body)
    return scope.reader_in_functions(early) or scope.reader_from(body.after)


def whole(code: CodeType, name: str) -> Reader | None:
    """Likewise of code that runs from its start, or that made its functions earlier."""
    scope = _Scope.of(code, name)
    steps = _steps(code)
    return scope.reader_from(0) or scope.reader_in_functions([s for s in steps if isinstance(s.arg, CodeType)])


def functions_of(code: CodeType, name: str) -> Reader | None:
    """Who of the functions that ``code`` makes may read ``name``."""
    return _Scope.of(code, name).reader_in_functions([s for s in _steps(code) if isinstance(s.arg, CodeType)])


class _Scope:
    """One name as the code of one scope uses it."""

    def __init__(self, code: CodeType, name: str, *, local: bool) -> None:
        self.code = code
        self.name = name
        self.local = local
        self.steps = _steps(code)
        self.place = places(code, self.steps)
        self.table = _table(code)
        #: A variable of a function around this one.
        self.shared = local and name in code.co_freevars

    @classmethod
    def of(cls, code: CodeType, name: str) -> _Scope:
        # In a module a slot of that name is of a comprehension that was compiled into it.
        in_slot = name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars
        return cls(code, name, local=bool(code.co_flags & 1) and in_slot)  # 1: inspect.CO_OPTIMIZED

    def reader_from(self, start: int) -> Reader | None:
        """Who reads the name from a step on, :data:`AT_END` when nobody does and the end is reached."""
        seen: set[int] = set()
        todo = [start]
        ends = False
        while todo:
            i = todo.pop()
            if i in seen or i >= len(self.steps):
                continue
            seen.add(i)
            step = self.steps[i]
            found = self._reads(i)
            if found is not None:
                return found
            # What a step raises finds the name as it was before.
            handlers = [e for e in self.table if e.start <= step.offset < e.end]
            todo += [self.place[e.target] for e in handlers]
            ends = ends or step.op == "RETURN_VALUE" or (step.op in LEAVES and not handlers)
            if self._binds(step):
                continue
            if step.jump >= 0:
                todo.append(self.place[step.jump])
            if step.op not in LEAVES and step.op not in GOTO:
                todo.append(i + 1)
        return AT_END if ends else None

    def _binds(self, step: Step) -> bool:
        return step.arg == self.name and step.op in (_LOCAL_STORES if self.local else _GLOBAL_STORES)

    def _reads(self, i: int) -> Reader | None:
        step = self.steps[i]
        if isinstance(step.arg, CodeType):
            # A function that is made here may run whenever it likes from now on.
            return self.reader_in_functions([step], at_once=True)
        if self.local:
            reads = step.arg == self.name and step.op in _LOCAL_READS
        else:
            reads = step.arg == self.name and step.op in _GLOBAL_READS
        reads = reads or _hides(self.steps, i, here=True, globally=not self.local)
        return Reader("", _line(self.code, step.offset)) if reads or self._spoken(self.code, step) else None

    def reader_in_functions(self, made: list[Step], *, at_once: bool = False) -> Reader | None:
        """Who of the code made in these steps reads the name when it runs."""
        for step in made:
            code: CodeType = step.arg
            found = self._reader_in(code, at_once=at_once)
            if found is not None:
                return found
        return None

    def _reader_in(self, code: CodeType, *, at_once: bool) -> Reader | None:
        runs = at_once or code.co_name not in _RUN_AT_ONCE
        if self.local and self.name not in code.co_freevars:
            return None
        who = "" if code.co_name.startswith("<") else code.co_qualname.replace(".<locals>", "")
        if runs and self.local:
            return Reader(who, code.co_firstlineno)
        steps = _steps(code)
        for i, step in enumerate(steps):
            if isinstance(step.arg, CodeType):
                found = self._reader_in(step.arg, at_once=at_once)
                if found is not None:
                    return Reader(who or found.who, found.line)
            elif runs and (
                (step.arg == self.name and step.op in _GLOBAL_READS)
                or _hides(steps, i, here=False, globally=True)
                or self._spoken(code, step)
            ):
                return Reader(who, _line(code, step.offset))
        return None

    def _spoken(self, code: CodeType, step: Step) -> bool:
        """Whether a text names it where a method is called that looks names up in texts."""
        if step.op not in ("LOAD_CONST", "KW_NAMES") or _TAKES_TEXTS.isdisjoint(code.co_names):
            return False
        texts = step.arg if isinstance(step.arg, tuple) else (step.arg,)
        return any(isinstance(text, str) and self.name in _WORD.findall(text) for text in texts)


def _hides(steps: list[Step], i: int, *, here: bool, globally: bool) -> bool:
    """Whether a step leads to names that the code does not show; ``here``: to those of its own scope too."""
    step = steps[i]
    if not isinstance(step.arg, str):
        return False
    if step.op in _GLOBAL_READS:
        if step.arg in (_DYNAMIC_HERE if here else _DYNAMIC):
            return True
        if here and step.arg in _DYNAMIC_BARE:
            after = next((s for s in steps[i + 1 : i + 3] if s.op != "PUSH_NULL"), None)
            return after is not None and after.op == "CALL" and after.arg == 0
        return False
    if step.op == "IMPORT_NAME":
        return step.arg == "__main__" and globally
    if _is_attribute(step.op) or step.op == "IMPORT_FROM":
        if step.arg == "modules":  # sys.modules[__name__]
            return globally and any(s.arg in ("__name__", "__main__") for s in steps)
        return step.arg in _DYNAMIC_ATTRIBUTES
    return False


def _is_attribute(operation: str) -> bool:
    return operation.endswith(("_ATTR", "_METHOD"))


def _made_before(body: Body) -> list[Step]:
    """Steps that load code before the block or in it, and after it too where a loop leads back to the block."""
    steps = body.steps
    before: dict[int, list[int]] = {}
    for i in range(len(steps)):
        for j in _successors(body, i):
            before.setdefault(j, []).append(i)
    found = set(body.body())
    todo = [body.start]
    while todo:
        i = todo.pop()
        for j in before.get(i, ()):
            if j not in found:
                found.add(j)
                todo.append(j)
    return [steps[i] for i in sorted(found) if isinstance(steps[i].arg, CodeType)]


def _successors(body: Body, i: int) -> Iterator[int]:
    step = body.steps[i]
    yield from (body.place[e.target] for e in body.table if e.start <= step.offset < e.end)
    if step.jump >= 0:
        yield body.place[step.jump]
    if step.op not in LEAVES and step.op not in GOTO:
        yield i + 1


def _line(code: CodeType, offset: int) -> int:
    return next((line for start, end, line in code.co_lines() if start <= offset < end and line), code.co_firstlineno)


@functools.lru_cache(maxsize=8)
def _body(code: CodeType, offset: int) -> Body:
    return Body(code, offset)


# Code objects compare by content, which takes as long as reading them.
_known: dict[int, tuple[CodeType, list[Step]]] = {}
_MOST_KNOWN = 2000


def _steps(code: CodeType) -> list[Step]:
    known = _known.get(id(code))
    if known is None:
        if len(_known) > _MOST_KNOWN:
            _known.clear()
        known = _known[id(code)] = (code, steps_of(code))
    return known[1]


def _table(code: CodeType) -> list[dis._ExceptionTableEntry]:  # type: ignore[name-defined]
    return list(dis._parse_exception_table(code)) if code.co_exceptiontable else []  # type: ignore[attr-defined]
