"""lmfit: parameters count by what they hold; asking for their values would compute some that nobody has asked for."""

from __future__ import annotations

from typing import Any

from blockcache.inplace import ATTRIBUTES

#: Its interpreter, what that has made of its expression, and a function that follows from its bounds.
_DERIVED = ("_expr_ast", "_expr_eval", "from_internal")


def _symbols(interpreter: Any) -> object:
    # The names of a set: in another order in every process.
    return {name: interpreter.symtable[name] for name in sorted(interpreter.user_defined_symbols())}


def _held(parameter: Any) -> object:
    return {name: value for name, value in vars(parameter).items() if name not in _DERIVED}


def _parameter(value: Any) -> object:
    interpreter = vars(value).get("_expr_eval")
    return _held(value), _symbols(interpreter) if vars(value).get("_expr") and interpreter is not None else None


def _parameters(value: Any) -> object:
    return [(name, _held(parameter)) for name, parameter in value.items()], _symbols(value._asteval)


FINGERPRINT = {"Parameter": _parameter, "Parameters": _parameters}
DESCRIBE = {"Parameters": lambda value: f"Parameters of {len(value):,}"}
IN_PLACE = {"Parameter": ATTRIBUTES}
