"""What is known of blocks from earlier processes, on disk: reading a large source again costs more than a hit.

A block is remembered under a digest of the code object that it stands in, as it is loaded, with its line table:
whoever has the same digest was compiled from the same statements at the same places. A record that is damaged,
of another version or gone costs the time of finding and analysing the block again, and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from types import CodeType

import xxhash

from blockcache import analysis
from blockcache.analysis import Block, ImportRef

_MOST_KEPT = 4000
#: Records are made again when any of the code that makes them is another.
_MAKERS = (analysis.__file__, os.path.join(os.path.dirname(analysis.__file__), "..", "frames", "locate.py"))


def recall(folder: str, code: CodeType, offset: int) -> Block | None:
    """The block that begins at byte ``offset`` of ``code``, if an earlier process has left it in ``folder``."""
    path = os.path.join(folder, _name(code, offset))
    try:
        with open(path, "rb") as file:
            digest, _, data = file.read().partition(b"\n")
        if xxhash.xxh3_128_hexdigest(data).encode() != digest:
            return None
        raw = json.loads(data)
        return Block(
            digest=raw["digest"],
            reads={name: tuple(map(tuple, chains)) for name, chains in raw["reads"].items()},
            writes=frozenset(raw["writes"]),
            definite=frozenset(raw["definite"]),
            deletes=frozenset(raw["deletes"]),
            imports=tuple(ImportRef(*ref) for ref in raw["imports"]),
            dynamic=tuple((what, line) for what, line in raw["dynamic"]),
            reads_doc=raw["reads_doc"],
            texts=tuple(raw["texts"]),
            written=raw["written"],
            file=code.co_filename,
            line=raw["line"],
            end_line=raw["end_line"],
            source=raw["source"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(folder: str, code: CodeType, offset: int, block: Block) -> None:
    """Leave ``block`` for later processes; where that cannot be, nothing is lost."""
    raw = {name: getattr(block, name) for name in Block.__slots__ if name != "file"}
    raw |= {name: sorted(raw[name]) for name in ("writes", "definite", "deletes")}
    data = json.dumps(raw).encode()
    path = os.path.join(folder, _name(code, offset))
    temporary = f"{path}.{os.getpid()}"
    with contextlib.suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _make_room(folder)
        with open(temporary, "wb") as file:
            file.write(xxhash.xxh3_128_hexdigest(data).encode() + b"\n" + data)
        os.replace(temporary, path)


def _make_room(folder: str) -> None:
    """Drop the records that were made longest ago when there are many: each edit of a file leaves some behind."""
    names = os.listdir(folder)
    if len(names) > _MOST_KEPT:
        paths = [os.path.join(folder, name) for name in names]
        for path in sorted(paths, key=lambda p: os.stat(p).st_mtime_ns)[: len(paths) // 2]:
            os.unlink(path)


def _name(code: CodeType, offset: int) -> str:
    hasher = xxhash.xxh3_128()
    _add(hasher, code)
    hasher.update(f"{offset} {sys.version_info[:3]} {sys.flags.optimize} {_edition()}".encode())
    return hasher.hexdigest()


def _add(hasher: xxhash.xxh3_128, code: CodeType) -> None:
    """All that was compiled into a code object, nested ones too, but not where its file lies."""
    hasher.update(code.co_code)
    hasher.update(code.co_linetable)
    hasher.update(code.co_exceptiontable)
    plain = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    # A frozenset has no order that would be the same in the next process.
    shown = [sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c) for c in plain]
    facts = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars, shown, code.co_qualname)
    numbers = (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_firstlineno)
    hasher.update(repr((facts, numbers)).encode("utf-8", "surrogatepass"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add(hasher, constant)


@functools.cache
def _edition() -> str:
    """Which code makes the records: sizes and times of its files."""
    folder = os.path.dirname(_MAKERS[0])
    files = [*(os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".py")), _MAKERS[1]]
    found = []
    for file in files:
        with contextlib.suppress(OSError):
            stat = os.stat(file)
            found.append((stat.st_size, stat.st_mtime_ns))
    return repr(found)
