"""MULTIPLIER: products of wide integers composed of products by a narrower circuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from laxity.circuits import catalogue
from laxity.circuits.wide import ComposedMultiplier
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer


@TECHNIQUES.register("composed_multiplier")
@dataclass(frozen=True)
class ComposedProduct(Approximation):
    """Magnitudes are cut into parts, the named circuit multiplies every pair of parts, shifts and additions are exact.

    Operands are shifted up until they fill their parts. With `drum8_4`, a product of two 16-bit integers takes four
    8-bit products.

    Attributes:
        name: catalogue name of an unsigned multiplier with a table, for example ``drum8_4``.
    """

    kind: ClassVar[str] = "composed_multiplier"
    slot: ClassVar[Slot] = Slot.MULTIPLIER

    name: str = "dadda8"

    def __post_init__(self) -> None:
        super().__post_init__()
        if catalogue.get(self.name).signed:
            raise PlanError(
                f"multiplier {self.name!r} is a two's complement circuit; parts are magnitudes, so name the unsigned "
                "one (without the 's' after the width)"
            )

    def label(self) -> str:
        """For example ``drum8_4 parts``."""
        return f"{self.name} parts"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Set the composed multiplier.

        Raises:
            PlanError: a site has no coded operands.
        """
        composed = ComposedMultiplier(catalogue.get(self.name))
        for layer in layers:
            if layer.operand is None:
                raise PlanError(
                    f"site {layer.site.name!r} has a multiplier but float32 operands; give it an OPERAND choice such "
                    "as {'kind': 'integer', 'weight_bits': 16, 'input_bits': 16}"
                )
            layer.multiplier = composed

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """The circuit of the parts, which several steps or instances share."""
        return replace(demand, multiplier=self.name, arithmetic=f"integer products composed of {self.name}")

    def circuits_used(self) -> tuple[str, ...]:
        """See `Approximation.circuits_used`."""
        return (self.name,)
