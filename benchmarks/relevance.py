"""How well criteria of relevance tell which channels a network can do without.

The channels of least relevance are silenced (their outputs become 0), and in turn those of most relevance, for growing
shares of the channels, of every site or of the whole network. Nothing is retrained, and the output layer is left out.
Relevance is judged on training images, accuracy on test images: validation images are among those that published
checkpoints for CIFAR-10 were trained on.

Usage: ``python benchmarks/relevance.py [--json] [--task digits] [--data-dir DIR] [--criteria taylor
lrp_zplus:alpha=2] [--across site network] [--shares 0.05,0.1,0.2] [--samples 256] [--images 1000] [--seeds 3]``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from typing import Any

import numpy as np
import torch

import laxity as lx
from laxity.core.errors import LaxityError
from laxity.evaluation.quality import predict
from laxity.relevance import CRITERIA, Scores, least_relevant, relevances, silenced
from laxity.sites.prepare import Prepared, prepare
from laxity.task.task import Task

VARIANTS = ("lrp_zplus:alpha=2.0", "lrp_zplus:biases=true", "lrp_epsilon:epsilon=1e-6", "lrp_epsilon:epsilon=0.25")
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


def main() -> None:
    """Measure and print."""
    given = _options()
    torch.set_num_threads(1)
    try:
        task = lx.load_task(given.task, data_dir=given.data_dir)
        found = measure(task, given)
    except LaxityError as error:
        sys.exit(str(error))
    sys.stdout.write((json.dumps(found, indent=2) if given.json else _text(found)) + "\n")


def measure(task: Task, given: argparse.Namespace) -> dict[str, Any]:
    """Accuracy by criterion, direction and share, mean and standard deviation over the seeds."""
    prepared = prepare(task.model, task.example_input, exact=task.exact)
    untouched = predict(prepared.model, task, "test", limit=given.images).quality()
    rows = []
    for spec in given.criteria:
        name, options = _criterion(spec)
        curves: dict[str, list[list[list[float]]]] = {across: [] for across in given.across}
        seconds = float("inf")
        for seed in range(given.seeds):
            start = time.process_time()
            scores = relevances(task, name, samples=given.samples, seed=seed, prepared=prepared, **options)
            seconds = min(seconds, time.process_time() - start)
            for across, found in curves.items():
                found.append(_curves(task, prepared, scores, across, given))
        for across, found in curves.items():
            rows.append(
                {"criterion": spec, "across": across, "seconds": seconds, **_row(found, untouched.value, given)}
            )
    facts = {key: getattr(given, key) for key in ("samples", "seeds", "shares")}
    return {"task": task.name, "accuracy": untouched.value, "images": untouched.samples, **facts, "rows": rows}


def _curves(
    task: Task, prepared: Prepared, scores: Scores, across: str, given: argparse.Namespace
) -> list[list[float]]:
    """Accuracy by share, for the least and for the most relevant channels silenced."""
    inner = {site.name: scores[site.name] for site in prepared.sites[:-1] if site.name in scores}
    curves = []
    for sign in (1, -1):
        ordered = {name: sign * values for name, values in inner.items()}
        curve = []
        for share in given.shares:
            with silenced(prepared.model, least_relevant(ordered, share, across=across)):
                curve.append(predict(prepared.model, task, "test", limit=given.images).quality().value)
        curves.append(curve)
    return curves


def _row(found: list[list[list[float]]], untouched: float, given: argparse.Namespace) -> dict[str, Any]:
    """Means over seeds; areas are mean accuracies over shares from 0 to the largest one, by the trapezoid rule."""
    curves = np.array(found)
    shares = np.array([0.0, *given.shares])
    whole = np.concatenate([np.full((*curves.shape[:2], 1), untouched), curves], 2)
    areas = np.trapezoid(whole, shares, axis=2) / shares[-1]
    row: dict[str, Any] = {}
    for way, name in enumerate(("least", "most")):
        row[f"{name}_area"] = float(areas[:, way].mean())
        row[f"{name}_area_std"] = float(areas[:, way].std(ddof=1)) if len(areas) > 1 else None
        row[f"{name}_accuracy"] = curves[:, way].mean(0).tolist()
    return row


def _criterion(spec: str) -> tuple[str, dict[str, Any]]:
    name, _, rest = spec.partition(":")
    return name, tomllib.loads("\n".join(rest.split(",")))


def _text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['task']}: accuracy {found['accuracy']:.4f} on {found['images']} test images, relevance from "
        f"{found['samples']} training images, {found['seeds']} seeds",
        f"{'criterion':26} {'across':8} {'CPU s':>6} {'area, least':>15} {'area, most':>15}   least relevant gone: "
        + " ".join(f"{100 * share:5.0f}%" for share in found["shares"]),
    ]
    for row in found["rows"]:
        areas = (
            f"{row[f'{way}_area']:.3f}" + (f" ± {row[f'{way}_area_std']:.3f}" if found["seeds"] > 1 else "")
            for way in ("least", "most")
        )
        accuracies = " ".join(f"{a:6.3f}" for a in row["least_accuracy"])
        cells = " ".join(f"{area:>15}" for area in areas)
        lines.append(f"{row['criterion']:26} {row['across']:8} {row['seconds']:6.1f} {cells} {'':23}{accuracies}")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--task", default="digits", help="a built-in task; digits needs no data")
    parser.add_argument("--data-dir", default=None, help="folder of data sets")
    criteria = [*CRITERIA.names(), *VARIANTS]
    parser.add_argument("--criteria", nargs="+", default=criteria, help="names, with options: lrp_zplus:alpha=2.0")
    parser.add_argument("--across", nargs="+", choices=("site", "network"), default=["site", "network"])
    parser.add_argument("--shares", type=_fractions, default=list(SHARES), help="rising, for example 0.05,0.1")
    parser.add_argument("--samples", type=int, default=256, help="training images that relevance is judged on")
    parser.add_argument("--images", type=int, default=1000, help="test images that accuracy is measured on")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the training images, and random orders")
    return parser.parse_args()


def _fractions(given: str) -> list[float]:
    return sorted(float(part) for part in given.split(","))


if __name__ == "__main__":
    main()
