"""A mapped design with state: gates between flip-flops and memories, all on one clock.

The gates are one combinational `Circuit`, so that area, delays, loads and switching are those of `laxity.circuits`. Its
inputs are the ports of the design, then `FLIP_FLOPS` (what they hold) and `MEMORIES` (the words that were read); its
outputs are the ports, then `NEXT` (what the flip-flops take) and `PINS` (all inputs of memories).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from laxity.circuits.netlist import Circuit, Gate, Port
from laxity.core.errors import CircuitError

FLIP_FLOPS, MEMORIES, NEXT, PINS = "flip_flops", "memories", "flip_flops_next", "memory_pins"
"""Ports of the combinational part that are none of the design."""

Nets = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlipFlop:
    """A plain flip-flop of the rising edge.

    Attributes:
        d, q: nets of input and output.
        name: of the register bit that it is, with its place in the hierarchy.
        block: instance that it belongs to.
    """

    d: int
    q: int
    name: str
    block: str


@dataclass(frozen=True, slots=True)
class WritePort:
    """A write port.

    Attributes:
        enable: a net for each bit of a word.
        address, data: nets, least significant first.
    """

    enable: Nets
    address: Nets
    data: Nets


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory whose words come one cycle after their address, as they were before what is written at that edge.

    Attributes:
        name: with its place in the hierarchy.
        words, bits: size.
        address, data: nets of the read port.
        writes: write ports; of several that meet in a bit, the last one wins.
        contents: words at the start; None if nothing is said about them.
    """

    name: str
    words: int
    bits: int
    address: Nets
    data: Nets
    writes: tuple[WritePort, ...]
    contents: tuple[int, ...] | None

    @property
    def pins(self) -> Nets:
        """Nets of all inputs."""
        return self.address + tuple(chain.from_iterable(w.enable + w.address + w.data for w in self.writes))

    def check(self) -> None:
        """Check that sizes fit.

        Raises:
            CircuitError: a port does not fit the size, or contents do not.
        """
        widths = [len(self.data), *(len(nets) for w in self.writes for nets in (w.enable, w.data))]
        if self.words < 1 or self.bits < 1 or any(width != self.bits for width in widths):
            raise CircuitError(f"memory {self.name!r} of {self.words} x {self.bits} bits has ports of {widths} bits")
        if any(len(write.address) != len(self.address) for write in self.writes):
            raise CircuitError(f"memory {self.name!r} has addresses of different widths for reading and writing")
        if self.contents is not None and (
            len(self.contents) != self.words or not all(0 <= word < 1 << self.bits for word in self.contents)
        ):
            raise CircuitError(f"memory {self.name!r} has contents that do not fit {self.words} x {self.bits} bits")


@dataclass(frozen=True, slots=True, eq=False)
class Netlist:
    """A design on one clock.

    Attributes:
        name: an identifier.
        inputs: ports without the clock.
        outputs: ports.
        flip_flops: all state bits outside of memories.
        memories: all memories.
        gates: in topological order; the block of a gate is the instance that it belongs to, empty for the top.
        logic: gates as a combinational circuit, see the head of this module.

    Raises:
        CircuitError: a net is driven twice or not at all, gates are not in order, or a memory is not consistent.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    flip_flops: tuple[FlipFlop, ...]
    memories: tuple[Memory, ...]
    gates: tuple[Gate, ...]
    logic: Circuit = field(init=False)

    def __post_init__(self) -> None:
        """Check the structure and make the combinational part."""
        for memory in self.memories:
            memory.check()
        sources = {FLIP_FLOPS: [f.q for f in self.flip_flops], MEMORIES: _joined(m.data for m in self.memories)}
        sinks = {NEXT: [f.d for f in self.flip_flops], PINS: _joined(m.pins for m in self.memories)}
        made = Circuit(
            self.name, (*self.inputs, *_ports(sources)), (*self.outputs, *_ports(sinks)), self.gates, "mapped by yosys"
        )
        object.__setattr__(self, "logic", made)


def _joined(several: Iterable[Nets]) -> list[int]:
    return list(chain.from_iterable(several))


def _ports(nets: Mapping[str, Sequence[int]]) -> list[Port]:
    """Ports by name; those without nets are left out."""
    return [Port(name, tuple(several)) for name, several in nets.items() if several]
