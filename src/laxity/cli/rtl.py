"""``laxity rtl``: the accelerator of a finished run in Verilog, and its simulation against the integers of the plan."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table, note, write

if TYPE_CHECKING:
    from laxity.rtl.accelerator import Schedule, Simulation

_EXAMPLES = 256
"""Calibration samples from which ranges between layers are taken."""


class Dataflow(StrEnum):
    """What stays in the array."""

    WEIGHT = "weight-stationary"
    OUTPUT = "output-stationary"


class Simulator(StrEnum):
    """What simulates."""

    IVERILOG = "iverilog"
    VERILATOR = "verilator"


def rtl(
    run: shared.RunPath,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write.", show_default="accelerator beside the plan")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", help="Rows of the array.")] = 8,
    columns: Annotated[int, typer.Option("--columns", help="Columns of the array.")] = 8,
    dataflow: Annotated[Dataflow, typer.Option("--dataflow", help="What stays in the array.")] = Dataflow.WEIGHT,
    images: Annotated[int, typer.Option("--images", min=1, help="Test images that vectors are made of.")] = 4,
    simulate: Annotated[bool, typer.Option("--simulate", help="Simulate, and compare all integers.")] = False,
    tool: Annotated[
        Simulator, typer.Option("--tool", help="Simulator; verilator compiles long and then is much faster.")
    ] = Simulator.IVERILOG,
    structural: Annotated[
        bool, typer.Option("--structural", help="Simulate multipliers gate by gate instead of by table.")
    ] = False,
    json: shared.Json = False,
) -> None:
    """Write an accelerator for the network of a finished run, which computes its integers bit for bit."""
    from laxity.rtl.accelerator import Configuration, write_accelerator
    from laxity.rtl.accelerator import simulate as run_simulation

    configuration = Configuration(rows, columns, dataflow.value)
    program, circuits, codes = _integers(run, images)
    best = run if (run / "plan.json").exists() else run / "best"
    folder = best / "accelerator" if out is None else out
    written = write_accelerator(program, circuits, configuration, folder, codes)
    found = None
    if simulate or structural:
        note(f"simulating {len(codes)} images of {written.schedule.cycles} cycles")
        found = run_simulation(folder, tool.value, structural=structural)
    _print(written.schedule, found, folder, as_json=json)
    if found is not None and not found.passed:
        note(f"error: the simulation differs from the plan: {found.message}; this is a bug in laxity, please report it")
        raise typer.Exit(1)


def _integers(run: Path, images: int) -> tuple[Any, Any, Any]:
    """The integer-only network of a run, its multipliers, and input codes of test images."""
    from laxity.artifacts.verify import load_saved
    from laxity.emulate.integer import integer_model

    saved = load_saved(run, device="cpu")
    task = saved.evaluator.task
    examples = task.calibration.fetch(range(min(_EXAMPLES, len(task.calibration))))[0]
    integer = integer_model(saved.model, examples)
    inputs = task.test.fetch(range(min(images, len(task.test))))[0]
    return integer.program, integer.multipliers, integer.quantise(inputs).numpy()


def _print(schedule: Schedule, found: Simulation | None, folder: Path, *, as_json: bool) -> None:
    steps = [{"name": s.step.name, "kind": s.step.kind, "counts": s.counts} for s in schedule.steps]
    if as_json:
        emit_json(
            {
                "folder": str(folder),
                "configuration": schedule.configuration,
                "cycles": schedule.cycles,
                "utilisation": schedule.utilisation,
                "steps": steps,
                "simulation": found,
            }
        )
        return
    columns = ["step", "kind", "passes", "cycles", "MACs", "utilisation %"]
    rows = [
        [s.step.name, s.step.kind, s.counts.passes, s.counts.cycles, s.counts.macs, 100 * s.counts.utilisation]
        for s in schedule.steps
    ]
    if found is not None:
        columns += ["compared", "different"]
        for row, step in zip(rows, found.steps, strict=True):
            row += [step.codes + step.sums, step.wrong_codes + step.wrong_sums]
    emit_table(columns, rows)
    write(f"{schedule.cycles} cycles per image, utilisation {100 * schedule.utilisation:.1f} %, in {folder}\n")
    if found is not None:
        write(
            f"{found.message}: {found.compared} integers compared, {found.mismatches} different, {found.time_s:.1f} s\n"
        )
