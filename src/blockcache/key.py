"""Build a key: the block's own code and everything that it reaches, as named inputs."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from blockcache.analysis import Block
from blockcache.errors import FingerprintError
from blockcache.fingerprint.reach import Reach
from blockcache.model import Input, Key, compare

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
    """

    bound: Mapping[str, object]
    local: frozenset[str]
    globals: dict[str, object]


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
    """

    key: Key
    objects: Mapping[str, object]
    label: Callable[[object], str | None]


def upstream_names(block: Block) -> frozenset[str]:
    """Names whose binding before the block matters.

    Besides the names that the body reads, these are the names that it binds or deletes on some paths
    only: where such a path is not taken, the binding from before is the result.
    """
    return frozenset(block.reads) | (block.writes - block.definite) | block.deletes


def build(block: Block, upstream: Upstream) -> Built:
    """The key of ``block`` as its inputs stand now.

    Raises
    ------
    FingerprintError
        When an input has no content to take a fingerprint of; ``path`` names it.
    """
    if block.dynamic:
        what, line = block.dynamic[0]
        raise FingerprintError(f"line {line} uses {what}: what it reads cannot be known", path=what)
    reach = Reach(upstream.globals)
    if block.reads_doc:
        reach.docs_matter()
    for name in sorted(upstream_names(block)):
        if name not in upstream.bound:
            if not hasattr(builtins, name):
                reach.unbound(name)
            continue
        # A local of a function is not the global of the same name that a helper may read.
        path = f"{name} (local)" if name in upstream.local else name
        label = reach.read(path, upstream.bound[name], block.reads.get(name, ((),)))
        if ("value", path) not in reach.inputs:
            # What the name is bound to; what that is, is an input of its own.
            reach.inputs["value", path] = Input("value", path, label, label)
    package = str(upstream.globals.get("__package__") or "")
    for ref in block.imports:
        reach.imported(ref.module, (ref.attribute,) if ref.attribute else None, ref.level, package)
    reach.finish()
    inputs = [*reach.inputs.values(), Input("code", "body", block.digest), Input("python", "python", _PYTHON, _PYTHON)]
    return Built(Key.of(inputs), reach.objects, reach.known_label)


def changed_by_body(block: Block, upstream: Upstream, before: Key) -> list[str]:
    """What the body changed in place: inputs that are no longer what they were when the key was built.

    Names that the body binds are results, not changes.
    """
    try:
        after = build(block, upstream).key
    except FingerprintError as error:
        return [error.path]
    roots = (d.name for d in compare(after.inputs, before.inputs))
    return [name for name in roots if name.partition(".")[0] not in block.writes]
