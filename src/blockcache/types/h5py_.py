"""h5py: handles have no content, whatever Cython pickles of them: addresses. A closed one stays as it is."""

from __future__ import annotations

import os
from typing import Any

from blockcache.fingerprint.registry import Refused

#: What is in an open file, and who writes to it, is not told: it is another one in each process.
_HERE = os.urandom(8).hex()


def _handle(_value: Any) -> object:
    raise Refused("a handle of HDF5")


def _probe(value: Any) -> str:
    return f"open {_HERE} {id(value)}" if value else "closed"


FINGERPRINT = {"ObjectID": _handle}
PROBE = {"ObjectID": _probe, "HLObject": _probe}
