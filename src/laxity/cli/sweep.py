"""``laxity sweep``: quality under bit errors in stored weights, over bit error rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table
from laxity.cli.progress import progress
from laxity.cli.subject import load_networks
from laxity.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from laxity.core.records import Reliability
    from laxity.task import Task


def sweep(
    subject: Annotated[str, typer.Argument(metavar="TASK|RUN", help="A task, or the folder of a finished run.")],
    *,
    rates: Annotated[
        str, typer.Option("--rates", help="Bit error rates, separated by commas.")
    ] = "1e-5,1e-4,1e-3,1e-2",
    trials: Annotated[int, typer.Option("--trials", min=2, help="Fault patterns per rate.")] = 20,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples evaluated per pattern.")] = 500,
    split: shared.Split = "test",
    fault: Annotated[
        str, typer.Option("--fault", help="Fault model (laxity list fault-models), with options.")
    ] = "bit_flip",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Root of all randomness.")] = 0,
    data_dir: shared.DataDir = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    data: shared.Data = None,
    num_classes: shared.NumClasses = None,
    download: shared.Download = False,
    device: shared.Device = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Strike stored weights with bit errors and measure the accuracy that is left.

    A run is judged as original, exact 8-bit and approximated network, a task as original and exact 8-bit network.
    """
    chosen = _rates(rates)
    options = shared.given(
        data_dir=data_dir, model=model, weights=weights, data=data, num_classes=num_classes, download=download
    )
    task, networks = load_networks(subject, options, device)
    found = _sweep(task, networks, chosen, trials, samples, split, fault, seed, quiet=quiet)
    if json:
        emit_json(
            {"task": task.name, "split": split, "seed": seed, "fault": fault, "trials": trials, "networks": found}
        )
        return
    rows = [
        (
            name,
            r.rate_per_bit,
            f"{r.value * 100:.2f} %",
            f"{r.low * 100:.2f} .. {r.high * 100:.2f} %",
            f"{r.sdc * 100:.2f} %",
        )
        for name, records in found.items()
        for r in records
    ]
    emit_table(["network", "bit error rate", "accuracy", "95 % interval", "changed predictions"], rows)


def _rates(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--rates {text!r} is no list of numbers; write for example --rates 1e-4,1e-3") from None
    for rate in found:
        if not 0 <= rate <= 1:
            raise ConfigError(f"--rates: {rate} is no probability; use values from 0 to 1")
    return found


def _sweep(
    task: Task,
    networks: dict[str, nn.Module],
    rates: list[float],
    trials: int,
    samples: int,
    split: str,
    fault: str,
    seed: int,
    *,
    quiet: bool,
) -> dict[str, list[Reliability]]:
    from laxity.evaluation.reliability import bit_error_sweep
    from laxity.faults import FaultModel
    from laxity.faults.named import fault_named

    model = FaultModel.from_json(fault_named(fault))
    found = {}
    with progress(0, 0, quiet=quiet) as tell:
        for label, network in networks.items():

            def told(done: int, total: int, label: str = label) -> None:
                if tell is not None:
                    tell(f"faults, {label}", done, total, None)

            found[label] = bit_error_sweep(
                network,
                task,
                rates=rates,
                trials=trials,
                samples=samples,
                split=split,
                seed=seed,
                label=label,
                fault=model,
                progress=told,
            )
    return found
