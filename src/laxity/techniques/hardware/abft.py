"""GUARD: algorithm-based fault tolerance: one filter more, whose outputs the others must add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.guarding import Guarding
from laxity.core.op import Op, Site
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.data.codes import IntegerOperands
from laxity.techniques.guard import Evidence, OutputGuard, Place

THRESHOLDS = ("bound", "predicted", "measured")
GRANULARITIES = ("tensor", "position", "total")
RESPONSES = ("alarm", "recompute", "reload")
NARROWEST, WIDEST = 8, 52
"""Bits of the sums that are compared; the widest are whole numbers that float64 holds in sums of both signs."""


@dataclass(frozen=True, slots=True)
class Checking:
    """How residuals are judged; parameters as in `Abft`."""

    threshold: str
    granularity: str
    false_alarms: float
    margin: float
    fitted: bool
    inputs: bool
    response: str
    bits: int


@TECHNIQUES.register("abft")
@dataclass(frozen=True)
class Abft(Approximation):
    """The sum over the output channels of a group is compared with the output of one more filter, their sum.

    Exact integers: both are equal modulo ``2**bits``, so that there is no false alarm, and every fault is noticed that
    changes a sum by anything but a multiple of that. Floating point: they differ by rounding, which with
    ``threshold="bound"`` is bounded by 2 gamma_m times the same filter sum of magnitudes, gamma_m = m u / (1 - m u)
    with m = reduction + outputs + 3 roundings of u = 2^-24. Approximate multipliers: the checksum filter multiplies
    exactly, and the difference (residual) is the sum of all errors of the circuit at that position.

    Attributes:
        threshold: which residuals are no alarm.
            ``bound``: those that any operands can give, from the table of errors; no false alarm is possible.
            ``predicted``: mean and deviation from the table of errors under the histogram of the operands, taken as
            independent and the residual as normal; a prediction, not a guarantee.
            ``measured``: the largest deviation from the mean, over the positions of a sample, that calibration samples
            have but for a share `false_alarms`; holds for samples drawn like these, whatever the distribution.
        granularity: what is judged. ``tensor``: the residual of every position, by one interval for a site.
            ``position``: the same by an interval for each position. ``total``: the sum of the residuals of all
            positions of a group, in which wrong weights, which meet every position, stand out, and single wrong sums do
            not. The last two are for ``measured``.
        false_alarms: share of the runs of the site that may give a false alarm, fraction.
        margin: factor on the accepted deviation, from 1 on.
        fitted: add to each weight of the checksum filter the slope, rounded to a whole number, with which the error of
            the products at its place grows with the activation, so that less is left for the threshold.
        inputs: besides, the words of the channels at each position of the input are added where they are written, and
            again where they are read, modulo ``2**bits``; every changed word is noticed.
        response: ``alarm``: a noticed fault is reported. ``recompute``: the site is computed again, which corrects
            what happened once in the computation; other faults give the alarm again. ``reload``: weights are fetched
            again from a protected copy too, which corrects stored weights as well. Activations are never corrected.
        bits: width of the sums that are compared, 8 to 52.

    Source: K.-H. Huang, J. A. Abraham, "Algorithm-based fault tolerance for matrix operations", IEEE Trans. Computers
    C-33 (1984) 518; for convolutions K. Zhao et al., "FT-CNN", IEEE TPDS 32 (2021) 1677; gamma_m is that of N. J.
    Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 2002.
    """

    kind: ClassVar[str] = "abft"
    slot: ClassVar[Slot] = Slot.GUARD

    threshold: str = "bound"
    granularity: str = "tensor"
    false_alarms: float = 0.01
    margin: float = 1.0
    fitted: bool = False
    inputs: bool = False
    response: str = "alarm"
    bits: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("threshold", THRESHOLDS), ("granularity", GRANULARITIES), ("response", RESPONSES)):
            value = getattr(self, name)
            if value not in known:
                raise PlanError(f"{name} of 'abft' cannot be {value!r}{did_you_mean(value, known)}; use one of {known}")
        if not 0 < self.false_alarms < 1:
            raise PlanError(f"false_alarms of 'abft' is a fraction between 0 and 1, not {self.false_alarms}")
        if not 1 <= self.margin < math.inf:
            raise PlanError(f"margin of 'abft' is a factor from 1 on, not {self.margin}")
        if not NARROWEST <= self.bits <= WIDEST:
            raise PlanError(f"bits of 'abft' must be between {NARROWEST} and {WIDEST}, not {self.bits}")
        if self.granularity != "tensor" and self.threshold != "measured":
            raise PlanError(
                f"'abft' has one {self.threshold} interval for the residuals of a site; use granularity 'tensor', or "
                "threshold 'measured'"
            )

    def label(self) -> str:
        """For example ``abft measured fitted recompute``."""
        words = ["abft", "" if self.threshold == "bound" else self.threshold]
        words += {"position": ["per position"], "total": ["in total"]}.get(self.granularity, [])
        words += ["fitted"] * self.fitted
        words += ["with inputs"] * self.inputs + [self.response] * (self.response != "alarm")
        return " ".join(word for word in words if word)

    def check(self, site: Site) -> None:
        """See `Approximation.check`."""
        if site.op.kind.startswith("conv_transpose"):
            raise PlanError(
                f"site {site.name!r} is a transposed convolution, whose sums overlap; 'abft' checks convolutions and "
                "linear layers; use 'redundancy' there"
            )

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Give every layer a guard that accepts everything until it is calibrated.

        Raises:
            PlanError: a site has codes that are no whole numbers, or a threshold that its arithmetic does not have.
        """
        checking = Checking(*(getattr(self, name) for name in Checking.__slots__))
        for layer in layers:
            self._check_operand(layer)
            guard = ChecksumGuard(layer.site.op, checking)
            layer.guard = guard.to(layer.weight.device)

    def _check_operand(self, layer: Layer) -> None:
        name, operand = layer.site.name, layer.operand
        if operand is None:
            if self.threshold == "predicted" or self.fitted:
                raise PlanError(
                    f"site {name!r} computes in floating point, which has no table of errors; use threshold 'bound' or "
                    "'measured' of 'abft' there, not fitted"
                )
        elif not isinstance(operand, IntegerOperands):
            raise PlanError(
                f"'abft' checks whole numbers and float32, and site {name!r} has codes of another kind; use the "
                "OPERAND choice 'integer' there, or 'redundancy'"
            )

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """Alarms, and everything put right that can be; nothing for transposed convolutions."""
        return [] if site.op.kind.startswith("conv_transpose") else [cls(), cls(response="reload")]

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """One more filter per group, and the sums."""
        filter_bits = demand.widest_weight_bits + (demand.columns - 1).bit_length() + self.fitted
        done = Guarding(
            check_filters=1, check_weight_bits=filter_bits, check_bits=self.bits, checked_inputs=self.inputs
        )
        return replace(demand, guard=done)


