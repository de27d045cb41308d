"""Half and full adders as the gates inside them, so that the nets between those gates can be faulty too."""

from __future__ import annotations

from laxity.circuits.netlist import Circuit, Gate


def expand_adders(circuit: Circuit) -> Circuit:
    """The circuit with HA as XOR2 and AND2, and FA as two XOR2, two AND2 and one OR2; a circuit without them as it is.

    All nets keep their numbers, and so their names in Verilog; nets inside adders are numbered after them.
    """
    if not any(gate.cell in ("HA", "FA") for gate in circuit.gates):
        return circuit
    gates: list[Gate] = []
    free = circuit.net_count()
    for gate in circuit.gates:
        if gate.cell == "HA":
            gates += [
                Gate(cell, gate.inputs, (net,), gate.block) for cell, net in zip(_HALF, gate.outputs, strict=True)
            ]
        elif gate.cell == "FA":
            gates += _full_adder(gate, free)
            free += 3
        else:
            gates.append(gate)
    return Circuit(circuit.name, circuit.inputs, circuit.outputs, tuple(gates), circuit.source, circuit.ties)


_HALF = ("XOR2", "AND2")
"""Gates of the sum and of the carry of a half adder."""


def _full_adder(gate: Gate, free: int) -> list[Gate]:
    a, b, c = gate.inputs
    total, carry = gate.outputs
    half, both, third = free, free + 1, free + 2
    parts = (
        ("XOR2", (a, b), half),
        ("XOR2", (half, c), total),
        ("AND2", (a, b), both),
        ("AND2", (half, c), third),
        ("OR2", (both, third), carry),
    )
    return [Gate(cell, inputs, (net,), gate.block) for cell, inputs, net in parts]
