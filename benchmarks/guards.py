"""What looking after the outputs of layers removes, how often it is wrong, and what it costs.

- ``campaigns``: single bit flips, each on a random test image, in networks in float32, in 8-bit integers, and in 8-bit
  integers with an approximate multiplier, with every guard at all sites; the same faults in all of them. Accuracy
  without faults on the test split, SDC and alarms (DUE) with intervals at 99 %, and, of faults that change a logit, the
  share that is noticed or corrected (in integers, where that is known).
- ``clean``: checksums of networks without faults on all data: comparisons and false alarms.
- ``circuits``: intervals of residuals for approximate multipliers, calibrated on the first inputs of the training split
  and judged on all others: share of runs of a site with a false alarm, with its interval, and what was stated before;
  and the share of single flips in stored weights and in finished sums that is noticed.
- ``cost``: energy, area, latency and stored bits over those of the 8-bit network on ``mac-array-45nm``, and energy per
  site.

Usage: ``python benchmarks/guards.py [--json] [--task digits] [--data-dir DIR] [--faults 20000] [--calibration 400]
[--circuits drum8_4 mitchell8 coltrunc8_6] [--only campaigns clean circuits cost]``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import laxity as lx
from laxity.campaign import Aim, Bench, Campaign, Subject, run_campaign
from laxity.campaign.guards import FalseAlarms, false_alarms
from laxity.campaign.outcomes import Outcomes
from laxity.core.approximation import Approximation
from laxity.core.errors import LaxityError
from laxity.core.plan import Plan
from laxity.core.records import Cost
from laxity.emulate.apply import calibration_inputs
from laxity.evaluation.cost import cost_of
from laxity.evaluation.quality import predict
from laxity.sites.prepare import prepare
from laxity.statistics import clopper_pearson
from laxity.targets import load_target
from laxity.task.task import Task
from laxity.techniques import Abft, CircuitMultiplier, Integer, RangeRestriction, Redundancy

TARGET, SEED, BATCH = "mac-array-45nm", 1, 128
RANGES = (RangeRestriction(), RangeRestriction("channel"), RangeRestriction("layer", "zero", 1.5))
GUARDS: dict[str, tuple[Approximation | None, ...]] = {
    "fp32": (None, *RANGES, Abft(), Abft(response="reload"), Abft(inputs=True), Redundancy(2), Redundancy(3)),
    "int8": (None, *RANGES, Abft(), Abft(response="reload"), Abft(inputs=True), Redundancy(3, weights=True)),
    "approximate": (None, RANGES[1], Abft(), Abft("measured"), Abft("measured", fitted=True, response="reload")),
}
POPULATIONS = {
    "fp32": ("weights", "activations", "neurons"),
    "int8": ("weights", "activations", "accumulators"),
    "approximate": ("weights", "activations", "accumulators"),
}
PRICED = (RangeRestriction(), Abft(), Abft(inputs=True), Abft(bits=24), Redundancy(2), Redundancy(3))


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(1)
    sections: dict[str, Callable[[Task, argparse.Namespace], Any]] = {
        "campaigns": campaigns, "clean": clean, "circuits": circuits, "cost": cost,
    }  # fmt: skip
    try:
        task = lx.load_task(options.task, data_dir=options.data_dir)
        found = {name: sections[name](task, options) for name in options.only}
    except LaxityError as error:
        sys.exit(f"error: {error}")
    if options.json:
        print(json.dumps(found, allow_nan=False))
        return
    for name, rows in found.items():
        print(f"\n{name}")
        for row in rows:
            print("  ".join(f"{key} {_text(value)}" for key, value in row.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--task", default="digits")
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--faults", type=int, default=20_000)
    parser.add_argument("--calibration", type=int, default=400)
    parser.add_argument("--circuits", nargs="+", default=["drum8_4", "mitchell8", "coltrunc8_6"])
    names = ["campaigns", "clean", "circuits", "cost"]
    parser.add_argument("--only", nargs="+", default=names, choices=names)
    return parser.parse_args()


def built(task: Task, choices: Sequence[Approximation], inputs: Tensor | None = None) -> nn.Module:
    """A network with the same choices at all sites; folded but otherwise as it is without any.

    Args:
        task: names the network.
        choices: at every site.
        inputs: for calibration, or None for those of the task.
    """
    if not choices:
        return prepare(task.model, task.example_input, exact=task.exact).model
    plan = plan_of(task, choices)
    return lx.approximate(task, plan) if inputs is None else lx.approximate(task.model, plan, calibration=inputs)


def plan_of(task: Task, choices: Sequence[Approximation]) -> Plan:
    """The same choices at all sites."""
    return Plan.assign(lx.find_sites(task.model, task.example_input, task.exact), choices)


def networks(circuit: str) -> dict[str, tuple[Approximation, ...]]:
    """Choices of the networks that are struck."""
    return {"fp32": (), "int8": (Integer(),), "approximate": (Integer(), CircuitMultiplier(circuit))}


def campaigns(task: Task, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every guard in every network, under every population."""
    rows = []
    for name, choices in networks(options.circuits[0]).items():
        for guard in GUARDS[name]:
            model = built(task, [*choices, *([] if guard is None else [guard])])
            right = predict(model, task, "test").quality().value
            for population in POPULATIONS[name]:
                subject, aim = Subject(population=population, seed=SEED), Aim(faults=options.faults)
                found = run_campaign(lambda model=model: (model, task), subject, aim)
                row = {"network": name, "guard": "none" if guard is None else guard.label(), "struck": population}
                rows.append({**row, "accuracy": right, **shares(found)})
    return rows


