"""``laxity optimize``: the main job, from a trained network to a verified approximation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli.failures import INTERRUPTED
from laxity.cli.output import emit_json, note
from laxity.cli.progress import progress
from laxity.cli.result import print_result
from laxity.core.errors import BudgetError, ConfigError

if TYPE_CHECKING:
    from laxity.artifacts.config import RunConfig


_MAX_SDC = typer.Option(
    "--max-sdc",
    help="Protect the network until the upper confidence limit of the share of faults in stored weights that silently "
    "change a prediction is below this fraction [default: no limit].",
    show_default=False,
)


def optimize(
    context: typer.Context,
    task: shared.OptionalTaskName = None,
    *,
    target: Annotated[
        str | None,
        typer.Option("--target", help="Hardware target, or a TOML file [default: mac-array-45nm].", show_default=False),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", min=0, max=1, help="Accuracy that may be lost, as a fraction [default: 0.01]."),
    ] = None,
    max_sdc: Annotated[float | None, _MAX_SDC] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder [default: runs/TASK].")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of further options.")] = None,
    data_dir: shared.DataDir = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    data: shared.Data = None,
    num_classes: shared.NumClasses = None,
    download: shared.Download = False,
    device: shared.Device = None,
    workers: shared.Workers = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Root of all randomness [default: 0].")] = None,
    effort: Annotated[shared.Effort, typer.Option("--effort", help="How long to search.")] = shared.Effort.NORMAL,
    technique: Annotated[
        list[str] | None,
        typer.Option("--technique", help="Use only this technique; may be repeated (laxity list techniques)."),
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option("--evaluations", min=4, help="Plans tried per level, without repair [default: 36].")
    ] = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Find the cheapest approximation of a network within an accuracy budget, and verify it.

    Precedence: defaults, then --effort, then the file of --config, then the options given here. An interrupted run is
    resumed by the same command.
    """
    spec = shared.given(
        spec=task,
        data_dir=data_dir,
        model=model,
        weights=weights,
        data=data,
        num_classes=num_classes,
        download=download,
    )
    options = shared.given(
        target=target, max_drop=max_drop, max_sdc=max_sdc, seed=seed, device=device, task=spec or None
    )
    search = shared.given(techniques=technique or None, evaluations=evaluations)
    resolved = _resolved(config, effort, options | ({"search": search} if search else {}))
    perform(context, resolved, out or default_folder(resolved.task.spec), workers, json=json, quiet=quiet)


def _resolved(file: Path | None, effort: str, options: dict[str, Any]) -> RunConfig:
    """Lay effort, file and options over the defaults."""
    from laxity.artifacts.config import EFFORTS, merge, read_config, resolve

    chosen = EFFORTS[effort]
    if file is not None:
        chosen = merge(chosen, read_config(file))
        resolve(chosen, str(file))
    chosen = merge(chosen, options)
    if "spec" not in chosen.get("task", {}):
        raise ConfigError(
            "no task: name one, as in 'laxity optimize digits' (see laxity list tasks), "
            "or give spec under [task] of --config"
        )
    return resolve(chosen, "command line")


def default_folder(spec: str) -> Path:
    """The run folder of a task where none is named."""
    name = spec.rpartition(":")[2] if ":" in spec else Path(spec).stem if spec.endswith(".toml") else spec
    return Path("runs") / (name or "run")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def perform(
    context: typer.Context, config: RunConfig, out: Path, workers: int | None, *, json: bool, quiet: bool
) -> None:
    """Carry out a run, print its result, and end with exit code 3 if no plan meets the budget."""
    command = shared.command_line(context)
    if not quiet:
        note(f"{config.task.spec} on {config.target}, run folder {out}")
    try:
        from laxity.artifacts.session import run

        with progress(config.max_drop, config.guard, quiet=quiet) as tell:
            result = run(config, out, workers=workers or cores(), command=command, progress=tell)
    except KeyboardInterrupt:
        note(f"interrupted; what is computed is kept, and the same command resumes: {command}")
        raise typer.Exit(INTERRUPTED) from None
    report = out / "report.html"
    if json:
        emit_json({**result.metrics, "report": str(report)})
    else:
        print_result(result.metrics, report)
    if not result.met:
        note(
            f"no plan keeps the drop within {config.max_drop * 100:g} points; the best plan found is in {out / 'best'}"
            "; allow a larger --max-drop, or search longer with --effort thorough, in another --out"
        )
        raise typer.Exit(BudgetError.exit_code)
