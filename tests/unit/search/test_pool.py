"""The pool: each plan once, results in order, failures kept apart from what is finished."""

from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from laxity.core.errors import PlanError, RunError
from laxity.core.plan import Plan
from laxity.run import Journal, Serial
from laxity.search.pool import Pool
from laxity.techniques import MagnitudePruning

PLANS = [Plan().with_("a", MagnitudePruning(d / 10)) for d in (3, 1, 2)]


class Shuffled(Executor):
    """Finishes what is submitted last first."""

    def __init__(self):
        self.waiting = []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.waiting.append((future, fn, args, kwargs))
        if len(self.waiting) == 3:
            for future_, fn_, args_, kwargs_ in reversed(self.waiting):
                future_.set_result(fn_(*args_, **kwargs_))
        return future


@pytest.fixture
def counted(toy, monkeypatch):
    """Evaluations by table, counted."""
    seen = []

    def evaluate(plan, stage):
        seen.append((plan["sites"]["a"]["structure"]["density"], stage))
        density = plan["sites"]["a"]["structure"]["density"]
        if density == 0.2 and stage == "fails":
            raise PlanError("this plan cannot be built")
        return toy.evaluation(Plan.from_json(plan), stage, density, 0.0, 0.0)

    monkeypatch.setattr("laxity.search.pool._evaluate", evaluate)
    return seen


@pytest.mark.parametrize("executor", [Serial, Shuffled])
def test_results_come_in_the_order_of_the_plans(counted, executor):
    told = []
    pool = Pool(executor(), Journal(None), lambda what, done, total, latest: told.append((what, done, total, latest)))
    found = pool.run([*PLANS, PLANS[0]], "search", "toy")
    assert [e.energy_ratio for e in found] == [0.3, 0.1, 0.2, 0.3]
    assert len(counted) == 3
    assert [t[:3] for t in told] == [("toy", i, 3) for i in range(4)]
    assert told[0][3] is None
    assert {t[3].plan_key for t in told[1:]} == {p.key for p in PLANS}


def test_what_the_journal_has_is_not_evaluated(counted, tmp_path):
    path = tmp_path / "j"
    first = Pool(Serial(), Journal(path)).run(PLANS[:2], "search", "")
    again = Pool(Serial(), Journal(path)).run(PLANS, "search", "")
    assert again[:2] == first
    assert counted == [(0.3, "search"), (0.1, "search"), (0.2, "search")]
    Pool(Serial(), Journal(path)).run(PLANS[:1], "recovery", "")
    assert counted[-1] == (0.3, "recovery")


def test_each_result_is_written_before_the_next_is_begun(counted, tmp_path):
    path = tmp_path / "j"
    with pytest.raises(PlanError, match="this plan cannot be built"):
        Pool(Serial(), Journal(path)).run(PLANS, "fails", "")
    assert len(path.read_bytes().splitlines()) == 2
    assert len(Journal(path)) == 2


class Broken(Executor):
    """A pool one of whose processes was killed."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_exception(BrokenProcessPool("killed"))
        return future


def test_dead_workers_are_reported_with_what_to_do():
    with pytest.raises(RunError, match=r"a worker process died .* run the same command again to resume"):
        Pool(Broken(), Journal(None)).run(PLANS, "search", "")


@pytest.mark.parametrize("executor", [Serial, Shuffled])
def test_prices_come_in_the_order_of_the_plans_and_are_not_kept(executor, monkeypatch, tmp_path):
    monkeypatch.setattr("laxity.search.pool._price", lambda plan: plan["sites"]["a"]["structure"]["density"])
    told = []
    journal = Journal(tmp_path / "j")
    pool = Pool(executor(), journal, lambda what, done, total, latest: told.append((what, done, total, latest)))
    assert pool.prices(PLANS, "toy") == [0.3, 0.1, 0.2]
    assert told == [("toy", i, 3, None) for i in range(4)]
    assert len(journal) == 0


def test_nothing_asked_nothing_done(counted):
    assert Pool(Serial(), Journal(None)).run([], "search", "") == []
    assert counted == []
