"""What gradients beyond straight-through cost per backward pass, and how much further training gets with them.

Two parts: ``cost`` (backward passes and steps of single layers in turns, CPU seconds of this process, shortest times,
as ratios to straight-through) and ``training`` (loss on the training samples of the digits after equal steps, mean and
spread over seeds, judged by the table).

Usage: ``python benchmarks/gradients.py [--json] [--parts cost,training] [--multipliers ...] [--epochs 3] [--seeds 3]``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import laxity as lx
from laxity.circuits import catalogue
from laxity.core.plan import Plan, Recovery
from laxity.emulate.apply import calibration_inputs, realise
from laxity.emulate.build import emulated
from laxity.recovery import SiteGradient, with_gradient
from laxity.recovery.train import retrain
from laxity.sites.prepare import Prepared, prepare
from laxity.task.splits import batches
from laxity.techniques import Integer

GRADIENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "straight_through": ("straight_through", {}),
    "error_slope": ("error_slope", {}),
    "error_slope, per site": ("error_slope", {"per_kernel": False}),
    "table_1d": ("table_1d", {}),
    "table_1d, histogram": ("table_1d", {"weighting": "histogram"}),
    "table_2d": ("table_2d", {}),
    "table_2d, window 4": ("table_2d", {"window": 4}),
}
COSTED = ("straight_through", "error_slope", "table_1d", "table_2d", "table_2d, window 4")
MULTIPLIERS = ("optrunc8_3", "coltrunc8_10", "optrunc8_5", "momenitwo8_16", "perf8_2_3", "mitchell8")
PARTS = ("cost", "training")


class _Attention(nn.Module):
    """Scores of 4 heads: a product of two activations."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ x.transpose(-1, -2)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolution 3x3, 32 to 32, 16x16": (lambda: nn.Conv2d(32, 32, 3, padding=1), (16, 32, 16, 16)),
    "depthwise 3x3, 64, 16x16": (lambda: nn.Conv2d(64, 64, 3, padding=1, groups=64), (16, 64, 16, 16)),
    "linear 512 to 256": (lambda: nn.Linear(512, 256), (64, 512)),
    "product 64x32 by 32x64, 4 heads": (_Attention, (16, 4, 64, 32)),
}


def main() -> None:
    """Measure and print."""
    given = _options()
    torch.set_num_threads(1)
    measures = {"cost": cost, "training": training}
    found = {part: measures[part](given) for part in given.parts}
    sys.stdout.write((json.dumps(found, indent=2) if given.json else _text(found)) + "\n")


def cost(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Backward passes and whole steps (forward and backward) of single layers."""
    rows = []
    for layer, (make, shape) in LAYERS.items():
        torch.manual_seed(given.seed)
        x = torch.rand(shape)
        model = _emulated(prepare(nn.Sequential(make()), x[:1]), [x])
        for multiplier in given.multipliers:
            _use(model, multiplier)
            times = {name: [float("inf"), float("inf")] for name in COSTED}
            for _ in range(given.rounds):
                for name in COSTED:
                    times[name] = [min(pair) for pair in zip(times[name], _times(model, x, name), strict=True)]
            straight = times["straight_through"]
            rows += [
                {
                    "layer": layer,
                    "multiplier": multiplier,
                    "gradient": name,
                    "backward_s": backward,
                    "backward": backward / straight[0],
                    "step": step / straight[1],
                    "first site": _described(model, x, name),
                }
                for name, (backward, step) in times.items()
            ]
    return rows


def _times(model: nn.Module, x: Tensor, name: str) -> tuple[float, float]:
    """CPU seconds of one backward pass, and of it with its forward pass."""
    felt = [x.clone().requires_grad_(True), *model.parameters()]
    with _gradient(model, x, name):
        start = time.process_time()
        y = model(felt[0])
        middle = time.process_time()
        torch.autograd.grad(y, felt, torch.ones_like(y))
        end = time.process_time()
    return end - middle, end - start


def _described(model: nn.Module, x: Tensor, name: str) -> str:
    with _gradient(model, x, name) as found:
        return next((site.describe() for site in found.values()), "-")


def _gradient(model: nn.Module, x: Tensor, name: str) -> AbstractContextManager[dict[str, SiteGradient]]:
    kind, options = GRADIENTS[name]
    return with_gradient(model, kind, [x], patches=64, **options)


def training(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Digits after equal steps."""
    task = lx.load_task("digits")
    prepared, inputs = prepare(task.model, task.example_input), calibration_inputs(task, "cpu", 128)
    x, y = next(batches(task.train, len(task.train)))
    recovery = Recovery(epochs=given.epochs, learning_rate=1e-3, batch_size=64)
    rows = []
    for multiplier in given.multipliers:
        for name, (kind, options) in GRADIENTS.items():
            losses = []
            start = time.process_time()
            for seed in range(given.seed, given.seed + given.seeds):
                model = _emulated(prepared, inputs)
                _use(model, multiplier)
                found: dict[str, SiteGradient]
                with with_gradient(model, kind, inputs, **options) as found:
                    retrain(model, task, recovery, seed=seed)
                with torch.no_grad():
                    losses.append(float(task.loss(model(x), y)))
            rows.append(
                {
                    "multiplier": multiplier,
                    "gradient": name,
                    "loss": float(np.mean(losses)),
                    "spread": float(np.std(losses)),
                    "cpu_s": (time.process_time() - start) / given.seeds,
                    "first site": next((site.describe() for site in found.values()), "-"),
                }
            )
    return rows


def _emulated(prepared: Prepared, inputs: Sequence[Tensor]) -> nn.Module:
    model = realise(prepared, Plan.assign(prepared.sites, [Integer()]), inputs)
    return model.requires_grad_(True)


def _use(model: nn.Module, multiplier: str) -> None:
    for layer in emulated(model):
        layer.multiplier = catalogue.get(multiplier)


def _text(found: dict[str, list[dict[str, Any]]]) -> str:
    lines = []
    for part, rows in found.items():
        widths = {key: max(len(key), *(len(_cell(row.get(key, "-"))) for row in rows)) for key in rows[0]}
        lines += ["", part, "  ".join(f"{key:>{width}}" for key, width in widths.items())]
        lines += ["  ".join(f"{_cell(row.get(key, '-')):>{width}}" for key, width in widths.items()) for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--multipliers", type=lambda text: text.split(","), default=list(MULTIPLIERS))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--rounds", type=int, default=10)
    return parser.parse_args()


def _parts(given: str) -> list[str]:
    names = given.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is no part; choose from {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    main()
