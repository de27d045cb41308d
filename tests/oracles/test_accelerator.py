"""The target that prices the written accelerator against that accelerator's schedule, which simulation confirms."""

import dataclasses

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from laxity.core.errors import TargetError
from laxity.rtl.accelerator import Configuration
from laxity.rtl.accelerator.configuration import WEIGHT_STATIONARY
from laxity.targets import load_target
from laxity.targets.dataflow import ArrayShape
from laxity.targets.generated import count_generated

SIDES = ((8, 8), (16, 16), (4, 8), (8, 4), (2, 16))


def check(layer, array, words):
    """Cycles, passes, utilisation, and words of every memory."""
    rows, columns = array
    demand = layer.demand()
    found = count_generated(demand, ArrayShape(rows, columns, words))
    step = layer.schedule(Configuration(rows, columns, WEIGHT_STATIONARY, words))
    planned = step.counts
    assert found.cycles == planned.cycles
    assert found.tile_passes == sum(p.tiles for p in step.passes)
    assert found.utilisation == pytest.approx(planned.utilisation)
    assert found.activation_words == planned.activation_reads * rows
    assert demand.weight_elements * found.weight_passes == pytest.approx(planned.weight_reads * columns)
    assert found.accumulator_words == planned.accumulator_writes * columns == planned.accumulator_reads * columns


@pytest.mark.parametrize("array", SIDES, ids=str)
def test_every_layer_is_that_of_the_accelerator(lab, array):
    checked = 0
    for layer in lab.LAYERS:
        if layer.linear and layer.side > 1 and layer.channels % array[0]:
            continue
        check(layer, array, 1024)
        checked += 1
    assert checked >= len(lab.LAYERS) - 1


@pytest.mark.parametrize("array", [(8, 8), (16, 16)], ids=str)
def test_bands_are_chunks_where_rows_of_the_map_fill_them(lab, array):
    check(lab.LAYERS[1], array, 512)
    check(lab.LAYERS[1], array, 96)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_convolutions(lab, data):
    draw = data.draw
    groups = draw(st.sampled_from([1, 1, 2, 3, 8]))
    layer = lab.Layer(
        "random",
        groups * draw(st.integers(1, 12)),
        groups * draw(st.integers(1, 12)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 2)),
        draw(st.integers(0, 1)),
        groups,
    )
    assume(layer.side + 2 * layer.padding >= layer.kernel)
    check(layer, draw(st.sampled_from(SIDES)), 1 << 10)


def test_the_target_takes_it_as_an_option(lab, tmp_path):
    """The first layer leaves rows empty: slower on the written array than on one that fills them with taps."""
    file = tmp_path / "mine.toml"
    file.write_text('extends = "mac-array-45nm"\nschedule = "accelerator"\n')
    mine, other = load_target(str(file)), load_target("mac-array-45nm")
    first, deep = lab.LAYERS[0], lab.LAYERS[3]
    for layer in (first, deep):
        planned = layer.schedule(Configuration(16, 16, WEIGHT_STATIONARY, 512)).counts
        found = mine.cost([layer.demand()])
        assert found.latency_cycles.value == planned.cycles
        assert "array that laxity writes" in found.latency_cycles.source
    cycles = {layer: [t.cost([layer.demand()]).latency_cycles.value for t in (mine, other)] for layer in (first, deep)}
    assert cycles[first][0] > cycles[first][1]
    assert cycles[deep][0] < cycles[deep][1]
    assert mine.key != other.key


def test_an_array_that_is_not_written(tmp_path):
    file = tmp_path / "mine.toml"
    rows = dataclasses.asdict(load_target("mac-array-45nm").constants.constant("array.rows")) | {"value": 12}
    listed = ", ".join(
        f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in rows.items()
    )
    file.write_text(f'extends = "mac-array-45nm"\nschedule = "accelerator"\n[array]\nrows = {{ {listed} }}\n')
    with pytest.raises(TargetError, match="laxity writes no array of 12 x 16 elements"):
        load_target(str(file))
