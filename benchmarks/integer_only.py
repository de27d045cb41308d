"""How many predictions an integer-only network changes against the emulation that scales sums in float32.

For every task and plan: both models judge the first samples of the test split; the program of the integer model is
run by the numpy interpreter on a few of them, and all integers of all steps are compared.

Usage: ``python benchmarks/integer_only.py [--json] [--tasks digits,mnist,cifar10] [--data-dir DIR] [--samples N]
[--plans "exact 8-bit;drum8_4"] [--bits 8]``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import laxity as lx
from laxity.core.approximation import Approximation
from laxity.core.interpret import run_program
from laxity.emulate import IntegerModel, integer_model
from laxity.task.splits import batches

PLANS: dict[str, Sequence[Approximation]] = {
    "exact 8-bit": [lx.Integer()],
    "drum8_4": [lx.Integer(), lx.CircuitMultiplier("drum8_4")],
    "mitchell8": [lx.Integer(), lx.CircuitMultiplier("mitchell8")],
    "4-bit weights": [lx.Integer(4, 8)],
    "4-bit weights, mitchell8": [lx.Integer(4, 8), lx.CircuitMultiplier("mitchell8")],
    "affine activations": [lx.Integer(8, 8, "symmetric", "affine")],
    "affine both": [lx.Integer(8, 8, "affine", "affine")],
    "affine both, drum8_4": [lx.Integer(8, 8, "affine", "affine"), lx.CircuitMultiplier("drum8_4")],
    "4-bit both": [lx.Integer(4, 4, calibration="mse")],
    "loa24_8 accumulators": [lx.Integer(), lx.CircuitAccumulator("loa24_8")],
}


@dataclass(frozen=True, slots=True)
class Row:
    """One plan on one task.

    Attributes:
        task, plan: names.
        samples: of the test split.
        float_accuracy, integer_accuracy: fractions.
        differ: predictions that are not the same.
        steps: of the program.
        interpreted: samples whose integers were compared.
        integers: how many integers that were.
        equal: all of them are the same in the interpreter.
        float_s, integer_s: time for all samples.
    """

    task: str
    plan: str
    samples: int
    float_accuracy: float
    integer_accuracy: float
    differ: int
    steps: int
    interpreted: int
    integers: int
    equal: bool
    float_s: float
    integer_s: float


@torch.no_grad()
def measure(task: lx.Task, plan: str, inputs: Tensor, targets: Tensor, interpreted: int, bits: int) -> Row:
    """Make both models of a plan and compare them."""
    sites = lx.find_sites(task.model, task.example_input)
    model = lx.approximate(task, lx.Plan.assign(sites, PLANS[plan]))
    example = torch.cat([x for x, _ in batches(task.calibration, 64, limit=256)])
    integer = integer_model(model, example, bits=bits)
    start = time.perf_counter()
    before = torch.cat([model(x) for x in inputs.split(125)]).argmax(1)
    between = time.perf_counter()
    after = torch.cat([integer(integer.quantise(x)) for x in inputs.split(125)]).argmax(1)
    end = time.perf_counter()
    count, equal = compare(integer, inputs[:interpreted])
    return Row(
        task.name,
        plan,
        len(inputs),
        float((before == targets).float().mean()),
        float((after == targets).float().mean()),
        int((before != after).sum()),
        len(integer.program.steps),
        len(inputs[:interpreted]),
        count,
        equal,
        between - start,
        end - between,
    )


def compare(integer: IntegerModel, inputs: Tensor) -> tuple[int, bool]:
    """Number of integers that model and interpreter compute for some inputs, and whether all are the same."""
    codes = integer.quantise(inputs)
    adders = {name: adder.add for name, adder in integer.adders.items()}
    wanted = run_program(integer.program, codes.numpy(), integer.tables, adders)
    got = integer.trace(codes)
    equal = got.keys() == wanted.keys() and all(np.array_equal(got[k].numpy(), v) for k, v in wanted.items())
    return sum(v.size for v in wanted.values()), equal


def main() -> int:
    """Measure, print, and return 1 where integers differ between model and interpreter."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--tasks", default="digits", help="names joined by commas")
    parser.add_argument("--data-dir", type=Path, help="folder of data sets and weights")
    parser.add_argument("--samples", type=int, default=10_000, help="of each test split")
    parser.add_argument("--interpreted", type=int, default=4, help="samples whose integers are compared one by one")
    parser.add_argument("--plans", default=";".join(PLANS), help="names joined by semicolons")
    parser.add_argument("--bits", type=int, default=8, help="width of codes between layers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.tasks.split(","):
        task = lx.load_task(name) if options.data_dir is None else lx.load_task(name, data_dir=options.data_dir)
        parts = list(batches(task.test, 500, limit=options.samples))
        inputs, targets = (torch.cat(part) for part in zip(*parts, strict=True))
        for plan in options.plans.split(";"):
            rows.append(measure(task, plan, inputs, targets, options.interpreted, options.bits))
            print(f"{name}: {plan}", file=sys.stderr)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}, indent=1))
    else:
        print("| task | plan | float scaling | integers only | predictions that differ | integers compared, equal |")
        print("|---|---|---|---|---|---|")
        for r in rows:
            differ = f"{r.differ} of {r.samples}"
            accuracy = f"{r.float_accuracy:.2%} | {r.integer_accuracy:.2%}"
            print(f"| {r.task} | {r.plan} | {accuracy} | {differ} | {r.integers}, {'yes' if r.equal else 'NO'} |")
    return 0 if all(row.equal for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
