"""What an evaluation of a plan yields: quality, cost, reliability, and the record that joins them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from laxity.core.errors import RunError
from laxity.core.estimate import Basis, Estimate
from laxity.core.serial import to_json


@dataclass(frozen=True, slots=True)
class Quality:
    """A quality metric on one split, with a confidence interval.

    Attributes:
        metric: for example ``"accuracy"`` (a fraction).
        value, low, high: point estimate and interval at `confidence`.
        loss: mean loss on the same samples.
        samples: how many samples.
        split: ``train|calibration|validation|test``.
        confidence: level of the interval.
    """

    metric: str
    value: float
    low: float
    high: float
    loss: float
    samples: int
    split: str
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one sample on a target; every figure is an estimate, and energies add up from their parts.

    Attributes:
        energy_parts_pj: (site, component, estimate in pJ), the only place where energy is stored.
        area_um2, latency_cycles, memory_bits: whole accelerator, one sample, stored model. The area is 0 where the
            silicon is given and `resources` are taken of it.
        resources: parts of a given device that the machine takes, for example ``"lut"``, each with a unit such as
            ``"LUT"``.
        time_s: time of one sample in s, where the description states a clock for it.
    """

    energy_parts_pj: tuple[tuple[str, str, Estimate], ...]
    area_um2: Estimate
    latency_cycles: Estimate
    memory_bits: Estimate
    resources: Mapping[str, Estimate] = field(default_factory=dict)
    time_s: Estimate | None = None

    @property
    def energy_pj(self) -> Estimate:
        """Total energy: the exactly rounded sum of all parts."""
        return Estimate.total((e for _, _, e in self.energy_parts_pj), "pJ")

    @property
    def dram_energy_pj(self) -> Estimate:
        """The part of the energy spent in DRAM."""
        return Estimate.total((e for _, c, e in self.energy_parts_pj if c == "dram"), "pJ")

    def by_site(self) -> dict[str, Estimate]:
        """Energy per site, in pJ."""
        return self._sum_over(0)

    def by_component(self) -> dict[str, Estimate]:
        """Energy per component, in pJ."""
        return self._sum_over(1)

    def _sum_over(self, position: int) -> dict[str, Estimate]:
        grouped: dict[str, list[Estimate]] = {}
        for part in self.energy_parts_pj:
            grouped.setdefault(str(part[position]), []).append(part[2])
        return {name: Estimate.total(parts, "pJ") for name, parts in grouped.items()}


@dataclass(frozen=True, slots=True)
class Reliability:
    """Outcome of a fault campaign at one rate.

    Attributes:
        population: what a fault is drawn from, in words.
        rate_per_bit: bit error rate.
        value, low, high: mean quality under faults with its interval over trials.
        trials: fault patterns tried.
        samples: samples evaluated per trial.
        sdc: mean fraction of samples whose predicted class differs from the fault-free one.
        confidence: level of the interval.
    """

    population: str
    rate_per_bit: float
    value: float
    low: float
    high: float
    trials: int
    samples: int
    sdc: float
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One line of the journal.

    Attributes:
        plan_key: content key of the plan; `plan` is the plan itself in JSON form.
        stage: ``baseline|sensitivity|search|recovery|test``.
        level: which search asked for it (``data|software|hardware|cross``, or empty).
        energy_ratio: energy over that of the exact 8-bit network on the same target.
        drop, drop_error: accuracy lost against the baseline on the same samples, and its standard error.
        disagreement: fraction of samples on which predictions differ from the baseline's.
        divergence: mean Kullback-Leibler divergence from the baseline's predictions, in nats.
        seconds: time it took (the only field that differs between two equal runs).
        curve: per epoch of the training, ``loss`` and ``accuracy`` on some validation samples; empty without training.
    """

    plan_key: str
    plan: Mapping[str, Any]
    task: str
    fingerprint: str
    target: str
    seed: int
    stage: str
    level: str
    quality: Quality
    drop: float
    drop_error: float
    disagreement: float
    divergence: float
    energy_pj: float
    energy_ratio: float
    area_um2: float
    latency_cycles: float
    memory_bits: float
    seconds: float
    versions: Mapping[str, str]
    curve: tuple[Mapping[str, float], ...] = ()

    def within(self, max_drop: float, guard: float) -> bool:
        """Whether the drop plus `guard` standard errors stays inside the budget."""
        return self.drop + guard * self.drop_error <= max_drop

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        data: dict[str, Any] = to_json(self)
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Evaluation:
        """Rebuild a record.

        Raises:
            RunError: a field is missing or has a wrong form.
        """
        try:
            values = {f.name: data[f.name] for f in fields(Evaluation) if f.name != "curve"}
            values["quality"] = Quality(**data["quality"])
            values["curve"] = tuple(data.get("curve", ()))
            return Evaluation(**values)
        except (KeyError, TypeError) as error:
            raise RunError(f"an evaluation record is malformed: {error}; delete the line or start a new run") from None


def point_pj(value: float, basis: Basis, source: str) -> Estimate:
    """An energy in pJ without range; infinite or negative values are refused.

    Raises:
        ValueError: not a finite non-negative number.
    """
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"an energy must be finite and not negative, not {value}")
    return Estimate.point(value, "pJ", basis, source)
