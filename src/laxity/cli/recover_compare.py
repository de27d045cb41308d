"""``laxity recover compare``: treatments of one approximated network in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli import recover as common
from laxity.cli.output import emit_table, note
from laxity.core.errors import ConfigError
from laxity.core.registry import did_you_mean

if TYPE_CHECKING:
    from laxity.core.approximation import Approximation
    from laxity.core.plan import Recovery

    Ways = dict[str, Recovery | Approximation | None]

_GRADIENTS = typer.Option(
    "--gradients",
    help="Comma-separated gradients of the treatments that have one, such as table_1d,'table_2d window=4' "
    "[default: error_slope].",
    show_default=False,
)
_TREATMENTS = typer.Option(
    "--treatments",
    help="Comma-separated treatments, such as 'fine-tuning,distillation' [default: all].",
    show_default=False,
)
_MULTIPLIER = typer.Option("--multiplier", help="Circuit at every site, such as coltrunc8_12.", show_default=False)


def compare_treatments(
    context: typer.Context,
    task: shared.TaskName,
    *,
    multiplier: Annotated[str, _MULTIPLIER],
    weight_bits: common.WeightBits = 4,
    activation_bits: common.ActivationBits = 8,
    epochs: common.Epochs = 3,
    samples: common.Samples = 2048,
    learning_rate: common.LearningRate = 1e-3,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds.")] = 3,
    seed: common.Seed = 0,
    treatments: Annotated[list[str] | None, _TREATMENTS] = None,
    gradients: Annotated[list[str] | None, _GRADIENTS] = None,
    target: common.Target = "mac-array-45nm",
    out: common.Out = None,
    data_dir: shared.DataDir = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    data: shared.Data = None,
    num_classes: shared.NumClasses = None,
    download: shared.Download = False,
    device: shared.Device = None,
    workers: shared.Workers = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Compare treatments: one multiplier at every site, accuracy before and after each treatment, over several seeds.

    Treatments see the validation split; the test split is looked at once, when all are done.
    """
    given = shared.given(
        data_dir=data_dir, model=model, weights=weights, data=data, num_classes=num_classes, download=download
    )
    usual = common.training(epochs, samples, learning_rate)
    chosen = _chosen(multiplier, usual, common.names(treatments), common.names(gradients))
    bits = (weight_bits, activation_bits)
    subject = common.study(
        context, task, given, target=target, bits=bits, device=device, seed=seed, out=out, workers=workers
    )
    with common.carried_out(subject, quiet=quiet) as tell:
        from laxity.artifacts import recovery

        found = recovery.compare_treatments(subject, multiplier, chosen, range(seed, seed + seeds), progress=tell)
    common.hand_over(subject, found, _show, json=json)


def _chosen(multiplier: str, usual: Recovery, wanted: list[str], gradients: list[str]) -> Ways:
    """The usual treatments and, where it corrects anything, the control variate; or those that are named."""
    from laxity.recovery.gradients import gradient_named
    from laxity.search.treat import GRADIENT, baselines
    from laxity.techniques import ControlVariate
    from laxity.techniques.hardware.control_variate import suggested_bits

    for name in gradients:
        gradient_named(name)
    known: Ways = {**baselines(usual, gradients or (GRADIENT,))}
    bits = suggested_bits(multiplier)
    if bits:
        known["control variate"] = ControlVariate(multiplier, bits)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"unknown treatment {unknown[0]!r}{did_you_mean(unknown[0], known)}")
    return {name: way for name, way in known.items() if not wanted or name in wanted}


def _show(found: dict[str, Any]) -> None:
    from laxity.artifacts.page.numbers import percent

    seeds = len(found["seeds"])
    original = found["original"]
    rows: list[list[str]] = [
        ["original network", percent(original["validation"], 2), percent(original["test"], 2), "", "", "", ""]
    ]
    named = [(f"exact circuits, {found['operands']}", found["exact"]), ("none", found["before"])]
    rows += [_row(name, row) for name, row in [*named, *((row["name"], row) for row in found["after"])]]
    over = f", {seeds} seeds" if seeds > 1 else ""
    columns = [f"validation{over}", f"test{over}", "drop from exact", "drop from original", "energy ratio", "time"]
    emit_table([f"{found['task']['name']}, {found['multiplier']} everywhere", *columns], rows)
    note(
        f"accuracy, mean +- standard deviation over seeds; drops in points, on the test split; best on the validation "
        f"split: {found['best']}"
    )


def _row(name: str, row: dict[str, Any]) -> list[str]:
    from laxity.artifacts.page.numbers import duration

    return [
        name,
        score(row["validation"]),
        score(row["test"]),
        score(row["drop_from_exact"], points=True),
        score(row["drop"], points=True),
        f"{row['energy_ratio']:.3f}",
        duration(row["seconds"]),
    ]


def score(value: dict[str, Any], *, points: bool = False) -> str:
    """A mean with its spread, in percent, or as points with a sign."""
    mean = f"{100 * value['mean']:+.2f}" if points else f"{100 * value['mean']:.2f} %"
    return mean if not value["spread"] else f"{mean} +- {100 * value['spread']:.2f}"
