"""Importing a file: read, interpreted, checked."""

from __future__ import annotations

from pathlib import Path

from laxity.circuits.adder import Adder
from laxity.circuits.importers.checks import checks
from laxity.circuits.importers.imported import Imported
from laxity.circuits.importers.importer import Importer, NetlistContent, Options, importer_of
from laxity.circuits.importers.nearest import nearest
from laxity.circuits.importers.ports import Operands, operands
from laxity.circuits.importers.reading import meaning_of_circuit, meaning_of_table, reordered
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit, Port
from laxity.circuits.simulate import MAX_TABLE_BITS
from laxity.circuits.source import Source, identifier, read_source, shown
from laxity.core.errors import CircuitError

MAX_TABLE_BYTES = 1 << 30
"""Memory for the signals of a netlist while its table is made."""


def load(
    path: str | Path,
    *,
    a_bits: int | None = None,
    b_bits: int | None = None,
    signed: bool | None = None,
    top: str | None = None,
    key: str | None = None,
    format: str | None = None,  # noqa: A002
    name: str | None = None,
    swap: bool = False,
    with_yosys: bool = False,
    compare: bool = True,
) -> Imported:
    """Import a multiplier from a file, which is parsed and never executed.

    Args:
        path: a product table or netlist; `IMPORTERS` lists the formats.
        a_bits: width of operand a, the activation; found out if not given.
        b_bits: width of operand b, the weight; likewise.
        signed: operands and product are two's complement; found out by nearness to exact products if not given.
        top: module or model, of several in the file.
        key: array, of several in an archive.
        format: name of the importer; that of the suffix if not given.
        name: name of the multiplier; that of the file if not given.
        swap: exchange the operands.
        with_yosys: let Yosys read the file even where laxity could.
        compare: look for the nearest circuit of the catalogue.

    Raises:
        CircuitError: the file cannot be read, is no such format, or holds no two-operand multiplier with a table;
            names the file, the line where it is known, and the remedy.
        RegistryError: there is no format of that name.
        ToolError: Yosys is needed and missing.
    """
    _check_bits(a_bits, b_bits)
    source = read_source(path)
    options = Options(a_bits, b_bits, signed, top, key, with_yosys)
    importer = importer_of(source, format)
    content = importer.read(source, options)
    if isinstance(content, NetlistContent):
        title = identifier(name or source.stem)
        found = operands(content.circuit, source.label, a_bits, b_bits, swap=swap)
        return _from_netlist(source, importer, options, content, found, title, compare)
    title = identifier(name or content.title or source.stem)
    decision = meaning_of_table(source, content, options)
    meaning = decision.chosen
    table, signs = meaning.table, (meaning.a_signed, meaning.b_signed)
    notes = [*content.notes, *meaning.notes]
    if swap:
        table, signs = table.T, signs[::-1]
        notes.append("the operands are exchanged, as asked")
    bits = [side.bit_length() - 1 for side in table.shape]
    multiplier = Multiplier(title, bits[0], bits[1], *signs, table, None, "imported")
    near = nearest(multiplier) if compare else None
    found_checks = checks(source, multiplier, decision, near)
    return Imported(multiplier, source.label, importer.name, source.sha256, tuple(notes), found_checks, near)


def load_circuit(
    path: str | Path,
    *,
    top: str | None = None,
    format: str | None = None,  # noqa: A002
    with_yosys: bool = False,
) -> Circuit:
    """Read a netlist with the ports of the file, of any function and width: adders, wide multipliers, other logic.

    Args:
        path: a netlist.
        top: module or model, of several in the file.
        format: name of the importer; that of the suffix if not given.
        with_yosys: let Yosys read the file even where laxity could.

    Raises:
        CircuitError, RegistryError, ToolError: as `load`; CircuitError too where the file is a table.
    """
    source = read_source(path)
    content = importer_of(source, format).read(source, Options(top=top, with_yosys=with_yosys))
    if not isinstance(content, NetlistContent):
        raise source.error(None, "is a table, without gates; give a netlist")
    return content.circuit


def load_adder(
    path: str | Path,
    *,
    top: str | None = None,
    format: str | None = None,  # noqa: A002
    name: str | None = None,
    with_yosys: bool = False,
) -> Adder:
    """Import an adder of two unsigned operands of n bits, with a sum of n + 1 bits, carry out included.

    Args:
        path: a netlist with two input ports and one output port.
        top: module or model, of several in the file.
        format: name of the importer; that of the suffix if not given.
        name: name of the adder; that of the file if not given.
        with_yosys: let Yosys read the file even where laxity could.

    Raises:
        CircuitError, RegistryError, ToolError: as `load_circuit`; CircuitError too where the ports are others.
    """
    circuit = load_circuit(path, top=top, format=format, with_yosys=with_yosys)
    found = operands(circuit, shown(Path(path).name), None, None).circuit
    title = identifier(name or Path(path).stem)
    ports = (Port("s", found.port("p").nets),)
    return Adder(title, Circuit(title, found.inputs, ports, found.gates, found.source), "imported")


def _check_bits(*widths: int | None) -> None:
    for which, bits in zip("ab", widths, strict=True):
        if bits is not None and not 1 <= bits < MAX_TABLE_BITS:
            raise CircuitError(f"--{which}-bits is {bits}; operands of 1..{MAX_TABLE_BITS - 1} bits can be imported")


def _from_netlist(
    source: Source,
    importer: Importer,
    options: Options,
    content: NetlistContent,
    found: Operands,
    title: str,
    compare: bool,
) -> Imported:
    widths = [found.circuit.port(port).width for port in "ab"]
    if sum(widths) > MAX_TABLE_BITS:
        raise source.error(
            None,
            f"operands of {widths[0]} and {widths[1]} bits; tables exist for {MAX_TABLE_BITS} bits together. Wider "
            "netlists can be read with laxity.circuits.importers.load_circuit",
        )
    most = MAX_TABLE_BYTES >> max(0, sum(widths) - 3)
    if found.circuit.net_count() > most:
        raise source.error(
            None,
            f"{found.circuit.net_count()} nets are too many for a table of 2**{sum(widths)} products, at most {most} "
            "are possible; simplify the netlist first",
        )
    decision = meaning_of_circuit(found.circuit, options, content.declared_signed)
    meaning = decision.chosen
    turned = reordered(found.circuit, meaning.reversed_ports)
    circuit = Circuit(title, turned.inputs, turned.outputs, turned.gates, turned.source)
    signs = (meaning.a_signed, meaning.b_signed)
    multiplier = Multiplier(title, widths[0], widths[1], *signs, meaning.table, circuit, "imported")
    near = nearest(multiplier) if compare else None
    notes = (*content.notes, *found.notes, *meaning.notes)
    found_checks = checks(source, multiplier, decision, near)
    return Imported(multiplier, source.label, importer.name, source.sha256, notes, found_checks, near)
