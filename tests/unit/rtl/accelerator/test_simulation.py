"""The simulated accelerator gives the integers of the interpreter at every step, in the planned cycles."""

import dataclasses
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from laxity.core.errors import PlanError, ToolError
from laxity.eda import tools
from laxity.rtl.accelerator import Configuration, make_schedule, simulate, write_accelerator
from laxity.rtl.accelerator.configuration import DATAFLOWS

CONFIGURATIONS = [
    Configuration(rows, columns, dataflow)
    for rows, columns, dataflow in itertools.product((2, 4, 8), (2, 4, 8), DATAFLOWS)
    if dataflow == "weight-stationary" or columns <= 2 * rows
]
both = pytest.mark.parametrize("dataflow", DATAFLOWS)


def simulated(lab, data, folder):
    builder, configuration = data.draw(lab.programs()), data.draw(st.sampled_from(CONFIGURATIONS))
    try:
        make_schedule(builder.program, builder.used, configuration)
    except PlanError as error:
        event(f"refused: {error}")
        return
    event("simulated")
    lab.run(builder, configuration, folder)


@given(data=st.data())
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_programs(lab, data):
    with tempfile.TemporaryDirectory() as folder:
        simulated(lab, data, Path(folder))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_more_random_programs(lab, data):
    with tempfile.TemporaryDirectory() as folder:
        simulated(lab, data, Path(folder))


@both
def test_two_multipliers_groups_and_joined_branches(lab, dataflow, tmp_path):
    b = lab.Builder(1, (4, 6, 6))
    left = b.product(8, "drum8_4", (3, 3), before=(1, 1), after=(1, 1))
    code = b.codes[left]
    right = b.product(8, "dadda8", (3, 3), groups=8, code=code, before=(1, 1), after=(1, 1))
    b.join([left, right], 0)
    b.product(6, "dadda8", (1, 2), groups=2, stride=(2, 2))
    b.pool("average", 3, 1, 0)
    b.flatten()
    b.product(3, "mitchell8", code=lab.SUMS)
    lab.run(b, Configuration(4, 4, dataflow), tmp_path)


@pytest.mark.parametrize("axis", [1, 2])
def test_maps_are_joined_along_rows_and_columns(lab, axis, tmp_path):
    b = lab.Builder(2, (3, 4, 5))
    first = b.rescale()
    code = b.codes[first]
    b.join([first, b.pad((0, 1, 2), (0, 0, 0)) if axis == 0 else b.cut((0, 0, 0), (1, 1, 1), (3, 4, 5))], axis)
    assert b.codes[b.last] == code
    b.product(2, "dadda8", (2, 2), code=lab.SUMS)
    lab.run(b, Configuration(2, 4), tmp_path)


def test_channels_are_padded_and_cut_at_words(lab, tmp_path):
    b = lab.Builder(3, (6, 3, 3))
    b.pad((4, 1, 0), (3, 0, 2))
    b.cut((4, 1, 1), (1, 2, 1), (7, 2, 3))
    b.product(5, "dadda8", (1, 1))
    b.pool("max", 2, 1, 0)
    lab.run(b, Configuration(4, 2), tmp_path)


@pytest.mark.parametrize(
    "move",
    [
        lambda b: b.pad((3, 1, 0), (2, 0, 1)),
        lambda b: b.pad((9, 0, 0), (6, 0, 0)),
        lambda b: b.cut((1, 0, 1), (1, 2, 1), (5, 2, 3)),
        lambda b: b.cut((1, 0, 0), (2, 1, 2), (3, 4, 2)),
        lambda b: b.cut((5, 1, 1), (7, 1, 1), (1, 1, 1)),
        lambda b: b.join([b.last, "input", b.last], 0),
    ],
)
def test_channels_that_move_between_lanes(lab, move, tmp_path):
    b = lab.Builder(12, (6, 4, 4))
    move(b)
    b.product(3, "dadda8", (1, 1), code=lab.SUMS)
    written, found = lab.run(b, Configuration(4, 4), tmp_path)
    assert any(p.rotation for p in written.schedule.passes)
    assert found.steps[0].codes > 0


def test_bands_of_rows_where_accumulators_are_short(lab, tmp_path):
    b = lab.Builder(4, (3, 7, 5))
    b.product(5, "drum8_4", (3, 3), before=(1, 1), after=(1, 1))
    b.product(9, "drum8_4", (3, 3), stride=(2, 1), before=(2, 1), after=(0, 1))
    b.product(2, "drum8_4", (1, 1), code=lab.SUMS)
    written, _ = lab.run(b, Configuration(2, 4, accumulator_words=11), tmp_path)
    assert [s.counts.passes for s in written.schedule.steps] == [2 * 4, 3 * 2, 2]


@pytest.mark.parametrize("bits", [13, 16])
def test_sums_that_wrap_in_a_register(lab, bits, tmp_path):
    b = lab.Builder(5, (5, 4, 4))
    register = lab.Register(bits, "ripple", overflow="wrap")
    b.product(4, "coltrunc8_6", (3, 3), register=register)
    b.flatten()
    b.product(3, "dadda8", code=lab.SUMS)
    written, _ = lab.run(b, Configuration(4, 4), tmp_path)
    assert [p.wrap for p in written.schedule.passes] == [32 - bits, 0]


