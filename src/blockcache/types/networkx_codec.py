"""Typed trees of networkx's graphs: the dictionaries that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer

_CLASSES: dict[str, type] = {cls.__name__: cls for cls in (nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph)}
#: Views that a graph keeps once somebody asked for them: they are asked for again.
_VIEWS = ("adj", "degree", "edges", "in_degree", "in_edges", "nodes", "out_degree", "out_edges", "pred", "succ")


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees."""
    return _typed_graph if cls in _CLASSES.values() else None


def _typed_graph(graph: Any, _collector: Collector) -> Any:
    state = {name: None if name in _VIEWS else value for name, value in vars(graph).items()}
    return make_graph, (type(graph).__name__,), state, None, None, set_state


def make_graph(name: str) -> Any:
    """A graph of a class, of nothing yet."""
    cls: Any = _CLASSES[name]
    return cls.__new__(cls)


def set_state(graph: Any, state: dict[str, Any]) -> None:
    """What a graph is made of, and its views in their places among that."""
    for name, value in state.items():
        if name in _VIEWS:
            getattr(graph, name)
        else:
            vars(graph)[name] = value


#: What trees may call, by the name after ``networkx.``.
MAKERS: dict[str, Callable[..., Any]] = {"graph": make_graph, "state": set_state}
