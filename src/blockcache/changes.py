"""What a body changes in place: found by looking before and after, made again by a hit in the same objects.

Everything that a block reaches is walked before its body runs: objects by the way that leads to them, and the variables
that its functions may bind. Afterwards those that hold other objects, or have another digest, are changes. A value of
the entry that is an upstream object is saved as the way to it, so that a hit gives the very object.
"""

from __future__ import annotations

import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from blockcache import beside
from blockcache.analysis import Block
from blockcache.errors import CodecError, FingerprintError
from blockcache.fingerprint import modules
from blockcache.fingerprint.code import Chain, facts
from blockcache.fingerprint.plain import PLAIN
from blockcache.fingerprint.registry import Cached
from blockcache.fingerprint.values import fingerprint
from blockcache.inplace import Layer, Step, layers_of, part
from blockcache.key import Built, Upstream

#: Where a walk begins: ("name", n) a name of the block, ("label", text) a definition; then steps.
Address = tuple[Step, ...]

_MISSING = object()
#: What Python keeps for itself in modules and classes.
_TRIVIA = ("__", "_abc_")
#: But for these, which others get by :func:`functools.update_wrapper`.
_TAKEN_ALONG = frozenset({"__annotations__", "__dataclass_fields__", "__dataclass_params__", "__attrs_attrs__"})


class _Weak(weakref.ref[Any]):
    """A hold that does not keep its object alive; of a class of its own, because a value may be a weak reference."""

    __slots__ = ()


def _hold(value: object) -> object:
    """Something that gives the object back without keeping it alive where that can be done."""
    if type(value) in PLAIN:
        return value
    try:
        return _Weak(value)
    except TypeError:
        return value


def _held(hold: object) -> object:
    return hold() if type(hold) is _Weak else hold


class _Node(NamedTuple):
    hold: object
    above: int  # number of the node that it is a part of; -1 for a root
    step: Step
    display: str
    looks: tuple[object, ...]  # for each layer: what it held, or its digest


class _Variable(NamedTuple):
    """A variable that code may bind: a global of a function, a cell, an attribute of a class, function or module."""

    kind: str
    holder: Any
    name: str
    display: str
    hold: object


class Change(NamedTuple):
    """One thing that the body changed.

    Attributes
    ----------
    display
        What it is, for people.
    made
        How a hit makes it again: plain tuples that hold the upstream objects themselves.
    contents
        What is saved by its elements although its memory is an upstream object's.
    """

    display: str
    made: tuple[Any, ...]
    contents: tuple[object, ...] = ()


