"""Resilient and sensitive neurons: AxNN and ApproxANN as cases of the search by filters.

`axnn` sorts all neurons of a network by how strongly its error feels them. Those below a threshold get the second mode
(inputs and weights of reduced precision), the network is retrained so, and the threshold is found by bisection:
accuracy after retraining is taken to fall with the fraction of approximated neurons.

Source: reconstructed from descriptions of S. Venkataramani et al., "AxNN: energy-efficient neuromorphic systems using
approximate computing", ISLPED 2014, where activation functions are approximated too, which stay exact here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from laxity.core.approximation import Approximation
from laxity.core.errors import ConfigError
from laxity.core.plan import Recovery
from laxity.core.records import Evaluation
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.relevance import Scores
from laxity.search.filters.methodology import Relevance, filterwise, scores_of
from laxity.search.filters.modes import Modes, Subject
from laxity.search.filters.result import Filterwise
from laxity.search.journaled import journaled
from laxity.search.pool import Progress

RETRAINED = Recovery(epochs=4)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A division of all neurons in two classes, judged on the whole validation split.

    Attributes:
        fraction: of the neurons of the network, feature maps counting as one each, those that are approximated.
        before: the network with weights as they were.
        after: retrained with the approximations in place.
        accepted: whether it is within the budget then.
    """

    fraction: float
    before: Evaluation
    after: Evaluation
    accepted: bool


@dataclass(frozen=True, slots=True)
class Resilience:
    """What AxNN found.

    Attributes:
        exact: all neurons in the exact mode, untrained.
        tried: thresholds in the order in which they were tried.
        chosen: the accepted one with the largest fraction, None if there is none.
    """

    exact: Evaluation
    tried: tuple[Threshold, ...]
    chosen: Threshold | None


def resilient(scores: Scores, fraction: float) -> dict[str, tuple[int, ...]]:
    """Mode 1 for the given fraction of all neurons of a network, those with the lowest scores, mode 0 for the rest.

    Args:
        scores: of every neuron by site, of one criterion; of equal ones the earlier is approximated first.
        fraction: in [0, 1]; the number of neurons is rounded.

    Raises:
        ConfigError: the fraction is out of range.
    """
    if not 0 <= fraction <= 1:
        raise ConfigError(f"the fraction of resilient neurons must be in [0, 1], not {fraction}")
    joined = np.concatenate(list(scores.values()))
    chosen = np.zeros(len(joined), dtype=np.int64)
    chosen[np.argsort(joined, kind="stable")[: round(fraction * len(joined))]] = 1
    ends = np.cumsum([len(own) for own in scores.values()])
    parts = np.split(chosen, ends[:-1])
    return {site: tuple(part.tolist()) for site, part in zip(scores, parts, strict=True)}


def axnn(
    setup: Setup,
    circuits: tuple[str, str],
    *,
    weight_bits: tuple[int, int] | None = None,
    relevance: Relevance = "gradient",
    resolution: int = 16,
    max_drop: float = 0.01,
    guard: float = 0.0,
    recipe: Recovery = RETRAINED,
    operands: Approximation | None = None,
    folder: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Resilience:
    """Approximate as many of the most resilient neurons as retraining with the approximations in place can bear.

    The module's text says how, and where it is from.

    Args:
        setup: task, target, seed and device; its folder is not used.
        circuits: of sensitive and of resilient neurons.
        weight_bits: bits in memory of their weights; those of the operands if None.
        relevance: of neurons over the whole network; scores of different layers are compared.
        resolution: thresholds are multiples of one in so many neurons.
        max_drop: accuracy that may be lost against the original network, a fraction.
        guard: standard errors that are added to a drop before it is compared.
        recipe: how every network is retrained, from the original weights.
        operands: choice for all sites, 8-bit integers if None.
        folder: for the journal, trained weights and unfinished trainings; the same call again goes on from there.
        workers: processes; one division is judged before and after training side by side.
        progress: called with (what, done, total, latest result).

    Raises:
        ConfigError: modes, resolution or scores are out of range or do not fit the network.
        LaxityError: an evaluation failed; finished ones are kept.
    """
    if resolution < 1:
        raise ConfigError(f"resolution must be at least 1, not {resolution}")
    evaluator = Evaluator(replace(setup, folder=None))
    subject = Subject.of(evaluator.prepared.sites, Modes.of(circuits, weight_bits), operands)
    found = scores_of(relevance, evaluator, subject)
    scores = {site: found[site] for site in subject.filters}
    with journaled(setup, setup.seed, folder, workers, progress) as pool:
        exact = pool.run([subject.everywhere(0)], "recovery", "exact neurons")[0]

        def attempt(fraction: float) -> Threshold:
            plan = subject.plan(resilient(scores, fraction))
            what = f"{100 * fraction:.0f} % resilient neurons"
            before, after = pool.run([plan, plan.with_recovery(recipe)], "recovery", what)
            return Threshold(fraction, before, after, after.within(max_drop, guard))

        tried: list[Threshold] = []
        good, bad = 0, resolution + 1
        while bad - good > 1:
            middle = resolution if not tried else (good + bad) // 2
            tried.append(attempt(middle / resolution))
            good, bad = (middle, bad) if tried[-1].accepted else (good, middle)
    accepted = [t for t in tried if t.accepted]
    return Resilience(exact, tuple(tried), max(accepted, key=lambda t: t.fraction, default=None))


def approxann(
    setup: Setup,
    circuits: Sequence[str],
    *,
    weight_bits: Sequence[int] | None = None,
    relevance: Relevance = "sensitivity",
    block: float = 0.05,
    max_drop: float = 0.05,
    guard: float = 0.0,
    operands: Approximation | None = None,
    folder: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Filterwise:
    """Approximate the computation and the memory of the least critical neurons, level by level.

    `filterwise` with the criticality of neurons as relevance, the step of the best ratio of energy to quality next,
    and blocks of neurons that are accepted or locked. Without `weight_bits` only computation is approximated.

    Args:
        setup: task, target, seed and device; its folder is not used.
        circuits: levels of computation, the exact one first.
        weight_bits: bits in memory of the weights at each level.
        relevance: criticality.
        block: fraction of the neurons of a layer at one level that is approximated at a time.
        max_drop: accuracy that may be lost, a fraction.
        guard: standard errors that are added to a drop before it is compared.
        operands: choice for all sites, 8-bit integers if None.
        folder: for the journal; the same call again goes on from there.
        workers: processes.
        progress: called with (what, done, total, latest result).

    Raises:
        LaxityError: as `filterwise`.

    Source: reconstructed from the abstract of Q. Zhang, T. Wang, Y. Tian, F. Yuan, Q. Xu, "ApproxANN: an approximate
    computing framework for artificial neural network", DATE 2015, whose algorithm is not public in full.
    """
    return filterwise(
        setup,
        circuits,
        weight_bits=weight_bits,
        relevance=relevance,
        block=block,
        lock="block",
        max_drop=max_drop,
        guard=guard,
        operands=operands,
        folder=folder,
        workers=workers,
        progress=progress,
    )
