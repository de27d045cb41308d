"""Approximate against exact multipliers under the same faults: energy, accuracy and silent corruption of one network.

Every network has one multiplier at all sites, 8-bit operands and re-estimated batch norms. Weights are struck by the
same single flips on the same images in all networks; differences to the exact multiplier have paired intervals at 99 %.
Stuck gates in one processing element of a 16 x 16 array are those of each multiplier itself: smaller circuits have
fewer gates, and ``all gates`` is the share of critical gates times the number of gate faults over that of the exact
circuit, the expected harm of a device whose every gate is equally likely to break.

Usage: ``python benchmarks/reliability_front.py [--json] [--task cifar10] [--data-dir DIR] [--multipliers ...]
[--faults 20000] [--gates 2000]``
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch

from laxity.campaign import Aim, Campaign, Subject, difference, run_campaign
from laxity.core.plan import Plan, Recovery
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.evaluation.quality import predict
from laxity.techniques import CircuitMultiplier, Integer

EXACT = "dadda8"
MULTIPLIERS = ("mitchell8", "drum8_4", "drum8_3", "coltrunc8_6", "coltrunc8_8", "optrunc8_3", "perf8_0_2", "dsm8_3")
FLIP, STUCK = ({"kind": kind, "rate_per_bit": 0.0} for kind in ("bit_flip", "stuck_at"))
SEED = 1


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(1)
    evaluator = Evaluator(Setup({"spec": options.task, "data_dir": options.data_dir}, "mac-array-45nm"))
    rows: list[dict[str, Any]] = []
    exact: Campaign | None = None
    for name in (EXACT, *options.multipliers):
        print(f"{name} ...", file=sys.stderr, flush=True)
        row, struck = measure(evaluator, name, options, exact)
        exact = exact or struck
        rows.append(row)
    for row in rows:
        row["all_gates"] = row["gates"]["estimate"] * row["gate_faults"] / rows[0]["gate_faults"]
    print(json.dumps(rows) if options.json else _text(rows))


def measure(
    evaluator: Evaluator, name: str, options: argparse.Namespace, exact: Campaign | None
) -> tuple[dict[str, Any], Campaign]:
    """One multiplier at every site."""
    sites = [s for s in evaluator.prepared.sites if s.slots]
    choices = [Integer(8, 8)] + ([] if name == EXACT else [CircuitMultiplier(name)])
    plan = Plan.assign(sites, choices).with_recovery(None if name == EXACT else Recovery())
    model = evaluator.model(plan)
    energy = evaluator.cost(plan, model).energy_pj.value / evaluator.base_energy_pj

    def source() -> Any:
        return model, evaluator.task

    struck = run_campaign(source, Subject(FLIP, seed=SEED), Aim(faults=options.faults))
    array = {"rows": 16, "columns": 16}
    gates = run_campaign(source, Subject(STUCK, "gates", array, seed=SEED), Aim(faults=options.gates))
    right = predict(model, evaluator.task, "test").quality()
    row = {
        "multiplier": name,
        "energy_ratio": energy,
        "accuracy": right.value,
        "sdc": _plain(struck.interval("sdc")),
        "more_than_exact": None if exact is None else _plain(difference(struck, exact, "sdc")),
        "gates": _plain(gates.interval("critical")),
        "gate_faults": gates.cells.size,
    }
    return row, struck


def _plain(interval: Any) -> dict[str, float]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--task", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--multipliers", nargs="*", default=list(MULTIPLIERS))
    parser.add_argument("--faults", type=int, default=20_000, help="flips of stored weights per network")
    parser.add_argument("--gates", type=int, default=2000, help="stuck gates per network")
    return parser.parse_args()


def _text(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| multiplier | energy ratio | accuracy | SDC of weight flips | more than exact | stuck gates critical "
        "| all gates |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        more = "" if r["more_than_exact"] is None else _share(r["more_than_exact"], sign="+")
        lines.append(
            f"| `{r['multiplier']}` | {r['energy_ratio']:.3f} | {100 * r['accuracy']:.2f} | {_share(r['sdc'])} "
            f"| {more} | {_share(r['gates'])} | {100 * r['all_gates']:.2f} |"
        )
    return "\n".join(lines)


def _share(interval: dict[str, float], sign: str = "") -> str:
    low, high = (f"{100 * interval[end]:{sign}.3f}" for end in ("low", "high"))
    return f"{100 * interval['estimate']:{sign}.3f} ({low} to {high})"


if __name__ == "__main__":
    main()
