"""A small network on arrays, and what its elements do, product by product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.approximation import Approximation
from laxity.core.interpret import SUMS
from laxity.core.plan import Plan
from laxity.core.program import INPUT, Product
from laxity.emulate.apply import realise
from laxity.emulate.integer import IntegerModel
from laxity.rtl.accelerator import Placement
from laxity.sites.prepare import prepare

SAMPLES = 6


class Net(nn.Module):
    """Padded, strided, dilated, grouped and depthwise convolutions, an addition, and a flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6)
        self.grouped = nn.Conv2d(6, 6, (3, 1), padding=(2, 0), dilation=(2, 1), groups=2, bias=False)
        self.point = nn.Conv2d(6, 5, 1)
        self.hidden = nn.Linear(5 * 9, 7)
        self.last = nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.depthwise(F.relu(self.first(x))))
        y = F.relu(self.grouped(y)) + y
        y = torch.flatten(F.relu(self.point(y)), 1)
        return self.last(F.relu(self.hidden(y)))


def inputs() -> Tensor:
    return torch.randn(SAMPLES, 3, 6, 5, generator=torch.Generator().manual_seed(1))


def network(*choices: dict[str, Any]) -> nn.Module:
    """The network with integer operands, or others."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Net().eval()
    prepared = prepare(model, inputs()[:1])
    plan = Plan.assign(prepared.sites, [Approximation.from_json(c) for c in choices or ({"kind": "integer"},)])
    return realise(prepared, plan, [inputs()]).eval()


def products(
    placement: Placement, rows: int, columns: int, flow: str
) -> Iterator[tuple[tuple[int, int], int, int, int, int, int, int]]:
    """All products that the array makes for wanted sums, without padding lanes being left out.

    Yields:
        Element, output, position, channel, row and column of the tap, weight code (0 where there is none).
    """
    step, source = placement.step, placement.source
    weight = step.weight.reshape(len(step.weight), -1, *placement.form.kernel)
    outputs, per_group, inputs = len(weight), len(weight) // step.groups, weight.shape[1]
    for output in range(outputs):
        begin = output // columns * columns
        together = range(begin, min(begin + columns, outputs))
        read = {o // per_group * inputs + i for o in together for i in range(inputs)}
        lanes = range(min(read) // rows * rows, -(-(max(read) + 1) // rows) * rows)
        own = output // per_group * inputs
        for position in range(placement.height * placement.width):
            for channel in lanes:
                row = channel % rows if flow == "weight-stationary" else position % rows
                for y in range(weight.shape[2]):
                    for x in range(weight.shape[3]):
                        inside = own <= channel < own + inputs
                        w = int(weight[output, channel - own, y, x]) if inside else 0
                        yield (row, output % columns), output, position, channel, y, x, w
    assert source.blocks * rows >= source.channels


def code_at(placement: Placement, codes: np.ndarray, position: int, channel: int, y: int, x: int) -> int:
    """The code of one sample that an element meets."""
    source, form = placement.source, placement.form
    row = position // placement.width * form.stride[0] + y * form.dilation[0] - form.before[0]
    column = position % placement.width * form.stride[1] + x * form.dilation[1] - form.before[1]
    there = channel < source.channels and 0 <= row < source.height and 0 <= column < source.width
    maps = codes.reshape(source.channels, source.height, source.width)
    return int(maps[channel, row, column]) if there else source.code.zero


def product(table: np.ndarray, placement: Placement, a: int, w: int) -> int:
    """What the element adds for two codes: the magnitudes' product with the sign outside, or two's complement."""
    step, use = placement.step, placement.use
    a, w = a << step.shifts[0], w << step.shifts[1]
    negative = False
    if use.a_signed:
        a %= 1 << use.a_bits
    else:
        a, negative = abs(a), negative ^ (a < 0)
    if use.b_signed:
        w %= 1 << use.b_bits
    else:
        w, negative = abs(w), negative ^ (w < 0)
    return -int(table[a, w]) if negative else int(table[a, w])


def naive_changes(
    placement: Placement,
    codes: np.ndarray,
    array: tuple[int, int, str],
    element: tuple[int, int],
    tables: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """What sums of one sample change by, int64 (outputs, positions), where one element has the second table."""
    change = np.zeros((len(placement.step.weight), placement.height * placement.width), np.int64)
    cut, tiles = placement.step.product_shift, array[2] == "weight-stationary"
    for place, output, position, channel, y, x, w in products(placement, *array):
        if place == element:
            a = code_at(placement, codes, position, channel, y, x)
            right, wrong = (product(table, placement, a, w) for table in tables)
            change[output, position] += (wrong - right) >> cut if tiles else wrong - right
    return change if tiles else change >> cut


def faulty_trace(
    integer: IntegerModel, codes: Tensor, change: Callable[[Product, np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """All integers of a batch, as of `laxity.core.interpret.run_program`, with other sums in product steps.

    `change` gives, for the step and codes (batch, ...) of its input, what is added to its sums (batch, outputs, p).
    """
    values: dict[str, Tensor] = {INPUT: codes.to(torch.int32)}
    for step, module in zip(integer.program.steps, integer.steps, strict=True):
        given = [values[name] for name in step.inputs]
        if isinstance(step, Product):
            sums = module.sums(given[0])  # type: ignore[operator]
            more = torch.from_numpy(change(step, given[0].numpy())).to(torch.int32).reshape(sums.shape)
            values[step.name + SUMS] = sums + more
            values[step.name] = module.requantise(sums + more)  # type: ignore[operator]
        else:
            values[step.name] = module(*given)
    return {name: value.numpy() for name, value in values.items()}
