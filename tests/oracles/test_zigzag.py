"""The weight-stationary target against ZigZag 3.9.1: cycles, stalls, words of every memory.

Needs LAXITY_ZIGZAG_PYTHON, the Python of an environment with ``zigzag-dse==3.9.1 six``. ZigZag gets our array: a weight
register in each element, an accumulator memory below each column, a buffer for activations that gives one code per row
in a cycle, one for weights that gives one weight per column, DRAM; and our order of loops, as a matrix product, since
to the array a convolution is one. It costs what it is told to do; nothing is searched.
"""

import functools
import json

import pytest

from laxity.targets.dataflow import ArrayShape, count

pytestmark = pytest.mark.slow
every_array = pytest.mark.parametrize("array", [(8, 8), (16, 16), (4, 8)], ids=str)
UNLIMITED = 1 << 30

DRIVER = """
import json, sys
import yaml
from zigzag.api import get_hardware_performance_zigzag

rows, columns, products = json.loads(sys.argv[1])

def memory(size, operands, ports, serves):
    listed = [
        {"name": f"{'r' if kind == 'read' else 'w' if kind == 'write' else 'rw'}_port_{number}", "type": kind,
         "bandwidth_min": bits, "bandwidth_max": bits, "allocation": moves}
        for number, kind, bits, moves in ports
    ]
    return {"size": size, "r_cost": 1.0, "w_cost": 1.0, "area": 0, "latency": 1, "operands": operands, "ports": listed,
            "served_dimensions": serves}

def write(name, document):
    with open(name, "w") as file:
        yaml.safe_dump(document, file, sort_keys=False)

wide, large = ["D1", "D2"], 1 << 36
write("hardware.yaml", {
    "name": "array",
    "memories": {
        "register": memory(8, ["I2"], [(1, "read", 8, ["I2, tl"]), (1, "write", 8, ["I2, fh"])], []),
        "accumulators": memory(1 << 25, ["O"], [
            (1, "read", 32, ["O, tl"]), (2, "read", 32, ["O, th"]),
            (1, "write", 32, ["O, fh"]), (2, "write", 32, ["O, fl"])], ["D2"]),
        "activations": memory(large, ["I1", "O"], [
            (1, "read", 8 * rows, ["I1, tl", "O, tl", "O, th"]),
            (1, "write", 8 * rows, ["I1, fh", "O, fh", "O, fl"])], wide),
        "weights": memory(large, ["I2"], [
            (1, "read", 8 * columns, ["I2, tl"]), (1, "write", 8 * columns, ["I2, fh"])], wide),
        "dram": memory(8 * large, ["I1", "I2", "O"], [(1, "read_write", 64, [
            f"{operand}, {move}" for operand in ("I1", "I2", "O") for move in ("fh", "tl", "fl", "th")
            if operand == "O" or move in ("fh", "tl")])], wide),
    },
    "operational_array": {"unit_energy": 1.0, "unit_area": 1, "dimensions": wide, "sizes": [columns, rows]},
})
found = []
for m, k, n in products:
    loops = [["D", m], ["C", -(-k // rows)], ["K", -(-n // columns)]]
    write("mapping.yaml", [{
        "name": "default",
        "spatial_mapping": {"D1": [f"K, {min(columns, n)}"], "D2": [f"C, {min(rows, k)}"]},
        "temporal_ordering": [loop for loop in loops if loop[1] > 1],
        "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
    }])
    write("workload.yaml", [{
        "id": 0, "name": "product", "operator_type": "Gemm", "equation": "O[d][k]+=I[d][c]*W[c][k]",
        "dimension_relations": [], "loop_dims": ["C", "D", "K"], "loop_sizes": [k, m, n],
        "operand_precision": {"I": 8, "W": 8, "O": 32, "O_final": 8}, "operand_source": {"I": 0, "W": 0},
    }])
    answer = get_hardware_performance_zigzag(
        "workload.yaml", "hardware.yaml", "mapping.yaml", dump_folder="out", loma_show_progress_bar=False)
    cost = answer[2][0][1][0][0]
    words = {str(operand): [{str(way): n for way, n in level.data.items()} for level in levels]
             for operand, levels in cost.memory_word_access.items()}
    found.append({"cycles": cost.ideal_temporal_cycle, "stalls": cost.stall_slack_comb, "words": words})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def asked(lab, tmp_path_factory):
    """What ZigZag says of one group of every layer, by array."""

    def ask(array):
        arguments = json.dumps([*array, [products(layer) for layer in lab.LAYERS]])
        said = lab.start("LAXITY_ZIGZAG_PYTHON", "ZigZag", DRIVER, [arguments], tmp_path_factory.mktemp("zigzag"))
        return dict(zip(lab.LAYERS, json.loads(said.splitlines()[-1]), strict=True))

    return functools.cache(ask)


def products(layer):
    """M, K and N of one group."""
    per_group = layer.channels // layer.groups
    return layer.positions, per_group * layer.taps, layer.outputs // layer.groups


@every_array
def test_cycles_are_those_of_the_target_without_skew(asked, array):
    """The target adds to each tile its loading, filling and draining; ZigZag knows no skew."""
    rows, columns = array
    for layer, found in asked(array).items():
        m, k, n = products(layer)
        tiles = -(-k // rows) * -(-n // columns)
        assert found["cycles"] == m * tiles
        counts = count(layer.demand(), ArrayShape(rows, columns, UNLIMITED))
        assert counts.cycles == layer.groups * (found["cycles"] + tiles * (2 * rows + columns - 2)), layer


@every_array
def test_stalls_are_the_loading_of_weights(asked, array):
    """One row of weights enters per cycle, the last one while the tile begins; the target waits a cycle more."""
    rows, columns = array
    full = 0
    for layer, found in asked(array).items():
        _, k, n = products(layer)
        if k % rows == 0 and n % columns == 0:
            full += 1
            assert found["stalls"] == (k // rows * (n // columns) - 1) * (rows - 1), layer
    assert full >= 3


@every_array
def test_words_of_the_memories(asked, array):
    """Accumulators exactly; ports of whole words are read for partial ones too, which is all that differs elsewhere."""
    rows, columns = array
    for layer, found in asked(array).items():
        demand, words = layer.demand(), found["words"]
        counts = count(demand, ArrayShape(rows, columns, UNLIMITED))
        m, k, n = products(layer)
        assert counts.accumulator_words == layer.groups * words["O"][0]["wr_in_by_low"]
        assert words["I"][0]["rd_out_to_low"] == m * -(-k // rows) * -(-n // columns)
        assert counts.activation_words == layer.groups * m * k * -(-n // columns)
        stored = demand.weight_elements // layer.groups
        assert 0 <= words["W"][1]["rd_out_to_low"] * columns - stored < columns * -(-k // rows) * -(-n // columns)
        assert words["W"][-1]["rd_out_to_low"] == -(-stored // 8)
        assert words["O"][-1]["wr_in_by_low"] == -(-m * n // 8)
