"""``laxity recover``: ways of recovering accuracy, side by side; and what its commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli.failures import INTERRUPTED
from laxity.cli.optimize import cores, default_folder
from laxity.cli.output import emit_json, note, write
from laxity.cli.progress import Tracker, studying

if TYPE_CHECKING:
    from laxity.artifacts.recovery import Subject
    from laxity.core.plan import Recovery

recover = typer.Typer(
    help="Recovery of accuracy: treatments compared, one multiplier everywhere, a ranking.", no_args_is_help=True
)

Target = Annotated[str, typer.Option("--target", help="Hardware target, or a TOML file.")]
WeightBits = Annotated[int, typer.Option("--weight-bits", min=2, max=8, help="Bits of the weights.")]
ActivationBits = Annotated[int, typer.Option("--activation-bits", min=2, max=8, help="Bits of the activations.")]
Epochs = Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training samples, per treatment.")]
Samples = Annotated[int, typer.Option("--samples", min=0, help="Training samples per epoch; 0 for all.")]
LearningRate = Annotated[float, typer.Option("--learning-rate", help="Peak rate of the cosine schedule.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="First root of all randomness.")]
Multipliers = Annotated[
    list[str] | None,
    typer.Option(
        "--multipliers", help="Comma-separated names; may be repeated [default: all of 8 bits].", show_default=False
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder; the same command goes on there [default: runs/TASK-recovery]."),
]


def names(values: list[str] | None) -> list[str]:
    """Names out of comma-separated lists."""
    return [name.strip() for value in values or () for name in value.split(",") if name.strip()]


def study(
    context: typer.Context,
    task: str,
    options: dict[str, Any],
    *,
    target: str,
    bits: tuple[int, int],
    device: str | None,
    seed: int,
    out: Path | None,
    workers: int | None,
) -> Subject:
    """What a command is about.

    Args:
        context: of the command.
        task: its name or description.
        options: further arguments of `load_task`.
        target: name or path.
        bits: of weights and of activations.
        device: where to compute; the CPU if None.
        seed: first root seed.
        out: folder, or None for the usual one.
        workers: processes; the number of cores if None.
    """
    from laxity.artifacts.recovery import Subject
    from laxity.evaluation.evaluator import Setup
    from laxity.techniques import Integer

    setup = Setup({"spec": task, **options}, target, device or "cpu", seed)
    usual = default_folder(task)
    folder = out or usual.with_name(f"{usual.name}-recovery")
    return Subject(setup, Integer(*bits), folder, shared.command_line(context), workers or cores())


def training(epochs: int, samples: int, learning_rate: float, gradient: str = "straight_through") -> Recovery:
    """What all treatments of a command have in common."""
    from laxity.core.plan import Recovery

    return Recovery(epochs=epochs, samples=samples, learning_rate=learning_rate, gradient=gradient)


@contextmanager
def carried_out(subject: Subject, *, quiet: bool) -> Iterator[Tracker | None]:
    """Show the progress of a study; where it is interrupted, say how it goes on."""
    try:
        with studying(subject.folder, quiet=quiet) as tell:
            yield tell
    except KeyboardInterrupt:
        note(f"interrupted; what is computed is kept, and the same command resumes: {subject.command}")
        raise typer.Exit(INTERRUPTED) from None


def hand_over(subject: Subject, found: dict[str, Any], show: Callable[[dict[str, Any]], None], *, json: bool) -> None:
    """Print what was found and where its page is."""
    report = subject.folder / "report.html"
    if json:
        emit_json({**found, "report": str(report)})
    else:
        show(found)
        write(f"\nreport: {report}\n")
