"""OPERAND: affine and symmetric integers of 2 to 16 bits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.data.codes import ActivationCode, IntegerOperands, WeightCode, exact_multiplier
from laxity.techniques.data.ranges import METHODS

WIDEST = 16
"""Widest code, in bits."""

_SEARCHED = ((6, 8), (8, 6), (5, 8), (6, 6), (4, 8), (5, 6), (4, 6), (4, 5), (4, 4), (3, 6), (3, 4), (2, 4))


@TECHNIQUES.register("integer")
@dataclass(frozen=True)
class Integer(Approximation):
    """Integer codes for weights and activations.

    Attributes:
        weight_bits, input_bits: 2 to 16; beyond 8, products are exact, in closed form or composed of narrower ones.
        weight_scheme, input_scheme: ``symmetric|affine``.
        granularity: ``channel|tensor``, of the weights.
        calibration: ``minmax|percentile|mse``, how ranges are chosen.
        percentile: fraction of values inside the range, for ``percentile``.

    Source: affine mapping q = clip(round(x/s) + z); symmetric weights avoid the most negative code.
    """

    kind: ClassVar[str] = "integer"
    slot: ClassVar[Slot] = Slot.OPERAND

    weight_bits: int = 8
    input_bits: int = 8
    weight_scheme: str = "symmetric"
    input_scheme: str = "symmetric"
    granularity: str = "channel"
    calibration: str = "minmax"
    percentile: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weight_bits", "input_bits"):
            if not 2 <= getattr(self, name) <= WIDEST:
                raise PlanError(f"{name} of 'integer' must be between 2 and {WIDEST}, not {getattr(self, name)}")
        for name, allowed in (
            ("weight_scheme", ("symmetric", "affine")),
            ("input_scheme", ("symmetric", "affine")),
            ("granularity", ("channel", "tensor")),
            ("calibration", METHODS),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise PlanError(f"{name} of 'integer' cannot be {value!r}{did_you_mean(value, allowed)}")
        if not 0.5 <= self.percentile <= 1:
            raise PlanError(f"percentile of 'integer' is a fraction between 0.5 and 1, not {self.percentile}")

    def label(self) -> str:
        """For example ``w4a8``."""
        return f"w{self.weight_bits}a{self.input_bits}"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Give every layer its codes; they are calibrated later."""
        for layer in layers:
            code = ActivationCode(self.input_bits, self.input_scheme, self.calibration, self.percentile)
            weight: WeightCode | ActivationCode
            if layer.site.op.kind == "matmul":
                weight = ActivationCode(self.weight_bits, "symmetric", self.calibration, self.percentile)
            else:
                weight = WeightCode(
                    self.weight_bits,
                    self.weight_scheme,
                    self.granularity == "channel",
                    layer.channel_axis,
                    layer.weight.shape[layer.channel_axis],
                    self.calibration,
                    self.percentile,
                )
            layer.operand = IntegerOperands(code, weight)

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Other words, sums as wide as the reduction can make them, and a multiplier that is wide enough."""
        bits = max(self.weight_bits, self.input_bits)
        widest = self.weight_bits + self.input_bits + math.ceil(math.log2(max(2, demand.reduction)))
        return replace(
            demand,
            weight_bits=self.weight_bits,
            input_bits=self.input_bits,
            accumulator_bits=min(demand.accumulator_bits, widest) if bits <= 8 else widest,
            multiplier=demand.multiplier if bits <= 8 else exact_multiplier(bits).name,
        )

    @classmethod
    def candidates(cls, site: Site) -> Sequence[Approximation]:
        """Widths from 6/8 bits down to 2/4 bits, calibrated for least squared error."""
        return [cls(w, a, calibration="mse") for w, a in _SEARCHED]
