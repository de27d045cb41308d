"""A multiplier as the rest of laxity sees it: operand encoding, product table, and the netlist if there is one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from laxity.circuits.metrics import ErrorMetrics, error_metrics, exact_products, operand_values
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import MAX_TABLE_BITS, product_table
from laxity.core.errors import CircuitError

_MOST_PRODUCT = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Multiplier:
    """A two-operand multiplier; equal to another when encoding and table are equal, whatever their names.

    Attributes:
        name: for people; the identity is `table_sha256`.
        a_bits: width of operand a, the activation.
        b_bits: width of operand b, the weight.
        a_signed: a is two's complement.
        b_signed: b is two's complement.
        table: products, read-only int64 (2**a_bits, 2**b_bits), indexed by the unsigned values of the bit patterns.
        circuit: the netlist from which the table was made, or None where only a table is known.
        family: name of the generating family, or ``"table"``.
        table_sha256: SHA-256 of the table as little-endian int64 in row-major order.
    """

    name: str
    a_bits: int
    b_bits: int
    a_signed: bool
    b_signed: bool
    table: npt.NDArray[np.int64]
    circuit: Circuit | None = None
    family: str = "table"
    table_sha256: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Check the shape, freeze the table and compute its hash."""
        shape = (1 << self.a_bits, 1 << self.b_bits)
        if self.a_bits < 1 or self.b_bits < 1 or self.a_bits + self.b_bits > MAX_TABLE_BITS:
            raise CircuitError(
                f"{self.name!r} has operands of {self.a_bits} and {self.b_bits} bits; "
                f"tables exist for 2..{MAX_TABLE_BITS} operand bits together"
            )
        given = np.asarray(self.table)
        if given.shape != shape or given.dtype.kind not in "iu":
            raise CircuitError(f"table of {self.name!r} is {given.dtype} {given.shape}; give integers of shape {shape}")
        if given.dtype.kind == "u" and int(given.max()) > _MOST_PRODUCT:
            raise CircuitError(
                f"table of {self.name!r} is {given.dtype} {given.shape} with an entry of {int(given.max())}; products "
                f"are at most {_MOST_PRODUCT}, the largest int64"
            )
        table = np.array(given, dtype=np.int64, order="C")
        table.flags.writeable = False
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "table_sha256", hashlib.sha256(table.astype("<i8", copy=False).tobytes()).hexdigest())

    @staticmethod
    def from_circuit(circuit: Circuit, *, signed: bool, name: str = "", family: str = "custom") -> Multiplier:
        """Make the table of a netlist with input ports a and b and output port p.

        Args:
            circuit: the netlist.
            signed: operands and product are two's complement, otherwise unsigned.
            name: name of the multiplier; that of the circuit if not given.
            family: name of the generating family.

        Raises:
            CircuitError: the ports do not fit, or the operands are too wide for a table.
        """
        table = product_table(circuit)
        if signed:
            bits = circuit.port("p").width
            table -= (table >> (bits - 1)) << bits
        a_bits, b_bits = circuit.port("a").width, circuit.port("b").width
        return Multiplier(name or circuit.name, a_bits, b_bits, signed, signed, table, circuit, family)

    @staticmethod
    def from_table(table: npt.ArrayLike, *, a_signed: bool, b_signed: bool, name: str = "table") -> Multiplier:
        """Wrap a product table for which no netlist is known.

        Args:
            table: integers (2**a_bits, 2**b_bits); entry [i, j] is the product for the bit patterns i and j.
            a_signed: a is two's complement.
            b_signed: b is two's complement.
            name: name of the multiplier, for messages.

        Raises:
            CircuitError: the table is no array, not two-dimensional, not integer, beyond int64, or a side is no
                power of two; or signedness is no bool.
        """
        for side, signed in (("a_signed", a_signed), ("b_signed", b_signed)):
            if not isinstance(signed, (bool, np.bool_)):
                raise CircuitError(f"{side} of table {name!r} is {signed!r}; give True or False")
        try:
            array = np.asarray(table)
        except (ValueError, TypeError, RuntimeError) as error:
            raise CircuitError(f"table {name!r} is no array of integers: {error}") from error
        if array.ndim != 2 or any(side < 2 or side & (side - 1) for side in array.shape):
            raise CircuitError(
                f"table {name!r} has shape {array.shape}; both sides must be powers of two, as 256 x 256"
            )
        a_bits, b_bits = (side.bit_length() - 1 for side in array.shape)
        return Multiplier(name, a_bits, b_bits, a_signed, b_signed, array)

    @property
    def signed(self) -> bool:
        """Both operands are two's complement."""
        return self.a_signed and self.b_signed

    def a_values(self) -> npt.NDArray[np.int64]:
        """Value of each code of operand a, int64 (2**a_bits,)."""
        return operand_values(self.a_bits, self.a_signed)

    def b_values(self) -> npt.NDArray[np.int64]:
        """Value of each code of operand b, int64 (2**b_bits,)."""
        return operand_values(self.b_bits, self.b_signed)

    def exact_table(self) -> npt.NDArray[np.int64]:
        """Exact products for the same operand encoding, int64 (2**a_bits, 2**b_bits)."""
        return exact_products(self.a_bits, self.b_bits, self.a_signed, self.b_signed)

    def metrics(
        self,
        a_histogram: npt.ArrayLike | None = None,
        b_histogram: npt.ArrayLike | None = None,
        joint_histogram: npt.ArrayLike | None = None,
    ) -> ErrorMetrics:
        """Error metrics over all operand pairs, uniform or weighted by histograms over operand codes.

        Raises:
            CircuitError: a histogram has a wrong length or no valid weights.
        """
        return error_metrics(self.table, self.exact_table(), a_histogram, b_histogram, joint_histogram)

    def wmed(self, a_histogram: npt.ArrayLike, b_histogram: npt.ArrayLike) -> float:
        """Mean error distance weighted by histograms over the codes of both operands.

        Raises:
            CircuitError: a histogram has a wrong length or no valid weights.
        """
        return self.metrics(a_histogram, b_histogram).med

    def __eq__(self, other: object) -> bool:
        """Compare encoding and table."""
        return isinstance(other, Multiplier) and self._identity() == other._identity()

    def __hash__(self) -> int:
        """Hash of encoding and table."""
        return hash(self._identity())

    def _identity(self) -> tuple[int, int, bool, bool, str]:
        return (self.a_bits, self.b_bits, self.a_signed, self.b_signed, self.table_sha256)
