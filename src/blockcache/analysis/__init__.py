"""Source of a block to what it is, reads and binds; no frame, no I/O."""

from blockcache.analysis.block import Block, analyse
from blockcache.analysis.facts import ImportRef
from blockcache.analysis.names import annotated_names

__all__ = ["Block", "ImportRef", "analyse", "annotated_names"]
