"""``laxity recover rank``: what each multiplier would do to a network, predicted without running it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli import recover as common
from laxity.cli.output import emit_json, emit_table, note, write
from laxity.cli.progress import counting


def rank(
    context: typer.Context,
    task: shared.TaskName,
    *,
    multipliers: common.Multipliers = None,
    weight_bits: common.WeightBits = 8,
    activation_bits: common.ActivationBits = 8,
    refine: Annotated[
        int, typer.Option("--refine", min=0, help="So many of the least harmful are run by their error models.")
    ] = 0,
    top: Annotated[int, typer.Option("--top", min=1, help="Rows of the table.")] = 20,
    seed: common.Seed = 0,
    out: common.Out = None,
    data_dir: shared.DataDir = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    data: shared.Data = None,
    num_classes: shared.NumClasses = None,
    download: shared.Download = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Rank multipliers by the predicted harm of each, used everywhere; with --out for the page of `laxity report` too.

    Predicted from the error of single products; no network is run through a table. Energies are those of the circuit
    per operation, at uniform operands.
    """
    from laxity.artifacts import recovery

    given = shared.given(
        data_dir=data_dir, model=model, weights=weights, data=data, num_classes=num_classes, download=download
    )
    bits = (weight_bits, activation_bits)
    subject = common.study(
        context, task, given, target="mac-array-45nm", bits=bits, device=None, seed=seed, out=out, workers=1
    )
    wanted = None if multipliers is None else common.names(multipliers)
    with counting("predicting", quiet=quiet) as tell:
        found = recovery.rank(subject, wanted, refine=refine, keep=out is not None, progress=tell)
    if json:
        emit_json(found | ({"report": str(out / "report.html")} if out is not None else {}))
        return
    columns = ["multiplier", "divergence, nats", "accuracy drop, points", "slope", "MRED", "energy, pJ", "area, um2"]
    emit_table([*columns, "by"], [_row(row) for row in found["rows"][:top]])
    note(
        f"{min(top, len(found['rows']))} of {len(found['rows'])} multipliers for {found['task']['name']}, "
        f"{found['operands']}, in {found['seconds']:.1f} s; divergence of predictions from those of exact circuits"
    )
    if out is not None:
        write(f"\nreport: {out / 'report.html'}\n")


def _row(row: dict[str, Any]) -> list[Any]:
    unknown = "unknown"
    return [
        row["name"],
        f"{row['divergence']:.3g}",
        f"{100 * row['accuracy_drop']:+.2f}",
        f"{row['slope']:+.4f}",
        f"{100 * row['mred']:.2f} %",
        unknown if row["energy_pj"] is None else f"{row['energy_pj']:.3f}",
        unknown if row["area_um2"] is None else f"{row['area_um2']:.0f}",
        row["basis"],
    ]