@both
def test_narrow_codes_shifted_up_and_products_shifted_down(lab, dataflow, tmp_path):
    narrow = type(lab.SUMS)(1.0, 2, 0, 15)
    b = lab.Builder(6, (3, 4, 4), narrow)
    b.product(4, "dadda8", (2, 2), shifts=(4, 3), zeros=True)
    b.steps[-1] = dataclasses.replace(b.steps[-1], product_shift=5)
    b.product(4, "drum8_4", (2, 2), zeros=True, code=lab.SUMS)
    lab.run(b, Configuration(2, 2, dataflow), tmp_path)


def test_a_wide_result_of_an_addition_and_values_that_stay_alive(lab, tmp_path):
    b = lab.Builder(7, (2, 3, 3))
    first = b.product(3, "dadda8", (1, 1))
    b.product(3, "dadda8", (3, 3), before=(1, 1), after=(1, 1))
    b.add(first, b.last, lab.SUMS)
    lab.run(b, Configuration(2, 2), tmp_path)


@both
@pytest.mark.parametrize("multiplier", ["drum8_4", "mitchell8s", "momenitwo8_8"])
def test_netlists_give_what_tables_give(lab, multiplier, dataflow, tmp_path):
    b = lab.Builder(8, (3, 4, 4), type(lab.SUMS)(1.0, -5, -128, 127))
    b.product(4, multiplier, (3, 3), before=(1, 1), after=(1, 1), code=b.codes["input"])
    b.product(2, multiplier, (4, 4), code=lab.SUMS)
    _, by_table = lab.run(b, Configuration(4, 2, dataflow), tmp_path)
    by_netlist = simulate(tmp_path, structural=True)
    assert by_netlist.passed
    assert by_netlist.compared == by_table.compared


def test_a_wrong_weight_or_a_wrong_expectation_is_found(lab, tmp_path):
    b = lab.Builder(9, (2, 3, 3))
    b.product(2, "dadda8", (2, 2))
    b.product(2, "dadda8", (2, 2), code=lab.SUMS)
    lab.run(b, Configuration(2, 2), tmp_path)
    for name, first_wrong in (("weights", "s0"), ("parameters", "s0"), ("codes", "s0"), ("sums", "s0")):
        path = tmp_path / "memory" / f"{name}.hex"
        text = path.read_text()
        lines = text.splitlines()
        lines[0] = f"{int(lines[0], 16) ^ 5:0{len(lines[0])}x}"
        path.write_text("\n".join(lines) + "\n")
        found = simulate(tmp_path)
        assert not found.passed
        assert found.message.startswith("FAIL")
        bad = [s.name for s in found.steps if s.wrong_codes + s.wrong_sums]
        assert bad[0] == first_wrong
        path.write_text(text)
    assert simulate(tmp_path).passed


def test_vectors_without_images(lab, tmp_path):
    b = lab.Builder(13, (2, 3, 3))
    b.product(2, "dadda8", (3, 3), code=lab.SUMS)
    first, second = (write_accelerator(b.program, b.used, Configuration(2, 2), tmp_path / name) for name in ("a", "b"))
    texts = [[p.read_bytes() for p in written.files] for written in (first, second)]
    assert texts[0] == texts[1]
    assert (tmp_path / "a" / "memory" / "input.hex").read_text().count("\n") == 2 * 9


def test_input_that_is_framed_wrongly_is_reported(lab, tmp_path):
    b = lab.Builder(10, (2, 3, 3))
    b.product(2, "dadda8", (3, 3), code=lab.SUMS)
    lab.run(b, Configuration(2, 2), tmp_path)
    bench = tmp_path / "bench" / "bench.v"
    text = bench.read_text()
    assert "sent % IN_WORDS == IN_WORDS - 1" in text
    bench.write_text(text.replace("sent % IN_WORDS == IN_WORDS - 1", "sent % IN_WORDS == 0"))
    found = simulate(tmp_path)
    assert not found.passed
    assert found.mismatches == 0


@pytest.mark.slow
@both
def test_verilator_agrees(lab, dataflow, tmp_path):
    if tools.available("verilator") is None:
        pytest.skip("verilator is not installed")
    b = lab.Builder(11, (3, 5, 5))
    b.product(4, "drum8_4", (3, 3), before=(1, 1), after=(1, 1), zeros=True)
    b.pool("average", 2, 1, 0)
    b.product(3, "drum8_4", (4, 4), code=lab.SUMS)
    _, first = lab.run(b, Configuration(4, 2, dataflow), tmp_path)
    second = simulate(tmp_path, "verilator")
    assert second.passed
    assert second.steps == first.steps
    assert second.results == first.results


def test_unknown_simulators(tmp_path):
    with pytest.raises(ToolError, match="iverilog or verilator or gates, not with 'modelsim'"):
        simulate(tmp_path, "modelsim")
