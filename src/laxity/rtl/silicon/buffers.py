"""Buffers behind nets that drive many gates.

The mapper sizes nothing, so without them an enable of a whole array would be as slow as one gate that drives hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from laxity.circuits.netlist import ONE, ZERO, Gate
from laxity.rtl.silicon.netlist import Netlist

MOST = 16
"""Gates that one output may drive."""

_Sink = tuple[int, int]
"""A gate, by its place in the netlist, and a pin of it."""


def buffered(netlist: Netlist, most: int = MOST) -> Netlist:
    """Drive gates through trees of buffers wherever a net has more of them than `most`.

    Gates keep their order and their blocks; a buffer belongs to the block of what drives the net, or to the top where
    that is an input or a memory. Flip-flops and memories, whose pins are no load in the cell table, stay at the net.

    Args:
        netlist: a mapped design.
        most: pins of gates that a net may drive; at least 2.
    """
    sinks: dict[int, list[_Sink]] = {}
    for index, gate in enumerate(netlist.gates):
        for pin, net in enumerate(gate.inputs):
            if net not in (ZERO, ONE):
                sinks.setdefault(net, []).append((index, pin))
    driver = {net: index for index, gate in enumerate(netlist.gates) for net in gate.outputs}
    blocks = {f.q: f.block for f in netlist.flip_flops}
    inputs = [list(gate.inputs) for gate in netlist.gates]
    behind: dict[int, list[Gate]] = {}
    following = netlist.logic.net_count()
    for net, several in sinks.items():
        if len(several) <= most:
            continue
        place = driver.get(net, -1)
        block = netlist.gates[place].block if place >= 0 else blocks.get(net, "")
        levels = _levels(len(several), most)
        above = [net]
        for width in levels:
            nets = list(range(following, following + width))
            following += width
            pairs = zip(_spread(above, width), nets, strict=True)
            behind.setdefault(place, []).extend(Gate("BUF", (source,), (own,), block) for source, own in pairs)
            above = nets
        for (index, pin), source in zip(several, _spread(above, len(several)), strict=True):
            inputs[index][pin] = source
    gates = list(behind.get(-1, []))
    for index, gate in enumerate(netlist.gates):
        gates += [replace(gate, inputs=tuple(inputs[index])), *behind.get(index, [])]
    return replace(netlist, gates=tuple(gates))


def _levels(count: int, most: int) -> list[int]:
    """Buffers on each level of a tree that drives `count` pins, the one next to the net first."""
    levels: list[int] = []
    while count > most:
        count = -(-count // most)
        levels.insert(0, count)
    return levels


def _spread(sources: Sequence[int], count: int) -> list[int]:
    """A source for each of `count` pins; neighbours share one, all as evenly as possible."""
    return [sources[k * len(sources) // count] for k in range(count)]
