"""``laxity traces``: the operands that the multipliers of a network meet, as files for measuring circuits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table, note
from laxity.cli.subject import load_subject


def traces(
    subject: Annotated[str, typer.Argument(metavar="TASK|RUN", help="A task, or the folder of a finished run.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Root of all randomness.")] = 0,
    data_dir: shared.DataDir = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    data: shared.Data = None,
    num_classes: shared.NumClasses = None,
    download: shared.Download = False,
    json: shared.Json = False,
) -> None:
    """Write the operands that multipliers meet, for every layer and for the network as a whole.

    Of a task the exact 8-bit network is run on calibration inputs, of a run the approximated one. The files are taken
    by `laxity circuits characterise --trace` and `laxity circuits compare --histogram`.
    """
    from laxity.artifacts.traces import NETWORK, write_traces

    options = shared.given(
        data_dir=data_dir, model=model, weights=weights, data=data, num_classes=num_classes, download=download
    )
    evaluator, approximated = load_subject(subject, options, None)
    network = evaluator.model(evaluator.base) if approximated is None else approximated
    written = write_traces(network, evaluator.inputs[0], out, seed=seed)
    if json:
        emit_json({"folder": str(out), "seed": seed, "traces": written})
        return
    rows = [(w.site, w.macs, w.segments * (w.steps - 1), 100 * w.zero_activations, w.trace) for w in written]
    emit_table(("site", "MACs", "transitions", "zero activations %", "trace"), rows)
    note(f"in {out}; next: laxity circuits characterise drum8_4 dadda8 --trace {out / f'{NETWORK}.trace.npz'}")
