"""Small networks, their approximation, and the comparison of an integer model with the interpreter of its program."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from laxity.core.interpret import run_program
from laxity.core.plan import Plan
from laxity.emulate import approximate, integer_model
from laxity.sites import find_sites
from laxity.techniques import Integer


class Block(nn.Module):
    """A convolution with what surrounds it, as drawn."""

    def __init__(self, dims, channels, draw):
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d)[dims - 1]
        kind = self.kind = draw(st.sampled_from(["plain", "plain", "residual", "joined", "grouped"]))
        groups = channels if kind == "grouped" else 1
        self.outputs = channels if kind != "plain" else draw(st.integers(1, 4))
        self.same = conv(channels, channels, 3, padding=1, bias=draw(st.booleans())) if kind == "residual" else None
        kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        padding, dilation = draw(st.integers(0, 2)), draw(st.integers(1, 2))
        self.conv = conv(
            channels, self.outputs, kernel, stride, padding + (dilation * (kernel - 1)) // 2, dilation, groups,
            bias=draw(st.booleans()),
        )  # fmt: skip
        self.before = draw(st.sampled_from(["none", "relu", "clamp"]))
        self.after = draw(st.sampled_from(["none", "relu", "relu6", "pool_relu", "max", "average"]))
        self.dims = dims
        self.outputs *= 2 if kind == "joined" else 1

    def forward(self, x):
        x = {"none": lambda v: v, "relu": F.relu, "clamp": lambda v: v.clamp(-0.5, 1.5)}[self.before](x)
        y = self.conv(x)
        if self.kind == "joined":
            y = torch.cat([y, F.relu(y)], 1)
        if self.kind == "residual":
            y = self.conv(F.relu(x + self.same(x)))
        pool, mean = (F.max_pool1d, F.avg_pool1d) if self.dims == 1 else (F.max_pool2d, F.avg_pool2d)
        after = {
            "none": lambda v: v,
            "relu": F.relu,
            "relu6": F.relu6,
            "pool_relu": lambda v: F.relu(pool(v, 2, stride=1, padding=1)),
            "max": lambda v: pool(v, 3, stride=2, padding=1, ceil_mode=True),
            "average": lambda v: mean(v, 2, stride=1, padding=1),
        }
        return after[self.after](y)


class Net(nn.Module):
    """Blocks, then a linear layer or an average."""

    def __init__(self, draw, shape):
        super().__init__()
        self.blocks, channels = nn.ModuleList(), shape[0]
        for _ in range(draw(st.integers(1, 3))):
            self.blocks.append(Block(len(shape) - 1, channels, draw))
            channels = self.blocks[-1].outputs
        self.head = draw(st.sampled_from(["linear", "mean", "flat"]))
        self.linear = nn.Linear(channels, 3) if self.head == "linear" else None

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        if self.head == "flat":
            return x.flatten(1)
        x = x.mean(tuple(range(2, x.dim())))
        return x if self.linear is None else self.linear(F.relu(x))


@st.composite
def networks(draw):
    """A random network with inputs for it."""
    torch.manual_seed(draw(st.integers(0, 2**20)))
    shape = draw(st.sampled_from([(1, 9), (2, 6, 7), (3, 5, 5)]))
    x = torch.randn(5, *shape)
    return Net(draw, shape).eval(), x.abs() if draw(st.booleans()) else x


@st.composite
def integers(draw):
    """A random OPERAND choice."""
    return Integer(
        draw(st.integers(2, 8)),
        draw(st.integers(2, 8)),
        draw(st.sampled_from(["symmetric", "symmetric", "affine"])),
        draw(st.sampled_from(["symmetric", "affine"])),
        draw(st.sampled_from(["channel", "tensor"])),
        draw(st.sampled_from(["minmax", "mse"])),
    )


def approximated(net, x, *choices):
    """The network with the same choices everywhere."""
    return approximate(net, Plan.assign(find_sites(net, x), choices or [Integer()]), calibration=x)


def compare(integer, codes):
    """Both executions of a program give the same integers everywhere; returns them."""
    got = integer.trace(codes)
    adders = {name: adder.add for name, adder in integer.adders.items()}
    wanted = run_program(integer.program, codes.numpy(), integer.tables, adders)
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        assert got[name].dtype == torch.int32
        assert np.array_equal(got[name].numpy(), value), name
    assert torch.equal(integer(codes), got[integer.program.output.name])
    return got


@pytest.fixture(scope="session")
def lab():
    """The functions above."""
    torch.set_num_threads(1)
    return SimpleNamespace(
        networks=networks,
        integers=integers,
        approximated=approximated,
        compare=compare,
        make=lambda net, x, *choices, **options: integer_model(approximated(net.eval(), x, *choices), x, **options),
    )
