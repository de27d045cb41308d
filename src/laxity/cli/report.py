"""``laxity report``: write the report of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from laxity.cli.output import write


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Folder of a finished run, of laxity recover, of laxity faults or of laxity harden.",
            show_default=False,
        ),
    ],
) -> None:
    """Write report.html from the files of a folder, and print its path."""
    from laxity.artifacts.campaign import is_campaign, write_campaign
    from laxity.artifacts.hardening import is_hardening, write_hardening
    from laxity.artifacts.recovery import is_recovery, write_recovery
    from laxity.artifacts.report import write_report

    kinds = ((is_recovery, write_recovery), (is_campaign, write_campaign), (is_hardening, write_hardening))
    write_page = next((write_page for is_kind, write_page in kinds if is_kind(run)), write_report)
    write(f"{write_page(run)}\n")
