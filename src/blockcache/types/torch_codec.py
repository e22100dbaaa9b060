"""Saving torch tensors: storages as they lie, tensors as views of them; optimizers with all that they keep.

Plain pickle writes every storage into the stream, and forgets gradients, hooks, and that a tensor and
its ``.numpy()`` share memory. The functions that ``make_*`` a value are named in saved
entries and are never renamed.
"""

from __future__ import annotations

import contextlib
import functools
import math
import pickle
import sys
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch

from blockcache.codec.regions import MOST_GAPS, Collector
from blockcache.codec.registry import Reducer
from blockcache.types.torch_memory import bounds, is_plain, memory_at

#: A view with wide gaps between its elements gets them back, empty, up to this many bytes.
_MOST_SPREAD_BYTES = 64 << 20
#: Of a graph of autograd so many are asked whether they kept anything.
_MOST_NODES = 1_000
_CONJUGATED = 1
_NEGATED = 2


def reducer(cls: type) -> Reducer | None:
    """The reducer of a torch class."""
    if cls is torch.Tensor or cls is torch.nn.Parameter:
        return _reduce_tensor
    if issubclass(cls, torch.Tensor):
        return _reduce_other
    return _reduce_optimizer if issubclass(cls, torch.optim.Optimizer) else None


# -- tensors -----------------------------------------------------------------------------------


def without_graph(tensor: Any) -> Any:
    """A tensor itself, or its numbers where ``backward()`` has used up its graph: no gradient flows through that."""
    if tensor.is_leaf or tensor.retains_grad or tensor._backward_hooks or not _is_used_up(tensor.grad_fn):
        return tensor
    left = tensor.detach()
    vars(left).update(vars(tensor))
    return left


def _is_used_up(node: Any) -> bool:
    """Whether what a graph has kept for its gradients is freed; the nearest that kept anything tells."""
    met: set[Any] = set()
    todo = deque([node])
    while todo and len(met) < _MOST_NODES:
        node = todo.popleft()
        if node is None or node in met:
            continue
        met.add(node)
        for name in dir(type(node)):
            if name == "saved_tensors" or name.startswith("_saved_"):
                try:
                    kept = getattr(node, name)
                except RuntimeError as error:
                    return "already been freed" in str(error)
                if isinstance(kept, torch.Tensor) or (name == "saved_tensors" and kept):
                    return False
        todo += [following for following, _ in node.next_functions]
    return False


def _reduce_tensor(tensor: Any, collector: Collector) -> Any:
    reduced = _typed_tensor(tensor, collector)
    return _reduce_other(without_graph(tensor), collector) if reduced is NotImplemented else reduced


def _reduce_other(tensor: Any, _collector: Collector) -> Any:
    """What torch pickles itself, without its gradient; it would make a leaf of a part of a graph."""
    if not tensor.is_leaf:
        raise pickle.PicklingError(
            "it is part of a graph of autograd, which cannot be saved: keep x.detach() or x.item()"
        )
    hooks = tensor._backward_hooks or tensor._post_accumulate_grad_hooks
    if hooks:
        raise pickle.PicklingError(f"a tensor of layout {tensor.layout} or a derived class that has hooks")
    if tensor.grad is None and type(tensor) is not torch.Tensor:
        return NotImplemented
    with _quietly():
        made, arguments, *rest = tensor.__reduce_ex__(5)
    if rest:
        return NotImplemented
    return _with_state((make_other, (tensor.requires_grad, made, *arguments)), tensor)


def make_other(requires_grad: bool, make: Any, *arguments: Any) -> Any:
    """What torch makes, without the warnings of a prototype: who made the tensor has had them."""
    with _quietly():
        tensor = make(*arguments)
    return tensor.requires_grad_() if requires_grad else tensor


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _with_state(reduced: tuple[Any, ...], tensor: Any) -> tuple[Any, ...]:
    """The reduction of a tensor, with its gradient, attributes and hooks where it has any."""
    gradient, hooks, later = tensor.grad, tensor._backward_hooks, tensor._post_accumulate_grad_hooks
    if gradient is None and not hooks and not later and not vars(tensor):
        return reduced
    return (*reduced, (gradient, vars(tensor), hooks or None, later or None), None, None, set_state)


