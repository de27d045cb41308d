"""Quality and comparison of predictions against plain counting."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from laxity.evaluation.quality import Predictions, compare, predict


def predictions(seed, samples=40, classes=5):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.standard_normal((samples, classes)).astype(np.float32))
    targets = np.random.default_rng(99).integers(0, classes, samples)
    return Predictions(logits, targets, float(F.cross_entropy(logits, torch.from_numpy(targets))), "validation")


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 500), st.integers(0, 500))
def test_comparison_is_counting(one, other):
    before, after = predictions(one), predictions(other)
    found = compare(before, after)
    right = [int(before.logits[i].argmax()) == before.targets[i] for i in range(40)]
    later = [int(after.logits[i].argmax()) == after.targets[i] for i in range(40)]
    assert found.drop == pytest.approx((sum(right) - sum(later)) / 40)
    assert (
        found.disagreement
        == sum(int(a.argmax()) != int(b.argmax()) for a, b in zip(before.logits, after.logits, strict=True)) / 40
    )
    p, q = torch.softmax(before.logits.double(), 1), torch.softmax(after.logits.double(), 1)
    assert found.divergence == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-4, abs=1e-6)
    differences = np.array(right, float) - np.array(later, float)
    assert found.error == pytest.approx(differences.std() / np.sqrt(40))


def test_nothing_changes_against_itself():
    found = compare(predictions(1), predictions(1))
    assert (found.drop, found.error, found.disagreement, found.divergence) == (0, 0, 0, 0)


def test_first_samples_are_judged_alone():
    whole = predictions(3)
    part = whole.first(10, F.cross_entropy)
    assert part.logits.shape == (10, 5)
    assert part.loss == pytest.approx(float(F.cross_entropy(whole.logits[:10], torch.from_numpy(whole.targets[:10]))))
    assert whole.first(40, F.cross_entropy) is whole
    assert whole.first(99, F.cross_entropy) is whole
    assert part.quality().samples == 10


def test_predictions_of_a_task(digits):
    task = digits.task
    found = predict(digits.original, task, "test")
    x, y = task.test.fetch(range(len(task.test)))
    with torch.no_grad():
        logits = digits.original(x)
    torch.testing.assert_close(found.logits, logits, rtol=1e-4, atol=1e-4)
    assert found.loss == pytest.approx(float(task.loss(logits, y)), rel=1e-4)
    quality = found.quality()
    assert quality.value == int((logits.argmax(1) == y).sum()) / 500
    assert quality.low <= quality.value <= quality.high
    assert quality.samples == 500
    limited = predict(digits.original, task, "test", limit=70)
    torch.testing.assert_close(limited.logits, found.logits[:70], rtol=1e-4, atol=1e-4)
