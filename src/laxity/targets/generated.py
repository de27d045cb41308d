"""Counts of the weight-stationary array that ``laxity rtl`` writes, from a demand alone.

Against the textbook array of `laxity.targets.dataflow`: the weights of the next tile are loaded behind the running one,
and the array fills and drains once per pass, not once per tile. A tile is one kernel position of R input channels, so
that a layer with fewer channels than rows leaves rows empty, and their lanes are read all the same. The sums of the
last tile of a pass do not stop in the accumulators. Groups lie side by side: a pass takes C outputs of any groups, and
the blocks of R channels that these read.

Cycles, passes and words equal those of the accelerator's schedule for every convolution, and for linear layers of
vectors. Two things are no part of a demand: a linear layer that flattens maps is tiled by their channels there, which
is the same where R divides them; and accumulators of D words are filled by whole rows of a map, which is the same where
the width of the map divides D, or D holds the map. Pooling, additions and copies are steps of the vector unit there,
and cost nothing here.
"""

from __future__ import annotations

from dataclasses import replace

from laxity.core.array import weight_stationary_cycles
from laxity.core.demand import Demand
from laxity.targets.dataflow import ArrayShape, Counts, count


def count_generated(demand: Demand, shape: ArrayShape) -> Counts:
    """Counts of one demand in closed form (module documentation); toggles of registers are those of `count`."""
    rows, columns = shape.rows, shape.columns
    full, rest = divmod(demand.rows, shape.accumulator_words)
    chunks = [shape.accumulator_words] * full + [rest] * (rest > 0)
    tiles = [blocks * demand.taps for blocks in _channel_blocks(demand, shape)]
    cycles = demand.calls * sum(weight_stationary_cycles(t, m, rows, columns) for t in tiles for m in chunks)
    weights = demand.calls * len(chunks) * sum(tiles) * rows * columns
    stationary = demand.groups * demand.reduction * demand.columns
    return replace(
        count(demand, shape),
        cycles=cycles,
        tile_passes=demand.calls * len(chunks) * sum(tiles),
        weight_passes=weights / stationary if stationary else 0.0,
        activation_words=demand.calls * demand.rows * sum(tiles) * rows,
        accumulator_words=demand.calls * demand.rows * (sum(tiles) - len(tiles)) * columns,
        utilisation=demand.macs / (cycles * rows * columns) if cycles else 0.0,
    )


def _channel_blocks(demand: Demand, shape: ArrayShape) -> list[int]:
    """Blocks of input channels that each pass reads, for one chunk of positions."""
    inputs, outputs = demand.reduction // demand.taps, demand.groups * demand.columns
    found = []
    for first in range(0, outputs, shape.columns):
        last = min(first + shape.columns, outputs) - 1
        low, high = first // demand.columns * inputs, (last // demand.columns + 1) * inputs
        found.append(-(-high // shape.rows) - low // shape.rows)
    return found
