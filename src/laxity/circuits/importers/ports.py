"""Which ports of an imported netlist are the operands and the product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laxity.circuits.importers.buses import buses
from laxity.circuits.netlist import Circuit, Port
from laxity.circuits.source import shown
from laxity.core.errors import CircuitError

MAX_OPERAND_BITS = 32
"""Widest operand of an imported netlist."""

_CLOCKS = frozenset({"clk", "clock", "ck", "rst", "rst_n", "reset", "resetn", "en", "enable"})


@dataclass(frozen=True, slots=True)
class Operands:
    """A netlist with ports a, b and p, and how they were found.

    Attributes:
        circuit: the netlist.
        a_name: what the file calls operand a.
        b_name: what the file calls operand b.
        notes: what was assumed, in words.
    """

    circuit: Circuit
    a_name: str
    b_name: str
    notes: tuple[str, ...]


def operands(circuit: Circuit, label: str, a_bits: int | None, b_bits: int | None, *, swap: bool = False) -> Operands:
    """Rename the ports of a netlist to a, b and p.

    Args:
        circuit: as in the file.
        label: name of the file, for messages.
        a_bits: width of operand a, if it is known.
        b_bits: width of operand b, if it is known.
        swap: exchange the operands.

    Raises:
        CircuitError: there are not two operands and a product, or their widths are others than those given.
    """
    inputs, outputs = _joined(circuit.inputs), _joined(circuit.outputs)
    if not outputs or not inputs:
        raise CircuitError(f"{label}: module {circuit.name!r} has no inputs or no outputs; a multiplier has both")
    notes: list[str] = []
    if len(inputs) != 2:
        inputs = _halves(label, circuit, inputs, a_bits, b_bits, notes)
    first, second = inputs
    by_name = second.name.casefold() == "a"
    if by_name != swap:
        first, second = second, first
    why = (
        ", exchanged as asked"
        if swap
        else " by its name"
        if by_name or first.name.casefold() == "a"
        else ", listed first"
    )
    notes.append(f"operand a (the activation) is port {first.name!r}{why}; operand b (the weight) is {second.name!r}")
    _check_widths(label, first, second, a_bits, b_bits)
    product = outputs[0]
    if len(outputs) > 1:
        product = Port("p", tuple(net for port in outputs for net in port.nets))
        listed = shown(", ".join(p.name for p in outputs))
        notes.append(f"the product is made of the outputs {listed}, the first one lowest")
    ports = (Port("a", first.nets), Port("b", second.nets))
    renamed = Circuit(circuit.name, ports, (Port("p", product.nets),), circuit.gates, circuit.source)
    return Operands(renamed, first.name, second.name, tuple(notes))


def _joined(ports: Sequence[Port]) -> list[Port]:
    """Ports with single bits such as a0, a1, ... joined to buses, in the order of the first bit of each."""
    if len(ports) <= 2 and any(port.width > 1 for port in ports):
        return list(ports)
    single = [(place, port) for place, port in enumerate(ports) if port.width == 1]
    found = [(place, port) for place, port in enumerate(ports) if port.width > 1]
    for name, places in buses([port.name for _, port in single]):
        found.append((single[places[0]][0], Port(name, tuple(single[i][1].nets[0] for i in places))))
    return [port for _, port in sorted(found, key=lambda pair: pair[0])]


def _halves(
    label: str, circuit: Circuit, inputs: list[Port], a_bits: int | None, b_bits: int | None, notes: list[str]
) -> list[Port]:
    """Two operands from inputs of which nothing tells which operand they belong to: the first bits are a."""
    names = ", ".join(p.name for p in inputs)
    clock = next((p.name for p in inputs if p.name.casefold() in _CLOCKS), None)
    if clock is not None:
        raise CircuitError(
            f"{label}: module {circuit.name!r} has an input {clock!r}; import the combinational multiplier alone"
        )
    nets = [net for port in inputs for net in port.nets]
    if any(port.width > 1 for port in inputs) and len(inputs) != 1:
        raise CircuitError(
            f"{label}: module {circuit.name!r} has inputs {shown(names)}; a multiplier has two operands, so choose "
            "another --top or leave additional inputs out"
        )
    width = len(nets) // 2 if b_bits is None else len(nets) - b_bits
    width = width if a_bits is None else a_bits
    if a_bits is None and b_bits is None and len(nets) % 2:
        raise CircuitError(f"{label}: {len(nets)} input bits in one row; tell the widths with --a-bits and --b-bits")
    if not 0 < width < len(nets):
        raise CircuitError(f"{label}: {len(nets)} input bits leave none for operand b; correct --a-bits and --b-bits")
    notes.append(f"of the {len(nets)} input bits, the first {width} are operand a, lowest bit first, the others b")
    return [Port("a", tuple(nets[:width])), Port("b", tuple(nets[width:]))]


def _check_widths(label: str, a: Port, b: Port, a_bits: int | None, b_bits: int | None) -> None:
    for port, given, which in ((a, a_bits, "a"), (b, b_bits, "b")):
        if given is not None and port.width != given:
            raise CircuitError(
                f"{label}: operand {which}, port {port.name!r}, has {port.width} bits, not {given}; correct "
                f"--{which}-bits, or exchange the operands with --swap"
            )
        if port.width > MAX_OPERAND_BITS:
            raise CircuitError(
                f"{label}: port {port.name!r} has {port.width} bits; operands of at most {MAX_OPERAND_BITS} bits can "
                "be imported"
            )
