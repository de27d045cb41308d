"""How much of the uncertainty comes from the faults, how much from the images, and how many images a fault deserves.

An outcome is the mean, plus an effect of its fault, plus an effect of its image, plus a rest. A campaign evaluates some
pairs of fault and image, not all. Variance components are estimated by equating sums of squared differences of pairs of
outcomes with their expectations: pairs that share the fault differ by image and rest, pairs that share the image by
    fault and rest, and all pairs together by all three.

Source: C. R. Henderson's first method (Biometrics 9, 1953, 226) in the form of U-statistics for crossed random effects,
K. Gao, A. B. Owen, Electronic J. Statistics 11 (2017) 1235.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from laxity.core.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Variances of a two-way campaign, and the standard error of its mean.

    Attributes:
        mean: of the outcomes.
        fault, image, residual: variance of the fault effect, the image effect and the rest; estimates below 0 are set
            to 0. The residual holds the interaction of fault and image too.
        fault_error, image_error, residual_error: standard errors of the mean due to each.
        faults, images, outcomes: numbers of different faults and images, and of outcomes.
    """

    mean: float
    fault: float
    image: float
    residual: float
    fault_error: float
    image_error: float
    residual_error: float
    faults: int
    images: int
    outcomes: int

    @property
    def standard_error(self) -> float:
        """Of the mean, if faults and images are both samples."""
        return math.hypot(self.fault_error, self.image_error, self.residual_error)

    @property
    def fault_correlation(self) -> float:
        """Correlation of two outcomes of one fault on different images; 0 where nothing varies."""
        total = self.fault + self.image + self.residual
        return self.fault / total if total > 0 else 0.0

    def images_per_fault(self, fault_cost: float = 1.0, image_cost: float = 1.0) -> float:
        """Images per fault that give the least variance for the money, at least 1; infinite where faults do not vary.

        Args:
            fault_cost: of preparing one fault, in any unit.
            image_cost: of one inference with a prepared fault, in the same unit.

        Raises:
            ConfigError: a cost that is not positive.

        Source: two-stage sampling, W. G. Cochran, Sampling Techniques, 3rd ed., chapter 10:
        ``sqrt((c_fault / c_image) * (within / between))``.
        """
        if fault_cost <= 0 or image_cost <= 0:
            raise ConfigError(f"costs are positive, not {fault_cost} and {image_cost}")
        if self.fault == 0:
            return math.inf if self.residual > 0 else 1.0
        return max(1.0, math.sqrt(fault_cost / image_cost * self.residual / self.fault))


def variance_components(faults: ArrayLike, images: ArrayLike, outcomes: ArrayLike) -> VarianceComponents:
    """Estimate the components from sparse triples.

    Args:
        faults: identity of the fault of each outcome; (n,), any integers or strings.
        images: identity of the image of each outcome; (n,).
        outcomes: numbers; (n,).

    Raises:
        DataError: lengths differ, or no fault has two images, no image two faults, or there is only one of either.
    """
    f_index, f_size = _groups(faults)
    i_index, i_size = _groups(images)
    y = np.asarray(outcomes, dtype=np.float64)
    if not (y.ndim == 1 and y.size == f_index.size == i_index.size and np.all(np.isfinite(y))):
        raise DataError("faults, images and outcomes are rows of the same length, with finite outcomes")
    n, r, c = y.size, f_size.size, i_size.size
    if n in {r, c} or 1 in {r, c}:
        raise DataError(
            f"{n} outcomes of {r} faults on {c} images cannot separate fault from image; "
            "evaluate some faults on several images and some images with several faults"
        )
    sums = (_within(y, f_index, f_size), _within(y, i_index, i_size), float(((y - y.mean()) ** 2).sum()) * n)
    fault_pairs, image_pairs = float((f_size**2).sum()), float((i_size**2).sum())
    # Expectations: within faults, within images, and over all pairs; unknowns: fault, image, residual.
    system = np.array([[0, n - r, n - r], [n - c, 0, n - c], [n**2 - fault_pairs, n**2 - image_pairs, n**2 - n]], float)
    fault, image, residual = (max(0.0, float(x)) for x in np.linalg.solve(system, np.array(sums)))
    return VarianceComponents(
        mean=float(y.mean()),
        fault=fault,
        image=image,
        residual=residual,
        fault_error=math.sqrt(fault * fault_pairs) / n,
        image_error=math.sqrt(image * image_pairs) / n,
        residual_error=math.sqrt(residual / n),
        faults=r,
        images=c,
        outcomes=n,
    )


def _groups(labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    _, index, size = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return index.ravel(), size.astype(np.float64)


def _within(y: np.ndarray, index: np.ndarray, size: np.ndarray) -> float:
    """Sum of squared deviations from the means of the groups."""
    means = np.bincount(index, y) / size
    return float(((y - means[index]) ** 2).sum())
