"""The emitted Verilog, read back by a small evaluator and by an independent language front end."""

import itertools
import re

import numpy as np
import pytest

from laxity.circuits import Circuit, Gate, Port, circuit, evaluate, get, names, processing_element, to_verilog
from laxity.circuits.netlist import CELL_PINS


class Reader:
    """Evaluates the assignments of one module on numpy bool arrays, by Verilog's operator precedence."""

    TOKEN = re.compile(r"\s*([A-Za-z_]\w*(?:\[\d+\])?|\d+'b[01]|[~&^|?:(){},])")

    def __init__(self, text, inputs):
        body = re.sub(r"//[^\n]*", "", text)
        header, body = re.search(r"module \w+ \((.*?)\);(.*)endmodule", body, re.DOTALL).groups()
        self.outputs = {name: int(top) + 1 for top, name in re.findall(r"output wire \[(\d+):0\] (\w+)", header)}
        declared = {name: int(top) + 1 for top, name in re.findall(r"input wire \[(\d+):0\] (\w+)", header)}
        assert set(declared) == set(inputs)
        self.values = {f"{n}[{i}]": (inputs[n] >> i & 1).astype(bool) for n, w in declared.items() for i in range(w)}
        self.results = {}
        for statement in filter(None, (s.strip() for s in body.split(";"))):
            kind, rest = statement.split(None, 1)
            if kind == "wire":
                for part in rest.split(", "):
                    self.define(*part.split(" = ", 1))
            else:
                assert kind == "assign"
                name, bits = re.fullmatch(r"(\w+) = \{(.*)\}", rest).groups()
                columns = [self.expression(bit) for bit in reversed(bits.split(", "))]
                assert len(columns) == self.outputs[name]
                self.results[name] = sum(np.asarray(c).astype(np.int64) << i for i, c in enumerate(columns))

    def define(self, name, text):
        assert name not in self.values
        self.values[name] = self.expression(text)

    def expression(self, text):
        tokens = self.TOKEN.findall(text)
        assert "".join(tokens) == text.replace(" ", "")
        self.tokens = [*tokens, ""]
        value = self.choice()
        assert self.tokens == [""]
        return value

    def choice(self):
        value = self.binary("|^&")
        if self.tokens[0] == "?":
            self.tokens.pop(0)
            then = self.choice()
            assert self.tokens.pop(0) == ":"
            value = np.where(value, then, self.choice())
        return value

    def binary(self, operators):
        if not operators:
            return self.unary()
        value = self.binary(operators[1:])
        while self.tokens[0] == operators[0]:
            self.tokens.pop(0)
            right = self.binary(operators[1:])
            value = {"|": np.logical_or, "^": np.logical_xor, "&": np.logical_and}[operators[0]](value, right)
        return value

    def unary(self):
        token = self.tokens.pop(0)
        if token == "~":
            return ~self.unary()
        if token == "(":
            value = self.choice()
            assert self.tokens.pop(0) == ")"
            return value
        if "'" in token:
            return np.full(next(iter(self.values.values())).shape, token.endswith("1"))
        return self.values[token]


def all_pairs(width):
    return np.repeat(np.arange(1 << width), 1 << width), np.tile(np.arange(1 << width), 1 << width)


@pytest.mark.parametrize("name", [*names(), "dadda8s", "drum8s_4", "roba8s", "mitchell8s"])
def test_text_computes_the_table(name):
    multiplier = get(name)
    a, b = all_pairs(8)
    product = Reader(to_verilog(multiplier.circuit), {"a": a, "b": b}).results["p"]
    np.testing.assert_array_equal(product, multiplier.table.ravel() & 0xFFFF)


def test_every_cell_is_written_correctly():
    for cell, (inputs, outputs) in CELL_PINS.items():
        nets, result = tuple(range(2, 2 + inputs)), tuple(range(9, 9 + outputs))
        netlist = Circuit("cell", (Port("x", nets),), (Port("y", result),), (Gate(cell, nets, result),), "test")
        codes = np.arange(1 << inputs)
        expected = evaluate(netlist, {"x": codes})["y"]
        np.testing.assert_array_equal(Reader(to_verilog(netlist), {"x": codes}).results["y"], expected, err_msg=cell)


def test_text_is_deterministic_and_one_line_a_gate():
    netlist = circuit("drum8_4")
    text = to_verilog(netlist)
    assert text == to_verilog(netlist)
    assert len(re.findall(r"^  wire ", text, re.MULTILINE)) == len(netlist.gates)
    assert "// drum8_4" in text
    assert "ICCAD 2015" in text


def test_reserved_words_and_clashing_names_stay_legal():
    ports = (Port("input", (2,)), Port("n4", (3,)))
    netlist = Circuit("module", ports, (Port("wire", (4,)),), (Gate("AND2", (2, 3), (4,)),), "test")
    text = to_verilog(netlist)
    assert "module module_ (" in text
    assert "input wire [0:0] input_" in text
    assert "wire n_4 = input_[0] & n4[0];" in text


def test_language_front_end_accepts_the_text():
    pyslang = pytest.importorskip("pyslang")
    element = processing_element(circuit("drum8_4"), 24).circuit
    for netlist in itertools.chain((circuit(name) for name in ["dadda8", "udm8", "mitchell8s", "roba8"]), [element]):
        tree = pyslang.syntax.SyntaxTree.fromText(to_verilog(netlist))
        compilation = pyslang.ast.Compilation()
        compilation.addSyntaxTree(tree)
        assert not list(compilation.getAllDiagnostics())
