"""Hardware that looks after the outputs of a weight-stationary array of R x C elements.

- Range restriction: a limiter below each of the C columns, with registers for both bounds, which rest, and for its
  output. Every output passes once, as a sum, before it is scaled.
- Copies: the site runs again on the same array for every further copy, one after the other, and all but DRAM traffic is
  spent again. Below each column a comparator with an alarm register, or a voter with registers. Sums of earlier copies
  wait in the accumulator memory, one read and one write each.
- Checksums: a column of R elements beside the array, with exact multipliers of inputs and checksum weights and sums of
  `check_bits`. The activations of the first tile of outputs stream past it; in other tiles its clock is gated. Sums of
  tiles are added below it, in an accumulator memory of its own. An adder with register below each column adds the
  outputs of a position on their way from column to column, and one comparator judges the difference. Checked inputs
  take an adder with register per column where they are written, and per row where they are read; each is added once
  there and once here.

Switching is that of netlists. Checksum elements see the sampled activations, weights drawn uniformly and sums drawn
from the trace, shifted up to the width of a checksum weight; adders, limiters, comparators and voters see two sums of
the trace one after the other, or uniform ones where there is none. Widths are those of the site that needs most.

Not counted: storage of bounds and thresholds, what is done with an alarm, the time of a recomputation, wires.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.activity import switching_energy
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.guards import adder, difference, interval, limiter, product, vote
from laxity.circuits.netlist import Circuit
from laxity.circuits.pe import ProcessingElement, processing_element
from laxity.circuits.timing import delay_ns
from laxity.core.demand import Demand, IntArray, OperandTrace
from laxity.core.guarding import Guarding
from laxity.core.seeds import stream
from laxity.targets.checks import fitting_unit
from laxity.targets.correction import Activity
from laxity.targets.modes import mode_parts
from laxity.targets.pe_energy import CACHE, uniform_trace

_SEGMENTS, _STEPS = 16, 33
"""Of the operands whose switching is simulated."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One kind of small circuit.

    Attributes:
        circuit: netlist; all inputs but those called low and high change with every operation.
        count: of them side by side.
        registers: register bits behind each that are clocked with every operation.
        resting: register bits before each that rest.
    """

    circuit: Circuit
    count: int
    registers: int
    resting: int = 0


@dataclass(frozen=True, slots=True)
class OutputGuards:
    """The hardware that some sites need together.

    Attributes:
        rows, columns: of the array.
        sum_bits: width of the sums that limiters, comparators and voters see.
        units: by name: ``limiter``, ``comparator``, ``voter``, ``adder``, ``judge``, ``input adder``.
        element: of the checksum column, or None.
    """

    rows: int
    columns: int
    sum_bits: int
    units: dict[str, Unit]
    element: ProcessingElement | None

    @staticmethod
    def of(demands: Sequence[Demand], rows: int, columns: int, sum_bits: int) -> OutputGuards | None:
        """The hardware that some sites need; None if none looks after its outputs.

        Args:
            demands: of a network.
            rows: of the array.
            columns: of the array.
            sum_bits: width of stored sums.
        """
        guards = [(d, d.guard) for d in demands if d.guard is not None and d.guard != Guarding()]
        if not guards:
            return None
        units: dict[str, Unit] = {}
        if any(g.comparisons for _, g in guards):
            units["limiter"] = Unit(limiter(sum_bits), columns, sum_bits, 2 * sum_bits)
        if any(g.copies == 2 for _, g in guards):
            units["comparator"] = Unit(difference(sum_bits), columns, 1)
        if any(g.copies > 2 for _, g in guards):
            units["voter"] = Unit(vote(sum_bits), columns, sum_bits)
        checking = [(d, g) for d, g in guards if g.check_filters]
        element = None
        if checking:
            bits = max(g.check_bits for _, g in checking)
            units["adder"] = Unit(adder(bits), columns, bits)
            units["judge"] = Unit(interval(bits), 1, 1, 2 * bits)
            if any(g.checked_inputs for _, g in checking):
                units["input adder"] = Unit(adder(bits), rows + columns, bits)
            widths = max(d.input_bits for d, _ in checking), max(g.check_weight_bits for _, g in checking)
            element = processing_element(product(widths[0], widths[1] - 1), bits)
        return OutputGuards(rows, columns, sum_bits, units, element)

    @property
    def flip_flops(self) -> int:
        """Registers of all parts."""
        own = 0 if self.element is None else self.rows * self.element.flip_flops
        return own + sum(u.count * (u.registers + u.resting) for u in self.units.values())

    def area_um2(self, library: CellLibrary) -> float:
        """Cells and flip-flops, without the accumulator memory of the checksum column."""
        gates = sum(u.count * library.area_um2(u.circuit) for u in self.units.values())
        gates += 0.0 if self.element is None else self.rows * library.area_um2(self.element.circuit)
        return gates + self.flip_flops * library.flip_flop.area_um2

    def leakage_nw(self, library: CellLibrary) -> float:
        """Leakage of the same."""
        gates = sum(u.count * library.leakage_nw(u.circuit) for u in self.units.values())
        gates += 0.0 if self.element is None else self.rows * library.leakage_nw(self.element.circuit)
        return gates + self.flip_flops * library.flip_flop.leakage_nw

    def slowest(self, library: CellLibrary) -> tuple[str, float]:
        """Name and delay in ns of the slowest part, without the registers' own timing."""
        delays = {u.circuit.name: delay_ns(u.circuit, library) for u in self.units.values()}
        if self.element is not None:
            delays[self.element.circuit.name] = self.element.delay_ns(library)
        name = max(delays, key=delays.__getitem__)
        return name, delays[name]

    @property
    def parts(self) -> str:
        """What the hardware consists of."""
        found = [f"{u.count} {u.circuit.name}" for u in self.units.values()]
        return ", ".join(found + ([] if self.element is None else [f"{self.rows} {self.element.circuit.name}"]))

    def source(self, demand: Demand) -> str:
        """Where the energies of a site come from."""
        operands = f"sampled at {demand.site}" if demand.trace is not None else "drawn uniformly (no trace was taken)"
        return (
            f"switching and clock of netlists on operands {operands}, inertial delays, 45 nm cell table "
            f"({default_library().name})"
        )

    def words(self, demand: Demand) -> int:
        """Sums that reach the memory of the checksum column, one read and one write each."""
        if demand.guard is None or not demand.guard.check_filters:
            return 0
        return windows(demand) * -(-demand.reduction // self.rows)

    def operations(self, demand: Demand) -> list[tuple[int, Activity]]:
        """How often the site makes each part do what."""
        guard = demand.guard
        if guard is None:
            return []
        outputs = windows(demand) * demand.columns
        counts = {
            "limiter": outputs * bool(guard.comparisons),
            "comparator": outputs * (guard.copies == 2),
            "voter": outputs * (guard.copies > 2),
            "adder": outputs * bool(guard.check_filters),
            "judge": windows(demand) * bool(guard.check_filters),
            "input adder": 2 * demand.input_elements * guard.checked_inputs,
        }
        found = [(count, self._small(demand, self.units[name])) for name, count in counts.items() if count]
        if guard.check_filters:
            found.append((windows(demand) * demand.reduction, self._checksum(demand, guard)))
        return found

    def _small(self, demand: Demand, unit: Unit) -> Activity:
        """One operation of a small circuit on sums of the site."""
        streams = _sum_streams(unit.circuit, _operands(demand, self.rows).partial_sums)
        values = streams[next(iter(streams))]
        energy = _switching_pj(unit.circuit, values.shape, tuple((n, v.tobytes()) for n, v in streams.items()))
        changes = float(np.bitwise_count(values[:, 1:] ^ values[:, :-1]).mean()) if unit.registers > 1 else 0.0
        return Activity(energy, changes, unit.registers)

    def _checksum(self, demand: Demand, guard: Guarding) -> Activity:
        """One product of the checksum column; its weight rests."""
        assert self.element is not None  # there is a column where a site has checksums
        base = _operands(demand, self.rows)
        generator = stream(0, "checksum", demand.site, guard.check_weight_bits)
        magnitude_bits = guard.check_weight_bits - 1
        grown = magnitude_bits - (demand.widest_weight_bits - 1)
        trace = OperandTrace(
            base.activations >> _shift(demand),
            base.activation_signs,
            generator.integers(0, 1 << magnitude_bits, len(base.weights)),
            base.weight_signs,
            base.partial_sums << max(0, grown),
        )
        found = CACHE.mac_energy(self.element, trace)
        switching = found.multiplier_pj + found.accumulator_pj + found.register_load_pj
        clocked = self.element.flip_flops - self.element.core.port("b").width - 1
        return Activity(switching, found.activation_toggles + found.sum_toggles, clocked)


def windows(demand: Demand) -> int:
    """Positions of all groups and calls, at each of which the outputs of a group are added."""
    return demand.calls * demand.groups * demand.rows


def _operands(demand: Demand, rows: int) -> OperandTrace:
    if demand.trace is not None:
        return demand.trace
    return uniform_trace(demand.input_bits, demand.widest_weight_bits, rows)


def _shift(demand: Demand) -> int:
    """How far sampled codes are shifted up in the operands of a wider core."""
    if demand.trace is None:
        return 0
    return max(0, fitting_unit(mode_parts(demand)[0].demand).widths[0] - demand.input_bits)


def _sum_streams(circuit: Circuit, sums: IntArray) -> dict[str, IntArray]:
    """What the ports of a small circuit see: sums, the same again, and bounds that hold them."""
    names = {port.name for port in circuit.inputs}
    limits = (int(sums.min()), int(sums.max())) if "value" in names else (-1, 1)
    adds = any(port.name == "s" for port in circuit.outputs)
    values = {
        "value": sums,
        "first": sums,
        "second": np.roll(sums, 1, axis=1) if adds else sums,
        "third": sums,
        "low": np.full_like(sums, limits[0]),
        "high": np.full_like(sums, limits[1]),
    }
    return {p.name: np.ascontiguousarray(values[p.name] & ((1 << p.width) - 1)) for p in circuit.inputs}


@functools.lru_cache(maxsize=256)
def _switching_pj(circuit: Circuit, shape: tuple[int, int], ports: tuple[tuple[str, bytes], ...]) -> float:
    """Switching per operation; arrays come as bytes, by which results are remembered."""
    streams = {name: np.frombuffer(part, dtype=np.int64).reshape(shape) for name, part in ports}
    return switching_energy(circuit, streams, default_library()).energy_pj
