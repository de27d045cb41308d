"""Whether the simulated accelerator of a whole network gives the integers of the interpreter, and what it takes.

Every layer of the network gets the same plan. Compared are, for every image, the sums of every product step, the codes
after every step, the integers of the output, and the cycles of every step against the schedule.

Usage: ``python benchmarks/accelerator.py [--json] [--task digits] [--multiplier exact] [--rows 8] [--columns 8]
[--dataflow weight-stationary] [--images 100] [--tool iverilog] [--data-dir DIR] [--weights FILE] [--model NAME]``
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import laxity as lx
from laxity.core.serial import to_json
from laxity.emulate import integer_model
from laxity.rtl.accelerator import Configuration, simulate, write_accelerator
from laxity.rtl.accelerator.configuration import DATAFLOWS
from laxity.rtl.accelerator.simulate import SIMULATORS

CALIBRATION = 64


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--task", default="digits")
    parser.add_argument("--model", help="network, where not the task's usual one")
    parser.add_argument("--weights", type=Path, help="trained weights")
    parser.add_argument("--data-dir", type=Path, help="folder of data sets")
    parser.add_argument("--multiplier", default="exact", help="name of a circuit, or exact")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--dataflow", choices=DATAFLOWS, default=DATAFLOWS[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--tool", choices=SIMULATORS, default=SIMULATORS[0])
    return parser.parse_args()


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Write, simulate and compare one accelerator."""
    given = {"data_dir": chosen.data_dir, "weights": chosen.weights, "model": chosen.model}
    task = lx.load_task(chosen.task, **{k: v for k, v in given.items() if v is not None})
    circuit = () if chosen.multiplier == "exact" else (lx.CircuitMultiplier(chosen.multiplier),)
    plan = lx.Plan.assign(lx.find_sites(task.model, task.example_input), (lx.Integer(), *circuit))
    integer = integer_model(lx.approximate(task, plan), task.calibration.fetch(range(CALIBRATION))[0])
    inputs, labels = task.test.fetch(range(chosen.images))
    codes = integer.quantise(inputs)
    configuration = Configuration(chosen.rows, chosen.columns, chosen.dataflow)
    with tempfile.TemporaryDirectory() as folder:
        written = write_accelerator(integer.program, integer.multipliers, configuration, Path(folder), codes.numpy())
        found = simulate(Path(folder), chosen.tool)
    counts = [s.counts for s in written.schedule.steps]
    return {
        "task": chosen.task,
        "multiplier": chosen.multiplier,
        "configuration": to_json(configuration),
        "tool": found.tool,
        "images": found.images,
        "right_images": int((integer(codes).argmax(1) == labels).sum()),
        "compared": found.compared,
        "mismatches": found.mismatches,
        "passed": found.passed,
        "cycles_per_image": found.cycles,
        "utilisation": written.schedule.utilisation,
        "time_s": found.time_s,
        "steps": [{**to_json(s), **to_json(c)} for s, c in zip(found.steps, counts, strict=True)],
    }


def main() -> None:
    """Print what was measured."""
    chosen = options()
    found = measure(chosen)
    if chosen.json:
        print(json.dumps(found, indent=1))
        return
    for step in found["steps"]:
        print(
            f"{step['name']:20} {step['cycles']:8} cycles  utilisation {100 * step['utilisation']:5.1f} %  "
            f"{step['codes'] + step['sums']:8} compared  {step['wrong_codes'] + step['wrong_sums']} different"
        )
    print(
        f"{found['images']} images, {found['compared']} integers compared, {found['mismatches']} different; "
        f"{found['cycles_per_image']} cycles per image, utilisation {100 * found['utilisation']:.1f} %, "
        f"{found['time_s']:.1f} s in {found['tool']}"
    )


if __name__ == "__main__":
    main()
