"""Registers in which the elements of a systolic array keep partial sums: when they hold one, and what a flip does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.campaign.systolic import ArrayNetwork
from laxity.core.array import words_per_group
from laxity.core.errors import CircuitError, TaskError
from laxity.rtl.accelerator import Configuration, Placement
from laxity.rtl.accelerator.configuration import WEIGHT_STATIONARY
from laxity.rtl.accelerator.product import circuit_products
from laxity.rtl.accelerator.schedule import pass_cycles
from laxity.rtl.accelerator.verilog import design

IntArray = NDArray[np.int64]

_FIRST = 7
"""The cycle of a pass, counted from 1, in which the element of row 0 and column 0 first holds a sum: after fetching the
pass, setting it up, and an address, a word, its operands and a product, a cycle each."""

_WORD_BITS = 32


@dataclass(frozen=True, slots=True)
class Upset:
    """A partial sum in the register of an element in one cycle.

    Attributes:
        row, column: of the element.
        cycle: of the step, the first of which is number 1.
        output, position: of the sum that it becomes a part of.
        tile: of the reduction; taps of the first channel block first.
        products: how many of the tile's products the register holds, from that of the first channel on.
    """

    row: int
    column: int
    cycle: int
    output: int
    position: int
    tile: int
    products: int


def sum_bits(network: ArrayNetwork) -> int:
    """Width of the registers.

    Raises:
        TaskError: a multiplier has no netlist, so that there is no element.
    """
    try:
        return int(design(network.schedule, network.circuits).parameters["SUM_BITS"])
    except CircuitError as error:
        raise TaskError(f"there is no element of an array: {error}") from error


class LayerRegisters:
    """The registers of all elements while the array works on one layer.

    Args:
        placement: of the layer.
        table: of its multiplier, by bit patterns.
        configuration: of the array.
        bits: width of the registers.
    """

    def __init__(self, placement: Placement, table: IntArray, configuration: Configuration, bits: int) -> None:
        self.placement, self._table, self._configuration, self.bits = placement, table, configuration, bits
        self._resting = configuration.dataflow == WEIGHT_STATIONARY
        form, rows = placement.form, configuration.rows
        self._taps = form.kernel[0] * form.kernel[1]
        self._tiles = [len(group.blocks) * self._taps for group in placement.groups]
        per_sum = [t * rows if self._resting else t * rows - 1 for t in self._tiles]
        counts = [g.outputs * placement.positions * n for g, n in zip(placement.groups, per_sum, strict=True)]
        self._per_sum = per_sum
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        lengths = [pass_cycles(one, configuration) for one in placement.passes]
        self._starts = np.concatenate([[0], np.cumsum(lengths)])

    @property
    def live(self) -> int:
        """How many pairs of a register and a cycle hold a sum that becomes a part of an output."""
        return int(self._first[-1])

    def upset(self, site: int) -> Upset:
        """One of these pairs.

        Args:
            site: below `live`.
        """
        group = int(np.searchsorted(self._first, site, "right")) - 1
        rest, held = divmod(site - int(self._first[group]), self._per_sum[group])
        column, position = divmod(rest, self.placement.positions)
        tile, lane = divmod(held, self._configuration.rows)
        row = lane if self._resting else position % self._configuration.rows
        output = self.placement.groups[group].first + column
        cycle = self._cycle(group, row, column, position, tile, lane)
        return Upset(row, column, cycle, output, position, tile, lane + 1)

    def _cycle(self, group: int, row: int, column: int, position: int, tile: int, lane: int) -> int:
        rows, positions, tiles = self._configuration.rows, self.placement.positions, self._tiles[group]
        start = int(self._starts[group]) + row + column
        if not self._resting:
            before = position // rows * max(tiles, 2) * rows + tile * rows + lane
            return start + _FIRST + before
        words = words_per_group(rows, self._configuration.columns) if tile == tiles - 1 else 1
        return start + _FIRST + tile * max(positions, rows) + position * words

    def change(self, upset: Upset, bit: int, codes: IntArray) -> tuple[float, float]:
        """A sum without fault, and what it changes by, both in units of (input code) x (weight code).

        Args:
            upset: which register in which cycle.
            bit: of the register that flips, 0 the least significant.
            codes: of the input of one sample, int64, in the shape of the source.
        """
        step = self.placement.step
        products, correction = self._products(upset, codes)
        whole = int(products.sum()) - correction
        raw = products << step.product_shift
        before = int((raw[upset.tile] if self._resting else raw.reshape(-1)[: upset.tile * raw.shape[1]]).sum())
        held = int(raw[upset.tile, : upset.products].sum())
        total = before if self._resting else int(raw.sum())
        value = held if self._resting else before + held
        flipped = _signed(value ^ (1 << bit), self.bits)
        after = _signed(total + flipped - value, self.bits)
        final = whole + int(step.bias[upset.output])
        changed = _signed(final + (after >> step.product_shift) - (total >> step.product_shift), _WORD_BITS) - final
        unit = 2.0**-step.fraction_bits
        return self._plain(whole, upset.output) * unit, changed * unit

    def _products(self, upset: Upset, codes: IntArray) -> tuple[IntArray, int]:
        """Products of a sum, int64 (tiles, rows), in units of sums, and what is subtracted from them in the end.

        That is what lanes without a channel add, and what the zero-points of weights ask for.
        """
        place, source, rows = self.placement, self.placement.source, self._configuration.rows
        number = upset.output // self._configuration.columns
        group, weights = place.groups[number], place.weights[number][upset.output - place.groups[number].first]
        channels = np.arange(group.blocks.start * rows, group.blocks.stop * rows)
        lines, columns = np.array([place.reads(upset.position, tap) for tap in range(self._taps)]).T
        inside = (lines >= 0) & (lines < source.height) & (columns >= 0) & (columns < source.width)
        there = (channels < source.channels)[:, None] & inside
        seen = np.full(there.shape, source.code.zero, np.int64)
        channel, tap = np.nonzero(there)
        maps = codes.reshape(source.channels, source.height, source.width)
        seen[there] = maps[channels[channel], lines[tap], columns[tap]]
        own = circuit_products(place.step, place.use, self._table, seen, weights.reshape(len(channels), -1))
        unused = int(own[channels >= source.channels].sum())
        zero = int(place.step.weight_zero[upset.output])
        inputs = int(seen[channels < source.channels].sum()) if zero else 0
        tiles = own.reshape(-1, rows, self._taps).transpose(0, 2, 1).reshape(-1, rows)
        return tiles, unused + (zero * inputs << place.step.fraction_bits)

    def _plain(self, whole: int, output: int) -> int:
        """A sum less what the zero-point of the input adds to it."""
        step, zero = self.placement.step, self.placement.source.code.zero
        weights = step.weight[output].astype(np.int64)
        return whole + (
            zero * (weights.size * int(step.weight_zero[output]) - int(weights.sum())) << step.fraction_bits
        )


def _signed(value: int, bits: int) -> int:
    """The low bits in two's complement."""
    low = value & ((1 << bits) - 1)
    return low - (low >> (bits - 1) << bits)
