"""Where the memory of torch's tensors is, for rooms that do not import torch."""

from __future__ import annotations

import ctypes
import sys
from typing import Any


def bounds(value: Any) -> tuple[int, int] | None:
    """The addresses of a tensor's whole storage; None for anything else, and where that is not memory as it lies."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    kinds = getattr(torch, "Tensor", None), getattr(getattr(torch, "nn", None), "Parameter", None)
    if type(value) not in kinds or not is_plain(torch, value):
        return None
    storage = value.untyped_storage()
    return storage.data_ptr(), storage.data_ptr() + storage.nbytes()


def is_plain(torch: Any, tensor: Any) -> bool:
    """Whether a tensor is numbers in memory."""
    return bool(
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not tensor.is_quantized
        and not tensor.is_nested
    )


def memory_at(address: int, size: int, owner: object) -> Any:
    """Memory, without telling its storage: one that numpy or a buffer has been made of cannot be resized any more."""
    memory = (ctypes.c_ubyte * size).from_address(address)
    memory._blockcache_owner = owner  # type: ignore[attr-defined]  # keeps the memory alive
    return memory


def memory_of(tensor: Any) -> Any:
    """All of a tensor's storage."""
    storage = tensor.untyped_storage()
    return memory_at(storage.data_ptr(), storage.nbytes(), storage)
