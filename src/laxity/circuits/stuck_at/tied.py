"""The faulty circuit as a circuit: the stuck line is tied to a constant, and nothing else is changed."""

from __future__ import annotations

import re
from dataclasses import replace

from laxity.circuits.netlist import ONE, ZERO, Circuit, Port, Tie
from laxity.circuits.stuck_at.fault import OUTPUT, STEM, Fault
from laxity.core.errors import CircuitError


def faulty_circuit(circuit: Circuit, *faults: Fault) -> Circuit:
    """The circuit with some lines stuck, all at the same time.

    What reads a stuck line reads a constant instead. The gate that drives it stays, so that cell counts, area and the
    names of nets in Verilog are those of the circuit without faults.

    Args:
        circuit: the netlist that the faults were listed for.
        faults: one or more; of a stem and its branches that are stuck at different values, the branches win.

    Raises:
        CircuitError: none is given, or a fault is not one of this netlist.
    """
    if not faults:
        raise CircuitError(f"no fault is given for {circuit.name!r}; give one of fault_list()")
    for fault in faults:
        _check(circuit, fault)
    stuck = {fault.net: ONE if fault.value else ZERO for fault in faults if fault.gate == STEM}
    inputs = [[stuck.get(net, net) for net in gate.inputs] for gate in circuit.gates]
    outputs = [stuck.get(net, net) for port in circuit.outputs for net in port.nets]
    for fault in faults:
        if fault.gate == OUTPUT:
            outputs[fault.pin] = ONE if fault.value else ZERO
        elif fault.gate != STEM:
            inputs[fault.gate][fault.pin] = ONE if fault.value else ZERO
    gates = tuple(replace(gate, inputs=tuple(nets)) for gate, nets in zip(circuit.gates, inputs, strict=True))
    rest = iter(outputs)
    ports = tuple(Port(port.name, tuple(next(rest) for _ in port.nets)) for port in circuit.outputs)
    lines = ", ".join(fault.label for fault in faults)
    source = f"{circuit.source}; with {lines}"
    return Circuit(faulty_name(circuit.name, *faults), circuit.inputs, ports, gates, source, circuit.ties)


def faulty_name(name: str, *faults: Fault) -> str:
    """A legal name for a circuit with faults: ``"dadda8_n17_sa0"``."""
    parts = [f"{re.sub('[^0-9A-Za-z]+', '_', fault.name).strip('_')}_sa{fault.value}" for fault in faults]
    return "_".join([name, *parts])


def _check(circuit: Circuit, fault: Fault) -> None:
    if fault.gate == STEM:
        ports: list[Port | Tie] = [*circuit.inputs, *circuit.ties]
        nets = {net for port in ports for net in (port.port if isinstance(port, Tie) else port).nets}
        known = fault.net in nets or any(fault.net in gate.outputs for gate in circuit.gates)
    elif fault.gate == OUTPUT:
        outputs = [net for port in circuit.outputs for net in port.nets]
        known = fault.pin < len(outputs) and outputs[fault.pin] == fault.net
    else:
        pins = circuit.gates[fault.gate].inputs if 0 <= fault.gate < len(circuit.gates) else ()
        known = 0 <= fault.pin < len(pins) and pins[fault.pin] == fault.net
    if not known:
        raise CircuitError(f"{fault.label!r} is no fault of {circuit.name!r}; use those of fault_list() for it")
