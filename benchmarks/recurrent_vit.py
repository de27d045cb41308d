"""Treatments of a recurrent network and of a vision transformer on the embedded digits, side by side.

Networks are trained first, as ``laxity train digits --model gru`` does. Every plan puts one multiplier at every
site; all treatments of `laxity.search.baselines` and two gradients by tables repair it, under several seeds, with equal
numbers of steps. Accuracies are on the validation split. A call that was ended goes on with the same ``--out``.

Usage: ``python benchmarks/recurrent_vit.py --out DIR [--json] [--networks gru,lstm,vit_tiny]
[--plans coltrunc8_10:4,optrunc8_4:8] [--epochs 4] [--seeds 3]``
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import laxity as lx
from laxity.core.plan import Plan, Recovery
from laxity.evaluation.evaluator import Setup
from laxity.recovery import rank_multipliers
from laxity.search import baselines, treat
from laxity.task.base import trained_path
from laxity.task.train import train_named
from laxity.techniques import CircuitMultiplier, Integer

NETWORKS = ("gru", "lstm", "vit_tiny")
PLANS = (("coltrunc8_10", 4), ("optrunc8_4", 8))
TASK = "digits"


def main() -> None:
    """Measure what the options ask for and print it."""
    torch.set_num_threads(1)
    options = _options()
    found = [measure(name, plan, options) for name in options.networks for plan in options.plans]
    print(json.dumps(found) if options.json else "\n\n".join(_text(row) for row in found))


def measure(network: str, chosen: tuple[str, int], options: argparse.Namespace) -> dict[str, Any]:
    """One network with one multiplier under all treatments."""
    data, (multiplier, bits) = options.out / "data", chosen
    if not trained_path(data, TASK, network).is_file():
        train_named(TASK, seed=0, network=network, data_dir=data)
    print(f"{network}, {multiplier}, {bits}-bit weights ...", file=sys.stderr, flush=True)
    task = lx.load_task(TASK, model=network, data_dir=data)
    sites = lx.find_sites(task.model, task.example_input)
    quantised = Plan.assign(sites, [Integer(bits, 8)])
    predicted = rank_multipliers(task, quantised, [multiplier])[0].harm
    setup = Setup(task={"spec": TASK, "model": network, "data_dir": str(data)}, target="mac-array-45nm")
    plan = Plan.assign(sites, [Integer(bits, 8), CircuitMultiplier(multiplier)])
    folder = options.out / f"{network}-{multiplier}-{bits}"
    result = treat(setup, plan, treatments(options), range(options.seeds), folder=folder)
    return {
        "network": network,
        "multiplier": multiplier,
        "weight_bits": bits,
        "energy_ratio": result.energy_ratio,
        "predicted_drop": predicted.accuracy_drop,
        "exact": result.exact.mean,
        "untreated": result.before.mean,
        "after": {row.name: {"mean": row.mean, "spread": row.spread} for row in result.after},
    }


def treatments(options: argparse.Namespace) -> dict[str, Recovery | None]:
    """All that are compared, or those of them that are asked for."""
    common = Recovery(
        epochs=options.epochs, samples=options.samples, batch_size=32, learning_rate=options.learning_rate
    )
    labels = replace(common, distil=0.0)
    by_table = {f"gradient {name}": replace(labels, gradient=name) for name in ("table_1d", "table_2d")}
    known = {**baselines(common), **by_table}
    return {name: recovery for name, recovery in known.items() if not options.only or name in options.only}


def _text(row: dict[str, Any]) -> str:
    head = (
        f"{row['network']}, {row['multiplier']}, {row['weight_bits']}-bit weights: exact {row['exact'] * 100:.1f} %, "
        f"untreated {row['untreated'] * 100:.1f} % (predicted drop {row['predicted_drop'] * 100:.1f} points), "
        f"energy {row['energy_ratio']:.2f}"
    )
    rows = (f"  {name:40s} {v['mean'] * 100:5.1f} +- {v['spread'] * 100:.1f} %" for name, v in row["after"].items())
    return "\n".join([head, *rows])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, journals and unfinished work")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--networks", type=lambda text: text.split(","), default=list(NETWORKS))
    parser.add_argument("--plans", type=_plans, default=list(PLANS), help="multiplier:weight bits, joined by commas")
    parser.add_argument("--only", type=lambda text: text.split(","), default=None, help="names of treatments")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--samples", type=int, default=0, help="training samples per epoch; 0 for all")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


def _plans(given: str) -> list[tuple[str, int]]:
    pairs = [part.partition(":") for part in given.split(",")]
    return [(name, int(bits or 8)) for name, _, bits in pairs]


if __name__ == "__main__":
    main()
