"""Netlists of Yosys: what is read, and what is refused."""

import json

import pytest

from laxity.circuits.netlist import ONE, ZERO, Gate, Port
from laxity.core.errors import CircuitError
from laxity.eda.run import ToolRunError
from laxity.rtl.silicon.netlist import FLIP_FLOPS, MEMORIES, NEXT, PINS, FlipFlop, Memory, Netlist, WritePort
from laxity.rtl.silicon.reader import from_document, instance_of, read_mapped, to_document


def memory_cell(**changes):
    parameters = {
        "ABITS": "10", "INIT": "1" + "x" * 3 + "01", "MEMID": "m", "OFFSET": "0", "RD_CLK_ENABLE": "1",
        "RD_CLK_POLARITY": "1", "RD_PORTS": "1", "RD_TRANSPARENCY_MASK": "0", "SIZE": "11", "WIDTH": "10",
        "WR_CLK_ENABLE": "1", "WR_CLK_POLARITY": "1", "WR_PORTS": "1",
    }  # fmt: skip
    pins = {
        "RD_ADDR": [5, 6], "RD_ARST": ["0"], "RD_CLK": [2], "RD_DATA": [20, 21], "RD_EN": ["1"], "RD_SRST": ["0"],
        "WR_ADDR": [6, 5], "WR_CLK": [2], "WR_DATA": [10, 11], "WR_EN": [7, 7],
    }  # fmt: skip
    own = {key: changes.get(key, value) for key, value in parameters.items()}
    return {
        "type": "$mem_v2",
        "parameters": own,
        "connections": {key: changes.get(key, value) for key, value in pins.items()},
    }


def cell(kind, **pins):
    return {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}


def document(**changes):
    """A full adder whose sum goes into a register, and a memory of three words."""
    cells = {
        "$flatten\\a.\\b[1].$abc$1$2": cell("FA", A=5, B=6, C=7, S=10, K=11),
        "$flatten\\a.\\b[1].$auto$ff$3": cell("$_DFF_P_", C=2, D=10, Q=12),
        "m.words": memory_cell(),
        "$abc$zero": cell("ZERO", O=30),
        "$abc$5": cell("NAND2", A=12, B=30, O=13),
        **changes,
    }
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "x": {"direction": "input", "bits": [5, 6, 7]},
        "y": {"direction": "output", "bits": [13, 21, "1"]},
    }
    names = {
        "a.b[1].sum": {"hide_name": 0, "bits": [9, 12]},
        "other": {"hide_name": 0, "bits": [12]},
        "$hidden": {"hide_name": 1, "bits": [12]},
    }
    kept = {name: facts for name, facts in cells.items() if facts is not None}
    return json.dumps({"modules": {"top": {"ports": ports, "cells": kept, "netnames": names}}}).encode()


def test_what_is_read():
    found = read_mapped(document(), "top")
    (x,), (y,) = found.inputs, found.outputs
    adder, nand = found.gates
    (register,), (memory,) = found.flip_flops, found.memories
    assert (x.name, x.width, y.name, y.width) == ("x", 3, "y", 3)
    assert (adder.cell, adder.inputs, adder.block) == ("FA", x.nets, "a.b[1]")
    assert (register.d, register.name, register.block) == (adder.outputs[0], "a.b[1].sum[1]", "a.b[1]")
    assert (nand.inputs, nand.block) == ((register.q, ZERO), "")
    assert y.nets == (nand.outputs[0], memory.data[1], ONE)
    assert (memory.name, memory.words, memory.bits, memory.contents) == ("m", 3, 2, (1, 0, 2))
    assert memory.address == x.nets[:2]
    assert memory.writes == (WritePort((x.nets[2],) * 2, (x.nets[1], x.nets[0]), adder.outputs),)
    ports = {port.name: port.nets for port in (*found.logic.inputs, *found.logic.outputs)}
    assert ports[FLIP_FLOPS] == (register.q,)
    assert ports[NEXT] == (register.d,)
    assert ports[MEMORIES] == memory.data
    assert ports[PINS] == memory.pins


