"""The digits task and three networks of it, built once."""

from types import SimpleNamespace

import pytest
import torch

from laxity.core.plan import Plan
from laxity.emulate import approximate
from laxity.sites import prepare
from laxity.task.load import load_task
from laxity.techniques import CircuitMultiplier, Integer, MagnitudePruning


@pytest.fixture(scope="session")
def digits():
    """The task, its sites, and the original, the exact 8-bit and an approximated network; treat as read-only."""
    torch.set_num_threads(1)
    task = load_task("digits")
    sites = prepare(task.model, task.example_input).sites

    def build(*choices, at=None):
        chosen = [s for s in sites if at is None or s.name in at]
        return approximate(task, Plan.assign(chosen, list(choices)))

    return SimpleNamespace(
        task=task,
        sites=sites,
        build=build,
        original=task.model,
        exact=build(Integer()),
        approximated=build(MagnitudePruning(0.5), Integer(6, 8), CircuitMultiplier("drum8_4")),
    )
