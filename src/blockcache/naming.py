"""What things in a store are called, and what an entry holds beside its outputs."""

from __future__ import annotations

import xxhash

from blockcache.model import Key
from blockcache.stores import Store

#: What an entry holds beside the outputs stands under what cannot be a name of a program.
GENERATORS = ".generators"
ANNOTATIONS = ".annotations"
CHANGES = ".changes"
PROCESS = ".process"
#: What a folder's name may have on most file systems.
_LONGEST_FOLDER_BYTES = 255
_SHORTENED_BYTES = 100


def entry_name(key: Key, entry: str) -> str:
    """The store's name of a manifest; ``entry`` is :func:`blockcache.model.entry_id` of its discovered inputs."""
    return f"entries/{key.digest}/{entry}.json"


def label_name(block_name: str, key: Key) -> str:
    """The store's name of the pointer from a block's name to a key."""
    return f"{label_folder(block_name)}/{key.digest}"


def label_folder(block_name: str) -> str:
    """The folder of a block name's pointers: quoted, and shortened where it is too long, so that any text is a name."""
    from urllib.parse import quote  # costs more to import than a hit takes, and a hit does not need it

    folder = quote(block_name, safe=" ", errors="surrogatepass")
    if folder in (".", ".."):
        folder = folder.replace(".", "%2E")
    if len(folder) > _LONGEST_FOLDER_BYTES:
        # Quoting leaves no "=" behind, so no other name has this folder.
        folder = f"{folder[:_SHORTENED_BYTES]}={xxhash.xxh3_128_hexdigest(_encoded(block_name))}"
    return f"names/{folder}"


def _encoded(block_name: str) -> bytes:
    return block_name.encode("utf-8", "surrogatepass")


def point(store: Store, block_name: str, key: Key) -> None:
    """Lead from a block's name to a key; a shortened folder does not tell the name, so the pointer does."""
    pointer = label_name(block_name, key)
    store.put(pointer, [_encoded(block_name) if "=" in pointer else b""])


def pin_name(path: str) -> str:
    """The store's name of the record that pins the entry whose manifest is ``path``."""
    return f"pins/{path.removeprefix('entries/').removesuffix('.json')}"


def pinned_path(pin: str) -> str:
    """The manifest that a record of ``pins`` keeps."""
    return f"entries/{pin.removeprefix('pins/')}.json"
