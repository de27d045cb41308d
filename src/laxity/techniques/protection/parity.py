"""MEMORY: parity bits, the cheapest detector of wrong bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand, Protection
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.faults.layout import IntArray, Layout
from laxity.faults.protection import NOWHERE, Bits, CodedProtection, Read, StorageProtection, parity
from laxity.faults.words import Words
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.protection.words import stored_bits

THEN = ("alarm", "zero")


@TECHNIQUES.register("parity")
@dataclass(frozen=True)
class Parity(Approximation):
    """Every group of stored weights has a parity bit, which notices an odd number of wrong bits.

    Attributes:
        words: weights per parity bit, 1 to 64.
        then: ``alarm``: what is noticed is reported, and words are read as they are; ``zero``: the weight is read as
            zero instead, which only a parity bit for every single weight allows.

    Source of ``zero``: the baseline of that name in H. Guan et al., "In-place zero-space memory protection for CNN",
    NeurIPS 2019.
    """

    kind: ClassVar[str] = "parity"
    slot: ClassVar[Slot] = Slot.MEMORY

    words: int = 1
    then: str = "alarm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.words <= 64:
            raise PlanError(f"words of 'parity' must be between 1 and 64, not {self.words}")
        if self.then not in THEN:
            raise PlanError(f"then of 'parity' cannot be {self.then!r}{did_you_mean(self.then, THEN)}")
        if self.then == "zero" and self.words > 1:
            raise PlanError(
                f"then='zero' of 'parity' needs a parity bit for every weight, and {self.words} weights share one; set "
                "words to 1"
            )

    def label(self) -> str:
        """For example ``parity/8`` or ``parity zero``."""
        return "parity zero" if self.then == "zero" else f"parity/{self.words}"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Protect the memory.

        Raises:
            PlanError: a site stores words of several widths.
        """
        for layer in layers:
            coder = None if layer.operand is None else layer.operand.weight
            if self.then == "zero" and coder is not None and not coder.symmetric:
                raise PlanError(
                    f"site {layer.site.name!r} stores codes with zero-points, and 'parity' reads the word 0 for zero; "
                    "use weight_scheme='symmetric' or then='alarm'"
                )
            stored_bits(layer, self.kind)
            layer.memory = ZeroingStorage() if self.then == "zero" else ParityStorage(self.words)

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """One parity bit per word."""
        return [cls()]

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """One bit per group, and a tree of exclusive ors where weights are read."""
        circuit = f"{'parityzero' if self.then == 'zero' else 'parity'}{demand.weight_bits}x{self.words}"
        return replace(demand, protection=Protection(circuit, self.words, 1))


@dataclass(frozen=True, slots=True)
class ParityStorage(CodedProtection):
    """Even parity of groups of words.

    Attributes:
        words: per parity bit.
    """

    words: int

    @property
    def form(self) -> str:
        """See `StorageProtection.form`."""
        return f"parity of every {self.words} weights" if self.words > 1 else "parity of every weight"

    def group(self, width_bits: int) -> int:
        """See `CodedProtection.group`."""
        return self.words

    def check_words(self, words: int, width_bits: int) -> int:
        """See `StorageProtection.check_words`: one bit per group."""
        return -(-words // self.words)

    def checks(self, words: Words, layout: Layout) -> Bits:
        """See `StorageProtection.checks`."""
        return parity(np.bitwise_xor.reduce(self.grouped(words, layout.width_bits), axis=1))

    def left(self, errors: Bits, check_errors: Bits, width_bits: int) -> tuple[Bits, NDArray[np.bool_]]:
        """See `CodedProtection.left`."""
        odd = parity(np.bitwise_xor.reduce(errors, axis=1) ^ check_errors) != 0
        return errors.copy(), odd


@dataclass(frozen=True, slots=True)
class ZeroingStorage(StorageProtection):
    """Even parity of every word; a word with wrong parity is read as the word 0, without an alarm."""

    @property
    def form(self) -> str:
        """See `StorageProtection.form`."""
        return "parity of every weight, zero if wrong"

    def check_words(self, words: int, width_bits: int) -> int:
        """See `StorageProtection.check_words`."""
        return words

    def checks(self, words: Words, layout: Layout) -> Bits:
        """See `StorageProtection.checks`."""
        return parity(words.astype(np.uint64))

    def read(self, stored: Words, struck: Words, layout: Layout, places: IntArray) -> Read:
        """See `StorageProtection.read`."""
        return Read.of(self.read_all(stored, struck, layout, np.zeros(len(stored), np.uint64))[0])

    def read_checks(self, flips: Bits, numbers: IntArray, stored: Words, layout: Layout) -> Read:
        """See `StorageProtection.read_checks`: a wrong parity bit costs a right word."""
        mask = np.where(flips != 0, stored[numbers].astype(np.uint64), np.uint64(0))
        none = np.zeros(len(flips), np.bool_)
        return Read(np.zeros(len(flips), np.uint64), none, np.where(mask != 0, numbers, NOWHERE), mask)

    def read_all(self, stored: Words, struck: Words, layout: Layout, flips: Bits) -> tuple[Words, NDArray[np.bool_]]:
        """See `StorageProtection.read_all`."""
        odd = parity(stored.astype(np.uint64) ^ struck.astype(np.uint64)) != flips
        return np.where(odd, stored.dtype.type(0), struck), np.zeros(len(stored), np.bool_)
