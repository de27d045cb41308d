"""Requantisation and addition of codes on torch tensors; equal to `laxity.core.requantise` in every bit."""

from __future__ import annotations

import torch
from torch import Tensor

from laxity.core.requantise import Addition


def requantise(sums: Tensor, multiplier: Tensor, shift: Tensor, zero: int, low: int, high: int) -> Tensor:
    """``clamp(((sums * multiplier + (1 << (shift - 1))) >> shift) + zero, low, high)``, int32.

    Args:
        sums: integers of at most 32 bits.
        multiplier: int64, broadcasts against `sums`, as does `shift`.
        shift: int64, 1 to 47.
        zero: added after the shift.
        low: least result.
        high: greatest result.
    """
    half = torch.bitwise_left_shift(torch.ones_like(shift), shift - 1)
    rounded = torch.bitwise_right_shift(sums.to(torch.int64) * multiplier + half, shift)
    return torch.clamp(rounded + zero, low, high).to(torch.int32)


def add_codes(left: Tensor, right: Tensor, addition: Addition) -> Tensor:
    """See `Addition.apply`, int32."""
    a = (left.to(torch.int64) - addition.zeros[0]) * addition.multipliers[0]
    b = (right.to(torch.int64) - addition.zeros[1]) * addition.multipliers[1]
    rounded = (a + b + (1 << (addition.shift - 1))) >> addition.shift
    return torch.clamp(rounded + addition.zero, addition.low, addition.high).to(torch.int32)
