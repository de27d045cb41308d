"""Gradients of products of two activations, and of networks that have them."""

import numpy as np
import pytest
import torch
from torch import nn

from laxity.circuits import catalogue
from laxity.emulate.build import emulated
from laxity.models import build_for
from laxity.recovery import with_gradient
from laxity.techniques import Integer

SHAPES = {
    "matrices": ((3, 5), (5, 4)),
    "batches": ((2, 3, 5), (2, 5, 4)),
    "broadcast": ((2, 1, 3, 5), (3, 5, 4)),
    "vector": ((5,), (2, 5, 4)),
    "vectors": ((5,), (5,)),
}


class Times(nn.Module):
    """Multiplies two parts of its input, which are given their shapes."""

    def __init__(self, left, right):
        super().__init__()
        self.shapes = left, right

    def forward(self, x):
        cut = int(np.prod(self.shapes[0]))
        return x.reshape(-1)[:cut].reshape(self.shapes[0]) @ x.reshape(-1)[cut:].reshape(self.shapes[1])


def by_loops(site, left, right, upstream, dx, dw):
    """Gradients of both factors, product by product."""
    a_code, b_code = site.operand.input, site.operand.weight
    a, b = (c.codes(v).numpy().astype(int) for c, v in ((a_code, left), (b_code, right)))
    za, lows = int(a_code.zero), (a_code.code_range[0], b_code.code_range[0])
    rows, columns = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
    lead = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    n_left = np.broadcast_to(np.arange(rows.size).reshape(rows.shape), (*lead, *rows.shape[-2:]))
    n_right = np.broadcast_to(np.arange(columns.size).reshape(columns.shape), (*lead, *columns.shape[-2:]))
    g = upstream.double().numpy().reshape(*lead, rows.shape[-2], columns.shape[-1])
    for_left, for_right = np.zeros(rows.size), np.zeros(columns.size)
    for place in np.ndindex(*g.shape):
        *batch, m, n = place
        for k in range(rows.shape[-1]):
            i, j = n_left[(*batch, m, k)], n_right[(*batch, k, n)]
            at = rows.flat[i] - lows[0], columns.flat[j] - lows[1]
            for_left[i] += g[place] * float(b_code.scale) * dx[at]
            for_right[j] += g[place] * float(a_code.scale) * (dw[at] - za)
    return torch.from_numpy(for_left.reshape(a.shape)).float(), torch.from_numpy(for_right.reshape(b.shape)).float()


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("name", ["table_2d", "table_1d"])
def test_products_against_loops(ref, loops, shapes, scheme, name):
    torch.manual_seed(1)
    left, right = (torch.randn(s) for s in SHAPES[shapes])
    x = torch.cat([left.reshape(-1), right.reshape(-1)])[None]
    model = ref.quantised(Times(*SHAPES[shapes]), x, Integer(6, 7, input_scheme=scheme))
    site, multiplier = ref.site(model), catalogue.get("coltrunc8_8")
    site.multiplier = multiplier
    ranges = site.operand.input.code_range, site.operand.weight.code_range
    table = loops.table(multiplier, *ranges, (7, 6))
    dx, dw = loops.smoothed(table, (2, 1)) if name == "table_2d" else loops.lines(table, *ranges)
    given = x.clone().requires_grad_(True)
    plain = model(given)
    upstream = torch.randn_like(plain)
    options = {"window": 4, "tolerance": 0.0} if name == "table_2d" else {}
    with with_gradient(model, name, **options):
        output = model(given)
    assert torch.equal(output, plain)
    (mine,) = torch.autograd.grad(output, given, upstream)
    (straight,) = torch.autograd.grad(plain, given, upstream)
    wanted = torch.cat([g.reshape(-1) for g in by_loops(site, left, right, upstream, dx, dw)])[None]
    torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    assert not torch.allclose(mine, straight, rtol=1e-2)


@pytest.mark.parametrize("network", ["gru", "vit_tiny"])
def test_recurrent_and_attention_networks(ref, network):
    """Every site gets its gradient; with exact tables the whole network's are straight-through."""
    torch.manual_seed(0)
    x = torch.randn(3, 1, 8, 8)
    model = ref.quantised(build_for(network, (1, 8, 8), 5), x)
    model.requires_grad_(True)

    def gradients():
        return torch.autograd.grad(model(x).square().sum(), list(model.parameters()), allow_unused=True)

    for multiplier, same in (("dadda8", True), ("mitchell8", False)):
        for layer in emulated(model):
            layer.multiplier = catalogue.get(multiplier)
        straight = gradients()
        for name in ("table_1d", "table_2d"):
            with with_gradient(model, name) as found:
                mine = gradients()
            assert set(found) == {layer.site.name for layer in emulated(model)}
            for left, right in zip(mine, straight, strict=True):
                assert (left is None) == (right is None)
            pairs = [(m, s) for m, s in zip(mine, straight, strict=True) if m is not None]
            far = max(float((m - s).norm() / (s.norm() + 1e-6)) for m, s in pairs)
            assert far < 1e-4 if same else far > 1e-2
