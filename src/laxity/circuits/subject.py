"""What error metrics are taken of: a function of two operand codes that ought to multiply or to add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from laxity.circuits.error_sums import IntArray
from laxity.circuits.metrics import operand_values
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import evaluate, exhaustive_planes, settle, unpack
from laxity.core.errors import CircuitError

Operation = Literal["multiply", "add"]
"""What a circuit ought to compute."""

RESULT_PORTS: dict[str, Operation] = {"p": "multiply", "s": "add"}
"""Operation by the name of the output port."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A multiplier or adder as a function of operand codes.

    Attributes:
        name: for messages.
        operation: what it ought to compute.
        a_bits, b_bits: operand widths.
        a_signed, b_signed: operands are two's complement.
        results: from codes of a and b, int64 of one shape, to results as values.
        rows: from a range start, stop of codes of a to the results with all codes of b, int64
            (stop - start, 2**b_bits); start is a multiple of stop - start, a power of two.
    """

    name: str
    operation: Operation
    a_bits: int
    b_bits: int
    a_signed: bool
    b_signed: bool
    results: Callable[[IntArray, IntArray], IntArray]
    rows: Callable[[int, int], IntArray]

    def exact(self, a: IntArray, b: IntArray) -> IntArray:
        """Exact results for codes that broadcast against each other."""
        x, y = _value(a, self.a_bits, self.a_signed), _value(b, self.b_bits, self.b_signed)
        return x * y if self.operation == "multiply" else x + y

    @property
    def normaliser(self) -> int:
        """Largest magnitude of an exact result."""
        a, b = (
            (1 << (bits - 1)) if signed else (1 << bits) - 1
            for bits, signed in ((self.a_bits, self.a_signed), (self.b_bits, self.b_signed))
        )
        return a * b if self.operation == "multiply" else a + b

    def error_at_zero(self) -> int:
        """Largest |e| over all pairs with exact result 0: a zero operand of a product, two zeros of a sum."""
        zero = np.zeros(1, dtype=np.int64)
        if self.operation == "add":
            return int(np.abs(self.results(zero, zero))[0])
        a, b = (np.arange(1 << bits, dtype=np.int64) for bits in (self.a_bits, self.b_bits))
        found = self.results(np.concatenate([a, np.zeros_like(b)]), np.concatenate([np.zeros_like(a), b]))
        return int(np.abs(found).max())


def netlist_subject(circuit: Circuit, *, signed: bool = False) -> Subject:
    """A netlist with inputs a and b, and output p (a multiplier) or s (an adder of unsigned numbers).

    Args:
        circuit: the netlist.
        signed: operands and product are two's complement.

    Raises:
        CircuitError: it has other ports.
    """
    outputs = [port.name for port in circuit.outputs]
    if {port.name for port in circuit.inputs} != {"a", "b"} or len(outputs) != 1 or outputs[0] not in RESULT_PORTS:
        raise CircuitError(
            f"circuit {circuit.name!r} has inputs {[p.name for p in circuit.inputs]} and outputs {outputs}; error "
            "metrics need inputs a and b, and output p (a product) or s (a sum)"
        )
    port = circuit.port(outputs[0])
    a_bits, b_bits = circuit.port("a").width, circuit.port("b").width

    def results(a: IntArray, b: IntArray) -> IntArray:
        return _value(evaluate(circuit, {"a": a, "b": b})[port.name], port.width, signed)

    def rows(start: int, stop: int) -> IntArray:
        low = (stop - start).bit_length() - 1
        counter = exhaustive_planes(low + b_bits)
        constants = np.zeros_like(counter[0]), ~np.zeros_like(counter[0])
        high = [constants[start >> bit & 1] for bit in range(low, a_bits)]
        nets = settle(circuit, {"b": counter[:b_bits], "a": np.stack([*counter[b_bits:], *high])})
        found = unpack([nets[net] for net in port.nets], (stop - start) << b_bits)
        return _value(found, port.width, signed).reshape(stop - start, 1 << b_bits)

    operation = RESULT_PORTS[port.name]
    return Subject(circuit.name, operation, a_bits, b_bits, signed, signed, results, rows)


def table_subject(name: str, table: IntArray, *, a_signed: bool, b_signed: bool) -> Subject:
    """A table of products (2**a_bits, 2**b_bits)."""
    a_bits, b_bits = (side.bit_length() - 1 for side in table.shape)
    return Subject(
        name,
        "multiply",
        a_bits,
        b_bits,
        a_signed,
        b_signed,
        results=lambda a, b: table[a, b],
        rows=lambda start, stop: table[start:stop],
    )


def function_subject(name: str, a_bits: int, b_bits: int, product: Callable[[IntArray, IntArray], IntArray]) -> Subject:
    """Products of unsigned operands by a function of arrays that broadcast against each other."""

    def rows(start: int, stop: int) -> IntArray:
        a, b = np.arange(start, stop, dtype=np.int64), np.arange(1 << b_bits, dtype=np.int64)
        return product(a[:, None], b[None])

    return Subject(name, "multiply", a_bits, b_bits, False, False, results=product, rows=rows)


def _value(codes: IntArray, bits: int, signed: bool) -> IntArray:
    """Value of codes: themselves, or two's complement."""
    return codes - (codes >> (bits - 1) << bits) if signed else codes


def side_values(subject: Subject) -> tuple[IntArray, IntArray]:
    """Values of all codes of a and of b."""
    return operand_values(subject.a_bits, subject.a_signed), operand_values(subject.b_bits, subject.b_signed)
