"""One way to the error metrics of whatever computes products or sums."""

from __future__ import annotations

from laxity.circuits import adder_catalogue, catalogue, shelf
from laxity.circuits.adder import Adder
from laxity.circuits.assess import SAMPLING, Sampling, assess
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.error_sums import IntArray
from laxity.circuits.metrics import ErrorMetrics
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit
from laxity.circuits.subject import Subject, function_subject, netlist_subject, table_subject
from laxity.circuits.wide import ComposedMultiplier, WideMultiplier
from laxity.core.errors import CircuitError

Arithmetic = str | Circuit | Multiplier | Adder | WideMultiplier | ComposedMultiplier
"""What has error metrics: a name of either catalogue, a netlist, a table, an adder, a closed form, a composition."""


def errors_of(
    thing: Arithmetic,
    operands: Operands = UNIFORM,
    sampling: Sampling = SAMPLING,
    *,
    a_bits: int | None = None,
    b_bits: int | None = None,
) -> ErrorMetrics:
    """Error metrics of a multiplier or adder in any form.

    Args:
        thing: a catalogue name such as ``"drum12_6"`` or ``"loa16_4"``, a netlist with inputs a and b and output p or
            s (unsigned), or one of the classes.
        operands: distribution of the operands by code.
        sampling: when and how operand pairs are sampled.
        a_bits: width of operand a, of composed products only.
        b_bits: width of operand b, likewise.

    Raises:
        RegistryError, CircuitError: as `subject_of` and `assess`.
    """
    return assess(subject_of(thing, a_bits=a_bits, b_bits=b_bits), operands, sampling)


def subject_of(thing: Arithmetic, *, a_bits: int | None = None, b_bits: int | None = None) -> Subject:
    """The function of operand codes whose errors are looked at.

    Raises:
        RegistryError: a name is unknown.
        CircuitError: other ports than those of a multiplier or adder, or a composition without widths.
    """
    if isinstance(thing, ComposedMultiplier):
        return _composed(thing, a_bits, b_bits)
    if a_bits is not None or b_bits is not None:
        raise CircuitError("widths are given for composed multipliers only; other circuits have their own")
    if isinstance(thing, str):
        return _named(thing)
    if isinstance(thing, Circuit):
        return netlist_subject(thing)
    if isinstance(thing, Adder):
        return netlist_subject(thing.circuit)
    if isinstance(thing, WideMultiplier):
        return function_subject(thing.name, thing.width, thing.width, thing.product)
    return table_subject(thing.name, thing.table, a_signed=thing.a_signed, b_signed=thing.b_signed)


def _named(name: str) -> Subject:
    if adder_catalogue.known(name):
        return netlist_subject(adder_catalogue.circuit(name))
    brought = shelf.find(name)
    if brought is not None:
        return subject_of(brought)
    return netlist_subject(catalogue.circuit(name), signed=catalogue.is_signed(name))


def _composed(composed: ComposedMultiplier, a_bits: int | None, b_bits: int | None) -> Subject:
    if a_bits is None or b_bits is None:
        raise CircuitError(f"products composed of {composed.name!r} have any width; give a_bits and b_bits")
    part = composed.part
    rows, columns = composed.pieces(a_bits, b_bits)

    def product(a: IntArray, b: IntArray) -> IntArray:
        return sum(
            (
                part.table[a >> i * part.a_bits & (1 << part.a_bits) - 1, b >> j * part.b_bits & (1 << part.b_bits) - 1]
                << (i * part.a_bits + j * part.b_bits)
                for i in range(rows)
                for j in range(columns)
            ),
            start=a * 0,
        )

    return function_subject(composed.name, a_bits, b_bits, product)
