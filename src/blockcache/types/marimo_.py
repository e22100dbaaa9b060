"""marimo: an element of the page counts by its kind, its value and what it was made with, a state by its value.

What the session tells to marimo's functions (arguments, the address, the mode) is an input of who calls them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NoReturn

from blockcache.errors import CodecError
from blockcache.fingerprint.registry import Refused
from blockcache.inplace import DIGEST, FIXED, Layer

#: What marimo's two base classes set: identities of this session, its context and callbacks, texts made of those.
_OF_THE_SESSION = frozenset(
    """_args _component_args _initialized _lens _random_id _id _ctx _value _value_frontend _initial_value
    _initial_value_frontend _updating_value _on_change _inner_text _text _serialized_mime_bundle serialized_mime_bundle
    _virtual_filenames _widget_synced""".split()  # noqa: SIM905
)
#: What a person has typed into a table to look around, and requests under way: ``value`` tells what became of them.
_OF_THE_VIEW = frozenset({"_current_filters", "_current_query", "_in_flight"})
#: Arguments that name other elements, carry data that an attribute has too, as an address or a text, or that marimo
#: itself sets by whether the page may be edited.
_SAID_ELSEWHERE = frozenset(
    """element-id element-ids model-id data raw-data spec show-column-explorer show-chart-builder""".split()  # noqa: SIM905
)
#: Traits of every widget.
_OF_ANY_WIDGET = frozenset({"comm", "keys", "layout", "log", "tabbable", "tooltip"})
_IDENTITY = re.compile(r"(?:object|random)-id=(?:\W|x27|quot|amp|u0027)*([\w-]+)")


def _element(value: Any) -> object:
    base = next(kind for kind in type(value).__mro__ if kind.__qualname__ == "UIElement")
    # ``value`` may be read in other cells only; a class that has its own makes it from parts.
    current = value._value if getattr(type(value), "value", None) is vars(base)["value"] else value.value
    made = value._args
    arguments = {name: part for name, part in made.args.items() if name not in _SAID_ELSEWHERE}
    return made.component_name, made.label, current, arguments, _attributes(value, base)


def _attributes(value: Any, base: type) -> dict[str, object]:
    """The attributes that the element's own class gave it, without marimo's machinery and callbacks."""
    return {
        name: _part(part)
        for name, part in vars(value).items()
        if name not in _OF_THE_SESSION
        and name not in _OF_THE_VIEW
        and not (name.startswith("_") and _is_machinery(part, base))
    }


def _is_machinery(part: object, base: type) -> bool:
    if isinstance(part, type):
        return False
    page = base.__mro__[1]  # Html
    return callable(part) or (type(part).__module__.startswith("marimo.") and not isinstance(part, page))


def _part(part: Any) -> object:
    """A widget of the ipywidgets protocol counts by its traits: it is numbered as the elements are."""
    if not callable(getattr(type(part), "trait_values", None)):
        return part
    names = [name for name in part.trait_names() if not name.startswith("_") and name not in _OF_ANY_WIDGET]
    return type(part), {name: getattr(part, name) for name in sorted(names)}


def _markup(value: Any) -> object:
    """Markup counts by its text, but what marimo numbers elements with differs in every session."""
    text: str = value.text
    for identity in sorted(set(_IDENTITY.findall(text)), key=len, reverse=True):
        text = text.replace(identity, "")
    own = {k: v for k, v in vars(value).items() if k not in _OF_THE_SESSION}
    return text, own


_SETS = "calling it runs other cells, which a hit could not repeat; set the state after the block"


def _setter(value: Any) -> object:
    raise Refused(_SETS)


def _may_be_called(setter: Any) -> NoReturn:
    raise CodecError(f"the body has the setter of a state: {_SETS}")


#: Functions that tell of the session, by the last part of their name.
_TELL = frozenset(
    {"app_meta", "cli_args", "defs", "notebook_dir", "notebook_location", "query_params", "refs", "show_code"}
)
#: Of a request, what every connection has anew.
_OF_A_CONNECTION = ("accept", "cache-", "connection", "content-", "cookie", "marimo-", "pragma", "sec-", "upgrade")


def session(uses: Collection[str]) -> Iterator[tuple[str, object]]:
    """What the session tells to the functions of marimo among ``uses`` (dotted names), as (name, state)."""
    asked = {use.rpartition(".")[2] for use in uses if use.startswith("marimo.")}
    if "running_in_notebook" in asked:
        import marimo

        yield "marimo.running_in_notebook", marimo.running_in_notebook()
    if asked.isdisjoint(_TELL):
        return
    import marimo

    context = _context()
    if context is None:
        return
    if "app_meta" in asked:
        meta = marimo.app_meta()
        yield "marimo.app_meta", (meta.mode, meta.theme, _told_by(meta.request))
    if "cli_args" in asked:
        yield "marimo.cli_args", context.cli_args.to_dict()
    if "query_params" in asked:
        yield "marimo.query_params", context.query_params.to_dict()
    if asked & {"notebook_dir", "notebook_location"}:
        yield "marimo.notebook_dir", str(marimo.notebook_dir())
    if asked & {"defs", "refs", "show_code"}:
        cell = context.graph.cells.get(context.cell_id)
        yield "marimo cell", (cell.code, sorted(cell.defs), sorted(cell.refs)) if cell is not None else None


def _context() -> Any:
    try:
        from marimo._runtime.context.types import safe_get_context
    except ImportError:  # a private name of marimo, which may go away
        return None
    return safe_get_context()


def _told_by(request: Any) -> object:
    if request is None:
        return None
    headers = {k: v for k, v in request.headers.items() if not k.lower().startswith(_OF_A_CONNECTION)}
    query = {k: v for k, v in request.query_params.items() if k not in ("session_id", "access_token", "refresh_token")}
    path = request.url.get("path") if isinstance(request.url, dict) else None
    return path, headers, query, request.path_params, request.cookies, request.user, request.meta


FINGERPRINT: Mapping[str, Callable[[Any], object]] = {
    "AppMeta": lambda value: dict(session({"marimo.app_meta"})),
    "Html": _markup,
    "SetFunctor": _setter,
    "State": lambda value: value._value,
    "UIElement": _element,
    "_cache_call": lambda value: (value.__wrapped__, value.hash_type, value.pin_modules),
}
#: None of them can be put back in place: the page knows nothing of it.
IN_PLACE = {
    "AppMeta": FIXED,
    "Html": DIGEST,
    "SetFunctor": Layer("state", lambda setter: setter, held=_may_be_called),
    "State": Layer("value", lambda state: state),
    "UIElement": DIGEST,
    "_cache_call": FIXED,
    "_cache_context": FIXED,
}


def _describe(element: Any) -> str:
    """The kind, and where it can be no secret the value."""
    kind, value = type(element).__qualname__, element._value
    return f"{kind} at {value!r}" if isinstance(value, (bool, int, float)) else kind


DESCRIBE: Mapping[str, Callable[[Any], str]] = {"UIElement": _describe}
