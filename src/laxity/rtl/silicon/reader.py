"""From what Yosys wrote, or what was kept of it, to a `Netlist`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from laxity.circuits.netlist import ONE, ZERO, Gate, Port
from laxity.circuits.synthesis.mapping import CONSTANT_CELLS, outputs_of, pins_of
from laxity.circuits.synthesis.module import Instance, Module, module_of, ordered
from laxity.core.errors import CircuitError
from laxity.eda.run import ToolRunError
from laxity.eda.yosys import read_netlist
from laxity.rtl.silicon.netlist import FlipFlop, Memory, Netlist, WritePort

FLIP_FLOP, MEMORY = "$_DFF_P_", "$mem_v2"
"""Cells with state that the flow leaves."""

CLOCK = "clk"
"""The only clock; a port of the design."""

_SEQUENTIAL = {FLIP_FLOP: ("Q",), MEMORY: ("RD_DATA",)}
_STATE = "state"


def read_mapped(content: bytes, top: str) -> Netlist:
    """Read the flat module that ``write_json`` wrote.

    Raises:
        ToolRunError: it is not what the flow leaves: unknown cells, another clock, memories with other ports, or nets
            that do not fit together.
    """
    document = read_netlist(content)
    module = module_of(document, top, _outputs)
    clock = module.inputs.get(CLOCK, ())
    state = tuple(cell for cell in module.instances if cell.type in _SEQUENTIAL)
    for cell in state:
        _check_clock(cell, clock)
    driven = tuple(net for cell in state for net in cell.pins[_SEQUENTIAL[cell.type][0]])
    inputs = {name: nets for name, nets in module.inputs.items() if name != CLOCK}
    gates = tuple(cell for cell in module.instances if cell.type not in _SEQUENTIAL)
    logic = ordered(Module({**inputs, _STATE: driven}, module.outputs, gates))
    try:
        return _Numbers(_names(document, top)).netlist(top, inputs, logic, state)
    except (CircuitError, KeyError) as error:
        raise ToolRunError(f"the netlist of yosys is no design: {error}") from error


def to_document(netlist: Netlist) -> dict[str, Any]:
    """The netlist as JSON values."""
    named = [*(g.block for g in netlist.gates), *(f.block for f in netlist.flip_flops)]
    blocks = {name: k for k, name in enumerate(dict.fromkeys(named))}
    return {
        "name": netlist.name,
        "inputs": [[p.name, list(p.nets)] for p in netlist.inputs],
        "outputs": [[p.name, list(p.nets)] for p in netlist.outputs],
        "blocks": list(blocks),
        "flip_flops": [[f.d, f.q, f.name, blocks[f.block]] for f in netlist.flip_flops],
        "memories": [_memory_document(memory) for memory in netlist.memories],
        "gates": [[g.cell, list(g.inputs), list(g.outputs), blocks[g.block]] for g in netlist.gates],
    }


def from_document(document: Mapping[str, Any]) -> Netlist:
    """The netlist of `to_document`.

    Raises:
        CircuitError: it is not consistent.
        KeyError, TypeError, ValueError, IndexError: it is no such document.
    """
    blocks = document["blocks"]
    return Netlist(
        document["name"],
        tuple(Port(name, tuple(nets)) for name, nets in document["inputs"]),
        tuple(Port(name, tuple(nets)) for name, nets in document["outputs"]),
        tuple(FlipFlop(d, q, name, blocks[block]) for d, q, name, block in document["flip_flops"]),
        tuple(_memory_of(part) for part in document["memories"]),
        tuple(Gate(cell, tuple(ins), tuple(outs), blocks[block]) for cell, ins, outs, block in document["gates"]),
    )


def _memory_document(memory: Memory) -> list[Any]:
    ports = [[list(nets) for nets in (w.enable, w.address, w.data)] for w in memory.writes]
    contents = None if memory.contents is None else [f"{word:x}" for word in memory.contents]
    return [memory.name, memory.words, memory.bits, list(memory.address), list(memory.data), ports, contents]


def _memory_of(part: list[Any]) -> Memory:
    name, words, bits, address, data, ports, contents = part
    writes = tuple(WritePort(*(tuple(nets) for nets in port)) for port in ports)
    known = None if contents is None else tuple(int(word, 16) for word in contents)
    return Memory(name, words, bits, tuple(address), tuple(data), writes, known)


def _outputs(cell: str) -> tuple[str, ...]:
    return _SEQUENTIAL[cell] if cell in _SEQUENTIAL else outputs_of(cell)


def _check_clock(cell: Instance, clock: tuple[int, ...]) -> None:
    """Everything with state takes the rising edge of the one clock, and memories are of the kind that is simulated."""
    pins = ["C"] if cell.type == FLIP_FLOP else ["RD_CLK", "WR_CLK"]
    wrong = len(clock) != 1 or any(net not in clock for pin in pins for net in cell.pins[pin])
    if cell.type == MEMORY:
        ports = cell.bits("WR_PORTS")
        wrong = wrong or (cell.bits("RD_PORTS"), cell.bits("RD_CLK_ENABLE"), cell.bits("RD_CLK_POLARITY")) != (1, 1, 1)
        wrong = wrong or any(cell.bits(f"WR_CLK_{what}") != (1 << ports) - 1 for what in ("ENABLE", "POLARITY"))
        wrong = wrong or cell.bits("OFFSET") != 0 or cell.bits("RD_TRANSPARENCY_MASK") != 0
        wrong = wrong or cell.pins["RD_EN"] != (ONE,) or cell.pins["RD_ARST"] != (ZERO,)
        wrong = wrong or cell.pins["RD_SRST"] != (ZERO,)
    if wrong:
        raise ToolRunError(
            f"{cell.name} in the netlist of yosys is not a flip-flop of the rising edge of {CLOCK}, or not a memory "
            "with one read port that holds what is read for a cycle; only these can be simulated"
        )


def instance_of(cell: str) -> str:
    """Place in the hierarchy of a cell that Yosys named while flattening; empty for the top."""
    public = cell.replace("$flatten", "").replace("\\", "").partition("$")[0]
    return public.rstrip(".")


def _names(document: Mapping[str, Any], top: str) -> dict[int, list[str]]:
    """Public names of nets."""
    names: dict[int, list[str]] = {}
    try:
        for name, facts in document["modules"][top]["netnames"].items():
            bits = [] if facts["hide_name"] else facts["bits"]
            for index, bit in enumerate(bits):
                names.setdefault(bit, []).append(f"{name}[{index}]" if len(bits) > 1 else name)
    except (KeyError, TypeError, AttributeError) as error:
        raise ToolRunError(f"yosys wrote net names that cannot be read ({type(error).__name__}: {error})") from error
    return names


class _Numbers:
    """Numbers nets anew, without gaps."""

    def __init__(self, names: Mapping[int, list[str]]) -> None:
        self.names = names
        self.of = {ZERO: ZERO, ONE: ONE}

    def nets(self, several: Iterable[int]) -> tuple[int, ...]:
        return tuple(self.of.setdefault(net, len(self.of)) for net in several)

    def netlist(
        self, name: str, inputs: Mapping[str, tuple[int, ...]], logic: Module, state: tuple[Instance, ...]
    ) -> Netlist:
        for cell in logic.instances:
            if cell.type in CONSTANT_CELLS:
                self.of[cell.net("O")] = CONSTANT_CELLS[cell.type]
        ports = tuple(Port(port, self.nets(nets)) for port, nets in inputs.items())
        gates = tuple(self._gate(cell) for cell in logic.instances if cell.type not in CONSTANT_CELLS)
        return Netlist(
            name,
            ports,
            tuple(Port(port, self.nets(nets)) for port, nets in logic.outputs.items()),
            tuple(self._flip_flop(cell) for cell in state if cell.type == FLIP_FLOP),
            tuple(self._memory(cell) for cell in state if cell.type == MEMORY),
            gates,
        )

    def _gate(self, cell: Instance) -> Gate:
        ins, outs = pins_of(cell.type)
        return Gate(
            cell.type,
            self.nets(cell.net(pin) for pin in ins),
            self.nets(cell.net(pin) for pin in outs),
            instance_of(cell.name),
        )

    def _flip_flop(self, cell: Instance) -> FlipFlop:
        d, q = cell.net("D"), cell.net("Q")
        block = instance_of(cell.name)
        known = self.names.get(q, [])
        name = min(known, key=lambda n: (not n.startswith(block), n.count("."), n), default=f"{block}.{q}")
        d, q = self.nets((d, q))
        return FlipFlop(d, q, name, block)

    def _memory(self, cell: Instance) -> Memory:
        words, bits, depth = cell.bits("SIZE"), cell.bits("WIDTH"), cell.bits("ABITS")
        ports = cell.bits("WR_PORTS")
        pins = {name: self.nets(nets) for name, nets in cell.pins.items()}
        writes = tuple(
            WritePort(
                pins["WR_EN"][k * bits : (k + 1) * bits],
                pins["WR_ADDR"][k * depth : (k + 1) * depth],
                pins["WR_DATA"][k * bits : (k + 1) * bits],
            )
            for k in range(ports)
        )
        name = instance_of(cell.name).removesuffix(".words")
        contents = _contents(cell, words, bits)
        return Memory(name, words, bits, pins["RD_ADDR"], pins["RD_DATA"], writes, contents)


def _contents(cell: Instance, words: int, bits: int) -> tuple[int, ...] | None:
    """What a memory holds at the start; undefined bits of a memory with contents are 0."""
    text = cell.parameters.get("INIT")
    if not isinstance(text, str) or len(text) != words * bits or set(text) - set("01x"):
        raise ToolRunError(f"memory {cell.name} in the netlist of yosys has no contents of {words} x {bits} bits")
    if set(text) == {"x"}:
        return None
    known = text.replace("x", "0")
    return tuple(int(known[len(known) - (k + 1) * bits : len(known) - k * bits], 2) for k in range(words))
