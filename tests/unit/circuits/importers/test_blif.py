"""BLIF: covers, mapped gates, and every way of being wrong."""

import itertools

import numpy as np
import pytest

from laxity.circuits import catalogue, evaluate
from laxity.circuits.importers import load, load_circuit
from laxity.core.errors import CircuitError


def read(tmp_path, text, **options):
    path = tmp_path / "m.blif"
    path.write_text(text)
    return load_circuit(path, **options)


def to_blif(circuit):
    """Each output pin of each gate as the cover of its truth table."""
    from laxity.circuits.simulate import CELL_FUNCTIONS

    names = {0: "zero", 1: "one"}
    lines = [f".model {circuit.name}", ".names zero", ".names one", "1"]
    for word, side in ((".inputs", circuit.inputs), (".outputs", circuit.outputs)):
        lines.append(word + " " + " \\\n ".join(f"{p.name}[{i}]" for p in side for i in range(p.width)))
    for port in circuit.inputs:
        names.update({net: f"{port.name}[{i}]" for i, net in enumerate(port.nets)})
    for gate in circuit.gates:
        names.update({net: f"n{net}" for net in gate.outputs})
        for pin, net in enumerate(gate.outputs):
            lines.append(".names " + " ".join(names[n] for n in (*gate.inputs, net)))
            for row in itertools.product((0, 1), repeat=len(gate.inputs)):
                words = [np.uint64(-bit & (2**64 - 1)) for bit in row]
                if int(CELL_FUNCTIONS[gate.cell](*words)[pin]) & 1:
                    lines.append("".join(map(str, row)) + " 1")
    for port in circuit.outputs:
        lines += [f".names {names[net]} {port.name}[{i}]\n1 1" for i, net in enumerate(port.nets)]
    return "\n".join([*lines, ".end", ""])


@pytest.mark.parametrize("name", ["dadda4", "drum4_3", "dadda4s", "mitchell4", "array8", "drum8_4"])
def test_netlists_of_the_catalogue_come_back(name, tmp_path):
    path = tmp_path / "m.blif"
    path.write_text(to_blif(catalogue.circuit(name)))
    assert load(path, compare=False).multiplier == catalogue.get(name)


def test_covers(tmp_path):
    text = """# comment
.model m
.inputs x0 x1 x2 x3
.outputs y0 y1 y2 y3
.names x0 x1 \\
 x2 x3 y0
11-- 1
--00 1
.names x0 x1 y1
00 0
.names y2
.names y3
1
.end
"""
    x = np.arange(16)
    y = evaluate(read(tmp_path, text), {"x": x})["y"]
    bit = [x >> i & 1 for i in range(4)]
    np.testing.assert_array_equal(y, (bit[0] & bit[1] | (1 - bit[2]) & (1 - bit[3])) | (bit[0] | bit[1]) << 1 | 8)


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_every_cover_of_few_inputs(inputs, tmp_path):
    codes = np.arange(1 << inputs)
    for truth in range(1 << (1 << inputs)):
        for value in "01":
            rows = [f"{c:0{inputs}b} {value}" for c in codes if (truth >> c & 1) == int(value)]
            names = " ".join(f"x{i}" for i in reversed(range(inputs)))
            text = "\n".join([".model m", f".inputs {names}", ".outputs y", f".names {names} y", *rows, ".end"])
            circuit = read(tmp_path, text)
            values = (
                {port.name: codes >> int(port.name[1:] or 0) & 1 for port in circuit.inputs}
                if inputs == 1
                else {"x": codes}
            )
            found = evaluate(circuit, values)["y"]
            expected = truth >> codes & 1 if rows else np.zeros_like(codes)
            np.testing.assert_array_equal(found, expected)


def test_mapped_gates(tmp_path):
    text = """.model m
.inputs a0 a1 b0
.outputs p0 p1
.gate FAX1 A=a0 B=a1 C=b0 YS=p0 YC=n
.gate INVX1 A=n Y=p1
.end"""
    circuit = read(tmp_path, text)
    assert circuit.cells() == {"FA": 1, "INV": 1}


BAD = {
    "truncated": (".model m\n.inputs a\n.outputs p\n.names a p\n1 1\n", r"m\.blif:1: model 'm' has no \.end"),
    "continued": (".model m\n.inputs a \\\n", r"m\.blif:2: the last line goes on|no \.end"),
    "no model": ("# nothing\n", r"has no \.model"),
    "outside": (".inputs a\n", r"m\.blif:1: '\.inputs' outside a model"),
    "latch": (".model m\n.inputs a\n.outputs p\n.latch a p re c 0\n.end", r"m\.blif:4: \.latch stores"),
    "cycle": (".model m\n.inputs a\n.outputs p\n.names a p p\n11 1\n.end", "combinational loop"),
    "two drivers": (".model m\n.inputs a\n.outputs p\n.names a p\n1 1\n.names a p\n0 1\n.end", "driven again"),
    "undriven": (".model m\n.inputs a\n.outputs p q\n.names a p\n1 1\n.end", "nothing drives 'q'"),
    "wrong row": (".model m\n.inputs a\n.outputs p\n.names a p\n11 1\n.end", r"m\.blif:5: a line of a cover of 1"),
    "both phases": (".model m\n.inputs a b\n.outputs p\n.names a b p\n11 1\n00 0\n.end", "not both"),
    "input twice": (".model m\n.inputs a a\n.outputs p\n.end", "twice"),
    "unknown gate": (".model m\n.inputs a\n.outputs p\n.gate FOO A=a Y=p\n.end", "no known combinational cell"),
    "wrong pin": (".model m\n.inputs a\n.outputs p\n.gate INVX1 B=a Y=p\n.end", "its pins are A, Y"),
    "unknown word": (".model m\n.inputs a\n.clock c\n.outputs p\n.end", r"m\.blif:3: '\.clock' is no statement"),
    "row outside": (".model m\n11 1\n.end", "where a statement"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_netlists_are_refused_with_file_and_line(case, tmp_path):
    text, message = BAD[case]
    with pytest.raises(CircuitError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith("m.blif")
