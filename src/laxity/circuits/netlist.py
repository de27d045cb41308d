"""The netlist: gates of a small cell set between typed ports.

A `Circuit` is the only description of a piece of arithmetic in laxity. Its product table, error metrics, Verilog,
cell counts, area, delay and switching energy are all derived from it, so they cannot disagree.

Nets are integers. Net 0 is the constant 0 and net 1 the constant 1; every other net is driven once, by an input port
or by a gate.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from laxity.core.errors import CircuitError

ZERO = 0
"""The net that carries constant 0."""

ONE = 1
"""The net that carries constant 1."""

CELL_PINS = MappingProxyType(
    {
        "INV": (1, 1),
        "BUF": (1, 1),
        "AND2": (2, 1),
        "OR2": (2, 1),
        "NAND2": (2, 1),
        "NAND3": (3, 1),
        "NOR2": (2, 1),
        "NOR3": (3, 1),
        "XOR2": (2, 1),
        "XNOR2": (2, 1),
        "AOI21": (3, 1),
        "AOI22": (4, 1),
        "OAI21": (3, 1),
        "MUX2": (3, 1),
        "HA": (2, 2),
        "FA": (3, 2),
    }
)
"""Number of input and output pins of each cell.

AOI21(a, b, c) is not(a and b or c), AOI22(a, b, c, d) is not(a and b or c and d), OAI21(a, b, c) is
not((a or b) and c), MUX2(s, x, y) is not(y if s else x), and the outputs of HA and FA are (sum, carry).
"""


@dataclass(frozen=True, slots=True)
class Gate:
    """One cell instance.

    Attributes:
        cell: a key of `CELL_PINS`.
        inputs: nets at the input pins, in pin order.
        outputs: nets at the output pins; (sum, carry) for HA and FA.
        block: the part of the design the gate belongs to, for example ``"multiplier"``.
    """

    cell: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    block: str = "core"


@dataclass(frozen=True, slots=True)
class Port:
    """A named bus.

    Attributes:
        name: a legal Verilog identifier.
        nets: least significant bit first.
    """

    name: str
    nets: tuple[int, ...]

    @property
    def width(self) -> int:
        """Number of bits."""
        return len(self.nets)


@dataclass(frozen=True, slots=True)
class Tie:
    """An input bus that is held at a constant: lines that choose a mode of a reconfigurable circuit.

    Attributes:
        port: name and nets; no gate that reads them is simplified.
        value: unsigned.
    """

    port: Port
    value: int


@dataclass(frozen=True, slots=True, eq=False)
class Circuit:
    """A combinational netlist; equal to another when name, ports, ties and gates are equal.

    Attributes:
        name: a legal Verilog identifier, for example ``"drum8_4"``.
        inputs: input ports.
        outputs: output ports; their nets may be constants or inputs.
        gates: in topological order.
        source: where the design comes from, in words.
        ties: input buses that are held at constants; the other circuits with these gates are its other modes.
        key: first 16 hexadecimal digits of the SHA-256 of ports, ties and gates; the name does not enter.

    Raises:
        CircuitError: an unknown cell, a wrong pin count, or a net that is driven twice or read before it is driven.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    gates: tuple[Gate, ...]
    source: str
    ties: tuple[Tie, ...] = ()
    key: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Check the structure and compute the content key."""
        self._check_names()
        self._check_nets()
        ports = [[(p.name, p.nets) for p in side] for side in (self.inputs, self.outputs)]
        parts: tuple[object, ...] = (ports, [(g.cell, g.inputs, g.outputs, g.block) for g in self.gates])
        if self.ties:
            parts += ([(tie.port.name, tie.port.nets, tie.value) for tie in self.ties],)
        text = repr(parts)
        object.__setattr__(self, "key", hashlib.sha256(text.encode()).hexdigest()[:16])

    def _check_names(self) -> None:
        names = [p.name for p in (*self.inputs, *self.outputs, *(tie.port for tie in self.ties))]
        for name in (self.name, *names):
            if not (name.isidentifier() and name.isascii()):
                raise CircuitError(f"{name!r} in circuit {self.name!r} is not an identifier; use letters, digits and _")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise CircuitError(f"circuit {self.name!r} has two ports called {twice[0]!r}; rename one of them")

    def _check_nets(self) -> None:
        driven = {ZERO, ONE}
        for port in self.inputs:
            self._drive(driven, port.nets, f"input {port.name!r}")
        for tie in self.ties:
            self._drive(driven, tie.port.nets, f"tie {tie.port.name!r}")
            if not 0 <= tie.value < 1 << tie.port.width:
                raise CircuitError(
                    f"{tie.port.name!r} of {self.name!r} is tied to {tie.value}; use 0..{(1 << tie.port.width) - 1}"
                )
        for gate in self.gates:
            pins = CELL_PINS.get(gate.cell)
            if pins is None:
                raise CircuitError(f"circuit {self.name!r} uses unknown cell {gate.cell!r}; known: {sorted(CELL_PINS)}")
            if (len(gate.inputs), len(gate.outputs)) != pins:
                raise CircuitError(f"{gate.cell} in {self.name!r} has pins {gate.inputs}, {gate.outputs}; needs {pins}")
            self._read(driven, gate.inputs, gate.cell)
            self._drive(driven, gate.outputs, gate.cell)
        for port in self.outputs:
            self._read(driven, port.nets, f"output {port.name!r}")

    def _read(self, driven: set[int], nets: tuple[int, ...], where: str) -> None:
        missing = [net for net in nets if net not in driven]
        if missing:
            raise CircuitError(
                f"{where} of {self.name!r} reads net {missing[0]} before it is driven; reorder the gates"
            )

    def _drive(self, driven: set[int], nets: tuple[int, ...], where: str) -> None:
        for net in nets:
            if net in driven:
                raise CircuitError(f"{where} of {self.name!r} drives net {net} again; every net has one driver")
            driven.add(net)

    def __eq__(self, other: object) -> bool:
        """Compare name and content."""
        return isinstance(other, Circuit) and (self.name, self.key) == (other.name, other.key)

    def __hash__(self) -> int:
        """Hash of name and content."""
        return hash((self.name, self.key))

    def cells(self) -> dict[str, int]:
        """Number of instances of each used cell, sorted by cell name."""
        return dict(sorted(Counter(g.cell for g in self.gates).items()))

    def blocks(self) -> list[str]:
        """Names of the blocks that own gates, sorted."""
        return sorted({g.block for g in self.gates})

    def port(self, name: str) -> Port:
        """Return the port called `name`.

        Raises:
            CircuitError: there is no such port.
        """
        for port in (*self.inputs, *self.outputs):
            if port.name == name:
                return port
        known = ", ".join(p.name for p in (*self.inputs, *self.outputs))
        raise CircuitError(f"circuit {self.name!r} has no port {name!r}; its ports are {known}")

    def tied(self, name: str, values: Mapping[str, int]) -> Circuit:
        """The same gates with some input ports held at constants.

        Args:
            name: of the new circuit.
            values: unsigned, by the name of the port.

        Raises:
            CircuitError: there is no such input port, or a value does not fit it.
        """
        ports = {port.name: port for port in self.inputs}
        unknown = [port for port in values if port not in ports]
        if unknown:
            raise CircuitError(f"circuit {self.name!r} has no input {unknown[0]!r}; its inputs are {', '.join(ports)}")
        inputs = tuple(port for port in self.inputs if port.name not in values)
        ties = (*self.ties, *(Tie(ports[port], value) for port, value in values.items()))
        return Circuit(name, inputs, self.outputs, self.gates, self.source, ties)

    def untied(self) -> Circuit:
        """The same gates with all tied buses as input ports, after the others; the circuit itself without ties."""
        if not self.ties:
            return self
        inputs = (*self.inputs, *(tie.port for tie in self.ties))
        return Circuit(self.name, inputs, self.outputs, self.gates, self.source)

    def tie_values(self) -> dict[str, int]:
        """Values of the tied buses by name, as `tied` takes them."""
        return {tie.port.name: tie.value for tie in self.ties}

    def tied_nets(self) -> Iterator[tuple[int, bool]]:
        """Every tied net and its level."""
        for tie in self.ties:
            for bit, net in enumerate(tie.port.nets):
                yield net, bool(tie.value >> bit & 1)

    def net_count(self) -> int:
        """One more than the largest net number, constants included."""
        nets = [net for port in self.inputs for net in port.nets]
        nets += [net for net, _ in self.tied_nets()]
        nets += [net for gate in self.gates for net in gate.outputs]
        return max(nets, default=ONE) + 1
