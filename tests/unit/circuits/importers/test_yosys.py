"""Files that go through Yosys, and gate-level files read both ways."""

import random

import pytest

from laxity.circuits import catalogue, evaluate, to_verilog
from laxity.circuits.importers import load, load_circuit
from laxity.circuits.importers.yosys_netlist import netlist_circuit
from laxity.circuits.source import Source
from laxity.core.errors import CircuitError, ToolError
from laxity.eda.tools import available

from .test_verilog import A, B, module

needs_yosys = pytest.mark.skipif(available("yosys") is None, reason="Yosys is not installed")
PORTS = "input [3:0] a, input [3:0] b, output [7:0] p"
REGISTER = PORTS.replace("output", "output reg")


def write(tmp_path, text, name="m.v"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


@needs_yosys
@pytest.mark.slow
def test_behavioural_files_become_gates(tmp_path):
    unsigned = load(write(tmp_path, module("assign p = a * b;", PORTS)), compare=False)
    assert unsigned.multiplier == catalogue.get("dadda4")
    assert unsigned.circuit.cells()["FA"] >= 4
    assert "line 2 has the operator '*', so Yosys read the file" in unsigned.assumptions
    signed = "input signed [3:0] x, input signed [3:0] y, output reg signed [7:0] z"
    twos = load(write(tmp_path, module("always @(*) z = x * y;", signed)), compare=False)
    assert twos.multiplier == catalogue.get("dadda4s")
    system = "input logic [3:0] a, input logic [3:0] b, output logic [7:0] p"
    newer = load(write(tmp_path, module("always_comb p = (a * b) + '0;", system), "m.sv"), compare=False)
    assert newer.multiplier == catalogue.get("dadda4")
    full_case = module("always @(*) case (a[1:0]) 0: p = 0; 1: p = b; 2: p = 2 * b; 3: p = 3 * b; endcase", REGISTER)
    assert load(write(tmp_path, full_case), compare=False).multiplier.metrics().wce == 12 * 15


@needs_yosys
@pytest.mark.slow
def test_the_same_file_read_both_ways(tmp_path):
    path = write(tmp_path, to_verilog(catalogue.circuit("drum6_4")), "m.v")
    forced = load(path, with_yosys=True, compare=False)
    assert forced.multiplier == load(path, compare=False).multiplier == catalogue.get("drum6_4")
    head = ".model m\n.inputs a[0] a[1] b[0]\n.outputs p[0] p[1]\n"
    blif = f"{head}.names a[0] b[0] p[0]\n11 1\n.names a[1] b[0] p[1]\n11 1\n.end\n"
    path = write(tmp_path, blif, "m.blif")
    assert load(path, with_yosys=True, compare=False).multiplier == load(path, compare=False).multiplier


BAD = {
    "flip-flop": (module("always @(posedge a[0]) p <= b;", REGISTER), r"m\.v:2: has memory"),
    "latch": (module("always @(*) if (a[0]) p = b;", REGISTER), r"m\.v:2: has memory"),
    "unknown value": (
        module("always @(*) case (a) 0: p = 0; default: p = 8'bx; endcase", REGISTER),
        "undriven nets or on x",
    ),
    "undriven": (module("wire [7:0] q; assign p = (a * b) ^ q;", PORTS), "no driver.*drive every net"),
    "loop": (module("wire [7:0] q; assign q = (a * b) ^ p; assign p = q & {8{a[0]}};", PORTS), "loop.*cut the loop"),
    "two drivers": (module("assign p = a * b; assign p = a + b;", PORTS), "conflicting drivers.*leave one driver"),
    "syntax": (module("assign p = a * b\nassign p = a;", PORTS), r"m\.v:3: .*syntax error"),
    "missing module": (module("other u(a, b, p);", PORTS), "not part of the design"),
}


@needs_yosys
@pytest.mark.slow
@pytest.mark.parametrize("case", BAD)
def test_files_that_are_no_combinational_circuit(case, tmp_path):
    text, message = BAD[case]
    with pytest.raises(CircuitError, match=message) as caught:
        load(write(tmp_path, text))
    assert str(caught.value).startswith("m.v")


def expression(rng, depth):
    if depth == 0:
        return rng.choice(["a", "b", "a[2:1]", "b[0]", "4'd9", "{a[0], b}", "1'b1"])
    x, y, z = (expression(rng, depth - 1) for _ in range(3))
    return rng.choice(
        [
            *(f"({x} {op} {y})" for op in ("&", "|", "^", "~^", "+", "-", "&&", "||", "==", "!=")),
            *(f"{op}({x})" for op in ("~", "!", "-", "&", "|", "^", "~&", "~|", "~^")),
            f"({x} ? {y} : {z})",
            f"{{{x}, {y}}}",
            f"{{2{{{x}}}}}",
            f"({x} << 1)",
            f"({x} >> 2)",
            f"{x} & {y} | {z}",
            f"{x} ^ {y} == {z}",
            f"~({x} & {y} | {z})",
            f"~({x} ? {y} : {z})",
        ]
    )


@needs_yosys
@pytest.mark.slow
def test_random_expressions_mean_what_yosys_says(tmp_path):
    rng = random.Random(5)
    outputs = [f"p{i}" for i in range(150)]
    body = "\n".join(f"assign {p} = {expression(rng, 1 + i % 3)};" for i, p in enumerate(outputs))
    ports = "input [3:0] a, input [2:0] b, " + ", ".join(f"output [{4 + i % 7}:0] {p}" for i, p in enumerate(outputs))
    path = write(tmp_path, module(body, ports))
    own = evaluate(load_circuit(path), {"a": A, "b": B})
    by_yosys = evaluate(load_circuit(path, with_yosys=True), {"a": A, "b": B})
    wrong = [p for p in outputs if (own[p] != by_yosys[p]).any()]
    assert not wrong, [line for line in body.splitlines() if line.split()[1] in wrong]


def test_a_missing_tool_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LAXITY_YOSYS", str(tmp_path / "nowhere"))
    with pytest.raises(ToolError) as caught:
        load(write(tmp_path, module("assign p = a * b;", PORTS)))
    assert caught.value.exit_code == 4


GATE = {"type": "$_AND_", "connections": {"A": [2], "B": [3], "Y": [4]}}
NETLIST = {
    "ports": {
        "a": {"direction": "input", "bits": [2]},
        "b": {"direction": "input", "bits": [3]},
        "p": {"direction": "output", "bits": [4]},
    },
    "cells": {"g": GATE},
}


def test_the_netlist_of_yosys_is_read_strictly():
    source = Source("m.v", ".v", b"")
    assert netlist_circuit(source, "\\m", NETLIST).cells() == {"AND2": 1}
    bad = [
        {**NETLIST, "cells": {"g": {**GATE, "type": "$_DFF_P_"}}},
        {**NETLIST, "cells": {"g": {**GATE, "type": "$mul"}}},
        {**NETLIST, "cells": {"g": {**GATE, "connections": {"A": [2], "Y": [4]}}}},
        {**NETLIST, "cells": {"g": {**GATE, "connections": {"A": ["x"], "B": [3], "Y": [4]}}}},
        {**NETLIST, "cells": {"g": GATE, "h": GATE}},
        {**NETLIST, "cells": {}},
        {**NETLIST, "ports": {"p": {"direction": "inout", "bits": [4]}}},
        {**NETLIST, "ports": []},
        {"cells": {}},
        [],
    ]
    for document in bad:
        with pytest.raises(CircuitError, match=r"^m\.v"):
            netlist_circuit(source, "m", document)
