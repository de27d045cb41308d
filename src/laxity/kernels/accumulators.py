"""How the products of one output are added: values for the ACCUMULATOR slot.

All of them start at 0 and take the products of the reduction in its order, input channels first, then kernel positions,
each output on its own. Products enter in two's complement, sign-extended or wrapped to the accumulator's width, in
units of the least significant bit that the products of the site's codes can have. Products of zeros take part as all
others do. Corrections for zero-points, scales and bias come after the accumulator and are exact, as is the addition of
overlapping taps in a transposed convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

from laxity.circuits import Adder, Circuit, accumulator_stage, adder_catalogue, curable_correction, curable_stage
from laxity.core.errors import PlanError
from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.products import Products
from laxity.kernels.sequential import SequentialProducts
from laxity.kernels.width import FittingProducts, WrappedProducts


@dataclass(frozen=True, slots=True)
class AdderAccumulator:
    """An accumulator register behind an adder circuit of the same width.

    Attributes:
        adder: the circuit; operand a is the sum, operand b the product.
        overflow: ``wrap`` or ``saturate``, as in `accumulator_stage`.
        chain: products per chain, as many as rows of a systolic array; 0 for all. Every chain starts at 0, and the sums
            of the chains are added exactly.

    Raises:
        PlanError: a negative chain.
        CircuitError: unknown overflow behaviour.
    """

    adder: Adder
    overflow: str = "wrap"
    chain: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.chain < 0:
            raise PlanError(f"chains of {self.chain} products are not possible; use 0 for the whole reduction")
        accumulator_stage(self.adder, self.overflow)

    @property
    def stage(self) -> Circuit:
        """Netlist of one step."""
        return accumulator_stage(self.adder, self.overflow)

    def products(self, table: IntArray, left: CodeRange, right: CodeRange) -> Products:
        """The kernel that adds products ``table[a - left[0], w - right[0]]`` in this way."""
        gates = SequentialProducts(left, right, table, self.stage, self.chain)
        if not self.adder.exact:
            return gates
        return _exact(table, left, right, gates, wraps=self.overflow == "wrap" and not self.chain)


@dataclass(frozen=True, slots=True)
class CurableAccumulator:
    """An accumulator whose carry chain is cut; a carry stopped at a cut is added in the next step.

    After the last product the pending carries are added, and the sum is the exact one modulo 2**bits: emulation needs
    no gates. `laxity.circuits.curable_states` has the contents on the way, which differ.

    Attributes:
        bits: width of the register.
        cuts: ascending positions of the cuts.
        chain: products per chain, after each of which pending carries are added; 0 for all.

    Raises:
        CircuitError: width or cuts out of range.
        PlanError: a negative chain.
    """

    bits: int
    cuts: tuple[int, ...]
    chain: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        curable_stage(self.bits, self.cuts)
        if self.chain < 0:
            raise PlanError(f"chains of {self.chain} products are not possible; use 0 for the whole reduction")

    @property
    def stage(self) -> Circuit:
        """Netlist of one step; its delay is that of the longest part between cuts."""
        return curable_stage(self.bits, self.cuts)

    @property
    def correction(self) -> Circuit:
        """Netlist of the step that adds the pending carries."""
        return curable_correction(self.bits, self.cuts)

    def products(self, table: IntArray, left: CodeRange, right: CodeRange) -> Products:
        """The kernel that adds products ``table[a - left[0], w - right[0]]`` in this way."""
        adder = adder_catalogue.get(f"ripple{self.bits}")
        gates = SequentialProducts(left, right, table, accumulator_stage(adder), self.chain)
        return _exact(table, left, right, gates, wraps=not self.chain)


def _exact(table: IntArray, left: CodeRange, right: CodeRange, gates: SequentialProducts, *, wraps: bool) -> Products:
    """Exact sums where they fit, wrapped ones where that is all the register does, and its gates otherwise."""
    from laxity.kernels import exact_products

    inner = exact_products(table, left, right)
    otherwise = WrappedProducts(inner, gates.bits) if wraps else gates
    return FittingProducts(inner, otherwise, gates.bits, table)
