"""``laxity circuits import``: a multiplier from a file, with what was assumed and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table, note

if TYPE_CHECKING:
    from laxity.circuits.importers import Imported

_FIGURES = ("ep", "med", "wce", "mred", "max_red", "nmed", "mse", "bias", "error_at_zero_operand")


def import_circuit(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Product table (.npy .npz .csv .tsv .txt .bin .raw) or netlist (.v .sv .blif).",
            show_default=False,
        ),
    ],
    *,
    a_bits: Annotated[int | None, typer.Option("--a-bits", help="Width of operand a, the activation.")] = None,
    b_bits: Annotated[int | None, typer.Option("--b-bits", help="Width of operand b, the weight.")] = None,
    signed: Annotated[
        bool | None,
        typer.Option("--signed/--unsigned", help="Two's complement or not [default: found out].", show_default=False),
    ] = None,
    top: Annotated[str | None, typer.Option("--top", help="Module, of several in a netlist.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Array, of several in an archive.")] = None,
    kind: Annotated[str | None, typer.Option("--format", help="Format, where the suffix does not tell.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the circuit [default: that of the file].")] = None,
    swap: Annotated[bool, typer.Option("--swap", help="Exchange the operands.")] = False,
    with_yosys: Annotated[bool, typer.Option("--with-yosys", help="Let Yosys read gate-level files too.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder in which the circuit is kept.")] = None,
    json: shared.Json = False,
) -> None:
    """Import a multiplier: read the file, find out what it means, check it, and name the nearest known circuit.

    The file is parsed and never executed.
    """
    from laxity.circuits.importers import load
    from laxity.circuits.shelf import PREFIX

    imported = load(
        file,
        a_bits=a_bits,
        b_bits=b_bits,
        signed=signed,
        top=top,
        key=key,
        format=kind,
        name=name,
        swap=swap,
        with_yosys=with_yosys,
    )
    saved = None if out is None else imported.save(out)
    if json:
        emit_json({**imported.to_json(), "saved": None if saved is None else str(saved)})
    else:
        _show(imported)
    if saved is not None:
        note(f"kept as {saved}; plans call it {PREFIX}{imported.key} where LAXITY_CIRCUITS holds {out}")


def _show(imported: Imported) -> None:
    facts: dict[str, Any] = imported.to_json()
    sides = [f"{facts[f'{s}_bits']} bits, {'signed' if facts[f'{s}_signed'] else 'unsigned'}" for s in "ab"]
    rows = [
        ("name", facts["name"]),
        ("read as", facts["format"]),
        ("operand a", sides[0]),
        ("operand b", sides[1]),
        *([("gates", facts["gates"])] if facts["gates"] is not None else []),
        *((figure, facts["metrics"][figure]) for figure in _FIGURES),
        ("table_sha256", facts["table_sha256"]),
    ]
    emit_table(["figure", "value"], rows)
    emit_table(["assumed"], [[text] for text in imported.assumptions] or [["nothing"]])
    emit_table(
        ["check", "", "finding"], [[check.name, "ok" if check.ok else "LOOK", check.text] for check in imported.checks]
    )
