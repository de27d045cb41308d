"""Filter by filter, layer by layer, or one mode for all: what a reconfigurable multiplier saves within a budget.

How `filterwise` goes: all filters start in the most exact mode; where a recipe is given, that network is trained once
and its weights stay. Each layer is then put into each mode as a whole, with the rest most exact, which says what that
saves (priced on operands of the exact 8-bit network) and harms (divergence of predictions, on ``probe_samples``).
Within a layer the saving is shared out evenly among filters. The harm of its least relevant filters is taken to grow by
a power of their number; the exponent is found from what the less relevant half alone does in a mode of middling
strength. Relevance itself only orders filters, so that its scale does not matter. Then blocks of the least relevant
filters are raised to their next mode, the block of the best expected saving per expected harm first, as `climb` says;
the accuracy on ``search_samples`` decides what is accepted. Of the way to what was accepted last the longest part that
is within the budget on the whole validation split is chosen. There are two ways: from the most exact mode, and from the
strongest mode that all filters can have together; the cheaper end counts. Products of two activations and functional
calls stay in the most exact mode.

Source: reconstructed from the abstract of C. De la Parra et al., "Exploiting resiliency for kernel-wise CNN
approximation enabled by adaptive hardware design", ISCAS 2021, whose algorithm is not public. From there are modes of
one multiplier, their assignment to filters by resilience, and that nothing is trained afterwards; that harm is measured
once per layer and mode and shared out so, and that blocks are judged several at a time, is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from laxity.core.approximation import Approximation
from laxity.core.errors import ConfigError
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.relevance import Criterion, Scores, relevances
from laxity.search.filters.climb import Assignment, Fits, Judge, after, climb
from laxity.search.filters.layer import Layer, Level, Move, exponent_of
from laxity.search.filters.modes import Modes, Subject, fixed
from laxity.search.filters.result import Filterwise, Step
from laxity.search.greedy import hull
from laxity.search.journaled import journaled
from laxity.search.pool import Pool, Progress

Relevance = str | Criterion | Scores
"""Name of a criterion of `laxity.relevance`, a criterion, or one score per filter by site."""

LOCKS = ("layer", "block")


def filterwise(
    setup: Setup,
    circuits: Sequence[str],
    *,
    weight_bits: Sequence[int] | None = None,
    relevance: Relevance | None = "lrp_zplus",
    block: float = 0.05,
    lock: str = "layer",
    max_drop: float = 0.01,
    guard: float = 0.0,
    recipe: Recovery | None = None,
    operands: Approximation | None = None,
    folder: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Filterwise:
    """Give every filter a mode of a reconfigurable multiplier, without training after the modes are given.

    The module's text says how, and where it is from.

    Args:
        setup: task, target, seed and device; its folder is not used.
        circuits: multipliers of the catalogue, one per mode, the most exact one first.
        weight_bits: bits in memory of the weights of each mode; those of the operands if None.
        relevance: of filters, see `Relevance`; criteria judge the original network. None for all alike.
        block: fraction of the filters in one mode that is raised at a time, in (0, 1]; at least one filter.
        lock: ``layer`` freezes the layer of a block that was refused, ``block`` that block only.
        max_drop: accuracy that may be lost against the original network, a fraction.
        guard: standard errors that are added to a drop before it is compared.
        recipe: how the network in the most exact mode is trained, and all are settled; nothing if None.
        operands: choice for all sites, 8-bit integers if None.
        folder: for the journal and trained weights; the same call again goes on from there.
        workers: processes; only what is judged before the walks is judged side by side.
        progress: called with (what, done, total, latest result).

    Raises:
        ConfigError: modes, block, lock or scores are out of range or do not fit the network.
        RegistryError: there is no such multiplier or criterion.
        LaxityError: an evaluation failed; finished ones are kept.
    """
    if not 0 < block <= 1:
        raise ConfigError(f"block is a fraction of filters in (0, 1], not {block}; use for example 0.05")
    if lock not in LOCKS:
        raise ConfigError(f"lock is one of {LOCKS}, not {lock!r}")
    evaluator = Evaluator(replace(setup, folder=None))
    subject = Subject.of(evaluator.prepared.sites, Modes.of(circuits, weight_bits), operands, fixed(recipe))
    scores, fits = scores_of(relevance, evaluator, subject), _budget(max_drop, guard)
    with journaled(setup, setup.seed, folder, workers, progress) as pool:

        def judge(assignment: Assignment) -> Evaluation:
            return pool.run([subject.plan(assignment)], "search", "modes of filters")[0]

        base, levels = judge({}), measured(pool, subject)
        exponents = {} if relevance is None else exponents_of(pool, subject, scores, levels)
        layers = [Layer(site, scores[site], levels[site], exponents.get(site)) for site in subject.filters]
        pace = Pace(judge, fits, block, lock)
        ways = [_way(pool, subject, layers, mode, pace) for mode in _starts(pool, subject, fits)]
    ends = [best for _, best in ways if best is not None]
    steps = tuple(step for own, _ in ways for step in own)
    return Filterwise(base, levels, steps, min(ends, key=lambda e: e.energy_ratio, default=None))


@dataclass(frozen=True, slots=True)
class Pace:
    """How a walk goes: arguments of `climb`."""

    judge: Judge
    fits: Fits
    block: float
    lock: str


def _starts(pool: Pool, subject: Subject, fits: Fits) -> list[int]:
    """Modes that all filters may begin in: the most exact one, and the strongest that is within the budget."""
    count = len(subject.modes.circuits)
    found = pool.run([subject.everywhere(mode) for mode in range(count)], "search", "one mode for all filters")
    return sorted({0, max((mode for mode in range(count) if fits(found[mode])), default=0)})


def _way(
    pool: Pool, subject: Subject, layers: Sequence[Layer], mode: int, pace: Pace
) -> tuple[list[Step], Evaluation | None]:
    """One walk from a mode on, and what of it is within the budget on the whole validation split."""
    start = [layer.copy() for layer in layers]
    for layer in start:
        layer.begin(mode)
    first = pace.judge(after(start, []))
    steps = [Step(first, pace.fits(first))]
    moves: list[Move] = []
    if steps[0].accepted:
        own, moves = climb([layer.copy() for layer in start], pace.judge, pace.fits, block=pace.block, lock=pace.lock)
        steps += own
    return steps, chosen(pool, lambda count: subject.plan(after(start, moves[:count])), len(moves), pace.fits)


def layerwise(
    setup: Setup,
    circuits: Sequence[str],
    *,
    weight_bits: Sequence[int] | None = None,
    max_drop: float = 0.01,
    guard: float = 0.0,
    recipe: Recovery | None = None,
    operands: Approximation | None = None,
    folder: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Filterwise:
    """Give every layer one mode: `filterwise` with whole layers as blocks; arguments and errors are those of it."""
    return filterwise(
        setup,
        circuits,
        weight_bits=weight_bits,
        relevance=None,
        block=1.0,
        max_drop=max_drop,
        guard=guard,
        recipe=recipe,
        operands=operands,
        folder=folder,
        workers=workers,
        progress=progress,
    )


def networkwise(
    setup: Setup,
    circuits: Sequence[str],
    *,
    weight_bits: Sequence[int] | None = None,
    max_drop: float = 0.01,
    guard: float = 0.0,
    recipe: Recovery | None = None,
    operands: Approximation | None = None,
    folder: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Filterwise:
    """Give all filters the same mode, each in turn; arguments and errors are those of `filterwise`."""
    evaluator = Evaluator(replace(setup, folder=None))
    modes = Modes.of(circuits, weight_bits)
    subject = Subject.of(evaluator.prepared.sites, modes, operands, fixed(recipe))
    fits = _budget(max_drop, guard)
    with journaled(setup, setup.seed, folder, workers, progress) as pool:
        plans = [subject.everywhere(mode) for mode in range(len(modes.circuits))]
        base, *others = pool.run(plans, "search", "one mode for all filters")
        steps = tuple(Step(e, fits(e)) for e in others)
        path = [base, *sorted((s.evaluation for s in steps if s.accepted), key=lambda e: -e.energy_ratio)]
        best = chosen(pool, lambda count: Plan.from_json(path[count].plan), len(path) - 1, fits)
        return Filterwise(base, {}, steps, best)


def _budget(max_drop: float, guard: float) -> Fits:
    """Whether an evaluation is within a budget."""
    return lambda found: found.within(max_drop, guard)


def scores_of(relevance: Relevance | None, evaluator: Evaluator, subject: Subject) -> Scores:
    """One score per filter of every site whose filters have modes.

    Raises:
        ConfigError: a site has none, or not as many as it has filters.
        LaxityError: the criterion is unknown or fails.
    """
    if relevance is None:
        return {site: np.ones(count) for site, count in subject.filters.items()}
    if isinstance(relevance, Mapping):
        found: Scores = dict(relevance)
    else:
        prepared, seed = evaluator.prepared, evaluator.setup.seed
        found = relevances(evaluator.task, relevance, seed=seed, device=evaluator.setup.device, prepared=prepared)
    for site, count in subject.filters.items():
        given = None if site not in found else np.shape(found[site])
        if given != (count,):
            raise ConfigError(f"site {site!r} needs one score for each of its {count} filters, not {given}")
    return found


def measured(pool: Pool, subject: Subject) -> dict[str, tuple[Level, ...]]:
    """What each layer saves and harms in each mode but the most exact one, with the rest of the network in that."""
    places = [(site, mode) for site in subject.filters for mode in range(1, len(subject.modes.circuits))]
    plans = [subject.plan({site: (mode,) * subject.filters[site]}) for site, mode in places]
    base = subject.everywhere(0)
    full, *prices = pool.prices([base, *plans], "prices of modes")
    exact = pool.run([base], "sensitivity", "the most exact mode")[0].divergence
    found = pool.run(plans, "sensitivity", "modes, layer by layer")
    levels: dict[str, list[Level]] = {site: [] for site in subject.filters}
    for (site, mode), price, e in zip(places, prices, found, strict=True):
        levels[site].append(Level(mode, full - price, max(0.0, e.divergence - exact)))
    return {site: tuple(own) for site, own in levels.items()}


def exponents_of(
    pool: Pool, subject: Subject, scores: Scores, levels: Mapping[str, Sequence[Level]]
) -> dict[str, float]:
    """How fast the harm of each layer's least relevant filters grows with their number, see `exponent_of`.

    Of the modes that are worth using the one in the middle is tried, on half of the filters.
    """
    plans, parts = [], []
    for site, count in subject.filters.items():
        used = hull(levels[site])
        if not used or count < 2:
            continue
        level, half = used[len(used) // 2], count // 2
        modes = np.zeros(count, dtype=np.int64)
        modes[np.argsort(scores[site], kind="stable")[:half]] = level.mode
        plans.append(subject.plan({site: modes.tolist()}))
        parts.append((site, half / count, level.harm))
    exact = pool.run([subject.everywhere(0)], "sensitivity", "the most exact mode")[0].divergence
    found = pool.run(plans, "sensitivity", "halves of layers")
    return {
        site: exponent_of(fraction, max(0.0, e.divergence - exact), whole)
        for (site, fraction, whole), e in zip(parts, found, strict=True)
    }


def chosen(pool: Pool, plan: Callable[[int], Plan], last: int, fits: Fits) -> Evaluation | None:
    """The farthest plan of a path that fits on the whole validation split, None if not even the first does.

    The last one is tried first, then bisection: the harm is taken to rise along the path.
    """
    best: Evaluation | None = None
    good, bad = -1, last + 1
    while bad - good > 1:
        middle = last if bad > last else (good + bad) // 2
        found = pool.run([plan(middle)], "recovery", "the whole validation split")[0]
        if fits(found):
            good, best = middle, found
        else:
            bad = middle
    return best
