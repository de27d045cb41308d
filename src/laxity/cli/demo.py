"""``laxity demo``: the main job on the embedded task, with no arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.optimize import perform


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Run folder.")] = Path("runs/demo"),
    workers: shared.Workers = None,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Approximate the embedded digits task with default options: needs no data and no arguments."""
    from laxity.artifacts.config import RunConfig

    perform(context, RunConfig(), out, workers, json=json, quiet=quiet)
