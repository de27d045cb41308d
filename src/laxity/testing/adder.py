"""Conformance check for adders: what every one must satisfy, whoever wrote its family."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np

from laxity.circuits import accumulator_stage, adder_catalogue
from laxity.circuits.activity import switching_energy
from laxity.circuits.adder import Adder
from laxity.circuits.cells import default_library
from laxity.circuits.simulate import evaluate
from laxity.circuits.timing import delay_ns
from laxity.circuits.verilog import to_verilog
from laxity.core.errors import CircuitError, LaxityError
from laxity.core.seeds import stream

_PAIRS = 4096
_SEGMENTS, _STEPS = 8, 17


def check_adder(adder: Adder | str) -> None:
    """Check that an adder behaves as laxity relies on.

    The name is an identifier and the source is given; one that says it is exact is, over all pairs of narrow operands
    or a sample of wide ones; error metrics are finite and come out the same twice; area, delay and switching energy are
    finite and positive; the Verilog is the same every time; an accumulator can be built around it, with wrap-around and
    with saturation, which leaves sums alone that do not change sign against both operands; and the catalogue builds
    the same adder again from the name alone.

    Args:
        adder: the adder, or a catalogue name such as ``"loa16_4"``.

    Raises:
        CircuitError: lists every property that does not hold.
        RegistryError: the name is unknown.
    """
    subject = adder_catalogue.get(adder) if isinstance(adder, str) else adder
    problems = [
        *_name_problems(subject),
        *_sum_problems(subject),
        *_stage_problems(subject),
        *_hardware_problems(subject),
        *_catalogue_problems(subject),
    ]
    if problems:
        listed = "".join(f"\n- {problem}" for problem in problems)
        raise CircuitError(f"adder {subject.name!r} does not conform:{listed}")


def _name_problems(adder: Adder) -> Iterator[str]:
    if not (adder.name.isidentifier() and adder.name.isascii()):
        yield f"name {adder.name!r} is no identifier; it becomes the name of a Verilog module"
    if not adder.family.strip():
        yield "family is empty"
    if not adder.circuit.source.strip():
        yield "the source of the circuit is empty; say who published it"


def _sum_problems(adder: Adder) -> Iterator[str]:
    errors = adder.errors()
    figures = {name: getattr(errors, name) for name in ("ep", "med", "mred", "max_red", "nmed", "mse", "bias")}
    wrong = [name for name, value in figures.items() if not math.isfinite(value)]
    if wrong:
        yield f"error metrics are not finite: {', '.join(wrong)}"
    if errors != adder.errors():
        yield "error metrics differ from one call to the next"
    if adder.exact and errors.ep > 0:
        yield f"it says that it is exact, but errs on {100 * errors.ep:.3g} % of the pairs"


def _stage_problems(adder: Adder) -> Iterator[str]:
    """Saturation: the plain sum where its sign is that of an operand, a limit elsewhere."""
    bits, mask = adder.bits, (1 << adder.bits) - 1
    a, b = stream(0, "check_adder", adder.key).integers(0, 1 << bits, (2, _PAIRS))
    plain = evaluate(accumulator_stage(adder), {"a": a, "b": b})["s"]
    if not np.array_equal(plain, adder.add(a, b) & mask):
        yield "an accumulator that wraps does not keep the low bits of its sum"
    top = bits - 1
    over = ((a >> top) == (b >> top)) & ((plain >> top) != (a >> top))
    limit = np.where(a >> top, 1 << top, mask >> 1)
    if not np.array_equal(
        evaluate(accumulator_stage(adder, "saturate"), {"a": a, "b": b})["s"], np.where(over, limit, plain)
    ):
        yield "an accumulator that saturates does not end at its limits"


def _hardware_problems(adder: Adder) -> Iterator[str]:
    library, circuit = default_library(), adder.circuit
    rng = stream(0, "check_adder", circuit.key, "switching")
    streams = {p.name: rng.integers(0, 1 << p.width, (_SEGMENTS, _STEPS)) for p in circuit.inputs}
    figures = {
        "area_um2": library.area_um2(circuit),
        "delay_ns": delay_ns(circuit, library),
        "energy_pj per random sum": switching_energy(circuit, streams, library).energy_pj,
    }
    for name, value in figures.items():
        if not (math.isfinite(value) and value > 0):
            yield f"{name} is {value}; it must be finite and positive"
    if to_verilog(circuit) != to_verilog(circuit):
        yield "the Verilog differs from one call to the next"


def _catalogue_problems(adder: Adder) -> Iterator[str]:
    try:
        again = adder_catalogue.get(adder.name)
        described = adder_catalogue.describe(adder.name)
    except LaxityError as error:
        yield f"the catalogue cannot build it from its name: {error}"
        return
    if again != adder or again.exact != adder.exact:
        yield "the catalogue builds another netlist under this name"
    try:
        json.dumps(described, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"its description has no JSON form: {error}"
