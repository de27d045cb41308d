"""``laxity faults``: what faults do to a network, with confidence intervals."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli.failures import INTERRUPTED
from laxity.cli.optimize import cores
from laxity.cli.output import emit_json, emit_table, note, write
from laxity.cli.progress import following
from laxity.cli.subject import beside, load_network, network_names
from laxity.core.errors import ConfigError
from laxity.core.named import plain_value, split_named
from laxity.core.registry import did_you_mean

if TYPE_CHECKING:
    from laxity.campaign import Source, Subject

_POPULATION = typer.Option(
    "--population", help="What is struck (laxity list populations), with options: 'gates rows=16 columns=16'."
)
_FAULT = typer.Option("--fault", help="Fault model (laxity list fault-models), with options: 'stuck_at value=1'.")
_NETWORKS = typer.Option(
    "--networks", help="Comma-separated: original, int8_exact, and of a run approximated [default: all]."
)
_OUT = typer.Option("--out", help="Folder; the same command goes on there [default: runs/NAME-faults].")
_FAULTS = typer.Option("--faults", min=0, help="Exactly so many faults; 0: as many as the half-width needs.")


def faults(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="TASK|RUN", help="A task, or the folder of a finished run.")],
    *,
    population: Annotated[str, _POPULATION] = "weights",
    fault: Annotated[str, _FAULT] = "bit_flip",
    confidence: Annotated[float, typer.Option("--confidence", help="Of every interval, fraction.")] = 0.99,
    half_width: Annotated[
        float, typer.Option("--half-width", help="Of the share of critical faults, fraction.")
    ] = 0.005,
    number: Annotated[int, _FAULTS] = 0,
    images: Annotated[int, typer.Option("--images", min=0, help="Only the first so many samples; 0: all.")] = 0,
    networks: Annotated[str | None, _NETWORKS] = None,
    split: shared.Split = "test",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Root of all randomness.")] = 0,
    out: Annotated[Path | None, _OUT] = None,
    executor: shared.Executor = "processes",
    workers: shared.Workers = None,
    data_dir: shared.DataDir = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    data: shared.Data = None,
    num_classes: shared.NumClasses = None,
    download: shared.Download = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Strike a network with single faults, each on a random sample, until the share that is critical is known.

    Critical are faults that change the predicted class (silent data corruption) or make it NaN or infinite (detected,
    unrecoverable). A run is struck as original, exact 8-bit and approximated network, a task as the first two.
    """
    options = shared.given(
        data_dir=data_dir, model=model, weights=weights, data=data, num_classes=num_classes, download=download
    )
    from laxity.campaign import Aim

    asked = struck(population, fault, split, images, seed)
    aim = Aim(confidence, half_width, number)
    sources = _sources(subject, options, networks)
    folder = out or beside(subject, "faults")
    found = _run(
        context, sources, asked, aim, folder, (executor, workers or cores()), lenient=networks is None, quiet=quiet
    )
    report = folder / "report.html"
    if json:
        emit_json({**found, "report": str(report)})
        return
    _show(found)
    write(f"\nresults: {folder}\nreport: {report}\n")


def struck(population: str, fault: str, split: str, images: int, seed: int) -> Subject:
    """What is struck, and by what, from the words of the command line."""
    from laxity.campaign import Subject
    from laxity.faults.named import fault_named

    where, given = split_named(population, "population")
    options = {k: plain_value(v) for k, v in given.items()}
    return Subject(fault_named(fault), where, options, split, images, seed=seed)


def _sources(subject: str, options: dict[str, Any], networks: str | None) -> dict[str, Source]:
    known = network_names(subject)
    wanted = list(known) if networks is None else [n.strip() for n in networks.split(",") if n.strip()]
    for name in wanted:
        if name not in known:
            raise ConfigError(f"--networks: {subject} has no network {name!r}{did_you_mean(name, known)}")
    if not wanted:
        raise ConfigError("--networks names no network; leave it out for all")
    return {name: partial(load_network, subject, options, name) for name in wanted}


def _run(
    context: typer.Context,
    sources: dict[str, Source],
    subject: Subject,
    aim: Any,
    folder: Path,
    workers: tuple[str, int],
    *,
    lenient: bool,
    quiet: bool,
) -> dict[str, Any]:
    from laxity.artifacts.campaign import carry_out
    from laxity.run import executor_named

    command = shared.command_line(context)
    try:
        with executor_named(*workers) as executor, following(quiet=quiet) as told:
            return carry_out(
                sources,
                subject,
                aim,
                folder=folder,
                command=command,
                executor=executor,
                progress=told,
                lenient=lenient,
            )
    except KeyboardInterrupt:
        note(f"interrupted; what is computed is kept, and the same command resumes: {command}")
        raise typer.Exit(INTERRUPTED) from None


def _show(found: dict[str, Any]) -> None:
    rows = []
    for name, one in found["networks"].items():
        metrics = one["metrics"]
        shares = [_share(metrics[m]) for m in ("critical", "sdc", "due", "sdc_top5")]
        rows.append([name, one["faults"], *shares, _share(one["accuracy_drop"], points=True)])
    level = f"{100 * next(iter(found['networks'].values()))['aim']['confidence']:g} %"
    emit_table(["network", "faults", "critical", "SDC", "DUE", "SDC top-5", "accuracy lost"], rows)
    note(f"intervals at {level}; accuracy lost by one fault, in points")
    for name, one in found["networks"].items():
        note(f"{name}: {one['statement']}")
        if not one["met"] and not one["aim"]["faults"]:
            note(f"{name}: the half-width was not reached; ask for a wider one, or for --faults N")
    for name, reason in found["left_out"].items():
        note(f"{name} is left out: {reason}")
    for pair in found["differences"]:
        note(f"critical, {pair['first']} less {pair['second']}: {_share(pair['critical'], points=True)} points")


def _share(interval: dict[str, Any], *, points: bool = False) -> str:
    unit, sign = ("", "+") if points else (" %", "")
    ends = f"{100 * interval['low']:{sign}.3f} .. {100 * interval['high']:{sign}.3f}"
    return f"{100 * interval['estimate']:{sign}.3f}{unit} ({ends})"
