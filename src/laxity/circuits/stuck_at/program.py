"""A circuit, its operand pairs and the words of all nets without fault, as arrays for the simulation of faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from laxity.circuits.netlist import CELL_PINS, Circuit
from laxity.circuits.simulate import Words, settle
from laxity.circuits.stuck_at.fault import OUTPUT, STEM, Fault, output_nets
from laxity.circuits.stuck_at.stimuli import Stimuli, stimuli_for
from laxity.circuits.stuck_at.subject import Device
from laxity.core.errors import CircuitError

Numbers = npt.NDArray[np.int32]

CELLS = tuple(CELL_PINS)
"""Cells by number."""

_MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What simulations of faults share.

    Attributes:
        device: the circuit.
        stimuli: its operand pairs.
        cells: number of each gate's cell, int32 (gates,).
        pins: nets at its inputs, int32 (gates, 4), padded with net 0.
        drives: nets at its outputs, int32 (gates, 2), padded with -1.
        outputs: nets of the result, int32 (bits,), least significant first.
        golden: words of all nets without fault, uint64 (nets, words).
        reach: for each net the gates that depend on it, one bit each.
    """

    device: Device
    stimuli: Stimuli
    cells: Numbers
    pins: Numbers
    drives: Numbers
    outputs: Numbers
    golden: Words
    reach: tuple[int, ...]

    @staticmethod
    def of(device: Device, stimuli: Stimuli | None = None) -> Program:
        """Lay a circuit out and simulate it without fault.

        Raises:
            CircuitError: as `stimuli_for`; too many nets and operand pairs for the memory.
        """
        circuit, given = device.circuit, stimuli or stimuli_for(device)
        size = circuit.net_count() * given.mask.size * 8
        if size > _MAX_BYTES:
            raise CircuitError(
                f"{circuit.net_count()} nets of {device.name!r} over {given.pairs} operand pairs take {size >> 20} MiB;"
                " sample fewer pairs"
            )
        return Program(
            device,
            given,
            np.array([CELLS.index(gate.cell) for gate in circuit.gates], dtype=np.int32),
            _table([gate.inputs for gate in circuit.gates], 4, 0),
            _table([gate.outputs for gate in circuit.gates], 2, -1),
            np.array(output_nets(circuit), dtype=np.int32),
            np.stack(settle(circuit, given.planes)),
            tuple(_reach(circuit)),
        )

    def cone(self, fault: Fault) -> Numbers:
        """Gates that a fault can change, in order."""
        if fault.gate == OUTPUT:
            return np.zeros(0, dtype=np.int32)
        gates = self.reach[fault.net] if fault.gate == STEM else 1 << fault.gate
        if fault.gate >= 0:
            for net in self.device.circuit.gates[fault.gate].outputs:
                gates |= self.reach[net]
        octets = np.frombuffer(gates.to_bytes(-(-max(gates.bit_length(), 1) // 8), "little"), dtype=np.uint8)
        return np.flatnonzero(np.unpackbits(octets, bitorder="little")).astype(np.int32)


def _table(rows: Sequence[Sequence[int]], columns: int, padding: int) -> Numbers:
    table = np.full((len(rows), columns), padding, dtype=np.int32)
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values
    return table


def _reach(circuit: Circuit) -> list[int]:
    reach = [0] * circuit.net_count()
    for index in range(len(circuit.gates) - 1, -1, -1):
        gate = circuit.gates[index]
        behind = 1 << index
        for net in gate.outputs:
            behind |= reach[net]
        for net in gate.inputs:
            reach[net] |= behind
    return reach
