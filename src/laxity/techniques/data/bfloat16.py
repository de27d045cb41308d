"""OPERAND: bfloat16 with shortened mantissas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.data.minifloat import Minifloat


@TECHNIQUES.register("bfloat16")
@dataclass(frozen=True)
class BFloat16(Approximation):
    """bfloat16, of whose mantissas only the upper bits are kept: 8 exponent bits, no scale, float32's range.

    Attributes:
        weight_mantissa, input_mantissa: bits kept, 1 to 7; 7 is bfloat16 itself.
        subnormals: gradual underflow, else flush to zero.
        accumulation: ``exact|fixed``, see `FloatSums`.
        fraction_bits: of the ``fixed`` accumulator.

    Source: platform-aware learning of mantissa widths in V. Akhlaghi, dissertation, UC San Diego, 2020, chapter 4.
    """

    kind: ClassVar[str] = "bfloat16"
    slot: ClassVar[Slot] = Slot.OPERAND

    weight_mantissa: int = 7
    input_mantissa: int = 7
    subnormals: bool = True
    accumulation: str = "exact"
    fraction_bits: int = 23

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weight_mantissa", "input_mantissa"):
            if not 1 <= getattr(self, name) <= 7:
                raise PlanError(f"{name} of 'bfloat16' must be between 1 and 7, not {getattr(self, name)}")
        self.as_minifloat()

    def as_minifloat(self) -> Minifloat:
        """The same formats in general terms."""
        return Minifloat(
            weight_exponent=8,
            weight_mantissa=self.weight_mantissa,
            input_exponent=8,
            input_mantissa=self.input_mantissa,
            specials="ieee",
            subnormals=self.subnormals,
            saturate=False,
            scaling="none",
            accumulation=self.accumulation,
            fraction_bits=self.fraction_bits,
        )

    def label(self) -> str:
        """For example ``bf16 w3 a7``, with the mantissa bits."""
        return f"bf16 w{self.weight_mantissa} a{self.input_mantissa}"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Give every layer its coders."""
        self.as_minifloat().attach(context, layers)

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Words with the mantissa bits that are kept, and a floating-point multiply-accumulate."""
        return self.as_minifloat().demand(demand, facts)
