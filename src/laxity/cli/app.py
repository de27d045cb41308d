"""The application: its commands, and the entry point."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import typer

from laxity.cli.arguments import Root
from laxity.cli.characterise import characterise
from laxity.cli.circuits import circuits
from laxity.cli.compare import compare
from laxity.cli.demo import demo
from laxity.cli.doctor import doctor
from laxity.cli.evaluate import evaluate
from laxity.cli.failures import guarded
from laxity.cli.faults import faults
from laxity.cli.harden import harden
from laxity.cli.import_circuit import import_circuit
from laxity.cli.list import list_names
from laxity.cli.optimize import optimize
from laxity.cli.recover import recover
from laxity.cli.recover_compare import compare_treatments
from laxity.cli.recover_rank import rank
from laxity.cli.recover_uniform import climb
from laxity.cli.report import report
from laxity.cli.rtl import rtl
from laxity.cli.sites import sites
from laxity.cli.sweep import sweep
from laxity.cli.traces import traces
from laxity.cli.train import train

app = typer.Typer(
    name="laxity",
    cls=Root,
    help="Reliable cross-layer approximation of deep neural networks.",
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 no plan meets the budget, 4 a tool is missing, "
    "130 interrupted and resumable. LAXITY_DEBUG=1 shows tracebacks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "optimize": optimize,
    "evaluate": evaluate,
    "faults": faults,
    "sweep": sweep,
    "harden": harden,
    "report": report,
    "rtl": rtl,
    "train": train,
    "sites": sites,
    "traces": traces,
    "list": list_names,
    "doctor": doctor,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(guarded(_command))
circuits.command("characterise")(guarded(characterise))
circuits.command("compare")(guarded(compare))
circuits.command("import")(guarded(import_circuit))
app.add_typer(circuits, name="circuits")
recover.command("compare")(guarded(compare_treatments))
recover.command("uniform")(guarded(climb))
recover.command("rank")(guarded(rank))
app.add_typer(recover, name="recover")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the exit code.

    Args:
        arguments: without the program's name; those of the process if None.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character must not end the run
    app(args=None if arguments is None else list(arguments), prog_name="laxity")
    sys.exit(0)
