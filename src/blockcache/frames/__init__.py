"""The caller's frame: its `with` header, its names, and the skip of a body.

The only room that asks for the version of Python.
"""

from blockcache.frames.entry import Done, Entry, Later, entry_point
from blockcache.frames.locate import Located, confirmed, locate, taken_out
from blockcache.frames.namespace import Namespace
from blockcache.frames.skip import Skip

__all__ = ["Done", "Entry", "Later", "Located", "Namespace", "Skip", "confirmed", "entry_point", "locate", "taken_out"]
