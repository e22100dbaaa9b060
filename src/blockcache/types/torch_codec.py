"""Saving torch tensors: storages as they lie, tensors as views of them.

Plain pickle writes every storage into the stream and forgets that a tensor and
its ``.numpy()`` share memory. The functions that ``make_*`` a value are named in saved
entries and are never renamed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch

from blockcache.codec.regions import Collector
from blockcache.codec.registry import Reducer


def reducer(cls: type) -> Reducer | None:
    """The reducer of a torch class."""
    if cls is torch.Tensor or cls is torch.nn.Parameter:
        return _reduce_tensor
    return None


def _is_plain(tensor: Any) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not tensor.is_quantized
        and tensor.is_leaf
        and not tensor._backward_hooks
        and not tensor.__dict__
        and not tensor.is_conj()
        and not tensor.is_neg()
        and tensor.untyped_storage().nbytes() > 0
    )


def _reduce_tensor(tensor: Any, collector: Collector) -> Any:
    if not _is_plain(tensor):
        return NotImplemented
    storage = tensor.untyped_storage()
    offset, shape, stride = tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())
    if storage.nbytes() > 4 * tensor.nbytes and not _storage_is_output(storage, collector):
        # A small view of a large storage that is not saved itself.
        tensor = tensor.detach().clone().requires_grad_(tensor.requires_grad)
        storage = tensor.untyped_storage()
        offset, stride = 0, tuple(tensor.stride())
    memory = (ctypes.c_ubyte * storage.nbytes()).from_address(storage.data_ptr())
    memory._blockcache_owner = storage  # keeps the memory alive
    buffer = collector.out_of_band(memory, storage.data_ptr())
    maker = make_parameter if isinstance(tensor, torch.nn.Parameter) else make_tensor
    return maker, (buffer, tensor.dtype, offset, shape, stride, tensor.requires_grad)


def _storage_is_output(storage: Any, collector: Collector) -> bool:
    """Whether the whole storage is saved anyway, by an output."""
    return any(
        value.device.type == "cpu"
        and value.layout is torch.strided
        and value.untyped_storage().data_ptr() == storage.data_ptr()
        and 4 * value.nbytes >= storage.nbytes()
        for value in _tensors(collector)
    )


def _tensors(collector: Collector) -> list[Any]:
    return [value for value in collector.values.values() if type(value) is torch.Tensor]


def make_tensor(buffer: Any, dtype: Any, offset: int, shape: Any, stride: Any, requires_grad: bool) -> Any:
    """A tensor over ``buffer``."""
    storage = torch.frombuffer(buffer, dtype=torch.uint8).untyped_storage()
    tensor = torch.empty(0, dtype=dtype).set_(storage, offset, shape, stride)
    return tensor.requires_grad_() if requires_grad else tensor


def make_parameter(buffer: Any, dtype: Any, offset: int, shape: Any, stride: Any, requires_grad: bool) -> Any:
    """A parameter over ``buffer``."""
    return torch.nn.Parameter(make_tensor(buffer, dtype, offset, shape, stride, False), requires_grad)


# -- typed trees -------------------------------------------------------------------------------


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees."""
    if cls is torch.dtype:
        return lambda value, _: (make_dtype, (str(value).removeprefix("torch."),))
    if cls is torch.Size:
        return lambda value, _: (make_size, tuple(value))
    return _typed_tensor if reducer(cls) is not None else None


def _typed_tensor(tensor: Any, collector: Collector) -> Any:
    empty = type(tensor) is torch.Tensor and tensor.device.type == "cpu" and not tensor.untyped_storage().nbytes()
    if empty and tensor.is_leaf and not tensor.__dict__ and not tensor.is_quantized and tensor.layout is torch.strided:
        return make_empty, (tuple(tensor.shape), tensor.dtype, tensor.requires_grad)
    return _reduce_tensor(tensor, collector)


def make_empty(shape: tuple[int, ...], dtype: Any, requires_grad: bool) -> Any:
    """A tensor without elements."""
    return torch.empty(shape, dtype=dtype, requires_grad=requires_grad)


def make_dtype(name: str) -> Any:
    """A type of elements."""
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"torch.{name} is no dtype")
    return found


def make_size(*lengths: int) -> Any:
    """A shape."""
    return torch.Size(lengths)


#: What trees may call, by the name after ``torch.``.
MAKERS: dict[str, Callable[..., Any]] = {
    "tensor": make_tensor,
    "parameter": make_parameter,
    "empty": make_empty,
    "dtype": make_dtype,
    "size": make_size,
}
