"""Room for recursion over deep syntax trees."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")
_DEEP = 100_000


def with_deep_recursion(action: Callable[[], _Result]) -> _Result:
    """The result of ``action``, tried again with room for deep recursion when it needs that.

    Generated code has thousands of operands in one expression, or hundreds of ``elif``.
    """
    try:
        return action()
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _DEEP))
        try:
            return action()
        finally:
            sys.setrecursionlimit(limit)
