"""What the accelerator cannot compute is an error that names the step and says what to do."""

import dataclasses

import numpy as np
import pytest

from laxity.circuits import Multiplier
from laxity.core.errors import CircuitError, ConfigError, DataError, PlanError, RunError
from laxity.core.parts import Register, Window
from laxity.core.program import INPUT, Reshape
from laxity.rtl.accelerator import Configuration, make_schedule, simulate, write_accelerator


def planned(builder, rows=4, columns=4, **options):
    return make_schedule(builder.program, builder.used, Configuration(rows, columns, **options))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": 1}, "rows = 1"),
        ({"columns": 300}, "columns = 300"),
        ({"rows": 4, "columns": 6}, "must divide"),
        ({"dataflow": "row-stationary"}, "unknown dataflow 'row-stationary'"),
        ({"accumulator_words": 0}, "at least 1"),
        ({"dataflow": "output-stationary", "rows": 2, "columns": 8}, "at most twice as many columns"),
        ({"dataflow": "output-stationary", "accumulator_words": 64}, "no accumulator memory"),
    ],
)
def test_configurations(values, message):
    with pytest.raises(ConfigError, match=message):
        Configuration(**values)


def test_registers_whose_order_matters(lab):
    for register in (
        Register(12, "loa12_4", exact=False),
        Register(12, "ripple", overflow="saturate"),
        Register(12, "ripple", chain=4),
    ):
        b = lab.Builder(0, (3, 4, 4))
        b.product(2, "dadda8", (3, 3), register=register, code=lab.SUMS)
        with pytest.raises(PlanError, match=r"step 's0' adds with .* order of additions matters"):
            planned(b)
    for register in (Register(30, "ripple", overflow="saturate"), Register(30, "ripple", chain=4)):
        b = lab.Builder(0, (3, 4, 4))
        b.product(2, "dadda8", (3, 3), register=register, code=lab.SUMS)
        assert all(p.wrap == 0 for p in planned(b).passes)


def test_groups_that_share_rows_with_a_circuit_that_errs_at_zero(lab):
    b = lab.Builder(0, (4, 4, 4))
    b.product(4, "momenitwo8_8", (3, 3), groups=4, code=lab.SUMS)
    with pytest.raises(PlanError, match=r"'s0' has groups of 1 channels.*'momenitwo8_8' gives products other than 0"):
        planned(b)
    b = lab.Builder(0, (4, 4, 4))
    b.product(4, "dadda8", (3, 3), groups=4, code=lab.SUMS, zeros=True)
    with pytest.raises(PlanError, match=r"'s0' has groups of 1 channels.*use symmetric weights"):
        planned(b)
    b = lab.Builder(0, (8, 4, 4))
    b.product(8, "momenitwo8_8", (3, 3), groups=2, code=lab.SUMS, zeros=True)
    assert planned(b).steps


def test_wrapped_sums_of_a_circuit_that_errs_at_zero(lab):
    b = lab.Builder(0, (3, 4, 4), type(lab.SUMS)(1.0, 0, 0, 255))
    b.product(2, "momenitwo8_8", (3, 3), register=Register(12, "ripple"), code=lab.SUMS)
    with pytest.raises(PlanError, match="'s0' wraps sums of 'momenitwo8_8'"):
        planned(b)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b: (b.flatten(), b.cut((0,), (1,), (5,))), r"'s1' \(slice\) reads s0.*flatten after this step"),
        (
            lambda b: b.append(Reshape, (3, 2, 16), b.codes[INPUT]),
            r"'s0' \(reshape\) turns a map of 6 channels into one of 3",
        ),
        (lambda b: b.append(Reshape, (6, 2, 2, 4), b.codes[INPUT]), r"'s0' has shape \(6, 2, 2, 4\)"),
    ],
)
def test_reshapes_that_would_move_codes(lab, make, message):
    b = lab.Builder(0, (6, 4, 4))
    make(b)
    shape = b.shapes[b.last]
    b.product(2, "dadda8", (1,) * (len(shape) - 1), code=lab.SUMS)
    with pytest.raises(PlanError, match=message):
        planned(b)


def test_three_dimensional_convolutions_and_linear_layers_over_positions(lab):
    b = lab.Builder(0, (2, 3, 3, 3))
    b.product(2, "dadda8", (1, 1, 1), code=lab.SUMS)
    with pytest.raises(PlanError, match="'input' has shape"):
        planned(b)
    b = lab.Builder(0, (5, 6))
    b.product(2, "dadda8", (1,))
    step = b.steps[-1]
    b.steps[-1] = dataclasses.replace(
        step, operation="linear", shape=(5, 2), window=Window((), (), (), (), ()), weight=np.zeros((2, 6), np.int32)
    )
    with pytest.raises(PlanError, match=r"'s0' is a linear layer over the last of 2 dimensions"):
        planned(b)


def test_accumulators_shorter_than_a_row(lab):
    b = lab.Builder(0, (3, 4, 6))
    b.product(2, "dadda8", (1, 1), code=lab.SUMS)
    with pytest.raises(PlanError, match="'s0' has 6 positions in a row, but accumulators of 5 words"):
        planned(b, accumulator_words=5)


def test_an_output_that_others_read(lab):
    b = lab.Builder(0, (4, 1, 1))
    b.product(4, "dadda8", (1, 1))
    first = b.last
    b.rescale()
    b.last = first
    b.flatten()
    with pytest.raises(PlanError, match="output 's2' is a view of 's0'"):
        planned(b)


def test_a_program_without_products_has_no_array(lab):
    b = lab.Builder(0, (4, 2, 2))
    b.rescale()
    with pytest.raises(PlanError, match="no product step"):
        planned(b)


def test_circuits_must_be_those_of_the_program_and_have_netlists(lab, tmp_path):
    b = lab.Builder(0, (3, 4, 4))
    b.product(2, "dadda8", (3, 3), code=lab.SUMS)
    inputs = b.inputs(1)
    exact = b.used["dadda8"]
    only = Multiplier.from_table(exact.table, a_signed=False, b_signed=False, name="only")
    for used, message in (({}, "give its product table"), ({"dadda8": only}, "table only")):
        with pytest.raises(CircuitError, match=message):
            write_accelerator(b.program, used, Configuration(4, 4), tmp_path, inputs)
    with pytest.raises(DataError, match="at least one image"):
        write_accelerator(b.program, b.used, Configuration(4, 4), tmp_path, inputs[:0])
    with pytest.raises(RunError, match="holds no accelerator"):
        simulate(tmp_path)
