"""Resources of a given device on their way from a cost to the files of a run and to standard output."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from laxity.artifacts.details import metrics
from laxity.cli.result import print_result
from laxity.core.estimate import Basis, Estimate
from laxity.core.records import Cost
from laxity.evaluation.quality import Predictions


def cost(energy_pj: float, **resources: float) -> Cost:
    def point(value: float, unit: str) -> Estimate:
        return Estimate.point(value, unit, Basis.MODELLED, "made up")

    return Cost(
        (("conv", "multiplier", point(energy_pj, "pJ")),),
        point(0, "um2"),
        point(10, "cycles"),
        point(8, "bit"),
        resources={name: point(value, name.upper()) for name, value in resources.items()},
    )


@pytest.fixture
def predictions() -> Predictions:
    targets = np.array([0, 1, 1, 0])
    return Predictions(torch.eye(2)[targets], targets, 0.0, "test")


def test_resources_of_a_device_are_told(predictions, capsys):
    found = metrics("task", "target", 0, predictions, predictions, cost(4.0, lut=51_703, dsp=5), cost(2.0, lut=40_001))
    assert found["resources"] == {"int8_exact": {"lut": 51_703, "dsp": 5}, "approximated": {"lut": 40_001}}
    print_result(found)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["LUT"])
    assert "40\u202f001" in line
    assert "exact 8-bit 51\u202f703" in line


def test_a_chip_of_its_own_has_none(predictions, capsys):
    found = metrics("task", "target", 0, predictions, predictions, cost(4.0), cost(2.0))
    assert "resources" not in found
    print_result(found)
    assert "LUT" not in capsys.readouterr().out
