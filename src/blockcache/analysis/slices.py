"""Backward slices: the steps before a block on which the value of a name may depend.

Every step that may bind a name makes a new *version* of it. Versions of values that may hold or share one another
(they met in a step) form a class, and a step that uses a member of a class may change any other. A function that was
made earlier reads and binds what its names mean at the moment when it runs, which may be any step that can get at it.
The slice of a name is then found from the end backward: steps that make a version that is needed, or use the class of
one. Where in doubt a step belongs to it: a step too many costs a miss, a step too few a stale result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from blockcache.analysis.facts import Chain
from blockcache.analysis.steps import Code, Step

#: A name, and the number of the step that bound it; -1 for what it was before all steps.
Version = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Now:
    """What is known of the value that a name has when the block begins.

    Attributes
    ----------
    fixed
        It cannot change and holds nothing that can (plain values; functions without state).
    settled
        Its fingerprint says all of it, so that the steps that bound it do not matter.
    shared
        The library whose state it stands for; the uses of a library are apart from one another unless a
        statement is there for its effect.
    touches
        Names and hidden state that its code may use when it runs.
    binds
        Those of them that its code may bind.
    builtin
        It is one of Python's own.
    """

    fixed: bool = False
    settled: bool = False
    shared: str = ""
    touches: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()
    builtin: bool = False


UNKNOWN = Now()
#: Among what code touches: it does not show what.
ANYTHING = "anything"
_NOTHING = Now(fixed=True, settled=True)


@dataclass(frozen=True, slots=True)
class Slice:
    """The steps that some names depend on.

    Attributes
    ----------
    steps
        In the order in which they ran.
    reads
        Names that they use and whose value is still the same: their fingerprint counts.
    before
        Names whose value from before all steps counts.
    lost
        Names that they use and that were bound again since.
    again
        Line of a loop around the point whose earlier iterations are among the steps; 0 without one.
    """

    steps: tuple[Step, ...]
    reads: dict[str, tuple[Chain, ...]]
    before: frozenset[str]
    lost: frozenset[str]
    again: int = 0


class Slices:
    """Slices over the steps before one point.

    Parameters
    ----------
    steps
        What ran, in order.
    now
        What is known of the value of a name at the point.
    outside
        Whether a name has a value before all steps. Such values may share parts.
    """

    def __init__(self, steps: Sequence[Step], now: Callable[[str], Now], outside: Callable[[str], bool]) -> None:
        self.steps = steps
        self._now = now
        self._outside = outside
        self._parent: dict[Version, Version] = {}
        self._codes: dict[Version, set[Code]] = {}
        self._current: dict[str, Version] = {}
        self._reads: list[set[Version]] = []
        self._binds: list[set[Version]] = []
        self._uses: list[set[Version]] = []  # read and open to change, or telling
        self._last = {name: k for k, step in enumerate(steps) for name in step.binds}
        # Bound by code that runs later: a version may end where no step shows it.
        self._unsteady = {name for step in steps if step.code for name in step.code.binds}
        self._unsteady |= {name for step in steps for read in step.reads for name in now(read).binds}
        #: Some code here hides what it uses: only all steps together are sure to hold a slice.
        self.dynamic = any(step.dynamic for step in steps)
        self.dynamic |= any(ANYTHING in now(read).touches for step in steps for read in step.reads)
        for number, step in enumerate(steps):
            self._run(number, step)

    # ------------------------------------------------------------------ classes of versions

    def _find(self, version: Version) -> Version:
        root = version
        while (above := self._parent.get(root, root)) != root:
            root = above
        while version != root:
            self._parent[version], version = root, self._parent.get(version, version)
        return root

    def _join(self, versions: Iterable[Version]) -> None:
        found = {self._find(v) for v in versions}
        if len(found) < 2:
            return
        root = found.pop()
        for other in found:
            self._parent[other] = root
            self._codes.setdefault(root, set()).update(self._codes.pop(other, ()))

    def _is_last(self, version: Version) -> bool:
        """Whether the name still has this value, and no hidden code may have bound it again."""
        name, number = version
        return number == self._last.get(name, -1) and name not in self._unsteady

    def _known(self, version: Version) -> Now:
        if version[1] < 0 and not self._outside(version[0]) and not _is_hidden(version[0]):
            return self._now(version[0]) if version[0] not in self._last else _NOTHING
        return self._now(version[0]) if self._is_last(version) else UNKNOWN

    # ------------------------------------------------------------------ forward

    def _version(self, name: str) -> Version:
        version = self._current.get(name)
        if version is None:
            version = self._current[name] = (name, -1)
            if self._outside(name) and self._open(version):
                self._join([version, ("", -1)])
        return version

    def _open(self, version: Version) -> bool:
        """Whether the value can be changed in place."""
        known = self._known(version)
        return not known.fixed and not known.shared

    def _run(self, number: int, step: Step) -> None:
        if step.observes and step.observes not in self._last and self._now(step.observes).builtin:
            for found in (self._reads, self._binds, self._uses):
                found.append(set())
            return
        names, bound, tells, codes = set(step.reads), set[str](), set(step.tells), set[Code]()
        todo = [] if step.quiet else list(names)
        while todo:
            for code in self._code_of(self._version(todo.pop())) - codes:
                codes.add(code)
                todo += code.reads - names
                names |= code.reads
                bound |= code.binds
                tells |= code.tells
        if step.quiet:  # what is bound to another name can be called by it
            codes.update(*(self._code_of(self._version(name)) for name in names))
        if any(self._code_of(self._version(name)) for name in step.given & names):
            tells |= names  # a library that is given code may keep it
        reads = {self._version(name) for name in names}
        changed = {name: self._version(name) for name in (step.binds - step.definite) | bound}
        reads.update(changed.values())
        uses = {version for version in reads if self._open(version)}
        for version in list(reads):
            if library := self._known(version).shared:
                state = self._version(f"library {library}")
                reads.add(state)
                if version[0] in tells:
                    uses.add(state)
        binds = {(name, number) for name in step.binds | bound}
        self._current.update((name, (name, number)) for name, _ in binds)
        self._join([*([] if step.contained else uses), *filter(self._open, binds)])
        if step.code is not None:
            codes.add(step.code)
        for version in (*binds, *(() if step.quiet else uses)):
            if codes and not (self._known(version).fixed and self._known(version).builtin):
                self._codes.setdefault(self._find(version), set()).update(codes)
        self._reads.append(reads)
        self._binds.append(binds)
        self._uses.append(set() if step.quiet or step.contained else uses)

    def _code_of(self, version: Version) -> set[Code]:
        found = self._codes.get(self._find(version), set())
        known = self._known(version)
        if known.touches or known.binds:
            return found | {Code(known.touches | known.binds, known.binds)}
        return found

    # ------------------------------------------------------------------ backward

    def reads_of(self, number: int) -> list[str]:
        """Names that one step may read, by way of functions too."""
        return sorted({name for name, _ in self._reads[number]})

    def of(self, names: Iterable[str], *, whole: bool = False) -> Slice:
        """The steps that the values of ``names`` depend on; ``whole``: all steps."""
        need = {self._version(name) for name in names}
        classes = {self._find(v) for v in need}
        kept: list[int] = []
        reads: dict[str, set[Chain]] = {}
        lost: set[str] = set()
        for number in range(len(self.steps) - 1, -1, -1):
            uses = self._uses[number]
            if not (whole or self._binds[number] & need or any(self._find(v) in classes for v in uses)):
                continue
            kept.append(number)
            for version in self._reads[number]:
                name = version[0]
                if self._is_last(version):
                    reads.setdefault(name, set()).update(self.steps[number].reads.get(name, ((),)))
                elif self._known(version) is not _NOTHING:
                    lost.add(name)
                if not self._known(version).settled:
                    need.add(version)
                if self._open(version):
                    classes.add(self._find(version))
        kept.reverse()
        return Slice(
            steps=tuple(self.steps[k] for k in kept),
            reads={name: tuple(sorted(chains)) for name, chains in sorted(reads.items())},
            before=frozenset(name for name, k in need if k < 0),
            lost=frozenset(lost),
            again=next((self.steps[k].line for k in kept if self.steps[k].again), 0),
        )


def _is_hidden(name: str) -> bool:
    """Whether a name stands for state that no variable of the scope holds: of a library, of another module."""
    return not name.isidentifier()
