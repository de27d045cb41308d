"""MEMORY: weights outside the range of those that were written are read as zero, or as the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand, Protection
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.faults.layout import IntArray, Layout
from laxity.faults.protection import Bits, Read, StorageProtection
from laxity.faults.words import Words
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.data.floats import FloatWeight
from laxity.techniques.protection.words import stored_bits

PER, THEN = ("layer", "channel"), ("zero", "saturate")


@TECHNIQUES.register("weight_clip")
@dataclass(frozen=True)
class WeightClip(Approximation):
    """Stored weights are compared with the range of the weights when they are read; nothing is stored besides.

    The limits are the largest magnitudes of positive and of negative weights. What lies beyond them, infinities and
    NaN among it, is read as zero or as the limit of its sign. Formats are floating point, and integers of sign and
    magnitude, of which words are compared as whole numbers.

    Attributes:
        per: ``layer|channel``, whose weights give the limits.
        then: ``zero|saturate``, what is read beyond them.
        notice: there is an alarm as well.
    """

    kind: ClassVar[str] = "weight_clip"
    slot: ClassVar[Slot] = Slot.MEMORY

    per: str = "channel"
    then: str = "zero"
    notice: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("per", PER), ("then", THEN)):
            value = getattr(self, name)
            if value not in known:
                raise PlanError(f"{name} of 'weight_clip' cannot be {value!r}{did_you_mean(value, known)}")

    def label(self) -> str:
        """For example ``clip channel``."""
        return " ".join(["clip", self.per, *(["saturate"] if self.then == "saturate" else []), *["!"] * self.notice])

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Protect the memory; the limits follow from what is written into it.

        Raises:
            PlanError: words of a site are not in the order of their magnitudes.
        """
        for layer in layers:
            stored_bits(layer, self.kind)
            coder = None if layer.operand is None else layer.operand.weight
            if not (coder is None or isinstance(coder, FloatWeight) or coder.stored_signed):
                raise PlanError(
                    f"site {layer.site.name!r} stores {coder.form}, whose words are no signs and magnitudes; use "
                    "weight_scheme='symmetric', a floating-point format, or another protection than 'weight_clip'"
                )
            layer.memory = ClippedStorage(self.per == "channel", self.then == "saturate", self.notice)

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """Limits of every channel."""
        return [cls()]

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """A comparison where weights are read."""
        return replace(demand, protection=Protection(f"range{self.then}{demand.weight_bits}x1", 1, 0))


@dataclass(frozen=True, slots=True)
class ClippedStorage(StorageProtection):
    """Words of sign and magnitude that are compared with limits.

    Attributes:
        by_channel: every output channel has limits of its own.
        saturate: what is too large is read as the limit of its sign, otherwise as zero.
        notice: it gives the alarm as well.
        limits: greatest magnitudes as words without sign, of positive and negative values, uint64 (channels, 2); None
            before anything is written.
        channels: of every word, int64 (words,).
    """

    by_channel: bool
    saturate: bool = False
    notice: bool = False
    limits: Bits | None = None
    channels: IntArray | None = None

    @property
    def form(self) -> str:
        """See `StorageProtection.form`."""
        what = "the limit" if self.saturate else "zero"
        alarm = " and gives the alarm" if self.notice else ""
        return f"beyond the range of the {'channel' if self.by_channel else 'layer'} reads {what}{alarm}"

    def written(self, words: Words, layout: Layout, channels: IntArray) -> ClippedStorage:
        """See `StorageProtection.written`."""
        own = channels if self.by_channel else np.zeros_like(channels)
        limits = np.zeros((int(own.max(initial=0)) + 1, 2), np.uint64)
        finite = np.isfinite(layout.values(words))
        sign, magnitude = _split(words[finite], layout.width_bits)
        np.maximum.at(limits, (own[finite], sign), magnitude)
        return replace(self, limits=limits, channels=own)

    def read(self, stored: Words, struck: Words, layout: Layout, places: IntArray) -> Read:
        """See `StorageProtection.read`."""
        if self.limits is None or self.channels is None:
            return self.written(stored, layout, np.zeros(len(stored), np.int64)).read(stored, struck, layout, places)
        sign, magnitude = _split(struck, layout.width_bits)
        limit = self.limits[self.channels[places], sign]
        beyond = (magnitude > limit) & (stored != struck)
        signs = sign.astype(np.uint64) << np.uint64(layout.width_bits - 1)
        instead = (limit | signs) if self.saturate else np.zeros_like(limit)
        return Read.of(np.where(beyond, instead.astype(struck.dtype), struck), beyond & self.notice)


def _split(words: Words, width_bits: int) -> tuple[IntArray, Bits]:
    """Sign, 0 or 1, and the bits below it."""
    plain = words.astype(np.uint64)
    sign = (plain >> np.uint64(width_bits - 1)).astype(np.int64)
    return sign, plain & np.uint64((1 << (width_bits - 1)) - 1)
