"""Hardware that corrects outputs by a control variate, beside a weight-stationary array of R x C elements.

Every output k of a window gets ``C_k * S + C0_k``, with S the sum over the window of the low bits of its inputs, the
same for all filters. Parts:

- a column of R adders with registers for the low bits and the sum. The activations of the first tile of outputs stream
  past it as past any column, so that S is made once per window; in the other tiles its clock is gated. Sums of tiles
  are added below it, in an accumulator memory of its own.
- below each of the C columns one multiplier for C_k * S and one adder, with registers. C_k has as many bits as a weight
  of the site, and a sign; C0_k is part of the bias and costs nothing.

Switching of a column adder is that of its netlist on the low bits of the operands sampled at the site, in groups of R
segments, or on uniform ones. Switching of an output unit is that of its netlist on sums S of low bits drawn from those
one by one, constants drawn uniformly and the partial sums of the trace. Widths are those of the site that needs most.

Not counted: storage and reading of the constants, the cycles by which outputs leave later, wires. Low bits are added as
they are: inputs with signs would need one bit more and a subtraction, which is not counted either.

Source: G. Zervakis et al., "Control variate approximation for DNN accelerators", DAC 2021, which adds one column of
multiply-accumulate units of its own to the array; reconstructed from what is told about it elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.activity import switching_energy
from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.netlist import Circuit
from laxity.circuits.pe import ProcessingElement, processing_element
from laxity.core.demand import Demand, IntArray, OperandTrace
from laxity.core.errors import TargetError
from laxity.core.seeds import stream
from laxity.targets.checks import fitting_unit
from laxity.targets.modes import mode_parts
from laxity.targets.pe_energy import CACHE, uniform_trace

COMPONENT = "correction"
"""Name of the energy component."""

_SEGMENTS, _STEPS = 16, 33
"""Of the operands of an output unit."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What one operation of a part takes.

    Attributes:
        switching_pj: of gates and of the inputs that registers drive.
        toggles: register bits that change.
        clocked: register bits that are clocked.
    """

    switching_pj: float
    toggles: float
    clocked: int


@dataclass(frozen=True, slots=True)
class Correction:
    """The hardware, as wide as the widest site needs, and what the sites make it do.

    Attributes:
        rows, columns: of the array.
        low_bits: of an input that are summed.
        column_bits: of a sum in the column of adders.
        total_bits: of a sum over a whole window.
        adder: ports psum_in, low and psum_out.
        output: the unit below a column: psum_out = psum_in + C_k * S.
    """

    rows: int
    columns: int
    low_bits: int
    column_bits: int
    total_bits: int
    adder: Circuit
    output: ProcessingElement

    @staticmethod
    def of(demands: Sequence[Demand], rows: int, columns: int, sum_bits: int) -> Correction | None:
        """The hardware that some sites need together; None if none corrects its outputs.

        Args:
            demands: of a network.
            rows: of the array.
            columns: of the array.
            sum_bits: width of stored sums, those that are corrected among them.

        Raises:
            TargetError: a site drops more bits than its inputs have, or its sums are too wide; names the site.
        """
        correcting = [demand for demand in demands if demand.correction_bits]
        if not correcting:
            return None
        for demand in correcting:
            _check(demand, sum_bits)
        low = max(demand.correction_bits for demand in correcting)
        column = max(_sum_bits(demand, min(demand.reduction, rows)) for demand in correcting)
        total = max(_sum_bits(demand, demand.reduction) for demand in correcting)
        constant = max(demand.widest_weight_bits for demand in correcting)
        output = processing_element(_multiplier(total, constant), sum_bits)
        return Correction(rows, columns, low, column, total, _adder(column, low), output)

    @property
    def flip_flops(self) -> int:
        """Registers of the adder column and of all output units."""
        return self.rows * (self.low_bits + self.column_bits) + self.columns * self.output.flip_flops

    def area_um2(self, library: CellLibrary) -> float:
        """Cells and flip-flops of all parts, without the accumulator memory of the column."""
        gates = self.rows * library.area_um2(self.adder) + self.columns * library.area_um2(self.output.circuit)
        return gates + self.flip_flops * library.flip_flop.area_um2

    def leakage_nw(self, library: CellLibrary) -> float:
        """Leakage of the same."""
        gates = self.rows * library.leakage_nw(self.adder) + self.columns * library.leakage_nw(self.output.circuit)
        return gates + self.flip_flops * library.flip_flop.leakage_nw

    def delay_ns(self, library: CellLibrary) -> float:
        """Slowest path of an output unit, which is slower than an adder of the column."""
        return self.output.delay_ns(library)

    def additions(self, demand: Demand) -> int:
        """Low parts of inputs that a site sums: each one of each window once."""
        return demand.calls * demand.groups * demand.rows * demand.reduction

    def outputs(self, demand: Demand) -> int:
        """Outputs that a site corrects."""
        return demand.calls * demand.groups * demand.rows * demand.columns

    def words(self, demand: Demand) -> int:
        """Sums of the column that reach its accumulator memory: one per window and tile of the reduction."""
        return demand.calls * demand.groups * demand.rows * -(-demand.reduction // self.rows)

    def operations(self, demand: Demand) -> list[tuple[int, Activity]]:
        """How often the site makes each part do what."""
        return [
            (self.additions(demand), self.addition(demand)),
            (self.outputs(demand), self.correction(demand)),
        ]

    @property
    def parts(self) -> str:
        """What the hardware consists of."""
        return (
            f"{self.rows} adders of {self.column_bits} bits and {self.columns} multipliers of "
            f"{self.output.core.port('a').width} x {self.output.core.port('b').width} bits with adders of "
            f"{self.output.accumulator_bits} bits"
        )

    def source(self, demand: Demand) -> str:
        """Where the energies of a site come from."""
        operands = f"sampled at {demand.site}" if demand.trace is not None else "drawn uniformly (no trace was taken)"
        return (
            f"switching and clock of {self.parts}, netlists on low bits {operands} and on uniform constants, "
            f"inertial delays, 45 nm cell table ({default_library().name}); after Zervakis et al., DAC 2021, a "
            "reconstruction"
        )

    def addition(self, demand: Demand) -> Activity:
        """One addition in the column."""
        rows = min(self.rows, demand.reduction)
        streams = _column_streams(_operands(demand, self.rows), demand.correction_bits, _shift(demand), rows)
        toggles = sum(float(np.bitwise_count(v[:, 1:] ^ v[:, :-1]).mean()) for v in streams.values())
        sums, low = streams["psum_in"], streams["low"]
        energy = _adder_pj(self.adder, sums.shape, sums.tobytes(), low.tobytes())
        return Activity(energy, toggles, self.low_bits + self.column_bits)

    def correction(self, demand: Demand) -> Activity:
        """One output: a product, an addition, and their registers but that of the constant, which rests."""
        found = CACHE.mac_energy(self.output, self._output_trace(demand))
        switching = found.multiplier_pj + found.accumulator_pj + found.register_load_pj
        toggles = found.activation_toggles + found.sum_toggles
        return Activity(switching, toggles, self.total_bits + self.output.accumulator_bits)

    def _output_trace(self, demand: Demand) -> OperandTrace:
        """Sums S, constants that rest, and the sums to be corrected."""
        base = _operands(demand, self.rows)
        low = (base.activations >> _shift(demand)) & ((1 << demand.correction_bits) - 1)
        generator = stream(0, "control variate", demand.correction_bits, demand.reduction)
        shares = np.bincount(low.ravel(), minlength=1 << demand.correction_bits) / low.size
        counts = generator.multinomial(demand.reduction, shares, size=(_SEGMENTS, _STEPS))
        shape = (_SEGMENTS, _STEPS)
        return OperandTrace(
            activations=(counts * np.arange(shares.size)).sum(-1, dtype=np.int64),
            activation_signs=np.zeros(shape, dtype=np.int64),
            weights=generator.integers(0, 1 << demand.widest_weight_bits, _SEGMENTS),
            weight_signs=generator.integers(0, 2, _SEGMENTS),
            partial_sums=generator.choice(base.partial_sums.ravel(), shape),
        )


def _check(demand: Demand, sum_bits: int) -> None:
    where = f"site {demand.site!r}"
    if not 1 <= demand.correction_bits <= demand.input_bits:
        raise TargetError(
            f"{where}: correction_bits is {demand.correction_bits}, and inputs have {demand.input_bits} bits; use 1 to "
            f"{demand.input_bits}"
        )
    needed = _sum_bits(demand, demand.reduction) + demand.widest_weight_bits
    if needed >= sum_bits:
        raise TargetError(
            f"{where}: a correction has up to {needed} bits, and stored sums have {sum_bits}; correct fewer low bits, "
            "or use a target with wider sums"
        )


def _sum_bits(demand: Demand, terms: int) -> int:
    return (terms * ((1 << demand.correction_bits) - 1)).bit_length()


def _operands(demand: Demand, rows: int) -> OperandTrace:
    if demand.trace is not None:
        return demand.trace
    return uniform_trace(demand.input_bits, demand.widest_weight_bits, rows)


def _shift(demand: Demand) -> int:
    """How far sampled codes are shifted up in the operands of a wider core."""
    if demand.trace is None:
        return 0
    return max(0, fitting_unit(mode_parts(demand)[0].demand).widths[0] - demand.input_bits)


def _column_streams(trace: OperandTrace, bits: int, shift: int, rows: int) -> dict[str, IntArray]:
    """What the adders see: each segment is a row, with the sums of the rows above in its group."""
    low = (trace.activations >> shift) & ((1 << bits) - 1)
    above = np.zeros_like(low)
    for first in range(0, len(low), rows):
        group = low[first : first + rows]
        above[first : first + rows] = np.cumsum(group, axis=0) - group
    return {"psum_in": above, "low": low}


@functools.lru_cache(maxsize=256)
def _adder_pj(adder: Circuit, shape: tuple[int, int], sums: bytes, low: bytes) -> float:
    """Switching per addition; arrays come as bytes, by which results are remembered."""
    values = {"psum_in": sums, "low": low}
    streams = {name: np.frombuffer(part, dtype=np.int64).reshape(shape) for name, part in values.items()}
    return switching_energy(adder, streams, default_library()).energy_pj


@functools.lru_cache(maxsize=64)
def _adder(bits: int, low_bits: int) -> Circuit:
    """Ripple-carry sum of a number and a narrower one."""
    builder = CircuitBuilder(f"low{bits}_{low_bits}", "ripple-carry adder of the low bits of inputs")
    psum, low = builder.input("psum_in", bits), builder.input("low", low_bits)
    with builder.block("accumulator"):
        total = builder.add(psum, low)[0][:bits]
    builder.output("psum_out", total)
    return builder.build()


@functools.lru_cache(maxsize=64)
def _multiplier(a_bits: int, b_bits: int) -> Circuit:
    """Exact Dadda multiplier of operands of different widths."""
    builder = CircuitBuilder(f"dadda{a_bits}x{b_bits}", "Dadda multiplier of a sum and a constant")
    a, b = builder.input("a", a_bits), builder.input("b", b_bits)
    with builder.block("multiplier"):
        product = dadda_sum(builder, columns_of(partial_products(builder, a, b), a_bits + b_bits))
    builder.output("p", product)
    return builder.build()
