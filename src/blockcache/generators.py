"""Global random generators: what state they are in, and putting one back.

The generators that belong to the process (``random``, numpy's legacy one, torch's) are neither named nor passed by the
code that draws from them. A body that draws moves them; a hit moves them likewise. Generators that are objects of the
program are values as any others.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib import import_module
from typing import Any

import xxhash

#: Generator -> the module that has it.
_MODULES = {"random": "random", "numpy": "numpy.random", "torch": "torch"}
_WORDS = struct.Struct("625I")
#: Names of functions that put a generator into a state; in the modules above they mean that generator alone.
_SETTERS = frozenset({"set_bit_generator", "set_rng_state", "set_rng_state_all", "set_state", "setstate"})


def digests(names: Iterable[str] = tuple(_MODULES)) -> dict[str, str]:
    """Digest of the state of each of those generators whose library is loaded, 32 hexadecimal digits."""
    return {name: xxhash.xxh3_128_hexdigest(_content(state)) for name, state in snapshot(names).items()}


def moved(before: Mapping[str, str]) -> dict[str, str]:
    """Generators that are not in the state that :func:`digests` told ``before``, and their digests now."""
    return {name: digest for name, digest in digests().items() if before.get(name) != digest}


def snapshot(names: Iterable[str] = tuple(_MODULES)) -> dict[str, object]:
    """State of each of those generators whose library is loaded, as plain values that can be pickled."""
    found = {}
    for name in names:
        module = sys.modules.get(_MODULES[name])
        if module is not None:
            found[name] = _READERS[name](module)
    return found


def restore(states: Mapping[str, object]) -> None:
    """Put generators into the states of a :func:`snapshot`; their libraries are imported, as the body did."""
    for name, state in states.items():
        _WRITERS[name](import_module(_MODULES[name]), state)


def seeded(calls: Collection[str]) -> frozenset[str]:
    """Generators that calls of these dotted names may put into a known state.

    A name that contains ``seed`` and belongs to none of the three libraries may seed any of them
    (``lightning.seed_everything``).
    """
    found: set[str] = set()
    for call in calls:
        owner, _, verb = call.rpartition(".")
        if "seed" not in verb.lower() and verb not in _SETTERS:
            continue
        if verb in ("SeedSequence", "get_seed", "initial_seed"):
            continue
        if owner in ("random", "_random"):
            found.add("random")
        elif owner.startswith("numpy"):
            found.add("numpy")
        elif owner.startswith("torch"):
            found.add("torch")
        else:
            found.update(_MODULES)
    return frozenset(found)


def _content(state: Any) -> bytes:
    """The state as bytes; those of an array or of 625 words stay what they are, because writing them out is slow."""
    if isinstance(state, bytes):
        return b"%d:" % len(state) + state
    if isinstance(state, tuple) and len(state) == _WORDS.size // 4:
        return _WORDS.pack(*state)
    if isinstance(state, dict):
        state = [part for pair in state.items() for part in pair]
    if isinstance(state, (list, tuple)):
        return b"(" + b",".join(map(_content, state)) + b")"
    return repr(state).encode()


def _read_numpy(module: Any) -> object:
    return _plain(module.get_state(legacy=False))


def _plain(state: Any) -> Any:
    """Arrays as (dtype, bytes): a saved state must not need numpy to be read."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return (state.dtype.str, state.tobytes()) if hasattr(state, "tobytes") else state


def _write_numpy(module: Any, state: Any) -> None:
    numpy = sys.modules["numpy"]

    def live(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: live(part) for name, part in value.items()}
        return numpy.frombuffer(value[1], value[0]).copy() if isinstance(value, tuple) else value

    wanted = live(state)
    kind = wanted["bit_generator"]
    if type(module.get_bit_generator()).__name__ != kind:  # the body chose another one
        module.set_bit_generator(getattr(module, kind)())
    module.set_state(wanted)


def _read_torch(module: Any) -> object:
    states = [module.get_rng_state()]
    if module.cuda.is_available() and module.cuda.is_initialized():
        states += module.cuda.get_rng_state_all()
    return [bytes(state.numpy()) for state in states]


def _write_torch(module: Any, state: Any) -> None:
    main, *devices = [module.frombuffer(bytearray(part), dtype=module.uint8) for part in state]
    module.set_rng_state(main)
    if devices and module.cuda.is_available():
        module.cuda.set_rng_state_all(devices)


_READERS = {"random": lambda module: module.getstate(), "numpy": _read_numpy, "torch": _read_torch}
_WRITERS = {"random": lambda module, state: module.setstate(state), "numpy": _write_numpy, "torch": _write_torch}
