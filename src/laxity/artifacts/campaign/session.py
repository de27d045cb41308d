"""Fault campaigns of several networks from beginning to end: run, compare, write everything down."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from laxity.artifacts.campaign.load import DOCUMENT
from laxity.artifacts.campaign.render import write_campaign
from laxity.artifacts.folder import result_folder
from laxity.campaign import Aim, Campaign, Source, Subject, difference, run_campaign, same_faults, summary, table
from laxity.core.errors import LaxityError, PlanError, TaskError
from laxity.core.serial import to_json, write_atomic, write_json
from laxity.evaluation.evaluator import versions

TABLE = "faults.csv"

Progress = Callable[[str, int, int], None]


def carry_out(
    networks: Mapping[str, Source],
    subject: Subject,
    aim: Aim,
    *,
    folder: Path,
    command: str,
    executor: Executor | None = None,
    progress: Progress | None = None,
    lenient: bool = False,
) -> dict[str, Any]:
    """One campaign per network, with common faults where their populations are the same.

    The folder gets ``campaign.json``, its page ``report.html``, and for every network a folder with ``faults.csv``, a
    row per fault, and the journal by which the same call again goes on where it was ended. The files are the same, byte
    for byte, for any executor and after any interruption.

    Args:
        networks: by name, at least one.
        subject: what is struck, and by what.
        aim: when a campaign ends.
        folder: made where it is missing.
        command: for the record.
        executor: where faults are tried; this process if None.
        progress: called with (what, done, total).
        lenient: leave out networks that do not have the population, as long as one does.

    Returns:
        The content of ``campaign.json``.

    Raises:
        LaxityError: as `run_campaign`; finished faults are kept.
    """
    result_folder(folder, "the faults")
    found, left_out = _tried(networks, subject, aim, folder, executor, progress)
    if left_out and not (lenient and found):
        raise next(iter(left_out.values()))
    document: dict[str, Any] = {
        "command": command,
        "versions": versions(),
        "networks": {name: summary(campaign) for name, campaign in found.items()},
        "differences": _differences(found),
        "left_out": {name: str(error) for name, error in left_out.items()},
    }
    write_json(folder / DOCUMENT, document)
    write_campaign(folder)
    return document


def _tried(
    networks: Mapping[str, Source],
    subject: Subject,
    aim: Aim,
    folder: Path,
    executor: Executor | None,
    progress: Progress | None,
) -> tuple[dict[str, Campaign], dict[str, LaxityError]]:
    """Campaigns, and why there is none of other networks."""
    found: dict[str, Campaign] = {}
    left_out: dict[str, LaxityError] = {}
    for name, source in networks.items():

        def told(what: str, done: int, total: int, name: str = name) -> None:
            if progress is not None:
                progress(f"{what}, {name}", done, total)

        place = result_folder(folder / name, "the faults")
        try:
            found[name] = run_campaign(source, subject, aim, folder=place, executor=executor, progress=told)
        except (PlanError, TaskError) as error:
            left_out[name] = error
            continue
        write_atomic(place / TABLE, _csv(found[name]))
    return found, left_out


def _differences(found: Mapping[str, Campaign]) -> list[dict[str, Any]]:
    """Between every two networks with common faults, in the order in which they were given."""
    names = list(found)
    return [
        {"first": a, "second": b, "critical": to_json(difference(found[a], found[b]))}
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if same_faults(found[a], found[b])
    ]


def _csv(campaign: Campaign) -> str:
    text = io.StringIO()
    header, rows = table(campaign)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
