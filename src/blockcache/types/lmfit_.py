"""lmfit: parameters count by what they are, not by the order in which their interpreter lists its symbols."""

from __future__ import annotations

from typing import Any


def _parameters(value: Any) -> object:
    # The names of a set: in another order in every process. Those of parameters repeat their values.
    names = sorted(set(value._asteval.user_defined_symbols()).difference(value))
    symbols = {name: value._asteval.symtable[name] for name in names}
    return list(value.values()), symbols


FINGERPRINT = {"Parameters": _parameters}
DESCRIBE = {"Parameters": lambda value: f"Parameters of {len(value):,}"}
