"""torch: what stands for tensors and generators; modules and optimisers reduce to them by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from blockcache.errors import CodecError
from blockcache.fingerprint.buffers import digest
from blockcache.fingerprint.registry import Refused
from blockcache.inplace import FIXED, Layer, Step, own_state
from blockcache.types import torch_codec
from blockcache.types.torch_memory import memory_at


def _tensor(value: Any) -> object:
    if not value.is_leaf:
        raise Refused("part of a graph of autograd")  # what made it is an input of its gradient
    attributes: object = vars(value) or None
    # A gradient is an input of the next optimiser step.
    gradient = value.grad
    hooks = [list(found.values()) for found in (value._backward_hooks, value._post_accumulate_grad_hooks) if found]
    if hooks:
        attributes = attributes, hooks
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
        return str(tensor.layout), tensor.is_coalesced(), tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return str(tensor.layout), tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return str(tensor.layout), tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        raise Refused(f"a tensor of layout {tensor.layout}, quantized or nested")
    if not tensor.numel():
        return b""
    flat = tensor.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return digest(memory_at(flat.data_ptr(), flat.nbytes, flat))


def _generator(value: Any) -> object:
    return value.device.type, value.get_state()


def _by_text(value: Any) -> object:
    return str(value)


def _optimizer(value: Any) -> object:
    # Torch says only three of its attributes, and nothing of a derived class's.
    return torch_codec.state_of_optimizer(value)


FINGERPRINT = {
    "Tensor": _tensor,
    "Optimizer": _optimizer,
    "Generator": _generator,
    "dtype": _by_text,
    "device": _by_text,
    "layout": _by_text,
    "memory_format": _by_text,
}


def _contents(tensor: Any) -> tuple[Any, ...]:
    if not tensor.is_leaf:
        raise CodecError("the body changes a part of a graph of autograd in place, which a hit could not repeat")
    hooks = tensor._backward_hooks, tensor._post_accumulate_grad_hooks
    data = tensor.detach().clone()
    return data, tensor.grad, tensor.requires_grad, dict(vars(tensor)), *(found or None for found in hooks)


def _put_tensor(tensor: Any, contents: tuple[Any, ...]) -> None:
    data, gradient, required, *rest = contents
    with torch.no_grad():
        if tensor.shape == data.shape and tensor.dtype == data.dtype:
            tensor.data.copy_(data)  # views of it see the change
        else:
            tensor.data = data
    tensor.grad = gradient
    if tensor.is_leaf:
        tensor.requires_grad_(required)
    if rest:  # entries of before did not have it
        vars(tensor).clear()
        vars(tensor).update(rest[0])
        tensor._backward_hooks = _hooks(tensor._backward_hooks, rest[1])
        tensor._post_accumulate_grad_hooks = _hooks(tensor._post_accumulate_grad_hooks, rest[2])


def _hooks(known: Any, wanted: Any) -> Any:
    """The hooks in the dictionary that is there, to which the handles that remove them point."""
    if known is None:
        return wanted
    known.clear()
    known.update(wanted or {})
    return known


def _parts(tensor: Any) -> Iterable[tuple[Step, object]]:
    if tensor.is_leaf and tensor.grad is not None:
        yield ("attribute of", "grad"), tensor.grad
    for name, value in vars(tensor).items():
        yield ("attribute", name), value


def _elements(tensor: Any) -> Any:
    return tensor if tensor.is_leaf else tensor.detach()


#: Of these it counts which of them are one (tied weights).
CHANGING = frozenset({"Tensor", "Module"})

IN_PLACE = {
    "Tensor": Layer("data", _contents, _parts, put=_put_tensor, digested=_elements),
    "Generator": Layer("state", lambda generator: generator.get_state(), put=lambda g, state: g.set_state(state)),
    "Optimizer": replace(own_state(torch_codec.set_optimizer), contents=torch_codec.state_of_optimizer),
    "dtype": FIXED,
    "device": FIXED,
    "layout": FIXED,
    "memory_format": FIXED,
}

DESCRIBE = {
    "Tensor": lambda value: f"{type(value).__name__} {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}",
    "Module": lambda value: f"module {type(value).__name__}",
}
