"""What a site asks of the hardware, independent of any target."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from laxity.core.guarding import Guarding
from laxity.core.op import Site

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class OperandTrace:
    """Operands that a processing element of a weight-stationary array really sees, sampled from the running network.

    Every segment holds one weight and the activations that stream past it, with the partial sums that arrive with them.

    Attributes:
        activations: magnitudes, int64 (segments, steps).
        activation_signs: 0 or 1, int64 (segments, steps).
        weights: magnitudes, int64 (segments,).
        weight_signs: 0 or 1, int64 (segments,).
        partial_sums: signed, int64 (segments, steps).
    """

    activations: IntArray
    activation_signs: IntArray
    weights: IntArray
    weight_signs: IntArray
    partial_sums: IntArray

    @property
    def key(self) -> str:
        """Content hash."""
        digest = hashlib.sha256()
        for part in (self.activations, self.activation_signs, self.weights, self.weight_signs, self.partial_sums):
            digest.update(np.ascontiguousarray(part, dtype=np.int64).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Accumulation:
    """How products are added where it is not done exactly.

    Attributes:
        adder: catalogue name of the adder, whose width is that of the sums.
        overflow: ``wrap`` or ``saturate``.
        chain: products per chain, each of which starts at 0, the sums of the chains being added exactly; 0 for all.
    """

    adder: str
    overflow: str = "wrap"
    chain: int = 0


@dataclass(frozen=True, slots=True)
class Mode:
    """How some of a site's filters are computed.

    Attributes:
        multiplier: catalogue name of the unsigned core multiplier.
        weight_bits: bits that the stored weights of these filters have.
        share: fraction of the site's multiply-accumulates, and of its weights, above 0 and at most 1.
    """

    multiplier: str
    weight_bits: int
    share: float


@dataclass(frozen=True, slots=True)
class Protection:
    """How the stored weights of a site are protected against faults.

    Attributes:
        circuit: name of what reads a code word, see `laxity.circuits.protection`; empty where nothing has to be done.
        weights: weights in one code word.
        check_bits: bits that are stored besides for each code word.
    """

    circuit: str
    weights: int
    check_bits: int


@dataclass(frozen=True, slots=True)
class Demand:
    """Work and storage of one site for one sample.

    Attributes:
        site, kind: as in `Site` and `Op`.
        groups, rows, reduction, columns, calls: the equivalent matrix product, as in `Op`.
        macs: multiply-accumulates that are executed (may be fewer than the shape says).
        weight_elements, input_elements, output_elements: values.
        weight_nonzeros: weights that are not zero.
        weight_bits, input_bits, output_bits, accumulator_bits: word widths.
        index_bits: bits stored beside each non-zero weight to tell its place; 0 for dense storage.
        multiplier: catalogue name of the unsigned core multiplier; codes narrower than its operands use the upper bits.
        fraction_bits: bits of a product below the unit (input code) x (weight code), which circuits that approximate
            narrow codes in the upper bits of their operands may produce.
        accumulation: how products are added, or None for exact sums that wrap at `accumulator_bits`.
        arithmetic: what a multiply-accumulate computes, in words; a cost model refuses what it has no circuit for.
        taps: kernel positions that the reduction runs over for each input channel; 1 where there is no kernel.
        modes: how the filters are computed where they are not all alike, with shares that sum to 1; `multiplier` and
            `weight_bits` are then those of the most exact mode. Empty: all filters as these two say.
        correction_bits: low bits of every input whose sum over the reduction, made once for all filters, corrects every
            output by a multiplication and an addition (control variate); 0 for none.
        protection: of the stored weights, or None.
        guard: what is done besides to look after the outputs, or None.
        trace: sampled operands, or None where none was taken.
    """

    site: str
    kind: str
    groups: int
    rows: int
    reduction: int
    columns: int
    calls: int
    macs: float
    weight_elements: int
    weight_nonzeros: int
    input_elements: int
    output_elements: int
    weight_bits: int
    input_bits: int
    output_bits: int
    accumulator_bits: int
    index_bits: int
    multiplier: str
    fraction_bits: int = 0
    accumulation: Accumulation | None = None
    arithmetic: str = "integer"
    taps: int = 1
    modes: tuple[Mode, ...] = ()
    correction_bits: int = 0
    protection: Protection | None = None
    guard: Guarding | None = None
    trace: OperandTrace | None = field(default=None, compare=False)

    @staticmethod
    def of(site: Site) -> Demand:
        """The demand of the unapproximated site in 8-bit integers with an exact multiplier."""
        op = site.op
        return Demand(
            site=site.name,
            kind=op.kind,
            groups=op.groups,
            rows=op.rows,
            reduction=op.reduction,
            columns=op.columns,
            calls=op.calls,
            macs=float(op.macs),
            weight_elements=op.weight_elements,
            weight_nonzeros=op.weight_elements,
            input_elements=op.input_elements,
            output_elements=op.output_elements,
            weight_bits=8,
            input_bits=8,
            output_bits=8,
            accumulator_bits=32,
            index_bits=0,
            multiplier=EXACT_MULTIPLIER,
            taps=1 if op.kind.startswith("conv_transpose") else math.prod(op.weight_shape[2:]),
        )

    @property
    def widest_weight_bits(self) -> int:
        """Bits of the weights of the mode that keeps most of them: the width of the codes that all modes share."""
        return max([self.weight_bits, *(mode.weight_bits for mode in self.modes)])

    @property
    def mean_weight_bits(self) -> float:
        """Bits of a stored weight, the mean over the weights of all modes."""
        if self.modes:
            return sum(mode.share * mode.weight_bits for mode in self.modes)
        return float(self.weight_bits)

    @property
    def weight_storage_bits(self) -> int:
        """Bits to store the weights: dense, or non-zeros with their indices where that is declared; and check bits.

        All of that as often as copies of the computation have weights of their own.

        Non-zeros are taken to be spread over the modes as all weights are. Indices are not protected.
        """
        each = self.mean_weight_bits + self.index_bits
        check = 0 if self.protection is None else self.protected_words * self.protection.check_bits
        copies = self.guard.copies if self.guard is not None and self.guard.copied_weights else 1
        return copies * (round(self.stored_weights * each) + check)

    @property
    def stored_weights(self) -> int:
        """Weights that are stored: all, or the non-zeros where indices tell their places."""
        return self.weight_nonzeros if self.index_bits else self.weight_elements

    @property
    def protected_words(self) -> int:
        """Code words of protected weights, the last one with fewer weights where they do not come out even."""
        return 0 if self.protection is None else -(-self.stored_weights // self.protection.weights)


EXACT_MULTIPLIER = "dadda8"
