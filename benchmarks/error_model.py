"""How well error models predict what multipliers do to a network, and what training with them saves.

All times are CPU seconds of this process, so that other programs disturb them least.

Five parts: ``ranking`` (predicted against emulated harm of all multipliers), ``relations`` (slopes, spreads and means
of the errors per layer, medians over the layers), ``speed`` (training steps by table, by model and in float32, in
turns, shortest times), ``training`` (fine-tuning by table and by model from the same start, judged by the table),
``ways`` (the training that plans get, by table and through models with and without noise and clips, from the
re-estimated network, judged by the table on the test split).

Usage: ``python benchmarks/error_model.py [--json] [--task cifar10] [--data-dir DIR] [--weight-bits 8,4]
[--parts ranking,relations,speed,training,ways] [--samples 256] [--train-samples 1024] [--seeds 1]``
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import laxity as lx
from laxity.circuits.wide import core
from laxity.core.plan import Plan, Recovery
from laxity.emulate.apply import calibration_inputs, realise
from laxity.emulate.build import emulated
from laxity.evaluation.quality import compare, predict
from laxity.recovery import (
    ElementErrors,
    Modelled,
    check_moments,
    error_models,
    fit,
    modelled,
    observe,
    rank_multipliers,
)
from laxity.recovery.train import Through, retrain, train
from laxity.sites.prepare import Prepared, prepare
from laxity.task.task import Task
from laxity.task.train import accuracy
from laxity.techniques import CircuitMultiplier, Integer

RELATIONS = ("optrunc8_2", "optrunc8_3", "coltrunc8_8", "perf8_0_3", "drum8_3", "mitchell8", "roba8")
SPEED = ("optrunc8_3", "coltrunc8_8", "mitchell8", "coltruncv8_8")
TRAINING = ("coltrunc8_8", "optrunc8_4", "mbm8_4")
SPREADS = ("independent_spread", "sampled_spread")
PARTS = ("ranking", "relations", "speed", "training", "ways")
THROUGH = {
    "noise_clips": Through(),
    "noise_lines": Through(clips=False),
    "clips": Through(noise=False),
    "lines": Through(noise=False, clips=False),
}
WAYS = (("model_s", None, True), ("straight_model_s", None, False), ("noisy_model_s", 0, False))
_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Subject:
    """A quantised network.

    Attributes:
        task: with data.
        plan: integer operands everywhere.
        prepared: the exact network.
        inputs: batches of calibration inputs.
        weight_bits: of the plan.
    """

    task: Task
    plan: Plan
    prepared: Prepared
    inputs: list[Tensor]
    weight_bits: int

    def build(self, multiplier: str | None = None) -> nn.Module:
        """The emulated network with a multiplier everywhere."""
        model = realise(self.prepared, self.plan, self.inputs)
        use(model, multiplier)
        return model


def use(model: nn.Module, multiplier: str | None) -> None:
    """Give all sites a multiplier, or exact products."""
    for layer in emulated(model):
        layer.multiplier = None if multiplier is None else core(multiplier)


def main() -> None:
    """Measure what the options ask for and print it."""
    options = _options()
    task = lx.load_task(options.task, data_dir=options.data_dir)
    prepared = prepare(task.model, task.example_input)
    inputs = calibration_inputs(task, "cpu", 256)
    found: dict[str, Any] = {"task": task.name, "threads": torch.get_num_threads(), "bits": {}}
    for bits in options.weight_bits:
        subject = Subject(task, Plan.assign(prepared.sites, [Integer(weight_bits=bits)]), prepared, inputs, bits)
        parts: dict[str, Any] = {}
        for part in options.parts:
            print(f"{task.name}, {bits}-bit weights: {part} ...", file=sys.stderr, flush=True)
            parts[part] = MEASURES[part](subject, options)
        found["bits"][str(bits)] = parts
    print(json.dumps(found) if options.json else _text(found))


def ranking(subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """Predict all multipliers, emulate all, compare the orders."""
    start = time.process_time()
    rows = rank_multipliers(subject.task, subject.plan, seed=options.seed)
    predicted_s = time.process_time() - start
    model = subject.build()
    exact = predict(model, subject.task, "validation", limit=options.samples)
    start = time.process_time()
    true = []
    for row in rows:
        use(model, row.name)
        true.append(compare(exact, predict(model, subject.task, "validation", limit=options.samples)))
    emulated_s = time.process_time() - start
    divergences = [row.harm.divergence for row in rows]
    drops = [row.harm.accuracy_drop for row in rows]
    return {
        "multipliers": len(rows),
        "predicted_s": predicted_s,
        "emulated_s": emulated_s,
        "samples": options.samples,
        "divergence_with_divergence": _rank(divergences, [t.divergence for t in true]),
        "divergence_with_drop": _rank(divergences, [t.drop for t in true]),
        "drop_with_drop": _rank(drops, [t.drop for t in true]),
        "rows": [
            {"name": row.name, **asdict(row.harm), "true_divergence": t.divergence, "true_drop": t.drop}
            for row, t in zip(rows, true, strict=True)
        ],
    }


def _rank(predicted: Sequence[float], true: Sequence[float]) -> float:
    return float(spearmanr(predicted, true)[0])


def relations(subject: Subject, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Medians over the layers behind the first one."""
    model = subject.build()
    half = len(subject.inputs) // 2
    seen = observe(model, subject.inputs[:half], seed=options.seed).sites
    held_out = observe(model, subject.inputs[half:], seed=options.seed).sites
    rows = []
    for name in RELATIONS:
        values = []
        for site in list(seen)[1:]:
            errors = ElementErrors.of(seen[site].operand, core(name), site)
            sums = errors.sums(seen[site])
            model_of, check = fit(sums, seen[site]), check_moments(errors, seen[site], held_out[site])
            left = float(model_of.residual_std) / max(float(sums.std()), 1e-12)
            means, spreads = (
                (check.correlation, check.sampled_correlation),
                (check.independent_spread, check.sampled_spread),
            )
            values.append((float(model_of.slope), model_of.r2, left, *means, *spreads))
        keys = ("slope", "r2", "residual", "mean_correlation", "sampled_mean_correlation", *SPREADS)
        medians = [_median(column) for column in zip(*values, strict=True)]
        rows.append({"name": name, **dict(zip(keys, medians, strict=True))})
    return rows


