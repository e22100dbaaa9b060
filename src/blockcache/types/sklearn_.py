"""scikit-learn: trees of neighbours count their own queries, which no result shows."""

from __future__ import annotations

from typing import Any

#: In the state of a tree: pruned, reached and split nodes, and distances that were computed.
_COUNTS = slice(7, 11)


def _tree(value: Any) -> object:
    state = list(value.__getstate__())
    del state[_COUNTS]
    return state


FINGERPRINT = dict.fromkeys(("BinaryTree", "BinaryTree32", "BinaryTree64"), _tree)