class Walk:
    """Upstream objects and variables as they were before the body.

    Parameters
    ----------
    block
        What the body reads.
    upstream
        What its names are bound to.
    built
        Its key and the definitions that it reaches.
    """

    def __init__(self, block: Block, upstream: Upstream, built: Built, ignored: tuple[type, ...] = ()) -> None:
        self._label = built.label
        self._ignored = ignored
        self._home = upstream.globals
        self._names = {name: id(value) for name, value in upstream.globals.items() if _is_noted(name)}
        self._nodes: list[_Node] = []
        self._numbers: dict[int, int] = {}
        self._variables: list[_Variable] = []
        self._roots: list[tuple[str, object]] = []
        self._known: set[tuple[int, str]] = set()
        self._whole: set[int] = set()
        # First in, first out: every object gets its shortest way, not one through what some cache holds.
        self._todo: deque[tuple[object, int, Step, str]] = deque()
        self._still: deque[tuple[object, int, Step, str]] = deque()
        for name, value in upstream.bound.items():
            if isinstance(value, types.ModuleType):
                self._module(("name", name), value, block.reads.get(name, ((),)))
            else:
                self._visit(value, ("name", name), block.written.get(name, name))
        for label, definition in built.objects.items():
            if isinstance(definition, types.FunctionType):
                if modules.origin_of_file(definition.__code__.co_filename) != "local":
                    self._wrapper(label, definition)
                    continue
                self._function(label, definition, upstream.globals)
            elif isinstance(definition, type):
                self._class(label, definition)
        while self._still:  # last: what is watched as well is known by now
            self._enter(*self._still.popleft(), watched=False)

    # -- before ----------------------------------------------------------------------------

    def _visit(self, value: object, root: Step, display: str) -> None:
        self._roots.append((display, _hold(value)))
        self._todo.append((value, -1, root, display))
        while self._todo:
            self._enter(*self._todo.popleft())

    def _enter(self, value: object, above: int, step: Step, display: str, watched: bool = True) -> None:
        if type(value) in PLAIN or id(value) in self._numbers or isinstance(value, Cached):
            return  # a cached function is known by its label
        layers = layers_of(type(value))
        if not layers and isinstance(value, (type, types.FunctionType, types.ModuleType)):
            return  # known by their labels
        number = self._numbers[id(value)] = len(self._nodes)
        ignored = isinstance(value, self._ignored)
        looks = tuple(self._look(layer, value) for layer in layers) if watched and not ignored else ()
        self._nodes.append(_Node(_hold(value), above, step, display, looks))
        if not ignored:
            for layer in layers:
                todo = self._todo if watched else self._still
                todo.extend((c, number, below, display) for below, c in layer.parts(value) if type(c) not in PLAIN)
                still = layer.still(value)
                self._still.extend((c, number, below, display) for below, c in still if type(c) not in PLAIN)

    def _look(self, layer: Layer, value: object) -> object:
        if not layer.watched:
            return None
        found = layer.held(value)
        if found is not None:
            return found if PLAIN.keys() >= set(map(type, found)) else [*map(_hold, found)]
        try:
            return fingerprint(layer.digested(value), self._label, ignored=self._ignored, locate=False)
        except (FingerprintError, TypeError):
            return None  # without content: its own probe tells

    def _bindable(self, kind: str, holder: Any, name: str, display: str, value: object) -> None:
        if (id(holder), name) not in self._known:
            self._known.add((id(holder), name))
            self._variables.append(_Variable(kind, holder, name, display, _hold(value)))

    def _module(self, root: Step, module: types.ModuleType, chains: tuple[Chain, ...]) -> None:
        if modules.origin_of_module(module) != "local":
            return
        own = vars(module)
        if () in chains:
            if id(module) in self._whole:
                return  # a module may hold itself
            self._whole.add(id(module))
            self._bindable("attributes", module, "__dict__", module.__name__, tuple(_members(module)))
        for name in _members(module) if () in chains else {chain[0] for chain in chains if chain}:
            value = own.get(name, _MISSING)
            display = f"{module.__name__}.{name}"
            if (id(own), name) in self._known:
                continue
            self._bindable("module", module, name, display, value)
            if isinstance(value, types.ModuleType):
                rest = ((),) if () in chains else tuple(chain[1:] for chain in chains if chain[0] == name)
                self._module(("module", value.__name__), value, rest)
            elif value is not _MISSING:
                self._visit(value, ("global of", (module.__name__, name)), display)

    def _function(self, label: str, function: types.FunctionType, home: Mapping[str, object]) -> None:
        known = facts(function.__code__)
        own = function.__globals__
        prefix = "" if own is home else f"{function.__module__}."
        for name in sorted(known.globals.keys() | known.sets):
            value = own.get(name, _MISSING)
            if isinstance(value, types.ModuleType):
                self._module(("module", value.__name__), value, known.globals.get(name, ((),)))
            elif value is not _MISSING:
                self._visit(value, ("global", (label, name)), f"{prefix}{name}")
            if name in known.sets:
                self._bindable("global", function, name, f"{prefix}{name}", value)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            value = _contents(cell)
            self._bindable("cell", function, name, f"{label}.{name}", value)
            if value is not _MISSING:
                self._visit(value, ("cell", (label, name)), f"{label}.{name}")
        for name, value in function.__dict__.items():
            self._bindable("attribute", function, name, label, value)
            self._visit(value, ("own", (label, name)), label)
        self._bindable("attributes", function, "__dict__", label, tuple(function.__dict__))
        self._visit((function.__defaults__, function.__kwdefaults__), ("defaults", label), label)
        self._visit(function.__annotations__, ("annotations", label), label)

    def _wrapper(self, label: str, function: types.FunctionType) -> None:
        """A function that a library made: what it keeps for itself is not looked into, but for plain values."""
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            value = _contents(cell)
            if type(value) in PLAIN:
                self._bindable("cell", function, name, f"{label}.{name}", value)

    def _class(self, label: str, cls: type) -> None:
        for name, value in list(vars(cls).items()):
            if name in _TAKEN_ALONG:
                self._visit(value, ("member", (label, name)), f"{label}.{name}")
            if name.startswith(_TRIVIA):
                continue
            self._bindable("attribute", cls, name, label, value)
            if not hasattr(type(value), "__get__") and not isinstance(value, type):
                self._visit(value, ("member", (label, name)), f"{label}.{name}")
        self._bindable("attributes", cls, "__dict__", label, tuple(_members(cls)))

    # -- after -----------------------------------------------------------------------------

    def objects(self) -> list[object]:
        """Every upstream object by its number; None for one that is gone."""
        return [_held(node.hold) for node in self._nodes]

    def reaches(self, value: object) -> bool:
        """Whether it is one of the upstream objects."""
        number = self._numbers.get(id(value))
        return number is not None and _held(self._nodes[number].hold) is value

    def address(self, number: int) -> Address:
        """The way to the object of a number."""
        steps: list[Step] = []
        while number >= 0:
            node = self._nodes[number]
            steps.append(node.step)
            number = node.above
        return tuple(reversed(steps))

    def changes(self, bound_by_body: Callable[[str, Mapping[str, object]], bool]) -> Iterator[Change]:
        """What is not as it was.

        Parameters
        ----------
        bound_by_body
            Whether a variable (its name, its namespace) is one that the body itself binds.

        Raises
        ------
        CodecError
            When something changed that cannot be made again.
        """
        for node in self._nodes:
            value = _held(node.hold)
            if value is None:
                continue  # nobody can see it any more
            for layer, look in zip(layers_of(type(value)), node.looks, strict=False):
                if look is None or self._same(layer, value, look):
                    continue
                if layer.put is None:
                    what = f"{node.display} ({type(value).__qualname__})"
                    raise CodecError(f"the body changes {what} in place, which a hit could not repeat")
                contents = layer.contents(value)
                yield Change(node.display, ("contents", value, layer.name, contents), _parts_of(contents))
        for variable in self._variables:
            yield from self._rebound(variable, bound_by_body)
        self._check_names(bound_by_body)

    def _check_names(self, bound_by_body: Callable[[str, Mapping[str, object]], bool]) -> None:
        """Refuse names of the module that neither the body has bound nor code that it is known to reach."""
        known = {v.name for v in self._variables if v.kind == "global" and v.holder.__globals__ is self._home}
        known |= {v.name for v in self._variables if v.kind == "module" and vars(v.holder) is self._home}
        strange = [
            name
            for name, value in list(self._home.items())
            if self._names.get(name) != id(value)
            and _is_noted(name)
            and name not in known
            and not str(type(value).__module__).startswith("blockcache.")  # the name behind `as`
            and not bound_by_body(name, self._home)
        ]
        if strange:
            others = beside.bound_by_threads(self._home)
            strange = [name for name in strange if name not in others]
        if strange:
            raise CodecError(
                f"{', '.join(sorted(strange))} was bound in the module by other code than the body's, which a hit "
                "could not repeat; bind what that code gives by an assignment"
            )

    def unexplained(self, names: Iterable[str], changes: Iterable[Change]) -> list[str]:
        """Those of the names of inputs whose change is not one of ``changes``."""
        changes = list(changes)
        objects = {id(change.made[1]) for change in changes if change.made[0] == "contents"}
        displays = {change.display for change in changes}
        # One object may be known by several names.
        displays |= {display for display, hold in self._roots if display not in displays and _leads(hold, objects)}
        lost = [n for n in names if not any(_is_part(n, d) or _is_part(d, n) for d in displays)]
        # What an execution path reads is no root of the walk, and may hold what changed.
        return [n for n in lost if not _leads(self._home.get(n.partition(".")[0].partition(" ")[0]), objects)]

    def _same(self, layer: Layer, value: object, look: object) -> bool:
        now = layer.held(value)
        if now is None or not isinstance(look, list):
            return self._look(layer, value) == look
        return len(now) == len(look) and all(_held(h) is n for h, n in zip(look, now, strict=True))

    def _rebound(
        self, variable: _Variable, bound_by_body: Callable[[str, Mapping[str, object]], bool]
    ) -> Iterator[Change]:
        kind, holder, name, display, hold = variable
        if kind == "attributes":  # names that were not there
            added = set(_members(holder)).difference(hold)  # type: ignore[arg-type]
            kind = "module" if isinstance(holder, types.ModuleType) else "attribute"
            for new in sorted(added):
                value = _members(holder)[new]
                if not isinstance(value, types.ModuleType):  # imports bind submodules in their packages
                    yield Change(display, ("bind", kind, holder, new, value))
            return
        value = _value(kind, holder, name)
        if value is _held(hold) or (kind in ("global", "module") and bound_by_body(name, _namespace(kind, holder))):
            return
        if value is _MISSING:
            yield Change(display, ("unbind", kind, holder, name))
        else:
            yield Change(display, ("bind", kind, holder, name, value))


