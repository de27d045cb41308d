"""``laxity recover uniform``: the strongest multiplier for the whole network that stays within the budget."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli import recover as common
from laxity.cli.output import emit_table, note, write
from laxity.core.errors import BudgetError

_GUARD = typer.Option("--guard", min=0, help="Standard errors added to a drop before it is compared with the budget.")
_GRADIENT = typer.Option("--gradient", help="Gradient of approximate products while networks are trained.")


def climb(
    context: typer.Context,
    task: shared.TaskName,
    *,
    multipliers: common.Multipliers = None,
    max_drop: Annotated[
        float, typer.Option("--max-drop", min=0, max=1, help="Accuracy that may be lost, as a fraction.")
    ] = 0.01,
    guard: Annotated[float, _GUARD] = 0.0,
    whole: Annotated[bool, typer.Option("--whole", help="Treat all, also beyond the first over the budget.")] = False,
    weight_bits: common.WeightBits = 8,
    activation_bits: common.ActivationBits = 8,
    epochs: common.Epochs = 3,
    samples: common.Samples = 2048,
    learning_rate: common.LearningRate = 1e-3,
    gradient: Annotated[str, _GRADIENT] = "error_slope",
    seed: common.Seed = 0,
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
    """Put one multiplier everywhere: ever stronger ones, each treated, until the network is over the budget.

    Multipliers stand in the order of the energy of the whole network. The chosen one is judged on the test split once.
    """
    from laxity.recovery.gradients import gradient_named

    gradient_named(gradient)
    given = shared.given(
        data_dir=data_dir, model=model, weights=weights, data=data, num_classes=num_classes, download=download
    )
    bits = (weight_bits, activation_bits)
    subject = common.study(
        context, task, given, target=target, bits=bits, device=device, seed=seed, out=out, workers=workers
    )
    recipe = common.training(epochs, samples, learning_rate, gradient)
    wanted = None if multipliers is None else common.names(multipliers)
    with common.carried_out(subject, quiet=quiet) as tell:
        from laxity.artifacts import recovery

        found = recovery.climb(subject, wanted, recipe, max_drop=max_drop, guard=guard, whole=whole, progress=tell)
    common.hand_over(subject, found, _show, json=json)
    if found["chosen"] is None:
        note(f"no multiplier keeps the drop within {max_drop * 100:g} points; allow more, or train with more --epochs")
        raise typer.Exit(BudgetError.exit_code)


def _show(found: dict[str, Any]) -> None:
    rows = [_row("exact circuits" + (", trained" if found["quantised"]["trained"] else ""), found)]
    for rung in found["rungs"]:
        after = rung["after"]
        verdict = "not tried" if after is None else "within" if rung["accepted"] else "over"
        rows.append(
            [
                rung["name"],
                f"{rung['energy_ratio']:.3f}",
                _percent(rung["before"]),
                "" if after is None else _percent(after),
                "" if after is None else f"{100 * after['drop']:+.2f}",
                "chosen" if rung["name"] == found["chosen"] else verdict,
            ]
        )
    title = f"{found['task']['name']}, {found['operands']}"
    emit_table([title, "energy ratio", "untreated", "treated", "drop", "budget"], rows)
    if found["chosen"] is not None:
        test = found["chosen_test"]
        write(
            f"\n{found['chosen']} on the test split: {_percent(test)} ({100 * test['drop']:+.2f} points lost), "
            f"energy ratio {test['energy_ratio']:.4f}\n"
        )


def _row(name: str, found: dict[str, Any]) -> list[str]:
    exact = found["quantised"]
    return [name, f"{exact['energy_ratio']:.3f}", _percent(exact), "", f"{100 * exact['drop']:+.2f}", ""]


def _percent(judged: dict[str, Any]) -> str:
    return f"{100 * judged['accuracy']:.2f} %"
