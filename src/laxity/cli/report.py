"""``laxity report``: write the report of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from laxity.cli.output import write


def report(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Folder of a finished run, or of laxity recover.", show_default=False),
    ],
) -> None:
    """Write report.html from the files of a run folder, and print its path."""
    from laxity.artifacts.recovery import is_recovery, write_recovery
    from laxity.artifacts.report import write_report

    write_page = write_recovery if is_recovery(run) else write_report
    write(f"{write_page(run)}\n")
