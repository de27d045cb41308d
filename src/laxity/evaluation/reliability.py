"""Quality under bit errors in stored weights, over a sweep of bit error rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.core.errors import ConfigError
from laxity.core.intervals import mean_interval
from laxity.core.records import Reliability
from laxity.core.registry import did_you_mean
from laxity.core.seeds import derive
from laxity.evaluation.injection import private_copy, strike
from laxity.evaluation.memory import describe
from laxity.evaluation.quality import BATCH_SIZE
from laxity.faults import BitFlip, FaultModel
from laxity.task.splits import batches
from laxity.task.task import Task

NO_CLASS = -1
"""Prediction of a sample whose largest logit is NaN or infinite: detected but unrecoverable. Never right, never as
without faults."""

Progress = Callable[[int, int], None]


def trial_seed(seed: int, rate_per_bit: float, trial: int) -> int:
    """Seed of one trial of a sweep; `inject` with it gives the model of that trial."""
    return derive(seed, "bit_errors", repr(float(rate_per_bit)), trial)


def bit_error_sweep(
    model: nn.Module,
    task: Task,
    *,
    rates: Sequence[float],
    trials: int,
    samples: int,
    split: str = "test",
    seed: int,
    label: str,
    confidence: float = 0.95,
    fault: FaultModel | None = None,
    progress: Progress | None = None,
) -> list[Reliability]:
    """Measure accuracy with faulty stored weights, at every rate over many independent fault patterns.

    A trial strikes all weight memories at once, evaluates the samples, and restores the memories. The faults of a site
    depend on seed, rate, trial and the site's name and words, not on `label`, on other sites or on the order of calls:
    networks that store the same number of words of the same width at a site get the same faults there, so that their
    differences are less noisy than each alone. A trial without any fault is not evaluated, its result is known.

    The interval is Student's t over trials, clipped to [0, 1]. It is about fault patterns, given these samples; it does
    not cover the choice of samples, and has no width where no trial differed from another.

    Args:
        model: approximated (integer codes are struck) or any other model (floating-point words are). A copy is used;
            neither the model nor the task's data is changed, whatever happens.
        task: data and example input.
        rates: probability with which a stored bit is struck, one record for each.
        trials: fault patterns per rate, at least 2.
        samples: the first so many samples of the split are evaluated, or all where there are fewer.
        split: ``train|calibration|validation|test``.
        seed: root seed.
        label: name of the network; begins the description of the population.
        confidence: level of the intervals.
        fault: the fault model, taken at each of the rates; `BitFlip` if not given.
        progress: called after each trial with the number of trials done and of all trials.

    Returns:
        One record per rate, in the order given. `value` counts samples without a defined class (`NO_CLASS`) as wrong,
        `sdc` counts them as changed.

    Raises:
        ConfigError: a rate, the number of trials or samples, the split or the confidence cannot be.
        TaskError: the model has no stored weights, or does not run on the task's example.
    """
    model_of_fault = fault if fault is not None else BitFlip(0.0)
    faults = [model_of_fault.at(rate) for rate in rates]
    _check(trials, samples, split, confidence, task)
    bench = _Bench(model, task, split, samples)
    total, results = len(faults) * trials, []
    for number, struck in enumerate(faults):
        outcomes = []
        for trial in range(trials):
            outcomes.append(bench.trial(struck, trial_seed(seed, struck.rate_per_bit, trial)))
            if progress is not None:
                progress(number * trials + trial + 1, total)
        results.append(_record(outcomes, struck.rate_per_bit, bench, label, confidence))
    return results


def _check(trials: int, samples: int, split: str, confidence: float, task: Task) -> None:
    if trials < 2:
        raise ConfigError(f"trials is {trials}; an interval needs at least 2 fault patterns per rate")
    if samples < 1:
        raise ConfigError(f"samples is {samples}; evaluate at least 1 sample per trial")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is a fraction between 0 and 1, not {confidence}")
    if split not in task.splits():
        raise ConfigError(f"unknown split {split!r}{did_you_mean(split, task.splits())}")


class _Bench:
    """A private copy of the model with the inputs it is judged on, and its predictions without faults."""

    def __init__(self, model: nn.Module, task: Task, split: str, samples: int) -> None:
        device = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
        self._model, self._memories = private_copy(model, task.example_input.to(device), task.exact)
        data = list(batches(task.splits()[split], BATCH_SIZE, limit=samples))
        self._inputs: list[Tensor] = [x.to(device) for x, _ in data]
        self._targets: NDArray[np.int64] = torch.cat([y for _, y in data]).numpy()
        self._golden = self._classes()
        self.population = describe(self._memories)

    @property
    def samples(self) -> int:
        """Samples per trial."""
        return len(self._targets)

    def trial(self, fault: FaultModel, seed: int) -> tuple[int, int]:
        """Right predictions, and predictions that differ from those without faults."""
        try:
            classes = self._classes() if strike(self._memories, fault, seed) else self._golden
        finally:
            for memory in self._memories:
                memory.restore()
        return int((classes == self._targets).sum()), int((classes != self._golden).sum())

    @torch.no_grad()
    def _classes(self) -> NDArray[np.int64]:
        # A model may change its input in place, so it never gets the kept tensor.
        return torch.cat([_decide(self._model(x.clone())) for x in self._inputs]).cpu().numpy()


def _decide(logits: Tensor) -> Tensor:
    """Class of the largest logit, int64 (n,); `NO_CLASS` where that logit is NaN or infinite."""
    peak, classes = logits.max(1)
    return torch.where(torch.isfinite(peak), classes, NO_CLASS)


def _record(
    outcomes: Sequence[tuple[int, int]], rate: float, bench: _Bench, label: str, confidence: float
) -> Reliability:
    right, changed = np.array(outcomes).T
    # Counts are averaged, not fractions: equal trials then give exactly the accuracy of one.
    value, low, high = (x / bench.samples for x in mean_interval(right, confidence))
    return Reliability(
        population=f"{label}: {bench.population}" if label else bench.population,
        rate_per_bit=rate,
        value=value,
        low=max(0.0, low),
        high=min(1.0, high),
        trials=len(outcomes),
        samples=bench.samples,
        sdc=float(changed.mean()) / bench.samples,
        confidence=confidence,
    )
