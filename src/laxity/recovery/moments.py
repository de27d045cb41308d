"""Mean and variance of the error of each kernel's output: predicted under independence, and from sampled operands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from laxity.recovery.elements import ElementErrors
from laxity.recovery.observation import FloatArray, SiteObservation


@dataclass(frozen=True, slots=True, eq=False)
class KernelMoments:
    """Mean and variance of ``eps = sum_d e(x_d, w_d)`` of each kernel, in units of (input code) x (weight code).

    Attributes:
        mean: float64 (kernels,).
        variance: float64 (kernels,).
    """

    mean: FloatArray
    variance: FloatArray

    @property
    def spread(self) -> float:
        """Root of the mean variance over kernels: how much errors vary about their kernels' means."""
        return float(np.sqrt(self.variance.mean()))


def independent_moments(errors: ElementErrors, seen: SiteObservation) -> KernelMoments:
    """Predict under the assumption that the operands of one sum are independent of each other.

    ``E eps_k = sum_d mu(w_kd)`` and ``Var eps_k = sum_d sigma^2(w_kd)``. Neighbouring activations are not independent,
    so that the variance is too small for multipliers whose errors have a mean; `sampled_moments` has no such defect.

    Source: reconstructed from the abstract of C. De la Parra, A. Guntoro, A. Kumar, "Efficient accuracy recovery in
    approximate neural networks by systematic error modelling", ASP-DAC 2021.
    """
    mean, variance = errors.moments(seen.histogram)
    if seen.products:
        share = seen.right_histogram
        overall = share @ mean
        spread = share @ (variance + (mean - overall) ** 2)
        return KernelMoments(np.array([overall]) * seen.reduction, np.array([spread]) * seen.reduction)
    codes = (seen.right - errors.right[0]).long().numpy()
    return KernelMoments(mean[codes].sum(1).reshape(-1), variance[codes].sum(1).reshape(-1))


def sampled_moments(sums: Tensor, seen: SiteObservation) -> KernelMoments:
    """Estimate from operands that occurred together, so that their correlation is treated.

    Args:
        sums: errors at the sampled outputs, as `ElementErrors.sums` gives them.
        seen: where they were sampled.
    """
    values = seen.by_kernel(sums).numpy()
    return KernelMoments(values.mean(0), values.var(0))


@dataclass(frozen=True, slots=True)
class MomentsCheck:
    """How predicted moments compare with those measured on operands that the prediction has not seen.

    Attributes:
        site: name.
        correlation: of the means over the kernels, predicted from the histogram and measured; NaN where either does not
            vary.
        sampled_correlation: the same for means that are predicted from operands that occurred together.
        mean_ratio: sum of predicted over sum of measured means; NaN where the latter is 0.
        independent_spread: predicted over measured spread where operands are taken as independent; NaN where errors do
            not vary.
        sampled_spread: the same where their correlation is treated; what is left of the error is its distance from 1.
    """

    site: str
    correlation: float
    sampled_correlation: float
    mean_ratio: float
    independent_spread: float
    sampled_spread: float


def check_moments(errors: ElementErrors, seen: SiteObservation, held_out: SiteObservation) -> MomentsCheck:
    """Predict the moments of one observation in both ways and compare with those of another.

    Args:
        errors: of the multiplier at the site.
        seen: what predictions are made from.
        held_out: the same site for other inputs.
    """
    apriori = independent_moments(errors, seen)
    treated = sampled_moments(errors.sums(seen), seen)
    measured = sampled_moments(errors.sums(held_out), held_out)
    return MomentsCheck(
        seen.site,
        correlation(apriori.mean, measured.mean),
        correlation(treated.mean, measured.mean),
        _ratio(float(apriori.mean.sum()), float(measured.mean.sum())),
        _ratio(apriori.spread, measured.spread),
        _ratio(treated.spread, measured.spread),
    )


def correlation(first: FloatArray, second: FloatArray) -> float:
    """Pearson's correlation, NaN where either does not vary."""
    a, b = first - first.mean(), second - second.mean()
    return _ratio(float(a @ b), float(np.sqrt((a @ a) * (b @ b))))


def _ratio(predicted: float, measured: float) -> float:
    return predicted / measured if measured else float("nan")
