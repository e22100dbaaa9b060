"""Wrap an expensive step in a block: run it once, get it back in milliseconds, never stale.

>>> from blockcache import cached_block
>>> with cached_block(name="features") as block:
...     df = load("data/orders.csv")
...     X, y = featurize(df)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from blockcache.block import cached_block
    from blockcache.errors import (
        BlockError,
        CacheError,
        CacheWarning,
        CodecError,
        FingerprintError,
        FrozenMissError,
        IntegrityError,
        SettingError,
        StoreError,
    )
    from blockcache.function import cached_function
    from blockcache.inputs import env, file, value
    from blockcache.settings import configure

# Where each public name lives; loaded on first use, so that `import blockcache` stays fast.
_HOME = {
    "cached_block": "blockcache.block",
    "cached_function": "blockcache.function",
    "configure": "blockcache.settings",
    **dict.fromkeys(("env", "file", "value"), "blockcache.inputs"),
    **dict.fromkeys(
        (
            "BlockError",
            "CacheError",
            "CacheWarning",
            "CodecError",
            "FingerprintError",
            "FrozenMissError",
            "IntegrityError",
            "SettingError",
            "StoreError",
        ),
        "blockcache.errors",
    ),
}

__all__ = [
    "BlockError",
    "CacheError",
    "CacheWarning",
    "CodecError",
    "FingerprintError",
    "FrozenMissError",
    "IntegrityError",
    "SettingError",
    "StoreError",
    "cached_block",
    "cached_function",
    "configure",
    "env",
    "file",
    "value",
]


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext blockcache`` calls: the magics ``%%cached_block`` and ``%blockcache``."""
    import importlib

    importlib.import_module("blockcache.magic").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """What ``%unload_ext blockcache`` calls."""
    import importlib

    importlib.import_module("blockcache.magic").unload(shell)


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'blockcache' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