class ChecksumGuard(OutputGuard):
    """Which residuals of a layer are no alarm.

    Args:
        op: the operation of the layer.
        checking: how residuals are judged.

    Attributes:
        low, high: least and greatest residual that is no alarm, float64 (1,) or (checks,), in units of (input code) x
            (weight code), or of outputs in floating point.
        slopes: added to the checksum filter, float64, one per tap of each group; empty where it is not fitted.
        samples: calibration runs that a measured interval was judged on, and how many of them lie outside, int64 (2,).
    """

    calibrated: ClassVar[bool] = True
    notices_faults: ClassVar[bool] = True
    wants_residuals: ClassVar[bool] = True

    low: Tensor
    high: Tensor
    slopes: Tensor
    samples: Tensor

    def __init__(self, op: Op, checking: Checking) -> None:
        super().__init__()
        self.checking = checking
        count = positions(op) if checking.granularity == "position" else 1
        slopes = (op.groups, op.reduction) if checking.fitted else (0,)
        self.register_buffer("low", torch.full((count,), -torch.inf, dtype=torch.float64))
        self.register_buffer("high", torch.full((count,), torch.inf, dtype=torch.float64))
        self.register_buffer("slopes", torch.zeros(slopes, dtype=torch.float64))
        self.register_buffer("samples", torch.zeros(2, dtype=torch.int64))

    def accept(self, low: Tensor, high: Tensor) -> None:
        """Set the interval, both ends float64 (1,) or (checks,)."""
        self.low.copy_(low)
        self.high.copy_(high)

    def alarms(self, residuals: Tensor, bounds: Tensor | None) -> Tensor:
        """Which checks give the alarm, bool (n, checks); also where a residual is NaN."""
        if bounds is not None and self.checking.threshold == "bound":
            return ~(residuals.abs() <= bounds)
        return ~((residuals >= self.low) & (residuals <= self.high))

    def notices(self, evidence: Evidence) -> Tensor:
        """See `OutputGuard.notices`."""
        assert evidence.residuals is not None  # they are wanted
        noticed = self.alarms(evidence.residuals, evidence.bounds).any(1)
        if self.checking.inputs and evidence.place is Place.INPUTS:
            noticed = noticed | evidence.changed
        return noticed

    def corrects(self, place: Place) -> bool:
        """See `OutputGuard.corrects`."""
        correcting: dict[Place, tuple[str, ...]] = {
            Place.COMPUTATION: ("recompute", "reload"),
            Place.WEIGHTS: ("reload",),
            Place.INPUTS: (),
        }
        return self.checking.response in correcting[place]


def positions(op: Op) -> int:
    """Sums over output channels that one run of an operation has for one sample."""
    if op.kind == "linear":
        return math.prod(op.output_shape[:-1])
    return op.groups * math.prod(op.output_shape[1:])
