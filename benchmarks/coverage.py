"""How often intervals of fault campaigns contain the truth, and how many faults they need.

Coverage: campaigns are drawn from Bernoulli outcomes of known probability and from published campaigns (faults of four
networks, one random image each, or the share of 10 000 images), and stopped by each method's own rule. For intervals
that hold at any time, ``any`` counts a campaign as missed if the truth was outside at any moment up to the limit:
coverage under the worst stopping rule there is. ``wald_iterative`` rebuilds the loop of IterativeFI (pilot for 5 %,
then as many faults as the Wald formula asks for at the share seen, until the Wald half-width meets the goal) and
reports its Wald interval.

Faults needed: for a half-width of 0.2 % at 99 % on the faults of ResNet-20, strata bit 30 and all other bits.

Usage: ``python benchmarks/coverage.py [--json] [--data-dir DIR] [--replicates N] [--quick]``
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from laxity.core.seeds import stream
from laxity.statistics import (
    StratifiedSequence,
    Stratum,
    clopper_pearson,
    exact_trials,
    next_round,
    normal_trials,
    plan_looks,
    wilson,
)
from laxity.statistics.betting import CAUTION, log_growth
from laxity.statistics.mixture import log_evidence, mixture_bounds

CONFIDENCE, ALPHA = 0.99, 0.01
PROBABILITIES = (1e-4, 1e-3, 4.5e-3, 1.3e-2, 0.1, 0.5)
NETWORKS = ("ResNet20", "ResNet32", "Vgg13_bn", "ResNet18_CIFAR100")
GOAL, HALF_WIDTH = 0.01, 0.002
SUCCESSES = 12
"""Expected at the limit of a campaign with Bernoulli outcomes, if that is more than `STEPS` outcomes."""

STEPS = 2000
Values = np.ndarray[Any, np.dtype[np.float64]]
Draw = Callable[[np.random.Generator, int], Values]


@dataclass(frozen=True)
class Row:
    """Coverage of one method on one population."""

    population: str
    method: str
    nominal: float
    coverage: float
    error: float
    replicates: int
    """Simulated campaigns; 0 where the coverage is exact."""

    faults: float
    """Mean number at the end."""


@dataclass(frozen=True)
class Population:
    """What outcomes are drawn from."""

    name: str
    mean: float
    draw: Draw
    binary: bool


def published(folder: Path, name: str) -> tuple[Values, Values]:
    """Struck bit and share of changed images of every fault."""
    with gzip.open(folder / f"{name}_FL.csv.gz", "rt", newline="") as file:
        rows = [(int(r["Bit"]), int(r["critical"]) / int(r["n_injections"])) for r in csv.DictReader(file)]
    table = np.array(rows)
    return table[:, 0], table[:, 1]


def bernoulli(p: float) -> Population:
    """Outcomes that are 1 with probability p."""
    return Population(f"p = {p:g}", p, lambda random, n: (random.random(n) < p).astype(float), True)


def faults_of(name: str, sdc: Values, *, images: bool) -> Population:
    """Random faults of a published campaign: the share of all its images, or one random image each."""

    def draw(random: np.random.Generator, n: int) -> Values:
        shares = sdc[random.integers(0, sdc.size, n)]
        return shares if images else (random.random(n) < shares).astype(float)

    return Population(f"{name}, {'all images' if images else '1 image'}", float(sdc.mean()), draw, not images)


def row(population: Population, method: str, covered: Values, faults: float) -> Row:
    """Coverage with the standard error of the simulation."""
    share = float(np.mean(covered))
    error = math.sqrt(max(share * (1 - share), 1 / covered.size) / covered.size)
    return Row(population.name, method, CONFIDENCE, share, error, covered.size, faults)


def counts(population: Population, replicates: int, method: str) -> Callable[[int], Values]:
    """Numbers of successes among the next so many faults of every replicate, of a population with 0/1 outcomes."""
    random = stream(0, "coverage", population.name, method)
    return lambda n: random.binomial(n, population.mean, replicates).astype(float)


def fixed(population: Population) -> list[Row]:
    """Intervals for a fixed number of trials: the exact coverage, summed over all numbers of successes."""
    n = 2000 if population.mean > 1e-3 else math.ceil(2 / population.mean)
    chances = binom.pmf(np.arange(n + 1), n, population.mean)
    likely = np.flatnonzero(chances > 1e-15)
    rows = []
    for name, method in (("clopper_pearson, fixed n", clopper_pearson), ("wilson, fixed n", wilson)):
        found = (method(int(s), n, CONFIDENCE).contains(population.mean) for s in likely)
        covered = math.fsum(float(chances[s]) for s, inside in zip(likely, found, strict=True) if inside)
        rows.append(Row(population.name, name, CONFIDENCE, covered, 0.0, 0, n))
    return rows


def half_width(share: Values, n: Values) -> Values:
    """Of the Wald interval at 99 %."""
    return np.asarray(2.5758293 * np.sqrt(np.clip(share * (1 - share), 1e-12, None) / n))


def wald_iterative(population: Population, replicates: int, goal: float = GOAL) -> Row:
    """The loop of IterativeFI, rebuilt from its published description and source; all replicates at once.

    The target of the next round lies on a parabola over the share seen, from the goal at 0 to a third of the half-width
    at 0.5, or is the goal where a third of the half-width is below it.
    """
    pilot = normal_trials(0.05, CONFIDENCE)
    random = stream(0, "coverage", population.name, "wald_iterative")

    def draw(wanted: Values) -> Values:
        if population.binary:
            return random.binomial(wanted.astype(int), population.mean).astype(float)
        return np.array([population.draw(random, int(n)).sum() for n in wanted])

    n = np.full(replicates, float(pilot))
    total = draw(n)
    for _ in range(100):
        share = total / n
        width = half_width(share, n)
        third = width / 3
        target = np.clip(4 * (third - goal) * share * (1 - share) + goal, goal, np.maximum(third, goal))
        wanted = np.ceil(2.5758293**2 * np.clip(share * (1 - share), 1e-6, None) / target**2)
        more = np.where(width > goal, np.maximum(wanted - n, 0), 0)
        if not more.any():
            break
        total += draw(more)
        n += more
    share = total / n
    covered = np.abs(share - population.mean) <= half_width(share, n)
    return row(population, f"wald_iterative, goal {100 * goal:g} %", covered.astype(float), float(n.mean()))


def mixture_any(population: Population, replicates: int) -> Row:
    """Truth ever excluded by the beta-binomial mixture, looked at after every batch up to the limit."""
    limit = max(STEPS, math.ceil(SUCCESSES / population.mean))
    batch = max(1, limit // 2000)
    draw, s = counts(population, replicates, "mixture"), np.zeros(replicates)
    alive = np.ones(replicates, bool)
    for n in range(batch, limit + 1, batch):
        s += draw(batch)
        values, where = np.unique(s, return_inverse=True)
        alive &= (log_evidence(population.mean, values, n) < -math.log(ALPHA))[where.ravel()]
    return row(population, "mixture, any stop", alive.astype(float), limit)


def mixture_stopped(population: Population, replicates: int, goal: float = GOAL) -> Row:
    """The beta-binomial mixture, stopped at a half-width."""
    draw, s = counts(population, replicates, "stopped"), np.zeros(replicates)
    low, high, n = np.zeros(replicates), np.ones(replicates), np.zeros(replicates)
    running = np.ones(replicates, bool)
    batch = 50
    while running.any():
        n[running] += batch
        s += np.where(running, draw(batch), 0)
        pairs, where = np.unique(np.stack([s[running], n[running]]), axis=1, return_inverse=True)
        ends = mixture_bounds(pairs[0], pairs[1], CONFIDENCE)
        low[running] = np.maximum(low[running], ends[0][where.ravel()])
        high[running] = np.minimum(high[running], ends[1][where.ravel()])
        running &= high - low > 2 * goal
        batch = max(50, int(n.max()) // 50)
    covered = (low <= population.mean) & (population.mean <= high)
    return row(population, f"mixture, half-width {100 * goal:g} %", covered.astype(float), float(n.mean()))


def betting_any(population: Population, replicates: int, horizon: int | None = None) -> Row:
    """Truth ever excluded by betting, looked at after every outcome up to the limit."""
    limit = STEPS if population.mean > 1e-3 else math.ceil(2 / population.mean)
    random = stream(0, "coverage", population.name, "betting", str(horizon))
    total, squares, capital, peak = (np.zeros(k) for k in (replicates, replicates, (2, replicates), (2, replicates)))
    for t in range(1, limit + 1):
        x = population.draw(random, replicates)
        times = t * math.log1p(t) if horizon is None else float(horizon)
        bets = np.sqrt(2 * math.log(2 / ALPHA) / ((0.25 + squares) / t * times))
        capital += np.stack(log_growth(x, np.full(replicates, population.mean), bets, CAUTION))
        np.maximum(peak, capital, out=peak)
        total += x
        squares += (x - (0.5 + total) / (t + 1)) ** 2
    covered = (peak < math.log(2 / ALPHA)).all(0)
    name = "betting, any stop" if horizon is None else f"betting for {horizon}, any stop"
    return row(population, name, covered.astype(float), limit)


@dataclass(frozen=True)
class Guess:
    """Shares of the strata that a plan is made with."""

    name: str
    rates: dict[str, float]


ROUGH = Guess("the guess 0.5 and 5e-4", {"bit 30": 0.5, "other bits": 5e-4})


class Stratified:
    """Bit 30 and all other bits of a published campaign, one random image per fault."""

    def __init__(self, name: str, bits: Values, sdc: Values) -> None:
        self.name, self.truth = name, float(sdc.mean())
        top = bits == 30
        self.rates = {"bit 30": float(sdc[top].mean()), "other bits": float(sdc[~top].mean())}
        self.weights = {"bit 30": float(top.mean()), "other bits": float((~top).mean())}

    def empty(self, priors: dict[str, tuple[float, float]] | None = None) -> tuple[Stratum, ...]:
        """Strata without outcomes."""
        return tuple(Stratum(k, w, prior=(priors or {}).get(k, (0.5, 10.0))) for k, w in self.weights.items())

    def pilot(self, random: np.random.Generator, trials: tuple[int, int]) -> list[Stratum]:
        """Strata with this many outcomes each."""
        return [
            Stratum(k, self.weights[k], int(random.binomial(n, self.rates[k])), n)
            for k, n in zip(self.weights, trials, strict=True)
        ]


def looks(
    subject: Stratified, replicates: int, prior: Stratified | Guess | None, method: str = "fisher"
) -> tuple[Row, Row]:
    """Exact intervals at planned looks, stopped at the half-width; planned from a pilot or from another network."""
    covered, faults, met = [], [], 0
    known: dict[Any, Any] = {}
    plan = None
    if prior is not None:
        guess = [Stratum(k, subject.weights[k], round(1e6 * prior.rates[k]), 10**6) for k in subject.weights]
        plan = plan_looks(guess, HALF_WIDTH, CONFIDENCE, growth=1.35, method=method)
    for replicate in range(replicates):
        random = stream(0, "looks", subject.name, method, replicate)
        used, now = 0, plan
        if now is None:
            pilot, used = subject.pilot(random, (150, 350)), 500
            key = tuple(s.successes for s in pilot)
            if key not in known:
                known[key] = plan_looks(pilot, HALF_WIDTH, CONFIDENCE, growth=1.35, method=method)
            now = known[key]
        seen, before = np.zeros(2, int), np.zeros(2, int)
        for look, wanted in enumerate(now.trials):
            seen = seen + random.binomial(np.array(wanted) - before, list(subject.rates.values()))
            before = np.array(wanted)
            key = (now.trials, look, *seen.tolist())
            if key not in known:
                strata = zip(subject.weights.items(), seen, wanted, strict=True)
                known[key] = now.interval(look, [Stratum(k, w, int(s), n) for (k, w), s, n in strata])
            if known[key].half_width <= HALF_WIDTH:
                break
        covered.append(known[key].contains(subject.truth))
        met += known[key].half_width <= HALF_WIDTH
        faults.append(used + int(before.sum()))
    population = Population(f"{subject.name}, 1 image, strata", subject.truth, lambda random, n: np.zeros(n), True)
    how = f"{method}, planned looks, plan from {'a pilot' if prior is None else prior.name}"
    done = row(population, how, np.array(covered, float), float(np.mean(faults)))
    return done, Row(done.population, how + " (share that met it)", 0.0, met / replicates, 0.0, replicates, done.faults)


def adaptive(subject: Stratified, replicates: int, priors: dict[str, tuple[float, float]], method: str) -> Row:
    """Sequences that hold at any time, rounds shared out by Neyman, stopped at the half-width."""
    covered, faults = [], []
    for replicate in range(replicates):
        random = stream(0, "adaptive", subject.name, method, replicate)
        state = StratifiedSequence(subject.empty(priors), CONFIDENCE, method)
        while state.interval().half_width > HALF_WIDTH:
            done = sum(s.trials for s in state.strata)
            plan = next_round(state.strata, 200 if done else 600, least=20 if done else 200)
            state = state.update({k: (int(random.binomial(n, subject.rates[k])), n) for k, n in plan.items()})
        covered.append(state.interval().contains(subject.truth))
        faults.append(sum(s.trials for s in state.strata))
    population = Population(f"{subject.name}, 1 image, strata", subject.truth, lambda random, n: np.zeros(n), True)
    name = f"{method}, any time, {'prior from another network' if priors else 'default prior'}"
    return row(population, name, np.array(covered, float), float(np.mean(faults)))


def asymptotic_faults(subject: Stratified) -> int:
    """Faults of the normal stratified interval with the Neyman allocation at the true shares: a bound, no method."""
    spread = math.fsum(w * math.sqrt(subject.rates[k] * (1 - subject.rates[k])) for k, w in subject.weights.items())
    return math.ceil((2.5758293 * spread / HALF_WIDTH) ** 2)


def coverage(tables: dict[str, tuple[Values, Values]], replicates: int) -> list[Row]:
    """All methods on all populations."""
    populations = [bernoulli(p) for p in PROBABILITIES]
    for name, (_, sdc) in tables.items():
        populations += [faults_of(name, sdc, images=False), faults_of(name, sdc, images=True)]
    rows = []
    for population in populations:
        started = time.perf_counter()
        if population.binary:
            rows += fixed(population)
            rows += [mixture_any(population, replicates), mixture_stopped(population, replicates)]
        rows += [betting_any(population, replicates), betting_any(population, replicates, 1000)]
        rows.append(wald_iterative(population, replicates))
        print(f"{population.name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return rows


def needed(tables: dict[str, tuple[Values, Values]], replicates: int) -> tuple[list[Row], dict[str, Any]]:
    """Faults for the half-width on ResNet-20."""
    subject, other = (Stratified(name, *tables[name]) for name in ("ResNet20", "ResNet32"))
    priors = {k: (max(0.5, 60 * p), 60 * (1 - p)) if p > 0.01 else (1.0, 1 / p / 3) for k, p in other.rates.items()}
    few = max(10, replicates // 50)
    rows = [*looks(subject, replicates, other), *looks(subject, replicates, ROUGH), *looks(subject, replicates, None)]
    rows += looks(subject, replicates, other, "exact_bonferroni")
    rows += [adaptive(subject, few, priors, "product"), adaptive(subject, few, {}, "product")]
    guaranteed = [r for r in rows if r.nominal and r.coverage >= r.nominal - 3 * r.error]
    best = min(guaranteed, key=lambda r: r.faults)
    summary = {
        "faults_needed": round(best.faults),
        "faults_needed_method": best.method,
        "faults_needed_asymptotic": asymptotic_faults(subject),
        "faults_clopper_pearson_unstratified": exact_trials(HALF_WIDTH, CONFIDENCE, subject.truth),
        "faults_wald_unstratified": normal_trials(HALF_WIDTH, CONFIDENCE, expected=subject.truth),
    }
    return rows, summary


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument(
        "--data-dir", type=Path, help="folder with dnn_benchmarks/; without it no published populations"
    )
    parser.add_argument("--replicates", type=int, default=10_000, help="campaigns per row (default 10000)")
    parser.add_argument("--quick", action="store_true", help="200 campaigns per row")
    options = parser.parse_args()
    replicates = 200 if options.quick else options.replicates
    tables = {}
    if options.data_dir is not None:
        folder = options.data_dir / "dnn_benchmarks"
        tables = {name: published(folder, name) for name in NETWORKS}
    rows = coverage(tables, replicates)
    facts: dict[str, Any] = {}
    if tables:
        more, facts = needed(tables, replicates)
        rows += more
    guaranteed = [r for r in rows if r.nominal and "wald" not in r.method and "wilson" not in r.method]
    summary: dict[str, Any] = {
        "replicates": replicates,
        "min_coverage": min(r.coverage for r in guaranteed),
        "below_nominal_by_3_errors": [r.method for r in guaranteed if r.coverage < r.nominal - 3 * r.error - 1e-12],
        "min_coverage_wald_iterative": min(r.coverage for r in rows if "wald" in r.method),
        **facts,
    }
    if options.json:
        print(json.dumps({"rows": [asdict(r) for r in rows], "summary": summary}, indent=1))
        return 0
    for r in rows:
        print(f"{r.population:32s} {r.method:58s} {100 * r.coverage:7.2f} % +- {100 * r.error:.2f} {r.faults:10.0f}")
    for key, value in summary.items():
        print(f"{key}: {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