def _is_noted(name: str) -> bool:
    """Whether a program binds the name; a notebook keeps some that begin with an underscore."""
    return not name.startswith("_")


def _leads(hold: object, objects: set[int]) -> bool:
    """Whether a value is, or holds, one of some objects."""
    seen: set[int] = set()
    todo = [_held(hold)]
    while todo and objects:
        value = todo.pop()
        if id(value) in objects:
            return True
        if id(value) not in seen and type(value) not in PLAIN:
            seen.add(id(value))
            todo += [child for layer in layers_of(type(value)) for _, child in layer.parts(value)]
    return False


def _members(holder: Any) -> Mapping[str, object]:
    if isinstance(holder, types.FunctionType):
        return dict(holder.__dict__)
    return {name: value for name, value in vars(holder).items() if not name.startswith(_TRIVIA)}


def _namespace(kind: str, holder: Any) -> dict[str, object]:
    found: dict[str, object] = holder.__globals__ if kind == "global" else vars(holder)
    return found


def _cell(function: types.FunctionType, name: str) -> types.CellType:
    cells = function.__closure__ or ()
    return cells[function.__code__.co_freevars.index(name)]


def _contents(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return _MISSING


def _value(kind: str, holder: Any, name: str) -> object:
    if kind == "cell":
        return _contents(_cell(holder, name))
    found = _namespace(kind, holder) if kind in ("global", "module") else vars(holder)
    return found.get(name, _MISSING)


def set_on_imports(block: Block, after: Mapping[str, object]) -> Iterator[Change]:
    """Attributes that the body itself sets on local modules which it imports: nothing is known of them before.

    Parameters
    ----------
    block
        The body.
    after
        What its names are bound to afterwards.
    """
    imported = {ref.name: after.get(ref.name) for ref in block.imports if ref.name in after}
    local = {
        name: module
        for name, module in imported.items()
        if isinstance(module, types.ModuleType) and modules.origin_of_module(module) == "local"
    }
    if not local or not block.source:
        return
    import ast
    import textwrap

    for node in ast.walk(ast.parse(textwrap.dedent(block.source))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and not isinstance(node.ctx, ast.Load):
            name, attribute = node.value.id, node.attr
            if name in local and attribute in vars(local[name]):
                value = vars(local[name])[attribute]
                yield Change(f"{name}.{attribute}", ("bind", "module", local[name], attribute, value))


def _parts_of(contents: object) -> tuple[object, ...]:
    return (contents, *contents) if type(contents) is tuple else (contents,)


def _is_part(name: str, whole: str) -> bool:
    return name.startswith(whole) and (len(name) == len(whole) or name[len(whole)] in ".[ #")


# -- a hit -------------------------------------------------------------------------------------


def find(address: Address, upstream: Upstream, built: Built) -> object:
    """The live object that a saved way leads to.

    Raises
    ------
    CodecError
        When there is none.
    """
    (kind, what), *steps = address
    try:
        value = _root(kind, what, upstream, built)
        for step in steps:
            value = part(value, step)
    except (LookupError, AttributeError, TypeError, ValueError, StopIteration) as error:
        raise CodecError(f"an upstream object is not where it was ({type(error).__name__}: {error})") from error
    return value


def _root(kind: str, what: Any, upstream: Upstream, built: Built) -> object:
    if kind == "name":
        return upstream.bound[what]
    if kind == "global of":
        return vars(sys.modules[what[0]])[what[1]]
    if kind == "defaults":
        function: Any = built.objects[what]
        return function.__defaults__, function.__kwdefaults__
    if kind == "annotations":
        annotated: Any = built.objects[what]
        return annotated.__annotations__
    owner: Any = built.objects[what[0]]
    if kind == "global":
        return owner.__globals__[what[1]]
    if kind == "cell":
        return _cell(owner, what[1]).cell_contents
    return vars(owner)[what[1]]


def target(made: tuple[Any, ...]) -> tuple[object, ...]:
    """What tells one change from others: its object and layer, or its variable."""
    kind, holder = (made[0], made[1]) if made[0] == "contents" else (made[1], made[2])
    return kind, id(holder), made[2] if made[0] == "contents" else made[3]


def check(changes: Iterable[tuple[Any, ...]]) -> None:
    """Whether every change can be made now.

    Raises
    ------
    CodecError
        When one cannot.
    """
    for change in changes:
        if change[0] == "contents":
            _, value, name, contents = change
            layer = _layer(value, name)
            if layer is None or layer.put is None or not layer.ready(value, contents):
                raise CodecError(f"a {type(value).__qualname__} cannot be changed as the body changed it")


def _layer(value: object, name: str) -> Layer | None:
    return next((layer for layer in layers_of(type(value)) if layer.name == name), None)


def apply(changes: Iterable[tuple[Any, ...]]) -> None:
    """Do what the body did to upstream objects."""
    for change in changes:
        if change[0] == "contents":
            _, value, name, contents = change
            layer = _layer(value, name)
            assert layer is not None and layer.put is not None
            layer.put(value, contents)
            continue
        what, kind, holder, name, *bound = change
        if kind == "cell":
            cell = _cell(holder, name)
            if bound:
                cell.cell_contents = bound[0]
            else:
                del cell.cell_contents
        elif kind in ("global", "module"):
            namespace = _namespace(kind, holder)
            if what == "bind":
                namespace[name] = bound[0]
            else:
                namespace.pop(name, None)
        elif what == "bind":
            (type.__setattr__ if isinstance(holder, type) else setattr)(holder, name, bound[0])
        else:
            (type.__delattr__ if isinstance(holder, type) else delattr)(holder, name)
