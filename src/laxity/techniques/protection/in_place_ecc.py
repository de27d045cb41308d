"""MEMORY: a SEC-DED code whose check bits stand in bits that small weights do not need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from laxity.circuits.protection import FREE_BIT, syndrome_columns
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand, Protection
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.faults.layout import IntArray, Layout
from laxity.faults.protection import Bits
from laxity.faults.words import Words
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.data.codes import IntegerOperands, WeightCode
from laxity.techniques.data.operands import straight_through
from laxity.techniques.protection.hsiao import HsiaoProtection
from laxity.techniques.protection.words import stored_bits

WEIGHTS, WIDTH = 8, 8
"""Weights of a code word, and bits of a weight."""

CHECK_BITS = WEIGHTS - 1
"""The first seven weights of a code word have a check bit each, in the place of their top magnitude bit."""

LARGEST = (1 << FREE_BIT) - 1
"""Largest magnitude of such a weight."""

SCALES = ("fitted", "kept")
_WIDER = torch.linspace(1.0, 2.0, 33)


@TECHNIQUES.register("in_place_ecc")
@dataclass(frozen=True)
class InPlaceEcc(Approximation):
    """Of every 8 stored weights of 8 bits, 7 stay within +-63, and hold 7 check bits in the bit that is left over.

    These make a (64, 57) code that corrects one wrong bit and notices two, without any storage but up to 6 bits per
    layer whose weights do not come out even. Weights are counted in the order in which they are stored. What is larger
    in magnitude than 63 becomes 63; its gradient passes through, so that training can repair it.

    Attributes:
        scale: ``fitted``: the scale of every channel is widened by the factor from 1 to 2 that leaves the least squared
            error of its weights, found when the network is calibrated; with 2, nothing is clipped. ``kept``: scales
            are those of the codes, as in the source.

    Source: H. Guan, L. Ning, Z. Lin, X. Shen, H. Zhou, S.-H. Lim, "In-place zero-space memory protection for CNN",
    NeurIPS 2019, for two's complement, where bits 6 and 7 of small weights agree.
    """

    kind: ClassVar[str] = "in_place_ecc"
    slot: ClassVar[Slot] = Slot.MEMORY

    scale: str = "fitted"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale not in SCALES:
            raise PlanError(f"scale of 'in_place_ecc' cannot be {self.scale!r}{did_you_mean(self.scale, SCALES)}")

    def label(self) -> str:
        """For example ``in-place ECC``."""
        return "in-place ECC" if self.scale == "fitted" else "in-place ECC, scales kept"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Protect the memory, and give the weight codes that leave room for check bits.

        Raises:
            PlanError: a site does not store all weights as symmetric integers of 8 bits.
        """
        for layer in layers:
            operand = layer.operand
            where = f"site {layer.site.name!r}"
            if not isinstance(operand, IntegerOperands) or not isinstance(operand.weight, WeightCode):
                raise PlanError(f"{where} stores no integers; 'in_place_ecc' needs the OPERAND choice 'integer'")
            if not operand.weight.symmetric or stored_bits(layer, self.kind) != WIDTH:
                raise PlanError(
                    f"{where} stores {operand.weight.form}, and 'in_place_ecc' needs sign and magnitude of {WIDTH} "
                    "bits; use weight_bits=8 and weight_scheme='symmetric'"
                )
            if layer.structure is not None:
                raise PlanError(
                    f"{where} stores only some of its weights, so that places in code words would depend on which; "
                    "leave its STRUCTURE slot empty, or use 'secded'"
                )
            operand.weight = RoomyWeightCode(operand.weight, layer.weight, fitted=self.scale == "fitted")
            layer.memory = InPlaceStorage()

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """With fitted scales."""
        return [cls()]

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """A decoder where weights are read; no check bits besides."""
        return replace(demand, protection=Protection(f"inplace{WIDTH}x{WEIGHTS}", WEIGHTS, 0))


