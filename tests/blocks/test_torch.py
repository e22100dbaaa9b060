"""torch: what a hit gives back of tensors, modules and optimizers, see threeways.py."""

from __future__ import annotations

import pytest
from tests.blocks.threeways import check, parameters

PROGRAMS = """
=== tensors share their memory with each other, with arrays and with what is upstream
# needs: torch numpy
import numpy as np, torch
old, array = torch.zeros(6), np.zeros(4)
seen = old[1:3]
torch.manual_seed(0)
model = torch.nn.Linear(2, 2)
with cached_block("made"):
    large = torch.arange(10000.0).reshape(100, 100)
    column, row = large[:, 3], large[5]
    del large
    a = np.arange(5.0)
    t = torch.from_numpy(a)
    tagged = torch.ones(3)
    tagged.tag = ["x"]
    part, as_array = tagged[1:], tagged.numpy()
    z = torch.tensor([1 + 2j, 3 - 1j])
    conjugate, imaginary = z.conj(), z.conj().imag
    parts = [large_part for large_part in torch.ones(50, 60)[:, 1:4].T]
with cached_block("upstream"):
    view, over, numbers = old[2:], torch.from_numpy(array), old.numpy()
    state, weight, data = model.state_dict(), model.weight, model.weight.data
    raw, scattered = model.weight.detach().numpy(), old[::3]
with cached_block("changed"):
    seen.fill_(3.0)
row[3] = -1.0
t[1], tagged[2], z[0] = 9.0, 7.0, 5 + 5j
view[0], over[1], numbers[5] = 1.0, 8.0, 6.0
state["weight"].fill_(4.0)
print(column[5], column.stride(), a, part, as_array, tagged.tag, conjugate, imaginary)
print(old, seen, array, weight is model.weight, data, raw, scattered)
=== gradients, hooks and tied weights are there, and optimizers go on
# needs: torch
import torch
torch.manual_seed(0)
class Scaled(torch.optim.SGD):
    def __init__(self, parameters, scale):
        super().__init__(parameters, lr=0.1, momentum=0.9)
        self.scale = scale
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.mul_(self.scale)
        super().step()
calls = []
with cached_block("model"):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside, self.out = torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5, bias=False)
            self.out.weight = self.inside.weight
    net = Tied()
    optimizer = torch.optim.AdamW(net.parameters())
    optimizer.register_step_post_hook(lambda *_: calls.append("step"))
    net.out(net.inside(torch.tensor([1, 2]))).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    gradient = net.out.weight.grad
    leaf = torch.ones(2, requires_grad=True)
    handle = leaf.register_hook(lambda g: g * 3)
    scaled = Scaled([torch.nn.Parameter(torch.ones(2))], 0.5)
print(net.out.weight is net.inside.weight, gradient is net.out.weight.grad, optimizer.param_groups[0]["params"][0] is net.out.weight)
(leaf * 1).sum().backward()
with cached_block("reset"):
    gradient_of_leaf = leaf.grad
    leaf.grad.zero_()
    net.inside.weight.grad = None
print(leaf.grad, gradient_of_leaf is leaf.grad, net.out.weight.grad, gradient)
handle.remove()
(leaf * 1).sum().backward()
for _ in range(2):
    net.out(net.inside(torch.tensor([3]))).sum().backward()
    optimizer.step()
    schedule.step()
group = scaled.param_groups[0]["params"][0]
group.sum().backward()
scaled.step()
print(leaf.grad, calls, schedule.get_last_lr(), scaled.scale, group)
with cached_block("scheduled"):
    other = torch.optim.lr_scheduler.ExponentialLR(scaled, 0.5)
scaled.step()
other.step()
print(other.optimizer is scaled, other.get_last_lr())
del optimizer, scaled, schedule, other  # a scheduler's wrapper of their steps is another function
=== layouts and types of elements
# needs: torch
import torch
with cached_block("made"):
    names = ("bfloat16", "float8_e4m3fn", "complex32", "complex64", "uint16", "bool")
    small = [torch.ones(4, dtype=getattr(torch, name)) for name in names]
    some = torch.ones(2000, dtype=torch.bfloat16)[::100]
    sparse = torch.eye(3).to_sparse()
    rows = torch.eye(3).to_sparse_csr()
    twice = torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, 2.0], (2, 2))
    sparse.requires_grad_()
    sparse.grad = torch.eye(3).to_sparse()
    empty = [torch.ones(5)[0:0], torch.empty(0, 3, requires_grad=True), torch.empty(2, 0, 3).permute(2, 0, 1)]
    nothing = torch.nn.Parameter(torch.empty(0))
with cached_block("read"):
    bits = [x.view(torch.uint8).tolist() for x in small if not x.is_complex()]
print(small, bits, some, some.stride(), sparse, sparse.grad, rows, twice.is_coalesced(), twice._values())
print([(x.shape, x.stride(), x.requires_grad) for x in empty], nothing)
=== settings that the body makes, and a device that is the default
# needs: torch
import torch
with cached_block("set"):
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_printoptions(precision=2, sci_mode=False)
print(torch.get_num_threads(), torch.tensor([1.23456, 1e-9]))
torch.set_default_device("meta")
with cached_block("made"):
    x, y = torch.ones(3, device="cpu") * 2, torch.ones(2)
print(x, y)
=== a tensor that was looked at can be resized
# needs: torch
import torch
x = torch.zeros(3)
with cached_block("resized"):
    x.resize_(5).fill_(1.0)
print(x)
=== a part of a graph of autograd is not saved, as a leaf it would not be what it was
# needs: torch
# warm: miss
import torch
w = torch.ones(3, requires_grad=True)
with cached_block("made"):
    y = w * 2
y.sum().backward()
print(w.grad)
=== a loss that was used up by backward comes back as a number
# needs: torch
import torch
torch.manual_seed(0)
x = torch.randn(20, 3)
y = x.sum(1, keepdim=True)
class Square(torch.autograd.Function):
    @staticmethod
    def forward(context, z):
        context.save_for_backward(z)
        return z * z
    @staticmethod
    def backward(context, gradient):
        return 2 * context.saved_tensors[0] * gradient
with cached_block("train"):
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    losses = []
    for epoch in range(3):
        optimizer.zero_grad()
        output = model(x)
        loss = torch.nn.functional.mse_loss(output, y) + 1
        loss.backward()
        optimizer.step()
        losses.append(loss)
    own = Square.apply(model.weight).sum()
    own.backward()
print(f"{loss.item():.6f} {own.item():.6f}", [round(one.item(), 6) for one in losses], output.detach().sum(), output.shape)
try:
    loss.backward()
except RuntimeError:
    print("no gradient flows")
del loss, losses, own, output
=== a graph that backward has left whole is not saved
# needs: torch
# warm: miss
import torch
w = torch.ones(3, requires_grad=True)
with cached_block("made"):
    kept = (w * w).sum()
    kept.backward(retain_graph=True)
    plus = w + 1
    plus.sum().backward()
kept.backward()
plus.sum().backward()
print(w.grad)
=== a part of a graph of autograd that changes in place
# needs: torch
# warm: unsaved
import torch
w = torch.ones(3, requires_grad=True)
y = w * 2
with cached_block("changed"):
    y.mul_(3)
y.sum().backward()
print(w.grad, y.detach())
"""


@pytest.mark.parametrize("text", list(parameters(PROGRAMS, {})))
def test_a_hit_cannot_be_told_from_a_run(project, text):
    """Plain, cold and warm leave the same."""
    check(project, text)
