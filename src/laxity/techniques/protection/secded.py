"""MEMORY: single error correction and double error detection by a Hsiao code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from laxity.circuits import hsiao
from laxity.circuits.protection import syndrome_columns
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand, Protection
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.slots import Slot
from laxity.faults.layout import IntArray, Layout
from laxity.faults.protection import Bits
from laxity.faults.words import Words
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.protection.hsiao import HsiaoProtection
from laxity.techniques.protection.words import stored_bits


@TECHNIQUES.register("secded")
@dataclass(frozen=True)
class Secded(Approximation):
    """Stored weights have check bits: of each code word one wrong bit is corrected, and two are noticed.

    A code word holds as many whole weights as fit `data_bits`, 8 of 8 bits or 2 of float32 in 64, and the check bits
    that these need, see `laxity.circuits.hsiao`. Three and more wrong bits may be corrected wrongly.

    Attributes:
        data_bits: of a code word, 8 to 64.
    """

    kind: ClassVar[str] = "secded"
    slot: ClassVar[Slot] = Slot.MEMORY

    data_bits: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 8 <= self.data_bits <= 64:
            raise PlanError(f"data_bits of 'secded' must be between 8 and 64, not {self.data_bits}")

    def label(self) -> str:
        """For example ``SEC-DED 64``."""
        return f"SEC-DED {self.data_bits}"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Protect the memory.

        Raises:
            PlanError: a weight of a site is wider than a code word.
        """
        for layer in layers:
            bits = stored_bits(layer, self.kind)
            if bits > self.data_bits:
                raise PlanError(
                    f"site {layer.site.name!r} stores weights of {bits} bits, and code words of 'secded' have "
                    f"{self.data_bits}; set data_bits to {bits} or more"
                )
            layer.memory = SecdedStorage(self.data_bits)

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """Code words of 64 data bits."""
        return [cls()]

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Check bits, and a decoder where weights are read."""
        weights = self.data_bits // demand.weight_bits
        circuit = f"hsiao{demand.weight_bits}x{weights}"
        check = hsiao.check_bits(weights * demand.weight_bits)
        return replace(demand, protection=Protection(circuit, weights, check))


@dataclass(frozen=True, slots=True)
class SecdedStorage(HsiaoProtection):
    """Code words of whole words, with check bits beside them.

    Attributes:
        data_bits: that a code word may have.
    """

    data_bits: int

    @property
    def form(self) -> str:
        """See `StorageProtection.form`."""
        return f"SEC-DED over {self.data_bits} data bits"

    def group(self, width_bits: int) -> int:
        """See `CodedProtection.group`."""
        return self.data_bits // width_bits

    def check_count(self, width_bits: int) -> int:
        """See `HsiaoProtection.check_count`."""
        return hsiao.check_bits(self.group(width_bits) * width_bits)

    def position_columns(self, width_bits: int) -> IntArray:
        """See `HsiaoProtection.position_columns`."""
        return _columns(self.group(width_bits), width_bits)

    def check_width(self, width_bits: int) -> int:
        """See `StorageProtection.check_width`."""
        return self.check_count(width_bits)

    def check_words(self, words: int, width_bits: int) -> int:
        """See `StorageProtection.check_words`: one per group."""
        return -(-words // self.group(width_bits))

    def checks(self, words: Words, layout: Layout) -> Bits:
        """See `StorageProtection.checks`."""
        return self.syndromes(self.grouped(words, layout.width_bits), layout.width_bits).astype(np.uint64)


@lru_cache(maxsize=64)
def _columns(words: int, width_bits: int) -> IntArray:
    return np.array(syndrome_columns(width_bits, words, in_place=False), np.int64)
