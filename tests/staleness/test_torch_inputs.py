"""Inputs of torch: one edit between two processes. ``programs.py`` tells the notation."""

from __future__ import annotations

import importlib.util

import pytest
from programs import check, parameters

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="no torch")

PROGRAMS = r"""
=== miss | what an upstream part of a graph of autograd was made by
import torch
w = torch.ones(1, requires_grad=True)
y = w**«3→2»
with cached_block("b"):
    r = torch.autograd.grad(y.sum(), w)[0]
print(r)
=== miss | an attribute of an optimizer of the program's own class
import torch
class Own(torch.optim.SGD):
    def __init__(self, parameters, rho):
        super().__init__(parameters, lr=0.1)
        self.rho = rho
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(self.rho)
w = torch.nn.Parameter(torch.ones(1))
o = Own([w], «0.5→0.25»)
with cached_block("b"):
    o.step()
    r = w.item()
print(r)
=== miss | how torch writes tensors
import torch
torch.set_printoptions(precision=«2→3»)
t = torch.tensor([1.23456])
with cached_block("b"):
    r = str(t)
print(r)
=== miss | autocast of torch around the block
import torch
a = torch.ones(2, 2)
with torch.autocast("cpu", enabled=«False→True»):
    with cached_block("b"):
        r = str((a @ a).dtype)
print(r)
=== miss | weights of torch that are tied
import torch
torch.manual_seed(0)
a, b = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
b.weight = «torch.nn.Parameter(a.weight.detach().clone())→a.weight»
m = torch.nn.ModuleList([a, b])
with cached_block("b"):
    r = len(list(m.parameters()))
print(r)
=== miss | a sparse tensor that is coalesced
import torch
t = torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, 2.0], (2, 2))«→.coalesce()»
with cached_block("b"):
    r = t.is_coalesced()
print(r)
"""


@pytest.mark.parametrize(("kind", "text"), list(parameters(PROGRAMS, {})))
def test_what_counts_of_torch(project, plain_path, kind, text):
    """What is printed after an edit is what a plain run prints."""
    check(project, plain_path, kind, text)
