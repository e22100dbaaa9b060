"""torch: what stands for tensors and generators; modules and optimisers reduce to them by themselves."""

from __future__ import annotations

from typing import Any

import torch

from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.registry import Refused
from blockcache.inplace import FIXED, Layer


def _tensor(value: Any) -> object:
    attributes = vars(value) or None
    # A gradient is an input of the next optimiser step.
    gradient = value.grad if value.is_leaf else None
    return (
        str(value.dtype),
        value.device.type,
        tuple(value.shape),
        value.requires_grad,
        _data(value),
        gradient,
        attributes,
    )


def _data(value: Any) -> object:
    if value.device.type == "meta":
        return None
    tensor = value.detach()
    if tensor.layout is torch.sparse_coo:
        tensor = tensor.coalesce()
        return str(tensor.layout), tensor.indices(), tensor.values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return str(tensor.layout), tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return str(tensor.layout), tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        raise Refused(f"a tensor of layout {tensor.layout}, quantized or nested")
    if not tensor.numel():
        return b""
    flat = tensor.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return digest(flat.view(torch.uint8).numpy())


def _generator(value: Any) -> object:
    return value.device.type, value.get_state()


def _by_text(value: Any) -> object:
    return str(value)


FINGERPRINT = {
    "Tensor": _tensor,
    "Generator": _generator,
    "dtype": _by_text,
    "device": _by_text,
    "layout": _by_text,
    "memory_format": _by_text,
}


def _contents(tensor: Any) -> tuple[Any, Any, bool]:
    return tensor.detach().clone(), tensor.grad if tensor.is_leaf else None, tensor.requires_grad


def _put_tensor(tensor: Any, contents: tuple[Any, Any, bool]) -> None:
    data, gradient, required = contents
    with torch.no_grad():
        if tensor.shape == data.shape and tensor.dtype == data.dtype:
            tensor.data.copy_(data)  # views of it see the change
        else:
            tensor.data = data
    tensor.grad = gradient
    if tensor.is_leaf:
        tensor.requires_grad_(required)


IN_PLACE = {
    "Tensor": Layer(
        "data", lambda t: (t.detach().clone(), t.grad if t.is_leaf else None, t.requires_grad), put=_put_tensor
    ),
    "Generator": Layer("state", lambda generator: generator.get_state(), put=lambda g, state: g.set_state(state)),
    "dtype": FIXED,
    "device": FIXED,
    "layout": FIXED,
    "memory_format": FIXED,
}

DESCRIBE = {
    "Tensor": lambda value: f"{type(value).__name__} {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}",
    "Module": lambda value: f"module {type(value).__name__}",
}
