"""``laxity circuits compare``: error against cost, on standard output and as a page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.characterise import BUILT_IN, FlowName, library_of
from laxity.cli.output import emit_json, emit_table, note

if TYPE_CHECKING:
    from laxity.circuits import CellLibrary, Operands
    from laxity.circuits.comparison import Candidate, Comparison
    from laxity.circuits.comparison.compare import ElementEnergy


class Against(StrEnum):
    """What a circuit costs."""

    AREA = "area"
    DELAY = "delay"
    POWER = "power"
    ENERGY = "energy"
    PE_ENERGY = "pe-energy"


class Metric(StrEnum):
    """How far a circuit errs."""

    EP = "ep"
    MED = "med"
    WCE = "wce"
    MRED = "mred"
    MAX_RED = "max_red"
    NMED = "nmed"
    MSE = "mse"
    BIAS = "bias"
    VARIANCE = "variance"
    RELATIVE_BIAS = "relative_bias"
    ERROR_AT_ZERO_OPERAND = "error_at_zero_operand"


_NAMES = typer.Argument(
    metavar="NAME...",
    help="Circuits such as drum8_4, loa16_4; families such as drum: all of it in the list of its width; all: every "
    "multiplier family; or files that can be imported.",
    show_default=False,
)
_WIDTH = typer.Option("--width", help="Operand width in bits of families.", show_default="8, adders 16")
_HISTOGRAM = typer.Option(
    "--histogram",
    help="Operands instead of uniform ones: .npz with a_histogram, b_histogram or joint_histogram (weights by code), "
    "or with a and b (operands one by one).",
)
_SAMPLES = typer.Option("--samples", min=256, help="Operand pairs drawn where operands are wider than 12 bits.")
_TARGET = typer.Option("--target", help="Cells of the costs: asic45, or the path of a Liberty file (.lib).")
_FLOW = typer.Option("--flow", help="Costs of the netlists as they are, or mapped by Yosys.")
_MAP = typer.Option("--map", help="With --out: a circuit that gets a section besides the front; may be repeated.")
_MOST = typer.Option("--most", min=0, help="With --out: circuits of the front that get a section.")


def compare(
    context: typer.Context,
    names: Annotated[list[str], _NAMES],
    *,
    against: Annotated[Against, typer.Option("--against", help="The cost.")] = Against.ENERGY,
    metric: Annotated[Metric, typer.Option("--metric", help="The error.")] = Metric.MRED,
    histogram: Annotated[Path | None, _HISTOGRAM] = None,
    width: Annotated[int | None, _WIDTH] = None,
    signed: Annotated[bool, typer.Option("--signed", help="The signed versions of families.")] = False,
    target: Annotated[str, _TARGET] = BUILT_IN,
    flow: Annotated[FlowName, _FLOW] = FlowName.NETLIST,
    clock_mhz: Annotated[float, typer.Option("--clock-mhz", help="Operations per microsecond, for power.")] = 1000.0,
    samples: Annotated[int, _SAMPLES] = 1 << 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample.")] = 0,
    front: Annotated[bool, typer.Option("--front", help="Print those only that no other circuit beats.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write an HTML page, complete in itself.")] = None,
    maps: Annotated[list[str] | None, _MAP] = None,
    most: Annotated[int, _MOST] = 8,
    json: shared.Json = False,
) -> None:
    """Compare circuits: error against area, delay, power or energy, and which of them no other beats.

    Costs are those of the netlist on the built-in 45 nm cell table, or as --flow and --target say. power is that of one
    operation per clock cycle, energy that of the circuit alone per operation, pe-energy that of a processing element
    around it (unsigned multipliers, built-in cells); all count glitches. LAXITY_CACHE is the folder of kept energies.
    """
    from laxity.circuits import Operands, Sampling, load_operands
    from laxity.circuits import comparison as side_by_side

    operands = Operands() if histogram is None else load_operands(histogram)
    sampling = Sampling(samples, seed)
    candidates = side_by_side.find_candidates(names, width, signed=signed)
    found = side_by_side.compare(
        candidates,
        metric.value,
        against.value,
        operands=operands,
        operands_text="uniform" if histogram is None else f"of {histogram.name}",
        sampling=sampling,
        clock_mhz=clock_mhz,
        element_energy=_element_energy(candidates, operands, against) if target == BUILT_IN else None,
        library=_library(target, against),
        flow=flow.value,
        progress=note if len(candidates) > 1 else lambda _: None,
    )
    if out is not None:
        from laxity.artifacts.circuits import render_page, write_page

        command, detailed = shared.command_line(context), maps or ()
        page = render_page(
            found, operands=operands, sampling=sampling, detailed=detailed, most=most, command=command, progress=note
        )
        write_page(out, page)
        note(f"page: {out}")
    if json:
        rows = [row.to_json() for row in (found.front if front else found.rows)]
        basis = {"library": found.library.name, "flow": flow.value, "tool": found.tool}
        emit_json({"metric": metric.value, "against": against.value, **basis, "circuits": rows})
    else:
        _show(found, front=front)


def _library(target: str, against: Against) -> CellLibrary:
    if against is Against.PE_ENERGY and target != BUILT_IN:
        reason = f"pe-energy is that of elements in {BUILT_IN}; leave out --target"
        raise typer.BadParameter(reason, param_hint="--target")
    return library_of(target)


def _element_energy(candidates: list[Candidate], operands: Operands, against: Against) -> ElementEnergy | None:
    """How processing elements are measured; None where these circuits or operands make none."""
    from laxity.targets.element_energy import element_energy

    first = candidates[0].subject
    cores = first.operation == "multiply" and not (first.a_signed or first.b_signed)
    apart = operands.joint is None and operands.pairs is None
    if not cores or not (apart or against is Against.PE_ENERGY):
        return None
    return lambda circuit, distribution: element_energy(circuit, distribution).energy_pj


def _show(found: Comparison, *, front: bool) -> None:
    from laxity.circuits.comparison import COSTS
    from laxity.circuits.metrics import SampledMetrics

    rows = found.front if front else found.rows
    costs = [cost for cost in COSTS if any(row.cost(cost) is not None for row in rows)]
    metrics = list(dict.fromkeys([found.metric, "mred", "med", "wce", "ep", "bias"]))
    table = []
    for row in rows:
        values = [getattr(row.metrics, name) for name in metrics]
        figures = ["unknown" if (cost := row.cost(name)) is None else cost for name in costs]
        verdict = row.beaten_by or ("front" if row.figures is not None else "")
        table.append([row.candidate.name, *values, *figures, verdict])
    emit_table(["name", *metrics, *(COSTS[cost] for cost in costs), "beaten by"], table)
    first = found.rows[0].metrics
    amount = f"a sample of {first.pairs}" if isinstance(first, SampledMetrics) else f"all {first.pairs}"
    note(
        f"{len(found.front)} of {len(found.rows)} circuits are beaten by no other in {found.metric} and "
        f"{found.against}; operands {found.operands}, errors over {amount} pairs; {found.basis}, no wires"
    )
