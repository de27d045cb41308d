"""Accelerators on FPGA: counts against what Yosys counts itself, the store, place and route, refusals."""

import json

import pytest

from laxity.circuits.synthesis.families import FAMILIES, RESOURCES
from laxity.core.errors import CircuitError, RunError, ToolError
from laxity.eda.run import Finished, ToolRunError
from laxity.eda.store import Store
from laxity.eda.tools import Tool, available, find
from laxity.eda.yosys import yosys
from laxity.rtl.accelerator import Configuration, write_accelerator
from laxity.rtl.fpga import synthesise_accelerator

YOSYS = Tool("yosys", ("none",), "0.70", "system")


@pytest.fixture(scope="module")
def tools():
    if not all(map(available, ("yosys", "nextpnr-ecp5", "ecppack"))):
        pytest.skip("no yosys or nextpnr; pip install 'laxity[rtl]'")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def folders(lab, tmp_path_factory):
    """An accelerator of 2 x 2 elements for a small network, with an exact and with an approximate multiplier."""

    def write(multiplier):
        b = lab.Builder(3, (3, 5, 4))
        b.product(3, multiplier, (2, 2))
        b.flatten()
        b.product(5, multiplier, code=lab.SUMS)
        folder = tmp_path_factory.mktemp(multiplier)
        write_accelerator(b.program, b.used, Configuration(2, 2), folder, b.inputs(1))
        return folder

    return {name: write(name) for name in ("dadda8", "coltrunc8_8")}


@pytest.fixture
def pretend(monkeypatch):
    """Let Yosys seem to write an accelerator: six elements of three tables and two flip-flops, and some more."""

    def install(**more):
        def cells(**numbers):
            return {f"{kind}{k}": {"type": kind} for kind, n in numbers.items() for k in range(n)}

        element = {"LUT4": 3, "TRELLIS_FF": 2, "CCU2C": 1}
        rest = {"LUT4": 10, "DP16KD": 2, "MULT18X18D": 4, "TRELLIS_DPR16X4": 5, "variant": 6, **more}
        modules = {
            "LUT4": {"attributes": {"blackbox": "1"}, "cells": {}, "ports": {}},
            "variant": {"attributes": {"hdlname": "pe"}, "cells": cells(**element), "ports": {}},
            "accelerator": {
                "attributes": {"hdlname": "accelerator"},
                "cells": cells(**rest),
                "ports": {"clk": {"bits": [2]}, "data": {"bits": list(range(3, 67))}},
            },
        }
        content = json.dumps({"modules": modules}).encode()
        monkeypatch.setattr("laxity.rtl.fpga.find", lambda name: YOSYS)
        monkeypatch.setattr("laxity.rtl.fpga.yosys", lambda *a, **k: Finished({"out.json": content}, "", "", 0.1))

    return install


def test_elements_count_as_often_as_they_stand(pretend, folders):
    pretend()
    found = synthesise_accelerator(folders["dadda8"], "ecp5", store=Store(None))
    totals = {name: getattr(found, name) for name in RESOURCES}
    assert totals == {"lut": 28, "carry": 6, "ff": 12, "dsp": 4, "bram": 2, "lutram": 20}
    assert {n: (m.instances, m.lut, m.ff) for n, m in found.modules.items()} == {
        "accelerator": (1, 10, 0),
        "pe": (6, 18, 12),
    }
    written = json.loads((folders["dadda8"] / "fpga_ecp5.json").read_text())
    assert written == json.loads(json.dumps(found.to_json()))
    assert written["placement"] is None
    assert written["modules"]["pe"]["instances"] == 6


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"LUT4": 90_000}, r"does not fit LFE5U-85F.*90050 of 83640 look-up tables \(108 %\).*use fewer rows"),
        ({"DP16KD": 300}, r"does not fit LFE5U-85F.*300 of 208 memory blocks \(144 %\)"),
    ],
)
def test_no_part_has_room(pretend, folders, more, says):
    pretend(**more)
    with pytest.raises(ToolRunError, match=says) as caught:
        synthesise_accelerator(folders["dadda8"], "ecp5", placed=True, store=Store(None))
    assert caught.value.exit_code == 1
    assert json.loads((folders["dadda8"] / "fpga_ecp5.json").read_text())["placement"] is None


