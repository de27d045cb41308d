"""Conformance check for fault populations: what every one must satisfy, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from laxity.campaign import POPULATIONS, Faults, Population
from laxity.campaign.outcomes import draw
from laxity.core.errors import ConfigError, DataError, LaxityError

_TRIALS = 40


def check_population(population: Population, model: nn.Module, inputs: Tensor) -> None:
    """Check that a population of faults behaves as campaigns rely on.

    It is registered and says what it is; its strata partition its cells; faults give logits of the right shape, equal
    faults equal ones whatever is struck beside them, those of certified strata none but the golden ones; faults outside
    are refused; the model and the inputs stay as they are.

    Args:
        population: of `model`.
        model: in evaluation mode.
        inputs: float32 (n, ...), at least three samples.

    Raises:
        ConfigError: lists every property that does not hold.
    """
    before = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    given = inputs.clone()
    problems = list(_declared(population))
    try:
        problems += _logits(population, inputs)
    except (LaxityError, RuntimeError, IndexError, ValueError) as error:
        problems.append(f"logits() fails for faults of the population: {error}")
    after = model.state_dict()
    if not all(torch.equal(value, after[name]) for name, value in before.items()):
        problems.append("the model is changed")
    if not torch.equal(given, inputs):
        problems.append("the inputs are changed")
    if problems:
        listed = "".join(f"\n- {problem}" for problem in problems)
        raise ConfigError(f"population {type(population).__name__} does not conform:{listed}")


def _declared(population: Population) -> Iterator[str]:
    kind = getattr(population, "kind", None)
    if not isinstance(kind, str) or kind not in POPULATIONS or POPULATIONS[kind] is not type(population):
        yield f"kind {kind!r} is not registered for this class; decorate it with @POPULATIONS.register"
    if not population.statement:
        yield "it has no statement of what is struck"
    parts = population.parts()
    listed = sorted(cell for part in parts for cell in part.cells)
    if listed != list(range(len(population.cells.sites))):
        yield "its parts do not contain every cell exactly once"
    if len({part.name for part in parts}) != len(parts):
        yield "two parts have the same name"
    if any(not part.certified and not 0 < part.guess < 1 for part in parts):
        yield "the guess of a part is no fraction between 0 and 1"


def _logits(population: Population, inputs: Tensor) -> Iterator[str]:
    golden = population.golden(inputs)
    for part in population.parts():
        drawn = draw(population, part, len(inputs), 0, 0, _TRIALS)
        faults = Faults(drawn.cell, drawn.site, drawn.random, drawn.image)
        first = population.logits(faults, golden)
        if first.shape != (_TRIALS, golden.logits.shape[1]):
            yield f"logits of {_TRIALS} faults have shape {tuple(first.shape)}"
            continue
        if population.noticed(faults, golden).shape != (_TRIALS,):
            yield "noticed() does not say one thing for every fault"
        turned = [column[::-1].copy() for column in (faults.cell, faults.site, faults.image)]
        backwards = Faults(turned[0], turned[1], faults.random[::-1].copy(), turned[2])
        again = population.logits(backwards, golden).flip(0)
        same = torch.equal(first, again) if population.exact else _classes(first) == _classes(again)
        if not same:
            yield "what a fault does depends on the faults beside it"
        if part.certified and _classes(first) != _classes(golden.logits[torch.from_numpy(faults.image)]):
            yield f"faults of the certified part {part.name!r} change predictions"
    outside = Faults(
        np.array([0]), population.cells.sites[:1].copy(), np.zeros((1, population.draws), np.uint64), _ZERO
    )
    try:
        population.logits(outside, golden)
    except DataError:
        return
    yield "a fault outside the population is not refused; call self.check(faults) first"


_ZERO = np.zeros(1, np.int64)


def _classes(logits: Tensor) -> list[int]:
    finite = torch.isfinite(logits).all(1)
    classes: list[int] = torch.where(finite, logits.argmax(1), -1).tolist()
    return classes