def shares(found: Campaign) -> dict[str, Any]:
    """Of a campaign: silent corruption and alarms, as estimate and interval, fractions."""
    sdc, due = found.interval("sdc"), found.interval("due")
    rows = Outcomes.joined(found.outcomes)
    return {
        "sdc": [sdc.estimate, sdc.low, sdc.high],
        "due": [due.estimate, due.low, due.high],
        "noticed_or_masked": float(((rows.noticed | rows.same) == 1).mean()) if found.exact else None,
        "faults": len(rows),
    }


def clean(task: Task, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Checksums of networks without faults on all samples that are there."""
    batches = everything(task).split(BATCH)
    rows = []
    for name, choices in networks(options.circuits[0]).items():
        found = false_alarms(built(task, [*choices, Abft()]), batches)
        checks, alarms = sum(f.checks for f in found), sum(f.alarms for f in found)
        high = clopper_pearson(alarms, checks).high
        sites = lx.find_sites(task.model, task.example_input, task.exact)
        outputs = sum(f.samples * site.op.output_elements for f, site in zip(found, sites, strict=True))
        rows.append({"network": name, "outputs": outputs, "checks": checks, "alarms": alarms, "at_most": high})
    return rows


def everything(task: Task) -> Tensor:
    """Inputs of all splits."""
    return torch.cat([split.fetch(range(len(split)))[0] for split in task.splits().values()])


def circuits(task: Task, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Intervals for approximate multipliers, on inputs that they have not seen."""
    count = options.calibration
    train = task.train.fetch(range(len(task.train)))[0]
    others = [train[count:], *(s.fetch(range(len(s)))[0] for n, s in task.splits().items() if n != "train")]
    rows = []
    for circuit in options.circuits:
        for guard in (
            Abft(), Abft(fitted=True), Abft("predicted"), Abft("predicted", fitted=True), Abft("measured"),
            Abft("measured", fitted=True), Abft("measured", "position", fitted=True),
            Abft("measured", "total"), Abft("measured", "total", fitted=True),
        ):  # fmt: skip
            model = built(task, [Integer(), CircuitMultiplier(circuit), guard], train[:count])
            found = false_alarms(model, torch.cat(others).split(BATCH))
            row: dict[str, Any] = {"circuit": circuit, "guard": guard.label(), **alarms_of(found)}
            for population in ("weights", "accumulators"):
                bench = Bench(lambda model=model: (model, task), Subject(population=population, seed=SEED))
                noticed = int(bench.try_out(0, 0, options.faults).noticed.sum())
                share = clopper_pearson(noticed, options.faults)
                row[population] = [share.estimate, share.low, share.high]
            rows.append(row)
    return rows


def alarms_of(found: Sequence[FalseAlarms]) -> dict[str, Any]:
    """False alarms of the sites of a network: the mean over sites, and the worst one with its interval."""
    worst = max(found, key=lambda f: f.share.estimate)
    stated = [f.stated for f in found]
    return {
        "runs": worst.samples,
        "mean": sum(f.share.estimate for f in found) / len(found),
        "worst": [worst.share.estimate, worst.share.low, worst.share.high],
        "stated": None if None in stated else max(s for s in stated if s is not None),
        "by_site": {f.site: f.share.estimate for f in found},
    }


def cost(task: Task, _: argparse.Namespace) -> list[dict[str, Any]]:
    """Prices over those of the 8-bit network."""
    base = priced(task, [Integer()])
    rows = []
    for guard in PRICED:
        found = priced(task, [Integer(), guard])
        before, after = (by_site(c) for c in (base, found))
        rows.append(
            {
                "guard": guard.label(),
                "energy": found.energy_pj.value / base.energy_pj.value,
                "area": found.area_um2.value / base.area_um2.value,
                "latency": found.latency_cycles.value / base.latency_cycles.value,
                "memory": found.memory_bits.value / base.memory_bits.value,
                "by_site": {site: after[site] / before[site] for site in before},
            }
        )
    return rows


def priced(task: Task, choices: Sequence[Approximation]) -> Cost:
    """Cost of one sample."""
    plan = plan_of(task, choices)
    inputs = calibration_inputs(task, "cpu")[0]
    return cost_of(lx.approximate(task, plan), plan, load_target(TARGET), inputs, seed=0)


def by_site(found: Cost) -> dict[str, float]:
    """Energy of each site, pJ."""
    sites: dict[str, float] = {}
    for site, _, estimate in found.energy_parts_pj:
        sites[site] = sites.get(site, 0.0) + estimate.value
    return sites


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
    return str(value)


if __name__ == "__main__":
    main()
