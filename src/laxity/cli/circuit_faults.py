"""``laxity circuits faults``: what single stuck-at faults do to a multiplier or adder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table

if TYPE_CHECKING:
    from laxity.circuits.stuck_at import StuckAtStudy

_HEADERS = ("fault", "gate", "shown %", "med", "med_added", "wce", "bias", "highest_bit")


def circuit_faults(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as dadda8, drum8s_4, loa16_4.", show_default=False)],
    top: Annotated[int, typer.Option("--top", min=0, help="Worst faults to show; JSON has all.")] = 10,
    pins: Annotated[
        bool, typer.Option("--pins", help="Also faults of single input pins where a net drives several.")
    ] = False,
    whole_adders: Annotated[
        bool, typer.Option("--whole-adders", help="No faults between the gates inside half and full adders.")
    ] = False,
    histogram: Annotated[
        Path | None,
        typer.Option(
            "--histogram",
            help="Operands instead of uniform ones: .npz with a_histogram, b_histogram or joint_histogram (weights by "
            "code), or a and b (operands one by one).",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=256, help="Operand pairs drawn where operands are wider than 10 bits.")
    ] = 1 << 16,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample.")] = 0,
    json: shared.Json = False,
) -> None:
    """Simulate every single stuck-at fault of a multiplier or adder, over all operand pairs up to 10 x 10 bits.

    Every input net and gate output is stuck at 0 and at 1. Of wider circuits a sample of pairs is simulated.
    """
    from laxity.circuits import Sampling
    from laxity.circuits.distribution import UNIFORM, load_operands
    from laxity.circuits.stuck_at import stuck_at
    from laxity.circuits.stuck_at.stimuli import SAMPLING

    study = stuck_at(
        name,
        load_operands(histogram) if histogram else UNIFORM,
        sampling=Sampling(samples, seed, exhaustive_bits=SAMPLING.exhaustive_bits),
        pins=pins,
        whole_adders=whole_adders,
    )
    if json:
        emit_json(study.to_json())
        return
    emit_table(["figure", "value"], [(key, value) for key, value in study.summary().items() if value is not None])
    if top and len(study):
        emit_table(_HEADERS, _rows(study, top))


def _rows(study: StuckAtStudy, top: int) -> list[tuple[object, ...]]:
    facts = [study.row(place) for place in study.worst(top)]
    return [
        (
            f["fault"],
            f["place"],
            100 * f["observability"],
            f["med"],
            f["med_added"],
            f["wce"],
            f["bias"],
            "" if f["highest_bit"] is None else f["highest_bit"],
        )
        for f in facts
    ]
