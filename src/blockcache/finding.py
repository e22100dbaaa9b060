"""What every command of the command line does first: find the store, and entries by what a person calls them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from blockcache import catalogue
from blockcache.catalogue import Catalogue, Stored
from blockcache.settings import resolve, store_path

if TYPE_CHECKING:
    from blockcache.stores import Store

_F = TypeVar("_F", bound=Callable[..., Any])

#: Four digits at least: a short name with a typing error is not taken for a key.
SHORTEST_KEY = 4


class UnknownError(click.ClickException):
    """There is no such entry."""

    exit_code = 2


def json_option(command: _F) -> _F:
    """``--json``, which every command has."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def open_place(store_argument: str | None) -> tuple[str, Store | None]:
    """The store's path, and the store; None when there is none yet: looking must not make one."""
    from blockcache.stores.local import LocalStore

    here = str(Path.cwd())
    place = store_path(resolve(here, store=store_argument), here)
    return place, LocalStore(place) if Path(place).is_dir() else None


def open_store(store_argument: str | None) -> tuple[str, Store | None, Catalogue]:
    """The store as :func:`open_place` finds it, and what is in it."""
    place, store = open_place(store_argument)
    return place, store, Catalogue((), ()) if store is None else catalogue.read(store)


def choose(found: Catalogue, text: str, place: str) -> tuple[Stored, ...]:
    """Entries of a name, ``NAME@KEY`` or the beginning of a key, newest first; an unknown one ends the command."""
    entries = named(found, text) or (found.with_key(text) if len(text) >= SHORTEST_KEY else ())
    if not entries:
        raise unknown(found, text, place)
    return entries


def named(found: Catalogue, text: str) -> tuple[Stored, ...]:
    """Entries of a name or of ``NAME@KEY``, newest first."""
    entries = found.named(text)
    if entries:
        return entries
    name, at, key = text.rpartition("@")
    if at and re.fullmatch(f"[0-9a-fA-F]{{{SHORTEST_KEY},32}}", key):
        return tuple(e for e in found.with_key(key) if name in e.labels)
    return ()


def unknown(found: Catalogue, text: str, place: str) -> UnknownError:
    """The error that names what was meant, perhaps."""
    import difflib

    near = difflib.get_close_matches(text, found.names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return UnknownError(f"there is no block {text!r} in {place}{hint}")
