"""Counts of a weight-stationary systolic array: cycles, passes, and words moved between the levels of memory.

One group of a demand is a matrix product: M rows (positions) x K reduction x N columns (output channels). The array has
R rows and C columns of processing elements. A tile holds up to R x C weights: R of the K, C of the N. Activations enter
at the left, one row of the array per index of K, and move through all C columns; partial sums move down through all R
rows into the accumulator memory below each column, D words deep. When M exceeds D, the M rows are worked off in
ceil(M / D) chunks, and every chunk loads the weights anew, because only D sums fit.

Per tile and chunk of m rows: R cycles to shift the weights in, m cycles to stream, R + C - 2 cycles until the last sum
has left the skewed array. With T_K = ceil(K / R), T_N = ceil(N / C) and chunks = ceil(M / D)::

    cycles = calls * groups * T_K * T_N * (M + chunks * (2 R + C - 2))

Source: for one chunk this is the run time of one fold in Samajdar et al., "A Systematic Methodology for Characterizing
Scalability of DNN Accelerators using SCALE-Sim", ISPASS 2020, equation for one tile (2 S_R + S_C + T - 2).

Weights of a partial tile sit in the last rows and the first columns, and a register is clocked only when a word passes
it. Sums start in the first row in use and activations stop after the last column in use. So a chunk of m positions on a
tile with k of the R rows and n of the C columns in use clocks m k n activation registers and as many sum registers.
Weights enter from below; the k registers of a column shift together, k times: k^2 n clocked weight registers per tile.

Weights are not loaded behind the running tile, and groups do not share the array: a depthwise layer (N = 1) uses one
column. Laying groups block-diagonally would help by at most floor(R / K), which is 1 for 3 x 3 kernels on 16 rows, so
the controller for it is not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from laxity.core.demand import Demand


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """Size of the array.

    Attributes:
        rows, columns: processing elements.
        accumulator_words: depth D of the accumulator memory of one column.
    """

    rows: int
    columns: int
    accumulator_words: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What one site makes the array do for one sample, all groups and calls together.

    Attributes:
        cycles: clock cycles in which the array is busy.
        tile_passes: tiles times chunks: how often weights are loaded into the array.
        weight_passes: how often every stationary operand is read from its buffer, on average.
        activation_moves: words that pass an activation register: each streamed activation visits the columns in use.
        sum_moves: words that pass a partial-sum register: each sum visits the rows in use.
        weight_moves: words that pass a weight register while tiles are shifted in.
        activation_words: activations streamed from the activation buffer.
        accumulator_words: partial sums that reach the accumulator memory; each is one read and one write.
        utilisation: executed MACs per processing element and cycle, at most 1.
    """

    cycles: int
    tile_passes: int
    weight_passes: float
    activation_moves: int
    sum_moves: int
    weight_moves: int
    activation_words: int
    accumulator_words: int
    utilisation: float


def count(demand: Demand, shape: ArrayShape) -> Counts:
    """Counts of one demand in closed form (module documentation)."""
    repeats = demand.groups * demand.calls
    full_k_tiles, last_k = divmod(demand.reduction, shape.rows)
    k_tiles = full_k_tiles + (last_k > 0)
    n_tiles = math.ceil(demand.columns / shape.columns)
    chunks = math.ceil(demand.rows / shape.accumulator_words)
    overhead = 2 * shape.rows + shape.columns - 2
    cycles = repeats * k_tiles * n_tiles * (demand.rows + chunks * overhead)
    activation_words = repeats * demand.rows * demand.reduction * n_tiles
    accumulator_words = repeats * demand.rows * demand.columns * k_tiles
    dense_macs = repeats * demand.rows * demand.reduction * demand.columns
    return Counts(
        cycles=cycles,
        tile_passes=repeats * k_tiles * n_tiles * chunks,
        weight_passes=demand.calls * chunks,
        activation_moves=dense_macs,
        sum_moves=dense_macs,
        weight_moves=repeats * chunks * demand.columns * (full_k_tiles * shape.rows**2 + last_k**2),
        activation_words=activation_words,
        accumulator_words=accumulator_words,
        utilisation=demand.macs / (cycles * shape.rows * shape.columns) if cycles else 0.0,
    )


