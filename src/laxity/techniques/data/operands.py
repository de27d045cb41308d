"""What an emulated operation needs from a number format: two coders, and the kernel that multiplies their codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from laxity.circuits.wide import Core
from laxity.core.demand import IntArray
from laxity.kernels import Accumulator, Products


def straight_through(value: Tensor, smooth: Tensor) -> Tensor:
    """`value`, to the last bit, with the gradient of `smooth`."""
    return value.detach() + (smooth - smooth.detach())


class InputCoder(nn.Module, ABC):
    """Codes of an activation: numbers that float32 holds exactly, and the scale that makes values of them.

    Attributes:
        scale: float32 (); a value is ``(code - zero) * scale``.
        zero: float32 (), the code of the value 0; not 0 only for codes that are whole numbers.
        bits: width of the stored word.
        zeros: `zero` as a plain number, which models that are traced need, and the fraction of the calibration sample
            that has this code, by which kernels are chosen.
        holds_nan: codes may be NaN or infinite.
    """

    scale: Tensor
    zero: Tensor
    bits: int
    zeros: tuple[int, float] = (0, 0.0)
    holds_nan: ClassVar[bool] = False

    @abstractmethod
    def calibrate(self, values: Tensor, name: str) -> None:
        """Set the range from a sample of the activations at site `name`, float32 (n,).

        Raises:
            DataError: the sample holds NaN or infinite values; names the site.
        """

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """Codes of `x` as float32, same shape; no gradient."""

    @abstractmethod
    def represent(self, x: Tensor, codes: Tensor) -> Tensor:
        """The value that `codes` stand for; gradient 1 where rounding alone gives a code, 0 where `x` is clipped."""

    def quantiser(self) -> Tensor | None:
        """What fused kernels need to find codes: scale, zero-point, least and greatest code, float32 (4,).

        None where ``clamp(round(x / scale) + zero, least, greatest)`` is not how codes are found.
        """
        return None


class WeightCoder(nn.Module, ABC):
    """Codes of a weight. Scales follow the weight, which may be training.

    Attributes:
        bits: width of the stored word.
    """

    bits: int

    @property
    def symmetric(self) -> bool:
        """Whether codes are signed around zero, without zero-points."""
        return True

    @property
    def form(self) -> str:
        """The stored words, in words."""
        return f"{self.bits}-bit {'sign-magnitude' if self.symmetric else 'unsigned'} integers"

    @property
    def uniform(self) -> bool:
        """Whether all weights are stored in words of `bits` bits; otherwise those of some filters have fewer."""
        return True

    @property
    def finite(self) -> bool:
        """Whether every stored word is a finite number."""
        return True

    @property
    def stored_signed(self) -> bool:
        """Whether stored words are sign and magnitude, otherwise plain unsigned."""
        return self.symmetric

    @abstractmethod
    def calibrate(self, weight: Tensor) -> None:
        """Choose what does not follow the weight while it trains."""

    @abstractmethod
    def scale_and_zero(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and zero-point for the present weight, float32 (channels,) or (1,)."""

    @abstractmethod
    def codes(self, weight: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """Codes as float32, same shape; no gradient."""

    @abstractmethod
    def represent(self, weight: Tensor, codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """The value that `codes` stand for; gradient 1 where rounding alone gives a code, 0 where it is clipped."""

    def rows(self, weight: Tensor) -> tuple[Tensor, Tensor] | None:
        """Codes less the least code, uint8 in the shape of the weight, and scales, in one pass where that is possible.

        None where it is not, or where the weight holds NaN or infinite values.
        """
        return None

    @property
    def greatest(self) -> int | None:
        """The greatest code where codes are ``clamp(round(w / scale), -greatest, greatest)``, else None.

        There is one scale then, or one per entry of the weight's first dimension.
        """
        return None

    def smooth(self, weight: Tensor, scale: Tensor | None = None) -> Tensor:
        """What the codes of a weight stand for, with gradients as `represent` gives them.

        Args:
            weight: float32.
            scale: what `scale_and_zero` says, where it is known already.
        """
        scale, zero = self.scale_and_zero(weight)
        return self.represent(weight, self.codes(weight, scale, zero), scale, zero)

    def stored(self, codes: Tensor) -> Tensor:
        """Codes as whole numbers that lie in memory, float32; integer codes are stored as they are."""
        return codes

    def restored(self, stored: Tensor) -> Tensor:
        """The codes of stored whole numbers, the inverse of `stored`."""
        return stored


@dataclass(frozen=True, slots=True)
class ScalarProduct:
    """How the hardware multiplies one pair of whole-number codes.

    Attributes:
        shifts: how far both codes are shifted up before they enter the circuit.
        compute: from int64 codes (broadcast against each other) to int64 products, not shifted back.
    """

    shifts: tuple[int, int]
    compute: Callable[[IntArray, IntArray], IntArray]


class Operands(nn.Module, ABC):
    """Content of the OPERAND slot: the coders of both operands of a site.

    Attributes:
        input: coder of the (left) activation.
        weight: coder of the weight; for a product of two activations, the coder of the right activation.
    """

    input: InputCoder
    weight: WeightCoder | InputCoder

    def __init__(self, input_coder: InputCoder, weight_coder: WeightCoder | InputCoder) -> None:
        super().__init__()
        self.input = input_coder
        self.weight = weight_coder

    @abstractmethod
    def products(self, multiplier: Core | None, accumulator: Accumulator | None, name: str) -> tuple[Products, float]:
        """The kernel for these codes, and the power of two by which its sums must be multiplied.

        Args:
            multiplier: content of the MULTIPLIER slot; None stands for exact products.
            accumulator: content of the ACCUMULATOR slot; None stands for exact sums.
            name: of the site, for messages.

        Raises:
            PlanError: multiplier or accumulator do not fit these codes.
        """

    def scalar(self, multiplier: Core | None, name: str) -> ScalarProduct | None:
        """How single products are computed, for traces of operands; None where codes are no whole numbers."""
        return None
