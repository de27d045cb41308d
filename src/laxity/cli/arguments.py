"""Options that several commands share, and the words of the command line as they were typed."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

_WORDS = "laxity.words"


class Root(TyperGroup):
    """The group of all commands; remembers the words it was called with."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words, then parse them."""
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)


def command_line(context: typer.Context) -> str:
    """The command that is being carried out, quoted for a shell."""
    return shlex.join(["laxity", *context.meta[_WORDS]])


class Effort(StrEnum):
    """How long to search."""

    QUICK = "quick"
    NORMAL = "normal"
    THOROUGH = "thorough"


_TASK = typer.Argument(
    metavar="TASK",
    help="A built-in task (laxity list tasks), a task file (task.toml), module:function or file.py:function, "
    "or any other name together with --model, --weights and --data.",
    show_default=False,
)
TaskName = Annotated[str, _TASK]
OptionalTaskName = Annotated[str | None, _TASK]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or its folder best.", show_default=False)]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of data sets [default: $LAXITY_DATA, else data].")
]
Model = Annotated[
    str | None, typer.Option("--model", help="Network (laxity list networks), or net.py:Net for your own task.")
]
Weights = Annotated[Path | None, typer.Option("--weights", help="Trained weights: .safetensors, .pt, .pth or .th.")]
Data = Annotated[Path | None, typer.Option("--data", help="Data of your own task: .npz with x, y.")]
NumClasses = Annotated[int | None, typer.Option("--num-classes", min=2, help="Number of classes of your own task.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing data from its official address.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes [default: number of cores]; the result is the same.")
]
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        help="processes of this machine, dask, tcp://HOST:PORT of a Dask scheduler, or 'slurm timeout_min=60 ...'.",
    ),
]
Split = Annotated[str, typer.Option("--split", help="train, calibration, validation or test.")]


def given(**options: Any) -> dict[str, Any]:
    """Those options that were given, with paths as text."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in options.items() if v is not None and v is not False}