def _median(values: Sequence[float]) -> float | None:
    """Of the numbers among them, None where there are none: an exact layer has no spread."""
    known = [v for v in values if not math.isnan(v)]
    return float(np.median(known)) if known else None


def speed(subject: Subject, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds of one step, forward and backward with all weights training, for a batch of 64."""
    x, y = subject.task.train.fetch(range(64))
    native = copy.deepcopy(subject.prepared.model)
    rows = []
    for name in SPEED:
        models = error_models(subject.build(name), subject.inputs[:1], seed=options.seed)
        networks = {"native_s": native, **{key: subject.build(name) for key in ("table_s", *(w[0] for w in WAYS))}}
        best = dict.fromkeys(networks, float("inf"))
        with ExitStack() as stack:
            for key, noise, clips in WAYS:
                stack.enter_context(modelled(networks[key], models, noise_seed=noise, clips=clips))
            for _ in range(_ROUNDS):
                for key, network in networks.items():
                    start = time.process_time()
                    _step(network, subject.task, x, y)
                    best[key] = min(best[key], time.process_time() - start)
        rows.append({"name": name, **best, "gain": best["table_s"] / best["straight_model_s"]})
    return rows


def _step(model: nn.Module, task: Task, x: Tensor, y: Tensor) -> None:
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    task.loss(model(x), y).backward()


def training(subject: Subject, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Accuracy lost on validation samples without training, and after training by table and by model.

    The original network teaches all; models are fitted anew after every epoch.
    """
    exact = predict(subject.build(), subject.task, "validation", limit=options.samples)
    rows = []
    for name in options.train_multipliers:
        row: dict[str, Any] = {"name": name}
        for way in ("none", "table", "model", "noisy_model"):
            model = subject.build(name)
            start = time.process_time()
            if way == "table":
                _train(model, subject, options)
            elif way != "none":
                models = error_models(model, subject.inputs, seed=options.seed, per_kernel=True)
                noise = options.seed if way == "noisy_model" else None
                with modelled(model, models, noise_seed=noise, clips=False) as session:
                    _train(model, subject, options, session)
            row[f"{way}_s"] = time.process_time() - start
            row[f"{way}_drop"] = compare(exact, predict(model, subject.task, "validation", limit=options.samples)).drop
        rows.append(row)
    return rows


def _train(model: nn.Module, subject: Subject, options: argparse.Namespace, session: Modelled | None = None) -> None:
    recovery = Recovery(
        epochs=options.epochs, learning_rate=options.learning_rate, batch_size=64, samples=options.train_samples
    )

    def refit(step: int, steps: int, loss: float) -> None:
        if session is not None and step < steps and step % (steps // options.epochs) == 0:
            session.refit(subject.inputs, seed=step)

    retrain(model, subject.task, recovery, seed=options.seed, teacher=subject.prepared.model, progress=refit)


def ways(subject: Subject, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Accuracy on the test split after equal steps by table and through models, for each seed."""
    task, rows = subject.task, []
    recovery = Recovery(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        samples=options.train_samples,
    )
    for name in options.train_multipliers:
        bare = Plan.assign(subject.prepared.sites, [Integer(weight_bits=subject.weight_bits), CircuitMultiplier(name)])
        plan = bare.with_recovery(replace(recovery, epochs=0))
        start = realise(subject.prepared, plan, subject.inputs)
        row: dict[str, Any] = {
            "name": name,
            "untreated": accuracy(realise(subject.prepared, bare, subject.inputs), task.test),
            "re-estimated": accuracy(start, task.test),
        }
        for way in options.ways:
            wanted = recovery if way == "table" else replace(recovery, modelled=True)
            for seed in range(options.seeds):
                model = copy.deepcopy(start)
                through = THROUGH.get(way, Through())
                train(model, task, wanted, seed=seed, teacher=subject.prepared.model, label=name, through=through)
                row[f"{way}, seed {seed}"] = accuracy(model, task.test)
        rows.append(row)
    return rows


MEASURES: dict[str, Callable[[Subject, argparse.Namespace], Any]] = {
    "ranking": ranking,
    "relations": relations,
    "speed": speed,
    "training": training,
    "ways": ways,
}


def _text(found: dict[str, Any]) -> str:
    lines = []
    for bits, parts in found["bits"].items():
        lines.append(f"{found['task']}, {bits}-bit weights, {found['threads']} thread(s)")
        for part, result in parts.items():
            facts = {k: v for k, v in result.items() if k != "rows"} if isinstance(result, dict) else {}
            lines += ["", part, *(f"  {k}: {v:.4g}" for k, v in facts.items())]
            rows = result["rows"] if isinstance(result, dict) else result
            lines.append("  " + "  ".join(f"{key:>24}" for key in rows[0]))
            for row in rows:
                cells = (f"{v:24.4g}" if isinstance(v, float) else f"{v or '-':>24}" for v in row.values())
                lines.append("  " + "  ".join(cells))
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--task", default="cifar10", help="a built-in task; digits needs no data")
    parser.add_argument("--data-dir", default=None, help="folder of data sets")
    parser.add_argument("--weight-bits", type=_numbers, default=[8, 4], help="for example 8,4")
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--samples", type=int, default=256, help="validation samples that are emulated")
    parser.add_argument("--train-samples", type=int, default=1024, help="training samples per epoch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64, help="of the part ways")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=["table", *THROUGH], help="of that part")
    parser.add_argument("--seeds", type=int, default=1, help="of that part")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument(
        "--train-multipliers", type=lambda text: text.split(","), default=list(TRAINING), help="joined by commas"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _numbers(given: str) -> list[int]:
    return [int(part) for part in given.split(",")]


def _parts(given: str) -> list[str]:
    names = given.split(",")
    for name in names:
        if name not in MEASURES:
            raise argparse.ArgumentTypeError(f"{name!r} is no part; choose from {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    main()
