"""Netlists that a tool writes: wrong, cyclic, undriven, strange; and names of the user's that must not reach it."""

import json

import numpy as np
import pytest

from laxity.circuits import Circuit, CircuitBuilder, Gate, Port, default_library
from laxity.circuits.synthesis import map_circuit, plain_verilog, synthesise_fpga
from laxity.circuits.synthesis.equivalence import evaluator, prove_equal
from laxity.circuits.synthesis.mapping import genlib
from laxity.circuits.synthesis.module import read_module
from laxity.eda.run import ToolRunError

AND = Circuit("mine", (Port("a", (2,)), Port("b", (3,))), (Port("p", (4,)),), (Gate("AND2", (2, 3), (4,)),), "a test")
PORTS = {"i0": ("input", [2]), "i1": ("input", [3]), "o0": ("output", [4])}


def buffered(count):
    """`AND` with buffers behind it, so that other netlists are smaller and kept."""
    nets = [5 + k for k in range(count)] + [4]
    chain = tuple(Gate("BUF", (nets[k],), (nets[k + 1],)) for k in range(count))
    return Circuit(AND.name, AND.inputs, AND.outputs, (Gate("AND2", (2, 3), (nets[0],)), *chain), AND.source)


def cell(kind, out, *pins):
    return kind, {}, {**dict(zip("ABCD", ([p] for p in pins), strict=False)), "O": [out]}


def test_what_is_right_is_taken(pretend):
    pretend(PORTS, [cell("INV", 4, 5), cell("NAND2", 5, 2, 3)])
    mapped = map_circuit(buffered(3), default_library())
    assert mapped.kept == "mapped"
    assert [gate.cell for gate in mapped.circuit.gates] == ["NAND2", "INV"]
    assert [port.name for port in mapped.circuit.inputs] == ["a", "b"]


@pytest.mark.parametrize(
    ("ports", "cells", "message"),
    [
        (PORTS, [cell("OR2", 4, 2, 3)], r"made of 'mine' differs from it at p\[0\] for a = 1, b = 0; no figure"),
        (PORTS, [cell("AND2", 4, 2, 5)], "net 5 has no driver"),
        (PORTS, [cell("AND2", 4, 2, 5), cell("INV", 5, 4)], "has a cycle"),
        (PORTS, [cell("AND2", 4, 2, 4)], "has a cycle"),
        (PORTS, [cell("AND2", 4, 2, 3), cell("INV", 4, 2)], "net 4 has two drivers"),
        (PORTS, [cell("AND2", 3, 2, 3)], "net 3 has two drivers"),
        (PORTS, [], "an output .* has no driver"),
        (PORTS, [cell("LATCH", 4, 2, 3)], "used cell 'LATCH', which is not in the library"),
        (PORTS, [cell("AND2", 4, 2)], "0 nets at its pin B"),
        ({**PORTS, "i1": ("input", [3, 5])}, [cell("AND2", 4, 2, 3)], "other widths"),
        ({**PORTS, "i0": ("input", ["q"])}, [cell("AND2", 4, 2, 3)], "cannot be read"),
        ({"i0": ("input", [2]), "o0": ("output", [4])}, [cell("INV", 4, 2)], "other widths"),
    ],
)
def test_what_is_wrong_is_refused(pretend, ports, cells, message):
    pretend(ports, cells)
    with pytest.raises(ToolRunError, match=message):
        map_circuit(AND, default_library())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"modules": {}}', b'{"modules": {"m": 3}}', b'{"modules": {"m": {"ports": []}}}']
)
def test_documents_that_are_no_netlists(content):
    with pytest.raises(ToolRunError, match="yosys wrote a netlist"):
        read_module(content, "m", lambda kind: ("O",))


def test_long_chains_need_no_recursion(pretend):
    count = 5000
    cells = [cell("BUF", 4 if k == count - 1 else 10 + k, 10 + k - 1 if k else 5) for k in reversed(range(count))]
    pretend(PORTS, [*cells, cell("AND2", 5, 2, 3)])
    assert len(map_circuit(buffered(count + 1), default_library()).circuit.gates) == count + 1
    kept = map_circuit(AND, default_library())
    assert (kept.kept, kept.circuit) == ("given", AND)


def test_fpga_tables_are_proved_and_counted(pretend):
    pins = {"A": [2], "B": [3], "C": ["0"], "D": ["x"], "Z": [4]}
    pretend(PORTS, [("LUT4", {"INIT": f"{0b1000:016b}"}, pins)])
    found = synthesise_fpga(AND, "ecp5")
    assert (found.lut, found.ff, found.dsp, found.proof) == (1, 0, 0, "equal on all 4 inputs")
    assert found.energy_index["uniform"] == pytest.approx(2 * 0.25 * 0.75, rel=0.02)
    pretend(PORTS, [("LUT4", {"INIT": f"{0b1110:016b}"}, pins)])
    with pytest.raises(ToolRunError, match="differs from it"):
        synthesise_fpga(Circuit("other", AND.inputs, AND.outputs, (Gate("AND2", (3, 2), (4,)),), "x"), "ecp5")
    pretend(PORTS, [("CCU2C", {}, {**pins, "S0": [4]})])
    with pytest.raises(ToolRunError, match="yosys used CCU2C"):
        synthesise_fpga(Circuit("third", AND.inputs, AND.outputs, (Gate("NAND2", (2, 3), (4,)),), "x"), "ecp5")


def test_no_name_of_the_users_reaches_the_tool():
    hostile = Circuit("endmodule", (Port("wire", (2,)),), (Port("assign", (3,)),), (Gate("INV", (2,), (3,)),), "*/ `x")
    text = plain_verilog(hostile).decode()
    assert "module circuit" in text
    assert not [word for word in ("*/", "`x") if word in text]
    assert "i0" in text
    assert "o0" in text


def test_genlib_states_the_librarys_figures():
    lines = genlib(default_library()).splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith("GATE NAND2 "))
    assert lines[place] == "GATE NAND2 1.877200 O=!(A*B);"
    assert lines[place + 1].split() == ["PIN", "*", "UNKNOWN", "2.070000", "999", *["24.600000", "2.440000"] * 2]
    assert not [line for line in lines if line.startswith(("GATE FA", "GATE HA"))]


def test_a_difference_in_one_of_all_vectors_is_found():
    builder = CircuitBuilder("and16", "a test")
    nets = builder.input("a", 8) + builder.input("b", 8)
    total = nets[0]
    for net in nets[1:]:
        total = builder.and_(total, net)
    builder.output("p", [total])
    rare = builder.build()
    never = Circuit("never", rare.inputs, (Port("p", (0,)),), (), "a test")
    assert prove_equal(rare, evaluator(rare), "x").vectors == 65536
    with pytest.raises(ToolRunError, match=r"at p\[0\] for a = 255, b = 255"):
        prove_equal(rare, evaluator(never), "x")


def test_fewer_than_64_vectors_are_compared_without_their_padding():
    inverter = Circuit("inv", (Port("a", (2,)),), (Port("p", (3,)),), (Gate("INV", (2,), (3,)),), "x")

    def garbage_beyond(planes):
        return {"p": [~planes["a"][0] ^ np.uint64(0xF0)]}

    proof = prove_equal(inverter, garbage_beyond, "x")
    assert (proof.vectors, proof.exhaustive) == (2, True)


def test_documents_are_read_as_yosys_writes_them():
    module = {"ports": {"i0": {"direction": "input", "bits": [2]}}, "cells": {}}
    found = read_module(json.dumps({"modules": {"m": module}}).encode(), "m", lambda kind: ("O",))
    assert found.inputs == {"i0": (2,)}
