"""Netlists as straight lines of operations on few registers, for the compiled simulation of accumulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.circuits import Circuit, Gate
from laxity.circuits.netlist import ONE, ZERO

_INPUTS, _OUTPUTS = 4, 2
_NEVER, _END = -1, 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """One step of an accumulator: registers 0 to `bits` - 1 hold the sum, which is replaced by the next one.

    Above them lie `planes` registers of the product, the last of which stands for all upper bits, one of zeros, one of
    ones, and those that the gates need on the way.

    Attributes:
        gates: int32 (gates, 7): number of the cell, four input and two output registers; unused ones are 0.
        bits: width of the sum.
        planes: bits of the product that may differ from its sign.
        registers: number of registers.
    """

    gates: NDArray[np.int32]
    bits: int
    planes: int
    registers: int


def compile_stage(stage: Circuit, planes: int, cells: Sequence[str]) -> Program:
    """Give every net of an accumulator's netlist a register, using registers again once their net is not read any more.

    Args:
        stage: input ports a (sum) and b (product), output port s, of one width.
        planes: bits of the product that may differ from its sign, at most the width.
        cells: names of the cells by number.
    """
    return _Allocation(stage, planes, {name: i for i, name in enumerate(cells)}).program()


class _Allocation:
    def __init__(self, stage: Circuit, planes: int, cells: Mapping[str, int]) -> None:
        self._stage, self._planes, self._cells = stage, planes, cells
        self._sum, self._next = stage.port("a").nets, stage.port("s").nets
        self._bits = len(self._sum)
        first = self._bits + planes
        self._register = {ZERO: first, ONE: first + 1}
        self._register.update({net: i for i, net in enumerate(self._sum)})
        for i, net in enumerate(stage.port("b").nets):
            self._register[net] = self._bits + min(i, planes - 1)
        self._count = first + 2
        self._free: list[int] = []
        self._lines: list[tuple[int, ...]] = []
        self._last = self._last_reads()

    def _last_reads(self) -> dict[int, int]:
        """For every net, the number of the last gate that reads it; bits of the next sum are wanted to the very end."""
        last = {net: i for i, gate in enumerate(self._stage.gates) for net in gate.inputs}
        return last | dict.fromkeys(self._next, _END)

    def program(self) -> Program:
        for number, gate in enumerate(self._stage.gates):
            self._place(number, gate)
        self._copy_rest()
        gates = np.array(self._lines, dtype=np.int32).reshape(-1, 1 + _INPUTS + _OUTPUTS)
        return Program(gates, self._bits, self._planes, self._count)

    def _place(self, number: int, gate: Gate) -> None:
        inputs = [self._register[net] for net in gate.inputs]
        for net in gate.outputs:
            self._register[net] = self._home(net, number)
        outputs = [self._register[net] for net in gate.outputs]
        self._line(gate.cell, inputs, outputs)
        for net in dict.fromkeys((*gate.inputs, *gate.outputs)):
            register = self._register[net]
            if self._last.get(net, _NEVER) <= number and register >= self._bits + self._planes + 2:
                self._free.append(register)

    def _home(self, net: int, number: int) -> int:
        """A bit of the sum goes where it belongs if the bit that lies there has been read for the last time."""
        if self._next.count(net) == 1:
            place = self._next.index(net)
            if self._last.get(self._sum[place], _NEVER) <= number:
                return place
        if self._free:
            return self._free.pop()
        self._count += 1
        return self._count - 1

    def _copy_rest(self) -> None:
        """Bits of the sum that lie elsewhere; sources among the sum's own registers are saved first."""
        moves = [(self._register[net], i) for i, net in enumerate(self._next) if self._register[net] != i]
        saved = {}
        for source in dict.fromkeys(s for s, _ in moves if s < self._bits):
            saved[source] = self._free.pop() if self._free else self._count
            self._count = max(self._count, saved[source] + 1)
            self._line("BUF", [source], [saved[source]])
        for source, place in moves:
            self._line("BUF", [saved.get(source, source)], [place])

    def _line(self, cell: str, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        pins = [*inputs, *[0] * (_INPUTS - len(inputs)), *outputs, *[0] * (_OUTPUTS - len(outputs))]
        self._lines.append((self._cells[cell], *pins))
