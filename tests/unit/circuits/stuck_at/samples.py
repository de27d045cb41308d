"""Circuits of small random gates, and a naive evaluation of faults to compare with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from laxity.circuits import Circuit, Gate, Port
from laxity.circuits.netlist import CELL_PINS, ONE, ZERO
from laxity.circuits.stuck_at import Fault
from laxity.circuits.stuck_at.fault import OUTPUT, STEM

Levels = np.ndarray

TRUTH: dict[str, Callable[..., tuple[Levels, ...]]] = {
    "INV": lambda a: (1 - a,),
    "BUF": lambda a: (a,),
    "AND2": lambda a, b: (a * b,),
    "OR2": lambda a, b: (np.maximum(a, b),),
    "NAND2": lambda a, b: (1 - a * b,),
    "NAND3": lambda a, b, c: (1 - a * b * c,),
    "NOR2": lambda a, b: (1 - np.maximum(a, b),),
    "NOR3": lambda a, b, c: ((a + b + c == 0) * 1,),
    "XOR2": lambda a, b: ((a != b) * 1,),
    "XNOR2": lambda a, b: ((a == b) * 1,),
    "AOI21": lambda a, b, c: (1 - np.maximum(a * b, c),),
    "AOI22": lambda a, b, c, d: (1 - np.maximum(a * b, c * d),),
    "OAI21": lambda a, b, c: (1 - np.maximum(a, b) * c,),
    "MUX2": lambda s, x, y: (1 - np.where(s == 1, y, x),),
    "HA": lambda a, b: ((a + b) % 2, (a + b) // 2),
    "FA": lambda a, b, c: ((a + b + c) % 2, (a + b + c) // 2),
}
"""What cells compute, in arithmetic of 0 and 1."""


def naive_table(circuit: Circuit, fault: Fault | None) -> Levels:
    """All results, those of a = 0 first: every gate with one integer for each pair, and with a line stuck."""
    a, b = (code.ravel() for code in np.indices([1 << circuit.port(name).width for name in "ab"]))
    level = {ZERO: a * 0, ONE: a * 0 + 1, **{net: a * 0 + int(value) for net, value in circuit.tied_nets()}}
    for port, codes in (("a", a), ("b", b)):
        level.update({net: codes // 2**bit % 2 for bit, net in enumerate(circuit.port(port).nets)})
    stem = fault.net if fault is not None and fault.gate == STEM else None
    stuck = a * 0 + (fault.value if fault is not None else 0)
    if stem in level:
        level[stem] = stuck
    for index, gate in enumerate(circuit.gates):
        pins = [level[net] for net in gate.inputs]
        if fault is not None and fault.gate == index:
            pins[fault.pin] = stuck
        for net, value in zip(gate.outputs, TRUTH[gate.cell](*pins), strict=True):
            level[net] = stuck if net == stem else value
    bits = [level[net] for net in circuit.outputs[0].nets]
    if fault is not None and fault.gate == OUTPUT:
        bits[fault.pin] = stuck
    return sum((bit << place for place, bit in enumerate(bits)), start=a * 0)


@st.composite
def random_circuits(draw: st.DrawFn) -> Circuit:
    """Netlists of up to 16 gates of any cells, with constants, repeated pins, dead gates and outputs in common."""
    widths = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    a, b = tuple(range(2, 2 + widths[0])), tuple(range(2 + widths[0], 2 + sum(widths)))
    gates, nets = [], [ZERO, ONE, *a, *b]
    for _ in range(draw(st.integers(1, 16))):
        cell = draw(st.sampled_from(sorted(CELL_PINS)))
        pins, outputs = CELL_PINS[cell]
        inputs = tuple(draw(st.sampled_from(nets)) for _ in range(pins))
        made = tuple(range(len(nets), len(nets) + outputs))
        gates.append(Gate(cell, inputs, made, "core"))
        nets += made
    outputs = tuple(draw(st.sampled_from(nets)) for _ in range(draw(st.integers(1, 5))))
    return Circuit("random", (Port("a", a), Port("b", b)), (Port("p", outputs),), tuple(gates), "hypothesis")
