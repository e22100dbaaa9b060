"""Build a key: the block's own code and everything that it reaches, as named inputs."""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from blockcache import ambient, earlier, files
from blockcache.analysis import Block
from blockcache.errors import CacheError, FingerprintError
from blockcache.fingerprint import buffers
from blockcache.fingerprint.code import OPAQUE_ATTRIBUTES, SPEAKERS, telling, words
from blockcache.fingerprint.modules import normal_name
from blockcache.fingerprint.plain import PLAIN
from blockcache.fingerprint.reach import Reach, Root
from blockcache.fingerprint.values import describe
from blockcache.inplace import layers_of
from blockcache.model import Input, Key, compare
from blockcache.opaque import NEVER_AGAIN, files_behind, state_of, tells_changes
from blockcache.paths import Paths

#: Calls that look up names written in a text, in the frame of their caller: then every word of the block may be read.
_SPEAKS = re.compile(rf"\b(?:{'|'.join(sorted(SPEAKERS))})\s*\(")
#: Calls that look at all names of their caller.
_LOOKS_AROUND = re.compile(r"\bautoname_elements\s*\(")
_IDENTITY = "identity"
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """What the names that a block reads were bound to before its body.

    Attributes
    ----------
    bound
        The values of the names that are bound.
    local
        Those of them that are local to a function or a class body.
    globals
        The block's module globals.
    ran
        What ran before the block; asked only where it can matter.
    paths
        Execution paths, for values that have no content.
    """

    bound: Mapping[str, object]
    local: frozenset[str]
    globals: dict[str, object]
    ran: Callable[[], Iterable[earlier.Ran]] = tuple
    paths: Paths | None = None


@dataclass(frozen=True, slots=True)
class Demands:
    """What the arguments of a block say about its key.

    Attributes
    ----------
    declared
        Inputs that the user named.
    pin
        How exactly versions count, see :func:`pinning`; None for all of them exactly.
    ignored, ignored_names
        Types and names whose values are no inputs.
    """

    declared: tuple[Input, ...] = ()
    pin: Callable[[str], str | None] | None = None
    ignored: tuple[type, ...] = ()
    ignored_names: frozenset[str] = frozenset()


_NO_DEMANDS = Demands()


@dataclass(frozen=True, slots=True)
class Built:
    """A key and the live objects behind it.

    Attributes
    ----------
    key
        The key.
    objects
        The live function or class behind each label, for restoring values that refer to them.
    label
        The label of a function or class that the block reaches; None for anything else.
    uses
        Dotted names of what it uses in libraries.
    states
        What shows whether a value without content is used up or changed, by name.
    called
        A value without content came as a parameter: the same call, made again, may bring another one.
    path_texts
        The statements of each execution path, for people.
    """

    key: Key
    objects: Mapping[str, object]
    label: Callable[[object], str | None]
    uses: frozenset[str]
    states: Mapping[str, str | None] = field(default_factory=dict)
    path_texts: Mapping[str, str] = field(default_factory=dict)
    called: bool = False


def upstream_names(block: Block) -> frozenset[str]:
    """Names whose binding before the block matters.

    Besides the names that the body reads, these are the names that it binds or deletes on some paths
    only: where such a path is not taken, the binding from before is the result.
    """
    names = frozenset(block.reads) | (block.writes - block.definite) | block.deletes
    # An annotated assignment in a module writes there; nothing that a body computes comes from it.
    return names - {"__annotations__"}


def spoken_names(block: Block, bound: Mapping[str, object], around: Callable[[], Iterable[str]]) -> frozenset[str]:
    """Further names that may be read, because a text that is looked up in the frame may say them.

    That text may be in the block or in a value that it reads. ``around`` gives all names of the frame, for calls that
    look at each.
    """
    if _LOOKS_AROUND.search(block.source):
        return frozenset(around()) - frozenset(bound)
    if not _SPEAKS.search(block.source):
        return frozenset()
    texts = [block.source, *(value for value in bound.values() if isinstance(value, str))]
    return frozenset(words(texts)) - frozenset(bound)


