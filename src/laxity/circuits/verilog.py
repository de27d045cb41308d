"""Structural Verilog-2005 of a netlist: one line for each gate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from laxity.circuits.netlist import ONE, ZERO, Circuit, Gate, Port

EXPRESSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "INV": ("~{0}",),
        "BUF": ("{0}",),
        "AND2": ("{0} & {1}",),
        "OR2": ("{0} | {1}",),
        "NAND2": ("~({0} & {1})",),
        "NAND3": ("~({0} & {1} & {2})",),
        "NOR2": ("~({0} | {1})",),
        "NOR3": ("~({0} | {1} | {2})",),
        "XOR2": ("{0} ^ {1}",),
        "XNOR2": ("~({0} ^ {1})",),
        "AOI21": ("~(({0} & {1}) | {2})",),
        "AOI22": ("~(({0} & {1}) | ({2} & {3}))",),
        "OAI21": ("~(({0} | {1}) & {2})",),
        "MUX2": ("~({0} ? {2} : {1})",),
        "HA": ("{0} ^ {1}", "{0} & {1}"),
        "FA": ("{0} ^ {1} ^ {2}", "({0} & {1}) | ({2} & ({0} ^ {1}))"),
    }
)
"""Verilog expression of each cell output; {0}, {1}, ... are the input pins."""

_RESERVED = re.compile(
    r"""
    always | and | assign | automatic | begin | buf | bufif0 | bufif1 | case | casex | casez | cell | cmos |
    config | deassign | default | defparam | design | disable | edge | else | end | endcase | endconfig |
    endfunction | endgenerate | endmodule | endprimitive | endspecify | endtable | endtask | event | for | force |
    forever | fork | function | generate | genvar | highz0 | highz1 | if | ifnone | incdir | include | initial |
    inout | input | instance | integer | join | large | liblist | library | localparam | macromodule | medium |
    module | nand | negedge | nmos | nor | noshowcancelled | not | notif0 | notif1 | or | output | parameter |
    pmos | posedge | primitive | pull0 | pull1 | pulldown | pullup | pulsestyle_ondetect | pulsestyle_onevent |
    rcmos | real | realtime | reg | release | repeat | rnmos | rpmos | rtran | rtranif0 | rtranif1 | scalared |
    showcancelled | signed | small | specify | specparam | strong0 | strong1 | supply0 | supply1 | table | task |
    time | tran | tranif0 | tranif1 | tri | tri0 | tri1 | triand | trior | trireg | unsigned | use | uwire |
    vectored | wait | wand | weak0 | weak1 | while | wire | wor | xnor | xor
    """,
    re.VERBOSE,
)
"""The keywords of IEEE 1364-2005."""


def identifier(name: str) -> str:
    """Return `name` as a legal Verilog identifier: reserved words get a trailing underscore."""
    return f"{name}_" if _RESERVED.fullmatch(name) else name


def to_verilog(circuit: Circuit) -> str:
    """Return the circuit as one Verilog-2005 module.

    The text depends on the circuit only. Nets are called n2, n3, ...; a port called like that keeps its name and the
    nets take another letter.
    """
    names, text_of = _port_names(circuit), net_names(circuit)
    lines = _header(circuit)
    lines.append(f"module {identifier(circuit.name)} (")
    declarations = [_declare("input", port, names[port.name]) for port in circuit.inputs]
    declarations += [_declare("output", port, names[port.name]) for port in circuit.outputs]
    lines.append(",\n".join(declarations))
    lines.append(");")
    for tie in circuit.ties:
        width = tie.port.width
        lines.append(f"  wire [{width - 1}:0] {names[tie.port.name]} = {width}'b{tie.value:0{width}b};")
    block = None
    for gate in circuit.gates:
        if gate.block != block:
            block = gate.block
            lines.append(f"  // {block}")
        lines.append(_gate_line(gate, text_of))
    for port in circuit.outputs:
        bits = ", ".join(text_of[net] for net in reversed(port.nets))
        lines.append(f"  assign {names[port.name]} = {{{bits}}};")
    lines.append("endmodule")
    return "\n".join(lines) + "\n"


def _header(circuit: Circuit) -> list[str]:
    cells = ", ".join(f"{count} {cell}" for cell, count in circuit.cells().items()) or "none"
    return [
        f"// {circuit.name}: netlist {circuit.key}, written by laxity",
        f"// source: {' '.join(circuit.source.split())}",
        f"// cells: {cells}",
    ]


def _declare(direction: str, port: Port, name: str) -> str:
    return f"  {direction} wire [{port.width - 1}:0] {name}"


def net_names(circuit: Circuit) -> dict[int, str]:
    """What every net is called in the Verilog of the circuit, by net number."""
    names, letter = _port_names(circuit), "n"
    while any(name.startswith(letter) and name[len(letter) :].isdigit() for name in names.values()):
        letter += "_"
    text_of = {ZERO: "1'b0", ONE: "1'b1"}
    for port in (*circuit.inputs, *(tie.port for tie in circuit.ties)):
        for index, net in enumerate(port.nets):
            text_of[net] = f"{names[port.name]}[{index}]"
    for gate in circuit.gates:
        for net in gate.outputs:
            text_of[net] = f"{letter}{net}"
    return text_of


def _port_names(circuit: Circuit) -> dict[str, str]:
    ports = [*circuit.inputs, *circuit.outputs, *(tie.port for tie in circuit.ties)]
    return {port.name: identifier(port.name) for port in ports}


def _gate_line(gate: Gate, text_of: Mapping[int, str]) -> str:
    pins = [text_of[net] for net in gate.inputs]
    parts = [
        f"{text_of[net]} = {expression.format(*pins)}"
        for net, expression in zip(gate.outputs, EXPRESSIONS[gate.cell], strict=True)
    ]
    return f"  wire {', '.join(parts)};"
