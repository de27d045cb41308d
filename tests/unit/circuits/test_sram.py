"""On-chip memories: the grid, what lies between its points, and what lies outside."""

import itertools
import math
import statistics
import tomllib
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits.cells import default_library
from laxity.circuits.sram import FIGURES, default_sram, flip_flop_memory, parse_memories
from laxity.core.errors import CircuitError
from laxity.targets import load_target

TEXT = files("laxity.circuits").joinpath("sram_45nm.toml").read_text(encoding="utf-8")
TABLE = default_sram()
POINTS = list(itertools.product(TABLE.words, TABLE.bits))

# Capacity in bytes, bits, read and write in pJ, area in mm2: an earlier study with the same program, rounded.
EARLIER = [
    (512, 16, 0.50, 1.25, 0.0023),
    (2048, 16, 1.32, 1.62, 0.0065),
    (2048, 64, 1.71, 4.74, 0.0067),
    (8192, 64, 4.31, 9.24, 0.0254),
    (16384, 64, 7.85, 10.4, 0.049),
    (32768, 64, 14.9, 12.7, 0.095),
    (65536, 64, 11.5, 21.5, 0.212),
    (131072, 64, 17.7, 27.6, 0.432),
    (262144, 64, 34.2, 28.1, 0.872),
    (524288, 64, 44.5, 42.3, 1.66),
    (1048576, 64, 60.3, 58.0, 3.34),
    (2097152, 64, 83.6, 81.3, 6.54),
]

# Runs of CACTI between the points of the grid: words, bits, area in um2, read and write in pJ.
BETWEEN = [
    (96, 16, 768.331, 0.34966, 0.620785),
    (1536, 64, 37748.7, 6.49486, 8.37402),
    (1000, 64, 24737.9, 4.09545, 8.91169),
    (6144, 32, 82766.8, 4.39441, 8.1179),
    (1024, 24, 9347.74, 1.89291, 2.34814),
    (1024, 48, 19723.0, 3.85514, 4.76562),
    (4096, 96, 169868, 10.7858, 29.2918),
    (3072, 96, 106520, 15.902, 21.7141),
]


def test_points_of_the_grid_are_those_of_the_file():
    rows = {row["bits"]: row for row in tomllib.loads(TEXT)["width"]}
    for column, words in enumerate(TABLE.words):
        for bits in TABLE.bits:
            found = TABLE.cost(words, bits)
            assert (found.kind, found.arrays) == ("sram", 1)
            assert [getattr(found, name) for name in FIGURES] == [rows[bits][name][column] for name in FIGURES]


@pytest.mark.parametrize(("size_bytes", "bits", "read_pj", "write_pj", "area_mm2"), EARLIER)
def test_the_figures_of_an_earlier_study(size_bytes, bits, read_pj, write_pj, area_mm2):
    found = TABLE.cost(8 * size_bytes // bits, bits)
    assert found.read_pj == pytest.approx(read_pj, rel=0.012)
    assert found.write_pj == pytest.approx(write_pj, rel=0.012)
    assert found.area_um2 == pytest.approx(1e6 * area_mm2, rel=0.025)


@pytest.mark.parametrize(
    ("section", "words", "bits"),
    [("weight_buffer", 8192, 64), ("activation_buffer", 8192, 64), ("accumulator_memory", 1024, 16)],
)
def test_the_memories_of_the_array_target_are_in_the_table(section, words, bits):
    constants, found = load_target("mac-array-45nm").constants, TABLE.cost(words, bits)
    assert constants.value(f"{section}.word") == bits
    assert constants.value(f"{section}.read") == pytest.approx(found.read_pj, rel=0.005)
    assert constants.value(f"{section}.write") == pytest.approx(found.write_pj, rel=0.005)
    assert constants.value(f"{section}.area") == pytest.approx(1e-6 * found.area_um2, rel=0.005)


@pytest.mark.parametrize(("words", "bits", "area_um2", "read_pj", "write_pj"), BETWEEN)
def test_between_points_as_close_as_stated(words, bits, area_um2, read_pj, write_pj):
    """Real runs between the points; the bounds are the largest errors that are foretold for half the distance."""
    found = TABLE.cost(words, bits)
    assert found.area_um2 == pytest.approx(area_um2, rel=0.36)
    assert found.read_pj == pytest.approx(read_pj, rel=0.81)
    assert found.write_pj == pytest.approx(write_pj, rel=0.65)


def _left_out(name):
    """Relative errors where each inner point is foretold from its neighbours along words, then along bits."""
    values = {(w, b): getattr(TABLE.cost(w, b), name) for w, b in POINTS}
    for words, bits in POINTS:
        for step in ((2, 1), (1, 2)):
            near = [values.get((words * step[0] ** k, bits * step[1] ** k)) for k in (1, -1)]
            if None not in near:
                yield abs(math.sqrt(near[0] * near[1]) / values[words, bits] - 1)


@pytest.mark.parametrize(
    ("name", "median", "tenth"),
    [
        ("area_um2", 0.034, 0.082),
        ("read_pj", 0.0785, 0.362),
        ("write_pj", 0.0576, 0.287),
        ("leakage_nw", 0.042, 0.139),
        ("access_ns", 0.071, 0.315),
    ],
)
def test_errors_of_points_left_out_are_those_of_the_documentation(name, median, tenth):
    errors = sorted(_left_out(name))
    assert statistics.median(errors) == pytest.approx(median, abs=0.001)
    assert errors[int(0.9 * (len(errors) - 1))] == pytest.approx(tenth, abs=0.001)


SIZES = st.tuples(st.integers(1, 1 << 20), st.integers(1, 1500))


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 5000), st.integers(0, 200))
def test_larger_memories_take_no_less_area_and_leak_no_less(size, more_words, more_bits):
    small, large = TABLE.cost(*size), TABLE.cost(size[0] + more_words, size[1] + more_bits)
    same_build = (small.kind, small.arrays) == (large.kind, large.arrays)
    assert small.area_um2 <= large.area_um2 * (1 + 1e-9) or not same_build
    assert small.leakage_nw <= large.leakage_nw * (1 + 1e-9) or not same_build


