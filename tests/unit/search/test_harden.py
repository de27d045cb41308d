"""Hardening: the chosen set keeps the limit, costs least of those that do, and every claim is that of a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from torch import nn

from laxity.campaign import Aim, Subject, run_campaign
from laxity.core.approximation import Approximation
from laxity.core.errors import ConfigError
from laxity.core.plan import Plan
from laxity.core.records import Cost
from laxity.emulate.protect import PROTECTING, protect, protections
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.search.harden import Hardening, Limit, Means, Step, _path, candidates, harden
from laxity.task import Task
from laxity.techniques import Integer, Parity, RangeRestriction, Secded, TmrBits

SUBJECT = Subject(split="validation", seed=1)
LIMIT = Limit(0.004)


@cache
def evaluator() -> Evaluator:
    return Evaluator(Setup({"spec": "digits"}, "mac-array-45nm"))


@cache
def network() -> tuple[Plan, nn.Module]:
    """Weights of 2 bits: many flips matter."""
    plan = Plan.assign([s for s in evaluator().prepared.sites if s.slots], [Integer(2, 8)])
    return plan, evaluator().model(plan)


def built(plan: Plan) -> nn.Module:
    return protect(network()[1], evaluator().prepared, plan, evaluator().inputs)


def means() -> Means:
    def source(plan: Plan) -> tuple[nn.Module, Task]:
        return built(plan), evaluator().task

    def price(plan: Plan) -> Cost:
        return evaluator().cost(plan, built(plan))

    return Means(lambda plan: lambda: source(plan), price, price, "memory_bits")


@cache
def found() -> Hardening:
    choices: dict[Approximation, Sequence[str]] = {
        choice: sites
        for choice, sites in candidates(evaluator().prepared.sites).items()
        if isinstance(choice, (Secded, TmrBits))
    }
    return harden(network()[0], choices, SUBJECT, LIMIT, means())


def test_the_unprotected_network_is_over_the_limit() -> None:
    assert not found().unprotected.accepted
    assert found().unprotected.share.high > LIMIT.share
    assert found().unprotected.exposure == 1


def test_the_chosen_set_is_the_cheapest_that_keeps_the_limit() -> None:
    chosen = found().chosen
    assert chosen is not None
    assert chosen.share.high <= LIMIT.share
    for other in found().tried:
        assert other.accepted == (other.share.high <= LIMIT.share)
        if other.accepted:
            assert chosen.cost.memory_bits.value <= other.cost.memory_bits.value
    assert chosen.cost.memory_bits.value > found().unprotected.cost.memory_bits.value
    assert {slot for _, slot, _, _ in chosen.plan.diff(network()[0])} <= set(PROTECTING)


def test_other_faults_agree() -> None:
    chosen = found().chosen
    assert chosen is not None
    for plan, kept in ((chosen.plan, True), (network()[0], False)):
        model = built(plan)
        fresh = Subject(split="test", seed=77)
        campaign = run_campaign(lambda model=model: (model, evaluator().task), fresh, Aim(faults=4000))  # type: ignore[misc]
        assert (campaign.interval("sdc").estimate <= LIMIT.share) == kept


def test_single_flips_do_nothing_where_words_are_corrected() -> None:
    assert found().left[Secded().label()] == 0
    assert found().left[TmrBits(2).label()] == 0
    assert 0 < found().left[TmrBits(1).label()] < 1
    assert all(p.exposure > 1 for p in found().tried)


def test_a_network_that_is_good_enough_stays_as_it_is() -> None:
    result = harden(network()[0], {}, SUBJECT, Limit(0.3), means())
    assert result.chosen is not None
    assert result.chosen.plan == network()[0]
    assert not result.tried


def test_nothing_to_try_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no protection can be tried"):
        harden(network()[0], {}, SUBJECT, LIMIT, means())


def test_only_protections_are_candidates() -> None:
    sites = evaluator().prepared.sites
    assert {type(c) for c in candidates(sites, ["secded", "range_restriction"])} == {Secded, RangeRestriction}
    for choice, names in candidates(sites).items():
        assert choice.slot in PROTECTING
        assert names
    with pytest.raises(ConfigError, match="'integer' protects nothing"):
        candidates(sites, ["integer"])


def test_alarms_alone_do_not_harden() -> None:
    choices: dict[Approximation, Sequence[str]] = {Parity(): [s.name for s in evaluator().prepared.sites]}
    silent = harden(network()[0], choices, SUBJECT, LIMIT, means())
    assert silent.chosen is None
    loud = harden(network()[0], choices, SUBJECT, Limit(LIMIT.share, alarms=True), means())
    assert loud.chosen is not None
    assert loud.chosen.share.estimate == 0
    assert loud.chosen.due.estimate > 0.5


def test_steps_come_by_cost_per_fault_taken_away() -> None:
    one, two = Secded(), TmrBits(1)
    steps = [Step("a", one, 0.5, 1.0), Step("a", two, 0.6, 5.0), Step("b", one, 0.2, 0.1), Step("b", two, 0.1, 3.0)]
    assert [(s.site, s.choice) for s in _path(steps)] == [("b", one), ("a", one), ("a", two)]


def test_protections_alone() -> None:
    plan = network()[0].with_("conv1", Secded())
    assert protections(plan).choices == tuple(c for c in plan if c[1] in PROTECTING)
    layers = {m.site.name: m for m in built(plan).modules() if hasattr(m, "site")}
    assert layers["conv1"].memory is not None
    assert layers["conv2"].memory is None
    assert all(m.memory is None for m in network()[1].modules() if hasattr(m, "memory"))


@pytest.mark.parametrize(
    ("values", "message"), [((0.0,), "limit"), ((0.1, "due"), "'due'"), ((0.1, "sdc", 1.0), "conf")]
)
def test_limits_that_cannot_be(values: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Limit(*values)  # type: ignore[arg-type]
