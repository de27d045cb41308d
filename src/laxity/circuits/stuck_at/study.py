"""All single stuck-at faults of a multiplier or adder, and what each of them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from laxity.circuits.adder import Adder
from laxity.circuits.assess import Sampling
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.error_sums import FloatArray, IntArray
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import Words, unpack
from laxity.circuits.stuck_at.collapse import HARMLESS, collapse
from laxity.circuits.stuck_at.engine import Engine, Kind, make_engine
from laxity.circuits.stuck_at.errors import FaultErrors, equal_errors, weighted_errors, word_signature
from laxity.circuits.stuck_at.fault import NO_FAULT, Fault, fault_list
from laxity.circuits.stuck_at.program import Program
from laxity.circuits.stuck_at.stimuli import SAMPLING, stimuli_for
from laxity.circuits.stuck_at.subject import Arithmetic, Device, device_of
from laxity.circuits.stuck_at.sums import Lanes, Sums
from laxity.circuits.stuck_at.tied import faulty_circuit, faulty_name
from laxity.core.errors import CircuitError


@dataclass(frozen=True, slots=True, eq=False)
class StuckAtStudy:
    """Single stuck-at faults of one circuit, each simulated alone over the same operand pairs.

    Attributes:
        program: the circuit with its operand pairs.
        engine: the simulation, which makes results of single faults again.
        faults: the faults.
        classes: int64 (faults,): position of the first fault that is known to be equivalent without simulation;
            -1 where no simulation is needed to know that the fault changes nothing.
        shown: int64 (faults,): operand pairs that show the fault, each counted once whatever its weight.
        changed: uint64 (faults,): output bits that show it, one bit each.
        signatures: uint64 (faults, 2): equal for faults with equal results over all pairs; 0 for those never shown.
        errors: errors of each fault under the distribution of operands.
        golden: errors of the circuit without fault, arrays of one entry.
    """

    program: Program
    engine: Engine
    faults: tuple[Fault, ...]
    classes: IntArray
    shown: IntArray
    changed: Words
    signatures: Words
    errors: FaultErrors
    golden: FaultErrors

    def __len__(self) -> int:
        """Number of faults."""
        return len(self.faults)

    @property
    def device(self) -> Device:
        """The circuit that the faults are listed for."""
        return self.program.device

    @property
    def exhaustive(self) -> bool:
        """All operand pairs were simulated, so that faults that were never shown cannot be detected."""
        return self.program.stimuli.exhaustive

    @property
    def detected(self) -> np.ndarray:
        """Whether some operand pair shows the fault, bool (faults,)."""
        return self.shown > 0

    @property
    def med_added(self) -> FloatArray:
        """Mean error distance from the exact result, minus that without fault; negative where a fault helps."""
        return self.errors.med - self.golden.med

    def tables(self) -> list[list[int]]:
        """Positions of detected faults with equal results over all pairs, together; first faults in order."""
        found: dict[tuple[int, ...], list[int]] = {}
        for place in np.flatnonzero(self.detected).tolist():
            found.setdefault(tuple(self.signatures[place].tolist()), []).append(place)
        return list(found.values())

    def worst(self, count: int) -> list[int]:
        """Positions of the faults with the largest mean error distance from the exact result, worst first."""
        return np.argsort(-self.errors.med, kind="stable")[:count].tolist()

    def circuit(self, *places: int) -> Circuit:
        """The netlist with one or more faults at the same time, for Verilog and simulation.

        Raises:
            CircuitError: as `faulty_circuit`.
        """
        return faulty_circuit(self.device.circuit, *(self.faults[place] for place in places))

    def results(self, place: int) -> IntArray:
        """Results with a fault for every operand pair, int64 (pairs,); with all pairs those of a = 0 come first."""
        device, stimuli = self.device, self.program.stimuli
        planes = [self.program.golden[net] for net in self.program.outputs.tolist()]
        for bit, difference in self.engine.differences(self.faults[place]).items():
            planes[bit] = planes[bit] ^ difference
        codes = unpack(planes, stimuli.pairs)
        return codes - (codes >> (device.bits - 1) << device.bits) if device.signed else codes

    def multiplier(self, place: int) -> Multiplier:
        """The multiplier with a fault: its products and its netlist, so that it can be emulated and written as Verilog.

        Raises:
            CircuitError: the circuit adds, or operands are too wide for a table.
        """
        device = self.device
        if device.operation != "multiply" or not self.exhaustive:
            raise CircuitError(f"{device.name!r} with a fault has no table of products; use circuit() for its netlist")
        name = faulty_name(device.name, self.faults[place])
        table = self.results(place).reshape(1 << device.a_bits, 1 << device.b_bits)
        a_bits, b_bits, circuit = device.a_bits, device.b_bits, self.circuit(place)
        return Multiplier(name, a_bits, b_bits, device.a_signed, device.b_signed, table, circuit, "stuck-at")

    def adder(self, place: int) -> Adder:
        """The adder with a fault.

        Raises:
            CircuitError: the circuit multiplies.
        """
        if self.device.operation != "add":
            raise CircuitError(f"{self.device.name!r} is no adder; use multiplier()")
        return Adder(faulty_name(self.device.name, self.faults[place]), self.circuit(place), "stuck-at")

    def row(self, place: int) -> dict[str, Any]:
        """Facts about one fault; fractions as fractions."""
        fault, errors = self.faults[place], self.errors
        return {
            "fault": fault.label,
            "line": fault.name,
            "value": fault.value,
            "place": fault.place,
            "equivalent_to": self._equivalent(place),
            "detected": bool(self.shown[place]),
            "shown": int(self.shown[place]),
            "highest_bit": int(self.changed[place]).bit_length() - 1 if self.changed[place] else None,
            **{name: getattr(errors, name)[place].item() for name in errors.__dataclass_fields__},
            "med_added": float(self.med_added[place]),
            "signature": word_signature(self.signatures[place]),
        }

    def _equivalent(self, place: int) -> str | None:
        first = int(self.classes[place])
        if first == HARMLESS:
            return "no fault"
        return self.faults[first].label if first != place else None

    def summary(self) -> dict[str, Any]:
        """Facts about all faults together: each listed fault counts alike, also those that are never shown."""
        added, fault_med = self.med_added, self.errors.fault_med
        unseen = len(self) - int(self.detected.sum())
        return {
            "name": self.device.name,
            "netlist_key": self.device.circuit.key,
            "gates": len(self.device.circuit.gates),
            "pairs": self.program.stimuli.pairs,
            "exhaustive": self.exhaustive,
            "faults": len(self),
            "classes": len(set(self.classes.tolist()) - {HARMLESS}),
            "undetectable": unseen if self.exhaustive else None,
            "never_shown": unseen,
            "distinct": len(self.tables()),
            "med": float(self.golden.med[0]),
            "med_added_mean": float(added.mean()) if len(self) else 0.0,
            "med_added_median": _quantile(added, 0.5),
            "med_added_p90": _quantile(added, 0.9),
            "fault_med_mean": float(fault_med.mean()) if len(self) else 0.0,
            "fault_med_median": _quantile(fault_med, 0.5),
            "fault_med_p90": _quantile(fault_med, 0.9),
            "observability_mean": float(self.errors.observability.mean()) if len(self) else 0.0,
            "engine": self.engine.name,
        }

    def to_json(self) -> dict[str, Any]:
        """The summary, and ``rows`` with the facts about every fault."""
        return {**self.summary(), "rows": [self.row(place) for place in range(len(self))]}


def stuck_at(
    thing: Arithmetic,
    operands: Operands = UNIFORM,
    *,
    sampling: Sampling = SAMPLING,
    pins: bool = False,
    whole_adders: bool = False,
    collapsing: bool = True,
    engine: Kind = "auto",
) -> StuckAtStudy:
    """Simulate every single stuck-at fault of a multiplier or adder.

    Args:
        thing: a name of either catalogue, a netlist of unsigned numbers with inputs a and b and output p or s, a
            multiplier, or an adder.
        operands: distribution of the operands; all pairs are simulated all the same, where there are few enough.
        sampling: up to how many operand bits all pairs are simulated (at most 20), and how many are drawn beyond.
        pins: also faults of single input pins and output bits, where a net has several readers.
        whole_adders: no faults between the gates inside of half and full adders.
        collapsing: simulate one fault of each class of equivalent ones.
        engine: which simulation.

    Raises:
        RegistryError: a name is unknown.
        CircuitError: no netlist or other ports; results too wide for the sums; a distribution that does not fit.
    """
    device = device_of(thing, whole_adders=whole_adders)
    program = Program.of(device, stimuli_for(device, operands, sampling))
    faults = fault_list(device.circuit, pins=pins)
    classes = np.array(collapse(device.circuit, faults), dtype=np.int64)
    return _study(program, make_engine(program, engine), faults, classes, collapsing=collapsing)


def _study(
    program: Program, engine: Engine, faults: tuple[Fault, ...], classes: IntArray, *, collapsing: bool
) -> StuckAtStudy:
    chosen = np.unique(classes[classes != HARMLESS]) if collapsing else np.arange(len(faults))
    simulated = [*(faults[place] for place in chosen.tolist()), NO_FAULT]
    sums = engine.run(simulated)
    errors = _errors(program, engine, simulated, sums)
    of = np.searchsorted(chosen, classes) if collapsing else chosen
    if collapsing:
        of[classes == HARMLESS] = len(chosen)
    shown, changed, signatures = sums.counts[:, 0][of], sums.changed[of], sums.signatures[of]
    golden = errors.take([len(chosen)])
    return StuckAtStudy(program, engine, faults, classes, shown, changed, signatures, errors.take(of), golden)


def _errors(program: Program, engine: Engine, faults: Sequence[Fault], sums: Sums) -> FaultErrors:
    """Errors under the distribution of operands; where pairs have weights, those of equal results are taken once."""
    stimuli = program.stimuli
    if stimuli.weights is None:
        return equal_errors(sums, stimuli.pairs)
    _, first, back = np.unique(sums.signatures, axis=0, return_index=True, return_inverse=True)
    return weighted_errors(engine, [faults[place] for place in first], Lanes(program)).take(back.ravel())


def _quantile(values: FloatArray, share: float) -> float:
    return float(np.quantile(values, share)) if values.size else 0.0
