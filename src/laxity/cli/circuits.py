"""``laxity circuits``: the catalogues of multipliers and adders."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from laxity.cli import arguments as shared
from laxity.cli.circuit_faults import circuit_faults
from laxity.cli.failures import guarded
from laxity.cli.output import emit_json, emit_table, note, write

circuits = typer.Typer(help="Arithmetic circuits: catalogue, error metrics and Verilog.", no_args_is_help=True)
_MAC_COLUMNS = ("name", "accumulator_bits", "gates", "flip_flops", "area_um2", "multiplier_area_um2", "delay_ns")
_COLUMNS = ("name", "gates", "area_um2", "delay_ns", "ep", "med", "wce", "mred", "nmed", "bias")


class Kind(StrEnum):
    """What is listed."""

    MULTIPLIER = "multiplier"
    ADDER = "adder"
    MAC = "mac"


_WIDTHS = {Kind.MULTIPLIER: (8, 16), Kind.ADDER: (16, 48), Kind.MAC: (8, 16)}
"""Default and largest operand width."""

_LISTED_SAMPLES = 1 << 16
"""Operand pairs of each circuit in a list of wide ones, unless asked for otherwise."""

_LISTED_BITS = 20
"""Operand bits together up to which a list takes all pairs."""

_WIDEST_TABLE = 8


def list_circuits(
    kind: Annotated[Kind, typer.Option("--kind", help="Multipliers, adders, or both in one.")] = Kind.MULTIPLIER,
    width: Annotated[
        int | None, typer.Option("--width", help="Operand width in bits.", show_default="8, adders 16")
    ] = None,
    signed: Annotated[bool, typer.Option("--signed", help="The signed versions of multipliers.")] = False,
    samples: Annotated[
        int, typer.Option("--samples", min=256, help="Operand pairs drawn where operands are wider than 10 bits.")
    ] = _LISTED_SAMPLES,
    json: shared.Json = False,
) -> None:
    """List the circuits of one width with their error metrics, over all operand pairs up to 10 bits, else sampled."""
    from laxity.circuits import Sampling, adder_catalogue, catalogue

    default, largest = _WIDTHS[kind]
    bits = default if width is None else width
    if not 2 <= bits <= largest:
        raise typer.BadParameter(f"{kind.value}s are listed for widths 2..{largest}, not {bits}", param_hint="--width")
    if kind is not Kind.MULTIPLIER and signed:
        raise typer.BadParameter(f"{kind.value}s serve signed and unsigned numbers alike", param_hint="--signed")
    if kind is Kind.MAC:
        _list_macs(bits, as_json=json)
        return
    home = adder_catalogue if kind is Kind.ADDER else catalogue
    listed = adder_catalogue.names(bits) if kind is Kind.ADDER else catalogue.names(bits, signed=signed)
    if bits > 8:
        pairs = f"{samples} random" if 2 * bits > _LISTED_BITS else "all"
        note(f"computing error metrics of {len(listed)} circuits over {pairs} operand pairs ...")
    sampling = Sampling(samples, exhaustive_bits=_LISTED_BITS)
    found = [home.describe(name, sampling=sampling) for name in listed]
    if json:
        emit_json(found)
    else:
        emit_table(_COLUMNS, [[facts[column] for column in _COLUMNS] for facts in found])


def _list_macs(bits: int, *, as_json: bool) -> None:
    from laxity.circuits import mac_catalogue

    found = [mac_catalogue.describe(name) for name in mac_catalogue.names(bits)]
    if as_json:
        emit_json(found)
    else:
        emit_table(_MAC_COLUMNS, [[facts[column] for column in _MAC_COLUMNS] for facts in found])


def show_circuit(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Such as drum8_4, dadda8s, loa16_4, mac_drum8_4.", show_default=False)
    ],
    verilog: Annotated[bool, typer.Option("--verilog", help="Print the Verilog; with --json, add it.")] = False,
    samples: Annotated[
        int, typer.Option("--samples", min=256, help="Operand pairs drawn where operands are wider than 12 bits.")
    ] = 1 << 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample.")] = 0,
    json: shared.Json = False,
) -> None:
    """Show one multiplier, adder or multiply-accumulate circuit, of any width and parameters that its family can build.

    Error metrics are over all operand pairs up to 12 x 12 bits, else over a sample, with 95 % confidence intervals.
    """
    from laxity.circuits import Sampling, adder_catalogue, catalogue, mac_catalogue, to_verilog

    if mac_catalogue.known(name):
        _show_mac(name, verilog=verilog, as_json=json)
        return
    adds = adder_catalogue.known(name)
    home = adder_catalogue if adds else catalogue
    text = to_verilog(home.circuit(name)) if verilog else ""
    if verilog and not json:
        write(text)
        return
    facts = home.describe(name, sampling=Sampling(samples, seed))
    studies = [] if adds else _emulation(name)
    if json:
        emit_json({**facts, "emulation": studies, "verilog": text} if verilog else {**facts, "emulation": studies})
        return
    _show_facts(facts)
    if studies:
        emit_table(["emulation", *(_span(s["activations"]) for s in studies)], _side_by_side(studies))


def _show_mac(name: str, *, verilog: bool, as_json: bool) -> None:
    """Errors are those of the multiplier and of the adder, so they are not shown here."""
    from laxity.circuits import mac_catalogue, to_verilog

    facts = mac_catalogue.describe(name)
    text = to_verilog(mac_catalogue.circuit(name)) if verilog else ""
    if as_json:
        emit_json({**facts, "verilog": text} if verilog else facts)
    elif verilog:
        write(text)
    else:
        emit_table(["figure", "value"], list(facts.items()))


def _show_facts(facts: dict[str, Any]) -> None:
    """Figures with their values; those of a sample with interval."""
    intervals, bounds = facts.pop("intervals", {}), facts.pop("lower_bounds", [])
    rows = [(name, value) for name, value in facts.items() if value != ""]
    if facts["exhaustive"]:
        emit_table(["figure", "value"], rows)
        return
    spans = {name: f"{low:.4g} to {high:.4g}" for name, (low, high) in intervals.items()}
    spans |= dict.fromkeys(bounds, "or more: the largest that was seen")
    header = f"{100 * facts['confidence']:g} % interval"
    emit_table(["figure", "value", header], [(name, value, spans.get(name, "")) for name, value in rows])


def _emulation(name: str) -> list[dict[str, Any]]:
    """What the product table is made of and which kernel computes with it; nothing for circuits without a table."""
    from laxity.circuits import catalogue
    from laxity.kernels.study import study, usual_ranges

    if catalogue.widest(name) > _WIDEST_TABLE:
        return []
    multiplier = catalogue.get(name)
    return [study(multiplier, *ranges).to_json() for ranges in usual_ranges(multiplier)]


def _span(codes: tuple[int, int]) -> str:
    return f"activations {codes[0]}..{codes[1]}"


def _side_by_side(studies: list[dict[str, Any]]) -> list[list[Any]]:
    rows = [key for key in studies[0] if key != "activations"]
    return [[key, *(_cell(s[key]) for s in studies)] for key in rows]


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return f"{value[0]}..{value[1]}"
    return "more than 8" if value is None else value


circuits.command("list")(guarded(list_circuits))
circuits.command("show")(guarded(show_circuit))
circuits.command("faults")(guarded(circuit_faults))
