"""Netlist validation, the builder's folding against direct evaluation, and bit-parallel evaluation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import Circuit, CircuitBuilder, Gate, Port, circuit, evaluate, product_table
from laxity.circuits.netlist import CELL_PINS
from laxity.core.errors import CircuitError

TRUTH = {
    "INV": lambda a: (not a,),
    "BUF": lambda a: (a,),
    "AND2": lambda a, b: (a and b,),
    "OR2": lambda a, b: (a or b,),
    "NAND2": lambda a, b: (not (a and b),),
    "NAND3": lambda a, b, c: (not (a and b and c),),
    "NOR2": lambda a, b: (not (a or b),),
    "NOR3": lambda a, b, c: (not (a or b or c),),
    "XOR2": lambda a, b: (a != b,),
    "XNOR2": lambda a, b: (a == b,),
    "AOI21": lambda a, b, c: (not ((a and b) or c),),
    "AOI22": lambda a, b, c, d: (not ((a and b) or (c and d)),),
    "OAI21": lambda a, b, c: (not ((a or b) and c),),
    "MUX2": lambda s, x, y: (not (y if s else x),),
    "HA": lambda a, b: ((a + b) % 2, a + b > 1),
    "FA": lambda a, b, c: ((a + b + c) % 2, a + b + c > 1),
}


@pytest.mark.parametrize("cell", sorted(CELL_PINS))
def test_truth_table_of_each_cell(cell):
    inputs, outputs = CELL_PINS[cell]
    nets = tuple(range(2, 2 + inputs))
    result = tuple(range(2 + inputs, 2 + inputs + outputs))
    netlist = Circuit("one", (Port("x", nets),), (Port("y", result),), (Gate(cell, nets, result),), "test")
    codes = np.arange(1 << inputs)
    expected = [
        sum(int(bit) << k for k, bit in enumerate(TRUTH[cell](*[bool(code >> i & 1) for i in range(inputs)])))
        for code in codes
    ]
    assert evaluate(netlist, {"x": codes})["y"].tolist() == expected


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(CELL_PINS)), st.lists(st.integers(0, 99), min_size=4, max_size=4)), max_size=25
    )
)
def test_folding_never_changes_the_function(program):
    builder = CircuitBuilder("random", "test")
    nets = [0, 1, *builder.input("x", 4)]
    codes = np.arange(16)
    values = [codes * 0 > 0, codes * 0 == 0, *[(codes >> i & 1).astype(bool) for i in range(4)]]
    for cell, picks in program:
        count = CELL_PINS[cell][0]
        chosen = [p % len(nets) for p in picks[:count]]
        nets += builder.gate(cell, [nets[i] for i in chosen])
        columns = [TRUTH[cell](*(bool(values[i][code]) for i in chosen)) for code in codes]
        values += [np.array(column, dtype=bool) for column in zip(*columns, strict=True)]
    builder.output("y", nets)
    netlist = builder.build()
    expected = sum(value.astype(np.int64) << k for k, value in enumerate(values))
    np.testing.assert_array_equal(evaluate(netlist, {"x": codes})["y"], expected)
    pairs = [(gate.cell, gate.inputs) for gate in netlist.gates]
    assert len(set(pairs)) == len(pairs)
    assert not any({0, 1} & set(gate.inputs) for gate in netlist.gates)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 14), st.lists(st.integers(0, 7), max_size=14), st.lists(st.integers(0, 7), max_size=14))
def test_wide_logic(count, xs, ys):
    builder = CircuitBuilder("wide", "test")
    x = builder.input("x", 14)
    pairs = [(x[i], x[j]) for i, j in zip(xs, ys, strict=False)]
    builder.output("every", [builder.all_of(x[:count])])
    builder.output("some", [builder.any_of(x[:count])])
    builder.output("products", [builder.sum_of_products(pairs)])
    codes = np.arange(0, 1 << 14, 7)
    bits = (codes[:, None] >> np.arange(14) & 1).astype(bool)
    result = evaluate(builder.build(), {"x": codes})
    np.testing.assert_array_equal(result["every"], bits[:, :count].all(axis=1))
    np.testing.assert_array_equal(result["some"], bits[:, :count].any(axis=1))
    products = np.zeros(len(codes), dtype=bool)
    for i, j in zip(xs, ys, strict=False):
        products |= bits[:, i] & bits[:, j]
    np.testing.assert_array_equal(result["products"], products)


def test_dead_gates_go_and_half_adders_shrink():
    builder = CircuitBuilder("dead", "test")
    x = builder.input("x", 4)
    builder.xnor(x[0], x[1])
    total, _ = builder.half_adder(x[0], x[1])
    _, carry = builder.half_adder(x[2], x[3])
    builder.output("y", [total, carry])
    assert builder.build().cells() == {"AND2": 1, "XOR2": 1}


def test_adder_widths_and_carry():
    builder = CircuitBuilder("adder", "test")
    x, y, carry = builder.input("x", 5), builder.input("y", 3), builder.input("c", 1)
    total, out = builder.add(x, y, carry[0])
    builder.output("s", [*total, out])
    a, b, c = (v.ravel() for v in np.meshgrid(np.arange(32), np.arange(8), np.arange(2), indexing="ij"))
    np.testing.assert_array_equal(evaluate(builder.build(), {"x": a, "y": b, "c": c})["s"], a + b + c)


def test_key_depends_on_structure_only():
    first, second = circuit("dadda4"), circuit("array4")
    assert first.key != second.key
    renamed = Circuit("other", first.inputs, first.outputs, first.gates, "elsewhere")
    assert renamed.key == first.key
    assert renamed != first
    assert Circuit(first.name, first.inputs, first.outputs, first.gates, "again") == first
    assert len({first, renamed, second, circuit("dadda4")}) == 3


X, Y = (Port("x", (2, 3)),), (Port("y", (4,)),)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "gates", "message"),
    [
        ("c", X, Y, (Gate("AND4", (2, 3), (4,)),), "unknown cell 'AND4'"),
        ("c", X, Y, (Gate("AND2", (2, 3, 3), (4,)),), "has pins"),
        ("c", X, Y, (Gate("AND2", (2, 5), (4,)),), "reads net 5 before"),
        ("c", X, Y, (Gate("AND2", (2, 3), (2,)),), "drives net 2 again"),
        ("c", X, Y, (Gate("INV", (2,), (0,)),), "drives net 0 again"),
        ("c", X, Y, (), "output 'y'.* reads net 4"),
        ("c", X, (Port("x", (2,)),), (), "two ports called 'x'"),
        ("8bit", X, (Port("y", (2,)),), (), "not an identifier"),
    ],
)
def test_malformed_netlists_are_refused(name, inputs, outputs, gates, message):
    with pytest.raises(CircuitError, match=message):
        Circuit(name, inputs, outputs, gates, "test")


def test_evaluate_keeps_the_shape_and_table_limits_are_named():
    a = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(evaluate(circuit("dadda8"), {"a": a, "b": a + 1})["p"], a * (a + 1))
    with pytest.raises(CircuitError, match="at most 20 operand bits"):
        product_table(circuit("dadda11"))
    with pytest.raises(CircuitError, match="no port 'q'"):
        circuit("dadda8").port("q")
    with pytest.raises(CircuitError, match="needs 8 nets"):
        CircuitBuilder("x", "test").instantiate(circuit("dadda8"), {"a": [0, 1]})
