"""The dataflow models against SCALE-Sim 3.0.0: cycles, utilisation, words of every memory.

Needs LAXITY_SCALESIM_PYTHON, the Python of an environment with ``scalesim==3.0.0 "numpy<2.1" "pandas<3"``.
"""

import csv
import functools
import math

import pytest

from laxity.rtl.accelerator import Configuration
from laxity.rtl.accelerator.configuration import OUTPUT_STATIONARY, WEIGHT_STATIONARY
from laxity.targets.dataflow import ArrayShape, BufferSizes, count, traffic

UNLIMITED = 1 << 30

pytestmark = pytest.mark.slow
every_array = pytest.mark.parametrize("array", [(8, 8), (16, 16), (4, 8)], ids=str)

DRIVER = """
import sys
from scalesim.scale_sim import scalesim
run = scalesim(save_disk_space=True, verbose=False, config="array.cfg", topology="layers.csv", layout="layout.csv",
               input_type_gemm=False)
run.run_scale(top_path="out")
"""

SETTINGS = """
[general]
run_name = found
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {columns}
ifmapsramszkB = 1024
filtersramszkB = 1024
ofmapsramszkB = 4096
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {dataflow}
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
"""

COLUMNS = {
    "cycles": "Total Cycles",
    "utilisation": "Overall Util %",
    "input_reads": "SRAM IFMAP Reads",
    "weight_reads": "SRAM Filter Reads",
    "output_writes": "SRAM OFMAP Writes",
    "dram_inputs": "DRAM IFMAP Reads",
    "dram_weights": "DRAM Filter Reads",
    "dram_outputs": "DRAM OFMAP Writes",
}


@pytest.fixture(scope="module")
def asked(lab, tmp_path_factory):
    """What SCALE-Sim says of every layer, by array and dataflow. Groups are alike: one of them is asked about."""
    return functools.cache(functools.partial(ask, lab, tmp_path_factory))


def ask(lab, folders, array, dataflow):
    folder = folders.mktemp("scalesim")
    (folder / "array.cfg").write_text(SETTINGS.format(rows=array[0], columns=array[1], dataflow=dataflow))
    lines = [
        f"n{k},{a.read_side},{a.read_side},{a.kernel},{a.kernel},{a.channels // a.groups},{a.outputs // a.groups},"
        f"{a.stride},"
        for k, a in enumerate(lab.LAYERS)
    ]
    (folder / "layers.csv").write_text("\n".join(["name,", *lines]) + "\n")
    layout = [",".join([f"n{k}", *["1"] * 20]) + "," for k in range(len(lines))]
    (folder / "layout.csv").write_text("\n".join(["name,", *layout]) + "\n")
    lab.start("LAXITY_SCALESIM_PYTHON", "SCALE-Sim", DRIVER, (), folder)
    found = [{} for _ in lines]
    for report in ("COMPUTE_REPORT.csv", "DETAILED_ACCESS_REPORT.csv"):
        with (folder / "out" / "found" / report).open() as file:
            table = csv.DictReader(file, skipinitialspace=True)
            for row, layer in zip(table, found, strict=True):
                layer |= {name: float(row[column]) for name, column in COLUMNS.items() if column in row}
    return dict(zip(lab.LAYERS, found, strict=True))


def products(layer):
    """M, K and N of one group."""
    per_group = layer.channels // layer.groups
    return layer.positions, per_group * layer.taps, layer.outputs // layer.groups


@every_array
def test_the_weight_stationary_target_is_that_of_scale_sim(asked, array):
    """Cycles are one more per group: SCALE-Sim gives the number of the last cycle, counted from 0."""
    (rows, columns), layers = array, asked(array, "ws")
    for layer, found in layers.items():
        demand, groups = layer.demand(), layer.groups
        n = count(demand, ArrayShape(rows, columns, UNLIMITED))
        assert n.cycles == groups * (found["cycles"] + 1), layer
        macs = math.prod(products(layer))
        assert found["utilisation"] / 100 == pytest.approx(macs / (found["cycles"] * rows * columns))
        assert n.utilisation == pytest.approx(found["utilisation"] / 100 * found["cycles"] / (found["cycles"] + 1))
        assert n.activation_words == groups * found["input_reads"]
        assert demand.weight_elements * n.weight_passes == groups * found["weight_reads"]
        assert n.accumulator_words == groups * found["output_writes"]


