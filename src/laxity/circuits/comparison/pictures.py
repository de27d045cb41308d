"""What pictures of a circuit are drawn from: errors over the operands, how often they occur, energy over operands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laxity.circuits.activity import segment_energies
from laxity.circuits.assess import SAMPLING, Sampling, parts
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.error_sums import FloatArray, IntArray, Weight
from laxity.circuits.metrics import ErrorMetrics
from laxity.circuits.netlist import Circuit
from laxity.circuits.subject import Subject, side_values
from laxity.core.seeds import stream

MAP_SIDE = 256
"""Most rows and columns of an error map."""

_PAIRS_PER_BLOCK = 16
_BINS_PER_SIDE = 40
_VALUES = 64  # operand values of an energy curve
_STEPS = 256  # transitions at each
_BLOCKS = 16  # ranges of each operand in an energy map
_BLOCK_STEPS = 128


@dataclass(frozen=True, slots=True, eq=False)
class ErrorMap:
    """Errors over the operands, or their means over blocks of operand values.

    Attributes:
        a, b: operand values, or the middles of the blocks, ascending.
        signed: (a, b), approximate minus exact result.
        relative: (a, b), |e| / |y|; NaN where y is 0 throughout.
        block: pairs of operand values that an entry stands for.
        drawn: of these, pairs that were looked at.
    """

    a: FloatArray
    b: FloatArray
    signed: FloatArray
    relative: FloatArray
    block: int
    drawn: int


def error_map(subject: Subject, seed: int = 0) -> ErrorMap:
    """The map of a circuit: of every operand pair up to 8 x 8 bits, else means over random pairs of each block."""
    values = [v[np.argsort(v, kind="stable")] for v in side_values(subject)]
    sides = [min(MAP_SIDE, v.size) for v in values]
    spans = [v.size // side for v, side in zip(values, sides, strict=True)]
    block = spans[0] * spans[1]
    drawn = 1 if block == 1 else _PAIRS_PER_BLOCK
    generator = stream(seed, "error map", subject.a_bits, subject.b_bits)
    signed, relative, defined = (np.zeros((sides[0], sides[1])) for _ in range(3))
    for _ in range(drawn):
        codes = _pair_per_block(generator, values, sides, spans, (subject.a_bits, subject.b_bits))
        exact = subject.exact(*codes)
        error = (subject.results(*codes) - exact).astype(np.float64)
        signed += error.reshape(signed.shape)
        ratio = np.divide(np.abs(error), np.abs(exact), out=np.zeros_like(error), where=exact != 0)
        relative += ratio.reshape(signed.shape)
        defined += (exact != 0).reshape(signed.shape)
    relative = np.divide(relative, defined, out=np.full_like(relative, np.nan), where=defined > 0)
    middles = [v.reshape(side, -1).mean(axis=1) for v, side in zip(values, sides, strict=True)]
    return ErrorMap(middles[0], middles[1], signed / drawn, relative, block, drawn)


def _pair_per_block(
    generator: np.random.Generator, values: list[IntArray], sides: list[int], spans: list[int], bits: tuple[int, int]
) -> tuple[IntArray, IntArray]:
    """Codes of one random operand pair in each block, flat."""
    chosen = []
    for axis in (0, 1):
        shape = [1, 1]
        shape[axis] = sides[axis]
        first = (np.arange(sides[axis]) * spans[axis]).reshape(shape)
        index = first + generator.integers(0, spans[axis], (sides[0], sides[1]))
        chosen.append((values[axis][index] & ((1 << bits[axis]) - 1)).ravel())
    return chosen[0], chosen[1]


@dataclass(frozen=True, slots=True, eq=False)
class ErrorBins:
    """How often errors of each size occur.

    Attributes:
        low, high: int64 (bins,), the smallest and largest error of each bin, ascending; none holds 0.
        shares: fraction of operand pairs in each bin.
        exact_share: fraction of operand pairs with error 0.
    """

    low: IntArray
    high: IntArray
    shares: FloatArray
    exact_share: float


def error_bins(
    subject: Subject, metrics: ErrorMetrics, operands: Operands = UNIFORM, sampling: Sampling = SAMPLING
) -> ErrorBins:
    """Bins of equal width on both sides of 0 over all errors, at most 80 of them.

    Args:
        subject: the circuit.
        metrics: of the same circuit, operands and sampling; they know the largest error.
        operands: distribution of the operands.
        sampling: when and how operand pairs are sampled.
    """
    width = max(1, -(-metrics.wce // _BINS_PER_SIDE))
    side = max(1, -(-metrics.wce // width))
    shares, exact_share = np.zeros(2 * side), 0.0
    for result, exact, weight in parts(subject, operands, sampling):
        error = (result - exact).ravel()
        weights = _spread(weight, result.shape).ravel()
        exact_share += float(weights[error == 0].sum())
        wrong = (error != 0) & (np.abs(error) <= metrics.wce)
        away = (np.abs(error[wrong]) - 1) // width
        index = np.where(error[wrong] > 0, side + away, side - 1 - away)
        shares += np.bincount(index, weights[wrong], minlength=shares.size)
    used = np.flatnonzero(shares)
    shown = slice(used[0], used[-1] + 1) if used.size else slice(0, 0)
    away = np.arange(side, dtype=np.int64) * width
    low = np.concatenate([-(away[::-1] + width), away + 1])
    high = np.concatenate([-(away[::-1] + 1), away + width])
    total = shares.sum() + exact_share
    return ErrorBins(low[shown], high[shown], shares[shown] / total, exact_share / total)


def _spread(weight: Weight, shape: tuple[int, ...]) -> FloatArray:
    if isinstance(weight, tuple):
        return np.multiply.outer(*weight)
    return np.broadcast_to(np.asarray(weight, dtype=np.float64), shape)


@dataclass(frozen=True, slots=True, eq=False)
class EnergyByOperand:
    """Switching energy with glitches, per operation in pJ, while operands stay or move in a part of their range.

    Attributes:
        a, b: values at which an operand is held.
        a_held: energy with a held at each value of `a` and b drawn uniformly.
        b_held: likewise with b held.
        a_ranges, b_ranges: middles of the ranges from which both operands are drawn.
        ranges: (a_ranges, b_ranges), energy with both operands drawn from their ranges.
    """

    a: FloatArray
    b: FloatArray
    a_held: FloatArray
    b_held: FloatArray
    a_ranges: FloatArray
    b_ranges: FloatArray
    ranges: FloatArray


def energy_by_operand(
    circuit: Circuit, subject: Subject, seed: int = 0, library: CellLibrary | None = None
) -> EnergyByOperand:
    """How the energy of a circuit depends on its operands, on the built-in cell table if no other is given."""
    cells = library or default_library()
    values = dict(zip("ab", (np.sort(v) for v in side_values(subject)), strict=True))
    held: dict[str, tuple[FloatArray, FloatArray]] = {}
    for name, other in (("a", "b"), ("b", "a")):
        generator = stream(seed, "energy by operand", name)
        count = min(_VALUES, values[name].size)
        kept = values[name].reshape(count, -1)
        chosen = kept[np.arange(count), generator.integers(0, kept.shape[1], count)]
        moving = generator.choice(values[other], (count, _STEPS + 1))
        fixed = np.broadcast_to(chosen[:, None], moving.shape)
        held[name] = chosen.astype(np.float64), _energies(circuit, {name: fixed, other: moving}, cells)
    generator = stream(seed, "energy by ranges")
    ranges = {name: v.reshape(min(_BLOCKS, v.size), -1) for name, v in values.items()}
    rows, columns = len(ranges["a"]), len(ranges["b"])
    at = {"a": np.repeat(np.arange(rows), columns), "b": np.tile(np.arange(columns), rows)}
    drawn = {
        name: ranges[name][
            at[name][:, None], generator.integers(0, ranges[name].shape[1], (rows * columns, _BLOCK_STEPS + 1))
        ]
        for name in "ab"
    }
    return EnergyByOperand(
        a=held["a"][0],
        b=held["b"][0],
        a_held=held["a"][1],
        b_held=held["b"][1],
        a_ranges=ranges["a"].mean(axis=1),
        b_ranges=ranges["b"].mean(axis=1),
        ranges=_energies(circuit, drawn, cells).reshape(rows, columns),
    )


def _energies(circuit: Circuit, values: dict[str, IntArray], library: CellLibrary) -> FloatArray:
    codes = {name: v & ((1 << circuit.port(name).width) - 1) for name, v in values.items()}
    return segment_energies(circuit, codes, library)
