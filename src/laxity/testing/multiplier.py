"""Conformance check for multipliers: what every one must satisfy, whoever wrote its family."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator

import numpy as np

from laxity.circuits import catalogue
from laxity.circuits.activity import switching_energy
from laxity.circuits.cells import default_library
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import evaluate, product_table
from laxity.circuits.timing import delay_ns
from laxity.circuits.verilog import to_verilog
from laxity.core.errors import CircuitError, LaxityError
from laxity.core.seeds import stream

_PAIRS = 512
_SEGMENTS, _STEPS = 8, 17


def check_multiplier(multiplier: Multiplier | str) -> None:
    """Check that a multiplier behaves as laxity relies on.

    Products fit the width of both operands together, and are whole and finite in every metric. Where there is a
    netlist: its ports are a, b and p; each product of the table is what the gates compute; area, delay and switching
    energy are finite and positive; the Verilog is the same every time; the catalogue builds the same multiplier again
    from the name alone; and if it is unsigned, its product of the largest magnitudes fits the signed version.

    Args:
        multiplier: the multiplier, or a catalogue name such as ``"drum8_4"``.

    Raises:
        CircuitError: lists every property that does not hold.
        RegistryError: the name is unknown.
    """
    subject = catalogue.get(multiplier) if isinstance(multiplier, str) else multiplier
    problems = [*_name_problems(subject), *_table_problems(subject)]
    if subject.circuit is not None:
        problems += _port_problems(subject, subject.circuit) or [
            *_agreement_problems(subject, subject.circuit),
            *_hardware_problems(subject.circuit),
            *_catalogue_problems(subject, subject.circuit),
        ]
    if problems:
        listed = "".join(f"\n- {problem}" for problem in problems)
        raise CircuitError(f"multiplier {subject.name!r} does not conform:{listed}")


def _name_problems(multiplier: Multiplier) -> Iterator[str]:
    if not (multiplier.name.isidentifier() and multiplier.name.isascii()):
        yield f"name {multiplier.name!r} is no identifier; it becomes the name of a Verilog module"
    if not multiplier.family.strip():
        yield "family is empty"
    if multiplier.circuit is not None and not multiplier.circuit.source.strip():
        yield "the source of the circuit is empty; say who published it"


def _table_problems(multiplier: Multiplier) -> Iterator[str]:
    bits = multiplier.a_bits + multiplier.b_bits
    signed = multiplier.a_signed or multiplier.b_signed
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    smallest, largest = int(multiplier.table.min()), int(multiplier.table.max())
    if smallest < low or largest > high:
        yield f"products from {smallest} to {largest} do not fit {bits} bits ({low} to {high})"
    metrics = dataclasses.asdict(multiplier.metrics())
    wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
    if wrong:
        yield f"error metrics are not finite: {', '.join(wrong)}"
    exact = bool(np.array_equal(multiplier.table, multiplier.exact_table()))
    if exact != (metrics["ep"] == 0):
        yield f"error probability is {metrics['ep']} although the table {'equals' if exact else 'differs from'} a * b"


def _port_problems(multiplier: Multiplier, circuit: Circuit) -> list[str]:
    inputs = {p.name: p.width for p in circuit.inputs}
    outputs = {p.name: p.width for p in circuit.outputs}
    found = []
    if inputs != {"a": multiplier.a_bits, "b": multiplier.b_bits}:
        found.append(f"input ports must be a ({multiplier.a_bits} bits) and b ({multiplier.b_bits} bits), not {inputs}")
    wanted = {"p": multiplier.a_bits + multiplier.b_bits}
    if outputs != wanted:
        found.append(f"the output port must be p ({wanted['p']} bits), not {outputs}")
    return found


def _agreement_problems(multiplier: Multiplier, circuit: Circuit) -> Iterator[str]:
    """The table against the netlist: all pairs at once, and random pairs one vector at a time."""
    bits = multiplier.a_bits + multiplier.b_bits
    wanted = multiplier.table & ((1 << bits) - 1)
    different = int(np.count_nonzero(product_table(circuit) != wanted))
    if different:
        yield f"{different} of {wanted.size} products of the table are not what the netlist computes"
        return
    rng = stream(0, "check_multiplier", multiplier.table_sha256)
    a = rng.integers(0, 1 << multiplier.a_bits, _PAIRS)
    b = rng.integers(0, 1 << multiplier.b_bits, _PAIRS)
    if not np.array_equal(evaluate(circuit, {"a": a, "b": b})["p"], wanted[a, b]):
        yield "random operand pairs give other products than the exhaustive simulation"


def _hardware_problems(circuit: Circuit) -> Iterator[str]:
    library = default_library()
    rng = stream(0, "check_multiplier", circuit.key)
    streams = {p.name: rng.integers(0, 1 << p.width, (_SEGMENTS, _STEPS)) for p in circuit.inputs}
    figures = {
        "area_um2": library.area_um2(circuit),
        "delay_ns": delay_ns(circuit, library),
        "energy_pj per random product": switching_energy(circuit, streams, library).energy_pj,
    }
    for name, value in figures.items():
        if not (math.isfinite(value) and value > 0):
            yield f"{name} is {value}; it must be finite and positive"
    if to_verilog(circuit) != to_verilog(circuit):
        yield "the Verilog differs from one call to the next"


def _catalogue_problems(multiplier: Multiplier, circuit: Circuit) -> Iterator[str]:
    try:
        again = catalogue.get(multiplier.name)
        again_described = catalogue.describe(multiplier.name)
    except LaxityError as error:
        yield f"the catalogue cannot build it from its name: {error}"
        return
    if again != multiplier or again.circuit != circuit:
        yield "the catalogue builds another table or netlist under this name"
    try:
        json.dumps(again_described, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"its description has no JSON form: {error}"
    if multiplier.a_signed or multiplier.b_signed:
        return
    top = int(multiplier.table[1 << (multiplier.a_bits - 1), 1 << (multiplier.b_bits - 1)])
    if top >= 1 << (multiplier.a_bits + multiplier.b_bits - 1):
        yield f"the product of the largest magnitudes, {top}, overflows the signed version"
