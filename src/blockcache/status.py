"""Would the blocks of a file hit? What can be known of that without running it.

A block's entries are compared with what the file, the modules beside it and the environment say now. What only a run
can know (the value of a data frame, the answer of a callable) becomes a condition, never a guess.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from blockcache import catalogue, compression, discovered, files, inputs, report, settings
from blockcache.errors import CacheError
from blockcache.fingerprint.code import facts
from blockcache.fingerprint.modules import counted, installed
from blockcache.fingerprint.values import describe, fingerprint
from blockcache.key import pinning
from blockcache.model import SERVED, Difference, Input, Manifest, likeliest_first
from blockcache.nearest import entries_of
from blockcache.program import Found, Named, Program, argument, is_fixed, literal, meaning, module_file, module_program
from blockcache.stores import Store
from blockcache.stores.local import LocalStore
from blockcache.texts import REDACTED, redact

Verdict = Literal["hit", "hit if", "miss", "unknown"]
#: What only a run knows, in the order in which it is told: of one, and of several.
_UNKNOWN = {
    "value": ("the value of {}", "the values of {}"),
    "path": ("what made {}", "what made {}"),
    "extra": ("the declared value {}", "the declared values {}"),
    "file": ("the declared file {}", "the declared files {}"),
    "state": ("the state of {}", "the states of {}"),
    "definition": ("the source of {}", "the sources of {}"),
    "module": ("what {} holds", "what {} hold"),
}
_DECLARED = frozenset({"file", "env", "extra"})
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
#: How many entries of a name are compared, and how many names a condition tells.
_MOST_ENTRIES = 50
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """What can be known of one block.

    Attributes
    ----------
    name
        The block's name; that of an entry with the same body where it is computed, or empty.
    place
        ``file:line``.
    verdict
        ``hit``; ``hit if`` the conditions hold; ``miss``; ``unknown``.
    reason
        Why, in one clause; for ``hit if``, the conditions.
    differences
        What is not as in the nearest entry.
    entry
        The entry that would answer, or the nearest one.
    texts
        Source now and in that entry, by ``"<kind> <name>"``, of what changed.
    values
        Names of values that only a run knows.
    """

    name: str
    place: str
    verdict: Verdict
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    entry: Manifest | None = None
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    values: tuple[str, ...] = ()


def judge(path: str, store: str | None = None) -> list[Judged]:
    """What can be known of each block of a file.

    Parameters
    ----------
    path
        A script, a Jupyter notebook or a marimo notebook. Relative paths in it count from the current directory.
    store
        The store; None for the one that the file's folder leads to.

    Raises
    ------
    Unreadable
        When the file cannot be read.
    SettingError
        When a setting has a value that it cannot have.
    """
    program = Program(path)
    judged: list[Judged] = []
    made_again: dict[str, str] = {}  # name -> the block before that makes it and would run
    for found in program.blocks():
        one = _Judge(program, found, store).judge()
        again = {name: made_again[name] for name in one.values if name in made_again}
        for block in dict.fromkeys(again.values()):
            names = _listed([name for name in again if again[name] == block])
            one = replace(one, reason=f"{one.reason}; {block or 'a block before'} makes {names} and would run")
        judged.append(one)
        if one.verdict == "miss" and found.block is not None:
            made_again |= dict.fromkeys(found.block.writes, report.one_line(one.name))
    return judged


class _Constant(NamedTuple):
    """A literal that a name was bound to; ``surely`` when nothing can have changed it since."""

    value: object
    surely: bool


@dataclass(slots=True)
class _Comparison:
    """One entry against what is known now."""

    manifest: Manifest
    was_texts: Mapping[str, str]
    reason: str = ""
    differences: list[Difference] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)
    further: list[str] = field(default_factory=list)
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)  # text of definitions that did not change, by label

    def differs(self, now: Input | None, was: Input | None) -> None:
        there = now or was
        assert there is not None
        self.differences.append(Difference(there.kind, there.name, now, was))

    def cannot_tell(self, item: Input, name: str = "") -> None:
        names = self.unknown.setdefault(item.kind, [])
        name = name or item.name.partition(" ")[0]
        if name not in names:
            names.append(name)

    @property
    def cost(self) -> tuple[bool, int, int]:
        """How far it is from a hit."""
        missed = bool(self.reason or self.differences)
        return missed, len(self.differences), sum(map(len, self.unknown.values())) + len(self.further)

    @property
    def conditions(self) -> str:
        """What must hold for a hit, in one clause; empty when nothing must."""
        clauses = [
            (one if len(self.unknown[kind]) == 1 else many).format(_listed(self.unknown[kind]))
            for kind, (one, many) in _UNKNOWN.items()
            if kind in self.unknown
        ]
        several = len(clauses) > 1 or any(len(names) > 1 for names in self.unknown.values())
        found = [f"{_joined(clauses)} {'are as they were' if several else 'is as it was'}"] if clauses else []
        return ", and ".join(found + self.further)


class _Judge:
    """Finds the verdict on one block."""

    def __init__(self, program: Program, found: Found, store: str | None) -> None:
        self.program, self.found = program, found
        self.settings = settings.resolve(program.folder, store=store or program.text(argument(found.call, "store")))
        self.store_path = settings.store_path(self.settings, program.folder)
        self._modules: dict[str, tuple[Program, str] | None] = {}

    def judge(self) -> Judged:
        found = self.found
        name, place = found.name or "", found.place
        if found.block is None:
            return Judged(name, place, "unknown", found.problem)
        mode = self.program.text(argument(found.call, "mode")) or self.settings.mode
        if mode in ("off", "refresh"):
            return Judged(name, place, "miss", f"its mode is {mode}: it runs")
        store = LocalStore(self.store_path) if os.path.isdir(self.store_path) else None
        entries = self._entries(store) if store is not None else []
        if store is None or not entries:
            if found.name is None:
                return Judged(name, place, "unknown", "its name is computed, and no entry has this body")
            return Judged(name, place, "miss", "not saved yet")
        best = min((self._compare(store, entry) for entry in entries), key=lambda c: c.cost)
        name = name or best.manifest.name
        if best.cost[0]:
            differences = likeliest_first(best.differences)
            reason = best.reason or report.reason(differences)
            return Judged(name, place, "miss", reason, differences, best.manifest, best.texts)
        conditions = best.conditions
        values = tuple(best.unknown.get("value", ()))
        return Judged(name, place, "hit if" if conditions else "hit", conditions, entry=best.manifest, values=values)

    def _entries(self, store: Store) -> list[Manifest]:
        """Entries of this name; where there are none, or it is computed, those of the same body."""
        assert self.found.block is not None
        named = list(entries_of(store, self.found.name)) if self.found.name is not None else []
        if not named:
            digest = self.found.block.digest
            every = (e.manifest for e in catalogue.read(store).entries)
            named = [m for m in every if any(i.kind == "code" and i.digest == digest for i in m.key.inputs)]
        return named[:_MOST_ENTRIES]

    # -- one entry -------------------------------------------------------------------------

    def _compare(self, store: Store, manifest: Manifest) -> _Comparison:
        found = _Comparison(manifest, catalogue.read_texts(store, manifest))
        if manifest.format not in SERVED:
            found.reason = "its entry is of an older format"
        elif not all(store.exists(f"blobs/{blob.digest}") for blob in manifest.blobs):
            found.reason = "its entry is not complete"
        elif manifest.is_coded and not compression.is_there():
            found.reason = f"its entry is compressed, which {compression.WAY_OUT}"
        for item in sorted(manifest.key.inputs, key=lambda i: i.kind != "definition"):
            self._input(found, item)
        self._declared(found)
        self._version(found)
        for item in manifest.discovered:
            if item.kind == "state":
                found.cannot_tell(item)
        try:
            seen = [i for i in manifest.discovered if i.kind != "state"]
            found.differences += discovered.changed(seen, manifest.stats, self._memo)
        except CacheError as error:
            found.reason = found.reason or str(error)
        self._age(found)
        if argument(self.found.call, "validate") is not None:
            found.further.append("validate() accepts the values")
        return found

    def _input(self, found: _Comparison, item: Input) -> None:
        match item.kind:
            case "code":
                self._body(found, item)
            case "definition":
                self._definition(found, item)
            case "value":
                self._value(found, item)
            case "module":
                self._module(found, item)
            case "distribution":
                self._distribution(found, item)
            case "python" if item.digest != _PYTHON:
                found.differs(item._replace(digest=_PYTHON, note=_PYTHON), item)
            case "state" | "path":
                found.cannot_tell(item)
            case _:
                pass

    def _body(self, found: _Comparison, item: Input) -> None:
        block = self.found.block
        assert block is not None
        if block.digest != item.digest:
            found.differs(item._replace(digest=block.digest), item)
            found.texts["code body"] = redact(block.source, self.settings.redact), found.was_texts.get("code body", "")

    def _definition(self, found: _Comparison, item: Input) -> None:
        label, documentation, _ = item.name.partition(" (documentation)")
        was = found.was_texts.get(f"definition {label}")
        if was is None and self._is_derived(found, label):
            return
        now = self._definitions(label)
        if was is None or now is None or len(now) > 1:
            found.cannot_tell(item, label)
            return
        if not now:
            found.differs(None, item)
            return
        text = redact(now[0].text, self.settings.redact)
        if documentation:
            if text.strip() != was.strip():
                found.cannot_tell(item, label)
        elif text.strip() == was.strip() or _mean_the_same(text, was, self._members(found, label)):
            found.same[label] = text
            if REDACTED in was:
                found.cannot_tell(item, label)
            if _has_computed_defaults(text):
                found.further.append(f"the defaults of {label} are as they were")
        else:
            what = item.note.partition(" ")[0] or "definition"
            found.differs(item._replace(digest="", note=f"{what} {now[0].place}"), item)
            found.texts[f"definition {label}"] = text, was

    @staticmethod
    def _is_derived(found: _Comparison, name: str) -> bool:
        """Whether a library made something of a definition that did not change (a dataclass's methods, a wrapper)."""
        parts = name.removeprefix("function ").split(".")
        if any(part.startswith("__") and ".".join(parts[:n]) in found.same for n, part in enumerate(parts)):
            return True
        if "__create_fn__" in parts:  # how dataclasses make a method
            return True
        root = name.rpartition(" ")[2].partition(".")[0]
        return root == "builtins" or root in sys.stdlib_module_names

    @staticmethod
    def _members(found: _Comparison, label: str) -> set[str]:
        """Members of a class that are inputs of their own."""
        return {i.name.removeprefix(f"{label}.") for i in found.manifest.key.inputs if i.name.startswith(f"{label}.")}

    def _definitions(self, label: str) -> list[Named] | None:
        """The definitions that a label may stand for; None where that cannot be told."""
        if "#" in label or "<lambda>" in label:
            return None
        here = self.program.definitions(label)
        if here or "." not in label:
            return here
        elsewhere = self._in_module(label)
        return elsewhere[0].definitions(elsewhere[1]) if elsewhere is not None else []

    def _in_module(self, label: str) -> tuple[Program, str] | None:
        if label not in self._modules:
            self._modules[label] = module_program(label, self.program.folder)
        return self._modules[label]

    def _value(self, found: _Comparison, item: Input) -> None:
        if item.digest.startswith(("ignored", "path ")) or self._is_derived(found, item.name.removesuffix(" (local)")):
            return
        if " " in item.name or "#" in item.name:  # a local of a function, or one of several of the name
            found.cannot_tell(item)
        elif item.digest == item.note or item.digest == "unbound":
            if not self._is_bound_to(item):
                found.cannot_tell(item)
        else:
            known = self._constant(found, item.name)
            if known is not None and fingerprint(known.value) != item.digest:
                now = item._replace(digest=fingerprint(known.value), note=describe(known.value, item.name))
                found.differs(now, item)
            elif known is None or not known.surely:
                found.cannot_tell(item)

    def _is_bound_to(self, item: Input) -> bool:
        """Whether a name is surely bound to the definition or module that it was bound to."""
        if item.digest == "unbound":
            return "." not in item.name and not self.program.is_bound(item.name)
        bound = self.program.binding(item.name)
        if bound is None:
            return False
        # A module's label is that of what is used of it; a name may be imported from where it is only passed on.
        labels = [part.rpartition(" ")[2] for part in item.digest.split("; ")]
        return all(
            label == bound or label.startswith(f"{bound}.") or label.rpartition(".")[2] == bound.rpartition(".")[2]
            for label in labels
        )

    def _constant(self, found: _Comparison, name: str) -> _Constant | None:
        """The literal that a name stands for; None where only a run knows."""
        owner, _, attribute = name.rpartition(".")
        here = self.program
        if not owner:
            if name in here.constants:
                value = here.constants[name]
                return _Constant(value, is_fixed(value) or name not in here.perhaps_changed)
            source = here.binding(name)  # `from settings import SCALE`
            return self._constant(found, source) if source is not None and "." in source else None
        if attribute in here.set_attributes:
            return None
        if owner in found.same:
            return _class_attribute(found.same[owner], attribute)
        root = name.partition(".")[0]
        if here.is_bound(root) and here.binding(root) != root:
            return None  # an object's attribute, and no module's
        module, rest = self._in_module(name) or (None, "")
        if module is None or rest not in module.constants or rest in module.set_attributes:
            return None
        value = module.constants[rest]
        return _Constant(value, is_fixed(value) or rest not in module.perhaps_changed | here.perhaps_changed)

    def _module(self, found: _Comparison, item: Input) -> None:
        if item.note in found.same or item.note.startswith("value "):
            return  # a name in a module, bound to what is an input of its own
        file = module_file(item.name, self.program.folder) if item.note.endswith(".py") else None
        if file is None:
            found.cannot_tell(item)
            return
        try:
            with open(file, "rb") as source:
                digest = facts(compile(source.read(), file, "exec", dont_inherit=True)).digest
        except (OSError, SyntaxError, ValueError):
            digest = ""
        if digest != item.digest:
            found.differs(item._replace(digest=digest), item)

    def _distribution(self, found: _Comparison, item: Input) -> None:
        version = installed(item.name)
        if version is None:
            found.differs(None, item)
            return
        pin = argument(self.found.call, "pin")
        level = literal(pin) if pin is not None else "exact"
        try:
            counts = counted(version, pinning(level)(item.name))
        except CacheError:  # computed
            counts = version
            if version.startswith(f"{item.digest}.") or item.digest == "any":
                counts = item.digest
        if counts != item.digest:
            found.differs(item._replace(digest=counts, note=version), item)

    # -- what the call says ----------------------------------------------------------------

    def _declared(self, found: _Comparison) -> None:
        was = {(i.kind, i.name): i for i in found.manifest.key.inputs if i.kind in _DECLARED}
        given = argument(self.found.call, "inputs")
        elements: list[ast.expr] = []
        if given is not None:
            elements = given.elts if isinstance(given, (ast.List, ast.Tuple)) else [given]
        known = [self._declaration(element) for element in elements]
        try:
            listed = inputs.evaluate(
                [one for one in known if one is not None],
                folder=os.getcwd(),
                sets=self.settings.inputs,
                sets_folder=os.path.dirname(self.settings.origin["inputs"]),
                fingerprint=lambda value, name: fingerprint(value, name=name),
                memo=self._memo,
            )
        except CacheError as error:
            found.reason = found.reason or str(error)
            return
        for item in listed:
            before = was.pop((item.kind, item.name), None)
            if before is None or before.digest != item.digest:
                found.differs(item, before)
        has_paths = any(i.kind == "path" for i in found.manifest.key.inputs)
        for item in was.values():
            if item.kind == "file" and has_paths:  # a file behind a value that counts by its execution path
                digest = files.digest(item.name, self._memo)
                if digest != item.digest:
                    found.differs(item._replace(digest=digest), item)
            elif None in known:
                found.cannot_tell(item, item.name)
            else:
                found.differs(None, item)

    def _declaration(self, node: ast.expr) -> object | None:
        """What an element of ``inputs=`` declares; None when only a run knows, or a server."""
        text = self.program.text(node)
        if text is not None:
            members = self.settings.inputs.get(text[1:], ()) if text.startswith("@") else (text,)
            return None if any("://" in m or m.startswith("@") for m in members) else text
        match node:
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[only], keywords=[]):
                text = self.program.text(only)
                if text is not None and called in ("Path", "file") and "://" not in text:
                    return inputs.file(text)
                return inputs.env(text) if text is not None and called == "env" else None
            case _:
                return None

    def _version(self, found: _Comparison) -> None:
        was = next((i for i in found.manifest.key.inputs if i.kind == "version"), None)
        given = argument(self.found.call, "version")
        value = literal(given)
        if isinstance(value, ast.AST):
            found.further.append("its version= is as it was")
            return
        now = None if value is None else Input("version", "version", f"{value!r}", f"{value!r}")
        if (now and now.digest) != (was and was.digest):
            found.differs(now, was)

    def _age(self, found: _Comparison) -> None:
        given = argument(self.found.call, "ttl")
        ttl = literal(given) if given is not None else self.settings.ttl
        if isinstance(ttl, (str, int, float)):
            made = datetime.fromisoformat(found.manifest.provenance.made_at)
            try:
                if (datetime.now(UTC) - made).total_seconds() >= inputs.parse_ttl(ttl):
                    found.reason = found.reason or "the entry is older than its ttl allows"
            except CacheError as error:
                found.reason = str(error)
        elif ttl is not None:
            found.further.append("its ttl= allows the entry's age")

    @property
    def _memo(self) -> str:
        return os.path.join(self.store_path, ".memo")


def _mean_the_same(text: str, other: str, apart: set[str]) -> bool:
    first = meaning(text, apart)
    return first is not None and first == meaning(other, apart)


def _has_computed_defaults(text: str) -> bool:
    """Whether a function has a default whose value is not in its text."""
    try:
        node = ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        return False
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
    return any(isinstance(literal(default), ast.AST) for default in defaults)


def _class_attribute(text: str, name: str) -> _Constant | None:
    """The literal that a class body binds to a name, once."""
    try:
        node = ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        return None
    found = []
    for statement in node.body if isinstance(node, ast.ClassDef) else []:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            found.append(literal(getattr(statement, "value", None)))
    return _Constant(found[0], is_fixed(found[0])) if len(found) == 1 and not isinstance(found[0], ast.AST) else None


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return _joined([*names[:_MOST_NAMES], f"{more} more"] if more > 1 else names)


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""
