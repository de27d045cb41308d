"""Evolutionary search: NSGA-II through Optuna's ask and tell, started from given genomes."""

from __future__ import annotations

from collections.abc import Sequence

import optuna

from laxity.core.seeds import derive
from laxity.core.space import Space
from laxity.search.greedy import Genome, Run

_GIVE_UP = 40


def evolve(
    space: Space, starts: Sequence[Genome], run: Run, *, count: int, population: int, seed: int, label: str
) -> None:
    """Spend `count` new evaluations on energy ratio and divergence.

    Generations are asked for, evaluated together and told in the order in which they were asked, so that the course
    does not depend on the number of workers. A genome that was seen before costs nothing.

    Args:
        space: the decisions.
        starts: genomes of the first generation.
        run: evaluates genomes; results in the same order.
        count: evaluations to spend on genomes other than `starts`.
        population: size of a generation.
        seed: root seed.
        label: names the random stream.

    Source: K. Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE TEC 6 (2002).
    """
    if not space.variables:
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=derive(seed, "evolve", label) % 2**32)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for genome in starts:
        study.enqueue_trial({v.name: g for v, g in zip(space.variables, genome, strict=True)})
    seen, new, idle = set(starts), 0, 0
    first = len(starts)
    while new < count and idle < _GIVE_UP:
        size = first if first else min(population, count - new)
        first = 0
        trials = [study.ask() for _ in range(size)]
        genomes = [_genome(trial, space) for trial in trials]
        for trial, result in zip(trials, run(genomes), strict=True):
            study.tell(trial, (result.energy_ratio, result.divergence))
        fresh = {g for g in genomes if g not in seen}
        seen |= fresh
        new += len(fresh)
        idle = 0 if fresh else idle + 1


def _genome(trial: optuna.Trial, space: Space) -> Genome:
    return tuple(trial.suggest_int(v.name, 0, len(v.candidates) - 1) for v in space.variables)
