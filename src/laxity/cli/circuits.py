"""``laxity circuits``: the catalogue of multipliers."""

from __future__ import annotations

from typing import Annotated

import typer

from laxity.cli import arguments as shared
from laxity.cli.failures import guarded
from laxity.cli.output import emit_json, emit_table, note, write

circuits = typer.Typer(help="Arithmetic circuits: catalogue, error metrics and Verilog.", no_args_is_help=True)
_COLUMNS = ("name", "gates", "area_um2", "delay_ns", "ep", "med", "wce", "mred", "nmed", "bias")


def list_circuits(
    width: Annotated[int, typer.Option("--width", min=2, max=10, help="Operand width in bits.")] = 8,
    signed: Annotated[bool, typer.Option("--signed", help="The signed versions.")] = False,
    json: shared.Json = False,
) -> None:
    """List the multipliers of one width with their error metrics over all operand pairs."""
    from laxity.circuits import catalogue

    if width > 8:
        note("computing error metrics over all operand pairs ...")
    found = [catalogue.describe(name) for name in catalogue.names(width, signed=signed)]
    if json:
        emit_json(found)
    else:
        emit_table(_COLUMNS, [[facts[column] for column in _COLUMNS] for facts in found])


def show_circuit(
    name: Annotated[str, typer.Argument(metavar="NAME", help="For example drum8_4 or dadda8s.", show_default=False)],
    verilog: Annotated[bool, typer.Option("--verilog", help="Print the Verilog; with --json, add it.")] = False,
    json: shared.Json = False,
) -> None:
    """Show one multiplier, of any width and parameters that its family can build."""
    from laxity.circuits import catalogue, to_verilog

    text = to_verilog(catalogue.circuit(name)) if verilog else ""
    if verilog and not json:
        write(text)
        return
    facts = catalogue.describe(name)
    if json:
        emit_json({**facts, "verilog": text} if verilog else facts)
    else:
        emit_table(["figure", "value"], list(facts.items()))


circuits.command("list")(guarded(list_circuits))
circuits.command("show")(guarded(show_circuit))
