"""Cells, area and leakage of the parts of a mapped accelerator, and its memories."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from laxity.circuits.cells import CellLibrary
from laxity.circuits.netlist import CELL_PINS
from laxity.circuits.sram import MemoryCost, default_sram
from laxity.rtl.silicon.netlist import Netlist

ARRAY, ACCUMULATORS, ENGINE, VECTOR, POST, CONTROL, STREAMS, TOP = (
    "array",
    "accumulators",
    "engine",
    "vector",
    "post",
    "control",
    "streams",
    "top",
)
"""Parts: elements with the registers between them, memory adders, what else the engine has, and so on."""

_PARTS = (
    (r"engine\.array(\.|$)", ARRAY),
    (r"engine(\.|\.\w+\.)accumulators(\.|$)", ACCUMULATORS),
    (r"engine(\.|$)", ENGINE),
    (r"vector_unit\[", VECTOR),
    (r"post(\.|$)", POST),
    (r"(controller|walker)(\.|$)", CONTROL),
    (r"stream_(in|out)(\.|$)", STREAMS),
)


@dataclass(frozen=True, slots=True)
class Part:
    """Logic of one part.

    Attributes:
        name: of the part.
        cells: gates and flip-flops.
        flip_flops: of them, how many are flip-flops.
        area_um2: sum of the cell areas.
        leakage_nw: sum of the leakage powers.
        delay_ns: longest path that ends in a flip-flop of the part.
    """

    name: str
    cells: int
    flip_flops: int
    area_um2: float
    leakage_nw: float
    delay_ns: float


def part_of(block: str) -> str:
    """The part that an instance belongs to."""
    return next((part for pattern, part in _PARTS if re.match(pattern, block)), TOP)


def parts_of(netlist: Netlist, library: CellLibrary, delays_ns: Mapping[str, float]) -> tuple[Part, ...]:
    """Area and leakage by part; parts without cells are left out.

    Args:
        netlist: the design.
        library: figures of its cells.
        delays_ns: longest paths by instance, see `laxity.rtl.silicon.timing.Timing.delays_ns`.
    """
    known = {
        block: part_of(block) for block in {g.block for g in netlist.gates} | {f.block for f in netlist.flip_flops}
    }
    gates: dict[str, Counter[str]] = {}
    for gate in netlist.gates:
        gates.setdefault(known[gate.block], Counter())[gate.cell] += 1
    registers = Counter(known[f.block] for f in netlist.flip_flops)
    names = [part for part in (*dict.fromkeys(p for _, p in _PARTS), TOP) if part in gates or part in registers]
    slowest: dict[str, float] = {}
    for block, delay_ns in delays_ns.items():
        part = known.get(block)
        if part is not None:
            slowest[part] = max(slowest.get(part, 0.0), delay_ns)
    return tuple(
        _part(name, gates.get(name, Counter()), registers[name], library, slowest.get(name, 0.0)) for name in names
    )


def _part(name: str, gates: Counter[str], registers: int, library: CellLibrary, delay_ns: float) -> Part:
    cell, flip_flop = library.cells, library.flip_flop
    area = [gates[kind] * cell[kind].area_um2 for kind in CELL_PINS] + [registers * flip_flop.area_um2]
    leakage = [gates[kind] * cell[kind].leakage_nw for kind in CELL_PINS] + [registers * flip_flop.leakage_nw]
    return Part(name, gates.total() + registers, registers, math.fsum(area), math.fsum(leakage), delay_ns)


def memory_costs(netlist: Netlist, library: CellLibrary) -> tuple[MemoryCost, ...]:
    """Figures of all memories, in the order of the netlist; those that are only read cost as much as others."""
    table = default_sram()
    return tuple(table.cost(memory.words, memory.bits, library) for memory in netlist.memories)
