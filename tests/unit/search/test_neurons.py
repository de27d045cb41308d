"""AxNN and ApproxANN: which neurons, how many, and that computation and memory together save more."""

import numpy as np
import pytest

from laxity.core.errors import ConfigError
from laxity.core.plan import Plan, Recovery
from laxity.evaluation.evaluator import Setup
from laxity.search.filters import approxann, axnn, resilient
from laxity.techniques import FilterMultipliers

SETUP = Setup(task={"spec": "digits"}, target="mac-array-45nm", probe_samples=128, search_samples=200)
SHORT = Recovery(epochs=1, samples=256, reestimate=False)


def share(evaluation):
    modes = "".join(c.modes for _, _, c in Plan.from_json(evaluation.plan) if isinstance(c, FilterMultipliers))
    return modes.count("1") / len(modes)


def test_the_lowest_scores_of_the_whole_network_are_resilient():
    scores = {"a": np.array([5.0, 1.0, 3.0]), "b": np.array([2.0, 4.0, 1.0])}
    assert resilient(scores, 0.5) == {"a": (0, 1, 0), "b": (1, 0, 1)}
    assert resilient(scores, 0.0) == {"a": (0, 0, 0), "b": (0, 0, 0)}
    assert resilient(scores, 1.0) == {"a": (1, 1, 1), "b": (1, 1, 1)}
    assert resilient(scores, 1 / 6) == {"a": (0, 1, 0), "b": (0, 0, 0)}
    with pytest.raises(ConfigError, match="must be in"):
        resilient(scores, 1.2)


@pytest.mark.slow
def test_axnn_finds_the_largest_class_that_retraining_can_bear(tmp_path):
    found = axnn(
        SETUP,
        ("gated8_0_0", "gated8_0_4"),
        weight_bits=(8, 2),
        recipe=SHORT,
        max_drop=0.02,
        resolution=4,
        folder=tmp_path,
    )
    assert found.exact.drop <= 0.02
    assert found.tried[0].fraction == 1.0
    assert not found.tried[0].accepted, "all neurons with 2-bit weights are too much for one short epoch"
    for threshold in found.tried:
        assert share(threshold.before) == share(threshold.after) == pytest.approx(threshold.fraction, abs=0.01)
        assert threshold.accepted == (threshold.after.drop <= 0.02)
        assert Plan.from_json(threshold.after.plan).recovery == SHORT
        assert Plan.from_json(threshold.before.plan).recovery is None
    accepted = [t.fraction for t in found.tried if t.accepted]
    assert found.chosen is not None
    assert found.chosen.fraction == max(accepted) < min(t.fraction for t in found.tried if not t.accepted)
    assert found.chosen.after.energy_ratio < found.exact.energy_ratio
    with pytest.raises(ConfigError, match="resolution must be at least 1"):
        axnn(SETUP, ("gated8_0_0", "gated8_0_4"), resolution=0)


@pytest.mark.slow
def test_computation_and_memory_save_more_than_computation_at_the_same_bound(tmp_path):
    circuits = ["gated8_0_0", "gated8_3_3", "gated8_4_4"]
    options = {"max_drop": 0.03, "block": 0.25, "folder": tmp_path}
    both = approxann(SETUP, circuits, weight_bits=[8, 5, 4], **options)
    compute = approxann(SETUP, circuits, **options)
    assert both.chosen.drop <= 0.03
    assert compute.chosen.drop <= 0.03
    assert both.chosen.energy_ratio < compute.chosen.energy_ratio < 1
    assert both.chosen.memory_bits < compute.chosen.memory_bits == compute.base.memory_bits