class RoomyWeightCode(WeightCode):
    """Symmetric codes of 8 bits of which the first seven of every eight weights stay within +-63.

    Args:
        coder: of all weights.
        weight: float32, in the layout of the layer type.
        fitted: see `InPlaceEcc.scale`.
    """

    top: Tensor

    def __init__(self, coder: WeightCode, weight: Tensor, *, fitted: bool) -> None:
        super().__init__(
            coder.bits, coder.scheme, coder.per_channel, coder.axis, len(coder.ratio), coder.method, coder.percentile
        )
        self.ratio.copy_(coder.ratio)
        self._fitted = fitted
        wide = torch.arange(weight.numel(), device=weight.device) % WEIGHTS == WEIGHTS - 1
        top = torch.where(wide, float(self.code_range[1]), float(LARGEST)).reshape(weight.shape)
        self.register_buffer("top", top, persistent=False)

    @property
    def form(self) -> str:
        """See `WeightCoder.form`."""
        return f"{super().form}, 7 of 8 within +-{LARGEST}"

    @property
    def greatest(self) -> int | None:
        """See `WeightCoder.greatest`; not all codes have the same."""
        return None

    @torch.no_grad()
    def calibrate(self, weight: Tensor) -> None:
        """See `WeightCoder.calibrate`."""
        super().calibrate(weight)
        if not self._fitted:
            return
        base, best = self.ratio.clone(), self.ratio.clone()
        least = torch.full_like(best, torch.inf)
        for factor in _WIDER.tolist():
            self.ratio.copy_(base * factor)
            scale, zero = self.scale_and_zero(weight)
            off = self.codes(weight, scale, zero) * self._spread(scale, weight) - weight
            error = self._rows(off).to(torch.float64).square().sum(1).to(least.dtype)
            better = error < least
            best, least = torch.where(better, self.ratio, best), torch.where(better, error, least)
        self.ratio.copy_(best)

    def codes(self, weight: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """See `WeightCoder.codes`."""
        return torch.maximum(torch.minimum(super().codes(weight, scale, zero), self.top), -self.top)

    def represent(self, weight: Tensor, codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """See `WeightCoder.represent`; the gradient of what is clipped to 63 passes through."""
        s = self._spread(scale, weight)
        inside = torch.round(weight.detach() / s).abs() <= self.code_range[1]
        return straight_through(codes * s, weight * inside)


@dataclass(frozen=True, slots=True)
class InPlaceStorage(HsiaoProtection):
    """Words of sign and magnitude, with check bit i of a group in bit 6 of its word i.

    Check bits whose words the last group lacks are stored besides, one bit per check word.
    """

    @property
    def form(self) -> str:
        """See `StorageProtection.form`."""
        return "in-place SEC-DED (64, 57)"

    def group(self, width_bits: int) -> int:
        """See `CodedProtection.group`."""
        return WEIGHTS

    def check_count(self, width_bits: int) -> int:
        """See `HsiaoProtection.check_count`."""
        return CHECK_BITS

    def position_columns(self, width_bits: int) -> IntArray:
        """See `HsiaoProtection.position_columns`."""
        return _columns()

    def check_words(self, words: int, width_bits: int) -> int:
        """See `StorageProtection.check_words`."""
        return max(0, CHECK_BITS - words % WEIGHTS) if words % WEIGHTS else 0

    def check_places(self, numbers: IntArray, words: int, width_bits: int) -> tuple[IntArray, IntArray]:
        """See `CodedProtection.check_places`: all belong to the last group."""
        return np.full_like(numbers, words // WEIGHTS), numbers + words % WEIGHTS

    def stored(self, words: Words, layout: Layout) -> Words:
        """See `StorageProtection.stored`."""
        grouped = self.grouped(words, layout.width_bits)
        grouped[:, :CHECK_BITS] |= self._checks(grouped) << np.uint64(FREE_BIT)
        found: Words = grouped.reshape(-1)[: len(words)].astype(words.dtype)
        return found

    def checks(self, words: Words, layout: Layout) -> Bits:
        """See `StorageProtection.checks`."""
        missing = self.check_words(len(words), layout.width_bits)
        return (
            self._checks(self.grouped(words, layout.width_bits)[-1:])[0, CHECK_BITS - missing :]
            if missing
            else (np.zeros(0, np.uint64))
        )

    def plain(self, stored: Words, places: IntArray, width_bits: int) -> Words:
        """See `CodedProtection.plain`."""
        free = stored.dtype.type(1 << FREE_BIT)
        return np.where(places % WEIGHTS < CHECK_BITS, stored & ~free, stored)

    def left(self, errors: Bits, check_errors: Bits, width_bits: int) -> tuple[Bits, NDArray[np.bool_]]:
        """See `CodedProtection.left`; wrong check bits do not reach the words that are read."""
        found, noticed = HsiaoProtection.left(self, errors, check_errors, width_bits)
        found[:, :CHECK_BITS] &= ~np.uint64(1 << FREE_BIT)
        return found, noticed

    def _checks(self, grouped: Bits) -> Bits:
        """Check bits of written words, uint64 of 0 and 1, (groups, CHECK_BITS)."""
        syndromes = self.syndromes(grouped, WIDTH).astype(np.uint64)
        return (syndromes[:, None] >> np.arange(CHECK_BITS, dtype=np.uint64)) & np.uint64(1)


@lru_cache(maxsize=1)
def _columns() -> IntArray:
    """Column of each stored bit, int64 (WEIGHTS, WIDTH)."""
    return np.array(syndrome_columns(WIDTH, WEIGHTS, in_place=True), np.int64)