def build(
    block: Block,
    upstream: Upstream,
    demands: Demands = _NO_DEMANDS,
    loaded: Collection[str] | None = None,
    before: Built | None = None,
) -> Built:
    """The key of ``block`` as its inputs stand now.

    Parameters
    ----------
    block
        What the body is and reads.
    upstream
        What its names are bound to.
    demands
        What its arguments say.
    loaded
        Names of the modules that count as loaded; by default those that are.
    before
        A key whose definitions keep their labels.

    Raises
    ------
    FingerprintError
        When an input has no content to take a fingerprint of; ``path`` names it.
    """
    opaque = [what for what, _ in block.dynamic]
    for name, chains in block.reads.items():
        opaque += [part for chain in chains for part in chain if part in OPAQUE_ATTRIBUTES]
        opaque += ["sys.modules"] if name == "sys" and any(chain[:1] == ("modules",) for chain in chains) else []
    if opaque:
        what = f"the body uses {', '.join(dict.fromkeys(opaque))}: what it reads cannot be known"
        raise FingerprintError(what, path=opaque[0])
    made = _Made(upstream.paths) if upstream.paths is not None else None
    reach = Reach(upstream.globals, loaded, demands.pin, demands.ignored, demands.ignored_names, made)
    if before is not None:
        reach.name_as(before.objects)
    if made is not None:
        made.reach = weakref.proxy(reach)  # a cycle would keep the block's frame alive
    reach.docs_matter = block.reads_doc
    reach.subclasses_matter = "__subclasses__" in block.source
    for name in sorted(upstream_names(block).union(upstream.bound)):
        # A local of a function is not the global of the same name that a helper may read; neither is a name
        # that the body does not read, but may leave as it was.
        shown = block.written.get(name, name)
        path = f"{shown} (local)" if name in upstream.local else shown
        if name in block.writes and name not in block.reads:
            path += " (before)"
        if name not in upstream.bound:
            if name in block.writes or name in block.deletes:
                reach.unbound(path)
            if name in block.reads and (label := reach.builtin_name(path, name, block.reads[name])) != "builtin":
                reach.inputs.setdefault(("value", path), Input("value", path, label, label))
            continue
        if name in demands.ignored_names:
            reach.ignore(path, upstream.bound[name])
            continue
        label = reach.read_name((None, name), path, upstream.bound[name], block.reads.get(name, ((),)))
        if ("value", path) not in reach.inputs:
            # What the name is bound to; what that is, is an input of its own.
            reach.inputs["value", path] = Input("value", path, label, label)
    package = str(upstream.globals.get("__package__") or "")
    for ref in block.imports:
        reach.imported(ref.module, (ref.attribute,) if ref.attribute else None, ref.level, package)
    reach.finish()
    buffers.settle()
    reach.uses |= telling(block.source)
    states = earlier.states(reach, upstream.ran, loaded)
    states += ambient.states(reach.uses, reach.values)
    inputs = [*reach.inputs.values(), *states, *_identity(reach.values())]
    inputs += [Input("code", "body", block.digest), Input("python", "python", _PYTHON, _PYTHON)]
    inputs += demands.declared
    definitions = reach.objects, reach.known_label, frozenset(reach.uses)
    if made is None:
        return Built(Key.of(inputs), *definitions)
    return Built(Key.of(inputs), *definitions, made.states, made.texts, made.called)


def _identity(values: Mapping[str, object]) -> list[Input]:
    """Which of the values that can change are one object under several names: a change of one is a change of all."""
    names: dict[int, list[str]] = {}
    for name, value in values.items():
        if type(value) not in PLAIN and layers_of(type(value)):
            names.setdefault(id(value), []).append(name)
    groups = sorted(" is ".join(sorted(same)) for same in names.values() if len(same) > 1)
    text = "; ".join(groups)
    return [Input("state", _IDENTITY, text, text)] if groups else []


class _Made:
    """Inputs for values without content: the statements that made them, what those used, the files behind them."""

    reach: Reach

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.states: dict[str, str | None] = {}
        self.called = False
        self.texts: dict[str, str] = {}
        self._depth = 0

    def __call__(self, root: Root, name: str, value: object) -> str:
        namespace, variable = root
        found = self.paths.of(variable) if namespace is None else self.paths.in_namespace(namespace, variable)
        self.called |= found.called
        label = f"path {name}"
        state = state_of(value)
        if not self._depth:
            self.states[name] = state
        if found.again and not tells_changes(value):
            raise FingerprintError(
                f"earlier iterations of the loop at line {found.again} may have changed it; "
                "make it inside the loop, or inside the block",
                path=name,
            )
        if ("path", name) in self.reach.inputs:
            return label
        self.reach.inputs["path", name] = Input("path", name, found.digest, found.note)
        self.texts[name] = found.text
        if state is not None and NEVER_AGAIN not in state:
            # What no statement shows: a cell that ran again, how often a loop did.
            self.reach.inputs["state", name] = Input("state", name, state, state[:80])
        for file in files_behind(value):
            self._file(file)
        self._depth += 1
        for read in found.reads:
            if read.needed:
                self.reach.read_name(root, read.name, read.value, read.chains)
                if isinstance(read.value, str) and os.path.isfile(read.value):
                    self._file(read.value)
            else:
                self.reach.content(read.name, read.value)
        for text in found.constants:
            if os.path.isfile(text):
                self._file(text)
        self._depth -= 1
        return label

    def _file(self, path: str) -> None:
        # The same project in another folder has the same files.
        name = os.path.relpath(path)
        name = path if name.startswith(os.pardir) else name
        self.reach.inputs["file", name] = Input("file", name, files.digest(path), "behind an upstream value")