def test_banks_and_memories_side_by_side():
    most_words, most_bits = TABLE.words[-1], TABLE.bits[-1]
    one, banks = TABLE.cost(most_words, 64), TABLE.cost(4 * most_words, 64)
    assert (banks.read_pj, banks.write_pj, banks.access_ns) == (one.read_pj, one.write_pj, one.access_ns)
    assert (banks.area_um2, banks.leakage_nw, banks.arrays) == (4 * one.area_um2, 4 * one.leakage_nw, 4)
    narrow, wide = TABLE.cost(1024, most_bits), TABLE.cost(1024, 3 * most_bits)
    assert (wide.read_pj, wide.write_pj) == (3 * narrow.read_pj, 3 * narrow.write_pj)
    assert (wide.area_um2, wide.access_ns, wide.arrays) == (3 * narrow.area_um2, narrow.access_ns, 3)


def test_less_than_the_grid_is_its_smallest_memory_or_flip_flops():
    assert TABLE.cost(20, 128) == TABLE.cost(64, 128)
    assert TABLE.cost(1024, 1) == TABLE.cost(1024, 8)
    tiny = TABLE.cost(4, 4)
    assert tiny == flip_flop_memory(4, 4, default_library())
    assert tiny.area_um2 < TABLE.cost(64, 8).area_um2


def test_a_memory_of_flip_flops_by_hand():
    """Two words of one bit: two flip-flops, one multiplexer, whose output toggles on a quarter of reads."""
    library = default_library()
    select, found = library.cells["MUX2"], flip_flop_memory(2, 1, library)
    assert found.area_um2 == pytest.approx(2 * 7.9781 + 3.7544)
    assert found.leakage_nw == pytest.approx(2 * 55.0 + 18.6)
    toggle_fj = 6.14 + 0.5 * 3.22 * 1.1**2
    assert found.read_pj == pytest.approx(1e-3 * 0.25 * toggle_fj)
    assert found.write_pj == pytest.approx(1e-3 * library.clock_energy_fj())
    assert found.access_ns == pytest.approx(1e-3 * (select.delay_ps[0] + 2.51 * 3.22))
    single = flip_flop_memory(1, 8, library)
    assert (single.read_pj, single.access_ns) == (0.0, 0.0)


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (-1, 8), (2.0, 8), (True, 8), (8, "8")])
def test_sizes_that_make_no_memory(size):
    with pytest.raises(CircuitError, match="give a whole number from 1"):
        TABLE.cost(*size)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("words = [64, 128,", "words = [128, 64,", "ascending"),
        ("words = [64,", "words = [64.5,", "whole numbers"),
        ("area_um2 = [358.398,", "area_um2 = [", "list of 13 numbers"),
        ("area_um2 = [358.398,", "area_um2 = [-1,", "above 0"),
        ("read_pj =", "reads =", "reads"),
        ("process_nm = 45", "process_nm = 0", "process_nm"),
        ("process_nm = 45", "", "process_nm"),
        ("words =", "words ", "not valid TOML"),
    ],
)
def test_tables_with_mistakes(old, new, message):
    assert old in TEXT
    with pytest.raises(CircuitError, match=message):
        parse_memories(TEXT.replace(old, new, 1), "here.toml")
