"""Integer codes of weights of which some filters keep fewer bits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from laxity.techniques.data.codes import WeightCode
from laxity.techniques.data.operands import straight_through


class FilterWeightCode(WeightCode):
    """Codes of `bits` bits, those of a filter with b bits rounded to multiples of ``2^(bits - b)``.

    Ties go to the even multiple. What is too large becomes the largest code of b bits, shifted up:
    ``(2^(b-1) - 1) 2^(bits - b)`` in magnitude for symmetric codes, ``(2^b - 1) 2^(bits - b)`` for affine ones. Scales
    and zero-points are those of the codes of `bits` bits.

    Args:
        coder: of all filters, calibrated or not.
        bits: of each output channel, 2 to ``coder.bits``.
        weight: float32, in the layout of the layer type.
        groups: of the layer.
    """

    step: Tensor
    top: Tensor

    def __init__(self, coder: WeightCode, bits: Sequence[int], weight: Tensor, groups: int) -> None:
        super().__init__(
            coder.bits, coder.scheme, coder.per_channel, coder.axis, len(coder.ratio), coder.method, coder.percentile
        )
        self.ratio.copy_(coder.ratio)
        own = torch.tensor(bits, device=weight.device)
        if self.axis == 1:  # outputs of a transposed layer are (groups, second dimension)
            own = own.reshape(groups, -1).repeat_interleave(weight.shape[0] // groups, 0)
        own = own.reshape(*own.shape, *([1] * (weight.dim() - own.dim())))
        top = 2 ** (own - 1) - 1 if self.symmetric else 2**own - 1
        self.register_buffer("step", 2.0 ** (self.bits - own), persistent=False)
        self.register_buffer("top", top.to(torch.float32), persistent=False)

    @property
    def form(self) -> str:
        """See `WeightCoder.form`."""
        return f"{super().form}, rounded to fewer bits in some filters"

    @property
    def uniform(self) -> bool:
        """See `WeightCoder.uniform`."""
        return False

    @property
    def greatest(self) -> int | None:
        """See `WeightCoder.greatest`; codes are not found in one rounding."""
        return None

    def codes(self, weight: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """See `WeightCoder.codes`."""
        return self._clamp(torch.round(super().codes(weight, scale, zero) / self.step)) * self.step

    def represent(self, weight: Tensor, codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """See `WeightCoder.represent`."""
        low, high = self.code_range
        s, z = self._spread(scale, weight), self._spread(zero, weight)
        free = torch.round(weight.detach() / s) + z
        kept = torch.round(free / self.step)
        inside = (free >= low) & (free <= high) & (kept == self._clamp(kept))
        return straight_through((codes - z) * s, weight * inside)

    def _clamp(self, kept: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(kept, -self.top if self.symmetric else torch.zeros_like(self.top)), self.top)
