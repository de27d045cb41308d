"""Faults that no test can tell apart, found by looking at one gate after the other."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np

from laxity.circuits.netlist import CELL_PINS, ONE, ZERO, Circuit, Gate
from laxity.circuits.simulate import CELL_FUNCTIONS
from laxity.circuits.stuck_at.fault import OUTPUT, STEM, Fault, readers

_Line = tuple[int, int, int, int]
"""Net, gate, pin and value, as in `Fault`."""

_NONE: _Line = (ZERO, STEM, 0, 0)
"""The line of no fault: constant 0 stuck at 0."""

HARMLESS = -1
"""Class of faults that gates show to change nothing."""


def collapse(circuit: Circuit, faults: Sequence[Fault]) -> list[int]:
    """Classes of equivalent faults: those of a class make the same circuit of different gates.

    Two faults at one gate are equivalent where the gate computes the same function with either, for example an input of
    an AND stuck at 0 and its output stuck at 0. Chains of such pairs make classes. Faults can be equivalent without
    being found here, because functions are compared gate by gate, with tied lines and constants as the only knowledge
    of what inputs carry.

    Returns:
        For each fault the position of the first of its class; `HARMLESS` where the gate computes what it ought to.

    Source: M. Abramovici, M. A. Breuer, A. D. Friedman, "Digital systems testing and testable design", 1990, section
        4.5 (fault equivalence and collapsing).
    """
    parent: dict[_Line, _Line] = {}
    count = readers(circuit)
    known = {ZERO: False, ONE: True, **dict(circuit.tied_nets())}
    for index, gate in enumerate(circuit.gates):
        groups: dict[bytes, _Line] = {_function(gate.cell, _levels(gate, known)): _NONE}
        for line, behaviour in _behaviours(index, gate, known, count):
            _join(parent, line, groups.setdefault(behaviour, line))
    for net, level in known.items():
        _join(parent, (net, STEM, 0, int(level)), _NONE)
    for net in {fault.net for fault in faults if fault.gate == STEM and not count[fault.net]}:
        _join(parent, (net, STEM, 0, 0), _NONE)
        _join(parent, (net, STEM, 0, 1), _NONE)
    first: dict[_Line, int] = {_root(parent, _NONE): HARMLESS}
    return [first.setdefault(_root(parent, _line(f, count, known)), place) for place, f in enumerate(faults)]


def _line(fault: Fault, count: Counter[int], known: dict[int, bool]) -> _Line:
    """The line of a fault; pins at lines of a known level that are stuck at it are harmless."""
    if fault.gate != STEM and known.get(fault.net) == bool(fault.value):
        return _NONE
    if fault.gate == OUTPUT:
        return fault.net, OUTPUT, fault.pin, fault.value
    return _pin_line(fault.net, fault.gate, fault.pin, fault.value, count)


def _pin_line(net: int, gate: int, pin: int, value: int, count: Counter[int]) -> _Line:
    """A pin that alone reads its net is the net."""
    return (net, STEM, 0, value) if gate == STEM or (count[net] == 1 and net > ONE) else (net, gate, pin, value)


def _behaviours(index: int, gate: Gate, known: dict[int, bool], count: Counter[int]) -> list[tuple[_Line, bytes]]:
    """Lines at a gate and what the gate computes with each of them stuck."""
    levels, found = _levels(gate, known), []
    for value in (0, 1):
        for pin, net in enumerate(gate.inputs):
            found.append((_pin_line(net, index, pin, value, count), _function(gate.cell, levels, pin, -1, value)))
        for place, net in enumerate(gate.outputs):
            found.append(((net, STEM, 0, value), _function(gate.cell, levels, -1, place, value)))
    return found


def _levels(gate: Gate, known: dict[int, bool]) -> tuple[bool | None, ...]:
    return tuple(known.get(net) for net in gate.inputs)


@cache
def _function(cell: str, levels: tuple[bool | None, ...], pin: int = -1, output: int = -1, value: int = 0) -> bytes:
    """Outputs of a cell for all inputs that can occur, with an input pin or an output stuck.

    Args:
        cell: its name.
        levels: what pins carry always, None where both levels can occur.
        pin: the stuck input, or -1.
        output: the stuck output, or -1.
        value: at which it is stuck.
    """
    rows = np.array(list(itertools.product((0, 1), repeat=CELL_PINS[cell][0])), dtype=np.uint64).T.copy()
    possible = np.ones(rows.shape[1], dtype=bool)
    for row, level in zip(rows, levels, strict=True):
        if level is not None:
            possible &= row == level
    rows = rows[:, possible]
    if pin >= 0:
        rows[pin] = value
    outputs = np.stack(CELL_FUNCTIONS[cell](*rows)) & np.uint64(1)
    if output >= 0:
        outputs[output] = value
    return outputs.tobytes()


def _root(parent: dict[_Line, _Line], line: _Line) -> _Line:
    while (above := parent.get(line, line)) != line:
        parent[line] = parent.get(above, above)
        line = above
    return line


def _join(parent: dict[_Line, _Line], line: _Line, other: _Line) -> None:
    first, second = _root(parent, line), _root(parent, other)
    if first != second:
        parent[first] = second
