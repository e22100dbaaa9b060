"""Everything that a block reaches, as a flat list of labelled inputs.

Starting from the names that a block reads, values are fingerprinted by content
and local functions and classes are walked through the globals, closure cells,
defaults, members and bases that they use. Each definition becomes one input
whose digest covers its own code and the *labels* of what its names are bound
to; what those labels stand for are inputs of their own. The set is flat, so
cycles need no special case and two keys compare input by input.
"""

from __future__ import annotations

import builtins
import copyreg
import enum
import functools
import importlib
import os
import re
import sys
import threading
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import xxhash

from blockcache.errors import FingerprintError
from blockcache.fingerprint import imports, modules, patched
from blockcache.fingerprint.code import DYNAMIC, OPAQUE_ATTRIBUTES, Chain, CodeFacts, facts, words
from blockcache.fingerprint.reduce import global_generator
from blockcache.fingerprint.registry import Cached
from blockcache.fingerprint.values import describe, fingerprint
from blockcache.model import Input, Kind

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
#: Locks and loggers carry no result of their own: they count by type, never by content. What a logger lets through
#: is a state, where the code asks for it.
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
#: What a function calls whose reads of names cannot be known from its code; its own locals are known.
_OPAQUE = (DYNAMIC | OPAQUE_ATTRIBUTES | {"sys.modules"}) - {"locals", "vars"}
_OPAQUE_CALLABLES = (eval, exec, globals, __import__, importlib.import_module)
_BUILTIN_CALLABLES = (
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_UNPICKLERS = frozenset({"_pickle.Unpickler", "_pickle.loads", "pickle.Unpickler", "pickle.loads"})
#: Names in a module that the import system puts there, and its docstring.
_IMPORT_SYSTEM = frozenset(
    {
        "__annotations__",
        "__builtins__",
        "__cached__",
        "__doc__",
        "__file__",
        "__loader__",
        "__name__",
        "__package__",
        "__path__",
        "__spec__",
    }
)
#: Names in a class that are derived from the rest or say nothing of its behaviour.
_CLASS_TRIVIA = frozenset(
    {
        "__abstractmethods__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__module__",
        "__parameters__",
        "__slotnames__",
        "__qualname__",
        "__static_attributes__",
        "__weakref__",
        "_hashable_values_",
        "_member_map_",
        "_member_names_",
        "_new_member_",
        "_sort_order_",
        "_unhashable_values_",
        "_unhashable_values_map_",
        "_value2member_map_",
    }
)
_MISSING = object()


def _digest(parts: Iterable[str]) -> str:
    return xxhash.xxh3_128_hexdigest("\x1f".join(parts).encode("utf-8", "surrogatepass"))


def _carries_no_result(value: object) -> bool:
    if isinstance(value, _LOCKS):
        return True
    if "logging" not in sys.modules:
        return False
    import logging  # waits where another thread is importing it

    return isinstance(value, (logging.Logger, logging.LoggerAdapter))


def _place(code: types.CodeType) -> str:
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"


#: In a pickle: ``c module newline name newline``; from protocol 4 on two short texts, each with its length before it.
_PICKLED_LINES = re.compile(rb"c([A-Za-z_][\w.]*)\n([A-Za-z_][\w.]*)\n")
_PICKLED_PAIRS = re.compile(rb"\x8c[^\0]([A-Za-z_][\w.]*)\x94?\x8c[^\0]([A-Za-z_][\w.]*)\x94?\x93")


class _Library(NamedTuple):
    """A library's function or class: the text that stands for it, its dotted name, its distribution."""

    definition: types.FunctionType | type
    text: str
    dotted: str
    distribution: tuple[str, str] | None


# By identity.
_library: dict[int, _Library] = {}


#: The namespace that a name is looked up in (None: the block's frame), and the name.
Root = tuple[Mapping[str, object] | None, str]
#: Reaches a value that has no content by the code that made it: (root, its name for inputs, value) -> label.
Opaque = Callable[[Root, str, object], str]


class Reach:
    """Collects the inputs of one block.

    Parameters
    ----------
    home
        The block's module globals. What is defined there is labelled without a module name,
        so that a script, a Jupyter notebook and a marimo notebook agree.
    loaded
        Names of the modules that count as loaded; by default those that are.
    pin
        How exactly a distribution's version counts: ``exact``, ``minor``, ``major`` or None; by default exactly.
    ignored, ignored_names
        Types whose instances do not count, and names whose values do not.

    Attributes
    ----------
    inputs
        The inputs found so far, by (kind, name).
    objects
        The live function or class behind each label.
    home
        As given.
    uses
        Dotted names of what is used of libraries (``numpy.random.rand``, ``decimal.Decimal``), of builtins
        (``builtins.str``), and attributes that tell of ambient state wherever they occur (``.isEnabledFor``).
    docs_matter, subclasses_matter
        Whether anything reached reads docstrings or annotations, or asks for subclasses.

    Notes
    -----
    Every method may raise :class:`FingerprintError` with a path that names the culprit.
    """

    def __init__(
        self,
        home: Mapping[str, object],
        loaded: Collection[str] | None = None,
        pin: Callable[[str], str | None] | None = None,
        ignored: tuple[type, ...] = (),
        ignored_names: Collection[str] = (),
        paths: Opaque | None = None,
    ) -> None:
        self._pin = pin
        self._ignored = ignored
        self._ignored_names = ignored_names
        self._loaded = loaded
        self._paths = paths
        self._root: Root = (None, "")  # the name through which everything is reached just now
        self.inputs: dict[tuple[Kind, str], Input] = {}
        self.objects: dict[str, object] = {}
        self.uses: set[str] = set()
        self.docs_matter = False
        self.subclasses_matter = False
        self.home = home
        self._labels: dict[int, str] = {}
        self._kept: list[object] = []  # ids in _labels stay theirs
        self._values: dict[str, tuple[object, str]] = {}  # name -> the value last met, its label
        self._whole: set[int] = set()
        self._met: set[int] = set()  # library definitions whose patches are reached
        self._namespaces: dict[str, list[object]] = {}  # those that share one name, in order
        self._as_before: dict[int, str] = {}
        self._taken: frozenset[str] = frozenset()

    # -- what a block asks for -------------------------------------------------------------

    def read(self, name: str, value: object, chains: tuple[Chain, ...]) -> str:
        """Reach ``value`` under ``name``, used with attribute ``chains``; the label of what it is."""
        if name in self._ignored_names or isinstance(value, self._ignored):
            return self.ignore(name, value)
        if type(value) in _PLAIN:
            return self._value(name, value)
        if isinstance(value, types.ModuleType):
            return "; ".join(self._module(value, chain) for chain in chains)
        if any(value is opaque for opaque in _OPAQUE_CALLABLES):
            raise FingerprintError(f"{name} is {value!r}: what it reads cannot be known", path=name)
        label = self.label(value)
        if label is not None:
            library = _library.get(id(value))
            if library is not None:
                self.uses.update(f"{library.dotted}.{'.'.join(chain)}" for chain in chains if chain)
            return label
        if _carries_no_result(value):
            label = f"ignored {type(value).__qualname__}"
            self._values.setdefault(name, (value, label))
            return label
        if chains and self._plain_attributes(value, chains):
            attributes = sorted({chain[0] for chain in chains})
            return "; ".join(
                self.read(
                    f"{name}.{attribute}",
                    value.__dict__[attribute],
                    tuple(chain[1:] for chain in chains if chain[0] == attribute),
                )
                for attribute in attributes
            )
        return self._value(name, value)

    def ignore(self, name: str, value: object) -> str:
        """A value that the user says is no input; that it is ignored can be seen in the key."""
        return self._add_value(name, "ignored", f"{type(value).__qualname__}, ignored")

    def read_name(self, root: Root, name: str, value: object, chains: tuple[Chain, ...]) -> str:
        """Like :meth:`read`, for a value that is found through a variable."""
        before, self._root = self._root, root
        try:
            return self.read(name, value, chains)
        finally:
            self._root = before

    def content(self, name: str, value: object) -> None:
        """Let the content of a value count if it has any."""
        if name and ("value", name) not in self.inputs:
            try:
                digest = fingerprint(value, self.label, name=name, ignored=self._ignored, locate=False)
                self._add_value(name, digest, describe(value))
            except FingerprintError:
                return

    def unbound(self, name: str) -> str:
        """A name that is read and bound nowhere."""
        return self._add_value(name, "unbound", "not bound")

    def builtin_name(self, path: str, name: str, chains: tuple[Chain, ...]) -> str:
        """A name that no module binds: Python's own, put into ``builtins`` by the program, or not bound at all."""
        value = patched.foreign_builtin(name)
        if value is not NotImplemented:
            return self.read(f"builtins.{name}", value, chains)
        if name in patched.OWN_BUILTINS or name in vars(builtins):
            self.uses.add(f"builtins.{name}")
            return "builtin"
        return self.unbound(path)

    def imported(self, module: str, names: tuple[str, ...] | None, level: int, package: str) -> None:
        """An import statement that may run in the body."""
        if module == "__main__":
            raise FingerprintError("imports __main__: what it reads there cannot be known", path="__main__")
        if not level:
            self.uses.add(module)
            self.uses.update(f"{module}.{name}" for name in names or ())
        for found in imports.closure(module, names or (), level, package, self._loaded):
            if found.distribution is not None:
                self._distribution(found.distribution)
            elif found.module is not None:
                uses: list[Chain] = [(name,) for name in found.names] or [()]
                self._add("module", found.name, _digest(self._module(found.module, use) for use in uses), "loaded")
            else:
                self._add("module", found.name, found.digest, found.note)

    def values(self) -> dict[str, object]:
        """The values that were met, by name."""
        return {name: value for name, (value, _) in self._values.items()}

    def finish(self) -> None:
        """Add what depends on the whole: subclasses and docstrings count when anything reached asks for them."""
        if not self.uses.isdisjoint(_UNPICKLERS):
            for name, value in self.values().items():
                for module, qualname in names_in_pickle(value) if isinstance(value, bytes) else ():
                    self._unpickled(name, module, qualname)
        if self.subclasses_matter:
            todo: list[type] = [obj for obj in self.objects.values() if isinstance(obj, type)]
            while todo:
                subclasses: list[type] = type.__subclasses__(todo.pop())
                for sub in subclasses:
                    if id(sub) not in self._labels and self._class(sub) in self.objects:
                        todo.append(sub)
        if self.docs_matter:
            for label, definition in self.objects.items():
                self._add("definition", f"{label} (documentation)", _documentation(definition))

    def _unpickled(self, name: str, module: str, qualname: str) -> None:
        """A definition that a pickle names; what is not loaded would be imported."""
        loaded = sys.modules.get(module) if self._loaded is None or module in self._loaded else None
        if loaded is None:
            self.imported(module, (qualname.partition(".")[0],), 0, "")
        elif modules.origin_of_module(loaded) == "local":
            path = f"{name} -> {module}.{qualname}"
            self._add("value", path, _digest([self._module(loaded, tuple(qualname.split(".")))]))

    # -- values ----------------------------------------------------------------------------

    def _add(self, kind: Kind, name: str, digest: str, note: str = "") -> str:
        self.inputs[kind, name] = Input(kind, name, digest, note)
        return f"{kind} {name}"

    def _value(self, name: str, value: object) -> str:
        known = self._values.get(name)
        if known is not None and known[0] is value:
            return known[1]
        try:
            digest = fingerprint(value, self.label, name=name, ignored=self._ignored, locate=self._paths is None)
            label = self._add_value(name, digest, describe(value, name))
        except FingerprintError:
            if self._paths is None:
                raise
            label = self._paths(self._root, name, value)
        self._values.setdefault(name, (value, label))
        return label

    def _add_value(self, name: str, digest: str, note: str) -> str:
        """Add a value; another one of the same name (`cfg.lr` of an object and of a module) gets a number."""
        unique, n = name, 1
        while (known := self.inputs.get(("value", unique))) is not None and known.digest != digest:
            n += 1
            unique = f"{name}#{n}"
        self.inputs["value", unique] = Input("value", unique, digest, note)
        return f"value {unique}"

    @staticmethod
    def _plain_attributes(value: object, chains: tuple[Chain, ...]) -> bool:
        """Whether every use is of an instance attribute that no class of the value intercepts."""
        own = getattr(value, "__dict__", None)
        if type(own) is not dict or not all(chains) or not all(chain[0] in own for chain in chains):
            return False
        for base in type(value).__mro__:
            if base is not object and "__getattribute__" in base.__dict__:
                return False
            for chain in chains:
                found = base.__dict__.get(chain[0])
                if found is not None and hasattr(type(found), "__set__"):
                    return False
        return True

    # -- labels: what stands for a function, a class or a module ---------------------------

    def label(self, obj: object) -> str | None:
        """Text that stands for a function, class, method or module; None for anything else.

        Two objects with the same text are the same to a block, given that the inputs are equal.
        """
        known = self._labels.get(id(obj))
        if known is not None:
            return known
        if isinstance(obj, types.FunctionType):
            return self._function(obj)
        if isinstance(obj, type):
            return self._class(obj)
        if isinstance(obj, types.MethodType):
            owner = self.label(obj.__self__) or self._content(f"{obj.__qualname__}.__self__", obj.__self__)
            return f"method {self.label(obj.__func__)} of {owner}"
        if isinstance(obj, types.ModuleType):
            return self._module(obj, ())
        if isinstance(obj, _BUILTIN_CALLABLES):
            return self._builtin(obj)
        if isinstance(obj, Cached):
            return self._cached(obj)
        return None

    def _cached(self, obj: Cached) -> str:
        """A cached function is what it caches, and what its arguments say about that."""
        inner = self.label(obj.__wrapped__) or self._content(obj.__qualname__, obj.__wrapped__)
        known = self._labels.get(id(obj))  # it may call itself
        if known is not None:
            return known
        label = self._new_label(obj, f"cached {inner}")
        for found in obj.counts():
            # A file is the same whoever declares it.
            name = found.name if found.kind in ("file", "env") else f"{found.name} of {inner}"
            self.inputs[found.kind, name] = found._replace(name=name)
        return label

    def known_label(self, obj: object) -> str | None:
        """The label of a definition that the block reaches; None for anything else, however like it."""
        return self._labels.get(id(obj))

    def name_as(self, objects: Mapping[str, object]) -> None:
        """Give definitions the labels that they had; those of one name are numbered as they are met."""
        self._as_before = {id(obj): label for label, obj in objects.items()}
        self._taken = frozenset(objects)

    def _new_label(self, obj: object, base: str) -> str:
        label, n = self._as_before.get(id(obj), base), 1
        while label in self.objects or (label in self._taken and id(obj) not in self._as_before):
            n += 1
            label = f"{base}#{n}"
        self._labels[id(obj)] = label
        self._kept.append(obj)
        self.objects[label] = obj
        return label

    def _distribution(self, found: tuple[str, str] | None) -> None:
        if found is not None and ("distribution", found[0]) not in self.inputs:
            self._version(*found, "")
            # What it calls in turn takes part in every result: a new scipy below the same scikit-learn.
            for name, version in modules.required(found[0]):
                if ("distribution", name) not in self.inputs:
                    self._version(name, version, f"needed by {found[0]}")

    def _version(self, name: str, version: str, note: str) -> None:
        level = self._pin(name) if self._pin is not None else "exact"
        counts = modules.counted(version, level)
        if level != "exact":
            pinned = "any version counts as the same" if level is None else f"only its {level} version counts"
            note = ", ".join(filter(None, (note, pinned)))
        self._add("distribution", name, counts, f"{version}, {note}" if note else version)

    def _of_library(self, obj: types.FunctionType | type, kind: str, top: str) -> str:
        """A definition that a distribution's version settles."""
        dotted = f"{obj.__module__}.{obj.__qualname__}"
        found = modules.distribution(top) if top else None
        _library[id(obj)] = _Library(obj, f"{kind} {dotted}", dotted, found)
        return self._known_of_library(_library[id(obj)])

    def _known_of_library(self, known: _Library) -> str:
        """The label of a library's definition; what the program put on it is reached."""
        if id(known.definition) not in self._met:
            self._met.add(id(known.definition))
            self.uses.add(known.dotted)
            self._distribution(known.distribution)
            if isinstance(known.definition, type):
                if type(known.definition) in copyreg.dispatch_table:
                    # Pickle would make another class of that name (deap's creator); a hit gives this very one.
                    self._labels[id(known.definition)] = known.text
                    self.objects[known.text] = known.definition
                for name, member in patched.local_members(known.definition):
                    self._add("state", name, _digest([self.read(name, member, ((),))]), "put there by the program")
                self._registered(known.dotted, known.definition)
            elif known.definition.__dict__:
                registry = known.definition.__dict__.get("registry")
                if isinstance(registry, types.MappingProxyType):
                    kinds = {k: f for k, f in registry.items() if patched.is_local(f)}
                    if kinds:
                        name = f"{known.dotted} registry"
                        self._add("state", name, self._content(name, kinds), "registered by the program")
        return known.text

    def _registered(self, name: str, cls: type) -> None:
        """Classes of the program that an abstract base class was told of."""
        classes = patched.registered(cls)
        if classes:
            self._add("state", f"{name} registry", _digest(map(self._class, classes)), "registered by the program")

    def _builtin(self, obj: object) -> str:
        owner = getattr(obj, "__self__", None)
        name = getattr(obj, "__qualname__", getattr(obj, "__name__", "?"))
        if owner is not None and not isinstance(owner, (types.ModuleType, type)):
            generator = global_generator(owner)
            if generator:  # its state counts when the body draws, see generators.py
                self.uses.add(f"{generator}.{obj.__name__}")  # type: ignore[attr-defined]
                self._distribution(modules.distribution(generator.partition(".")[0]))
                return f"builtin {generator}.{name}"
            return f"builtin {name} of {self._content(name, owner)}"
        module = getattr(obj, "__module__", None) or getattr(getattr(obj, "__objclass__", owner), "__module__", None)
        text = f"builtin {module or 'builtins'}.{name}"
        loaded = sys.modules.get(module or "builtins")
        if loaded is not None and modules.origin_of_module(loaded) == "local":
            return f"{text} in {self._file(loaded)}"
        self.uses.add(text.removeprefix("builtin "))
        self._distribution(modules.distribution((module or "builtins").partition(".")[0]))
        return text

    # -- modules ---------------------------------------------------------------------------

    def _module(self, module: types.ModuleType, chain: Chain) -> str:
        """A use of ``module`` with the attributes ``chain``; a bare use is one of the whole module."""
        name = module.__name__
        if modules.origin_of_module(module) != "local":
            self.uses.add(".".join((name, *chain)))
            self._distribution(modules.distribution(name.partition(".")[0]))
            return f"module {name}{self._end_of_chain(module, chain)}"
        if not chain:
            return self._whole_module(module)
        attribute, rest = chain[0], chain[1:]
        value = vars(module).get(attribute, _MISSING)
        if value is _MISSING:
            value = getattr(module, attribute, _MISSING)
        path = self._path(vars(module), attribute)
        if value is _MISSING:
            return self.unbound(path)
        return self.read_name((vars(module), attribute), path, value, (rest,))

    def _end_of_chain(self, module: types.ModuleType, chain: Chain) -> str:
        """What an attribute chain into a library leads to: any of it may have been replaced by the program."""
        value: object = module
        for attribute in chain:
            if not isinstance(value, (types.ModuleType, type)):
                return ""
            if isinstance(value, type):
                self._class(value)
            owner, value = value, vars(value).get(attribute, _MISSING)
            if value is _MISSING:
                if not hasattr(owner, attribute):
                    return " unbound"
                # A base's, or computed by the module or a metaclass; or loaded now, because it was asked for.
                value = vars(owner).get(attribute, _MISSING)
                if value is _MISSING:
                    return ""
            if patched.is_local(value) or (
                isinstance(value, types.ModuleType) and modules.origin_of_module(value) == "local"
            ):
                path = ".".join((module.__name__, *chain))
                return f" replaced by {self.read(path, value, ((),))}"
        if isinstance(value, type):
            self._class(value)
        return patched.identity(value) if chain else ""

    def _whole_module(self, module: types.ModuleType) -> str:
        """Every public and private name of a local module, because any of them may be used."""
        name = module.__name__
        if id(module) not in self._whole:
            self._whole.add(id(module))
            self._kept.append(module)
            for attribute in sorted(vars(module)):
                if attribute not in _IMPORT_SYSTEM:
                    path = self._path(vars(module), attribute)
                    bound = self.read_name((vars(module), attribute), path, vars(module)[attribute], ((),))
                    self._add("module", path, _digest([bound]), bound)
        return f"module {name}"

    def _file(self, module: types.ModuleType) -> str:
        """A local extension module, by the bytes of its file."""
        file = getattr(module, "__file__", None)
        if not file:
            return f"module {module.__name__}"
        return self._add("module", module.__name__, imports.file_digest(file), os.path.basename(file))

    # -- functions -------------------------------------------------------------------------

    def _function(self, function: types.FunctionType) -> str:
        known = self._labels.get(id(function))
        if known is not None:
            return known
        code = function.__code__
        origin = modules.origin_of_file(code.co_filename)
        if origin in ("installed", "stdlib", "builtin"):
            return self._library_function(function, origin)
        in_home = function.__globals__ is self.home
        label = self._new_label(
            function, function.__qualname__ if in_home else f"{function.__module__}.{function.__qualname__}"
        )
        known_facts = facts(code)
        self.docs_matter |= known_facts.reads_doc
        self.subclasses_matter |= known_facts.subclasses
        self.uses |= known_facts.telling
        opaque = known_facts.dynamic & _OPAQUE
        if opaque:
            raise FingerprintError(
                f"function {label} ({_place(code)}) calls {', '.join(sorted(opaque))}(): what it reads cannot be known",
                path=label,
            )
        parts = [known_facts.digest]
        for name, chains in self._global_reads(function.__globals__, known_facts).items():
            parts += (name, self._global(function.__globals__, name, chains))
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        for name, cell in cells.items():
            parts += (name, self._cell(f"{label}.{name}", cell, known_facts.free.get(name, ((),))))
        for module, names, level in known_facts.imports:
            self.imported(module, names, level, str(function.__globals__.get("__package__") or ""))
        if function.__defaults__ or function.__kwdefaults__:
            parts += ("defaults", self._content(label, (function.__defaults__, function.__kwdefaults__)))
        if function.__dict__:
            parts += ("attributes", self._content(label, function.__dict__))
        self._add("definition", label, _digest(parts), f"function {_place(code)}")
        return label

    def _content(self, name: str, value: object) -> str:
        try:
            return fingerprint(value, self.label, name=name, ignored=self._ignored, locate=self._paths is None)
        except FingerprintError:
            if self._paths is None:
                raise
            return self._paths(self._root, name, value)

    @staticmethod
    def _global_reads(namespace: Mapping[str, object], known: CodeFacts) -> dict[str, tuple[Chain, ...]]:
        """Globals that a function depends on: those it reads, those it sets, and those that its texts may name."""
        reads = dict(known.globals)
        # What it sets is compared before and after the body: a change could not be repeated by a hit.
        named = set(known.sets)
        if known.spoken:
            texts = [namespace.get(name) for name in reads]
            named |= {word for word in known.spoken | words(texts) if word in namespace}
        for name in named:
            reads.setdefault(name, ((),))
        return dict(sorted(reads.items()))

    def _path(self, namespace: Mapping[str, object], name: str) -> str:
        """A global's name for inputs; namespaces of one name are told apart by the order in which they are met."""
        if namespace is self.home:
            return name
        module = str(namespace.get("__name__"))
        same = self._namespaces.setdefault(module, [])
        place = next((i for i, other in enumerate(same) if other is namespace), len(same))
        if place == len(same):
            same.append(namespace)
        return f"{module}.{name}" if not place else f"{module}#{place + 1}.{name}"

    def _global(self, namespace: Mapping[str, object], name: str, chains: tuple[Chain, ...]) -> str:
        value = namespace.get(name, _MISSING)
        path = self._path(namespace, name)
        if value is not _MISSING:
            return self.read_name((namespace, name), path, value, chains)
        return self.builtin_name(path, name, chains)

    def _cell(self, name: str, cell: types.CellType, chains: tuple[Chain, ...]) -> str:
        try:
            value = cell.cell_contents
        except ValueError:  # not bound yet
            return self.unbound(name)
        return self.read(name, value, chains)

    def _library_function(self, function: types.FunctionType, origin: str) -> str:
        known = _library.get(id(function))
        if known is not None:
            return self._known_of_library(known)
        text = f"function {function.__module__}.{function.__qualname__}"
        top = modules.top_of_file(function.__code__.co_filename) if origin == "installed" else ""
        if _importable(function):
            return self._of_library(function, "function", top)
        # Made at run time by a library (a decorator around local code, say): what it closes over is the program's.
        self._distribution(modules.distribution(top) if top else None)
        label = self._new_label(function, text)
        parts = [facts(function.__code__).digest]
        registry = function.__dict__.get("registry")
        if isinstance(registry, types.MappingProxyType):  # functools.singledispatch; the rest of it is its cache
            self._add("definition", label, self._content(label, [*parts, dict(registry)]), "function singledispatch")
            return label
        held = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for name, cell in held.items():
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet
                continue
            parts += (name, self._held(f"{label}.{name}", value))
        for name, value in sorted(function.__dict__.items()):
            parts += (name, self._held(f"{label}.{name}", value))
        parts.append(self._content(label, (function.__defaults__, function.__kwdefaults__)))
        self._add("definition", label, _digest(parts), f"function {_place(function.__code__)}")
        return label

    def _held(self, name: str, value: object) -> str:
        """What a library's object holds: the program's definitions count; state of its own may have no content."""
        paths, self._paths = self._paths, None
        try:
            return self.read(name, value, ((),))
        except FingerprintError:
            if isinstance(value, (types.FunctionType, types.MethodType, type)):
                raise
            return f"opaque {type(value).__qualname__}"
        finally:
            self._paths = paths

    # -- classes ---------------------------------------------------------------------------

    def _class(self, cls: type) -> str:
        known = self._labels.get(id(cls))
        if known is not None:
            return known
        library = _library.get(id(cls))
        if library is not None:
            return self._known_of_library(library)
        module = sys.modules.get(cls.__module__)
        foreign = module is not None and modules.origin_of_module(module) != "local"
        # A class may claim a library's module; classes that a library makes in its functions are its own.
        if foreign and (_importable(cls) or "<locals>" in cls.__qualname__):
            return self._of_library(cls, "class", cls.__module__.partition(".")[0])
        in_home = cls.__module__ == self.home.get("__name__")
        label = self._new_label(cls, cls.__qualname__ if in_home else f"{cls.__module__}.{cls.__qualname__}")
        parts = [self._class(base) for base in cls.__bases__]
        if type(cls) is not type:
            parts.append(self._class(type(cls)))
        line = 0
        for name, member in sorted(vars(cls).items()):
            text = self._member(label, name, member)
            if text:
                parts += (name, text)
            code = getattr(member, "__code__", None)
            if isinstance(code, types.CodeType) and not code.co_filename.startswith("<"):
                line = min(line or code.co_firstlineno, code.co_firstlineno)
        self._registered(label, cls)
        if isinstance(cls, enum.EnumMeta):
            members = [
                (name, member._value_, {n: v for n, v in vars(member).items() if not n.startswith("_")})
                for name, member in vars(cls)["_member_map_"].items()
            ]
            parts.append(self._content(label, members))
        file = os.path.basename(str(getattr(module, "__file__", "") or ""))
        line = vars(cls).get("__firstlineno__", line)
        self._add("definition", label, _digest(parts), f"class {file}:{line}" if file and line else "class")
        return label

    def _member(self, label: str, name: str, member: object) -> str:
        """What a class attribute contributes; "" for what says nothing of the class's behaviour."""
        path = f"{label}.{name}"
        if name == "__annotations__":
            return self._annotated(path, member)
        if name in _CLASS_TRIVIA or name.startswith(("_abc_", "__pydantic_")) or isinstance(member, enum.Enum):
            return ""
        if isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType)):
            return ""  # slots: `__slots__` names them
        if isinstance(member, (staticmethod, classmethod)):
            return f"{self._class(type(member))} {self.read(path, member.__func__, ((),))}"
        if isinstance(member, property):
            accessors = (member.fget, member.fset, member.fdel)
            reads = " ".join(str(a and self.read(path, a, ((),))) for a in accessors)
            return f"{self._class(type(member))} {reads}"
        if isinstance(member, functools.cached_property):
            return f"{self._class(type(member))} {self.read(path, member.func, ((),))}"
        if name.startswith("__") and name.endswith("__"):
            return self._held(path, member)  # what a decorator or a library left there for itself
        return self.read(path, member, ((),))

    def _annotated(self, path: str, annotations: object) -> str:
        """Annotations of a class: what they name can be called by a decorator or a library."""
        if not isinstance(annotations, dict) or not annotations:
            return ""  # an empty one appears as soon as somebody looks for it
        parts = []
        for name, annotation in annotations.items():
            try:
                text = self.label(annotation) or self._content(f"{path}[{name!r}]", annotation)
            except FingerprintError:
                text = _annotations({name: annotation})
            parts += [name, text]
        return _digest(parts)


def names_in_pickle(data: bytes) -> list[tuple[str, str]]:
    """(module, qualified name) of the definitions that a pickle may load, found without reading it."""
    found = [(m.decode(), n.decode()) for m, n in _PICKLED_LINES.findall(data)]
    found += [(m.decode(), n.decode()) for m, n in _PICKLED_PAIRS.findall(data)]
    return sorted(set(found))


def _importable(definition: types.FunctionType | type) -> bool:
    """Whether (module, qualified name) leads to this very definition, and the module is a library's."""
    module = sys.modules.get(definition.__module__ or "")
    if module is None or modules.origin_of_module(module) == "local":
        return False
    found: object = module
    for part in definition.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is definition


def _documentation(definition: object) -> str:
    """Digest of what reads as documentation: docstrings, nested ones too, and annotations."""
    code = getattr(definition, "__code__", None)
    nested = facts(code).docs if isinstance(code, types.CodeType) else ""
    annotations = _annotations(getattr(definition, "__annotations__", None))
    return _digest([str(definition.__doc__), nested, annotations])


def _annotations(annotations: object) -> str:
    """Annotations as text; addresses in representations are not part of it."""
    if not isinstance(annotations, dict):
        return ""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(annotations))
