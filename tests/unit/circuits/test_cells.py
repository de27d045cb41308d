"""The cell table, area, static timing and the processing element."""

from importlib.resources import files

import numpy as np
import pytest

from laxity.circuits import (
    Circuit,
    Gate,
    Port,
    circuit,
    default_library,
    delay_ns,
    evaluate,
    load_library,
    processing_element,
)
from laxity.circuits.cells import parse_library
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream

TEXT = files("laxity.circuits").joinpath("cells_45nm.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["array8", "dadda8"])
def test_exact_multipliers_have_the_minimum_of_adders(name):
    netlist = circuit(name)
    assert netlist.cells() == {"AND2": 64, "FA": 48, "HA": 8}
    assert default_library().area_um2(netlist) == pytest.approx(64 * 2.3465 + 48 * 8.9167 + 8 * 4.693)


@pytest.mark.parametrize("width", [2, 3, 5, 12, 16])
def test_dadda_adder_count_for_any_width(width):
    """Dadda's tree has n^2 - 4n + 3 full and n - 1 half adders; the final adder 2n - 3 full adders and a half adder."""
    cells = circuit(f"dadda{width}").cells()
    assert cells.get("FA", 0) == width**2 - 4 * width + 3 + 2 * width - 3
    assert cells["HA"] == width


@pytest.mark.parametrize(
    ("name", "area_um2", "tolerance"),
    [("coltrunc8_4", 539, 0.001), ("coltrunc8_6", 428, 0.001), ("coltrunc8_8", 272, 0.001), ("bam8_6_2", 367, 0.001)],
)
def test_area_of_truncated_multipliers_as_synthesised(name, area_um2, tolerance):
    """Areas of the same designs after synthesis to gscl45nm with adder extraction."""
    assert default_library().area_um2(circuit(name)) == pytest.approx(area_um2, rel=tolerance)


@pytest.mark.parametrize(("name", "reference_ns"), [("array8", 1.89), ("dadda8", 1.23), ("coltrunc8_6", 1.04)])
def test_delay_near_the_liberty_based_analysis(name, reference_ns):
    assert delay_ns(circuit(name), default_library()) == pytest.approx(reference_ns, rel=0.06)


def test_delay_of_a_chain_by_hand():
    gates = (Gate("INV", (2,), (3,)), Gate("NAND2", (3, 2), (4,)), Gate("HA", (4, 2), (5, 6)))
    netlist = Circuit("chain", (Port("a", (2,)),), (Port("y", (5, 6)),), gates, "test")
    expected = (18.1 + 2.64 * 2.07) + (24.6 + 2.44 * 4.21) + 53.5
    assert delay_ns(netlist, default_library()) == pytest.approx(expected / 1000)


def test_library_is_complete_and_attributed(tmp_path):
    library = default_library()
    assert "FreePDK45" in library.source
    assert "Apache-2.0" in library.source
    assert (library.voltage_v, library.temperature_c, library.process_nm) == (1.1, 27.0, 45.0)
    path = tmp_path / "cells.toml"
    path.write_text(TEXT, encoding="utf-8")
    assert load_library(path) == library
    assert library.clock_energy_fj() == pytest.approx(16.5 + 8.22 * 1.21)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[cells.HA]", "[cells.HALF]", "lacks HA"),
        ("area_um2 = 8.9167", "area_um2 = -1", "finite number >= 0"),
        ("area_um2 = 8.9167", "area_um2 = true", "finite number >= 0"),
        ("area_um2 = 8.9167", "area = 8.9167", "lacks area_um2"),
        ("delay_ps = [76.4, 64.0]", "delay_ps = [76.4]", r"list with 2 number"),
        ("voltage_v = 1.1", "", "lacks voltage_v"),
        ("voltage_v = 1.1", "voltage_v = = 1", "not valid TOML"),
        ("temperature_c = 27", "temperature_c = 27\ncolour = 1", "unknown colour"),
    ],
)
def test_broken_libraries_are_refused(old, new, message):
    assert old in TEXT
    with pytest.raises(CircuitError, match=message):
        parse_library(TEXT.replace(old, new), "broken.toml")


def test_missing_library_file_is_named(tmp_path):
    with pytest.raises(CircuitError, match=r"absent\.toml"):
        load_library(tmp_path / "absent.toml")


@pytest.mark.parametrize(("core", "bits"), [("dadda8", 24), ("drum8_4", 20), ("roba8", 16), ("mitchell6", 10)])
def test_processing_element_accumulates_with_wrap(core, bits):
    element = processing_element(circuit(core), bits)
    rng = stream(11, "pe", core)
    width = circuit(core).port("a").width
    values = {"a": rng.integers(0, 1 << width, 3000), "b": rng.integers(0, 1 << width, 3000)}
    values |= {"a_sign": rng.integers(0, 2, 3000), "b_sign": rng.integers(0, 2, 3000)}
    values["psum_in"] = rng.integers(0, 1 << bits, 3000)
    values["a"][:200] = 0
    product = evaluate(circuit(core), {"a": values["a"], "b": values["b"]})["p"]
    signed = np.where(values["a_sign"] != values["b_sign"], -product, product)
    np.testing.assert_array_equal(
        evaluate(element.circuit, values)["psum_out"], (values["psum_in"] + signed) % (1 << bits)
    )


def test_processing_element_figures():
    library = default_library()
    element = processing_element(circuit("dadda8"), 24)
    assert element.flip_flops == 9 + 9 + 24
    assert element.circuit.blocks() == ["accumulator", "multiplier", "sign"]
    assert element.area_um2(library) == pytest.approx(library.area_um2(element.circuit) + 42 * 7.9781)
    assert element.leakage_nw(library) > 42 * library.flip_flop.leakage_nw
    assert element.clock_energy_pj(library) == pytest.approx(42 * library.clock_energy_fj() / 1000)
    assert element.delay_ns(library) > delay_ns(circuit("dadda8"), library)
    for bits in (1, 63):
        with pytest.raises(CircuitError, match=rf"{bits} bits"):
            processing_element(circuit("dadda8"), bits)
