"""Netlists of look-up tables, as FPGA synthesis makes them: evaluated bit-parallel, and their switching."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.netlist import ONE, ZERO, Circuit
from laxity.circuits.simulate import Words, pack
from laxity.circuits.synthesis.module import Instance, Module
from laxity.circuits.synthesis.operands import Streams

_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Lut:
    """One look-up table.

    Attributes:
        inputs: nets; input j is bit j of the row.
        table: bit i is the output in row i.
        output: net.
    """

    inputs: tuple[int, ...]
    table: int
    output: int


@dataclass(frozen=True, slots=True)
class LutNetlist:
    """Look-up tables in topological order between named ports.

    Attributes:
        inputs: nets of each input port.
        outputs: nets of each output port.
        luts: the tables.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    luts: tuple[Lut, ...]

    def settle(self, planes: Mapping[str, Words]) -> dict[int, Words]:
        """Words of every net from bit planes (width, words) at each input port."""
        words = next(iter(planes.values())).shape[1]
        zeros = np.zeros(words, dtype=np.uint64)
        nets: dict[int, Words] = {ZERO: zeros, ONE: ~zeros}
        for name, several in self.inputs.items():
            nets.update(zip(several, planes[name], strict=True))
        for lut in self.luts:
            nets[lut.output] = _look_up(lut.table, [nets[net] for net in lut.inputs], nets[ZERO], nets[ONE])
        return nets

    def evaluate(self, planes: Mapping[str, Words]) -> dict[str, Sequence[Words]]:
        """Bit planes of the output ports."""
        nets = self.settle(planes)
        return {name: [nets[net] for net in several] for name, several in self.outputs.items()}

    def energy_index(self, circuit: Circuit, streams: Streams) -> float:
        """Mean over transitions of the sum over tables of toggles x (1 + fan-out), settled values only.

        It compares circuits on one device family; it is no energy, and 1 stands for no number of joules.

        Args:
            circuit: has the ports of this netlist.
            streams: operands, as for `switching_energy`.
        """
        fan_out = dict.fromkeys((lut.output for lut in self.luts), 0)
        for lut in self.luts:
            for net in set(lut.inputs):
                if net in fan_out:
                    fan_out[net] += 1
        total, transitions = 0, 0
        arrays = {port.name: np.asarray(streams[port.name], dtype=np.int64) for port in circuit.inputs}
        before = {name: array[:, :-1].ravel() for name, array in arrays.items()}
        after = {name: array[:, 1:].ravel() for name, array in arrays.items()}
        transitions = next(iter(before.values())).size
        for start in range(0, transitions, _CHUNK):
            part = slice(start, start + _CHUNK)
            old, new = (
                self.settle({port.name: pack(side[port.name][part], port.width) for port in circuit.inputs})
                for side in (before, after)
            )
            total += sum(
                int(np.bitwise_count(old[net] ^ new[net]).sum()) * (1 + readers) for net, readers in fan_out.items()
            )
        return total / transitions


def _look_up(table: int, inputs: Sequence[Words], zeros: Words, ones: Words) -> Words:
    """Shannon expansion: the last input chooses between the halves of the table."""
    rows = 1 << len(inputs)
    full = (1 << rows) - 1
    if table & full == 0:
        return zeros
    if table & full == full:
        return ones
    half = rows // 2
    low, high = table & ((1 << half) - 1), table >> half & ((1 << half) - 1)
    if low == high:
        return _look_up(low, inputs[:-1], zeros, ones)
    choose = inputs[-1]
    below, above = (_look_up(part, inputs[:-1], zeros, ones) for part in (low, high))
    return below ^ (choose & (below ^ above))


def to_luts(module: Module, circuit: Circuit, lut_of: Callable[[Instance], Lut]) -> LutNetlist:
    """The netlist of an ordered module with ports i0, i1, ... and o0, o1, ..., which get the names of `circuit`."""
    return LutNetlist(
        {port.name: module.inputs.get(f"i{k}", ()) for k, port in enumerate(circuit.inputs)},
        {port.name: module.outputs.get(f"o{k}", ()) for k, port in enumerate(circuit.outputs)},
        tuple(lut_of(cell) for cell in module.instances),
    )
