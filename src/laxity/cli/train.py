"""``laxity train``: train a reference network of a built-in task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table, note

if TYPE_CHECKING:
    from laxity.task.train import Epoch, TrainResult


def train(
    name: Annotated[str, typer.Argument(metavar="TASK", help="A built-in task (laxity list tasks).")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Root of all randomness.")] = 0,
    model: shared.Model = None,
    data_dir: shared.DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="File to write, .safetensors [default: where the task looks for it under the data]."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Instead of the recipe's number.")] = None,
    download: shared.Download = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Train a network from scratch and write its weights; equal seeds give equal weights on equal machines."""
    from laxity.task.train import train_named

    result, path = train_named(
        name,
        seed=seed,
        out=out,
        network=model,
        epochs=epochs,
        data_dir=data_dir,
        download=download,
        progress=None if quiet else _tell,
    )
    figures = _figures(name, result, path)
    if json:
        emit_json(figures)
    else:
        emit_table(["figure", "value"], [(key.replace("_", " "), value) for key, value in figures.items()])


def _tell(epoch: Epoch) -> None:
    accuracy = f"{epoch.validation_accuracy * 100:.2f} %"
    note(f"[{epoch.time_s:6.1f} s] epoch {epoch.number}: loss {epoch.loss:.4f}, validation accuracy {accuracy}")


def _figures(task: str, result: TrainResult, path: Path) -> dict[str, object]:
    return {
        "task": task,
        "weights": str(path),
        "seed": result.seed,
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "validation_accuracy": result.validation_accuracy,
        "test_accuracy": result.test_accuracy,
        "time_s": round(result.time_s, 2),
    }
