"""Whether the simulated accelerator of a whole network gives the integers of the interpreter, and what it takes.

Every layer of the network gets the same plan. Compared are, for every image, the sums of every product step, the codes
after every step, the integers of the output, and the cycles of every step against the schedule. With --silicon, area,
delay and energy on 45 nm cells are measured too.

Usage: ``python benchmarks/accelerator.py [--json] [--task digits] [--multiplier exact] [--rows 8] [--columns 8]
[--dataflow weight-stationary] [--images 100] [--tool iverilog] [--silicon] [--data-dir DIR] [--weights FILE]
[--model NAME]``
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import laxity as lx
from laxity.core.serial import to_json
from laxity.emulate import integer_model
from laxity.rtl.accelerator import Configuration, simulate, write_accelerator
from laxity.rtl.accelerator.configuration import DATAFLOWS
from laxity.rtl.accelerator.simulate import SIMULATORS
from laxity.rtl.silicon import map_accelerator, measure_accelerator

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
    parser.add_argument("--silicon", action="store_true", help="also map to 45 nm cells and measure")
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
        start = time.monotonic()
        if chosen.silicon:
            map_accelerator(Path(folder))
        mapping_s = time.monotonic() - start
        found = simulate(Path(folder), chosen.tool)
        silicon = measured_silicon(Path(folder)) if chosen.silicon else None
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
        "mapping_s": mapping_s,
        "silicon": silicon,
    }


def measured_silicon(folder: Path) -> dict[str, Any]:
    """Figures on cells, and how long measuring took."""
    start = time.monotonic()
    found = measure_accelerator(folder).to_json()
    return {"measuring_s": time.monotonic() - start, **found}


def print_silicon(found: dict[str, Any]) -> None:
    """Figures on cells in lines."""
    for part in found["parts"]:
        print(
            f"{part['name']:20} {part['cells']:8} cells  {part['area_um2']:9.0f} um2  {part['delay_ns']:5.2f} ns  "
            f"{1e-3 * part['logic_pj']:8.1f} nJ"
        )
    for step in found["steps"]:
        low, high = step["logic_glitch_low_pj"], step["logic_glitch_high_pj"]
        print(
            f"{step['name']:20} {step['cycles']:8} cycles  nJ: logic {1e-3 * step['logic_pj']:.1f}, with glitches "
            f"{1e-3 * step['logic_glitch_pj']:.1f} +- {0.5e-3 * (high - low):.1f}, clock "
            f"{1e-3 * step['clock_pj']:.1f}, memories {1e-3 * step['memory_pj']:.1f}, leakage "
            f"{1e-3 * step['leakage_pj']:.1f}"
        )
    print(
        f"{found['area_um2']:.0f} um2 of logic, {found['memory_area_um2']:.0f} um2 of memories, "
        f"{found['delay_ns']:.2f} ns, {1e-6 * found['energy_pj']:.3f} uJ per image at {found['frequency_mhz']:g} MHz; "
        f"measured on {found['images']} images in {found['measuring_s']:.0f} s"
    )


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
    if found["silicon"] is not None:
        print(f"mapped, or read what was kept, in {found['mapping_s']:.0f} s")
        print_silicon(found["silicon"])


if __name__ == "__main__":
    main()
