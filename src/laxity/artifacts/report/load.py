"""A typed view of a finished run folder; every file is checked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from laxity.artifacts.report.accelerator import Accelerator, load_accelerator
from laxity.artifacts.report.files import Amount, Count, Part, check, parse, read_json, read_part, read_text
from laxity.artifacts.report.hardening import RunHardening
from laxity.core.errors import RunError
from laxity.core.estimate import Estimate
from laxity.core.records import Quality, Reliability
from laxity.core.serial import content_key


class TaskFacts(Part):
    """The task: name, content fingerprint, notes, samples per split."""

    name: str
    fingerprint: str
    notes: str = ""
    samples: dict[str, int]


class Constant(Part):
    """One constant of the hardware target with its unit, basis and source."""

    name: str
    value: float | str
    unit: str
    basis: str
    source: str


class TargetFacts(Part):
    """The hardware target."""

    name: str
    description: str
    constants: list[Constant]


class Manifest(Part):
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


class JournalLine(Part):
    """What the report needs of one line of ``evaluations.jsonl`` (an `Evaluation`)."""

    stage: str
    level: str
    seconds: float


class Reference(Part):
    """An unapproximated network on the search split; energy per sample in pJ."""

    quality: Quality
    energy_pj: float
    energy_ratio: float | None = None


class Point(Part):
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


class LevelBest(Part):
    """The best plan of one level: `drop` is a fraction, `met` whether the budget is kept."""

    plan_key: str
    energy_ratio: float
    quality: float
    drop: float
    met: bool
    label: str


class Front(Part):
    """``front.json``: all points of the search, and the best of each level."""

    baseline: Reference
    int8_exact: Reference
    points: list[Point]
    levels: dict[str, LevelBest | None]
    selected: str


class Sensitivity(Part):
    """What one choice at one site does to the loss and to the energy ratio."""

    site: str
    slot: str
    level: str
    kind: str
    label: str
    loss_increase: float
    energy_ratio: float


class Interval(Part):
    """A fraction with its confidence interval."""

    value: float
    low: float
    high: float


class Range(Part):
    """Low and high end of an interval."""

    low: float
    high: float


class EnergyPair(Part):
    """Energy per sample in pJ of the exact 8-bit and of the approximated network, and their ratio."""

    int8_exact: float
    approximated: float
    ratio: float


class Metrics(Part):
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


class SiteDetail(Part):
    """One site: work, choices by slot, energy by component in pJ per sample before and after."""

    name: str
    kind: str
    macs: float
    weights: int
    choices: dict[str, str]
    int8_exact: dict[str, Estimate]
    approximated: dict[str, Estimate]


class Totals(Part):
    """Cost of the whole network for one sample."""

    energy_pj: Estimate
    area_um2: Estimate
    latency_cycles: Estimate
    memory_bits: Estimate
    time_s: Estimate | None = None
    resources: dict[str, Estimate] = Field(default_factory=dict)


class TotalsPair(Part):
    """Totals before and after."""

    int8_exact: Totals
    approximated: Totals


class ElementFacts(Part):
    """The processing element that all sites share; see `laxity.targets.Element`."""

    units: list[str]
    instances: Count
    flip_flops: Count
    area_um2: dict[str, Amount]
    delay_ns: dict[str, Amount]
    register_ns: Amount | None = None
    period_ns: Amount | None = None


class SiteUseFacts(Part):
    """What one site makes the machine do for one sample; see `laxity.targets.SiteUse`."""

    site: str
    unit: str
    macs: Amount
    cycles: Count
    utilisation: Amount
    moved_bits: dict[str, Amount]
    product_pj: dict[str, Amount]
    uniform_pj: dict[str, Amount] = Field(default_factory=dict)
    sampled: bool = False


class BreakdownFacts(Part):
    """What lies behind the cost of one network."""

    element: ElementFacts | None = None
    sites: list[SiteUseFacts] = Field(default_factory=list)


class HardwarePair(Part):
    """Breakdowns before and after."""

    int8_exact: BreakdownFacts
    approximated: BreakdownFacts


class CircuitUse(Part):
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


class Faults(Part):
    """Fault campaigns of the three networks."""

    original: list[Reliability] = Field(default_factory=list)
    int8_exact: list[Reliability] = Field(default_factory=list)
    approximated: list[Reliability] = Field(default_factory=list)


class Details(Part):
    """``best/details.json``: everything about the selected plan."""

    sites: list[SiteDetail]
    totals: TotalsPair
    hardware: HardwarePair | None = None
    circuits: list[CircuitUse]
    faults: Faults


class Repair(Part):
    """One repaired plan on the validation split; `before` is after the brief repair of every plan of the search."""

    plan_key: str
    label: str
    recovery: dict[str, Any] | None
    energy_ratio: Amount
    before: float
    after: float
    divergence_before: Amount
    divergence: Amount
    drop: float
    curve: list[dict[str, float]]


class TriedRepair(Repair):
    """One recovery of several that were tried on one plan."""

    chosen: bool


class RecipeTrial(Part):
    """What was tried to find out how plans are to be repaired."""

    question: str
    rows: list[TriedRepair]


class LevelRepair(Repair):
    """A repaired plan of the search: which search asked for it, and whether it keeps the budget."""

    level: str
    met: bool


class Stage(Part):
    """The selected plan after one stage of its recovery, on the test split."""

    name: str
    value: float
    low: float
    high: float
    drop: float


class RecoveryFile(Part):
    """``recovery.json``: how accuracy was repaired."""

    max_drop: Amount
    original: float
    usual: dict[str, Any]
    circuits: dict[str, Any] | None = None
    trials: list[RecipeTrial]
    repaired: list[LevelRepair]
    selected: str
    stages: list[Stage]


class PlanText(Part):
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
    accelerator: Accelerator | None
    recovery: RecoveryFile | None
    hardening: RunHardening | None
    config: str


def load_run(run: Path) -> RunView:
    """Read and check every file of a run folder.

    Raises:
        RunError: the folder or one of its files is missing, is not valid JSON, or lacks a field; names file and field.
    """
    if not run.is_dir():
        raise RunError(f"{run} is not a run folder; give the folder that an optimize or demo run has written")
    plan = read_json(run / "best" / "plan.json")
    return RunView(
        name=run.resolve().name,
        manifest=read_part(run / "manifest.json", Manifest),
        evaluations=_journal(run / "evaluations.jsonl"),
        front=read_part(run / "front.json", Front),
        sensitivity=tuple(read_part(run / "sensitivity.json", list[Sensitivity])),
        plan=check(run / "best" / "plan.json", plan, PlanText),
        plan_key=content_key(plan),
        metrics=read_part(run / "best" / "metrics.json", Metrics),
        details=read_part(run / "best" / "details.json", Details),
        accelerator=load_accelerator(run / "best" / "accelerator"),
        recovery=_recovery(run / "recovery.json"),
        hardening=_hardening(run / "hardening.json"),
        config=read_text(run / "config.toml"),
    )


def _recovery(path: Path) -> RecoveryFile | None:
    """How accuracy was repaired; runs of earlier versions do not say."""
    return read_part(path, RecoveryFile) if path.exists() else None


def _hardening(path: Path) -> RunHardening | None:
    """What was protected; only runs with a limit to faults say."""
    return read_part(path, RunHardening) if path.exists() else None


def _journal(path: Path) -> tuple[JournalLine, ...]:
    records = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            place = path.with_name(f"{path.name} line {number}")
            records.append(check(place, parse(place, line), JournalLine))
    return tuple(records)