def pinning(pin: object) -> Callable[[str], str | None]:
    """From the argument ``pin`` to how exactly each distribution's version counts.

    Raises
    ------
    CacheError
        When it is none of ``exact``, ``minor``, ``major``, None and a mapping to these.
    """
    levels: Mapping[Any, Any] = pin if isinstance(pin, Mapping) else {"*": pin}
    for name, level in levels.items():
        if not isinstance(name, str) or level not in ("exact", "minor", "major", None):
            what = f"pin={{{name!r}: {level!r}}}" if isinstance(pin, Mapping) else f"pin={level!r}"
            raise CacheError(
                f"{what}: it takes 'exact', 'minor', 'major', None, or a mapping from distributions to these"
            )
    known: dict[str, str | None] = {normal_name(name): level for name, level in levels.items()}
    return lambda name: known.get(normal_name(name), known.get("*", "exact"))


def content(value: object, name: str, home: Mapping[str, object]) -> str:
    """Digest of a value with everything that it reaches: functions inside it count by what they do.

    Raises
    ------
    FingerprintError
        When some part has no content.
    """
    reach = Reach(home)
    reach.read(name, value, ((),))
    reach.finish()
    return Key.of(reach.inputs.values()).digest


def difference(name: str, was: object, now: object, upstream: Upstream) -> str:
    """In a clause, how a value differs from the saved one; empty when it does not."""
    try:
        if content(was, "it", upstream.globals) == content(now, "it", upstream.globals):
            return ""
    except FingerprintError as error:
        return f"cannot be compared: {error}"
    before, after = describe(was, name), describe(now, name)
    what = f"{before} was saved, {after} this time" if before != after else f"{after} differs"
    return f"{what}; the entry is stale, or the body gives another result each time"


def changed_by_body(
    block: Block, upstream: Upstream, demands: Demands, before: Built, loaded: Collection[str]
) -> tuple[list[str], list[str]]:
    """Names of inputs that are no longer what they were before the body, and of those that came or went.

    Names that the body binds are results, not changes; ``loaded`` are the modules loaded before the body. An input
    comes or goes because of another change: what an attribute holds is reached instead of the class that computed it.
    """
    writes = {block.written.get(name, name) for name in block.writes}

    def is_result(name: str) -> bool:
        return name.partition(".")[0].partition(" ")[0] in writes

    try:
        try:
            after = build(block, upstream, demands, loaded, before)
        except FingerprintError as error:
            if not is_result(error.path):
                raise
            # A result that is reached, through its module, and has no content.
            ignored = demands.ignored_names | block.writes
            after = build(block, upstream, replace(demands, ignored_names=ignored), loaded, before)
    except FingerprintError as error:
        return [error.path], []
    changed: list[str] = []
    others: list[str] = []
    for d in compare(after.key.inputs, before.key.inputs):
        # Files behind a value may have been changed by anyone: its own probe tells. What a body sets in a library
        # may have the name of what it binds; what a result without content tells of itself is a result. Names that are
        # one object now are so by a binding, which is found as such.
        if d.kind == "state" and (d.name == _IDENTITY or (d.name in after.states and is_result(d.name))):
            continue
        if d.kind == "state" or (d.kind != "file" and not is_result(d.name)):
            one_sided = d.kind in ("value", "definition", "module") and (d.now is None or d.was is None)
            (others if one_sided else changed).append(d.name)
    used = [name for name, state in after.states.items() if before.states.get(name) != state and not is_result(name)]
    return list(dict.fromkeys([*changed, *used])), others
