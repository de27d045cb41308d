"""Error metrics of any circuit: over all operand pairs where they can be counted, else over a random sample."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.error_sums import ErrorSums, IntArray, Weight
from laxity.circuits.metrics import ErrorMetrics, Interval, SampledMetrics, metrics_of
from laxity.circuits.subject import Subject
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream

EXHAUSTIVE_BITS = 24
"""Operand bits together up to which all pairs are taken: 12 x 12."""

MIN_SAMPLES = 256
"""Fewest operand pairs of a sample."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """When and how operand pairs are sampled.

    Attributes:
        samples: number of pairs, at least `MIN_SAMPLES`.
        seed: root seed of the sample.
        confidence: of each interval, between 0 and 1.
        exhaustive_bits: operand bits together up to which all pairs are taken instead, at most `EXHAUSTIVE_BITS`.

    Raises:
        CircuitError: a value is out of range.
    """

    samples: int = 1 << 20
    seed: int = 0
    confidence: float = 0.95
    exhaustive_bits: int = EXHAUSTIVE_BITS

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 < self.confidence < 1:
            raise CircuitError(f"confidence is {self.confidence}; give a fraction between 0 and 1, such as 0.95")
        if self.samples < MIN_SAMPLES:
            raise CircuitError(f"{self.samples} samples are too few for an interval; use {MIN_SAMPLES} or more")
        if self.exhaustive_bits > EXHAUSTIVE_BITS:
            raise CircuitError(
                f"all pairs of {self.exhaustive_bits} operand bits take too long; use at most {EXHAUSTIVE_BITS}"
            )


SAMPLING = Sampling()
"""2**20 pairs where operands have more than 24 bits together, and intervals of 95 %."""

_PART = 1 << 16  # pairs evaluated together: enough to amortise a numpy call, few enough to stay in cache
_BATCHES = 64
_FEW_ERRORS = 100
_MEANS = ("med", "mred", "nmed", "mse", "bias", "variance", "relative_bias")
_NEVER_NEGATIVE = ("med", "mred", "nmed", "mse", "variance")


def assess(subject: Subject, operands: Operands = UNIFORM, sampling: Sampling = SAMPLING) -> ErrorMetrics:
    """Error metrics under a distribution of operands.

    They are exact up to `Sampling.exhaustive_bits` operand bits together, and for a list of pairs at any width. Beyond,
    they are those of a seeded random sample, `SampledMetrics`; memory does not grow with the number of samples.

    Args:
        subject: the circuit.
        operands: distribution of its operands.
        sampling: when and how pairs are sampled.

    Raises:
        CircuitError: the distribution does not fit the operands.
    """
    operands.check(1 << subject.a_bits, 1 << subject.b_bits)
    at_zero = subject.error_at_zero()
    batches: list[ErrorSums] = []
    total = ErrorSums()
    for part in parts(subject, operands, sampling):
        batch = ErrorSums()
        batch.add(*part)
        batches.append(batch)
        total.merge(batch)
    if not sampled(subject, operands, sampling):
        return metrics_of(total, subject.normaliser, at_zero)
    if operands.uniform:
        _look_at_corners(subject, total)
    return _with_intervals(subject, total, batches, at_zero, sampling)


def sampled(subject: Subject, operands: Operands, sampling: Sampling) -> bool:
    """Whether operand pairs are drawn, because there are too many."""
    return operands.pairs is None and subject.a_bits + subject.b_bits > sampling.exhaustive_bits


def parts(subject: Subject, operands: Operands, sampling: Sampling) -> Iterator[tuple[IntArray, IntArray, Weight]]:
    """Results, exact results and weights, part by part: of all operand pairs, of a list of them, or of a sample.

    A sample comes in equal parts; only the last ones may be smaller.
    """
    if sampled(subject, operands, sampling):
        yield from _drawn(subject, operands, sampling)
    elif operands.pairs is not None:
        for start in range(0, operands.pairs.shape[1], _PART):
            a, b, counts = operands.pairs[:, start : start + _PART]
            yield subject.results(a, b), subject.exact(a, b), counts.astype(np.float64)
    else:
        yield from _all_pairs(subject, operands)


def _all_pairs(subject: Subject, operands: Operands) -> Iterator[tuple[IntArray, IntArray, Weight]]:
    rows, columns = 1 << subject.a_bits, 1 << subject.b_bits
    step = min(rows, max(1, _PART >> subject.b_bits))
    b = np.arange(columns, dtype=np.int64)[None]
    for start in range(0, rows, step):
        exact = subject.exact(np.arange(start, start + step, dtype=np.int64)[:, None], b)
        yield subject.rows(start, start + step), exact, operands.block(start, start + step, columns)


def _drawn(subject: Subject, operands: Operands, sampling: Sampling) -> Iterator[tuple[IntArray, IntArray, Weight]]:
    generator = stream(sampling.seed, "operand pairs", subject.a_bits, subject.b_bits)
    size = min(_PART, -(-sampling.samples // _BATCHES))
    for start in range(0, sampling.samples, size):
        count = min(size, sampling.samples - start)
        a, b = operands.draw(generator, count, subject.a_bits, subject.b_bits)
        yield subject.results(a, b), subject.exact(a, b), 1.0


def _look_at_corners(subject: Subject, sums: ErrorSums) -> None:
    """Let pairs of 2^i - 1, 2^i and 2^i + 1 count for the maxima: large errors often sit there."""
    a, b = (
        np.unique(
            np.concatenate([(1 << np.arange(bits + 1)) + offset for offset in (-1, 0, 1)]).clip(0, (1 << bits) - 1)
        )
        for bits in (subject.a_bits, subject.b_bits)
    )
    pairs = np.repeat(a, b.size), np.tile(b, a.size)
    corners = ErrorSums()
    corners.add(subject.results(*pairs), subject.exact(*pairs))
    sums.worst = max(sums.worst, corners.worst)
    sums.worst_relative = max(sums.worst_relative, corners.worst_relative)


def _with_intervals(
    subject: Subject, total: ErrorSums, batches: list[ErrorSums], at_zero: int, sampling: Sampling
) -> SampledMetrics:
    from laxity.core.intervals import clopper_pearson

    found = metrics_of(total, subject.normaliser, at_zero)
    errors = round(total.wrong)
    share = clopper_pearson(errors, total.pairs, sampling.confidence)
    intervals = [Interval("ep", *share, "binomial")]
    if errors < _FEW_ERRORS:
        intervals += _bounds(subject, share[1])
    else:
        intervals += _batch_intervals(subject, found, batches, sampling.confidence)
    facts = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return SampledMetrics(
        **{**facts, "exhaustive": False},
        confidence=sampling.confidence,
        intervals=tuple(intervals),
        seed=sampling.seed,
    )


def _batch_intervals(
    subject: Subject, found: ErrorMetrics, batches: list[ErrorSums], confidence: float
) -> list[Interval]:
    """Student's t over the means of batches: the central limit theorem without moments of every metric.

    A smaller batch at the end is left out here.
    """
    from scipy import stats

    each = [metrics_of(batch, subject.normaliser, 0) for batch in batches if batch.pairs == batches[0].pairs]
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(each) - 1)) / math.sqrt(len(each))
    intervals = []
    for metric in _MEANS:
        value = getattr(found, metric)
        half = quantile * float(np.std([getattr(m, metric) for m in each], ddof=1))
        low = max(0.0, value - half) if metric in _NEVER_NEGATIVE else value - half
        intervals.append(Interval(metric, low, value + half, "batches"))
    return intervals


def _bounds(subject: Subject, most_errors: float) -> list[Interval]:
    """Bounds where errors are too rare for a mean of them: none is larger than the range of results allows."""
    largest = 4.0 * subject.normaliser
    limits = {"nmed": 4.0, "mse": largest**2, "variance": largest**2}
    intervals = []
    for metric in _MEANS:
        high = limits.get(metric, largest) * most_errors
        intervals.append(Interval(metric, 0.0 if metric in _NEVER_NEGATIVE else -high, high, "bound"))
    return intervals
