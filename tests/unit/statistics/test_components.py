"""Variance components: the analysis of variance of balanced data, and simulated crossed effects."""

from __future__ import annotations

import math

import numpy as np
import pytest

from laxity.core.errors import ConfigError, DataError
from laxity.core.seeds import stream
from laxity.statistics import VarianceComponents, variance_components


def test_balanced_data_give_the_analysis_of_variance() -> None:
    r, c = 7, 5
    y = stream(0, "balanced").normal(0, 1, (r, c)) + np.arange(r)[:, None] + 2 * np.arange(c)
    faults, images = np.indices((r, c)).reshape(2, -1)
    mean = y.mean()
    ms_fault = c * ((y.mean(1) - mean) ** 2).sum() / (r - 1)
    ms_image = r * ((y.mean(0) - mean) ** 2).sum() / (c - 1)
    rest = y - y.mean(1, keepdims=True) - y.mean(0, keepdims=True) + mean
    ms_rest = (rest**2).sum() / ((r - 1) * (c - 1))
    found = variance_components(faults, images, y.ravel())
    assert found.fault == pytest.approx((ms_fault - ms_rest) / c)
    assert found.image == pytest.approx((ms_image - ms_rest) / r)
    assert found.residual == pytest.approx(ms_rest)
    assert found.standard_error**2 == pytest.approx(found.fault / r + found.image / c + found.residual / (r * c))


def sparse(seed: int, spread: tuple[float, float, float]) -> VarianceComponents:
    random = stream(seed, "sparse")
    pairs = np.unique(random.integers(0, [120, 80], (2500, 2)), axis=0)
    fault, image = random.normal(0, spread[0], 120), random.normal(0, spread[1], 80)
    y = fault[pairs[:, 0]] + image[pairs[:, 1]] + random.normal(0, spread[2], len(pairs))
    return variance_components(pairs[:, 0], pairs[:, 1], y)


@pytest.mark.parametrize("spread", [(1.0, 0.2, 0.5), (0.1, 1.0, 0.5), (0.7, 0.7, 0.1)])
def test_sparse_data_recover_the_truth(spread: tuple[float, float, float]) -> None:
    found = [sparse(k, spread) for k in range(40)]
    for name, true in zip(("fault", "image", "residual"), spread, strict=True):
        mean = np.mean([getattr(f, name) for f in found])
        assert mean == pytest.approx(true**2, rel=0.12, abs=0.007)


def test_the_standard_error_is_that_of_repeated_campaigns() -> None:
    found = [sparse(k, (1.0, 0.5, 0.5)) for k in range(150)]
    assert np.std([f.mean for f in found]) == pytest.approx(np.mean([f.standard_error for f in found]), rel=0.2)


def test_labels_may_be_anything() -> None:
    y = [1.0, 2.0, 4.0, 3.0]
    numbers = variance_components([0, 0, 9, 9], [3, 5, 3, 5], y)
    assert variance_components(["a", "a", "b", "b"], ["x", "y", "x", "y"], y) == numbers
    assert (numbers.faults, numbers.images, numbers.outcomes) == (2, 2, 4)


def test_images_per_fault_are_the_cheapest() -> None:
    found = VarianceComponents(0, 0.1, 0.0, 0.9, 0, 0, 0, 10, 10, 100)
    best = found.images_per_fault(fault_cost=4.0, image_cost=1.0)
    assert best == pytest.approx(6.0)

    def price(m: float) -> float:
        return (0.1 + 0.9 / m) * (4.0 + m)

    assert price(best) <= min(price(m) for m in np.linspace(1, 30, 500)) + 1e-12
    assert VarianceComponents(0, 0.9, 0.0, 0.1, 0, 0, 0, 10, 10, 100).images_per_fault() == 1
    assert VarianceComponents(0, 0.0, 0.0, 0.1, 0, 0, 0, 10, 10, 100).images_per_fault() == math.inf
    assert found.fault_correlation == pytest.approx(0.1)
    assert VarianceComponents(0, 0, 0, 0, 0, 0, 0, 10, 10, 100).fault_correlation == 0
    with pytest.raises(ConfigError, match="costs"):
        found.images_per_fault(0)


def test_bad_input() -> None:
    with pytest.raises(DataError, match="cannot separate"):
        variance_components([0, 1, 2], [0, 0, 1], [1, 2, 3])
    with pytest.raises(DataError, match="cannot separate"):
        variance_components([0, 0, 0], [0, 1, 1], [1, 2, 3])
    with pytest.raises(DataError, match="same length"):
        variance_components([0, 0], [0, 1, 1], [1, 2, 3])
    with pytest.raises(DataError, match="finite"):
        variance_components([0, 0, 1, 1], [0, 1, 0, 1], [1, 2, 3, math.nan])
