"""``laxity harden``: the cheapest protections with which faults stay below a limit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli.failures import INTERRUPTED
from laxity.cli.faults import struck
from laxity.cli.optimize import cores
from laxity.cli.output import emit_json, emit_table, note, write
from laxity.cli.progress import following
from laxity.cli.recover import names
from laxity.cli.subject import SavedNetwork, beside
from laxity.core.errors import BudgetError, ConfigError
from laxity.core.registry import did_you_mean

if TYPE_CHECKING:
    from laxity.campaign import Subject

_LIMIT = typer.Option(
    "--max-sdc", help="Upper confidence limit of the share of faults that silently change a prediction, fraction."
)
_ALARMS = typer.Option("--alarms", help="Protections may give the alarm where they do not correct.")
_TECHNIQUES = typer.Option(
    "--techniques", help="Comma-separated protections (laxity list techniques) [default: all].", show_default=False
)
_OBJECTIVE = typer.Option("--objective", help="energy_pj, area_um2, memory_bits or latency_cycles.")
_SPLIT = typer.Option(
    "--split", help="On which protections are chosen: validation, or test for its first half, judged on the second."
)
_OUT = typer.Option("--out", help="Folder; the same command goes on there [default: runs/NAME-hardened].")
OBJECTIVES = ("energy_pj", "area_um2", "memory_bits", "latency_cycles")


def harden(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="TASK|RUN", help="A task, or the folder of a finished run.")],
    *,
    max_sdc: Annotated[float, _LIMIT] = 0.001,
    metric: Annotated[str, typer.Option("--metric", help="sdc, or critical for detected errors too.")] = "sdc",
    confidence: Annotated[float, typer.Option("--confidence", help="Of the upper limit, fraction.")] = 0.99,
    alarms: Annotated[bool, _ALARMS] = False,
    population: Annotated[str, typer.Option("--population", help="What is struck, as in laxity faults.")] = "weights",
    fault: Annotated[str, typer.Option("--fault", help="Fault model, as in laxity faults.")] = "bit_flip",
    techniques: Annotated[list[str] | None, _TECHNIQUES] = None,
    objective: Annotated[str, _OBJECTIVE] = "energy_pj",
    split: Annotated[str, _SPLIT] = "validation",
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
    """Protect a network: of a run the approximated one, of a task the exact 8-bit one.

    Protections are chosen on one split, and the result is judged on samples that it never saw, with other faults. Exit
    code 3 says that no set of protections keeps the limit.
    """
    if objective not in OBJECTIVES:
        raise ConfigError(f"--objective cannot be {objective!r}{did_you_mean(objective, OBJECTIVES)}")
    options = shared.given(
        data_dir=data_dir, model=model, weights=weights, data=data, num_classes=num_classes, download=download
    )
    folder = out or beside(subject, "hardened")
    found = _run(
        context,
        SavedNetwork(subject, tuple(sorted(options.items()))),
        struck(population, fault, split, 0, seed),
        (max_sdc, metric, confidence, alarms),
        (executor, workers or cores()),
        quiet=quiet,
        folder=folder,
        kinds=names(techniques) or None,
        objective=objective,
    )
    report = folder / "report.html"
    if json:
        emit_json({**found, "report": str(report)})
    else:
        _show(found, folder)
        write(f"report: {report}\n")
    if found["chosen"] is None:
        raise typer.Exit(BudgetError.exit_code)


def _run(
    context: typer.Context,
    network: SavedNetwork,
    subject: Subject,
    limit: tuple[float, str, float, bool],
    workers: tuple[str, int],
    *,
    quiet: bool,
    **options: Any,
) -> dict[str, Any]:
    from laxity.artifacts.hardening import harden_network
    from laxity.run import executor_named
    from laxity.search.harden import Limit

    command = shared.command_line(context)
    try:
        with executor_named(*workers) as executor, following(quiet=quiet) as told:
            return harden_network(
                network, subject, Limit(*limit), command=command, executor=executor, progress=told, **options
            )
    except KeyboardInterrupt:
        note(f"interrupted; what is computed is kept, and the same command resumes: {command}")
        raise typer.Exit(INTERRUPTED) from None


def _show(found: dict[str, Any], folder: Path) -> None:
    from laxity.artifacts.page.numbers import percent

    points = [found["unprotected"], *found["tried"]]
    metric = {"sdc": "SDC", "critical": "critical"}[found["limit"]["metric"]]
    rows = [
        [p["name"], _share(p["share"]), _share(p["due"]), f"{p['cost_ratio']:.4f}", _ratio(p, points[0]), p["accepted"]]
        for p in points
    ]
    emit_table(["protections", metric, "DUE", found["objective"].rpartition("_")[0], "memory", "within limit"], rows)
    for name, share in found["left"].items():
        note(f"{name}: {percent(share, 1)} of the faults that were critical stay so")
    chosen = found["chosen"]
    if chosen is None:
        note("no set of protections keeps the limit; allow more --techniques, or a higher --max-sdc")
        return
    test = found["test"]
    for name in ("unprotected", "hardened"):
        one = test[name]
        accuracy = f"accuracy {100 * one['quality']['value']:.2f} %"
        note(f"test split, {name}: {accuracy}, {metric} {_share(one['share'])}, DUE {_share(one['due'])}")
    if not test["hardened"]["kept"]:
        note("on the test split the upper limit is above what was asked for; give a lower --max-sdc")
    write(f"\nchosen: {chosen['name']}\nresults: {folder}\n")


def _share(interval: dict[str, Any]) -> str:
    return f"{100 * interval['estimate']:.3f} % ({100 * interval['low']:.3f} .. {100 * interval['high']:.3f})"


def _ratio(point: dict[str, Any], base: dict[str, Any]) -> str:
    return f"{point['memory_bits'] / base['memory_bits']:.4f}"
