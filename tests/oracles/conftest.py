"""Layers that other models of accelerators are asked about, as demands and as programs, and how those are started."""

import os
import subprocess
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from laxity.circuits import get
from laxity.core.demand import Demand
from laxity.core.op import Op, Site
from laxity.core.parts import Code, MultiplierUse, Window
from laxity.core.program import INPUT, Product, Program, Reshape
from laxity.core.requantise import Requantiser
from laxity.rtl.accelerator import make_schedule

TIMEOUT_S = 600
CODE = Code(1.0, 0, -128, 127)
NOTHING = Window((), (), (), (), ())


@dataclass(frozen=True)
class Layer:
    """A convolution over a square map, or, with `linear`, a linear layer of the flattened map."""

    name: str
    channels: int
    outputs: int
    side: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    linear: bool = False

    @property
    def out_side(self):
        return (self.side + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def positions(self):
        return self.out_side**2

    @property
    def taps(self):
        return self.kernel**2

    @property
    def read_side(self):
        """Rows of the padded map that a window reaches."""
        return (self.out_side - 1) * self.stride + self.kernel

    @property
    def read_inputs(self):
        """Values of the padded map that any window reads."""
        rows = {y * self.stride + k for y in range(self.out_side) for k in range(self.kernel)}
        return self.channels * len(rows) ** 2

    def demand(self):
        per_group = self.channels // self.groups
        reduction = per_group * self.taps
        shape = (self.channels, self.side, self.side)
        if self.linear:
            op = Op("linear", (reduction,), (self.outputs, reduction), (self.outputs,), 1, 1, reduction, self.outputs)
        else:
            weight = (self.outputs, per_group, self.kernel, self.kernel)
            out = (self.outputs, self.out_side, self.out_side)
            columns = self.outputs // self.groups
            op = Op("conv2d", shape, weight, out, self.groups, self.positions, reduction, columns)
        return Demand.of(Site(self.name, op, (), self.name))

    def schedule(self, configuration):
        """Passes and counts of the one step that multiplies, from the accelerator's own schedule."""
        exact = get("dadda8")
        use = MultiplierUse("dadda8", 8, 8, False, False, exact.table_sha256)
        shape, steps = (self.channels, self.side, self.side), []
        if self.linear:
            steps.append(Reshape(name="flat", inputs=(INPUT,), shape=(int(np.prod(shape)),), code=CODE))
            weight = np.ones((self.outputs, self.channels * self.taps), np.int32)
            operation, window, out = "linear", NOTHING, (self.outputs,)
        else:
            weight = np.ones((self.outputs, self.channels // self.groups, self.kernel, self.kernel), np.int32)
            two = {"stride": self.stride, "dilation": 1, "before": self.padding, "after": self.padding}
            window = Window((self.kernel,) * 2, **{key: (value,) * 2 for key, value in two.items()})
            operation, out = "conv2d", (self.outputs, self.out_side, self.out_side)
        zeros, most = np.zeros(self.outputs, np.int32), np.full(self.outputs, 1 << 24, np.int32)
        steps.append(
            Product(
                name="product", inputs=(steps[-1].name if steps else INPUT,), shape=out, code=CODE, site="",
                operation=operation, window=window, groups=self.groups, weight=weight, weight_low=-127, weight_high=127,
                weight_zero=zeros, bias=zeros, multiplier="dadda8", shifts=(0, 0), product_shift=0, register=None,
                requantiser=Requantiser.from_scale([1e-3] * self.outputs, 0, -128, 127),
                least_sums=-most, greatest_sums=most,
            )
        )  # fmt: skip
        program = Program(shape, CODE, tuple(steps), (use,))
        planned = make_schedule(program, {"dadda8": exact}, configuration)
        return next(step for step in planned.steps if step.step.name == "product")


LAYERS = (
    Layer("ResNet-20 first", 3, 16, 32, 3, padding=1),
    Layer("ResNet-20 stage 1", 16, 16, 32, 3, padding=1),
    Layer("ResNet-20 to stage 2", 16, 32, 32, 3, stride=2, padding=1),
    Layer("ResNet-20 stage 3", 64, 64, 8, 3, padding=1),
    Layer("ResNet-20 shortcut", 32, 64, 16, 1, stride=2),
    Layer("LeNet-5 conv1", 1, 6, 28, 5, padding=2),
    Layer("LeNet-5 conv2", 6, 16, 14, 5),
    Layer("LeNet-5 fc1", 16, 120, 5, 5, linear=True),
    Layer("LeNet-5 fc3", 84, 10, 1, linear=True),
    Layer("depthwise 3 x 3", 16, 16, 16, 3, padding=1, groups=16),
)


@pytest.fixture(scope="session")
def lab():
    return SimpleNamespace(LAYERS=LAYERS, Layer=Layer, start=start)


def start(variable, package, code, arguments, folder):
    """Run code in the Python that a variable names; skip where it names none.

    The package is never imported into the tests: it wants other versions of what they use.
    """
    python = os.environ.get(variable, "").strip()
    if not python:
        pytest.skip(f"{variable} is not set; it names the Python of an environment with {package}")
    done = subprocess.run(
        [python, "-c", code, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{package} failed: {done.stderr[-2000:]}"
    return done.stdout
