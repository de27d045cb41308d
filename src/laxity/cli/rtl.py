"""``laxity rtl``: the accelerator of a finished run in Verilog, its simulation, and its figures on FPGA and silicon."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import note

if TYPE_CHECKING:
    from laxity.cli.accelerator import Network

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
    GATES = "gates"


class FpgaName(StrEnum):
    """FPGA families."""

    XILINX7 = "xilinx7"
    ECP5 = "ecp5"
    ICE40 = "ice40"


_TOOL = typer.Option(
    "--tool",
    help="Simulator; verilator compiles long and then is much faster, gates needs nothing but Yosys.",
    show_default="iverilog if installed, else gates",
)
_FPGA = typer.Option("--fpga", help="Count look-up tables and other resources on a family; may be repeated.")
_PLACE = typer.Option("--place", help="Place and route too where --fpga is ecp5 or ice40: frequency, bitstream.")
_SILICON = typer.Option("--silicon", help="Area, delay and energy per image on 45 nm standard cells.")


def rtl(
    run: shared.RunPath,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write.", show_default="accelerator beside the plan")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", help="Rows of the array.")] = 8,
    columns: Annotated[int, typer.Option("--columns", help="Columns of the array.")] = 8,
    dataflow: Annotated[Dataflow, typer.Option("--dataflow", help="What stays in the array.")] = Dataflow.WEIGHT,
    images: Annotated[int, typer.Option("--images", min=1, help="Test images that vectors are made of.")] = 4,
    simulate: Annotated[bool, typer.Option("--simulate", help="Simulate, and compare all integers.")] = False,
    tool: Annotated[Simulator | None, _TOOL] = None,
    structural: Annotated[
        bool, typer.Option("--structural", help="Simulate multipliers gate by gate instead of by table.")
    ] = False,
    fpga: Annotated[list[FpgaName] | None, _FPGA] = None,
    place: Annotated[bool, _PLACE] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of place and route.")] = 1,
    silicon: Annotated[bool, _SILICON] = False,
    json: shared.Json = False,
) -> None:
    """Write an accelerator for the network of a finished run, which computes its integers bit for bit.

    What --simulate, --fpga and --silicon find is written beside it, and shown by laxity report. Figures that take a
    tool are kept in the folder LAXITY_CACHE [default: laxity in the user's cache folder].
    """
    from laxity.cli.accelerator import Figures, Wanted, show
    from laxity.rtl.accelerator import Configuration

    simulate = simulate or structural or tool is not None
    families = tuple(dict.fromkeys(name.value for name in fpga or ()))
    wanted = Wanted(simulate, tool and tool.value, structural, families, place, seed, silicon)
    wanted.check()
    configuration = Configuration(rows, columns, dataflow.value)
    folder = _best(run) / "accelerator" if out is None else out
    figures = Figures.measure(_network(run, images), configuration, folder, wanted)
    show(figures, as_json=json)
    if out is None and wanted.anything:
        note(f"laxity report {run} shows these figures")
    if (found := figures.simulation) is not None and not found.passed:
        note(f"error: the simulation differs from the plan: {found.message}; this is a bug in laxity, please report it")
        raise typer.Exit(1)


def _best(run: Path) -> Path:
    return run if (run / "plan.json").exists() else run / "best"


def _network(run: Path, images: int) -> Network:
    """The integer-only network of a run, with input codes of test images."""
    from laxity.artifacts.report.accelerator import origin_of
    from laxity.artifacts.verify import load_saved
    from laxity.cli.accelerator import Network
    from laxity.emulate.integer import integer_model

    origin = origin_of(_best(run))
    saved = load_saved(run, device="cpu")
    task = saved.evaluator.task
    examples = task.calibration.fetch(range(min(_EXAMPLES, len(task.calibration))))[0]
    integer = integer_model(saved.model, examples)
    inputs = task.test.fetch(range(min(images, len(task.test))))[0]
    return Network(integer.program, integer.multipliers, integer.quantise(inputs).numpy(), origin)
