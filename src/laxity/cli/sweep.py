"""``laxity faults --rates``: quality under bit errors in stored weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from laxity.cli.output import emit_json, emit_table
from laxity.cli.progress import progress
from laxity.cli.subject import load_networks
from laxity.core.errors import ConfigError

if TYPE_CHECKING:
    from laxity.core.records import Reliability


def rates_of(text: str) -> list[float]:
    """Bit error rates out of a comma-separated list.

    Raises:
        ConfigError: one is no number from 0 to 1.
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--rates {text!r} is no list of numbers; write for example --rates 1e-4,1e-3") from None
    for rate in found:
        if not 0 <= rate <= 1:
            raise ConfigError(f"--rates: {rate} is no probability; use values from 0 to 1")
    return found


def sweep(
    subject: str,
    options: dict[str, Any],
    device: str | None,
    fault: Mapping[str, Any],
    *,
    rates: Sequence[float],
    trials: int,
    samples: int,
    split: str,
    seed: int,
    json: bool,
    quiet: bool,
) -> None:
    """Measure the accuracy that is left at every rate, and print it.

    Args:
        subject: a task, or the folder of a run.
        options: arguments of the task.
        device: where to compute.
        fault: JSON form of the fault model, whose rate is not used.
        rates: bit error rates.
        trials: fault patterns per rate.
        samples: evaluated per pattern.
        split: from which they are taken.
        seed: root seed.
        json: print one JSON document.
        quiet: show no progress.
    """
    from laxity.evaluation.reliability import bit_error_sweep
    from laxity.faults import FaultModel

    model = FaultModel.from_json(fault)
    task, networks = load_networks(subject, options, device)
    found: dict[str, list[Reliability]] = {}
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
    if json:
        kind = fault["kind"]
        emit_json({"task": task.name, "split": split, "seed": seed, "fault": kind, "trials": trials, "networks": found})
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