def set_state(tensor: Any, state: tuple[Any, ...]) -> None:
    """What a tensor has beside its elements."""
    gradient, attributes, hooks, later = state
    vars(tensor).update(attributes)
    if gradient is not None:
        tensor.grad = gradient
    if hooks:
        tensor._backward_hooks = hooks
    if later:
        tensor._post_accumulate_grad_hooks = later


def _reduced(tensor: Any, collector: Collector) -> tuple[Any, ...]:
    storage = tensor.untyped_storage()
    shape, stride, is_parameter = tuple(tensor.shape), tuple(tensor.stride()), isinstance(tensor, torch.nn.Parameter)
    if not tensor.numel() or not storage.nbytes():
        more = (
            (stride, is_parameter)
            if is_parameter or stride != tuple(torch.empty(shape, device="meta").stride())
            else ()
        )
        return make_empty, (shape, tensor.dtype, tensor.requires_grad, *more)
    bits = tensor.is_conj() * _CONJUGATED + tensor.is_neg() * _NEGATED
    offset, needs = tensor.storage_offset(), tensor.requires_grad
    first = offset * tensor.itemsize
    end = first + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) * tensor.itemsize + tensor.itemsize
    if collector.upstream and id(tensor) not in collector.contents:
        found = collector.owner(storage.data_ptr() + first, storage.data_ptr() + end, _place)
        if found is not None and not (storage.data_ptr() + first - found[1]) % tensor.itemsize:
            offset = (storage.data_ptr() + first - found[1]) // tensor.itemsize
            return make_view, (found[0], tensor.dtype, offset, shape, stride, needs, is_parameter, bits)
    if storage.nbytes() <= MOST_GAPS * tensor.nbytes or _storage_is_output(storage, collector):
        low, high, elements = 0, storage.nbytes(), None
    else:  # a small view of a large storage
        low, high, offset = first, end, 0
        elements = _elements(tensor) if end - first > MOST_GAPS * tensor.nbytes else None
    address = storage.data_ptr() + low
    buffer = collector.out_of_band(memory_at(address, high - low, storage), address, elements)
    size = high - low if elements is not None else 0
    rest = (size, bits) if size or bits else ()
    maker = make_parameter if is_parameter else make_tensor
    return maker, (buffer, tensor.dtype, offset, shape, stride, needs, *rest)


def _elements(tensor: Any) -> memoryview:
    """The elements without the gaps between them."""
    apart = _over(tensor.untyped_storage(), tensor.dtype, tensor.storage_offset(), tensor.shape, tensor.stride())
    apart = apart.contiguous()
    return memoryview(memory_at(apart.data_ptr(), apart.nbytes, apart)).cast("B")


def _storage_is_output(storage: Any, collector: Collector) -> bool:
    """Whether the whole storage is saved anyway, by an output."""
    return any(
        value.device.type == "cpu"
        and value.layout is torch.strided
        and not value.is_nested
        and value.untyped_storage().data_ptr() == storage.data_ptr()
        and 4 * value.nbytes >= storage.nbytes()
        for value in _tensors(collector)
    )


def _tensors(collector: Collector) -> list[Any]:
    return [value for value in collector.values.values() if type(value) is torch.Tensor]


def _place(value: Any) -> tuple[int, int] | None:
    """Where the memory of an upstream tensor, or array, is."""
    found = bounds(value)
    if found is not None:
        return found
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray or value.dtype.hasobject:
        return None
    start = value.__array_interface__["data"][0]
    return (start, start + value.nbytes) if value.flags.c_contiguous and value.flags.writeable else None


def _over(storage: Any, dtype: Any, offset: int, shape: Any, stride: Any, bits: int = 0) -> Any:
    """A tensor over a storage, in which it must lie: torch would make the storage larger."""
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    if offset < 0 or (math.prod(shape) and (last + 1) * dtype.itemsize > storage.nbytes()):
        raise ValueError("a tensor that does not lie within its storage")
    with _quietly() if dtype is torch.complex32 else contextlib.nullcontext():
        tensor = torch.empty(0, dtype=dtype, device="cpu").set_(storage, offset, tuple(shape), tuple(stride))
    if bits & _CONJUGATED:
        tensor = tensor.conj()
    return tensor._neg_view() if bits & _NEGATED else tensor


