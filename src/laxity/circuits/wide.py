"""Multipliers for operands that are too wide for a table: by closed form, or composed of narrower multipliers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.arithmetic import Columns, dadda_sum
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.catalogue import get, parse, require_circuit, widest
from laxity.circuits.formula import Formula
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import ZERO, Circuit
from laxity.circuits.simulate import MAX_TABLE_BITS
from laxity.core.demand import IntArray
from laxity.core.errors import CircuitError

MAX_TABLE_WIDTH = MAX_TABLE_BITS // 2
"""Widest operands of a square multiplier with a table."""


@dataclass(frozen=True, slots=True)
class WideMultiplier:
    """An unsigned multiplier of the catalogue in closed form.

    Attributes:
        name: in the catalogue, which has the netlist.
        family: name of the generating family.
        width: bits of each operand.
        formula: the function that the netlist computes.
        parameters: of the family.
    """

    name: str
    family: str
    width: int
    formula: Formula
    parameters: tuple[int, ...]

    @property
    def a_bits(self) -> int:
        """Width of operand a, the activation."""
        return self.width

    @property
    def b_bits(self) -> int:
        """Width of operand b, the weight."""
        return self.width

    def product(self, a: IntArray, b: IntArray) -> IntArray:
        """Products of magnitudes, int64; a and b broadcast against each other."""
        return self.formula.product(a, b, self.width, self.parameters)

    def features(self, magnitudes: IntArray, *, right: bool) -> IntArray:
        """Features of one operand, int64 (features, *shape)."""
        function = self.formula.right if right else self.formula.left
        return np.stack(list(function(magnitudes, self.width, *self.parameters)))


@dataclass(frozen=True, slots=True)
class ComposedMultiplier:
    """Products of wide magnitudes from products of their parts: ``sum_ij part(a_i, b_j) << (i a_bits + j b_bits)``.

    The parts of an operand are as wide as the operands of `part`; shifts and additions are exact.

    Attributes:
        part: unsigned multiplier of the parts; its products with 0 must be 0, since parts of small operands are 0.

    Raises:
        CircuitError: the part gives another product with 0, or is signed.
    """

    part: Multiplier

    def __post_init__(self) -> None:
        """Check the part."""
        if self.part.a_signed or self.part.b_signed:
            raise CircuitError(f"multiplier {self.part.name!r} is signed; compose products of an unsigned one")
        if self.part.table[0].any() or self.part.table[:, 0].any():
            raise CircuitError(
                f"multiplier {self.part.name!r} has products with 0 that are not 0, and parts of wide operands often "
                "are 0; compose products of one with error_at_zero_operand 0"
            )

    @property
    def name(self) -> str:
        """Name of the multiplier of the parts."""
        return self.part.name

    def pieces(self, a_bits: int, b_bits: int) -> tuple[int, int]:
        """Into how many parts operands of these widths are split."""
        return -(-a_bits // self.part.a_bits), -(-b_bits // self.part.b_bits)

    def circuit(self, a_pieces: int, b_pieces: int) -> Circuit:
        """The netlist: one instance of the part for each pair of pieces, and a Dadda tree that adds their products.

        Args:
            a_pieces: pieces of operand a.
            b_pieces: pieces of operand b.

        Returns:
            Input ports a and b, as wide as their pieces together, and output port p, wide enough for the largest sum.

        Raises:
            CircuitError: the part is known by its table only, or an operand has no pieces.
        """
        if a_pieces < 1 or b_pieces < 1:
            raise CircuitError(f"{a_pieces} x {b_pieces} pieces of {self.name!r}; use at least 1 x 1")
        part = require_circuit(self.part)
        shifts = [(i, j, i * self.part.a_bits + j * self.part.b_bits) for i in range(a_pieces) for j in range(b_pieces)]
        a_bits, b_bits = a_pieces * self.part.a_bits, b_pieces * self.part.b_bits
        largest = sum(int(self.part.table.max()) << shift for _, _, shift in shifts)
        builder = CircuitBuilder(f"comp{a_pieces}x{b_pieces}_{part.name}", f"{part.source}; composed by exact addition")
        a, b = builder.input("a", a_bits), builder.input("b", b_bits)
        columns: Columns = [[] for _ in range(max(a_bits + b_bits, largest.bit_length()))]
        with builder.block("multiplier"):
            for i, j, shift in shifts:
                operands = {"a": _piece(a, i, self.part.a_bits), "b": _piece(b, j, self.part.b_bits)}
                for c, net in enumerate(builder.instantiate(part, operands)["p"]):
                    if net != ZERO:
                        columns[shift + c].append(net)
            product = dadda_sum(builder, columns)
        builder.output("p", product)
        return builder.build()


def _piece(bits: Sequence[int], index: int, width: int) -> Sequence[int]:
    return bits[index * width : (index + 1) * width]


Core = Multiplier | WideMultiplier | ComposedMultiplier
"""Content of the MULTIPLIER slot."""


@functools.lru_cache(maxsize=256)
def wide(name: str) -> WideMultiplier:
    """The closed form of the multiplier called `name`; repeated calls return the same object.

    Raises:
        RegistryError, CircuitError: as `catalogue.parse`; CircuitError too where the multiplier is signed or its family
            states no closed form.
    """
    family, width, signed, parameters = parse(name)
    if signed:
        raise CircuitError(f"{name!r} is signed; closed forms are for magnitudes, so name the unsigned multiplier")
    if family.formula is None:
        raise CircuitError(
            f"family {family.name!r} states no closed form, and a table for {name!r} would be too large; use operands "
            f"of at most {MAX_TABLE_WIDTH} bits, or compose products of a narrower multiplier"
        )
    return WideMultiplier(family.circuit_name(width, parameters), family.name, width, family.formula, parameters)


def core(name: str) -> Multiplier | WideMultiplier:
    """The multiplier called `name`: with its table where that is small enough, else in closed form.

    Raises:
        RegistryError, CircuitError: as `catalogue.get` and `wide`.
    """
    return get(name) if widest(name) <= MAX_TABLE_WIDTH else wide(name)