@every_array
def test_chunks_are_layers_of_their_own_to_scale_sim(asked, lab, array):
    """A target whose accumulators hold a quarter of the positions runs four layers with that many, one by one."""
    (rows, columns), layers = array, asked(array, "ws")
    whole, quarter = lab.LAYERS[1], lab.LAYERS[1].positions // 4
    n = count(whole.demand(), ArrayShape(rows, columns, quarter))
    _, reduction, outputs = products(whole)
    tiles = -(-reduction // rows) * -(-outputs // columns)
    assert n.cycles == layers[whole]["cycles"] + 1 + 3 * tiles * (2 * rows + columns - 2)


@pytest.mark.parametrize("dataflow", ["ws", "os"])
@every_array
def test_dram_words(asked, array, dataflow):
    """SCALE-Sim moves each tensor once where it fits, with its padding, and, weight-stationary, each partial sum.

    The target keeps weights on the chip, and moves the input of the first and the output of the last layer.
    """
    (rows, columns), layers = array, asked(array, dataflow)
    for layer, found in layers.items():
        positions, reduction, outputs = products(layer)
        partial = -(-reduction // rows) if dataflow == "ws" else 1
        assert layer.groups * found["dram_inputs"] == layer.read_inputs
        assert found["dram_weights"] == reduction * outputs
        assert found["dram_outputs"] == positions * outputs * partial
        demand = layer.demand()
        n = count(demand, ArrayShape(rows, columns, UNLIMITED))
        moved = traffic([demand], [n], BufferSizes(8 << 20, 8 << 20))[0]
        assert (moved.dram_weight_bits, moved.dram_spill_bits) == (0, 0)
        assert moved.dram_boundary_bits == 8 * (demand.input_elements + demand.output_elements)


@every_array
def test_the_weight_stationary_accelerator_differs_by_its_tiles_and_by_loading_ahead(asked, array):
    """Both closed forms, in the same symbols; without groups, which the accelerator lays side by side."""
    (rows, columns), layers = array, asked(array, "ws")
    for layer, found in layers.items():
        if layer.groups > 1:
            continue
        (m, k, n), words = products(layer), max(1, columns // rows)
        passes, dense = -(-n // columns), -(-k // rows)
        tiles = layer.taps * -(-layer.channels // rows)
        assert found["cycles"] + 1 == passes * dense * (m + 2 * rows + columns - 2)
        counts = layer.schedule(Configuration(rows, columns, WEIGHT_STATIONARY)).counts
        assert counts.cycles == passes * ((tiles - 1) * max(m, rows) + m * words + rows + columns + 9)
        assert counts.activation_reads * rows == found["input_reads"] * (tiles * rows) / k
        assert counts.weight_reads == passes * tiles * rows
        assert found["weight_reads"] == k * n
        assert counts.accumulator_writes == passes * (tiles - 1) * m
        assert found["output_writes"] == m * n * dense


@every_array
def test_the_output_stationary_accelerator_differs_by_overlapping_groups(asked, array):
    """SCALE-Sim drains every group of positions before the next; the accelerator drains behind it."""
    (rows, columns), layers = array, asked(array, "os")
    for layer, found in layers.items():
        if layer.groups > 1:
            continue
        m, k, n = products(layer)
        passes, groups, last = -(-n // columns), -(-m // rows), (m - 1) % rows
        tiles = layer.taps * -(-layer.channels // rows)
        assert found["cycles"] + 1 == passes * groups * (k + rows + columns - 2)
        counts = layer.schedule(Configuration(rows, columns, OUTPUT_STATIONARY)).counts
        filling = (tiles - 1) * rows + 2 * last + max(1, columns // rows) + rows + columns + 8
        assert counts.cycles == passes * ((groups - 1) * max(tiles, 2) * rows + filling)
        assert found["input_reads"] == m * k * passes
        assert counts.activation_reads == m * tiles * passes
        assert found["weight_reads"] == k * n * groups
        assert counts.weight_reads == tiles * rows * groups * passes
        assert found["output_writes"] == m * n + groups * passes * (rows + columns)


@every_array
def test_groups_side_by_side(asked, lab, array):
    """A depthwise layer: the accelerator works on as many channels at once as the smaller side, the target on one."""
    (rows, columns), layers = array, asked(array, "ws")
    layer = lab.LAYERS[-1]
    found = layers[layer]
    m, words = layer.positions, max(1, columns // rows)
    passes, tiles = -(-layer.outputs // columns), layer.taps * words
    counts = layer.schedule(Configuration(rows, columns, WEIGHT_STATIONARY)).counts
    assert counts.cycles == passes * ((tiles - 1) * max(m, rows) + m * words + rows + columns + 9)
    assert counts.cycles < layer.groups * found["cycles"]