def make_view(
    owner: Any, dtype: Any, offset: int, shape: Any, stride: Any, requires_grad: bool, is_parameter: bool, bits: int
) -> Any:
    """A tensor in the memory of an upstream tensor or array."""
    if isinstance(owner, torch.Tensor):
        storage = owner.untyped_storage()
    else:
        storage = torch.frombuffer(memoryview(owner).cast("B"), dtype=torch.uint8).untyped_storage()
    tensor = _over(storage, dtype, offset, shape, stride, bits)
    if is_parameter:
        return torch.nn.Parameter(tensor, requires_grad)
    return tensor.requires_grad_() if requires_grad else tensor


def make_tensor(
    buffer: Any, dtype: Any, offset: int, shape: Any, stride: Any, requires_grad: bool, size: int = 0, bits: int = 0
) -> Any:
    """A tensor over ``buffer``; where that holds the elements alone of ``size`` bytes, over as many of its own."""
    storage = torch.frombuffer(buffer, dtype=torch.uint8).untyped_storage()
    if size and size != storage.nbytes():
        elements = torch.empty(0, dtype=dtype, device="cpu").set_(storage, 0, tuple(shape))
        if size > _MOST_SPREAD_BYTES:
            offset, stride = 0, elements.stride()
        else:
            storage = torch.zeros(size, dtype=torch.uint8, device="cpu").untyped_storage()
            _over(storage, dtype, offset, shape, stride).copy_(elements)
    tensor = _over(storage, dtype, offset, shape, stride, bits)
    return tensor.requires_grad_() if requires_grad else tensor


def make_parameter(
    buffer: Any, dtype: Any, offset: int, shape: Any, stride: Any, requires_grad: bool, size: int = 0, bits: int = 0
) -> Any:
    """A parameter over ``buffer``."""
    return torch.nn.Parameter(make_tensor(buffer, dtype, offset, shape, stride, False, size, bits), requires_grad)


# -- optimizers --------------------------------------------------------------------------------


def _reduce_optimizer(optimizer: Any, _collector: Collector) -> Any:
    make, arguments, _, *rest = optimizer.__reduce_ex__(5)
    if any(part is not None for part in rest) or type(optimizer).__getstate__ is not torch.optim.Optimizer.__getstate__:
        return NotImplemented
    return make, arguments, state_of_optimizer(optimizer), None, None, set_optimizer


def state_of_optimizer(optimizer: Any) -> tuple[dict[str, object], bool]:
    """All attributes, of which torch pickles three; and whether a scheduler listens to its steps."""
    own = dict(vars(optimizer))
    listened = getattr(own.get("step"), "_wrapped_by_lr_sched", False)
    if listened:
        del own["step"]
    return own, listened


def set_optimizer(optimizer: Any, state: tuple[dict[str, object], bool]) -> None:
    """Give an optimizer that exists its attributes."""
    own, listened = state
    vars(optimizer).clear()
    optimizer.__setstate__(own)
    vars(optimizer).update(own)
    if listened:
        _listen(optimizer)


def _listen(optimizer: Any) -> None:
    """As torch's schedulers do, to warn when they step first."""
    reference, step = weakref.ref(optimizer), type(optimizer).step

    @functools.wraps(step)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found = reference()
        assert found is not None
        found._opt_called = True
        return step.__get__(found, type(found))(*args, **kwargs)

    wrapper._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = wrapper


# -- typed trees -------------------------------------------------------------------------------


def typed(cls: type) -> Reducer | None:
    """The reducer of exactly this class for typed trees."""
    if cls is torch.dtype:
        return lambda value, _: (make_dtype, (str(value).removeprefix("torch."),))
    if cls is torch.Size:
        return lambda value, _: (make_size, tuple(value))
    return _typed_tensor if cls is torch.Tensor or cls is torch.nn.Parameter else None


def _typed_tensor(tensor: Any, collector: Collector) -> Any:
    tensor = without_graph(tensor)
    if not tensor.is_leaf or not is_plain(torch, tensor):
        return NotImplemented
    return _with_state(_reduced(tensor, collector), tensor)


def make_empty(shape: Any, dtype: Any, requires_grad: bool, stride: Any = None, is_parameter: bool = False) -> Any:
    """A tensor without elements."""
    tensor = torch.empty(shape, dtype=dtype, device="cpu")
    if stride is not None:
        tensor = tensor.as_strided(shape, stride)
    return torch.nn.Parameter(tensor, requires_grad) if is_parameter else tensor.requires_grad_(requires_grad)


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
    "view": make_view,
    "state": set_state,
    "empty": make_empty,
    "dtype": make_dtype,
    "size": make_size,
}
