"""Declared output files: what the body made of them is kept in the store, and put back by a hit.

The body's own are the files that it made, changed or removed in a declared place. What was there before and was left
alone belongs to whoever made it: two blocks may write into one folder, and a hit touches nothing that the body did not.
"""

from blockcache.outputs.declared import Declared, check
from blockcache.outputs.made import Made, differing, made, put
from blockcache.outputs.putback import Staged, stage

__all__ = ["Declared", "Made", "Staged", "check", "differing", "made", "put", "stage"]
