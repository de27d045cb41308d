"""FPGA resources against the study's counts, tables against Python, frequency and bitstream."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import circuit
from laxity.circuits.netlist import ONE, ZERO
from laxity.circuits.simulate import exhaustive_planes, unpack
from laxity.circuits.synthesis import place, synthesise_fpga
from laxity.circuits.synthesis.luts import Lut, LutNetlist
from laxity.circuits.synthesis.place import wrapper
from laxity.core.errors import CircuitError

STUDY = {"dadda8": (150, 145), "coltrunc8_6": (104, 103), "bam8_6_2": (96, 97)}
"""LUT counts of ECP5 and iCE40; no DSP, no wide multiplexers, Yosys 0.70."""

FAMILIES = ("ecp5", "ice40")


@pytest.mark.parametrize("name", STUDY)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_studys_counts(yosys, name, family):
    found = synthesise_fpga(circuit(name), family)
    assert found.lut == pytest.approx(STUDY[name][FAMILIES.index(family)], rel=0.03)
    assert (found.carry, found.ff, found.dsp, found.bram) == (0, 0, 0, 0)
    assert found.proof == "equal on all 65536 inputs"
    assert sum(found.cells.values()) == found.lut


def test_the_index_orders_as_toggles_do(yosys):
    small, large = (synthesise_fpga(circuit(name), "ecp5") for name in ("coltrunc8_8", "dadda8"))
    assert small.energy_index["uniform"] < 0.6 * large.energy_index["uniform"]
    rest = {"a": np.full((1, 5), 3), "b": np.full((1, 5), 200)}
    found = synthesise_fpga(circuit("dadda8"), "ecp5", operands={"rest": rest})
    assert found.energy_index["rest"] == 0
    assert found.energy_index["uniform"] == large.energy_index["uniform"]
    assert found.to_json()["placement"] is None


@pytest.mark.slow
@pytest.mark.parametrize(("family", "low", "high", "size"), [("ecp5", 90, 103, 582_000), ("ice40", 80, 96, 135_100)])
def test_place_and_route(nextpnr, family, low, high, size):
    found = synthesise_fpga(circuit("dadda8"), family, placed=True).placement
    assert low < found.frequency_mhz < high
    assert found.bitstream_bytes == pytest.approx(size, rel=0.01)
    assert "nextpnr" in found.tools
    assert synthesise_fpga(circuit("dadda8"), family, placed=True).placement == found


def test_bad_requests():
    with pytest.raises(CircuitError, match="unknown FPGA family 'virtex'; use one of xilinx7, ecp5, ice40"):
        synthesise_fpga(circuit("dadda4"), "virtex")
    with pytest.raises(CircuitError, match="no open place and route for xilinx7"):
        synthesise_fpga(circuit("dadda4"), "xilinx7", placed=True)
    with pytest.raises(CircuitError, match="no place and route for 'xilinx7'; use one of ecp5, ice40"):
        place(circuit("dadda4"), "xilinx7")


def test_the_wrapper_registers_every_port():
    text = wrapper(circuit("dadda4"))
    assert text.count("always @(posedge clk)") == 3
    assert "circuit core (.i0(r0), .i1(r1), .o0(w0));" in text
    assert "output reg [7:0] o0" in text


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.data())
def test_tables_against_indexing(inputs, data):
    table = data.draw(st.integers(0, (1 << (1 << inputs)) - 1))
    order = data.draw(st.permutations(range(inputs)))
    netlist = LutNetlist(
        {"a": tuple(range(2, 2 + inputs))}, {"p": (99, ZERO, ONE)}, (Lut(tuple(2 + k for k in order), table, 99),)
    )
    rows = 1 << inputs
    found = unpack(netlist.evaluate({"a": exhaustive_planes(inputs)})["p"], rows)
    for row in range(rows):
        index = sum((row >> k & 1) << place for place, k in enumerate(order))
        assert found[row] == (table >> index & 1) + 4


def test_the_index_counts_toggles_and_readers():
    first, second = Lut((2,), 0b01, 10), Lut((10, 3), 0b1000, 11)
    netlist = LutNetlist({"a": (2, 3)}, {"p": (11,)}, (first, second))

    class Ports:
        inputs = (type("P", (), {"name": "a", "width": 2}),)

    # a = 0, 2, 3, 2: net 10 = not a0 is 1, 1, 0, 1 and net 11 = 10 and a1 is 0, 1, 0, 1.
    streams = {"a": np.array([[0, 2, 3, 2]])}
    assert netlist.energy_index(Ports, streams) == pytest.approx((2 * 2 + 3 * 1) / 3)
