"""Source of a block to what it is, reads and binds; no frame, no I/O."""

from blockcache.analysis.block import Block, analyse
from blockcache.analysis.reads import ImportRef

__all__ = ["Block", "ImportRef", "analyse"]
