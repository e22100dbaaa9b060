"""marimo: an element of the user interface counts by its kind, its value and what it was made with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

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


FINGERPRINT: Mapping[str, Callable[[Any], object]] = {"UIElement": _element, "Html": _markup}
DESCRIBE: Mapping[str, Callable[[Any], str]] = {"UIElement": lambda value: type(value).__qualname__}
