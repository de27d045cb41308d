"""Where a line of a netlist can be stuck, and at what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from laxity.circuits.netlist import ONE, ZERO, Circuit
from laxity.circuits.verilog import net_names

STEM, OUTPUT = -1, -2
"""Values of `Fault.gate` for a whole net, and for the branch that leads to an output port."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line that is stuck.

    Attributes:
        net: the net, or the one that the faulty pin reads.
        value: 0 or 1, at which the line is stuck.
        gate: position in `Circuit.gates` of the gate whose input pin is stuck; `STEM` for the net itself with all that
            it drives; `OUTPUT` for one bit of an output port alone.
        pin: input pin of the gate, or bit of the output ports, one port after the other.
        name: the line in the Verilog of the circuit: ``"n17"``, ``"a[3]"``, a pin ``"n17->n23.0"`` (first input of the
            gate that drives n23), ``"n17->p[3]"``.
        place: the gate in words, for example ``"XOR2 multiplier"``: cell and block.
    """

    net: int
    value: int
    gate: int
    pin: int
    name: str
    place: str

    @property
    def label(self) -> str:
        """Line and value, for example ``"n17 stuck-at-0"``."""
        return f"{self.name} stuck-at-{self.value}"


NO_FAULT = Fault(ZERO, 0, STEM, 0, "1'b0", "constant")
"""The circuit as it is: constant 0 stuck at 0."""


def output_nets(circuit: Circuit) -> list[int]:
    """Nets of all output ports, one port after the other, least significant bit first."""
    return [net for port in circuit.outputs for net in port.nets]


def readers(circuit: Circuit) -> Counter[int]:
    """How many input pins of gates and bits of output ports read each net."""
    found = Counter(net for gate in circuit.gates for net in gate.inputs)
    found.update(output_nets(circuit))
    return found


def fault_list(circuit: Circuit, *, pins: bool = False) -> tuple[Fault, ...]:
    """All single stuck-at faults: both values at every input net, tied net and gate output.

    Args:
        circuit: the netlist, looked at as it is: `expand_adders` first for the nets inside adders.
        pins: also at single input pins and output bits where the net has other readers, or is constant.

    Returns:
        Inputs first, then gates in their order with their pins before their outputs, then bits of outputs.
    """
    names, count = net_names(circuit), readers(circuit)
    lines = [(net, STEM, 0, names[net], "input") for port in circuit.inputs for net in port.nets]
    lines += [(net, STEM, 0, names[net], "tied line") for tie in circuit.ties for net in tie.port.nets]
    for index, gate in enumerate(circuit.gates):
        place = f"{gate.cell} {gate.block}"
        if pins:
            drives = "_".join(names[net] for net in gate.outputs)
            lines += [
                (net, index, pin, f"{names[net]}->{drives}.{pin}", place)
                for pin, net in enumerate(gate.inputs)
                if _branches(net, count)
            ]
        lines += [(net, STEM, 0, names[net], place) for net in gate.outputs]
    if pins:
        bits = [f"{port.name}[{bit}]" for port in circuit.outputs for bit in range(port.width)]
        lines += [
            (net, OUTPUT, position, f"{names[net]}->{bit}", "output")
            for position, (net, bit) in enumerate(zip(output_nets(circuit), bits, strict=True))
            if _branches(net, count)
        ]
    return tuple(Fault(net, value, gate, pin, name, place) for net, gate, pin, name, place in lines for value in (0, 1))


def _branches(net: int, count: Counter[int]) -> bool:
    """Whether a pin that reads the net is a line of its own."""
    return net in (ZERO, ONE) or count[net] > 1
