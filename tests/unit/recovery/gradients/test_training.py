"""What the gradients are for: strong multipliers are trained further in equal steps."""

import pytest
import torch

from laxity.circuits import catalogue
from laxity.core.plan import Recovery
from laxity.emulate.build import emulated
from laxity.recovery import with_gradient
from laxity.recovery.train import retrain
from laxity.task.splits import batches


def mean_loss(digits, multiplier, name, observed, epochs):
    """Loss on the training samples after training, mean over 3 seeds; the true table judges."""
    x, y = next(batches(digits.task.train, len(digits.task.train)))
    total = 0.0
    for seed in range(3):
        model = digits.build()
        for layer in emulated(model):
            layer.multiplier = catalogue.get(multiplier)
        with with_gradient(model, name, observed):
            retrain(model, digits.task, Recovery(epochs=epochs, learning_rate=1e-3, batch_size=64), seed=seed)
        with torch.no_grad():
            total += float(digits.task.loss(model(x), y))
    return total / 3


def test_truncated_columns(digits):
    """A multiplier that costs more than half of the accuracy, for one epoch."""
    straight = mean_loss(digits, "coltrunc8_10", "straight_through", None, 1)
    assert straight > 0.1
    assert mean_loss(digits, "coltrunc8_10", "table_2d", None, 1) < straight


@pytest.mark.slow
@pytest.mark.parametrize("multiplier", ["optrunc8_5", "momenitwo8_16"])
def test_multipliers_that_destroy_the_network(digits, multiplier):
    straight = mean_loss(digits, multiplier, "straight_through", None, 3)
    assert straight > 0.3
    for name, most in (("error_slope", 1.0), ("table_1d", 1.0), ("table_2d", 0.95)):
        assert mean_loss(digits, multiplier, name, digits.inputs, 3) <= most * straight
