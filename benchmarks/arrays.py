"""Exact against approximate multipliers in whole systolic arrays: silicon, FPGA, energy per image, accuracy.

The digits network is quantised to 8 bits everywhere and computed with one multiplier, without training it again; its
accelerator is written for an array of every size. Figures that took a tool are kept in the folder LAXITY_CACHE, those
of the simulation in the folder ``--out``, so that a run that was interrupted goes on.

Usage: ``python benchmarks/arrays.py [--json] [--sides 8 16] [--multipliers dadda8 ...] [--figures accuracy ...]
[--images 4] [--no-place] [--out DIR]``
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laxity as lx
from laxity.core.errors import LaxityError
from laxity.core.serial import to_json, write_json
from laxity.emulate import integer_model
from laxity.rtl.accelerator import Configuration, simulate, write_accelerator
from laxity.rtl.fpga import synthesise_accelerator

CALIBRATION = 64
MULTIPLIERS = ("dadda8", "coltrunc8_6", "coltrunc8_8", "drum8_4", "mitchell8", "bam8_6_2", "udm8")
FIGURES = ("accuracy", "xilinx7", "ecp5", "simulation", "silicon")
COLUMNS = (
    ("multiplier", "", "multiplier"),
    ("side", "", "side"),
    ("accuracy %", "accuracy", "accuracy_percent"),
    ("LUT", "xilinx7", "lut"),
    ("FF", "xilinx7", "ff"),
    ("LUT4", "ecp5", "lut"),
    ("MHz", "ecp5", "frequency_mhz"),
    ("element MHz", "ecp5", "element_frequency_mhz"),
    ("um2", "silicon", "area_um2"),
    ("ns", "silicon", "delay_ns"),
    ("pJ/image", "silicon", "energy_pj"),
    ("verified", "simulation", "verified_images"),
)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--sides", type=int, nargs="+", default=[8, 16], help="rows, and as many columns")
    parser.add_argument("--multipliers", nargs="+", default=list(MULTIPLIERS))
    parser.add_argument("--figures", nargs="+", choices=FIGURES, default=list(FIGURES))
    parser.add_argument("--no-place", action="store_true", help="ECP5: count only; place and route takes many minutes")
    parser.add_argument("--images", type=int, default=4, help="simulated, and whose energy is measured")
    parser.add_argument("--out", type=Path, help="folder that keeps the accelerators")
    return parser.parse_args()


def note(text: str) -> None:
    """What is going on."""
    print(text, file=sys.stderr, flush=True)


def network(multiplier: str) -> tuple[lx.Task, Any]:
    """The digits task, and its network in integers with this multiplier in every layer."""
    task = lx.load_task("digits")
    plan = lx.Plan.assign(
        lx.find_sites(task.model, task.example_input), (lx.Integer(), lx.CircuitMultiplier(multiplier))
    )
    return task, integer_model(lx.approximate(task, plan), task.calibration.fetch(range(CALIBRATION))[0])


def accuracy(task: lx.Task, integer: Any) -> dict[str, Any]:
    """Of the integers, on all test images."""
    inputs, labels = task.test.fetch(range(len(task.test)))
    right = int((integer(integer.quantise(inputs)).argmax(1) == labels).sum())
    return {"right": right, "images": len(labels), "accuracy_percent": 100 * right / len(labels)}


def simulated(folder: Path) -> dict[str, Any]:
    """Integers of all images against those of the interpreter; read again where that was done for this very folder."""
    path, written = folder / "simulation.json", folder / "accelerator.json"
    if path.exists() and path.stat().st_mtime >= written.stat().st_mtime:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    result = simulate(folder)
    facts = {"compared": result.compared, "mismatches": result.mismatches}
    found = {**to_json(result), **facts, "verified_images": result.images if result.passed else 0}
    write_json(path, found)
    return found


def on_fpga(folder: Path, family: Any, *, placed: bool) -> dict[str, Any]:
    """Resources, and the frequency after place and route."""
    found = synthesise_accelerator(folder, family, placed=placed, progress=note)
    placement = {} if found.placement is None else to_json(found.placement)
    return {**placement, **found.to_json()}


def silicon(folder: Path) -> dict[str, Any]:
    """Area, delay and energy per image on standard cells."""
    from laxity.rtl.silicon import measure_accelerator

    return measure_accelerator(folder).to_json()


def write_once(folder: Path, integer: Any, task: lx.Task, side: int, images: int) -> None:
    """Write the accelerator unless the folder holds one with as many images."""
    report = folder / "accelerator.json"
    if report.exists() and json.loads(report.read_text(encoding="utf-8"))["images"] == images:
        return
    codes = integer.quantise(task.test.fetch(range(images))[0]).numpy()
    write_accelerator(integer.program, integer.multipliers, Configuration(side, side), folder, codes)


def measure(multiplier: str, side: int, chosen: argparse.Namespace, out: Path) -> dict[str, Any]:
    """All figures of one multiplier in one array; what cannot be measured says why."""
    task, integer = network(multiplier)
    folder = out / f"{multiplier}_{side}x{side}"
    write_once(folder, integer, task, side, chosen.images)
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "accuracy": lambda: accuracy(task, integer),
        "xilinx7": lambda: on_fpga(folder, "xilinx7", placed=False),
        "ecp5": lambda: on_fpga(folder, "ecp5", placed=not chosen.no_place),
        "simulation": lambda: simulated(folder),
        "silicon": lambda: silicon(folder),
    }
    found: dict[str, Any] = {"multiplier": multiplier, "side": side}
    for figure in chosen.figures:
        note(f"{multiplier} {side}x{side}: {figure}")
        try:
            found[figure] = work[figure]()
        except LaxityError as error:
            note(f"  {error}")
            found[figure] = {"error": str(error)}
    return found


def table(found: list[dict[str, Any]], figures: list[str]) -> str:
    """One line for each multiplier and size."""
    columns = [c for c in COLUMNS if c[1] in ("", *figures)]
    rows = [[title for title, _, _ in columns]]
    for one in found:
        cells = [(one if not figure else one[figure]).get(name, "-") for _, figure, name in columns]
        rows.append([f"{cell:.5g}" if isinstance(cell, float) else str(cell) for cell in cells])
    widths = [max(len(row[k]) for row in rows) for k in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main() -> None:
    """Print what was measured."""
    chosen = options()
    with tempfile.TemporaryDirectory() as temporary:
        out = chosen.out or Path(temporary)
        found = [measure(name, side, chosen, out) for side in chosen.sides for name in chosen.multipliers]
    print(json.dumps(found, indent=1) if chosen.json else table(found, chosen.figures))


if __name__ == "__main__":
    main()