@dataclass(frozen=True, slots=True)
class BufferSizes:
    """Capacities of the two buffers, in bits."""

    weight_bits: int
    activation_bits: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bits that one site moves for one sample.

    Attributes:
        weight_read_bits: from the weight buffer, indices of compressed weights included.
        weight_write_bits: into the weight buffer: the weights that do not stay resident.
        activation_read_bits: from the activation buffer; also the stationary operand of products of two activations.
        activation_write_bits: into the activation buffer: outputs, and for the first site the input.
        dram_weight_bits: weights streamed from DRAM.
        dram_boundary_bits: the network's input or output.
        dram_spill_bits: activations that do not fit on chip: written once and read once.
    """

    weight_read_bits: float
    weight_write_bits: float
    activation_read_bits: float
    activation_write_bits: float
    dram_weight_bits: float
    dram_boundary_bits: float
    dram_spill_bits: float

    @property
    def dram_bits(self) -> float:
        """All bits that cross the DRAM interface."""
        return math.fsum((self.dram_weight_bits, self.dram_boundary_bits, self.dram_spill_bits))


@dataclass(frozen=True, slots=True)
class DramTraffic:
    """Bits that one site moves to and from DRAM for one sample.

    Attributes:
        weight_bits: weights that do not stay on chip from sample to sample.
        input_bits: the network's input, at the first site.
        output_bits: the network's output, at the last site.
        spill_bits: activations that do not fit on chip: written once and read once.
    """

    weight_bits: float
    input_bits: float
    output_bits: float
    spill_bits: float

    @property
    def bits(self) -> float:
        """All bits that cross the DRAM interface."""
        return math.fsum((self.weight_bits, self.input_bits, self.output_bits, self.spill_bits))


def dram_traffic(demands: Sequence[Demand], sizes: BufferSizes) -> list[DramTraffic]:
    """Bits moved to and from DRAM per site; the rules are those of `traffic`.

    Args:
        demands: in running order.
        sizes: capacities.
    """
    stored = sum(d.weight_storage_bits for d in demands)
    streamed_fraction = max(0, stored - sizes.weight_bits) / stored if stored else 0.0
    last = len(demands) - 1
    moved = []
    for position, demand in enumerate(demands):
        inputs = demand.input_elements * demand.input_bits
        outputs = demand.output_elements * demand.output_bits
        moved.append(
            DramTraffic(
                weight_bits=demand.weight_storage_bits * streamed_fraction,
                input_bits=inputs if position == 0 else 0,
                output_bits=outputs if position == last else 0,
                spill_bits=2 * max(0, inputs + outputs - demand.calls * sizes.activation_bits),
            )
        )
    return moved


def traffic(demands: Sequence[Demand], counts: Sequence[Counts], sizes: BufferSizes) -> list[Traffic]:
    """Bits moved per site.

    Weights: the buffer keeps as many bits as it holds from sample to sample; what exceeds it,
    ``max(0, total - capacity)``, is streamed from DRAM once per sample and charged to the sites in proportion to
    their weight storage. Activations: what of the input and output of one call exceeds the buffer is written to DRAM
    and read back. The input of the first site and the output of the last always cross DRAM.

    Args:
        demands: in running order.
        counts: of each demand.
        sizes: capacities.
    """
    return [
        Traffic(
            weight_read_bits=demand.weight_storage_bits * n.weight_passes,
            weight_write_bits=dram.weight_bits,
            activation_read_bits=n.activation_words * demand.input_bits + _stationary_bits(demand, n),
            activation_write_bits=demand.output_elements * demand.output_bits + dram.input_bits,
            dram_weight_bits=dram.weight_bits,
            dram_boundary_bits=dram.input_bits + dram.output_bits,
            dram_spill_bits=dram.spill_bits,
        )
        for demand, n, dram in zip(demands, counts, dram_traffic(demands, sizes), strict=True)
    ]


def _stationary_bits(demand: Demand, counts: Counts) -> float:
    """Bits of the second operand where it is no stored weight (a product of two activations)."""
    if demand.weight_elements:
        return 0
    elements = demand.groups * demand.reduction * demand.columns
    return elements * demand.mean_weight_bits * counts.weight_passes