def test_a_memory_without_contents():
    found = read_mapped(document(**{"m.words": memory_cell(INIT="x" * 6)}), "top")
    assert found.memories[0].contents is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"$abc$5": cell("NAND9", A=12, B=30, O=13)}, "cell 'NAND9', which is not in the library"),
        ({"$flatten\\a.\\b[1].$auto$ff$3": cell("$_DFF_P_", C=5, D=10, Q=12)}, "rising edge of clk"),
        ({"$flatten\\a.\\b[1].$auto$ff$3": cell("$_DFF_N_", C=2, D=10, Q=12)}, "not in the library"),
        ({"m.words": memory_cell(RD_CLK=[5])}, "rising edge of clk"),
        ({"m.words": memory_cell(RD_CLK_POLARITY="0")}, "only these can be simulated"),
        ({"m.words": memory_cell(RD_CLK_ENABLE="0")}, "only these can be simulated"),
        ({"m.words": memory_cell(WR_CLK_POLARITY="0")}, "only these can be simulated"),
        ({"m.words": memory_cell(RD_TRANSPARENCY_MASK="1")}, "only these can be simulated"),
        ({"m.words": memory_cell(RD_EN=[7])}, "only these can be simulated"),
        ({"m.words": memory_cell(RD_SRST=[7])}, "only these can be simulated"),
        ({"m.words": memory_cell(OFFSET="1")}, "only these can be simulated"),
        ({"m.words": memory_cell(INIT="0101")}, "no contents of 3 x 2 bits"),
        ({"m.words": memory_cell(SIZE="many")}, "expected bits"),
        ({"$abc$6": cell("INV", A=5, O=13)}, "net 13 has two drivers"),
        ({"$abc$6": cell("INV", A=40, O=41)}, "net 40 has no driver"),
        ({"$abc$5": cell("NAND2", A=13, B=12, O=13)}, "has a cycle"),
        ({"$flatten\\a.\\b[1].$auto$ff$3": cell("$_DFF_P_", C=2, D=50, Q=12)}, "before it is driven"),
    ],
)  # fmt: skip
def test_what_is_refused(changes, message):
    with pytest.raises(ToolRunError, match=message):
        read_mapped(document(**changes), "top")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"modules": {}}', b'{"modules": {"top": 5}}'])
def test_malformed_documents(content):
    with pytest.raises(ToolRunError):
        read_mapped(content, "top")


def test_names_that_cannot_be_read():
    broken = json.loads(document())
    broken["modules"]["top"]["netnames"] = {"a": {"bits": [3]}}
    with pytest.raises(ToolRunError, match="net names"):
        read_mapped(json.dumps(broken).encode(), "top")


def test_documents_hold_everything(designs):
    for seed in range(5):
        made = designs.random_netlist(seed)
        again = from_document(json.loads(json.dumps(to_document(made))))
        assert again.logic == made.logic
        parts = [
            (n.inputs, n.outputs, n.flip_flops, n.memories, n.gates, [g.block for g in n.gates]) for n in (made, again)
        ]
        assert parts[0] == parts[1]


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("$abc$1$x", ""),
        ("$flatten\\engine.\\array.\\row[1].column[5].pe.$abc$49761$blif$78", "engine.array.row[1].column[5].pe"),
        ("$flatten\\a.$flatten\\b.$auto$1", "a.b"),
        ("activations.words", "activations.words"),
    ],
)
def test_places_of_cells(name, instance):
    assert instance_of(name) == instance


def test_inconsistent_designs_are_refused():
    ports = (Port("x", (2,)),)
    register = FlipFlop(2, 3, "r", "")
    with pytest.raises(CircuitError, match="drives net 3 again"):
        Netlist("n", ports, (), (register, register), (), ())
    with pytest.raises(CircuitError, match="before it is driven"):
        Netlist("n", ports, (), (register,), (), (Gate("INV", (9,), (4,)),))
    for memory, message in (
        (Memory("m", 2, 2, (2,), (4,), (), None), "has ports of"),
        (Memory("m", 2, 1, (2,), (4,), (), (0, 2)), "do not fit"),
        (Memory("m", 2, 1, (2,), (4,), (), (0,)), "do not fit"),
        (Memory("m", 2, 1, (2,), (4,), (WritePort((2,), (2, 2), (2,)),), None), "different widths"),
        (Memory("m", 0, 1, (2,), (4,), (), None), "has ports of"),
    ):
        with pytest.raises(CircuitError, match=message):
            Netlist("n", ports, (), (), (memory,), ())
