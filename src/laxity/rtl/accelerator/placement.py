"""Which processing element makes which products of a step.

Weight-stationary: the element of row r and column c multiplies channel r of every block of channels, at every tap and
every position, for output c of every group. Output-stationary: it makes all products of position r of every group of
positions, for output c of every group of outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from laxity.circuits import Multiplier
from laxity.core.program import MultiplierUse, Product
from laxity.rtl.accelerator.images import IntArray
from laxity.rtl.accelerator.layout import Place, map_of
from laxity.rtl.accelerator.passes import Pass
from laxity.rtl.accelerator.product import OutputGroup, ProductForm, output_groups, product_form, spread_weights
from laxity.rtl.accelerator.schedule import Schedule


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """A product step on the array.

    Attributes:
        step: the convolution or linear layer.
        use: its multiplier.
        source: the map that it reads, in which a linear layer reads all places.
        form: the step as a convolution over that map.
        groups: its outputs, as the columns of the array take them, one after the other.
        weights: of each group, int64 (columns, channels of its blocks, kernel rows, kernel columns), 0 where a column
            has no output or an output does not read a channel.
        height, width: of the positions; position ``y * width + x`` is the one of row y and column x.
        passes: one or more for each group, in order.
    """

    step: Product
    use: MultiplierUse
    source: Place
    form: ProductForm
    groups: tuple[OutputGroup, ...]
    weights: tuple[IntArray, ...]
    height: int
    width: int
    passes: tuple[Pass, ...]

    @property
    def positions(self) -> int:
        """Results per output."""
        return self.height * self.width

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """Rows above and below, columns on the left and on the right of the map that windows see."""
        source, form = self.source, self.form
        found = []
        for axis, (size, inside) in enumerate(((self.height, source.height), (self.width, source.width))):
            reach = (size - 1) * form.stride[axis] + (form.kernel[axis] - 1) * form.dilation[axis] + 1
            found += [form.before[axis], max(0, reach - form.before[axis] - inside)]
        return found[0], found[1], found[2], found[3]

    def reads(self, position: int, tap: int) -> tuple[int, int]:
        """Row and column of the map under a tap at a position; outside of it, there is the code of zero.

        Taps are counted along rows of the window.
        """
        form, (y, x) = self.form, divmod(position, self.width)
        row, column = divmod(tap, form.kernel[1])
        return (
            y * form.stride[0] + row * form.dilation[0] - form.before[0],
            x * form.stride[1] + column * form.dilation[1] - form.before[1],
        )


def place_products(schedule: Schedule, circuits: Mapping[str, Multiplier]) -> tuple[Placement, ...]:
    """All product steps of a schedule, in order.

    Args:
        schedule: of a program.
        circuits: the multipliers that it names, those it was made with.
    """
    return tuple(_placements(schedule, circuits))


def _placements(schedule: Schedule, circuits: Mapping[str, Multiplier]) -> Iterator[Placement]:
    program, configuration = schedule.program, schedule.configuration
    for planned in schedule.steps:
        step = planned.step
        if not isinstance(step, Product):
            continue
        source, use = schedule.layout.places[step.inputs[0]], program.multiplier(step.multiplier)
        form = product_form(step, source, use, circuits[use.name].table)
        groups = tuple(output_groups(len(step.weight), form.weight.shape[1], step.groups, configuration))
        weights = tuple(spread_weights(form, step.groups, group, configuration) for group in groups)
        _, height, width = map_of(step.shape, step.name)
        yield Placement(step, use, source, form, groups, weights, height, width, planned.passes)
