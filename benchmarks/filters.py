"""How long layers take whose filters have several circuits, or a control variate, against one circuit for all.

A layer of 64 inputs and 64 outputs, 3 x 3, on 16 x 16 places and 32 images, runs with one circuit and with the other
choice in turns, in one thread. Times are those of the processor, medians over the turns, so that other programs on the
machine count for little.

Usage: ``python benchmarks/filters.py [--json] [--turns 60] [--seed 0]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

import laxity as lx
from laxity.core.seeds import stream
from laxity.techniques import CircuitMultiplier, ControlVariate, FilterMultipliers, Integer

OUTPUTS = 64
CASES: tuple[tuple[str, str, str, tuple[int, ...]], ...] = (
    ("dadda8", "dadda8 dadda8 dadda8", "8 6 4", (22, 21, 21)),
    ("dadda8", "dadda8 gated8_1_1 gated8_2_2", "", (32, 16, 16)),
    ("dadda8", "dadda8 gated8_1_1 gated8_2_2", "", (22, 21, 21)),
    ("drum8_4", "drum8_3 drum8_4 drum8_5", "", (22, 21, 21)),
    ("coltrunc8_6", "coltrunc8_2 coltrunc8_4 coltrunc8_6", "", (22, 21, 21)),
    ("mitchell8", "mitchell8 almsoa8_3 momenione8_2", "", (22, 21, 21)),
)
CORRECTED = (("gated8_3_0", 3), ("coltrunc8_6", 4))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(given.turns, given.seed)
    if given.json:
        sys.stdout.write(json.dumps({"rows": rows}, indent=2) + "\n")
        return
    for row in rows:
        sys.stdout.write(f"{row['one_ms']:7.2f} ms  {row['other_ms']:7.2f} ms  {row['ratio']:5.2f}  {row['what']}\n")


def measure(turns: int, seed: int) -> list[dict[str, Any]]:
    """Time per call of both choices, and their ratio, by case."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Conv2d(OUTPUTS, OUTPUTS, 3, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    x = torch.randn(32, OUTPUTS, 16, 16, generator=generator).relu()
    rows = []
    for one, circuits, widths, counts in CASES:
        modes = stream(seed, "filters", circuits, str(counts)).permutation(
            [m for m, n in enumerate(counts) for _ in range(n)]
        )
        choice = FilterMultipliers.of(circuits.split(), modes.tolist(), [int(bits) for bits in widths.split()])
        rows.append(_row(layer, x, CircuitMultiplier(one), choice, turns) | {"filters": list(counts)})
    for name, bits in CORRECTED:
        rows.append(_row(layer, x, CircuitMultiplier(name), ControlVariate(name, bits), turns))
    return rows


def _row(layer: nn.Module, x: Tensor, one: Any, other: Any, turns: int) -> dict[str, Any]:
    plan = lx.Plan().with_("0", Integer())
    models = [lx.approximate(nn.Sequential(layer), plan.with_("0", c), calibration=x) for c in (one, other)]
    seconds: list[list[float]] = [[], []]
    with torch.no_grad():
        for turn in range(turns + 3):
            for model, found in zip(models, seconds, strict=True):
                start = time.thread_time()
                model(x)
                if turn >= 3:
                    found.append(time.thread_time() - start)
    first, second = (1e3 * statistics.median(found) for found in seconds)
    what = f"{one.label()} | {other.label()}"
    return {"what": what, "one_ms": first, "other_ms": second, "ratio": second / first}


if __name__ == "__main__":
    main()
