"""Words moved in an array that keeps weights and partial sums in registers beside every multiplier, in closed form.

One group of a demand is a matrix product: M rows (positions) x K reduction x N columns (outputs). The array has H rows
and W columns of elements. Sums run down the H elements of a column, so that a column works on one position at a time;
an element holds k of the K reduction indices and p of the N outputs, with k p weights in its registers::

    k = min(input registers, ceil(K / H))
    w = min(W, M)              columns that work on different positions of the same outputs
    v = floor(W / w)           blocks of such columns, each with outputs of its own (more than 1 only if M <= W / 2)
    p = min(sum registers, floor(weight registers / k), ceil(N / v))

A tile is k H reduction indices and p v outputs: T_K = ceil(K / (k H)) and T_N = ceil(N / (p v)) tiles. Loop nest of one
group, outside in: output tiles, reduction tiles, M in steps of w, then all columns at once and k p products in each
element. Counts, with Q = ceil(K / k) row slices and B = ceil(N / p) output blocks in all::

    weight fills      K N w             every weight goes to the w columns that share it
    input fills       M K B             every position is brought to each block of outputs
    sum hops          M N (Q - T_K)     from element to element down the column
    sum spills        M N (T_K - 1)     sums of one reduction tile, kept in the global buffer for the next
    cycles            ceil(M / w) (sum over K tiles of the fullest slice) (sum over N tiles of the fullest block)

Filling overlaps computing; the H - 1 cycles in which the sums of the last position leave a column are left out. An
element reads a weight, an input and a sum from its registers and writes a sum for each product.

The global buffer is read once per output tile for every input that a convolution uses, however many windows share it:
the network on chip hands the word to all elements that need it (the diagonals of a row-stationary array). Sharing
inside an element, by sliding a window over the registers, is not counted: the size of a window is no part of a demand.

Source: levels, and the rule that energy is the sum over data types of accesses per level times the cost of the level,
from Y.-H. Chen, J. Emer, V. Sze, "Eyeriss: a spatial architecture for energy-efficient dataflow for convolutional
neural networks", ISCA 2016. The mapping is our own; that of the publication is found by search over filter rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from laxity.core.demand import Demand


@dataclass(frozen=True, slots=True)
class SpatialArray:
    """Size of the array and of the registers in each element.

    Attributes:
        rows, columns: elements, H and W.
        input_words, weight_words, sum_words: registers of one element.
    """

    rows: int
    columns: int
    input_words: int
    weight_words: int
    sum_words: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """How one matrix product lies on the array.

    Attributes:
        reduction_slice: reduction indices k in an element.
        output_block: outputs p in an element.
        positions: columns w that work on different positions.
        blocks: blocks v of such columns.
        reduction_tiles, output_tiles: T_K and T_N.
    """

    reduction_slice: int
    output_block: int
    positions: int
    blocks: int
    reduction_tiles: int
    output_tiles: int


@dataclass(frozen=True, slots=True)
class Reuse:
    """Words that one site moves for one sample, all groups and calls together.

    Attributes:
        cycles: in which the array computes.
        weight_fills, input_fills: words written to registers of elements; each is one move over the network on chip.
        sum_hops: sums that move from element to element.
        weight_reads: of the global buffer.
        input_reads: of the global buffer.
        sum_spills: sums that are written to the global buffer and read back.
        utilisation: executed products per element and cycle, at most 1.
    """

    cycles: int
    weight_fills: int
    input_fills: int
    sum_hops: int
    weight_reads: int
    input_reads: int
    sum_spills: int
    utilisation: float


def mapping(demand: Demand, array: SpatialArray) -> Mapping:
    """How a demand lies on the array (module documentation)."""
    k = max(1, min(array.input_words, array.weight_words, _ceil(demand.reduction, array.rows)))
    positions = max(1, min(array.columns, demand.rows))
    blocks = array.columns // positions
    p = max(1, min(array.sum_words, array.weight_words // k, _ceil(demand.columns, blocks)))
    return Mapping(
        reduction_slice=k,
        output_block=p,
        positions=positions,
        blocks=blocks,
        reduction_tiles=_ceil(demand.reduction, k * array.rows),
        output_tiles=_ceil(demand.columns, p * blocks),
    )


def reuse(demand: Demand, array: SpatialArray) -> Reuse:
    """Counts of one demand in closed form (module documentation)."""
    m = mapping(demand, array)
    repeats = demand.groups * demand.calls
    k, p = m.reduction_slice, m.output_block
    slices, blocks = _ceil(demand.reduction, k), _ceil(demand.columns, p)
    last_k = demand.reduction - (m.reduction_tiles - 1) * k * array.rows
    last_n = demand.columns - (m.output_tiles - 1) * p * m.blocks
    depth = (m.reduction_tiles - 1) * k + min(k, last_k)
    width = (m.output_tiles - 1) * p + min(p, last_n)
    cycles = repeats * _ceil(demand.rows, m.positions) * depth * width
    used_inputs = min(demand.input_elements, repeats * demand.rows * demand.reduction)
    return Reuse(
        cycles=cycles,
        weight_fills=repeats * demand.reduction * demand.columns * m.positions,
        input_fills=repeats * demand.rows * demand.reduction * blocks,
        sum_hops=repeats * demand.rows * demand.columns * (slices - m.reduction_tiles),
        weight_reads=repeats * demand.reduction * demand.columns,
        input_reads=used_inputs * m.output_tiles,
        sum_spills=repeats * demand.rows * demand.columns * (m.reduction_tiles - 1),
        utilisation=demand.macs / (cycles * array.rows * array.columns) if cycles else 0.0,
    )


def _ceil(amount: int, step: int) -> int:
    return -(-amount // step)
