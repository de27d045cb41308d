"""Passes of the array: convolutions and linear layers.

The reduction runs over tiles (channel block, kernel row, kernel column): in each, the rows of the array get the
channels of one word. Lanes without a channel hold the code of zero and meet weights of 0; what the circuit makes of
that pair is a constant, which the bias takes off. Channels of other groups meet weights of 0 too, which is right for
circuits whose products with 0 are 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import PlanError
from laxity.core.parts import Window
from laxity.core.program import Code, MultiplierUse, Product, Program
from laxity.rtl.accelerator.configuration import OUTPUT_STATIONARY, Configuration
from laxity.rtl.accelerator.images import UNUSED, Images, IntArray, LaneParameters
from laxity.rtl.accelerator.layout import Layout, Place, map_of
from laxity.rtl.accelerator.passes import Pass


@dataclass(frozen=True, slots=True, eq=False)
class ProductForm:
    """A product step as a convolution over the stored map.

    Attributes:
        weight: codes, int64 (outputs, channels per group, kernel rows, kernel columns).
        kernel, stride, dilation, before: rows and columns.
        wrap: bits that are cut off the sums of 32 bits.
        zero_products: of the code of zero, and of the least to the greatest code, with the weight 0; int64, first the
            code of zero.
    """

    weight: IntArray
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    wrap: int
    zero_products: IntArray


def circuit_products(
    step: Product, use: MultiplierUse, table: IntArray, codes: IntArray, weights: IntArray
) -> IntArray:
    """What enters the sum for activation and weight codes, which broadcast."""
    (a, a_negative), (w, w_negative) = (
        operand_bits(codes << step.shifts[0], use.a_bits, use.a_signed),
        operand_bits(weights << step.shifts[1], use.b_bits, use.b_signed),
    )
    found: IntArray = np.where(a_negative ^ w_negative, -table[a, w], table[a, w]) >> step.product_shift
    return found


def operand_bits(values: IntArray, bits: int, signed: bool) -> tuple[IntArray, NDArray[np.bool_]]:
    """Bits that enter a core, and whether a sign is applied outside."""
    return (values % (1 << bits), np.zeros(values.shape, bool)) if signed else (abs(values), values < 0)


def product_form(step: Product, source: Place, use: MultiplierUse, table: IntArray) -> ProductForm:
    """Read a product step as a convolution.

    Raises:
        PlanError: the accelerator cannot compute it; names the step.
    """
    if step.operation == "linear":
        if len(step.shape) != 1:
            raise PlanError(
                f"step {step.name!r} is a linear layer over the last of {len(step.shape)} dimensions; the accelerator "
                "computes linear layers of vectors, so flatten their input"
            )
        kernel = (source.height, source.width)
        window = Window(kernel, (1, 1), (1, 1), (0, 0), (0, 0))
    elif step.operation in ("conv1d", "conv2d"):
        window = flat_window(step.window)
        kernel = window.kernel  # type: ignore[assignment]
    else:
        raise PlanError(f"step {step.name!r} is a {step.operation}; the accelerator has conv1d, conv2d and linear")
    weight = step.weight.astype(np.int64).reshape(len(step.weight), -1, *kernel)
    codes = np.arange(source.code.low, source.code.high + 1)
    products = circuit_products(step, use, table, np.concatenate([[source.code.zero], codes]), np.zeros(1, np.int64))
    stride, dilation, before = ((int(v[0]), int(v[1])) for v in (window.stride, window.dilation, window.before))
    form = ProductForm(weight, kernel, stride, dilation, before, _wrap(step, source.code, use, table), products)
    if form.wrap and products[0]:
        raise PlanError(
            f"step {step.name!r} wraps sums of {step.multiplier!r}, whose product of the codes of zero is "
            f"{int(products[0])}; choose a multiplier that gives 0, or exact sums"
        )
    return form


def flat_window(window: Window) -> Window:
    """A window over rows and columns; of one dimension, over columns.

    Raises:
        PlanError: it has three dimensions.
    """
    dims = len(window.kernel)
    if not 1 <= dims <= 2:
        raise PlanError(f"a window of {dims} dimensions is not possible; the accelerator has rows and columns")
    if dims == 2:
        return window
    return Window(
        (1, *window.kernel), (1, *window.stride), (1, *window.dilation), (0, *window.before), (0, *window.after)
    )


def _wrap(step: Product, code: Code, use: MultiplierUse, table: IntArray) -> int:
    """How many of 32 bits of a sum the register of a step lacks, where its order of additions does not matter."""
    register = step.register
    if register is None:
        return 0
    if register.exact and _fits(step, code, use, table, register.bits):
        return 0
    whole = register.chain == 0 or register.chain >= step.reduction
    if not register.exact or register.overflow != "wrap" or not whole:
        raise PlanError(
            f"step {step.name!r} adds with {register.adder!r} ({register.overflow}, chains of "
            f"{register.chain or 'all'} products), where the order of additions matters; the accelerator adds channel "
            "blocks first, exactly or modulo a power of two: use an exact adder that wraps, or one that is wide enough"
        )
    return max(0, 32 - register.bits)


def _fits(step: Product, code: Code, use: MultiplierUse, table: IntArray, bits: int) -> bool:
    """Whether no sum of products in any order can leave a word."""
    codes, weights = np.arange(code.low, code.high + 1), np.arange(step.weight_low, step.weight_high + 1)
    greatest = abs(circuit_products(step, use, table, codes[:, None], weights[None])).max(0)
    sums = greatest[step.weight.astype(np.int64) - step.weight_low].reshape(len(step.weight), -1).sum(1)
    return int(sums.max()) < 1 << (bits - 1)


@dataclass(frozen=True, slots=True)
class OutputGroup:
    """Outputs that the columns of the array work on together.

    Attributes:
        first: the output of column 0.
        outputs: columns that have one.
        blocks: channel blocks that are read.
    """

    first: int
    outputs: int
    blocks: range


def output_groups(outputs: int, inputs: int, groups: int, configuration: Configuration) -> Iterator[OutputGroup]:
    """All outputs of a step in the order in which the array takes them.

    Args:
        outputs: of the step.
        inputs: channels that one output reads.
        groups: of the convolution.
        configuration: of the array.
    """
    per_group, lanes = outputs // groups, configuration.rows
    for first in range(0, outputs, configuration.columns):
        count = min(configuration.columns, outputs - first)
        start, stop = first // per_group, (first + count - 1) // per_group
        yield OutputGroup(first, count, range(start * inputs // lanes, -(-((stop + 1) * inputs) // lanes)))


def spread_weights(form: ProductForm, groups: int, group: OutputGroup, configuration: Configuration) -> IntArray:
    """Weights as elements get them: int64 (columns, channels of the blocks, *kernel), 0 where there is none."""
    rows, columns = configuration.rows, configuration.columns
    inputs, per_group = form.weight.shape[1], len(form.weight) // groups
    found = np.zeros((columns, len(group.blocks) * rows, *form.kernel), np.int64)
    for column, output in enumerate(range(group.first, group.first + group.outputs)):
        channel = output // per_group * inputs - group.blocks.start * rows
        found[column, channel : channel + inputs] = form.weight[output]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class ProductLowering:
    """Writes the passes of product steps.

    Attributes:
        program: that has the steps.
        configuration: of the array.
        layout: of values in memory.
        tables: product tables by the names of multipliers.
        images: memories that are filled.
        accumulator_words: positions that fit the accumulators.
    """

    program: Program
    configuration: Configuration
    layout: Layout
    tables: Mapping[str, IntArray]
    images: Images
    accumulator_words: int

    def passes(self, step: Product) -> Iterator[Pass]:
        """The passes of a step, for every group of outputs, for every band of rows.

        Raises:
            PlanError: the accelerator cannot compute the step; names it.
        """
        source, target = self.layout.places[step.inputs[0]], self.layout.places[step.name]
        use = self.program.multiplier(step.multiplier)
        form = product_form(step, source, use, self.tables[use.name])
        _, height, width = map_of(step.shape, step.name)
        band = height if self.configuration.dataflow == OUTPUT_STATIONARY else self.accumulator_words // width
        if band == 0:
            raise PlanError(
                f"step {step.name!r} has {width} positions in a row, but accumulators of {self.accumulator_words} "
                f"words; give the configuration at least {width} accumulator_words"
            )
        for group in output_groups(len(step.weight), form.weight.shape[1], step.groups, self.configuration):
            self._check_lanes(step, form, source, group)
            shared = {
                **self._walk(step, form, source, group.blocks),
                **self._outputs(step, target, group.first),
                "weight_base": self._weights(step, form, use, group),
                "parameter_base": self._parameters(step, form, source, group.first, group.blocks),
            }
            for row in range(0, height, band):
                yield self._banded(shared, source, form, row, min(band, height - row), width)

    def _banded(
        self, shared: Mapping[str, int], source: Place, form: ProductForm, row: int, rows: int, width: int
    ) -> Pass:
        moved = {
            "base": shared["base"] + row * form.stride[0] * source.width,
            "first_y": shared["first_y"] + row * form.stride[0],
            "out_base": shared["out_base"] + row * width,
        }
        return Pass(**{**shared, **moved, "rows": rows, "columns": width})

    def _check_lanes(self, step: Product, form: ProductForm, source: Place, group: OutputGroup) -> None:
        """Raise where lanes see channels of other groups, and that matters."""
        per_group, inputs, lanes = len(step.weight) // step.groups, form.weight.shape[1], self.configuration.rows
        groups, blocks = (group.first // per_group, (group.first + group.outputs - 1) // per_group), group.blocks
        alone = groups[0] == groups[1] and groups[0] * inputs == blocks.start * lanes
        alone = alone and (groups[0] + 1) * inputs in (blocks.stop * lanes, source.channels)
        if not alone and form.zero_products.any():
            raise PlanError(
                f"step {step.name!r} has groups of {inputs} channels, which share rows of the array, and "
                f"{step.multiplier!r} gives products other than 0 with the weight 0; choose a multiplier that does not"
            )
        if not alone and step.weight_zero.any():
            raise PlanError(
                f"step {step.name!r} has groups of {inputs} channels, which share rows of the array, and weights with "
                "a zero-point; use symmetric weights"
            )

    def _walk(self, step: Product, form: ProductForm, source: Place, blocks: range) -> dict[str, int]:
        use = self.program.multiplier(step.multiplier)
        return {
            **source.walk(form, blocks.start),
            "vector": 0,
            "blocks": len(blocks),
            "block_words": source.area,
            "second_signed": int(source.code.signed),
            "core": [m.name for m in self.program.multipliers].index(use.name),
            "magnitude": int(not use.a_signed),
            "code_shift": step.shifts[0],
            "product_shift": step.product_shift,
            "fraction": step.fraction_bits if step.weight_zero.any() else 0,
            "wrap": form.wrap,
        }

    def _outputs(self, step: Product, target: Place, first: int) -> dict[str, int]:
        """Where codes go. The first group of a word fills all its lanes, also those that no channel will fill."""
        rows, columns = self.configuration.rows, self.configuration.columns
        own = ((1 << columns) - 1) << (first % rows)
        return {
            "out_base": target.base + first // rows * target.area,
            "out_words": target.area,
            "lanes": (1 << rows) - 1 if columns >= rows or first % rows == 0 else own,
            "to_output": int(target.output),
            "zero": step.requantiser.zero,
            "low": step.requantiser.low,
            "high": step.requantiser.high,
        }

    def _weights(self, step: Product, form: ProductForm, use: MultiplierUse, group: OutputGroup) -> int:
        """Put the weights of one group of outputs into memory: tile by tile, row by row, `columns` of them a word."""
        rows, columns = self.configuration.rows, self.configuration.columns
        dense = spread_weights(form, step.groups, group, self.configuration)
        tiles = dense.reshape(columns, len(group.blocks), rows, *form.kernel).transpose(1, 3, 4, 2, 0)
        return self.images.add_weights(
            *operand_bits(tiles.reshape(-1, columns) << step.shifts[1], use.b_bits, use.b_signed)
        )

    def _parameters(self, step: Product, form: ProductForm, source: Place, first: int, blocks: range) -> int:
        rows = self.configuration.rows
        unused = max(0, blocks.stop * rows - source.channels) * math.prod(form.kernel)
        shift = step.fraction_bits

        def lane(output: int) -> LaneParameters:
            if output >= len(step.weight):
                return UNUSED
            zero = int(step.weight_zero[output])
            extra = unused * (int(form.zero_products[0]) - (zero * source.code.zero << shift))
            quantiser = step.requantiser
            return LaneParameters(
                int(step.bias[output]) - extra, quantiser.multipliers[output], quantiser.shifts[output], zero
            )

        start = first // rows * rows
        words = [
            tuple(lane(start + word * rows + i) for i in range(rows))
            for word in range(self.configuration.words_per_group)
        ]
        return self.images.add_group(words)
