"""The populations that come with laxity conform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from laxity.campaign import POPULATIONS
from laxity.campaign.populations import Weights
from laxity.cli.subject import load_network
from laxity.core.errors import ConfigError
from laxity.evaluation.injection import private_copy
from laxity.faults import BitFlip, StuckAt
from laxity.testing.population import check_population


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("weights", "original"),
        ("weights", "int8_exact"),
        ("activations", "original"),
        ("activations", "int8_exact"),
        ("neurons", "original"),
        ("accumulators", "int8_exact"),
        ("macs", "int8_exact"),
        ("gates", "int8_exact"),
    ],
)
def test_built_in_populations(kind: str, network: str) -> None:
    model, task = load_network("digits", {}, network)
    own, _ = private_copy(model, task.example_input)
    inputs = task.test.fetch(range(6))[0]
    fault = StuckAt(0.0) if kind == "gates" else BitFlip(0.0)
    options = {"rows": 8, "columns": 8} if kind in ("gates", "macs") else {}
    check_population(POPULATIONS[kind].of(own, fault, inputs[:3], options), own, inputs)


class Wrong(Weights):
    """Says that a cell is harmless that is not, forgets others, and remembers the faults before."""

    def parts(self):  # type: ignore[no-untyped-def]
        return super().parts()[:1]

    def logits(self, faults, golden):  # type: ignore[no-untyped-def]
        found = super().logits(faults, golden) if np.all(faults.site < self.cells.sites[faults.cell]) else golden.logits
        return found + torch.arange(len(found))[:, None] * torch.tensor([3.0] + [0.0] * (found.shape[1] - 1))


def test_what_does_not_conform_is_listed() -> None:
    model, task = load_network("digits", {}, "original")
    own, memories = private_copy(model, task.example_input)
    inputs = task.test.fetch(range(6))[0]
    with pytest.raises(ConfigError) as error:
        check_population(Wrong(own, memories, BitFlip(0.0), inputs[:3]), own, inputs)
    for message in ("not registered for this class", "every cell exactly once", "beside it", "is not refused"):
        assert message in str(error.value)
