"""A toy world: plans whose energy and harm are sums over their choices."""

from types import SimpleNamespace

import pytest

from laxity.core.op import Op, Site
from laxity.core.plan import Plan
from laxity.core.records import Evaluation, Quality
from laxity.core.slots import Slot
from laxity.core.space import Space, Variable
from laxity.search.sensitivity import Probe
from laxity.techniques import CircuitMultiplier, Integer, MagnitudePruning

CHOICES = {
    Slot.OPERAND: [Integer(w, 8) for w in (7, 6, 5, 4, 3)],
    Slot.STRUCTURE: [MagnitudePruning(d) for d in (0.9, 0.7, 0.5, 0.3)],
    Slot.MULTIPLIER: [CircuitMultiplier(n) for n in ("drum8_6", "drum8_5", "drum8_4", "drum8_3")],
}


def make_evaluation(plan, stage, energy_ratio, divergence, drop):
    quality = Quality("accuracy", 0.9 - drop, 0.8, 0.95, 0.3, 200, "validation")
    return Evaluation(
        plan.key, plan.to_json(), "toy", "f00", "toy", 0, stage, "", quality, drop, 0.0, 0.0, divergence,
        energy_ratio * 100, energy_ratio, 1.0, 1.0, 1.0, 0.0, {},
    )  # fmt: skip


class ToyPool:
    """Answers as a pool does, from tables: (site, choice) -> (saving, harm); repair divides the harm."""

    def __init__(self, table, repair=None):
        self.table, self.repair = table, repair or {}
        self.asked = []
        self._journal = {}

    def effect(self, plan):
        savings, harms = (
            zip(*(self.table.get((s, c), (0.0, 0.0)) for s, _, c in plan), strict=True) if plan.choices else ((), ())
        )
        harm = sum(harms)
        epochs = plan.recovery.epochs if plan.recovery else 0
        if epochs:
            harm = self.repair(plan, harm) if callable(self.repair) else harm * 0.5
        return 1 - sum(savings), harm

    def prices(self, plans, what):
        return [self.effect(plan)[0] for plan in plans]

    def run(self, plans, stage, what):
        found = []
        for plan in plans:
            key = plan.key, stage
            if key not in self._journal:
                self.asked.append((plan, stage, what))
                energy_ratio, harm = self.effect(plan)
                self._journal[key] = make_evaluation(plan, stage, energy_ratio, harm, harm)
            found.append(self._journal[key])
        return found


def make_space(places):
    """Places: name -> slot; all choices of the slot are candidates."""
    variables = [Variable(f"{name}/{slot.value}", (name,), slot, (None, *CHOICES[slot])) for name, slot in places]
    return Space(tuple(variables), Plan())


def make_probes(space, table):
    return [
        Probe(v.name, v.slot, c, *table[v.sites[0], c], 0.0)
        for v in space.variables
        for c in v.candidates[1:]
        if (v.sites[0], c) in table
    ]


def make_sites(names):
    op = Op("linear", (4,), (4, 4), (4,), 1, 1, 4, 4)
    return [Site(n, op, (Slot.STRUCTURE, Slot.OPERAND, Slot.MULTIPLIER), n) for n in names]


@pytest.fixture(scope="session")
def toy():
    return SimpleNamespace(
        Pool=ToyPool,
        choices=CHOICES,
        evaluation=make_evaluation,
        space=make_space,
        probes=make_probes,
        sites=make_sites,
    )
