"""What faults are simulated in: a multiplier or an adder with its netlist."""

from __future__ import annotations

from dataclasses import dataclass

from laxity.circuits import adder_catalogue, catalogue
from laxity.circuits.adder import Adder
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit
from laxity.circuits.stuck_at.expand import expand_adders
from laxity.circuits.subject import Operation, netlist_subject

Arithmetic = str | Circuit | Multiplier | Adder
"""What has gates: a name of either catalogue, a netlist of unsigned numbers, a multiplier, an adder."""


@dataclass(frozen=True, slots=True)
class Device:
    """A two-operand circuit and how its bits are read.

    Attributes:
        name: for people.
        circuit: inputs a and b, one output port.
        operation: what it ought to compute.
        a_signed, b_signed: operands are two's complement; results are, if one of them is.
    """

    name: str
    circuit: Circuit
    operation: Operation
    a_signed: bool
    b_signed: bool

    @property
    def a_bits(self) -> int:
        """Width of operand a."""
        return self.circuit.port("a").width

    @property
    def b_bits(self) -> int:
        """Width of operand b."""
        return self.circuit.port("b").width

    @property
    def bits(self) -> int:
        """Width of the result."""
        return self.circuit.outputs[0].width

    @property
    def signed(self) -> bool:
        """Results are two's complement."""
        return self.a_signed or self.b_signed


def device_of(thing: Arithmetic, *, whole_adders: bool = False) -> Device:
    """The circuit of a multiplier or adder, with the gates inside its half and full adders.

    Args:
        thing: a name, a netlist of unsigned numbers, a multiplier or an adder.
        whole_adders: leave half and full adders as cells, so that only their pins can be stuck.

    Raises:
        RegistryError: a name is unknown.
        CircuitError: it has no netlist, or other ports than a, b and p or s.
    """
    name, circuit, a_signed, b_signed = _parts(thing)
    operation = netlist_subject(circuit).operation
    return Device(name, circuit if whole_adders else expand_adders(circuit), operation, a_signed, b_signed)


def _parts(thing: Arithmetic) -> tuple[str, Circuit, bool, bool]:
    if isinstance(thing, Multiplier):
        return thing.name, catalogue.require_circuit(thing), thing.a_signed, thing.b_signed
    if isinstance(thing, Adder):
        return thing.name, thing.circuit, False, False
    if isinstance(thing, Circuit):
        return thing.name, thing, False, False
    if adder_catalogue.known(thing):
        return thing, adder_catalogue.circuit(thing), False, False
    circuit, signed = catalogue.circuit(thing), catalogue.is_signed(thing)
    return thing, circuit, signed, signed