@pytest.mark.parametrize(
    ("tables", "part"),
    [(1000, "LFE5U-25F-6CABGA381"), (30_000, "LFE5U-45F-6CABGA554"), (50_000, "LFE5U-85F-6CABGA756")],
)
def test_the_smallest_part_with_room(pretend, folders, monkeypatch, tables, part):
    pretend(LUT4=tables)

    def route(netlist, chosen, flow, **options):
        raise ToolRunError(f"stopped at {chosen.name}")

    monkeypatch.setattr("laxity.rtl.fpga.route", route)
    with pytest.raises(
        ToolRunError, match=f"placed and routed on {part}, of which it takes .* tables .*stopped at {part}"
    ):
        synthesise_accelerator(folders["dadda8"], "ecp5", placed=True, store=Store(None))


def test_bad_requests(folders, tmp_path, monkeypatch):
    folder = folders["dadda8"]
    with pytest.raises(CircuitError, match="unknown FPGA family 'virtex'; use one of xilinx7, ecp5, ice40"):
        synthesise_accelerator(folder, "virtex")
    with pytest.raises(CircuitError, match="no open place and route for xilinx7 here, only resource counts"):
        synthesise_accelerator(folder, "xilinx7", placed=True)
    with pytest.raises(RunError, match=r"holds no accelerator.*write_accelerator"):
        synthesise_accelerator(tmp_path, "ecp5")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LAXITY_YOSYS", "system")
    with pytest.raises(ToolError, match="pip install 'laxity") as caught:
        synthesise_accelerator(folder, "ecp5", store=Store(None))
    assert caught.value.exit_code == 4


def flattened(folder, command):
    """Cells by type after everything is dissolved, as Yosys counts them."""
    sources = {p.name: p.read_bytes() for p in (folder / "rtl").glob("*.v")}
    memories = {p.name: p.read_bytes() for p in (folder / "memory").glob("*.hex")}
    script = [f"read_verilog -defer {name}" for name in sorted(sources)]
    script += ["hierarchy -check -top accelerator", "setattr -mod -set keep_hierarchy 1 A:hdlname=pe", command]
    script += ["setattr -mod -unset keep_hierarchy *", "flatten", "tee -o stat.json stat -json", ""]
    done = yosys("\n".join(script), {**sources, **memories}, ["stat.json"], 600.0)
    return json.loads(done.outputs["stat.json"])["modules"]["\\accelerator"]["num_cells_by_type"]


@pytest.mark.slow
def test_the_sum_over_modules_is_the_flat_count(tools, folders, store):
    found = synthesise_accelerator(folders["dadda8"], "ecp5", store=store)
    flat = FAMILIES["ecp5"].count(flattened(folders["dadda8"], FAMILIES["ecp5"].synthesis("accelerator", dsp=True)))
    assert flat == {name: getattr(found, name) for name in RESOURCES}
    assert {name: m.instances for name, m in found.modules.items()} == {"accelerator": 1, "pe": 4}
    assert found.modules["pe"].dsp == found.modules["pe"].bram == 0
    assert found.dsp == 2 * 2  # products of 32 and 16 bits in two lanes of the requantisation
    assert found.tool == find("yosys").identity


@pytest.mark.slow
def test_an_approximate_multiplier_is_smaller(tools, folders, store):
    exact, small = (synthesise_accelerator(folders[name], "ecp5", store=store) for name in folders)
    assert small.modules["pe"].lut < 0.7 * exact.modules["pe"].lut
    # Without the eight low columns, bit 0 of a weight is of no use, nor its two registers in each of four elements.
    assert exact.modules["pe"].ff - small.modules["pe"].ff == 2 * 4
    assert small.modules["accelerator"].lut == pytest.approx(exact.modules["accelerator"].lut, rel=0.05)


@pytest.mark.slow
def test_place_and_route_and_the_store(tools, folders, store, monkeypatch):
    folder = folders["coltrunc8_8"]
    found = synthesise_accelerator(folder, "ecp5", placed=True, store=store)
    assert found.placement.device == "LFE5U-25F-6CABGA381"
    assert 30 < found.placement.frequency_mhz < 150
    assert found.placement.bitstream_bytes == pytest.approx(582_000, rel=0.02)
    assert len(found.critical_path) == 2
    assert all(found.critical_path)
    assert found.element_frequency_mhz > found.placement.frequency_mhz
    written = (folder / "fpga_ecp5.json").read_bytes()

    def forbidden(*args, **kwargs):
        raise AssertionError("a tool was started")

    monkeypatch.setattr("laxity.rtl.fpga.yosys", forbidden)
    monkeypatch.setattr("laxity.rtl.fpga.route", forbidden)
    assert synthesise_accelerator(folder, "ecp5", placed=True, store=store) == found
    assert (folder / "fpga_ecp5.json").read_bytes() == written
    assert synthesise_accelerator(folder, "ecp5", store=store).placement is None
