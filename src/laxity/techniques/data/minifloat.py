"""OPERAND: floating-point formats of any exponent and mantissa width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.kernels.floats import SPECIALS, FloatFormat, standard_bias
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.data.floats import (
    ACCUMULATIONS,
    CALIBRATIONS,
    SCALINGS,
    FloatInput,
    FloatOperands,
    FloatSums,
    FloatWeight,
    demand_of_floats,
)

NAMED = {
    "e4m3": FloatFormat(4, 3, 7, "nan"),
    "e5m2": FloatFormat(5, 2, 15, "ieee"),
    "e3m2": FloatFormat(3, 2, 3, "none"),
    "e2m3": FloatFormat(2, 3, 1, "none"),
    "e2m1": FloatFormat(2, 1, 1, "none"),
    "binary16": FloatFormat(5, 10, 15, "ieee"),
}
"""Formats with a name: FP8, FP6 and FP4 of the Open Compute Project (8-bit Floating Point specification, revision 1.0,
and Microscaling Formats specification, version 1.0), and IEEE 754 half precision."""


@TECHNIQUES.register("minifloat")
@dataclass(frozen=True)
class Minifloat(Approximation):
    """Weights and activations in a floating-point format each, rounded to nearest, ties to even.

    Significands are multiplied exactly, or by the circuit in the slot MULTIPLIER, whose operands must hold them with
    their hidden bit. Products are not rounded.

    Attributes:
        weight_exponent, weight_mantissa, input_exponent, input_mantissa: widths in bits, exponents 2 to 8, mantissas
            0 to 10 without the hidden bit.
        specials: ``ieee|nan|none``, which words stand for infinities and NaN, see `FloatFormat`.
        subnormals: gradual underflow, else flush to zero.
        saturate: what is too large becomes the largest value, else infinity or NaN.
        bias_shift: added to the bias of IEEE 754 in both formats.
        scaling: ``none|tensor|channel``, powers of two by which values are divided; activations have one at most.
        calibration: ``max|mse``, how these powers are chosen.
        accumulation: ``exact|fixed``, see `FloatSums`.
        fraction_bits: of the ``fixed`` accumulator, in units of codes.
    """

    kind: ClassVar[str] = "minifloat"
    slot: ClassVar[Slot] = Slot.OPERAND

    weight_exponent: int = 4
    weight_mantissa: int = 3
    input_exponent: int = 4
    input_mantissa: int = 3
    specials: str = "nan"
    subnormals: bool = True
    saturate: bool = True
    bias_shift: int = 0
    scaling: str = "channel"
    calibration: str = "max"
    accumulation: str = "exact"
    fraction_bits: int = 23

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (
            ("specials", SPECIALS),
            ("scaling", SCALINGS),
            ("calibration", CALIBRATIONS),
            ("accumulation", ACCUMULATIONS),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise PlanError(f"{name} of 'minifloat' cannot be {value!r}{did_you_mean(value, allowed)}")
        if not 0 <= self.fraction_bits <= 62:
            raise PlanError(f"fraction_bits of 'minifloat' must be between 0 and 62, not {self.fraction_bits}")
        self.formats()

    @classmethod
    def named(cls, weight: str, activation: str = "", **options: str | int | bool) -> Minifloat:
        """The choice for formats of `NAMED`; activations as weights if not given.

        Raises:
            PlanError: an unknown name, or two formats that treat infinities and NaN differently.
        """
        activation = activation or weight
        for name in (weight, activation):
            if name not in NAMED:
                raise PlanError(f"no floating-point format is called {name!r}{did_you_mean(name, NAMED)}")
        w, a = NAMED[weight], NAMED[activation]
        if w.specials != a.specials and "specials" not in options:
            raise PlanError(
                f"{weight!r} and {activation!r} treat infinities and NaN differently ({w.specials}, {a.specials}); "
                "say which by specials=..."
            )
        given = {"specials": w.specials, **options}
        return cls(w.exponent_bits, w.mantissa_bits, a.exponent_bits, a.mantissa_bits, **given)  # type: ignore[arg-type]

    def formats(self) -> tuple[FloatFormat, FloatFormat]:
        """Formats of weights and activations.

        Raises:
            PlanError: a format is not possible.
        """
        widths = (self.weight_exponent, self.weight_mantissa), (self.input_exponent, self.input_mantissa)
        weight, activation = (
            FloatFormat(e, m, standard_bias(e) + self.bias_shift, self.specials, self.subnormals, self.saturate)
            for e, m in widths
        )
        return weight, activation

    def label(self) -> str:
        """For example ``wE4M3 aE5M2``."""
        weight, activation = self.formats()
        return f"w{weight.name} a{activation.name}"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Give every layer its coders; they are calibrated later."""
        weight, activation = self.formats()
        sums = FloatSums(self.accumulation, self.fraction_bits)
        for layer in layers:
            coder = FloatInput(activation, self.scaling, self.calibration)
            if layer.site.op.kind == "matmul":
                other: FloatWeight | FloatInput = FloatInput(weight, self.scaling, self.calibration)
            else:
                channels = layer.weight.shape[layer.channel_axis]
                other = FloatWeight(weight, self.scaling, self.calibration, layer.channel_axis, channels)
            layer.operand = FloatOperands(coder, other, sums)

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Words of the formats, and a floating-point multiply-accumulate."""
        weight, activation = self.formats()
        return demand_of_floats(demand, weight, activation, FloatSums(self.accumulation, self.fraction_bits))
