"""A typed view of a finished run folder; every file is checked before anything is drawn."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from laxity.core.errors import RunError
from laxity.core.estimate import Estimate
from laxity.core.records import Quality, Reliability
from laxity.core.serial import content_key

T = TypeVar("T")
REMEDY = "run the command that made the folder again; it resumes and writes what is missing"


class _Part(BaseModel):
    """Base of all parts: immutable, unknown keys ignored so that newer runs stay readable."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TaskFacts(_Part):
    """The task: name, content fingerprint, notes, samples per split."""

    name: str
    fingerprint: str
    notes: str = ""
    samples: dict[str, int]


class Constant(_Part):
    """One constant of the hardware target with its unit, basis and source."""

    name: str
    value: float | str
    unit: str
    basis: str
    source: str


class TargetFacts(_Part):
    """The hardware target."""

    name: str
    description: str
    constants: list[Constant]


class Manifest(_Part):
    """``manifest.json``: how the run was made. `max_drop` is a fraction, `seconds` wall time."""

    laxity: str
    command: str
    created: str
    seed: int
    versions: dict[str, str | None]
    task: TaskFacts
    target: TargetFacts
    max_drop: float = Field(ge=0)
    options: dict[str, Any]
    seconds: float


class JournalLine(_Part):
    """What the report needs of one line of ``evaluations.jsonl`` (an `Evaluation`)."""

    stage: str
    level: str
    seconds: float


class Reference(_Part):
    """An unapproximated network on the search split; energy per sample in pJ."""

    quality: Quality
    energy_pj: float
    energy_ratio: float | None = None


class Point(_Part):
    """One evaluated plan: quality with interval (fractions), energy ratio to exact INT8, cost per sample."""

    plan_key: str
    level: str
    stage: str
    quality: float
    low: float
    high: float
    energy_ratio: float
    energy_pj: float
    area_um2: float
    latency_cycles: float
    on_front: bool
    label: str


class LevelBest(_Part):
    """The best plan of one level: `drop` is a fraction, `met` whether the budget is kept."""

    plan_key: str
    energy_ratio: float
    quality: float
    drop: float
    met: bool
    label: str


class Front(_Part):
    """``front.json``: all points of the search, and the best of each level."""

    baseline: Reference
    int8_exact: Reference
    points: list[Point]
    levels: dict[str, LevelBest | None]
    selected: str


class Sensitivity(_Part):
    """What one choice at one site does to the loss and to the energy ratio."""

    site: str
    slot: str
    level: str
    kind: str
    label: str
    loss_increase: float
    energy_ratio: float


class Interval(_Part):
    """A fraction with its confidence interval."""

    value: float
    low: float
    high: float


class Range(_Part):
    """Low and high end of an interval."""

    low: float
    high: float


class EnergyPair(_Part):
    """Energy per sample in pJ of the exact 8-bit and of the approximated network, and their ratio."""

    int8_exact: float
    approximated: float
    ratio: float


class Metrics(_Part):
    """``best/metrics.json``: the verdict, from the test split."""

    task: str
    target: str
    seed: int
    split: str
    samples: int
    baseline: Interval
    approximated: Interval
    drop: float
    drop_interval: Range
    energy_pj: EnergyPair
    evaluations: int
    seconds: float
    met: bool


class SiteDetail(_Part):
    """One site: work, choices by slot, energy by component in pJ per sample before and after."""

    name: str
    kind: str
    macs: float
    weights: int
    choices: dict[str, str]
    int8_exact: dict[str, Estimate]
    approximated: dict[str, Estimate]


class Totals(_Part):
    """Cost of the whole network for one sample."""

    energy_pj: Estimate
    area_um2: Estimate
    latency_cycles: Estimate
    memory_bits: Estimate


class TotalsPair(_Part):
    """Totals before and after."""

    int8_exact: Totals
    approximated: Totals


class CircuitUse(_Part):
    """A circuit of the plan with its error metrics; metrics that are undefined are None."""

    name: str
    sites: list[str]
    area_um2: float | None = None
    delay_ns: float | None = None
    gates: float | None = None
    ep: float | None = None
    med: float | None = None
    wce: float | None = None
    mred: float | None = None
    nmed: float | None = None
    bias: float | None = None
    table_sha256: str


class Faults(_Part):
    """Fault campaigns of the three networks."""

    original: list[Reliability] = []
    int8_exact: list[Reliability] = []
    approximated: list[Reliability] = []


class Details(_Part):
    """``best/details.json``: everything about the selected plan."""

    sites: list[SiteDetail]
    totals: TotalsPair
    circuits: list[CircuitUse]
    faults: Faults


class PlanText(_Part):
    """``best/plan.json`` as data: site, slot, choice."""

    sites: dict[str, dict[str, dict[str, Any]]]
    recovery: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """All that the report shows, as read from one run folder."""

    name: str
    manifest: Manifest
    evaluations: tuple[JournalLine, ...]
    front: Front
    sensitivity: tuple[Sensitivity, ...]
    plan: PlanText
    plan_key: str
    metrics: Metrics
    details: Details
    config: str


def load_run(run: Path) -> RunView:
    """Read and check every file of a run folder.

    Raises:
        RunError: the folder or one of its files is missing, is not valid JSON, or lacks a field; names file and field.
    """
    if not run.is_dir():
        raise RunError(f"{run} is not a run folder; give the folder that an optimize or demo run has written")
    plan = _json(run / "best" / "plan.json")
    return RunView(
        name=run.resolve().name,
        manifest=_part(run / "manifest.json", Manifest),
        evaluations=_journal(run / "evaluations.jsonl"),
        front=_part(run / "front.json", Front),
        sensitivity=tuple(_part(run / "sensitivity.json", list[Sensitivity])),
        plan=_check(run / "best" / "plan.json", plan, PlanText),
        plan_key=content_key(plan),
        metrics=_part(run / "best" / "metrics.json", Metrics),
        details=_part(run / "best" / "details.json", Details),
        config=_text(run / "config.toml"),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path} is missing; {REMEDY}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}; {REMEDY}") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _parse(path: Path, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON: {error}; {REMEDY}") from None


def _json(path: Path) -> Any:
    return _parse(path, _text(path))


def _part(path: Path, form: type[T]) -> T:
    return _check(path, _json(path), form)


def _check(path: Path, data: Any, form: type[T]) -> T:
    try:
        return TypeAdapter(form).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"]) or "the document"
        raise RunError(f"{path}: {place}: {first['msg']}; {REMEDY}") from None


def _journal(path: Path) -> tuple[JournalLine, ...]:
    records = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            place = path.with_name(f"{path.name} line {number}")
            records.append(_check(place, _parse(place, line), JournalLine))
    return tuple(records)
