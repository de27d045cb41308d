"""ACCUMULATOR: registers of finite width, approximate adders, and carries that are cured one step later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from laxity.circuits import adder_catalogue
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Accumulation, Demand
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.slots import Slot
from laxity.kernels.accumulators import AdderAccumulator, CurableAccumulator
from laxity.techniques.context import BuildContext, Layer

_WIDTHS = (22, 20, 19, 18)
_ADDERS = ("ama20_5_5", "ama20_5_7")
_SIMULATED_MACS = 1_000_000


@TECHNIQUES.register("accumulator")
@dataclass(frozen=True)
class CircuitAccumulator(Approximation):
    """Products are added one after the other by the named adder, into a register of its width.

    The sum starts at 0 and takes the products of an output in the order of ``weight.flatten(1)``: input channels first,
    then kernel positions. Products are sign-extended or wrapped to the width. Corrections for zero-points, scales and
    bias come afterwards and are exact.

    Attributes:
        adder: catalogue name with the width in bits, for example ``ripple24`` (exact) or ``loa24_8``.
        overflow: ``wrap|saturate``.
        chain: products that one chain adds before it starts anew, as many as rows of a systolic array, the sums of the
            chains being added exactly; 0 for all.
    """

    kind: ClassVar[str] = "accumulator"
    slot: ClassVar[Slot] = Slot.ACCUMULATOR

    adder: str = "ripple24"
    overflow: str = "wrap"
    chain: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        AdderAccumulator(adder_catalogue.get(self.adder), self.overflow, self.chain)

    def label(self) -> str:
        """For example ``loa24_8 saturate``."""
        words = [self.adder, "saturate" if self.overflow == "saturate" else "", f"x{self.chain}" if self.chain else ""]
        return " ".join(w for w in words if w)

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Set the accumulator.

        Raises:
            PlanError: a site has no integer operands.
        """
        value = AdderAccumulator(adder_catalogue.get(self.adder), self.overflow, self.chain)
        for layer in layers:
            _check_operand(layer)
            layer.accumulator = value

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Another width of sums, and another adder where it is not exact sums that wrap in the end."""
        adder = adder_catalogue.get(self.adder)
        if adder.exact and self.overflow == "wrap" and not self.chain:
            return replace(demand, accumulator_bits=min(demand.accumulator_bits, _bits(demand, adder.bits)))
        chains = -(-demand.reduction // self.chain) if self.chain else 1
        width = _bits(demand, adder.bits + (chains - 1).bit_length())
        how = Accumulation(self.adder, self.overflow, self.chain)
        return replace(demand, accumulator_bits=width, accumulation=how)

    @classmethod
    def candidates(cls, site: Site) -> Sequence[Approximation]:
        """Widths that sums of 8-bit products could exceed, but those of trained networks may not, with exact adders.

        At sites small enough to simulate gates in a search also adders that round the low bits of products, whose mean
        error is half a unit per product.
        """
        widest = 16 + (site.op.reduction - 1).bit_length()
        names = [f"ripple{bits}" for bits in _WIDTHS if bits < widest]
        names += [name for name in _ADDERS if site.op.macs <= _SIMULATED_MACS]
        return [cls(name) for name in names]


@TECHNIQUES.register("curable")
@dataclass(frozen=True)
class CurableCarry(Approximation):
    """Products are added into a register whose carry chain is cut; a stopped carry is added with the next product.

    What is pending after the last product is added at the end, so that sums are exact modulo 2**bits. What is gained
    is a shorter critical path, that of the longest part between cuts.

    Attributes:
        bits: width of the register.
        cut: distance of the cuts; from half the width on there is a single cut, at this position.

    Source: M. A. Hanif, F. Khalid, M. Shafique, "CANN: curable approximations for high-performance deep neural network
    accelerators", DAC 2019.
    """

    kind: ClassVar[str] = "curable"
    slot: ClassVar[Slot] = Slot.ACCUMULATOR

    bits: int = 24
    cut: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.cut < self.bits:
            raise PlanError(f"cuts every {self.cut} bits do not divide an accumulator of {self.bits} bits")
        self.accumulator()

    def label(self) -> str:
        """For example ``curable24_12``."""
        return f"curable{self.bits}_{self.cut}"

    def accumulator(self) -> CurableAccumulator:
        """The value that layers get, with the netlists of its step and of the final correction."""
        return CurableAccumulator(self.bits, tuple(range(self.cut, self.bits, self.cut)))

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Set the accumulator.

        Raises:
            PlanError: a site has no integer operands.
        """
        value = self.accumulator()
        for layer in layers:
            _check_operand(layer)
            layer.accumulator = value

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Another width of sums; the gain is in the clock, which no cost model here can change."""
        words = f"{demand.arithmetic} with carries cut every {self.cut} bits"
        return replace(demand, accumulator_bits=_bits(demand, self.bits), arithmetic=words)


def _check_operand(layer: Layer) -> None:
    if layer.operand is None:
        raise PlanError(
            f"site {layer.site.name!r} has an accumulator but floating-point operands; "
            "give it an OPERAND choice such as {'kind': 'integer'}"
        )


def _bits(demand: Demand, bits: int) -> int:
    """What a demand says of sums of `bits` bits: it counts those below the unit of the codes apart."""
    return max(1, bits - demand.fraction_bits)
