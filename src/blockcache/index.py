"""What is known of blocks from earlier processes, on disk: reading a large source again costs more than a hit.

A block is remembered under a digest of the code object that it stands in, as it is loaded, with its line table,
see :mod:`blockcache.records`.
"""

from __future__ import annotations

from types import CodeType

from blockcache import records
from blockcache.analysis import Block, ImportRef


def recall(code: CodeType, offset: int) -> Block | None:
    """The block that begins at byte ``offset`` of ``code``, if an earlier process has left it."""
    try:
        raw = records.load(_name(code, offset))
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
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def remember(code: CodeType, offset: int, block: Block) -> None:
    """Leave ``block`` for later processes; where that cannot be, nothing is lost."""
    raw = {name: getattr(block, name) for name in Block.__slots__ if name != "file"}
    raw |= {name: sorted(raw[name]) for name in ("writes", "definite", "deletes")}
    records.save(_name(code, offset), raw)


def _name(code: CodeType, offset: int) -> str:
    return records.name_of("block", records.code_digest(code), offset)
